/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual clock, the queue of events, and the steps of a life. */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- chance ---- */

unsigned
world_below(struct world *w, unsigned limit)
{
    return limit > 0 ? random_below(&w->random, limit) : 0;
}

unsigned
world_between(struct world *w, unsigned a, unsigned b)
{
    return a + world_below(w, b - a + 1);
}

bool
world_one_in(struct world *w, unsigned n)
{
    return n > 0 && world_below(w, n) == 0;
}

bool
world_misfortune(struct world *w, unsigned per_mille)
{
    return per_mille > 0 && !w->calm && world_below(w, 1000) < per_mille;
}

void
world_fail(struct world *w, const char *promise, const char *format, ...)
{
    va_list arguments;

    if (w->failed)
        return;
    w->failed = true;
    int head = snprintf(w->fault, sizeof w->fault, "%s: ", promise);

    va_start(arguments, format);
    vsnprintf(w->fault + head, sizeof w->fault - (size_t)head, format, arguments);
    va_end(arguments);
    world_trace(w, "BROKEN: %s", w->fault);
}

/* ---- the queue: a binary heap ---- */

static bool
is_before(const struct event *a, const struct event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->serial < b->serial;
}

static void
swap(struct event *a, struct event *b)
{
    struct event other = *a;

    *a = *b;
    *b = other;
}

