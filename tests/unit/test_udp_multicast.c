/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery on UDP links: groups that are heard, and who hears a broadcast from where. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "network_faults.h"
#include "udp_device.h"
#include "udp_group.h"
#include "unit.h"

static const uint8_t searchgw[] = {0x03, 0x01, 0x01};
static const uint8_t gwinfo[] = {0x03, 0x02, 0x07};
static const uint8_t advertise[] = {0x05, 0x00, 0x07, 0x03, 0x84};

static void
udp_open_wrong_groups_fails_with_the_reason(void)
{
    static const struct {
        const char *group, *interface, *reason;
    } cases[] = {
        {"225.1.1.1", NULL, "group '225.1.1.1' is no multicast ADDRESS:PORT"},
        {"225.1.1.1:0", NULL, "is no multicast ADDRESS:PORT"},
        {"225.1.1.1:65536", NULL, "is no multicast ADDRESS:PORT"},
        {"10.0.0.1:1883", NULL, "is no multicast ADDRESS:PORT"},
        {"255.255.255.255:1883", NULL, "is no multicast ADDRESS:PORT"},
        {"[fe80::1]:1883", NULL, "is no multicast ADDRESS:PORT"},
        {"225.1.1.1%lo:1883", NULL, "is no multicast ADDRESS:PORT"},
        {"[ff12::1%]:1883", NULL, "is no multicast ADDRESS:PORT"},
        {"[ff12::1%a-name-too-long-]:1883", NULL, "is no multicast ADDRESS:PORT"},
        {"[ff12::1%lo:1883", NULL, "is no multicast ADDRESS:PORT"},
        {"", NULL, "is no multicast ADDRESS:PORT"},
        {"[ff02::1]:1883", NULL, "needs an interface"},
        {"[ff11::1]:1883", NULL, "needs an interface"},
        {"[ff12::1%lo]:1883", NULL, "has no address of its family to listen on"},
        {"225.9.9.9:1883", NULL, "group '225.9.9.9:1883' is given twice"},
        {"225.1.1.1:1883", "a-name-too-long-", "is too long for an interface"},
    };
    const char *listen = "127.0.0.1:0";
    const char *many[17];
    struct link_fixture fixture;
    struct udp_options options = {
        .name = "lan", .listen = &listen, .listen_count = 1, .multicast = many, .mtu = LINK_MTU};

    fixture_init(&fixture);
    for (size_t i = 0; i < 17; i++)
        many[i] = "225.9.9.9:1883";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        many[1] = cases[i].group;
        options.interface = cases[i].interface;
        options.multicast_count = 2;
        CU_ASSERT_PTR_NULL(udp_open(fixture.base, 0, &options, &fixture.listener, fixture.error,
                                    sizeof fixture.error));
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture.error, cases[i].reason));
    }
    options.multicast_count = 17;
    CU_ASSERT_PTR_NULL(udp_open(fixture.base, 0, &options, &fixture.listener, fixture.error,
                                sizeof fixture.error));
    CU_ASSERT_STRING_EQUAL(fixture.error, "more than 16 multicast groups");
    fixture_fini(&fixture);
}

