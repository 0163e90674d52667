/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the network interface of a multicast group among those that the machine has now. */
#include "udp_interface.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool
udp_source_toward(const union udp_sockaddr *to, union udp_sockaddr *source)
{
    socklen_t len = sizeof *source;
    int fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    /* Connecting a UDP socket sends nothing: it only chooses the route. */
    bool known = connect(fd, &to->any, udp_sockaddr_len(to)) == 0 &&
                 getsockname(fd, &source->any, &len) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return known;
}

/* The address of a list entry as ours; false if it is of another family. */
static bool
entry_address(const struct ifaddrs *entry, sa_family_t family, union udp_sockaddr *address)
{
    if (entry->ifa_addr == NULL || entry->ifa_addr->sa_family != family)
        return false;
    memset(address, 0, sizeof *address);
    if (family == AF_INET)
        memcpy(&address->v4, entry->ifa_addr, sizeof address->v4);
    else
        memcpy(&address->v6, entry->ifa_addr, sizeof address->v6);
    return true;
}

/* The kernel tells a source without its scope, so the address alone has to do. */
static bool
is_source(const union udp_sockaddr *address, const union udp_sockaddr *source)
{
    if (source->any.sa_family == AF_INET6)
        return IN6_ARE_ADDR_EQUAL(&address->v6.sin6_addr, &source->v6.sin6_addr);
    return udp_same_host(address, source);
}

/* Looks for the interface of that name, or, if `name` is empty, of the address `source`. */
static void
search(const struct ifaddrs *list, const char *name, const union udp_sockaddr *source,
       sa_family_t family, struct udp_interface *found, const char **reason)
{
    *reason = "there is no such interface";
    for (const struct ifaddrs *entry = list; entry != NULL; entry = entry->ifa_next) {
        bool has_address = entry_address(entry, family, &found->address);
        bool wanted = name[0] != '\0' ? strcmp(entry->ifa_name, name) == 0
                                      : has_address && is_source(&found->address, source);

        if (!wanted)
            continue;
        if ((entry->ifa_flags & IFF_UP) == 0) {
            *reason = "the interface is down";
        } else if (!has_address) {
            *reason = family == AF_INET ? "the interface has no IPv4 address"
                                        : "the interface has no IPv6 address";
        } else {
            snprintf(found->name, sizeof found->name, "%s", entry->ifa_name);
            found->index = if_nametoindex(entry->ifa_name);
            if (found->index != 0)
                *reason = NULL;
            return;
        }
    }
}

bool
udp_interface_find(const char *name, const union udp_sockaddr *group, struct udp_interface *found,
                   char *error, size_t error_size)
{
    struct ifaddrs *list;
    const char *reason;
    union udp_sockaddr source = {.any = {.sa_family = AF_UNSPEC}};

    if (name[0] == '\0' && !udp_source_toward(group, &source)) {
        snprintf(error, error_size, "no route: %s", strerror(errno));
        return false;
    }
    if (getifaddrs(&list) != 0) {
        snprintf(error, error_size, "%s", strerror(errno));
        return false;
    }
    search(list, name, &source, group->any.sa_family, found, &reason);
    freeifaddrs(list);
    if (reason != NULL)
        snprintf(error, error_size, "%s%s%s", name, name[0] != '\0' ? ": " : "", reason);
    return reason == NULL;
}

bool
udp_interface_has(const struct udp_interface *interface, const union udp_sockaddr *address)
{
    struct ifaddrs *list;
    bool has = false;

    if (getifaddrs(&list) != 0)
        return false;
    for (const struct ifaddrs *entry = list; entry != NULL && !has; entry = entry->ifa_next) {
        union udp_sockaddr own;

        has = entry_address(entry, address->any.sa_family, &own) && udp_same_host(&own, address) &&
              if_nametoindex(entry->ifa_name) == interface->index;
    }
    freeifaddrs(list);
    return has;
}
