/* SPDX-License-Identifier: Apache-2.0 */
/* Topic aliases: whatever is published in whatever order, the broker takes each for its topic. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "unit.h"
#include "upstream_alias.h"

enum { TOPIC_SIZE = 24, MAXIMUM = 10 };

/* What the broker believes. */
struct broker {
    char topics[MAXIMUM + 1][TOPIC_SIZE];
    unsigned by_alias, whole;
};

static void
publish(struct aliases *aliases, struct broker *broker, const char *topic, bool leaves)
{
    struct alias alias = alias_choose(aliases, dm_span_text(topic));

    CU_ASSERT_FATAL(alias.number <= MAXIMUM);
    if (!leaves)
        return;
    if (alias.known) {
        CU_ASSERT_STRING_EQUAL(broker->topics[alias.number], topic);
        broker->by_alias++;
        return;
    }
    broker->whole++;
    if (alias.number == 0)
        return;
    snprintf(broker->topics[alias.number], TOPIC_SIZE, "%s", topic);
    alias_sent(aliases, alias, dm_span_text(topic));
}

static void
aliases_mean_the_topic_they_were_sent_with(void)
{
    struct aliases *aliases = aliases_new(MAXIMUM);
    struct broker broker = {0};
    struct random_source source = random_start("aliases", 1);

    for (int i = 0; i < 20000; i++) {
        char topic[TOPIC_SIZE];

        snprintf(topic, sizeof topic, "field/%u", random_below(&source, 40));
        publish(aliases, &broker, topic, random_below(&source, 8) != 0);
    }
    CU_ASSERT(broker.by_alias > 0);
    aliases_free(aliases);
}

/* A few that are published again and again keep theirs while many others go by once. */
static void
topics_of_every_day_keep_their_aliases(void)
{
    struct aliases *aliases = aliases_new(MAXIMUM);
    struct broker broker = {0};

    for (int i = 0; i < 1000; i++) {
        char topic[TOPIC_SIZE];

        publish(aliases, &broker, "every/day", true);
        snprintf(topic, sizeof topic, "once/%d", i);
        publish(aliases, &broker, topic, true);
    }
    CU_ASSERT_EQUAL(broker.by_alias, 999);
    aliases_free(aliases);
}

static void
short_topics_get_none(void)
{
    struct aliases *aliases = aliases_new(MAXIMUM);
    struct broker broker = {0};

    for (int i = 0; i < 3; i++)
        publish(aliases, &broker, "abc", true);
    CU_ASSERT_EQUAL(broker.whole, 3);
    aliases_free(aliases);
    aliases_free(NULL);
}

static const struct unit_test tests[] = {
    UNIT_TEST(aliases_mean_the_topic_they_were_sent_with),
    UNIT_TEST(topics_of_every_day_keep_their_aliases),
    UNIT_TEST(short_topics_get_none),
};

UNIT_MAIN("upstream_alias", tests)
