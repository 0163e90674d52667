/* SPDX-License-Identifier: Apache-2.0 */
/* What the framings share: one decoder state, and the functions each framing supplies. */
#ifndef DORMOUSE_FRAMING_PRIVATE_H
#define DORMOUSE_FRAMING_PRIVATE_H

#include <stdbool.h>

#include <dormouse/framing.h>

/* The buffer holds this much beyond the mtu: headers, checks, and what mqttsn_measure asks for to
 * see that a message is longer. */
#define FRAMING_SLACK 32u

struct framing_kind {
    struct framing_traits traits;
    size_t state_size; /* octets of the framing's own state, zeroed at first */
    /* As framing_feed; the gap is already dealt with in framing_feed for what has `uses_gap`. */
    void (*feed)(struct framing *framing, const uint8_t *octets, size_t len,
                 framing_deliver *deliver, void *ctx);
    size_t (*encoded_max)(size_t len);
    /* As framing_encode; message and node have possible lengths. */
    enum dm_result (*encode)(const struct framing *framing, const struct framing_frame *frame,
                             uint8_t *buffer, size_t size, size_t *written);
    void (*hello)(struct framing *framing, framing_deliver *deliver, void *ctx); /* NULL: nothing */
    void (*pair)(struct framing *framing, bool on, framing_deliver *deliver,
                 void *ctx);                                      /* NULL: cannot */
    void (*expect)(struct framing *framing, struct dm_span node); /* NULL: nothing */
    bool uses_gap; /* a frame's end is told by its length: an idle gap ends a partial one */
};

struct framing {
    const struct framing_kind *kind;
    struct framing_options options;
    size_t mtu;
    uint64_t fed_ms; /* when the last octets came */
    struct framing_counters counters;
    void *state;  /* of kind->state_size octets */
    size_t start; /* buffer[start..used) is not yet decoded or not yet complete */
    size_t used;
    size_t frame_len; /* octets of the frame on the line; framings with a delimiter or escapes */
    size_t skip;      /* octets still to come of a message longer than the mtu */
    size_t trailer;   /* raw: octets still to come that mean nothing */
    bool escaped;     /* the octet before was an escape */
    bool discarding;  /* the frame is bad, skip to its end */
    uint8_t buffer[]; /* mtu + FRAMING_SLACK octets */
};

/* Delivers what a good frame of `frame_len` octets carried, if it is exactly one plausible message;
 * else the frame is garbage (serial reference, section 2 rule 6). */
void framing_message(struct framing *framing, const struct framing_event *message, size_t frame_len,
                     framing_deliver *deliver, void *ctx);

/* An event of this type with these octets. */
void framing_reply(struct dm_span frame, framing_deliver *deliver, void *ctx);

/* A growing frame: escapes as the framing demands. `used` beyond `size`: no room. */
struct framing_out {
    uint8_t *buffer;
    size_t size, used;
};

static inline void
framing_put(struct framing_out *out, uint8_t octet)
{
    if (out->used < out->size)
        out->buffer[out->used] = octet;
    out->used++;
}

static inline enum dm_result
framing_end(const struct framing_out *out, size_t *written)
{
    if (out->used > out->size)
        return DM_FULL;
    *written = out->used;
    return DM_OK;
}

extern const struct framing_kind framing_raw;
extern const struct framing_kind framing_slip;
extern const struct framing_kind framing_cobs;
extern const struct framing_kind framing_hdlc;
extern const struct framing_kind framing_xbee;
extern const struct framing_kind framing_xbee_escaped;
extern const struct framing_kind framing_loralink;
extern const struct framing_kind framing_aquila;
extern const struct framing_kind framing_rh_serial;
extern const struct framing_kind framing_hc12;

#endif
