/* SPDX-License-Identifier: Apache-2.0 */
/* Topic names and filters: validity and matching, MQTT 5 sections 1.5.4 and 4.7. */
#include "unit.h"

#include "random.h"
#include "topic.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A copy of exactly the text's octets, so that the sanitizer sees a read beyond them. */
static struct dm_span
exact_copy(struct dm_span text)
{
    uint8_t *copy = malloc(text.len > 0 ? text.len : 1);

    if (copy == NULL)
        abort();
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    return dm_span(copy, text.len);
}

static bool
check(bool (*function)(struct dm_span), struct dm_span text)
{
    struct dm_span copy = exact_copy(text);
    bool result = function(copy);

    free((void *)(uintptr_t)copy.data);
    return result;
}

static bool
matches(const char *filter, const char *name)
{
    struct dm_span f = exact_copy(dm_span_text(filter));
    struct dm_span n = exact_copy(dm_span_text(name));
    bool result = topic_matches(f, n);

    free((void *)(uintptr_t)f.data);
    free((void *)(uintptr_t)n.data);
    return result;
}

/* ---- validity ---- */

/* Every first and last character of each length, and what lies just outside. */
static void
text_is_valid_up_to_the_borders_of_utf8(void)
{
    static const char *const valid[] = {
        "",
        "\x01",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xad/z",
    };

    for (size_t i = 0; i < COUNT(valid); i++)
        CU_ASSERT_TRUE(check(topic_text_is_valid, dm_span_text(valid[i])));
}

static void
text_beyond_the_borders_of_utf8_is_refused(void)
{
    static const char *const invalid[] = {
        "\x80",             /* a continuation alone */
        "\xbf",             /* the last of them */
        "\xc0\x80",         /* NUL in two octets */
        "\xc1\xbf",         /* overlong */
        "\xe0\x9f\xbf",     /* overlong */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xed\xa0\x80",     /* first surrogate */
        "\xed\xbf\xbf",     /* last surrogate */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xff",
        "\xc3",         /* ends too early */
        "\xe2\x82",     /* ends too early */
        "\xf0\x9f\x90", /* ends too early */
        "\xc3\x28",     /* no continuation */
        "\xe2\x28\xac",
        "\xe2\x82\x28",
        "\xf0\x9f\x90\x28",
    };

    for (size_t i = 0; i < COUNT(invalid); i++) {
        CU_ASSERT_FALSE(check(topic_text_is_valid, dm_span_text(invalid[i])));
        CU_ASSERT_FALSE(check(topic_name_is_valid, dm_span_text(invalid[i])));
        CU_ASSERT_FALSE(check(topic_filter_is_valid, dm_span_text(invalid[i])));
    }
}

static void
text_with_nul_is_refused(void)
{
    CU_ASSERT_FALSE(check(topic_text_is_valid, dm_span("a\0b", 3)));
    CU_ASSERT_FALSE(check(topic_name_is_valid, dm_span("\0", 1)));
    CU_ASSERT_FALSE(check(topic_filter_is_valid, dm_span("a/\0/#", 5)));
}

static void
text_cut_anywhere_is_judged_without_reading_on(void)
{
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xad";
    static const bool whole[] = {true, true,  false, true,  false, false,
                                 true, false, false, false, true};

    for (size_t len = 0; len < COUNT(whole); len++)
        CU_ASSERT_EQUAL(check(topic_text_is_valid, dm_span(text, len)), whole[len]);
}

static void
name_with_a_wildcard_or_empty_is_refused(void)
{
    static const char *const valid[] = {"a", "/", "//", "a b/c", "$SYS/x", "/finance", "a/"};
    static const char *const invalid[] = {"", "+", "#", "a/+", "a+", "a/#", "#a"};

    for (size_t i = 0; i < COUNT(valid); i++)
        CU_ASSERT_TRUE(check(topic_name_is_valid, dm_span_text(valid[i])));
    for (size_t i = 0; i < COUNT(invalid); i++)
        CU_ASSERT_FALSE(check(topic_name_is_valid, dm_span_text(invalid[i])));
}

