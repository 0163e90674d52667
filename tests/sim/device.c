/* SPDX-License-Identifier: Apache-2.0 */
/* A device around the real client: its radio, its memory, and what its application is given. */
#include "device.h"

#include <stdio.h>

#include "world.h"

bool
device_is_off(const struct world *w, unsigned d)
{
    return w->devices[d].off_until_ms > w->now_ms;
}

static void
on_send(void *ctx, const uint8_t *datagram, size_t len)
{
    struct device *device = ctx;

    radio_from_device(device->world, device->where, datagram, len);
}

/* ---- its own messages ---- */

static void
close_message(struct device *device)
{
    device->open_number = 0;
}

static void
promised(struct device *device)
{
    if (!device->open_promised)
        oracle_promised(device->world, device->open_number);
    device->open_promised = true;
}

static void
note_sent(struct device *device, const struct mqttsn_packet *packet)
{
    if (packet->type == MQTTSN_PUBLISH && packet->qos > 0 && !packet->dup)
        device->open_msg_id = packet->msg_id;
}

/* What the gateway acknowledges, the device may forget: a promise. */
static void
note_received(struct device *device, const struct mqttsn_packet *packet)
{
    bool ours = device->open_number != 0 && packet->msg_id == device->open_msg_id &&
                client_state(&device->client) == CLIENT_ACTIVE;

    if (!ours)
        return;
    if (packet->type == MQTTSN_PUBREC && device->open_qos == 2) {
        promised(device);
    } else if (packet->type == MQTTSN_PUBACK && packet->return_code != MQTTSN_ACCEPTED) {
        close_message(device);
    } else if (packet->type == MQTTSN_PUBACK && device->open_qos == 1) {
        promised(device);
        close_message(device);
    } else if (packet->type == MQTTSN_PUBCOMP && device->open_promised) {
        close_message(device);
    }
}

static void
on_packet(void *ctx, bool sent, const struct mqttsn_packet *packet)
{
    struct device *device = ctx;

    if (sent)
        note_sent(device, packet);
    else
        note_received(device, packet);
}

/* ---- events ---- */

static void
on_event(void *ctx, const struct client_event *event)
{
    struct device *device = ctx;
    struct world *w = device->world;

    switch (event->type) {
    case CLIENT_EVENT_MESSAGE:
        oracle_delivered(w, device->index, event);
        break;
    case CLIENT_EVENT_TIMEOUT:
    case CLIENT_EVENT_DISCONNECTED:
        world_trace(w, "d%02u %s", device->index,
                    event->type == CLIENT_EVENT_TIMEOUT ? "gives up" : "is disconnected");
        close_message(device);
        break;
    case CLIENT_EVENT_DONE:
        if (event->request == MQTTSN_DISCONNECT && client_state(&device->client) == CLIENT_ASLEEP) {
            w->tally->sleeps++;
            device->wake_ms =
                w->now_ms + device->sleep_s * UINT64_C(1000) * (50 + world_below(w, 50)) / 100;
        }
        break;
    default:
        break;
    }
}

/* ---- hearing ---- */

bool
device_is_stale(const struct world *w, unsigned d, const struct mqttsn_packet *packet)
{
    const struct device *device = &w->devices[d];

    if (packet->type == MQTTSN_CONNECT)
        return client_state(&device->client) != CLIENT_CONNECTING;
    return packet->type == MQTTSN_PUBLISH && packet->qos == 2 &&
           (oracle_number(packet->data) != device->open_number || device->open_released);
}

/* Now and then a device does not want a message that it has not had. */
static bool
declines(struct world *w, const struct device *device, const struct mqttsn_packet *packet)
{
    struct mqttsn_packet answer = {.type = MQTTSN_PUBACK,
                                   .topic_id = packet->topic_id,
                                   .msg_id = packet->msg_id,
                                   .return_code = MQTTSN_NOT_SUPPORTED};
    uint8_t octets[16];
    size_t len;

    if (packet->type != MQTTSN_PUBLISH || packet->qos < 1 || packet->dup ||
        client_state(&device->client) != CLIENT_ACTIVE || !world_misfortune(w, w->weather.declined))
        return false;
    oracle_declined(w, device->index, oracle_number(packet->data));
    if (mqttsn_encode(&answer, octets, sizeof octets, &len) == DM_OK)
        radio_from_device(w, device->where, octets, len);
    return true;
}

void
device_hears(struct world *w, unsigned d, uint32_t where, const struct mqttsn_packet *packet,
             const uint8_t *data, size_t len)
{
    struct device *device = &w->devices[d];

    if (device_is_off(w, d) || where != device->where)
        return;
    if (packet->type == MQTTSN_PUBLISH && packet->qos == 2 &&
        (oracle_number(packet->data) != device->arriving ||
         packet->msg_id != device->arriving_msg_id))
        return;
    if (declines(w, device, packet))
        return;
    client_datagram(&device->client, w->now_ms, data, len);
}

uint64_t
device_deadline(const struct world *w, unsigned d)
{
    return device_is_off(w, d) ? UINT64_MAX : client_next_deadline(&w->devices[d].client);
}

void
device_timer(struct world *w, unsigned d)
{
    client_time(&w->devices[d].client, w->now_ms);
}

/* ---- memory ---- */

void
device_reboot(struct world *w, unsigned d)
{
    struct device *device = &w->devices[d];
    uint8_t will[ORACLE_PAYLOAD_MAX];
    struct client_options options = {.client_id = dm_span_text(device->client_id),
                                     .clean_session = device->clean,
                                     .keepalive_s = device->keepalive_s,
                                     .retry_ms = w->weather.retry_ms,
                                     .retry_count = 3,
                                     .ctx = device,
                                     .send = on_send,
                                     .on_event = on_event,
                                     .on_packet = on_packet};

    if (device->has_will) {
        uint32_t number = oracle_new_will(w, d, device->will_qos);

        options.will = (struct client_will){.topic = dm_span_text(topics[TOPICS_WILL].name),
                                            .message = oracle_payload(w, number, will),
                                            .qos = (int8_t)device->will_qos};
    }
    device->memory++;
    close_message(device);
    client_init(&device->client, &options);
}

void
device_init(struct world *w, unsigned d)
{
    struct device *device = &w->devices[d];

    device->world = w;
    device->index = d;
    snprintf(device->client_id, sizeof device->client_id, "dev%02u", d);
    device_draw(w, d);
    device_reboot(w, d);
    world_push(w, world_below(w, 5000), &(struct event){.type = EVENT_THINK, .where = d});
}
