/* SPDX-License-Identifier: Apache-2.0 */
/* Serial links to radios: hello, confirmations, repetition, addresses, two devices. Time is frozen
 * in all of them. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "pty_line.h"
#include "radio_frame.h"
#include "steady_clock.h"
#include "unit.h"

#define NODE "serial:barn:0013a20040a1b2c3"
#define NODE_OCTETS 0x00, 0x13, 0xa2, 0x00, 0x40, 0xa1, 0xb2, 0xc3
#define CONFIRM_MS 5000 /* of xbee */
#define RH_CONFIRM_MS 200
#define FRAME_ROOM 256

static const uint8_t ping[] = {0x02, 0x16};
static const uint8_t pong[] = {0x02, 0x17};
/* QoS 1: the device answers. */
static const uint8_t publish[] = {0x08, 0x0c, 0x20, 0x00, 0x05, 0x00, 0x01, 0x55};
static const uint8_t hello[] = {0x08, 0xff, 'N', 'P'};

/* A link whose line is never busy. */
static void
start(struct line *line, const char *framing)
{
    steady_clock_freeze();
    line_init(line);
    line->options.framing = framing;
    line->options.address = 1;
    line->options.settings.baud = 4000000;
    line_start(line);
    line_advance(line, 0);
}

/* The radio says so. */
static void
hear(struct line *line, const void *content, size_t len)
{
    uint8_t frame[FRAME_ROOM];

    line_hear(line, frame, radio_frame(line->options.framing, dm_span(content, len), frame));
}

/* True if the next frame at the far end has this content. */
static bool
reads(const struct line *line, const void *content, size_t len)
{
    uint8_t frame[FRAME_ROOM];

    return line_reads(line, frame,
                      radio_frame(line->options.framing, dm_span(content, len), frame));
}

/* A link to an XBee that has asked its radio already. */
static void
start_xbee(struct line *line)
{
    start(line, "xbee");
    CU_ASSERT_TRUE(reads(line, hello, sizeof hello));
}

static enum dm_result
send_to(struct line *line, const char *node, const void *data, size_t len)
{
    struct dm_address to = fixture_address(&line->fixture, node);

    return fixture_send(&line->fixture, &to, data, len);
}

static struct transport_status
status_of(const struct line *line)
{
    return fixture_status(&line->fixture);
}

/* A transmission of `publish` to the node. */
static bool
reads_publish(const struct line *line, uint8_t id)
{
    uint8_t content[14 + sizeof publish] = {0x10, id, NODE_OCTETS, 0xff, 0xfe, 0, 0};

    memcpy(content + 14, publish, sizeof publish);
    return reads(line, content, sizeof content);
}

static void
hear_status(struct line *line, uint8_t id, uint8_t delivery)
{
    const uint8_t content[] = {0x8b, id, 0xff, 0xfe, 0, delivery, 0};

    hear(line, content, sizeof content);
}

static void
hear_ping(struct line *line, uint8_t last)
{
    const uint8_t content[] = {0x90, 0x00, 0x13, 0xa2, 0x00, 0x40, 0xa1,
                               0xb2, last, 0xff, 0xfe, 0x01, 0x02, 0x16};

    hear(line, content, sizeof content);
}

static void
keep_node(void *ctx, const struct transport_node *node)
{
    *(struct transport_node *)ctx = *node;
}

/* The one that was heard. */
static struct transport_node
only_node(const struct line *line)
{
    struct transport_node node = {.messages = 0};

    line->fixture.transport->ops->each_node(line->fixture.transport, keep_node, &node);
    return node;
}

/* ---- opening ---- */

