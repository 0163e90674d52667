/* SPDX-License-Identifier: Apache-2.0 */
/* What the framings share: one decoder state, and the functions each framing supplies. */
#ifndef DORMOUSE_FRAMING_PRIVATE_H
#define DORMOUSE_FRAMING_PRIVATE_H

#include <stdbool.h>

#include <dormouse/framing.h>

/* mqttsn_measure may ask for this much beyond the mtu, to see that a message is longer. */
#define FRAMING_SLACK 4u

struct framing_kind {
    /* As framing_feed; the gap is already dealt with in framing_feed for what has `uses_gap`. */
    void (*feed)(struct framing *framing, const uint8_t *octets, size_t len,
                 framing_deliver *deliver, void *ctx);
    size_t (*encoded_max)(size_t len);
    /* As framing_encode, for a message that is not longer than the mtu. */
    enum dm_result (*encode)(const uint8_t *message, size_t len, uint8_t *buffer, size_t size,
                             size_t *written);
    bool uses_gap; /* frames have no delimiter: an idle gap ends a partial one */
};

struct framing {
    const struct framing_kind *kind;
    size_t mtu;
    unsigned gap_ms;
    uint64_t fed_ms; /* when the last octets came */
    struct framing_counters counters;
    size_t start; /* buffer[start..used) is not yet decoded or not yet complete */
    size_t used;
    size_t skip;      /* raw: octets still to come of a message longer than the mtu */
    bool escaped;     /* slip: the octet before was ESC */
    bool discarding;  /* slip: the frame is bad, skip to its end */
    uint8_t buffer[]; /* mtu + FRAMING_SLACK octets */
};

extern const struct framing_kind framing_raw;
extern const struct framing_kind framing_slip;

#endif
