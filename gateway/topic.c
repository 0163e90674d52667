/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT topic names and filters: validity and matching. */
#include "topic.h"

/* Octets of the UTF-8 character at text[0..len), 0 if there is none that is allowed. */
static size_t
read_character(const uint8_t *text, size_t len, uint32_t *character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text[0];
    size_t need;
    uint32_t value;

    *character = first;
    if (first < 0x80)
        return first == 0 ? 0 : 1;
    if (first >= 0xc2 && first <= 0xdf) {
        need = 2;
        value = first & 0x1fu;
    } else if ((first & 0xf0) == 0xe0) {
        need = 3;
        value = first & 0x0fu;
    } else if (first >= 0xf0 && first <= 0xf4) {
        need = 4;
        value = first & 0x07u;
    } else {
        return 0;
    }
    if (need > len)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (text[i] & 0x3fu);
    }
    if (value < smallest[need] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *character = value;
    return need;
}

bool
topic_text_is_valid(struct dm_span text)
{
    uint32_t character;

    for (size_t i = 0; i < text.len;) {
        size_t len = read_character(text.data + i, text.len - i, &character);

        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

bool
topic_is_harmless(struct dm_span text)
{
    size_t levels = 1;
    size_t len;
    uint32_t character;

    for (size_t i = 0; i < text.len; i += len) {
        len = read_character(text.data + i, text.len - i, &character);
        if (len == 0)
            return false;
        bool control = character < 0x20 || (character >= 0x7f && character < 0xa0);
        bool noncharacter =
            (character & 0xfffe) == 0xfffe || (character >= 0xfdd0 && character <= 0xfdef);

        if (control || noncharacter)
            return false;
        levels += character == '/';
    }
    return levels <= TOPIC_LEVELS_MAX && !dm_span_equal(text, dm_span_text("$share"));
}

bool
topic_has_wildcard(struct dm_span filter)
{
    for (size_t i = 0; i < filter.len; i++)
        if (filter.data[i] == '+' || filter.data[i] == '#')
            return true;
    return false;
}

bool
topic_name_is_valid(struct dm_span name)
{
    return name.len > 0 && name.len <= TOPIC_LEN_MAX && !topic_has_wildcard(name) &&
           topic_text_is_valid(name);
}

bool
topic_filter_is_valid(struct dm_span filter)
{
    if (filter.len == 0 || filter.len > TOPIC_LEN_MAX || !topic_text_is_valid(filter))
        return false;
    for (size_t i = 0; i < filter.len; i++) {
        uint8_t octet = filter.data[i];

        if (octet != '+' && octet != '#')
            continue;
        if (i > 0 && filter.data[i - 1] != '/')
            return false;
        if (octet == '#' && i + 1 != filter.len)
            return false;
        if (octet == '+' && i + 1 < filter.len && filter.data[i + 1] != '/')
            return false;
    }
    return true;
}

bool
topic_matches(struct dm_span filter, struct dm_span name)
{
    size_t f = 0;
    size_t n = 0;

    if (name.len > 0 && name.data[0] == '$' && filter.len > 0 &&
        (filter.data[0] == '+' || filter.data[0] == '#'))
        return false;
    while (f < filter.len) {
        if (filter.data[f] == '#')
            return true;
        if (filter.data[f] == '+') {
            while (n < name.len && name.data[n] != '/')
                n++;
            f++;
            continue;
        }
        if (n == name.len) /* "a/#" matches "a" */
            return filter.data[f] == '/' && f + 2 == filter.len && filter.data[f + 1] == '#';
        if (filter.data[f] != name.data[n])
            return false;
        f++;
        n++;
    }
    return n == name.len;
}

struct topic_levels
topic_levels(struct dm_span text)
{
    return (struct topic_levels){.rest = text, .more = true};
}

bool
topic_next_level(struct topic_levels *levels, struct dm_span *level)
{
    struct dm_span rest = levels->rest;
    size_t len = 0;

    if (!levels->more)
        return false;
    while (len < rest.len && rest.data[len] != '/')
        len++;
    *level = dm_span(rest.data, len);
    levels->more = len < rest.len;
    levels->rest =
        levels->more ? dm_span(rest.data + len + 1, rest.len - len - 1) : (struct dm_span){0};
    return true;
}

static bool
is_level(struct dm_span level, uint8_t wildcard)
{
    return level.len == 1 && level.data[0] == wildcard;
}

/* A wildcard in front matches no name that starts with $. */
static bool
hides_dollar(struct dm_span a, struct dm_span b)
{
    return (a.data[0] == '+' || a.data[0] == '#') && b.data[0] == '$';
}

bool
topic_filter_covers(struct dm_span wide, struct dm_span narrow)
{
    struct topic_levels of_wide = topic_levels(wide), of_narrow = topic_levels(narrow);
    struct dm_span w, n;

    if (hides_dollar(wide, narrow))
        return false;
    while (topic_next_level(&of_wide, &w)) {
        if (is_level(w, '#')) /* a/# matches a, too */
            return true;
        if (!topic_next_level(&of_narrow, &n) || is_level(n, '#') ||
            (!is_level(w, '+') && !dm_span_equal(w, n)))
            return false;
    }
    return !of_narrow.more;
}

bool
topic_filters_overlap(struct dm_span a, struct dm_span b)
{
    struct topic_levels levels_a = topic_levels(a), levels_b = topic_levels(b);
    struct dm_span of_a, of_b;

    if (hides_dollar(a, b) || hides_dollar(b, a))
        return false;
    for (;;) {
        bool has_a = topic_next_level(&levels_a, &of_a);
        bool has_b = topic_next_level(&levels_b, &of_b);

        if (!has_a || !has_b) /* a/# matches a */
            return has_a == has_b || is_level(has_a ? of_a : of_b, '#');
        if (is_level(of_a, '#') || is_level(of_b, '#'))
            return true;
        if (!is_level(of_a, '+') && !is_level(of_b, '+') && !dm_span_equal(of_a, of_b))
            return false;
    }
}

bool
topic_section_matches(const char *pattern, bool uses_client_id, struct dm_span client_id)
{
    for (size_t i = 0; uses_client_id && i < client_id.len; i++)
        if (client_id.data[i] == '+' || client_id.data[i] == '#' || client_id.data[i] == '/')
            return false;
    return topic_pattern_matches(dm_span_text(pattern), client_id);
}

bool
topic_pattern_matches(struct dm_span pattern, struct dm_span text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX; /* the last one, which takes more octets when the rest does not fit */
    size_t taken = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            star = p++;
            taken = t;
        } else if (p < pattern.len && (pattern.data[p] == '?' || pattern.data[p] == text.data[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*')
        p++;
    return p == pattern.len;
}
