/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random lives of devices with own connections: datagrams and connections get lost, the broker is
 * away, other gateways take over, the gateway crashes at any point. At the end nothing that was
 * acknowledged is lost, QoS 2 came once, and a clean session has left nothing behind.
 */
#include <string.h>

#include "engine_rig.h"
#include "random.h"
#include "unit.h"

enum { CLIENTS = 2, MESSAGES = 200, QUEUE_MAX = 256, SET_MAX = 64, UP = 7, DOWN = 8 };

struct packet {
    enum mqtt_type type;
    uint16_t id;
    uint8_t qos;
    bool dup;
    unsigned number;
    uint8_t reason;
    uint32_t subscription_id;
};

struct packets {
    struct packet items[QUEUE_MAX];
    size_t count;
};

struct copy {
    unsigned number;
    uint16_t id;
    uint8_t qos;
    uint32_t subscription_id;
    bool sent, released;
};

struct set {
    struct {
        uint16_t id;
        unsigned number;
    } items[SET_MAX];
    size_t count;
};

enum phase { OFF, CONNECTING, ON, LEAVING, ASLEEP, AWAKE };

struct client {
    char name[2];
    /* the process: at most one connection is wanted at a time */
    bool wanted, clean_owed, wiping, up;
    uint64_t connection, wipe_connection;
    struct packets to_broker, to_gateway;
    /* its session at the broker */
    bool exists, subscribed;
    bool elsewhere; /* another gateway has it */
    uint8_t qos;
    uint32_t subscription_id;
    struct copy queue[QUEUE_MAX];
    size_t queued;
    uint16_t last_id;
    struct set received;
    /* the device */
    enum phase phase;
    bool clean, silent, asks_sub, sleeps;
    uint64_t sent_ms;
    enum phase after; /* LEAVING: what comes then */
    unsigned number;  /* of the message under way; 0: none */
    uint8_t up_qos;
    uint16_t msg_id;
    bool releasing, tried;
    struct set has; /* QoS 2 messages that are not released */
};

struct message {
    unsigned client; /* up: whose */
    uint8_t qos;
    bool promised, excused;
    unsigned arrived;            /* up */
    bool entitled[CLIENTS];      /* down */
    unsigned delivered[CLIENTS]; /* down */
    bool two[CLIENTS];           /* down: with QoS 2 */
};

struct held {
    struct engine_effect effect;
    uint8_t octets[8];
};

struct life {
    struct rig rig; /* for its options */
    struct engine *engine;
    struct engine_disk disk;
    struct random_source random;
    uint64_t now_ms, committed;
    enum mqtt_version version;
    bool calm;
    struct client clients[CLIENTS];
    struct message messages[MESSAGES + 1];
    unsigned count;
    struct held held[1024];
    size_t held_count;
    struct held ready[1024];
    size_t ready_count;
    const char *fault;
};

static bool trace_on;
#define TRACE(...)                                                                                 \
    do {                                                                                           \
        if (trace_on)                                                                              \
            printf(__VA_ARGS__);                                                                   \
    } while (0)

static unsigned
below(struct life *l, unsigned limit)
{
    return random_below(&l->random, limit);
}

static bool
misfortune(struct life *l, unsigned per_mille)
{
    return !l->calm && below(l, 1000) < per_mille;
}

static void
broken(struct life *l, const char *fault)
{
    if (l->fault == NULL)
        l->fault = fault;
}

static void
push(struct packets *queue, const struct packet *packet)
{
    if (queue->count == QUEUE_MAX)
        abort();
    queue->items[queue->count++] = *packet;
}

static bool
pull(struct packets *queue, struct packet *packet)
{
    if (queue->count == 0)
        return false;
    *packet = queue->items[0];
    memmove(queue->items, queue->items + 1, --queue->count * sizeof queue->items[0]);
    return true;
}

static size_t
set_find(const struct set *set, uint16_t id)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].id == id)
            return i;
    return SIZE_MAX;
}

