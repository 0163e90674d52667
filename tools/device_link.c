/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of one device over UDP or a serial port, encapsulated if it has a node id. */
#include "device_link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
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

static enum dm_result
open_serial(struct device_link *link, const struct options *options, char *error, size_t error_size)
{
    snprintf(link->name, sizeof link->name, "%s", options->serial);
    link->framing = framing_new(&(struct framing_options){
        .name = options->framing, .mtu = MESSAGE_MAX, .gap_ms = FRAME_GAP_MS});
    if (link->framing == NULL) {
        snprintf(error, error_size, "framing %s: %s", options->framing, strerror(errno));
        return DM_NO_MEMORY;
    }
    struct serial_settings settings = serial_port_settings(options->baud);
    enum dm_result result =
        serial_port_open(options->serial, &settings, &link->port, error, error_size);

    if (result == DM_OK)
        link->fd = serial_port_fd(link->port);
    return result;
}

static enum dm_result
open_udp(struct device_link *link, const struct options *options, char *error, size_t error_size)
{
    snprintf(link->name, sizeof link->name, "%s port %lu", options->host,
             (unsigned long)options->port);
    enum dm_result result = device_udp_open(&link->udp, options, error, error_size);
    link->fd = link->udp.fd;
    return result;
}

enum dm_result
device_link_open(struct device_link *link, const struct options *options, char *error,
                 size_t error_size)
{
    *link = (struct device_link){
        .fd = -1,
        .udp = {.fd = -1, .group_fd = -1},
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
    link->port = NULL;
    device_udp_close(&link->udp);
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

static enum dm_result
send_datagram(struct device_link *link, const uint8_t *message, size_t len)
{
    const struct device_udp *udp = &link->udp;

    if (udp->group_len > 0) /* what fails here is the way to the group: there is no other */
        return sendto(udp->fd, message, len, 0, (const void *)&udp->group, udp->group_len) < 0
                   ? DM_IO
                   : DM_OK;
    /* What an earlier datagram met is told instead of sending this one. */
    if (send(udp->fd, message, len, 0) < 0 && errno == ECONNREFUSED) {
        link->refused = true;
        send(udp->fd, message, len, 0);
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
    if (link->framing == NULL)
        return send_datagram(link, message, len);
    enum dm_result result =
        framing_encode(link->framing, &(struct framing_frame){.message = dm_span(message, len)},
                       frame, sizeof frame, &len);
    return result == DM_OK ? write_line(link->fd, frame, len) : result;
}

struct delivery {
    const struct device_link *link;
    device_link_deliver *deliver;
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

static void
on_frame(void *ctx, const struct framing_event *event)
{
    if (event->type == FRAMING_MESSAGE)
        deliver_bare(ctx, event->octets.data, event->octets.len);
}

static uint8_t buffer[UINT16_MAX + 1]; /* the largest datagram; one thread reads */

static enum dm_result
receive_line(struct device_link *link, uint64_t now_ms, struct delivery *delivery)
{
    for (int i = 0; i < RECEIVE_BURST; i++) {
        errno = 0;
        ssize_t got = read(link->fd, buffer, sizeof buffer);
        if ((got < 0 && errno != EAGAIN && errno != EINTR) ||
            (got == 0 && serial_port_hung_up(link->port)))
            return DM_IO;
        if (got <= 0)
            return DM_OK;
        framing_feed(link->framing, buffer, (size_t)got, now_ms, on_frame, delivery);
    }
    return DM_OK;
}

static void
receive_datagrams(struct device_link *link, int fd, struct delivery *delivery)
{
    for (int i = 0; i < RECEIVE_BURST; i++) {
        link->from_len = sizeof link->from;
        ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, (void *)&link->from, &link->from_len);
        if (got >= 0) {
            link->refused = false;
            deliver_bare(delivery, buffer, (size_t)got);
        } else if (errno == ECONNREFUSED) {
            link->refused = true; /* reading it clears it: the next send may succeed */
        } else {
            return;
        }
    }
}

enum dm_result
device_link_receive(struct device_link *link, uint64_t now_ms, device_link_deliver *deliver,
                    void *ctx)
{
    struct delivery delivery = {.link = link, .deliver = deliver, .ctx = ctx};

    if (link->framing != NULL)
        return receive_line(link, now_ms, &delivery);
    receive_datagrams(link, link->udp.fd, &delivery);
    if (link->udp.group_fd >= 0)
        receive_datagrams(link, link->udp.group_fd, &delivery);
    return DM_OK;
}

const char *
device_link_sender(const struct device_link *link, char *text, size_t size)
{
    if (link->framing == NULL)
        return device_udp_address_text(&link->from, link->from_len, text, size);
    snprintf(text, size, "%s", link->name);
    return text;
}
