/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the session's queue to the device: one REGISTER or PUBLISH of QoS 1 or 2 open at a time
 * (R58), in the order of the queue, repeated until answered (R60 to R64), and the end of the awake
 * period (R97).
 *   QoS 1: PUBLISH -> PUBACK -> done
 *   QoS 2: row durable -> PUBLISH -> PUBREC -> released, row durable -> PUBREL -> PUBCOMP -> done
 */
#include "engine_private.h"

#include <dormouse/log.h>

enum {
    ROUNDS_MAX = 3,   /* of retransmission before a message is given up (R61) */
    WAIT_MS = 300000, /* T_WAIT */
};

uint16_t
session_next_msg_id(struct session *s)
{
    /* Ids in the queue run upward, so only the head can be met again after a wrap. */
    do
        s->last_msg_id++;
    while (s->last_msg_id == 0 || (s->queue != NULL && s->queue->msg_id == s->last_msg_id) ||
           (talk_of(s)->exchange == EXCHANGE_REGISTER &&
            talk_of(s)->register_msg_id == s->last_msg_id));
    return s->last_msg_id;
}

void
downlink_cancel(struct session *s)
{
    if (s->talk == NULL)
        return;
    s->talk->exchange = EXCHANGE_NONE;
    s->talk->stalled = false;
    s->talk->blocked = false;
    s->talk->late = false;
    s->talk->owes_pingresp = false;
}

/* The time to the answer counts from when the message leaves. */
static void
await_answer(const struct engine *e, struct session *s)
{
    s->talk->retry_at_ms =
        s->talk->late ? ENGINE_NEVER : engine_add_ms(e->now_ms, settings_of(e, s)->retry_ms);
}

static void
open_exchange(struct engine *e, struct session *s, enum exchange exchange)
{
    s->talk->exchange = exchange;
    s->talk->retries = 0;
    s->talk->talked = false;
    await_answer(e, s);
}

/* False: the link has no room, try again when it has. */
static bool
send_now(struct engine *e, struct session *s, uint64_t needs, const struct mqttsn_packet *packet)
{
    s->talk->exchange_needs = needs > s->talk->connack_seq ? needs : s->talk->connack_seq;
    enum dm_result result = e->links[s->link].blocked ? DM_FULL : engine_send(e, s, needs, packet);

    if (result != DM_FULL) {
        s->talk->late = result == DM_LATER;
        return true;
    }
    e->links[s->link].blocked = true;
    s->talk->blocked = true;
    return false;
}

static bool
send_register(struct engine *e, struct session *s)
{
    const struct registration *r = registration_by_id(s, s->talk->register_topic_id);

    return send_now(e, s, s->seq,
                    &(struct mqttsn_packet){.type = MQTTSN_REGISTER,
                                            .topic_id = s->talk->register_topic_id,
                                            .msg_id = s->talk->register_msg_id,
                                            .topic_name = name_of_session(e, s, r->name)});
}

static bool
send_publish(struct engine *e, struct session *s, struct delivery *d, enum mqttsn_topic_type type,
             uint16_t id)
{
    struct message *m = d->message;

    if (!send_now(e, s, 0,
                  &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                          .dup = d->sent,
                                          .qos = (int8_t)d->qos,
                                          .retain = m->retain,
                                          .topic_type = type,
                                          .topic_id = id,
                                          .msg_id = d->msg_id,
                                          .data = dm_span(m->payload, m->len)}))
        return false;
    d->repeated = d->sent;
    d->sent = d->qos > 0;
    return true;
}

static bool
send_pubrel(struct engine *e, struct session *s, const struct delivery *d)
{
    return send_now(e, s, d->seq,
                    &(struct mqttsn_packet){.type = MQTTSN_PUBREL, .msg_id = d->msg_id});
}

static size_t
link_mtu(const struct engine *e, uint8_t link)
{
    size_t mtu = e->options->links[link].mtu;

    return e->links[link].mtu != 0 && e->links[link].mtu < mtu ? e->links[link].mtu : mtu;
}

