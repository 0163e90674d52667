/* SPDX-License-Identifier: Apache-2.0 */
/* Effects that wait for the disk, in the order in which they may leave. */
#ifndef DORMOUSE_RUNNER_HELD_H
#define DORMOUSE_RUNNER_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/address.h>

#include "engine.h"

struct held {
    struct held *prev, *next;
    uint64_t needs; /* journal number */
    enum held_kind { HELD_DATAGRAM, HELD_PACKET, HELD_OPEN, HELD_CLOSE } kind;
    struct dm_address address; /* HELD_DATAGRAM */
    uint64_t connection;       /* of the others */
    union {                    /* spans point into octets; without engine_client */
        struct mqtt_packet packet;
        struct engine_open open;
        struct engine_close close;
    };
    size_t len;
    uint8_t octets[]; /* the encoded datagram, or the spans */
};

struct held_list {
    struct held *first; /* by the number they need, then by age */
    uint64_t count, octets;
    uint64_t closes; /* HELD_CLOSE among them */
};

/* Copies of what is given. False: no memory, which is logged. */
bool held_add_datagram(struct held_list *list, uint64_t needs, const struct dm_address *address,
                       const uint8_t *data, size_t len);
bool held_add_packet(struct held_list *list, uint64_t needs, uint64_t connection,
                     const struct mqtt_packet *packet);
bool held_add_open(struct held_list *list, uint64_t needs, uint64_t connection,
                   const struct engine_open *open);
bool held_add_close(struct held_list *list, uint64_t needs, uint64_t connection,
                    const struct engine_close *close);
/* Takes it out and frees it. */
void held_remove(struct held_list *list, struct held *held);
/* What is for the device. */
void held_withdraw(struct held_list *list, const struct dm_address *address);
/* The packets for the broker over this connection. */
void held_drop_packets(struct held_list *list, uint64_t connection);
bool held_closes(const struct held_list *list, uint64_t connection);
void held_clear(struct held_list *list);

#endif
