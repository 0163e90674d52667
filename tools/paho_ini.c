/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the configuration of an Eclipse Paho MQTT-SN gateway as one of Dormouse. */
#include "paho_ini.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config_values.h"
#include "paho_writer.h"

#define PATTERN_MAX 42      /* octets; docs/configuration.md */
#define ADVERTISE_MAX 32400 /* seconds: the 9h of [gateway] advertise */

static void
write_gateway(struct paho_writer *writer)
{
    const char *period = paho_config_text(writer->config, PAHO_KEY_KEEP_ALIVE);

    fprintf(writer->ini, "\n[gateway]\n");
    paho_put_number(writer, PAHO_KEY_GATEWAY_ID, SECTION_GATEWAY, "id", "");
    paho_put_key(writer, PAHO_KEY_GATEWAY_NAME, SECTION_GATEWAY, "name");
    if (period != NULL && strtoul(period, NULL, 10) > ADVERTISE_MAX) {
        paho_finding_key(writer, PAHO_KEY_KEEP_ALIVE, "more than 9h is not possible");
        fprintf(writer->ini, "advertise = 9h\n");
    } else {
        paho_put_number(writer, PAHO_KEY_KEEP_ALIVE, SECTION_GATEWAY, "advertise", "s");
    }
}

/* That gateway speaks TLS for the clients whose line says so, and in old versions for all. */
static bool
is_secure(const struct paho_config *config)
{
    for (size_t i = 0; i < config->client_count; i++)
        if (config->clients[i].secure)
            return true;
    return paho_config_is_on(config, PAHO_KEY_SECURE_CONNECTION);
}

static void
write_url(struct paho_writer *writer, bool secure)
{
    const struct paho_config *config = writer->config;
    const char *host = paho_config_text(config, PAHO_KEY_BROKER_NAME);
    bool separate = secure && !paho_config_is_on(config, PAHO_KEY_SECURE_CONNECTION);
    const char *port =
        paho_config_text(config, separate ? PAHO_KEY_BROKER_SECURE_PORT : PAHO_KEY_BROKER_PORT);
    char url[PAHO_LINE_MAX * 2 + 32];

    if (host == NULL) {
        paho_finding_key(writer, PAHO_KEY_BROKER_NAME, "is not set; the broker is localhost then");
        host = "localhost";
    }
    if (port == NULL)
        port = secure ? "8883" : "1883";
    int digits = (int)strspn(port, "0123456789");
    bool v6 = strchr(host, ':') != NULL && *host != '[';
    snprintf(url, sizeof(url), "mqtt://%s%s%s:%.*s", v6 ? "[" : "", host, v6 ? "]" : "", digits,
             port);
    /* The check of the scheme is for the program that reads the file. */
    const char *why = strlen(url) < 190 ? config_check_url(url) : "is too long";
    if (why != NULL)
        paho_finding_key(writer, PAHO_KEY_BROKER_NAME, "not taken over: the URL of it %s", why);
    else
        fprintf(writer->ini, "url = mqtt%s%s\n", secure ? "s" : "", url + strlen("mqtt"));
}

/* A certificate or key, which counts only with TLS. */
static void
write_certificate(struct paho_writer *writer, enum paho_key key, const char *name, bool secure)
{
    if (paho_config_text(writer->config, key) == NULL)
        return;
    if (secure)
        paho_put_key(writer, key, SECTION_BROKER, name);
    else
        paho_finding_key(writer, key,
                         "not taken over: no client has secureConnection; with url = mqtts://... "
                         "it is %s",
                         name);
}

static void
write_login(struct paho_writer *writer)
{
    bool login = paho_put_key(writer, PAHO_KEY_LOGIN_ID, SECTION_BROKER, "username");

    if (paho_config_text(writer->config, PAHO_KEY_PASSWORD) == NULL)
        return;
    paho_finding_key(writer, PAHO_KEY_PASSWORD,
                     "not shown: write it into a file that only owner and group dormouse can read, "
                     "and name that file as password_file%s",
                     login ? "" : "; it needs a username, too");
    fprintf(writer->ini, "; password_file = /etc/dormouse/broker.pw\n");
}

