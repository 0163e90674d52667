/* SPDX-License-Identifier: Apache-2.0 */
/* UDP links: what comes and goes over the sockets of one [udp] section, and the forwarders behind
 * them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <dormouse/mqttsn.h>

#include "udp_interface.h"
#include "udp_private.h"

#define ROOM_US 10000 /* until the kernel is asked again whether it takes a datagram */
static struct udp *
udp_of(struct transport *transport)
{
    return (struct udp *)transport;
}

static const struct udp *
udp_of_const(const struct transport *transport)
{
    return (const struct udp *)transport;
}

/* FNV-1a over family, host and port. */
static size_t
heard_slot(const union udp_sockaddr *peer)
{
    struct udp_peer direct = {.endpoint = *peer};
    struct dm_address address;
    uint32_t hash = 2166136261u;

    udp_address_from_peer(&direct, &address);
    for (size_t i = 0; i < address.len; i++)
        hash = (hash ^ address.octets[i]) * 16777619u;
    return (hash ^ hash >> 16) % HEARD_SLOTS;
}

/* The socket to answer from: where the peer was last heard, or else the first of its family. */
static const struct udp_socket *
socket_for(const struct udp *udp, const union udp_sockaddr *peer)
{
    sa_family_t family = peer->any.sa_family;
    uint8_t heard = udp->heard_on != NULL ? udp->heard_on[heard_slot(peer)] : 0;

    if (heard != 0 && udp->sockets[heard - 1].bound.any.sa_family == family)
        return &udp->sockets[heard - 1];
    for (size_t i = 0; i < udp->socket_count; i++)
        if (udp->sockets[i].bound.any.sa_family == family)
            return &udp->sockets[i];
    return NULL;
}

/* True if the sender's address is one that a socket bound to every address sends from. */
static bool
is_from_this_machine(const struct udp_arrival *arrival)
{
    union udp_sockaddr source;

    /* IPv6 tells the group as the address that was written to. */
    if (arrival->to_group && arrival->from.any.sa_family == AF_INET6)
        return udp_source_toward(&arrival->from, &source) && udp_same_host(&source, &arrival->from);
    return udp_same_host(&arrival->local, &arrival->from);
}

/* True if one of our own sockets sent it (M54): answering would be talking to ourselves. */
static bool
is_from_ourselves(const struct udp *udp, const struct udp_arrival *arrival)
{
    const union udp_sockaddr *from = &arrival->from;

    for (size_t i = 0; i < udp->socket_count; i++) {
        const union udp_sockaddr *bound = &udp->sockets[i].bound;

        if (bound->any.sa_family != from->any.sa_family || udp_port(bound) != udp_port(from))
            continue;
        if (udp_is_wildcard(bound) ? is_from_this_machine(arrival) : udp_same_host(bound, from))
            return true;
    }
    return false;
}

static bool
is_forwarder(const struct udp *udp, const union udp_sockaddr *from)
{
    for (size_t i = 0; i < udp->forwarder_count; i++)
        if (udp_same_host(&udp->forwarders[i], from))
            return true;
    return udp->any_forwarder;
}

/* Takes the encapsulation off, if there is one; false if the datagram is to be dropped. */
static bool
unwrap(const struct udp *udp, struct dm_span datagram, struct udp_peer *peer,
       struct dm_span *message)
{
    struct dm_span node_id;

    *message = datagram;
    if (mqttsn_is_encapsulated(datagram.data, datagram.len)) {
        if (!is_forwarder(udp, &peer->endpoint) ||
            mqttsn_unwrap(datagram.data, datagram.len, &node_id, message) != DM_OK)
            return false;
        peer->encapsulated = true;
        peer->node_id_len = node_id.len;
        memcpy(peer->node_id, node_id.data, node_id.len);
    }
    return message->len <= udp->base.mtu;
}

/* A peer heard on a group's socket is answered from where it was heard before, if it was. */
static void
remember_socket(struct udp *udp, const struct udp_socket *socket, const union udp_sockaddr *peer)
{
    if (udp->heard_on == NULL)
        return;
    uint8_t *slot = &udp->heard_on[heard_slot(peer)];
    if (socket->listening || *slot == 0)
        *slot = socket->answerer;
}

static void
handle_datagram(struct udp_socket *socket, const struct udp_arrival *arrival,
                struct dm_span datagram)
{
    struct udp *udp = socket->udp;
    struct udp_peer peer = {.endpoint = arrival->from};
    struct dm_address address;
    struct dm_span message;
    bool own = is_from_ourselves(udp, arrival);

