/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the configuration: lines of all files, checked by the table of keys, into one struct. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <dormouse/log.h>

#include "config_fields.h"
#include "config_identity.h"
#include "config_keys.h"
#include "config_reader.h"
#include "config_values.h"

#define LINKS_MAX 255 /* the number of a link is one octet of an address */
#define LIST_MAX 64   /* items of a key that repeats: every pair is compared */
#define PASSWORD_MAX_OCTETS 1024
#define REASON_SIZE 256

struct loader {
    struct config *config;
    config_report *report;
    void *report_ctx;
    enum dm_result result;       /* the first that is not DM_OK */
    struct config_strings files; /* places point to these texts */
    /* The section being read. */
    bool before_sections; /* none in this file yet */
    enum config_section section;
    char section_text[64]; /* "udp lan"; empty: its keys are skipped */
    size_t link;           /* of [udp] and [serial] */
    void *given;           /* tsearch tree: the single keys given, each per file and section */
    struct config_place link_places[LINKS_MAX];
    struct config_place password, password_file; /* file NULL: not given */
    bool url_given;
};

static void
note_result(struct loader *loader, enum dm_result result)
{
    if (loader->result == DM_OK)
        loader->result = result;
}

/* `where` is "[section] key", or NULL if the reason says it. */
static void
report_at(struct loader *loader, bool warning, const struct config_place *place, const char *where,
          const char *reason)
{
    char text[PATH_MAX + 512], line[16] = "";
    if (place->line != 0)
        snprintf(line, sizeof(line), "%u:", place->line);
    snprintf(text, sizeof(text), "%s:%s %s%s%s", place->file, line, where != NULL ? where : "",
             where != NULL ? ": " : "", reason);
    loader->report(loader->report_ctx, warning, text);
    if (!warning)
        note_result(loader, DM_INVALID);
}

/* For a key of the section being read. */
static void
report_key(struct loader *loader, bool warning, const struct config_place *place, const char *key,
           const char *reason)
{
    char where[192], shown[96];
    snprintf(where, sizeof(where), "[%s] %s", loader->section_text,
             log_escape(shown, sizeof(shown), dm_span_text(key)));
    report_at(loader, warning, place, where, reason);
}

static void report_link(struct loader *loader, size_t index, const char *key, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));

/* Reports an error at the first header of a link. */
static void
report_link(struct loader *loader, size_t index, const char *key, const char *format, ...)
{
    const struct config_link *link = &loader->config->links[index];
    char where[128], reason[REASON_SIZE];
    va_list arguments;
    snprintf(where, sizeof(where), "[%s %s]%s", link->kind == CONFIG_UDP ? "udp" : "serial",
             link->name, key);
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    report_at(loader, false, &loader->link_places[index], where, reason);
}

static enum config_section
link_section(const struct config_link *link)
{
    return link->kind == CONFIG_UDP ? SECTION_UDP : SECTION_SERIAL;
}

static enum dm_result
add_link(struct config *config, enum config_link_kind kind, const char *name)
{
    size_t count = config->link_count;
    struct config_link *links = realloc(config->links, (count + 1) * sizeof(*links));
    if (links == NULL)
        return DM_NO_MEMORY;
    config->links = links;
    links[count] = (struct config_link){.kind = kind, .name = strdup(name)};
    config->link_count++;
    if (links[count].name == NULL)
        return DM_NO_MEMORY;
    return config_fields_default(link_section(&links[count]), &links[count]);
}

/* Enters the section of a link, made if it is new. False after reporting. */
static bool
enter_link(struct loader *loader, const struct config_place *place, const char *name)
{
    struct config *config = loader->config;
    enum config_link_kind kind = loader->section == SECTION_UDP ? CONFIG_UDP : CONFIG_SERIAL;
    for (size_t i = 0; i < config->link_count; i++) {
        if (strcmp(config->links[i].name, name) != 0)
            continue;
        loader->link = i;
        if (config->links[i].kind == kind)
            return true;
        report_at(loader, false, place, NULL, "a [udp] and a [serial] section have the same name");
        return false;
    }
    if (config->link_count == LINKS_MAX) {
        report_at(loader, false, place, NULL, "more than 255 [udp] and [serial] sections");
        return false;
    }
    loader->link = config->link_count;
    loader->link_places[loader->link] = *place;
    enum dm_result result = add_link(config, kind, name);
    note_result(loader, result);
    return result == DM_OK;
}

