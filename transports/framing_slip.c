/* SPDX-License-Identifier: Apache-2.0 */
/* SLIP framing: END on both sides of every message, two octets replaced by escapes. */
#include "framing_delimited.h"

#define END 0xC0u
#define ESC 0xDBu
#define ESCAPED_END 0xDCu
#define ESCAPED_ESC 0xDDu

static enum framing_step
unescape(struct framing *framing, uint8_t *octet)
{
    if (!framing->escaped) {
        framing->escaped = *octet == ESC;
        return framing->escaped ? FRAMING_STEP_DROP : FRAMING_STEP_KEEP;
    }
    if (*octet != ESCAPED_END && *octet != ESCAPED_ESC)
        return FRAMING_STEP_BAD;
    *octet = *octet == ESCAPED_END ? END : ESC;
    framing->escaped = false;
    return FRAMING_STEP_KEEP;
}

static void
slip_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
          void *ctx)
{
    static const struct framing_delimited rules = {.delimiter = END, .unescape = unescape};

    framing_delimited_feed(framing, &rules, dm_span(octets, len), deliver, ctx);
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
    framing_put(&out, END);
    for (size_t i = 0; i < frame->message.len; i++) {
        uint8_t octet = frame->message.data[i];

        if (octet != END && octet != ESC) {
            framing_put(&out, octet);
            continue;
        }
        framing_put(&out, ESC);
        framing_put(&out, octet == END ? ESCAPED_END : ESCAPED_ESC);
    }
    framing_put(&out, END);
    return framing_end(&out, written);
}

const struct framing_kind framing_slip = {
    .traits = {.name = "slip", .mtu_max = 65535, .encapsulates = true},
    .feed = slip_feed,
    .encoded_max = slip_encoded_max,
    .encode = slip_encode,
};
