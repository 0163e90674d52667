/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that rewrite topics between devices and broker. */
#include "topic_map.h"

#include <stdlib.h>
#include <string.h>

#include "topic.h"

/* ---- levels ---- */

static bool
is_level(struct dm_span level, const char *text)
{
    return dm_span_equal(level, dm_span_text(text));
}

/* Which wildcard of the left side the level of a side stands for, 0: none. *seen counts those of a
 * left side. */
static unsigned
wildcard_number(struct dm_span level, unsigned *seen)
{
    if (is_level(level, "+") || is_level(level, "#"))
        return ++*seen;
    if (level.len == 2 && level.data[0] == '%' && level.data[1] >= '1' && level.data[1] <= '9')
        return level.data[1] - (unsigned)'0';
    return 0;
}

static unsigned
count_wildcards(struct dm_span side)
{
    struct topic_levels levels = topic_levels(side);
    struct dm_span level;
    unsigned seen = 0;

    while (topic_next_level(&levels, &level))
        wildcard_number(level, &seen);
    return seen;
}

/* ---- rewriting ---- */

struct captures {
    struct dm_span of[TOPIC_RULE_WILDCARDS_MAX + 1]; /* by number; [0] is not used */
    unsigned rest; /* number of the one that # took; it may be empty: a/# matches a. 0: none */
};

/* What the wildcards of `side` stand for in a text that it covers. */
static struct captures
capture(const char *side, unsigned rest, struct dm_span text)
{
    struct topic_levels of_side = topic_levels(dm_span_text(side));
    struct topic_levels of_text = topic_levels(text);
    struct captures captures = {.rest = rest};
    struct dm_span level, octets = {0};
    unsigned seen = 0;

    while (topic_next_level(&of_side, &level)) {
        unsigned number = wildcard_number(level, &seen);

        if (number != 0 && number == rest) {
            captures.of[number] = of_text.rest;
            break;
        }
        topic_next_level(&of_text, &octets);
        captures.of[number] = octets;
    }
    return captures;
}

/* Replaces the buffer by `side` with the captures in their places. False: no memory, or nothing is
 * left. */
static bool
fill(const char *side, const struct captures *captures, struct buffer *buffer)
{
    struct topic_levels levels = topic_levels(dm_span_text(side));
    struct dm_span level;
    unsigned seen = 0;

    buffer->len = 0;
    for (bool first = true; topic_next_level(&levels, &level); first = false) {
        unsigned number = wildcard_number(level, &seen);

        if (number != 0 && number == captures->rest && captures->of[number].data == NULL)
            break;
        if ((!first && !buffer_append(buffer, dm_span_text("/"))) ||
            !buffer_append(buffer, number != 0 ? captures->of[number] : level))
            return false;
    }
    return buffer->len > 0;
}

static bool
rewrite(const struct topic_rule *rule, bool up, struct dm_span text, struct buffer *buffer)
{
    struct captures captures = capture(up ? rule->left : rule->right, rule->rest, text);
    const char *to = up ? rule->right_filter : rule->left;

    return fill(up ? rule->right : rule->left, &captures, buffer) && buffer->len <= TOPIC_LEN_MAX &&
           topic_is_harmless(buffer_span(buffer)) &&
           topic_filter_covers(dm_span_text(to), buffer_span(buffer)); /* $ and empty levels */
}

struct dm_span
topic_map(const struct topic_rule *rules, size_t count, bool up, struct dm_span text,
          struct buffer *buffer)
{
    static const struct dm_span none = {0};

    for (size_t i = 0; i < count; i++) {
        struct dm_span from = dm_span_text(up ? rules[i].left : rules[i].right_filter);

        if (topic_filter_covers(from, text))
            return rewrite(&rules[i], up, text, buffer) ? buffer_span(buffer) : none;
        if (topic_filters_overlap(from, text))
            return none;
    }
    for (size_t i = 0; i < count; i++)
        if (topic_filters_overlap(dm_span_text(up ? rules[i].right_filter : rules[i].left), text))
            return none;
    return text;
}

/* ---- making ---- */

