/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse check --client --json: docs/schema/tools.json. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "buffer.h"
#include "check_client.h"

static cJSON *
text_of(struct dm_span octets)
{
    char *text = strndup(octets.len > 0 ? (const char *)octets.data : "", octets.len);
    cJSON *item = text != NULL ? cJSON_CreateString(text) : NULL;

    free(text);
    return item;
}

/* With the client id in its place; null if there is none. */
static cJSON *
filled_in(const char *text, struct dm_span id)
{
    struct buffer whole = {0};
    cJSON *item = NULL;

    if (text == NULL)
        return cJSON_CreateNull();
    if (buffer_append_client(&whole, text, id))
        item = text_of(buffer_span(&whole));
    buffer_fini(&whole);
    return item;
}

/* null: everything. */
static cJSON *
list_of(const struct config_strings *list, struct dm_span id)
{
    cJSON *array = list != NULL && list->count > 0 ? cJSON_CreateArray() : cJSON_CreateNull();

    for (size_t i = 0; list != NULL && i < list->count; i++)
        cJSON_AddItemToArray(array, filled_in(list->items[i], id));
    return array;
}

static void
add_settings(cJSON *answer, const struct config_settings *settings)
{
    cJSON *object = cJSON_AddObjectToObject(answer, "settings");

    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        char text[128] = "";
        FILE *out = fmemopen(text, sizeof text, "w");

        if (key->per_client && key->size != 0 && out != NULL)
            check_client_value(key, (const char *)settings + key->offset, out);
        if (out != NULL)
            fclose(out);
        if (*text != '\0')
            cJSON_AddStringToObject(object, key->name, text);
    }
}

static void
add_login(cJSON *answer, const struct config *config, const struct config_client *section)
{
    const char *username = check_client_username(config, section);

    if (!check_client_is_own(config, section)) {
        cJSON_AddNullToObject(answer, "login");
        return;
    }
    cJSON *login = cJSON_AddObjectToObject(answer, "login");

    cJSON_AddItemToObject(login, "username",
                          username != NULL ? cJSON_CreateString(username) : cJSON_CreateNull());
    cJSON_AddBoolToObject(login, "password", check_client_has_password(config, section));
}

static void
add_topic(void *ctx, uint16_t id, struct dm_span name, const char *link)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddNumberToObject(item, "id", id);
    cJSON_AddItemToObject(item, "name", text_of(name));
    cJSON_AddItemToObject(item, "link",
                          link != NULL && *link != '\0' ? cJSON_CreateString(link)
                                                        : cJSON_CreateNull());
    cJSON_AddItemToArray(ctx, item);
}

static void
add_name(void *ctx, struct dm_span device, struct dm_span broker)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddItemToObject(item, "device", text_of(device));
    cJSON_AddItemToObject(item, "broker", broker.len > 0 ? text_of(broker) : cJSON_CreateNull());
    cJSON_AddItemToArray(ctx, item);
}

bool
check_client_print_json(const struct config *config, const char *client_id, FILE *out)
{
    struct dm_span id = dm_span_text(client_id);
    const struct config_client *section = check_client_section(config, id);
    const char *why = check_client_refusal(config, section, id);
    cJSON *answer = cJSON_CreateObject();

    cJSON_AddStringToObject(answer, "client_id", client_id);
    cJSON_AddItemToObject(answer, "section",
                          section != NULL ? cJSON_CreateString(section->pattern)
                                          : cJSON_CreateNull());
    cJSON_AddItemToObject(answer, "refused",
                          why != NULL ? cJSON_CreateString(why) : cJSON_CreateNull());
    add_settings(answer, section != NULL ? &section->settings : &config->settings);
    add_login(answer, config, section);
    cJSON_AddItemToObject(answer, "publish",
                          list_of(section != NULL ? &section->publish : NULL, id));
    cJSON_AddItemToObject(answer, "subscribe",
                          list_of(section != NULL ? &section->subscribe : NULL, id));
    cJSON_AddItemToObject(answer, "links", list_of(section != NULL ? &section->links : NULL, id));
    cJSON_AddItemToObject(answer, "address",
                          filled_in(section != NULL ? section->address : NULL, id));
    cJSON_AddItemToObject(answer, "topic_prefix",
                          filled_in(section != NULL ? section->topic_prefix : NULL, id));
    check_client_each_topic(config, section, id, add_topic,
                            cJSON_AddArrayToObject(answer, "topics"));
    check_client_each_name(config, section, id, add_name, cJSON_AddArrayToObject(answer, "names"));
    char *text = cJSON_Print(answer);

    if (text != NULL)
        fprintf(out, "%s\n", text);
    cJSON_Delete(answer);
    cJSON_free(text);
    return text != NULL && why == NULL;
}
