/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's session for the gateway: subscriptions, its queue and window, QoS 2 both ways. */
#include "broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum {
    REFUSED_SUBSCRIPTION = 0x80,
    NOT_AUTHORISED = 0x87,
    QUOTA_EXCEEDED = 0x97,
    ID_NOT_FOUND = 0x92,
};

#define NONSENSE UINT32_MAX /* the number of a stranger's message */

static const char *
prefix(const struct world *w)
{
    return w->weather.prefix ? TOPICS_PREFIX : "";
}

/* The broker's name of a topic or filter without the gateway's prefix. */
static struct dm_span
own_name(const struct world *w, struct dm_span name)
{
    size_t len = strlen(prefix(w));

    if (name.len < len || memcmp(name.data, prefix(w), len) != 0)
        return (struct dm_span){0};
    return dm_span(name.data + len, name.len - len);
}

/* ---- messages to the gateway ---- */

static void
send_copy(struct world *w, const struct copy *c)
{
    char topic[64];
    uint8_t payload[ORACLE_PAYLOAD_MAX];
    int len = snprintf(topic, sizeof topic, "%s%s", prefix(w), topics[c->topic].name);
    struct mqtt_packet packet = {.type = MQTT_PUBLISH,
                                 .topic = dm_span(topic, (size_t)len),
                                 .payload = oracle_payload(w, c->number, payload),
                                 .qos = c->qos,
                                 .dup = c->dup,
                                 .retain = c->retain,
                                 .packet_id = c->packet_id,
                                 .subscription_id_count = c->id_count};

    memcpy(packet.subscription_ids, c->ids, c->id_count * sizeof c->ids[0]);
    if (!w->weather.merged_copies)
        oracle_copy(w, c->number, c->dup);
    broker_send(w, &packet);
}

static struct copy *
find_open(struct broker *b, uint16_t packet_id)
{
    for (size_t i = 0; i < b->in_flight; i++)
        if (b->out[i].packet_id == packet_id)
            return &b->out[i];
    return NULL;
}

static uint16_t
new_packet_id(struct broker *b)
{
    do
        b->last_packet_id++;
    while (b->last_packet_id == 0 || find_open(b, b->last_packet_id) != NULL);
    return b->last_packet_id;
}

static void
pump(struct world *w)
{
    struct broker *b = &w->broker;

    while (b->connected && b->in_flight < b->out_count && b->in_flight < w->weather.window) {
        struct copy *c = &b->out[b->in_flight];

        c->packet_id = new_packet_id(b);
        b->in_flight++;
        c->state = COPY_SENT;
        c->sent_ms = w->now_ms;
        send_copy(w, c);
    }
}

static void
add_copy(struct world *w, const struct copy *c)
{
    struct broker *b = &w->broker;

    if (c->qos == 0) { /* only for who is there */
        send_copy(w, c);
        return;
    }
    if (b->out_count == b->out_room) {
        b->out_room = b->out_room == 0 ? 64 : b->out_room * 2;
        b->out = realloc(b->out, b->out_room * sizeof *b->out);
        if (b->out == NULL)
            abort();
    }
    b->out[b->out_count] = *c;
    b->out[b->out_count++].serial = ++b->copies;
    pump(w);
}

static void
complete(struct world *w, struct copy *c)
{
    struct broker *b = &w->broker;
    size_t at = (size_t)(c - b->out);

    b->completed++;
    b->out_count--;
    b->in_flight--;
    memmove(c, c + 1, (b->out_count - at) * sizeof *c);
    pump(w);
}

static void
copy_for_filters(struct world *w, const struct copy *plain)
{
    struct copy all = *plain;
    bool matches = false;

    for (unsigned f = 0; f < FILTERS_COUNT; f++) {
        const struct broker_filter *filter = &w->broker.filters[f];
        struct copy one = *plain;

        if (!filter->held || !topics_match(f, plain->topic))
            continue;
        if (filter->id != 0 && all.id_count < sizeof all.ids / sizeof all.ids[0])
            all.ids[all.id_count++] = filter->id;
        matches = true;
        one.ids[0] = filter->id;
        one.id_count = filter->id != 0;
        if (!w->weather.merged_copies)
            add_copy(w, &one);
    }
    if (w->weather.merged_copies && matches)
        add_copy(w, &all);
}

