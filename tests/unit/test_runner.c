/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner between fakes of its three contracts: a transport that records what leaves, a store
 * whose commits the test releases, and an upstream that records packets.
 */
#include "unit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "runner.h"

enum { RECORDS_MAX = 64, HELD_LIMIT = 20000 };

struct bench {
    struct transport transport; /* first: the fakes find the bench by it */
    struct store store;
    struct upstream upstream;
    struct transport *transports[1];
    struct engine_link link;
    struct engine_options options;
    struct runner *runner;
    struct transport_listener listener;
    struct store_events store_events;
    struct upstream_events upstream_events;

    uint64_t now_ms, wall_ms;
    uint64_t armed_ms;
    unsigned arms, flushes, turns;
    uint64_t appended;
    unsigned open_records; /* appended and not flushed */
    struct store_record records[RECORDS_MAX];
    size_t record_count;
    enum dm_result send_result, upstream_result;
    char expected[8]; /* addresses of stored sessions */
    bool silent;      /* the text is not kept */
    char text[8192];
};

/* ---- fakes ---- */

static void add(struct bench *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add(struct bench *b, const char *format, ...)
{
    size_t len = strlen(b->text);
    va_list arguments;

    if (b->silent)
        return;
    va_start(arguments, format);
    int added = vsnprintf(b->text + len, sizeof b->text - len, format, arguments);
    va_end(arguments);
    if (added < 0 || (size_t)added >= sizeof b->text - len)
        abort(); /* a test that makes more than it can check */
}

static enum dm_result
fake_send(struct transport *transport, const struct dm_address *to, const uint8_t *data, size_t len)
{
    struct bench *b = (struct bench *)transport;
    struct mqttsn_packet packet;

    if (b->send_result != DM_OK)
        return b->send_result;
    CU_ASSERT_EQUAL_FATAL(mqttsn_decode(data, len, &packet), DM_OK);
    add(b, "%c> %s msg %u code %d\n", to->octets[0], mqttsn_type_name(packet.type), packet.msg_id,
        (int)packet.return_code);
    return DM_OK;
}

static void
fake_address_text(const struct transport *transport, const struct dm_address *address, char *text,
                  size_t size)
{
    (void)transport;
    snprintf(text, size, "%c", address->octets[0]);
}

static enum dm_result
fake_address_parse(const struct transport *transport, const char *text, struct dm_address *address)
{
    (void)transport;
    if (strlen(text) != 1)
        return DM_INVALID;
    *address = (struct dm_address){.len = 1, .octets = {(uint8_t)text[0]}};
    return DM_OK;
}

static enum dm_result
fake_broadcast(struct transport *transport, const struct dm_address *asker, uint8_t radius,
               const uint8_t *data, size_t len)
{
    struct bench *b = (struct bench *)transport;
    struct mqttsn_packet packet;

    CU_ASSERT_EQUAL_FATAL(mqttsn_decode(data, len, &packet), DM_OK);
    add(b, "*%c> %s %u radius %u\n", asker != NULL ? asker->octets[0] : ' ',
        mqttsn_type_name(packet.type), packet.gateway_id, radius);
    return DM_OK;
}

static void
fake_expect(struct transport *transport, const struct dm_address *address)
{
    struct bench *b = (struct bench *)transport;

    CU_ASSERT_FATAL(strlen(b->expected) + 1 < sizeof b->expected);
    b->expected[strlen(b->expected)] = (char)address->octets[0];
}

static const struct transport_ops transport_ops = {
    .send = fake_send,
    .expect = fake_expect,
    .broadcast = fake_broadcast,
    .address_text = fake_address_text,
    .address_parse = fake_address_parse,
};

static struct bench *
bench_of_store(struct store *store)
{
    return (struct bench *)((char *)store - offsetof(struct bench, store));
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

static uint64_t
fake_append(struct store *store, const struct store_record *record)
{
    struct bench *b = bench_of_store(store);
    struct store_record *copy = &b->records[b->record_count];

    if (b->record_count == RECORDS_MAX)
        abort();
    b->record_count++;
    *copy = *record;
    copy->client_id = copy_span(record->client_id);
    copy->name = copy_span(record->name);
    copy->payload = copy_span(record->payload);
    copy->address = copy_span(record->address);
    b->open_records++;
    return ++b->appended;
}

static void
fake_flush(struct store *store)
{
    struct bench *b = bench_of_store(store);

    b->open_records = 0;
    b->flushes++;
}

static const struct store_ops store_ops = {.append = fake_append, .flush = fake_flush};

static enum dm_result
fake_upstream_send(struct upstream *upstream, const struct mqtt_packet *packet)
{
    struct bench *b = (struct bench *)((char *)upstream - offsetof(struct bench, upstream));

    if (b->upstream_result != DM_OK)
        return b->upstream_result;
    add(b, "^ %s %.*s%s%.*s\n", mqtt_type_name(packet->type), (int)packet->topic.len,
        packet->topic.len > 0 ? (const char *)packet->topic.data : "",
        packet->payload.len > 0 ? " " : "", (int)packet->payload.len,
        packet->payload.len > 0 ? (const char *)packet->payload.data : "");
    return DM_OK;
}

static const struct upstream_ops upstream_ops = {.send = fake_upstream_send};

static uint64_t
fake_now(void *ctx)
{
    return ((struct bench *)ctx)->now_ms;
}

static uint64_t
fake_wall(void *ctx)
{
    return ((struct bench *)ctx)->wall_ms;
}

static void
fake_arm(void *ctx, uint64_t deadline_ms)
{
    struct bench *b = ctx;

    b->armed_ms = deadline_ms;
    b->arms++;
}

/* ---- the bench ---- */

static const char *const broker_keys[] = {"broker"};

/* A runner with its parts, not loaded and not started. */
static void
bench_build_with(struct bench *b, void (*turn_begins)(void *ctx))
{
    struct runner_options options = {.engine = &b->options,
                                     .ctx = b,
                                     .now_ms = fake_now,
                                     .wall_ms = fake_wall,
                                     .boot_id = "this boot",
                                     .arm = fake_arm,
                                     .turn_begins = turn_begins};

    memset(b, 0, sizeof *b);
    b->transport =
        (struct transport){.ops = &transport_ops, .kind = "fake", .name = "lan", .mtu = 255};
    b->store.ops = &store_ops;
    b->upstream.ops = &upstream_ops;
    b->transports[0] = &b->transport;
    b->now_ms = 1000000;
    b->link = (struct engine_link){.mtu = 255, .up = true};
    b->options = (struct engine_options){
        .links = &b->link,
        .link_count = 1,
        .gateway_id = 5,
        .standby_for = ENGINE_NO_GATEWAY,
        .advertise_ms = ENGINE_NEVER,
        .topic_prefix = "",
        .broker_keys = broker_keys,
        .broker_count = 1,
        .max_clients = 10,
        .client_id_max = MQTTSN_CLIENT_ID_MAX,
        .settings.queue_messages = 10,
        .settings.queue_bytes = 1000,
        .total_bytes = 10000,
        .settings.queue_qos0 = ENGINE_QOS0_ASLEEP,
        .settings.max_age_ms = ENGINE_NEVER,
        .settings.expiry_ms = ENGINE_NEVER,
        .spool_bytes = 1000,
        .settings.store_after_ms = 1000,
        .settings.retry_ms = 10000,
        .settings.retry_count = 3,
        .settings.tolerance_percent = 150,
        .receive_maximum = 100,
    };
    b->runner = runner_new(&options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->runner);
    b->listener = runner_transport_listener(b->runner);
    b->store_events = runner_store_events(b->runner);
    b->upstream_events = runner_upstream_events(b->runner);
    runner_set_transports(b->runner, b->transports, 1);
}

static void
bench_build(struct bench *b)
{
    bench_build_with(b, NULL);
}

static void
bench_start(struct bench *b)
{
    runner_set_store(b->runner, &b->store);
    runner_set_upstream(b->runner, &b->upstream);
    runner_start(b->runner);
}

static void
bench_init(struct bench *b)
{
    bench_build(b);
    bench_start(b);
}

static void
bench_fini(struct bench *b)
{
    runner_free(b->runner);
    for (size_t i = 0; i < b->record_count; i++) {
        free((void *)(uintptr_t)b->records[i].client_id.data);
        free((void *)(uintptr_t)b->records[i].name.data);
        free((void *)(uintptr_t)b->records[i].payload.data);
        free((void *)(uintptr_t)b->records[i].address.data);
    }
}

static bool
expect(struct bench *b, const char *lines)
{
    bool equal = strcmp(b->text, lines) == 0;

    if (!equal)
        printf("\n--- expected\n%s--- got\n%s---\n", lines, b->text);
    b->text[0] = '\0';
    return equal;
}

static void
receive_octets(struct bench *b, char who, const void *octets, size_t len)
{
    struct dm_address from = {.len = 1, .octets = {(uint8_t)who}};

    b->listener.on_datagram(b->listener.ctx, &from, octets, len);
}

static void
receive(struct bench *b, char who, const struct mqttsn_packet *packet)
{
    uint8_t datagram[256];
    size_t len;

    CU_ASSERT_EQUAL_FATAL(mqttsn_encode(packet, datagram, sizeof datagram, &len), DM_OK);
    receive_octets(b, who, datagram, len);
}

static void
receive_connect(struct bench *b, char who, const char *client_id)
{
    receive(b, who,
            &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                    .protocol_id = MQTTSN_PROTOCOL_ID,
                                    .duration_s = 60,
                                    .client_id = dm_span_text(client_id)});
}

static void
receive_ping(struct bench *b, char who)
{
    receive(b, who, &(struct mqttsn_packet){.type = MQTTSN_PINGREQ});
}

static void
receive_subscribe(struct bench *b, char who, const char *filter, uint16_t msg_id)
{
    receive(b, who,
            &(struct mqttsn_packet){
                .type = MQTTSN_SUBSCRIBE, .msg_id = msg_id, .topic_name = dm_span_text(filter)});
}

static void
receive_register(struct bench *b, char who, const char *name, uint16_t msg_id)
{
    receive(b, who,
            &(struct mqttsn_packet){
                .type = MQTTSN_REGISTER, .msg_id = msg_id, .topic_name = dm_span_text(name)});
}

/* Calls the runner whenever it asked for it. */
static void
pass(struct bench *b, uint64_t ms)
{
    uint64_t end_ms = b->now_ms + ms;

    while (b->armed_ms <= end_ms) {
        b->now_ms = b->armed_ms;
        runner_time(b->runner);
    }
    b->now_ms = end_ms;
}

static void
commit(struct bench *b, uint64_t seq)
{
    b->store_events.on_committed(b->store_events.ctx, seq);
}

static void
commit_all(struct bench *b)
{
    commit(b, b->appended);
}

static void
broker_up(struct bench *b)
{
    b->upstream_events.on_connected(b->upstream_events.ctx,
                                    &(struct upstream_session){.version = MQTT_5,
                                                               .send_maximum = 10,
                                                               .maximum_qos = 2,
                                                               .retain_available = true,
                                                               .subscription_ids_available = true});
}

static void
broker_sends(struct bench *b, const struct mqtt_packet *packet)
{
    b->upstream_events.on_packet(b->upstream_events.ctx, packet);
}

/* The broker is there; A is connected and subscribed to "a" with identifier 1. */
static void
bench_init_subscribed(struct bench *b)
{
    bench_init(b);
    broker_up(b);
    receive_connect(b, 'A', "aaa");
    receive_subscribe(b, 'A', "a", 1);
    commit_all(b);
    broker_sends(b, &(struct mqtt_packet){.type = MQTT_SUBACK, .packet_id = 1});
    commit_all(b);
    CU_ASSERT_TRUE(expect(b, "A> CONNACK msg 0 code 0\n^ SUBSCRIBE a\nA> SUBACK msg 1 code 0\n"));
}

static void
broker_publishes(struct bench *b, const char *data)
{
    broker_sends(b, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                          .topic = dm_span_text("a"),
                                          .payload = dm_span_text(data),
                                          .subscription_ids = {1},
                                          .subscription_id_count = 1});
}

