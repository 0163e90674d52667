/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: scripted events on a virtual clock, and the exact list of effects. */
#include "unit.h"

#include "engine_rig.h"

/* ---- CONNECT (R15 to R30) ---- */

static void
connect_is_answered_after_its_commit(void) /* R15 */
{
    struct rig rig;

    rig_init(&rig);
    rig.log_records = true;
    rig_connect(&rig, 'A', "aaa", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "# session aaa active\nA> CONNACK 0 !1\n"));
    rig_commit(&rig);
    /* Nothing changes: nothing is written, and the answer need not wait. */
    rig_connect(&rig, 'A', "aaa", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0\n"));
    rig_fini(&rig);
}

static void
connect_repeated_before_the_commit_still_waits(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_connect(&rig, 'A', "aaa", true, 60);
    rig_connect(&rig, 'A', "aaa", true, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !1\nA> CONNACK 0 !1\n"));
    rig_fini(&rig);
}

static void
connect_that_cannot_be_served_is_refused_without_a_session(void) /* R18 */
{
    struct rig rig;
    struct mqttsn_packet packet = {
        .type = MQTTSN_CONNECT, .protocol_id = 2, .client_id = dm_span_text("aaa")};

    rig_init(&rig);
    rig.log_records = true;
    rig_send(&rig, 'A', &packet); /* R19, M11 */
    packet.protocol_id = MQTTSN_PROTOCOL_ID;
    packet.client_id = dm_span_text(""); /* M9 */
    rig_send(&rig, 'A', &packet);
    packet.client_id = dm_span("a\0b", 3); /* R20 */
    rig_send(&rig, 'A', &packet);
    packet.client_id = dm_span("\xff", 1);
    rig_send(&rig, 'A', &packet);
    rig.options.client_id_max = 23; /* M10 */
    packet.client_id = dm_span_text("a-client-id-of-24-octets");
    rig_send(&rig, 'A', &packet);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 3\nA> CONNACK 3\nA> CONNACK 3\nA> CONNACK 3\n"
                                    "A> CONNACK 3\n"));
    rig_fini(&rig);
}

static void
connect_beyond_max_clients_gets_congestion(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.options.max_clients = 1;
    rig_device(&rig, 'A', "aaa", false);
    rig_connect(&rig, 'B', "bbb", false, 60); /* R29, M14 */
    CU_ASSERT_TRUE(rig_expect(&rig, "B> CONNACK 1\n"));
    rig_connect(&rig, 'A', "aaa", false, 60); /* a known one still comes in */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0\n"));
    rig_fini(&rig);
}

static void
connect_while_the_disk_fails_gets_congestion(void) /* R18 */
{
    struct rig rig;

    rig_init(&rig);
    engine_store_degraded(rig.engine, true);
    rig_connect(&rig, 'A', "aaa", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 1\n"));
    engine_store_degraded(rig.engine, false);
    rig_connect(&rig, 'A', "aaa", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !1\n"));
    rig_fini(&rig);
}

static void
clean_connect_wipes_the_session_and_its_upstream_subscription(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_broker_publish(&rig, "cmd/a", "x", 1, 77, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.log_records = true;
    rig_connect(&rig, 'A', "aaa", true, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "# delete session 1\n"
                                    "~# filter cmd/a\n"
                                    "^ UNSUBSCRIBE cmd/a pid 2 !10\n"
                                    "~# delete message 1\n"
                                    "# session aaa active\n"
                                    "A> CONNACK 0 !12\n"));
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "")); /* the queue is gone */
    rig_broker_answer(&rig, MQTT_UNSUBACK, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "~# filter \n"
                                    "~# delete filter cmd/a\n"));
    rig_fini(&rig);
}

/* ---- SUBSCRIBE (R67 to R73) ---- */

static void
subscribe_waits_for_the_broker_and_the_disk(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig.log_records = true;
    rig_subscribe(&rig, 'A', "cmd/a", 1, 4);
    CU_ASSERT_TRUE(rig_expect(&rig, "# topic 1 cmd/a\n# subscription cmd/a qos 1\n"
                                    "^ SUBSCRIBE cmd/a pid 1 id 1 !4\n"));
    rig_subscribe(&rig, 'A', "cmd/a", 1, 4); /* R70: absorbed */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "# filter cmd/a\n"
                                    "A> SUBACK 1 qos 1 msg 4 code 0 !4\n"));
    rig_commit(&rig);
    rig_subscribe(&rig, 'A', "cmd/a", 1, 5); /* after completion: forwarded again, same id */
    CU_ASSERT_TRUE(rig_expect(&rig, "# subscription cmd/a qos 1\n"
                                    "^ SUBSCRIBE cmd/a pid 2 id 2 !6\n"));
    rig_fini(&rig);
}

static void
subscribe_forms_give_the_ids_of_the_reference(void) /* R44, R67 */
{
    struct rig rig;
    struct mqttsn_packet packet = {.type = MQTTSN_SUBSCRIBE, .msg_id = 5};

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "cmd/+", 2, 4); /* wildcard: 0 */
    packet.topic_type = MQTTSN_TOPIC_PREDEFINED;
    packet.topic_id = 7;
    rig_send(&rig, 'A', &packet);
    packet.topic_type = MQTTSN_TOPIC_SHORT;
    packet.topic_id = 't' << 8 | 'p';
    rig_send(&rig, 'A', &packet);
    rig_subscribe(&rig, 'A', "tp/x", -1, 6); /* 0b11: as QoS 0 (M41) */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 0 qos 2 msg 4 code 0 !2\n"
                                    "A> SUBACK 7 qos 0 msg 5 code 0 !3\n"
                                    "A> SUBACK 0 qos 0 msg 5 code 0 !4\n"
                                    "A> SUBACK 1 qos 0 msg 6 code 0 !6\n"));
    rig_fini(&rig);
}

