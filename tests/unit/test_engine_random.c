/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine under a long random life: five devices and a broker that behave, radio and nonsense
 * that do not, commits that come late, crashes that lose what was not committed. After every step
 * the promises of design 1 are checked; DORMOUSE_SEED repeats a run, DORMOUSE_STEPS changes its
 * length.
 */
#include "unit.h"

#include <stdio.h>

#include <dormouse/log.h>

#include "engine_rig.h"
#include "random.h"
#include "topic.h"

enum {
    STEPS = 200000,
    DEVICES = 5,
    ADDRESSES = 256,
    WINDOW = 40,        /* messages the broker has open towards the gateway */
    REQUESTS_MAX = 512, /* packets of the gateway on their way to the broker */
    HELD_MAX = 256,     /* answers to devices that wait for the disk */
    OWED_MAX = 4096,
    FILTERS_MAX = 16,
    SESSIONS = 4096,
};

/* A message of the broker, not completed. */
struct open_message {
    uint16_t packet_id;
    uint8_t qos;
    bool released; /* QoS 2: PUBREC was seen, PUBREL is due */
    char topic[8];
    uint32_t payload;
    uint32_t subscription_id;
};

/* A packet of the gateway that the broker has not handled. */
struct upstream_line {
    enum mqtt_type type;
    uint16_t packet_id;
    uint32_t id; /* subscription identifier, or the number in the payload */
    uint64_t needs;
    char filter[16];
};

struct held_filter {
    char filter[16];
    uint32_t id;
    uint32_t answered_id; /* of the last SUBACK */
    bool held;
};

/* A device as it sees itself. */
struct device {
    uint16_t next_msg_id;
    uint32_t last_uplink; /* payload of the last PUBLISH */
    uint16_t last_uplink_msg_id;
    uint16_t offered_msg_id; /* of the last PUBLISH received */
    uint32_t offered_payload;
    uint16_t register_msg_id, register_topic_id; /* of the last REGISTER received */
};

/* What somebody was promised: session `session` still gets `payload`. */
struct owed {
    uint64_t session;
    uint32_t payload;
    const char *topic;
};

/* What a session may lose: the drops that the engine counted for it. */
struct account {
    uint64_t dropped_before; /* in earlier lives of the gateway */
    uint64_t dropped;
    uint64_t gone; /* owed, and neither with the broker nor on disk nor delivered */
};

struct binding {
    bool bound;
    enum engine_state state;
    char client; /* first letter of its client id */
};

struct life {
    struct rig rig;
    struct random_source source;
    uint64_t committed;
    bool broker_up;
    bool full;
    unsigned crash_in; /* steps; 0: none planned */
    struct store_record *snapshot;
    size_t snapshot_count;
    uint64_t snapshot_seq;

    struct device devices[DEVICES];
    struct binding bindings[ADDRESSES]; /* before the step, by address */
    char stepping;                      /* address the step's datagram came from; 0: none */
    enum mqttsn_type stepping_type;

    struct open_message open[WINDOW];
    size_t open_count;
    struct upstream_line requests[REQUESTS_MAX];
    size_t request_count;
    struct held_filter filters[FILTERS_MAX];
    size_t filter_count;
    uint16_t next_packet_id;
    uint32_t next_payload;

    uint64_t held[HELD_MAX]; /* numbers that acknowledged uplinks depend on */
    uint32_t held_payload[HELD_MAX];
    size_t held_count;
    uint8_t *acknowledged; /* bit 1: to the device; bit 2: the broker has it; by payload */
    uint32_t payload_room;

    struct owed owed[OWED_MAX];
    size_t owed_count;
    struct account accounts[SESSIONS]; /* by number; a crash may bring an older one back */
    unsigned restarts, deliveries, uplinks, gone;
};

static const char *const topics[] = {"t/1", "t/2", "u/1"};
static const char *const filters[] = {"t/1", "t/+", "t/#", "u/1", "#"};

static unsigned
below(struct life *l, unsigned limit)
{
    return random_below(&l->source, limit);
}

static bool
one_in(struct life *l, unsigned n)
{
    return below(l, n) == 0;
}

/* ---- what the rows say ---- */

