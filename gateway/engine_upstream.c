/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's side of the broker connection: names with the gateway's prefix, and subscriptions
 * kept equal to what the devices want.
 */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

#include "topic.h"

enum { REQUESTS_OPEN_MAX = 1000 }; /* leaves packet ids for messages */

/* ---- names with the gateway's prefix ---- */

struct dm_span
upstream_name(struct engine *e, struct dm_span name)
{
    struct dm_span prefix = dm_span_text(e->options->topic_prefix);

    if (prefix.len == 0)
        return name;
    e->upstream_text.len = 0;
    if (!buffer_append(&e->upstream_text, prefix) || !buffer_append(&e->upstream_text, name))
        return (struct dm_span){0};
    return buffer_span(&e->upstream_text);
}

bool
upstream_publish(struct engine *e, struct trunk *t, const struct upstream_message *message)
{
    enum dm_result result = engine_send_upstream(
        e, t, message->needs,
        &(struct mqtt_packet){.type = MQTT_PUBLISH,
                              .topic = upstream_name(e, name_span(message->name)),
                              .payload = message->payload,
                              .qos = message->qos,
                              .retain = message->retain && t->granted.retain_available,
                              .packet_id = message->packet_id,
                              .dup = message->dup});

    return result != DM_FULL && result != DM_INVALID;
}

/* ---- subscriptions ---- */

/* QoS 2, downgraded per device (design 6); what waits at the broker is what the device asked for.
 */
static uint8_t
request_qos(const struct trunk *t, const struct request *r)
{
    const struct filter *f = t->hold_at_broker ? filter_find(t, r->filter) : NULL;
    uint8_t qos = f != NULL && f->subscriptions != NULL ? f->subscriptions->qos : 2;

    return qos < t->granted.maximum_qos ? qos : t->granted.maximum_qos;
}

/* Copies may carry its identifier from now on. */
static void
note_given(struct engine *e, struct trunk *t, const struct request *r)
{
    struct subscription *sub = subscription_by_id(t, r->upstream_id);
    struct filter *f = filter_find(t, r->filter);

    if (sub != NULL)
        sub->given = true;
    else if (f != NULL)
        filter_id_know(e, t, f, r->upstream_id);
}

static void
request_send(struct engine *e, struct trunk *t, struct request *r)
{
    struct mqtt_packet packet = {.type = r->subscribe ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE,
                                 .packet_id = r->packet_id,
                                 .topic = upstream_name(e, name_span(r->filter)),
                                 .qos = request_qos(t, r),
                                 .retain_handling = r->retained ? 0 : 2};

    if (r->subscribe && t->granted.subscription_ids_available) {
        packet.subscription_ids[0] = r->upstream_id;
        packet.subscription_id_count = 1;
    }
    if (r->subscribe) {
        note_given(e, t, r);

        struct recent_request *recent = &t->recent[t->recent_next++ % RECENT_REQUESTS];

        name_unref(e, recent->filter);
        *recent = (struct recent_request){.session = r->retained ? r->session : 0,
                                          .filter = name_ref(r->filter)};
    }
    r->sent = true;
    t->requests_open++;
    /* All requests wait for the newest record: none overtakes another, and no identifier is given
     * to the broker that a restart would not know. */
    engine_send_upstream(e, t, t->request_seq, &packet);
}

static void
requests_pump(struct engine *e, struct trunk *t)
{
    while (t->up && t->request_next != NULL && t->requests_open < REQUESTS_OPEN_MAX) {
        struct request *r = t->request_next;

        /* MQTT 3.1.1: one at a time, or a retained message could not be told apart (design 6). */
        if (!t->granted.subscription_ids_available && r != t->requests)
            return;
        r->packet_id = packet_id_take(t);
        if (r->packet_id == 0)
            return;
        t->request_next = r->next;
        request_send(e, t, r);
    }
}

static void
request_add(struct engine *e, struct trunk *t, bool subscribe, struct name *filter,
            const struct session *s, uint32_t upstream_id, bool retained)
{
    struct request *r = calloc(1, sizeof *r);

    if (r == NULL) {
        log_error("upstream", "out of memory; the subscription is made at the next connection");
        return;
    }
    *r = (struct request){.subscribe = subscribe,
                          .filter = name_ref(filter),
                          .session = s != NULL ? s->number : 0,
                          .upstream_id = upstream_id,
                          .retained = retained};
    DL_APPEND(t->requests, r);
    t->unsubscribes += !subscribe;
    if (t->request_next == NULL)
        t->request_next = r;
    struct session *asks = session_find_number(e, r->session);
    if (asks != NULL)
        asks->open_requests++;
    requests_pump(e, t);
}

