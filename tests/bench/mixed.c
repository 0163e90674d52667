/* SPDX-License-Identifier: Apache-2.0 */
/* A fleet at work: a fixed rate, far from what is possible, so that messages come one by one. Of
 * ten operations five are QoS 1 and two QoS 0 from devices, one is a message for a device that is
 * connected, one for a device that sleeps, and one device wakes for such a message. */
#include <stdlib.h>

#include "payload.h"

enum { RATE = 2000, MIX = 10, LAG_MAX = 20 /* sleepers between a message and its wake */ };

struct mixed {
    struct run *run;
    uint32_t operations;  /* begun */
    uint32_t next_active; /* even devices stay connected */
    uint32_t next_queued; /* of the sleepers, who are the odd ones: gets a message */
    uint32_t next_woken;
    uint64_t finished;
    double *awake_us;
    size_t wakes;
};

static uint32_t
sleeper(const struct run *run, uint32_t number)
{
    return number % (run->devices / 2) * 2 + 1;
}

static uint32_t
take_active(struct mixed *m)
{
    struct run *run = m->run;
    uint32_t active = (run->devices + 1) / 2;
    uint32_t device = 0;

    for (uint32_t tries = 0; tries < active; tries++) {
        device = m->next_active++ % active * 2;
        if (!run->fleet.devices[device].open)
            break;
    }
    return device;
}

static void
wake_next(struct mixed *m)
{
    struct run *run = m->run;
    uint32_t device = sleeper(run, m->next_woken++);
    struct device *d = &run->fleet.devices[device];

    d->open = true;
    d->since_ns = bench_now_ns();
    fleet_wake(&run->fleet, device);
}

static void
operate(struct mixed *m)
{
    struct run *run = m->run;
    uint32_t kind = m->operations++ % MIX;
    uint32_t lag = run->devices / 2 > LAG_MAX ? LAG_MAX : run->devices / 2 - 1;

    if (kind < 5) {
        uint32_t device = take_active(m);

        run->fleet.devices[device].open = true;
        payload_send_up(run, device, 1);
    } else if (kind < 7) {
        payload_send_up(run, take_active(m), 0);
    } else if (kind == 7) {
        payload_send_down(run, take_active(m), NULL, 1);
    } else if (kind == 8) {
        payload_send_down(run, sleeper(run, m->next_queued++), NULL, 1);
    } else if (m->next_queued - m->next_woken > lag) {
        wake_next(m);
    } else {
        m->finished++; /* at the beginning nobody has anything to wake for */
    }
}

static void
on_packet(void *ctx, uint32_t device, const struct mqttsn_packet *packet)
{
    struct mixed *m = ctx;
    struct device *d = &m->run->fleet.devices[device];
    uint32_t whose;

    if (packet->type == MQTTSN_PUBACK) {
        d->open = false;
    } else if (packet->type == MQTTSN_PINGRESP && d->open) {
        d->open = false;
        m->awake_us[m->wakes++] = (double)(bench_now_ns() - d->since_ns) / 1e3;
        m->finished++;
    } else if (fleet_answer(&m->run->fleet, device, packet) && !packet->dup &&
               payload_read(m->run, packet->data, &whose)) {
        m->finished++;
    }
}

static void
on_arrival(void *ctx, const struct mqtt_packet *packet)
{
    struct mixed *m = ctx;
    uint32_t device;

    if (packet->type == MQTT_PUBLISH && payload_read(m->run, packet->payload, &device))
        m->finished++;
}

/* The last messages for sleepers: every one has a wake, and none comes too early. Returns how many
 * came behind. */
static uint32_t
wake_rest(struct mixed *m)
{
    uint32_t rest = m->next_queued - m->next_woken;

    bench_await_queued(m->run, rest);
    while (m->next_woken != m->next_queued) {
        wake_next(m);
        bench_exchange(m->run, BENCH_STALL_MS);
    }
    return rest;
}

void
mixed_round(struct run *run, struct figures *figures)
{
    struct mixed m = {.run = run};
    struct sample before;

    if (run->devices < 2)
        fail("a mixed fleet has at least 2 devices");
    m.awake_us = calloc(run->messages, sizeof *m.awake_us);
    if (m.awake_us == NULL)
        fail("out of memory");
    run->fleet.ctx = run->broker->ctx = &m;
    run->fleet.on_packet = on_packet;
    run->broker->on_packet = on_arrival;
    bench_begin(run, &before);
    while (m.operations < run->messages) {
        uint64_t due = (bench_now_ns() - before.at_ns) * RATE / 1000000000u + 1;

        while (m.operations < due && m.operations < run->messages)
            operate(&m);
        bench_exchange(run, 1);
    }
    uint64_t wanted = run->messages + wake_rest(&m);

    while (m.finished < wanted && bench_exchange(run, BENCH_STALL_MS))
        ;
    fleet_flush(&run->fleet);
    bench_end(run, &before, run->messages, wanted - m.finished, figures);
    bench_waits(figures, m.awake_us, m.wakes);
    free(m.awake_us);
}
