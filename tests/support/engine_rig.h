/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine on a virtual clock whose effects become lines of text, so that a test states the exact
 * list it expects:
 *   "A> CONNACK 0 !1"      to device A; "!1": held until journal number 1 is durable
 *   "^ SUBSCRIBE a/b qos 2 pid 1 id 1"   to the broker
 *   "^2 PUBLISH ..."       the same over own connection 2
 *   "OPEN 2 dev clean"     own connection 2 is wanted, or not any more: "CLOSE 2 wipe"
 *   "# session dev active" to the journal; "~" before it: lazy
 */
#ifndef DORMOUSE_TESTS_ENGINE_RIG_H
#define DORMOUSE_TESTS_ENGINE_RIG_H

#include "engine.h"
#include "engine_disk.h"

struct rig {
    struct engine_options options;
    struct engine_link link;
    const char *broker_keys[2]; /* options.broker_count is 1 at first */
    size_t broker;              /* that rig_broker_up connects to */
    uint64_t connection;        /* that rig_broker_* are about; 0: the shared one */
    struct engine *engine;
    uint64_t now_ms;
    uint64_t seq;         /* records emitted */
    bool full;            /* the link takes nothing */
    bool late;            /* the link takes it for later, until engine_sent */
    bool log_records;     /* include journal lines */
    bool log_withdrawals; /* include "A> WITHDRAW": what is held for A does not leave */
    char text[65536];     /* effects since the last rig_expect */
    size_t len;
    struct engine_disk disk; /* to start another engine from */
    bool commits_late;       /* only rig_commit makes records durable; else each is at once, though
                              * the engine hears of it from rig_commit alone */
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
void rig_unsubscribe(struct rig *rig, char who, const char *filter, uint16_t msg_id);
void rig_publish(struct rig *rig, char who, uint16_t topic_id, int8_t qos, uint16_t msg_id,
                 const char *data);
void rig_puback(struct rig *rig, char who, uint16_t topic_id, uint16_t msg_id, int code);
void rig_regack(struct rig *rig, char who, uint16_t topic_id, uint16_t msg_id, int code);
void rig_register(struct rig *rig, char who, const char *name, uint16_t msg_id);
void rig_disconnect(struct rig *rig, char who, uint16_t sleep_s); /* 0: without a duration */
/* A message that is only a type and a MsgId: PUBREC, PUBREL, PUBCOMP. */
void rig_step(struct rig *rig, char who, enum mqttsn_type type, uint16_t msg_id);
/* CONNECT with Will = 1. */
void rig_connect_will(struct rig *rig, char who, const char *client_id, bool clean);
/* WILLTOPIC or WILLTOPICUPD; topic "": the empty form. */
void rig_will_topic(struct rig *rig, char who, enum mqttsn_type type, const char *topic, int8_t qos,
                    bool retain);
/* WILLMSG or WILLMSGUPD */
void rig_will_message(struct rig *rig, char who, enum mqttsn_type type, const char *message);
void rig_ping(struct rig *rig, char who, const char *client_id); /* "": without */

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
struct engine_status rig_status(const struct rig *rig);
/* The durable rows, in the order of store.h; NULL beyond the last. */
const struct store_record *rig_row(const struct rig *rig, size_t i);
size_t rig_count_rows(const struct rig *rig, enum store_op put);
/* Kills the engine and starts another from what is durable. The broker is down then. */
void rig_restart(struct rig *rig);
/* Connected with a will of this topic and message, QoS 1, keep alive 60 s. */
void rig_device_with_will(struct rig *rig, char who, const char *client_id, bool clean,
                          const char *topic, const char *message);
/* Connected, committed, nothing left in the list. */
void rig_device(struct rig *rig, char who, const char *client_id, bool clean);
void rig_device_subscribed(struct rig *rig, char who, const char *client_id, bool clean,
                           const char *filter, int8_t qos);

#endif
