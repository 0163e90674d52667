/* SPDX-License-Identifier: Apache-2.0 */
/* The broker of a random life: it keeps MQTT 5, but connections break and it may lose its session.
 */
#include "engine_life.h"

#include <stdio.h>
#include <string.h>

#include "topic.h"

const char *const life_topics[LIFE_TOPICS] = {"t/1", "t/2", "u/1"};

static void
send_packet(struct life *l, const struct mqtt_packet *packet)
{
    rig_broker_packet(&l->rig, packet);
    life_turn(l);
}

static void
answer(struct life *l, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
    send_packet(l, &(struct mqtt_packet){.type = type, .packet_id = packet_id, .reason = reason});
}

/* ---- messages to the gateway ---- */

static void
send_message(struct life *l, const struct life_message *m, bool dup)
{
    char payload[16];

    snprintf(payload, sizeof payload, "m%u", (unsigned)m->payload);
    send_packet(l, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                         .topic = dm_span_text(life_topics[m->topic]),
                                         .payload = dm_span_text(payload),
                                         .dup = dup,
                                         .qos = m->qos,
                                         .packet_id = m->packet_id,
                                         .subscription_ids = {m->subscription_id},
                                         .subscription_id_count = 1});
}

static struct life_message *
find_open(struct life_broker *b, uint16_t packet_id)
{
    for (size_t i = 0; i < b->open_count; i++)
        if (b->open[i].packet_id == packet_id)
            return &b->open[i];
    return NULL;
}

static uint16_t
new_packet_id(struct life_broker *b)
{
    do
        b->last_packet_id++;
    while (b->last_packet_id == 0 || find_open(b, b->last_packet_id) != NULL);
    return b->last_packet_id;
}

/* Its UNSUBSCRIBE is on the way. */
static bool
is_leaving(const struct life *l, const struct life_filter *f)
{
    char line[32];

    for (size_t i = 0; i < l->broker.packet_count; i++)
        if (l->broker.packets[i].type == MQTT_UNSUBSCRIBE &&
            strcmp(l->broker.packets[i].filter, f->filter) == 0)
            return true;
    snprintf(line, sizeof line, "^ UNSUBSCRIBE %s ", f->filter);
    for (size_t i = 0; i < l->held_count; i++)
        if (strncmp(l->held[i].text, line, strlen(line)) == 0)
            return true;
    return false;
}

/* Whether the gateway has on record for what it gets this copy. */
static bool
gateway_knows(const struct life *l, const struct life_filter *f)
{
    for (size_t i = 0; i < l->latest.rows.count; i++) {
        const struct store_record *row = &l->latest.rows.items[i].record;

        if (row->op == STORE_FILTER_PUT && row->upstream_id == f->id &&
            dm_span_equal(row->name, dm_span_text(f->filter)))
            return !is_leaving(l, f);
    }
    return false;
}

/* One copy for each filter, as Mosquitto does it. */
void
broker_publish(struct life *l)
{
    struct life_broker *b = &l->broker;
    struct life_message copies[LIFE_FILTERS_MAX];
    size_t count = 0;
    uint8_t topic = (uint8_t)life_below(l, LIFE_TOPICS);
    uint8_t qos = (uint8_t)life_below(l, 3);

    if (!b->up || b->open_count + b->filter_count > LIFE_WINDOW)
        return;
    uint32_t payload = life_new_payload(l);

    l->facts[payload].topic = topic;
    l->facts[payload].qos = qos;
    l->facts[payload].published = l->step;
    l->facts[payload].restarts = l->restarts;
    l->facts[payload].certain = true;
    if (qos > 0)
        queue_owe(l, payload);
    for (size_t f = 0; f < b->filter_count; f++) {
        if (!b->filters[f].held ||
            !topic_matches(dm_span_text(b->filters[f].filter), dm_span_text(life_topics[topic])))
            continue;
        copies[count] = (struct life_message){.qos = qos,
                                              .payload = payload,
                                              .topic = topic,
                                              .packet_id = qos > 0 ? new_packet_id(b) : 0,
                                              .subscription_id = b->filters[f].id};
        if (qos > 0)
            b->open[b->open_count++] = copies[count];
        count++;
        if (!gateway_knows(l, &b->filters[f]))
            l->facts[payload].certain = false;
    }
    l->facts[payload].copies = (uint8_t)count;
    for (size_t i = 0; i < count; i++)
        send_message(l, &copies[i], false);
}

