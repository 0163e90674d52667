/* SPDX-License-Identifier: Apache-2.0 */
/* The limit that the kernel sets: no codec, no state. */
#include "servers.h"

#include <errno.h>
#include <string.h>

#include "bench.h"

/* Types on the wire. */
enum {
    CONNECT = 0x04,
    CONNACK = 0x05,
    REGISTER = 0x0a,
    REGACK = 0x0b,
    PUBLISH = 0x0c,
    PUBACK = 0x0d,
    PUBCOMP = 0x0e,
    PUBREC = 0x0f,
    PUBREL = 0x10,
    SUBSCRIBE = 0x12,
    SUBACK = 0x13,
    PINGREQ = 0x16,
    PINGRESP = 0x17,
    DISCONNECT = 0x18,
};

enum { PUBLISH_OCTETS = 7 + BENCH_PAYLOAD, QOS_MASK = 0x60, QOS_1 = 0x20, QOS_2 = 0x40 };

void
server_batch_init(struct server_batch *batch)
{
    memset(batch, 0, sizeof *batch);
    for (unsigned i = 0; i < SERVER_BATCH; i++) {
        batch->vectors[i] =
            (struct iovec){.iov_base = batch->octets[i], .iov_len = SERVER_DATAGRAM_MAX};
        batch->messages[i].msg_hdr = (struct msghdr){.msg_name = &batch->peers[i],
                                                     .msg_namelen = sizeof batch->peers[i],
                                                     .msg_iov = &batch->vectors[i],
                                                     .msg_iovlen = 1};
    }
}

uint8_t *
server_batch_add(struct server_batch *batch, int fd, const struct sockaddr_in *peer, size_t len)
{
    if (batch->count == SERVER_BATCH)
        server_batch_send(batch, fd);
    batch->peers[batch->count] = *peer;
    batch->vectors[batch->count].iov_len = len;
    return batch->octets[batch->count++];
}

void
server_batch_send(struct server_batch *batch, int fd)
{
    unsigned sent = 0;

    while (sent < batch->count) {
        int result = sendmmsg(fd, &batch->messages[sent], batch->count - sent, 0);

        if (result > 0)
            sent += (unsigned)result;
        else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
            fail("sendmmsg: %s", strerror(errno));
    }
    batch->count = 0;
}

static size_t
reply(uint8_t *answer, const uint8_t *octets, size_t len)
{
    memcpy(answer, octets, len);
    return len;
}

static size_t
answer_publish(const uint8_t *o, size_t len, uint8_t *answer)
{
    if (len >= 7 && (o[2] & QOS_MASK) == QOS_1)
        return reply(answer, (const uint8_t[]){7, PUBACK, o[3], o[4], o[5], o[6], 0}, 7);
    if (len >= 7 && (o[2] & QOS_MASK) == QOS_2)
        return reply(answer, (const uint8_t[]){4, PUBREC, o[5], o[6]}, 4);
    return 0;
}

size_t
server_answer(const uint8_t *o, size_t len, uint16_t topic_id, uint8_t *answer)
{
    uint8_t high = (uint8_t)(topic_id >> 8);
    uint8_t low = (uint8_t)topic_id;

    switch (len >= 2 ? o[1] : 0) {
    case PUBLISH:
        return answer_publish(o, len, answer);
    case PUBREL:
        return len < 4 ? 0 : reply(answer, (const uint8_t[]){4, PUBCOMP, o[2], o[3]}, 4);
    case CONNECT:
        return reply(answer, (const uint8_t[]){3, CONNACK, 0}, 3);
    case REGISTER:
        return len < 6 ? 0
                       : reply(answer, (const uint8_t[]){7, REGACK, high, low, o[4], o[5], 0}, 7);
    case SUBSCRIBE:
        return len < 5
                   ? 0
                   : reply(answer, (const uint8_t[]){8, SUBACK, o[2], high, low, o[3], o[4], 0}, 8);
    case PINGREQ:
        return reply(answer, (const uint8_t[]){2, PINGRESP}, 2);
    case DISCONNECT:
        return reply(answer, (const uint8_t[]){2, DISCONNECT}, 2);
    default:
        return 0;
    }
}

/* Where a sleeping device stands is what its last message says. False: nothing is left. */
static bool
send_backlog(struct server_batch *out, int fd, const struct sockaddr_in *peer, const uint8_t *o,
             size_t len, unsigned backlog)
{
    unsigned done = 0;

    if (o[1] == PUBACK && len >= 7)
        done = (unsigned)(o[4] << 8 | o[5]);
    if (done >= backlog)
        return false;
    uint8_t *octets = server_batch_add(out, fd, peer, PUBLISH_OCTETS);

    memset(octets, 0, PUBLISH_OCTETS);
    octets[0] = PUBLISH_OCTETS;
    octets[1] = PUBLISH;
    octets[2] = QOS_1;
    octets[4] = 1;
    octets[6] = (uint8_t)(done + 1);
    return true;
}

_Noreturn void
null_server(int fd, unsigned backlog)
{
    static struct server_batch in, out;
    uint8_t answer[8];

    server_batch_init(&in);
    server_batch_init(&out);
    for (;;) {
        int count = recvmmsg(fd, in.messages, SERVER_BATCH, MSG_WAITFORONE, NULL);

        for (int i = 0; i < count; i++) {
            const uint8_t *octets = in.octets[i];
            size_t len = in.messages[i].msg_len;
            const struct sockaddr_in *peer = &in.peers[i];
            bool wakes = len > 2 && octets[1] == PINGREQ;
            bool acknowledges = len >= 7 && octets[1] == PUBACK;

            if ((wakes || acknowledges) && send_backlog(&out, fd, peer, octets, len, backlog))
                continue;
            size_t answer_len = server_answer(octets, len, 1, answer);

            if (acknowledges)
                answer_len = reply(answer, (const uint8_t[]){2, PINGRESP}, 2);
            if (answer_len > 0)
                memcpy(server_batch_add(&out, fd, peer, answer_len), answer, answer_len);
        }
        server_batch_send(&out, fd);
    }
}
