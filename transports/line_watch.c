/* SPDX-License-Identifier: Apache-2.0 */
/* Counts garbage since the last valid frame of a serial line. */
#include "line_watch.h"

void
line_watch_init(struct line_watch *watch, const struct framing_counters *counters)
{
    *watch = (struct line_watch){.frames = counters->rx_frames, .garbage = counters->rx_garbage};
}

bool
line_watch_check(struct line_watch *watch, const struct framing_counters *counters, uint64_t now_ms)
{
    if (counters->rx_frames != watch->frames) {
        watch->frames = counters->rx_frames;
        watch->garbage = counters->rx_garbage;
        watch->dirty = false;
        return false;
    }
    if (counters->rx_garbage == watch->garbage)
        return false;
    if (!watch->dirty) {
        watch->dirty = true;
        watch->since_ms = now_ms;
    }
    if (watch->told || counters->rx_garbage - watch->garbage <= LINE_WATCH_GARBAGE ||
        now_ms - watch->since_ms < LINE_WATCH_MS)
        return false;
    watch->told = true;
    return true;
}
