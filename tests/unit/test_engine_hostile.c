/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile review broke: filters, copies, the order with the disk, growth. */
#include "unit.h"

#include <stdlib.h>

#include "engine_rig.h"
#include "log_capture.h"

/* What the broker sends again after a reconnect. */
static void
broker_repeats(struct rig *rig, const char *topic, const char *data, uint16_t packet_id,
               uint32_t subscription_id)
{
    rig_broker_packet(rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                 .dup = true,
                                                 .qos = 1,
                                                 .packet_id = packet_id,
                                                 .topic = dm_span_text(topic),
                                                 .payload = dm_span_text(data),
                                                 .subscription_ids = {subscription_id},
                                                 .subscription_id_count = 1});
}

static bool
has(const struct rig *rig, const char *text)
{
    return strstr(rig->text, text) != NULL;
}

static struct engine_session_status found;

static void
note_session(void *ctx, const struct engine_session_status *session)
{
    (void)ctx;
    found = *session;
}

/* Of the session made last. */
static struct engine_session_status
session(const struct rig *rig)
{
    engine_each_session(rig->engine, rig->now_ms, note_session, NULL);
    return found;
}

/* ---- lost messages ---- */

/* The broker holds "a" under an identifier of a device that has left; later it is made again under
 * an older one. The row of the left identifier still tells the age that the filter had then. */
static void
age_of_a_filter_survives_a_restart_when_its_latest_subscriber_has_left(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1); /* id 1 */
    rig_subscribe(&rig, 'A', "#", 1, 2);                    /* id 2 */
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_device(&rig, 'B', "bbb", true);
    rig_subscribe(&rig, 'B', "a", 1, 1); /* id 3 */
    rig_broker_answer(&rig, MQTT_SUBACK, 3, 2);
    rig_disconnect(&rig, 'B', 0);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2); /* "#" is held first now */
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2); /* "a", id 1 */
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1); /* acknowledged: the copy of "#" counts */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    broker_repeats(&rig, "a", "1", 10, 2);
    CU_ASSERT_TRUE(has(&rig, "\"1\""));
    rig_fini(&rig);
}

/* The broker got the SUBSCRIBE of "a" long before that of "#", and queued a message behind its
 * window in between. No SUBACK came before the kill; the start asks in the order of names. */
static void
filter_asked_for_first_counts_as_older_after_a_restart(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'B', "bbb", false, "other", 1); /* id 1 */
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "a", 1, 1); /* id 2: the broker holds it from now on */
    rig_commit(&rig);
    rig_broker_down(&rig);
    rig_subscribe(&rig, 'A', "#", 1, 2); /* id 3: accepted, to be carried out later */
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    broker_repeats(&rig, "other", "open", 8, 1); /* the window is full of such */
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_broker_answer(&rig, MQTT_SUBACK, 3, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "a", "1", 1, 9, 2); /* the only copy */
    CU_ASSERT_TRUE(has(&rig, "\"1\""));
    rig_fini(&rig);
}

/* The number behind the first `key`, 0: there is none. */
static uint32_t
number_behind(const struct rig *rig, const char *key)
{
    const char *at = strstr(rig->text, key);

    CU_ASSERT_PTR_NOT_NULL(at);
    return at != NULL ? (uint32_t)strtoul(at + strlen(key), NULL, 10) : 0;
}

/* The rows know "a/#" as held, not "a/b". The broker has lost its session twice, the second time
 * without a row that says so; then it got the first SUBSCRIBE of the next process only, and a
 * message for it. */
static void
filter_that_rows_know_as_held_is_asked_for_first(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "dev", false);
    rig_subscribe(&rig, 'A', "a/#", 1, 1);
    rig_subscribe(&rig, 'A', "a/b", 1, 2);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_broker_down(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, (uint16_t)number_behind(&rig, "SUBSCRIBE a/# pid "), 2);
    rig_commit(&rig);
    rig_restart(&rig);
    rig.commits_late = true;
    rig_broker_up(&rig, MQTT_5, false);
    rig_restart(&rig);
    rig.commits_late = false;
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_commit(&rig);
    uint32_t first = number_behind(&rig, " id ");

    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_commit(&rig);
    rig_broker_publish(&rig, "a/b", "only", 1, 1, first);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

/* A new message, though it says the same as the one before: the filter was made after that one. */
static void
check_equal_message_is_another_message(const char *filter_made_since)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1); /* id 1 */
    rig_broker_publish(&rig, "a", "on", 1, 9, 1);
    rig_puback(&rig, 'A', 1, 1, 0);
    rig_unsubscribe(&rig, 'A', "a", 2);
    rig_broker_answer(&rig, MQTT_UNSUBACK, 2, 0);
    rig_subscribe(&rig, 'A', filter_made_since, 1, 3); /* id 2 */
    rig_broker_answer(&rig, MQTT_SUBACK, 3, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "a", "on", 1, 10, 2);
    CU_ASSERT_TRUE(has(&rig, "\"on\""));
    rig_fini(&rig);
}

