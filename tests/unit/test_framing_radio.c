/* SPDX-License-Identifier: Apache-2.0 */
/* The framings of small radios, aquila, rh-serial and hc12: golden vectors, confirmations, pairing,
 * damaged streams, noise. */
#include <dormouse/framing.h>

#include "crc16.h"
#include "framing_noise.h"
#include "framing_sink.h"
#include "mqttsn_examples.h"
#include "random.h"
#include "unit.h"

#define FRAME_MAX 160
#define PAN 7
#define KEY "\xC0\xDB\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F"

static const char *const radios[] = {"aquila", "rh-serial", "hc12"};
#define RADIO_COUNT (sizeof radios / sizeof radios[0])

struct frame {
    uint8_t octets[FRAME_MAX];
    size_t len;
};

static struct framing *
new_radio(const char *name, uint8_t address, size_t mtu)
{
    struct framing_options options = {
        .name = name, .mtu = mtu, .gap_ms = GAP_MS, .address = address, .pan = PAN};

    memcpy(options.key, KEY, sizeof options.key);
    return framing_new(&options);
}

static void
open_radio(struct sink *sink, const char *name, uint8_t address)
{
    memset(sink, 0, sizeof *sink);
    sink->framing = new_radio(name, address, framing_traits_of(name)->mtu_max);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sink->framing);
}

static void
feed_frame(struct sink *sink, const struct frame *frame, uint64_t now_ms)
{
    feed(sink, frame->octets, frame->len, now_ms);
}

static void
add(struct frame *frame, uint8_t octet)
{
    CU_ASSERT_TRUE_FATAL(frame->len < FRAME_MAX);
    frame->octets[frame->len++] = octet;
}

static void
add_slip(struct frame *frame, struct dm_span octets)
{
    for (size_t i = 0; i < octets.len; i++) {
        bool is_end = octets.data[i] == 0xC0;
        bool is_escape = octets.data[i] == 0xDB;
        if (is_end || is_escape)
            add(frame, 0xDB);
        add(frame, is_end ? 0xDC : is_escape ? 0xDD : octets.data[i]);
    }
}

/* What a bridge sends: the content in SLIP with its CRC. */
static struct frame
bridge_frame(const uint8_t *content, size_t len)
{
    uint16_t crc = crc16_forward(0, dm_span(content, len));
    const uint8_t check[] = {(uint8_t)crc, (uint8_t)(crc >> 8)};
    struct frame frame = {.len = 0};

    add(&frame, 0xC0);
    add_slip(&frame, dm_span(content, len));
    add_slip(&frame, dm_span(check, sizeof check));
    add(&frame, 0xC0);
    return frame;
}

static struct frame
bridge_message(unsigned address, struct dm_span message)
{
    uint8_t content[128] = {
        30, 40, (uint8_t)(5 + message.len), 0xFE, 1, (uint8_t)address, (uint8_t)(address >> 8)};

    CU_ASSERT_TRUE_FATAL(7 + message.len <= sizeof content);
    memcpy(content + 7, message.data, message.len);
    return bridge_frame(content, 7 + message.len);
}

