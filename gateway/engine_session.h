/* SPDX-License-Identifier: Apache-2.0 */
/* One device as the gateway knows it. */
#ifndef DORMOUSE_ENGINE_SESSION_H
#define DORMOUSE_ENGINE_SESSION_H

#include "engine_inspect.h"
#include "engine_queue.h"
#include "pointer_index.h"

struct trunk;
struct filter;
struct handshake;

enum { SUBSCRIPTIONS_MAX = 256 }; /* per session */

/* A topic name or filter as the broker has it, but for the gateway's prefix, shared by all who use
 * it: see engine_names.c. */
struct name {
    uint32_t refs;
    uint32_t hash;
    uint16_t len;
    uint8_t text[];
};

/* A normal topic id of one session. */
struct registration {
    struct name *name;
    uint16_t id;
    bool refused;         /* by the device, in this connection */
    bool just_told;       /* its REGACK or SUBACK may wait for the disk: see session.gate_seq */
    uint32_t known_epoch; /* the connection in which the device knows the id; see session.epoch */
};

struct subscription {
    struct session *session;
    struct filter *filter;
    struct subscription *next; /* of the session, oldest first */
    struct subscription *filter_prev, *filter_next;
    uint64_t order;       /* age: smaller is older */
    uint32_t naps;        /* session.naps at the SUBSCRIBE */
    uint32_t upstream_id; /* MQTT 5 subscription identifier: see subscription_identify */
    uint16_t topic_id;    /* pre-defined or short, by type */
    uint16_t msg_id;      /* of the SUBACK that is owed */
    uint8_t type;         /* enum mqttsn_topic_type: how the device made it (reference 2.5) */
    uint8_t qos;          /* granted */
    bool owes_suback : 1;
    bool confirmed : 1; /* the broker acknowledged it at least once */
    bool given : 1;     /* upstream_id, perhaps to the broker */
};

_Static_assert(sizeof(struct subscription) <= 64, "a hundred thousand");

/* A QoS 2 message of the device whose PUBREL has not come (R50). */
struct received {
    struct received *next; /* oldest first */
    uint64_t content;      /* hash: the same MsgId with other content is another message */
    uint64_t seq;          /* journal number the PUBREC depends on */
    uint16_t msg_id;
};

/* Session state in MQTT-SN (R31); published when the device is lost. */
struct will {
    struct name *topic; /* NULL: not armed, only the message is known (R38) */
    uint8_t qos;
    bool retain;
    uint32_t len;
    uint8_t message[];
};

/* What a session has to do with the message of `struct copies` that has this number. */
struct copy_mark {
    uint32_t number : 30;
    bool has_copy : 1; /* it took one of the copies */
    bool lost_one : 1; /* a subscription ended meanwhile */
};

enum { COPY_NUMBER_MAX = (1 << 30) - 1 }; /* then they begin again, and no mark is left */

_Static_assert(sizeof(struct copy_mark) == 4, "each session has two");

/* What goes on with a device at the moment: all that is of no use while it sleeps with nothing
 * open. One that is active or awake has it, and any while a message of it is handled or something
 * of it waits for the disk. */
struct talk {
    struct session *waiting_prev, *waiting_next; /* of those that wait for the disk */
    struct session *direct_prev, *direct_next;   /* of those with deliveries not committed */
    bool waiting : 1, direct : 1;
    bool talked : 1;        /* the device sent something else since the exchange began (design 4) */
    bool stalled : 1;       /* no answer after all retries: wait for a sign of life (R61) */
    bool blocked : 1;       /* the link had no room */
    bool late : 1;          /* what was sent last waits in the link: engine_sent tells */
    bool owes_pingresp : 1; /* active, but it said PINGREQ as a device that wakes up: messages
                             * first */
    uint8_t received_count;
    uint16_t register_msg_id;
    uint16_t register_topic_id;
    enum exchange exchange;
    uint32_t retries;
    uint32_t unanswered; /* MsgId of a finished uplink whose PUBACK was not sent; > 65535: none */
    uint64_t unanswered_content;
    uint64_t unanswered_seq; /* journal number that the PUBACK depends on */

