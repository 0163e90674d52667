/* SPDX-License-Identifier: Apache-2.0 */
/* `upstream = own` with `hold = broker`: messages wait at the broker, and pass end to end. */
#include <string.h>

#include "engine_rig.h"
#include "unit.h"

static void
own_up(struct rig *rig, bool session_present)
{
    rig->connection = 1;
    rig_broker_up(rig, MQTT_5, session_present);
    rig_commit(rig);
}

/* A device that knows the name "t" as topic id 1, with its own connection, number 1. */
static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig->options.settings.own = true;
    rig->options.settings.hold_at_broker = true;
    rig_broker_up(rig, MQTT_5, false);
    rig_connect(rig, 'A', "dev", false, 60);
    rig_commit(rig);
    own_up(rig, false);
    rig_register(rig, 'A', "t", 1);
    rig_commit(rig);
    rig_clear(rig);
}

static void
receive(struct rig *rig, const char *data, uint8_t qos, uint16_t packet_id, bool dup)
{
    rig_broker_packet(rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                 .topic = dm_span_text("t"),
                                                 .payload = dm_span_text(data),
                                                 .qos = qos,
                                                 .dup = dup,
                                                 .packet_id = packet_id});
}

static void
qos_1_passes_end_to_end_without_the_disk(void)
{
    struct rig rig;

    begin(&rig);
    rig.log_records = true;
    receive(&rig, "x", 1, 70, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 70 \"x\"\n"));
    rig_wait(&rig, 5000); /* beyond store_after */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_puback(&rig, 'A', 1, 70, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBACK pid 70\n"));
    rig_fini(&rig);
}

static void
sleeping_device_keeps_its_connection_and_nothing_is_written(void)
{
    struct rig rig;

    begin(&rig);
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.log_records = true;
    receive(&rig, "x", 1, 70, false);
    receive(&rig, "y", 2, 71, false);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_ping(&rig, 'A', "dev");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 70 \"x\"\n"));
    rig_puback(&rig, 'A', 1, 70, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 2 msg 71 \"y\"\n^1 PUBACK pid 70\n"));
    rig_fini(&rig);
}

static void
qos_2_is_taken_when_the_device_has_it(void)
{
    struct rig rig;

    begin(&rig);
    receive(&rig, "twenty octets or more", 2, 70, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 2 msg 70 \"twenty octets or more\"\n"));
    rig.commits_late = true;
    rig_step(&rig, 'A', MQTTSN_PUBREC, 70);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 70 !8\n"));
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBREC pid 70\n"));
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 70);
    rig_broker_answer(&rig, MQTT_PUBREL, 70, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBCOMP pid 70 !11\n"));
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_INBOUND_PUT), 0);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_MESSAGE_PUT), 0);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_DELIVERY_PUT), 0);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_octets, 0);
    rig_fini(&rig);
}

static void
qos_2_sent_before_a_crash_comes_again_under_its_msg_id(void)
{
    struct rig rig;

    begin(&rig);
    receive(&rig, "x", 2, 70, false);
    rig_restart(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 1 dev\n"));
    rig_step(&rig, 'A', MQTTSN_PUBREC, 70); /* PUBREL would let the device forget it */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    own_up(&rig, true);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 70);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    receive(&rig, "x", 2, 70, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 2 msg 70 dup \"x\"\n"));
    rig_step(&rig, 'A', MQTTSN_PUBREC, 70);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 70 !3\n^1 PUBREC pid 70\n"));
    rig_fini(&rig);
}

static void
qos_2_taken_before_a_crash_does_not_come_again(void)
{
    struct rig rig;

    begin(&rig);
    receive(&rig, "x", 2, 70, false);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 70);
    rig_commit(&rig);
    rig_restart(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 70\nOPEN 1 dev\n"));
    own_up(&rig, true);
    receive(&rig, "x", 2, 70, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBREC pid 70\n"));
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 70);
    rig_broker_answer(&rig, MQTT_PUBREL, 70, 0);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_INBOUND_PUT), 0);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_DELIVERY_PUT), 0);
    rig_fini(&rig);
}

static void
late_pubrec_of_what_is_done_gets_its_pubrel(void)
{
    struct rig rig;

    begin(&rig);
    rig_wait(&rig, 10000);
    rig_clear(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 70); /* R64 */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 70\n"));
    rig_fini(&rig);
}

