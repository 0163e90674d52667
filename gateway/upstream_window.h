/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of QoS 1 and 2 that the broker has open towards us: no more than our receive maximum
 * (MQTT 5 section 4.9). */
#ifndef DORMOUSE_UPSTREAM_WINDOW_H
#define DORMOUSE_UPSTREAM_WINDOW_H

#include "mqtt.h"

struct upstream_window {
    uint8_t open[65536 / 8]; /* by packet id */
    uint32_t count;
};

/* A packet came. False: one message more than `maximum`. */
bool upstream_window_received(struct upstream_window *window, const struct mqtt_packet *packet,
                              uint32_t maximum);
/* A packet was sent. */
void upstream_window_sent(struct upstream_window *window, const struct mqtt_packet *packet);

#endif
