/* SPDX-License-Identifier: Apache-2.0 */
/* Topic ids, subscriptions, and what a device that does not take a topic gets (R6, R55 to R73). */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "engine_rig.h"

enum { T_WAIT_MS = 300000 };

static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
}

static void
subscribe_by_id(struct rig *rig, char who, enum mqttsn_topic_type type, uint16_t id,
                uint16_t msg_id)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = MQTTSN_SUBSCRIBE,
                                     .qos = 0,
                                     .topic_type = type,
                                     .topic_id = id,
                                     .msg_id = msg_id});
}

/* ---- REGISTER ---- */

/* M20, M22: the TopicId of a client's REGISTER says nothing, and the two kinds of id are apart. */
static void
register_ignores_the_topic_id_and_gives_predefined_names_a_normal_one(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_REGISTER,
                                     .topic_id = 77,
                                     .msg_id = 1,
                                     .topic_name = dm_span_text("yard/button")});
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGACK 1 msg 1 code 0 !3\n"));
    rig_fini(&rig);
}

/* M21, R71, R90 */
static void
full_topic_table_answers_register_and_subscribe_with_congestion(void)
{
    struct rig rig;
    char name[16];

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    for (int i = 0; i < 1024; i++) {
        snprintf(name, sizeof name, "t/%d", i);
        rig_register(&rig, 'A', name, 1);
    }
    rig_commit(&rig);
    rig_clear(&rig);
    rig_register(&rig, 'A', "one/more", 2);
    rig_subscribe(&rig, 'A', "one/more", 0, 3);
    rig_register(&rig, 'A', "t/0", 4); /* what is there is still found */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGACK 0 msg 2 code 1\nA> SUBACK 0 qos 0 msg 3 code 1\n"
                                    "A> REGACK 1 msg 4 code 0\n"));
    rig_fini(&rig);
}

/* It has not left: the disk takes longer than all rounds. */
static void
register_that_waits_for_the_disk_is_not_given_up(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a/+", 1);
    rig_broker_publish(&rig, "a/x", "1", 1, 1, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> REGISTER 1 a/x msg 2 !"));
    for (int i = 0; i < 10; i++) {
        rig_clear(&rig);
        rig_ping(&rig, 'A', "");
        rig_wait(&rig, 10000);
    }
    CU_ASSERT_PTR_NULL(strstr(rig.text, "REGISTER"));
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "");
    rig_wait(&rig, 10000);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> REGISTER 1 a/x"));
    rig_fini(&rig);
}

/* R62 is about a device that does not take the topic, and this one asked for it. */
static void
register_ends_when_a_suback_tells_the_id(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "+", 1);
    rig_broker_publish(&rig, "a", "1", 1, 1, 1);
    rig_commit(&rig);
    rig_subscribe(&rig, 'A', "a", 1, 3);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 10000);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_fini(&rig);
}

/* R62: a client that knows no REGISTER, and talks. */
static void
register_that_a_talking_device_never_answers_drops_that_topic_only(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a/+", 1);
    rig_subscribe(&rig, 'A', "b", 1, 2);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_broker_publish(&rig, "a/x", "1", 0, 0, 1);
    rig_broker_publish(&rig, "b", "2", 0, 0, 2);
    rig_commit(&rig);
    for (int i = 0; i < 4; i++) {
        rig_clear(&rig);
        rig_ping(&rig, 'A', "");
        rig_wait(&rig, 10000);
    }
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\nA> PUBLISH 1 qos 0 msg 0 \"2\"\n"));
    rig_broker_publish(&rig, "a/x", "3", 0, 0, 1); /* refused for this connection */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "a/x", "4", 0, 0, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 2 a/x msg 2\n"));
    rig_fini(&rig);
}

/* R6: the REGISTER that a message needs counts, too. */
static void
name_too_long_for_the_link_drops_its_message(void)
{
    struct rig rig;

    begin(&rig);
    rig.link.mtu = 20;
    rig_device_subscribed(&rig, 'A', "aaa", false, "#", 1);
    rig_broker_publish(&rig, "name/of/15/octe", "x", 1, 9, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    rig_broker_publish(&rig, "name/of/14/oct", "x", 0, 0, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> REGISTER 2 name/of/14/oct msg 2"));
    rig_fini(&rig);
}

/* R57, R63, R89: "congestion" is a request to wait, and later messages wait as well. */
static void
device_that_is_congested_is_left_alone_for_t_wait(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "#", 1);
    rig_connect(&rig, 'A', "aaa", false, 0); /* not supervised */
    rig_broker_publish(&rig, "a/x", "1", 1, 9, 1);
    rig_broker_publish(&rig, "xy", "2", 1, 10, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_regack(&rig, 'A', 1, 3, MQTTSN_CONGESTION);
    rig_wait(&rig, T_WAIT_MS - 1);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n^ PUBACK pid 10\n"));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 a/x msg 4\n"));
    rig_regack(&rig, 'A', 1, 4, 0);
    rig_puback(&rig, 'A', 1, 1, MQTTSN_CONGESTION);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_wait(&rig, T_WAIT_MS);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"1\"\n"));
    rig_fini(&rig);
}

