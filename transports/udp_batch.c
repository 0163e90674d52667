/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of UDP links by the batch. */
#include "udp_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    BATCH_MAX = 64,           /* datagrams */
    BATCH_OCTETS = 256 * 1024 /* of them, if they are large */
};

/* ---- in ---- */

struct arrived {
    union udp_sockaddr from;
    struct iovec vector;
    union udp_control control;
};

struct udp_inbox {
    struct mmsghdr messages[BATCH_MAX];
    struct arrived arrived[BATCH_MAX];
    size_t room; /* datagrams */
    size_t datagram_max;
    uint8_t octets[];
};

static size_t
batch_room(size_t datagram_max)
{
    size_t fit = BATCH_OCTETS / datagram_max;

    if (fit < 1)
        return 1;
    return fit < BATCH_MAX ? fit : BATCH_MAX;
}

struct udp_inbox *
udp_inbox_new(size_t datagram_max)
{
    size_t room = batch_room(datagram_max);
    struct udp_inbox *inbox = malloc(sizeof *inbox + room * datagram_max);

    if (inbox == NULL)
        return NULL;
    inbox->room = room;
    inbox->datagram_max = datagram_max;
    return inbox;
}

void
udp_inbox_free(struct udp_inbox *inbox)
{
    free(inbox);
}

size_t
udp_inbox_fill(struct udp_inbox *inbox, const struct udp_socket *socket)
{
    for (size_t i = 0; i < inbox->room; i++) {
        struct arrived *arrived = &inbox->arrived[i];

        arrived->vector = (struct iovec){.iov_base = inbox->octets + i * inbox->datagram_max,
                                         .iov_len = inbox->datagram_max};
        inbox->messages[i] =
            (struct mmsghdr){.msg_hdr = {.msg_name = &arrived->from,
                                         .msg_namelen = sizeof arrived->from,
                                         .msg_iov = &arrived->vector,
                                         .msg_iovlen = 1,
                                         .msg_control = &arrived->control,
                                         .msg_controllen = sizeof arrived->control}};
    }
    int count = recvmmsg(socket->fd, inbox->messages, (unsigned)inbox->room,
                         MSG_DONTWAIT | MSG_TRUNC, NULL);

    return count > 0 ? (size_t)count : 0;
}

struct dm_span
udp_inbox_read(const struct udp_inbox *inbox, size_t n, const struct udp_socket *socket,
               struct udp_arrival *arrival)
{
    arrival->from = inbox->arrived[n].from;
    udp_socket_read_arrival(socket, &inbox->messages[n].msg_hdr, arrival);
    return dm_span(inbox->arrived[n].vector.iov_base, inbox->messages[n].msg_len);
}

/* ---- out ---- */

struct leaving {
    const struct udp_socket *socket;
    union udp_sockaddr to;
    struct iovec vector;
};

struct udp_outbox {
    struct mmsghdr messages[BATCH_MAX];
    struct leaving leaving[BATCH_MAX];
    size_t first, count; /* those before `first` have left */
    size_t used, room;   /* octets */
    uint8_t octets[];
};

struct udp_outbox *
udp_outbox_new(size_t datagram_max)
{
    size_t room = batch_room(datagram_max) * datagram_max;
    struct udp_outbox *outbox = malloc(sizeof *outbox + room);

    if (outbox == NULL)
        return NULL;
    outbox->first = outbox->count = outbox->used = 0;
    outbox->room = room;
    return outbox;
}

void
udp_outbox_free(struct udp_outbox *outbox)
{
    free(outbox);
}

bool
udp_outbox_is_empty(const struct udp_outbox *outbox)
{
    return outbox->count == 0;
}

bool
udp_outbox_add(struct udp_outbox *outbox, const struct udp_socket *socket,
               const union udp_sockaddr *to, struct dm_span datagram)
{
    if (outbox->count == BATCH_MAX || datagram.len > outbox->room - outbox->used)
        return false;
    struct leaving *leaving = &outbox->leaving[outbox->count];

    memcpy(outbox->octets + outbox->used, datagram.data, datagram.len);
    *leaving = (struct leaving){
        .socket = socket,
        .to = *to,
        .vector = {.iov_base = outbox->octets + outbox->used, .iov_len = datagram.len}};
    outbox->messages[outbox->count] =
        (struct mmsghdr){.msg_hdr = {.msg_name = &leaving->to,
                                     .msg_namelen = udp_sockaddr_len(to),
                                     .msg_iov = &leaving->vector,
                                     .msg_iovlen = 1}};
    outbox->used += datagram.len;
    outbox->count++;
    return true;
}

/* How many behind `first` leave by the same socket. */
static size_t
run_length(const struct udp_outbox *outbox)
{
    size_t end = outbox->first + 1;

    while (end < outbox->count &&
           outbox->leaving[end].socket == outbox->leaving[outbox->first].socket)
        end++;
    return end - outbox->first;
}

static void
note_left(struct udp_outbox *outbox, size_t count, struct udp_outbox_result *result)
{
    for (size_t i = 0; i < count; i++)
        result->octets += outbox->leaving[outbox->first + i].vector.iov_len;
    result->datagrams += count;
    outbox->first += count;
}

struct udp_outbox_result
udp_outbox_flush(struct udp_outbox *outbox)
{
    struct udp_outbox_result result = {0};
    bool refused = false; /* the error of before was of an earlier datagram */

    while (outbox->first < outbox->count) {
        int sent =
            sendmmsg(outbox->leaving[outbox->first].socket->fd, &outbox->messages[outbox->first],
                     (unsigned)run_length(outbox), MSG_DONTWAIT);

        if (sent > 0) {
            note_left(outbox, (size_t)sent, &result);
            refused = false;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            result.full = true;
            return result;
        } else if (errno == ECONNREFUSED && !refused) {
            refused = true; /* ICMP's complaint; reporting it has cleared it */
        } else {
            outbox->first++;
            result.dropped++;
            refused = false;
        }
    }
    outbox->first = outbox->count = outbox->used = 0;
    return result;
}
