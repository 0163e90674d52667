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
oldest_match(const struct session *s, struct dm_span topic, bool held)
{
    struct subscription *sub;
    struct subscription *oldest = NULL;

    LL_FOREACH (s->subscriptions, sub) {
        if ((held && !filter_is_held(sub->filter)) ||
            !topic_matches(name_span(sub->filter->name), topic))
            continue;
        if (oldest == NULL || copies_since(sub) < copies_since(oldest))
            oldest = sub;
    }
    return oldest;
}

/* The highest QoS of the session's matching subscriptions: overlapping ones deliver once, at the
 * best. */
static uint8_t
best_qos(const struct session *s, struct dm_span topic)
{
    const struct subscription *sub;
    uint8_t qos = 0;

    LL_FOREACH (s->subscriptions, sub)
        if (sub->qos > qos && topic_matches(name_span(sub->filter->name), topic))
            qos = sub->qos;
    return qos;
}

/* ---- copies of one message ---- */

/* A copy for the same filter, whose identifier may have changed meanwhile, or for one that the
 * broker did not hold yet. */
static bool
is_repeated(const struct engine *e, uint32_t id)
{
    const struct copies *c = &e->copies;
    const struct filter_id *known = filter_by_id(e, id);

    for (size_t i = 0; i < c->id_count; i++) {
        const struct filter_id *earlier = filter_by_id(e, c->ids[i]);

        if (c->ids[i] == id ||
            (known != NULL && earlier != NULL && known->filter == earlier->filter))
            return true;
    }
    return known != NULL && known->filter->acked && known->filter->held_since > c->since;
}

static bool
is_another_copy(const struct engine *e, uint64_t content, const struct mqtt_packet *packet)
{
    const struct copies *c = &e->copies;

    if (content == 0 || content != c->content || packet->subscription_id_count == 0 ||
        c->id_count + packet->subscription_id_count > MQTT_SUBSCRIPTION_IDS_MAX)
        return false;
    for (size_t i = 0; i < packet->subscription_id_count; i++)
        if (is_repeated(e, packet->subscription_ids[i]))
            return false;
    return true;
}

void
route_note_copy(struct engine *e, uint64_t content, const struct mqtt_packet *packet, bool routed)
{
    struct copies *c = &e->copies;

    bool another = is_another_copy(e, content, packet);

    /* What a new connection repeats stands before the copies that the old one left out. */
    if (!routed && c->routed && !another)
        return;
    if (!another)
        *c = (struct copies){
            .number = c->number + 1, .content = content, .since = e->last_subscription};
    c->routed = c->routed || routed;
    for (size_t i = 0; i < packet->subscription_id_count; i++)
        c->ids[c->id_count++] = packet->subscription_ids[i];
}

/* Whether the copy that counts for the session has come, perhaps in an earlier process. */
static bool
had_its_copy(const struct engine *e, const struct session *s, struct dm_span topic)
{
    const struct subscription *primary = oldest_match(s, topic, true);

    for (size_t i = 0; primary != NULL && i < e->copies.id_count; i++) {
        const struct filter_id *id = filter_by_id(e, e->copies.ids[i]);

        if (id != NULL && id->filter == primary->filter)
            return true;
    }
    return false;
}

/* Whether the session had a copy of this message. */
static bool
has_copy(const struct engine *e, const struct session *s, const struct message *m)
{
    return m->inbound != NULL && s->copies == e->copies.number && s->has_copy;
}

static void
set_copy(const struct engine *e, struct session *s, const struct message *m, bool taken)
{
    if (m->inbound == NULL)
        return;
    if (s->copies != e->copies.number)
        s->lost_one = false;
    s->has_copy = taken || has_copy(e, s, m);
    s->copies = e->copies.number;
}

static void
deliver(struct engine *e, struct message *m, const struct subscription *sub, uint8_t granted)
{
    struct session *s = sub->session;

    set_copy(e, s, m, true);
    queue_add(e, s, m, m->qos < granted ? m->qos : granted, sub->owes_suback);
    downlink_pump(e, s);
    session_schedule(e, s);
}