static void
request_free(struct engine *e, struct trunk *t, struct request *r)
{
    if (r->packet_id != 0)
        packet_id_release(t, r->packet_id);
    t->requests_open -= r->sent;
    t->unsubscribes -= !r->subscribe;
    struct session *asked = session_find_number(e, r->session);
    if (asked != NULL)
        asked->open_requests--;
    if (t->request_next == r)
        t->request_next = r->next;
    DL_DELETE(t->requests, r);
    name_unref(e, r->filter);
    free(r);
}

void
upstream_subscribe(struct engine *e, struct trunk *t, struct name *filter, const struct session *s,
                   uint32_t upstream_id, bool retained, uint64_t seq)
{
    if (seq > t->request_seq)
        t->request_seq = seq;
    request_add(e, t, true, filter, s, upstream_id, retained);
}

void
upstream_unsubscribe(struct engine *e, struct trunk *t, struct name *filter)
{
    struct filter *f = filter_find(t, filter);

    if (!t->up || (t->connection != 0 && t->session == NULL))
        return; /* the next connection sees the difference, or the broker's session is wiped */
    if (f != NULL && !f->leaving) {
        f->leaving = true;
        if (f->acked)
            record_filter(e, t, f, f->acked_id, true);
    }
    t->request_seq = e->seq; /* the end of the subscription is durable first */
    request_add(e, t, false, filter, NULL, 0, false);
}

static struct request *
request_find(struct trunk *t, uint16_t packet_id, bool subscribe)
{
    struct request *r;

    DL_FOREACH (t->requests, r)
        if (r->sent && r->packet_id == packet_id && r->subscribe == subscribe)
            return r;
    return NULL;
}

/* Quota exceeded, packet identifier in use. */
static bool
is_transient(uint8_t reason)
{
    return reason == 0x97 || reason == 0x91;
}

static enum mqttsn_return_code
suback_code(uint8_t reason)
{
    if (reason <= 2)
        return MQTTSN_ACCEPTED;
    return is_transient(reason) ? MQTTSN_CONGESTION : MQTTSN_NOT_SUPPORTED;
}

/* The broker refuses. A device that was told otherwise while the broker was away must begin again:
 * its next message is answered by DISCONNECT (design 6). */
static void
subscription_refused(struct engine *e, struct subscription *sub, uint8_t reason)
{
    struct session *s = sub->session;
    char id[128];
    char filter[128];

    log_warning("upstream", "client %s: broker refuses the subscription to %s, reason 0x%02x",
                log_escape(id, sizeof id, dm_span(s->client_id, s->client_id_len)),
                log_escape(filter, sizeof filter, name_of_session(e, s, sub->filter->name)),
                reason);
    bool told_otherwise = !sub->owes_suback;

    subscription_answer(e, sub, suback_code(reason));
    subscription_remove(e, sub, true);
    if (told_otherwise) {
        session_leave(e, s, ENGINE_DISCONNECTED); /* s may be gone */
        return;
    }
    downlink_pump(e, s);
    session_schedule(e, s);
}

/* An UNSUBSCRIBE for the filter is on its way behind this SUBSCRIBE. */
static bool
is_left_again(const struct trunk *t, const struct request *r)
{
    const struct request *later;

    if (t->unsubscribes == 0) /* a hundred thousand may follow a reconnect, but SUBSCRIBEs */
        return false;
    LL_FOREACH (r->next, later)
        if (!later->subscribe && later->filter == r->filter)
            return true;
    return false;
}

/* What the broker said of it. May free the subscription, its filter, and its session. */
static void
subscription_done(struct engine *e, struct subscription *sub, uint8_t reason)
{
    if (reason > 2) {
        subscription_refused(e, sub, reason);
        return;
    }
    sub->confirmed = true;
    subscription_answer(e, sub, MQTTSN_ACCEPTED);
    downlink_pump(e, sub->session);
    session_schedule(e, sub->session);
}

static void
subscribe_done(struct engine *e, struct trunk *t, const struct request *r, uint8_t reason)
{
    struct filter *f = filter_find(t, r->filter);
    struct subscription *sub;
    struct subscription *next;

    if (reason <= 2) {
        if (f == NULL) /* nobody wants it any more, but the broker holds it until UNSUBACK */
            f = filter_get(e, t, r->filter);
        if (f == NULL || !filter_id_know(e, t, f, r->upstream_id)) /* its copies carry this one */
            return;
        if (!is_left_again(t, r))
            filter_hold(e, t, f, r->upstream_id);
    }
    if (f == NULL)
        return;
    if (reason > 2 && r->session == 0 && filter_is_held(f) && is_transient(reason))
        return; /* the broker holds it all the same */
    /* Identifiers grow: a SUBSCRIBE with a later one has its own answer. */
    if (r->session != 0) {
        const struct session *s = session_find_number(e, r->session);

        sub = s != NULL ? subscription_find(s, r->filter) : NULL;
        if (sub != NULL && sub->upstream_id == r->upstream_id)
            subscription_done(e, sub, reason);
        return;
    }
    DL_FOREACH_SAFE2 (f->subscriptions, sub, next, filter_next)
        if (sub->upstream_id <= r->upstream_id)
            subscription_done(e, sub, reason); /* the last one frees f; the list ends with it */
}

