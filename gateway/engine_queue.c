/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of each session: limits, overflow, and what of it is on disk. */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

#define ORDER_RENEWED (UINT32_MAX / 2) /* beyond, the numbers of deliveries begin anew */

static size_t
message_octets(size_t len)
{
    return pool_octets(sizeof(struct message), offsetof(struct message, payload), len);
}

struct message *
message_new(struct engine *e, struct name *topic, struct dm_span payload, uint8_t qos, bool retain)
{
    struct message *m = pool_get(&e->pool, message_octets(payload.len));

    if (m == NULL)
        return NULL;
    *m = (struct message){.number = ++e->last_message,
                          .topic = name_ref(topic),
                          .expires_ms = ENGINE_NEVER,
                          .refs = 1,
                          .len = (uint32_t)payload.len,
                          .qos = qos,
                          .retain = retain};
    if (payload.len > 0)
        memcpy(m->payload, payload.data, payload.len);
    return m;
}

void
message_unref(struct engine *e, struct message *m)
{
    if (m == NULL || --m->refs > 0)
        return;
    if (m->stored)
        record_message_delete(e, m);
    if (m->inbound != NULL)
        inbound_forget_message(m->inbound);
    if (m->packet_id != 0)
        pointer_index_remove(&e->redelivered, m);
    name_unref(e, m->topic);
    pool_put(&e->pool, m, message_octets(m->len));
}

uint64_t
delivery_expiry(const struct engine *e, const struct session *s, const struct delivery *d)
{
    uint64_t too_old_ms = engine_add_ms(d->arrived_ms, settings_of(e, s)->max_age_ms);

    return too_old_ms < d->message->expires_ms ? too_old_ms : d->message->expires_ms;
}

bool
delivery_is_expired(const struct engine *e, const struct session *s, const struct delivery *d)
{
    return delivery_expiry(e, s, d) <= engine_gateway_ms(e);
}

static uint32_t
delivery_octets(const struct delivery *d)
{
    return d->message->topic->len + (uint32_t)message_payload(d->message).len;
}

/* ---- disk ---- */

/* From the first QoS 1/2 delivery at or behind `d` that is only in memory. */
static void
set_unstored(struct session *s, struct delivery *d)
{
    while (d != NULL && (d->stored || d->qos == 0))
        d = d->next;
    if (s->talk == NULL) /* it sleeps: nothing waits */
        return;
    s->talk->unstored = d;
    if (d != NULL && !s->talk->direct) {
        DL_APPEND2(s->trunk->direct, s, talk->direct_prev, talk->direct_next);
        s->talk->direct = true;
    } else if (d == NULL && s->talk->direct) {
        DL_DELETE2(s->trunk->direct, s, talk->direct_prev, talk->direct_next);
        s->talk->direct = false;
    }
}

static void
delivery_store(struct engine *e, struct session *s, struct delivery *d)
{
    if (!d->message->stored)
        record_message(e, s->trunk, d->message);
    d->stored = true;
    d->seq = record_delivery(e, s, d);
    if (d->message->inbound != NULL)
        inbound_settled(e, d->message, d->seq);
}

void
queue_store(struct engine *e, struct session *s)
{
    struct delivery *d;

    for (d = talk_of(s)->unstored; d != NULL; d = d->next)
        if (d->qos > 0 && !d->stored)
            delivery_store(e, s, d);
    set_unstored(s, NULL);
    /* The ids they need are committed now, not at wake (design 1). */
    DL_FOREACH (s->queue, d)
        topic_prepare(e, s, d->message->topic);
}

void
queue_store_released(struct engine *e, struct session *s, struct delivery *d)
{
    s->queued_octets -= delivery_octets(d);
    e->status.queued_octets -= delivery_octets(d);
    d->message->bodiless = true;
    s->queued_octets += delivery_octets(d);
    e->status.queued_octets += delivery_octets(d);
    delivery_store(e, s, d);
}

uint64_t
queue_store_deadline(const struct engine *e, const struct session *s)
{
    return engine_from_gateway(
        e, engine_add_ms(s->talk->unstored->arrived_ms, settings_of(e, s)->store_after_ms));
}

