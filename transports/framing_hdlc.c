/* SPDX-License-Identifier: Apache-2.0 */
/* HDLC framing: flags, escapes and FCS-16 of RFC 1662, without its address, control and protocol.
 */
#include "crc16.h"
#include "framing_delimited.h"

#define FLAG 0x7Eu
#define ESCAPE 0x7Du
#define ESCAPE_MASK 0x20u
#define FCS_LEN 2u
#define FCS_START 0xFFFFu
#define FCS_GOOD 0xF0B8u /* of a frame with its FCS (RFC 1662, C.2) */

/* Whatever is escaped is taken: the sender may escape more than it must (RFC 1662, 4.2). An escape
 * before a flag is left standing, and aborts the frame. */
static enum framing_step
unescape(struct framing *framing, uint8_t *octet)
{
    if (!framing->escaped) {
        framing->escaped = *octet == ESCAPE;
        return framing->escaped ? FRAMING_STEP_DROP : FRAMING_STEP_KEEP;
    }
    *octet ^= ESCAPE_MASK;
    framing->escaped = false;
    return FRAMING_STEP_KEEP;
}

static bool
is_good(struct dm_span frame)
{
    return crc16_reflected(FCS_START, frame) == FCS_GOOD;
}

static void
hdlc_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
          void *ctx)
{
    static const struct framing_delimited rules = {
        .delimiter = FLAG, .check_len = FCS_LEN, .unescape = unescape, .is_good = is_good};

    framing_delimited_feed(framing, &rules, dm_span(octets, len), deliver, ctx);
}

static size_t
hdlc_encoded_max(size_t len)
{
    return 2 * (len + FCS_LEN) + 2;
}

static void
put_escaped(struct framing_out *out, uint8_t octet)
{
    bool escapes = octet == FLAG || octet == ESCAPE;

    if (escapes)
        framing_put(out, ESCAPE);
    framing_put(out, escapes ? octet ^ ESCAPE_MASK : octet);
}

static enum dm_result
hdlc_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
            size_t size, size_t *written)
{
    struct framing_out out = {buffer, size, 0};
    unsigned fcs = ~(unsigned)crc16_reflected(FCS_START, frame->message);

    (void)framing;
    framing_put(&out, FLAG);
    for (size_t i = 0; i < frame->message.len; i++)
        put_escaped(&out, frame->message.data[i]);
    put_escaped(&out, (uint8_t)fcs);
    put_escaped(&out, (uint8_t)(fcs >> 8));
    framing_put(&out, FLAG);
    return framing_end(&out, written);
}

const struct framing_kind framing_hdlc = {
    .traits = {.name = "hdlc", .mtu_max = 65535, .encapsulates = true},
    .feed = hdlc_feed,
    .encoded_max = hdlc_encoded_max,
    .encode = hdlc_encode,
};
