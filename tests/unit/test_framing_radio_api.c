/* SPDX-License-Identifier: Apache-2.0 */
/* The framings of radios with an API of frames that start with 7E: XBee and LoRaLink. */
#include <dormouse/framing.h>

#include <string.h>

#include "framing_noise.h"
#include "framing_sink.h"
#include "mqttsn_examples.h"
#include "random.h"
#include "unit.h"

#define LORALINK_MTU 246
#define NODE "\x00\x13\xA2\x00\x40\xA1\xB2\xC3"
#define NODE_16 "\xFF\xFF\xFF\xFF\xFF\xFF\x12\x34"
#define UNKNOWN "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
#define MESSAGE "\x0d\x0c\x62\x74\x31\x00\x00\xc0\xdb\x7e\x7d\x00\x11"
#define PINGREQ "\x02\x16"

static bool
escapes(const char *name)
{
    return strcmp(name, "xbee") != 0;
}

static size_t
mtu_of(const char *name)
{
    return strcmp(name, "loralink") == 0 ? LORALINK_MTU : MTU;
}

static void
open_sink(struct sink *sink, const char *name)
{
    sink_open(sink, name, mtu_of(name));
}

/* Independent of the code under test: the frame with this content. Result: its octets. */
static size_t
frame_of(const char *name, const uint8_t *content, size_t len, uint8_t *frame)
{
    uint8_t plain[600];
    size_t length = len + (strcmp(name, "loralink") == 0 ? 1 : 0);
    size_t used = 0;
    uint8_t sum = 0;

    plain[0] = 0x7E;
    plain[1] = (uint8_t)(length >> 8);
    plain[2] = (uint8_t)length;
    for (size_t i = 0; i < len; i++) {
        plain[3 + i] = content[i];
        sum = (uint8_t)(sum + content[i]);
    }
    plain[3 + len] = (uint8_t)(0xFF - sum);
    for (size_t i = 0; i < len + 4; i++) {
        bool special = memchr("\x7E\x7D\x11\x13", plain[i], 4) != NULL;
        if (i > 0 && special && escapes(name)) {
            frame[used++] = 0x7D;
            frame[used++] = plain[i] ^ 0x20;
        } else {
            frame[used++] = plain[i];
        }
    }
    return used;
}

static void
feed_content(struct sink *sink, const uint8_t *content, size_t len)
{
    uint8_t frame[1200];

    feed(sink, frame, frame_of(framing_traits(sink->framing)->name, content, len, frame), 0);
}

/* The frame in which the radio brings a message of NODE, or of node 5. */
static size_t
reception(const struct framing *framing, size_t number, struct dm_span message, uint8_t *frame,
          size_t size)
{
    (void)number;
    const char *name = framing_traits(framing)->name;
    uint8_t content[300];
    size_t header = strcmp(name, "loralink") == 0 ? 6 : 12;

    CU_ASSERT_TRUE_FATAL(header + message.len <= sizeof content &&
                         2 * (header + message.len + 4) <= size);
    memcpy(content, header == 6 ? "\x05\xff\xc0\x00\x09\x40" : "\x90" NODE "\x12\x34\x01", header);
    memcpy(content + header, message.data, message.len);
    return frame_of(name, content, header + message.len, frame);
}

static bool
received_from(const struct sink *sink, size_t index, const uint8_t *node, size_t node_len,
              const uint8_t *octets, size_t len)
{
    return received(sink, index, octets, len) && sink->messages[index].node_len == node_len &&
           memcmp(sink->messages[index].node, node, node_len) == 0;
}

static const char *const names[] = {"xbee", "xbee-escaped", "loralink"};
#define NAME_COUNT (sizeof names / sizeof names[0])

/* ---- golden vectors ---- */

#define XBEE_TX                                                                                    \
    "\x7e\x00\x1b\x10\x01\x00\x13\xa2\x00\x40\xa1\xb2\xc3\xff\xfe\x00\x00\x0d\x0c\x62\x74\x31\x00" \
    "\x00\xc0\xdb\x7e\x7d\x00\x11\x1f"
#define XBEE_ESCAPED_TX                                                                            \
    "\x7e\x00\x1b\x10\x01\x00\x7d\x33\xa2\x00\x40\xa1\xb2\xc3\xff\xfe\x00\x00\x0d\x0c\x62\x74\x31" \
    "\x00\x00\xc0\xdb\x7d\x5e\x7d\x5d\x00\x7d\x31\x1f"
#define XBEE_RX                                                                                    \
    "\x7e\x00\x19\x90\x00\x13\xa2\x00\x40\xa1\xb2\xc3\x12\x34\x01\x0d\x0c\x62\x74\x31\x00\x00\xc0" \
    "\xdb\x7e\x7d\x00\x11\x56"
#define XBEE_ESCAPED_RX                                                                            \
    "\x7e\x00\x19\x90\x00\x7d\x33\xa2\x00\x40\xa1\xb2\xc3\x12\x34\x01\x0d\x0c\x62\x74\x31\x00\x00" \
    "\xc0\xdb\x7d\x5e\x7d\x5d\x00\x7d\x31\x56"
#define LORALINK_TX                                                                                \
    "\x7e\x00\x10\x05\x40\x0d\x0c\x62\x74\x31\x00\x00\xc0\xdb\x7d\x5e\x7d\x5d\x00\x7d\x31\xf3"
#define LORALINK_RX                                                                                \
    "\x7e\x00\x14\x05\xff\xc0\x00\x09\x40\x0d\x0c\x62\x74\x31\x00\x00\xc0\xdb\x7d\x5e\x7d\x5d\x00" \
    "\x7d\x31\x2b"

