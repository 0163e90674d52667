/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that expire (MQTT 5 message expiry, max_age), and time in which the gateway stood still.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "engine_rig.h"

/* Device A sleeps, and is subscribed to "a" with QoS 2 (identifier 1). */
static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device_subscribed(rig, 'A', "aaa", false, "a", 2);
    rig_disconnect(rig, 'A', 600);
    rig_commit(rig);
    rig_clear(rig);
}

/* expiry_s < 0: never */
static void
publish(struct rig *rig, const char *data, uint8_t qos, uint16_t packet_id, int expiry_s)
{
    rig_broker_packet(
        rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                   .topic = dm_span_text("a"),
                                   .payload = dm_span_text(data),
                                   .qos = qos,
                                   .packet_id = packet_id,
                                   .has_message_expiry = expiry_s >= 0,
                                   .message_expiry_s = expiry_s >= 0 ? (uint32_t)expiry_s : 0,
                                   .subscription_ids = {1},
                                   .subscription_id_count = 1});
}

/* Of the PUBLISH in the list. */
static uint16_t
msg_id_sent(const struct rig *rig)
{
    const char *at = strstr(rig->text, "A> PUBLISH");

    at = at != NULL ? strstr(at, " msg ") : NULL;
    return at != NULL ? (uint16_t)strtoul(at + 5, NULL, 10) : 0;
}

static uint64_t
expired(const struct rig *rig)
{
    return rig_status(rig).dropped[ENGINE_DROP_EXPIRED];
}

/* ---- in one life ---- */

static void
message_that_waited_longer_than_its_expiry_is_dropped_and_counted(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, "0", 0, 0, 10);
    publish(&rig, "1", 1, 9, 10);
    publish(&rig, "2", 2, 10, 10);
    publish(&rig, "later", 1, 11, 60);
    publish(&rig, "never", 1, 12, -1);
    rig_commit(&rig);
    rig_wait(&rig, 9999);
    CU_ASSERT_EQUAL(expired(&rig), 0);
    rig_wait(&rig, 1);
    CU_ASSERT_EQUAL(expired(&rig), 3);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_DELIVERY_PUT), 2);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_puback(&rig, 'A', 1, 3, 0);
    rig_puback(&rig, 'A', 1, 4, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 3 \"later\"\n"
                                    "A> PUBLISH 1 qos 1 msg 4 \"never\"\n"
                                    "A> PINGRESP\n"));
    rig_wait(&rig, 60000);
    CU_ASSERT_EQUAL(expired(&rig), 3);
    rig_fini(&rig);
}

static void
message_that_has_expired_when_it_comes_is_acknowledged_and_not_sent(void)
{
    struct rig rig;

    begin(&rig);
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    publish(&rig, "1", 1, 9, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    CU_ASSERT_EQUAL(expired(&rig), 1);
    rig_fini(&rig);
}

static void
max_age_counts_where_it_is_shorter(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.settings.max_age_ms = 20000;
    publish(&rig, "10", 1, 9, 10);
    publish(&rig, "30", 1, 10, 30);
    publish(&rig, "never", 1, 11, -1);
    rig_wait(&rig, 10000);
    CU_ASSERT_EQUAL(expired(&rig), 1);
    rig_wait(&rig, 9999);
    CU_ASSERT_EQUAL(expired(&rig), 1);
    rig_wait(&rig, 1);
    CU_ASSERT_EQUAL(expired(&rig), 3);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 0);
    rig_fini(&rig);
}

/* What began in time is brought to its end; after it failed, the message goes at the next try. */
static void
message_on_its_way_to_the_device_is_not_taken_back(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, "1", 1, 9, 10);
    publish(&rig, "2", 1, 10, 10);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_wait(&rig, 10000);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"
                                    "A> PUBLISH 1 qos 1 msg 1 dup \"1\"\n"));
    CU_ASSERT_EQUAL(expired(&rig), 1); /* the other */
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).downlink_messages, 1);
    rig_fini(&rig);
}

/* Device A is active and subscribed to "a" with QoS 1 (identifier 1), and knows its topic id. */
static void
begin_active(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device_subscribed(rig, 'A', "aaa", false, "a", 1);
    rig_commit(rig);
    rig_clear(rig);
}

static void
message_whose_exchange_was_cut_expires_at_its_time(void)
{
    struct rig rig;

    begin_active(&rig);
    publish(&rig, "1", 1, 9, 15);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> "));
    rig_wait(&rig, 12000); /* it was sent again, and that would be looked at after 20 s */
    rig_disconnect(&rig, 'A', 600);
    rig_wait(&rig, 2999);
    CU_ASSERT_EQUAL(expired(&rig), 0);
    rig_wait(&rig, 1);
    CU_ASSERT_EQUAL(expired(&rig), 1);
    rig_fini(&rig);
}

