/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarder encapsulation (0xFE) on UDP links: who may use it, and what is dropped. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "udp_device.h"
#include "unit.h"

static const uint8_t ping[] = {0x02, 0x16};
static const uint8_t pong[] = {0x02, 0x17};

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

        link_open_one(&fixture, "127.0.0.1:0", forwarders[i]);
        device_send(forwarder, link_bound(&fixture, 0), wrapped, sizeof wrapped);
        CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
        CU_ASSERT_TRUE(fixture_is(&fixture, 0, ping, sizeof ping));
        snprintf(text, sizeof text, "udp:lan:127.0.0.1:%u/01ab", device_port(forwarder));
        CU_ASSERT_STRING_EQUAL(fixture_text(&fixture, &fixture.datagrams[0].from), text);
        fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong);
        CU_ASSERT_TRUE(device_receives(forwarder, link_bound(&fixture, 0), answer, sizeof answer));
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

    link_open_one(&fixture, "127.0.0.1:0", "127.0.0.1");
    device_send(forwarder, link_bound(&fixture, 0), wrapped, sizeof wrapped);
    device_send(forwarder, link_bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 2));
    CU_ASSERT_FALSE(dm_address_equal(&fixture.datagrams[0].from, &fixture.datagrams[1].from));
    fixture_send(&fixture, &fixture.datagrams[0].from, pong, sizeof pong);
    CU_ASSERT_TRUE(device_receives(forwarder, link_bound(&fixture, 0), answer, sizeof answer));
    fixture_send(&fixture, &fixture.datagrams[1].from, pong, sizeof pong);
    CU_ASSERT_TRUE(device_receives(forwarder, link_bound(&fixture, 0), pong, sizeof pong));
    close(forwarder);
    fixture_fini(&fixture);
}

/* R112, R113: only the node id tells devices behind one forwarder apart. */
static void
udp_nodes_behind_one_forwarder_with_equal_msg_ids_are_told_apart(void)
{
    static const uint8_t publish[] = {0x07, 0x0c, 0x20, 0x00, 0x05, 0x00, 0x01};
    static const uint8_t puback[] = {0x07, 0x0d, 0x00, 0x05, 0x00, 0x01, 0x00};
    static const size_t node_lens[] = {0, 1, 2, 32};
    struct link_fixture fixture;
    uint8_t datagram[3 + 32 + sizeof publish];
    int forwarder = device_open("127.0.0.1");

    link_open_one(&fixture, "127.0.0.1:0", "127.0.0.1");
    for (size_t i = 0; i < 4; i++) {
        size_t head = 3 + node_lens[i];

        memset(datagram, 0xab, sizeof datagram);
        memcpy(datagram, (uint8_t[]){(uint8_t)head, 0xfe, 0x00}, 3);
        memcpy(datagram + head, publish, sizeof publish);
        device_send(forwarder, link_bound(&fixture, 0), datagram, head + sizeof publish);
        CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, i + 1));
        CU_ASSERT_TRUE(fixture_is(&fixture, i, publish, sizeof publish));
        for (size_t j = 0; j < i; j++)
            CU_ASSERT_FALSE(
                dm_address_equal(&fixture.datagrams[i].from, &fixture.datagrams[j].from));
        memcpy(datagram + head, puback, sizeof puback);
        fixture_send(&fixture, &fixture.datagrams[i].from, puback, sizeof puback);
        CU_ASSERT_TRUE(
            device_receives(forwarder, link_bound(&fixture, 0), datagram, head + sizeof puback));
    }
    close(forwarder);
    fixture_fini(&fixture);
}

static void
udp_one_node_id_behind_two_forwarders_is_two_devices(void) /* R7 */
{
    static const uint8_t wrapped[] = {0x05, 0xfe, 0x00, 0x01, 0xab, 0x02, 0x16};
    static const uint8_t answer[] = {0x05, 0xfe, 0x00, 0x01, 0xab, 0x02, 0x17};
    struct link_fixture fixture;
    int forwarders[2] = {device_open("127.0.0.1"), device_open("127.0.0.1")};

    link_open_one(&fixture, "127.0.0.1:0", "127.0.0.1");
    for (size_t i = 0; i < 2; i++) {
        device_send(forwarders[i], link_bound(&fixture, 0), wrapped, sizeof wrapped);
        CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, i + 1));
    }
    CU_ASSERT_FALSE(dm_address_equal(&fixture.datagrams[0].from, &fixture.datagrams[1].from));
    for (size_t i = 0; i < 2; i++) {
        fixture_send(&fixture, &fixture.datagrams[i].from, pong, sizeof pong);
        CU_ASSERT_TRUE(
            device_receives(forwarders[i], link_bound(&fixture, 0), answer, sizeof answer));
        close(forwarders[i]);
    }
    fixture_fini(&fixture);
}

/* The inner message, not the datagram, must fit the mtu: 32 octets of node id come on top. */
static void
udp_forwarded_message_of_the_mtu_is_taken_in_both_directions(void)
{
    struct link_fixture fixture;
    uint8_t wrapped[3 + 32 + LINK_MTU + 1];
    int forwarder = device_open("127.0.0.1");

    memset(wrapped, 0x55, sizeof wrapped);
    wrapped[0] = 35;
    wrapped[1] = 0xfe;
    wrapped[2] = 0;
    wrapped[35] = LINK_MTU + 1;
    link_open_one(&fixture, "127.0.0.1:0", "*");
    device_send(forwarder, link_bound(&fixture, 0), wrapped, sizeof wrapped);
    wrapped[35] = LINK_MTU;
    device_send(forwarder, link_bound(&fixture, 0), wrapped, sizeof wrapped - 1);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
    CU_ASSERT_EQUAL(fixture.datagrams[0].len, LINK_MTU);
    CU_ASSERT_EQUAL(fixture_status(&fixture).rx_dropped, 1);
    fixture_send(&fixture, &fixture.datagrams[0].from, wrapped + 35, LINK_MTU);
    CU_ASSERT_TRUE(
        device_receives(forwarder, link_bound(&fixture, 0), wrapped, sizeof wrapped - 1));
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

        link_open_one(&fixture, "127.0.0.1:0", allowed[i]);
        device_send(stranger, link_bound(&fixture, 0), wrapped, sizeof wrapped);
        device_send(stranger, link_bound(&fixture, 0), ping, sizeof ping);
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

    link_open_one(&fixture, "127.0.0.1:0", "*");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        device_send(forwarder, link_bound(&fixture, 0), bad[i].data, bad[i].len);
    device_send(forwarder, link_bound(&fixture, 0), ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
    CU_ASSERT_TRUE(fixture_is(&fixture, 0, ping, sizeof ping));
    CU_ASSERT_EQUAL(fixture_status(&fixture).rx_dropped, sizeof bad / sizeof bad[0]);
    close(forwarder);
    fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(udp_forwarded_message_is_answered_through_its_forwarder),
    UNIT_TEST(udp_empty_node_id_is_not_the_forwarder_itself),
    UNIT_TEST(udp_nodes_behind_one_forwarder_with_equal_msg_ids_are_told_apart),
    UNIT_TEST(udp_one_node_id_behind_two_forwarders_is_two_devices),
    UNIT_TEST(udp_forwarded_message_of_the_mtu_is_taken_in_both_directions),
    UNIT_TEST(udp_unknown_forwarder_is_dropped),
    UNIT_TEST(udp_bad_encapsulation_is_dropped),
};

UNIT_MAIN("udp forwarders", tests)