static void
write_broker(struct paho_writer *writer)
{
    const struct paho_config *config = writer->config;
    bool secure = is_secure(config);

    fprintf(writer->ini, "\n[broker]\n");
    write_url(writer, secure);
    for (size_t i = 0; i < config->client_count && secure; i++)
        if (!config->clients[i].secure && !paho_config_is_on(config, PAHO_KEY_SECURE_CONNECTION)) {
            paho_finding(writer, config->clients[i].file, config->clients[i].line,
                         "has no secureConnection: now all go to the broker over TLS");
            break;
        }
    if (!secure && config->settings[PAHO_KEY_BROKER_SECURE_PORT] != NULL)
        paho_finding_key(writer, PAHO_KEY_BROKER_SECURE_PORT,
                         "not taken over: no client has secureConnection; for TLS write url = "
                         "mqtts://... with this port");
    if (secure && !paho_config_is_on(config, PAHO_KEY_SECURE_CONNECTION) &&
        config->settings[PAHO_KEY_BROKER_PORT] != NULL)
        paho_finding_key(writer, PAHO_KEY_BROKER_PORT,
                         "not taken over: the port for TLS is the one that counts");
    write_certificate(writer, PAHO_KEY_CA_FILE, "ca_file", secure);
    write_certificate(writer, PAHO_KEY_CERTIFICATE, "cert_file", secure);
    write_certificate(writer, PAHO_KEY_PRIVATE_KEY, "key_file", secure);
    write_login(writer);
}

static void
write_sessions(struct paho_writer *writer)
{
    const struct paho_config *config = writer->config;
    bool reject = paho_config_is_on(config, PAHO_KEY_AUTHENTICATION);

    fprintf(writer->ini, "\n[sessions]\n");
    if (!paho_config_is_on(config, PAHO_KEY_AGGREGATING)) /* each has its own connection */
        fprintf(writer->ini, "upstream = own\n");
    paho_put_number(writer, PAHO_KEY_MAX_CLIENTS, SECTION_SESSIONS, "max_clients", "");
    if (reject)
        fprintf(writer->ini, "unknown_clients = reject\n");
    else if (paho_config_is_on(config, PAHO_KEY_AGGREGATING) && config->client_count > 0)
        paho_finding_key(writer, PAHO_KEY_AGGREGATING,
                         "any device may connect, not only the clients of the list; for these "
                         "alone set ClientAuthentication=YES and import again");
    if (reject && paho_config_is_on(config, PAHO_KEY_FORWARDER))
        paho_finding_key(writer, PAHO_KEY_FORWARDER,
                         "devices behind a forwarder need a [client] section each, too");
}

/* Why a client id cannot be the name of a section; NULL: it can. */
static const char *
bad_pattern(const char *client_id)
{
    if (strlen(client_id) > PATTERN_MAX)
        return "client ids in sections have at most 42 octets";
    if (*client_id == '\0' || strpbrk(client_id, "*?]") != NULL)
        return "a section cannot name it: it is empty or has *, ? or ]";
    return config_check_pattern(client_id) != NULL ? "a section cannot name it" : NULL;
}

/* client: of the lists; NULL: it is only in the list of topics. */
static void
write_client(struct paho_writer *writer, const struct paho_file *file, const struct paho_line *line,
             const struct paho_client *client)
{
    const char *why = bad_pattern(line->key);
    char address[PAHO_LINE_MAX + 64];

    if (why != NULL) {
        paho_finding(writer, file, line, "not taken over: %s", why);
        return;
    }
    fprintf(writer->ini, "\n[client %s]\n", line->key);
    if (client != NULL && paho_config_is_on(writer->config, PAHO_KEY_AUTHENTICATION)) {
        if (paho_link_address(writer, client, address, sizeof(address)))
            paho_put(writer, file, line, SECTION_CLIENT, "address", address);
        else
            paho_finding(writer, file, line,
                         "its address cannot be taken over: the client id alone decides");
    }
    paho_write_topics(writer, PAHO_PLACE_CLIENT, line->key);
}

