/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that rewrite topics between devices and broker. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "topic.h"
#include "topic_map.h"

enum { RULES_MAX = 8 };

struct map {
    struct topic_rule rules[RULES_MAX];
    size_t count;
    struct buffer buffer;
};

/* Each text must be a rule. */
static void
map_init(struct map *map, const char *const *texts)
{
    *map = (struct map){0};
    for (; *texts != NULL; texts++) {
        const char *why = topic_rule_parse(*texts, &map->rules[map->count++]);

        if (why != NULL)
            printf("\n%s %s\n", *texts, why);
        CU_ASSERT_PTR_NULL_FATAL(why);
    }
}

static void
map_fini(struct map *map)
{
    while (map->count > 0)
        topic_rule_fini(&map->rules[--map->count]);
    buffer_fini(&map->buffer);
}

/* wanted "": there is none */
static void
expect(struct map *map, bool up, const char *text, const char *wanted)
{
    struct dm_span got = topic_map(map->rules, map->count, up, dm_span_text(text), &map->buffer);

    if (!dm_span_equal(got, dm_span_text(wanted)))
        printf("\n%s became %.*s, not %s\n", text, (int)got.len,
               got.len > 0 ? (const char *)got.data : "", wanted);
    CU_ASSERT_TRUE(dm_span_equal(got, dm_span_text(wanted)));
}

static void
expect_both(struct map *map, const char *device, const char *broker)
{
    expect(map, true, device, broker);
    expect(map, false, broker, device);
}

static const char *const farm[] = {
    "sensors/+/t -> site1/%1/temperature",
    "old/# -> new/%1",
    "a/+/b/+ -> x/%2/%1",
    "one->two/three",
    "deep/+/# -> d/%1/e/%2",
    NULL,
};

static void
names_are_rewritten_and_back(void)
{
    static const char *const names[][2] = {
        {"sensors/7/t", "site1/7/temperature"},
        {"sensors//t", "site1//temperature"},
        {"old/x/y", "new/x/y"},
        {"old/", "new/"},
        {"old", "new"},
        {"a/1/b/2", "x/2/1"},
        {"one", "two/three"},
        {"deep/1", "d/1/e"},
        {"deep/1/2/3", "d/1/e/2/3"},
        {"other/name", "other/name"},
        {"sensors/7/t/x", "sensors/7/t/x"},
        {"$SYS/x", "$SYS/x"},
    };
    struct map map;

    map_init(&map, farm);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect_both(&map, names[i][0], names[i][1]);
    map_fini(&map);
}

/* They would stand for two names. */
static void
names_of_the_other_side_have_no_counterpart(void)
{
    struct map map;

    map_init(&map, farm);
    expect(&map, true, "site1/7/temperature", "");
    expect(&map, true, "two/three", "");
    expect(&map, true, "new", "");
    expect(&map, false, "sensors/7/t", "");
    expect(&map, false, "one", "");
    expect(&map, false, "old/x", "");
    map_fini(&map);
}

static void
filters_are_rewritten_if_one_rule_covers_them(void)
{
    struct map map;

    map_init(&map, farm);
    expect_both(&map, "sensors/+/t", "site1/+/temperature");
    expect_both(&map, "old/#", "new/#");
    expect_both(&map, "old/+/x", "new/+/x");
    expect_both(&map, "a/+/b/2", "x/2/+");
    expect_both(&map, "deep/+/#", "d/+/e/#");
    expect_both(&map, "other/#", "other/#");
    map_fini(&map);
}

static void
filters_that_a_rule_touches_in_part_have_no_counterpart(void)
{
    static const char *const filters[] = {"#",       "sensors/#", "sensors/+/+", "+/7/t", "+",
                                          "site1/#", "a/#",       "new/x",       "deep/#"};
    struct map map;

    map_init(&map, farm);
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        expect(&map, true, filters[i], "");
    map_fini(&map);
}

static void
sides_may_change_places(void)
{
    static const char *const texts[] = {"a -> b", "b -> a", "p/# -> p/q/%1", NULL};
    struct map map;

    map_init(&map, texts);
    expect_both(&map, "a", "b");
    expect_both(&map, "b", "a");
    expect_both(&map, "p/q/r", "p/q/q/r");
    expect_both(&map, "p", "p/q");
    expect(&map, false, "p/r", "");
    map_fini(&map);
}

