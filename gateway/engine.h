/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: every protocol decision of the gateway, without I/O and without a clock. Inputs are
 * events with the time; output is an ordered sequence of effects. Rule numbers (R.., M..) are those
 * of the MQTT-SN 1.2 reference, "design" is design.md.
 */
#ifndef DORMOUSE_ENGINE_H
#define DORMOUSE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/address.h>
#include <dormouse/mqttsn.h>
#include <dormouse/result.h>

#include "mqtt.h"
#include "store.h"
#include "topic_map.h"
#include "upstream.h"

#define ENGINE_NEVER UINT64_MAX

/* The engine uses every packet id but this one, which is for the gateway's own topics. */
#define ENGINE_FOREIGN_PACKET_ID UINT16_MAX

/* The receive maximum of own connections: so many messages wait here for a device that sleeps. */
#define ENGINE_OWN_RECEIVE_MAXIMUM 16

/* What a message costs besides topic and payload, in total_bytes and spool_bytes. */
#define ENGINE_MESSAGE_OVERHEAD 128

enum engine_effect_type {
    ENGINE_SEND,      /* `packet` to the device at `address` */
    ENGINE_BROADCAST, /* `packet` to all on link address.link, within `radius`; has_address: who
                       * asked
                       */
    ENGINE_WITHDRAW,  /* what is still held for `address` is not sent: the device has moved on, or
                       * begins a new connection */
    ENGINE_UPSTREAM,  /* `upstream` to the broker over `connection`; dropped if that changed
                       * meanwhile */
    ENGINE_OPEN,      /* `connection` is wanted, as `open` says: the process tries, again and again,
                       * until ENGINE_CLOSE or an end that is not UPSTREAM_LOST. Of one that is open
                       * already: with another will or client section, by a reconnect. */
    ENGINE_CLOSE,     /* `connection` is not wanted any more, as `close` says: the process ends it and
                       * tells nothing of it but engine_upstream_wiped */
    ENGINE_RECORD,    /* `record` to the journal; `address`, if has_address, becomes its text.
                       * STORE_CLOCK_PUT: only clock.gateway_ms is filled in */
};

/* An MQTT connection of one device (`upstream = own`). The session at the broker is persistent. */
struct engine_open {
    struct dm_span client_id;
    const struct engine_client *client; /* its section of the configuration; NULL: none */
    bool clean_start;                   /* the broker's session is wiped before the first connection */
    struct dm_span will_topic;          /* the broker's name, with its prefix; empty: no will */
    struct dm_span will_payload;
    uint8_t will_qos;
    bool will_retain;
};

struct engine_close {
    struct dm_span client_id;           /* and client: as at ENGINE_OPEN; needed for `wipe` of a */
    const struct engine_client *client; /* connection that this process did not open */
    bool wipe;   /* the broker's session ends, too: tried until done, then engine_upstream_wiped */
    bool abrupt; /* without DISCONNECT: the broker publishes the will */
};

/* Spans in it are borrowed during the call of engine_emit only. */
struct engine_effect {
    enum engine_effect_type type;
    /* The journal number that must be durable before this effect may leave; 0: none. Effects that
     * wait leave in the order in which they were emitted among those that need the same number. */
    uint64_t needs;
    struct dm_address address;
    bool has_address;
    uint8_t radius;
    uint64_t connection; /* of effects about the broker; 0: the one that devices share, else the
                          * number of the session whose own it is */
    union {
        struct mqttsn_packet packet;
        struct mqtt_packet upstream;
        struct engine_open open;
        struct engine_close close;
        struct store_record record;
    };
};

/*
 * ENGINE_SEND: DM_FULL makes the engine keep the message and wait for engine_link_room; DM_LATER
 * lets it wait for engine_sent before it counts the time to the answer; every other failure is loss
 * on the radio. ENGINE_UPSTREAM, a PUBLISH: DM_FULL or DM_INVALID say that the
 * broker can never take this packet; DM_IO is a connection that is closing. It must not call the
 * engine.
 */
typedef enum dm_result engine_emit(void *ctx, const struct engine_effect *effect);

enum engine_overflow { ENGINE_DROP_OLDEST, ENGINE_DROP_NEWEST, ENGINE_LATEST };
enum engine_queue_qos0 { ENGINE_QOS0_NEVER, ENGINE_QOS0_ASLEEP, ENGINE_QOS0_ALWAYS };

struct engine_topic { /* a pre-defined topic id */
    uint16_t id;
    const char *name;
};

