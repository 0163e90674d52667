/* SPDX-License-Identifier: Apache-2.0 */
/* Names between devices and broker: rules of [map], and prefixes of clients. */
#include "unit.h"

#include <stdio.h>

#include "engine_inspect.h"
#include "engine_rig.h"

static const char *const lists[] = {"sensors/+/t", "cmd/#"};
static const struct engine_topic topics[] = {{30, "sensors/%c/t"}, {31, "site1/x/temperature"}};

/* Device A is of the section with the prefix, device B of none; the rule is for both. */
struct fixture {
    struct rig rig;
    struct topic_rule rule;
    struct engine_client client;
};

static void
setup(struct fixture *f)
{
    rig_init(&f->rig);
    CU_ASSERT_PTR_NULL_FATAL(topic_rule_parse("sensors/+/t -> site1/%1/temperature", &f->rule));
    f->client = (struct engine_client){.pattern = "pump-*",
                                       .topics = topics,
                                       .topic_count = 2,
                                       .uses_client_id = true,
                                       .topic_prefix = "p/%c/"};
    f->rig.options.clients = &f->client;
    f->rig.options.client_count = 1;
    f->rig.options.rules = &f->rule;
    f->rig.options.rule_count = 1;
    f->rig.options.topic_prefix = "farm/";
    rig_broker_up(&f->rig, MQTT_5, false);
}

static void
setup_both(struct fixture *f)
{
    setup(f);
    rig_device(&f->rig, 'A', "pump-1", false);
    rig_device(&f->rig, 'B', "bbb", false);
}

static void
teardown(struct fixture *f)
{
    rig_fini(&f->rig);
    topic_rule_fini(&f->rule);
}

static void
expect(struct fixture *f, const char *lines)
{
    CU_ASSERT_TRUE(rig_expect(&f->rig, lines));
}

/* The whole effect but for the number that holds it. */
static bool
has(const struct fixture *f, const char *part)
{
    bool found = strstr(f->rig.text, part) != NULL;

    if (!found)
        printf("\n--- no %s in\n%s---\n", part, f->rig.text);
    return found;
}

/* ---- upward ---- */

static void
publish_goes_through_rule_and_both_prefixes(void)
{
    struct fixture f;

    setup_both(&f);
    rig_register(&f.rig, 'A', "sensors/7/t", 5);
    rig_register(&f.rig, 'A', "other", 6);
    rig_register(&f.rig, 'B', "sensors/7/t", 5);
    rig_commit(&f.rig);
    rig_clear(&f.rig);
    rig_publish(&f.rig, 'A', 1, 0, 0, "a");
    rig_publish(&f.rig, 'A', 2, 0, 0, "b");
    rig_publish(&f.rig, 'B', 1, 0, 0, "c");
    expect(&f, "^ PUBLISH farm/p/pump-1/site1/7/temperature qos 0 \"a\"\n"
               "^ PUBLISH farm/p/pump-1/other qos 0 \"b\"\n"
               "^ PUBLISH farm/site1/7/temperature qos 0 \"c\"\n");
    teardown(&f);
}

static void
predefined_ids_and_short_names_are_names_of_the_device(void)
{
    struct fixture f;

    setup_both(&f);
    rig_send(&f.rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 30,
                                     .data = dm_span_text("a")});
    rig_send(&f.rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .topic_type = MQTTSN_TOPIC_SHORT,
                                     .topic_id = 'a' << 8 | 'b',
                                     .data = dm_span_text("b")});
    rig_send(&f.rig, 'C',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = MQTTSN_QOS_MINUS_ONE,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 7,
                                     .data = dm_span_text("c")});
    expect(&f, "^ PUBLISH farm/p/pump-1/site1/pump-1/temperature qos 0 \"a\"\n"
               "^ PUBLISH farm/p/pump-1/ab qos 0 \"b\"\n"
               "^ PUBLISH farm/yard/button qos 0 \"c\"\n");
    teardown(&f);
}

