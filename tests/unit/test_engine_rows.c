/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine makes of the rows of the store: those that make no sense are left out (style: a
 * file is checked like the wire), and those of another broker's session are not believed (design
 * 6). */
#include "unit.h"

#include <stdio.h>

#include "engine_rig.h"

#define TEXT(s)                                                                                    \
    {                                                                                              \
        .data = (const uint8_t *)(s), .len = sizeof(s) - 1                                         \
    }
#define LONG_ID                                                                                    \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"                             \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SESSION_OF_DEV                                                                             \
    .op = STORE_SESSION_PUT, .session = 1, .client_id = TEXT("dev"), .epoch = 1, .keepalive_s = 60
#define BROKER .op = STORE_BROKER_PUT, .name = TEXT("mqtt://broker dormouse")

/* Makes a row durable; rig_restart loads it. */
static void
put(struct rig *rig, const struct store_record *record)
{
    engine_disk_append(&rig->disk,
                       &(struct engine_effect){.type = ENGINE_RECORD, .record = *record});
    engine_disk_end_turn(&rig->disk);
    engine_disk_commit(&rig->disk, rig->disk.seq);
}

static enum dm_result
emit_nothing(void *ctx, const struct engine_effect *effect)
{
    (void)ctx;
    (void)effect;
    return DM_OK;
}

/* ---- rows that make no sense ---- */

static const struct {
    const char *what;
    struct store_record row;
    enum dm_result result;
} bad_rows[] = {
    {"empty client id", {.op = STORE_SESSION_PUT, .session = 2}, DM_MALFORMED},
    {"client id that no message can carry",
     {.op = STORE_SESSION_PUT, .session = 2, .client_id = TEXT(LONG_ID LONG_ID)},
     DM_MALFORMED},
    {"client id of another session",
     {.op = STORE_SESSION_PUT, .session = 2, .client_id = TEXT("dev")},
     DM_MALFORMED},
    {"mode that is never recorded",
     {.op = STORE_SESSION_PUT, .session = 2, .client_id = TEXT("two"), .mode = ENGINE_AWAKE},
     DM_MALFORMED},
    {"will without a session",
     {.op = STORE_WILL_PUT, .session = 2, .name = TEXT("gone")},
     DM_MALFORMED},
    {"will of QoS 3",
     {.op = STORE_WILL_PUT, .session = 1, .name = TEXT("gone"), .qos = 3},
     DM_MALFORMED},
    {"will on a filter", {.op = STORE_WILL_PUT, .session = 1, .name = TEXT("#")}, DM_MALFORMED},
    {"received message without a session",
     {.op = STORE_RECEIVED_PUT, .session = 2, .msg_id = 1},
     DM_MALFORMED},
    {"topic without a session",
     {.op = STORE_TOPIC_PUT, .session = 2, .topic_id = 1, .name = TEXT("t")},
     DM_MALFORMED},
    {"topic that is a filter",
     {.op = STORE_TOPIC_PUT, .session = 1, .topic_id = 1, .name = TEXT("t/+")},
     DM_MALFORMED},
    {"topic id 0", {.op = STORE_TOPIC_PUT, .session = 1, .name = TEXT("t")}, DM_MALFORMED},
    {"topic id 0xffff",
     {.op = STORE_TOPIC_PUT, .session = 1, .topic_id = 0xffff, .name = TEXT("t")},
     DM_MALFORMED},
    {"subscription without a session",
     {.op = STORE_SUBSCRIPTION_PUT, .session = 2, .name = TEXT("t")},
     DM_MALFORMED},
    {"subscription of QoS 3",
     {.op = STORE_SUBSCRIPTION_PUT, .session = 1, .name = TEXT("t"), .qos = 3},
     DM_MALFORMED},
    {"subscription of the reserved topic type",
     {.op = STORE_SUBSCRIPTION_PUT, .session = 1, .name = TEXT("t"), .topic_type = 3},
     DM_MALFORMED},
    {"message on a filter",
     {.op = STORE_MESSAGE_PUT, .message = 1, .name = TEXT("t/#")},
     DM_MALFORMED},
    {"message of QoS 3",
     {.op = STORE_MESSAGE_PUT, .message = 1, .name = TEXT("t"), .qos = 3},
     DM_MALFORMED},
    {"delivery without a session",
     {.op = STORE_DELIVERY_PUT, .session = 2, .order = 1, .message = 7, .qos = 1},
     DM_MALFORMED},
    {"delivery without its message",
     {.op = STORE_DELIVERY_PUT, .session = 1, .order = 1, .message = 8, .qos = 1},
     DM_MALFORMED},
    {"delivery of a higher QoS than its message",
     {.op = STORE_DELIVERY_PUT, .session = 1, .order = 1, .message = 7, .qos = 2},
     DM_MALFORMED},
    {"spooled message on a filter",
     {.op = STORE_SPOOL_PUT, .order = 1, .name = TEXT("t/#"), .qos = 1},
     DM_MALFORMED},
    {"spooled message of QoS 3",
     {.op = STORE_SPOOL_PUT, .order = 1, .name = TEXT("t"), .qos = 3},
     DM_MALFORMED},
    {"deletion", {.op = STORE_SESSION_DELETE, .session = 1}, DM_INVALID},
};