static bool
is_payload(const struct store_record *row, uint32_t payload)
{
    char text[16];

    snprintf(text, sizeof text, "m%u", (unsigned)payload);
    return dm_span_equal(row->payload, dm_span_text(text));
}

/* Whether the disk has the message in the queue of the session. */
static bool
rows_have(const struct life *l, uint64_t session, uint32_t payload)
{
    for (size_t i = 0; i < l->rig.row_count; i++) {
        const struct store_record *message = &l->rig.rows[i];

        if (message->op != STORE_MESSAGE_PUT || !is_payload(message, payload))
            continue;
        for (size_t j = 0; j < l->rig.row_count; j++) {
            const struct store_record *row = &l->rig.rows[j];

            if (row->op == STORE_DELIVERY_PUT && row->session == session &&
                row->message == message->message)
                return true;
        }
    }
    return false;
}

/* A session that ended, or does not want the topic any more, is owed nothing. */
static bool
still_wants(const struct life *l, uint64_t session, const char *topic)
{
    for (size_t i = 0; i < l->rig.row_count; i++) {
        const struct store_record *row = &l->rig.rows[i];

        if (row->op == STORE_SUBSCRIPTION_PUT && row->session == session && row->qos > 0 &&
            topic_matches(row->name, dm_span_text(topic)))
            return true;
    }
    return false;
}

static uint64_t
session_number(const struct life *l, char client)
{
    for (size_t i = 0; i < l->rig.row_count; i++) {
        const struct store_record *row = &l->rig.rows[i];

        if (row->op == STORE_SESSION_PUT && row->client_id.data[0] == (uint8_t)client)
            return row->session;
    }
    return 0;
}

/* ---- what is owed ---- */

static void
owe(struct life *l, uint64_t session, uint32_t payload, const char *topic)
{
    for (size_t i = 0; i < l->owed_count; i++)
        if (l->owed[i].session == session && l->owed[i].payload == payload)
            return;
    if (l->owed_count == OWED_MAX)
        abort();
    l->owed[l->owed_count++] = (struct owed){session, payload, topic};
}

static void
paid(struct life *l, uint64_t session, uint32_t payload)
{
    for (size_t i = 0; i < l->owed_count; i++)
        if (l->owed[i].session == session && l->owed[i].payload == payload)
            l->owed[i--] = l->owed[--l->owed_count];
}

static bool
is_open(const struct life *l, uint32_t payload)
{
    for (size_t i = 0; i < l->open_count; i++)
        if (l->open[i].payload == payload && !l->open[i].released)
            return true;
    return false;
}

static void
note_drops(void *ctx, const struct engine_session_status *session)
{
    struct life *l = ctx;
    uint64_t number = session_number(l, (char)session->client_id.data[0]);

    l->accounts[number % SESSIONS].dropped = session->dropped;
}

/* The engine that counted them ends. */
static void
close_accounts(struct life *l)
{
    engine_each_session(l->rig.engine, l->rig.now_ms, note_drops, l);
    for (size_t i = 0; i < SESSIONS; i++) {
        l->accounts[i].dropped_before += l->accounts[i].dropped;
        l->accounts[i].dropped = 0;
    }
}

static void
charge(struct life *l, uint64_t session)
{
    struct account *a = &l->accounts[session % SESSIONS];

    l->gone++;
    if (++a->gone > a->dropped_before + a->dropped)
        CU_FAIL_FATAL("acknowledged to the broker and gone, and no drop counted");
}

/* What the broker does not keep any more must be on disk, until the device has it. */
static void
check_owed(struct life *l)
{
    engine_each_session(l->rig.engine, l->rig.now_ms, note_drops, l);
    for (size_t i = 0; i < l->owed_count; i++) {
        struct owed o = l->owed[i];

        if (is_open(l, o.payload) || rows_have(l, o.session, o.payload))
            continue;
        l->owed[i--] = l->owed[--l->owed_count];
        if (still_wants(l, o.session, o.topic))
            charge(l, o.session);
    }
}

/* ---- the broker ---- */

