/* SPDX-License-Identifier: Apache-2.0 */
/* The framings of small radios, aquila, rh-serial and hc12: golden vectors, damaged streams, noise.
 */
#include "framing_noise.h"
#include "framing_radio.h"
#include "mqttsn_examples.h"

static const char *const radios[] = {"aquila", "rh-serial", "hc12"};
#define RADIO_COUNT (sizeof radios / sizeof radios[0])

/* ---- golden vectors: framing-vectors.txt ---- */

#define MESSAGE "\x0d\x0c\x62\x74\x31\x00\x00\xc0\xdb\x7e\x7d\x00\x11"
#define AQUILA_TO_BRIDGE                                                                           \
    "\xc0\x05\xfe\x01\x01\x02\x0d\x0c\x62\x74\x31\x00\x00\xdb\xdc\xdb\xdd\x7e\x7d\x00\x11\xf5\xdc" \
    "\xc0"
#define AQUILA_FROM_BRIDGE                                                                         \
    "\xc0\x30\x40\x12\xfe\x01\x01\x02\x0d\x0c\x62\x74\x31\x00\x00\xdb\xdc\xdb\xdd\x7e\x7d\x00\x11" \
    "\x5e\xa2\xc0"
#define HC12_FRAME "\xaf\x01\x00\x0d" MESSAGE "\x7c"
#define RH_FRAME "\x10\x02\x01\x02\x03\x00" MESSAGE "\x10\x03\x47\xde"

struct vector {
    const char *framing;
    uint8_t address; /* our own */
    const uint8_t *node;
    size_t node_len;
    const uint8_t *frame;
    size_t frame_len;
};

static void
encode_of_the_golden_message_gives_its_frame(void)
{
    static const struct vector vectors[] = {
        {"aquila", 0, WIRE("\x01\x02"), WIRE(AQUILA_TO_BRIDGE)},
        {"rh-serial", 2, WIRE("\x01"), WIRE(RH_FRAME)},
        {"hc12", 1, WIRE("\x00"), WIRE(HC12_FRAME)},
    };

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct vector *v = &vectors[i];
        struct framing_frame frame = {dm_span(v->node, v->node_len), dm_span(WIRE(MESSAGE)), 3};
        struct framing *framing = new_radio(v->framing, v->address, 32);
        uint8_t octets[64];
        size_t len = 12345;
        CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
        CU_ASSERT_EQUAL(framing_encode(framing, &frame, octets, v->frame_len - 1, &len), DM_FULL);
        CU_ASSERT_EQUAL(len, 12345);
        CU_ASSERT_EQUAL(framing_encode(framing, &frame, octets, v->frame_len, &len), DM_OK);
        CU_ASSERT_TRUE(dm_span_equal(dm_span(octets, len), dm_span(v->frame, v->frame_len)));
        framing_free(framing);
    }
}

static void
golden_frame_delivers_its_message_however_it_is_split(void)
{
    static const struct vector vectors[] = {
        {"aquila", 0, WIRE("\x01\x02"), WIRE(AQUILA_FROM_BRIDGE)},
        {"rh-serial", 1, WIRE("\x02"), WIRE(RH_FRAME)},
        {"hc12", 0, WIRE("\x01"), WIRE(HC12_FRAME)},
    };

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct vector *v = &vectors[i];
        for (size_t split = 0; split <= v->frame_len; split++) {
            struct sink sink;
            open_radio(&sink, v->framing, v->address);
            if (split == 0) /* octet by octet */
                for (size_t at = 0; at < v->frame_len; at++)
                    feed(&sink, v->frame + at, 1, 1000);
            feed(&sink, v->frame, split, 1000);
            if (split > 0)
                feed(&sink, v->frame + split, v->frame_len - split, 1000);
            CU_ASSERT_EQUAL(sink.count, 1);
            CU_ASSERT_TRUE(received(&sink, 0, WIRE(MESSAGE)));
            CU_ASSERT_TRUE(is_from(&sink, 0, v->node, v->node_len));
            CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_frames, 1);
            CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
            framing_free(sink.framing);
        }
    }
}

