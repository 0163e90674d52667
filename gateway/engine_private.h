/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's own structs and the calls between its files. Nothing outside engine_*.c includes it.
 */
#ifndef DORMOUSE_ENGINE_PRIVATE_H
#define DORMOUSE_ENGINE_PRIVATE_H

#include <utlist.h>

#include "buffer.h"
#include "engine.h"
#include "engine_inspect.h"
#include "pointer_index.h"
#include "pool.h"

enum {
    SUBSCRIPTIONS_MAX = 256,      /* per session */
    OPEN_REQUESTS_MAX = 512,      /* SUBSCRIBEs of one session that the broker has not answered */
    TOPICS_MAX = 1024,            /* registrations per session */
    TOPIC_ID_LAST = 0x201f,       /* below every printable short name (reference 2.1) */
    OPEN_UPLINKS_MAX = 16,        /* unacknowledged messages of one device (R51 asks for 8) */
    RECEIVED_MAX = 16,            /* QoS 2 messages of one device whose PUBREL has not come */
    HANDSHAKES_MAX = 4096,        /* will handshakes under way */
    PREDEFINED_MAX = 32,          /* pre-defined ids remembered that one device has used */
    PREDEFINED_STEP = 4,          /* room is made for so many more */
    ROUNDS_MAX = 3,               /* of retransmission before a message is given up (R61) */
    UNCOMMITTED_MAX = 100000,     /* records; beyond it nothing new is promised */
    UPLINKS_IN_FLIGHT_MAX = 1000, /* however large the broker's window is */
    UPSTREAM_ID_GAP = 65536,      /* identifiers left out at a start */
    BROKERS_MAX = 16,             /* whose sessions are remembered; more than URLs */
    REQUESTS_OPEN_MAX = 1000,     /* leaves packet ids for messages */
    RECENT_REQUESTS = 8,          /* SUBSCRIBEs a retained MQTT 3.1.1 message may belong to */
    REPLY_SLOTS = 256,            /* addresses remembered for the rate limit of R82 */
    REPLY_INTERVAL_MS = 1000,
    WAIT_MS = 300000,     /* T_WAIT */
    N_ADV = 3,            /* ADVERTISEs that a stand-by gateway lets pass */
    STALL_MS = 1000,      /* called later than it asked for: the process was stopped or suspended */
    HEARTBEAT_MS = 10000, /* asks to be called this often, to notice that */
    CLOCK_INTERVAL_MS = 60000, /* between two records of the clock */
    HISTORIES_MAX = 10000,     /* sessions whose last events are remembered: 3 MB at most */
    MSG_ID_GAP = 16384, /* at most this many MsgIds are left out at a start; a queue is shorter */
};

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

/* An identifier that the broker may put on a message and that no subscription has (any more). */
struct filter_id {
    struct filter *filter;
    struct filter_id *prev, *next; /* of the filter, oldest first */
    uint32_t id;
    bool stored; /* it has a row */
};

/* What the shared upstream connection is subscribed to, once for all devices. */
struct filter {
    struct name *name;
    struct subscription *subscriptions;
    struct filter_id *ids;
    uint64_t held_since; /* on the scale of subscription.order */
    uint32_t acked_id;   /* identifier the broker holds it under */
    bool acked : 1; /* the broker holds it, or held it before an UNSUBSCRIBE whose answer is missing
                     */
    bool leaving : 1;   /* the latter: whether it is still held is not known */
    bool acked_row : 1; /* acked_id has a row, and no entry in `ids` */
};

_Static_assert(sizeof(struct filter) <= 40, "a hundred thousand");

/* Lists of messages of the broker: those of QoS 1 and 2 that are not acknowledged have the number
 * of their QoS. */
enum { INBOUND_RECEIVED, INBOUND_LISTS = 3 };

/* A QoS 1/2 message of the broker that is not acknowledged, or (QoS 2) not released yet. */
struct inbound {
    struct inbound *prev, *next;
    struct trunk *trunk;
    struct message *message; /* while a recipient has it and it is not acknowledged */
    uint64_t content;        /* hash: a redelivery is the same message only if this is equal;
                              * 0: not known */
    uint64_t seq;            /* journal number the acknowledgement depends on */
    uint32_t pending;        /* recipients that neither have it nor have it committed */
    uint16_t packet_id;
    uint8_t qos;
    bool received; /* QoS 2: PUBREC was handed over, PUBREL has not come */
    bool current;  /* seen in this connection: may be acknowledged on it */
};

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

/* A CONNECT with Will = 1 that waits for will topic or message (R16). */
struct handshake {
    struct handshake *prev, *next; /* longest without progress first */
    struct session *session; /* of the client id, if there is one: it sends nothing meanwhile */
    struct dm_address address;
    uint64_t deadline_ms;
    struct name *topic; /* NULL: WILLTOPIC has not come */
    uint8_t qos;
    bool retain;
    bool clean;
    uint16_t keepalive_s;
    uint8_t client_id_len;
    uint8_t client_id[];
};

/* A row of a subscription that the device cannot have any more. */
struct unmapped {
    struct unmapped *next;
    uint64_t session;
    size_t len;
    uint8_t filter[];
};

/* What a session has to do with the message of `struct copies` that has this number. */
struct copy_mark {
    uint32_t number : 30;
    bool has_copy : 1; /* it took one of the copies */
    bool lost_one : 1; /* a subscription ended meanwhile */
};

enum { COPY_NUMBER_MAX = (1 << 30) - 1 }; /* then they begin again, and no mark is left */

_Static_assert(sizeof(struct copy_mark) == 4, "each session has two");

