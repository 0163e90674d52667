/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT-SN messages as one line of text for logs and traces. */
#include <dormouse/mqttsn.h>

#include <stdarg.h>
#include <stdio.h>

#include <dormouse/log.h>

#define NAME_TEXT_MAX 512 /* octets of an escaped name, terminator included */
#define DATA_TEXT_MAX 64  /* of escaped payload: enough to recognise it */

enum show {
    SHOW_GATEWAY_ID = 1 << 0,
    SHOW_RADIUS = 1 << 1,
    SHOW_CONNECT = 1 << 2, /* will, clean session, protocol id */
    SHOW_DURATION = 1 << 3,
    SHOW_CLIENT_ID = 1 << 4,
    SHOW_WILL = 1 << 5, /* QoS, retain and name, or that they are absent */
    SHOW_DUP = 1 << 6,
    SHOW_QOS = 1 << 7,
    SHOW_RETAIN = 1 << 8,
    SHOW_FILTER = 1 << 9, /* topic of SUBSCRIBE, UNSUBSCRIBE */
    SHOW_TOPIC = 1 << 10, /* topic of PUBLISH */
    SHOW_TOPIC_ID = 1 << 11,
    SHOW_MSG_ID = 1 << 12,
    SHOW_NAME = 1 << 13,
    SHOW_RETURN_CODE = 1 << 14,
    SHOW_DATA = 1 << 15,
};

static const struct description {
    const char *name;
    unsigned shows;
} descriptions[MQTTSN_TYPE_COUNT] = {
    [MQTTSN_ADVERTISE] = {"ADVERTISE", SHOW_GATEWAY_ID | SHOW_DURATION},
    [MQTTSN_SEARCHGW] = {"SEARCHGW", SHOW_RADIUS},
    [MQTTSN_GWINFO] = {"GWINFO", SHOW_GATEWAY_ID | SHOW_DATA},
    [MQTTSN_CONNECT] = {"CONNECT", SHOW_CONNECT | SHOW_DURATION | SHOW_CLIENT_ID},
    [MQTTSN_CONNACK] = {"CONNACK", SHOW_RETURN_CODE},
    [MQTTSN_WILLTOPICREQ] = {"WILLTOPICREQ", 0},
    [MQTTSN_WILLTOPIC] = {"WILLTOPIC", SHOW_WILL},
    [MQTTSN_WILLMSGREQ] = {"WILLMSGREQ", 0},
    [MQTTSN_WILLMSG] = {"WILLMSG", SHOW_DATA},
    [MQTTSN_REGISTER] = {"REGISTER", SHOW_TOPIC_ID | SHOW_MSG_ID | SHOW_NAME},
    [MQTTSN_REGACK] = {"REGACK", SHOW_TOPIC_ID | SHOW_MSG_ID | SHOW_RETURN_CODE},
    [MQTTSN_PUBLISH] = {"PUBLISH",
                        SHOW_DUP | SHOW_QOS | SHOW_RETAIN | SHOW_TOPIC | SHOW_MSG_ID | SHOW_DATA},
    [MQTTSN_PUBACK] = {"PUBACK", SHOW_TOPIC_ID | SHOW_MSG_ID | SHOW_RETURN_CODE},
    [MQTTSN_PUBCOMP] = {"PUBCOMP", SHOW_MSG_ID},
    [MQTTSN_PUBREC] = {"PUBREC", SHOW_MSG_ID},
    [MQTTSN_PUBREL] = {"PUBREL", SHOW_MSG_ID},
    [MQTTSN_SUBSCRIBE] = {"SUBSCRIBE", SHOW_DUP | SHOW_QOS | SHOW_FILTER | SHOW_MSG_ID},
    [MQTTSN_SUBACK] = {"SUBACK", SHOW_QOS | SHOW_TOPIC_ID | SHOW_MSG_ID | SHOW_RETURN_CODE},
    [MQTTSN_UNSUBSCRIBE] = {"UNSUBSCRIBE", SHOW_FILTER | SHOW_MSG_ID},
    [MQTTSN_UNSUBACK] = {"UNSUBACK", SHOW_MSG_ID},
    [MQTTSN_PINGREQ] = {"PINGREQ", SHOW_CLIENT_ID},
    [MQTTSN_PINGRESP] = {"PINGRESP", 0},
    [MQTTSN_DISCONNECT] = {"DISCONNECT", SHOW_DURATION},
    [MQTTSN_WILLTOPICUPD] = {"WILLTOPICUPD", SHOW_WILL},
    [MQTTSN_WILLTOPICRESP] = {"WILLTOPICRESP", SHOW_RETURN_CODE},
    [MQTTSN_WILLMSGUPD] = {"WILLMSGUPD", SHOW_DATA},
    [MQTTSN_WILLMSGRESP] = {"WILLMSGRESP", SHOW_RETURN_CODE},
};

struct text {
    char *buffer;
    size_t size;
    size_t used; /* below size: the terminator always has room */
};

