/* SPDX-License-Identifier: Apache-2.0 */
/* SLIP, COBS and HDLC: bad frames, delimiters, worst payloads. */
#include <dormouse/framing.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "framing_sink.h"
#include "mqttsn_examples.h"
#include "unit.h"

struct stream_case {
    const char *condition;
    const uint8_t *octets;
    size_t len;
    size_t delivered; /* each of them PINGREQ */
    uint64_t garbage;
    uint64_t crc_errors;
    uint64_t oversize;
};

static void
check_stream(const char *name, const struct stream_case *c)
{
    struct sink sink;

    sink_open(&sink, name, 8);
    feed(&sink, c->octets, c->len, 0);
    const struct framing_counters *counters = framing_counters(sink.framing);
    if (sink.count != c->delivered || counters->rx_garbage != c->garbage ||
        counters->rx_crc_errors != c->crc_errors || counters->rx_oversize != c->oversize)
        printf("\n%s, %s: %zu delivered, %" PRIu64 " garbage, %" PRIu64 " CRC, %" PRIu64
               " oversize\n",
               name, c->condition, sink.count, counters->rx_garbage, counters->rx_crc_errors,
               counters->rx_oversize);
    CU_ASSERT_EQUAL(sink.count, c->delivered);
    CU_ASSERT_EQUAL(counters->rx_frames, c->delivered);
    CU_ASSERT_EQUAL(counters->rx_garbage, c->garbage);
    CU_ASSERT_EQUAL(counters->rx_crc_errors, c->crc_errors);
    CU_ASSERT_EQUAL(counters->rx_oversize, c->oversize);
    for (size_t m = 0; m < sink.count; m++)
        CU_ASSERT_TRUE(received(&sink, m, WIRE("\x02\x16")));
    framing_free(sink.framing);
}

#define CHECK_STREAMS(name, cases)                                                                 \
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)                                    \
    check_stream(name, &cases[i])

static void
slip_delivers_only_frames_of_one_whole_message(void)
{
    static const struct stream_case cases[] = {
        {"no opening END", WIRE("\x02\x16\xC0"), 1, 0, 0, 0},
        {"shared END", WIRE("\xC0\x02\x16\xC0\x02\x16\xC0"), 2, 0, 0, 0},
        {"empty frames", WIRE("\xC0\xC0\xC0\x02\x16\xC0\xC0"), 1, 0, 0, 0},
        {"noise before", WIRE("\x55\xAA\xC0\x02\x16\xC0"), 1, 2, 0, 0},
        {"two messages in a frame", WIRE("\xC0\x02\x16\x02\x16\xC0\x02\x16\xC0"), 1, 4, 0, 0},
        {"incomplete message", WIRE("\xC0\x04\x18\x02\xC0\x02\x16\xC0"), 1, 3, 0, 0},
        {"bad escape", WIRE("\xC0\x02\x16\xDB\x16\x02\xC0\x02\x16\xC0"), 1, 5, 0, 0},
        {"message behind a bad escape", WIRE("\xC0\xDB\x16\x02\x16\xC0\x02\x16\xC0"), 1, 4, 0, 0},
        {"right escape behind a bad one", WIRE("\xC0\x03\x16\xDB\x55\xDC\xC0\x02\x16\xC0"), 1, 5, 0,
         0},
        {"ESC before END", WIRE("\xC0\x02\x16\xDB\xC0\x02\x16\xC0"), 1, 3, 0, 0},
        {"oversize", WIRE("\xC0\x07\x0C\x00\x00\x05\x00\x00\x01\x02\x03\xC0\x02\x16\xC0"), 1, 10, 0,
         1},
    };

    CHECK_STREAMS("slip", cases);
}

