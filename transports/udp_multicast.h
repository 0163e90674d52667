/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The multicast groups of a UDP link: joined as soon as their network interface is there, watched
 * after that, and sent to from a listening socket, because devices take the gateway's address from
 * the source of what they hear.
 */
#ifndef DORMOUSE_UDP_MULTICAST_H
#define DORMOUSE_UDP_MULTICAST_H

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include <dormouse/result.h>
#include <dormouse/span.h>
#include <dormouse/transport.h>

#include "udp_socket.h"

#define UDP_GROUPS_MAX 16 /* the kernel's default limit is 20 memberships a socket */

struct udp_multicast;

/*
 * Takes groups, interface and hop limit from the options, and tries to join. A group that cannot be
 * joined is no failure: it is tried again. NULL for wrong options or no memory, with the reason in
 * `error`. `sockets`, the listening ones, stay where they are and open as long as this exists;
 * `on_readable` is for sockets of groups.
 */
struct udp_multicast *udp_multicast_new(struct event_base *base, const struct udp_options *options,
                                        const struct udp_socket *sockets, size_t socket_count,
                                        event_callback_fn on_readable, char *error,
                                        size_t error_size);
/* NULL is allowed. */
void udp_multicast_free(struct udp_multicast *multicast);

size_t udp_multicast_count(const struct udp_multicast *multicast);
/* Of group `index`. */
sa_family_t udp_multicast_family(const struct udp_multicast *multicast, size_t index);

/* Sends to group `index`, over as many routers as the smaller of radius and the configured limit
 * allows; radius 0 is the limit itself (R11). DM_IO: not joined now. Else as udp_socket_send. */
enum dm_result udp_multicast_send(struct udp_multicast *multicast, size_t index, uint8_t radius,
                                  struct dm_span datagram);

/* "225.1.1.1:1883 (eth0),[ff1e::1]:1883 (not joined: eth1: the interface is down)"; terminated. */
void udp_multicast_text(const struct udp_multicast *multicast, char *text, size_t size);

#endif