void
queue_store_due(struct engine *e, struct session *s)
{
    while (talk_of(s)->unstored != NULL && queue_store_deadline(e, s) <= e->now_ms) {
        struct delivery *d = s->talk->unstored;

        delivery_store(e, s, d);
        set_unstored(s, d);
    }
}

/* ---- leaving the queue ---- */

/* `row`: its row has to go too (not if the whole session goes). */
static void
take_out(struct engine *e, struct session *s, struct delivery *d, bool row)
{
    uint32_t octets = delivery_octets(d);
    struct delivery *next = d->next;

    DL_DELETE(s->queue, d);
    if (talk_of(s)->unstored == d)
        set_unstored(s, next);
    change_note(e, s, s->state != ENGINE_ACTIVE);
    s->queued--;
    s->queued_octets -= octets;
    e->status.queued_messages--;
    e->status.queued_octets -= octets;
    if (d->stored && row) {
        uint64_t seq = record_delivery_delete(e, s, d);

        if (d->qos == 2 && !d->released && !talk_note_given_up(e, s, seq))
            e->given_up_seq = seq;
    } else if (!d->stored && d->qos > 0 && d->message->inbound != NULL) {
        inbound_settled(e, d->message, 0);
    }
    message_unref(e, d->message);
    pool_put(&e->pool, d, sizeof *d);
}

void
queue_remove(struct engine *e, struct session *s, struct delivery *d)
{
    take_out(e, s, d, true);
}

const char *
engine_drop_text(enum engine_drop drop)
{
    static const char *const reasons[ENGINE_DROP_COUNT] = {
        [ENGINE_DROP_OVERFLOW] = "the queue is full",
        [ENGINE_DROP_TOO_LONG] = "longer than the link's mtu",
        [ENGINE_DROP_REFUSED] = "refused by the device",
        [ENGINE_DROP_QOS0] = "QoS 0 for a device that is away",
        [ENGINE_DROP_EXPIRED] = "expired",
        [ENGINE_DROP_OPERATOR] = "given up by the operator",
    };

    return drop < ENGINE_DROP_COUNT ? reasons[drop] : "?";
}

static void
count_drop(struct engine *e, struct session *s, const struct name *topic, enum engine_drop why)
{
    static const enum log_level levels[ENGINE_DROP_COUNT] = {
        [ENGINE_DROP_OVERFLOW] = LOG_LEVEL_WARNING, [ENGINE_DROP_TOO_LONG] = LOG_LEVEL_WARNING,
        [ENGINE_DROP_REFUSED] = LOG_LEVEL_WARNING,  [ENGINE_DROP_QOS0] = LOG_LEVEL_DEBUG,
        [ENGINE_DROP_EXPIRED] = LOG_LEVEL_INFO,     [ENGINE_DROP_OPERATOR] = LOG_LEVEL_INFO,
    };
    char id[128];
    char text[128];

    e->status.dropped[why]++;
    s->dropped += s->dropped < UINT32_MAX;
    session_note(e, s, ENGINE_EVENT_DROPPED, (uint64_t)why);
    if (log_enabled(levels[why]))
        log_write(levels[why], "queue", "client %s: message on %s dropped: %s",
                  log_escape(id, sizeof id, dm_span(s->client_id, s->client_id_len)),
                  log_escape(text, sizeof text, name_shown(e, s, topic, &e->lowered)),
                  engine_drop_text(why));
}

void
queue_drop(struct engine *e, struct session *s, struct delivery *d, enum engine_drop why)
{
    count_drop(e, s, d->message->topic, why);
    if (d->qos == 2 && d->sent) /* the device may hold it under its MsgId: not again soon */
        record_msg_id(e, s);
    queue_remove(e, s, d);
}

static bool
queue_keeps_qos0(const struct engine *e, const struct session *s)
{
    switch (s->state) {
    case ENGINE_ACTIVE:
    case ENGINE_AWAKE:
        return true;
    case ENGINE_ASLEEP:
        return settings_of(e, s)->queue_qos0 != ENGINE_QOS0_NEVER;
    default:
        return settings_of(e, s)->queue_qos0 == ENGINE_QOS0_ALWAYS;
    }
}

