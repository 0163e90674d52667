/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fewer reads of a busy connection, as network cards do it with their interrupts. A broker sends
 * each packet by itself, and to be woken for each costs more than the packet does. So while packets
 * come fast, they are left for a moment, and read together. Who sends little, or waits for answers
 * before it sends more, does not notice.
 */
#ifndef DORMOUSE_UPSTREAM_COALESCE_H
#define DORMOUSE_UPSTREAM_COALESCE_H

#include <stdbool.h>
#include <stdint.h>

#define COALESCE_PAUSE_US 250     /* the longest that a packet is left */
#define COALESCE_PACKETS 12       /* in that time: fewer are not worth a pause */
#define COALESCE_READS 3          /* that brought them: fewer need no pause */
#define COALESCE_BACKOFF_US 16000 /* at most, after pauses that were not worth it */

/* Of one connection. All zero: nothing was read. */
struct coalescing {
    uint64_t since_us; /* reads and packets are counted, for at most the time of a pause */
    uint64_t packets;
    unsigned reads;
    bool paused;         /* before the last read, if nothing failed */
    uint64_t next_us;    /* no pause earlier */
    uint64_t backoff_us; /* the next one; doubles each time until a pause is worth it */
};

/* A read brought so many packets. True: what comes now is to be left for COALESCE_PAUSE_US. */
bool coalesce_after_read(struct coalescing *coalescing, uint64_t now_us, uint64_t packets);

#endif
