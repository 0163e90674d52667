/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of a line, the idle times a radio asks for, and how much it may send. */
#include "serial_pace.h"

#include <string.h>

#define SECOND_US UINT64_C(1000000)
/* So much of what is handed over may still be under way: more than an event loop is late, less than
 * a device waits. */
#define LEAD_US UINT64_C(20000)

void
serial_pace_init(struct serial_pace *pace, const struct serial_pace_options *options)
{
    memset(pace, 0, sizeof *pace);
    pace->options = *options;
}

void
serial_pace_reset(struct serial_pace *pace)
{
    pace->busy_until_us = 0;
    pace->heard_us = 0;
}

static uint64_t
later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t
line_us(const struct serial_pace *pace, size_t octets)
{
    return octets * pace->options.bits * SECOND_US / pace->options.baud;
}

uint64_t
serial_pace_next(const struct serial_pace *pace)
{
    const struct serial_pace_options *o = &pace->options;
    uint64_t at = pace->free_at_us;

    if (o->gap_us > 0)
        at = later(at, pace->busy_until_us > 0 ? pace->busy_until_us + o->gap_us : 0);
    else if (pace->busy_until_us > LEAD_US)
        at = later(at, pace->busy_until_us - LEAD_US);
    if (o->turnaround_us > 0 && pace->heard_us > 0)
        at = later(at, pace->heard_us + o->turnaround_us);
    return at;
}

void
serial_pace_sent(struct serial_pace *pace, uint64_t now_us, size_t octets)
{
    const struct serial_pace_options *o = &pace->options;
    uint64_t start = later(now_us, pace->busy_until_us);

    pace->busy_until_us = start + line_us(pace, octets);
    if (o->rate > 0)
        pace->free_at_us = later(pace->free_at_us, start + octets * SECOND_US / o->rate);
    if (o->duty_percent < 100 && o->air_rate > 0) {
        double air_us = (double)(octets * SECOND_US) / o->air_rate;

        pace->free_at_us =
            later(pace->free_at_us, start + (uint64_t)(air_us * 100 / o->duty_percent));
    }
}

void
serial_pace_heard(struct serial_pace *pace, uint64_t now_us)
{
    pace->heard_us = now_us;
}

void
serial_pace_waiting(struct serial_pace *pace, uint64_t now_us, size_t octets)
{
    if (octets > 0) /* else the line has been idle since busy_until_us, and the gap is running */
        pace->busy_until_us = later(pace->busy_until_us, now_us + line_us(pace, octets));
}
