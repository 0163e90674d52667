/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine writes to the journal, and how the rows come back at the start. */
#include "engine_private.h"

#include <assert.h>

#include "topic.h"

static uint64_t
emit_record(struct engine *e, const struct store_record *record, const struct dm_address *address)
{
    struct engine_effect effect = {.type = ENGINE_RECORD, .record = *record};

    if (address != NULL) {
        effect.has_address = true;
        effect.address = *address;
    }
    e->emit(e->ctx, &effect);
    return ++e->seq;
}

static bool
image_equal(const struct session_image *a, const struct session_image *b)
{
    return a->present == b->present && a->clean == b->clean && a->mode == b->mode &&
           a->keepalive_s == b->keepalive_s && a->sleep_s == b->sleep_s && a->epoch == b->epoch;
}

static bool
image_address_equal(const struct session_image *a, const struct session_image *b)
{
    return a->has_address == b->has_address &&
           (!a->has_address || dm_address_equal(&a->address, &b->address));
}

static uint64_t
emit_session(struct engine *e, const struct session *s, const struct session_image *image,
             bool lazy)
{
    struct store_record record = {
        .op = STORE_SESSION_PUT,
        .lazy = lazy,
        .session = s->number,
        .client_id = dm_span(s->client_id, s->client_id_len),
        .clean = image->clean,
        .mode = (uint8_t)image->mode,
        .keepalive_s = image->keepalive_s,
        .sleep_s = image->sleep_s,
        .epoch = image->epoch,
        .msg_id = s->last_msg_id,
    };

    return emit_record(e, &record, image->has_address ? &image->address : NULL);
}

/* The row as it is, but with the latest MsgId: the next start goes on from there. */
void
record_msg_id(struct engine *e, const struct session *s)
{
    emit_session(e, s, &s->image, true);
}

/* Writes the session if it differs from what the disk holds. Going to sleep is recorded, awake and
 * the return from sleep are not (design 8): a device that only sleeps and wakes costs no write. */
uint64_t
record_session(struct engine *e, struct session *s)
{
    struct session_image image = {
        .present = true,
        .clean = s->clean,
        .mode = s->state == ENGINE_AWAKE ? ENGINE_ASLEEP : s->state,
        .keepalive_s = s->keepalive_s,
        .sleep_s = s->sleep_s,
        .epoch = s->epoch,
        .has_address = s->bound,
        .address = s->address,
    };
    bool back_from_sleep = s->image.mode == ENGINE_ASLEEP && image.mode == ENGINE_ACTIVE;
    struct session_image wanted = image;

    if (s->image.present && back_from_sleep)
        wanted.mode = ENGINE_ASLEEP;
    bool same = image_equal(&wanted, &s->image);
    if (same && image_address_equal(&wanted, &s->image))
        return s->seq;
    if (same)
        image = wanted; /* a new address alone is written behind and keeps the recorded mode */
    uint64_t seq = emit_session(e, s, &image, same);

    s->image = image;
    if (!same)
        s->seq = seq;
    return s->seq;
}

uint64_t
record_session_delete(struct engine *e, const struct session *s)
{
    return emit_record(e, &(struct store_record){.op = STORE_SESSION_DELETE, .session = s->number},
                       NULL);
}

uint64_t
record_registration(struct engine *e, const struct session *s, const struct registration *r,
                    bool lazy)
{
    return emit_record(e,
                       &(struct store_record){.op = STORE_TOPIC_PUT,
                                              .lazy = lazy,
                                              .session = s->number,
                                              .topic_id = r->id,
                                              .epoch = r->known_epoch,
                                              .name = name_span(r->name)},
                       NULL);
}

uint64_t
record_subscription(struct engine *e, const struct subscription *sub)
{
    return emit_record(e,
                       &(struct store_record){.op = STORE_SUBSCRIPTION_PUT,
                                              .session = sub->session->number,
                                              .name = name_span(sub->filter->name),
                                              .topic_type = (uint8_t)sub->type,
                                              .topic_id = sub->topic_id,
                                              .qos = sub->qos,
                                              .upstream_id = sub->upstream_id,
                                              .order = sub->order},
                       NULL);
}

uint64_t
record_subscription_delete(struct engine *e, const struct subscription *sub)
{
    return emit_record(e,
                       &(struct store_record){.op = STORE_SUBSCRIPTION_DELETE,
                                              .session = sub->session->number,
                                              .name = name_span(sub->filter->name)},
                       NULL);
}

