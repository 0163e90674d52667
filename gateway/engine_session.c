/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: finding, binding to an address, supervision by time, and the end. */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

/* ---- finding ---- */

struct session *
session_find(const struct engine *e, struct dm_span client_id)
{
    return pointer_index_find(&e->by_client_id,
                              pointer_index_hash(0, client_id.data, client_id.len), &client_id);
}

struct session *
session_find_address(const struct engine *e, const struct dm_address *address)
{
    return pointer_index_find(
        &e->by_address, pointer_index_hash(address->link, address->octets, address->len), address);
}

struct session *
session_find_number(const struct engine *e, uint64_t number)
{
    return pointer_index_find(&e->by_number, pointer_index_hash_number(number), &number);
}

/* ---- deadlines: a binary heap, earliest in slot 1 ----
 * One that moves on stays where it is until its turn is near: a device that talks touches no other
 * session, however many there are. */

enum {
    HEAP_ROOM_MIN = 16,
    SOON_MS = 15000, /* more than a device is given for an answer, less than its keep-alive */
};

static void
heap_put(struct engine *e, size_t slot, struct session *s)
{
    e->heap[slot] = s;
    s->heap_slot = (uint32_t)slot;
}

static void
heap_settle(struct engine *e, struct session *s)
{
    size_t slot = s->heap_slot;

    while (slot > 1 && e->heap[slot / 2]->deadline_ms > s->deadline_ms) {
        heap_put(e, slot, e->heap[slot / 2]);
        slot /= 2;
    }
    for (;;) {
        size_t child = slot * 2;

        if (child + 1 <= e->heap_count &&
            e->heap[child + 1]->deadline_ms < e->heap[child]->deadline_ms)
            child++;
        if (child > e->heap_count || e->heap[child]->deadline_ms >= s->deadline_ms)
            break;
        heap_put(e, slot, e->heap[child]);
        slot = child;
    }
    heap_put(e, slot, s);
}

static bool
heap_resize(struct engine *e, size_t room)
{
    struct session **heap = realloc(e->heap, room * sizeof(struct session *));

    if (heap == NULL)
        return false;
    e->heap = heap;
    e->heap_room = room;
    return true;
}

/* Every session has a slot from its making on, so that scheduling never allocates. */
static bool
heap_add(struct engine *e, struct session *s)
{
    if (e->heap_count + 2 > e->heap_room &&
        !heap_resize(e, e->heap_room == 0 ? HEAP_ROOM_MIN : e->heap_room * 2))
        return false;
    s->deadline_ms = ENGINE_NEVER;
    heap_put(e, ++e->heap_count, s);
    heap_settle(e, s);
    return true;
}

static void
heap_remove(struct engine *e, struct session *s)
{
    if (s->heap_slot == 0)
        return;
    struct session *last = e->heap[e->heap_count--];

    if (last != s) {
        heap_put(e, s->heap_slot, last);
        heap_settle(e, last);
    }
    s->heap_slot = 0;
    if (e->heap_count < e->heap_room / 4 && e->heap_room > HEAP_ROOM_MIN)
        heap_resize(e, e->heap_room / 2); /* without memory it stays as it is */
}

/* ---- making and ending ---- */

static size_t
session_octets(size_t client_id_len)
{
    return pool_octets(sizeof(struct session), offsetof(struct session, client_id), client_id_len);
}

struct session *
session_new(struct engine *e, struct dm_span client_id, uint64_t number)
{
    struct session *s = pool_get(&e->pool, session_octets(client_id.len));

    if (s == NULL)
        return NULL;
    s->number = number;
    s->trunk = &e->shared;
    s->client_id_len = (uint8_t)client_id.len;
    memcpy(s->client_id, client_id.data, client_id.len);
    s->client = party_named(e, client_id).client;
    s->epoch = 1;
    s->last_contact_ms = e->now_ms;
    if (number > e->last_session)
        e->last_session = number;
    DL_APPEND(e->sessions, s);
    e->status.sessions[s->state]++;
    if (!talk_begin(e, s) || !heap_add(e, s) || !pointer_index_insert(&e->by_number, s) ||
        !pointer_index_insert(&e->by_client_id, s)) {
        session_free(e, s);
        return NULL;
    }
    change_note(e, s, true);
    return s;
}

