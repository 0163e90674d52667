/* SPDX-License-Identifier: Apache-2.0 */
/* What of the broker's session must be durable before what, and a broker that has no room. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "engine_rig.h"

/* ---- a broker without a session ---- */

/* A process that begins before the row is durable would take the new session for the old one. */
static void
nothing_goes_to_a_new_session_before_it_is_durable(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "a", 1, 2);
    rig_register(&rig, 'A', "t", 3);
    rig_publish(&rig, 'A', 2, 1, 4, "spooled");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_publish(&rig, 'A', 2, 0, 0, "direct");
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t qos 1 \"spooled\" pid 1 !6\n"
                                    "^ SUBSCRIBE a pid 2 id 1 !6\n"
                                    "^ PUBLISH t qos 0 \"direct\" !6\n"));
    rig_fini(&rig);
}

/* As it is after a kill between the two: the rows are those of the session before, and it holds no
 * filter. What comes for one filter is not taken for a copy that another one brings, too. */
static void
filters_of_a_session_that_may_be_new_count_from_their_suback(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1); /* id 1 */
    rig_subscribe(&rig, 'A', "#", 1, 2);                    /* id 2 */
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2); /* of "#" */
    rig_clear(&rig);
    rig_broker_publish(&rig, "a", "1", 1, 9, 2); /* the broker knows nothing of "a" yet */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 577 \"1\"\n"));
    rig_fini(&rig);
}

/* The old session has messages open, and sends them before it answers anything. */
static void
copies_of_the_old_session_are_told_apart_as_before_the_restart(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1); /* id 1 */
    rig_subscribe(&rig, 'A', "#", 1, 2);                    /* id 2 */
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_broker_publish(&rig, "a", "1", 1, 9, 2); /* the copy that never counted */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    rig_broker_publish(&rig, "a", "1", 1, 10, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 577 \"1\"\n"));
    rig_fini(&rig);
}

/* A kill right after the SUBACK: the rows say nothing of the filter, but the broker holds it. */
static void
copies_of_filters_that_no_row_knows_are_delivered_once(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "a", 2, 1); /* id 1 */
    rig_subscribe(&rig, 'A', "#", 2, 2); /* id 2 */
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 9, 1);
    rig_broker_publish(&rig, "a", "1", 2, 10, 2);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

/* The SUBACK of a filter that is left already says nothing about what the broker will send. */
static void
suback_behind_an_unsubscribe_does_not_make_the_filter_held(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "+", 1); /* id 1 */
    rig_subscribe(&rig, 'A', "a", 1, 2);                    /* id 2 */
    rig_unsubscribe(&rig, 'A', "a", 3);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_subscribe(&rig, 'A', "a", 1, 4); /* id 3; the broker has not read it */
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> PUBLISH 1 qos 1 msg 577 \"1\"\n"));
    rig_fini(&rig);
}

/* A broker without its session begins its packet ids anew. */
static void
packet_id_with_other_content_is_another_message(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 2);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "a", "old", 2, 1, 1);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_broker_publish(&rig, "a", "new", 2, 1, 1);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    rig_broker_publish(&rig, "a", "new", 2, 1, 1); /* and the same again is the same */
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    rig_fini(&rig);
}

/* A renewal of the filter, sent before the device subscribed, says nothing about its SUBSCRIBE. */
static void
suback_of_a_renewal_does_not_answer_a_later_subscribe(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", true, "a", 1); /* id 1 */
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, true); /* renewed with packet id 2 */
    rig_connect(&rig, 'A', "aaa", true, 60);
    rig_subscribe(&rig, 'A', "a", 1, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_broker_answer(&rig, MQTT_UNSUBACK, 3, 0);
    rig_broker_answer(&rig, MQTT_SUBACK, 4, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> SUBACK 1 qos 1 msg 2 code 0"));
    rig_fini(&rig);
}

/* The disk takes longer than the device waits. */
static void
pubrel_that_waits_for_the_disk_does_not_leave_for_a_sleeper(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.log_withdrawals = true;
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 2);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "a", "1", 2, 9, 1);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_clear(&rig);
    rig_wait(&rig, 39999);
    CU_ASSERT_PTR_NULL(strstr(rig.text, "WITHDRAW"));
    rig_clear(&rig);
    rig_wait(&rig, 1); /* R99 */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WITHDRAW\n"));
    rig_fini(&rig);
}

/* ---- redelivery after a restart ---- */

