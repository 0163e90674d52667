/* SPDX-License-Identifier: Apache-2.0 */
/* What the application of a device does: publish, subscribe, sleep, roam, reboot, die. */
#include "world.h"

/* ---- publishing ---- */

static void
publish(struct world *w, struct device *device)
{
    static const int8_t qos_of[] = {0, 1, 1, 1, 2, 2};
    unsigned topic = world_below(w, FILTERS_EXACT);
    int8_t qos = qos_of[world_below(w, 6)];
    enum mqttsn_topic_type type = topics[topic].type;
    uint16_t id = topics[topic].id;
    uint8_t payload[ORACLE_PAYLOAD_MAX];
    bool retain = world_one_in(w, 10);

    if (type == MQTTSN_TOPIC_NORMAL)
        id = client_topic_id(&device->client, dm_span_text(topics[topic].name));
    if (id == 0) {
        client_register(&device->client, w->now_ms, dm_span_text(topics[topic].name));
        return;
    }
    if (qos > 0 && device->open_number != 0)
        return; /* one at a time (R51) */
    uint32_t number = oracle_new_message(w, device->index, topic, (uint8_t)qos, retain);

    /* Before it is sent: the client tells the MsgId by on_packet. */
    if (qos > 0) {
        device->open_number = number;
        device->open_qos = (uint8_t)qos;
        device->open_promised = device->open_released = false;
    }
    if (client_publish(&device->client, w->now_ms, type, id, qos, retain,
                       oracle_payload(w, number, payload)) != DM_OK &&
        qos > 0)
        device->open_number = 0;
}

/* ---- subscriptions ---- */

static void
subscribe(struct world *w, struct device *device)
{
    unsigned f = world_below(w, world_one_in(w, 3) ? FILTERS_COUNT : FILTERS_COUNT - 1);
    int8_t qos = (int8_t)(world_one_in(w, 6) ? 0 : 1 + (int)world_below(w, 2));

    if (!w->weather.overlap && f >= FILTERS_EXACT)
        return;
    if (client_subscribe(&device->client, w->now_ms, filters[f].type, dm_span_text(filters[f].name),
                         filters[f].id, qos) == DM_OK)
        device->wanted |= 1u << f;
}

static void
unsubscribe(struct world *w, struct device *device)
{
    unsigned first = world_below(w, FILTERS_COUNT);

    for (unsigned i = 0; i < FILTERS_COUNT; i++) {
        unsigned f = (first + i) % FILTERS_COUNT;

        if ((device->wanted >> f & 1) == 0)
            continue;
        if (client_unsubscribe(&device->client, w->now_ms, filters[f].type,
                               dm_span_text(filters[f].name), filters[f].id) == DM_OK)
            device->wanted &= ~(1u << f);
        return;
    }
}

/* ---- coming and going ---- */

static void
roam(struct world *w, struct device *device)
{
    device->where =
        radio_where(world_below(w, w->weather.links), device->index, ++device->last_port);
    world_trace(w, "d%02u moves to %u.%u", device->index, device->where >> 24,
                device->where & 0xffff);
}

static void
die(struct world *w, struct device *device)
{
    device->off_until_ms = w->now_ms + world_between(w, 10, 1200) * UINT64_C(1000);
    world_trace(w, "d%02u dies for %llu s", device->index,
                (unsigned long long)(device->off_until_ms - w->now_ms) / 1000);
}

static void
reboot(struct world *w, struct device *device)
{
    if (world_one_in(w, 8)) /* with another firmware */
        device->clean = !device->clean;
    world_trace(w, "d%02u reboots%s", device->index, device->clean ? ", clean" : "");
    device_reboot(w, device->index);
}

static void
sleep_now(struct world *w, struct device *device)
{
    device->sleep_s = (uint16_t)world_between(w, 20, 600);
    client_sleep(&device->client, w->now_ms, device->sleep_s);
}