static struct held_filter *
broker_filter(struct life *l, const char *filter)
{
    for (size_t i = 0; i < l->filter_count; i++)
        if (strcmp(l->filters[i].filter, filter) == 0)
            return &l->filters[i];
    if (l->filter_count == FILTERS_MAX)
        abort();
    struct held_filter *f = &l->filters[l->filter_count++];

    snprintf(f->filter, sizeof f->filter, "%s", filter);
    return f;
}

static void
broker_send_open(struct life *l, const struct open_message *m, bool dup)
{
    char payload[16];

    snprintf(payload, sizeof payload, "m%u", (unsigned)m->payload);
    rig_broker_packet(&l->rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                     .topic = dm_span_text(m->topic),
                                                     .payload = dm_span_text(payload),
                                                     .dup = dup,
                                                     .qos = m->qos,
                                                     .packet_id = m->packet_id,
                                                     .subscription_ids = {m->subscription_id},
                                                     .subscription_id_count = 1});
}

static bool
packet_id_is_open(const struct life *l, uint16_t packet_id)
{
    for (size_t i = 0; i < l->open_count; i++)
        if (l->open[i].packet_id == packet_id)
            return true;
    return packet_id == 0;
}

/* Every session gets the message that has a subscription of QoS 1 which the broker holds, and
 * acknowledged. */
static void
owe_to_subscribers(struct life *l, const char *topic, uint32_t payload)
{
    for (size_t i = 0; i < l->rig.row_count; i++) {
        const struct store_record *row = &l->rig.rows[i];

        if (row->op != STORE_SUBSCRIPTION_PUT || row->qos == 0)
            continue;
        for (size_t f = 0; f < l->filter_count; f++)
            if (l->filters[f].held && row->upstream_id <= l->filters[f].answered_id &&
                dm_span_equal(row->name, dm_span_text(l->filters[f].filter)) &&
                topic_matches(row->name, dm_span_text(topic)))
                owe(l, row->session, payload, topic);
    }
}

/* One copy for each filter, as Mosquitto does it. */
static void
broker_publish(struct life *l)
{
    const char *topic = topics[below(l, 3)];
    uint8_t qos = (uint8_t)below(l, 3);

    if (!l->broker_up || l->open_count + l->filter_count > WINDOW)
        return;
    uint32_t payload = ++l->next_payload;
    if (qos > 0)
        owe_to_subscribers(l, topic, payload);
    for (size_t f = 0; f < l->filter_count; f++) {
        struct open_message m = {
            .qos = qos, .payload = payload, .subscription_id = l->filters[f].id};

        if (!l->filters[f].held ||
            !topic_matches(dm_span_text(l->filters[f].filter), dm_span_text(topic)))
            continue;
        snprintf(m.topic, sizeof m.topic, "%s", topic);
        if (qos > 0) {
            while (packet_id_is_open(l, l->next_packet_id))
                l->next_packet_id++;
            m.packet_id = l->next_packet_id;
            l->open[l->open_count++] = m;
        }
        broker_send_open(l, &m, false);
    }
}

static void
broker_takes(struct life *l, uint16_t packet_id, enum mqtt_type type)
{
    for (size_t i = 0; i < l->open_count; i++) {
        struct open_message *m = &l->open[i];

        if (m->packet_id != packet_id)
            continue;
        if (type == MQTT_PUBREC) {
            m->released = true;
        } else {
            memmove(m, m + 1, (l->open_count - i - 1) * sizeof *m);
            l->open_count--;
        }
        return;
    }
}

/* What a request changes at the broker, whether or not the answer arrives. */
static void
broker_handles(struct life *l, const struct upstream_line *line)
{
    struct held_filter *f;

    if (line->type == MQTT_PUBLISH) {
        if (line->id < l->payload_room)
            l->acknowledged[line->id] |= 2;
        return;
    }
    f = broker_filter(l, line->filter);
    f->held = line->type == MQTT_SUBSCRIBE;
    f->id = line->id;
}

