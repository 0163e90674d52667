/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's life and its inputs, but for datagrams: after each, what waits is pumped. */
#include "engine_private.h"

#include <assert.h>
#include <stdlib.h>

#include <dormouse/log.h>

enum {
    UNCOMMITTED_MAX = 100000, /* records; beyond it nothing new is promised */
    STALL_MS = 1000,      /* called later than it asked for: the process was stopped or suspended */
    HEARTBEAT_MS = 10000, /* asks to be called this often, to notice that */
    MSG_ID_GAP = 16384,   /* at most this many MsgIds are left out at a start; a queue is shorter */
};

/* ---- effects ---- */

uint64_t
engine_add_ms(uint64_t at_ms, uint64_t duration_ms)
{
    return duration_ms >= ENGINE_NEVER - at_ms ? ENGINE_NEVER : at_ms + duration_ms;
}

enum dm_result
engine_send_to(struct engine *e, const struct dm_address *to, uint64_t needs,
               const struct mqttsn_packet *packet)
{
    struct engine_effect effect = {.type = ENGINE_SEND,
                                   .needs = needs > e->committed_seq ? needs : 0,
                                   .address = *to,
                                   .has_address = true,
                                   .packet = *packet};

    return e->emit(e->ctx, &effect);
}

enum dm_result
engine_send(struct engine *e, struct session *s, uint64_t needs, const struct mqttsn_packet *packet)
{
    if (!s->bound)
        return DM_NOT_FOUND;
    needs = needs > s->talk->connack_seq ? needs : s->talk->connack_seq;
    s->talk->answer_seq = needs > s->talk->answer_seq ? needs : s->talk->answer_seq;
    return engine_send_to(e, session_address(s, &(struct dm_address){0}), needs, packet);
}

void
engine_withdraw(struct engine *e, const struct dm_address *from)
{
    e->emit(e->ctx, &(struct engine_effect){
                        .type = ENGINE_WITHDRAW, .address = *from, .has_address = true});
}

enum dm_result
engine_send_upstream(struct engine *e, const struct trunk *t, uint64_t needs,
                     const struct mqtt_packet *packet)
{
    needs = needs > t->broker_seq ? needs : t->broker_seq;

    struct engine_effect effect = {.type = ENGINE_UPSTREAM,
                                   .needs = needs > e->committed_seq ? needs : 0,
                                   .connection = t->connection,
                                   .upstream = *packet};

    return e->emit(e->ctx, &effect);
}

bool
engine_can_promise(const struct engine *e)
{
    return !e->degraded && e->seq - e->committed_seq < UNCOMMITTED_MAX;
}

bool
engine_takes_request(const struct engine *e, const struct session *s)
{
    return engine_can_promise(e) && !e->links[s->link].congested;
}

bool
engine_may_reply(struct engine *e, const struct dm_address *to)
{
    uint64_t *at_ms = &e->replies[hash_address(to) % REPLY_SLOTS];

    /* Two addresses in one slot only make the limit stricter. */
    if (*at_ms != 0 && e->now_ms - *at_ms < REPLY_INTERVAL_MS)
        return false;
    *at_ms = e->now_ms == 0 ? 1 : e->now_ms;
    return true;
}

/* ---- life ---- */

struct engine *
engine_new(const struct engine_options *options, engine_emit *emit, void *ctx)
{
    struct engine *e = calloc(1, sizeof *e);

    if (e == NULL)
        return NULL;
    e->options = options;
    e->emit = emit;
    e->ctx = ctx;
    e->handshake_ms = handshake_patience(options);
    e->shared.uplink_store_ms = e->own_due_ms = ENGINE_NEVER;
    e->shared.packet_ids = e->packet_ids;
    pool_init(&e->pool, pool_is_plain_here());
    indexes_init(e);
    trunk_indexes_init(&e->shared);
    e->links = calloc(options->link_count + 1, sizeof *e->links);
    if (e->links == NULL || !names_init(e)) {
        engine_free(e);
        return NULL;
    }
    return e;
}

static enum dm_result
emit_nothing(void *ctx, const struct engine_effect *effect)
{
    (void)ctx;
    (void)effect;
    return DM_OK;
}

/* Each message was held by the index; one that no session waits for goes with it. */
static void
release_loaded(struct engine *e)
{
    struct pointer_index_place at = {0};
    struct message *m;

    while ((m = pointer_index_next(&e->messages_loaded, &at)) != NULL)
        message_unref(e, m);
    pointer_index_fini(&e->messages_loaded);
}

