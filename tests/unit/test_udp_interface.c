/* SPDX-License-Identifier: Apache-2.0 */
/* Multicast groups of UDP links whose network interfaces come and go. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "log_capture.h"
#include "network_faults.h"
#include "steady_clock.h"
#include "udp_device.h"
#include "udp_group.h"
#include "unit.h"

static const uint8_t searchgw[] = {0x03, 0x01, 0x01};
static const uint8_t advertise[] = {0x05, 0x00, 0x07, 0x03, 0x84};

static void
advance(struct link_fixture *fixture, unsigned ms)
{
    steady_clock_advance(ms);
    event_base_loop(fixture->base, EVLOOP_NONBLOCK);
}

/* A Pi boots before its network: the link works, and says what is missing. */
static void
udp_group_whose_interface_is_not_ready_is_joined_when_it_is(void)
{
    static const struct {
        enum network_interfaces interfaces;
        const char *reason;
    } cases[] = {
        {INTERFACES_GONE, "(not joined: lo: there is no such interface)"},
        {INTERFACES_DOWN, "(not joined: lo: the interface is down)"},
        {INTERFACES_BARE, "(not joined: lo: the interface has no IPv4 address)"},
    };
    char text[2000];

    steady_clock_freeze();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct link_fixture fixture;
        int member = group_member_open(&group_ipv4_place);

        network_set_interfaces(cases[i].interfaces);
        log_capture_start();
        group_link_open(&fixture, &group_ipv4_place, "127.0.0.1:0", device_port(member));
        CU_ASSERT_TRUE(fixture_status(&fixture).up);
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_status(&fixture).groups, cases[i].reason));
        CU_ASSERT_EQUAL(fixture_broadcast(&fixture, NULL, 0, advertise, sizeof advertise), DM_IO);
        CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 1);
        advance(&fixture, 500);
        network_set_interfaces(INTERFACES_FINE);
        advance(&fixture, 999);
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_status(&fixture).groups, cases[i].reason));
        advance(&fixture, 2);
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_status(&fixture).groups, "(lo)"));
        log_capture_finish(text, sizeof text);
        const char *warning = strstr(text, "cannot join group 225.1.1.1:");
        CU_ASSERT_PTR_NOT_NULL_FATAL(warning);
        CU_ASSERT_PTR_NULL(strstr(warning + 1, "cannot join")); /* told once */
        CU_ASSERT_PTR_NOT_NULL(strstr(warning, "udp:lan: joined group 225.1.1.1:"));
        CU_ASSERT_EQUAL(fixture_broadcast(&fixture, NULL, 0, advertise, sizeof advertise), DM_OK);
        CU_ASSERT_TRUE(
            device_receives(member, link_bound(&fixture, 0), advertise, sizeof advertise));
        close(member);
        fixture_fini(&fixture);
    }
    steady_clock_release();
}

