/* SPDX-License-Identifier: Apache-2.0 */
/* The own connections and what they are made of. Nothing outside own*.c includes it. */
#ifndef DORMOUSE_OWN_PRIVATE_H
#define DORMOUSE_OWN_PRIVATE_H

#include "own_pool.h"
#include "own_gate.h"
#include "pointer_index.h"

/* What is left for the next turn of the loop: an upstream must not be freed from inside its own
 * calls, nor the engine be called from inside its effects. */
enum {
    OWN_TODO_TELL = 1,   /* that the broker cannot be reached now, or that it has to wait */
    OWN_TODO_CHANGE = 2, /* to other options */
    OWN_TODO_CLOSE = 4,
};

/* Of one device. */
struct own_slot {
    struct own_pool *pool;
    uint64_t number;
    struct upstream *upstream; /* NULL: parked */
    bool placed;               /* has one of the places */
    enum own_state state;
    unsigned todo;
    bool queued;    /* waits for the gate */
    bool under_way; /* holds a place in it */
    bool clean_start;
    bool wipe;     /* the session at the broker is to be ended; with OWN_TODO_CLOSE: afterwards */
    bool abrupt;   /* no DISCONNECT */
    size_t broker; /* of the attempt */
    struct own_slot *prev, *next; /* in the queue, or among the parked */
    struct own_slot *todo_prev, *todo_next;
    char *client_id;
    char *will_topic; /* NULL: no will */
    struct dm_span will_payload;
    uint8_t will_qos;
    bool will_retain;
};

struct own_pool {
    struct event_base *base;
    struct runner_own_events events;
    const struct own_options *options;
    struct pointer_index open;  /* by number */
    struct pointer_index wipes; /* by number, too */
    size_t places;              /* taken by `open`, of options->maximum */
    struct own_slot *queue, *parked, *todo;
    struct own_gate gate;
    struct event *turn; /* does what is to do */
    struct event *gate_timer;
    uint64_t connects, failures, refusals, take_overs;
    char error[160];
};

/* NULL: no memory. */
struct own_slot *own_slot_new(struct own_pool *pool, uint64_t number, struct dm_span client_id);
void own_slot_free(struct own_slot *slot);
/* Copies the will. */
enum dm_result own_slot_set_will(struct own_slot *slot, const struct engine_open *open);
/* Borrowed from slot and options. */
struct upstream_options own_slot_options(const struct own_slot *slot);

/* An upstream calls these. */
struct upstream_events own_slot_events(struct own_slot *slot);

void own_pool_do_later(struct own_slot *slot, unsigned todo);
/* It is wiped, or need not be any more. */
void own_pool_end_wipe(struct own_slot *slot);
/* Gives up its place in queue and gate. */
void own_pool_leave_line(struct own_slot *slot);
/* Gives up its place among options->maximum, if it has one. */
void own_pool_leave_place(struct own_slot *slot);
/* It takes its place in the gate. */
void own_pool_begin(struct own_slot *slot);
/* Lets those in the queue begin that may. */
void own_pool_advance(struct own_pool *pool);

#endif