/* Answers the first request that has left the gateway. */
static void
broker_answer(struct life *l)
{
    if (!l->broker_up || l->request_count == 0 || l->requests[0].needs > l->committed)
        return;
    struct upstream_line line = l->requests[0];
    static const enum mqtt_type answers[] = {[MQTT_PUBLISH] = MQTT_PUBACK,
                                             [MQTT_SUBSCRIBE] = MQTT_SUBACK,
                                             [MQTT_UNSUBSCRIBE] = MQTT_UNSUBACK};

    memmove(l->requests, l->requests + 1, --l->request_count * sizeof line);
    broker_handles(l, &line);
    if (line.type == MQTT_SUBSCRIBE)
        broker_filter(l, line.filter)->answered_id = line.id;
    rig_broker_answer(&l->rig, answers[line.type], line.packet_id,
                      line.type == MQTT_SUBSCRIBE ? 2 : 0);
}

static void
broker_release(struct life *l)
{
    for (size_t i = 0; i < l->open_count && l->broker_up; i++) {
        if (!l->open[i].released)
            continue;
        rig_broker_answer(&l->rig, MQTT_PUBREL, l->open[i].packet_id, 0);
        return;
    }
}

/* Of what was under way, the broker has read some. */
static void
connection_lost(struct life *l)
{
    size_t read = l->request_count > 0 ? below(l, (unsigned)l->request_count + 1) : 0;

    for (size_t i = 0; i < read && l->requests[i].needs <= l->committed; i++)
        broker_handles(l, &l->requests[i]);
    l->request_count = 0;
    l->broker_up = false;
}

static void
broker_down(struct life *l)
{
    if (!l->broker_up)
        return;
    connection_lost(l);
    rig_broker_down(&l->rig);
}

static void
broker_up(struct life *l)
{
    bool present = !engine_needs_clean_start(l->rig.engine) && !one_in(l, 10);
    struct open_message again[WINDOW];
    size_t count = l->open_count;

    if (l->broker_up)
        return;
    l->broker_up = true;
    if (!present) {
        /* What it had not handed over is lost with it: nobody promised it. */
        for (size_t i = 0; i < count; i++)
            for (size_t o = 0; o < l->owed_count; o++)
                if (!l->open[i].released && l->owed[o].payload == l->open[i].payload)
                    l->owed[o--] = l->owed[--l->owed_count];
        l->open_count = 0;
        l->filter_count = 0;
    }
    rig_broker_up(&l->rig, MQTT_5, present);
    memcpy(again, l->open, sizeof again);
    for (size_t i = 0; present && i < count; i++)
        if (!again[i].released)
            broker_send_open(l, &again[i], true);
}

/* ---- devices ---- */

static void
from_device(struct life *l, char who, const struct mqttsn_packet *packet)
{
    l->stepping = who;
    l->stepping_type = packet->type;
    rig_send(&l->rig, who, packet);
}

static void
device_connect(struct life *l, unsigned d)
{
    char id[] = {(char)('a' + d), (char)('a' + d), '\0'};

    from_device(l, (char)('A' + d),
                &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                        .protocol_id = MQTTSN_PROTOCOL_ID,
                                        .clean_session = d == 4 || one_in(l, 20),
                                        .duration_s = 60,
                                        .client_id = dm_span_text(id)});
}

static void
device_publish(struct life *l, unsigned d)
{
    struct device *device = &l->devices[d];
    bool again = device->last_uplink != 0 && one_in(l, 3);
    char payload[16];

    if (!again) {
        device->last_uplink = ++l->next_payload;
        device->last_uplink_msg_id = ++device->next_msg_id;
    }
    snprintf(payload, sizeof payload, "d%u", (unsigned)device->last_uplink);
    from_device(l, (char)('A' + d),
                &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                        .qos = 1,
                                        .dup = again,
                                        .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                        .topic_id = 7,
                                        .msg_id = device->last_uplink_msg_id,
                                        .data = dm_span_text(payload)});
}

static void
device_subscribe(struct life *l, unsigned d)
{
    bool subscribe = !one_in(l, 3);

    from_device(l, (char)('A' + d),
                &(struct mqttsn_packet){.type = subscribe ? MQTTSN_SUBSCRIBE : MQTTSN_UNSUBSCRIBE,
                                        .qos = (int8_t)below(l, 3),
                                        .msg_id = ++l->devices[d].next_msg_id,
                                        .topic_name = dm_span_text(filters[below(l, 5)])});
}

