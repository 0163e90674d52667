/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages from the broker: each is recognised if it comes again, routed, and acknowledged in the
 * order of receipt when every recipient has it or has it committed (design 4).
 */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

enum {
    RECEIVE_MAXIMUM_3_1_1 = 20, /* MQTT 3.1.1 has none; Mosquitto's default window */
    PACKET_ID_NOT_FOUND = 0x92, /* MQTT 5 reason code */
};

/* Never 0, which means that it is not known. */
static uint64_t
content_of_packet(const struct mqtt_packet *packet)
{
    uint64_t content = content_of(packet->topic, packet->qos, packet->payload, packet->retain);

    return content != 0 ? content : 1;
}

static struct inbound *
inbound_find(struct trunk *t, uint8_t qos, uint16_t packet_id)
{
    const struct inbound key = {.qos = qos, .packet_id = packet_id};

    return pointer_index_find(&t->inbound_index, hash_inbound(&key), &key);
}

static struct inbound *
inbound_new(struct trunk *t, uint8_t qos, uint16_t packet_id)
{
    struct inbound *in = calloc(1, sizeof *in);

    if (in == NULL)
        return NULL;
    in->trunk = t;
    in->qos = qos;
    in->packet_id = packet_id;
    if (!pointer_index_insert(&t->inbound_index, in)) {
        free(in);
        return NULL;
    }
    DL_APPEND(t->inbound[qos], in);
    return in;
}

static struct inbound **
list_of(struct trunk *t, const struct inbound *in)
{
    return &t->inbound[in->received ? INBOUND_RECEIVED : in->qos];
}

static void
inbound_free(struct trunk *t, struct inbound *in)
{
    struct inbound **list = list_of(t, in);

    if (!in->received && in->current)
        t->inbound_held--;
    if (in->message != NULL)
        in->message->inbound = NULL;
    pointer_index_remove(&t->inbound_index, in);
    DL_DELETE(*list, in);
    free(in);
}

static void
free_all(struct trunk *t)
{
    for (size_t list = 0; list < INBOUND_LISTS; list++)
        while (t->inbound[list] != NULL)
            inbound_free(t, t->inbound[list]);
}

/* PUBREC is handed over. */
static void
set_received(struct trunk *t, struct inbound *in)
{
    DL_DELETE(t->inbound[2], in);
    in->received = true;
    DL_APPEND(t->inbound[INBOUND_RECEIVED], in);
}

void
inbound_forget_message(struct inbound *in)
{
    in->message = NULL;
}

void
inbound_settled(struct engine *e, struct message *m, uint64_t seq)
{
    trunk_touch(e, m->inbound->trunk);
    m->inbound->pending--;
    if (seq > m->inbound->seq)
        m->inbound->seq = seq;
}

bool
inbound_load(struct trunk *t, uint16_t packet_id, uint64_t content)
{
    struct inbound *in = inbound_new(t, 2, packet_id);

    if (in == NULL)
        return false;
    set_received(t, in);
    in->content = content;
    return true;
}

static void
acknowledge(struct engine *e, struct trunk *t, enum mqtt_type type, uint16_t packet_id,
            uint64_t needs)
{
    engine_send_upstream(e, t, needs, &(struct mqtt_packet){.type = type, .packet_id = packet_id});
}

/* In the order of receipt, as MQTT demands: the first that is not ready stops its QoS. */
static void
flush_qos(struct engine *e, struct trunk *t, uint8_t qos)
{
    struct inbound *in;
    struct inbound *next;

    DL_FOREACH_SAFE (t->inbound[qos], in, next) {
        if (!in->current)
            continue;
        if (in->pending > 0)
            return;
        if (in->seq > e->committed_seq) {
            trunk_block(e, t);
            return;
        }
        acknowledge(e, t, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, in->packet_id, 0);
        if (qos == 1) {
            inbound_free(t, in);
            continue;
        }
        if (in->message != NULL)
            in->message->inbound = NULL;
        in->message = NULL;
        set_received(t, in);
        t->inbound_held--;
    }
}

void
inbound_flush_trunk(struct engine *e, struct trunk *t)
{
    if (!t->up)
        return;
    flush_qos(e, t, 1);
    flush_qos(e, t, 2);
}

