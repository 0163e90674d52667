/* SPDX-License-Identifier: Apache-2.0 */
/* Setting up a connection with a will: the handshake that CONNECT with Will = 1 begins. */
#include "engine_private.h"

#include <stdlib.h>

/*
 * R16 to R23. CONNECT -> WILLTOPICREQ; WILLTOPIC -> WILLMSGREQ; WILLMSG -> CONNACK. The session, if
 * there is one, stays as it was until the last of them: a device that dies in the middle changes
 * nothing. The device repeats; every message is answered again, in any order that loss can make.
 */

uint64_t
handshake_patience(const struct engine_options *options)
{
    const struct engine_settings *settings = &options->settings;
    uint64_t longest_ms = settings->retry_ms * (settings->retry_count + UINT64_C(1));

    for (size_t i = 0; i < options->client_count; i++) {
        settings = options->clients[i].settings;
        uint64_t period_ms =
            settings != NULL ? settings->retry_ms * (settings->retry_count + UINT64_C(1)) : 0;

        longest_ms = period_ms > longest_ms ? period_ms : longest_ms;
    }
    return longest_ms;
}

struct handshake *
handshake_find(const struct engine *e, const struct dm_address *from)
{
    return pointer_index_find(&e->handshake_index,
                              pointer_index_hash(from->link, from->octets, from->len), from);
}

/* Takes the reference over. Will topics of strangers count like all others. */
static void
handshake_set_topic(struct engine *e, struct handshake *h, struct name *topic)
{
    if (h->topic != NULL)
        e->status.will_octets -= h->topic->len;
    if (topic != NULL)
        e->status.will_octets += topic->len;
    name_unref(e, h->topic);
    h->topic = topic;
}

void
handshake_free(struct engine *e, struct handshake *h)
{
    struct session *s = h->session;

    pointer_index_remove(&e->handshake_index, h);
    DL_DELETE(e->handshakes, h);
    e->handshake_count--;
    handshake_set_topic(e, h, NULL);
    free(h);
    if (s != NULL)
        s->talk->handshake = NULL;
}

void
handshake_end(struct engine *e, struct session *s)
{
    if (talk_of(s)->handshake != NULL)
        handshake_free(e, talk_of(s)->handshake);
}

/* It came to nothing: the session goes on as it was. */
static void
handshake_drop(struct engine *e, struct handshake *h)
{
    struct session *s = h->session;

    handshake_free(e, h);
    if (s == NULL)
        return;
    downlink_pump(e, s);
    session_schedule(e, s);
    talk_end(e, s);
}

static void
handshake_progress(struct engine *e, struct handshake *h)
{
    DL_DELETE(e->handshakes, h);
    DL_APPEND(e->handshakes, h);
    h->deadline_ms = engine_add_ms(e->now_ms, e->handshake_ms);
    if (h->session == NULL)
        return;
    session_heard(e, h->session); /* R76 */
    session_schedule(e, h->session);
}

static void
ask(struct engine *e, const struct handshake *h, enum mqttsn_type type)
{
    engine_send_to(e, &h->address, 0, &(struct mqttsn_packet){.type = type});
}

/* The client's session is silent until the handshake is over: nothing may stand between CONNECT and
 * WILLTOPICREQ (R24), and the device waits for nothing else. */
static void
handshake_attach(struct engine *e, struct handshake *h, struct session *s)
{
    handshake_end(e, s); /* from another address: the device has moved on */
    s->talk->handshake = h;
    s->talk->handshake_again_ms =
        0; /* a WILLMSG from now on is of this handshake, even if it is refused */
    h->session = s;
    session_heard(e, s);
    s->naps++; /* nor an answer to what it asked before */
    downlink_cancel(s);
    if (s->state == ENGINE_AWAKE)
        session_set_state(e, s, ENGINE_ASLEEP);
    session_schedule(e, s);
}

void
handshake_start(struct engine *e, const struct dm_address *from, struct session *s,
                const struct connect *request)
{
    struct session *other = session_find_address(e, from);
    struct handshake *h = calloc(1, sizeof *h + request->client_id.len);

    if (h == NULL) {
        connect_refuse(e, from, request->client_id, MQTTSN_CONGESTION);
        return;
    }
    h->address = *from;
    h->clean = request->clean;
    h->keepalive_s = request->keepalive_s;
    h->client_id_len = (uint8_t)request->client_id.len;
    memcpy(h->client_id, request->client_id.data, request->client_id.len);
    DL_APPEND(e->handshakes, h);
    e->handshake_count++;
    handshake_progress(e, h);
    if (!pointer_index_insert(&e->handshake_index, h)) {
        handshake_free(e, h);
        connect_refuse(e, from, request->client_id, MQTTSN_CONGESTION);
        return;
    }
    if (s != NULL)
        handshake_attach(e, h, s);
    if (other != NULL && other != s) /* R27: who was here before hears nothing more */
        session_evict(e, other);
    engine_withdraw(e, from); /* R24: nor a CONNACK of the connection before */
    ask(e, h, MQTTSN_WILLTOPICREQ);
}

