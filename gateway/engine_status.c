/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine tells operators. */
#include "engine_private.h"

const char *
engine_state_name(enum engine_state state)
{
    static const char *const names[ENGINE_STATE_COUNT] = {
        [ENGINE_DISCONNECTED] = "disconnected",
        [ENGINE_ACTIVE] = "active",
        [ENGINE_ASLEEP] = "asleep",
        [ENGINE_LOST] = "lost",
        [ENGINE_AWAKE] = "awake",
    };

    return state < ENGINE_STATE_COUNT ? names[state] : "?";
}

const char *
engine_own_name(enum engine_own own)
{
    static const char *const names[ENGINE_OWN_COUNT] = {
        [ENGINE_OWN_NONE] = "shared",           [ENGINE_OWN_CLOSED] = "closed",
        [ENGINE_OWN_CONNECTING] = "connecting", [ENGINE_OWN_CONNECTED] = "connected",
        [ENGINE_OWN_REFUSED] = "refused",       [ENGINE_OWN_TAKEN_OVER] = "taken_over",
    };

    return own < ENGINE_OWN_COUNT ? names[own] : "?";
}

static enum engine_own
own_state(const struct trunk *t)
{
    if (t->connection == 0)
        return ENGINE_OWN_NONE;
    if (t->refused)
        return ENGINE_OWN_REFUSED;
    if ((t->note & OWN_ELSEWHERE) != 0)
        return ENGINE_OWN_TAKEN_OVER;
    if (t->up)
        return ENGINE_OWN_CONNECTED;
    return t->opened ? ENGINE_OWN_CONNECTING : ENGINE_OWN_CLOSED;
}

bool
engine_is_degraded(const struct engine *e)
{
    return e->degraded;
}

void
engine_status(const struct engine *e, struct engine_status *status)
{
    const struct trunk *t;

    *status = e->status;
    status->degraded = e->degraded;
    status->handshakes = e->handshake_count;
    status->standing_by = discovery_is_silent(e);
    status->own_ending = e->own_ended;
    DL_FOREACH2 (e->own, t, own_next)
        if (t->session != NULL)
            status->own[own_state(t)]++;
    status->own[ENGINE_OWN_NONE] = e->by_number.count + e->own_ended - e->own_count;
}

/* The filters as the device wrote them. */
static size_t
collect_filters(const struct engine *e, const struct session *s, struct dm_span *filters,
                struct buffer *texts)
{
    struct buffer text = {0};
    const struct subscription *sub;
    size_t count = 0;

    texts->len = 0;
    LL_FOREACH (s->subscriptions, sub) {
        struct dm_span filter = name_shown(e, s, sub->filter->name, &text);
        bool made = text.octets != NULL && filter.data == text.octets;

        if (made && !buffer_append(texts, filter)) /* no memory: as the broker has it */
            filters[count++] = name_span(sub->filter->name);
        else /* where in `texts` is known when all are there */
            filters[count++] = made ? dm_span(NULL, filter.len) : filter;
    }
    for (size_t i = 0, at = 0; i < count; i++) {
        if (filters[i].data != NULL)
            continue;
        filters[i].data = texts->octets + at;
        at += filters[i].len;
    }
    buffer_fini(&text);
    return count;
}

void
session_status(const struct engine *e, const struct session *s, uint64_t now_ms,
               struct dm_span *filters, struct buffer *texts, struct engine_session_status *status)
{
    size_t count = collect_filters(e, s, filters, texts);

    *status = (struct engine_session_status){
        .client_id = dm_span(s->client_id, s->client_id_len),
        .clean = s->clean,
        .will = s->will != NULL && s->will->topic != NULL,
        .section = s->client != NULL ? s->client->pattern : NULL,
        .state = s->state,
        .has_address = s->bound,
        .address = *session_address(s, &(struct dm_address){0}),
        .heard = s->heard,
        .last_contact_ms = now_ms - s->last_contact_ms,
        .keepalive_s = s->keepalive_s,
        .sleep_s = s->sleep_s,
        .subscription_count = count,
        .subscriptions = filters,
        .topic_count = s->registration_count,
        .queued_messages = s->queued,
        .queued_octets = s->queued_octets,
        .delivered = s->delivered,
        .dropped = s->dropped,
        .own = own_state(s->trunk),
        .connection = s->trunk->connection,
        .hold_at_broker = s->trunk->hold_at_broker,
        .own_waits = (s->trunk->connection != 0) != settings_of(e, s)->own ||
                     (s->trunk->connection != 0 &&
                      s->trunk->hold_at_broker != settings_of(e, s)->hold_at_broker),
    };
}

void
engine_each_session(const struct engine *e, uint64_t now_ms, engine_visit *visit, void *ctx)
{
    struct dm_span filters[SUBSCRIPTIONS_MAX];
    struct engine_session_status status;
    struct buffer texts = {0};
    const struct session *s;

    DL_FOREACH (e->sessions, s) {
        session_status(e, s, now_ms, filters, &texts, &status);
        visit(ctx, &status);
    }
    buffer_fini(&texts);
}

const char *
engine_drop_name(enum engine_drop drop)
{
    switch (drop) {
    case ENGINE_DROP_OVERFLOW:
        return "overflow";
    case ENGINE_DROP_TOO_LONG:
        return "too_long";
    case ENGINE_DROP_REFUSED:
        return "refused";
    case ENGINE_DROP_QOS0:
        return "qos0_offline";
    case ENGINE_DROP_EXPIRED:
        return "expired";
    case ENGINE_DROP_OPERATOR:
        return "operator";
    case ENGINE_DROP_COUNT:
        break;
    }
    return "unknown";
}
