/* SPDX-License-Identifier: Apache-2.0 */
/* The MQTT codec: any stream from a broker, and any packet of ours. */
#include "fuzz.h"
#include "mqtt.h"

static void
check_equal(const struct mqtt_packet *a, const struct mqtt_packet *b)
{
    FUZZ_CHECK(a->type == b->type && a->packet_id == b->packet_id && a->reason == b->reason,
               "another answer");
    FUZZ_CHECK(a->dup == b->dup && a->retain == b->retain && a->qos == b->qos, "other flags");
    FUZZ_CHECK(a->has_message_expiry == b->has_message_expiry &&
                   a->message_expiry_s == b->message_expiry_s,
               "another expiry");
    FUZZ_CHECK(dm_span_equal(a->topic, b->topic) && dm_span_equal(a->payload, b->payload),
               "another message");
}

/* What both sides may send can be written, and is read as the same. */
static void
check_round_trip(enum mqtt_version version, const struct mqtt_packet *packet)
{
    struct mqtt_packet again;
    size_t room = mqtt_encoded_max(packet);
    uint8_t *buffer = fuzz_alloc(room);
    size_t written = 0;
    size_t used = 0;
    enum dm_result result = mqtt_encode(version, packet, buffer, room, &written);

    if (packet->type == MQTT_PUBLISH ||
        (packet->type >= MQTT_PUBACK && packet->type <= MQTT_PUBCOMP))
        FUZZ_CHECK(result == DM_OK, "read, but cannot be written");
    FUZZ_CHECK(result != DM_FULL && written <= room, "longer than mqtt_encoded_max");
    if (result == DM_OK && packet->type != MQTT_DISCONNECT) {
        FUZZ_CHECK(mqtt_decode(version, buffer, written, written, &again, &used) == DM_OK &&
                       used == written,
                   "cannot be read back");
        check_equal(packet, &again);
    }
    free(buffer);
}

static void
check_prefixes(enum mqtt_version version, const uint8_t *data, size_t total)
{
    struct mqtt_packet packet;

    for (size_t prefix = 0; prefix < total; prefix += 1 + prefix / 4) {
        size_t used = 0;

        FUZZ_CHECK(mqtt_decode(version, data, prefix, total, &packet, &used) == DM_TRUNCATED,
                   "the beginning of a packet is taken for a whole one");
        FUZZ_CHECK(used == 0 || used == total, "another size announced");
    }
}

static void
fuzz_stream(enum mqtt_version version, size_t maximum, const uint8_t *data, size_t len)
{
    while (len > 0) {
        struct mqtt_packet packet;
        size_t used = 0;

        if (mqtt_decode(version, data, len, maximum, &packet, &used) != DM_OK)
            return;
        FUZZ_CHECK(used >= 2 && used <= len && used <= maximum, "a size that cannot be");
        FUZZ_CHECK(packet.subscription_id_count <= MQTT_SUBSCRIPTION_IDS_MAX, "too many ids");
        FUZZ_CHECK(packet.type != MQTT_PUBLISH || (packet.qos > 0) == (packet.packet_id > 0),
                   "a QoS without its packet id");
        check_prefixes(version, data, used);
        check_round_trip(version, &packet);
        data += used;
        len -= used;
    }
}

/* A packet of ours with whatever in it: refused, or within its size. */
static void
fuzz_encode(enum mqtt_version version, struct fuzz_input *input)
{
    uint8_t flags = fuzz_octet(input);
    struct mqtt_packet packet = {
        .dup = flags & 1,
        .retain = flags & 2,
        .qos = flags >> 2 & 3,
        .has_username = flags & 16,
        .has_password = flags & 32,
        .has_will = flags & 64,
        .has_message_expiry = flags & 128,
    };

    packet.type = (enum mqtt_type)(fuzz_octet(input) & 15);
    packet.packet_id = fuzz_number(input);
    packet.reason = fuzz_octet(input);
    packet.retain_handling = fuzz_octet(input) & 3;
    packet.subscription_ids[0] = fuzz_number(input) * UINT32_C(4099);
    packet.subscription_id_count = fuzz_octet(input) & 1;
    packet.session_expiry_s = fuzz_octet(input);
    packet.receive_maximum = fuzz_octet(input);
    packet.topic = fuzz_span(input, fuzz_octet(input));
    packet.client_id = fuzz_span(input, fuzz_octet(input));
    packet.username = fuzz_span(input, fuzz_octet(input));
    packet.will_topic = fuzz_span(input, fuzz_octet(input));
    packet.password = packet.payload = packet.will_payload = fuzz_span(input, 300);
    size_t room = mqtt_encoded_max(&packet);
    uint8_t *buffer = fuzz_alloc(room);
    size_t written = 0;
    enum dm_result result = mqtt_encode(version, &packet, buffer, room, &written);

    FUZZ_CHECK((result == DM_OK && written <= room) || result == DM_INVALID,
               "neither written nor refused");
    if (result == DM_OK)
        FUZZ_CHECK(mqtt_encode(version, &packet, buffer, written - 1, &written) == DM_FULL,
                   "written into a buffer that is too small");
    free(buffer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input input = {data, len};
    uint8_t head = fuzz_octet(&input);
    enum mqtt_version version = head & 1 ? MQTT_5 : MQTT_3_1_1;

    if (head & 2)
        fuzz_encode(version, &input);
    else
        fuzz_stream(version, head & 4 ? 64 : 1 << 20, input.at, input.left);
    return 0;
}
