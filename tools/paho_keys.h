/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of gateway.conf of the Eclipse Paho MQTT-SN gateway, of all its versions. */
#ifndef DORMOUSE_TOOLS_PAHO_KEYS_H
#define DORMOUSE_TOOLS_PAHO_KEYS_H

#include <stddef.h>

/* What that gateway was built for: its file has keys of all networks at once. */
enum paho_network {
    PAHO_NETWORK_UNKNOWN = 0,
    PAHO_NETWORK_UDP = 1,
    PAHO_NETWORK_UDP6 = 2,
    PAHO_NETWORK_DTLS = 4,
    PAHO_NETWORK_DTLS6 = 8,
    PAHO_NETWORK_XBEE = 16,
    PAHO_NETWORK_LORALINK = 32,
};

enum paho_key {
    PAHO_KEY_GATEWAY_ID,
    PAHO_KEY_GATEWAY_NAME,
    PAHO_KEY_KEEP_ALIVE,
    PAHO_KEY_BROKER_NAME,
    PAHO_KEY_BROKER_PORT,
    PAHO_KEY_BROKER_SECURE_PORT,
    PAHO_KEY_SECURE_CONNECTION,
    PAHO_KEY_LOGIN_ID,
    PAHO_KEY_PASSWORD,
    PAHO_KEY_CA_FILE,
    PAHO_KEY_CERTIFICATE,
    PAHO_KEY_PRIVATE_KEY,
    PAHO_KEY_MAX_CLIENTS,
    PAHO_KEY_AGGREGATING,
    PAHO_KEY_AUTHENTICATION,
    PAHO_KEY_QOS_MINUS_ONE,
    PAHO_KEY_FORWARDER,
    PAHO_KEY_PREDEFINED,
    PAHO_KEY_CLIENTS_LIST,
    PAHO_KEY_QOS_MINUS_ONE_LIST,
    PAHO_KEY_FORWARDERS_LIST,
    PAHO_KEY_PREDEFINED_LIST,
    PAHO_KEY_UDP_PORT,
    PAHO_KEY_UDP_GROUP,
    PAHO_KEY_UDP_GROUP_PORT,
    PAHO_KEY_UDP_TTL,
    PAHO_KEY_UDP6_PORT,
    PAHO_KEY_UDP6_GROUP,
    PAHO_KEY_UDP6_GROUP_PORT,
    PAHO_KEY_UDP6_INTERFACE,
    PAHO_KEY_UDP6_HOPS,
    PAHO_KEY_XBEE_BAUD,
    PAHO_KEY_XBEE_DEVICE,
    PAHO_KEY_XBEE_API_MODE,
    PAHO_KEY_LORALINK_BAUD,
    PAHO_KEY_LORALINK_RX,
    PAHO_KEY_LORALINK_TX,
    /* from here on those with advice only */
    PAHO_KEY_CA_PATH,
    PAHO_KEY_MQTT_VERSION,
    PAHO_KEY_MAX_INFLIGHT,
    PAHO_KEY_UDP6_BIND,
    PAHO_KEY_DTLS_CERTIFICATE,
    PAHO_KEY_DTLS_PRIVATE_KEY,
    PAHO_KEY_RFCOMM_ADDRESS,
    PAHO_KEY_SHARED_MEMORY,
    PAHO_KEY_COUNT, /* also: no such key */
};

struct paho_key_info {
    const char *names[3]; /* today's first; unused ones are NULL */
    unsigned networks;    /* the only ones that have it; 0: all */
    const char *advice;   /* what to do instead; NULL: Dormouse has it */
};

extern const struct paho_key_info paho_keys[PAHO_KEY_COUNT];

/* PAHO_KEY_COUNT: no version of that gateway has such a key. */
enum paho_key paho_key_find(const char *name);

/* "udp", "udp6", "dtls", "dtls6", "xbee", "loralink"; PAHO_NETWORK_UNKNOWN: none of them. */
enum paho_network paho_network_find(const char *name);
/* The first network of a set. */
const char *paho_network_name(unsigned networks);

#endif