static void
message_whose_delivery_failed_expires_before_the_next(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, "1", 1, 9, 10);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_wait(&rig, 60000); /* no answer: asleep again (R99) */
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    CU_ASSERT_EQUAL(expired(&rig), 1);
    rig_fini(&rig);
}

/* ---- over restarts ---- */

static void
clock_is_recorded_once_a_minute_and_only_with_messages_that_expire(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, "1", 1, 9, -1);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_CLOCK_PUT), 0);
    rig_clear(&rig);
    rig.log_records = true;
    publish(&rig, "2", 1, 10, 600);
    publish(&rig, "3", 1, 11, 600);
    rig_wait(&rig, 59999);
    publish(&rig, "4", 1, 12, 600);
    rig_wait(&rig, 1);
    publish(&rig, "5", 1, 13, 600);
    CU_ASSERT_TRUE(rig_expect(&rig, "~# clock 1000000\n"
                                    "# message 2\n# delivery 2 msg 2\n"
                                    "# message 3\n# delivery 3 msg 3\n"
                                    "# message 4\n# delivery 4 msg 4\n"
                                    "~# clock 1060000\n"
                                    "# message 5\n# delivery 5 msg 5\n"));
    rig_fini(&rig);
}

static void
message_expires_at_its_time_after_a_restart(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, "1", 1, 9, 100);
    publish(&rig, "2", 2, 10, 100);
    rig_commit(&rig);
    rig_wait(&rig, 60000);
    rig_restart(&rig);
    rig_wait(&rig, 39999);
    CU_ASSERT_EQUAL(expired(&rig), 0);
    rig_wait(&rig, 1);
    CU_ASSERT_EQUAL(expired(&rig), 2);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_DELIVERY_PUT), 0);
    rig_fini(&rig);
}

static void
message_expires_when_the_time_off_becomes_known(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, "1", 1, 9, 100);
    publish(&rig, "2", 1, 10, 1000);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_wait(&rig, 1000);
    engine_clock(rig.engine, rig.now_ms, 100000);
    rig_wait(&rig, 0);
    CU_ASSERT_EQUAL(expired(&rig), 1);
    rig_wait(&rig, 1000 * 1000 - 101000 - 1);
    CU_ASSERT_EQUAL(expired(&rig), 1);
    rig_wait(&rig, 1);
    CU_ASSERT_EQUAL(expired(&rig), 2);
    rig_fini(&rig);
}

/* The device may hold the QoS 2 message that expired: its MsgId is not given to another one. */
static void
msg_ids_go_on_behind_a_message_that_was_dropped_over_a_restart(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, "1", 2, 9, 10);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa"); /* PUBLISH, and its PUBREC is lost */
    rig_wait(&rig, 60000);
    rig_ping(&rig, 'A', "aaa");
    rig_commit(&rig);
    CU_ASSERT_EQUAL(expired(&rig), 1);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    publish(&rig, "2", 2, 10, -1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 2 msg 11426 \"2\"\n"));
    rig_fini(&rig);
}

/* ---- standing still ---- */

static enum engine_state
state_of(const struct rig *rig)
{
    struct engine_status now = rig_status(rig);

    for (unsigned i = 0; i < ENGINE_STATE_COUNT; i++)
        if (now.sessions[i] > 0)
            return (enum engine_state)i;
    return ENGINE_STATE_COUNT;
}

static void
nobody_is_lost_because_the_gateway_was_suspended(void)
{
    struct rig rig;

    begin(&rig);
    rig.now_ms += 3600000;
    engine_time(rig.engine, rig.now_ms);
    CU_ASSERT_EQUAL(state_of(&rig), ENGINE_ASLEEP);
    rig_wait(&rig, 899999); /* 1.5 times 600 s */
    CU_ASSERT_EQUAL(state_of(&rig), ENGINE_ASLEEP);
    rig_wait(&rig, 1);
    CU_ASSERT_EQUAL(state_of(&rig), ENGINE_LOST);
    rig_fini(&rig);
}

/* The message on its way is given up only now, but not because the device was silent. */
static void
awake_device_is_not_lost_by_it_either(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, "1", 1, 9, -1);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_wait(&rig, 35000);
    rig.now_ms += 3600000;
    engine_time(rig.engine, rig.now_ms);
    CU_ASSERT_EQUAL(state_of(&rig), ENGINE_ASLEEP);
    rig_fini(&rig);
}