void
queue_drop_qos0(struct engine *e, struct session *s)
{
    struct delivery *d;
    struct delivery *next;

    if (queue_keeps_qos0(e, s))
        return;
    DL_FOREACH_SAFE (s->queue, d, next) {
        if (d->qos == 0)
            queue_drop(e, s, d, ENGINE_DROP_QOS0);
    }
}

void
queue_clear(struct engine *e, struct session *s)
{
    while (s->queue != NULL)
        take_out(e, s, s->queue, false);
}

/* ---- entering the queue ---- */

bool
queue_is_open(const struct session *s, const struct delivery *d)
{
    return d->released || (d == s->queue && (talk_of(s)->exchange == EXCHANGE_PUBLISH ||
                                             talk_of(s)->exchange == EXCHANGE_PUBREL));
}

/* Oldest QoS 0 first, then oldest (R102). */
static struct delivery *
overflow_victim(const struct session *s)
{
    struct delivery *d;
    struct delivery *oldest = NULL;

    DL_FOREACH (s->queue, d) {
        if (queue_is_open(s, d))
            continue;
        if (d->qos == 0)
            return d;
        if (oldest == NULL)
            oldest = d;
    }
    return oldest;
}

uint64_t
queue_expiry(const struct engine *e, const struct session *s)
{
    uint64_t earliest = ENGINE_NEVER;
    const struct delivery *d;

    DL_FOREACH (s->queue, d) {
        uint64_t expires_ms = delivery_expiry(e, s, d);

        if (expires_ms < earliest && !(delivery_is_expired(e, s, d) && queue_is_open(s, d)))
            earliest = expires_ms;
    }
    return engine_from_gateway(e, earliest);
}

void
queue_date(struct engine *e, struct session *s)
{
    struct delivery *d;

    DL_FOREACH (s->queue, d)
        if (d->arrived_ms == 0)
            d->arrived_ms = engine_gateway_ms(e);
    session_due_by(e, s, queue_expiry(e, s));
}

/* One that is on its way to the device is left alone; if that fails, it goes at the next try. */
void
queue_expire(struct engine *e, struct session *s)
{
    struct delivery *d;
    struct delivery *next;

    DL_FOREACH_SAFE (s->queue, d, next)
        if (delivery_is_expired(e, s, d) && !queue_is_open(s, d))
            queue_drop(e, s, d, ENGINE_DROP_EXPIRED);
}

size_t
queue_give_up(struct engine *e, struct session *s)
{
    struct delivery *d;
    struct delivery *next;
    size_t count = 0;

    DL_FOREACH_SAFE (s->queue, d, next) {
        /* QoS 2 that was sent once: the device may answer with PUBREC however late. */
        if (queue_is_open(s, d) || (d->qos == 2 && d->sent))
            continue;
        queue_drop(e, s, d, ENGINE_DROP_OPERATOR);
        count++;
    }
    return count;
}

static void
drop_same_topic(struct engine *e, struct session *s, const struct name *topic)
{
    struct delivery *d;
    struct delivery *next;

    DL_FOREACH_SAFE (s->queue, d, next) {
        if (d->message->topic == topic && !queue_is_open(s, d))
            queue_drop(e, s, d, ENGINE_DROP_OVERFLOW);
    }
}

static uint64_t
memory_of(uint64_t messages, uint64_t octets)
{
    return octets + messages * ENGINE_MESSAGE_OVERHEAD;
}

static bool
fits(const struct engine *e, const struct session *s, uint64_t octets)
{
    const struct engine_settings *limits = settings_of(e, s);

    return s->queued + 1 <= limits->queue_messages &&
           s->queued_octets + octets <= limits->queue_bytes &&
           memory_of(e->status.queued_messages + 1, e->status.queued_octets + octets) <=
               e->options->total_bytes;
}

bool
queue_has_room(const struct engine *e, const struct session *s, const struct message *m)
{
    return fits(e, s, m->topic->len + m->len);
}