/* PUBLISH without a connection (R40); NAMES: also those that carry the topic name (R42). */
enum engine_qos_minus_one {
    ENGINE_QOS_MINUS_ONE_NO,
    ENGINE_QOS_MINUS_ONE_IDS,
    ENGINE_QOS_MINUS_ONE_NAMES,
};

struct engine_link {
    uint16_t mtu;      /* octets of the largest message to a device */
    uint64_t pause_ms; /* while it is down, nobody is lost for so long; 0: however long */
    bool up;           /* at the start */
    bool advertise;    /* send ADVERTISE on it */
    enum engine_qos_minus_one qos_minus_one;
    const struct engine_topic *topics;
    size_t topic_count;
};

/* What may differ from client to client. Durations in milliseconds, ENGINE_NEVER = off. */
struct engine_settings {
    uint32_t queue_messages;
    enum engine_overflow overflow;
    uint64_t queue_bytes; /* topic and payload octets */
    enum engine_queue_qos0 queue_qos0;
    uint32_t retry_count;    /* N_retry */
    uint64_t retry_ms;       /* T_retry */
    uint64_t max_age_ms;     /* messages that waited longer are dropped */
    uint64_t expiry_ms;      /* a persistent session without contact is removed after this */
    uint64_t store_after_ms; /* what is not acknowledged for so long is put on disk */
    uint64_t
        awake_max_ms; /* messages that arrive later in an awake period wait for the next (R97) */
    uint32_t tolerance_percent; /* 150 = 1.5 times the keep-alive or sleep duration (R75, R92) */
    bool uplink_ack_store;      /* acknowledge the device from the store, not from the broker */
    bool own;            /* an MQTT connection of its own; counts for sessions that begin */
    bool hold_at_broker; /* own: messages wait at the broker, not here; the same */
    bool will_at_broker; /* own: the broker publishes the will, not the gateway */
    bool resume_ignores_clean;  /* a device that comes back from sleep keeps its session (R100) */
};

/* What is configured for the devices whose client id matches `pattern` ("*" any run of characters,
 * "?" any one); the first that matches counts. */
struct engine_client {
    const char *pattern;
    const struct engine_topic *topics; /* pre-defined ids; "%c" in a name is the client id */
    size_t topic_count;
    const struct engine_settings *settings; /* NULL: those of the engine */
    bool uses_client_id; /* "%c" stands in one of its texts: see topic_section_matches */
    /* Topic filters, with "%c": what it may publish and subscribe to. NULL: everything. */
    const char *const *publish;
    size_t publish_count;
    const char *const *subscribe;
    size_t subscribe_count;
    const char
        *topic_prefix; /* put before its names on the way up; "%c" is the client id; NULL: none */
    const bool *links; /* by link: it may use it; NULL: all */
    const struct dm_address *address; /* the only one; NULL: any */
};

#define ENGINE_NO_GATEWAY (-1)

/* Borrowed for the life of the engine. Durations in milliseconds, ENGINE_NEVER = off. */
struct engine_options {
    const struct engine_link *links;
    size_t link_count;
    const struct engine_topic *topics; /* of every link */
    size_t topic_count;
    const struct engine_client *clients;
    size_t client_count;
    bool reject_unknown;            /* nobody but `clients` may connect */
    const struct topic_rule *rules; /* between names of devices and of the broker */
    size_t rule_count;
    uint8_t gateway_id;    /* GwId */
    int standby_for;       /* GwId of a gateway that is to be replaced when it falls silent (R12);
                            * ENGINE_NO_GATEWAY: none */
    uint64_t advertise_ms; /* T_ADV */
    /* "dormouse/NAME/": the gateway's own topics at the broker. They come to no device through a
     * wildcard, no device may publish there, and changes are tracked for them. "" = none, and nothing is. */
    const char *status_topics;
    struct engine_settings settings; /* of every client that has none of its own */
    const char *topic_prefix; /* put before every name on the way up; "" = none */
    /* Each names a session at a broker: URL and client id. 1 .. UPSTREAM_URLS_MAX. */
    const char *const *broker_keys;
    size_t broker_count;
    uint32_t max_clients;
    uint32_t own_max;         /* own connections at once; 0: any number. Beyond it clients without a
                               * session are told "congestion" */
    uint8_t client_id_max;    /* octets; a longer one is refused (R20) */
    uint64_t total_bytes;     /* all sessions, with ENGINE_MESSAGE_OVERHEAD for each message */
    uint64_t spool_bytes;     /* uplink messages waiting, with ENGINE_MESSAGE_OVERHEAD for each */
    uint16_t receive_maximum; /* messages the broker may have open towards us */
};

