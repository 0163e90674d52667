/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery and standing by (R8 to R13), QoS -1 (R40 to R44), pre-defined ids per client (reference
 * 2.1 and 2.5), and the limits of an awake period (R97, R100). */
#include "unit.h"

#include "engine_rig.h"

/* A rig with these options: the engine of rig_init is replaced. */
static void
restart_with_options(struct rig *rig)
{
    rig_restart(rig);
    rig_clear(rig);
}

static void
advertiser(struct rig *rig)
{
    rig_init(rig);
    rig->link.advertise = true;
    rig->options.advertise_ms = 900000;
    restart_with_options(rig);
}

static void
search(struct rig *rig, char who, uint8_t radius)
{
    rig_send(rig, who, &(struct mqttsn_packet){.type = MQTTSN_SEARCHGW, .radius = radius});
}

static void
hear_advertise(struct rig *rig, uint8_t gateway_id, uint16_t duration_s)
{
    rig_send(rig, 'G',
             &(struct mqttsn_packet){
                 .type = MQTTSN_ADVERTISE, .gateway_id = gateway_id, .duration_s = duration_s});
}

/* ---- ADVERTISE ---- */

static void
advertise_is_sent_when_the_broker_comes_and_every_period(void) /* R8, R10 */
{
    struct rig rig;

    advertiser(&rig);
    rig_wait(&rig, 5000);
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "* > ADVERTISE 1 every 900 radius 0\n"));
    rig_wait(&rig, 899999);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "* > ADVERTISE 1 every 900 radius 0\n"));
    rig_fini(&rig);
}

static void
advertise_goes_on_without_a_broker_and_not_without_a_disk(void) /* R9: design 6 */
{
    struct rig rig;
    struct engine_status status;

    advertiser(&rig);
    rig_wait(&rig, 10000);
    CU_ASSERT_TRUE(rig_expect(&rig, "* > ADVERTISE 1 every 900 radius 0\n"));
    rig_broker_up(&rig, MQTT_5, false); /* right after: not again */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_broker_down(&rig);
    rig_wait(&rig, 900000);
    CU_ASSERT_TRUE(rig_expect(&rig, "* > ADVERTISE 1 every 900 radius 0\n"));
    engine_store_degraded(rig.engine, true);
    rig_wait(&rig, 900000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.advertised, 2);
    rig_fini(&rig);
}

static void
advertise_is_not_sent_on_other_links_or_links_that_are_down(void)
{
    struct rig rig;

    advertiser(&rig);
    engine_link(rig.engine, rig.now_ms, 0, false);
    rig_wait(&rig, 1000000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig.link.advertise = false;
    engine_link(rig.engine, rig.now_ms, 0, true);
    rig_wait(&rig, 1000000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static void
advertise_of_others_changes_nothing(void) /* R13, and 3.13 in every state */
{
    struct rig rig;

    advertiser(&rig);
    rig_wait(&rig, 10000);
    rig_clear(&rig);
    hear_advertise(&rig, 2, 60);
    hear_advertise(&rig, 1, 60); /* our own number: logged */
    rig_send(&rig, 'G', &(struct mqttsn_packet){.type = MQTTSN_GWINFO, .gateway_id = 2});
    rig_wait(&rig, 899999);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

/* ---- SEARCHGW ---- */

static void
search_is_answered_at_once_with_the_radius_and_one_broadcast_a_second(void) /* R11 */
{
    struct rig rig;

    rig_init(&rig);
    search(&rig, 'A', 3);
    CU_ASSERT_TRUE(rig_expect(&rig, "*A> GWINFO 1 radius 3\n"));
    search(&rig, 'A', 3); /* the same one */
    search(&rig, 'B', 3); /* another: told alone */
    CU_ASSERT_TRUE(rig_expect(&rig, "B> GWINFO 1\n"));
    rig_wait(&rig, 1000);
    search(&rig, 'B', 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "*B> GWINFO 1 radius 0\n"));
    rig_fini(&rig);
}

static void
search_of_a_sleeping_device_is_answered_and_leaves_it_asleep(void) /* 3.13 */
{
    struct rig rig;
    struct engine_status status;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_clear(&rig);
    search(&rig, 'A', 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "*A> GWINFO 1 radius 1\n"));
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_ASLEEP], 1);
    CU_ASSERT_EQUAL(status.searches, 1);
    rig_fini(&rig);
}

