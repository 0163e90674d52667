/* SPDX-License-Identifier: Apache-2.0 */
/* COBS framing with a CRC-16: no 00 but as delimiter, for at most one octet more in 254. A frame is
 * cut at its zeros into blocks; each begins with a code, the number of its octets. */
#include "crc16.h"
#include "framing_delimited.h"

#define DELIMITER 0x00u
#define CODE_FULL 0xFFu /* of a block that was cut without a zero */
#define BLOCK_MAX 254u  /* octets behind the code */
#define CRC_LEN 2u
#define CRC_START 0xFFFFu

/* `skip` octets of the block are still to come; `escaped`: a zero stands before the next block. */
static enum framing_step
unescape(struct framing *framing, uint8_t *octet)
{
    bool zero = framing->escaped;

    if (framing->skip > 0) {
        framing->skip--;
        return FRAMING_STEP_KEEP;
    }
    framing->skip = *octet - 1u;
    framing->escaped = *octet != CODE_FULL;
    *octet = 0;
    return zero ? FRAMING_STEP_KEEP : FRAMING_STEP_DROP;
}

static bool
is_whole(const struct framing *framing)
{
    return framing->skip == 0;
}

static bool
is_good(struct dm_span frame)
{
    return crc16_forward(CRC_START, frame) == 0;
}

static void
cobs_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
          void *ctx)
{
    static const struct framing_delimited rules = {.delimiter = DELIMITER,
                                                   .check_len = CRC_LEN,
                                                   .unescape = unescape,
                                                   .is_whole = is_whole,
                                                   .is_good = is_good};

    framing_delimited_feed(framing, &rules, dm_span(octets, len), deliver, ctx);
}

static size_t
cobs_encoded_max(size_t len)
{
    size_t frame_len = len + CRC_LEN;

    return frame_len + frame_len / BLOCK_MAX + 1 + 2;
}

/* The code is known only when the block ends: until then a 00 keeps its place. */
static size_t
begin_block(struct framing_out *out)
{
    framing_put(out, 0);
    return out->used - 1;
}

static void
end_block(struct framing_out *out, size_t block)
{
    if (block < out->size)
        out->buffer[block] = (uint8_t)(out->used - block);
}

/* Returns the block that goes on. A full one is ended by the octet behind it, not by its last:
 * that may be the frame's last. */
static size_t
put_octet(struct framing_out *out, size_t block, uint8_t octet)
{
    if (out->used - block == CODE_FULL) {
        end_block(out, block);
        block = begin_block(out);
    }
    if (octet != 0) {
        framing_put(out, octet);
        return block;
    }
    end_block(out, block);
    return begin_block(out);
}

/* 00 on both sides (rule 4): what came before, noise too, is no part of the frame. */
static enum dm_result
cobs_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
            size_t size, size_t *written)
{
    struct framing_out out = {buffer, size, 0};
    uint16_t crc = crc16_forward(CRC_START, frame->message);
    size_t block;

    (void)framing;
    framing_put(&out, DELIMITER);
    block = begin_block(&out);
    for (size_t i = 0; i < frame->message.len; i++)
        block = put_octet(&out, block, frame->message.data[i]);
    block = put_octet(&out, block, (uint8_t)(crc >> 8));
    block = put_octet(&out, block, (uint8_t)crc);
    end_block(&out, block);
    framing_put(&out, DELIMITER);
    return framing_end(&out, written);
}

const struct framing_kind framing_cobs = {
    .traits = {.name = "cobs-crc16", .mtu_max = 65535, .encapsulates = true},
    .feed = cobs_feed,
    .encoded_max = cobs_encoded_max,
    .encode = cobs_encode,
};
