/* SPDX-License-Identifier: Apache-2.0 */
/* One of the own connections: what it connects with, and what it is told by its upstream. */
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>
#include <utlist.h>

#include <dormouse/log.h>

#include "own_private.h"

static char *
copy_text(struct dm_span text)
{
    return strndup(text.len > 0 ? (const char *)text.data : "", text.len);
}

static void
clear_will(struct own_slot *slot)
{
    free(slot->will_topic);
    free((void *)(uintptr_t)slot->will_payload.data);
    slot->will_topic = NULL;
    slot->will_payload = (struct dm_span){0};
}

struct own_slot *
own_slot_new(struct own_pool *pool, uint64_t number, struct dm_span client_id)
{
    struct own_slot *slot = calloc(1, sizeof *slot);

    if (slot == NULL)
        return NULL;
    slot->pool = pool;
    slot->number = number;
    slot->client_id = copy_text(client_id);
    if (slot->client_id != NULL)
        return slot;
    free(slot);
    return NULL;
}

void
own_slot_free(struct own_slot *slot)
{
    clear_will(slot);
    free(slot->client_id);
    free(slot);
}

enum dm_result
own_slot_set_will(struct own_slot *slot, const struct engine_open *open)
{
    char *topic = open->will_topic.len > 0 ? copy_text(open->will_topic) : NULL;
    char *payload = open->will_payload.len > 0 ? malloc(open->will_payload.len) : NULL;

    if ((topic == NULL && open->will_topic.len > 0) ||
        (payload == NULL && open->will_payload.len > 0)) {
        free(topic);
        free(payload);
        return DM_NO_MEMORY;
    }
    clear_will(slot);
    if (payload != NULL)
        memcpy(payload, open->will_payload.data, open->will_payload.len);
    slot->will_topic = topic;
    slot->will_payload = dm_span(payload, open->will_payload.len);
    slot->will_qos = open->will_qos;
    slot->will_retain = open->will_retain;
    return DM_OK;
}

struct upstream_options
own_slot_options(const struct own_slot *slot)
{
    const struct own_options *given = slot->pool->options;
    struct upstream_options options = given->upstream;

    options.client_id = slot->client_id;
    options.username = options.password = NULL;
    given->credentials(given->ctx, dm_span_text(slot->client_id), &options.username,
                       &options.password);
    options.will_topic = slot->will_topic;
    options.will_payload = slot->will_payload;
    options.will_qos = slot->will_qos;
    options.will_retain = slot->will_retain;
    options.receive_maximum = ENGINE_OWN_RECEIVE_MAXIMUM;
    options.return_ms = UPSTREAM_NEVER;
    options.member = true;
    options.wipe = slot->wipe;
    return options;
}

static bool
is_closing(const struct own_slot *slot)
{
    return (slot->todo & OWN_TODO_CLOSE) != 0;
}

/* ---- what an upstream tells ---- */

static bool
on_clean_start(void *ctx, size_t broker)
{
    (void)broker; /* all of them are one */
    return ((struct own_slot *)ctx)->clean_start;
}

/* Members are never asked to leave. */
static bool
on_idle(void *ctx)
{
    (void)ctx;
    return false;
}

static void
join_queue(struct own_slot *slot)
{
    struct own_pool *pool = slot->pool;

    slot->queued = true;
    DL_APPEND(pool->queue, slot);
    if (pool->gate.closed)
        own_pool_do_later(slot, OWN_TODO_TELL);
}

static bool
on_may_attempt(void *ctx, size_t *broker)
{
    struct own_slot *slot = ctx;
    struct own_pool *pool = slot->pool;

    if (slot->queued || is_closing(slot))
        return false;
    if (pool->queue == NULL && pool->todo == NULL && own_gate_is_open(&pool->gate)) {
        own_pool_begin(slot);
        *broker = slot->broker;
        return true;
    }
    join_queue(slot);
    return false;
}

/* Those that wait need not wait for the answer that does not come. */
static void
tell_queue(struct own_pool *pool)
{
    struct own_slot *slot;

    DL_FOREACH (pool->queue, slot)
        own_pool_do_later(slot, OWN_TODO_TELL);
}

static void
leave_gate(struct own_slot *slot, bool reached)
{
    struct own_pool *pool = slot->pool;

    if (!slot->under_way)
        return;
    slot->under_way = false;
    uint32_t random;

    evutil_secure_rng_get_bytes(&random, sizeof random);
    uint64_t wait_ms = own_gate_leave(&pool->gate, slot->broker, reached, random);
    struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000),
                           .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};

    if (reached)
        pool->error[0] = '\0';
    if (wait_ms == 0)
        return;
    evtimer_add(pool->gate_timer, &wait);
    tell_queue(pool);
}

static void
on_connected(void *ctx, const struct upstream_session *session)
{
    struct own_slot *slot = ctx;
    struct own_pool *pool = slot->pool;

    slot->state = OWN_CONNECTED;
    slot->clean_start = false;
    pool->connects++;
    leave_gate(slot, true);
    own_pool_advance(pool);
    if (!is_closing(slot))
        pool->events.on_connected(pool->events.ctx, slot->number, session);
}

static void
on_over(void *ctx, enum upstream_end why, bool reached)
{
    struct own_slot *slot = ctx;
    struct own_pool *pool = slot->pool;
    struct upstream_status status;
    bool attempt = slot->under_way;

    pool->failures += attempt;
    if (attempt && !reached) {
        slot->upstream->ops->status(slot->upstream, &status);
        snprintf(pool->error, sizeof pool->error, "%.60s: %.96s", status.url, status.error);
    }
    pool->refusals += why == UPSTREAM_REFUSED;
    pool->take_overs += why == UPSTREAM_TAKEN_OVER;
    slot->state = why == UPSTREAM_REFUSED      ? OWN_REFUSED
                  : why == UPSTREAM_TAKEN_OVER ? OWN_TAKEN_OVER
                                               : OWN_WAITING;
    if (why != UPSTREAM_LOST)
        own_pool_leave_place(slot); /* until the device comes again */
    leave_gate(slot, reached);
    if (attempt && !reached && why == UPSTREAM_LOST && !is_closing(slot))
        join_queue(slot); /* the gate has a back-off for all */
    own_pool_advance(pool);
    if (!is_closing(slot) && (!slot->wipe || why != UPSTREAM_LOST))
        pool->events.on_disconnected(pool->events.ctx, slot->number, why);
}

static void
on_packet(void *ctx, const struct mqtt_packet *packet)
{
    struct own_slot *slot = ctx;

    if (!is_closing(slot))
        slot->pool->events.on_packet(slot->pool->events.ctx, slot->number, packet);
}

static void
on_wiped(void *ctx)
{
    struct own_slot *slot = ctx;
    struct own_pool *pool = slot->pool;

    leave_gate(slot, true);
    own_pool_advance(pool);
    if (is_closing(slot)) /* another session has begun */
        return;
    own_pool_end_wipe(slot);
    pool->events.on_wiped(pool->events.ctx, slot->number);
}

struct upstream_events
own_slot_events(struct own_slot *slot)
{
    return (struct upstream_events){
        .ctx = slot,
        .clean_start = on_clean_start,
        .on_connected = on_connected,
        .is_idle = on_idle,
        .on_packet = on_packet,
        .may_attempt = on_may_attempt,
        .on_over = on_over,
        .on_wiped = on_wiped,
    };
}
