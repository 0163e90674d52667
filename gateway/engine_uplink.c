/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of devices on their way to the broker, and the spool that keeps them while it is away
 * (design 5). One list in order of arrival; a message leaves it when the broker has taken it over.
 *   waiting -> PUBLISH sent -> QoS 1: PUBACK -> gone
 *                           -> QoS 2: PUBREC -> released, PUBREL sent -> PUBCOMP -> gone
 * A QoS 2 body is kept until PUBCOMP: a broker that forgets its session before PUBREL never
 * forwarded it.
 */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

#include "topic.h"

enum { UPLINKS_IN_FLIGHT_MAX = 1000 }; /* however large the broker's window is */

enum { PACKET_ID_IN_USE = 0x91, QUOTA_EXCEEDED = 0x97 }; /* MQTT 5 reason codes */

/* ---- the list ---- */

static uint64_t
uplink_octets(const struct uplink *u)
{
    return u->topic->len + u->len;
}

static void
set_waiting(struct engine *e, struct uplink *u, bool waiting)
{
    struct session *s = u->waiting != waiting ? session_find_number(e, u->session) : NULL;

    u->waiting = waiting;
    if (s != NULL && waiting)
        s->waiting_uplinks++;
    else if (s != NULL)
        s->waiting_uplinks--;
}

struct uplink *
uplink_new(struct engine *e, struct trunk *t, uint64_t session, struct name *topic,
           struct dm_span payload)
{
    struct uplink *u = malloc(sizeof *u + payload.len);

    if (u == NULL)
        return NULL;
    *u = (struct uplink){.topic = name_ref(topic),
                         .store_at_ms = ENGINE_NEVER,
                         .len = (uint32_t)payload.len,
                         .qos = 1};
    if (payload.len > 0)
        memcpy(u->payload, payload.data, payload.len);
    u->session = session;
    set_waiting(e, u, true);
    DL_APPEND(t->uplinks, u);
    trunk_touch(e, t);
    if (t->uplink_next == NULL)
        t->uplink_next = u;
    e->status.spooled_messages++;
    e->status.spooled_octets += uplink_octets(u);
    return u;
}

void
uplink_free(struct engine *e, struct trunk *t, struct uplink *u)
{
    if (t->uplink_next == u)
        t->uplink_next = u->next;
    if (t->uplink_unanswered == u)
        t->uplink_unanswered = u->next;
    set_waiting(e, u, false);
    if (u->in_flight)
        t->uplinks_in_flight--;
    if (u->packet_id != 0)
        packet_id_release(t, u->packet_id);
    e->status.spooled_messages--;
    e->status.spooled_octets -= uplink_octets(u);
    DL_DELETE(t->uplinks, u);
    if (t->uplinks == NULL)
        trunk_touch(e, t); /* perhaps it was all that kept it */
    name_unref(e, u->topic);
    free(u);
}

void
uplinks_free(struct engine *e, struct trunk *t)
{
    while (t->uplinks != NULL)
        uplink_free(e, t, t->uplinks);
    owed_clear(t);
}

/* ---- answers ---- */

void
uplink_answer(struct engine *e, struct uplink *u, enum mqttsn_return_code code)
{
    struct session *s = session_find_number(e, u->session);

    if (u->answered)
        return;
    u->answered = true;
    if (s == NULL)
        return;
    s->open_uplinks--;
    if (u->qos == 2 && code != MQTTSN_ACCEPTED)
        received_remove(e, s, u->msg_id); /* R47: the refusal ends the exchange */
    if (u->naps == s->naps) {
        if (u->qos == 2 && code == MQTTSN_ACCEPTED)
            send_pubrec(e, s, u->seq, u->msg_id);
        else
            send_puback(e, s, u->seq, u->topic_id, u->msg_id, code);
    } else if (u->qos == 1 && code == MQTTSN_ACCEPTED) {
        /* It fell asleep: answered when it repeats (design 3). QoS 2 is found by its MsgId. */
        s->talk->unanswered = u->msg_id;
        s->talk->unanswered_seq = u->seq;
        s->talk->unanswered_content =
            content_of(name_span(u->topic), 0, dm_span(u->payload, u->len), false);
    }
    session_wait(e, s); /* perhaps nothing more is said */
}

void
uplink_store(struct engine *e, struct uplink *u)
{
    u->seq = record_uplink(e, u);
    u->stored = true;
}

