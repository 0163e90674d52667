/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message of the broker to its recipients (design 6). With MQTT 5 the broker tells by
 * subscription identifiers why it sent a copy, and sends one copy per matching filter of ours. A
 * session takes only the copy of the matching filter that the broker holds for it longest: that one
 * existed whenever a younger one did, so a copy for it exists too, even of messages that waited in
 * the broker's queue.
 */
#include "engine_private.h"

#include "topic.h"

/* Since when the broker sends the session copies for this subscription. */
static uint64_t
copies_since(const struct subscription *sub)
{
    return sub->order > sub->filter->held_since ? sub->order : sub->filter->held_since;
}

/* The subscription of the session that matches for the longest time; `held`: that the broker holds.
 */
static struct subscription *
oldest_match(struct engine *e, const struct session *s, struct dm_span topic, bool held)
{
    struct subscription *sub;
    struct subscription *oldest = NULL;

    LL_FOREACH (s->subscriptions, sub) {
        if ((held && !filter_is_held(sub->filter)) || !name_matches(e, sub, topic))
            continue;
        if (oldest == NULL || copies_since(sub) < copies_since(oldest))
            oldest = sub;
    }
    return oldest;
}

/* The highest QoS of the session's matching subscriptions: overlapping ones deliver once, at the
 * best. */
static uint8_t
best_qos(struct engine *e, const struct session *s, struct dm_span topic)
{
    const struct subscription *sub;
    uint8_t qos = 0;

    LL_FOREACH (s->subscriptions, sub)
        if (sub->qos > qos && name_matches(e, sub, topic))
            qos = sub->qos;
    return qos;
}

/* ---- copies of one message ---- */

/* A copy for the same filter, whose identifier may have changed meanwhile, or for one that the
 * broker did not hold yet. */
static bool
is_repeated(const struct trunk *t, const struct copies *c, uint32_t id)
{
    const struct filter *known = filter_by_id(t, id);

    for (size_t i = 0; i < c->id_count; i++)
        if (c->ids[i] == id || (known != NULL && known == filter_by_id(t, c->ids[i])))
            return true;
    /* An older identifier may be of a subscription that the broker held before. */
    return known != NULL && known->acked && known->acked_id == id && known->held_since > c->since;
}

static bool
is_another_copy(const struct trunk *t, const struct copies *c, uint64_t content,
                const struct mqtt_packet *packet)
{
    if (content == 0 || content != c->content || packet->subscription_id_count == 0 ||
        c->id_count + packet->subscription_id_count > MQTT_SUBSCRIPTION_IDS_MAX)
        return false;
    for (size_t i = 0; i < packet->subscription_id_count; i++)
        if (is_repeated(t, c, packet->subscription_ids[i]))
            return false;
    return true;
}

static void
forget_marks(struct engine *e, const struct trunk *t, uint8_t qos)
{
    struct session *s;

    DL_FOREACH (e->sessions, s)
        if (s->trunk == t)
            s->marks[qos - 1] = (struct copy_mark){0};
}

/* A copy of a message came. What the broker repeats and is recognised is none. */
static void
note_copy(struct engine *e, struct trunk *t, const struct inbound *in,
          const struct mqtt_packet *packet)
{
    struct copies *c = &t->copies[in->qos - 1];

    if (!is_another_copy(t, c, in->content, packet)) {
        if (c->number == COPY_NUMBER_MAX)
            forget_marks(e, t, in->qos);
        *c = (struct copies){.number = c->number % COPY_NUMBER_MAX + 1,
                             .content = in->content,
                             .since = e->last_subscription};
    }
    for (size_t i = 0; i < packet->subscription_id_count; i++)
        c->ids[c->id_count++] = packet->subscription_ids[i];
    if (in->qos == 2) /* what must come once is known after a crash too */
        record_copies(e, t, 2, c);
}

/* Which copy counted for the session was decided by what it was subscribed to. */
void
route_disturb(struct engine *e, struct session *s)
{
    struct trunk *t = s->trunk;

    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct copies *c = &t->copies[qos - 1];
        struct copy_mark *mark = &s->marks[qos - 1];

        c->disturbed = true;
        if (c->loaded && mark->number != c->number) /* who has no copy perhaps waits for one */
            *mark = (struct copy_mark){.number = c->number & COPY_NUMBER_MAX};
        mark->lost_one = true;
        if (mark->number != c->number || mark->has_copy || c->content == 0)
            continue;
        if (qos == 1)
            record_copies(e, t, 1, c);
        record_copy_mark(e, s, qos, mark);
    }
}

void
route_forget(struct trunk *t)
{
    for (size_t i = 0; i < 2; i++)
        t->copies[i].content = 0;
}