static void
equal_message_for_a_filter_made_since_is_another_message(void)
{
    check_equal_message_is_another_message("#");
}

static void
equal_message_after_subscribing_anew_is_another_message(void)
{
    check_equal_message_is_another_message("a");
}

/* ---- QoS 2 twice ---- */

/* A waits for the copy of "a", which will come. That B, a stranger to it, ends a subscription
 * meanwhile makes A take the copy of "#" instead; a process that begins between the two does not
 * know. */
static void
subscription_that_another_device_ends_changes_nothing_about_the_copy_that_counts(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 2); /* id 1 */
    rig_subscribe(&rig, 'A', "+", 2, 2);                    /* id 2 */
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_subscribe(&rig, 'A', "#", 2, 3); /* id 3 */
    rig_broker_answer(&rig, MQTT_SUBACK, 3, 2);
    rig_device_subscribed(&rig, 'B', "bbb", false, "b", 2); /* id 4 */
    rig_commit(&rig);
    rig_broker_publish(&rig, "a", "1", 2, 9, 2);
    rig_unsubscribe(&rig, 'B', "b", 2);
    rig_broker_publish(&rig, "a", "1", 2, 10, 3);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_broker_publish(&rig, "a", "1", 2, 11, 1); /* the one that counts */
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    rig_fini(&rig);
}

/* ---- subscriptions that were acknowledged and end ---- */

/* The rounds of a REGISTER that waits for the disk do not count, but its repetitions do: given up
 * five seconds after it left, with messages and subscription. */
static void
register_that_waited_for_the_disk_is_repeated_as_often_as_any_other(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "#", 1);
    rig_subscribe(&rig, 'A', "topic", 1, 2); /* the SUBACK tells the id to this connection only */
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig.commits_late = true;
    rig_clear(&rig);
    rig_broker_publish(&rig, "other", "1", 1, 9, 1);
    CU_ASSERT_TRUE(has(&rig, "REGISTER"));
    for (int i = 0; i < 7; i++) {
        rig_wait(&rig, 5000);
        rig_ping(&rig, 'A', "");
    }
    rig_commit(&rig); /* now it leaves, 35 s later */
    rig_wait(&rig, 6000);
    CU_ASSERT_EQUAL(rig_status(&rig).dropped[ENGINE_DROP_REFUSED], 0);
    rig_fini(&rig);
}

/* It did not hear our REGISTERs, but asks for the same topic by itself, and gets its SUBACK. */
static void
subscribe_for_the_topic_of_an_open_register_keeps_the_subscription(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "topic", 1);
    rig_connect(&rig, 'A', "aaa", false, 60); /* rebooted: ids are to be told again */
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "topic", "1", 1, 9, 1);
    CU_ASSERT_TRUE(has(&rig, "REGISTER"));
    rig_wait(&rig, 38000); /* lost by the radio */
    rig_subscribe(&rig, 'A', "topic", 1, 2);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    CU_ASSERT_TRUE(has(&rig, "SUBACK"));
    rig_wait(&rig, 5000);
    CU_ASSERT_EQUAL(session(&rig).subscription_count, 1);
    CU_ASSERT_EQUAL(rig_status(&rig).dropped[ENGINE_DROP_REFUSED], 0);
    rig_fini(&rig);
}

/* A filter that the broker holds is made again at each connection; the refusal ends what all
 * devices had, but the broker goes on sending for it. */
static void
filter_refused_when_it_is_made_again_is_given_up_at_the_broker(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    const char *pid = strstr(rig.text, " pid ");
    uint16_t packet_id = pid != NULL ? (uint16_t)atoi(pid + 5) : 0;
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, packet_id, 0x97); /* quota exceeded: for now */
    rig_commit(&rig);
    CU_ASSERT_TRUE(has(&rig, "^ UNSUBSCRIBE a") || session(&rig).subscription_count == 1);
    rig_fini(&rig);
}

/* ---- order with the disk ---- */

/* PINGREQ and DISCONNECT may change places on the way, or the device does not wait. */
static void
pingreq_before_the_answer_to_disconnect_is_durable_sends_nothing_into_the_sleep(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1); /* open */
    rig.commits_late = true;
    rig_disconnect(&rig, 'A', 600);
    CU_ASSERT_TRUE(has(&rig, "A> DISCONNECT !"));
    rig.log_withdrawals = true;
    rig_clear(&rig);
    rig_ping(&rig, 'A', "");
    /* Else the DISCONNECT leaves between the PUBLISH and what follows it. */
    CU_ASSERT_TRUE(!has(&rig, "PUBLISH") || has(&rig, "WITHDRAW"));
    rig_fini(&rig);
}

/* The device asked for a clean session and was refused; then it hears that the persistent one it
 * asked for before is accepted. */
static void
connack_of_an_earlier_connect_does_not_follow_a_refusal(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.commits_late = true;
    rig_connect(&rig, 'A', "aaa", false, 60);
    CU_ASSERT_TRUE(has(&rig, "A> CONNACK 0 !1"));
    engine_store_degraded(rig.engine, true);
    rig.log_withdrawals = true;
    rig_clear(&rig);
    rig_connect(&rig, 'A', "aaa", true, 60);
    CU_ASSERT_TRUE(has(&rig, "A> CONNACK 1\n"));
    CU_ASSERT_TRUE(has(&rig, "A> WITHDRAW"));
    rig_fini(&rig);
}

