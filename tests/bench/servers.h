/* SPDX-License-Identifier: Apache-2.0 */
/* The two servers to compare with. Each is a process of its own; neither function returns. */
#ifndef DORMOUSE_BENCH_SERVERS_H
#define DORMOUSE_BENCH_SERVERS_H

#include <stddef.h>
#include <stdint.h>

#include <netinet/in.h>
#include <sys/socket.h>

#define SERVER_BATCH 64u
#define SERVER_DATAGRAM_MAX 512u

/* Datagrams in both directions, as recvmmsg and sendmmsg take them. */
struct server_batch {
    struct mmsghdr messages[SERVER_BATCH];
    struct iovec vectors[SERVER_BATCH];
    struct sockaddr_in peers[SERVER_BATCH];
    uint8_t octets[SERVER_BATCH][SERVER_DATAGRAM_MAX];
    unsigned count;
};

void server_batch_init(struct server_batch *batch);

/* A place for one datagram to `peer`; the batch leaves when it is full. */
uint8_t *server_batch_add(struct server_batch *batch, int fd, const struct sockaddr_in *peer,
                          size_t len);
void server_batch_send(struct server_batch *batch, int fd);

/* The answer that needs no state, or 0 octets for none. `answer`: 8 octets. `topic_id`: what
 * REGACK and SUBACK give. */
size_t server_answer(const uint8_t *octets, size_t len, uint16_t topic_id, uint8_t *answer);

/* Receives a datagram, sends the right acknowledgement. A PINGREQ with a client id is answered with
 * `backlog` messages of QoS 1, one after the other, before PINGRESP. */
_Noreturn void null_server(int fd, unsigned backlog);

/* Passes QoS 0 and 1 on: no sessions, no timers, no promises. All its topics begin with `topics`.
 */
_Noreturn void forwarder(int fd, uint16_t broker_port, char topics);

#endif
