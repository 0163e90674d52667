/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multicast groups for discovery (R8, R11): joining them, keeping them, sending to them.
 *
 * States of a group, and event -> new state:
 *   OUT     interface found and group joined -> JOINED; otherwise -> OUT, tried again with back-off
 *   JOINED  interface gone, down, without an address or another one -> OUT, and on as from there
 *
 * A group whose port a listening socket has on every address is joined there: nobody else could
 * bind that port. Any other group gets a socket of its own, which only receives.
 */
#include "udp_multicast.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <dormouse/log.h>

#include "udp_interface.h"

#define BACKOFF_MIN_MS 500u
#define BACKOFF_MAX_MS 30000u
#define WATCH_MS 60000u /* between two looks at the interfaces while every group is joined */

struct group {
    char text[UDP_ENDPOINT_TEXT_MAX]; /* as configured */
    char interface[IF_NAMESIZE];      /* empty: the one of the route */
    union udp_sockaddr address;       /* IPv6: its scope is that of the interface, once joined */
    bool joined;
    struct udp_interface at;         /* where it is joined */
    const struct udp_socket *member; /* what joined it: `own` or a listening socket */
    const struct udp_socket *sender; /* the listening socket that sends to it */
    struct udp_socket own;
    char error[96]; /* why it is not joined */
};

struct udp_multicast {
    char name[TRANSPORT_NAME_MAX + 1]; /* of the link, for the log */
    struct event_base *base;
    struct event *timer;
    event_callback_fn on_readable;
    const struct udp_socket *sockets;
    size_t socket_count;
    unsigned backoff_ms;
    uint8_t hops;
    size_t count;
    struct group groups[UDP_GROUPS_MAX];
};

/* `option`: MCAST_JOIN_GROUP or MCAST_LEAVE_GROUP. */
static bool
change_membership(const struct group *group, int option)
{
    int level = group->address.any.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    struct group_req request = {.gr_interface = group->at.index};

    memcpy(&request.gr_group, &group->address, sizeof group->address);
    return setsockopt(group->member->fd, level, option, &request, sizeof request) == 0;
}

static void
leave(struct group *group)
{
    /* Fails if the interface is gone, and the membership with it. */
    if (group->joined && group->member != &group->own)
        (void)change_membership(group, MCAST_LEAVE_GROUP);
    udp_socket_close(&group->own);
    group->joined = false;
}

/* A listening socket that hears what is sent to the group's port, whatever the address. */
static const struct udp_socket *
listening_to_port(const struct udp_multicast *multicast, const union udp_sockaddr *group)
{
    for (size_t i = 0; i < multicast->socket_count; i++) {
        const union udp_sockaddr *bound = &multicast->sockets[i].bound;

        if (bound->any.sa_family == group->any.sa_family && udp_is_wildcard(bound) &&
            udp_port(bound) == udp_port(group))
            return &multicast->sockets[i];
    }
    return NULL;
}

/* The first listening socket that devices on the interface can answer to, or the first at all. */
static const struct udp_socket *
choose_sender(const struct udp_multicast *multicast, const struct group *group)
{
    const struct udp_socket *first = NULL;

    for (size_t i = 0; i < multicast->socket_count; i++) {
        const struct udp_socket *socket = &multicast->sockets[i];

        if (socket->bound.any.sa_family != group->address.any.sa_family)
            continue;
        if (udp_is_wildcard(&socket->bound) || udp_interface_has(&group->at, &socket->bound))
            return socket;
        if (first == NULL)
            first = socket;
    }
    return first;
}

/* Joins on the interface `group->at`; on failure errno tells why. */
static bool
join(struct udp_multicast *multicast, struct group *group)
{
    if (group->address.any.sa_family == AF_INET6)
        group->address.v6.sin6_scope_id = group->at.index;
    group->sender = choose_sender(multicast, group);
    group->member = listening_to_port(multicast, &group->address);
    if (group->member == NULL) {
        group->own.udp = group->sender->udp;
        group->own.answerer = group->sender->answerer;
        if (!udp_socket_open(&group->own, multicast->base, &group->address, true,
                             multicast->on_readable))
            return false;
        group->member = &group->own;
    }
    group->joined = change_membership(group, MCAST_JOIN_GROUP);
    if (!group->joined) {
        int error = errno;

        leave(group);
        errno = error;
    }
    return group->joined;
}

