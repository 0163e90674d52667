/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: an input is a configuration and a list of things that happen. Octets choose among
 * few devices, names, MsgIds and packet ids, and answers name what was asked last, so that mutation
 * reaches deep states; raw datagrams and raw broker packets are among the choices.
 */
#include <dormouse/log.h>

#include "engine_trace.h"
#include "engine_world.h"
#include "fuzz.h"
#include "topic.h"

enum { STEPS_MAX = 3000 };

static const char long_name[] =
    "a/quite/long/name/for/a/topic/that/does/not/fit/into/every/message/of/a/link/whose/mtu/is/"
    "small/and/which/goes/on/like/this/until/nobody/wants/to/read/it/any/more/because/it/has/no/"
    "end/that/one/could/wait/for/and/no/meaning/that/one/could/hope/for/0123456789";
static const char *const names[] = {
    "t/1",      "t/2",      "u/1",    "ab",   "yard/button", "dev/dd/x", "t/+",     "t/#",
    "#",        "+/1",      "$SYS/x", "",     "a/#/",        "\xff",     long_name, "$share/g/t/1",
    "site/t/1", "site/u/1", "t",      "\x01",
};
static const char *const client_ids[] = {
    "a", "b", "cc", "dd", "", "longest-id-of-24-octets!", "one octet more than is allowed", "e/+#"};
static const uint8_t reasons[] = {0, 0, 0, 1, 2, 0x10, 0x80, 0x87, 0x91, 0x97};

static const struct engine_topic of_all[] = {{7, "yard/button"}, {8, "yard/lamp"}};
static const struct engine_topic of_link[] = {{7, "link/button"}, {9, long_name}};
static const struct engine_topic of_client[] = {{20, "dev/%c/x"}, {8, "dev/%c/lamp"}};
static const char *const lists[] = {"t/+", "dev/%c/#", "u/1"};
static struct topic_rule rules[] = {
    {.left = "t/+", .right = "u/%1/x", .right_filter = "u/+/x"},
    {.left = "dev/#", .right = "t/%1", .right_filter = "t/#", .rest = 1},
};
static const bool first_link[WORLD_LINKS] = {true};
static struct engine_settings own_settings;

/* The rights of clients, and names at the broker: another start, perhaps another configuration. */
static void
configure_rights(struct engine_options *options, uint8_t rights)
{
    static struct engine_client clients[2];
    bool listed = rights & 1;
    bool prefixed = rights & 2;

    own_settings = options->settings;
    own_settings.queue_messages = 2;
    own_settings.store_after_ms = 500;
    own_settings.max_age_ms = 20000;
    own_settings.retry_ms = 3000;
    clients[0] = (struct engine_client){.pattern = "d*",
                                        .topics = of_client,
                                        .topic_count = 2,
                                        .uses_client_id = true,
                                        .publish = listed ? lists : NULL,
                                        .publish_count = 3,
                                        .subscribe = listed ? lists : NULL,
                                        .subscribe_count = 2,
                                        .topic_prefix = prefixed ? "p/%c/" : NULL,
                                        .settings = rights & 16 ? &own_settings : NULL};
    clients[1] = (struct engine_client){.pattern = "?",
                                        .topics = of_link,
                                        .topic_count = 1,
                                        .links = rights & 8 ? first_link : NULL,
                                        .topic_prefix = prefixed ? "t/" : NULL};
    options->clients = clients;
    options->reject_unknown = rights & 32;
    options->rules = rules;
    options->rule_count = rights & 4 ? 1 + (rights >> 6 & 1) : 0;
}

#define CHOOSE(input, table) (table)[fuzz_octet(input) % (sizeof(table) / sizeof((table)[0]))]

/* ---- configuration ---- */

static void
configure_limits(struct engine_options *options, struct fuzz_input *input)
{
    uint8_t limits = fuzz_octet(input);
    uint8_t octets = fuzz_octet(input);

    options->settings.queue_messages = 1 + (limits & 7u);
    options->max_clients = 1 + (limits >> 3 & 3u);
    options->receive_maximum = (uint16_t)(1 + (limits >> 5));
    options->settings.queue_bytes = UINT64_C(16) << (octets & 7);
    options->total_bytes = UINT64_C(256) << (octets >> 3 & 7);
    options->spool_bytes = UINT64_C(256) << (octets >> 5 << 1);
}

static const char *const broker_keys[] = {"broker"};

