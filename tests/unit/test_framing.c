/* SPDX-License-Identifier: Apache-2.0 */
/* Framings: golden vectors, damaged streams, and the noise simulation of the serial reference. */
#include <dormouse/framing.h>

#include <errno.h>
#include <string.h>

#include "framing_noise.h"
#include "framing_sink.h"
#include "mqttsn_examples.h"
#include "random.h"
#include "unit.h"

static void
count_message(void *ctx, const struct framing_event *event)
{
    const uint8_t *message = event->octets.data;
    size_t len = event->octets.len;
    size_t total = 0;

    if (event->type != FRAMING_MESSAGE)
        return;

    CU_ASSERT_EQUAL(mqttsn_measure(message, len, len, &total), DM_OK);
    CU_ASSERT_EQUAL(total, len);
    ++*(size_t *)ctx;
}

/* framing-vectors.txt */
#define MESSAGE "\x0d\x0c\x62\x74\x31\x00\x00\xc0\xdb\x7e\x7d\x00\x11"
static const struct vector {
    const char *framing;
    const uint8_t *frame;
    size_t frame_len;
    const uint8_t *message;
    size_t message_len;
} vectors[] = {
    {"raw", WIRE(MESSAGE), WIRE(MESSAGE)},
    {"raw", WIRE("\x05\xfe\x01\x01\x02" MESSAGE), WIRE("\x05\xfe\x01\x01\x02" MESSAGE)},
    {"slip", WIRE("\xc0\x0d\x0c\x62\x74\x31\x00\x00\xdb\xdc\xdb\xdd\x7e\x7d\x00\x11\xc0"),
     WIRE(MESSAGE)},
    /* The reference shows the frame; 00 stands on both sides (section 2, rule 4). */
    {"cobs-crc16",
     WIRE("\x00"
          "\x06\x0d\x0c\x62\x74\x31\x01\x05\xc0\xdb\x7e\x7d\x04\x11\x4b\x26\x00"),
     WIRE(MESSAGE)},
    {"hdlc", WIRE("\x7e\x0d\x0c\x62\x74\x31\x00\x00\xc0\xdb\x7d\x5e\x7d\x5d\x00\x11\xfd\x95\x7e"),
     WIRE(MESSAGE)},
};
#define VECTOR_COUNT (sizeof vectors / sizeof vectors[0])

static void
encode_of_a_golden_message_gives_its_frame(void)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const struct vector *v = &vectors[i];
        struct framing *framing = new_framing(v->framing, MTU, GAP_MS);
        uint8_t frame[64];
        size_t len = 12345;
        CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
        CU_ASSERT_EQUAL(encode(framing, v->message, v->message_len, frame, v->frame_len - 1, &len),
                        DM_FULL);
        CU_ASSERT_EQUAL(len, 12345);
        CU_ASSERT_EQUAL(encode(framing, v->message, v->message_len, frame, v->frame_len, &len),
                        DM_OK);
        CU_ASSERT_EQUAL(len, v->frame_len);
        CU_ASSERT_EQUAL(memcmp(frame, v->frame, v->frame_len), 0);
        CU_ASSERT_TRUE(framing_encoded_max(framing, v->message_len) >= v->frame_len);
        framing_free(framing);
    }
}

static void
golden_frame_delivers_its_message_whole_and_octet_by_octet(void)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const struct vector *v = &vectors[i];
        struct sink sink;
        sink_open(&sink, v->framing, MTU);
        feed(&sink, v->frame, v->frame_len, 1000);
        CU_ASSERT_EQUAL(sink.count, 1);
        CU_ASSERT_TRUE(received(&sink, 0, v->message, v->message_len));
        for (size_t at = 0; at < v->frame_len; at++)
            feed(&sink, v->frame + at, 1, 1000 + at);
        CU_ASSERT_EQUAL(sink.count, 2);
        CU_ASSERT_TRUE(received(&sink, 1, v->message, v->message_len));
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_frames, 2);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
        framing_free(sink.framing);
    }
}

