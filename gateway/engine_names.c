/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names between devices and broker (design 9): device name -> rules -> prefix of the client, and
 * back. The engine holds the broker's names, but for the gateway's own prefix, in every struct name
 * and in the rows of messages; a device and the rows of its session have its own names. Without
 * rules and prefix both are the same, and nothing is done here.
 */
#include "engine_private.h"

#include "topic.h"
#include "topic_map.h"

enum {
    NAME_ROOM = 1024, /* octets: lack of memory can only hurt longer names */
    RULE_MAX = 256,   /* longer than a line of the configuration */
};

static bool
is_plain(const struct engine *e, const struct party *party)
{
    return e->options->rule_count == 0 &&
           (party->client == NULL || party->client->topic_prefix == NULL);
}

/* Cuts the client's prefix off. Empty: it is not there, or nothing follows. */
static struct dm_span
without_prefix(const struct party *party, struct dm_span name)
{
    const char *prefix = party->client != NULL ? party->client->topic_prefix : NULL;
    size_t at = 0;

    for (; prefix != NULL && *prefix != '\0'; prefix++) {
        bool id = prefix[0] == '%' && prefix[1] == 'c';
        struct dm_span part = id ? party->client_id : dm_span(prefix, 1);

        if (name.len - at < part.len || memcmp(name.data + at, part.data, part.len) != 0)
            return (struct dm_span){0};
        at += part.len;
        prefix += id;
    }
    return dm_span(name.data + at, name.len - at);
}

bool
names_init(struct engine *e)
{
    const struct engine_options *o = e->options;
    struct buffer *buffers[] = {&e->predefined, &e->allowed, &e->mapped, &e->prefixed, &e->lowered};
    bool done = buffer_reserve(&e->candidate, NAME_ROOM);

    if (o->client_count == 0 && o->rule_count == 0)
        return done;
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        done = buffer_reserve(buffers[i], NAME_ROOM) && done;
    return done;
}

static bool
is_room_down(struct engine *e, struct dm_span name)
{
    return e->options->rule_count == 0 || buffer_reserve(&e->lowered, name.len + RULE_MAX);
}

bool
names_have_room(struct engine *e, struct dm_span name)
{
    /* An empty level may become a wildcard. */
    return buffer_reserve(&e->candidate, 2 * name.len + sizeof "/#") && is_room_down(e, name);
}

struct dm_span
name_up(struct engine *e, const struct party *party, struct dm_span name)
{
    static const struct dm_span none = {0};
    const struct engine_options *o = e->options;

    if (is_plain(e, party))
        return name;
    if (!is_room_down(e, name)) /* the way back must not fail: a row would lose its name */
        return none;
    struct dm_span mapped = topic_map(o->rules, o->rule_count, true, name, &e->mapped);

    if (mapped.len == 0 || party->client == NULL || party->client->topic_prefix == NULL)
        return mapped;
    e->prefixed.len = 0;
    if (!buffer_append_client(&e->prefixed, party->client->topic_prefix, party->client_id) ||
        !buffer_append(&e->prefixed, mapped))
        return none;
    struct dm_span up = buffer_span(&e->prefixed);

    return up.len <= TOPIC_LEN_MAX && topic_is_harmless(up) ? up : none;
}

struct dm_span
name_down(const struct engine *e, const struct party *party, struct dm_span name,
          struct buffer *buffer)
{
    if (is_plain(e, party))
        return name;
    struct dm_span rest = without_prefix(party, name);

    return rest.len > 0 ? topic_map(e->options->rules, e->options->rule_count, false, rest, buffer)
                        : rest;
}

struct dm_span
name_of_session(struct engine *e, const struct session *s, const struct name *name)
{
    struct party party = party_of(s);

    return name_down(e, &party, name_span(name), &e->lowered);
}

struct dm_span
name_shown(const struct engine *e, const struct session *s, const struct name *name,
           struct buffer *buffer)
{
    struct party party = party_of(s);
    struct dm_span down = name_down(e, &party, name_span(name), buffer);

    return down.len > 0 ? down : name_span(name);
}

bool
name_reaches(struct engine *e, const struct subscription *sub, struct dm_span name)
{
    struct dm_span filter = name_span(sub->filter->name);
    struct party party = party_of(sub->session);

    if (is_plain(e, &party))
        return true;
    /* Behind a prefix $ is not in front, where a wildcard in front would not match it; and a/#
     * matches a itself, the prefix. */
    struct dm_span filter_rest = without_prefix(&party, filter);
    struct dm_span rest = without_prefix(&party, name);
    bool wildcard =
        filter_rest.len > 0 && (filter_rest.data[0] == '+' || filter_rest.data[0] == '#');

    return rest.len > 0 && !(wildcard && rest.data[0] == '$') &&
           name_down(e, &party, name, &e->lowered).len > 0;
}

bool
name_matches(struct engine *e, const struct subscription *sub, struct dm_span name)
{
    return topic_matches(name_span(sub->filter->name), name) && name_reaches(e, sub, name);
}
