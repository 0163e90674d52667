/* SPDX-License-Identifier: Apache-2.0 */
/* Filters that overlap: the broker sends a copy for each, a device gets the message once. And what
 * a crash between two messages must not bring back. */
#include "unit.h"

#include "engine_rig.h"

/* A sleeps, subscribed to "a" (identifier 1) and "#" (identifier 2) with QoS 2. */
static void
subscribe_twice(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device_subscribed(rig, 'A', "aaa", false, "a", 2);
    rig_subscribe(rig, 'A', "#", 2, 2);
    rig_broker_answer(rig, MQTT_SUBACK, 2, 2);
    rig_disconnect(rig, 'A', 600);
    rig_commit(rig);
    rig_clear(rig);
}

static void
unsubscribe_older(struct rig *rig)
{
    rig_unsubscribe(rig, 'A', "a", 3);
    rig_broker_answer(rig, MQTT_UNSUBACK, 3, 0);
}

/* The gateway crashes, and the broker knows it again. */
static void
crash(struct rig *rig)
{
    rig_restart(rig);
    rig_broker_up(rig, MQTT_5, true);
    rig_clear(rig);
}

/* ---- in one life ---- */

static void
subscription_that_ends_between_two_copies_makes_no_second_message(void)
{
    struct rig rig;

    subscribe_twice(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 9, 1);
    unsubscribe_older(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 10, 2);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

static void
subscription_that_ends_between_two_copies_loses_no_message(void)
{
    struct rig rig;

    subscribe_twice(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 9, 2);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 0);
    unsubscribe_older(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 10, 1);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

static void
equal_messages_are_as_many_as_they_are(void)
{
    struct rig rig;

    subscribe_twice(&rig);
    for (uint16_t i = 0; i < 3; i++) {
        rig_broker_publish(&rig, "a", "on", 2, (uint16_t)(9 + 2 * i), 1);
        rig_broker_publish(&rig, "a", "on", 2, (uint16_t)(10 + 2 * i), 2);
    }
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 3);
    rig_fini(&rig);
}

/* The filter's identifier changes between them. */
static void
equal_messages_for_one_filter_are_no_copies(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 2); /* id 1 */
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "a", "on", 2, 9, 1);
    rig_device(&rig, 'B', "bbb", false);
    rig_subscribe(&rig, 'B', "a", 1, 2); /* id 2 */
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_broker_publish(&rig, "a", "on", 2, 10, 2);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 3);
    rig_fini(&rig);
}

static void
one_packet_with_all_identifiers_is_one_message(void)
{
    struct rig rig;

    subscribe_twice(&rig);
    rig_broker_packet(&rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                  .topic = dm_span_text("a"),
                                                  .payload = dm_span_text("1"),
                                                  .qos = 2,
                                                  .packet_id = 9,
                                                  .subscription_ids = {2, 1},
                                                  .subscription_id_count = 2});
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

/* What the broker repeats of QoS 1 stands where it stood, before copies of QoS 2 that came since.
 */
static void
repeated_message_of_qos_1_does_not_part_two_copies(void)
{
    struct rig rig;

    subscribe_twice(&rig);
    rig_broker_publish(&rig, "b", "x", 1, 8, 2);
    rig_commit(&rig); /* acknowledged, but the broker does not hear of it */
    rig_broker_publish(&rig, "a", "1", 2, 9, 1);
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_broker_packet(&rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                  .topic = dm_span_text("b"),
                                                  .payload = dm_span_text("x"),
                                                  .qos = 1,
                                                  .dup = true,
                                                  .packet_id = 8,
                                                  .subscription_ids = {2},
                                                  .subscription_id_count = 1});
    uint64_t queued = rig_status(&rig).queued_messages;
    rig_broker_publish(&rig, "a", "1", 2, 10, 77); /* of a filter that nobody knows any more */
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, queued);
    rig_fini(&rig);
}

/* ---- a crash between two copies ---- */

static void
copy_taken_before_a_crash_is_known_when_subscriptions_change(void)
{
    struct rig rig;

    subscribe_twice(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 9, 1);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa"); /* and delivered */
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_DELIVERY_PUT), 0);
    crash(&rig);
    unsubscribe_older(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 10, 2);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 0);
    rig_broker_publish(&rig, "a", "1", 2, 11, 2); /* equal, and another message */
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

