/* SPDX-License-Identifier: Apache-2.0 */
/* The MQTT-SN codec: every example of the protocol reference, its limits, and hostile input. */
#include <dormouse/mqttsn.h>

#include "mqttsn_examples.h"
#include "random.h"
#include "unit.h"

static bool
packets_equal(const struct mqttsn_packet *a, const struct mqttsn_packet *b)
{
    return a->type == b->type && a->dup == b->dup && a->retain == b->retain && a->will == b->will &&
           a->clean_session == b->clean_session && a->has_duration == b->has_duration &&
           a->has_flags == b->has_flags && a->bad_topic == b->bad_topic && a->qos == b->qos &&
           a->topic_type == b->topic_type && a->return_code == b->return_code &&
           a->gateway_id == b->gateway_id && a->radius == b->radius &&
           a->protocol_id == b->protocol_id && a->topic_id == b->topic_id &&
           a->msg_id == b->msg_id && a->duration_s == b->duration_s &&
           dm_span_equal(a->client_id, b->client_id) &&
           dm_span_equal(a->topic_name, b->topic_name) && dm_span_equal(a->data, b->data);
}

/* Decodes a copy of exactly `len` octets, so that the sanitizer sees a read beyond them. The spans
 * of *packet are not valid afterwards; a failure must leave *packet alone. */
static enum dm_result
decode_exact(const uint8_t *octets, size_t len)
{
    struct mqttsn_packet packet = {.type = MQTTSN_TYPE_COUNT};
    uint8_t *copy = malloc(len);

    if (len > 0)
        memcpy(copy, octets, len);
    enum dm_result result = mqttsn_decode(copy, len, &packet);
    CU_ASSERT_EQUAL(packet.type == MQTTSN_TYPE_COUNT, result != DM_OK);
    free(copy);
    return result;
}

static size_t
make_long_form(const struct example *example, uint8_t *octets)
{
    size_t total = example->len + 2;

    octets[0] = 0x01;
    octets[1] = (uint8_t)(total >> 8);
    octets[2] = (uint8_t)total;
    memcpy(octets + 3, example->octets + 1, example->len - 1);
    return total;
}

static void
decode_of_every_example_gives_its_fields(void)
{
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        struct mqttsn_packet packet;
        CU_ASSERT_EQUAL_FATAL(mqttsn_decode(examples[i].octets, examples[i].len, &packet), DM_OK);
        CU_ASSERT_TRUE(packets_equal(&packet, &examples[i].packet));
    }
}

static void
encode_of_every_example_gives_its_octets(void)
{
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        uint8_t octets[64];
        size_t len = 0;
        CU_ASSERT_EQUAL(mqttsn_encode(&examples[i].packet, octets, sizeof octets, &len), DM_OK);
        CU_ASSERT_EQUAL_FATAL(len, examples[i].len);
        CU_ASSERT_EQUAL(memcmp(octets, examples[i].octets, len), 0);
    }
}

static void
encode_into_a_buffer_one_octet_short_is_full(void)
{
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        size_t size = examples[i].len - 1;
        size_t len = 12345;
        uint8_t *octets = malloc(size);
        CU_ASSERT_EQUAL(mqttsn_encode(&examples[i].packet, octets, size, &len), DM_FULL);
        CU_ASSERT_EQUAL(len, 12345);
        free(octets);
    }
}

static void
examples_cover_every_type(void)
{
    for (int type = 0; type < MQTTSN_TYPE_COUNT; type++) {
        bool found = false;
        for (size_t i = 0; i < EXAMPLE_COUNT; i++)
            found = found || (int)examples[i].packet.type == type;
        CU_ASSERT_TRUE(found);
    }
}

static void
long_form_of_every_example_decodes_alike(void) /* R1 */
{
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        uint8_t octets[64];
        size_t len = make_long_form(&examples[i], octets);
        struct mqttsn_packet packet;
        CU_ASSERT_EQUAL_FATAL(mqttsn_decode(octets, len, &packet), DM_OK);
        CU_ASSERT_TRUE(packets_equal(&packet, &examples[i].packet));
    }
}

static void
every_truncation_of_every_example_is_rejected(void)
{
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        uint8_t octets[64];
        size_t long_len = make_long_form(&examples[i], octets);
        for (size_t len = 0; len < examples[i].len; len++)
            CU_ASSERT_EQUAL(decode_exact(examples[i].octets, len),
                            len < 2 ? DM_MALFORMED : DM_TRUNCATED);
        for (size_t len = 0; len < long_len; len++)
            CU_ASSERT_EQUAL(decode_exact(octets, len), len < 4 ? DM_MALFORMED : DM_TRUNCATED);
    }
}

