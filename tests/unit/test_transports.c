/* SPDX-License-Identifier: Apache-2.0 */
/* UDP links over real sockets of the loopback interface, and address texts of every kind of link.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <event2/event.h>

#include <dormouse/transport.h>

#include "link_fixture.h"
#include "udp_address.h"
#include "unit.h"

#define MTU 60

static const uint8_t ping[] = {0x02, 0x16};
static const uint8_t pong[] = {0x02, 0x17};

/* In front of the C library's: a kernel whose queue is full, when the test says so. */
static int sendto_error;

ssize_t
sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len)
{
    if (sendto_error != 0) {
        errno = sendto_error;
        return -1;
    }
    return syscall(SYS_sendto, fd, data, len, flags, to, to_len);
}

/* A device: a socket on `host`, and one that waits no longer than the guard. */
static int
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

static union udp_sockaddr
endpoint(const char *text)
{
    union udp_sockaddr address;

    CU_ASSERT_TRUE_FATAL(udp_endpoint_parse(text, &address));
    return address;
}

static uint16_t
device_port(int fd)
{
    union udp_sockaddr address;
    socklen_t len = sizeof address;

    CU_ASSERT_EQUAL_FATAL(getsockname(fd, &address.any, &len), 0);
    return udp_port(&address);
}

static void
device_send(int fd, const char *to, const void *data, size_t len)
{
    union udp_sockaddr address = endpoint(to);

    CU_ASSERT_EQUAL(sendto(fd, data, len, 0, &address.any, udp_sockaddr_len(&address)),
                    (ssize_t)len);
}

/* True if the next datagram is `data`, and comes from the socket bound to `from`. */
static bool
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

static void
open_link(struct link_fixture *fixture, const char *const *listen, size_t listen_count,
          const char *forwarder)
{
    struct udp_options options = {.name = "lan",
                                  .listen = listen,
                                  .listen_count = listen_count,
                                  .forwarders = &forwarder,
                                  .forwarder_count = forwarder != NULL ? 1 : 0,
                                  .mtu = MTU};

    fixture_init(fixture);
    fixture->transport = udp_open(fixture->base, FIXTURE_LINK, &options, &fixture->listener,
                                  fixture->error, sizeof fixture->error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->transport);
}

static void
open_one(struct link_fixture *fixture, const char *listen, const char *forwarder)
{
    open_link(fixture, &listen, 1, forwarder);
}

/* Bound address number `index` of the status; static storage. */
static const char *
bound(const struct link_fixture *fixture, int index)
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

static void
udp_open_wrong_options_fails_with_the_reason(void)
{
    static const struct {
        const char *listen, *forwarder, *reason;
        uint16_t mtu;
    } cases[] = {
        {"127.0.0.1", NULL, "'127.0.0.1' is no ADDRESS:PORT", MTU},
        {"127.0.0.1:65536", NULL, "is no ADDRESS:PORT", MTU},
        {"127.0.0.1:-1", NULL, "is no ADDRESS:PORT", MTU},
        {"localhost:1883", NULL, "is no ADDRESS:PORT", MTU},
        {"::1:1883", NULL, "is no ADDRESS:PORT", MTU},
        {"[127.0.0.1]:1883", NULL, "is no ADDRESS:PORT", MTU},
        {"[::1:1883", NULL, "is no ADDRESS:PORT", MTU},
        {"[fe80::1%nosuchinterface]:1883", NULL, "is no ADDRESS:PORT", MTU},
        {"", NULL, "is no ADDRESS:PORT", MTU},
        {"203.0.113.1:0", NULL, "cannot listen on 203.0.113.1:0: ", MTU},
        {"127.0.0.1:0", "radio", "forwarder 'radio' is no address", MTU},
        {"127.0.0.1:0", NULL, "mtu", 1},
    };
    struct link_fixture fixture;

    fixture_init(&fixture);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct udp_options options = {.name = "lan",
                                      .listen = &cases[i].listen,
                                      .listen_count = 1,
                                      .forwarders = &cases[i].forwarder,
                                      .forwarder_count = cases[i].forwarder != NULL ? 1 : 0,
                                      .mtu = cases[i].mtu};

        CU_ASSERT_PTR_NULL(udp_open(fixture.base, 0, &options, &fixture.listener, fixture.error,
                                    sizeof fixture.error));
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture.error, cases[i].reason));
    }
    fixture_fini(&fixture);
}

