/* SPDX-License-Identifier: Apache-2.0 */
/* The device side of MQTT-SN: messages of the gateway, and the topic ids learned from them. */
#include "client_private.h"

#define TOPIC_ID_MIN 0x0001u /* 0x0000 and 0xFFFF are reserved */
#define TOPIC_ID_MAX 0xFFFEu

static void
remove_topic(struct client *client, size_t index)
{
    client->topic_count--;
    memmove(&client->topics[index], &client->topics[index + 1],
            (client->topic_count - index) * sizeof client->topics[0]);
}

static const struct client_topic *
find_topic(const struct client *client, uint16_t id)
{
    for (size_t i = 0; i < client->topic_count; i++)
        if (client->topics[i].id == id)
            return &client->topics[i];
    return NULL;
}

static void
forget_topic(struct client *client, uint16_t id)
{
    const struct client_topic *topic = find_topic(client, id);

    if (topic != NULL)
        remove_topic(client, (size_t)(topic - client->topics));
}

/* An id has one name and a name one id: the newest pair replaces what contradicts it. */
static void
remember_topic(struct client *client, uint16_t id, struct dm_span name)
{
    if (id < TOPIC_ID_MIN || id > TOPIC_ID_MAX)
        return;
    forget_topic(client, id);
    forget_topic(client, client_topic_id(client, name));
    if (client->topic_count == CLIENT_TOPICS_MAX)
        remove_topic(client, 0);
    struct client_topic *topic = &client->topics[client->topic_count++];
    topic->id = id;
    topic->len = name.len <= CLIENT_TOPIC_NAME_MAX ? (uint8_t)name.len : 0;
    if (topic->len > 0)
        memcpy(topic->name, name.data, topic->len);
}

uint16_t
client_topic_id(const struct client *client, struct dm_span name)
{
    for (size_t i = 0; name.len > 0 && i < client->topic_count; i++)
        if (dm_span_equal(dm_span(client->topics[i].name, client->topics[i].len), name))
            return client->topics[i].id;
    return 0;
}

/* An acknowledgement is small and always fits. */
static void
answer(struct client *client, uint64_t now_ms, enum mqttsn_type type, uint16_t topic_id,
       uint16_t msg_id, enum mqttsn_return_code return_code)
{
    struct mqttsn_packet packet = {
        .type = type, .topic_id = topic_id, .msg_id = msg_id, .return_code = return_code};

    (void)client_send_packet(client, now_ms, &packet);
}

static bool
is_awaited(const struct client *client, enum mqttsn_type request, uint16_t msg_id)
{
    return client->request_open && client->request.type == request &&
           client->request.msg_id == msg_id;
}

static void
handle_connack(struct client *client, const struct mqttsn_packet *packet)
{
    client_complete(client, packet,
                    packet->return_code == MQTTSN_ACCEPTED ? CLIENT_ACTIVE : CLIENT_DISCONNECTED);
}

static void
handle_regack(struct client *client, const struct mqttsn_packet *packet)
{
    if (!is_awaited(client, MQTTSN_REGISTER, packet->msg_id))
        return;
    if (packet->return_code == MQTTSN_ACCEPTED)
        remember_topic(client, packet->topic_id, client->request.topic_name);
    client_complete(client, packet, client->state);
}

static void
handle_suback(struct client *client, const struct mqttsn_packet *packet)
{
    if (!is_awaited(client, MQTTSN_SUBSCRIBE, packet->msg_id))
        return;
    /* A filter with wildcards has id 0, which is not remembered. */
    if (packet->return_code == MQTTSN_ACCEPTED && client->request.topic_type == MQTTSN_TOPIC_NORMAL)
        remember_topic(client, packet->topic_id, client->request.topic_name);
    client_complete(client, packet, client->state);
}

static void
handle_unsuback(struct client *client, const struct mqttsn_packet *packet)
{
    if (is_awaited(client, MQTTSN_UNSUBSCRIBE, packet->msg_id))
        client_complete(client, packet, client->state);
}

/* A refused QoS 0 PUBLISH has no open request; only the topic id tells which it was (R46). */
static void
report_refused_qos0(struct client *client, const struct mqttsn_packet *packet)
{
    struct client_event event = {.type = CLIENT_EVENT_REFUSED,
                                 .request = MQTTSN_PUBLISH,
                                 .return_code = packet->return_code,
                                 .topic_id = packet->topic_id};

    if (packet->return_code == MQTTSN_INVALID_TOPIC_ID)
        forget_topic(client, packet->topic_id);
    client_emit(client, &event);
}

