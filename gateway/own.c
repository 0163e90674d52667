/* SPDX-License-Identifier: Apache-2.0 */
/* The own connections: which there are, and what is done with them from turn to turn. */
#include "own.h"

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
own_do_later(struct own_slot *slot, unsigned todo)
{
    struct own *own = slot->own;

    if (slot->todo == 0)
        DL_APPEND2(own->todo, slot, todo_prev, todo_next);
    slot->todo |= todo;
    event_active(own->turn, EV_TIMEOUT, 0);
}

void
own_leave_line(struct own_slot *slot)
{
    struct own *own = slot->own;

    if (slot->queued)
        DL_DELETE(own->queue, slot);
    else if (slot->state == OWN_PARKED)
        DL_DELETE(own->parked, slot);
    if (slot->under_way)
        own_gate_cancel(&own->gate);
    slot->queued = slot->under_way = false;
    slot->state = OWN_WAITING;
}

void
own_begin(struct own_slot *slot)
{
    slot->under_way = true;
    slot->state = OWN_CONNECTING;
    slot->broker = own_gate_enter(&slot->own->gate);
}

void
own_advance(struct own *own)
{
    while (own->queue != NULL && own->todo == NULL && own_gate_is_open(&own->gate)) {
        struct own_slot *slot = own->queue;

        DL_DELETE(own->queue, slot);
        slot->queued = false;
        own_begin(slot);
        slot->upstream->ops->attempt(slot->upstream, slot->broker);
    }
}

/* It connects when its turn comes. */
static enum dm_result
make_upstream(struct own_slot *slot)
{
    struct own *own = slot->own;
    struct upstream_options options = own_slot_options(slot);
    struct upstream_events events = own_slot_events(slot);
    char error[160];

    slot->upstream = upstream_open(own->base, &options, &events, error, sizeof error);
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
    DL_APPEND(slot->own->parked, slot);
    own_do_later(slot, OWN_TODO_TELL);
}

/* Gives it one of the places, or lets it wait for one. */
static enum dm_result
place(struct own_slot *slot)
{
    struct own *own = slot->own;

    if (own->places >= own->options->maximum) {
        log_warning("upstream", "client %s: no own connection: there are %zu, see own_max",
                    log_escape((char[128]){0}, 128, dm_span_text(slot->client_id)), own->places);
        park(slot);
        return DM_OK;
    }
    enum dm_result result = make_upstream(slot);

    own->places += result == DM_OK;
    return result;
}

static void
unpark(struct own *own)
{
    while (own->parked != NULL && own->places < own->options->maximum) {
        struct own_slot *slot = own->parked;

        own_leave_line(slot);
        if (make_upstream(slot) != DM_OK) {
            park(slot);
            return;
        }
        own->places++;
    }
}

static void
drop_upstream(struct own_slot *slot)
{
    own_leave_line(slot);
    if (slot->upstream != NULL)
        slot->upstream->ops->drop(slot->upstream, !slot->abrupt);
    slot->upstream = NULL;
}

/* It is in no table any more. Ends it, or ends its session at the broker next. */
static void
finish_close(struct own_slot *slot)
{
    struct own *own = slot->own;

    drop_upstream(slot);
    slot->abrupt = false;
    if (slot->wipe && pointer_index_insert(&own->wipes, slot)) {
        if (make_upstream(slot) == DM_OK)
            return; /* else the engine asks again at the next start */
        pointer_index_remove(&own->wipes, slot);
    }
    own_slot_free(slot);
}

static void
change(struct own_slot *slot)
{
    struct own *own = slot->own;
    struct upstream_options options = own_slot_options(slot);
    bool was_connected = slot->state == OWN_CONNECTED;

    if (slot->upstream == NULL)
        return;
    if (slot->upstream->ops->reconfigure(slot->upstream, &options) != DM_OK) {
        log_error("upstream", "out of memory: a connection stays as it was");
        return;
    }
    own_leave_line(slot);
    if (was_connected)
        own->events.on_disconnected(own->events.ctx, slot->number, UPSTREAM_LOST);
}

