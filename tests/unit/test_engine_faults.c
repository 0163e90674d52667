/* SPDX-License-Identifier: Apache-2.0 */
/* The engine under hostile review: each test is a fault that was found there, or nearly made. */
#include "unit.h"

#include <stdio.h>

#include "engine_rig.h"

/* ---- helpers ---- */

static void
publish_predefined(struct rig *rig, char who, uint16_t msg_id, bool dup, const char *data)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = 1,
                                     .dup = dup,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 7,
                                     .msg_id = msg_id,
                                     .data = dm_span_text(data)});
}

/* True if the effects have a line that begins like this and is not held for the disk. */
static bool
leaves_at_once(const struct rig *rig, const char *begin)
{
    const char *line = strstr(rig->text, begin);

    if (line == NULL)
        return false;
    const char *end = strchr(line, '\n');
    const char *held = strstr(line, " !");
    return held == NULL || held > end;
}

struct seen {
    char id[2]; /* of the client that has an address */
    unsigned bound;
};

static void
note_bound(void *ctx, const struct engine_session_status *session)
{
    struct seen *seen = ctx;

    if (!session->has_address)
        return;
    seen->bound++;
    seen->id[0] = (char)session->client_id.data[0];
}

/* ---- lost messages ---- */

/* DHCP gives B the address that A had; after a restart it must still be B's: its topic ids would
 * otherwise be looked up in A's table, and published under A's names. */
static void
address_taken_over_belongs_to_the_new_client_after_a_restart(void)
{
    struct rig rig;
    struct seen seen = {0};

    rig_init(&rig);
    rig_device(&rig, 'X', "a", false);
    rig_device(&rig, 'X', "b", false);
    rig_restart(&rig);
    engine_each_session(rig.engine, rig.now_ms, note_bound, &seen);
    CU_ASSERT_EQUAL(seen.bound, 1);
    CU_ASSERT_STRING_EQUAL(seen.id, "b");
    rig_fini(&rig);
}

/* The age of overlapping subscriptions decides which copy counts; it must survive a restart. */
static void
copy_not_acknowledged_before_a_restart_is_delivered_after_it(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "t/x", 1); /* older, id 1 */
    rig_subscribe(&rig, 'A', "t/#", 1, 2);                    /* younger, id 2 */
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "t/x", "1", 1, 9, 2);  /* the copy that does not count */
    rig_broker_publish(&rig, "t/x", "1", 1, 10, 1); /* the one that does */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\nA> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_restart(&rig); /* A has not answered */
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_broker_packet(&rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                  .topic = dm_span_text("t/x"),
                                                  .payload = dm_span_text("1"),
                                                  .dup = true,
                                                  .qos = 1,
                                                  .packet_id = 10,
                                                  .subscription_ids = {1},
                                                  .subscription_id_count = 1});
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 577 \"1\"\n"));
    rig_fini(&rig);
}

/* The broker lost its session; between the two new SUBSCRIBEs a message matched the first only, and
 * came late because the window was full. */
static void
copy_of_the_filter_the_broker_held_first_counts_after_it_lost_its_session(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'B', "bbb", false, "t/x", 0); /* id 1 */
    rig_device_subscribed(&rig, 'A', "aaa", false, "t/+", 1); /* id 2 */
    rig_subscribe(&rig, 'A', "t/x", 1, 2);                    /* id 3 */
    rig_broker_answer(&rig, MQTT_SUBACK, 3, 2);
    rig_commit(&rig);
    rig_broker_down(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ SUBSCRIBE t/x pid 4 id 3 rh 2 !12\n"
                                    "^ SUBSCRIBE t/+ pid 5 id 2 rh 2 !12\n"));
    rig_broker_answer(&rig, MQTT_SUBACK, 4, 2);
    rig_broker_answer(&rig, MQTT_SUBACK, 5, 2);
    rig_clear(&rig);
    rig_broker_publish(&rig, "t/x", "1", 1, 9, 3);
    CU_ASSERT_TRUE(strstr(rig.text, "A> PUBLISH 1 qos 1 msg 1 \"1\"") != NULL);
    rig_fini(&rig);
}