static void
every_example_message_passes_every_framing(void)
{
    for (size_t f = 0; framing_names()[f] != NULL; f++) {
        if (framing_traits_of(framing_names()[f])->node_len > 0)
            continue;
        struct sink sink;
        if (!round_trips(framing_names()[f]))
            continue;
        sink_open(&sink, framing_names()[f], MTU);
        for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
            uint8_t frame[128];
            size_t len = 0;
            CU_ASSERT_EQUAL(encode(sink.framing, examples[i].octets, examples[i].len, frame,
                                   sizeof frame, &len),
                            DM_OK);
            feed(&sink, frame, len, 0);
            CU_ASSERT_EQUAL(sink.count, i + 1);
            CU_ASSERT_TRUE(received(&sink, i, examples[i].octets, examples[i].len));
        }
        framing_free(sink.framing);
    }
}

/* One decoder for all splits: none may leave anything behind. */
static void
check_every_split(struct sink *sink, const struct example *example)
{
    uint8_t frame[128];
    size_t len = 0;

    CU_ASSERT_EQUAL_FATAL(
        encode(sink->framing, example->octets, example->len, frame, sizeof frame, &len), DM_OK);
    for (size_t cut = 1; cut < len; cut++) {
        sink->count = 0;
        feed(sink, frame, cut, 0);
        feed(sink, frame + cut, len - cut, 0);
        CU_ASSERT_EQUAL(sink->count, 1);
        CU_ASSERT_TRUE(received(sink, 0, example->octets, example->len));
    }
    sink->count = 0;
    for (size_t at = 0; at < len; at++)
        feed(sink, frame + at, 1, 0);
    CU_ASSERT_EQUAL(sink->count, 1);
    CU_ASSERT_TRUE(received(sink, 0, example->octets, example->len));
}

static void
every_example_message_in_every_split_is_delivered_once(void)
{
    for (size_t f = 0; framing_names()[f] != NULL; f++) {
        struct sink sink;
        if (!round_trips(framing_names()[f]))
            continue;
        sink_open(&sink, framing_names()[f], MTU);
        for (size_t i = 0; i < EXAMPLE_COUNT; i++)
            check_every_split(&sink, &examples[i]);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
        framing_free(sink.framing);
    }
}

static void
new_with_an_unknown_name_or_mtu_is_invalid(void)
{
    static const size_t bad_mtus[] = {0, 1, 65536};

    errno = 0;
    CU_ASSERT_PTR_NULL(new_framing("kiss", MTU, 0));
    CU_ASSERT_EQUAL(errno, EINVAL);
    for (size_t i = 0; i < sizeof bad_mtus / sizeof bad_mtus[0]; i++) {
        errno = 0;
        CU_ASSERT_PTR_NULL(new_framing("raw", bad_mtus[i], 0));
        CU_ASSERT_EQUAL(errno, EINVAL);
    }
    framing_free(NULL);
}

static void
names_are_those_that_new_knows(void)
{
    CU_ASSERT_STRING_EQUAL(framing_names()[0], "raw");
    for (size_t i = 0; framing_names()[i] != NULL; i++) {
        struct framing *framing =
            new_framing(framing_names()[i], framing_traits_of(framing_names()[i])->mtu_max, 0);
        CU_ASSERT_PTR_NOT_NULL(framing);
        framing_free(framing);
    }
}

static void
encode_beyond_the_mtu_is_invalid(void)
{
    for (size_t f = 0; framing_names()[f] != NULL; f++) {
        struct framing *framing = new_framing(framing_names()[f], 12, 0);
        uint8_t frame[64];
        size_t len;
        CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
        CU_ASSERT_EQUAL(encode(framing, WIRE(MESSAGE), frame, sizeof frame, &len), DM_INVALID);
        framing_free(framing);
    }
}

/* ---- raw ---- */

