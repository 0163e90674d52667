/* SPDX-License-Identifier: Apache-2.0 */
/* The device-side client against scripted gateway messages, on virtual time. */
#include "client_bench.h"
#include "mqttsn_examples.h"
#include "random.h"
#include "unit.h"

/* ---- connecting ---- */

static void
init_with_bad_options_is_invalid(void)
{
    static uint8_t long_id[MQTTSN_CLIENT_ID_MAX + 1];
    struct client_options options = default_options();

    options.client_id = dm_span("", 0);
    CU_ASSERT_EQUAL(client_init(&bench.client, &options), DM_INVALID);
    options.client_id = dm_span(long_id, sizeof long_id);
    CU_ASSERT_EQUAL(client_init(&bench.client, &options), DM_INVALID);
    options.client_id = dm_span(long_id, sizeof long_id - 1);
    CU_ASSERT_EQUAL(client_init(&bench.client, &options), DM_OK);
    options.send = NULL;
    CU_ASSERT_EQUAL(client_init(&bench.client, &options), DM_INVALID);
    options = default_options();
    options.on_event = NULL;
    CU_ASSERT_EQUAL(client_init(&bench.client, &options), DM_INVALID);
}

static void
connect_accepted_makes_active(void)
{
    struct client_options options = default_options();

    options.clean_session = true;
    options.keepalive_s = 60;
    bench_open(&options);
    CU_ASSERT_EQUAL(client_connect(&bench.client, bench.now_ms), DM_OK);
    expect_sent(WIRE("\x0A\x04\x04\x01\x00\x3C"
                     "dev1"));
    expect_state(CLIENT_CONNECTING);
    give(WIRE("\x03\x05\x00"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_CONNECT);
    expect_state(CLIENT_ACTIVE);
    give(WIRE("\x03\x05\x00")); /* its duplicate */
    expect_quiet();
    CU_ASSERT_EQUAL(bench.packets_sent, 1);
    CU_ASSERT_EQUAL(bench.packets_received, 2);
}

static void
connect_refused_leaves_disconnected(void)
{
    struct client_options options = default_options();

    open_in_state(&options, CLIENT_CONNECTING);
    give(WIRE("\x03\x05\x01"));
    CU_ASSERT_EQUAL(expect_event(CLIENT_EVENT_REFUSED, MQTTSN_CONNECT)->return_code,
                    MQTTSN_CONGESTION);
    expect_state(CLIENT_DISCONNECTED);
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), UINT64_MAX);
    expect_quiet();
}

static void
connecting_ignores_the_late_answer_to_an_earlier_disconnect(void)
{
    struct client_options options = default_options();

    open_in_state(&options, CLIENT_CONNECTING);
    give(WIRE("\x02\x18"));
    expect_state(CLIENT_CONNECTING);
    expect_quiet();
}

/* ---- requests ---- */

static enum dm_result
make_connect(void)
{
    return client_connect(&bench.client, bench.now_ms);
}

static enum dm_result
make_register(void)
{
    return client_register(&bench.client, bench.now_ms, dm_span_text("a/b"));
}

static enum dm_result
make_subscribe(void)
{
    return client_subscribe(&bench.client, bench.now_ms, MQTTSN_TOPIC_NORMAL, dm_span_text("a/b"),
                            0, 1);
}

static enum dm_result
make_unsubscribe(void)
{
    return client_unsubscribe(&bench.client, bench.now_ms, MQTTSN_TOPIC_NORMAL, dm_span_text("a/b"),
                              0);
}

static enum dm_result
publish(int8_t qos)
{
    return client_publish(&bench.client, bench.now_ms, MQTTSN_TOPIC_NORMAL, 5, qos, false,
                          dm_span_text("x"));
}

static enum dm_result
make_publish_qos1(void)
{
    return publish(1);
}

static enum dm_result
make_publish_qos2(void)
{
    return publish(2);
}

/* The second half of QoS 2. */
static enum dm_result
make_pubrel(void)
{
    enum dm_result result = publish(2);

    if (result == DM_OK) {
        forget_log();
        give(WIRE("\x04\x0F\x00\x01"));
    }
    return result;
}

static enum dm_result
make_sleep(void)
{
    return client_sleep(&bench.client, bench.now_ms, 600);
}

static enum dm_result
make_wake(void)
{
    return client_wake(&bench.client, bench.now_ms);
}

static enum dm_result
make_disconnect(void)
{
    return client_disconnect(&bench.client, bench.now_ms);
}

static enum dm_result
make_will_topic_update(void)
{
    return client_will_topic_update(&bench.client, bench.now_ms, dm_span_text("w"), 1, true);
}

static enum dm_result
make_will_message_update(void)
{
    return client_will_message_update(&bench.client, bench.now_ms, dm_span_text("bye"));
}

