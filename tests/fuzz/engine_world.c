/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's fuzz target: an engine between devices, a broker, a disk and a clock. */
#include "engine_world.h"

#include "engine_trace.h"
#include "fuzz.h"

enum {
    EFFECTS_MAX = 20000, /* of one step; more is a flood */
    START_MS = 1000,
};
#define NOW_MAX (UINT64_C(1) << 60)

static struct dm_address
address_of(unsigned who)
{
    return (struct dm_address){
        .link = (uint8_t)(who % WORLD_LINKS), .len = 1, .octets = {(uint8_t)who}};
}

static unsigned
who_is(const struct dm_address *address)
{
    unsigned who = address->octets[0];

    FUZZ_CHECK(address->len == 1 && who < WORLD_ADDRESSES && address->link == who % WORLD_LINKS,
               "an address that nobody has");
    return who;
}

/* ---- effects: what leaves ---- */

static void
hear(struct world *world, unsigned who, const struct mqttsn_packet *packet)
{
    world->peers[who].asked[packet->type] =
        (struct world_asked){packet->msg_id, packet->topic_id, packet->topic_type};
}

static struct world_held *
hold(struct world *world, uint64_t needs)
{
    if (world->held_count == world->held_room) {
        world->held_room = world->held_room == 0 ? 64 : world->held_room * 2;
        world->held = realloc(world->held, world->held_room * sizeof *world->held);
        if (world->held == NULL)
            abort();
    }
    struct world_held *held = &world->held[world->held_count++];

    *held = (struct world_held){.needs = needs, .type = ENGINE_SEND};
    return held;
}

/* ---- own connections ---- */

static unsigned
own_of(struct world *world, struct dm_span client_id)
{
    for (unsigned i = 0; i < WORLD_OWN; i++) {
        struct world_own *own = &world->own[i];

        if (own->client_id[0] == '\0' && client_id.len < sizeof own->client_id)
            memcpy(own->client_id, client_id.data, client_id.len);
        if (dm_span_equal(dm_span_text(own->client_id), client_id))
            return i;
    }
    FUZZ_CHECK(false, "an own connection of a client that nobody is");
    return 0;
}

/* The connection that is up; NULL: there is none with this number. */
static struct broker *
broker_of(struct world *world, uint64_t connection)
{
    if (connection == 0)
        return &world->broker;
    for (unsigned i = 0; i < WORLD_OWN; i++)
        if (world->own[i].connection == connection && world->own[i].broker.up)
            return &world->own[i].broker;
    return NULL;
}

static void
execute_own(struct world *world, const struct world_held *h)
{
    struct world_own *own = &world->own[h->own];

    if (h->type == ENGINE_OPEN) {
        FUZZ_CHECK(!own->wiping, "opened while it is wiped");
        FUZZ_CHECK(!own->wanted || own->connection == h->connection,
                   "two connections of one client id");
        own->lost = own->broker.up;
        if (own->broker.up)
            broker_disconnect(&own->broker);
        own->clean_owed = h->flag;
        own->wanted = true;
        own->connection = h->connection;
        return;
    }
    if (own->wiping_connection == h->connection)
        own->wiping = h->flag;
    if (h->flag) {
        own->wiping = true;
        own->wiping_connection = h->connection;
    }
    if (own->connection != h->connection)
        return;
    if (own->broker.up)
        broker_disconnect(&own->broker);
    own->wanted = own->lost = false;
}

static enum dm_result
emit_own(struct world *world, const struct engine_effect *effect)
{
    bool open = effect->type == ENGINE_OPEN;
    struct dm_span client_id = open ? effect->open.client_id : effect->close.client_id;
    struct world_held own = {.type = effect->type,
                             .connection = effect->connection,
                             .own = own_of(world, client_id),
                             .flag = open ? effect->open.clean_start : effect->close.wipe};

    FUZZ_CHECK(effect->connection != 0, "the shared connection is always there");
    if (effect->needs <= world->disk.committed) {
        execute_own(world, &own);
        return DM_OK;
    }
    struct world_held *held = hold(world, effect->needs);

    *held = own;
    held->needs = effect->needs;
    return DM_OK;
}