static void
set_add(struct set *set, uint16_t id, unsigned number)
{
    if (set->count == SET_MAX)
        abort();
    set->items[set->count].id = id;
    set->items[set->count++].number = number;
}

static void
set_remove(struct set *set, size_t at)
{
    set->items[at] = set->items[--set->count];
}

static unsigned
number_of(struct dm_span data)
{
    return data.len == 2 ? (unsigned)data.data[0] << 8 | data.data[1] : 0;
}

/* ---- the broker's session of a client ---- */

static void
session_gone(struct life *l, struct client *c)
{
    size_t index = (size_t)(c - l->clients);

    c->exists = c->subscribed = false;
    c->queued = 0;
    c->received.count = 0;
    for (unsigned n = 1; n <= l->count; n++)
        l->messages[n].entitled[index] = false;
}

static void
pump(struct client *c)
{
    for (size_t i = 0; c->up && i < c->queued && i < ENGINE_OWN_RECEIVE_MAXIMUM; i++) {
        struct copy *copy = &c->queue[i];

        if (copy->sent)
            continue;
        copy->id = ++c->last_id;
        copy->sent = true;
        push(&c->to_gateway, &(struct packet){.type = MQTT_PUBLISH,
                                              .id = copy->id,
                                              .qos = copy->qos,
                                              .number = copy->number,
                                              .subscription_id = copy->subscription_id});
    }
}

static void
publish(struct life *l)
{
    if (l->count >= MESSAGES || l->calm)
        return;
    unsigned number = ++l->count;
    struct message *m = &l->messages[number];

    m->qos = (uint8_t)(1 + below(l, 2));
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &l->clients[i];
        uint8_t qos = c->qos < m->qos ? c->qos : m->qos;

        if (!c->subscribed || c->queued == QUEUE_MAX || qos == 0)
            continue;
        TRACE("broker: message %u for %s\n", number, c->name);
        m->entitled[i] = true;
        c->queue[c->queued++] =
            (struct copy){.number = number, .qos = qos, .subscription_id = c->subscription_id};
        pump(c);
    }
}

static void
copy_done(struct client *c, size_t at)
{
    memmove(&c->queue[at], &c->queue[at + 1], (--c->queued - at) * sizeof c->queue[0]);
    pump(c);
}

static void
broker_takes(struct life *l, struct client *c, const struct packet *p)
{
    size_t at;

    TRACE("broker <- %s %s pid %u number %u\n", c->name, mqtt_type_name(p->type), p->id, p->number);
    switch (p->type) {
    case MQTT_PUBLISH:
        if (p->qos == 1)
            l->messages[p->number].arrived++;
        else if (set_find(&c->received, p->id) == SIZE_MAX)
            set_add(&c->received, p->id, p->number);
        push(&c->to_gateway,
             &(struct packet){.type = p->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, .id = p->id});
        break;
    case MQTT_PUBREL:
        at = set_find(&c->received, p->id);
        if (at != SIZE_MAX) {
            if (++l->messages[c->received.items[at].number].arrived > 1)
                broken(l, "QoS 2 of a device reaches the broker once");
            set_remove(&c->received, at);
        }
        push(&c->to_gateway, &(struct packet){.type = MQTT_PUBCOMP,
                                              .id = p->id,
                                              .reason = at == SIZE_MAX ? 0x92 : 0});
        break;
    case MQTT_SUBSCRIBE:
        c->subscribed = true;
        c->qos = p->qos;
        c->subscription_id = p->subscription_id;
        push(&c->to_gateway, &(struct packet){.type = MQTT_SUBACK, .id = p->id, .reason = p->qos});
        break;
    case MQTT_UNSUBSCRIBE:
        c->subscribed = false;
        push(&c->to_gateway, &(struct packet){.type = MQTT_UNSUBACK, .id = p->id});
        break;
    default:
        for (at = 0; at < c->queued; at++)
            if (c->queue[at].sent && c->queue[at].id == p->id)
                break;
        if (at == c->queued)
            break;
        if (p->type == MQTT_PUBREC) {
            c->queue[at].released = true;
            push(&c->to_gateway, &(struct packet){.type = MQTT_PUBREL, .id = p->id});
        } else if (c->queue[at].qos == (p->type == MQTT_PUBACK ? 1 : 2)) {
            copy_done(c, at);
        }
        break;
    }
}

