/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a life. First all misfortune stops, but the devices stay as they are: now nothing may
 * stay open at the broker. Then they come back: now everybody gets what was promised.
 */
#include "world.h"

enum {
    CALM_MS = 60000,        /* what was under way has arrived by then */
    WINDOW_MS = 60000,      /* no message stays at the head of the broker's window for longer */
    HOME_MS = 1800000,      /* every device has what it was owed by then */
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

/* As long as the broker's oldest message is another one each time, its window moves. */
static void
drain(struct world *w)
{
    const struct broker *b = &w->broker;
    uint32_t first = 0;

    while (!w->failed && b->out_count > 0 && b->out[0].serial != first) {
        first = b->out[0].serial;
        run(w, WINDOW_MS);
    }
}

static bool
is_done(const struct world *w)
{
    for (unsigned d = 0; d < w->weather.devices; d++)
        if (w->oracle.debts[d].count > w->oracle.debts[d].dropped || w->devices[d].open_number != 0)
            return false;
    return w->broker.out_count == 0;
}

static void
end_misfortune(struct world *w)
{
    w->calm = true;
    world_trace(w, "all misfortune ends");
    for (unsigned i = 0; i < w->weather.links; i++) {
        radio_set_link(w, i, true);
        radio_set_full(w, i, false);
    }
    w->broker.reachable = true;
    gateway_start(w);
}

void
world_settle(struct world *w)
{
    end_misfortune(w);
    run(w, CALM_MS);
    drain(w);
    if (w->failed)
        return;
    oracle_broker_settled(w);
    oracle_up_settled(w);
    oracle_will_settled(w);
    world_trace(w, "the devices come back");
    w->oracle.home = true;
    for (uint64_t ms = 0; ms < HOME_MS && !w->failed && !is_done(w); ms += 10000)
        run(w, 10000);
    run(w, 5000); /* the last rows are written */
    if (w->failed)
        return;
    oracle_down_settled(w);
    oracle_up_settled(w);
    oracle_broker_settled(w);
    oracle_rows_settled(w);
}
