/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The links between devices and gateway: real transports to the runner, air to the devices.
 *
 * Two things this radio never does, since MQTT-SN gives no receiver the means to tell such a late
 * copy from a new message: it does not bring a QoS 2 PUBLISH after its exchange has ended, and
 * nothing that was sent before a device rebooted or began a clean session.
 */
#ifndef DORMOUSE_SIM_RADIO_H
#define DORMOUSE_SIM_RADIO_H

#include <stdbool.h>
#include <stdint.h>

#include <dormouse/transport.h>

#include "weather.h"

struct world;

struct air {
    struct transport transport; /* first: found by it */
    struct world *world;
    char name[8];
    bool up;
    bool full;       /* the transmit queue */
    bool wants_room; /* somebody was told so */
};

struct radio {
    struct air air[SIM_LINKS_MAX];
};

/* Where a device is, in one number: link, device, port. */
static inline uint32_t
radio_where(unsigned link, unsigned device, unsigned port)
{
    return (uint32_t)(link << 24 | device << 16 | port);
}

static inline unsigned
radio_device(uint32_t where)
{
    return where >> 16 & 0xff;
}

/* Counts what a reboot or another session has wiped at the device there. */
uint32_t radio_memory(const struct world *w, uint32_t where);
void radio_init(struct world *w);
/* A device sends. */
void radio_from_device(struct world *w, uint32_t where, const uint8_t *data, size_t len);
void radio_to_gateway(struct world *w, uint32_t where, const uint8_t *data, size_t len);
void radio_to_device(struct world *w, uint32_t where, const uint8_t *data, size_t len);
void radio_set_link(struct world *w, unsigned link, bool up);
void radio_make_room(struct world *w, unsigned link);

#endif