/* ---- the process: what the engine wants is carried out later, perhaps ---- */

static void
turn_over(struct life *l)
{
    engine_disk_end_turn(&l->disk);
    if (l->disk.fault != NULL)
        broken(l, l->disk.fault);
}

static void
connection_lost(struct client *c)
{
    c->up = false;
    c->to_broker.count = c->to_gateway.count = 0;
}

static void
drop_held(struct life *l, uint64_t connection)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->held_count; i++)
        if (l->held[i].effect.type != ENGINE_UPSTREAM || l->held[i].effect.connection != connection)
            l->held[kept++] = l->held[i];
    l->held_count = kept;
}

/* As in the runner: nothing is told of a connection whose end is held. */
static bool
is_over(const struct life *l, const struct client *c)
{
    for (size_t i = 0; i < l->held_count; i++)
        if (l->held[i].effect.type == ENGINE_CLOSE && l->held[i].effect.connection == c->connection)
            return true;
    return false;
}

static void
cut(struct life *l, struct client *c, enum upstream_end why)
{
    uint64_t connection = c->connection;

    TRACE("cut %s %d\n", c->name, (int)why);
    connection_lost(c);
    if (why != UPSTREAM_LOST)
        c->wanted = false;
    drop_held(l, connection);
    if (is_over(l, c))
        return;
    engine_upstream_disconnected(l->engine, l->now_ms, connection, why);
    turn_over(l);
}

static void
dial(struct life *l, struct client *c)
{
    if (c->wiping && below(l, 2) == 0) {
        TRACE("wiped %s\n", c->name);
        session_gone(l, c);
        c->wiping = false;
        engine_upstream_wiped(l->engine, l->now_ms, c->wipe_connection);
        turn_over(l);
        return;
    }
    if (!c->wanted || c->up || is_over(l, c))
        return;
    if (misfortune(l, 200)) {
        cut(l, c, UPSTREAM_LOST);
        return;
    }
    if (c->clean_owed)
        session_gone(l, c);
    c->clean_owed = false;
    bool present = c->exists;

    TRACE("connected %s, session %d\n", c->name, present);
    c->exists = c->up = true;
    c->elsewhere = false;
    engine_upstream_connected(
        l->engine, l->now_ms, c->connection,
        &(struct upstream_session){.version = l->version,
                                   .session_present = present,
                                   .send_maximum = 10,
                                   .maximum_qos = 2,
                                   .retain_available = true,
                                   .subscription_ids_available = l->version == MQTT_5});
    turn_over(l);
    for (size_t i = 0; i < c->queued; i++) {
        const struct copy *copy = &c->queue[i];

        if (copy->sent)
            push(&c->to_gateway,
                 &(struct packet){.type = copy->released ? MQTT_PUBREL : MQTT_PUBLISH,
                                  .id = copy->id,
                                  .qos = copy->released ? 0 : copy->qos,
                                  .dup = !copy->released,
                                  .number = copy->number,
                                  .subscription_id = copy->subscription_id});
    }
    pump(c);
}