static void
redeliver(struct rig *rig, const char *data, uint16_t packet_id, bool dup)
{
    rig_broker_packet(rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                 .topic = dm_span_text("a"),
                                                 .payload = dm_span_text(data),
                                                 .dup = dup,
                                                 .qos = 1,
                                                 .packet_id = packet_id,
                                                 .subscription_ids = {1},
                                                 .subscription_id_count = 1});
}

/* A sleeps, B is active; message "1" is committed for A, B has not acknowledged, and the gateway
 * was killed before it could acknowledge to the broker. */
static void
kill_before_the_acknowledgement(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device_subscribed(rig, 'A', "aaa", false, "a", 1); /* id 1 */
    rig_device(rig, 'B', "bbb", false);
    rig_subscribe(rig, 'B', "a", 1, 2); /* id 2 */
    rig_broker_answer(rig, MQTT_SUBACK, 2, 2);
    rig_disconnect(rig, 'A', 600);
    rig_commit(rig);
    rig_broker_publish(rig, "a", "1", 1, 9, 1);
    rig_restart(rig);
    rig_broker_up(rig, MQTT_5, true);
    rig_clear(rig);
}

static void
message_committed_before_a_restart_is_not_queued_again(void)
{
    struct rig rig;

    kill_before_the_acknowledgement(&rig);
    redeliver(&rig, "1", 9, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "B> PUBLISH 1 qos 1 msg 577 \"1\"\n")); /* it had no row */
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_MESSAGE_PUT), 1);
    rig_puback(&rig, 'B', 1, 577, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    rig_ping(&rig, 'A', "aaa");
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\nA> PINGRESP\n"));
    rig_wait(&rig, 2000);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_MESSAGE_PUT), 0);
    rig_fini(&rig);
}

static void
message_with_other_content_or_without_dup_is_a_new_one(void)
{
    struct rig rig;

    kill_before_the_acknowledgement(&rig);
    redeliver(&rig, "2", 9, true);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 3);
    rig_fini(&rig);
    kill_before_the_acknowledgement(&rig);
    redeliver(&rig, "1", 9, false);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 3);
    rig_fini(&rig);
}

/* What the broker had open it sends before anything new: after that, DUP is about later messages.
 */
static void
redelivery_is_expected_only_before_the_first_new_message(void)
{
    struct rig rig;

    kill_before_the_acknowledgement(&rig);
    redeliver(&rig, "new", 10, false);
    redeliver(&rig, "1", 9, true);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 5);
    rig_fini(&rig);
    kill_before_the_acknowledgement(&rig);
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    redeliver(&rig, "1", 9, true);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 3);
    rig_fini(&rig);
}

/* Another device ends its subscription while copies for it are on their way. */
static void
copy_for_a_filter_that_has_ended_is_no_second_one_for_others(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 2); /* id 1 */
    rig_device(&rig, 'B', "bbb", false);
    rig_subscribe(&rig, 'B', "#", 1, 2); /* id 2 */
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 9, 1);
    rig_unsubscribe(&rig, 'B', "#", 3);
    rig_broker_answer(&rig, MQTT_UNSUBACK, 3, 0);
    rig_broker_publish(&rig, "a", "1", 2, 10, 2);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

/* ---- quota exceeded ---- */

/* Device A published "1", "2" and "3", and was told that they are safe. */
static void
spool_three(struct rig *rig, int8_t qos)
{
    rig_init(rig);
    rig_device(rig, 'A', "aaa", false);
    rig_register(rig, 'A', "t", 1);
    rig_publish(rig, 'A', 1, qos, 2, "1");
    rig_publish(rig, 'A', 1, qos, 3, "2");
    rig_publish(rig, 'A', 1, qos, 4, "3");
    rig_broker_up(rig, MQTT_5, false);
    rig_commit(rig);
    rig_clear(rig);
}

static void
acknowledged_message_that_exceeds_the_quota_is_sent_again_later(void)
{
    struct rig rig;

    spool_three(&rig, 1);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    rig_broker_answer(&rig, MQTT_PUBACK, 2, 0x97);
    rig_broker_answer(&rig, MQTT_PUBACK, 3, 0x97);
    rig_publish(&rig, 'A', 1, 1, 5, "4"); /* waits behind them */
    rig_wait(&rig, 9999);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 5 code 0 !8\n"));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t qos 1 \"2\" pid 2\n"
                                    "^ PUBLISH t qos 1 \"3\" pid 3\n"
                                    "^ PUBLISH t qos 1 \"4\" pid 4\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).uplink_refused, 0);
    rig_fini(&rig);
}