static void
search_is_not_answered_while_the_disk_fails(void)
{
    struct rig rig;

    rig_init(&rig);
    engine_store_degraded(rig.engine, true);
    search(&rig, 'A', 1);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

/* ---- stand-by ---- */

static void
standby_is_silent_until_the_other_gateway_misses_three_advertisements(void) /* R12 */
{
    struct rig rig;

    advertiser(&rig);
    rig.options.standby_for = 2;
    restart_with_options(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    search(&rig, 'A', 1);
    rig_wait(&rig, 1000000);
    hear_advertise(&rig, 2, 600);
    rig_wait(&rig, 1799999);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "* > ADVERTISE 1 every 900 radius 0\n"));
    search(&rig, 'A', 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "*A> GWINFO 1 radius 1\n"));
    hear_advertise(&rig, 2, 600); /* it is back */
    rig_wait(&rig, 1799999);
    search(&rig, 'A', 1);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static void
standby_that_never_hears_the_other_gateway_begins_after_three_of_its_own_periods(void)
{
    struct rig rig;

    advertiser(&rig);
    rig.options.standby_for = 2;
    restart_with_options(&rig);
    rig_wait(&rig, 2699999);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_wait(&rig, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "* > ADVERTISE 1 every 900 radius 0\n"));
    rig_fini(&rig);
}

static void
reload_of_a_standby_that_took_over_goes_on_advertising(void)
{
    struct rig rig;

    rig_init(&rig);
    rig.options.standby_for = 2;
    rig.options.advertise_ms = 60000;
    rig.link.advertise = true;
    rig_restart(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 180000);
    CU_ASSERT_TRUE(rig_expect(&rig, "* > ADVERTISE 1 every 60 radius 0\n"));
    struct engine_options next = rig.options;
    next.advertise_ms = 900000;
    engine_reconfigure(rig.engine, rig.now_ms, &next);
    rig_clear(&rig);
    search(&rig, 'A', 3);
    CU_ASSERT_TRUE(rig_expect(&rig, "*A> GWINFO 1 radius 3\n"));
    rig_fini(&rig);
}

static void
standby_serves_devices_that_come_all_the_same(void)
{
    struct rig rig;

    advertiser(&rig);
    rig.options.standby_for = 2;
    restart_with_options(&rig);
    rig_connect(&rig, 'A', "aaa", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !1\n"));
    rig_fini(&rig);
}

/* ---- QoS -1 ---- */

static void
publish_bare(struct rig *rig, enum mqttsn_topic_type type, uint16_t id, const char *data)
{
    rig_send(rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = MQTTSN_QOS_MINUS_ONE,
                                     .topic_type = type,
                                     .topic_id = id,
                                     .msg_id = 77, /* R42: ignored */
                                     .data = dm_span_text(data)});
}

static void
qos_minus_one_by_name_is_taken_only_if_configured(void) /* R42, M32 */
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    publish_bare(&rig, MQTTSN_TOPIC_NORMAL, 3, "t/121.5");
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig.link.qos_minus_one = ENGINE_QOS_MINUS_ONE_NAMES;
    publish_bare(&rig, MQTTSN_TOPIC_NORMAL, 3, "t/121.5");
    publish_bare(&rig, MQTTSN_TOPIC_PREDEFINED, 7, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH t/1 qos 0 \"21.5\" !1\n"
                                    "^ PUBLISH yard/button qos 0 \"x\" !1\n"));
    publish_bare(&rig, MQTTSN_TOPIC_NORMAL, 8, "t/121.5"); /* longer than there is */
    publish_bare(&rig, MQTTSN_TOPIC_NORMAL, 0, "t/121.5");
    publish_bare(&rig, MQTTSN_TOPIC_NORMAL, 3, "t/#21.5");
    publish_bare(&rig, MQTTSN_TOPIC_RESERVED, 3, "t/121.5"); /* M26 */
    publish_bare(&rig, MQTTSN_TOPIC_PREDEFINED, 99, "x");    /* R40: no answer either */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig.link.qos_minus_one = ENGINE_QOS_MINUS_ONE_NO;
    publish_bare(&rig, MQTTSN_TOPIC_PREDEFINED, 7, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static void
qos_minus_one_of_a_connected_device_is_a_sign_of_life(void) /* R43 */
{
    struct rig rig;
    struct engine_status status;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_wait(&rig, 80000);
    publish_bare(&rig, MQTTSN_TOPIC_PREDEFINED, 7, "x");
    rig_wait(&rig, 80000);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.sessions[ENGINE_ACTIVE], 1);
    rig_fini(&rig);
}

