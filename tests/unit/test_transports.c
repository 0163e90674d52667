/* SPDX-License-Identifier: Apache-2.0 */
/* UDP links over real sockets of the loopback interface: listening, answering, dropping. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include <dormouse/transport.h>

#include "network_faults.h"
#include "udp_device.h"
#include "unit.h"

static const uint8_t ping[] = {0x02, 0x16};
static const uint8_t pong[] = {0x02, 0x17};

static void
udp_open_wrong_options_fails_with_the_reason(void)
{
    static const struct {
        const char *listen, *forwarder, *reason;
        uint16_t mtu;
    } cases[] = {
        {"127.0.0.1", NULL, "'127.0.0.1' is no ADDRESS:PORT", LINK_MTU},
        {"127.0.0.1:65536", NULL, "is no ADDRESS:PORT", LINK_MTU},
        {"127.0.0.1:-1", NULL, "is no ADDRESS:PORT", LINK_MTU},
        {"localhost:1883", NULL, "is no ADDRESS:PORT", LINK_MTU},
        {"::1:1883", NULL, "is no ADDRESS:PORT", LINK_MTU},
        {"[127.0.0.1]:1883", NULL, "is no ADDRESS:PORT", LINK_MTU},
        {"[::1:1883", NULL, "is no ADDRESS:PORT", LINK_MTU},
        {"[fe80::1%nosuchinterface]:1883", NULL, "is no ADDRESS:PORT", LINK_MTU},
        {"", NULL, "is no ADDRESS:PORT", LINK_MTU},
        {"203.0.113.1:0", NULL, "cannot listen on 203.0.113.1:0: ", LINK_MTU},
        {"127.0.0.1:0", "radio", "forwarder 'radio' is no address", LINK_MTU},
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

    link_open_one(&fixture, "127.0.0.1:0", NULL);
    const char *const listen[] = {"127.0.0.1:0", link_bound(&fixture, 0)};
    struct udp_options options = {
        .name = "b", .listen = listen, .listen_count = 2, .mtu = LINK_MTU};
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

    link_open(&fixture, listen, 2, NULL);
    union udp_sockaddr first = endpoint_of(link_bound(&fixture, 0));
    union udp_sockaddr second = endpoint_of(link_bound(&fixture, 1));
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

    link_open_one(&fixture, "0.0.0.0:0", NULL);
    union udp_sockaddr first = endpoint_of(link_bound(&fixture, 0));
    snprintf(other, sizeof other, "[::]:%u", udp_port(&first));
    struct link_fixture second;
    link_open_one(&second, other, NULL);
    fixture_fini(&second);
    fixture_fini(&fixture);
}

static void
exchange(const char *listen, const char *device_host, const char *text_form)
{
    struct link_fixture fixture;
    char text[DM_ADDRESS_TEXT_MAX];
    int device = device_open(device_host);

    link_open_one(&fixture, listen, NULL);
    device_send(device, link_bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
    CU_ASSERT_TRUE(fixture_is(&fixture, 0, ping, sizeof ping));
    CU_ASSERT_EQUAL(fixture.datagrams[0].from.link, FIXTURE_LINK);
    snprintf(text, sizeof text, text_form, device_port(device));
    CU_ASSERT_STRING_EQUAL(fixture_text(&fixture, &fixture.datagrams[0].from), text);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 0), pong, sizeof pong));

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

    link_open(&fixture, listen, 3, NULL);
    device_send(device, link_bound(&fixture, 2), ping, sizeof ping);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
    fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong);
    CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 2), pong, sizeof pong));

    device_send(device, link_bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 2));
    CU_ASSERT_TRUE(dm_address_equal(&fixture.datagrams[0].from, &fixture.datagrams[1].from));
    fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong);
    CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 0), pong, sizeof pong));
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

    link_open(&fixture, listen, 3, NULL);
    snprintf(text, sizeof text, "udp:lan:127.0.0.1:%u", device_port(device));
    struct dm_address stored = fixture_address(&fixture, text);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &stored, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 1), pong, sizeof pong));
    close(device);
    fixture_fini(&fixture);
}

static void
udp_peer_of_a_family_without_socket_is_an_error(void)
{
    struct link_fixture fixture;

    link_open_one(&fixture, "127.0.0.1:0", NULL);
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
    int device = device_open("127.0.0.1");
    char text[64];

    snprintf(text, sizeof text, "udp:lan:127.0.0.1:%u", device_port(device));
    for (size_t i = 0; i < 2; i++) {
        uint8_t number = 0;

        link_open_one(&fixture, "127.0.0.1:0", NULL);
        struct dm_address stored = fixture_address(&fixture, text);
        network_fail_sends(errors[i], 1000);
        while (fixture_send(&fixture, &stored, &number, 1) == DM_OK)
            number++;
        CU_ASSERT_EQUAL(number, 64); /* so many wait for the kernel */
        CU_ASSERT_EQUAL(fixture_send(&fixture, &stored, pong, sizeof pong), DM_FULL);
        CU_ASSERT_EQUAL(fixture_status(&fixture).tx_datagrams, 0);
        CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 2);
        CU_ASSERT_EQUAL(fixture.rooms, 0);
        network_fail_sends(0, 0);
        while (fixture.rooms == 0)
            event_base_loop(fixture.base, EVLOOP_ONCE);
        CU_ASSERT_EQUAL(fixture_status(&fixture).tx_datagrams, 64);
        for (uint8_t n = 0; n < 64; n++) /* in order */
            CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 0), &n, 1));
        fixture_fini(&fixture);
    }
    close(device);
}