static const struct vector {
    const char *framing;
    struct dm_span node, sent, received;
} vectors[] = {
    {"xbee", {WIRE(NODE)}, {WIRE(XBEE_TX)}, {WIRE(XBEE_RX)}},
    {"xbee-escaped", {WIRE(NODE)}, {WIRE(XBEE_ESCAPED_TX)}, {WIRE(XBEE_ESCAPED_RX)}},
    {"loralink", {WIRE("\x05")}, {WIRE(LORALINK_TX)}, {WIRE(LORALINK_RX)}},
};
#define VECTOR_COUNT (sizeof vectors / sizeof vectors[0])

static void
encode_of_the_golden_message_gives_its_frame(void)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const struct vector *v = &vectors[i];
        struct framing *framing = new_framing(v->framing, mtu_of(v->framing), GAP_MS);
        const struct framing_frame frame = {v->node, dm_span(WIRE(MESSAGE)), 1};
        uint8_t buffer[64];
        size_t len = 12345;

        CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
        CU_ASSERT_EQUAL(framing_encode(framing, &frame, buffer, v->sent.len - 1, &len), DM_FULL);
        CU_ASSERT_EQUAL(len, 12345);
        CU_ASSERT_EQUAL(framing_encode(framing, &frame, buffer, v->sent.len, &len), DM_OK);
        CU_ASSERT_TRUE(dm_span_equal(dm_span(buffer, len), v->sent));
        framing_free(framing);
    }
}

/* Whole, octet by octet, and cut into two chunks everywhere. */
static void
golden_frame_delivers_node_and_message_at_every_split(void)
{
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const struct vector *v = &vectors[i];
        struct sink sink;
        size_t count = 0;

        open_sink(&sink, v->framing);
        for (size_t at = 0; at < v->received.len; at++)
            feed(&sink, v->received.data + at, 1, 1000 + at);
        for (size_t cut = 0; cut <= v->received.len; cut++) {
            CU_ASSERT_EQUAL(sink.count, ++count);
            feed(&sink, v->received.data, cut, 2000);
            feed(&sink, v->received.data + cut, v->received.len - cut, 2000);
        }
        CU_ASSERT_EQUAL(sink.count, ++count);
        for (size_t m = 0; m < sink.count; m++)
            CU_ASSERT_TRUE(received_from(&sink, m, v->node.data, v->node.len, WIRE(MESSAGE)));
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_frames, count);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
        framing_free(sink.framing);
    }
}

static void
every_example_message_is_received_and_can_be_sent(void)
{
    for (size_t f = 0; f < NAME_COUNT; f++) {
        struct sink sink;

        open_sink(&sink, names[f]);
        for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
            struct dm_span message = dm_span(examples[i].octets, examples[i].len);
            uint8_t frame[600];
            size_t len = reception(sink.framing, 0, message, frame, sizeof frame);

            feed(&sink, frame, len, 0);
            CU_ASSERT_TRUE(received(&sink, i, message.data, message.len));
            CU_ASSERT_EQUAL(framing_encode(sink.framing,
                                           &(struct framing_frame){.message = message}, frame,
                                           framing_encoded_max(sink.framing, message.len), &len),
                            DM_OK);
            feed(&sink, frame, len, 0); /* what we send is no message of a node */
            CU_ASSERT_EQUAL(sink.count, i + 1);
        }
        framing_free(sink.framing);
    }
}

static void
worst_payload_fits_encoded_max_and_the_buffer(void)
{
    static const uint8_t node[FRAMING_NODE_MAX] = {0x7E, 0x7E, 0x7E, 0x7E, 0x7E, 0x7E, 0x7E, 0x7E};

    for (size_t f = 0; f < NAME_COUNT; f++) {
        size_t mtu = mtu_of(names[f]);
        uint8_t message[MTU] = {(uint8_t)mtu, 0x0C, 0x00, 0x00, 0x05, 0x00, 0x00};
        uint8_t frame[600];
        size_t len = 0;
        struct sink sink;

        memset(message + 7, 0x7D, sizeof message - 7);
        open_sink(&sink, names[f]);
        CU_ASSERT_TRUE(framing_encoded_max(sink.framing, mtu) <= sizeof frame);
        CU_ASSERT_EQUAL(framing_encode(sink.framing,
                                       &(struct framing_frame){
                                           dm_span(node, framing_traits(sink.framing)->node_len),
                                           dm_span(message, mtu), 0x11},
                                       frame, framing_encoded_max(sink.framing, mtu), &len),
                        DM_OK);
        len = reception(sink.framing, 0, dm_span(message, mtu), frame, sizeof frame);
        feed(&sink, frame, len, 0);
        CU_ASSERT_TRUE(received(&sink, 0, message, mtu));
        framing_free(sink.framing);
    }
}