void
route_leave(struct engine *e)
{
    struct trunk *t = &e->shared;
    uint8_t ids[4 * MQTT_SUBSCRIPTION_IDS_MAX];
    struct session *s;

    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct copies *c = &t->copies[qos - 1];
        struct store_record record = copies_row(e, t, qos, c, ids);

        if (c->content != 0)
            broker_keep(e, &record);
        DL_FOREACH (e->sessions, s) {
            struct copy_mark *mark = &s->marks[qos - 1];

            if (s->trunk != t)
                continue;
            if (c->content != 0 && mark->number == c->number && (mark->has_copy || mark->lost_one))
                broker_keep(e, &(struct store_record){.op = STORE_COPY_PUT,
                                                      .broker = broker_number(e),
                                                      .session = s->number,
                                                      .qos = qos,
                                                      .message = mark->number,
                                                      .taken = mark->has_copy});
            *mark = (struct copy_mark){0};
        }
        *c = (struct copies){0};
    }
}

static enum dm_result
load_copies(struct trunk *t, const struct store_record *record)
{
    struct copies *c = &t->copies[record->qos - 1];

    if (record->payload.len % 4 != 0 || record->payload.len > sizeof c->ids)
        return DM_MALFORMED;
    *c = (struct copies){.number = (uint32_t)record->message,
                         .content = record->content,
                         .since = record->order,
                         .id_count = record->payload.len / 4,
                         .loaded = true,
                         .disturbed = true}; /* perhaps */
    for (size_t i = 0; i < record->payload.len; i++)
        c->ids[i / 4] = c->ids[i / 4] << 8 | record->payload.data[i];
    return DM_OK;
}

enum dm_result
route_load(struct engine *e, struct trunk *t, const struct store_record *record)
{
    struct session *s;

    if (record->qos < 1 || record->qos > 2 || record->message > COPY_NUMBER_MAX)
        return DM_MALFORMED;
    if (record->session == 0)
        return load_copies(t, record);
    s = session_find_number(e, record->session);
    if (s == NULL || s->trunk != t)
        return DM_MALFORMED;
    s->marks[record->qos - 1] =
        (struct copy_mark){.number = (uint32_t)record->message & COPY_NUMBER_MAX,
                           .has_copy = record->taken,
                           .lost_one = !record->taken};
    return DM_OK;
}

/* That the message is one of; NULL: of none (QoS 0 promises nothing, and may stand between copies).
 */
static struct copies *
copies_of(struct trunk *t, const struct message *m)
{
    return m->inbound != NULL ? &t->copies[m->inbound->qos - 1] : NULL;
}

static struct copy_mark *
mark_of(struct session *s, const struct message *m)
{
    return &s->marks[m->inbound->qos - 1];
}

/* Whether the copy that counts for the session has come, perhaps in an earlier process. */
static bool
had_its_copy(struct engine *e, struct trunk *t, const struct session *s, const struct message *m)
{
    const struct subscription *primary = oldest_match(e, s, name_span(m->topic), true);
    const struct copies *c = copies_of(t, m);

    for (size_t i = 0; primary != NULL && c != NULL && i < c->id_count; i++)
        if (filter_by_id(t, c->ids[i]) == primary->filter)
            return true;
    return false;
}

/* Whether the session had a copy of this message. */
static bool
has_copy(struct trunk *t, struct session *s, const struct message *m)
{
    if (m->inbound == NULL)
        return false;
    const struct copy_mark *mark = mark_of(s, m);

    return mark->has_copy && mark->number == copies_of(t, m)->number;
}

static void
set_copy(struct trunk *t, struct session *s, const struct message *m, bool taken)
{
    if (m->inbound == NULL)
        return;
    uint32_t number = copies_of(t, m)->number;
    struct copy_mark *mark = mark_of(s, m);

    if (mark->number != number)
        *mark = (struct copy_mark){.number = number & COPY_NUMBER_MAX};
    mark->has_copy = mark->has_copy || taken;
}

static void
take_copy(struct engine *e, struct trunk *t, struct session *s, const struct message *m,
          uint8_t qos)
{
    set_copy(t, s, m, true);
    if (qos == 2 && m->inbound != NULL)
        record_copy_mark(e, s, 2, mark_of(s, m));
}

static void
deliver(struct engine *e, struct trunk *t, struct message *m, const struct subscription *sub,
        uint8_t granted)
{
    struct session *s = sub->session;
    uint8_t qos = m->qos < granted ? m->qos : granted;

    take_copy(e, t, s, m, qos);
    queue_add(e, s, m, qos, sub->owes_suback);
    downlink_pump(e, s);
    session_schedule(e, s);
}

static void
route_by_filter(struct engine *e, struct trunk *t, struct message *m, const struct filter *f,
                bool held)
{
    struct dm_span topic = name_span(m->topic);
    struct subscription *sub;
    struct subscription *next;

    if (!topic_matches(name_span(f->name), topic))
        return;
    DL_FOREACH_SAFE2 (f->subscriptions, sub, next, filter_next) {
        struct subscription *primary = oldest_match(e, sub->session, topic, held);

        if (!name_reaches(e, sub, topic) || has_copy(t, sub->session, m) ||
            (!held && had_its_copy(e, t, sub->session, m)))
            continue;
        if (primary == NULL || primary == sub)
            deliver(e, t, m, sub, best_qos(e, sub->session, topic));
        else
            set_copy(t, sub->session, m, false);
    }
}