/* A start must know how much of the time until a message expires has passed. */
static void
record_clock(struct engine *e)
{
    uint64_t gateway_ms = engine_gateway_ms(e);

    if (e->clock_recorded_ms != 0 && e->now_ms - e->clock_recorded_ms < CLOCK_INTERVAL_MS)
        return;
    e->clock_recorded_ms = e->now_ms;
    emit_record(
        e,
        &(struct store_record){.op = STORE_CLOCK_PUT, .lazy = true, .clock.gateway_ms = gateway_ms},
        NULL);
}

uint64_t
record_message(struct engine *e, struct message *m)
{
    assert(!m->stored);
    m->stored = true;
    if (m->expires_ms != ENGINE_NEVER)
        record_clock(e);
    return emit_record(
        e,
        &(struct store_record){.op = STORE_MESSAGE_PUT,
                               .message = m->number,
                               .name = name_span(m->topic),
                               .payload = dm_span(m->payload, m->len),
                               .qos = m->qos,
                               .retain = m->retain,
                               .packet_id =
                                   m->inbound != NULL && m->qos == 1 ? m->inbound->packet_id : 0,
                               .expires = m->expires_ms != ENGINE_NEVER ? m->expires_ms : 0},
        NULL);
}

uint64_t
record_message_delete(struct engine *e, const struct message *m)
{
    return emit_record(
        e, &(struct store_record){.op = STORE_MESSAGE_DELETE, .lazy = true, .message = m->number},
        NULL);
}

uint64_t
record_delivery(struct engine *e, const struct session *s, const struct delivery *d)
{
    return emit_record(e,
                       &(struct store_record){.op = STORE_DELIVERY_PUT,
                                              .session = s->number,
                                              .order = d->order,
                                              .message = d->message->number,
                                              .msg_id = d->msg_id,
                                              .qos = d->qos,
                                              .sent = d->sent,
                                              .released = d->released},
                       NULL);
}

uint64_t
record_delivery_delete(struct engine *e, const struct session *s, const struct delivery *d)
{
    return emit_record(
        e,
        &(struct store_record){
            .op = STORE_DELIVERY_DELETE, .lazy = true, .session = s->number, .order = d->order},
        NULL);
}

uint64_t
record_will(struct engine *e, const struct session *s)
{
    const struct will *will = s->will;

    return emit_record(e,
                       &(struct store_record){.op = STORE_WILL_PUT,
                                              .session = s->number,
                                              .name = will->topic != NULL ? name_span(will->topic)
                                                                          : (struct dm_span){0},
                                              .payload = dm_span(will->message, will->len),
                                              .qos = will->qos,
                                              .retain = will->retain},
                       NULL);
}

uint64_t
record_will_delete(struct engine *e, const struct session *s)
{
    return emit_record(e, &(struct store_record){.op = STORE_WILL_DELETE, .session = s->number},
                       NULL);
}

uint64_t
record_received(struct engine *e, const struct session *s, const struct received *r, bool present)
{
    return emit_record(
        e,
        &(struct store_record){.op = present ? STORE_RECEIVED_PUT : STORE_RECEIVED_DELETE,
                               .session = s->number,
                               .msg_id = r->msg_id,
                               .content = r->content},
        NULL);
}

uint64_t
record_release(struct engine *e, uint16_t packet_id, bool present)
{
    return emit_record(
        e,
        &(struct store_record){.op = present ? STORE_RELEASE_PUT : STORE_RELEASE_DELETE,
                               .lazy = !present,
                               .packet_id = packet_id},
        NULL);
}

uint64_t
record_uplink(struct engine *e, const struct uplink *u)
{
    return emit_record(e,
                       &(struct store_record){.op = STORE_SPOOL_PUT,
                                              .order = u->order,
                                              .session = u->session,
                                              .msg_id = u->msg_id,
                                              .packet_id = u->packet_id,
                                              .name = name_span(u->topic),
                                              .payload = dm_span(u->payload, u->len),
                                              .qos = u->qos,
                                              .retain = u->retain},
                       NULL);
}

uint64_t
record_uplink_delete(struct engine *e, const struct uplink *u)
{
    return emit_record(
        e, &(struct store_record){.op = STORE_SPOOL_DELETE, .lazy = true, .order = u->order}, NULL);
}

