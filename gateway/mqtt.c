/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT packets of a client, struct to octets; and the names of packet types and reason codes. */
#include "mqtt.h"
#include "mqtt_property.h"
#include "topic.h"

#include <assert.h>

#define STRING_MAX 65535u
#define VARIABLE_MAX 268435455u /* largest Variable Byte Integer: four octets of seven bits */

/* No packet has more octets beside its strings and payload; CONNECT, the longest, has 40. */
#define FIXED_OCTETS_MAX 64u

/* Counts, and writes if there is a buffer: the remaining length stands before what it measures. */
struct writer {
    uint8_t *data; /* NULL: count only */
    size_t size;
    size_t used;
};

const char *
mqtt_type_name(enum mqtt_type type)
{
    static const char *const names[] = {
        [MQTT_CONNECT] = "CONNECT",   [MQTT_CONNACK] = "CONNACK",
        [MQTT_PUBLISH] = "PUBLISH",   [MQTT_PUBACK] = "PUBACK",
        [MQTT_PUBREC] = "PUBREC",     [MQTT_PUBREL] = "PUBREL",
        [MQTT_PUBCOMP] = "PUBCOMP",   [MQTT_SUBSCRIBE] = "SUBSCRIBE",
        [MQTT_SUBACK] = "SUBACK",     [MQTT_UNSUBSCRIBE] = "UNSUBSCRIBE",
        [MQTT_UNSUBACK] = "UNSUBACK", [MQTT_PINGREQ] = "PINGREQ",
        [MQTT_PINGRESP] = "PINGRESP", [MQTT_DISCONNECT] = "DISCONNECT",
        [MQTT_AUTH] = "AUTH",
    };
    size_t number = (size_t)type;

    if (number >= sizeof names / sizeof names[0] || names[number] == NULL)
        return "?";
    return names[number];
}

const char *
mqtt_reason_name(uint8_t reason)
{
    static const struct {
        uint8_t code;
        const char *name;
    } names[] = {
        {0x00, "success"},
        {0x01, "granted QoS 1"},
        {0x02, "granted QoS 2"},
        {0x04, "disconnect with will message"},
        {0x10, "no matching subscribers"},
        {0x11, "no subscription existed"},
        {0x18, "continue authentication"},
        {0x19, "re-authenticate"},
        {0x80, "unspecified error"},
        {0x81, "malformed packet"},
        {0x82, "protocol error"},
        {0x83, "implementation specific error"},
        {0x84, "unsupported protocol version"},
        {0x85, "client identifier not valid"},
        {0x86, "bad user name or password"},
        {0x87, "not authorized"},
        {0x88, "server unavailable"},
        {0x89, "server busy"},
        {0x8a, "banned"},
        {0x8b, "server shutting down"},
        {0x8c, "bad authentication method"},
        {0x8d, "keep alive timeout"},
        {0x8e, "session taken over"},
        {0x8f, "topic filter invalid"},
        {0x90, "topic name invalid"},
        {0x91, "packet identifier in use"},
        {0x92, "packet identifier not found"},
        {0x93, "receive maximum exceeded"},
        {0x94, "topic alias invalid"},
        {0x95, "packet too large"},
        {0x96, "message rate too high"},
        {0x97, "quota exceeded"},
        {0x98, "administrative action"},
        {0x99, "payload format invalid"},
        {0x9a, "retain not supported"},
        {0x9b, "QoS not supported"},
        {0x9c, "use another server"},
        {0x9d, "server moved"},
        {0x9e, "shared subscriptions not supported"},
        {0x9f, "connection rate exceeded"},
        {0xa0, "maximum connect time"},
        {0xa1, "subscription identifiers not supported"},
        {0xa2, "wildcard subscriptions not supported"},
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].code == reason)
            return names[i].name;
    return "unknown reason";
}

static bool
text_valid(struct dm_span text)
{
    return text.len <= STRING_MAX && topic_text_is_valid(text);
}

static void
put_octets(struct writer *writer, struct dm_span octets)
{
    if (writer->data != NULL && octets.len > 0) {
        assert(octets.len <= writer->size - writer->used);
        memcpy(writer->data + writer->used, octets.data, octets.len);
    }
    writer->used += octets.len;
}

static void
put_u8(struct writer *writer, unsigned value)
{
    uint8_t octet = (uint8_t)value;
    put_octets(writer, dm_span(&octet, 1));
}