static void
device_puback(struct life *l, unsigned d)
{
    struct device *device = &l->devices[d];
    const struct binding *binding = &l->bindings['A' + d];
    unsigned code = one_in(l, 20) ? 1 + below(l, 3) : 0;
    bool talks =
        binding->bound && binding->state != ENGINE_DISCONNECTED && binding->state != ENGINE_LOST;

    if (device->offered_msg_id == 0)
        return;
    if (code == 0 && talks && device->offered_payload != 0) {
        paid(l, session_number(l, binding->client), device->offered_payload);
        l->deliveries++;
    }
    from_device(l, (char)('A' + d),
                &(struct mqttsn_packet){.type = MQTTSN_PUBACK,
                                        .topic_id = 1,
                                        .msg_id = device->offered_msg_id,
                                        .return_code = (enum mqttsn_return_code)code});
}

static void
device_regack(struct life *l, unsigned d)
{
    const struct device *device = &l->devices[d];

    from_device(l, (char)('A' + d),
                &(struct mqttsn_packet){.type = MQTTSN_REGACK,
                                        .topic_id = device->register_topic_id,
                                        .msg_id = device->register_msg_id,
                                        .return_code = one_in(l, 30) ? MQTTSN_NOT_SUPPORTED
                                                                     : MQTTSN_ACCEPTED});
}

static void
device_sleep(struct life *l, unsigned d)
{
    uint16_t sleep_s = one_in(l, 4) ? 0 : 100;

    from_device(l, (char)('A' + d),
                &(struct mqttsn_packet){
                    .type = MQTTSN_DISCONNECT, .has_duration = sleep_s > 0, .duration_s = sleep_s});
}

/* Any message with any content, from a device, another address, or under another's client id. */
static void
nonsense(struct life *l)
{
    static const char *const ids[] = {"", "aa", "bb", "zz"};
    static const char *const texts[] = {"", "aa", "zz", "a/#", "t/1", "\xff", "+", "t/2"};
    struct mqttsn_packet packet = {
        .type = (enum mqttsn_type)below(l, MQTTSN_TYPE_COUNT),
        .dup = one_in(l, 2),
        .retain = one_in(l, 2),
        .will = one_in(l, 4),
        .clean_session = one_in(l, 8),
        .has_duration = one_in(l, 2),
        .bad_topic = one_in(l, 8),
        .qos = (int8_t)((int)below(l, 4) - 1),
        .topic_type = (enum mqttsn_topic_type)below(l, 4),
        .return_code = (enum mqttsn_return_code)below(l, 5),
        .protocol_id = one_in(l, 4) ? 2 : 1,
        .topic_id = (uint16_t)(one_in(l, 4) ? random_next(&l->source) : below(l, 12)),
        .msg_id = (uint16_t)below(l, 40),
        .duration_s = (uint16_t)below(l, 200),
        .client_id = dm_span_text(ids[below(l, 4)]),
        .topic_name = dm_span_text(texts[below(l, 8)]),
        .data = dm_span_text("nonsense"),
    };

    if (packet.topic_type == MQTTSN_TOPIC_SHORT)
        packet.topic_id = 't' << 8 | 'p'; /* a name that the effects can be read with */
    /* A refusal of what was promised is counted; an acceptance would be taken for a delivery. */
    if (packet.type == MQTTSN_PUBACK && packet.return_code == MQTTSN_ACCEPTED)
        packet.return_code = MQTTSN_NOT_SUPPORTED;
    from_device(l, one_in(l, 4) ? 'Q' : (char)('A' + below(l, DEVICES)), &packet);
}

static void
device_step(struct life *l)
{
    unsigned d = below(l, DEVICES);

    switch (below(l, 16)) {
    case 0:
        device_connect(l, d);
        break;
    case 1:
        device_subscribe(l, d);
        break;
    case 2:
    case 3:
    case 4:
        device_publish(l, d);
        break;
    case 5:
        device_sleep(l, d);
        break;
    case 6:
    case 7:
        from_device(l, (char)('A' + d), &(struct mqttsn_packet){.type = MQTTSN_PINGREQ});
        break;
    case 8:
    case 9:
        device_regack(l, d);
        break;
    case 10:
        nonsense(l);
        break;
    default:
        device_puback(l, d);
        break;
    }
}

