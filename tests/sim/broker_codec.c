/* SPDX-License-Identifier: Apache-2.0 */
/* What a server writes and a client's requests: the half of MQTT that the gateway's codec lacks. */
#include "broker.h"

#include <string.h>

enum { SUBSCRIPTION_ID = 0x0B };

/* ---- writing ---- */

static size_t
put_variable(uint8_t *at, uint32_t value)
{
    size_t len = 0;

    do {
        at[len] = (uint8_t)(value & 0x7f);
        value >>= 7;
        if (value > 0)
            at[len] |= 0x80;
        len++;
    } while (value > 0);
    return len;
}

static size_t
put_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return 2;
}

static size_t
put_publish(enum mqtt_version version, const struct mqtt_packet *packet, uint8_t *body)
{
    uint8_t properties[64];
    size_t property_len = 0;
    size_t len = put_u16(body, packet->topic.len);

    memcpy(body + len, packet->topic.data, packet->topic.len);
    len += packet->topic.len;
    if (packet->qos > 0)
        len += put_u16(body + len, packet->packet_id);
    for (size_t i = 0; i < packet->subscription_id_count; i++) {
        properties[property_len++] = SUBSCRIPTION_ID;
        property_len += put_variable(properties + property_len, packet->subscription_ids[i]);
    }
    if (version == MQTT_5) {
        len += put_variable(body + len, (uint32_t)property_len);
        memcpy(body + len, properties, property_len);
        len += property_len;
    }
    memcpy(body + len, packet->payload.data, packet->payload.len);
    return len + packet->payload.len;
}

static size_t
put_answer(enum mqtt_version version, const struct mqtt_packet *packet, uint8_t *body)
{
    bool suback = packet->type == MQTT_SUBACK || packet->type == MQTT_UNSUBACK;
    size_t len = put_u16(body, packet->packet_id);

    if (suback && version == MQTT_5)
        body[len++] = 0; /* no properties */
    if (packet->type == MQTT_SUBACK || (version == MQTT_5 && (suback || packet->reason != 0)))
        body[len++] = packet->reason;
    return len;
}

size_t
broker_encode(enum mqtt_version version, const struct mqtt_packet *packet, uint8_t *buffer)
{
    uint8_t body[1024];
    unsigned flags = packet->type == MQTT_PUBREL ? 2u : 0u;
    size_t len;

    if (packet->type == MQTT_PUBLISH) {
        flags = (packet->dup ? 8u : 0u) | (unsigned)packet->qos << 1 | (packet->retain ? 1u : 0u);
        len = put_publish(version, packet, body);
    } else {
        len = put_answer(version, packet, body);
    }
    buffer[0] = (uint8_t)((unsigned)packet->type << 4 | flags);
    size_t head = 1 + put_variable(buffer + 1, (uint32_t)len);

    memcpy(buffer + head, body, len);
    return head + len;
}

/* ---- reading ---- */

static bool
get_variable(const uint8_t *data, size_t len, size_t *at, uint32_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 28 && *at < len; shift += 7) {
        uint8_t octet = data[(*at)++];

        *value |= (uint32_t)(octet & 0x7f) << shift;
        if ((octet & 0x80) == 0)
            return true;
    }
    return false;
}

static bool
get_u16(const uint8_t *data, size_t len, size_t *at, uint16_t *value)
{
    if (*at + 2 > len)
        return false;
    *value = (uint16_t)(data[*at] << 8 | data[*at + 1]);
    *at += 2;
    return true;
}

static bool
get_properties(const uint8_t *data, size_t len, size_t *at, struct mqtt_packet *packet)
{
    uint32_t properties;

    if (!get_variable(data, len, at, &properties) || *at + properties > len)
        return false;
    if (properties == 0)
        return true;
    if (data[(*at)++] != SUBSCRIPTION_ID)
        return false;
    packet->subscription_id_count = 1;
    return get_variable(data, len, at, &packet->subscription_ids[0]);
}

static bool
get_request(enum mqtt_version version, const uint8_t *data, size_t len, struct mqtt_packet *packet)
{
    uint32_t remaining;
    uint16_t filter_len;
    size_t at = 1;

    *packet = (struct mqtt_packet){.type = (enum mqtt_type)(data[0] >> 4)};
    if ((data[0] & 0x0f) != 2 || !get_variable(data, len, &at, &remaining) ||
        at + remaining != len || !get_u16(data, len, &at, &packet->packet_id) ||
        (version == MQTT_5 && !get_properties(data, len, &at, packet)) ||
        !get_u16(data, len, &at, &filter_len) || at + filter_len > len)
        return false;
    packet->topic = dm_span(data + at, filter_len);
    at += filter_len;
    if (packet->type == MQTT_UNSUBSCRIBE)
        return at == len;
    if (at + 1 != len)
        return false;
    packet->qos = data[at] & 3;
    packet->retain_handling = data[at] >> 4 & 3;
    return true;
}

bool
broker_decode(enum mqtt_version version, const uint8_t *data, size_t len,
              struct mqtt_packet *packet)
{
    enum mqtt_type type = (enum mqtt_type)(data[0] >> 4);
    size_t used;

    if (type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE)
        return get_request(version, data, len, packet);
    /* Messages and their acknowledgements are the same in both directions. */
    return type >= MQTT_PUBLISH && type <= MQTT_PUBCOMP &&
           mqtt_decode(version, data, len, len, packet, &used) == DM_OK && used == len;
}