static bool
is_too_long(struct engine *e, const struct session *s, const struct delivery *d,
            enum topic_choice choice)
{
    size_t mtu = link_mtu(e, s->link);
    size_t publish = 7 + (size_t)d->message->len;
    size_t registration =
        choice == TOPIC_REGISTER ? 6 + name_of_session(e, s, d->message->topic).len : 0;
    size_t longest = publish > registration ? publish : registration;

    return longest + (longest > 255 ? 2 : 0) > mtu;
}

/* Sends the head of the queue, or the REGISTER it needs. False: nothing more can be sent now. */
static bool
send_head(struct engine *e, struct session *s)
{
    struct delivery *d = s->queue;
    enum mqttsn_topic_type type;
    uint16_t id;

    if (d->released) { /* R97: of an earlier period or connection */
        if (send_pubrel(e, s, d))
            open_exchange(e, s, EXCHANGE_PUBREL);
        return false;
    }
    if (delivery_is_expired(e, s, d)) {
        queue_drop(e, s, d, ENGINE_DROP_EXPIRED);
        return true;
    }
    enum topic_choice choice = topic_for_device(e, s, d->message->topic, &type, &id);

    if (choice == TOPIC_REFUSED) {
        queue_drop(e, s, d, ENGINE_DROP_REFUSED);
        return true;
    }
    if (is_too_long(e, s, d, choice)) { /* R6 */
        queue_drop(e, s, d, ENGINE_DROP_TOO_LONG);
        return true;
    }
    if (choice == TOPIC_REGISTER) {
        s->talk->register_topic_id = id;
        s->talk->register_msg_id = session_next_msg_id(s);
        if (!send_register(e, s))
            return false;
        open_exchange(e, s, EXCHANGE_REGISTER);
        return false;
    }
    if (!send_publish(e, s, d, type, id))
        return false;
    if (d->qos > 0) {
        open_exchange(e, s, EXCHANGE_PUBLISH);
        return false;
    }
    s->delivered += s->delivered < UINT32_MAX;
    e->status.downlink_messages++;
    queue_remove(e, s, d);
    return true;
}

static void
end_awake(struct engine *e, struct session *s)
{
    if (s->talk->answer_seq > e->committed_seq)
        engine_withdraw(e, session_address(s, &(struct dm_address){0}));
    engine_send(e, s, 0, &(struct mqttsn_packet){.type = MQTTSN_PINGRESP});
    e->status.awake_periods++;
    e->status.awake_ms += e->now_ms - s->talk->awake_since_ms;
    s->naps++; /* an answer that is not ready is given when the device repeats (design 3) */
    session_set_state(e, s, ENGINE_ASLEEP);
    s->last_contact_ms = e->now_ms; /* the sleep timer starts in full (R93) */
}

static uint64_t
given_up_seq(const struct engine *e, const struct session *s)
{
    return e->given_up_seq > talk_of(s)->given_up_seq ? e->given_up_seq : talk_of(s)->given_up_seq;
}

/* A QoS 2 message leaves only when its row is durable (design 1). */
bool
downlink_waits_for_disk(const struct engine *e, const struct session *s)
{
    const struct delivery *d = s->queue;

    return d != NULL && d->qos == 2 && !d->released &&
           (d->seq > e->committed_seq || given_up_seq(e, s) > e->committed_seq);
}

/* Messages that came long after the device woke up wait for its next period, or it might never
 * sleep (R97). */
static bool
is_for_next_period(const struct engine *e, const struct session *s)
{
    uint64_t age_ms = engine_gateway_ms(e) - s->queue->arrived_ms;

    return s->state == ENGINE_AWAKE && e->now_ms - s->talk->awake_since_ms >
                                           engine_add_ms(age_ms, settings_of(e, s)->awake_max_ms);
}

/* The device does not know the id of the head yet: the REGACK or SUBACK with it waits for the disk.
 */
static bool
head_waits_for_its_id(const struct engine *e, const struct session *s)
{
    const struct registration *r =
        s->queue != NULL ? registration_by_name(s, s->queue->message->topic) : NULL;

    return s->talk->gate_seq > e->committed_seq && r != NULL && r->just_told;
}

