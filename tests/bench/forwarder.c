/* SPDX-License-Identifier: Apache-2.0 */
/* What passing messages on costs at least: no sessions, no timers, no promises. */
#include "servers.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dormouse/mqttsn.h>

#include "bench.h"

enum { PACKET_IDS = 65536, DEVICES_MAX = 1 << 17 };

/* A PUBLISH of a device that the broker has not acknowledged. */
struct open_publish {
    struct sockaddr_in peer;
    uint16_t topic_id;
    uint16_t msg_id;
};

struct forwarder {
    int fd;
    char topics;
    struct broker broker;
    struct server_batch in, out;
    struct open_publish up[PACKET_IDS]; /* by the packet id toward the broker */
    uint32_t down[PACKET_IDS];          /* by the broker's packet id: devices that owe PUBACK */
    struct sockaddr_in devices[DEVICES_MAX]; /* who subscribed X/d/N */
    struct sockaddr_in all[DEVICES_MAX];     /* who subscribed X/all */
    uint32_t all_count;
};

/* The number at the end of a topic name; false for X/all. */
static bool
number_of(struct dm_span topic, uint32_t *number)
{
    size_t i = topic.len;
    uint32_t unit = 1;

    *number = 0;
    for (; i > 0 && topic.data[i - 1] >= '0' && topic.data[i - 1] <= '9'; i--, unit *= 10)
        *number += unit * (uint32_t)(topic.data[i - 1] - '0');
    return i < topic.len && *number < DEVICES_MAX;
}

static void
forward_up(struct forwarder *f, const struct sockaddr_in *peer, const struct mqttsn_packet *packet)
{
    char topic[24];
    struct mqtt_packet publish = {.type = MQTT_PUBLISH, .qos = (uint8_t)packet->qos};

    snprintf(topic, sizeof topic, "%c/u/%u", f->topics, packet->topic_id);
    publish.topic = dm_span_text(topic);
    publish.payload = packet->data;
    if (packet->qos == 1) {
        publish.packet_id = broker_packet_id(&f->broker);
        f->up[publish.packet_id] = (struct open_publish){
            .peer = *peer, .topic_id = packet->topic_id, .msg_id = packet->msg_id};
    }
    broker_send(&f->broker, &publish);
}

/* REGISTER and SUBSCRIBE name the device. Returns the topic id that it gets. */
static uint16_t
remember(struct forwarder *f, const struct sockaddr_in *peer, const struct mqttsn_packet *packet)
{
    uint32_t number = 0;
    bool single = number_of(packet->topic_name, &number);

    if (packet->type == MQTTSN_SUBSCRIBE && single)
        f->devices[number] = *peer;
    else if (packet->type == MQTTSN_SUBSCRIBE && f->all_count < DEVICES_MAX)
        f->all[f->all_count++] = *peer;
    return (uint16_t)(number % (UINT16_MAX - 1) + 1);
}

static void
handle_datagram(struct forwarder *f, const struct sockaddr_in *peer, const uint8_t *octets,
                size_t len)
{
    struct mqttsn_packet packet;
    uint8_t answer[8];
    uint16_t topic_id = 0;

    if (mqttsn_decode(octets, len, &packet) != DM_OK)
        return;
    if (packet.type == MQTTSN_PUBLISH) {
        forward_up(f, peer, &packet);
        return;
    }
    if (packet.type == MQTTSN_PUBACK) {
        if (f->down[packet.msg_id] > 0 && --f->down[packet.msg_id] == 0)
            broker_send(&f->broker,
                        &(struct mqtt_packet){.type = MQTT_PUBACK, .packet_id = packet.msg_id});
        return;
    }
    if (packet.type == MQTTSN_REGISTER || packet.type == MQTTSN_SUBSCRIBE)
        topic_id = remember(f, peer, &packet);
    size_t answer_len = server_answer(octets, len, topic_id, answer);

    if (answer_len > 0)
        memcpy(server_batch_add(&f->out, f->fd, peer, answer_len), answer, answer_len);
}

static void
send_down(struct forwarder *f, const struct sockaddr_in *peer, const struct mqttsn_packet *packet)
{
    uint8_t octets[SERVER_DATAGRAM_MAX];
    size_t len;

    if (mqttsn_encode(packet, octets, sizeof octets, &len) == DM_OK)
        memcpy(server_batch_add(&f->out, f->fd, peer, len), octets, len);
}

static void
forward_down(struct forwarder *f, const struct mqtt_packet *publish)
{
    uint32_t number;
    bool single = number_of(publish->topic, &number);
    struct mqttsn_packet packet = {.type = MQTTSN_PUBLISH,
                                   .qos = (int8_t)publish->qos,
                                   .msg_id = publish->packet_id,
                                   .topic_id = 1,
                                   .data = publish->payload};

    if (publish->qos > 0)
        f->down[publish->packet_id] = single ? 1 : f->all_count;
    if (single && f->devices[number].sin_port != 0)
        send_down(f, &f->devices[number], &packet);
    for (uint32_t i = 0; !single && i < f->all_count; i++)
        send_down(f, &f->all[i], &packet);
}

static void
on_packet(void *ctx, const struct mqtt_packet *packet)
{
    struct forwarder *f = ctx;

    if (packet->type == MQTT_PUBLISH) {
        forward_down(f, packet);
    } else if (packet->type == MQTT_PUBACK) {
        const struct open_publish *open = &f->up[packet->packet_id];

        send_down(f, &open->peer,
                  &(struct mqttsn_packet){
                      .type = MQTTSN_PUBACK, .topic_id = open->topic_id, .msg_id = open->msg_id});
    }
}

static void
receive_datagrams(struct forwarder *f)
{
    int count = recvmmsg(f->fd, f->in.messages, SERVER_BATCH, MSG_DONTWAIT, NULL);

    for (int i = 0; i < count; i++)
        handle_datagram(f, &f->in.peers[i], f->in.octets[i], f->in.messages[i].msg_len);
}

_Noreturn void
forwarder(int fd, uint16_t broker_port, char topics)
{
    struct forwarder *f = calloc(1, sizeof *f);
    char text[24];

    if (f == NULL)
        fail("out of memory");
    f->fd = fd;
    f->topics = topics;
    server_batch_init(&f->in);
    server_batch_init(&f->out);
    snprintf(text, sizeof text, "forwarder-%c", topics);
    broker_open(&f->broker, broker_port, text);
    f->broker.ctx = f;
    f->broker.on_packet = on_packet;
    for (const char *const *name = (const char *const[]){"d/+", "all", NULL}; *name != NULL;
         name++) {
        snprintf(text, sizeof text, "%c/%s", topics, *name);
        broker_subscribe(&f->broker, text, 1);
    }
    for (;;) {
        struct pollfd ready[] = {{.fd = fd, .events = POLLIN},
                                 {.fd = f->broker.fd, .events = POLLIN}};

        poll(ready, 2, -1);
        if (ready[0].revents != 0)
            receive_datagrams(f);
        if (ready[1].revents != 0)
            broker_receive(&f->broker);
        server_batch_send(&f->out, fd);
        broker_flush(&f->broker);
    }
}
