/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store contract: a journal of records that become durable in order, and are read back only at
 * start. Appending never blocks: one thread commits batch after batch (group commit).
 */
#ifndef DORMOUSE_STORE_H
#define DORMOUSE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/result.h>
#include <dormouse/span.h>

struct event_base;

enum store_op {
    /* key: session. client_id, clean, mode, keepalive_s, sleep_s, epoch, msg_id (the last that was
     * given to a message), upstream, address */
    STORE_SESSION_PUT,
    /* The session and its will, topics, subscriptions, deliveries, received messages and copies.
     * Message bodies are deleted by records of their own. */
    STORE_SESSION_DELETE,
    /* key: session. name (topic; empty: none yet), payload, qos, retain */
    STORE_WILL_PUT,
    STORE_WILL_DELETE,
    /* key: session, msg_id of a QoS 2 message from the device whose PUBREL has not come. content */
    STORE_RECEIVED_PUT,
    STORE_RECEIVED_DELETE,
    /* key: session, topic_id. name, epoch (the connection in which the device knows it) */
    STORE_TOPIC_PUT,
    /* key: session, name (the filter). topic_type, topic_id, qos, upstream_id, order */
    STORE_SUBSCRIPTION_PUT,
    STORE_SUBSCRIPTION_DELETE,
    /* key: message. name (topic), payload, qos, retain, expires, packet_id (of `broker`, if it has
     * QoS 1 and was not acknowledged), broker */
    STORE_MESSAGE_PUT,
    STORE_MESSAGE_DELETE,
    /* key: session, order. message, msg_id, qos, sent, released (QoS 2: PUBREC came, PUBREL is
     * owed), expires (for this session; its message may do so earlier) */
    STORE_DELIVERY_PUT,
    STORE_DELIVERY_DELETE,
    /* key: order. session, msg_id, packet_id (0: never sent to the broker used last), name,
       payload, qos, retain */
    STORE_SPOOL_PUT,
    STORE_SPOOL_DELETE,
    /* key: broker, packet_id of a QoS 2 message from it whose PUBREL has not come. content */
    STORE_INBOUND_PUT,
    STORE_INBOUND_DELETE,
    /* key: broker, packet_id of a QoS 2 message to it whose PUBREC came: PUBREL is owed. Of a
     * broker that was left: order (in the spool; 0: not known), sent (PUBREC had not come) */
    STORE_RELEASE_PUT,
    STORE_RELEASE_DELETE,
    /* key: broker, name (a filter), upstream_id (an identifier that the broker may put on its
     * messages). order: since when the broker holds it, on the scale of the orders of
     * subscriptions; 0: perhaps not at all. The row without broker, name and identifier: order is
     * the highest one given out. */
    STORE_FILTER_PUT,
    STORE_FILTER_DELETE,
    /* key: broker. name identifies the broker session that inbound, release, filter and copy with
     * this number belong to, order counts: the highest is the one used last. Putting it deletes all
     * their rows first; using it does not; deleting it deletes them, too. From
     * STORE_OWN_BROKERS on: the session of an own connection, that number + session; name is the
     * client id, order what enum own_note of the engine says. It may outlive its session. */
    STORE_BROKER_PUT,
    STORE_BROKER_USE,
    STORE_BROKER_DELETE,
    /* key: session, broker, qos. The message of this QoS that the broker sends copies of, one for
     * each filter. Session 0: message (a number of its own), content, order (the age of the newest
     * subscription at the first copy), payload (identifiers of the filters whose copies came, 4
     * octets each, big endian). A session: message (the same number), taken. */
    STORE_COPY_PUT,
    /* One row: the gateway's time `clock.gateway_ms` was `clock.boot_ms` of CLOCK_BOOTTIME in the
     * boot that `name` identifies, and clock.wall_ms (0: not known) by the wall clock. */
    STORE_CLOCK_PUT,
};

#define STORE_OWN_BROKERS 16

