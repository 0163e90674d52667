/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own connections of devices (design 6, `upstream = own`): when one is wanted, and what becomes of
 * the session that the broker keeps for it. Its number is that of the session here, and its row
 * (STORE_OWN_BROKERS) outlives that, until what the device left is sent and the broker's session
 * wiped.
 *   wanted -> ENGINE_OPEN -> connected, lost and connected again, ... -> not wanted -> ENGINE_CLOSE
 *   refused, taken over: closed until the device says CONNECT, ended or not
 *   session ended -> all sent -> ENGINE_CLOSE with wipe -> wiped -> gone
 */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

static const char *
client_text(const struct trunk *t, char *buffer, size_t size)
{
    return log_escape(buffer, size, dm_span(t->client_id, t->client_id_len));
}

/* ---- the list ---- */

static struct trunk *
own_find(const struct engine *e, uint64_t connection)
{
    return pointer_index_find(&e->own_index, pointer_index_hash_number(connection), &connection);
}

struct trunk *
trunk_find(struct engine *e, uint64_t connection)
{
    return connection == 0 ? &e->shared : own_find(e, connection);
}

struct trunk *
own_new(struct engine *e, uint64_t connection, struct dm_span client_id)
{
    struct trunk *t = calloc(1, sizeof *t + client_id.len);

    if (t == NULL)
        return NULL;
    t->connection = connection;
    t->client_id_len = (uint8_t)client_id.len;
    t->client_id = (uint8_t *)(t + 1);
    memcpy(t->client_id, client_id.data, client_id.len);
    t->uplink_store_ms = ENGINE_NEVER;
    t->ask_until_ms = ENGINE_NEVER;
    trunk_indexes_init(t);
    if (!pointer_index_insert(&e->own_index, t)) {
        free(t);
        return NULL;
    }
    DL_APPEND2(e->own, t, own_prev, own_next);
    e->own_count++;
    if (connection > e->last_session)
        e->last_session = connection;
    return t;
}

static void
set_ended(struct engine *e, struct trunk *t, bool ended)
{
    if (t->ended == ended)
        return;
    t->ended = ended;
    if (ended) {
        DL_APPEND2(e->ended, t, ended_prev, ended_next);
        e->own_ended++;
    } else {
        DL_DELETE2(e->ended, t, ended_prev, ended_next);
        e->own_ended--;
    }
}

/* Out of the list that it is in, e->touched or e->blocked. */
static void
take_out(struct engine *e, struct trunk *t)
{
    if (t->place == TRUNK_TOUCHED)
        DL_DELETE2(e->touched, t, place_prev, place_next);
    else if (t->place == TRUNK_BLOCKED)
        DL_DELETE2(e->blocked, t, place_prev, place_next);
    t->place = TRUNK_NOWHERE;
}

void
trunk_touch(struct engine *e, struct trunk *t)
{
    if (t->connection == 0 || t->place == TRUNK_TOUCHED)
        return;
    take_out(e, t);
    DL_APPEND2(e->touched, t, place_prev, place_next);
    t->place = TRUNK_TOUCHED;
}

void
own_free(struct engine *e, struct trunk *t)
{
    struct trunk *other;

    uplinks_free(e, t);
    upstream_free(e, t);
    packet_ids_free(t);
    take_out(e, t);
    trunk_indexes_fini(t);
    pointer_index_remove(&e->own_index, t);
    DL_DELETE2(e->own, t, own_prev, own_next);
    e->own_count--;
    e->own_opened -= t->opened;
    e->own_up -= t->up;
    set_ended(e, t, false);
    DL_FOREACH2 (t->awaited ? e->own : NULL, other, own_next) {
        if (other->after != t)
            continue;
        other->after = NULL;
        trunk_touch(e, other);
    }
    free(t);
}

void
own_free_all(struct engine *e)
{
    while (e->own != NULL)
        own_free(e, e->own);
    pointer_index_fini(&e->own_index);
}

/* Of the last session of this client that has ended. */
static struct trunk *
find_ended(const struct engine *e, struct dm_span client_id)
{
    struct trunk *t;
    struct trunk *found = NULL;

    DL_FOREACH2 (e->ended, t, ended_next)
        if (dm_span_equal(dm_span(t->client_id, t->client_id_len), client_id))
            found = t;
    return found;
}

/* ---- what the process is told ---- */

static bool
is_connected(const struct session *s)
{
    return s != NULL && s->state != ENGINE_DISCONNECTED && s->state != ENGINE_LOST;
}

/* The one that the broker is to publish. */
static const struct will *
wanted_will(const struct engine *e, const struct trunk *t)
{
    const struct session *s = t->session;

    return is_connected(s) && settings_of(e, s)->will_at_broker && s->will != NULL &&
                   s->will->topic != NULL
               ? s->will
               : NULL;
}

