/* SPDX-License-Identifier: Apache-2.0 */
/* Framings: golden vectors, damaged streams, and the noise simulation of the serial reference. */
#include <dormouse/framing.h>

#include <errno.h>
#include <string.h>

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

/* ---- slip ---- */

struct slip_case {
    const char *condition;
    const uint8_t *octets;
    size_t len;
    size_t delivered; /* each of them PINGREQ */
    uint64_t garbage;
    uint64_t oversize;
};

static void
slip_delivers_only_frames_of_one_whole_message(void)
{
    static const struct slip_case cases[] = {
        {"no opening END", WIRE("\x02\x16\xC0"), 1, 0, 0},
        {"shared END", WIRE("\xC0\x02\x16\xC0\x02\x16\xC0"), 2, 0, 0},
        {"empty frames", WIRE("\xC0\xC0\xC0\x02\x16\xC0\xC0"), 1, 0, 0},
        {"noise before", WIRE("\x55\xAA\xC0\x02\x16\xC0"), 1, 2, 0},
        {"two messages in a frame", WIRE("\xC0\x02\x16\x02\x16\xC0\x02\x16\xC0"), 1, 4, 0},
        {"incomplete message", WIRE("\xC0\x04\x18\x02\xC0\x02\x16\xC0"), 1, 3, 0},
        {"bad escape", WIRE("\xC0\x02\x16\xDB\x16\x02\xC0\x02\x16\xC0"), 1, 4, 0},
        {"ESC before END", WIRE("\xC0\x02\x16\xDB\xC0\x02\x16\xC0"), 1, 2, 0},
        {"oversize", WIRE("\xC0\x07\x0C\x00\x00\x05\x00\x00\x01\x02\x03\xC0\x02\x16\xC0"), 1, 10,
         1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sink sink;
        sink_open(&sink, "slip", 8);
        feed(&sink, cases[i].octets, cases[i].len, 0);
        const struct framing_counters *counters = framing_counters(sink.framing);
        if (sink.count != cases[i].delivered || counters->rx_garbage != cases[i].garbage)
            printf("\n%s: %zu delivered, %" PRIu64 " garbage\n", cases[i].condition, sink.count,
                   counters->rx_garbage);
        CU_ASSERT_EQUAL(sink.count, cases[i].delivered);
        CU_ASSERT_EQUAL(counters->rx_garbage, cases[i].garbage);
        CU_ASSERT_EQUAL(counters->rx_oversize, cases[i].oversize);
        for (size_t m = 0; m < sink.count; m++)
            CU_ASSERT_TRUE(received(&sink, m, WIRE("\x02\x16")));
        framing_free(sink.framing);
    }
}

static void
slip_of_the_worst_payload_fits_encoded_max(void)
{
    uint8_t message[MTU] = {0xFF, 0x0C, 0x00, 0x00, 0x05, 0x00, 0x00};
    uint8_t frame[2 * MTU + 2];
    size_t len = 0;
    struct sink sink;

    memset(message + 7, 0xC0, sizeof message - 7);
    sink_open(&sink, "slip", MTU);
    CU_ASSERT_TRUE(framing_encoded_max(sink.framing, sizeof message) <= sizeof frame);
    CU_ASSERT_EQUAL(encode(sink.framing, message, sizeof message, frame, sizeof frame, &len),
                    DM_OK);
    feed(&sink, frame, len, 0);
    CU_ASSERT_TRUE(received(&sink, 0, message, sizeof message));
    framing_free(sink.framing);
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

#define NOISE_MESSAGES 3000
#define NOISE_OCTET_US 1042 /* 9600 baud, 10 bits an octet */
#define NOISE_IDLE_US 60000

struct noise_message {
    uint8_t octets[80];
    size_t len;
    bool arrived;
};

struct noise_run {
    struct noise_message sent[NOISE_MESSAGES];
    unsigned intact;
    unsigned corrupted; /* delivered, but never sent */
};

static void
on_noisy_message(void *ctx, const struct framing_event *event)
{
    struct noise_run *run = ctx;
    bool was_sent = false;

    if (event->type != FRAMING_MESSAGE)
        return;
    size_t len = event->octets.len;
    const uint8_t *message = event->octets.data;

    for (size_t i = 0; i < NOISE_MESSAGES; i++) {
        if (run->sent[i].len != len || memcmp(run->sent[i].octets, message, len) != 0)
            continue;
        was_sent = true;
        if (!run->sent[i].arrived) {
            run->sent[i].arrived = true;
            run->intact++;
            return;
        }
    }
    if (!was_sent)
        run->corrupted++;
}

/* 60 % PUBLISH, 20 % PINGREQ, 10 % CONNECT, 10 % REGISTER. */
static void
make_noise_message(struct random_source *source, struct noise_message *message)
{
    static const uint8_t publish_flags[] = {0x00, 0x20, 0x62};
    uint8_t *octets = message->octets;
    unsigned kind = random_below(source, 10);

    message->arrived = false;
    if (kind < 6) {
        message->len = 7 + 4 + random_below(source, 57);
        octets[1] = 0x0C;
        octets[2] = publish_flags[random_below(source, 3)];
        random_fill(source, octets + 3, message->len - 3);
    } else if (kind < 8) {
        char id[8];
        int len = snprintf(id, sizeof id, "node%u", 1 + random_below(source, 99));
        message->len = 2 + (size_t)len;
        octets[1] = 0x16;
        memcpy(octets + 2, id, (size_t)len);
    } else if (kind < 9) {
        message->len = 12;
        memcpy(octets + 1, "\x04\x04\x01\x00\x3Cnode", 9);
        octets[10] = (uint8_t)('0' + random_below(source, 10));
        octets[11] = (uint8_t)('0' + random_below(source, 10));
    } else {
        message->len = 16;
        memcpy(octets + 1, "\x0A\x00\x00", 3);
        random_fill(source, octets + 4, 2);
        for (size_t i = 6; i < 16; i++)
            octets[i] = (uint8_t)('a' + random_below(source, 26));
    }
    octets[0] = (uint8_t)message->len;
}

/* One bit flipped, one octet lost, one inserted, or 1 to 20 octets before: equally likely. */
static size_t
damage(struct random_source *source, uint8_t *frame, size_t len)
{
    size_t at = random_below(source, (unsigned)len);
    size_t before = 1 + random_below(source, 20);

    switch (random_below(source, 4)) {
    case 0:
        frame[at] ^= (uint8_t)(1u << random_below(source, 8));
        return len;
    case 1:
        memmove(frame + at, frame + at + 1, len - at - 1);
        return len - 1;
    case 2:
        memmove(frame + at + 1, frame + at, len - at);
        frame[at] = (uint8_t)random_next(source);
        return len + 1;
    default:
        memmove(frame + before, frame, len);
        random_fill(source, frame, before);
        return len + before;
    }
}

/* Percentages of 100; octets arrive one by one in the time the line needs. */
static struct noise_run *
run_noise(const char *name, unsigned noise, bool burst)
{
    struct random_source source = random_start(name, 3);
    struct noise_run *run = calloc(1, sizeof *run);
    struct framing *framing = new_framing(name, MTU, GAP_MS);
    uint64_t now_us = 1000000;

    CU_ASSERT_TRUE_FATAL(run != NULL && framing != NULL);
    for (size_t i = 0; i < NOISE_MESSAGES; i++)
        make_noise_message(&source, &run->sent[i]);
    for (size_t i = 0; i < NOISE_MESSAGES; i++) {
        uint8_t frame[200];
        size_t len = 0;
        CU_ASSERT_EQUAL_FATAL(
            encode(framing, run->sent[i].octets, run->sent[i].len, frame, sizeof frame, &len),
            DM_OK);
        if (random_below(&source, 100) < noise)
            len = damage(&source, frame, len);
        for (size_t at = 0; at < len; at++) {
            now_us += NOISE_OCTET_US;
            framing_feed(framing, frame + at, 1, now_us / 1000, on_noisy_message, run);
        }
        if (!burst || random_below(&source, 100) >= 70)
            now_us += NOISE_IDLE_US;
    }
    framing_free(framing);
    return run;
}

/* The table of section 2; 2 points less, and half as many corrupted again, pass for chance. */
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
        {"raw", 2, false, 98.3, 27},  {"raw", 2, true, 97.6, 38}, {"raw", 20, true, 72.5, 380},
        {"slip", 2, false, 98.6, 13}, {"slip", 2, true, 98.8, 8}, {"slip", 20, true, 85.6, 123},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct noise_run *run = run_noise(cases[i].framing, cases[i].noise, cases[i].burst);
        double percent = 100.0 * run->intact / NOISE_MESSAGES;
        printf("\n    %s, %s, %u %% noise: %.1f %% intact, %u corrupted ", cases[i].framing,
               cases[i].burst ? "burst" : "spaced", cases[i].noise, percent, run->corrupted);
        CU_ASSERT_TRUE(percent >= cases[i].intact_percent - 2.0);
        CU_ASSERT_TRUE(run->corrupted <= cases[i].corrupted + cases[i].corrupted / 2 + 10);
        free(run);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(encode_of_a_golden_message_gives_its_frame),
    UNIT_TEST(golden_frame_delivers_its_message_whole_and_octet_by_octet),
    UNIT_TEST(every_example_message_passes_every_framing),
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
    UNIT_TEST(slip_delivers_only_frames_of_one_whole_message),
    UNIT_TEST(slip_of_the_worst_payload_fits_encoded_max),
    UNIT_TEST(random_streams_decode_alike_in_any_chunks),
    UNIT_TEST(noise_costs_no_more_than_the_reference_measured),
};

UNIT_MAIN("framing", tests)
