/* SPDX-License-Identifier: Apache-2.0 */
/* The framing of Aquila's bridges: confirmations, configuration, pairing. */
#include "framing_radio.h"
#include "mqttsn_examples.h"

#define CONFIG_FRAME                                                                               \
    "\xC0\x13\x02\x07\xDB\xDC\xDB\xDD\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F\xD9" \
    "\x4F\xC0"
#define PAIR_ENTER_FRAME "\xC0\x03\x03\x01\x22\x1C\xC0"
#define PAIR_EXIT_FRAME "\xC0\x03\x03\x00\x03\x0C\xC0"
#define PAIR_REQUEST_5A "\xC0\x11\x22\x08\x03\x02\x00\x00\x03\x03\x5A\xEC\x20\xC0"
#define PAIR_RESPONSE_5A_1                                                                         \
    "\xC0\x07\x03\x03\x00\x00\x15\x03\x5A\x01\x07\xDB\xDC\xDB\xDD\x02\x03\x04\x05\x06\x07\x08\x09" \
    "\x0A\x0B\x0C\x0D\x0E\x0F\x36\x40\xC0"

static void
aquila_ack_and_nack_confirm_the_oldest(void)
{
    struct sink sink;

    open_radio(&sink, "aquila", 0);
    feed(&sink, WIRE("\xC0\x00\x00\x02\x01\x43\x76\xC0"), 0);
    feed(&sink, WIRE("\xC0\x00\x00\x02\x00\x62\x66\xC0"), 0);
    CU_ASSERT_EQUAL_FATAL(sink.other_count, 2);
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(sink.others[i].event.type, FRAMING_CONFIRMED);
        CU_ASSERT_EQUAL(sink.others[i].event.id, 0);
        CU_ASSERT_EQUAL(sink.others[i].event.node.len, 0);
        CU_ASSERT_EQUAL(sink.others[i].event.taken, i == 0);
    }
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
    framing_free(sink.framing);
}

static void
aquila_hello_and_a_request_give_the_configuration(void)
{
    struct sink sink;

    open_radio(&sink, "aquila", 0);
    framing_hello(sink.framing, on_sink_event, &sink);
    CU_ASSERT_TRUE(is_reply(&sink, 0, WIRE(CONFIG_FRAME)));
    feed(&sink, WIRE("\xC0\x00\x00\x02\x02\x20\x46\xC0"), 0);
    CU_ASSERT_TRUE(is_reply(&sink, 1, WIRE(CONFIG_FRAME)));
    CU_ASSERT_EQUAL(sink.other_count, 2);
    framing_free(sink.framing);
}

static void
aquila_pairing_off_notes_a_request_once_a_minute(void)
{
    struct sink sink;

    open_radio(&sink, "aquila", 0);
    feed(&sink, WIRE(PAIR_REQUEST_5A), 1000);
    CU_ASSERT_TRUE(is_note(&sink, 0));
    feed(&sink, WIRE(PAIR_REQUEST_5A), 60999);
    CU_ASSERT_EQUAL(sink.other_count, 1);
    feed(&sink, WIRE(PAIR_REQUEST_5A), 61000);
    CU_ASSERT_TRUE(is_note(&sink, 1));
    CU_ASSERT_EQUAL(sink.other_count, 2);
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
    framing_free(sink.framing);
}

static void
aquila_pairing_on_gives_an_address_until_it_is_off(void)
{
    struct sink sink;

    open_radio(&sink, "aquila", 0);
    CU_ASSERT_EQUAL(framing_pair(sink.framing, true, on_sink_event, &sink), DM_OK);
    CU_ASSERT_TRUE(is_reply(&sink, 0, WIRE(PAIR_ENTER_FRAME)));
    feed(&sink, WIRE(PAIR_REQUEST_5A), 0);
    CU_ASSERT_TRUE(is_reply(&sink, 1, WIRE(PAIR_RESPONSE_5A_1)));
    CU_ASSERT_TRUE(is_note(&sink, 2));
    CU_ASSERT_EQUAL(framing_pair(sink.framing, false, on_sink_event, &sink), DM_OK);
    CU_ASSERT_TRUE(is_reply(&sink, 3, WIRE(PAIR_EXIT_FRAME)));
    feed(&sink, WIRE(PAIR_REQUEST_5A), 0);
    CU_ASSERT_TRUE(is_note(&sink, 4));
    CU_ASSERT_EQUAL(sink.other_count, 5);
    CU_ASSERT_EQUAL(sink.count, 0);
    framing_free(sink.framing);
}

/* The address in the answer to a request; 0: none was given. */
static unsigned
paired_address(struct sink *sink)
{
    sink->other_count = 0;
    feed(sink, WIRE(PAIR_REQUEST_5A), 0);
    if (sink->other_count != 2 || sink->others[0].event.type != FRAMING_REPLY)
        return 0;
    /* END and eight octets before it; 5A is none that is escaped */
    const uint8_t *octets = sink->others[0].octets + 9;
    return octets[0] == 0xDB ? octets[1] == 0xDC ? 0xC0u : 0xDBu : octets[0];
}

