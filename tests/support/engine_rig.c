/* SPDX-License-Identifier: Apache-2.0 */
/* An engine on a virtual clock whose effects become lines of text. */
#include "engine_rig.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add(struct rig *rig, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(rig->text + rig->len, sizeof rig->text - rig->len, format, arguments);
    va_end(arguments);
    if (len > 0)
        rig->len += (size_t)len;
    if (rig->len >= sizeof rig->text)
        abort(); /* a test that makes more effects than it can check */
}

static int
precision(struct dm_span span)
{
    return (int)span.len;
}

static const char *
chars(struct dm_span span)
{
    return span.len > 0 ? (const char *)span.data : "";
}

static void
add_packet(struct rig *rig, const struct mqttsn_packet *p)
{
    static const char *const names[MQTTSN_TYPE_COUNT] = {
        [MQTTSN_CONNACK] = "CONNACK",       [MQTTSN_REGISTER] = "REGISTER",
        [MQTTSN_REGACK] = "REGACK",         [MQTTSN_PUBLISH] = "PUBLISH",
        [MQTTSN_PUBACK] = "PUBACK",         [MQTTSN_SUBACK] = "SUBACK",
        [MQTTSN_UNSUBACK] = "UNSUBACK",     [MQTTSN_PINGRESP] = "PINGRESP",
        [MQTTSN_DISCONNECT] = "DISCONNECT",
    };

    add(rig, "%s", names[p->type] != NULL ? names[p->type] : "UNEXPECTED");
    switch (p->type) {
    case MQTTSN_CONNACK:
        add(rig, " %d", (int)p->return_code);
        break;
    case MQTTSN_REGISTER:
        add(rig, " %d %.*s msg %d", p->topic_id, precision(p->topic_name), chars(p->topic_name),
            p->msg_id);
        break;
    case MQTTSN_REGACK:
    case MQTTSN_PUBACK:
        add(rig, " %d msg %d code %d", p->topic_id, p->msg_id, (int)p->return_code);
        break;
    case MQTTSN_PUBLISH:
        add(rig, " %s%d qos %d msg %d%s%s \"%.*s\"",
            p->topic_type == MQTTSN_TOPIC_NORMAL       ? ""
            : p->topic_type == MQTTSN_TOPIC_PREDEFINED ? "p"
                                                       : "s",
            p->topic_id, p->qos, p->msg_id, p->dup ? " dup" : "", p->retain ? " retain" : "",
            precision(p->data), chars(p->data));
        break;
    case MQTTSN_SUBACK:
        add(rig, " %d qos %d msg %d code %d", p->topic_id, p->qos, p->msg_id, (int)p->return_code);
        break;
    case MQTTSN_UNSUBACK:
        add(rig, " msg %d", p->msg_id);
        break;
    default:
        break;
    }
}

static void
add_upstream(struct rig *rig, const struct mqtt_packet *p)
{
    static const char *const names[] = {
        [MQTT_PUBLISH] = "PUBLISH",         [MQTT_PUBACK] = "PUBACK",
        [MQTT_PUBREC] = "PUBREC",           [MQTT_PUBREL] = "PUBREL",
        [MQTT_PUBCOMP] = "PUBCOMP",         [MQTT_SUBSCRIBE] = "SUBSCRIBE",
        [MQTT_UNSUBSCRIBE] = "UNSUBSCRIBE", [MQTT_AUTH] = "UNEXPECTED",
    };

    add(rig, "^ %s", names[p->type]);
    if (p->topic.len > 0)
        add(rig, " %.*s", precision(p->topic), chars(p->topic));
    if (p->type == MQTT_PUBLISH)
        add(rig, " qos %d%s%s \"%.*s\"", p->qos, p->dup ? " dup" : "", p->retain ? " retain" : "",
            precision(p->payload), chars(p->payload));
    if (p->packet_id != 0)
        add(rig, " pid %d", p->packet_id);
    if (p->type == MQTT_SUBSCRIBE) {
        if (p->subscription_id_count > 0)
            add(rig, " id %" PRIu32, p->subscription_ids[0]);
        if (p->retain_handling != 0)
            add(rig, " rh %d", p->retain_handling);
    }
}