/* The broker's name of another topic is none that a device can have. */
static void
name_of_the_right_side_is_refused(void)
{
    struct fixture f;

    setup_both(&f);
    rig_register(&f.rig, 'B', "site1/7/temperature", 5);
    rig_subscribe(&f.rig, 'B', "site1/7/temperature", 1, 6);
    rig_subscribe(&f.rig, 'B', "sensors/#", 1, 7);
    rig_subscribe(&f.rig, 'B', "#", 1, 8);
    rig_send(&f.rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = 1,
                                     .msg_id = 9,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 31,
                                     .data = dm_span_text("a")});
    rig_will_topic(&f.rig, 'B', MQTTSN_WILLTOPICUPD, "site1/x/temperature", 1, false);
    expect(&f, "B> REGACK 0 msg 5 code 3\nB> SUBACK 0 qos 0 msg 6 code 3\n"
               "B> SUBACK 0 qos 0 msg 7 code 3\nB> SUBACK 0 qos 0 msg 8 code 3\n"
               "A> PUBACK 31 msg 9 code 3\nB> WILLTOPICRESP 3\n");
    CU_ASSERT_EQUAL(rig_status(&f.rig).denied, 6);
    teardown(&f);
}

static void
wills_are_published_under_the_name_of_the_broker(void)
{
    struct fixture f;

    setup(&f);
    rig_device_with_will(&f.rig, 'A', "pump-1", false, "sensors/1/t", "gone");
    rig_wait(&f.rig, 90000);
    rig_commit(&f.rig);
    CU_ASSERT_TRUE(has(&f, "^ PUBLISH farm/p/pump-1/site1/1/temperature qos 1 \"gone\""));
    teardown(&f);
}

static void
lists_hold_for_the_names_of_the_device(void)
{
    struct fixture f;

    setup(&f);
    f.client.publish = lists;
    f.client.publish_count = 1;
    f.client.subscribe = lists;
    f.client.subscribe_count = 2;
    rig_device(&f.rig, 'A', "pump-1", false);
    rig_register(&f.rig, 'A', "sensors/7/t", 5);
    rig_register(&f.rig, 'A', "other", 6);
    rig_register(&f.rig, 'A', "cmd/x", 7);
    rig_commit(&f.rig);
    expect(
        &f,
        "A> REGACK 1 msg 5 code 0 !3\nA> REGACK 0 msg 6 code 3 !3\nA> REGACK 2 msg 7 code 0 !4\n");
    rig_publish(&f.rig, 'A', 1, 0, 0, "a");
    rig_publish(&f.rig, 'A', 2, 1, 8, "b");
    expect(&f,
           "^ PUBLISH farm/p/pump-1/site1/7/temperature qos 0 \"a\"\nA> PUBACK 2 msg 8 code 3\n");
    teardown(&f);
}

/* ---- downward ---- */

static void
subscription_and_message_are_rewritten_and_back(void)
{
    struct fixture f;

    setup_both(&f);
    rig_subscribe(&f.rig, 'A', "sensors/+/t", 1, 5);
    rig_subscribe(&f.rig, 'B', "sensors/+/t", 1, 5);
    rig_commit(&f.rig);
    CU_ASSERT_TRUE(has(&f, "^ SUBSCRIBE farm/p/pump-1/site1/+/temperature pid 1 id 1"));
    CU_ASSERT_TRUE(has(&f, "^ SUBSCRIBE farm/site1/+/temperature pid 2 id 2"));
    rig_broker_answer(&f.rig, MQTT_SUBACK, 1, 2);
    rig_broker_answer(&f.rig, MQTT_SUBACK, 2, 2);
    rig_commit(&f.rig);
    rig_clear(&f.rig);
    rig_broker_publish(&f.rig, "farm/p/pump-1/site1/9/temperature", "x", 0, 0, 1);
    CU_ASSERT_TRUE(has(&f, "A> REGISTER 1 sensors/9/t msg 1"));
    rig_broker_publish(&f.rig, "farm/site1/9/temperature", "x", 0, 0, 2);
    CU_ASSERT_TRUE(has(&f, "B> REGISTER 1 sensors/9/t msg 1"));
    teardown(&f);
}

