/* SPDX-License-Identifier: Apache-2.0 */
/* A UDP link. Nothing outside udp*.c includes it. */
#ifndef DORMOUSE_UDP_PRIVATE_H
#define DORMOUSE_UDP_PRIVATE_H

#include <dormouse/transport.h>

#include "udp_batch.h"
#include "udp_multicast.h"

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
    bool reading;        /* a batch, at whose end all is sent anyway */
    bool full;               /* the listener was told so */
    struct udp_inbox *inbox; /* one octet longer than what is accepted */
    struct udp_outbox *outbox;
    uint8_t *wrapped;
    size_t datagram_max; /* octets of the largest encapsulated message */
    struct transport_status counters;
};

extern const struct transport_ops udp_ops;

/* Events: `ctx` is the socket of the first, the link of the others. */
void udp_on_readable(evutil_socket_t fd, short what, void *ctx);
void udp_on_leave(evutil_socket_t fd, short what, void *ctx);
void udp_on_room(evutil_socket_t fd, short what, void *ctx);

#endif
