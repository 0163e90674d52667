/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT packets of a server, octets to struct. Section numbers are those of MQTT 5.0. */
#include "mqtt.h"
#include "mqtt_property.h"
#include "topic.h"

/* A checked cursor: a read beyond the end gives 0 or nothing, and sets `failed` for good. */
struct reader {
    const uint8_t *data;
    size_t len; /* octets left */
    bool failed;
    bool has_alias; /* a topic alias stands in it */
};

enum property_kind {
    PROPERTY_NONE, /* not known, or not the server's to send */
    PROPERTY_FLAG, /* one octet, 0 or 1 */
    PROPERTY_U16,
    PROPERTY_U32,
    PROPERTY_VARIABLE,
    PROPERTY_TEXT,
    PROPERTY_BINARY,
    PROPERTY_PAIR, /* of texts */
};

#define IN(type) (1u << MQTT_##type)
#define IN_ACKNOWLEDGEMENTS                                                                        \
    (IN(CONNACK) | IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | IN(SUBACK) | IN(UNSUBACK))

/* Section 2.2.2.2, what a server may send. Topic Alias is missing because we offer none. */
static const struct {
    uint8_t kind;
    uint16_t packets; /* it may stand in, one bit each */
} properties[PROPERTY_COUNT] = {
    [PROPERTY_PAYLOAD_FORMAT] = {PROPERTY_FLAG, IN(PUBLISH)},
    [PROPERTY_MESSAGE_EXPIRY] = {PROPERTY_U32, IN(PUBLISH)},
    [PROPERTY_CONTENT_TYPE] = {PROPERTY_TEXT, IN(PUBLISH)},
    [PROPERTY_RESPONSE_TOPIC] = {PROPERTY_TEXT, IN(PUBLISH)},
    [PROPERTY_CORRELATION_DATA] = {PROPERTY_BINARY, IN(PUBLISH)},
    [PROPERTY_SUBSCRIPTION_ID] = {PROPERTY_VARIABLE, IN(PUBLISH)},
    [PROPERTY_SESSION_EXPIRY] = {PROPERTY_U32, IN(CONNACK)},
    [PROPERTY_ASSIGNED_CLIENT_ID] = {PROPERTY_TEXT, IN(CONNACK)},
    [PROPERTY_SERVER_KEEPALIVE] = {PROPERTY_U16, IN(CONNACK)},
    [PROPERTY_AUTHENTICATION_METHOD] = {PROPERTY_TEXT, IN(CONNACK)},
    [PROPERTY_AUTHENTICATION_DATA] = {PROPERTY_BINARY, IN(CONNACK)},
    [PROPERTY_RESPONSE_INFORMATION] = {PROPERTY_TEXT, IN(CONNACK)},
    [PROPERTY_SERVER_REFERENCE] = {PROPERTY_TEXT, IN(CONNACK) | IN(DISCONNECT)},
    [PROPERTY_REASON_STRING] = {PROPERTY_TEXT, IN_ACKNOWLEDGEMENTS | IN(DISCONNECT)},
    [PROPERTY_RECEIVE_MAXIMUM] = {PROPERTY_U16, IN(CONNACK)},
    [PROPERTY_TOPIC_ALIAS_MAXIMUM] = {PROPERTY_U16, IN(CONNACK)},
    [PROPERTY_MAXIMUM_QOS] = {PROPERTY_FLAG, IN(CONNACK)},
    [PROPERTY_RETAIN_AVAILABLE] = {PROPERTY_FLAG, IN(CONNACK)},
    [PROPERTY_USER] = {PROPERTY_PAIR, IN_ACKNOWLEDGEMENTS | IN(PUBLISH) | IN(DISCONNECT)},
    [PROPERTY_MAXIMUM_PACKET_SIZE] = {PROPERTY_U32, IN(CONNACK)},
    [PROPERTY_WILDCARD_AVAILABLE] = {PROPERTY_FLAG, IN(CONNACK)},
    [PROPERTY_SUBSCRIPTION_ID_AVAILABLE] = {PROPERTY_FLAG, IN(CONNACK)},
    [PROPERTY_SHARED_AVAILABLE] = {PROPERTY_FLAG, IN(CONNACK)},
};

