/* SPDX-License-Identifier: Apache-2.0 */
/* The table of topics and filters, and which matches which. */
#include "topics.h"

#include "topic.h"

enum { PREDEFINED_1 = 1, PREDEFINED_2 = 2 };

const struct sim_topic topics[TOPICS_COUNT] = {
    {"t/a", MQTTSN_TOPIC_NORMAL, 0},
    {"t/b", MQTTSN_TOPIC_NORMAL, 0},
    {"t/c/d", MQTTSN_TOPIC_NORMAL, 0},
    {"u/a", MQTTSN_TOPIC_NORMAL, 0},
    {"u/b", MQTTSN_TOPIC_NORMAL, 0},
    {"ab", MQTTSN_TOPIC_SHORT, 'a' << 8 | 'b'},
    {"cd", MQTTSN_TOPIC_SHORT, 'c' << 8 | 'd'},
    {"pre/1", MQTTSN_TOPIC_PREDEFINED, PREDEFINED_1},
    {"pre/2", MQTTSN_TOPIC_PREDEFINED, PREDEFINED_2},
    {"w/x", MQTTSN_TOPIC_NORMAL, 0},
};

const struct sim_topic filters[FILTERS_COUNT] = {
    {"t/a", MQTTSN_TOPIC_NORMAL, 0},
    {"t/b", MQTTSN_TOPIC_NORMAL, 0},
    {"t/c/d", MQTTSN_TOPIC_NORMAL, 0},
    {"u/a", MQTTSN_TOPIC_NORMAL, 0},
    {"u/b", MQTTSN_TOPIC_NORMAL, 0},
    {"ab", MQTTSN_TOPIC_SHORT, 'a' << 8 | 'b'},
    {"cd", MQTTSN_TOPIC_SHORT, 'c' << 8 | 'd'},
    {"pre/1", MQTTSN_TOPIC_PREDEFINED, PREDEFINED_1},
    {"pre/2", MQTTSN_TOPIC_PREDEFINED, PREDEFINED_2},
    {"t/+", MQTTSN_TOPIC_NORMAL, 0},
    {"t/#", MQTTSN_TOPIC_NORMAL, 0},
    {"+/a", MQTTSN_TOPIC_NORMAL, 0},
    {"u/#", MQTTSN_TOPIC_NORMAL, 0},
    {"pre/+", MQTTSN_TOPIC_NORMAL, 0},
    {"w/#", MQTTSN_TOPIC_NORMAL, 0},
    {"#", MQTTSN_TOPIC_NORMAL, 0},
};

const struct engine_topic topics_predefined[] = {{PREDEFINED_1, "pre/1"}, {PREDEFINED_2, "pre/2"}};
const size_t topics_predefined_count = sizeof topics_predefined / sizeof topics_predefined[0];

static bool match[FILTERS_COUNT][TOPICS_COUNT];

void
topics_init(void)
{
    for (unsigned f = 0; f < FILTERS_COUNT; f++)
        for (unsigned t = 0; t < TOPICS_COUNT; t++)
            match[f][t] =
                topic_matches(dm_span_text(filters[f].name), dm_span_text(topics[t].name));
}

bool
topics_match(unsigned filter, unsigned topic)
{
    return match[filter][topic];
}

static unsigned
find(const struct sim_topic *table, unsigned count, struct dm_span name)
{
    unsigned i = 0;

    while (i < count && !dm_span_equal(dm_span_text(table[i].name), name))
        i++;
    return i;
}

unsigned
topics_find(struct dm_span name)
{
    return find(topics, TOPICS_COUNT, name);
}

unsigned
topics_find_filter(struct dm_span name)
{
    return find(filters, FILTERS_COUNT, name);
}

unsigned
topics_find_filter_of(const struct mqttsn_packet *packet)
{
    if (packet->topic_type == MQTTSN_TOPIC_NORMAL)
        return topics_find_filter(packet->topic_name);
    for (unsigned f = 0; f < FILTERS_COUNT; f++)
        if (filters[f].type == packet->topic_type && filters[f].id == packet->topic_id)
            return f;
    return FILTERS_COUNT;
}
