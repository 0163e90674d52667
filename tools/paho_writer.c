/* SPDX-License-Identifier: Apache-2.0 */
/* Findings, and pairs of the INI that Dormouse accepts. */
#include "paho_writer.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <dormouse/log.h>

#include "config_values.h"

#define INI_LINE_MAX 199 /* octets; docs/configuration.md */

static void
write_finding(struct paho_writer *writer, const struct paho_file *file, unsigned number,
              const char *key, const char *text)
{
    char path[512], shown[128], place[32] = "", colon[3] = "";

    log_escape(path, sizeof(path), dm_span_text(file->path));
    log_escape(shown, sizeof(shown), dm_span_text(key));
    if (number > 0)
        snprintf(place, sizeof(place), ":%u", number);
    if (*shown != '\0')
        snprintf(colon, sizeof(colon), ": ");
    fprintf(writer->findings, "%s%s: %s%s%s\n", path, place, shown, colon, text);
    fprintf(writer->ini, "%s; %s%s: %s%s%s\n", writer->heading != NULL ? writer->heading : "", path,
            place, shown, colon, text);
    writer->heading = NULL;
    writer->count++;
}

void
paho_finding(struct paho_writer *writer, const struct paho_file *file, const struct paho_line *line,
             const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    write_finding(writer, file, line != NULL ? line->number : 0, line != NULL ? line->key : "",
                  text);
}

void
paho_finding_key(struct paho_writer *writer, enum paho_key key, const char *format, ...)
{
    const struct paho_line *line = writer->config->settings[key];
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    write_finding(writer, &writer->config->gateway, line != NULL ? line->number : 0,
                  line != NULL ? line->key : paho_keys[key].names[0], text);
}

/* What the form of an INI line cannot hold; NULL: nothing. */
static const char *
unwritable(const char *name, const char *value)
{
    if (strlen(name) + strlen(" = ") + strlen(value) > INI_LINE_MAX)
        return "would make a line longer than 199 octets";
    if (*value == ';' || *value == '\0')
        return *value == '\0' ? "is empty" : "would be a comment";
    for (const char *at = value; *at != '\0'; at++) {
        if (iscntrl((unsigned char)*at))
            return "has a control character";
        if (isspace((unsigned char)*at) && at[1] == ';')
            return "has a semicolon behind a space, which would begin a comment";
    }
    return NULL;
}

bool
paho_put(struct paho_writer *writer, const struct paho_file *file, const struct paho_line *line,
         enum config_section section, const char *name, const char *value)
{
    const struct config_key *key = config_key_find(section, name);
    struct config_value parsed;
    char reason[160] = "there is no such key on this kind of link";
    const char *why = unwritable(name, value);

    if (why != NULL) {
        paho_finding(writer, file, line, "not taken over: %s %s", name, why);
        return false;
    }
    if (key == NULL || !config_value_parse(key, name, value, &parsed, reason, sizeof(reason))) {
        paho_finding(writer, file, line, "not taken over: %s: %s", name, reason);
        return false;
    }
    fprintf(writer->ini, "%s = %s\n", name, value);
    return true;
}

bool
paho_put_key(struct paho_writer *writer, enum paho_key key, enum config_section section,
             const char *name)
{
    const char *text = paho_config_text(writer->config, key);

    return text != NULL && paho_put(writer, &writer->config->gateway, writer->config->settings[key],
                                    section, name, text);
}

bool
paho_put_number(struct paho_writer *writer, enum paho_key key, enum config_section section,
                const char *name, const char *unit)
{
    const char *text = paho_config_text(writer->config, key);
    char value[48];

    if (text == NULL)
        return false;
    size_t digits = strspn(text, "0123456789"); /* that gateway ignores what stands behind */
    if (digits == 0 || digits > 15) {
        paho_finding_key(writer, key, "not taken over: is no number");
        return false;
    }
    snprintf(value, sizeof(value), "%llu%s", strtoull(text, NULL, 10), unit);
    return paho_put(writer, &writer->config->gateway, writer->config->settings[key], section, name,
                    value);
}

static bool
is_at(const struct paho_topic *topic, enum paho_place place, const char *client_id)
{
    return topic->place == place &&
           (place != PAHO_PLACE_CLIENT || strcmp(topic->line->key, client_id) == 0);
}

bool
paho_has_topics(const struct paho_writer *writer, enum paho_place place, const char *client_id)
{
    for (size_t i = 0; i < writer->config->predefined_count; i++)
        if (is_at(&writer->config->predefined[i], place, client_id))
            return true;
    return false;
}

static void
write_topic(struct paho_writer *writer, const struct paho_topic *topic)
{
    const struct paho_file *file = &writer->config->topics;
    const struct paho_line *line = topic->line;
    const enum config_section sections[] = {
        [PAHO_PLACE_ALL] = SECTION_TOPICS,
        [PAHO_PLACE_LINK] = writer->link,
        [PAHO_PLACE_CLIENT] = SECTION_CLIENT,
    };
    char name[32], text[PAHO_LINE_MAX + 1];

    snprintf(name, sizeof(name), "%s%lu", topic->place == PAHO_PLACE_ALL ? "" : "topics.",
             topic->id);
    snprintf(text, sizeof(text), "%.*s", (int)strcspn(line->value, ","), line->value);
    if (topic->id == 0)
        paho_finding(writer, file, line, "not taken over: expected CLIENT,TOPIC,ID");
    else if (topic->place == PAHO_PLACE_CLIENT && strchr(text, '%') != NULL)
        paho_finding(writer, file, line,
                     "not taken over: %% means something in a topic of [client]");
    else
        paho_put(writer, file, line, sections[topic->place], name, text);
}

/* What gave the same id at the same place before; NULL: nothing. */
static const struct paho_topic *
given_before(const struct paho_config *config, const struct paho_topic *topic)
{
    for (const struct paho_topic *before = config->predefined; before < topic; before++)
        if (before->id == topic->id && topic->id != 0 &&
            is_at(before, topic->place, topic->line->key))
            return before;
    return NULL;
}

void
paho_write_topics(struct paho_writer *writer, enum paho_place place, const char *client_id)
{
    const struct paho_config *config = writer->config;

    for (size_t i = 0; i < config->predefined_count; i++) {
        const struct paho_topic *topic = &config->predefined[i];
        if (!is_at(topic, place, client_id))
            continue;
        const struct paho_topic *before = given_before(config, topic);
        if (before == NULL)
            write_topic(writer, topic);
        else if (strcmp(before->line->value, topic->line->value) != 0)
            paho_finding(writer, &config->topics, topic->line,
                         "not taken over: line %u has another name for topic id %lu",
                         before->line->number, topic->id);
    }
}