static void
filter_takes_wildcards_only_as_whole_levels(void)
{
    static const char *const valid[] = {"#",      "+",          "a",     "/",   "/#",
                                        "+/+",    "/+",         "a/+/b", "+/#", "a/#",
                                        "$SYS/#", "+/tennis/#", "//+//", "a//#"};
    static const char *const invalid[] = {"",   "a#",   "#/a",    "a/#/b", "##", "#/",   "a+",
                                          "+a", "a/+b", "a/b+/c", "++",    "+#", "a/b#", "/+a"};

    for (size_t i = 0; i < COUNT(valid); i++)
        CU_ASSERT_TRUE(check(topic_filter_is_valid, dm_span_text(valid[i])));
    for (size_t i = 0; i < COUNT(invalid); i++)
        CU_ASSERT_FALSE(check(topic_filter_is_valid, dm_span_text(invalid[i])));
}

static void
name_and_filter_end_at_65535_octets(void)
{
    static uint8_t text[TOPIC_LEN_MAX + 1];

    memset(text, 'a', sizeof text);
    CU_ASSERT_TRUE(check(topic_name_is_valid, dm_span(text, TOPIC_LEN_MAX)));
    CU_ASSERT_FALSE(check(topic_name_is_valid, dm_span(text, TOPIC_LEN_MAX + 1)));
    CU_ASSERT_TRUE(check(topic_filter_is_valid, dm_span(text, TOPIC_LEN_MAX)));
    CU_ASSERT_FALSE(check(topic_filter_is_valid, dm_span(text, TOPIC_LEN_MAX + 1)));
}

static void
wildcard_is_found_anywhere(void)
{
    CU_ASSERT_FALSE(check(topic_has_wildcard, dm_span_text("")));
    CU_ASSERT_FALSE(check(topic_has_wildcard, dm_span_text("a/b")));
    CU_ASSERT_TRUE(check(topic_has_wildcard, dm_span_text("+/b")));
    CU_ASSERT_TRUE(check(topic_has_wildcard, dm_span_text("a/b/#")));
}

/* ---- matching ---- */