static void
on_turn(evutil_socket_t fd, short what, void *ctx)
{
    struct own *own = ctx;

    (void)fd;
    (void)what;
    while (own->todo != NULL) {
        struct own_slot *slot = own->todo;
        unsigned todo = slot->todo;

        DL_DELETE2(own->todo, slot, todo_prev, todo_next);
        slot->todo = 0;
        if ((todo & OWN_TODO_CLOSE) != 0) {
            finish_close(slot);
            continue;
        }
        if ((todo & OWN_TODO_CHANGE) != 0)
            change(slot);
        if ((todo & OWN_TODO_TELL) != 0 && (slot->queued || slot->state == OWN_PARKED) &&
            slot->todo == 0 && !slot->wipe)
            own->events.on_disconnected(own->events.ctx, slot->number, UPSTREAM_LOST);
    }
    unpark(own);
    own_advance(own);
}

static void
on_gate(evutil_socket_t fd, short what, void *ctx)
{
    struct own *own = ctx;

    (void)fd;
    (void)what;
    own_gate_reopen(&own->gate);
    own_advance(own);
}

/* ---- what the engine asks for ---- */

void
own_end_wipe(struct own_slot *slot)
{
    pointer_index_remove(&slot->own->wipes, slot);
    slot->wipe = false;
    own_do_later(slot, OWN_TODO_CLOSE);
}

/* A session that begins anew needs no wipe of the one before it, and must not suffer from it. */
static void
cancel_wipe(struct own *own, const char *client_id)
{
    for (size_t i = 0; i < own->wipes.capacity; i++) {
        struct own_slot *slot = own->wipes.slots[i];

        if (slot == NULL || strcmp(slot->client_id, client_id) != 0)
            continue;
        own_end_wipe(slot);
        return;
    }
}

