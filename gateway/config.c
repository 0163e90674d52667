/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the configuration: lines of all files, checked by the table of keys, into one struct. */
#include "config.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_fields.h"
#include "config_identity.h"
#include "config_keys.h"
#include "config_loader.h"
#include "config_reader.h"
#include "config_values.h"

#define PASSWORD_MAX_OCTETS 1024

static int
compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Whether this key was not yet given in this section of this file. */
static bool
is_first(struct config_loader *loader, const struct config_place *place, const char *key)
{
    char *text = NULL;
    if (asprintf(&text, "%p %s %s", (const void *)place->file, loader->section_text, key) < 0) {
        config_loader_note(loader, DM_NO_MEMORY);
        return true;
    }
    char **found = tsearch(text, &loader->given, compare_text);
    if (found == NULL)
        config_loader_note(loader, DM_NO_MEMORY);
    bool first = found == NULL || *found == text;
    if (found == NULL || !first)
        free(text);
    return first;
}

static bool
is_quantity(enum config_type type)
{
    return type == CONFIG_BOOLEAN || type == CONFIG_INTEGER || type == CONFIG_SIZE ||
           type == CONFIG_DURATION || type == CONFIG_DECIMAL;
}

/* Whether a key that is not built in asks for nothing but what happens without it: "0" and "0ms".
 */
static bool
is_default(const struct config_key *key, const char *text)
{
    struct config_value asked, fallback;
    char reason[CONFIG_REASON_SIZE];
    if (strcmp(text, key->fallback != NULL ? key->fallback : "") == 0)
        return true;
    return is_quantity(key->type) && key->fallback != NULL &&
           config_value_parse(key, key->name, text, &asked, reason, sizeof(reason)) &&
           config_value_parse(key, key->name, key->fallback, &fallback, reason, sizeof(reason)) &&
           asked.number == fallback.number && asked.decimal == fallback.decimal;
}

/* True if the key is not built in, after reporting what that means for this value. */
static bool
take_missing(struct config_loader *loader, const struct config_place *place,
             const struct config_key *key, const char *name, const char *text)
{
    if (key->availability == CONFIG_BUILT_IN)
        return false;
    if (key->availability == CONFIG_MISSING_PROTECTS) {
        if (!is_default(key, text))
            config_loader_report_key(loader, false, place, name,
                                     "not built in yet; refused, because it would protect nothing");
    } else if (!is_default(key, text)) {
        config_loader_report_key(loader, true, place, name, "not built in yet; ignored");
    }
    return true;
}

/* The text in a password file without its line end. NULL: reason[] says why. */
static char *
read_password(const char *path, char *reason, size_t size)
{
    bool others;
    FILE *file = config_open_file(path, &others);
    if (file == NULL) {
        snprintf(reason, size, "cannot be read: %s", config_open_reason(errno));
        return NULL;
    }
    char *text = calloc(1, PASSWORD_MAX_OCTETS + 2);
    size_t len = text != NULL ? fread(text, 1, PASSWORD_MAX_OCTETS + 1, file) : 0;
    bool failed = ferror(file) != 0;
    fclose(file);
    if (len > 0 && len <= PASSWORD_MAX_OCTETS && text[len - 1] == '\n')
        text[--len] = '\0';
    if (len > 0 && len <= PASSWORD_MAX_OCTETS && text[len - 1] == '\r')
        text[--len] = '\0';
    if (text == NULL)
        snprintf(reason, size, "out of memory");
    else if (others)
        snprintf(reason, size, "others may use the file: chmod o-rwx");
    else if (failed || len == 0 || len > PASSWORD_MAX_OCTETS || strlen(text) != len ||
             strchr(text, '\n') != NULL)
        snprintf(reason, size, "does not hold one line of 1 .. %d octets", PASSWORD_MAX_OCTETS);
    else
        return text;
    free(text);
    return NULL;
}

/* Where a password, its file or the file of the token was given. */
static struct config_place *
secret_place(struct config_loader *loader, const struct config_key *key)
{
    if (key->section == SECTION_CONTROL)
        return &loader->token_file;
    if (key->section == SECTION_CLIENT)
        return key->type == CONFIG_PASSWORD ? &loader->client_places[loader->index].password
                                            : &loader->client_places[loader->index].password_file;
    return key->type == CONFIG_PASSWORD ? &loader->password : &loader->password_file;
}

