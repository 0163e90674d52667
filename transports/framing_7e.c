/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that start with 7E and tell their length, with and without escapes. */
#include <assert.h>
#include <string.h>

#include "framing_7e.h"

#define START 0x7Eu
#define ESC 0x7Du
#define ESC_FLIP 0x20u
#define XON 0x11u
#define XOFF 0x13u
#define HEADER 3u /* START and the length */

enum verdict {
    VERDICT_MORE,      /* the rest is still to come */
    VERDICT_GOOD,      /* complete, and the check is right */
    VERDICT_NO_FRAME,  /* no frame starts like this */
    VERDICT_OVERSIZE,  /* does not fit into the buffer */
    VERDICT_WRONG_SUM, /* complete, and the check is wrong */
};

static bool
needs_escape(uint8_t octet)
{
    return octet == START || octet == ESC || octet == XON || octet == XOFF;
}

static uint8_t
sum_of(struct dm_span octets)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < octets.len; i++)
        sum = (uint8_t)(sum + octets.data[i]);
    return sum;
}

/* What the octets from `start` on are. *total: the frame's octets, unless none starts there. */
static enum verdict
judge(const struct framing *framing, const struct framing_7e_layout *layout, size_t *total)
{
    const uint8_t *frame = framing->buffer + framing->start;
    size_t held = framing->used - framing->start;

    if (frame[0] != START)
        return VERDICT_NO_FRAME;
    if (held < HEADER)
        return VERDICT_MORE;
    size_t length = (size_t)frame[1] << 8 | frame[2];
    size_t excess = layout->counts_check ? 1 : 0;
    if (length < layout->content_min + excess || length > layout->content_max + excess)
        return VERDICT_NO_FRAME;
    *total = length - excess + FRAMING_7E_OVERHEAD;
    if (*total > framing->mtu + FRAMING_SLACK)
        return VERDICT_OVERSIZE;
    if (held < *total)
        return VERDICT_MORE;
    /* The check completes the sum of the content to FF. */
    return sum_of(dm_span(frame + HEADER, *total - HEADER)) == 0xFF ? VERDICT_GOOD
                                                                    : VERDICT_WRONG_SUM;
}

static void
drop(struct framing *framing, size_t count)
{
    framing->start += count;
    framing->counters.rx_garbage += count;
}

static void
drop_partial_frame(struct framing *framing)
{
    framing->counters.rx_garbage += framing->frame_len;
    framing_reset(framing);
}

static void
skip_oversize(struct framing *framing)
{
    size_t held = framing->used - framing->start;
    size_t skipped = framing->skip < held ? framing->skip : held;

    framing->skip -= skipped;
    drop(framing, skipped);
}

static void
take_frame(struct framing *framing, const struct framing_7e_layout *layout, size_t total,
           framing_deliver *deliver, void *ctx)
{
    const struct framing_7e_frame frame = {
        .content = dm_span(framing->buffer + framing->start + HEADER, total - FRAMING_7E_OVERHEAD),
        .line_len = layout->escapes ? framing->frame_len : total,
    };

    /* Before the call: deliver may reset the framing. */
    framing->start += total;
    framing->frame_len = 0;
    layout->take(framing, &frame, deliver, ctx);
}

/* Takes what is complete. Where no good frame is, looks on: with escapes nothing of it can be the
 * start of another, without any octet behind the first can (rule 5). */
static void
decode_buffer(struct framing *framing, const struct framing_7e_layout *layout,
              framing_deliver *deliver, void *ctx)
{
    while (framing->start < framing->used) {
        size_t total = 0;

        if (framing->skip > 0) {
            skip_oversize(framing);
            continue;
        }
        enum verdict verdict = judge(framing, layout, &total);
        if (verdict == VERDICT_MORE)
            return;
        framing->counters.rx_crc_errors += verdict == VERDICT_WRONG_SUM;
        framing->counters.rx_oversize += verdict == VERDICT_OVERSIZE;
        if (verdict == VERDICT_GOOD)
            take_frame(framing, layout, total, deliver, ctx);
        else if (layout->escapes)
            drop_partial_frame(framing);
        else if (verdict == VERDICT_OVERSIZE)
            framing->skip = total;
        else
            drop(framing, 1);
    }
}

/* False: the octet is an escape, or thrown away. Else *octet is the one it stands for. */
static bool
unescape(struct framing *framing, uint8_t *octet)
{
    if (*octet == START) { /* rule 5: wherever it comes, a frame starts here */
        drop_partial_frame(framing);
        framing->frame_len = 1;
        return true;
    }
    if (framing->used == 0) {
        framing->counters.rx_garbage++;
        return false;
    }
    framing->frame_len++;
    if (!framing->escaped) {
        framing->escaped = *octet == ESC;
        return !framing->escaped;
    }
    framing->escaped = false;
    *octet ^= ESC_FLIP;
    if (needs_escape(*octet))
        return true;
    drop_partial_frame(framing);
    return false;
}

/* What is left undecided is shorter than the buffer, so that every octet has room. */
void
framing_7e_feed(struct framing *framing, const struct framing_7e_layout *layout,
                const uint8_t *octets, size_t len, framing_deliver *deliver, void *ctx)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t octet = octets[i];

        if (layout->escapes && !unescape(framing, &octet))
            continue;
        assert(framing->used < framing->mtu + FRAMING_SLACK);
        framing->buffer[framing->used++] = octet;
        decode_buffer(framing, layout, deliver, ctx);
        if (framing->start == 0)
            continue;
        framing->used -= framing->start;
        memmove(framing->buffer, framing->buffer + framing->start, framing->used);
        framing->start = 0;
    }
}

void
framing_7e_refuse(struct framing *framing, const struct framing_7e_frame *frame)
{
    framing->counters.rx_garbage += frame->line_len;
}

size_t
framing_7e_max(const struct framing_7e_layout *layout, size_t content_len)
{
    size_t len = content_len + FRAMING_7E_OVERHEAD;

    return layout->escapes ? 2 * len - 1 : len;
}

static void
put_octet(struct framing_7e_out *out, uint8_t octet)
{
    if (out->layout->escapes && needs_escape(octet)) {
        framing_put(&out->out, ESC);
        octet ^= ESC_FLIP;
    }
    framing_put(&out->out, octet);
}

struct framing_7e_out
framing_7e_start(const struct framing_7e_layout *layout, size_t content_len, uint8_t *buffer,
                 size_t size)
{
    struct framing_7e_out out = {.out = {buffer, size, 0}, .layout = layout};
    size_t length = content_len + (layout->counts_check ? 1 : 0);

    assert(length <= UINT16_MAX);
    framing_put(&out.out, START);
    put_octet(&out, (uint8_t)(length >> 8));
    put_octet(&out, (uint8_t)length);
    return out;
}

void
framing_7e_put(struct framing_7e_out *out, struct dm_span content)
{
    out->sum = (uint8_t)(out->sum + sum_of(content));
    for (size_t i = 0; i < content.len; i++)
        put_octet(out, content.data[i]);
}

enum dm_result
framing_7e_end(struct framing_7e_out *out, size_t *written)
{
    put_octet(out, (uint8_t)(0xFF - out->sum));
    return framing_end(&out->out, written);
}