static void
rows_that_make_no_sense_are_refused_and_change_nothing(void)
{
    static const struct store_record session = {SESSION_OF_DEV};
    static const struct store_record message = {
        .op = STORE_MESSAGE_PUT, .message = 7, .name = TEXT("t"), .qos = 1};
    struct rig rig;
    struct engine_status status;

    rig_init(&rig);
    engine_free(rig.engine);
    rig.engine = engine_new(&rig.options, emit_nothing, NULL);
    CU_ASSERT_EQUAL(engine_load(rig.engine, &session, NULL), DM_OK);
    CU_ASSERT_EQUAL(engine_load(rig.engine, &message, NULL), DM_OK);
    for (size_t i = 0; i < sizeof bad_rows / sizeof bad_rows[0]; i++) {
        enum dm_result result = engine_load(rig.engine, &bad_rows[i].row, NULL);

        if (result != bad_rows[i].result)
            printf("\n%s: %s\n", bad_rows[i].what, dm_result_text(result));
        CU_ASSERT_EQUAL(result, bad_rows[i].result);
    }
    engine_start(rig.engine, rig.now_ms);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_DISCONNECTED], 1);
    CU_ASSERT_EQUAL(status.queued_messages + status.spooled_messages + status.will_octets, 0);
    rig_fini(&rig);
}

/* Which of two sessions has an address is known only if the rows agree: the first keeps it, and one
 * on a link that was taken out of the configuration has none. */
static void
session_rows_with_a_taken_or_unknown_address_have_none(void)
{
    static const struct {
        const char *client_id;
        struct dm_address address;
    } sessions[] = {
        {"one", {.len = 1, .octets = {'A'}}},
        {"two", {.len = 1, .octets = {'A'}}},
        {"three", {.link = 9, .len = 1, .octets = {'C'}}},
    };
    struct rig rig;

    rig_init(&rig);
    for (uint64_t i = 0; i < 3; i++) {
        struct store_record record = {.op = STORE_SESSION_PUT,
                                      .session = i + 1,
                                      .client_id = dm_span_text(sessions[i].client_id),
                                      .mode = ENGINE_ACTIVE,
                                      .epoch = 1};

        engine_disk_append(&rig.disk, &(struct engine_effect){.type = ENGINE_RECORD,
                                                              .record = record,
                                                              .has_address = true,
                                                              .address = sessions[i].address});
    }
    engine_disk_end_turn(&rig.disk);
    engine_disk_commit(&rig.disk, rig.disk.seq);
    rig_restart(&rig);
    rig_ping(&rig, 'A', "");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    engine_forget(rig.engine, rig.now_ms, dm_span_text("one"));
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    engine_forget(rig.engine, rig.now_ms, dm_span_text("two"));
    engine_forget(rig.engine, rig.now_ms, dm_span_text("three"));
    CU_ASSERT_TRUE(rig_expect(&rig, "")); /* active, but nobody knows where */
    rig_fini(&rig);
}

/* ---- the broker's session (design 6) ---- */

static void
connection_begins_clean_only_if_no_row_knows_the_broker(void)
{
    struct rig rig;

    rig_init(&rig);
    CU_ASSERT_TRUE(engine_needs_clean_start(rig.engine, 0));
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, 0));
    rig_commit(&rig);
    rig_restart(&rig);
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, 0));
    rig.broker_keys[0] = "mqtt://elsewhere dormouse";
    rig_restart(&rig);
    CU_ASSERT_TRUE(engine_needs_clean_start(rig.engine, 0));
    rig_fini(&rig);
}

