/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT-SN 1.2 octets to struct and back, driven by one table of message layouts. */
#include <dormouse/mqttsn.h>

#define LONG_FORM 0x01u /* as first octet: a 16-bit Length follows */
#define SHORT_HEADER 2u
#define LONG_HEADER 4u
#define SHORT_MAX 255u
#define CODE_ENCAPSULATED 0xFEu
#define ENCAPSULATION_HEADER 3u /* Length, 0xFE, Ctrl */
#define ENCAPSULATION_NODE_MAX (SHORT_MAX - ENCAPSULATION_HEADER)
#define RADIUS_MAX 3u /* two bits of Ctrl */

#define FLAG_DUP 0x80u
#define FLAG_QOS 0x60u
#define FLAG_QOS_SHIFT 5
#define FLAG_RETAIN 0x10u
#define FLAG_WILL 0x08u
#define FLAG_CLEAN_SESSION 0x04u
#define FLAG_TOPIC_TYPE 0x03u

enum field {
    END, /* the message has no more fields */
    GATEWAY_ID,
    RADIUS,
    PROTOCOL_ID,
    DURATION,
    TOPIC_ID,
    MSG_ID,
    CLIENT_ID, /* takes the rest of the message, as do NAME and DATA */
    NAME,
    DATA,
    RETURN_CODE,
    FLAGS,
    SLEEP,  /* nothing, or a duration */
    FILTER, /* the rest: name, id or short name, as the flags tell */
    WILL,   /* nothing, or flags and topic name */
};

/* Where a plain field lives in struct mqttsn_packet, and how it stands on the wire. */
enum shape { SPECIAL, OCTET, NUMBER, REST };
struct place {
    enum shape shape;
    size_t offset;
};
static const struct place places[] = {
    [GATEWAY_ID] = {OCTET, offsetof(struct mqttsn_packet, gateway_id)},
    [RADIUS] = {OCTET, offsetof(struct mqttsn_packet, radius)},
    [PROTOCOL_ID] = {OCTET, offsetof(struct mqttsn_packet, protocol_id)},
    [DURATION] = {NUMBER, offsetof(struct mqttsn_packet, duration_s)},
    [TOPIC_ID] = {NUMBER, offsetof(struct mqttsn_packet, topic_id)},
    [MSG_ID] = {NUMBER, offsetof(struct mqttsn_packet, msg_id)},
    [CLIENT_ID] = {REST, offsetof(struct mqttsn_packet, client_id)},
    [NAME] = {REST, offsetof(struct mqttsn_packet, topic_name)},
    [DATA] = {REST, offsetof(struct mqttsn_packet, data)},
    [WILL] = {SPECIAL, 0},
};

#define FIELDS_MAX 4
#define ANY ((uint16_t)MQTTSN_PACKET_MAX)
#define CONNECT_FLAGS (FLAG_WILL | FLAG_CLEAN_SESSION)
#define WILL_FLAGS (FLAG_QOS | FLAG_RETAIN)
#define PUBLISH_FLAGS (FLAG_DUP | FLAG_QOS | FLAG_RETAIN | FLAG_TOPIC_TYPE)
#define SUBSCRIBE_FLAGS (FLAG_DUP | FLAG_QOS | FLAG_TOPIC_TYPE)

struct layout {
    enum mqttsn_type type;
    uint16_t min; /* octets of the whole message in short form; 0: reserved code */
    uint16_t max;
    uint8_t flags; /* bits that mean something; the others are ignored and sent as 0 (R5) */
    uint8_t fields[FIELDS_MAX];
};

/* By wire code. The minimum lets pass what the session has to answer: an empty client id (M9), an
 * empty name (M18, M40). */