void
broker_release(struct life *l)
{
    for (size_t i = 0; i < l->broker.open_count && l->broker.up; i++) {
        if (!l->broker.open[i].released)
            continue;
        answer(l, MQTT_PUBREL, l->broker.open[i].packet_id, 0);
        return;
    }
}

/* ---- what the gateway sends ---- */

static enum mqtt_type
type_of(const char *text)
{
    static const struct {
        const char *name;
        enum mqtt_type type;
    } names[] = {
        {"PUBLISH ", MQTT_PUBLISH},   {"PUBACK ", MQTT_PUBACK},   {"PUBREC ", MQTT_PUBREC},
        {"PUBREL ", MQTT_PUBREL},     {"PUBCOMP ", MQTT_PUBCOMP}, {"SUBSCRIBE ", MQTT_SUBSCRIBE},
        {"UNSUBS", MQTT_UNSUBSCRIBE},
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(text, names[i].name, strlen(names[i].name)) == 0)
            return names[i].type;
    abort();
}

void
broker_gets(struct life *l, const struct life_line *line)
{
    struct life_broker *b = &l->broker;
    struct life_packet packet = {.type = type_of(line->text + 2),
                                 .packet_id = (uint16_t)life_number(line->text, " pid "),
                                 .qos = (uint8_t)life_number(line->text, " qos ")};
    struct life_message *acknowledged;

    if (!b->up)
        life_broken(l, "a packet without a connection", line->text);
    if (packet.type == MQTT_PUBLISH) {
        packet.id = life_number(line->text, "\"d") + life_number(line->text, "\"w");
    } else if (packet.type == MQTT_SUBSCRIBE || packet.type == MQTT_UNSUBSCRIBE) {
        packet.id = life_number(line->text, " id ");
        sscanf(line->text, "^ %*s %15s", packet.filter);
    } else if (packet.type == MQTT_PUBACK || packet.type == MQTT_PUBREC) {
        acknowledged = find_open(b, packet.packet_id);
        if (acknowledged != NULL && !acknowledged->acknowledged) {
            acknowledged->acknowledged = true;
            queue_acknowledged(l, acknowledged);
        }
    }
    if (b->packet_count == LIFE_PACKETS_MAX)
        abort();
    b->packets[b->packet_count++] = packet;
}

static struct life_filter *
filter_of(struct life_broker *b, const char *filter)
{
    for (size_t i = 0; i < b->filter_count; i++)
        if (strcmp(b->filters[i].filter, filter) == 0)
            return &b->filters[i];
    if (b->filter_count == LIFE_FILTERS_MAX)
        abort();
    struct life_filter *f = &b->filters[b->filter_count++];

    *f = (struct life_filter){.held = false};
    memcpy(f->filter, filter, strlen(filter) + 1);
    return f;
}

/* QoS 2 towards the broker: taken at the first PUBLISH, forwarded at PUBREL. */
static void
take_qos2(struct life *l, const struct life_packet *packet)
{
    struct life_broker *b = &l->broker;
    char detail[32];

    if (!b->is_received[packet->packet_id]) {
        b->is_received[packet->packet_id] = true;
        b->received[packet->packet_id] = packet->id;
        promise_taken(l, packet);
        return;
    }
    snprintf(detail, sizeof detail, "%u", (unsigned)packet->packet_id);
    if (b->received[packet->packet_id] != packet->id)
        life_broken(l, "a packet id that is not released, with another message", detail);
}

static void
read_publish(struct life *l, const struct life_packet *packet)
{
    if (packet->qos == 2) {
        take_qos2(l, packet);
        return;
    }
    if (packet->qos == 1)
        promise_taken(l, packet);
    promise_reached(l, packet->id);
}

static void
complete(struct life_broker *b, uint16_t packet_id)
{
    struct life_message *m = find_open(b, packet_id);

    if (m == NULL)
        return;
    b->open_count--;
    memmove(m, m + 1, (size_t)(b->open + b->open_count - m) * sizeof *m);
}

