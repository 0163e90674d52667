/* SPDX-License-Identifier: Apache-2.0 */
/* SUBSCRIBE and UNSUBSCRIBE of devices. */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

#include "topic.h"

enum { OPEN_REQUESTS_MAX = 512 }; /* SUBSCRIBEs of one session that the broker has not answered */

struct subscription *
subscription_find(const struct session *s, const struct name *filter)
{
    struct subscription *sub;

    LL_FOREACH (s->subscriptions, sub)
        if (sub->filter->name == filter)
            return sub;
    return NULL;
}

static int
compare_age(const struct subscription *a, const struct subscription *b)
{
    return a->order < b->order ? -1 : a->order > b->order;
}

struct subscription *
subscription_new(struct engine *e, struct session *s, struct name *filter_name, uint64_t order)
{
    struct filter *f = filter_get(e, s->trunk, filter_name);
    struct subscription *sub = pool_get(&e->pool, sizeof *sub);

    if (f == NULL || sub == NULL) {
        pool_put(&e->pool, sub, sizeof *sub);
        if (f != NULL)
            filter_drop_if_unused(e, s->trunk, f);
        return NULL;
    }
    sub->session = s;
    sub->filter = f;
    sub->order = order;
    LL_INSERT_INORDER(s->subscriptions, sub, compare_age); /* the store gives them by name */
    s->subscription_count++;
    DL_APPEND2(f->subscriptions, sub, filter_prev, filter_next);
    return sub;
}

static void
suback_settled(struct session *s, struct subscription *sub)
{
    struct delivery *d;

    if (!sub->owes_suback)
        return;
    sub->owes_suback = false;
    if (--s->subacks_owed > 0)
        return;
    DL_FOREACH (s->queue, d)
        d->wait_suback = false;
}

void
subscription_remove(struct engine *e, struct subscription *sub, bool record)
{
    struct session *s = sub->session;
    struct filter *f = sub->filter;

    subscription_forget_id(e, sub);
    if (record) { /* the session stays */
        route_disturb(e, s);
        s->seq = record_subscription_delete(e, s, name_of_session(e, s, f->name));
    }
    suback_settled(s, sub);
    LL_DELETE(s->subscriptions, sub);
    s->subscription_count--;
    DL_DELETE2(f->subscriptions, sub, filter_prev, filter_next);
    pool_put(&e->pool, sub, sizeof *sub);
    filter_drop_if_unused(e, s->trunk, f);
}

void
subscription_end(struct engine *e, struct subscription *sub, bool record)
{
    struct trunk *t = sub->session->trunk;
    struct name *filter = name_ref(sub->filter->name);
    bool last = sub->filter_next == NULL && sub->filter->subscriptions == sub;

    subscription_remove(e, sub, record);
    if (last)
        upstream_unsubscribe(e, t, filter);
    name_unref(e, filter);
}

/* The id that SUBACK carries (reference 2.4). */
static uint16_t
suback_topic_id(struct session *s, const struct subscription *sub)
{
    struct registration *r;

    if (sub->type == MQTTSN_TOPIC_PREDEFINED)
        return sub->topic_id;
    if (sub->type != MQTTSN_TOPIC_NORMAL)
        return 0;
    r = registration_by_name(s, sub->filter->name);
    if (r == NULL)
        return 0;
    r->refused = false;
    return r->id;
}

static void
send_suback(struct engine *e, struct session *s, uint16_t msg_id, uint16_t topic_id, uint8_t qos,
            enum mqttsn_return_code code)
{
    engine_send(e, s, s->seq,
                &(struct mqttsn_packet){.type = MQTTSN_SUBACK,
                                        .msg_id = msg_id,
                                        .topic_id = topic_id,
                                        .qos = (int8_t)qos,
                                        .return_code = code});
}

void
subscription_answer(struct engine *e, struct subscription *sub, enum mqttsn_return_code code)
{
    struct session *s = sub->session;

    if (!sub->owes_suback)
        return;
    suback_settled(s, sub);
    /* A device that fell asleep meanwhile gets the answer when it repeats (design 3). */
    if (sub->naps != s->naps) {
        session_wait(e, s); /* perhaps nothing more is said */
        return;
    }
    session_gate(e, s);
    if (code == MQTTSN_ACCEPTED) {
        session_note(e, s, ENGINE_EVENT_SUBSCRIBED, sub->qos);
        send_suback(e, s, sub->msg_id, suback_topic_id(s, sub), sub->qos, code);
    } else {
        session_note(e, s, ENGINE_EVENT_NOT_SUBSCRIBED, (uint64_t)code);
        send_suback(e, s, sub->msg_id, 0, 0, code);
    }
}

/* The filter a SUBSCRIBE or UNSUBSCRIBE means; on refusal empty, and *code says why. */
static struct dm_span
requested_filter(struct engine *e, const struct session *s, const struct mqttsn_packet *packet,
                 uint8_t short_name[2], enum mqttsn_return_code *code)
{
    static const struct dm_span none = {0};
    struct dm_span filter = packet->topic_name;

    *code = MQTTSN_NOT_SUPPORTED;
    if (packet->bad_topic) /* M39 */
        return none;
    switch (packet->topic_type) {
    case MQTTSN_TOPIC_NORMAL:
        break;
    case MQTTSN_TOPIC_PREDEFINED:
        filter = topic_predefined_name(e, s->link, s, packet->topic_id);
        if (filter.len == 0) {
            *code = MQTTSN_INVALID_TOPIC_ID; /* R69, M42 */
            return none;
        }
        break;
    case MQTTSN_TOPIC_SHORT:
        short_name[0] = (uint8_t)(packet->topic_id >> 8);
        short_name[1] = (uint8_t)packet->topic_id;
        filter = dm_span(short_name, 2);
        break;
    default:
        return none;
    }
    if (!topic_filter_is_valid(filter) || !topic_is_harmless(filter)) /* R71, M40 */
        return none;
    /* A shared subscription would spread one device's messages over all gateways (design 6). */
    if (filter.len >= 7 && memcmp(filter.data, "$share/", 7) == 0)
        return none;
    return filter;
}