void
inbound_flush(struct engine *e)
{
    inbound_flush_trunk(e, &e->shared);
    own_settle(e);
}

/* ---- what a process before has taken over ---- */

bool
inbound_expect(struct engine *e, struct message *m)
{
    uint32_t hash = pointer_index_hash_number(m->packet_id);
    struct message *old = pointer_index_find(&e->redelivered, hash, &m->packet_id);

    if (old != NULL) /* the id was used again, so the older one is acknowledged */
        pointer_index_remove(&e->redelivered, old);
    return pointer_index_insert(&e->redelivered, m);
}

void
inbound_expect_no_more(struct engine *e, struct trunk *t)
{
    t->expects = false;
    if (t->connection == 0)
        pointer_index_fini(&e->redelivered);
}

/* One of an earlier process; of several the last, for the id was used again. */
static struct message *
find_in_queue(const struct session *s, uint16_t packet_id)
{
    struct delivery *d;
    struct message *found = NULL;

    DL_FOREACH (s != NULL ? s->queue : NULL, d)
        if (d->message->packet_id == packet_id)
            found = d->message;
    return found;
}

/* The message of the store that this is once more, NULL: none. The reference is the caller's. */
static struct message *
take_expected(struct engine *e, struct trunk *t, const struct mqtt_packet *packet,
              struct dm_span topic)
{
    if (packet->qos != 1 || !(t->connection == 0 ? e->redelivered.count > 0 : t->expects))
        return NULL;
    if (!packet->dup) { /* the broker sends first what it had open */
        inbound_expect_no_more(e, t);
        return NULL;
    }
    uint32_t hash = pointer_index_hash_number(packet->packet_id);
    struct message *m = t->connection == 0
                            ? pointer_index_find(&e->redelivered, hash, &packet->packet_id)
                            : find_in_queue(t->session, packet->packet_id);

    if (m == NULL || m->retain != packet->retain || !dm_span_equal(name_span(m->topic), topic) ||
        !dm_span_equal(dm_span(m->payload, m->len), packet->payload))
        return NULL;
    m->refs++;
    return m;
}

/* A redelivery of something we still have or have taken over. */
static bool
is_redelivery(struct engine *e, struct trunk *t, const struct mqtt_packet *packet)
{
    struct inbound *in = inbound_find(t, packet->qos, packet->packet_id);

    if (in == NULL)
        return false;
    bool same = in->content == 0 || in->content == content_of_packet(packet);

    /* Where the session was meanwhile the exchange may have ended, and the id been used again. */
    if (in->received && !packet->dup && (t->note & OWN_INHERITED) != 0)
        same = false;

    if (in->received && same) { /* QoS 2: ours since PUBREC, until PUBREL */
        acknowledge(e, t, MQTT_PUBREC, packet->packet_id, 0);
        return true;
    }
    if (in->current && same)
        return true; /* a broker that repeats inside a connection */
    if (in->received || !packet->dup || !same) {
        /* The broker gave the old message up, or lost its session, and uses the id again. */
        inbound_free(t, in);
        return false;
    }
    /* The same message, not acknowledged yet: it takes its place in the new connection's order. */
    in->current = true;
    t->inbound_held++;
    DL_DELETE(t->inbound[in->qos], in);
    DL_APPEND(t->inbound[in->qos], in);
    return true;
}

/* How many messages the broker may have open towards us. */
static uint16_t
window_of(const struct engine *e, const struct trunk *t)
{
    if (t->granted.version != MQTT_5)
        return RECEIVE_MAXIMUM_3_1_1;
    return t->connection == 0 ? e->options->receive_maximum : ENGINE_OWN_RECEIVE_MAXIMUM;
}

/* Mosquitto 2.0 sends more whenever messages wait for its window. Ending the connection would not
 * help: with the next one it sends them all again, and so for ever. Queues have their own limits.
 */
static void
note_excess(struct engine *e, struct trunk *t)
{
    if (t->exceeded || t->granted.version != MQTT_5 || t->inbound_held <= window_of(e, t))
        return;
    t->exceeded = true;
    if (t->connection == 0) /* of an own one it is not worth a line for each device */
        log_notice(
            "upstream",
            "the broker has more messages open than the %u that we allow: taken all the same",
            (unsigned)window_of(e, t));
}

