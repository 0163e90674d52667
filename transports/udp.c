/* SPDX-License-Identifier: Apache-2.0 */
/* UDP links: one or more sockets of one [udp] section, and the forwarders behind them. */
#include <dormouse/transport.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include <dormouse/mqttsn.h>

#include "udp_address.h"

/* Datagrams taken from one socket before the other events of the loop have their turn. */
#define ROOM_US 10000 /* until the kernel is asked again whether it takes a datagram */
#define RECEIVE_BATCH 64
#define SOCKETS_MAX 255
/* Slots of the table that remembers where peers were heard; only for links of several sockets. */
#define HEARD_SLOTS 65536

struct udp;

struct udp_socket {
    struct udp *udp;
    struct event *readable;
    union udp_sockaddr bound;
    int fd; /* -1: not open */
};

struct udp {
    struct transport base;
    struct transport_listener listener;
    char *name;
    struct udp_socket *sockets;
    size_t socket_count;
    union udp_sockaddr *forwarders;
    size_t forwarder_count;
    bool any_forwarder;
    /* By hash of the peer's endpoint, 1 + index of the socket it was last heard on. A collision can
     * only mean a socket of the right family that is the wrong one of several. NULL: one socket. */
    uint8_t *heard_on;
    struct event *room; /* after the kernel took no more: tell the listener to go on */
    uint8_t *received;  /* one octet longer than what is accepted */
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

/* True if one of our own sockets sent it (M54): answering would be talking to ourselves. */
static bool
is_from_ourselves(const struct udp *udp, const union udp_sockaddr *from,
                  const union udp_sockaddr *local)
{
    for (size_t i = 0; i < udp->socket_count; i++) {
        const union udp_sockaddr *bound = &udp->sockets[i].bound;

        if (bound->any.sa_family != from->any.sa_family || udp_port(bound) != udp_port(from))
            continue;
        /* A socket bound to every address sends from the one that is written to. */
        if (udp_same_host(from, udp_is_wildcard(bound) ? local : bound))
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

/* One datagram with its source and the local address it was sent to; -1 if there is none. */
static ssize_t
receive(const struct udp_socket *socket, uint8_t *buffer, size_t size, union udp_sockaddr *from,
        union udp_sockaddr *local)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control;
    struct iovec vector = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_name = from,
        .msg_namelen = sizeof *from,
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t len = recvmsg(socket->fd, &message, MSG_DONTWAIT | MSG_TRUNC);

    *local = socket->bound;
    if (len < 0)
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            local->v4.sin_addr = info.ipi_spec_dst;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            local->v6.sin6_addr = info.ipi6_addr;
            local->v6.sin6_scope_id = from->v6.sin6_scope_id;
        }
    }
    return len;
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

static void
handle_datagram(struct udp_socket *socket, struct udp_peer *peer, const union udp_sockaddr *local,
                size_t len)
{
    struct udp *udp = socket->udp;
    struct dm_address address;
    struct dm_span message;

    if (len > udp->datagram_max || !udp_is_usable_source(&peer->endpoint) ||
        is_from_ourselves(udp, &peer->endpoint, local) ||
        !unwrap(udp, dm_span(udp->received, len), peer, &message)) {
        udp->counters.rx_dropped++;
        return;
    }
    if (udp->heard_on != NULL)
        udp->heard_on[heard_slot(&peer->endpoint)] = (uint8_t)(socket - udp->sockets + 1);
    address.link = udp->base.link;
    udp_address_from_peer(peer, &address);
    udp->counters.rx_datagrams++;
    udp->counters.rx_octets += len;
    udp->listener.on_datagram(udp->listener.ctx, &address, message.data, message.len);
}

static void
on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct udp_socket *socket = ctx;
    struct udp *udp = socket->udp;

    (void)fd;
    (void)what;
    for (int i = 0; i < RECEIVE_BATCH; i++) {
        struct udp_peer peer = {.node_id_len = 0};
        union udp_sockaddr local;
        ssize_t len = receive(socket, udp->received, udp->datagram_max + 1, &peer.endpoint, &local);

        if (len >= 0)
            handle_datagram(socket, &peer, &local, (size_t)len);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        /* Any other error is one that ICMP reported about an earlier datagram: it is no news about
         * this one, and reading it has cleared it. */
    }
}

static enum dm_result
send_datagram(const struct udp_socket *socket, const union udp_sockaddr *to, const uint8_t *data,
              size_t len)
{
    ssize_t sent = sendto(socket->fd, data, len, MSG_DONTWAIT, &to->any, udp_sockaddr_len(to));

    /* ICMP's complaint about an earlier datagram; reporting it has cleared it. */
    if (sent < 0 && errno == ECONNREFUSED)
        sent = sendto(socket->fd, data, len, MSG_DONTWAIT, &to->any, udp_sockaddr_len(to));
    if (sent >= 0 || errno == ECONNREFUSED)
        return DM_OK;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
        return DM_FULL;
    return errno == EMSGSIZE ? DM_INVALID : DM_IO;
}