enum exchange { EXCHANGE_NONE, EXCHANGE_REGISTER, EXCHANGE_PUBLISH, EXCHANGE_PUBREL };

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
    const struct session *session;
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
    uint8_t link; /* that it is or was on */
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
    uint32_t told_hash; /* of what was told */
    uint32_t heap_slot; /* 0: not in the heap */
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

/* A message of a device on its way to the broker: QoS 1 and 2, wills of any QoS, and QoS 0 that
 * must not overtake them. */
struct uplink {
    struct uplink *prev, *next;
    uint64_t order;
    uint64_t session;     /* number; the session may be gone */
    uint64_t store_at_ms; /* when it is put on disk and answered if the broker did not */
    uint64_t seq;         /* journal number of its record */
    uint64_t needs;       /* journal number without which it does not leave */
    uint32_t naps;        /* session.naps at the PUBLISH */
    uint32_t connection;  /* session.connections at the PUBLISH */
    struct name *topic;
    uint16_t msg_id;
    uint16_t topic_id; /* as the device wrote it, for the PUBACK */
    enum mqttsn_topic_type topic_type;
    uint16_t packet_id; /* 0: none yet */
    uint8_t qos;
    bool retain;
    bool stored;
    bool answered;
    bool sent;      /* perhaps: DUP from now on */
    bool waiting;   /* counted in session.waiting_uplinks */
    bool in_flight; /* sent on this connection, and to be answered */
    bool released;  /* QoS 2: PUBREC came, PUBCOMP has not */
    uint32_t len;
    uint8_t payload[];
};

/* A SUBSCRIBE or UNSUBSCRIBE for the broker. */
struct request {
    struct request *prev, *next;
    bool subscribe;
    bool sent;
    bool retained; /* asks for retained messages */
    uint16_t packet_id;
    uint32_t upstream_id;
    uint64_t session; /* that it is made for; 0: for the filter alone */
    struct name *filter;
};

/* Copies of one message for several filters come one after the other: the messages of equal content
 * that came last, each for another filter. Each QoS has its own, for the broker repeats messages
 * of QoS 1 that are done here, and so stand out of turn. */
struct copies {
    uint32_t number; /* counts messages */
    uint64_t content;
    uint32_t ids[MQTT_SUBSCRIPTION_IDS_MAX];
    size_t id_count;
    bool disturbed; /* a subscription of somebody ended meanwhile */
    uint64_t since; /* last_subscription at the first: no filter held later brings a copy */
    bool loaded;    /* the first came in an earlier process; who waits for another is not known */
};

/* A row of a broker that is not the current one. */
struct kept_row {
    struct kept_row *next;
    struct store_record record; /* its spans are in `octets` */
    uint8_t octets[];
};

/* One that holds a session of ours, or will. Its number is its place in the array. */
struct broker {
    const char *key;  /* NULL: the place is free */
    char *copied_key; /* the same, if it is ours */
    uint64_t used;    /* counts entries: the largest is the current one; 0: it has no row */
    bool met;         /* there was a connection since the start */
    struct kept_row *rows, *last_row;
};

/* A QoS 2 message that a broker got in part and that was finished elsewhere: PUBREL ends it. */
struct owed {
    struct owed *prev, *next;
    uint16_t packet_id;
};

struct link_state {
    bool up;
    bool blocked;          /* DM_FULL: it has no room now */
    bool congested;        /* requests are answered with "congestion" */
    uint16_t mtu;          /* of the radio; 0: not told */
    uint64_t down_ms;      /* since when */
    uint64_t gwinfo_at_ms; /* last broadcast */
};

struct recent_request {
    uint64_t session;
    struct name *filter;
};

/* What the row of an own connection says besides that it exists: a sum of these. */
enum own_note {
    OWN_CLEAN = 1,     /* what the broker has of this client id is wiped before its first use */
    OWN_ELSEWHERE = 2, /* another connection has taken it over */
    OWN_INHERITED = 4, /* the broker had it before us, with subscriptions that are not known here */
    OWN_KEPT = 8,      /* ended, and taken over meanwhile: it is not wiped */
    OWN_UNUSED = 16,   /* no connection yet: what the broker has is not ours, and is not wiped */
    OWN_NOTES = 31,
};

enum trunk_place { TRUNK_NOWHERE, TRUNK_TOUCHED, TRUNK_BLOCKED };

/* One connection to the broker, and what holds of the session that the broker has for it. */
struct trunk {
    uint64_t connection; /* as in effects; 0: the one that devices share */

    /* Of an own one: see engine_own.c. */
    struct trunk *own_prev, *own_next;
    struct trunk *ended_prev, *ended_next; /* while `session` is NULL */
    struct trunk *place_prev, *place_next; /* in the list that `place` names */
    enum trunk_place place;
    struct session *session;  /* NULL: it has ended */
    struct trunk *after;      /* of an earlier session of the client id, which has to end first */
    unsigned note;            /* enum own_note */
    bool hold_at_broker;      /* messages wait there, not here */
    bool opening;             /* the first attempt since ENGINE_OPEN is not over */
    bool ended;               /* in engine.ended */
    bool awaited;             /* perhaps it is `after` of another one */
    bool opened, ever_opened; /* ENGINE_OPEN was said */
    bool wiping, wiped;
    bool met;          /* there was a connection since the start */
    bool fresh;        /* never connected: the device has no CONNACK yet */
    bool asking;       /* CONNECT waits for the broker */
    bool refused;      /* by the broker */
    bool stale;        /* of what came over this connection something was forgotten */
    bool overflowed;   /* the same, since there was no room: to be asked for when there is */
    bool abrupt;       /* the device is lost: to be ended without DISCONNECT */
    bool has_will;     /* the broker has it */
    bool will_changed; /* since ENGINE_OPEN */
    bool expects;      /* some of the queue may come again: see engine.redelivered */
    uint64_t ask_until_ms;
    uint64_t connected_ms; /* since when */