void
engine_free(struct engine *e)
{
    if (e == NULL)
        return;
    e->emit = emit_nothing; /* leaving memory is not leaving the store */
    while (e->handshakes != NULL)
        handshake_free(e, e->handshakes);
    while (e->sessions != NULL)
        session_free(e, e->sessions);
    changes_free(e);
    uplinks_free(e, &e->shared);
    upstream_free(e, &e->shared);
    own_free_all(e);
    brokers_free(e);
    release_loaded(e);
    pointer_index_fini(&e->by_client_id);
    pointer_index_fini(&e->by_address);
    pointer_index_fini(&e->by_number);
    pointer_index_fini(&e->handshake_index);
    pointer_index_fini(&e->history_index);
    pointer_index_fini(&e->predefined_index);
    trunk_indexes_fini(&e->shared);
    assert(e->names.count == 0); /* every reference was given back */
    pointer_index_fini(&e->names);
    free(e->heap);
    free(e->links);
    buffer_fini(&e->upstream_text);
    buffer_fini(&e->predefined);
    buffer_fini(&e->allowed);
    buffer_fini(&e->mapped);
    buffer_fini(&e->prefixed);
    buffer_fini(&e->candidate);
    buffer_fini(&e->lowered);
    unmapped_free(e);
    pool_fini(&e->pool);
    free(e);
}

/* ---- the clock ---- */

uint64_t
engine_gateway_ms(const struct engine *e)
{
    return e->now_ms + (uint64_t)e->clock_offset_ms;
}

uint64_t
engine_from_gateway(const struct engine *e, uint64_t gateway_ms)
{
    uint64_t now_ms = engine_gateway_ms(e);

    if (gateway_ms == ENGINE_NEVER)
        return ENGINE_NEVER;
    return gateway_ms > now_ms ? e->now_ms + (gateway_ms - now_ms) : e->now_ms;
}

void
engine_clock(struct engine *e, uint64_t now_ms, int64_t offset_ms)
{
    struct session *s;

    e->now_ms = now_ms;
    e->clock_offset_ms = offset_ms;
    e->clock_recorded_ms = 0;
    DL_FOREACH (e->sessions, s)
        session_schedule_anew(e, s);
}

/* Nobody could be heard while the process was stopped or the machine suspended: the supervision of
 * every device begins anew, as after a start. */
static void
forgive_silence(struct engine *e)
{
    struct session *s;

    log_warning("engine", "the gateway stood still; devices get one more period");
    DL_FOREACH (e->sessions, s) {
        if (s->state == ENGINE_DISCONNECTED || s->state == ENGINE_LOST)
            continue;
        s->last_contact_ms = e->now_ms;
        session_schedule_anew(e, s);
    }
}

/* Every input begins here. */
void
engine_at(struct engine *e, uint64_t now_ms)
{
    uint64_t due_ms = engine_next_deadline(e);

    e->now_ms = now_ms;
    if (due_ms >= e->forgiven_ms && due_ms < now_ms && now_ms - due_ms > STALL_MS) {
        e->forgiven_ms = now_ms;
        forgive_silence(e);
    }
}

/* ---- inputs ---- */

void
engine_start(struct engine *e, uint64_t now_ms)
{
    struct session *s;

    e->now_ms = now_ms;
    for (size_t i = 0; i < e->options->link_count; i++) {
        e->links[i].up = e->options->links[i].up;
        e->links[i].down_ms = now_ms;
    }
    release_loaded(e);
    upstream_ids_start(e);
    changes_start(e);
    upstream_ids_renew(e);
    discovery_start(e);
    own_start(e);
    access_review(e);
    filters_review(&e->shared);
    DL_FOREACH (e->sessions, s) {
        s->last_contact_ms = now_ms;
        /* Those of messages that were not on disk are not known, and a late PUBACK must not count
         * for another message: no two starts go on from the same one. */
        s->last_msg_id = (uint16_t)(s->last_msg_id + now_ms % MSG_ID_GAP);
        queue_date(e, s);
        downlink_pump(e, s);
        session_schedule_anew(e, s);
    }
    inbound_flush(e);
}