static void
change_will(struct world *w, struct device *device)
{
    uint8_t will[ORACLE_PAYLOAD_MAX];

    if (!device->has_will)
        return;
    if (world_one_in(w, 4)) {
        client_will_topic_update(&device->client, w->now_ms, (struct dm_span){0}, 0, false);
        return;
    }
    uint32_t number = oracle_new_will(w, device->index, device->will_qos);

    client_will_message_update(&device->client, w->now_ms, oracle_payload(w, number, will));
}

/* ---- thinking ---- */

static void
habitual(struct world *w, struct device *device)
{
    switch (device->habit) {
    case HABIT_SLEEPS:
        sleep_now(w, device);
        break;
    case HABIT_ROAMS:
        roam(w, device);
        break;
    case HABIT_REBOOTS:
        if (world_one_in(w, 3))
            reboot(w, device);
        break;
    case HABIT_DIES:
        if (world_one_in(w, 4))
            die(w, device);
        break;
    default:
        publish(w, device);
        break;
    }
}

static void
think_active(struct world *w, struct device *device)
{
    unsigned what = world_below(w, 100);

    if (what < 50)
        publish(w, device);
    else if (what < 68 || device->wanted == 0)
        subscribe(w, device);
    else if (what < 73)
        unsubscribe(w, device);
    else if (what < 76)
        sleep_now(w, device);
    else if (what < 78)
        client_disconnect(&device->client, w->now_ms);
    else if (what < 81)
        change_will(w, device);
    else if (what < 82)
        roam(w, device);
    else
        habitual(w, device);
}

static void
think_asleep(struct world *w, struct device *device)
{
    if (device->wake_ms > w->now_ms)
        return;
    if (device->habit == HABIT_ROAMS && world_one_in(w, 2))
        roam(w, device);
    if (world_one_in(w, 20))
        client_disconnect(&device->client, w->now_ms);
    else if (world_one_in(w, 6))
        client_connect(&device->client, w->now_ms);
    else if (client_wake(&device->client, w->now_ms) == DM_OK)
        device->wake_ms = w->now_ms + world_between(w, 20, 80) * UINT64_C(10) * device->sleep_s;
}

void
device_think(struct world *w, unsigned d)
{
    struct device *device = &w->devices[d];

    if (w->calm) {
        device_come_home(w, d);
        return;
    }
    world_push(w, 1 + world_below(w, 2 * device->pace_ms),
               &(struct event){.type = EVENT_THINK, .where = d});
    if (device_is_off(w, d))
        return;
    switch (client_state(&device->client)) {
    case CLIENT_DISCONNECTED:
        if (world_one_in(w, 3)) /* now and then it publishes without a connection */
            client_connect(&device->client, w->now_ms);
        break;
    case CLIENT_ACTIVE:
        think_active(w, device);
        break;
    case CLIENT_ASLEEP:
        think_asleep(w, device);
        break;
    default:
        if (world_one_in(w, 200))
            reboot(w, device);
        break;
    }
}

void
device_come_home(struct world *w, unsigned d)
{
    struct device *device = &w->devices[d];

    world_push(w, 2000 + world_below(w, 1000), &(struct event){.type = EVENT_THINK, .where = d});
    if (!w->oracle.home)
        return;
    device->off_until_ms = 0;
    /* A clean CONNECT would wipe what waits. */
    if (client_state(&device->client) == CLIENT_ASLEEP && device->clean)
        client_wake(&device->client, w->now_ms);
    else
        client_connect(&device->client, w->now_ms);
}

void
device_draw(struct world *w, unsigned d)
{
    static const unsigned paces_ms[] = {400, 2000, 8000};
    struct device *device = &w->devices[d];

    device->habit = (enum habit)world_below(w, HABIT_COUNT);
    device->clean = world_one_in(w, 4);
    device->has_will = world_one_in(w, 2);
    device->will_qos = (uint8_t)world_below(w, 3);
    device->keepalive_s = (uint16_t)world_between(w, 30, 200);
    device->pace_ms = paces_ms[world_below(w, 3)];
    device->last_port = 1;
    device->where = radio_where(world_below(w, w->weather.links), d, 1);
    device->memory = 0;
}