static void
add_record(struct rig *rig, const struct store_record *r)
{
    add(rig, "%s# ", r->lazy ? "~" : "");
    switch (r->op) {
    case STORE_SESSION_PUT:
        add(rig, "session %.*s %s", precision(r->client_id), chars(r->client_id),
            engine_state_name((enum engine_state)r->mode));
        break;
    case STORE_SESSION_DELETE:
        add(rig, "delete session %" PRIu64, r->session);
        break;
    case STORE_TOPIC_PUT:
        add(rig, "topic %d %.*s", r->topic_id, precision(r->name), chars(r->name));
        break;
    case STORE_SUBSCRIPTION_PUT:
        add(rig, "subscription %.*s qos %d", precision(r->name), chars(r->name), r->qos);
        break;
    case STORE_SUBSCRIPTION_DELETE:
        add(rig, "delete subscription %.*s", precision(r->name), chars(r->name));
        break;
    case STORE_MESSAGE_PUT:
        add(rig, "message %" PRIu64, r->message);
        break;
    case STORE_MESSAGE_DELETE:
        add(rig, "delete message %" PRIu64, r->message);
        break;
    case STORE_DELIVERY_PUT:
        add(rig, "delivery %" PRIu64 " msg %d", r->message, r->msg_id);
        break;
    case STORE_DELIVERY_DELETE:
        add(rig, "delete delivery %" PRIu64, r->order);
        break;
    case STORE_SPOOL_PUT:
        add(rig, "spool %" PRIu64, r->order);
        break;
    case STORE_SPOOL_DELETE:
        add(rig, "delete spool %" PRIu64, r->order);
        break;
    case STORE_INBOUND_PUT:
        add(rig, "inbound %d", r->packet_id);
        break;
    case STORE_INBOUND_DELETE:
        add(rig, "delete inbound %d", r->packet_id);
        break;
    case STORE_FILTER_PUT:
        add(rig, "filter %.*s", precision(r->name), chars(r->name));
        break;
    case STORE_FILTER_DELETE:
        add(rig, "delete filter %.*s", precision(r->name), chars(r->name));
        break;
    case STORE_BROKER_PUT:
        add(rig, "broker");
        break;
    }
}

/* ---- the journal, as a table of rows ---- */

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
free_row(struct store_record *row)
{
    free((void *)(uintptr_t)row->client_id.data);
    free((void *)(uintptr_t)row->name.data);
    free((void *)(uintptr_t)row->payload.data);
}

static bool
same_key(const struct store_record *row, enum store_op put, const struct store_record *r)
{
    if (row->op != put)
        return false;
    switch (put) {
    case STORE_SESSION_PUT:
        return row->session == r->session;
    case STORE_TOPIC_PUT:
        return row->session == r->session && row->topic_id == r->topic_id;
    case STORE_SUBSCRIPTION_PUT:
        return row->session == r->session && dm_span_equal(row->name, r->name);
    case STORE_MESSAGE_PUT:
        return row->message == r->message;
    case STORE_DELIVERY_PUT:
        return row->session == r->session && row->order == r->order;
    case STORE_SPOOL_PUT:
        return row->order == r->order;
    case STORE_INBOUND_PUT:
        return row->packet_id == r->packet_id;
    case STORE_FILTER_PUT:
        return dm_span_equal(row->name, r->name);
    default:
        return true;
    }
}

static void
delete_rows(struct rig *rig, enum store_op put, const struct store_record *key, bool all)
{
    size_t kept = 0;

    for (size_t i = 0; i < rig->row_count; i++) {
        struct store_record *row = &rig->rows[i];
        bool gone = all ? row->op == put : same_key(row, put, key);

        if (gone)
            free_row(row);
        else
            rig->rows[kept++] = *row;
    }
    rig->row_count = kept;
}

static void
delete_session_rows(struct rig *rig, const struct store_record *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < rig->row_count; i++) {
        struct store_record *row = &rig->rows[i];

        if (row->op <= STORE_DELIVERY_PUT && row->op != STORE_MESSAGE_PUT &&
            row->session == r->session)
            free_row(row);
        else
            rig->rows[kept++] = *row;
    }
    rig->row_count = kept;
}

static void
keep_row(struct rig *rig, const struct store_record *r)
{
    switch (r->op) {
    case STORE_SESSION_DELETE:
        delete_session_rows(rig, r);
        return;
    case STORE_SUBSCRIPTION_DELETE:
        delete_rows(rig, STORE_SUBSCRIPTION_PUT, r, false);
        return;
    case STORE_MESSAGE_DELETE:
        delete_rows(rig, STORE_MESSAGE_PUT, r, false);
        return;
    case STORE_DELIVERY_DELETE:
        delete_rows(rig, STORE_DELIVERY_PUT, r, false);
        return;
    case STORE_SPOOL_DELETE:
        delete_rows(rig, STORE_SPOOL_PUT, r, false);
        return;
    case STORE_INBOUND_DELETE:
        delete_rows(rig, STORE_INBOUND_PUT, r, false);
        return;
    case STORE_FILTER_DELETE:
        delete_rows(rig, STORE_FILTER_PUT, r, false);
        return;
    case STORE_BROKER_PUT:
        delete_rows(rig, STORE_FILTER_PUT, r, true);
        delete_rows(rig, STORE_INBOUND_PUT, r, true);
        break;
    default:
        break;
    }
    delete_rows(rig, r->op, r, false);
    struct store_record *rows =
        realloc(rig->rows, (rig->row_count + 1) * sizeof(struct store_record));
    if (rows == NULL)
        abort();
    rig->rows = rows;
    rows[rig->row_count] = *r;
    rows[rig->row_count].client_id = copy_span(r->client_id);
    rows[rig->row_count].name = copy_span(r->name);
    rows[rig->row_count].payload = copy_span(r->payload);
    rig->row_count++;
}