/* An old session has its open messages sent before this, a new one has none. Without any it makes
 * no difference if the filters count as held only from their SUBACK on. */
static void
doubt_filters(struct trunk *t)
{
    struct filter *f;

    t->doubtful = false;
    for (struct pointer_index_place at = {0}; (f = filter_next(t, &at)) != NULL;)
        f->acked = f->leaving;
}

/* What the broker refused to renew, it may hold from before. */
static void
leave_if_refused(struct engine *e, struct trunk *t, struct name *filter, uint8_t reason)
{
    const struct filter *f = reason > 2 ? filter_find(t, filter) : NULL;

    if (f != NULL && f->subscriptions == NULL && filter_is_held(f))
        upstream_unsubscribe(e, t, filter);
}

static void
handle_suback(struct engine *e, struct trunk *t, const struct mqtt_packet *packet)
{
    struct request *r = request_find(t, packet->packet_id, true);

    if (r == NULL)
        return;
    if (t->doubtful)
        doubt_filters(t);
    subscribe_done(e, t, r, packet->reason);
    leave_if_refused(e, t, r->filter, packet->reason);
    request_free(e, t, r);
    requests_pump(e, t);
}

static void
handle_unsuback(struct engine *e, struct trunk *t, const struct mqtt_packet *packet)
{
    struct request *r = request_find(t, packet->packet_id, false);
    struct filter *f = r != NULL ? filter_find(t, r->filter) : NULL;

    if (r == NULL)
        return;
    if (f != NULL)
        filter_release(e, t, f, true);
    request_free(e, t, r);
    requests_pump(e, t);
}

/* There was a connection since the start. */
static bool
has_met(const struct engine *e, const struct trunk *t)
{
    return t->connection == 0 ? e->broker->met : t->met;
}

/* What the broker holds and what the devices want may differ. */
static void
reconcile_filter(struct engine *e, struct trunk *t, struct filter *f)
{
    struct subscription *sub;
    const struct subscription *newest = NULL;
    bool asked = false;

    if (f->subscriptions == NULL) {
        upstream_unsubscribe(e, t, f->name);
        return;
    }
    DL_FOREACH2 (f->subscriptions, sub, filter_next) {
        if (newest == NULL || sub->upstream_id > newest->upstream_id)
            newest = sub;
        if (sub->confirmed)
            continue;
        upstream_subscribe(e, t, f->name, sub->session, sub->upstream_id, true, sub->session->seq);
        asked = true;
    }
    /* All others are made again too where that can be done without their retained messages: a
     * broker that was killed may come back with its session as it was before the last SUBSCRIBE it
     * acknowledged. And always after a start: the process before may have been killed when it had
     * just made a new session. */
    if (!asked && (!filter_is_held(f) || t->granted.subscription_ids_available || !has_met(e, t)))
        upstream_subscribe(e, t, f->name, NULL, newest->upstream_id, false, newest->session->seq);
}

/* The oldest filters first: if this process is killed when the broker has made a new session but
 * its answers are not durable, the next one knows the filters by the age they had before, and
 * sessions take the copies for the oldest. */
static void
reconcile(struct engine *e, struct trunk *t)
{
    struct filter **filters = filters_by_age(t);
    struct filter *f;

    for (size_t i = 0; filters != NULL && filters[i] != NULL; i++)
        reconcile_filter(e, t, filters[i]);
    for (struct pointer_index_place at = {0}; filters == NULL && (f = filter_next(t, &at)) != NULL;)
        reconcile_filter(e, t, f); /* without memory in no order */
    free(filters);
}

/* ---- inputs ---- */

void
engine_upstream_packet(struct engine *e, uint64_t now_ms, uint64_t connection,
                       const struct mqtt_packet *packet)
{
    struct trunk *t = trunk_find(e, connection);

    engine_at(e, now_ms);
    if (t == NULL || (connection != 0 && !t->up))
        return;
    trunk_touch(e, t);
    switch (packet->type) {
    case MQTT_PUBLISH:
        t->doubtful = false;
        inbound_message(e, t, packet);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBCOMP:
        uplink_acknowledged(e, t, packet);
        requests_pump(e, t); /* one may wait for a packet id */
        break;
    case MQTT_PUBREL:
        t->doubtful = false;
        inbound_pubrel(e, t, packet);
        break;
    case MQTT_SUBACK:
        handle_suback(e, t, packet);
        break;
    case MQTT_UNSUBACK:
        handle_unsuback(e, t, packet);
        break;
    default:
        break;
    }
    inbound_flush(e);
}

