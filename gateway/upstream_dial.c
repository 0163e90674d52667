/* SPDX-License-Identifier: Apache-2.0 */
/* From a host name to a connected TCP socket: every address of the name is tried in turn. Or from a
 * path to a connected Unix socket. */
#include "upstream_dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "upstream_resolve.h"

#define TIMEOUT_S 10 /* for each address; the kernel's own limit is two minutes */

struct dial {
    struct event_base *base;
    struct resolve_job *resolve; /* NULL when over */
    struct resolve_addresses *addresses;
    struct addrinfo *next;
    struct addrinfo local; /* of a Unix socket */
    struct sockaddr_un path;
    struct event *event; /* starts the dial, later: fd is writable */
    int fd;              /* -1: none */
    dial_done *done;
    void *ctx;
    char error[160];
};

static void
close_socket(struct dial *dial)
{
    if (dial->event != NULL)
        event_free(dial->event);
    dial->event = NULL;
    if (dial->fd >= 0)
        close(dial->fd);
    dial->fd = -1;
}

void
dial_cancel(struct dial *dial)
{
    if (dial->resolve != NULL)
        resolve_cancel(dial->resolve);
    close_socket(dial);
    resolve_release(dial->addresses);
    free(dial);
}

/* Reports the socket, or the failure if there is none, and ends the dial. */
static void
finish(struct dial *dial)
{
    dial_done *done = dial->done;
    void *ctx = dial->ctx;
    int fd = dial->fd;
    char error[sizeof dial->error];

    memcpy(error, dial->error, sizeof error);
    dial->fd = -1;
    dial_cancel(dial);
    done(ctx, fd, error);
}

static void
set_error(struct dial *dial, int error)
{
    snprintf(dial->error, sizeof dial->error, "cannot connect: %s", strerror(error));
}

static void on_writable(evutil_socket_t fd, short what, void *ctx);

/* 0 if an attempt is under way, else an errno. */
static int
try_address(struct dial *dial, const struct addrinfo *address)
{
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    int on = 1;

    dial->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0)
        return errno;
    setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(dial->fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS)
        return errno;
    dial->event = event_new(dial->base, dial->fd, EV_WRITE, on_writable, dial);
    if (dial->event == NULL || event_add(dial->event, &timeout) != 0)
        return ENOMEM;
    return 0;
}

static void
try_next(struct dial *dial)
{
    while (dial->next != NULL) {
        struct addrinfo *address = dial->next;

        dial->next = address->ai_next;
        int error = try_address(dial, address);
        if (error == 0)
            return;
        set_error(dial, error);
        close_socket(dial);
    }
    finish(dial);
}

static void
on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct dial *dial = ctx;
    int error = 0;
    socklen_t len = sizeof error;

    if ((what & EV_TIMEOUT) != 0)
        error = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error == 0) {
        finish(dial);
        return;
    }
    set_error(dial, error);
    close_socket(dial);
    try_next(dial);
}

static void
on_resolved(void *ctx, struct resolve_addresses *addresses, const char *error)
{
    struct dial *dial = ctx;

    dial->resolve = NULL;
    dial->addresses = addresses;
    dial->next = addresses != NULL ? addresses->first : NULL;
    if (addresses == NULL)
        snprintf(dial->error, sizeof dial->error, "cannot find the host: %s", error);
    try_next(dial);
}

/* True: the address needs no thread. */
static bool
find_at_once(struct dial *dial, const char *host, const char *port)
{
    if (*port != '\0') {
        dial->addresses = resolve_numeric(host, port);
        dial->next = dial->addresses != NULL ? dial->addresses->first : NULL;
        return dial->addresses != NULL;
    }
    dial->path.sun_family = AF_UNIX;
    snprintf(dial->path.sun_path, sizeof dial->path.sun_path, "%s", host);
    dial->local = (struct addrinfo){.ai_family = AF_UNIX,
                                    .ai_addr = (struct sockaddr *)&dial->path,
                                    .ai_addrlen = sizeof dial->path};
    dial->next = &dial->local;
    return true;
}

static void
on_numeric(evutil_socket_t fd, short what, void *ctx)
{
    struct dial *dial = ctx;

    (void)fd;
    (void)what;
    event_free(dial->event);
    dial->event = NULL;
    try_next(dial);
}

struct dial *
dial_start(struct event_base *base, const char *host, const char *port, dial_done *done, void *ctx)
{
    struct timeval at_once = {0};
    struct dial *dial = calloc(1, sizeof *dial);

    if (dial == NULL)
        return NULL;
    *dial = (struct dial){.base = base, .fd = -1, .done = done, .ctx = ctx};
    if (!find_at_once(dial, host, port)) {
        dial->resolve = resolve_start(base, host, port, on_resolved, dial);
        if (dial->resolve == NULL)
            goto fail;
    } else {
        dial->event = evtimer_new(base, on_numeric, dial);
        if (dial->event == NULL || evtimer_add(dial->event, &at_once) != 0)
            goto fail;
    }
    return dial;

fail:
    dial_cancel(dial);
    return NULL;
}