static void
open_delay_is_silence_in_both_directions(void)
{
    struct line line;

    steady_clock_freeze();
    line_init(&line);
    line.options.open_delay_ms = 2000;
    line_plug_in(&line);
    line_point_link(&line);
    line_open(&line);
    CU_ASSERT_FALSE(status_of(&line).up);
    CU_ASSERT_PTR_NOT_NULL(strstr(status_of(&line).error, "is open, the radio starts"));
    CU_ASSERT_EQUAL(send_to(&line, "serial:barn:", pong, sizeof pong), DM_IO);
    line_hear(&line, ping, sizeof ping);
    line_hear(&line, publish, 3); /* the beginning of a frame is not kept */
    line_advance(&line, 1998);
    CU_ASSERT_FALSE(status_of(&line).up);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 0);
    line_advance(&line, 2);
    CU_ASSERT_TRUE(status_of(&line).up);
    CU_ASSERT_STRING_EQUAL(status_of(&line).error, "");
    CU_ASSERT_EQUAL(line.fixture.link_changes, 1);
    CU_ASSERT_TRUE(line.fixture.up);
    CU_ASSERT_EQUAL(line.fixture.received, 0);
    CU_ASSERT_EQUAL(status_of(&line).rx_octets + status_of(&line).tx_octets, 0);

    line_hear(&line, ping, sizeof ping);
    CU_ASSERT_EQUAL(line.fixture.received, 1);
    CU_ASSERT_EQUAL(send_to(&line, "serial:barn:", pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(line_reads(&line, pong, sizeof pong));
    line_fini(&line);
}

static void
hang_up_during_open_delay_tells_nothing(void)
{
    struct line line;

    steady_clock_freeze();
    line_init(&line);
    line.options.open_delay_ms = 2000;
    line_plug_in(&line);
    line_point_link(&line);
    line_open(&line);
    line_unplug(&line);
    line_advance(&line, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(status_of(&line).error, "lost"));
    line_plug_in(&line);
    line_point_link(&line);
    line_advance(&line, 500);
    CU_ASSERT_EQUAL(status_of(&line).reopens, 1);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 0);
    line_advance(&line, 1998); /* it begins anew */
    CU_ASSERT_EQUAL(line.fixture.link_changes, 0);
    line_advance(&line, 2);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 1);
    CU_ASSERT_TRUE(line.fixture.up);
    line_fini(&line);
}

static void
hello_goes_first_at_every_open(void)
{
    struct line line;

    steady_clock_freeze();
    line_init(&line);
    line.options.framing = "xbee";
    line_start(&line);
    CU_ASSERT_EQUAL(send_to(&line, NODE, publish, sizeof publish), DM_LATER);
    line_advance(&line, 0);
    CU_ASSERT_TRUE(reads(&line, hello, sizeof hello));
    CU_ASSERT_TRUE(reads_publish(&line, 1));
    CU_ASSERT_EQUAL(line.fixture.sent, 1);
    CU_ASSERT_EQUAL(status_of(&line).tx_datagrams, 1); /* hello is no message */
    line_unplug(&line);
    line_advance(&line, 0);
    line_plug_in(&line);
    line_point_link(&line);
    line_advance(&line, 500);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 2);
    line_advance(&line, 0);
    CU_ASSERT_TRUE(reads(&line, hello, sizeof hello));
    line_fini(&line);
}

static void
hello_of_a_slow_bridge_waits_but_messages_do_not(void)
{
    static const uint8_t config[19] = {0x13, 0x02, 7};
    uint8_t frame[FRAME_ROOM];
    struct line line;

    steady_clock_freeze();
    line_init(&line);
    line.options.framing = "aquila";
    line.options.pan = 7;
    line_start(&line);
    CU_ASSERT_EQUAL(send_to(&line, "serial:barn:0100", ping, sizeof ping), DM_OK);
    uint64_t octets = status_of(&line).tx_octets;
    CU_ASSERT_TRUE(octets > 0);
    CU_ASSERT_TRUE(line_reads(&line, (uint8_t[]){0xc0, 5, 0xfe, 1, 1, 0}, 6));
    line_advance(&line, 2198);
    CU_ASSERT_EQUAL(status_of(&line).tx_octets, octets);
    line_advance(&line, 2);
    octets += radio_frame("aquila", dm_span(config, sizeof config), frame);
    CU_ASSERT_EQUAL(status_of(&line).tx_octets, octets);
    line_advance(&line, 10000);
    CU_ASSERT_EQUAL(status_of(&line).tx_octets, octets); /* once */

    line_unplug(&line); /* and again where it begins anew */
    line_advance(&line, 0);
    line_plug_in(&line);
    line_point_link(&line);
    line_advance(&line, 500);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 2);
    line_advance(&line, 2198);
    CU_ASSERT_EQUAL(status_of(&line).tx_octets, octets);
    line_advance(&line, 2);
    CU_ASSERT_TRUE(reads(&line, config, sizeof config));
    line_fini(&line);
}