static uint64_t
held_now(const struct bench *b)
{
    struct runner_status status;

    runner_status(b->runner, &status);
    return status.held;
}

/* ---- what waits for the disk ---- */

static void
answer_that_needs_a_commit_does_not_leave_before_it(void)
{
    struct bench b;

    bench_init(&b);
    receive_connect(&b, 'A', "aaa");
    CU_ASSERT_TRUE(expect(&b, ""));
    CU_ASSERT_EQUAL(held_now(&b), 1);
    commit(&b, 1);
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 0\n"));
    CU_ASSERT_EQUAL(held_now(&b), 0);
    bench_fini(&b);
}

static void
answer_leaves_only_with_its_own_number(void)
{
    struct bench b;

    bench_init(&b);
    receive_connect(&b, 'A', "aaa"); /* record 1 */
    receive_register(&b, 'A', "t/1", 1);
    receive_register(&b, 'A', "t/2", 2);
    commit(&b, 2);
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 0\nA> REGACK msg 1 code 0\n"));
    commit(&b, 1); /* an older number again: nothing more, nothing twice */
    CU_ASSERT_TRUE(expect(&b, ""));
    commit(&b, 3);
    CU_ASSERT_TRUE(expect(&b, "A> REGACK msg 2 code 0\n"));
    bench_fini(&b);
}