    if (own && arrival->to_group)
        return; /* what we send to a group comes back to its members on this machine */
    if (own || datagram.len > udp->datagram_max || !udp_is_usable_source(&peer.endpoint) ||
        !unwrap(udp, datagram, &peer, &message)) {
        udp->counters.rx_dropped++;
        return;
    }
    remember_socket(udp, socket, &peer.endpoint);
    address.link = udp->base.link;
    udp_address_from_peer(&peer, &address);
    udp->counters.rx_datagrams++;
    udp->counters.rx_octets += datagram.len;
    udp->listener.on_datagram(udp->listener.ctx, &address, message.data, message.len);
}

static void
ask_again(struct udp *udp)
{
    /* A full interface queue (ENOBUFS) is no event of the socket: ask again after a moment. */
    static const struct timeval moment = {.tv_usec = ROOM_US};

    evtimer_add(udp->room, &moment); /* no memory: the next flush asks, too */
}

/* Sees to it that the listener is told of room. */
static enum dm_result
refuse(struct udp *udp, enum dm_result result)
{
    udp->counters.tx_dropped++;
    if (result == DM_FULL) {
        udp->full = true;
        ask_again(udp);
    }
    return result;
}

/* What the kernel does not take now waits until it does, and with it all that comes later. */
static void
flush(struct udp *udp)
{
    struct udp_outbox_result result = udp_outbox_flush(udp->outbox);

    udp->counters.tx_datagrams += result.datagrams;
    udp->counters.tx_octets += result.octets;
    udp->counters.tx_dropped += result.dropped;
    if (result.full)
        ask_again(udp);
}

void
udp_on_leave(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    flush(ctx);
}

/* One batch; then the other events of the loop have their turn. */
void
udp_on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct udp_socket *socket = ctx;
    struct udp *udp = socket->udp;
    size_t count = udp_inbox_fill(udp->inbox, socket);

    (void)fd;
    (void)what;
    udp->reading = true;
    for (size_t n = 0; n < count; n++) {
        struct udp_arrival arrival;
        struct dm_span datagram = udp_inbox_read(udp->inbox, n, socket, &arrival);

        handle_datagram(socket, &arrival, datagram);
    }
    udp->reading = false;
    flush(udp);
}

/* Counts what became of a message that does not wait for the end of the turn. */
static enum dm_result
account(struct udp *udp, enum dm_result result, size_t len)
{
    if (result == DM_OK) {
        udp->counters.tx_datagrams++;
        udp->counters.tx_octets += len;
        return DM_OK;
    }
    return refuse(udp, result);
}

/* To leave at the end of the turn. */
static enum dm_result
post(struct udp *udp, const struct udp_socket *socket, const union udp_sockaddr *to,
     struct dm_span datagram)
{
    bool first = udp_outbox_is_empty(udp->outbox);

    if (!udp_outbox_add(udp->outbox, socket, to, datagram)) {
        flush(udp);
        if (!udp_outbox_add(udp->outbox, socket, to, datagram))
            return refuse(udp, DM_FULL);
    }
    if (first && !udp->reading)
        event_active(udp->leave, EV_TIMEOUT, 0);
    return DM_OK;
}

/* `radius`: for the forwarder, if the peer is behind one (R112). `now`: without waiting for others.
 */
static enum dm_result
send_to_peer(struct udp *udp, const struct udp_peer *peer, uint8_t radius, struct dm_span message,
             bool now)
{
    const struct udp_socket *socket = socket_for(udp, &peer->endpoint);
    struct dm_span datagram = message;

    if (socket == NULL)
        return refuse(udp, DM_IO);
    if (peer->encapsulated) {
        if (mqttsn_wrap(dm_span(peer->node_id, peer->node_id_len), node_id_radius(radius), message,
                        udp->wrapped, udp->datagram_max, &datagram.len) != DM_OK)
            return refuse(udp, DM_INVALID);
        datagram.data = udp->wrapped;
    }
    if (!now)
        return post(udp, socket, &peer->endpoint, datagram);
    return account(udp, udp_socket_send(socket, &peer->endpoint, datagram), datagram.len);
}