/* ---- growth ---- */

enum { REPETITIONS = 1000 };

static void
subscriptions_that_come_and_go_while_the_broker_is_away_leave_nothing(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    for (uint16_t i = 1; i <= REPETITIONS; i++) {
        char filter[16];

        snprintf(filter, sizeof filter, "%u/+", (unsigned)i);
        rig_subscribe(&rig, 'A', filter, 1, i);
        rig_unsubscribe(&rig, 'A', filter, i);
        rig_commit(&rig);
        rig_clear(&rig);
    }
    CU_ASSERT(rig_count_rows(&rig, STORE_FILTER_PUT) < 100);
    rig_fini(&rig);
}

static void
subscribing_again_while_the_broker_is_away_keeps_few_identifiers(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    for (uint16_t i = 1; i <= REPETITIONS; i++) {
        rig_subscribe(&rig, 'A', "+", 1, i);
        rig_commit(&rig);
        rig_clear(&rig);
    }
    CU_ASSERT(rig_count_rows(&rig, STORE_FILTER_PUT) < 100);
    rig_fini(&rig);
}

/* ---- work and words ---- */

/* After a standstill many datagrams wait; an exchange that is due stays so until engine_time. */
static void
standstill_is_forgiven_once(void)
{
    struct rig rig;
    char text[4096];
    int count = 0;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_device(&rig, 'B', "bbb", false);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1); /* retried in 10 s */
    rig.now_ms += 40000;
    log_capture_start();
    for (int i = 0; i < 5; i++)
        rig_ping(&rig, 'B', "");
    log_capture_finish(text, sizeof text);
    for (const char *at = text; (at = strstr(at, "stood still")) != NULL; at++)
        count++;
    CU_ASSERT_EQUAL(count, 1);
    rig_fini(&rig);
}

/* ---- identifiers after very many starts ---- */

/* A start leaves 65,536 identifiers out of 268 million, and a service that is restarted every
 * second has had 4,096 starts after an hour. From then on every start begins at the same number. */
static void
two_starts_never_give_one_identifier_to_two_filters(void)
{
    struct rig rig;
    char first[64] = "", second[64] = "";

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "kept", 1);
    for (int i = 0; i < 4110; i++) {
        rig_restart(&rig);
        if (i < 4080)
            continue;
        rig_broker_up(&rig, MQTT_5, true);
        rig_subscribe(&rig, 'A', "kept", 1, 2); /* the latest identifier stands in the row */
        rig_commit(&rig);
        rig_clear(&rig);
    }
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_subscribe(&rig, 'A', "one", 1, 3); /* killed before its row is durable, with the broker
                                            * having it: what the gap is for */
    const char *id = strstr(rig.text, " id ");
    if (id != NULL)
        snprintf(first, sizeof first, "%.*s", (int)strcspn(id + 1, "!\n"), id + 1);
    rig_unsubscribe(&rig, 'A', "one", 4);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_broker_answer(&rig, MQTT_UNSUBACK, 3, 0);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_subscribe(&rig, 'A', "two", 1, 5);
    id = strstr(rig.text, " id ");
    if (id != NULL)
        snprintf(second, sizeof second, "%.*s", (int)strcspn(id + 1, "!\n"), id + 1);
    CU_ASSERT_STRING_NOT_EQUAL(first, second);
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(age_of_a_filter_survives_a_restart_when_its_latest_subscriber_has_left),
    UNIT_TEST(filter_asked_for_first_counts_as_older_after_a_restart),
    UNIT_TEST(filter_that_rows_know_as_held_is_asked_for_first),
    UNIT_TEST(equal_message_for_a_filter_made_since_is_another_message),
    UNIT_TEST(equal_message_after_subscribing_anew_is_another_message),
    UNIT_TEST(subscription_that_another_device_ends_changes_nothing_about_the_copy_that_counts),
    UNIT_TEST(register_that_waited_for_the_disk_is_repeated_as_often_as_any_other),
    UNIT_TEST(subscribe_for_the_topic_of_an_open_register_keeps_the_subscription),
    UNIT_TEST(filter_refused_when_it_is_made_again_is_given_up_at_the_broker),
    UNIT_TEST(pingreq_before_the_answer_to_disconnect_is_durable_sends_nothing_into_the_sleep),
    UNIT_TEST(connack_of_an_earlier_connect_does_not_follow_a_refusal),
    UNIT_TEST(subscriptions_that_come_and_go_while_the_broker_is_away_leave_nothing),
    UNIT_TEST(subscribing_again_while_the_broker_is_away_keeps_few_identifiers),
    UNIT_TEST(standstill_is_forgiven_once),
    UNIT_TEST(two_starts_never_give_one_identifier_to_two_filters),
};

UNIT_MAIN("adversary", tests)
