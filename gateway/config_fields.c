/* SPDX-License-Identifier: Apache-2.0 */
/* Members of struct config and struct config_link, written and released as the table of keys says.
 */
#include "config_fields.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config_reader.h"

/* A key of [sessions] is the same member of both. */
_Static_assert(offsetof(struct config, settings) == 0, "settings come first");
_Static_assert(offsetof(struct config_client, settings) == 0, "settings come first");

static void *
member_of(const struct config_key *key, void *object)
{
    assert(key->size != 0);
    return (char *)object + key->offset;
}

/* Whether the member is a char *. */
static bool
is_text(enum config_type type)
{
    return type == CONFIG_TEXT || type == CONFIG_CHOICE || type == CONFIG_FRAMING ||
           type == CONFIG_PASSWORD || type == CONFIG_PASSWORD_FILE;
}

static enum dm_result
replace_text(char **member, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return DM_NO_MEMORY;
    free(*member);
    *member = copy;
    return DM_OK;
}

static void
store_integer(void *member, size_t size, uint64_t number)
{
    switch (size) {
    case sizeof(uint8_t):
        *(uint8_t *)member = (uint8_t)number;
        break;
    case sizeof(uint16_t):
        *(uint16_t *)member = (uint16_t)number;
        break;
    case sizeof(uint32_t):
        *(uint32_t *)member = (uint32_t)number;
        break;
    default:
        assert(size == sizeof(uint64_t));
        *(uint64_t *)member = number;
        break;
    }
}

static enum dm_result
replace_words(struct config_strings *strings, const char *text)
{
    enum dm_result result = DM_OK;
    char *copy = strdup(text), *rest = copy;
    config_strings_free(strings);
    if (copy == NULL)
        return DM_NO_MEMORY;
    for (char *word; result == DM_OK && (word = strsep(&rest, " \t,")) != NULL;)
        if (*word != '\0')
            result = config_strings_add(strings, word);
    free(copy);
    return result;
}

/* Keeps the topics in the order of their ids. */
static enum dm_result
add_topic(struct config_topics *topics, uint16_t id, const char *name)
{
    size_t at = topics->count;
    while (at > 0 && topics->items[at - 1].id > id)
        at--;
    if (at > 0 && topics->items[at - 1].id == id)
        return replace_text(&topics->items[at - 1].name, name);

    struct config_topic *items = realloc(topics->items, (topics->count + 1) * sizeof(*items));
    if (items == NULL)
        return DM_NO_MEMORY;
    topics->items = items;
    char *copy = strdup(name);
    if (copy == NULL)
        return DM_NO_MEMORY;
    memmove(items + at + 1, items + at, (topics->count - at) * sizeof(*items));
    items[at] = (struct config_topic){.id = id, .name = copy};
    topics->count++;
    return DM_OK;
}

enum dm_result
config_field_set(const struct config_key *key, void *object, const char *text,
                 const struct config_value *value)
{
    void *member = member_of(key, object);
    switch (key->type) {
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
    case CONFIG_FRAMING:
    case CONFIG_PASSWORD:
    case CONFIG_PASSWORD_FILE:
        return replace_text(member, text);
    case CONFIG_BOOLEAN:
    case CONFIG_FIRST_CHOICE:
        *(bool *)member = value->number != 0;
        return DM_OK;
    case CONFIG_INTEGER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        store_integer(member, key->size, value->number);
        return DM_OK;
    case CONFIG_DECIMAL:
        *(double *)member = value->decimal;
        return DM_OK;
    case CONFIG_LIST:
        return config_strings_add(member, text);
    case CONFIG_WORDS:
        return replace_words(member, text);
    case CONFIG_TOPIC:
        return add_topic(member, (uint16_t)value->number, text);
    }
    return DM_INVALID;
}

size_t
config_field_count(const struct config_key *key, void *object)
{
    const struct config_strings *list = member_of(key, object);
    return list->count;
}

void
config_field_clear(const struct config_key *key, void *object)
{
    char **member = member_of(key, object);
    free(*member);
    *member = NULL;
}

