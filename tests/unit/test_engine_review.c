/* SPDX-License-Identifier: Apache-2.0 */
/* The engine under a second hostile review: each test states what must hold and did not. */
#include "unit.h"

#include <stdio.h>

#include "engine_rig.h"

/* ---- helpers ---- */

static void
publish_predefined(struct rig *rig, char who, int8_t qos, uint16_t msg_id, bool dup,
                   const char *data)
{
    rig_send(rig, who,
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = qos,
                                     .dup = dup,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 7,
                                     .msg_id = msg_id,
                                     .data = dm_span_text(data)});
}

static bool
has(const struct rig *rig, const char *text)
{
    return strstr(rig->text, text) != NULL;
}

static struct engine_status
status_of(const struct rig *rig)
{
    struct engine_status status;

    engine_status(rig->engine, &status);
    return status;
}

static void
broker_up_with_qos(struct rig *rig, uint8_t maximum_qos, bool session_present)
{
    engine_upstream_connected(rig->engine, rig->now_ms, 0,
                              &(struct upstream_session){.version = MQTT_5,
                                                         .session_present = session_present,
                                                         .send_maximum = 10,
                                                         .maximum_qos = maximum_qos,
                                                         .retain_available = true,
                                                         .subscription_ids_available = true});
}

/* Asleep, with a QoS 1 message on cmd/x for its filter cmd/+ on disk. */
static void
asleep_with_a_message_that_needs_register(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device_subscribed(rig, 'A', "aaa", false, "cmd/+", 1);
    rig_disconnect(rig, 'A', 600);
    rig_broker_publish(rig, "cmd/x", "1", 1, 9, 1);
    rig_commit(rig);
    rig_clear(rig);
}

/* ---- messages lost ---- */

/* R96, R62: PINGREQ came six times within one second (a device with a short T_retry, a radio that
 * duplicates). No T_retry has passed: nothing is exhausted. */
static void
pingreq_repeated_at_once_does_not_use_up_the_repetitions_of_register(void)
{
    struct rig rig;

    asleep_with_a_message_that_needs_register(&rig);
    for (int i = 0; i < 6; i++) {
        rig_ping(&rig, 'A', "aaa");
        rig_wait(&rig, 100);
    }
    CU_ASSERT_EQUAL(status_of(&rig).dropped[ENGINE_DROP_REFUSED], 0);
    CU_ASSERT_EQUAL(status_of(&rig).queued_messages, 1);
    rig_fini(&rig);
}

/* As above with a known id: three rounds of PUBLISH pass in a second. */
static void
pingreq_repeated_at_once_does_not_use_up_the_rounds_of_publish(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "cmd/a", "1", 1, 9, 1);
    rig_commit(&rig);
    for (int i = 0; i < 20; i++) {
        rig_ping(&rig, 'A', "aaa");
        rig_wait(&rig, 50);
    }
    CU_ASSERT_EQUAL(status_of(&rig).dropped[ENGINE_DROP_REFUSED], 0);
    rig_fini(&rig);
}

/* R98, R99, design 1 rule 2: a device that hears nothing repeats PINGREQ. That is not "something
 * else meanwhile": a jammed downlink during one awake period must not drop what is on disk. */
static void
awake_device_that_hears_nothing_for_one_period_keeps_its_messages(void)
{
    struct rig rig;

    asleep_with_a_message_that_needs_register(&rig);
    for (int i = 0; i < 4; i++) { /* T_retry 10 s, N_retry 3, as the text recommends */
        rig_ping(&rig, 'A', "aaa");
        rig_wait(&rig, 10000);
    }
    rig_wait(&rig, 60000);
    CU_ASSERT_EQUAL(status_of(&rig).dropped[ENGINE_DROP_REFUSED], 0);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(has(&rig, "A> REGISTER 2 cmd/x") || has(&rig, "A> REGISTER 1 cmd/x"));
    rig_fini(&rig);
}

/* R102: a message that no queue can hold drops nothing but itself. */
static void
message_larger_than_the_whole_queue_leaves_the_queue_as_it_was(void)
{
    static char large[10001];
    struct rig rig;

    memset(large, 'x', sizeof large - 1);
    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_disconnect(&rig, 'A', 600);
    for (uint16_t i = 1; i <= 5; i++)
        rig_broker_publish(&rig, "cmd/a", "1", 1, i, 1);
    rig_commit(&rig);
    rig_broker_publish(&rig, "cmd/a", large, 1, 9, 1);
    CU_ASSERT_EQUAL(status_of(&rig).queued_messages, 5);
    rig_fini(&rig);
}