static void
ids_are_chosen_by_the_names_of_the_device(void)
{
    struct fixture f;

    setup_both(&f);
    rig_subscribe(&f.rig, 'A', "+", 0, 5);
    rig_subscribe(&f.rig, 'A', "sensors/pump-1/t", 0, 6);
    rig_commit(&f.rig);
    rig_broker_answer(&f.rig, MQTT_SUBACK, 1, 2);
    rig_broker_answer(&f.rig, MQTT_SUBACK, 2, 2);
    rig_unsubscribe(&f.rig, 'A', "sensors/pump-1/t", 7);
    rig_subscribe(&f.rig, 'A', "sensors/+/t", 0, 8);
    rig_commit(&f.rig);
    CU_ASSERT_TRUE(has(&f, "^ UNSUBSCRIBE farm/p/pump-1/site1/pump-1/temperature"));
    rig_broker_answer(&f.rig, MQTT_SUBACK, 4, 2);
    rig_commit(&f.rig);
    rig_clear(&f.rig);
    rig_broker_publish(&f.rig, "farm/p/pump-1/ab", "x", 0, 0, 1);
    expect(&f, "A> PUBLISH s24930 qos 0 msg 0 \"x\"\n");
    teardown(&f);
}

/* a/# matches a, and behind the prefix $ is nothing special: the device would not expect either. */
static void
what_only_the_prefix_lets_through_is_kept_away(void)
{
    struct fixture f;

    setup(&f);
    f.rig.options.rule_count = 0;
    rig_device(&f.rig, 'A', "pump-1", false);
    rig_subscribe(&f.rig, 'A', "#", 0, 5);
    rig_commit(&f.rig);
    CU_ASSERT_TRUE(has(&f, "^ SUBSCRIBE farm/p/pump-1/# pid 1"));
    rig_broker_answer(&f.rig, MQTT_SUBACK, 1, 2);
    rig_commit(&f.rig);
    rig_clear(&f.rig);
    rig_broker_publish(&f.rig, "farm/p/pump-1", "x", 1, 5, 1);
    rig_broker_publish(&f.rig, "farm/p/pump-1/$SYS/x", "x", 1, 6, 1);
    rig_commit(&f.rig);
    expect(&f, "^ PUBACK pid 5\n^ PUBACK pid 6\n");
    rig_broker_publish(&f.rig, "farm/p/pump-1/ok", "x", 0, 0, 1);
    CU_ASSERT_TRUE(has(&f, "A> PUBLISH s28523 qos 0 msg 0 \"x\""));
    teardown(&f);
}

/* The older subscription matches at the broker only: its copy is none. */
static void
copy_of_a_filter_that_matches_at_the_broker_only_is_not_awaited(void)
{
    struct fixture f;

    setup(&f);
    f.rig.options.rule_count = 0;
    rig_device_subscribed(&f.rig, 'A', "pump-1", false, "#", 0);
    rig_subscribe(&f.rig, 'A', "$a/b", 1, 6);
    rig_commit(&f.rig);
    rig_broker_answer(&f.rig, MQTT_SUBACK, 2, 2);
    rig_commit(&f.rig);
    rig_clear(&f.rig);
    rig_broker_publish(&f.rig, "farm/p/pump-1/$a/b", "x", 0, 0, 1);
    expect(&f, "");
    rig_broker_publish(&f.rig, "farm/p/pump-1/$a/b", "x", 0, 0, 2);
    expect(&f, "A> PUBLISH 1 qos 0 msg 0 \"x\"\n");
    teardown(&f);
}