/* The Length octet is made to agree with what is left, so only the type's own size can refuse. */
static void
every_example_cut_with_its_length_is_malformed_or_complete(void)
{
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        for (uint8_t len = 2; len < examples[i].len; len++) {
            uint8_t octets[64];
            struct mqttsn_packet packet;
            memcpy(octets, examples[i].octets, len);
            octets[0] = len;
            enum dm_result result = decode_exact(octets, len);
            CU_ASSERT_TRUE(result == DM_OK || result == DM_MALFORMED);
            if (result == DM_OK) {
                CU_ASSERT_EQUAL(mqttsn_decode(octets, len, &packet), DM_OK);
                CU_ASSERT_FALSE(packets_equal(&packet, &examples[i].packet));
            }
        }
    }
}

static void
decode_with_an_octet_too_many_is_malformed(void) /* R3 */
{
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        uint8_t octets[64] = {0};
        memcpy(octets, examples[i].octets, examples[i].len);
        CU_ASSERT_EQUAL(decode_exact(octets, examples[i].len + 1), DM_MALFORMED);
    }
}

static void
decode_of_input_without_sense_is_refused(void)
{
    static const struct {
        const char *rule;
        const uint8_t *octets;
        size_t len;
        enum dm_result result;
    } cases[] = {
        {"M1", WIRE(""), DM_MALFORMED},
        {"M1", WIRE("\x02"), DM_MALFORMED},
        {"M2", WIRE("\x00\x17"), DM_MALFORMED},
        {"M3 short", WIRE("\x03\x17"), DM_TRUNCATED},
        {"M3 trailing", WIRE("\x02\x17\x00"), DM_MALFORMED},
        {"M3 two messages", WIRE("\x02\x17\x02\x17"), DM_MALFORMED},
        {"M4 short", WIRE("\x01\x00"), DM_MALFORMED},
        {"M4 short", WIRE("\x01\x00\x03"), DM_MALFORMED},
        {"M4 value", WIRE("\x01\x00\x03\x17"), DM_MALFORMED},
        {"M4 value", WIRE("\x01\x00\x00\x17"), DM_MALFORMED},
        {"M5", WIRE("\x02\x03"), DM_UNSUPPORTED},
        {"M5", WIRE("\x02\x11"), DM_UNSUPPORTED},
        {"M5", WIRE("\x02\x19"), DM_UNSUPPORTED},
        {"M5", WIRE("\x02\x1E"), DM_UNSUPPORTED},
        {"M5", WIRE("\x02\xFD"), DM_UNSUPPORTED},
        {"M5", WIRE("\x02\xFF"), DM_UNSUPPORTED},
        {"0xFE", WIRE("\x05\xFE\x00\xAB\xCD\x02\x16"), DM_UNSUPPORTED},
        {"0xFE long", WIRE("\x01\x00\x05\xFE\x00"), DM_UNSUPPORTED},
        {"M6 PUBACK 6", WIRE("\x06\x0D\x00\x05\x00\x02"), DM_MALFORMED},
        {"M6 PUBACK 8", WIRE("\x08\x0D\x00\x05\x00\x02\x00\x00"), DM_MALFORMED},
        {"M6 SUBACK 7", WIRE("\x07\x13\x20\x00\x00\x00\x04"), DM_MALFORMED},
        {"M6 SUBACK 9", WIRE("\x09\x13\x20\x00\x00\x00\x04\x00\x00"), DM_MALFORMED},
        {"M6 PINGRESP 3", WIRE("\x03\x17\x00"), DM_MALFORMED},
        {"M6 CONNACK 4", WIRE("\x04\x05\x00\x00"), DM_MALFORMED},
        {"M7 size 3", WIRE("\x03\x18\x00"), DM_MALFORMED},
        {"M7 size 3 long", WIRE("\x01\x00\x05\x18\x00"), DM_MALFORMED},
        {"M7 size 5", WIRE("\x05\x18\x00\x00\x00"), DM_MALFORMED},
        {"M8", WIRE("\x05\x04\x00\x01\x00"), DM_MALFORMED},
        {"M28", WIRE("\x06\x0C\x00\x00\x05\x00"), DM_MALFORMED},
        {"M55", WIRE("\x02\x01"), DM_MALFORMED},
        {"REGISTER 5", WIRE("\x05\x0A\x00\x00\x00"), DM_MALFORMED},
        {"SUBSCRIBE 4", WIRE("\x04\x12\x00\x00"), DM_MALFORMED},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum dm_result result = decode_exact(cases[i].octets, cases[i].len);
        if (result != cases[i].result)
            printf("\n%s: %s\n", cases[i].rule, dm_result_text(result));
        CU_ASSERT_EQUAL(result, cases[i].result);
    }
}

