/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that no other test of the engine is about: MsgIds, order, keep alive, sleep, and the
 * reasons of the broker (docs/conformance.md). */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include <dormouse/log.h>

#include "engine_rig.h"

static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
}

/* ---- MsgIds ---- */

/* R52, M30: counters of real clients wrap through 0. */
static void
msg_id_0_is_accepted_and_echoed_in_every_request(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t/1", 0);
    rig_publish(&rig, 'A', 1, 1, 0, "x");
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    rig_subscribe(&rig, 'A', "t/#", 1, 0);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_send(
        &rig, 'A',
        &(struct mqttsn_packet){.type = MQTTSN_UNSUBSCRIBE, .topic_name = dm_span_text("t/none")});
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGACK 1 msg 0 code 0 !3\n^ PUBLISH t/1 qos 1 \"x\" pid 1\n"
                                    "A> PUBACK 1 msg 0 code 0\n^ SUBSCRIBE t/# pid 2 id 1 !4\n"
                                    "A> SUBACK 0 qos 1 msg 0 code 0 !4\nA> UNSUBACK msg 0\n"));
    rig_fini(&rig);
}

/* R52, M29, M31: with QoS 0 neither means anything. */
static void
publish_qos_0_with_a_msg_id_or_dup_is_passed_on(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .dup = true,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 7,
                                     .msg_id = 2,
                                     .data = dm_span_text("on")});
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/button qos 0 \"on\"\n"));
    rig_fini(&rig);
}

/* R59: 1 to 0xFFFF, and none that is in use. */
static void
msg_ids_to_a_device_wrap_past_0_and_past_the_open_one(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_broker_publish(&rig, "a", "open", 1, 9, 1); /* MsgId 1 */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"open\"\n"));
    rig_wait(&rig, 1000); /* on disk, so that the broker hears of the others */
    rig_commit(&rig);
    /* Each message takes a MsgId; the one before it has to leave a queue of two. */
    rig.options.settings.queue_messages = 2;
    log_set_level(LOG_LEVEL_ERROR);
    for (int i = 2; i <= 0xFFFF; i++) {
        rig_broker_publish(&rig, "a", "x", 1, (uint16_t)(10 + i % 2), 1);
        rig_clear(&rig);
    }
    rig_broker_publish(&rig, "a", "last", 1, 12, 1);
    log_set_level(LOG_LEVEL_INFO);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> PUBLISH 1 qos 1 msg 2 \"last\"\n"));
    rig_fini(&rig);
}

/* R51: asymcute and Zephyr have several messages open at once. */
static void
many_open_messages_are_tracked_and_more_get_congestion(void)
{
    struct rig rig;
    const uint16_t limit = 16; /* the reference asks for 8 */

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t/1", 1);
    rig_commit(&rig);
    for (uint16_t msg_id = 1; msg_id <= limit; msg_id++)
        rig_publish(&rig, 'A', 1, 1, msg_id, "x");
    rig_clear(&rig);
    rig_publish(&rig, 'A', 1, 1, 99, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 99 code 1\n"));
    rig_broker_answer(&rig, MQTT_PUBACK, 5, 0); /* each is answered by its own MsgId */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 5 code 0\n"
                                    "^ PUBLISH t/1 qos 1 \"x\" pid 11\n"));
    rig_publish(&rig, 'A', 1, 1, 100, "x"); /* there is room again */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

/* R49: what was acknowledged is over, whatever DUP says. */
static void
dup_after_the_puback_is_a_new_message(void)
{
    struct rig rig;
    struct mqttsn_packet packet = {.type = MQTTSN_PUBLISH,
                                   .qos = 1,
                                   .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                   .topic_id = 7,
                                   .msg_id = 5,
                                   .data = dm_span_text("on")};

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_send(&rig, 'A', &packet);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    packet.dup = true;
    rig_send(&rig, 'A', &packet);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/button qos 1 \"on\" pid 1\n"
                                    "A> PUBACK 7 msg 5 code 0\n"
                                    "^ PUBLISH yard/button qos 1 \"on\" pid 2\n"));
    rig_fini(&rig);
}