static void
udp_open_busy_address_fails_and_names_it(void)
{
    struct link_fixture fixture;
    char error[200];

    open_one(&fixture, "127.0.0.1:0", NULL);
    const char *const listen[] = {"127.0.0.1:0", bound(&fixture, 0)};
    struct udp_options options = {.name = "b", .listen = listen, .listen_count = 2, .mtu = MTU};
    CU_ASSERT_PTR_NULL(udp_open(fixture.base, 0, &options, &fixture.listener, error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, listen[1]));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "in use"));
    fixture_fini(&fixture);
}

static void
udp_status_names_the_real_ports(void)
{
    const char *const listen[] = {"127.0.0.1:0", "[::1]:0"};
    struct link_fixture fixture;

    open_link(&fixture, listen, 2, NULL);
    union udp_sockaddr first = endpoint(bound(&fixture, 0));
    union udp_sockaddr second = endpoint(bound(&fixture, 1));
    CU_ASSERT_EQUAL(first.any.sa_family, AF_INET);
    CU_ASSERT_NOT_EQUAL(udp_port(&first), 0);
    CU_ASSERT_EQUAL(second.any.sa_family, AF_INET6);
    CU_ASSERT_NOT_EQUAL(udp_port(&second), 0);
    CU_ASSERT_TRUE(fixture_status(&fixture).up);
    fixture_fini(&fixture);
}

/* IPv6 sockets take IPv6 only, or the IPv4 socket of the same port could not be bound. */
static void
udp_both_families_share_a_port(void)
{
    struct link_fixture fixture;
    char other[32];

    open_one(&fixture, "0.0.0.0:0", NULL);
    union udp_sockaddr first = endpoint(bound(&fixture, 0));
    snprintf(other, sizeof other, "[::]:%u", udp_port(&first));
    struct link_fixture second;
    open_one(&second, other, NULL);
    fixture_fini(&second);
    fixture_fini(&fixture);
}

static void
exchange(const char *listen, const char *device_host, const char *text_form)
{
    struct link_fixture fixture;
    char text[DM_ADDRESS_TEXT_MAX];
    int device = device_open(device_host);

    open_one(&fixture, listen, NULL);
    device_send(device, bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
    CU_ASSERT_TRUE(fixture_is(&fixture, 0, ping, sizeof ping));
    CU_ASSERT_EQUAL(fixture.datagrams[0].from.link, FIXTURE_LINK);
    snprintf(text, sizeof text, text_form, device_port(device));
    CU_ASSERT_STRING_EQUAL(fixture_text(&fixture, &fixture.datagrams[0].from), text);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, bound(&fixture, 0), pong, sizeof pong));

    struct transport_status status = fixture_status(&fixture);
    CU_ASSERT_EQUAL(status.rx_datagrams, 1);
    CU_ASSERT_EQUAL(status.rx_octets, sizeof ping);
    CU_ASSERT_EQUAL(status.tx_datagrams, 1);
    CU_ASSERT_EQUAL(status.tx_octets, sizeof pong);
    CU_ASSERT_EQUAL(status.rx_dropped + status.tx_dropped, 0);
    close(device);
    fixture_fini(&fixture);
}

static void
udp_datagram_is_delivered_and_answered(void)
{
    exchange("127.0.0.1:0", "127.0.0.1", "udp:lan:127.0.0.1:%u");
    exchange("[::1]:0", "::1", "udp:lan:[::1]:%u");
}