/* One row or its deletion. Fields an op does not name are ignored. PUT replaces by key. Spans are
 * borrowed during the call. Numbers of 64 bits are below 2^63. A message, a
 * delivery and a spooled message have keys that are never used again, and a delivery never changes
 * its message. */
struct store_record {
    enum store_op op;
    bool lazy; /* nobody waits for it: may be written up to a second later */
    bool clean, retain, sent, released;
    bool taken;   /* the session has the message, or a place for it in its queue */
    uint8_t mode; /* enum session_mode of the engine */
    uint8_t qos;
    uint8_t topic_type;
    uint8_t upstream; /* 0: the shared connection, 1: its own, 2: its own and the queue is there */
    uint16_t topic_id, msg_id, packet_id;
    uint16_t keepalive_s, sleep_s;
    uint64_t broker; /* number */
    uint32_t upstream_id;
    uint32_t epoch;
    uint64_t session;
    uint64_t message;
    uint64_t order;
    uint64_t content; /* hash of topic and payload; 0: not known */
    uint64_t expires; /* gateway time in milliseconds; 0: never */
    struct {
        uint64_t gateway_ms, boot_ms, wall_ms;
    } clock;
    struct dm_span client_id;
    struct dm_span name;
    struct dm_span payload;
    struct dm_span address; /* text, see transport_address_text; empty: none */
};

struct store_events {
    void *ctx;
    /* Everything up to and including journal number `seq` is durable. From the event loop. */
    void (*on_committed)(void *ctx, uint64_t seq);
    /* The disk refuses (true) or works again (false). What was appended is kept and retried. */
    void (*on_degraded)(void *ctx, bool degraded);
};

struct store_status {
    bool degraded;
    char path[256];
    char error[160];
    uint64_t appended, committed; /* journal numbers */
    uint64_t commits;             /* transactions */
    uint64_t rows;                /* rows written or deleted */
    uint64_t annihilated;         /* records that met their deletion before a commit */
    uint64_t file_octets;         /* database and write-ahead log */
    uint64_t free_octets;         /* of these: unused, for the next rows */
    uint64_t written_octets;      /* to both since the start */
    uint64_t last_commit_us, max_commit_us;
};

struct store;

struct store_ops {
    /* Copies the record into the open batch; returns its journal number (1, 2, 3, ...). 0: no
     * memory. */
    uint64_t (*append)(struct store *store, const struct store_record *record);
    /* The turn is over: hands the open batch to the writer, which waits for that. */
    void (*flush)(struct store *store);
    void (*status)(const struct store *store, struct store_status *status);
    /* Commits what is pending, at most `timeout_ms` long, and frees. True if all is durable. Calls
     * no event. */
    bool (*close)(struct store *store, unsigned timeout_ms);
};

struct store {
    const struct store_ops *ops;
};

typedef enum dm_result store_visit(void *ctx, const struct store_record *record);

struct store_options {
    const char *directory; /* state directory; created with 0700 if missing */
    bool sync_full;        /* false: synchronous=NORMAL */
    unsigned commit_interval_ms;
};

/*
 * Opens dormouse.db in the directory and calls `visit` for every row as the PUT record that would
 * make it: clock, broker, filters, inbound, sessions, wills, received, topics, subscriptions,
 * messages, deliveries, spool, release, copies; each in the order of its keys (session by number,
 * deliveries by session and order). Then starts the writer thread. A file that cannot be read is
 * moved aside, logged, and the store starts empty. On a disk that is full the store starts
 * degraded, with all its rows, and commits when there is room. NULL: directory cannot be made or
 * used, another process holds it, the disk refuses to read, the file is of a newer version or
 * another program (it is left alone), visit did not return DM_OK, or no memory; reason in error[].
 */
struct store *store_sqlite_open(struct event_base *base, const struct store_options *options,
                                const struct store_events *events, store_visit *visit,
                                void *visit_ctx, char *error, size_t error_size);

#endif