/* The section whose word is header[0..len). SECTION_COUNT: none. */
static enum config_section
find_section(const char *header, size_t len)
{
    int section = 0;
    while (section < SECTION_COUNT && (strlen(config_sections[section].word) != len ||
                                       memcmp(config_sections[section].word, header, len) != 0))
        section++;
    return (enum config_section)section;
}

static const char *
check_section_name(enum config_section section, const char *name)
{
    return section == SECTION_CLIENT ? config_check_text(name) : config_check_name(name);
}

static void
on_section(void *ctx, const struct config_place *place, const char *header)
{
    struct loader *loader = ctx;
    char reason[REASON_SIZE], shown[128];
    loader->before_sections = false;
    loader->section_text[0] = '\0';
    if (header == NULL)
        return;

    size_t word_len = strcspn(header, " \t");
    const char *name = header + word_len + strspn(header + word_len, " \t");
    log_escape(shown, sizeof(shown), dm_span_text(header));
    loader->section = find_section(header, word_len);
    if (loader->section == SECTION_COUNT ||
        (!config_sections[loader->section].named && *name != '\0')) {
        snprintf(reason, sizeof(reason), "[%s]: unknown section", shown);
        report_at(loader, false, place, NULL, reason);
        return;
    }
    const struct config_section_info *info = &config_sections[loader->section];
    const char *why = info->named ? check_section_name(loader->section, name) : NULL;
    if (info->named && (*name == '\0' || why != NULL)) {
        snprintf(reason, sizeof(reason), "[%s]: needs a name, as in [%s]%s%s", shown, info->example,
                 *name != '\0' ? "; this one " : "", *name != '\0' ? why : "");
        report_at(loader, false, place, NULL, reason);
        return;
    }
    bool is_link = loader->section == SECTION_UDP || loader->section == SECTION_SERIAL;
    if (!is_link || enter_link(loader, place, name))
        snprintf(loader->section_text, sizeof(loader->section_text), "%s%s%s", info->word,
                 info->named ? " " : "", name);
}

static int
compare_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Whether this key was not yet given in this section of this file. */
static bool
is_first(struct loader *loader, const struct config_place *place, const char *key)
{
    char *text = NULL;
    if (asprintf(&text, "%p %s %s", (const void *)place->file, loader->section_text, key) < 0) {
        note_result(loader, DM_NO_MEMORY);
        return true;
    }
    char **found = tsearch(text, &loader->given, compare_text);
    if (found == NULL)
        note_result(loader, DM_NO_MEMORY);
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
    char reason[REASON_SIZE];
    if (strcmp(text, key->fallback != NULL ? key->fallback : "") == 0)
        return true;
    return is_quantity(key->type) && key->fallback != NULL &&
           config_value_parse(key, key->name, text, &asked, reason, sizeof(reason)) &&
           config_value_parse(key, key->name, key->fallback, &fallback, reason, sizeof(reason)) &&
           asked.number == fallback.number && asked.decimal == fallback.decimal;
}