/* R45 and design 1, rule 2: the order of a device's messages, whatever their QoS. */
static void
message_does_not_overtake_the_pubrel_that_waits_for_the_disk(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t", 1);
    rig_publish(&rig, 'A', 1, 2, 9, "first");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    rig_publish(&rig, 'A', 1, 1, 10, "second"); /* the broker has "first" only after PUBREL */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREC msg 9\n^ PUBREL pid 1 !6\n"
                                    "^ PUBLISH t qos 1 \"second\" pid 2 !6\n"));
    rig_fini(&rig);
}

/* ---- keep alive and DISCONNECT ---- */

/* R77: the ping asks the gateway, not the broker. */
static void
ping_is_answered_at_once_while_the_broker_is_away(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_ping(&rig, 'A', "");
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\nA> PINGRESP\n"));
    rig_fini(&rig);
}

/* R86 */
static void
disconnected_device_is_served_again_only_after_connect(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t", 1);
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_publish(&rig, 'A', 1, 1, 2, "x");
    rig_wait(&rig, 1000);
    rig_register(&rig, 'A', "u", 3);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\nA> DISCONNECT\n"));
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_publish(&rig, 'A', 1, 1, 2, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t qos 1 \"x\" pid 1\n"));
    rig_fini(&rig);
}

/* ---- sleep ---- */

/* R92 to R94: the duration counts, not the keep alive, and anew from each PINGRESP. */
static void
sleep_timer_starts_in_full_after_every_pingresp(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false); /* keep alive 60 s */
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig.log_records = true;
    rig_clear(&rig);
    rig_wait(&rig, 899999);
    rig_ping(&rig, 'A', "aaa");
    rig_wait(&rig, 899999);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "# session aaa lost\n"));
    rig_fini(&rig);
}

/* R101: the longest is a duration like any other, and the latest wins. */
static void
sleep_of_65535_s_is_kept_and_a_shorter_one_replaces_it(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_disconnect(&rig, 'A', 65535);
    rig_commit(&rig);
    rig.log_records = true;
    rig_clear(&rig);
    rig_wait(&rig, UINT64_C(98302499)); /* 1.5 times as long, but a millisecond */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_disconnect(&rig, 'A', 10);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 15000);
    CU_ASSERT_TRUE(rig_expect(&rig, "# session aaa lost\n"));
    rig_fini(&rig);
}

/* R100, R24, R30: back from sleep with each of the flags. */
static void
connect_from_sleep_does_as_its_flags_say(void)
{
    static const struct {
        bool clean, will;
        const char *expected;
    } cases[] = {
        {false, false, "A> CONNACK 0\nA> PUBLISH 1 qos 1 msg 1 \"x\"\n"}, /* the id stays known */
        {true, false, "A> CONNACK 0\n"},                                  /* nothing is left */
        {false, true,
         "A> WILLTOPICREQ\nA> WILLMSGREQ\nA> CONNACK 0\n"
         "A> PUBLISH 1 qos 1 msg 1 \"x\"\n"},
        {true, true, "A> WILLTOPICREQ\nA> WILLMSGREQ\nA> CONNACK 0\n"},
    };

    for (size_t i = 0; i < 4; i++) {
        struct rig rig;
        char radio[512] = "";

        begin(&rig);
        rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
        rig_disconnect(&rig, 'A', 600);
        rig_broker_publish(&rig, "a", "x", 1, 9, 1);
        rig_commit(&rig);
        rig_clear(&rig);
        if (cases[i].will) {
            rig_connect_will(&rig, 'A', "aaa", cases[i].clean);
            rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, "w", 0, false);
            rig_will_message(&rig, 'A', MQTTSN_WILLMSG, "gone");
        } else {
            rig_connect(&rig, 'A', "aaa", cases[i].clean, 60);
        }
        rig_commit(&rig);
        for (char *line = strtok(rig.text, "\n"); line != NULL; line = strtok(NULL, "\n"))
            if (line[0] == 'A')
                snprintf(radio + strlen(radio), sizeof radio - strlen(radio), "%.*s\n",
                         (int)strcspn(line, "!") - (strchr(line, '!') != NULL), line);
        CU_ASSERT_STRING_EQUAL(radio, cases[i].expected);
        rig_fini(&rig);
    }
}

