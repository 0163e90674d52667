/* SPDX-License-Identifier: Apache-2.0 */
/* The engine itself, for its own files. Nothing outside engine_*.c includes it, nor what it
 * includes of those. */
#ifndef DORMOUSE_ENGINE_PRIVATE_H
#define DORMOUSE_ENGINE_PRIVATE_H

#include <utlist.h>

#include "buffer.h"
#include "engine_device.h"
#include "engine_queue.h"
#include "engine_records.h"
#include "engine_session.h"
#include "engine_trunk.h"
#include "pool.h"

enum {
    BROKERS_MAX = 16,  /* whose sessions are remembered; more than URLs */
    REPLY_SLOTS = 256, /* addresses remembered for the rate limit of R82 */
    REPLY_INTERVAL_MS = 1000,
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

struct link_state {
    bool up;
    bool blocked;          /* DM_FULL: it has no room now */
    bool congested;        /* requests are answered with "congestion" */
    uint16_t mtu;          /* of the radio; 0: not told */
    uint64_t down_ms;      /* since when */
    uint64_t gwinfo_at_ms; /* last broadcast */
};

/* A row of a subscription that the device cannot have any more. */
struct unmapped {
    struct unmapped *next;
    uint64_t session;
    size_t len;
    uint8_t filter[];
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

/* engine_index.c */
uint32_t hash_session(const struct session *s); /* by its number */
uint32_t hash_inbound(const void *item);
/* Tells messages of one id apart; 63 bits. Kept in the database. */
uint64_t content_of(struct dm_span topic, uint8_t qos, struct dm_span payload, bool retain);
uint32_t hash_address(const struct dm_address *address);
void indexes_init(struct engine *e);
void trunk_indexes_init(struct trunk *t);
void trunk_indexes_fini(struct trunk *t);

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
void unmapped_free(struct engine *e);

/* engine_load.c */
enum dm_result filter_load(struct engine *e, struct trunk *t, const struct store_record *record);

#endif