/* False: no memory. */
static bool
open_new(struct own *own, uint64_t connection, const struct engine_open *open)
{
    struct own_slot *slot = own_slot_new(own, connection, open->client_id);

    if (slot == NULL)
        return false;
    cancel_wipe(own, slot->client_id);
    slot->clean_start = open->clean_start;
    if (own_slot_set_will(slot, open) == DM_OK && pointer_index_insert(&own->open, slot)) {
        if (place(slot) == DM_OK)
            return true;
        pointer_index_remove(&own->open, slot);
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
    own_do_later(slot, OWN_TODO_CHANGE | (slot->state == OWN_PARKED ? OWN_TODO_TELL : 0));
    return true;
}

static void
on_open(void *ctx, uint64_t connection, const struct engine_open *open)
{
    struct own *own = ctx;
    struct own_slot *slot = find(&own->open, connection);
    bool opened = slot != NULL ? open_again(slot, open) : open_new(own, connection, open);
    char text[128];

    if (!opened)
        log_error("upstream", "client %s: out of memory for its connection",
                  log_escape(text, sizeof text, open->client_id));
}

static void
on_close(void *ctx, uint64_t connection, const struct engine_close *close)
{
    struct own *own = ctx;
    struct own_slot *slot = find(&own->open, connection);

    if (slot != NULL) {
        pointer_index_remove(&own->open, slot);
        own->places -= slot->upstream != NULL;
    } else if (close->wipe && find(&own->wipes, connection) == NULL) {
        slot = own_slot_new(own, connection, close->client_id);
    }
    if (slot == NULL)
        return;
    slot->wipe = close->wipe;
    slot->abrupt = close->abrupt;
    own_do_later(slot, OWN_TODO_CLOSE);
}

static enum dm_result
on_send(void *ctx, uint64_t connection, const struct mqtt_packet *packet)
{
    const struct own *own = ctx;
    const struct own_slot *slot = find(&own->open, connection);

    return slot != NULL && slot->upstream != NULL
               ? slot->upstream->ops->send(slot->upstream, packet)
               : DM_IO;
}

struct runner_own
own_for_runner(struct own *own)
{
    return (struct runner_own){.ctx = own, .open = on_open, .close = on_close, .send = on_send};
}

/* ---- life ---- */

struct own *
own_new(struct event_base *base, const struct own_options *options,
        const struct runner_own_events *events)
{
    struct own *own = calloc(1, sizeof *own);

    if (own == NULL)
        return NULL;
    own->base = base;
    own->events = *events;
    own->options = options;
    pointer_index_init(&own->open, hash_slot, has_number);
    pointer_index_init(&own->wipes, hash_slot, has_number);
    own_gate_init(&own->gate, options->upstream.url_count);
    own->turn = evtimer_new(base, on_turn, own);
    own->gate_timer = evtimer_new(base, on_gate, own);
    if (own->turn != NULL && own->gate_timer != NULL)
        return own;
    own_free(own);
    return NULL;
}

static void
end_all(struct pointer_index *index)
{
    for (size_t i = 0; i < index->capacity; i++) {
        struct own_slot *slot = index->slots[i];

        if (slot == NULL)
            continue;
        drop_upstream(slot);
        own_slot_free(slot);
    }
    pointer_index_fini(index);
}

void
own_free(struct own *own)
{
    struct own_slot *slot, *next;

    if (own == NULL)
        return;
    DL_FOREACH_SAFE2 (own->todo, slot, next, todo_next) {
        if ((slot->todo & OWN_TODO_CLOSE) == 0)
            continue; /* it is in a table */
        DL_DELETE2(own->todo, slot, todo_prev, todo_next);
        drop_upstream(slot);
        own_slot_free(slot);
    }
    end_all(&own->open);
    end_all(&own->wipes);
    if (own->turn != NULL)
        event_free(own->turn);
    if (own->gate_timer != NULL)
        event_free(own->gate_timer);
    free(own);
}

void
own_reconfigure(struct own *own, const struct own_options *options)
{
    const struct pointer_index *tables[] = {&own->open, &own->wipes};

    own->options = options;
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < tables[t]->capacity; i++) {
            struct own_slot *slot = tables[t]->slots[i];

            if (slot == NULL || slot->upstream == NULL)
                continue;
            struct upstream_options now = own_slot_options(slot);
            if (!slot->upstream->ops->has_options(slot->upstream, &now))
                own_do_later(slot, OWN_TODO_CHANGE);
        }
    }
    event_active(own->turn, EV_TIMEOUT, 0); /* there may be more places */
}

void
own_broker_back(struct own *own, size_t broker)
{
    own_gate_found(&own->gate, broker);
    evtimer_del(own->gate_timer);
    own_advance(own);
}

/* ---- status ---- */

void
own_status(const struct own *own, struct own_status *status)
{
    
    *status = (struct own_status){
        .wipes = own->wipes.count,
        .maximum = own->options->maximum,
        .connects = own->connects,
        .failures = own->failures,
        .refusals = own->refusals,
        .take_overs = own->take_overs,
    };
    memcpy(status->error, own->error, sizeof status->error);
    for (size_t i = 0; i < own->open.capacity; i++) {
        const struct own_slot *slot = own->open.slots[i];

        if (slot != NULL)
            status->connections[slot->state]++;
    }
}

enum dm_result
own_connection_status(const struct own *own, uint64_t connection,
                      struct own_connection_status *status)
{
    const struct own_slot *slot = find(&own->open, connection);
    struct upstream_status upstream = {.error = ""};

    if (slot == NULL)
        return DM_NOT_FOUND;
    if (slot->upstream != NULL)
        slot->upstream->ops->status(slot->upstream, &upstream);
    *status = (struct own_connection_status){.state = slot->state};
    memcpy(status->error, upstream.error, sizeof status->error);
    return DM_OK;
}

const char *
own_state_name(enum own_state state)
{
    static const char *const names[] = {
        [OWN_WAITING] = "waiting",   [OWN_CONNECTING] = "connecting",
        [OWN_CONNECTED] = "connected", [OWN_REFUSED] = "refused",
        [OWN_TAKEN_OVER] = "taken_over", [OWN_PARKED] = "limit",
    };

    return names[state];
}
