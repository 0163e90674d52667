/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum {
    KEEP_ALIVE_S = 36000,
    DATAGRAM_MAX = 512,
    BUFFER_OCTETS = 64 << 20,   /* of the socket: a fan-out to all devices comes at once */
    FIRST_ADDRESS = 0x7f010000, /* 127.1.0.0 */
};

struct fleet_batch {
    struct mmsghdr messages[FLEET_BATCH];
    struct iovec vectors[FLEET_BATCH];
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control[FLEET_BATCH];
    uint8_t octets[FLEET_BATCH][DATAGRAM_MAX];
    unsigned count;
};

static struct fleet_batch *
batch_new(struct sockaddr_in *to)
{
    struct fleet_batch *batch = calloc(1, sizeof *batch);

    if (batch == NULL)
        fail("out of memory");
    for (unsigned i = 0; i < FLEET_BATCH; i++) {
        batch->vectors[i] = (struct iovec){.iov_base = batch->octets[i], .iov_len = DATAGRAM_MAX};
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_name = to,
            .msg_namelen = to != NULL ? sizeof *to : 0,
            .msg_iov = &batch->vectors[i],
            .msg_iovlen = 1,
            .msg_control = &batch->control[i],
            .msg_controllen = sizeof batch->control[i],
        };
    }
    return batch;
}

void
fleet_open(struct fleet *fleet, uint16_t server_port, uint32_t devices)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t len = sizeof any;
    int on = 1;
    int size = BUFFER_OCTETS;

    fleet->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fleet->fd < 0 || bind(fleet->fd, (struct sockaddr *)&any, sizeof any) != 0 ||
        getsockname(fleet->fd, (struct sockaddr *)&any, &len) != 0 ||
        setsockopt(fleet->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) != 0)
        fail("socket of the devices: %s", strerror(errno));
    if (setsockopt(fleet->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0 &&
        setsockopt(fleet->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) != 0)
        fail("SO_RCVBUF: %s", strerror(errno));
    fleet->port = ntohs(any.sin_port);
    fleet->server = (struct sockaddr_in){.sin_family = AF_INET,
                                         .sin_port = htons(server_port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fleet->count = devices;
    fleet->devices = calloc(devices, sizeof *fleet->devices);
    if (fleet->devices == NULL)
        fail("out of memory");
    fleet->out = batch_new(&fleet->server);
    fleet->in = batch_new(NULL);
}

void
fleet_close(struct fleet *fleet)
{
    close(fleet->fd);
    free(fleet->devices);
    free(fleet->out);
    free(fleet->in);
}

void
fleet_flush(struct fleet *fleet)
{
    struct fleet_batch *out = fleet->out;
    unsigned sent = 0;

    while (sent < out->count) {
        int result = sendmmsg(fleet->fd, &out->messages[sent], out->count - sent, 0);

        if (result > 0)
            sent += (unsigned)result;
        else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
            fail("sendmmsg: %s", strerror(errno));
    }
    out->count = 0;
}

void
fleet_send(struct fleet *fleet, uint32_t device, const struct mqttsn_packet *packet)
{
    struct fleet_batch *out = fleet->out;
    unsigned i = out->count;
    struct msghdr *header = &out->messages[i].msg_hdr;
    struct in_pktinfo source = {.ipi_spec_dst.s_addr = htonl(FIRST_ADDRESS + device)};
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    size_t len;

    if (mqttsn_encode(packet, out->octets[i], DATAGRAM_MAX, &len) != DM_OK)
        fail("a %s is too long", mqttsn_type_name(packet->type));
    out->vectors[i].iov_len = len;
    control->cmsg_level = IPPROTO_IP;
    control->cmsg_type = IP_PKTINFO;
    control->cmsg_len = CMSG_LEN(sizeof source);
    memcpy(CMSG_DATA(control), &source, sizeof source);
    if (++out->count == FLEET_BATCH)
        fleet_flush(fleet);
}

/* FLEET_DEVICES_MAX if it is not there. */
static uint32_t
device_of(struct msghdr *header)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    struct in_pktinfo info;

    if (control == NULL || control->cmsg_type != IP_PKTINFO)
        return FLEET_DEVICES_MAX;
    memcpy(&info, CMSG_DATA(control), sizeof info);
    return ntohl(info.ipi_addr.s_addr) - FIRST_ADDRESS;
}

size_t
fleet_receive(struct fleet *fleet)
{
    struct fleet_batch *in = fleet->in;

    for (unsigned i = 0; i < FLEET_BATCH; i++)
        in->messages[i].msg_hdr.msg_controllen = sizeof in->control[i];
    int count = recvmmsg(fleet->fd, in->messages, FLEET_BATCH, MSG_DONTWAIT, NULL);

    for (int i = 0; i < count; i++) {
        uint32_t device = device_of(&in->messages[i].msg_hdr);
        struct mqttsn_packet packet;

        if (device < fleet->count &&
            mqttsn_decode(in->octets[i], in->messages[i].msg_len, &packet) == DM_OK)
            fleet->on_packet(fleet->ctx, device, &packet);
    }
    return count > 0 ? (size_t)count : 0;
}

uint16_t
fleet_msg_id(struct fleet *fleet, uint32_t device)
{
    struct device *d = &fleet->devices[device];

    d->msg_id = d->msg_id == UINT16_MAX ? 1 : (uint16_t)(d->msg_id + 1);
    return d->msg_id;
}

static void
send_client_id(struct fleet *fleet, uint32_t device, struct mqttsn_packet packet)
{
    char text[24];

    snprintf(text, sizeof text, "bench-%u", device);
    packet.client_id = dm_span_text(text);
    fleet_send(fleet, device, &packet);
}

void
fleet_connect(struct fleet *fleet, uint32_t device)
{
    send_client_id(fleet, device,
                   (struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                          .protocol_id = MQTTSN_PROTOCOL_ID,
                                          .duration_s = KEEP_ALIVE_S});
}

void
fleet_wake(struct fleet *fleet, uint32_t device)
{
    send_client_id(fleet, device, (struct mqttsn_packet){.type = MQTTSN_PINGREQ});
}

bool
fleet_answer(struct fleet *fleet, uint32_t device, const struct mqttsn_packet *packet)
{
    struct mqttsn_packet answer = {.msg_id = packet->msg_id, .topic_id = packet->topic_id};

    if (packet->type == MQTTSN_PUBREL) {
        answer.type = MQTTSN_PUBCOMP;
        fleet_send(fleet, device, &answer);
    } else if (packet->type == MQTTSN_REGISTER) {
        answer.type = MQTTSN_REGACK;
        fleet_send(fleet, device, &answer);
    } else if (packet->type == MQTTSN_PUBLISH && packet->qos > 0) {
        answer.type = packet->qos == 1 ? MQTTSN_PUBACK : MQTTSN_PUBREC;
        fleet_send(fleet, device, &answer);
    }
    return packet->type == MQTTSN_PUBLISH;
}