static void
cobs_delivers_only_frames_of_one_whole_message(void)
{
#define COBS_PINGREQ "\x05\x02\x16\x09\x9A"
#define COBS_GOOD "\x00" COBS_PINGREQ "\x00"
    static const struct stream_case cases[] = {
        {"no opening 00", WIRE(COBS_PINGREQ "\x00"), 1, 0, 0, 0},
        {"shared 00", WIRE("\x00" COBS_PINGREQ "\x00" COBS_PINGREQ "\x00"), 2, 0, 0, 0},
        {"empty frames", WIRE("\x00\x00" COBS_GOOD "\x00"), 1, 0, 0, 0},
        {"noise before", WIRE("\x55\xAA" COBS_GOOD), 1, 2, 0, 0},
        {"two messages in a frame", WIRE("\x07\x02\x16\x02\x16\x8C\xFE" COBS_GOOD), 1, 7, 0, 0},
        {"incomplete message", WIRE("\x06\x04\x18\x02\xBA\xC4" COBS_GOOD), 1, 6, 0, 0},
        {"wrong CRC", WIRE("\x05\x02\x16\x09\x9B" COBS_GOOD), 1, 5, 1, 0},
        {"CRC with its LSB first", WIRE("\x05\x02\x16\x9A\x09" COBS_GOOD), 1, 5, 1, 0},
        {"wrong message", WIRE("\x05\x02\x17\x09\x9A" COBS_GOOD), 1, 5, 1, 0},
        {"block longer than the frame", WIRE("\x06\x02\x16\x09\x9A" COBS_GOOD), 1, 5, 0, 0},
        {"block shorter than the frame", WIRE("\x04\x02\x16\x09\x9A" COBS_GOOD), 1, 5, 0, 0},
        {"code alone", WIRE("\x01" COBS_GOOD), 1, 1, 0, 0},
        {"shorter than a CRC", WIRE("\x02\x02" COBS_GOOD), 1, 2, 0, 0},
        {"CRC of nothing", WIRE("\x03\xFF\xFF" COBS_GOOD), 1, 3, 0, 0},
        {"one octet too long", WIRE("\x03\x09\x0C\x01\x02\x05\x01\x05\x01\x02\xFB\x3D" COBS_GOOD),
         1, 12, 0, 1},
        {"nothing but zeros", WIRE("\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01" COBS_GOOD), 1,
         12, 0, 1},
        {"message behind too many octets",
         WIRE("\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01" COBS_PINGREQ COBS_GOOD), 1, 17, 0,
         1},
    };

    CHECK_STREAMS("cobs-crc16", cases);
}

static void
hdlc_delivers_only_frames_of_one_whole_message(void)
{
#define HDLC_PINGREQ "\x02\x16\x40\x49"
#define HDLC_GOOD "\x7E" HDLC_PINGREQ "\x7E"
    static const struct stream_case cases[] = {
        {"no opening flag", WIRE(HDLC_PINGREQ "\x7E"), 1, 0, 0, 0},
        {"shared flag", WIRE("\x7E" HDLC_PINGREQ "\x7E" HDLC_PINGREQ "\x7E"), 2, 0, 0, 0},
        {"empty frames", WIRE("\x7E\x7E" HDLC_GOOD "\x7E"), 1, 0, 0, 0},
        {"noise before", WIRE("\x55\xAA" HDLC_GOOD), 1, 2, 1, 0},
        {"two messages in a frame", WIRE("\x02\x16\x02\x16\xE3\xD0" HDLC_GOOD), 1, 6, 0, 0},
        {"incomplete message", WIRE("\x04\x18\x02\xEE\xDD" HDLC_GOOD), 1, 5, 0, 0},
        {"wrong FCS", WIRE("\x02\x16\x40\x48" HDLC_GOOD), 1, 4, 1, 0},
        {"FCS with its MSB first", WIRE("\x02\x16\x49\x40" HDLC_GOOD), 1, 4, 1, 0},
        {"wrong message", WIRE("\x02\x17\x40\x49" HDLC_GOOD), 1, 4, 1, 0},
        {"abort", WIRE("\x7E" HDLC_PINGREQ "\x7D" HDLC_GOOD), 1, 5, 0, 0},
        {"abort at once", WIRE("\x7E\x7D" HDLC_GOOD), 1, 1, 0, 0},
        {"abort of a long frame",
         WIRE("\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x7D" HDLC_GOOD), 1, 12, 0, 1},
        {"needless escapes", WIRE("\x7D\x22\x7D\x36\x7D\x60\x7D\x69" HDLC_GOOD), 2, 0, 0, 0},
        {"shorter than an FCS", WIRE("\x02" HDLC_GOOD), 1, 1, 0, 0},
        {"FCS of nothing", WIRE("\x00\x00" HDLC_GOOD), 1, 2, 0, 0},
        {"one octet too long", WIRE("\x09\x0C\x00\x00\x05\x00\x00\x01\x02\x2C\xA4" HDLC_GOOD), 1,
         11, 0, 1},
        {"message behind too many octets",
         WIRE("\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01" HDLC_PINGREQ HDLC_GOOD), 1, 15, 0, 1},
    };

    CHECK_STREAMS("hdlc", cases);
}