/* Sets the password from one key or the other, or the token. */
static void
take_password(struct config_loader *loader, const struct config_place *place,
              const struct config_key *key, const char *text, bool commented)
{
    struct config_place *given = secret_place(loader, key);
    void *object = config_loader_object(loader);
    char reason[CONFIG_REASON_SIZE];
    char *password = NULL;
    if (*text == '\0') {
        if (given->file != NULL)
            config_field_clear(key, object);
        *given = (struct config_place){0};
        return;
    }
    *given = *place;
    if (key->type == CONFIG_PASSWORD_FILE) {
        password = read_password(text, reason, sizeof(reason));
        if (password == NULL)
            config_loader_report_key(loader, false, place, key->name, reason);
        else
            config_loader_note(loader, config_field_set(key, object, password, NULL));
        free(password);
    } else if (place->others) {
        config_loader_report_key(loader, false, place, key->name,
                                 "others may use this file: chmod o-rwx");
    } else if (commented) {
        config_loader_report_key(loader, false, place, key->name,
                                 "ends at a semicolon behind a space; use password_file");
    } else {
        config_loader_note(loader, config_field_set(key, object, text, NULL));
    }
}

static void
note_client_key(struct config_loader *loader, const struct config_place *place,
                const struct config_key *key)
{
    struct client_places *places = &loader->client_places[loader->index];
    const struct {
        const char *name;
        struct config_place *place;
    } kept[] = {{"links", &places->links},
                {"address", &places->address},
                {"hold", &places->hold},
                {"will", &places->will},
                {"username", &places->username}};
    if (key->per_client)
        config_field_own(key, &loader->config->clients[loader->index]);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (strcmp(key->name, kept[i].name) == 0)
            *kept[i].place = *place;
}

/* Of a key that is checked with others when all is read. NULL: of none. */
static struct config_place *
kept_place(struct config_loader *loader, const struct config_key *key)
{
    const struct {
        enum config_section section;
        const char *name;
        struct config_place *place;
    } kept[] = {
        {SECTION_GATEWAY, "standby_for", &loader->standby_for},
        {SECTION_BROKER, "url", &loader->url},
        {SECTION_BROKER, "ca_file", &loader->tls_files[TLS_CA_FILE]},
        {SECTION_BROKER, "cert_file", &loader->tls_files[TLS_CERT_FILE]},
        {SECTION_BROKER, "key_file", &loader->tls_files[TLS_KEY_FILE]},
        {SECTION_CONTROL, "http", &loader->http},
        {SECTION_SESSIONS, "hold", &loader->hold},
        {SECTION_SESSIONS, "will", &loader->will},
    };
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (kept[i].section == key->section && strcmp(kept[i].name, key->name) == 0)
            return kept[i].place;
    return NULL;
}

/* A key that is built in, with a value that is acceptable. */
static void
take_value(struct config_loader *loader, const struct config_place *place,
           const struct config_key *key, const char *text, const struct config_value *value)
{
    void *object = config_loader_object(loader);
    if (loader->section == SECTION_CLIENT)
        note_client_key(loader, place, key);
    struct config_place *kept = kept_place(loader, key);
    if (kept != NULL && loader->section != SECTION_CLIENT)
        *kept = *place;
    if (key->type == CONFIG_LIST && config_field_count(key, object) == CONFIG_LIST_MAX)
        config_loader_report_key(loader, false, place, key->name, "given more than 64 times");
    else if (key->type == CONFIG_TEXT && *text == '\0' && key->fallback == NULL &&
             !key->empty_is_off)
        config_field_clear(key, object);
    else if (key->secret && place->others)
        config_loader_report_key(loader, false, place, key->name,
                                 "others may use this file: chmod o-rwx");
    else
        config_loader_note(loader, config_field_set(key, object, text, value));
    if (key->section == SECTION_MAP && loader->config->rules.count > 0)
        loader->rule_places[loader->config->rules.count - 1] = *place;
}

/* The default, where the text only asks for it. */
static const char *
meant_text(const struct config_key *key, const char *text)
{
    bool asks =
        *text == '\0' && key->type == CONFIG_TEXT && key->fallback != NULL && !key->empty_is_off;
    return asks ? key->fallback : text;
}

