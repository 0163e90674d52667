/* SPDX-License-Identifier: Apache-2.0 */
/* What one connected device notices while many others wake: 10,000 in a minute, each with messages
 * that wait for it. */
#include <stdlib.h>

#include "payload.h"

enum {
    WAKES_PER_MINUTE = 10000,
    WAKES = WAKES_PER_MINUTE / 6, /* of a round */
    BEAT_NS = 5000000,            /* the device's next message, if the last one is acknowledged */
};

struct wave {
    struct run *run;
    uint32_t woken; /* odd devices sleep, device 0 is the one that is watched */
    uint32_t asleep_again;
    double *waits_us; /* from PUBLISH of QoS 1 to PUBACK */
    size_t waits, room;
};

void
wave_prepare(struct run *run)
{
    bench_queue_backlog(run);
}

static void
on_packet(void *ctx, uint32_t device, const struct mqttsn_packet *packet)
{
    struct wave *w = ctx;
    struct device *d = &w->run->fleet.devices[device];

    fleet_answer(&w->run->fleet, device, packet);
    if (!d->open)
        return;
    if (packet->type == MQTTSN_PINGRESP) {
        d->open = false;
        w->asleep_again++;
    } else if (packet->type == MQTTSN_PUBACK && device == 0) {
        d->open = false;
        if (w->waits < w->room)
            w->waits_us[w->waits++] = (double)(bench_now_ns() - d->since_ns) / 1e3;
    }
}

static void
open_exchange(struct wave *w, uint32_t device, uint64_t now_ns)
{
    w->run->fleet.devices[device].open = true;
    w->run->fleet.devices[device].since_ns = now_ns;
}

void
wave_round(struct run *run, struct figures *figures)
{
    struct wave w = {.run = run};
    uint32_t sleepers = run->devices / 2;
    uint32_t wakes = WAKES < sleepers ? WAKES : sleepers;
    uint64_t duration_ns = (uint64_t)wakes * 60000000000u / WAKES_PER_MINUTE;
    struct sample before;

    w.room = (size_t)(duration_ns / BEAT_NS) + 1;
    w.waits_us = calloc(w.room, sizeof *w.waits_us);
    if (w.waits_us == NULL || sleepers == 0)
        fail(sleepers == 0 ? "a wave needs at least 2 devices" : "out of memory");
    run->fleet.ctx = run->broker->ctx = &w;
    run->fleet.on_packet = on_packet;
    run->broker->on_packet = broker_ignore;
    bench_begin(run, &before);
    for (uint64_t beats = 0; w.woken < wakes;) {
        uint64_t now_ns = bench_now_ns();
        uint64_t past_ns = now_ns - before.at_ns;

        for (; w.woken < wakes && past_ns * WAKES_PER_MINUTE / 60000000000u > w.woken; w.woken++) {
            uint32_t device = (run->round * wakes + w.woken) % sleepers * 2 + 1;

            open_exchange(&w, device, now_ns);
            fleet_wake(&run->fleet, device);
        }
        if (past_ns / BEAT_NS >= beats && !run->fleet.devices[0].open) {
            /* From when it was due: one that has to wait for the last one's answer waits, too. */
            open_exchange(&w, 0, before.at_ns + beats++ * BEAT_NS);
            payload_send_up(run, 0, 1);
        }
        bench_exchange(run, 1);
    }
    while ((w.asleep_again < w.woken || run->fleet.devices[0].open) &&
           bench_exchange(run, BENCH_STALL_MS))
        ;
    fleet_flush(&run->fleet);
    bench_end(run, &before, w.woken, w.woken - w.asleep_again, figures);
    bench_waits(figures, w.waits_us, w.waits);
    free(w.waits_us);
}
