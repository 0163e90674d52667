/* SPDX-License-Identifier: Apache-2.0 */
/* QoS 2 with devices in both directions: exactly once through loss, sleep, reconnect and restart
 * (R45 to R50, R60 to R64, M33 to M38, M52). */
#include "unit.h"

#include <stdio.h>

#include "engine_rig.h"

/* Device A, registered t/1 as id 1, with a broker; nothing left in the list. */
static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device(rig, 'A', "aaa", false);
    rig_register(rig, 'A', "t/1", 1);
    rig_commit(rig);
    rig_clear(rig);
}

/* The same, and the device is subscribed to t/1 with QoS 2; subscription identifier 1. */
static void
begin_subscribed(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device_subscribed(rig, 'A', "aaa", false, "t/1", 2);
}

static void
from_device(struct rig *rig, uint16_t msg_id, bool dup, const char *data)
{
    rig_send(rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = 2,
                                     .dup = dup,
                                     .topic_id = 1,
                                     .msg_id = msg_id,
                                     .data = dm_span_text(data)});
}

/* ---- from the device ---- */

static void
publish_is_committed_before_anything_leaves_and_ends_with_pubcomp(void) /* R45, R48 */
{
    struct rig rig;

    begin(&rig);
    rig.log_records = true;
    from_device(&rig, 9, false, "x");
    CU_ASSERT_TRUE(
        rig_expect(&rig, "# spool 1\n# received 9\n^ PUBLISH t/1 qos 2 \"x\" pid 1 !5\n"));
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREC msg 9\n# release 1\n^ PUBREL pid 1 !6\n"));
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREL, 9);
    CU_ASSERT_TRUE(rig_expect(&rig, "# delete received 9\nA> PUBCOMP msg 9 !7\n"));
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "~# delete release 1\n~# delete spool 1\n"));
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREL, 9); /* M33: PUBCOMP was lost */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBCOMP msg 9\n"));
    rig_fini(&rig);
}

static void
publish_repeated_until_pubrel_reaches_the_broker_once(void) /* R50 */
{
    struct rig rig;

    begin(&rig);
    from_device(&rig, 9, false, "x");
    rig_commit(&rig);
    rig_clear(&rig);
    from_device(&rig, 9, true, "x"); /* the broker has not answered yet: absorbed (R88) */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    rig_clear(&rig);
    from_device(&rig, 9, false, "x"); /* whatever DUP says */
    from_device(&rig, 9, true, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREC msg 9\nA> PUBREC msg 9\n"));
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0);
    from_device(&rig, 9, true, "x"); /* done upstream, not released by the device */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREC msg 9\n"));
    rig_step(&rig, 'A', MQTTSN_PUBREL, 9);
    rig_commit(&rig);
    rig_clear(&rig);
    from_device(&rig, 9, false, "x"); /* the next message may be equal */
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH t/1 qos 2 \"x\" pid 2"));
    rig_fini(&rig);
}

static void
duplicates_are_known_through_sleep_reconnect_and_restart(void) /* R50 */
{
    struct rig rig;

    begin(&rig);
    from_device(&rig, 9, false, "x");
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0);
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_clear(&rig);
    from_device(&rig, 9, true, "x"); /* 3.13: processed, stays asleep */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREC msg 9\n"));
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    from_device(&rig, 9, true, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREC msg 9\n"));
    rig_connect(&rig, 'A', "aaa", true, 60); /* CleanSession = 1 clears the set */
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RECEIVED_PUT), 0);
    rig_fini(&rig);
}

/* It is in databases of earlier versions and of other machines. */
static void
hash_of_the_content_stays_what_it_was(void)
{
    const struct store_record *row;
    struct rig rig;
    bool found = false;

    begin(&rig);
    from_device(&rig, 9, false, "x");
    rig_commit(&rig);
    for (size_t i = 0; (row = rig_row(&rig, i)) != NULL; i++) {
        if (row->op != STORE_RECEIVED_PUT)
            continue;
        CU_ASSERT_EQUAL(row->content, UINT64_C(7453475168708307615)); /* FNV-1a, twice 32 bits */
        found = true;
    }
    CU_ASSERT_TRUE(found);
    rig_fini(&rig);
}

static void
same_msg_id_with_other_content_is_a_message_of_a_rebooted_device(void) /* design 5, M52 */
{
    struct rig rig;

    begin(&rig);
    from_device(&rig, 1, false, "before");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_register(&rig, 'A', "t/1", 1);
    rig_commit(&rig);
    rig_clear(&rig);
    from_device(&rig, 1, false, "after");
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH t/1 qos 2 \"after\" pid 2"));
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0); /* the device does not wait for this one */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBREL pid 1 !11\n"));
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREC msg 1\n^ PUBREL pid 2 !12\n"));
    rig_fini(&rig);
}