    uint64_t answer_seq;     /* the highest that any message to it depended on */
    uint64_t connack_seq;    /* nothing overtakes the CONNACK (R24) */
    uint64_t gate_seq;       /* no message overtakes the SUBACK or REGACK that names its id (R66) */
    uint64_t exchange_needs; /* journal number that what was sent last waits for */
    /* Journal number of the end of the last QoS 2 message that was given up. A crash before that
     * brings it back, so the device goes on with no other meanwhile: it may remember one MsgId
     * only. */
    uint64_t given_up_seq;
    uint64_t uplink_seq; /* journal number that what it sent to the broker waits for: nothing
                          * overtakes that */
    uint64_t retry_at_ms;
    uint64_t pause_until_ms;   /* the device is congested */
    uint64_t congestion_at_ms; /* last PUBACK for QoS 0 (R53) */
    uint64_t awake_since_ms;
    uint64_t handshake_again_ms; /* until then a repeated WILLMSG gets its CONNACK again (R21) */
    struct handshake *handshake; /* a new connection is being set up */
    struct delivery *unstored;   /* first QoS 1/2 delivery that is not committed */
    struct received *received;
};

enum { PLACE_NEAR = 8 }; /* longer addresses are rare: not IPv4, and no node id of a radio */

/* Pre-defined ids that a device has used (reference 2.5, 5). */
struct predefined {
    const struct session *session; /* first: see engine_index.c */
    uint8_t count, room;
    uint16_t ids[];
};

/* An address without the room that the longest would need. */
union place {
    uint8_t near[PLACE_NEAR];
    uint8_t *far; /* of one that is longer */
};

/* What the store holds of a session. */
struct session_image {
    bool present : 1;
    bool clean : 1;
    bool has_address : 1;
    bool address_is_old : 1; /* not the one the session has now */
    uint8_t mode;            /* enum engine_state */
    uint16_t keepalive_s, sleep_s;
    uint32_t epoch;
};

/*
 * One device. States: reference 3.13.
 *   DISCONNECTED, LOST -> CONNECT -> ACTIVE
 *   ACTIVE -> DISCONNECT(d) -> ASLEEP; DISCONNECT -> DISCONNECTED; silence -> LOST
 *   ASLEEP -> PINGREQ -> AWAKE; CONNECT -> ACTIVE; DISCONNECT -> DISCONNECTED; silence -> LOST
 *   AWAKE -> PINGRESP sent -> ASLEEP; no answer from the device -> ASLEEP; else as ASLEEP
 */
struct session {
    uint64_t number;

    /* What every message of it looks at; together, for each cache line costs. */
    struct trunk *trunk;                /* its way to the broker */
    struct talk *talk;                  /* NULL: there is none; read it by talk_of */
    const struct engine_client *client; /* its section of the configuration; NULL: none */
    struct registration *registrations;
    struct delivery *queue;
    uint64_t last_contact_ms;
    uint64_t deadline_ms;     /* not after it: see session_first_due */
    union place place;        /* its last address, if `placed`: see session_place */
    uint64_t seq;             /* journal number that every answer depends on */
    uint32_t epoch;           /* counts connections; registrations of earlier ones are not known */
    uint32_t connections;     /* counts CONNECTs since the start */
    uint32_t naps;            /* counts every change of period: an answer is for its own only */
    uint32_t waiting_uplinks; /* not sent on this connection */
    uint16_t keepalive_s, sleep_s;
    uint16_t registration_count;
    uint16_t subacks_owed;
    uint8_t open_uplinks; /* not answered */
    uint8_t state;        /* enum engine_state */
    bool bound : 1;       /* the place is ours */
    bool clean : 1;
    bool heard : 1;        /* since the start */
    bool told_of : 1;      /* perhaps by an earlier process */
    bool maybe_active : 1; /* recorded as asleep, and since then only heard, not seen to sleep */
    bool placed : 1;       /* it had an address */
    bool uses_predefined : 1;
    bool changed : 1; /* in engine.changed */
    bool news : 1;    /* perhaps it changed by more than a sign of life */
    uint8_t link;     /* that it is or was on */
    uint8_t place_len;
    uint8_t client_id_len;

    uint16_t open_requests; /* SUBSCRIBEs the broker has not answered */
    uint16_t last_msg_id;
    uint16_t last_topic_id;
    uint16_t subscription_count;
    struct session *prev, *next;
    struct session *changed_prev, *changed_next;
    struct will *will;
    struct subscription *subscriptions;
    uint64_t told_ms; /* of its changes; 0: not since engine_change_all */
    uint32_t queued_octets;
    uint32_t delivered, dropped; /* not more than UINT32_MAX */
    uint32_t told_hash;          /* of what was told */
    uint32_t heap_slot;          /* 0: not in the heap */
    uint32_t queued;
    uint32_t last_order;       /* of a delivery */
    struct copy_mark marks[2]; /* QoS 1 and 2 */
    struct session_image image;
    uint8_t client_id[];
};