/* ---- QoS -1, wills, reasons of the broker ---- */

/* R41, R44 */
static void
qos_minus_one_is_passed_on_with_retain_and_a_will_of_it_counts_as_qos_0(void)
{
    struct rig rig;

    begin(&rig);
    rig_send(&rig, 'Z',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = MQTTSN_QOS_MINUS_ONE,
                                     .retain = true,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 7});
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/button qos 0 retain \"\" !1\n"));
    rig_connect_will(&rig, 'A', "aaa", false);
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, "w", MQTTSN_QOS_MINUS_ONE, false);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSG, "gone");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 90000);
    rig_commit(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH w qos 0 \"gone\""));
    rig_fini(&rig);
}

/* R90 and reference 5.4 */
static void
reason_of_the_broker_becomes_the_return_code_of_the_reference(void)
{
    static const struct {
        uint8_t reason;
        int puback, suback;
    } cases[] = {
        {0x10, 0, 3}, {0x80, 3, 3}, {0x83, 3, 3}, {0x87, 3, 3}, {0x8F, 3, 3}, {0x90, 3, 3},
        {0x97, 1, 1}, {0x99, 3, 3}, {0x9E, 3, 3}, {0xA1, 3, 3}, {0xA2, 3, 3},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig rig;
        char expected[128];

        begin(&rig);
        rig_device(&rig, 'A', "aaa", false);
        rig_register(&rig, 'A', "t", 1);
        rig_commit(&rig);
        rig_publish(&rig, 'A', 1, 1, 2, "x");
        rig_subscribe(&rig, 'A', "#", 1, 3);
        rig_commit(&rig);
        rig_clear(&rig);
        rig_broker_answer(&rig, MQTT_PUBACK, 1, cases[i].reason);
        snprintf(expected, sizeof expected, "A> PUBACK 1 msg 2 code %d\n", cases[i].puback);
        CU_ASSERT_TRUE(rig_expect(&rig, expected));
        if (cases[i].reason >= 0x80) {
            rig_broker_answer(&rig, MQTT_SUBACK, 2, cases[i].reason);
            snprintf(expected, sizeof expected, "A> SUBACK 0 qos 0 msg 3 code %d", cases[i].suback);
            CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, expected));
        }
        rig_fini(&rig);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(msg_id_0_is_accepted_and_echoed_in_every_request),
    UNIT_TEST(publish_qos_0_with_a_msg_id_or_dup_is_passed_on),
    UNIT_TEST(msg_ids_to_a_device_wrap_past_0_and_past_the_open_one),
    UNIT_TEST(many_open_messages_are_tracked_and_more_get_congestion),
    UNIT_TEST(dup_after_the_puback_is_a_new_message),
    UNIT_TEST(message_does_not_overtake_the_pubrel_that_waits_for_the_disk),
    UNIT_TEST(ping_is_answered_at_once_while_the_broker_is_away),
    UNIT_TEST(disconnected_device_is_served_again_only_after_connect),
    UNIT_TEST(sleep_timer_starts_in_full_after_every_pingresp),
    UNIT_TEST(sleep_of_65535_s_is_kept_and_a_shorter_one_replaces_it),
    UNIT_TEST(connect_from_sleep_does_as_its_flags_say),
    UNIT_TEST(qos_minus_one_is_passed_on_with_retain_and_a_will_of_it_counts_as_qos_0),
    UNIT_TEST(reason_of_the_broker_becomes_the_return_code_of_the_reference),
};

UNIT_MAIN("engine rules", tests)
