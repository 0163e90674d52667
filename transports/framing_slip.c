/* SPDX-License-Identifier: Apache-2.0 */
/* SLIP framing: END on both sides of every message, two octets replaced by escapes. */
#include "framing_slip.h"

#define ESC 0xDBu
#define ESCAPED_END 0xDCu
#define ESCAPED_ESC 0xDDu

static void
take_message(struct framing *framing, size_t len, framing_deliver *deliver, void *ctx)
{
    framing_message(
        framing,
        &(struct framing_event){.type = FRAMING_MESSAGE, .octets = dm_span(framing->buffer, len)},
        len, deliver, ctx);
}

static void
end_frame(struct framing *framing, slip_take *take, framing_deliver *deliver, void *ctx)
{
    size_t len = framing->used;
    bool in_escape = framing->escaped;

    framing_reset(framing);
    if (in_escape)
        framing->counters.rx_garbage += len;
    else if (len > 0) /* else: two ENDs in a row, or the end of what was discarded */
        take(framing, len, deliver, ctx);
}

/* From here to the next END, which may also open the next frame, everything is thrown away. */
static void
discard_frame(struct framing *framing)
{
    framing->counters.rx_garbage += framing->used + 1;
    framing_reset(framing);
    framing->discarding = true;
}

static void
push_octet(struct framing *framing, uint8_t octet, size_t limit)
{
    if (framing->discarding) {
        framing->counters.rx_garbage++;
        return;
    }
    if (octet == ESC && !framing->escaped) {
        framing->escaped = true;
        return;
    }
    if (framing->escaped) {
        if (octet != ESCAPED_END && octet != ESCAPED_ESC) {
            discard_frame(framing);
            return;
        }
        octet = octet == ESCAPED_END ? SLIP_END : ESC;
        framing->escaped = false;
    }
    if (framing->used == limit) {
        framing->counters.rx_oversize++;
        discard_frame(framing);
        return;
    }
    framing->buffer[framing->used++] = octet;
}

void
slip_decode(struct framing *framing, struct dm_span octets, size_t limit, slip_take *take,
            framing_deliver *deliver, void *ctx)
{
    for (size_t i = 0; i < octets.len; i++) {
        if (octets.data[i] == SLIP_END)
            end_frame(framing, take, deliver, ctx);
        else
            push_octet(framing, octets.data[i], limit);
    }
}

void
slip_put(struct framing_out *out, struct dm_span octets)
{
    for (size_t i = 0; i < octets.len; i++) {
        uint8_t octet = octets.data[i];

        if (octet != SLIP_END && octet != ESC) {
            framing_put(out, octet);
            continue;
        }
        framing_put(out, ESC);
        framing_put(out, octet == SLIP_END ? ESCAPED_END : ESCAPED_ESC);
    }
}

static void
slip_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
          void *ctx)
{
    slip_decode(framing, dm_span(octets, len), framing->mtu, take_message, deliver, ctx);
}

static size_t
slip_encoded_max(size_t len)
{
    return 2 * len + 2;
}

/* END on both sides: a receiver that missed octets before finds the start, and one that waits for
 * an opening END finds it (rule 4). */
static enum dm_result
slip_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
            size_t size, size_t *written)
{
    struct framing_out out = {buffer, size, 0};

    (void)framing;
    framing_put(&out, SLIP_END);
    slip_put(&out, frame->message);
    framing_put(&out, SLIP_END);
    return framing_end(&out, written);
}

const struct framing_kind framing_slip = {
    .traits = {.name = "slip", .mtu_max = 65535, .encapsulates = true},
    .feed = slip_feed,
    .encoded_max = slip_encoded_max,
    .encode = slip_encode,
};