static void
decode_of_what_the_session_has_to_answer_is_accepted(void)
{
    static const struct example cases[] = {
        /* M9 */
        {WIRE("\x06\x04\x00\x01\x00\x3C"),
         {.type = MQTTSN_CONNECT, .protocol_id = 1, .duration_s = 60}},
        /* M11 */
        {WIRE("\x07\x04\x00\x02\x00\x3C\x61"),
         {.type = MQTTSN_CONNECT, .protocol_id = 2, .duration_s = 60, .client_id = TEXT("a")}},
        /* M17 */
        {WIRE("\x03\x07\x30"), {.type = MQTTSN_WILLTOPIC}},
        {WIRE("\x03\x1A\x30"), {.type = MQTTSN_WILLTOPICUPD}},
        /* M18 */
        {WIRE("\x06\x0A\x00\x00\x00\x01"), {.type = MQTTSN_REGISTER, .msg_id = 1}},
        /* M26 */
        {WIRE("\x07\x0C\x03\x00\x05\x00\x02"),
         {.type = MQTTSN_PUBLISH, .topic_type = MQTTSN_TOPIC_RESERVED, .topic_id = 5, .msg_id = 2}},
        /* M39: one octet, three octets, none; and R71 */
        {WIRE("\x06\x12\x01\x00\x05\x07"),
         {.type = MQTTSN_SUBSCRIBE,
          .topic_type = MQTTSN_TOPIC_PREDEFINED,
          .msg_id = 5,
          .bad_topic = true}},
        {WIRE("\x08\x12\x02\x00\x05\x61\x62\x63"),
         {.type = MQTTSN_SUBSCRIBE,
          .topic_type = MQTTSN_TOPIC_SHORT,
          .msg_id = 5,
          .bad_topic = true}},
        {WIRE("\x05\x14\x01\x00\x05"),
         {.type = MQTTSN_UNSUBSCRIBE,
          .topic_type = MQTTSN_TOPIC_PREDEFINED,
          .msg_id = 5,
          .bad_topic = true}},
        {WIRE("\x07\x12\x03\x00\x05\x61\x62"),
         {.type = MQTTSN_SUBSCRIBE,
          .topic_type = MQTTSN_TOPIC_RESERVED,
          .msg_id = 5,
          .topic_name = TEXT("ab")}},
        /* M40 */
        {WIRE("\x05\x12\x00\x00\x05"), {.type = MQTTSN_SUBSCRIBE, .msg_id = 5}},
        /* R83 */
        {WIRE("\x04\x18\x00\x00"), {.type = MQTTSN_DISCONNECT, .has_duration = true}},
        /* reserved return code */
        {WIRE("\x03\x05\xFF"),
         {.type = MQTTSN_CONNACK, .return_code = (enum mqttsn_return_code)255}},
        {WIRE("\x07\x0D\x00\x05\x00\x02\x80"),
         {.type = MQTTSN_PUBACK,
          .topic_id = 5,
          .msg_id = 2,
          .return_code = (enum mqttsn_return_code)128}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mqttsn_packet packet;
        CU_ASSERT_EQUAL_FATAL(mqttsn_decode(cases[i].octets, cases[i].len, &packet), DM_OK);
        CU_ASSERT_TRUE(packets_equal(&packet, &cases[i].packet));
    }
}

static void
unused_flags_are_ignored_when_read_and_sent_as_zero(void) /* R5, M12 */
{
    static const struct {
        const uint8_t *octets; /* with all flags set */
        size_t len;
        size_t flags_at;
        uint8_t kept;
    } cases[] = {
        {WIRE("\x07\x04\xFF\x01\x00\x3C\x61"), 2, 0x0C},
        {WIRE("\x04\x07\xFF\x61"), 2, 0x70},
        {WIRE("\x08\x0C\xFF\x00\x05\x00\x02\x61"), 2, 0xF3},
        {WIRE("\x06\x12\xFF\x00\x05\x61"), 2, 0xE3},
        {WIRE("\x08\x13\xFF\x00\x05\x00\x02\x00"), 2, 0x60},
        {WIRE("\x06\x14\xFF\x00\x05\x61"), 2, 0x03},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mqttsn_packet packet;
        uint8_t octets[16];
        size_t len = 0;
        CU_ASSERT_EQUAL_FATAL(mqttsn_decode(cases[i].octets, cases[i].len, &packet), DM_OK);
        CU_ASSERT_EQUAL(mqttsn_encode(&packet, octets, sizeof octets, &len), DM_OK);
        CU_ASSERT_EQUAL_FATAL(len, cases[i].len);
        CU_ASSERT_EQUAL(octets[cases[i].flags_at], cases[i].kept);

        struct mqttsn_packet every_flag = {.type = packet.type,
                                           .dup = true,
                                           .qos = -1,
                                           .retain = true,
                                           .will = true,
                                           .clean_session = true,
                                           .has_flags = true,
                                           .topic_type = MQTTSN_TOPIC_RESERVED};
        CU_ASSERT_EQUAL(mqttsn_encode(&every_flag, octets, sizeof octets, &len), DM_OK);
        CU_ASSERT_EQUAL(octets[cases[i].flags_at], cases[i].kept);
    }
}

static void
form_of_length_follows_the_size(void) /* R2 */
{
    static uint8_t data[MQTTSN_PACKET_MAX];
    static uint8_t octets[MQTTSN_PACKET_MAX + 1];
    static const struct {
        size_t data_len;
        size_t total;
        size_t header;
    } cases[] = {{0, 7, 2},     {247, 254, 2}, {248, 255, 2},
                 {249, 258, 4}, {291, 300, 4}, {65526, 65535, 4}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mqttsn_packet sent = {.type = MQTTSN_PUBLISH, .qos = 1, .topic_id = 5, .msg_id = 3};
        struct mqttsn_packet packet;
        size_t len = 0;
        memset(data, 0x5A, sizeof data);
        sent.data = dm_span(data, cases[i].data_len);
        CU_ASSERT_EQUAL(mqttsn_encode(&sent, octets, sizeof octets, &len), DM_OK);
        CU_ASSERT_EQUAL(len, cases[i].total);
        CU_ASSERT_EQUAL(octets[0], cases[i].header == 2 ? cases[i].total : 1);
        CU_ASSERT_EQUAL(octets[cases[i].header - 1], 0x0C);
        CU_ASSERT_EQUAL(mqttsn_decode(octets, len, &packet), DM_OK);
        CU_ASSERT_TRUE(packets_equal(&packet, &sent));
        CU_ASSERT_EQUAL(mqttsn_encode(&sent, octets, cases[i].total - 1, &len), DM_FULL);
    }
    struct mqttsn_packet large = {.type = MQTTSN_PUBLISH, .data = dm_span(data, 65527)};
    size_t len = 0;
    CU_ASSERT_EQUAL(mqttsn_encode(&large, octets, sizeof octets, &len), DM_FULL);
}

static void
example_of_300_octets_has_the_long_header(void)
{
    static const uint8_t head[] = {0x01, 0x01, 0x2C, 0x0C, 0x20, 0x00, 0x05, 0x00, 0x03};
    uint8_t data[291];
    uint8_t octets[300];
    size_t len = 0;
    struct mqttsn_packet packet = {.type = MQTTSN_PUBLISH, .qos = 1, .topic_id = 5, .msg_id = 3};

    memset(data, 'x', sizeof data);
    packet.data = dm_span(data, sizeof data);
    CU_ASSERT_EQUAL(mqttsn_encode(&packet, octets, sizeof octets, &len), DM_OK);
    CU_ASSERT_EQUAL(len, sizeof octets);
    CU_ASSERT_EQUAL(memcmp(octets, head, sizeof head), 0);
    CU_ASSERT_EQUAL(memcmp(octets + sizeof head, data, sizeof data), 0);
    for (size_t short_len = 0; short_len < sizeof octets; short_len++)
        CU_ASSERT_NOT_EQUAL(decode_exact(octets, short_len), DM_OK);
}

static void
encode_of_an_unknown_type_is_invalid(void)
{
    struct mqttsn_packet packet = {.type = MQTTSN_TYPE_COUNT};
    uint8_t octets[8];
    size_t len;

    CU_ASSERT_EQUAL(mqttsn_encode(&packet, octets, sizeof octets, &len), DM_INVALID);
}

static void
random_octets_never_break_the_codec(void)
{
    struct random_source source = random_start("random octets", 1);
    unsigned decoded = 0;

    for (int i = 0; i < 300000; i++) {
        size_t len = random_below(&source, 40);
        uint8_t *octets = malloc(len);
        struct mqttsn_packet packet;
        struct dm_span node_id, inner;
        size_t total;

        random_fill(&source, octets, len);
        if (len >= 2 && i % 4 != 0) { /* mostly something that starts like a message */
            octets[0] = (uint8_t)len;
            octets[1] = i % 16 == 1 ? 0xFE : octets[1] % 0x20;
        }
        if (mqttsn_decode(octets, len, &packet) == DM_OK) {
            uint8_t again[64];
            char line[256];
            size_t again_len = 0;
            struct mqttsn_packet packet_again;
            decoded++;
            CU_ASSERT_TRUE(strlen(mqttsn_describe(&packet, line, sizeof line)) < sizeof line);
            CU_ASSERT_EQUAL(mqttsn_encode(&packet, again, sizeof again, &again_len), DM_OK);
            CU_ASSERT_EQUAL(mqttsn_decode(again, again_len, &packet_again), DM_OK);
            CU_ASSERT_TRUE(packet.bad_topic || packets_equal(&packet, &packet_again));
        }
        size_t mtu = 2 + random_below(&source, 40);
        enum dm_result result = mqttsn_measure(octets, len, mtu, &total);
        CU_ASSERT_TRUE(result != DM_OK || (total >= 2 && total <= len && total <= mtu));
        CU_ASSERT_TRUE(result != DM_FULL || total > mtu);
        CU_ASSERT_TRUE(result != DM_TRUNCATED || len < mtu + 4);
        if (mqttsn_unwrap(octets, len, &node_id, &inner) == DM_OK)
            CU_ASSERT_EQUAL(3 + node_id.len + inner.len, len);
        free(octets);
    }
    CU_ASSERT_TRUE(decoded > 10000);
}

static void
unwrap_of_the_examples_gives_node_and_message(void)
{
    struct dm_span node_id, inner;

    CU_ASSERT_TRUE(mqttsn_is_encapsulated(WIRE("\x05\xFE\x00\xAB\xCD\x02\x16")));
    CU_ASSERT_EQUAL(mqttsn_unwrap(WIRE("\x05\xFE\x00\xAB\xCD\x02\x16"), &node_id, &inner), DM_OK);
    CU_ASSERT_TRUE(dm_span_equal(node_id, dm_span("\xAB\xCD", 2)));
    CU_ASSERT_TRUE(dm_span_equal(inner, dm_span("\x02\x16", 2)));
    /* Ctrl is ignored; an empty node id is not excluded; the inner message may be in long form. */
    CU_ASSERT_EQUAL(mqttsn_unwrap(WIRE("\x03\xFE\xFF\x01\x00\x04\x17"), &node_id, &inner), DM_OK);
    CU_ASSERT_EQUAL(node_id.len, 0);
    CU_ASSERT_EQUAL(inner.len, 4);
}

static void
wrap_of_the_examples_gives_their_octets(void)
{
    uint8_t octets[8];
    size_t len = 0;

    CU_ASSERT_EQUAL(
        mqttsn_wrap(dm_span("\xAB\xCD", 2), 0, dm_span("\x02\x16", 2), octets, sizeof octets, &len),
        DM_OK);
    CU_ASSERT_EQUAL(len, 7);
    CU_ASSERT_EQUAL(memcmp(octets, "\x05\xFE\x00\xAB\xCD\x02\x16", 7), 0);
    CU_ASSERT_EQUAL(mqttsn_wrap(dm_span("\xAB\xCD", 2), 1, dm_span("\x03\x02\x01", 3), octets,
                                sizeof octets, &len),
                    DM_OK);
    CU_ASSERT_EQUAL(len, 8);
    CU_ASSERT_EQUAL(memcmp(octets, "\x05\xFE\x01\xAB\xCD\x03\x02\x01", 8), 0);
    CU_ASSERT_EQUAL(
        mqttsn_wrap(dm_span("\xAB\xCD", 2), 1, dm_span("\x03\x02\x01", 3), octets, 7, &len),
        DM_FULL);
    CU_ASSERT_EQUAL(
        mqttsn_wrap(dm_span("\xAB\xCD", 2), 1, dm_span("\x03\x02\x01", 3), octets, 4, &len),
        DM_FULL);
    CU_ASSERT_EQUAL(
        mqttsn_wrap(dm_span("", 0), 4, dm_span("\x02\x16", 2), octets, sizeof octets, &len),
        DM_INVALID);
}

static void
node_id_has_limits_of_252_sent_and_32_received(void) /* R113 */
{
    uint8_t node[253] = {0};
    uint8_t octets[300];
    size_t len = 0;
    struct dm_span node_id, inner = dm_span("\x02\x16", 2);

    CU_ASSERT_EQUAL(mqttsn_wrap(dm_span(node, 253), 0, inner, octets, sizeof octets, &len),
                    DM_INVALID);
    CU_ASSERT_EQUAL(mqttsn_wrap(dm_span(node, 252), 0, inner, octets, sizeof octets, &len), DM_OK);
    CU_ASSERT_EQUAL(octets[0], 255);
    CU_ASSERT_EQUAL(mqttsn_unwrap(octets, len, &node_id, &inner), DM_UNSUPPORTED);
    CU_ASSERT_EQUAL(mqttsn_wrap(dm_span(node, 33), 0, inner, octets, sizeof octets, &len), DM_OK);
    CU_ASSERT_EQUAL(mqttsn_unwrap(octets, len, &node_id, &inner), DM_UNSUPPORTED);
    CU_ASSERT_EQUAL(mqttsn_wrap(dm_span(node, 32), 0, inner, octets, sizeof octets, &len), DM_OK);
    CU_ASSERT_EQUAL(mqttsn_unwrap(octets, len, &node_id, &inner), DM_OK);
    CU_ASSERT_EQUAL(node_id.len, 32);
}

static void
unwrap_of_a_bad_encapsulation_is_malformed(void)
{
    static const struct {
        const uint8_t *octets;
        size_t len;
    } cases[] = {
        {WIRE("")},
        {WIRE("\x03")},
        {WIRE("\x02\x16")},                         /* no encapsulation */
        {WIRE("\x00\xFE\x00\x02\x16")},             /* R117: outer Length */
        {WIRE("\x02\xFE\x02\x16")},                 /* R117 */
        {WIRE("\x01\x00\x05\xFE\x00\x02\x16")},     /* R117: long form */
        {WIRE("\x05\xFE\x00\xAB\xCD")},             /* R117: no inner message */
        {WIRE("\x05\xFE\x00\xAB")},                 /* outer Length beyond the end */
        {WIRE("\x05\xFE\x00\xAB\xCD\x02")},         /* inner without type */
        {WIRE("\x05\xFE\x00\xAB\xCD\x03\x16")},     /* R111: inner too long */
        {WIRE("\x05\xFE\x00\xAB\xCD\x02\x16\x00")}, /* R111: inner too short */
        {WIRE("\x05\xFE\x00\xAB\xCD\x00\x16")},     /* M2 inside */
        {WIRE("\x03\xFE\x00\x03\xFE\x00")},         /* R114 */
        {WIRE("\x03\xFE\x00\x01\x00\x05\xFE\x00")}, /* R114, long form */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dm_span node_id, inner;
        uint8_t *copy = malloc(cases[i].len);
        if (cases[i].len > 0)
            memcpy(copy, cases[i].octets, cases[i].len);
        CU_ASSERT_EQUAL(mqttsn_unwrap(copy, cases[i].len, &node_id, &inner), DM_MALFORMED);
        free(copy);
    }
}

/* A long form whose second octet is 0xFE is 65 kB of a message, not an encapsulation. */
static void
long_form_is_never_an_encapsulation(void)
{
    CU_ASSERT_FALSE(mqttsn_is_encapsulated(WIRE("\x01\xFE\x00\x0C")));
    CU_ASSERT_FALSE(mqttsn_is_encapsulated(WIRE("\x03")));
}

static void
measure_knows_every_example_from_its_start(void)
{
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        uint8_t octets[64];
        size_t total = 0;
        size_t long_len = make_long_form(&examples[i], octets);
        for (size_t len = 0; len < examples[i].len; len++)
            CU_ASSERT_EQUAL(mqttsn_measure(examples[i].octets, len, 255, &total), DM_TRUNCATED);
        CU_ASSERT_EQUAL(mqttsn_measure(examples[i].octets, examples[i].len, 255, &total), DM_OK);
        CU_ASSERT_EQUAL(total, examples[i].len);
        CU_ASSERT_EQUAL(mqttsn_measure(examples[i].octets, examples[i].len, total, &total), DM_OK);
        CU_ASSERT_EQUAL(mqttsn_measure(examples[i].octets, 2, 1, &total), DM_FULL);
        CU_ASSERT_EQUAL(total, examples[i].len);
        for (size_t len = 0; len < long_len; len++)
            CU_ASSERT_EQUAL(mqttsn_measure(octets, len, 255, &total), DM_TRUNCATED);
        CU_ASSERT_EQUAL(mqttsn_measure(octets, sizeof octets, 255, &total), DM_OK);
        CU_ASSERT_EQUAL(total, long_len);
        CU_ASSERT_EQUAL(mqttsn_measure(octets, 3, long_len - 1, &total), DM_TRUNCATED);
        CU_ASSERT_EQUAL(mqttsn_measure(octets, 4, long_len - 1, &total), DM_FULL);
        CU_ASSERT_EQUAL(total, long_len);
    }
}

