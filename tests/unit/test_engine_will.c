/* SPDX-License-Identifier: Apache-2.0 */
/* Wills: the handshake under loss, the session state, updates, and what is published when (R16 to
 * R39, M15 to M17, M50, M51). */
#include "unit.h"

#include <stdio.h>

#include "engine_rig.h"

static void
will_topic(struct rig *rig, char who)
{
    rig_will_topic(rig, who, MQTTSN_WILLTOPIC, "w/a", 1, true);
}

static void
will_message(struct rig *rig, char who)
{
    rig_will_message(rig, who, MQTTSN_WILLMSG, "lost");
}

/* Fresh rig with a broker. */
static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_clear(rig);
}

/* ---- handshake ---- */

static void
handshake_asks_for_topic_and_message_and_connects_when_it_is_durable(void) /* R16 */
{
    struct rig rig;

    begin(&rig);
    rig.log_records = true;
    rig_connect_will(&rig, 'A', "aaa", false);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLTOPICREQ\n"));
    will_topic(&rig, 'A');
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLMSGREQ\n"));
    will_message(&rig, 'A');
    CU_ASSERT_TRUE(rig_expect(&rig, "# session aaa active\n# will w/a\nA> CONNACK 0 !3\n"));
    rig_fini(&rig);
}

/* The device repeats what it sent last when an answer does not come (R87); each message and each
 * answer of the handshake may be lost once. */
static void
handshake_answers_every_repetition_the_same(void) /* R21 */
{
    struct rig rig;

    begin(&rig);
    rig_connect_will(&rig, 'A', "aaa", false);
    rig_connect_will(&rig, 'A', "aaa", false); /* WILLTOPICREQ was lost */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLTOPICREQ\nA> WILLTOPICREQ\n"));
    will_topic(&rig, 'A');
    will_topic(&rig, 'A'); /* WILLMSGREQ was lost */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLMSGREQ\nA> WILLMSGREQ\n"));
    rig_connect_will(&rig, 'A', "aaa", false); /* late: the topic is known all the same */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLTOPICREQ\n"));
    will_message(&rig, 'A');
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !3\n"));
    rig_commit(&rig);
    will_message(&rig, 'A'); /* CONNACK was lost */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0\n"));
    rig_wait(&rig, 40000);
    will_message(&rig, 'A'); /* M15: far too late */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static void
empty_will_topic_ends_the_handshake_without_a_will(void) /* R17, R37 */
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "old");
    rig.log_records = true;
    rig_connect_will(&rig, 'A', "aaa", false);
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, "", 0, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLTOPICREQ\n# delete will\nA> CONNACK 0 !4\n"));
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, "", 0, false); /* CONNACK was lost */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !4\n"));
    rig_fini(&rig);
}

static void
handshake_with_a_bad_topic_is_refused_and_changes_nothing(void) /* M16, R55 */
{
    struct rig rig;
    static const char *const bad[] = {"w/+", "w/#", "\xff"};

    begin(&rig);
    rig.log_records = true;
    for (size_t i = 0; i < 3; i++) {
        rig_connect_will(&rig, 'A', "aaa", false);
        rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, bad[i], 1, false);
        CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLTOPICREQ\nA> CONNACK 3\n"));
        will_message(&rig, 'A');
        CU_ASSERT_TRUE(rig_expect(&rig, ""));
    }
    rig_fini(&rig);
}

static void
handshake_that_stops_is_forgotten_and_the_session_goes_on(void) /* R23 */
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "t/a", 1);
    rig_connect_will(&rig, 'A', "aaa", false);
    rig_clear(&rig);
    rig_broker_publish(&rig, "t/a", "x", 1, 5, 1); /* R24: nothing between CONNECT and CONNACK */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_wait(&rig, 39999);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"x\"\n"));
    will_topic(&rig, 'A'); /* M15 */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static void
connect_with_other_parameters_starts_the_handshake_anew(void) /* R22 */
{
    struct rig rig;

    begin(&rig);
    rig_connect_will(&rig, 'A', "aaa", false);
    will_topic(&rig, 'A');
    rig_connect_will(&rig, 'A', "aaa", true);
    rig_clear(&rig);
    will_message(&rig, 'A'); /* of the first attempt: the topic is not known */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_connect(&rig, 'A', "aaa", false, 60); /* and without a will no handshake is left */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !2\n"));
    rig_fini(&rig);
}

static void
handshake_from_another_address_replaces_the_first(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_connect_will(&rig, 'A', "aaa", false);
    rig_connect_will(&rig, 'B', "aaa", false);
    rig_clear(&rig);
    will_topic(&rig, 'A');
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    will_topic(&rig, 'B');
    will_message(&rig, 'B');
    CU_ASSERT_TRUE(rig_expect(&rig, "B> WILLMSGREQ\nB> CONNACK 0 !4\n"));
    rig_fini(&rig);
}