static enum dm_result
udp_send(struct transport *transport, const struct dm_address *to, const uint8_t *data, size_t len)
{
    struct udp *udp = udp_of(transport);
    struct udp_peer peer;

    if (len > udp->base.mtu || !udp_address_to_peer(to, &peer))
        return refuse(udp, DM_INVALID);
    return send_to_peer(udp, &peer, 0, dm_span(data, len), false);
}

/* To the groups of one family, or of every family for AF_UNSPEC. DM_OK if one of them took it. */
static enum dm_result
send_to_groups(struct udp *udp, sa_family_t family, uint8_t radius, struct dm_span message)
{
    enum dm_result result = DM_NOT_FOUND;

    for (size_t i = 0; i < udp_multicast_count(udp->multicast); i++) {
        if (family != AF_UNSPEC && udp_multicast_family(udp->multicast, i) != family)
            continue;
        enum dm_result sent =
            account(udp, udp_multicast_send(udp->multicast, i, radius, message), message.len);
        if (result != DM_OK)
            result = sent;
    }
    return result;
}

static enum dm_result
udp_broadcast(struct transport *transport, const struct dm_address *asker, uint8_t radius,
              const uint8_t *data, size_t len)
{
    struct udp *udp = udp_of(transport);
    struct dm_span message = dm_span(data, len);
    struct udp_peer peer;

    if (len > udp->base.mtu || (asker != NULL && !udp_address_to_peer(asker, &peer)))
        return refuse(udp, DM_INVALID);
    if (asker == NULL)
        return send_to_groups(udp, AF_UNSPEC, radius, message);
    enum dm_result result = send_to_peer(udp, &peer, radius, message, true);
    if (peer.encapsulated)
        return result;
    enum dm_result to_groups = send_to_groups(udp, peer.endpoint.any.sa_family, radius, message);
    return to_groups == DM_OK ? DM_OK : result;
}

void
udp_on_room(evutil_socket_t fd, short what, void *ctx)
{
    struct udp *udp = ctx;

    (void)fd;
    (void)what;
    flush(udp);
    if (!udp->full || !udp_outbox_is_empty(udp->outbox))
        return;
    udp->full = false;
    if (udp->listener.on_room != NULL)
        udp->listener.on_room(udp->listener.ctx, udp->base.link);
}

static void
udp_address_text(const struct transport *transport, const struct dm_address *address, char *text,
                 size_t size)
{
    char peer_text[UDP_PEER_TEXT_MAX] = "?";
    struct udp_peer peer;

    (void)transport;
    if (udp_address_to_peer(address, &peer))
        udp_peer_text(&peer, peer_text);
    snprintf(text, size, "%s", peer_text);
}

static enum dm_result
udp_address_parse(const struct transport *transport, const char *text, struct dm_address *address)
{
    struct udp_peer peer;

    (void)transport;
    if (!udp_peer_parse(text, &peer))
        return DM_INVALID;
    udp_address_from_peer(&peer, address);
    return DM_OK;
}

static void
udp_status(const struct transport *transport, struct transport_status *status)
{
    const struct udp *udp = udp_of_const(transport);
    size_t used = 0;

    *status = udp->counters;
    status->up = true;
    for (size_t i = 0; i < udp->socket_count && used < sizeof status->device; i++) {
        char text[UDP_ENDPOINT_TEXT_MAX];

        udp_endpoint_text(&udp->sockets[i].bound, text);
        used += (size_t)snprintf(status->device + used, sizeof status->device - used, "%s%s",
                                 i > 0 ? "," : "", text);
    }
    udp_multicast_text(udp->multicast, status->groups, sizeof status->groups);
}

static void
udp_free(struct transport *transport)
{
    struct udp *udp = udp_of(transport);

    if (udp->outbox != NULL)
        udp_outbox_flush(udp->outbox);
    udp_outbox_free(udp->outbox);
    udp_inbox_free(udp->inbox);
    if (udp->room != NULL)
        event_free(udp->room);
    if (udp->leave != NULL)
        event_free(udp->leave);
    udp_multicast_free(udp->multicast);
    for (size_t i = 0; i < udp->socket_count; i++)
        udp_socket_close(&udp->sockets[i]);
    free(udp->sockets);
    free(udp->forwarders);
    free(udp->heard_on);
    free(udp->wrapped);
    free(udp->name);
    free(udp);
}

const struct transport_ops udp_ops = {
    .send = udp_send,
    .broadcast = udp_broadcast,
    .address_text = udp_address_text,
    .address_parse = udp_address_parse,
    .status = udp_status,
    .free = udp_free,
};