static void
udp_answer_leaves_from_the_socket_last_heard_on(void)
{
    const char *const listen[] = {"127.0.0.1:0", "[::1]:0", "127.0.0.1:0"};
    struct link_fixture fixture;
    int device = device_open("127.0.0.1");

    open_link(&fixture, listen, 3, NULL);
    device_send(device, bound(&fixture, 2), ping, sizeof ping);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
    fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong);
    CU_ASSERT_TRUE(device_receives(device, bound(&fixture, 2), pong, sizeof pong));

    device_send(device, bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 2));
    CU_ASSERT_TRUE(dm_address_equal(&fixture.datagrams[0].from, &fixture.datagrams[1].from));
    fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong);
    CU_ASSERT_TRUE(device_receives(device, bound(&fixture, 0), pong, sizeof pong));
    close(device);
    fixture_fini(&fixture);
}

static void
udp_stored_address_is_answered_from_the_first_socket_of_its_family(void)
{
    const char *const listen[] = {"[::1]:0", "127.0.0.1:0", "127.0.0.1:0"};
    struct link_fixture fixture;
    char text[64];
    int device = device_open("127.0.0.1");

    open_link(&fixture, listen, 3, NULL);
    snprintf(text, sizeof text, "udp:lan:127.0.0.1:%u", device_port(device));
    struct dm_address stored = fixture_address(&fixture, text);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &stored, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, bound(&fixture, 1), pong, sizeof pong));
    close(device);
    fixture_fini(&fixture);
}

static void
udp_peer_of_a_family_without_socket_is_an_error(void)
{
    struct link_fixture fixture;

    open_one(&fixture, "127.0.0.1:0", NULL);
    struct dm_address stored = fixture_address(&fixture, "udp:lan:[::1]:1000");
    CU_ASSERT_EQUAL(fixture_send(&fixture, &stored, pong, sizeof pong), DM_IO);
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 1);
    fixture_fini(&fixture);
}

static void
udp_full_kernel_queue_is_told_and_room_is_told_later(void)
{
    static const int errors[] = {EAGAIN, ENOBUFS};
    struct link_fixture fixture;

    for (size_t i = 0; i < 2; i++) {
        open_one(&fixture, "127.0.0.1:0", NULL);
        struct dm_address stored = fixture_address(&fixture, "udp:lan:127.0.0.1:1000");
        sendto_error = errors[i];
        CU_ASSERT_EQUAL(fixture_send(&fixture, &stored, pong, sizeof pong), DM_FULL);
        sendto_error = 0;
        CU_ASSERT_EQUAL(fixture.rooms, 0);
        event_base_loop(fixture.base, EVLOOP_ONCE); /* the only event left is the timer */
        CU_ASSERT_EQUAL(fixture.rooms, 1);
        fixture_fini(&fixture);
    }
}

static void
udp_datagram_longer_than_the_mtu_is_dropped_and_counted(void)
{
    static const size_t lens[] = {MTU + 1, 1000, MTU};
    struct link_fixture fixture;
    uint8_t data[1000] = {0};
    int device = device_open("127.0.0.1");

    open_one(&fixture, "127.0.0.1:0", NULL);
    for (size_t i = 0; i < 3; i++)
        device_send(device, bound(&fixture, 0), data, lens[i]);
    CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
    CU_ASSERT_EQUAL(fixture.datagrams[0].len, MTU);
    CU_ASSERT_EQUAL(fixture_status(&fixture).rx_dropped, 2);

    struct dm_address from = fixture.datagrams[0].from;
    CU_ASSERT_EQUAL(fixture_send(&fixture, &from, data, MTU + 1), DM_INVALID);
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 1);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &from, data, MTU), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, bound(&fixture, 0), data, MTU));
    close(device);
    fixture_fini(&fixture);
}

