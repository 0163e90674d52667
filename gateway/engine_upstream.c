/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's side of the broker connection: packet ids, names with the gateway's prefix, and
 * subscriptions kept equal to what the devices want.
 */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

#include "topic.h"

/* ---- packet ids ---- */

static bool
packet_id_is_used(const struct engine *e, uint16_t id)
{
    return (e->packet_ids[id / 8] >> (id % 8) & 1) != 0;
}

void
packet_id_reserve(struct engine *e, uint16_t id)
{
    e->packet_ids[id / 8] |= (uint8_t)(1u << (id % 8));
}

void
packet_id_release(struct engine *e, uint16_t id)
{
    e->packet_ids[id / 8] &= (uint8_t) ~(1u << (id % 8));
}

uint16_t
packet_id_take(struct engine *e)
{
    for (uint32_t tries = 0; tries < 65536; tries++) {
        e->last_packet_id++;
        if (e->last_packet_id == 0 || e->last_packet_id == ENGINE_FOREIGN_PACKET_ID ||
            packet_id_is_used(e, e->last_packet_id))
            continue;
        packet_id_reserve(e, e->last_packet_id);
        return e->last_packet_id;
    }
    return 0;
}

/* ---- names with the gateway's prefix ---- */

/* The broker's name of a device name or filter; borrowed until the next call. */
static struct dm_span
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
upstream_publish(struct engine *e, const struct upstream_message *message)
{
    enum dm_result result = engine_send_upstream(
        e, message->needs,
        &(struct mqtt_packet){.type = MQTT_PUBLISH,
                              .topic = upstream_name(e, name_span(message->name)),
                              .payload = message->payload,
                              .qos = message->qos,
                              .retain = message->retain && e->upstream.retain_available,
                              .packet_id = message->packet_id,
                              .dup = message->dup});

    return result != DM_FULL && result != DM_INVALID;
}

/* ---- subscriptions ---- */

static void
request_send(struct engine *e, struct request *r)
{
    struct mqtt_packet packet = {.type = r->subscribe ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE,
                                 .packet_id = r->packet_id,
                                 .topic = upstream_name(e, name_span(r->filter)),
                                 .qos =
                                     e->upstream.maximum_qos, /* downgraded per device (design 6) */
                                 .retain_handling = r->retained ? 0 : 2};

    if (r->subscribe && e->upstream.subscription_ids_available) {
        packet.subscription_ids[0] = r->upstream_id;
        packet.subscription_id_count = 1;
    }
    if (r->subscribe) {
        filter_id_give(e, r->upstream_id);

        struct recent_request *recent = &e->recent[e->recent_next++ % RECENT_REQUESTS];

        name_unref(e, recent->filter);
        *recent = (struct recent_request){.session = r->retained ? r->session : 0,
                                          .filter = name_ref(r->filter)};
    }
    r->sent = true;
    e->requests_open++;
    /* All requests wait for the newest record: none overtakes another, and no identifier is given
     * to the broker that a restart would not know. */
    engine_send_upstream(e, e->request_seq, &packet);
}

static void
requests_pump(struct engine *e)
{
    while (e->upstream_up && e->request_next != NULL && e->requests_open < REQUESTS_OPEN_MAX) {
        struct request *r = e->request_next;

        /* MQTT 3.1.1: one at a time, or a retained message could not be told apart (design 6). */
        if (!e->upstream.subscription_ids_available && r != e->requests)
            return;
        r->packet_id = packet_id_take(e);
        if (r->packet_id == 0)
            return;
        e->request_next = r->next;
        request_send(e, r);
    }
}

static void
request_add(struct engine *e, bool subscribe, struct name *filter, const struct session *s,
            uint32_t upstream_id, bool retained)
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
    DL_APPEND(e->requests, r);
    if (e->request_next == NULL)
        e->request_next = r;
    struct session *asks = session_find_number(e, r->session);
    if (asks != NULL)
        asks->open_requests++;
    requests_pump(e);
}

static void
request_free(struct engine *e, struct request *r)
{
    if (r->packet_id != 0)
        packet_id_release(e, r->packet_id);
    e->requests_open -= r->sent;
    struct session *asked = session_find_number(e, r->session);
    if (asked != NULL)
        asked->open_requests--;
    if (e->request_next == r)
        e->request_next = r->next;
    DL_DELETE(e->requests, r);
    name_unref(e, r->filter);
    free(r);
}