static void
measure_of_an_encapsulation_includes_the_inner_message(void)
{
    static const uint8_t octets[] = {0x05, 0xFE, 0x00, 0xAB, 0xCD, 0x04, 0x18, 0x02, 0x58, 0x02};
    size_t total = 0;

    for (size_t len = 0; len < 9; len++)
        CU_ASSERT_EQUAL(mqttsn_measure(octets, len, 9, &total), DM_TRUNCATED);
    CU_ASSERT_EQUAL(mqttsn_measure(octets, 9, 9, &total), DM_OK);
    CU_ASSERT_EQUAL(total, 9);
    CU_ASSERT_EQUAL(mqttsn_measure(octets, sizeof octets, 9, &total), DM_OK);
    CU_ASSERT_EQUAL(total, 9);
    CU_ASSERT_EQUAL(mqttsn_measure(octets, 6, 8, &total), DM_TRUNCATED);
    CU_ASSERT_EQUAL(mqttsn_measure(octets, 7, 8, &total), DM_FULL);
    CU_ASSERT_EQUAL(total, 9);
}

static void
measure_refuses_what_starts_no_message(void)
{
    static const struct {
        const uint8_t *octets;
        size_t len;
    } cases[] = {
        {WIRE("\x00")},
        {WIRE("\x01\x00\x03")}, /* M4 */
        {WIRE("\x02\x03")},     /* reserved type */
        {WIRE("\x02\x1E")},
        {WIRE("\x02\xFF")},
        {WIRE("\x02\x04")},             /* too small for its type */
        {WIRE("\x09\x13")},             /* too large for its type */
        {WIRE("\x03\x18")},             /* M7 */
        {WIRE("\x0A\x04\x00\x02")},     /* ProtocolId */
        {WIRE("\x0A\x0C\x03")},         /* topic id type */
        {WIRE("\x02\xFE")},             /* R117 */
        {WIRE("\xFE\xFE")},             /* no room for an inner message */
        {WIRE("\x03\xFE\x00\x03\xFE")}, /* R114 */
        {WIRE("\x03\xFE\x00\x00")},
        {WIRE("\x03\xFE\x00\x0A\x04\x00\x02")},
    };
    size_t total;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CU_ASSERT_EQUAL(mqttsn_measure(cases[i].octets, cases[i].len, 255, &total), DM_MALFORMED);
}