#define IN(state) (1u << (state))
static const struct request_case {
    enum dm_result (*make)(void);
    enum mqttsn_type type;
    unsigned states; /* where it is possible; the first is tested with silence */
    enum client_state start, after_silence;
    const uint8_t *octets;
    size_t len;
    bool repeats_with_dup;
} requests[] = {
    {make_connect, MQTTSN_CONNECT, IN(CLIENT_DISCONNECTED) | IN(CLIENT_ASLEEP), CLIENT_DISCONNECTED,
     CLIENT_DISCONNECTED,
     WIRE("\x0A\x04\x00\x01\x00\x00"
          "dev1"),
     false},
    {make_register, MQTTSN_REGISTER, IN(CLIENT_ACTIVE), CLIENT_ACTIVE, CLIENT_DISCONNECTED,
     WIRE("\x09\x0A\x00\x00\x00\x01"
          "a/b"),
     false},
    {make_subscribe, MQTTSN_SUBSCRIBE, IN(CLIENT_ACTIVE), CLIENT_ACTIVE, CLIENT_DISCONNECTED,
     WIRE("\x08\x12\x20\x00\x01"
          "a/b"),
     false},
    {make_unsubscribe, MQTTSN_UNSUBSCRIBE, IN(CLIENT_ACTIVE), CLIENT_ACTIVE, CLIENT_DISCONNECTED,
     WIRE("\x08\x14\x00\x00\x01"
          "a/b"),
     false},
    {make_publish_qos1, MQTTSN_PUBLISH, IN(CLIENT_ACTIVE), CLIENT_ACTIVE, CLIENT_DISCONNECTED,
     WIRE("\x08\x0C\x20\x00\x05\x00\x01x"), true},
    {make_publish_qos2, MQTTSN_PUBLISH, IN(CLIENT_ACTIVE), CLIENT_ACTIVE, CLIENT_DISCONNECTED,
     WIRE("\x08\x0C\x40\x00\x05\x00\x01x"), true},
    {make_pubrel, MQTTSN_PUBLISH, IN(CLIENT_ACTIVE), CLIENT_ACTIVE, CLIENT_DISCONNECTED,
     WIRE("\x04\x10\x00\x01"), false},
    {make_sleep, MQTTSN_DISCONNECT, IN(CLIENT_ACTIVE) | IN(CLIENT_ASLEEP), CLIENT_ACTIVE,
     CLIENT_DISCONNECTED, WIRE("\x04\x18\x02\x58"), false},
    {make_wake, MQTTSN_PINGREQ, IN(CLIENT_ASLEEP), CLIENT_ASLEEP, CLIENT_ASLEEP,
     WIRE("\x06\x16"
          "dev1"),
     false},
    {make_disconnect, MQTTSN_DISCONNECT, IN(CLIENT_ACTIVE) | IN(CLIENT_ASLEEP), CLIENT_ACTIVE,
     CLIENT_DISCONNECTED, WIRE("\x02\x18"), false},
    {make_will_topic_update, MQTTSN_WILLTOPICUPD, IN(CLIENT_ACTIVE), CLIENT_ACTIVE,
     CLIENT_DISCONNECTED, WIRE("\x04\x1A\x30w"), false},
    {make_will_message_update, MQTTSN_WILLMSGUPD, IN(CLIENT_ACTIVE), CLIENT_ACTIVE,
     CLIENT_DISCONNECTED,
     WIRE("\x05\x1C"
          "bye"),
     false},
};
#define REQUEST_COUNT (sizeof requests / sizeof requests[0])

static void
every_request_is_repeated_and_then_times_out(void)
{
    struct client_options options = default_options();

    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        const struct request_case *request = &requests[i];
        uint8_t again[16];
        open_in_state(&options, request->start);
        CU_ASSERT_EQUAL(request->make(), DM_OK);
        expect_sent(request->octets, request->len);
        memcpy(again, request->octets, request->len);
        if (request->repeats_with_dup)
            again[2] |= 0x80;
        for (unsigned repetition = 0; repetition < RETRY_COUNT; repetition++) {
            CU_ASSERT_EQUAL(client_next_deadline(&bench.client), bench.now_ms + RETRY_MS);
            pass_time(RETRY_MS - 1);
            expect_quiet();
            pass_time(1);
            expect_sent(again, request->len);
            expect_quiet();
        }
        pass_time(RETRY_MS);
        expect_event(CLIENT_EVENT_TIMEOUT, request->type);
        expect_state(request->after_silence);
        CU_ASSERT_EQUAL(client_next_deadline(&bench.client), UINT64_MAX);
        pass_time(100 * RETRY_MS);
        expect_quiet();
    }
}

static void
request_in_another_state_is_invalid_and_sends_nothing(void)
{
    static const enum client_state states[] = {CLIENT_DISCONNECTED, CLIENT_CONNECTING,
                                               CLIENT_ACTIVE, CLIENT_ASLEEP, CLIENT_AWAKE};
    struct client_options options = default_options();

    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        for (size_t s = 0; s < sizeof states / sizeof states[0]; s++) {
            if (requests[i].states & IN(states[s]))
                continue;
            open_in_state(&options, states[s]);
            CU_ASSERT_EQUAL(requests[i].make(), DM_INVALID);
            expect_state(states[s]);
            expect_quiet();
        }
    }
}

static void
second_request_is_full_and_disturbs_nothing(void)
{
    struct client_options options = default_options();

    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        if (!(requests[i].states & IN(CLIENT_ACTIVE)))
            continue;
        open_in_state(&options, CLIENT_ACTIVE);
        CU_ASSERT_EQUAL(make_register(), DM_OK);
        forget_log();
        CU_ASSERT_EQUAL(requests[i].make(), DM_FULL);
        expect_quiet();
        give(WIRE("\x07\x0B\x00\x05\x00\x01\x00"));
        expect_event(CLIENT_EVENT_DONE, MQTTSN_REGISTER);
    }
}