/* ---- connection ---- */

static void
forget_filters(struct engine *e, struct trunk *t)
{
    struct filter *f;

    for (struct pointer_index_place at = {0}; (f = filter_next(t, &at)) != NULL;)
        filter_release(e, t, f, false);
}

/* The broker has nothing of ours: no packet id, no filter, no message in flight. */
static void
forget_broker_session(struct engine *e, struct trunk *t)
{
    inbound_forget_all(e, t);
    forget_filters(e, t);
    /* Clears the rows of filters and packet ids. Until that is durable the new session stays as it
     * is: a process that begins meanwhile would take it for the old one. */
    if (t->connection == 0) {
        e->broker->used = ++e->broker_uses;
        t->broker_seq = record_broker(e, STORE_BROKER_PUT);
    } else {
        t->note = 0;
        t->broker_seq = record_own(e, t, STORE_BROKER_PUT);
    }
    if (e->reserved_upstream_id != 0)
        upstream_ids_reserve(e);
}

bool
engine_upstream_is_idle(const struct engine *e)
{
    const struct trunk *t = &e->shared;

    return t->uplinks_in_flight == 0 && t->inbound_held == 0 && t->requests == NULL &&
           t->owed == NULL;
}

void
engine_upstream_connected(struct engine *e, uint64_t now_ms, uint64_t connection,
                          const struct upstream_session *session)
{
    struct trunk *t = trunk_find(e, connection);

    engine_at(e, now_ms);
    if (t == NULL)
        return;
    if (t->connection == 0)
        broker_enter(e, session->broker);
    else if (!t->opened || t->up)
        return; /* it is closed by now */
    bool known = t->connection != 0 ? !t->fresh && t->note == 0 : broker_is_known(e);
    bool present = session->session_present && (t->connection != 0 || known);

    t->granted = *session;
    t->up = true;
    t->connected_ms = now_ms;
    if (!present) {
        if (known)
            log_warning("upstream", "the broker has lost its session; subscribing again");
        forget_broker_session(e, t);
    }
    t->doubtful = present && !has_met(e, t);
    if (t->connection != 0)
        own_connected(e, t, present);
    uplink_connected(e, t, present);
    reconcile(e, t);
    if (t->connection == 0) {
        e->broker->met = true;
        discovery_connected(e);
    } else {
        t->met = true;
        trunk_touch(e, t);
        if (t->session != NULL) {
            downlink_pump(e, t->session);
            session_schedule(e, t->session);
        }
    }
    inbound_flush(e);
}

void
engine_upstream_disconnected(struct engine *e, uint64_t now_ms, uint64_t connection,
                             enum upstream_end why)
{
    struct trunk *t = trunk_find(e, connection);

    engine_at(e, now_ms);
    if (t == NULL)
        return;
    if (t->up || connection == 0)
        upstream_down(e, t);
    if (connection != 0 && (t->opened || t->wiping))
        own_disconnected(e, t, why);
    inbound_flush(e);
}

/* They need not wait for the broker: what they asked for is carried out later (design 6). */
static void
answer_session(struct engine *e, struct session *s)
{
    struct subscription *sub;

    LL_FOREACH (s->subscriptions, sub)
        subscription_answer(e, sub, MQTTSN_ACCEPTED);
    downlink_pump(e, s);
    session_schedule(e, s);
}

void
upstream_down(struct engine *e, struct trunk *t)
{
    struct session *s;

    e->own_up -= t->connection != 0 && t->up;
    t->up = false;
    while (t->requests != NULL)
        request_free(e, t, t->requests);
    inbound_disconnected(t);
    inbound_expect_no_more(e, t);
    uplink_disconnected(e, t);
    if (t->connection != 0 && t->session != NULL)
        answer_session(e, t->session);
    if (t->connection != 0)
        return;
    DL_FOREACH (e->sessions, s)
        if (s->trunk == t)
            answer_session(e, s);
}

void
upstream_free(struct engine *e, struct trunk *t)
{
    while (t->requests != NULL)
        request_free(e, t, t->requests);
    inbound_forget_all(e, t);
    for (size_t i = 0; i < RECENT_REQUESTS; i++)
        name_unref(e, t->recent[i].filter);
    forget_filters(e, t);
}