void
broker_publish(struct world *w, uint32_t number)
{
    struct fact *fact = oracle_fact(w, number);
    struct copy plain = {.number = number, .qos = fact->qos, .topic = fact->topic};

    fact->order = ++w->broker.published;
    oracle_published(w, number);
    if (fact->retain)
        w->broker.retained[fact->topic] = number;
    copy_for_filters(w, &plain);
}

/* ---- what the gateway publishes ---- */

static struct broker_received *
find_received(struct broker *b, uint16_t packet_id)
{
    for (size_t i = 0; i < b->received_count; i++)
        if (b->received[i].packet_id == packet_id)
            return &b->received[i];
    return NULL;
}

static void
answer(struct world *w, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
    broker_send(w, &(struct mqtt_packet){.type = type, .packet_id = packet_id, .reason = reason});
}

static void
take_qos2(struct world *w, const struct mqtt_packet *packet, uint32_t number)
{
    struct broker *b = &w->broker;
    const struct broker_received *known = find_received(b, packet->packet_id);

    if (known != NULL && known->number != number)
        world_fail(w, "a packet id that is not released names one message",
                   "packet id %u: message %x, now %x", packet->packet_id, known->number, number);
    if (known != NULL)
        return;
    if (b->received_count == BROKER_RECEIVED_MAX)
        abort(); /* more than the gateway's window */
    b->received[b->received_count++] = (struct broker_received){packet->packet_id, number};
}

static void
handle_publish(struct world *w, const struct mqtt_packet *packet)
{
    struct broker *b = &w->broker;
    bool ours = !stranger_wrote(packet->payload);
    uint32_t number = ours ? oracle_number(packet->payload) : NONSENSE;
    enum mqtt_type type = packet->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC;

    if (ours && !oracle_knows(w, number, own_name(w, packet->topic), packet)) {
        world_fail(w, "the gateway publishes what it was given", "another payload or topic");
        return;
    }
    if (packet->qos > 0 && ++b->unanswered > w->weather.send_maximum)
        world_fail(w, "the gateway keeps the broker's receive maximum", "%u open", b->unanswered);
    bool known = packet->qos == 2 && find_received(b, packet->packet_id) != NULL;

    if (packet->qos > 0 && w->weather.mqtt5 && !known &&
        world_misfortune(w, w->weather.refused_publish)) {
        if (ours)
            oracle_refused(w, number);
        b->unanswered--;
        answer(w, type, packet->packet_id, world_one_in(w, 2) ? NOT_AUTHORISED : QUOTA_EXCEEDED);
        return;
    }
    if (packet->qos == 2)
        take_qos2(w, packet, number);
    else if (ours)
        oracle_reached(w, number);
    if (packet->qos == 0)
        return;
    if (packet->qos == 1)
        b->unanswered--;
    answer(w, type, packet->packet_id, 0);
}

static void
handle_pubrel(struct world *w, const struct mqtt_packet *packet)
{
    struct broker *b = &w->broker;
    struct broker_received *known = find_received(b, packet->packet_id);

    if (known != NULL) {
        uint32_t number = known->number;

        *known = b->received[--b->received_count];
        if (number != NONSENSE)
            oracle_released(w, number, packet->packet_id);
    }
    b->completed++;
    if (b->unanswered > 0)
        b->unanswered--;
    answer(w, MQTT_PUBCOMP, packet->packet_id,
           known == NULL && w->weather.mqtt5 ? ID_NOT_FOUND : 0);
}

/* ---- what the gateway acknowledges ---- */

static void
handle_acknowledgement(struct world *w, const struct mqtt_packet *packet)
{
    struct copy *c = find_open(&w->broker, packet->packet_id);

    if (c == NULL) {
        if (packet->type == MQTT_PUBREC) /* MQTT 5, 4.3.3 */
            answer(w, MQTT_PUBREL, packet->packet_id, w->weather.mqtt5 ? ID_NOT_FOUND : 0);
        return;
    }
    switch (packet->type) {
    case MQTT_PUBACK:
        if (c->qos == 1)
            complete(w, c);
        break;
    case MQTT_PUBREC:
        if (c->qos != 2)
            break;
        c->state = COPY_RELEASED;
        answer(w, MQTT_PUBREL, packet->packet_id, 0);
        break;
    default: /* PUBCOMP */
        if (c->state == COPY_RELEASED)
            complete(w, c);
        break;
    }
}