static void
answers_leave_in_order(void)
{
    struct bench b;

    bench_init(&b);
    receive_connect(&b, 'A', "aaa");
    receive_connect(&b, 'B', "bbb");
    receive_ping(&b, 'A'); /* depends on an older number than B's answer */
    receive_register(&b, 'A', "t/1", 1);
    receive_register(&b, 'B', "t/1", 2);
    receive_ping(&b, 'A');
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 0\nA> PINGRESP msg 0 code 0\n"
                              "A> PINGRESP msg 0 code 0\nB> CONNACK msg 0 code 0\n"
                              "A> REGACK msg 1 code 0\nB> REGACK msg 2 code 0\n"));
    bench_fini(&b);
}

static void
answer_without_need_overtakes_no_connack_and_waits_for_no_other_device(void)
{
    struct bench b;

    bench_init(&b);
    receive_connect(&b, 'B', "bbb");
    commit_all(&b);
    receive_connect(&b, 'A', "aaa");
    receive_ping(&b, 'A');
    receive_ping(&b, 'B');
    CU_ASSERT_TRUE(expect(&b, "B> CONNACK msg 0 code 0\nB> PINGRESP msg 0 code 0\n"));
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 0\nA> PINGRESP msg 0 code 0\n"));
    bench_fini(&b);
}

static void
packet_for_the_broker_waits_too_and_keeps_its_content(void)
{
    struct bench b;

    bench_build(&b);
    b.options.topic_prefix = "site/"; /* names with a prefix are borrowed from one buffer */
    bench_start(&b);
    broker_up(&b);
    receive_connect(&b, 'A', "aaa");
    commit_all(&b);
    receive_subscribe(&b, 'A', "some/filter", 1);
    receive_subscribe(&b, 'A', "another", 2);
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 0\n"));
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "^ SUBSCRIBE site/some/filter\n^ SUBSCRIBE site/another\n"));
    bench_fini(&b);
}

static void
packet_held_for_the_broker_is_dropped_with_its_connection(void)
{
    struct bench b;

    bench_init(&b);
    broker_up(&b);
    receive_connect(&b, 'A', "aaa");
    commit_all(&b);
    receive_subscribe(&b, 'A', "a", 1);
    b.upstream_events.on_disconnected(b.upstream_events.ctx);
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 0\nA> SUBACK msg 1 code 0\n"));
    CU_ASSERT_EQUAL(held_now(&b), 0);
    broker_up(&b);
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "^ SUBSCRIBE a\n")); /* once */
    bench_fini(&b);
}

static void
held_answers_are_bounded_and_counted(void)
{
    struct bench b;
    struct runner_status status;

    bench_init(&b);
    receive_connect(&b, 'A', "aaa");
    for (unsigned i = 0; i < HELD_LIMIT + 9; i++)
        receive_ping(&b, 'A');
    runner_status(b.runner, &status);
    CU_ASSERT_EQUAL(status.held, HELD_LIMIT);
    CU_ASSERT_EQUAL(status.held_dropped, 10); /* the CONNACK is one of those that wait */
    b.silent = true;
    commit_all(&b);
    runner_status(b.runner, &status);
    CU_ASSERT_EQUAL(status.held, 0);
    CU_ASSERT_EQUAL(status.held_octets, 0);
    bench_fini(&b);
}