struct property_value {
    uint32_t number;
    struct dm_span octets;
};

static struct dm_span
get_octets(struct reader *reader, size_t len)
{
    if (reader->failed || len > reader->len) {
        reader->failed = true;
        return dm_span(NULL, 0);
    }
    struct dm_span octets = dm_span(reader->data, len);
    reader->data += len;
    reader->len -= len;
    return octets;
}

static uint8_t
get_u8(struct reader *reader)
{
    struct dm_span octet = get_octets(reader, 1);
    return octet.len == 1 ? octet.data[0] : 0;
}

static uint16_t
get_u16(struct reader *reader)
{
    uint8_t high = get_u8(reader);
    return (uint16_t)(high << 8 | get_u8(reader));
}

static uint32_t
get_u32(struct reader *reader)
{
    uint32_t high = get_u16(reader);
    return high << 16 | get_u16(reader);
}

/* A Variable Byte Integer in its shortest form (section 1.5.5). */
static uint32_t
get_variable(struct reader *reader)
{
    uint32_t value = 0;

    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint8_t octet = get_u8(reader);
        value |= (uint32_t)(octet & 0x7f) << shift;
        if ((octet & 0x80) == 0) {
            if (octet == 0 && shift > 0)
                reader->failed = true;
            return value;
        }
    }
    reader->failed = true;
    return 0;
}

static struct dm_span
get_text(struct reader *reader)
{
    struct dm_span text = get_octets(reader, get_u16(reader));

    if (!topic_text_is_valid(text))
        reader->failed = true;
    return text;
}

static uint16_t
get_packet_id(struct reader *reader)
{
    uint16_t packet_id = get_u16(reader);

    if (packet_id == 0)
        reader->failed = true;
    return packet_id;
}

static struct property_value
get_property_value(struct reader *reader, enum property_kind kind)
{
    struct property_value value = {0};

    switch (kind) {
    case PROPERTY_FLAG:
        value.number = get_u8(reader);
        if (value.number > 1)
            reader->failed = true;
        break;
    case PROPERTY_U16:
        value.number = get_u16(reader);
        break;
    case PROPERTY_U32:
        value.number = get_u32(reader);
        break;
    case PROPERTY_VARIABLE:
        value.number = get_variable(reader);
        break;
    case PROPERTY_TEXT:
        value.octets = get_text(reader);
        break;
    case PROPERTY_BINARY:
        value.octets = get_octets(reader, get_u16(reader));
        break;
    case PROPERTY_PAIR:
        get_text(reader);
        get_text(reader);
        break;
    case PROPERTY_NONE:
        reader->failed = true;
        break;
    }
    return value;
}

static void
add_subscription_id(struct mqtt_packet *packet, uint32_t id)
{
    if (packet->subscription_id_count < MQTT_SUBSCRIPTION_IDS_MAX)
        packet->subscription_ids[packet->subscription_id_count++] = id;
}

/* Takes over what we use. False: a value the property must not have. */
static bool
apply_property(struct mqtt_packet *packet, uint32_t id, struct property_value value)
{
    switch (id) {
    case PROPERTY_MESSAGE_EXPIRY:
        packet->has_message_expiry = true;
        packet->message_expiry_s = value.number;
        return true;
    case PROPERTY_RESPONSE_TOPIC:
        return topic_name_is_valid(value.octets);
    case PROPERTY_SUBSCRIPTION_ID:
        add_subscription_id(packet, value.number);
        return value.number != 0;
    case PROPERTY_SESSION_EXPIRY:
        packet->session_expiry_s = value.number;
        return true;
    case PROPERTY_ASSIGNED_CLIENT_ID:
        packet->client_id = value.octets;
        return true;
    case PROPERTY_SERVER_KEEPALIVE:
        packet->has_server_keepalive = true;
        packet->keepalive_s = (uint16_t)value.number;
        return true;
    case PROPERTY_REASON_STRING:
        packet->reason_string = value.octets;
        return true;
    case PROPERTY_RECEIVE_MAXIMUM:
        packet->receive_maximum = (uint16_t)value.number;
        return value.number != 0;
    case PROPERTY_MAXIMUM_QOS:
        packet->maximum_qos = (uint8_t)value.number;
        return true;
    case PROPERTY_RETAIN_AVAILABLE:
        packet->retain_available = value.number != 0;
        return true;
    case PROPERTY_TOPIC_ALIAS_MAXIMUM:
        packet->topic_alias_maximum = (uint16_t)value.number;
        return true;
    case PROPERTY_MAXIMUM_PACKET_SIZE:
        packet->maximum_packet_size = value.number;
        return value.number != 0;
    case PROPERTY_WILDCARD_AVAILABLE:
        packet->wildcard_available = value.number != 0;
        return true;
    case PROPERTY_SUBSCRIPTION_ID_AVAILABLE:
        packet->subscription_ids_available = value.number != 0;
        return true;
    default:
        return true;
    }
}