static void
write_listed_clients(struct paho_writer *writer)
{
    const struct paho_config *config = writer->config;
    bool reject = paho_config_is_on(config, PAHO_KEY_AUTHENTICATION);

    for (size_t i = 0; i < config->client_count; i++) {
        const struct paho_client *client = &config->clients[i];
        if (client->again)
            paho_finding(writer, client->file, client->line,
                         "not taken over: the client id was there before");
        else if (client->role == PAHO_ROLE_DEVICE &&
                 (reject || paho_has_topics(writer, PAHO_PLACE_CLIENT, client->line->key)))
            write_client(writer, client->file, client->line, client);
    }
}

static bool
is_listed(const struct paho_config *config, const char *client_id)
{
    for (size_t i = 0; i < config->client_count; i++)
        if (config->clients[i].role == PAHO_ROLE_DEVICE && !config->clients[i].again &&
            strcmp(config->clients[i].line->key, client_id) == 0)
            return true;
    return false;
}

static bool
came_before(const struct paho_config *config, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(config->predefined[i].line->key, config->predefined[index].line->key) == 0)
            return true;
    return false;
}

/* Those that only the list of topics knows. */
static void
write_other_clients(struct paho_writer *writer)
{
    const struct paho_config *config = writer->config;

    for (size_t i = 0; i < config->predefined_count; i++) {
        const struct paho_topic *topic = &config->predefined[i];
        if (topic->place != PAHO_PLACE_CLIENT || is_listed(config, topic->line->key))
            continue;
        if (paho_config_is_on(config, PAHO_KEY_AUTHENTICATION))
            paho_finding(writer, &config->topics, topic->line,
                         "not taken over: it is not in the list of clients");
        else if (!came_before(config, i))
            write_client(writer, &config->topics, topic->line, NULL);
    }
}

/* The words behind the address of a client that are not told elsewhere. */
static void
write_options(struct paho_writer *writer, const struct paho_client *client)
{
    static const char *const known[] = {"QoS-1", "forwarder", "secureConnection"};
    const char *at = client->line->value + strcspn(client->line->value, ",");

    while (*at == ',') {
        size_t len = strcspn(++at, ",");
        bool told = len == 0;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            told = told || (strlen(known[i]) == len && memcmp(known[i], at, len) == 0);
        if (!told && len == strlen("unstableLine") && memcmp(at, "unstableLine", len) == 0)
            paho_finding(writer, client->file, client->line,
                         "unstableLine is not needed: every device may go and come back");
        else if (!told)
            paho_finding(writer, client->file, client->line, "unknown word behind the address");
        at += len;
    }
}

static void
write_bad_lines(struct paho_writer *writer, const struct paho_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        if (file->lines[i].bad != NULL)
            paho_finding(writer, file, &file->lines[i], "%s", file->lines[i].bad);
}

/* A list that was named, and what became of it. */
static void
write_list(struct paho_writer *writer, enum paho_key key, const struct paho_file *file)
{
    const char *named = paho_config_text(writer->config, key);

    if (named == NULL)
        return;
    if (file->path == NULL) {
        paho_finding_key(writer, key, "not read: nothing in this file switches it on");
        return;
    }
    size_t len = strlen(file->path), named_len = strlen(named);
    if (len < named_len || strcmp(file->path + len - named_len, named) != 0)
        paho_finding_key(writer, key, "is not there: the one beside this file was read");
}