static void
retry_options_set_interval_and_count(void)
{
    struct client_options options = default_options();

    options.retry_ms = 200;
    options.retry_count = 1;
    open_in_state(&options, CLIENT_ACTIVE);
    CU_ASSERT_EQUAL(make_disconnect(), DM_OK);
    expect_sent(WIRE("\x02\x18"));
    pass_time(200);
    expect_sent(WIRE("\x02\x18"));
    pass_time(200);
    expect_event(CLIENT_EVENT_TIMEOUT, MQTTSN_DISCONNECT);
}

static void
request_with_a_wrong_argument_is_invalid(void)
{
    struct client *client = &bench.client;
    struct dm_span none = dm_span(NULL, 0);

    open_active();
    CU_ASSERT_EQUAL(client_register(client, bench.now_ms, none), DM_INVALID);
    CU_ASSERT_EQUAL(client_subscribe(client, bench.now_ms, MQTTSN_TOPIC_NORMAL, none, 0, 0),
                    DM_INVALID);
    CU_ASSERT_EQUAL(client_subscribe(client, bench.now_ms, MQTTSN_TOPIC_RESERVED, none, 1, 0),
                    DM_INVALID);
    CU_ASSERT_EQUAL(client_subscribe(client, bench.now_ms, MQTTSN_TOPIC_PREDEFINED, none, 1, 3),
                    DM_INVALID);
    CU_ASSERT_EQUAL(client_subscribe(client, bench.now_ms, MQTTSN_TOPIC_PREDEFINED, none, 1, -1),
                    DM_INVALID);
    CU_ASSERT_EQUAL(publish(3), DM_INVALID);
    CU_ASSERT_EQUAL(publish(-1), DM_INVALID); /* a normal id needs a connection (R40) */
    CU_ASSERT_EQUAL(client_sleep(client, bench.now_ms, 0), DM_INVALID);
    expect_quiet();
}

static void
request_too_long_for_the_buffer_is_full(void)
{
    static uint8_t octets[CLIENT_DATAGRAM_MAX + 1];
    struct dm_span text = dm_span(octets, sizeof octets);

    open_active();
    CU_ASSERT_EQUAL(client_register(&bench.client, bench.now_ms, text), DM_FULL);
    text.len = CLIENT_DATAGRAM_MAX - 8;
    CU_ASSERT_EQUAL(
        client_publish(&bench.client, bench.now_ms, MQTTSN_TOPIC_NORMAL, 5, 1, false, text),
        DM_FULL);
    expect_quiet();
    CU_ASSERT_EQUAL(make_register(), DM_OK); /* nothing stayed open */
}

static void
register_accepted_gives_the_id_of_the_name(void)
{
    open_active();
    CU_ASSERT_EQUAL(make_register(), DM_OK);
    give(WIRE("\x07\x0B\x00\x05\x00\x02\x00")); /* another MsgId */
    CU_ASSERT_EQUAL(bench.event_count, 0);
    give(WIRE("\x07\x0B\x00\x05\x00\x01\x00"));
    CU_ASSERT_EQUAL(expect_event(CLIENT_EVENT_DONE, MQTTSN_REGISTER)->topic_id, 5);
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("a/b")), 5);
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("a/c")), 0);
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("")), 0);
}

static void
register_refused_remembers_nothing(void)
{
    open_active();
    CU_ASSERT_EQUAL(make_register(), DM_OK);
    give(WIRE("\x07\x0B\x00\x05\x00\x01\x03"));
    CU_ASSERT_EQUAL(expect_event(CLIENT_EVENT_REFUSED, MQTTSN_REGISTER)->return_code,
                    MQTTSN_NOT_SUPPORTED);
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("a/b")), 0);
    expect_state(CLIENT_ACTIVE);
}

static void
subscribe_accepted_reports_id_and_granted_qos(void)
{
    open_active();
    CU_ASSERT_EQUAL(make_subscribe(), DM_OK);
    give(WIRE("\x08\x13\x20\x00\x09\x00\x02\x00")); /* another MsgId */
    CU_ASSERT_EQUAL(bench.event_count, 0);
    give(WIRE("\x08\x13\x20\x00\x09\x00\x01\x00"));
    const struct client_event *event = expect_event(CLIENT_EVENT_DONE, MQTTSN_SUBSCRIBE);
    CU_ASSERT_EQUAL(event->topic_id, 9);
    CU_ASSERT_EQUAL(event->qos, 1);
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("a/b")), 9);
}

static void
subscribe_refused_reports_the_code(void)
{
    open_active();
    CU_ASSERT_EQUAL(make_subscribe(), DM_OK);
    give(WIRE("\x08\x13\x00\x00\x00\x00\x01\x02"));
    CU_ASSERT_EQUAL(expect_event(CLIENT_EVENT_REFUSED, MQTTSN_SUBSCRIBE)->return_code,
                    MQTTSN_INVALID_TOPIC_ID);
}

