/* SPDX-License-Identifier: Apache-2.0 */
/* What a running gateway makes of a configuration that was read again. */
#include "config_changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_fields.h"
#include "config_loader.h"

/* ---- which ---- */

static bool
is_one_of(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

bool
config_key_is_live(const struct config_key *key)
{
    static const char *const gateway[] = {"advertise", "log_level", NULL};
    static const char *const fixed_broker[] = {"url", "client_id", "topic_prefix", NULL};
    static const char *const link[] = {"topics.N", "qos_minus_one", "advertise", "pause", NULL};
    static const char *const fixed_control[] = {"socket", "status_topics", NULL};

    switch (key->section) {
    case SECTION_GATEWAY:
        return is_one_of(key->name, gateway);
    case SECTION_BROKER:
        return !is_one_of(key->name, fixed_broker);
    case SECTION_UDP:
    case SECTION_SERIAL:
        return is_one_of(key->name, link);
    case SECTION_CONTROL:
        return !is_one_of(key->name, fixed_control);
    case SECTION_STORE:
    case SECTION_MAP:
        return false;
    default:
        return true;
    }
}

/* ---- comparing ---- */

struct comparison {
    config_visit_change *visit;
    void *ctx;
};

static void
tell(const struct comparison *c, enum config_section section, bool restart, const char *name,
     const char *what)
{
    char text[256];
    const char *word = config_sections[section].word;

    snprintf(text, sizeof text, "[%s%s%s]%s%s", word, name != NULL ? " " : "",
             name != NULL ? name : "", what != NULL ? " " : "", what != NULL ? what : "");
    c->visit(c->ctx, section, restart, text);
}

/* Of two objects of the section; `name`: the second word of its header, NULL if it has none. */
static void
compare_keys(const struct comparison *c, enum config_section section, const char *name,
             const void *old, const void *next)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (i > 0 && key->section == key[-1].section && key->size != 0 &&
            key->offset == key[-1].offset)
            continue; /* password and password_file are one member */
        if (key->section == section && key->size != 0 && !config_field_equal(key, old, next))
            tell(c, section, !config_key_is_live(key), name, key->name);
    }
}

static const struct config_link *
find_link(const struct config *config, const struct config_link *like)
{
    for (size_t i = 0; i < config->link_count; i++)
        if (config->links[i].kind == like->kind && strcmp(config->links[i].name, like->name) == 0)
            return &config->links[i];
    return NULL;
}

static void
compare_links(const struct comparison *c, const struct config *old, const struct config *next)
{
    for (size_t i = 0; i < old->link_count; i++) {
        const struct config_link *link = &old->links[i], *now = find_link(next, link);
        enum config_section section = config_link_section(link);

        if (now != NULL)
            compare_keys(c, section, link->name, link, now);
        else
            tell(c, section, true, link->name, "(removed)");
    }
    for (size_t i = 0; i < next->link_count; i++)
        if (find_link(old, &next->links[i]) == NULL)
            tell(c, config_link_section(&next->links[i]), true, next->links[i].name, "(new)");
}

static bool
same_client(const struct config_client *a, const struct config_client *b)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        bool own = key->per_client && config_field_is_own(key, a);

        if ((own || key->section == SECTION_CLIENT) && key->size != 0 &&
            !config_field_equal(key, a, b))
            return false;
    }
    return a->own_settings == b->own_settings;
}

static bool
has_prefix(const struct config *config)
{
    for (size_t i = 0; i < config->client_count; i++)
        if (config->clients[i].topic_prefix != NULL)
            return true;
    return false;
}

/* The names of a session's topics are made with the prefix of its section: it stays the same while
 * the gateway runs. */
static bool
clients_are_live(const struct config *old, const struct config *next)
{
    if (!has_prefix(old) && !has_prefix(next))
        return true;
    bool same = old->client_count == next->client_count;
    for (size_t i = 0; same && i < old->client_count; i++) {
        const struct config_client *a = &old->clients[i], *b = &next->clients[i];

        same = strcmp(a->pattern, b->pattern) == 0 && a->uses_client_id == b->uses_client_id &&
               (a->topic_prefix == NULL) == (b->topic_prefix == NULL) &&
               (a->topic_prefix == NULL || strcmp(a->topic_prefix, b->topic_prefix) == 0);
    }
    return same;
}