/* ---- SUBSCRIBE ---- */

/* R56, R69, and reference 2.5: the type is that of the subscription, not of the name's length. */
static void
publish_uses_the_kind_of_id_that_the_subscription_was_made_with(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_device(&rig, 'B', "bbb", false);
    subscribe_by_id(&rig, 'A', MQTTSN_TOPIC_PREDEFINED, 7, 1);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    subscribe_by_id(&rig, 'A', MQTTSN_TOPIC_SHORT, 't' << 8 | 'p', 2);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_subscribe(&rig, 'B', "tp", 0, 3);
    rig_broker_answer(&rig, MQTT_SUBACK, 3, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "yard/button", "1", 0, 0, 1);
    rig_broker_publish(&rig, "tp", "2", 0, 0, 3);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH p7 qos 0 msg 0 \"1\"\n"
                                    "A> PUBLISH s29808 qos 0 msg 0 \"2\"\n"
                                    "B> PUBLISH 1 qos 0 msg 0 \"2\"\n"));
    rig_fini(&rig);
}

/* R68: each is answered by its MsgId. */
static void
several_subscribes_may_wait_for_the_broker_at_once(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "a/+", 0, 4);
    rig_subscribe(&rig, 'A', "b/+", 1, 5);
    rig_unsubscribe(&rig, 'A', "c", 6);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 1);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 0 qos 1 msg 5 code 0\n"
                                    "A> SUBACK 0 qos 0 msg 4 code 0\n"));
    rig_fini(&rig);
}

/* M52: the client gave the first one up; its answer would be taken for that of the second. */
static void
subscribe_with_the_msg_id_of_an_open_one_takes_its_place(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "a", 0, 4);
    rig_subscribe(&rig, 'A', "b", 1, 4);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 2 qos 1 msg 4 code 0\n"));
    rig_fini(&rig);
}

/* R71: a short name may be a filter of two octets, and is one only if MQTT says so. */
static void
short_name_with_a_wildcard_is_a_filter_or_refused(void)
{
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {{"/#", true}, {"+/", true}, {"/+", true}, {"a+", false}, {"#x", false}};
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    for (uint16_t i = 0; i < 5; i++) {
        const char *name = cases[i].name;
        char expected[64];

        subscribe_by_id(&rig, 'A', MQTTSN_TOPIC_SHORT, (uint16_t)(name[0] << 8 | name[1]), i);
        rig_commit(&rig);
        snprintf(expected, sizeof expected, "A> SUBACK 0 qos 0 msg %d code %d", i,
                 cases[i].valid ? 0 : 3);
        CU_ASSERT_EQUAL(strncmp(rig.text, expected, strlen(expected)), 0);
        rig_clear(&rig);
    }
    rig_fini(&rig);
}

/* R73 */
static void
message_queued_before_unsubscribe_is_still_delivered(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1);
    rig_broker_publish(&rig, "a", "2", 1, 10, 1);
    rig_clear(&rig);
    rig_unsubscribe(&rig, 'A', "a", 7);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 2 \"2\"\n^ PUBACK pid 9\n"));
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(register_ends_when_a_suback_tells_the_id),
    UNIT_TEST(register_that_waits_for_the_disk_is_not_given_up),
    UNIT_TEST(register_ignores_the_topic_id_and_gives_predefined_names_a_normal_one),
    UNIT_TEST(full_topic_table_answers_register_and_subscribe_with_congestion),
    UNIT_TEST(register_that_a_talking_device_never_answers_drops_that_topic_only),
    UNIT_TEST(name_too_long_for_the_link_drops_its_message),
    UNIT_TEST(device_that_is_congested_is_left_alone_for_t_wait),
    UNIT_TEST(publish_uses_the_kind_of_id_that_the_subscription_was_made_with),
    UNIT_TEST(several_subscribes_may_wait_for_the_broker_at_once),
    UNIT_TEST(subscribe_with_the_msg_id_of_an_open_one_takes_its_place),
    UNIT_TEST(short_name_with_a_wildcard_is_a_filter_or_refused),
    UNIT_TEST(message_queued_before_unsubscribe_is_still_delivered),
};

UNIT_MAIN("engine topics", tests)