/* "+/t" does not match "$a/t", nor may what stands for it. */
static void
what_only_a_rule_lets_through_is_kept_away(void)
{
    struct fixture f;

    setup(&f);
    topic_rule_fini(&f.rule);
    CU_ASSERT_PTR_NULL_FATAL(topic_rule_parse("+/t -> x/%1/t", &f.rule));
    rig_device_subscribed(&f.rig, 'B', "bbb", false, "+/t", 1);
    rig_broker_publish(&f.rig, "farm/x/$a/t", "x", 1, 5, 1);
    expect(&f, "^ PUBACK pid 5\n");
    CU_ASSERT_EQUAL(rig_status(&f.rig).dropped[ENGINE_DROP_REFUSED], 0);
    rig_broker_publish(&f.rig, "farm/x/a/t", "x", 1, 6, 1);
    CU_ASSERT_TRUE(has(&f, "B> REGISTER 1 a/t"));
    teardown(&f);
}

/* One client's filter is another one's name, and each gets its own. */
static void
one_filter_of_the_broker_serves_different_names(void)
{
    struct fixture f;

    setup_both(&f);
    rig_subscribe(&f.rig, 'A', "cmd/go", 0, 5);
    rig_subscribe(&f.rig, 'B', "p/pump-1/cmd/go", 0, 5);
    rig_commit(&f.rig);
    rig_broker_answer(&f.rig, MQTT_SUBACK, 1, 2);
    rig_broker_answer(&f.rig, MQTT_SUBACK, 2, 2);
    rig_commit(&f.rig);
    rig_clear(&f.rig);
    rig_broker_publish(&f.rig, "farm/p/pump-1/cmd/go", "x", 0, 0, 2);
    expect(&f, "A> PUBLISH 1 qos 0 msg 0 \"x\"\nB> PUBLISH 1 qos 0 msg 0 \"x\"\n");
    teardown(&f);
}

/* ---- what operators see and the store keeps ---- */

static void
collect_session(void *ctx, const struct engine_session_status *session)
{
    char *text = ctx;

    for (size_t i = 0; i < session->subscription_count; i++)
        sprintf(text + strlen(text), "%.*s ", (int)session->subscriptions[i].len,
                (const char *)session->subscriptions[i].data);
}

static void
collect_topic(void *ctx, const struct engine_topic_status *topic)
{
    char *text = ctx;

    sprintf(text + strlen(text), "%d=%.*s ", topic->id, (int)topic->name.len,
            (const char *)topic->name.data);
}

static void
collect_message(void *ctx, const struct engine_message_status *message)
{
    char *text = ctx;

    sprintf(text + strlen(text), "%.*s ", (int)message->topic.len,
            (const char *)message->topic.data);
}

/* A sleeping pump with two subscriptions, two ids, a will and two messages. */
static void
setup_sleeper(struct fixture *f)
{
    setup(f);
    rig_device_with_will(&f->rig, 'A', "pump-1", false, "sensors/will/t", "gone");
    rig_subscribe(&f->rig, 'A', "sensors/+/t", 1, 5);
    rig_subscribe(&f->rig, 'A', "cmd/x", 1, 6);
    rig_commit(&f->rig);
    rig_broker_answer(&f->rig, MQTT_SUBACK, 1, 2);
    rig_broker_answer(&f->rig, MQTT_SUBACK, 2, 2);
    rig_disconnect(&f->rig, 'A', 600);
    rig_commit(&f->rig);
    rig_broker_publish(&f->rig, "farm/p/pump-1/site1/9/temperature", "one", 1, 5, 1);
    rig_broker_publish(&f->rig, "farm/p/pump-1/cmd/x", "two", 1, 6, 2);
    rig_commit(&f->rig);
    rig_clear(&f->rig);
}