/* The broker read an UNSUBSCRIBE whose answer was lost: it does not hold that filter, and sends no
 * copy for it, until the new SUBSCRIBE is answered. */
static void
copy_counts_while_the_filter_before_it_is_only_thought_to_be_held(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'C', "ccc", false, "t/+", 0);
    rig_device_subscribed(&rig, 'B', "bbb", false, "t/#", 0);
    rig_device(&rig, 'A', "aaa", false);
    rig_unsubscribe(&rig, 'B', "t/#", 9);
    rig_commit(&rig);
    rig_broker_down(&rig);
    rig_subscribe(&rig, 'A', "t/#", 1, 4);
    rig_subscribe(&rig, 'A', "t/+", 1, 5);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_commit(&rig);
    const char *request = strstr(rig.text, "^ SUBSCRIBE t/+ pid ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(request);
    uint16_t pid = (uint16_t)strtoul(request + strlen("^ SUBSCRIBE t/+ pid "), NULL, 10);
    uint32_t id = (uint32_t)strtoul(strstr(request, " id ") + 4, NULL, 10);
    rig_broker_answer(&rig, MQTT_SUBACK, pid, 2); /* that of t/# is still to come */
    rig_clear(&rig);
    rig_broker_publish(&rig, "t/x", "1", 1, 9, id);
    rig_commit(&rig);
    CU_ASSERT_TRUE(strstr(rig.text, "A> REGISTER 1 t/x") != NULL);
    rig_fini(&rig);
}

/* A SUBSCRIBE that nobody remembers after a restart: the copy goes to all that match, not to none.
 */
static void
retained_copy_with_3_1_1_not_acknowledged_before_a_restart_is_delivered_after_it(void)
{
    struct rig rig;
    struct mqtt_packet packet = {.type = MQTT_PUBLISH,
                                 .topic = dm_span_text("a/b"),
                                 .payload = dm_span_text("r"),
                                 .retain = true,
                                 .qos = 1,
                                 .packet_id = 9};

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_3_1_1, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a/b", 1);
    rig_broker_packet(&rig, &packet);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 retain \"r\"\n"));
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_3_1_1, true);
    packet.dup = true;
    rig_broker_packet(&rig, &packet);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ SUBSCRIBE a/b pid 1 rh 2\n"
                                    "A> PUBLISH 1 qos 1 msg 577 retain \"r\"\n"));
    rig_fini(&rig);
}

/* The removal from the duplicate set comes before every PUBCOMP (design 1): the broker uses the id
 * again, and a row that is still there would swallow the new message after a crash. */
static void
pubcomp_repeated_before_the_commit_of_the_removal_waits_as_well(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_broker_publish(&rig, "cmd/a", "on", 2, 9, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBREL, 9, 0);
    CU_ASSERT_FALSE(leaves_at_once(&rig, "^ PUBCOMP"));
    rig_clear(&rig);
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_broker_answer(&rig, MQTT_PUBREL, 9, 0);
    CU_ASSERT_FALSE(leaves_at_once(&rig, "^ PUBCOMP"));
    rig_fini(&rig);
}

/* Its answer came while the device slept; a device that counts from the start again sends something
 * else under the same MsgId. */
static void
message_with_the_id_of_one_whose_answer_was_missed_is_a_new_message_if_it_differs(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    publish_predefined(&rig, 'A', 5, false, "on");
    rig_disconnect(&rig, 'A', 600);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    rig_commit(&rig);
    rig_clear(&rig);
    publish_predefined(&rig, 'A', 5, true, "off");
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/button qos 1 \"off\" pid 2\n"));
    rig_fini(&rig);
}

