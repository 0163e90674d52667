/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated world: a virtual clock, a queue of what is going to happen, and the parts between
 * which it happens. The gateway in it is the real runner with the real engine and codecs; all else
 * is simulated. One seed is one world: the same seed gives the same life, to the last octet.
 *   world.c    clock, queue, steps, misfortunes
 *   weather.c  what a seed is like
 *   gateway.c  the life of the runner: start, crash, orderly restart
 *   radio.c    the links: loss, duplicates, delay, reordering, outage, full queues
 *   device*.c  the devices, each around the real client of libmqttsn
 *   stranger.c somebody who sends nonsense
 *   broker*.c  the broker and the connection to it
 *   disk.c     the store: late commits, failures, SQLite
 *   oracle*.c  what must hold
 */
#ifndef DORMOUSE_SIM_WORLD_H
#define DORMOUSE_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker.h"
#include "device.h"
#include "disk.h"
#include "gateway.h"
#include "oracle.h"
#include "radio.h"
#include "random.h"
#include "stranger.h"
#include "weather.h"

enum event_type {
    EVENT_TO_GATEWAY, /* a datagram; `where` it comes from */
    EVENT_TO_DEVICE,  /* a datagram; `where` it goes */
    EVENT_TO_BROKER,  /* an MQTT packet; `tag`: connection */
    EVENT_TO_RUNNER,  /* an MQTT packet; `tag`: connection */
    EVENT_THINK,      /* device `where` considers what to do */
    EVENT_PUBLISH,    /* somebody publishes at the broker */
    EVENT_CHAOS,      /* a misfortune is due */
    EVENT_NONSENSE,   /* a stranger sends something */
    EVENT_COMMIT,     /* the disk has finished a batch; `tag`: life of the gateway */
    EVENT_COMMITTED,  /* the loop hears of it; `tag`: life of the gateway */
    EVENT_LINK_UP,    /* link `where` */
    EVENT_ROOM,       /* link `where` takes messages again */
    EVENT_BROKER_UP,
    EVENT_START,     /* of the gateway */
    EVENT_DIAL,      /* the gateway tries the broker; `tag`: life of the gateway */
    EVENT_CONNECTED, /* CONNACK arrives; `tag`: connection */
    EVENT_CUT,       /* the gateway notices that the connection is gone; `tag`: connection */
};

struct event {
    uint64_t at_ms;
    uint64_t serial; /* of events at the same time the older comes first */
    enum event_type type;
    uint32_t where;
    uint32_t tag;
    size_t len;
    uint8_t *data; /* owned */
};

/* What a run has seen, summed over seeds. */
struct tally {
    uint64_t seeds, steps, simulated_ms, jumps;
    uint64_t crashes, orderly, sqlite_restarts;
    uint64_t up[3], down[3]; /* messages by QoS: acknowledged to devices; given to applications */
    uint64_t repeated_up, repeated_down; /* QoS 1 that came twice */
    uint64_t dropped[ENGINE_DROP_COUNT];
    uint64_t wills, sleeps, session_losses, disk_failures;
    uint64_t datagrams, lost;
};

struct trace; /* lines for a person */

struct world {
    uint64_t seed;
    struct random_source random;
    struct weather weather;
    uint64_t now_ms, start_ms;
    uint64_t step, steps;
    bool calm;            /* no misfortune any more: the end of a life */
    struct event *events; /* a binary heap */
    size_t event_count, event_room;
    uint64_t serial;
    bool failed;
    char fault[400];     /* the promise that is broken, and how it shows */
    struct trace *trace; /* NULL: none */
    struct tally *tally;

    struct sim_gateway gateway;
    struct radio radio;
    struct broker broker;
    struct disk disk;
    struct device devices[SIM_DEVICES_MAX];
    struct oracle oracle;
};

/* One life of `steps` steps and its settlement. False: a promise is broken, see `fault`. */
bool world_live(struct world *w, uint64_t seed, uint64_t steps, unsigned without,
                struct tally *tally, struct trace *trace);

/* `data` is copied. */
void world_push(struct world *w, uint64_t delay_ms, const struct event *event);
unsigned world_below(struct world *w, unsigned limit);           /* 0..limit-1; limit 0: 0 */
unsigned world_between(struct world *w, unsigned a, unsigned b); /* both included */
bool world_one_in(struct world *w, unsigned n);                  /* n 0: never */
/* Something bad that happens `per_mille` times in a thousand; not in calm times. */
bool world_misfortune(struct world *w, unsigned per_mille);

/* A promise is broken; the first one counts. The world ends after this step. */
void world_fail(struct world *w, const char *promise, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line of the trace. Costs nothing without one. */
#define world_trace(w, ...)                                                                        \
    do {                                                                                           \
        if ((w)->trace != NULL)                                                                    \
            trace_line((w)->trace, (w)->step, (w)->now_ms - (w)->start_ms, __VA_ARGS__);           \
    } while (0)

/* The end of a life (settle.c): all misfortune stops, all devices come back, all debts are paid. */
void world_settle(struct world *w);
/* One event, the deadlines that are due by then, the checks. False: nothing is going to happen. */
bool world_step(struct world *w);

/* trace.c: all lines (`stream`), or the last ones only. */
struct trace *trace_new(bool stream);
void trace_free(struct trace *trace);
void trace_line(struct trace *trace, uint64_t step, uint64_t ms, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void trace_print_last(const struct trace *trace);

#endif
