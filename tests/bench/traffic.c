/* SPDX-License-Identifier: Apache-2.0 */
/* Messages from devices, to devices and to all of them, as fast as it goes: a closed loop with at
 * most BENCH_WINDOW messages under way, one per device. */
#include <stdio.h>
#include <stdlib.h>

#include "payload.h"

struct traffic {
    struct run *run;
    uint32_t next; /* device to begin the search for one that has nothing open */
    uint32_t window;
    uint32_t open;
    uint64_t started;
    uint64_t finished; /* the device's side of it */
    uint64_t arrived;
    bool asked; /* a PINGREQ is under way that tells when the server has read everything */
};

static struct traffic
traffic_of(struct run *run)
{
    return (struct traffic){.run = run,
                            .window = run->devices < BENCH_WINDOW ? run->devices : BENCH_WINDOW};
}

/* Marks a device that has nothing open. The window is never larger than the fleet. */
static uint32_t
take_device(struct traffic *t)
{
    struct device *devices = t->run->fleet.devices;
    uint32_t device;

    do {
        device = t->next;
        t->next = (t->next + 1) % t->run->devices;
    } while (devices[device].open);
    devices[device].open = true;
    t->open++;
    t->started++;
    return device;
}

static void
finish(struct traffic *t, uint32_t device)
{
    struct device *d = &t->run->fleet.devices[device];

    if (!d->open)
        return; /* repeated */
    d->open = false;
    t->open--;
    t->finished++;
}

static void
clear_open(struct run *run)
{
    for (uint32_t i = 0; i < run->devices; i++)
        run->fleet.devices[i].open = false;
}

/* ---- from devices ---- */

static void
on_up_answer(void *ctx, uint32_t device, const struct mqttsn_packet *packet)
{
    struct traffic *t = ctx;

    if (packet->type == MQTTSN_PUBREC) {
        fleet_send(&t->run->fleet, device,
                   &(struct mqttsn_packet){.type = MQTTSN_PUBREL, .msg_id = packet->msg_id});
    } else if (packet->type == MQTTSN_PUBACK && packet->return_code != MQTTSN_ACCEPTED) {
        fail("a device's PUBLISH is refused with %d", packet->return_code);
    } else if (packet->type == MQTTSN_PUBACK || packet->type == MQTTSN_PUBCOMP) {
        finish(t, device);
    } else if (packet->type == MQTTSN_PINGRESP) {
        t->asked = false;
        t->finished += t->open;
        t->open = 0;
        clear_open(t->run);
    }
}

static void
on_up_arrival(void *ctx, const struct mqtt_packet *packet)
{
    struct traffic *t = ctx;
    uint32_t device;

    if (packet->type != MQTT_PUBLISH || !payload_read(t->run, packet->payload, &device))
        return;
    t->arrived++;
    if (t->run->scenario->qos == 0)
        finish(t, device);
}

static void
ask_device(struct traffic *t, uint32_t device)
{
    t->asked = true;
    fleet_send(&t->run->fleet, device, &(struct mqttsn_packet){.type = MQTTSN_PINGREQ});
}

void
up_round(struct run *run, struct figures *figures)
{
    struct traffic t = traffic_of(run);
    bool is_null = run->server.kind == SERVER_NULL;
    bool needs_asking = is_null && run->scenario->qos == 0; /* nothing else comes back */
    struct sample before;

    run->fleet.ctx = run->broker->ctx = &t;
    run->fleet.on_packet = on_up_answer;
    run->broker->on_packet = on_up_arrival;
    bench_begin(run, &before);
    do {
        while (t.started < run->messages && t.open < t.window && !t.asked)
            payload_send_up(run, take_device(&t), run->scenario->qos);
        if (needs_asking && t.open > 0 && !t.asked)
            ask_device(&t, 0);
    } while ((t.finished < run->messages || (!is_null && t.arrived < run->messages)) &&
             bench_exchange(run, BENCH_STALL_MS));
    uint64_t done = is_null || t.finished < t.arrived ? t.finished : t.arrived;

    bench_end(run, &before, run->messages, run->messages - done, figures);
    clear_open(run);
}

/* ---- to devices ---- */

void
payload_send_down(struct run *run, uint32_t device, const char *topic, int8_t qos)
{
    struct payload payload = payload_of(run, device);
    char text[32];

    if (topic == NULL)
        snprintf(text, sizeof text, "%c/d/%u", run->server.topics, device);
    else
        snprintf(text, sizeof text, "%c/%s", run->server.topics, topic);
    broker_send(run->broker,
                &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                      .qos = (uint8_t)qos,
                                      .packet_id = qos > 0 ? broker_packet_id(run->broker) : 0,
                                      .topic = dm_span_text(text),
                                      .payload = dm_span(&payload, sizeof payload)});
}

