/* SPDX-License-Identifier: Apache-2.0 */
/* When a frame may leave, what of the input is our own echo, and the table of nodes. */
#include <string.h>

#include "serial_echo.h"
#include "serial_nodes.h"
#include "serial_pace.h"
#include "unit.h"

#define NOW UINT64_C(5000000) /* any time */
#define MS UINT64_C(1000)
#define HOUR SERIAL_NODE_SILENT_MS

/* ---- pace: 10000 baud of 10 bits, an octet takes a millisecond ---- */

static struct serial_pace
new_pace(struct serial_pace_options options)
{
    struct serial_pace pace;

    options.baud = 10000;
    options.bits = 10;
    if (options.duty_percent == 0)
        options.duty_percent = 100;
    serial_pace_init(&pace, &options);
    return pace;
}

static void
first_frame_leaves_at_once(void)
{
    struct serial_pace pace = new_pace((struct serial_pace_options){
        .gap_us = 7 * MS, .turnaround_us = 5 * MS, .rate = 1, .air_rate = 1, .duty_percent = 1});

    CU_ASSERT_TRUE(serial_pace_next(&pace) <= 1);
}

static void
next_frame_is_handed_over_shortly_before_the_line_is_free(void)
{
    struct serial_pace pace = new_pace((struct serial_pace_options){.gap_us = 0});

    serial_pace_sent(&pace, NOW, 15);
    CU_ASSERT_TRUE(serial_pace_next(&pace) <= NOW);
    serial_pace_sent(&pace, NOW, 35); /* 50 ms of the line are taken */
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 30 * MS);
    serial_pace_sent(&pace, NOW + 30 * MS, 10);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 40 * MS);
    /* An idle line does not save up time. */
    serial_pace_sent(&pace, NOW + 1000 * MS, 30);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 1010 * MS);
}

static void
bits_and_baud_make_the_time_of_an_octet(void)
{
    struct serial_pace pace;

    serial_pace_init(&pace, &(struct serial_pace_options){
                                .baud = 9600, .bits = 12, .gap_us = 1, .duty_percent = 100});
    serial_pace_sent(&pace, NOW, 80);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 100 * MS + 1);
}

static void
gap_begins_when_the_line_is_free(void)
{
    struct serial_pace pace = new_pace((struct serial_pace_options){.gap_us = 7 * MS});

    serial_pace_sent(&pace, NOW, 5);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 12 * MS);
    serial_pace_sent(&pace, NOW + 12 * MS, 5);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 24 * MS);
}

static void
turnaround_begins_with_what_was_heard_last(void)
{
    struct serial_pace pace = new_pace((struct serial_pace_options){.turnaround_us = 5 * MS});

    serial_pace_heard(&pace, NOW);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 5 * MS);
    serial_pace_heard(&pace, NOW + 3 * MS);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 8 * MS);
    /* The later of both: 40 ms of the line less the lead. */
    serial_pace_sent(&pace, NOW + 8 * MS, 40);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 28 * MS);

    pace = new_pace((struct serial_pace_options){.turnaround_us = 0});
    serial_pace_heard(&pace, NOW);
    CU_ASSERT_TRUE(serial_pace_next(&pace) <= NOW);
}

static void
rate_counts_from_the_beginning_of_a_frame(void)
{
    struct serial_pace pace = new_pace((struct serial_pace_options){.rate = 100});

    serial_pace_sent(&pace, NOW, 20); /* 20 ms on the line, 200 ms of the rate */
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 200 * MS);
    serial_pace_sent(&pace, NOW + 200 * MS, 10);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 300 * MS);
}

static void
duty_cycle_counts_the_time_on_the_air(void)
{
    struct serial_pace pace =
        new_pace((struct serial_pace_options){.air_rate = 100, .duty_percent = 10});

    serial_pace_sent(&pace, NOW, 20); /* 200 ms on the air */
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 2000 * MS);

    pace = new_pace((struct serial_pace_options){.air_rate = 100, .duty_percent = 0.1});
    serial_pace_sent(&pace, NOW, 1);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 10000 * MS);

    pace = new_pace((struct serial_pace_options){.air_rate = 100, .duty_percent = 100});
    serial_pace_sent(&pace, NOW, 15);
    CU_ASSERT_TRUE(serial_pace_next(&pace) <= NOW);
}

static void
longest_of_rate_and_duty_cycle_counts(void)
{
    struct serial_pace pace =
        new_pace((struct serial_pace_options){.rate = 10, .air_rate = 1000, .duty_percent = 50});

    serial_pace_sent(&pace, NOW, 10); /* a second of the rate, 20 ms of the duty cycle */
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 1000 * MS);
}