static void
hear_payload(struct line *line, uint16_t payload)
{
    const uint8_t content[] = {0x88, 0xff, 'N', 'P', 0, (uint8_t)(payload >> 8), (uint8_t)payload};

    hear(line, content, sizeof content);
}

static void
payload_of_the_radio_lowers_the_mtu(void)
{
    uint8_t message[84] = {84, 0x0c};
    struct line line;

    start_xbee(&line);
    hear_payload(&line, LINE_MTU); /* no news */
    hear_payload(&line, 256);
    hear_payload(&line, 6); /* impossible */
    CU_ASSERT_EQUAL(line.fixture.mtu_changes, 0);
    CU_ASSERT_EQUAL(line.fixture.transport->mtu, LINE_MTU);
    hear_payload(&line, 84);
    CU_ASSERT_EQUAL(line.fixture.mtu_changes, 1);
    CU_ASSERT_EQUAL(line.fixture.mtu, 84);
    CU_ASSERT_EQUAL(line.fixture.transport->mtu, 84);
    CU_ASSERT_EQUAL(send_to(&line, NODE, message, 84), DM_OK);
    message[0] = 85;
    CU_ASSERT_EQUAL(send_to(&line, NODE, message, 85), DM_INVALID);
    line_fini(&line);
}

/* ---- confirmations ---- */

static void
frame_that_the_radio_delivers_is_done_with(void)
{
    struct line line;

    start_xbee(&line);
    CU_ASSERT_EQUAL(send_to(&line, NODE, publish, sizeof publish), DM_OK);
    CU_ASSERT_TRUE(reads_publish(&line, 1));
    hear_status(&line, 1, 0);
    line_advance(&line, 2 * CONFIRM_MS);
    struct transport_status status = status_of(&line);
    CU_ASSERT_EQUAL(status.tx_datagrams, 1);
    CU_ASSERT_EQUAL(status.tx_unconfirmed, 0);
    CU_ASSERT_EQUAL(status.tx_repeats, 0);
    CU_ASSERT_EQUAL(line.fixture.sent, 0);
    line_fini(&line);
}

static void
frame_that_the_radio_cannot_deliver_is_counted_and_not_repeated(void)
{
    struct line line;

    start_xbee(&line);
    hear_ping(&line, 0xc3);
    send_to(&line, NODE, publish, sizeof publish);
    CU_ASSERT_TRUE(reads_publish(&line, 1));
    hear_status(&line, 2, 0x21); /* of another frame */
    CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 0);
    hear_status(&line, 1, 0x21);
    CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 1);
    CU_ASSERT_EQUAL(only_node(&line).unconfirmed, 1);
    hear_status(&line, 1, 0x21);
    CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 1);
    line_advance(&line, 2 * CONFIRM_MS);
    CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 1);
    CU_ASSERT_EQUAL(status_of(&line).tx_repeats, 0);
    CU_ASSERT_EQUAL(status_of(&line).tx_datagrams, 1);
    line_fini(&line);
}

static void
silence_of_the_radio_is_waited_for_as_long_as_configured(void)
{
    static const unsigned timeouts_ms[] = {0, 700};

    for (size_t i = 0; i < 2; i++) {
        unsigned wait_ms = timeouts_ms[i] != 0 ? timeouts_ms[i] : CONFIRM_MS;
        struct line line;

        steady_clock_freeze();
        line_init(&line);
        line.options.framing = "xbee";
        line.options.ack_timeout_ms = timeouts_ms[i];
        line_start(&line);
        line_advance(&line, 30); /* the line is free */
        send_to(&line, NODE, publish, sizeof publish);
        line_advance(&line, wait_ms - 2);
        CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 0);
        line_advance(&line, 2);
        CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 1);
        hear_status(&line, 1, 0x21); /* too late */
        CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 1);
        line_fini(&line);
    }
}

static void
four_frames_of_an_xbee_are_out_and_no_more(void)
{
    struct line line;

    start_xbee(&line);
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(send_to(&line, NODE, publish, sizeof publish), DM_OK);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(send_to(&line, NODE, publish, sizeof publish), DM_LATER);
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 3);
    for (uint8_t id = 1; id <= 4; id++)
        CU_ASSERT_TRUE(reads_publish(&line, id));
    line_advance(&line, 100);
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 3);
    CU_ASSERT_EQUAL(line.fixture.sent, 0);
    hear_status(&line, 3, 0);
    CU_ASSERT_TRUE(reads_publish(&line, 5));
    CU_ASSERT_EQUAL(line.fixture.sent, 1);
    hear_status(&line, 1, 0x21); /* a failure makes room, too */
    CU_ASSERT_TRUE(reads_publish(&line, 6));
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 1);
    line_advance(&line, CONFIRM_MS - 100); /* and silence: frames 2 and 4 */
    CU_ASSERT_TRUE(reads_publish(&line, 7));
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 0);
    CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 3);
    CU_ASSERT_EQUAL(line.fixture.sent, 3);
    line_fini(&line);
}

