/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker of the engine's fuzz target knows: the packets of the gateway that are open, and
 * whether the gateway keeps to MQTT: packet ids, receive maximum, what the broker granted.
 */
#ifndef DORMOUSE_TESTS_ENGINE_BROKER_H
#define DORMOUSE_TESTS_ENGINE_BROKER_H

#include "mqtt.h"
#include "upstream.h"

enum { BROKER_IDS = 8 };

/* A packet of the gateway with a packet id, not completed. */
struct broker_open {
    enum mqtt_type type;
    uint8_t qos;
    bool received;    /* QoS 2: PUBREC was given */
    bool current;     /* seen in this connection */
    uint64_t content; /* hash of topic and payload */
};

struct broker {
    bool up;
    struct upstream_session session;
    unsigned quota; /* PUBLISHes with QoS 1 or 2 that may still be sent (MQTT 5 section 4.9) */
    struct broker_open open[65536]; /* by packet id; type 0: not open */
    uint16_t ids[1024];             /* those that are open */
    size_t id_count;
    uint32_t subscription_ids[BROKER_IDS]; /* the latest */
    size_t subscription_id_count;          /* ever */
};

void broker_init(struct broker *broker);
void broker_connect(struct broker *broker, const struct upstream_session *session);
void broker_disconnect(struct broker *broker);
/* The gateway was killed: what it did not commit, it may give another packet id. */
void broker_gateway_restarts(struct broker *broker);
/* A packet of the gateway arrives. */
void broker_takes(struct broker *broker, const struct mqtt_packet *packet);
/* The gateway is told that the broker can never take this packet, and gives it up. */
void broker_refuses(struct broker *broker, uint16_t packet_id);
/* The gateway is handed an answer: what it closes is not open any more. */
void broker_answers(struct broker *broker, const struct mqtt_packet *packet);
/* The answer that a packet of the gateway waits for: the one number `index` of those open. False:
 * none is. */
bool broker_next_answer(const struct broker *broker, size_t index, struct mqtt_packet *answer);

#endif
