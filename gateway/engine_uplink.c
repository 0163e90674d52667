/* SPDX-License-Identifier: Apache-2.0 */
/* PUBLISH of devices, and the spool that keeps them while the broker is away (design 5). */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

#include "topic.h"

static void
send_puback(struct engine *e, struct session *s, uint64_t needs, uint16_t topic_id, uint16_t msg_id,
            enum mqttsn_return_code code)
{
    engine_send(
        e, s, needs,
        &(struct mqttsn_packet){
            .type = MQTTSN_PUBACK, .topic_id = topic_id, .msg_id = msg_id, .return_code = code});
}

/* ---- the list ---- */

static uint64_t
uplink_octets(const struct uplink *u)
{
    return u->topic->len + u->len;
}

static struct uplink *
uplink_new(struct engine *e, struct name *topic, struct dm_span payload)
{
    struct uplink *u = malloc(sizeof *u + payload.len);

    if (u == NULL)
        return NULL;
    *u = (struct uplink){
        .topic = name_ref(topic), .arrived_ms = e->now_ms, .len = (uint32_t)payload.len};
    if (payload.len > 0)
        memcpy(u->payload, payload.data, payload.len);
    DL_APPEND(e->uplinks, u);
    if (e->uplink_next == NULL)
        e->uplink_next = u;
    e->status.spooled_messages++;
    e->status.spooled_octets += uplink_octets(u);
    return u;
}

static void
uplink_free(struct engine *e, struct uplink *u)
{
    if (e->uplink_next == u)
        e->uplink_next = u->next;
    if (e->uplink_unstored == u)
        e->uplink_unstored = u->next;
    if (u->in_flight)
        e->uplinks_in_flight--;
    if (u->packet_id != 0)
        packet_id_release(e, u->packet_id);
    e->status.spooled_messages--;
    e->status.spooled_octets -= uplink_octets(u);
    DL_DELETE(e->uplinks, u);
    name_unref(e, u->topic);
    free(u);
}

void
uplinks_free(struct engine *e)
{
    while (e->uplinks != NULL)
        uplink_free(e, e->uplinks);
}

/* ---- answers ---- */

static uint64_t
content_of(struct dm_span topic, struct dm_span payload)
{
    return (uint64_t)pointer_index_hash(0, topic.data, topic.len) << 32 |
           pointer_index_hash(0, payload.data, payload.len);
}

static void
uplink_answer(struct engine *e, struct uplink *u, enum mqttsn_return_code code)
{
    struct session *s = session_find_number(e, u->session);

    if (u->answered)
        return;
    u->answered = true;
    if (s == NULL)
        return;
    s->open_uplinks--;
    if (u->naps == s->naps) {
        send_puback(e, s, u->seq, u->topic_id, u->msg_id, code);
    } else if (code == MQTTSN_ACCEPTED) { /* it fell asleep: answered when it repeats (design 3) */
        s->unanswered = u->msg_id;
        s->unanswered_seq = u->seq;
        s->unanswered_content = content_of(name_span(u->topic), dm_span(u->payload, u->len));
    }
}

static void
uplink_store(struct engine *e, struct uplink *u)
{
    u->seq = record_uplink(e, u);
    u->stored = true;
    uplink_answer(e, u, MQTTSN_ACCEPTED);
}

static void
store_until(struct engine *e, uint64_t arrived_ms)
{
    while (e->uplink_unstored != NULL && e->uplink_unstored->arrived_ms <= arrived_ms) {
        struct uplink *u = e->uplink_unstored;

        if (!u->stored)
            uplink_store(e, u);
        e->uplink_unstored = u->next;
    }
}

void
uplink_store_due(struct engine *e)
{
    if (uplink_deadline(e) <= e->now_ms)
        store_until(e, e->now_ms - e->options->store_after_ms);
}

uint64_t
uplink_deadline(const struct engine *e)
{
    return e->uplink_unstored != NULL
               ? engine_add_ms(e->uplink_unstored->arrived_ms, e->options->store_after_ms)
               : ENGINE_NEVER;
}

/* ---- towards the broker ---- */

/* The end of an uplink: the broker took it, or will never take it. */
static void
uplink_finish(struct engine *e, struct uplink *u, enum mqttsn_return_code code)
{
    char topic[128];

    if (code != MQTTSN_ACCEPTED)
        log_warning("uplink", "the broker does not take a message on %s%s",
                    log_escape(topic, sizeof topic, name_span(u->topic)),
                    u->answered ? "; it was acknowledged from the spool and is lost" : "");
    if (code != MQTTSN_ACCEPTED)
        e->status.uplink_refused++;
    uplink_answer(e, u, code);
    if (u->stored)
        record_uplink_delete(e, u);
    uplink_free(e, u);
}