static const char *
check_left(struct dm_span left)
{
    struct topic_levels levels = topic_levels(left);
    struct dm_span level;

    if (!topic_filter_is_valid(left) || !topic_is_harmless(left))
        return "has no valid topic filter on the left";
    if (left.data[0] == '$')
        return "begins with $ on the left";
    if (count_wildcards(left) > TOPIC_RULE_WILDCARDS_MAX)
        return "has more than 9 wildcards";
    while (topic_next_level(&levels, &level))
        if (level.len > 0 && memchr(level.data, '%', level.len) != NULL)
            return "has a % on the left";
    return NULL;
}

/* Each wildcard once, that of # at the end. */
static const char *
check_right(const struct topic_rule *rule)
{
    struct dm_span right = dm_span_text(rule->right);
    struct topic_levels levels = topic_levels(right);
    unsigned count = count_wildcards(dm_span_text(rule->left)),
             used[TOPIC_RULE_WILDCARDS_MAX + 1] = {0}, seen = 0;
    struct dm_span level;

    if (!topic_name_is_valid(right) || !topic_is_harmless(right))
        return "has no valid topic on the right";
    if (right.data[0] == '$')
        return "begins with $ on the right";
    while (topic_next_level(&levels, &level)) {
        unsigned number = wildcard_number(level, &seen);

        if (number == 0 && level.len > 0 && memchr(level.data, '%', level.len) != NULL)
            return "has a % on the right that is not %1 to %9 alone between slashes";
        if (number > count)
            return "has a number on the right that no wildcard on the left has";
        used[number]++;
        if (number != 0 && number == rule->rest && levels.more)
            return "has something behind the number of # on the right";
    }
    for (unsigned number = 1; number <= count; number++)
        if (used[number] != 1)
            return "does not use each wildcard once on the right: it could not be undone";
    return NULL;
}

/* Number to wildcard. NULL: no memory. */
static char *
filter_of(const struct topic_rule *rule)
{
    struct topic_levels levels = topic_levels(dm_span_text(rule->right));
    char *filter = malloc(strlen(rule->right) + 1), *end = filter;
    struct dm_span level;
    unsigned seen = 0;

    while (filter != NULL && topic_next_level(&levels, &level)) {
        unsigned number = wildcard_number(level, &seen);

        if (number != 0)
            level = dm_span_text(number == rule->rest ? "#" : "+");
        if (level.len > 0)
            memcpy(end, level.data, level.len);
        end += level.len;
        *end++ = levels.more ? '/' : '\0';
    }
    return filter;
}

static char *
trimmed_copy(const char *text, size_t len)
{
    while (len > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        len--;
    }
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    return strndup(text, len);
}

const char *
topic_rule_parse(const char *text, struct topic_rule *rule)
{
    const char *arrow = strstr(text, "->");

    *rule = (struct topic_rule){0};
    if (arrow == NULL || strstr(arrow + 2, "->") != NULL)
        return "is not FILTER -> TOPIC";
    rule->left = trimmed_copy(text, (size_t)(arrow - text));
    rule->right = trimmed_copy(arrow + 2, strlen(arrow + 2));
    const char *why =
        rule->left == NULL || rule->right == NULL ? "is too much: out of memory" : NULL;

    if (why == NULL)
        why = check_left(dm_span_text(rule->left));
    if (why == NULL && strchr(rule->left, '#') != NULL)
        rule->rest = count_wildcards(dm_span_text(rule->left));
    if (why == NULL)
        why = check_right(rule);
    if (why == NULL) {
        rule->right_filter = filter_of(rule);
        why = rule->right_filter == NULL ? "is too much: out of memory" : NULL;
    }
    if (why != NULL)
        topic_rule_fini(rule);
    return why;
}

void
topic_rule_fini(struct topic_rule *rule)
{
    free(rule->left);
    free(rule->right);
    free(rule->right_filter);
    *rule = (struct topic_rule){0};
}

bool
topic_rules_overlap(const struct topic_rule *a, const struct topic_rule *b)
{
    return topic_filters_overlap(dm_span_text(a->left), dm_span_text(b->left)) ||
           topic_filters_overlap(dm_span_text(a->right_filter), dm_span_text(b->right_filter));
}
