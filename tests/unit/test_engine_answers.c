/* SPDX-License-Identifier: Apache-2.0 */
/* What a device answers to REGISTER and PUBLISH, code by code, and which topic id it is told
 * (reference 2.3, 2.5, 2.7; R59 to R64). */
#include "unit.h"

#include "engine_rig.h"

/* A device without keep alive (R28), subscribed to `filter` with QoS 2: topic id 1 if it is a
 * name. */
static void
begin(struct rig *rig, const char *filter)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_connect(rig, 'A', "dev", false, 0);
    rig_commit(rig);
    rig_subscribe(rig, 'A', filter, 2, 1);
    rig_commit(rig);
    rig_broker_answer(rig, MQTT_SUBACK, 1, 2);
    rig_commit(rig);
    rig_clear(rig);
}

/* ---- congestion (reference 2.3, R63) ---- */

static void
puback_congestion_pauses_until_the_next_wake(void)
{
    struct rig rig;

    begin(&rig, "cmd");
    rig_broker_publish(&rig, "cmd", "hello", 1, 1, 0);
    rig_puback(&rig, 'A', 1, 1, MQTTSN_CONGESTION);
    rig_disconnect(&rig, 'A', 60);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "dev");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"hello\"\n"));
    rig_fini(&rig);
}

static void
awake_device_that_is_congested_gets_its_pingresp(void)
{
    struct rig rig;

    begin(&rig, "cmd");
    rig_disconnect(&rig, 'A', 60);
    rig_broker_publish(&rig, "cmd", "hello", 1, 1, 0);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "dev");
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 1, MQTTSN_CONGESTION);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

/* ---- refusals (reference 2.3, R63) ---- */

static void
regack_refusal_of_a_subscribed_name_ends_the_subscription(void)
{
    struct rig rig;

    begin(&rig, "cmd");
    rig_disconnect(&rig, 'A', 0);
    rig_broker_publish(&rig, "cmd", "hello", 1, 1, 0);
    rig_connect(&rig, 'A', "dev", false, 0); /* does not know the id any more (reference 2.6) */
    rig_commit(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> REGISTER 1 cmd msg 2\n"));
    rig_clear(&rig);
    rig_regack(&rig, 'A', 1, 2, MQTTSN_NOT_SUPPORTED);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ UNSUBSCRIBE cmd pid 2 !13\n"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SUBSCRIPTION_PUT), 0);
    CU_ASSERT_EQUAL(rig_status(&rig).dropped[ENGINE_DROP_REFUSED], 1);
    rig_fini(&rig);
}

static void
regack_refusal_keeps_the_subscription_that_another_device_shares(void)
{
    struct rig rig;

    begin(&rig, "cmd");
    rig_device_subscribed(&rig, 'B', "two", false, "cmd", 1);
    rig_disconnect(&rig, 'A', 0);
    rig_broker_publish(&rig, "cmd", "hello", 1, 1, 0);
    rig_connect(&rig, 'A', "dev", false, 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_regack(&rig, 'A', 1, 2, MQTTSN_NOT_SUPPORTED);
    CU_ASSERT_TRUE(rig_expect(&rig, "")); /* no UNSUBSCRIBE */
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SUBSCRIPTION_PUT), 1);
    rig_fini(&rig);
}

/* The message was released before the device forgot the topic: PUBREL needs no topic. */
static void
regack_refusal_leaves_a_released_message_alone(void)
{
    struct rig rig;

    begin(&rig, "w/#");
    rig_broker_publish(&rig, "w/x", "one", 2, 1, 0);
    rig_broker_publish(&rig, "w/x", "two", 1, 2, 0);
    rig_commit(&rig);
    rig_regack(&rig, 'A', 1, 3, MQTTSN_ACCEPTED);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_connect(&rig, 'A', "dev", false, 0);
    rig_commit(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> PUBREL msg 1"));
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> REGISTER 1 w/x msg 4"));
    rig_regack(&rig, 'A', 1, 4, MQTTSN_INVALID_TOPIC_ID);
    CU_ASSERT_EQUAL(rig_status(&rig).downlink_messages, 1);
    CU_ASSERT_EQUAL(rig_status(&rig).dropped[ENGINE_DROP_REFUSED], 1);
    rig_fini(&rig);
}

/* ---- "invalid topic id" (reference 2.7) ---- */

static void
invalid_id_of_a_qos0_message_registers_before_the_next(void)
{
    struct rig rig;

    begin(&rig, "cmd");
    rig_broker_publish(&rig, "cmd", "lost", 0, 0, 0);
    rig_puback(&rig, 'A', 99, 0, MQTTSN_INVALID_TOPIC_ID); /* means nothing */
    rig_broker_publish(&rig, "cmd", "lost too", 0, 0, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 0 msg 0 \"lost\"\n"
                                    "A> PUBLISH 1 qos 0 msg 0 \"lost too\"\n"));
    rig_puback(&rig, 'A', 1, 0, MQTTSN_INVALID_TOPIC_ID);
    rig_broker_publish(&rig, "cmd", "heard", 0, 0, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 cmd msg 1\n"));
    rig_regack(&rig, 'A', 1, 1, MQTTSN_ACCEPTED);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 0 msg 0 \"heard\"\n"));
    rig_fini(&rig);
}

