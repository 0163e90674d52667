/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT codec of the client side: examples octet by octet, truncation, corruption, limits. */
#include "mqtt.h"
#include "topic.h"

#include <stdio.h>
#include <time.h>

#include "unit.h"

#define MAXIMUM 1000u /* octets of the largest packet read in these tests */

static size_t
octet_count(const char *hex)
{
    return (strlen(hex) + 1) / 3;
}

/* "20 03" to octets. The block is exactly as long as the packet, so that a sanitizer sees every
 * read beyond it. */
static uint8_t *
octets_of(const char *hex, size_t *len)
{
    *len = octet_count(hex);
    uint8_t *octets = malloc(*len > 0 ? *len : 1);
    if (octets == NULL)
        abort();
    for (size_t i = 0; i < *len; i++)
        octets[i] = (uint8_t)strtoul(hex + 3 * i, NULL, 16);
    return octets;
}

/* The spans of the packet are only for looking at their length and start, unless `octets` lives. */
static enum dm_result
decode_hex(enum mqtt_version version, const char *hex)
{
    size_t len, used;
    struct mqtt_packet packet;
    uint8_t *octets = octets_of(hex, &len);
    enum dm_result result = mqtt_decode(version, octets, len, MAXIMUM, &packet, &used);

    if (result == DM_OK && used != len)
        result = DM_INVALID; /* none of the tests gives more than one packet */
    free(octets);
    return result;
}

struct example {
    const char *name;
    const char *hex;
    struct mqtt_packet packet;
    enum mqtt_version version;
};

#define SPAN(text)                                                                                 \
    {                                                                                              \
        .data = (const uint8_t *)(text), .len = sizeof(text) - 1                                   \
    }
/* What a CONNACK says by being silent. */
#define CONNACK_DEFAULTS                                                                           \
    .type = MQTT_CONNACK, .session_expiry_s = UINT32_MAX, .wildcard_available = true