static void
raw_delivers_each_of_two_messages_in_one_chunk(void)
{
    struct sink sink;

    sink_open(&sink, "raw", MTU);
    feed(&sink, WIRE("\x02\x16\x04\x18\x02\x58"), 0);
    CU_ASSERT_EQUAL(sink.count, 2);
    CU_ASSERT_TRUE(received(&sink, 0, WIRE("\x02\x16")));
    CU_ASSERT_TRUE(received(&sink, 1, WIRE("\x04\x18\x02\x58")));
    framing_free(sink.framing);
}

static void
raw_slides_over_garbage_to_the_next_message(void)
{
    struct sink sink;

    sink_open(&sink, "raw", MTU);
    feed(&sink, WIRE("\x00\xFF\xFF\x03\x03\x00\x02\x16"), 0);
    CU_ASSERT_EQUAL(sink.count, 1);
    CU_ASSERT_TRUE(received(&sink, 0, WIRE("\x02\x16")));
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 6);
    framing_free(sink.framing);
}

static void
raw_gap_drops_a_partial_message_only_when_longer_than_the_limit(void)
{
    struct sink sink;

    sink_open(&sink, "raw", MTU);
    feed(&sink, WIRE("\x04\x18"), 1000);
    feed(&sink, WIRE("\x02\x58"), 1000 + GAP_MS);
    CU_ASSERT_EQUAL(sink.count, 1);
    feed(&sink, WIRE("\x04\x18\x02"), 2000);
    feed(&sink, WIRE("\x02\x16"), 2000 + GAP_MS + 1);
    CU_ASSERT_EQUAL(sink.count, 2);
    CU_ASSERT_TRUE(received(&sink, 1, WIRE("\x02\x16")));
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_gap_resets, 1);
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 3);
    feed(&sink, WIRE("\x02\x16"), 9000); /* nothing partial: no reset */
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_gap_resets, 1);
    framing_free(sink.framing);
}

static void
raw_without_gap_waits_for_ever(void)
{
    struct sink sink = {.framing = new_framing("raw", MTU, 0)};

    CU_ASSERT_PTR_NOT_NULL_FATAL(sink.framing);
    feed(&sink, WIRE("\x04\x18\x02"), 1000);
    feed(&sink, WIRE("\x58"), 1000000000);
    CU_ASSERT_EQUAL(sink.count, 1);
    framing_free(sink.framing);
}

/* The header without its first octet, and the data, look like messages; none may be delivered. */
static void
raw_drops_the_whole_of_a_message_longer_than_the_mtu(void)
{
    uint8_t stream[302] = {0x01, 0x01, 0x2C, 0x0C, 0x20, 0x00, 0x05, 0x00, 0x03};
    struct sink sink;

    for (size_t i = 9; i < sizeof stream; i += 2)
        memcpy(stream + i, "\x02\x17", i + 1 < sizeof stream ? 2 : 1);
    memcpy(stream + 300, "\x02\x16", 2);
    sink_open(&sink, "raw", MTU);
    feed(&sink, stream, sizeof stream, 0);
    CU_ASSERT_EQUAL(sink.count, 1);
    CU_ASSERT_TRUE(received(&sink, 0, WIRE("\x02\x16")));
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_oversize, 1);
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 300);
    feed(&sink, stream, 100, 0); /* the rest never comes: the gap ends it */
    feed(&sink, WIRE("\x02\x16"), GAP_MS + 1);
    CU_ASSERT_EQUAL(sink.count, 2);
    framing_free(sink.framing);
}

static void
raw_takes_a_message_of_exactly_the_mtu(void)
{
    uint8_t message[300] = {0x01, 0x01, 0x2C, 0x0C, 0x20, 0x00, 0x05, 0x00, 0x03};
    struct framing *framing = new_framing("raw", sizeof message, GAP_MS);
    size_t count = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
    framing_feed(framing, message, 299, 0, count_message, &count);
    CU_ASSERT_EQUAL(count, 0);
    framing_feed(framing, message + 299, 1, 0, count_message, &count);
    CU_ASSERT_EQUAL(count, 1);
    framing_free(framing);
}