static void
expect_names_of_the_device(const struct fixture *f)
{
    char text[256] = "";
    struct dm_span id = dm_span_text("pump-1");

    engine_each_session(f->rig.engine, f->rig.now_ms, collect_session, text);
    CU_ASSERT_STRING_EQUAL(text, "sensors/+/t cmd/x ");
    text[0] = '\0';
    engine_each_topic(f->rig.engine, id, collect_topic, text);
    CU_ASSERT_STRING_EQUAL(text, "1=cmd/x 2=sensors/9/t ");
    text[0] = '\0';
    engine_each_message(f->rig.engine, f->rig.now_ms, id, collect_message, text);
    CU_ASSERT_STRING_EQUAL(text, "sensors/9/t cmd/x ");
}

static void
filters_of_one_device_are_told_apart(void)
{
    struct fixture f;
    char text[256] = "";

    setup_both(&f);
    rig_subscribe(&f.rig, 'A', "sensors/one/t", 1, 5);
    rig_subscribe(&f.rig, 'A', "plain", 1, 6);
    rig_subscribe(&f.rig, 'A', "sensors/2/t", 1, 7);
    rig_subscribe(&f.rig, 'B', "sensors/3/t", 1, 5);
    engine_each_session(f.rig.engine, f.rig.now_ms, collect_session, text);
    CU_ASSERT_STRING_EQUAL(text, "sensors/one/t plain sensors/2/t sensors/3/t ");
    teardown(&f);
}

static void
operators_see_the_names_of_the_device(void)
{
    struct fixture f;

    setup_sleeper(&f);
    expect_names_of_the_device(&f);
    teardown(&f);
}

static void
restart_changes_nothing(void)
{
    struct fixture f;

    setup_sleeper(&f);
    rig_restart(&f.rig);
    expect_names_of_the_device(&f);
    rig_broker_up(&f.rig, MQTT_5, true);
    rig_commit(&f.rig);
    rig_clear(&f.rig);
    rig_ping(&f.rig, 'A', "pump-1");
    expect(&f, "A> REGISTER 2 sensors/9/t msg 579\n");
    rig_regack(&f.rig, 'A', 2, 579, 0);
    CU_ASSERT_TRUE(has(&f, "A> PUBLISH 2 qos 1 msg 1 \"one\""));
    rig_puback(&f.rig, 'A', 2, 1, 0);
    CU_ASSERT_TRUE(has(&f, "A> PUBLISH 1 qos 1 msg 2 \"two\""));
    CU_ASSERT_EQUAL(rig_status(&f.rig).wills, 1);
    CU_ASSERT_EQUAL(rig_status(&f.rig).denied, 0);
    teardown(&f);
}

/* What the device knows stays; what it stands for at the broker is new. */
static void
other_prefix_moves_the_subscriptions(void)
{
    struct fixture f;

    setup_sleeper(&f);
    f.client.topic_prefix = "q/";
    rig_restart(&f.rig);
    rig_broker_up(&f.rig, MQTT_5, true);
    rig_commit(&f.rig);
    CU_ASSERT_TRUE(has(&f, "^ SUBSCRIBE farm/q/site1/+/temperature"));
    CU_ASSERT_TRUE(has(&f, "^ SUBSCRIBE farm/q/cmd/x"));
    CU_ASSERT_TRUE(has(&f, "^ UNSUBSCRIBE farm/p/pump-1/site1/+/temperature"));
    CU_ASSERT_TRUE(has(&f, "^ UNSUBSCRIBE farm/p/pump-1/cmd/x"));
    rig_clear(&f.rig);
    rig_broker_publish(&f.rig, "farm/p/pump-1/cmd/x", "old", 0, 0, 2); /* was on its way */
    rig_ping(&f.rig, 'A', "pump-1");
    /* The two that waited have no name any more. */
    expect(&f, "A> PINGRESP\n");
    CU_ASSERT_EQUAL(rig_status(&f.rig).dropped[ENGINE_DROP_REFUSED], 2);
    rig_wait(&f.rig, 900000);
    rig_commit(&f.rig);
    CU_ASSERT_TRUE(has(&f, "^ PUBLISH farm/q/site1/will/temperature qos 1 \"gone\""));
    teardown(&f);
}