/* Stored while the device slept: its repetition is answered, but not before the commit. */
static void
repetition_of_a_message_stored_while_the_device_slept_is_answered_after_the_commit(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    publish_predefined(&rig, 'A', 5, false, "on");
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.log_records = true;
    rig_wait(&rig, 1000); /* the broker is silent */
    CU_ASSERT_TRUE(rig_expect(&rig, "# spool 1\n"));
    publish_predefined(&rig, 'A', 5, true, "on");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 7 msg 5 code 0 !4\n"));
    rig_fini(&rig);
}

/* The broker read a SUBSCRIBE whose answer was lost, and the subscription is gone: what it sends
 * under that identifier is not what another filter gets under it in a later life. `lives`: before
 * this. */
static void
check_identifier_is_not_reused(unsigned lives, bool broker_forgets)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a/#", 1);
    rig_device(&rig, 'B', "bbb", false);
    for (unsigned i = 0; i < lives; i++) {
        rig_restart(&rig);
        rig_broker_up(&rig, MQTT_5, !broker_forgets);
    }
    rig_clear(&rig);
    rig_subscribe(&rig, 'B', "a/#", 1, 4);
    const char *id = strstr(rig.text, " id "); /* the broker takes it */
    CU_ASSERT_PTR_NOT_NULL_FATAL(id);
    uint32_t identifier = (uint32_t)strtoul(id + 4, NULL, 10);
    rig_commit(&rig);
    rig_broker_down(&rig); /* and its answer is lost */
    rig_unsubscribe(&rig, 'B', "a/#", 9);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_subscribe(&rig, 'B', "b", 1, 5);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "a/x", "1", 1, 9, identifier); /* had waited at the broker */
    rig_commit(&rig);
    CU_ASSERT_TRUE(strstr(rig.text, "A> REGISTER 1 a/x") != NULL);
    rig_fini(&rig);
}

static void
identifier_the_broker_may_still_use_is_not_given_to_another_filter_after_a_restart(void)
{
    check_identifier_is_not_reused(0, false);
}

static void
identifier_the_broker_may_still_use_is_not_given_away_after_the_second_restart(void)
{
    check_identifier_is_not_reused(1, false);
}

static void
identifier_the_broker_may_still_use_is_not_given_away_after_it_lost_its_session(void)
{
    check_identifier_is_not_reused(1, true);
}

/* The number of a session in the spool is not given to another device. */
static void
message_equal_to_one_spooled_for_a_wiped_session_is_not_taken_for_its_repetition(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", true);
    publish_predefined(&rig, 'A', 1, false, "on");
    rig_disconnect(&rig, 'A', 0); /* a clean session: wiped, its message stays spooled */
    rig_commit(&rig);
    rig_restart(&rig);
    rig_device(&rig, 'B', "bbb", false);
    publish_predefined(&rig, 'B', 1, true, "on"); /* its first transmission was lost */
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/button qos 1 \"on\" pid 1 !3\n"
                                    "^ PUBLISH yard/button qos 1 \"on\" pid 2 !3\n"));
    rig_fini(&rig);
}

/* A device that reboots before each report sends each under MsgId 1. */
static void
message_equal_to_one_acknowledged_in_an_earlier_connection_is_a_new_message(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    publish_predefined(&rig, 'A', 1, false, "on");
    rig_commit(&rig); /* acknowledged from the spool */
    rig_connect(&rig, 'A', "aaa", false, 60);
    publish_predefined(&rig, 'A', 1, true, "on"); /* its first transmission was lost */
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/button qos 1 \"on\" pid 1 !4\n"
                                    "^ PUBLISH yard/button qos 1 \"on\" pid 2 !4\n"));
    rig_fini(&rig);
}

/* PUBLISH was repeated, so the device says "invalid topic id" twice: that is one refusal. */
static void
invalid_topic_id_said_twice_to_one_round_does_not_drop_the_message(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_broker_publish(&rig, "cmd/a", "1", 1, 9, 1);
    rig_wait(&rig, 10000); /* sent again */
    rig_commit(&rig);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 1, 2);
    rig_puback(&rig, 'A', 1, 1, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 cmd/a msg 2\n"));
    rig_regack(&rig, 'A', 1, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"1\"\n"));
    rig_fini(&rig);
}

