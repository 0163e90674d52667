/* SPDX-License-Identifier: Apache-2.0 */
/* Facts: what is known of each message by the number in its payload. */
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { HEAD = 8, LONG = 240 }; /* octets of a kind and a number; of a message too long for a link */

struct fact *
oracle_fact(struct world *w, uint32_t number)
{
    return &w->oracle.facts[number];
}

static uint32_t
new_fact(struct world *w, const struct fact *fact)
{
    struct oracle *o = &w->oracle;

    if (o->fact_count + 1 >= o->fact_room) {
        o->fact_room = o->fact_room == 0 ? 1024 : o->fact_room * 2;
        o->facts = realloc(o->facts, o->fact_room * sizeof *o->facts);
        if (o->facts == NULL)
            abort();
    }
    o->facts[++o->fact_count] = *fact;
    return o->fact_count;
}

uint32_t
oracle_new_message(struct world *w, unsigned device, unsigned topic, uint8_t qos, bool retain)
{
    return new_fact(w, &(struct fact){.kind = 'd',
                                      .device = (uint8_t)device,
                                      .topic = (uint8_t)topic,
                                      .qos = qos,
                                      .retain = retain,
                                      .allowed = 1});
}

uint32_t
oracle_new_foreign(struct world *w, unsigned topic, uint8_t qos, bool retain)
{
    return new_fact(
        w, &(struct fact){.kind = 'm', .topic = (uint8_t)topic, .qos = qos, .retain = retain});
}

uint32_t
oracle_new_will(struct world *w, unsigned device, uint8_t qos)
{
    return new_fact(
        w,
        &(struct fact){.kind = 'w', .device = (uint8_t)device, .topic = TOPICS_WILL, .qos = qos});
}

/* Lengths differ; now and then a message is longer than a link takes, where limits are small. */
static size_t
length_of(const struct world *w, uint32_t number)
{
    bool small = w->weather.queue_messages < 100;

    if (small && number % 31 == 0 && w->oracle.facts[number].kind == 'm')
        return LONG + HEAD;
    return HEAD + number * 7 % 23;
}

struct dm_span
oracle_payload(struct world *w, uint32_t number, uint8_t *buffer)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = length_of(w, number);

    buffer[0] = (uint8_t)w->oracle.facts[number].kind;
    for (unsigned i = 1; i < HEAD; i++)
        buffer[i] = (uint8_t)digits[number >> (4 * (HEAD - 1 - i)) & 0xf];
    memset(buffer + HEAD, '.', len - HEAD);
    return dm_span(buffer, len);
}

uint32_t
oracle_number(struct dm_span payload)
{
    uint32_t number = 0;

    if (payload.len < HEAD)
        return 0;
    for (unsigned i = 1; i < HEAD; i++) {
        uint8_t c = payload.data[i];

        if (c >= '0' && c <= '9')
            number = number << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            number = number << 4 | (uint32_t)(c - 'a' + 10);
        else
            return 0;
    }
    return number;
}

bool
oracle_knows(struct world *w, uint32_t number, struct dm_span topic,
             const struct mqtt_packet *packet)
{
    uint8_t payload[ORACLE_PAYLOAD_MAX];

    if (number == 0 || number > w->oracle.fact_count)
        return false;
    const struct fact *fact = oracle_fact(w, number);

    return fact->kind != 'm' && fact->qos == packet->qos && fact->retain == packet->retain &&
           dm_span_equal(topic, dm_span_text(topics[fact->topic].name)) &&
           dm_span_equal(packet->payload, oracle_payload(w, number, payload));
}

void
oracle_init(struct world *w)
{
    w->oracle = (struct oracle){.home = false};
    for (unsigned d = 0; d < SIM_DEVICES_MAX; d++)
        w->oracle.views[d].session = 1;
}

void
oracle_fini(struct world *w)
{
    free(w->oracle.facts);
    for (unsigned d = 0; d < SIM_DEVICES_MAX; d++)
        free(w->oracle.debts[d].items);
}
