/* SPDX-License-Identifier: Apache-2.0 */
/* Finds interfaces that take multicast, and opens members of groups on them. */
#include "udp_group.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "udp_device.h"

const struct group_place group_ipv4_place = {AF_INET, "lo", "127.0.0.1", "225.1.1.1"};

size_t
group_find_places(struct group_place places[2])
{
    struct ifaddrs *list;
    size_t count = 1;

    places[0] = group_ipv4_place;
    CU_ASSERT_EQUAL_FATAL(getifaddrs(&list), 0);
    for (struct ifaddrs *entry = list; entry != NULL && count == 1; entry = entry->ifa_next) {
        unsigned usable = IFF_UP | IFF_MULTICAST;
        struct sockaddr_in6 address;
        char host[INET6_ADDRSTRLEN];

        if (entry->ifa_addr == NULL || entry->ifa_addr->sa_family != AF_INET6 ||
            (entry->ifa_flags & usable) != usable)
            continue;
        memcpy(&address, entry->ifa_addr, sizeof address);
        if (!IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr))
            continue;
        inet_ntop(AF_INET6, &address.sin6_addr, host, sizeof host);
        places[count] = (struct group_place){.family = AF_INET6, .group = "ff12::d0:1"};
        snprintf(places[count].interface, IF_NAMESIZE, "%s", entry->ifa_name);
        snprintf(places[count].host, sizeof places[count].host, "%s%%%u", host,
                 address.sin6_scope_id);
        count++;
    }
    freeifaddrs(list);
    if (count == 1)
        printf("(IPv6 not tested: no interface for it) ");
    return count;
}

const char *
group_endpoint(const struct group_place *place, const char *host, unsigned port)
{
    static char texts[8][UDP_ENDPOINT_TEXT_MAX];
    static size_t next;
    char *text = texts[next++ % 8];

    snprintf(text, sizeof texts[0], place->family == AF_INET ? "%s:%u" : "[%s]:%u", host, port);
    return text;
}

static union udp_sockaddr
group_of(const struct group_place *place, unsigned port)
{
    union udp_sockaddr group = endpoint_of(group_endpoint(place, place->group, port));

    if (place->family == AF_INET6)
        group.v6.sin6_scope_id = if_nametoindex(place->interface);
    return group;
}

int
group_member_open(const struct group_place *place)
{
    const struct timeval limit = {.tv_sec = 10};
    union udp_sockaddr group = group_of(place, 0);
    struct group_req request = {.gr_interface = if_nametoindex(place->interface)};
    int level = place->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    int on = 1;
    int fd = socket(place->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CU_ASSERT_FATAL(fd >= 0);
    memcpy(&request.gr_group, &group, sizeof group);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, level, place->family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, &on,
               sizeof on);
    CU_ASSERT_EQUAL_FATAL(bind(fd, &group.any, udp_sockaddr_len(&group)), 0);
    CU_ASSERT_EQUAL_FATAL(setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof request), 0);
    return fd;
}

int
group_member_hops(int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof control};
    int hops = -1;

    CU_ASSERT(recvmsg(fd, &message, 0) >= 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL)
        memcpy(&hops, CMSG_DATA(header), sizeof hops);
    return hops;
}

void
group_device_send(int fd, const struct group_place *place, unsigned port, const void *data,
                  size_t len)
{
    union udp_sockaddr group = group_of(place, port);
    struct ip_mreqn out = {.imr_ifindex = (int)if_nametoindex(place->interface)};

    if (place->family == AF_INET)
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof out);
    CU_ASSERT_EQUAL(sendto(fd, data, len, 0, &group.any, udp_sockaddr_len(&group)), (ssize_t)len);
}

unsigned
group_free_port(const struct group_place *place)
{
    int fd = device_open(place->family == AF_INET ? "0.0.0.0" : "::");
    unsigned port = device_port(fd);

    close(fd);
    return port;
}

void
group_link_open(struct link_fixture *fixture, const struct group_place *place, const char *listen,
                unsigned port)
{
    const char *group = group_endpoint(place, place->group, port);

    link_open_with(fixture, (struct udp_options){.listen = &listen,
                                                 .listen_count = 1,
                                                 .multicast = &group,
                                                 .multicast_count = 1,
                                                 .interface = place->interface});
}