/* The gateway's address is the source of what a device hears from it, by whatever way. */
static void
udp_group_of_another_port_is_heard_and_answered_from_the_listening_socket(void)
{
    struct group_place places[2];
    size_t count = group_find_places(places);

    for (size_t i = 0; i < count; i++) {
        struct link_fixture fixture;
        char status[128];
        int member = group_member_open(&places[i]);
        int device = device_open(places[i].host);

        group_link_open(&fixture, &places[i], group_endpoint(&places[i], places[i].host, 0),
                        device_port(member));
        snprintf(status, sizeof status, "%s (%s)",
                 group_endpoint(&places[i], places[i].group, device_port(member)),
                 places[i].interface);
        CU_ASSERT_STRING_EQUAL(fixture_status(&fixture).groups, status);
        group_device_send(device, &places[i], device_port(member), searchgw, sizeof searchgw);
        CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
        CU_ASSERT_TRUE(fixture_is(&fixture, 0, searchgw, sizeof searchgw));
        const struct dm_address *asker = &fixture.datagrams[0].from;
        CU_ASSERT_EQUAL(fixture_send(&fixture, asker, gwinfo, sizeof gwinfo), DM_OK);
        CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 0), gwinfo, sizeof gwinfo));
        CU_ASSERT_EQUAL(fixture_broadcast(&fixture, asker, 1, gwinfo, sizeof gwinfo), DM_OK);
        CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 0), gwinfo, sizeof gwinfo));
        CU_ASSERT_TRUE(device_receives(member, device_text(device), searchgw, sizeof searchgw));
        CU_ASSERT_TRUE(device_receives(member, link_bound(&fixture, 0), gwinfo, sizeof gwinfo));
        close(device);
        close(member);
        fixture_fini(&fixture);
    }
}

/* Nobody else could bind the port, so the listening socket itself is a member. A second group shows
 * the source of what is sent. */
static void
udp_group_of_the_listening_port_is_heard_on_the_listening_socket(void)
{
    struct group_place places[2];
    size_t count = group_find_places(places);

    for (size_t i = 0; i < count; i++) {
        const struct group_place *place = &places[i];
        const char *any = place->family == AF_INET ? "0.0.0.0" : "::";
        unsigned port = group_free_port(place);
        const char *listen = group_endpoint(place, any, port);
        struct link_fixture fixture;
        int member = group_member_open(place);
        int device = device_open(place->host);
        const char *groups[] = {group_endpoint(place, place->group, port),
                                group_endpoint(place, place->group, device_port(member))};

        link_open_with(&fixture, (struct udp_options){.listen = &listen,
                                                      .listen_count = 1,
                                                      .multicast = groups,
                                                      .multicast_count = 2,
                                                      .interface = place->interface});
        group_device_send(device, place, port, searchgw, sizeof searchgw);
        CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
        CU_ASSERT_TRUE(fixture_is(&fixture, 0, searchgw, sizeof searchgw));
        CU_ASSERT_EQUAL(fixture_broadcast(&fixture, NULL, 0, advertise, sizeof advertise), DM_OK);
        CU_ASSERT_TRUE(device_receives(member, group_endpoint(place, place->host, port), advertise,
                                       sizeof advertise));
        close(device);
        close(member);
        fixture_fini(&fixture);
    }
}

/* M54. What the gateway sends to a group comes back to it: no message and no fault. */
static void
udp_own_broadcast_is_not_heard_and_not_counted(void)
{
    struct group_place places[2];
    size_t count = group_find_places(places);

    for (size_t i = 0; i < 2 * count; i++) {
        const struct group_place *place = &places[i / 2];
        const char *any = place->family == AF_INET ? "0.0.0.0" : "::";
        struct link_fixture fixture;
        int member = group_member_open(place);

        group_link_open(&fixture, place, group_endpoint(place, i % 2 == 0 ? place->host : any, 0),
                        device_port(member));
        CU_ASSERT_EQUAL(fixture_broadcast(&fixture, NULL, 0, advertise, sizeof advertise), DM_OK);
        int device = device_open(place->host);
        group_device_send(device, place, device_port(member), searchgw, sizeof searchgw);
        CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
        CU_ASSERT_TRUE(fixture_is(&fixture, 0, searchgw, sizeof searchgw));
        struct transport_status status = fixture_status(&fixture);
        CU_ASSERT_EQUAL(status.rx_datagrams, 1);
        CU_ASSERT_EQUAL(status.rx_dropped, 0);
        CU_ASSERT_EQUAL(status.tx_datagrams, 1);
        CU_ASSERT_EQUAL(status.tx_octets, sizeof advertise);
        close(device);
        close(member);
        fixture_fini(&fixture);
    }
}