static void
runner_freed_with_answers_held_sends_nothing(void)
{
    struct bench b;

    bench_init(&b);
    broker_up(&b);
    receive_connect(&b, 'A', "aaa");
    receive_subscribe(&b, 'A', "a", 1);
    CU_ASSERT_EQUAL(held_now(&b), 2);
    bench_fini(&b); /* the sanitizer sees a leak */
    CU_ASSERT_TRUE(expect(&b, ""));
}

/* ---- every input ---- */

static void
malformed_datagram_is_counted_and_changes_nothing(void)
{
    struct bench b;
    struct runner_status status;

    bench_init(&b);
    receive_connect(&b, 'A', "aaa");
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 0\n"));
    pass(&b, 80000); /* of 90 s of silence */
    uint64_t records = b.appended;
    receive_octets(&b, 'A', "", 0);
    receive_octets(&b, 'A', "\x03\x16", 2);     /* M3: shorter than it says */
    receive_octets(&b, 'A', "\x02\x16\x00", 3); /* M3: longer */
    receive_octets(&b, 'A', "\x02\x03", 2);     /* M5: reserved type */
    runner_status(b.runner, &status);
    CU_ASSERT_EQUAL(status.malformed, 3);
    CU_ASSERT_EQUAL(status.unsupported, 1);
    CU_ASSERT_EQUAL(b.appended, records);
    pass(&b, 10000); /* no sign of life either */
    CU_ASSERT_TRUE(expect(&b, ""));
    CU_ASSERT_EQUAL(b.appended, records + 1);
    CU_ASSERT_EQUAL(b.records[records].mode, ENGINE_LOST);
    bench_fini(&b);
}

static void
store_is_flushed_and_the_timer_set_after_every_input(void)
{
    static const struct upstream_session session = {.version = MQTT_5, .send_maximum = 10};
    struct bench b;
    unsigned turns = 0;

#define TURN(call)                                                                                 \
    do {                                                                                           \
        (call);                                                                                    \
        turns++;                                                                                   \
        CU_ASSERT_EQUAL(b.flushes, turns);                                                         \
        CU_ASSERT_EQUAL(b.arms, turns);                                                            \
        CU_ASSERT_EQUAL(b.open_records, 0);                                                        \
        CU_ASSERT_EQUAL(b.armed_ms, engine_next_deadline(runner_engine(b.runner)));                \
    } while (0)

    bench_build(&b);
    TURN(bench_start(&b));
    TURN(receive_connect(&b, 'A', "aaa"));
    TURN(commit_all(&b));
    TURN(b.upstream_events.on_connected(b.upstream_events.ctx, &session));
    TURN(receive_subscribe(&b, 'A', "a", 1));
    TURN(broker_sends(&b, &(struct mqtt_packet){.type = MQTT_SUBACK, .packet_id = 1}));
    TURN(b.upstream_events.on_disconnected(b.upstream_events.ctx));
    TURN(b.listener.on_link(b.listener.ctx, 0, false));
    TURN(b.listener.on_link(b.listener.ctx, 0, true));
    TURN(b.listener.on_room(b.listener.ctx, 0));
    b.now_ms += 90000;
    TURN(runner_time(b.runner));
    TURN(runner_forget(b.runner, dm_span_text("aaa")));
#undef TURN
    CU_ASSERT_EQUAL(b.appended, b.record_count);
    bench_fini(&b);
}

static void
note_turn(void *ctx)
{
    ((struct bench *)ctx)->turns++;
}

static void
several_inputs_make_one_turn(void)
{
    struct bench b;

    bench_build_with(&b, note_turn);
    bench_start(&b);
    runner_end_turn(b.runner);
    unsigned flushes = b.flushes, arms = b.arms, turns = b.turns;

    receive_connect(&b, 'A', "aaa");
    receive_connect(&b, 'B', "bbb");
    CU_ASSERT_EQUAL(b.turns, turns + 1);
    CU_ASSERT_EQUAL(b.flushes, flushes);
    CU_ASSERT_EQUAL(b.arms, arms);
    CU_ASSERT_NOT_EQUAL(b.open_records, 0);
    runner_end_turn(b.runner);
    CU_ASSERT_EQUAL(b.flushes, flushes + 1);
    CU_ASSERT_EQUAL(b.arms, arms + 1);
    CU_ASSERT_EQUAL(b.open_records, 0);
    receive_connect(&b, 'C', "ccc");
    CU_ASSERT_EQUAL(b.turns, turns + 2);
    bench_fini(&b);
}

static void
timer_is_set_to_the_end_of_the_keep_alive(void)
{
    struct bench b;

    bench_init(&b);
    CU_ASSERT_EQUAL(b.armed_ms, ENGINE_NEVER);
    receive(&b, 'A',
            &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                    .protocol_id = MQTTSN_PROTOCOL_ID,
                                    .duration_s = 4,
                                    .client_id = dm_span_text("aaa")});
    CU_ASSERT_EQUAL(b.armed_ms, b.now_ms + 6000); /* 1.5 times 4 s (R75) */
    bench_fini(&b);
}

static void
room_on_the_link_leads_to_delivery(void)
{
    struct bench b;

    bench_init_subscribed(&b);
    b.send_result = DM_FULL;
    broker_publishes(&b, "x");
    b.send_result = DM_OK;
    CU_ASSERT_TRUE(expect(&b, ""));
    b.listener.on_room(b.listener.ctx, 0);
    CU_ASSERT_TRUE(expect(&b, "A> PUBLISH msg 0 code 0\n"));
    bench_fini(&b);
}