static void
subscribe_that_cannot_be_served_is_refused(void) /* R69, R71 */
{
    struct rig rig;
    struct mqttsn_packet packet = {.type = MQTTSN_SUBSCRIBE,
                                   .msg_id = 5,
                                   .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                   .topic_id = 99};

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_send(&rig, 'A', &packet); /* M42 */
    packet.bad_topic = true;      /* M39 */
    rig_send(&rig, 'A', &packet);
    packet.bad_topic = false;
    packet.topic_type = MQTTSN_TOPIC_RESERVED;
    rig_send(&rig, 'A', &packet);
    rig_subscribe(&rig, 'A', "", 0, 5); /* M40 */
    rig_subscribe(&rig, 'A', "a+", 0, 5);
    rig_subscribe(&rig, 'A', "$share/g/a", 0, 5);
    rig_subscribe(&rig, 'A', "$share", 0, 5); /* these two would end everybody's connection */
    rig_subscribe(&rig, 'A', "a\x01", 0, 5);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 0 qos 0 msg 5 code 2\n"
                                    "A> SUBACK 0 qos 0 msg 5 code 3\n"
                                    "A> SUBACK 0 qos 0 msg 5 code 3\n"
                                    "A> SUBACK 0 qos 0 msg 5 code 3\n"
                                    "A> SUBACK 0 qos 0 msg 5 code 3\n"
                                    "A> SUBACK 0 qos 0 msg 5 code 3\n"
                                    "A> SUBACK 0 qos 0 msg 5 code 3\n"
                                    "A> SUBACK 0 qos 0 msg 5 code 3\n"));
    rig_fini(&rig);
}

static void
subscribe_refused_by_the_broker_leaves_nothing(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "secret/#", 1, 4);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 0x87);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ SUBSCRIBE secret/# pid 1 id 1 !3\n"
                                    "A> SUBACK 0 qos 0 msg 4 code 3 !3\n"));
    rig_commit(&rig);
    rig_broker_publish(&rig, "secret/x", "x", 1, 9, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    rig_fini(&rig);
}

static void
subscribe_while_the_broker_is_away_is_carried_out_later(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "cmd/a", 1, 4);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 1 qos 1 msg 4 code 0 !3\n"));
    rig_commit(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ SUBSCRIBE cmd/a pid 1 id 1 !4\n"));
    /* Refused after all: the device is told to begin again at its next contact (design 6). */
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 0x87);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_ping(&rig, 'A', "");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    rig_fini(&rig);
}

static void
subscribe_pending_when_the_broker_goes_is_answered(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "cmd/#", 1, 4);
    rig_clear(&rig);
    rig_broker_down(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 0 qos 1 msg 4 code 0 !3\n"));
    rig_commit(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ SUBSCRIBE cmd/# pid 2 id 1\n"));
    rig_fini(&rig);
}

static void
subscribe_with_3_1_1_goes_one_at_a_time(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_3_1_1, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "x/+", 1, 4);
    rig_subscribe(&rig, 'A', "y/+", 1, 5);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ SUBSCRIBE x/+ pid 1 !3\n"));
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 0 qos 1 msg 4 code 0 !4\n"
                                    "^ SUBSCRIBE y/+ pid 2 !4\n"));
    rig_fini(&rig);
}

static void
every_connection_subscribes_again_without_retained(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/#", 1);
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, true); /* it says it has its session; it may be an older state */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ SUBSCRIBE cmd/# pid 2 id 1 rh 2\n"));
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ SUBSCRIBE cmd/# pid 3 id 1 rh 2 !5\n"));
    rig_fini(&rig);
}

static void
unsubscribe_is_always_answered_and_reaches_the_broker_with_the_last(void) /* R67 */
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/#", 1);
    rig_device_subscribed(&rig, 'B', "bbb", false, "cmd/#", 0);
    rig_unsubscribe(&rig, 'A', "cmd/#", 9);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> UNSUBACK msg 9 !8\n"));
    rig_unsubscribe(&rig, 'A', "cmd/#", 9); /* R72 */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> UNSUBACK msg 9 !8\n"));
    rig_unsubscribe(&rig, 'B', "cmd/#", 9);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ UNSUBSCRIBE cmd/# pid 3 !10\n"
                                    "B> UNSUBACK msg 9 !9\n"));
    rig_fini(&rig);
}

/* ---- REGISTER and PUBLISH from devices ---- */

static void
register_gives_one_id_per_name(void) /* R55, R87 */
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t/1", 1);
    rig_register(&rig, 'A', "t/2", 2);
    rig_register(&rig, 'A', "t/1", 3);
    rig_register(&rig, 'A', "", 4);    /* M18 */
    rig_register(&rig, 'A', "t/#", 5); /* M19 */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGACK 1 msg 1 code 0 !2\nA> REGACK 2 msg 2 code 0 !3\n"
                                    "A> REGACK 1 msg 3 code 0 !3\nA> REGACK 0 msg 4 code 3 !3\n"
                                    "A> REGACK 0 msg 5 code 3 !3\n"));
    rig_fini(&rig);
}

static void
register_skips_predefined_ids(void)
{
    struct rig rig;
    char name[16];

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    for (int i = 1; i <= 7; i++) {
        snprintf(name, sizeof name, "t/%d", i);
        rig_register(&rig, 'A', name, 1);
    }
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGACK 1 msg 1 code 0 !2\nA> REGACK 2 msg 1 code 0 !3\n"
                                    "A> REGACK 3 msg 1 code 0 !4\nA> REGACK 4 msg 1 code 0 !5\n"
                                    "A> REGACK 5 msg 1 code 0 !6\nA> REGACK 6 msg 1 code 0 !7\n"
                                    "A> REGACK 9 msg 1 code 0 !8\n"));
    rig_fini(&rig);
}