static void
subscribe_by_id_and_short_name_sends_two_octets_and_remembers_no_name(void)
{
    open_active();
    CU_ASSERT_EQUAL(client_subscribe(&bench.client, bench.now_ms, MQTTSN_TOPIC_PREDEFINED,
                                     dm_span(NULL, 0), 7, 0),
                    DM_OK);
    expect_sent(WIRE("\x07\x12\x01\x00\x01\x00\x07"));
    give(WIRE("\x08\x13\x00\x00\x07\x00\x01\x00"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_SUBSCRIBE);
    CU_ASSERT_EQUAL(client_subscribe(&bench.client, bench.now_ms, MQTTSN_TOPIC_SHORT,
                                     dm_span(NULL, 0), 0x7470, 2),
                    DM_OK);
    expect_sent(WIRE("\x07\x12\x42\x00\x02\x74\x70"));
    give(WIRE("\x08\x13\x40\x00\x00\x00\x02\x00"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_SUBSCRIBE);
    CU_ASSERT_EQUAL(bench.client.topic_count, 0);
}

static void
unsubscribe_ends_with_its_unsuback(void)
{
    open_active();
    CU_ASSERT_EQUAL(make_unsubscribe(), DM_OK);
    give(WIRE("\x04\x15\x00\x02"));
    CU_ASSERT_EQUAL(bench.event_count, 0);
    give(WIRE("\x04\x15\x00\x01"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_UNSUBSCRIBE);
}

static void
publish_qos_0_and_minus_1_is_done_when_sent(void)
{
    struct client_options options = default_options();

    open_in_state(&options, CLIENT_DISCONNECTED);
    CU_ASSERT_EQUAL(client_publish(&bench.client, bench.now_ms, MQTTSN_TOPIC_PREDEFINED, 7, -1,
                                   true, dm_span_text("x")),
                    DM_OK);
    expect_sent(WIRE("\x08\x0C\x71\x00\x07\x00\x00x"));
    CU_ASSERT_EQUAL(publish(0), DM_INVALID);
    open_active();
    CU_ASSERT_EQUAL(make_register(), DM_OK); /* an open request is no obstacle */
    forget_log();
    CU_ASSERT_EQUAL(publish(0), DM_OK);
    expect_sent(WIRE("\x08\x0C\x00\x00\x05\x00\x00x"));
    expect_quiet();
}

static void
publish_qos_1_ends_with_its_puback(void)
{
    open_active();
    CU_ASSERT_EQUAL(publish(1), DM_OK);
    give(WIRE("\x07\x0D\x00\x05\x00\x02\x00"));
    CU_ASSERT_EQUAL(bench.event_count, 0);
    give(WIRE("\x07\x0D\x00\x00\x00\x01\x00")); /* topic id 0: the MsgId decides (R63) */
    CU_ASSERT_EQUAL(expect_event(CLIENT_EVENT_DONE, MQTTSN_PUBLISH)->topic_id, 5);
}

static void
publish_refused_as_invalid_topic_id_forgets_the_id(void)
{
    open_active();
    CU_ASSERT_EQUAL(make_register(), DM_OK);
    give(WIRE("\x07\x0B\x00\x05\x00\x01\x00"));
    CU_ASSERT_EQUAL(publish(1), DM_OK);
    forget_log();
    give(WIRE("\x07\x0D\x00\x05\x00\x02\x02"));
    CU_ASSERT_EQUAL(expect_event(CLIENT_EVENT_REFUSED, MQTTSN_PUBLISH)->return_code,
                    MQTTSN_INVALID_TOPIC_ID);
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("a/b")), 0);
}

static void
publish_qos_0_refused_is_reported_and_leaves_the_open_request(void)
{
    open_active();
    CU_ASSERT_EQUAL(publish(0), DM_OK);
    CU_ASSERT_EQUAL(make_subscribe(), DM_OK);
    give(WIRE("\x07\x0D\x00\x05\x00\x00\x01"));
    CU_ASSERT_EQUAL(expect_event(CLIENT_EVENT_REFUSED, MQTTSN_PUBLISH)->topic_id, 5);
    give(WIRE("\x08\x13\x20\x00\x09\x00\x01\x00"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_SUBSCRIBE);
}

static void
publish_qos_2_passes_pubrec_pubrel_pubcomp(void)
{
    open_active();
    CU_ASSERT_EQUAL(publish(2), DM_OK);
    expect_sent(WIRE("\x08\x0C\x40\x00\x05\x00\x01x"));
    give(WIRE("\x07\x0D\x00\x05\x00\x01\x00")); /* M36 */
    give(WIRE("\x04\x0F\x00\x02"));
    give(WIRE("\x04\x0E\x00\x01")); /* PUBCOMP before its time */
    expect_quiet();
    give(WIRE("\x04\x0F\x00\x01"));
    expect_sent(WIRE("\x04\x10\x00\x01"));
    give(WIRE("\x04\x0F\x00\x01")); /* repeated: the timer repeats PUBREL */
    expect_quiet();
    give(WIRE("\x04\x0E\x00\x01"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_PUBLISH);
    expect_quiet();
}

static void
publish_qos_2_refused_by_puback_ends(void)
{
    open_active();
    CU_ASSERT_EQUAL(publish(2), DM_OK);
    give(WIRE("\x07\x0D\x00\x05\x00\x01\x01"));
    CU_ASSERT_EQUAL(expect_event(CLIENT_EVENT_REFUSED, MQTTSN_PUBLISH)->return_code,
                    MQTTSN_CONGESTION);
}

static void
msg_id_skips_zero_when_it_wraps(void)
{
    open_active();
    bench.client.last_msg_id = 0xFFFE;
    CU_ASSERT_EQUAL(publish(1), DM_OK);
    expect_sent(WIRE("\x08\x0C\x20\x00\x05\xFF\xFFx"));
    give(WIRE("\x07\x0D\x00\x05\xFF\xFF\x00"));
    CU_ASSERT_EQUAL(publish(1), DM_OK);
    expect_sent(WIRE("\x08\x0C\x20\x00\x05\x00\x01x"));
}

/* ---- messages of the gateway ---- */

#define REGISTER_5 "\x0F\x0A\x00\x05\x01\x01\x63\x6D\x64\x2F\x72\x65\x73\x65\x74" /* cmd/reset */
#define REGACK_5 "\x07\x0B\x00\x05\x01\x01\x00"

static void
register_of_the_gateway_is_remembered_and_accepted(void)
{
    open_active();
    give(WIRE(REGISTER_5));
    expect_sent(WIRE(REGACK_5));
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("cmd/reset")), 5);
    give(WIRE(REGISTER_5)); /* repeated: REGACK was lost */
    expect_sent(WIRE(REGACK_5));
    CU_ASSERT_EQUAL(bench.client.topic_count, 1);
    expect_quiet();
}

static void
register_of_a_reserved_id_is_refused(void)
{
    open_active();
    give(WIRE("\x07\x0A\x00\x00\x01\x01\x61"));
    expect_sent(WIRE("\x07\x0B\x00\x00\x01\x01\x02"));
    give(WIRE("\x07\x0A\xFF\xFF\x01\x01\x61"));
    expect_sent(WIRE("\x07\x0B\xFF\xFF\x01\x01\x02"));
    CU_ASSERT_EQUAL(bench.client.topic_count, 0);
}

static void
name_with_a_new_id_loses_the_old_one(void)
{
    open_active();
    give(WIRE(REGISTER_5));
    give(WIRE("\x0F\x0A\x00\x06\x01\x02\x63\x6D\x64\x2F\x72\x65\x73\x65\x74"));
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("cmd/reset")), 6);
    give(WIRE("\x07\x0A\x00\x06\x01\x03\x61")); /* and the id gets another name */
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("cmd/reset")), 0);
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("a")), 6);
    CU_ASSERT_EQUAL(bench.client.topic_count, 1);
}

