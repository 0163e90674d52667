/* SPDX-License-Identifier: Apache-2.0 */
/* The [udp NAME] or [serial NAME] section of what a Paho gateway was built for. */
#include "paho_writer.h"

#include <stdlib.h>
#include <string.h>

#include "config_values.h"

#define FORWARDERS_MAX 180 /* octets of a list of addresses; the line has 199 */

struct udp_keys {
    enum paho_key port, group, group_port, interface, hops; /* PAHO_KEY_COUNT: has none */
    const char *any, *loopback;
};

static const struct udp_keys udp_keys = {
    .port = PAHO_KEY_UDP_PORT,
    .group = PAHO_KEY_UDP_GROUP,
    .group_port = PAHO_KEY_UDP_GROUP_PORT,
    .interface = PAHO_KEY_COUNT,
    .hops = PAHO_KEY_UDP_TTL,
    .any = "0.0.0.0",
    .loopback = "127.0.0.1",
};

static const struct udp_keys udp6_keys = {
    .port = PAHO_KEY_UDP6_PORT,
    .group = PAHO_KEY_UDP6_GROUP,
    .group_port = PAHO_KEY_UDP6_GROUP_PORT,
    .interface = PAHO_KEY_UDP6_INTERFACE,
    .hops = PAHO_KEY_UDP6_HOPS,
    .any = "::",
    .loopback = "::1",
};

/* Writes "name = ADDRESS:PORT", with the port of a setting. */
static void
put_endpoint(struct paho_writer *writer, const struct udp_keys *keys, enum paho_key key,
             const char *name, const char *address, const char *port)
{
    char text[PAHO_LINE_MAX + 64];
    int digits = (int)strspn(port, "0123456789");

    if (keys == &udp_keys)
        snprintf(text, sizeof(text), "%s:%.*s", address, digits, port);
    else
        snprintf(text, sizeof(text), "[%s]:%.*s", address, digits, port);
    paho_put(writer, &writer->config->gateway, writer->config->settings[key], SECTION_UDP, name,
             text);
}

/* What counts for a group only. */
static void
put_group_option(struct paho_writer *writer, const struct udp_keys *keys, enum paho_key key,
                 const char *name)
{
    if (paho_config_text(writer->config, keys->group) != NULL)
        paho_put_key(writer, key, SECTION_UDP, name);
    else if (writer->config->settings[key] != NULL)
        paho_finding_key(writer, key, "not taken over: there is no %s",
                         paho_keys[keys->group].names[0]);
}

/* Old files of UDP6 have one port for both. */
static void
put_group(struct paho_writer *writer, const struct udp_keys *keys)
{
    const char *group = paho_config_text(writer->config, keys->group);
    const char *port = paho_config_text(writer->config, keys->group_port);

    if (port == NULL && keys == &udp6_keys)
        port = paho_config_text(writer->config, keys->port);
    if (group != NULL && port != NULL)
        put_endpoint(writer, keys, keys->group, "multicast", group, port);
    else if (group != NULL)
        paho_finding_key(writer, keys->group, "not taken over: there is no %s",
                         paho_keys[keys->group_port].names[0]);
    else if (port != NULL && writer->config->settings[keys->group_port] != NULL)
        paho_finding_key(writer, keys->group_port, "not taken over: there is no %s",
                         paho_keys[keys->group].names[0]);
    if (keys->interface != PAHO_KEY_COUNT)
        put_group_option(writer, keys, keys->interface, "interface");
    put_group_option(writer, keys, keys->hops, "multicast_ttl");
}

/* "ADDRESS:PORT" or "[ADDRESS]:PORT" without its port. False: it is none. */
static bool
cut_port(const char *endpoint, char *address, size_t size)
{
    bool bracketed = *endpoint == '[';
    const char *colon = strrchr(endpoint, ':');

    if (config_check_endpoint(endpoint) != NULL || colon == NULL)
        return false;
    size_t len = (size_t)(colon - endpoint) - (bracketed ? 2 : 0);
    return (size_t)snprintf(address, size, "%.*s", (int)len, endpoint + bracketed) < size;
}

static bool
has_item(const char *words, const char *item)
{
    size_t len = strlen(item);

    for (const char *at = words; (at = strstr(at, item)) != NULL; at += len)
        if ((at == words || at[-1] == ' ') && (at[len] == '\0' || at[len] == ' '))
            return true;
    return false;
}

static void
put_forwarders(struct paho_writer *writer)
{
    char words[FORWARDERS_MAX + 1] = "", address[64];
    size_t len = 0;
    const struct paho_client *first = NULL;

    for (size_t i = 0; i < writer->config->client_count; i++) {
        const struct paho_client *client = &writer->config->clients[i];
        if (client->role != PAHO_ROLE_FORWARDER)
            continue;
        if (!cut_port(client->address, address, sizeof(address))) {
            paho_finding(writer, client->file, client->line,
                         "not taken over: is no numeric ADDRESS:PORT");
        } else if (!has_item(words, address)) {
            if (len + strlen(address) + 1 > FORWARDERS_MAX) {
                paho_finding(writer, client->file, client->line,
                             "not taken over: the line is full; forwarders = * is any address");
                continue;
            }
            len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s", len > 0 ? " " : "",
                                    address);
            first = first != NULL ? first : client;
        }
    }
    if (first != NULL &&
        paho_put(writer, first->file, first->line, SECTION_UDP, "forwarders", words))
        paho_finding_key(writer, PAHO_KEY_FORWARDER,
                         "forwarders are known by address alone: their ports and names are not");
}