static void
udp_datagram_that_the_kernel_never_takes_stops_no_other(void)
{
    struct link_fixture fixture;
    int device = device_open("127.0.0.1");
    char text[64];

    snprintf(text, sizeof text, "udp:lan:127.0.0.1:%u", device_port(device));
    link_open_one(&fixture, "127.0.0.1:0", NULL);
    struct dm_address to = fixture_address(&fixture, text);
    network_fail_sends(EPERM, 1);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &to, pong, sizeof pong), DM_OK);
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 1);
    network_fail_sends(ECONNREFUSED, 1); /* of an earlier one: sent all the same */
    CU_ASSERT_EQUAL(fixture_send(&fixture, &to, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 0), pong, sizeof pong));
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 1);
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_datagrams, 1);
    fixture_fini(&fixture);
    close(device);
}

static void
udp_datagram_longer_than_the_mtu_is_dropped_and_counted(void)
{
    static const size_t lens[] = {LINK_MTU + 1, 1000, LINK_MTU};
    struct link_fixture fixture;
    uint8_t data[1000] = {0};
    int device = device_open("127.0.0.1");

    link_open_one(&fixture, "127.0.0.1:0", NULL);
    for (size_t i = 0; i < 3; i++)
        device_send(device, link_bound(&fixture, 0), data, lens[i]);
    CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
    CU_ASSERT_EQUAL(fixture.datagrams[0].len, LINK_MTU);
    CU_ASSERT_EQUAL(fixture_status(&fixture).rx_dropped, 2);

    struct dm_address from = fixture.datagrams[0].from;
    CU_ASSERT_EQUAL(fixture_send(&fixture, &from, data, LINK_MTU + 1), DM_INVALID);
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 1);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &from, data, LINK_MTU), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 0), data, LINK_MTU));
    close(device);
    fixture_fini(&fixture);
}

/* One event takes 64 datagrams; the rest waits for the next turn, and none is lost. */
static void
udp_burst_is_taken_in_bounded_batches(void)
{
    struct link_fixture fixture;
    int device = device_open("127.0.0.1");

    link_open_one(&fixture, "127.0.0.1:0", NULL);
    for (int i = 0; i < 100; i++)
        device_send(device, link_bound(&fixture, 0), ping, sizeof ping);
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

        link_open_one(&fixture, listens[i], NULL);
        union udp_sockaddr own = endpoint_of(link_bound(&fixture, 0));
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

    link_open_one(&fixture, "127.0.0.1:0", NULL);
    union udp_sockaddr own = endpoint_of(link_bound(&fixture, 0));
    snprintf(text, sizeof text, "127.0.0.2:%u", udp_port(&own));
    union udp_sockaddr address = endpoint_of(text);
    int device = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(device, &address.any, udp_sockaddr_len(&address)), 0);
    device_send(device, link_bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
    close(device);
    fixture_fini(&fixture);
}

/* Only a raw socket can send from port 0; without the right to open one there is no such sender. */
static void
udp_datagram_from_port_0_is_dropped(void)
{
    struct link_fixture fixture;
    int device = device_open("127.0.0.1");
    int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);

    link_open_one(&fixture, "127.0.0.1:0", NULL);
    union udp_sockaddr to = endpoint_of(link_bound(&fixture, 0));
    uint16_t port = udp_port(&to);
    const uint8_t datagram[] = {0, 0, (uint8_t)(port >> 8), (uint8_t)port, 0, 10, 0, 0, 0x02, 0x16};
    if (raw >= 0) {
        CU_ASSERT_EQUAL(sendto(raw, datagram, sizeof datagram, 0, &to.any, sizeof to.v4),
                        (ssize_t)sizeof datagram);
        close(raw);
    }
    device_send(device, link_bound(&fixture, 0), pong, sizeof pong);
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
    link_open_one(&fixture, "127.0.0.1:0", NULL);
    struct dm_address address = fixture_address(&fixture, text);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &address, pong, sizeof pong), DM_OK);
    CU_ASSERT_EQUAL(fixture_send(&fixture, &address, pong, sizeof pong), DM_OK);
    device_send(device, link_bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
    CU_ASSERT_EQUAL(fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 0), pong, sizeof pong));
    close(device);
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
    UNIT_TEST(udp_datagram_that_the_kernel_never_takes_stops_no_other),
    UNIT_TEST(udp_datagram_longer_than_the_mtu_is_dropped_and_counted),
    UNIT_TEST(udp_burst_is_taken_in_bounded_batches),
    UNIT_TEST(udp_own_datagram_is_dropped),
    UNIT_TEST(udp_device_on_our_port_of_another_host_is_heard),
    UNIT_TEST(udp_datagram_from_port_0_is_dropped),
    UNIT_TEST(udp_closed_port_of_a_peer_disturbs_nobody),
};

UNIT_MAIN("transports", tests)
