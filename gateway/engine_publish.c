/* SPDX-License-Identifier: Apache-2.0 */
/* PUBLISH of devices, QoS -1 to 2, and the QoS 2 messages they have not released (R40 to R55). */
#include "engine_private.h"

#include <stdlib.h>

#include "topic.h"

enum {
    OPEN_UPLINKS_MAX = 16, /* unacknowledged messages of one device (R51 asks for 8) */
    RECEIVED_MAX = 16,     /* QoS 2 messages of one device whose PUBREL has not come */
};

/* ---- answers ---- */

void
send_puback(struct engine *e, struct session *s, uint64_t needs, uint16_t topic_id, uint16_t msg_id,
            enum mqttsn_return_code code)
{
    if (code != MQTTSN_ACCEPTED)
        session_note(e, s, ENGINE_EVENT_NOT_CARRIED, (uint64_t)code);
    engine_send(
        e, s, needs,
        &(struct mqttsn_packet){
            .type = MQTTSN_PUBACK, .topic_id = topic_id, .msg_id = msg_id, .return_code = code});
}

void
send_pubrec(struct engine *e, struct session *s, uint64_t needs, uint16_t msg_id)
{
    engine_send(e, s, needs, &(struct mqttsn_packet){.type = MQTTSN_PUBREC, .msg_id = msg_id});
}

/* R53: at most once a second, or a flood would be answered by another (M53). */
static void
send_congestion(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    if (s->talk->congestion_at_ms != 0 && e->now_ms - s->talk->congestion_at_ms < REPLY_INTERVAL_MS)
        return;
    s->talk->congestion_at_ms = e->now_ms == 0 ? 1 : e->now_ms;
    send_puback(e, s, 0, packet->topic_id, packet->msg_id, MQTTSN_CONGESTION);
}

/* ---- QoS 2: what is received and not released ---- */

static struct received *
received_find(const struct session *s, uint16_t msg_id)
{
    struct received *r;

    LL_FOREACH (talk_of(s)->received, r)
        if (r->msg_id == msg_id)
            return r;
    return NULL;
}

static void
forget(struct session *s, struct received *r)
{
    LL_DELETE(s->talk->received, r);
    s->talk->received_count--;
    free(r);
}

void
received_remove(struct engine *e, struct session *s, uint16_t msg_id)
{
    struct received *r = received_find(s, msg_id);

    if (r == NULL)
        return;
    s->seq = record_received(e, s, r, false);
    forget(s, r);
}

void
received_free(struct session *s)
{
    while (talk_of(s)->received != NULL)
        forget(s, talk_of(s)->received);
}

static struct received *
received_new(struct session *s, uint16_t msg_id, uint64_t content)
{
    struct received *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->msg_id = msg_id;
    r->content = content;
    LL_APPEND(s->talk->received, r);
    s->talk->received_count++;
    return r;
}

bool
received_load(struct engine *e, struct session *s, uint16_t msg_id, uint64_t content)
{
    return talk_begin(e, s) &&
           (s->talk->received_count >= RECEIVED_MAX || received_find(s, msg_id) != NULL ||
            received_new(s, msg_id, content) != NULL);
}

/* A device that rebooted never releases what it had open; it has one exchange at a time (R51), so
 * the oldest of many is given up. */
static void
received_make_room(struct engine *e, struct session *s)
{
    while (s->talk->received_count >= RECEIVED_MAX)
        received_remove(e, s, s->talk->received->msg_id);
}

/* ---- topics ---- */

/* The device's name that a PUBLISH means, but the broker's if it was registered; borrowed. Empty if
 * there is none, and *code says why (reference 2.7). */