_Static_assert(sizeof(struct session) <= 224, "a hundred thousand sleep");

/* Of every session: one without a talk has nothing open. */
extern const struct talk no_talk;

static inline const struct talk *
talk_of(const struct session *s)
{
    return s->talk != NULL ? s->talk : &no_talk;
}

/* engine_session.c */
struct session *session_find(const struct engine *e, struct dm_span client_id);
struct session *session_find_address(const struct engine *e, const struct dm_address *address);
struct session *session_find_number(const struct engine *e, uint64_t number);
struct session *session_new(struct engine *e, struct dm_span client_id, uint64_t number);
/* Removes the session with all it has, in memory and on disk. */
void session_wipe(struct engine *e, struct session *s);
void session_free(struct engine *e, struct session *s);
/* Where it is or was, on its link. */
struct dm_span session_place(const struct session *s);
/* It is or was there. */
bool session_is_at(const struct session *s, const struct dm_address *address);
/* Where it is or was; in `address`. */
const struct dm_address *session_address(const struct session *s, struct dm_address *address);
bool session_bind(struct engine *e, struct session *s, const struct dm_address *address);
void session_unbind(struct engine *e, struct session *s);
/* Its address is another client's now (R27). */
void session_evict(struct engine *e, struct session *s);
void session_set_state(struct engine *e, struct session *s, enum engine_state state);
/* An awake device is taken for asleep again without PINGRESP (R99). */
void session_doze(struct engine *e, struct session *s);
/* A valid message came from it. */
void session_heard(struct engine *e, struct session *s);
/* Recomputes the deadline after any change of state or time. The queue has its own: what it needs
 * is said when something is put there, or it gets another time to expire. */
void session_schedule(struct engine *e, struct session *s);
/* The same, and of the queue, too. */
void session_schedule_anew(struct engine *e, struct session *s);
/* It is looked at by then. */
void session_due_by(struct engine *e, struct session *s, uint64_t at_ms);
/* When silence ends it, by now_ms; ENGINE_NEVER. */
uint64_t session_supervision(const struct engine *e, const struct session *s);
void session_timeout(struct engine *e, struct session *s);
/* To be pumped again after the next commit. */
void session_wait(struct engine *e, struct session *s);
/* No message leaves before the answers given so far are durable. */
void session_gate(struct engine *e, struct session *s);
bool session_is_reachable(const struct engine *e, const struct session *s);
/* NULL: none is due. Puts right those whose deadline has moved on. */
struct session *session_first_due(struct engine *e);

/* engine_talk.c */
/* False: no memory, and then nothing can be said to the device. */
bool talk_begin(struct engine *e, struct session *s);
/* Its given_up_seq or uplink_seq; there need not be a talk yet. False: no memory. */
bool talk_note_given_up(struct engine *e, struct session *s, uint64_t seq);
bool talk_note_uplink(struct engine *e, struct session *s, uint64_t seq);
/* The device sleeps or is gone: if nothing is open with it, the talk is over; what waits for the
 * disk delays that. */
void talk_end(struct engine *e, struct session *s);
void talk_free(struct engine *e, struct session *s);
/* The next commit has nothing for it. */
bool talk_waits_for_disk(const struct engine *e, const struct session *s);

/* engine_status.c: `filters` has room for SUBSCRIPTIONS_MAX; it and `texts` are part of the status.
 */
void session_status(const struct engine *e, const struct session *s, uint64_t now_ms,
                    struct dm_span *filters, struct buffer *texts,
                    struct engine_session_status *status);

/* engine_history.c */
/* Something happened that the operator may want to know; see engine_inspect.h. Never fails: without
 * memory it is forgotten. */
void session_note(struct engine *e, struct session *s, enum engine_event event, uint64_t detail);
void history_free(struct engine *e, struct session *s);

/* engine_changes.c */
/* `news`: more than a sign of life. */
void change_note(struct engine *e, struct session *s, bool news);
/* The session is about to be freed. */
void change_end(struct engine *e, struct session *s);
/* All sessions of the store are loaded. */
void changes_start(struct engine *e);
void changes_free(struct engine *e);

#endif
