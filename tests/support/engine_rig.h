/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine on a virtual clock whose effects become lines of text, so that a test states the exact
 * list it expects:
 *   "A> CONNACK 0 !1"      to device A; "!1": held until journal number 1 is durable
 *   "^ SUBSCRIBE a/b qos 2 pid 1 id 1"   to the broker
 *   "# session dev active" to the journal; "~" before it: lazy
 */
#ifndef DORMOUSE_TESTS_ENGINE_RIG_H
#define DORMOUSE_TESTS_ENGINE_RIG_H

#include "engine.h"

struct rig {
    struct engine_options options;
    struct engine_link link;
    struct engine *engine;
    uint64_t now_ms;
    uint64_t seq;     /* records emitted */
    bool full;        /* the link takes nothing */
    bool log_records; /* include journal lines */
    char text[65536]; /* effects since the last rig_expect */
    size_t len;
    /* The journal, kept to start another engine from it. */
    struct store_record *rows;
    size_t row_count;
};

/* A started engine without a broker: one link, mtu 255, T_retry 10 s, N_retry 3, store_after 1 s.
 */
void rig_init(struct rig *rig);
void rig_fini(struct rig *rig);

/* True, and the list is emptied, if the effects are exactly these lines; else prints both. */
bool rig_expect(struct rig *rig, const char *lines);
/* Forgets the effects so far: they are another test's business. */
void rig_clear(struct rig *rig);

/* Packets of device `who` ('A', 'B', ...). */
void rig_send(struct rig *rig, char who, const struct mqttsn_packet *packet);
void rig_connect(struct rig *rig, char who, const char *client_id, bool clean, uint16_t duration_s);
void rig_subscribe(struct rig *rig, char who, const char *filter, int8_t qos, uint16_t msg_id);
void rig_publish(struct rig *rig, char who, uint16_t topic_id, int8_t qos, uint16_t msg_id,
                 const char *data);
void rig_puback(struct rig *rig, char who, uint16_t topic_id, uint16_t msg_id, int code);
void rig_regack(struct rig *rig, char who, uint16_t topic_id, uint16_t msg_id, int code);
void rig_register(struct rig *rig, char who, const char *name, uint16_t msg_id);
void rig_disconnect(struct rig *rig, char who, uint16_t sleep_s); /* 0: without a duration */
void rig_ping(struct rig *rig, char who, const char *client_id);  /* "": without */

/* The broker. */
void rig_broker_up(struct rig *rig, enum mqtt_version version, bool session_present);
void rig_broker_down(struct rig *rig);
void rig_broker_answer(struct rig *rig, enum mqtt_type type, uint16_t packet_id, uint8_t reason);
/* subscription id 0: none */
void rig_broker_publish(struct rig *rig, const char *topic, const char *data, uint8_t qos,
                        uint16_t packet_id, uint32_t subscription_id);
void rig_broker_packet(struct rig *rig, const struct mqtt_packet *packet);

/* Everything emitted so far is durable. */
void rig_commit(struct rig *rig);
/* Moves the clock and runs what is due on the way. */
void rig_wait(struct rig *rig, uint64_t ms);
/* Kills the engine and starts another from what was committed. The broker is down then. */
void rig_restart(struct rig *rig);
/* Connected, committed, nothing left in the list. */
void rig_device(struct rig *rig, char who, const char *client_id, bool clean);
void rig_device_subscribed(struct rig *rig, char who, const char *client_id, bool clean,
                           const char *filter, int8_t qos);

#endif
