/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upstream contract: one MQTT connection to the broker, kept alive and re-opened with jittered
 * back-off. It never acknowledges by itself: packet ids, windows and acknowledgements are the
 * engine's (design.md section 3). Keep-alive, CONNECT and DISCONNECT are the connection's.
 */
#ifndef DORMOUSE_UPSTREAM_H
#define DORMOUSE_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt.h"

struct event_base;

/* What the broker granted; valid while connected. */
struct upstream_session {
    enum mqtt_version version;
    bool session_present;
    uint16_t send_maximum;        /* QoS 1/2 PUBLISHes we may have open: its receive maximum */
    uint8_t maximum_qos;
    bool retain_available;
    bool subscription_ids_available;
};

/* None is called from inside upstream_ops.send or free, and none may free the upstream. */
struct upstream_events {
    void *ctx;
    /* Asked before every attempt: true = the broker's session of this client id is wiped first, by a
     * short connection with Clean Start 1. */
    bool (*clean_start)(void *ctx);
    void (*on_connected)(void *ctx, const struct upstream_session *session);
    /* Once per on_connected. Everything sent but not answered must be assumed lost. */
    void (*on_disconnected)(void *ctx);
    /* Any packet but CONNACK, PINGRESP and DISCONNECT; borrowed during the call. */
    void (*on_packet)(void *ctx, const struct mqtt_packet *packet);
};

enum upstream_state { UPSTREAM_CONNECTING, UPSTREAM_CONNECTED, UPSTREAM_WAITING };

struct upstream_status {
    enum upstream_state state;
    enum mqtt_version version;   /* of the current or last connection */
    char url[256];
    char error[160];             /* why the last attempt or connection ended; empty if it did not */
    uint64_t connects;           /* successful ones */
    uint64_t rx_packets, tx_packets, rx_octets, tx_octets;
};

struct upstream;
struct upstream_options;

struct upstream_ops {
    /* Encodes into the output buffer. DM_OK: handed over. DM_IO: not connected. DM_FULL: longer
     * than the broker's maximum packet size, or a PUBLISH with QoS 0 while more than 1 MiB waits
     * to be written. DM_INVALID: see mqtt_encode; also CONNECT and DISCONNECT. DM_NO_MEMORY. */
    enum dm_result (*send)(struct upstream *upstream, const struct mqtt_packet *packet);
    /* The same broker and client id, with other options: connects anew. DM_NO_MEMORY: goes on as
     * before. */
    enum dm_result (*reconfigure)(struct upstream *upstream,
                                  const struct upstream_options *options);
    /* Sends DISCONNECT, flushes within a second, and frees. Calls no event. */
    void (*free)(struct upstream *upstream);
    void (*status)(const struct upstream *upstream, struct upstream_status *status);
};

struct upstream {
    const struct upstream_ops *ops;
};

/* Copied. */
struct upstream_options {
    const char *url;          /* mqtt://host[:port], an IPv6 address in brackets; port 1883 */
    unsigned version;         /* 0 = auto (5, then 3.1.1), MQTT_3_1_1, MQTT_5 */
    const char *client_id;
    const char *username;     /* NULL = none */
    const char *password;     /* NULL = none */
    const char *will_topic;   /* of a retained QoS 1 will; NULL = none. A broker that cannot keep
                               * such a one gets none. */
    const char *will_payload; /* with will_topic */
    uint16_t keepalive_s;     /* 0 = none; a broker's server keep-alive replaces it */
    uint16_t receive_maximum; /* 0 = not sent */
    uint32_t maximum_packet;  /* octets of the largest packet we read; 0 = 1 MiB */
};

/* Starts connecting when the loop runs. NULL: bad URL or no memory, reason in error[]. The program
 * must ignore SIGPIPE. */
struct upstream *upstream_open(struct event_base *base, const struct upstream_options *options,
                               const struct upstream_events *events, char *error,
                               size_t error_size);

#endif