/* One event takes 64 datagrams; the rest waits for the next turn, and none is lost. */
static void
udp_burst_is_taken_in_bounded_batches(void)
{
    struct link_fixture fixture;
    int device = device_open("127.0.0.1");

    open_one(&fixture, "127.0.0.1:0", NULL);
    for (int i = 0; i < 100; i++)
        device_send(device, bound(&fixture, 0), ping, sizeof ping);
    event_base_loop(fixture.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    CU_ASSERT_EQUAL(fixture.received, 64);
    event_base_loop(fixture.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    CU_ASSERT_EQUAL(fixture.received, 100);
    close(device);
    fixture_fini(&fixture);
}

static void
udp_own_datagram_is_dropped(void)
{
    static const char *const listens[] = {"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"};

    for (size_t i = 0; i < sizeof listens / sizeof listens[0]; i++) {
        struct link_fixture fixture;
        char target[64];
        bool v6 = listens[i][0] == '[';
        const char *host = v6 ? "[::1]" : "127.0.0.1";
        int device = device_open(v6 ? "::1" : "127.0.0.1");

        open_one(&fixture, listens[i], NULL);
        union udp_sockaddr own = endpoint(bound(&fixture, 0));
        snprintf(target, sizeof target, "udp:lan:%s:%u", host, udp_port(&own));
        struct dm_address ourselves = fixture_address(&fixture, target);
        CU_ASSERT_EQUAL(fixture_send(&fixture, &ourselves, ping, sizeof ping), DM_OK);
        device_send(device, target + strlen("udp:lan:"), pong, sizeof pong);
        CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
        CU_ASSERT_TRUE(fixture_is(&fixture, 0, pong, sizeof pong));
        CU_ASSERT_EQUAL(fixture_status(&fixture).rx_dropped, 1);
        close(device);
        fixture_fini(&fixture);
    }
}

/* The same port on another host is no reason to drop: many devices use port 1883 themselves. */
static void
udp_device_on_our_port_of_another_host_is_heard(void)
{
    struct link_fixture fixture;
    char text[64];

    open_one(&fixture, "127.0.0.1:0", NULL);
    union udp_sockaddr own = endpoint(bound(&fixture, 0));
    snprintf(text, sizeof text, "127.0.0.2:%u", udp_port(&own));
    union udp_sockaddr address = endpoint(text);
    int device = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(device, &address.any, udp_sockaddr_len(&address)), 0);
    device_send(device, bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
    close(device);
    fixture_fini(&fixture);
}

static void
udp_source_that_no_device_has_is_unusable(void)
{
    static const struct {
        const char *text;
        bool usable;
    } cases[] = {
        {"10.0.0.7:1", true},        {"10.0.0.7:0", false},   {"0.0.0.0:1883", false},
        {"224.0.0.1:1883", false},   {"239.9.9.9:1", false},  {"255.255.255.255:1", false},
        {"223.255.255.255:1", true}, {"[fe80::1%2]:1", true}, {"[fe80::1]:0", false},
        {"[::]:1883", false},        {"[ff02::1]:1", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        union udp_sockaddr address = endpoint(cases[i].text);

        CU_ASSERT_EQUAL(udp_is_usable_source(&address), cases[i].usable);
    }
}

/* Only a raw socket can send from port 0; without the right to open one there is no such sender. */
static void
udp_datagram_from_port_0_is_dropped(void)
{
    struct link_fixture fixture;
    int device = device_open("127.0.0.1");
    int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);

    open_one(&fixture, "127.0.0.1:0", NULL);
    union udp_sockaddr to = endpoint(bound(&fixture, 0));
    uint16_t port = udp_port(&to);
    const uint8_t datagram[] = {0, 0, (uint8_t)(port >> 8), (uint8_t)port, 0, 10, 0, 0, 0x02, 0x16};
    if (raw >= 0) {
        CU_ASSERT_EQUAL(sendto(raw, datagram, sizeof datagram, 0, &to.any, sizeof to.v4),
                        (ssize_t)sizeof datagram);
        close(raw);
    }
    device_send(device, bound(&fixture, 0), pong, sizeof pong);
    CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
    CU_ASSERT_TRUE(fixture_is(&fixture, 0, pong, sizeof pong));
    CU_ASSERT_EQUAL(fixture_status(&fixture).rx_dropped, raw >= 0 ? 1 : 0);
    close(device);
    fixture_fini(&fixture);
}

static void
udp_closed_port_of_a_peer_disturbs_nobody(void)
{
    struct link_fixture fixture;
    char text[64];
    int gone = device_open("127.0.0.1");
    int device = device_open("127.0.0.1");

    snprintf(text, sizeof text, "udp:lan:127.0.0.1:%u", device_port(gone));
    close(gone);
    open_one(&fixture, "127.0.0.1:0", NULL);
    struct dm_address address = fixture_address(&fixture, text);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &address, pong, sizeof pong), DM_OK);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &address, pong, sizeof pong), DM_OK);
    device_send(device, bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
    CU_ASSERT_EQUAL(fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, bound(&fixture, 0), pong, sizeof pong));
    close(device);
    fixture_fini(&fixture);
}