/* R11: the radius lowers the configured limit, and 0 leaves it. */
static void
udp_broadcast_hop_limit_is_the_smaller_of_radius_and_option(void)
{
    static const struct {
        uint8_t ttl, radius;
        int hops;
    } cases[] = {{1, 0, 1}, {0, 0, 1}, {0, 9, 1}, {5, 0, 5}, {5, 3, 3}, {5, 9, 5}, {255, 0, 255}};
    struct group_place places[2];
    size_t count = group_find_places(places);

    for (size_t i = 0; i < count; i++) {
        int member = group_member_open(&places[i]);
        const char *group = group_endpoint(&places[i], places[i].group, device_port(member));
        const char *listen = group_endpoint(&places[i], places[i].host, 0);

        for (size_t j = 0; j < sizeof cases / sizeof cases[0]; j++) {
            struct link_fixture fixture;

            link_open_with(&fixture, (struct udp_options){.listen = &listen,
                                                          .listen_count = 1,
                                                          .multicast = &group,
                                                          .multicast_count = 1,
                                                          .interface = places[i].interface,
                                                          .multicast_ttl = cases[j].ttl});
            fixture_broadcast(&fixture, NULL, cases[j].radius, gwinfo, sizeof gwinfo);
            CU_ASSERT_EQUAL(group_member_hops(member), cases[j].hops);
            fixture_fini(&fixture);
        }
        close(member);
    }
}

static void
udp_broadcast_goes_to_every_group_or_to_those_of_the_askers_family(void)
{
    struct group_place places[2];
    size_t count = group_find_places(places);
    struct link_fixture fixture;
    const char *listen[2], *groups[2];
    char zoned[UDP_ENDPOINT_TEXT_MAX];
    int members[2];
    int device = device_open("127.0.0.1");

    for (size_t i = 0; i < count; i++) {
        members[i] = group_member_open(&places[i]);
        listen[i] = group_endpoint(&places[i], places[i].host, 0);
        groups[i] = group_endpoint(&places[i], places[i].group, device_port(members[i]));
    }
    if (count == 2) { /* a group may name its interface itself */
        snprintf(zoned, sizeof zoned, "[%s%%%s]:%u", places[1].group, places[1].interface,
                 device_port(members[1]));
        groups[1] = zoned;
    }
    link_open_with(&fixture, (struct udp_options){.listen = listen,
                                                  .listen_count = count,
                                                  .multicast = groups,
                                                  .multicast_count = count,
                                                  .interface = "lo"});
    device_send(device, link_bound(&fixture, 0), searchgw, sizeof searchgw);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
    const struct dm_address *asker = &fixture.datagrams[0].from;
    CU_ASSERT_EQUAL(fixture_broadcast(&fixture, asker, 1, gwinfo, sizeof gwinfo), DM_OK);
    CU_ASSERT_EQUAL(fixture_broadcast(&fixture, NULL, 0, advertise, sizeof advertise), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 0), gwinfo, sizeof gwinfo));
    CU_ASSERT_TRUE(device_receives(members[0], link_bound(&fixture, 0), gwinfo, sizeof gwinfo));
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_TRUE(
            device_receives(members[i], link_bound(&fixture, (int)i), advertise, sizeof advertise));
        close(members[i]);
    }
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_datagrams, 2 + count);
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 0);
    close(device);
    fixture_fini(&fixture);
}