static void
tell_gateway(struct life *l, struct client *c)
{
    struct packet p;
    uint8_t data[2];

    if (!c->up || !pull(&c->to_gateway, &p) || is_over(l, c))
        return;
    data[0] = (uint8_t)(p.number >> 8);
    data[1] = (uint8_t)p.number;
    TRACE("broker -> %s %s pid %u number %u\n", c->name, mqtt_type_name(p.type), p.id, p.number);
    engine_upstream_packet(
        l->engine, l->now_ms, c->connection,
        &(struct mqtt_packet){
            .type = p.type,
            .packet_id = p.id,
            .qos = p.qos,
            .dup = p.dup,
            .reason = p.reason,
            .topic = p.type == MQTT_PUBLISH ? dm_span_text("yard/lamp") : (struct dm_span){0},
            .payload = p.type == MQTT_PUBLISH ? dm_span(data, 2) : (struct dm_span){0},
            .subscription_ids = {p.subscription_id},
            .subscription_id_count = p.subscription_id != 0});
    turn_over(l);
}

/* ---- the device ---- */

static void
say(struct life *l, struct client *c, const struct mqttsn_packet *packet)
{
    struct dm_address from = {.len = 1, .octets = {(uint8_t)c->name[0]}};

    c->sent_ms = l->now_ms;
    TRACE("%s says %s msg %u\n", c->name, mqttsn_type_name(packet->type), packet->msg_id);
    if (misfortune(l, 100))
        return;
    engine_datagram(l->engine, l->now_ms, &from, packet);
    turn_over(l);
}

static void
say_connect(struct life *l, struct client *c)
{
    say(l, c,
        &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                .protocol_id = MQTTSN_PROTOCOL_ID,
                                .clean_session = c->clean,
                                .duration_s = 60,
                                .client_id = dm_span_text(c->name)});
}

static void
say_publish(struct life *l, struct client *c)
{
    uint8_t data[2] = {(uint8_t)(c->number >> 8), (uint8_t)c->number};
    bool dup = c->tried;

    c->tried = true;
    if (c->releasing)
        say(l, c, &(struct mqttsn_packet){.type = MQTTSN_PUBREL, .msg_id = c->msg_id});
    else
        say(l, c,
            &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                    .qos = (int8_t)c->up_qos,
                                    .dup = dup,
                                    .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                    .topic_id = UP,
                                    .msg_id = c->msg_id,
                                    .data = dm_span(data, 2)});
}

static void
begin_connection(struct life *l, struct client *c)
{
    /* Never back to a persistent one: MQTT-SN does not tell the device whether a session is left
     * that began clean. */
    c->clean = c->clean || (!l->calm && below(l, 12) == 0);
    if (c->clean) {
        c->has.count = 0;
        c->number = 0;
    }
    c->phase = CONNECTING;
    c->silent = c->asks_sub = false;
    say_connect(l, c);
}

static void
leave(struct life *l, struct client *c, bool sleeps)
{
    c->phase = LEAVING;
    c->after = sleeps ? ASLEEP : OFF;
    say(l, c,
        &(struct mqttsn_packet){
            .type = MQTTSN_DISCONNECT, .has_duration = sleeps, .duration_s = sleeps ? 200 : 0});
}

static void
begin_something(struct life *l, struct client *c)
{
    switch (l->calm ? 9 : below(l, 8)) {
    case 0:
    case 1:
    case 2:
        if (l->count >= MESSAGES)
            break;
        c->number = ++l->count;
        c->up_qos = (uint8_t)(1 + below(l, 2));
        c->msg_id = (uint16_t)(c->msg_id % 9000 + 1);
        c->releasing = c->tried = false;
        l->messages[c->number] =
            (struct message){.client = (unsigned)(c - l->clients), .qos = c->up_qos};
        say_publish(l, c);
        break;
    case 3:
        c->asks_sub = true;
        break;
    case 4:
        leave(l, c, false);
        break;
    case 5:
        leave(l, c, true);
        break;
    case 6:
        c->silent = true; /* out of reach for a while */
        c->phase = OFF;
        break;
    default:
        break;
    }
}

/* Its gateway may wait for it, since another one has taken over. */
static bool
is_owed(const struct life *l, const struct client *c)
{
    for (unsigned n = 1; n <= l->count; n++)
        if (l->messages[n].promised && !l->messages[n].excused && l->messages[n].arrived == 0 &&
            &l->clients[l->messages[n].client] == c)
            return true;
    return false;
}

