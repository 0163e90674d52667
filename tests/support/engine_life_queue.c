/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promises about messages to devices: QoS 1 is never lost, QoS 2 arrives exactly once, in order,
 * and nothing goes to a device that sleeps. What the broker was told it may forget is on disk until
 * the device has it; only drops that the engine counts take it from there.
 */
#include "engine_life.h"

#include <stdio.h>
#include <string.h>

#include "topic.h"

static void
broken(const struct life *l, const char *what, uint64_t session, uint32_t payload)
{
    char detail[64];

    snprintf(detail, sizeof detail, "m%u for session %u", (unsigned)payload, (unsigned)session);
    life_broken(l, what, detail);
}

/* ---- what is owed ---- */

static struct life_owed *
find_owed(struct life *l, uint64_t session, uint32_t payload)
{
    for (size_t i = 0; i < l->owed_count; i++)
        if (l->owed[i].session == session && l->owed[i].payload == payload)
            return &l->owed[i];
    return NULL;
}

static void
remove_owed(struct life *l, struct life_owed *o)
{
    if (o != NULL)
        *o = l->owed[--l->owed_count];
}

static bool
broker_holds(const struct life_broker *b, const struct store_record *subscription, bool answered)
{
    for (size_t f = 0; f < b->filter_count; f++)
        if (b->filters[f].held &&
            (!answered || subscription->upstream_id <= b->filters[f].answered_id) &&
            dm_span_equal(subscription->name, dm_span_text(b->filters[f].filter)))
            return true;
    return false;
}

/* Overlapping filters of which the broker holds a part. */
static bool
is_partial(const struct life *l, uint64_t session, struct dm_span topic)
{
    for (size_t i = 0; i < l->latest.rows.count; i++) {
        const struct store_record *row = &l->latest.rows.items[i].record;

        if (row->op != STORE_SUBSCRIPTION_PUT || row->session != session ||
            broker_holds(&l->broker, row, false) || !topic_matches(row->name, topic))
            continue;
        return true;
    }
    return false;
}

/* Every session gets the message that has a subscription of QoS 1 or 2 which the broker holds, and
 * acknowledged. */
void
queue_owe(struct life *l, uint32_t payload)
{
    struct dm_span topic = dm_span_text(life_topics[l->facts[payload].topic]);

    for (size_t i = 0; i < l->latest.rows.count; i++) {
        const struct store_record *row = &l->latest.rows.items[i].record;

        if (row->op != STORE_SUBSCRIPTION_PUT || row->qos == 0 ||
            !topic_matches(row->name, topic) || !broker_holds(&l->broker, row, true) ||
            find_owed(l, row->session, payload) != NULL)
            continue;
        if (l->owed_count == LIFE_OWED_MAX)
            abort();
        l->owed[l->owed_count++] =
            (struct life_owed){.session = row->session,
                               .payload = payload,
                               .partial = is_partial(l, row->session, topic)};
    }
}

void
queue_forgive(struct life *l, uint32_t payload)
{
    for (size_t i = l->owed_count; i-- > 0;)
        if (l->owed[i].payload == payload)
            remove_owed(l, &l->owed[i]);
}

void
queue_refused(struct life *l, uint64_t session, uint32_t payload)
{
    struct life_owed *o = find_owed(l, session, payload);

    if (o != NULL)
        o->refused = true;
}

/* Who does not want the topic any more is owed nothing. */
static bool
still_wants(const struct life *l, uint64_t session, uint32_t payload)
{
    struct dm_span topic = dm_span_text(life_topics[l->facts[payload].topic]);

    for (size_t i = 0; i < l->latest.rows.count; i++) {
        const struct store_record *row = &l->latest.rows.items[i].record;

        if (row->op == STORE_SUBSCRIPTION_PUT && row->session == session && row->qos > 0 &&
            topic_matches(row->name, topic))
            return true;
    }
    return false;
}

/* The message is nowhere any more. True: that has to be explained by a drop. */
static bool
forget_owed(struct life *l, struct life_owed *o)
{
    bool missing = o != NULL && !o->refused && still_wants(l, o->session, o->payload) &&
                   l->lowered[o->session % LIFE_SESSIONS] < l->facts[o->payload].published;

    remove_owed(l, o);
    l->gone += missing;
    return missing;
}

