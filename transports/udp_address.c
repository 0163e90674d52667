/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses of UDP peers to text, to address octets, and back. */
#include "udp_address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAMILY_V4 4
#define FAMILY_V6 6
#define V4_OCTETS (1 + 4 + 2)
#define V6_OCTETS (1 + 16 + 2 + 4)

_Static_assert(V6_OCTETS + 1 + MQTTSN_NODE_ID_MAX <= DM_ADDRESS_OCTETS_MAX,
               "an encapsulated IPv6 peer fits an address");

socklen_t
udp_sockaddr_len(const union udp_sockaddr *address)
{
    return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

uint16_t
udp_port(const union udp_sockaddr *address)
{
    return ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
}

static void
set_port(union udp_sockaddr *address, uint16_t port)
{
    if (address->any.sa_family == AF_INET)
        address->v4.sin_port = htons(port);
    else
        address->v6.sin6_port = htons(port);
}

/* Digits only, no sign, no space, at most `max`. */
static bool
parse_number(const char *text, unsigned long max, unsigned long *value)
{
    size_t len = strlen(text);

    if (len == 0 || len > 10 || strspn(text, "0123456789") != len)
        return false;
    *value = strtoul(text, NULL, 10);
    return *value <= max;
}

static bool
parse_scope(const char *text, uint32_t *scope)
{
    unsigned long number;

    if (parse_number(text, UINT32_MAX, &number)) {
        *scope = (uint32_t)number;
        return true;
    }
    *scope = if_nametoindex(text);
    return *scope != 0;
}

bool
udp_host_parse(const char *text, union udp_sockaddr *address)
{
    char host[INET6_ADDRSTRLEN];
    size_t host_len = strcspn(text, "%");
    union udp_sockaddr parsed;

    memset(&parsed, 0, sizeof parsed);
    if (inet_pton(AF_INET, text, &parsed.v4.sin_addr) == 1) {
        parsed.v4.sin_family = AF_INET;
        *address = parsed;
        return true;
    }
    if (host_len >= sizeof host)
        return false;
    memcpy(host, text, host_len);
    host[host_len] = '\0';
    memset(&parsed, 0, sizeof parsed);
    parsed.v6.sin6_family = AF_INET6;
    if (inet_pton(AF_INET6, host, &parsed.v6.sin6_addr) != 1)
        return false;
    if (text[host_len] == '%' && !parse_scope(text + host_len + 1, &parsed.v6.sin6_scope_id))
        return false;
    *address = parsed;
    return true;
}

bool
udp_endpoint_parse(const char *text, union udp_sockaddr *address)
{
    char host[UDP_ENDPOINT_TEXT_MAX];
    const char *colon = strrchr(text, ':');
    unsigned long port;

    if (colon == NULL || !parse_number(colon + 1, UINT16_MAX, &port))
        return false;
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && text[0] == '[' && colon[-1] == ']';
    if (bracketed) {
        text++;
        len -= 2;
    }
    if (len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (!udp_host_parse(host, address) || bracketed != (address->any.sa_family == AF_INET6))
        return false;
    set_port(address, (uint16_t)port);
    return true;
}

void
udp_endpoint_text(const union udp_sockaddr *address, char text[UDP_ENDPOINT_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";
    char scope[12] = "";

    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
        snprintf(text, UDP_ENDPOINT_TEXT_MAX, "%s:%u", host, udp_port(address));
        return;
    }
    inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
    if (address->v6.sin6_scope_id != 0)
        snprintf(scope, sizeof scope, "%%%lu", (unsigned long)address->v6.sin6_scope_id);
    snprintf(text, UDP_ENDPOINT_TEXT_MAX, "[%s%s]:%u", host, scope, udp_port(address));
}

bool
udp_same_host(const union udp_sockaddr *a, const union udp_sockaddr *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
           IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
}

bool
udp_is_wildcard(const union udp_sockaddr *address)
{
    if (address->any.sa_family == AF_INET)
        return address->v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

bool
udp_is_multicast(const union udp_sockaddr *address)
{
    if (address->any.sa_family == AF_INET)
        return IN_MULTICAST(ntohl(address->v4.sin_addr.s_addr));
    return IN6_IS_ADDR_MULTICAST(&address->v6.sin6_addr);
}

bool
udp_is_usable_source(const union udp_sockaddr *address)
{
    if (udp_port(address) == 0 || udp_is_wildcard(address) || udp_is_multicast(address))
        return false;
    /* The kernel itself drops what claims to come from a subnet's broadcast address. */
    return address->any.sa_family == AF_INET6 ||
           address->v4.sin_addr.s_addr != htonl(INADDR_BROADCAST);
}

void
udp_address_from_peer(const struct udp_peer *peer, struct dm_address *address)
{
    const union udp_sockaddr *endpoint = &peer->endpoint;
    uint8_t *at = address->octets;

    if (endpoint->any.sa_family == AF_INET) {
        *at++ = FAMILY_V4;
        at = mempcpy(at, &endpoint->v4.sin_addr, 4);
        at = mempcpy(at, &endpoint->v4.sin_port, 2);
    } else {
        uint32_t scope = htonl(endpoint->v6.sin6_scope_id);

        *at++ = FAMILY_V6;
        at = mempcpy(at, &endpoint->v6.sin6_addr, 16);
        at = mempcpy(at, &endpoint->v6.sin6_port, 2);
        at = mempcpy(at, &scope, 4);
    }
    if (peer->encapsulated) {
        *at++ = (uint8_t)peer->node_id_len;
        at = mempcpy(at, peer->node_id, peer->node_id_len);
    }
    address->len = (uint8_t)(at - address->octets);
}

bool
udp_address_to_peer(const struct dm_address *address, struct udp_peer *peer)
{
    const uint8_t *octets = address->octets;
    size_t used;

    memset(peer, 0, sizeof *peer);
    if (address->len >= V4_OCTETS && octets[0] == FAMILY_V4) {
        peer->endpoint.v4.sin_family = AF_INET;
        memcpy(&peer->endpoint.v4.sin_addr, octets + 1, 4);
        memcpy(&peer->endpoint.v4.sin_port, octets + 5, 2);
        used = V4_OCTETS;
    } else if (address->len >= V6_OCTETS && octets[0] == FAMILY_V6) {
        uint32_t scope;

        peer->endpoint.v6.sin6_family = AF_INET6;
        memcpy(&peer->endpoint.v6.sin6_addr, octets + 1, 16);
        memcpy(&peer->endpoint.v6.sin6_port, octets + 17, 2);
        memcpy(&scope, octets + 19, 4);
        peer->endpoint.v6.sin6_scope_id = ntohl(scope);
        used = V6_OCTETS;
    } else {
        return false;
    }
    if (address->len == used)
        return true;
    peer->encapsulated = true;
    peer->node_id_len = octets[used];
    if (peer->node_id_len > MQTTSN_NODE_ID_MAX || address->len != used + 1 + peer->node_id_len)
        return false;
    memcpy(peer->node_id, octets + used + 1, peer->node_id_len);
    return true;
}

void
udp_peer_text(const struct udp_peer *peer, char text[UDP_PEER_TEXT_MAX])
{
    udp_endpoint_text(&peer->endpoint, text);
    if (peer->encapsulated) {
        char *end = text + strlen(text);

        *end = '/';
        node_id_text(dm_span(peer->node_id, peer->node_id_len), end + 1);
    }
}

bool
udp_peer_parse(const char *text, struct udp_peer *peer)
{
    char again[UDP_PEER_TEXT_MAX];
    char endpoint[UDP_ENDPOINT_TEXT_MAX];
    size_t endpoint_len = strcspn(text, "/");

    if (endpoint_len >= sizeof endpoint)
        return false;
    memcpy(endpoint, text, endpoint_len);
    endpoint[endpoint_len] = '\0';
    memset(peer, 0, sizeof *peer);
    if (!udp_endpoint_parse(endpoint, &peer->endpoint) || !udp_is_usable_source(&peer->endpoint))
        return false;
    if (text[endpoint_len] == '/') {
        peer->encapsulated = true;
        if (!node_id_parse(text + endpoint_len + 1, peer->node_id, &peer->node_id_len))
            return false;
    }
    /* One peer, one text: leading zeros, scope names and other spellings would make two of it. */
    udp_peer_text(peer, again);
    return strcmp(again, text) == 0;
}