static const struct config_client *
find_client(const struct config *config, const char *pattern, size_t likely)
{
    if (likely < config->client_count && strcmp(config->clients[likely].pattern, pattern) == 0)
        return &config->clients[likely];
    for (size_t i = 0; i < config->client_count; i++)
        if (strcmp(config->clients[i].pattern, pattern) == 0)
            return &config->clients[i];
    return NULL;
}

static void
compare_clients(const struct comparison *c, const struct config *old, const struct config *next)
{
    bool restart = !clients_are_live(old, next);

    for (size_t i = 0; i < old->client_count; i++)
        if (find_client(next, old->clients[i].pattern, i) == NULL)
            tell(c, SECTION_CLIENT, restart, old->clients[i].pattern, "(removed)");
    for (size_t i = 0; i < next->client_count; i++) {
        const struct config_client *client = &next->clients[i];
        const struct config_client *before = find_client(old, client->pattern, i);

        if (before == NULL)
            tell(c, SECTION_CLIENT, restart, client->pattern, "(new)");
        else if (!same_client(before, client))
            tell(c, SECTION_CLIENT, restart, client->pattern, NULL);
        else if (before - old->clients != client - next->clients)
            tell(c, SECTION_CLIENT, restart, client->pattern, "(moved)");
    }
}

void
config_compare(const struct config *old, const struct config *next, config_visit_change *visit,
               void *ctx)
{
    const struct comparison c = {visit, ctx};

    for (int section = 0; section < SECTION_COUNT; section++)
        if (!config_sections[section].named)
            compare_keys(&c, (enum config_section)section, NULL, old, next);
    compare_links(&c, old, next);
    compare_clients(&c, old, next);
}

/* ---- taking over ---- */

static void
swap_octets(void *a, void *b, size_t size)
{
    char *left = a, *right = b;

    for (size_t i = 0; i < size; i++) {
        char octet = left[i];

        left[i] = right[i];
        right[i] = octet;
    }
}

static void
swap_fixed(enum config_section section, void *old, void *next)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (key->section == section && key->size != 0 && !config_key_is_live(key))
            swap_octets((char *)old + key->offset, (char *)next + key->offset, key->size);
    }
}

/* The links in their old order, with the live keys of those that `next` has, too. */
static void
adopt_links(struct config *old, struct config *next, struct config_link *links)
{
    for (size_t i = 0; i < old->link_count; i++) {
        struct config_link *link = &old->links[i];
        struct config_link *now = (struct config_link *)(uintptr_t)find_link(next, link);

        if (now != NULL) {
            swap_fixed(config_link_section(link), link, now);
            swap_octets(&link->name, &now->name, sizeof link->name);
            swap_octets(link, now, sizeof *link); /* what is not needed any more stays in `next` */
        }
        links[i] = *link;
    }
    for (size_t i = 0; i < next->link_count; i++) {
        config_fields_free(config_link_section(&next->links[i]), &next->links[i]);
        free(next->links[i].name);
    }
    free(next->links);
    next->links = links;
    next->link_count = old->link_count;
    old->link_count = 0;
}

/* The clients of `old`, with what they have of [sessions] from `next`. */
static enum dm_result
keep_clients(struct config *old, struct config *next)
{
    enum dm_result result = DM_OK;

    for (size_t i = 0; i < old->client_count && result == DM_OK; i++)
        result = config_fields_inherit(&old->clients[i], next);
    if (result != DM_OK)
        return result;
    swap_octets(&old->clients, &next->clients, sizeof old->clients);
    swap_octets(&old->client_count, &next->client_count, sizeof old->client_count);
    return DM_OK;
}

enum dm_result
config_adopt(struct config *old, struct config *next)
{
    struct config_link *links = calloc(old->link_count + 1, sizeof *links);

    if (links == NULL || (!clients_are_live(old, next) && keep_clients(old, next) != DM_OK)) {
        free(links);
        return DM_NO_MEMORY;
    }
    for (int section = 0; section < SECTION_COUNT; section++)
        if (!config_sections[section].named)
            swap_fixed((enum config_section)section, old, next);
    adopt_links(old, next, links);
    return DM_OK;
}