static struct dm_span
publish_topic(struct engine *e, uint8_t link, struct session *s, const struct mqttsn_packet *packet,
              uint8_t short_name[2], enum mqttsn_return_code *code)
{
    static const struct dm_span none = {0};
    const struct registration *r;
    struct dm_span predefined;

    *code = MQTTSN_INVALID_TOPIC_ID; /* M24, M25 */
    switch (packet->topic_type) {
    case MQTTSN_TOPIC_NORMAL:
        r = s != NULL ? registration_by_id(s, packet->topic_id) : NULL;
        return r != NULL ? name_span(r->name) : none;
    case MQTTSN_TOPIC_PREDEFINED:
        predefined = topic_predefined_name(e, link, s, packet->topic_id);
        if (predefined.len > 0 && s != NULL)
            topic_note_predefined(e, s, packet->topic_id);
        return predefined;
    case MQTTSN_TOPIC_SHORT:
        short_name[0] = (uint8_t)(packet->topic_id >> 8);
        short_name[1] = (uint8_t)packet->topic_id;
        *code = MQTTSN_NOT_SUPPORTED; /* M27 */
        if (topic_name_is_valid(dm_span(short_name, 2)) &&
            topic_is_harmless(dm_span(short_name, 2)))
            return dm_span(short_name, 2);
        return none;
    default: /* M26 */
        *code = MQTTSN_NOT_SUPPORTED;
        return none;
    }
}

/* ---- QoS 1 and 2 ---- */

/* The message of this MsgId that is on its way, or was taken over from the device. A rebooted
 * device counts from the start again: only equal content is a repetition; with QoS 1 only within
 * one connection, and after its answer only with DUP. */
static struct uplink *
find_uplink(const struct session *s, const struct mqttsn_packet *packet, struct dm_span topic)
{
    struct uplink *u;

    DL_FOREACH (s->trunk->uplinks, u) {
        bool same_life =
            u->qos == 2 || (u->connection == s->connections && (packet->dup || !u->answered));

        if (u->session == s->number && u->msg_id == packet->msg_id &&
            u->qos == (uint8_t)packet->qos && same_life &&
            dm_span_equal(name_span(u->topic), topic) &&
            dm_span_equal(dm_span(u->payload, u->len), packet->data))
            return u;
    }
    return NULL;
}

/* A repetition of a message that is still known: answered or absorbed (R49). */
static bool
is_repetition_qos1(struct engine *e, struct session *s, const struct mqttsn_packet *packet,
                   struct dm_span topic)
{
    if (packet->dup && s->talk->unanswered == packet->msg_id &&
        s->talk->unanswered_content == content_of(topic, 0, packet->data, false)) {
        s->talk->unanswered = UINT32_MAX;
        send_puback(e, s, s->talk->unanswered_seq, packet->topic_id, packet->msg_id,
                    MQTTSN_ACCEPTED);
        return true;
    }
    struct uplink *u = s->open_uplinks > 0 || packet->dup ? find_uplink(s, packet, topic) : NULL;

    if (u == NULL)
        return false;
    u->naps = s->naps;
    if (u->answered)
        send_puback(e, s, u->seq, packet->topic_id, packet->msg_id, MQTTSN_ACCEPTED);
    return true;
}

/* R50: in the set until PUBREL, whatever DUP says; but the same MsgId with other content is a new
 * message of a device that rebooted (design 5). */
static bool
is_repetition_qos2(struct engine *e, struct session *s, const struct mqttsn_packet *packet,
                   struct dm_span topic)
{
    struct received *r = received_find(s, packet->msg_id);

    if (r == NULL || r->content != content_of(topic, 0, packet->data, false))
        return false;
    struct uplink *u = s->open_uplinks > 0 ? find_uplink(s, packet, topic) : NULL;

    if (u != NULL && !u->answered)
        u->naps = s->naps; /* the answer is on its way */
    else
        send_pubrec(e, s, r->seq, packet->msg_id);
    return true;
}