static void
route_by_matching(struct engine *e, struct trunk *t, struct message *m)
{
    struct filter *f;

    for (struct match_place at = {0}; (f = filter_next_match(e, t, m->topic, &at)) != NULL;)
        route_by_filter(e, t, m, f, false);
}

/* Who waited for the copy of a subscription that has ended since takes this one. */
static void
route_to_those_who_waited(struct engine *e, struct trunk *t, struct message *m)
{
    struct dm_span topic = name_span(m->topic);
    const struct copies *c = copies_of(t, m);
    struct session *s;
    struct session *next;

    DL_FOREACH_SAFE (e->sessions, s, next) {
        const struct copy_mark *mark = mark_of(s, m);
        const struct subscription *sub =
            s->trunk == t && mark->number == c->number && !mark->has_copy && mark->lost_one
                ? oldest_match(e, s, topic, false)
                : NULL;

        if (sub != NULL)
            deliver(e, t, m, sub, best_qos(e, s, topic));
    }
}

/* A retained message answers one SUBSCRIBE and is for that device only. */
static void
route_retained_by_id(struct engine *e, struct trunk *t, struct message *m, uint32_t id)
{
    const struct subscription *sub = subscription_by_id(t, id);

    if (sub != NULL && name_reaches(e, sub, name_span(m->topic)))
        deliver(e, t, m, sub, sub->qos);
}

/* Without identifiers: to the latest SUBSCRIBE that matches. */
static void
route_retained_recent(struct engine *e, struct trunk *t, struct message *m)
{
    for (size_t i = 1; i <= RECENT_REQUESTS; i++) {
        const struct recent_request *recent =
            &t->recent[(t->recent_next + RECENT_REQUESTS - i) % RECENT_REQUESTS];
        struct session *s = session_find_number(e, recent->session);
        struct subscription *sub;

        if (recent->filter == NULL ||
            !topic_matches(name_span(recent->filter), name_span(m->topic)))
            continue;
        /* No session: a filter made again after a reconnect; its retained messages were had before.
         */
        sub = s != NULL ? subscription_find(s, recent->filter) : NULL;
        if (sub != NULL && name_reaches(e, sub, name_span(m->topic)))
            deliver(e, t, m, sub, sub->qos);
        return;
    }
}

/* Whoever asks for this topic by its name has it; of other filters' copies there is none to take.
 */
static void
route_own_topic(struct engine *e, struct trunk *t, struct message *m,
                const struct mqtt_packet *packet)
{
    const struct filter *f = filter_find(t, m->topic);
    struct subscription *sub;
    struct subscription *next;
    bool by_id = packet->subscription_id_count > 0;
    bool meant = !by_id;

    if (f == NULL)
        return;
    for (size_t i = 0; i < packet->subscription_id_count; i++)
        meant = meant || filter_by_id(t, packet->subscription_ids[i]) == f;
    DL_FOREACH_SAFE2 (f->subscriptions, sub, next, filter_next) {
        bool asked = !m->retain || !by_id || sub->upstream_id == packet->subscription_ids[0];

        if (meant && asked && name_reaches(e, sub, name_span(m->topic)) &&
            !has_copy(t, sub->session, m))
            deliver(e, t, m, sub, sub->qos);
    }
}

void
route_message(struct engine *e, struct trunk *t, struct message *m,
              const struct mqtt_packet *packet)
{
    bool unknown = false;

    if (m->inbound != NULL)
        note_copy(e, t, m->inbound, packet);
    if (access_is_own(e, name_span(m->topic))) {
        route_own_topic(e, t, m, packet);
        return;
    }
    if (packet->subscription_id_count == 0) {
        /* A redelivery may answer a SUBSCRIBE of before the start: to all that match, not to none.
         */
        if (m->retain && !packet->dup)
            route_retained_recent(e, t, m);
        else
            route_by_matching(e, t, m);
        return;
    }
    for (size_t i = 0; i < packet->subscription_id_count; i++) {
        uint32_t id = packet->subscription_ids[i];
        struct filter *f = filter_by_id(t, id);

        /* A copy may come before the SUBACK, or after a start that does not know of it. Of an
         * identifier without a subscription nobody knows if an UNSUBSCRIBE followed. */
        if (f != NULL && !f->acked && subscription_by_id(t, id) != NULL)
            filter_hold(e, t, f, id);
        if (f == NULL)
            unknown = true;
        else if (m->retain)
            route_retained_by_id(e, t, m, id);
        else
            route_by_filter(e, t, m, f, true);
    }
    /* An identifier of a time we do not remember: a second copy is allowed, a loss is not. */
    if (unknown && !m->retain)
        route_by_matching(e, t, m);
    if (m->inbound != NULL && copies_of(t, m)->disturbed && !m->retain)
        route_to_those_who_waited(e, t, m);
}