/* The same when all the room is taken by other devices. */
static void
message_that_finds_no_room_in_all_sessions_leaves_the_queue_as_it_was(void)
{
    static char large[9001];
    struct rig rig;

    memset(large, 'x', sizeof large - 1);
    rig_init(&rig);
    rig.options.total_bytes = 10000;
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_device_subscribed(&rig, 'B', "bbb", false, "cmd/b", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_disconnect(&rig, 'B', 600);
    rig_broker_publish(&rig, "cmd/b", large, 1, 1, 2);
    for (uint16_t i = 2; i <= 6; i++)
        rig_broker_publish(&rig, "cmd/a", "1", 1, i, 1);
    rig_commit(&rig);
    large[2000] = '\0';
    rig_broker_publish(&rig, "cmd/a", large, 1, 9, 1);
    CU_ASSERT_EQUAL(status_of(&rig).queued_messages, 6);
    rig_fini(&rig);
}

/* Runner: what is held for the broker is dropped with the connection. A message that the broker
 * takes at QoS 0 only was acknowledged to the device; it must come again (design 1 rule 2). */
static void
message_sent_at_qos_0_is_kept_until_it_may_leave(void)
{
    struct rig rig;

    rig_init(&rig);
    broker_up_with_qos(&rig, 0, false);
    rig_device(&rig, 'A', "aaa", false);
    rig.commits_late = true;
    publish_predefined(&rig, 'A', 2, 5, false, "on"); /* PUBLISH waits for the disk */
    rig_broker_down(&rig);                            /* and goes with the connection */
    rig_commit(&rig);                                 /* PUBREC leaves */
    rig_clear(&rig);
    broker_up_with_qos(&rig, 0, true);
    CU_ASSERT_TRUE(has(&rig, "^ PUBLISH yard/button qos 0 \"on\""));
    rig_fini(&rig);
}

/* The same for a will of QoS 0: recorded as lost, and the will in the store, in one batch. */
static void
will_of_qos_0_is_kept_until_it_may_leave(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_connect_will(&rig, 'A', "aaa", false);
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, "dev/a", 0, false);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSG, "lost");
    rig_commit(&rig);
    rig.commits_late = true;
    rig_wait(&rig, 90000);
    rig_broker_down(&rig);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    CU_ASSERT_TRUE(has(&rig, "^ PUBLISH dev/a qos 0 \"lost\""));
    rig_fini(&rig);
}

/* PUBREC came at QoS 2; the next connection allows QoS 1. What was released ends with PUBCOMP. */
static void
released_message_ends_when_the_broker_lowers_its_maximum_qos(void)
{
    struct rig rig;

    rig_init(&rig);
    broker_up_with_qos(&rig, 2, false);
    rig_device(&rig, 'A', "aaa", false);
    publish_predefined(&rig, 'A', 2, 5, false, "on");
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    rig_commit(&rig);
    rig_broker_down(&rig);
    rig_clear(&rig);
    broker_up_with_qos(&rig, 1, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBREL pid 1\n"));
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0);
    CU_ASSERT_EQUAL(status_of(&rig).spooled_messages, 0);
    rig_fini(&rig);
}

/* 1 was answered from the store and waits for the broker, 2 is open. The device, which has its
 * PUBACK for 1, uses that id for a new message: not a repetition, DUP says so. */
static void
new_message_under_an_id_that_was_acknowledged_is_published(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    publish_predefined(&rig, 'A', 1, 1, false, "on");
    rig_wait(&rig, 1000); /* the broker is silent: stored and acknowledged */
    rig_commit(&rig);
    CU_ASSERT_TRUE(has(&rig, "A> PUBACK 7 msg 1 code 0"));
    publish_predefined(&rig, 'A', 1, 2, false, "off");
    publish_predefined(&rig, 'A', 1, 1, false, "on");
    CU_ASSERT_EQUAL(status_of(&rig).uplink_messages, 3);
    rig_fini(&rig);
}

/* Design 1 rule 2: order per device and topic. The first waits for the broker's window; a retained
 * value would end as the older one. */
static void
qos_0_does_not_overtake_what_waits_for_the_window_of_the_broker(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    for (uint16_t i = 1; i <= 12; i++)
        publish_predefined(&rig, 'A', 1, i, false, "old");
    rig_commit(&rig);
    rig_broker_up(&rig, MQTT_5, false); /* takes ten */
    rig_clear(&rig);
    publish_predefined(&rig, 'A', 0, 0, false, "new");
    CU_ASSERT_FALSE(has(&rig, "^ PUBLISH yard/button qos 0 \"new\""));
    rig_fini(&rig);
}