static void
oldest_name_is_forgotten_when_the_table_is_full(void)
{
    open_active();
    for (unsigned id = 1; id <= CLIENT_TOPICS_MAX + 1; id++) {
        uint8_t octets[] = {0x08, 0x0A, 0x00, (uint8_t)id, 0x01, 0x01, 't', (uint8_t)id};
        give(octets, sizeof octets);
        forget_log();
    }
    CU_ASSERT_EQUAL(bench.client.topic_count, CLIENT_TOPICS_MAX);
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("t\x01")), 0);
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("t\x02")), 2);
    CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("t\x41")), 65);
}

static void
name_too_long_to_remember_is_known_by_its_id(void)
{
    uint8_t octets[8 + 256] = {0x01, 0x01, 0x08, 0x0A, 0x00, 0x05, 0x01, 0x01};

    memset(octets + 8, 'n', 256);
    open_active();
    give(octets, sizeof octets);
    expect_sent(WIRE(REGACK_5));
    give(WIRE("\x08\x0C\x00\x00\x05\x00\x00x"));
    expect_message("", 5, 0, "x");
}

static void
clean_connect_forgets_ids_and_another_keeps_them(void)
{
    struct client_options options = default_options();

    for (int clean = 0; clean < 2; clean++) {
        options.clean_session = clean == 1;
        open_in_state(&options, CLIENT_ACTIVE);
        give(WIRE(REGISTER_5));
        give(WIRE("\x02\x18"));
        CU_ASSERT_EQUAL(make_connect(), DM_OK);
        CU_ASSERT_EQUAL(client_topic_id(&bench.client, dm_span_text("cmd/reset")), clean ? 0 : 5);
    }
}

static void
message_of_qos_0_is_reported_only(void)
{
    open_active();
    give(WIRE(REGISTER_5));
    forget_log();
    give(WIRE("\x08\x0C\x10\x00\x05\x00\x00x"));
    CU_ASSERT_TRUE(bench.events[0].event.retain);
    expect_message("cmd/reset", 5, 0, "x");
    expect_quiet();
}

static void
message_of_qos_1_is_acknowledged_each_time(void)
{
    open_active();
    give(WIRE(REGISTER_5));
    forget_log();
    give(WIRE("\x08\x0C\x20\x00\x05\x00\x07x"));
    expect_message("cmd/reset", 5, 1, "x");
    expect_sent(WIRE("\x07\x0D\x00\x05\x00\x07\x00"));
    give(WIRE("\x08\x0C\xA0\x00\x05\x00\x07x"));
    CU_ASSERT_TRUE(bench.events[0].event.dup);
    expect_message("cmd/reset", 5, 1, "x");
    expect_sent(WIRE("\x07\x0D\x00\x05\x00\x07\x00"));
    expect_quiet();
}

