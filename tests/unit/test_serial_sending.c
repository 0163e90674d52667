/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that wait for a serial line: when they leave, who is told, and what gives way. Time is
 * frozen in almost all of them. */
#include <string.h>

#include "pty_line.h"
#include "serialport_pty.h"
#include "steady_clock.h"
#include "unit.h"

#define BARE "serial:barn:"
/* 100 octets at 10 bits and 9600 baud are 104.2 ms; the next is handed over 20 ms before. */
#define LONG_MS 84

static const uint8_t ping[] = {0x02, 0x16};
static const uint8_t pong[] = {0x02, 0x17};
static const uint8_t puback[] = {0x07, 0x0d, 0x00, 0x05, 0x00, 0x01, 0x00};
static const uint8_t publish[] = {0x08, 0x0c, 0x20, 0x00, 0x05, 0x00, 0x01, 0x55};
static const uint8_t publish_0[] = {0x08, 0x0c, 0x00, 0x00, 0x05, 0x00, 0x00, 0x55};
static const uint8_t long_publish[LINE_MTU] = {LINE_MTU, 0x0c};

static enum dm_result
send_bare(struct line *line, const void *data, size_t len)
{
    struct dm_address to = fixture_address(&line->fixture, BARE);

    return fixture_send(&line->fixture, &to, data, len);
}

static struct transport_status
status_of(const struct line *line)
{
    return fixture_status(&line->fixture);
}

static void
init(struct line *line)
{
    steady_clock_freeze();
    line_init(line);
}

/* And the line is busy for LONG_MS. */
static void
start_busy(struct line *line)
{
    line_start(line);
    CU_ASSERT_EQUAL_FATAL(send_bare(line, long_publish, LINE_MTU), DM_OK);
    CU_ASSERT_TRUE(line_reads(line, long_publish, LINE_MTU));
}

static void
message_that_waits_is_told_of_once_when_it_leaves(void)
{
    struct line line;

    init(&line);
    start_busy(&line);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_LATER);
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 1);
    line_advance(&line, LONG_MS - 2);
    CU_ASSERT_EQUAL(line.fixture.sent, 0);
    CU_ASSERT_EQUAL(status_of(&line).tx_octets, LINE_MTU);
    line_advance(&line, 3);
    CU_ASSERT_EQUAL(line.fixture.sent, 1);
    CU_ASSERT_STRING_EQUAL(fixture_text(&line.fixture, &line.fixture.sent_to), BARE);
    CU_ASSERT_TRUE(line_reads(&line, publish, sizeof publish));
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 0);
    line_advance(&line, 10000);
    CU_ASSERT_EQUAL(line.fixture.sent, 1);
    line_fini(&line);
}

static void
message_that_leaves_at_once_is_not_told_of(void)
{
    struct line line;

    init(&line);
    line_start(&line);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_OK);
    line_advance(&line, 10000);
    CU_ASSERT_EQUAL(line.fixture.sent, 0);
    line_fini(&line);
}

/* Nothing is awaited from the device: when they leave is of no interest. */
static void
message_without_an_answer_that_waits_is_not_told_of(void)
{
    static const uint8_t publish_minus_1[] = {0x08, 0x0c, 0x62, 'a', 'b', 0, 0, 1};
    static const uint8_t connack[] = {0x03, 0x05, 0x00};
    struct line line;

    init(&line);
    start_busy(&line);
    CU_ASSERT_EQUAL(send_bare(&line, publish_0, sizeof publish_0), DM_OK);
    CU_ASSERT_EQUAL(send_bare(&line, publish_minus_1, sizeof publish_minus_1), DM_OK);
    CU_ASSERT_EQUAL(send_bare(&line, connack, sizeof connack), DM_OK);
    CU_ASSERT_EQUAL(send_bare(&line, pong, sizeof pong), DM_OK);
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 4);
    line_advance(&line, 1000);
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 0);
    CU_ASSERT_EQUAL(line.fixture.sent, 0);
    line_fini(&line);
}

