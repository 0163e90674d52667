/* SPDX-License-Identifier: Apache-2.0 */
/* HC12 framing: the frames of brianrho's HC12 library, with addresses, a length and an 8-bit sum.
 */
#include "framing_private.h"

#define START 0xAFu
#define BROADCAST 0xFFu
#define NODE_LEN 1u
#define HEADER_LEN 4u /* AF, source, destination, length */
#define SUM_LEN 1u
#define PAYLOAD_MAX 32u
#define FRAME_MAX (HEADER_LEN + PAYLOAD_MAX + SUM_LEN)

/* Instead of framing->buffer, which may be shorter: a frame beyond the mtu is read to its end, to
 * know by its sum that it is one. */
struct hc12 {
    uint8_t held[FRAME_MAX];
};

/* Over a whole frame it is 0. */
static uint8_t
sum_of(const uint8_t *octets, size_t len)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + octets[i]);
    return sum;
}

static void
drop(struct framing *framing, size_t len)
{
    struct hc12 *hc12 = framing->state;

    framing->used -= len;
    memmove(hc12->held, hc12->held + len, framing->used);
}

static void
take_frame(struct framing *framing, const uint8_t *frame, framing_deliver *deliver, void *ctx)
{
    const uint8_t own = framing->options.address;
    const struct framing_event message = {
        .type = FRAMING_MESSAGE,
        .node = dm_span(frame + 1, NODE_LEN),
        .octets = dm_span(frame + HEADER_LEN, frame[3]),
    };

    /* From ourselves: the echo of a shared line. */
    if (frame[1] != own && (frame[2] == own || frame[2] == BROADCAST))
        framing_message(framing, &message, HEADER_LEN + message.octets.len + SUM_LEN, deliver, ctx);
}

/* Octets to drop: a whole frame, or one where none can start (section 2 rule 5). 0: wait for more.
 */
static size_t
measure(struct framing *framing, const uint8_t *held)
{
    size_t len = HEADER_LEN + SUM_LEN;

    if (framing->used > 0 && held[0] != START)
        return 1;
    if (framing->used < HEADER_LEN)
        return 0;
    if (held[3] == 0 || held[3] > PAYLOAD_MAX)
        return 1;
    len += held[3];
    if (framing->used < len)
        return 0;
    if (sum_of(held, len) == 0)
        return len;
    framing->counters.rx_crc_errors++;
    return 1;
}

static void
decode_held(struct framing *framing, framing_deliver *deliver, void *ctx)
{
    struct hc12 *hc12 = framing->state;
    uint8_t frame[FRAME_MAX];

    for (size_t len; (len = measure(framing, hc12->held)) > 0;) {
        memcpy(frame, hc12->held, len);
        drop(framing, len); /* before the call: deliver may reset the framing */
        if (len == 1)
            framing->counters.rx_garbage++;
        else
            take_frame(framing, frame, deliver, ctx);
    }
}

static void
hc12_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
          void *ctx)
{
    struct hc12 *hc12 = framing->state;

    for (size_t i = 0; i < len; i++) {
        hc12->held[framing->used++] = octets[i];
        decode_held(framing, deliver, ctx);
    }
}

static size_t
hc12_encoded_max(size_t len)
{
    return HEADER_LEN + len + SUM_LEN;
}

static enum dm_result
hc12_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
            size_t size, size_t *written)
{
    size_t len = frame->message.len;

    if (len == 0)
        return DM_INVALID;
    if (size < HEADER_LEN + len + SUM_LEN)
        return DM_FULL;
    buffer[0] = START;
    buffer[1] = framing->options.address;
    buffer[2] = frame->node.len > 0 ? frame->node.data[0] : BROADCAST;
    buffer[3] = (uint8_t)len;
    memcpy(buffer + HEADER_LEN, frame->message.data, len);
    buffer[HEADER_LEN + len] = (uint8_t)(0u - sum_of(buffer, HEADER_LEN + len));
    *written = HEADER_LEN + len + SUM_LEN;
    return DM_OK;
}

const struct framing_kind framing_hc12 = {
    .traits = {.name = "hc12", .node_len = NODE_LEN, .mtu_max = PAYLOAD_MAX, .own_address = true},
    .state_size = sizeof(struct hc12),
    .feed = hc12_feed,
    .encoded_max = hc12_encoded_max,
    .encode = hc12_encode,
    .uses_gap = true,
};
