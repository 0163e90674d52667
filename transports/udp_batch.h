/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of UDP links by the batch: many with one call of the kernel. */
#ifndef DORMOUSE_UDP_BATCH_H
#define DORMOUSE_UDP_BATCH_H

#include "udp_socket.h"

/* What came: filled by one call, and then read one by one. */
struct udp_inbox;

/* Datagrams are kept up to `datagram_max` octets each. NULL: no memory. */
struct udp_inbox *udp_inbox_new(size_t datagram_max);
void udp_inbox_free(struct udp_inbox *inbox);
/* Returns how many came, 64 at most; 0: none, or the socket had an error to tell of an earlier
 * datagram, and has told it. */
size_t udp_inbox_fill(struct udp_inbox *inbox, const struct udp_socket *socket);
/* The n-th of them. Its length is that of the datagram, even if not all of it was kept. */
struct dm_span udp_inbox_read(const struct udp_inbox *inbox, size_t n,
                              const struct udp_socket *socket, struct udp_arrival *arrival);

/* What is to be sent: gathered, and given to the kernel by udp_outbox_flush. */
struct udp_outbox;

struct udp_outbox_result {
    uint64_t datagrams, octets; /* that the kernel took */
    uint64_t dropped;           /* that it never takes */
    bool full;                  /* it takes no more now: the rest waits */
};

struct udp_outbox *udp_outbox_new(size_t datagram_max);
void udp_outbox_free(struct udp_outbox *outbox);
/* Sockets and address are not looked at before the flush, so the socket must stay. False: no room
 * before a flush. */
bool udp_outbox_add(struct udp_outbox *outbox, const struct udp_socket *socket,
                    const union udp_sockaddr *to, struct dm_span datagram);
bool udp_outbox_is_empty(const struct udp_outbox *outbox);
struct udp_outbox_result udp_outbox_flush(struct udp_outbox *outbox);

#endif
