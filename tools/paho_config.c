/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of an Eclipse Paho MQTT-SN gateway: gateway.conf and the lists it needs. */
#include "paho_config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <dormouse/log.h>

#include "config_reader.h"

const char *
paho_config_text(const struct paho_config *config, enum paho_key key)
{
    const struct paho_line *line = config->settings[key];

    return line != NULL && *line->value != '\0' ? line->value : NULL;
}

bool
paho_config_is_on(const struct paho_config *config, enum paho_key key)
{
    const char *text = paho_config_text(config, key);

    return text != NULL && strcasecmp(text, "YES") == 0;
}

static void
find_settings(struct paho_config *config)
{
    for (size_t i = 0; i < config->gateway.count; i++) {
        const struct paho_line *line = &config->gateway.lines[i];
        enum paho_key key = paho_key_find(line->key);
        if (line->bad == NULL && key < PAHO_KEY_COUNT && config->settings[key] == NULL)
            config->settings[key] = line;
    }
}

/* That gateway looks for these words anywhere in a line, the client id included. */
static bool
has_word(const struct paho_line *line, const char *word)
{
    return strstr(line->key, word) != NULL || strstr(line->value, word) != NULL;
}

static enum paho_role
role_of(const struct paho_line *line, enum paho_list list)
{
    if (list == PAHO_LIST_QOS_MINUS_ONE || has_word(line, "QoS-1"))
        return PAHO_ROLE_QOS_MINUS_ONE;
    if (list == PAHO_LIST_FORWARDERS || has_word(line, "forwarder"))
        return PAHO_ROLE_FORWARDER;
    return PAHO_ROLE_DEVICE;
}

static bool
is_known(const struct paho_config *config, const char *client_id)
{
    for (size_t i = 0; i < config->client_count; i++) {
        assert(config->clients[i].line != NULL);
        if (strcmp(config->clients[i].line->key, client_id) == 0)
            return true;
    }
    return false;
}

static enum dm_result
add_client(struct paho_config *config, const struct paho_file *file, const struct paho_line *line,
           enum paho_list list)
{
    char *address = strndup(line->value, strcspn(line->value, ","));

    if (address == NULL)
        return DM_NO_MEMORY;
    bool again = is_known(config, line->key);
    config->clients[config->client_count++] = (struct paho_client){
        .file = file,
        .line = line,
        .role = role_of(line, list),
        .secure = has_word(line, "secureConnection"),
        .again = again,
        .address = address,
    };
    return DM_OK;
}

static enum dm_result
find_clients(struct paho_config *config)
{
    size_t room = 1;
    enum dm_result result = DM_OK;

    for (int list = 0; list < PAHO_LIST_COUNT; list++)
        room += config->lists[list].count;
    config->clients = calloc(room, sizeof(*config->clients));
    if (config->clients == NULL)
        return DM_NO_MEMORY;
    for (int list = 0; list < PAHO_LIST_COUNT; list++) {
        const struct paho_file *file = &config->lists[list];
        for (size_t i = 0; i < file->count && result == DM_OK; i++)
            if (file->lines[i].bad == NULL)
                result = add_client(config, file, &file->lines[i], (enum paho_list)list);
    }
    return result;
}

static enum paho_place
place_of(const struct paho_config *config, const char *client_id)
{
    if (strcmp(client_id, "*") == 0 || strcmp(client_id, "COMMON") == 0)
        return PAHO_PLACE_ALL;
    for (size_t i = 0; i < config->client_count; i++)
        if (config->clients[i].role == PAHO_ROLE_QOS_MINUS_ONE &&
            strcmp(config->clients[i].line->key, client_id) == 0)
            return PAHO_PLACE_LINK;
    return PAHO_PLACE_CLIENT;
}

/* Of "TOPIC,ID". */
static unsigned long
topic_id(const char *value)
{
    const char *comma = strchr(value, ',');
    size_t digits = comma != NULL ? strspn(comma + 1, "0123456789") : 0;

    if (digits == 0 || digits > 9 || comma[1 + digits] != '\0')
        return 0;
    return strtoul(comma + 1, NULL, 10);
}

static enum dm_result
find_topics(struct paho_config *config)
{
    config->predefined = calloc(config->topics.count + 1, sizeof(*config->predefined));
    if (config->predefined == NULL)
        return DM_NO_MEMORY;
    for (size_t i = 0; i < config->topics.count; i++) {
        const struct paho_line *line = &config->topics.lines[i];
        if (line->bad == NULL)
            config->predefined[config->predefined_count++] = (struct paho_topic){
                .line = line,
                .place = place_of(config, line->key),
                .id = topic_id(line->value),
            };
    }
    return DM_OK;
}

enum dm_result
paho_config_complete(struct paho_config *config)
{
    find_settings(config);
    enum dm_result result = find_clients(config);
    return result == DM_OK ? find_topics(config) : result;
}

/* Reads `named`, which may be relative to the folder of gateway.conf, or, if there is no such file,
 * `usual` beside it. Either may be NULL. */
