/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery by the device-side client: SEARCHGW, GWINFO and ADVERTISE. */
#include "client_bench.h"
#include "mqttsn_examples.h"
#include "unit.h"

static void
expect_gateway(uint8_t id, uint16_t duration_s, const uint8_t *address, size_t len)
{
    const struct client_event *event = expect_event(CLIENT_EVENT_GATEWAY, MQTTSN_ADVERTISE);

    CU_ASSERT_EQUAL(event->gateway_id, id);
    CU_ASSERT_EQUAL(event->duration_s, duration_s);
    CU_ASSERT_TRUE(dm_span_equal(event->data, dm_span(address, len)));
}

static void
search_is_sent_without_a_connection_and_leaves_nothing_open(void)
{
    struct client_options options = default_options();

    bench_open(&options);
    CU_ASSERT_EQUAL(client_search(&bench.client, bench.now_ms, 1), DM_OK);
    expect_sent(WIRE("\x03\x01\x01"));
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), UINT64_MAX);
    CU_ASSERT_EQUAL(client_search(&bench.client, bench.now_ms, 0), DM_OK);
    expect_sent(WIRE("\x03\x01\x00"));
    expect_state(CLIENT_DISCONNECTED);
    expect_quiet();
}

static void
search_in_a_session_is_invalid_and_sends_nothing(void)
{
    static const enum client_state states[] = {CLIENT_CONNECTING, CLIENT_ACTIVE, CLIENT_ASLEEP,
                                               CLIENT_AWAKE};
    struct client_options options = default_options();

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        open_in_state(&options, states[i]);
        CU_ASSERT_EQUAL(client_search(&bench.client, bench.now_ms, 1), DM_INVALID);
        expect_state(states[i]);
        expect_quiet();
    }
}

static void
gateways_are_reported_in_every_state_but_asleep(void)
{
    static const enum client_state states[] = {CLIENT_DISCONNECTED, CLIENT_CONNECTING,
                                               CLIENT_ACTIVE, CLIENT_AWAKE};
    struct client_options options = default_options();

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        open_in_state(&options, states[i]);
        give(WIRE("\x03\x02\x01")); /* a gateway speaks for itself (R11) */
        expect_gateway(1, 0, NULL, 0);
        give(WIRE("\x06\x02\x01\x02\x12\x34")); /* a client tells of one */
        expect_gateway(1, 0, WIRE("\x02\x12\x34"));
        give(WIRE("\x05\x00\x01\x03\x84")); /* R8 */
        expect_gateway(1, 900, NULL, 0);
        expect_state(states[i]);
        expect_quiet();
    }
    open_in_state(&options, CLIENT_ASLEEP);
    give(WIRE("\x03\x02\x01"));
    give(WIRE("\x05\x00\x01\x03\x84"));
    expect_quiet();
}

/* What is for everyone is no answer: the wait for PINGRESP goes on (R98). */
static void
advertise_does_not_restart_the_timer_of_an_awake_client(void)
{
    struct client_options options = default_options();

    open_in_state(&options, CLIENT_AWAKE);
    bench.now_ms += RETRY_MS - 1;
    give(WIRE("\x05\x00\x01\x03\x84"));
    forget_log();
    pass_time(1);
    expect_sent(WIRE("\x06\x16"
                     "dev1"));
}

static void
another_device_that_searches_is_ignored(void)
{
    struct client_options options = default_options();

    bench_open(&options);
    give(WIRE("\x03\x01\x01"));
    expect_quiet();
}

static const struct unit_test tests[] = {
    UNIT_TEST(search_is_sent_without_a_connection_and_leaves_nothing_open),
    UNIT_TEST(search_in_a_session_is_invalid_and_sends_nothing),
    UNIT_TEST(gateways_are_reported_in_every_state_but_asleep),
    UNIT_TEST(advertise_does_not_restart_the_timer_of_an_awake_client),
    UNIT_TEST(another_device_that_searches_is_ignored),
};

UNIT_MAIN("client search", tests)
