/* SPDX-License-Identifier: Apache-2.0 */
/* Messages for devices, and what of them waits or is on its way. */
#ifndef DORMOUSE_ENGINE_QUEUE_H
#define DORMOUSE_ENGINE_QUEUE_H

#include "engine.h"

struct engine;
struct name;
struct inbound;
struct session;

/* One body, however many sessions wait for it. */
struct message {
    uint64_t number;
    struct name *topic;
    struct inbound *inbound; /* while the broker waits for the acknowledgement */
    uint64_t expires_ms;     /* gateway time; ENGINE_NEVER */
    uint32_t refs;
    uint32_t len;
    uint16_t packet_id; /* of the broker in an earlier process; 0: none */
    uint8_t qos;
    bool retain : 1;
    bool stored : 1;
    bool bodiless : 1; /* nobody needs the payload any more, and it does not count */
    uint8_t payload[];
};

static inline struct dm_span
message_payload(const struct message *m)
{
    return dm_span(m->payload, m->bodiless ? 0 : m->len);
}

_Static_assert(sizeof(void *) > 8 || offsetof(struct message, payload) <= 44,
               "a million wait, of some 20 octets each: 64 with them");

/* A message in the queue of one session. */
struct delivery {
    struct delivery *prev, *next;
    struct message *message;
    uint64_t arrived_ms; /* gateway time; 0: in an earlier process */
    uint64_t seq;        /* journal number of its row; QoS 2: nothing of it leaves before */
    uint32_t order;      /* in the session */
    uint16_t msg_id;
    uint8_t qos;
    uint8_t rounds : 2; /* of retransmission that the device let pass while it talked */
    bool stored : 1;
    bool sent : 1;        /* at least once: DUP from now on */
    bool repeated : 1;    /* at least twice */
    bool released : 1;    /* QoS 2: PUBREC came, PUBREL is owed */
    bool reregister : 1;  /* the device answered "invalid topic id" once (reference 2.7) */
    bool wait_suback : 1; /* its subscription is not acknowledged to the device yet (R66) */
};

_Static_assert(sizeof(struct delivery) <= 48, "a million wait");

enum exchange { EXCHANGE_NONE, EXCHANGE_REGISTER, EXCHANGE_PUBLISH, EXCHANGE_PUBREL };

/* engine_queue.c */
struct message *message_new(struct engine *e, struct name *topic, struct dm_span payload,
                            uint8_t qos, bool retain);
void message_unref(struct engine *e, struct message *m);
/* Puts the message into the session's queue, or drops it by the session's state and limits. */
void queue_add(struct engine *e, struct session *s, struct message *m, uint8_t qos,
               bool wait_suback);
/* Nothing has to be dropped for it. */
bool queue_has_room(const struct engine *e, const struct session *s, const struct message *m);
/* This and the other loaders of one row: false without memory, which ends the start. */
bool queue_load(struct engine *e, struct session *s, struct message *m,
                const struct store_record *record);
/* What came before the start, nobody knows when, counts as come now. */
void queue_date(struct engine *e, struct session *s);
/* The delivery is over: done or dropped. */
void queue_remove(struct engine *e, struct session *s, struct delivery *d);
void queue_drop(struct engine *e, struct session *s, struct delivery *d, enum engine_drop why);
/* The device may hold it: it is not taken away. */
bool queue_is_open(const struct session *s, const struct delivery *d);
/* Gives up what the device cannot hold yet. Returns how many messages that were. */
size_t queue_give_up(struct engine *e, struct session *s);
/* Commits every QoS 1/2 delivery that is only in memory. */
void queue_store(struct engine *e, struct session *s);
/* Commits that the device has a QoS 2 message that was only in memory: its body is not needed any
 * more. */
void queue_store_released(struct engine *e, struct session *s, struct delivery *d);
void queue_store_due(struct engine *e, struct session *s);
/* When the first of them is to be committed, by now_ms. */
uint64_t queue_store_deadline(const struct engine *e, const struct session *s);
void queue_drop_qos0(struct engine *e, struct session *s);
/* When the next message expires that can be taken out, by now_ms; ENGINE_NEVER. Looks at each. */
uint64_t queue_expiry(const struct engine *e, const struct session *s);
void queue_expire(struct engine *e, struct session *s);
/* When it is too old for this session; gateway time, ENGINE_NEVER. */
uint64_t delivery_expiry(const struct engine *e, const struct session *s, const struct delivery *d);
bool delivery_is_expired(const struct engine *e, const struct session *s, const struct delivery *d);
void queue_clear(struct engine *e, struct session *s);

/* engine_downlink.c */
void handle_pubrec(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
void handle_pubcomp(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
bool downlink_waits_for_disk(const struct engine *e, const struct session *s);
/* Sends what can be sent; ends an awake period when nothing is left. */
void downlink_pump(struct engine *e, struct session *s);
void downlink_retry(struct engine *e, struct session *s);
/* Sends once more what is open, without counting it. */
void downlink_repeat(struct engine *e, struct session *s);
/* The message that is open, "PUBLISH" for none. */
const char *exchange_name(enum exchange exchange);
void downlink_cancel(struct session *s);
/* A sign of life: goes on where silence had stopped a delivery. */
void downlink_resume(struct engine *e, struct session *s);
void handle_regack(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
void handle_puback(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
uint16_t session_next_msg_id(struct session *s);

#endif