static void
device_acts(struct life *l, struct client *c)
{
    switch (c->phase) {
    case OFF:
        if (!l->calm || !c->clean || is_owed(l, c))
            begin_connection(l, c);
        break;
    case CONNECTING:
        say_connect(l, c);
        break;
    case LEAVING:
        leave(l, c, c->after == ASLEEP);
        break;
    case ASLEEP:
        if (l->calm || below(l, 3) == 0) {
            begin_connection(l, c);
            break;
        }
        c->phase = AWAKE;
        say(l, c,
            &(struct mqttsn_packet){.type = MQTTSN_PINGREQ, .client_id = dm_span_text(c->name)});
        break;
    case AWAKE:
        say(l, c,
            &(struct mqttsn_packet){.type = MQTTSN_PINGREQ, .client_id = dm_span_text(c->name)});
        break;
    case ON:
        if (c->number != 0)
            say_publish(l, c);
        else if (c->asks_sub)
            say(l, c,
                &(struct mqttsn_packet){.type = MQTTSN_SUBSCRIBE,
                                        .qos = 2,
                                        .msg_id = 9999,
                                        .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                        .topic_id = DOWN});
        else if (l->calm && c->clean)
            leave(l, c, false);
        else if (l->now_ms - c->sent_ms > 15000)
            say(l, c, &(struct mqttsn_packet){.type = MQTTSN_PINGREQ});
        else
            begin_something(l, c);
        break;
    }
}

static void
device_gets_message(struct life *l, struct client *c, const struct mqttsn_packet *p)
{
    size_t index = (size_t)(c - l->clients);
    struct message *m = &l->messages[number_of(p->data)];
    bool known = p->qos == 2 && set_find(&c->has, p->msg_id) != SIZE_MAX;

    if (!known) {
        m->delivered[index]++;
        if (p->qos == 2 && m->two[index])
            broken(l, "QoS 2 comes to a device once");
        m->two[index] = m->two[index] || p->qos == 2;
        TRACE("%s has message %u\n", c->name, number_of(p->data));
    }
    if (p->qos == 2 && !known)
        set_add(&c->has, p->msg_id, number_of(p->data));
    if (p->qos == 1)
        say(l, c,
            &(struct mqttsn_packet){
                .type = MQTTSN_PUBACK, .topic_id = p->topic_id, .msg_id = p->msg_id});
    else
        say(l, c, &(struct mqttsn_packet){.type = MQTTSN_PUBREC, .msg_id = p->msg_id});
}

static void
device_hears(struct life *l, struct client *c, const struct mqttsn_packet *p)
{
    bool mine = c->number != 0 && c->msg_id == p->msg_id;
    size_t at;

    if (c->phase == OFF || misfortune(l, 100))
        return;
    TRACE("%s hears %s msg %u code %d\n", c->name, mqttsn_type_name(p->type), p->msg_id,
          (int)p->return_code);
    switch (p->type) {
    case MQTTSN_CONNACK:
        if (c->phase == CONNECTING)
            c->phase = p->return_code == MQTTSN_ACCEPTED ? ON : OFF;
        break;
    case MQTTSN_DISCONNECT:
        c->phase = c->phase == LEAVING ? c->after : OFF;
        break;
    case MQTTSN_PINGRESP:
        if (c->phase == AWAKE)
            c->phase = ASLEEP;
        break;
    case MQTTSN_PUBACK:
        if (!mine || c->releasing || p->return_code == MQTTSN_CONGESTION)
            break;
        if (p->return_code == MQTTSN_ACCEPTED && c->up_qos == 1)
            l->messages[c->number].promised = true;
        c->number = 0;
        break;
    case MQTTSN_PUBREC:
        if (!mine || c->up_qos != 2)
            break;
        l->messages[c->number].promised = true;
        c->releasing = true;
        say_publish(l, c);
        break;
    case MQTTSN_PUBCOMP:
        if (mine && c->releasing)
            c->number = 0;
        break;
    case MQTTSN_SUBACK:
        c->asks_sub = c->asks_sub && p->return_code == MQTTSN_CONGESTION;
        break;
    case MQTTSN_REGISTER:
        say(l, c,
            &(struct mqttsn_packet){
                .type = MQTTSN_REGACK, .topic_id = p->topic_id, .msg_id = p->msg_id});
        break;
    case MQTTSN_PUBLISH:
        if (c->phase == ON || c->phase == AWAKE || c->phase == LEAVING)
            device_gets_message(l, c, p);
        break;
    case MQTTSN_PUBREL:
        at = set_find(&c->has, p->msg_id);
        if (at != SIZE_MAX)
            set_remove(&c->has, at);
        say(l, c, &(struct mqttsn_packet){.type = MQTTSN_PUBCOMP, .msg_id = p->msg_id});
        break;
    default:
        break;
    }
}