/* ---- looking at the engine ---- */

static void
note_binding(void *ctx, const struct engine_session_status *session)
{
    struct life *l = ctx;

    if (session->has_address)
        l->bindings[session->address.octets[0]] =
            (struct binding){true, session->state, (char)session->client_id.data[0]};
}

static void
look(struct life *l)
{
    memset(l->bindings, 0, sizeof l->bindings);
    engine_each_session(l->rig.engine, l->rig.now_ms, note_binding, l);
}

/* ---- disk ---- */

static void
free_rows(struct store_record *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)rows[i].client_id.data);
        free((void *)(uintptr_t)rows[i].name.data);
        free((void *)(uintptr_t)rows[i].payload.data);
    }
    free(rows);
}

static struct dm_span
copy_span(struct dm_span span)
{
    uint8_t *copy = malloc(span.len + 1);

    if (copy == NULL)
        abort();
    if (span.len > 0)
        memcpy(copy, span.data, span.len);
    return dm_span(copy, span.len);
}

static void
take_snapshot(struct life *l)
{
    l->snapshot = calloc(l->rig.row_count + 1, sizeof *l->snapshot);
    if (l->snapshot == NULL)
        abort();
    l->snapshot_count = l->rig.row_count;
    for (size_t i = 0; i < l->rig.row_count; i++) {
        l->snapshot[i] = l->rig.rows[i];
        l->snapshot[i].client_id = copy_span(l->rig.rows[i].client_id);
        l->snapshot[i].name = copy_span(l->rig.rows[i].name);
        l->snapshot[i].payload = copy_span(l->rig.rows[i].payload);
    }
}

static int
compare_rows(const void *a, const void *b)
{
    const struct store_record *x = a;
    const struct store_record *y = b;

    if (x->op != y->op)
        return x->op < y->op ? -1 : 1;
    if (x->session != y->session)
        return x->session < y->session ? -1 : 1;
    if (x->op == STORE_SUBSCRIPTION_PUT)
        return strncmp((const char *)x->name.data, (const char *)y->name.data, 3);
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Another engine, from the rows. */
static void
start_again(struct life *l)
{
    connection_lost(l);
    l->held_count = 0;
    l->full = false;
    l->rig.full = false;
    /* The store gives its rows by key. */
    qsort(l->rig.rows, l->rig.row_count, sizeof *l->rig.rows, compare_rows);
    rig_restart(&l->rig);
    l->committed = 0;
    l->restarts++;
}

static void
restart(struct life *l)
{
    close_accounts(l);
    start_again(l);
}

/* Everything since the snapshot is lost. */
static void
crash(struct life *l)
{
    close_accounts(l);
    free_rows(l->rig.rows, l->rig.row_count);
    l->rig.rows = l->snapshot;
    l->rig.row_count = l->snapshot_count;
    l->snapshot = NULL;
    start_again(l);
}

static void
commit(struct life *l)
{
    if (l->crash_in > 0)
        return;
    rig_commit(&l->rig);
    l->committed = l->rig.seq;
    if (one_in(l, 100)) {
        take_snapshot(l);
        l->crash_in = 1 + below(l, 60);
    }
}

/* ---- reading the effects ---- */

/* The journal number behind " !", 0 if the line is not held. */
static uint64_t
needs_of(const char *line)
{
    const char *mark = strstr(line, " !");

    return mark != NULL ? strtoull(mark + 2, NULL, 10) : 0;
}

static uint32_t
number_behind(const char *line, const char *word)
{
    const char *at = strstr(line, word);

    return at != NULL ? (uint32_t)strtoul(at + strlen(word), NULL, 10) : 0;
}

static void
read_upstream(struct life *l, const char *line)
{
    struct upstream_line request = {.packet_id = (uint16_t)number_behind(line, " pid "),
                                    .needs = needs_of(line)};

    if (strncmp(line, "^ PUBACK", 8) == 0 || strncmp(line, "^ PUBCOMP", 9) == 0) {
        if (needs_of(line) <= l->committed)
            broker_takes(l, request.packet_id, MQTT_PUBACK);
        return;
    }
    if (strncmp(line, "^ PUBREC", 8) == 0) {
        broker_takes(l, request.packet_id, MQTT_PUBREC);
        return;
    }
    if (sscanf(line, "^ SUBSCRIBE %15s", request.filter) == 1) {
        request.type = MQTT_SUBSCRIBE;
        request.id = number_behind(line, " id ");
    } else if (sscanf(line, "^ UNSUBSCRIBE %15s", request.filter) == 1) {
        request.type = MQTT_UNSUBSCRIBE;
    } else {
        request.type = MQTT_PUBLISH;
        request.id = number_behind(line, "\"d");
    }
    if (request.packet_id == 0)
        return;
    if (l->request_count == REQUESTS_MAX)
        abort();
    l->requests[l->request_count++] = request;
}

static void
note_acknowledged(struct life *l, uint32_t payload, uint64_t needs)
{
    if (needs <= l->committed) {
        l->acknowledged[payload] |= 1;
        l->uplinks++;
    } else if (l->held_count < HELD_MAX) {
        l->held[l->held_count] = needs;
        l->held_payload[l->held_count++] = payload;
    }
}

static void
release_held(struct life *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->held_count; i++) {
        if (l->held[i] <= l->committed) {
            l->acknowledged[l->held_payload[i]] |= 1;
            l->uplinks++;
            continue;
        }
        l->held[kept] = l->held[i];
        l->held_payload[kept++] = l->held_payload[i];
    }
    l->held_count = kept;
}

