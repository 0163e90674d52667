/* SPDX-License-Identifier: Apache-2.0 */
/* Executes the engine's effects, and holds those whose promise is not on disk yet. */
#include "runner.h"

#include <stdlib.h>

#include <dormouse/log.h>

#include "runner_private.h"

enum {
    HELD_MAX = 20000,        /* answers; beyond it the device has to repeat */
    CLOCK_POLL_MS = 60000,   /* is the wall clock synchronised by now? */
    PACKET_TOO_LARGE = 0x95, /* MQTT 5 reason code */
};

uint64_t
runner_now_ms(const struct runner *r)
{
    return r->options.now_ms(r->options.ctx);
}

static struct clock_reading
read_clocks(const struct runner *r)
{
    return (struct clock_reading){
        .boot_ms = runner_now_ms(r),
        .wall_ms = r->options.wall_ms != NULL ? r->options.wall_ms(r->options.ctx) : 0,
    };
}

/* ---- effects ---- */

static void
trace(const struct runner *r, const struct runner_traced *traced)
{
    char peer[DM_ADDRESS_TEXT_MAX];
    char text[256];

    if (r->trace != NULL)
        r->trace(r->trace_ctx, traced);
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    log_debug("packet", "%s %s %s", traced->to_device ? "to" : "from",
              transport_address_text(r->transports[traced->address->link], traced->address, peer,
                                     sizeof peer),
              mqttsn_describe(traced->packet, text, sizeof text));
}

static enum dm_result
emit_send(struct runner *r, const struct engine_effect *effect)
{
    struct transport *transport = r->transports[effect->address.link];
    size_t len;
    enum dm_result result = mqttsn_encode(&effect->packet, r->datagram, sizeof r->datagram, &len);

    if (result != DM_OK) {
        log_error("runner", "cannot encode %s: %s", mqttsn_type_name(effect->packet.type),
                  dm_result_text(result));
        return DM_INVALID;
    }
    trace(r, &(struct runner_traced){.to_device = true,
                                     .held = effect->needs > r->committed,
                                     .address = &effect->address,
                                     .packet = &effect->packet});
    if (effect->needs <= r->committed)
        return transport->ops->send(transport, &effect->address, r->datagram, len);
    if (r->held.count >= HELD_MAX ||
        !held_add_datagram(&r->held, effect->needs, &effect->address, r->datagram, len))
        r->status.held_dropped++;
    return DM_OK;
}

/* Depends on nothing, and what is lost of it comes again. */
static enum dm_result
emit_broadcast(struct runner *r, const struct engine_effect *effect)
{
    struct transport *transport = r->transports[effect->address.link];
    const struct dm_address *asker = effect->has_address ? &effect->address : NULL;
    size_t len;
    enum dm_result result = mqttsn_encode(&effect->packet, r->datagram, sizeof r->datagram, &len);

    if (result != DM_OK)
        return result;
    if (log_enabled(LOG_LEVEL_DEBUG)) {
        char text[256];

        log_debug("packet", "to all on %s:%s %s", transport->kind, transport->name,
                  mqttsn_describe(&effect->packet, text, sizeof text));
    }
    return transport->ops->broadcast(transport, asker, effect->radius, r->datagram, len);
}

/* DM_IO: the connection is closing; the engine will hear so and begin again. */
static enum dm_result
send_upstream(struct runner *r, uint64_t connection, const struct mqtt_packet *packet)
{
    enum dm_result result = DM_IO;

    if (connection == 0 && r->upstream != NULL)
        result = r->upstream->ops->send(r->upstream, packet);
    else if (connection != 0 && r->own != NULL)
        result = r->own->send(r->own->ctx, connection, packet);

    if (result != DM_OK && result != DM_IO && packet->type != MQTT_PUBLISH)
        log_warning("upstream", "%s not sent: %s", mqtt_type_name(packet->type),
                    dm_result_text(result));
    return result;
}

static enum dm_result
emit_upstream(struct runner *r, const struct engine_effect *effect)
{
    const struct mqtt_packet *packet = &effect->upstream;

    if (effect->needs <= r->committed)
        return send_upstream(r, effect->connection, packet);
    if (packet->type == MQTT_PUBLISH && packet->qos == 0 && r->held.count >= HELD_MAX)
        return DM_FULL; /* of the others there are no more than the broker's window */
    return held_add_packet(&r->held, effect->needs, effect->connection, packet) ? DM_OK : DM_IO;
}

static void
emit_record(struct runner *r, const struct engine_effect *effect)
{
    struct store_record record = effect->record;
    char text[DM_ADDRESS_TEXT_MAX];

    if (effect->has_address)
        record.address = dm_span_text(transport_address_text(r->transports[effect->address.link],
                                                             &effect->address, text, sizeof text));
    if (record.op == STORE_CLOCK_PUT)
        clock_fill(&r->clock, &record, read_clocks(r));
    if (r->store->ops->append(r->store, &record) == 0) {
        /* Going on would leave a hole in the journal behind promises already numbered. Stopping
         * here loses nothing that was acknowledged. */
        log_error("runner",
                  "out of memory for the journal: stopping, nothing acknowledged is lost");
        abort();
    }
}