static enum dm_result
emit(void *ctx, const struct engine_effect *effect)
{
    struct rig *rig = ctx;

    switch (effect->type) {
    case ENGINE_SEND:
        if (rig->full)
            return DM_FULL;
        add(rig, "%c> ", effect->address.octets[0]);
        add_packet(rig, &effect->packet);
        break;
    case ENGINE_UPSTREAM:
        add_upstream(rig, &effect->upstream);
        break;
    case ENGINE_RECORD:
        rig->seq++;
        keep_row(rig, &effect->record);
        if (!rig->log_records)
            return DM_OK;
        add_record(rig, &effect->record);
        break;
    }
    if (effect->needs != 0)
        add(rig, " !%" PRIu64, effect->needs);
    add(rig, "\n");
    return DM_OK;
}

/* ---- life ---- */

static const struct engine_topic predefined[] = {{7, "yard/button"}, {8, "yard/lamp"}};

void
rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    rig->now_ms = 1000000;
    rig->link = (struct engine_link){.mtu = 255, .up = true, .qos_minus_one = true};
    rig->options = (struct engine_options){
        .links = &rig->link,
        .link_count = 1,
        .topics = predefined,
        .topic_count = 2,
        .topic_prefix = "",
        .broker_key = "mqtt://broker dormouse",
        .max_clients = 10,
        .queue_messages = 100,
        .queue_bytes = 10000,
        .total_bytes = 100000,
        .queue_qos0 = ENGINE_QOS0_ASLEEP,
        .expiry_ms = ENGINE_NEVER,
        .spool_bytes = 10000,
        .store_after_ms = 1000,
        .retry_ms = 10000,
        .retry_count = 3,
        .tolerance_percent = 150,
        .receive_maximum = 100,
    };
    rig->engine = engine_new(&rig->options, emit, rig);
    if (rig->engine == NULL)
        abort();
    engine_start(rig->engine, rig->now_ms);
}

void
rig_fini(struct rig *rig)
{
    engine_free(rig->engine);
    for (size_t i = 0; i < rig->row_count; i++)
        free_row(&rig->rows[i]);
    free(rig->rows);
}

bool
rig_expect(struct rig *rig, const char *lines)
{
    bool equal = strcmp(rig->text, lines) == 0;

    if (!equal)
        printf("\n--- expected\n%s--- got\n%s---\n", lines, rig->text);
    rig_clear(rig);
    return equal;
}

void
rig_clear(struct rig *rig)
{
    rig->len = 0;
    rig->text[0] = '\0';
}

void
rig_restart(struct rig *rig)
{
    /* The order in which the store gives its rows back. */
    static const enum store_op order[] = {
        STORE_BROKER_PUT,  STORE_FILTER_PUT,   STORE_INBOUND_PUT,
        STORE_SESSION_PUT, STORE_TOPIC_PUT,    STORE_SUBSCRIPTION_PUT,
        STORE_MESSAGE_PUT, STORE_DELIVERY_PUT, STORE_SPOOL_PUT,
    };

    engine_free(rig->engine);
    rig_clear(rig);
    rig->seq = 0;
    rig->engine = engine_new(&rig->options, emit, rig);
    if (rig->engine == NULL)
        abort();
    for (size_t o = 0; o < sizeof order / sizeof order[0]; o++) {
        for (size_t i = 0; i < rig->row_count; i++) {
            const struct store_record *row = &rig->rows[i];
            /* One device an address: its letter is the first of its client id in upper case. */
            struct dm_address address = {.len = 1};

            if (row->op != order[o])
                continue;
            if (row->client_id.len > 0)
                address.octets[0] = (uint8_t)(row->client_id.data[0] - 'a' + 'A');
            if (engine_load(rig->engine, row, row->client_id.len > 0 ? &address : NULL) != DM_OK)
                abort();
        }
    }
    engine_start(rig->engine, rig->now_ms);
}

/* ---- devices ---- */

void
rig_send(struct rig *rig, char who, const struct mqttsn_packet *packet)
{
    struct dm_address from = {.len = 1, .octets = {(uint8_t)who}};

    engine_datagram(rig->engine, rig->now_ms, &from, packet);
}

