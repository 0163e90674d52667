/* SPDX-License-Identifier: Apache-2.0 */
/* What a sleeping device and a message for it cost in memory (design 13), and that all of it comes
 * back. Counted are the octets asked for: what an allocator adds is not the engine's business. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include <dormouse/log.h>

#include "counted_memory.h"
#include "engine_rig.h"
#include "pool.h"

enum {
    DEVICES = 1000,
    SESSION_OCTETS = 520, /* with one subscription by name, and its history */
    MESSAGE_OCTETS = 116, /* with 20 octets of payload */
};

struct fleet {
    struct rig rig; /* for its options and its clock */
    uint64_t records;
    struct mqtt_packet request; /* that the broker has to answer */
    uint16_t msg_id, topic_id;  /* of the last PUBLISH to a device */
    size_t received;
};

static enum dm_result
emit(void *ctx, const struct engine_effect *effect)
{
    struct fleet *f = ctx;

    if (effect->type == ENGINE_RECORD)
        f->records++;
    if (effect->type == ENGINE_UPSTREAM)
        f->request = effect->upstream;
    if (effect->type == ENGINE_SEND && effect->packet.type == MQTTSN_PUBLISH) {
        f->msg_id = effect->packet.msg_id;
        f->topic_id = effect->packet.topic_id;
        f->received++;
    }
    return DM_OK;
}

static void
commit(struct fleet *f)
{
    engine_committed(f->rig.engine, f->rig.now_ms, f->records);
}

static void
say(struct fleet *f, unsigned device, const struct mqttsn_packet *packet)
{
    struct dm_address from = {.len = 6};

    memcpy(from.octets, &device, sizeof device);
    engine_datagram(f->rig.engine, f->rig.now_ms, &from, packet);
    commit(f);
}

static void
answer(struct fleet *f, enum mqtt_type type)
{
    rig_broker_answer(&f->rig, type, f->request.packet_id, 1);
    commit(f);
}

static struct dm_span
text_of(char text[32], const char *format, unsigned device)
{
    return dm_span(text, (size_t)snprintf(text, 32, format, device));
}

static size_t
begin(struct fleet *f)
{
    log_set_level(LOG_LEVEL_WARNING);
    rig_init(&f->rig);
    engine_free(f->rig.engine);
    f->rig.options.max_clients = DEVICES;
    f->rig.options.total_bytes = 16 << 20;
    f->rig.options.settings.queue_messages = 100;
    f->rig.options.settings.queue_bytes = 10000;
    f->rig.options.status_topics = "";
    size_t before = counted_memory.octets;

    f->rig.engine = engine_new(&f->rig.options, emit, f);
    engine_start(f->rig.engine, f->rig.now_ms);
    rig_broker_up(&f->rig, MQTT_5, false);
    return before;
}

static void
put_to_sleep(struct fleet *f, unsigned device)
{
    char id[32];
    char filter[32];

    say(f, device,
        &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                .protocol_id = MQTTSN_PROTOCOL_ID,
                                .duration_s = 60,
                                .client_id = text_of(id, "dev%05u", device)});
    say(f, device,
        &(struct mqttsn_packet){.type = MQTTSN_SUBSCRIBE,
                                .qos = 1,
                                .msg_id = 1,
                                .topic_name = text_of(filter, "fleet/%05u/command", device)});
    answer(f, MQTT_SUBACK);
    say(f, device,
        &(struct mqttsn_packet){
            .type = MQTTSN_DISCONNECT, .has_duration = true, .duration_s = 3600});
}

static void
publish(struct fleet *f, unsigned device, uint16_t packet_id)
{
    char topic[32];
    char payload[32];

    text_of(topic, "fleet/%05u/command", device);
    rig_broker_packet(&f->rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                     .topic = dm_span_text(topic),
                                                     .payload = text_of(payload, "%020u", device),
                                                     .qos = 1,
                                                     .packet_id = packet_id});
    commit(f);
}

static void
take_messages(struct fleet *f, unsigned device)
{
    char id[32];
    size_t received = f->received;

    say(f, device,
        &(struct mqttsn_packet){.type = MQTTSN_PINGREQ,
                                .client_id = text_of(id, "dev%05u", device)});
    while (f->received > received) {
        received = f->received;
        say(f, device,
            &(struct mqttsn_packet){
                .type = MQTTSN_PUBACK, .msg_id = f->msg_id, .topic_id = f->topic_id});
    }
}

/* Slabs that are not full, or kept for another use. */
static size_t
slack(void)
{
    return pool_is_plain_here() ? 4096 : 160 * 1024;
}

/* Of so many blocks, which only sanitizers need. */
static size_t
overhead(size_t blocks)
{
    return pool_is_plain_here() ? blocks * POOL_PLAIN_OCTETS : 0;
}

static size_t
queued(const struct fleet *f)
{
    struct engine_status status;

    engine_status(f->rig.engine, &status);
    return status.queued_messages;
}

static void
sleeping_fleet_and_its_messages_stay_within_the_budget_and_come_back(void) /* design 13 */
{
    static struct fleet f;
    size_t nothing = begin(&f);
    size_t empty = counted_memory.octets;

    for (unsigned i = 0; i < DEVICES; i++)
        put_to_sleep(&f, i);
    size_t asleep = counted_memory.octets;

    printf(" [%zu octets a session", (asleep - empty) / DEVICES);
    CU_ASSERT_TRUE(asleep - empty <= DEVICES * (SESSION_OCTETS + overhead(6)) + slack());

    for (unsigned round = 0; round < 10; round++)
        for (unsigned i = 0; i < DEVICES; i++)
            publish(&f, i, (uint16_t)(1 + i));
    CU_ASSERT_EQUAL(queued(&f), 10 * DEVICES);
    size_t waiting = counted_memory.octets - asleep;

    printf(", %zu a message] ", waiting / (10 * DEVICES));
    CU_ASSERT_TRUE(waiting <= 10 * DEVICES * (MESSAGE_OCTETS + overhead(2)) + slack());

    for (unsigned i = 0; i < DEVICES; i++)
        take_messages(&f, i);
    CU_ASSERT_EQUAL(queued(&f), 0);
    CU_ASSERT_TRUE(counted_memory.octets <= asleep + DEVICES * (size_t)24 + slack());

    for (unsigned i = 0; i < DEVICES; i++) {
        char id[32];

        engine_forget(f.rig.engine, f.rig.now_ms, text_of(id, "dev%05u", i));
        answer(&f, MQTT_UNSUBACK);
    }
    commit(&f);
    CU_ASSERT_TRUE(counted_memory.octets <= empty + slack());
    engine_free(f.rig.engine);
    CU_ASSERT_EQUAL(counted_memory.octets, nothing);
    f.rig.engine = NULL;
    rig_fini(&f.rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(sleeping_fleet_and_its_messages_stay_within_the_budget_and_come_back),
};

UNIT_MAIN("engine_footprint", tests)