static void
handle_puback(struct client *client, const struct mqttsn_packet *packet)
{
    bool accepted = packet->return_code == MQTTSN_ACCEPTED;

    if (packet->msg_id == 0 && !accepted) {
        report_refused_qos0(client, packet);
        return;
    }
    if (!is_awaited(client, MQTTSN_PUBLISH, packet->msg_id))
        return;
    if (accepted && client->request.qos == 2)
        return; /* PUBREC has to come (M36) */
    if (packet->return_code == MQTTSN_INVALID_TOPIC_ID &&
        client->request.topic_type == MQTTSN_TOPIC_NORMAL)
        forget_topic(client, client->request.topic_id);
    /* The message id decides; some gateways send topic id 0 (R63). */
    struct mqttsn_packet reply = *packet;
    reply.topic_id = client->request.topic_id;
    client_complete(client, &reply, client->state);
}

static void
handle_pubrec(struct client *client, uint64_t now_ms, const struct mqttsn_packet *packet)
{
    if (!is_awaited(client, MQTTSN_PUBLISH, packet->msg_id) || client->request.qos != 2)
        return;
    client->request = (struct mqttsn_packet){.type = MQTTSN_PUBREL, .msg_id = packet->msg_id};
    client_start_retries(client, now_ms);
    (void)client_send_packet(client, now_ms, &client->request);
}

static void
handle_pubcomp(struct client *client, const struct mqttsn_packet *packet)
{
    if (is_awaited(client, MQTTSN_PUBREL, packet->msg_id))
        client_complete(client, packet, client->state);
}

static void
handle_pingresp(struct client *client, const struct mqttsn_packet *packet)
{
    if (!client->request_open || client->request.type != MQTTSN_PINGREQ)
        return;
    if (client->request_is_keepalive)
        client->request_open = false;
    else
        client_complete(client, packet, CLIENT_ASLEEP);
}

static void
handle_disconnect(struct client *client, const struct mqttsn_packet *packet)
{
    struct client_event event = {.type = CLIENT_EVENT_DISCONNECTED};

    if (client->request_open && client->request.type == MQTTSN_DISCONNECT) {
        client_complete(client, packet,
                        client->request.has_duration ? CLIENT_ASLEEP : CLIENT_DISCONNECTED);
        return;
    }
    client->request_open = false;
    client->state = CLIENT_DISCONNECTED;
    client_emit(client, &event);
}

static void
handle_register(struct client *client, uint64_t now_ms, const struct mqttsn_packet *packet)
{
    bool valid = packet->topic_id >= TOPIC_ID_MIN && packet->topic_id <= TOPIC_ID_MAX;

    remember_topic(client, packet->topic_id, packet->topic_name);
    answer(client, now_ms, MQTTSN_REGACK, packet->topic_id, packet->msg_id,
           valid ? MQTTSN_ACCEPTED : MQTTSN_INVALID_TOPIC_ID);
}

static void
deliver(struct client *client, const struct mqttsn_packet *packet)
{
    uint8_t short_name[2] = {(uint8_t)(packet->topic_id >> 8), (uint8_t)packet->topic_id};
    struct client_event event = {.type = CLIENT_EVENT_MESSAGE,
                                 .topic_id = packet->topic_id,
                                 .topic_type = packet->topic_type,
                                 .qos = packet->qos,
                                 .retain = packet->retain,
                                 .dup = packet->dup,
                                 .data = packet->data};
    const struct client_topic *topic = find_topic(client, packet->topic_id);

    if (packet->topic_type == MQTTSN_TOPIC_SHORT) {
        event.topic_name = dm_span(short_name, sizeof short_name);
    } else if (packet->topic_type == MQTTSN_TOPIC_NORMAL && topic != NULL) {
        event.topic_name = dm_span(topic->name, topic->len);
    }
    client_emit(client, &event);
}

static void
deliver_once(struct client *client, uint64_t now_ms, const struct mqttsn_packet *packet)
{
    bool repeated = client->received_open && client->received_msg_id == packet->msg_id;

    if (!repeated) {
        client->received_open = true;
        client->received_msg_id = packet->msg_id;
        deliver(client, packet);
    }
    answer(client, now_ms, MQTTSN_PUBREC, 0, packet->msg_id, MQTTSN_ACCEPTED);
}

/* The acknowledgement leaves after the event: then the application has the message. */
static void
handle_publish(struct client *client, uint64_t now_ms, const struct mqttsn_packet *packet)
{
    if (packet->qos == MQTTSN_QOS_MINUS_ONE)
        return; /* never from a gateway (R44) */
    if (packet->topic_type == MQTTSN_TOPIC_RESERVED) {
        answer(client, now_ms, MQTTSN_PUBACK, packet->topic_id, packet->msg_id,
               MQTTSN_NOT_SUPPORTED);
        return;
    }
    if (packet->topic_type == MQTTSN_TOPIC_NORMAL && find_topic(client, packet->topic_id) == NULL) {
        answer(client, now_ms, MQTTSN_PUBACK, packet->topic_id, packet->msg_id,
               MQTTSN_INVALID_TOPIC_ID);
        return;
    }
    if (packet->qos == 2) {
        deliver_once(client, now_ms, packet);
        return;
    }
    deliver(client, packet);
    if (packet->qos == 1)
        answer(client, now_ms, MQTTSN_PUBACK, packet->topic_id, packet->msg_id, MQTTSN_ACCEPTED);
}

