/* SPDX-License-Identifier: Apache-2.0 */
/* The device side of MQTT-SN: requests with retransmission, sleep cycle, answers to the gateway. */
#include "client_private.h"

#define RETRY_MS_DEFAULT 10000u
#define RETRY_COUNT_DEFAULT 3u

enum dm_result
client_init(struct client *client, const struct client_options *options)
{
    if (options->client_id.len == 0 || options->client_id.len > MQTTSN_CLIENT_ID_MAX ||
        options->send == NULL || options->on_event == NULL)
        return DM_INVALID;
    memset(client, 0, sizeof *client);
    client->options = *options;
    memcpy(client->client_id, options->client_id.data, options->client_id.len);
    client->options.client_id = dm_span(client->client_id, options->client_id.len);
    if (client->options.retry_ms == 0)
        client->options.retry_ms = RETRY_MS_DEFAULT;
    if (client->options.retry_count == 0)
        client->options.retry_count = RETRY_COUNT_DEFAULT;
    return client_will_init(client);
}

enum client_state
client_state(const struct client *client)
{
    return client->state;
}

void
client_emit(struct client *client, const struct client_event *event)
{
    client->options.on_event(client->options.ctx, event);
}

enum dm_result
client_send_packet(struct client *client, uint64_t now_ms, const struct mqttsn_packet *packet)
{
    size_t len;
    enum dm_result result = mqttsn_encode(packet, client->datagram, sizeof client->datagram, &len);

    if (result != DM_OK)
        return result;
    client->last_sent_ms = now_ms;
    if (client->options.on_packet != NULL)
        client->options.on_packet(client->options.ctx, true, packet);
    client->options.send(client->options.ctx, client->datagram, len);
    return DM_OK;
}

/* 0 is coded for QoS 0 and -1. */
static uint16_t
next_msg_id(const struct client *client)
{
    return client->last_msg_id == UINT16_MAX ? 1 : (uint16_t)(client->last_msg_id + 1);
}

void
client_start_retries(struct client *client, uint64_t now_ms)
{
    client->retries_left = client->options.retry_count;
    client->retry_at_ms = now_ms + client->options.retry_ms;
}

enum dm_result
client_open_request(struct client *client, uint64_t now_ms, const struct mqttsn_packet *packet)
{
    struct dm_span text = packet->topic_name.len > 0 ? packet->topic_name : packet->data;

    if (client->request_open && !client->request_is_keepalive)
        return DM_FULL;
    if (text.len > sizeof client->request_text)
        return DM_FULL;
    enum dm_result result = client_send_packet(client, now_ms, packet);
    if (result != DM_OK)
        return result;
    if (packet->msg_id != 0)
        client->last_msg_id = packet->msg_id;
    client->request = *packet;
    if (text.len > 0)
        memcpy(client->request_text, text.data, text.len);
    client->request.topic_name.data = client->request_text;
    client->request.data.data = client->request_text;
    client->request_open = true;
    client->request_is_keepalive = false;
    client_start_retries(client, now_ms);
    return DM_OK;
}

enum dm_result
client_connect(struct client *client, uint64_t now_ms)
{
    struct mqttsn_packet packet = {.type = MQTTSN_CONNECT,
                                   .will = client->options.will.topic.len > 0,
                                   .clean_session = client->options.clean_session,
                                   .protocol_id = MQTTSN_PROTOCOL_ID,
                                   .duration_s = client->options.keepalive_s,
                                   .client_id = client->options.client_id};

    if (client->state != CLIENT_DISCONNECTED && client->state != CLIENT_ASLEEP)
        return DM_INVALID;
    enum dm_result result = client_open_request(client, now_ms, &packet);
    if (result != DM_OK)
        return result;
    client->state = CLIENT_CONNECTING;
    client->handshake = MQTTSN_CONNECT;
    if (client->options.clean_session) {
        client->topic_count = 0;
        client->received_open = false;
    }
    return DM_OK;
}

enum dm_result
client_register(struct client *client, uint64_t now_ms, struct dm_span name)
{
    struct mqttsn_packet packet = {
        .type = MQTTSN_REGISTER, .msg_id = next_msg_id(client), .topic_name = name};

    if (client->state != CLIENT_ACTIVE || name.len == 0)
        return DM_INVALID;
    return client_open_request(client, now_ms, &packet);
}

/* SUBSCRIBE or UNSUBSCRIBE. */
static enum dm_result
request_filter(struct client *client, uint64_t now_ms, enum mqttsn_type request,
               enum mqttsn_topic_type type, struct dm_span filter, uint16_t id, int8_t qos)
{
    struct mqttsn_packet packet = {
        .type = request, .qos = qos, .topic_type = type, .msg_id = next_msg_id(client)};

    if (client->state != CLIENT_ACTIVE || type == MQTTSN_TOPIC_RESERVED || qos < 0 || qos > 2)
        return DM_INVALID;
    if (type == MQTTSN_TOPIC_NORMAL && filter.len == 0)
        return DM_INVALID;
    if (type == MQTTSN_TOPIC_NORMAL)
        packet.topic_name = filter;
    else
        packet.topic_id = id;
    return client_open_request(client, now_ms, &packet);
}

enum dm_result
client_subscribe(struct client *client, uint64_t now_ms, enum mqttsn_topic_type type,
                 struct dm_span filter, uint16_t id, int8_t qos)
{
    return request_filter(client, now_ms, MQTTSN_SUBSCRIBE, type, filter, id, qos);
}

enum dm_result
client_unsubscribe(struct client *client, uint64_t now_ms, enum mqttsn_topic_type type,
                   struct dm_span filter, uint16_t id)
{
    return request_filter(client, now_ms, MQTTSN_UNSUBSCRIBE, type, filter, id, 0);
}

