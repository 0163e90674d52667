/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces and addresses of this machine, as multicast needs to know them. */
#ifndef DORMOUSE_UDP_INTERFACE_H
#define DORMOUSE_UDP_INTERFACE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "udp_address.h"

struct udp_interface {
    char name[IF_NAMESIZE];
    unsigned index;
    union udp_sockaddr address; /* one of its addresses, of the family of the group */
};

/* The address of ours that the kernel would send from to `to`. False: no route, see errno. */
bool udp_source_toward(const union udp_sockaddr *to, union udp_sockaddr *source);

/* The interface of that name, or, if `name` is empty, the one of the route to `group`. False if it
 * cannot be used now; the reason is in `error`. */
bool udp_interface_find(const char *name, const union udp_sockaddr *group,
                        struct udp_interface *found, char *error, size_t error_size);

/* True if the interface has this address. */
bool udp_interface_has(const struct udp_interface *interface, const union udp_sockaddr *address);

#endif