static void
handshake_at_the_address_of_another_client_takes_it_over(void) /* R27 */
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "t/a", 1);
    rig_connect_will(&rig, 'A', "bbb", false);
    rig_clear(&rig);
    rig_broker_publish(&rig, "t/a", "x", 0, 0, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "")); /* not to the new device */
    will_topic(&rig, 'A');
    will_message(&rig, 'A');
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLMSGREQ\nA> CONNACK 0 !8\n"));
    rig_fini(&rig);
}

static void
awake_device_that_connects_with_a_will_is_supervised_meanwhile(void) /* R100 */
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "t/a", 1);
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_broker_publish(&rig, "t/a", "x", 1, 5, 1);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_connect_will(&rig, 'A', "aaa", false);
    rig_clear(&rig);
    rig_wait(&rig, 149999);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    struct engine_status status;
    rig_wait(&rig, 1);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_LOST], 1);
    CU_ASSERT_EQUAL(status.handshakes, 0);
    rig_fini(&rig);
}

static void
handshakes_beyond_the_limit_get_congestion(void)
{
    struct rig rig;
    struct engine_status status;

    begin(&rig);
    rig.options.max_clients = 100000;
    for (unsigned i = 0; i < 4097; i++) {
        struct dm_address from = {.len = 2, .octets = {(uint8_t)(i >> 8), (uint8_t)i}};
        char id[8];

        snprintf(id, sizeof id, "c%u", i);
        rig_clear(&rig);
        engine_datagram(rig.engine, rig.now_ms, &from,
                        &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                                .protocol_id = MQTTSN_PROTOCOL_ID,
                                                .will = true,
                                                .client_id = dm_span_text(id)});
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "CONNACK 1"));
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.handshakes, 4096);
    rig_wait(&rig, 40000);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.handshakes, 0);
    rig_fini(&rig);
}

static void
handshake_that_ends_while_the_disk_fails_gets_congestion(void)
{
    struct rig rig;

    begin(&rig);
    rig_connect_will(&rig, 'A', "aaa", false);
    will_topic(&rig, 'A');
    engine_store_degraded(rig.engine, true);
    rig_clear(&rig);
    will_message(&rig, 'A');
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 1\n"));
    rig_fini(&rig);
}

/* ---- the four combinations of CleanSession and Will (R30) ---- */

static bool
has_will(struct rig *rig)
{
    return rig_count_rows(rig, STORE_WILL_PUT) > 0;
}

static void
clean_session_and_will_decide_what_is_kept(void) /* R30 */
{
    static const struct {
        bool clean, will, keeps_subscription, has_will;
    } cases[] = {
        {true, true, false, true},
        {true, false, false, false},
        {false, true, true, true},
        {false, false, true, true},
    };

    for (size_t i = 0; i < 4; i++) {
        struct rig rig;

        begin(&rig);
        rig_device_with_will(&rig, 'A', "aaa", false, "w/old", "old");
        rig_subscribe(&rig, 'A', "t/a", 1, 1);
        rig_broker_answer(&rig, MQTT_SUBACK, 1, 1);
        rig_commit(&rig);
        if (cases[i].will)
            rig_connect_will(&rig, 'A', "aaa", cases[i].clean);
        else
            rig_connect(&rig, 'A', "aaa", cases[i].clean, 60);
        if (cases[i].will)
            will_topic(&rig, 'A');
        if (cases[i].will)
            will_message(&rig, 'A');
        rig_commit(&rig);
        CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SUBSCRIPTION_PUT) > 0,
                        cases[i].keeps_subscription);
        CU_ASSERT_EQUAL(has_will(&rig), cases[i].has_will);
        rig_clear(&rig);
        rig_wait(&rig, 90000); /* lost */
        CU_ASSERT_EQUAL(strstr(rig.text, "PUBLISH w/a qos 1 retain \"lost\"") != NULL,
                        cases[i].will);
        CU_ASSERT_EQUAL(strstr(rig.text, "PUBLISH w/old qos 1 \"old\"") != NULL,
                        !cases[i].will && !cases[i].clean);
        rig_fini(&rig);
    }
}

/* ---- publication ---- */

static void
will_is_published_once_when_lost_and_not_before_that_is_durable(void) /* R34, R35, design 6 */
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "lost");
    rig.log_records = true;
    rig_wait(&rig, 90000);
    CU_ASSERT_TRUE(
        rig_expect(&rig, "# spool 1\n# session aaa lost\n^ PUBLISH w/a qos 1 \"lost\" pid 1 !5\n"));
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "~# delete spool 1\n"));
    rig_wait(&rig, 900000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_connect(&rig, 'A', "aaa", false, 60); /* armed again (R30) */
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 90000);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH w/a qos 1 \"lost\" pid 2"));
    rig_fini(&rig);
}