static enum dm_result
emit(void *ctx, const struct engine_effect *effect)
{
    struct runner *r = ctx;

    switch (effect->type) {
    case ENGINE_SEND:
        return emit_send(r, effect);
    case ENGINE_WITHDRAW:
        held_withdraw(&r->held, &effect->address);
        return DM_OK;
    case ENGINE_BROADCAST:
        return emit_broadcast(r, effect);
    case ENGINE_UPSTREAM:
        return emit_upstream(r, effect);
    case ENGINE_OPEN:
    case ENGINE_CLOSE:
        return runner_emit_own(r, effect);
    case ENGINE_RECORD:
        emit_record(r, effect);
        return DM_OK;
    }
    return DM_INVALID;
}

void
runner_end_turn(struct runner *r)
{
    uint64_t deadline_ms = engine_next_deadline(r->engine);
    uint64_t poll_ms = r->clock.settled ? ENGINE_NEVER : runner_now_ms(r) + CLOCK_POLL_MS;

    r->in_turn = false;
    r->store->ops->flush(r->store);
    r->options.arm(r->options.ctx, deadline_ms < poll_ms ? deadline_ms : poll_ms);
}

void
runner_input_over(struct runner *r)
{
    if (r->options.turn_begins == NULL) {
        runner_end_turn(r);
    } else if (!r->in_turn) {
        r->in_turn = true;
        r->options.turn_begins(r->options.ctx);
    }
}

/* ---- inputs ---- */

static void
on_datagram(void *ctx, const struct dm_address *from, const uint8_t *data, size_t len)
{
    struct runner *r = ctx;
    struct mqttsn_packet packet;

    if (r->stopping)
        return;
    enum dm_result result = mqttsn_decode(data, len, &packet);

    if (result == DM_UNSUPPORTED) {
        r->status.unsupported++;
        return;
    }
    if (result != DM_OK) {
        r->status.malformed++;
        return;
    }
    trace(r, &(struct runner_traced){.address = from, .packet = &packet});
    const struct transport *transport = r->transports[from->link];

    if (transport->ops->is_congested != NULL)
        engine_link_congested(r->engine, from->link, transport->ops->is_congested(transport));
    engine_datagram(r->engine, runner_now_ms(r), from, &packet);
    runner_input_over(r);
}

static void
on_link(void *ctx, uint8_t link, bool up)
{
    struct runner *r = ctx;

    engine_link(r->engine, runner_now_ms(r), link, up);
    runner_input_over(r);
}

static void
on_link_room(void *ctx, uint8_t link)
{
    struct runner *r = ctx;

    engine_link_room(r->engine, runner_now_ms(r), link);
    runner_input_over(r);
}

static void
on_sent(void *ctx, const struct dm_address *to)
{
    struct runner *r = ctx;

    engine_sent(r->engine, runner_now_ms(r), to);
    runner_input_over(r);
}

static void
on_mtu(void *ctx, uint8_t link, uint16_t mtu)
{
    engine_link_mtu(((struct runner *)ctx)->engine, link, mtu);
}

/* A PUBLISH that was held and that the broker can never take: answered as the broker would. */
static void
refuse_publish(struct runner *r, uint64_t connection, const struct mqtt_packet *publish)
{
    engine_upstream_packet(
        r->engine, runner_now_ms(r), connection,
        &(struct mqtt_packet){.type = publish->qos == 2 ? MQTT_PUBREC : MQTT_PUBACK,
                              .packet_id = publish->packet_id,
                              .reason = PACKET_TOO_LARGE});
}

static void
release_packet(struct runner *r, struct held *held)
{
    struct mqtt_packet packet = held->packet;
    uint64_t connection = held->connection;
    enum dm_result result = send_upstream(r, connection, &packet);

    held_remove(&r->held, held);
    if (packet.type == MQTT_PUBLISH && packet.qos > 0 &&
        (result == DM_FULL || result == DM_INVALID))
        refuse_publish(r, connection, &packet);
}

static void
release(struct runner *r, struct held *held)
{
    struct transport *transport;

    switch (held->kind) {
    case HELD_PACKET:
        release_packet(r, held);
        return;
    case HELD_OPEN:
        runner_open_own(r, held->connection, &held->open);
        break;
    case HELD_CLOSE:
        runner_close_own(r, held->connection, &held->close);
        break;
    case HELD_DATAGRAM:
        transport = r->transports[held->address.link];
        /* What the radio loses, the device repeats. */
        if (transport->ops->send(transport, &held->address, held->octets, held->len) == DM_LATER)
            engine_late(r->engine, &held->address);
        break;
    }
    held_remove(&r->held, held);
}

static void
on_committed(void *ctx, uint64_t seq)
{
    struct runner *r = ctx;

    if (seq > r->committed)
        r->committed = seq;
    while (r->held.first != NULL && r->held.first->needs <= r->committed)
        release(r, r->held.first);
    engine_committed(r->engine, runner_now_ms(r), r->committed);
    runner_input_over(r);
}

static void
on_degraded(void *ctx, bool degraded)
{
    struct runner *r = ctx;

    engine_store_degraded(r->engine, degraded);
}