/* R111, R112: the node id is part of the address, and comes back around the answer. */
static void
udp_forwarded_message_is_answered_through_its_forwarder(void)
{
    static const uint8_t wrapped[] = {0x05, 0xfe, 0x01, 0x01, 0xab, 0x02, 0x16};
    static const uint8_t answer[] = {0x05, 0xfe, 0x00, 0x01, 0xab, 0x02, 0x17};
    static const char *const forwarders[] = {"127.0.0.1", "*"};

    for (size_t i = 0; i < 2; i++) {
        struct link_fixture fixture;
        char text[64];
        int forwarder = device_open("127.0.0.1");

        open_one(&fixture, "127.0.0.1:0", forwarders[i]);
        device_send(forwarder, bound(&fixture, 0), wrapped, sizeof wrapped);
        CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
        CU_ASSERT_TRUE(fixture_is(&fixture, 0, ping, sizeof ping));
        snprintf(text, sizeof text, "udp:lan:127.0.0.1:%u/01ab", device_port(forwarder));
        CU_ASSERT_STRING_EQUAL(fixture_text(&fixture, &fixture.datagrams[0].from), text);
        fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong);
        CU_ASSERT_TRUE(device_receives(forwarder, bound(&fixture, 0), answer, sizeof answer));
        close(forwarder);
        fixture_fini(&fixture);
    }
}

static void
udp_empty_node_id_is_not_the_forwarder_itself(void)
{
    static const uint8_t wrapped[] = {0x03, 0xfe, 0x00, 0x02, 0x16};
    static const uint8_t answer[] = {0x03, 0xfe, 0x00, 0x02, 0x17};
    struct link_fixture fixture;
    int forwarder = device_open("127.0.0.1");

    open_one(&fixture, "127.0.0.1:0", "127.0.0.1");
    device_send(forwarder, bound(&fixture, 0), wrapped, sizeof wrapped);
    device_send(forwarder, bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 2));
    CU_ASSERT_FALSE(dm_address_equal(&fixture.datagrams[0].from, &fixture.datagrams[1].from));
    fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong);
    CU_ASSERT_TRUE(device_receives(forwarder, bound(&fixture, 0), answer, sizeof answer));
    fixture_send(&fixture, &fixture.datagrams[1].from, pong, sizeof pong);
    CU_ASSERT_TRUE(device_receives(forwarder, bound(&fixture, 0), pong, sizeof pong));
    close(forwarder);
    fixture_fini(&fixture);
}