uint64_t
record_inbound(struct engine *e, const struct inbound *in, bool present)
{
    return emit_record(
        e,
        &(struct store_record){.op = present ? STORE_INBOUND_PUT : STORE_INBOUND_DELETE,
                               .packet_id = in->packet_id,
                               .content = in->content},
        NULL);
}

uint64_t
record_filter(struct engine *e, const struct filter *f, uint32_t id, bool lazy)
{
    return emit_record(
        e,
        &(struct store_record){.op = STORE_FILTER_PUT,
                               .lazy = lazy,
                               .name = name_span(f->name),
                               .upstream_id = id,
                               .order = filter_is_held(f) && f->acked_id == id ? f->held_since : 0},
        NULL);
}

void
record_filter_delete(struct engine *e, const struct filter *f, uint32_t id)
{
    emit_record(
        e,
        &(struct store_record){
            .op = STORE_FILTER_DELETE, .lazy = true, .name = name_span(f->name), .upstream_id = id},
        NULL);
}

uint64_t
record_reserved_id(struct engine *e, uint32_t id)
{
    return emit_record(e, &(struct store_record){.op = STORE_FILTER_PUT, .lazy = true, .order = id},
                       NULL);
}

uint64_t
record_broker(struct engine *e)
{
    return emit_record(e,
                       &(struct store_record){.op = STORE_BROKER_PUT,
                                              .name = dm_span_text(e->options->broker_key)},
                       NULL);
}

/* ---- the way back ---- */

static enum dm_result
load_session(struct engine *e, const struct store_record *record, const struct dm_address *address)
{
    if (record->client_id.len == 0 || record->client_id.len > MQTTSN_CLIENT_ID_MAX ||
        record->mode >= ENGINE_AWAKE || session_find(e, record->client_id) != NULL)
        return DM_MALFORMED;
    struct session *s = session_new(e, record->client_id, record->session);

    if (s == NULL)
        return DM_NO_MEMORY;
    s->clean = record->clean;
    s->state = (enum engine_state)record->mode;
    s->maybe_active = s->state == ENGINE_ASLEEP;
    s->keepalive_s = record->keepalive_s;
    s->sleep_s = record->sleep_s;
    s->epoch = record->epoch;
    s->last_msg_id = record->msg_id;
    if (address != NULL && address->link < e->options->link_count &&
        session_find_address(e, address) == NULL && !session_bind(e, s, address))
        return DM_NO_MEMORY;
    s->image = (struct session_image){.present = true,
                                      .clean = s->clean,
                                      .mode = s->state,
                                      .keepalive_s = s->keepalive_s,
                                      .sleep_s = s->sleep_s,
                                      .epoch = s->epoch,
                                      .has_address = s->bound,
                                      .address = s->address};
    return DM_OK;
}

static enum dm_result
load_will(struct engine *e, struct session *s, const struct store_record *record)
{
    if (record->qos > 2 || (record->name.len > 0 && !will_topic_is_valid(record->name)))
        return DM_MALFORMED;
    struct name *topic = record->name.len > 0 ? name_get(e, record->name) : NULL;

    if (topic == NULL && record->name.len > 0)
        return DM_NO_MEMORY;
    will_free(e, s->will);
    s->will = will_new(e, topic, record->payload, record->qos, record->retain);
    name_unref(e, topic);
    return s->will != NULL ? DM_OK : DM_NO_MEMORY;
}

static enum dm_result
load_filter(struct engine *e, const struct store_record *record)
{
    if (record->name.len == 0) {
        e->reserved_upstream_id = (uint32_t)record->order;
        return DM_OK;
    }
    if (!topic_filter_is_valid(record->name))
        return DM_MALFORMED;
    struct name *name = name_get(e, record->name);
    struct filter *f = name != NULL ? filter_get(e, name) : NULL;

    name_unref(e, name);
    if (f == NULL)
        return DM_NO_MEMORY;
    if (record->order != 0 && record->order >= f->held_since) {
        f->acked = true;
        f->acked_id = record->upstream_id;
        f->held_since = record->order;
    }
    if (record->order > e->last_subscription)
        e->last_subscription = record->order;
    if (record->upstream_id > e->last_upstream_id)
        e->last_upstream_id = record->upstream_id;
    if (!filter_add_id(e, f, record->upstream_id))
        return DM_NO_MEMORY;
    struct filter_id *id = filter_by_id(e, record->upstream_id);

    if (id != NULL && id->filter == f) {
        filter_id_store(id);
        id->given = true;
    }
    return DM_OK;
}

