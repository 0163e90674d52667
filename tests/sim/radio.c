/* SPDX-License-Identifier: Apache-2.0 */
/* The links: what is sent arrives late, twice, in another order, or not at all. */
#include "radio.h"

#include <stdio.h>

#include "world.h"

enum { MTU = 250, SLOW_MS = 3000, FULL_MS = 300 };

static void
address_of(uint32_t where, struct dm_address *address)
{
    *address = (struct dm_address){
        .link = (uint8_t)(where >> 24),
        .len = 3,
        .octets = {(uint8_t)(where >> 16), (uint8_t)(where >> 8), (uint8_t)where}};
}

static uint32_t
where_of(const struct dm_address *address)
{
    return radio_where(address->link, address->octets[0],
                       (unsigned)(address->octets[1] << 8 | address->octets[2]));
}

static void
trace_packet(struct world *w, const char *direction, uint32_t where,
             const struct mqttsn_packet *packet)
{
    char text[256];

    if (w->trace != NULL)
        world_trace(w, "d%02u/%u.%u %s %s", radio_device(where), where >> 24, where & 0xffff,
                    direction, mqttsn_describe(packet, text, sizeof text));
}

uint32_t
radio_memory(const struct world *w, uint32_t where)
{
    return radio_device(where) < SIM_DEVICES_MAX ? w->devices[radio_device(where)].memory : 0;
}

/* One datagram into the air. */
static void
carry(struct world *w, enum event_type type, uint32_t where, const uint8_t *data, size_t len)
{
    const struct weather *weather = &w->weather;
    unsigned copies = world_misfortune(w, weather->doubled) ? 2 : 1;

    w->tally->datagrams++;
    if (world_misfortune(w, weather->lost)) {
        w->tally->lost++;
        return;
    }
    while (copies-- > 0) {
        uint64_t delay_ms = world_between(w, 1, weather->radio_ms);

        if (world_misfortune(w, weather->slow))
            delay_ms += world_below(w, SLOW_MS);
        world_push(w, delay_ms,
                   &(struct event){.type = type,
                                   .where = where,
                                   .tag = radio_memory(w, where),
                                   .data = (uint8_t *)(uintptr_t)data,
                                   .len = len});
    }
}

void
radio_from_device(struct world *w, uint32_t where, const uint8_t *data, size_t len)
{
    carry(w, EVENT_TO_GATEWAY, where, data, len);
}

/* ---- arrivals ---- */

/* False: lost on the last octet. */
static bool
reaches_gateway(struct world *w, uint32_t where, const uint8_t *data, size_t len)
{
    struct mqttsn_packet packet;

    if (!w->gateway.running || !w->radio.air[where >> 24].up)
        return false;
    if (radio_device(where) == STRANGER)
        return true;
    if (mqttsn_decode(data, len, &packet) != DM_OK) {
        world_fail(w, "the client's messages can be read", "%zu octets", len);
        return false;
    }
    if (device_is_stale(w, radio_device(where), &packet))
        return false;
    trace_packet(w, "->", where, &packet);
    oracle_hears(w, where, &packet);
    return true;
}

void
radio_to_gateway(struct world *w, uint32_t where, const uint8_t *data, size_t len)
{
    struct dm_address from;

    if (!reaches_gateway(w, where, data, len))
        return;
    address_of(where, &from);
    w->gateway.heard = radio_device(where);
    w->gateway.listener.on_datagram(w->gateway.listener.ctx, &from, data, len);
}

void
radio_to_device(struct world *w, uint32_t where, const uint8_t *data, size_t len)
{
    struct mqttsn_packet packet;

    if (!w->radio.air[where >> 24].up || radio_device(where) == STRANGER ||
        mqttsn_decode(data, len, &packet) != DM_OK)
        return;
    device_hears(w, radio_device(where), where, &packet, data, len);
}

/* ---- the transport contract ---- */

/* The transmit queue has no room for a while. */
static void
fill(struct world *w, unsigned link)
{
    world_trace(w, "link %u is full", link);
    w->radio.air[link].full = true;
    world_push(w, 1 + world_below(w, FULL_MS), &(struct event){.type = EVENT_ROOM, .where = link});
}

static enum dm_result
air_send(struct transport *transport, const struct dm_address *to, const uint8_t *data, size_t len)
{
    struct air *air = (struct air *)transport;
    struct world *w = air->world;
    uint32_t where = where_of(to);
    struct mqttsn_packet packet;

    if (w->gateway.dying)
        return DM_OK; /* a process that is gone sends nothing */
    if (!air->up)
        return DM_IO;
    if (len > transport->mtu || mqttsn_decode(data, len, &packet) != DM_OK) {
        world_fail(w, "the gateway's messages can be read and fit the link", "%zu octets", len);
        return DM_INVALID;
    }
    if (!air->full && world_misfortune(w, w->weather.full))
        fill(w, where >> 24);
    if (radio_device(where) != STRANGER)
        oracle_tries(w, where, &packet, air->full);
    if (air->full) {
        air->wants_room = true;
        return DM_FULL;
    }
    if (radio_device(where) != STRANGER) {
        trace_packet(w, "<-", where, &packet);
        oracle_says(w, where, &packet);
    }
    carry(w, EVENT_TO_DEVICE, where, data, len);
    gateway_tempts_fate(w, &packet);
    return DM_OK;
}

static enum dm_result
air_broadcast(struct transport *transport, const struct dm_address *asker, uint8_t radius,
              const uint8_t *data, size_t len)
{
    (void)transport;
    (void)asker;
    (void)radius;
    (void)data;
    (void)len;
    return DM_OK; /* nobody searches here */
}

static void
air_address_text(const struct transport *transport, const struct dm_address *address, char *text,
                 size_t size)
{
    (void)transport;
    snprintf(text, size, "%02x.%04x", address->octets[0],
             (unsigned)(address->octets[1] << 8 | address->octets[2]));
}

static enum dm_result
air_address_parse(const struct transport *transport, const char *text, struct dm_address *address)
{
    unsigned device;
    unsigned port;

    if (sscanf(text, "%2x.%4x", &device, &port) != 2)
        return DM_INVALID;
    address_of(radio_where(transport->link, device, port), address);
    return DM_OK;
}

static const struct transport_ops ops = {.send = air_send,
                                         .broadcast = air_broadcast,
                                         .address_text = air_address_text,
                                         .address_parse = air_address_parse};

void
radio_init(struct world *w)
{
    for (unsigned i = 0; i < SIM_LINKS_MAX; i++) {
        struct air *air = &w->radio.air[i];

        *air = (struct air){.world = w, .up = true};
        snprintf(air->name, sizeof air->name, "air%u", i);
        air->transport = (struct transport){
            .ops = &ops, .kind = "sim", .name = air->name, .link = (uint8_t)i, .mtu = MTU};
    }
}

/* ---- weather ---- */

void
radio_set_link(struct world *w, unsigned link, bool up)
{
    struct air *air = &w->radio.air[link];

    if (air->up == up)
        return;
    world_trace(w, "link %u is %s", link, up ? "up" : "down");
    air->up = up;
    if (w->gateway.running)
        w->gateway.listener.on_link(w->gateway.listener.ctx, (uint8_t)link, up);
}

void
radio_make_room(struct world *w, unsigned link)
{
    struct air *air = &w->radio.air[link];

    air->full = false;
    if (!air->wants_room)
        return;
    world_trace(w, "link %u has room", link);
    air->wants_room = false;
    if (w->gateway.running)
        w->gateway.listener.on_room(w->gateway.listener.ctx, (uint8_t)link);
}