/* Always PUBCOMP: an unknown id means that the one before was lost (R50). */
static void
handle_pubrel(struct client *client, uint64_t now_ms, const struct mqttsn_packet *packet)
{
    if (client->received_open && client->received_msg_id == packet->msg_id)
        client->received_open = false;
    answer(client, now_ms, MQTTSN_PUBCOMP, 0, packet->msg_id, MQTTSN_ACCEPTED);
}

static void
report_gateway(struct client *client, const struct mqttsn_packet *packet)
{
    struct client_event event = {.type = CLIENT_EVENT_GATEWAY,
                                 .gateway_id = packet->gateway_id,
                                 .duration_s = packet->duration_s,
                                 .data = packet->data};

    client_emit(client, &event);
}

/* All else is late: a DISCONNECT, for one, is the answer to a request of the session before. */
static void
handle_in_handshake(struct client *client, uint64_t now_ms, const struct mqttsn_packet *packet)
{
    if (packet->type == MQTTSN_CONNACK)
        handle_connack(client, packet);
    else if (packet->type == MQTTSN_WILLTOPICREQ || packet->type == MQTTSN_WILLMSGREQ)
        client_will_answer(client, now_ms, packet->type);
}

/* What a connected client does with a message: ACTIVE or AWAKE. */
static void
handle_packet(struct client *client, uint64_t now_ms, const struct mqttsn_packet *packet)
{
    switch ((int)packet->type) {
    case MQTTSN_REGISTER:
        handle_register(client, now_ms, packet);
        break;
    case MQTTSN_REGACK:
        handle_regack(client, packet);
        break;
    case MQTTSN_PUBLISH:
        handle_publish(client, now_ms, packet);
        break;
    case MQTTSN_PUBACK:
        handle_puback(client, packet);
        break;
    case MQTTSN_PUBREC:
        handle_pubrec(client, now_ms, packet);
        break;
    case MQTTSN_PUBREL:
        handle_pubrel(client, now_ms, packet);
        break;
    case MQTTSN_PUBCOMP:
        handle_pubcomp(client, packet);
        break;
    case MQTTSN_SUBACK:
        handle_suback(client, packet);
        break;
    case MQTTSN_UNSUBACK:
        handle_unsuback(client, packet);
        break;
    case MQTTSN_PINGREQ:
        answer(client, now_ms, MQTTSN_PINGRESP, 0, 0, MQTTSN_ACCEPTED);
        break;
    case MQTTSN_PINGRESP:
        handle_pingresp(client, packet);
        break;
    case MQTTSN_DISCONNECT:
        handle_disconnect(client, packet);
        break;
    case MQTTSN_WILLTOPICRESP:
    case MQTTSN_WILLMSGRESP:
        client_will_updated(client, packet);
        break;
    default: /* late answers, and what only a client sends */
        break;
    }
}

void
client_datagram(struct client *client, uint64_t now_ms, const uint8_t *data, size_t len)
{
    struct mqttsn_packet packet;

    if (mqttsn_decode(data, len, &packet) != DM_OK)
        return;
    if (client->options.on_packet != NULL)
        client->options.on_packet(client->options.ctx, false, &packet);
    /* Apart from the rest: it is for everyone, and so does not restart the timer of R98. */
    if (packet.type == MQTTSN_ADVERTISE || packet.type == MQTTSN_GWINFO) {
        if (client->state != CLIENT_ASLEEP)
            report_gateway(client, &packet);
        return;
    }
    switch (client->state) {
    case CLIENT_DISCONNECTED:
        break;
    case CLIENT_CONNECTING:
        handle_in_handshake(client, now_ms, &packet);
        break;
    case CLIENT_ASLEEP:
        if (packet.type == MQTTSN_DISCONNECT && client->request_open)
            handle_disconnect(client, &packet);
        break;
    case CLIENT_AWAKE:
        if (packet.type != MQTTSN_PINGRESP)
            client->retry_at_ms = now_ms + client->options.retry_ms; /* R98 */
        handle_packet(client, now_ms, &packet);
        break;
    case CLIENT_ACTIVE:
        handle_packet(client, now_ms, &packet);
        break;
    }
}
