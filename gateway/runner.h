/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner: the only place that executes the engine's effects. It talks to the transport, store
 * and upstream contracts alone, so that a simulator can run the same code. Effects that make a
 * promise are held until the journal number they depend on is durable (design.md section 3).
 */
#ifndef DORMOUSE_RUNNER_H
#define DORMOUSE_RUNNER_H

#include <dormouse/transport.h>

#include "engine_inspect.h"
#include "store.h"
#include "upstream.h"

struct runner;

struct runner_options {
    const struct engine_options *engine; /* borrowed for the life of the runner */
    void *ctx;
    uint64_t (*now_ms)(void *ctx); /* CLOCK_BOOTTIME, or virtual */
    const char *boot_id;           /* tells one boot from another; copied; NULL: not known */
    /* The wall clock since 1970; 0: not synchronised. NULL: never is. */
    uint64_t (*wall_ms)(void *ctx);
    /* After every turn: when runner_time wants to be called; ENGINE_NEVER = not needed. */
    void (*arm)(void *ctx, uint64_t deadline_ms);
    /* At the first input of a turn: runner_end_turn has to be called before the loop waits. NULL:
     * every input is a turn of its own. */
    void (*turn_begins)(void *ctx);
};

struct runner_status {
    uint64_t malformed, unsupported; /* datagrams the codec refused */
    uint64_t held, held_octets;      /* effects that wait for the disk */
    uint64_t held_dropped;           /* answers beyond the bound; the device repeats */
};

/* NULL: no memory. */
struct runner *runner_new(const struct runner_options *options);
void runner_free(struct runner *runner);

/* Own connections of devices, by number: what ENGINE_OPEN, ENGINE_CLOSE and ENGINE_UPSTREAM ask for
 * (see engine.h). None may call the runner. */
struct runner_own {
    void *ctx;
    void (*open)(void *ctx, uint64_t connection, const struct engine_open *open);
    void (*close)(void *ctx, uint64_t connection, const struct engine_close *close);
    /* As upstream_ops.send. */
    enum dm_result (*send)(void *ctx, uint64_t connection, const struct mqtt_packet *packet);
};

/* What the runner is to be told of them; see engine.h. Not from inside struct runner_own. */
struct runner_own_events {
    void *ctx;
    void (*on_connected)(void *ctx, uint64_t connection, const struct upstream_session *session);
    void (*on_disconnected)(void *ctx, uint64_t connection, enum upstream_end why);
    void (*on_packet)(void *ctx, uint64_t connection, const struct mqtt_packet *packet);
    void (*on_wiped)(void *ctx, uint64_t connection);
};

/* The listeners to give to transports, store and upstream. */
struct transport_listener runner_transport_listener(struct runner *runner);
struct store_events runner_store_events(struct runner *runner);
struct upstream_events runner_upstream_events(struct runner *runner);
struct runner_own_events runner_own_events(struct runner *runner);

/* The parts, all borrowed. transports[i]->link must be i. Before runner_load. */
void runner_set_transports(struct runner *runner, struct transport *const *transports,
                           size_t count);
/* For store_sqlite_open's visit. A row that makes no sense is logged and left out. */
enum dm_result runner_load(void *runner, const struct store_record *record);
void runner_set_store(struct runner *runner, struct store *store);
/* NULL while there is none. */
void runner_set_upstream(struct runner *runner, struct upstream *upstream);
/* Before runner_start; NULL while there is none. */
void runner_set_own(struct runner *runner, const struct runner_own *own);

void runner_start(struct runner *runner);
void runner_time(struct runner *runner);
/* The records of the turn go to the writer, the timer is set anew. */
void runner_end_turn(struct runner *runner);
/* An orderly end begins: what is in memory only is recorded, and no new work is taken: neither
 * messages of devices nor publications of the broker. What is held still leaves once it may. */
void runner_shutdown(struct runner *runner);
enum dm_result runner_forget(struct runner *runner, struct dm_span client_id);
/* See engine.h. */
enum dm_result runner_disconnect(struct runner *runner, struct dm_span client_id);
enum dm_result runner_drop_queue(struct runner *runner, struct dm_span client_id, size_t *dropped,
                                 size_t *kept);

/* See engine_inspect.h. */
bool runner_tell_changes(struct runner *runner, const struct engine_change_pace *pace,
                         engine_visit_change *visit, void *ctx);
void runner_change_all(struct runner *runner);
bool runner_forgot_ends(struct runner *runner);
enum dm_result runner_remember_contact(struct runner *runner, struct dm_span client_id,
                                       uint64_t contact_ms);

/* See engine.h; borrowed from now on instead of the former ones. */
void runner_reconfigure(struct runner *runner, const struct engine_options *options);

/* A packet that came or is sent; borrowed during the call, which must not call the runner.
 * `held`: it leaves when its promise is on disk, unless it is withdrawn before. */
struct runner_traced {
    bool to_device;
    bool held;
    const struct dm_address *address;
    const struct mqttsn_packet *packet;
};
typedef void runner_trace(void *ctx, const struct runner_traced *traced);
/* NULL: nobody wants to know. */
void runner_set_trace(struct runner *runner, runner_trace *trace, void *ctx);

const struct engine *runner_engine(const struct runner *runner);
void runner_status(const struct runner *runner, struct runner_status *status);

#endif