/* Each value stands once at each place, the length and the check included. */
static void
every_octet_is_escaped_where_it_must_be(void)
{
    for (size_t f = 0; f < NAME_COUNT; f++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t message[MTU] = {0, 0x0C, 0x00, 0x00, 0x05, 0x00, 0x00};
            size_t len = value < 8 ? 8 : value < mtu_of(names[f]) - 12 ? value : 40;
            uint8_t frame[600];
            size_t frame_len;
            struct sink sink;

            message[0] = (uint8_t)len;
            memset(message + 7, (int)value, len - 7);
            open_sink(&sink, names[f]);
            frame_len = reception(sink.framing, 0, dm_span(message, len), frame, sizeof frame);
            for (size_t at = 1; at < frame_len && escapes(names[f]); at++)
                CU_ASSERT_NOT_EQUAL(frame[at], 0x7E);
            feed(&sink, frame, frame_len, 0);
            CU_ASSERT_TRUE(received(&sink, 0, message, len));

            message[7] = (uint8_t)(message[7] + 1); /* another check */
            frame_len = reception(sink.framing, 0, dm_span(message, len), frame, sizeof frame);
            feed(&sink, frame, frame_len, 0);
            CU_ASSERT_TRUE(received(&sink, 1, message, len));
            CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);

            /* Sent with this id and these octets: the same as the other writer of frames makes. */
            uint8_t content[300] = {0x10, (uint8_t)value};
            uint8_t wanted[600];
            size_t header = 14;
            if (strcmp(names[f], "loralink") == 0) {
                header = 2;
                memcpy(content, "\xFF\x40", 2);
            } else {
                memcpy(content + 2, "\x00\x00\x00\x00\x00\x00\xFF\xFF\xFF\xFE\x00\x00", 12);
            }
            memcpy(content + header, message, len);
            size_t wanted_len = frame_of(names[f], content, header + len, wanted);
            CU_ASSERT_EQUAL(framing_encode(sink.framing,
                                           &(struct framing_frame){.message = dm_span(message, len),
                                                                   .id = (uint8_t)value},
                                           frame, sizeof frame, &frame_len),
                            DM_OK);
            CU_ASSERT_TRUE(dm_span_equal(dm_span(frame, frame_len), dm_span(wanted, wanted_len)));
            framing_free(sink.framing);
        }
    }
}

static void
encode_of_an_impossible_frame_is_invalid(void)
{
    for (size_t f = 0; f < NAME_COUNT; f++) {
        struct framing *framing = new_framing(names[f], 2, GAP_MS);
        uint8_t buffer[64];
        size_t len;

        CU_ASSERT_PTR_NOT_NULL_FATAL(framing);
        CU_ASSERT_EQUAL(framing_encode(framing,
                                       &(struct framing_frame){dm_span(WIRE("\x05\x06")),
                                                               dm_span(WIRE(PINGREQ)), 1},
                                       buffer, sizeof buffer, &len),
                        DM_INVALID);
        CU_ASSERT_EQUAL(
            framing_encode(framing, &(struct framing_frame){.message = dm_span(WIRE("\x03\x16x"))},
                           buffer, sizeof buffer, &len),
            DM_INVALID);
        framing_free(framing);
    }
    CU_ASSERT_PTR_NULL(new_framing("xbee", 256, 0));
    CU_ASSERT_PTR_NULL(new_framing("loralink", 247, 0));
}

static void
traits_tell_how_the_radio_confirms(void)
{
    for (size_t f = 0; f < NAME_COUNT; f++) {
        bool loralink = strcmp(names[f], "loralink") == 0;
        const struct framing_traits *traits = framing_traits_of(names[f]);

        CU_ASSERT_EQUAL(traits->node_len, loralink ? 1 : 8);
        CU_ASSERT_EQUAL(traits->window, loralink ? 1 : 4);
        CU_ASSERT_EQUAL(traits->confirm_ms, loralink ? 10000 : 5000);
        CU_ASSERT_EQUAL(traits->two_ports, loralink);
        CU_ASSERT_EQUAL(traits->retries, 0);
        CU_ASSERT_FALSE(traits->encapsulates);
    }
}

/* ---- damaged streams ---- */

struct damaged {
    const char *condition;
    struct dm_span octets;
    size_t delivered; /* each of them PINGREQ */
    uint64_t garbage;
    uint64_t crc_errors;
    uint64_t oversize;
};

/* Nothing in them needs an escape. */
#define GOOD "\x7E\x00\x0E\x90\x00\x01\x02\x03\x04\x05\x06\x07\x12\x34\x01\x02\x16\xF4"
#define GOOD_LEN (sizeof GOOD - 1)
#define GOOD_LONG "\x7E\x00\x10\x90\x00\x01\x02\x03\x04\x05\x06\x07\x12\x34\x01\x04\x18\x02\x58\x96"
#define LORA "\x7E\x00\x09\x05\xFF\xC0\x00\x09\x40\x02\x16\xDA"
#define LORA_LEN (sizeof LORA - 1)

static void
check_damaged(const char *name, size_t mtu, const struct damaged *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t chunk = 1; chunk <= cases[i].octets.len; chunk += cases[i].octets.len - 1) {
            struct sink sink;

            sink_open(&sink, name, mtu);
            for (size_t at = 0; at < cases[i].octets.len; at += chunk)
                feed(&sink, cases[i].octets.data + at, chunk, 0);
            const struct framing_counters *counters = framing_counters(sink.framing);
            if (sink.count != cases[i].delivered || counters->rx_garbage != cases[i].garbage ||
                counters->rx_crc_errors != cases[i].crc_errors)
                printf("\n%s, %s: %zu delivered, %" PRIu64 " garbage, %" PRIu64 " crc\n", name,
                       cases[i].condition, sink.count, counters->rx_garbage,
                       counters->rx_crc_errors);
            CU_ASSERT_EQUAL(sink.count, cases[i].delivered);
            CU_ASSERT_EQUAL(sink.other_count, 0);
            CU_ASSERT_EQUAL(counters->rx_frames, cases[i].delivered);
            CU_ASSERT_EQUAL(counters->rx_garbage, cases[i].garbage);
            CU_ASSERT_EQUAL(counters->rx_crc_errors, cases[i].crc_errors);
            CU_ASSERT_EQUAL(counters->rx_oversize, cases[i].oversize);
            for (size_t m = 0; m < sink.count; m++)
                CU_ASSERT_TRUE(received(&sink, m, WIRE(PINGREQ)));
            framing_free(sink.framing);
        }
    }
}

#define CHECK_DAMAGED(name, mtu, cases)                                                            \
    check_damaged((name), (mtu), (cases), sizeof(cases) / sizeof((cases)[0]))