/* Of a device at address `from` to `to`; empty: to all. */
static struct frame
device_frame(const char *name, uint8_t from, struct dm_span to, uint8_t id, struct dm_span message)
{
    struct framing *device = new_radio(name, from, framing_traits_of(name)->mtu_max);
    struct framing_frame sent = {to, message, id};
    struct frame frame = {.len = 0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(device);
    CU_ASSERT_EQUAL_FATAL(
        framing_encode(device, &sent, frame.octets, sizeof frame.octets, &frame.len), DM_OK);
    framing_free(device);
    return frame;
}

#define GATEWAY 1
#define DEVICE 2

/* Of any of the framings: from a device at address 2 to the gateway at address 1. */
static struct frame
message_frame(const char *name, uint8_t id, struct dm_span message)
{
    const uint8_t gateway = GATEWAY;

    if (strcmp(name, "aquila") == 0)
        return bridge_message(DEVICE, message);
    return device_frame(name, DEVICE, dm_span(&gateway, 1), id, message);
}

static bool
is_reply(const struct sink *sink, size_t index, const uint8_t *octets, size_t len)
{
    return index < sink->other_count && sink->others[index].event.type == FRAMING_REPLY &&
           dm_span_equal(sink->others[index].event.octets, dm_span(octets, len));
}

static bool
is_note(const struct sink *sink, size_t index)
{
    return index < sink->other_count && sink->others[index].event.type == FRAMING_NOTE &&
           sink->others[index].event.text != NULL;
}

static bool
is_from(const struct sink *sink, size_t index, const uint8_t *node, size_t len)
{
    return index < sink->count && sink->messages[index].node_len == len &&
           memcmp(sink->messages[index].node, node, len) == 0;
}

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
    {"noise", "aquila", WIRE("\x55\xAA" AQUILA_PING), 2, 0, 0},
    {"wrong CRC", "aquila", WIRE("\xC0\x1E\x28\x07\xFE\x01\x02\x00\x02\x17\xCC\x1E" AQUILA_PING),
     11, 1, 0},
    {"CRC swapped", "aquila", WIRE("\xC0\x1E\x28\x07\xFE\x01\x02\x00\x02\x16\x1E\xCC" AQUILA_PING),
     11, 1, 0},
    {"bad escape", "aquila", WIRE("\xC0\x1E\xDB\x07\xFE" AQUILA_PING), 3, 0, 0},
    {"ESC before END", "aquila", WIRE("\xC0\x1E\x28\xDB" AQUILA_PING), 2, 0, 0},
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

/* ---- aquila ---- */

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
aquila_gives_each_address_once_and_none_that_was_heard_from(void)
{
    static const unsigned heard[] = {2, 253, 254, 0x0103};
    struct sink sink;

    open_radio(&sink, "aquila", 0);
    for (size_t i = 0; i < sizeof heard / sizeof heard[0]; i++) {
        struct frame frame = bridge_message(heard[i], dm_span(WIRE("\x02\x16")));
        feed_frame(&sink, &frame, 0);
    }
    CU_ASSERT_EQUAL(sink.count, 4);
    (void)framing_pair(sink.framing, true, on_sink_event, &sink);
    CU_ASSERT_EQUAL(paired_address(&sink), 1);
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

/* ---- rh-serial ---- */

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
    feed(&sink, WIRE(RH_FRAME), 0);
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

/* Percentages of 100; octets arrive one by one in the time the line needs. */
static struct noise_run *
run_noise(const char *name, unsigned noise, bool burst)
{
    struct random_source source = random_start(name, 3);
    struct noise_run *run = calloc(1, sizeof *run);
    size_t mtu = framing_traits_of(name)->mtu_max;
    struct framing *framing = new_radio(name, GATEWAY, mtu);
    uint64_t now_us = 1000000;

    CU_ASSERT_TRUE_FATAL(run != NULL && framing != NULL);
    for (size_t i = 0; i < NOISE_MESSAGES; i++)
        make_noise_message(&source, mtu, &run->sent[i]);
    for (size_t i = 0; i < NOISE_MESSAGES; i++) {
        struct frame frame =
            message_frame(name, (uint8_t)(i + 1), dm_span(run->sent[i].octets, run->sent[i].len));
        if (random_below(&source, 100) < noise)
            frame.len = damage(&source, frame.octets, frame.len);
        for (size_t at = 0; at < frame.len; at++) {
            now_us += NOISE_OCTET_US;
            framing_feed(framing, frame.octets + at, 1, now_us / 1000, on_noisy_event, run);
        }
        if (!burst || random_below(&source, 100) >= 70)
            now_us += NOISE_IDLE_US;
    }
    framing_free(framing);
    return run;
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
            struct noise_run *run = run_noise(radios[r], cases[i].noise, cases[i].burst);
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
    UNIT_TEST(aquila_ack_and_nack_confirm_the_oldest),
    UNIT_TEST(aquila_hello_and_a_request_give_the_configuration),
    UNIT_TEST(only_aquila_says_hello_and_pairs),
    UNIT_TEST(aquila_pairing_off_notes_a_request_once_a_minute),
    UNIT_TEST(aquila_pairing_on_gives_an_address_until_it_is_off),
    UNIT_TEST(aquila_gives_each_address_once_and_none_that_was_heard_from),
    UNIT_TEST(aquila_in_pair_mode_ignores_what_is_no_request),
    UNIT_TEST(aquila_hello_takes_the_bridge_back_to_pairing),
    UNIT_TEST(aquila_ignores_a_message_of_a_node_without_address),
    UNIT_TEST(aquila_sends_no_message_that_claims_another_length),
    UNIT_TEST(broadcast_goes_to_the_address_of_all),
    UNIT_TEST(rh_message_is_acknowledged_before_it_is_delivered),
    UNIT_TEST(rh_repeats_are_acknowledged_but_not_delivered),
    UNIT_TEST(rh_device_with_one_id_is_heard_again_and_again),
    UNIT_TEST(rh_acknowledgement_to_us_confirms_its_frame),
    UNIT_TEST(random_streams_decode_alike_in_any_chunks),
    UNIT_TEST(noise_costs_no_more_than_the_reference_measured),
};

UNIT_MAIN("framing radio", tests)
