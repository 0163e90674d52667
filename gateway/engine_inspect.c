/* SPDX-License-Identifier: Apache-2.0 */
/* One session as an operator sees it. */
#include "engine_private.h"

static struct dm_span
id_of(const struct session *s)
{
    return dm_span(s->client_id, s->client_id_len);
}

static uint64_t
age_of(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

static uint64_t
time_until(uint64_t now_ms, uint64_t then_ms)
{
    if (then_ms == ENGINE_NEVER)
        return ENGINE_NEVER;
    return then_ms > now_ms ? then_ms - now_ms : 0;
}

const char *
engine_progress_name(enum engine_progress progress)
{
    static const char *const names[ENGINE_PROGRESS_COUNT] = {
        [ENGINE_PROGRESS_WAITING] = "waiting",   [ENGINE_PROGRESS_SUBACK] = "suback",
        [ENGINE_PROGRESS_DISK] = "disk",         [ENGINE_PROGRESS_SENT] = "sent",
        [ENGINE_PROGRESS_RECEIVED] = "received",
    };

    return progress < ENGINE_PROGRESS_COUNT ? names[progress] : "?";
}

static enum engine_progress
progress_of(const struct engine *e, const struct session *s, const struct delivery *d)
{
    if (d->released)
        return ENGINE_PROGRESS_RECEIVED;
    if (queue_is_open(s, d))
        return ENGINE_PROGRESS_SENT;
    if (d->qos == 2 && d->seq > e->committed_seq)
        return ENGINE_PROGRESS_DISK;
    return d->wait_suback ? ENGINE_PROGRESS_SUBACK : ENGINE_PROGRESS_WAITING;
}

static void
add_queue(const struct engine *e, const struct session *s, struct engine_session_detail *detail)
{
    const struct delivery *d;

    DL_FOREACH (s->queue, d) {
        detail->queued_by_qos[d->qos]++;
        detail->queued_by_progress[progress_of(e, s, d)]++;
        detail->queued_stored += d->stored;
    }
}

enum dm_result
engine_show(const struct engine *e, uint64_t now_ms, struct dm_span client_id,
            engine_visit_detail *visit, void *ctx)
{
    struct dm_span filters[SUBSCRIPTIONS_MAX];
    const struct session *s = session_find(e, client_id);
    struct engine_session_detail detail = {0};
    struct buffer texts = {0};
    struct buffer will_topic = {0};

    if (s == NULL)
        return DM_NOT_FOUND;
    session_status(e, s, now_ms, filters, &texts, &detail.session);
    if (detail.session.will) {
        detail.will_topic = name_shown(e, s, s->will->topic, &will_topic);
        detail.will_message = dm_span(s->will->message, s->will->len);
        detail.will_qos = s->will->qos;
        detail.will_retain = s->will->retain;
    }
    add_queue(e, s, &detail);
    detail.supervision_ms = time_until(now_ms, session_supervision(e, s));
    detail.retry_ms = ENGINE_NEVER;
    if (talk_of(s)->exchange != EXCHANGE_NONE) {
        detail.exchange = exchange_name(talk_of(s)->exchange);
        detail.retry_ms = time_until(now_ms, talk_of(s)->retry_at_ms);
        detail.retries = talk_of(s)->retries;
    }
    detail.pause_ms = time_until(now_ms, talk_of(s)->pause_until_ms);
    detail.stalled = talk_of(s)->stalled;
    detail.link_has_room = !talk_of(s)->blocked;
    detail.open_uplinks = s->open_uplinks;
    visit(ctx, &detail);
    buffer_fini(&texts);
    buffer_fini(&will_topic);
    return DM_OK;
}

enum dm_result
engine_each_message(const struct engine *e, uint64_t now_ms, struct dm_span client_id,
                    engine_visit_message *visit, void *ctx)
{
    const struct session *s = session_find(e, client_id);
    const struct delivery *d;
    struct buffer text = {0};

    if (s == NULL)
        return DM_NOT_FOUND;
    uint64_t gateway_ms = now_ms + (uint64_t)e->clock_offset_ms;

    DL_FOREACH (s->queue, d)
        visit(ctx, &(struct engine_message_status){
                       .topic = name_shown(e, s, d->message->topic, &text),
                       .octets = message_payload(d->message).len,
                       .qos = d->qos,
                       .retain = d->message->retain,
                       .stored = d->stored,
                       .progress = progress_of(e, s, d),
                       .age_ms = age_of(gateway_ms, d->arrived_ms),
                       .expires_ms = time_until(gateway_ms, delivery_expiry(e, s, d)),
                   });
    buffer_fini(&text);
    return DM_OK;
}

enum dm_result
engine_each_subscription(const struct engine *e, struct dm_span client_id,
                         engine_visit_subscription *visit, void *ctx)
{
    const struct session *s = session_find(e, client_id);
    const struct subscription *sub;
    struct buffer text = {0};

    if (s == NULL)
        return DM_NOT_FOUND;
    LL_FOREACH (s->subscriptions, sub) {
        const struct registration *r = registration_by_name(s, sub->filter->name);
        uint16_t registered = r != NULL ? r->id : 0;

        visit(ctx, &(struct engine_subscription_status){
                       .filter = name_shown(e, s, sub->filter->name, &text),
                       .qos = sub->qos,
                       .type = sub->type,
                       .topic_id = sub->type == MQTTSN_TOPIC_NORMAL ? registered : sub->topic_id,
                       .confirmed = sub->confirmed,
                   });
    }
    buffer_fini(&text);
    return DM_OK;
}

enum dm_result
engine_each_topic(const struct engine *e, struct dm_span client_id, engine_visit_topic *visit,
                  void *ctx)
{
    const struct session *s = session_find(e, client_id);
    struct buffer text = {0};

    if (s == NULL)
        return DM_NOT_FOUND;
    for (size_t i = 0; i < s->registration_count; i++) {
        const struct registration *r = &s->registrations[i];

        visit(ctx, &(struct engine_topic_status){
                       .id = r->id,
                       .name = name_shown(e, s, r->name, &text),
                       .known = r->known_epoch == s->epoch,
                       .refused = r->refused,
                   });
    }
    buffer_fini(&text);
    return DM_OK;
}

struct dm_span
engine_client_at(const struct engine *e, const struct dm_address *address)
{
    const struct session *s = session_find_address(e, address);
    const struct handshake *h = s == NULL ? handshake_find(e, address) : NULL;

    if (s != NULL)
        return id_of(s);
    return h != NULL ? dm_span(h->client_id, h->client_id_len) : (struct dm_span){0};
}
