/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarder encapsulation (0xFE) and discovery on serial lines. */
#include <string.h>

#include "pty_line.h"
#include "unit.h"

static const uint8_t ping[] = {0x02, 0x16};
static const uint8_t pong[] = {0x02, 0x17};
static const uint8_t wrapped_ping[] = {0x05, 0xfe, 0x00, 0x01, 0xab, 0x02, 0x16};
static const uint8_t wrapped_pong[] = {0x05, 0xfe, 0x00, 0x01, 0xab, 0x02, 0x17};

/* R111, R112 on a line with a forwarder and a node of its own. */
static void
serial_auto_answers_each_node_as_it_spoke(void)
{
    struct line line;
    struct link_fixture *fixture = &line.fixture;

    line_init(&line);
    line_start(&line);
    line_write(&line, wrapped_ping, sizeof wrapped_ping);
    line_write(&line, ping, sizeof ping);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(fixture, 2));
    CU_ASSERT_TRUE(fixture_is(fixture, 0, ping, sizeof ping));
    CU_ASSERT_TRUE(fixture_is(fixture, 1, ping, sizeof ping));
    CU_ASSERT_STRING_EQUAL(fixture_text(fixture, &fixture->datagrams[0].from), "serial:barn:01ab");
    CU_ASSERT_STRING_EQUAL(fixture_text(fixture, &fixture->datagrams[1].from), "serial:barn:");
    fixture_send(fixture, &fixture->datagrams[0].from, pong, sizeof pong);
    CU_ASSERT_TRUE(line_reads(&line, wrapped_pong, sizeof wrapped_pong));
    fixture_send(fixture, &fixture->datagrams[1].from, pong, sizeof pong);
    CU_ASSERT_TRUE(line_reads(&line, pong, sizeof pong));
    line_fini(&line);
}

static void
serial_encapsulation_off_drops_nodes_and_always_drops_bare(void)
{
    static const enum serial_encapsulation modes[] = {SERIAL_ENCAPSULATION_OFF,
                                                      SERIAL_ENCAPSULATION_ALWAYS};
    static const char *const heard[] = {"serial:barn:", "serial:barn:01ab"};

    for (size_t i = 0; i < 2; i++) {
        struct line line;

        line_init(&line);
        line.options.encapsulation = modes[i];
        line_start(&line);
        /* The one to be dropped stands between two of the other kind. */
        line_write(&line, i == 0 ? ping : wrapped_ping, i == 0 ? 2 : sizeof wrapped_ping);
        line_write(&line, i == 1 ? ping : wrapped_ping, i == 1 ? 2 : sizeof wrapped_ping);
        line_write(&line, i == 0 ? ping : wrapped_ping, i == 0 ? 2 : sizeof wrapped_ping);
        CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 2));
        for (size_t j = 0; j < 2; j++)
            CU_ASSERT_STRING_EQUAL(fixture_text(&line.fixture, &line.fixture.datagrams[j].from),
                                   heard[i]);
        CU_ASSERT_EQUAL(fixture_status(&line.fixture).rx_dropped, 1);
        line_fini(&line);
    }
}

/* R113: an id is told apart by its length and its octets, whatever the messages say. */
static void
serial_nodes_with_equal_msg_ids_are_told_apart(void)
{
    static const uint8_t publish[] = {0x07, 0x0c, 0x20, 0x00, 0x05, 0x00, 0x01};
    static const uint8_t puback[] = {0x07, 0x0d, 0x00, 0x05, 0x00, 0x01, 0x00};
    static const size_t node_lens[] = {0, 1, 2, 32};
    struct line line;
    struct link_fixture *fixture = &line.fixture;
    uint8_t frame[3 + 32 + sizeof publish];

    line_init(&line);
    line.options.settings.baud = 4000000; /* nothing waits for the line */
    line_start(&line);
    for (size_t i = 0; i < 4; i++) {
        size_t head = 3 + node_lens[i];

        memset(frame, 0xab, sizeof frame);
        memcpy(frame, (uint8_t[]){(uint8_t)head, 0xfe, 0x00}, 3);
        memcpy(frame + head, publish, sizeof publish);
        line_write(&line, frame, head + sizeof publish);
        CU_ASSERT_TRUE_FATAL(fixture_wait_received(fixture, i + 1));
        CU_ASSERT_TRUE(fixture_is(fixture, i, publish, sizeof publish));
        for (size_t j = 0; j < i; j++)
            CU_ASSERT_FALSE(
                dm_address_equal(&fixture->datagrams[i].from, &fixture->datagrams[j].from));
        memcpy(frame + head, puback, sizeof puback);
        fixture_send(fixture, &fixture->datagrams[i].from, puback, sizeof puback);
        CU_ASSERT_TRUE(line_reads(&line, frame, head + sizeof puback));
    }
    line_fini(&line);
}

/* M48, R114, R117. What no message looks like is garbage to the framing already; the rest comes to
 * the link as a frame. */