static void
link_that_comes_back_leads_to_delivery(void)
{
    struct bench b;

    bench_init_subscribed(&b);
    b.listener.on_link(b.listener.ctx, 0, false);
    broker_publishes(&b, "x");
    CU_ASSERT_TRUE(expect(&b, ""));
    b.listener.on_link(b.listener.ctx, 0, true);
    CU_ASSERT_TRUE(expect(&b, "A> PUBLISH msg 0 code 0\n"));
    bench_fini(&b);
}

static void
publish_the_broker_can_never_take_is_refused_to_the_device(void)
{
    static const enum dm_result results[] = {DM_FULL, DM_INVALID};

    for (size_t i = 0; i < 2; i++) {
        struct bench b;

        bench_init_subscribed(&b);
        b.upstream_result = results[i];
        receive(&b, 'A',
                &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                        .qos = 1,
                                        .topic_id = 1,
                                        .msg_id = 7,
                                        .data = dm_span_text("x")});
        CU_ASSERT_TRUE(expect(&b, "A> PUBACK msg 7 code 3\n"));
        bench_fini(&b);
    }
}

/* QoS 2 waits for the disk, so the refusal comes when it leaves. */
static void
held_publish_the_broker_can_never_take_is_refused_to_the_device(void)
{
    struct bench b;

    bench_init_subscribed(&b);
    receive(&b, 'A',
            &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                    .qos = 2,
                                    .topic_id = 1,
                                    .msg_id = 7,
                                    .data = dm_span_text("x")});
    b.upstream_result = DM_FULL;
    CU_ASSERT_TRUE(expect(&b, ""));
    commit(&b, b.appended);
    commit(&b, b.appended);
    CU_ASSERT_TRUE(expect(&b, "A> PUBACK msg 7 code 3\n"));
    bench_fini(&b);
}

/* Design 3: held effects are bounded. The disk stalls behind one QoS 2 message; what the device
 * sends later of QoS 0 must not wait without end. */
static void
messages_of_qos_0_held_behind_a_slow_disk_are_bounded(void)
{
    struct bench b;

    bench_init_subscribed(&b);
    b.silent = true;
    for (unsigned i = 0; i < HELD_LIMIT + 9; i++)
        receive(
            &b, 'A',
            &(struct mqttsn_packet){
                .type = MQTTSN_PUBLISH, .qos = i == 0 ? 2 : 0, .topic_id = 1, .msg_id = i == 0});
    CU_ASSERT_TRUE(held_now(&b) <= HELD_LIMIT);
    bench_fini(&b);
}

/* R26: nothing goes to the old address of a device that roams; another device may be there now. */
static void
answer_held_for_a_device_that_moved_does_not_go_to_its_old_address(void)
{
    struct bench b;

    bench_init(&b);
    receive_connect(&b, 'A', "aaa");
    commit_all(&b);
    b.text[0] = '\0';
    receive_register(&b, 'A', "x", 1);
    receive(&b, 'B',
            &(struct mqttsn_packet){.type = MQTTSN_PINGREQ, .client_id = dm_span_text("aaa")});
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "B> PINGRESP msg 0 code 0\n"));
    bench_fini(&b);
}

/* R24: the REGACK of the last connection would come between CONNECT and CONNACK. */
static void
answer_held_for_the_last_connection_does_not_come_before_the_connack(void)
{
    struct bench b;

    bench_init(&b);
    receive_connect(&b, 'A', "aaa");
    commit_all(&b);
    b.text[0] = '\0';
    receive_register(&b, 'A', "x", 1);
    receive_connect(&b, 'A', "aaa");
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 0\n"));
    bench_fini(&b);
}

static void
broadcast_goes_to_the_link_with_its_radius(void)
{
    struct bench b;

    bench_build(&b);
    b.link.advertise = true;
    b.options.advertise_ms = 60000;
    bench_start(&b);
    receive(&b, 'A', &(struct mqttsn_packet){.type = MQTTSN_SEARCHGW, .radius = 2});
    b.now_ms += 10000;
    runner_time(b.runner);
    CU_ASSERT_TRUE(expect(&b, "*A> GWINFO 5 radius 2\n* > ADVERTISE 5 radius 0\n"));
    CU_ASSERT_EQUAL(b.armed_ms, b.now_ms + 60000);
    bench_fini(&b);
}

static void
disk_that_fails_means_congestion_until_it_recovers(void)
{
    struct bench b;

    bench_init(&b);
    b.store_events.on_degraded(b.store_events.ctx, true);
    receive_connect(&b, 'A', "aaa");
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 1\n"));
    CU_ASSERT_EQUAL(b.appended, 0);
    b.store_events.on_degraded(b.store_events.ctx, false);
    receive_connect(&b, 'A', "aaa");
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 0\n"));
    bench_fini(&b);
}

static void
forget_removes_the_session_or_finds_none(void)
{
    struct bench b;

    bench_init_subscribed(&b);
    CU_ASSERT_EQUAL(runner_forget(b.runner, dm_span_text("zzz")), DM_NOT_FOUND);
    CU_ASSERT_EQUAL(runner_forget(b.runner, dm_span_text("aaa")), DM_OK);
    CU_ASSERT_TRUE(expect(&b, "A> DISCONNECT msg 0 code 0\n"));
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "^ UNSUBSCRIBE a\n"));
    bench_fini(&b);
}