void
uplink_await(struct engine *e, struct trunk *t, struct uplink *u, uint64_t store_after_ms)
{
    if (t->uplink_unanswered == NULL) {
        t->uplink_unanswered = u;
        t->uplink_store_ms = ENGINE_NEVER;
    }
    u->store_at_ms = engine_add_ms(e->now_ms, store_after_ms);
    if (u->store_at_ms < t->uplink_store_ms)
        t->uplink_store_ms = u->store_at_ms;
    if (t->connection != 0)
        own_due_at(e, u->store_at_ms);
}

/* Takes over what the broker has not acknowledged and is to be stored by then. */
static void
store_until(struct engine *e, struct trunk *t, uint64_t until_ms)
{
    struct uplink *u;

    t->uplink_store_ms = ENGINE_NEVER;
    for (u = t->uplink_unanswered; u != NULL; u = u->next) {
        if (!u->answered && u->store_at_ms <= until_ms) {
            if (!u->stored)
                uplink_store(e, u);
            uplink_answer(e, u, MQTTSN_ACCEPTED);
        } else if (!u->answered && u->store_at_ms < t->uplink_store_ms) {
            t->uplink_store_ms = u->store_at_ms;
        }
    }
    while (t->uplink_unanswered != NULL && t->uplink_unanswered->answered)
        t->uplink_unanswered = t->uplink_unanswered->next;
}

/* The first that waited for may be gone: then this is too early, once. */
static uint64_t
store_deadline(const struct trunk *t)
{
    return t->uplink_unanswered != NULL ? t->uplink_store_ms : ENGINE_NEVER;
}

void
uplink_time(struct engine *e, struct trunk *t)
{
    if (store_deadline(t) <= e->now_ms)
        store_until(e, t, e->now_ms);
    if (t->uplink_pause_until_ms != 0 && t->uplink_pause_until_ms <= e->now_ms) {
        t->uplink_pause_until_ms = 0;
        uplink_pump(e, t);
    }
}

uint64_t
uplink_deadline(const struct trunk *t)
{
    uint64_t deadline = store_deadline(t);

    return t->uplink_pause_until_ms != 0 && t->uplink_pause_until_ms < deadline
               ? t->uplink_pause_until_ms
               : deadline;
}

bool
uplink_has_room(const struct engine *e, size_t octets)
{
    uint64_t used = e->status.spooled_octets + e->status.spooled_messages * ENGINE_MESSAGE_OVERHEAD;

    return used + octets + ENGINE_MESSAGE_OVERHEAD <= e->options->spool_bytes;
}

/* ---- towards the broker ---- */

/* The end of an uplink: the broker took it, or will never take it. */
static void
uplink_finish(struct engine *e, struct trunk *t, struct uplink *u, enum mqttsn_return_code code)
{
    char topic[128];

    if (code != MQTTSN_ACCEPTED)
        log_warning("uplink", "the broker does not take a message on %s%s",
                    log_escape(topic, sizeof topic, name_span(u->topic)),
                    u->answered ? "; it was acknowledged from the spool and is lost" : "");
    if (code != MQTTSN_ACCEPTED)
        e->status.uplink_refused++;
    uplink_answer(e, u, code);
    if (u->released)
        record_release(e, t, u->packet_id, false);
    if (u->stored)
        record_uplink_delete(e, u);
    uplink_free(e, t, u);
}

/* A broker that knows less than QoS 2 gets what it knows, and there is no more to promise
 * (reference 5.1). */
static uint8_t
upstream_qos(const struct trunk *t, const struct uplink *u)
{
    if (u->released)
        return 2;
    return u->qos < t->granted.maximum_qos ? u->qos : t->granted.maximum_qos;
}

/* What it waits for, and what its device sent before it. */
static uint64_t
uplink_needs(const struct trunk *t, const struct uplink *u, const struct session *s)
{
    uint64_t needs = u->needs > t->broker_seq ? u->needs : t->broker_seq;

    return s != NULL && talk_of(s)->uplink_seq > needs ? talk_of(s)->uplink_seq : needs;
}

/* A packet id for a message that has none; that of a QoS 2 message is committed before it leaves.
 */
static bool
take_packet_id(struct engine *e, struct trunk *t, struct uplink *u)
{
    if (u->packet_id != 0)
        return true;
    u->packet_id = packet_id_take(t);
    if (u->packet_id == 0)
        return false;
    if (u->qos == 2) {
        uplink_store(e, u);
        u->needs = u->seq;
    }
    return true;
}