static void
raw_with_the_smallest_mtu_still_skips_every_longer_message(void)
{
    for (size_t mtu = 2; mtu < 8; mtu++) {
        struct sink sink;
        sink_open(&sink, "raw", mtu);
        feed(&sink, WIRE("\x01\x00\x09\x0C\x00\x00\x05\x00\x00\x02\x16"), 0);
        feed(&sink, WIRE("\x08\x13\x20\x00\x00\x00\x04\x00\x02\x17"), 0);
        CU_ASSERT_EQUAL(sink.count, 2);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_oversize, 2);
        framing_free(sink.framing);
    }
}

static void
reset_forgets_a_partial_frame(void)
{
    for (size_t f = 0; framing_names()[f] != NULL; f++) {
        if (framing_traits_of(framing_names()[f])->node_len > 0)
            continue;
        struct sink sink;
        uint8_t frame[16];
        size_t len = 0;
        if (!round_trips(framing_names()[f]))
            continue;
        sink_open(&sink, framing_names()[f], MTU);
        CU_ASSERT_EQUAL(encode(sink.framing, WIRE("\x04\x18\x02\x58"), frame, sizeof frame, &len),
                        DM_OK);
        feed(&sink, frame, len / 2, 0);
        framing_reset(sink.framing);
        feed(&sink, frame, len, 0);
        CU_ASSERT_EQUAL(sink.count, 1);
        CU_ASSERT_TRUE(received(&sink, 0, WIRE("\x04\x18\x02\x58")));
        framing_free(sink.framing);
    }
}

static void
reset_during_delivery_is_safe(void)
{
    for (size_t f = 0; framing_names()[f] != NULL; f++) {
        if (framing_traits_of(framing_names()[f])->node_len > 0)
            continue;
        struct sink sink;
        uint8_t frames[16];
        size_t first = 0;
        size_t second = 0;
        if (!round_trips(framing_names()[f]))
            continue;
        sink_open(&sink, framing_names()[f], MTU);
        sink.reset_in_delivery = true;
        (void)encode(sink.framing, WIRE("\x02\x16"), frames, 8, &first);
        (void)encode(sink.framing, WIRE("\x02\x17"), frames + first, 8, &second);
        feed(&sink, frames, first + second, 0);
        CU_ASSERT_TRUE(received(&sink, 0, WIRE("\x02\x16")));
        feed(&sink, frames + first, second, 0);
        CU_ASSERT_TRUE(received(&sink, sink.count - 1, WIRE("\x02\x17")));
        framing_free(sink.framing);
    }
}

/* ---- random and noise ---- */

/* However the stream is cut into chunks, the same messages come out and every octet is accounted.
 */
static void
random_streams_decode_alike_in_any_chunks(void)
{
    struct random_source source = random_start("random streams", 2);

    for (size_t f = 0; framing_names()[f] != NULL; f++) {
        if (framing_traits_of(framing_names()[f])->node_len > 0)
            continue;
        for (int round = 0; round < 300; round++) {
            uint8_t stream[1000];
            size_t counts[2] = {0, 0};
            size_t mtu = 2 + random_below(&source, round % 2 ? 254 : 20);
            struct framing *whole = new_framing(framing_names()[f], mtu, GAP_MS);
            struct framing *pieces = new_framing(framing_names()[f], mtu, GAP_MS);
            CU_ASSERT_TRUE_FATAL(whole != NULL && pieces != NULL);
            for (size_t i = 0; i < sizeof stream; i++)
                stream[i] = (uint8_t)random_below(&source, random_below(&source, 3) ? 32 : 256);

            framing_feed(whole, stream, sizeof stream, 0, count_message, &counts[0]);
            for (size_t at = 0; at < sizeof stream;) {
                size_t len = 1 + random_below(&source, 300);
                len = len < sizeof stream - at ? len : sizeof stream - at;
                framing_feed(pieces, stream + at, len, 0, count_message, &counts[1]);
                at += len;
            }
            CU_ASSERT_EQUAL(counts[0], counts[1]);
            CU_ASSERT_EQUAL(memcmp(framing_counters(whole), framing_counters(pieces),
                                   sizeof *framing_counters(whole)),
                            0);
            framing_free(whole);
            framing_free(pieces);
        }
    }
}

