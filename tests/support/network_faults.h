/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network that is not as the machine has it: getifaddrs, connect, getsockname and sendto are
 * defined in the test program, and so go before those of libc.
 */
#ifndef DORMOUSE_TESTS_NETWORK_FAULTS_H
#define DORMOUSE_TESTS_NETWORK_FAULTS_H

#include "udp_address.h"

enum network_interfaces { INTERFACES_FINE, INTERFACES_GONE, INTERFACES_DOWN, INTERFACES_BARE };

/* Of every interface from now on; bare: without any address. */
void network_set_interfaces(enum network_interfaces state);
/* How often the interfaces were asked for. */
unsigned network_lookups(void);

/* No address can be reached, for this errno; 0: as it is. */
void network_fail_routes(int error);
/* Where a socket is connected to, its own address is this one; NULL: as it is. Borrowed. */
void network_set_source(const union udp_sockaddr *source);

/* The next `count` datagrams are not taken, for this errno. */
void network_fail_sends(int error, unsigned count);

#endif