static const struct layout layouts[] = {
    [0x00] = {MQTTSN_ADVERTISE, 5, 5, 0, {GATEWAY_ID, DURATION}},
    [0x01] = {MQTTSN_SEARCHGW, 3, 3, 0, {RADIUS}},
    [0x02] = {MQTTSN_GWINFO, 3, ANY, 0, {GATEWAY_ID, DATA}},
    [0x04] = {MQTTSN_CONNECT, 6, ANY, CONNECT_FLAGS, {FLAGS, PROTOCOL_ID, DURATION, CLIENT_ID}},
    [0x05] = {MQTTSN_CONNACK, 3, 3, 0, {RETURN_CODE}},
    [0x06] = {MQTTSN_WILLTOPICREQ, 2, 2, 0, {END}},
    [0x07] = {MQTTSN_WILLTOPIC, 2, ANY, WILL_FLAGS, {WILL}},
    [0x08] = {MQTTSN_WILLMSGREQ, 2, 2, 0, {END}},
    [0x09] = {MQTTSN_WILLMSG, 2, ANY, 0, {DATA}},
    [0x0A] = {MQTTSN_REGISTER, 6, ANY, 0, {TOPIC_ID, MSG_ID, NAME}},
    [0x0B] = {MQTTSN_REGACK, 7, 7, 0, {TOPIC_ID, MSG_ID, RETURN_CODE}},
    [0x0C] = {MQTTSN_PUBLISH, 7, ANY, PUBLISH_FLAGS, {FLAGS, TOPIC_ID, MSG_ID, DATA}},
    [0x0D] = {MQTTSN_PUBACK, 7, 7, 0, {TOPIC_ID, MSG_ID, RETURN_CODE}},
    [0x0E] = {MQTTSN_PUBCOMP, 4, 4, 0, {MSG_ID}},
    [0x0F] = {MQTTSN_PUBREC, 4, 4, 0, {MSG_ID}},
    [0x10] = {MQTTSN_PUBREL, 4, 4, 0, {MSG_ID}},
    [0x12] = {MQTTSN_SUBSCRIBE, 5, ANY, SUBSCRIBE_FLAGS, {FLAGS, MSG_ID, FILTER}},
    [0x13] = {MQTTSN_SUBACK, 8, 8, FLAG_QOS, {FLAGS, TOPIC_ID, MSG_ID, RETURN_CODE}},
    [0x14] = {MQTTSN_UNSUBSCRIBE, 5, ANY, FLAG_TOPIC_TYPE, {FLAGS, MSG_ID, FILTER}},
    [0x15] = {MQTTSN_UNSUBACK, 4, 4, 0, {MSG_ID}},
    [0x16] = {MQTTSN_PINGREQ, 2, ANY, 0, {CLIENT_ID}},
    [0x17] = {MQTTSN_PINGRESP, 2, 2, 0, {END}},
    [0x18] = {MQTTSN_DISCONNECT, 2, 4, 0, {SLEEP}},
    [0x1A] = {MQTTSN_WILLTOPICUPD, 2, ANY, WILL_FLAGS, {WILL}},
    [0x1B] = {MQTTSN_WILLTOPICRESP, 3, 3, 0, {RETURN_CODE}},
    [0x1C] = {MQTTSN_WILLMSGUPD, 2, ANY, 0, {DATA}},
    [0x1D] = {MQTTSN_WILLMSGRESP, 3, 3, 0, {RETURN_CODE}},
};
#define LAYOUT_COUNT (sizeof layouts / sizeof layouts[0])

struct header {
    size_t total; /* Length: the whole message */
    size_t len;   /* octets of the header itself */
    uint8_t code;
};

static const struct layout *
layout_of_code(uint8_t code)
{
    return code < LAYOUT_COUNT && layouts[code].min != 0 ? &layouts[code] : NULL;
}

/* Codes ascend with the types and skip a few, so the code of a type is never below its number. */
static const struct layout *
layout_of_type(enum mqttsn_type type)
{
    for (size_t code = (size_t)type; code < LAYOUT_COUNT; code++)
        if (layouts[code].min != 0 && layouts[code].type == type)
            return &layouts[code];
    return NULL;
}

/* M6 to M8, M28, M55. DISCONNECT is the one type with a hole in its range (M7). */
static bool
size_fits(const struct layout *layout, const struct header *header)
{
    size_t size = header->total - header->len + SHORT_HEADER;

    return size >= layout->min && size <= layout->max &&
           !(layout->type == MQTTSN_DISCONNECT && size == 3);
}

/* M1, M2, M4; says nothing about whether `total` octets are there. */
static bool
parse_header(const uint8_t *octets, size_t len, struct header *header)
{
    if (len < SHORT_HEADER || octets[0] == 0)
        return false;
    if (octets[0] != LONG_FORM) {
        *header = (struct header){octets[0], SHORT_HEADER, octets[1]};
        return true;
    }
    if (len < LONG_HEADER)
        return false;
    *header = (struct header){(size_t)octets[1] << 8 | octets[2], LONG_HEADER, octets[3]};
    return header->total >= LONG_HEADER;
}

