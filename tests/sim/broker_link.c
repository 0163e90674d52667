/* SPDX-License-Identifier: Apache-2.0 */
/* The connection between gateway and broker: in order, late, and cut at any packet. */
#include "world.h"

enum { PACKET_MAX = 1200 };

static enum mqtt_version
version_of(const struct world *w)
{
    return w->weather.mqtt5 ? MQTT_5 : MQTT_3_1_1;
}

static uint64_t
delay_behind(struct world *w, uint64_t *last_ms)
{
    uint64_t at_ms = w->now_ms + 1 + world_below(w, w->weather.broker_ms);

    if (at_ms < *last_ms)
        at_ms = *last_ms;
    *last_ms = at_ms;
    return at_ms - w->now_ms;
}

static void
trace_packet(struct world *w, const char *direction, const struct mqtt_packet *packet)
{
    if (w->trace != NULL)
        world_trace(w, "broker %s %s pid %u qos %u%s%s reason %u id %u %.*s %.*s", direction,
                    mqtt_type_name(packet->type), packet->packet_id, packet->qos,
                    packet->dup ? " dup" : "", packet->retain ? " retain" : "", packet->reason,
                    packet->subscription_id_count > 0 ? packet->subscription_ids[0] : 0,
                    (int)packet->topic.len, (const char *)packet->topic.data,
                    packet->payload.len < 8 ? (int)packet->payload.len : 8,
                    (const char *)packet->payload.data);
}

/* ---- packets ---- */

void
broker_send(struct world *w, const struct mqtt_packet *packet)
{
    uint8_t buffer[PACKET_MAX];

    if (!w->broker.connected)
        return;
    size_t len = broker_encode(version_of(w), packet, buffer);

    world_push(
        w, delay_behind(w, &w->broker.last_out_ms),
        &(struct event){
            .type = EVENT_TO_RUNNER, .tag = w->broker.connection, .data = buffer, .len = len});
}

void
broker_to_runner(struct world *w, uint32_t connection, const uint8_t *data, size_t len)
{
    struct mqtt_packet packet;
    size_t used;

    if (!w->gateway.running || !w->broker.gateway_connected ||
        connection != w->broker.gateway_connection || connection != w->broker.connection)
        return;
    if (mqtt_decode(version_of(w), data, len, len, &packet, &used) != DM_OK || used != len) {
        world_fail(w, "the broker's packets can be read", "%zu octets", len);
        return;
    }
    trace_packet(w, "->", &packet);
    w->gateway.upstream_events.on_packet(w->gateway.upstream_events.ctx, &packet);
    if (packet.type == MQTT_PUBCOMP)
        oracle_completed(w, packet.packet_id);
}

void
broker_to_broker(struct world *w, uint32_t connection, const uint8_t *data, size_t len)
{
    struct mqtt_packet packet;

    if (!w->broker.connected || connection != w->broker.connection)
        return;
    if (!broker_decode(version_of(w), data, len, &packet)) {
        world_fail(w, "the gateway's packets can be read", "%zu octets", len);
        return;
    }
    trace_packet(w, "<-", &packet);
    broker_handle(w, &packet);
}

/* ---- the upstream contract ---- */

static enum dm_result
upstream_send(struct upstream *upstream, const struct mqtt_packet *packet)
{
    struct broker *b = (struct broker *)upstream;
    struct world *w = b->world;
    uint8_t buffer[PACKET_MAX];
    size_t len;

    if (!b->gateway_connected || w->gateway.dying)
        return DM_IO;
    enum dm_result result = mqtt_encode(version_of(w), packet, buffer, sizeof buffer, &len);

    if (result != DM_OK)
        return result;
    world_push(
        w, delay_behind(w, &b->last_in_ms),
        &(struct event){
            .type = EVENT_TO_BROKER, .tag = b->gateway_connection, .data = buffer, .len = len});
    if (packet->type != MQTT_PUBLISH)
        gateway_tempts_fate(w, NULL);
    return DM_OK;
}

static const struct upstream_ops ops = {.send = upstream_send};

/* ---- its life ---- */

