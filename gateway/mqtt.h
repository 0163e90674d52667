/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT 3.1.1 and 5.0 client side on the wire: octets to struct and back. Pure, no allocation. */
#ifndef DORMOUSE_MQTT_H
#define DORMOUSE_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/result.h>
#include <dormouse/span.h>

enum mqtt_version { MQTT_3_1_1 = 4, MQTT_5 = 5 }; /* the protocol level of CONNECT */

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_PUBREC,
    MQTT_PUBREL,
    MQTT_PUBCOMP,
    MQTT_SUBSCRIBE,
    MQTT_SUBACK,
    MQTT_UNSUBSCRIBE,
    MQTT_UNSUBACK,
    MQTT_PINGREQ,
    MQTT_PINGRESP,
    MQTT_DISCONNECT,
    MQTT_AUTH,
};

#define MQTT_SUBSCRIPTION_IDS_MAX 16 /* of one PUBLISH; more are not looked at */

/* Fields that a type or version does not have are 0 or empty; properties not listed are skipped
 * when read. Spans borrow the input of mqtt_decode or the caller's memory. */
struct mqtt_packet {
    enum mqtt_type type;
    bool dup, retain;
    uint8_t qos;            /* PUBLISH; SUBSCRIBE: requested maximum */
    uint16_t packet_id;
    uint8_t reason;         /* CONNACK, PUBACK..PUBCOMP, SUBACK, UNSUBACK, DISCONNECT; 3.1.1 codes
                               as they are on the wire (SUBACK 0x80, CONNACK 1..5) */
    struct dm_span topic;   /* PUBLISH topic; the one filter of SUBSCRIBE or UNSUBSCRIBE */
    struct dm_span payload; /* PUBLISH */
    struct dm_span reason_string; /* MQTT 5, read: of any acknowledgement or DISCONNECT */

    /* PUBLISH, read: subscription identifiers; SUBSCRIBE, written: the first one if count is 1 */
    uint32_t subscription_ids[MQTT_SUBSCRIPTION_IDS_MAX];
    size_t subscription_id_count;
    uint16_t topic_alias;    /* PUBLISH, written, MQTT 5: stands for the topic from now on, or,
                                if `topic` is empty, for the one it was sent with; 0: none */
    uint8_t retain_handling; /* SUBSCRIBE: 0 send retained, 2 do not */
    bool has_message_expiry;
    uint32_t message_expiry_s; /* PUBLISH */

    /* CONNECT (written) */
    bool clean_start;
    uint16_t keepalive_s;   /* CONNECT; CONNACK: server keep-alive if has_server_keepalive */
    struct dm_span client_id; /* CONNACK: the assigned one, if any */
    struct dm_span username, password;
    bool has_username, has_password;
    bool has_will;
    struct dm_span will_topic, will_payload;
    uint8_t will_qos;
    bool will_retain;

    /* CONNECT (written) and CONNACK (read) */
    uint32_t session_expiry_s;    /* UINT32_MAX: never. CONNACK: UINT32_MAX also if not given */
    uint16_t receive_maximum;     /* 0: not given, i.e. 65535 */
    uint32_t maximum_packet_size; /* 0: not given */

    /* CONNACK (read) */
    uint16_t topic_alias_maximum;
    bool session_present;
    bool has_server_keepalive;
    uint8_t maximum_qos;            /* 2 if not given */
    bool retain_available;          /* true if not given */
    bool subscription_ids_available;/* true if not given */
    bool wildcard_available;        /* true if not given */
};

/* "PUBLISH" etc.; "?" for a number outside the enum. */
const char *mqtt_type_name(enum mqtt_type type);

/* The name of an MQTT 5 reason code, "unknown reason" if it has none. 0 is "success". */
const char *mqtt_reason_name(uint8_t reason);

/*
 * Reads one packet from the start of a stream. Writes *packet only on DM_OK; *used octets belong to
 * it. DM_TRUNCATED: need more octets; *used then is the total size if it is known already, else 0.
 * DM_FULL: the packet is longer than `maximum` octets. DM_UNSUPPORTED: it has a topic alias, which we
 * never grant. DM_MALFORMED: protocol error, close the
 * connection. Only packets that a server sends are accepted; each is checked to the letter
 * (reserved flags, UTF-8, packet id not 0, property types and repetitions).
 */
enum dm_result mqtt_decode(enum mqtt_version version, const uint8_t *data, size_t len,
                           size_t maximum, struct mqtt_packet *packet, size_t *used);

/* Octets that mqtt_encode writes at most, payload included. */
size_t mqtt_encoded_max(const struct mqtt_packet *packet);

/*
 * Writes one packet a client sends (AUTH is not supported). DM_FULL: `size` too small. DM_INVALID:
 * not a client's packet or a field out of range, such as a topic that is not UTF-8: a broker closes
 * the connection for that. The syntax of filters is not checked. With 3.1.1 the MQTT 5 fields are
 * left out.
 */
enum dm_result mqtt_encode(enum mqtt_version version, const struct mqtt_packet *packet,
                           uint8_t *buffer, size_t size, size_t *len);

#endif