static void
uplink_pump(struct engine *e)
{
    /* A broker without QoS 1 gets QoS 0, and there is no more to promise (reference 5.1). */
    while (e->upstream_up && e->upstream.maximum_qos == 0 && e->uplinks != NULL) {
        struct uplink *u = e->uplinks;

        upstream_publish(e, u->topic, dm_span(u->payload, u->len), u->retain, 0, false);
        uplink_finish(e, u, MQTTSN_ACCEPTED);
    }
    while (e->upstream_up && e->uplink_next != NULL &&
           e->uplinks_in_flight < e->upstream.send_maximum &&
           e->uplinks_in_flight < UPLINKS_IN_FLIGHT_MAX) {
        struct uplink *u = e->uplink_next;
        bool again = u->packet_id != 0;

        if (!again)
            u->packet_id = packet_id_take(e);
        if (u->packet_id == 0)
            return; /* all in use: the next acknowledgement comes back here */
        u->in_flight = true;
        e->uplinks_in_flight++;
        e->uplink_next = u->next;
        if (!upstream_publish(e, u->topic, dm_span(u->payload, u->len), u->retain, u->packet_id,
                              again))
            uplink_finish(e, u, MQTTSN_NOT_SUPPORTED);
    }
}

void
uplink_connected(struct engine *e, bool session_present)
{
    struct uplink *u;

    DL_FOREACH (e->uplinks, u) {
        u->in_flight = false;
        if (!session_present && u->packet_id != 0) {
            packet_id_release(e, u->packet_id);
            u->packet_id = 0;
        }
    }
    e->uplinks_in_flight = 0;
    e->uplink_next = e->uplinks;
    uplink_pump(e);
}

void
uplink_disconnected(struct engine *e)
{
    struct uplink *u;

    DL_FOREACH (e->uplinks, u)
        u->in_flight = false;
    e->uplinks_in_flight = 0;
    e->uplink_next = e->uplinks;
    store_until(e, e->now_ms); /* the devices need not wait for the broker to come back */
}

static enum mqttsn_return_code
return_code_of(uint8_t reason)
{
    if (reason < 0x80)
        return MQTTSN_ACCEPTED;
    return reason == 0x97 ? MQTTSN_CONGESTION : MQTTSN_NOT_SUPPORTED; /* reference 5.4 */
}

void
uplink_puback(struct engine *e, const struct mqtt_packet *packet)
{
    struct uplink *u;

    DL_FOREACH (e->uplinks, u) {
        if (u == e->uplink_next)
            return; /* none in flight has this id */
        if (u->packet_id == packet->packet_id)
            break;
    }
    if (u == NULL)
        return;
    uplink_finish(e, u, return_code_of(packet->reason));
    uplink_pump(e);
}

enum dm_result
uplink_load(struct engine *e, const struct store_record *record)
{
    if (!topic_name_is_valid(record->name))
        return DM_MALFORMED;
    struct name *topic = name_get(e, record->name);
    struct uplink *u = topic != NULL ? uplink_new(e, topic, record->payload) : NULL;

    name_unref(e, topic);
    if (u == NULL)
        return DM_NO_MEMORY;
    u->order = record->order;
    u->session = record->session;
    u->msg_id = record->msg_id;
    u->packet_id = record->packet_id;
    u->retain = record->retain;
    u->stored = true;
    u->answered = true;
    if (u->packet_id != 0)
        packet_id_reserve(e, u->packet_id);
    if (u->order > e->last_spool)
        e->last_spool = u->order;
    if (u->session > e->last_session) /* its session is gone; the number is not given again */
        e->last_session = u->session;
    return DM_OK;
}

/* ---- PUBLISH ---- */

/* The name a PUBLISH means, borrowed. Empty if there is none, and *code says why (reference 2.7).
 */
static struct dm_span
publish_topic(struct engine *e, uint8_t link, const struct session *s,
              const struct mqttsn_packet *packet, uint8_t short_name[2],
              enum mqttsn_return_code *code)
{
    static const struct dm_span none = {0};
    const struct registration *r;
    const char *predefined;

