/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of QoS 1 and 2 that the broker has open towards us: no more than our receive maximum
 * (MQTT 5 section 4.9). */
#include "upstream_window.h"

#include <stdlib.h>

enum {
    SMALL = 64, /* thousands of connections have a small window each: a list of ids is enough */
    BITS_SIZE = 65536 / 8,
};

bool
upstream_window_start(struct upstream_window *window, uint32_t maximum)
{
    upstream_window_fini(window);
    window->maximum = maximum;
    if (maximum >= UINT16_MAX)
        return true; /* there are no more ids */
    if (maximum <= SMALL)
        window->ids = calloc(maximum + 1, sizeof *window->ids); /* and one too much */
    else
        window->bits = calloc(1, BITS_SIZE);
    return window->ids != NULL || window->bits != NULL;
}

void
upstream_window_fini(struct upstream_window *window)
{
    free(window->ids);
    free(window->bits);
    *window = (struct upstream_window){0};
}

/* Where the id stands in the list; `count` if it does not. */
static uint32_t
place_of(const struct upstream_window *window, uint16_t id)
{
    uint32_t i = 0;

    while (i < window->count && window->ids[i] != id)
        i++;
    return i;
}

static bool
is_open(const struct upstream_window *window, uint16_t id)
{
    if (window->bits != NULL)
        return (window->bits[id / 8] >> (id % 8) & 1) != 0;
    return place_of(window, id) < window->count;
}

bool
upstream_window_received(struct upstream_window *window, const struct mqtt_packet *packet)
{
    uint16_t id = packet->packet_id;

    if (packet->type != MQTT_PUBLISH || packet->qos == 0 || window->maximum >= UINT16_MAX ||
        is_open(window, id))
        return true; /* a message that is repeated is no other one */
    if (window->count > window->maximum)
        return false;
    if (window->bits != NULL)
        window->bits[id / 8] |= (uint8_t)(1u << (id % 8));
    else
        window->ids[window->count] = id;
    window->count++;
    return window->count <= window->maximum;
}

void
upstream_window_sent(struct upstream_window *window, const struct mqtt_packet *packet)
{
    uint16_t id = packet->packet_id;
    bool ends = packet->type == MQTT_PUBACK || packet->type == MQTT_PUBCOMP ||
                (packet->type == MQTT_PUBREC && packet->reason >= 0x80);

    if (!ends || window->maximum >= UINT16_MAX || !is_open(window, id))
        return; /* of a message that came in an earlier connection */
    window->count--;
    if (window->bits != NULL)
        window->bits[id / 8] &= (uint8_t) ~(1u << (id % 8));
    else
        window->ids[place_of(window, id)] = window->ids[window->count];
}
