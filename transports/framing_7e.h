/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of radios that took over Digi's form: 7E, a length of two octets, the content, and a
 * check octet, which is FF less the sum of the content. Where the line escapes, each 7E, 7D, 11 and
 * 13 behind the first octet stands as 7D and the octet ^ 20.
 */
#ifndef DORMOUSE_FRAMING_7E_H
#define DORMOUSE_FRAMING_7E_H

#include "framing_private.h"

/* Octets around the content: 7E, length, check. */
#define FRAMING_7E_OVERHEAD 4u

/* A frame that came whole and with the right check. */
struct framing_7e_frame {
    struct dm_span content;
    size_t line_len; /* octets of the frame on the line, the escapes included */
};

/* What differs between the framings. */
struct framing_7e_layout {
    bool escapes;
    bool counts_check;                 /* the length counts the check octet, too */
    uint16_t content_min, content_max; /* octets; no frame has fewer or more */
    /* `frame` is borrowed during the call. */
    void (*take)(struct framing *framing, const struct framing_7e_frame *frame,
                 framing_deliver *deliver, void *ctx);
};

/* As framing_feed, with take for each frame. */
void framing_7e_feed(struct framing *framing, const struct framing_7e_layout *layout,
                     const uint8_t *octets, size_t len, framing_deliver *deliver, void *ctx);

/* Counts a frame as garbage. */
void framing_7e_refuse(struct framing *framing, const struct framing_7e_frame *frame);

/* Largest number of octets of a frame with so many octets of content. */
size_t framing_7e_max(const struct framing_7e_layout *layout, size_t content_len);

/* A frame that is being written: start, put the content, end. */
struct framing_7e_out {
    struct framing_out out;
    const struct framing_7e_layout *layout;
    uint8_t sum;
};

struct framing_7e_out framing_7e_start(const struct framing_7e_layout *layout, size_t content_len,
                                       uint8_t *buffer, size_t size);
void framing_7e_put(struct framing_7e_out *out, struct dm_span content);
/* As framing_end. */
enum dm_result framing_7e_end(struct framing_7e_out *out, size_t *written);

#endif
