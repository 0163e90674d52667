/* SPDX-License-Identifier: Apache-2.0 */
/* Several links and several devices at once: a link that is down or full concerns its own devices
 * only, and each device waits for its own records (design 3, 7). */
#include "unit.h"

#include "engine_rig.h"

/* The second link; its devices are addressed by small letters. */
static struct dm_address
on_second_link(char who)
{
    return (struct dm_address){.link = 1, .len = 1, .octets = {(uint8_t)who}};
}

static void
send_on_second(struct rig *rig, char who, const struct mqttsn_packet *packet)
{
    struct dm_address from = on_second_link(who);

    engine_datagram(rig->engine, rig->now_ms, &from, packet);
}

/* "one" at A on the first link, "two" at b on the second, both subscribed to "cmd" with QoS 1. */
static void
begin(struct rig *rig)
{
    static const struct engine_link links[2] = {{.mtu = 255, .up = true}, {.mtu = 255, .up = true}};

    rig_init(rig);
    rig->options.links = links;
    rig->options.link_count = 2;
    rig_restart(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device_subscribed(rig, 'A', "one", false, "cmd", 1);
    send_on_second(rig, 'b',
                   &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                           .protocol_id = MQTTSN_PROTOCOL_ID,
                                           .duration_s = 60,
                                           .client_id = dm_span_text("two")});
    send_on_second(
        rig, 'b',
        &(struct mqttsn_packet){
            .type = MQTTSN_SUBSCRIBE, .qos = 1, .msg_id = 1, .topic_name = dm_span_text("cmd")});
    rig_commit(rig);
    rig_broker_answer(rig, MQTT_SUBACK, 2, 2);
    rig_commit(rig);
    rig_clear(rig);
}

static void
link_that_is_down_holds_back_its_own_devices_only(void)
{
    struct rig rig;
    struct engine_status status;

    begin(&rig);
    engine_link(rig.engine, rig.now_ms, 0, false);
    rig_broker_publish(&rig, "cmd", "x", 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "b> PUBLISH 1 qos 1 msg 1 \"x\"\n"));
    rig_wait(&rig, 90001);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_LOST], 1); /* "two" is silent on a link that is up */
    CU_ASSERT_EQUAL(status.sessions[ENGINE_ACTIVE], 1);
    rig_clear(&rig);
    engine_link(rig.engine, rig.now_ms, 1, true); /* nothing new */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    engine_link(rig.engine, rig.now_ms, 0, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"x\"\n"));
    rig_fini(&rig);
}

/* A device that was awake cannot answer any more; it is supervised as asleep (R93, R99). */
static void
awake_device_is_asleep_when_its_link_goes_down(void)
{
    struct rig rig;
    struct engine_status status;

    begin(&rig);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "cmd", "x", 1, 1, 0);
    rig_commit(&rig);
    rig_ping(&rig, 'A', "one");
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_AWAKE], 1);
    rig_clear(&rig);
    engine_link(rig.engine, rig.now_ms, 0, false);
    engine_link(rig.engine, rig.now_ms, 0, true);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_ASLEEP], 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "")); /* nothing to a sleeping device (R91) */
    rig_ping(&rig, 'A', "one");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"x\"\n"));
    rig_fini(&rig);
}

static void
room_on_one_link_does_not_wake_devices_of_another(void)
{
    struct rig rig;

    begin(&rig);
    rig.full = true;
    rig_broker_publish(&rig, "cmd", "x", 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig.full = false;
    engine_link_room(rig.engine, rig.now_ms, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "b> PUBLISH 1 qos 1 msg 1 \"x\"\n"));
    rig.full = true;
    engine_link_room(rig.engine, rig.now_ms, 0); /* and it is full again at once */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig.full = false;
    engine_link_room(rig.engine, rig.now_ms, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"x\"\n"));
    rig_fini(&rig);
}

static void
register_and_pubrel_wait_for_room_too(void)
{
    struct rig rig;

    begin(&rig);
    rig_subscribe(&rig, 'A', "w/#", 2, 2);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 3, 2);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.full = true;
    rig_broker_publish(&rig, "w/x", "x", 2, 1, 0);
    rig_commit(&rig); /* of the message */
    rig_commit(&rig); /* of the id it needs */
    rig_clear(&rig);
    rig.full = false;
    engine_link_room(rig.engine, rig.now_ms, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 2 w/x msg 3\n")); /* 2 was for the attempt */
    rig_regack(&rig, 'A', 2, 3, MQTTSN_ACCEPTED);
    rig_clear(&rig);
    rig.full = true;
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig.full = false;
    engine_link_room(rig.engine, rig.now_ms, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBREL msg 1\n"));
    rig_fini(&rig);
}

/* Awake with a full link: PINGRESP would end the period before the message (R97). */
static void
awake_device_on_a_full_link_gets_its_message_before_pingresp(void)
{
    struct rig rig;

    begin(&rig);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "cmd", "x", 0, 0, 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig.full = true;
    rig_ping(&rig, 'A', "one");
    rig_ping(&rig, 'A', "one");
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig.full = false;
    engine_link_room(rig.engine, rig.now_ms, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 0 msg 0 \"x\"\nA> PINGRESP\n"));
    rig_fini(&rig);
}

