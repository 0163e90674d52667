/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT packets over one connected socket, perhaps with TLS: buffers, framing, and the order CONNACK
 * first. */
#ifndef DORMOUSE_UPSTREAM_STREAM_H
#define DORMOUSE_UPSTREAM_STREAM_H

#include "mqtt.h"

struct event_base;
struct stream;
struct tls;
struct tls_status;

#define STREAM_TLS_FAILED 1 /* as a reason of on_end; no reason code of MQTT 5 */

struct stream_events {
    void *ctx;
    /* Octets came, of which packets may follow in the same turn. */
    void (*on_octets)(void *ctx);
    /* The first packet. `version` is MQTT_3_1_1 if a broker answered a CONNECT of MQTT 5 in the
     * form of 3.1.1. False: the callee has closed the stream. */
    bool (*on_connack)(void *ctx, const struct mqtt_packet *packet, enum mqtt_version version);
    /* Every other one; borrowed during the call. False: the callee has closed the stream. */
    bool (*on_packet)(void *ctx, const struct mqtt_packet *packet);
    /* The last call. `reason` 0: the connection is closed; STREAM_TLS_FAILED: or TLS ended it; else
     * the broker broke the protocol, and this is the reason code to tell it. The callee closes the
     * stream. */
    void (*on_end)(void *ctx, uint8_t reason, const char *error);
};

/* Of all streams that are given the same one. */
struct stream_counters {
    uint64_t rx_packets, tx_packets, rx_octets, tx_octets;
};

struct stream_options {
    int fd;
    struct tls *tls; /* NULL: none; packets leave after its handshake */
    enum mqtt_version version;
    uint32_t maximum; /* octets of the largest packet read */
};

/* Takes `fd` and `tls` over in any case. NULL: no memory. */
struct stream *stream_open(struct event_base *base, const struct stream_options *options,
                           const struct stream_events *events, struct stream_counters *counters);

/* Zero without TLS. */
void stream_tls_status(const struct stream *stream, struct tls_status *status);

/* Packets above this many octets are not sent. Not limited at first. */
void stream_set_send_maximum(struct stream *stream, uint32_t octets);

/* The broker takes so many topic aliases: they are used. Without memory none are. */
void stream_use_aliases(struct stream *stream, uint16_t maximum);

/* Appends to the output; calls nobody. DM_INVALID: above the maximum, or as mqtt_encode. DM_FULL: a
 * PUBLISH of QoS 0 while too much waits to be written. Otherwise as mqtt_encode, or DM_NO_MEMORY.
 */
enum dm_result stream_send(struct stream *stream, const struct mqtt_packet *packet);

/* Sends DISCONNECT with this reason, and writes what waits for at most `timeout_ms`. */
void stream_say_goodbye(struct stream *stream, uint8_t reason, unsigned timeout_ms);

void stream_close(struct stream *stream);

#endif