static void
configure(struct world *world, struct fuzz_input *input)
{
    uint8_t flags = fuzz_octet(input);
    uint8_t ways = fuzz_octet(input);

    for (size_t i = 0; i < WORLD_LINKS; i++)
        world->links[i] = (struct engine_link){
            .mtu = i == 0 ? 255 : 64,
            .up = true,
            .advertise = i == 0,
            .qos_minus_one = (enum engine_qos_minus_one)((ways >> 4 & 3) % 3),
            .topics = of_link,
            .topic_count = i == 0 ? 0 : 2,
        };
    world->options = (struct engine_options){
        .links = world->links,
        .link_count = WORLD_LINKS,
        .topics = of_all,
        .topic_count = 2,
        .client_count = flags & 1 ? 2 : 0,
        .gateway_id = 1,
        .standby_for = flags & 2 ? 2 : ENGINE_NO_GATEWAY,
        .advertise_ms = flags & 4 ? 900000 : ENGINE_NEVER,
        .topic_prefix = flags & 8 ? "site/" : "",
        .status_topics = "a/",
        .broker_keys = broker_keys,
        .broker_count = 1,
        .client_id_max = 24,
        .settings.resume_ignores_clean = flags & 16,
        .settings.uplink_ack_store = flags & 32,
        .settings.awake_max_ms = flags & 64 ? 5000 : ENGINE_NEVER,
        .settings.max_age_ms = flags & 128 ? 60000 : ENGINE_NEVER,
        .settings.expiry_ms = flags & 128 ? 3600000 : ENGINE_NEVER,
        .settings.overflow = (enum engine_overflow)((ways & 3) % 3),
        .settings.queue_qos0 = (enum engine_queue_qos0)((ways >> 2 & 3) % 3),
        .settings.store_after_ms = ways & 64 ? 1000 : 0,
        .settings.retry_ms = 10000,
        .settings.retry_count = ways & 128 ? 3 : 0,
        .settings.tolerance_percent = 150,
        .settings.own = (ways & 3) == 3,
        .settings.hold_at_broker = (ways >> 2 & 3) == 3,
        .settings.will_at_broker = (ways >> 4 & 3) == 3,
    };
    configure_limits(&world->options, input);
    world->configure = configure_rights;
    world->rights = input->left > 0 ? input->at[--input->left] : 0; /* the last octet */
}

/* ---- devices ---- */

/* What a message answers, by its type; MQTTSN_TYPE_COUNT: nothing. */
static enum mqttsn_type
question(enum mqttsn_type type)
{
    switch (type) {
    case MQTTSN_REGACK:
        return MQTTSN_REGISTER;
    case MQTTSN_PUBACK:
    case MQTTSN_PUBREC:
        return MQTTSN_PUBLISH;
    case MQTTSN_PUBREL:
        return MQTTSN_PUBREC;
    case MQTTSN_PUBCOMP:
        return MQTTSN_PUBREL;
    default:
        return MQTTSN_TYPE_COUNT;
    }
}

/* MsgId and topic id: of what the gateway asked last, or by number. */
static void
choose_ids(const struct world_peer *peer, struct mqttsn_packet *packet, struct fuzz_input *input)
{
    static const uint16_t topic_ids[] = {7, 8, 9, 20, 'a' << 8 | 'b', 't' << 8 | '+', 0, 0xffff};
    enum mqttsn_type asked = question(packet->type);
    uint8_t number = fuzz_octet(input);

    if (asked != MQTTSN_TYPE_COUNT && number < 0xc0) {
        packet->msg_id = peer->asked[asked].msg_id;
        packet->topic_id = peer->asked[asked].topic_id;
        return;
    }
    packet->msg_id = number & 15;
    packet->topic_id = packet->topic_type == MQTTSN_TOPIC_NORMAL
                           ? peer->asked[MQTTSN_REGACK].topic_id
                           : topic_ids[number >> 4 & 7];
    if (packet->topic_type == MQTTSN_TOPIC_NORMAL && number & 64)
        packet->topic_id = number >> 4 & 3;
}