/* ---- effects ---- */

static enum dm_result
emit(void *ctx, const struct engine_effect *effect)
{
    struct life *l = ctx;
    bool now = effect->needs <= l->committed;
    size_t kept = 0;

    if (effect->type == ENGINE_RECORD) {
        engine_disk_append(&l->disk, effect);
        return DM_OK;
    }
    if (effect->type == ENGINE_WITHDRAW) {
        for (size_t i = 0; i < l->held_count; i++)
            if (l->held[i].effect.type != ENGINE_SEND ||
                !dm_address_equal(&l->held[i].effect.address, &effect->address))
                l->held[kept++] = l->held[i];
        l->held_count = kept;
        return DM_OK;
    }
    size_t *count = now ? &l->ready_count : &l->held_count;
    struct held *held = now ? &l->ready[(*count)++] : &l->held[(*count)++];

    if (*count == sizeof l->held / sizeof l->held[0])
        abort();
    held->effect = *effect;
    memset(held->octets, 0, sizeof held->octets);
    struct dm_span data = effect->type == ENGINE_SEND       ? effect->packet.data
                          : effect->type == ENGINE_UPSTREAM ? effect->upstream.payload
                                                            : effect->open.client_id;
    if (data.len > 0 && data.len < sizeof held->octets)
        memcpy(held->octets, data.data, data.len);
    return DM_OK;
}

static struct client *
client_named(struct life *l, uint8_t name)
{
    return &l->clients[name - 'A'];
}

static void
do_upstream(struct life *l, const struct held *h)
{
    const struct mqtt_packet *p = &h->effect.upstream;

    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &l->clients[i];

        if (!c->up || c->connection != h->effect.connection)
            continue;
        push(&c->to_broker,
             &(struct packet){.type = p->type,
                              .id = p->packet_id,
                              .qos = p->qos,
                              .number = (unsigned)h->octets[0] << 8 | h->octets[1],
                              .subscription_id =
                                  p->subscription_id_count > 0 ? p->subscription_ids[0] : 0});
    }
}

static void
execute(struct life *l, struct held *h)
{
    struct client *c;

    switch (h->effect.type) {
    case ENGINE_SEND:
        c = client_named(l, h->effect.address.octets[0]);
        h->effect.packet.data.data = h->octets;
        device_hears(l, c, &h->effect.packet);
        break;
    case ENGINE_UPSTREAM:
        do_upstream(l, h);
        break;
    case ENGINE_OPEN:
        c = client_named(l, h->octets[0]);
        TRACE("OPEN %s %u clean %d\n", c->name, (unsigned)h->effect.connection,
              h->effect.open.clean_start);
        if (c->wanted || c->wiping)
            broken(l, "a client has one connection at a time");
        c->wanted = true;
        c->connection = h->effect.connection;
        c->clean_owed = h->effect.open.clean_start;
        break;
    case ENGINE_CLOSE:
        c = client_named(l, h->octets[0]);
        TRACE("CLOSE %s %u wipe %d\n", c->name, (unsigned)h->effect.connection,
              h->effect.close.wipe);
        if (c->connection == h->effect.connection) {
            connection_lost(c);
            c->wanted = false;
        }
        if (h->effect.close.wipe) {
            c->wiping = true;
            c->wipe_connection = h->effect.connection;
        } else if (c->wipe_connection == h->effect.connection) {
            c->wiping = false;
        }
        drop_held(l, h->effect.connection);
        break;
    default:
        break;
    }
}

