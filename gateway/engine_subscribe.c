/* SPDX-License-Identifier: Apache-2.0 */
/* SUBSCRIBE and UNSUBSCRIBE of devices, and the filters that all of them share upstream. */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

#include "topic.h"

enum { UPSTREAM_ID_MAX = 268435455 }; /* MQTT 5: a variable byte integer */

/* ---- filters ---- */

struct filter *
filter_find(const struct engine *e, const struct name *name)
{
    return pointer_index_find(&e->filter_index, name->hash, name);
}

struct filter *
filter_get(struct engine *e, struct name *name)
{
    struct filter *f = filter_find(e, name);

    if (f != NULL)
        return f;
    f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->name = name_ref(name);
    if (!pointer_index_insert(&e->filter_index, f)) {
        name_unref(e, f->name);
        free(f);
        return NULL;
    }
    DL_APPEND(e->filters, f);
    return f;
}

static uint32_t
lowest_id(const struct filter *f)
{
    const struct filter_id *id;
    uint32_t lowest = UINT32_MAX;

    LL_FOREACH (f->ids, id)
        if (id->id < lowest)
            lowest = id->id;
    return lowest;
}

static int
compare_ids(const struct filter *a, const struct filter *b)
{
    uint32_t of_a = lowest_id(a);
    uint32_t of_b = lowest_id(b);

    return of_a < of_b ? -1 : of_a > of_b;
}

void
filters_sort(struct engine *e)
{
    DL_SORT(e->filters, compare_ids);
}

static void
filter_id_free(struct engine *e, struct filter *f, struct filter_id *id)
{
    pointer_index_remove(&e->filter_ids, id);
    LL_DELETE(f->ids, id);
    f->id_count--;
    free(id);
}

void
filter_id_store(struct filter_id *id)
{
    if (!id->stored)
        id->filter->stored_ids++;
    id->stored = true;
}

void
filter_id_give(struct engine *e, uint32_t id)
{
    struct filter_id *entry = filter_by_id(e, id);

    if (entry != NULL)
        entry->given = true;
}

static void
filter_id_forget(struct engine *e, struct filter_id *id, bool row)
{
    if (!id->stored)
        return;
    id->stored = false;
    id->filter->stored_ids--;
    if (row)
        record_filter_delete(e, id->filter, id->id);
}

/* Messages that the broker queued a while ago carry earlier identifiers; `latest` is kept. */
static void
trim_ids(struct engine *e, struct filter *f, uint32_t latest)
{
    struct filter_id *id;

    LL_FOREACH (f->ids, id) {
        if (f->stored_ids > FILTER_IDS_SPARE && id->id != latest)
            filter_id_forget(e, id, true);
    }
}

void
filter_hold(struct engine *e, struct filter *f, uint32_t id)
{
    bool held = filter_is_held(f);
    struct filter_id *entry = filter_by_id(e, id);

    if (!held)
        f->held_since = ++e->last_subscription;
    f->acked = true;
    f->leaving = false;
    f->acked_id = id;
    /* Since when it is held decides which copy of a message a session takes, after a restart too:
     * no message is acknowledged before that is durable. */
    uint64_t seq = record_filter(e, f, id, held);

    if (!held)
        e->route_seq = seq;
    if (entry != NULL && entry->filter == f)
        filter_id_store(entry);
    trim_ids(e, f, id);
}

void
filter_release(struct engine *e, struct filter *f, bool rows)
{
    struct filter_id *id;

    f->acked = false;
    f->leaving = false;
    if (rows && e->reserved_upstream_id == 0)
        upstream_ids_reserve(e); /* no row may be left that tells how far they were used */
    LL_FOREACH (f->ids, id)
        filter_id_forget(e, id, rows);
    filter_drop_if_unused(e, f);
}

bool
filter_is_held(const struct filter *f)
{
    return f->acked && !f->leaving;
}

void
filter_drop_if_unused(struct engine *e, struct filter *f)
{
    if (f->subscriptions != NULL || f->acked || f->stored_ids > 0)
        return;
    while (f->ids != NULL)
        filter_id_free(e, f, f->ids);
    pointer_index_remove(&e->filter_index, f);
    DL_DELETE(e->filters, f);
    name_unref(e, f->name);
    free(f);
}

struct filter_id *
filter_by_id(const struct engine *e, uint32_t id)
{
    return pointer_index_find(&e->filter_ids, pointer_index_hash(0, &id, sizeof id), &id);
}

static bool
filter_id_is_in_use(const struct filter *f, uint32_t id)
{
    const struct subscription *sub;

    if (f->acked && f->acked_id == id)
        return true;
    DL_FOREACH2 (f->subscriptions, sub, filter_next)
        if (sub->upstream_id == id)
            return true;
    return false;
}

bool
filter_add_id(struct engine *e, struct filter *f, uint32_t id)
{
    if (id == 0 || filter_by_id(e, id) != NULL)
        return true;
    struct filter_id *entry = malloc(sizeof *entry);

    if (entry == NULL)
        return false;
    *entry = (struct filter_id){.id = id, .filter = f};
    if (!pointer_index_insert(&e->filter_ids, entry)) {
        free(entry);
        return false;
    }
    LL_APPEND(f->ids, entry);
    f->id_count++;
    /* Messages that the broker queued earlier carry earlier identifiers; remember some of them. */
    if (f->id_count > f->subscription_count + FILTER_IDS_SPARE) {
        struct filter_id *old;
        struct filter_id *next;

        LL_FOREACH_SAFE (f->ids, old, next) {
            if (old == entry || old->stored || filter_id_is_in_use(f, old->id))
                continue;
            filter_id_free(e, f, old);
            break;
        }
    }
    return true;
}