/* A message of any type, as the wire can carry it. */
static void
device_packet(struct world *world, struct fuzz_input *input)
{
    static const uint16_t durations[] = {60, 100, 0, 1, 3600, 0xffff};
    static uint8_t datagram[MQTTSN_PACKET_MAX];
    unsigned who = fuzz_octet(input) % WORLD_ADDRESSES;
    uint8_t flags = fuzz_octet(input);
    uint8_t more = fuzz_octet(input);
    struct mqttsn_packet packet = {
        .type = (enum mqttsn_type)(fuzz_octet(input) % MQTTSN_TYPE_COUNT),
        .dup = flags & 1,
        .retain = flags & 2,
        .qos = (int8_t)((flags >> 2 & 3) - 1),
        .topic_type = (enum mqttsn_topic_type)(flags >> 4 & 3),
        .clean_session = flags & 64,
        .will = flags & 128,
        .has_duration = more & 1,
        .has_flags = more & 2,
        .protocol_id = more & 4 ? 2 : MQTTSN_PROTOCOL_ID,
        .return_code = (enum mqttsn_return_code)(more >> 3 & 7),
        .gateway_id = more >> 6,
        .radius = more >> 6,
        .duration_s = durations[(more >> 5) % 6],
    };
    size_t len = 0;

    choose_ids(&world->peers[who], &packet, input);
    packet.client_id = dm_span_text(CHOOSE(input, client_ids));
    packet.topic_name = dm_span_text(CHOOSE(input, names));
    uint8_t size = fuzz_octet(input);
    packet.data = size & 128 ? dm_span_text(long_name) : fuzz_span(input, size & 7);
    /* What the wire cannot say is not said. */
    if (mqttsn_encode(&packet, datagram, sizeof datagram, &len) == DM_OK &&
        mqttsn_decode(datagram, len, &packet) == DM_OK)
        world_datagram(world, who, &packet);
}

static void
device_raw(struct world *world, struct fuzz_input *input)
{
    unsigned who = fuzz_octet(input) % WORLD_ADDRESSES;
    struct dm_span datagram = fuzz_span(input, fuzz_octet(input));
    struct mqttsn_packet packet;

    if (mqttsn_decode(datagram.data, datagram.len, &packet) == DM_OK)
        world_datagram(world, who, &packet);
}

/* ---- broker ---- */

/* Which connection the next thing is about. */
static void
choose_broker(struct world *world, struct fuzz_input *input)
{
    world->about =
        world->options.settings.own ? fuzz_octet(input) % (WORLD_OWN + 1) : (unsigned)WORLD_OWN;
}

static void
broker_up(struct world *world, struct fuzz_input *input)
{
    choose_broker(world, input);
    uint8_t flags = fuzz_octet(input);
    uint8_t limits = fuzz_octet(input);
    bool is_5 = !(flags & 1);

    world_broker_up(world, &(struct upstream_session){
                               .version = is_5 ? MQTT_5 : MQTT_3_1_1,
                               .session_present = !(flags & 2),
                               .send_maximum = (uint16_t)(1 + (limits & 15)),
                               .maximum_qos = is_5 ? 2 - (limits >> 4) % 3 : 2,
                               .retain_available = !is_5 || !(flags & 4),
                               .subscription_ids_available = is_5 && !(flags & 8),
                           });
}

static void
broker_down(struct world *world, struct fuzz_input *input)
{
    choose_broker(world, input);
    if (world->about == WORLD_OWN) {
        world_broker_down(world);
        return;
    }
    switch (fuzz_octet(input) % 6) {
    case 0:
        world_broker_ends(world, UPSTREAM_REFUSED);
        break;
    case 1:
        world_broker_ends(world, UPSTREAM_TAKEN_OVER);
        break;
    case 2:
    case 3:
        world_broker_wiped(world);
        break;
    default:
        world_broker_ends(world, UPSTREAM_LOST);
        break;
    }
}

/* What some packet of the gateway waits for. */
static void
broker_answer(struct world *world, struct fuzz_input *input)
{
    struct mqtt_packet packet = {0};
    choose_broker(world, input);
    uint8_t which = fuzz_octet(input);

    packet.reason = CHOOSE(input, reasons);
    if (broker_next_answer(world_broker(world), which, &packet))
        world_broker_packet(world, &packet);
}

static void
broker_publish(struct world *world, struct fuzz_input *input)
{
    choose_broker(world, input);
    uint8_t flags = fuzz_octet(input);
    struct mqtt_packet packet = {
        .type = MQTT_PUBLISH, .retain = flags & 1, .dup = flags & 2, .qos = (flags >> 2 & 3) % 3};

    packet.topic = dm_span_text(CHOOSE(input, names));
    packet.packet_id = packet.qos > 0 ? 1 + (fuzz_octet(input) & 7) : 0;
    for (unsigned i = 0; i < (flags >> 4 & 3u); i++)
        packet.subscription_ids[packet.subscription_id_count++] =
            world_broker(world)->subscription_ids[fuzz_octet(input) % BROKER_IDS];
    uint8_t size = fuzz_octet(input);
    packet.payload = size & 128 ? dm_span_text(long_name) : fuzz_span(input, size & 7);
    if (topic_name_is_valid(packet.topic)) /* all that mqtt_decode lets pass */
        world_broker_packet(world, &packet);
}