/* What may leave does, in order; what follows from it may leave as well. */
static void
run_ready(struct life *l)
{
    while (l->ready_count > 0) {
        struct held first = l->ready[0];

        memmove(l->ready, l->ready + 1, --l->ready_count * sizeof first);
        execute(l, &first);
    }
}

static void
commit(struct life *l)
{
    size_t kept = 0;

    l->committed = engine_disk_commit(&l->disk, l->disk.seq);
    for (size_t i = 0; i < l->held_count; i++) {
        if (l->held[i].effect.needs <= l->committed)
            l->ready[l->ready_count++] = l->held[i];
        else
            l->held[kept++] = l->held[i];
    }
    l->held_count = kept;
    run_ready(l);
    engine_committed(l->engine, l->now_ms, l->committed);
    turn_over(l);
}

static void
start(struct life *l)
{
    l->engine = engine_new(&l->rig.options, emit, l);
    if (l->engine == NULL || engine_disk_load(&l->disk, l->engine) != DM_OK)
        abort();
    engine_start(l->engine, l->now_ms);
    turn_over(l);
}

static void
crash(struct life *l)
{
    TRACE("CRASH\n");
    engine_free(l->engine);
    l->held_count = l->ready_count = 0;
    engine_disk_crash(&l->disk);
    l->committed = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *c = &l->clients[i];

        connection_lost(c);
        c->wanted = c->wiping = c->clean_owed = false;
    }
    start(l);
}

/* ---- a life ---- */

static void
wait(struct life *l, uint64_t ms)
{
    uint64_t end = l->now_ms + ms;
    uint64_t due;

    while ((due = engine_next_deadline(l->engine)) <= end) {
        l->now_ms = due > l->now_ms ? due : l->now_ms;
        engine_time(l->engine, l->now_ms);
        turn_over(l);
        commit(l);
    }
    l->now_ms = end;
}

static void
strike(struct life *l, struct client *c)
{
    switch (below(l, 24)) {
    case 0:
        crash(l);
        break;
    case 1:
    case 2:
        if (c->up)
            cut(l, c, UPSTREAM_LOST);
        break;
    case 3:
        if (!c->up || below(l, 3) != 0)
            break;
        if (c->clean) { /* it began a clean session there, too, which ends exchanges half done */
            for (size_t i = 0; i < c->received.count; i++)
                l->messages[c->received.items[i].number].excused = true;
            session_gone(l, c);
            c->exists = true;
        }
        c->elsewhere = true;
        cut(l, c, UPSTREAM_TAKEN_OVER);
        break;
    case 4: /* out of reach until the gateway takes it for lost */
        if (below(l, 4) == 0)
            wait(l, 100000);
        break;
    default:
        break;
    }
}

static void
step(struct life *l)
{
    struct client *c = &l->clients[below(l, CLIENTS)];
    struct packet p;

    switch (below(l, 10)) {
    case 0:
        if (l->now_ms - c->sent_ms > 2000 || c->phase == ON)
            device_acts(l, c);
        break;
    case 1:
        publish(l);
        break;
    case 2:
        dial(l, c);
        break;
    case 3:
    case 4:
        tell_gateway(l, c);
        break;
    case 5:
    case 6:
        if (c->up && pull(&c->to_broker, &p))
            broker_takes(l, c, &p);
        break;
    case 7:
        wait(l, below(l, 3000));
        break;
    case 8:
        if (!l->calm)
            strike(l, c);
        break;
    default:
        commit(l);
        break;
    }
    run_ready(l);
    if (!l->calm && below(l, 3) == 0)
        return; /* what is not durable yet waits, or gets lost */
    commit(l);
}