static void
udp_interface_is_looked_for_with_a_back_off_up_to_30_s(void)
{
    static const unsigned delays_ms[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    struct link_fixture fixture;

    steady_clock_freeze();
    network_set_interfaces(INTERFACES_GONE);
    group_link_open(&fixture, &group_ipv4_place, "127.0.0.1:0", 1883);
    for (size_t i = 0; i < sizeof delays_ms / sizeof delays_ms[0]; i++) {
        unsigned before = network_lookups();

        advance(&fixture, delays_ms[i] - 2);
        CU_ASSERT_EQUAL(network_lookups(), before);
        advance(&fixture, 2);
        CU_ASSERT_EQUAL(network_lookups(), before + 1);
    }
    network_set_interfaces(INTERFACES_FINE);
    fixture_fini(&fixture);
    steady_clock_release();
}

/* The port is one that the link listens to on every address, or a socket of its own has. */
static void
unplug_and_plug_in(const struct group_place *place, bool listened_to)
{
    unsigned port = group_free_port(place);
    const char *any = place->family == AF_INET ? "0.0.0.0" : "::";
    struct link_fixture fixture;
    int device = device_open(place->host);

    steady_clock_freeze();
    group_link_open(&fixture, place,
                    listened_to ? group_endpoint(place, any, port)
                                : group_endpoint(place, place->host, 0),
                    port);
    network_set_interfaces(INTERFACES_GONE);
    advance(&fixture, 59999);
    CU_ASSERT_PTR_NULL(strstr(fixture_status(&fixture).groups, "not joined"));
    advance(&fixture, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(fixture_status(&fixture).groups, "not joined"));
    group_device_send(device, place, port, advertise, sizeof advertise);
    network_set_interfaces(INTERFACES_FINE);
    advance(&fixture, 501);
    CU_ASSERT_PTR_NULL(strstr(fixture_status(&fixture).groups, "not joined"));
    group_device_send(device, place, port, searchgw, sizeof searchgw);
    steady_clock_release();
    CU_ASSERT_TRUE(fixture_wait_received(&fixture, 1));
    CU_ASSERT_TRUE(fixture_is(&fixture, 0, searchgw, sizeof searchgw));
    close(device);
    fixture_fini(&fixture);
}

/* A dongle that is unplugged takes the membership with it. */
static void
udp_group_is_left_and_joined_again_as_its_interface_goes_and_comes(void)
{
    struct group_place places[2];
    size_t count = group_find_places(places);

    for (size_t i = 0; i < count; i++) {
        unplug_and_plug_in(&places[i], false);
        unplug_and_plug_in(&places[i], true);
    }
}

/* The next look is a minute away; a send that fails does not wait for it. */
static void
udp_failing_broadcast_has_the_interface_looked_at_at_once(void)
{
    struct link_fixture fixture;

    group_link_open(&fixture, &group_ipv4_place, "127.0.0.1:0", group_free_port(&group_ipv4_place));
    network_set_interfaces(INTERFACES_DOWN);
    network_fail_sends(ENETUNREACH, 1);
    CU_ASSERT_EQUAL(fixture_broadcast(&fixture, NULL, 0, advertise, sizeof advertise), DM_IO);
    event_base_loop(fixture.base, EVLOOP_NONBLOCK);
    CU_ASSERT_PTR_NOT_NULL(strstr(fixture_status(&fixture).groups, "lo: the interface is down"));
    network_set_interfaces(INTERFACES_FINE);
    fixture_fini(&fixture);
}

static void
udp_group_without_interface_is_joined_where_the_route_leads(void)
{
    struct group_place places[2];
    size_t count = group_find_places(places);

    for (size_t i = 0; i < count; i++) {
        const char *listen = group_endpoint(&places[i], places[i].host, 0);
        union udp_sockaddr source = endpoint_of(listen);
        struct link_fixture fixture;
        char joined[IF_NAMESIZE + 3];

        if (places[i].family == AF_INET6) {
            places[i].group = "ff1e::d0:1"; /* a group of the link would need its interface */
            source.v6.sin6_scope_id = 0;
        }
        int member = group_member_open(&places[i]);
        const char *group = group_endpoint(&places[i], places[i].group, device_port(member));
        steady_clock_freeze();
        network_fail_routes(ENETUNREACH);
        link_open_with(&fixture, (struct udp_options){.listen = &listen,
                                                      .listen_count = 1,
                                                      .multicast = &group,
                                                      .multicast_count = 1});
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_status(&fixture).groups,
                                      "(not joined: no route: Network is unreachable)"));
        network_fail_routes(0);
        network_set_source(&source);
        advance(&fixture, 501);
        network_set_source(NULL);
        snprintf(joined, sizeof joined, "(%s)", places[i].interface);
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_status(&fixture).groups, joined));
        fixture_broadcast(&fixture, NULL, 0, advertise, sizeof advertise);
        CU_ASSERT_TRUE(
            device_receives(member, link_bound(&fixture, 0), advertise, sizeof advertise));
        steady_clock_release();
        close(member);
        fixture_fini(&fixture);
    }
}

/* Another program has the port on every address, and does not share it. */
static void
udp_group_whose_port_is_taken_is_told_and_does_not_hinder_the_others(void)
{
    const char *listen = "127.0.0.1:0";
    struct link_fixture fixture;
    int member = group_member_open(&group_ipv4_place);
    int program = device_open("0.0.0.0");
    const char *const groups[] = {
        group_endpoint(&group_ipv4_place, group_ipv4_place.group, device_port(member)),
        group_endpoint(&group_ipv4_place, group_ipv4_place.group, device_port(program))};

    link_open_with(&fixture, (struct udp_options){.listen = &listen,
                                                  .listen_count = 1,
                                                  .multicast = groups,
                                                  .multicast_count = 2,
                                                  .interface = "lo"});
    CU_ASSERT_PTR_NOT_NULL(
        strstr(fixture_status(&fixture).groups, " (not joined: lo: Address already in use)"));
    CU_ASSERT_EQUAL(fixture_broadcast(&fixture, NULL, 0, advertise, sizeof advertise), DM_OK);
    CU_ASSERT_TRUE(device_receives(member, link_bound(&fixture, 0), advertise, sizeof advertise));
    CU_ASSERT_EQUAL(fixture_status(&fixture).tx_dropped, 1);
    close(program);
    close(member);
    fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(udp_group_whose_interface_is_not_ready_is_joined_when_it_is),
    UNIT_TEST(udp_interface_is_looked_for_with_a_back_off_up_to_30_s),
    UNIT_TEST(udp_group_is_left_and_joined_again_as_its_interface_goes_and_comes),
    UNIT_TEST(udp_failing_broadcast_has_the_interface_looked_at_at_once),
    UNIT_TEST(udp_group_without_interface_is_joined_where_the_route_leads),
    UNIT_TEST(udp_group_whose_port_is_taken_is_told_and_does_not_hinder_the_others),
};

UNIT_MAIN("udp interfaces", tests)
