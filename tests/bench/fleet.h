/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many devices on one UDP socket: each has an address of its own in 127.0.0.0/8, chosen for each
 * datagram (IP_PKTINFO), so that they all share system calls and none needs a socket.
 */
#ifndef DORMOUSE_BENCH_FLEET_H
#define DORMOUSE_BENCH_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <netinet/in.h>

#include <dormouse/mqttsn.h>

#define FLEET_DEVICES_MAX 4000000u
#define FLEET_BATCH 64u

/* What a device does to become ready, in this order. */
enum fleet_step {
    STEP_CONNECT,
    STEP_REGISTER,      /* the topic X/u/N */
    STEP_SUBSCRIBE,     /* to X/d/N, QoS 2 */
    STEP_SUBSCRIBE_ALL, /* to X/all, QoS 2 */
    STEP_SLEEP,
    STEP_COUNT,
};

struct device {
    uint64_t since_ns; /* of what is open */
    uint16_t topic_id; /* of the registered topic */
    uint16_t msg_id;   /* the last one used */
    uint8_t step;      /* the one that is open */
    bool open;         /* a message of this device is under way */
    bool asleep;
};

struct fleet_batch;

struct fleet {
    int fd;
    uint16_t port; /* of all the devices */
    struct sockaddr_in server;
    struct device *devices;
    uint32_t count;
    struct fleet_batch *out;
    struct fleet_batch *in;
    void *ctx;
    void (*on_packet)(void *ctx, uint32_t device, const struct mqttsn_packet *packet);
};

void fleet_open(struct fleet *fleet, uint16_t server_port, uint32_t devices);
void fleet_close(struct fleet *fleet);

/* Queues one message of a device; at FLEET_BATCH of them they leave. */
void fleet_send(struct fleet *fleet, uint32_t device, const struct mqttsn_packet *packet);
void fleet_flush(struct fleet *fleet);

/* Calls on_packet for what has come, at most FLEET_BATCH messages. Returns how many it was. */
size_t fleet_receive(struct fleet *fleet);

/* The next MsgId of the device, never 0. */
uint16_t fleet_msg_id(struct fleet *fleet, uint32_t device);

/* CONNECT of a persistent session, and the PINGREQ of a device that wakes. */
void fleet_connect(struct fleet *fleet, uint32_t device);
void fleet_wake(struct fleet *fleet, uint32_t device);

/* The device's answer to a PUBLISH or PUBREL; true if it was a PUBLISH. */
bool fleet_answer(struct fleet *fleet, uint32_t device, const struct mqttsn_packet *packet);

#endif
