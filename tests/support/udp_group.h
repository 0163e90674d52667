/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where devices and gateway meet in a multicast group: IPv4 on the loopback interface, IPv6 on the
 * first interface that takes multicast, because the loopback interface does not. Nothing that is
 * sent there passes a router.
 */
#ifndef DORMOUSE_TESTS_UDP_GROUP_H
#define DORMOUSE_TESTS_UDP_GROUP_H

#include <net/if.h>
#include <stddef.h>

#include "link_fixture.h"

struct group_place {
    int family;
    char interface[IF_NAMESIZE];
    char host[64]; /* the address of the interface that the kernel sends from to the group */
    const char *group;
};

extern const struct group_place group_ipv4_place;

/* Both families, or IPv4 alone, which is said, on a machine that has no IPv6 but on its loopback
 * interface. The number of places. */
size_t group_find_places(struct group_place places[2]);

/* "HOST:PORT" in the form of the family; static storage, for a few texts at a time. */
const char *group_endpoint(const struct group_place *place, const char *host, unsigned port);
/* A port to which nobody listens on any address. */
unsigned group_free_port(const struct group_place *place);

/* Opens the link on one listen address, with one group of the place. */
void group_link_open(struct link_fixture *fixture, const struct group_place *place,
                     const char *listen, unsigned port);

/* A device's socket that hears what is sent to the group; its port is the group's. */
int group_member_open(const struct group_place *place);
/* The hop limit of the next datagram. */
int group_member_hops(int fd);

/* From the socket of a device. */
void group_device_send(int fd, const struct group_place *place, unsigned port, const void *data,
                       size_t len);

#endif