/* R63: the MsgId is decisive; some peers write TopicId 0. */
static void
invalid_topic_id_with_topic_id_0_registers_the_topic_of_the_message(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_broker_publish(&rig, "cmd/a", "1", 1, 9, 1);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 0, 1, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 cmd/a msg 2\n"));
    rig_fini(&rig);
}

/* Design 6: it ends in DISCONNECT at the next contact, also when that comes after a restart. */
static void
subscription_refused_after_it_was_accepted_is_told_after_a_restart(void) /* R85 */
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "cmd/a", 1, 4);
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 0x87);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    rig_fini(&rig);
}

/* ---- order ---- */

/* R66: the device learns the id from the SUBACK; what waits for the disk must not be overtaken. */
static void
message_does_not_overtake_the_suback_that_waits_for_the_disk(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "a", 0, 4);
    rig_commit(&rig);
    rig_register(&rig, 'A', "t/1", 5); /* not committed when the broker answers */
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 1 qos 0 msg 4 code 0 !5\n"));
    rig_broker_publish(&rig, "a", "1", 0, 0, 1);
    CU_ASSERT_FALSE(leaves_at_once(&rig, "A> PUBLISH"));
    rig_fini(&rig);
}

static void
message_does_not_overtake_the_suback_given_while_the_broker_was_away(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'B', "bbb", false, "a", 0);
    rig_device(&rig, 'A', "aaa", false);
    rig_broker_down(&rig);
    rig_subscribe(&rig, 'A', "a", 0, 4);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 1 qos 0 msg 4 code 0 !8\n"));
    rig_broker_up(&rig, MQTT_5, true);
    rig_broker_publish(&rig, "a", "1", 0, 0, 1);
    CU_ASSERT_FALSE(leaves_at_once(&rig, "A> PUBLISH"));
    rig_fini(&rig);
}

static void
message_does_not_overtake_the_regack_that_names_its_id(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "t/+", 0);
    rig_register(&rig, 'A', "t/1", 5);
    CU_ASSERT_FALSE(leaves_at_once(&rig, "A> REGACK"));
    rig_broker_publish(&rig, "t/1", "1", 0, 0, 1);
    CU_ASSERT_FALSE(leaves_at_once(&rig, "A> PUBLISH"));
    rig_fini(&rig);
}

/* ---- sleep ---- */

/* R27: the old client runs into its own supervision. */
static void
awake_device_whose_address_is_taken_over_is_supervised_again(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", true, "a", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa"); /* awake, the PUBLISH is open */
    rig_connect(&rig, 'A', "bbb", false, 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.log_records = true;
    rig_wait(&rig, 1000000);
    CU_ASSERT_TRUE(strstr(rig.text, "# delete session 1\n") != NULL);
    rig_fini(&rig);
}

/* Design 1: the id is committed when the message is queued, not at wake. */
static void
register_at_wake_does_not_wait_for_the_disk(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/+", 1);
    rig_broker_publish(&rig, "cmd/x", "1", 1, 9, 1);
    rig_broker_publish(&rig, "cmd/y", "2", 1, 10, 1); /* waits behind the first */
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_regack(&rig, 'A', 1, 4, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 cmd/x msg 4\nA> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 2 cmd/y msg 5\n"));
    rig_fini(&rig);
}

/* R62: clients without REGISTER exist; one that asks again and again must not stay awake for ever.
 */
static void
sleeping_device_that_never_answers_register_gets_its_pingresp_at_last(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/+", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "cmd/x", "1", 1, 9, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    for (int i = 0; i < 50; i++) {
        rig_ping(&rig, 'A', "aaa"); /* its own T_retry */
        rig_wait(&rig, 11000);
    }
    CU_ASSERT_TRUE(strstr(rig.text, "PINGRESP") != NULL);
    rig_fini(&rig);
}