static void
message_of_qos_2_is_reported_once(void)
{
    open_active();
    give(WIRE(REGISTER_5));
    forget_log();
    give(WIRE("\x08\x0C\x40\x00\x05\x00\x07x"));
    expect_message("cmd/reset", 5, 2, "x");
    expect_sent(WIRE("\x04\x0F\x00\x07"));
    give(WIRE("\x08\x0C\xC0\x00\x05\x00\x07x")); /* PUBREC was lost */
    expect_sent(WIRE("\x04\x0F\x00\x07"));
    expect_quiet();
    give(WIRE("\x04\x10\x00\x07"));
    expect_sent(WIRE("\x04\x0E\x00\x07"));
    give(WIRE("\x04\x10\x00\x07")); /* PUBCOMP was lost */
    expect_sent(WIRE("\x04\x0E\x00\x07"));
    expect_quiet();
    give(WIRE("\x08\x0C\x40\x00\x05\x00\x07y")); /* the number is free again */
    expect_message("cmd/reset", 5, 2, "y");
}

static void
message_by_predefined_id_and_short_name_needs_no_registration(void)
{
    open_active();
    give(WIRE("\x08\x0C\x21\x00\x07\x00\x01x"));
    expect_message("", 7, 1, "x");
    expect_sent(WIRE("\x07\x0D\x00\x07\x00\x01\x00"));
    give(WIRE("\x08\x0C\x22\x74\x70\x00\x02x"));
    expect_message("tp", 0x7470, 1, "x");
    expect_sent(WIRE("\x07\x0D\x74\x70\x00\x02\x00"));
}

static void
message_with_an_unknown_id_is_refused_and_not_reported(void)
{
    open_active();
    give(WIRE("\x08\x0C\x00\x00\x05\x00\x00x"));
    expect_sent(WIRE("\x07\x0D\x00\x05\x00\x00\x02"));
    give(WIRE("\x08\x0C\x20\x00\x05\x00\x07x"));
    expect_sent(WIRE("\x07\x0D\x00\x05\x00\x07\x02"));
    give(WIRE("\x08\x0C\x40\x00\x05\x00\x08x"));
    expect_sent(WIRE("\x07\x0D\x00\x05\x00\x08\x02"));
    give(WIRE("\x08\x0C\x23\x00\x05\x00\x09x")); /* reserved type */
    expect_sent(WIRE("\x07\x0D\x00\x05\x00\x09\x03"));
    give(WIRE("\x08\x0C\x61\x00\x07\x00\x00x")); /* QoS -1, never from a gateway */
    expect_quiet();
}

static void
ping_of_the_gateway_is_answered(void)
{
    open_active();
    give(WIRE("\x02\x16"));
    expect_sent(WIRE("\x02\x17"));
    expect_quiet();
}

static void
disconnect_of_the_gateway_ends_the_open_request_too(void)
{
    open_active();
    CU_ASSERT_EQUAL(make_register(), DM_OK);
    forget_log();
    give(WIRE("\x02\x18"));
    expect_event(CLIENT_EVENT_DISCONNECTED, MQTTSN_DISCONNECT);
    expect_state(CLIENT_DISCONNECTED);
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), UINT64_MAX);
    give(WIRE("\x08\x0C\x21\x00\x07\x00\x01x")); /* nothing is for a disconnected client */
    expect_quiet();
}

static void
application_may_connect_again_from_the_event(void)
{
    open_active();
    bench.reconnects = true;
    give(WIRE("\x02\x18"));
    expect_event(CLIENT_EVENT_DISCONNECTED, MQTTSN_DISCONNECT);
    expect_sent(WIRE("\x0A\x04\x00\x01\x00\x00"
                     "dev1"));
    expect_state(CLIENT_CONNECTING);
    for (unsigned i = 0; i <= RETRY_COUNT; i++)
        pass_time(RETRY_MS);
    expect_state(CLIENT_CONNECTING); /* the time-out's event connected again */
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), bench.now_ms + RETRY_MS);
}

