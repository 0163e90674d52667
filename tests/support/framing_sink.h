/* SPDX-License-Identifier: Apache-2.0 */
/* Collects what a framing delivers. */
#ifndef DORMOUSE_TESTS_FRAMING_SINK_H
#define DORMOUSE_TESTS_FRAMING_SINK_H

#include <string.h>

#include <dormouse/framing.h>

#include "unit.h"

#define MTU 255
#define GAP_MS 50
#define RECEIVED_MAX 64
#define OTHERS_MAX 16

struct sink {
    struct framing *framing;
    size_t count;
    struct {
        size_t len;
        uint8_t octets[MTU];
        uint8_t node[FRAMING_NODE_MAX];
        size_t node_len;
        struct framing_quality quality;
    } messages[RECEIVED_MAX];
    size_t other_count; /* events that are no messages, spans copied into `octets` */
    struct {
        struct framing_event event;
        uint8_t octets[MTU];
    } others[OTHERS_MAX];
    bool reset_in_delivery;
};

static inline struct framing *
new_framing(const char *name, size_t mtu, unsigned gap_ms)
{
    return framing_new(&(struct framing_options){.name = name, .mtu = mtu, .gap_ms = gap_ms});
}

/* What the gateway sends is what it can receive. With nodes, the frames of the two directions
 * differ. */
static inline bool
round_trips(const char *name)
{
    return framing_traits_of(name)->node_len == 0;
}

/* As a framing without nodes and confirmations needs it. */
static inline enum dm_result
encode(const struct framing *framing, const uint8_t *message, size_t len, uint8_t *buffer,
       size_t size, size_t *written)
{
    return framing_encode(framing, &(struct framing_frame){.message = dm_span(message, len)},
                          buffer, size, written);
}

static inline void
on_sink_event(void *ctx, const struct framing_event *event)
{
    struct sink *sink = ctx;

    if (event->type == FRAMING_MESSAGE) {
        CU_ASSERT_TRUE_FATAL(sink->count < RECEIVED_MAX && event->octets.len <= MTU &&
                             event->node.len <= FRAMING_NODE_MAX);
        sink->messages[sink->count].len = event->octets.len;
        memcpy(sink->messages[sink->count].octets, event->octets.data, event->octets.len);
        sink->messages[sink->count].node_len = event->node.len;
        if (event->node.len > 0)
            memcpy(sink->messages[sink->count].node, event->node.data, event->node.len);
        sink->messages[sink->count].quality = event->quality;
        sink->count++;
    } else {
        CU_ASSERT_TRUE_FATAL(sink->other_count < OTHERS_MAX && event->octets.len <= MTU);
        sink->others[sink->other_count].event = *event;
        if (event->octets.len > 0)
            memcpy(sink->others[sink->other_count].octets, event->octets.data, event->octets.len);
        sink->others[sink->other_count].event.octets.data = sink->others[sink->other_count].octets;
        sink->other_count++;
    }
    if (sink->reset_in_delivery)
        framing_reset(sink->framing);
}

static inline void
sink_open(struct sink *sink, const char *name, size_t mtu)
{
    memset(sink, 0, sizeof *sink);
    sink->framing = new_framing(name, mtu, GAP_MS);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sink->framing);
}

static inline void
feed(struct sink *sink, const uint8_t *octets, size_t len, uint64_t now_ms)
{
    framing_feed(sink->framing, octets, len, now_ms, on_sink_event, sink);
}

static inline bool
received(const struct sink *sink, size_t index, const uint8_t *octets, size_t len)
{
    return index < sink->count && sink->messages[index].len == len &&
           memcmp(sink->messages[index].octets, octets, len) == 0;
}

#endif