static void
device_heard_first_after_a_suspension_is_served(void)
{
    struct rig rig;

    begin(&rig);
    publish(&rig, "1", 1, 9, -1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.now_ms += 3600000;
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_fini(&rig);
}

static void
call_that_is_only_a_little_late_loses_the_device_all_the_same(void)
{
    struct rig rig;

    begin(&rig);
    rig_wait(&rig, 899999);
    rig.now_ms += 901;
    engine_time(rig.engine, rig.now_ms);
    CU_ASSERT_EQUAL(state_of(&rig), ENGINE_LOST);
    rig_fini(&rig);
}

static void
new_max_age_counts_for_what_waits_at_once(void)
{
    struct rig rig;
    struct engine_options next;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "t", 1);
    rig_disconnect(&rig, 'A', 6000);
    rig_commit(&rig);
    rig_broker_publish(&rig, "t", "x", 1, 7, 1);
    rig_commit(&rig);
    rig_wait(&rig, 60000);
    next = rig.options;
    next.settings.max_age_ms = 90000;
    engine_reconfigure(rig.engine, rig.now_ms, &next);
    rig_wait(&rig, 29000);
    CU_ASSERT_EQUAL(rig_status(&rig).dropped[ENGINE_DROP_EXPIRED], 0);
    rig_wait(&rig, 1000); /* at its time, not when the device wakes up */
    CU_ASSERT_EQUAL(rig_status(&rig).dropped[ENGINE_DROP_EXPIRED], 1);
    rig_fini(&rig);
}

/* The device asked for a pause, and what waited for its end has expired meanwhile. */
static void
pause_of_long_ago_is_no_suspension(void)
{
    struct rig rig;

    begin_active(&rig);
    rig_connect(&rig, 'A', "aaa", false, 0); /* without keep-alive */
    rig_commit(&rig);
    publish(&rig, "1", 1, 9, 20);
    rig_regack(&rig, 'A', 1, 2, 0);
    rig_puback(&rig, 'A', 1, msg_id_sent(&rig), MQTTSN_CONGESTION);
    rig_wait(&rig, 420000);
    CU_ASSERT_EQUAL(expired(&rig), 1);
    rig_connect(&rig, 'B', "bbb", false, 60);
    rig_commit(&rig);
    rig_wait(&rig, 80000);
    publish(&rig, "2", 1, 10, -1);
    rig_wait(&rig, 15000);
    CU_ASSERT_EQUAL(rig_status(&rig).sessions[ENGINE_LOST], 1); /* B, after 90 s */
    rig_fini(&rig);
}

static void
start_is_no_suspension(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.settings.expiry_ms = 3600000;
    rig_disconnect(&rig, 'A', 0);
    publish(&rig, "1", 1, 9, -1);
    rig_commit(&rig);
    rig.now_ms += UINT64_C(30) * 86400000;
    rig_restart(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    CU_ASSERT(engine_next_deadline(rig.engine) > rig.now_ms);
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(new_max_age_counts_for_what_waits_at_once),
    UNIT_TEST(message_that_waited_longer_than_its_expiry_is_dropped_and_counted),
    UNIT_TEST(message_that_has_expired_when_it_comes_is_acknowledged_and_not_sent),
    UNIT_TEST(max_age_counts_where_it_is_shorter),
    UNIT_TEST(message_on_its_way_to_the_device_is_not_taken_back),
    UNIT_TEST(message_whose_exchange_was_cut_expires_at_its_time),
    UNIT_TEST(message_whose_delivery_failed_expires_before_the_next),
    UNIT_TEST(clock_is_recorded_once_a_minute_and_only_with_messages_that_expire),
    UNIT_TEST(message_expires_at_its_time_after_a_restart),
    UNIT_TEST(message_expires_when_the_time_off_becomes_known),
    UNIT_TEST(msg_ids_go_on_behind_a_message_that_was_dropped_over_a_restart),
    UNIT_TEST(nobody_is_lost_because_the_gateway_was_suspended),
    UNIT_TEST(awake_device_is_not_lost_by_it_either),
    UNIT_TEST(device_heard_first_after_a_suspension_is_served),
    UNIT_TEST(call_that_is_only_a_little_late_loses_the_device_all_the_same),
    UNIT_TEST(pause_of_long_ago_is_no_suspension),
    UNIT_TEST(start_is_no_suspension),
};

UNIT_MAIN("engine_expiry", tests)