#define AND_GOOD(octets)                                                                           \
    {                                                                                              \
        WIRE(octets GOOD)                                                                          \
    }

static void
xbee_finds_the_next_frame_behind_a_bad_one(void)
{
    static const struct damaged cases[] = {
        {"noise before", AND_GOOD("\x55\xAA"), 1, 2, 0, 0},
        {"a start before", AND_GOOD("\x7E"), 1, 1, 0, 0},
        {"wrong sum", AND_GOOD("\x7E\x00\x02\x8A\x06\x6E"), 1, 6, 1, 0},
        {"length 0", AND_GOOD("\x7E\x00\x00\xFF"), 1, 4, 0, 0},
        {"length 1", AND_GOOD("\x7E\x00\x01\x8A\x75"), 1, 5, 0, 0},
        {"length of more than any radio has", AND_GOOD("\x7E\x01\x13"), 1, 3, 0, 0},
        {"largest length", AND_GOOD("\x7E\xFF\xFF"), 1, 3, 0, 0},
        {"cut off", AND_GOOD("\x7E\x00\x0E\x90\x00\x01"), 1, 6, 1, 0},
        {"cut off, with a start in it", AND_GOOD("\x7E\x00\x0E\x90\x7E\xAA"), 1, 6, 1, 0},
        {"two behind a bad length", {WIRE("\x7E\x00\x14" GOOD GOOD)}, 2, 3, 1, 0},
    };

    CHECK_DAMAGED("xbee", MTU, cases);
}

static void
escaped_start_always_starts_a_frame(void)
{
    static const struct damaged cases[] = {
        {"noise before", AND_GOOD("\x55\x7D\xAA"), 1, 3, 0, 0},
        {"escaped start in noise", AND_GOOD("\x7D\x5E\x00\x02\x8A\x06\x6F"), 1, 7, 0, 0},
        {"a start before", AND_GOOD("\x7E"), 1, 1, 0, 0},
        {"wrong sum", AND_GOOD("\x7E\x00\x02\x8A\x7D\x31\x6E"), 1, 7, 1, 0},
        {"escaped start in a bad frame", AND_GOOD("\x7E\x00\x04\x7D\x5E\x01\x02\x03\x04"), 1, 9, 1,
         0},
        {"length 0", AND_GOOD("\x7E\x00\x00\xFF"), 1, 4, 0, 0},
        {"length 1", AND_GOOD("\x7E\x00\x01\x8A\x75"), 1, 5, 0, 0},
        {"length of more than any radio has", AND_GOOD("\x7E\x01\x7D\x33"), 1, 4, 0, 0},
        {"largest length", AND_GOOD("\x7E\xFF\xFF\x01\x02"), 1, 5, 0, 0},
        {"cut off", AND_GOOD("\x7E\x00\x0E\x90\x00\x01"), 1, 6, 0, 0},
        {"cut off behind an escape", AND_GOOD("\x7E\x00\x7D"), 1, 3, 0, 0},
        {"escape of what needs none", AND_GOOD("\x7E\x00\x02\x8A\x7D\x26\x6F"), 1, 7, 0, 0},
    };

    CHECK_DAMAGED("xbee-escaped", MTU, cases);
}

static void
loralink_finds_the_next_frame_behind_a_bad_one(void)
{
    static const struct damaged cases[] = {
        {"noise before", {WIRE("\x55\xAA" LORA)}, 1, 2, 0, 0},
        {"wrong sum", {WIRE("\x7E\x00\x03\x00\x80\x7E" LORA)}, 1, 5 + 1, 0, 0},
        {"wrong sum of a status", {WIRE("\x7E\x00\x03\x00\x80\x7C" LORA)}, 1, 6, 1, 0},
        {"length 0", {WIRE("\x7E\x00\x00" LORA)}, 1, 3, 0, 0},
        {"length 1", {WIRE("\x7E\x00\x01\xFF" LORA)}, 1, 4, 0, 0},
        {"length 2", {WIRE("\x7E\x00\x02\x80\x7F" LORA)}, 1, 5, 0, 0},
        {"length between the forms", {WIRE("\x7E\x00\x05\x00\x00\x00\x80\x7F" LORA)}, 1, 8, 0, 0},
        {"length of more than a modem has", {WIRE("\x7E\x01\x08" LORA)}, 1, 3, 0, 0},
        {"restart", {WIRE("\x7E\x00\x09\x05\xFF" LORA)}, 1, 5, 0, 0},
        {"no message", {WIRE("\x7E\x00\x07\x05\xFF\xC0\x00\x09\x40\xF2" LORA)}, 1, 10, 0, 0},
        {"cut message", {WIRE("\x7E\x00\x08\x05\xFF\xC0\x00\x09\x40\x02\xF0" LORA)}, 1, 11, 0, 0},
    };

    CHECK_DAMAGED("loralink", LORALINK_MTU, cases);
}

/* Inside, octets that look like a frame follow. */
static void
frame_longer_than_the_buffer_is_skipped(void)
{
    for (size_t f = 0; f < NAME_COUNT; f++) {
        uint8_t content[60] = {0x90};
        uint8_t frame[200];
        struct sink sink;

        memcpy(content + 20, GOOD, GOOD_LEN);
        memcpy(content + 40, LORA, LORA_LEN);
        sink_open(&sink, names[f], 2);
        size_t len = frame_of(names[f], content, sizeof content, frame);
        feed(&sink, frame, len, 0);
        CU_ASSERT_EQUAL(sink.count, 0);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_oversize, 1);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, len);
        len = reception(sink.framing, 0, dm_span(WIRE(PINGREQ)), frame, sizeof frame);
        feed(&sink, frame, len, 0);
        CU_ASSERT_TRUE(received(&sink, 0, WIRE(PINGREQ)));
        framing_free(sink.framing);
    }
}