/* Limits of the gateway's memory are not those of the broker's queue. */
static void
what_has_no_room_here_stays_at_the_broker(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.settings.queue_messages = 2;
    rig_disconnect(&rig, 'A', 60);
    rig_commit(&rig);
    rig_clear(&rig);
    for (uint16_t i = 0; i < 4; i++) /* as Mosquitto 2.0 does, whatever it is allowed */
        receive(&rig, "x", i % 2 == 0 ? 1 : 2, (uint16_t)(70 + i), false);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    CU_ASSERT_EQUAL(rig_status(&rig).dropped[ENGINE_DROP_OVERFLOW], 0);
    rig_ping(&rig, 'A', "dev");
    rig_puback(&rig, 'A', 1, 70, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 70 \"x\"\n"
                                    "A> PUBLISH 1 qos 2 msg 71 \"x\"\n^1 PUBACK pid 70\n"));
    receive(&rig, "x", 1, 74, false); /* has room, but would overtake */
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 71);
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 71);
    rig_commit(&rig);
    /* Now there is room: it sends again what it has. */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 71 !9\n^1 PUBREC pid 71\nA> PINGRESP\n"
                                    "CLOSE 1 !11\nOPEN 1 dev !11\n"));
    rig_fini(&rig);
}

static void
session_that_ends_with_messages_left_at_the_broker_sends_its_last(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.settings.queue_messages = 1;
    receive(&rig, "x", 1, 70, false);
    receive(&rig, "y", 1, 71, false);
    rig_publish(&rig, 'A', 1, 1, 5, "up");
    rig_clear(&rig);
    CU_ASSERT_EQUAL(engine_forget(rig.engine, rig.now_ms, dm_span_text("dev")), DM_OK);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "CLOSE 1 wipe\n"));
    rig_fini(&rig);
}

static void
room_that_qos_0_took_is_used_when_it_is_free(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.settings.queue_messages = 1;
    rig_disconnect(&rig, 'A', 60);
    rig_commit(&rig);
    rig_clear(&rig);
    receive(&rig, "x", 0, 0, false);
    receive(&rig, "y", 1, 70, false);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_ping(&rig, 'A', "dev");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 0 msg 0 \"x\"\nA> PINGRESP\n"
                                    "CLOSE 1\nOPEN 1 dev\n"));
    rig_fini(&rig);
}

static void
device_that_leaves_gives_its_messages_back(void)
{
    struct rig rig;

    begin(&rig);
    receive(&rig, "x", 1, 70, false);
    rig_clear(&rig);
    rig_disconnect(&rig, 'A', 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT !6\nCLOSE 1 !6\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 0);
    rig_commit(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !7\nOPEN 1 dev !7\n"));
    own_up(&rig, true);
    rig_clear(&rig);
    receive(&rig, "x", 1, 70, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 t msg 1\n"));
    rig_regack(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 70 dup \"x\"\n"));
    rig_fini(&rig);
}

static void
lost_device_gives_its_messages_back_and_its_will_goes_first(void)
{
    struct rig rig;

    begin(&rig);
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPICUPD, "gone", 1, false);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "bye");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 90000);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBLISH gone qos 1 \"bye\" pid 1 !9\n"));
    rig_commit(&rig);
    receive(&rig, "x", 1, 70, false); /* nobody is there */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "CLOSE 1 !10\n"));
    rig_fini(&rig);
}

static void
device_that_is_back_before_the_connection_ends_gets_a_new_one(void)
{
    struct rig rig;

    begin(&rig);
    rig_publish(&rig, 'A', 1, 1, 9, "up");
    rig_commit(&rig);
    rig_disconnect(&rig, 'A', 0);
    receive(&rig, "x", 1, 70, false);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !7\nCLOSE 1 !7\nOPEN 1 dev !8\n"));
    rig_fini(&rig);
}

static void
message_the_device_refuses_is_acknowledged_and_counted(void)
{
    struct rig rig;

    begin(&rig);
    receive(&rig, "x", 1, 70, false);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 70, MQTTSN_NOT_SUPPORTED);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBACK pid 70\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).dropped[ENGINE_DROP_REFUSED], 1);
    rig_fini(&rig);
}

static void
messages_of_subscriptions_made_at_another_gateway_are_delivered(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.options.settings.own = true;
    rig.options.settings.hold_at_broker = true;
    rig_broker_up(&rig, MQTT_5, false);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    own_up(&rig, true); /* its session is there */
    rig_clear(&rig);
    receive(&rig, "x", 1, 70, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 t msg 1 !5\n"));
    rig_fini(&rig);
}

static void
message_of_a_subscription_that_is_not_allowed_is_acknowledged_and_counted(void)
{
    static const char *const allowed[] = {"ok/#"};
    struct engine_client client = {.pattern = "dev", .subscribe = allowed, .subscribe_count = 1};
    struct rig rig;

    rig_init(&rig);
    rig.options.settings.own = true;
    rig.options.settings.hold_at_broker = true;
    rig.options.clients = &client;
    rig.options.client_count = 1;
    rig_broker_up(&rig, MQTT_5, false);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    own_up(&rig, true);
    rig_clear(&rig);
    receive(&rig, "x", 1, 70, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBACK pid 70\n"));
    receive(&rig, "x", 2, 71, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBREC pid 71\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).denied, 2);
    rig_broker_publish(&rig, "ok/t", "x", 1, 72, 77);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> REGISTER 1 ok/t"));
    rig_fini(&rig);
}

static void
subscription_has_the_qos_that_the_device_asked_for(void)
{
    struct rig rig;

    begin(&rig);
    rig_subscribe(&rig, 'A', "a/#", 0, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 SUBSCRIBE a/# pid 1 qos 0 id 1 !6\n"));
    rig_fini(&rig);
}

static void
broker_that_lost_its_session_changes_nothing_for_what_is_on_its_way(void)
{
    struct rig rig;

    begin(&rig);
    receive(&rig, "x", 1, 70, false);
    rig_clear(&rig);
    engine_upstream_disconnected(rig.engine, rig.now_ms, 1, UPSTREAM_LOST);
    own_up(&rig, false);
    rig_puback(&rig, 'A', 1, 70, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "")); /* the broker does not know it */
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 0);
    rig_fini(&rig);
}