/* The return from sleep is not recorded; until the device is heard, the longer time counts. */
static void
active_device_recorded_as_asleep_is_not_lost_early_after_a_restart(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_connect(&rig, 'A', "aaa", false, 3600);
    rig_disconnect(&rig, 'A', 60);
    rig_connect(&rig, 'A', "aaa", false, 3600); /* costs no write */
    rig_commit(&rig);
    rig_restart(&rig);
    rig_wait(&rig, 3600000); /* its keep-alive time */
    rig_clear(&rig);
    rig_ping(&rig, 'A', "");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    rig_fini(&rig);
}

/* Design 3: given when the device repeats, and that it did. */
static void
suback_repeated_for_after_sleep_is_sent_when_the_broker_answers(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "a/#", 0, 7);
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_subscribe(&rig, 'A', "a/#", 0, 7);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 0 qos 0 msg 7 code 0\n"));
    rig_fini(&rig);
}

static void
answer_of_the_broker_is_not_sent_to_a_lost_device(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "a/#", 0, 7);
    rig_commit(&rig);
    rig_wait(&rig, 90000);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

/* R76: every valid message, also one that has no other effect. */
static void
message_that_needs_no_answer_is_a_sign_of_life(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    for (int i = 0; i < 3; i++) {
        rig_wait(&rig, 60000);
        rig_send(&rig, 'A', &(struct mqttsn_packet){.type = MQTTSN_SEARCHGW});
    }
    rig_clear(&rig);
    rig_ping(&rig, 'A', "");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    rig_fini(&rig);
}

/* ---- the broker ---- */

/* Design 6: every connect sends the difference; what may be there is not forgotten. */
static void
filter_given_up_before_its_suback_is_unsubscribed_after_a_new_connection(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "cmd/#", 1, 4);
    rig_commit(&rig);
    rig_unsubscribe(&rig, 'A', "cmd/#", 9);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    rig_broker_down(&rig); /* before it read the UNSUBSCRIBE */
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    CU_ASSERT_TRUE(strstr(rig.text, "^ UNSUBSCRIBE cmd/#") != NULL);
    rig_fini(&rig);
}

/* Messages that the broker does not repeat (it expired them) hold no place in the window. */
static void
messages_not_redelivered_do_not_count_as_held(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.options.receive_maximum = 6;
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1);
    rig_broker_publish(&rig, "a", "2", 1, 10, 1);
    rig_broker_down(&rig);
    rig_puback(&rig, 'A', 1, 1, 0);
    rig_puback(&rig, 'A', 1, 2, 0);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig.log_records = true;
    rig_broker_publish(&rig, "a", "3", 1, 11, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 3 \"3\"\n")); /* no write */
    rig_fini(&rig);
}

static void
refused_subscription_lets_the_messages_of_the_other_go(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "a", 0, 4);
    rig_subscribe(&rig, 'A', "b", 0, 5);
    rig_commit(&rig);
    rig_broker_packet(&rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                  .topic = dm_span_text("a"),
                                                  .payload = dm_span_text("r"),
                                                  .retain = true,
                                                  .subscription_ids = {1},
                                                  .subscription_id_count = 1});
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 0x87);
    rig_commit(&rig);
    CU_ASSERT_TRUE(strstr(rig.text, "A> PUBLISH 1 qos 0 msg 0 retain \"r\"") != NULL);
    rig_fini(&rig);
}

/* A clean session that is wiped settles what it had: the broker's acknowledgement must not wait. */
static void
wiping_a_session_that_must_reconnect_acknowledges_what_it_held(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", true, "a", 1);
    rig_broker_down(&rig);
    rig_subscribe(&rig, 'A', "b", 1, 4);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 0x87);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1);
    rig_register(&rig, 'A', "t/1", 5);
    CU_ASSERT_TRUE(strstr(rig.text, "A> DISCONNECT\n") != NULL);
    CU_ASSERT_TRUE(strstr(rig.text, "^ PUBACK pid 9\n") != NULL);
    rig_fini(&rig);
}