static void
message_longer_than_the_mtu_is_oversize(void)
{
    for (size_t f = 0; f < NAME_COUNT; f++) {
        uint8_t frame[80];
        struct sink sink;

        sink_open(&sink, names[f], 12);
        size_t len = reception(sink.framing, 0, dm_span(WIRE(MESSAGE)), frame, sizeof frame);
        feed(&sink, frame, len, 0);
        CU_ASSERT_EQUAL(sink.count, 0);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_oversize, 1);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, len);
        framing_free(sink.framing);
    }
}

/* Where a frame holds another one, nobody but its sender wrote that: no node speaks for others. */
static void
frame_inside_a_message_is_data(void)
{
    for (size_t f = 0; f < NAME_COUNT; f++) {
        uint8_t message[64] = "\x00\x0C\x00\x00\x05\x00\x00";
        uint8_t inner[64];
        uint8_t frame[200];
        struct sink sink;

        open_sink(&sink, names[f]);
        size_t len = reception(sink.framing, 0, dm_span(WIRE(PINGREQ)), inner, sizeof inner);
        memcpy(message + 7, inner, len);
        message[0] = (uint8_t)(7 + len);
        len = reception(sink.framing, 0, dm_span(message, 7 + len), frame, sizeof frame);
        feed(&sink, frame, len, 0);
        CU_ASSERT_EQUAL(sink.count, 1);
        CU_ASSERT_TRUE(received(&sink, 0, message, message[0]));
        framing_free(sink.framing);
    }
}

static void
gap_ends_a_partial_frame(void)
{
    for (size_t f = 0; f < NAME_COUNT; f++) {
        uint8_t frame[64];
        struct sink sink;

        open_sink(&sink, names[f]);
        size_t len = reception(sink.framing, 0, dm_span(WIRE(PINGREQ)), frame, sizeof frame);
        feed(&sink, frame, 1, 1000); /* the rest comes late, but not too late */
        feed(&sink, frame + 1, len - 1, 1000 + GAP_MS);
        CU_ASSERT_EQUAL(sink.count, 1);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_gap_resets, 0);
        feed(&sink, frame, len - 1, 2000);
        feed(&sink, frame + len - 1, 1, 2000 + GAP_MS + 1);
        CU_ASSERT_EQUAL(sink.count, 1);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_gap_resets, 1);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, len);
        feed(&sink, frame, len, 9000);
        CU_ASSERT_EQUAL(sink.count, 2);
        framing_free(sink.framing);
    }
}

static void
reset_forgets_a_partial_frame_and_is_safe_in_delivery(void)
{
    for (size_t f = 0; f < NAME_COUNT; f++) {
        uint8_t frame[64];
        struct sink sink;

        open_sink(&sink, names[f]);
        size_t len = reception(sink.framing, 0, dm_span(WIRE(PINGREQ)), frame, sizeof frame);
        for (size_t cut = 1; cut < len; cut++) {
            feed(&sink, frame, cut, 0);
            framing_reset(sink.framing);
        }
        sink.reset_in_delivery = true;
        feed(&sink, frame, len, 0);
        feed(&sink, frame, len, 0);
        CU_ASSERT_EQUAL(sink.count, 2);
        CU_ASSERT_TRUE(received(&sink, 1, WIRE(PINGREQ)));
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
        framing_free(sink.framing);
    }
}

/* ---- XBee: what a node is, and the frames beside messages ---- */

static void
xbee_node_without_a_long_address_is_its_short_one(void)
{
    for (size_t f = 0; f < 2; f++) {
        struct sink sink;
        uint8_t frame[64];
        size_t len = 0;

        open_sink(&sink, names[f]);
        feed_content(&sink, WIRE("\x90" UNKNOWN "\x12\x34\x01" PINGREQ));
        feed_content(&sink, WIRE("\x91" UNKNOWN "\x12\x34\xE8\xE8\x00\x11\xC1\x05\x01" PINGREQ));
        feed_content(&sink, WIRE("\x91" NODE "\x12\x34\xE8\xE8\x00\x11\xC1\x05\x01" PINGREQ));
        CU_ASSERT_TRUE(received_from(&sink, 0, WIRE(NODE_16), WIRE(PINGREQ)));
        CU_ASSERT_TRUE(received_from(&sink, 1, WIRE(NODE_16), WIRE(PINGREQ)));
        CU_ASSERT_TRUE(received_from(&sink, 2, WIRE(NODE), WIRE(PINGREQ)));

        uint8_t wanted[64];
        size_t wanted_len =
            frame_of(names[f], WIRE("\x10\x07" UNKNOWN "\x12\x34\x00\x00" PINGREQ), wanted);
        CU_ASSERT_EQUAL(framing_encode(sink.framing,
                                       &(struct framing_frame){dm_span(WIRE(NODE_16)),
                                                               dm_span(WIRE(PINGREQ)), 7},
                                       frame, sizeof frame, &len),
                        DM_OK);
        CU_ASSERT_TRUE(dm_span_equal(dm_span(frame, len), dm_span(wanted, wanted_len)));
        framing_free(sink.framing);
    }
}

static void
check_encoded(const struct framing *framing, struct dm_span node, const uint8_t *content,
              size_t content_len)
{
    uint8_t frame[64], wanted[64];
    size_t len = 0;
    size_t wanted_len = frame_of(framing_traits(framing)->name, content, content_len, wanted);

    CU_ASSERT_EQUAL(framing_encode(framing,
                                   &(struct framing_frame){node, dm_span(WIRE(PINGREQ)), 7}, frame,
                                   sizeof frame, &len),
                    DM_OK);
    CU_ASSERT_TRUE(dm_span_equal(dm_span(frame, len), dm_span(wanted, wanted_len)));
}

