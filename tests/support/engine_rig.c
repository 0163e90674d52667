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
    add(rig, "%s", mqttsn_type_name(p->type));
    switch (p->type) {
    case MQTTSN_CONNACK:
    case MQTTSN_WILLTOPICRESP:
    case MQTTSN_WILLMSGRESP:
        add(rig, " %d", (int)p->return_code);
        break;
    case MQTTSN_ADVERTISE:
        add(rig, " %d every %d", p->gateway_id, p->duration_s);
        break;
    case MQTTSN_GWINFO:
        add(rig, " %d", p->gateway_id);
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
    case MQTTSN_PUBREC:
    case MQTTSN_PUBREL:
    case MQTTSN_PUBCOMP:
        add(rig, " msg %d", p->msg_id);
        break;
    default:
        break;
    }
}

static void
add_upstream(struct rig *rig, uint64_t connection, const struct mqtt_packet *p)
{
    static const char *const names[] = {
        [MQTT_PUBLISH] = "PUBLISH",         [MQTT_PUBACK] = "PUBACK",
        [MQTT_PUBREC] = "PUBREC",           [MQTT_PUBREL] = "PUBREL",
        [MQTT_PUBCOMP] = "PUBCOMP",         [MQTT_SUBSCRIBE] = "SUBSCRIBE",
        [MQTT_UNSUBSCRIBE] = "UNSUBSCRIBE", [MQTT_AUTH] = "UNEXPECTED",
    };

    if (connection == 0)
        add(rig, "^ %s", names[p->type]);
    else
        add(rig, "^%" PRIu64 " %s", connection, names[p->type]);
    if (p->topic.len > 0)
        add(rig, " %.*s", precision(p->topic), chars(p->topic));
    if (p->type == MQTT_PUBLISH)
        add(rig, " qos %d%s%s \"%.*s\"", p->qos, p->dup ? " dup" : "", p->retain ? " retain" : "",
            precision(p->payload), chars(p->payload));
    if (p->packet_id != 0)
        add(rig, " pid %d", p->packet_id);
    if (p->reason != 0)
        add(rig, " reason %02x", p->reason);
    if (p->type == MQTT_SUBSCRIBE) {
        if (p->qos != 2) /* always asked for where the broker has it */
            add(rig, " qos %d", p->qos);
        if (p->subscription_id_count > 0)
            add(rig, " id %" PRIu32, p->subscription_ids[0]);
        if (p->retain_handling != 0)
            add(rig, " rh %d", p->retain_handling);
    }
}

static void
add_open(struct rig *rig, uint64_t connection, const struct engine_open *open)
{
    add(rig, "OPEN %" PRIu64 " %.*s%s", connection, precision(open->client_id),
        chars(open->client_id), open->clean_start ? " clean" : "");
    if (open->client != NULL)
        add(rig, " as %s", open->client->pattern);
    if (open->will_topic.len > 0)
        add(rig, " will %.*s qos %d%s \"%.*s\"", precision(open->will_topic),
            chars(open->will_topic), open->will_qos, open->will_retain ? " retain" : "",
            precision(open->will_payload), chars(open->will_payload));
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
    case STORE_WILL_PUT:
        add(rig, "will %.*s", precision(r->name), chars(r->name));
        break;
    case STORE_WILL_DELETE:
        add(rig, "delete will");
        break;
    case STORE_RECEIVED_PUT:
        add(rig, "received %d", r->msg_id);
        break;
    case STORE_RECEIVED_DELETE:
        add(rig, "delete received %d", r->msg_id);
        break;
    case STORE_RELEASE_PUT:
        add(rig, "release %d", r->packet_id);
        break;
    case STORE_RELEASE_DELETE:
        add(rig, "delete release %d", r->packet_id);
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
        add(rig, "delivery %" PRIu64 " msg %d%s", r->message, r->msg_id,
            r->released ? " released" : "");
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
    case STORE_BROKER_USE:
        add(rig, "use broker %" PRIu64, r->broker);
        break;
    case STORE_BROKER_DELETE:
        add(rig, "delete broker %" PRIu64, r->broker);
        break;
    case STORE_COPY_PUT:
        if (r->session == 0)
            add(rig, "copies %" PRIu64 " qos %d", r->message, r->qos);
        else
            add(rig, "copy %" PRIu64 " qos %d%s", r->message, r->qos, r->taken ? " taken" : "");
        break;
    case STORE_CLOCK_PUT:
        add(rig, "clock %" PRIu64, r->clock.gateway_ms);
        break;
    }
}

static void
make_durable(struct rig *rig)
{
    engine_disk_end_turn(&rig->disk);
    engine_disk_commit(&rig->disk, rig->disk.seq);
    if (rig->disk.fault != NULL) {
        printf("store.h is not kept: %s\n", rig->disk.fault);
        abort();
    }
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
    case ENGINE_WITHDRAW: /* the runner's business */
        if (!rig->log_withdrawals)
            return DM_OK;
        add(rig, "%c> WITHDRAW", effect->address.octets[0]);
        break;
    case ENGINE_BROADCAST:
        add(rig, "*%c> ", effect->has_address ? effect->address.octets[0] : ' ');
        add_packet(rig, &effect->packet);
        add(rig, " radius %d", effect->radius);
        break;
    case ENGINE_UPSTREAM:
        add_upstream(rig, effect->connection, &effect->upstream);
        break;
    case ENGINE_OPEN:
        add_open(rig, effect->connection, &effect->open);
        break;
    case ENGINE_CLOSE:
        add(rig, "CLOSE %" PRIu64 "%s%s", effect->connection, effect->close.wipe ? " wipe" : "",
            effect->close.abrupt ? " abrupt" : "");
        break;
    case ENGINE_RECORD:
        rig->seq = engine_disk_append(&rig->disk, effect);
        if (!rig->commits_late)
            make_durable(rig);
        if (!rig->log_records)
            return DM_OK;
        add_record(rig, &effect->record);
        break;
    }
    if (effect->needs != 0)
        add(rig, " !%" PRIu64, effect->needs);
    add(rig, "\n");
    return effect->type == ENGINE_SEND && rig->late ? DM_LATER : DM_OK;
}