static void
read_properties(struct reader *reader, struct mqtt_packet *packet)
{
    struct dm_span octets = get_octets(reader, get_variable(reader));
    struct reader list = {.data = octets.data, .len = octets.len};
    uint64_t seen = 0;

    while (list.len > 0 && !list.failed) {
        uint32_t id = get_variable(&list);
        reader->has_alias |= id == PROPERTY_TOPIC_ALIAS && packet->type == MQTT_PUBLISH;
        if (id >= PROPERTY_COUNT || (properties[id].packets >> packet->type & 1) == 0) {
            list.failed = true;
            break;
        }
        bool repeats = id == PROPERTY_USER || id == PROPERTY_SUBSCRIPTION_ID;
        struct property_value value = get_property_value(&list, properties[id].kind);
        if ((!repeats && (seen >> id & 1) != 0) || !apply_property(packet, id, value))
            list.failed = true;
        seen |= UINT64_C(1) << id;
    }
    if (list.failed)
        reader->failed = true;
}

static void
read_connack(struct reader *reader, enum mqtt_version version, struct mqtt_packet *packet)
{
    uint8_t flags = get_u8(reader);

    packet->reason = get_u8(reader);
    packet->session_present = (flags & 1) != 0;
    packet->session_expiry_s = UINT32_MAX;
    packet->maximum_qos = 2;
    packet->retain_available = true;
    packet->subscription_ids_available = true;
    packet->wildcard_available = true;
    if ((flags & 0xfe) != 0 || (packet->session_present && packet->reason != 0) ||
        (version == MQTT_3_1_1 && packet->reason > 5))
        reader->failed = true;
    if (version == MQTT_5)
        read_properties(reader, packet);
}

static void
read_publish(struct reader *reader, enum mqtt_version version, uint8_t flags,
             struct mqtt_packet *packet)
{
    packet->dup = (flags & 8) != 0;
    packet->qos = flags >> 1 & 3;
    packet->retain = (flags & 1) != 0;
    packet->topic = get_octets(reader, get_u16(reader));
    if (packet->qos > 0)
        packet->packet_id = get_packet_id(reader);
    if (version == MQTT_5)
        read_properties(reader, packet);
    packet->payload = get_octets(reader, reader->len);
    if (packet->qos == 3 || (packet->dup && packet->qos == 0) ||
        !topic_name_is_valid(packet->topic)) /* it may be empty with an alias */
        reader->failed = true;
}

/* PUBACK, PUBREC, PUBREL, PUBCOMP: reason and properties may be left out (section 3.4.2). */
static void
read_publish_answer(struct reader *reader, enum mqtt_version version, struct mqtt_packet *packet)
{
    packet->packet_id = get_packet_id(reader);
    if (version == MQTT_5 && reader->len > 0)
        packet->reason = get_u8(reader);
    if (version == MQTT_5 && reader->len > 0)
        read_properties(reader, packet);
}

/* One reason code exactly: we never ask for more than one filter at a time. */
static void
read_subscribe_answer(struct reader *reader, enum mqtt_version version, struct mqtt_packet *packet)
{
    packet->packet_id = get_packet_id(reader);
    if (version == MQTT_5)
        read_properties(reader, packet);
    if (version == MQTT_5 || packet->type == MQTT_SUBACK)
        packet->reason = get_u8(reader);
    if (version == MQTT_3_1_1 && packet->reason > 0x80)
        reader->failed = true;
}

