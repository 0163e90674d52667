/* SPDX-License-Identifier: Apache-2.0 */
/* The own connections: which there are, and what is done with them from turn to turn. */
#include "own_pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>
#include <utlist.h>

#include <dormouse/log.h>

#include "own_private.h"

/* ---- table ---- */

static uint32_t
hash_number(uint64_t number)
{
    return pointer_index_hash(0, &number, sizeof number);
}

static uint32_t
hash_slot(const void *item)
{
    return hash_number(((const struct own_slot *)item)->number);
}

static bool
has_number(const void *item, const void *key)
{
    return ((const struct own_slot *)item)->number == *(const uint64_t *)key;
}

static struct own_slot *
find(const struct pointer_index *index, uint64_t number)
{
    return pointer_index_find(index, hash_number(number), &number);
}

/* ---- turns ---- */

void
own_pool_do_later(struct own_slot *slot, unsigned todo)
{
    struct own_pool *pool = slot->pool;

    if (slot->todo == 0)
        DL_APPEND2(pool->todo, slot, todo_prev, todo_next);
    slot->todo |= todo;
    event_active(pool->turn, EV_TIMEOUT, 0);
}

void
own_pool_leave_line(struct own_slot *slot)
{
    struct own_pool *pool = slot->pool;

    if (slot->queued)
        DL_DELETE(pool->queue, slot);
    else if (slot->state == OWN_PARKED)
        DL_DELETE(pool->parked, slot);
    if (slot->under_way)
        own_gate_cancel(&pool->gate);
    slot->queued = slot->under_way = false;
    slot->state = OWN_WAITING;
}

void
own_pool_leave_place(struct own_slot *slot)
{
    struct own_pool *pool = slot->pool;

    if (!slot->placed)
        return;
    slot->placed = false;
    pool->places--;
    event_active(pool->turn, EV_TIMEOUT, 0); /* somebody else may have it */
}

void
own_pool_begin(struct own_slot *slot)
{
    slot->under_way = true;
    slot->state = OWN_CONNECTING;
    slot->broker = own_gate_enter(&slot->pool->gate);
}

void
own_pool_advance(struct own_pool *pool)
{
    while (pool->queue != NULL && pool->todo == NULL && own_gate_is_open(&pool->gate)) {
        struct own_slot *slot = pool->queue;

        DL_DELETE(pool->queue, slot);
        slot->queued = false;
        own_pool_begin(slot);
        slot->upstream->ops->attempt(slot->upstream, slot->broker);
    }
}

/* It connects when its turn comes. */
static enum dm_result
make_upstream(struct own_slot *slot)
{
    struct own_pool *pool = slot->pool;
    struct upstream_options options = own_slot_options(slot);
    struct upstream_events events = own_slot_events(slot);
    char error[160];

    slot->upstream = upstream_open(pool->base, &options, &events, error, sizeof error);
    if (slot->upstream == NULL) {
        log_error("upstream", "client %s: %s",
                  log_escape((char[128]){0}, 128, dm_span_text(slot->client_id)), error);
        return DM_NO_MEMORY;
    }
    slot->state = OWN_WAITING;
    return DM_OK;
}

static void
park(struct own_slot *slot)
{
    slot->state = OWN_PARKED;
    DL_APPEND(slot->pool->parked, slot);
    own_pool_do_later(slot, OWN_TODO_TELL);
}

static enum dm_result
take_place(struct own_slot *slot)
{
    enum dm_result result = make_upstream(slot);

    slot->placed = result == DM_OK;
    slot->pool->places += slot->placed;
    return result;
}

/* Gives it one of the places, or lets it wait for one. */
static enum dm_result
place(struct own_slot *slot)
{
    struct own_pool *pool = slot->pool;

    if (pool->places >= pool->options->maximum) {
        log_warning("upstream", "client %s: no own connection: there are %zu, see own_max",
                    log_escape((char[128]){0}, 128, dm_span_text(slot->client_id)), pool->places);
        park(slot);
        return DM_OK;
    }
    return take_place(slot);
}

static void
unpark(struct own_pool *pool)
{
    while (pool->parked != NULL && pool->places < pool->options->maximum) {
        struct own_slot *slot = pool->parked;

        own_pool_leave_line(slot);
        if (take_place(slot) != DM_OK) { /* no memory: when something else happens */
            slot->state = OWN_PARKED;
            DL_PREPEND(pool->parked, slot);
            return;
        }
    }
}

static void
drop_upstream(struct own_slot *slot)
{
    own_pool_leave_line(slot);
    if (slot->upstream != NULL)
        slot->upstream->ops->drop(slot->upstream, !slot->abrupt);
    slot->upstream = NULL;
}

/* It is not among the open ones any more. Ends it, or ends its session at the broker next. */
static void
finish_close(struct own_slot *slot)
{
    struct own_pool *pool = slot->pool;

    drop_upstream(slot);
    slot->abrupt = false;
    if (slot->wipe) {
        if (make_upstream(slot) == DM_OK)
            return; /* else the engine asks again at the next start */
        pointer_index_remove(&pool->wipes, slot);
    }
    own_slot_free(slot);
}