static void
only_aquila_tells_the_quality(void)
{
    for (size_t r = 0; r < RADIO_COUNT; r++) {
        bool is_aquila = strcmp(radios[r], "aquila") == 0;
        struct frame frame = message_frame(radios[r], 1, dm_span(WIRE("\x02\x16")));
        struct sink sink;
        open_radio(&sink, radios[r], GATEWAY);
        feed_frame(&sink, &frame, 0);
        CU_ASSERT_EQUAL_FATAL(sink.count, 1);
        CU_ASSERT_EQUAL(sink.messages[0].quality.has_lqi, is_aquila);
        CU_ASSERT_EQUAL(sink.messages[0].quality.has_rssi, is_aquila);
        CU_ASSERT_FALSE(sink.messages[0].quality.has_snr);
        CU_ASSERT_EQUAL(sink.messages[0].quality.lqi, is_aquila ? 30 : 0);
        CU_ASSERT_EQUAL(sink.messages[0].quality.rssi, is_aquila ? 40 : 0);
        framing_free(sink.framing);
    }
}

static void
every_example_message_that_fits_passes(void)
{
    for (size_t r = 0; r < RADIO_COUNT; r++) {
        struct sink sink;
        size_t expected = 0;
        open_radio(&sink, radios[r], GATEWAY);
        for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
            if (examples[i].len > framing_traits(sink.framing)->mtu_max)
                continue;
            struct frame frame = message_frame(radios[r], (uint8_t)(i + 1),
                                               dm_span(examples[i].octets, examples[i].len));
            sink.other_count = 0;
            feed_frame(&sink, &frame, 0);
            CU_ASSERT_EQUAL(sink.count, ++expected);
            CU_ASSERT_TRUE(received(&sink, expected - 1, examples[i].octets, examples[i].len));
        }
        CU_ASSERT_TRUE(expected > EXAMPLE_COUNT / 2);
        framing_free(sink.framing);
    }
}

static void
encode_refuses_what_the_radio_cannot_carry(void)
{
    uint8_t message[70] = {0, 0x16};
    uint8_t frame[FRAME_MAX];

    for (size_t r = 0; r < RADIO_COUNT; r++) {
        struct framing *framing = new_radio(radios[r], GATEWAY, 20);
        const struct framing_traits *traits = framing_traits(framing);
        struct framing_frame sent = {dm_span(NULL, 0), dm_span(message, 20), 1};
        size_t len;
        message[0] = 20;
        CU_ASSERT_EQUAL(framing_encode(framing, &sent, frame, sizeof frame, &len), DM_OK);
        sent.node = dm_span("\x02\x02\x02", traits->node_len + 1u);
        CU_ASSERT_EQUAL(framing_encode(framing, &sent, frame, sizeof frame, &len), DM_INVALID);
        sent = (struct framing_frame){dm_span(NULL, 0), dm_span(message, 21), 1};
        message[0] = 21;
        CU_ASSERT_EQUAL(framing_encode(framing, &sent, frame, sizeof frame, &len), DM_INVALID);
        framing_free(framing);
        CU_ASSERT_PTR_NULL(new_radio(radios[r], GATEWAY, traits->mtu_max + 1u));
    }
}

/* Escapes wherever there can be some; what is written reads as the same again. */
static void
the_worst_payload_fits_encoded_max(void)
{
    static const uint8_t worst[] = {0xC0, 0x10, 0xAF};

    for (size_t r = 0; r < RADIO_COUNT; r++) {
        size_t mtu = framing_traits_of(radios[r])->mtu_max;
        struct framing *framing = new_radio(radios[r], 0x10, mtu);
        const uint8_t node[] = {worst[r], worst[r]};
        uint8_t message[MTU];
        uint8_t frame[FRAME_MAX];
        size_t len = 0;
        CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
        memset(message, worst[r], mtu);
        message[0] = (uint8_t)mtu;
        message[1] = 0x0C;
        message[2] = 0x00;
        struct framing_frame sent = {dm_span(node, framing_traits(framing)->node_len),
                                     dm_span(message, mtu), 0x10};
        CU_ASSERT_TRUE_FATAL(framing_encoded_max(framing, mtu) <= sizeof frame);
        CU_ASSERT_EQUAL(
            framing_encode(framing, &sent, frame, framing_encoded_max(framing, mtu), &len), DM_OK);
        CU_ASSERT_TRUE(len + 16 > framing_encoded_max(framing, mtu));
        framing_free(framing);

        struct sink sink;
        struct frame received_frame = message_frame(radios[r], 0x10, dm_span(message, mtu));
        open_radio(&sink, radios[r], GATEWAY);
        feed_frame(&sink, &received_frame, 0);
        CU_ASSERT_TRUE(received(&sink, 0, message, mtu));
        framing_free(sink.framing);
    }
}

