/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of a UDP link under test: real sockets on this machine, and the link that they talk to.
 */
#ifndef DORMOUSE_TESTS_UDP_DEVICE_H
#define DORMOUSE_TESTS_UDP_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link_fixture.h"
#include "udp_address.h"

#define LINK_MTU 60

/* The endpoint of a text, asserted to be one. */
union udp_sockaddr endpoint_of(const char *text);

/* A socket on `host` with a free port, which waits no longer than 10 s for a datagram. */
int device_open(const char *host);
uint16_t device_port(int fd);
/* What the socket is bound to; static storage. */
const char *device_text(int fd);
void device_send(int fd, const char *to, const void *data, size_t len);
/* True if the next datagram is `data`, and comes from the socket bound to `from`. */
bool device_receives(int fd, const char *from, const void *data, size_t len);

/* Opens the link "lan" with LINK_MTU; everything else is as in `options`. */
void link_open_with(struct link_fixture *fixture, struct udp_options options);
/* With these listen addresses; `forwarder` NULL: none. */
void link_open(struct link_fixture *fixture, const char *const *listen, size_t listen_count,
               const char *forwarder);
void link_open_one(struct link_fixture *fixture, const char *listen, const char *forwarder);
/* Bound address number `index` of the status; static storage. */
const char *link_bound(const struct link_fixture *fixture, int index);

#endif