/* At half of the window everything held is committed, so that the broker never runs dry (design 4).
 */
static void
keep_window_open(struct engine *e, struct trunk *t)
{
    if (t->inbound_held * 2 < window_of(e, t))
        return;
    while (t->direct != NULL)
        queue_store(e, t->direct);
}

/* The device's name of a broker's topic: without the gateway's prefix. False: not one of ours. */
static bool
device_name(const struct engine *e, struct dm_span topic, struct dm_span *name)
{
    size_t prefix = strlen(e->options->topic_prefix);

    if (topic.len <= prefix ||
        (prefix > 0 && memcmp(topic.data, e->options->topic_prefix, prefix) != 0))
        return false;
    *name = dm_span(topic.data + prefix, topic.len - prefix);
    return true;
}

/* The broker tells how much is left of a message's time; it counts on while the message waits. */
static uint64_t
expiry_of(const struct engine *e, const struct mqtt_packet *packet)
{
    return packet->has_message_expiry
               ? engine_add_ms(engine_gateway_ms(e), packet->message_expiry_s * UINT64_C(1000))
               : ENGINE_NEVER;
}

static struct message *
new_message(struct engine *e, const struct mqtt_packet *packet, struct dm_span topic)
{
    struct name *name = names_have_room(e, topic) ? name_get(e, topic) : NULL;
    struct message *m =
        name != NULL ? message_new(e, name, packet->payload, packet->qos, packet->retain) : NULL;

    name_unref(e, name);
    if (m != NULL)
        m->expires_ms = expiry_of(e, packet);
    return m;
}

/* ---- messages that wait at the broker (hold = broker) ---- */

/* Somebody takes them. What comes for a session that has ended goes with it. */
static bool
takes_messages(const struct trunk *t)
{
    const struct session *s = t->session;

    return s != NULL &&
           (!t->hold_at_broker || (s->state != ENGINE_DISCONNECTED && s->state != ENGINE_LOST));
}

/* As the broker sent it: copies for several filters come as several. It is for this device, whether
 * a subscription of it is known here or was made at another gateway. */
static void
deliver_held(struct engine *e, struct trunk *t, struct message *m, const struct mqtt_packet *packet)
{
    struct session *s = t->session;
    struct party party = party_of(s);
    const struct filter *exact = filter_find(t, m->topic);
    const struct subscription *sub;
    bool wait_suback = false;
    struct dm_span name = name_down(e, &party, name_span(m->topic), &e->lowered);

    if (name.len == 0 ||
        (access_is_own(e, name_span(m->topic)) && (exact == NULL || exact->subscriptions == NULL)))
        return;
    if (!access_subscribe(e, &party, name)) {
        access_denied(e, party.client_id, "a message of a subscription made elsewhere", name);
        return;
    }
    LL_FOREACH (s->subscriptions, sub)
        wait_suback =
            wait_suback || (sub->owes_suback && name_matches(e, sub, name_span(m->topic)));
    bool has_room = !t->overflowed && (s->queue == NULL || queue_has_room(e, s, m));

    if (t->hold_at_broker && m->inbound != NULL && !has_room) {
        /* The broker keeps it: limits of our memory are not its limits. And all that comes behind
         * it, which would overtake it. */
        t->overflowed = true;
        inbound_free(t, m->inbound);
        return;
    }
    queue_add(e, s, m, m->qos, wait_suback);
    if (s->queue != NULL && s->queue->prev->message == m)
        s->queue->prev->sent = packet->dup; /* perhaps, by an earlier process or gateway */
    downlink_pump(e, s);
    session_schedule(e, s);
}

/* Of a subscription that the device made at another gateway. */
static bool
is_inherited(struct engine *e, const struct trunk *t, const struct message *m)
{
    const struct subscription *sub;

    if ((t->note & OWN_INHERITED) == 0)
        return false;
    LL_FOREACH (t->session->subscriptions, sub)
        if (name_matches(e, sub, name_span(m->topic)))
            return false;
    return true;
}

