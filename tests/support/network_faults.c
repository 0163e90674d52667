/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions of getifaddrs, connect, getsockname, sendto and sendmmsg that do what the test wants. */
#include "network_faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static enum network_interfaces interfaces;
static int route_error;
static const union udp_sockaddr *route_source;
static int routed = -1; /* the socket that was connected with route_source */
static unsigned lookups;
static int send_error;
static unsigned failing_sends;

void
network_set_interfaces(enum network_interfaces state)
{
    interfaces = state;
}

unsigned
network_lookups(void)
{
    return lookups;
}

void
network_fail_routes(int error)
{
    route_error = error;
}

void
network_set_source(const union udp_sockaddr *source)
{
    route_source = source;
}

void
network_fail_sends(int error, unsigned count)
{
    send_error = error;
    failing_sends = count;
}

int
getifaddrs(struct ifaddrs **list)
{
    int (*next)(struct ifaddrs **) = NULL;
    void *found = dlsym(RTLD_NEXT, "getifaddrs");

    lookups++;
    memcpy(&next, &found, sizeof next);
    int result = next(list);
    if (result != 0)
        return result;
    for (struct ifaddrs *entry = *list; entry != NULL; entry = entry->ifa_next) {
        if (interfaces == INTERFACES_DOWN)
            entry->ifa_flags &= ~(unsigned)IFF_UP;
        if (interfaces == INTERFACES_BARE)
            entry->ifa_addr = NULL;
    }
    if (interfaces == INTERFACES_GONE) {
        freeifaddrs(*list);
        *list = NULL;
    }
    return 0;
}

int
connect(int fd, const struct sockaddr *to, socklen_t len)
{
    if (route_error != 0) {
        errno = route_error;
        return -1;
    }
    routed = route_source != NULL ? fd : -1;
    return routed == fd ? 0 : (int)syscall(SYS_connect, fd, to, len);
}

int
getsockname(int fd, struct sockaddr *restrict address, socklen_t *restrict len)
{
    if (fd != routed)
        return (int)syscall(SYS_getsockname, fd, address, len);
    routed = -1;
    *len = udp_sockaddr_len(route_source);
    memcpy(address, route_source, *len);
    return 0;
}

ssize_t
sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
    if (failing_sends > 0) {
        failing_sends--;
        errno = send_error;
        return -1;
    }
    return syscall(SYS_sendto, fd, data, len, flags, to, to_len);
}

int
sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    if (failing_sends > 0) {
        failing_sends--;
        errno = send_error;
        return -1;
    }
    return (int)syscall(SYS_sendmmsg, fd, messages, count, flags);
}