static void
say_open(struct engine *e, struct trunk *t)
{
    const struct will *will = wanted_will(e, t);
    struct engine_effect effect = {.type = ENGINE_OPEN,
                                   .connection = t->connection,
                                   .needs = e->seq > e->committed_seq ? e->seq : 0,
                                   .open = {.client_id = dm_span(t->client_id, t->client_id_len),
                                            .clean_start = (t->note & OWN_CLEAN) != 0}};

    effect.open.client = engine_client_of(e, effect.open.client_id);
    if (will != NULL) {
        effect.open.will_topic = upstream_name(e, name_span(will->topic));
        effect.open.will_payload = dm_span(will->message, will->len);
        effect.open.will_qos = will->qos;
        effect.open.will_retain = will->retain;
    }
    e->own_opened += !t->opened;
    t->opening = !t->up;
    t->opened = t->ever_opened = true;
    t->has_will = will != NULL;
    t->will_changed = false;
    e->emit(e->ctx, &effect);
}

static void
say_close(struct engine *e, struct trunk *t, bool wipe)
{
    struct engine_effect effect = {.type = ENGINE_CLOSE,
                                   .connection = t->connection,
                                   .needs = e->seq > e->committed_seq ? e->seq : 0,
                                   .close = {.client_id = dm_span(t->client_id, t->client_id_len),
                                             .wipe = wipe,
                                             .abrupt = t->abrupt && t->has_will}};

    effect.close.client = engine_client_of(e, effect.close.client_id);
    e->own_opened -= t->opened;
    t->opened = t->opening = t->stale = t->overflowed = t->abrupt = t->has_will = false;
    if (t->up)
        upstream_down(e, t);
    e->emit(e->ctx, &effect);
}

/* ---- the end ---- */

/* Nothing of it is left. */
static void
end(struct engine *e, struct trunk *t)
{
    if (t->ever_opened && !t->wiped)
        say_close(e, t, false);
    record_own(e, t, STORE_BROKER_DELETE);
    own_free(e, t);
}

void
own_detach(struct engine *e, struct session *s)
{
    struct trunk *t = s->trunk;

    if (t == NULL || t->connection == 0)
        return;
    t->session = NULL;
    t->asking = false;
    set_ended(e, t, true);
    trunk_touch(e, t);
}

static bool
is_idle(const struct trunk *t)
{
    return t->uplinks == NULL && t->owed == NULL;
}

/* Something of ours may be at the broker when the session here has ended. */
static bool
owes_wipe(const struct trunk *t)
{
    return t->ever_opened && (t->note & (OWN_ELSEWHERE | OWN_KEPT | OWN_UNUSED)) == 0 &&
           !(t->refused && t->fresh);
}

/* ---- the beginning ---- */

bool
own_is_possible(const struct engine *e)
{
    /* Without the shared connection and any other nothing tells that the broker is there. */
    bool away = !e->shared.up && e->own_up == 0 && e->own_failed_ms != 0 &&
                e->now_ms - e->own_failed_ms < e->options->settings.retry_ms;

    return !away && e->own_ended < e->options->max_clients &&
           (e->options->own_max == 0 || e->own_opened < e->options->own_max);
}

static void
set_note(struct engine *e, struct trunk *t, unsigned note)
{
    if (t->note == note)
        return;
    t->note = note;
    record_own(e, t, STORE_BROKER_USE);
}

bool
own_begin(struct engine *e, struct session *s, bool clean, bool known)
{
    struct dm_span client_id = dm_span(s->client_id, s->client_id_len);
    struct trunk *t = own_new(e, s->number, client_id);
    struct trunk *old;

    if (t == NULL)
        return false;
    s->trunk = t;
    t->session = s; /* and so it is not one that has ended */
    t->hold_at_broker = settings_of(e, s)->hold_at_broker;
    t->fresh = !known;
    while ((old = find_ended(e, client_id)) != NULL && is_idle(old)) {
        clean = clean || owes_wipe(old);
        end(e, old);
    }
    if (old != NULL)
        old->awaited = true;
    t->after = old; /* the broker gets from it first what was acknowledged to the device */
    t->note = clean ? OWN_CLEAN : OWN_UNUSED;
    record_own(e, t, STORE_BROKER_PUT);
    trunk_touch(e, t);
    return true;
}

/* ---- CONNECT that waits for the broker ---- */

/* The client is back: what its earlier sessions left may get through now. */
static void
try_earlier(struct engine *e, const struct trunk *t)
{
    struct trunk *old;

    for (old = t->after; old != NULL; old = old->after) {
        old->refused = false;
        if ((old->note & OWN_ELSEWHERE) != 0)
            set_note(e, old, (old->note & ~(unsigned)OWN_ELSEWHERE) | OWN_KEPT);
        trunk_touch(e, old);
    }
}