/* RHReliableDatagram: the same octets again, three times. */
static void
rh_frame_is_repeated_three_times_and_then_given_up(void)
{
    static const uint8_t content[] = {2, 1, 1, 0, 0x08, 0x0c, 0x20, 0x00, 0x05, 0x00, 0x01, 0x55};
    struct line line;

    start(&line, "rh-serial");
    CU_ASSERT_EQUAL(send_to(&line, "serial:barn:02", publish, sizeof publish), DM_OK);
    CU_ASSERT_TRUE(reads(&line, content, sizeof content));
    for (unsigned repeats = 1; repeats <= 3; repeats++) {
        line_advance(&line, RH_CONFIRM_MS - 2);
        CU_ASSERT_EQUAL(status_of(&line).tx_repeats, repeats - 1);
        line_advance(&line, 2);
        CU_ASSERT_EQUAL(status_of(&line).tx_repeats, repeats);
        CU_ASSERT_TRUE(reads(&line, content, sizeof content));
    }
    CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 0);
    line_advance(&line, RH_CONFIRM_MS);
    CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 1);
    CU_ASSERT_EQUAL(status_of(&line).tx_repeats, 3);
    CU_ASSERT_EQUAL(status_of(&line).tx_datagrams, 1);
    CU_ASSERT_EQUAL(line.fixture.sent, 0);
    /* The next one has its turn, with an id of its own. */
    CU_ASSERT_EQUAL(send_to(&line, "serial:barn:02", publish, sizeof publish), DM_OK);
    CU_ASSERT_EQUAL(status_of(&line).tx_datagrams, 2);
    line_fini(&line);
}

static void
rh_acknowledgement_ends_the_repetition(void)
{
    static const uint8_t acknowledgement[] = {1, 2, 1, 0x80, '!'};
    struct line line;

    start(&line, "rh-serial");
    send_to(&line, "serial:barn:02", publish, sizeof publish);
    CU_ASSERT_EQUAL(send_to(&line, "serial:barn:03", publish, sizeof publish), DM_LATER);
    line_advance(&line, RH_CONFIRM_MS);
    CU_ASSERT_EQUAL(status_of(&line).tx_repeats, 1);
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 1); /* one at a time */
    hear(&line, acknowledgement, sizeof acknowledgement);
    CU_ASSERT_EQUAL(status_of(&line).tx_waiting, 0);
    CU_ASSERT_EQUAL(status_of(&line).tx_datagrams, 2);
    CU_ASSERT_EQUAL(line.fixture.sent, 1);
    CU_ASSERT_STRING_EQUAL(fixture_text(&line.fixture, &line.fixture.sent_to), "serial:barn:03");
    /* The second is not acknowledged: who sent it is not told of each repetition. */
    line_advance(&line, RH_CONFIRM_MS);
    CU_ASSERT_EQUAL(status_of(&line).tx_repeats, 2);
    CU_ASSERT_EQUAL(line.fixture.sent, 1);
    CU_ASSERT_EQUAL(status_of(&line).tx_unconfirmed, 0);
    line_fini(&line);
}

static void
rh_broadcast_is_not_waited_for(void)
{
    static const uint8_t gwinfo[] = {0x03, 0x02, 0x01};
    static const uint8_t content[] = {0xff, 1, 1, 0, 0x03, 0x02, 0x01};
    struct line line;

    start(&line, "rh-serial");
    CU_ASSERT_EQUAL(fixture_broadcast(&line.fixture, NULL, 0, gwinfo, sizeof gwinfo), DM_OK);
    CU_ASSERT_TRUE(reads(&line, content, sizeof content));
    CU_ASSERT_EQUAL(send_to(&line, "serial:barn:02", publish, sizeof publish), DM_OK);
    line_advance(&line, RH_CONFIRM_MS);
    CU_ASSERT_EQUAL(status_of(&line).tx_repeats, 1); /* of the second alone */
    line_fini(&line);
}

