/* SPDX-License-Identifier: Apache-2.0 */
/* Several brokers (design 6): what was promised by one outlasts the time with another. */
#include <dormouse/log.h>

#include "engine_rig.h"
#include "unit.h"

enum { FIRST, OTHER };

static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig->options.broker_count = 2;
    rig_broker_up(rig, MQTT_5, false);
    rig_commit(rig);
    rig_clear(rig);
}

static void
go_to(struct rig *rig, size_t broker, bool session_present)
{
    rig_broker_down(rig);
    rig_commit(rig);
    rig_clear(rig);
    rig->broker = broker;
    rig_broker_up(rig, MQTT_5, session_present);
    rig_commit(rig);
}

/* Connected, with the name "up" under topic id 1, and its QoS 2 message of MsgId 5 on its way under
 * packet id 1. */
static void
send_qos2(struct rig *rig)
{
    rig_device(rig, 'A', "dev", false);
    rig_register(rig, 'A', "up", 1);
    rig_commit(rig);
    rig_clear(rig);
    rig_publish(rig, 'A', 1, 2, 5, "x");
    rig_commit(rig);
    CU_ASSERT_TRUE(rig_expect(rig, "^ PUBLISH up qos 2 \"x\" pid 1 !5\n"));
}

static bool
says(const struct rig *rig, const char *line)
{
    return strstr(rig->text, line) != NULL;
}

static void
each_broker_is_wiped_only_before_its_first_connection(void)
{
    struct rig rig;

    begin(&rig);
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, FIRST));
    CU_ASSERT_TRUE(engine_needs_clean_start(rig.engine, OTHER));
    go_to(&rig, OTHER, false);
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, FIRST));
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, OTHER));
    rig_restart(&rig);
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, FIRST));
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, OTHER));
    rig_fini(&rig);
}

static void
message_begun_with_one_broker_goes_to_the_next_as_new(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    go_to(&rig, OTHER, false);
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 \"x\" pid 2"));
    CU_ASSERT_FALSE(says(&rig, "dup"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 1); /* the id is open at the first */
    rig_fini(&rig);
}

static void
message_done_elsewhere_is_only_ended_on_the_way_back(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    go_to(&rig, OTHER, false);
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBCOMP, 2, 0);
    go_to(&rig, FIRST, true);
    CU_ASSERT_TRUE(says(&rig, "^ PUBREL pid 1"));
    CU_ASSERT_FALSE(says(&rig, "PUBLISH"));
    rig_clear(&rig);
    rig_publish(&rig, 'A', 1, 1, 6, "y"); /* not under the id that is open */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH up qos 1 \"y\" pid 3\n"));
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0x92);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 0);
    rig_fini(&rig);
}

static void
message_not_done_anywhere_goes_on_with_each_broker_under_its_id(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    go_to(&rig, OTHER, false);
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0);
    rig_commit(&rig);
    go_to(&rig, FIRST, true);
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 dup \"x\" pid 1"));
    CU_ASSERT_FALSE(says(&rig, "PUBREL"));
    go_to(&rig, OTHER, true);
    CU_ASSERT_TRUE(says(&rig, "^ PUBREL pid 2"));
    CU_ASSERT_FALSE(says(&rig, "PUBLISH"));
    rig_fini(&rig);
}

/* The same with the process killed at every broker. */
static void
restarts_between_brokers_change_nothing(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    rig_restart(&rig);
    rig.broker = OTHER;
    rig_broker_up(&rig, MQTT_5, false);
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 \"x\" pid 1"));
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_clear(&rig);
    rig.broker = FIRST;
    rig_broker_up(&rig, MQTT_5, true);
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 dup \"x\" pid 1"));
    rig_restart(&rig);
    rig_clear(&rig);
    rig.broker = OTHER;
    rig_broker_up(&rig, MQTT_5, true);
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ PUBREL pid 1"));
    CU_ASSERT_FALSE(says(&rig, "PUBLISH"));
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_clear(&rig);
    rig.broker = FIRST;
    rig_broker_up(&rig, MQTT_5, true);
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ PUBREL pid 1"));
    CU_ASSERT_FALSE(says(&rig, "PUBLISH"));
    rig_fini(&rig);
}

static void
broker_that_lost_its_session_meanwhile_is_owed_nothing(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    go_to(&rig, OTHER, false);
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBCOMP, 2, 0);
    go_to(&rig, FIRST, false);
    CU_ASSERT_FALSE(says(&rig, "PUB"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 0);
    rig_fini(&rig);
}

