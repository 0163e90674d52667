/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine writes to the journal. */
#include "engine_private.h"

#include <assert.h>

enum { CLOCK_INTERVAL_MS = 60000 }; /* between two records of the clock */

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
image_address_equal(const struct session_image *wanted, const struct session_image *stored)
{
    return wanted->has_address == stored->has_address &&
           (!wanted->has_address || !stored->address_is_old);
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
        .mode = image->mode,
        .keepalive_s = image->keepalive_s,
        .sleep_s = image->sleep_s,
        .epoch = image->epoch,
        .msg_id = s->last_msg_id,
        .upstream = s->trunk->connection == 0  ? 0
                    : s->trunk->hold_at_broker ? 2
                                               : 1,
    };

    return emit_record(e, &record,
                       image->has_address ? session_address(s, &(struct dm_address){0}) : NULL);
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
                                              .name = name_of_session(e, s, r->name)},
                       NULL);
}

uint64_t
record_subscription(struct engine *e, const struct subscription *sub)
{
    return emit_record(
        e,
        &(struct store_record){.op = STORE_SUBSCRIPTION_PUT,
                               .session = sub->session->number,
                               .name = name_of_session(e, sub->session, sub->filter->name),
                               .topic_type = (uint8_t)sub->type,
                               .topic_id = sub->topic_id,
                               .qos = sub->qos,
                               .upstream_id = sub->upstream_id,
                               .order = sub->order},
        NULL);
}

uint64_t
record_subscription_delete(struct engine *e, const struct session *s, struct dm_span filter)
{
    return emit_record(e,
                       &(struct store_record){
                           .op = STORE_SUBSCRIPTION_DELETE, .session = s->number, .name = filter},
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
record_message(struct engine *e, const struct trunk *t, struct message *m)
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
                               .payload = message_payload(m),
                               .qos = m->qos,
                               .retain = m->retain,
                               .packet_id =
                                   m->inbound != NULL && m->qos == 1 ? m->inbound->packet_id : 0,
                               .broker = trunk_broker(e, t),
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
    uint64_t too_old_ms = engine_add_ms(d->arrived_ms, settings_of(e, s)->max_age_ms);

    if (too_old_ms != ENGINE_NEVER)
        record_clock(e);
    return emit_record(
        e,
        &(struct store_record){.op = STORE_DELIVERY_PUT,
                               .session = s->number,
                               .order = d->order,
                               .message = d->message->number,
                               .msg_id = d->msg_id,
                               .qos = d->qos,
                               .sent = d->sent,
                               .released = d->released,
                               .expires = too_old_ms != ENGINE_NEVER ? too_old_ms : 0},
        NULL);
}

uint64_t
record_delivery_delete(struct engine *e, const struct session *s, const struct delivery *d)
{
    return emit_record(
        e,
        &(struct store_record){.op = STORE_DELIVERY_DELETE,
                               .lazy = d->qos < 2 || d->released, /* see given_up_seq */
                               .session = s->number,
                               .order = d->order},
        NULL);
}

uint64_t
record_will(struct engine *e, const struct session *s)
{
    const struct will *will = s->will;

    return emit_record(e,
                       &(struct store_record){.op = STORE_WILL_PUT,
                                              .session = s->number,
                                              .name = will->topic != NULL
                                                          ? name_of_session(e, s, will->topic)
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
record_release(struct engine *e, const struct trunk *t, uint16_t packet_id, bool present)
{
    return emit_record(
        e,
        &(struct store_record){.op = present ? STORE_RELEASE_PUT : STORE_RELEASE_DELETE,
                               .lazy = !present,
                               .broker = trunk_broker(e, t),
                               .packet_id = packet_id},
        NULL);
}

void
record_open_release(struct engine *e, const struct uplink *u)
{
    const struct trunk *t = &e->shared;
    struct store_record record = {.op = STORE_RELEASE_PUT,
                                  .broker = trunk_broker(e, t),
                                  .packet_id = u->packet_id,
                                  .order = u->order,
                                  .sent = !u->released};

    emit_record(e, &record, NULL);
    broker_keep(e, &record);
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
record_inbound(struct engine *e, const struct trunk *t, const struct inbound *in, bool present)
{
    return emit_record(
        e,
        &(struct store_record){.op = present ? STORE_INBOUND_PUT : STORE_INBOUND_DELETE,
                               .broker = trunk_broker(e, t),
                               .packet_id = in->packet_id,
                               .content = in->content},
        NULL);
}

struct store_record
copies_row(const struct engine *e, const struct trunk *t, uint8_t qos, const struct copies *copies,
           uint8_t ids[4 * MQTT_SUBSCRIPTION_IDS_MAX])
{
    for (size_t i = 0; i < copies->id_count; i++)
        for (size_t k = 0; k < 4; k++)
            ids[4 * i + k] = (uint8_t)(copies->ids[i] >> (24 - 8 * k));
    return (struct store_record){.op = STORE_COPY_PUT,
                                 .broker = trunk_broker(e, t),
                                 .qos = qos,
                                 .message = copies->number,
                                 .content = copies->content,
                                 .order = copies->since,
                                 .payload = dm_span(ids, 4 * copies->id_count)};
}

void
record_copies(struct engine *e, const struct trunk *t, uint8_t qos, const struct copies *copies)
{
    uint8_t ids[4 * MQTT_SUBSCRIPTION_IDS_MAX];
    struct store_record record = copies_row(e, t, qos, copies, ids);

    emit_record(e, &record, NULL);
}

void
record_copy_mark(struct engine *e, const struct session *s, uint8_t qos,
                 const struct copy_mark *mark)
{
    const struct trunk *t = s->trunk;

    emit_record(e,
                &(struct store_record){.op = STORE_COPY_PUT,
                                       .broker = trunk_broker(e, t),
                                       .session = s->number,
                                       .qos = qos,
                                       .message = mark->number,
                                       .taken = mark->has_copy},
                NULL);
}

uint64_t
record_filter(struct engine *e, const struct trunk *t, const struct filter *f, uint32_t id,
              bool lazy)
{
    return emit_record(
        e,
        &(struct store_record){.op = STORE_FILTER_PUT,
                               .lazy = lazy,
                               .broker = trunk_broker(e, t),
                               .name = name_span(f->name),
                               .upstream_id = id,
                               .order = filter_is_held(f) && f->acked_id == id ? f->held_since : 0},
        NULL);
}

void
record_filter_delete(struct engine *e, const struct trunk *t, const struct filter *f, uint32_t id)
{
    emit_record(e,
                &(struct store_record){.op = STORE_FILTER_DELETE,
                                       .lazy = true,
                                       .broker = trunk_broker(e, t),
                                       .name = name_span(f->name),
                                       .upstream_id = id},
                NULL);
}

uint64_t
record_reserved_id(struct engine *e, uint32_t id)
{
    return emit_record(e, &(struct store_record){.op = STORE_FILTER_PUT, .lazy = true, .order = id},
                       NULL);
}

uint64_t
record_broker(struct engine *e, enum store_op op)
{
    return emit_record(e,
                       &(struct store_record){.op = op,
                                              .broker = broker_number(e),
                                              .order = e->broker->used - 1,
                                              .name = dm_span_text(e->broker->key)},
                       NULL);
}

uint64_t
record_own(struct engine *e, const struct trunk *t, enum store_op op)
{
    return emit_record(e,
                       &(struct store_record){.op = op,
                                              .broker = STORE_OWN_BROKERS + t->connection,
                                              .order = t->note,
                                              .name = dm_span(t->client_id, t->client_id_len)},
                       NULL);
}