static void
invalid_predefined_id_drops_the_message(void)
{
    struct rig rig;

    begin(&rig, "cmd");
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_SUBSCRIBE,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 7,
                                     .qos = 1,
                                     .msg_id = 2});
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "yard/button", "x", 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH p7 qos 1 msg 1 \"x\"\n"));
    rig_puback(&rig, 'A', 7, 1, MQTTSN_INVALID_TOPIC_ID);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 1\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).dropped[ENGINE_DROP_REFUSED], 1);
    rig_fini(&rig);
}

/* ---- answers to something else (M23, M34, M35) ---- */

static void
answers_that_name_another_exchange_change_nothing(void)
{
    struct rig rig;

    begin(&rig, "w/#");
    rig_broker_publish(&rig, "w/x", "one", 1, 1, 0);
    rig_commit(&rig);
    rig_clear(&rig);
    uint64_t ignored = rig_status(&rig).ignored;

    rig_regack(&rig, 'A', 9, 2, MQTTSN_ACCEPTED);  /* another topic id */
    rig_regack(&rig, 'A', 1, 77, MQTTSN_ACCEPTED); /* another MsgId */
    rig_puback(&rig, 'A', 1, 1, MQTTSN_ACCEPTED);  /* not sent yet */
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    CU_ASSERT_EQUAL(rig_status(&rig).ignored, ignored + 4);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1\n")); /* M34: it may finish what it has */
    rig_regack(&rig, 'A', 1, 2, MQTTSN_ACCEPTED);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"one\"\n"));
    rig_puback(&rig, 'A', 1, 66, MQTTSN_ACCEPTED);
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 66);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

/* ---- which id (reference 2.5) ---- */

static void
short_name_is_used_where_the_device_subscribed_by_it_or_knows_no_other(void)
{
    struct rig rig;

    begin(&rig, "#");
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_SUBSCRIBE,
                                     .topic_type = MQTTSN_TOPIC_SHORT,
                                     .topic_id = 'a' << 8 | 'b',
                                     .qos = 1,
                                     .msg_id = 2});
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> SUBACK 0 qos 1 msg 2 code 0")); /* 2.4 */
    rig_clear(&rig);
    rig_broker_publish(&rig, "ab", "1", 0, 0, 0);
    rig_broker_publish(&rig, "cd", "2", 0, 0, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH s24930 qos 0 msg 0 \"1\"\n"
                                    "A> PUBLISH s25444 qos 0 msg 0 \"2\"\n"));
    rig_disconnect(&rig, 'A', 60); /* the same for what is queued: no id is assigned for it */
    rig_commit(&rig);
    rig_broker_publish(&rig, "cd", "3", 1, 1, 0);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "dev");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH s25444 qos 1 msg 1 \"3\"\n"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_TOPIC_PUT), 0);
    rig_fini(&rig);
}

static void
predefined_id_that_the_device_used_serves_its_queue_without_registration(void)
{
    struct rig rig;

    begin(&rig, "yard/#");
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){
                 .type = MQTTSN_PUBLISH, .topic_type = MQTTSN_TOPIC_PREDEFINED, .topic_id = 8});
    rig_disconnect(&rig, 'A', 60);
    rig_commit(&rig);
    rig_broker_publish(&rig, "yard/lamp", "on", 1, 1, 0);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "dev");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH p8 qos 1 msg 1 \"on\"\n"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_TOPIC_PUT), 0);
    rig_fini(&rig);
}

/* The id of an open message is given up with the subscription: its repetition begins with the id it
 * needs now. */
static void
message_whose_short_id_was_given_up_is_repeated_with_a_registered_one(void)
{
    struct rig rig;

    begin(&rig, "yard/#");
    rig_register(&rig, 'A', "ab", 2); /* an id it does not know in the next connection */
    rig_disconnect(&rig, 'A', 0);
    rig_connect(&rig, 'A', "dev", false, 0);
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_SUBSCRIBE,
                                     .topic_type = MQTTSN_TOPIC_SHORT,
                                     .topic_id = 'a' << 8 | 'b',
                                     .qos = 1,
                                     .msg_id = 3});
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "ab", "x", 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH s24930 qos 1 msg 1 \"x\"\n"));
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_UNSUBSCRIBE,
                                     .topic_type = MQTTSN_TOPIC_SHORT,
                                     .topic_id = 'a' << 8 | 'b',
                                     .msg_id = 4});
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, rig.options.settings.retry_ms);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> REGISTER 1 ab msg 2\n"));
    rig_clear(&rig);
    rig_regack(&rig, 'A', 1, 2, MQTTSN_ACCEPTED);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"x\"\n"));
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(puback_congestion_pauses_until_the_next_wake),
    UNIT_TEST(awake_device_that_is_congested_gets_its_pingresp),
    UNIT_TEST(regack_refusal_of_a_subscribed_name_ends_the_subscription),
    UNIT_TEST(regack_refusal_keeps_the_subscription_that_another_device_shares),
    UNIT_TEST(regack_refusal_leaves_a_released_message_alone),
    UNIT_TEST(invalid_id_of_a_qos0_message_registers_before_the_next),
    UNIT_TEST(invalid_predefined_id_drops_the_message),
    UNIT_TEST(answers_that_name_another_exchange_change_nothing),
    UNIT_TEST(short_name_is_used_where_the_device_subscribed_by_it_or_knows_no_other),
    UNIT_TEST(predefined_id_that_the_device_used_serves_its_queue_without_registration),
    UNIT_TEST(message_whose_short_id_was_given_up_is_repeated_with_a_registered_one),
};
UNIT_MAIN("engine answers", tests)
