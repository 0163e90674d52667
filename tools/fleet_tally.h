/* SPDX-License-Identifier: Apache-2.0 */
/* What dormouse fleet counts: messages by QoS, how long they took, what was lost or came twice. */
#ifndef DORMOUSE_TOOLS_FLEET_TALLY_H
#define DORMOUSE_TOOLS_FLEET_TALLY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define FLEET_WINDOW 64    /* messages of one device that may be under way */
#define FLEET_STEPS 32     /* of a histogram in each doubling: 3 % */
#define FLEET_DOUBLINGS 40 /* microseconds: up to 12 days */

/* Times in microseconds. The error of a percentile is below 1 / FLEET_STEPS. Zeroed: empty. */
struct fleet_times {
    uint64_t buckets[FLEET_DOUBLINGS * FLEET_STEPS];
    uint64_t count;
    uint64_t max_us;
};

void fleet_times_add(struct fleet_times *times, uint64_t us);
/* At least `percent` (1..100) of the times are not above it; 0 if there are none. */
uint64_t fleet_times_percentile(const struct fleet_times *times, unsigned percent);

struct fleet_messages {
    uint64_t sent;
    uint64_t acknowledged;      /* QoS 1 and 2 */
    uint64_t received;          /* came back; repeats are not counted */
    uint64_t lost;              /* acknowledged and did not come back; QoS 0: did not come back */
    uint64_t twice;             /* repeats that came back */
    uint64_t refused;           /* by the gateway, congestion for example */
    uint64_t unanswered;        /* neither acknowledged nor came back: nothing was promised */
    uint64_t open;              /* under way when the user did not want to wait any longer */
    struct fleet_times latency; /* publish to return */
};

/* Zeroed: nothing counted. */
struct fleet_tally {
    struct fleet_messages qos[3];
    struct fleet_times awake; /* PINGREQ to PINGRESP */
    uint64_t connects;        /* accepted */
    uint64_t connects_refused;
    uint64_t connects_unanswered;
    uint64_t disconnected; /* by the gateway, or it was silent */
    uint64_t skipped;      /* not sent: the device was still busy at its next period */
};

struct fleet_message {
    uint32_t number; /* 0: free */
    bool acknowledged;
    bool refused;
    bool returned;
    uint64_t sent_us;
};

/* The messages of one device, all with one QoS. Zeroed but for tally and qos: none. */
struct fleet_window {
    struct fleet_tally *tally; /* borrowed */
    unsigned qos;              /* 0..2 */
    uint32_t last_number;
    struct fleet_message messages[FLEET_WINDOW];
};

/* Counts a new message and returns its number. One that was sent FLEET_WINDOW messages before is
 * settled. */
uint32_t fleet_window_sent(struct fleet_window *window, uint64_t now_us);
/* The outcome of the newest message. */
void fleet_window_acknowledged(struct fleet_window *window);
void fleet_window_refused(struct fleet_window *window);
void fleet_window_returned(struct fleet_window *window, uint32_t number, uint64_t now_us);

/* Acknowledged messages that have not come back. */
unsigned fleet_window_owed(const struct fleet_window *window);
/* The same, and those of QoS 0. */
unsigned fleet_window_missing(const struct fleet_window *window);

/* Counts what has not come back as lost or unanswered; `waited` false: as open. */
void fleet_window_settle(struct fleet_window *window, bool waited);
/* A clean session began: nothing is owed from before. What is missing counts as unanswered. */
void fleet_window_void(struct fleet_window *window);

/* Something acknowledged was lost, or QoS 2 came twice. */
bool fleet_tally_is_bad(const struct fleet_tally *tally);

struct fleet_summary {
    unsigned devices;
    uint64_t elapsed_ms;
    uint64_t seed;
};

void fleet_tally_print(const struct fleet_tally *tally, const struct fleet_summary *summary,
                       FILE *out);
void fleet_tally_print_json(const struct fleet_tally *tally, const struct fleet_summary *summary,
                            FILE *out);

#endif
