/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's time: milliseconds that go on over restarts, in which messages expire (design.md
 * section 3). A Raspberry Pi has no clock that runs while it is off, so its wall clock counts only
 * once it is synchronised; until then the time since the last record stands still.
 */
#ifndef DORMOUSE_CLOCK_H
#define DORMOUSE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

#define CLOCK_BOOT_ID_SIZE 40 /* of /proc/sys/kernel/random/boot_id, with NUL */

/* What the machine's clocks say now. */
struct clock_reading {
    uint64_t boot_ms; /* CLOCK_BOOTTIME */
    uint64_t wall_ms; /* since 1970; 0: not synchronised, or not known to be */
};

struct clock {
    char boot_id[CLOCK_BOOT_ID_SIZE]; /* of this boot */
    int64_t offset_ms;                /* gateway time - CLOCK_BOOTTIME */
    bool settled; /* the offset is final; false: the time off is not known yet */
    uint64_t recorded_gateway_ms, recorded_wall_ms;
};

/* Time begins at CLOCK_BOOTTIME where nothing is recorded. `boot_id` is copied. */
void clock_init(struct clock *clock, const char *boot_id);
/* Goes on from the row of an earlier process. */
void clock_resume(struct clock *clock, const struct store_record *row, struct clock_reading now);
/* If the time off is known now, takes it into account. True: the offset has changed. */
bool clock_settle(struct clock *clock, struct clock_reading now);
/* Completes the row: of the engine's record it needs clock.gateway_ms. Borrows the clock. */
void clock_fill(const struct clock *clock, struct store_record *row, struct clock_reading now);

#endif