/* R62: "refused for this connection"; a CONNECT begins another, also one from sleep. */
static void
refusal_of_a_topic_ends_with_the_next_connect_from_sleep(void)
{
    struct rig rig;

    asleep_with_a_message_that_needs_register(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_regack(&rig, 'A', 1, 2, 3); /* not supported, this time */
    rig_commit(&rig);
    rig_disconnect(&rig, 'A', 600);
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "cmd/x", "2", 1, 10, 1);
    CU_ASSERT_TRUE(has(&rig, "A> REGISTER 1 cmd/x"));
    rig_fini(&rig);
}

/* Reference 5.4: "packet id in use" is between broker and gateway; the message is sent again under
 * another id. */
static void
packet_id_in_use_makes_the_message_go_again_under_another(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "aaa", false);
    publish_predefined(&rig, 'A', 2, 5, false, "on");
    rig_wait(&rig, 1000); /* acknowledged from the store */
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0x91);
    CU_ASSERT_EQUAL(status_of(&rig).uplink_refused, 0);
    CU_ASSERT_TRUE(has(&rig, "^ PUBLISH yard/button qos 2 \"on\" pid 2"));
    rig_fini(&rig);
}

/* ---- wills of living devices ---- */

/* Design 1 rule 3: back from sleep is not recorded. After a restart the active device pings by its
 * keep-alive time, which is longer than it last slept. */
static void
active_device_recorded_as_asleep_is_not_lost_after_it_was_heard(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_with_will(&rig, 'A', "aaa", false, "dev/a", "lost");
    rig_disconnect(&rig, 'A', 10);
    rig_commit(&rig);
    rig_connect(&rig, 'A', "aaa", false, 60); /* active again: costs no write */
    rig_commit(&rig);
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, true);
    for (int i = 0; i < 3; i++) {
        rig_ping(&rig, 'A', ""); /* as an active device does */
        rig_wait(&rig, 60000);
    }
    CU_ASSERT_EQUAL(status_of(&rig).wills_published, 0);
    rig_fini(&rig);
}

/* R76, R21: a CONNECT that is repeated is a sign of life; its answers are lost. */
static void
device_that_repeats_connect_during_a_handshake_is_not_lost(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "dev/a", "lost");
    for (int i = 0; i < 12; i++) {
        rig_connect_will(&rig, 'A', "aaa", false);
        rig_wait(&rig, 10000);
    }
    CU_ASSERT_EQUAL(status_of(&rig).wills_published, 0);
    rig_fini(&rig);
}

/* The disk fails, so CONNECT gets congestion; but the device is there. */
static void
device_that_is_refused_for_congestion_is_not_lost(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "dev/a", "lost");
    engine_store_degraded(rig.engine, true);
    for (int i = 0; i < 12; i++) {
        rig_connect(&rig, 'A', "aaa", false, 60);
        rig_wait(&rig, 10000);
    }
    CU_ASSERT_EQUAL(status_of(&rig).wills_published, 0);
    rig_fini(&rig);
}

/* ---- states that are never left ---- */

/* R99: the device woke while a handshake was open from another address, which ended in a refusal;
 * then it died. It must be lost, and its will published. */
static void
device_that_woke_during_a_handshake_from_elsewhere_is_supervised_after_its_refusal(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "dev/a", "lost");
    rig_disconnect(&rig, 'A', 600);
    rig_connect_will(&rig, 'B', "aaa", false);
    rig_ping(&rig, 'A', "");
    rig_will_topic(&rig, 'B', MQTTSN_WILLTOPIC, "bad/#", 0, false); /* M16 */
    rig_commit(&rig);
    rig_wait(&rig, 24 * UINT64_C(3600000));
    CU_ASSERT_EQUAL(status_of(&rig).sessions[ENGINE_AWAKE], 0);
    CU_ASSERT_EQUAL(status_of(&rig).wills_published, 1);
    rig_fini(&rig);
}

/* R22, R26: CONNECT without a will from another address ends the handshake that was begun
 * elsewhere; the device is connected and gets its messages at once. */
static void
connect_without_a_will_ends_a_handshake_begun_elsewhere(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_subscribe(&rig, 'A', "cmd/a", 1, 2);
    rig_connect_will(&rig, 'B', "aaa", false);
    rig_connect(&rig, 'C', "aaa", false, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "cmd/a", "1", 1, 9, 1);
    CU_ASSERT_TRUE(has(&rig, "C> "));
    rig_fini(&rig);
}