/* ---- subscriptions ---- */

static void
send_retained(struct world *w, unsigned f)
{
    for (unsigned t = 0; t < TOPICS_COUNT; t++) {
        uint32_t number = w->broker.retained[t];
        const struct broker_filter *filter = &w->broker.filters[f];

        if (number == 0 || !topics_match(f, t))
            continue;
        add_copy(w, &(struct copy){.number = number,
                                   .qos = oracle_fact(w, number)->qos,
                                   .topic = (uint8_t)t,
                                   .retain = true,
                                   .ids = {filter->id},
                                   .id_count = filter->id != 0});
    }
}

static void
handle_subscribe(struct world *w, const struct mqtt_packet *packet)
{
    unsigned f = topics_find_filter(own_name(w, packet->topic));

    if (f == FILTERS_COUNT || packet->qos != 2) {
        world_fail(w, "the gateway subscribes to what devices want, with QoS 2", "%.*s",
                   (int)packet->topic.len, (const char *)packet->topic.data);
        return;
    }
    if (world_misfortune(w, w->weather.refused_subscribe)) {
        oracle_filter_refused(w, f);
        answer(w, MQTT_SUBACK, packet->packet_id, REFUSED_SUBSCRIPTION);
        return;
    }
    w->broker.filters[f] = (struct broker_filter){
        .held = true,
        .id = packet->subscription_id_count > 0 ? packet->subscription_ids[0] : 0,
        .handled_step = w->step};
    answer(w, MQTT_SUBACK, packet->packet_id, 2);
    if (packet->retain_handling == 0)
        send_retained(w, f);
}

static void
handle_unsubscribe(struct world *w, const struct mqtt_packet *packet)
{
    unsigned f = topics_find_filter(own_name(w, packet->topic));

    if (f < FILTERS_COUNT) {
        w->broker.filters[f].held = false;
    }
    answer(w, MQTT_UNSUBACK, packet->packet_id, 0);
}

void
broker_handle(struct world *w, const struct mqtt_packet *packet)
{
    switch (packet->type) {
    case MQTT_PUBLISH:
        handle_publish(w, packet);
        break;
    case MQTT_PUBREL:
        handle_pubrel(w, packet);
        break;
    case MQTT_SUBSCRIBE:
        w->broker.requests++;
        handle_subscribe(w, packet);
        break;
    case MQTT_UNSUBSCRIBE:
        w->broker.requests++;
        handle_unsubscribe(w, packet);
        break;
    default:
        handle_acknowledgement(w, packet);
        break;
    }
}

/* ---- the session ---- */

void
broker_resume(struct world *w)
{
    struct broker *b = &w->broker;

    for (size_t i = 0; i < b->in_flight; i++) {
        b->out[i].dup = true;
        b->out[i].sent_ms = w->now_ms;
        if (b->out[i].state == COPY_RELEASED)
            answer(w, MQTT_PUBREL, b->out[i].packet_id, 0);
        else
            send_copy(w, &b->out[i]);
    }
    pump(w);
}

void
broker_disconnected(struct world *w)
{
    w->broker.unanswered = 0;
}

void
broker_lose_session(struct world *w)
{
    struct broker *b = &w->broker;

    world_trace(w, "the broker has lost its session, %zu messages with it", b->out_count);
    w->tally->session_losses++;
    for (size_t i = 0; i < b->out_count; i++)
        if (b->out[i].state != COPY_RELEASED)
            oracle_gone(w, b->out[i].number);
    oracle_session_lost(w);
    b->session = false;
    b->out_count = b->in_flight = 0;
    b->received_count = 0;
    for (unsigned f = 0; f < FILTERS_COUNT; f++)
        b->filters[f].held = false;
}

void
broker_init(struct world *w)
{
    w->broker = (struct broker){.reachable = false};
    broker_link_init(w);
}

void
broker_fini(struct world *w)
{
    free(w->broker.out);
    w->broker.out = NULL;
}