void
world_push(struct world *w, uint64_t delay_ms, const struct event *event)
{
    size_t at = w->event_count;

    if (w->event_count == w->event_room) {
        w->event_room = w->event_room == 0 ? 256 : w->event_room * 2;
        w->events = realloc(w->events, w->event_room * sizeof *w->events);
    }
    if (w->events == NULL)
        abort();
    struct event *copy = &w->events[w->event_count++];

    *copy = *event;
    copy->at_ms = w->now_ms + delay_ms;
    copy->serial = ++w->serial;
    copy->data = NULL;
    if (event->len > 0) {
        copy->data = malloc(event->len);
        if (copy->data == NULL)
            abort();
        memcpy(copy->data, event->data, event->len);
    }
    for (; at > 0 && is_before(&w->events[at], &w->events[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&w->events[at], &w->events[(at - 1) / 2]);
}

static struct event
pop(struct world *w)
{
    struct event first = w->events[0];
    size_t at = 0;

    w->events[0] = w->events[--w->event_count];
    for (;;) {
        size_t child = at * 2 + 1;

        if (child + 1 < w->event_count && is_before(&w->events[child + 1], &w->events[child]))
            child++;
        if (child >= w->event_count || !is_before(&w->events[child], &w->events[at]))
            return first;
        swap(&w->events[at], &w->events[child]);
        at = child;
    }
}

/* ---- misfortunes ---- */

static void
publish_at_broker(struct world *w)
{
    bool retain = world_one_in(w, 12);

    if (!w->calm)
        world_push(w, 1 + world_below(w, 2 * w->weather.publish_ms),
                   &(struct event){.type = EVENT_PUBLISH});
    if (w->broker.reachable)
        broker_publish(w, oracle_new_foreign(w, world_below(w, FILTERS_EXACT),
                                             (uint8_t)world_below(w, 3), retain));
}

static void
jump(struct world *w)
{
    uint64_t ms = world_between(w, 60, world_one_in(w, 4) ? 36000 : 600) * UINT64_C(1000);

    world_trace(w, "the clock jumps by %llu s", (unsigned long long)ms / 1000);
    w->tally->jumps++;
    w->now_ms += ms;
    if (w->gateway.running && w->gateway.deadline_ms + SIM_STALL_MS < w->now_ms)
        oracle_stood_still(w);
}

static void
link_outage(struct world *w)
{
    unsigned link = world_below(w, w->weather.links);

    radio_set_link(w, link, false);
    world_push(w, world_between(w, 10, 60000),
               &(struct event){.type = EVENT_LINK_UP, .where = link});
}

static void
outage(struct world *w)
{
    if (!w->broker.reachable)
        return;
    broker_down(w);
    world_push(w, world_between(w, 100, world_one_in(w, 4) ? 600000 : 20000),
               &(struct event){.type = EVENT_BROKER_UP});
}

static void
fail_disk(struct world *w)
{
    disk_fail(w, world_between(w, 1000, 60000));
}

/* The operator removes a device, and sets it up anew: it would not know that its topic ids mean
 * something else now. */
static void
forget(struct world *w)
{
    unsigned d = world_below(w, w->weather.devices);

    if (!w->gateway.running)
        return;
    world_trace(w, "d%02u is forgotten", d);
    oracle_session_ended(w, d);
    device_reboot(w, d);
    w->gateway.heard = d; /* no loss: its session ends by request */
    runner_forget(w->gateway.runner, dm_span_text(w->devices[d].client_id));
}

static void
strike(struct world *w)
{
    const struct weather *weather = &w->weather;
    const struct {
        unsigned weight;
        void (*happen)(struct world *w);
    } kinds[] = {
        {weather->crash, gateway_crash},
        {weather->orderly, gateway_stop_orderly},
        {weather->cut, broker_cut},
        {weather->outage, outage},
        {weather->disk_failure, fail_disk},
        {weather->link_down, link_outage},
        {weather->jump, jump},
        {weather->forget, forget},
    };
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    unsigned sum = 0;
    unsigned kind = 0;

    for (unsigned i = 0; i < KINDS; i++)
        sum += kinds[i].weight;
    if (sum == 0)
        return;
    unsigned what = world_below(w, sum);

    while (what >= kinds[kind].weight)
        what -= kinds[kind++].weight;
    kinds[kind].happen(w);
}

static void
chaos(struct world *w)
{
    if (w->calm)
        return;
    strike(w);
    world_push(w, 1 + world_below(w, 2 * w->weather.chaos_ms),
               &(struct event){.type = EVENT_CHAOS});
}

/* ---- steps ---- */

static bool
is_of_this_life(const struct world *w, const struct event *event)
{
    return w->gateway.running && event->tag == w->gateway.life;
}

static void
deliver_datagram(struct world *w, const struct event *e)
{
    if (e->tag != radio_memory(w, e->where))
        return; /* radio.h: nothing from before */
    if (e->type == EVENT_TO_GATEWAY)
        radio_to_gateway(w, e->where, e->data, e->len);
    else
        radio_to_device(w, e->where, e->data, e->len);
}

static void
happen(struct world *w, const struct event *e)
{
    switch (e->type) {
    case EVENT_TO_GATEWAY:
    case EVENT_TO_DEVICE:
        deliver_datagram(w, e);
        break;
    case EVENT_TO_BROKER:
        broker_to_broker(w, e->tag, e->data, e->len);
        break;
    case EVENT_TO_RUNNER:
        broker_to_runner(w, e->tag, e->data, e->len);
        break;
    case EVENT_THINK:
        device_think(w, e->where);
        break;
    case EVENT_PUBLISH:
        publish_at_broker(w);
        break;
    case EVENT_CHAOS:
        chaos(w);
        break;
    case EVENT_NONSENSE:
        stranger_speaks(w);
        break;
    case EVENT_COMMIT:
        if (is_of_this_life(w, e))
            disk_commit(w, e->where);
        break;
    case EVENT_COMMITTED:
        if (is_of_this_life(w, e))
            disk_committed(w);
        break;
    case EVENT_LINK_UP:
        radio_set_link(w, e->where, true);
        break;
    case EVENT_ROOM:
        radio_make_room(w, e->where);
        break;
    case EVENT_BROKER_UP:
        broker_up(w);
        break;
    case EVENT_START:
        gateway_start(w);
        break;
    case EVENT_DIAL:
        if (is_of_this_life(w, e))
            broker_dial(w);
        break;
    case EVENT_CONNECTED:
        broker_on_connected(w, e->tag, e->where != 0);
        break;
    case EVENT_CUT:
        broker_on_cut(w, e->tag);
        break;
    }
}

static void
advance(struct world *w, uint64_t at_ms)
{
    if (at_ms > w->now_ms)
        w->now_ms = at_ms;
}

/* The device that has something to do first, if that is before `*at_ms`. */
static unsigned
first_device(const struct world *w, uint64_t *at_ms)
{
    unsigned first = SIM_DEVICES_MAX;

    for (unsigned d = 0; d < w->weather.devices; d++) {
        uint64_t deadline_ms = device_deadline(w, d);

        if (deadline_ms >= *at_ms)
            continue;
        *at_ms = deadline_ms;
        first = d;
    }
    return first;
}

bool
world_step(struct world *w)
{
    uint64_t at_ms = w->event_count > 0 ? w->events[0].at_ms : UINT64_MAX;
    bool timer = w->gateway.running && w->gateway.deadline_ms < at_ms;

    if (timer)
        at_ms = w->gateway.deadline_ms;
    unsigned d = first_device(w, &at_ms);

    if (at_ms == UINT64_MAX)
        return false;
    w->step++;
    w->gateway.heard = SIM_DEVICES_MAX;
    advance(w, at_ms);
    if (d < SIM_DEVICES_MAX) {
        device_timer(w, d);
    } else if (timer) {
        gateway_timer(w);
    } else {
        struct event event = pop(w);

        happen(w, &event);
        free(event.data);
    }
    if (w->gateway.dying)
        gateway_crash(w);
    oracle_check(w);
    return true;
}

/* ---- a life ---- */

static void
begin(struct world *w, unsigned without)
{
    topics_init();
    w->random.state = w->seed;
    weather_draw(&w->weather, &w->random, without);
    w->now_ms = w->start_ms = 1000000 + world_below(w, 1000000);
    oracle_init(w);
    radio_init(w);
    broker_init(w);
    disk_init(w);
    gateway_init(w);
    for (unsigned d = 0; d < w->weather.devices; d++)
        device_init(w, d);
    world_push(w, 1, &(struct event){.type = EVENT_START});
    world_push(w, 100, &(struct event){.type = EVENT_PUBLISH});
    world_push(w, w->weather.chaos_ms, &(struct event){.type = EVENT_CHAOS});
    world_push(w, w->weather.nonsense_ms, &(struct event){.type = EVENT_NONSENSE});
}

static void
finish(struct world *w)
{
    w->gateway.running = false;
    disk_fini(w);
    gateway_fini(w);
    broker_fini(w);
    oracle_fini(w);
    for (size_t i = 0; i < w->event_count; i++)
        free(w->events[i].data);
    free(w->events);
    w->tally->seeds++;
    w->tally->steps += w->step;
    w->tally->simulated_ms += w->now_ms - w->start_ms;
}

bool
world_live(struct world *w, uint64_t seed, uint64_t steps, unsigned without, struct tally *tally,
           struct trace *trace)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->steps = steps;
    w->tally = tally;
    w->trace = trace;
    begin(w, without);
    while (!w->failed && w->step < steps && world_step(w)) {
    }
    if (!w->failed)
        world_settle(w);
    finish(w);
    return !w->failed;
}