static void
disconnect_accepted_leaves_disconnected(void)
{
    open_active();
    CU_ASSERT_EQUAL(make_disconnect(), DM_OK);
    give(WIRE("\x02\x18"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_DISCONNECT);
    expect_state(CLIENT_DISCONNECTED);
}

/* ---- sleep ---- */

static void
sleep_cycle_delivers_register_and_publish_before_pingresp(void)
{
    open_active();
    CU_ASSERT_EQUAL(make_sleep(), DM_OK);
    expect_sent(WIRE("\x04\x18\x02\x58"));
    expect_state(CLIENT_ACTIVE);
    give(WIRE("\x02\x18"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_DISCONNECT);
    expect_state(CLIENT_ASLEEP);
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), UINT64_MAX);
    pass_time(600000);
    expect_quiet();

    CU_ASSERT_EQUAL(make_wake(), DM_OK);
    expect_sent(WIRE("\x06\x16"
                     "dev1"));
    expect_state(CLIENT_AWAKE);
    give(WIRE(REGISTER_5));
    expect_sent(WIRE(REGACK_5));
    give(WIRE("\x08\x0C\x20\x00\x05\x01\x02x"));
    expect_message("cmd/reset", 5, 1, "x");
    expect_sent(WIRE("\x07\x0D\x00\x05\x01\x02\x00"));
    expect_state(CLIENT_AWAKE);
    give(WIRE("\x02\x17"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_PINGREQ);
    expect_state(CLIENT_ASLEEP);
    expect_quiet();
}

static void
asleep_client_sends_and_hears_nothing(void)
{
    struct client_options options = default_options();

    options.keepalive_s = 60;
    open_in_state(&options, CLIENT_ASLEEP);
    for (size_t i = 0; i < EXAMPLE_COUNT; i++)
        give(examples[i].octets, examples[i].len);
    pass_time(10000000);
    expect_state(CLIENT_ASLEEP); /* DISCONNECT, too: a second answer to a repeated request */
    expect_quiet();
}

static void
awake_client_restarts_its_timer_at_every_message_but_pingresp(void)
{
    struct client_options options = default_options();

    open_in_state(&options, CLIENT_AWAKE);
    pass_time(RETRY_MS - 1);
    give(WIRE("\x08\x0C\x01\x00\x07\x00\x00x"));
    expect_message("", 7, 0, "x");
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), bench.now_ms + RETRY_MS);
    pass_time(RETRY_MS - 1);
    expect_quiet();
    pass_time(1);
    expect_sent(WIRE("\x06\x16"
                     "dev1"));
}

static void
awake_client_that_is_told_to_disconnect_is_disconnected(void)
{
    struct client_options options = default_options();

    open_in_state(&options, CLIENT_AWAKE);
    give(WIRE("\x02\x18"));
    expect_event(CLIENT_EVENT_DISCONNECTED, MQTTSN_DISCONNECT);
    expect_state(CLIENT_DISCONNECTED);
}

static void
asleep_client_may_ask_for_a_new_duration_disconnect_or_connect(void)
{
    struct client_options options = default_options();

    open_in_state(&options, CLIENT_ASLEEP);
    CU_ASSERT_EQUAL(make_sleep(), DM_OK);
    give(WIRE("\x02\x18"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_DISCONNECT);
    expect_state(CLIENT_ASLEEP);
    CU_ASSERT_EQUAL(make_disconnect(), DM_OK);
    give(WIRE("\x02\x18"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_DISCONNECT);
    expect_state(CLIENT_DISCONNECTED);

    open_in_state(&options, CLIENT_ASLEEP);
    CU_ASSERT_EQUAL(make_connect(), DM_OK);
    expect_state(CLIENT_CONNECTING);
    give(WIRE("\x03\x05\x00"));
    expect_state(CLIENT_ACTIVE);
}

/* ---- keep-alive ---- */

static void
open_with_keepalive(void)
{
    struct client_options options = default_options();

    options.keepalive_s = 60;
    open_in_state(&options, CLIENT_ACTIVE);
}

static void
silent_active_client_pings_at_three_quarters_of_the_keepalive(void)
{
    open_with_keepalive();
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), bench.now_ms + 45000);
    pass_time(44999);
    expect_quiet();
    CU_ASSERT_EQUAL(publish(0), DM_OK); /* being heard puts it off */
    forget_log();
    pass_time(44999);
    expect_quiet();
    pass_time(1);
    expect_sent(WIRE("\x02\x16"));
    give(WIRE("\x02\x17"));
    expect_quiet(); /* its own affair: no event */
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), bench.now_ms + 45000);
    give(WIRE("\x02\x17")); /* not asked for */
    expect_state(CLIENT_ACTIVE);
}

static void
ping_without_answer_ends_disconnected(void)
{
    open_with_keepalive();
    pass_time(45000);
    expect_sent(WIRE("\x02\x16"));
    for (unsigned i = 0; i < RETRY_COUNT; i++) {
        pass_time(RETRY_MS);
        expect_sent(WIRE("\x02\x16"));
    }
    pass_time(RETRY_MS);
    expect_event(CLIENT_EVENT_TIMEOUT, MQTTSN_PINGREQ);
    expect_state(CLIENT_DISCONNECTED);
    expect_quiet();
}

static void
request_takes_the_place_of_an_open_keepalive_ping(void)
{
    open_with_keepalive();
    pass_time(45000);
    expect_sent(WIRE("\x02\x16"));
    CU_ASSERT_EQUAL(make_register(), DM_OK);
    forget_log();
    give(WIRE("\x02\x17"));
    expect_quiet();
    give(WIRE("\x07\x0B\x00\x05\x00\x01\x00"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_REGISTER);
}

static void
client_that_waits_longer_than_its_keepalive_still_pings(void)
{
    struct client_options options = default_options();

    options.keepalive_s = 4;
    open_in_state(&options, CLIENT_ACTIVE);
    CU_ASSERT_EQUAL(make_register(), DM_OK);
    forget_log();
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), bench.now_ms + 3000);
    pass_time(3000);
    expect_sent(WIRE("\x02\x16"));
    give(WIRE("\x02\x17"));
    give(WIRE("\x07\x0B\x00\x05\x00\x01\x00"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_REGISTER);
    expect_quiet();
}

static void
client_without_keepalive_never_pings(void)
{
    open_active();
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), UINT64_MAX);
    pass_time(100000000);
    expect_quiet();
}

/* ---- hostile input ---- */