void
upstream_subscribe(struct engine *e, struct name *filter, const struct session *s,
                   uint32_t upstream_id, bool retained, uint64_t seq)
{
    if (seq > e->request_seq)
        e->request_seq = seq;
    request_add(e, true, filter, s, upstream_id, retained);
}

void
upstream_unsubscribe(struct engine *e, struct name *filter)
{
    struct filter *f = filter_find(e, filter);

    if (!e->upstream_up)
        return; /* the next connection sees the difference */
    if (f != NULL && !f->leaving) {
        f->leaving = true;
        if (f->acked)
            record_filter(e, f, f->acked_id, true);
    }
    e->request_seq = e->seq; /* the end of the subscription is durable first */
    request_add(e, false, filter, NULL, 0, false);
}

static struct request *
request_find(struct engine *e, uint16_t packet_id, bool subscribe)
{
    struct request *r;

    DL_FOREACH (e->requests, r)
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
is_left_again(const struct request *r)
{
    const struct request *later;

    LL_FOREACH (r->next, later)
        if (!later->subscribe && later->filter == r->filter)
            return true;
    return false;
}

static void
subscribe_done(struct engine *e, const struct request *r, uint8_t reason)
{
    struct filter *f = filter_find(e, r->filter);
    struct subscription *sub;
    struct subscription *next;

    if (reason <= 2) {
        if (f == NULL) /* nobody wants it any more, but the broker holds it until UNSUBACK */
            f = filter_get(e, r->filter);
        if (f == NULL || !filter_add_id(e, f, r->upstream_id)) /* its copies carry this one */
            return;
        if (!is_left_again(r))
            filter_hold(e, f, r->upstream_id);
    }
    if (f == NULL)
        return;
    if (reason > 2 && r->session == 0 && filter_is_held(f) && is_transient(reason))
        return; /* the broker holds it all the same */
    DL_FOREACH_SAFE2 (f->subscriptions, sub, next, filter_next) {
        /* Identifiers grow: a SUBSCRIBE with a later one has its own answer. */
        bool meant = r->session == 0
                         ? sub->upstream_id <= r->upstream_id
                         : sub->session->number == r->session && sub->upstream_id == r->upstream_id;

        if (!meant)
            continue;
        if (reason > 2) {
            subscription_refused(e, sub, reason); /* the last one frees f; the list ends with it */
            continue;
        }
        sub->confirmed = true;
        subscription_answer(e, sub, MQTTSN_ACCEPTED);
        downlink_pump(e, sub->session);
        session_schedule(e, sub->session);
    }
}

/* An old session has its open messages sent before this, a new one has none. Without any it makes
 * no difference if the filters count as held only from their SUBACK on. */
static void
doubt_filters(struct engine *e)
{
    struct filter *f;

    e->upstream_doubtful = false;
    DL_FOREACH (e->filters, f)
        f->acked = f->leaving;
}

/* What the broker refused to renew, it may hold from before. */
static void
leave_if_refused(struct engine *e, struct name *filter, uint8_t reason)
{
    const struct filter *f = reason > 2 ? filter_find(e, filter) : NULL;

    if (f != NULL && f->subscriptions == NULL && filter_is_held(f))
        upstream_unsubscribe(e, filter);
}

static void
handle_suback(struct engine *e, const struct mqtt_packet *packet)
{
    struct request *r = request_find(e, packet->packet_id, true);

    if (r == NULL)
        return;
    if (e->upstream_doubtful)
        doubt_filters(e);
    subscribe_done(e, r, packet->reason);
    leave_if_refused(e, r->filter, packet->reason);
    request_free(e, r);
    requests_pump(e);
}

static void
handle_unsuback(struct engine *e, const struct mqtt_packet *packet)
{
    struct request *r = request_find(e, packet->packet_id, false);
    struct filter *f = r != NULL ? filter_find(e, r->filter) : NULL;

    if (r == NULL)
        return;
    if (f != NULL)
        filter_release(e, f, true);
    request_free(e, r);
    requests_pump(e);
}

/* What the broker holds and what the devices want may differ. */
static void
reconcile_filter(struct engine *e, struct filter *f)
{
    struct subscription *sub;
    const struct subscription *newest = NULL;
    bool asked = false;

    if (f->subscriptions == NULL) {
        upstream_unsubscribe(e, f->name);
        return;
    }
    DL_FOREACH2 (f->subscriptions, sub, filter_next) {
        if (newest == NULL || sub->upstream_id > newest->upstream_id)
            newest = sub;
        if (sub->confirmed)
            continue;
        upstream_subscribe(e, f->name, sub->session, sub->upstream_id, true, sub->seq);
        asked = true;
    }
    /* All others are made again too where that can be done without their retained messages: a
     * broker that was killed may come back with its session as it was before the last SUBSCRIBE it
     * acknowledged. And always after a start: the process before may have been killed when it had
     * just made a new session. */
    if (!asked && (!filter_is_held(f) || e->upstream.subscription_ids_available || !e->broker->met))
        upstream_subscribe(e, f->name, NULL, newest->upstream_id, false, newest->seq);
}

/* ---- inputs ---- */

void
engine_upstream_packet(struct engine *e, uint64_t now_ms, const struct mqtt_packet *packet)
{
    engine_at(e, now_ms);
    switch (packet->type) {
    case MQTT_PUBLISH:
        e->upstream_doubtful = false;
        inbound_message(e, packet);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBCOMP:
        uplink_acknowledged(e, packet);
        requests_pump(e); /* one may wait for a packet id */
        break;
    case MQTT_PUBREL:
        e->upstream_doubtful = false;
        inbound_pubrel(e, packet);
        break;
    case MQTT_SUBACK:
        handle_suback(e, packet);
        break;
    case MQTT_UNSUBACK:
        handle_unsuback(e, packet);
        break;
    default:
        break;
    }
    inbound_flush(e);
}

/* ---- connection ---- */

/* The broker has nothing of ours: no packet id, no filter, no message in flight. */
static void
forget_broker_session(struct engine *e)
{
    struct filter *f;
    struct filter *next;

    inbound_forget_all(e);
    DL_FOREACH_SAFE (e->filters, f, next)
        filter_release(e, f, false);
    /* Clears the rows of filters and packet ids. Until that is durable the new session stays as it
     * is: a process that begins meanwhile would take it for the old one. */
    e->broker->used = ++e->broker_uses;
    e->broker_seq = record_broker(e, STORE_BROKER_PUT);
    if (e->reserved_upstream_id != 0)
        upstream_ids_reserve(e);
}

bool
engine_upstream_is_idle(const struct engine *e)
{
    return e->uplinks_in_flight == 0 && e->inbound_held == 0 && e->requests == NULL &&
           e->owed == NULL;
}

void
engine_upstream_connected(struct engine *e, uint64_t now_ms, const struct upstream_session *session)
{
    struct filter *f;
    struct filter *next;

    engine_at(e, now_ms);
    broker_enter(e, session->broker);
    bool present = session->session_present && broker_is_known(e);

    e->upstream = *session;
    e->upstream_up = true;
    if (!present) {
        if (broker_is_known(e))
            log_warning("upstream", "the broker has lost its session; subscribing again");
        forget_broker_session(e);
    }
    e->upstream_doubtful = present && !e->broker->met;
    uplink_connected(e, present);
    DL_FOREACH_SAFE (e->filters, f, next)
        reconcile_filter(e, f);
    e->broker->met = true;
    discovery_connected(e);
    inbound_flush(e);
}

void
engine_upstream_disconnected(struct engine *e, uint64_t now_ms)
{
    struct session *s;
    struct subscription *sub;

    engine_at(e, now_ms);
    e->upstream_up = false;
    while (e->requests != NULL)
        request_free(e, e->requests);
    inbound_disconnected(e);
    inbound_expect_no_more(e);
    uplink_disconnected(e);
    DL_FOREACH (e->sessions, s) {
        LL_FOREACH (s->subscriptions, sub)
            subscription_answer(e, sub, MQTTSN_ACCEPTED); /* carried out later (design 6) */
        downlink_pump(e, s);
        session_schedule(e, s);
    }
}

void
upstream_free(struct engine *e)
{
    while (e->requests != NULL)
        request_free(e, e->requests);
    inbound_forget_all(e);
    for (size_t i = 0; i < RECENT_REQUESTS; i++)
        name_unref(e, e->recent[i].filter);
    while (e->filters != NULL)
        filter_release(e, e->filters, false);
}