static void
change(struct own_slot *slot)
{
    struct own_pool *pool = slot->pool;
    struct upstream_options options = own_slot_options(slot);
    bool was_connected = slot->state == OWN_CONNECTED;

    if (slot->upstream == NULL)
        return;
    if (!slot->placed && !slot->wipe) { /* it was refused or taken over, and begins anew */
        drop_upstream(slot);
        if (place(slot) != DM_OK)
            park(slot);
        return;
    }
    if (slot->upstream->ops->reconfigure(slot->upstream, &options) != DM_OK) {
        log_error("upstream", "out of memory: a connection stays as it was");
        return;
    }
    own_pool_leave_line(slot);
    if (was_connected)
        pool->events.on_disconnected(pool->events.ctx, slot->number, UPSTREAM_LOST);
}

static void
on_turn(evutil_socket_t fd, short what, void *ctx)
{
    struct own_pool *pool = ctx;

    (void)fd;
    (void)what;
    while (pool->todo != NULL) {
        struct own_slot *slot = pool->todo;
        unsigned todo = slot->todo;

        DL_DELETE2(pool->todo, slot, todo_prev, todo_next);
        slot->todo = 0;
        if ((todo & OWN_TODO_CLOSE) != 0) {
            finish_close(slot);
            continue;
        }
        if ((todo & OWN_TODO_CHANGE) != 0)
            change(slot);
        if ((todo & OWN_TODO_TELL) != 0 && (slot->queued || slot->state == OWN_PARKED) &&
            slot->todo == 0 && !slot->wipe)
            pool->events.on_disconnected(pool->events.ctx, slot->number, UPSTREAM_LOST);
    }
    unpark(pool);
    own_pool_advance(pool);
}

static void
on_gate(evutil_socket_t fd, short what, void *ctx)
{
    struct own_pool *pool = ctx;

    (void)fd;
    (void)what;
    own_gate_reopen(&pool->gate);
    own_pool_advance(pool);
}

/* ---- what the engine asks for ---- */

void
own_pool_end_wipe(struct own_slot *slot)
{
    pointer_index_remove(&slot->pool->wipes, slot);
    slot->wipe = false;
    own_pool_do_later(slot, OWN_TODO_CLOSE);
}

/* False: no memory. */
static bool
open_new(struct own_pool *pool, uint64_t connection, const struct engine_open *open)
{
    struct own_slot *slot = own_slot_new(pool, connection, open->client_id);

    if (slot == NULL)
        return false;
    slot->clean_start = open->clean_start;
    if (own_slot_set_will(slot, open) == DM_OK && pointer_index_insert(&pool->open, slot)) {
        if (place(slot) == DM_OK)
            return true;
        pointer_index_remove(&pool->open, slot);
    }
    own_slot_free(slot);
    return false;
}

static bool
open_again(struct own_slot *slot, const struct engine_open *open)
{
    if (own_slot_set_will(slot, open) != DM_OK)
        return false;
    slot->clean_start = slot->clean_start || open->clean_start;
    own_pool_do_later(slot, OWN_TODO_CHANGE | (slot->state == OWN_PARKED ? OWN_TODO_TELL : 0));
    return true;
}

static void
on_open(void *ctx, uint64_t connection, const struct engine_open *open)
{
    struct own_pool *pool = ctx;
    struct own_slot *slot = find(&pool->open, connection);
    bool opened = slot != NULL ? open_again(slot, open) : open_new(pool, connection, open);
    char text[128];

    if (!opened)
        log_error("upstream", "client %s: out of memory for its connection",
                  log_escape(text, sizeof text, open->client_id));
}

static void
on_close(void *ctx, uint64_t connection, const struct engine_close *close)
{
    struct own_pool *pool = ctx;
    struct own_slot *slot = find(&pool->open, connection);
    struct own_slot *wiping = find(&pool->wipes, connection);

    if (slot != NULL) {
        pointer_index_remove(&pool->open, slot);
        own_pool_leave_place(slot);
    } else if (wiping != NULL && !close->wipe) { /* a new session has begun, and must not suffer */
        own_pool_end_wipe(wiping);
    } else if (wiping != NULL) {
        if (wiping->state == OWN_REFUSED || wiping->state == OWN_TAKEN_OVER)
            own_pool_do_later(wiping, OWN_TODO_CHANGE); /* connects anew */
    } else if (close->wipe) {
        slot = own_slot_new(pool, connection, close->client_id);
    }
    if (slot == NULL)
        return;
    slot->wipe = close->wipe && pointer_index_insert(&pool->wipes, slot);
    slot->abrupt = close->abrupt;
    own_pool_do_later(slot, OWN_TODO_CLOSE);
}

