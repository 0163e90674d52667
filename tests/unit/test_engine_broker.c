/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker answers, in every order and to nothing at all: codes are passed on (reference
 * 5.4), repetitions are recognised (design 4), and what belongs to nothing changes nothing. */
#include "unit.h"

#include "engine_rig.h"

static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device(rig, 'A', "dev", false);
}

/* PUBLISH of the device on the pre-defined topic 8. */
static void
publish(struct rig *rig, int8_t qos, uint16_t msg_id, bool dup, const char *data)
{
    rig_send(rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 8,
                                     .qos = qos,
                                     .msg_id = msg_id,
                                     .dup = dup,
                                     .data = dm_span_text(data)});
}

static void
redeliver(struct rig *rig, const char *data, uint8_t qos, uint16_t packet_id, bool dup)
{
    rig_broker_packet(rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                 .topic = dm_span_text("cmd"),
                                                 .payload = dm_span_text(data),
                                                 .qos = qos,
                                                 .packet_id = packet_id,
                                                 .dup = dup});
}

/* ---- answers to nothing ---- */

static void
answers_that_belong_to_nothing_change_nothing(void)
{
    static const enum mqtt_type types[] = {MQTT_PUBACK, MQTT_PUBREC,   MQTT_PUBCOMP,
                                           MQTT_SUBACK, MQTT_UNSUBACK, MQTT_PINGRESP};
    struct rig rig;

    begin(&rig);
    publish(&rig, 1, 1, false, "x");
    rig_subscribe(&rig, 'A', "cmd", 1, 2);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/lamp qos 1 \"x\" pid 1\n"
                                    "^ SUBSCRIBE cmd pid 2 id 1 !4\n"));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        rig_broker_answer(&rig, types[i], 99, 0);
    rig_broker_answer(&rig, MQTT_UNSUBACK, 2, 0); /* the id of a SUBSCRIBE */
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 0);   /* the id of a PUBLISH */
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);   /* for QoS 1 */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 8 msg 1 code 0\n"
                                    "A> SUBACK 1 qos 1 msg 2 code 0\n"));
    rig_fini(&rig);
}

static void
steps_of_qos2_count_only_in_their_order(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, 2, 1, false, "x");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    CU_ASSERT_EQUAL(rig_status(&rig).spooled_messages, 1);
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0); /* again: it did not hear PUBREL */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBREL pid 1\n"));
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0x92); /* it knows it no more: complete */
    CU_ASSERT_EQUAL(rig_status(&rig).spooled_messages, 0);
    CU_ASSERT_EQUAL(rig_status(&rig).uplink_refused, 0);
    rig_fini(&rig);
}

/* ---- return codes (reference 5.4) ---- */

static void
suback_packet_id_in_use_makes_the_device_try_again(void)
{
    struct rig rig;

    begin(&rig);
    rig_subscribe(&rig, 'A', "cmd/#", 1, 7);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 0x91);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> SUBACK 0 qos 0 msg 7 code 1"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SUBSCRIPTION_PUT), 0);
    rig_fini(&rig);
}

static void
refusal_of_a_message_that_the_spool_acknowledged_is_counted_and_ends_it(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, 1, 1, false, "x");
    rig_wait(&rig, 1000);
    rig_commit(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> PUBACK 8 msg 1 code 0")); /* design 5 */
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0x87);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    CU_ASSERT_EQUAL(rig_status(&rig).uplink_refused, 1);
    CU_ASSERT_EQUAL(rig_status(&rig).spooled_messages, 0);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SPOOL_PUT), 0);
    rig_fini(&rig);
}

/* ---- repetitions of the device ---- */

static void
message_acknowledged_from_the_spool_and_repeated_is_acknowledged_again(void) /* R49 */
{
    struct rig rig;

    begin(&rig);
    publish(&rig, 1, 1, false, "x");
    rig_wait(&rig, 1000);
    rig_commit(&rig);
    rig_clear(&rig);
    publish(&rig, 1, 1, true, "x"); /* its PUBACK was lost */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 8 msg 1 code 0\n"));
    publish(&rig, 1, 1, false, "y"); /* the same MsgId, another message */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/lamp qos 1 \"y\" pid 2\n"));
    publish(&rig, 1, 1, true, "y"); /* absorbed: the broker's answer is on its way */
    publish(&rig, 2, 1, true, "y"); /* another QoS, another message */
    rig_commit(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH yard/lamp qos 2 \"y\" pid 3"));
    CU_ASSERT_PTR_NULL(strstr(rig.text, "qos 1"));
    rig_fini(&rig);
}