bool
own_asks(struct engine *e, struct session *s)
{
    struct trunk *t = s->trunk;

    if (t->connection == 0)
        return false;
    try_earlier(e, t);
    if (t->refused || (t->note & OWN_ELSEWHERE) != 0) {
        t->refused = false;
        t->asking = true;
        if ((t->note & OWN_ELSEWHERE) != 0) /* and may have subscribed there */
            set_note(e, t, (t->note & ~(unsigned)OWN_ELSEWHERE) | OWN_INHERITED);
    }
    t->asking = t->asking || t->fresh;
    if (t->asking)
        own_due_at(e, t->ask_until_ms = engine_add_ms(e->now_ms, settings_of(e, s)->retry_ms));
    trunk_touch(e, t);
    return t->asking;
}

/* The answer to CONNECT is no. */
static void
fail(struct engine *e, struct trunk *t, enum mqttsn_return_code code)
{
    struct session *s = t->session;

    t->asking = false;
    t->ask_until_ms = ENGINE_NEVER;
    e->own_failed_ms = e->now_ms == 0 ? 1 : e->now_ms;
    if (s->bound)
        connect_refuse(e, session_address(s, &(struct dm_address){0}),
                       dm_span(s->client_id, s->client_id_len), code);
    if (t->fresh)
        session_wipe(e, s);
    else
        session_leave(e, s, ENGINE_DISCONNECTED); /* s may be gone */
}

void
own_connected(struct engine *e, struct trunk *t, bool present)
{
    struct session *s = t->session;

    e->own_up++;
    t->opening = false;
    bool inherited = present && (t->fresh || (t->note & OWN_UNUSED) != 0);

    set_note(e, t,
             inherited ? OWN_INHERITED : t->note & ((unsigned)OWN_INHERITED | (unsigned)OWN_KEPT));
    t->fresh = false;
    if (!t->asking)
        return;
    t->asking = false;
    t->ask_until_ms = ENGINE_NEVER;
    if (s->bound)
        connect_answer(e, session_address(s, &(struct dm_address){0}), s->seq, MQTTSN_ACCEPTED);
    s->talk->connack_seq = s->seq;
    session_gate(e, s);
}

/* Nobody else may have it while it is refused or taken over: the device begins again. */
static void
give_up(struct engine *e, struct trunk *t, enum upstream_end why)
{
    struct session *s = t->session;
    char id[128];

    e->own_opened -= t->opened;
    t->opened = false;
    if (why == UPSTREAM_REFUSED)
        t->refused = true;
    else
        set_note(e, t, t->note | OWN_ELSEWHERE);
    log_warning("upstream", "client %s: %s", client_text(t, id, sizeof id),
                why == UPSTREAM_REFUSED ? "the broker does not let it in"
                                        : "another connection has taken over its session");
    if (s == NULL) { /* one that waits for it to end, but for nothing from the broker */
        s = session_find(e, dm_span(t->client_id, t->client_id_len));
        s = s != NULL && s->trunk->after != NULL ? s : NULL;
    }
    if (s != NULL && s->trunk->asking)
        fail(e, s->trunk, MQTTSN_CONGESTION);
    else if (is_connected(s))
        session_leave(e, s, ENGINE_DISCONNECTED); /* s may be gone */
}

void
own_disconnected(struct engine *e, struct trunk *t, enum upstream_end why)
{
    trunk_touch(e, t);
    if (t->opening && !t->up) { /* QoS 0 waits no longer */
        t->opening = false;
        uplink_disconnected(e, t);
    }
    if (t->wiping) {
        t->refused = why != UPSTREAM_LOST;
        t->wiping = why == UPSTREAM_LOST;
    } else if (t->asking) {
        if (why != UPSTREAM_LOST) {
            e->own_opened -= t->opened;
            t->opened = false;
            t->refused = true; /* until the next CONNECT */
        }
        fail(e, t, why == UPSTREAM_LOST ? MQTTSN_CONGESTION : MQTTSN_NOT_SUPPORTED);
    } else if (why != UPSTREAM_LOST) {
        give_up(e, t, why);
    }
}

void
engine_upstream_wiped(struct engine *e, uint64_t now_ms, uint64_t connection)
{
    struct trunk *t = trunk_find(e, connection);

    engine_at(e, now_ms);
    if (t != NULL && t->wiping) {
        t->wiped = true;
        end(e, t);
    }
    inbound_flush(e);
}

/* ---- after each input ---- */

static bool
is_wanted(const struct trunk *t)
{
    if (t->refused || (t->note & OWN_ELSEWHERE) != 0 || t->after != NULL)
        return false;
    if (!is_idle(t))
        return true;
    return t->session != NULL && (!t->hold_at_broker || is_connected(t->session));
}