/* ---- commits ---- */

/* A QoS 2 message leaves when its own row is durable (design 1), whatever other devices wait for.
 */
static void
each_device_goes_on_with_the_commit_of_its_own_records(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "one", false, "a", 2);
    rig_device_subscribed(&rig, 'B', "two", false, "b", 2);
    rig_device_subscribed(&rig, 'C', "three", false, "c", 2);
    rig_broker_publish(&rig, "b", "2", 2, 1, 0);
    uint64_t second = rig.seq;

    rig_broker_publish(&rig, "a", "1", 2, 2, 0);
    uint64_t first = rig.seq;

    rig_broker_publish(&rig, "c", "3", 2, 3, 0);
    rig_clear(&rig);
    engine_committed(rig.engine, rig.now_ms, second);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "B> PUBLISH 1 qos 2"));
    CU_ASSERT_PTR_NULL(strstr(rig.text, "A>"));
    CU_ASSERT_PTR_NULL(strstr(rig.text, "C>"));
    rig_clear(&rig);
    engine_committed(rig.engine, rig.now_ms, first);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> PUBLISH 1 qos 2"));
    CU_ASSERT_PTR_NULL(strstr(rig.text, "C>"));
    rig_clear(&rig);
    engine_committed(rig.engine, rig.now_ms, second);             /* older news */
    engine_forget(rig.engine, rig.now_ms, dm_span_text("three")); /* waits for nothing any more */
    rig_clear(&rig);
    rig_commit(&rig);
    CU_ASSERT_PTR_NULL(strstr(rig.text, "C>"));
    rig_fini(&rig);
}

/* ---- the operator ---- */

static void
forgotten_device_is_told_only_if_it_listens(void) /* R85 */
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'C', "three", false, "cmd", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_disconnect(&rig, 'C', 600);
    rig_broker_publish(&rig, "cmd", "x", 1, 1, 0);
    rig_commit(&rig);
    rig_ping(&rig, 'C', "three");
    rig_clear(&rig);
    engine_forget(rig.engine, rig.now_ms, dm_span_text("one"));
    CU_ASSERT_PTR_NULL(strstr(rig.text, "A>")); /* asleep */
    engine_forget(rig.engine, rig.now_ms, dm_span_text("two"));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "b> DISCONNECT\n")); /* active */
    engine_forget(rig.engine, rig.now_ms, dm_span_text("three"));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "C> DISCONNECT\n")); /* awake */
    rig_clear(&rig);
    rig_ping(&rig, 'A', "one");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n")); /* at its next message */
    rig_fini(&rig);
}

static void
shutdown_records_what_is_kept_in_memory_only(void)
{
    struct rig rig;

    begin(&rig);
    rig_disconnect(&rig, 'A', 600);
    rig_broker_publish(&rig, "cmd", "kept", 1, 1, 0);
    rig_broker_publish(&rig, "cmd", "in memory", 0, 0, 0);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_DELIVERY_PUT), 1); /* "two" is active: in memory */
    engine_shutdown(rig.engine, rig.now_ms);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_DELIVERY_PUT), 3); /* and the QoS 0 of both */
    rig_fini(&rig);
}

/* ---- a slow link ---- */

static struct dm_address
at(char who)
{
    return (struct dm_address){.len = 1, .octets = {(uint8_t)who}};
}

/* The time to the answer begins when the message leaves, however long that takes (design 7). */
static void
message_that_waits_in_the_link_is_not_repeated_before_it_has_left(void)
{
    struct rig rig;
    struct dm_address to = at('A');

    begin(&rig);
    rig.late = true;
    rig_broker_publish(&rig, "cmd", "x", 1, 1, 1);
    rig_clear(&rig);
    rig_wait(&rig, 59000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    engine_sent(rig.engine, rig.now_ms, &to);
    engine_sent(rig.engine, rig.now_ms + 5000, &to); /* told twice: the first counts */
    rig_wait(&rig, 9999);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"x\"\n"));
    rig_wait(&rig, 20000); /* the repetition waits as well */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static void