static void
on_down(void *ctx, uint32_t device, const struct mqttsn_packet *packet)
{
    struct traffic *t = ctx;
    uint32_t whose;

    if (packet->type == MQTTSN_PUBREL) {
        fleet_answer(&t->run->fleet, device, packet);
        finish(t, device);
    } else if (fleet_answer(&t->run->fleet, device, packet) &&
               payload_read(t->run, packet->data, &whose) && packet->qos < 2) {
        finish(t, device);
    }
}

static void
on_nothing(void *ctx, const struct mqtt_packet *packet)
{
    (void)ctx;
    (void)packet;
}

void
down_round(struct run *run, struct figures *figures)
{
    struct traffic t = traffic_of(run);
    struct sample before;

    run->fleet.ctx = run->broker->ctx = &t;
    run->fleet.on_packet = on_down;
    run->broker->on_packet = on_nothing;
    bench_begin(run, &before);
    do {
        while (t.started < run->messages && t.open < t.window)
            payload_send_down(run, take_device(&t), NULL, run->scenario->qos);
    } while (t.finished < run->messages && bench_exchange(run, BENCH_STALL_MS));
    fleet_flush(&run->fleet);
    bench_end(run, &before, run->messages, run->messages - t.finished, figures);
    clear_open(run);
}

/* ---- to all devices ---- */

struct fan_out {
    struct traffic traffic;
    struct mqttsn_packet *acks; /* what devices owe; they give them in small portions */
    uint32_t *owers;
    uint32_t ack_count;
    uint32_t acked;
    uint32_t unread; /* acknowledgements that the server may not have read */
};

static void
on_fan_out(void *ctx, uint32_t device, const struct mqttsn_packet *packet)
{
    struct fan_out *f = ctx;
    uint32_t whose;

    if (packet->type == MQTTSN_PINGRESP) {
        f->traffic.asked = false;
        f->unread = 0;
    } else if (packet->type == MQTTSN_PUBLISH &&
               payload_read(f->traffic.run, packet->data, &whose)) {
        if (packet->qos == 1 && f->ack_count < f->traffic.run->devices) {
            f->acks[f->ack_count] = (struct mqttsn_packet){
                .type = MQTTSN_PUBACK, .msg_id = packet->msg_id, .topic_id = packet->topic_id};
            f->owers[f->ack_count++] = device;
        }
        finish(&f->traffic, device);
    }
}

static void
send_acks(struct fan_out *f)
{
    while (f->acked < f->ack_count && f->unread < BENCH_WINDOW) {
        fleet_send(&f->traffic.run->fleet, f->owers[f->acked], &f->acks[f->acked]);
        f->acked++;
        f->unread++;
    }
    if (f->unread == BENCH_WINDOW && !f->traffic.asked)
        ask_device(&f->traffic, 0);
}

/* One publication; false if not every device got it. */
static bool
fan_out_once(struct fan_out *f)
{
    struct run *run = f->traffic.run;

    f->ack_count = f->acked = 0;
    for (uint32_t i = 0; i < run->devices; i++)
        take_device(&f->traffic);
    payload_send_down(run, 0, "all", run->scenario->qos);
    do {
        send_acks(f);
    } while ((f->traffic.open > 0 || f->acked < f->ack_count) &&
             bench_exchange(run, BENCH_STALL_MS));
    return f->traffic.open == 0;
}

void
fan_out_round(struct run *run, struct figures *figures)
{
    struct fan_out f = {.traffic = traffic_of(run)};
    struct sample before;
    uint64_t lost = 0;

    f.acks = calloc(run->devices, sizeof *f.acks);
    f.owers = calloc(run->devices, sizeof *f.owers);
    if (f.acks == NULL || f.owers == NULL)
        fail("out of memory");
    run->fleet.ctx = run->broker->ctx = &f;
    run->fleet.on_packet = on_fan_out;
    run->broker->on_packet = on_nothing;
    bench_begin(run, &before);
    while (f.traffic.started < run->messages && fan_out_once(&f))
        ;
    fleet_flush(&run->fleet);
    lost = f.traffic.started - f.traffic.finished;
    bench_end(run, &before, f.traffic.started, lost, figures);
    clear_open(run);
    free(f.acks);
    free(f.owers);
}
