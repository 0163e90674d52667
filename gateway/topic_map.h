/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that rewrite topics between devices and broker: "sensors/+/t -> site1/%1/temperature". The
 * rules of a map overlap neither on their left nor on their right, so that each name is rewritten
 * by one rule at most, and back by the same. What only the right side of a rule matches is the
 * broker's name of something else and no name that a device can have; the same the other way round.
 * So for every text: if it has a counterpart, that has it as its counterpart. Pure.
 */
#ifndef DORMOUSE_TOPIC_MAP_H
#define DORMOUSE_TOPIC_MAP_H

#include "buffer.h"

#define TOPIC_RULE_WILDCARDS_MAX 9

struct topic_rule {
    char *left;         /* filter of the device's names */
    char *right;        /* the broker's, with %1 to %9 for the wildcards on the left */
    char *right_filter; /* the same with wildcards */
    unsigned rest;      /* number of the # on the left; 0: none */
};

/* NULL: *rule was made, release with topic_rule_fini. Else why it is no rule; static storage. */
const char *topic_rule_parse(const char *text, struct topic_rule *rule);
void topic_rule_fini(struct topic_rule *rule);
/* Whether there is a name that both rules would rewrite, or make. */
bool topic_rules_overlap(const struct topic_rule *a, const struct topic_rule *b);

/*
 * The broker's counterpart of a device's name or filter (`up`), or the reverse. Empty: it has none;
 * a filter has one only if one rule covers all of it or no rule touches it. `text` is borrowed; the
 * result is `text` itself or in `buffer`, whose content is replaced.
 */
struct dm_span topic_map(const struct topic_rule *rules, size_t count, bool up, struct dm_span text,
                         struct buffer *buffer);

#endif