static void
publish_qos1_is_acknowledged_when_the_broker_did(void) /* R48 */
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t/1", 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.log_records = true;
    rig_publish(&rig, 'A', 1, 1, 2, "21.5");
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 1 \"21.5\" pid 1\n"));
    rig_publish(&rig, 'A', 1, 1, 2, "21.5"); /* R49: absorbed */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 2 code 0\n")); /* and no disk write */
    rig_publish(&rig, 'A', 1, 1, 3, "x");
    rig_broker_answer(&rig, MQTT_PUBACK, 2, 0x97);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 1 \"x\" pid 2\nA> PUBACK 1 msg 3 code 1\n"));
    rig_fini(&rig);
}

static void
publish_qos1_of_a_silent_broker_is_spooled_after_store_after(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig.log_records = true;
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = 1,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 7,
                                     .msg_id = 5,
                                     .data = dm_span_text("on")});
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/button qos 1 \"on\" pid 1\n"));
    rig_wait(&rig, 999);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "# spool 1\nA> PUBACK 7 msg 5 code 0 !3\n"));
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "~# delete spool 1\n")); /* answered once */
    rig_fini(&rig);
}

static void
publish_qos1_while_the_broker_is_away_survives_a_restart(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t/1", 1);
    rig_commit(&rig);
    rig_broker_down(&rig);
    rig_clear(&rig);
    rig_publish(&rig, 'A', 1, 1, 2, "one");
    rig_publish(&rig, 'A', 1, 1, 3, "two");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 2 code 0 !4\nA> PUBACK 1 msg 3 code 0 !5\n"));
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 1 \"one\" pid 1\n"
                                    "^ PUBLISH t/1 qos 1 \"two\" pid 2\n"));
    rig_publish(&rig, 'A', 1, 1, 4, "three"); /* the id is still good: no CONNECT needed */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 1 \"three\" pid 3\n"));
    rig_fini(&rig);
}

static void
publish_in_flight_is_repeated_with_the_same_id_only_if_the_broker_knows_it(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t/1", 1);
    rig_publish(&rig, 'A', 1, 1, 2, "one");
    rig_broker_down(&rig);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGACK 1 msg 1 code 0 !3\n"
                                    "^ PUBLISH t/1 qos 1 \"one\" pid 1\n"
                                    "A> PUBACK 1 msg 2 code 0 !4\n"));
    rig_broker_up(&rig, MQTT_5, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 1 dup \"one\" pid 1\n"));
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 1 \"one\" pid 2 !5\n"));
    rig_fini(&rig);
}

static void
publish_beyond_the_spool_gets_congestion_and_loses_nothing(void) /* R90 */
{
    struct rig rig;

    rig_init(&rig);
    rig.options.spool_bytes = 10 + ENGINE_MESSAGE_OVERHEAD;
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t/1", 1);
    rig_clear(&rig);
    rig_publish(&rig, 'A', 1, 1, 2, "1234567");
    rig_publish(&rig, 'A', 1, 1, 3, "8");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 2 code 0 !3\nA> PUBACK 1 msg 3 code 1\n"));
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 1 \"1234567\" pid 1 !4\n"));
    rig_fini(&rig);
}

static void
publish_that_is_invalid_is_answered_by_its_code(void) /* R46 */
{
    struct rig rig;
    struct mqttsn_packet packet = {.type = MQTTSN_PUBLISH, .msg_id = 5};

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_publish(&rig, 'A', 55, 0, 0, "x");     /* M24, also for QoS 0 */
    rig_publish(&rig, 'A', 0xffff, 1, 6, "x"); /* M25 */
    packet.topic_type = MQTTSN_TOPIC_RESERVED; /* M26 */
    rig_send(&rig, 'A', &packet);
    packet.topic_type = MQTTSN_TOPIC_SHORT; /* M27 */
    packet.topic_id = 'a' << 8 | '#';
    rig_send(&rig, 'A', &packet);
    packet.qos = 2; /* R47 */
    rig_send(&rig, 'A', &packet);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 55 msg 0 code 2\nA> PUBACK 65535 msg 6 code 2\n"
                                    "A> PUBACK 0 msg 5 code 3\nA> PUBACK 24867 msg 5 code 3\n"
                                    "A> PUBACK 24867 msg 5 code 3\n"));
    rig_fini(&rig);
}

static void
publish_qos0_goes_through_or_is_told_congestion_once_a_second(void) /* R89 */
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t/1", 1);
    rig_clear(&rig);
    rig_publish(&rig, 'A', 1, 0, 0, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 0 \"x\"\n"));
    rig_broker_down(&rig);
    rig_publish(&rig, 'A', 1, 0, 0, "x"); /* R53 */
    rig_publish(&rig, 'A', 1, 0, 0, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 0 code 1\n"));
    rig_wait(&rig, 1000);
    rig_publish(&rig, 'A', 1, 0, 0, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 0 code 1\n"));
    rig_fini(&rig);
}

static void
publish_qos_minus_one_needs_no_session_and_gets_no_answer(void)
{
    struct rig rig;
    struct mqttsn_packet packet = {.type = MQTTSN_PUBLISH,
                                   .qos = MQTTSN_QOS_MINUS_ONE,
                                   .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                   .topic_id = 7,
                                   .data = dm_span_text("on")};

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig.log_records = true;
    rig_clear(&rig);
    rig_send(&rig, 'Z', &packet); /* R40 */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH yard/button qos 0 \"on\" !1\n"));
    packet.topic_id = 99;
    rig_send(&rig, 'Z', &packet);
    packet.topic_type = MQTTSN_TOPIC_NORMAL; /* R42, M32 */
    rig_send(&rig, 'Z', &packet);
    packet.topic_type = MQTTSN_TOPIC_RESERVED; /* M26 */
    rig_send(&rig, 'Z', &packet);
    rig.link.qos_minus_one = false;
    packet.topic_type = MQTTSN_TOPIC_PREDEFINED;
    packet.topic_id = 7;
    rig_send(&rig, 'Z', &packet);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

