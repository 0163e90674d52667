/* SPDX-License-Identifier: Apache-2.0 */
/* How the rows of the store become an engine again. */
#include "engine_private.h"

#include <stdlib.h>

#include "topic.h"

static enum dm_result
load_session(struct engine *e, const struct store_record *record, const struct dm_address *address)
{
    if (record->client_id.len == 0 || record->client_id.len > MQTTSN_CLIENT_ID_MAX ||
        record->mode >= ENGINE_AWAKE || session_find(e, record->client_id) != NULL)
        return DM_MALFORMED;
    struct session *s = session_new(e, record->client_id, record->session);

    if (s == NULL)
        return DM_NO_MEMORY;
    if (!own_attach(e, s, record->upstream))
        return DM_NO_MEMORY;
    s->clean = record->clean;
    e->status.sessions[s->state]--;
    s->state = record->mode;
    e->status.sessions[s->state]++;
    s->maybe_active = s->state == ENGINE_ASLEEP;
    s->keepalive_s = record->keepalive_s;
    s->sleep_s = record->sleep_s;
    s->epoch = record->epoch;
    s->last_msg_id = record->msg_id;
    struct party party = party_of(s);

    if (address != NULL && address->link < e->options->link_count &&
        access_is_here(&party, address) && session_find_address(e, address) == NULL &&
        !session_bind(e, s, address))
        return DM_NO_MEMORY;
    s->image = (struct session_image){.present = true,
                                      .clean = s->clean,
                                      .mode = s->state,
                                      .keepalive_s = s->keepalive_s,
                                      .sleep_s = s->sleep_s,
                                      .epoch = s->epoch,
                                      .has_address = s->bound};
    talk_end(e, s);
    return DM_OK;
}

static enum dm_result
load_will(struct engine *e, struct session *s, const struct store_record *record)
{
    if (record->qos > 2 || (record->name.len > 0 && !will_topic_is_valid(record->name)))
        return DM_MALFORMED;
    struct party party = party_of(s);
    /* Without a counterpart it is not published; the row stays for the next configuration. */
    struct dm_span up =
        record->name.len > 0 ? name_up(e, &party, record->name) : (struct dm_span){0};
    struct name *topic = up.len > 0 ? name_get(e, up) : NULL;

    if (topic == NULL && up.len > 0)
        return DM_NO_MEMORY;
    will_free(e, s->will);
    s->will = will_new(e, topic, record->payload, record->qos, record->retain);
    name_unref(e, topic);
    return s->will != NULL ? DM_OK : DM_NO_MEMORY;
}

enum dm_result
filter_load(struct engine *e, struct trunk *t, const struct store_record *record)
{
    if (record->name.len == 0) {
        e->reserved_upstream_id = (uint32_t)record->order;
        return DM_OK;
    }
    if (!topic_filter_is_valid(record->name))
        return DM_MALFORMED;
    struct name *name = name_get(e, record->name);
    struct filter *f = name != NULL ? filter_get(e, t, name) : NULL;

    name_unref(e, name);
    if (f == NULL)
        return DM_NO_MEMORY;
    subscription_yield_id(e, t, record->upstream_id, f);
    if (record->order != 0 && record->order >= f->held_since) {
        filter_id_hold(e, t, f, record->upstream_id);
        f->held_since = record->order;
    }
    if (record->order > e->last_subscription)
        e->last_subscription = record->order;
    if (record->upstream_id > e->last_upstream_id)
        e->last_upstream_id = record->upstream_id;
    return filter_id_has_row(e, t, f, record->upstream_id) ? DM_OK : DM_NO_MEMORY;
}

void
unmapped_free(struct engine *e)
{
    struct unmapped *u;
    struct unmapped *next;

    LL_FOREACH_SAFE (e->unmapped, u, next)
        free(u);
    e->unmapped = NULL;
}

/* With the names as they are configured now the device cannot have it: ended at the start. */
static enum dm_result
note_unmapped(struct engine *e, const struct store_record *record)
{
    struct unmapped *u = malloc(sizeof *u + record->name.len);

    if (u == NULL)
        return DM_NO_MEMORY;
    u->session = record->session;
    u->len = record->name.len;
    memcpy(u->filter, record->name.data, record->name.len);
    LL_PREPEND(e->unmapped, u);
    return DM_OK;
}

static enum dm_result
load_subscription(struct engine *e, struct session *s, const struct store_record *record)
{
    if (!topic_filter_is_valid(record->name) || record->qos > 2 ||
        record->topic_type > MQTTSN_TOPIC_SHORT || s->subscription_count >= SUBSCRIPTIONS_MAX)
        return DM_MALFORMED;
    struct party party = party_of(s);
    struct dm_span up = name_up(e, &party, record->name);

    if (up.len == 0)
        return note_unmapped(e, record);
    struct name *name = name_get(e, up);
    struct subscription *sub = name != NULL ? subscription_new(e, s, name, record->order) : NULL;

    name_unref(e, name);
    if (sub == NULL)
        return DM_NO_MEMORY;
    sub->type = record->topic_type;
    sub->topic_id = record->topic_id;
    sub->qos = record->qos;
    if (!subscription_identify(e, sub, record->upstream_id))
        return DM_NO_MEMORY;
    sub->given = true; /* perhaps, by an earlier process */
    /* Identifiers grow, and the broker acknowledges in order. */
    sub->confirmed = sub->filter->acked && sub->filter->acked_id >= sub->upstream_id;
    if (record->order > e->last_subscription)
        e->last_subscription = record->order;
    if (record->upstream_id > e->last_upstream_id)
        e->last_upstream_id = record->upstream_id;
    return DM_OK;
}