void
engine_link(struct engine *e, uint64_t now_ms, uint8_t link, bool up)
{
    struct session *s;

    assert(link < e->options->link_count);
    engine_at(e, now_ms);
    if (!up && e->links[link].up)
        e->links[link].down_ms = now_ms;
    e->links[link].up = up;
    e->links[link].blocked = e->links[link].congested = false;
    DL_FOREACH (e->sessions, s) {
        if (!s->bound || s->link != link)
            continue;
        downlink_cancel(s);
        if (s->state == ENGINE_AWAKE)
            session_doze(e, s);
        /* Silence while the link was down says nothing about the device. */
        s->last_contact_ms = now_ms;
        downlink_pump(e, s);
        session_schedule(e, s);
    }
    inbound_flush(e);
}

void
engine_link_room(struct engine *e, uint64_t now_ms, uint8_t link)
{
    struct session *s;

    assert(link < e->options->link_count);
    engine_at(e, now_ms);
    e->links[link].blocked = false;
    DL_FOREACH (e->sessions, s) {
        if (!talk_of(s)->blocked || !s->bound || s->link != link)
            continue;
        s->talk->blocked = false;
        downlink_pump(e, s);
        session_schedule(e, s);
        if (e->links[link].blocked)
            break;
    }
    inbound_flush(e);
}

void
engine_sent(struct engine *e, uint64_t now_ms, const struct dm_address *to)
{
    struct session *s = session_find_address(e, to);

    engine_at(e, now_ms);
    if (s == NULL || !talk_of(s)->late)
        return;
    s->talk->late = false;
    s->talk->retry_at_ms = engine_add_ms(now_ms, settings_of(e, s)->retry_ms);
    session_schedule(e, s);
}

void
engine_late(struct engine *e, const struct dm_address *to)
{
    struct session *s = session_find_address(e, to);

    if (s == NULL || talk_of(s)->exchange == EXCHANGE_NONE)
        return;
    s->talk->late = true;
    s->talk->retry_at_ms = ENGINE_NEVER;
    session_schedule(e, s);
}

void
engine_link_mtu(struct engine *e, uint8_t link, uint16_t mtu)
{
    assert(link < e->options->link_count);
    e->links[link].mtu = mtu;
}

void
engine_link_congested(struct engine *e, uint8_t link, bool congested)
{
    assert(link < e->options->link_count);
    e->links[link].congested = congested;
}

void
engine_committed(struct engine *e, uint64_t now_ms, uint64_t seq)
{
    struct session *s;
    struct session *next;

    engine_at(e, now_ms);
    assert(seq <= e->seq);
    if (seq > e->committed_seq)
        e->committed_seq = seq;
    uplink_pump(e, &e->shared);
    own_committed(e);
    inbound_flush(e);
    DL_FOREACH_SAFE2 (e->waiting, s, next, talk->waiting_next) {
        if (talk_waits_for_disk(e, s))
            continue;
        DL_DELETE2(e->waiting, s, talk->waiting_prev, talk->waiting_next);
        s->talk->waiting = false;
        downlink_pump(e, s);
        session_schedule(e, s);
        talk_end(e, s);
    }
    own_settle(e);
}

void
engine_store_degraded(struct engine *e, bool degraded)
{
    e->degraded = degraded;
}

void
engine_time(struct engine *e, uint64_t now_ms)
{
    struct session *s;

    engine_at(e, now_ms);
    while ((s = session_first_due(e)) != NULL)
        session_timeout(e, s);
    uplink_time(e, &e->shared);
    own_time(e);
    handshake_timeout(e);
    discovery_timeout(e);
    inbound_flush(e);
}

uint64_t
engine_next_deadline(const struct engine *e)
{
    uint64_t deadlines[] = {e->own_due_ms, uplink_deadline(&e->shared), handshake_deadline(e),
                            discovery_deadline(e)};
    uint64_t earliest = e->heap_count > 0 ? e->heap[1]->deadline_ms : ENGINE_NEVER;

    for (size_t i = 0; i < sizeof deadlines / sizeof deadlines[0]; i++)
        if (deadlines[i] < earliest)
            earliest = deadlines[i];
    bool supervises = e->heap_count > 0 && e->heap[1]->deadline_ms != ENGINE_NEVER;
    uint64_t heartbeat = e->now_ms + HEARTBEAT_MS;

    return supervises && heartbeat < earliest ? heartbeat : earliest;
}

void
engine_shutdown(struct engine *e, uint64_t now_ms)
{
    struct session *s;
    struct delivery *d;

    engine_at(e, now_ms);
    DL_FOREACH (e->sessions, s) {
        DL_FOREACH (s->queue, d) {
            if (d->qos > 0 || d->stored)
                continue;
            if (!d->message->stored)
                record_message(e, s->trunk, d->message);
            d->stored = true;
            record_delivery(e, s, d);
        }
    }
}
