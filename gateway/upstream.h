/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The upstream contract: one MQTT connection to one of the brokers, kept alive and re-opened with
 * jittered back-off. It never acknowledges by itself: packet ids, windows and acknowledgements are
 * the engine's (design.md section 3). Keep-alive, CONNECT and DISCONNECT are the connection's.
 */
#ifndef DORMOUSE_UPSTREAM_H
#define DORMOUSE_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "mqtt.h"
#include "tls.h"

struct event_base;

#define UPSTREAM_URLS_MAX 8
#define UPSTREAM_NEVER UINT64_MAX

/* What the broker granted; valid while connected. */
struct upstream_session {
    size_t broker; /* number of its URL in the options, from 0 */
    enum mqtt_version version;
    bool session_present;
    uint16_t send_maximum; /* QoS 1/2 PUBLISHes we may have open: its receive maximum */
    uint8_t maximum_qos;
    bool retain_available;
    bool subscription_ids_available;
};

/* Why an attempt or a connection is over. */
enum upstream_end {
    UPSTREAM_LOST,      /* another attempt follows */
    UPSTREAM_REFUSED,   /* client id, credentials or will: trying again would not help */
    UPSTREAM_TAKEN_OVER /* somebody else connects with this client id */
};

/* None is called from inside upstream_ops but reconfigure, and none may free the upstream. */
struct upstream_events {
    void *ctx;
    /* Asked before every attempt: true = the session of this client id at that broker is wiped
     * first, by a short connection with Clean Start 1. */
    bool (*clean_start)(void *ctx, size_t broker);
    void (*on_connected)(void *ctx, const struct upstream_session *session);
    /* Once per on_connected. Everything sent but not answered must be assumed lost. */
    void (*on_disconnected)(void *ctx);
    /* Whether the connection may end now without leaving anything half done; for the way back to
     * the first broker, which does not wait for ever. */
    bool (*is_idle)(void *ctx);
    /* Any packet but CONNACK, PINGRESP and DISCONNECT; borrowed during the call. */
    void (*on_packet)(void *ctx, const struct mqtt_packet *packet);

    /* Told before on_connected, to somebody else; NULL: nobody. */
    void (*on_broker_back)(void *back_ctx, size_t broker);
    void *back_ctx;

    /* Only with upstream_options.member. */
    /* Asked before every attempt, which goes to *broker: false = it waits for ops.attempt. */
    bool (*may_attempt)(void *ctx, size_t *broker);
    /* Called for every attempt that ends, and instead of on_disconnected. `reached`: the broker
     * answered. After UPSTREAM_LOST another attempt is due later, else only with ops.attempt. */
    void (*on_over)(void *ctx, enum upstream_end why, bool reached);
    /* What upstream_options.wipe asked for is done. No attempt follows. */
    void (*on_wiped)(void *ctx);
};

enum upstream_state { UPSTREAM_CONNECTING, UPSTREAM_CONNECTED, UPSTREAM_WAITING };

/* One of the URLs. Secrets never stand in it. */
struct upstream_url_status {
    const char *url; /* borrowed until the upstream is freed */
    char error[160]; /* why the last attempt or connection ended; empty if it did not */
};

struct upstream_status {
    enum upstream_state state;
    enum mqtt_version version; /* of the current or last connection */
    char url[256];             /* of the current or next attempt or connection */
    char error[160];           /* why the last attempt or connection ended; empty if it did not */
    struct tls_status tls;     /* of the connection */
    size_t url_count;
    struct upstream_url_status urls[UPSTREAM_URLS_MAX];
    uint64_t connects; /* successful ones */
    uint64_t rx_packets, tx_packets, rx_octets, tx_octets;
};

struct upstream;
struct upstream_options;

struct upstream_ops {
    /* Encodes into the output buffer. DM_OK: handed over. DM_IO: not connected. DM_FULL: a PUBLISH
     * with QoS 0 while more than 1 MiB waits to be written. DM_INVALID: longer than the broker's
     * maximum packet size, see mqtt_encode, or CONNECT and DISCONNECT. DM_NO_MEMORY. */
    enum dm_result (*send)(struct upstream *upstream, const struct mqtt_packet *packet);
    /* The same broker and client id, with other options: connects anew. DM_NO_MEMORY: goes on as
     * before. */
    enum dm_result (*reconfigure)(struct upstream *upstream,
                                  const struct upstream_options *options);
    bool (*has_options)(const struct upstream *upstream, const struct upstream_options *options);
    /* Sends DISCONNECT, flushes within a second, and frees. Calls no event. */
    void (*free)(struct upstream *upstream);
    /* The same at once: without DISCONNECT the broker publishes the will. */
    void (*drop)(struct upstream *upstream, bool disconnect);
    /* Only with upstream_options.member: makes the attempt now that may_attempt held back, or one
     * after the last. Nothing while an attempt or connection is there. */
    void (*attempt)(struct upstream *upstream, size_t broker);
    /* Only with upstream_options.member: the broker had ended other connections, too, so that those
     * which it cut short until now tell nothing. */
    void (*forget_cuts)(struct upstream *upstream);
    void (*status)(const struct upstream *upstream, struct upstream_status *status);
};

struct upstream {
    const struct upstream_ops *ops;
};

/* Copied. */
struct upstream_options {
    /* mqtt://host[:port] or mqtts:// for TLS, an IPv6 address in brackets, ports 1883 and 8883; or
     * mqtt+unix:///path. In the order in which they are tried. */
    const char *const *urls;
    size_t url_count;     /* 1 .. UPSTREAM_URLS_MAX */
    uint64_t return_ms;   /* how often to look from another broker whether the first one is back;
                           * UPSTREAM_NEVER */
    struct tls_files tls; /* read anew at every attempt */
    unsigned version;     /* 0 = auto (5, then 3.1.1), MQTT_3_1_1, MQTT_5 */
    const char *client_id;
    const char *username; /* NULL = none */
    const char *password; /* NULL = none */
    /* NULL = no will. The one of a connection that is no member is given up for a broker that
     * cannot keep it. */
    const char *will_topic;
    struct dm_span will_payload;
    uint8_t will_qos;
    bool will_retain;
    uint16_t keepalive_s;     /* 0 = none; a broker's server keep-alive replaces it */
    uint16_t receive_maximum; /* 0 = not sent */
    uint32_t maximum_packet;  /* octets of the largest packet we read; 0 = 1 MiB */
    /* One of many connections to the same brokers: says little in the log, takes a refusal for the
     * end, and asks when to make an attempt and where. */
    bool member;
    bool wipe; /* with member: only ends the session that the broker keeps for the client id */
};

/* Starts connecting when the loop runs. NULL: bad URL or no memory, reason in error[]. The program
 * must ignore SIGPIPE. */
struct upstream *upstream_open(struct event_base *base, const struct upstream_options *options,
                               const struct upstream_events *events, char *error,
                               size_t error_size);

#endif
