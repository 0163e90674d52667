/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The own connections: one to the broker for each device of `upstream = own`, known
 * by the number that the engine gives it, never 0. What they say and acknowledge is the engine's;
 * when they connect is decided here, so that thousands of them do not do it at once.
 */
#ifndef DORMOUSE_OWN_POOL_H
#define DORMOUSE_OWN_POOL_H

#include "runner.h"

enum own_state {
    OWN_WAITING, /* for its turn, or for another attempt */
    OWN_CONNECTING,
    OWN_CONNECTED,
    OWN_REFUSED, /* by the broker, until the device comes again */
    OWN_TAKEN_OVER,
    OWN_PARKED, /* there are as many as there may be */
    OWN_STATE_COUNT,
};

struct own_status {
    size_t connections[OWN_STATE_COUNT];
    size_t wipes;      /* sessions at the broker that are still to be ended */
    size_t maximum;    /* connections at once */
    uint64_t connects; /* successful ones */
    uint64_t failures; /* attempts that were not */
    uint64_t refusals, take_overs;
    char error[160]; /* why the broker could not be reached; empty if it could */
};

/* Of one of them. */
struct own_connection_status {
    enum own_state state;
    char error[160]; /* why the last attempt or connection ended; empty if it did not */
};

struct own_pool;

/* Borrowed until own_reconfigure or own_free. */
struct own_options {
    struct upstream_options upstream; /* but client id, credentials and will */
    size_t maximum;                   /* connections at once */
    void *ctx;
    /* The credentials of a device, NULL for none. */
    void (*credentials)(void *ctx, struct dm_span client_id, const char **username,
                        const char **password);
};

/* NULL: no memory. */
struct own_pool *own_pool_new(struct event_base *base, const struct own_options *options,
                              const struct runner_own_events *events);
/* Sends nothing and calls nobody before the loop runs. */
struct runner_own own_pool_for_runner(struct own_pool *pool);
/* Sends DISCONNECT on all connections and waits for nothing. Calls no event. */
void own_pool_free(struct own_pool *pool);

/* Other options, with the same brokers: connections that are not as they say connect anew.
 * Those that were refused or taken over take them when they are opened again. */
void own_pool_reconfigure(struct own_pool *pool, const struct own_options *options);
/* The broker of this number can be reached again: no need to wait before the next attempts, and
 * what was cut short until now was its end. */
void own_pool_broker_back(struct own_pool *pool, size_t broker);

void own_pool_status(const struct own_pool *pool, struct own_status *status);
/* DM_NOT_FOUND. */
enum dm_result own_pool_connection_status(const struct own_pool *pool, uint64_t connection,
                                          struct own_connection_status *status);

/* Raises the limit of open files to what `connections` need beside all else. Less: so many may be
 * open at once; the log tells why. */
size_t own_raise_file_limit(size_t connections);

#endif