/* ---- messages to devices ---- */

static void
message_for_an_active_device_costs_no_write_and_is_acknowledged_by_it(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig.log_records = true;
    rig_broker_publish(&rig, "cmd/a", "on", 1, 9, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"on\"\n"));
    rig_broker_publish(&rig, "cmd/a", "off", 1, 10, 1); /* one exchange open at a time (R58) */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 2 \"off\"\n^ PUBACK pid 9\n"));
    rig_puback(&rig, 'A', 1, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 10\n"));
    rig_fini(&rig);
}

static void
message_not_acknowledged_in_time_is_committed_and_tried_on(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig.log_records = true;
    rig_broker_publish(&rig, "cmd/a", "on", 1, 9, 1);
    rig_clear(&rig);
    rig_wait(&rig, 1000);
    CU_ASSERT_TRUE(rig_expect(&rig, "# message 1\n# delivery 1 msg 1\n"));
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    rig_wait(&rig, 9000);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"on\"\n"));
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "~# delete delivery 1\n~# delete message 1\n"));
    rig_fini(&rig);
}

static void
acknowledgements_to_the_broker_keep_the_order_of_receipt(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_device_subscribed(&rig, 'B', "bbb", false, "b", 1);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1);
    rig_broker_publish(&rig, "b", "2", 1, 10, 2);
    rig_clear(&rig);
    rig_puback(&rig, 'B', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "")); /* 10 may not overtake 9 */
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n^ PUBACK pid 10\n"));
    rig_fini(&rig);
}

static void
half_the_window_held_commits_everything(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.options.receive_maximum = 4;
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig.log_records = true;
    rig_broker_publish(&rig, "a", "1", 1, 9, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_broker_publish(&rig, "a", "2", 1, 10, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "# message 1\n# delivery 1 msg 1\n# message 2\n"
                                    "# delivery 2 msg 2\n"));
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n^ PUBACK pid 10\n"));
    rig_fini(&rig);
}

static void
message_qos2_from_the_broker_is_committed_first_and_taken_once(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig.log_records = true;
    rig_broker_publish(&rig, "cmd/a", "on", 2, 9, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "# copies 1 qos 2\n# message 1\n# delivery 1 msg 1\n"
                                    "A> PUBLISH 1 qos 1 msg 1 \"on\"\n# inbound 9\n"));
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBREC pid 9\n"));
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    /* The PUBREC was lost: recognised, not queued again, across the restart. */
    rig_broker_packet(&rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                  .topic = dm_span_text("cmd/a"),
                                                  .payload = dm_span_text("on"),
                                                  .dup = true,
                                                  .qos = 2,
                                                  .packet_id = 9,
                                                  .subscription_ids = {1},
                                                  .subscription_id_count = 1});
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBREC pid 9\n"));
    rig_broker_answer(&rig, MQTT_PUBREL, 9, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "# delete inbound 9\n"
                                    "^ PUBCOMP pid 9 !1\n"));
    rig_broker_answer(&rig, MQTT_PUBREL, 9, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBCOMP pid 9 reason 92 !1\n"));
    rig_fini(&rig);
}

static void
redelivery_of_a_message_not_acknowledged_yet_is_the_same_message(void)
{
    struct rig rig;
    struct mqtt_packet packet = {.type = MQTT_PUBLISH,
                                 .topic = dm_span_text("cmd/a"),
                                 .payload = dm_span_text("on"),
                                 .dup = true,
                                 .qos = 1,
                                 .packet_id = 9,
                                 .subscription_ids = {1},
                                 .subscription_id_count = 1};

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_broker_publish(&rig, "cmd/a", "on", 1, 9, 1);
    rig_broker_down(&rig);
    rig_puback(&rig, 'A', 1, 1, 0);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_broker_packet(&rig, &packet);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    /* Acknowledged: the same id with DUP is a new message; a duplicate is allowed, a loss is not.
     */
    rig_broker_packet(&rig, &packet);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 2 \"on\"\n"));
    /* The broker gave it up and uses the id for another: that is not the same message. */
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    packet.payload = dm_span_text("other");
    rig_broker_packet(&rig, &packet);
    rig_puback(&rig, 'A', 1, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 3 \"other\"\n"));
    rig_fini(&rig);
}

static void
overlapping_subscriptions_deliver_once_at_the_best_qos(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a/+", 0);
    rig_subscribe(&rig, 'A', "a/b", 1, 2);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "a/b", "x", 1, 9, 1);
    rig_broker_publish(&rig, "a/b", "x", 1, 10, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"x\"\n"));
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n^ PUBACK pid 10\n"));
    rig_fini(&rig);
}