/* The broker's filter; empty: the configuration does not allow it. */
static struct dm_span
take_filter(struct engine *e, const struct session *s, struct dm_span filter)
{
    struct party party = party_of(s);
    struct dm_span up = {0};

    if (access_subscribe(e, &party, filter))
        up = name_up(e, &party, filter);
    if (up.len == 0)
        access_denied(e, party.client_id, "SUBSCRIBE", filter);
    return up;
}

/* M52: the device has given up an earlier request for this filter or under this MsgId. */
static void
give_up_subacks(struct session *s, struct subscription *renewed, uint16_t msg_id)
{
    struct subscription *sub;

    LL_FOREACH (s->subscriptions, sub)
        if (sub == renewed || sub->msg_id == msg_id)
            suback_settled(s, sub);
}

/* Makes or renews the subscription in memory. NULL: a table is full. */
static struct subscription *
subscribe(struct engine *e, struct session *s, const struct mqttsn_packet *packet,
          struct name *filter)
{
    bool wildcard = topic_has_wildcard(name_span(filter));
    struct subscription *sub = subscription_find(s, filter);
    bool made = false;

    if (sub == NULL && s->subscription_count >= SUBSCRIPTIONS_MAX)
        return NULL;
    if (packet->topic_type == MQTTSN_TOPIC_NORMAL && !wildcard) {
        struct registration *r = registration_get(e, s, filter, &made);

        if (r == NULL)
            return NULL;
        /* Known by the SUBACK that follows; if that gets lost, the device repeats the SUBSCRIBE. */
        if (r->known_epoch != s->epoch) {
            registration_tell(e, s, r);
            record_registration(e, s, r, false);
        }
    }
    if (sub == NULL)
        sub = subscription_new(e, s, filter, ++e->last_subscription);
    if (sub == NULL)
        return NULL;
    sub->type = (uint8_t)packet->topic_type;
    sub->topic_id = packet->topic_id;
    sub->qos = requested_qos(packet);
    if (sub->type == MQTTSN_TOPIC_PREDEFINED)
        topic_note_predefined(e, s, sub->topic_id);
    subscription_forget_id(e, sub);
    sub->confirmed = false;
    if (!subscription_identify(e, sub, upstream_id_take(e, s->trunk))) {
        subscription_remove(e, sub, true);
        return NULL;
    }
    s->seq = record_subscription(e, sub);
    return sub;
}

void
handle_subscribe(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    uint8_t short_name[2];
    enum mqttsn_return_code code;
    struct dm_span filter = requested_filter(e, s, packet, short_name, &code);

    if (filter.len > 0) {
        filter = take_filter(e, s, filter);
        code = MQTTSN_NOT_SUPPORTED;
    }
    if (filter.len == 0) {
        session_note(e, s, ENGINE_EVENT_NOT_SUBSCRIBED, (uint64_t)code);
        send_suback(e, s, packet->msg_id, 0, 0, code);
        return;
    }
    bool acceptable = engine_takes_request(e, s) && s->open_requests < OPEN_REQUESTS_MAX;
    struct name *name = acceptable ? name_get(e, filter) : NULL;
    struct subscription *sub = name != NULL ? subscription_find(s, name) : NULL;

    if (sub != NULL && sub->owes_suback && sub->msg_id == packet->msg_id &&
        sub->type == packet->topic_type && sub->qos == requested_qos(packet)) {
        sub->naps = s->naps; /* R70: repeated while the broker's answer is on its way */
        name_unref(e, name);
        return;
    }
    give_up_subacks(s, sub, packet->msg_id);
    sub = name != NULL ? subscribe(e, s, packet, name) : NULL;
    name_unref(e, name);
    if (sub == NULL) {
        session_note(e, s, ENGINE_EVENT_NOT_SUBSCRIBED, MQTTSN_CONGESTION);
        send_suback(e, s, packet->msg_id, 0, 0, MQTTSN_CONGESTION);
        return;
    }
    sub->msg_id = packet->msg_id;
    sub->naps = s->naps;
    sub->owes_suback = true;
    s->subacks_owed++;
    if (s->trunk->up)
        upstream_subscribe(e, s->trunk, sub->filter->name, s, sub->upstream_id, true, s->seq);
    else
        subscription_answer(e, sub, MQTTSN_ACCEPTED); /* carried out later (design 6) */
}

void
handle_unsubscribe(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    uint8_t short_name[2];
    enum mqttsn_return_code code;
    struct dm_span filter = requested_filter(e, s, packet, short_name, &code);
    struct party party = party_of(s);

    if (filter.len > 0)
        filter = name_up(e, &party, filter);
    struct name *name = filter.len > 0 ? name_get(e, filter) : NULL;
    struct subscription *sub = name != NULL ? subscription_find(s, name) : NULL;

    if (sub != NULL) { /* else R72, M43: answered all the same */
        subscription_end(e, sub, true);
        session_note(e, s, ENGINE_EVENT_UNSUBSCRIBED, 0);
    }
    name_unref(e, name);
    engine_send(e, s, s->seq,
                &(struct mqttsn_packet){.type = MQTTSN_UNSUBACK, .msg_id = packet->msg_id});
}