static void
acknowledged_qos2_message_that_exceeds_the_quota_is_sent_again_later(void)
{
    struct rig rig;

    spool_three(&rig, 2);
    rig_broker_answer(&rig, MQTT_PUBREC, 4, 0x97);
    rig_broker_answer(&rig, MQTT_PUBREC, 5, 0);
    rig_broker_answer(&rig, MQTT_PUBREC, 6, 0x97);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 10000);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t qos 2 \"1\" pid 4\n"
                                    "^ PUBLISH t qos 2 \"3\" pid 6\n"));
    rig_broker_answer(&rig, MQTT_PUBCOMP, 5, 0);
    rig_broker_answer(&rig, MQTT_PUBREC, 4, 0);
    rig_broker_answer(&rig, MQTT_PUBREC, 6, 0);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBCOMP, 4, 0);
    rig_broker_answer(&rig, MQTT_PUBCOMP, 6, 0);
    CU_ASSERT_EQUAL(rig_status(&rig).spooled_messages, 0);
    CU_ASSERT_EQUAL(rig_status(&rig).uplink_refused, 0);
    rig_fini(&rig);
}

static void
reconnection_does_not_wait_for_the_quota(void)
{
    struct rig rig;

    spool_three(&rig, 1);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0x97);
    rig_broker_down(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t qos 1 \"1\" pid 1\n"
                                    "^ PUBLISH t qos 1 dup \"2\" pid 2\n"
                                    "^ PUBLISH t qos 1 dup \"3\" pid 3\n"));
    rig_fini(&rig);
}

static void
message_not_acknowledged_yet_gets_congestion_for_the_quota(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t", 1);
    rig_commit(&rig);
    rig_publish(&rig, 'A', 1, 1, 2, "1");
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0x97);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 2 code 1\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).spooled_messages, 0);
    rig_fini(&rig);
}

static size_t
count_of(const char *text, const char *word)
{
    size_t count = 0;

    for (; (text = strstr(text, word)) != NULL; text++)
        count++;
    return count;
}

static void
subscriptions_of_a_large_fleet_leave_packet_ids_for_messages(void)
{
    struct rig rig;
    char text[16];

    rig_init(&rig);
    for (char who = 'A'; who < 'F'; who++) {
        snprintf(text, sizeof text, "dev%c", who);
        rig_device(&rig, who, text, false);
        for (int i = 0; i < 250; i++) {
            snprintf(text, sizeof text, "%c/%d", who, i);
            rig_subscribe(&rig, who, text, 1, (uint16_t)(i + 1));
            rig_clear(&rig);
        }
    }
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_EQUAL(count_of(rig.text, "^ SUBSCRIBE"), 1000);
    rig_clear(&rig);
    for (uint16_t id = 1; id <= 250; id++)
        rig_broker_answer(&rig, MQTT_SUBACK, id, 0);
    CU_ASSERT_EQUAL(count_of(rig.text, "^ SUBSCRIBE"), 250); /* one for each answer */
    rig_broker_down(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true); /* and again from the beginning */
    CU_ASSERT_EQUAL(count_of(rig.text, "^ SUBSCRIBE"), 1000);
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(subscriptions_of_a_large_fleet_leave_packet_ids_for_messages),
    UNIT_TEST(nothing_goes_to_a_new_session_before_it_is_durable),
    UNIT_TEST(filters_of_a_session_that_may_be_new_count_from_their_suback),
    UNIT_TEST(copies_of_the_old_session_are_told_apart_as_before_the_restart),
    UNIT_TEST(copies_of_filters_that_no_row_knows_are_delivered_once),
    UNIT_TEST(suback_behind_an_unsubscribe_does_not_make_the_filter_held),
    UNIT_TEST(packet_id_with_other_content_is_another_message),
    UNIT_TEST(suback_of_a_renewal_does_not_answer_a_later_subscribe),
    UNIT_TEST(pubrel_that_waits_for_the_disk_does_not_leave_for_a_sleeper),
    UNIT_TEST(message_committed_before_a_restart_is_not_queued_again),
    UNIT_TEST(message_with_other_content_or_without_dup_is_a_new_one),
    UNIT_TEST(redelivery_is_expected_only_before_the_first_new_message),
    UNIT_TEST(copy_for_a_filter_that_has_ended_is_no_second_one_for_others),
    UNIT_TEST(acknowledged_message_that_exceeds_the_quota_is_sent_again_later),
    UNIT_TEST(acknowledged_qos2_message_that_exceeds_the_quota_is_sent_again_later),
    UNIT_TEST(reconnection_does_not_wait_for_the_quota),
    UNIT_TEST(message_not_acknowledged_yet_gets_congestion_for_the_quota),
};

UNIT_MAIN("engine_upstream", tests)