static void
reset_during_delivery_is_safe(void)
{
    for (size_t r = 0; r < RADIO_COUNT; r++) {
        struct frame first = message_frame(radios[r], 1, dm_span(WIRE("\x02\x16")));
        struct frame second = message_frame(radios[r], 2, dm_span(WIRE("\x02\x17")));
        struct sink sink;
        open_radio(&sink, radios[r], GATEWAY);
        sink.reset_in_delivery = true;
        memcpy(first.octets + first.len, second.octets, second.len);
        first.len += second.len;
        feed_frame(&sink, &first, 0);
        CU_ASSERT_EQUAL(sink.count, 2);
        CU_ASSERT_TRUE(received(&sink, 0, WIRE("\x02\x16")));
        CU_ASSERT_TRUE(received(&sink, 1, WIRE("\x02\x17")));
        framing_free(sink.framing);
    }
}

static void
reset_forgets_a_partial_frame(void)
{
    for (size_t r = 0; r < RADIO_COUNT; r++) {
        struct frame frame = message_frame(radios[r], 1, dm_span(WIRE("\x04\x18\x02\x58")));
        for (size_t cut = 1; cut < frame.len; cut++) {
            struct sink sink;
            open_radio(&sink, radios[r], GATEWAY);
            feed(&sink, frame.octets, cut, 0);
            framing_reset(sink.framing);
            feed_frame(&sink, &frame, 0);
            CU_ASSERT_EQUAL(sink.count, 1);
            CU_ASSERT_TRUE(received(&sink, 0, WIRE("\x04\x18\x02\x58")));
            framing_free(sink.framing);
        }
    }
}

/* ---- streams with faults ---- */

struct stream {
    const char *condition;
    const char *framing;
    const uint8_t *octets;
    size_t len;
    uint64_t garbage;
    uint64_t crc_errors;
    uint64_t oversize;
};

#define A10 "aaaaaaaaaa"
#define AQUILA_PING "\xC0\x1E\x28\x07\xFE\x01\x02\x00\x02\x16\xCC\x1E\xC0"
#define RH_PING "\x10\x02\x01\x02\x01\x00\x02\x16\x10\x03\x03\x93"
#define HC12_PING "\xAF\x02\x01\x02\x02\x16\x34"

