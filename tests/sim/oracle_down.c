/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to devices: none is lost, QoS 2 comes once, each topic stays in order. */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

#include "world.h"

/* ---- debts ---- */

static bool
is_owed(const struct fact *fact, unsigned d)
{
    return (fact->owed >> d & 1) != 0;
}

static void
owe(struct world *w, unsigned d, uint32_t number, unsigned for_filters)
{
    struct debts *debts = &w->oracle.debts[d];
    struct fact *fact = oracle_fact(w, number);

    if (is_owed(fact, d))
        return;
    if (debts->count == debts->room) {
        debts->room = debts->room == 0 ? 64 : debts->room * 2;
        debts->items = realloc(debts->items, debts->room * sizeof *debts->items);
        if (debts->items == NULL)
            abort();
    }
    debts->items[debts->count++] = (struct debt){number, (uint16_t)for_filters};
    fact->entitled[d] = w->oracle.views[d].session;
    fact->owed = (uint16_t)(fact->owed | 1u << d);
}

static void
pay_at(struct world *w, unsigned d, size_t i)
{
    struct debts *debts = &w->oracle.debts[d];
    struct fact *fact = oracle_fact(w, debts->items[i].number);

    fact->owed = (uint16_t)(fact->owed & ~(1u << d));
    debts->count--;
    memmove(debts->items + i, debts->items + i + 1, (debts->count - i) * sizeof *debts->items);
}

static void
pay(struct world *w, unsigned d, uint32_t number)
{
    const struct debts *debts = &w->oracle.debts[d];

    if (!is_owed(oracle_fact(w, number), d))
        return;
    for (size_t i = 0; i < debts->count; i++) {
        if (debts->items[i].number != number)
            continue;
        pay_at(w, d, i);
        w->oracle.debts[d].paid++;
        return;
    }
}

/* ---- who is owed a message ---- */

/* The device has its SUBACK with QoS 1 or 2, and the broker has had the gateway's SUBSCRIBE for it.
 */
static bool
counts_on(const struct world *w, unsigned d, unsigned f)
{
    const struct subscription_view *sub = &w->oracle.views[d].subs[f];
    const struct broker_filter *filter = &w->broker.filters[f];

    return sub->told && sub->qos > 0 && filter->held && filter->handled_step >= sub->step;
}

void
oracle_published(struct world *w, uint32_t number)
{
    struct fact *fact = oracle_fact(w, number);

    fact->published++;
    for (unsigned d = 0; d < w->weather.devices && fact->qos > 0; d++) {
        unsigned for_filters = 0;

        if (fact->given[d] == w->oracle.views[d].session)
            continue; /* a repetition of its publisher: it has it */

        for (unsigned f = 0; f < FILTERS_COUNT; f++)
            if (topics_match(f, fact->topic) && counts_on(w, d, f))
                for_filters |= 1u << f;
        if (for_filters != 0)
            owe(w, d, number, for_filters);
    }
    world_trace(w, "message %x on %s, QoS %u, is owed to devices %03x", number,
                topics[fact->topic].name, fact->qos, fact->owed);
}

void
oracle_copy(struct world *w, uint32_t number, bool again)
{
    struct fact *fact = oracle_fact(w, number);

    fact->copies = (uint16_t)(fact->copies + !again);
    if (fact->copy_life == 0)
        fact->copy_life = w->gateway.life;
    fact->torn = fact->torn || fact->copy_life != w->gateway.life;
}

void
oracle_gone(struct world *w, uint32_t number)
{
    oracle_fact(w, number)->gone = true;
    for (unsigned d = 0; d < w->weather.devices; d++)
        pay(w, d, number);
}

void
oracle_declined(struct world *w, unsigned d, uint32_t number)
{
    pay(w, d, number);
}

/* One of the subscriptions that counted when it was published is still there. */
static bool
still_wants(const struct world *w, unsigned d, unsigned for_filters)
{
    for (unsigned f = 0; f < FILTERS_COUNT; f++)
        if ((for_filters >> f & 1) != 0 && w->oracle.views[d].subs[f].told &&
            w->oracle.views[d].subs[f].qos > 0)
            return true;
    return false;
}

