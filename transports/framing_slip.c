/* SPDX-License-Identifier: Apache-2.0 */
/* SLIP framing: END on both sides of every message, two octets replaced by escapes. */
#include "framing_slip.h"

#define ESC 0xDBu
#define ESCAPED_END 0xDCu
#define ESCAPED_ESC 0xDDu

enum framing_step
slip_unescape(struct framing *framing, uint8_t *octet)
{
    if (!framing->escaped) {
        framing->escaped = *octet == ESC;
        return framing->escaped ? FRAMING_STEP_DROP : FRAMING_STEP_KEEP;
    }
    if (*octet != ESCAPED_END && *octet != ESCAPED_ESC)
        return FRAMING_STEP_BAD;
    *octet = *octet == ESCAPED_END ? SLIP_END : ESC;
    framing->escaped = false;
    return FRAMING_STEP_KEEP;
}

static void
slip_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
          void *ctx)
{
    static const struct framing_delimited rules = {.delimiter = SLIP_END,
                                                   .unescape = slip_unescape};

    framing_delimited_feed(framing, &rules, dm_span(octets, len), deliver, ctx);
}

static size_t
slip_encoded_max(size_t len)
{
    return 2 * len + 2;
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