static void
hold_upstream(struct world *world, const struct engine_effect *effect)
{
    const struct mqtt_packet *packet = &effect->upstream;
    struct world_held *held = hold(world, effect->needs);
    size_t topic_len = packet->topic.len;

    held->type = ENGINE_UPSTREAM;
    held->connection = effect->connection;
    held->to_broker = *packet;
    held->octets = fuzz_alloc(topic_len + packet->payload.len);
    if (topic_len > 0)
        memcpy(held->octets, packet->topic.data, topic_len);
    if (packet->payload.len > 0)
        memcpy(held->octets + topic_len, packet->payload.data, packet->payload.len);
    held->to_broker.topic.data = held->octets;
    held->to_broker.payload.data = held->octets + topic_len;
}

/* Lets leave what waited for `committed`. */
static void
release(struct world *world, uint64_t committed)
{
    size_t kept = 0;

    for (size_t i = 0; i < world->held_count; i++) {
        struct world_held *held = &world->held[i];

        if (held->needs > committed) {
            world->held[kept++] = *held;
            continue;
        }
        struct broker *broker =
            held->type == ENGINE_UPSTREAM ? broker_of(world, held->connection) : NULL;

        if (broker != NULL)
            broker_takes(broker, &held->to_broker);
        else if (held->type == ENGINE_OPEN || held->type == ENGINE_CLOSE)
            execute_own(world, held);
        else if (held->type == ENGINE_SEND)
            hear(world, held->who, &held->packet);
        free(held->octets);
    }
    world->held_count = kept;
}

/* Packets of a connection that has ended; `all`: the gateway has. */
static void
drop_held(struct world *world, uint64_t connection, bool all)
{
    size_t kept = 0;

    for (size_t i = 0; i < world->held_count; i++) {
        if (!all &&
            (world->held[i].type != ENGINE_UPSTREAM || world->held[i].connection != connection))
            world->held[kept++] = world->held[i];
        else
            free(world->held[i].octets);
    }
    world->held_count = kept;
}

/* ---- effects: what is demanded of them ---- */

/* Design 1 rule 4: a device that sleeps or is gone gets nothing but the answer to what it said. */
static void
check_awake(const struct world *world, unsigned who, const struct mqttsn_packet *packet)
{
    const struct world_peer *peer = &world->peers[who];
    bool awake = peer->bound && (peer->state == ENGINE_ACTIVE || peer->state == ENGINE_AWAKE);
    bool wakes = world->speaker == (int)who &&
                 (world->said == MQTTSN_PINGREQ || world->said == MQTTSN_CONNECT);

    if (packet->type == MQTTSN_PUBLISH || packet->type == MQTTSN_REGISTER)
        FUZZ_CHECK(awake || wakes, "a message for a device that sleeps or is gone");
    else
        FUZZ_CHECK(awake || wakes || peer->listens,
                   "a device that sleeps or is gone gets what it did not ask for");
}

static enum dm_result
emit_send(struct world *world, const struct engine_effect *effect)
{
    static uint8_t datagram[MQTTSN_PACKET_MAX];
    unsigned who = who_is(&effect->address);
    unsigned link = effect->address.link;
    size_t len = 0;

    FUZZ_CHECK(mqttsn_encode(&effect->packet, datagram, sizeof datagram, &len) == DM_OK,
               "a message that cannot be encoded");
    FUZZ_CHECK(len <= world->links[link].mtu, "a message longer than the mtu");
    check_awake(world, who, &effect->packet);
    if (effect->packet.type == MQTTSN_PINGRESP ||
        (effect->packet.type == MQTTSN_DISCONNECT && world->speaker == (int)who &&
         world->said == MQTTSN_DISCONNECT))
        world->peers[who].listens = false;
    if (effect->needs > world->disk.committed) {
        struct world_held *held = hold(world, effect->needs);

        held->who = (uint8_t)who;
        held->packet = effect->packet;
        return DM_OK;
    }
    if (world->link_full[link])
        return DM_FULL;
    hear(world, who, &effect->packet);
    return DM_OK;
}