static void
will_is_not_published_on_disconnect_sleep_or_reconnect(void) /* R25, R34 */
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "lost");
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_wait(&rig, 900000);
    CU_ASSERT_PTR_NULL(strstr(rig.text, "w/a"));
    rig_fini(&rig);
}

static void
will_of_a_clean_session_is_published_and_the_session_is_gone(void) /* R32, R103 */
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", true, "w/a", "lost");
    rig_disconnect(&rig, 'A', 10);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 15000); /* R92: 1.5 times the sleep */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH w/a qos 1 \"lost\" pid 1 !6\n"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SPOOL_PUT), 1);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SESSION_PUT), 0);
    CU_ASSERT_FALSE(has_will(&rig));
    rig_fini(&rig);
}

static void
will_waits_for_a_broker_that_is_away_in_every_qos(void)
{
    for (int8_t qos = 0; qos <= 2; qos++) {
        struct rig rig;
        char line[64];

        begin(&rig);
        rig_broker_down(&rig);
        rig_connect_will(&rig, 'A', "aaa", false);
        rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, "w/a", qos, false);
        will_message(&rig, 'A');
        rig_commit(&rig);
        rig_wait(&rig, 90000);
        rig_commit(&rig);
        rig_restart(&rig);
        rig_clear(&rig);
        rig_broker_up(&rig, MQTT_5, true);
        snprintf(line, sizeof line, "^ PUBLISH w/a qos %d \"lost\"", qos);
        CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, line));
        rig_fini(&rig);
    }
}

static void
will_of_a_device_that_dies_while_the_gateway_is_down_is_published_after_the_grace(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "lost");
    rig.now_ms += 3600000;
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_wait(&rig, 89999); /* a living device gets one full period (design 1 rule 3) */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_wait(&rig, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH w/a qos 1 \"lost\""));
    rig_fini(&rig);
}

static void
will_that_the_spool_cannot_take_is_counted(void)
{
    struct rig rig;
    struct engine_status status;

    begin(&rig);
    rig.options.spool_bytes = 6 + ENGINE_MESSAGE_OVERHEAD;
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "lost");
    rig_wait(&rig, 90000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.uplink_dropped, 1);
    CU_ASSERT_EQUAL(status.wills_published, 0);
    rig_fini(&rig);
}

static void
operator_removes_a_session_without_publishing_its_will(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "lost");
    CU_ASSERT_EQUAL(engine_forget(rig.engine, rig.now_ms, dm_span_text("aaa")), DM_OK);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    CU_ASSERT_FALSE(has_will(&rig));
    rig_fini(&rig);
}

/* ---- updates ---- */

static void
updates_replace_one_half_and_are_answered_when_durable(void) /* R36 */
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "lost");
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPICUPD, "w/b", 2, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLTOPICRESP 0 !4\n"));
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "bye");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLMSGRESP 0 !5\n"));
    rig_commit(&rig);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "bye"); /* repeated: nothing to write */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLMSGRESP 0\n"));
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_wait(&rig, 90000);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH w/b qos 2 retain \"bye\""));
    rig_fini(&rig);
}

static void
empty_topic_update_deletes_topic_and_message(void) /* R37, M17 */
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "lost");
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPICUPD, "", 0, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLTOPICRESP 0 !4\n"));
    CU_ASSERT_FALSE(has_will(&rig));
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPICUPD, "w/b", 0, false); /* R38: an empty message */
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 90000);
    rig_commit(&rig); /* QoS 0 has no second chance: it leaves when it may */
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH w/b qos 0 \"\""));
    rig_fini(&rig);
}

static void
message_update_without_a_topic_is_kept_until_there_is_one(void) /* R38 */
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "bye");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLMSGRESP 0 !3\n"));
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_wait(&rig, 90000);
    CU_ASSERT_TRUE(rig_expect(&rig, "")); /* lost, and not armed */
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPICUPD, "w/b", 1, false);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 90000);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH w/b qos 1 \"bye\""));
    rig_fini(&rig);
}

static void
update_that_cannot_be_done_keeps_the_old_will(void) /* M51, R39 */
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "lost");
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPICUPD, "w/#", 1, false);
    rig.options.total_bytes = 8;
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPICUPD, "longer/than/that", 1, false);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "longer than that");
    engine_store_degraded(rig.engine, true);
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPICUPD, "", 1, false);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLTOPICRESP 3\nA> WILLTOPICRESP 1\nA> WILLMSGRESP 1\n"
                                    "A> WILLTOPICRESP 1\nA> WILLMSGRESP 1\n"));
    rig_wait(&rig, 90000);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^ PUBLISH w/a qos 1 \"lost\""));
    rig_fini(&rig);
}