/* One look at the interface of a group. Only news is logged. */
static void
refresh(struct udp_multicast *multicast, struct group *group)
{
    struct udp_interface now;
    char error[sizeof group->error];
    bool found = udp_interface_find(group->interface, &group->address, &now, error, sizeof error);

    if (group->joined && found && now.index == group->at.index) {
        group->at = now; /* its address may be another one */
        return;
    }
    leave(group);
    if (found) {
        group->at = now;
        if (join(multicast, group)) {
            group->error[0] = '\0';
            log_info("udp", "udp:%s: joined group %s on %s", multicast->name, group->text,
                     now.name);
            return;
        }
        snprintf(error, sizeof error, "%s: %s", now.name, strerror(errno));
    }
    if (strcmp(error, group->error) != 0)
        log_warning("udp", "udp:%s: cannot join group %s: %s; trying again", multicast->name,
                    group->text, error);
    memcpy(group->error, error, sizeof error);
}

static void
schedule(struct udp_multicast *multicast, unsigned delay_ms)
{
    struct timeval delay = {.tv_sec = (time_t)(delay_ms / 1000),
                            .tv_usec = (suseconds_t)(delay_ms % 1000) * 1000};

    if (evtimer_add(multicast->timer, &delay) != 0)
        log_error("udp", "udp:%s: out of memory; groups are not watched", multicast->name);
}

static void
refresh_all(struct udp_multicast *multicast)
{
    bool all = true;

    for (size_t i = 0; i < multicast->count; i++) {
        refresh(multicast, &multicast->groups[i]);
        all = all && multicast->groups[i].joined;
    }
    if (all) {
        multicast->backoff_ms = BACKOFF_MIN_MS;
        schedule(multicast, WATCH_MS);
        return;
    }
    schedule(multicast, multicast->backoff_ms);
    multicast->backoff_ms *= 2;
    if (multicast->backoff_ms > BACKOFF_MAX_MS)
        multicast->backoff_ms = BACKOFF_MAX_MS;
}

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    refresh_all(ctx);
}

/* "[ff02::1%eth0]:1883" names its interface itself. The name is taken out, because the interface
 * need not be there yet. */
static bool
parse_group(const char *text, struct group *group)
{
    char bare[UDP_ENDPOINT_TEXT_MAX];
    size_t head = strcspn(text, "%");
    size_t zone = strcspn(text + head, "]");

    if (strlen(text) >= sizeof bare || zone == 1 || zone > IF_NAMESIZE)
        return false;
    if (zone > 0)
        snprintf(group->interface, sizeof group->interface, "%.*s", (int)zone - 1, text + head + 1);
    snprintf(group->text, sizeof group->text, "%s", text);
    snprintf(bare, sizeof bare, "%.*s%s", (int)head, text, text + head + zone);
    return udp_endpoint_parse(bare, &group->address) && udp_is_multicast(&group->address) &&
           udp_port(&group->address) != 0;
}

static bool
needs_interface(const union udp_sockaddr *group)
{
    return group->any.sa_family == AF_INET6 && (IN6_IS_ADDR_MC_LINKLOCAL(&group->v6.sin6_addr) ||
                                                IN6_IS_ADDR_MC_NODELOCAL(&group->v6.sin6_addr));
}

static bool
is_repeated(const struct udp_multicast *multicast, const struct group *group)
{
    for (const struct group *other = multicast->groups; other < group; other++)
        if (udp_same_host(&other->address, &group->address) &&
            udp_port(&other->address) == udp_port(&group->address) &&
            strcmp(other->interface, group->interface) == 0)
            return true;
    return false;
}

/* Reads one group into the next place; NULL, or what is wrong with it. */
static const char *
add_group(struct udp_multicast *multicast, const char *text, const char *interface)
{
    struct group *group = &multicast->groups[multicast->count++];

    group->own.fd = -1;
    snprintf(group->interface, sizeof group->interface, "%s", interface);
    if (!parse_group(text, group))
        return "is no multicast ADDRESS:PORT or [IPV6]:PORT";
    if (needs_interface(&group->address) && group->interface[0] == '\0')
        return "needs an interface";
    if (is_repeated(multicast, group))
        return "is given twice";
    if (choose_sender(multicast, group) == NULL)
        return "has no address of its family to listen on";
    return NULL;
}