void
upstream_ids_start(struct engine *e)
{
    uint32_t last = e->reserved_upstream_id != 0 ? e->reserved_upstream_id : e->last_upstream_id;

    /* Rows of what was asked for last may be gone or were not written yet; that is at most as many
     * as there are packet ids. Such an identifier given to another filter would misdirect messages.
     */
    if (last == 0)
        return;
    e->last_upstream_id = last + UPSTREAM_ID_GAP <= UPSTREAM_ID_MAX ? last + UPSTREAM_ID_GAP : 1;
}

void
upstream_ids_reserve(struct engine *e)
{
    e->reserved_upstream_id = e->last_upstream_id;
    record_reserved_id(e, e->reserved_upstream_id);
}

static uint32_t
take_upstream_id(struct engine *e)
{
    do
        e->last_upstream_id = e->last_upstream_id >= UPSTREAM_ID_MAX ? 1 : e->last_upstream_id + 1;
    while (filter_by_id(e, e->last_upstream_id) != NULL);
    if (e->last_upstream_id < e->reserved_upstream_id ||
        e->last_upstream_id >= e->reserved_upstream_id + UPSTREAM_ID_GAP / 2)
        upstream_ids_reserve(e);
    return e->last_upstream_id;
}

/* ---- subscriptions ---- */

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
    struct filter *f = filter_get(e, filter_name);
    struct subscription *sub = calloc(1, sizeof *sub);

    if (f == NULL || sub == NULL) {
        free(sub);
        if (f != NULL)
            filter_drop_if_unused(e, f);
        return NULL;
    }
    sub->session = s;
    sub->filter = f;
    sub->order = order;
    LL_INSERT_INORDER(s->subscriptions, sub, compare_age); /* the store gives them by name */
    s->subscription_count++;
    DL_APPEND2(f->subscriptions, sub, filter_prev, filter_next);
    f->subscription_count++;
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

/* The row that tells what its identifier means goes or changes, but the broker may have got it. */
static void
remember_id(struct engine *e, const struct subscription *sub)
{
    struct filter_id *id = filter_by_id(e, sub->upstream_id);

    if (id == NULL || id->stored || !id->given || id->filter != sub->filter)
        return;
    record_filter(e, sub->filter, id->id, true);
    filter_id_store(id);
    trim_ids(e, sub->filter, id->id);
}

void
subscription_remove(struct engine *e, struct subscription *sub, bool record)
{
    struct session *s = sub->session;
    struct filter *f = sub->filter;

    remember_id(e, sub);
    e->copies.disturbed = true;
    s->lost_one = true;
    if (record)
        s->seq = record_subscription_delete(e, sub);
    suback_settled(s, sub);
    LL_DELETE(s->subscriptions, sub);
    s->subscription_count--;
    DL_DELETE2(f->subscriptions, sub, filter_prev, filter_next);
    f->subscription_count--;
    free(sub);
    filter_drop_if_unused(e, f);
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
    if (sub->naps != s->naps)
        return;
    session_gate(e, s);
    if (code == MQTTSN_ACCEPTED)
        send_suback(e, s, sub->msg_id, suback_topic_id(s, sub), sub->qos, code);
    else
        send_suback(e, s, sub->msg_id, 0, 0, code);
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
        filter = topic_predefined_name(e, s->address.link, s, packet->topic_id);
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
    sub->type = packet->topic_type;
    sub->topic_id = packet->topic_id;
    sub->qos = requested_qos(packet);
    if (sub->type == MQTTSN_TOPIC_PREDEFINED)
        topic_note_predefined(s, sub->topic_id);
    remember_id(e, sub);
    sub->upstream_id = take_upstream_id(e);
    sub->confirmed = false;
    if (!filter_add_id(e, sub->filter, sub->upstream_id)) {
        subscription_remove(e, sub, true);
        return NULL;
    }
    sub->seq = record_subscription(e, sub);
    s->seq = sub->seq;
    return sub;
}

void
handle_subscribe(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    uint8_t short_name[2];
    enum mqttsn_return_code code;
    struct dm_span filter = requested_filter(e, s, packet, short_name, &code);

    if (filter.len == 0) {
        send_suback(e, s, packet->msg_id, 0, 0, code);
        return;
    }
    bool acceptable = engine_can_promise(e) && s->open_requests < OPEN_REQUESTS_MAX;
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
        send_suback(e, s, packet->msg_id, 0, 0, MQTTSN_CONGESTION);
        return;
    }
    sub->msg_id = packet->msg_id;
    sub->naps = s->naps;
    sub->owes_suback = true;
    s->subacks_owed++;
    if (e->upstream_up)
        upstream_subscribe(e, sub->filter->name, s, sub->upstream_id, true, sub->seq);
    else
        subscription_answer(e, sub, MQTTSN_ACCEPTED); /* carried out later (design 6) */
}

void
handle_unsubscribe(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    uint8_t short_name[2];
    enum mqttsn_return_code code;
    struct dm_span filter = requested_filter(e, s, packet, short_name, &code);
    struct name *name = filter.len > 0 ? name_get(e, filter) : NULL;
    struct subscription *sub = name != NULL ? subscription_find(s, name) : NULL;

    if (sub != NULL) { /* else R72, M43: answered all the same */
        bool last = sub->filter->subscription_count == 1;

        subscription_remove(e, sub, true);
        if (last)
            upstream_unsubscribe(e, name);
    }
    name_unref(e, name);
    engine_send(e, s, s->seq,
                &(struct mqttsn_packet){.type = MQTTSN_UNSUBACK, .msg_id = packet->msg_id});
}