    bool up;
    /* Nothing shows yet that the session which the broker kept is the one in the rows: a process
     * that was killed right after CONNACK may have left a new one. */
    bool doubtful;
    struct upstream_session granted;
    uint64_t broker_seq; /* journal number of the broker session: nothing goes there before */
    uint8_t *packet_ids; /* a bit for each; NULL: an own connection with few */
    uint32_t packet_ids_used;
    uint16_t last_packet_id;

    struct pointer_index filter_index; /* by name */
    struct pointer_index filter_ids, subscription_ids;
    struct pointer_index shapes; /* of filters with wildcards */
    struct request *requests;
    struct request *request_next; /* first that is not sent */
    size_t requests_open;         /* sent and not answered */
    size_t unsubscribes;          /* among all of them */
    uint64_t request_seq;

    struct inbound *inbound[INBOUND_LISTS]; /* in the order of receipt */
    struct pointer_index inbound_index;     /* of all, by QoS and packet id */
    bool exceeded;          /* the broker sent more at a time than we allow, on this connection */
    size_t inbound_held;    /* not acknowledged in this connection */
    uint64_t release_seq;   /* journal number of the last QoS 2 packet id that was removed */
    uint64_t route_seq;     /* of the last change of which filters the broker holds */
    struct session *direct; /* those with deliveries that are not committed */
    struct recent_request recent[RECENT_REQUESTS];
    size_t recent_next;
    struct copies copies[2]; /* QoS 1 and 2 */

    struct uplink *uplinks;           /* in order of arrival */
    struct uplink *uplink_next;       /* first that is not in flight */
    struct uplink *uplink_unanswered; /* first that may not be answered */
    uint64_t uplink_store_ms;         /* no uplink is to be put on disk before */
    size_t uplinks_in_flight;
    uint64_t uplink_pause_until_ms; /* the broker's quota is exceeded; 0: it is not */
    struct owed *owed;

    uint8_t client_id_len; /* of an own one */
    uint8_t *client_id;    /* behind it */
};

struct engine {
    const struct engine_options *options;
    engine_emit *emit;
    void *ctx;
    uint64_t now_ms;
    int64_t clock_offset_ms;
    uint64_t clock_recorded_ms; /* 0: not since it changed */
    uint64_t forgiven_ms;       /* when silence was forgiven; what was due before is no news */
    uint64_t seq;               /* journal number of the last record */
    uint64_t committed_seq;
    uint64_t wipe_seq;     /* journal number of the last session that was deleted */
    uint64_t given_up_seq; /* as in struct talk, of a session that had no memory for one */
    bool degraded;
    struct link_state *links; /* by link */

    struct session *sessions;
    struct session *waiting;
    struct pool pool; /* for what there are many of */
    struct pointer_index by_client_id, by_address, by_number;
    struct pointer_index names;
    struct session **heap; /* slot 0 is not used */
    size_t heap_count, heap_room;
    uint64_t last_session, last_message, last_subscription;
    uint32_t last_upstream_id;
    uint32_t reserved_upstream_id; /* no process before this one used a higher one + the gap */

    struct pointer_index messages_loaded; /* by number, while loading */
    /* By packet id: QoS 1 messages in the store that the process before perhaps did not
     * acknowledge. Empty as soon as the broker has sent again what it had open. */
    struct pointer_index redelivered;

    struct broker brokers[BROKERS_MAX];
    struct broker *broker; /* the current one: connected to, or last; NULL: none yet */
    uint64_t broker_uses;

    struct trunk shared;
    uint8_t packet_ids[65536 / 8]; /* of the shared one */
    uint64_t last_spool;

    struct trunk *own;              /* own connections of devices */
    struct pointer_index own_index; /* by number */
    struct trunk *ended;            /* of them, those without a session, oldest first */
    size_t own_count, own_ended, own_opened, own_up;
    struct trunk *touched;  /* something changed: looked at after the input */
    struct trunk *blocked;  /* to be touched after the next commit */
    uint64_t own_due_ms;    /* none of them has anything to do before */
    uint64_t own_failed_ms; /* when a device was told that the broker is away; 0: never */

    struct history *histories;
    struct pointer_index history_index, predefined_index; /* by session: many have none */
    struct pointer_index earlier_index;                   /* struct earlier, by session */
    struct session *changed;                              /* longest waiting first */
    struct ended *ends;                                   /* sessions that ended, oldest first */
    size_t end_count;
    bool ends_forgotten;

    struct handshake *handshakes;
    size_t handshake_count;
    uint64_t handshake_ms;                /* how long one may stand still (R23) */
    struct pointer_index handshake_index; /* by address */

    uint64_t advertise_at_ms;
    uint64_t advertised_ms;    /* last time; 0: never */
    uint64_t watched_until_ms; /* the gateway we stand by for lives until then (R12) */
    uint64_t twin_logged_ms;   /* last complaint about another gateway with our GwId */

    /* Each for one purpose, borrowed until it is used the next time. */
    struct buffer upstream_text;   /* name with the gateway's prefix */
    struct buffer predefined;      /* name of a pre-defined id with the client id in it */
    struct buffer allowed;         /* filter with the client id in it */
    struct buffer mapped;          /* device's name rewritten by a rule */
    struct buffer prefixed;        /* the same with the client's prefix */
    struct buffer lowered;         /* broker's name as a device has it */
    struct buffer candidate;       /* filter that may match a broker's name */
    struct unmapped *unmapped;     /* while loading */
    uint64_t replies[REPLY_SLOTS]; /* when an address of the slot was answered; 0: never */
    struct engine_status status;
};

