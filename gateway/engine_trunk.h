/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to the broker: what it is subscribed to, and the messages on it in both directions.
 */
#ifndef DORMOUSE_ENGINE_TRUNK_H
#define DORMOUSE_ENGINE_TRUNK_H

#include "engine_session.h"

enum { RECENT_REQUESTS = 8 }; /* SUBSCRIBEs a retained MQTT 3.1.1 message may belong to */

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

/* A QoS 2 message that a broker got in part and that was finished elsewhere: PUBREL ends it. */
struct owed {
    struct owed *prev, *next;
    uint16_t packet_id;
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

/* engine_filter.c: what the broker holds for all of them */
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
/* The same for one, if a row of the broker that is entered says that its identifier means `f`. */
void subscription_yield_id(struct engine *e, struct trunk *t, uint32_t id, const struct filter *f);
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