void
oracle_forgive(struct world *w, unsigned d)
{
    struct debts *debts = &w->oracle.debts[d];

    for (size_t i = debts->count; i-- > 0;)
        if (!still_wants(w, d, debts->items[i].filters))
            pay_at(w, d, i);
}

/* ---- what an application is given ---- */

static bool
is_on_its_topic(const struct fact *fact, const struct client_event *event)
{
    const struct sim_topic *topic = &topics[fact->topic];

    if (event->topic_type == MQTTSN_TOPIC_PREDEFINED)
        return topic->type == MQTTSN_TOPIC_PREDEFINED && topic->id == event->topic_id;
    return dm_span_equal(event->topic_name, dm_span_text(topic->name));
}

static void
check_order(struct world *w, unsigned d, uint32_t number)
{
    struct oracle *o = &w->oracle;
    const struct fact *fact = oracle_fact(w, number);
    uint32_t *last = &o->last_down[d][fact->topic][fact->qos];

    if (fact->order < *last)
        world_fail(w, "messages to a device on a topic stay in order",
                   "message %x comes to d%02u after a later one", number, d);
    else
        *last = fact->order;
}

static void
check_live(struct world *w, unsigned d, uint32_t number, const struct client_event *event)
{
    struct fact *fact = oracle_fact(w, number);
    uint32_t session = w->oracle.views[d].session;
    bool again = fact->had[d] == w->devices[d].memory;
    bool first = fact->given[d] != session;

    bool had_two = (fact->had_twos >> d & 1) != 0; /* with QoS 1 before, it may come again */

    /* Published twice: by a broker that lost its session, or with QoS 1. */
    if (again && event->qos == 2 && had_two && fact->published == 1)
        world_fail(w, "QoS 2 comes to a device once", "message %x comes to d%02u again", number, d);
    if (again && event->qos == 1)
        w->tally->repeated_down++;
    /* What the broker repeats may come to a device that subscribed meanwhile, too; and to one whose
     * queue gave it up before. What it lost may still be on the air, from before a crash. */
    if (first && event->qos > 0 && fact->published == 1 && !fact->gone &&
        fact->entitled[d] == session && w->oracle.debts[d].dropped == 0)
        check_order(w, d, number);
    if (!again)
        w->tally->down[event->qos]++;
    if (event->qos > 0)
        fact->had[d] = w->devices[d].memory;
    if (event->qos == 2)
        fact->had_twos = (uint16_t)(fact->had_twos | 1u << d);
    fact->given[d] = session;
    pay(w, d, number);
}

void
oracle_delivered(struct world *w, unsigned d, const struct client_event *event)
{
    uint32_t number = oracle_number(event->data);
    uint8_t payload[ORACLE_PAYLOAD_MAX];

    if (number == 0 || number > w->oracle.fact_count || oracle_fact(w, number)->published == 0 ||
        !dm_span_equal(event->data, oracle_payload(w, number, payload))) {
        world_fail(w, "a device is given what was published", "d%02u is given something else", d);
        return;
    }
    const struct fact *fact = oracle_fact(w, number);

    world_trace(w, "d%02u has message %x", d, number);
    if (event->qos > fact->qos)
        world_fail(w, "no message is delivered with more QoS than it has", "message %x to d%02u",
                   number, d);
    if (!is_on_its_topic(fact, event))
        world_fail(w, "a message comes on its topic", "message %x to d%02u is on another", number,
                   d);
    if (!event->retain) /* a retained one comes with each SUBSCRIBE */
        check_live(w, d, number, event);
}

void
oracle_down_settled(struct world *w)
{
    for (unsigned d = 0; d < w->weather.devices; d++) {
        const struct debts *debts = &w->oracle.debts[d];

        if (debts->count > debts->dropped)
            world_fail(w, "what the broker has for a device reaches it",
                       "d%02u has not got message %x; %zu are missing, %llu were dropped", d,
                       debts->items[0].number, debts->count, (unsigned long long)debts->dropped);
    }
}
