/* SPDX-License-Identifier: Apache-2.0 */
/* A plain connection to the broker: MQTT 3.1.1, batches, no sessions. */
#ifndef DORMOUSE_BENCH_BROKER_H
#define DORMOUSE_BENCH_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt.h"

struct broker {
    int fd;
    uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;
    uint16_t packet_id; /* the last one used */
    void *ctx;
    void (*on_packet)(void *ctx, const struct mqtt_packet *packet);
};

/* Connects, and returns when the broker has accepted. */
void broker_open(struct broker *broker, uint16_t port, const char *client_id);
void broker_close(struct broker *broker);

/* Returns when the broker has granted it. */
void broker_subscribe(struct broker *broker, const char *filter, uint8_t qos);

/* Queued until broker_flush, or until the buffer is full. */
void broker_send(struct broker *broker, const struct mqtt_packet *packet);
void broker_flush(struct broker *broker);

/* Calls on_packet for what has come, without waiting. Returns how many packets it was. */
size_t broker_receive(struct broker *broker);

/* An on_packet for who wants to know nothing. */
void broker_ignore(void *ctx, const struct mqtt_packet *packet);

/* Never 0. */
uint16_t broker_packet_id(struct broker *broker);

#endif
