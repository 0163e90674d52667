/* SPDX-License-Identifier: Apache-2.0 */
/* The table of framings, and what is the same for each of them. */
#include <dormouse/framing.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <dormouse/mqttsn.h>

#include "framing_private.h"

#define MTU_MIN 2u

static const struct framing_kind *const kinds[] = {
    &framing_raw,          &framing_slip,   &framing_cobs,     &framing_hdlc,      &framing_xbee,
    &framing_xbee_escaped, &framing_aquila, &framing_loralink, &framing_rh_serial, &framing_hc12,
};

#define KIND_COUNT (sizeof kinds / sizeof kinds[0])

static const struct framing_kind *
find_kind(const char *name)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i]->traits.name, name) == 0)
            return kinds[i];
    return NULL;
}

struct framing *
framing_new(const struct framing_options *options)
{
    const struct framing_kind *kind = find_kind(options->name);

    if (kind == NULL || options->mtu < MTU_MIN || options->mtu > kind->traits.mtu_max) {
        errno = EINVAL;
        return NULL;
    }
    struct framing *framing = calloc(1, sizeof *framing + options->mtu + FRAMING_SLACK);
    if (framing == NULL)
        return NULL;
    framing->kind = kind;
    framing->options = *options;
    framing->options.name = kind->traits.name;
    framing->mtu = options->mtu;
    if (kind->state_size > 0)
        framing->state = calloc(1, kind->state_size);
    if (kind->state_size > 0 && framing->state == NULL) {
        free(framing);
        return NULL;
    }
    return framing;
}

void
framing_free(struct framing *framing)
{
    if (framing == NULL)
        return;
    free(framing->state);
    free(framing);
}

const char *const *
framing_names(void)
{
    static const char *names[KIND_COUNT + 1];

    for (size_t i = 0; i < KIND_COUNT; i++)
        names[i] = kinds[i]->traits.name;
    return names;
}

const struct framing_traits *
framing_traits_of(const char *name)
{
    const struct framing_kind *kind = find_kind(name);

    return kind != NULL ? &kind->traits : NULL;
}

const struct framing_traits *
framing_traits(const struct framing *framing)
{
    return &framing->kind->traits;
}

void
framing_message(struct framing *framing, const struct framing_event *message, size_t frame_len,
                framing_deliver *deliver, void *ctx)
{
    struct dm_span octets = message->octets;
    size_t total;

    if (octets.len > framing->mtu)
        framing->counters.rx_oversize++;
    if (octets.len > framing->mtu ||
        mqttsn_measure(octets.data, octets.len, framing->mtu, &total) != DM_OK ||
        total != octets.len) {
        framing->counters.rx_garbage += frame_len;
        return;
    }
    framing->counters.rx_frames++;
    deliver(ctx, message);
}

void
framing_reply(struct dm_span frame, framing_deliver *deliver, void *ctx)
{
    deliver(ctx, &(struct framing_event){.type = FRAMING_REPLY, .octets = frame});
}

static void
end_at_gap(struct framing *framing)
{
    if (framing->used > 0) {
        framing->counters.rx_gap_resets++;
        framing->counters.rx_garbage += framing->frame_len > 0 ? framing->frame_len : framing->used;
    }
    framing_reset(framing);
}

void
framing_feed(struct framing *framing, const uint8_t *octets, size_t len, uint64_t now_ms,
             framing_deliver *deliver, void *ctx)
{
    if (len == 0)
        return;
    if (framing->kind->uses_gap && framing->options.gap_ms != 0 &&
        now_ms - framing->fed_ms > framing->options.gap_ms)
        end_at_gap(framing);
    framing->fed_ms = now_ms;
    framing->kind->feed(framing, octets, len, deliver, ctx);
}

void
framing_reset(struct framing *framing)
{
    framing->start = 0;
    framing->used = 0;
    framing->skip = 0;
    framing->trailer = 0;
    framing->frame_len = 0;
    framing->escaped = false;
    framing->discarding = false;
}

size_t
framing_encoded_max(const struct framing *framing, size_t len)
{
    return framing->kind->encoded_max(len);
}

enum dm_result
framing_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
               size_t size, size_t *written)
{
    if (frame->message.len > framing->mtu ||
        (frame->node.len > 0 && frame->node.len != framing->kind->traits.node_len))
        return DM_INVALID;
    return framing->kind->encode(framing, frame, buffer, size, written);
}

void
framing_hello(struct framing *framing, framing_deliver *deliver, void *ctx)
{
    if (framing->kind->hello != NULL)
        framing->kind->hello(framing, deliver, ctx);
}

enum dm_result
framing_pair(struct framing *framing, bool on, framing_deliver *deliver, void *ctx)
{
    if (framing->kind->pair == NULL)
        return DM_UNSUPPORTED;
    framing->kind->pair(framing, on, deliver, ctx);
    return DM_OK;
}

void
framing_expect(struct framing *framing, struct dm_span node)
{
    if (framing->kind->expect != NULL && node.len == framing->kind->traits.node_len)
        framing->kind->expect(framing, node);
}

const struct framing_counters *
framing_counters(const struct framing *framing)
{
    return &framing->counters;
}