static enum dm_result
emit_broadcast(struct world *world, const struct engine_effect *effect)
{
    uint8_t datagram[256];
    size_t len = 0;

    FUZZ_CHECK(effect->address.link < WORLD_LINKS, "a link that nobody has");
    FUZZ_CHECK(effect->packet.type == MQTTSN_ADVERTISE || effect->packet.type == MQTTSN_GWINFO,
               "not a gateway's broadcast");
    FUZZ_CHECK(mqttsn_encode(&effect->packet, datagram, sizeof datagram, &len) == DM_OK,
               "a broadcast that cannot be encoded");
    if (effect->has_address)
        who_is(&effect->address);
    return world->link_full[effect->address.link] ? DM_FULL : DM_OK;
}

static enum dm_result
emit_upstream(struct world *world, const struct engine_effect *effect)
{
    const struct mqtt_packet *packet = &effect->upstream;
    size_t room = mqtt_encoded_max(packet);
    uint8_t *octets = fuzz_alloc(room);
    size_t len = 0;
    struct broker *broker = broker_of(world, effect->connection);

    if (broker == NULL) /* its end was said, and this before; the runner drops it */
        FUZZ_CHECK(effect->connection != 0, "a packet without a connection");
    FUZZ_CHECK(mqtt_encode(broker != NULL ? broker->session.version : MQTT_5, packet, octets, room,
                           &len) == DM_OK,
               "a packet that cannot be encoded");
    free(octets);
    if (broker == NULL)
        return DM_IO;
    FUZZ_CHECK(broker->up, "a packet without a connection");
    if (effect->needs > world->disk.committed) {
        hold_upstream(world, effect);
        return DM_OK;
    }
    if (packet->type == MQTT_PUBLISH && world->publish_result != DM_OK) {
        if (world->publish_result != DM_IO)
            broker_refuses(broker, packet->packet_id);
        return world->publish_result;
    }
    broker_takes(broker, packet);
    return DM_OK;
}

static enum dm_result
emit(void *ctx, const struct engine_effect *effect)
{
    struct world *world = ctx;

    trace_effect(effect, world->disk.seq + 1);
    FUZZ_CHECK(world->started, "an effect before the start or after the end");
    FUZZ_CHECK(++world->effects <= EFFECTS_MAX, "a flood");
    FUZZ_CHECK(effect->needs <= world->disk.seq, "waits for a record that does not exist");
    switch (effect->type) {
    case ENGINE_SEND:
        return emit_send(world, effect);
    case ENGINE_WITHDRAW:
        FUZZ_CHECK(effect->has_address, "withdraws for no address");
        return DM_OK;
    case ENGINE_BROADCAST:
        return emit_broadcast(world, effect);
    case ENGINE_UPSTREAM:
        return emit_upstream(world, effect);
    case ENGINE_OPEN:
    case ENGINE_CLOSE:
        return emit_own(world, effect);
    case ENGINE_RECORD:
        engine_disk_append(&world->disk, effect);
        FUZZ_CHECK(world->disk.fault == NULL, world->disk.fault);
        return DM_OK;
    }
    FUZZ_CHECK(false, "an effect of no type");
    return DM_INVALID;
}

/* ---- the state that can be seen ---- */

struct survey {
    struct world *world;
    size_t sessions[ENGINE_STATE_COUNT];
    uint64_t messages, octets;
    size_t wills;
};

static void
visit_session(void *ctx, const struct engine_session_status *session)
{
    struct survey *survey = ctx;
    struct world *world = survey->world;
    const struct engine_options *options = &world->options;

    FUZZ_CHECK(session->state < ENGINE_STATE_COUNT, "a state that does not exist");
    FUZZ_CHECK(session->client_id.len > 0 && session->client_id.len <= options->client_id_max,
               "a client id that was to be refused");
    if (session->section == NULL)
        FUZZ_CHECK(session->queued_messages <= options->settings.queue_messages &&
                       session->queued_octets <= options->settings.queue_bytes,
                   "a queue beyond its limit");
    FUZZ_CHECK(session->last_contact_ms <= world->now_ms, "heard in the future");
    survey->sessions[session->state]++;
    survey->wills += session->will;
    survey->messages += session->queued_messages;
    survey->octets += session->queued_octets;
    if (!session->has_address)
        return;
    struct world_peer *peer = &world->peers[who_is(&session->address)];

    FUZZ_CHECK(!peer->bound, "two sessions at one address");
    peer->bound = true;
    peer->state = session->state;
}