struct dm_span
session_place(const struct session *s)
{
    return dm_span(s->place_len > PLACE_NEAR ? s->place.far : s->place.near, s->place_len);
}

bool
session_is_at(const struct session *s, const struct dm_address *address)
{
    return s->placed && s->link == address->link &&
           dm_span_equal(session_place(s), dm_span(address->octets, address->len));
}

const struct dm_address *
session_address(const struct session *s, struct dm_address *address)
{
    *address = (struct dm_address){.link = s->link, .len = s->place_len};
    if (s->place_len > 0)
        memcpy(address->octets, session_place(s).data, s->place_len);
    return address;
}

static void
place_free(struct engine *e, struct session *s)
{
    if (s->place_len > PLACE_NEAR)
        pool_put(&e->pool, s->place.far, s->place_len);
    s->place_len = 0;
    s->placed = false;
}

void
session_free(struct engine *e, struct session *s)
{
    while (s->subscriptions != NULL)
        subscription_remove(e, s->subscriptions, false);
    queue_clear(e, s);
    registrations_free(e, s);
    received_free(s);
    history_free(e, s);
    will_free(e, s->will);
    predefined_free(e, s);
    talk_free(e, s);
    own_detach(e, s);
    session_unbind(e, s);
    place_free(e, s);
    heap_remove(e, s);
    pointer_index_remove(&e->by_number, s);
    pointer_index_remove(&e->by_client_id, s);
    DL_DELETE(e->sessions, s);
    e->status.sessions[s->state]--;
    change_end(e, s);
    pool_put(&e->pool, s, session_octets(s->client_id_len));
}

void
session_wipe(struct engine *e, struct session *s)
{
    struct subscription *sub;
    struct subscription *next;

    /* Rows of topics, subscriptions and deliveries go with the session's row; bodies have their
     * own. */
    e->wipe_seq = record_session_delete(e, s);
    LL_FOREACH_SAFE (s->subscriptions, sub, next)
        subscription_end(e, sub, false);
    session_free(e, s);
}

void
session_evict(struct engine *e, struct session *s)
{
    session_unbind(e, s);
    session_note(e, s, ENGINE_EVENT_EVICTED, 0);
    record_session(e, s); /* true after a restart, too */
    session_schedule(e, s);
}

/* False: no memory. */
static bool
move(struct engine *e, struct session *s, const struct dm_address *address)
{
    uint8_t *far = NULL;

    if (address->len > PLACE_NEAR && (far = pool_get(&e->pool, address->len)) == NULL)
        return false;
    place_free(e, s);
    if (far != NULL)
        s->place.far = far;
    memcpy(far != NULL ? far : s->place.near, address->octets, address->len);
    s->place_len = address->len;
    s->placed = true;
    s->link = address->link;
    s->image.address_is_old = true;
    return true;
}

bool
session_bind(struct engine *e, struct session *s, const struct dm_address *address)
{
    if (s->bound && session_is_at(s, address))
        return true;
    if (s->bound)
        session_note(e, s, ENGINE_EVENT_MOVED, 0);
    session_unbind(e, s);
    struct session *other = session_find_address(e, address);

    if (other != NULL) /* R27, M44 */
        session_evict(e, other);
    if (!session_is_at(s, address) && !move(e, s, address))
        return false;
    if (!pointer_index_insert(&e->by_address, s))
        return false;
    s->bound = true;
    return true;
}

