/* SPDX-License-Identifier: Apache-2.0 */
/* The UDP sockets of a device: one to its gateway, or two for a search in a multicast group. */
#ifndef DORMOUSE_TOOLS_DEVICE_UDP_H
#define DORMOUSE_TOOLS_DEVICE_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include <dormouse/result.h>

#include "options.h"

/* Caller's storage. */
struct device_udp {
    int fd;                        /* sends, and hears what is sent to it; non-blocking. -1: none */
    int group_fd;                  /* hears what is sent to the group; non-blocking. -1: none */
    struct sockaddr_storage group; /* of a search */
    socklen_t group_len;           /* 0: fd is connected to one address */
    bool deaf; /* the group's port is taken on this machine, so only direct answers are heard */
};

/* The host of the options; for a search it may be a group. On failure `error` tells why, and
 * device_udp_close is due all the same. */
enum dm_result device_udp_open(struct device_udp *udp, const struct options *options, char *error,
                               size_t error_size);
void device_udp_close(struct device_udp *udp);

/* "10.0.0.7:1883", "[fe80::1%eth0]:1883". Returns `text`. */
const char *device_udp_address_text(const struct sockaddr_storage *address, socklen_t len,
                                    char *text, size_t size);

#endif