void
rig_connect(struct rig *rig, char who, const char *client_id, bool clean, uint16_t duration_s)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                     .protocol_id = MQTTSN_PROTOCOL_ID,
                                     .clean_session = clean,
                                     .duration_s = duration_s,
                                     .client_id = dm_span_text(client_id)});
}

void
rig_subscribe(struct rig *rig, char who, const char *filter, int8_t qos, uint16_t msg_id)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = MQTTSN_SUBSCRIBE,
                                     .qos = qos,
                                     .msg_id = msg_id,
                                     .topic_name = dm_span_text(filter)});
}

void
rig_publish(struct rig *rig, char who, uint16_t topic_id, int8_t qos, uint16_t msg_id,
            const char *data)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = qos,
                                     .topic_id = topic_id,
                                     .msg_id = msg_id,
                                     .data = dm_span_text(data)});
}

void
rig_puback(struct rig *rig, char who, uint16_t topic_id, uint16_t msg_id, int code)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = MQTTSN_PUBACK,
                                     .topic_id = topic_id,
                                     .msg_id = msg_id,
                                     .return_code = (enum mqttsn_return_code)code});
}

void
rig_regack(struct rig *rig, char who, uint16_t topic_id, uint16_t msg_id, int code)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = MQTTSN_REGACK,
                                     .topic_id = topic_id,
                                     .msg_id = msg_id,
                                     .return_code = (enum mqttsn_return_code)code});
}

void
rig_register(struct rig *rig, char who, const char *name, uint16_t msg_id)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){
                 .type = MQTTSN_REGISTER, .msg_id = msg_id, .topic_name = dm_span_text(name)});
}

void
rig_disconnect(struct rig *rig, char who, uint16_t sleep_s)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){
                 .type = MQTTSN_DISCONNECT, .has_duration = sleep_s > 0, .duration_s = sleep_s});
}

void
rig_ping(struct rig *rig, char who, const char *client_id)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = MQTTSN_PINGREQ, .client_id = dm_span_text(client_id)});
}

/* ---- broker, disk, clock ---- */

void
rig_broker_up(struct rig *rig, enum mqtt_version version, bool session_present)
{
    engine_upstream_connected(
        rig->engine, rig->now_ms,
        &(struct upstream_session){.version = version,
                                   .session_present = session_present,
                                   .send_maximum = 10,
                                   .maximum_qos = 2,
                                   .retain_available = true,
                                   .subscription_ids_available = version == MQTT_5});
}

void
rig_broker_down(struct rig *rig)
{
    engine_upstream_disconnected(rig->engine, rig->now_ms);
}

void
rig_broker_packet(struct rig *rig, const struct mqtt_packet *packet)
{
    engine_upstream_packet(rig->engine, rig->now_ms, packet);
}

void
rig_broker_answer(struct rig *rig, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
    rig_broker_packet(
        rig, &(struct mqtt_packet){.type = type, .packet_id = packet_id, .reason = reason});
}

void
rig_broker_publish(struct rig *rig, const char *topic, const char *data, uint8_t qos,
                   uint16_t packet_id, uint32_t subscription_id)
{
    rig_broker_packet(rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                 .topic = dm_span_text(topic),
                                                 .payload = dm_span_text(data),
                                                 .qos = qos,
                                                 .packet_id = packet_id,
                                                 .subscription_ids = {subscription_id},
                                                 .subscription_id_count = subscription_id != 0});
}

void
rig_commit(struct rig *rig)
{
    engine_committed(rig->engine, rig->now_ms, rig->seq);
}

void
rig_wait(struct rig *rig, uint64_t ms)
{
    uint64_t end = rig->now_ms + ms;
    uint64_t due;

    while ((due = engine_next_deadline(rig->engine)) <= end) {
        rig->now_ms = due > rig->now_ms ? due : rig->now_ms;
        engine_time(rig->engine, rig->now_ms);
    }
    rig->now_ms = end;
}

void
rig_device(struct rig *rig, char who, const char *client_id, bool clean)
{
    rig_connect(rig, who, client_id, clean, 60);
    rig_commit(rig);
    rig_clear(rig);
}

void
rig_device_subscribed(struct rig *rig, char who, const char *client_id, bool clean,
                      const char *filter, int8_t qos)
{
    rig_device(rig, who, client_id, clean);
    rig_subscribe(rig, who, filter, qos, 1);
    const char *pid = strstr(rig->text, " pid ");

    if (pid != NULL)
        rig_broker_answer(rig, MQTT_SUBACK, (uint16_t)atoi(pid + 5), 2);
    rig_commit(rig);
    rig_clear(rig);
}