static void
matching_follows_every_example_of_mqtt_5_section_4_7(void)
{
    static const struct {
        const char *filter, *name;
        bool match;
    } cases[] = {
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/tennis/player1/#", "sport/tennis/player10", false},
        {"sport/#", "sport", true},
        {"sport/#", "sports", false},
        {"#", "a", true},
        {"#", "/", true},
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player2", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        {"+/monitor/Clients", "$SYS/monitor/Clients", false},
        {"$SYS/#", "$SYS/", true},
        {"$SYS/#", "$SYS", true},
        {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
        {"#", "$SYS/monitor", false},
        {"ACCOUNTS", "Accounts", false},
        {"/A", "A", false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        bool match = matches(cases[i].filter, cases[i].name);

        if (match != cases[i].match)
            printf("\n%s on %s: %d", cases[i].filter, cases[i].name, match);
        CU_ASSERT_EQUAL(match, cases[i].match);
    }
}

static void
empty_levels_are_levels(void)
{
    CU_ASSERT_TRUE(matches("/", "/"));
    CU_ASSERT_TRUE(matches("+/+", "/"));
    CU_ASSERT_FALSE(matches("+", "/"));
    CU_ASSERT_TRUE(matches("a//b", "a//b"));
    CU_ASSERT_FALSE(matches("a/b", "a//b"));
    CU_ASSERT_TRUE(matches("a/+/b", "a//b"));
    CU_ASSERT_TRUE(matches("a/#", "a/"));
    CU_ASSERT_TRUE(matches("a//#", "a/"));
    CU_ASSERT_FALSE(matches("a//#", "a"));
    CU_ASSERT_FALSE(matches("a", "a/"));
    CU_ASSERT_FALSE(matches("a/", "a"));
    CU_ASSERT_TRUE(matches("/#", "/"));
    CU_ASSERT_TRUE(matches("/#", "/a/b"));
    CU_ASSERT_FALSE(matches("/#", "a"));
    CU_ASSERT_TRUE(matches("+/#", "a"));
    CU_ASSERT_TRUE(matches("+/#", "/"));
}

static void
dollar_is_special_only_at_the_start_of_the_name(void)
{
    CU_ASSERT_FALSE(matches("#", "$"));
    CU_ASSERT_FALSE(matches("+", "$a"));
    CU_ASSERT_FALSE(matches("+/#", "$a/b"));
    CU_ASSERT_TRUE(matches("$a/+", "$a/b"));
    CU_ASSERT_TRUE(matches("#", "a/$b"));
    CU_ASSERT_TRUE(matches("a/+", "a/$b"));
    CU_ASSERT_TRUE(matches("/#", "/$a"));
    CU_ASSERT_TRUE(matches("$a", "$a"));
}

static void
prefix_of_a_name_does_not_match(void)
{
    CU_ASSERT_FALSE(matches("a/b", "a"));
    CU_ASSERT_FALSE(matches("a", "a/b"));
    CU_ASSERT_FALSE(matches("ab", "a"));
    CU_ASSERT_FALSE(matches("a", "ab"));
    CU_ASSERT_FALSE(matches("a/b/#", "a"));
    CU_ASSERT_FALSE(matches("a/+/#", "a"));
    CU_ASSERT_TRUE(matches("a/+/#", "a/b"));
}

/* ---- against a reference ---- */

/* The level that starts at *at; moves *at behind its slash. False: there is none. */
static bool
next_level(struct dm_span text, size_t *at, struct dm_span *level)
{
    size_t begin = *at;
    size_t end = begin;

    if (begin > text.len)
        return false;
    while (end < text.len && text.data[end] != '/')
        end++;
    *level = dm_span(text.data + begin, end - begin);
    *at = end + 1;
    return true;
}

/* Level by level, as the specification tells it. */
static bool
reference_matches(struct dm_span filter, struct dm_span name)
{
    size_t f = 0;
    size_t n = 0;
    struct dm_span wanted;
    struct dm_span level;

    if (name.data[0] == '$' && (filter.data[0] == '+' || filter.data[0] == '#'))
        return false;
    for (;;) {
        bool more_filter = next_level(filter, &f, &wanted);

        if (more_filter && dm_span_equal(wanted, dm_span_text("#")))
            return true;
        bool more_name = next_level(name, &n, &level);
        if (!more_filter || !more_name)
            return more_filter == more_name;
        if (!dm_span_equal(wanted, dm_span_text("+")) && !dm_span_equal(wanted, level))
            return false;
    }
}

/* A short text of few different octets, so that matches are frequent. */
static struct dm_span
random_text(struct random_source *source, const char *octets, uint8_t *buffer, size_t room)
{
    size_t len = 1 + random_below(source, (unsigned)room);

    for (size_t i = 0; i < len; i++)
        buffer[i] = (uint8_t)octets[random_below(source, (unsigned)strlen(octets))];
    return dm_span(buffer, len);
}

static void
matching_agrees_with_a_level_by_level_reference(void)
{
    struct random_source source = random_start("topic", 20240607);
    unsigned compared = 0;
    unsigned matched = 0;

    for (unsigned i = 0; i < 300000; i++) {
        uint8_t filter_octets[8];
        uint8_t name_octets[8];
        struct dm_span filter = random_text(&source, "a+#/$/+", filter_octets, 8);
        struct dm_span name = random_text(&source, "aa/$", name_octets, 8);

        if (!topic_filter_is_valid(filter) || !topic_name_is_valid(name))
            continue;
        bool match = topic_matches(filter, name);
        compared++;
        matched += match;
        if (match == reference_matches(filter, name))
            continue;
        printf("\n%.*s on %.*s: %d", (int)filter.len, (const char *)filter.data, (int)name.len,
               (const char *)name.data, match);
        CU_FAIL_FATAL("differs from the reference");
    }
    CU_ASSERT_TRUE(compared > 10000); /* the comparison means something */
    CU_ASSERT_TRUE(matched > 1000);
}

/* What brokers are known to close the connection over: see tests/system, a device must not do that
 * to all others. */
static void
harmful_names_are_told_apart_from_harmless_ones(void)
{
    static const char *const harmless[] = {
        "a",       "a/b", "\xc3\xa4/\xe2\x82\xac", "$share/",
        "$shared", "~",   "\xef\xb7\x8f",          "\xef\xb7\xb0"};
    static const char *const harmful[] = {
        "$share",   "a\x01",        "\x1f",         "a\x7f",        "\xc2\x80",
        "\xc2\x9f", "\xef\xb7\x90", "\xef\xb7\xaf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbe",
        "a\xff", /* not UTF-8 at all */
    };
    char deep[2 * TOPIC_LEVELS_MAX + 2];

    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        CU_ASSERT_TRUE(topic_is_harmless(dm_span_text(harmless[i])));
    for (size_t i = 0; i < sizeof harmful / sizeof harmful[0]; i++)
        CU_ASSERT_FALSE(topic_is_harmless(dm_span_text(harmful[i])));
    memset(deep, '/', sizeof deep);
    CU_ASSERT_TRUE(topic_is_harmless(dm_span(deep, TOPIC_LEVELS_MAX - 1)));
    CU_ASSERT_FALSE(topic_is_harmless(dm_span(deep, TOPIC_LEVELS_MAX)));
}

/* ---- patterns of client ids (design 9: [client pump-*]) ---- */

static void
pattern_star_takes_any_run_and_question_mark_one_octet(void)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true},           {"", "a", false},           {"*", "", true},
        {"*", "anything", true},  {"**", "", true},           {"?", "", false},
        {"?", "a", true},         {"?", "ab", false},         {"pump-*", "pump-", true},
        {"pump-*", "pum", false}, {"pump-*", "pump-1", true}, {"pump-*", "sump-1", false},
        {"*-1", "pump-1", true},  {"*-1", "pump-12", false},  {"*-1", "a-1-1", true},
        {"a*b*c", "abc", true},   {"a*b*c", "a--b--c", true}, {"a*b*c", "a--c--b", false},
        {"a?c*", "abc", true},    {"a?c*", "ac", false},      {"*aab", "aaaab", true},
        {"dev", "dev", true},     {"dev", "device", false},   {"device", "dev", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool matches =
            topic_pattern_matches(dm_span_text(cases[i].pattern), dm_span_text(cases[i].text));

        if (matches != cases[i].matches)
            printf("\n%s and %s\n", cases[i].pattern, cases[i].text);
        CU_ASSERT_EQUAL(matches, cases[i].matches);
    }
}