    *code = MQTTSN_INVALID_TOPIC_ID; /* M24, M25 */
    switch (packet->topic_type) {
    case MQTTSN_TOPIC_NORMAL:
        r = s != NULL ? registration_by_id(s, packet->topic_id) : NULL;
        return r != NULL ? name_span(r->name) : none;
    case MQTTSN_TOPIC_PREDEFINED:
        predefined = topic_predefined_name(e, link, packet->topic_id);
        return dm_span_text(predefined);
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

/* A repetition of a message that is still known: answered or absorbed (R49). */
static bool
is_repetition(struct engine *e, struct session *s, const struct mqttsn_packet *packet,
              struct dm_span topic)
{
    struct uplink *u;

    if (packet->dup && s->unanswered == packet->msg_id &&
        s->unanswered_content == content_of(topic, packet->data)) {
        s->unanswered = UINT32_MAX;
        send_puback(e, s, s->unanswered_seq, packet->topic_id, packet->msg_id, MQTTSN_ACCEPTED);
        return true;
    }
    if (s->open_uplinks == 0 && !packet->dup)
        return false;
    DL_FOREACH (e->uplinks, u) {
        /* A rebooted device counts from the start again: only equal content in the same connection
         * is a repetition. */
        if (u->session != s->number || u->connection != s->connections ||
            u->msg_id != packet->msg_id || !dm_span_equal(name_span(u->topic), topic) ||
            !dm_span_equal(dm_span(u->payload, u->len), packet->data))
            continue;
        u->naps = s->naps;
        if (u->answered)
            send_puback(e, s, u->seq, packet->topic_id, packet->msg_id, MQTTSN_ACCEPTED);
        return true;
    }
    return false;
}

static struct uplink *
accept_uplink(struct engine *e, struct session *s, const struct mqttsn_packet *packet,
              struct dm_span topic)
{
    bool store = !e->upstream_up || e->options->uplink_ack_store;

    if (s->open_uplinks >= OPEN_UPLINKS_MAX || (store && !engine_can_promise(e)) ||
        e->status.spooled_octets + topic.len + packet->data.len > e->options->spool_bytes)
        return NULL;
    struct name *name = name_get(e, topic);
    struct uplink *u = name != NULL ? uplink_new(e, name, packet->data) : NULL;

    name_unref(e, name);
    if (u == NULL)
        return NULL;
    u->order = ++e->last_spool;
    u->session = s->number;
    u->naps = s->naps;
    u->connection = s->connections;
    u->msg_id = packet->msg_id;
    u->topic_id = packet->topic_id;
    u->retain = packet->retain;
    s->open_uplinks++;
    e->status.uplink_messages++;
    if (store)
        uplink_store(e, u);
    else if (e->uplink_unstored == NULL)
        e->uplink_unstored = u;
    uplink_pump(e);
    return u;
}

static void
publish_qos0(struct engine *e, struct session *s, const struct mqttsn_packet *packet,
             struct dm_span topic)
{
    struct name *name = e->upstream_up ? name_get(e, topic) : NULL;

    bool sent = name != NULL && upstream_publish(e, name, packet->data, packet->retain, 0, false);

    name_unref(e, name);
    if (sent) {
        e->status.uplink_messages++;
        return;
    }
    e->status.uplink_dropped++;
    /* R53: congestion also for QoS 0, at most once a second; QoS -1 is never answered (R40). */
    if (s == NULL || packet->qos != 0 ||
        (s->congestion_at_ms != 0 && e->now_ms - s->congestion_at_ms < REPLY_INTERVAL_MS))
        return;
    s->congestion_at_ms = e->now_ms;
    send_puback(e, s, 0, packet->topic_id, packet->msg_id, MQTTSN_CONGESTION);
}

static void
publish_without_connection(struct engine *e, const struct dm_address *from, struct session *s,
                           const struct mqttsn_packet *packet)
{
    uint8_t short_name[2];
    enum mqttsn_return_code code;
    struct dm_span topic = {0};

    if (e->options->links[from->link].qos_minus_one &&
        packet->topic_type != MQTTSN_TOPIC_NORMAL) /* R42 */
        topic = publish_topic(e, from->link, NULL, packet, short_name, &code);
    if (topic.len > 0)
        publish_qos0(e, s, packet, topic);
    else
        e->status.ignored++;
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

    if (topic.len > 0 && packet->qos == 2) {
        topic.len = 0;
        code = MQTTSN_NOT_SUPPORTED; /* R47: refusing ends the exchange */
    }
    if (topic.len == 0)
        send_puback(e, s, 0, packet->topic_id, packet->msg_id, code);
    else if (packet->qos == 0)
        publish_qos0(e, s, packet, topic);
    else if (!is_repetition(e, s, packet, topic) && accept_uplink(e, s, packet, topic) == NULL)
        send_puback(e, s, 0, packet->topic_id, packet->msg_id, MQTTSN_CONGESTION);
}