static bool
is_durable(const struct life *l, uint64_t session, uint32_t payload)
{
    for (size_t i = 0; i < l->rig.disk.rows.count; i++) {
        const struct store_record *row = &l->rig.disk.rows.items[i].record;

        if (row->op == STORE_DELIVERY_PUT && row->session == session &&
            life_payload(life_row(&l->rig.disk, STORE_MESSAGE_PUT, 0, row->message), 'm') ==
                payload)
            return true;
    }
    return false;
}

/* Another copy, for another filter, that the broker will send again. */
static bool
is_open(const struct life *l, uint32_t payload)
{
    for (size_t i = 0; i < l->broker.open_count; i++)
        if (l->broker.open[i].payload == payload && !l->broker.open[i].acknowledged)
            return true;
    return false;
}

void
queue_acknowledged(struct life *l, const struct life_message *message)
{
    uint32_t payload = message->payload;

    if (is_open(l, payload))
        return;
    for (size_t i = l->owed_count; i-- > 0;) {
        uint64_t session = l->owed[i].session;
        unsigned c = life_client(l, session);

        if (l->owed[i].payload != payload || is_durable(l, session, payload) ||
            !forget_owed(l, &l->owed[i]))
            continue;
        if (c == LIFE_CLIENTS || l->unused[c] == 0)
            broken(l, "acknowledged to the broker, and neither delivered nor on disk", session,
                   payload);
        l->unused[c]--;
    }
}

/* ---- the turn ---- */

static uint32_t
queued_payload(const struct life *l, uint64_t session, uint64_t order, uint8_t *qos)
{
    const struct store_record *delivery = life_row(&l->latest, STORE_DELIVERY_PUT, session, order);

    if (delivery == NULL)
        return 0;
    *qos = delivery->qos;
    return life_payload(life_row(&l->latest, STORE_MESSAGE_PUT, 0, delivery->message), 'm');
}

static void
taken_from_queue(struct life *l, uint64_t session, uint64_t order)
{
    uint8_t qos = 0;
    uint32_t payload = queued_payload(l, session, order, &qos);
    unsigned c = life_client(l, session);

    if (qos > 0 && c < LIFE_DEVICES && l->facts[payload].handed[c] != session)
        l->facts[payload].disordered = true; /* a crash may bring it back */
    if (forget_owed(l, find_owed(l, session, payload)) && c < LIFE_CLIENTS)
        l->missing[c]++;
}

void
queue_record(struct life *l, const struct store_record *record)
{
    switch (record->op) {
    case STORE_SESSION_DELETE:
        for (size_t i = l->owed_count; i-- > 0;)
            if (l->owed[i].session == record->session)
                remove_owed(l, &l->owed[i]);
        break;
    case STORE_SUBSCRIPTION_PUT:
    case STORE_SUBSCRIPTION_DELETE:
        l->subscribed[record->session % LIFE_SESSIONS] = l->step;
        if (record->op == STORE_SUBSCRIPTION_DELETE || record->qos == 0)
            l->lowered[record->session % LIFE_SESSIONS] = l->step;
        break;
    case STORE_DELIVERY_DELETE:
        taken_from_queue(l, record->session, record->order);
        break;
    default:
        break;
    }
}

/* Of a session that lives, the drops of this turn explain what is missing; `hard`: not all of them
 * are of QoS 0. */
static void
account_for(struct life *l, unsigned c, bool hard)
{
    const struct life_seen *was = &l->before[c];
    const struct life_seen *is = &l->seen[c];
    bool same = was->there && is->there && was->number == is->number;
    char detail[64];

    if (!same)
        l->unused[c] = 0;
    if (!is->there)
        return;
    uint64_t drops = hard ? is->dropped - (same ? was->dropped : 0) : 0;

    snprintf(detail, sizeof detail, "session %u: %u are missing, %u were dropped",
             (unsigned)is->number, l->missing[c], (unsigned)drops);
    if (l->missing[c] > drops)
        life_broken(l, "taken from the queue, not delivered, and not counted", detail);
    l->unused[c] += drops - l->missing[c];
    if (is->queued > l->rig.options.queue_messages)
        life_broken(l, "a queue above its limit", detail);
}

void
queue_turn(struct life *l)
{
    struct engine_status status;

    engine_status(l->rig.engine, &status);
    uint64_t hard = status.dropped[ENGINE_DROP_OVERFLOW] + status.dropped[ENGINE_DROP_TOO_LONG] +
                    status.dropped[ENGINE_DROP_REFUSED];

    for (unsigned c = 0; c < LIFE_CLIENTS; c++)
        account_for(l, c, hard != l->hard_drops);
    l->hard_drops = hard;
}