static void
every_message_with_an_answer_is_told_of(void)
{
    static const uint8_t register_[] = {0x07, 0x0a, 0x00, 0x01, 0x00, 0x01, 'a'};
    static const uint8_t pubrel[] = {0x04, 0x10, 0x00, 0x01};
    static const uint8_t publish_2[] = {0x08, 0x0c, 0x40, 0x00, 0x05, 0x00, 0x01, 0x55};
    struct line line;

    init(&line);
    start_busy(&line);
    CU_ASSERT_EQUAL(send_bare(&line, publish_2, sizeof publish_2), DM_LATER);
    CU_ASSERT_EQUAL(send_bare(&line, register_, sizeof register_), DM_LATER);
    CU_ASSERT_EQUAL(send_bare(&line, pubrel, sizeof pubrel), DM_LATER);
    line_advance(&line, 1000);
    CU_ASSERT_EQUAL(line.fixture.sent, 3);
    CU_ASSERT_TRUE(line_reads(&line, publish_2, sizeof publish_2));
    CU_ASSERT_TRUE(line_reads(&line, register_, sizeof register_));
    CU_ASSERT_TRUE(line_reads(&line, pubrel, sizeof pubrel));
    line_fini(&line);
}

/* A PUBLISH that is repeated and comes behind its PUBREL would be another message to the device. */
static void
message_that_refers_to_an_earlier_one_does_not_overtake_it(void)
{
    static const uint8_t dup[] = {0x08, 0x0c, 0xc0, 0x00, 0x05, 0x00, 0x01, 0x55};
    static const uint8_t pubrel[] = {0x04, 0x10, 0x00, 0x01};
    static const uint8_t connack[] = {0x03, 0x05, 0x00};
    static const uint8_t suback[] = {0x08, 0x13, 0x00, 0x00, 0x05, 0x00, 0x07, 0x00};
    struct line line;

    init(&line);
    start_busy(&line);
    send_bare(&line, dup, sizeof dup);
    send_bare(&line, pubrel, sizeof pubrel);
    send_bare(&line, connack, sizeof connack);
    send_bare(&line, suback, sizeof suback); /* this one says nothing about the others */
    for (int i = 0; i < 4; i++)
        line_advance(&line, 500);
    CU_ASSERT_TRUE(line_reads(&line, suback, sizeof suback));
    CU_ASSERT_TRUE(line_reads(&line, dup, sizeof dup));
    CU_ASSERT_TRUE(line_reads(&line, pubrel, sizeof pubrel));
    CU_ASSERT_TRUE(line_reads(&line, connack, sizeof connack));
    line_fini(&line);
}

static void
listener_that_does_not_want_to_know_is_told_ok(void)
{
    struct line line;

    init(&line);
    line.fixture.listener.on_sent = NULL;
    start_busy(&line);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_OK);
    line_advance(&line, 1000);
    CU_ASSERT_TRUE(line_reads(&line, publish, sizeof publish));
    line_fini(&line);
}

static void
message_that_a_hang_up_takes_is_not_told_of(void)
{
    struct line line;

    init(&line);
    start_busy(&line);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_LATER);
    line_unplug(&line);
    line_advance(&line, 0);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 1);
    CU_ASSERT_EQUAL(status_of(&line).tx_dropped, 1);
    line_plug_in(&line);
    line_point_link(&line);
    line_advance(&line, 500);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 2);
    line_advance(&line, 10000);
    CU_ASSERT_EQUAL(line.fixture.sent, 0);
    CU_ASSERT_EQUAL(status_of(&line).tx_octets, LINE_MTU);
    /* The new line is idle. */
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_OK);
    line_fini(&line);
}

static void
link_is_congested_while_much_control_waits(void)
{
    struct line line;

    init(&line);
    line.options.tx_queue = 2;
    start_busy(&line);
    const struct transport *transport = line.fixture.transport;
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_LATER);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_LATER);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_FULL);
    CU_ASSERT_FALSE(transport->ops->is_congested(transport));
    CU_ASSERT_EQUAL(send_bare(&line, puback, sizeof puback), DM_OK);
    CU_ASSERT_TRUE(transport->ops->is_congested(transport));
    CU_ASSERT_EQUAL(send_bare(&line, puback, sizeof puback), DM_OK);
    CU_ASSERT_EQUAL(send_bare(&line, puback, sizeof puback), DM_FULL);
    CU_ASSERT_EQUAL(status_of(&line).tx_dropped, 2);
    CU_ASSERT_EQUAL(line.fixture.rooms, 0);
    line_advance(&line, LONG_MS + 10);
    CU_ASSERT_FALSE(transport->ops->is_congested(transport));
    line_advance(&line, 1000);
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 0);
    CU_ASSERT_EQUAL(line.fixture.rooms, 1);
    line_fini(&line);
}

