/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of QoS 1 and 2 that the broker has open towards us: no more than our receive maximum
 * (MQTT 5 section 4.9). */
#include "upstream_window.h"

static bool
is_open(const struct upstream_window *window, uint16_t id)
{
    return (window->open[id / 8] >> (id % 8) & 1) != 0;
}

bool
upstream_window_received(struct upstream_window *window, const struct mqtt_packet *packet,
                         uint32_t maximum)
{
    uint16_t id = packet->packet_id;

    if (packet->type != MQTT_PUBLISH || packet->qos == 0 || is_open(window, id))
        return true; /* a message that is repeated is no other one */
    window->open[id / 8] |= (uint8_t)(1u << (id % 8));
    window->count++;
    return window->count <= maximum;
}

void
upstream_window_sent(struct upstream_window *window, const struct mqtt_packet *packet)
{
    uint16_t id = packet->packet_id;
    bool ends = packet->type == MQTT_PUBACK || packet->type == MQTT_PUBCOMP ||
                (packet->type == MQTT_PUBREC && packet->reason >= 0x80);

    if (!ends || !is_open(window, id))
        return; /* of a message that came in an earlier connection */
    window->open[id / 8] &= (uint8_t) ~(1u << (id % 8));
    window->count--;
}
