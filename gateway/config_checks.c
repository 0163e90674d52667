/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a configuration that need all of it: what is required, and what does not go together.
 */
#include "config_loader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <dormouse/framing.h>
#include <dormouse/log.h>

#include "config_fields.h"
#include "topic_map.h"
#include "upstream.h"

static void report_link(struct config_loader *loader, size_t index, const char *key,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Reports an error at the first header of a link. */
static void
report_link(struct config_loader *loader, size_t index, const char *key, const char *format, ...)
{
    const struct config_link *link = &loader->config->links[index];
    char where[128], reason[CONFIG_REASON_SIZE];
    va_list arguments;
    snprintf(where, sizeof(where), "[%s %s] %s", config_sections[config_link_section(link)].word,
             link->name, key);
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    config_loader_report(loader, false, &loader->link_places[index], where, reason);
}

/* Two openings of one port fail at start; say it before. */
static void
check_device(struct config_loader *loader, size_t index)
{
    const struct config_link *links = loader->config->links, *link = &links[index];
    if (link->kind == CONFIG_SERIAL && link->device == NULL)
        report_link(loader, index, "device", "required");
    for (size_t i = 0; i < index; i++)
        if (link->device != NULL && links[i].device != NULL &&
            strcmp(link->device, links[i].device) == 0)
            report_link(loader, index, "device", "used by [serial %s], too", links[i].name);
}

/* What framing and radio need of the other keys. */
static void
check_radio(struct config_loader *loader, size_t index)
{
    const struct config_link *link = &loader->config->links[index];
    const struct framing_traits *traits = link->kind == CONFIG_SERIAL && link->framing != NULL
                                              ? framing_traits_of(link->framing)
                                              : NULL;
    if (traits == NULL)
        return;
    if (traits->two_ports && link->tx_device == NULL)
        report_link(loader, index, "tx_device", "required with framing %s", traits->name);
    if (link->tx_device != NULL && link->device != NULL &&
        strcmp(link->tx_device, link->device) == 0)
        report_link(loader, index, "tx_device", "is the device itself");
    if (link->duty_cycle < 100 && link->air_rate == 0)
        report_link(loader, index, "duty_cycle", "needs air_rate");
    if (link->rx_trailer > 0 && strcmp(traits->name, "raw") != 0)
        report_link(loader, index, "rx_trailer", "is for framing raw only");
    if (!traits->encapsulates && link->encapsulation != NULL &&
        strcmp(link->encapsulation, "always") == 0)
        report_link(loader, index, "encapsulation",
                    "framing %s has addresses of its own: nothing is encapsulated", traits->name);
}

/* Two sockets of one address fail at start, too. */
static void
check_listen(struct config_loader *loader, size_t index)
{
    const struct config_link *links = loader->config->links, *link = &links[index];
    for (size_t n = 0; n < link->listen.count; n++)
        for (size_t i = 0; i <= index; i++)
            for (size_t m = 0; m < (i < index ? links[i].listen.count : n); m++)
                if (strcmp(link->listen.items[n], links[i].listen.items[m]) == 0)
                    report_link(loader, index, "listen", "%s is used by [udp %s], too",
                                link->listen.items[n], links[i].name);
}

static bool
same_interface(const struct config_link *a, const struct config_link *b)
{
    if (a->interface == NULL || b->interface == NULL)
        return a->interface == b->interface;
    return strcmp(a->interface, b->interface) == 0;
}

/* Two links in one group both hear every message of it, and would answer twice. */
static void
check_multicast(struct config_loader *loader, size_t index)
{
    const struct config_link *links = loader->config->links, *link = &links[index];
    for (size_t n = 0; n < link->multicast.count; n++)
        for (size_t i = 0; i <= index; i++)
            for (size_t m = 0; m < (i < index ? links[i].multicast.count : n); m++)
                if (same_interface(link, &links[i]) &&
                    strcmp(link->multicast.items[n], links[i].multicast.items[m]) == 0)
                    report_link(loader, index, "multicast", "%s is used by [udp %s], too",
                                link->multicast.items[n], links[i].name);
}

static void
check_links(struct config_loader *loader, const char *path)
{
    struct config *config = loader->config;
    const struct config_place whole = {.file = path};
    if (config->link_count == 0)
        config_loader_report(loader, false, &whole, NULL,
                             "no [udp NAME] and no [serial NAME] section");
    for (size_t i = 0; i < config->link_count; i++) {
        struct config_link *link = &config->links[i];
        config_loader_note(loader, config_fields_complete(config_link_section(link), link));
        check_device(loader, i);
        check_radio(loader, i);
        check_listen(loader, i);
        check_multicast(loader, i);
    }
}

static void
check_password(struct config_loader *loader)
{
    const struct config_place *password = &loader->password, *file = &loader->password_file;
    if (password->file != NULL && file->file != NULL)
        config_loader_report(loader, false, file, "[broker] password_file", "password is set, too");
    const struct config_place *place = password->file != NULL ? password : file;
    if (place->file != NULL && loader->config->username == NULL)
        config_loader_report(loader, false, place,
                             place == password ? "[broker] password" : "[broker] password_file",
                             "needs a username");
}

static bool
is_tls(const char *url)
{
    return strncmp(url, "mqtts://", 8) == 0;
}

static void
check_urls(struct config_loader *loader)
{
    const struct config_strings *urls = &loader->config->urls;
    if (urls->count > UPSTREAM_URLS_MAX)
        config_loader_report(loader, false, &loader->url, "[broker] url",
                             "given more than 8 times");
    for (size_t i = 0; i < urls->count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(urls->items[i], urls->items[k]) == 0)
                config_loader_report(loader, false, &loader->url, "[broker] url",
                                     "the same one is given twice");
}

/* The files as they are now; each connection reads them again. */
static void
check_tls(struct config_loader *loader)
{
    static const char *const keys[] = {"[broker] ca_file", "[broker] cert_file",
                                       "[broker] key_file"};
    const struct config *config = loader->config;
    const char *const paths[] = {config->ca_file, config->cert_file, config->key_file};
    const struct tls_files files = {config->ca_file, config->cert_file, config->key_file};
    struct tls_problem problem;
    char when[TLS_TIME_SIZE], reason[CONFIG_REASON_SIZE];
    int64_t ends;
    bool used = false;

    for (size_t i = 0; i < config->urls.count; i++)
        used |= is_tls(config->urls.items[i]);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (paths[i] != NULL && !used)
            config_loader_report(loader, true, &loader->tls_files[i], keys[i],
                                 "protects nothing: no url is mqtts://");
    if (config->key_file != NULL && config->cert_file == NULL)
        config_loader_report(loader, false, &loader->tls_files[TLS_KEY_FILE], keys[TLS_KEY_FILE],
                             "needs cert_file");
    if (config->ca_file == NULL && config->cert_file == NULL)
        return; /* nothing to look at, and OpenSSL is not even started */
    if (!tls_files_check(&files, &ends, &problem)) {
        const struct config_place *place = &loader->tls_files[problem.file];
        if (place->file == NULL) /* it is about no file */
            place = &loader->tls_files[TLS_CERT_FILE];
        config_loader_report(loader, false, place, keys[problem.file], problem.text);
    } else if (ends != 0 && ends - (int64_t)time(NULL) < TLS_WARN_S) {
        snprintf(reason, sizeof(reason), "the certificate ends %s", tls_time_text(ends, when));
        config_loader_report(loader, true, &loader->tls_files[TLS_CERT_FILE], keys[TLS_CERT_FILE],
                             reason);
    }
}

/* Whoever reaches the page from elsewhere is not to change anything without a token. */
static void
check_http(struct config_loader *loader)
{
    const char *http = loader->config->http;
    if (http == NULL || *http == '\0' || strncmp(http, "127.", 4) == 0 ||
        strncmp(http, "[::1]:", 6) == 0)
        return;
    /* A token file that is not acceptable was reported already. */
    if (loader->token_file.file == NULL)
        config_loader_report(loader, false, &loader->http, "[control] http",
                             "needs token_file: it is no loopback address");
}

/* Reports an error of a key of a [client] section. */
static void
report_client(struct config_loader *loader, const struct config_client *client, const char *key,
              const struct config_place *place, const char *reason)
{
    char where[192], pattern[128];
    snprintf(where, sizeof(where), "[client %s] %s",
             log_escape(pattern, sizeof(pattern), dm_span_text(client->pattern)), key);
    config_loader_report(loader, false, place, where, reason);
}

/* The link that the text begins with the name of: `len` octets of it. */
static const struct config_link *
find_link(const struct config *config, const char *name, size_t len)
{
    for (size_t i = 0; i < config->link_count; i++)
        if (strlen(config->links[i].name) == len && memcmp(config->links[i].name, name, len) == 0)
            return &config->links[i];
    return NULL;
}

static bool
lists_link(const struct config_client *client, const struct config_link *link)
{
    for (size_t i = 0; i < client->links.count; i++)
        if (strcmp(client->links.items[i], link->name) == 0)
            return true;
    return client->links.count == 0;
}

static void
check_client_links(struct config_loader *loader, const struct config_client *client,
                   const struct client_places *places)
{
    char reason[CONFIG_REASON_SIZE];
    for (size_t i = 0; i < client->links.count; i++) {
        const char *name = client->links.items[i];
        if (find_link(loader->config, name, strlen(name)) != NULL)
            continue;
        snprintf(reason, sizeof(reason), "\"%s\" is the name of no [udp] or [serial] section",
                 name);
        report_client(loader, client, "links", &places->links, reason);
    }
    if (client->address == NULL)
        return;
    bool udp = client->address[0] == 'u';
    const char *name = strchr(client->address, ':') + 1; /* its form was checked */
    const struct config_link *link = find_link(loader->config, name, strcspn(name, ":"));
    if (link == NULL || (link->kind == CONFIG_UDP) != udp)
        report_client(loader, client, "address", &places->address,
                      "there is no such [udp] or [serial] section");
    else if (!lists_link(client, link))
        report_client(loader, client, "address", &places->address, "is on none of its links");
}

/* Two rules must not rewrite one name, nor make one name of two. */
static void
check_rules(struct config_loader *loader)
{
    const struct config_strings *rules = &loader->config->rules;
    struct topic_rule parsed[CONFIG_LIST_MAX];
    char reason[CONFIG_REASON_SIZE], shown[128];
    for (size_t i = 0; i < rules->count; i++) {
        if (topic_rule_parse(rules->items[i], &parsed[i]) != NULL) /* it was checked: no memory */
            config_loader_note(loader, DM_NO_MEMORY);
        for (size_t n = 0; parsed[i].left != NULL && n < i; n++) {
            if (parsed[n].left == NULL || !topic_rules_overlap(&parsed[n], &parsed[i]))
                continue;
            snprintf(reason, sizeof(reason), "a topic can fall under \"%s\", too",
                     log_escape(shown, sizeof(shown), dm_span_text(rules->items[n])));
            config_loader_report(loader, false, &loader->rule_places[i], "[map] rule", reason);
        }
    }
    for (size_t i = 0; i < rules->count; i++)
        topic_rule_fini(&parsed[i]);
}

static bool
strings_use_client_id(const struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        if (strstr(strings->items[i], "%c") != NULL)
            return true;
    return false;
}

static bool
uses_client_id(const struct config_client *client)
{
    for (size_t i = 0; i < client->topics.count; i++)
        if (strstr(client->topics.items[i].name, "%c") != NULL)
            return true;
    if (client->topic_prefix != NULL && strstr(client->topic_prefix, "%c") != NULL)
        return true;
    return strings_use_client_id(&client->publish) || strings_use_client_id(&client->subscribe);
}

static bool
is_own(const struct config_settings *settings)
{
    return settings->upstream != NULL && strcmp(settings->upstream, "own") == 0;
}

/* What only an own connection has. */
static void
check_client_upstream(struct config_loader *loader, const struct config_client *client,
                      const struct client_places *places)
{
    const struct {
        const char *key;
        const struct config_place *place;
        bool given;
    } keys[] = {{"hold", &places->hold,
                 places->hold.file != NULL && strcmp(client->settings.hold, "broker") != 0},
                {"will", &places->will,
                 places->will.file != NULL && strcmp(client->settings.will, "gateway") != 0},
                {"username", &places->username, client->username != NULL},
                {"password", &places->password, places->password.file != NULL},
                {"password_file", &places->password_file, places->password_file.file != NULL}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (keys[i].given && !is_own(&client->settings))
            report_client(loader, client, keys[i].key, keys[i].place, "needs upstream = own");
    if (places->password.file != NULL && places->password_file.file != NULL)
        report_client(loader, client, "password_file", &places->password_file,
                      "password is set, too");
    if (client->password != NULL && client->username == NULL)
        report_client(loader, client,
                      places->password.file != NULL ? "password" : "password_file",
                      places->password.file != NULL ? &places->password : &places->password_file,
                      "needs a username");
}

static void
check_own(struct config_loader *loader)
{
    const struct config *config = loader->config;
    bool used = is_own(&config->settings);
    for (size_t i = 0; i < config->client_count; i++)
        used = used || is_own(&config->clients[i].settings);
    if (loader->hold.file != NULL && !used && strcmp(config->settings.hold, "broker") != 0)
        config_loader_report(loader, true, &loader->hold, "[sessions] hold",
                             "nobody has upstream = own");
    if (loader->will.file != NULL && !used && strcmp(config->settings.will, "gateway") != 0)
        config_loader_report(loader, true, &loader->will, "[sessions] will",
                             "nobody has upstream = own");
}

static void
check_clients(struct config_loader *loader)
{
    struct config *config = loader->config;
    for (size_t i = 0; i < config->client_count; i++) {
        struct config_client *client = &config->clients[i];
        config_loader_note(loader, config_fields_inherit(client, config));
        client->uses_client_id = uses_client_id(client);
        check_client_links(loader, client, &loader->client_places[i]);
        check_client_upstream(loader, client, &loader->client_places[i]);
    }
}

static void
check_home_assistant(struct config_loader *loader, const char *path)
{
    const struct config *config = loader->config;
    const struct config_place whole = {.file = path};
    bool none = config->status_topics != NULL && *config->status_topics == '\0';

    if (none && config->home_assistant != NULL && *config->home_assistant != '\0')
        config_loader_report(loader, false, &whole, "[control] home_assistant",
                             "needs status_topics, which are switched off");
}

void
config_loader_check(struct config_loader *loader, const char *path)
{
    const struct config *config = loader->config;
    check_links(loader, path);
    check_clients(loader);
    check_own(loader);
    check_rules(loader);
    config_loader_note(loader, config_fields_complete(SECTION_BROKER, loader->config));
    check_urls(loader);
    check_tls(loader);
    check_password(loader);
    check_http(loader);
    check_home_assistant(loader, path);
    if (config->standby_for == config->gateway_id) /* gateways of one network differ (R12) */
        config_loader_report(loader, false, &loader->standby_for, "[gateway] standby_for",
                             "is the id of this gateway itself");
}
