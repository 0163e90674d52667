/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of the framings with a delimiter. No gap is needed: a delimiter ends every fault. */
#include "framing_delimited.h"

static bool
is_whole(const struct framing *framing, const struct framing_delimited *rules)
{
    bool whole = rules->is_whole != NULL ? rules->is_whole(framing) : !framing->escaped;

    return whole && framing->used >= rules->check_len;
}

/* Two delimiters in a row are no frame, and the end of what was discarded is none either. */
static void
end_frame(struct framing *framing, const struct framing_delimited *rules, framing_deliver *deliver,
          void *ctx)
{
    struct dm_span frame = dm_span(framing->buffer, framing->used);
    size_t frame_len = framing->frame_len;
    bool whole = is_whole(framing, rules);

    /* Before the call: deliver may reset the framing. */
    framing_reset(framing);
    if (frame_len == 0)
        return;
    if (!whole) {
        framing->counters.rx_garbage += frame_len;
        return;
    }
    if (rules->is_good != NULL && !rules->is_good(frame)) {
        framing->counters.rx_crc_errors++;
        framing->counters.rx_garbage += frame_len;
        return;
    }
    frame.len -= rules->check_len;
    if (rules->take != NULL)
        rules->take(framing, frame, frame_len, deliver, ctx);
    else
        framing_message(framing, &(struct framing_event){.type = FRAMING_MESSAGE, .octets = frame},
                        frame_len, deliver, ctx);
}

/* From here to the next delimiter everything is thrown away. */
static void
discard_frame(struct framing *framing)
{
    framing->counters.rx_garbage += framing->frame_len;
    framing_reset(framing);
    framing->discarding = true;
}

static void
push_octet(struct framing *framing, const struct framing_delimited *rules, uint8_t octet)
{
    if (framing->discarding) {
        framing->counters.rx_garbage++;
        return;
    }
    framing->frame_len++;
    switch (rules->unescape(framing, &octet)) {
    case FRAMING_STEP_DROP:
        return;
    case FRAMING_STEP_BAD:
        discard_frame(framing);
        return;
    case FRAMING_STEP_KEEP:
        break;
    }
    if (framing->used == framing->mtu + rules->check_len + rules->extra_len) {
        framing->counters.rx_oversize++;
        discard_frame(framing);
        return;
    }
    framing->buffer[framing->used++] = octet;
}

void
framing_delimited_feed(struct framing *framing, const struct framing_delimited *rules,
                       struct dm_span octets, framing_deliver *deliver, void *ctx)
{
    for (size_t i = 0; i < octets.len; i++) {
        if (octets.data[i] == rules->delimiter)
            end_frame(framing, rules, deliver, ctx);
        else
            push_octet(framing, rules, octets.data[i]);
    }
}
