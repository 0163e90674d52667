/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of QoS 1 and 2 that the broker has open towards us: no more than our receive maximum
 * (MQTT 5 section 4.9). */
#ifndef DORMOUSE_UPSTREAM_WINDOW_H
#define DORMOUSE_UPSTREAM_WINDOW_H

#include "mqtt.h"

struct upstream_window {
    uint32_t maximum;
    uint32_t count;
    uint16_t *ids; /* of a small window: those that are open */
    uint8_t *bits; /* of a large one: by packet id */
};

/* Nothing is open, and `maximum` may be. False: no memory. */
bool upstream_window_start(struct upstream_window *window, uint32_t maximum);
void upstream_window_fini(struct upstream_window *window);

/* A packet came. False: one message more than the maximum. */
bool upstream_window_received(struct upstream_window *window, const struct mqtt_packet *packet);
/* A packet was sent. */
void upstream_window_sent(struct upstream_window *window, const struct mqtt_packet *packet);

#endif