static void
describe_tells_the_fields_of_each_type(void)
{
    static const struct {
        const uint8_t *octets;
        size_t len;
        const char *line;
    } cases[] = {
        {WIRE("\x05\x00\x01\x03\x84"), "ADVERTISE gateway 1 duration 900 s"},
        {WIRE("\x03\x01\x01"), "SEARCHGW radius 1"},
        {WIRE("\x03\x02\x01"), "GWINFO gateway 1 0 octets \"\""},
        {WIRE("\x0A\x04\x0C\x01\x00\x3C\x64\x65\x76\x31"),
         "CONNECT will clean session protocol 1 duration 60 s client \"dev1\""},
        {WIRE("\x03\x05\x01"), "CONNACK rejected: congestion"},
        {WIRE("\x03\x05\x09"), "CONNACK rejected: code 9"},
        {WIRE("\x0A\x07\x30\x64\x65\x76\x31\x2F\x73\x74"),
         "WILLTOPIC qos 1 retain name \"dev1/st\""},
        {WIRE("\x02\x1A"), "WILLTOPICUPD empty"},
        {WIRE("\x06\x09\x6C\x6F\x00\x74"), "WILLMSG 4 octets \"lo\\x00t\""},
        {WIRE("\x0F\x0A\x00\x05\x01\x01\x63\x6D\x64\x2F\x72\x65\x73\x65\x74"),
         "REGISTER topic 5 msg 257 name \"cmd/reset\""},
        {WIRE("\x07\x0B\x00\x05\x00\x01\x00"), "REGACK topic 5 msg 1 accepted"},
        {WIRE("\x0B\x0C\xB0\x00\x05\x00\x02\x32\x31\x2E\x35"),
         "PUBLISH dup qos 1 retain topic 5 msg 2 4 octets \"21.5\""},
        {WIRE("\x07\x0C\x61\x00\x07\x00\x00"),
         "PUBLISH qos -1 pre-defined topic 7 msg 0 0 octets \"\""},
        {WIRE("\x07\x0C\x62\x74\x70\x00\x00"),
         "PUBLISH qos -1 short topic \"tp\" msg 0 0 octets \"\""},
        {WIRE("\x07\x0C\x03\x00\x07\x00\x00"),
         "PUBLISH qos 0 reserved topic type, 7 msg 0 0 octets \"\""},
        {WIRE("\x04\x10\x00\x03"), "PUBREL msg 3"},
        {WIRE("\x0A\x12\x20\x00\x04\x63\x6D\x64\x2F\x2B"),
         "SUBSCRIBE qos 1 filter \"cmd/+\" msg 4"},
        {WIRE("\x06\x12\x01\x00\x05\x07"), "SUBSCRIBE qos 0 bad topic msg 5"},
        {WIRE("\x07\x14\x02\x00\x06\x74\x70"), "UNSUBSCRIBE short topic \"tp\" msg 6"},
        {WIRE("\x08\x13\x20\x00\x00\x00\x04\x02"),
         "SUBACK qos 1 topic 0 msg 4 rejected: invalid topic id"},
        {WIRE("\x02\x16"), "PINGREQ"},
        {WIRE("\x06\x16\x64\x65\x76\x31"), "PINGREQ client \"dev1\""},
        {WIRE("\x02\x18"), "DISCONNECT"},
        {WIRE("\x04\x18\x02\x58"), "DISCONNECT duration 600 s"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mqttsn_packet packet;
        char line[256];
        CU_ASSERT_EQUAL_FATAL(mqttsn_decode(cases[i].octets, cases[i].len, &packet), DM_OK);
        CU_ASSERT_STRING_EQUAL(mqttsn_describe(&packet, line, sizeof line), cases[i].line);
    }
    CU_ASSERT_STRING_EQUAL(mqttsn_type_name(MQTTSN_WILLMSGRESP), "WILLMSGRESP");
    CU_ASSERT_STRING_EQUAL(mqttsn_type_name(MQTTSN_TYPE_COUNT), "?");
}

static void
describe_is_cut_at_every_size_of_the_buffer(void)
{
    static const char whole[] = "REGISTER topic 5 msg 257 name \"cmd/reset\"";
    struct mqttsn_packet packet = {
        .type = MQTTSN_REGISTER, .topic_id = 5, .msg_id = 0x0101, .topic_name = TEXT("cmd/reset")};

    for (size_t size = 1; size <= sizeof whole; size++) {
        char *line = malloc(size);
        mqttsn_describe(&packet, line, size);
        CU_ASSERT_EQUAL_FATAL(strlen(line), size - 1);
        CU_ASSERT_EQUAL(memcmp(line, whole, size - 1), 0);
        free(line);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(decode_of_every_example_gives_its_fields),
    UNIT_TEST(encode_of_every_example_gives_its_octets),
    UNIT_TEST(encode_into_a_buffer_one_octet_short_is_full),
    UNIT_TEST(examples_cover_every_type),
    UNIT_TEST(long_form_of_every_example_decodes_alike),
    UNIT_TEST(every_truncation_of_every_example_is_rejected),
    UNIT_TEST(every_example_cut_with_its_length_is_malformed_or_complete),
    UNIT_TEST(decode_with_an_octet_too_many_is_malformed),
    UNIT_TEST(decode_of_input_without_sense_is_refused),
    UNIT_TEST(decode_of_what_the_session_has_to_answer_is_accepted),
    UNIT_TEST(unused_flags_are_ignored_when_read_and_sent_as_zero),
    UNIT_TEST(form_of_length_follows_the_size),
    UNIT_TEST(example_of_300_octets_has_the_long_header),
    UNIT_TEST(encode_of_an_unknown_type_is_invalid),
    UNIT_TEST(random_octets_never_break_the_codec),
    UNIT_TEST(unwrap_of_the_examples_gives_node_and_message),
    UNIT_TEST(wrap_of_the_examples_gives_their_octets),
    UNIT_TEST(node_id_has_limits_of_252_sent_and_32_received),
    UNIT_TEST(unwrap_of_a_bad_encapsulation_is_malformed),
    UNIT_TEST(long_form_is_never_an_encapsulation),
    UNIT_TEST(measure_knows_every_example_from_its_start),
    UNIT_TEST(measure_of_an_encapsulation_includes_the_inner_message),
    UNIT_TEST(measure_refuses_what_starts_no_message),
    UNIT_TEST(describe_tells_the_fields_of_each_type),
    UNIT_TEST(describe_is_cut_at_every_size_of_the_buffer),
};

UNIT_MAIN("mqttsn", tests)