static void
write_qos_minus_one(struct paho_writer *writer)
{
    const struct paho_config *config = writer->config;

    if (!paho_config_is_on(config, PAHO_KEY_QOS_MINUS_ONE))
        return;
    if (paho_put(writer, &config->gateway, config->settings[PAHO_KEY_QOS_MINUS_ONE], writer->link,
                 "qos_minus_one", "names"))
        paho_finding_key(writer, PAHO_KEY_QOS_MINUS_ONE,
                         "anyone on this link may send, not only the clients of the list; "
                         "their pre-defined topics are those of the link");
    paho_write_topics(writer, PAHO_PLACE_LINK, NULL);
}

static void
write_udp(struct paho_writer *writer)
{
    const struct paho_config *config = writer->config;
    bool v6 = (writer->network & (PAHO_NETWORK_UDP6 | PAHO_NETWORK_DTLS6)) != 0;
    bool dtls = (writer->network & (PAHO_NETWORK_DTLS | PAHO_NETWORK_DTLS6)) != 0;
    const struct udp_keys *keys = v6 ? &udp6_keys : &udp_keys;
    const char *port = paho_config_text(config, keys->port);

    fprintf(writer->ini, "\n[udp %s]\n", writer->link_name);
    if (port == NULL) {
        paho_finding_key(writer, keys->port, "is not set; the link listens at port 1883");
        port = "1883";
    }
    if (dtls)
        paho_finding_key(writer, keys->port,
                         "DTLS is not built in yet: the link listens on loopback only, so that "
                         "nothing is open that was protected");
    put_endpoint(writer, keys, keys->port, "listen", dtls ? keys->loopback : keys->any, port);
    put_group(writer, keys);
    if (paho_config_is_on(config, PAHO_KEY_FORWARDER))
        put_forwarders(writer);
}

static void
put_device(struct paho_writer *writer, enum paho_key key, const char *name)
{
    if (paho_config_text(writer->config, key) == NULL)
        paho_finding_key(writer, key, "is not set; write the %s of the radio here", name);
    else
        paho_put_key(writer, key, SECTION_SERIAL, name);
}

static void
write_xbee(struct paho_writer *writer)
{
    const struct paho_config *config = writer->config;
    const char *mode = paho_config_text(config, PAHO_KEY_XBEE_API_MODE);
    bool plain = mode != NULL && strtoul(mode, NULL, 10) == 1;

    fprintf(writer->ini, "\n[serial %s]\n", writer->link_name);
    put_device(writer, PAHO_KEY_XBEE_DEVICE, "device");
    fprintf(writer->ini, "framing = %s\n", plain ? "xbee" : "xbee-escaped");
    if (!paho_put_number(writer, PAHO_KEY_XBEE_BAUD, SECTION_SERIAL, "baud", ""))
        fprintf(writer->ini, "baud = 9600\n"); /* what that gateway takes then */
    fprintf(writer->ini, "flow = rtscts\nadvertise = yes\n");
}

static void
write_loralink(struct paho_writer *writer)
{
    fprintf(writer->ini, "\n[serial %s]\n", writer->link_name);
    put_device(writer, PAHO_KEY_LORALINK_RX, "device");
    put_device(writer, PAHO_KEY_LORALINK_TX, "tx_device");
    fprintf(writer->ini, "framing = loralink\n");
    paho_put_number(writer, PAHO_KEY_LORALINK_BAUD, SECTION_SERIAL, "baud", "");
    fprintf(writer->ini, "advertise = yes\n");
}

void
paho_write_link(struct paho_writer *writer)
{
    if (writer->network == PAHO_NETWORK_XBEE)
        write_xbee(writer);
    else if (writer->network == PAHO_NETWORK_LORALINK)
        write_loralink(writer);
    else
        write_udp(writer);
    if (writer->link == SECTION_SERIAL && paho_config_is_on(writer->config, PAHO_KEY_FORWARDER))
        paho_finding_key(writer, PAHO_KEY_FORWARDER,
                         "not taken over: the radio has addresses of its own");
    write_qos_minus_one(writer);
}

bool
paho_link_address(const struct paho_writer *writer, const struct paho_client *client, char *address,
                  size_t size)
{
    const char *text = client->address;
    size_t len = strlen(text);
    int written = -1;

    if (writer->link == SECTION_UDP && config_check_endpoint(text) == NULL)
        written = snprintf(address, size, "udp:%s:%s", writer->link_name, text);
    else if (writer->network == PAHO_NETWORK_XBEE && len == 16 &&
             strspn(text, "0123456789abcdef") == len)
        written = snprintf(address, size, "serial:%s:%s", writer->link_name, text);
    else if (writer->network == PAHO_NETWORK_LORALINK && len > 0 && len <= 3 &&
             strspn(text, "0123456789") == len && strtoul(text, NULL, 10) <= 255)
        written =
            snprintf(address, size, "serial:%s:%02lx", writer->link_name, strtoul(text, NULL, 10));
    return written > 0 && (size_t)written < size;
}
