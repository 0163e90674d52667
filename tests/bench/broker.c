/* SPDX-License-Identifier: Apache-2.0 */
#include "broker.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum {
    BUFFER_OCTETS = 1 << 18,
    PACKET_OCTETS_MAX = 1024,
    ANSWER_MS = 20000,
};

/* What broker_await waits for. */
struct awaited {
    enum mqtt_type type;
    bool came;
};

static void
on_awaited(void *ctx, const struct mqtt_packet *packet)
{
    struct awaited *awaited = ctx;

    if (packet->type == awaited->type && packet->reason < 0x80)
        awaited->came = true;
}

static void
broker_await(struct broker *broker, enum mqtt_type type)
{
    struct awaited awaited = {.type = type};
    struct broker saved = *broker;
    struct pollfd ready = {.fd = broker->fd, .events = POLLIN};

    broker_flush(broker);
    broker->ctx = &awaited;
    broker->on_packet = on_awaited;
    while (!awaited.came && poll(&ready, 1, ANSWER_MS) > 0)
        broker_receive(broker);
    if (!awaited.came)
        fail("the broker sent no %s", mqtt_type_name(type));
    broker->ctx = saved.ctx;
    broker->on_packet = saved.on_packet;
}

void
broker_open(struct broker *broker, uint16_t port, const char *client_id)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;

    *broker = (struct broker){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (broker->fd < 0 || connect(broker->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(broker->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail("connection to the broker: %s", strerror(errno));
    broker->in = malloc(BUFFER_OCTETS);
    broker->out = malloc(BUFFER_OCTETS);
    if (broker->in == NULL || broker->out == NULL)
        fail("out of memory");
    broker_send(broker, &(struct mqtt_packet){.type = MQTT_CONNECT,
                                              .clean_start = true,
                                              .client_id = dm_span_text(client_id)});
    broker_await(broker, MQTT_CONNACK);
}

void
broker_close(struct broker *broker)
{
    close(broker->fd);
    free(broker->in);
    free(broker->out);
}

void
broker_subscribe(struct broker *broker, const char *filter, uint8_t qos)
{
    broker_send(broker, &(struct mqtt_packet){.type = MQTT_SUBSCRIBE,
                                              .packet_id = broker_packet_id(broker),
                                              .topic = dm_span_text(filter),
                                              .qos = qos});
    broker_await(broker, MQTT_SUBACK);
}

void
broker_flush(struct broker *broker)
{
    size_t sent = 0;

    while (sent < broker->out_len) {
        ssize_t result = send(broker->fd, broker->out + sent, broker->out_len - sent, MSG_NOSIGNAL);

        if (result < 0 && errno != EINTR)
            fail("the broker is gone: %s", strerror(errno));
        if (result > 0)
            sent += (size_t)result;
    }
    broker->out_len = 0;
}

void
broker_send(struct broker *broker, const struct mqtt_packet *packet)
{
    size_t len;

    if (BUFFER_OCTETS - broker->out_len < PACKET_OCTETS_MAX)
        broker_flush(broker);
    if (mqtt_encode(MQTT_3_1_1, packet, broker->out + broker->out_len,
                    BUFFER_OCTETS - broker->out_len, &len) != DM_OK)
        fail("a %s for the broker cannot be encoded", mqtt_type_name(packet->type));
    broker->out_len += len;
}

/* QoS 2 of the benchmark's own messages. */
static void
finish_qos2(struct broker *broker, const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_PUBREC)
        broker_send(broker,
                    &(struct mqtt_packet){.type = MQTT_PUBREL, .packet_id = packet->packet_id});
}

size_t
broker_receive(struct broker *broker)
{
    ssize_t got =
        recv(broker->fd, broker->in + broker->in_len, BUFFER_OCTETS - broker->in_len, MSG_DONTWAIT);
    size_t start = 0;
    size_t used;
    size_t count = 0;
    struct mqtt_packet packet;

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        fail("the broker is gone");
    if (got < 0)
        return 0;
    broker->in_len += (size_t)got;
    while (mqtt_decode(MQTT_3_1_1, broker->in + start, broker->in_len - start, BUFFER_OCTETS,
                       &packet, &used) == DM_OK) {
        finish_qos2(broker, &packet);
        broker->on_packet(broker->ctx, &packet);
        start += used;
        count++;
    }
    broker->in_len -= start;
    memmove(broker->in, broker->in + start, broker->in_len);
    return count;
}

uint16_t
broker_packet_id(struct broker *broker)
{
    broker->packet_id = broker->packet_id == UINT16_MAX ? 1 : (uint16_t)(broker->packet_id + 1);
    return broker->packet_id;
}

void
broker_ignore(void *ctx, const struct mqtt_packet *packet)
{
    (void)ctx;
    (void)packet;
}
