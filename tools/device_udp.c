/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the UDP sockets of a device: resolves, binds, connects, joins a multicast group. */
#include "device_udp.h"

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOPS_MAX 255

/* Splits "ADDRESS:PORT" or "[ADDRESS]:PORT" in place; an empty address means any. */
static enum dm_result
split_address(char *text, const char **host, const char **port)
{
    char *colon = strrchr(text, ':');

    if (colon == NULL || colon[1] == '\0')
        return DM_INVALID;
    *port = colon + 1;
    *colon = '\0';
    if (text[0] == '[' && colon > text + 2 && colon[-1] == ']') {
        colon[-1] = '\0';
        text++;
    } else if (strchr(text, ':') != NULL) {
        return DM_INVALID; /* IPv6 without brackets: where does the port begin? */
    }
    *host = text[0] != '\0' ? text : NULL;
    return DM_OK;
}

/* Returns a socket bound to `text`, its family in *family, or -1. */
static int
bind_socket(const char *text, int *family, char *error, size_t error_size)
{
    char copy[128];
    const char *host = NULL;
    const char *port = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;

    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy ||
        split_address(copy, &host, &port) != DM_OK) {
        snprintf(error, error_size, "--bind: '%s' is not ADDRESS:PORT", text);
        return -1;
    }
    if (host == NULL)
        hints.ai_family = AF_INET;
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed != 0) {
        snprintf(error, error_size, "--bind: '%s': %s", text, gai_strerror(failed));
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0) {
        snprintf(error, error_size, "--bind: '%s': %s", text, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    *family = found->ai_family;
    freeaddrinfo(found);
    return fd;
}

/* IPv4 first: the gateway listens there by default, and UDP does not tell which address is right.
 */
static const struct addrinfo *
choose_address(const struct addrinfo *found)
{
    for (const struct addrinfo *address = found; address != NULL; address = address->ai_next)
        if (address->ai_family == AF_INET)
            return address;
    return found;
}

static bool
is_multicast(const struct addrinfo *address)
{
    if (address->ai_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address->ai_addr;
        return IN_MULTICAST(ntohl(v4->sin_addr.s_addr));
    }
    const struct sockaddr_in6 *v6 = (const void *)address->ai_addr;
    return IN6_IS_ADDR_MULTICAST(&v6->sin6_addr);
}

/* The group as the address to send to, with its interface. Returns the number of that, 0 for what
 * the routes say. */
static unsigned
set_group(struct device_udp *udp, const struct addrinfo *address, unsigned interface)
{
    memcpy(&udp->group, address->ai_addr, address->ai_addrlen);
    udp->group_len = address->ai_addrlen;
    if (address->ai_family == AF_INET6) { /* "ff02::1%eth0" names one, too */
        struct sockaddr_in6 *v6 = (void *)&udp->group;
        if (interface != 0)
            v6->sin6_scope_id = interface;
        return v6->sin6_scope_id;
    }
    return interface;
}

/* Where what the socket sends to a group goes out, and how far. Returns -1 with errno. */
static int
set_group_sending(int fd, int family, unsigned interface, uint32_t radius)
{
    int hops = radius != 0 ? (int)radius : HOPS_MAX;
    struct ip_mreqn v4 = {.imr_ifindex = (int)interface};

    if (family == AF_INET) {
        if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof hops) != 0)
            return -1;
        return interface != 0 ? setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &v4, sizeof v4) : 0;
    }
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) != 0)
        return -1;
    return interface != 0
               ? setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &interface, sizeof interface)
               : 0;
}

/* Bound to the group and not to its port alone: what is sent to this machine is not taken from a
 * gateway that runs here. Returns -1 with errno. */
static int
open_group_socket(const struct sockaddr_storage *group, socklen_t len, unsigned interface)
{
    const int on = 1;
    struct group_req request = {.gr_interface = interface, .gr_group = *group};
    int level = group->ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    int fd = socket(group->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (const void *)group, len) == 0 &&
        setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static enum dm_result
join_group(struct device_udp *udp, const struct options *options, const struct addrinfo *address,
           char *error, size_t error_size)
{
    unsigned interface = 0;

    if (options->interface != NULL && (interface = if_nametoindex(options->interface)) == 0) {
        snprintf(error, error_size, "--interface: there is no '%s'", options->interface);
        return DM_INVALID;
    }
    interface = set_group(udp, address, interface);
    udp->group_fd = open_group_socket(&udp->group, udp->group_len, interface);
    udp->deaf = udp->group_fd < 0 && errno == EADDRINUSE;
    if ((udp->group_fd < 0 && !udp->deaf) ||
        set_group_sending(udp->fd, address->ai_family, interface, options->radius) != 0) {
        snprintf(error, error_size, "%s: %s (--interface tells which network to ask)",
                 options->host, strerror(errno));
        return DM_IO;
    }
    return DM_OK;
}

static enum dm_result
use_address(struct device_udp *udp, const struct options *options, const struct addrinfo *address,
            char *error, size_t error_size)
{
    if (udp->fd < 0)
        udp->fd = socket(address->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (udp->fd >= 0 && options->command == OPTIONS_SEARCH && is_multicast(address))
        return join_group(udp, options, address, error, error_size);
    if (udp->fd < 0 || connect(udp->fd, address->ai_addr, address->ai_addrlen) != 0) {
        snprintf(error, error_size, "%s port %lu: %s", options->host, (unsigned long)options->port,
                 strerror(errno));
        return DM_IO;
    }
    return DM_OK;
}

enum dm_result
device_udp_open(struct device_udp *udp, const struct options *options, char *error,
                size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[16];

    *udp = (struct device_udp){.fd = -1, .group_fd = -1};
    snprintf(port, sizeof port, "%lu", (unsigned long)options->port);
    if (options->bind != NULL) {
        udp->fd = bind_socket(options->bind, &hints.ai_family, error, error_size);
        if (udp->fd < 0)
            return DM_INVALID;
    }
    int failed = getaddrinfo(options->host, port, &hints, &found);
    if (failed != 0) {
        snprintf(error, error_size, "%s: %s", options->host, gai_strerror(failed));
        return DM_IO;
    }
    enum dm_result result = use_address(udp, options, choose_address(found), error, error_size);
    freeaddrinfo(found);
    return result;
}

void
device_udp_close(struct device_udp *udp)
{
    if (udp->fd >= 0)
        close(udp->fd);
    if (udp->group_fd >= 0)
        close(udp->group_fd);
    udp->fd = udp->group_fd = -1;
}

const char *
device_udp_address_text(const struct sockaddr_storage *address, socklen_t len, char *text,
                        size_t size)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];

    if (getnameinfo((const void *)address, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(text, size, "?");
    else
        snprintf(text, size, address->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return text;
}