static void
serial_bad_encapsulation_is_dropped_and_counted(void)
{
    static const struct {
        uint8_t data[48];
        size_t len;
        bool garbage;
    } bad[] = {
        {{0x02, 0xfe, 0x02, 0x16}, 4, true},                               /* no room for Ctrl */
        {{0x05, 0xfe, 0x00, 0x01}, 4, true},                               /* longer than that */
        {{0x04, 0xfe, 0x00, 0x01}, 4, true},                               /* no inner message */
        {{0x04, 0xfe, 0x00, 0x01, 0x03, 0x16}, 6, true},                   /* inner Length */
        {{0x04, 0xfe, 0x00, 0x01, 0x02, 0x16, 0x00}, 7, true},             /* octets behind it */
        {{0x04, 0xfe, 0x00, 0x01, 0x03, 0xfe, 0x00, 0x02, 0x16}, 9, true}, /* chained */
        {{[0] = 36, [1] = 0xfe, [36] = 0x02, [37] = 0x16}, 38, false},     /* 33 octets of id */
    };
    static const uint8_t end = 0xc0;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct line line;

        line_init(&line);
        line.options.framing = "slip";
        line_start(&line);
        line_write(&line, bad[i].data, bad[i].len);
        line_write(&line, &end, 1);
        line_write(&line, ping, sizeof ping);
        line_write(&line, &end, 1);
        CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 1));
        CU_ASSERT_TRUE(fixture_is(&line.fixture, 0, ping, sizeof ping));
        CU_ASSERT_EQUAL(fixture_status(&line.fixture).rx_dropped, bad[i].garbage ? 0 : 1);
        CU_ASSERT_EQUAL(fixture_status(&line.fixture).rx_garbage, bad[i].garbage ? bad[i].len : 0);
        line_fini(&line);
    }
}

/* R8, R11, R112, M49: who asked decides about the frame, and unasked the configuration does. */
static void
serial_broadcast_is_one_frame_as_the_line_needs_it(void)
{
    static const struct {
        enum serial_encapsulation encapsulation;
        const char *asker; /* NULL: nobody */
        uint8_t radius;
        uint8_t frame[8];
        size_t len;
    } cases[] = {
        {SERIAL_ENCAPSULATION_AUTO, NULL, 2, {0x03, 0x02, 0x01}, 3},
        {SERIAL_ENCAPSULATION_OFF, NULL, 0, {0x03, 0x02, 0x01}, 3},
        {SERIAL_ENCAPSULATION_AUTO, "serial:barn:", 2, {0x03, 0x02, 0x01}, 3},
        {SERIAL_ENCAPSULATION_ALWAYS, NULL, 0, {0x03, 0xfe, 0x00, 0x03, 0x02, 0x01}, 6},
        {SERIAL_ENCAPSULATION_ALWAYS, NULL, 9, {0x03, 0xfe, 0x03, 0x03, 0x02, 0x01}, 6},
        {SERIAL_ENCAPSULATION_ALWAYS, "serial:barn:", 1, {0x03, 0xfe, 1, 0x03, 0x02, 0x01}, 6},
        {SERIAL_ENCAPSULATION_AUTO, "serial:barn:ab", 0, {4, 0xfe, 0, 0xab, 3, 0x02, 0x01}, 7},
        {SERIAL_ENCAPSULATION_AUTO, "serial:barn:ab", 3, {4, 0xfe, 3, 0xab, 3, 0x02, 0x01}, 7},
        {SERIAL_ENCAPSULATION_ALWAYS, "serial:barn:ab", 4, {4, 0xfe, 3, 0xab, 3, 0x02, 0x01}, 7},
        {SERIAL_ENCAPSULATION_AUTO, "serial:barn:/", 255, {0x03, 0xfe, 0x03, 3, 0x02, 0x01}, 6},
    };
    static const uint8_t gwinfo[] = {0x03, 0x02, 0x01};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;
        struct dm_address asker;

        line_init(&line);
        line.options.encapsulation = cases[i].encapsulation;
        line_start(&line);
        if (cases[i].asker != NULL)
            asker = fixture_address(&line.fixture, cases[i].asker);
        CU_ASSERT_EQUAL(fixture_broadcast(&line.fixture, cases[i].asker != NULL ? &asker : NULL,
                                          cases[i].radius, gwinfo, sizeof gwinfo),
                        DM_OK);
        CU_ASSERT_TRUE(line_reads(&line, cases[i].frame, cases[i].len));
        CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_datagrams, 1);
        CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_octets, cases[i].len);
        line_fini(&line);
    }
}

static void
serial_broadcast_that_is_not_taken_is_counted(void)
{
    static const uint8_t longer[LINE_MTU + 1];
    struct line line;

    line_init(&line);
    line_start(&line);
    CU_ASSERT_EQUAL(fixture_broadcast(&line.fixture, NULL, 0, longer, sizeof longer), DM_INVALID);
    while (fixture_broadcast(&line.fixture, NULL, 0, longer, LINE_MTU) == DM_OK)
        continue;
    CU_ASSERT_EQUAL(fixture_broadcast(&line.fixture, NULL, 0, longer, LINE_MTU), DM_FULL);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_dropped, 3);
    line_fini(&line);

    line_init(&line);
    line_open(&line);
    CU_ASSERT_EQUAL(fixture_broadcast(&line.fixture, NULL, 0, ping, sizeof ping), DM_IO);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_dropped, 1);
    line_fini(&line);
}

static const struct unit_test tests[] = {
    UNIT_TEST(serial_auto_answers_each_node_as_it_spoke),
    UNIT_TEST(serial_encapsulation_off_drops_nodes_and_always_drops_bare),
    UNIT_TEST(serial_nodes_with_equal_msg_ids_are_told_apart),
    UNIT_TEST(serial_bad_encapsulation_is_dropped_and_counted),
    UNIT_TEST(serial_broadcast_is_one_frame_as_the_line_needs_it),
    UNIT_TEST(serial_broadcast_that_is_not_taken_is_counted),
};

UNIT_MAIN("serial encapsulation", tests)
