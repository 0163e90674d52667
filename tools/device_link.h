/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a device to its gateway: a UDP socket or a serial port, with or without a node id. */
#ifndef DORMOUSE_TOOLS_DEVICE_LINK_H
#define DORMOUSE_TOOLS_DEVICE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/framing.h>
#include <dormouse/result.h>

#include "device_udp.h"
#include "options.h"

#define DEVICE_SENDER_MAX 300

/* Caller's storage. */
struct device_link {
    int fd;                       /* non-blocking, for the loop to watch */
    struct device_udp udp;        /* its group_fd, if there is one, wants to be watched, too */
    struct serial_port *port;     /* NULL: UDP */
    struct framing *framing;      /* NULL: UDP */
    struct dm_span node_id;       /* borrowed from the options; empty: bare messages */
    bool refused;                 /* UDP: the other side answered that nothing listens there */
    struct sockaddr_storage from; /* UDP: who sent what is being delivered */
    socklen_t from_len;
    char name[DEVICE_SENDER_MAX]; /* for messages */
};

/* Options are borrowed until device_link_close. On failure `error` tells why. */
enum dm_result device_link_open(struct device_link *link, const struct options *options,
                                char *error, size_t error_size);
/* Also for what device_link_open left behind after a failure. */
void device_link_close(struct device_link *link);

/* Loss is no failure: the client repeats. DM_IO: the serial port is gone, or there is no way to the
 * group; errno. */
enum dm_result device_link_send(struct device_link *link, const uint8_t *message, size_t len);

typedef void device_link_deliver(void *ctx, const uint8_t *message, size_t len);

/* Delivers what has come, bare. DM_IO: the serial port is gone; errno is 0 at its end. */
enum dm_result device_link_receive(struct device_link *link, uint64_t now_ms,
                                   device_link_deliver *deliver, void *ctx);

/* During a delivery: where it comes from, "10.0.0.7:1883" or the serial port. Returns `text`;
 * DEVICE_SENDER_MAX holds all. */
const char *device_link_sender(const struct device_link *link, char *text, size_t size);

#endif