void
queue_restarted(struct life *l)
{
    l->hard_drops = 0;
    for (unsigned d = 0; d < LIFE_DEVICES; d++)
        l->devices[d].pubrec_session = 0;
}

/* All devices were there and took what came. */
void
queue_check_all(struct life *l)
{
    for (size_t i = 0; i < l->owed_count; i++) {
        struct life_owed o = l->owed[i];

        if (life_client(l, o.session) < LIFE_DEVICES && still_wants(l, o.session, o.payload))
            broken(l, "owed, and never delivered", o.session, o.payload);
    }
}

/* ---- what a device gets ---- */

/* Of two copies for overlapping filters the session takes one. Which one may change with its
 * subscriptions, and with what the gateway knows of the broker's. */
static bool
is_single(const struct life *l, uint64_t session, uint32_t payload)
{
    const struct life_fact *fact = &l->facts[payload];

    return fact->certain && l->subscribed[session % LIFE_SESSIONS] < fact->published;
}

static void
check_order(struct life *l, unsigned d, uint64_t session, uint32_t payload)
{
    const struct life_fact *fact = &l->facts[payload];
    uint32_t *last = &l->last_handed[d][fact->topic][fact->qos];

    if (l->last_handed_session[d] != session)
        memset(l->last_handed[d], 0, sizeof l->last_handed[d]);
    l->last_handed_session[d] = session;
    if (payload < *last) /* MQTT orders per topic and QoS */
        broken(l, "overtaken by a later message", session, payload);
    *last = payload;
}

void
queue_handed_over(struct life *l, unsigned d, uint64_t session, uint32_t payload, uint8_t qos)
{
    struct life_fact *fact = &l->facts[payload];
    bool again = fact->handed[d] == session;
    bool twice = again && qos == 2 && fact->handed_qos[d] == 2;

    remove_owed(l, find_owed(l, session, payload));
    l->deliveries++;
    l->exactly_once += qos == 2;
    if (twice && is_single(l, session, payload))
        broken(l, "QoS 2, and handed over twice", session, payload);
    fact->handed[d] = session;
    fact->handed_qos[d] = qos;
    /* Of what the broker sends again a part may have been dropped; new subscribers get it, too. */
    if (!again && qos > 0 && !fact->disordered)
        check_order(l, d, session, payload);
}

/* Design 1 rule 4: nothing goes to a sleeping device but the answer to what it just sent. */
static void
check_awake(const struct life *l, const struct life_line *line)
{
    uint8_t who = (uint8_t)line->text[0];
    bool wakes = l->stepping == who &&
                 (l->stepping_type == MQTTSN_PINGREQ || l->stepping_type == MQTTSN_CONNECT ||
                  l->stepping_type == MQTTSN_WILLTOPIC || l->stepping_type == MQTTSN_WILLMSG);
    bool answers = l->stepping == who && strncmp(line->text + 3, "PUBREL", 6) == 0 &&
                   l->stepping_type == MQTTSN_PUBREC;

    for (unsigned c = 0; c < LIFE_CLIENTS && !wakes && !answers; c++)
        if (l->before[c].bound && l->before[c].address == who &&
            (l->before[c].state == ENGINE_ACTIVE || l->before[c].state == ENGINE_AWAKE))
            return;
    if (!wakes && !answers)
        life_broken(l, "a message for a device that sleeps or is gone", line->text);
}

void
queue_line(struct life *l, const struct life_line *line)
{
    unsigned d = (unsigned)(line->text[0] - 'A');
    const char *text = line->text + 3;
    bool publish = strncmp(text, "PUBLISH", 7) == 0;

    if (line->text[0] == '^')
        return;
    if (publish || strncmp(text, "REGISTER", 8) == 0 || strncmp(text, "PUBREL", 6) == 0)
        check_awake(l, line);
    if (publish && d < LIFE_DEVICES && line->session != 0 &&
        l->devices[d].pubrec_session == line->session && life_number(text, " qos ") == 2 &&
        l->devices[d].pubrec_msg_id == life_number(text, " msg "))
        life_broken(l, "PUBLISH after its PUBREC", line->text);
}