/* What is configured for the clients of a section; NULL: of none. */
static inline const struct engine_settings *
settings_for(const struct engine *e, const struct engine_client *client)
{
    return client != NULL && client->settings != NULL ? client->settings : &e->options->settings;
}

static inline const struct engine_settings *
settings_of(const struct engine *e, const struct session *s)
{
    return settings_for(e, s->client);
}

/* engine.c: the clock and effects */
void engine_at(struct engine *e, uint64_t now_ms);
enum dm_result engine_send_to(struct engine *e, const struct dm_address *to, uint64_t needs,
                              const struct mqttsn_packet *packet);
enum dm_result engine_send(struct engine *e, struct session *s, uint64_t needs,
                           const struct mqttsn_packet *packet);
/* Answers of before that wait for the disk do not go to this address any more. */
void engine_withdraw(struct engine *e, const struct dm_address *from);
enum dm_result engine_send_upstream(struct engine *e, const struct trunk *t, uint64_t needs,
                                    const struct mqtt_packet *packet);
/* True at most once a second for an address (R82, R84). */
bool engine_may_reply(struct engine *e, const struct dm_address *to);
/* False while nothing new can be promised: disk failed, or too much is not committed yet. */
bool engine_can_promise(const struct engine *e);
/* The same, and the way of the answer is not full already. */
bool engine_takes_request(const struct engine *e, const struct session *s);
uint64_t engine_add_ms(uint64_t at_ms, uint64_t duration_ms);

/* engine_records.c: each gives the journal number of its record */
uint64_t record_session(struct engine *e, struct session *s);
void record_msg_id(struct engine *e, const struct session *s);
uint64_t record_session_delete(struct engine *e, const struct session *s);
uint64_t record_registration(struct engine *e, const struct session *s,
                             const struct registration *r, bool lazy);
uint64_t record_subscription(struct engine *e, const struct subscription *sub);
uint64_t record_subscription_delete(struct engine *e, const struct session *s,
                                    struct dm_span filter);
uint64_t record_message(struct engine *e, const struct trunk *t, struct message *m);
/* What time it is in rows that hold a time. */
uint64_t engine_gateway_ms(const struct engine *e);
/* A gateway time as now_ms will show it; not before now. */
uint64_t engine_from_gateway(const struct engine *e, uint64_t gateway_ms);
uint64_t record_message_delete(struct engine *e, const struct message *m);
uint64_t record_delivery(struct engine *e, const struct session *s, const struct delivery *d);
uint64_t record_delivery_delete(struct engine *e, const struct session *s,
                                const struct delivery *d);
uint64_t record_will(struct engine *e, const struct session *s);
uint64_t record_will_delete(struct engine *e, const struct session *s);
uint64_t record_received(struct engine *e, const struct session *s, const struct received *r,
                         bool present);
uint64_t record_release(struct engine *e, const struct trunk *t, uint16_t packet_id, bool present);
/* Of an exchange that is open when its broker is left; kept for the way back. */
void record_open_release(struct engine *e, const struct uplink *u);
uint64_t record_uplink(struct engine *e, const struct uplink *u);
uint64_t record_uplink_delete(struct engine *e, const struct uplink *u);
uint64_t record_inbound(struct engine *e, const struct trunk *t, const struct inbound *in,
                        bool present);
/* The row as it is written; `ids` is its payload. */
struct store_record copies_row(const struct engine *e, const struct trunk *t, uint8_t qos,
                               const struct copies *copies,
                               uint8_t ids[4 * MQTT_SUBSCRIPTION_IDS_MAX]);
void record_copies(struct engine *e, const struct trunk *t, uint8_t qos,
                   const struct copies *copies);
void record_copy_mark(struct engine *e, const struct session *s, uint8_t qos,
                      const struct copy_mark *mark);
uint64_t record_filter(struct engine *e, const struct trunk *t, const struct filter *f, uint32_t id,
                       bool lazy);
void record_filter_delete(struct engine *e, const struct trunk *t, const struct filter *f,
                          uint32_t id);
/* STORE_BROKER_PUT, _USE or _DELETE of an own connection. */
uint64_t record_own(struct engine *e, const struct trunk *t, enum store_op op);
/* STORE_BROKER_PUT or STORE_BROKER_USE of the current one. */
uint64_t record_broker(struct engine *e, enum store_op op);
/* The row that says how far identifiers were used: a filter without a name. */
uint64_t record_reserved_id(struct engine *e, uint32_t id);

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
void histories_init(struct engine *e);

/* engine_access.c: what the configuration allows a device */
/* Whose names and rights they are: a session, or a client that has none yet. */
struct party {
    const struct engine_client *client; /* NULL: no section, everything is allowed */
    struct dm_span client_id;
};
struct party party_of(const struct session *s);
/* With the configuration section that the client id matches. */
struct party party_named(const struct engine *e, struct dm_span client_id);
struct party party_among(const struct engine_options *options, struct dm_span client_id);
/* Its client id alone. */
bool access_is_known(const struct engine *e, const struct party *party);
/* It may be at this address. */
bool access_is_here(const struct party *party, const struct dm_address *address);
/* Names and filters are the device's. */
bool access_publish(struct engine *e, const struct party *party, struct dm_span name);
bool access_subscribe(struct engine *e, const struct party *party, struct dm_span filter);
/* Whether it is one of the gateway's own topics; a name of the broker without its prefix. */
bool access_is_own(const struct engine *e, struct dm_span name);
/* Counts and logs; `what` it tried, and with which topic (empty: with none). */
void access_denied(struct engine *e, struct dm_span client_id, const char *what,
                   struct dm_span topic);