/* A CONNECT from an address that is in the middle of a handshake: the same one is asked for the
 * will topic again, also when that was known, since a device that rebooted waits for it; any other
 * starts anew (R22). */
bool
handshake_repeated(struct engine *e, const struct dm_address *from,
                   const struct mqttsn_packet *packet, const struct connect *request)
{
    struct handshake *h = handshake_find(e, from);

    if (h == NULL)
        return false;
    bool same_client = dm_span_equal(dm_span(h->client_id, h->client_id_len), request->client_id);

    if (same_client && packet->will && packet->protocol_id == MQTTSN_PROTOCOL_ID &&
        h->clean == request->clean && h->keepalive_s == request->keepalive_s) {
        handshake_progress(e, h);
        ask(e, h, MQTTSN_WILLTOPICREQ);
        return true;
    }
    if (same_client)
        handshake_free(e, h); /* its session goes on when this CONNECT is answered */
    else
        handshake_drop(e, h);
    return false;
}

/* All is known: the session begins, or the device is told why not. */
static void
handshake_finish(struct engine *e, struct handshake *h, struct dm_span message)
{
    struct connect request = {
        .client_id = dm_span(h->client_id, h->client_id_len),
        .keepalive_s = h->keepalive_s,
        .clean = h->clean,
        .replaces_will = true,
    };
    struct dm_address from = h->address;
    bool room = engine_can_promise(e) && will_has_room(e, message.len) &&
                (session_find(e, request.client_id) != NULL ||
                 e->by_number.count < e->options->max_clients);

    if (room && h->topic != NULL) {
        request.will = will_new(e, h->topic, message, h->qos, h->retain);
        room = request.will != NULL;
    }
    if (!room) {
        connect_refuse(e, &from, request.client_id, MQTTSN_CONGESTION);
        handshake_drop(e, h);
        return;
    }
    if (h->session != NULL) /* it is reachable from here on */
        h->session->talk->handshake = NULL;
    h->session = NULL;
    connect_accept(e, &from, &request);
    handshake_free(e, h); /* the request borrows its client id */
}

/* WILLTOPIC or WILLMSG outside of a handshake: its CONNACK may have been lost (R21, M15). */
static void
handshake_over(struct engine *e, const struct dm_address *from, const struct session *s)
{
    if (s != NULL && s->state == ENGINE_ACTIVE && e->now_ms < talk_of(s)->handshake_again_ms &&
        !s->trunk->asking)
        connect_answer(e, from, talk_of(s)->connack_seq, MQTTSN_ACCEPTED);
    else
        e->status.ignored++;
}

void
handle_willtopic(struct engine *e, const struct dm_address *from, struct session *s,
                 const struct mqttsn_packet *packet)
{
    struct handshake *h = handshake_find(e, from);

    if (h == NULL) {
        if (packet->has_flags)
            e->status.ignored++;
        else
            handshake_over(e, from, s);
        return;
    }
    handshake_set_topic(e, h, NULL);
    if (!packet->has_flags) { /* R17: no will, and a stored one is deleted */
        handshake_finish(e, h, (struct dm_span){0});
        return;
    }
    struct party party = party_named(e, dm_span(h->client_id, h->client_id_len));
    struct dm_span up = will_take_topic(e, &party, packet->topic_name);

    if (up.len > 0 && will_has_room(e, up.len))
        handshake_set_topic(e, h, name_get(e, up));
    if (h->topic == NULL) { /* M16, or no room */
        connect_refuse(e, from, dm_span(h->client_id, h->client_id_len),
                       up.len > 0 ? MQTTSN_CONGESTION : MQTTSN_NOT_SUPPORTED);
        handshake_drop(e, h);
        return;
    }
    h->qos = requested_qos(packet);
    h->retain = packet->retain;
    handshake_progress(e, h);
    ask(e, h, MQTTSN_WILLMSGREQ);
}

void
handle_willmsg(struct engine *e, const struct dm_address *from, struct session *s,
               const struct mqttsn_packet *packet)
{
    struct handshake *h = handshake_find(e, from);

    if (h == NULL)
        handshake_over(e, from, s);
    else if (h->topic == NULL)
        e->status.ignored++; /* M15 */
    else
        handshake_finish(e, h, packet->data);
}

void
handshake_timeout(struct engine *e)
{
    while (e->handshakes != NULL && e->handshakes->deadline_ms <= e->now_ms)
        handshake_drop(e, e->handshakes); /* silently (R23) */
}

uint64_t
handshake_deadline(const struct engine *e)
{
    return e->handshakes != NULL ? e->handshakes->deadline_ms : ENGINE_NEVER;
}