/* Each of them ends with a PINGREQ, which alone may be delivered. */
static const struct stream streams[] = {
    {"nothing before", "aquila", WIRE(AQUILA_PING), 0, 0, 0},
    {"empty frames", "aquila", WIRE("\xC0\xC0\xC0" AQUILA_PING), 0, 0, 0},
    {"noise", "aquila", WIRE("\x55\xAA" AQUILA_PING), 2, 1, 0},
    {"wrong CRC", "aquila", WIRE("\xC0\x1E\x28\x07\xFE\x01\x02\x00\x02\x17\xCC\x1E" AQUILA_PING),
     11, 1, 0},
    {"CRC swapped", "aquila", WIRE("\xC0\x1E\x28\x07\xFE\x01\x02\x00\x02\x16\x1E\xCC" AQUILA_PING),
     11, 1, 0},
    {"bad escape", "aquila", WIRE("\xC0\x1E\xDB\x07\xFE" AQUILA_PING), 4, 0, 0},
    {"ESC before END", "aquila", WIRE("\xC0\x1E\x28\xDB" AQUILA_PING), 3, 0, 0},
    {"only CRC", "aquila", WIRE("\xC0\x00\x00" AQUILA_PING), 2, 0, 0},
    {"no type", "aquila", WIRE("\xC0\x00\x00\x00\x00\x00" AQUILA_PING), 5, 0, 0},
    {"zeros", "aquila", WIRE("\xC0\x00\x00\x00\x00\x00\x00" AQUILA_PING), 6, 0, 0},
    {"length field wrong", "aquila",
     WIRE("\xC0\x1E\x28\x08\xFE\x01\x02\x00\x02\x16\x25\x94" AQUILA_PING), 11, 0, 0},
    {"length 0", "aquila", WIRE("\xC0\x1E\x28\x05\xFE\x01\x02\x00\xAB\x72" AQUILA_PING), 9, 0, 0},
    {"length 1", "aquila", WIRE("\xC0\x1E\x28\x06\xFE\x01\x02\x00\x01\x14\x2B" AQUILA_PING), 10, 0,
     0},
    {"two messages in a frame", "aquila",
     WIRE("\xC0\x1E\x28\x09\xFE\x01\x02\x00\x02\x16\x02\x16\x5E\x5F" AQUILA_PING), 13, 0, 0},
    {"unknown type", "aquila", WIRE("\xC0\x1E\x28\x02\x05\x5D\xA0" AQUILA_PING), 6, 0, 0},
    {"ACK with content", "aquila", WIRE("\xC0\x00\x00\x03\x01\x00\x61\x6A" AQUILA_PING), 7, 0, 0},
    {"the other direction", "aquila", WIRE("\xC0\x05\xFE\x01\x02\x00\x02\x16\x14\x3B" AQUILA_PING),
     9, 0, 0},
    {"too long", "aquila",
     WIRE("\xC0\x1E\x28\x38\xFE\x01\x02\x00\x33\x16" A10 A10 A10 A10
          "aaaaaaaaa\x05\x6C" AQUILA_PING),
     60, 0, 1},
    {"much too long", "aquila", WIRE("\xC0" A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 AQUILA_PING),
     100, 0, 1},

    {"nothing before", "rh-serial", WIRE(RH_PING), 0, 0, 0},
    {"noise", "rh-serial", WIRE("\x55\x02\x10\xAA" RH_PING), 4, 0, 0},
    {"a DLE before", "rh-serial", WIRE("\x10" RH_PING), 1, 0, 0},
    {"wrong FCS", "rh-serial", WIRE("\x10\x02\x01\x02\x01\x00\x02\x17\x10\x03\x03\x93" RH_PING), 12,
     1, 0},
    {"FCS swapped", "rh-serial", WIRE("\x10\x02\x01\x02\x01\x00\x02\x16\x10\x03\x93\x03" RH_PING),
     12, 1, 0},
    {"an octet of the FCS lost", "rh-serial",
     WIRE("\x10\x02\x01\x02\x01\x00\x02\x16\x10\x03\x03" RH_PING), 11, 1, 0},
    {"the FCS lost", "rh-serial", WIRE("\x10\x02\x01\x02\x01\x00\x02\x16\x10\x03" RH_PING), 10, 1,
     0},
    {"the end lost", "rh-serial", WIRE("\x10\x02\x01\x02\x01\x00\x02\x16" RH_PING), 8, 0, 0},
    {"bad escape", "rh-serial", WIRE("\x10\x02\x01\x02\x01\x00\x02\x10\x16" RH_PING), 9, 0, 0},
    {"nothing in the frame", "rh-serial", WIRE("\x10\x02\x10\x03\x57\xB2" RH_PING), 6, 0, 0},
    {"header too short", "rh-serial", WIRE("\x10\x02\x01\x02\x01\x10\x03\xFF\x6C" RH_PING), 9, 0,
     0},
    {"length 0", "rh-serial", WIRE("\x10\x02\x01\x02\x01\x00\x10\x03\xA1\x62" RH_PING), 10, 0, 0},
    {"length 1", "rh-serial", WIRE("\x10\x02\x01\x02\x01\x00\x01\x10\x03\x12\x9E" RH_PING), 11, 0,
     0},
    {"two messages in a frame", "rh-serial",
     WIRE("\x10\x02\x01\x02\x01\x00\x02\x16\x02\x16\x10\x03\xE0\x5B" RH_PING), 14, 0, 0},
    {"too long", "rh-serial",
     WIRE("\x10\x02\x01\x02\x01\x00\x3D\x16" A10 A10 A10 A10 A10
          "aaaaaaaaa\x10\x03\xB0\xBB" RH_PING),
     71, 0, 1},
    {"for another", "rh-serial", WIRE("\x10\x02\x03\x02\x01\x00\x02\x16\x10\x03\x08\xFC" RH_PING),
     0, 0, 0},

    {"nothing before", "hc12", WIRE(HC12_PING), 0, 0, 0},
    {"noise", "hc12", WIRE("\x55\xAA" HC12_PING), 2, 0, 0},
    {"wrong sum", "hc12", WIRE("\xAF\x02\x01\x02\x02\x17\x34" HC12_PING), 7, 1, 0},
    {"a false start before", "hc12", WIRE("\xAF" HC12_PING), 1, 1, 0},
    {"a false start with room for the frame", "hc12", WIRE("\xAF\x02\x01\x03" HC12_PING), 4, 1, 0},
    {"length 0", "hc12", WIRE("\xAF\x02\x01\x00\x4E" HC12_PING), 5, 0, 0},
    {"length 0 and no sum", "hc12", WIRE("\xAF\x02\x01\x00" HC12_PING), 4, 0, 0},
    {"length 1", "hc12", WIRE("\xAF\x02\x01\x01\x01\x4C" HC12_PING), 6, 0, 0},
    {"length 33", "hc12", WIRE("\xAF\x02\x01\x21\x21\x16" A10 A10 A10 "a\x37" HC12_PING), 38, 0, 0},
    {"two messages in a frame", "hc12", WIRE("\xAF\x02\x01\x04\x02\x16\x02\x16\x1A" HC12_PING), 9,
     0, 0},
    {"for another", "hc12", WIRE("\xAF\x02\x03\x02\x02\x16\x32" HC12_PING), 0, 0, 0},
    {"our own echo", "hc12", WIRE("\xAF\x01\x01\x02\x02\x16\x35" HC12_PING), 0, 0, 0},
};