enum engine_state {                      /* of a session, R91 and figure 4 of the specification */
                    ENGINE_DISCONNECTED, /* the numbers are recorded in the store */
                    ENGINE_ACTIVE,
                    ENGINE_ASLEEP,
                    ENGINE_LOST,
                    ENGINE_AWAKE, /* recorded as ENGINE_ASLEEP */
                    ENGINE_STATE_COUNT,
};

enum engine_drop {                       /* why a message for a device was given up */
                   ENGINE_DROP_OVERFLOW, /* a limit of the queue */
                   ENGINE_DROP_TOO_LONG, /* longer than the link's mtu (R6) */
                   ENGINE_DROP_REFUSED,  /* the device refused it or its topic (R62, R63) */
                   ENGINE_DROP_QOS0,     /* QoS 0 for a device that is away, not to be queued */
                   ENGINE_DROP_EXPIRED,  /* its MQTT 5 message expiry, or max_age */
                   ENGINE_DROP_OPERATOR, /* the operator gave it up */
                   ENGINE_DROP_COUNT,
};

enum engine_own {                        /* the own connection of a session */
                 ENGINE_OWN_NONE,        /* it shares that of all */
                 ENGINE_OWN_CLOSED,      /* nobody wants it now */
                 ENGINE_OWN_CONNECTING,  /* or waits for its next attempt */
                 ENGINE_OWN_CONNECTED,
                 ENGINE_OWN_REFUSED,     /* the broker does not let the client in */
                 ENGINE_OWN_TAKEN_OVER,  /* another connection has the client id */
                 ENGINE_OWN_COUNT,
};

struct engine_status {
    size_t sessions[ENGINE_STATE_COUNT];
    uint64_t queued_messages, queued_octets;
    uint64_t dropped[ENGINE_DROP_COUNT];
    uint64_t spooled_messages, spooled_octets;
    uint64_t uplink_messages;   /* accepted from devices */
    uint64_t uplink_dropped;    /* QoS 0 or QoS -1 while the broker was away or did not take more */
    uint64_t uplink_refused;    /* QoS 1 that the broker does not take */
    uint64_t downlink_messages; /* delivered to devices */
    uint64_t ignored;           /* well-formed messages that no rule answers */
    size_t wills;               /* sessions with one that is published when they are lost */
    uint64_t wills_published;
    uint64_t will_octets; /* topics and messages of all wills kept */
    size_t handshakes;    /* connections with a will being set up */
    uint64_t awake_periods, awake_ms; /* of sleepers, from PINGREQ to PINGRESP; of all together */
    uint64_t advertised;  /* ADVERTISE messages sent */
    uint64_t searches;    /* SEARCHGW answered */
    bool standing_by;     /* silent, because another gateway is there (R12) */
    size_t own[ENGINE_OWN_COUNT]; /* sessions, by their connection */
    size_t own_ending; /* ended sessions whose last messages or wipe the broker has not had yet */
    uint64_t refused;     /* messages of unknown or disconnected peers */
    uint64_t denied;      /* what the configuration does not allow a device */
    bool degraded;
};

struct engine_session_status {
    struct dm_span client_id;
    bool clean;
    bool will;           /* it has one that is published when it is lost */
    const char *section; /* pattern of its [client] section; NULL: none */
    enum engine_state state;
    bool has_address;
    struct dm_address address;
    bool heard;               /* since the start */
    uint64_t last_contact_ms; /* age */
    uint16_t keepalive_s, sleep_s;
    size_t subscription_count;
    const struct dm_span *subscriptions; /* filters */
    size_t topic_count;
    size_t queued_messages;
    uint64_t queued_octets;
    uint64_t delivered, dropped;
    enum engine_own own;
    uint64_t connection; /* as in effects */
    bool hold_at_broker;
    bool own_waits; /* the configuration wants it otherwise: from its next new session on */
};

struct engine;

/* NULL: no memory. Emits nothing before engine_start. */
struct engine *engine_new(const struct engine_options *options, engine_emit *emit, void *ctx);
void engine_free(struct engine *engine);

/* Before engine_start, once for each row of the store in the order of store.h. `address` is the
 * parsed form of record->address, NULL if there is none or its link is gone. */
enum dm_result engine_load(struct engine *engine, const struct store_record *record,
                           const struct dm_address *address);
/* All rows are loaded. Sessions get one full period of grace (design section 1 rule 3). */
void engine_start(struct engine *engine, uint64_t now_ms);

/* The gateway's time, which goes on over restarts and in which messages expire, is now_ms +
 * `offset_ms`. Before engine_start, and whenever the offset changes; without a call it is 0. */
void engine_clock(struct engine *engine, uint64_t now_ms, int64_t offset_ms);

