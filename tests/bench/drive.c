/* SPDX-License-Identifier: Apache-2.0 */
/* What all scenarios do: exchange messages, lead devices to their state, begin and end a round. */
#include "bench.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
    SLEEP_S = 36000,
    SESSIONS_MIN = 1000, /* fewer do not show in a process's memory */
};

bool
bench_exchange(struct run *run, int wait_ms)
{
    struct pollfd ready[] = {{.fd = run->fleet.fd, .events = POLLIN},
                             {.fd = run->broker->fd, .events = POLLIN}};

    bench_check();
    fleet_flush(&run->fleet);
    broker_flush(run->broker);
    if (poll(ready, 2, wait_ms) <= 0)
        return false;
    if (ready[0].revents != 0)
        fleet_receive(&run->fleet);
    if (ready[1].revents != 0)
        broker_receive(run->broker);
    return true;
}

struct steps {
    struct run *run;
    uint32_t next; /* device */
    uint32_t open;
    uint32_t done;
};

static void
send_step(struct run *run, uint32_t device)
{
    struct device *d = &run->fleet.devices[device];
    struct mqttsn_packet packet = {0};
    char text[24];

    switch ((enum fleet_step)d->step) {
    case STEP_CONNECT:
        fleet_connect(&run->fleet, device);
        return;
    case STEP_REGISTER:
    case STEP_SUBSCRIBE:
    case STEP_SUBSCRIBE_ALL:
        if (d->step == STEP_SUBSCRIBE_ALL)
            snprintf(text, sizeof text, "%c/all", run->server.topics);
        else
            snprintf(text, sizeof text, "%c/%c/%u", run->server.topics,
                     d->step == STEP_REGISTER ? 'u' : 'd', device);
        packet.type = d->step == STEP_REGISTER ? MQTTSN_REGISTER : MQTTSN_SUBSCRIBE;
        packet.topic_name = dm_span_text(text);
        packet.msg_id = fleet_msg_id(&run->fleet, device);
        packet.qos = d->step == STEP_REGISTER ? 0 : 2;
        break;
    case STEP_SLEEP:
        packet.type = MQTTSN_DISCONNECT;
        packet.has_duration = true;
        packet.duration_s = SLEEP_S;
        break;
    case STEP_COUNT:
        return;
    }
    fleet_send(&run->fleet, device, &packet);
}

/* Goes on to the device's next step; false if there is none. */
static bool
advance(struct run *run, uint32_t device, unsigned from)
{
    struct device *d = &run->fleet.devices[device];
    unsigned steps = run->scenario->steps;

    if (run->scenario->odd_sleep && device % 2 == 0)
        steps &= ~(1u << STEP_SLEEP);
    for (unsigned step = from; step < STEP_COUNT; step++) {
        if ((steps & 1u << step) != 0) {
            d->step = (uint8_t)step;
            send_step(run, device);
            return true;
        }
    }
    d->step = STEP_COUNT;
    return false;
}

static void
on_step_answer(void *ctx, uint32_t device, const struct mqttsn_packet *packet)
{
    static const enum mqttsn_type answers[STEP_COUNT] = {
        MQTTSN_CONNACK, MQTTSN_REGACK, MQTTSN_SUBACK, MQTTSN_SUBACK, MQTTSN_DISCONNECT,
    };
    struct steps *steps = ctx;
    struct device *d = &steps->run->fleet.devices[device];

    if (d->step >= STEP_COUNT || packet->type != answers[d->step])
        return;
    if (packet->return_code != MQTTSN_ACCEPTED)
        fail("a device's %s is refused with %d", mqttsn_type_name(packet->type),
             packet->return_code);
    if (d->step == STEP_REGISTER)
        d->topic_id = packet->topic_id;
    d->asleep = d->step == STEP_SLEEP;
    if (!advance(steps->run, device, d->step + 1u)) {
        steps->open--;
        steps->done++;
    }
}

uint32_t
bench_take_steps(struct run *run)
{
    struct steps steps = {.run = run};
    bool tells = run->server.kind == SERVER_DORMOUSE && run->devices >= SESSIONS_MIN;
    uint64_t octets = tells ? measure_private(run->server.pid) : 0;

    run->fleet.ctx = &steps;
    run->fleet.on_packet = on_step_answer;
    run->broker->on_packet = broker_ignore;
    do {
        while (steps.next < run->devices && steps.open < BENCH_WINDOW) {
            steps.open++;
            if (!advance(run, steps.next++, STEP_CONNECT))
                return 0; /* no steps at all */
        }
    } while (steps.done < run->devices && bench_exchange(run, BENCH_STALL_MS));
    run->session_octets = (double)NAN;
    if (octets > 0)
        run->session_octets =
            ((double)measure_private(run->server.pid) - (double)octets) / run->devices;
    return run->devices - steps.done;
}

void
bench_waits(struct figures *figures, double *waits_us, size_t count)
{
    figures->value[FIGURE_WAIT_P50_US] = measure_quantile(waits_us, count, 0.5);
    figures->value[FIGURE_WAIT_P99_US] = measure_quantile(waits_us, count, 0.99);
    figures->value[FIGURE_WAIT_MAX_US] = measure_quantile(waits_us, count, 1);
}

void
bench_begin(struct run *run, struct sample *before)
{
    static uint32_t rounds;

    run->round = ++rounds;
    measure_sample(&run->server, run->fleet.port, before);
    before->at_ns = bench_now_ns();
    before->cpu_ns = measure_cpu_ns(run->server.pid);
}

void
bench_end(struct run *run, const struct sample *before, uint64_t messages, uint64_t lost,
          struct figures *figures)
{
    struct sample after;
    double *value = figures->value;
    double count = (double)messages;

    measure_sample(&run->server, run->fleet.port, &after);
    value[FIGURE_MESSAGES] = count;
    value[FIGURE_SECONDS] = (double)(after.at_ns - before->at_ns) / 1e9;
    value[FIGURE_CPU_US] = (double)(after.cpu_ns - before->cpu_ns) / 1e3 / count;
    value[FIGURE_LOST] =
        (double)(lost > after.drops - before->drops ? lost : after.drops - before->drops);
    if (run->server.kind != SERVER_DORMOUSE)
        return;
    uint64_t octets = measure_private(run->server.pid);

    if (octets > 0)
        value[FIGURE_PRIVATE_MIB] = (double)octets / (1 << 20);
    if (after.has_disk && before->has_disk)
        value[FIGURE_DISK_OCTETS] = (double)(after.disk_octets - before->disk_octets) / count;
    value[FIGURE_STORE_OCTETS] = (double)(after.store_octets - before->store_octets) / count;
}