/* Also notes which device is in which state, for the next step. */
static void
look(struct world *world)
{
    const struct engine_options *options = &world->options;
    struct survey survey = {.world = world};
    struct engine_status status;
    size_t count = 0;

    for (size_t i = 0; i < WORLD_ADDRESSES; i++)
        world->peers[i].bound = false;
    engine_each_session(world->engine, world->now_ms, visit_session, &survey);
    engine_status(world->engine, &status);
    for (size_t i = 0; i < ENGINE_STATE_COUNT; i++) {
        FUZZ_CHECK(status.sessions[i] == survey.sessions[i], "sessions are miscounted");
        count += status.sessions[i];
    }
    FUZZ_CHECK(status.wills == survey.wills, "wills are miscounted");
    FUZZ_CHECK(count <= options->max_clients, "more sessions than allowed");
    FUZZ_CHECK(status.queued_messages == survey.messages && status.queued_octets == survey.octets,
               "queues are miscounted");
    FUZZ_CHECK(status.queued_octets <= options->total_bytes, "queues beyond their limit");
    FUZZ_CHECK(status.spooled_octets <= options->spool_bytes, "a spool beyond its limit");
}

static void
begin_step(struct world *world)
{
    world->speaker = -1;
    world->effects = 0;
}

/* The turn of the loop ends, and what is due runs. */
static void
end_step(struct world *world)
{
    engine_disk_end_turn(&world->disk);
    look(world);
    begin_step(world);
    engine_time(world->engine, world->now_ms);
    engine_disk_end_turn(&world->disk);
    FUZZ_CHECK(engine_next_deadline(world->engine) > world->now_ms,
               "a deadline in the past: the loop would spin");
    look(world);
    begin_step(world);
}

/* ---- life ---- */

static void
start_engine(struct world *world)
{
    if (world->configure != NULL)
        world->configure(&world->options, world->rights);
    world->engine = engine_new(&world->options, emit, world);
    if (world->engine == NULL)
        abort();
    FUZZ_CHECK(engine_disk_load(&world->disk, world->engine) == DM_OK,
               "what was written cannot be read");
    look(world);
    world->started = true;
    engine_start(world->engine, world->now_ms);
    end_step(world);
}

static void
end_engine(struct world *world)
{
    world->started = false;
    engine_free(world->engine);
    broker_gateway_restarts(&world->broker);
    for (unsigned i = 0; i < WORLD_OWN; i++) {
        struct world_own *own = &world->own[i];

        broker_gateway_restarts(&own->broker);
        if (own->new_seq > world->disk.committed)
            own->exists = false; /* told of again, until the gateway has that on disk */
        own->new_seq = 0;
        own->wanted = own->wiping = own->clean_owed = own->lost = false;
    }
    drop_held(world, 0, true);
    engine_disk_crash(&world->disk);
}

void
world_start(struct world *world)
{
    world->now_ms = START_MS;
    world->publish_result = DM_OK;
    memset(world->link_full, 0, sizeof world->link_full);
    memset(world->peers, 0, sizeof world->peers);
    engine_disk_init(&world->disk);
    broker_init(&world->broker);
    for (unsigned i = 0; i < WORLD_OWN; i++) {
        struct world_own *own = &world->own[i];

        broker_init(&own->broker);
        memset(own, 0, offsetof(struct world_own, broker));
    }
    world->about = WORLD_OWN;
    begin_step(world);
    start_engine(world);
}

void
world_restart(struct world *world, bool orderly, bool reboot)
{
    trace_text("%s, clock %s\n", orderly ? "restart" : "crash", reboot ? "anew" : "goes on");
    if (orderly) {
        engine_shutdown(world->engine, world->now_ms);
        engine_disk_end_turn(&world->disk);
        engine_disk_commit(&world->disk, world->disk.seq);
        FUZZ_CHECK(world->disk.fault == NULL, world->disk.fault);
    }
    end_engine(world);
    if (reboot)
        world->now_ms = START_MS;
    for (size_t i = 0; i < WORLD_LINKS; i++)
        world->link_full[i] = false;
    start_engine(world);
}

