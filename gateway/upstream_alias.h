/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topic aliases towards the broker (MQTT 5 section 3.3.2.3.4): a topic that is published again and
 * again is sent once, and then its number. There are fewer numbers than topics, so a topic gets
 * one only if that is free, or its owner was not published for a while.
 */
#ifndef DORMOUSE_UPSTREAM_ALIAS_H
#define DORMOUSE_UPSTREAM_ALIAS_H

#include <stdbool.h>
#include <stdint.h>

#include <dormouse/span.h>

struct aliases;

/* Of one connection. `maximum`: how many the broker takes, 1 or more; some hundred are enough for
 * us. NULL: no memory. */
struct aliases *aliases_new(uint16_t maximum);
void aliases_free(struct aliases *aliases);

struct alias {
    uint16_t number; /* 0: the topic is sent without one */
    bool known;      /* to the broker: it is sent instead of the topic */
};

/* How to send the topic now. */
struct alias alias_choose(struct aliases *aliases, struct dm_span topic);
/* The topic has left with an alias that was not known: from now on it is, if there is memory. */
void alias_sent(struct aliases *aliases, struct alias alias, struct dm_span topic);

#endif