static void
shutdown_records_qos0_for_a_sleeping_device(void)
{
    struct bench b;

    bench_init_subscribed(&b);
    receive(&b, 'A',
            &(struct mqttsn_packet){
                .type = MQTTSN_DISCONNECT, .has_duration = true, .duration_s = 600});
    commit_all(&b);
    broker_publishes(&b, "x");
    size_t before = b.record_count;
    runner_shutdown(b.runner);
    CU_ASSERT_EQUAL(b.open_records, 0); /* flushed */
    CU_ASSERT_EQUAL_FATAL(b.record_count, before + 2);
    CU_ASSERT_EQUAL(b.records[before].op, STORE_MESSAGE_PUT);
    CU_ASSERT_TRUE(dm_span_equal(b.records[before].payload, dm_span_text("x")));
    CU_ASSERT_EQUAL(b.records[before + 1].op, STORE_DELIVERY_PUT);
    CU_ASSERT_EQUAL(b.records[before + 1].message, b.records[before].message);
    CU_ASSERT_EQUAL(b.records[before + 1].qos, 0);
    bench_fini(&b);
}

static void
shutdown_takes_no_new_work_and_sends_what_was_held(void)
{
    struct bench b;

    bench_init(&b);
    receive_connect(&b, 'A', "aaa");
    CU_ASSERT_TRUE(expect(&b, ""));
    runner_shutdown(b.runner);
    receive_connect(&b, 'B', "bbb");
    CU_ASSERT_EQUAL(b.record_count, 1); /* the first one's */
    broker_publishes(&b, "x");
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "A> CONNACK msg 0 code 0\n")); /* nothing to the broker */
    bench_fini(&b);
}

/* ---- the way back from disk ---- */

static struct store_record
session_row(uint64_t number, const char *client_id, const char *address)
{
    return (struct store_record){.op = STORE_SESSION_PUT,
                                 .session = number,
                                 .client_id = dm_span_text(client_id),
                                 .mode = ENGINE_ASLEEP,
                                 .keepalive_s = 60,
                                 .sleep_s = 600,
                                 .epoch = 1,
                                 .address = dm_span_text(address)};
}

static void
address_goes_into_the_record_as_text_and_comes_back(void)
{
    struct bench first;
    struct bench second;

    bench_init(&first);
    receive_connect(&first, 'Q', "aaa");
    CU_ASSERT_EQUAL_FATAL(first.record_count, 1);
    CU_ASSERT_TRUE(dm_span_equal(first.records[0].address, dm_span_text("fake:lan:Q")));

    bench_build(&second);
    CU_ASSERT_EQUAL(runner_load(second.runner, &first.records[0]), DM_OK);
    CU_ASSERT_STRING_EQUAL(second.expected, "Q");
    bench_start(&second);
    receive_ping(&second, 'Q'); /* no CONNECT needed */
    receive_ping(&second, 'R');
    CU_ASSERT_TRUE(expect(&second, "Q> PINGRESP msg 0 code 0\nR> DISCONNECT msg 0 code 0\n"));
    bench_fini(&first);
    bench_fini(&second);
}

static void
session_whose_link_or_address_is_gone_is_kept_without_it(void)
{
    static char overlong[DM_ADDRESS_TEXT_MAX + 20];
    struct bench b;
    const char *const addresses[] = {"", "fake:gone:A", "fake:lan:not one letter", overlong};
    const char *const ids[] = {"a", "b", "c", "d"};

    memset(overlong, 'x', sizeof overlong - 1);
    bench_build(&b);
    for (uint64_t i = 0; i < 4; i++) {
        struct store_record row = session_row(i + 1, ids[i], addresses[i]);

        CU_ASSERT_EQUAL(runner_load(b.runner, &row), DM_OK);
    }
    bench_start(&b);
    for (size_t i = 0; i < 4; i++) /* found by its client id */
        receive(&b, 'A',
                &(struct mqttsn_packet){.type = MQTTSN_PINGREQ, .client_id = dm_span_text(ids[i])});
    CU_ASSERT_TRUE(expect(&b, "A> PINGRESP msg 0 code 0\nA> PINGRESP msg 0 code 0\n"
                              "A> PINGRESP msg 0 code 0\nA> PINGRESP msg 0 code 0\n"));
    bench_fini(&b);
}

static void
row_that_makes_no_sense_is_left_out_and_the_rest_is_loaded(void)
{
    struct store_record bad_mode = session_row(2, "bbb", "");
    struct store_record same_id = session_row(3, "aaa", "");
    struct store_record rows[] = {
        {.op = STORE_SESSION_DELETE, .session = 1},
        session_row(1, "aaa", "fake:lan:A"),
        {0},
        {0},
        session_row(4, "", ""),
        {.op = STORE_TOPIC_PUT, .session = 99, .topic_id = 1, .name = dm_span_text("t")},
        {.op = STORE_SUBSCRIPTION_PUT, .session = 99, .name = dm_span_text("t")},
        {.op = STORE_DELIVERY_PUT, .session = 1, .order = 1, .message = 55},
        {.op = STORE_DELIVERY_PUT, .session = 99, .order = 1, .message = 55},
        session_row(5, "eee", "fake:lan:E"),
    };
    struct bench b;
    struct engine_status status;

    bad_mode.mode = 77;
    rows[2] = bad_mode;
    rows[3] = same_id;
    bench_build(&b);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CU_ASSERT_EQUAL(runner_load(b.runner, &rows[i]), DM_OK);
    bench_start(&b);
    engine_status(runner_engine(b.runner), &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_ASLEEP], 2);
    CU_ASSERT_EQUAL(status.queued_messages, 0);
    CU_ASSERT_STRING_EQUAL(b.expected, "AE");
    receive_ping(&b, 'A');
    receive_ping(&b, 'E');
    CU_ASSERT_TRUE(expect(&b, "A> PINGRESP msg 0 code 0\nE> PINGRESP msg 0 code 0\n"));
    bench_fini(&b);
}

