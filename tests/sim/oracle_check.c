/* SPDX-License-Identifier: Apache-2.0 */
/* After every step: sessions end for a reason, limits are kept. At the end: all debts are paid. */
#include <string.h>

#include "world.h"

enum { SMALL_SPOOL = 10000 };

/* ---- status ---- */

struct look {
    struct world *world;
    struct snapshot *snapshots;
};

static void
on_session(void *ctx, const struct engine_session_status *session)
{
    const struct look *look = ctx;

    if (session->client_id.data[0] != 'd') {
        look->world->oracle.stranger_octets += session->queued_octets;
        return;
    }
    unsigned d = (unsigned)(session->client_id.data[3] - '0') * 10 +
                 (unsigned)(session->client_id.data[4] - '0');
    const uint8_t *octets = session->address.octets;

    look->snapshots[d] = (struct snapshot){
        .there = true,
        .clean = session->clean,
        .will = session->will,
        .has_address = session->has_address,
        .state = session->state,
        .where =
            radio_where(session->address.link, octets[0], (unsigned)(octets[1] << 8 | octets[2])),
        .queued = session->queued_messages,
        .queued_octets = session->queued_octets,
        .dropped = session->dropped,
    };
}

void
oracle_look(struct world *w, struct snapshot *snapshots)
{
    struct look look = {w, snapshots};

    memset(snapshots, 0, SIM_DEVICES_MAX * sizeof *snapshots);
    w->oracle.stranger_octets = 0;
    engine_each_session(runner_engine(w->gateway.runner), w->now_ms, on_session, &look);
}

/* ---- sessions ---- */

static bool
is_talking(const struct snapshot *s)
{
    return s->there &&
           (s->state == ENGINE_ACTIVE || s->state == ENGINE_ASLEEP || s->state == ENGINE_AWAKE);
}

/* R74, R92: not before keep-alive or sleep duration, times the tolerance. */
static void
check_silence(struct world *w, unsigned d)
{
    const struct view *v = &w->oracle.views[d];
    uint64_t period_s = v->asleep || v->awake ? v->sleep_s : v->keepalive_s;
    uint64_t silent_ms = w->now_ms - v->heard_ms;

    if (v->asked_sleep_s > 0 && v->asked_sleep_s < period_s)
        period_s = v->asked_sleep_s;
    if (silent_ms < period_s * 10 * SIM_TOLERANCE_PERCENT)
        world_fail(w, "no living device counts as lost", "d%02u was heard %llu ms ago", d,
                   (unsigned long long)silent_ms);
}

/* A session that is not served any more, for no reason that came from its device. */
static void
session_left(struct world *w, unsigned d, const struct snapshot *was, const struct snapshot *is)
{
    struct view *v = &w->oracle.views[d];
    bool alive = v->alive;
    bool excused = oracle_is_excused(v) && (!is->there || is->state != ENGINE_LOST);

    if (alive && !excused)
        check_silence(w, d);
    /* A spool that is full takes no will; it says so in the log. */
    if (was->will && (!is->there || is->state == ENGINE_LOST))
        oracle_will_lost(w, d, alive && !excused && w->weather.spool_bytes > SMALL_SPOOL);
    v->alive = v->asleep = v->awake = false;
    v->blocked = 0;
    v->connecting = false; /* a CONNACK that was held comes too late to mean anything */
    if (was->clean)
        oracle_session_ended(w, d);
}

static void
check_session(struct world *w, unsigned d, bool from_device)
{
    struct oracle *o = &w->oracle;
    const struct snapshot *was = &o->before[d];
    const struct snapshot *is = &o->seen[d];
    struct view *v = &o->views[d];

    if (is_talking(was) && !is_talking(is) && !from_device)
        session_left(w, d, was, is);
    if (v->kept && !is->there)
        world_fail(w, "a persistent session stays", "that of d%02u is gone", d);
    if (v->alive && !is_talking(is))
        world_fail(w, "a session lasts until it is ended", "that of d%02u does not", d);
    if (v->alive && is->there && v->clean != is->clean && !v->connecting)
        world_fail(w, "a session is clean as its device asked", "that of d%02u is not", d);
    if (v->awake && is->state == ENGINE_ASLEEP) { /* R99: the exchange failed */
        v->awake = false;
        v->asleep = true;
        v->said = false;
    }
}

/* ---- limits and drops ---- */

static void
check_limits(struct world *w, const struct engine_status *status)
{
    const struct engine_options *options = &w->gateway.options;
    size_t sessions = 0;
    uint64_t octets = w->oracle.stranger_octets;

    for (unsigned s = 0; s < ENGINE_STATE_COUNT; s++)
        sessions += status->sessions[s];
    if (sessions > options->max_clients || status->queued_octets > options->total_bytes ||
        status->will_octets > options->total_bytes)
        world_fail(w, "every table keeps its limit", "%zu sessions, %llu octets queued", sessions,
                   (unsigned long long)status->queued_octets);
    if (status->spooled_octets > options->spool_bytes)
        world_fail(w, "every table keeps its limit", "%llu octets spooled",
                   (unsigned long long)status->spooled_octets);
    for (unsigned d = 0; d < w->weather.devices; d++) {
        const struct snapshot *is = &w->oracle.seen[d];

        octets += is->queued_octets;
        if (is->queued > options->settings.queue_messages ||
            is->queued_octets > options->settings.queue_bytes)
            world_fail(w, "every table keeps its limit", "d%02u: %llu messages, %llu octets", d,
                       (unsigned long long)is->queued, (unsigned long long)is->queued_octets);
    }
    if (octets != status->queued_octets)
        world_fail(w, "the counts add up", "%llu octets queued, %llu counted",
                   (unsigned long long)octets, (unsigned long long)status->queued_octets);
}

