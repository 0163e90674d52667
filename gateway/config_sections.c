/* SPDX-License-Identifier: Apache-2.0 */
/* Section headers of the configuration: which section it is, and the link or client it is about. */
#include "config_loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dormouse/log.h>

#include "config_fields.h"
#include "config_values.h"

enum config_section
config_link_section(const struct config_link *link)
{
    return link->kind == CONFIG_UDP ? SECTION_UDP : SECTION_SERIAL;
}

void *
config_loader_object(struct config_loader *loader)
{
    switch (loader->section) {
    case SECTION_UDP:
    case SECTION_SERIAL:
        return &loader->config->links[loader->index];
    case SECTION_CLIENT:
        return &loader->config->clients[loader->index];
    default:
        return loader->config;
    }
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
    return config_fields_default(config_link_section(&links[count]), &links[count]);
}

/* Enters the section of a link, made if it is new. False after reporting. */
static bool
enter_link(struct config_loader *loader, const struct config_place *place, const char *name)
{
    struct config *config = loader->config;
    enum config_link_kind kind = loader->section == SECTION_UDP ? CONFIG_UDP : CONFIG_SERIAL;
    for (size_t i = 0; i < config->link_count; i++) {
        if (strcmp(config->links[i].name, name) != 0)
            continue;
        loader->index = i;
        if (config->links[i].kind == kind)
            return true;
        config_loader_report(loader, false, place, NULL,
                             "a [udp] and a [serial] section have the same name");
        return false;
    }
    if (config->link_count == CONFIG_LINKS_MAX) {
        config_loader_report(loader, false, place, NULL,
                             "more than 255 [udp] and [serial] sections");
        return false;
    }
    loader->index = config->link_count;
    loader->link_places[loader->index] = *place;
    enum dm_result result = add_link(config, kind, name);
    config_loader_note(loader, result);
    return result == DM_OK;
}

/* Makes room for one more client and its places, seldom: there may be thousands. */
static enum dm_result
grow_clients(struct config_loader *loader, size_t count)
{
    size_t room = count == 0 ? 1 : 2 * count;
    if ((count & (count - 1)) != 0)
        return DM_OK;
    struct config_client *clients = realloc(loader->config->clients, room * sizeof(*clients));
    if (clients == NULL)
        return DM_NO_MEMORY;
    loader->config->clients = clients;
    struct client_places *places = realloc(loader->client_places, room * sizeof(*places));
    if (places == NULL)
        return DM_NO_MEMORY;
    loader->client_places = places;
    return DM_OK;
}

static enum dm_result
add_client(struct config_loader *loader, const char *pattern)
{
    struct config *config = loader->config;
    size_t count = config->client_count;
    if (grow_clients(loader, count) != DM_OK)
        return DM_NO_MEMORY;
    struct config_client *clients = config->clients;
    loader->client_places[count] = (struct client_places){0};
    clients[count] = (struct config_client){.pattern = strdup(pattern)};
    config->client_count++;
    if (clients[count].pattern == NULL)
        return DM_NO_MEMORY;
    return config_fields_default(SECTION_CLIENT, &clients[count]);
}

/* As enter_link. The order of the first headers is the order in which patterns are tried. */
static bool
enter_client(struct config_loader *loader, const struct config_place *place, const char *pattern)
{
    struct config *config = loader->config;
    for (size_t i = 0; i < config->client_count; i++) {
        if (strcmp(config->clients[i].pattern, pattern) == 0) {
            loader->index = i;
            return true;
        }
    }
    if (config->client_count == CONFIG_CLIENTS_MAX) {
        config_loader_report(loader, false, place, NULL, "more than 10000 [client] sections");
        return false;
    }
    loader->index = config->client_count;
    enum dm_result result = add_client(loader, pattern);
    config_loader_note(loader, result);
    return result == DM_OK;
}

static bool
enter_named(struct config_loader *loader, const struct config_place *place, const char *name)
{
    return loader->section == SECTION_CLIENT ? enter_client(loader, place, name)
                                             : enter_link(loader, place, name);
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
    return section == SECTION_CLIENT ? config_check_pattern(name) : config_check_name(name);
}

void
config_loader_enter(struct config_loader *loader, const struct config_place *place,
                    const char *header)
{
    char reason[CONFIG_REASON_SIZE], shown[128];
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
        config_loader_report(loader, false, place, NULL, reason);
        return;
    }
    const struct config_section_info *info = &config_sections[loader->section];
    const char *why = info->named ? check_section_name(loader->section, name) : NULL;
    if (why != NULL) {
        snprintf(reason, sizeof(reason), "[%s]: needs a name, as in [%s]%s%s", shown, info->example,
                 *name != '\0' ? "; this one " : "", *name != '\0' ? why : "");
        config_loader_report(loader, false, place, NULL, reason);
        return;
    }
    if (!info->named || enter_named(loader, place, name))
        snprintf(loader->section_text, sizeof(loader->section_text), "%s%s%s", info->word,
                 info->named ? " " : "", name);
}