static void
message_repeated_over_a_new_connection_is_the_same(void)
{
    struct rig rig;

    begin(&rig);
    receive(&rig, "x", 1, 70, false);
    rig_clear(&rig);
    engine_upstream_disconnected(rig.engine, rig.now_ms, 1, UPSTREAM_LOST);
    rig_puback(&rig, 'A', 1, 70, 0);
    own_up(&rig, true);
    rig_clear(&rig);
    receive(&rig, "x", 1, 70, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBACK pid 70\n"));
    rig_fini(&rig);
}

static void
connection_ends_abruptly_where_the_broker_has_the_will(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.settings.will_at_broker = true;
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPICUPD, "gone", 1, false);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "bye");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_disconnect(&rig, 'A', 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT !8\nCLOSE 1 !8\n"));
    rig_commit(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    own_up(&rig, true);
    rig_clear(&rig);
    rig_wait(&rig, 90000);
    CU_ASSERT_TRUE(rig_expect(&rig, "CLOSE 1 abrupt !10\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).wills_published, 0);
    rig_fini(&rig);
}

static void
qos_0_waits_for_the_first_attempt_to_connect(void)
{
    struct rig rig;

    begin(&rig);
    for (int came = 0; came <= 1; came++) {
        rig_disconnect(&rig, 'A', 0);
        rig_commit(&rig);
        rig_connect(&rig, 'A', "dev", false, 60);
        rig_register(&rig, 'A', "t", 1);
        rig_commit(&rig);
        rig_clear(&rig);
        rig_publish(&rig, 'A', 1, 0, 0, "x");
        CU_ASSERT_TRUE(rig_expect(&rig, ""));
        if (came == 0)
            engine_upstream_disconnected(rig.engine, rig.now_ms, 1, UPSTREAM_LOST);
        CU_ASSERT_EQUAL(rig_status(&rig).uplink_dropped, 1);
        own_up(&rig, true);
        CU_ASSERT_TRUE(rig_expect(&rig, came ? "^1 PUBLISH t qos 0 \"x\"\n" : ""));
    }
    rig_fini(&rig);
}

static void
qos_minus_one_needs_no_own_connection(void)
{
    struct rig rig;

    begin(&rig);
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = MQTTSN_QOS_MINUS_ONE,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 7,
                                     .data = dm_span_text("x")});
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/button qos 0 \"x\"\n"));
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(message_of_a_subscription_that_is_not_allowed_is_acknowledged_and_counted),
    UNIT_TEST(qos_0_waits_for_the_first_attempt_to_connect),
    UNIT_TEST(qos_minus_one_needs_no_own_connection),
    UNIT_TEST(qos_1_passes_end_to_end_without_the_disk),
    UNIT_TEST(sleeping_device_keeps_its_connection_and_nothing_is_written),
    UNIT_TEST(qos_2_is_taken_when_the_device_has_it),
    UNIT_TEST(qos_2_sent_before_a_crash_comes_again_under_its_msg_id),
    UNIT_TEST(qos_2_taken_before_a_crash_does_not_come_again),
    UNIT_TEST(late_pubrec_of_what_is_done_gets_its_pubrel),
    UNIT_TEST(what_has_no_room_here_stays_at_the_broker),
    UNIT_TEST(session_that_ends_with_messages_left_at_the_broker_sends_its_last),
    UNIT_TEST(room_that_qos_0_took_is_used_when_it_is_free),
    UNIT_TEST(device_that_leaves_gives_its_messages_back),
    UNIT_TEST(lost_device_gives_its_messages_back_and_its_will_goes_first),
    UNIT_TEST(device_that_is_back_before_the_connection_ends_gets_a_new_one),
    UNIT_TEST(message_the_device_refuses_is_acknowledged_and_counted),
    UNIT_TEST(messages_of_subscriptions_made_at_another_gateway_are_delivered),
    UNIT_TEST(subscription_has_the_qos_that_the_device_asked_for),
    UNIT_TEST(broker_that_lost_its_session_changes_nothing_for_what_is_on_its_way),
    UNIT_TEST(message_repeated_over_a_new_connection_is_the_same),
    UNIT_TEST(connection_ends_abruptly_where_the_broker_has_the_will),
};
UNIT_MAIN("engine held", tests)