static void
route_by_filter(struct engine *e, struct message *m, const struct filter *f, bool held)
{
    struct dm_span topic = name_span(m->topic);
    struct subscription *sub;
    struct subscription *next;

    if (!topic_matches(name_span(f->name), topic))
        return;
    DL_FOREACH_SAFE2 (f->subscriptions, sub, next, filter_next) {
        struct subscription *primary = oldest_match(sub->session, topic, held);

        if (has_copy(e, sub->session, m) || (!held && had_its_copy(e, sub->session, topic)))
            continue;
        if (primary == NULL || primary == sub)
            deliver(e, m, sub, best_qos(sub->session, topic));
        else
            set_copy(e, sub->session, m, false);
    }
}

static void
route_by_matching(struct engine *e, struct message *m)
{
    struct filter *f;
    struct filter *next;

    DL_FOREACH_SAFE (e->filters, f, next)
        route_by_filter(e, m, f, false);
}

/* Who waited for the copy of a subscription that has ended since takes this one. */
static void
route_to_those_who_waited(struct engine *e, struct message *m)
{
    struct dm_span topic = name_span(m->topic);
    struct session *s;
    struct session *next;

    DL_FOREACH_SAFE (e->sessions, s, next) {
        const struct subscription *sub =
            s->copies == e->copies.number && !s->has_copy && s->lost_one
                ? oldest_match(s, topic, false)
                : NULL;

        if (sub != NULL)
            deliver(e, m, sub, best_qos(s, topic));
    }
}

/* A retained message answers one SUBSCRIBE and is for that device only. */
static void
route_retained_by_id(struct engine *e, struct message *m, const struct filter *f, uint32_t id)
{
    struct subscription *sub;

    DL_FOREACH2 (f->subscriptions, sub, filter_next) {
        if (sub->upstream_id != id)
            continue;
        deliver(e, m, sub, sub->qos);
        return;
    }
}

/* Without identifiers: to the latest SUBSCRIBE that matches. */
static void
route_retained_recent(struct engine *e, struct message *m)
{
    for (size_t i = 1; i <= RECENT_REQUESTS; i++) {
        const struct recent_request *recent =
            &e->recent[(e->recent_next + RECENT_REQUESTS - i) % RECENT_REQUESTS];
        struct session *s = session_find_number(e, recent->session);
        struct subscription *sub;

        if (recent->filter == NULL ||
            !topic_matches(name_span(recent->filter), name_span(m->topic)))
            continue;
        /* No session: a filter made again after a reconnect; its retained messages were had before.
         */
        sub = s != NULL ? subscription_find(s, recent->filter) : NULL;
        if (sub != NULL)
            deliver(e, m, sub, sub->qos);
        return;
    }
}

/* Of an identifier without one nobody knows if an UNSUBSCRIBE followed. */
static bool
has_subscription(const struct filter_id *id)
{
    const struct subscription *sub;

    DL_FOREACH2 (id->filter->subscriptions, sub, filter_next)
        if (sub->upstream_id == id->id)
            return true;
    return false;
}

void
route_message(struct engine *e, struct message *m, const struct mqtt_packet *packet)
{
    bool unknown = false;

    if (m->inbound != NULL) /* QoS 0 promises nothing, and may stand between copies */
        route_note_copy(e, m->inbound->content, packet, true);
    if (packet->subscription_id_count == 0) {
        /* A redelivery may answer a SUBSCRIBE of before the start: to all that match, not to none.
         */
        if (m->retain && !packet->dup)
            route_retained_recent(e, m);
        else
            route_by_matching(e, m);
        return;
    }
    for (size_t i = 0; i < packet->subscription_id_count; i++) {
        struct filter_id *id = filter_by_id(e, packet->subscription_ids[i]);

        /* A copy may come before the SUBACK, or after a start that does not know of it. */
        if (id != NULL && !id->filter->acked && has_subscription(id))
            filter_hold(e, id->filter, id->id);
        if (id == NULL)
            unknown = true;
        else if (m->retain)
            route_retained_by_id(e, m, id->filter, id->id);
        else
            route_by_filter(e, m, id->filter, true);
    }
    /* An identifier of a time we do not remember: a second copy is allowed, a loss is not. */
    if (unknown && !m->retain)
        route_by_matching(e, m);
    if (e->copies.disturbed && m->inbound != NULL && !m->retain)
        route_to_those_who_waited(e, m);
}