/* Reads check the end; a read beyond it gives 0 and is remembered. */
struct reader {
    const uint8_t *at;
    size_t left;
    bool overrun;
};

static uint8_t
read_octet(struct reader *reader)
{
    if (reader->left == 0) {
        reader->overrun = true;
        return 0;
    }
    reader->left--;
    return *reader->at++;
}

static uint16_t
read_number(struct reader *reader)
{
    unsigned high = read_octet(reader);

    return (uint16_t)(high << 8 | read_octet(reader));
}

static struct dm_span
read_rest(struct reader *reader)
{
    struct dm_span rest = dm_span(reader->at, reader->left);

    reader->at += reader->left;
    reader->left = 0;
    return rest;
}

static void
read_flags(struct reader *reader, uint8_t used, struct mqttsn_packet *packet)
{
    unsigned flags = read_octet(reader) & used;
    unsigned qos = (flags & FLAG_QOS) >> FLAG_QOS_SHIFT;

    packet->dup = (flags & FLAG_DUP) != 0;
    packet->qos = qos == 3 ? MQTTSN_QOS_MINUS_ONE : (int8_t)qos;
    packet->retain = (flags & FLAG_RETAIN) != 0;
    packet->will = (flags & FLAG_WILL) != 0;
    packet->clean_session = (flags & FLAG_CLEAN_SESSION) != 0;
    packet->topic_type = (enum mqttsn_topic_type)(flags & FLAG_TOPIC_TYPE);
}

static void
read_will(struct reader *reader, uint8_t used, struct mqttsn_packet *packet)
{
    if (reader->left < 2) {
        (void)read_rest(reader); /* flags without a topic are the empty form, too (M17) */
        return;
    }
    packet->has_flags = true;
    read_flags(reader, used, packet);
    packet->topic_name = read_rest(reader);
}

static void
read_filter(struct reader *reader, struct mqttsn_packet *packet)
{
    bool is_number =
        packet->topic_type == MQTTSN_TOPIC_PREDEFINED || packet->topic_type == MQTTSN_TOPIC_SHORT;

    if (is_number && reader->left == 2)
        packet->topic_id = read_number(reader);
    else if (is_number)
        packet->bad_topic = true; /* M39, M43 */
    else
        packet->topic_name = dm_span(reader->at, reader->left);
    (void)read_rest(reader);
}

static void
read_special(struct reader *reader, enum field field, uint8_t used, struct mqttsn_packet *packet)
{
    if (field == RETURN_CODE) {
        packet->return_code = (enum mqttsn_return_code)read_octet(reader);
    } else if (field == FLAGS) {
        read_flags(reader, used, packet);
    } else if (field == FILTER) {
        read_filter(reader, packet);
    } else if (field == WILL) {
        read_will(reader, used, packet);
    } else if (field == SLEEP && reader->left > 0) {
        packet->has_duration = true;
        packet->duration_s = read_number(reader);
    }
}

static void
read_field(struct reader *reader, enum field field, uint8_t used, struct mqttsn_packet *packet)
{
    void *place = (char *)packet + places[field].offset;

    switch (places[field].shape) {
    case OCTET:
        *(uint8_t *)place = read_octet(reader);
        break;
    case NUMBER:
        *(uint16_t *)place = read_number(reader);
        break;
    case REST:
        *(struct dm_span *)place = read_rest(reader);
        break;
    case SPECIAL:
        read_special(reader, field, used, packet);
        break;
    }
}

enum dm_result
mqttsn_decode(const uint8_t *datagram, size_t len, struct mqttsn_packet *packet)
{
    struct header header;

    if (mqttsn_is_encapsulated(datagram, len))
        return DM_UNSUPPORTED;
    if (!parse_header(datagram, len, &header))
        return DM_MALFORMED;
    if (header.total > len)
        return DM_TRUNCATED;
    if (header.total < len)
        return DM_MALFORMED;
    const struct layout *layout = layout_of_code(header.code);
    if (layout == NULL)
        return DM_UNSUPPORTED;
    if (!size_fits(layout, &header))
        return DM_MALFORMED;

    struct mqttsn_packet decoded = {.type = layout->type};
    struct reader reader = {.at = datagram + header.len, .left = len - header.len};
    for (size_t i = 0; i < FIELDS_MAX && layout->fields[i] != END; i++)
        read_field(&reader, (enum field)layout->fields[i], layout->flags, &decoded);
    if (reader.overrun || reader.left != 0)
        return DM_MALFORMED;
    *packet = decoded;
    return DM_OK;
}

