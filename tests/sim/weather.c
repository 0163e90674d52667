/* SPDX-License-Identifier: Apache-2.0 */
/* Draws the weather of a seed. */
#include "weather.h"

#include "engine.h"

#include "engine.h"
#include "random.h"

const char *const weather_kinds[] = {"crash", "radio",   "broker", "session", "disk",
                                     "jump",  "refusal", "limit",  "overlap", NULL};

static unsigned
between(struct random_source *random, unsigned a, unsigned b)
{
    return a + random_below(random, b - a + 1);
}

static bool
one_in(struct random_source *random, unsigned n)
{
    return random_below(random, n) == 0;
}

static void
draw_radio(struct weather *w, struct random_source *random)
{
    static const unsigned losses[] = {0, 5, 20, 50, 120, 250};
    static const unsigned delays[] = {2, 10, 40, 200};

    w->lost = losses[random_below(random, 6)];
    w->doubled = one_in(random, 2) ? between(random, 5, 60) : 0;
    w->slow = one_in(random, 2) ? between(random, 5, 60) : 0;
    w->full = one_in(random, 2) ? between(random, 2, 40) : 0;
    w->radio_ms = delays[random_below(random, 4)];
    w->retry_ms = between(random, 2, 10) * 1000;
}

static void
draw_broker(struct weather *w, struct random_source *random)
{
    static const unsigned windows[] = {1, 2, 5, 20, 100, 1000};

    w->mqtt5 = !one_in(random, 4);
    w->merged_copies = !w->mqtt5 || one_in(random, 3);
    w->overlap = !one_in(random, 3);
    w->prefix = one_in(random, 4);
    w->receive_maximum = windows[random_below(random, 6)];
    w->window = w->mqtt5 ? w->receive_maximum : 20;
    w->send_maximum = w->mqtt5 ? windows[random_below(random, 6)] : UINT16_MAX;
    w->broker_ms = one_in(random, 3) ? between(random, 100, 3000) : between(random, 1, 50);
    w->publish_ms = between(random, 200, 8000);
    w->session_loss = one_in(random, 3) ? between(random, 50, 300) : 0;
    w->refused_publish = one_in(random, 6) ? between(random, 5, 50) : 0;
    w->refused_subscribe = one_in(random, 6) ? between(random, 10, 100) : 0;
}

static void
draw_gateway(struct weather *w, struct random_source *random)
{
    static const unsigned dooms[] = {0, 50, 200, 1000};
    bool small = one_in(random, 5);

    w->doom = dooms[random_below(random, 4)];
    w->queue_messages = small ? between(random, 2, 12) : 10000;
    w->queue_bytes = small ? between(random, 100, 1000) : 1u << 20;
    w->spool_bytes = one_in(random, 6) ? between(random, 300, 2500) : 1u << 20;
    w->overflow = random_below(random, 3);
    w->max_age_ms = one_in(random, 8) ? between(random, 5, 300) * UINT64_C(1000) : ENGINE_NEVER;
    w->uplink_ack_store = one_in(random, 4);
    w->sqlite = one_in(random, 16);
    w->commit_ms = one_in(random, 4) ? between(random, 200, 2500) : between(random, 1, 40);
}

static void
draw_chaos(struct weather *w, struct random_source *random)
{
    w->chaos_ms = between(random, 10, 120) * 1000;
    w->crash = random_below(random, 6);
    w->orderly = random_below(random, 2);
    w->cut = random_below(random, 5);
    w->outage = random_below(random, 4);
    w->disk_failure = random_below(random, 3);
    w->link_down = random_below(random, 4);
    w->jump = random_below(random, 2);
    w->forget = one_in(random, 8);
    w->nonsense_ms = one_in(random, 4) ? between(random, 500, 10000) : 0;
    w->declined = one_in(random, 8) ? between(random, 5, 50) : 0;
    w->prefix_of_clients = w->prefix && one_in(random, 2);
}

static void
leave_out(struct weather *w, unsigned without)
{
    if (without & WITHOUT_CRASH)
        w->crash = w->orderly = w->doom = 0;
    if (without & WITHOUT_RADIO)
        w->lost = w->doubled = w->slow = w->full = w->link_down = 0;
    if (without & WITHOUT_BROKER)
        w->cut = w->outage = 0;
    if (without & WITHOUT_SESSION)
        w->session_loss = 0;
    if (without & WITHOUT_DISK)
        w->disk_failure = 0;
    if (without & WITHOUT_JUMP)
        w->jump = 0;
    if (without & WITHOUT_REFUSAL)
        w->refused_publish = w->refused_subscribe = 0;
    if (without & WITHOUT_OVERLAP)
        w->overlap = false;
    if (without & WITHOUT_LIMIT) {
        w->queue_messages = 10000;
        w->queue_bytes = w->spool_bytes = 1u << 20;
        w->max_age_ms = ENGINE_NEVER;
    }
}

void
weather_draw(struct weather *w, struct random_source *random, unsigned without)
{
    *w = (struct weather){.devices = between(random, 3, SIM_DEVICES_MAX),
                          .links = between(random, 1, SIM_LINKS_MAX)};
    draw_radio(w, random);
    draw_broker(w, random);
    draw_gateway(w, random);
    draw_chaos(w, random);
    leave_out(w, without);
}