static bool
on_clean_start(void *ctx, size_t broker)
{
    return engine_needs_clean_start(((struct runner *)ctx)->engine, broker);
}

static bool
on_idle(void *ctx)
{
    const struct runner *r = ctx;

    return r->held.count == 0 && engine_upstream_is_idle(r->engine);
}

static void
on_connected(void *ctx, const struct upstream_session *session)
{
    struct runner *r = ctx;

    engine_upstream_connected(r->engine, runner_now_ms(r), 0, session);
    runner_input_over(r);
}

static void
on_disconnected(void *ctx)
{
    struct runner *r = ctx;
    held_drop_packets(&r->held, 0); /* they belong to the connection that is gone */
    engine_upstream_disconnected(r->engine, runner_now_ms(r), 0, UPSTREAM_LOST);
    runner_input_over(r);
}

static void
on_packet(void *ctx, const struct mqtt_packet *packet)
{
    struct runner *r = ctx;

    if (r->stopping && packet->type == MQTT_PUBLISH)
        return;
    engine_upstream_packet(r->engine, runner_now_ms(r), 0, packet);
    runner_input_over(r);
}

/* ---- life ---- */

struct runner *
runner_new(const struct runner_options *options)
{
    struct runner *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->options = *options;
    clock_init(&r->clock, options->boot_id != NULL ? options->boot_id : "");
    r->engine = engine_new(options->engine, emit, r);
    if (r->engine == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

void
runner_free(struct runner *r)
{
    if (r == NULL)
        return;
    engine_free(r->engine);
    held_clear(&r->held);
    free(r);
}

struct transport_listener
runner_transport_listener(struct runner *r)
{
    return (struct transport_listener){.ctx = r,
                                       .on_datagram = on_datagram,
                                       .on_link = on_link,
                                       .on_room = on_link_room,
                                       .on_sent = on_sent,
                                       .on_mtu = on_mtu};
}

struct store_events
runner_store_events(struct runner *r)
{
    return (struct store_events){
        .ctx = r, .on_committed = on_committed, .on_degraded = on_degraded};
}

struct upstream_events
runner_upstream_events(struct runner *r)
{
    return (struct upstream_events){.ctx = r,
                                    .clean_start = on_clean_start,
                                    .is_idle = on_idle,
                                    .on_connected = on_connected,
                                    .on_disconnected = on_disconnected,
                                    .on_packet = on_packet};
}

void
runner_set_transports(struct runner *r, struct transport *const *transports, size_t count)
{
    r->transports = transports;
    r->transport_count = count;
}

static void
expect_device(struct runner *r, const struct dm_address *address)
{
    struct transport *transport = r->transports[address->link];

    if (transport->ops->expect != NULL)
        transport->ops->expect(transport, address);
}

enum dm_result
runner_load(void *ctx, const struct store_record *record)
{
    struct runner *r = ctx;
    struct dm_address address;
    char text[DM_ADDRESS_TEXT_MAX];
    bool found = false;

    if (record->op == STORE_CLOCK_PUT) {
        clock_resume(&r->clock, record, read_clocks(r));
        return DM_OK;
    }
    if (record->address.len > 0 && record->address.len < sizeof text) {
        memcpy(text, record->address.data, record->address.len);
        text[record->address.len] = '\0';
        found = transport_address_parse(r->transports, r->transport_count, text, &address) == DM_OK;
    }
    enum dm_result result = engine_load(r->engine, record, found ? &address : NULL);

    if (result == DM_MALFORMED || result == DM_INVALID) {
        log_warning("store", "a row (kind %d, session %llu) makes no sense and is left out",
                    (int)record->op, (unsigned long long)record->session);
        return DM_OK;
    }
    if (result == DM_OK && found)
        expect_device(r, &address);
    return result;
}

void
runner_set_store(struct runner *r, struct store *store)
{
    r->store = store;
}

void
runner_set_upstream(struct runner *r, struct upstream *upstream)
{
    r->upstream = upstream;
}

void
runner_start(struct runner *r)
{
    engine_clock(r->engine, runner_now_ms(r), r->clock.offset_ms);
    engine_start(r->engine, runner_now_ms(r));
    runner_input_over(r);
}

void
runner_time(struct runner *r)
{
    if (clock_settle(&r->clock, read_clocks(r)))
        engine_clock(r->engine, runner_now_ms(r), r->clock.offset_ms);
    engine_time(r->engine, runner_now_ms(r));
    runner_input_over(r);
}

void
runner_shutdown(struct runner *r)
{
    r->stopping = true;
    engine_shutdown(r->engine, runner_now_ms(r));
    r->store->ops->flush(r->store);
}

void
runner_set_trace(struct runner *r, runner_trace *on_trace, void *ctx)
{
    r->trace = on_trace;
    r->trace_ctx = ctx;
}

const struct engine *
runner_engine(const struct runner *r)
{
    return r->engine;
}

void
runner_status(const struct runner *r, struct runner_status *status)
{
    *status = r->status;
    status->held = r->held.count;
    status->held_octets = r->held.octets;
}