/* ---- lengths ---- */

#define LONGEST 520 /* beyond two full COBS blocks */

struct wanted {
    const uint8_t *message;
    size_t len;
    size_t count;
};

static void
on_wanted_message(void *ctx, const struct framing_event *event)
{
    struct wanted *wanted = ctx;

    CU_ASSERT_EQUAL(event->type, FRAMING_MESSAGE);
    CU_ASSERT_EQUAL_FATAL(event->octets.len, wanted->len);
    CU_ASSERT_EQUAL(memcmp(event->octets.data, wanted->message, wanted->len), 0);
    wanted->count++;
}

/* A PUBLISH of `len` octets without 00 in its header, and `fill` as its data. */
static void
make_publish(uint8_t *message, size_t len, uint8_t fill)
{
    size_t header = len < 256 ? 1 : 3;

    memset(message, fill, len);
    if (header == 1)
        message[0] = (uint8_t)len;
    else
        memcpy(message, (uint8_t[]){0x01, (uint8_t)(len >> 8), (uint8_t)len}, 3);
    memcpy(message + header, "\x0C\x20\x01\x01\x01\x01", 6);
}

/* In a buffer of exactly the size that is promised to do: a sanitizer sees what goes beyond. */
static void
check_length(struct framing *framing, size_t len, uint8_t fill)
{
    uint8_t message[LONGEST];
    struct wanted wanted = {message, len, 0};
    size_t size = framing_encoded_max(framing, len);
    uint8_t *frame = malloc(size);
    size_t written = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
    make_publish(message, len, fill);
    CU_ASSERT_EQUAL_FATAL(encode(framing, message, len, frame, size, &written), DM_OK);
    framing_feed(framing, frame, written, 0, on_wanted_message, &wanted);
    CU_ASSERT_EQUAL(wanted.count, 1);
    for (size_t less = 0; less < written; less += less < 4 ? 1 : written / 4)
        CU_ASSERT_EQUAL(encode(framing, message, len, frame, less, &written), DM_FULL);
    free(frame);
}