static void
put_u16(struct writer *writer, uint32_t value)
{
    put_u8(writer, value >> 8 & 0xff);
    put_u8(writer, value & 0xff);
}

static void
put_u32(struct writer *writer, uint32_t value)
{
    put_u16(writer, value >> 16);
    put_u16(writer, value & 0xffff);
}

static void
put_variable(struct writer *writer, size_t value)
{
    for (; value > 0x7f; value >>= 7)
        put_u8(writer, 0x80 | (unsigned)(value & 0x7f));
    put_u8(writer, (unsigned)value);
}

static size_t
variable_len(size_t value)
{
    return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4;
}

static void
put_string(struct writer *writer, struct dm_span string)
{
    put_u16(writer, (uint32_t)string.len);
    put_octets(writer, string);
}

static bool
connect_valid(enum mqtt_version version, const struct mqtt_packet *packet)
{
    /* 3.1.1 ties an empty client id to a clean session (MQTT-3.1.3-7), a password to a user name
     * (MQTT-3.1.2-22). */
    if (version == MQTT_3_1_1 && ((packet->client_id.len == 0 && !packet->clean_start) ||
                                  (packet->has_password && !packet->has_username)))
        return false;
    if (packet->has_will && (!topic_name_is_valid(packet->will_topic) || packet->will_qos > 2 ||
                             packet->will_payload.len > STRING_MAX))
        return false;
    return text_valid(packet->client_id) && text_valid(packet->username) &&
           packet->password.len <= STRING_MAX;
}

static bool
publish_valid(enum mqtt_version version, const struct mqtt_packet *packet)
{
    bool by_alias = packet->topic.len == 0 && packet->topic_alias != 0 && version == MQTT_5;

    return (by_alias || topic_name_is_valid(packet->topic)) && packet->qos <= 2 &&
           (packet->qos == 0 ? !packet->dup : packet->packet_id != 0) &&
           packet->payload.len <= VARIABLE_MAX;
}

static bool
subscribe_valid(const struct mqtt_packet *packet)
{
    if (packet->packet_id == 0 || packet->topic.len == 0 || !text_valid(packet->topic))
        return false;
    if (packet->type == MQTT_UNSUBSCRIBE)
        return true;
    if (packet->subscription_id_count > 1 ||
        (packet->subscription_id_count == 1 &&
         (packet->subscription_ids[0] == 0 || packet->subscription_ids[0] > VARIABLE_MAX)))
        return false;
    return packet->qos <= 2 && packet->retain_handling <= 2;
}

static bool
packet_valid(enum mqtt_version version, const struct mqtt_packet *packet)
{
    switch (packet->type) {
    case MQTT_CONNECT:
        return connect_valid(version, packet);
    case MQTT_PUBLISH:
        return publish_valid(version, packet);
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return subscribe_valid(packet);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return packet->packet_id != 0;
    case MQTT_PINGREQ:
    case MQTT_DISCONNECT:
        return true;
    default:
        return false;
    }
}

static void
write_connect_properties(struct writer *writer, const struct mqtt_packet *packet)
{
    put_variable(writer, (packet->session_expiry_s != 0 ? 5u : 0u) +
                             (packet->receive_maximum != 0 ? 3u : 0u) +
                             (packet->maximum_packet_size != 0 ? 5u : 0u));
    if (packet->session_expiry_s != 0) {
        put_u8(writer, PROPERTY_SESSION_EXPIRY);
        put_u32(writer, packet->session_expiry_s);
    }
    if (packet->receive_maximum != 0) {
        put_u8(writer, PROPERTY_RECEIVE_MAXIMUM);
        put_u16(writer, packet->receive_maximum);
    }
    if (packet->maximum_packet_size != 0) {
        put_u8(writer, PROPERTY_MAXIMUM_PACKET_SIZE);
        put_u32(writer, packet->maximum_packet_size);
    }
}

static void
write_connect(struct writer *writer, enum mqtt_version version, const struct mqtt_packet *packet)
{
    unsigned flags = packet->clean_start ? 0x02 : 0;

    if (packet->has_will)
        flags |= 0x04 | (unsigned)packet->will_qos << 3 | (packet->will_retain ? 0x20 : 0);
    if (packet->has_password)
        flags |= 0x40;
    if (packet->has_username)
        flags |= 0x80;
    put_string(writer, dm_span_text("MQTT"));
    put_u8(writer, (unsigned)version);
    put_u8(writer, flags);
    put_u16(writer, packet->keepalive_s);
    if (version == MQTT_5)
        write_connect_properties(writer, packet);
    put_string(writer, packet->client_id);
    if (packet->has_will) {
        if (version == MQTT_5)
            put_variable(writer, 0); /* no will properties */
        put_string(writer, packet->will_topic);
        put_string(writer, packet->will_payload);
    }
    if (packet->has_username)
        put_string(writer, packet->username);
    if (packet->has_password)
        put_string(writer, packet->password);
}