static size_t
encode_noise(const struct framing *framing, size_t number, struct dm_span message, uint8_t *frame,
             size_t size)
{
    size_t len = 0;

    (void)number;

    CU_ASSERT_EQUAL_FATAL(encode(framing, message.data, message.len, frame, size, &len), DM_OK);
    return len;
}

/* The table of section 2; 2 points less, and half as many corrupted again, pass for chance. With a
 * CRC nothing corrupted passes. */
static void
noise_costs_no_more_than_the_reference_measured(void)
{
    static const struct {
        const char *framing;
        unsigned noise;
        bool burst;
        double intact_percent;
        unsigned corrupted;
    } cases[] = {
        {"raw", 2, false, 98.3, 27},       {"raw", 2, true, 97.6, 38},
        {"raw", 20, true, 72.5, 380},      {"slip", 2, false, 98.6, 13},
        {"slip", 2, true, 98.8, 8},        {"slip", 20, true, 85.6, 123},
        {"cobs-crc16", 2, false, 98.6, 0}, {"cobs-crc16", 2, true, 98.7, 0},
        {"cobs-crc16", 20, true, 85.3, 0}, {"hdlc", 2, false, 98.6, 0},
        {"hdlc", 2, true, 98.7, 0},        {"hdlc", 20, true, 85.3, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct noise_run *run = run_noise(new_framing(cases[i].framing, MTU, GAP_MS), MTU,
                                          encode_noise, cases[i].noise, cases[i].burst);
        double percent = 100.0 * run->intact / NOISE_MESSAGES;
        printf("\n    %s, %s, %u %% noise: %.1f %% intact, %u corrupted ", cases[i].framing,
               cases[i].burst ? "burst" : "spaced", cases[i].noise, percent, run->corrupted);
        CU_ASSERT_TRUE(percent >= cases[i].intact_percent - 2.0);
        CU_ASSERT_TRUE(
            run->corrupted <=
            (cases[i].corrupted > 0 ? cases[i].corrupted + cases[i].corrupted / 2 + 10 : 0));
        free(run);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(encode_of_a_golden_message_gives_its_frame),
    UNIT_TEST(golden_frame_delivers_its_message_whole_and_octet_by_octet),
    UNIT_TEST(every_example_message_passes_every_framing),
    UNIT_TEST(every_example_message_in_every_split_is_delivered_once),
    UNIT_TEST(new_with_an_unknown_name_or_mtu_is_invalid),
    UNIT_TEST(names_are_those_that_new_knows),
    UNIT_TEST(encode_beyond_the_mtu_is_invalid),
    UNIT_TEST(raw_delivers_each_of_two_messages_in_one_chunk),
    UNIT_TEST(raw_slides_over_garbage_to_the_next_message),
    UNIT_TEST(raw_gap_drops_a_partial_message_only_when_longer_than_the_limit),
    UNIT_TEST(raw_without_gap_waits_for_ever),
    UNIT_TEST(raw_drops_the_whole_of_a_message_longer_than_the_mtu),
    UNIT_TEST(raw_takes_a_message_of_exactly_the_mtu),
    UNIT_TEST(raw_with_the_smallest_mtu_still_skips_every_longer_message),
    UNIT_TEST(reset_forgets_a_partial_frame),
    UNIT_TEST(reset_during_delivery_is_safe),
    UNIT_TEST(random_streams_decode_alike_in_any_chunks),
    UNIT_TEST(noise_costs_no_more_than_the_reference_measured),
};

UNIT_MAIN("framing", tests)
