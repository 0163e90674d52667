/* SPDX-License-Identifier: Apache-2.0 */
/* SLIP framing: END on both sides of every message, two octets replaced by escapes. */
#include <string.h>

#include <dormouse/mqttsn.h>

#include "framing_private.h"

#define END 0xC0u
#define ESC 0xDBu
#define ESCAPED_END 0xDCu
#define ESCAPED_ESC 0xDDu

/* A frame that is not exactly one plausible message is dropped (serial reference, rule 6). */
static void
end_frame(struct framing *framing, framing_deliver *deliver, void *ctx)
{
    size_t len = framing->used;
    bool in_escape = framing->escaped;
    size_t total;

    framing_reset(framing);
    if (len == 0)
        return; /* two ENDs in a row, or the end of what was discarded */
    if (in_escape || mqttsn_measure(framing->buffer, len, framing->mtu, &total) != DM_OK ||
        total != len) {
        framing->counters.rx_garbage += len;
        return;
    }
    framing->counters.rx_frames++;
    deliver(ctx, framing->buffer, len);
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
push_octet(struct framing *framing, uint8_t octet)
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
        octet = octet == ESCAPED_END ? END : ESC;
        framing->escaped = false;
    }
    if (framing->used == framing->mtu) {
        framing->counters.rx_oversize++;
        discard_frame(framing);
        return;
    }
    framing->buffer[framing->used++] = octet;
}

static void
slip_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
          void *ctx)
{
    for (size_t i = 0; i < len; i++) {
        if (octets[i] == END)
            end_frame(framing, deliver, ctx);
        else
            push_octet(framing, octets[i]);
    }
}

static size_t
slip_encoded_max(size_t len)
{
    return 2 * len + 2;
}

static size_t
encoded_len(const uint8_t *message, size_t len)
{
    size_t total = len + 2;

    for (size_t i = 0; i < len; i++)
        total += message[i] == END || message[i] == ESC;
    return total;
}

/* END on both sides: a receiver that missed octets before finds the start, and one that waits for
 * an opening END finds it (rule 4). */
static enum dm_result
slip_encode(const uint8_t *message, size_t len, uint8_t *buffer, size_t size, size_t *written)
{
    size_t used = 0;

    if (encoded_len(message, len) > size)
        return DM_FULL;
    buffer[used++] = END;
    for (size_t i = 0; i < len; i++) {
        if (message[i] == END || message[i] == ESC) {
            buffer[used++] = ESC;
            buffer[used++] = message[i] == END ? ESCAPED_END : ESCAPED_ESC;
        } else {
            buffer[used++] = message[i];
        }
    }
    buffer[used++] = END;
    *written = used;
    return DM_OK;
}

const struct framing_kind framing_slip = {
    .feed = slip_feed,
    .encoded_max = slip_encoded_max,
    .encode = slip_encode,
};