/* A copy with the identifier that a subscription had must not reach it under the new name. */
static void
identifiers_are_new_with_the_filter(void)
{
    struct fixture f;

    setup_sleeper(&f);
    f.client.topic_prefix = "q/";
    rig_restart(&f.rig);
    rig_broker_up(&f.rig, MQTT_5, true);
    rig_commit(&f.rig);
    CU_ASSERT_PTR_NULL(strstr(f.rig.text, " id 1 "));
    CU_ASSERT_PTR_NULL(strstr(f.rig.text, " id 1\n"));
    CU_ASSERT_PTR_NULL(strstr(f.rig.text, " id 2\n"));
    rig_clear(&f.rig);
    rig_restart(&f.rig); /* they are kept */
    rig_broker_up(&f.rig, MQTT_5, true);
    CU_ASSERT_PTR_NULL(strstr(f.rig.text, " id 1\n"));
    CU_ASSERT_PTR_NULL(strstr(f.rig.text, " id 2\n"));
    teardown(&f);
}

/* The subscription cannot be kept: the device is told. */
static void
rule_that_forbids_a_stored_name_ends_it(void)
{
    struct fixture f;

    setup(&f);
    f.rig.options.rule_count = 0;
    rig_device_with_will(&f.rig, 'B', "bbb", false, "site1/w/temperature", "gone");
    rig_subscribe(&f.rig, 'B', "other", 1, 5);
    rig_subscribe(&f.rig, 'B', "site1/1/temperature", 1, 6);
    rig_commit(&f.rig);
    f.rig.options.rule_count = 1;
    rig_restart(&f.rig);
    rig_commit(&f.rig);
    CU_ASSERT_EQUAL(rig_count_rows(&f.rig, STORE_SUBSCRIPTION_PUT), 1);
    CU_ASSERT_EQUAL(rig_status(&f.rig).sessions[ENGINE_DISCONNECTED], 1);
    CU_ASSERT_EQUAL(rig_status(&f.rig).wills, 0);
    rig_clear(&f.rig);
    rig_connect(&f.rig, 'B', "bbb", false, 60);
    rig_commit(&f.rig);
    rig_clear(&f.rig);
    rig_publish(&f.rig, 'B', 2, 1, 7, "x"); /* an id of before */
    expect(&f, "B> PUBACK 2 msg 7 code 2\n");
    rig_register(&f.rig, 'B', "new", 8); /* never an id that meant something else */
    CU_ASSERT_TRUE(has(&f, "B> REGACK 3 msg 8 code 0"));
    teardown(&f);
}

static const struct unit_test tests[] = {
    UNIT_TEST(publish_goes_through_rule_and_both_prefixes),
    UNIT_TEST(predefined_ids_and_short_names_are_names_of_the_device),
    UNIT_TEST(name_of_the_right_side_is_refused),
    UNIT_TEST(wills_are_published_under_the_name_of_the_broker),
    UNIT_TEST(lists_hold_for_the_names_of_the_device),
    UNIT_TEST(subscription_and_message_are_rewritten_and_back),
    UNIT_TEST(ids_are_chosen_by_the_names_of_the_device),
    UNIT_TEST(what_only_the_prefix_lets_through_is_kept_away),
    UNIT_TEST(copy_of_a_filter_that_matches_at_the_broker_only_is_not_awaited),
    UNIT_TEST(what_only_a_rule_lets_through_is_kept_away),
    UNIT_TEST(one_filter_of_the_broker_serves_different_names),
    UNIT_TEST(filters_of_one_device_are_told_apart),
    UNIT_TEST(operators_see_the_names_of_the_device),
    UNIT_TEST(restart_changes_nothing),
    UNIT_TEST(other_prefix_moves_the_subscriptions),
    UNIT_TEST(identifiers_are_new_with_the_filter),
    UNIT_TEST(rule_that_forbids_a_stored_name_ends_it),
};

UNIT_MAIN("engine names", tests)