/* Of what the broker sent over this connection something is missing here: it comes again with the
 * next one. */
static bool
is_out_of_step(const struct trunk *t)
{
    return t->stale || (t->overflowed && t->session->queue == NULL);
}

/* May free it. */
static void
update(struct engine *e, struct trunk *t)
{
    bool wanted = is_wanted(t);
    bool will = wanted_will(e, t) != NULL;

    /* A will is published at once; what else the device left follows over another connection. */
    if (t->opened &&
        ((t->abrupt && t->has_will) || (wanted && is_connected(t->session) && is_out_of_step(t))))
        say_close(e, t, false); /* and again, from the beginning */
    if (wanted && (!t->opened || will != t->has_will || (will && t->will_changed)))
        say_open(e, t);
    else if (!wanted && t->opened && t->session != NULL)
        say_close(e, t, false);
    t->abrupt = false;
    if (t->session != NULL || wanted || t->wiping || t->after != NULL || !is_idle(t))
        return;
    if (!owes_wipe(t)) {
        end(e, t);
        return;
    }
    if (t->refused)
        return; /* until the client is back, a reload or the next start */
    t->wiping = true;
    say_close(e, t, true);
}

void
own_settle(struct engine *e)
{
    while (e->touched != NULL) {
        struct trunk *t = e->touched;

        take_out(e, t);
        uplink_pump(e, t);
        inbound_flush_trunk(e, t); /* back in a list if it waits for the disk */
        update(e, t);
    }
}

void
trunk_block(struct engine *e, struct trunk *t)
{
    if (t->connection == 0 || t->place != TRUNK_NOWHERE)
        return;
    DL_APPEND2(e->blocked, t, place_prev, place_next);
    t->place = TRUNK_BLOCKED;
}

void
own_committed(struct engine *e)
{
    while (e->blocked != NULL)
        trunk_touch(e, e->blocked);
}

/* ---- time ---- */

void
own_due_at(struct engine *e, uint64_t at_ms)
{
    if (at_ms < e->own_due_ms)
        e->own_due_ms = at_ms;
}

void
own_time(struct engine *e)
{
    struct trunk *t;
    struct trunk *next;

    if (e->own_due_ms > e->now_ms)
        return;
    e->own_due_ms = ENGINE_NEVER;
    DL_FOREACH_SAFE2 (e->own, t, next, own_next) {
        uplink_time(e, t);
        if (t->asking && t->ask_until_ms <= e->now_ms) {
            fail(e, t, MQTTSN_CONGESTION);
            trunk_touch(e, t);
        }
        own_due_at(e, uplink_deadline(t));
        own_due_at(e, t->asking ? t->ask_until_ms : ENGINE_NEVER);
    }
}

/* ---- rows ---- */

enum dm_result
own_load(struct engine *e, const struct store_record *record)
{
    if (record->broker == STORE_OWN_BROKERS || record->name.len == 0 ||
        record->name.len > MQTTSN_CLIENT_ID_MAX || record->order > OWN_NOTES ||
        trunk_find(e, record->broker - STORE_OWN_BROKERS) != NULL)
        return DM_MALFORMED;
    struct trunk *t = own_new(e, record->broker - STORE_OWN_BROKERS, record->name);

    if (t == NULL)
        return DM_NO_MEMORY;
    t->note = (unsigned)record->order;
    t->ever_opened = true; /* perhaps, by an earlier process */
    set_ended(e, t, true); /* until its session comes */
    return DM_OK;
}

bool
own_attach(struct engine *e, struct session *s, uint8_t upstream)
{
    struct trunk *t = own_find(e, s->number);

    if (upstream == 0)
        return true;
    if (t == NULL) { /* its row got lost */
        t = own_new(e, s->number, dm_span(s->client_id, s->client_id_len));
        if (t == NULL)
            return false;
    }
    set_ended(e, t, false);
    s->trunk = t;
    t->session = s;
    t->hold_at_broker = upstream == 2;
    return true;
}

static bool
same_client(const struct trunk *a, const struct trunk *b)
{
    return dm_span_equal(dm_span(a->client_id, a->client_id_len),
                         dm_span(b->client_id, b->client_id_len));
}

void
own_reconfigure(struct engine *e)
{
    struct trunk *t;

    DL_FOREACH2 (e->own, t, own_next) {
        if (t->session == NULL)
            t->refused = false;
        trunk_touch(e, t);
    }
}

void
own_start(struct engine *e)
{
    struct trunk *t;
    struct trunk *next;

    DL_FOREACH2 (e->own, t, own_next) {
        trunk_touch(e, t);
        if (t->session != NULL)
            continue;
        for (next = t->own_next; next != NULL && !same_client(next, t); next = next->own_next) {
        }
        t->awaited = next != NULL;
        if (next != NULL)
            next->after = t; /* numbers grow */
    }
}