static void
faulty_frames_are_garbage_and_the_next_one_is_found(void)
{
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        const struct stream *s = &streams[i];
        struct sink sink;
        open_radio(&sink, s->framing, GATEWAY);
        feed(&sink, s->octets, s->len, 0);
        const struct framing_counters *counters = framing_counters(sink.framing);
        if (sink.count != 1 || counters->rx_garbage != s->garbage ||
            counters->rx_crc_errors != s->crc_errors || counters->rx_oversize != s->oversize)
            printf("\n%s, %s: %zu delivered, %" PRIu64 " garbage, %" PRIu64 " wrong, %" PRIu64
                   " long\n",
                   s->framing, s->condition, sink.count, counters->rx_garbage,
                   counters->rx_crc_errors, counters->rx_oversize);
        CU_ASSERT_EQUAL(sink.count, 1);
        CU_ASSERT_TRUE(received(&sink, 0, WIRE("\x02\x16")));
        CU_ASSERT_EQUAL(counters->rx_garbage, s->garbage);
        CU_ASSERT_EQUAL(counters->rx_crc_errors, s->crc_errors);
        CU_ASSERT_EQUAL(counters->rx_oversize, s->oversize);
        framing_free(sink.framing);
    }
}

static void
a_message_beyond_a_smaller_mtu_is_oversize(void)
{
    for (size_t r = 0; r < RADIO_COUNT; r++) {
        struct frame frame = message_frame(radios[r], 1,
                                           dm_span(WIRE("\x05\x16"
                                                        "abc")));
        struct frame ping = message_frame(radios[r], 2, dm_span(WIRE("\x02\x16")));
        struct sink sink = {.framing = new_radio(radios[r], GATEWAY, 2)};
        CU_ASSERT_PTR_NOT_NULL_FATAL(sink.framing);
        feed_frame(&sink, &frame, 0);
        CU_ASSERT_EQUAL(sink.count, 0);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_oversize, 1);
        feed_frame(&sink, &ping, 0);
        CU_ASSERT_TRUE(received(&sink, 0, WIRE("\x02\x16")));
        framing_free(sink.framing);
    }
}

