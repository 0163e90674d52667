/* SPDX-License-Identifier: Apache-2.0 */
/* The framing of RadioHead's RH_Serial: acknowledgements and repeats. */
#include "framing_radio.h"
#include "mqttsn_examples.h"

/* framing-vectors.txt */
#define GOLDEN_FRAME                                                                               \
    "\x10\x02\x01\x02\x03\x00\x0d\x0c\x62\x74\x31\x00\x00\xc0\xdb\x7e\x7d\x00\x11\x10\x03\x47\xde"
#define RH_ACK_OF_3 "\x10\x02\x02\x01\x03\x80\x21\x10\x03\x8E\x50"

static struct frame
rh_frame(uint8_t to, uint8_t from, uint8_t id, uint8_t flags, struct dm_span payload)
{
    uint8_t content[70] = {to, from, id, flags};
    struct frame frame = {.len = 0};
    size_t len = 4 + payload.len;

    CU_ASSERT_TRUE_FATAL(len + 2 <= sizeof content);
    memcpy(content + 4, payload.data, payload.len);
    memcpy(content + len, "\x10\x03", 2);
    uint16_t fcs = crc16_reflected(0xFFFF, dm_span(content, len + 2));
    add(&frame, 0x10);
    add(&frame, 0x02);
    for (size_t i = 0; i < len; i++) {
        if (content[i] == 0x10)
            add(&frame, 0x10);
        add(&frame, content[i]);
    }
    add(&frame, 0x10);
    add(&frame, 0x03);
    add(&frame, (uint8_t)(fcs >> 8));
    add(&frame, (uint8_t)fcs);
    return frame;
}

#define PINGREQ dm_span(WIRE("\x02\x16"))

static void
rh_message_is_acknowledged_before_it_is_delivered(void)
{
    struct sink sink;

    open_radio(&sink, "rh-serial", GATEWAY);
    feed(&sink, WIRE(GOLDEN_FRAME), 0);
    CU_ASSERT_EQUAL(sink.other_count, 1);
    CU_ASSERT_TRUE(is_reply(&sink, 0, WIRE(RH_ACK_OF_3)));
    CU_ASSERT_EQUAL(sink.count, 1);
    framing_free(sink.framing);

    /* A DLE wherever there can be one. */
    struct frame frame = rh_frame(0x10, 0x11, 0x10, 0, PINGREQ);
    open_radio(&sink, "rh-serial", 0x10);
    feed_frame(&sink, &frame, 0);
    CU_ASSERT_TRUE(
        is_reply(&sink, 0, WIRE("\x10\x02\x11\x10\x10\x10\x10\x80\x21\x10\x03\x7C\xE0")));
    framing_free(sink.framing);
}

struct repeat_case {
    const char *condition;
    uint8_t to, from, id, flags;
    const uint8_t *message;
    size_t len;
    uint64_t at_ms;
    bool delivered;
    bool acknowledged;
};

