/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that are full and numbers that run out: each has its answer, and goes on when there is
 * room again (design 1 rule 6, R90). */
#include "unit.h"

#include <stdio.h>

#include "engine_rig.h"

static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_clear(rig);
}

static uint64_t
queued(const struct rig *rig)
{
    struct engine_status status;

    engine_status(rig->engine, &status);
    return status.queued_messages;
}

/* ---- tables of a session ---- */

static void
subscribe_beyond_the_table_gets_congestion_until_one_ends(void) /* R71 */
{
    struct rig rig;
    char filter[16];

    rig_init(&rig); /* without a broker each is answered at once */
    rig_device(&rig, 'A', "dev", false);
    for (unsigned i = 0; i < 256; i++) {
        snprintf(filter, sizeof filter, "%u/#", i);
        rig_subscribe(&rig, 'A', filter, 0, 1);
    }
    rig_commit(&rig);
    rig_clear(&rig);
    rig_subscribe(&rig, 'A', "one/more/#", 0, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 0 qos 0 msg 2 code 1\n"));
    rig_subscribe(&rig, 'A', "7/#", 0, 3); /* held already: needs no room */
    rig_commit(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "SUBACK 0 qos 0 msg 3 code 0"));
    rig_unsubscribe(&rig, 'A', "7/#", 4);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_subscribe(&rig, 'A', "one/more/#", 0, 5);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "SUBACK 0 qos 0 msg 5 code 0"));
    rig_fini(&rig);
}

/* ---- queues (R102) ---- */

static void
full_queue_gives_up_the_oldest_qos0_first(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.settings.queue_messages = 3;
    rig_device_subscribed(&rig, 'A', "dev", false, "cmd", 2);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "cmd", "1", 1, 1, 0);
    rig_broker_publish(&rig, "cmd", "2", 0, 0, 0);
    rig_broker_publish(&rig, "cmd", "3", 0, 0, 0);
    rig_broker_publish(&rig, "cmd", "4", 1, 2, 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "dev");
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"
                                    "A> PUBLISH 1 qos 0 msg 0 \"3\"\n"
                                    "A> PUBLISH 1 qos 1 msg 2 \"4\"\n"));
    rig_fini(&rig);
}

static void
limit_of_all_queues_together_counts_for_each(void)
{
    struct rig rig;
    struct engine_status status;

    begin(&rig);
    /* Two messages of "cmd" and three octets. */
    rig.options.total_bytes = 2 * (6 + ENGINE_MESSAGE_OVERHEAD);
    rig_device_subscribed(&rig, 'A', "one", false, "cmd", 1);
    rig_device_subscribed(&rig, 'B', "two", false, "cmd", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_disconnect(&rig, 'B', 600);
    rig_broker_publish(&rig, "cmd", "abc", 1, 1, 0);
    CU_ASSERT_EQUAL(queued(&rig), 2);
    rig_broker_publish(&rig, "cmd", "xyz", 1, 2, 0);
    CU_ASSERT_EQUAL(queued(&rig), 2);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.dropped[ENGINE_DROP_OVERFLOW], 2);
    CU_ASSERT_TRUE(status.queued_octets <= 12);
    rig_fini(&rig);
}

static void
latest_keeps_the_newest_of_each_topic_but_what_is_open(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.settings.overflow = ENGINE_LATEST;
    rig_device_subscribed(&rig, 'A', "dev", false, "cmd", 1);
    rig_subscribe(&rig, 'A', "other", 1, 2);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "cmd", "open", 1, 1, 0);
    rig_broker_publish(&rig, "other", "kept", 1, 2, 0);
    rig_broker_publish(&rig, "cmd", "old", 1, 3, 0);
    rig_broker_publish(&rig, "cmd", "new", 1, 4, 0);
    CU_ASSERT_EQUAL(queued(&rig), 3);
    rig_puback(&rig, 'A', 1, 1, 0);
    rig_puback(&rig, 'A', 2, 2, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "\"new\""));
    CU_ASSERT_PTR_NULL(strstr(rig.text, "\"old\""));
    rig_fini(&rig);
}

/* R6: 255 octets take the short form, one more takes the long one and two octets more. */
static void
message_that_fits_only_without_the_long_header_is_dropped(void)
{
    struct rig rig;
    char payload[251];

    begin(&rig);
    rig.link.mtu = 257;
    rig_device_subscribed(&rig, 'A', "dev", false, "cmd", 1);
    memset(payload, 'x', sizeof payload);
    payload[248] = '\0';
    rig_broker_publish(&rig, "cmd", payload, 1, 1, 0);
    CU_ASSERT_EQUAL(queued(&rig), 1);
    rig_puback(&rig, 'A', 1, 1, 0);
    payload[248] = 'x';
    payload[249] = '\0';
    rig_broker_publish(&rig, "cmd", payload, 1, 2, 0);
    CU_ASSERT_EQUAL(queued(&rig), 0);
    struct engine_status status;

    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.dropped[ENGINE_DROP_TOO_LONG], 1);
    rig_fini(&rig);
}

/* ---- what all devices share ---- */

/* Records that no commit confirms are bounded: nothing new is promised until the disk has caught up
 * (design 3). */
static void
disk_that_is_far_behind_gives_congestion_until_it_has_caught_up(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "dev", false);
    for (unsigned i = 0; i < 100000; i++) {
        rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, i % 2 == 0 ? "even" : "odd");
        rig_clear(&rig);
    }
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "one more");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLMSGRESP 1 !100001\n"));
    rig_register(&rig, 'A', "temp", 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGACK 0 msg 1 code 1 !100001\n"));
    rig_connect(&rig, 'B', "new", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "B> CONNACK 1\n"));
    rig_disconnect(&rig, 'A', 600); /* the device repeats it */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_commit(&rig);
    rig_disconnect(&rig, 'A', 600);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT !100002\n"));
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(subscribe_beyond_the_table_gets_congestion_until_one_ends),
    UNIT_TEST(full_queue_gives_up_the_oldest_qos0_first),
    UNIT_TEST(limit_of_all_queues_together_counts_for_each),
    UNIT_TEST(latest_keeps_the_newest_of_each_topic_but_what_is_open),
    UNIT_TEST(message_that_fits_only_without_the_long_header_is_dropped),
    UNIT_TEST(disk_that_is_far_behind_gives_congestion_until_it_has_caught_up),
};
UNIT_MAIN("engine limits", tests)