static void
every_length_of_every_payload_fits_encoded_max(void)
{
    static const uint8_t fills[] = {0x00, 0x01, 0xC0, 0x7E};

    for (size_t f = 0; framing_names()[f] != NULL; f++) {
        if (!round_trips(framing_names()[f]) ||
            framing_traits_of(framing_names()[f])->mtu_max < LONGEST)
            continue;
        struct framing *framing = new_framing(framing_names()[f], LONGEST, 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
        for (size_t len = 9; len <= LONGEST; len++)
            for (size_t i = 0; i < sizeof fills; i++)
                check_length(framing, len, fills[i]);
        CU_ASSERT_EQUAL(framing_counters(framing)->rx_garbage, 0);
        framing_free(framing);
    }
}

/* Messages or not: the buffers of whoever sends are made by encoded_max. */
static void
octets_that_are_all_escaped_fit_encoded_max(void)
{
    static const uint8_t fills[] = {0x00, 0x01, 0xC0, 0x7E};

    for (size_t f = 0; framing_names()[f] != NULL; f++) {
        if (framing_traits_of(framing_names()[f])->mtu_max < 300)
            continue;
        struct framing *framing = new_framing(framing_names()[f], 300, 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
        for (size_t round = 0; round < 300 * sizeof fills; round++) {
            size_t len = round / sizeof fills + 1, written = 0;
            size_t size = framing_encoded_max(framing, len);
            uint8_t octets[300];
            uint8_t *frame = malloc(size);
            CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
            memset(octets, fills[round % sizeof fills], len);
            CU_ASSERT_EQUAL(encode(framing, octets, len, frame, size, &written), DM_OK);
            free(frame);
        }
        framing_free(framing);
    }
}

static void
message_of_exactly_the_mtu_passes_and_no_longer_one(void)
{
    static const char *const names[] = {"slip", "cobs-crc16", "hdlc"};

    for (size_t f = 0; f < sizeof names / sizeof names[0]; f++) {
        for (size_t len = 9; len < 300; len++) {
            uint8_t message[300], frame[610];
            struct wanted wanted = {message, len, 0};
            size_t written = 0;
            struct framing *framing = new_framing(names[f], len, 0);
            struct framing *wider = new_framing(names[f], len + 1, 0);
            CU_ASSERT_TRUE_FATAL(framing != NULL && wider != NULL);
            make_publish(message, len, 0x7E);
            (void)encode(wider, message, len, frame, sizeof frame, &written);
            framing_feed(framing, frame, written, 0, on_wanted_message, &wanted);
            CU_ASSERT_EQUAL(wanted.count, 1);
            CU_ASSERT_EQUAL(framing_counters(framing)->rx_garbage, 0);
            /* Garbage has the length of the frame without its delimiters. */
            make_publish(message, len + 1, 0x7E);
            (void)encode(wider, message, len + 1, frame, sizeof frame, &written);
            framing_feed(framing, frame, written, 0, on_wanted_message, &wanted);
            CU_ASSERT_EQUAL(wanted.count, 1);
            CU_ASSERT_EQUAL(framing_counters(framing)->rx_oversize, 1);
            CU_ASSERT_EQUAL(framing_counters(framing)->rx_garbage, written - 2);
            framing_free(framing);
            framing_free(wider);
        }
    }
}

/* ---- COBS blocks ---- */

/* With its CRC 254 octets, and none of them is 00: exactly one full block. */
static void
cobs_full_block_at_the_end_of_a_frame_is_followed_by_no_other(void)
{
    struct framing *framing = new_framing("cobs-crc16", MTU, 0);
    uint8_t message[MTU], frame[MTU + 8];
    struct wanted wanted = {message, 252, 0};
    size_t written = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
    make_publish(message, 252, 0x55);
    CU_ASSERT_EQUAL(encode(framing, message, 252, frame, sizeof frame, &written), DM_OK);
    CU_ASSERT_EQUAL(written, 257);
    CU_ASSERT_EQUAL(frame[1], 0xFF);
    CU_ASSERT_EQUAL(memcmp(frame + 2, message, 252), 0);
    CU_ASSERT_EQUAL(frame[256], 0);
    framing_feed(framing, frame, written, 0, on_wanted_message, &wanted);
    CU_ASSERT_EQUAL(wanted.count, 1);
    /* Other encoders end the frame with an empty block. */
    frame[256] = 0x01;
    frame[257] = 0x00;
    framing_feed(framing, frame, 258, 0, on_wanted_message, &wanted);
    CU_ASSERT_EQUAL(wanted.count, 2);
    make_publish(message, 253, 0x55);
    CU_ASSERT_EQUAL(encode(framing, message, 253, frame, sizeof frame, &written), DM_OK);
    CU_ASSERT_EQUAL(written, 259);
    CU_ASSERT_EQUAL(frame[1], 0xFF);
    CU_ASSERT_EQUAL(frame[256], 0x02);
    framing_free(framing);
}

static const struct unit_test tests[] = {
    UNIT_TEST(slip_delivers_only_frames_of_one_whole_message),
    UNIT_TEST(cobs_delivers_only_frames_of_one_whole_message),
    UNIT_TEST(hdlc_delivers_only_frames_of_one_whole_message),
    UNIT_TEST(every_length_of_every_payload_fits_encoded_max),
    UNIT_TEST(octets_that_are_all_escaped_fit_encoded_max),
    UNIT_TEST(message_of_exactly_the_mtu_passes_and_no_longer_one),
    UNIT_TEST(cobs_full_block_at_the_end_of_a_frame_is_followed_by_no_other),
};

UNIT_MAIN("framing_delimited", tests)