void
session_unbind(struct engine *e, struct session *s)
{
    if (!s->bound)
        return;
    pointer_index_remove(&e->by_address, s);
    s->bound = false;
    engine_withdraw(
        e, session_address(s, &(struct dm_address){0})); /* R26: another device may be there now */
    downlink_cancel(s);
    if (s->state == ENGINE_AWAKE) /* nobody there to answer: supervised as asleep again */
        session_set_state(e, s, ENGINE_ASLEEP);
}

void
session_set_state(struct engine *e, struct session *s, enum engine_state state)
{
    char id[128];

    if (s->state == state)
        return;
    log_debug("session", "client %s: %s -> %s",
              log_escape(id, sizeof id, dm_span(s->client_id, s->client_id_len)),
              engine_state_name((enum engine_state)s->state), engine_state_name(state));
    e->status.sessions[s->state]--;
    e->status.sessions[state]++;
    s->state = (uint8_t)state;
    trunk_touch(e, s->trunk);
    change_note(e, s, true);
    if (state != ENGINE_ACTIVE && state != ENGINE_AWAKE) {
        downlink_cancel(s);
        /* What is not with the device must be on disk before the broker may forget it. */
        queue_store(e, s);
        if (s->talk != NULL)
            session_wait(e, s); /* until it can be forgotten */
    }
}

void
session_doze(struct engine *e, struct session *s)
{
    s->naps++;
    session_note(e, s, ENGINE_EVENT_DOZED, 0);
    engine_withdraw(
        e, session_address(s, &(struct dm_address){
                                  0})); /* what waits for the disk must not come to a sleeper */
    session_set_state(e, s, ENGINE_ASLEEP);
}

void
session_heard(struct engine *e, struct session *s)
{
    s->last_contact_ms = e->now_ms;
    s->heard = true;
    s->talk->talked = true;
    change_note(e, s, false);
}

void
session_wait(struct engine *e, struct session *s)
{
    if (s->talk->waiting)
        return;
    DL_APPEND2(e->waiting, s, talk->waiting_prev, talk->waiting_next);
    s->talk->waiting = true;
}

void
session_gate(struct engine *e, struct session *s)
{
    s->talk->gate_seq = s->seq;
    if (s->talk->gate_seq > e->committed_seq)
        session_wait(e, s);
}

bool
session_is_reachable(const struct engine *e, const struct session *s)
{
    return (s->state == ENGINE_ACTIVE || s->state == ENGINE_AWAKE) && s->bound &&
           talk_of(s)->handshake == NULL && !s->trunk->asking && e->links[s->link].up;
}

/* ---- supervision ---- */

