/* SPDX-License-Identifier: Apache-2.0 */
/* The table of framings, and what is the same for each of them. */
#include <dormouse/framing.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "framing_private.h"

#define MTU_MIN 2u
#define MTU_MAX 65535u

/* Entry i of one table belongs to entry i of the other. */
static const char *const names[] = {"raw", "slip", NULL};
static const struct framing_kind *const kinds[] = {&framing_raw, &framing_slip};
_Static_assert(sizeof names / sizeof names[0] == sizeof kinds / sizeof kinds[0] + 1,
               "every framing has a name");

static const struct framing_kind *
find_kind(const char *name)
{
    for (size_t i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0)
            return kinds[i];
    return NULL;
}

struct framing *
framing_new(const char *name, size_t mtu, unsigned gap_ms)
{
    const struct framing_kind *kind = find_kind(name);

    if (kind == NULL || mtu < MTU_MIN || mtu > MTU_MAX) {
        errno = EINVAL;
        return NULL;
    }
    struct framing *framing = calloc(1, sizeof *framing + mtu + FRAMING_SLACK);
    if (framing == NULL)
        return NULL;
    framing->kind = kind;
    framing->mtu = mtu;
    framing->gap_ms = gap_ms;
    return framing;
}

void
framing_free(struct framing *framing)
{
    free(framing);
}

const char *const *
framing_names(void)
{
    return names;
}

static void
end_at_gap(struct framing *framing)
{
    if (framing->used > 0) {
        framing->counters.rx_gap_resets++;
        framing->counters.rx_garbage += framing->used;
    }
    framing_reset(framing);
}

void
framing_feed(struct framing *framing, const uint8_t *octets, size_t len, uint64_t now_ms,
             framing_deliver *deliver, void *ctx)
{
    if (len == 0)
        return;
    if (framing->kind->uses_gap && framing->gap_ms != 0 &&
        now_ms - framing->fed_ms > framing->gap_ms)
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
    framing->escaped = false;
    framing->discarding = false;
}

size_t
framing_encoded_max(const struct framing *framing, size_t len)
{
    return framing->kind->encoded_max(len);
}

enum dm_result
framing_encode(const struct framing *framing, const uint8_t *message, size_t len, uint8_t *buffer,
               size_t size, size_t *written)
{
    if (len > framing->mtu)
        return DM_INVALID;
    return framing->kind->encode(message, len, buffer, size, written);
}

const struct framing_counters *
framing_counters(const struct framing *framing)
{
    return &framing->counters;
}