static void
broker_away_takes_the_message_into_the_spool(void) /* design 5 */
{
    struct rig rig;

    begin(&rig);
    rig_broker_down(&rig);
    from_device(&rig, 9, false, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREC msg 9 !5\n"));
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREL, 9);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH t/1 qos 2 dup \"x\" pid 1\n"));
    rig_fini(&rig);
}

static void
silent_broker_makes_the_disk_answer_after_store_after(void)
{
    struct rig rig;

    begin(&rig);
    from_device(&rig, 9, false, "x");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 1000);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREC msg 9\n"));
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBREL pid 1 !6\n"));
    rig_fini(&rig);
}

static void
phase_upstream_survives_a_restart_and_a_reconnect(void)
{
    struct rig rig;

    begin(&rig);
    from_device(&rig, 9, false, "x");
    rig_commit(&rig);
    rig_broker_down(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true); /* before PUBREC: the same id again */
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH t/1 qos 2 dup \"x\" pid 1\n"));
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true); /* after it: only PUBREL, never PUBLISH */
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBREL pid 1\n"));
    CU_ASSERT_PTR_NULL(strstr(rig.text, "PUBLISH"));
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0x92); /* "not found": it was complete */
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SPOOL_PUT), 0);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 0);
    rig_fini(&rig);
}

static void
broker_that_lost_its_session_gets_the_message_again_as_new(void) /* design 6 */
{
    struct rig rig;

    begin(&rig);
    from_device(&rig, 9, false, "x");
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    rig_commit(&rig);
    rig_broker_down(&rig);
    rig.log_records = true;
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, false); /* before PUBREL it never forwarded the message */
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "# spool 1\n# spool 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH t/1 qos 2 \"x\" pid 2 !"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 0);
    rig_fini(&rig);
}

static void
refusal_of_the_broker_is_a_puback_and_ends_the_exchange(void) /* R47, reference 5.4 */
{
    struct rig rig;

    begin(&rig);
    from_device(&rig, 9, false, "x");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0x87);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 9 code 3\n"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SPOOL_PUT), 0);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RECEIVED_PUT), 0);
    from_device(&rig, 9, false, "x"); /* tried again: a new message */
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0x97);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 9 code 1\n"));
    rig_fini(&rig);
}

static void
broker_of_a_lower_qos_gets_what_it_knows(void) /* reference 5.1 */
{
    for (uint8_t maximum = 0; maximum <= 1; maximum++) {
        struct rig rig;

        begin(&rig);
        rig_broker_down(&rig);
        engine_upstream_connected(rig.engine, rig.now_ms, 0,
                                  &(struct upstream_session){.version = MQTT_5,
                                                             .session_present = true,
                                                             .send_maximum = 10,
                                                             .maximum_qos = maximum});
        rig_clear(&rig);
        from_device(&rig, 9, false, "x");
        if (maximum == 0) {
            CU_ASSERT_TRUE(rig_expect(&rig, ""));
            rig_commit(&rig);
            CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 0 \"x\"\nA> PUBREC msg 9\n"));
        } else {
            CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 1 \"x\" pid 1 !5\n"));
            rig_commit(&rig);
            rig_broker_answer(&rig, MQTT_PUBREC, 1, 0); /* not what it was asked */
            CU_ASSERT_TRUE(rig_expect(&rig, ""));
            rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
            CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREC msg 9\n"));
        }
        rig_fini(&rig);
    }
}

static void
later_message_of_the_device_does_not_overtake_one_that_waits_for_the_disk(void) /* design 1 */
{
    struct rig rig;

    begin(&rig);
    from_device(&rig, 9, false, "first");
    rig_publish(&rig, 'A', 1, 1, 10, "second");
    rig_publish(&rig, 'A', 1, 0, 0, "third");
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 2 \"first\" pid 1 !5\n"
                                    "^ PUBLISH t/1 qos 1 \"second\" pid 2 !5\n"
                                    "^ PUBLISH t/1 qos 0 \"third\" !5\n"));
    rig_fini(&rig);
}

static void
many_unreleased_messages_give_up_the_oldest(void) /* R51 */
{
    struct rig rig;

    begin(&rig);
    rig_broker_down(&rig);
    for (uint16_t id = 1; id <= 20; id++)
        from_device(&rig, id, false, "x");
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RECEIVED_PUT), 16);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SPOOL_PUT), 20);
    rig_fini(&rig);
}