static bool
make_room(struct engine *e, struct session *s, const struct message *m)
{
    const struct engine_settings *limits = settings_of(e, s);
    uint64_t total = e->options->total_bytes;
    uint64_t octets = m->topic->len + m->len;
    uint64_t others = memory_of(e->status.queued_messages - s->queued,
                                e->status.queued_octets - s->queued_octets);

    if (octets > limits->queue_bytes || others + memory_of(1, octets) > total)
        return false;
    if (limits->overflow == ENGINE_LATEST)
        drop_same_topic(e, s, m->topic);
    while (!fits(e, s, octets)) {
        struct delivery *victim =
            limits->overflow == ENGINE_DROP_NEWEST ? NULL : overflow_victim(s);

        if (victim == NULL)
            return false;
        queue_drop(e, s, victim, ENGINE_DROP_OVERFLOW);
    }
    return true;
}

static struct delivery *
append(struct engine *e, struct session *s, struct message *m, uint64_t arrived_ms)
{
    struct delivery *d = pool_get(&e->pool, sizeof *d);

    if (d == NULL)
        return NULL;
    d->message = m;
    m->refs++;
    d->arrived_ms = arrived_ms;
    DL_APPEND(s->queue, d);
    change_note(e, s, s->state != ENGINE_ACTIVE);
    s->queued++;
    s->queued_octets += delivery_octets(d);
    e->status.queued_messages++;
    e->status.queued_octets += delivery_octets(d);
    return d;
}

static bool
has_message(const struct session *s, const struct message *m)
{
    const struct delivery *d;

    DL_FOREACH (s->queue, d)
        if (d->message == m)
            return true;
    return false;
}

void
queue_add(struct engine *e, struct session *s, struct message *m, uint8_t qos, bool wait_suback)
{
    bool away = s->state != ENGINE_ACTIVE && s->state != ENGINE_AWAKE;

    if (m->packet_id != 0 && has_message(s, m)) /* since before the start */
        return;
    if (qos == 0 && !queue_keeps_qos0(e, s)) {
        count_drop(e, s, m->topic, ENGINE_DROP_QOS0);
        return;
    }
    struct delivery *d = make_room(e, s, m) ? append(e, s, m, engine_gateway_ms(e)) : NULL;

    if (d == NULL) {
        count_drop(e, s, m->topic, ENGINE_DROP_OVERFLOW);
        return;
    }
    d->qos = qos;
    if (s->queue == d && s->last_order > ORDER_RENEWED)
        s->last_order = 0; /* long before there are no more numbers */
    d->order = ++s->last_order;
    if (s->trunk->hold_at_broker && m->inbound != NULL)
        d->msg_id = m->inbound->packet_id; /* known to the device, however often it is repeated */
    else if (qos > 0)
        d->msg_id = session_next_msg_id(s);
    d->wait_suback = wait_suback;
    session_due_by(e, s, engine_from_gateway(e, delivery_expiry(e, s, d)));
    if (away)
        topic_prepare(e, s, m->topic);
    if (qos > 0) {
        if (m->inbound != NULL)
            m->inbound->pending++;
        if (s->trunk->hold_at_broker)
            return;              /* only in memory */
        if (away || m->qos == 2) /* QoS 2: committed first (design 4) */
            delivery_store(e, s, d);
        else if (talk_of(s)->unstored == NULL)
            set_unstored(s, d);
    }
}

/* The row tells when it is too old, if there is such a time. */
static uint64_t
loaded_arrival(const struct engine *e, const struct session *s, const struct store_record *record)
{
    uint64_t max_age_ms = settings_of(e, s)->max_age_ms;

    if (record->expires == 0 || max_age_ms == ENGINE_NEVER)
        return 0;
    return record->expires > max_age_ms ? record->expires - max_age_ms : 1;
}

bool
queue_load(struct engine *e, struct session *s, struct message *m,
           const struct store_record *record)
{
    struct delivery *d = append(e, s, m, loaded_arrival(e, s, record));

    if (d == NULL)
        return false;
    d->order = (uint32_t)record->order;
    d->msg_id = record->msg_id;
    d->qos = record->qos;
    /* Its row is older than its first PUBLISH: the device may have a QoS 2 message under this
     * MsgId. */
    d->sent = record->sent || d->qos == 2;
    d->released = record->released;
    d->stored = true;
    if (record->order > s->last_order)
        s->last_order = d->order;
    /* On the circle of MsgIds, the later of those of the session's row and its queue. */
    if (record->msg_id != 0 && (uint16_t)(record->msg_id - s->last_msg_id) < 0x8000)
        s->last_msg_id = record->msg_id;
    return true;
}