static bool
head_is_ready(struct engine *e, struct session *s)
{
    if (s->queue == NULL || s->queue->wait_suback || is_for_next_period(e, s) ||
        head_waits_for_its_id(e, s))
        return false;
    if (!downlink_waits_for_disk(e, s))
        return true;
    session_wait(e, s);
    return false;
}

void
downlink_pump(struct engine *e, struct session *s)
{
    if (!session_is_reachable(e, s) || s->talk->exchange != EXCHANGE_NONE || s->talk->stalled ||
        s->talk->blocked)
        return;
    bool gated = s->talk->gate_seq > e->committed_seq;
    bool paused = s->talk->pause_until_ms > e->now_ms;

    /* An active device waits for its CONNACK, SUBACK or REGACK; an awake one only where the message
     * needs the id that is in it. */
    if (gated && s->state == ENGINE_ACTIVE)
        return;
    while (!paused && head_is_ready(e, s) && send_head(e, s)) {
    }
    if (s->talk->exchange != EXCHANGE_NONE || s->talk->blocked || head_waits_for_its_id(e, s))
        return;
    if (s->state == ENGINE_AWAKE)
        end_awake(e, s);
    else if (s->talk->owes_pingresp)
        engine_send(e, s, 0, &(struct mqttsn_packet){.type = MQTTSN_PINGRESP});
    s->talk->owes_pingresp = false;
}

void
downlink_resume(struct engine *e, struct session *s)
{
    if (s->talk == NULL)
        return;
    s->talk->stalled = false;
    downlink_pump(e, s);
}

/* ---- repetition ---- */

/* The device does not take this topic: its messages are dropped for this connection (R62, reference
 * 2.3); an exact subscription by name ends, a wildcard stays. */
static void
refuse_topic(struct engine *e, struct session *s, struct registration *r)
{
    struct delivery *d;
    struct delivery *next;
    struct subscription *sub = subscription_find(s, r->name);

    r->refused = true;
    DL_FOREACH_SAFE (s->queue, d, next) {
        if (d->message->topic == r->name && !d->released)
            queue_drop(e, s, d, ENGINE_DROP_REFUSED);
    }
    if (sub != NULL && sub->type == MQTTSN_TOPIC_NORMAL)
        subscription_end(e, sub, true);
}

static enum mqttsn_type
exchange_type(enum exchange exchange)
{
    if (exchange == EXCHANGE_REGISTER)
        return MQTTSN_REGISTER;
    return exchange == EXCHANGE_PUBREL ? MQTTSN_PUBREL : MQTTSN_PUBLISH;
}

const char *
exchange_name(enum exchange exchange)
{
    if (exchange == EXCHANGE_REGISTER)
        return "REGISTER";
    return exchange == EXCHANGE_PUBREL ? "PUBREL" : "PUBLISH";
}

static void
give_up_round(struct engine *e, struct session *s)
{
    enum exchange exchange = s->talk->exchange;
    char id[128];

    s->talk->exchange = EXCHANGE_NONE;
    session_note(e, s, ENGINE_EVENT_NO_ANSWER, exchange_type(exchange));
    log_debug("session", "client %s: no answer to %s",
              log_escape(id, sizeof id, dm_span(s->client_id, s->client_id_len)),
              exchange_name(exchange));
    bool unsent = s->talk->exchange_needs > e->committed_seq; /* it waits for the disk */
    /* An awake device that repeats PINGREQ talks, but perhaps hears nothing: more rounds. */
    bool last = !unsent && s->talk->talked &&
                ((exchange == EXCHANGE_REGISTER && s->state == ENGINE_ACTIVE) || s->queue == NULL ||
                 ++s->queue->rounds >= ROUNDS_MAX);

    if (last && exchange == EXCHANGE_REGISTER) {
        refuse_topic(e, s, registration_by_id(s, s->talk->register_topic_id)); /* R62 */
    } else if (last) {
        queue_drop(e, s, s->queue, ENGINE_DROP_REFUSED); /* R61 */
    } else if (s->state == ENGINE_AWAKE) { /* R99: no PINGRESP, the message stays at the head */
        session_doze(e, s);
        return;
    } else if (!s->talk->talked ||
               unsent) { /* silence drops nothing (design 1): for a sign of life */
        s->talk->stalled = true;
        s->talk->owes_pingresp = false; /* as R99 */
        return;
    }
    downlink_pump(e, s);
}

