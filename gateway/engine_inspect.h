/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator looks at in one session, as snapshots: never live structs. Each call names the
 * session by its client id and answers DM_NOT_FOUND if there is none; spans are borrowed during the
 * visit. Durations are milliseconds from now, ENGINE_NEVER = not running.
 */
#ifndef DORMOUSE_ENGINE_INSPECT_H
#define DORMOUSE_ENGINE_INSPECT_H

#include "engine.h"

enum {
    ENGINE_EVENTS_MAX = 32, /* remembered of a session */
    ENGINE_ERRORS_MAX = 4,  /* and those that went wrong, however much happened since */
};

enum engine_event {
    ENGINE_EVENT_CONNECTED,      /* detail: keep alive in s */
    ENGINE_EVENT_REFUSED,        /* CONNECT; detail: return code */
    ENGINE_EVENT_MOVED,          /* to another address */
    ENGINE_EVENT_EVICTED,        /* its address is another client's now */
    ENGINE_EVENT_ASLEEP,         /* detail: sleep duration in s */
    ENGINE_EVENT_AWAKE,          /* detail: messages that wait for it */
    ENGINE_EVENT_DOZED,          /* woke up, but did not answer */
    ENGINE_EVENT_LOST,           /* detail: s of silence */
    ENGINE_EVENT_DISCONNECTED,   /* by its own DISCONNECT */
    ENGINE_EVENT_CUT,            /* disconnected by the operator */
    ENGINE_EVENT_SUBSCRIBED,     /* detail: granted QoS */
    ENGINE_EVENT_NOT_SUBSCRIBED, /* detail: return code */
    ENGINE_EVENT_UNSUBSCRIBED,
    ENGINE_EVENT_DROPPED,     /* a message for it; detail: enum engine_drop */
    ENGINE_EVENT_NO_ANSWER,   /* after all repetitions; detail: enum mqttsn_type of the request */
    ENGINE_EVENT_NOT_TAKEN,   /* the device refused a message; detail: return code */
    ENGINE_EVENT_NOT_CARRIED, /* a message of the device was refused; detail: return code */
    ENGINE_EVENT_COUNT,
};

struct engine_event_status {
    enum engine_event event;
    uint32_t detail;
    uint64_t age_ms;
};

/* Where a message for a device stands. */
enum engine_progress {
    ENGINE_PROGRESS_WAITING,  /* for the device, or for those before it */
    ENGINE_PROGRESS_SUBACK,   /* its subscription is not acknowledged to the device yet */
    ENGINE_PROGRESS_DISK,     /* QoS 2, not durable yet */
    ENGINE_PROGRESS_SENT,     /* no answer yet */
    ENGINE_PROGRESS_RECEIVED, /* QoS 2: PUBREC came, PUBCOMP has not */
    ENGINE_PROGRESS_COUNT,
};

struct engine_message_status {
    struct dm_span topic;
    size_t octets; /* of the payload */
    uint8_t qos;
    bool retain;
    bool stored;
    enum engine_progress progress;
    uint64_t age_ms;
    uint64_t expires_ms;
};

struct engine_subscription_status {
    struct dm_span filter;
    uint8_t qos;
    enum mqttsn_topic_type type; /* how the device made it */
    uint16_t topic_id;           /* pre-defined or short, by type; name: registered, 0: none */
    bool confirmed;              /* the broker acknowledged it */
};

struct engine_topic_status {
    uint16_t id;
    struct dm_span name;
    bool known;   /* to the device, in this connection */
    bool refused; /* by the device, in this connection */
};

struct engine_session_detail {
    struct engine_session_status session;
    struct dm_span will_topic, will_message;
    uint8_t will_qos;
    bool will_retain;
    size_t queued_by_qos[3];
    size_t queued_by_progress[ENGINE_PROGRESS_COUNT];
    size_t queued_stored;
    uint64_t supervision_ms; /* until it counts as lost; if it is away: until it is removed */
    const char *exchange;    /* message type that waits for the device's answer; NULL: none */
    uint64_t retry_ms;       /* until it is repeated */
    uint32_t retries;
    uint64_t pause_ms;   /* the device asked for (congestion) */
    bool stalled;        /* no answer after all repetitions: waits for a sign of life */
    bool link_has_room;  /* else messages wait for the link */
    size_t open_uplinks; /* messages of the device that are not answered */
};

typedef void engine_visit_event(void *ctx, const struct engine_event_status *event);
typedef void engine_visit_message(void *ctx, const struct engine_message_status *message);
typedef void engine_visit_subscription(void *ctx, const struct engine_subscription_status *sub);
typedef void engine_visit_topic(void *ctx, const struct engine_topic_status *topic);
typedef void engine_visit_detail(void *ctx, const struct engine_session_detail *detail);

enum dm_result engine_show(const struct engine *engine, uint64_t now_ms, struct dm_span client_id,
                           engine_visit_detail *visit, void *ctx);
/* Newest first. `errors`: only what went wrong. */
enum dm_result engine_each_event(const struct engine *engine, uint64_t now_ms,
                                 struct dm_span client_id, bool errors, engine_visit_event *visit,
                                 void *ctx);
/* In the order of the queue. */
enum dm_result engine_each_message(const struct engine *engine, uint64_t now_ms,
                                   struct dm_span client_id, engine_visit_message *visit,
                                   void *ctx);
/* Oldest first. */
enum dm_result engine_each_subscription(const struct engine *engine, struct dm_span client_id,
                                        engine_visit_subscription *visit, void *ctx);
/* Registered topic ids. */
enum dm_result engine_each_topic(const struct engine *engine, struct dm_span client_id,
                                 engine_visit_topic *visit, void *ctx);
/* Who is at this address, or sets up a connection from there; empty: nobody. Borrowed until the
 * next input. */
struct dm_span engine_client_at(const struct engine *engine, const struct dm_address *address);

/* ---- changes: of sessions, for those who tell others ---- */

struct engine_change {
    bool ended;                           /* then there is only session.client_id */
    bool first;                           /* since engine_change_all, or ever */
    uint64_t earlier_contact_ms;          /* see engine_remember_contact; 0: none */
    struct engine_session_status session; /* now */
};

/* A session is told of again so long after the last time at the earliest. */
struct engine_change_pace {
    uint64_t news_ms;    /* if it changed */
    uint64_t contact_ms; /* if it was only heard */
    size_t limit;        /* of sessions told by one call */
};

/* False: it could not be told, and waits with all behind it. */
typedef bool engine_visit_change(void *ctx, const struct engine_change *change);

/* Tells the sessions that changed or ended since they were told, longest waiting first. False: some
 * that are due still wait. */
bool engine_tell_changes(struct engine *engine, uint64_t now_ms,
                         const struct engine_change_pace *pace, engine_visit_change *visit,
                         void *ctx);
/* As if every session had changed and none had been told. */
void engine_change_all(struct engine *engine);
/* Whether since the last call sessions ended that engine_tell_changes will not tell of: too many
 * did while nobody was told, or there was no memory. */
bool engine_forgot_ends(struct engine *engine);
/* When an earlier process heard the device, in a form that the caller chooses. DM_NOT_FOUND. */
enum dm_result engine_remember_contact(struct engine *engine, struct dm_span client_id,
                                       uint64_t contact_ms);

/* One short word each, for programs. */
const char *engine_event_name(enum engine_event event);
const char *engine_progress_name(enum engine_progress progress);
/* Why, as a person reads it. */
const char *engine_drop_text(enum engine_drop drop);
/* What happened, as a person reads it. Returns `text`. */
const char *engine_event_text(char *text, size_t size, const struct engine_event_status *event);

#endif