/* Two spooled QoS 2 messages, the second released, and one received from the broker. */
static void
put_broker_session(struct rig *rig)
{
    put(rig, &(struct store_record){BROKER});
    put(rig, &(struct store_record){
                 .op = STORE_FILTER_PUT, .name = TEXT("cmd/#"), .upstream_id = 70000, .order = 1});
    put(rig, &(struct store_record){.op = STORE_INBOUND_PUT, .packet_id = 5});
    put(rig, &(struct store_record){SESSION_OF_DEV, .mode = ENGINE_ACTIVE});
    put(rig, &(struct store_record){.op = STORE_SUBSCRIPTION_PUT,
                                    .session = 1,
                                    .name = TEXT("cmd/#"),
                                    .qos = 2,
                                    .upstream_id = 70000,
                                    .order = 1});
    for (uint16_t i = 1; i <= 2; i++)
        put(rig, &(struct store_record){.op = STORE_SPOOL_PUT,
                                        .order = i,
                                        .session = 1,
                                        .packet_id = (uint16_t)(10 + i),
                                        .name = TEXT("temp"),
                                        .payload = dm_span(i == 1 ? "a" : "b", 1),
                                        .qos = 2});
    put(rig, &(struct store_record){.op = STORE_RELEASE_PUT, .packet_id = 12});
}

static void
rows_of_the_brokers_session_continue_it(void)
{
    struct rig rig;

    rig_init(&rig);
    put_broker_session(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    /* The filter is held: made again without retained messages, in case the broker forgot it. */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH temp qos 2 dup \"a\" pid 11\n"
                                    "^ PUBREL pid 12\n"
                                    "^ SUBSCRIBE cmd/# pid 1 id 70000 rh 2\n"));
    rig_broker_publish(&rig, "cmd/x", "seen before", 2, 5, 70000);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBREC pid 5\n"));
    rig_fini(&rig);
}

static void
rows_of_another_brokers_session_are_not_believed(void)
{
    struct rig rig;

    rig_init(&rig);
    put_broker_session(&rig);
    rig.broker_keys[0] = "mqtt://elsewhere dormouse";
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_commit(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH temp qos 2 \"a\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH temp qos 2 \"b\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ SUBSCRIBE cmd/#"));
    CU_ASSERT_PTR_NULL(strstr(rig.text, "PUBREL"));
    CU_ASSERT_PTR_NULL(strstr(rig.text, " rh 2")); /* asks for the retained messages */
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 2); /* for the way back */
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_INBOUND_PUT), 1);
    rig_clear(&rig);
    rig_broker_publish(&rig, "cmd/x", "new", 2, 5, 0);
    struct engine_status status;

    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.queued_messages, 1);
    rig_fini(&rig);
}

/* The broker acknowledged an older SUBSCRIBE of the filter, not the latest (design 6: every connect
 * sends the difference). */
static void
subscription_newer_than_its_filters_row_is_made_again(void)
{
    struct rig rig;

    rig_init(&rig);
    put_broker_session(&rig);
    put(&rig, &(struct store_record){.op = STORE_SUBSCRIPTION_PUT,
                                     .session = 1,
                                     .name = TEXT("cmd/#"),
                                     .qos = 1,
                                     .upstream_id = 70001,
                                     .order = 1});
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ SUBSCRIBE cmd/# pid 1 id 70001\n"));
    rig_fini(&rig);
}

/* ---- devices after a restart ---- */

/* R28: what was active may have gone to sleep unrecorded, but was never to be supervised (design
 * 8). */
static void
device_without_keepalive_recorded_asleep_is_not_lost_before_it_is_heard(void)
{
    struct rig rig;
    struct engine_status status;

    rig_init(&rig);
    put(&rig, &(struct store_record){.op = STORE_SESSION_PUT,
                                     .session = 1,
                                     .client_id = TEXT("dev"),
                                     .mode = ENGINE_ASLEEP,
                                     .sleep_s = 10,
                                     .epoch = 1});
    rig_restart(&rig);
    rig_wait(&rig, UINT64_C(100000000));
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_ASLEEP], 1);
    rig_ping(&rig, 'A', "dev");
    rig_wait(&rig, 15001); /* heard: 1.5 times its 10 s count from now on */
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_LOST], 1);
    rig_fini(&rig);
}

/* More than a device may have open (R51): the rows beyond that are of messages it gave up. */
static void
received_rows_beyond_the_limit_are_left_out(void)
{
    struct rig rig;

    rig_init(&rig);
    put(&rig, &(struct store_record){SESSION_OF_DEV, .mode = ENGINE_ACTIVE});
    for (uint16_t i = 1; i <= 40; i++)
        put(&rig, &(struct store_record){
                      .op = STORE_RECEIVED_PUT, .session = 1, .msg_id = i, .content = i});
    rig_restart(&rig);
    rig_ping(&rig, 'A', "dev");
    rig_clear(&rig);
    for (uint16_t i = 1; i <= 40; i++)
        rig_step(&rig, 'A', MQTTSN_PUBREL, i);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RECEIVED_PUT), 24); /* 16 were known and released */
    rig_fini(&rig);
}