/* All after a PINGREQ of node 2 with id 5 at 10 s. */
static void
rh_repeats_are_acknowledged_but_not_delivered(void)
{
    static const struct repeat_case cases[] = {
        {"at once", 1, 2, 5, 0, WIRE("\x02\x16"), 10000, false, true},
        {"the last of the library", 1, 2, 5, 0, WIRE("\x02\x16"), 12000, false, true},
        {"flagged", 1, 2, 5, 0x40, WIRE("\x02\x16"), 20000, false, true},
        {"flagged, but of something else", 1, 2, 6, 0x40, WIRE("\x02\x16"), 10000, true, true},
        {"after a reboot", 1, 2, 5, 0, WIRE("\x02\x16"), 12001, true, true},
        {"after a reboot, flagged", 1, 2, 5, 0x40, WIRE("\x02\x16"), 20001, true, true},
        {"another message", 1, 2, 5, 0, WIRE("\x02\x17"), 10000, true, true},
        {"another id", 1, 2, 6, 0, WIRE("\x02\x16"), 10000, true, true},
        {"another node", 1, 3, 5, 0, WIRE("\x02\x16"), 10000, true, true},
        {"to all", 0xFF, 2, 5, 0, WIRE("\x02\x16"), 10000, true, false},
        {"to another", 4, 2, 5, 0, WIRE("\x02\x17"), 10000, false, false},
        {"our own echo", 0xFF, 1, 5, 0, WIRE("\x02\x17"), 10000, false, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct repeat_case *c = &cases[i];
        struct frame first = rh_frame(GATEWAY, DEVICE, 5, 0, PINGREQ);
        struct frame second =
            rh_frame(c->to, c->from, c->id, c->flags, dm_span(c->message, c->len));
        struct sink sink;
        open_radio(&sink, "rh-serial", GATEWAY);
        feed_frame(&sink, &first, 10000);
        feed_frame(&sink, &second, c->at_ms);
        if (sink.count != 1u + c->delivered || sink.other_count != 1u + c->acknowledged)
            printf("\n%s: %zu delivered, %zu acknowledged\n", c->condition, sink.count,
                   sink.other_count);
        CU_ASSERT_EQUAL(sink.count, 1u + c->delivered);
        CU_ASSERT_EQUAL(sink.other_count, 1u + c->acknowledged);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
        framing_free(sink.framing);
    }
}

/* A device that never counts its ids, and repeats nothing, loses only what it sends in a hurry. */
static void
rh_device_with_one_id_is_heard_again_and_again(void)
{
    struct frame frame = rh_frame(GATEWAY, DEVICE, 0, 0, PINGREQ);
    struct sink sink;

    open_radio(&sink, "rh-serial", GATEWAY);
    for (uint64_t now_ms = 0; now_ms < 9000; now_ms += 1500)
        feed_frame(&sink, &frame, now_ms);
    CU_ASSERT_EQUAL(sink.count, 3); /* 0, 3000, 6000 */
    framing_free(sink.framing);
}

struct confirmed {
    unsigned count;
    uint8_t id, node;
};

static void
on_confirmed(void *ctx, const struct framing_event *event)
{
    struct confirmed *confirmed = ctx;

    CU_ASSERT_EQUAL_FATAL(event->type, FRAMING_CONFIRMED);
    CU_ASSERT_EQUAL_FATAL(event->node.len, 1);
    CU_ASSERT_TRUE(event->taken);
    confirmed->count++;
    confirmed->id = event->id;
    confirmed->node = event->node.data[0];
}

static void
rh_acknowledgement_to_us_confirms_its_frame(void)
{
    static const struct {
        uint8_t to, from, id, flags;
        bool confirms;
    } cases[] = {
        {GATEWAY, DEVICE, 7, 0x80, true},    {GATEWAY, 3, 0x10, 0xC0, true},
        {4, DEVICE, 9, 0x80, false},         {0xFF, DEVICE, 10, 0x80, false},
        {GATEWAY, GATEWAY, 11, 0x80, false},
    };
    struct framing *framing = new_radio("rh-serial", GATEWAY, 60);

    CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct frame ack =
            rh_frame(cases[i].to, cases[i].from, cases[i].id, cases[i].flags, dm_span("!", 1));
        struct confirmed confirmed = {0, 0, 0};
        framing_feed(framing, ack.octets, ack.len, 0, on_confirmed, &confirmed);
        CU_ASSERT_EQUAL(confirmed.count, cases[i].confirms);
        CU_ASSERT_EQUAL(confirmed.id, cases[i].confirms ? cases[i].id : 0);
        CU_ASSERT_EQUAL(confirmed.node, cases[i].confirms ? cases[i].from : 0);
    }
    CU_ASSERT_EQUAL(framing_counters(framing)->rx_garbage, 0);
    framing_free(framing);
}

static const struct unit_test tests[] = {
    UNIT_TEST(rh_message_is_acknowledged_before_it_is_delivered),
    UNIT_TEST(rh_repeats_are_acknowledged_but_not_delivered),
    UNIT_TEST(rh_device_with_one_id_is_heard_again_and_again),
    UNIT_TEST(rh_acknowledgement_to_us_confirms_its_frame),
};

UNIT_MAIN("framing rh", tests)