static void
device_is_acknowledged_from_the_store_if_so_configured(void) /* design 5 */
{
    struct rig rig;

    rig_init(&rig);
    rig.options.settings.uplink_ack_store = true;
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "dev", false);
    publish(&rig, 1, 1, false, "x");
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> PUBACK 8 msg 1 code 0 !"));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH yard/lamp qos 1 \"x\" pid 1"));
    rig_clear(&rig);
    engine_store_degraded(rig.engine, true); /* then it cannot be taken */
    publish(&rig, 1, 2, false, "y");
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> PUBACK 8 msg 2 code 1"));
    rig_fini(&rig);
}

static void
answer_for_a_session_that_is_gone_goes_nowhere(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, 1, 1, false, "x");
    publish(&rig, 2, 2, false, "y");
    rig_commit(&rig);
    engine_forget(rig.engine, rig.now_ms, dm_span_text("dev"));
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0);
    CU_ASSERT_PTR_NULL(strstr(rig.text, "A>"));
    rig_broker_answer(&rig, MQTT_PUBCOMP, 2, 0);
    CU_ASSERT_EQUAL(rig_status(&rig).spooled_messages, 0);
    rig_fini(&rig);
}

/* Its PUBLISH waits behind the broker's window (MQTT 5 Receive Maximum, design 5). */
static void
messages_beyond_the_brokers_window_wait_for_an_acknowledgement(void)
{
    struct rig rig;

    begin(&rig);
    for (uint16_t i = 1; i <= 12; i++)
        publish(&rig, 1, i, false, "x");
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "pid 10\n"));
    CU_ASSERT_PTR_NULL(strstr(rig.text, "pid 11\n"));
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBACK, 4, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 8 msg 4 code 0\n"
                                    "^ PUBLISH yard/lamp qos 1 \"x\" pid 11\n"));
    rig_fini(&rig);
}

/* ---- repetitions of the broker (design 4) ---- */

static void
message_repeated_inside_a_connection_is_taken_once(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "dev", false, "cmd", 1);
    rig_clear(&rig);
    redeliver(&rig, "x", 1, 1, false);
    redeliver(&rig, "x", 1, 1, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"x\"\n"));
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 1\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 0);
    rig_fini(&rig);
}

/* An id without DUP, or with other content, is a message that took the place of the old one. */
static void
id_used_again_after_a_reconnect_is_a_new_message_unless_it_is_the_same(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "dev", false, "cmd", 1);
    redeliver(&rig, "one", 1, 1, false);
    redeliver(&rig, "two", 1, 2, false);
    redeliver(&rig, "three", 1, 3, false);
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    redeliver(&rig, "three", 1, 3, true);
    redeliver(&rig, "one", 1, 1, true);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 3);
    redeliver(&rig, "two", 1, 2, false);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages,
                    4); /* a duplicate is allowed, a loss is not */
    rig_puback(&rig, 'A', 1, 1, 0);
    rig_puback(&rig, 'A', 1, 2, 0);
    CU_ASSERT_PTR_NULL(strstr(rig.text, "^"));
    rig_puback(&rig, 'A', 1, 3, 0);
    /* In the order of receipt in this connection. */
    const char *third = strstr(rig.text, "^ PUBACK pid 3\n");
    const char *first = strstr(rig.text, "^ PUBACK pid 1\n");

    CU_ASSERT_TRUE(third != NULL && first != NULL && third < first);
    rig_puback(&rig, 'A', 1, 4, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBACK pid 2\n"));
    rig_fini(&rig);
}