static void
retained_message_goes_to_the_new_subscriber_only(void)
{
    struct rig rig;
    struct mqtt_packet packet = {.type = MQTT_PUBLISH,
                                 .topic = dm_span_text("a/b"),
                                 .payload = dm_span_text("r"),
                                 .retain = true,
                                 .subscription_ids = {2},
                                 .subscription_id_count = 1};

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a/b", 0);
    rig_device(&rig, 'B', "bbb", false);
    rig_subscribe(&rig, 'B', "a/b", 0, 2);
    rig_broker_packet(&rig, &packet); /* before the SUBACK: held until B has it (R66) */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ SUBSCRIBE a/b pid 2 id 2 !8\n"));
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "B> SUBACK 1 qos 0 msg 2 code 0 !8\n"));
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "B> PUBLISH 1 qos 0 msg 0 retain \"r\"\n"));
    rig_fini(&rig);
}

static void
retained_message_with_3_1_1_goes_to_the_latest_matching_subscriber(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_3_1_1, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a/b", 0);
    rig_device_subscribed(&rig, 'B', "bbb", false, "a/b", 0);
    rig_broker_packet(&rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                  .topic = dm_span_text("a/b"),
                                                  .payload = dm_span_text("r"),
                                                  .retain = true});
    CU_ASSERT_TRUE(rig_expect(&rig, "B> PUBLISH 1 qos 0 msg 0 retain \"r\"\n"));
    rig_broker_publish(&rig, "a/b", "live", 0, 0, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 0 msg 0 \"live\"\n"
                                    "B> PUBLISH 1 qos 0 msg 0 \"live\"\n"));
    rig_fini(&rig);
}

static void
wildcard_message_is_registered_before_it_is_published(void) /* R56, R57 */
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/+", 1);
    rig_broker_publish(&rig, "cmd/x", "1", 1, 9, 1);
    rig_broker_publish(&rig, "cmd/x", "2", 1, 10, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 cmd/x msg 2 !5\n"));
    rig_regack(&rig, 'A', 1, 99, 0); /* M23: another MsgId */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_regack(&rig, 'A', 1, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 3 \"2\"\n^ PUBACK pid 9\n"));
    rig_fini(&rig);
}

static void
registration_refused_drops_its_messages_and_goes_on(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/+", 1);
    rig_broker_publish(&rig, "cmd/x", "1", 1, 9, 1);
    rig_broker_publish(&rig, "cmd/y", "2", 1, 10, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_regack(&rig, 'A', 1, 2, 3);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 2 cmd/y msg 4 !6\n^ PUBACK pid 9\n"));
    rig_fini(&rig);
}

static void
invalid_topic_id_registers_once_more_and_repeats(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_broker_publish(&rig, "cmd/a", "1", 1, 9, 1);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 1, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 cmd/a msg 2\n"));
    rig_regack(&rig, 'A', 1, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"1\"\n"));
    rig_puback(&rig, 'A', 1, 1, 2); /* a second time: dropped, acknowledged upstream */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    rig_fini(&rig);
}

static void
silence_of_an_active_device_drops_nothing(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_connect(&rig, 'A', "aaa", false, 0); /* R28: not supervised */
    rig_commit(&rig);
    rig_subscribe(&rig, 'A', "cmd/a", 1, 1);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    rig_commit(&rig);
    rig_broker_publish(&rig, "cmd/a", "1", 1, 9, 1);
    rig_clear(&rig);
    rig_wait(&rig, 100000000);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"1\"\n"
                                    "A> PUBLISH 1 qos 1 msg 1 dup \"1\"\n"
                                    "A> PUBLISH 1 qos 1 msg 1 dup \"1\"\n^ PUBACK pid 9\n"));
    rig_ping(&rig, 'A', ""); /* a sign of life: R61 */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\nA> PUBLISH 1 qos 1 msg 1 dup \"1\"\n"));
    rig_fini(&rig);
}

static void
device_that_talks_but_never_acknowledges_loses_the_message_after_three_rounds(void) /* R61 */
{
    struct rig rig;
    struct engine_status status;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_broker_publish(&rig, "cmd/a", "1", 1, 9, 1);
    for (int i = 0; i < 11; i++) {
        rig_wait(&rig, 10000);
        rig_send(&rig, 'A', &(struct mqttsn_packet){.type = MQTTSN_PINGRESP});
        engine_status(rig.engine, &status);
        CU_ASSERT_EQUAL(status.dropped[ENGINE_DROP_REFUSED], 0);
    }
    rig_wait(&rig, 10000);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.dropped[ENGINE_DROP_REFUSED], 1);
    CU_ASSERT_EQUAL(status.queued_messages, 0);
    rig_fini(&rig);
}

static void
message_longer_than_the_mtu_is_dropped_and_acknowledged(void)
{
    struct rig rig;
    char data[256];

    rig_init(&rig);
    rig.link.mtu = 60;
    memset(data, 'x', sizeof data);
    data[54] = '\0';
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_broker_publish(&rig, "a", data, 1, 9, 1); /* 7 + 54 octets: R6 */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    data[53] = '\0';
    rig_broker_publish(&rig, "a", data, 0, 0, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 0 msg 0 "
                                    "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"\n"));
    rig_fini(&rig);
}

static void
link_without_room_keeps_the_messages(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 0);
    rig.full = true;
    rig_broker_publish(&rig, "a", "1", 0, 0, 1);
    rig_broker_publish(&rig, "a", "2", 0, 0, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig.full = false;
    engine_link_room(rig.engine, rig.now_ms, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 0 msg 0 \"1\"\n"
                                    "A> PUBLISH 1 qos 0 msg 0 \"2\"\n"));
    rig_fini(&rig);
}

/* ---- sleep (R91 to R101) ---- */