/* Any answer to any packet id, and PUBREL. */
static void
broker_nonsense(struct world *world, struct fuzz_input *input)
{
    static const enum mqtt_type types[] = {MQTT_PUBREL, MQTT_PUBREL,  MQTT_PUBACK,  MQTT_PUBREC,
                                           MQTT_SUBACK, MQTT_PUBCOMP, MQTT_UNSUBACK};
    struct mqtt_packet packet = {.type = CHOOSE(input, types)};

    choose_broker(world, input);
    packet.packet_id = 1 + (fuzz_octet(input) & 15);
    packet.reason = CHOOSE(input, reasons);
    world_broker_packet(world, &packet);
}

static void
broker_raw(struct world *world, struct fuzz_input *input)
{
    struct dm_span octets = fuzz_span(input, fuzz_octet(input));
    struct mqtt_packet packet;
    size_t used;

    choose_broker(world, input);
    if (!world_broker(world)->up || mqtt_decode(world_broker(world)->session.version, octets.data,
                                                octets.len, octets.len, &packet, &used) != DM_OK)
        return;
    /* These stay with the connection. */
    if (packet.type != MQTT_CONNACK && packet.type != MQTT_PINGRESP &&
        packet.type != MQTT_DISCONNECT)
        world_broker_packet(world, &packet);
}

/* What becomes of the PUBLISHes from now on. */
static void
broker_takes_publish(struct world *world, struct fuzz_input *input)
{
    static const enum dm_result results[] = {DM_OK, DM_OK, DM_FULL, DM_INVALID, DM_IO};

    world->publish_result = CHOOSE(input, results);
}

/* ---- disk, links, clock, operator ---- */

static void
commit(struct world *world, struct fuzz_input *input)
{
    uint8_t share = fuzz_octet(input);
    uint64_t waiting = world->disk.seq - world->disk.committed;

    world_commit(world, world->disk.committed + (share < 192 ? waiting : waiting * share / 256));
}

static void
degrade(struct world *world, struct fuzz_input *input)
{
    engine_store_degraded(world->engine, fuzz_octet(input) & 1);
}

static void
link_state(struct world *world, struct fuzz_input *input)
{
    uint8_t choice = fuzz_octet(input);

    if (choice & 4)
        world_link(world, choice & 1, choice & 2);
    else
        world_link_full(world, choice & 1, choice & 2);
}

static void
wait(struct world *world, struct fuzz_input *input)
{
    uint8_t length = fuzz_octet(input);
    uint64_t due = engine_next_deadline(world->engine);

    if (length < 128 && due != ENGINE_NEVER)
        world_wait(world, due - world->now_ms + (length & 1));
    else
        world_wait(world, UINT64_C(1) << (length & 63) % 50);
}

static void
operate(struct world *world, struct fuzz_input *input)
{
    uint8_t way = fuzz_octet(input);
    struct dm_span id = dm_span_text(client_ids[way % (sizeof client_ids / sizeof client_ids[0])]);

    switch (way >> 6) {
    case 1:
        world_reconfigure(world, fuzz_octet(input));
        break;
    case 2:
        world_disconnect(world, id);
        break;
    case 3:
        world_drop_queue(world, id);
        break;
    default:
        world_forget(world, id);
        break;
    }
}

static void
restart(struct world *world, struct fuzz_input *input)
{
    uint8_t way = fuzz_octet(input);

    if (way & 4)
        world->rights ^= way & 0xf8;
    world_restart(world, way & 1, way & 2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const happenings[])(struct world *, struct fuzz_input *) = {
        device_packet, device_raw,      broker_up,
        broker_down,   broker_answer,   broker_publish,
        broker_raw,    broker_nonsense, broker_takes_publish,
        commit,        degrade,         link_state,
        wait,          operate,         restart,
    };
    static struct world world;
    struct fuzz_input input = {data, len};

    log_set_level(trace_is_on() ? LOG_LEVEL_DEBUG : (enum log_level)(LOG_LEVEL_ERROR - 1));
    configure(&world, &input);
    world_start(&world);
    for (unsigned step = 0; input.left > 0 && step < STEPS_MAX; step++)
        CHOOSE(&input, happenings)(&world, &input);
    world_finish(&world);
    return 0;
}