/* Design 1 rule 4: nothing goes to a sleeping device but the answer to what it just sent. */
static void
check_awake(const struct life *l, char who, const char *line)
{
    const struct binding *before = &l->bindings[(uint8_t)who];
    bool wakes = l->stepping == who &&
                 (l->stepping_type == MQTTSN_PINGREQ || l->stepping_type == MQTTSN_CONNECT);
    bool awake = before->bound && (before->state == ENGINE_ACTIVE || before->state == ENGINE_AWAKE);

    if (wakes || awake)
        return;
    printf("\n%s", line);
    CU_FAIL_FATAL("a message for a device that sleeps or is gone");
}

static void
read_device(struct life *l, const char *line)
{
    char who = line[0];
    unsigned d = (unsigned)(who - 'A');
    struct device *device = d < DEVICES ? &l->devices[d] : NULL;

    if (strncmp(line + 3, "PUBLISH", 7) == 0 || strncmp(line + 3, "REGISTER", 8) == 0)
        check_awake(l, who, line);
    if (device == NULL)
        return;
    if (strncmp(line + 3, "PUBLISH", 7) == 0 && strstr(line, " qos 1") != NULL) {
        device->offered_msg_id = (uint16_t)number_behind(line, " msg ");
        device->offered_payload = number_behind(line, "\"m");
    } else if (strncmp(line + 3, "REGISTER", 8) == 0) {
        device->register_topic_id = (uint16_t)number_behind(line, "REGISTER ");
        device->register_msg_id = (uint16_t)number_behind(line, " msg ");
    } else if (strncmp(line + 3, "PUBACK 7 ", 9) == 0 && strstr(line, " code 0") != NULL &&
               number_behind(line, " msg ") == device->last_uplink_msg_id) {
        note_acknowledged(l, device->last_uplink, needs_of(line));
    }
}

static void
read_effects(struct life *l)
{
    char *save = NULL;

    for (char *line = strtok_r(l->rig.text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == '^')
            read_upstream(l, line);
        else
            read_device(l, line);
    }
    rig_clear(&l->rig);
}

/* ---- a life ---- */