static void
sleeping_device_gets_its_queue_in_order_and_then_pingresp(void) /* R97, R98 */
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/+", 1);
    rig.log_records = true;
    rig_disconnect(&rig, 'A', 600);
    CU_ASSERT_TRUE(rig_expect(&rig, "# session aaa asleep\nA> DISCONNECT !5\n"));
    rig_commit(&rig);
    rig_broker_publish(&rig, "cmd/x", "1", 1, 9, 1);
    rig_broker_publish(&rig, "cmd/x", "2", 0, 0, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "# topic 1 cmd/x\n# message 1\n# delivery 1 msg 1\n"));
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n"));
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 cmd/x msg 2\n"));
    rig_wait(&rig, 70);
    rig_regack(&rig, 'A', 1, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "~# topic 1 cmd/x\nA> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "~# delete delivery 1\n~# delete message 1\n"
                                    "A> PUBLISH 1 qos 0 msg 0 \"2\"\nA> PINGRESP\n"));
    rig_ping(&rig, 'A', "aaa"); /* R96: PINGRESP was lost; and no disk write */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    CU_ASSERT_EQUAL(rig_status(&rig).awake_periods, 2);
    CU_ASSERT_EQUAL(rig_status(&rig).awake_ms, 70);
    rig_fini(&rig);
}

static void
sleep_cycle_that_changes_nothing_writes_nothing(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.log_records = true;
    for (int i = 0; i < 3; i++) {
        rig_ping(&rig, 'A', "aaa");
        rig_wait(&rig, 600000);
        rig_connect(&rig, 'A', "aaa", false, 60); /* back to active, and to sleep again */
        rig_disconnect(&rig, 'A', 600);
        CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\nA> CONNACK 0\nA> DISCONNECT\n"));
    }
    rig_fini(&rig);
}

static void
awake_device_without_answer_goes_back_to_sleep_and_keeps_the_message(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_ping(&rig, 'A', "aaa"); /* R96: the open message again, no PINGRESP */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"
                                    "A> PUBLISH 1 qos 1 msg 1 dup \"1\"\n"));
    rig_wait(&rig, 60000); /* R99 */
    rig_clear(&rig);
    rig_wait(&rig, 60000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"1\"\n"));
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    rig_fini(&rig);
}

static void
sleeping_device_survives_a_restart_with_ids_and_queue(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "cmd/a", "1", 1, 9, 1);
    rig_broker_publish(&rig, "cmd/a", "2", 1, 10, 1);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_wait(&rig, 850000);               /* within 1.5 times the duration */
    CU_ASSERT_TRUE(rig_expect(&rig, "")); /* silent until heard */
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n")); /* old id, no REGISTER */
    rig_puback(&rig, 'A', 1, 1, 0);
    rig_puback(&rig, 'A', 1, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 2 \"2\"\nA> PINGRESP\n"));
    rig_fini(&rig);
}

static void
wake_from_a_new_address_moves_the_session(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.log_records = true;
    rig_ping(&rig, 'Q', "aaa"); /* R95: NAT gave it another port */
    CU_ASSERT_TRUE(rig_expect(&rig, "~# session aaa asleep\nQ> PINGRESP\n"));
    rig_ping(&rig, 'A', ""); /* nobody lives there any more */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    rig_fini(&rig);
}

static void
subscription_made_while_asleep_is_answered(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_disconnect(&rig, 'A', 600);
    rig_subscribe(&rig, 'A', "a/#", 0, 7); /* lenient column of 3.13 */
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT !3\n^ SUBSCRIBE a/# pid 1 id 1 !4\n"
                                    "A> SUBACK 0 qos 0 msg 7 code 0 !4\n"));
    rig_fini(&rig);
}

static void
answer_that_is_ready_after_falling_asleep_waits_for_the_repetition(void)
{
    struct rig rig;
    struct mqttsn_packet packet = {.type = MQTTSN_PUBLISH,
                                   .qos = 1,
                                   .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                   .topic_id = 7,
                                   .msg_id = 5,
                                   .data = dm_span_text("on")};

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_send(&rig, 'A', &packet);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    CU_ASSERT_TRUE(
        rig_expect(&rig, "^ PUBLISH yard/button qos 1 \"on\" pid 1\nA> DISCONNECT !3\n"));
    packet.dup = true;
    rig_send(&rig, 'A', &packet);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 7 msg 5 code 0\n"));
    rig_fini(&rig);
}

/* ---- lost, offline, clean ---- */

static void
silent_device_is_lost_and_a_persistent_one_keeps_its_queue(void) /* R74 */
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_device_subscribed(&rig, 'B', "bbb", true, "a", 1);
    rig.log_records = true;
    rig_wait(&rig, 89999); /* 1.5 times 60 s (R75) */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "# session aaa lost\n# delete session 2\n"));
    rig_broker_publish(&rig, "a", "1", 1, 9, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.log_records = false;
    rig_publish(&rig, 'A', 1, 1, 5, "x"); /* R84: told to connect */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_commit(&rig);
    /* A new connection does not know the id (reference 2.6). */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !14\nA> REGISTER 1 a msg 2\n"));
    rig_regack(&rig, 'A', 1, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_fini(&rig);
}

static void
clean_session_that_sleeps_keeps_its_queue_and_leaves_no_trace_after(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", true, "a", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_disconnect(&rig, 'A', 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ UNSUBSCRIBE a pid 2 !2\n"
                                    "A> DISCONNECT !1\n"));
    rig_broker_answer(&rig, MQTT_UNSUBACK, 2, 0);
    /* What is left is about the broker: its name, and how far identifiers were used. */
    /* The broker's name, and how far identifiers were used. */
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_BROKER_PUT), 1);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_FILTER_PUT), 1);
    CU_ASSERT_EQUAL(rig_row(&rig, 1)->name.len, 0);
    CU_ASSERT_PTR_NULL(rig_row(&rig, 2));
    rig_fini(&rig);
}

