/* SPDX-License-Identifier: Apache-2.0 */
/* When reading a busy connection pauses, and when that does not pay. */
#include "upstream_coalesce.h"

/* One pause follows the other as long as each brings enough. */
static bool
pays(struct coalescing *coalescing, uint64_t now_us, uint64_t packets)
{
    uint64_t backoff_us = coalescing->backoff_us;

    coalescing->backoff_us = 0;
    if (packets >= COALESCE_PACKETS)
        return true;
    coalescing->next_us = now_us + backoff_us;
    backoff_us = backoff_us > 0 ? 2 * backoff_us : COALESCE_PAUSE_US;
    coalescing->backoff_us = backoff_us < COALESCE_BACKOFF_US ? backoff_us : COALESCE_BACKOFF_US;
    return false;
}

/* So many packets, in so many reads, since a time not long ago. */
static bool
is_busy(struct coalescing *coalescing, uint64_t now_us, uint64_t packets)
{
    if (now_us < coalescing->next_us)
        return false;
    if (now_us - coalescing->since_us >= COALESCE_PAUSE_US) {
        coalescing->since_us = now_us;
        coalescing->packets = coalescing->reads = 0;
    }
    coalescing->reads++;
    coalescing->packets += packets;
    return coalescing->reads >= COALESCE_READS && coalescing->packets >= COALESCE_PACKETS;
}

bool
coalesce_after_read(struct coalescing *coalescing, uint64_t now_us, uint64_t packets)
{
    coalescing->paused = coalescing->paused ? pays(coalescing, now_us, packets)
                                            : is_busy(coalescing, now_us, packets);
    return coalescing->paused;
}
