/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker: one persistent session for the gateway, MQTT 5 or 3.1.1, behind the upstream
 * contract. broker.c        what it does with packets and messages broker_link.c   the connection:
 * dialling, clean start, cuts; octets through the real codec broker_codec.c  the packets of a
 * server, which the real codec does not write or read
 */
#ifndef DORMOUSE_SIM_BROKER_H
#define DORMOUSE_SIM_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "topics.h"
#include "upstream.h"

struct world;

enum copy_state { COPY_QUEUED, COPY_SENT, COPY_RELEASED };

/* A message on its way to the gateway. */
struct copy {
    uint32_t serial; /* counts copies; never 0 */
    uint32_t number;
    uint32_t ids[8]; /* more filters never match one topic */
    uint8_t id_count, qos, topic;
    bool retain, dup;
    uint16_t packet_id;
    enum copy_state state;
    uint64_t sent_ms;
};

struct broker_filter {
    bool held;
    uint32_t id;
    uint64_t handled_step; /* of its last SUBSCRIBE */
};

/* A QoS 2 message of the gateway that is not released. */
struct broker_received {
    uint16_t packet_id;
    uint32_t number;
};

enum { BROKER_RECEIVED_MAX = 2048 };

struct broker {
    struct upstream upstream; /* first: found by it */
    struct world *world;
    /* the connection */
    bool reachable;
    uint32_t connection; /* counts; the one that the broker serves, if `connected` */
    bool connected;
    uint32_t gateway_connection; /* the one that the gateway believes in, if `gateway_connected` */
    bool gateway_connected;
    bool wiped;                       /* by the short connection before */
    uint64_t last_in_ms, last_out_ms; /* packets do not overtake each other */
    bool loses_session;               /* at the next connection */
    unsigned unanswered;              /* QoS 1 and 2 messages of the gateway */
    /* the session */
    bool session;
    uint64_t heard_seq; /* journal number at which the gateway had heard of it; 0: it is on disk */
    struct broker_filter filters[FILTERS_COUNT];
    struct copy *out; /* sent ones first */
    size_t out_count, out_room, in_flight;
    uint16_t last_packet_id;
    struct broker_received received[BROKER_RECEIVED_MAX];
    size_t received_count;
    uint32_t retained[TOPICS_COUNT];
    uint32_t published; /* messages so far: their order */
    uint32_t copies;    /* so far */
    uint64_t completed; /* exchanges, in both directions */
    uint64_t requests;  /* SUBSCRIBE and UNSUBSCRIBE */
};

/* broker.c */
void broker_init(struct world *w);
void broker_fini(struct world *w);
/* Message `number` of the oracle's facts goes to all who want it. */
void broker_publish(struct world *w, uint32_t number);
void broker_handle(struct world *w, const struct mqtt_packet *packet);
/* The gateway has connected; its session may have to go on. */
void broker_resume(struct world *w);
void broker_disconnected(struct world *w);
void broker_lose_session(struct world *w);

/* broker_link.c */
void broker_link_init(struct world *w);
void broker_dial(struct world *w);
void broker_on_connected(struct world *w, uint32_t connection, bool session_present);
void broker_on_cut(struct world *w, uint32_t connection);
/* The connection breaks: what is under way in either direction is lost. */
void broker_cut(struct world *w);
void broker_down(struct world *w);
void broker_up(struct world *w);
void broker_gateway_gone(struct world *w); /* it crashed */
void broker_send(struct world *w, const struct mqtt_packet *packet);
void broker_to_runner(struct world *w, uint32_t connection, const uint8_t *data, size_t len);
void broker_to_broker(struct world *w, uint32_t connection, const uint8_t *data, size_t len);

/* broker_codec.c */
size_t broker_encode(enum mqtt_version version, const struct mqtt_packet *packet, uint8_t *buffer);
/* False: not a packet of a client. */
bool broker_decode(enum mqtt_version version, const uint8_t *data, size_t len,
                   struct mqtt_packet *packet);

#endif