/* True if the key is not built in, after reporting what that means for this value. */
static bool
take_missing(struct loader *loader, const struct config_place *place, const struct config_key *key,
             const char *name, const char *text)
{
    /* In [client] the default is what [sessions] says, so that naming one asks for something. */
    bool inherited = key->section != loader->section;
    if (key->availability == CONFIG_BUILT_IN && !inherited)
        return false;
    if (key->availability == CONFIG_MISSING_PROTECTS) {
        if (!is_default(key, text))
            report_key(loader, false, place, name,
                       "not built in yet; refused, because it would protect nothing");
    } else if (inherited || !is_default(key, text)) {
        report_key(loader, true, place, name, "not built in yet; ignored");
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

/* Sets the password from one key or the other. */
static void
take_password(struct loader *loader, const struct config_place *place, const struct config_key *key,
              const char *text, bool commented)
{
    struct config_place *given =
        key->type == CONFIG_PASSWORD ? &loader->password : &loader->password_file;
    char reason[REASON_SIZE];
    char *password = NULL;
    if (*text == '\0') {
        if (given->file != NULL)
            config_field_clear(key, loader->config);
        *given = (struct config_place){0};
        return;
    }
    *given = *place;
    if (key->type == CONFIG_PASSWORD_FILE) {
        password = read_password(text, reason, sizeof(reason));
        if (password == NULL)
            report_key(loader, false, place, key->name, reason);
        else
            note_result(loader, config_field_set(key, loader->config, password, NULL));
        free(password);
    } else if (place->others) {
        report_key(loader, false, place, key->name, "others may use this file: chmod o-rwx");
    } else if (commented) {
        report_key(loader, false, place, key->name,
                   "ends at a semicolon behind a space; use password_file");
    } else {
        note_result(loader, config_field_set(key, loader->config, text, NULL));
    }
}

/* A key that is built in, with a value that is acceptable. */
static void
take_value(struct loader *loader, const struct config_place *place, const struct config_key *key,
           const char *text, const struct config_value *value)
{
    bool is_link = loader->section == SECTION_UDP || loader->section == SECTION_SERIAL;
    void *object = is_link ? (void *)&loader->config->links[loader->link] : (void *)loader->config;
    if (key->type == CONFIG_TEXT && key->repeatable) { /* url */
        if (loader->url_given) {
            report_key(loader, true, place, key->name,
                       "fail-over is not built in yet; only the first one is used");
            return;
        }
        loader->url_given = true;
    }
    if (key->type == CONFIG_LIST && config_field_count(key, object) == LIST_MAX)
        report_key(loader, false, place, key->name, "given more than 64 times");
    else if (key->type == CONFIG_TEXT && *text == '\0' && key->fallback == NULL)
        config_field_clear(key, object);
    else
        note_result(loader, config_field_set(key, object, text, value));
}

/* The default, where the text only asks for it. */
static const char *
meant_text(const struct config_key *key, const char *text)
{
    bool unset = *text == '\0' && key->type == CONFIG_TEXT && key->fallback != NULL;
    bool alias = key->alias != NULL && strcmp(text, key->alias) == 0;
    return unset || alias ? key->fallback : text;
}

static void
on_value(void *ctx, const struct config_place *place, const char *name, const char *text,
         bool commented)
{
    struct loader *loader = ctx;
    struct config_value value = {0};
    char reason[REASON_SIZE];
    if (loader->before_sections)
        report_at(loader, false, place, NULL, "key before the first [section]");
    if (loader->section_text[0] == '\0')
        return;

    const struct config_key *key = config_key_find(loader->section, name);
    if (key == NULL) {
        report_key(loader, false, place, name, "unknown key");
        return;
    }
    if (!key->repeatable && !is_first(loader, place, name)) {
        report_key(loader, false, place, name, "given twice");
        return;
    }
    text = meant_text(key, text);
    bool may_be_empty = key->type == CONFIG_TEXT || key->type == CONFIG_PASSWORD_FILE ||
                        key->availability != CONFIG_BUILT_IN;
    bool empty = *text == '\0' && may_be_empty;
    if (!empty && !config_value_parse(key, name, text, &value, reason, sizeof(reason)))
        report_key(loader, false, place, name, reason);
    else if (take_missing(loader, place, key, name, text))
        return;
    else if (key->type == CONFIG_PASSWORD || key->type == CONFIG_PASSWORD_FILE)
        take_password(loader, place, key, text, commented);
    else
        take_value(loader, place, key, text, &value);
}

static void
on_bad_line(void *ctx, const struct config_place *place, const char *reason)
{
    report_at(ctx, false, place, NULL, reason);
}

/* Two sockets of one address or two openings of one port fail at start; say it before. */
static void
check_link(struct loader *loader, size_t index)
{
    const struct config_link *links = loader->config->links, *link = &links[index];
    if (link->kind == CONFIG_SERIAL && link->device == NULL)
        report_link(loader, index, " device", "required");
    for (size_t i = 0; i < index; i++)
        if (link->device != NULL && links[i].device != NULL &&
            strcmp(link->device, links[i].device) == 0)
            report_link(loader, index, " device", "used by [serial %s], too", links[i].name);
    for (size_t n = 0; n < link->listen.count; n++)
        for (size_t i = 0; i <= index; i++)
            for (size_t m = 0; m < (i < index ? links[i].listen.count : n); m++)
                if (strcmp(link->listen.items[n], links[i].listen.items[m]) == 0)
                    report_link(loader, index, " listen", "%s is used by [udp %s], too",
                                link->listen.items[n], links[i].name);
}

static void
check_all(struct loader *loader, const char *path)
{
    struct config *config = loader->config;
    const struct config_place whole = {.file = path};
    if (config->link_count == 0)
        report_at(loader, false, &whole, NULL, "no [udp NAME] and no [serial NAME] section");
    for (size_t i = 0; i < config->link_count; i++) {
        struct config_link *link = &config->links[i];
        note_result(loader, config_fields_complete(link_section(link), link));
        check_link(loader, i);
    }
    if (loader->password.file != NULL && loader->password_file.file != NULL)
        report_at(loader, false, &loader->password_file, "[broker] password_file",
                  "password is set, too");
    const struct config_place *place =
        loader->password.file != NULL ? &loader->password : &loader->password_file;
    if (place->file != NULL && config->username == NULL)
        report_at(loader, false, place,
                  place == &loader->password ? "[broker] password" : "[broker] password_file",
                  "needs a username");
}

static void
add_names(struct loader *loader)
{
    struct config *config = loader->config;
    if (config->name == NULL)
        config->name = config_default_name();
    if (config->client_id == NULL && config->name != NULL)
        config->client_id = config_default_client_id(config->name);
    if (config->client_id == NULL)
        note_result(loader, DM_NO_MEMORY);
}

static void
read_files(struct loader *loader, const char *path)
{
    const struct config_reader_events events = {loader, on_section, on_value, on_bad_line};
    struct config_place place = {.file = path};
    enum dm_result result = config_find_files(path, &loader->files);
    if (result == DM_IO)
        report_at(loader, false, &place, "conf.d", config_open_reason(errno));
    for (size_t i = 0; i < loader->files.count && result == DM_OK; i++) {
        place.file = loader->files.items[i];
        loader->before_sections = true;
        loader->section_text[0] = '\0';
        result = config_read_file(place.file, &events);
        if (result == DM_IO)
            report_at(loader, false, &place, "cannot be read", config_open_reason(errno));
    }
    if (result != DM_OK)
        loader->result = result;
}

static struct loader *
new_loader(config_report *report, void *ctx)
{
    struct loader *loader = calloc(1, sizeof(*loader));
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
free_loader(struct loader *loader)
{
    if (loader == NULL)
        return;
    tdestroy(loader->given, free);
    config_free(loader->config);
    config_strings_free(&loader->files);
    free(loader);
}

enum dm_result
config_load(const char *path, config_report *report, void *ctx, struct config **config)
{
    struct loader *loader = new_loader(report, ctx);
    enum dm_result result = loader != NULL ? loader->result : DM_NO_MEMORY;
    *config = NULL;
    if (result == DM_OK) {
        read_files(loader, path);
        if (loader->result == DM_OK || loader->result == DM_INVALID)
            check_all(loader, path);
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
        config_fields_free(link_section(&config->links[i]), &config->links[i]);
        free(config->links[i].name);
    }
    free(config->links);
    for (int section = 0; section < SECTION_COUNT; section++)
        if (!config_sections[section].named)
            config_fields_free((enum config_section)section, config);
    free(config);
}