struct engine_status
rig_status(const struct rig *rig)
{
    struct engine_status status;

    engine_status(rig->engine, &status);
    return status;
}

const struct store_record *
rig_row(const struct rig *rig, size_t i)
{
    return i < rig->disk.rows.count ? &rig->disk.rows.items[i].record : NULL;
}

size_t
rig_count_rows(const struct rig *rig, enum store_op put)
{
    const struct store_record *row;
    size_t count = 0;

    for (size_t i = 0; (row = rig_row(rig, i)) != NULL; i++)
        count += row->op == put;
    return count;
}

/* ---- life ---- */

static const struct engine_topic predefined[] = {{7, "yard/button"}, {8, "yard/lamp"}};

void
rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    engine_disk_init(&rig->disk);
    rig->now_ms = 1000000;
    rig->link =
        (struct engine_link){.mtu = 255, .up = true, .qos_minus_one = ENGINE_QOS_MINUS_ONE_IDS};
    rig->broker_keys[0] = "mqtt://broker dormouse";
    rig->broker_keys[1] = "mqtt://other dormouse";
    rig->options = (struct engine_options){
        .links = &rig->link,
        .link_count = 1,
        .topics = predefined,
        .topic_count = 2,
        .gateway_id = 1,
        .standby_for = ENGINE_NO_GATEWAY,
        .advertise_ms = ENGINE_NEVER,
        .topic_prefix = "",
        .broker_keys = rig->broker_keys,
        .broker_count = 1,
        .max_clients = 10,
        .client_id_max = MQTTSN_CLIENT_ID_MAX,
        .settings.awake_max_ms = 60000,
        .settings.queue_messages = 100,
        .settings.queue_bytes = 10000,
        .total_bytes = 100000,
        .settings.queue_qos0 = ENGINE_QOS0_ASLEEP,
        .settings.max_age_ms = ENGINE_NEVER,
        .settings.expiry_ms = ENGINE_NEVER,
        .spool_bytes = 10000,
        .settings.store_after_ms = 1000,
        .settings.retry_ms = 10000,
        .settings.retry_count = 3,
        .settings.tolerance_percent = 150,
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
    engine_disk_fini(&rig->disk);
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
    engine_free(rig->engine);
    rig_clear(rig);
    engine_disk_crash(&rig->disk);
    rig->seq = 0;
    rig->engine = engine_new(&rig->options, emit, rig);
    if (rig->engine == NULL || engine_disk_load(&rig->disk, rig->engine) != DM_OK)
        abort();
    engine_clock(rig->engine, rig->now_ms, 0);
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
rig_unsubscribe(struct rig *rig, char who, const char *filter, uint16_t msg_id)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){
                 .type = MQTTSN_UNSUBSCRIBE, .msg_id = msg_id, .topic_name = dm_span_text(filter)});
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
rig_step(struct rig *rig, char who, enum mqttsn_type type, uint16_t msg_id)
{
    rig_send(rig, who, &(struct mqttsn_packet){.type = type, .msg_id = msg_id});
}

void
rig_connect_will(struct rig *rig, char who, const char *client_id, bool clean)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                     .protocol_id = MQTTSN_PROTOCOL_ID,
                                     .will = true,
                                     .clean_session = clean,
                                     .duration_s = 60,
                                     .client_id = dm_span_text(client_id)});
}

void
rig_will_topic(struct rig *rig, char who, enum mqttsn_type type, const char *topic, int8_t qos,
               bool retain)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = type,
                                     .has_flags = *topic != '\0',
                                     .qos = qos,
                                     .retain = retain,
                                     .topic_name = dm_span_text(topic)});
}

void
rig_will_message(struct rig *rig, char who, enum mqttsn_type type, const char *message)
{
    rig_send(rig, who, &(struct mqttsn_packet){.type = type, .data = dm_span_text(message)});
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
        rig->engine, rig->now_ms, rig->connection,
        &(struct upstream_session){.broker = rig->broker,
                                   .version = version,
                                   .session_present = session_present,
                                   .send_maximum = 10,
                                   .maximum_qos = 2,
                                   .retain_available = true,
                                   .subscription_ids_available = version == MQTT_5});
}

void
rig_broker_down(struct rig *rig)
{
    engine_upstream_disconnected(rig->engine, rig->now_ms, rig->connection, UPSTREAM_LOST);
}

void
rig_broker_packet(struct rig *rig, const struct mqtt_packet *packet)
{
    engine_upstream_packet(rig->engine, rig->now_ms, rig->connection, packet);
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
    make_durable(rig);
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

void
rig_device_with_will(struct rig *rig, char who, const char *client_id, bool clean,
                     const char *topic, const char *message)
{
    rig_connect_will(rig, who, client_id, clean);
    rig_will_topic(rig, who, MQTTSN_WILLTOPIC, topic, 1, false);
    rig_will_message(rig, who, MQTTSN_WILLMSG, message);
    rig_commit(rig);
    rig_clear(rig);
}