static void
offline_device_keeps_qos1_and_not_qos0(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_disconnect(&rig, 'A', 0);
    rig_broker_publish(&rig, "a", "zero", 0, 0, 1);
    rig_broker_publish(&rig, "a", "one", 1, 9, 1);
    rig_commit(&rig);
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_commit(&rig);
    rig_regack(&rig, 'A', 1, 2, 0);
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT !6\n^ PUBACK pid 9\nA> CONNACK 0 !9\n"
                                    "A> REGISTER 1 a msg 2\nA> PUBLISH 1 qos 1 msg 1 \"one\"\n"));
    rig_fini(&rig);
}

static void
queue_qos0_always_keeps_it_for_offline_devices_and_an_orderly_restart(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.options.settings.queue_qos0 = ENGINE_QOS0_ALWAYS;
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_disconnect(&rig, 'A', 0);
    rig_broker_publish(&rig, "a", "zero", 0, 0, 1);
    engine_shutdown(rig.engine, rig.now_ms);
    rig_restart(&rig);
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_commit(&rig);
    rig_regack(&rig, 'A', 1, 577, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !1\n"
                                    "A> REGISTER 1 a msg 577\n"
                                    "A> PUBLISH 1 qos 0 msg 0 \"zero\"\n"));
    rig_fini(&rig);
}

static void
session_without_contact_expires(void) /* R80 */
{
    struct rig rig;

    rig_init(&rig);
    rig.options.settings.expiry_ms = 1000000;
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.log_records = true;
    rig_wait(&rig, 999999);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "# delete session 1\n"
                                    "~# filter a\n"
                                    "^ UNSUBSCRIBE a pid 2 !8\n"));
    rig_fini(&rig);
}

static void
forgotten_session_is_gone(void) /* R84 */
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    CU_ASSERT_EQUAL(engine_forget(rig.engine, rig.now_ms, dm_span_text("zzz")), DM_NOT_FOUND);
    rig.log_records = true;
    CU_ASSERT_EQUAL(engine_forget(rig.engine, rig.now_ms, dm_span_text("aaa")), DM_OK);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n# delete session 1\n"));
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    rig_fini(&rig);
}

static void
link_that_is_down_loses_no_device(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
    engine_link(rig.engine, rig.now_ms, 0, false);
    rig_broker_publish(&rig, "a", "1", 1, 9, 1);
    rig_wait(&rig, 10000000);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 9\n")); /* on disk, not lost */
    engine_link(rig.engine, rig.now_ms, 0, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"1\"\n"));
    rig_fini(&rig);
}

/* ---- limits ---- */

static void
overflow_drops_by_policy_and_counts(void) /* R102 */
{
    static const struct {
        enum engine_overflow policy;
        const char *kept;
    } cases[] = {
        {ENGINE_DROP_OLDEST, "A> PUBLISH 1 qos 1 msg 2 \"2\"\nA> PUBLISH 1 qos 1 msg 3 \"3\"\n"},
        {ENGINE_DROP_NEWEST, "A> PUBLISH 1 qos 1 msg 1 \"1\"\nA> PUBLISH 1 qos 1 msg 2 \"2\"\n"},
        {ENGINE_LATEST, "A> PUBLISH 1 qos 1 msg 3 \"3\"\n"},
    };

    for (size_t i = 0; i < 3; i++) {
        struct rig rig;
        struct engine_status status;

        rig_init(&rig);
        rig.options.settings.queue_messages = 2;
        rig.options.settings.overflow = cases[i].policy;
        rig_broker_up(&rig, MQTT_5, false);
        rig_device_subscribed(&rig, 'A', "aaa", false, "a", 1);
        rig_disconnect(&rig, 'A', 600);
        rig_broker_publish(&rig, "a", "1", 1, 9, 1);
        rig_broker_publish(&rig, "a", "2", 1, 10, 1);
        rig_broker_publish(&rig, "a", "3", 1, 11, 1);
        rig_commit(&rig);
        CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT !6\n^ PUBACK pid 9\n^ PUBACK pid 10\n"
                                        "^ PUBACK pid 11\n"));
        engine_status(rig.engine, &status);
        CU_ASSERT_EQUAL(status.dropped[ENGINE_DROP_OVERFLOW],
                        cases[i].policy == ENGINE_LATEST ? 2 : 1);
        rig_ping(&rig, 'A', "aaa");
        for (uint16_t id = 1; id <= 3; id++)
            rig_puback(&rig, 'A', 1, id, 0);
        char expected[256];
        snprintf(expected, sizeof expected, "%sA> PINGRESP\n", cases[i].kept);
        CU_ASSERT_TRUE(rig_expect(&rig, expected));
        rig_fini(&rig);
    }
}

static void
unknown_peer_is_told_to_connect_once_a_second(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.log_records = true;
    rig_publish(&rig, 'Z', 1, 1, 1, "x"); /* M45 */
    rig_publish(&rig, 'Z', 1, 1, 1, "x");
    rig_puback(&rig, 'Z', 1, 1, 0);                                       /* M46 */
    rig_send(&rig, 'Z', &(struct mqttsn_packet){.type = MQTTSN_CONNACK}); /* M47 */
    CU_ASSERT_TRUE(rig_expect(&rig, "Z> DISCONNECT\n"));
    rig_wait(&rig, 1000);
    rig_disconnect(&rig, 'Z', 10); /* R82: answered, no state */
    CU_ASSERT_TRUE(rig_expect(&rig, "Z> DISCONNECT\n"));
    rig_fini(&rig);
}