void
inbound_hand_back(struct engine *e, struct session *s)
{
    struct delivery *d;
    struct delivery *next;

    s->trunk->stale = s->trunk->up;
    DL_FOREACH_SAFE (s->queue, d, next) {
        if (d->qos == 0 || d->stored)
            continue;
        if (d->message->inbound != NULL)
            inbound_free(s->trunk, d->message->inbound);
        queue_remove(e, s, d);
    }
}

void
inbound_take(struct engine *e, struct session *s, struct delivery *d)
{
    struct inbound *in = d->message->inbound;

    if (in != NULL) /* before its delivery, whose record settles it */
        in->seq = record_inbound(e, s->trunk, in, true);
    queue_store_released(e, s, d);
}

bool
inbound_is_taken(struct trunk *t, uint16_t packet_id)
{
    const struct inbound *in = inbound_find(t, 2, packet_id);

    return in != NULL && in->received;
}

void
inbound_message(struct engine *e, struct trunk *t, const struct mqtt_packet *packet)
{
    struct dm_span topic;
    struct inbound *in = NULL;

    if (t->connection != 0 && !takes_messages(t)) {
        t->stale = true; /* nobody is there: it comes again with the next connection */
        return;
    }
    if (packet->qos > 0) {
        if (is_redelivery(e, t, packet))
            return;
        in = inbound_new(t, packet->qos, packet->packet_id);
        if (in == NULL) {
            log_error("upstream", "out of memory: a message waits at the broker");
            return;
        }
        in->current = true;
        in->content = content_of_packet(packet);
        t->inbound_held++;
        note_excess(e, t);
    }
    if (device_name(e, packet->topic, &topic)) {
        struct message *m = take_expected(e, t, packet, topic);

        if (m == NULL)
            m = new_message(e, packet, topic);
        if (m == NULL) {
            log_error("upstream", "out of memory: a message waits at the broker");
            if (in != NULL)
                inbound_free(t, in); /* not acknowledged: it comes again with the next connection */
            return;
        }
        m->inbound = in;
        if (in != NULL)
            in->message = m;
        if (t->hold_at_broker || is_inherited(e, t, m))
            deliver_held(e, t, m, packet);
        else
            route_message(e, t, m, packet);
        message_unref(e, m);
    }
    if (t->hold_at_broker)
        return;
    if (in != NULL && in->seq < t->route_seq)
        in->seq = t->route_seq;
    if (in != NULL && in->qos == 2) { /* recognised again until PUBREL */
        uint64_t seq = record_inbound(e, t, in, true);

        in->seq = seq > in->seq ? seq : in->seq;
    }
    keep_window_open(e, t);
}

void
inbound_pubrel(struct engine *e, struct trunk *t, const struct mqtt_packet *packet)
{
    struct inbound *in = inbound_find(t, 2, packet->packet_id);

    if (in != NULL && in->received) {
        t->release_seq = record_inbound(e, t, in, false);
        inbound_free(t, in);
    }
    engine_send_upstream(e, t, t->release_seq,
                         &(struct mqtt_packet){
                             .type = MQTT_PUBCOMP,
                             .packet_id = packet->packet_id,
                             /* No failure: it may repeat one that was answered before a restart. */
                             .reason = in == NULL ? PACKET_ID_NOT_FOUND : 0});
}

void
inbound_forget_all(struct engine *e, struct trunk *t)
{
    inbound_expect_no_more(e, t);
    route_forget(t);
    free_all(t);
}

void
inbound_leave(struct engine *e)
{
    static const size_t lists[] = {INBOUND_RECEIVED, 2};
    struct trunk *t = &e->shared;
    struct inbound *in;

    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        DL_FOREACH (t->inbound[lists[i]], in)
            broker_keep(e, &(struct store_record){.op = STORE_INBOUND_PUT,
                                                  .broker = broker_number(e),
                                                  .packet_id = in->packet_id,
                                                  .content = in->content});
    inbound_expect_no_more(e, t);
    free_all(t);
}

void
inbound_disconnected(struct trunk *t)
{
    struct inbound *in;

    for (size_t list = 0; list < INBOUND_LISTS; list++)
        DL_FOREACH (t->inbound[list], in)
            in->current = false;
    t->inbound_held = 0;
    t->exceeded = false;
}