/* R112, M49: through its forwarder, and to nobody else. */
static void
udp_broadcast_to_an_asker_behind_a_forwarder_goes_to_that_alone(void)
{
    static const uint8_t asked[] = {0x04, 0xfe, 0x00, 0xab, 0x03, 0x01, 0x01};
    static const uint8_t radii[][2] = {{0, 0}, {1, 1}, {3, 3}, {4, 3}, {255, 3}};
    const char *anybody = "*", *listen = "127.0.0.1:0";
    struct link_fixture fixture;
    int member = group_member_open(&group_ipv4_place);
    int forwarder = device_open("127.0.0.1");
    const char *group =
        group_endpoint(&group_ipv4_place, group_ipv4_place.group, device_port(member));

    link_open_with(&fixture, (struct udp_options){.listen = &listen,
                                                  .listen_count = 1,
                                                  .forwarders = &anybody,
                                                  .forwarder_count = 1,
                                                  .multicast = &group,
                                                  .multicast_count = 1,
                                                  .interface = "lo"});
    device_send(forwarder, link_bound(&fixture, 0), asked, sizeof asked);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
    const struct dm_address *asker = &fixture.datagrams[0].from;
    for (size_t i = 0; i < sizeof radii / sizeof radii[0]; i++) {
        const uint8_t answer[] = {0x04, 0xfe, radii[i][1], 0xab, 0x03, 0x02, 0x07};

        CU_ASSERT_EQUAL(fixture_broadcast(&fixture, asker, radii[i][0], gwinfo, sizeof gwinfo),
                        DM_OK);
        CU_ASSERT_TRUE(device_receives(forwarder, link_bound(&fixture, 0), answer, sizeof answer));
    }
    fixture_broadcast(&fixture, NULL, 0, advertise, sizeof advertise);
    CU_ASSERT_TRUE(device_receives(member, link_bound(&fixture, 0), advertise, sizeof advertise));
    close(forwarder);
    close(member);
    fixture_fini(&fixture);
}

static void
udp_broadcast_without_group_reaches_only_who_asked(void)
{
    static const uint8_t longer[LINK_MTU + 1];
    static const struct dm_address nobody = {.len = 0};
    struct link_fixture fixture;
    int device = device_open("127.0.0.1");

    link_open_one(&fixture, "127.0.0.1:0", NULL);
    CU_ASSERT_STRING_EQUAL(fixture_status(&fixture).groups, "");
    CU_ASSERT_EQUAL(fixture_broadcast(&fixture, NULL, 0, advertise, sizeof advertise),
                    DM_NOT_FOUND);
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 0);
    CU_ASSERT_EQUAL(fixture_broadcast(&fixture, NULL, 0, longer, sizeof longer), DM_INVALID);
    CU_ASSERT_EQUAL(fixture_broadcast(&fixture, &nobody, 0, gwinfo, sizeof gwinfo), DM_INVALID);
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 2);
    device_send(device, link_bound(&fixture, 0), searchgw, sizeof searchgw);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
    const struct dm_address *asker = &fixture.datagrams[0].from;
    CU_ASSERT_EQUAL(fixture_broadcast(&fixture, asker, 1, gwinfo, sizeof gwinfo), DM_OK);
    CU_ASSERT_TRUE(device_receives(device, link_bound(&fixture, 0), gwinfo, sizeof gwinfo));
    close(device);
    fixture_fini(&fixture);
}

/* The listening socket is a member of nothing then, and the other program's group is its own. */
static void
udp_group_that_another_program_joined_is_not_heard(void)
{
    struct group_place places[2];
    size_t count = group_find_places(places);

    for (size_t i = 0; i < count; i++) {
        unsigned port = group_free_port(&places[i]);
        struct link_fixture fixture;
        int other = group_member_open(&places[i]);
        int device = device_open(places[i].host);

        link_open_one(
            &fixture,
            group_endpoint(&places[i], places[i].family == AF_INET ? "0.0.0.0" : "::", port), NULL);
        group_device_send(device, &places[i], port, advertise, sizeof advertise);
        device_send(device, group_endpoint(&places[i], places[i].host, port), searchgw,
                    sizeof searchgw);
        CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
        CU_ASSERT_TRUE(fixture_is(&fixture, 0, searchgw, sizeof searchgw));
        close(device);
        close(other);
        fixture_fini(&fixture);
    }
}