static enum dm_result
read_list(const struct paho_config *config, const char *named, const char *usual,
          struct paho_file *file)
{
    const char *gateway = config->gateway.path, *slash = strrchr(gateway, '/');
    int folder = slash != NULL ? (int)(slash - gateway) + 1 : 0;
    const char *names[] = {named, usual};
    enum dm_result result = DM_IO;

    errno = ENOENT;
    for (int i = 0; i < 2 && result == DM_IO && errno == ENOENT; i++) {
        char *path = NULL;
        if (names[i] == NULL)
            continue;
        if (asprintf(&path, "%.*s%s", *names[i] == '/' ? 0 : folder, gateway, names[i]) < 0)
            return DM_NO_MEMORY;
        result = paho_file_read(path, PAHO_FORM_LIST, file);
        int reason = errno;
        free(path);
        errno = reason;
    }
    return result;
}

struct list_source {
    enum paho_key switched_by, named_by;
    const char *usual;
};

static const struct list_source clients_source = {
    .named_by = PAHO_KEY_CLIENTS_LIST,
    .usual = "clients.conf",
};
/* Versions of 2018 had lists of their own for these. */
static const struct list_source qos_minus_one_source = {
    .switched_by = PAHO_KEY_QOS_MINUS_ONE,
    .named_by = PAHO_KEY_QOS_MINUS_ONE_LIST,
    .usual = "qos-1clients.conf",
};
static const struct list_source forwarders_source = {
    .switched_by = PAHO_KEY_FORWARDER,
    .named_by = PAHO_KEY_FORWARDERS_LIST,
    .usual = "forwarders.conf",
};
static const struct list_source topics_source = {
    .switched_by = PAHO_KEY_PREDEFINED,
    .named_by = PAHO_KEY_PREDEFINED_LIST,
    .usual = "predefinedTopic.conf",
};

/* A list that must be there, or may (`needed` false and no name given for it). */
static enum dm_result
take_list(const struct paho_config *config, const struct list_source *source, bool needed,
          struct paho_file *file, char *reason, size_t size)
{
    const char *named = paho_config_text(config, source->named_by);
    enum dm_result result = read_list(config, named, source->usual, file);

    if (result == DM_IO && errno == ENOENT && !needed && named == NULL)
        return DM_OK;
    if (result == DM_IO) {
        char shown[256];
        int error = errno;
        log_escape(shown, sizeof(shown), dm_span_text(named != NULL ? named : source->usual));
        snprintf(reason, size, "%s: the list cannot be read: %s", shown, config_open_reason(error));
    }
    return result;
}

/* The list of clients is not needed where a version had lists of its own, which were found. */
static bool
needs_clients(const struct paho_config *config)
{
    return paho_config_is_on(config, PAHO_KEY_AUTHENTICATION) ||
           paho_config_is_on(config, PAHO_KEY_AGGREGATING) ||
           (paho_config_is_on(config, PAHO_KEY_QOS_MINUS_ONE) &&
            config->lists[PAHO_LIST_QOS_MINUS_ONE].path == NULL) ||
           (paho_config_is_on(config, PAHO_KEY_FORWARDER) &&
            config->lists[PAHO_LIST_FORWARDERS].path == NULL);
}

static enum dm_result
load_lists(struct paho_config *config, char *reason, size_t size)
{
    enum dm_result result = DM_OK;

    if (paho_config_is_on(config, qos_minus_one_source.switched_by))
        result = take_list(config, &qos_minus_one_source, false,
                           &config->lists[PAHO_LIST_QOS_MINUS_ONE], reason, size);
    if (result == DM_OK && paho_config_is_on(config, forwarders_source.switched_by))
        result = take_list(config, &forwarders_source, false, &config->lists[PAHO_LIST_FORWARDERS],
                           reason, size);
    if (result == DM_OK && needs_clients(config))
        result = take_list(config, &clients_source, true, &config->lists[PAHO_LIST_CLIENTS], reason,
                           size);
    if (result == DM_OK && paho_config_is_on(config, topics_source.switched_by))
        result = take_list(config, &topics_source, true, &config->topics, reason, size);
    return result;
}

enum dm_result
paho_config_load(const char *path, struct paho_config *config, char *reason, size_t size)
{
    *config = (struct paho_config){0};
    *reason = '\0';
    enum dm_result result = paho_file_read(path, PAHO_FORM_SETTINGS, &config->gateway);
    if (result == DM_IO) {
        char shown[256];
        const char *why = config_open_reason(errno);
        snprintf(reason, size, "%s: cannot be read: %s",
                 log_escape(shown, sizeof(shown), dm_span_text(path)), why);
    }
    if (result != DM_OK)
        return result;
    find_settings(config);
    result = load_lists(config, reason, size);
    return result == DM_OK ? paho_config_complete(config) : result;
}

void
paho_config_free(struct paho_config *config)
{
    for (size_t i = 0; i < config->client_count; i++)
        free(config->clients[i].address);
    free(config->clients);
    free(config->predefined);
    paho_file_free(&config->gateway);
    for (int list = 0; list < PAHO_LIST_COUNT; list++)
        paho_file_free(&config->lists[list]);
    paho_file_free(&config->topics);
    *config = (struct paho_config){0};
}
