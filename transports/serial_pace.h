/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the next frame may leave. A port keeps its own clock of the line, octets times bits by baud:
 * what the kernel has taken is not what has left, and a pseudo terminal tells nothing at all.
 * Frames are handed over a little before the line is free, so that it stays busy, and not earlier,
 * so that urgent ones need not wait behind many others. All times in microseconds of any monotonic
 * clock.
 */
#ifndef DORMOUSE_SERIAL_PACE_H
#define DORMOUSE_SERIAL_PACE_H

#include <stddef.h>
#include <stdint.h>

struct serial_pace_options {
    uint32_t baud;
    uint8_t bits;           /* of one octet on the line, start and stop included */
    uint64_t gap_us;        /* idle between two frames */
    uint64_t turnaround_us; /* idle between the last octet heard and the next frame */
    uint32_t rate;       /* octets in a second, on the average of two frames; 0: as the line goes */
    uint32_t air_rate;   /* octets in a second that the radio sends */
    double duty_percent; /* how much of the time it may send; 100: always */
};

struct serial_pace {
    struct serial_pace_options options;
    uint64_t busy_until_us; /* the line has sent what was handed over */
    uint64_t free_at_us;    /* rate and duty cycle */
    uint64_t heard_us;      /* 0: nothing yet */
};

void serial_pace_init(struct serial_pace *pace, const struct serial_pace_options *options);
/* The port was opened again: the line is idle, but the air may not be free yet. */
void serial_pace_reset(struct serial_pace *pace);
/* When the next frame may be handed over; not later than now_us: at once. */
uint64_t serial_pace_next(const struct serial_pace *pace);
/* A frame was handed over. */
void serial_pace_sent(struct serial_pace *pace, uint64_t now_us, size_t octets);
void serial_pace_heard(struct serial_pace *pace, uint64_t now_us);
/* The kernel still has so many octets: flow control may have stopped the line. */
void serial_pace_waiting(struct serial_pace *pace, uint64_t now_us, size_t octets);

#endif