static void
empty_store_asks_for_a_clean_start_and_a_known_broker_does_not(void)
{
    struct store_record other = {.op = STORE_BROKER_PUT, .name = dm_span_text("another broker")};
    struct store_record known = {.op = STORE_BROKER_PUT, .name = dm_span_text("broker")};
    struct bench b;

    bench_build(&b);
    CU_ASSERT_TRUE(b.upstream_events.clean_start(b.upstream_events.ctx, 0));
    CU_ASSERT_EQUAL(runner_load(b.runner, &other), DM_OK);
    CU_ASSERT_TRUE(b.upstream_events.clean_start(b.upstream_events.ctx, 0));
    CU_ASSERT_EQUAL(runner_load(b.runner, &known), DM_OK);
    CU_ASSERT_FALSE(b.upstream_events.clean_start(b.upstream_events.ctx, 0));
    bench_fini(&b);
}

/* ---- the clock ---- */

/* Device A is offline, subscribed to "a", and "m" waits for it until gateway time `expires_ms`. */
static void
load_waiting_message(struct bench *b, const char *boot, uint64_t expires_ms)
{
    const struct store_record rows[] = {
        {.op = STORE_CLOCK_PUT,
         .name = dm_span_text(boot),
         .clock = {.gateway_ms = 5000000, .boot_ms = 900000, .wall_ms = 70000000}},
        {.op = STORE_SESSION_PUT, .session = 1, .client_id = dm_span_text("aaa")},
        {.op = STORE_MESSAGE_PUT,
         .message = 1,
         .name = dm_span_text("a"),
         .payload = dm_span_text("m"),
         .qos = 1,
         .expires = expires_ms},
        {.op = STORE_DELIVERY_PUT, .session = 1, .order = 1, .message = 1, .msg_id = 1, .qos = 1},
    };

    bench_build(b);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CU_ASSERT_EQUAL_FATAL(runner_load(b->runner, &rows[i]), DM_OK);
}

static uint64_t
expired(const struct bench *b)
{
    struct engine_status status;

    engine_status(runner_engine(b->runner), &status);
    return status.dropped[ENGINE_DROP_EXPIRED];
}

static void
message_expires_in_the_time_that_goes_on_over_a_restart(void)
{
    struct bench b;

    load_waiting_message(&b, "this boot", 5100001); /* 100 s have passed since the row */
    bench_start(&b);
    CU_ASSERT_EQUAL(b.armed_ms, 1000001);
    b.now_ms = 1000001;
    runner_time(b.runner);
    CU_ASSERT_EQUAL(expired(&b), 1);
    bench_fini(&b);
}

static void
message_waits_after_a_reboot_until_the_wall_clock_tells_the_time_off(void)
{
    struct bench b;

    load_waiting_message(&b, "another boot", 5500000);
    bench_start(&b);
    pass(&b, 60000); /* looks at the wall clock once a minute */
    CU_ASSERT_EQUAL(expired(&b), 0);
    b.wall_ms = 70000000 + 500000;
    b.now_ms += 1000;
    runner_time(b.runner);
    CU_ASSERT_EQUAL(expired(&b), 1);
    CU_ASSERT_EQUAL(b.armed_ms, ENGINE_NEVER);
    bench_fini(&b);
}

static void
row_of_the_clock_tells_boot_and_wall_clock(void)
{
    struct bench b;
    const struct store_record *row = NULL;

    load_waiting_message(&b, "this boot", 0);
    b.wall_ms = 80000000;
    bench_start(&b);
    b.upstream_events.on_connected(
        b.upstream_events.ctx,
        &(struct upstream_session){
            .version = MQTT_5, .send_maximum = 10, .maximum_qos = 2, .retain_available = true});
    receive_connect(&b, 'A', "aaa");
    receive(&b, 'A',
            &(struct mqttsn_packet){
                .type = MQTTSN_SUBSCRIBE, .qos = 1, .msg_id = 2, .topic_name = dm_span_text("a")});
    receive(&b, 'A', &(struct mqttsn_packet){.type = MQTTSN_DISCONNECT});
    b.upstream_events.on_packet(b.upstream_events.ctx,
                                &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                      .topic = dm_span_text("a"),
                                                      .payload = dm_span_text("x"),
                                                      .qos = 2,
                                                      .packet_id = 1,
                                                      .has_message_expiry = true,
                                                      .message_expiry_s = 60});
    for (size_t i = 0; i < b.record_count; i++)
        if (b.records[i].op == STORE_CLOCK_PUT)
            row = &b.records[i];
    if (row != NULL) {
        CU_ASSERT_TRUE(dm_span_equal(row->name, dm_span_text("this boot")));
        CU_ASSERT_EQUAL(row->clock.gateway_ms, 5100000);
        CU_ASSERT_EQUAL(row->clock.boot_ms, 1000000);
        CU_ASSERT_EQUAL(row->clock.wall_ms, 80000000);
    }
    CU_ASSERT_PTR_NOT_NULL(row);
    bench_fini(&b);
}

/* ---- own connections ---- */

static void
fake_open(void *ctx, uint64_t connection, const struct engine_open *open)
{
    add(ctx, "OPEN %" PRIu64 " %.*s as %s\n", connection, (int)open->client_id.len,
        (const char *)open->client_id.data, open->client != NULL ? open->client->pattern : "-");
}

static void
fake_close(void *ctx, uint64_t connection, const struct engine_close *close)
{
    add(ctx, "CLOSE %" PRIu64 " %.*s%s\n", connection, (int)close->client_id.len,
        (const char *)close->client_id.data, close->wipe ? " wipe" : "");
}

static enum dm_result
fake_own_send(void *ctx, uint64_t connection, const struct mqtt_packet *packet)
{
    add(ctx, "^%" PRIu64 " %s %.*s\n", connection, mqtt_type_name(packet->type),
        (int)packet->topic.len, packet->topic.len > 0 ? (const char *)packet->topic.data : "");
    return DM_OK;
}