/* What a packet changes at the broker, whether or not the answer arrives. */
static void
handle(struct life *l, const struct life_packet *packet)
{
    struct life_broker *b = &l->broker;
    struct life_message *m;
    struct life_filter *f;

    switch (packet->type) {
    case MQTT_PUBLISH:
        read_publish(l, packet);
        break;
    case MQTT_PUBREL:
        if (b->is_received[packet->packet_id])
            promise_reached(l, b->received[packet->packet_id]);
        b->is_received[packet->packet_id] = false;
        break;
    case MQTT_PUBREC:
        m = find_open(b, packet->packet_id);
        if (m != NULL)
            m->released = true;
        break;
    case MQTT_PUBACK:
    case MQTT_PUBCOMP:
        complete(b, packet->packet_id);
        break;
    default:
        f = filter_of(b, packet->filter);
        f->held = packet->type == MQTT_SUBSCRIBE;
        f->id = packet->id;
    }
}

/* Handles the first packet and answers it. */
void
broker_read(struct life *l)
{
    struct life_broker *b = &l->broker;

    if (!b->up || b->packet_count == 0)
        return;
    struct life_packet packet = b->packets[0];

    memmove(b->packets, b->packets + 1, --b->packet_count * sizeof packet);
    handle(l, &packet);
    if (packet.type == MQTT_SUBSCRIBE)
        filter_of(b, packet.filter)->answered_id = packet.id;
    if (packet.type == MQTT_PUBLISH && packet.qos > 0)
        answer(l, packet.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, packet.packet_id, 0);
    else if (packet.type == MQTT_PUBREL)
        answer(l, MQTT_PUBCOMP, packet.packet_id, 0);
    else if (packet.type == MQTT_PUBREC && (l->calm || !life_one_in(l, 4)))
        answer(l, MQTT_PUBREL, packet.packet_id, 0);
    else if (packet.type == MQTT_SUBSCRIBE)
        answer(l, MQTT_SUBACK, packet.packet_id, 2);
    else if (packet.type == MQTT_UNSUBSCRIBE)
        answer(l, MQTT_UNSUBACK, packet.packet_id, 0);
}

/* ---- the connection ---- */

void
broker_loses_connection(struct life *l)
{
    struct life_broker *b = &l->broker;
    size_t read = life_below(l, (unsigned)b->packet_count + 1);

    for (size_t i = 0; i < read; i++)
        handle(l, &b->packets[i]);
    b->packet_count = 0;
    b->up = false;
    for (size_t i = 0; i < b->open_count; i++)
        b->open[i].acknowledged = b->open[i].released;
    life_withdraw(l, '^'); /* what waited was for this connection */
}

void
broker_down(struct life *l)
{
    if (!l->broker.up)
        return;
    broker_loses_connection(l);
    rig_broker_down(&l->rig);
    life_turn(l);
}

/* What it had not handed over is lost with its session: nobody promised it. */
static void
lose_session(struct life *l)
{
    struct life_broker *b = &l->broker;

    for (size_t i = 0; i < b->open_count; i++)
        if (!b->open[i].released)
            queue_forgive(l, b->open[i].payload);
    b->open_count = 0;
    b->filter_count = 0;
    memset(b->is_received, 0, sizeof b->is_received);
    b->epoch++;
}

void
broker_up(struct life *l)
{
    struct life_broker *b = &l->broker;
    bool present = !engine_needs_clean_start(l->rig.engine) && !b->loses_session &&
                   (l->calm || !life_one_in(l, 10));
    struct life_message again[LIFE_WINDOW];

    if (b->up)
        return;
    b->up = true;
    b->loses_session = false;
    if (!present)
        lose_session(l);
    rig_broker_up(&l->rig, MQTT_5, present);
    life_turn(l);
    size_t count = b->open_count;

    memcpy(again, b->open, sizeof again);
    for (size_t i = 0; i < count; i++) {
        if (again[i].released)
            continue;
        l->facts[again[i].payload].disordered = true;
        send_message(l, &again[i], true);
    }
}