static void
aquila_gives_each_address_once_and_none_that_was_heard_from_or_is_expected(void)
{
    static const unsigned heard[] = {2, 253, 0x0103};
    static const uint8_t expected[] = {1, 0}, too_high[] = {3, 1};
    struct sink sink;

    open_radio(&sink, "aquila", 0);
    for (size_t i = 0; i < sizeof heard / sizeof heard[0]; i++) {
        struct frame frame = bridge_message(heard[i], dm_span(WIRE("\x02\x16")));
        feed_frame(&sink, &frame, 0);
    }
    CU_ASSERT_EQUAL(sink.count, 3);
    (void)framing_pair(sink.framing, true, on_sink_event, &sink);
    framing_expect(sink.framing, dm_span(expected, sizeof expected));
    framing_expect(sink.framing, dm_span(too_high, sizeof too_high));
    framing_expect(sink.framing, dm_span(NULL, 0)); /* no node */
    for (unsigned address = 3; address <= 252; address++)
        CU_ASSERT_EQUAL(paired_address(&sink), address);
    CU_ASSERT_EQUAL(paired_address(&sink), 0);
    CU_ASSERT_EQUAL(sink.other_count, 1);
    CU_ASSERT_TRUE(is_note(&sink, 0));
    framing_free(sink.framing);
}

static void
aquila_in_pair_mode_ignores_what_is_no_request(void)
{
    struct frame frames[] = {
        bridge_frame(WIRE("\x11\x22\x07\x03\x02\x05\x00\x02\x16")),     /* message of a node */
        bridge_frame(WIRE("\x11\x22\x08\x03\x02\x05\x00\x03\x03\x5A")), /* it has an address */
        bridge_frame(WIRE("\x11\x22\x08\x03\x02\x00\x00\x04\x03\x5A")),
        bridge_frame(WIRE("\x11\x22\x08\x03\x02\x00\x00\x03\x04\x5A")),
        bridge_frame(WIRE("\x11\x22\x09\x03\x02\x00\x00\x03\x03\x5A\x00")),
    };
    struct sink sink;

    open_radio(&sink, "aquila", 0);
    (void)framing_pair(sink.framing, true, on_sink_event, &sink);
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        feed_frame(&sink, &frames[i], 0);
    CU_ASSERT_EQUAL(sink.other_count, 1);
    CU_ASSERT_EQUAL(sink.count, 0);
    framing_free(sink.framing);
}

static void
aquila_hello_takes_the_bridge_back_to_pairing(void)
{
    struct sink sink;

    open_radio(&sink, "aquila", 0);
    (void)framing_pair(sink.framing, true, on_sink_event, &sink);
    framing_reset(sink.framing);
    framing_hello(sink.framing, on_sink_event, &sink);
    CU_ASSERT_EQUAL(sink.other_count, 3);
    CU_ASSERT_TRUE(is_reply(&sink, 1, WIRE(CONFIG_FRAME)));
    CU_ASSERT_TRUE(is_reply(&sink, 2, WIRE(PAIR_ENTER_FRAME)));
    framing_free(sink.framing);
}

static void
aquila_ignores_a_message_of_a_node_without_address(void)
{
    struct frame frame = bridge_message(0, dm_span(WIRE("\x02\x16")));
    struct sink sink;

    open_radio(&sink, "aquila", 0);
    feed_frame(&sink, &frame, 0);
    CU_ASSERT_EQUAL(sink.count, 0);
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
    framing_free(sink.framing);
}

/* The bridge would copy as many octets as the message claims. */
static void
aquila_sends_no_message_that_claims_another_length(void)
{
    static const struct {
        const uint8_t *octets;
        size_t len;
    } messages[] = {{WIRE("")}, {WIRE("\x03\x16")}, {WIRE("\x01\x00\x04\x16")}};
    struct framing *framing = new_radio("aquila", 0, 50);

    CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        uint8_t frame[64];
        size_t len;
        CU_ASSERT_EQUAL(
            encode(framing, messages[i].octets, messages[i].len, frame, sizeof frame, &len),
            DM_INVALID);
    }
    framing_free(framing);
}

static const struct unit_test tests[] = {
    UNIT_TEST(aquila_ack_and_nack_confirm_the_oldest),
    UNIT_TEST(aquila_hello_and_a_request_give_the_configuration),
    UNIT_TEST(aquila_pairing_off_notes_a_request_once_a_minute),
    UNIT_TEST(aquila_pairing_on_gives_an_address_until_it_is_off),
    UNIT_TEST(aquila_gives_each_address_once_and_none_that_was_heard_from_or_is_expected),
    UNIT_TEST(aquila_in_pair_mode_ignores_what_is_no_request),
    UNIT_TEST(aquila_hello_takes_the_bridge_back_to_pairing),
    UNIT_TEST(aquila_ignores_a_message_of_a_node_without_address),
    UNIT_TEST(aquila_sends_no_message_that_claims_another_length),
};

UNIT_MAIN("framing aquila", tests)