/* The radios of the first series; they know no other requests. */
static void
xbee_radio_with_short_forms_is_answered_in_them(void)
{
    for (size_t f = 0; f < 2; f++) {
        struct sink sink;

        open_sink(&sink, names[f]);
        feed_content(&sink, WIRE("\x81\x12\x34\x28\x00" PINGREQ));
        CU_ASSERT_TRUE(received_from(&sink, 0, WIRE(NODE_16), WIRE(PINGREQ)));
        CU_ASSERT_TRUE(sink.messages[0].quality.has_rssi);
        CU_ASSERT_EQUAL(sink.messages[0].quality.rssi, -40);
        check_encoded(sink.framing, dm_span(WIRE(NODE_16)), WIRE("\x01\x07\x12\x34\x00" PINGREQ));
        feed_content(&sink, WIRE("\x80" NODE "\xFF\x00" PINGREQ));
        CU_ASSERT_TRUE(received_from(&sink, 1, WIRE(NODE), WIRE(PINGREQ)));
        CU_ASSERT_EQUAL(sink.messages[1].quality.rssi, -255);
        framing_reset(sink.framing); /* the port was closed, the radio is the same */
        check_encoded(sink.framing, dm_span(WIRE(NODE)), WIRE("\x00\x07" NODE "\x00" PINGREQ));
        check_encoded(sink.framing, dm_span(NULL, 0),
                      WIRE("\x00\x07\x00\x00\x00\x00\x00\x00\xFF\xFF\x00" PINGREQ));
        feed_content(&sink, WIRE("\x90" NODE "\x12\x34\x01" PINGREQ));
        CU_ASSERT_FALSE(sink.messages[2].quality.has_rssi);
        check_encoded(sink.framing, dm_span(WIRE(NODE)),
                      WIRE("\x10\x07" NODE "\xFF\xFE\x00\x00" PINGREQ));
        framing_free(sink.framing);
    }
}

static void
xbee_status_confirms_the_frame_with_its_id(void)
{
    static const struct {
        struct dm_span content;
        uint8_t id;
        bool taken;
    } cases[] = {
        {{WIRE("\x8B\x01\x7D\x84\x00\x00\x01")}, 0x01, true},
        {{WIRE("\x8B\xFE\xFF\xFE\x03\x24\x00")}, 0xFE, false},
        {{WIRE("\x89\x7E\x00")}, 0x7E, true},
        {{WIRE("\x89\x11\x01")}, 0x11, false},
    };

    for (size_t f = 0; f < 2; f++) {
        struct sink sink;

        open_sink(&sink, names[f]);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            const struct framing_event *event = &sink.others[i].event;
            feed_content(&sink, cases[i].content.data, cases[i].content.len);
            CU_ASSERT_EQUAL_FATAL(sink.other_count, i + 1);
            CU_ASSERT_EQUAL(event->type, FRAMING_CONFIRMED);
            CU_ASSERT_EQUAL(event->id, cases[i].id);
            CU_ASSERT_EQUAL(event->taken, cases[i].taken);
            CU_ASSERT_EQUAL(event->node.len, 0);
        }
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
        feed_content(&sink, WIRE("\x8B\x00\xFF\xFE\x00\x00\x00")); /* of no frame of ours */
        feed_content(&sink, WIRE("\x8B\x01\xFF\xFE\x00"));
        feed_content(&sink, WIRE("\x89\x01"));
        CU_ASSERT_EQUAL(sink.other_count, sizeof cases / sizeof cases[0]);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 11 + 9 + 6);
        framing_free(sink.framing);
    }
}

static void
xbee_modem_status_is_a_note(void)
{
    static const struct {
        uint8_t status;
        const char *text;
    } cases[] = {
        {0x00, "modem status: hardware reset"},
        {0x01, "modem status: watchdog reset"},
        {0x02, "modem status: joined network"},
        {0x03, "modem status: left network"},
        {0x06, "modem status: coordinator started"},
        {0x07, "modem status: network security key updated"},
        {0x0B, "modem status: network woke up"},
        {0x0C, "modem status: network went to sleep"},
        {0x0D, "modem status: supply voltage limit exceeded"},
        {0x11, "modem status 0x11"},
        {0xFE, "modem status 0xFE"},
    };

    for (size_t f = 0; f < 2; f++) {
        struct sink sink;

        open_sink(&sink, names[f]);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            feed_content(&sink, (const uint8_t[]){0x8A, cases[i].status}, 2);
            CU_ASSERT_EQUAL_FATAL(sink.other_count, i + 1);
            CU_ASSERT_EQUAL(sink.others[i].event.type, FRAMING_NOTE);
            CU_ASSERT_STRING_EQUAL(sink.others[i].event.text, cases[i].text);
        }
        framing_free(sink.framing);
    }
}

static void
xbee_hello_asks_for_the_payload_and_the_answer_tells_it(void)
{
    for (size_t f = 0; f < 2; f++) {
        struct sink sink;

        open_sink(&sink, names[f]);
        framing_hello(sink.framing, on_sink_event, &sink);
        CU_ASSERT_EQUAL_FATAL(sink.other_count, 1);
        CU_ASSERT_EQUAL(sink.others[0].event.type, FRAMING_REPLY);
        CU_ASSERT_TRUE(dm_span_equal(sink.others[0].event.octets,
                                     dm_span(WIRE("\x7E\x00\x04\x08\xFFNP\x5A"))));
        feed_content(&sink, WIRE("\x88\xFFNP\x00\x01\x13"));
        CU_ASSERT_EQUAL_FATAL(sink.other_count, 2);
        CU_ASSERT_EQUAL(sink.others[1].event.type, FRAMING_PAYLOAD);
        CU_ASSERT_EQUAL(sink.others[1].event.payload, 0x113);
        framing_free(sink.framing);
    }
}