static void
copy_left_out_before_a_crash_is_made_good_when_subscriptions_change(void)
{
    for (unsigned qos = 1; qos <= 2; qos++) {
        struct rig rig;

        subscribe_twice(&rig);
        rig_broker_publish(&rig, "a", "1", (uint8_t)qos, 9, 2);
        rig_commit(&rig);
        CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 0);
        if (qos == 1) /* nothing of it is on disk before */
            unsubscribe_older(&rig);
        rig_commit(&rig);
        crash(&rig);
        if (qos == 2)
            unsubscribe_older(&rig);
        rig_broker_publish(&rig, "a", "1", (uint8_t)qos, 10, 1);
        CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
        rig_fini(&rig);
    }
}

/* Messages are counted in 30 bits. */
static void
copy_of_long_ago_is_not_one_of_the_message_that_has_its_number_now(void)
{
    struct rig rig;

    subscribe_twice(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 9, 1); /* number 1 */
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    engine_disk_append(
        &rig.disk,
        &(struct engine_effect){
            .type = ENGINE_RECORD,
            .record = {.op = STORE_COPY_PUT, .qos = 2, .message = (1 << 30) - 1, .content = 7}});
    engine_disk_end_turn(&rig.disk);
    engine_disk_commit(&rig.disk, rig.disk.seq);
    crash(&rig);
    rig_broker_publish(&rig, "a", "2", 2, 10, 1); /* number 1 again */
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    rig_fini(&rig);
}

static void
broker_without_its_session_sends_no_copies_of_before(void)
{
    struct rig rig;

    subscribe_twice(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 9, 1);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_COPY_PUT), 2);
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_COPY_PUT), 0);
    rig_broker_publish(&rig, "a", "1", 2, 1, 2);
    unsubscribe_older(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 2, 1);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    rig_fini(&rig);
}

/* ---- a QoS 2 message that was given up ---- */

/* Two QoS 2 messages wait, and there is no room for a third. */
static void
begin_full(struct rig *rig)
{
    rig_init(rig);
    rig->options.settings.queue_messages = 2;
    rig_broker_up(rig, MQTT_5, false);
    rig_device_subscribed(rig, 'A', "aaa", false, "a", 2);
    rig_disconnect(rig, 'A', 600);
    rig_broker_publish(rig, "a", "1", 2, 9, 1);
    rig_broker_publish(rig, "a", "2", 2, 10, 1);
    rig_commit(rig);
    rig->commits_late = true;
    rig_broker_publish(rig, "a", "3", 2, 11, 1);
    CU_ASSERT_EQUAL(rig_status(rig).dropped[ENGINE_DROP_OVERFLOW], 1);
    rig_clear(rig);
}

/* A crash would bring it back, and it would come before what the device has already. */
static void
next_message_waits_until_one_that_was_dropped_is_gone_for_good(void)
{
    struct rig rig;

    begin_full(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 2 msg 2 \"2\"\n"));
    rig_fini(&rig);
}

/* The device may have it all the same: once it has PUBREL it does not know it any more. */
static void
pubrel_for_a_message_that_was_given_up_waits_until_it_is_gone_for_good(void)
{
    struct rig rig;

    begin_full(&rig);
    rig.log_withdrawals = true;
    rig_ping(&rig, 'A', "aaa");
    rig_clear(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1); /* an answer of long ago */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1 !19\n"));
    rig_ping(&rig, 'A', "aaa"); /* it must not come to a sleeper */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WITHDRAW\nA> PINGRESP\n"));
    rig_commit(&rig);
    rig_clear(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1\n"));
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(subscription_that_ends_between_two_copies_makes_no_second_message),
    UNIT_TEST(subscription_that_ends_between_two_copies_loses_no_message),
    UNIT_TEST(equal_messages_are_as_many_as_they_are),
    UNIT_TEST(equal_messages_for_one_filter_are_no_copies),
    UNIT_TEST(one_packet_with_all_identifiers_is_one_message),
    UNIT_TEST(repeated_message_of_qos_1_does_not_part_two_copies),
    UNIT_TEST(copy_taken_before_a_crash_is_known_when_subscriptions_change),
    UNIT_TEST(copy_left_out_before_a_crash_is_made_good_when_subscriptions_change),
    UNIT_TEST(copy_of_long_ago_is_not_one_of_the_message_that_has_its_number_now),
    UNIT_TEST(broker_without_its_session_sends_no_copies_of_before),
    UNIT_TEST(next_message_waits_until_one_that_was_dropped_is_gone_for_good),
    UNIT_TEST(pubrel_for_a_message_that_was_given_up_waits_until_it_is_gone_for_good),
};

UNIT_MAIN("engine_copies", tests)