void engine_datagram(struct engine *engine, uint64_t now_ms, const struct dm_address *from,
                     const struct mqttsn_packet *packet);
void engine_link(struct engine *engine, uint64_t now_ms, uint8_t link, bool up);
/* The link's transmit queue has room again after DM_FULL. */
void engine_link_room(struct engine *engine, uint64_t now_ms, uint8_t link);
/* What DM_LATER was said of has left: from now on the answer is awaited. */
void engine_sent(struct engine *engine, uint64_t now_ms, const struct dm_address *to);
/* The same as DM_LATER, of an effect that was held until its record was durable. */
void engine_late(struct engine *engine, const struct dm_address *to);
/* The radio takes only so large messages. */
void engine_link_mtu(struct engine *engine, uint8_t link, uint16_t mtu);
/* So much waits for the link already that requests are answered with "congestion". */
void engine_link_congested(struct engine *engine, uint8_t link, bool congested);

/* The section of the configuration that the client id matches; NULL: none. */
const struct engine_client *engine_client_of(const struct engine *engine,
                                             struct dm_span client_id);

/* Whether the next connection to this broker must begin with Clean Start 1: nothing of ours is known
 * to be there. */
bool engine_needs_clean_start(const struct engine *engine, size_t broker);
/* No exchange with the broker is open. */
bool engine_upstream_is_idle(const struct engine *engine);
/* `connection` as in effects. One that is not known (any more) is ignored. Nothing may be told of an
 * own one from ENGINE_CLOSE on, even while that is held. */
void engine_upstream_connected(struct engine *engine, uint64_t now_ms, uint64_t connection,
                               const struct upstream_session *session);
/* Of an own connection also without engine_upstream_connected before: UPSTREAM_LOST, an attempt has
 * failed or may not be made now (own_max); the devices that wait for it are told so. */
void engine_upstream_disconnected(struct engine *engine, uint64_t now_ms, uint64_t connection,
                                  enum upstream_end why);
void engine_upstream_packet(struct engine *engine, uint64_t now_ms, uint64_t connection,
                            const struct mqtt_packet *packet);
/* What ENGINE_CLOSE with `wipe` asked for is done: the broker has no session of the client id. */
void engine_upstream_wiped(struct engine *engine, uint64_t now_ms, uint64_t connection);

/* Everything through journal number `seq` is durable. Held effects have left before this call. */
void engine_committed(struct engine *engine, uint64_t now_ms, uint64_t seq);
void engine_store_degraded(struct engine *engine, bool degraded);

/* Runs what is due; engine_next_deadline tells when to call it next (ENGINE_NEVER: not needed). Who
 * calls more than a second too late was suspended: nobody is lost by the silence of that time. */
void engine_time(struct engine *engine, uint64_t now_ms);
uint64_t engine_next_deadline(const struct engine *engine);

/* Operator: ends the session and wipes it. DM_NOT_FOUND. */
enum dm_result engine_forget(struct engine *engine, uint64_t now_ms, struct dm_span client_id);
/* Operator: gives up the messages that wait for the device, except those that it may hold already
 * (design section 1 rule 2). The numbers of both. DM_NOT_FOUND. */
enum dm_result engine_drop_queue(struct engine *engine, uint64_t now_ms, struct dm_span client_id,
                                 size_t *dropped, size_t *kept);
/* Operator: ends the connection as DISCONNECT of the device would; an awake or active device is
 * told. A clean session ends, no will is published. DM_NOT_FOUND; DM_INVALID: not connected. */
enum dm_result engine_disconnect(struct engine *engine, uint64_t now_ms, struct dm_span client_id);
/* Other options from now on, with the same links, prefixes, rules, broker key and status topics; the old ones
 * are not looked at any more. What waits already stays, whatever the new limits, but for max_age. */
void engine_reconfigure(struct engine *engine, uint64_t now_ms,
                        const struct engine_options *options);
/* Orderly shutdown: records what is kept in memory only (QoS 0 for sleeping devices). */
void engine_shutdown(struct engine *engine, uint64_t now_ms);

void engine_status(const struct engine *engine, struct engine_status *status);
bool engine_is_degraded(const struct engine *engine);
typedef void engine_visit(void *ctx, const struct engine_session_status *session);
/* Calls visit for each session, in order of creation; borrowed during the call. */
void engine_each_session(const struct engine *engine, uint64_t now_ms, engine_visit *visit,
                         void *ctx);
const char *engine_state_name(enum engine_state state);
/* "connected"; ENGINE_OWN_NONE: "shared". */
const char *engine_own_name(enum engine_own own);
/* As in JSON and metrics: "overflow". */
const char *engine_drop_name(enum engine_drop drop);

#endif