uint64_t
session_supervision(const struct engine *e, const struct session *s)
{
    uint64_t period_ms;

    uint64_t since_ms = s->last_contact_ms;

    /* A link that is down makes every device silent: for a while nobody is lost by that. */
    if (s->bound && !e->links[s->link].up && s->state != ENGINE_DISCONNECTED &&
        s->state != ENGINE_LOST) {
        uint64_t pause_ms = e->options->links[s->link].pause_ms;

        if (pause_ms == 0)
            return ENGINE_NEVER;
        since_ms = engine_add_ms(e->links[s->link].down_ms, pause_ms);
    }
    switch (s->state) {
    case ENGINE_ACTIVE:
        if (s->keepalive_s == 0) /* R28 */
            return ENGINE_NEVER;
        period_ms = s->keepalive_s * UINT64_C(10) * settings_of(e, s)->tolerance_percent;
        break;
    case ENGINE_ASLEEP:
        /* The return from sleep is not recorded: until it says so after a restart, the device may
         * be active, and the longer time counts. */
        if (s->maybe_active && s->keepalive_s == 0)
            return ENGINE_NEVER;
        period_ms = s->maybe_active && s->keepalive_s > s->sleep_s ? s->keepalive_s : s->sleep_s;
        period_ms *= UINT64_C(10) * settings_of(e, s)->tolerance_percent;
        break;
    case ENGINE_DISCONNECTED:
    case ENGINE_LOST:
        period_ms = settings_of(e, s)->expiry_ms;
        break;
    default: /* awake: the timer stands still (R93), retransmission ends the period (R99) */
        return ENGINE_NEVER;
    }
    return engine_add_ms(since_ms, period_ms);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* But for messages that expire. */
static uint64_t
deadline_of(const struct engine *e, const struct session *s)
{
    uint64_t deadline = session_supervision(e, s);

    if (talk_of(s)->exchange != EXCHANGE_NONE)
        deadline = earlier(deadline, talk_of(s)->retry_at_ms);
    if (talk_of(s)->pause_until_ms != 0 && s->queue != NULL && s->state == ENGINE_ACTIVE)
        deadline = earlier(deadline, talk_of(s)->pause_until_ms);
    if (talk_of(s)->unstored != NULL)
        deadline = earlier(deadline, queue_store_deadline(e, s));
    return deadline;
}

/* One that is over is due now: in the past it would look as if the gateway had stood still. */
static void
set_deadline(struct engine *e, struct session *s, uint64_t at_ms)
{
    s->deadline_ms = at_ms > e->now_ms ? at_ms : e->now_ms;
    heap_settle(e, s);
}

void
session_due_by(struct engine *e, struct session *s, uint64_t at_ms)
{
    if (at_ms < s->deadline_ms)
        set_deadline(e, s, at_ms);
}

void
session_schedule(struct engine *e, struct session *s)
{
    uint64_t deadline_ms = deadline_of(e, s);
    /* It sleeps or its exchange is over: it would be looked at in vain. */
    bool in_vain =
        s->queue == NULL && (s->state == ENGINE_ASLEEP || s->deadline_ms < e->now_ms + SOON_MS);

    if (deadline_ms < s->deadline_ms || (in_vain && deadline_ms > s->deadline_ms))
        set_deadline(e, s, deadline_ms);
}

void
session_schedule_anew(struct engine *e, struct session *s)
{
    set_deadline(e, s, earlier(deadline_of(e, s), queue_expiry(e, s)));
}

struct session *
session_first_due(struct engine *e)
{
    while (e->heap_count > 0 && e->heap[1]->deadline_ms <= e->now_ms) {
        struct session *s = e->heap[1];

        session_schedule_anew(e, s);
        if (s->deadline_ms <= e->now_ms)
            return s;
    }
    return NULL;
}

static void
session_expire(struct engine *e, struct session *s)
{
    char id[128];

    if (s->state == ENGINE_ACTIVE || s->state == ENGINE_ASLEEP) {
        log_notice("session", "client %s: lost, nothing heard for %llu s",
                   log_escape(id, sizeof id, dm_span(s->client_id, s->client_id_len)),
                   (unsigned long long)((e->now_ms - s->last_contact_ms) / 1000));
        session_note(e, s, ENGINE_EVENT_LOST, (e->now_ms - s->last_contact_ms) / 1000);
        session_leave(e, s, ENGINE_LOST);
        return;
    }
    log_notice("session", "client %s: session expired, removed with %u queued messages",
               log_escape(id, sizeof id, dm_span(s->client_id, s->client_id_len)),
               (unsigned)s->queued);
    session_wipe(e, s);
}

void
session_timeout(struct engine *e, struct session *s)
{
    if (session_supervision(e, s) <= e->now_ms) {
        session_expire(e, s);
        return; /* s may be gone */
    }
    queue_store_due(e, s);
    queue_expire(e, s);
    if (talk_of(s)->exchange != EXCHANGE_NONE && talk_of(s)->retry_at_ms <= e->now_ms)
        downlink_retry(e, s);
    else
        downlink_pump(e, s);
    if (s->talk != NULL && s->talk->pause_until_ms <= e->now_ms)
        s->talk->pause_until_ms = 0; /* not due again */
    session_schedule(e, s);
    talk_end(e, s);
}