static void
disk_that_fails_gives_congestion_once_a_second(void) /* R53, M53 */
{
    struct rig rig;

    begin(&rig);
    engine_store_degraded(rig.engine, true);
    from_device(&rig, 9, false, "x");
    from_device(&rig, 10, false, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 9 code 1\n"));
    rig_wait(&rig, 1000);
    from_device(&rig, 10, false, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 10 code 1\n"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SPOOL_PUT), 0);
    rig_fini(&rig);
}

/* ---- to the device ---- */

static void
message_is_committed_published_released_and_done(void) /* R60 */
{
    struct rig rig;

    begin_subscribed(&rig);
    rig.log_records = true;
    rig_broker_publish(&rig, "t/1", "x", 2, 70, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "# copies 1 qos 2\n# copy 1 qos 2 taken\n"
                                    "# message 1\n# delivery 1 msg 1\n# inbound 70\n"));
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBREC pid 70\nA> PUBLISH 1 qos 2 msg 1 \"x\"\n"));
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "# delivery 1 msg 1 released\nA> PUBREL msg 1 !11\n"));
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "~# delete delivery 1\n~# delete message 1\n"));
    rig_wait(&rig, 60000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static void
each_step_is_repeated_and_publish_never_after_pubrec(void) /* R60, R64 */
{
    struct rig rig;

    begin_subscribed(&rig);
    rig_broker_publish(&rig, "t/1", "x", 2, 70, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 10000);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 2 msg 1 dup \"x\"\n"));
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 10000);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1\n"));
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1); /* repeated by the device: PUBREL was lost */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1\n"));
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1); /* M35 */
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);  /* R64, M34: lets it finish */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1\n"));
    rig_fini(&rig);
}

static void
phase_survives_sleep_and_restart(void) /* R97 */
{
    struct rig rig;

    begin_subscribed(&rig);
    rig_broker_publish(&rig, "t/1", "one", 2, 70, 1);
    rig_broker_publish(&rig, "t/1", "two", 2, 71, 1);
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_commit(&rig);
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa"); /* PUBREL first, never the PUBLISH again */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1\n"));
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 2 msg 2 dup \"two\"\n"));
    rig_step(&rig, 'A', MQTTSN_PUBREC, 2);
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 2 !3\n"
                                    "A> PINGRESP\n"));
    rig_fini(&rig);
}

static void
awake_device_that_dies_before_pubcomp_finds_the_phase_again(void) /* R99 */
{
    struct rig rig;

    begin_subscribed(&rig);
    rig_disconnect(&rig, 'A', 1000);
    rig_commit(&rig);
    rig_broker_publish(&rig, "t/1", "x", 2, 70, 1);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_commit(&rig);
    rig_wait(&rig, 40000); /* silence: asleep again, without PINGRESP */
    rig_clear(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1); /* late: its reply, and it stays asleep */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1\n"));
    rig_ping(&rig, 'A', "aaa");
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1\nA> PINGRESP\n"));
    rig_fini(&rig);
}

static void
awake_device_does_not_wait_for_the_disk(void) /* design 1 rule 4 */
{
    struct rig rig;

    begin_subscribed(&rig);
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_broker_publish(&rig, "t/1", "x", 2, 70, 1); /* not committed yet */
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 2 msg 1 \"x\"\n"));
    rig_fini(&rig);
}

static void
puback_for_qos2_counts_only_as_a_refusal(void) /* M36, M37 */
{
    struct rig rig;

    begin_subscribed(&rig);
    rig_broker_publish(&rig, "t/1", "one", 2, 70, 1);
    rig_broker_publish(&rig, "t/1", "two", 2, 71, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_puback(&rig, 'A', 1, 1, 3);
    rig_commit(&rig); /* it does not come back any more */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 2 msg 2 \"two\"\n"));
    rig_step(&rig, 'A', MQTTSN_PUBREC, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 2, 3); /* after PUBREC it is the device's */
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static void
pubrec_for_a_qos1_message_is_ignored(void) /* M38 */
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "t/1", 1);
    rig_broker_publish(&rig, "t/1", "x", 1, 70, 1);
    rig_clear(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 70\n"));
    rig_fini(&rig);
}

static void
delivered_qos_is_the_lower_of_published_and_granted(void) /* R65 */
{
    for (int8_t granted = 0; granted <= 2; granted++) {
        for (int8_t qos = 0; qos <= 2; qos++) {
            struct rig rig;
            char line[64];

            rig_init(&rig);
            rig_broker_up(&rig, MQTT_5, false);
            rig_device_subscribed(&rig, 'A', "aaa", false, "t/1", granted);
            rig_broker_publish(&rig, "t/1", "x", (uint8_t)qos, qos > 0 ? 70 : 0, 1);
            rig_commit(&rig);
            snprintf(line, sizeof line, "A> PUBLISH 1 qos %d msg", qos < granted ? qos : granted);
            CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, line));
            rig_fini(&rig);
        }
    }
}