static bool
equal_texts(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
equal_lists(const struct config_strings *a, const struct config_strings *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = strcmp(a->items[i], b->items[i]) == 0;
    return equal;
}

static bool
equal_topics(const struct config_topics *a, const struct config_topics *b)
{
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = a->items[i].id == b->items[i].id && strcmp(a->items[i].name, b->items[i].name) == 0;
    return equal;
}

bool
config_field_equal(const struct config_key *key, const void *a, const void *b)
{
    const void *one = (const char *)a + key->offset, *other = (const char *)b + key->offset;
    if (is_text(key->type))
        return equal_texts(*(char *const *)one, *(char *const *)other);
    if (key->type == CONFIG_LIST || key->type == CONFIG_WORDS)
        return equal_lists(one, other);
    if (key->type == CONFIG_TOPIC)
        return equal_topics(one, other);
    return memcmp(one, other, key->size) == 0;
}

static enum dm_result
set_default(const struct config_key *key, void *object)
{
    struct config_value value;
    char reason[160];
    bool empty = *key->fallback == '\0'; /* of a text, whose check would ask for more */
    if (empty)
        return config_field_set(key, object, "", NULL);
    bool valid = config_value_parse(key, key->name, key->fallback, &value, reason, sizeof(reason));
    assert(valid); /* the table is ours */
    return valid ? config_field_set(key, object, key->fallback, &value) : DM_INVALID;
}

static bool
has_default(const struct config_key *key, enum config_section section)
{
    return key->section == section && key->size != 0 && key->fallback != NULL;
}

enum dm_result
config_fields_default(enum config_section section, void *object)
{
    enum dm_result result = DM_OK;
    for (size_t i = 0; i < config_key_count && result == DM_OK; i++) {
        const struct config_key *key = &config_keys[i];
        if (has_default(key, section) && key->type != CONFIG_LIST)
            result = set_default(key, object);
    }
    return result;
}

enum dm_result
config_fields_complete(enum config_section section, void *object)
{
    enum dm_result result = DM_OK;
    for (size_t i = 0; i < config_key_count && result == DM_OK; i++) {
        const struct config_key *key = &config_keys[i];
        if (has_default(key, section) && key->type == CONFIG_LIST &&
            config_field_count(key, object) == 0)
            result = set_default(key, object);
    }
    return result;
}

/* The bit of a key that [client] knows too. */
static uint32_t
own_bit(const struct config_key *key)
{
    unsigned number = 0;
    assert(key->per_client);
    for (const struct config_key *other = config_keys; other < key; other++)
        number += other->per_client;
    assert(number < 32);
    return UINT32_C(1) << number;
}

void
config_field_own(const struct config_key *key, struct config_client *client)
{
    client->own_settings |= own_bit(key);
}

bool
config_field_is_own(const struct config_key *key, const struct config_client *client)
{
    return (client->own_settings & own_bit(key)) != 0;
}

enum dm_result
config_fields_inherit(struct config_client *client, const struct config *config)
{
    enum dm_result result = DM_OK;
    for (size_t i = 0; i < config_key_count && result == DM_OK; i++) {
        const struct config_key *key = &config_keys[i];
        if (!key->per_client || key->size == 0 || config_field_is_own(key, client))
            continue;
        const char *from = (const char *)config + key->offset;
        if (is_text(key->type))
            result = replace_text(member_of(key, client), *(char *const *)from);
        else
            memcpy(member_of(key, client), from, key->size);
    }
    return result;
}

static void
free_topics(struct config_topics *topics)
{
    for (size_t i = 0; i < topics->count; i++)
        free(topics->items[i].name);
    free(topics->items);
    *topics = (struct config_topics){0};
}

void
config_fields_free(enum config_section section, void *object)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        bool known = key->section == section || (section == SECTION_CLIENT && key->per_client);
        if (!known || key->size == 0)
            continue;
        if (key->type == CONFIG_LIST || key->type == CONFIG_WORDS)
            config_strings_free(member_of(key, object));
        else if (key->type == CONFIG_TOPIC)
            free_topics(member_of(key, object));
        else if (is_text(key->type))
            config_field_clear(key, object);
    }
}