static const struct upstream_session granted = {
    .version = MQTT_5, .send_maximum = 10, .maximum_qos = 2};

/* Device A with own connection 1, which is up. */
static void
own_init(struct bench *b, struct runner_own *own)
{
    *own = (struct runner_own){
        .ctx = b, .open = fake_open, .close = fake_close, .send = fake_own_send};
    bench_build(b);
    b->options.settings.own = true;
    runner_set_own(b->runner, own);
    bench_start(b);
    receive_connect(b, 'A', "aaa");
    CU_ASSERT_TRUE(expect(b, ""));
    commit_all(b);
    CU_ASSERT_TRUE(expect(b, "OPEN 1 aaa as -\n"));
    struct runner_own_events events = runner_own_events(b->runner);

    events.on_connected(events.ctx, 1, &granted);
    CU_ASSERT_TRUE(expect(b, "A> CONNACK msg 0 code 0\n"));
    commit_all(b);
}

static void
own_connection_is_opened_and_closed_when_that_is_on_disk(void)
{
    static const struct engine_client client = {.pattern = "a*"};
    struct engine_options options;
    struct runner_own own;
    struct bench b;

    own_init(&b, &own);
    receive_subscribe(&b, 'A', "a", 1);
    CU_ASSERT_TRUE(expect(&b, ""));
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "^1 SUBSCRIBE a\n"));
    CU_ASSERT_EQUAL(runner_forget(b.runner, dm_span_text("aaa")), DM_OK);
    options = b.options; /* the section that an effect was held with may be gone */
    options.clients = &client;
    options.client_count = 1;
    runner_reconfigure(b.runner, &options);
    CU_ASSERT_TRUE(expect(&b, "A> DISCONNECT msg 0 code 0\n"));
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "CLOSE 1 aaa wipe\n"));
    bench_fini(&b);
}

static void
nothing_is_heard_of_a_connection_whose_end_is_held(void)
{
    struct runner_own own;
    struct bench b;

    own_init(&b, &own);
    struct runner_own_events events = runner_own_events(b.runner);

    CU_ASSERT_EQUAL(runner_forget(b.runner, dm_span_text("aaa")), DM_OK);
    CU_ASSERT_TRUE(expect(&b, "A> DISCONNECT msg 0 code 0\n"));
    events.on_disconnected(events.ctx, 1, UPSTREAM_REFUSED); /* would be for ever */
    commit_all(&b);
    CU_ASSERT_TRUE(expect(&b, "CLOSE 1 aaa wipe\n"));
    events.on_wiped(events.ctx, 1);
    CU_ASSERT_EQUAL(b.records[b.record_count - 1].op, STORE_BROKER_DELETE);
    bench_fini(&b);
}

static const struct unit_test tests[] = {
    UNIT_TEST(own_connection_is_opened_and_closed_when_that_is_on_disk),
    UNIT_TEST(nothing_is_heard_of_a_connection_whose_end_is_held),
    UNIT_TEST(message_expires_in_the_time_that_goes_on_over_a_restart),
    UNIT_TEST(message_waits_after_a_reboot_until_the_wall_clock_tells_the_time_off),
    UNIT_TEST(row_of_the_clock_tells_boot_and_wall_clock),
    UNIT_TEST(answer_that_needs_a_commit_does_not_leave_before_it),
    UNIT_TEST(answer_leaves_only_with_its_own_number),
    UNIT_TEST(answers_leave_in_order),
    UNIT_TEST(answer_without_need_overtakes_no_connack_and_waits_for_no_other_device),
    UNIT_TEST(packet_for_the_broker_waits_too_and_keeps_its_content),
    UNIT_TEST(packet_held_for_the_broker_is_dropped_with_its_connection),
    UNIT_TEST(held_answers_are_bounded_and_counted),
    UNIT_TEST(runner_freed_with_answers_held_sends_nothing),
    UNIT_TEST(malformed_datagram_is_counted_and_changes_nothing),
    UNIT_TEST(store_is_flushed_and_the_timer_set_after_every_input),
    UNIT_TEST(several_inputs_make_one_turn),
    UNIT_TEST(timer_is_set_to_the_end_of_the_keep_alive),
    UNIT_TEST(room_on_the_link_leads_to_delivery),
    UNIT_TEST(link_that_comes_back_leads_to_delivery),
    UNIT_TEST(publish_the_broker_can_never_take_is_refused_to_the_device),
    UNIT_TEST(held_publish_the_broker_can_never_take_is_refused_to_the_device),
    UNIT_TEST(messages_of_qos_0_held_behind_a_slow_disk_are_bounded),
    UNIT_TEST(answer_held_for_a_device_that_moved_does_not_go_to_its_old_address),
    UNIT_TEST(answer_held_for_the_last_connection_does_not_come_before_the_connack),
    UNIT_TEST(broadcast_goes_to_the_link_with_its_radius),
    UNIT_TEST(disk_that_fails_means_congestion_until_it_recovers),
    UNIT_TEST(forget_removes_the_session_or_finds_none),
    UNIT_TEST(shutdown_records_qos0_for_a_sleeping_device),
    UNIT_TEST(shutdown_takes_no_new_work_and_sends_what_was_held),
    UNIT_TEST(address_goes_into_the_record_as_text_and_comes_back),
    UNIT_TEST(session_whose_link_or_address_is_gone_is_kept_without_it),
    UNIT_TEST(row_that_makes_no_sense_is_left_out_and_the_rest_is_loaded),
    UNIT_TEST(empty_store_asks_for_a_clean_start_and_a_known_broker_does_not),
};

UNIT_MAIN("runner", tests)