/* Sends it. Frees it if the broker can never take it, or if no answer is to come. */
static void
uplink_send(struct engine *e, struct trunk *t, struct uplink *u)
{
    struct session *s = session_find_number(e, u->session);
    uint8_t qos = upstream_qos(t, u);
    uint64_t needs = uplink_needs(t, u, s);

    set_waiting(e, u, false);
    if (s != NULL && needs > e->committed_seq && !talk_note_uplink(e, s, needs))
        t->broker_seq = needs; /* then nobody overtakes it */
    if (u->released) {         /* brokers forward a message now: nothing may overtake this either */
        engine_send_upstream(e, t, needs,
                             &(struct mqtt_packet){.type = MQTT_PUBREL, .packet_id = u->packet_id});
        return;
    }
    bool taken =
        upstream_publish(e, t,
                         &(struct upstream_message){.name = u->topic,
                                                    .payload = dm_span(u->payload, u->len),
                                                    .needs = needs,
                                                    .packet_id = qos > 0 ? u->packet_id : 0,
                                                    .qos = qos,
                                                    .retain = u->retain,
                                                    .dup = u->sent && qos > 0});
    u->sent = true;
    if (!taken)
        uplink_finish(e, t, u, MQTTSN_NOT_SUPPORTED);
    else if (qos == 0)
        uplink_finish(e, t, u, MQTTSN_ACCEPTED);
}

void
uplink_pump(struct engine *e, struct trunk *t)
{
    while (t->up && t->uplink_next != NULL && t->uplink_pause_until_ms <= e->now_ms) {
        struct uplink *u = t->uplink_next;

        if (u->in_flight) { /* behind one that is sent again */
            t->uplink_next = u->next;
            continue;
        }
        /* QoS 0 has no answer that would bring it back: it leaves for good when it may leave. */
        if (upstream_qos(t, u) == 0 &&
            uplink_needs(t, u, session_find_number(e, u->session)) > e->committed_seq) {
            trunk_block(e, t);
            return;
        }
        if (upstream_qos(t, u) > 0) {
            if (t->uplinks_in_flight >= t->granted.send_maximum ||
                t->uplinks_in_flight >= UPLINKS_IN_FLIGHT_MAX || !take_packet_id(e, t, u))
                return; /* the next acknowledgement comes back here */
            u->in_flight = true;
            t->uplinks_in_flight++;
        }
        t->uplink_next = u->next;
        uplink_send(e, t, u);
    }
}

/* The broker has no session: what it may have taken is published again as new (design 6). */
static void
forget_packet_id(struct engine *e, struct trunk *t, struct uplink *u)
{
    u->sent = false;
    u->released = false; /* its row went with the broker's session */
    if (u->packet_id == 0)
        return;
    packet_id_release(t, u->packet_id);
    u->packet_id = 0;
    if (u->stored) /* no two rows may have one id */
        uplink_store(e, u);
}

void
uplink_connected(struct engine *e, struct trunk *t, bool session_present)
{
    struct uplink *u;

    owed_send(e, t, session_present);
    DL_FOREACH (t->uplinks, u) {
        u->in_flight = false;
        set_waiting(e, u, true);
        if (!session_present)
            forget_packet_id(e, t, u);
    }
    t->uplinks_in_flight = 0;
    t->uplink_next = t->uplinks;
    t->uplink_pause_until_ms = 0;
    uplink_pump(e, t);
}

void
uplink_disconnected(struct engine *e, struct trunk *t)
{
    struct uplink *u;
    struct uplink *next;

    DL_FOREACH_SAFE (t->uplinks, u, next) {
        u->in_flight = false;
        set_waiting(e, u, true);
        if (u->qos > 0 || u->stored)
            continue;
        e->status.uplink_dropped++; /* QoS 0 is not spooled */
        uplink_free(e, t, u);
    }
    t->uplinks_in_flight = 0;
    t->uplink_next = t->uplinks;
    store_until(e, t, ENGINE_NEVER); /* the devices need not wait for the broker to come back */
}

static enum mqttsn_return_code
return_code_of(uint8_t reason)
{
    if (reason < 0x80)
        return MQTTSN_ACCEPTED;
    return reason == 0x97 ? MQTTSN_CONGESTION : MQTTSN_NOT_SUPPORTED; /* reference 5.4 */
}

static struct uplink *
find_in_flight(struct trunk *t, uint16_t packet_id)
{
    struct uplink *u;
    size_t left = t->uplinks_in_flight;

    for (u = t->uplinks; u != NULL && left > 0; u = u->next) {
        if (u->in_flight && u->packet_id == packet_id)
            return u;
        left -= u->in_flight;
    }
    return NULL;
}