static void
only_hc12_drops_a_partial_frame_after_a_gap(void)
{
    for (size_t r = 0; r < RADIO_COUNT; r++) {
        bool is_hc12 = strcmp(radios[r], "hc12") == 0;
        struct frame frame = message_frame(radios[r], 1, dm_span(WIRE("\x02\x16")));
        struct sink sink;
        open_radio(&sink, radios[r], GATEWAY);
        feed(&sink, frame.octets, 5, 1000);
        feed(&sink, frame.octets + 5, frame.len - 5, 1000 + GAP_MS + 1);
        CU_ASSERT_EQUAL(sink.count, is_hc12 ? 0 : 1);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_gap_resets, is_hc12 ? 1 : 0);
        framing_free(sink.framing);
    }
}

static void
only_aquila_says_hello_and_pairs(void)
{
    for (size_t r = 1; r < RADIO_COUNT; r++) {
        struct sink sink;
        open_radio(&sink, radios[r], GATEWAY);
        framing_hello(sink.framing, on_sink_event, &sink);
        CU_ASSERT_EQUAL(framing_pair(sink.framing, true, on_sink_event, &sink), DM_UNSUPPORTED);
        CU_ASSERT_EQUAL(sink.other_count, 0);
        framing_free(sink.framing);
    }
}

static void
broadcast_goes_to_the_address_of_all(void)
{
    static const struct {
        const char *framing;
        const uint8_t *opening;
        size_t len;
    } cases[] = {
        {"aquila", WIRE("\xC0\x05\xFE\x01\xFF\xFF\x02\x16")},
        {"rh-serial", WIRE("\x10\x02\xFF\x01\x09\x00\x02\x16")},
        {"hc12", WIRE("\xAF\x01\xFF\x02\x02\x16")},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct frame frame =
            device_frame(cases[i].framing, 1, dm_span(NULL, 0), 9, dm_span(WIRE("\x02\x16")));
        CU_ASSERT_EQUAL(memcmp(frame.octets, cases[i].opening, cases[i].len), 0);
    }
}

/* ---- random and noise ---- */

struct tally {
    size_t messages;
    size_t others;
};

static void
count_event(void *ctx, const struct framing_event *event)
{
    struct tally *tally = ctx;
    size_t total = 0;

    if (event->type != FRAMING_MESSAGE) {
        tally->others++;
        return;
    }
    tally->messages++;
    CU_ASSERT_EQUAL(mqttsn_measure(event->octets.data, event->octets.len, MTU, &total), DM_OK);
    CU_ASSERT_EQUAL(total, event->octets.len);
}

/* Frames, whole and damaged, among noise. */
static size_t
fill_stream(struct random_source *source, const char *name, uint8_t *stream, size_t size)
{
    size_t mtu = framing_traits_of(name)->mtu_max;
    size_t len = 0;

    while (len + FRAME_MAX <= size) {
        struct noise_message message;
        make_noise_message(source, mtu, &message);
        struct frame frame =
            message_frame(name, (uint8_t)random_next(source), dm_span(message.octets, message.len));
        if (random_below(source, 2) == 0)
            frame.len = damage(source, frame.octets, frame.len);
        memcpy(stream + len, frame.octets, frame.len);
        len += frame.len;
    }
    return len;
}

