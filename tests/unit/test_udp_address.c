/* SPDX-License-Identifier: Apache-2.0 */
/* Address texts of UDP links, and how a text finds its link. */
#include <string.h>

#include "udp_device.h"
#include "unit.h"

static const uint8_t pong[] = {0x02, 0x17};

static void
udp_source_that_no_device_has_is_unusable(void) /* M54 */
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
        union udp_sockaddr address = endpoint_of(cases[i].text);

        CU_ASSERT_EQUAL(udp_is_usable_source(&address), cases[i].usable);
    }
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

    link_open_one(&fixture, "127.0.0.1:0", NULL);
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

    link_open_one(&fixture, "127.0.0.1:0", NULL);
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

    link_open_one(&fixture, "127.0.0.1:0", NULL);
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

    link_open_one(&fixture, "127.0.0.1:0", NULL);
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
    struct udp_options options = {
        .name = name, .listen = &listen, .listen_count = 1, .mtu = LINK_MTU};
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
    UNIT_TEST(udp_source_that_no_device_has_is_unusable),
    UNIT_TEST(udp_address_texts_round_trip),
    UNIT_TEST(udp_address_other_spellings_are_rejected),
    UNIT_TEST(udp_address_with_octets_of_nobody_has_a_text_and_is_not_sent_to),
    UNIT_TEST(address_text_in_a_short_buffer_is_cut_and_terminated),
    UNIT_TEST(address_parse_finds_the_link_by_kind_and_name),
};

UNIT_MAIN("udp addresses", tests)
