/* SPDX-License-Identifier: Apache-2.0 */
/* The MQTT-SN codec: any datagram, and back. */
#include <dormouse/mqttsn.h>

#include "fuzz.h"

static void
check_equal(const struct mqttsn_packet *a, const struct mqttsn_packet *b)
{
    FUZZ_CHECK(a->type == b->type, "another type");
    FUZZ_CHECK(a->dup == b->dup && a->retain == b->retain && a->will == b->will &&
                   a->clean_session == b->clean_session && a->has_flags == b->has_flags &&
                   a->qos == b->qos && a->topic_type == b->topic_type,
               "other flags");
    FUZZ_CHECK(a->has_duration == b->has_duration && a->duration_s == b->duration_s,
               "another duration");
    FUZZ_CHECK(a->return_code == b->return_code && a->gateway_id == b->gateway_id &&
                   a->radius == b->radius && a->protocol_id == b->protocol_id &&
                   a->topic_id == b->topic_id && a->msg_id == b->msg_id,
               "another number");
    FUZZ_CHECK(dm_span_equal(a->client_id, b->client_id) &&
                   dm_span_equal(a->topic_name, b->topic_name) && dm_span_equal(a->data, b->data),
               "another text");
}

static void
check_described(const struct mqttsn_packet *packet)
{
    for (size_t size = 1; size <= 256; size *= 4) {
        char *text = fuzz_alloc(size);

        mqttsn_describe(packet, text, size);
        FUZZ_CHECK(memchr(text, '\0', size) != NULL, "not terminated");
        free(text);
    }
}

/* An id that is not 2 octets long (M39, M43) is only flagged: there is nothing to write back. */
static void
check_round_trip(const struct mqttsn_packet *packet, size_t len)
{
    struct mqttsn_packet again;
    uint8_t *buffer = fuzz_alloc(len);
    size_t written = 0;

    FUZZ_CHECK(mqttsn_encode(packet, buffer, len, &written) == DM_OK && written <= len,
               "the shortest form is longer than what was read");
    FUZZ_CHECK(mqttsn_encode(packet, buffer, written - 1, &written) == DM_FULL,
               "written into a buffer that is too small");
    FUZZ_CHECK(mqttsn_decode(buffer, written, &again) == DM_OK, "cannot be read back");
    check_equal(packet, &again);
    free(buffer);
}

static void
fuzz_decode(const uint8_t *data, size_t len)
{
    struct mqttsn_packet packet;

    if (mqttsn_decode(data, len, &packet) != DM_OK)
        return;
    FUZZ_CHECK(packet.type < MQTTSN_TYPE_COUNT, "no such type");
    FUZZ_CHECK(packet.qos >= -1 && packet.qos <= 2, "no such QoS");
    check_described(&packet);
    if (!packet.bad_topic)
        check_round_trip(&packet, len);
}

static void
fuzz_unwrap(const uint8_t *data, size_t len)
{
    struct dm_span node_id;
    struct dm_span inner;
    size_t written = 0;

    if (mqttsn_unwrap(data, len, &node_id, &inner) != DM_OK)
        return;
    uint8_t *buffer = fuzz_alloc(len);

    FUZZ_CHECK(node_id.len <= MQTTSN_NODE_ID_MAX, "a node id that is too long");
    FUZZ_CHECK(mqttsn_wrap(node_id, data[2] & 3, inner, buffer, len, &written) == DM_OK &&
                   written == len,
               "cannot be wrapped again");
    FUZZ_CHECK(data[2] > 3 || memcmp(buffer, data, len) == 0, "wrapped in another way");
    FUZZ_CHECK(mqttsn_wrap(node_id, 0, inner, buffer, len - 1, &written) == DM_FULL,
               "wrapped into a buffer that is too small");
    free(buffer);
    fuzz_decode(inner.data, inner.len);
}

static void
fuzz_measure(const uint8_t *data, size_t len, size_t mtu)
{
    size_t total = 0;
    enum dm_result result = mqttsn_measure(data, len, mtu, &total);

    FUZZ_CHECK(result == DM_OK || result == DM_TRUNCATED || result == DM_FULL ||
                   result == DM_MALFORMED,
               "not a result of mqttsn_measure");
    FUZZ_CHECK(result != DM_TRUNCATED || len < mtu + 4, "asks for too much");
    if (result == DM_FULL)
        FUZZ_CHECK(total > mtu, "not too long");
    if (result != DM_OK)
        return;
    FUZZ_CHECK(total >= 2 && total <= mtu && total <= len, "a size that cannot be");
    struct mqttsn_packet packet;
    struct dm_span node_id;
    struct dm_span inner = dm_span(data, total);

    if (mqttsn_is_encapsulated(data, total) &&
        mqttsn_unwrap(data, total, &node_id, &inner) == DM_UNSUPPORTED)
        return; /* the longest node ids are well formed, but not ours */
    FUZZ_CHECK(mqttsn_decode(inner.data, inner.len, &packet) == DM_OK,
               "plausible and complete, but cannot be decoded");
    for (size_t prefix = 0; prefix < total; prefix += 1 + prefix / 8)
        FUZZ_CHECK(mqttsn_measure(data, prefix, mtu, &(size_t){0}) == DM_TRUNCATED,
                   "the beginning of a message is not taken for one");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const size_t mtus[] = {2, 32, 255, 1400, MQTTSN_PACKET_MAX};

    fuzz_decode(data, len);
    fuzz_unwrap(data, len);
    for (size_t i = 0; i < sizeof mtus / sizeof mtus[0]; i++)
        fuzz_measure(data, len, mtus[i]);
    return 0;
}