static void
on_value(void *ctx, const struct config_place *place, const char *name, const char *text,
         bool commented)
{
    struct config_loader *loader = ctx;
    struct config_value value = {0};
    char reason[CONFIG_REASON_SIZE];
    if (loader->before_sections)
        config_loader_report(loader, false, place, NULL, "key before the first [section]");
    if (loader->section_text[0] == '\0')
        return;

    const struct config_key *key = config_key_find(loader->section, name);
    if (key == NULL) {
        config_loader_report_key(loader, false, place, name, "unknown key");
        return;
    }
    if (!key->repeatable && !is_first(loader, place, name)) {
        config_loader_report_key(loader, false, place, name, "given twice");
        return;
    }
    text = meant_text(key, text);
    bool may_be_empty = key->type == CONFIG_TEXT || key->type == CONFIG_PASSWORD_FILE ||
                        key->availability != CONFIG_BUILT_IN;
    bool empty = *text == '\0' && may_be_empty;
    if (!empty && !config_value_parse(key, name, text, &value, reason, sizeof(reason)))
        config_loader_report_key(loader, false, place, name, reason);
    else if (take_missing(loader, place, key, name, text))
        return;
    else if (key->type == CONFIG_PASSWORD || key->type == CONFIG_PASSWORD_FILE)
        take_password(loader, place, key, text, commented);
    else
        take_value(loader, place, key, text, &value);
}

static void
on_section(void *ctx, const struct config_place *place, const char *header)
{
    config_loader_enter(ctx, place, header);
}

static void
on_bad_line(void *ctx, const struct config_place *place, const char *reason)
{
    config_loader_report(ctx, false, place, NULL, reason);
}

static void
add_names(struct config_loader *loader)
{
    struct config *config = loader->config;
    if (config->name == NULL)
        config->name = config_default_name();
    if (config->client_id == NULL && config->name != NULL)
        config->client_id = config_default_client_id(config->name);
    if (config->status_topics == NULL && config->name != NULL)
        config->status_topics = config_default_status_topics(config->name);
    if (config->client_id == NULL || config->status_topics == NULL)
        config_loader_note(loader, DM_NO_MEMORY);
}

static void
read_files(struct config_loader *loader, const char *path)
{
    const struct config_reader_events events = {loader, on_section, on_value, on_bad_line};
    struct config_place place = {.file = path};
    enum dm_result result = config_find_files(path, &loader->files);
    if (result == DM_IO)
        config_loader_report(loader, false, &place, "conf.d", config_open_reason(errno));
    for (size_t i = 0; i < loader->files.count && result == DM_OK; i++) {
        place.file = loader->files.items[i];
        loader->before_sections = true;
        loader->section_text[0] = '\0';
        result = config_read_file(place.file, &events);
        if (result == DM_IO)
            config_loader_report(loader, false, &place, "cannot be read",
                                 config_open_reason(errno));
    }
    if (result != DM_OK)
        loader->result = result;
}

static struct config_loader *
new_loader(config_report *report, void *ctx)
{
    struct config_loader *loader = calloc(1, sizeof(*loader));
    if (loader == NULL)
        return NULL;
    loader->report = report;
    loader->report_ctx = ctx;
    loader->config = calloc(1, sizeof(*loader->config));
    if (loader->config == NULL)
        loader->result = DM_NO_MEMORY;
    for (int section = 0; section < SECTION_COUNT && loader->result == DM_OK; section++)
        if (!config_sections[section].named)
            loader->result = config_fields_default((enum config_section)section, loader->config);
    return loader;
}

static void
free_loader(struct config_loader *loader)
{
    if (loader == NULL)
        return;
    tdestroy(loader->given, free);
    config_free(loader->config);
    config_strings_free(&loader->files);
    free(loader->client_places);
    free(loader);
}

enum dm_result
config_load(const char *path, config_report *report, void *ctx, struct config **config)
{
    struct config_loader *loader = new_loader(report, ctx);
    enum dm_result result = loader != NULL ? loader->result : DM_NO_MEMORY;
    *config = NULL;
    if (result == DM_OK) {
        read_files(loader, path);
        if (loader->result == DM_OK || loader->result == DM_INVALID)
            config_loader_check(loader, path);
        if (loader->result == DM_OK)
            add_names(loader);
        result = loader->result;
    }
    if (result == DM_NO_MEMORY)
        report(ctx, false, "out of memory while reading the configuration");
    if (result == DM_OK) {
        *config = loader->config;
        loader->config = NULL;
    }
    free_loader(loader);
    return result;
}

void
config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->link_count; i++) {
        config_fields_free(config_link_section(&config->links[i]), &config->links[i]);
        free(config->links[i].name);
    }
    free(config->links);
    for (size_t i = 0; i < config->client_count; i++) {
        config_fields_free(SECTION_CLIENT, &config->clients[i]);
        free(config->clients[i].pattern);
    }
    free(config->clients);
    for (int section = 0; section < SECTION_COUNT; section++)
        if (!config_sections[section].named)
            config_fields_free((enum config_section)section, config);
    free(config);
}