static void
waiting_message_of_qos_0_gives_way_to_control(void)
{
    struct line line;

    init(&line);
    line.options.tx_queue = 1;
    start_busy(&line);
    CU_ASSERT_EQUAL(send_bare(&line, publish_0, sizeof publish_0), DM_OK);
    CU_ASSERT_EQUAL(send_bare(&line, puback, sizeof puback), DM_OK);
    CU_ASSERT_EQUAL(send_bare(&line, puback, sizeof puback), DM_OK);
    CU_ASSERT_EQUAL(status_of(&line).tx_dropped, 1);
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 2);
    CU_ASSERT_EQUAL(send_bare(&line, puback, sizeof puback), DM_FULL);
    line_advance(&line, 1000);
    CU_ASSERT_TRUE(line_reads(&line, puback, sizeof puback));
    CU_ASSERT_TRUE(line_reads(&line, puback, sizeof puback));
    CU_ASSERT_EQUAL(status_of(&line).tx_octets, LINE_MTU + 2 * sizeof puback);
    line_fini(&line);
}

/* Each of the options alone makes the second message wait so long, or what was heard does. */
static void
pace_is_as_the_options_say(void)
{
    static const struct {
        uint32_t gap_ms, turnaround_ms, rate, air_rate;
        double duty_cycle;
        unsigned wait_ms; /* after 8 octets, which take 8.3 ms of the line */
    } cases[] = {
        {.gap_ms = 30, .wait_ms = 39},
        {.turnaround_ms = 70, .wait_ms = 70},
        {.rate = 100, .wait_ms = 80},
        {.air_rate = 1000, .duty_cycle = 10, .wait_ms = 80},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;

        init(&line);
        line.options.tx_gap_ms = cases[i].gap_ms;
        line.options.turnaround_ms = cases[i].turnaround_ms;
        line.options.tx_rate = cases[i].rate;
        line.options.air_rate = cases[i].air_rate;
        line.options.duty_cycle = cases[i].duty_cycle;
        line_start(&line);
        CU_ASSERT_EQUAL(send_bare(&line, publish_0, sizeof publish_0), DM_OK);
        CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 0);
        line_hear(&line, ping, sizeof ping);
        CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_LATER);
        line_advance(&line, cases[i].wait_ms - 2);
        CU_ASSERT_EQUAL(line.fixture.sent, 0);
        line_advance(&line, 3);
        CU_ASSERT_EQUAL(line.fixture.sent, 1);
        line_fini(&line);
    }
}

static void
start_held(struct line *line, int waiting)
{
    init(line);
    line_plug_in(line);
    serialport_pty_use(line->pty);
    serialport_pty_set_faults((struct serialport_pty_faults){.waiting = waiting});
    line->options.device = SERIALPORT_PTY_PATH;
    line_open(line);
    CU_ASSERT_TRUE_FATAL(status_of(line).up);
}

/* At 9600 baud the kernel may have 19 octets of others before a frame. */
static void
line_that_flow_control_stops_gets_no_more(void)
{
    struct line line;

    start_held(&line, 100);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_LATER);
    for (int i = 0; i < 20; i++)
        line_advance(&line, 1000);
    CU_ASSERT_EQUAL(line.fixture.sent, 0);
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 1);
    serialport_pty_set_faults((struct serialport_pty_faults){.waiting = 0});
    line_advance(&line, LONG_MS + 1);
    CU_ASSERT_EQUAL(line.fixture.sent, 1);
    CU_ASSERT_TRUE(line_reads(&line, publish, sizeof publish));
    line_fini(&line);
}

/* 20 octets are 0.8 ms too many. */
static void
stopped_line_is_not_looked_at_all_the_time(void)
{
    struct line line;

    start_held(&line, 20);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_LATER);
    line_advance(&line, 1);
    serialport_pty_set_faults((struct serialport_pty_faults){.waiting = 0});
    line_advance(&line, 3);
    CU_ASSERT_EQUAL(line.fixture.sent, 0);
    line_advance(&line, 3);
    CU_ASSERT_EQUAL(line.fixture.sent, 1);
    line_fini(&line);
}

