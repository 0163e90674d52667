/* SPDX-License-Identifier: Apache-2.0 */
/* Raw framing: messages back to back; where they start is guessed from what a message looks like.
 */
#include <string.h>

#include <dormouse/mqttsn.h>

#include "framing_private.h"

/* Throws away what has come of a message that is longer than the mtu. Looking for messages inside
 * it would find some: without the first octet, a long PUBLISH header is a short one. */
static void
skip_oversize(struct framing *framing)
{
    size_t held = framing->used - framing->start;
    size_t skipped = framing->skip < held ? framing->skip : held;

    framing->skip -= skipped;
    framing->start += skipped;
    framing->counters.rx_garbage += skipped;
}

/* Delivers what is complete. Where no message can start, slides by one octet (serial reference,
 * section 2 rule 2). */
static void
decode_buffer(struct framing *framing, framing_deliver *deliver, void *ctx)
{
    while (framing->start < framing->used) {
        const uint8_t *message = framing->buffer + framing->start;
        size_t held = framing->used - framing->start;
        size_t total;

        if (framing->trailer > 0) {
            framing->trailer--;
            framing->start++;
            continue;
        }
        if (framing->skip > 0) {
            skip_oversize(framing);
            continue;
        }
        switch ((int)mqttsn_measure(message, held, framing->mtu, &total)) {
        case DM_TRUNCATED:
            return;
        case DM_OK:
            /* Before the call: deliver may reset the framing. */
            framing->start += total;
            framing->trailer = framing->options.trailer;
            framing->counters.rx_frames++;
            deliver(ctx, &(struct framing_event){.type = FRAMING_MESSAGE,
                                                 .octets = dm_span(message, total)});
            break;
        case DM_FULL:
            framing->counters.rx_oversize++;
            framing->skip = total;
            break;
        default:
            framing->start++;
            framing->counters.rx_garbage++;
            break;
        }
    }
}

/* What is left undecided is shorter than the buffer, so that every turn has room for more octets.
 */
static void
raw_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
         void *ctx)
{
    while (len > 0) {
        size_t room = framing->mtu + FRAMING_SLACK - framing->used;
        size_t taken = len < room ? len : room;

        memcpy(framing->buffer + framing->used, octets, taken);
        framing->used += taken;
        octets += taken;
        len -= taken;
        decode_buffer(framing, deliver, ctx);
        framing->used -= framing->start;
        memmove(framing->buffer, framing->buffer + framing->start, framing->used);
        framing->start = 0;
    }
}

static size_t
raw_encoded_max(size_t len)
{
    return len;
}

static enum dm_result
raw_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
           size_t size, size_t *written)
{
    (void)framing;
    if (frame->message.len > size)
        return DM_FULL;
    memcpy(buffer, frame->message.data, frame->message.len);
    *written = frame->message.len;
    return DM_OK;
}

const struct framing_kind framing_raw = {
    .traits = {.name = "raw", .mtu_max = 65535, .encapsulates = true},
    .feed = raw_feed,
    .encoded_max = raw_encoded_max,
    .encode = raw_encode,
    .uses_gap = true,
};