void
downlink_retry(struct engine *e, struct session *s)
{
    if (s->talk->exchange == EXCHANGE_REGISTER &&
        registration_by_id(s, s->talk->register_topic_id)->known_epoch == s->epoch) {
        s->talk->exchange = EXCHANGE_NONE; /* a SUBACK or REGACK has told it meanwhile */
        downlink_pump(e, s);
        return;
    }
    if (s->talk->exchange_needs > e->committed_seq && s->state == ENGINE_ACTIVE) {
        s->talk->retry_at_ms =
            engine_add_ms(e->now_ms, settings_of(e, s)->retry_ms); /* it has not left yet */
        return;
    }
    if (s->talk->retries >= settings_of(e, s)->retry_count) {
        give_up_round(e, s);
        return;
    }
    s->talk->retries++;
    s->talk->retry_at_ms = engine_add_ms(e->now_ms, settings_of(e, s)->retry_ms);
    downlink_repeat(e, s);
}

void
downlink_repeat(struct engine *e, struct session *s)
{
    enum mqttsn_topic_type type;
    uint16_t id;

    if (s->talk->exchange_needs > e->committed_seq ||
        s->talk->late) /* what is open has not left yet */
        return;
    if (s->talk->exchange == EXCHANGE_REGISTER) {
        send_register(e, s);
    } else if (s->talk->exchange == EXCHANGE_PUBREL) {
        send_pubrel(e, s, s->queue); /* never PUBLISH again (R60) */
    } else if (topic_for_device(e, s, s->queue->message->topic, &type, &id) == TOPIC_READY) {
        send_publish(e, s, s->queue, type, id);
    } else { /* the id was given up meanwhile: begin with what it needs now */
        s->talk->exchange = EXCHANGE_NONE;
        downlink_pump(e, s);
        return;
    }
    s->talk->blocked = false; /* no room only delays the repetition; the exchange stays open */
    if (s->talk->late)
        await_answer(e, s);
}

/* ---- answers of the device ---- */

void
handle_regack(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    if (s->talk->exchange != EXCHANGE_REGISTER || packet->msg_id != s->talk->register_msg_id ||
        packet->topic_id != s->talk->register_topic_id) {
        e->status.ignored++; /* M23 */
        return;
    }
    struct registration *r = registration_by_id(s, packet->topic_id);

    s->talk->exchange = EXCHANGE_NONE;
    if (packet->return_code == MQTTSN_ACCEPTED) {
        r->known_epoch = s->epoch;
        record_registration(e, s, r, true);
    } else if (packet->return_code == MQTTSN_CONGESTION) {
        s->talk->pause_until_ms = engine_add_ms(e->now_ms, WAIT_MS);
    } else {
        refuse_topic(e, s, r);
    }
    downlink_pump(e, s);
}

static void
delivered(struct engine *e, struct session *s, struct delivery *d)
{
    s->delivered += s->delivered < UINT32_MAX;
    e->status.downlink_messages++;
    queue_remove(e, s, d);
}

/* "Invalid topic id" (reference 2.7): register once more, then send the same message again. */
static void
correct_topic(struct engine *e, struct session *s, struct delivery *d)
{
    enum mqttsn_topic_type type;
    uint16_t id;
    bool ready = topic_for_device(e, s, d->message->topic, &type, &id) == TOPIC_READY;

    if (ready && type == MQTTSN_TOPIC_NORMAL && !d->reregister) {
        registration_by_id(s, id)->known_epoch = 0;
        d->reregister = true;
    } else {
        queue_drop(e, s, d, ENGINE_DROP_REFUSED);
    }
}