static enum dm_result
on_send(void *ctx, uint64_t connection, const struct mqtt_packet *packet)
{
    const struct own_pool *pool = ctx;
    const struct own_slot *slot = find(&pool->open, connection);

    return slot != NULL && slot->upstream != NULL
               ? slot->upstream->ops->send(slot->upstream, packet)
               : DM_IO;
}

struct runner_own
own_pool_for_runner(struct own_pool *pool)
{
    return (struct runner_own){.ctx = pool, .open = on_open, .close = on_close, .send = on_send};
}

/* ---- life ---- */

struct own_pool *
own_pool_new(struct event_base *base, const struct own_options *options,
             const struct runner_own_events *events)
{
    struct own_pool *pool = calloc(1, sizeof *pool);

    if (pool == NULL)
        return NULL;
    pool->base = base;
    pool->events = *events;
    pool->options = options;
    pointer_index_init(&pool->open, hash_slot, has_number);
    pointer_index_init(&pool->wipes, hash_slot, has_number);
    own_gate_init(&pool->gate, options->upstream.url_count);
    pool->turn = evtimer_new(base, on_turn, pool);
    pool->gate_timer = evtimer_new(base, on_gate, pool);
    if (pool->turn != NULL && pool->gate_timer != NULL)
        return pool;
    own_pool_free(pool);
    return NULL;
}

static void
end_all(struct pointer_index *index)
{
    struct pointer_index_place at = {0};
    struct own_slot *slot;

    while ((slot = pointer_index_next(index, &at)) != NULL) {
        drop_upstream(slot);
        own_slot_free(slot);
    }
    pointer_index_fini(index);
}

void
own_pool_free(struct own_pool *pool)
{
    struct own_slot *slot, *next;

    if (pool == NULL)
        return;
    DL_FOREACH_SAFE2 (pool->todo, slot, next, todo_next) {
        if ((slot->todo & OWN_TODO_CLOSE) == 0)
            continue; /* it is in a table */
        if (slot->wipe)
            pointer_index_remove(&pool->wipes, slot);
        DL_DELETE2(pool->todo, slot, todo_prev, todo_next);
        drop_upstream(slot);
        own_slot_free(slot);
    }
    end_all(&pool->open);
    end_all(&pool->wipes);
    if (pool->turn != NULL)
        event_free(pool->turn);
    if (pool->gate_timer != NULL)
        event_free(pool->gate_timer);
    free(pool);
}

void
own_pool_reconfigure(struct own_pool *pool, const struct own_options *options)
{
    const struct pointer_index *tables[] = {&pool->open, &pool->wipes};

    pool->options = options;
    for (size_t t = 0; t < 2; t++) {
        struct pointer_index_place at = {0};
        struct own_slot *slot;

        while ((slot = pointer_index_next(tables[t], &at)) != NULL) {
            if (slot->upstream == NULL || slot->state == OWN_REFUSED ||
                slot->state == OWN_TAKEN_OVER) /* the next OPEN takes the new ones */
                continue;
            struct upstream_options now = own_slot_options(slot);
            if (!slot->upstream->ops->has_options(slot->upstream, &now))
                own_pool_do_later(slot, OWN_TODO_CHANGE);
        }
    }
    event_active(pool->turn, EV_TIMEOUT, 0); /* there may be more places */
}

void
own_pool_broker_back(struct own_pool *pool, size_t broker)
{
    struct pointer_index_place at = {0};
    const struct own_slot *slot;

    while ((slot = pointer_index_next(&pool->open, &at)) != NULL)
        if (slot->upstream != NULL)
            slot->upstream->ops->forget_cuts(slot->upstream);
    own_gate_found(&pool->gate, broker);
    evtimer_del(pool->gate_timer);
    own_pool_advance(pool);
}

/* ---- status ---- */

void
own_pool_status(const struct own_pool *pool, struct own_status *status)
{
    struct pointer_index_place at = {0};
    const struct own_slot *slot;

    *status = (struct own_status){
        .wipes = pool->wipes.count,
        .maximum = pool->options->maximum,
        .connects = pool->connects,
        .failures = pool->failures,
        .refusals = pool->refusals,
        .take_overs = pool->take_overs,
    };
    memcpy(status->error, pool->error, sizeof status->error);
    while ((slot = pointer_index_next(&pool->open, &at)) != NULL)
        status->connections[slot->state]++;
}

enum dm_result
own_pool_connection_status(const struct own_pool *pool, uint64_t connection,
                           struct own_connection_status *status)
{
    const struct own_slot *slot = find(&pool->open, connection);
    struct upstream_status upstream = {.error = ""};

    if (slot == NULL)
        return DM_NOT_FOUND;
    if (slot->upstream != NULL)
        slot->upstream->ops->status(slot->upstream, &upstream);
    *status = (struct own_connection_status){.state = slot->state};
    memcpy(status->error, upstream.error, sizeof status->error);
    return DM_OK;
}