/* The inner message, not the datagram, must fit the mtu: 32 octets of node id come on top. */
static void
udp_forwarded_message_of_the_mtu_is_taken_in_both_directions(void)
{
    struct link_fixture fixture;
    uint8_t wrapped[3 + 32 + MTU + 1];
    int forwarder = device_open("127.0.0.1");

    memset(wrapped, 0x55, sizeof wrapped);
    wrapped[0] = 35;
    wrapped[1] = 0xfe;
    wrapped[2] = 0;
    wrapped[35] = MTU + 1;
    open_one(&fixture, "127.0.0.1:0", "*");
    device_send(forwarder, bound(&fixture, 0), wrapped, sizeof wrapped);
    wrapped[35] = MTU;
    device_send(forwarder, bound(&fixture, 0), wrapped, sizeof wrapped - 1);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
    CU_ASSERT_EQUAL(fixture.datagrams[0].len, MTU);
    CU_ASSERT_EQUAL(fixture_status(&fixture).rx_dropped, 1);
    fixture_send(&fixture, &fixture.datagrams[0].from, wrapped + 35, MTU);
    CU_ASSERT_TRUE(device_receives(forwarder, bound(&fixture, 0), wrapped, sizeof wrapped - 1));
    close(forwarder);
    fixture_fini(&fixture);
}

static void
udp_unknown_forwarder_is_dropped(void)
{
    static const uint8_t wrapped[] = {0x05, 0xfe, 0x01, 0x01, 0xab, 0x02, 0x16};
    static const char *const allowed[] = {NULL, "127.0.0.2", "::1"};

    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        struct link_fixture fixture;
        int stranger = device_open("127.0.0.1");

        open_one(&fixture, "127.0.0.1:0", allowed[i]);
        device_send(stranger, bound(&fixture, 0), wrapped, sizeof wrapped);
        device_send(stranger, bound(&fixture, 0), ping, sizeof ping);
        CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
        CU_ASSERT_TRUE(fixture_is(&fixture, 0, ping, sizeof ping));
        CU_ASSERT_EQUAL(fixture_status(&fixture).rx_dropped, 1);
        close(stranger);
        fixture_fini(&fixture);
    }
}