static void append(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What does not fit is cut. */
static void
append(struct text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int wanted = vsnprintf(text->buffer + text->used, text->size - text->used, format, arguments);
    va_end(arguments);
    if (wanted < 0)
        return;
    size_t room = text->size - 1 - text->used;
    text->used += (size_t)wanted < room ? (size_t)wanted : room;
}

static void
append_name(struct text *text, const char *label, struct dm_span name)
{
    char escaped[NAME_TEXT_MAX];

    append(text, " %s \"%s\"", label, log_escape(escaped, sizeof escaped, name));
}

static void
append_data(struct text *text, struct dm_span data)
{
    char escaped[DATA_TEXT_MAX];

    append(text, " %zu octets \"%s\"", data.len, log_escape(escaped, sizeof escaped, data));
}

static void
append_topic(struct text *text, const struct mqttsn_packet *packet)
{
    uint8_t name[2] = {(uint8_t)(packet->topic_id >> 8), (uint8_t)packet->topic_id};

    switch (packet->topic_type) {
    case MQTTSN_TOPIC_NORMAL:
        append(text, " topic %u", packet->topic_id);
        return;
    case MQTTSN_TOPIC_PREDEFINED:
        append(text, " pre-defined topic %u", packet->topic_id);
        return;
    case MQTTSN_TOPIC_SHORT:
        append_name(text, "short topic", dm_span(name, sizeof name));
        return;
    case MQTTSN_TOPIC_RESERVED:
        break;
    }
    append(text, " reserved topic type, %u", packet->topic_id);
}

static void
append_filter(struct text *text, const struct mqttsn_packet *packet)
{
    if (packet->bad_topic)
        append(text, " bad topic");
    else if (packet->topic_type == MQTTSN_TOPIC_NORMAL)
        append_name(text, "filter", packet->topic_name);
    else if (packet->topic_type == MQTTSN_TOPIC_RESERVED)
        append_name(text, "reserved topic type,", packet->topic_name);
    else
        append_topic(text, packet);
}

static void
append_return_code(struct text *text, enum mqttsn_return_code code)
{
    switch (code) {
    case MQTTSN_ACCEPTED:
        append(text, " accepted");
        return;
    case MQTTSN_CONGESTION:
        append(text, " rejected: congestion");
        return;
    case MQTTSN_INVALID_TOPIC_ID:
        append(text, " rejected: invalid topic id");
        return;
    case MQTTSN_NOT_SUPPORTED:
        append(text, " rejected: not supported");
        return;
    }
    append(text, " rejected: code %u", (unsigned)code);
}

/* Fields of the messages that build and end a connection. */
static void
append_session(struct text *text, unsigned shows, const struct mqttsn_packet *packet)
{
    if (shows & SHOW_GATEWAY_ID)
        append(text, " gateway %u", packet->gateway_id);
    if (shows & SHOW_RADIUS)
        append(text, " radius %u", packet->radius);
    if (shows & SHOW_CONNECT)
        append(text, "%s%s protocol %u", packet->will ? " will" : "",
               packet->clean_session ? " clean session" : "", packet->protocol_id);
    if ((shows & SHOW_DURATION) && (packet->type != MQTTSN_DISCONNECT || packet->has_duration))
        append(text, " duration %u s", packet->duration_s);
    if ((shows & SHOW_CLIENT_ID) && (packet->type == MQTTSN_CONNECT || packet->client_id.len > 0))
        append_name(text, "client", packet->client_id);
    if (shows & SHOW_WILL && packet->has_flags) {
        append(text, " qos %d%s", packet->qos, packet->retain ? " retain" : "");
        append_name(text, "name", packet->topic_name);
    } else if (shows & SHOW_WILL) {
        append(text, " empty");
    }
}

static void
append_message(struct text *text, unsigned shows, const struct mqttsn_packet *packet)
{
    if ((shows & SHOW_DUP) && packet->dup)
        append(text, " dup");
    if (shows & SHOW_QOS)
        append(text, " qos %d", packet->qos);
    if ((shows & SHOW_RETAIN) && packet->retain)
        append(text, " retain");
    if (shows & SHOW_FILTER)
        append_filter(text, packet);
    if (shows & SHOW_TOPIC)
        append_topic(text, packet);
    if (shows & SHOW_TOPIC_ID)
        append(text, " topic %u", packet->topic_id);
    if (shows & SHOW_MSG_ID)
        append(text, " msg %u", packet->msg_id);
    if (shows & SHOW_NAME)
        append_name(text, "name", packet->topic_name);
    if (shows & SHOW_RETURN_CODE)
        append_return_code(text, packet->return_code);
    if (shows & SHOW_DATA)
        append_data(text, packet->data);
}

const char *
mqttsn_type_name(enum mqttsn_type type)
{
    return (size_t)type < MQTTSN_TYPE_COUNT ? descriptions[type].name : "?";
}

const char *
mqttsn_describe(const struct mqttsn_packet *packet, char *buffer, size_t size)
{
    struct text text = {.buffer = buffer, .size = size};

    if (size == 0)
        return buffer;
    append(&text, "%s", mqttsn_type_name(packet->type));
    if ((size_t)packet->type < MQTTSN_TYPE_COUNT) {
        append_session(&text, descriptions[packet->type].shows, packet);
        append_message(&text, descriptions[packet->type].shows, packet);
    }
    return buffer;
}