/* Design 1 rule 4: a CONNECT that the network delivered late opened a handshake; the device, which
 * knows nothing of it, sleeps and wakes: PINGRESP at once. */
static void
device_that_sleeps_and_wakes_after_a_late_connect_gets_its_pingresp(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "dev/a", "lost");
    rig_connect_will(&rig, 'A', "aaa", false);
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    rig_fini(&rig);
}

/* ---- messages to a sleeping device ---- */

/* Design 3: nothing follows the DISCONNECT that sends it to sleep. The second nap of a length that
 * is on disk costs no write, but the PUBACK before it waits for one. */
static void
disconnect_of_a_sleep_request_does_not_overtake_a_puback_that_is_held(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_disconnect(&rig, 'A', 600);
    rig_connect(&rig, 'A', "aaa", false, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    publish_predefined(&rig, 'A', 1, 5, false, "on"); /* into the spool */
    rig_disconnect(&rig, 'A', 600);
    const char *disconnect = strstr(rig.text, "A> DISCONNECT");
    CU_ASSERT_PTR_NOT_NULL_FATAL(disconnect);
    CU_ASSERT_TRUE(has(&rig, "A> PUBACK 7 msg 5 code 0 !"));
    CU_ASSERT_PTR_NOT_NULL(strstr(disconnect, " !"));
    rig_fini(&rig);
}

/* Design 3: an answer that becomes ready after the device fell asleep is given when it repeats. It
 * fell asleep with PINGRESP. */
static void
suback_that_becomes_ready_after_pingresp_is_not_sent_to_the_sleeping_device(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "cmd/a", "1", 1, 9, 1);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_subscribe(&rig, 'A', "cmd/b", 1, 3); /* awake, a PUBLISH is open */
    rig_commit(&rig);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PINGRESP\n"));
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    CU_ASSERT_FALSE(has(&rig, "A> SUBACK"));
    rig_fini(&rig);
}

/* R97 [T]: all that is buffered, then PINGRESP; also if the device registers a topic meanwhile and
 * the disk is slow. */
static void
awake_device_that_registers_meanwhile_gets_all_its_messages_before_pingresp(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "cmd/a", "1", 1, 9, 1);
    rig_broker_publish(&rig, "cmd/a", "2", 1, 10, 1);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig.commits_late = true;
    rig_register(&rig, 'A', "dev/answer", 3);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 2 \"2\"\n"));
    rig_fini(&rig);
}

/* ---- discovery ---- */

