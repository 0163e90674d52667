/* SPDX-License-Identifier: Apache-2.0 */
/* Effects that wait for the disk, in the order in which they may leave. */
#ifndef DORMOUSE_RUNNER_HELD_H
#define DORMOUSE_RUNNER_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/address.h>

#include "mqtt.h"

struct held {
    struct held *prev, *next;
    uint64_t needs; /* journal number */
    bool upstream;  /* for the broker: packet; else for the device at `address` */
    struct dm_address address;
    struct mqtt_packet packet; /* spans point into octets */
    size_t len;
    uint8_t octets[]; /* the encoded datagram, or topic and payload */
};

struct held_list {
    struct held *first; /* by the number they need, then by age */
    uint64_t count, octets;
};

/* Copies of the datagram or packet. False: no memory, which is logged. */
bool held_add_datagram(struct held_list *list, uint64_t needs, const struct dm_address *address,
                       const uint8_t *data, size_t len);
bool held_add_packet(struct held_list *list, uint64_t needs, const struct mqtt_packet *packet);
/* Takes it out and frees it. */
void held_remove(struct held_list *list, struct held *held);
/* What is for the device. */
void held_withdraw(struct held_list *list, const struct dm_address *address);
/* What is for the broker. */
void held_drop_packets(struct held_list *list);
void held_clear(struct held_list *list);

#endif