static void
dial_later(struct world *w, unsigned ms)
{
    world_push(w, 1 + world_below(w, ms),
               &(struct event){.type = EVENT_DIAL, .tag = w->gateway.life});
}

static void
accept_connection(struct world *w)
{
    struct broker *b = &w->broker;

    /* A new session is told of until the gateway has that on disk: MQTT has no remedy if the one
     * CONNACK that says "new" is lost or forgotten, since the next says "present". */
    if (!b->session || world_misfortune(w, w->weather.session_loss))
        broker_lose_session(w);
    b->connection++;
    b->connected = true;
    b->last_in_ms = b->last_out_ms = 0;
    b->wiped = false;
    world_push(w, delay_behind(w, &b->last_out_ms),
               &(struct event){
                   .type = EVENT_CONNECTED, .tag = b->connection, .where = b->session ? 1 : 0});
    broker_resume(w);
}

void
broker_dial(struct world *w)
{
    struct broker *b = &w->broker;

    if (!w->gateway.running || b->gateway_connected)
        return;
    if (b->connected) { /* half of an older connection is left */
        b->connected = false;
        broker_disconnected(w);
    }
    if (!b->reachable || world_misfortune(w, 50)) {
        dial_later(w, 10000);
        return;
    }
    if (w->gateway.upstream_events.clean_start(w->gateway.upstream_events.ctx, 0) && !b->wiped) {
        world_trace(w, "the broker's session is wiped");
        broker_lose_session(w);
        b->wiped = true;
        dial_later(w, 100);
        return;
    }
    accept_connection(w);
}

void
broker_on_connected(struct world *w, uint32_t connection, bool session_present)
{
    struct broker *b = &w->broker;

    if (!w->gateway.running || connection != b->connection || !b->connected)
        return;
    b->gateway_connected = true;
    b->gateway_connection = connection;
    b->session = true;
    world_trace(w, "connected to the broker, session %s", session_present ? "present" : "new");
    w->gateway.upstream_events.on_connected(
        w->gateway.upstream_events.ctx,
        &(struct upstream_session){.version = version_of(w),
                                   .session_present = session_present,
                                   .send_maximum = (uint16_t)w->weather.send_maximum,
                                   .maximum_qos = 2,
                                   .retain_available = true,
                                   .subscription_ids_available = w->weather.mqtt5});
    b->heard_seq = session_present ? b->heard_seq : disk_appended(w);
}

void
broker_cut(struct world *w)
{
    struct broker *b = &w->broker;
    unsigned notice_ms = world_one_in(w, 3) ? 40000 : 50;

    if (!b->connected)
        return;
    world_trace(w, "the connection to the broker breaks");
    b->connected = false;
    broker_disconnected(w);
    if (w->calm)
        notice_ms = 50;
    if (b->gateway_connected)
        world_push(w, 1 + world_below(w, notice_ms),
                   &(struct event){.type = EVENT_CUT, .tag = b->gateway_connection});
    else
        dial_later(w, 5000); /* CONNACK never arrives */
}

void
broker_on_cut(struct world *w, uint32_t connection)
{
    struct broker *b = &w->broker;

    if (!b->gateway_connected || connection != b->gateway_connection)
        return;
    world_trace(w, "the gateway sees that the connection is gone");
    b->gateway_connected = false;
    w->gateway.upstream_events.on_disconnected(w->gateway.upstream_events.ctx);
    dial_later(w, 5000);
}

void
broker_down(struct world *w)
{
    w->broker.reachable = false;
    world_trace(w, "the broker is away");
    broker_cut(w);
}

void
broker_up(struct world *w)
{
    world_trace(w, "the broker is back");
    w->broker.reachable = true;
}

void
broker_gateway_gone(struct world *w)
{
    struct broker *b = &w->broker;

    if (b->heard_seq > w->disk.durable)
        b->session = false;
    b->heard_seq = 0;
    b->gateway_connected = false;
    b->wiped = false;
    if (b->connected) {
        b->connected = false;
        broker_disconnected(w);
    }
}

void
broker_link_init(struct world *w)
{
    w->broker.upstream.ops = &ops;
    w->broker.world = w;
    w->broker.reachable = true;
}