/* PUBREC: the message is the broker's as soon as PUBREL follows, which waits for nobody (design 5)
 * but the disk. */
static void
uplink_release(struct engine *e, struct trunk *t, struct uplink *u)
{
    uplink_answer(e, u, MQTTSN_ACCEPTED);
    if (!u->released) {
        u->released = true;
        u->seq = record_release(e, t, u->packet_id, true);
        u->needs = u->seq;
    }
    uplink_send(e, t, u);
}

/* The broker has no room, and the device has its acknowledgement: sent again later, and nothing
 * else meanwhile. */
static void
uplink_postpone(struct engine *e, struct trunk *t, struct uplink *u)
{
    const struct uplink *later;

    if (t->uplink_pause_until_ms <= e->now_ms)
        log_warning("uplink", "the broker's quota is exceeded: sending again in %llu s",
                    (unsigned long long)(e->options->settings.retry_ms / 1000));
    t->uplink_pause_until_ms = engine_add_ms(e->now_ms, e->options->settings.retry_ms);
    if (t->connection != 0)
        own_due_at(e, t->uplink_pause_until_ms);
    u->in_flight = false;
    u->sent = false; /* its exchange has ended */
    t->uplinks_in_flight--;
    set_waiting(e, u, true);
    for (later = u->next; later != NULL && later != t->uplink_next; later = later->next) {
    }
    if (later == t->uplink_next) /* or it stands behind it already */
        t->uplink_next = u;
}

/* The broker thinks that the id is taken (reference 5.4): nobody is told, another one is. */
static void
uplink_send_as_another(struct engine *e, struct trunk *t, struct uplink *u)
{
    uint16_t old = u->packet_id;

    u->packet_id = 0;
    u->sent = false;
    bool taken = take_packet_id(e, t, u);

    if (u->packet_id != old)
        packet_id_release(t, old);
    if (taken)
        uplink_send(e, t, u);
    else
        uplink_finish(e, t, u, MQTTSN_CONGESTION);
}

void
uplink_acknowledged(struct engine *e, struct trunk *t, const struct mqtt_packet *packet)
{
    struct uplink *u = find_in_flight(t, packet->packet_id);
    enum mqttsn_return_code code = return_code_of(packet->reason);

    if (u == NULL) {
        if (packet->type == MQTT_PUBCOMP)
            owed_done(e, t, packet->packet_id);
        return;
    }
    uint8_t qos = upstream_qos(t, u);

    if (qos == 1 ? packet->type != MQTT_PUBACK : packet->type == MQTT_PUBACK)
        return;
    if (packet->reason == PACKET_ID_IN_USE && packet->type != MQTT_PUBCOMP) {
        uplink_send_as_another(e, t, u);
        return;
    }
    if (packet->type == MQTT_PUBREC && code == MQTTSN_ACCEPTED) {
        uplink_release(e, t, u);
        return;
    }
    if (packet->type == MQTT_PUBCOMP) {
        if (!u->released)
            return;
        code = MQTTSN_ACCEPTED; /* "packet identifier not found": it was complete before */
    }
    if (packet->reason == QUOTA_EXCEEDED && u->answered) {
        uplink_postpone(e, t, u);
        return;
    }
    uplink_finish(e, t, u, code);
    uplink_pump(e, t);
}

enum dm_result
uplink_load(struct engine *e, struct trunk *t, const struct store_record *record)
{
    if (!topic_name_is_valid(record->name) || record->qos > 2)
        return DM_MALFORMED;
    struct name *topic = name_get(e, record->name);
    struct uplink *u =
        topic != NULL ? uplink_new(e, t, record->session, topic, record->payload) : NULL;

    name_unref(e, topic);
    if (u == NULL)
        return DM_NO_MEMORY;
    u->order = record->order;
    u->msg_id = record->msg_id;
    u->packet_id = record->packet_id;
    u->sent = record->packet_id != 0;
    u->qos = record->qos;
    u->retain = record->retain;
    u->stored = true;
    u->answered = true;
    if (u->packet_id != 0)
        packet_id_reserve(t, u->packet_id);
    if (u->order > e->last_spool)
        e->last_spool = u->order;
    if (u->session > e->last_session) /* its session is gone; the number is not given again */
        e->last_session = u->session;
    return DM_OK;
}