/* M48, R114, R117. */
static void
udp_bad_encapsulation_is_dropped(void)
{
    static const struct {
        uint8_t data[48];
        size_t len;
    } bad[] = {
        {{0x02, 0xfe, 0x02, 0x16}, 4},                               /* no room for Ctrl */
        {{0x05, 0xfe, 0x00, 0x01}, 4},                               /* longer than the datagram */
        {{0x04, 0xfe, 0x00, 0x01}, 4},                               /* no inner message */
        {{0x04, 0xfe, 0x00, 0x01, 0x03, 0x16}, 6},                   /* inner Length too long */
        {{0x04, 0xfe, 0x00, 0x01, 0x02, 0x16, 0x00}, 7},             /* octets behind it */
        {{0x04, 0xfe, 0x00, 0x01, 0x03, 0xfe, 0x00, 0x02, 0x16}, 9}, /* chained */
        {{[0] = 36, [1] = 0xfe, [36] = 0x02, [37] = 0x16}, 38},      /* node id of 33 octets */
    };
    struct link_fixture fixture;
    int forwarder = device_open("127.0.0.1");

    open_one(&fixture, "127.0.0.1:0", "*");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        device_send(forwarder, bound(&fixture, 0), bad[i].data, bad[i].len);
    device_send(forwarder, bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
    CU_ASSERT_TRUE(fixture_is(&fixture, 0, ping, sizeof ping));
    CU_ASSERT_EQUAL(fixture_status(&fixture).rx_dropped, sizeof bad / sizeof bad[0]);
    close(forwarder);
    fixture_fini(&fixture);
}

static void
udp_address_texts_round_trip(void)
{
    static const char *const texts[] = {
        "udp:lan:10.0.0.7:40112",
        "udp:lan:10.0.0.7:1/",
        "udp:lan:10.0.0.7:65535/01ab",
        "udp:lan:[2001:db8::7]:1883",
        "udp:lan:[fe80::1%2]:1883/01ab",
        ("udp:lan:[fe80::1%4294967295]:1883/"
         "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
        "udp:lan:[2001:db8:1111:2222:3333:4444:5555:6666]:40000/ff",
    };
    struct link_fixture fixture;

    open_one(&fixture, "127.0.0.1:0", NULL);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct dm_address address = fixture_address(&fixture, texts[i]);

        CU_ASSERT_EQUAL(address.link, FIXTURE_LINK);
        CU_ASSERT_STRING_EQUAL(fixture_text(&fixture, &address), texts[i]);
    }
    fixture_fini(&fixture);
}

static void
udp_address_other_spellings_are_rejected(void)
{
    static const char *const texts[] = {
        "",
        "10.0.0.7",
        "10.0.0.7:",
        "10.0.0.7:0",
        "10.0.0.7:01883",
        "10.0.0.7:65536",
        "10.0.0.7:+1",
        "10.0.0.7: 1",
        "10.0.0.7:1 ",
        "010.0.0.7:1",
        "10.7:1",
        "10.0.0.7:1/1",
        "10.0.0.7:1/0g",
        "10.0.0.7:1/AB",
        "10.0.0.7:1/ab/",
        "10.0.0.7:1//",
        "224.0.0.1:1",
        "255.255.255.255:1",
        "[10.0.0.7]:1",
        "::1:1",
        "[::1]",
        "[::1]1",
        "[::1",
        "[0::1]:1",
        "[::1%0]:1",
        "[fe80::1%02]:1",
        "[fe80::1%lo]:1",
        "[fe80::1%]:1",
        "[FE80::1]:1",
        "[ff02::1]:1",
        "[::]:1",
        "[fe80::1%4294967296]:1",
        "x",
        "10.0.0.7:1/000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
        "1111111111111111111111111111111111111111111111111111111111111111111111111111111111:1",
    };
    struct link_fixture fixture;
    struct dm_address address;

    open_one(&fixture, "127.0.0.1:0", NULL);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        CU_ASSERT_EQUAL(
            fixture.transport->ops->address_parse(fixture.transport, texts[i], &address),
            DM_INVALID);
    fixture_fini(&fixture);
}

static void
udp_address_with_octets_of_nobody_has_a_text_and_is_not_sent_to(void)
{
    static const struct dm_address wrong[] = {
        {.len = 0},
        {.len = 6, .octets = {4}},
        {.len = 7, .octets = {5}},
        {.len = 22, .octets = {6}},
        {.len = 9, .octets = {4, [7] = 3}},
        {.len = 41, .octets = {4, [7] = 33}},
    };
    struct link_fixture fixture;

    open_one(&fixture, "127.0.0.1:0", NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CU_ASSERT_STRING_EQUAL(fixture_text(&fixture, &wrong[i]), "udp:lan:?");
        CU_ASSERT_EQUAL(fixture_send(&fixture, &wrong[i], pong, sizeof pong), DM_INVALID);
    }
    fixture_fini(&fixture);
}

static void
address_text_in_a_short_buffer_is_cut_and_terminated(void)
{
    static const char whole[] = "udp:lan:10.0.0.7:40112/01ab";
    struct link_fixture fixture;

    open_one(&fixture, "127.0.0.1:0", NULL);
    struct dm_address address = fixture_address(&fixture, whole);
    for (size_t size = 1; size <= sizeof whole; size++) {
        char text[sizeof whole];

        memset(text, 'x', sizeof text);
        transport_address_text(fixture.transport, &address, text, size);
        CU_ASSERT_EQUAL(strlen(text), size - 1);
        CU_ASSERT_EQUAL(strncmp(text, whole, size - 1), 0);
    }
    fixture_fini(&fixture);
}

static struct transport *
open_named(struct link_fixture *fixture, uint8_t link, const char *name)
{
    const char *listen = "127.0.0.1:0";
    struct udp_options options = {.name = name, .listen = &listen, .listen_count = 1, .mtu = MTU};
    struct transport *transport = udp_open(fixture->base, link, &options, &fixture->listener,
                                           fixture->error, sizeof fixture->error);

    CU_ASSERT_PTR_NOT_NULL_FATAL(transport);
    return transport;
}

static void
address_parse_finds_the_link_by_kind_and_name(void)
{
    static const struct {
        const char *text;
        enum dm_result result;
        uint8_t link;
    } cases[] = {
        {"udp:a:10.0.0.7:1", DM_OK, 5},
        {"udp:a:b:10.0.0.7:1", DM_OK, 6},
        {"udp::10.0.0.7:1", DM_OK, 7},
        {"udp:a:b:c", DM_INVALID, 0},
        {"udp:c:10.0.0.7:1", DM_NOT_FOUND, 0},
        {"serial:a:", DM_NOT_FOUND, 0},
        {"udp:a", DM_NOT_FOUND, 0},
        {"ud", DM_NOT_FOUND, 0},
        {"", DM_NOT_FOUND, 0},
        {"udp:a:", DM_INVALID, 0},
    };
    struct link_fixture fixture;

    fixture_init(&fixture);
    struct transport *transports[] = {open_named(&fixture, 5, "a"), open_named(&fixture, 6, "a:b"),
                                      open_named(&fixture, 7, "")};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dm_address address = {.link = 99};

        CU_ASSERT_EQUAL(transport_address_parse(transports, 3, cases[i].text, &address),
                        cases[i].result);
        if (cases[i].result == DM_OK)
            CU_ASSERT_EQUAL(address.link, cases[i].link);
    }
    for (size_t i = 0; i < 3; i++)
        transports[i]->ops->free(transports[i]);
    fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(udp_open_wrong_options_fails_with_the_reason),
    UNIT_TEST(udp_open_busy_address_fails_and_names_it),
    UNIT_TEST(udp_status_names_the_real_ports),
    UNIT_TEST(udp_both_families_share_a_port),
    UNIT_TEST(udp_datagram_is_delivered_and_answered),
    UNIT_TEST(udp_answer_leaves_from_the_socket_last_heard_on),
    UNIT_TEST(udp_stored_address_is_answered_from_the_first_socket_of_its_family),
    UNIT_TEST(udp_peer_of_a_family_without_socket_is_an_error),
    UNIT_TEST(udp_full_kernel_queue_is_told_and_room_is_told_later),
    UNIT_TEST(udp_datagram_longer_than_the_mtu_is_dropped_and_counted),
    UNIT_TEST(udp_burst_is_taken_in_bounded_batches),
    UNIT_TEST(udp_own_datagram_is_dropped),
    UNIT_TEST(udp_device_on_our_port_of_another_host_is_heard),
    UNIT_TEST(udp_source_that_no_device_has_is_unusable),
    UNIT_TEST(udp_datagram_from_port_0_is_dropped),
    UNIT_TEST(udp_closed_port_of_a_peer_disturbs_nobody),
    UNIT_TEST(udp_forwarded_message_is_answered_through_its_forwarder),
    UNIT_TEST(udp_empty_node_id_is_not_the_forwarder_itself),
    UNIT_TEST(udp_forwarded_message_of_the_mtu_is_taken_in_both_directions),
    UNIT_TEST(udp_unknown_forwarder_is_dropped),
    UNIT_TEST(udp_bad_encapsulation_is_dropped),
    UNIT_TEST(udp_address_texts_round_trip),
    UNIT_TEST(udp_address_other_spellings_are_rejected),
    UNIT_TEST(udp_address_with_octets_of_nobody_has_a_text_and_is_not_sent_to),
    UNIT_TEST(address_text_in_a_short_buffer_is_cut_and_terminated),
    UNIT_TEST(address_parse_finds_the_link_by_kind_and_name),
};

UNIT_MAIN("transports", tests)