message_that_was_held_for_the_disk_may_wait_in_the_link_too(void)
{
    struct rig rig;
    struct dm_address to = at('A');
    struct dm_address stranger = at('Z');

    begin(&rig);
    engine_link(rig.engine, rig.now_ms, 1, false); /* the other device is not of interest */
    rig_broker_publish(&rig, "cmd", "x", 1, 1, 1);
    rig_clear(&rig);
    engine_late(rig.engine, &to);
    engine_late(rig.engine, &stranger);
    engine_sent(rig.engine, rig.now_ms, &stranger);
    rig_wait(&rig, 50000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    engine_sent(rig.engine, rig.now_ms, &to);
    rig_wait(&rig, 10000);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"x\"\n"));
    rig_fini(&rig);
}

static void
message_that_waited_in_a_link_that_went_down_is_sent_again(void)
{
    struct rig rig;

    begin(&rig);
    rig.late = true;
    rig_broker_publish(&rig, "cmd", "x", 1, 1, 1);
    engine_link(rig.engine, rig.now_ms, 0, false);
    rig.late = false;
    rig_clear(&rig);
    engine_link(rig.engine, rig.now_ms, 0, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"x\"\n"));
    rig_wait(&rig, 10000);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 dup \"x\"\n"));
    rig_fini(&rig);
}

static void
requests_on_a_congested_link_are_answered_with_congestion(void)
{
    struct rig rig;

    begin(&rig);
    engine_link_congested(rig.engine, 0, true);
    rig_register(&rig, 'A', "t", 5);
    rig_subscribe(&rig, 'A', "other", 1, 6);
    rig_publish(&rig, 'A', 1, 1, 7, "up");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGACK 0 msg 5 code 1\n"
                                    "A> SUBACK 0 qos 0 msg 6 code 1\n"
                                    "A> PUBACK 1 msg 7 code 1\n"));
    engine_link_congested(rig.engine, 0, false);
    rig_publish(&rig, 'A', 1, 1, 7, "up");
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH cmd qos 1 \"up\" pid 3\n"));
    rig_fini(&rig);
}

static void
radio_that_takes_less_than_the_mtu_gets_no_more(void)
{
    struct rig rig;
    struct engine_status status;

    begin(&rig);
    engine_link_mtu(rig.engine, 0, 10);
    rig_broker_publish(&rig, "cmd", "four", 1, 1, 1);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.dropped[ENGINE_DROP_TOO_LONG], 1);
    rig_clear(&rig);
    rig_broker_publish(&rig, "cmd", "3 o", 1, 2, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> PUBLISH 1 qos 1 msg 2 \"3 o\"\n"));
    engine_link_mtu(rig.engine, 0, 65535); /* never more than configured */
    rig_fini(&rig);
}

/* Nobody is lost by the link's silence for a while; after that the device's own time begins. */
static void
device_of_a_link_that_stays_away_is_lost_after_the_pause(void)
{
    static const struct engine_link links[1] = {{.mtu = 255, .up = true, .pause_ms = 600000}};
    struct rig rig;
    struct engine_status status;

    rig_init(&rig);
    rig.options.links = links;
    rig_restart(&rig);
    rig_device(&rig, 'A', "one", false);
    rig_wait(&rig, 30000);
    engine_link(rig.engine, rig.now_ms, 0, false);
    rig_wait(&rig, 1000);
    engine_link(rig.engine, rig.now_ms, 0, false); /* said again: the pause goes on */
    rig_wait(&rig, 599000 + 89999);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_ACTIVE], 1);
    rig_wait(&rig, 1);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_LOST], 1);
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(message_that_waits_in_the_link_is_not_repeated_before_it_has_left),
    UNIT_TEST(message_that_was_held_for_the_disk_may_wait_in_the_link_too),
    UNIT_TEST(message_that_waited_in_a_link_that_went_down_is_sent_again),
    UNIT_TEST(requests_on_a_congested_link_are_answered_with_congestion),
    UNIT_TEST(radio_that_takes_less_than_the_mtu_gets_no_more),
    UNIT_TEST(device_of_a_link_that_stays_away_is_lost_after_the_pause),
    UNIT_TEST(link_that_is_down_holds_back_its_own_devices_only),
    UNIT_TEST(awake_device_is_asleep_when_its_link_goes_down),
    UNIT_TEST(room_on_one_link_does_not_wake_devices_of_another),
    UNIT_TEST(register_and_pubrel_wait_for_room_too),
    UNIT_TEST(awake_device_on_a_full_link_gets_its_message_before_pingresp),
    UNIT_TEST(each_device_goes_on_with_the_commit_of_its_own_records),
    UNIT_TEST(forgotten_device_is_told_only_if_it_listens),
    UNIT_TEST(shutdown_records_what_is_kept_in_memory_only),
};
UNIT_MAIN("engine links", tests)