static const struct example from_server[] = {
    {"CONNACK 3.1.1 session present",
     "20 02 01 00",
     {CONNACK_DEFAULTS, .session_present = true, .maximum_qos = 2, .retain_available = true,
      .subscription_ids_available = true},
     MQTT_3_1_1},
    {"CONNACK 3.1.1 not authorized",
     "20 02 00 05",
     {CONNACK_DEFAULTS, .reason = 5, .maximum_qos = 2, .retain_available = true,
      .subscription_ids_available = true},
     MQTT_3_1_1},
    {"CONNACK 5 without properties",
     "20 03 00 00 00",
     {CONNACK_DEFAULTS, .maximum_qos = 2, .retain_available = true,
      .subscription_ids_available = true},
     MQTT_5},
    {"CONNACK 5 with every property",
     "20 4f 01 00 4c 11 00 00 0e 10 21 00 14 24 01 25 00 27 00 01 00 00 12 00 02 69 64 22 00 0a "
     "1f 00 02 6f 6b 26 00 01 61 00 01 62 26 00 01 61 00 01 63 28 00 29 00 2a 00 13 00 1e 1a 00 01 "
     "72 1c 00 04 68 6f 73 74 15 00 04 4e 4f 4e 45 16 00 02 00 ff",
     {.type = MQTT_CONNACK,
      .session_present = true,
      .session_expiry_s = 3600,
      .receive_maximum = 20,
      .maximum_qos = 1,
      .topic_alias_maximum = 10,
      .maximum_packet_size = 65536,
      .client_id = SPAN("id"),
      .reason_string = SPAN("ok"),
      .has_server_keepalive = true,
      .keepalive_s = 30},
     MQTT_5},
    {"CONNACK 5 refused",
     "20 08 00 87 05 1f 00 02 6e 6f",
     {CONNACK_DEFAULTS, .reason = 0x87, .maximum_qos = 2, .retain_available = true,
      .subscription_ids_available = true, .reason_string = SPAN("no")},
     MQTT_5},
    {"PUBLISH 3.1.1 QoS 0",
     "30 07 00 03 61 2f 62 68 69",
     {.type = MQTT_PUBLISH, .topic = SPAN("a/b"), .payload = SPAN("hi")},
     MQTT_3_1_1},
    {"PUBLISH 3.1.1 QoS 2 dup retain, no payload",
     "3d 07 00 03 61 2f 62 12 34",
     {.type = MQTT_PUBLISH,
      .dup = true,
      .retain = true,
      .qos = 2,
      .packet_id = 0x1234,
      .topic = SPAN("a/b")},
     MQTT_3_1_1},
    {"PUBLISH 5 QoS 1 without properties",
     "32 08 00 01 61 00 01 00 68 69",
     {.type = MQTT_PUBLISH, .qos = 1, .packet_id = 1, .topic = SPAN("a"), .payload = SPAN("hi")},
     MQTT_5},
    {"PUBLISH 5 with every property",
     "32 33 00 01 61 00 01 2c 01 01 02 00 00 00 3c 03 00 02 74 78 08 00 01 72 09 00 02 00 ff 0b 05 "
     "0b 80 01 0b ff ff ff 7f 26 00 03 6b 65 79 00 05 76 61 6c 75 65 21",
     {.type = MQTT_PUBLISH,
      .qos = 1,
      .packet_id = 1,
      .topic = SPAN("a"),
      .payload = SPAN("!"),
      .has_message_expiry = true,
      .message_expiry_s = 60,
      .subscription_ids = {5, 128, 268435455},
      .subscription_id_count = 3},
     MQTT_5},
    {"PUBACK 3.1.1", "40 02 00 07", {.type = MQTT_PUBACK, .packet_id = 7}, MQTT_3_1_1},
    {"PUBACK 5 short", "40 02 00 07", {.type = MQTT_PUBACK, .packet_id = 7}, MQTT_5},
    {"PUBACK 5 no matching subscribers",
     "40 03 00 07 10",
     {.type = MQTT_PUBACK, .packet_id = 7, .reason = 0x10},
     MQTT_5},
    {"PUBACK 5 quota exceeded",
     "40 08 00 07 97 04 1f 00 01 78",
     {.type = MQTT_PUBACK, .packet_id = 7, .reason = 0x97, .reason_string = SPAN("x")},
     MQTT_5},
    {"PUBREC 3.1.1", "50 02 00 08", {.type = MQTT_PUBREC, .packet_id = 8}, MQTT_3_1_1},
    {"PUBREC 5 not authorized",
     "50 04 00 08 87 00",
     {.type = MQTT_PUBREC, .packet_id = 8, .reason = 0x87},
     MQTT_5},
    {"PUBREL 3.1.1", "62 02 00 09", {.type = MQTT_PUBREL, .packet_id = 9}, MQTT_3_1_1},
    {"PUBREL 5 not found",
     "62 03 00 09 92",
     {.type = MQTT_PUBREL, .packet_id = 9, .reason = 0x92},
     MQTT_5},
    {"PUBCOMP 3.1.1", "70 02 00 0a", {.type = MQTT_PUBCOMP, .packet_id = 10}, MQTT_3_1_1},
    {"PUBCOMP 5",
     "70 03 00 0a 92",
     {.type = MQTT_PUBCOMP, .packet_id = 10, .reason = 0x92},
     MQTT_5},
    {"SUBACK 3.1.1 granted 2",
     "90 03 00 0b 02",
     {.type = MQTT_SUBACK, .packet_id = 11, .reason = 2},
     MQTT_3_1_1},
    {"SUBACK 3.1.1 failure",
     "90 03 00 0b 80",
     {.type = MQTT_SUBACK, .packet_id = 11, .reason = 0x80},
     MQTT_3_1_1},
    {"SUBACK 5",
     "90 08 00 0b 04 1f 00 01 78 8f",
     {.type = MQTT_SUBACK, .packet_id = 11, .reason = 0x8f, .reason_string = SPAN("x")},
     MQTT_5},
    {"UNSUBACK 3.1.1", "b0 02 00 0c", {.type = MQTT_UNSUBACK, .packet_id = 12}, MQTT_3_1_1},
    {"UNSUBACK 5",
     "b0 04 00 0c 00 11",
     {.type = MQTT_UNSUBACK, .packet_id = 12, .reason = 0x11},
     MQTT_5},
    {"PINGRESP 3.1.1", "d0 00", {.type = MQTT_PINGRESP}, MQTT_3_1_1},
    {"PINGRESP 5", "d0 00", {.type = MQTT_PINGRESP}, MQTT_5},
    {"DISCONNECT 5 short", "e0 00", {.type = MQTT_DISCONNECT}, MQTT_5},
    {"DISCONNECT 5 reason", "e0 01 8b", {.type = MQTT_DISCONNECT, .reason = 0x8b}, MQTT_5},
    {"DISCONNECT 5 properties",
     "e0 0a 9d 08 1c 00 01 68 1f 00 01 78",
     {.type = MQTT_DISCONNECT, .reason = 0x9d, .reason_string = SPAN("x")},
     MQTT_5},
};