/* A wildcard in front matches no name with $, and such a name must not come out either. */
static void
dollar_does_not_get_in_front(void)
{
    static const char *const texts[] = {"in/+ -> %1/out", "here/# -> %1", NULL};
    struct map map;

    map_init(&map, texts);
    expect_both(&map, "in/a", "a/out");
    expect(&map, true, "in/$a", "");
    expect(&map, false, "$a/out", "$a/out");
    expect(&map, true, "here", "");
    map_fini(&map);
}

static void
deep_and_long_results_do_not_exist(void)
{
    static const char *const texts[] = {"t/# -> a/b/c/%1", NULL};
    struct map map;
    char name[2 * TOPIC_LEVELS_MAX + 8] = "t";

    for (unsigned i = 0; i < TOPIC_LEVELS_MAX - 3; i++)
        strcat(name, "/x");
    map_init(&map, texts);
    CU_ASSERT_TRUE(topic_is_harmless(dm_span_text(name)));
    CU_ASSERT_NOT_EQUAL(topic_map(map.rules, 1, true, dm_span_text(name), &map.buffer).len, 0);
    strcat(name, "/x");
    CU_ASSERT_TRUE(topic_is_harmless(dm_span_text(name)));
    expect(&map, true, name, "");
    map_fini(&map);
}

static void
rule_that_cannot_be_undone_is_refused(void)
{
    static const char *const bad[][2] = {
        {"a", "is not FILTER -> TOPIC"},
        {"a -> b -> c", "is not FILTER -> TOPIC"},
        {"-> b", "has no valid topic filter on the left"},
        {"a ->", "has no valid topic on the right"},
        {"a+ -> b", "has no valid topic filter on the left"},
        {"a/#/b -> c/%1", "has no valid topic filter on the left"},
        {"a/+ -> b/+", "has no valid topic on the right"},
        {"a/+ -> b", "does not use each wildcard once on the right: it could not be undone"},
        {"a/+ -> b/%1/%1", "does not use each wildcard once on the right: it could not be undone"},
        {"a/+/+ -> b/%2/%2",
         "does not use each wildcard once on the right: it could not be undone"},
        {"a -> b/%1", "has a number on the right that no wildcard on the left has"},
        {"a/+ -> b/%2", "has a number on the right that no wildcard on the left has"},
        {"a/+ -> b/x%1", "has a % on the right that is not %1 to %9 alone between slashes"},
        {"a/+ -> b/%0", "has a % on the right that is not %1 to %9 alone between slashes"},
        {"a/# -> %1/b", "has something behind the number of # on the right"},
        {"a/+/# -> %2/%1", "has something behind the number of # on the right"},
        {"%1 -> b", "has a % on the left"},
        {"$SYS/a -> b", "begins with $ on the left"},
        {"a -> $share/b", "begins with $ on the right"},
        {"+/+/+/+/+/+/+/+/+/+ -> a", "has more than 9 wildcards"},
        {"a\x01 -> b", "has no valid topic filter on the left"},
        {"a -> \xff", "has no valid topic on the right"},
    };
    struct topic_rule rule;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *why = topic_rule_parse(bad[i][0], &rule);

        CU_ASSERT_PTR_NOT_NULL_FATAL(why);
        if (strcmp(why, bad[i][1]) != 0)
            printf("\n%s %s\n", bad[i][0], why);
        CU_ASSERT_STRING_EQUAL(why, bad[i][1]);
        CU_ASSERT_PTR_NULL(rule.left);
    }
}

static void
rules_overlap_on_either_side(void)
{
    static const struct {
        const char *texts[3];
        bool overlap;
    } cases[] = {
        {{"a -> b", "c -> d", NULL}, false},
        {{"a -> b", "a -> c", NULL}, true},
        {{"a -> b", "c -> b", NULL}, true},
        {{"a/+ -> x/%1", "a/b -> y", NULL}, true},
        {{"a/+ -> x/%1", "b/# -> x/%1", NULL}, true},
        {{"a/# -> x/%1", "a -> y", NULL}, true},
        {{"a/+ -> x/%1/1", "b/+ -> x/%1/2", NULL}, false},
        {{"a -> b", "b -> a", NULL}, false},
    };
    struct map map;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        map_init(&map, cases[i].texts);
        CU_ASSERT_EQUAL(topic_rules_overlap(&map.rules[0], &map.rules[1]), cases[i].overlap);
        map_fini(&map);
    }
}

/* ---- random rules and names ---- */

static void
add_level(struct random_source *random, char *text, const char *words)
{
    char word[2] = {words[random_below(random, (unsigned)strlen(words))], '\0'};

    if (*text != '\0')
        strcat(text, "/");
    strcat(text, word[0] == '_' ? "" : word);
}

