/* SPDX-License-Identifier: Apache-2.0 */
/* One socket of a UDP link: opening it, and what the kernel tells of a datagram. */
#ifndef DORMOUSE_UDP_SOCKET_H
#define DORMOUSE_UDP_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <event2/event.h>

#include <dormouse/result.h>
#include <dormouse/span.h>

#include "udp_address.h"

struct udp;

/* Zeroed but for fd = -1, it is a closed one. */
struct udp_socket {
    struct udp *udp; /* the link; nothing of it is used here */
    struct event *readable;
    union udp_sockaddr bound;
    int fd;           /* -1: not open */
    bool listening;   /* false: receives for a group, and sends nothing */
    uint8_t answerer; /* 1 + index of the listening socket that answers what this one hears */
};

/* Where a datagram came from and went to. */
struct udp_arrival {
    union udp_sockaddr from;
    union udp_sockaddr local; /* IPv4: the address of ours that answers; IPv6: the one written to */
    bool to_group;            /* it was written to a multicast group */
};

/* Binds to `address` and watches: `on_readable` gets the socket as its context. `shared`: other
 * programs may bind it too. On failure it is closed, and errno tells why. */
bool udp_socket_open(struct udp_socket *opened, struct event_base *base,
                     const union udp_sockaddr *address, bool shared, event_callback_fn on_readable);
void udp_socket_close(struct udp_socket *socket);

/* Room for what the kernel tells of one. */
union udp_control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* Fills in where a received message went to; `from` is there already. */
void udp_socket_read_arrival(const struct udp_socket *socket, const struct msghdr *message,
                             struct udp_arrival *arrival);

/* One datagram, at once. DM_FULL: the kernel takes no more now. DM_INVALID: too long for the network.
 * DM_IO: see errno. */
enum dm_result udp_socket_send(const struct udp_socket *socket, const union udp_sockaddr *to,
                               struct dm_span datagram);

#endif
