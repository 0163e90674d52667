/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device: the real client of libmqttsn, and an application that lives in a certain way.
 *   device.c        the client, its radio, its memory
 *   device_life.c   what the application does
 */
#ifndef DORMOUSE_SIM_DEVICE_H
#define DORMOUSE_SIM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <dormouse/client.h>

#include "topics.h"
#include "weather.h"

struct world;

enum habit { HABIT_ACTIVE, HABIT_SLEEPS, HABIT_ROAMS, HABIT_REBOOTS, HABIT_DIES, HABIT_COUNT };

struct device {
    struct world *world;
    struct client client;
    unsigned index;
    char client_id[8];
    enum habit habit;
    bool clean;
    bool has_will;
    uint8_t will_qos;
    uint16_t keepalive_s;
    uint32_t where; /* its address now */
    unsigned last_port;
    unsigned pace_ms; /* usual time between two thoughts */
    uint64_t off_until_ms;
    uint64_t wake_ms; /* asleep until then */
    uint16_t sleep_s;
    uint32_t memory; /* counts what a reboot or another session wiped; never 0 */

    /* its own message of QoS 1 or 2 that is not finished */
    uint32_t open_number; /* 0: none */
    uint16_t open_msg_id;
    uint8_t open_qos;
    bool open_promised;
    bool open_released; /* the gateway has had the PUBREL */

    uint32_t arriving; /* the gateway's last QoS 2 PUBLISH, until it sends the PUBREL; 0: none */
    uint16_t arriving_msg_id;
    unsigned wanted; /* filters it has asked for, as bits */
};

void device_init(struct world *w, unsigned d);
/* Due: repetitions and keep-alive of the client. */
uint64_t device_deadline(const struct world *w, unsigned d);
void device_timer(struct world *w, unsigned d);
/* A datagram reaches the place where it was sent to. */
void device_hears(struct world *w, unsigned d, uint32_t where, const struct mqttsn_packet *packet,
                  const uint8_t *data, size_t len);
/* A QoS 2 PUBLISH that would arrive after its exchange (radio.h). */
bool device_is_stale(const struct world *w, unsigned d, const struct mqttsn_packet *packet);
/* All its memory is gone, but not its address. */
void device_reboot(struct world *w, unsigned d);
bool device_is_off(const struct world *w, unsigned d);

/* device_life.c */
void device_draw(struct world *w, unsigned d);
void device_think(struct world *w, unsigned d);
/* The end of a life: it comes back and stays. */
void device_come_home(struct world *w, unsigned d);

#endif