/* Five octets from anywhere: an ADVERTISE of the watched gateway that says Duration 0. */
static void
advertise_with_duration_0_of_the_watched_gateway_is_not_answered_by_broadcasts(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.options.standby_for = 2;
    rig.options.advertise_ms = 900000;
    rig.link.advertise = true;
    rig_restart(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    for (int i = 0; i < 50; i++) {
        rig_send(&rig, 'X', &(struct mqttsn_packet){.type = MQTTSN_ADVERTISE, .gateway_id = 2});
        rig_wait(&rig, 10);
    }
    CU_ASSERT_TRUE(status_of(&rig).advertised <= 1);
    rig_fini(&rig);
}

/* ---- rows ---- */

/* The operator lowers total_bytes: wills on disk are session state, and the gateway starts. */
static void
wills_beyond_a_lowered_limit_do_not_stop_the_start(void)
{
    static char text[201];
    struct rig rig;

    memset(text, 'x', sizeof text - 1);
    rig_init(&rig);
    rig_device_with_will(&rig, 'A', "aaa", false, "dev/a", text);
    engine_free(rig.engine);
    rig.options.total_bytes = 100;
    engine_disk_crash(&rig.disk);
    rig.engine = engine_new(&rig.options, (engine_emit *)NULL, NULL);
    CU_ASSERT_EQUAL(engine_disk_load(&rig.disk, rig.engine), DM_OK);
    rig_fini(&rig);
}

/* A filter row that is none makes the broker close the connection, again after every start. */
static void
filter_row_that_is_no_filter_is_left_out(void)
{
    struct rig rig;
    struct store_record broker = {.op = STORE_BROKER_PUT};
    struct store_record filter = {.op = STORE_FILTER_PUT, .upstream_id = 1};

    rig_init(&rig);
    engine_free(rig.engine);
    rig.engine = engine_new(&rig.options, (engine_emit *)NULL, NULL);
    broker.name = dm_span_text(rig.options.broker_keys[0]);
    filter.name = dm_span_text("a#/b");
    CU_ASSERT_EQUAL(engine_load(rig.engine, &broker, NULL), DM_OK);
    CU_ASSERT_EQUAL(engine_load(rig.engine, &filter, NULL), DM_MALFORMED);
    rig_fini(&rig);
}

/* ---- order of commits ---- */

/* Else, after power fails: the broker has forgotten the filter, the disk has not; it counts as held
 * and is not made again (MQTT 3.1.1). UNSUBSCRIBE has to wait for the disk as SUBSCRIBE does. */
static void
unsubscribe_does_not_leave_before_the_end_of_the_subscription_is_durable(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_3_1_1, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "cmd/a", 1);
    rig.commits_late = true;
    rig_unsubscribe(&rig, 'A', "cmd/a", 9);
    const char *request = strstr(rig.text, "^ UNSUBSCRIBE cmd/a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(request);
    const char *end = strchr(request, '\n');
    const char *held = strstr(request, " !");
    CU_ASSERT_TRUE(held != NULL && held < end);
    rig_fini(&rig);
}

/* ---- pre-defined ids ---- */

/* A name that begins with "%c" (the sanitizer ends the program at a null pointer in memcpy). */
static void
predefined_name_that_begins_with_the_client_id_is_expanded(void)
{
    static const struct engine_topic topics[] = {{20, "%c/speed"}};
    static const struct engine_client clients[] = {
        {.pattern = "pump-*", .topics = topics, .topic_count = 1}};
    struct rig rig;

    rig_init(&rig);
    rig.options.clients = clients;
    rig.options.client_count = 1;
    rig_broker_up(&rig, MQTT_5, false);
    rig_device(&rig, 'A', "pump-1", false);
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 20,
                                     .data = dm_span_text("1")});
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH pump-1/speed qos 0 \"1\"\n"));
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(pingreq_repeated_at_once_does_not_use_up_the_repetitions_of_register),
    UNIT_TEST(pingreq_repeated_at_once_does_not_use_up_the_rounds_of_publish),
    UNIT_TEST(awake_device_that_hears_nothing_for_one_period_keeps_its_messages),
    UNIT_TEST(message_larger_than_the_whole_queue_leaves_the_queue_as_it_was),
    UNIT_TEST(message_that_finds_no_room_in_all_sessions_leaves_the_queue_as_it_was),
    UNIT_TEST(message_sent_at_qos_0_is_kept_until_it_may_leave),
    UNIT_TEST(will_of_qos_0_is_kept_until_it_may_leave),
    UNIT_TEST(released_message_ends_when_the_broker_lowers_its_maximum_qos),
    UNIT_TEST(new_message_under_an_id_that_was_acknowledged_is_published),
    UNIT_TEST(qos_0_does_not_overtake_what_waits_for_the_window_of_the_broker),
    UNIT_TEST(refusal_of_a_topic_ends_with_the_next_connect_from_sleep),
    UNIT_TEST(packet_id_in_use_makes_the_message_go_again_under_another),
    UNIT_TEST(active_device_recorded_as_asleep_is_not_lost_after_it_was_heard),
    UNIT_TEST(device_that_repeats_connect_during_a_handshake_is_not_lost),
    UNIT_TEST(device_that_is_refused_for_congestion_is_not_lost),
    UNIT_TEST(device_that_woke_during_a_handshake_from_elsewhere_is_supervised_after_its_refusal),
    UNIT_TEST(connect_without_a_will_ends_a_handshake_begun_elsewhere),
    UNIT_TEST(device_that_sleeps_and_wakes_after_a_late_connect_gets_its_pingresp),
    UNIT_TEST(disconnect_of_a_sleep_request_does_not_overtake_a_puback_that_is_held),
    UNIT_TEST(suback_that_becomes_ready_after_pingresp_is_not_sent_to_the_sleeping_device),
    UNIT_TEST(awake_device_that_registers_meanwhile_gets_all_its_messages_before_pingresp),
    UNIT_TEST(advertise_with_duration_0_of_the_watched_gateway_is_not_answered_by_broadcasts),
    UNIT_TEST(wills_beyond_a_lowered_limit_do_not_stop_the_start),
    UNIT_TEST(filter_row_that_is_no_filter_is_left_out),
    UNIT_TEST(unsubscribe_does_not_leave_before_the_end_of_the_subscription_is_durable),
    UNIT_TEST(predefined_name_that_begins_with_the_client_id_is_expanded),
};

UNIT_MAIN("engine_review", tests)