void
handle_puback(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    struct delivery *d = s->queue;

    if (packet->msg_id == 0 && packet->return_code == MQTTSN_INVALID_TOPIC_ID) {
        struct registration *r = registration_by_id(s, packet->topic_id);

        if (r != NULL) /* about a QoS 0 message that is gone: register before the next */
            r->known_epoch = 0;
        return;
    }
    /* The MsgId is decisive (R63); a late answer counts while the message is still the head, but a
     * complaint about its topic only once for each time it was sent. */
    if (d == NULL || !d->sent || d->msg_id != packet->msg_id ||
        (packet->return_code == MQTTSN_INVALID_TOPIC_ID && s->talk->exchange != EXCHANGE_PUBLISH)) {
        e->status.ignored++; /* M35 */
        return;
    }
    if (d->qos == 2 && (packet->return_code == MQTTSN_ACCEPTED || d->released)) {
        e->status.ignored++; /* M36: PUBREC and PUBCOMP are awaited */
        return;
    }
    s->talk->exchange = EXCHANGE_NONE;
    if (packet->return_code != MQTTSN_ACCEPTED)
        session_note(e, s, ENGINE_EVENT_NOT_TAKEN, (uint64_t)packet->return_code);
    switch (packet->return_code) {
    case MQTTSN_ACCEPTED:
        delivered(e, s, d);
        break;
    case MQTTSN_CONGESTION:
        s->talk->pause_until_ms = engine_add_ms(e->now_ms, WAIT_MS);
        break;
    case MQTTSN_INVALID_TOPIC_ID:
        correct_topic(e, s, d);
        break;
    default:
        if (d->repeated) /* emcute refuses every DUP: it has had the message (R63) */
            delivered(e, s, d);
        else
            queue_drop(e, s, d, ENGINE_DROP_REFUSED);
        break;
    }
    downlink_pump(e, s);
}

/* What the device answers to. That is not always the head: after a crash one may stand before it
 * whose end was not durable. */
static struct delivery *
find_sent(const struct session *s, uint16_t msg_id)
{
    struct delivery *d;

    DL_FOREACH (s->queue, d)
        if (d->qos > 0 && d->sent && d->msg_id == msg_id)
            return d;
    return NULL;
}

/* A message that waits at the broker and was sent by an earlier process or over an earlier
 * connection: the broker repeats it soon, under the same MsgId. */
static bool
held_comes_again(const struct engine *e, const struct session *s, uint16_t msg_id)
{
    struct trunk *t = s->trunk;

    return t->hold_at_broker && !inbound_is_taken(t, msg_id) &&
           (!t->up || e->now_ms - t->connected_ms < settings_of(e, s)->retry_ms);
}

void
handle_pubrec(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    struct delivery *d = find_sent(s, packet->msg_id);

    if (d != NULL && d->qos < 2) {
        e->status.ignored++; /* M38 */
        return;
    }
    if (d == NULL && held_comes_again(e, s, packet->msg_id)) {
        e->status.ignored++; /* PUBREL would end what PUBLISH begins again */
        return;
    }
    if (d == NULL) { /* R64, M34: lets the device finish what we have finished */
        engine_send(e, s, given_up_seq(e, s),
                    &(struct mqttsn_packet){.type = MQTTSN_PUBREL, .msg_id = packet->msg_id});
        return;
    }
    if (!d->released) {
        d->released = true;
        if (d->stored)
            d->seq = record_delivery(e, s, d);
        else
            inbound_take(e, s, d);
    }
    if (d != s->queue || !session_is_reachable(e, s)) { /* out of turn: its reply, no more */
        engine_send(e, s, d->seq,
                    &(struct mqttsn_packet){.type = MQTTSN_PUBREL, .msg_id = packet->msg_id});
        return;
    }
    s->talk->exchange = EXCHANGE_NONE;
    s->talk->stalled = false;
    downlink_pump(e, s);
}

void
handle_pubcomp(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    struct delivery *d = find_sent(s, packet->msg_id);

    if (d == NULL || !d->released) {
        e->status.ignored++; /* M35 */
        return;
    }
    if (d == s->queue)
        s->talk->exchange = EXCHANGE_NONE;
    delivered(e, s, d);
    downlink_pump(e, s);
}