/* After a start: ends what the configuration allows no more. */
void access_review(struct engine *e);

/* engine_own.c */
/* NULL: there is none (any more). */
struct trunk *trunk_find(struct engine *e, uint64_t connection);
/* To be looked at after this input: what it wants may have changed, or it may have something to
 * acknowledge. Nothing happens to the shared one. */
void trunk_touch(struct engine *e, struct trunk *t);
/* It waits for the disk. */
void trunk_block(struct engine *e, struct trunk *t);
struct trunk *own_new(struct engine *e, uint64_t connection, struct dm_span client_id);
void own_free(struct engine *e, struct trunk *t);
void own_free_all(struct engine *e);
/* False: a client without a session cannot have one now (congestion). */
bool own_is_possible(const struct engine *e);
/* A session begins that has one. `known`: its client had one before, and need not wait for the
 * broker. False: no memory. */
bool own_begin(struct engine *e, struct session *s, bool clean, bool known);
/* The device says CONNECT. True: the broker is asked first, and the answer follows. */
bool own_asks(struct engine *e, struct session *s);
void own_connected(struct engine *e, struct trunk *t, bool present);
void own_disconnected(struct engine *e, struct trunk *t, enum upstream_end why);
/* The session is about to be freed. */
void own_detach(struct engine *e, struct session *s);
/* At the end of every input. */
void own_settle(struct engine *e);
void own_committed(struct engine *e);
void own_due_at(struct engine *e, uint64_t at_ms);
void own_time(struct engine *e);
enum dm_result own_load(struct engine *e, const struct store_record *record);
/* False: no memory. */
bool own_attach(struct engine *e, struct session *s, uint8_t upstream);
void own_start(struct engine *e);
/* With other options, refused ones that have ended may get through. */
void own_reconfigure(struct engine *e);

/* engine_load.c */
void unmapped_free(struct engine *e);

/* engine_connect.c */
void handle_connect(struct engine *e, const struct dm_address *from,
                    const struct mqttsn_packet *packet);
/* What a device asks for with CONNECT, and WILLTOPIC and WILLMSG if it has a will. */
struct connect {
    struct dm_span client_id;
    uint16_t keepalive_s;
    bool clean;
    bool replaces_will;
    struct will *will; /* taken over; NULL: none */
};

/* CONNACK, held until journal number `needs` is durable. */
void connect_answer(struct engine *e, const struct dm_address *to, uint64_t needs,
                    enum mqttsn_return_code code);
void connect_refuse(struct engine *e, const struct dm_address *from, struct dm_span client_id,
                    enum mqttsn_return_code code);
void connect_accept(struct engine *e, const struct dm_address *from, const struct connect *request);

/* engine_handshake.c */
/* How long one may stand still: as long as the most patient device needs (R23). */
uint64_t handshake_patience(const struct engine_options *options);
/* The one from this address; NULL: none. */
struct handshake *handshake_find(const struct engine *e, const struct dm_address *address);
/* Asks for the will topic. `s`: the client's session, NULL if it has none. */
void handshake_start(struct engine *e, const struct dm_address *from, struct session *s,
                     const struct connect *request);
/* True: the CONNECT repeats one that is being answered, and was answered again. */
bool handshake_repeated(struct engine *e, const struct dm_address *from,
                        const struct mqttsn_packet *packet, const struct connect *request);
void handle_willtopic(struct engine *e, const struct dm_address *from, struct session *s,
                      const struct mqttsn_packet *packet);
void handle_willmsg(struct engine *e, const struct dm_address *from, struct session *s,
                    const struct mqttsn_packet *packet);
void handshake_free(struct engine *e, struct handshake *h);
/* Ends the one of the session, if there is one; what waits is sent by the caller. */
void handshake_end(struct engine *e, struct session *s);
void handshake_timeout(struct engine *e);
uint64_t handshake_deadline(const struct engine *e);
void handle_disconnect(struct engine *e, const struct dm_address *from, struct session *s,
                       const struct mqttsn_packet *packet);
void handle_pingreq(struct engine *e, const struct dm_address *from, struct session *s,
                    const struct mqttsn_packet *packet);
/* The device is gone: what a clean session had is wiped, what a persistent one waits for is kept.
 */
void session_leave(struct engine *e, struct session *s, enum engine_state state);

/* engine_will.c */
/* Whether all wills together may grow by this. */
bool will_has_room(const struct engine *e, size_t octets);
/* NULL: no memory. `topic` may be NULL. */
struct will *will_new(struct engine *e, struct name *topic, struct dm_span message, uint8_t qos,
                      bool retain);
