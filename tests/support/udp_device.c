/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of devices on the loopback interface, and the UDP link that they talk to. */
#include "udp_device.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <CUnit/CUnit.h>

int
device_open(const char *host)
{
    const struct timeval limit = {.tv_sec = 10};
    union udp_sockaddr address;

    CU_ASSERT_TRUE_FATAL(udp_host_parse(host, &address));
    int fd = socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    CU_ASSERT_EQUAL_FATAL(bind(fd, &address.any, udp_sockaddr_len(&address)), 0);
    return fd;
}

union udp_sockaddr
endpoint_of(const char *text)
{
    union udp_sockaddr address;

    CU_ASSERT_TRUE_FATAL(udp_endpoint_parse(text, &address));
    return address;
}

uint16_t
device_port(int fd)
{
    union udp_sockaddr address;
    socklen_t len = sizeof address;

    CU_ASSERT_EQUAL_FATAL(getsockname(fd, &address.any, &len), 0);
    return udp_port(&address);
}

const char *
device_text(int fd)
{
    static char text[UDP_ENDPOINT_TEXT_MAX];
    union udp_sockaddr address;
    socklen_t len = sizeof address;

    CU_ASSERT_EQUAL_FATAL(getsockname(fd, &address.any, &len), 0);
    udp_endpoint_text(&address, text);
    return text;
}

void
device_send(int fd, const char *to, const void *data, size_t len)
{
    union udp_sockaddr address = endpoint_of(to);

    CU_ASSERT_EQUAL(sendto(fd, data, len, 0, &address.any, udp_sockaddr_len(&address)),
                    (ssize_t)len);
}

bool
device_receives(int fd, const char *from, const void *data, size_t len)
{
    uint8_t buffer[FIXTURE_DATA_MAX];
    char text[UDP_ENDPOINT_TEXT_MAX];
    union udp_sockaddr address;
    socklen_t address_len = sizeof address;
    ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, &address.any, &address_len);

    if (got != (ssize_t)len || memcmp(buffer, data, len) != 0)
        return false;
    udp_endpoint_text(&address, text);
    return strcmp(text, from) == 0;
}

void
link_open_with(struct link_fixture *fixture, struct udp_options options)
{
    options.name = "lan";
    options.mtu = LINK_MTU;
    fixture_init(fixture);
    fixture->transport = udp_open(fixture->base, FIXTURE_LINK, &options, &fixture->listener,
                                  fixture->error, sizeof fixture->error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->transport);
}

void
link_open(struct link_fixture *fixture, const char *const *listen, size_t listen_count,
          const char *forwarder)
{
    link_open_with(fixture, (struct udp_options){.listen = listen,
                                                 .listen_count = listen_count,
                                                 .forwarders = &forwarder,
                                                 .forwarder_count = forwarder != NULL ? 1 : 0});
}

void
link_open_one(struct link_fixture *fixture, const char *listen, const char *forwarder)
{
    link_open(fixture, &listen, 1, forwarder);
}

const char *
link_bound(const struct link_fixture *fixture, int index)
{
    static char texts[4][256];
    struct transport_status status = fixture_status(fixture);
    char *rest = status.device;
    char *text = strsep(&rest, ",");

    for (int i = 0; i < index && text != NULL; i++)
        text = strsep(&rest, ",");
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    snprintf(texts[index], sizeof texts[index], "%s", text);
    return texts[index];
}