static const struct example from_client[] = {
    {"CONNECT 3.1.1 clean",
     "10 0f 00 04 4d 51 54 54 04 02 00 3c 00 03 67 77 31",
     {.type = MQTT_CONNECT,
      .clean_start = true,
      .keepalive_s = 60,
      .client_id = SPAN("gw1"),
      .session_expiry_s = UINT32_MAX,
      .receive_maximum = 1000},
     MQTT_3_1_1},
    {"CONNECT 3.1.1 will, user and password",
     "10 1b 00 04 4d 51 54 54 04 ec 00 0a 00 01 67 00 01 77 00 02 62 79 00 01 75 00 02 70 00",
     {.type = MQTT_CONNECT,
      .keepalive_s = 10,
      .client_id = SPAN("g"),
      .has_will = true,
      .will_topic = SPAN("w"),
      .will_payload = SPAN("by"),
      .will_qos = 1,
      .will_retain = true,
      .has_username = true,
      .username = SPAN("u"),
      .has_password = true,
      .password = SPAN("p\0")},
     MQTT_3_1_1},
    {"CONNECT 5 with session expiry, receive maximum and packet size",
     "10 1d 00 04 4d 51 54 54 05 00 00 3c 0d 11 ff ff ff ff 21 03 e8 27 00 10 00 00 00 03 67 77 31",
     {.type = MQTT_CONNECT,
      .keepalive_s = 60,
      .client_id = SPAN("gw1"),
      .session_expiry_s = UINT32_MAX,
      .receive_maximum = 1000,
      .maximum_packet_size = 1048576},
     MQTT_5},
    {"CONNECT 5 will and password without user",
     "10 19 00 04 4d 51 54 54 05 56 00 00 00 00 01 67 00 00 01 77 00 02 62 79 00 01 70",
     {.type = MQTT_CONNECT,
      .clean_start = true,
      .client_id = SPAN("g"),
      .has_will = true,
      .will_topic = SPAN("w"),
      .will_payload = SPAN("by"),
      .will_qos = 2,
      .has_password = true,
      .password = SPAN("p")},
     MQTT_5},
    {"PUBLISH 3.1.1 QoS 0",
     "30 07 00 03 61 2f 62 68 69",
     {.type = MQTT_PUBLISH,
      .topic = SPAN("a/b"),
      .payload = SPAN("hi"),
      .has_message_expiry = true,
      .message_expiry_s = 60},
     MQTT_3_1_1},
    {"PUBLISH 5 QoS 1 dup retain",
     "3b 08 00 01 61 12 34 00 68 69",
     {.type = MQTT_PUBLISH,
      .dup = true,
      .retain = true,
      .qos = 1,
      .packet_id = 0x1234,
      .topic = SPAN("a"),
      .payload = SPAN("hi")},
     MQTT_5},
    {"PUBLISH 5 that gives its topic an alias",
     "30 0b 00 03 61 2f 62 03 23 01 02 68 69",
     {.type = MQTT_PUBLISH, .topic = SPAN("a/b"), .payload = SPAN("hi"), .topic_alias = 0x102},
     MQTT_5},
    {"PUBLISH 5 by alias with expiry",
     "32 0f 00 00 00 01 08 02 00 00 00 3c 23 00 01 68 69",
     {.type = MQTT_PUBLISH,
      .qos = 1,
      .packet_id = 1,
      .payload = SPAN("hi"),
      .topic_alias = 1,
      .has_message_expiry = true,
      .message_expiry_s = 60},
     MQTT_5},
    {"PUBLISH 5 QoS 2 with expiry, empty payload",
     "34 0b 00 01 61 00 01 05 02 00 00 00 3c",
     {.type = MQTT_PUBLISH,
      .qos = 2,
      .packet_id = 1,
      .topic = SPAN("a"),
      .has_message_expiry = true,
      .message_expiry_s = 60},
     MQTT_5},
    {"PUBACK 3.1.1 has no reason",
     "40 02 00 07",
     {.type = MQTT_PUBACK, .packet_id = 7, .reason = 0x97},
     MQTT_3_1_1},
    {"PUBACK 5 success", "40 02 00 07", {.type = MQTT_PUBACK, .packet_id = 7}, MQTT_5},
    {"PUBACK 5 failure",
     "40 03 00 07 97",
     {.type = MQTT_PUBACK, .packet_id = 7, .reason = 0x97},
     MQTT_5},
    {"PUBREC 5", "50 02 00 08", {.type = MQTT_PUBREC, .packet_id = 8}, MQTT_5},
    {"PUBREL 3.1.1", "62 02 00 09", {.type = MQTT_PUBREL, .packet_id = 9}, MQTT_3_1_1},
    {"PUBCOMP 5 not found",
     "70 03 00 0a 92",
     {.type = MQTT_PUBCOMP, .packet_id = 10, .reason = 0x92},
     MQTT_5},
    {"SUBSCRIBE 3.1.1",
     "82 08 00 0b 00 03 61 2f 23 02",
     {.type = MQTT_SUBSCRIBE,
      .packet_id = 11,
      .topic = SPAN("a/#"),
      .qos = 2,
      .subscription_ids = {5},
      .subscription_id_count = 1,
      .retain_handling = 2},
     MQTT_3_1_1},
    {"SUBSCRIBE 5 with identifier, without retained messages",
     "82 0c 00 0b 03 0b 80 01 00 03 61 2f 23 22",
     {.type = MQTT_SUBSCRIBE,
      .packet_id = 11,
      .topic = SPAN("a/#"),
      .qos = 2,
      .subscription_ids = {128},
      .subscription_id_count = 1,
      .retain_handling = 2},
     MQTT_5},
    {"SUBSCRIBE 5 without identifier",
     "82 07 00 0b 00 00 01 2b 01",
     {.type = MQTT_SUBSCRIBE, .packet_id = 11, .topic = SPAN("+"), .qos = 1},
     MQTT_5},
    {"UNSUBSCRIBE 3.1.1",
     "a2 05 00 0c 00 01 61",
     {.type = MQTT_UNSUBSCRIBE, .packet_id = 12, .topic = SPAN("a")},
     MQTT_3_1_1},
    {"UNSUBSCRIBE 5",
     "a2 06 00 0c 00 00 01 61",
     {.type = MQTT_UNSUBSCRIBE, .packet_id = 12, .topic = SPAN("a")},
     MQTT_5},
    {"PINGREQ", "c0 00", {.type = MQTT_PINGREQ}, MQTT_5},
    {"DISCONNECT 3.1.1", "e0 00", {.type = MQTT_DISCONNECT, .reason = 0x81}, MQTT_3_1_1},
    {"DISCONNECT 5", "e0 00", {.type = MQTT_DISCONNECT}, MQTT_5},
    {"DISCONNECT 5 malformed", "e0 01 81", {.type = MQTT_DISCONNECT, .reason = 0x81}, MQTT_5},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Field by field what a server's packet can have. */
static bool
same_packet(const struct mqtt_packet *a, const struct mqtt_packet *b)
{
    return a->type == b->type && a->dup == b->dup && a->retain == b->retain && a->qos == b->qos &&
           a->packet_id == b->packet_id && a->reason == b->reason &&
           dm_span_equal(a->topic, b->topic) && dm_span_equal(a->payload, b->payload) &&
           dm_span_equal(a->reason_string, b->reason_string) &&
           a->subscription_id_count == b->subscription_id_count &&
           memcmp(a->subscription_ids, b->subscription_ids, sizeof a->subscription_ids) == 0 &&
           a->has_message_expiry == b->has_message_expiry &&
           a->message_expiry_s == b->message_expiry_s && a->keepalive_s == b->keepalive_s &&
           dm_span_equal(a->client_id, b->client_id) &&
           a->session_expiry_s == b->session_expiry_s && a->receive_maximum == b->receive_maximum &&
           a->maximum_packet_size == b->maximum_packet_size &&
           a->topic_alias_maximum == b->topic_alias_maximum &&
           a->session_present == b->session_present &&
           a->has_server_keepalive == b->has_server_keepalive && a->maximum_qos == b->maximum_qos &&
           a->retain_available == b->retain_available &&
           a->subscription_ids_available == b->subscription_ids_available &&
           a->wildcard_available == b->wildcard_available;
}

static void
decode_example_gives_its_fields(void)
{
    for (size_t i = 0; i < COUNT(from_server); i++) {
        const struct example *example = &from_server[i];
        struct mqtt_packet packet;
        size_t len, used;
        uint8_t *octets = octets_of(example->hex, &len);
        enum dm_result result = mqtt_decode(example->version, octets, len, MAXIMUM, &packet, &used);
        bool good = result == DM_OK && used == len && same_packet(&packet, &example->packet);
        if (!good)
            printf("\n    %s: %s", example->name, dm_result_text(result));
        CU_ASSERT_TRUE(good);
        free(octets);
    }
}

static void
decode_leaves_the_next_packet_alone(void)
{
    static const uint8_t two[] = {0x40, 2, 0, 7, 0xd0, 0};
    struct mqtt_packet packet;
    size_t used;

    CU_ASSERT_EQUAL(mqtt_decode(MQTT_5, two, sizeof two, MAXIMUM, &packet, &used), DM_OK);
    CU_ASSERT_EQUAL(packet.type, MQTT_PUBACK);
    CU_ASSERT_EQUAL(used, 4);
    CU_ASSERT_EQUAL(mqtt_decode(MQTT_5, two + 4, 2, MAXIMUM, &packet, &used), DM_OK);
    CU_ASSERT_EQUAL(packet.type, MQTT_PINGRESP);
}

static void
decode_every_truncation_wants_more(void)
{
    for (size_t i = 0; i < COUNT(from_server); i++) {
        const struct example *example = &from_server[i];
        size_t total;
        uint8_t *octets = octets_of(example->hex, &total);
        for (size_t len = 0; len < total; len++) {
            struct mqtt_packet packet = {.packet_id = 4711};
            size_t used = 99;
            uint8_t *part = malloc(len > 0 ? len : 1);
            if (part == NULL)
                abort();
            memcpy(part, octets, len);
            CU_ASSERT_EQUAL(mqtt_decode(example->version, part, len, MAXIMUM, &packet, &used),
                            DM_TRUNCATED);
            CU_ASSERT_EQUAL(used, len < 2 ? 0 : total);
            CU_ASSERT_EQUAL(packet.packet_id, 4711);
            free(part);
        }
        free(octets);
    }
}

static void
decode_body_cut_short_is_malformed_or_shorter(void)
{
    /* The remaining length says that the packet ends early: no read goes beyond it. */
    for (size_t i = 0; i < COUNT(from_server); i++) {
        const struct example *example = &from_server[i];
        size_t total;
        uint8_t *octets = octets_of(example->hex, &total);
        for (size_t len = 2; len < total; len++) {
            struct mqtt_packet packet = {0};
            size_t used = 99;
            uint8_t *part = malloc(len);
            if (part == NULL)
                abort();
            memcpy(part, octets, len);
            part[1] = (uint8_t)(len - 2);
            enum dm_result result =
                mqtt_decode(example->version, part, len, MAXIMUM, &packet, &used);
            CU_ASSERT_TRUE(result == DM_MALFORMED || (result == DM_OK && used == len));
            free(part);
        }
        free(octets);
    }
}

static void
decode_malformed_is_rejected(void)
{
    static const struct {
        enum mqtt_version version;
        const char *hex;
    } bad[] = {
        /* packets a server does not send, reserved flags (2.1.3) */
        {MQTT_5, "00 00"},
        {MQTT_5, "10 00"},
        {MQTT_5, "82 06 00 01 00 00 01 61"},
        {MQTT_5, "a2 06 00 01 00 00 01 61"},
        {MQTT_5, "c0 00"},
        {MQTT_5, "f0 00"},
        {MQTT_3_1_1, "e0 00"},
        {MQTT_3_1_1, "f0 00"},
        {MQTT_5, "21 03 00 00 00"},
        {MQTT_5, "42 02 00 01"},
        {MQTT_5, "60 02 00 01"},
        {MQTT_5, "63 02 00 01"},
        {MQTT_5, "d1 00"},
        {MQTT_5, "e8 00"},
        /* remaining length: five octets, not the shortest form (1.5.5) */
        {MQTT_5, "30 ff ff ff ff 01"},
        {MQTT_5, "30 80 80 80 80"},
        {MQTT_5, "d0 80 00"},
        /* lengths that do not fit the type */
        {MQTT_5, "d0 01 00"},
        {MQTT_3_1_1, "20 03 00 00 00"},
        {MQTT_5, "20 02 00 00"},
        {MQTT_3_1_1, "40 03 00 07 00"},
        {MQTT_3_1_1, "90 04 00 0b 00 00"},
        {MQTT_5, "90 05 00 0b 00 00 00"},
        {MQTT_5, "90 03 00 0b 00"},
        {MQTT_5, "b0 05 00 0b 00 00 00"},
        {MQTT_3_1_1, "b0 03 00 0b 00"},
        {MQTT_5, "e0 02 00 01"},
        /* CONNACK: reserved flags, session present with a refusal, code */
        {MQTT_5, "20 03 02 00 00"},
        {MQTT_5, "20 03 01 87 00"},
        {MQTT_5, "20 03 00 01 00"},
        {MQTT_3_1_1, "20 02 01 05"},
        {MQTT_3_1_1, "20 02 00 06"},
        /* packet id 0 */
        {MQTT_5, "32 06 00 01 61 00 00 00"},
        {MQTT_5, "40 02 00 00"},
        {MQTT_5, "62 02 00 00"},
        {MQTT_3_1_1, "90 03 00 00 00"},
        {MQTT_3_1_1, "b0 02 00 00"},
        /* PUBLISH: QoS 3, DUP with QoS 0, empty topic, wildcards, NUL */
        {MQTT_3_1_1, "36 05 00 01 61 00 01"},
        {MQTT_3_1_1, "38 03 00 01 61"},
        {MQTT_3_1_1, "30 02 00 00"},
        {MQTT_3_1_1, "30 05 00 03 61 2f 2b"},
        {MQTT_3_1_1, "30 03 00 01 23"},
        {MQTT_3_1_1, "30 03 00 01 00"},
        {MQTT_3_1_1, "30 03 00 02 61"},
        /* reason codes of another table */
        {MQTT_5, "40 03 00 07 01"},
        {MQTT_5, "70 03 00 07 10"},
        {MQTT_5, "90 04 00 0b 00 03"},
        {MQTT_5, "b0 04 00 0b 00 01"},
        {MQTT_3_1_1, "90 03 00 0b 03"},
        {MQTT_3_1_1, "90 03 00 0b 81"},
        {MQTT_5, "e0 01 04"},
        /* properties: unknown, of another packet, repeated, cut, not shortest id */
        {MQTT_5, "20 05 00 00 02 7f 00"},
        {MQTT_5, "20 05 00 00 02 00 00"},
        {MQTT_5, "20 06 00 00 03 a5 00 00"},
        {MQTT_5, "20 08 00 00 05 02 00 00 00 01"},
        {MQTT_5, "30 06 00 01 61 02 25 01"},
        {MQTT_5, "e0 07 00 05 11 00 00 00 01"},
        {MQTT_5, "20 07 00 00 04 25 01 25 01"},
        {MQTT_5, "40 0c 00 07 00 08 1f 00 01 78 1f 00 01 78"},
        {MQTT_5, "20 05 00 00 02 21 00"},
        {MQTT_5, "20 05 00 00 03 25 01"},
        {MQTT_5, "20 04 00 00 01 26"},
        {MQTT_5, "20 05 00 00 00 25 01"},
        /* property values */
        {MQTT_5, "20 05 00 00 02 24 02"},
        {MQTT_5, "20 06 00 00 03 21 00 00"},
        {MQTT_5, "20 08 00 00 05 27 00 00 00 00"},
        {MQTT_5, "30 06 00 01 61 02 0b 00"},
        {MQTT_5, "30 09 00 01 61 05 0b 80 80 80 80"},
        {MQTT_5, "30 06 00 01 61 02 01 02"},
        {MQTT_5, "30 08 00 01 61 04 08 00 01 23"},
        {MQTT_5, "20 08 00 00 05 1f 00 02 c0 80"},
    };

    for (size_t i = 0; i < COUNT(bad); i++) {
        enum dm_result result = decode_hex(bad[i].version, bad[i].hex);
        if (result != DM_MALFORMED)
            printf("\n    %s: %s", bad[i].hex, dm_result_text(result));
        CU_ASSERT_EQUAL(result, DM_MALFORMED);
    }
}

static void
decode_unknown_failure_code_is_kept(void)
{
    CU_ASSERT_EQUAL(decode_hex(MQTT_5, "40 03 00 07 ef"), DM_OK);
    CU_ASSERT_EQUAL(decode_hex(MQTT_5, "e0 01 ef"), DM_OK);
}

static void
decode_publish_with_too_many_subscription_ids_keeps_the_first(void)
{
    uint8_t octets[6 + 2 * 20] = {0x30, 4 + 2 * 20, 0, 1, 'a', 2 * 20};
    struct mqtt_packet packet;
    size_t used;

    for (size_t i = 0; i < 20; i++) {
        octets[6 + 2 * i] = 11;
        octets[7 + 2 * i] = (uint8_t)(i + 1);
    }
    CU_ASSERT_EQUAL(mqtt_decode(MQTT_5, octets, sizeof octets, MAXIMUM, &packet, &used), DM_OK);
    CU_ASSERT_EQUAL(packet.subscription_id_count, MQTT_SUBSCRIPTION_IDS_MAX);
    CU_ASSERT_EQUAL(packet.subscription_ids[MQTT_SUBSCRIPTION_IDS_MAX - 1],
                    MQTT_SUBSCRIPTION_IDS_MAX);
}

static void
decode_longer_than_maximum_is_full_before_it_is_complete(void)
{
    static const uint8_t header[] = {0x30, 0x80, 0x01};
    struct mqtt_packet packet;
    size_t used = 99;

    CU_ASSERT_EQUAL(mqtt_decode(MQTT_5, header, sizeof header, 130, &packet, &used), DM_FULL);
    CU_ASSERT_EQUAL(used, 0);
    CU_ASSERT_EQUAL(mqtt_decode(MQTT_5, header, sizeof header, 131, &packet, &used), DM_TRUNCATED);
    CU_ASSERT_EQUAL(used, 131);
    CU_ASSERT_EQUAL(mqtt_decode(MQTT_5, header, 2, 131, &packet, &used), DM_TRUNCATED);
    CU_ASSERT_EQUAL(used, 0);
}

static void
decode_topic_alias_is_unsupported_with_a_topic_or_without(void)
{
    static const uint8_t named[] = {0x30, 7, 0, 1, 'a', 3, 0x23, 0, 1};
    static const uint8_t nameless[] = {0x30, 6, 0, 0, 3, 0x23, 0, 1};
    struct mqtt_packet packet;
    size_t used;

    CU_ASSERT_EQUAL(mqtt_decode(MQTT_5, named, sizeof named, SIZE_MAX, &packet, &used),
                    DM_UNSUPPORTED);
    CU_ASSERT_EQUAL(mqtt_decode(MQTT_5, nameless, sizeof nameless, SIZE_MAX, &packet, &used),
                    DM_UNSUPPORTED);
}

static void
decode_largest_remaining_length_is_read(void)
{
    static const uint8_t header[] = {0x30, 0xff, 0xff, 0xff, 0x7f};
    struct mqtt_packet packet;
    size_t used;

    CU_ASSERT_EQUAL(mqtt_decode(MQTT_5, header, 5, SIZE_MAX, &packet, &used), DM_TRUNCATED);
    CU_ASSERT_EQUAL(used, 268435460u);
}

static uint32_t
next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Looks at every octet the packet borrows, so that a wrong span is seen by the sanitizer. */
static unsigned
touch(struct dm_span span)
{
    unsigned sum = 0;

    for (size_t i = 0; i < span.len; i++)
        sum += span.data[i];
    return sum;
}

/* The result is one of the documented ones, and what is accepted can be looked at. */
static void
decode_anything(enum mqtt_version version, const uint8_t *octets, size_t len)
{
    struct mqtt_packet packet;
    size_t used = 0;
    enum dm_result result = mqtt_decode(version, octets, len, MAXIMUM, &packet, &used);

    if (result == DM_OK) {
        CU_ASSERT_TRUE_FATAL(used >= 2 && used <= len);
        CU_ASSERT_TRUE(packet.subscription_id_count <= MQTT_SUBSCRIPTION_IDS_MAX);
        CU_ASSERT_TRUE(touch(packet.topic) + touch(packet.payload) + touch(packet.client_id) +
                           touch(packet.reason_string) <=
                       255 * len);
    } else if (result == DM_TRUNCATED) {
        CU_ASSERT_TRUE(used == 0 || (used > len && used <= MAXIMUM));
    } else {
        CU_ASSERT_TRUE((result == DM_MALFORMED || result == DM_FULL || result == DM_UNSUPPORTED) &&
                       used == 0);
    }
}

static void
decode_single_octet_corruption_never_reads_outside(void)
{
    for (size_t i = 0; i < COUNT(from_server); i++) {
        size_t len;
        uint8_t *octets = octets_of(from_server[i].hex, &len);
        for (size_t at = 0; at < len; at++) {
            uint8_t good = octets[at];
            for (unsigned value = 0; value < 256; value++) {
                octets[at] = (uint8_t)value;
                decode_anything(from_server[i].version, octets, len);
            }
            octets[at] = good;
        }
        free(octets);
    }
}

static void
decode_random_octets_never_reads_outside(void)
{
    static const uint8_t first[] = {0x20, 0x30, 0x32, 0x34, 0x40, 0x50,
                                    0x62, 0x70, 0x90, 0xb0, 0xd0, 0xe0};
    uint32_t seed = (uint32_t)time(NULL);
    const char *given = getenv("SEED");

    if (given != NULL)
        seed = (uint32_t)strtoul(given, NULL, 10);
    printf("(SEED=%u) ", seed);
    for (unsigned round = 0; round < 50000; round++) {
        size_t len = next_random(&seed) % 64;
        uint8_t *octets = malloc(len > 0 ? len : 1);
        if (octets == NULL)
            abort();
        for (size_t i = 0; i < len; i++)
            octets[i] = (uint8_t)next_random(&seed);
        if (len > 1 && round % 4 != 0) { /* mostly past the fixed header */
            octets[0] = first[next_random(&seed) % sizeof first];
            octets[1] = (uint8_t)(len - 2);
        }
        decode_anything(round % 2 == 0 ? MQTT_5 : MQTT_3_1_1, octets, len);
        free(octets);
    }
}

static void
encode_example_gives_its_octets(void)
{
    for (size_t i = 0; i < COUNT(from_client); i++) {
        const struct example *example = &from_client[i];
        uint8_t buffer[256];
        size_t want_len, len = 0;
        uint8_t *want = octets_of(example->hex, &want_len);
        enum dm_result result =
            mqtt_encode(example->version, &example->packet, buffer, sizeof buffer, &len);
        bool good = result == DM_OK && len == want_len && memcmp(buffer, want, len) == 0;
        if (!good) {
            printf("\n    %s: %s:", example->name, dm_result_text(result));
            for (size_t at = 0; at < len; at++)
                printf(" %02x", buffer[at]);
        }
        CU_ASSERT_TRUE(good);
        CU_ASSERT_TRUE(len <= mqtt_encoded_max(&example->packet));
        free(want);
    }
}

static void
encode_into_every_smaller_buffer_is_full(void)
{
    for (size_t i = 0; i < COUNT(from_client); i++) {
        const struct example *example = &from_client[i];
        size_t total = octet_count(example->hex);
        for (size_t size = 0; size <= total; size++) {
            size_t len = 4711;
            uint8_t *buffer = malloc(size > 0 ? size : 1);
            if (buffer == NULL)
                abort();
            CU_ASSERT_EQUAL(mqtt_encode(example->version, &example->packet, buffer, size, &len),
                            size < total ? DM_FULL : DM_OK);
            CU_ASSERT_EQUAL(len, size < total ? 4711 : total);
            free(buffer);
        }
    }
}

static void
encode_remaining_length_grows_with_the_payload(void)
{
    static const size_t sizes[] = {127, 128, 16383, 16384, 2097151, 2097152};
    static const size_t headers[] = {2, 3, 3, 4, 4, 5};
    static uint8_t payload[2097152], buffer[2097152 + 16];

    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct mqtt_packet packet = {.type = MQTT_PUBLISH, .topic = SPAN("a")};
        struct mqtt_packet back;
        size_t len = 0, used = 0;
        packet.payload = dm_span(payload, sizes[i] - 3); /* topic: 3 octets */
        CU_ASSERT_EQUAL(mqtt_encode(MQTT_3_1_1, &packet, buffer, sizeof buffer, &len), DM_OK);
        CU_ASSERT_EQUAL(len, headers[i] + sizes[i]);
        CU_ASSERT_EQUAL(mqtt_decode(MQTT_3_1_1, buffer, len, sizeof buffer, &back, &used), DM_OK);
        CU_ASSERT_EQUAL(used, len);
        CU_ASSERT_EQUAL(back.payload.len, packet.payload.len);
    }
}