static enum dm_result
load_message(struct engine *e, const struct store_record *record)
{
    if (!topic_name_is_valid(record->name) || record->qos > 2)
        return DM_MALFORMED;
    struct name *name = names_have_room(e, record->name) ? name_get(e, record->name) : NULL;
    struct message *m =
        name != NULL ? message_new(e, name, record->payload, record->qos, record->retain) : NULL;

    name_unref(e, name);
    if (m == NULL)
        return DM_NO_MEMORY;
    m->number = record->message;
    m->expires_ms = record->expires != 0 ? record->expires : ENGINE_NEVER;
    if (m->number > e->last_message)
        e->last_message = m->number;
    if (!pointer_index_insert(&e->messages_loaded, m)) {
        message_unref(e, m);
        return DM_NO_MEMORY;
    }
    m->stored = true; /* from now on its row goes with it */
    m->packet_id = record->packet_id;
    if (m->packet_id != 0 && record->broker >= STORE_OWN_BROKERS) {
        struct trunk *t = trunk_find(e, record->broker - STORE_OWN_BROKERS);

        if (t != NULL)
            t->expects = true;
        return DM_OK;
    }
    return m->qos != 1 || m->packet_id == 0 || !broker_is_current(e, record->broker) ||
                   inbound_expect(e, m)
               ? DM_OK
               : DM_NO_MEMORY;
}

static enum dm_result
load_delivery(struct engine *e, struct session *s, const struct store_record *record)
{
    uint32_t hash = pointer_index_hash_number(record->message);
    struct message *m = pointer_index_find(&e->messages_loaded, hash, &record->message);

    if (m == NULL || record->qos > m->qos || record->order > UINT32_MAX)
        return DM_MALFORMED;
    return queue_load(e, s, m, record) ? DM_OK : DM_NO_MEMORY;
}

static enum dm_result
load_topic(struct engine *e, struct session *s, const struct store_record *record)
{
    struct party party = party_of(s);
    enum dm_result result = DM_OK;

    if (!topic_name_is_valid(record->name) || record->topic_id == 0 ||
        record->topic_id == UINT16_MAX)
        return DM_MALFORMED;
    struct dm_span up = name_up(e, &party, record->name);

    if (up.len == 0) { /* the id is not known any more, and means nothing else either */
        if (record->topic_id > s->last_topic_id)
            s->last_topic_id = record->topic_id;
        return DM_OK;
    }
    struct name *name = name_get(e, up);

    if (name == NULL || registration_load(e, s, name, record->topic_id, record->epoch) == NULL)
        result = DM_NO_MEMORY;
    name_unref(e, name);
    return result;
}

static enum dm_result
load_of_broker(struct engine *e, struct trunk *t, const struct store_record *record)
{
    bool reserved = record->op == STORE_FILTER_PUT && record->name.len == 0;

    if (record->op == STORE_RELEASE_PUT && record->order > e->last_spool)
        e->last_spool = record->order; /* it means a message that may be gone, and no other */
    if (t->connection == 0 && !reserved && !broker_is_current(e, record->broker))
        return broker_load_row(e, record);
    if (record->op == STORE_FILTER_PUT)
        return filter_load(e, t, record);
    if (record->op == STORE_RELEASE_PUT)
        return uplink_load_release(t, record->packet_id);
    if (record->op == STORE_COPY_PUT)
        return route_load(e, t, record);
    return inbound_load(t, record->packet_id, record->content) ? DM_OK : DM_NO_MEMORY;
}

/* The connection that the row is about; NULL: none that is known. */
static struct trunk *
trunk_of(struct engine *e, const struct store_record *record)
{
    struct trunk *t;

    if (record->op == STORE_SPOOL_PUT) { /* the session may be gone, or may have shared */
        t = trunk_find(e, record->session);
        return t != NULL ? t : &e->shared;
    }
    return record->broker < STORE_OWN_BROKERS ? &e->shared
                                              : trunk_find(e, record->broker - STORE_OWN_BROKERS);
}

enum dm_result
engine_load(struct engine *e, const struct store_record *record, const struct dm_address *address)
{
    struct session *s = session_find_number(e, record->session);
    struct trunk *t = trunk_of(e, record);

    switch (record->op) {
    case STORE_CLOCK_PUT: /* engine_clock tells what follows from it */
        return DM_OK;
    case STORE_BROKER_PUT:
        return record->broker < STORE_OWN_BROKERS ? broker_load(e, record) : own_load(e, record);
    case STORE_FILTER_PUT:
    case STORE_RELEASE_PUT:
    case STORE_INBOUND_PUT:
    case STORE_COPY_PUT:
        return t != NULL ? load_of_broker(e, t, record) : DM_MALFORMED;
    case STORE_WILL_PUT:
        return s != NULL ? load_will(e, s, record) : DM_MALFORMED;
    case STORE_RECEIVED_PUT:
        if (s == NULL)
            return DM_MALFORMED;
        return received_load(e, s, record->msg_id, record->content) ? DM_OK : DM_NO_MEMORY;
    case STORE_SESSION_PUT:
        return load_session(e, record, address);
    case STORE_MESSAGE_PUT:
        return load_message(e, record);
    case STORE_SPOOL_PUT:
        return uplink_load(e, t, record);
    case STORE_SUBSCRIPTION_PUT:
        return s != NULL ? load_subscription(e, s, record) : DM_MALFORMED;
    case STORE_DELIVERY_PUT:
        return s != NULL ? load_delivery(e, s, record) : DM_MALFORMED;
    case STORE_TOPIC_PUT:
        return s != NULL ? load_topic(e, s, record) : DM_MALFORMED;
    default:
        return DM_INVALID;
    }
}