static void
pubrel_of_a_message_not_known_is_answered(void)
{
    struct rig rig;

    begin(&rig);
    rig_broker_answer(&rig, MQTT_PUBREL, 9, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBCOMP pid 9 reason 92\n"));
    rig_device_subscribed(&rig, 'A', "dev", false, "cmd", 2);
    redeliver(&rig, "x", 2, 1, false);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBREL, 1, 0); /* before our PUBREC: means another message */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBCOMP pid 1\n"));
    rig_commit(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBREC pid 1\n"));
    rig_fini(&rig);
}

/* ---- MQTT 3.1.1: no identifiers (design 6) ---- */

static void
retained_message_with_3_1_1_goes_to_the_subscriber_of_an_earlier_filter(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_3_1_1, false);
    rig_device_subscribed(&rig, 'A', "one", false, "a", 1);
    rig_device_subscribed(&rig, 'B', "two", false, "b", 1);
    rig_broker_packet(&rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                  .topic = dm_span_text("a"),
                                                  .payload = dm_span_text("x"),
                                                  .retain = true});
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 0 msg 0 retain \"x\"\n"));
    rig_broker_packet(&rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                  .topic = dm_span_text("nobody's"),
                                                  .retain = true});
    engine_forget(rig.engine, rig.now_ms, dm_span_text("two"));
    rig_clear(&rig);
    rig_broker_packet(&rig, &(struct mqtt_packet){
                                .type = MQTT_PUBLISH, .topic = dm_span_text("b"), .retain = true});
    CU_ASSERT_TRUE(rig_expect(&rig, "")); /* who asked for it is gone */
    rig_fini(&rig);
}

static void
retained_message_for_a_subscription_that_ended_goes_to_nobody(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_3_1_1, false);
    rig_device_subscribed(&rig, 'A', "one", false, "a", 1);
    rig_unsubscribe(&rig, 'A', "a", 2);
    rig_clear(&rig);
    rig_broker_packet(&rig, &(struct mqtt_packet){
                                .type = MQTT_PUBLISH, .topic = dm_span_text("a"), .retain = true});
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

/* The names change while the gateway is connected to another broker: what the first one holds under
 * an identifier is another filter by then, and for somebody else. */
static void
identifier_that_another_broker_has_under_the_old_name_is_renewed(void)
{
    static char prefix[] = "x/";
    static struct engine_client client;
    struct rig rig;

    client = (struct engine_client){.pattern = "p*", .topic_prefix = prefix};
    rig_init(&rig);
    rig.options.broker_count = 2;
    rig.options.clients = &client;
    rig.options.client_count = 1;
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'B', "dev", false, "x/a", 1); /* id 1 */
    rig_device(&rig, 'A', "pump", false);
    rig_subscribe(&rig, 'A', "a", 1, 1); /* x/a, too, under id 2 */
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_broker_down(&rig);
    rig.broker = 1;
    rig_broker_up(&rig, MQTT_5, false);
    rig_commit(&rig);
    client.topic_prefix = NULL;
    rig_restart(&rig);
    rig.broker = 0;
    rig_broker_up(&rig, MQTT_5, true); /* it has had a message for B meanwhile */
    rig_commit(&rig);
    rig_broker_publish(&rig, "x/a", "data", 1, 1, 2);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(answers_that_belong_to_nothing_change_nothing),
    UNIT_TEST(steps_of_qos2_count_only_in_their_order),
    UNIT_TEST(suback_packet_id_in_use_makes_the_device_try_again),
    UNIT_TEST(refusal_of_a_message_that_the_spool_acknowledged_is_counted_and_ends_it),
    UNIT_TEST(message_acknowledged_from_the_spool_and_repeated_is_acknowledged_again),
    UNIT_TEST(device_is_acknowledged_from_the_store_if_so_configured),
    UNIT_TEST(answer_for_a_session_that_is_gone_goes_nowhere),
    UNIT_TEST(messages_beyond_the_brokers_window_wait_for_an_acknowledgement),
    UNIT_TEST(message_repeated_inside_a_connection_is_taken_once),
    UNIT_TEST(id_used_again_after_a_reconnect_is_a_new_message_unless_it_is_the_same),
    UNIT_TEST(pubrel_of_a_message_not_known_is_answered),
    UNIT_TEST(retained_message_with_3_1_1_goes_to_the_subscriber_of_an_earlier_filter),
    UNIT_TEST(retained_message_for_a_subscription_that_ended_goes_to_nobody),
    UNIT_TEST(identifier_that_another_broker_has_under_the_old_name_is_renewed),
};
UNIT_MAIN("engine broker", tests)
