/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that come, sleep and wake, and a gateway that starts. */
#include <stdlib.h>
#include <time.h>

#include "payload.h"
#include "process.h"

enum {
    AWAKE_MAX = 10, /* devices awake at the same time */
    IDLE_S = 3,
    QUEUED_MIN = 10000, /* fewer messages do not show in a process's memory */
    QUEUE_POLL_MS = 20,
    SETTLE_POLL_MS = 100,
    BEHIND_MS = 1100, /* deletions may be written so much later */
    PATIENCE_MS = 60000,
};

void
storm_round(struct run *run, struct figures *figures)
{
    struct sample before;

    bench_begin(run, &before);
    uint32_t lost = bench_take_steps(run);

    bench_end(run, &before, run->devices, lost, figures);
}

/* ---- sleeping devices ---- */

struct sleepers {
    struct run *run;
    uint32_t next; /* device to wake */
    uint32_t awake;
    uint64_t received;
    double *awake_us;
    size_t wakes;
};

static void
on_publisher_answer(void *ctx, const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_PUBACK)
        ++*(uint64_t *)ctx;
}

/* Waits until so many messages are queued, or until everything is on disk. */
static void
await_daemon(struct run *run, uint64_t queued, bool settled, int poll_ms)
{
    uint64_t until = bench_now_ns() + PATIENCE_MS * 1000000ull;
    struct daemon_status status = {0};

    while (measure_status(&run->server, &status) &&
           (status.queued < queued || (settled && !status.settled)) && bench_now_ns() < until)
        bench_exchange(run, poll_ms);
}

void
bench_await_queued(struct run *run, uint64_t count)
{
    await_daemon(run, count, false, QUEUE_POLL_MS);
}

void
bench_settle(struct run *run)
{
    nanosleep(
        &(struct timespec){.tv_sec = BEHIND_MS / 1000, .tv_nsec = BEHIND_MS % 1000 * 1000000L},
        NULL);
    await_daemon(run, 0, true, SETTLE_POLL_MS);
}

void
bench_queue_backlog(struct run *run)
{
    uint32_t every = run->scenario->odd_sleep ? 2 : 1;
    uint32_t sleepers = run->devices / every;
    uint64_t total = (uint64_t)sleepers * SLEEP_BACKLOG;
    uint64_t published = 0;
    uint64_t acknowledged = 0; /* publications that the broker has */

    run->broker->ctx = &acknowledged;
    run->broker->on_packet = on_publisher_answer;
    do {
        for (; published < total && published - acknowledged < BENCH_WINDOW; published++)
            payload_send_down(run, (uint32_t)(published % sleepers * every) + every - 1, NULL, 1);
    } while (acknowledged < total && bench_exchange(run, BENCH_STALL_MS));
    run->broker->on_packet = broker_ignore;
    bench_await_queued(run, total);
}

static void
on_wake_answer(void *ctx, uint32_t device, const struct mqttsn_packet *packet)
{
    struct sleepers *s = ctx;
    struct device *d = &s->run->fleet.devices[device];

    if (fleet_answer(&s->run->fleet, device, packet))
        s->received++;
    if (packet->type != MQTTSN_PINGRESP || !d->open)
        return;
    d->open = false;
    s->awake--;
    s->awake_us[s->wakes++] = (double)(bench_now_ns() - d->since_ns) / 1e3;
}

static void
wake_all(struct sleepers *s)
{
    struct run *run = s->run;

    s->next = s->awake = 0;
    run->fleet.ctx = s;
    run->fleet.on_packet = on_wake_answer;
    do {
        for (; s->next < run->devices && s->awake < AWAKE_MAX; s->next++, s->awake++) {
            run->fleet.devices[s->next].open = true;
            run->fleet.devices[s->next].since_ns = bench_now_ns();
            fleet_wake(&run->fleet, s->next);
        }
    } while ((s->next < run->devices || s->awake > 0) && bench_exchange(run, BENCH_STALL_MS));
}

void
sleep_round(struct run *run, struct figures *figures)
{
    struct sleepers s = {.run = run};
    uint32_t per_cycle = run->devices * SLEEP_BACKLOG;
    uint32_t cycles = (run->messages + per_cycle - 1) / per_cycle;
    bool is_daemon = run->server.kind == SERVER_DORMOUSE;
    struct sample before;
    uint64_t messages = (uint64_t)cycles * per_cycle;

    s.awake_us = calloc((size_t)cycles * run->devices, sizeof *s.awake_us);
    if (s.awake_us == NULL)
        fail("out of memory");
    bench_begin(run, &before);
    for (uint32_t cycle = 0; cycle < cycles; cycle++) {
        uint64_t octets = is_daemon ? measure_private(run->server.pid) : 0;

        if (is_daemon)
            bench_queue_backlog(run);
        if (is_daemon && !run->queued_before && per_cycle >= QUEUED_MIN)
            figures->value[FIGURE_QUEUED_OCTETS] =
                ((double)measure_private(run->server.pid) - (double)octets) / per_cycle;
        run->queued_before = true;
        wake_all(&s);
    }
    double seconds = (double)(bench_now_ns() - before.at_ns) / 1e9;

    if (is_daemon)
        bench_settle(run);
    bench_end(run, &before, messages, messages - s.received, figures);
    figures->value[FIGURE_SECONDS] = seconds;
    bench_waits(figures, s.awake_us, s.wakes);
    free(s.awake_us);
}

/* ---- silence ---- */

void
idle_round(struct run *run, struct figures *figures)
{
    struct sample before;

    bench_begin(run, &before);
    nanosleep(&(struct timespec){.tv_sec = IDLE_S}, NULL);
    bench_end(run, &before, IDLE_S, 0, figures);
}

/* ---- start ---- */

void
start_prepare(struct run *run)
{
    bench_queue_backlog(run);
}

void
start_round(struct run *run, struct figures *figures)
{
    uint64_t messages = (uint64_t)run->devices * SLEEP_BACKLOG;
    struct daemon_status status = {0};
    struct sample after;

    server_stop(&run->server);
    uint64_t begun_ns = bench_now_ns();

    server_start_again(&run->server);
    measure_sample(&run->server, run->fleet.port, &after);
    measure_status(&run->server, &status);
    figures->value[FIGURE_MESSAGES] = (double)messages;
    figures->value[FIGURE_SECONDS] = (double)(after.at_ns - begun_ns) / 1e9;
    figures->value[FIGURE_CPU_US] = (double)after.cpu_ns / 1e3 / (double)messages;
    figures->value[FIGURE_LOST] = (double)(messages - status.queued);
    figures->value[FIGURE_PRIVATE_MIB] = (double)measure_private(run->server.pid) / (1 << 20);
}