/* ---- numbers that run out ---- */

/* The row of the delivery that came last. */
static struct store_record
last_delivery(const struct rig *rig)
{
    struct store_record last = {0};
    const struct store_record *row;

    for (size_t i = 0; (row = rig_row(rig, i)) != NULL; i++)
        if (row->op == STORE_DELIVERY_PUT)
            last = *row;
    return last;
}

/* A device may have had four thousand million messages; an order must not come again while others
 * wait. */
static void
orders_begin_anew_when_nothing_waits(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device_subscribed(&rig, 'A', "dev", false, "cmd", 1);
    rig_disconnect(&rig, 'A', 60);
    put(&rig, &(struct store_record){
                  .op = STORE_MESSAGE_PUT, .message = 77, .name = TEXT("cmd"), .qos = 1});
    put(&rig, &(struct store_record){.op = STORE_DELIVERY_PUT,
                                     .session = 1,
                                     .order = UINT32_MAX - 1,
                                     .message = 77,
                                     .msg_id = 7,
                                     .qos = 1});
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_broker_publish(&rig, "cmd", "next", 1, 9, 1);
    struct store_record next = last_delivery(&rig);
    CU_ASSERT_EQUAL(next.order, UINT32_MAX);
    rig_ping(&rig, 'A', "dev");
    rig_puback(&rig, 'A', 1, 7, 0);
    rig_puback(&rig, 'A', 1, next.msg_id, 0);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_DELIVERY_PUT), 0);
    rig_broker_publish(&rig, "cmd", "later", 1, 10, 1);
    CU_ASSERT_EQUAL(last_delivery(&rig).order, 1);
    rig_fini(&rig);
}

/* Reference 2.1: an id that reads as a printable short name would be taken for one. */
static void
topic_ids_end_below_the_first_short_name(void)
{
    struct rig rig;

    rig_init(&rig);
    put(&rig, &(struct store_record){SESSION_OF_DEV, .mode = ENGINE_ACTIVE});
    put(&rig, &(struct store_record){
                  .op = STORE_TOPIC_PUT, .session = 1, .topic_id = 0x201e, .name = TEXT("old")});
    rig_restart(&rig);
    rig_ping(&rig, 'A', "dev");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_register(&rig, 'A', "last", 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "REGACK 8223 msg 1 code 0")); /* 0x201f */
    rig_commit(&rig);
    rig_clear(&rig);
    rig_register(&rig, 'A', "late", 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGACK 0 msg 2 code 1\n")); /* M21 */
    rig_fini(&rig);
}

/* All packet ids belong to spooled messages; what the broker acknowledges gives one back. */
static void
subscribe_without_a_free_packet_id_goes_with_the_next_that_is_free(void)
{
    struct rig rig;

    rig_init(&rig);
    put(&rig, &(struct store_record){BROKER});
    for (uint32_t id = 1; id <= UINT16_MAX; id++)
        put(&rig, &(struct store_record){.op = STORE_SPOOL_PUT,
                                         .order = id,
                                         .packet_id = (uint16_t)id,
                                         .name = TEXT("temp"),
                                         .qos = 1});
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_subscribe(&rig, 'A', "cmd", 1, 1);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_broker_answer(&rig, MQTT_PUBACK, 3, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ SUBSCRIBE cmd pid 3 "));
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(rows_that_make_no_sense_are_refused_and_change_nothing),
    UNIT_TEST(session_rows_with_a_taken_or_unknown_address_have_none),
    UNIT_TEST(connection_begins_clean_only_if_no_row_knows_the_broker),
    UNIT_TEST(rows_of_the_brokers_session_continue_it),
    UNIT_TEST(rows_of_another_brokers_session_are_not_believed),
    UNIT_TEST(subscription_newer_than_its_filters_row_is_made_again),
    UNIT_TEST(device_without_keepalive_recorded_asleep_is_not_lost_before_it_is_heard),
    UNIT_TEST(received_rows_beyond_the_limit_are_left_out),
    UNIT_TEST(orders_begin_anew_when_nothing_waits),
    UNIT_TEST(topic_ids_end_below_the_first_short_name),
    UNIT_TEST(subscribe_without_a_free_packet_id_goes_with_the_next_that_is_free),
};
UNIT_MAIN("engine rows", tests)