/* Writes within `size` and counts on beyond it; a writer of size 0 measures. */
struct writer {
    uint8_t *at;
    size_t size;
    size_t used;
};

static void
write_octet(struct writer *writer, unsigned octet)
{
    if (writer->used < writer->size)
        writer->at[writer->used] = (uint8_t)octet;
    writer->used++;
}

static void
write_number(struct writer *writer, unsigned number)
{
    write_octet(writer, number >> 8);
    write_octet(writer, number & 0xFFu);
}

static void
write_span(struct writer *writer, struct dm_span span)
{
    if (span.len > 0 && writer->used < writer->size && span.len <= writer->size - writer->used)
        memcpy(writer->at + writer->used, span.data, span.len);
    writer->used += span.len;
}

static void
write_flags(struct writer *writer, uint8_t used, const struct mqttsn_packet *packet)
{
    unsigned flags = ((unsigned)packet->qos << FLAG_QOS_SHIFT & FLAG_QOS) |
                     ((unsigned)packet->topic_type & FLAG_TOPIC_TYPE);

    flags |= packet->dup ? FLAG_DUP : 0;
    flags |= packet->retain ? FLAG_RETAIN : 0;
    flags |= packet->will ? FLAG_WILL : 0;
    flags |= packet->clean_session ? FLAG_CLEAN_SESSION : 0;
    write_octet(writer, flags & used);
}

static void
write_filter(struct writer *writer, const struct mqttsn_packet *packet)
{
    if (packet->topic_type == MQTTSN_TOPIC_PREDEFINED || packet->topic_type == MQTTSN_TOPIC_SHORT)
        write_number(writer, packet->topic_id);
    else
        write_span(writer, packet->topic_name);
}

static void
write_special(struct writer *writer, enum field field, uint8_t used,
              const struct mqttsn_packet *packet)
{
    if (field == RETURN_CODE) {
        write_octet(writer, (unsigned)packet->return_code);
    } else if (field == FLAGS) {
        write_flags(writer, used, packet);
    } else if (field == FILTER) {
        write_filter(writer, packet);
    } else if (field == WILL) {
        if (packet->has_flags || packet->topic_name.len > 0)
            write_flags(writer, used, packet);
        write_span(writer, packet->topic_name);
    } else if (field == SLEEP && packet->has_duration) {
        write_number(writer, packet->duration_s);
    }
}

static void
write_field(struct writer *writer, enum field field, uint8_t used,
            const struct mqttsn_packet *packet)
{
    const void *place = (const char *)packet + places[field].offset;

    switch (places[field].shape) {
    case OCTET:
        write_octet(writer, *(const uint8_t *)place);
        break;
    case NUMBER:
        write_number(writer, *(const uint16_t *)place);
        break;
    case REST:
        write_span(writer, *(const struct dm_span *)place);
        break;
    case SPECIAL:
        write_special(writer, field, used, packet);
        break;
    }
}

static void
write_body(struct writer *writer, const struct layout *layout, const struct mqttsn_packet *packet)
{
    for (size_t i = 0; i < FIELDS_MAX && layout->fields[i] != END; i++)
        write_field(writer, (enum field)layout->fields[i], layout->flags, packet);
}

enum dm_result
mqttsn_encode(const struct mqttsn_packet *packet, uint8_t *buffer, size_t size, size_t *len)
{
    const struct layout *layout = layout_of_type(packet->type);
    struct writer measure = {0};

    if (layout == NULL)
        return DM_INVALID;
    write_body(&measure, layout, packet);
    if (measure.used > MQTTSN_PACKET_MAX - LONG_HEADER)
        return DM_FULL;
    /* R2: the short form whenever it holds the message. */
    bool is_short = measure.used + SHORT_HEADER <= SHORT_MAX;
    size_t total = measure.used + (is_short ? SHORT_HEADER : LONG_HEADER);
    if (total > size)
        return DM_FULL;

    struct writer writer = {.at = buffer, .size = size};
    if (is_short) {
        write_octet(&writer, (unsigned)total);
    } else {
        write_octet(&writer, LONG_FORM);
        write_number(&writer, (unsigned)total);
    }
    write_octet(&writer, (unsigned)(layout - layouts));
    write_body(&writer, layout, packet);
    *len = total;
    return DM_OK;
}