static void
update_from_sleep_is_answered_and_from_nowhere_rejected(void) /* 3.13, M50 */
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "lost");
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "bye");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLMSGRESP 0 !5\n"));
    rig_will_message(&rig, 'B', MQTTSN_WILLMSGUPD, "bye");
    CU_ASSERT_TRUE(rig_expect(&rig, "B> DISCONNECT\n"));
    rig_will_message(&rig, 'C', MQTTSN_WILLMSG, "bye"); /* M46 */
    will_topic(&rig, 'C');
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static void
reconnect_with_the_same_will_writes_nothing(void) /* design 1 rule 5 */
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "w/a", "lost");
    rig.log_records = true;
    rig_connect_will(&rig, 'A', "aaa", false);
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, "w/a", 1, false);
    will_message(&rig, 'A');
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLTOPICREQ\nA> WILLMSGREQ\nA> CONNACK 0\n"));
    rig_fini(&rig);
}

/* R24: the device would take it for the answer to what it asks for now. */
static void
connack_of_the_connection_before_does_not_come_into_the_handshake(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.log_withdrawals = true;
    rig_connect(&rig, 'A', "aaa", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WITHDRAW\nA> CONNACK 0 !1\n"));
    rig_connect_will(&rig, 'A', "aaa", true);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WITHDRAW\nA> WILLTOPICREQ\n"));
    rig_fini(&rig);
}

static void
connack_of_the_connection_before_does_not_follow_a_refusal(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig.log_withdrawals = true;
    rig_clear(&rig);
    engine_store_degraded(rig.engine, true);
    rig_connect(&rig, 'A', "aaa", true, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WITHDRAW\nA> CONNACK 1\n"));
    rig_fini(&rig);
}

static void
handshake_has_the_patience_of_the_configuration_that_counts_now(void) /* R23 */
{
    struct rig rig;
    struct engine_options next;

    rig_init(&rig);
    next = rig.options;
    next.settings.retry_ms *= 3; /* 120 s instead of 40 s */
    engine_reconfigure(rig.engine, rig.now_ms, &next);
    rig_connect_will(&rig, 'A', "aaa", false);
    rig_wait(&rig, 100000);
    CU_ASSERT_EQUAL(rig_status(&rig).handshakes, 1);
    rig_wait(&rig, 30000);
    CU_ASSERT_EQUAL(rig_status(&rig).handshakes, 0);
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(handshake_has_the_patience_of_the_configuration_that_counts_now),
    UNIT_TEST(connack_of_the_connection_before_does_not_follow_a_refusal),
    UNIT_TEST(connack_of_the_connection_before_does_not_come_into_the_handshake),
    UNIT_TEST(handshake_asks_for_topic_and_message_and_connects_when_it_is_durable),
    UNIT_TEST(handshake_answers_every_repetition_the_same),
    UNIT_TEST(empty_will_topic_ends_the_handshake_without_a_will),
    UNIT_TEST(handshake_with_a_bad_topic_is_refused_and_changes_nothing),
    UNIT_TEST(handshake_that_stops_is_forgotten_and_the_session_goes_on),
    UNIT_TEST(connect_with_other_parameters_starts_the_handshake_anew),
    UNIT_TEST(handshake_from_another_address_replaces_the_first),
    UNIT_TEST(handshake_at_the_address_of_another_client_takes_it_over),
    UNIT_TEST(awake_device_that_connects_with_a_will_is_supervised_meanwhile),
    UNIT_TEST(handshakes_beyond_the_limit_get_congestion),
    UNIT_TEST(handshake_that_ends_while_the_disk_fails_gets_congestion),
    UNIT_TEST(clean_session_and_will_decide_what_is_kept),
    UNIT_TEST(will_is_published_once_when_lost_and_not_before_that_is_durable),
    UNIT_TEST(will_is_not_published_on_disconnect_sleep_or_reconnect),
    UNIT_TEST(will_of_a_clean_session_is_published_and_the_session_is_gone),
    UNIT_TEST(will_waits_for_a_broker_that_is_away_in_every_qos),
    UNIT_TEST(will_of_a_device_that_dies_while_the_gateway_is_down_is_published_after_the_grace),
    UNIT_TEST(will_that_the_spool_cannot_take_is_counted),
    UNIT_TEST(operator_removes_a_session_without_publishing_its_will),
    UNIT_TEST(updates_replace_one_half_and_are_answered_when_durable),
    UNIT_TEST(empty_topic_update_deletes_topic_and_message),
    UNIT_TEST(message_update_without_a_topic_is_kept_until_there_is_one),
    UNIT_TEST(update_that_cannot_be_done_keeps_the_old_will),
    UNIT_TEST(update_from_sleep_is_answered_and_from_nowhere_rejected),
    UNIT_TEST(reconnect_with_the_same_will_writes_nothing),
};

UNIT_MAIN("engine_will", tests)
