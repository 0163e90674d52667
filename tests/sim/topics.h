/* SPDX-License-Identifier: Apache-2.0 */
/* The topics and filters of the simulated fleet, few enough that they meet. */
#ifndef DORMOUSE_SIM_TOPICS_H
#define DORMOUSE_SIM_TOPICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

#define TOPICS_PREFIX "site/" /* put before every name if the seed says so */

enum {
    TOPICS_COUNT = 10,
    TOPICS_WILL = 9, /* where wills are published */
    FILTERS_COUNT = 16,
    FILTERS_EXACT = 9, /* the first of them are names: the topics but that of wills */
};

struct sim_topic {
    const char *name;
    enum mqttsn_topic_type type; /* how devices call it */
    uint16_t id;                 /* pre-defined id or short name */
};

extern const struct sim_topic topics[TOPICS_COUNT];
extern const struct sim_topic filters[FILTERS_COUNT];
extern const struct engine_topic topics_predefined[];
extern const size_t topics_predefined_count;

void topics_init(void);
bool topics_match(unsigned filter, unsigned topic);
/* Index of a name or filter; TOPICS_COUNT or FILTERS_COUNT: none. */
unsigned topics_find(struct dm_span name);
unsigned topics_find_filter(struct dm_span name);
/* What a SUBSCRIBE, UNSUBSCRIBE or PUBLISH with a short or pre-defined topic means. */
unsigned topics_find_filter_of(const struct mqttsn_packet *packet);

#endif