static void
full_queue_does_not_drop_a_released_message(void)
{
    struct rig rig;
    struct engine_status status;

    begin_subscribed(&rig);
    rig.options.settings.queue_messages = 2;
    rig_broker_publish(&rig, "t/1", "one", 2, 70, 1);
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_commit(&rig);
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_broker_publish(&rig, "t/1", "two", 2, 71, 1);
    rig_broker_publish(&rig, "t/1", "three", 2, 72, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.dropped[ENGINE_DROP_OVERFLOW], 1);
    rig_ping(&rig, 'A', "aaa");
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1\nA> PUBLISH 1 qos 2 msg 3 \"three\"\n"));
    rig_fini(&rig);
}

static void
device_that_never_completes_loses_the_message_after_three_rounds(void) /* R61 */
{
    struct rig rig;
    struct engine_status status;

    begin_subscribed(&rig);
    rig_broker_publish(&rig, "t/1", "x", 2, 70, 1);
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_commit(&rig);
    for (int i = 0; i < 12; i++) {
        rig_wait(&rig, 10000);
        rig_ping(&rig, 'A', "");
    }
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.dropped[ENGINE_DROP_REFUSED], 1);
    CU_ASSERT_EQUAL(status.queued_messages, 0);
    rig_fini(&rig);
}

static void
same_msg_id_in_both_directions_is_two_exchanges(void) /* R59 */
{
    struct rig rig;

    begin_subscribed(&rig);
    rig_broker_publish(&rig, "t/1", "down", 2, 70, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    from_device(&rig, 1, false, "up");
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREL, 1);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1 !14\nA> PUBCOMP msg 1 !15\n"));
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    rig_wait(&rig, 30000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

/* After a crash the end of the exchange before it is not durable, so it is not the head. */
static void
pubrec_for_a_message_behind_the_head_releases_it(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 2);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "a", "1", 2, 9, 1);
    rig_broker_publish(&rig, "a", "2", 2, 10, 1);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_clear(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 2);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 2 !1\n"
                                    "A> PUBLISH 1 qos 2 msg 1 dup \"1\"\n"));
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 2);
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1 !2\n"
                                    "A> PINGRESP\n"));
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(pubrec_for_a_message_behind_the_head_releases_it),
    UNIT_TEST(publish_is_committed_before_anything_leaves_and_ends_with_pubcomp),
    UNIT_TEST(publish_repeated_until_pubrel_reaches_the_broker_once),
    UNIT_TEST(duplicates_are_known_through_sleep_reconnect_and_restart),
    UNIT_TEST(hash_of_the_content_stays_what_it_was),
    UNIT_TEST(same_msg_id_with_other_content_is_a_message_of_a_rebooted_device),
    UNIT_TEST(broker_away_takes_the_message_into_the_spool),
    UNIT_TEST(silent_broker_makes_the_disk_answer_after_store_after),
    UNIT_TEST(phase_upstream_survives_a_restart_and_a_reconnect),
    UNIT_TEST(broker_that_lost_its_session_gets_the_message_again_as_new),
    UNIT_TEST(refusal_of_the_broker_is_a_puback_and_ends_the_exchange),
    UNIT_TEST(broker_of_a_lower_qos_gets_what_it_knows),
    UNIT_TEST(later_message_of_the_device_does_not_overtake_one_that_waits_for_the_disk),
    UNIT_TEST(many_unreleased_messages_give_up_the_oldest),
    UNIT_TEST(disk_that_fails_gives_congestion_once_a_second),
    UNIT_TEST(message_is_committed_published_released_and_done),
    UNIT_TEST(each_step_is_repeated_and_publish_never_after_pubrec),
    UNIT_TEST(phase_survives_sleep_and_restart),
    UNIT_TEST(awake_device_that_dies_before_pubcomp_finds_the_phase_again),
    UNIT_TEST(awake_device_does_not_wait_for_the_disk),
    UNIT_TEST(puback_for_qos2_counts_only_as_a_refusal),
    UNIT_TEST(pubrec_for_a_qos1_message_is_ignored),
    UNIT_TEST(delivered_qos_is_the_lower_of_published_and_granted),
    UNIT_TEST(full_queue_does_not_drop_a_released_message),
    UNIT_TEST(device_that_never_completes_loses_the_message_after_three_rounds),
    UNIT_TEST(same_msg_id_in_both_directions_is_two_exchanges),
};

UNIT_MAIN("engine_qos2", tests)
