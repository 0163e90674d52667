/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of one device over UDP or a serial port, encapsulated if it has a node id. */
#include "device_link.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <dormouse/client.h>
#include <dormouse/mqttsn.h>

#include "serial_port.h"

/* The largest message, its encapsulation included (R111). */
#define MESSAGE_MAX (CLIENT_DATAGRAM_MAX + 3 + MQTTSN_NODE_ID_MAX)
#define FRAME_MAX (2 * MESSAGE_MAX + 16) /* every octet escaped, delimiters, a check sum */
#define FRAME_GAP_MS 50                  /* serial reference, section 2 rule 3 */
#define WRITE_WAIT_MS 1000               /* a line that takes nothing for so long stands still */
#define RECEIVE_BURST 64                 /* reads before the loop gets its turn */

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

static enum dm_result
open_udp(struct device_link *link, const struct options *options, char *error, size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[16];

    snprintf(port, sizeof port, "%lu", (unsigned long)options->port);
    snprintf(link->name, sizeof link->name, "%s port %s", options->host, port);
    if (options->bind != NULL) {
        link->fd = bind_socket(options->bind, &hints.ai_family, error, error_size);
        if (link->fd < 0)
            return DM_INVALID;
    }
    int failed = getaddrinfo(options->host, port, &hints, &found);
    if (failed != 0) {
        snprintf(error, error_size, "%s: %s", options->host, gai_strerror(failed));
        return DM_IO;
    }
    const struct addrinfo *address = choose_address(found);
    if (link->fd < 0)
        link->fd = socket(address->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enum dm_result result = DM_OK;
    if (link->fd < 0 || connect(link->fd, address->ai_addr, address->ai_addrlen) != 0) {
        snprintf(error, error_size, "%s: %s", link->name, strerror(errno));
        result = DM_IO;
    }
    freeaddrinfo(found);
    return result;
}

static enum dm_result
open_serial(struct device_link *link, const struct options *options, char *error, size_t error_size)
{
    snprintf(link->name, sizeof link->name, "%s", options->serial);
    link->framing = framing_new(options->framing, MESSAGE_MAX, FRAME_GAP_MS);
    if (link->framing == NULL) {
        snprintf(error, error_size, "framing %s: %s", options->framing, strerror(errno));
        return DM_NO_MEMORY;
    }
    enum dm_result result = serial_port_open(options->serial, options->baud, SERIAL_FLOW_NONE,
                                             &link->port, error, error_size);

    if (result == DM_OK)
        link->fd = serial_port_fd(link->port);
    return result;
}

enum dm_result
device_link_open(struct device_link *link, const struct options *options, char *error,
                 size_t error_size)
{
    *link = (struct device_link){
        .fd = -1,
        .node_id = dm_span(options->node_id, options->node_id_len),
    };
    return options->serial != NULL ? open_serial(link, options, error, error_size)
                                   : open_udp(link, options, error, error_size);
}

void
device_link_close(struct device_link *link)
{
    if (link->port != NULL)
        serial_port_close(link->port);
    else if (link->fd >= 0)
        close(link->fd);
    link->port = NULL;
    link->fd = -1;
    framing_free(link->framing);
    link->framing = NULL;
}

/* Writes all, waiting for a slow line up to a bound. DM_IO: it failed (errno), or stood still. */
static enum dm_result
write_line(int fd, const uint8_t *octets, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, octets, len);
        if (written > 0) {
            octets += written;
            len -= (size_t)written;
            continue;
        }
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno != EAGAIN)
            return DM_IO;
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        int ready = poll(&wait, 1, WRITE_WAIT_MS);
        if (ready == 0)
            errno = ETIMEDOUT;
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return DM_IO;
    }
    return DM_OK;
}

enum dm_result
device_link_send(struct device_link *link, const uint8_t *message, size_t len)
{
    uint8_t wrapped[MESSAGE_MAX];
    uint8_t frame[FRAME_MAX];

    if (link->node_id.len > 0) {
        enum dm_result result =
            mqttsn_wrap(link->node_id, 0, dm_span(message, len), wrapped, sizeof wrapped, &len);
        if (result != DM_OK)
            return result;
        message = wrapped;
    }
    if (link->framing == NULL) {
        /* What an earlier datagram met is told instead of sending this one. */
        if (send(link->fd, message, len, 0) < 0 && errno == ECONNREFUSED) {
            link->refused = true;
            send(link->fd, message, len, 0);
        }
        return DM_OK;
    }
    enum dm_result result = framing_encode(link->framing, message, len, frame, sizeof frame, &len);
    return result == DM_OK ? write_line(link->fd, frame, len) : result;
}

struct delivery {
    const struct device_link *link;
    framing_deliver *deliver;
    void *ctx;
};

/* Takes off the encapsulation, and drops what is for another node. */
static void
deliver_bare(void *ctx, const uint8_t *message, size_t len)
{
    const struct delivery *delivery = ctx;
    struct dm_span node_id;
    struct dm_span inner;

    if (delivery->link->node_id.len == 0) {
        delivery->deliver(delivery->ctx, message, len);
        return;
    }
    if (mqttsn_is_encapsulated(message, len) &&
        mqttsn_unwrap(message, len, &node_id, &inner) == DM_OK &&
        dm_span_equal(node_id, delivery->link->node_id))
        delivery->deliver(delivery->ctx, inner.data, inner.len);
}

enum dm_result
device_link_receive(struct device_link *link, uint64_t now_ms, framing_deliver *deliver, void *ctx)
{
    struct delivery delivery = {.link = link, .deliver = deliver, .ctx = ctx};
    static uint8_t buffer[UINT16_MAX + 1]; /* the largest datagram; one thread reads */

    for (int i = 0; i < RECEIVE_BURST; i++) {
        errno = 0;
        ssize_t got = read(link->fd, buffer, sizeof buffer);
        if (link->framing != NULL) {
            if ((got < 0 && errno != EAGAIN && errno != EINTR) ||
                (got == 0 && serial_port_hung_up(link->port)))
                return DM_IO;
            if (got <= 0)
                return DM_OK;
            framing_feed(link->framing, buffer, (size_t)got, now_ms, deliver_bare, &delivery);
        } else if (got >= 0) {
            link->refused = false;
            deliver_bare(&delivery, buffer, (size_t)got);
        } else if (errno == ECONNREFUSED) {
            link->refused = true; /* reading it clears it: the next send may succeed */
        } else {
            return DM_OK;
        }
    }
    return DM_OK;
}