static void
message_of_one_broker_is_recognised_when_it_comes_again_after_another(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "dev", false, "cmd", 2);
    rig_disconnect(&rig, 'A', 60);
    rig_commit(&rig);
    rig_broker_publish(&rig, "cmd", "one", 2, 9, 1); /* its PUBREC does not reach the broker */
    go_to(&rig, OTHER, false);
    CU_ASSERT_TRUE(says(&rig, "^ SUBSCRIBE cmd"));
    rig_broker_publish(&rig, "cmd", "two", 2, 9, 1); /* another one under the same id */
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    rig_broker_down(&rig);
    rig_restart(&rig);
    for (size_t broker = FIRST; broker <= OTHER; broker++) {
        go_to(&rig, broker, true);
        rig_clear(&rig);
        rig_broker_publish(&rig, "cmd", broker == FIRST ? "one" : "two", 2, 9, 1);
        CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBREC pid 9\n"));
        CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    }
    rig_fini(&rig);
}

static void
broker_we_come_back_to_gets_what_changed_meanwhile(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "dev", false, "old", 1);
    go_to(&rig, OTHER, false);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 0);
    rig_unsubscribe(&rig, 'A', "old", 8);
    rig_subscribe(&rig, 'A', "new", 1, 9);
    rig_commit(&rig);
    go_to(&rig, FIRST, true);
    CU_ASSERT_TRUE(says(&rig, "^ UNSUBSCRIBE old"));
    CU_ASSERT_TRUE(says(&rig, "^ SUBSCRIBE new"));
    CU_ASSERT_FALSE(says(&rig, "^ SUBSCRIBE old"));
    rig_fini(&rig);
}

static void
brokers_that_are_not_configured_are_forgotten_last_used_first(void)
{
    struct rig rig;
    char keys[40][16];

    begin(&rig);
    rig.options.broker_count = 1;
    for (size_t i = 0; i < 40; i++) {
        snprintf(keys[i], sizeof keys[i], "broker %zu", i);
        rig.broker_keys[0] = keys[i];
        rig_broker_up(&rig, MQTT_5, false);
        rig_commit(&rig);
        rig_broker_down(&rig);
    }
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_BROKER_PUT), 16);
    rig.broker_keys[0] = keys[24];
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, 0));
    rig.broker_keys[0] = keys[23];
    CU_ASSERT_TRUE(engine_needs_clean_start(rig.engine, 0));
    rig_restart(&rig);
    CU_ASSERT_TRUE(engine_needs_clean_start(rig.engine, 0));
    rig_fini(&rig);
}

/* MQTT demands that a broker takes a SUBSCRIBE with more than it can; not all do. */
static void
broker_without_qos_2_is_asked_for_no_more_and_owed_no_pubrel(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    rig_subscribe(&rig, 'A', "cmd", 2, 8);
    rig_broker_down(&rig);
    rig_clear(&rig);
    engine_upstream_connected(rig.engine, rig.now_ms,
                              &(struct upstream_session){.broker = OTHER,
                                                         .version = MQTT_5,
                                                         .send_maximum = 10,
                                                         .maximum_qos = 1});
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ SUBSCRIBE cmd pid 4 qos 1"));
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 1 \"x\" pid "));
    go_to(&rig, FIRST, true);
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 dup \"x\" pid 1"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 0); /* none of the other one */
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(each_broker_is_wiped_only_before_its_first_connection),
    UNIT_TEST(message_begun_with_one_broker_goes_to_the_next_as_new),
    UNIT_TEST(message_done_elsewhere_is_only_ended_on_the_way_back),
    UNIT_TEST(message_not_done_anywhere_goes_on_with_each_broker_under_its_id),
    UNIT_TEST(restarts_between_brokers_change_nothing),
    UNIT_TEST(broker_that_lost_its_session_meanwhile_is_owed_nothing),
    UNIT_TEST(message_of_one_broker_is_recognised_when_it_comes_again_after_another),
    UNIT_TEST(broker_we_come_back_to_gets_what_changed_meanwhile),
    UNIT_TEST(broker_without_qos_2_is_asked_for_no_more_and_owed_no_pubrel),
    UNIT_TEST(brokers_that_are_not_configured_are_forgotten_last_used_first),
};

UNIT_MAIN("engine fail-over", tests)
