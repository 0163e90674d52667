/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a life. First all misfortune stops, but the devices stay as they are: now nothing may
 * stay open at the broker. Then they come back: now everybody gets what was promised.
 */
#include "world.h"

enum {
    HOME_MS = 1800000,      /* a device gets something in that time, as long as it is owed */
    SETTLE_STEPS = 2000000, /* more is a loop */
};

static void
run(struct world *w, uint64_t ms)
{
    uint64_t end_ms = w->now_ms + ms;
    uint64_t end_step = w->step + SETTLE_STEPS;

    while (!w->failed && w->now_ms < end_ms && world_step(w))
        if (w->step > end_step)
            world_fail(w, "the world comes to rest", "%u steps did not do", SETTLE_STEPS);
}

/* What goes on: messages that are still under way, and how far they came. */
static uint64_t
under_way(const struct world *w)
{
    struct engine_status status;

    engine_status(runner_engine(w->gateway.runner), &status);
    return w->broker.out_count + status.spooled_messages;
}

static uint64_t
progress(const struct world *w)
{
    uint64_t sum = w->broker.completed + w->broker.published;

    for (unsigned d = 0; d < w->weather.devices; d++)
        sum += w->oracle.debts[d].paid;
    return sum;
}

static bool
is_done(const struct world *w)
{
    for (unsigned d = 0; d < w->weather.devices; d++)
        if (w->oracle.debts[d].count > w->oracle.debts[d].dropped || w->devices[d].open_number != 0)
            return false;
    return under_way(w) == 0;
}

/* The gateway may be slow, but it never stands still while there is something to do. */
static void
drain(struct world *w, uint64_t patience_ms)
{
    uint64_t before, requests;

    do {
        before = progress(w);
        requests = w->broker.requests; /* with MQTT 3.1.1 they go one at a time */
        run(w, patience_ms);
    } while (!w->failed &&
             (w->broker.requests != requests || (under_way(w) > 0 && progress(w) != before)));
}

static void
deliver(struct world *w)
{
    uint64_t since_ms = w->now_ms;
    uint64_t before = progress(w);

    while (!w->failed && !is_done(w) && w->now_ms - since_ms < HOME_MS) {
        run(w, 10000);
        if (progress(w) != before)
            since_ms = w->now_ms;
        before = progress(w);
    }
}

static void
end_misfortune(struct world *w)
{
    w->calm = true;
    world_trace(w, "all misfortune ends");
    for (unsigned i = 0; i < w->weather.links; i++) {
        radio_set_link(w, i, true);
        radio_make_room(w, i);
    }
    w->broker.reachable = true;
    gateway_start(w);
}

void
world_settle(struct world *w)
{
    end_misfortune(w);
    drain(w, SIM_WINDOW_MS);
    if (w->failed)
        return;
    oracle_broker_settled(w);
    oracle_up_settled(w);
    oracle_will_settled(w);
    world_trace(w, "the devices come back");
    w->oracle.home = true;
    deliver(w);
    if (w->failed)
        return;
    oracle_down_settled(w);
    oracle_up_settled(w);
    oracle_broker_settled(w);
    disk_drain(w);
    oracle_rows_settled(w);
}