/* Reference 5.1: a broker whose maximum QoS is 0 closes the connection for QoS 1. */
static void
publish_respects_the_maximum_qos_of_the_broker(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    engine_upstream_connected(rig.engine, rig.now_ms, 0,
                              &(struct upstream_session){.version = MQTT_5,
                                                         .send_maximum = 10,
                                                         .maximum_qos = 0,
                                                         .retain_available = true,
                                                         .subscription_ids_available = true});
    rig_commit(&rig);
    publish_predefined(&rig, 'A', 5, false, "on");
    CU_ASSERT_TRUE(
        rig_expect(&rig, "^ PUBLISH yard/button qos 0 \"on\"\nA> PUBACK 7 msg 5 code 0\n"));
    rig_fini(&rig);
}

/* The spool took the message while the device slept, and the disk is slow: the repetition waits
 * too. */
static void
puback_repeated_for_after_sleep_waits_for_the_commit_of_the_spool(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    publish_predefined(&rig, 'A', 5, false, "on");
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_wait(&rig, 1000); /* store_after */
    rig_clear(&rig);
    publish_predefined(&rig, 'A', 5, true, "on");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 7 msg 5 code 0 !4\n"));
    rig_fini(&rig);
}

/* ---- limits ---- */

/* Design 1 rule 6: a slow broker and one device that asks without end. */
static void
subscribe_flood_while_the_broker_is_silent_ends_in_congestion(void)
{
    struct rig rig;
    unsigned sent = 0;
    bool refused = false;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    for (; sent < 30000 && !refused; sent++) {
        rig_subscribe(&rig, 'A', "cmd/a", 1, (uint16_t)(sent + 2));
        rig_commit(&rig);
        refused = strstr(rig.text, "SUBACK 0 qos 0") != NULL;
        rig_clear(&rig);
    }
    CU_ASSERT_TRUE(refused);
    rig_fini(&rig);
}

static enum dm_result
emit_nothing(void *ctx, const struct engine_effect *effect)
{
    (void)ctx;
    (void)effect;
    return DM_OK;
}

/* An engine that takes rows. */
static void
rig_unstarted(struct rig *rig)
{
    rig_init(rig);
    engine_free(rig->engine);
    rig->engine = engine_new(&rig->options, emit_nothing, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rig->engine);
}

/* Rows of a file are checked like any other input: engine_each_session has room for 256. */
static void
subscription_rows_beyond_the_limit_are_left_out(void)
{
    struct rig rig;
    struct store_record session = {
        .op = STORE_SESSION_PUT, .session = 1, .client_id = dm_span_text("a"), .epoch = 1};
    unsigned taken = 0;

    rig_unstarted(&rig);
    CU_ASSERT_EQUAL(engine_load(rig.engine, &session, NULL), DM_OK);
    for (uint32_t i = 1; i <= 300; i++) {
        char filter[16];

        snprintf(filter, sizeof filter, "t/%03u", (unsigned)i);
        taken += engine_load(rig.engine,
                             &(struct store_record){.op = STORE_SUBSCRIPTION_PUT,
                                                    .session = 1,
                                                    .name = dm_span_text(filter),
                                                    .upstream_id = i,
                                                    .order = i},
                             NULL) == DM_OK;
    }
    CU_ASSERT_EQUAL(taken, 256);
    rig_fini(&rig);
}

/* As above: a wildcard in a name or a filter that is none makes the broker close the connection,
 * again after every restart. */