static void
own_echo_is_neither_a_message_nor_heard(void)
{
    uint8_t both[sizeof publish + sizeof ping];
    struct line line;

    init(&line);
    line.options.echo = true;
    line.options.turnaround_ms = 70;
    line_start(&line);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_OK);
    line_hear(&line, publish, sizeof publish);
    CU_ASSERT_EQUAL(line.fixture.received, 0);
    CU_ASSERT_EQUAL(status_of(&line).rx_octets, 0);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_OK); /* no turnaround */
    memcpy(both, publish, sizeof publish);
    memcpy(both + sizeof publish, ping, sizeof ping);
    line_hear(&line, both, sizeof both);
    CU_ASSERT_EQUAL(line.fixture.received, 1);
    CU_ASSERT_TRUE(fixture_is(&line.fixture, 0, ping, sizeof ping));
    CU_ASSERT_EQUAL(status_of(&line).rx_octets, sizeof ping);
    CU_ASSERT_EQUAL(send_bare(&line, publish, sizeof publish), DM_LATER);
    line_fini(&line);
}

/* What was sent before a hang-up does not come back on the new line. */
static void
echo_is_not_expected_after_a_hang_up(void)
{
    struct line line;

    line_init(&line);
    line.options.echo = true;
    line_start(&line);
    CU_ASSERT_EQUAL(send_bare(&line, ping, sizeof ping), DM_OK);
    line_unplug(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(&line.fixture, 1));
    line_plug_in(&line);
    line_point_link(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(&line.fixture, 2));
    line_write(&line, ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 1));
    line_fini(&line);
}

static void
prefix_goes_before_each_frame(void)
{
    static const uint8_t prefix[] = {0x00, 0x02, 0x17};
    struct line line;

    init(&line);
    memcpy(line.options.tx_prefix, prefix, sizeof prefix);
    line.options.tx_prefix_len = sizeof prefix;
    line_start(&line);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(send_bare(&line, pong, sizeof pong), DM_OK);
        CU_ASSERT_TRUE(line_reads(&line, prefix, sizeof prefix));
        CU_ASSERT_TRUE(line_reads(&line, pong, sizeof pong));
    }
    line_fini(&line);
}

static void
trailer_of_each_message_heard_is_taken_off(void)
{
    static const uint8_t heard[] = {0x02, 0x16, 0x99, 0x02, 0x17, 0x02};
    struct line line;

    init(&line);
    line.options.rx_trailer = 1;
    line_start(&line);
    line_hear(&line, heard, sizeof heard);
    CU_ASSERT_EQUAL(line.fixture.received, 2);
    CU_ASSERT_TRUE(fixture_is(&line.fixture, 0, ping, sizeof ping));
    CU_ASSERT_TRUE(fixture_is(&line.fixture, 1, pong, sizeof pong));
    CU_ASSERT_EQUAL(status_of(&line).rx_garbage, 0);
    line_fini(&line);
}

static const struct unit_test tests[] = {
    UNIT_TEST(message_that_waits_is_told_of_once_when_it_leaves),
    UNIT_TEST(message_that_leaves_at_once_is_not_told_of),
    UNIT_TEST(message_without_an_answer_that_waits_is_not_told_of),
    UNIT_TEST(every_message_with_an_answer_is_told_of),
    UNIT_TEST(message_that_refers_to_an_earlier_one_does_not_overtake_it),
    UNIT_TEST(listener_that_does_not_want_to_know_is_told_ok),
    UNIT_TEST(message_that_a_hang_up_takes_is_not_told_of),
    UNIT_TEST(link_is_congested_while_much_control_waits),
    UNIT_TEST(waiting_message_of_qos_0_gives_way_to_control),
    UNIT_TEST(pace_is_as_the_options_say),
    UNIT_TEST(line_that_flow_control_stops_gets_no_more),
    UNIT_TEST(stopped_line_is_not_looked_at_all_the_time),
    UNIT_TEST(own_echo_is_neither_a_message_nor_heard),
    UNIT_TEST(echo_is_not_expected_after_a_hang_up),
    UNIT_TEST(prefix_goes_before_each_frame),
    UNIT_TEST(trailer_of_each_message_heard_is_taken_off),
};

UNIT_MAIN("serial sending", tests)