void will_free(struct engine *e, struct will *will);
/* Replaces the session's will, NULL: deletes it. Takes `will` over. Records what changes. */
void will_set(struct engine *e, struct session *s, struct will *will);
bool will_topic_is_valid(struct dm_span topic);
/* The broker's name; empty: the device may not have this will topic. */
struct dm_span will_take_topic(struct engine *e, const struct party *party, struct dm_span topic);
/* Of a SUBSCRIBE or a will: 0b11 counts as 0 (R44). */
static inline uint8_t
requested_qos(const struct mqttsn_packet *packet)
{
    return packet->qos > 0 ? (uint8_t)packet->qos : 0;
}
void handle_willtopicupd(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
void handle_willmsgupd(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
/* Puts the will of a device that is lost among the uplinks; to be sent by will_send after the
 * transition is recorded. NULL: there is none to publish. */
struct uplink *will_spool(struct engine *e, struct session *s);
void will_send(struct engine *e, struct trunk *t, struct uplink *will);

/* engine_discovery.c */
void handle_searchgw(struct engine *e, const struct dm_address *from,
                     const struct mqttsn_packet *packet);
void handle_advertise(struct engine *e, const struct mqttsn_packet *packet);
/* A gateway that stands by shows itself only when the other has fallen silent (R12). */
bool discovery_is_silent(const struct engine *e);
void discovery_start(struct engine *e);
/* Another period. */
void discovery_reconfigure(struct engine *e);
void discovery_connected(struct engine *e);
void discovery_timeout(struct engine *e);
uint64_t discovery_deadline(const struct engine *e);

/* engine_index.c */
uint32_t hash_session(const struct session *s); /* by its number */
uint32_t hash_inbound(const void *item);
/* Tells messages of one id apart; 63 bits. Kept in the database. */
uint64_t content_of(struct dm_span topic, uint8_t qos, struct dm_span payload, bool retain);
uint32_t hash_address(const struct dm_address *address);
void indexes_init(struct engine *e);
void trunk_indexes_init(struct trunk *t);
void trunk_indexes_fini(struct trunk *t);

/* engine_changes.c */
/* `news`: more than a sign of life. */
void change_note(struct engine *e, struct session *s, bool news);
/* The session is about to be freed. */
void change_end(struct engine *e, struct session *s);
/* All sessions of the store are loaded. */
void changes_start(struct engine *e);
void changes_init(struct engine *e);
void changes_free(struct engine *e);
/* engine_names.c: between the names of devices and of the broker */
/* False: no memory. */
bool names_init(struct engine *e);
/* Makes sure that name_down and filter_next_match work for a broker's name as long as this. False:
 * no memory. */
bool names_have_room(struct engine *e, struct dm_span name);
/* The broker's name or filter of a device's; empty: the device cannot have it. Borrowed until the
 * next call. */
struct dm_span name_up(struct engine *e, const struct party *party, struct dm_span name);
/* The reverse; the result is part of `name` or in `buffer`. Empty: no device name of this client.
 */
struct dm_span name_down(const struct engine *e, const struct party *party, struct dm_span name,
                         struct buffer *buffer);
/* The same for a session; borrowed until the next call or name_reaches. */
struct dm_span name_of_session(struct engine *e, const struct session *s, const struct name *name);
/* For people: the broker's name if there is no other. */
struct dm_span name_shown(const struct engine *e, const struct session *s, const struct name *name,
                          struct buffer *buffer);
/* Whether a topic that matches the filter at the broker does so in the names of the device. */
bool name_reaches(struct engine *e, const struct subscription *sub, struct dm_span name);
/* The same, and it does match at the broker. */
bool name_matches(struct engine *e, const struct subscription *sub, struct dm_span name);

/* engine_topics.c */
struct name *name_get(struct engine *e,
                      struct dm_span text); /* takes a reference; NULL: no memory */
struct name *name_find(const struct engine *e, struct dm_span text); /* takes none */
struct name *name_ref(struct name *name);
void name_unref(struct engine *e, struct name *name);
struct dm_span name_span(const struct name *name);
/* Name of a pre-defined id: of the client, the link or all; borrowed until the next call. Empty:
 * unknown. `s` may be NULL. */
struct dm_span topic_predefined_name(struct engine *e, uint8_t link, const struct session *s,
                                     uint16_t id);
/* The device knows this id (reference 2.5, 5). */
void topic_note_predefined(struct engine *e, struct session *s, uint16_t id);
void predefined_free(struct engine *e, struct session *s);
struct registration *registration_by_id(const struct session *s, uint16_t id);
struct registration *registration_by_name(const struct session *s, const struct name *name);
/* Finds or makes; NULL: table full or no memory. *made tells whether it is new. */
struct registration *registration_get(struct engine *e, struct session *s, struct name *name,
                                      bool *made);
/* The device is told the id by the REGACK or SUBACK that follows. */
void registration_tell(struct engine *e, struct session *s, struct registration *r);
struct registration *registration_load(struct engine *e, struct session *s, struct name *name,
                                       uint16_t id, uint32_t epoch);
void registrations_free(struct engine *e, struct session *s);
void handle_register(struct engine *e, struct session *s, const struct mqttsn_packet *packet);

enum topic_choice { TOPIC_READY, TOPIC_REGISTER, TOPIC_REFUSED };
/* Which id a PUBLISH of `name` to the device carries (reference 2.5); TOPIC_REGISTER: after this id
 * was registered. */
enum topic_choice topic_for_device(struct engine *e, struct session *s, struct name *name,
                                   enum mqttsn_topic_type *type, uint16_t *id);
/* Gives the name an id now if it will need one (design 1: committed with the message). */
void topic_prepare(struct engine *e, struct session *s, struct name *name);

/* engine_subscribe.c */
void handle_subscribe(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
void handle_unsubscribe(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
struct subscription *subscription_find(const struct session *s, const struct name *filter);
struct subscription *subscription_new(struct engine *e, struct session *s, struct name *filter,
                                      uint64_t order);
/* Takes it out of session and filter; the upstream subscription ends with the last one. */
void subscription_remove(struct engine *e, struct subscription *sub, bool record);
/* The same, and tells the broker if it was the last for the filter. */
void subscription_end(struct engine *e, struct subscription *sub, bool record);
void subscription_answer(struct engine *e, struct subscription *sub, enum mqttsn_return_code code);

/* engine_filter.c: what the broker holds for all of them */
/* Leaves out the identifiers that the broker may hold a filter under without our knowing. */
void upstream_ids_start(struct engine *e);
/* Gives new ones to subscriptions whose filter is another one at the broker than before. */
void upstream_ids_renew(struct engine *e);
/* Records how far they were used. */
void upstream_ids_reserve(struct engine *e);
uint32_t upstream_id_take(struct engine *e, const struct trunk *t);
struct filter *filter_find(const struct trunk *t, const struct name *name);
struct filter *filter_get(struct engine *e, struct trunk *t, struct name *name);
/* All of them, in no order, as pointer_index_next does; none may be made meanwhile. */
struct filter *filter_next(const struct trunk *t, struct pointer_index_place *at);
/* NULL behind the last; those first that the broker holds for the longest time. To be freed; NULL:
 * no memory. */
struct filter **filters_by_age(const struct trunk *t);
/* Whether the broker surely sends copies for it. */
bool filter_is_held(const struct filter *f);
/* The broker holds it under this identifier, whose meaning is known. */
void filter_hold(struct engine *e, struct trunk *t, struct filter *f, uint32_t id);
/* The broker does not hold it any more. `rows`: those of its identifiers have to go; else all that
 * the broker has of us is gone. */
void filter_release(struct engine *e, struct trunk *t, struct filter *f, bool rows);
void filter_drop_if_unused(struct engine *e, struct trunk *t, struct filter *f);
/* Rows were loaded: an UNSUBSCRIBE may have reached the broker without its answer reaching the
 * disk. */
void filters_review(struct trunk *t);
/* Keeps the rows of the broker that is left, and forgets what it holds. */
void filters_leave(struct engine *e);

/* engine_match.c: filters with wildcards */
void shapes_init(struct trunk *t);
/* A filter comes. False: no memory. */
bool shape_note(struct trunk *t, struct dm_span filter);
/* It goes. */
void shape_forget(struct trunk *t, struct dm_span filter);
/* Begins with zeros. */
struct match_place {
    bool begun;
    struct pointer_index_place shape;
};
/* The filters that match a name of the broker, one after the other, in no order. Meanwhile filters
 * may go, but none may come. NULL: that was the last. */
struct filter *filter_next_match(struct engine *e, const struct trunk *t, const struct name *topic,
                                 struct match_place *at);

/* engine_filter_id.c: the identifiers that the broker has them under */
/* Leaves out the identifiers that the broker may hold a filter under without our knowing. */
void upstream_ids_start(struct engine *e);
/* Gives new ones to subscriptions whose filter is another one at the broker than before. */
void upstream_ids_renew(struct engine *e);
/* Records how far they were used. */
void upstream_ids_reserve(struct engine *e);
uint32_t upstream_id_take(struct engine *e, const struct trunk *t);
/* NULL: what it means is not known. */
struct filter *filter_by_id(const struct trunk *t, uint32_t id);
/* NULL: no subscription has it now. */
struct subscription *subscription_by_id(const struct trunk *t, uint32_t id);
/* The subscription has this identifier from now on, unless it means another filter. False: no
 * memory. */
bool subscription_identify(struct engine *e, struct subscription *sub, uint32_t id);
/* It has no identifier any more, and its row goes or changes. What it meant is remembered if the
 * broker may have got it. */
void subscription_forget_id(struct engine *e, struct subscription *sub);
/* Copies may carry it. False: no memory. */
bool filter_id_know(struct engine *e, struct trunk *t, struct filter *f, uint32_t id);
/* It is what the filter is held under from now on. */
void filter_id_hold(struct engine *e, struct trunk *t, struct filter *f, uint32_t id);
/* There is a row with this identifier. False: no memory, and nobody will delete it. */
bool filter_id_has_row(struct engine *e, struct trunk *t, struct filter *f, uint32_t id);
/* Such a row was recorded just now. */
void filter_id_stored(struct engine *e, struct trunk *t, struct filter *f, uint32_t id);
bool filter_has_rows(const struct filter *f);
/* Deletes the rows. */
void filter_ids_unstore(struct engine *e, const struct trunk *t, struct filter *f);
/* Forgets what they mean; the rows stay or are gone. */
void filter_ids_free(struct engine *e, struct trunk *t, struct filter *f);
/* The rows are those of a broker that is not the current one any more. */
void filter_ids_keep(struct engine *e, const struct filter *f);

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

/* engine_publish.c: PUBLISH of devices */
void handle_publish(struct engine *e, const struct dm_address *from, struct session *s,
                    const struct mqttsn_packet *packet);
void handle_pubrel(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
void send_puback(struct engine *e, struct session *s, uint64_t needs, uint16_t topic_id,
                 uint16_t msg_id, enum mqttsn_return_code code);
void send_pubrec(struct engine *e, struct session *s, uint64_t needs, uint16_t msg_id);
bool received_load(struct engine *e, struct session *s, uint16_t msg_id, uint64_t content);
void received_remove(struct engine *e, struct session *s, uint16_t msg_id);
void received_free(struct session *s);

/* engine_uplink.c: on the way to the broker */
/* At the end of the list, not recorded. NULL: no memory. */
struct uplink *uplink_new(struct engine *e, struct trunk *t, uint64_t session, struct name *topic,
                          struct dm_span payload);
void uplink_free(struct engine *e, struct trunk *t, struct uplink *u);
void uplink_store(struct engine *e, struct uplink *u);
void uplink_answer(struct engine *e, struct uplink *u, enum mqttsn_return_code code);
/* The device waits for the answer; after so long it gets it from the store. */
void uplink_await(struct engine *e, struct trunk *t, struct uplink *u, uint64_t store_after_ms);
bool uplink_has_room(const struct engine *e, size_t octets);
void uplink_pump(struct engine *e, struct trunk *t);
enum dm_result uplink_load(struct engine *e, struct trunk *t, const struct store_record *record);
void uplink_connected(struct engine *e, struct trunk *t, bool session_present);
void uplink_disconnected(struct engine *e, struct trunk *t);
/* PUBACK, PUBREC and PUBCOMP of the broker. */
void uplink_acknowledged(struct engine *e, struct trunk *t, const struct mqtt_packet *packet);
void uplink_time(struct engine *e, struct trunk *t);
uint64_t uplink_deadline(const struct trunk *t);
void uplinks_free(struct engine *e, struct trunk *t);

/* engine_owed.c */
enum dm_result uplink_load_release(struct trunk *t, uint16_t packet_id);
/* A row of the broker that is entered again. */
enum dm_result uplink_take_release(struct engine *e, const struct store_record *record);
/* The broker is left for another one, which gets as new what was not finished. */
void uplinks_leave(struct engine *e);
/* What was finished elsewhere ends at this broker before anything new begins. */
void owed_send(struct engine *e, struct trunk *t, bool session_present);
/* PUBCOMP. */
void owed_done(struct engine *e, struct trunk *t, uint16_t packet_id);
void owed_clear(struct trunk *t);

/* engine_upstream.c */
uint16_t packet_id_take(struct trunk *t);
void packet_id_reserve(struct trunk *t, uint16_t id);
void packet_id_release(struct trunk *t, uint16_t id);
void packet_ids_free(struct trunk *t); /* of an own connection */
void upstream_subscribe(struct engine *e, struct trunk *t, struct name *filter,
                        const struct session *s, uint32_t upstream_id, bool retained, uint64_t seq);
void upstream_unsubscribe(struct engine *e, struct trunk *t, struct name *filter);
struct upstream_message {
    const struct name *name;
    struct dm_span payload;
    uint64_t needs; /* journal number */
    uint16_t packet_id;
    uint8_t qos;
    bool retain, dup;
};
/* False: the broker can never take it. */
bool upstream_publish(struct engine *e, struct trunk *t, const struct upstream_message *message);
void upstream_free(struct engine *e, struct trunk *t);
/* The broker's name of a name or filter, with the gateway's prefix; borrowed until the next call.
 */
struct dm_span upstream_name(struct engine *e, struct dm_span name);
/* The connection is gone. */
void upstream_down(struct engine *e, struct trunk *t);

/* engine_broker.c */
uint32_t broker_number(const struct engine *e); /* of the current one */
/* Number in the rows of the connection. */
uint64_t trunk_broker(const struct engine *e, const struct trunk *t);
bool broker_is_known(const struct engine *e); /* the current one holds, or may hold, our session */
bool broker_is_current(const struct engine *e, uint64_t number);
/* Makes the configured broker the current one. */
void broker_enter(struct engine *e, size_t index);
/* Keeps a row of the current one, which is left. */
void broker_keep(struct engine *e, const struct store_record *record);
enum dm_result broker_load(struct engine *e, const struct store_record *record);
/* Keeps a row of one that is not the current one. */
enum dm_result broker_load_row(struct engine *e, const struct store_record *record);
/* The same keys, but in other memory than those of `old`. */
void brokers_reconfigure(struct engine *e, const struct engine_options *old);
void brokers_free(struct engine *e);

/* engine_load.c */
enum dm_result filter_load(struct engine *e, struct trunk *t, const struct store_record *record);

/* engine_inbound.c */
void inbound_message(struct engine *e, struct trunk *t, const struct mqtt_packet *packet);
void inbound_pubrel(struct engine *e, struct trunk *t, const struct mqtt_packet *packet);
bool inbound_load(struct trunk *t, uint16_t packet_id, uint64_t content);
/* Acknowledges to the broker, in order, what is done or committed. */
void inbound_flush_trunk(struct engine *e, struct trunk *t);
/* The same of all that may have something, at the end of an input: see own_settle. */
void inbound_flush(struct engine *e);
void inbound_settled(struct engine *e, struct message *m, uint64_t seq);
/* What the device did not take before it left is not acknowledged: the broker has it (hold =
 * broker). */
void inbound_hand_back(struct engine *e, struct session *s);
/* A QoS 2 message that is held at the broker is the device's now, and comes no more. */
void inbound_take(struct engine *e, struct session *s, struct delivery *d);
bool inbound_is_taken(struct trunk *t, uint16_t packet_id);
/* The message of an acknowledgement is gone from memory. */
void inbound_forget_message(struct inbound *in);
/* The broker has forgotten all of them. */
void inbound_forget_all(struct engine *e, struct trunk *t);
/* The broker is left: QoS 2 is kept as rows; what it sent with QoS 1 may come twice. */
void inbound_leave(struct engine *e);
/* What is not acknowledged will come again. */
void inbound_disconnected(struct trunk *t);
/* A message of the store that the broker may send again. False: no memory. */
bool inbound_expect(struct engine *e, struct message *m);
void inbound_expect_no_more(struct engine *e, struct trunk *t);

/* engine_route.c: a message of the broker to its recipients */
void route_message(struct engine *e, struct trunk *t, struct message *m,
                   const struct mqtt_packet *packet);
/* What an earlier process knew. DM_MALFORMED: such a row cannot be. */
enum dm_result route_load(struct engine *e, struct trunk *t, const struct store_record *record);
/* The broker has forgotten all it had to send. */
void route_forget(struct trunk *t);
/* The broker is left: what is known of the copies it sends is kept as rows. */
void route_leave(struct engine *e);
/* A subscription of the session ends. */
void route_disturb(struct engine *e, struct session *s);

#endif