static void
prefix_is_put_before_every_name_and_taken_away_again(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.options.topic_prefix = "site1/";
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    rig_subscribe(&rig, 'A', "a", 1, 1);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    rig_commit(&rig);
    rig_publish(&rig, 'A', 1, 0, 0, "up");
    rig_broker_publish(&rig, "site1/a", "down", 0, 0, 1);
    rig_broker_publish(&rig, "other/a", "no", 0, 0, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ SUBSCRIBE site1/a pid 1 id 1 !4\n"
                                    "A> SUBACK 1 qos 1 msg 1 code 0 !4\n"
                                    "^ PUBLISH site1/a qos 0 \"up\"\n"
                                    "A> PUBLISH 1 qos 0 msg 0 \"down\"\n"));
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(connect_is_answered_after_its_commit),
    UNIT_TEST(connect_repeated_before_the_commit_still_waits),
    UNIT_TEST(connect_that_cannot_be_served_is_refused_without_a_session),
    UNIT_TEST(connect_beyond_max_clients_gets_congestion),
    UNIT_TEST(connect_while_the_disk_fails_gets_congestion),
    UNIT_TEST(clean_connect_wipes_the_session_and_its_upstream_subscription),
    UNIT_TEST(subscribe_waits_for_the_broker_and_the_disk),
    UNIT_TEST(subscribe_forms_give_the_ids_of_the_reference),
    UNIT_TEST(subscribe_that_cannot_be_served_is_refused),
    UNIT_TEST(subscribe_refused_by_the_broker_leaves_nothing),
    UNIT_TEST(subscribe_while_the_broker_is_away_is_carried_out_later),
    UNIT_TEST(subscribe_pending_when_the_broker_goes_is_answered),
    UNIT_TEST(subscribe_with_3_1_1_goes_one_at_a_time),
    UNIT_TEST(every_connection_subscribes_again_without_retained),
    UNIT_TEST(unsubscribe_is_always_answered_and_reaches_the_broker_with_the_last),
    UNIT_TEST(register_gives_one_id_per_name),
    UNIT_TEST(register_skips_predefined_ids),
    UNIT_TEST(publish_qos1_is_acknowledged_when_the_broker_did),
    UNIT_TEST(publish_qos1_of_a_silent_broker_is_spooled_after_store_after),
    UNIT_TEST(publish_qos1_while_the_broker_is_away_survives_a_restart),
    UNIT_TEST(publish_in_flight_is_repeated_with_the_same_id_only_if_the_broker_knows_it),
    UNIT_TEST(publish_beyond_the_spool_gets_congestion_and_loses_nothing),
    UNIT_TEST(publish_that_is_invalid_is_answered_by_its_code),
    UNIT_TEST(publish_qos0_goes_through_or_is_told_congestion_once_a_second),
    UNIT_TEST(publish_qos_minus_one_needs_no_session_and_gets_no_answer),
    UNIT_TEST(message_for_an_active_device_costs_no_write_and_is_acknowledged_by_it),
    UNIT_TEST(message_not_acknowledged_in_time_is_committed_and_tried_on),
    UNIT_TEST(acknowledgements_to_the_broker_keep_the_order_of_receipt),
    UNIT_TEST(half_the_window_held_commits_everything),
    UNIT_TEST(message_qos2_from_the_broker_is_committed_first_and_taken_once),
    UNIT_TEST(redelivery_of_a_message_not_acknowledged_yet_is_the_same_message),
    UNIT_TEST(overlapping_subscriptions_deliver_once_at_the_best_qos),
    UNIT_TEST(retained_message_goes_to_the_new_subscriber_only),
    UNIT_TEST(retained_message_with_3_1_1_goes_to_the_latest_matching_subscriber),
    UNIT_TEST(wildcard_message_is_registered_before_it_is_published),
    UNIT_TEST(registration_refused_drops_its_messages_and_goes_on),
    UNIT_TEST(invalid_topic_id_registers_once_more_and_repeats),
    UNIT_TEST(silence_of_an_active_device_drops_nothing),
    UNIT_TEST(device_that_talks_but_never_acknowledges_loses_the_message_after_three_rounds),
    UNIT_TEST(message_longer_than_the_mtu_is_dropped_and_acknowledged),
    UNIT_TEST(link_without_room_keeps_the_messages),
    UNIT_TEST(sleeping_device_gets_its_queue_in_order_and_then_pingresp),
    UNIT_TEST(sleep_cycle_that_changes_nothing_writes_nothing),
    UNIT_TEST(awake_device_without_answer_goes_back_to_sleep_and_keeps_the_message),
    UNIT_TEST(sleeping_device_survives_a_restart_with_ids_and_queue),
    UNIT_TEST(wake_from_a_new_address_moves_the_session),
    UNIT_TEST(subscription_made_while_asleep_is_answered),
    UNIT_TEST(answer_that_is_ready_after_falling_asleep_waits_for_the_repetition),
    UNIT_TEST(silent_device_is_lost_and_a_persistent_one_keeps_its_queue),
    UNIT_TEST(clean_session_that_sleeps_keeps_its_queue_and_leaves_no_trace_after),
    UNIT_TEST(offline_device_keeps_qos1_and_not_qos0),
    UNIT_TEST(queue_qos0_always_keeps_it_for_offline_devices_and_an_orderly_restart),
    UNIT_TEST(session_without_contact_expires),
    UNIT_TEST(forgotten_session_is_gone),
    UNIT_TEST(link_that_is_down_loses_no_device),
    UNIT_TEST(overflow_drops_by_policy_and_counts),
    UNIT_TEST(unknown_peer_is_told_to_connect_once_a_second),
    UNIT_TEST(prefix_is_put_before_every_name_and_taken_away_again),
};

UNIT_MAIN("engine", tests)
