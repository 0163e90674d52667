/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of UDP links: options, and control data of received datagrams. */
#include "udp_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVE_BUFFER = 1 << 20 }; /* octets; the kernel gives as much of it as it allows */

/* Groups that others on this machine have joined are no business of this socket. */
static bool
configure(int fd, int family, bool shared)
{
    int on = 1;
    int off = 0;
    int room = RECEIVE_BUFFER;

    /* A fleet that wakes at once, while the disk or another program has the processor. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return false;
    if (family == AF_INET)
        return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0 &&
               setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off) == 0;
    /* Kernels before 4.20 cannot be told. */
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &off, sizeof off);
    /* Without V6ONLY a socket on [::] would take the IPv4 port too. */
    return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0 &&
           setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) == 0;
}

static bool
watch(struct udp_socket *opened, struct event_base *base, event_callback_fn on_readable)
{
    opened->readable = event_new(base, opened->fd, EV_READ | EV_PERSIST, on_readable, opened);
    if (opened->readable != NULL && event_add(opened->readable, NULL) == 0)
        return true;
    errno = ENOMEM;
    return false;
}

bool
udp_socket_open(struct udp_socket *opened, struct event_base *base,
                const union udp_sockaddr *address, bool shared, event_callback_fn on_readable)
{
    socklen_t len = sizeof opened->bound;
    int family = address->any.sa_family;

    opened->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened->fd >= 0 && configure(opened->fd, family, shared) &&
        bind(opened->fd, &address->any, udp_sockaddr_len(address)) == 0 &&
        getsockname(opened->fd, &opened->bound.any, &len) == 0 && watch(opened, base, on_readable))
        return true;
    int error = errno;
    udp_socket_close(opened);
    errno = error;
    return false;
}

void
udp_socket_close(struct udp_socket *socket)
{
    if (socket->readable != NULL)
        event_free(socket->readable);
    if (socket->fd >= 0)
        close(socket->fd);
    socket->readable = NULL;
    socket->fd = -1;
}

static void
read_destination(const struct cmsghdr *control, struct udp_arrival *arrival)
{
    if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;

        memcpy(&info, CMSG_DATA(control), sizeof info);
        arrival->local.v4.sin_addr = info.ipi_spec_dst;
        arrival->to_group = IN_MULTICAST(ntohl(info.ipi_addr.s_addr));
    } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;

        memcpy(&info, CMSG_DATA(control), sizeof info);
        arrival->local.v6.sin6_addr = info.ipi6_addr;
        arrival->local.v6.sin6_scope_id = arrival->from.v6.sin6_scope_id;
        arrival->to_group = IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
    }
}

void
udp_socket_read_arrival(const struct udp_socket *socket, const struct msghdr *message,
                        struct udp_arrival *arrival)
{
    arrival->local = socket->bound;
    arrival->to_group = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL;
         c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, c))
        read_destination(c, arrival);
}

enum dm_result
udp_socket_send(const struct udp_socket *socket, const union udp_sockaddr *to,
                struct dm_span datagram)
{
    socklen_t to_len = udp_sockaddr_len(to);
    ssize_t sent = sendto(socket->fd, datagram.data, datagram.len, MSG_DONTWAIT, &to->any, to_len);

    /* ICMP's complaint about an earlier datagram; reporting it has cleared it. */
    if (sent < 0 && errno == ECONNREFUSED)
        sent = sendto(socket->fd, datagram.data, datagram.len, MSG_DONTWAIT, &to->any, to_len);
    if (sent >= 0 || errno == ECONNREFUSED)
        return DM_OK;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
        return DM_FULL;
    return errno == EMSGSIZE ? DM_INVALID : DM_IO;
}
