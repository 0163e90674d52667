/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which filters match a name, of a message whose copy does not say so. There are many filters but
 * few shapes of them: which levels are wildcards. For each shape the one filter of it that may
 * match follows from the name and is looked up, so this does not take longer with more devices.
 */
#include "engine_private.h"

#include <stdlib.h>

#include "topic.h"

/* What is left of a filter with nothing for each level that is no wildcard: "//+/#" of "a/b/+/#".
 */
struct shape {
    size_t filters; /* that have it */
    size_t len;
    uint8_t text[];
};

static bool
is_of_shape(uint8_t octet)
{
    return octet == '/' || octet == '+' || octet == '#';
}

/* Of a filter or its shape. */
static uint32_t
hash_text(struct dm_span text)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < text.len; i++)
        if (is_of_shape(text.data[i]))
            sum = sum * 31 + text.data[i];
    return pointer_index_hash_number(sum);
}

static uint32_t
hash_shape(const void *item)
{
    const struct shape *shape = item;

    return hash_text(dm_span(shape->text, shape->len));
}

/* With a filter. */
static bool
equal_shape(const void *item, const void *key)
{
    const struct shape *shape = item;
    const struct dm_span *filter = key;
    size_t at = 0;

    for (size_t i = 0; i < filter->len; i++)
        if (is_of_shape(filter->data[i]) &&
            (at == shape->len || shape->text[at++] != filter->data[i]))
            return false;
    return at == shape->len;
}

void
shapes_init(struct trunk *t)
{
    pointer_index_init(&t->shapes, hash_shape, equal_shape);
}

static struct shape *
shape_find(const struct trunk *t, struct dm_span filter)
{
    return pointer_index_find(&t->shapes, hash_text(filter), &filter);
}

/* NULL: no memory. */
static struct shape *
shape_new(struct trunk *t, struct dm_span filter)
{
    struct shape *shape = malloc(sizeof *shape + filter.len);

    if (shape == NULL)
        return NULL;
    *shape = (struct shape){0};
    for (size_t i = 0; i < filter.len; i++)
        if (is_of_shape(filter.data[i]))
            shape->text[shape->len++] = filter.data[i];
    if (pointer_index_insert(&t->shapes, shape))
        return shape;
    free(shape);
    return NULL;
}

bool
shape_note(struct trunk *t, struct dm_span filter)
{
    if (!topic_has_wildcard(filter))
        return true;
    struct shape *shape = shape_find(t, filter);

    if (shape == NULL)
        shape = shape_new(t, filter);
    if (shape == NULL)
        return false;
    shape->filters++;
    return true;
}

void
shape_forget(struct trunk *t, struct dm_span filter)
{
    struct shape *shape = topic_has_wildcard(filter) ? shape_find(t, filter) : NULL;

    if (shape == NULL || --shape->filters > 0)
        return;
    pointer_index_remove(&t->shapes, shape);
    free(shape);
}

/* Appends the level behind those that are there. */
static void
append_level(struct buffer *text, bool first, struct dm_span level)
{
    /* names_have_room has seen to it that there is room. */
    if (!first)
        buffer_append(text, dm_span_text("/"));
    buffer_append(text, level);
}

/* The filter of this shape that may match; empty: there cannot be one. */
static struct dm_span
candidate(const struct shape *shape, struct dm_span topic, struct buffer *text)
{
    static const struct dm_span none = {0};
    struct topic_levels levels = topic_levels(dm_span(shape->text, shape->len));
    struct topic_levels names = topic_levels(topic);
    struct dm_span level;
    struct dm_span name;

    text->len = 0;
    for (bool first = true; topic_next_level(&levels, &level); first = false) {
        if (level.len > 0 && level.data[0] == '#') { /* matches no level, too */
            append_level(text, first, level);
            return buffer_span(text);
        }
        if (!topic_next_level(&names, &name))
            return none;
        append_level(text, first, level.len > 0 ? level : name);
    }
    return names.more ? none : buffer_span(text);
}

/* Of this shape. NULL: nobody has subscribed it. */
static struct filter *
find_candidate(struct engine *e, const struct trunk *t, const struct shape *shape,
               struct dm_span topic)
{
    struct dm_span text = candidate(shape, topic, &e->candidate);
    const struct name *name = text.len > 0 ? name_find(e, text) : NULL;
    struct filter *f = name != NULL ? filter_find(t, name) : NULL;

    return f != NULL && topic_matches(text, topic) ? f : NULL;
}

struct filter *
filter_next_match(struct engine *e, const struct trunk *t, const struct name *topic,
                  struct match_place *at)
{
    const struct shape *shape;
    struct filter *f = at->begun ? NULL : filter_find(t, topic);

    at->begun = true;
    while (f == NULL && (shape = pointer_index_next(&t->shapes, &at->shape)) != NULL)
        f = find_candidate(e, t, shape, name_span(topic));
    return f;
}
