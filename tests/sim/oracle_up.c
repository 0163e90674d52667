/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of devices: what was acknowledged reaches the broker; QoS 2 once; in order. */
#include "world.h"

void
oracle_promised(struct world *w, uint32_t number)
{
    struct fact *fact = oracle_fact(w, number);

    fact->promised = true;
    w->tally->up[fact->qos]++;
}

void
oracle_refused(struct world *w, uint32_t number)
{
    world_trace(w, "message %x is refused", number);
    oracle_fact(w, number)->refused = true;
}

static void
check_order(struct world *w, uint32_t number)
{
    const struct fact *fact = oracle_fact(w, number);
    uint32_t *last = &w->oracle.last_up[fact->device][fact->topic][fact->qos];

    /* What was promised was promised before the next left the device. */
    if (*last > number && fact->promised && !fact->refused)
        world_fail(w, "messages of a device on a topic stay in order",
                   "message %x of d%02u comes after %x", number, fact->device, *last);
    if (number > *last)
        *last = number;
}

void
oracle_reached(struct world *w, uint32_t number)
{
    struct fact *fact = oracle_fact(w, number);

    world_trace(w, "message %x has reached the broker", number);
    if (fact->kind == 'w') {
        oracle_will_published(w, number);
    } else {
        if (fact->published == 0)
            check_order(w, number);
        else if (fact->qos == 1)
            w->tally->repeated_up++;
        if (fact->qos == 2 && fact->published >= fact->allowed)
            world_fail(w, "QoS 2 of a device reaches the broker once",
                       "message %x of d%02u comes again", number, fact->device);
    }
    broker_publish(w, number);
}

/* ---- QoS 2 and a broker that loses its session ---- */

static void
forget_finished(struct world *w)
{
    struct oracle *o = &w->oracle;
    size_t kept = 0;

    for (size_t i = 0; i < o->finishing_count; i++)
        if (o->finishing[i].seq == 0 || o->finishing[i].seq > w->disk.durable)
            o->finishing[kept++] = o->finishing[i];
    o->finishing_count = kept;
}

void
oracle_released(struct world *w, uint32_t number, uint16_t packet_id)
{
    struct oracle *o = &w->oracle;

    oracle_reached(w, number);
    forget_finished(w);
    if (o->finishing_count < ORACLE_FINISHING_MAX)
        o->finishing[o->finishing_count++] = (struct finishing){packet_id, number, 0};
}

void
oracle_completed(struct world *w, uint16_t packet_id)
{
    struct oracle *o = &w->oracle;

    for (size_t i = 0; i < o->finishing_count; i++)
        if (o->finishing[i].packet_id == packet_id && o->finishing[i].seq == 0)
            o->finishing[i].seq = disk_appended(w);
}

/* What the gateway does not know to be complete it publishes once more, as it must. */
void
oracle_session_lost(struct world *w)
{
    struct oracle *o = &w->oracle;

    forget_finished(w);
    for (size_t i = 0; i < o->finishing_count; i++) {
        struct fact *fact = oracle_fact(w, o->finishing[i].number);

        fact->allowed = (uint16_t)(fact->published + 1);
    }
    o->finishing_count = 0;
}

void
oracle_up_crashed(struct world *w)
{
    struct oracle *o = &w->oracle;

    forget_finished(w);
    for (size_t i = 0; i < o->finishing_count; i++)
        o->finishing[i].seq = 0; /* the new life completes it again */
}

void
oracle_up_settled(struct world *w)
{
    for (uint32_t number = 1; number <= w->oracle.fact_count; number++) {
        const struct fact *fact = oracle_fact(w, number);

        if (fact->kind == 'd' && fact->promised && !fact->refused && fact->published == 0)
            world_fail(w, "what a device was acknowledged reaches the broker",
                       "message %x of d%02u, QoS %u, has not", number, fact->device, fact->qos);
    }
}