/* What one line of gateway.conf has that no section told of. */
static void
write_setting(struct paho_writer *writer, const struct paho_line *line)
{
    enum paho_key key = paho_key_find(line->key);
    const struct paho_file *file = &writer->config->gateway;

    if (key == PAHO_KEY_COUNT) {
        paho_finding(writer, file, line, "unknown key");
        return;
    }
    const struct paho_key_info *info = &paho_keys[key];
    if (writer->config->settings[key] != line)
        paho_finding(writer, file, line, "not taken over: line %u is the one that counts",
                     writer->config->settings[key]->number);
    else if (info->networks != 0 && (info->networks & writer->network) == 0)
        paho_finding(writer, file, line,
                     "not taken over: is for %s, and this is for %s (--network chooses)",
                     paho_network_name(info->networks), paho_network_name(writer->network));
    else if (info->advice != NULL)
        paho_finding(writer, file, line, "%s", info->advice);
}

static void
write_rest(struct paho_writer *writer)
{
    const struct paho_config *config = writer->config;

    writer->heading = "\n; What has no place above:\n";
    for (size_t i = 0; i < config->gateway.count; i++)
        if (config->gateway.lines[i].bad == NULL)
            write_setting(writer, &config->gateway.lines[i]);
    write_list(writer, PAHO_KEY_CLIENTS_LIST, &config->lists[PAHO_LIST_CLIENTS]);
    write_list(writer, PAHO_KEY_QOS_MINUS_ONE_LIST, &config->lists[PAHO_LIST_QOS_MINUS_ONE]);
    write_list(writer, PAHO_KEY_FORWARDERS_LIST, &config->lists[PAHO_LIST_FORWARDERS]);
    write_list(writer, PAHO_KEY_PREDEFINED_LIST, &config->topics);
    for (size_t i = 0; i < config->client_count; i++)
        write_options(writer, &config->clients[i]);
    write_bad_lines(writer, &config->gateway);
    for (int list = 0; list < PAHO_LIST_COUNT; list++)
        write_bad_lines(writer, &config->lists[list]);
    write_bad_lines(writer, &config->topics);
}

/* The first network that the file has something to open of; UDP if there is none. */
static enum paho_network
guess_network(const struct paho_config *config)
{
    if (config->settings[PAHO_KEY_UDP_PORT] != NULL)
        return PAHO_NETWORK_UDP;
    if (config->settings[PAHO_KEY_UDP6_PORT] != NULL)
        return PAHO_NETWORK_UDP6;
    if (config->settings[PAHO_KEY_XBEE_DEVICE] != NULL)
        return PAHO_NETWORK_XBEE;
    if (config->settings[PAHO_KEY_LORALINK_RX] != NULL)
        return PAHO_NETWORK_LORALINK;
    return PAHO_NETWORK_UDP;
}

unsigned
paho_ini_write(const struct paho_config *config, enum paho_network network, FILE *ini,
               FILE *findings)
{
    struct paho_writer writer = {.config = config, .ini = ini, .findings = findings};

    writer.network = network != PAHO_NETWORK_UNKNOWN ? network : guess_network(config);
    bool serial = (writer.network & (PAHO_NETWORK_XBEE | PAHO_NETWORK_LORALINK)) != 0;
    writer.link = serial ? SECTION_SERIAL : SECTION_UDP;
    writer.link_name = serial ? paho_network_name(writer.network) : "lan";
    fprintf(
        ini,
        "; Written by dormouse import paho. Lines that begin with the name of a file say what was\n"
        "; not taken over as it stands; docs/migration.md tells more.\n");
    write_gateway(&writer);
    write_broker(&writer);
    write_sessions(&writer);
    paho_write_link(&writer);
    if (paho_has_topics(&writer, PAHO_PLACE_ALL, NULL)) {
        fprintf(ini, "\n[topics]\n");
        paho_write_topics(&writer, PAHO_PLACE_ALL, NULL);
    }
    write_listed_clients(&writer);
    write_other_clients(&writer);
    write_rest(&writer);
    return writer.count;
}
