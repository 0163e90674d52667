/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MQTT-SN 1.2 on the wire: octets to struct and back. Pure, no allocation, no I/O.
 * Layouts and rule numbers (R.., M..) are those of the project's protocol reference.
 */
#ifndef DORMOUSE_MQTTSN_H
#define DORMOUSE_MQTTSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/result.h>
#include <dormouse/span.h>

/* Message names as in the specification; the numbers are ours, the codec maps them to the wire. */
enum mqttsn_type {
    MQTTSN_ADVERTISE,
    MQTTSN_SEARCHGW,
    MQTTSN_GWINFO,
    MQTTSN_CONNECT,
    MQTTSN_CONNACK,
    MQTTSN_WILLTOPICREQ,
    MQTTSN_WILLTOPIC,
    MQTTSN_WILLMSGREQ,
    MQTTSN_WILLMSG,
    MQTTSN_REGISTER,
    MQTTSN_REGACK,
    MQTTSN_PUBLISH,
    MQTTSN_PUBACK,
    MQTTSN_PUBCOMP,
    MQTTSN_PUBREC,
    MQTTSN_PUBREL,
    MQTTSN_SUBSCRIBE,
    MQTTSN_SUBACK,
    MQTTSN_UNSUBSCRIBE,
    MQTTSN_UNSUBACK,
    MQTTSN_PINGREQ,
    MQTTSN_PINGRESP,
    MQTTSN_DISCONNECT,
    MQTTSN_WILLTOPICUPD,
    MQTTSN_WILLTOPICRESP,
    MQTTSN_WILLMSGUPD,
    MQTTSN_WILLMSGRESP,
    MQTTSN_TYPE_COUNT,
};

enum mqttsn_topic_type {
    MQTTSN_TOPIC_NORMAL,     /* PUBLISH: registered id. SUBSCRIBE, UNSUBSCRIBE: name or filter */
    MQTTSN_TOPIC_PREDEFINED, /* id agreed by configuration */
    MQTTSN_TOPIC_SHORT, /* the two octets of topic_id are the name, first one in the high octet */
    MQTTSN_TOPIC_RESERVED, /* 0b11 */
};

enum mqttsn_return_code {
    MQTTSN_ACCEPTED = 0,
    MQTTSN_CONGESTION = 1,
    MQTTSN_INVALID_TOPIC_ID = 2,
    MQTTSN_NOT_SUPPORTED = 3,
};

#define MQTTSN_PROTOCOL_ID 0x01
#define MQTTSN_QOS_MINUS_ONE (-1)
#define MQTTSN_PACKET_MAX 65535u  /* octets; the 16-bit length */
#define MQTTSN_CLIENT_ID_MAX 252u /* octets; the text says 23, real clients send more (R20) */
#define MQTTSN_NODE_ID_MAX                                                                         \
    32u /* octets we accept of a forwarder's node id (the wire allows 252)                         \
         */

/*
 * One message. Fields that a type does not have are 0 or empty. After decoding the spans borrow the
 * datagram; for encoding they borrow the caller's memory.
 */
struct mqttsn_packet {
    enum mqttsn_type type;
    bool dup;
    bool retain;
    bool will;
    bool clean_session;
    bool has_duration; /* DISCONNECT: a Duration field is present (it may be 0, R83) */
    bool has_flags;    /* WILLTOPIC, WILLTOPICUPD: flags and a topic are present. False: the empty
                        * form, also what decoding makes of flags without a topic (M17) */
    bool bad_topic; /* SUBSCRIBE, UNSUBSCRIBE: id or short name is not 2 octets long (M39, M43) */
    int8_t qos;     /* -1, 0, 1, 2 (-1 is 0b11 on the wire) */
    enum mqttsn_topic_type topic_type;
    enum mqttsn_return_code return_code; /* 0..255; values above 3 are reserved */
    uint8_t gateway_id;
    uint8_t radius;
    uint8_t protocol_id;
    uint16_t topic_id; /* also pre-defined id or short name, also of SUBSCRIBE and UNSUBSCRIBE */
    uint16_t msg_id;
    uint16_t duration_s;      /* ADVERTISE, CONNECT (keep alive), DISCONNECT: seconds */
    struct dm_span client_id; /* CONNECT, PINGREQ */
    struct dm_span
        topic_name;      /* REGISTER, SUBSCRIBE/UNSUBSCRIBE by name, WILLTOPIC, WILLTOPICUPD */
    struct dm_span data; /* PUBLISH, WILLMSG, WILLMSGUPD: payload. GWINFO: gateway address */
};

/* "PUBLISH" etc.; "?" for a number outside the enum. */
const char *mqttsn_type_name(enum mqttsn_type type);

/*
 * Decodes the datagram of `len` octets, which must hold exactly one message that is not an
 * encapsulation (R3). Writes *packet only on DM_OK.
 * DM_TRUNCATED: Length is more than len. DM_MALFORMED: M1, M2, trailing octets (M3), M4, M6 to M8,
 * M28, M55. DM_UNSUPPORTED: reserved type (M5), or 0xFE: use mqttsn_unwrap.
 * What can be parsed but not done is DM_OK and for the session to answer (M9, M11, M18, M39, M40).
 */
enum dm_result mqttsn_decode(const uint8_t *datagram, size_t len, struct mqttsn_packet *packet);

/*
 * Encodes into buffer[0..size), always in the shortest form (R2); *len gets the octets written.
 * DM_FULL: does not fit in `size` or in 65535 octets. DM_INVALID: no such type.
 */
enum dm_result mqttsn_encode(const struct mqttsn_packet *packet, uint8_t *buffer, size_t size,
                             size_t *len);

/* True for 0xFE (forwarder encapsulation, R111) as the type of this datagram in short form. */
bool mqttsn_is_encapsulated(const uint8_t *datagram, size_t len);

/*
 * Splits an encapsulated message into node id and inner message (both borrow `datagram`).
 * DM_MALFORMED: bad outer header, no inner message (R117), inner Length that does not fit the rest
 * (R111), inner message that is itself encapsulated (R114). DM_UNSUPPORTED: node id > 32 octets.
 */
enum dm_result mqttsn_unwrap(const uint8_t *datagram, size_t len, struct dm_span *node_id,
                             struct dm_span *inner);

/* Writes header and inner message; `radius` 0..3. DM_FULL or DM_INVALID (node id > 252). */
enum dm_result mqttsn_wrap(struct dm_span node_id, uint8_t radius, struct dm_span inner,
                           uint8_t *buffer, size_t size, size_t *len);

/*
 * For stream decoders: looks at the octets of a possible message start, encapsulation included.
 * Plausible is (serial reference, section 2 rule 2): length, known type, the type's size range,
 * CONNECT ProtocolId, PUBLISH topic id type.
 * DM_OK: plausible and complete, *total octets long (an encapsulation includes its inner message).
 * DM_TRUNCATED: plausible so far, more octets needed; never asks for more than mtu + 4.
 * DM_FULL: plausible header, but the message has *total octets, more than `mtu`. Not the same as
 * malformed: whoever slides into it finds messages that nobody sent.
 * DM_MALFORMED: no message starts like this.
 */
enum dm_result mqttsn_measure(const uint8_t *octets, size_t len, size_t mtu, size_t *total);

/*
 * One line for a person: name and every field the type has, untrusted text escaped. Always
 * terminates; returns `buffer`. 256 octets hold all but long names.
 */
const char *mqttsn_describe(const struct mqttsn_packet *packet, char *buffer, size_t size);

#endif