/* Good frames of a radio that tells more than we ask for, and our own. */
static void
xbee_frames_of_no_use_are_ignored_and_no_garbage(void)
{
    static const struct dm_span contents[] = {
        {WIRE("\x88\xFFNP\x01")}, /* the radio does not know the query */
        {WIRE("\x88\xFFNP\x04\x00\x49")},
        {WIRE("\x88\xFFNP\x00\x00\x00")}, /* no number of octets */
        {WIRE("\x88\xFFNP\x00\x49")},
        {WIRE("\x88\x01"
              "AP\x00\x01\x02")},
        {WIRE("\x88\x01")},
        {WIRE("\x95" NODE "\x12\x34\x02\x12\x34" NODE " \x00\xFF\xFE\x01\x01\xC1\x05\x10\x1E")},
        {WIRE("\x92" NODE "\x12\x34\x01\x01\x00\x00\x02\x02\x0C")},
        {WIRE("\x10\x01" NODE "\xFF\xFE\x00\x00" PINGREQ)},
        {WIRE("\x00\x01" NODE "\x00" PINGREQ)},
        {WIRE("\x08\xFFNP")},
    };

    for (size_t f = 0; f < 2; f++) {
        struct sink sink;

        open_sink(&sink, names[f]);
        for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++)
            feed_content(&sink, contents[i].data, contents[i].len);
        CU_ASSERT_EQUAL(sink.count, 0);
        CU_ASSERT_EQUAL(sink.other_count, 0);
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
        framing_free(sink.framing);
    }
}

static void
xbee_packet_without_one_whole_message_is_garbage(void)
{
    static const struct dm_span contents[] = {
        {WIRE("\x90" NODE "\x12\x34")},
        {WIRE("\x90" NODE "\x12\x34\x01")},
        {WIRE("\x90" NODE "\x12\x34\x01" PINGREQ PINGREQ)},
        {WIRE("\x91" NODE "\x12\x34\xE8\xE8\x00\x12\xC1\x05")},
        {WIRE("\x91" NODE "\x12\x34\xE8\xE8\x00\x12\xC1\x05\x01")},
        {WIRE("\x80" NODE "\x28")},
        {WIRE("\x80" NODE "\x28\x00\x02")},
        {WIRE("\x81\x12\x34\x28")},
        {WIRE("\x81\x12\x34\x28\x00\x03\x16")},
    };

    struct sink sink;
    uint64_t garbage = 0;

    open_sink(&sink, "xbee");
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        feed_content(&sink, contents[i].data, contents[i].len);
        garbage += contents[i].len + 4;
        CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, garbage);
    }
    CU_ASSERT_EQUAL(sink.count, 0);
    CU_ASSERT_EQUAL(sink.other_count, 0);
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_crc_errors, 0);
    framing_free(sink.framing);
}

/* ---- LoRaLink ---- */

static void
loralink_message_tells_node_and_quality(void)
{
    struct sink sink;

    open_sink(&sink, "loralink");
    feed_content(&sink, WIRE("\x05\xFF\x88\xFF\xF4\x40" PINGREQ));
    CU_ASSERT_TRUE(received_from(&sink, 0, WIRE("\x05"), WIRE(PINGREQ)));
    CU_ASSERT_TRUE(sink.messages[0].quality.has_rssi && sink.messages[0].quality.has_snr);
    CU_ASSERT_FALSE(sink.messages[0].quality.has_lqi);
    CU_ASSERT_EQUAL(sink.messages[0].quality.rssi, -120);
    CU_ASSERT_EQUAL(sink.messages[0].quality.snr, -12);
    framing_free(sink.framing);
}

static void
loralink_status_confirms_the_oldest_frame(void)
{
    static const struct {
        struct dm_span content;
        bool taken;
    } cases[] = {
        {{WIRE("\x05\x00\x00\x00\x00\x80")}, true},  {{WIRE("\x05\x80")}, true},
        {{WIRE("\x05\x00\x00\x00\x00\x81")}, false}, {{WIRE("\x05\x81")}, false},
        {{WIRE("\x05\x00\x00\x00\x00\x82")}, false}, {{WIRE("\x05\x82")}, false},
    };
    struct sink sink;

    open_sink(&sink, "loralink");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        feed_content(&sink, cases[i].content.data, cases[i].content.len);
        CU_ASSERT_EQUAL_FATAL(sink.other_count, i + 1);
        CU_ASSERT_EQUAL(sink.others[i].event.type, FRAMING_CONFIRMED);
        CU_ASSERT_EQUAL(sink.others[i].event.taken, cases[i].taken);
        CU_ASSERT_EQUAL(sink.others[i].event.id, 0);
    }
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
    framing_free(sink.framing);
}

static void
loralink_frames_of_no_use_are_ignored_and_no_garbage(void)
{
    static const struct dm_span contents[] = {
        {WIRE("\x05\x00\x00\x00\x00\x83")},         {WIRE("\x05\x84")},
        {WIRE("\x05\x00\x00\x00\x00\x80" PINGREQ)}, /* a status has no payload */
        {WIRE("\x05\x00\x00\x00\x00\x10" PINGREQ)}, {WIRE("\x05\x40")},
    };
    struct sink sink;

    open_sink(&sink, "loralink");
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++)
        feed_content(&sink, contents[i].data, contents[i].len);
    framing_hello(sink.framing, on_sink_event, &sink);
    CU_ASSERT_EQUAL(sink.count, 0);
    CU_ASSERT_EQUAL(sink.other_count, 0);
    CU_ASSERT_EQUAL(framing_counters(sink.framing)->rx_garbage, 0);
    framing_free(sink.framing);
}