static void
check(struct life *l)
{
    for (unsigned n = 1; n <= l->count; n++) {
        const struct message *m = &l->messages[n];

        if (m->promised && !m->excused && m->arrived == 0)
            broken(l, "what a device was told is safe reaches the broker");
        for (unsigned i = 0; i < CLIENTS; i++)
            if (m->entitled[i] && m->delivered[i] == 0 && !l->clients[i].elsewhere)
                broken(l, "what the broker has for a device reaches it");
        if (l->fault != NULL) {
            TRACE("message %u\n", n);
            return;
        }
    }
    size_t sessions = 0;
    size_t owned = 0;

    for (unsigned i = 0; i < CLIENTS; i++) {
        sessions += !l->clients[i].clean;
        if (l->clients[i].elsewhere) /* what it left may wait here until it is back */
            return;
        if (l->clients[i].clean && l->clients[i].exists)
            broken(l, "a clean session leaves nothing at the broker");
    }
    for (size_t i = 0; i < l->disk.rows.count; i++) {
        const struct store_record *r = &l->disk.rows.items[i].record;

        owned += r->op == STORE_SESSION_PUT;
        if (r->op == STORE_SPOOL_PUT || r->op == STORE_DELIVERY_PUT || r->op == STORE_MESSAGE_PUT)
            broken(l, "what is done leaves no row");
    }
    if (owned != sessions)
        broken(l, "a clean session leaves no row");
    owned = 0;
    for (size_t i = 0; i < l->disk.rows.count; i++)
        owned += l->disk.rows.items[i].record.op == STORE_BROKER_PUT;
    if (owned != sessions)
        broken(l, "a wipe is owed until it is done, and no longer");
}

static bool
live(struct life *l, struct random_source random)
{
    memset(l, 0, sizeof *l);
    rig_init(&l->rig);
    l->random = random;
    l->rig.options.settings.own = true;
    l->rig.options.settings.hold_at_broker = below(l, 2) == 0;
    l->rig.options.settings.queue_messages = MESSAGES;
    l->rig.options.spool_bytes = 1000000;
    l->rig.options.max_clients = 1000;
    l->version = below(l, 3) == 0 ? MQTT_3_1_1 : MQTT_5;
    l->now_ms = 1000000;
    engine_disk_init(&l->disk);
    for (unsigned i = 0; i < CLIENTS; i++)
        l->clients[i] = (struct client){.name = {(char)('A' + i)}};
    start(l);
    for (unsigned i = 0; i < 1500 && l->fault == NULL; i++)
        step(l);
    TRACE("CALM\n");
    l->calm = true;
    for (unsigned i = 0; i < 4000 && l->fault == NULL; i++)
        step(l);
    if (l->fault == NULL)
        check(l);
    engine_free(l->engine);
    engine_disk_fini(&l->disk);
    rig_fini(&l->rig);
    return l->fault == NULL;
}

static void
promises_are_kept_whatever_happens(void)
{
    static struct life l;
    struct random_source seeds = random_start("own-lives", 1);
    const char *only = getenv("DORMOUSE_LIFE");
    unsigned lives =
        getenv("DORMOUSE_LIVES") != NULL ? (unsigned)atoi(getenv("DORMOUSE_LIVES")) : 150;
    bool good = true;

    for (unsigned life = 0; life < lives && good; life++) {
        struct random_source random = {random_next(&seeds)};

        trace_on = only != NULL && (unsigned)atoi(only) == life;
        good = live(&l, random);
        if (!good)
            printf("life %u (DORMOUSE_LIFE=%u traces it): %s\n", life, life, l.fault);
        CU_ASSERT_TRUE(good);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(promises_are_kept_whatever_happens),
};
UNIT_MAIN("lives with own connections", tests)