/* ---- pre-defined ids per client ---- */

static const struct engine_topic pump_topics[] = {{7, "pumps/%c/button"}, {1, "pumps/%c/speed"}};
static const struct engine_topic other_topics[] = {{7, "other"}};
static const struct engine_client clients[] = {
    {.pattern = "pump-*", .topics = pump_topics, .topic_count = 2, .uses_client_id = true},
    {.pattern = "*", .topics = other_topics, .topic_count = 1},
};

static void
begin_with_clients(struct rig *rig, const char *client_id)
{
    rig_init(rig);
    rig->options.clients = clients;
    rig->options.client_count = 2;
    rig_broker_up(rig, MQTT_5, false);
    rig_device(rig, 'A', client_id, false);
}

static void
publish_predefined(struct rig *rig, uint16_t id)
{
    rig_send(rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = id,
                                     .data = dm_span_text("x")});
}

static void
predefined_id_of_the_client_wins_and_names_it(void) /* reference 2.1 */
{
    struct rig rig;

    begin_with_clients(&rig, "pump-3");
    publish_predefined(&rig, 7);
    publish_predefined(&rig, 8); /* of all devices */
    CU_ASSERT_TRUE(rig_expect(
        &rig, "^ PUBLISH pumps/pump-3/button qos 0 \"x\"\n^ PUBLISH yard/lamp qos 0 \"x\"\n"));
    rig_fini(&rig);
}

static void
client_id_with_a_topic_character_matches_no_section_that_names_it(void) /* design 9 */
{
    struct rig rig;

    begin_with_clients(&rig, "pump-/3");
    publish_predefined(&rig, 7);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH other qos 0 \"x\"\n"));
    rig_fini(&rig);
}

static void
normal_id_is_none_of_the_clients_predefined_ones(void) /* reference 2.1 */
{
    struct rig rig;

    begin_with_clients(&rig, "pump-3");
    rig_register(&rig, 'A', "a", 1);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGACK 2 msg 1 code 0 !3\n"));
    rig_fini(&rig);
}

static void
message_under_a_wildcard_uses_an_id_from_the_clients_table(void) /* reference 2.5, 5 */
{
    struct rig rig;

    begin_with_clients(&rig, "pump-3");
    rig_subscribe(&rig, 'A', "#", 1, 1);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "pumps/pump-3/speed", "x", 1, 5, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH p1 qos 1 msg 1 \"x\"\n"));
    rig_fini(&rig);
}

static void
message_under_a_wildcard_uses_a_common_id_only_if_the_device_used_it(void) /* reference 2.5, 5 */
{
    struct rig rig;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "yard/#", 0);
    rig_broker_publish(&rig, "yard/lamp", "x", 0, 0, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 yard/lamp msg 1 !5\n"));
    rig_regack(&rig, 'A', 1, 1, 0);
    rig_clear(&rig);
    publish_predefined(&rig, 7);
    rig_clear(&rig);
    rig_broker_publish(&rig, "yard/button", "x", 0, 0, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH p7 qos 0 msg 0 \"x\"\n"));
    rig_fini(&rig);
}

/* ---- awake ---- */