static void
rows_with_invalid_names_are_left_out(void)
{
    static const struct store_record rows[] = {
        {.op = STORE_SUBSCRIPTION_PUT, .session = 1, .order = 1, .upstream_id = 1},
        {.op = STORE_TOPIC_PUT, .session = 1, .topic_id = 0xffff},
        {.op = STORE_SPOOL_PUT, .session = 1, .order = 1},
    };
    static const char *const names[] = {"a+", "t", "a/#"};
    struct rig rig;
    struct store_record session = {
        .op = STORE_SESSION_PUT, .session = 1, .client_id = dm_span_text("a"), .epoch = 1};

    rig_unstarted(&rig);
    CU_ASSERT_EQUAL(engine_load(rig.engine, &session, NULL), DM_OK);
    for (size_t i = 0; i < 3; i++) {
        struct store_record row = rows[i];

        row.name = dm_span_text(names[i]);
        CU_ASSERT_EQUAL(engine_load(rig.engine, &row, NULL), DM_MALFORMED);
    }
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(address_taken_over_belongs_to_the_new_client_after_a_restart),
    UNIT_TEST(copy_not_acknowledged_before_a_restart_is_delivered_after_it),
    UNIT_TEST(copy_of_the_filter_the_broker_held_first_counts_after_it_lost_its_session),
    UNIT_TEST(copy_counts_while_the_filter_before_it_is_only_thought_to_be_held),
    UNIT_TEST(retained_copy_with_3_1_1_not_acknowledged_before_a_restart_is_delivered_after_it),
    UNIT_TEST(pubcomp_repeated_before_the_commit_of_the_removal_waits_as_well),
    UNIT_TEST(message_with_the_id_of_one_whose_answer_was_missed_is_a_new_message_if_it_differs),
    UNIT_TEST(repetition_of_a_message_stored_while_the_device_slept_is_answered_after_the_commit),
    UNIT_TEST(identifier_the_broker_may_still_use_is_not_given_to_another_filter_after_a_restart),
    UNIT_TEST(identifier_the_broker_may_still_use_is_not_given_away_after_the_second_restart),
    UNIT_TEST(identifier_the_broker_may_still_use_is_not_given_away_after_it_lost_its_session),
    UNIT_TEST(message_equal_to_one_spooled_for_a_wiped_session_is_not_taken_for_its_repetition),
    UNIT_TEST(message_equal_to_one_acknowledged_in_an_earlier_connection_is_a_new_message),
    UNIT_TEST(invalid_topic_id_said_twice_to_one_round_does_not_drop_the_message),
    UNIT_TEST(invalid_topic_id_with_topic_id_0_registers_the_topic_of_the_message),
    UNIT_TEST(subscription_refused_after_it_was_accepted_is_told_after_a_restart),
    UNIT_TEST(message_does_not_overtake_the_suback_that_waits_for_the_disk),
    UNIT_TEST(message_does_not_overtake_the_suback_given_while_the_broker_was_away),
    UNIT_TEST(message_does_not_overtake_the_regack_that_names_its_id),
    UNIT_TEST(awake_device_whose_address_is_taken_over_is_supervised_again),
    UNIT_TEST(register_at_wake_does_not_wait_for_the_disk),
    UNIT_TEST(sleeping_device_that_never_answers_register_gets_its_pingresp_at_last),
    UNIT_TEST(active_device_recorded_as_asleep_is_not_lost_early_after_a_restart),
    UNIT_TEST(suback_repeated_for_after_sleep_is_sent_when_the_broker_answers),
    UNIT_TEST(answer_of_the_broker_is_not_sent_to_a_lost_device),
    UNIT_TEST(message_that_needs_no_answer_is_a_sign_of_life),
    UNIT_TEST(filter_given_up_before_its_suback_is_unsubscribed_after_a_new_connection),
    UNIT_TEST(messages_not_redelivered_do_not_count_as_held),
    UNIT_TEST(refused_subscription_lets_the_messages_of_the_other_go),
    UNIT_TEST(wiping_a_session_that_must_reconnect_acknowledges_what_it_held),
    UNIT_TEST(publish_respects_the_maximum_qos_of_the_broker),
    UNIT_TEST(puback_repeated_for_after_sleep_waits_for_the_commit_of_the_spool),
    UNIT_TEST(subscribe_flood_while_the_broker_is_silent_ends_in_congestion),
    UNIT_TEST(subscription_rows_beyond_the_limit_are_left_out),
    UNIT_TEST(rows_with_invalid_names_are_left_out),
};

UNIT_MAIN("engine_faults", tests)