/* What a session gave up in this step is not owed any more; only a count is told, not which. */
static void
count_drops(struct world *w, const struct engine_status *status)
{
    struct oracle *o = &w->oracle;
    bool hard = false;

    for (unsigned r = 0; r < ENGINE_DROP_COUNT; r++) {
        uint64_t more = status->dropped[r] - o->dropped[r];

        w->tally->dropped[r] += more;
        hard = hard || (more > 0 && r != ENGINE_DROP_QOS0);
        o->dropped[r] = status->dropped[r];
    }
    for (unsigned d = 0; d < w->weather.devices; d++) {
        const struct snapshot *was = &o->before[d];
        const struct snapshot *is = &o->seen[d];

        if (!is->there || is->dropped <= was->dropped)
            continue;
        o->views[d].blocked = 0;
        if (hard)
            o->debts[d].dropped += is->dropped - was->dropped;
    }
}

void
oracle_check(struct world *w)
{
    struct oracle *o = &w->oracle;
    struct engine_status status;

    if (!w->gateway.running || w->gateway.dying)
        return;
    engine_status(runner_engine(w->gateway.runner), &status);
    oracle_look(w, o->seen);
    for (unsigned d = 0; d < w->weather.devices; d++)
        check_session(w, d, w->gateway.heard == d);
    check_limits(w, &status);
    count_drops(w, &status);
    memcpy(o->before, o->seen, sizeof o->before);
}

/* ---- at the end ---- */

void
oracle_broker_settled(struct world *w)
{
    const struct broker *b = &w->broker;

    for (size_t i = 0; i < b->in_flight; i++)
        if (w->now_ms - b->out[i].sent_ms > SIM_WINDOW_MS)
            world_fail(w, "the broker's window never stays stuck",
                       "message %x is open for %llu s, %zu are behind it", b->out[i].number,
                       (unsigned long long)(w->now_ms - b->out[i].sent_ms) / 1000,
                       b->out_count - i - 1);
    for (unsigned d = 0; d < w->weather.devices; d++) {
        const struct view *v = &w->oracle.views[d];

        for (unsigned f = 0; f < FILTERS_COUNT; f++)
            if (v->subs[f].told && !b->filters[f].held)
                world_fail(w, "what a device has subscribed to stays subscribed",
                           "the broker does not hold %s of d%02u", filters[f].name, d);
    }
}

/* Rows of a session that is not there, bodies that nobody waits for. */
struct rows {
    struct world *world;
    size_t sessions, messages;
    uint64_t numbers[SIM_DEVICES_MAX + STRANGER_CLIENTS];
    uint64_t bodies[1024];
    bool wanted[1024];
};

static void
check_owner(struct rows *rows, const struct store_record *record)
{
    for (size_t i = 0; i < rows->sessions; i++)
        if (rows->numbers[i] == record->session)
            return;
    world_fail(rows->world, "a session that has ended leaves no row", "kind %d of session %llu",
               (int)record->op, (unsigned long long)record->session);
}

static enum dm_result
on_row(void *ctx, const struct store_record *record)
{
    struct rows *rows = ctx;

    switch (record->op) {
    case STORE_SESSION_PUT:
        if (rows->sessions < sizeof rows->numbers / sizeof rows->numbers[0])
            rows->numbers[rows->sessions] = record->session;
        rows->sessions++;
        break;
    case STORE_MESSAGE_PUT:
        if (rows->messages < 1024)
            rows->bodies[rows->messages++] = record->message;
        break;
    case STORE_DELIVERY_PUT:
        for (size_t i = 0; i < rows->messages; i++)
            rows->wanted[i] = rows->wanted[i] || rows->bodies[i] == record->message;
        check_owner(rows, record);
        break;
    case STORE_WILL_PUT:
    case STORE_RECEIVED_PUT:
    case STORE_TOPIC_PUT:
    case STORE_SUBSCRIPTION_PUT:
        check_owner(rows, record);
        break;
    default:
        break;
    }
    return DM_OK;
}

void
oracle_rows_settled(struct world *w)
{
    struct rows rows = {.world = w};
    struct engine_status status;
    size_t sessions = 0;

    engine_status(runner_engine(w->gateway.runner), &status);
    for (unsigned state = 0; state < ENGINE_STATE_COUNT; state++)
        sessions += status.sessions[state];
    disk_each_row(w, on_row, &rows);
    if (rows.sessions != sessions)
        world_fail(w, "a session that has ended leaves no row", "%zu sessions, %zu rows", sessions,
                   rows.sessions);
    /* QoS 0 may wait in memory for a body that is on disk. */
    for (size_t i = 0; i < rows.messages && status.queued_messages == 0; i++)
        if (!rows.wanted[i])
            world_fail(w, "a body that nobody waits for leaves no row", "message %llu",
                       (unsigned long long)rows.bodies[i]);
}