static enum dm_result
encode(enum mqtt_version version, struct mqtt_packet packet)
{
    static uint8_t buffer[70000];
    size_t len;

    return mqtt_encode(version, &packet, buffer, sizeof buffer, &len);
}

static void
encode_field_out_of_range_is_invalid(void)
{
    static uint8_t long_text[65536];
    const struct mqtt_packet bad[] = {
        {.type = MQTT_CONNACK},
        {.type = MQTT_SUBACK, .packet_id = 1},
        {.type = MQTT_PINGRESP},
        {.type = MQTT_AUTH},
        {.type = (enum mqtt_type)0},
        {.type = MQTT_CONNECT, .client_id = SPAN("\xff")},
        {.type = MQTT_CONNECT, .client_id = {long_text, sizeof long_text}},
        {.type = MQTT_CONNECT, .has_password = true, .password = {long_text, sizeof long_text}},
        {.type = MQTT_CONNECT, .client_id = SPAN("a"), .has_will = true},
        {.type = MQTT_CONNECT,
         .client_id = SPAN("a"),
         .has_will = true,
         .will_topic = SPAN("a"),
         .will_qos = 3},
        {.type = MQTT_PUBLISH},
        {.type = MQTT_PUBLISH, .topic = SPAN("a/+")},
        {.type = MQTT_PUBLISH, .topic = SPAN("a\0b")},
        {.type = MQTT_PUBLISH, .topic = SPAN("a"), .qos = 3, .packet_id = 1},
        {.type = MQTT_PUBLISH, .topic = SPAN("a"), .qos = 1},
        {.type = MQTT_PUBLISH, .topic = SPAN("a"), .dup = true},
        {.type = MQTT_PUBACK},
        {.type = MQTT_PUBREL},
        {.type = MQTT_SUBSCRIBE, .packet_id = 1},
        {.type = MQTT_SUBSCRIBE, .topic = SPAN("a")},
        {.type = MQTT_SUBSCRIBE, .packet_id = 1, .topic = SPAN("a"), .qos = 3},
        {.type = MQTT_SUBSCRIBE, .packet_id = 1, .topic = SPAN("a"), .retain_handling = 3},
        {.type = MQTT_SUBSCRIBE, .packet_id = 1, .topic = SPAN("a"), .subscription_id_count = 1},
        {.type = MQTT_SUBSCRIBE, .packet_id = 1, .topic = SPAN("a"), .subscription_id_count = 2},
        {.type = MQTT_SUBSCRIBE, .packet_id = 1, .topic = SPAN("\xed\xa0\x80")},
        {.type = MQTT_UNSUBSCRIBE, .packet_id = 1},
    };

    memset(long_text, 'a', sizeof long_text);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (encode(MQTT_5, bad[i]) != DM_INVALID) {
            printf("\n    entry %zu", i);
            CU_FAIL("accepted");
        }
    CU_PASS("every entry was looked at");
    struct mqtt_packet longest = {.type = MQTT_PUBLISH, .topic = {long_text, 65535}};
    CU_ASSERT_EQUAL(encode(MQTT_5, longest), DM_OK);
}