enum dm_result
client_publish(struct client *client, uint64_t now_ms, enum mqttsn_topic_type type, uint16_t id,
               int8_t qos, bool retain, struct dm_span data)
{
    struct mqttsn_packet packet = {.type = MQTTSN_PUBLISH,
                                   .retain = retain,
                                   .qos = qos,
                                   .topic_type = type,
                                   .topic_id = id,
                                   .data = data};

    if (type == MQTTSN_TOPIC_RESERVED || qos < MQTTSN_QOS_MINUS_ONE || qos > 2)
        return DM_INVALID;
    if (qos == MQTTSN_QOS_MINUS_ONE ? type == MQTTSN_TOPIC_NORMAL : client->state != CLIENT_ACTIVE)
        return DM_INVALID;
    if (qos <= 0)
        return client_send_packet(client, now_ms, &packet);
    packet.msg_id = next_msg_id(client);
    return client_open_request(client, now_ms, &packet);
}

enum dm_result
client_sleep(struct client *client, uint64_t now_ms, uint16_t duration_s)
{
    struct mqttsn_packet packet = {
        .type = MQTTSN_DISCONNECT, .has_duration = true, .duration_s = duration_s};

    if ((client->state != CLIENT_ACTIVE && client->state != CLIENT_ASLEEP) || duration_s == 0)
        return DM_INVALID;
    return client_open_request(client, now_ms, &packet);
}

enum dm_result
client_wake(struct client *client, uint64_t now_ms)
{
    struct mqttsn_packet packet = {.type = MQTTSN_PINGREQ, .client_id = client->options.client_id};

    if (client->state != CLIENT_ASLEEP)
        return DM_INVALID;
    enum dm_result result = client_open_request(client, now_ms, &packet);
    if (result == DM_OK)
        client->state = CLIENT_AWAKE;
    return result;
}

enum dm_result
client_disconnect(struct client *client, uint64_t now_ms)
{
    struct mqttsn_packet packet = {.type = MQTTSN_DISCONNECT};

    if (client->state != CLIENT_ACTIVE && client->state != CLIENT_ASLEEP)
        return DM_INVALID;
    return client_open_request(client, now_ms, &packet);
}

enum dm_result
client_search(struct client *client, uint64_t now_ms, uint8_t radius)
{
    struct mqttsn_packet packet = {.type = MQTTSN_SEARCHGW, .radius = radius};

    if (client->state != CLIENT_DISCONNECTED)
        return DM_INVALID;
    return client_send_packet(client, now_ms, &packet);
}

/* PUBREL is the second half of a PUBLISH, WILLTOPIC and WILLMSG are parts of CONNECT. */
enum mqttsn_type
client_request_type(const struct client *client)
{
    if (client->state == CLIENT_CONNECTING)
        return MQTTSN_CONNECT;
    return client->request.type == MQTTSN_PUBREL ? MQTTSN_PUBLISH : client->request.type;
}

void
client_complete(struct client *client, const struct mqttsn_packet *reply, enum client_state next)
{
    struct client_event event = {
        .type = reply->return_code == MQTTSN_ACCEPTED ? CLIENT_EVENT_DONE : CLIENT_EVENT_REFUSED,
        .request = client_request_type(client),
        .return_code = reply->return_code,
        .topic_id = reply->topic_id,
        .qos = reply->qos};

    client->request_open = false;
    client->state = next;
    client_emit(client, &event);
}

/* R87: a silent gateway is gone. A sleeping client goes back to sleep and asks at the next wake. */
static void
time_out(struct client *client)
{
    struct client_event event = {.type = CLIENT_EVENT_TIMEOUT,
                                 .request = client_request_type(client)};

    client->request_open = false;
    client->state = client->state == CLIENT_AWAKE ? CLIENT_ASLEEP : CLIENT_DISCONNECTED;
    client_emit(client, &event);
}

static void
repeat_request(struct client *client, uint64_t now_ms)
{
    client->retries_left--;
    client->retry_at_ms = now_ms + client->options.retry_ms;
    client->request.dup = client->request.type == MQTTSN_PUBLISH;
    (void)client_send_packet(client, now_ms, &client->request);
}

/* 0.75 of the keep-alive after the last message sent: one repetition still comes in time. */
static uint64_t
keepalive_at(const struct client *client)
{
    if (client->state != CLIENT_ACTIVE || client->options.keepalive_s == 0)
        return UINT64_MAX;
    return client->last_sent_ms + client->options.keepalive_s * UINT64_C(750);
}

/* An open request finds out about a dead gateway, so then the PINGREQ only has to be heard. */
static void
send_keepalive(struct client *client, uint64_t now_ms)
{
    struct mqttsn_packet packet = {.type = MQTTSN_PINGREQ};

    if (client->request_open)
        (void)client_send_packet(client, now_ms, &packet);
    else if (client_open_request(client, now_ms, &packet) == DM_OK)
        client->request_is_keepalive = true;
}

void
client_time(struct client *client, uint64_t now_ms)
{
    if (client->request_open && now_ms >= client->retry_at_ms) {
        if (client->retries_left == 0)
            time_out(client);
        else
            repeat_request(client, now_ms);
    }
    if (now_ms >= keepalive_at(client))
        send_keepalive(client, now_ms);
}

uint64_t
client_next_deadline(const struct client *client)
{
    uint64_t keepalive = keepalive_at(client);

    return client->request_open && client->retry_at_ms < keepalive ? client->retry_at_ms
                                                                   : keepalive;
}