static void
octets_that_the_kernel_still_has_keep_the_line_busy(void)
{
    struct serial_pace pace = new_pace((struct serial_pace_options){.gap_us = 1 * MS});

    serial_pace_sent(&pace, NOW, 10);
    serial_pace_waiting(&pace, NOW + 5 * MS, 5); /* as expected */
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 11 * MS);
    serial_pace_waiting(&pace, NOW + 50 * MS, 8); /* flow control has stopped them */
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 59 * MS);
    serial_pace_waiting(&pace, NOW + 51 * MS, 0); /* not earlier than it was */
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 59 * MS);
}

/* A gap that began anew whenever somebody looks would never end. */
static void
kernel_without_octets_does_not_make_the_line_busy(void)
{
    struct serial_pace pace = new_pace((struct serial_pace_options){.gap_us = 7 * MS});

    serial_pace_waiting(&pace, NOW, 0);
    CU_ASSERT_TRUE(serial_pace_next(&pace) <= NOW);
    serial_pace_sent(&pace, NOW, 5);
    serial_pace_waiting(&pace, NOW + 12 * MS, 0);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 12 * MS);
}

static void
new_line_is_idle_but_the_duty_cycle_stays(void)
{
    struct serial_pace pace =
        new_pace((struct serial_pace_options){.gap_us = 7 * MS, .turnaround_us = 10000 * MS});

    serial_pace_sent(&pace, NOW, 100);
    serial_pace_heard(&pace, NOW);
    serial_pace_reset(&pace);
    CU_ASSERT_TRUE(serial_pace_next(&pace) <= NOW);

    pace = new_pace((struct serial_pace_options){.air_rate = 100, .duty_percent = 10});
    serial_pace_sent(&pace, NOW, 20);
    serial_pace_reset(&pace);
    CU_ASSERT_EQUAL(serial_pace_next(&pace), NOW + 2000 * MS);
}

/* ---- echo ---- */

static struct serial_echo echo;

static size_t
heard(const char *text)
{
    return serial_echo_heard(&echo, (const uint8_t *)text, strlen(text));
}

static void
sent(const char *text)
{
    serial_echo_sent(&echo, (const uint8_t *)text, strlen(text));
}

static void
own_octets_are_taken_off_in_any_pieces(void)
{
    serial_echo_init(&echo);
    CU_ASSERT_EQUAL(heard("abc"), 0);
    sent("abcdef");
    CU_ASSERT_EQUAL(heard("ab"), 2);
    sent("gh");
    CU_ASSERT_EQUAL(heard("cdefghxyz"), 6);
    CU_ASSERT_EQUAL(heard("abc"), 0);
    CU_ASSERT_EQUAL(echo.count, 0);
}

static void
talk_of_somebody_else_ends_the_expectation(void)
{
    serial_echo_init(&echo);
    sent("abcdef");
    CU_ASSERT_EQUAL(heard("abxcdef"), 2);
    CU_ASSERT_EQUAL(heard("cdef"), 0);
    sent("gh"); /* and it begins anew with what is sent next */
    CU_ASSERT_EQUAL(heard("gh"), 2);
}

static void
ring_of_expected_octets_goes_round(void)
{
    uint8_t octets[1000];

    serial_echo_init(&echo);
    for (unsigned round = 0; round < 20; round++) {
        for (size_t i = 0; i < sizeof octets; i++)
            octets[i] = (uint8_t)(i * 7 + round);
        serial_echo_sent(&echo, octets, sizeof octets);
        CU_ASSERT_EQUAL(serial_echo_heard(&echo, octets, 600), 600);
        CU_ASSERT_EQUAL(serial_echo_heard(&echo, octets + 600, 400), 400);
    }
    CU_ASSERT_EQUAL(echo.count, 0);
}

static void
octets_beyond_the_ring_are_not_expected(void)
{
    static uint8_t octets[SERIAL_ECHO_MAX + 10];

    serial_echo_init(&echo);
    sent("ab");
    CU_ASSERT_EQUAL(heard("ab"), 2); /* the ring does not begin at its first octet */
    serial_echo_sent(&echo, octets, sizeof octets);
    CU_ASSERT_EQUAL(echo.count, SERIAL_ECHO_MAX);
    CU_ASSERT_EQUAL(serial_echo_heard(&echo, octets, sizeof octets), SERIAL_ECHO_MAX);
    CU_ASSERT_EQUAL(heard("a"), 0);
}

/* ---- nodes ---- */

static struct dm_address
node(uint8_t number)
{
    return (struct dm_address){.link = 1, .len = 2, .octets = {1, number}};
}

static struct transport_node *
hear(struct serial_nodes *nodes, uint8_t number, uint64_t now_ms)
{
    struct dm_address address = node(number);

    return serial_nodes_heard(nodes, &address, now_ms);
}

static const struct transport_node *
find(const struct serial_nodes *nodes, uint8_t number)
{
    struct dm_address address = node(number);

    return serial_nodes_find(nodes, &address);
}

