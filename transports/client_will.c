/* SPDX-License-Identifier: Apache-2.0 */
/* The device side of MQTT-SN: the will, told to the gateway at CONNECT and changed later. */
#include "client_private.h"

static bool
is_will_qos(int8_t qos)
{
    return qos >= 0 && qos <= 2;
}

static void
set_topic(struct client *client, struct dm_span topic, int8_t qos, bool retain)
{
    struct client_will *will = &client->options.will;

    if (topic.len > 0)
        memcpy(client->will_topic, topic.data, topic.len);
    will->topic = dm_span(client->will_topic, topic.len);
    will->qos = qos;
    will->retain = retain;
}

static void
set_message(struct client *client, struct dm_span message)
{
    if (message.len > 0)
        memcpy(client->will_message, message.data, message.len);
    client->options.will.message = dm_span(client->will_message, message.len);
}

enum dm_result
client_will_init(struct client *client)
{
    const struct client_will will = client->options.will;

    if (will.topic.len > CLIENT_WILL_TOPIC_MAX || will.message.len > CLIENT_WILL_MESSAGE_MAX ||
        !is_will_qos(will.qos))
        return DM_INVALID;
    set_topic(client, will.topic, will.qos, will.retain);
    set_message(client, will.message);
    return DM_OK;
}

/* WILLTOPIC or WILLTOPICUPD; without a topic the empty form, which deletes (R17, R37). */
static struct mqttsn_packet
topic_packet(enum mqttsn_type type, struct dm_span topic, int8_t qos, bool retain)
{
    struct mqttsn_packet packet = {.type = type, .has_flags = topic.len > 0};

    if (packet.has_flags) {
        packet.topic_name = topic;
        packet.qos = qos;
        packet.retain = retain;
    }
    return packet;
}

/*
 * 1. CONNECT -> WILLTOPICREQ  2. WILLTOPIC -> WILLMSGREQ  3. WILLMSG -> CONNACK (R16). The last
 * message sent is what is repeated (R21, R87), so the answer takes the place of the open request. A
 * question that comes again is answered again: the answer may have been lost. But only a step
 * forward gets repetitions of its own, or a gateway that keeps asking would hold the client for
 * ever.
 */
void
client_will_answer(struct client *client, uint64_t now_ms, enum mqttsn_type question)
{
    const struct client_will *will = &client->options.will;

    if (question == MQTTSN_WILLTOPICREQ)
        client->request = topic_packet(MQTTSN_WILLTOPIC, will->topic, will->qos, will->retain);
    else
        client->request = (struct mqttsn_packet){.type = MQTTSN_WILLMSG, .data = will->message};
    if (client->request.type > client->handshake) {
        client->handshake = client->request.type;
        client_start_retries(client, now_ms);
    }
    (void)client_send_packet(client, now_ms, &client->request); /* a will always fits */
}

static enum dm_result
update(struct client *client, uint64_t now_ms, const struct mqttsn_packet *packet, size_t len,
       size_t max)
{
    if (client->state != CLIENT_ACTIVE)
        return DM_INVALID;
    if (len > max)
        return DM_FULL;
    return client_open_request(client, now_ms, packet);
}

enum dm_result
client_will_topic_update(struct client *client, uint64_t now_ms, struct dm_span topic, int8_t qos,
                         bool retain)
{
    struct mqttsn_packet packet = topic_packet(MQTTSN_WILLTOPICUPD, topic, qos, retain);

    if (!is_will_qos(qos))
        return DM_INVALID;
    return update(client, now_ms, &packet, topic.len, CLIENT_WILL_TOPIC_MAX);
}

enum dm_result
client_will_message_update(struct client *client, uint64_t now_ms, struct dm_span message)
{
    struct mqttsn_packet packet = {.type = MQTTSN_WILLMSGUPD, .data = message};

    return update(client, now_ms, &packet, message.len, CLIENT_WILL_MESSAGE_MAX);
}

/* The answers have no MsgId: their type is all that ties them to the request. */
void
client_will_updated(struct client *client, const struct mqttsn_packet *packet)
{
    const struct mqttsn_packet *request = &client->request;
    enum mqttsn_type awaited =
        packet->type == MQTTSN_WILLTOPICRESP ? MQTTSN_WILLTOPICUPD : MQTTSN_WILLMSGUPD;

    if (!client->request_open || request->type != awaited)
        return;
    if (packet->return_code == MQTTSN_ACCEPTED && awaited == MQTTSN_WILLMSGUPD) {
        set_message(client, request->data);
    } else if (packet->return_code == MQTTSN_ACCEPTED) {
        set_topic(client, request->topic_name, request->qos, request->retain);
        if (!request->has_flags)
            set_message(client, dm_span(NULL, 0)); /* both are deleted (R37) */
    }
    client_complete(client, packet, client->state);
}