static void
random_datagrams_and_requests_never_break_the_client(void)
{
    struct random_source source = random_start("random datagrams", 4);
    struct client_options options = default_options();

    options.keepalive_s = 60;
    options.will = (struct client_will){.topic = dm_span_text("w"), .qos = 1};
    bench_open(&options);
    for (int i = 0; i < 200000; i++) {
        uint8_t octets[32];
        const struct example *example = &examples[random_below(&source, EXAMPLE_COUNT)];
        size_t len = example->len;
        memcpy(octets, example->octets, len);
        if (random_below(&source, 3) == 0)
            octets[random_below(&source, (unsigned)len)] = (uint8_t)random_next(&source);
        if (random_below(&source, 20) == 0)
            len = random_below(&source, (unsigned)len);
        forget_log();
        give(octets, len);
        if (random_below(&source, 4) == 0)
            (void)requests[random_below(&source, REQUEST_COUNT)].make();
        if (random_below(&source, 8) == 0)
            pass_time(random_below(&source, 30000));
        CU_ASSERT_TRUE_FATAL(bench.client.topic_count <= CLIENT_TOPICS_MAX);
        CU_ASSERT_TRUE_FATAL(client_state(&bench.client) <= CLIENT_AWAKE);
        CU_ASSERT_TRUE(client_state(&bench.client) != CLIENT_AWAKE || bench.client.request_open);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(init_with_bad_options_is_invalid),
    UNIT_TEST(connect_accepted_makes_active),
    UNIT_TEST(connect_refused_leaves_disconnected),
    UNIT_TEST(connecting_ignores_the_late_answer_to_an_earlier_disconnect),
    UNIT_TEST(every_request_is_repeated_and_then_times_out),
    UNIT_TEST(request_in_another_state_is_invalid_and_sends_nothing),
    UNIT_TEST(second_request_is_full_and_disturbs_nothing),
    UNIT_TEST(retry_options_set_interval_and_count),
    UNIT_TEST(request_with_a_wrong_argument_is_invalid),
    UNIT_TEST(request_too_long_for_the_buffer_is_full),
    UNIT_TEST(register_accepted_gives_the_id_of_the_name),
    UNIT_TEST(register_refused_remembers_nothing),
    UNIT_TEST(subscribe_accepted_reports_id_and_granted_qos),
    UNIT_TEST(subscribe_refused_reports_the_code),
    UNIT_TEST(subscribe_by_id_and_short_name_sends_two_octets_and_remembers_no_name),
    UNIT_TEST(unsubscribe_ends_with_its_unsuback),
    UNIT_TEST(publish_qos_0_and_minus_1_is_done_when_sent),
    UNIT_TEST(publish_qos_1_ends_with_its_puback),
    UNIT_TEST(publish_refused_as_invalid_topic_id_forgets_the_id),
    UNIT_TEST(publish_qos_0_refused_is_reported_and_leaves_the_open_request),
    UNIT_TEST(publish_qos_2_passes_pubrec_pubrel_pubcomp),
    UNIT_TEST(publish_qos_2_refused_by_puback_ends),
    UNIT_TEST(msg_id_skips_zero_when_it_wraps),
    UNIT_TEST(register_of_the_gateway_is_remembered_and_accepted),
    UNIT_TEST(register_of_a_reserved_id_is_refused),
    UNIT_TEST(name_with_a_new_id_loses_the_old_one),
    UNIT_TEST(oldest_name_is_forgotten_when_the_table_is_full),
    UNIT_TEST(name_too_long_to_remember_is_known_by_its_id),
    UNIT_TEST(clean_connect_forgets_ids_and_another_keeps_them),
    UNIT_TEST(message_of_qos_0_is_reported_only),
    UNIT_TEST(message_of_qos_1_is_acknowledged_each_time),
    UNIT_TEST(message_of_qos_2_is_reported_once),
    UNIT_TEST(message_by_predefined_id_and_short_name_needs_no_registration),
    UNIT_TEST(message_with_an_unknown_id_is_refused_and_not_reported),
    UNIT_TEST(ping_of_the_gateway_is_answered),
    UNIT_TEST(disconnect_of_the_gateway_ends_the_open_request_too),
    UNIT_TEST(application_may_connect_again_from_the_event),
    UNIT_TEST(disconnect_accepted_leaves_disconnected),
    UNIT_TEST(sleep_cycle_delivers_register_and_publish_before_pingresp),
    UNIT_TEST(asleep_client_sends_and_hears_nothing),
    UNIT_TEST(awake_client_restarts_its_timer_at_every_message_but_pingresp),
    UNIT_TEST(awake_client_that_is_told_to_disconnect_is_disconnected),
    UNIT_TEST(asleep_client_may_ask_for_a_new_duration_disconnect_or_connect),
    UNIT_TEST(silent_active_client_pings_at_three_quarters_of_the_keepalive),
    UNIT_TEST(ping_without_answer_ends_disconnected),
    UNIT_TEST(request_takes_the_place_of_an_open_keepalive_ping),
    UNIT_TEST(client_that_waits_longer_than_its_keepalive_still_pings),
    UNIT_TEST(client_without_keepalive_never_pings),
    UNIT_TEST(random_datagrams_and_requests_never_break_the_client),
};

UNIT_MAIN("client", tests)
