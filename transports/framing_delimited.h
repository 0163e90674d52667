/* SPDX-License-Identifier: Apache-2.0 */
/* Framings with a delimiter, an octet that stands nowhere else: what is the same for them. */
#ifndef DORMOUSE_FRAMING_DELIMITED_H
#define DORMOUSE_FRAMING_DELIMITED_H

#include "framing_private.h"

/* What an octet on the line means for the frame. */
enum framing_step {
    FRAMING_STEP_KEEP, /* it belongs to the frame, perhaps changed */
    FRAMING_STEP_DROP, /* it told something about those that come */
    FRAMING_STEP_BAD,  /* it cannot stand there */
};

struct framing_delimited {
    uint8_t delimiter;
    uint8_t check_len; /* octets of the check at a frame's end */
    uint8_t extra_len; /* besides message and check; all of them at most FRAMING_SLACK */
    /* *octet is no delimiter; it is replaced by what it stands for. */
    enum framing_step (*unescape)(struct framing *framing, uint8_t *octet);
    /* The frame may end here. NULL: not behind an escape. */
    bool (*is_whole)(const struct framing *framing);
    /* Of a frame with its check; NULL: frames have none. */
    bool (*is_good)(struct dm_span frame);
    /* Of a good frame without its check, `line_len` octets on the line. NULL: it is a message. */
    void (*take)(struct framing *framing, struct dm_span frame, size_t line_len,
                 framing_deliver *deliver, void *ctx);
};

/* Delivers what stands between two delimiters. A bad frame is thrown away up to the next delimiter,
 * which may open another (serial reference, section 2 rule 4). */
void framing_delimited_feed(struct framing *framing, const struct framing_delimited *rules,
                            struct dm_span octets, framing_deliver *deliver, void *ctx);

#endif
