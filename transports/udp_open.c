/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a UDP link of its options. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "udp_private.h"

#define SOCKETS_MAX 255

/* Opens one listen address. On failure the reason is in `error`. */
static bool
listen_on(struct udp *udp, struct event_base *base, const char *listen, char *error,
          size_t error_size)
{
    struct udp_socket *opened = &udp->sockets[udp->socket_count++];
    union udp_sockaddr address;

    *opened = (struct udp_socket){
        .udp = udp, .fd = -1, .listening = true, .answerer = (uint8_t)udp->socket_count};
    if (!udp_endpoint_parse(listen, &address)) {
        snprintf(error, error_size, "'%s' is no ADDRESS:PORT or [IPV6]:PORT", listen);
        return false;
    }
    /* Not shared: two gateways must not take each other's datagrams. */
    if (!udp_socket_open(opened, base, &address, false, udp_on_readable)) {
        snprintf(error, error_size, "cannot listen on %s: %s", listen, strerror(errno));
        return false;
    }
    return true;
}

static bool
set_forwarders(struct udp *udp, const struct udp_options *options, char *error, size_t error_size)
{
    for (size_t i = 0; i < options->forwarder_count; i++) {
        const char *text = options->forwarders[i];

        if (strcmp(text, "*") == 0) {
            udp->any_forwarder = true;
        } else if (udp_host_parse(text, &udp->forwarders[udp->forwarder_count])) {
            udp->forwarder_count++;
        } else {
            snprintf(error, error_size, "forwarder '%s' is no address", text);
            return false;
        }
    }
    return true;
}

static bool
check_options(const struct udp_options *options, char *error, size_t error_size)
{
    const char *reason = NULL;

    if (strlen(options->name) > TRANSPORT_NAME_MAX)
        reason = "the name is too long";
    else if (options->listen_count == 0)
        reason = "no address to listen on";
    else if (options->listen_count > SOCKETS_MAX)
        reason = "more than 255 addresses to listen on";
    else if (options->mtu < 2)
        reason = "mtu is less than 2";
    if (reason != NULL)
        snprintf(error, error_size, "%s", reason);
    return reason == NULL;
}

/* Everything but the sockets; NULL if memory is short. */
static struct udp *
allocate(struct event_base *base, uint8_t link, const struct udp_options *options,
         const struct transport_listener *listener)
{
    struct udp *udp = calloc(1, sizeof *udp);

    if (udp == NULL)
        return NULL;
    udp->datagram_max = (size_t)options->mtu + NODE_ID_OVERHEAD;
    udp->name = strdup(options->name);
    udp->sockets = calloc(options->listen_count, sizeof *udp->sockets);
    udp->forwarders = calloc(options->forwarder_count + 1, sizeof *udp->forwarders);
    udp->inbox = udp_inbox_new(udp->datagram_max + 1);
    udp->outbox = udp_outbox_new(udp->datagram_max);
    udp->wrapped = malloc(udp->datagram_max);
    udp->room = evtimer_new(base, udp_on_room, udp);
    udp->leave = event_new(base, -1, 0, udp_on_leave, udp);
    if (options->listen_count > 1)
        udp->heard_on = calloc(HEARD_SLOTS, sizeof *udp->heard_on);
    if (udp->name == NULL || udp->sockets == NULL || udp->forwarders == NULL ||
        udp->inbox == NULL || udp->outbox == NULL || udp->wrapped == NULL || udp->room == NULL ||
        udp->leave == NULL || (options->listen_count > 1 && udp->heard_on == NULL)) {
        udp_ops.free(&udp->base);
        return NULL;
    }
    udp->base = (struct transport){
        .ops = &udp_ops, .kind = "udp", .name = udp->name, .link = link, .mtu = options->mtu};
    udp->listener = *listener;
    return udp;
}

struct transport *
udp_open(struct event_base *base, uint8_t link, const struct udp_options *options,
         const struct transport_listener *listener, char *error, size_t error_size)
{
    if (!check_options(options, error, error_size))
        return NULL;
    struct udp *udp = allocate(base, link, options, listener);
    if (udp == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    if (!set_forwarders(udp, options, error, error_size))
        goto fail;
    for (size_t i = 0; i < options->listen_count; i++)
        if (!listen_on(udp, base, options->listen[i], error, error_size))
            goto fail;
    udp->multicast = udp_multicast_new(base, options, udp->sockets, udp->socket_count,
                                       udp_on_readable, error, error_size);
    if (udp->multicast == NULL)
        goto fail;
    return &udp->base;

fail:
    udp_ops.free(&udp->base);
    return NULL;
}