void
world_finish(struct world *world)
{
    world_restart(world, true, false);
    end_engine(world);
    engine_disk_fini(&world->disk);
    free(world->held);
    world->held = NULL;
    world->held_room = 0;
}

/* ---- steps ---- */

void
world_datagram(struct world *world, unsigned who, const struct mqttsn_packet *packet)
{
    struct dm_address from = address_of(who);

    trace_datagram(who, packet);
    world->speaker = (int)who;
    world->said = packet->type;
    world->peers[who].listens = true;
    engine_datagram(world->engine, world->now_ms, &from, packet);
    end_step(world);
}

struct broker *
world_broker(struct world *world)
{
    return world->about < WORLD_OWN ? &world->own[world->about].broker : &world->broker;
}

/* As in the runner: nothing is told of a connection whose end is held. */
static bool
is_over(const struct world *world, uint64_t connection)
{
    for (size_t i = 0; i < world->held_count; i++)
        if (world->held[i].type == ENGINE_CLOSE && world->held[i].connection == connection)
            return true;
    return false;
}

static void
own_up(struct world *world, struct upstream_session *granted)
{
    struct world_own *own = &world->own[world->about];

    if (!own->wanted || own->broker.up || is_over(world, own->connection))
        return;
    if (own->lost) {
        world_broker_ends(world, UPSTREAM_LOST);
        return;
    }
    granted->session_present = granted->session_present && own->exists && !own->clean_owed;
    own->exists = true;
    own->clean_owed = false;
    trace_text("own connection %llu, session %s\n", (unsigned long long)own->connection,
               granted->session_present ? "present" : "new");
    broker_connect(&own->broker, granted);
    engine_upstream_connected(world->engine, world->now_ms, own->connection, granted);
    own->new_seq = granted->session_present ? own->new_seq : world->disk.seq;
    end_step(world);
}

void
world_broker_up(struct world *world, const struct upstream_session *session)
{
    struct upstream_session granted = *session;

    if (world->about < WORLD_OWN) {
        own_up(world, &granted);
        return;
    }
    if (world->broker.up)
        return;
    granted.session_present =
        session->session_present && !engine_needs_clean_start(world->engine, 0);
    trace_text("connected, MQTT %u, session %s, %u open, qos %u, %s\n",
               granted.version == MQTT_5 ? 5 : 3, granted.session_present ? "present" : "new",
               granted.send_maximum, granted.maximum_qos,
               granted.retain_available ? "retain" : "no retain");
    broker_connect(&world->broker, &granted);
    engine_upstream_connected(world->engine, world->now_ms, 0, &granted);
    end_step(world);
}

void
world_broker_ends(struct world *world, enum upstream_end why)
{
    struct world_own *own = &world->own[world->about % WORLD_OWN];

    if (world->about >= WORLD_OWN || !own->wanted || is_over(world, own->connection))
        return;
    trace_text("own connection %llu ends, %d\n", (unsigned long long)own->connection, (int)why);
    if (own->broker.up)
        broker_disconnect(&own->broker);
    own->wanted = why == UPSTREAM_LOST;
    own->lost = false;
    drop_held(world, own->connection, false);
    engine_upstream_disconnected(world->engine, world->now_ms, own->connection, why);
    end_step(world);
}

void
world_broker_wiped(struct world *world)
{
    struct world_own *own = &world->own[world->about % WORLD_OWN];

    if (world->about >= WORLD_OWN || !own->wiping || is_over(world, own->wiping_connection))
        return;
    trace_text("own connection %llu wiped\n", (unsigned long long)own->wiping_connection);
    own->wiping = own->exists = false;
    engine_upstream_wiped(world->engine, world->now_ms, own->wiping_connection);
    end_step(world);
}

void
world_broker_down(struct world *world)
{
    if (world->about < WORLD_OWN) {
        world_broker_ends(world, UPSTREAM_LOST);
        return;
    }
    if (!world->broker.up)
        return;
    trace_text("disconnected\n");
    broker_disconnect(&world->broker);
    drop_held(world, 0, false);
    engine_upstream_disconnected(world->engine, world->now_ms, 0, UPSTREAM_LOST);
    end_step(world);
}

