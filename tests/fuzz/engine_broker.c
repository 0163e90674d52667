/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker of the engine's fuzz target knows. */
#include "engine_broker.h"

#include "fuzz.h"

enum { REASON_ERROR = 0x80 }; /* and above: the exchange has failed */

static uint64_t
content_hash(const struct mqtt_packet *packet)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < packet->topic.len; i++)
        hash = (hash ^ packet->topic.data[i]) * UINT64_C(0x100000001b3);
    hash *= 31;
    for (size_t i = 0; i < packet->payload.len; i++)
        hash = (hash ^ packet->payload.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void
open_id(struct broker *broker, uint16_t packet_id, struct broker_open open)
{
    FUZZ_CHECK(broker->id_count < sizeof broker->ids / sizeof broker->ids[0],
               "more packets open than an input can make");
    broker->ids[broker->id_count++] = packet_id;
    broker->open[packet_id] = open;
}

static void
close_id(struct broker *broker, uint16_t packet_id)
{
    broker->open[packet_id] = (struct broker_open){0};
    for (size_t i = 0; i < broker->id_count; i++)
        if (broker->ids[i] == packet_id)
            broker->ids[i--] = broker->ids[--broker->id_count];
}

void
broker_init(struct broker *broker)
{
    while (broker->id_count > 0)
        close_id(broker, broker->ids[0]);
    broker->up = false;
    broker->subscription_id_count = 0;
    memset(broker->subscription_ids, 0, sizeof broker->subscription_ids);
}

/* With a broker that takes another maximum QoS than before, nothing is repeated as it was: what was
 * open is between the two no more. */
void
broker_connect(struct broker *broker, const struct upstream_session *session)
{
    bool lasts = session->session_present && session->maximum_qos == broker->session.maximum_qos;

    while (!lasts && broker->id_count > 0)
        close_id(broker, broker->ids[0]);
    broker->up = true;
    broker->session = *session;
    broker->quota = session->send_maximum;
}

/* A SUBSCRIBE is not repeated with its packet id; a PUBLISH is. */
void
broker_disconnect(struct broker *broker)
{
    broker->up = false;
    for (size_t i = broker->id_count; i-- > 0;) {
        struct broker_open *open = &broker->open[broker->ids[i]];

        open->current = false;
        if (open->type != MQTT_PUBLISH)
            close_id(broker, broker->ids[i]);
    }
}

void
broker_gateway_restarts(struct broker *broker)
{
    broker_disconnect(broker);
    for (size_t i = broker->id_count; i-- > 0;)
        if (broker->open[broker->ids[i]].qos < 2)
            close_id(broker, broker->ids[i]);
}

static void
take_publish(struct broker *broker, const struct mqtt_packet *packet)
{
    struct broker_open *open = &broker->open[packet->packet_id];

    FUZZ_CHECK(packet->qos <= broker->session.maximum_qos, "a QoS that the broker does not take");
    FUZZ_CHECK(!packet->retain || broker->session.retain_available,
               "retain, which the broker does not take");
    if (packet->qos == 0)
        return;
    FUZZ_CHECK(packet->packet_id != 0, "a PUBLISH without its packet id");
    FUZZ_CHECK(broker->quota > 0, "more open than the broker's receive maximum");
    broker->quota--;
    if (open->type == 0) {
        open_id(broker, packet->packet_id,
                (struct broker_open){.type = MQTT_PUBLISH,
                                     .qos = packet->qos,
                                     .current = true,
                                     .content = content_hash(packet)});
        return;
    }
    FUZZ_CHECK(open->type == MQTT_PUBLISH && !open->current && packet->dup,
               "a packet id that is open is used again");
    FUZZ_CHECK(open->qos == packet->qos && open->content == content_hash(packet),
               "a packet id is repeated with another message");
    open->current = true;
}

static void
take_request(struct broker *broker, const struct mqtt_packet *packet)
{
    FUZZ_CHECK(packet->packet_id != 0, "a request without its packet id");
    FUZZ_CHECK(broker->open[packet->packet_id].type == 0, "a packet id that is open is used again");
    FUZZ_CHECK(broker->session.subscription_ids_available || packet->subscription_id_count == 0,
               "a subscription identifier, which the broker does not take");
    open_id(broker, packet->packet_id, (struct broker_open){.type = packet->type, .current = true});
    if (packet->subscription_id_count > 0)
        broker->subscription_ids[broker->subscription_id_count++ % BROKER_IDS] =
            packet->subscription_ids[0];
}

static void
take_pubrel(struct broker *broker, const struct mqtt_packet *packet)
{
    struct broker_open *open = &broker->open[packet->packet_id];

    FUZZ_CHECK(packet->packet_id != 0, "a PUBREL without its packet id");
    FUZZ_CHECK(open->type != MQTT_PUBLISH || open->qos != 2 || open->received,
               "PUBREL before PUBREC");
    open->current = true;
}

void
broker_takes(struct broker *broker, const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_PUBLISH)
        take_publish(broker, packet);
    else if (packet->type == MQTT_SUBSCRIBE || packet->type == MQTT_UNSUBSCRIBE)
        take_request(broker, packet);
    else if (packet->type == MQTT_PUBREL)
        take_pubrel(broker, packet);
}

void
broker_refuses(struct broker *broker, uint16_t packet_id)
{
    if (broker->open[packet_id].type != 0)
        close_id(broker, packet_id);
}

/* An answer of a kind that the packet does not wait for is a broker's fault, and what a gateway
 * makes of it is free: nothing is demanded of the packet id any more. */
void
broker_answers(struct broker *broker, const struct mqtt_packet *packet)
{
    struct broker_open *open = &broker->open[packet->packet_id];
    bool is_publish = open->type == MQTT_PUBLISH;

    if (open->type == 0 || packet->type == MQTT_PUBLISH || packet->type == MQTT_PUBREL)
        return;
    if (is_publish && open->qos == 2 && packet->type == MQTT_PUBREC &&
        packet->reason < REASON_ERROR) {
        open->received = true;
        return;
    }
    if (is_publish && broker->quota < broker->session.send_maximum)
        broker->quota++;
    close_id(broker, packet->packet_id);
}

bool
broker_next_answer(const struct broker *broker, size_t index, struct mqtt_packet *answer)
{
    if (broker->id_count == 0)
        return false;
    uint16_t packet_id = broker->ids[index % broker->id_count];
    const struct broker_open *open = &broker->open[packet_id];

    answer->packet_id = packet_id;
    if (open->type == MQTT_SUBSCRIBE)
        answer->type = MQTT_SUBACK;
    else if (open->type == MQTT_UNSUBSCRIBE)
        answer->type = MQTT_UNSUBACK;
    else if (open->qos == 1)
        answer->type = MQTT_PUBACK;
    else
        answer->type = open->received ? MQTT_PUBCOMP : MQTT_PUBREC;
    return true;
}