bool
mqttsn_is_encapsulated(const uint8_t *datagram, size_t len)
{
    return len >= SHORT_HEADER && datagram[0] != LONG_FORM && datagram[1] == CODE_ENCAPSULATED;
}

enum dm_result
mqttsn_unwrap(const uint8_t *datagram, size_t len, struct dm_span *node_id, struct dm_span *inner)
{
    struct header header;

    if (!mqttsn_is_encapsulated(datagram, len))
        return DM_MALFORMED;
    size_t outer = datagram[0]; /* covers the header and the node id only */
    if (outer < ENCAPSULATION_HEADER || outer >= len)
        return DM_MALFORMED;
    if (!parse_header(datagram + outer, len - outer, &header) || header.total != len - outer)
        return DM_MALFORMED;
    if (header.code == CODE_ENCAPSULATED)
        return DM_MALFORMED;
    if (outer - ENCAPSULATION_HEADER > MQTTSN_NODE_ID_MAX)
        return DM_UNSUPPORTED;
    *node_id = dm_span(datagram + ENCAPSULATION_HEADER, outer - ENCAPSULATION_HEADER);
    *inner = dm_span(datagram + outer, len - outer);
    return DM_OK;
}

enum dm_result
mqttsn_wrap(struct dm_span node_id, uint8_t radius, struct dm_span inner, uint8_t *buffer,
            size_t size, size_t *len)
{
    if (node_id.len > ENCAPSULATION_NODE_MAX || radius > RADIUS_MAX)
        return DM_INVALID;
    size_t outer = ENCAPSULATION_HEADER + node_id.len;
    if (size < outer || size - outer < inner.len)
        return DM_FULL;

    struct writer writer = {.at = buffer, .size = size};
    write_octet(&writer, (unsigned)outer);
    write_octet(&writer, CODE_ENCAPSULATED);
    write_octet(&writer, radius);
    write_span(&writer, node_id);
    write_span(&writer, inner);
    *len = writer.used;
    return DM_OK;
}

static bool
body_plausible(enum mqttsn_type type, const uint8_t *body, size_t len)
{
    if (type == MQTTSN_CONNECT && len >= 2)
        return body[1] == MQTTSN_PROTOCOL_ID;
    if (type == MQTTSN_PUBLISH && len >= 1)
        return (body[0] & FLAG_TOPIC_TYPE) != MQTTSN_TOPIC_RESERVED;
    return true;
}

/* The verdict on the mtu needs the header only, so that it does not depend on how many octets of
 * the body have come. */
static enum dm_result
measure_bare(const uint8_t *octets, size_t len, size_t mtu, size_t *total)
{
    struct header header;

    if (len < SHORT_HEADER)
        return len == 1 && octets[0] == 0 ? DM_MALFORMED : DM_TRUNCATED;
    if (octets[0] == LONG_FORM && len < LONG_HEADER)
        return len == 3 && octets[1] == 0 && octets[2] < LONG_HEADER ? DM_MALFORMED : DM_TRUNCATED;
    if (!parse_header(octets, len, &header))
        return DM_MALFORMED;
    const struct layout *layout = layout_of_code(header.code);
    if (layout == NULL || !size_fits(layout, &header))
        return DM_MALFORMED;
    *total = header.total;
    if (header.total > mtu)
        return DM_FULL;
    size_t known = (len < header.total ? len : header.total) - header.len;
    if (!body_plausible(layout->type, octets + header.len, known))
        return DM_MALFORMED;
    return len < header.total ? DM_TRUNCATED : DM_OK;
}

enum dm_result
mqttsn_measure(const uint8_t *octets, size_t len, size_t mtu, size_t *total)
{
    size_t size = 0;
    size_t outer = 0;

    if (mqttsn_is_encapsulated(octets, len)) {
        outer = octets[0];
        if (outer < ENCAPSULATION_HEADER || mtu < SHORT_HEADER || outer > mtu - SHORT_HEADER)
            return DM_MALFORMED;
        if (len <= outer)
            return DM_TRUNCATED;
    }
    /* A second 0xFE is no message that measure_bare knows (R114). */
    enum dm_result result = measure_bare(octets + outer, len - outer, mtu - outer, &size);
    if (result == DM_OK || result == DM_FULL)
        *total = outer + size;
    return result;
}