/* Whoever got it counts: to send it again would give it to them twice. */
static void
udp_broadcast_that_one_way_fails_goes_the_other_and_is_counted(void)
{
    static const struct {
        bool asked;
        int error;
        unsigned count;
        enum dm_result result;
    } cases[] = {
        {true, EPERM, 1, DM_OK},    {true, EPERM, 2, DM_IO},  {true, EAGAIN, 2, DM_FULL},
        {true, EMSGSIZE, 1, DM_OK}, {false, EPERM, 1, DM_IO}, {false, ENOBUFS, 1, DM_FULL},
    };
    struct link_fixture fixture;
    int member = group_member_open(&group_ipv4_place);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        group_link_open(&fixture, &group_ipv4_place, "127.0.0.1:0", device_port(member));
        struct dm_address asker = fixture_address(&fixture, "udp:lan:127.0.0.1:1000");
        network_fail_sends(cases[i].error, cases[i].count);
        CU_ASSERT_EQUAL(
            fixture_broadcast(&fixture, cases[i].asked ? &asker : NULL, 1, gwinfo, sizeof gwinfo),
            cases[i].result);
        CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, cases[i].count);
        while (cases[i].result == DM_FULL && fixture.rooms == 0)
            event_base_loop(fixture.base, EVLOOP_ONCE);
        if (cases[i].result == DM_OK)
            CU_ASSERT_TRUE(device_receives(member, link_bound(&fixture, 0), gwinfo, sizeof gwinfo));
        fixture_fini(&fixture);
    }
    close(member);
}

/* Heard on a listening socket before, a device is answered from that one, though the SEARCHGW it
 * sends to the group would be answered from the first. */
static void
udp_device_heard_before_is_answered_from_where_it_was_heard(void)
{
    const char *const listen[] = {"127.0.0.1:0", "127.0.0.1:0"};
    struct link_fixture fixture;
    int member = group_member_open(&group_ipv4_place);
    int devices[2] = {device_open("127.0.0.1"), device_open("127.0.0.1")};
    const char *group =
        group_endpoint(&group_ipv4_place, group_ipv4_place.group, device_port(member));

    link_open_with(&fixture, (struct udp_options){.listen = listen,
                                                  .listen_count = 2,
                                                  .multicast = &group,
                                                  .multicast_count = 1,
                                                  .interface = "lo"});
    device_send(devices[1], link_bound(&fixture, 1), searchgw, sizeof searchgw);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 1));
    for (size_t i = 0; i < 2; i++) {
        group_device_send(devices[i], &group_ipv4_place, device_port(member), searchgw,
                          sizeof searchgw);
        CU_ASSERT_TRUE_FATAL(fixture_wait_received(&fixture, 2 + i));
        fixture_send(&fixture, &fixture.datagrams[1 + i].from, gwinfo, sizeof gwinfo);
        CU_ASSERT_TRUE(
            device_receives(devices[i], link_bound(&fixture, (int)i), gwinfo, sizeof gwinfo));
        close(devices[i]);
    }
    close(member);
    fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(udp_open_wrong_groups_fails_with_the_reason),
    UNIT_TEST(udp_group_of_another_port_is_heard_and_answered_from_the_listening_socket),
    UNIT_TEST(udp_group_of_the_listening_port_is_heard_on_the_listening_socket),
    UNIT_TEST(udp_own_broadcast_is_not_heard_and_not_counted),
    UNIT_TEST(udp_broadcast_hop_limit_is_the_smaller_of_radius_and_option),
    UNIT_TEST(udp_broadcast_goes_to_every_group_or_to_those_of_the_askers_family),
    UNIT_TEST(udp_broadcast_to_an_asker_behind_a_forwarder_goes_to_that_alone),
    UNIT_TEST(udp_broadcast_without_group_reaches_only_who_asked),
    UNIT_TEST(udp_group_that_another_program_joined_is_not_heard),
    UNIT_TEST(udp_broadcast_that_one_way_fails_goes_the_other_and_is_counted),
    UNIT_TEST(udp_device_heard_before_is_answered_from_where_it_was_heard),
};

UNIT_MAIN("udp multicast", tests)