static void
write_publish(struct writer *writer, enum mqtt_version version, const struct mqtt_packet *packet)
{
    put_string(writer, packet->topic);
    if (packet->qos > 0)
        put_u16(writer, packet->packet_id);
    if (version == MQTT_5) {
        put_variable(writer,
                     (packet->has_message_expiry ? 5u : 0u) + (packet->topic_alias != 0 ? 3u : 0u));
        if (packet->has_message_expiry) {
            put_u8(writer, PROPERTY_MESSAGE_EXPIRY);
            put_u32(writer, packet->message_expiry_s);
        }
        if (packet->topic_alias != 0) {
            put_u8(writer, PROPERTY_TOPIC_ALIAS);
            put_u16(writer, packet->topic_alias);
        }
    }
    put_octets(writer, packet->payload);
}

static void
write_subscribe(struct writer *writer, enum mqtt_version version, const struct mqtt_packet *packet)
{
    put_u16(writer, packet->packet_id);
    if (version == MQTT_5) {
        bool has_id = packet->type == MQTT_SUBSCRIBE && packet->subscription_id_count > 0;
        put_variable(writer, has_id ? 1 + variable_len(packet->subscription_ids[0]) : 0);
        if (has_id) {
            put_u8(writer, PROPERTY_SUBSCRIPTION_ID);
            put_variable(writer, packet->subscription_ids[0]);
        }
    }
    put_string(writer, packet->topic);
    if (packet->type == MQTT_SUBSCRIBE)
        put_u8(writer, version == MQTT_5 ? packet->qos | (unsigned)packet->retain_handling << 4
                                         : packet->qos);
}

/* Everything behind the remaining length. */
static void
write_body(struct writer *writer, enum mqtt_version version, const struct mqtt_packet *packet)
{
    switch (packet->type) {
    case MQTT_CONNECT:
        write_connect(writer, version, packet);
        break;
    case MQTT_PUBLISH:
        write_publish(writer, version, packet);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        write_subscribe(writer, version, packet);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        put_u16(writer, packet->packet_id);
        if (version == MQTT_5 && packet->reason != 0)
            put_u8(writer, packet->reason);
        break;
    case MQTT_DISCONNECT:
        if (version == MQTT_5 && packet->reason != 0)
            put_u8(writer, packet->reason);
        break;
    default: /* PINGREQ has no body */
        break;
    }
}

static unsigned
first_octet(const struct mqtt_packet *packet)
{
    unsigned flags = 0;

    if (packet->type == MQTT_PUBLISH)
        flags = (packet->dup ? 8u : 0u) | (unsigned)packet->qos << 1 | (packet->retain ? 1u : 0u);
    else if (packet->type == MQTT_PUBREL || packet->type == MQTT_SUBSCRIBE ||
             packet->type == MQTT_UNSUBSCRIBE)
        flags = 2;
    return (unsigned)packet->type << 4 | flags;
}

size_t
mqtt_encoded_max(const struct mqtt_packet *packet)
{
    return FIXED_OCTETS_MAX + packet->topic.len + packet->payload.len + packet->client_id.len +
           packet->username.len + packet->password.len + packet->will_topic.len +
           packet->will_payload.len;
}

enum dm_result
mqtt_encode(enum mqtt_version version, const struct mqtt_packet *packet, uint8_t *buffer,
            size_t size, size_t *len)
{
    struct writer body = {0};
    struct writer writer = {.data = buffer, .size = size};

    if (!packet_valid(version, packet))
        return DM_INVALID;
    write_body(&body, version, packet);
    if (body.used > VARIABLE_MAX)
        return DM_INVALID;
    if (1 + variable_len(body.used) + body.used > size)
        return DM_FULL;
    put_u8(&writer, first_octet(packet));
    put_variable(&writer, body.used);
    write_body(&writer, version, packet);
    *len = writer.used;
    return DM_OK;
}
