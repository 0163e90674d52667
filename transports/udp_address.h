/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of a UDP link: socket addresses, their texts, and their octets in a dm_address. The
 * octets are: family (4 or 6), host, port, for IPv6 the scope, all in network order; then, if the
 * node is behind a forwarder, the length of its node id and the node id.
 */
#ifndef DORMOUSE_UDP_ADDRESS_H
#define DORMOUSE_UDP_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include <dormouse/address.h>
#include <dormouse/span.h>

#include "node_id.h"

union udp_sockaddr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* "[ffff:...%4294967295]:65535" and a terminator. */
#define UDP_ENDPOINT_TEXT_MAX 72
#define UDP_PEER_TEXT_MAX (UDP_ENDPOINT_TEXT_MAX + 1 + NODE_ID_TEXT_MAX)

/* Who sends: a socket, and the node behind it if it is a forwarder. */
struct udp_peer {
    union udp_sockaddr endpoint;
    bool encapsulated;
    size_t
        node_id_len; /* an encapsulated empty node id is another peer than the forwarder itself */
    uint8_t node_id[MQTTSN_NODE_ID_MAX];
};

socklen_t udp_sockaddr_len(const union udp_sockaddr *address);
uint16_t udp_port(const union udp_sockaddr *address); /* host order */

/* "10.0.0.7", "fe80::1%2", "fe80::1%eth0"; no names, no brackets. The port becomes 0. */
bool udp_host_parse(const char *text, union udp_sockaddr *address);
/* "10.0.0.7:1883", "[fe80::1%eth0]:1883". */
bool udp_endpoint_parse(const char *text, union udp_sockaddr *address);
void udp_endpoint_text(const union udp_sockaddr *address, char text[UDP_ENDPOINT_TEXT_MAX]);

bool udp_same_host(const union udp_sockaddr *a, const union udp_sockaddr *b);
bool udp_is_wildcard(const union udp_sockaddr *address);
bool udp_is_multicast(const union udp_sockaddr *address);
/* False for what no device can send from: port 0, multicast, broadcast, no host (M54). */
bool udp_is_usable_source(const union udp_sockaddr *address);

/* Writes octets and len. The link is the caller's. */
void udp_address_from_peer(const struct udp_peer *peer, struct dm_address *address);
/* False if no udp_address_from_peer made it. */
bool udp_address_to_peer(const struct dm_address *address, struct udp_peer *peer);

/* "10.0.0.7:40112", behind a forwarder "10.0.0.7:40112/01ab". */
void udp_peer_text(const struct udp_peer *peer, char text[UDP_PEER_TEXT_MAX]);
/* Accepts exactly what udp_peer_text writes for a usable source. */
bool udp_peer_parse(const char *text, struct udp_peer *peer);

#endif