static void
encode_311_connect_rules_of_client_id_and_password_hold(void)
{
    struct mqtt_packet nameless = {.type = MQTT_CONNECT};
    struct mqtt_packet userless = {
        .type = MQTT_CONNECT, .client_id = SPAN("a"), .has_password = true};

    CU_ASSERT_EQUAL(encode(MQTT_3_1_1, nameless), DM_INVALID);
    CU_ASSERT_EQUAL(encode(MQTT_5, nameless), DM_OK);
    nameless.clean_start = true;
    CU_ASSERT_EQUAL(encode(MQTT_3_1_1, nameless), DM_OK);
    CU_ASSERT_EQUAL(encode(MQTT_3_1_1, userless), DM_INVALID);
    CU_ASSERT_EQUAL(encode(MQTT_5, userless), DM_OK);
}

static void
text_is_valid_exactly_for_utf8_without_nul_and_surrogates(void)
{
    static const char *const good[] = {
        "",
        "plain",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbb\xbf",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
    };
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc2",
        "\xc2x",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xe2\x82",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf0\x9f\x98",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xff",
        "ok\xfe",
    };

    for (size_t i = 0; i < COUNT(good); i++)
        CU_ASSERT_TRUE(topic_text_is_valid(dm_span_text(good[i])));
    for (size_t i = 0; i < COUNT(bad); i++)
        CU_ASSERT_FALSE(topic_text_is_valid(dm_span_text(bad[i])));
    CU_ASSERT_FALSE(topic_text_is_valid(dm_span("a\0b", 3)));
    CU_ASSERT_TRUE(topic_name_is_valid(dm_span_text("a/b")));
    CU_ASSERT_FALSE(topic_name_is_valid(dm_span_text("")));
}