static void
world_step(struct life *l)
{
    switch (below(l, 24)) {
    case 0:
        rig_wait(&l->rig, 1 + below(l, 40000));
        break;
    case 1:
        if (one_in(l, 20))
            rig_wait(&l->rig, 200000);
        else
            rig_wait(&l->rig, 1 + below(l, 900));
        break;
    case 2:
        if (one_in(l, 8))
            broker_down(l);
        break;
    case 3:
    case 4:
        broker_up(l);
        break;
    case 5:
        if (one_in(l, 4))
            engine_link(l->rig.engine, l->rig.now_ms, 0, !one_in(l, 3));
        else
            engine_link(l->rig.engine, l->rig.now_ms, 0, true);
        break;
    case 6:
        l->rig.full = one_in(l, 4);
        if (!l->rig.full)
            engine_link_room(l->rig.engine, l->rig.now_ms, 0);
        break;
    case 7:
        engine_store_degraded(l->rig.engine, one_in(l, 10));
        break;
    case 8:
        broker_release(l);
        break;
    case 9:
        if (one_in(l, 200) && l->crash_in == 0)
            restart(l);
        break;
    case 10:
        if (one_in(l, 100))
            engine_forget(l->rig.engine, l->rig.now_ms, dm_span_text("bb"));
        break;
    case 11:
    case 12:
    case 13:
    case 14:
        broker_publish(l);
        break;
    case 15:
    case 16:
    case 17:
    case 18:
        commit(l);
        break;
    default:
        broker_answer(l);
        break;
    }
}

static void
step(struct life *l)
{
    look(l);
    l->stepping = 0;
    unsigned restarts = l->restarts;

    if (l->crash_in > 0 && --l->crash_in == 0)
        crash(l);
    else if (one_in(l, 3))
        world_step(l);
    else
        device_step(l);
    if (l->restarts != restarts)
        look(l); /* what the new engine sends, it sends by the rows */
    read_effects(l);
    release_held(l);
    look(l);
    if (l->restarts != restarts || one_in(l, 16)) /* what is gone stays gone */
        check_owed(l);
    l->stepping = 0;
    engine_time(l->rig.engine, l->rig.now_ms);
    if (engine_next_deadline(l->rig.engine) <= l->rig.now_ms)
        CU_FAIL_FATAL("a deadline in the past: the loop would spin");
    read_effects(l);
}

/* Everything comes back, and the broker gets all that devices were told is safe. */
static void
settle(struct life *l)
{
    if (l->crash_in > 0) {
        l->crash_in = 0;
        free_rows(l->snapshot, l->snapshot_count);
        l->snapshot = NULL;
    }
    engine_store_degraded(l->rig.engine, false);
    broker_up(l);
    for (unsigned i = 0; i < 5000; i++) {
        look(l);
        l->stepping = 0;
        read_effects(l);
        rig_commit(&l->rig);
        l->committed = l->rig.seq;
        read_effects(l);
        broker_answer(l);
    }
    for (uint32_t i = 1; i <= l->next_payload; i++) {
        if (l->acknowledged[i] != 1)
            continue;
        printf("\nd%u was acknowledged to the device and never reached the broker", (unsigned)i);
        CU_FAIL_FATAL("a message of a device is lost");
    }
}

static void
promises_hold_through_a_long_random_life(void)
{
    static struct life l;
    const char *wanted = getenv("DORMOUSE_STEPS");
    unsigned steps = wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : STEPS;
    unsigned i;

    memset(&l, 0, sizeof l);
    l.source = random_start("engine_random", 1);
    l.next_packet_id = 1;
    l.payload_room = steps + 10;
    l.acknowledged = calloc(l.payload_room, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l.acknowledged);
    rig_init(&l.rig);
    l.rig.options.queue_messages = 40;
    log_set_level(LOG_LEVEL_ERROR);
    for (i = 0; i < steps; i++)
        step(&l);
    settle(&l);
    printf("[%u steps, %u restarts, %u delivered, %u uplinks, %u dropped] ", i, l.restarts,
           l.deliveries, l.uplinks, l.gone);
    /* The run means something. */
    CU_ASSERT_TRUE(l.restarts > steps / 10000);
    CU_ASSERT_TRUE(l.deliveries > steps / 1000);
    CU_ASSERT_TRUE(l.uplinks > steps / 1000);
    rig_fini(&l.rig);
    free(l.acknowledged);
}

static const struct unit_test tests[] = {
    UNIT_TEST(promises_hold_through_a_long_random_life),
};

UNIT_MAIN("engine_random", tests)