static void
read_disconnect(struct reader *reader, struct mqtt_packet *packet)
{
    if (reader->len > 0)
        packet->reason = get_u8(reader);
    if (reader->len > 0)
        read_properties(reader, packet);
}

/*
 * Below 0x80 only the codes of the packet's own table are let through, because they mean success of
 * some kind. Every code from 0x80 is a failure, whether we know it or not.
 */
static bool
reason_valid(enum mqtt_version version, const struct mqtt_packet *packet)
{
    uint8_t reason = packet->reason;

    if (reason == 0 || reason >= 0x80)
        return true;
    switch (packet->type) {
    case MQTT_CONNACK:
        return version == MQTT_3_1_1;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
        return reason == 0x10;
    case MQTT_SUBACK:
        return reason <= 2;
    case MQTT_UNSUBACK:
        return reason == 0x11;
    default:
        return false;
    }
}

static bool
read_body(struct reader *reader, enum mqtt_version version, uint8_t flags,
          struct mqtt_packet *packet)
{
    switch (packet->type) {
    case MQTT_CONNACK:
        read_connack(reader, version, packet);
        break;
    case MQTT_PUBLISH:
        read_publish(reader, version, flags, packet);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        read_publish_answer(reader, version, packet);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        read_subscribe_answer(reader, version, packet);
        break;
    case MQTT_DISCONNECT:
        read_disconnect(reader, packet);
        break;
    default: /* PINGRESP has no body */
        break;
    }
    return !reader->failed && reader->len == 0 && reason_valid(version, packet);
}

/* Is this the first octet of a packet that a server may send us (section 2.1.3)? */
static bool
first_octet_valid(enum mqtt_version version, uint8_t octet)
{
    uint8_t flags = octet & 0x0f;

    switch (octet >> 4) {
    case MQTT_PUBLISH:
        return true;
    case MQTT_CONNACK:
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBCOMP:
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
    case MQTT_PINGRESP:
        return flags == 0;
    case MQTT_PUBREL:
        return flags == 2;
    case MQTT_DISCONNECT:
        return flags == 0 && version == MQTT_5;
    default: /* AUTH too: we never name an authentication method (MQTT-4.12.0-6) */
        return false;
    }
}

/* Reads the fixed header; *total is the size of the packet with it. */
static enum dm_result
read_header(enum mqtt_version version, struct reader *reader, size_t *total)
{
    struct reader start = *reader;

    if (reader->len == 0)
        return DM_TRUNCATED;
    if (!first_octet_valid(version, get_u8(reader)))
        return DM_MALFORMED;
    size_t octets = 0; /* of the remaining length, up to its last one */
    while (octets < 4 && octets < reader->len && (reader->data[octets] & 0x80) != 0)
        octets++;
    if (octets < 4 && octets == reader->len)
        return DM_TRUNCATED;
    uint32_t remaining = get_variable(reader);
    if (reader->failed)
        return DM_MALFORMED;
    *total = start.len - reader->len + remaining;
    return DM_OK;
}

enum dm_result
mqtt_decode(enum mqtt_version version, const uint8_t *data, size_t len, size_t maximum,
            struct mqtt_packet *packet, size_t *used)
{
    struct reader reader = {.data = data, .len = len};
    size_t total = 0;
    enum dm_result result = read_header(version, &reader, &total);

    *used = 0;
    if (result != DM_OK)
        return result;
    if (total > maximum)
        return DM_FULL;
    if (total > len) {
        *used = total;
        return DM_TRUNCATED;
    }
    reader.len -= len - total;
    struct mqtt_packet read = {.type = (enum mqtt_type)(data[0] >> 4)};
    if (!read_body(&reader, version, data[0] & 0x0f, &read))
        return reader.has_alias ? DM_UNSUPPORTED : DM_MALFORMED;
    *packet = read;
    *used = total;
    return DM_OK;
}