/* ---- random and noise ---- */

static void
count_message(void *ctx, const struct framing_event *event)
{
    if (event->type == FRAMING_MESSAGE)
        ++*(size_t *)ctx;
}

/* Frames among octets that are often starts and escapes: however they are cut into chunks, the same
 * comes out. */
static void
random_streams_decode_alike_in_any_chunks(void)
{
    struct random_source source = random_start("random streams", 4);
    size_t total = 0;

    for (unsigned round = 0; round < 900; round++) {
        const char *name = names[round % NAME_COUNT];
        size_t mtu = 2 + random_below(&source, round % 2 ? 240 : 20);
        struct framing *whole = new_framing(name, mtu, GAP_MS);
        struct framing *pieces = new_framing(name, mtu, GAP_MS);
        uint8_t stream[1200];
        size_t len = 0;
        size_t counts[2] = {0, 0};

        CU_ASSERT_TRUE_FATAL(whole != NULL && pieces != NULL);
        while (len < 1000) {
            if (random_below(&source, 4) == 0)
                len +=
                    reception(whole, 0, dm_span(WIRE(PINGREQ)), stream + len, sizeof stream - len);
            for (unsigned i = random_below(&source, 60); i > 0 && len < 1000; i--)
                stream[len++] =
                    (const uint8_t[]){0x7E, 0x00, 0x01, 0x7D,
                                      0x5E, 0x10, 0x40, (uint8_t)random_next(&source)}[random_below(
                        &source, 8)];
        }
        framing_feed(whole, stream, len, 0, count_message, &counts[0]);
        for (size_t at = 0; at < len;) {
            size_t chunk = 1 + random_below(&source, 300);
            chunk = chunk < len - at ? chunk : len - at;
            framing_feed(pieces, stream + at, chunk, 0, count_message, &counts[1]);
            at += chunk;
        }
        CU_ASSERT_EQUAL(counts[0], counts[1]);
        CU_ASSERT_EQUAL(memcmp(framing_counters(whole), framing_counters(pieces),
                               sizeof *framing_counters(whole)),
                        0);
        CU_ASSERT_TRUE(framing_counters(whole)->rx_garbage <= len);
        total += counts[0];
        framing_free(whole);
        framing_free(pieces);
    }
    CU_ASSERT_TRUE(total > 900);
}

/* Beside the message, a sum of eight bits lets damage of a frame pass now and then. */
static void
noise_costs_little_more_than_the_frames_it_hits(void)
{
    static const struct {
        unsigned noise;
        bool burst;
        double intact_percent;
    } cases[] = {{2, false, 97.0}, {2, true, 96.0}, {20, true, 80.0}};

    for (size_t f = 0; f < NAME_COUNT; f++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct noise_run *run =
                run_noise(new_framing(names[f], mtu_of(names[f]), GAP_MS), mtu_of(names[f]),
                          reception, cases[i].noise, cases[i].burst);
            double percent = 100.0 * run->intact / NOISE_MESSAGES;
            printf("\n    %s, %s, %u %% noise: %.1f %% intact, %u corrupted ", names[f],
                   cases[i].burst ? "burst" : "spaced", cases[i].noise, percent, run->corrupted);
            CU_ASSERT_TRUE(percent >= cases[i].intact_percent);
            CU_ASSERT_TRUE(run->corrupted <= 10);
            free(run);
        }
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(encode_of_the_golden_message_gives_its_frame),
    UNIT_TEST(golden_frame_delivers_node_and_message_at_every_split),
    UNIT_TEST(every_example_message_is_received_and_can_be_sent),
    UNIT_TEST(worst_payload_fits_encoded_max_and_the_buffer),
    UNIT_TEST(every_octet_is_escaped_where_it_must_be),
    UNIT_TEST(encode_of_an_impossible_frame_is_invalid),
    UNIT_TEST(traits_tell_how_the_radio_confirms),
    UNIT_TEST(xbee_finds_the_next_frame_behind_a_bad_one),
    UNIT_TEST(escaped_start_always_starts_a_frame),
    UNIT_TEST(loralink_finds_the_next_frame_behind_a_bad_one),
    UNIT_TEST(frame_longer_than_the_buffer_is_skipped),
    UNIT_TEST(message_longer_than_the_mtu_is_oversize),
    UNIT_TEST(frame_inside_a_message_is_data),
    UNIT_TEST(gap_ends_a_partial_frame),
    UNIT_TEST(reset_forgets_a_partial_frame_and_is_safe_in_delivery),
    UNIT_TEST(xbee_node_without_a_long_address_is_its_short_one),
    UNIT_TEST(xbee_radio_with_short_forms_is_answered_in_them),
    UNIT_TEST(xbee_status_confirms_the_frame_with_its_id),
    UNIT_TEST(xbee_modem_status_is_a_note),
    UNIT_TEST(xbee_hello_asks_for_the_payload_and_the_answer_tells_it),
    UNIT_TEST(xbee_frames_of_no_use_are_ignored_and_no_garbage),
    UNIT_TEST(xbee_packet_without_one_whole_message_is_garbage),
    UNIT_TEST(loralink_message_tells_node_and_quality),
    UNIT_TEST(loralink_status_confirms_the_oldest_frame),
    UNIT_TEST(loralink_frames_of_no_use_are_ignored_and_no_garbage),
    UNIT_TEST(random_streams_decode_alike_in_any_chunks),
    UNIT_TEST(noise_costs_little_more_than_the_frames_it_hits),
};

UNIT_MAIN("framing_radio_api", tests)