static void
messages_that_come_long_after_waking_wait_for_the_next_period(void) /* R97 */
{
    struct rig rig;

    rig_init(&rig);
    rig.options.settings.awake_max_ms = 5000;
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "t", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_broker_publish(&rig, "t", "old", 1, 5, 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_wait(&rig, 5000);
    rig_broker_publish(&rig, "t", "soon", 1, 6, 1);
    rig_wait(&rig, 1);
    rig_broker_publish(&rig, "t", "late", 1, 7, 1);
    rig_clear(&rig);
    rig_puback(&rig, 'A', 1, 1, 0);
    rig_puback(&rig, 'A', 1, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 2 \"soon\"\n"
                                    "A> PINGRESP\n^ PUBACK pid 6\n"));
    rig_commit(&rig);
    rig_clear(&rig);
    rig_ping(&rig, 'A', "aaa");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 3 \"late\"\n"));
    rig_fini(&rig);
}

static void
connect_from_sleep_keeps_the_session_if_clean_is_to_be_ignored(void) /* R100 */
{
    struct rig rig;

    rig_init(&rig);
    rig.options.settings.resume_ignores_clean = true;
    rig_device_subscribed(&rig, 'A', "aaa", false, "t", 1);
    rig_disconnect(&rig, 'A', 600);
    rig_commit(&rig);
    rig_connect(&rig, 'A', "aaa", true, 60);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SUBSCRIPTION_PUT), 1);
    rig_connect(&rig, 'A', "aaa", true, 60); /* from active it counts */
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SUBSCRIPTION_PUT), 0);
    rig_fini(&rig);
}

/* emcute answers every DUP = 1 with 0x03, whether it had the message or not. */
static void
refusal_of_a_repetition_counts_as_delivered(void) /* R63 */
{
    struct rig rig;
    struct engine_status status;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_subscribed(&rig, 'A', "aaa", false, "t", 1);
    rig_broker_publish(&rig, "t", "x", 1, 5, 1);
    rig_wait(&rig, 10000);
    rig_puback(&rig, 'A', 1, 1, 3);
    rig_broker_publish(&rig, "t", "y", 1, 6, 1);
    rig_puback(&rig, 'A', 1, 2, 3);
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.downlink_messages, 1);
    CU_ASSERT_EQUAL(status.dropped[ENGINE_DROP_REFUSED], 1);
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(advertise_is_sent_when_the_broker_comes_and_every_period),
    UNIT_TEST(advertise_goes_on_without_a_broker_and_not_without_a_disk),
    UNIT_TEST(advertise_is_not_sent_on_other_links_or_links_that_are_down),
    UNIT_TEST(advertise_of_others_changes_nothing),
    UNIT_TEST(search_is_answered_at_once_with_the_radius_and_one_broadcast_a_second),
    UNIT_TEST(search_of_a_sleeping_device_is_answered_and_leaves_it_asleep),
    UNIT_TEST(search_is_not_answered_while_the_disk_fails),
    UNIT_TEST(standby_is_silent_until_the_other_gateway_misses_three_advertisements),
    UNIT_TEST(standby_that_never_hears_the_other_gateway_begins_after_three_of_its_own_periods),
    UNIT_TEST(reload_of_a_standby_that_took_over_goes_on_advertising),
    UNIT_TEST(standby_serves_devices_that_come_all_the_same),
    UNIT_TEST(qos_minus_one_by_name_is_taken_only_if_configured),
    UNIT_TEST(qos_minus_one_of_a_connected_device_is_a_sign_of_life),
    UNIT_TEST(predefined_id_of_the_client_wins_and_names_it),
    UNIT_TEST(client_id_with_a_topic_character_matches_no_section_that_names_it),
    UNIT_TEST(normal_id_is_none_of_the_clients_predefined_ones),
    UNIT_TEST(message_under_a_wildcard_uses_an_id_from_the_clients_table),
    UNIT_TEST(message_under_a_wildcard_uses_a_common_id_only_if_the_device_used_it),
    UNIT_TEST(messages_that_come_long_after_waking_wait_for_the_next_period),
    UNIT_TEST(connect_from_sleep_keeps_the_session_if_clean_is_to_be_ignored),
    UNIT_TEST(refusal_of_a_repetition_counts_as_delivered),
};

UNIT_MAIN("engine_discovery", tests)