static bool
set_groups(struct udp_multicast *multicast, const struct udp_options *options, char *error,
           size_t error_size)
{
    const char *interface = options->interface != NULL ? options->interface : "";

    if (options->multicast_count > UDP_GROUPS_MAX) {
        snprintf(error, error_size, "more than %d multicast groups", UDP_GROUPS_MAX);
        return false;
    }
    if (strlen(interface) >= IF_NAMESIZE) {
        snprintf(error, error_size, "'%s' is too long for an interface", interface);
        return false;
    }
    for (size_t i = 0; i < options->multicast_count; i++) {
        const char *wrong = add_group(multicast, options->multicast[i], interface);

        if (wrong != NULL) {
            snprintf(error, error_size, "group '%s' %s", options->multicast[i], wrong);
            return false;
        }
    }
    return true;
}

struct udp_multicast *
udp_multicast_new(struct event_base *base, const struct udp_options *options,
                  const struct udp_socket *sockets, size_t socket_count,
                  event_callback_fn on_readable, char *error, size_t error_size)
{
    struct udp_multicast *multicast = calloc(1, sizeof *multicast);

    if (multicast == NULL || (multicast->timer = evtimer_new(base, on_timer, multicast)) == NULL) {
        snprintf(error, error_size, "out of memory");
        free(multicast);
        return NULL;
    }
    snprintf(multicast->name, sizeof multicast->name, "%s", options->name);
    multicast->base = base;
    multicast->on_readable = on_readable;
    multicast->sockets = sockets;
    multicast->socket_count = socket_count;
    multicast->hops = options->multicast_ttl != 0 ? options->multicast_ttl : 1;
    multicast->backoff_ms = BACKOFF_MIN_MS;
    if (!set_groups(multicast, options, error, error_size)) {
        udp_multicast_free(multicast);
        return NULL;
    }
    if (multicast->count > 0)
        refresh_all(multicast);
    return multicast;
}

void
udp_multicast_free(struct udp_multicast *multicast)
{
    if (multicast == NULL)
        return;
    for (size_t i = 0; i < multicast->count; i++)
        leave(&multicast->groups[i]);
    event_free(multicast->timer);
    free(multicast);
}

size_t
udp_multicast_count(const struct udp_multicast *multicast)
{
    return multicast->count;
}

sa_family_t
udp_multicast_family(const struct udp_multicast *multicast, size_t index)
{
    return multicast->groups[index].address.any.sa_family;
}

/* Says where the next multicast datagram of the group's sender goes out, and how far. */
static bool
aim(const struct group *group, int hops)
{
    int fd = group->sender->fd;

    if (group->address.any.sa_family == AF_INET6) {
        int index = (int)group->at.index;

        return setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index) == 0 &&
               setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) == 0;
    }
    struct ip_mreqn out = {.imr_ifindex = (int)group->at.index,
                           .imr_address = group->at.address.v4.sin_addr};
    return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof out) == 0 &&
           setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof hops) == 0;
}

enum dm_result
udp_multicast_send(struct udp_multicast *multicast, size_t index, uint8_t radius,
                   struct dm_span datagram)
{
    const struct group *group = &multicast->groups[index];
    int hops = radius != 0 && radius < multicast->hops ? radius : multicast->hops;

    if (!group->joined)
        return DM_IO;
    enum dm_result result =
        aim(group, hops) ? udp_socket_send(group->sender, &group->address, datagram) : DM_IO;
    if (result == DM_IO)
        schedule(multicast, 0); /* the interface must have changed */
    return result;
}

void
udp_multicast_text(const struct udp_multicast *multicast, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < multicast->count && used < size; i++) {
        const struct group *group = &multicast->groups[i];

        used += (size_t)snprintf(
            text + used, size - used, "%s%s (%s%s)", i > 0 ? "," : "", group->text,
            group->joined ? "" : "not joined: ", group->joined ? group->at.name : group->error);
    }
}