static void
node_keeps_what_is_known_of_it(void)
{
    struct serial_nodes nodes;

    serial_nodes_init(&nodes, 50);
    CU_ASSERT_PTR_NULL(find(&nodes, 1));
    struct transport_node *first = hear(&nodes, 1, 1000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    first->quality = (struct framing_quality){.has_rssi = true, .rssi = -70};
    first->unconfirmed = 3;
    for (uint8_t number = 2; number <= 50; number++) /* the table grows */
        CU_ASSERT_PTR_NOT_NULL_FATAL(hear(&nodes, number, 1000u + number));
    CU_ASSERT_EQUAL(nodes.count, 50);
    const struct transport_node *again = hear(&nodes, 1, 2000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT_EQUAL(nodes.count, 50);
    CU_ASSERT_EQUAL(again->messages, 2);
    CU_ASSERT_EQUAL(again->heard_ms, 2000);
    CU_ASSERT_EQUAL(again->unconfirmed, 3);
    CU_ASSERT_TRUE(again->quality.has_rssi);
    CU_ASSERT_EQUAL(again->quality.rssi, -70);
    CU_ASSERT_EQUAL(find(&nodes, 50)->messages, 1);
    serial_nodes_fini(&nodes);
    CU_ASSERT_EQUAL(nodes.count, 0);
}

static void
node_too_many_is_refused_until_one_was_silent_for_an_hour(void)
{
    struct serial_nodes nodes;

    serial_nodes_init(&nodes, 3);
    hear(&nodes, 1, 2000);
    hear(&nodes, 2, 1000);
    hear(&nodes, 3, 3000);
    CU_ASSERT_PTR_NULL(hear(&nodes, 4, 1000 + HOUR - 1));
    CU_ASSERT_PTR_NOT_NULL(find(&nodes, 2));
    struct transport_node *fourth = hear(&nodes, 4, 1000 + HOUR);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fourth);
    CU_ASSERT_EQUAL(fourth->messages, 1);
    CU_ASSERT_EQUAL(nodes.count, 3);
    CU_ASSERT_PTR_NULL(find(&nodes, 2)); /* the one that was silent longest */
    CU_ASSERT_PTR_NOT_NULL(find(&nodes, 1));
    CU_ASSERT_PTR_NOT_NULL(find(&nodes, 3));
    CU_ASSERT_PTR_NULL(hear(&nodes, 5, 1000 + HOUR));
    /* One that speaks stays, however long it was silent. */
    CU_ASSERT_EQUAL(hear(&nodes, 1, 3 * HOUR)->messages, 2);
    serial_nodes_fini(&nodes);
}

static void
node_in_the_place_of_another_inherits_nothing(void)
{
    struct serial_nodes nodes;

    serial_nodes_init(&nodes, 1);
    struct transport_node *first = hear(&nodes, 1, 1000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    first->quality.has_lqi = true;
    first->unconfirmed = 3;
    const struct transport_node *second = hear(&nodes, 2, 1000 + HOUR);
    CU_ASSERT_PTR_NOT_NULL_FATAL(second);
    CU_ASSERT_FALSE(second->quality.has_lqi);
    CU_ASSERT_EQUAL(second->unconfirmed, 0);
    CU_ASSERT_EQUAL(second->messages, 1);
    serial_nodes_fini(&nodes);
}

static const struct unit_test tests[] = {
    UNIT_TEST(first_frame_leaves_at_once),
    UNIT_TEST(next_frame_is_handed_over_shortly_before_the_line_is_free),
    UNIT_TEST(bits_and_baud_make_the_time_of_an_octet),
    UNIT_TEST(gap_begins_when_the_line_is_free),
    UNIT_TEST(turnaround_begins_with_what_was_heard_last),
    UNIT_TEST(rate_counts_from_the_beginning_of_a_frame),
    UNIT_TEST(duty_cycle_counts_the_time_on_the_air),
    UNIT_TEST(longest_of_rate_and_duty_cycle_counts),
    UNIT_TEST(octets_that_the_kernel_still_has_keep_the_line_busy),
    UNIT_TEST(kernel_without_octets_does_not_make_the_line_busy),
    UNIT_TEST(new_line_is_idle_but_the_duty_cycle_stays),
    UNIT_TEST(own_octets_are_taken_off_in_any_pieces),
    UNIT_TEST(talk_of_somebody_else_ends_the_expectation),
    UNIT_TEST(ring_of_expected_octets_goes_round),
    UNIT_TEST(octets_beyond_the_ring_are_not_expected),
    UNIT_TEST(node_keeps_what_is_known_of_it),
    UNIT_TEST(node_too_many_is_refused_until_one_was_silent_for_an_hour),
    UNIT_TEST(node_in_the_place_of_another_inherits_nothing),
};

UNIT_MAIN("serial pace, echo and nodes", tests)