static void
names_are_known_and_strangers_get_a_placeholder(void)
{
    CU_ASSERT_STRING_EQUAL(mqtt_type_name(MQTT_CONNECT), "CONNECT");
    CU_ASSERT_STRING_EQUAL(mqtt_type_name(MQTT_AUTH), "AUTH");
    CU_ASSERT_STRING_EQUAL(mqtt_type_name((enum mqtt_type)0), "?");
    CU_ASSERT_STRING_EQUAL(mqtt_type_name((enum mqtt_type)16), "?");
    CU_ASSERT_STRING_EQUAL(mqtt_reason_name(0x00), "success");
    CU_ASSERT_STRING_EQUAL(mqtt_reason_name(0x8e), "session taken over");
    CU_ASSERT_STRING_EQUAL(mqtt_reason_name(0xa2), "wildcard subscriptions not supported");
    CU_ASSERT_STRING_EQUAL(mqtt_reason_name(0x03), "unknown reason");
}

static const struct unit_test tests[] = {
    UNIT_TEST(decode_example_gives_its_fields),
    UNIT_TEST(decode_leaves_the_next_packet_alone),
    UNIT_TEST(decode_every_truncation_wants_more),
    UNIT_TEST(decode_body_cut_short_is_malformed_or_shorter),
    UNIT_TEST(decode_malformed_is_rejected),
    UNIT_TEST(decode_unknown_failure_code_is_kept),
    UNIT_TEST(decode_publish_with_too_many_subscription_ids_keeps_the_first),
    UNIT_TEST(decode_longer_than_maximum_is_full_before_it_is_complete),
    UNIT_TEST(decode_topic_alias_is_unsupported_with_a_topic_or_without),
    UNIT_TEST(decode_largest_remaining_length_is_read),
    UNIT_TEST(decode_single_octet_corruption_never_reads_outside),
    UNIT_TEST(decode_random_octets_never_reads_outside),
    UNIT_TEST(encode_example_gives_its_octets),
    UNIT_TEST(encode_into_every_smaller_buffer_is_full),
    UNIT_TEST(encode_remaining_length_grows_with_the_payload),
    UNIT_TEST(encode_field_out_of_range_is_invalid),
    UNIT_TEST(encode_311_connect_rules_of_client_id_and_password_hold),
    UNIT_TEST(text_is_valid_exactly_for_utf8_without_nul_and_surrogates),
    UNIT_TEST(names_are_known_and_strangers_get_a_placeholder),
};

UNIT_MAIN("mqtt", tests)