/* Whether a packet of the gateway with this id waits for the disk. */
static bool
is_held(const struct world *world, uint64_t connection, uint16_t packet_id)
{
    for (size_t i = 0; i < world->held_count; i++)
        if (world->held[i].type == ENGINE_UPSTREAM && world->held[i].connection == connection &&
            world->held[i].to_broker.packet_id == packet_id)
            return true;
    return false;
}

void
world_broker_packet(struct world *world, const struct mqtt_packet *packet)
{
    bool is_answer = packet->type != MQTT_PUBLISH && packet->type != MQTT_PUBREL;

    struct broker *broker = world_broker(world);
    uint64_t connection = world->about < WORLD_OWN ? world->own[world->about].connection : 0;

    if (!broker->up || is_over(world, connection) ||
        (is_answer && is_held(world, connection, packet->packet_id)))
        return; /* nobody answers what has not left */
    trace_broker("broker says", packet);
    broker_answers(broker, packet);
    engine_upstream_packet(world->engine, world->now_ms, connection, packet);
    end_step(world);
}

void
world_commit(struct world *world, uint64_t seq)
{
    uint64_t committed = engine_disk_commit(&world->disk, seq);

    trace_text("committed %llu\n", (unsigned long long)committed);
    FUZZ_CHECK(world->disk.fault == NULL, world->disk.fault);
    release(world, committed);
    engine_committed(world->engine, world->now_ms, committed);
    end_step(world);
}

void
world_link(struct world *world, unsigned link, bool up)
{
    trace_text("link %u %s\n", link, up ? "up" : "down");
    world->links[link].up = up;
    world->link_full[link] = false;
    engine_link(world->engine, world->now_ms, (uint8_t)link, up);
    end_step(world);
}

void
world_link_full(struct world *world, unsigned link, bool full)
{
    trace_text("link %u %s\n", link, full ? "full" : "has room");
    world->link_full[link] = full;
    if (!full)
        engine_link_room(world->engine, world->now_ms, (uint8_t)link);
    end_step(world);
}

void
world_forget(struct world *world, struct dm_span client_id)
{
    trace_text("forget\n");
    engine_forget(world->engine, world->now_ms, client_id);
    end_step(world);
}

void
world_disconnect(struct world *world, struct dm_span client_id)
{
    trace_text("disconnect\n");
    engine_disconnect(world->engine, world->now_ms, client_id);
    end_step(world);
}

void
world_drop_queue(struct world *world, struct dm_span client_id)
{
    size_t dropped = 0;
    size_t kept = 0;

    trace_text("drop queue\n");
    engine_drop_queue(world->engine, world->now_ms, client_id, &dropped, &kept);
    end_step(world);
}

static bool
is_told(void *ctx, const struct engine_change *change)
{
    struct world *world = ctx;

    FUZZ_CHECK(change->session.client_id.len > 0, "a session without a client id is told");
    return world->reloads % 3 != 0;
}

void
world_reconfigure(struct world *world, uint8_t rights)
{
    enum { NAMES = 2 | 4 | 64 };
    struct engine_options *next = &world->live[++world->reloads % 2];
    const struct engine_change_pace pace = {.news_ms = 1000, .contact_ms = 60000, .limit = 2};

    trace_text("reconfigure\n");
    *next = world->options;
    world->rights = (uint8_t)((rights & ~NAMES) | (world->rights & NAMES));
    if (world->configure != NULL)
        world->configure(next, world->rights);
    engine_reconfigure(world->engine, world->now_ms, next);
    world->options = *next;
    memset(&world->live[(world->reloads + 1) % 2], 0xa5, sizeof world->live[0]);
    engine_tell_changes(world->engine, world->now_ms, &pace, is_told, world);
    end_step(world);
}

void
world_wait(struct world *world, uint64_t ms)
{
    uint64_t left = NOW_MAX - world->now_ms;

    world->now_ms += ms < left ? ms : left;
    trace_text("now %llu\n", (unsigned long long)world->now_ms);
    end_step(world);
}