static enum dm_result
load_subscription(struct engine *e, struct session *s, const struct store_record *record)
{
    if (!topic_filter_is_valid(record->name) || record->qos > 2 ||
        record->topic_type > MQTTSN_TOPIC_SHORT || s->subscription_count >= SUBSCRIPTIONS_MAX)
        return DM_MALFORMED;
    struct name *name = name_get(e, record->name);
    struct subscription *sub = name != NULL ? subscription_new(e, s, name, record->order) : NULL;

    name_unref(e, name);
    if (sub == NULL)
        return DM_NO_MEMORY;
    sub->type = record->topic_type;
    sub->topic_id = record->topic_id;
    sub->qos = record->qos;
    sub->upstream_id = record->upstream_id;
    /* Identifiers grow, and the broker acknowledges in order. */
    sub->confirmed = sub->filter->acked && sub->filter->acked_id >= sub->upstream_id;
    if (record->order > e->last_subscription)
        e->last_subscription = record->order;
    if (record->upstream_id > e->last_upstream_id)
        e->last_upstream_id = record->upstream_id;
    if (!filter_add_id(e, sub->filter, sub->upstream_id))
        return DM_NO_MEMORY;
    filter_id_give(e, sub->upstream_id); /* perhaps, by an earlier process */
    return DM_OK;
}

static enum dm_result
load_message(struct engine *e, const struct store_record *record)
{
    if (!topic_name_is_valid(record->name) || record->qos > 2)
        return DM_MALFORMED;
    struct name *name = name_get(e, record->name);
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
    return m->qos != 1 || m->packet_id == 0 || !e->upstream_known || inbound_expect(e, m)
               ? DM_OK
               : DM_NO_MEMORY;
}

static enum dm_result
load_delivery(struct engine *e, struct session *s, const struct store_record *record)
{
    uint32_t hash = pointer_index_hash(0, &record->message, sizeof record->message);
    struct message *m = pointer_index_find(&e->messages_loaded, hash, &record->message);

    if (m == NULL || record->qos > m->qos)
        return DM_MALFORMED;
    return queue_load(e, s, m, record) ? DM_OK : DM_NO_MEMORY;
}

enum dm_result
engine_load(struct engine *e, const struct store_record *record, const struct dm_address *address)
{
    struct session *s = session_find_number(e, record->session);
    struct name *name;
    enum dm_result result = DM_OK;

    switch (record->op) {
    case STORE_CLOCK_PUT: /* engine_clock tells what follows from it */
        return DM_OK;
    case STORE_BROKER_PUT:
        e->upstream_known = dm_span_equal(record->name, dm_span_text(e->options->broker_key));
        return DM_OK;
    case STORE_FILTER_PUT:
        /* Another broker's acknowledgements mean nothing; the next connection clears the rows. */
        return e->upstream_known ? load_filter(e, record) : DM_OK;
    case STORE_RELEASE_PUT:
        if (e->upstream_known)
            uplink_load_release(e, record->packet_id);
        return DM_OK;
    case STORE_WILL_PUT:
        return s != NULL ? load_will(e, s, record) : DM_MALFORMED;
    case STORE_RECEIVED_PUT:
        if (s == NULL)
            return DM_MALFORMED;
        return received_load(s, record->msg_id, record->content) ? DM_OK : DM_NO_MEMORY;
    case STORE_INBOUND_PUT:
        return !e->upstream_known || inbound_load(e, record->packet_id, record->content)
                   ? DM_OK
                   : DM_NO_MEMORY;
    case STORE_SESSION_PUT:
        return load_session(e, record, address);
    case STORE_MESSAGE_PUT:
        return load_message(e, record);
    case STORE_SPOOL_PUT:
        return uplink_load(e, record);
    case STORE_SUBSCRIPTION_PUT:
        return s != NULL ? load_subscription(e, s, record) : DM_MALFORMED;
    case STORE_DELIVERY_PUT:
        return s != NULL ? load_delivery(e, s, record) : DM_MALFORMED;
    case STORE_TOPIC_PUT:
        if (s == NULL || !topic_name_is_valid(record->name) || record->topic_id == 0 ||
            record->topic_id == UINT16_MAX)
            return DM_MALFORMED;
        name = name_get(e, record->name);
        if (name == NULL || registration_load(s, name, record->topic_id, record->epoch) == NULL)
            result = DM_NO_MEMORY;
        name_unref(e, name);
        return result;
    default:
        return DM_INVALID;
    }
}