/* QoS 2: body, packet id and MsgId are committed before anything leaves (design 1). */
static bool
take_over(struct engine *e, struct session *s, struct uplink *u)
{
    struct dm_span topic = name_span(u->topic);
    struct uplink *old;

    /* M52: the device has given up an earlier message under this MsgId. */
    if (received_find(s, u->msg_id) != NULL) {
        DL_FOREACH (s->trunk->uplinks, old) {
            if (old == u || old->answered || old->session != s->number || old->qos != 2 ||
                old->msg_id != u->msg_id)
                continue;
            old->answered = true;
            s->open_uplinks--;
        }
        received_remove(e, s, u->msg_id);
    }
    received_make_room(e, s);
    struct received *r =
        received_new(s, u->msg_id, content_of(topic, 0, dm_span(u->payload, u->len), false));

    if (r == NULL)
        return false;
    u->packet_id = packet_id_take(s->trunk); /* 0: all in use, it gets one later */
    uplink_store(e, u);
    r->seq = record_received(e, s, r, true);
    u->seq = r->seq;
    u->needs = u->seq;
    return true;
}

/* False: congestion. */
static bool
accept_uplink(struct engine *e, struct session *s, const struct mqttsn_packet *packet,
              struct dm_span topic)
{
    bool store = !s->trunk->up || settings_of(e, s)->uplink_ack_store;

    if (s->open_uplinks >= OPEN_UPLINKS_MAX || e->links[s->link].congested ||
        ((store || packet->qos == 2) && !engine_can_promise(e)) ||
        !uplink_has_room(e, topic.len + packet->data.len))
        return false;
    struct name *name = name_get(e, topic);
    struct uplink *u = name != NULL ? uplink_new(e, s->trunk, s->number, name, packet->data) : NULL;

    name_unref(e, name);
    if (u == NULL)
        return false;
    u->order = ++e->last_spool;
    u->naps = s->naps;
    u->connection = s->connections;
    u->msg_id = packet->msg_id;
    u->topic_id = packet->topic_id;
    u->qos = (uint8_t)packet->qos;
    u->retain = packet->retain;
    if (u->qos == 2 && !take_over(e, s, u)) {
        uplink_free(e, s->trunk, u);
        return false;
    }
    s->open_uplinks++;
    e->status.uplink_messages++;
    if (store) {
        if (!u->stored)
            uplink_store(e, u);
        uplink_answer(e, u, MQTTSN_ACCEPTED);
    } else {
        uplink_await(e, s->trunk, u, settings_of(e, s)->store_after_ms);
    }
    uplink_pump(e, s->trunk);
    return true;
}

/* ---- QoS 0 and -1 ---- */

/* Behind QoS 1 and 2 messages of the device that wait for the broker's window, or until its own
 * connection is there. */
static bool
queue_qos0(struct engine *e, struct session *s, struct name *name, struct dm_span payload,
           bool retain)
{
    struct uplink *u = uplink_has_room(e, name->len + payload.len)
                           ? uplink_new(e, s->trunk, s->number, name, payload)
                           : NULL;

    if (u == NULL)
        return false;
    u->qos = 0;
    u->connection = UINT32_MAX;
    u->retain = retain;
    u->answered = true;
    uplink_pump(e, s->trunk);
    return true;
}

static void
publish_qos0(struct engine *e, struct session *s, const struct mqttsn_packet *packet,
             struct dm_span topic, struct dm_span payload)
{
    if (packet->qos != 0 && s != NULL && s->trunk->connection != 0)
        s = NULL; /* without a connection of its own */
    struct trunk *t = s != NULL ? s->trunk : &e->shared;
    struct name *name = t->up || t->opening ? name_get(e, topic) : NULL;
    bool sent = false;

    if (name != NULL && s != NULL && (s->waiting_uplinks > 0 || !t->up))
        sent = queue_qos0(e, s, name, payload, packet->retain);
    else if (name != NULL)
        sent = upstream_publish(
            e, t,
            &(struct upstream_message){.name = name,
                                       .payload = payload,
                                       .needs = s != NULL ? talk_of(s)->uplink_seq : 0,
                                       .retain = packet->retain});
    name_unref(e, name);
    if (sent) {
        e->status.uplink_messages++;
        return;
    }
    e->status.uplink_dropped++;
    if (s != NULL && packet->qos == 0) /* QoS -1 is never answered (R40) */
        send_congestion(e, s, packet);
}

/* From the device's name to the broker's, which a registered one is already. False: the
 * configuration does not allow the device to publish there. Who has no session is let in by its
 * link alone. */