/* "a/+/b -> x/%1" of few words, so that rules meet. False: it is none. */
static bool
random_rule(struct random_source *random, struct topic_rule *rule)
{
    unsigned levels = 1 + random_below(random, 3), wildcards = 0;
    char text[64] = "", right[32] = "", number[3] = "%1";

    for (unsigned i = 0; i < levels; i++) {
        add_level(random, text, i + 1 == levels ? "ab+#" : "ab+");
        wildcards += text[strlen(text) - 1] == '+' || text[strlen(text) - 1] == '#';
    }
    add_level(random, right, "abx");
    for (; number[1] <= '0' + (char)wildcards; number[1]++)
        strcat(strcat(right, "/"), number);
    if (random_below(random, 2) == 0)
        add_level(random, right, "ab");
    strcat(strcat(text, " -> "), right);
    return topic_rule_parse(text, rule) == NULL;
}

static void
random_map(struct random_source *random, struct map *map)
{
    *map = (struct map){0};
    for (unsigned tries = 0; tries < 10 && map->count < 4; tries++) {
        struct topic_rule *rule = &map->rules[map->count];

        if (!random_rule(random, rule))
            continue;
        map->count++;
        for (size_t i = 0; i + 1 < map->count; i++) {
            if (!topic_rules_overlap(&map->rules[i], rule))
                continue;
            topic_rule_fini(rule);
            map->count--;
            break;
        }
    }
}

static void
what_has_a_counterpart_is_its_counterpart(void)
{
    struct random_source random = random_start("counterparts", 5);
    struct buffer back = {0};
    unsigned changed = 0;

    for (unsigned round = 0; round < 20000; round++) {
        struct map map;
        char text[16] = "";

        random_map(&random, &map);
        for (unsigned i = 1 + random_below(&random, 4); i > 0; i--)
            add_level(&random, text, i == 1 ? "abx_+#" : "abx_+");
        struct dm_span from = dm_span_text(text);
        bool up = random_below(&random, 2) == 0;

        if (from.len > 0) {
            struct dm_span to = topic_map(map.rules, map.count, up, from, &map.buffer);

            changed += to.data != from.data && to.len > 0;
            if (to.len > 0)
                CU_ASSERT_TRUE(
                    dm_span_equal(topic_map(map.rules, map.count, !up, to, &back), from));
        }
        map_fini(&map);
    }
    CU_ASSERT(changed > 1000);
    buffer_fini(&back);
}

/* A filter's counterpart matches a name with a counterpart if and only if the filter matches that.
 */
static void
filters_match_what_their_counterparts_match(void)
{
    struct random_source random = random_start("matching counterparts", 6);
    unsigned matched = 0;

    for (unsigned round = 0; round < 20000; round++) {
        struct map map;
        struct buffer buffer = {0};
        char filter[16] = "", name[16] = "";

        random_map(&random, &map);
        for (unsigned i = 1 + random_below(&random, 3); i > 0; i--)
            add_level(&random, filter, i == 1 ? "abx+#" : "abx+");
        for (unsigned i = 1 + random_below(&random, 4); i > 0; i--)
            add_level(&random, name, "abx");
        struct dm_span up =
            topic_map(map.rules, map.count, true, dm_span_text(filter), &map.buffer);
        struct dm_span down = topic_map(map.rules, map.count, false, dm_span_text(name), &buffer);

        if (up.len > 0 && down.len > 0) {
            bool wanted = topic_matches(dm_span_text(filter), down);

            matched += wanted && up.data != (const uint8_t *)filter;
            CU_ASSERT_EQUAL(topic_matches(up, dm_span_text(name)), wanted);
        }
        buffer_fini(&buffer);
        map_fini(&map);
    }
    CU_ASSERT(matched > 20);
}

static const struct unit_test tests[] = {
    UNIT_TEST(names_are_rewritten_and_back),
    UNIT_TEST(names_of_the_other_side_have_no_counterpart),
    UNIT_TEST(filters_are_rewritten_if_one_rule_covers_them),
    UNIT_TEST(filters_that_a_rule_touches_in_part_have_no_counterpart),
    UNIT_TEST(sides_may_change_places),
    UNIT_TEST(dollar_does_not_get_in_front),
    UNIT_TEST(deep_and_long_results_do_not_exist),
    UNIT_TEST(rule_that_cannot_be_undone_is_refused),
    UNIT_TEST(rules_overlap_on_either_side),
    UNIT_TEST(what_has_a_counterpart_is_its_counterpart),
    UNIT_TEST(filters_match_what_their_counterparts_match),
};

UNIT_MAIN("topic map", tests)