/* ---- two filters ---- */

static void
filter_covers_what_it_surely_matches(void)
{
    static const struct {
        const char *wide, *narrow;
        bool covers, overlap;
    } cases[] = {
        {"a", "a", true, true},           {"a", "b", false, false},
        {"#", "a/b", true, true},         {"#", "#", true, true},
        {"#", "+/+", true, true},         {"+", "#", false, true},
        {"a/#", "a", true, true},         {"a/#", "a/#", true, true},
        {"a/#", "a/+/b", true, true},     {"a/+", "a/#", false, true},
        {"a/+", "a/b", true, true},       {"a/+", "a", false, false},
        {"a/b", "a/+", false, true},      {"a/+/#", "a/#", false, true},
        {"a/+/#", "a/+", true, true},     {"+/b", "a/+", false, true},
        {"+/b", "a/c", false, false},     {"a/b/#", "a", false, false},
        {"#", "$SYS/a", false, false},    {"+/a", "$SYS/a", false, false},
        {"$SYS/#", "$SYS/a", true, true}, {"$SYS/#", "#", false, false},
        {"/", "/", true, true},           {"+/+", "/", true, true},
        {"+", "/", false, false},         {"a/", "a", false, false},
        {"a/+", "a/", true, true},        {"a/#", "a/", true, true},
        {"a", "a/#", false, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dm_span wide = dm_span_text(cases[i].wide), narrow = dm_span_text(cases[i].narrow);

        if (topic_filter_covers(wide, narrow) != cases[i].covers ||
            topic_filters_overlap(wide, narrow) != cases[i].overlap)
            printf("\n%s and %s\n", cases[i].wide, cases[i].narrow);
        CU_ASSERT_EQUAL(topic_filter_covers(wide, narrow), cases[i].covers);
        CU_ASSERT_EQUAL(topic_filters_overlap(wide, narrow), cases[i].overlap);
        CU_ASSERT_EQUAL(topic_filters_overlap(narrow, wide), cases[i].overlap);
    }
}

/* Up to three levels of the words; '#' ends a filter. Returns the length. */
static size_t
random_levels(struct random_source *random, const char *const *words, unsigned word_count,
              char *text)
{
    unsigned levels = 1 + random_below(random, 3);

    *text = '\0';
    for (unsigned i = 0; i < levels; i++) {
        const char *word = words[random_below(random, word_count)];

        strcat(strcat(text, i > 0 ? "/" : ""), word);
        if (*word == '#')
            break;
    }
    return strlen(text);
}

/* What covering and overlapping mean, over many names; "+/#" covers "#" without its being seen. */
static void
relations_of_filters_agree_with_the_names_they_match(void)
{
    static const char *const of_filters[] = {"a", "b", "", "$x", "+", "+", "#"};
    static const char *const of_names[] = {"a", "b", "", "$x", "c"};
    struct random_source random = random_start("relations of filters", 1);
    char a[16], b[16], name[16];

    for (unsigned i = 0; i < 3000; i++) {
        struct dm_span wide = dm_span(a, random_levels(&random, of_filters, 7, a));
        struct dm_span narrow = dm_span(b, random_levels(&random, of_filters, 7, b));
        bool both = false, only_narrow = false;

        if (wide.len == 0 || narrow.len == 0)
            continue;
        for (unsigned n = 0; n < 400; n++) {
            struct dm_span text = dm_span(name, random_levels(&random, of_names, 5, name));
            bool by_wide = topic_matches(wide, text), by_narrow = topic_matches(narrow, text);

            both = both || (by_wide && by_narrow);
            only_narrow = only_narrow || (by_narrow && !by_wide);
        }
        if (topic_filter_covers(wide, narrow) && only_narrow)
            printf("\n%s does not cover %s\n", a, b);
        CU_ASSERT_FALSE(topic_filter_covers(wide, narrow) && only_narrow);
        CU_ASSERT_FALSE(both && !topic_filters_overlap(wide, narrow));
    }
}

static void
section_with_the_client_id_is_not_for_ids_that_change_topics(void)
{
    CU_ASSERT_TRUE(topic_section_matches("p*", true, dm_span_text("p-1")));
    CU_ASSERT_FALSE(topic_section_matches("q*", true, dm_span_text("p-1")));
    CU_ASSERT_FALSE(topic_section_matches("p*", true, dm_span_text("p/1")));
    CU_ASSERT_FALSE(topic_section_matches("p*", true, dm_span_text("p+")));
    CU_ASSERT_FALSE(topic_section_matches("p*", true, dm_span_text("p#")));
    CU_ASSERT_TRUE(topic_section_matches("p*", false, dm_span_text("p/+#")));
}

static const struct unit_test tests[] = {
    UNIT_TEST(filter_covers_what_it_surely_matches),
    UNIT_TEST(relations_of_filters_agree_with_the_names_they_match),
    UNIT_TEST(section_with_the_client_id_is_not_for_ids_that_change_topics),
    UNIT_TEST(harmful_names_are_told_apart_from_harmless_ones),
    UNIT_TEST(pattern_star_takes_any_run_and_question_mark_one_octet),
    UNIT_TEST(text_is_valid_up_to_the_borders_of_utf8),
    UNIT_TEST(text_beyond_the_borders_of_utf8_is_refused),
    UNIT_TEST(text_with_nul_is_refused),
    UNIT_TEST(text_cut_anywhere_is_judged_without_reading_on),
    UNIT_TEST(name_with_a_wildcard_or_empty_is_refused),
    UNIT_TEST(filter_takes_wildcards_only_as_whole_levels),
    UNIT_TEST(name_and_filter_end_at_65535_octets),
    UNIT_TEST(wildcard_is_found_anywhere),
    UNIT_TEST(matching_follows_every_example_of_mqtt_5_section_4_7),
    UNIT_TEST(empty_levels_are_levels),
    UNIT_TEST(dollar_is_special_only_at_the_start_of_the_name),
    UNIT_TEST(prefix_of_a_name_does_not_match),
    UNIT_TEST(matching_agrees_with_a_level_by_level_reference),
};

UNIT_MAIN("topic", tests)