static enum dm_result
send_message(struct udp *udp, const struct dm_address *to, struct dm_span message, size_t *len)
{
    struct udp_peer peer;
    struct dm_span datagram = message;

    if (message.len > udp->base.mtu || !udp_address_to_peer(to, &peer))
        return DM_INVALID;
    const struct udp_socket *socket = socket_for(udp, &peer.endpoint);
    if (socket == NULL)
        return DM_IO;
    if (peer.encapsulated) {
        enum dm_result result = mqttsn_wrap(dm_span(peer.node_id, peer.node_id_len), 0, message,
                                            udp->wrapped, udp->datagram_max, &datagram.len);

        if (result != DM_OK)
            return DM_INVALID;
        datagram.data = udp->wrapped;
    }
    *len = datagram.len;
    return send_datagram(socket, &peer.endpoint, datagram.data, datagram.len);
}

static enum dm_result
udp_send(struct transport *transport, const struct dm_address *to, const uint8_t *data, size_t len)
{
    struct udp *udp = udp_of(transport);
    size_t sent_len = 0;
    enum dm_result result = send_message(udp, to, dm_span(data, len), &sent_len);

    if (result == DM_OK) {
        udp->counters.tx_datagrams++;
        udp->counters.tx_octets += sent_len;
        return DM_OK;
    }
    udp->counters.tx_dropped++;
    /* A full interface queue (ENOBUFS) is no event of the socket: ask again after a moment. */
    static const struct timeval moment = {.tv_usec = ROOM_US};
    if (result == DM_FULL && evtimer_add(udp->room, &moment) != 0)
        return DM_IO;
    return result;
}

static void
on_room(evutil_socket_t fd, short what, void *ctx)
{
    struct udp *udp = ctx;

    (void)fd;
    (void)what;
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
}

static void
udp_free(struct transport *transport)
{
    struct udp *udp = udp_of(transport);

    if (udp->room != NULL)
        event_free(udp->room);
    for (size_t i = 0; i < udp->socket_count; i++) {
        if (udp->sockets[i].readable != NULL)
            event_free(udp->sockets[i].readable);
        if (udp->sockets[i].fd >= 0)
            close(udp->sockets[i].fd);
    }
    free(udp->sockets);
    free(udp->forwarders);
    free(udp->heard_on);
    free(udp->received);
    free(udp->wrapped);
    free(udp->name);
    free(udp);
}

static const struct transport_ops udp_ops = {
    .send = udp_send,
    .address_text = udp_address_text,
    .address_parse = udp_address_parse,
    .status = udp_status,
    .free = udp_free,
};

static bool
configure_socket(int fd, int family)
{
    int on = 1;

    /* Without V6ONLY a socket on [::] would take the IPv4 port too. */
    if (family == AF_INET6)
        return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0 &&
               setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) == 0;
    return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0;
}

/* Binds one listen address. On failure the reason is in `error`; the caller releases. */
static bool
open_socket(struct udp_socket *opened, struct event_base *base, const char *listen, char *error,
            size_t error_size)
{
    union udp_sockaddr *bound = &opened->bound;
    socklen_t len = sizeof *bound;

    if (!udp_endpoint_parse(listen, bound)) {
        snprintf(error, error_size, "'%s' is no ADDRESS:PORT or [IPV6]:PORT", listen);
        return false;
    }
    opened->fd = socket(bound->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened->fd < 0 || !configure_socket(opened->fd, bound->any.sa_family) ||
        bind(opened->fd, &bound->any, udp_sockaddr_len(bound)) != 0 ||
        getsockname(opened->fd, &bound->any, &len) != 0) {
        snprintf(error, error_size, "cannot listen on %s: %s", listen, strerror(errno));
        return false;
    }
    opened->readable = event_new(base, opened->fd, EV_READ | EV_PERSIST, on_readable, opened);
    if (opened->readable == NULL || event_add(opened->readable, NULL) != 0) {
        snprintf(error, error_size, "cannot listen on %s: out of memory", listen);
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
    udp->received = malloc(udp->datagram_max + 1);
    udp->wrapped = malloc(udp->datagram_max);
    udp->room = evtimer_new(base, on_room, udp);
    if (options->listen_count > 1)
        udp->heard_on = calloc(HEARD_SLOTS, sizeof *udp->heard_on);
    if (udp->name == NULL || udp->sockets == NULL || udp->forwarders == NULL ||
        udp->received == NULL || udp->wrapped == NULL || udp->room == NULL ||
        (options->listen_count > 1 && udp->heard_on == NULL)) {
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
    for (size_t i = 0; i < options->listen_count; i++) {
        struct udp_socket *opened = &udp->sockets[udp->socket_count++];

        *opened = (struct udp_socket){.udp = udp, .fd = -1};
        if (!open_socket(opened, base, options->listen[i], error, error_size))
            goto fail;
    }
    return &udp->base;

fail:
    udp_free(&udp->base);
    return NULL;
}