static bool
take_topic(struct engine *e, const struct session *s, bool registered, struct dm_span *topic)
{
    struct party party = s != NULL ? party_of(s) : (struct party){0};
    bool listed = party.client != NULL && party.client->publish != NULL;
    struct dm_span name = listed && registered ? name_down(e, &party, *topic, &e->lowered) : *topic;

    if (!access_publish(e, &party, name))
        topic->len = 0;
    else if (!registered)
        *topic = name_up(e, &party, *topic);
    if (topic->len > 0 && !access_is_own(e, *topic))
        return true;
    access_denied(e, party.client_id, "PUBLISH", name);
    return false;
}

/* The extension of RSMB and Paho: the topic id is the length of a name that precedes the payload.
 */
static bool
split_name(const struct mqttsn_packet *packet, struct dm_span *topic, struct dm_span *payload)
{
    size_t len = packet->topic_id;

    if (len > packet->data.len)
        return false;
    *topic = dm_span(packet->data.data, len);
    *payload = dm_span(packet->data.data + len, packet->data.len - len);
    return topic_name_is_valid(*topic) && topic_is_harmless(*topic);
}

static void
publish_without_connection(struct engine *e, const struct dm_address *from, struct session *s,
                           const struct mqttsn_packet *packet)
{
    enum engine_qos_minus_one accepted = e->options->links[from->link].qos_minus_one;
    struct dm_span topic = {0};
    struct dm_span payload = packet->data;
    uint8_t short_name[2];
    enum mqttsn_return_code code;

    if (accepted != ENGINE_QOS_MINUS_ONE_NO && packet->topic_type != MQTTSN_TOPIC_NORMAL)
        topic = publish_topic(e, from->link, s, packet, short_name, &code);
    else if (accepted == ENGINE_QOS_MINUS_ONE_NAMES && !split_name(packet, &topic, &payload))
        topic.len = 0;
    if (topic.len == 0)
        e->status.ignored++; /* R42 */
    else if (take_topic(e, s, false, &topic))
        publish_qos0(e, s, packet, topic, payload);
}

/* ---- PUBLISH and PUBREL ---- */

/* Not "invalid topic id": the device would register for ever. QoS 0 is dropped in silence. */
static void
refuse_publish(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    if (packet->qos > 0)
        send_puback(e, s, 0, packet->topic_id, packet->msg_id, MQTTSN_NOT_SUPPORTED);
    else
        session_note(e, s, ENGINE_EVENT_NOT_CARRIED, MQTTSN_NOT_SUPPORTED);
}

void
handle_publish(struct engine *e, const struct dm_address *from, struct session *s,
               const struct mqttsn_packet *packet)
{
    uint8_t short_name[2];
    enum mqttsn_return_code code;

    if (packet->qos == MQTTSN_QOS_MINUS_ONE) { /* R40: from any address, in any state */
        publish_without_connection(e, from, s, packet);
        return;
    }
    struct dm_span topic = publish_topic(e, from->link, s, packet, short_name, &code);

    if (topic.len == 0) {
        send_puback(e, s, 0, packet->topic_id, packet->msg_id, code);
        return;
    }
    if (!take_topic(e, s, packet->topic_type == MQTTSN_TOPIC_NORMAL, &topic)) {
        refuse_publish(e, s, packet);
        return;
    }
    if (packet->qos == 0) {
        publish_qos0(e, s, packet, topic, packet->data);
        return;
    }
    bool repeated = packet->qos == 1 ? is_repetition_qos1(e, s, packet, topic)
                                     : is_repetition_qos2(e, s, packet, topic);

    if (!repeated && !accept_uplink(e, s, packet, topic))
        send_congestion(e, s, packet);
}

void
handle_pubrel(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    /* Also for an unknown MsgId: its PUBCOMP was lost (M33). The removal is durable first: else the
     * device's next message under this MsgId could be taken for the old one. */
    received_remove(e, s, packet->msg_id);
    engine_send(e, s, s->seq,
                &(struct mqttsn_packet){.type = MQTTSN_PUBCOMP, .msg_id = packet->msg_id});
}
