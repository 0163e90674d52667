/* SPDX-License-Identifier: Apache-2.0 */
/* UDP links: one or more sockets of one [udp] section, and the forwarders behind them. */
#include <dormouse/transport.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <dormouse/mqttsn.h>

#include "udp_address.h"
#include "udp_batch.h"
#include "udp_interface.h"
#include "udp_multicast.h"
#include "udp_socket.h"

#define ROOM_US 10000 /* until the kernel is asked again whether it takes a datagram */
#define SOCKETS_MAX 255
/* Slots of the table that remembers where peers were heard; only for links of several sockets. */
#define HEARD_SLOTS 65536

struct udp {
    struct transport base;
    struct transport_listener listener;
    char *name;
    struct udp_socket *sockets; /* the listening ones */
    size_t socket_count;
    struct udp_multicast *multicast;
    union udp_sockaddr *forwarders;
    size_t forwarder_count;
    bool any_forwarder;
    /* By hash of the peer's endpoint, 1 + index of the socket it was last heard on. A collision can
     * only mean a socket of the right family that is the wrong one of several. NULL: one socket. */
    uint8_t *heard_on;
    struct event *room;      /* after the kernel took no more: tell the listener to go on */
    struct event *leave;     /* at the end of this turn of the loop: what was gathered is sent */
    bool full;               /* the listener was told so */
    struct udp_inbox *inbox; /* one octet longer than what is accepted */
    struct udp_outbox *outbox;
    uint8_t *wrapped;
    size_t datagram_max; /* octets of the largest encapsulated message */
    struct transport_status counters;
};

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

static void
on_leave(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    flush(ctx);
}

/* One batch; then the other events of the loop have their turn. */
static void
on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct udp_socket *socket = ctx;
    struct udp *udp = socket->udp;
    size_t count = udp_inbox_fill(udp->inbox, socket);

    (void)fd;
    (void)what;
    for (size_t n = 0; n < count; n++) {
        struct udp_arrival arrival;
        struct dm_span datagram = udp_inbox_read(udp->inbox, n, socket, &arrival);

        handle_datagram(socket, &arrival, datagram);
    }
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
    if (first)
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

static void
on_room(evutil_socket_t fd, short what, void *ctx)
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

static const struct transport_ops udp_ops = {
    .send = udp_send,
    .broadcast = udp_broadcast,
    .address_text = udp_address_text,
    .address_parse = udp_address_parse,
    .status = udp_status,
    .free = udp_free,
};

/* Opens one listen address. On failure the reason is in `error`. */
static bool
listen_on(struct udp *udp, struct event_base *base, const char *listen, char *error,
          size_t error_size)
{
    struct udp_socket *opened = &udp->sockets[udp->socket_count++];
    union udp_sockaddr address;

    *opened = (struct udp_socket){
        .udp = udp, .fd = -1, .listening = true, .answerer = (uint8_t)udp->socket_count};
    if (!udp_endpoint_parse(listen, &address)) {
        snprintf(error, error_size, "'%s' is no ADDRESS:PORT or [IPV6]:PORT", listen);
        return false;
    }
    /* Not shared: two gateways must not take each other's datagrams. */
    if (!udp_socket_open(opened, base, &address, false, on_readable)) {
        snprintf(error, error_size, "cannot listen on %s: %s", listen, strerror(errno));
        return false;
    }
    return true;
}

static bool
set_forwarders(struct udp *udp, const struct udp_options *options, char *error, size_t error_size)
{
    for (size_t i = 0; i < options->forwarder_count; i++) {
        const char *text = options->forwarders[i];

        if (strcmp(text, "*") == 0) {
            udp->any_forwarder = true;
        } else if (udp_host_parse(text, &udp->forwarders[udp->forwarder_count])) {
            udp->forwarder_count++;
        } else {
            snprintf(error, error_size, "forwarder '%s' is no address", text);
            return false;
        }
    }
    return true;
}

static bool
check_options(const struct udp_options *options, char *error, size_t error_size)
{
    const char *reason = NULL;

    if (strlen(options->name) > TRANSPORT_NAME_MAX)
        reason = "the name is too long";
    else if (options->listen_count == 0)
        reason = "no address to listen on";
    else if (options->listen_count > SOCKETS_MAX)
        reason = "more than 255 addresses to listen on";
    else if (options->mtu < 2)
        reason = "mtu is less than 2";
    if (reason != NULL)
        snprintf(error, error_size, "%s", reason);
    return reason == NULL;
}

/* Everything but the sockets; NULL if memory is short. */
static struct udp *
allocate(struct event_base *base, uint8_t link, const struct udp_options *options,
         const struct transport_listener *listener)
{
    struct udp *udp = calloc(1, sizeof *udp);

    if (udp == NULL)
        return NULL;
    udp->datagram_max = (size_t)options->mtu + NODE_ID_OVERHEAD;
    udp->name = strdup(options->name);
    udp->sockets = calloc(options->listen_count, sizeof *udp->sockets);
    udp->forwarders = calloc(options->forwarder_count + 1, sizeof *udp->forwarders);
    udp->inbox = udp_inbox_new(udp->datagram_max + 1);
    udp->outbox = udp_outbox_new(udp->datagram_max);
    udp->wrapped = malloc(udp->datagram_max);
    udp->room = evtimer_new(base, on_room, udp);
    udp->leave = event_new(base, -1, 0, on_leave, udp);
    if (options->listen_count > 1)
        udp->heard_on = calloc(HEARD_SLOTS, sizeof *udp->heard_on);
    if (udp->name == NULL || udp->sockets == NULL || udp->forwarders == NULL ||
        udp->inbox == NULL || udp->outbox == NULL || udp->wrapped == NULL || udp->room == NULL ||
        udp->leave == NULL || (options->listen_count > 1 && udp->heard_on == NULL)) {
        udp_free(&udp->base);
        return NULL;
    }
    udp->base = (struct transport){
        .ops = &udp_ops, .kind = "udp", .name = udp->name, .link = link, .mtu = options->mtu};
    udp->listener = *listener;
    return udp;
}

struct transport *
udp_open(struct event_base *base, uint8_t link, const struct udp_options *options,
         const struct transport_listener *listener, char *error, size_t error_size)
{
    if (!check_options(options, error, error_size))
        return NULL;
    struct udp *udp = allocate(base, link, options, listener);
    if (udp == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    if (!set_forwarders(udp, options, error, error_size))
        goto fail;
    for (size_t i = 0; i < options->listen_count; i++)
        if (!listen_on(udp, base, options->listen[i], error, error_size))
            goto fail;
    udp->multicast = udp_multicast_new(base, options, udp->sockets, udp->socket_count, on_readable,
                                       error, error_size);
    if (udp->multicast == NULL)
        goto fail;
    return &udp->base;

fail:
    udp_free(&udp->base);
    return NULL;
}
