/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's time over restarts and reboots. */
#include "clock.h"

#include <stdio.h>
#include <string.h>

void
clock_init(struct clock *clock, const char *boot_id)
{
    *clock = (struct clock){.settled = true};
    snprintf(clock->boot_id, sizeof clock->boot_id, "%s", boot_id);
}

void
clock_resume(struct clock *clock, const struct store_record *row, struct clock_reading now)
{
    if (clock->boot_id[0] != '\0' && dm_span_equal(row->name, dm_span_text(clock->boot_id))) {
        clock->offset_ms = (int64_t)row->clock.gateway_ms - (int64_t)row->clock.boot_ms;
        clock->settled = true;
        return;
    }
    /* Another boot: how long the machine was off is the wall clock's to say. */
    clock->recorded_gateway_ms = row->clock.gateway_ms;
    clock->recorded_wall_ms = row->clock.wall_ms;
    clock->offset_ms = (int64_t)row->clock.gateway_ms - (int64_t)now.boot_ms;
    clock->settled = row->clock.wall_ms == 0;
    clock_settle(clock, now);
}

bool
clock_settle(struct clock *clock, struct clock_reading now)
{
    if (clock->settled || now.wall_ms == 0)
        return false;
    clock->settled = true;
    if (now.wall_ms <= clock->recorded_wall_ms)
        return false;
    uint64_t gateway_ms = clock->recorded_gateway_ms + (now.wall_ms - clock->recorded_wall_ms);
    int64_t offset_ms = (int64_t)gateway_ms - (int64_t)now.boot_ms;

    if (offset_ms <= clock->offset_ms) /* time never goes back */
        return false;
    clock->offset_ms = offset_ms;
    return true;
}

void
clock_fill(const struct clock *clock, struct store_record *row, struct clock_reading now)
{
    row->name = dm_span_text(clock->boot_id);
    row->clock.boot_ms = now.boot_ms;
    row->clock.wall_ms = now.wall_ms;
}