/* ---- nodes ---- */

static void
xbee_node_is_heard_answered_and_named_by_its_address(void)
{
    static const uint8_t answer[] = {0x10, 1, NODE_OCTETS, 0xff, 0xfe, 0, 0, 0x02, 0x17};
    struct line line;

    start_xbee(&line);
    hear_ping(&line, 0xc3);
    CU_ASSERT_TRUE_FATAL(fixture_is(&line.fixture, 0, ping, sizeof ping));
    struct dm_address from = line.fixture.datagrams[0].from;
    struct dm_address named = fixture_address(&line.fixture, NODE);
    CU_ASSERT_STRING_EQUAL(fixture_text(&line.fixture, &from), NODE);
    CU_ASSERT_TRUE(dm_address_equal(&from, &named));
    CU_ASSERT_EQUAL(fixture_send(&line.fixture, &from, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(reads(&line, answer, sizeof answer));

    struct transport_node node = only_node(&line);
    CU_ASSERT_TRUE(dm_address_equal(&node.address, &from));
    CU_ASSERT_EQUAL(node.messages, 1);
    /* Nobody has an address of another length. */
    CU_ASSERT_EQUAL(send_to(&line, "serial:barn:01ab", pong, sizeof pong), DM_INVALID);
    line_fini(&line);
}

static void
broadcast_is_for_all_addresses_or_for_who_asked(void)
{
    static const uint8_t gwinfo[] = {0x03, 0x02, 0x01};
    static const uint8_t to_all[] = {0x10, 1,    0,    0, 0, 0,    0,    0,   0xff,
                                     0xff, 0xff, 0xfe, 0, 0, 0x03, 0x02, 0x01};
    static const uint8_t to_node[] = {0x10, 2, NODE_OCTETS, 0xff, 0xfe, 0, 0, 0x03, 0x02, 0x01};
    struct line line;

    start_xbee(&line);
    CU_ASSERT_EQUAL(fixture_broadcast(&line.fixture, NULL, 2, gwinfo, sizeof gwinfo), DM_OK);
    CU_ASSERT_TRUE(reads(&line, to_all, sizeof to_all));
    struct dm_address asker = fixture_address(&line.fixture, NODE);
    CU_ASSERT_EQUAL(fixture_broadcast(&line.fixture, &asker, 2, gwinfo, sizeof gwinfo), DM_OK);
    CU_ASSERT_TRUE(reads(&line, to_node, sizeof to_node));
    line_fini(&line);
}

static void
node_beyond_max_nodes_is_refused(void)
{
    struct line line;

    steady_clock_freeze();
    line_init(&line);
    line.options.framing = "xbee";
    line.options.max_nodes = 1;
    line_start(&line);
    hear_ping(&line, 1);
    hear_ping(&line, 2);
    hear_ping(&line, 1);
    CU_ASSERT_EQUAL(line.fixture.received, 2);
    CU_ASSERT_EQUAL(status_of(&line).nodes, 1);
    CU_ASSERT_EQUAL(status_of(&line).nodes_refused, 1);
    CU_ASSERT_EQUAL(status_of(&line).rx_datagrams, 2);
    CU_ASSERT_EQUAL(only_node(&line).messages, 2);
    line_fini(&line);
}

/* 0xFE has no place where nodes have addresses. */
static void
encapsulation_among_addressed_nodes_is_dropped(void)
{
    static const uint8_t content[] = {0x90, NODE_OCTETS, 0xff, 0xfe, 1, 0x03, 0xfe, 0, 0x02, 0x16};
    struct line line;

    start_xbee(&line);
    hear(&line, content, sizeof content);
    CU_ASSERT_EQUAL(line.fixture.received, 0);
    CU_ASSERT_EQUAL(status_of(&line).rx_dropped, 1);
    CU_ASSERT_EQUAL(status_of(&line).nodes, 0);
    line_fini(&line);
}

static void
pairing_is_for_framings_that_can(void)
{
    static const uint8_t enter[] = {3, 3, 1}, leave[] = {3, 3, 0};
    struct line line;

    start(&line, "xbee");
    CU_ASSERT_EQUAL(line.fixture.transport->ops->pair(line.fixture.transport, true),
                    DM_UNSUPPORTED);
    line_fini(&line);

    start(&line, "aquila");
    CU_ASSERT_EQUAL(line.fixture.transport->ops->pair(line.fixture.transport, true), DM_OK);
    line_advance(&line, 0);
    CU_ASSERT_TRUE(reads(&line, enter, sizeof enter));
    CU_ASSERT_EQUAL(line.fixture.transport->ops->pair(line.fixture.transport, false), DM_OK);
    line_advance(&line, 0);
    CU_ASSERT_TRUE(reads(&line, leave, sizeof leave));
    line_unplug(&line);
    line_advance(&line, 0);
    CU_ASSERT_EQUAL(line.fixture.transport->ops->pair(line.fixture.transport, true), DM_IO);
    line_fini(&line);
}

/* ---- counters ---- */

static void
bad_frames_are_counted_by_their_fault(void)
{
    static const uint8_t wrong_sum[] = {0x7e, 0x00, 0x02, 0x8a, 0x00, 0x00};
    static const uint8_t too_long[] = {0x7e, 0x01, 0x02};
    static const uint8_t partial[] = {0x7e, 0x00, 0x02};
    uint8_t rest[0x102 + 1] = {0};
    struct line line;

    steady_clock_freeze();
    line_init(&line);
    line.options.framing = "xbee";
    line.options.frame_gap_ms = 50;
    line_start(&line);
    line_hear(&line, wrong_sum, sizeof wrong_sum);
    CU_ASSERT_EQUAL(status_of(&line).rx_crc_errors, 1);
    CU_ASSERT_EQUAL(status_of(&line).rx_garbage, sizeof wrong_sum);
    line_hear(&line, too_long, sizeof too_long);
    line_hear(&line, rest, sizeof rest);
    CU_ASSERT_EQUAL(status_of(&line).rx_oversize, 1);
    CU_ASSERT_EQUAL(status_of(&line).rx_dropped, 1);
    line_hear(&line, partial, sizeof partial);
    line_advance(&line, 51);
    hear_ping(&line, 1);
    CU_ASSERT_EQUAL(status_of(&line).rx_gap_resets, 1);
    CU_ASSERT_EQUAL(line.fixture.received, 1);
    struct transport_status status = status_of(&line);
    CU_ASSERT_TRUE(status.serial);
    CU_ASSERT_EQUAL(status.line_frame + status.line_parity + status.line_overrun, 0);
    CU_ASSERT_EQUAL(status.rx_crc_errors, 1);
    line_fini(&line);
}

/* ---- two devices ---- */

struct modems {
    struct line line; /* the one that receives */
    struct line sender;
};

static void
start_modems(struct modems *modems)
{
    steady_clock_freeze();
    line_init(&modems->sender);
    line_plug_in(&modems->sender);
    line_point_link(&modems->sender);
    line_init(&modems->line);
    modems->line.options.framing = modems->sender.options.framing = "loralink";
    modems->line.options.tx_device = modems->sender.link;
    modems->line.options.settings.baud = 4000000;
    line_start(&modems->line);
    modems->sender.near = modems->line.near + 1;
    line_advance(&modems->line, 0);
}

static void
fini_modems(struct modems *modems)
{
    line_fini(&modems->line);
    line_fini(&modems->sender);
}

/* Through the port of the modem that sends. */
static void
hear_sender(struct modems *modems, const void *content, size_t len)
{
    hear(&modems->sender, content, len);
    line_advance(&modems->line, 0);
}

static void
two_devices_are_for_one_direction_each(void)
{
    static const uint8_t received[] = {0x02, 0xff, 0xc4, 0x00, 0x07, 0x40, 0x02, 0x16};
    static const uint8_t answer[] = {0x02, 0x40, 0x02, 0x17};
    static const uint8_t taken[] = {0x00, 0x80};
    struct modems modems;
    struct line *line = &modems.line;

    start_modems(&modems);
    hear(line, received, sizeof received);
    CU_ASSERT_TRUE_FATAL(fixture_is(&line->fixture, 0, ping, sizeof ping));
    struct transport_node node = only_node(line);
    CU_ASSERT_TRUE(node.quality.has_rssi && node.quality.has_snr);
    CU_ASSERT_EQUAL(node.quality.rssi, -60);
    CU_ASSERT_EQUAL(node.quality.snr, 7);
    CU_ASSERT_EQUAL(fixture_send(&line->fixture, &node.address, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(reads(&modems.sender, answer, sizeof answer));

    /* A node could put a confirmation on the air: that of the port that receives is none. */
    CU_ASSERT_EQUAL(send_to(line, "serial:barn:02", publish, sizeof publish), DM_LATER);
    hear(line, taken, sizeof taken);
    line_advance(line, 0);
    CU_ASSERT_EQUAL(status_of(line).tx_waiting, 1);
    hear_sender(&modems, taken, sizeof taken);
    CU_ASSERT_EQUAL(status_of(line).tx_waiting, 0);
    CU_ASSERT_EQUAL(line->fixture.sent, 1);
    CU_ASSERT_EQUAL(status_of(line).tx_unconfirmed, 0);
    fini_modems(&modems);
}

static void
loss_of_either_device_takes_the_link_down(void)
{
    for (int i = 0; i < 2; i++) {
        struct modems modems;
        struct line *line = &modems.line;

        start_modems(&modems);
        struct line *lost = i == 0 ? &modems.line : &modems.sender;
        CU_ASSERT_EQUAL(fcntl(line->near + 1, F_GETFD), FD_CLOEXEC);
        line_unplug(lost);
        line_advance(line, 0);
        CU_ASSERT_EQUAL(line->fixture.link_changes, 1);
        CU_ASSERT_FALSE(line->fixture.up);
        CU_ASSERT_PTR_NOT_NULL(strstr(status_of(line).error, lost->link));
        CU_ASSERT_EQUAL(fcntl(line->near, F_GETFD), -1);
        CU_ASSERT_EQUAL(fcntl(line->near + 1, F_GETFD), -1);
        line_advance(line, 500); /* one alone is not enough */
        CU_ASSERT_EQUAL(line->fixture.link_changes, 1);
        line_plug_in(lost);
        line_point_link(lost);
        line_advance(line, 1000);
        CU_ASSERT_EQUAL(line->fixture.link_changes, 2);
        CU_ASSERT_TRUE(line->fixture.up);
        fini_modems(&modems);
    }
}

static void
framing_of_two_devices_needs_both(void)
{
    struct line line;

    line_init(&line);
    line.options.framing = "loralink";
    CU_ASSERT_PTR_NULL(serial_open(line.fixture.base, 0, &line.options, &line.fixture.listener,
                                   line.fixture.error, sizeof line.fixture.error));
    CU_ASSERT_STRING_EQUAL(line.fixture.error, "framing loralink needs tx_device");
    line_fini(&line);
}

static const struct unit_test tests[] = {
    UNIT_TEST(open_delay_is_silence_in_both_directions),
    UNIT_TEST(hang_up_during_open_delay_tells_nothing),
    UNIT_TEST(hello_goes_first_at_every_open),
    UNIT_TEST(hello_of_a_slow_bridge_waits_but_messages_do_not),
    UNIT_TEST(payload_of_the_radio_lowers_the_mtu),
    UNIT_TEST(frame_that_the_radio_delivers_is_done_with),
    UNIT_TEST(frame_that_the_radio_cannot_deliver_is_counted_and_not_repeated),
    UNIT_TEST(silence_of_the_radio_is_waited_for_as_long_as_configured),
    UNIT_TEST(four_frames_of_an_xbee_are_out_and_no_more),
    UNIT_TEST(rh_frame_is_repeated_three_times_and_then_given_up),
    UNIT_TEST(rh_acknowledgement_ends_the_repetition),
    UNIT_TEST(rh_broadcast_is_not_waited_for),
    UNIT_TEST(xbee_node_is_heard_answered_and_named_by_its_address),
    UNIT_TEST(broadcast_is_for_all_addresses_or_for_who_asked),
    UNIT_TEST(node_beyond_max_nodes_is_refused),
    UNIT_TEST(encapsulation_among_addressed_nodes_is_dropped),
    UNIT_TEST(pairing_is_for_framings_that_can),
    UNIT_TEST(bad_frames_are_counted_by_their_fault),
    UNIT_TEST(two_devices_are_for_one_direction_each),
    UNIT_TEST(loss_of_either_device_takes_the_link_down),
    UNIT_TEST(framing_of_two_devices_needs_both),
};

UNIT_MAIN("serial radios", tests)