static void
random_streams_decode_alike_in_any_chunks(void)
{
    struct random_source source = random_start("random streams", 2);

    for (size_t round = 0; round < 300; round++) {
        const char *name = radios[round % RADIO_COUNT];
        size_t mtu_max = framing_traits_of(name)->mtu_max;
        struct framing *whole = new_radio(name, GATEWAY, mtu_max);
        struct framing *pieces = new_radio(name, GATEWAY, mtu_max);
        struct tally tallies[2] = {{0, 0}, {0, 0}};
        uint8_t stream[1000];
        size_t stream_len = fill_stream(&source, name, stream, sizeof stream);
        CU_ASSERT_TRUE_FATAL(whole != NULL && pieces != NULL);

        framing_feed(whole, stream, stream_len, 0, count_event, &tallies[0]);
        for (size_t at = 0; at < stream_len;) {
            size_t len = 1 + random_below(&source, 60);
            len = len < stream_len - at ? len : stream_len - at;
            framing_feed(pieces, stream + at, len, 0, count_event, &tallies[1]);
            at += len;
        }
        CU_ASSERT_TRUE(tallies[0].messages > 0);
        CU_ASSERT_EQUAL(tallies[0].messages, tallies[1].messages);
        CU_ASSERT_EQUAL(tallies[0].others, tallies[1].others);
        CU_ASSERT_EQUAL(memcmp(framing_counters(whole), framing_counters(pieces),
                               sizeof *framing_counters(whole)),
                        0);
        framing_free(whole);
        framing_free(pieces);
    }
}

static size_t
noisy_frame(const struct framing *framing, size_t number, struct dm_span message, uint8_t *octets,
            size_t size)
{
    struct frame frame =
        message_frame(framing_traits(framing)->name, (uint8_t)(number + 1), message);

    CU_ASSERT_TRUE_FATAL(frame.len <= size);
    memcpy(octets, frame.octets, frame.len);
    return frame.len;
}

/* The row of SLIP with a CRC; 2 points less pass for chance. A sum of 8 bits lets some through. */
static void
noise_costs_no_more_than_the_reference_measured(void)
{
    static const struct {
        unsigned noise;
        bool burst;
        double intact_percent;
    } cases[] = {{2, false, 98.6}, {2, true, 98.7}, {20, true, 85.3}};

    for (size_t r = 0; r < RADIO_COUNT; r++) {
        bool has_crc = strcmp(radios[r], "hc12") != 0;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            size_t mtu = framing_traits_of(radios[r])->mtu_max;
            struct noise_run *run = run_noise(new_radio(radios[r], GATEWAY, mtu), mtu, noisy_frame,
                                              cases[i].noise, cases[i].burst);
            double percent = 100.0 * run->intact / NOISE_MESSAGES;
            printf("\n    %s, %s, %u %% noise: %.1f %% intact, %u corrupted ", radios[r],
                   cases[i].burst ? "burst" : "spaced", cases[i].noise, percent, run->corrupted);
            CU_ASSERT_TRUE(percent >= cases[i].intact_percent - 2.0);
            if (has_crc)
                CU_ASSERT_EQUAL(run->corrupted, 0);
            free(run);
        }
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(encode_of_the_golden_message_gives_its_frame),
    UNIT_TEST(golden_frame_delivers_its_message_however_it_is_split),
    UNIT_TEST(only_aquila_tells_the_quality),
    UNIT_TEST(every_example_message_that_fits_passes),
    UNIT_TEST(encode_refuses_what_the_radio_cannot_carry),
    UNIT_TEST(the_worst_payload_fits_encoded_max),
    UNIT_TEST(reset_during_delivery_is_safe),
    UNIT_TEST(reset_forgets_a_partial_frame),
    UNIT_TEST(faulty_frames_are_garbage_and_the_next_one_is_found),
    UNIT_TEST(a_message_beyond_a_smaller_mtu_is_oversize),
    UNIT_TEST(only_hc12_drops_a_partial_frame_after_a_gap),
    UNIT_TEST(only_aquila_says_hello_and_pairs),
    UNIT_TEST(broadcast_goes_to_the_address_of_all),
    UNIT_TEST(random_streams_decode_alike_in_any_chunks),
    UNIT_TEST(noise_costs_no_more_than_the_reference_measured),
};

UNIT_MAIN("framing radio", tests)
