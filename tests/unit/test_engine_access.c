/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration allows a device: to connect, from where, and which topics. */
#include "unit.h"

#include "engine_rig.h"

static const struct engine_topic topics[] = {{30, "pumps/%c/speed"}, {31, "other"}};
static const char *const may_publish[] = {"pumps/%c/#", "all/+/t"};
static const char *const may_subscribe[] = {"pumps/%c/cmd/#", "all/+/t"};

/* A gateway that knows pumps; the broker is there. */
struct fixture {
    struct rig rig;
    struct engine_client client;
    struct dm_address address;
    bool links[1];
};

static void
setup(struct fixture *f)
{
    rig_init(&f->rig);
    f->address = (struct dm_address){.link = 0, .len = 1, .octets = {'A'}};
    f->links[0] = true;
    f->client = (struct engine_client){.pattern = "pump-*",
                                       .topics = topics,
                                       .topic_count = 2,
                                       .uses_client_id = true,
                                       .publish = may_publish,
                                       .publish_count = 2,
                                       .subscribe = may_subscribe,
                                       .subscribe_count = 2};
    f->rig.options.clients = &f->client;
    f->rig.options.client_count = 1;
    rig_broker_up(&f->rig, MQTT_5, false);
}

static void
setup_pump(struct fixture *f)
{
    setup(f);
    rig_device(&f->rig, 'A', "pump-1", false);
}

static void
expect(struct fixture *f, const char *lines, uint64_t denied)
{
    CU_ASSERT_TRUE(rig_expect(&f->rig, lines));
    CU_ASSERT_EQUAL(rig_status(&f->rig).denied, denied);
}

/* ---- CONNECT ---- */

static void
unknown_client_is_refused_if_the_configuration_says_so(void) /* M13 */
{
    struct fixture f;

    setup(&f);
    f.rig.options.reject_unknown = true;
    rig_clear(&f.rig);
    rig_connect(&f.rig, 'B', "stranger", false, 60);
    expect(&f, "B> CONNACK 3\n", 1);
    rig_connect_will(&f.rig, 'B', "stranger", false);
    expect(&f, "B> CONNACK 3\n", 2);
    CU_ASSERT_EQUAL(rig_count_rows(&f.rig, STORE_SESSION_PUT), 0);
    rig_connect(&f.rig, 'A', "pump-1", false, 60);
    rig_commit(&f.rig);
    expect(&f, "A> CONNACK 0 !2\n", 2);
    rig_fini(&f.rig);
}

/* Its section would put the id into topics (design 9), so it has none. */
static void
client_id_that_would_change_topics_is_unknown(void)
{
    struct fixture f;

    setup(&f);
    f.rig.options.reject_unknown = true;
    rig_clear(&f.rig);
    rig_connect(&f.rig, 'B', "pump-+", false, 60);
    rig_connect(&f.rig, 'B', "pump-/x", false, 60);
    expect(&f, "B> CONNACK 3\nB> CONNACK 3\n", 2);
    rig_fini(&f.rig);
}

static void
unknown_client_is_served_otherwise(void)
{
    struct fixture f;

    setup(&f);
    rig_device(&f.rig, 'B', "stranger", false);
    rig_register(&f.rig, 'B', "any/thing", 5);
    expect(&f, "B> REGACK 1 msg 5 code 0 !3\n", 0);
    rig_fini(&f.rig);
}

static void
client_on_another_link_is_refused(void)
{
    struct fixture f;

    setup(&f);
    f.client.links = f.links;
    f.links[0] = false;
    rig_clear(&f.rig);
    rig_connect(&f.rig, 'A', "pump-1", false, 60);
    expect(&f, "A> CONNACK 3\n", 1);
    f.links[0] = true;
    rig_connect(&f.rig, 'A', "pump-1", false, 60);
    rig_commit(&f.rig);
    expect(&f, "A> CONNACK 0 !2\n", 1);
    rig_fini(&f.rig);
}

/* Nor can it be had by a PINGREQ, which names its client too. */
static void
client_at_another_address_is_refused(void)
{
    struct fixture f;

    setup(&f);
    f.client.address = &f.address;
    rig_device(&f.rig, 'A', "pump-1", false);
    rig_disconnect(&f.rig, 'A', 600);
    rig_commit(&f.rig);
    rig_clear(&f.rig);
    rig_connect(&f.rig, 'B', "pump-1", false, 60);
    expect(&f, "B> CONNACK 3\n", 1);
    rig_wait(&f.rig, 1000);
    rig_ping(&f.rig, 'B', "pump-1");
    expect(&f, "B> DISCONNECT\n", 2);
    rig_ping(&f.rig, 'A', "pump-1");
    expect(&f, "A> PINGRESP\n", 2);
    rig_fini(&f.rig);
}

/* ---- topics of the device ---- */

static void
publish_that_is_not_allowed_is_refused(void)
{
    struct fixture f;

    setup_pump(&f);
    rig_register(&f.rig, 'A', "pumps/pump-1/speed", 5); /* 1 */
    rig_register(&f.rig, 'A', "pumps/pump-1/cmd/x", 6); /* 2 */
    rig_register(&f.rig, 'A', "all/a/t", 7);            /* 3 */
    rig_commit(&f.rig);
    rig_clear(&f.rig);
    rig_publish(&f.rig, 'A', 1, 1, 20, "x");
    rig_publish(&f.rig, 'A', 3, 0, 0, "y");
    expect(&f,
           "^ PUBLISH pumps/pump-1/speed qos 1 \"x\" pid 1\n"
           "^ PUBLISH all/a/t qos 0 \"y\"\n",
           0);
    f.client.publish_count = 1;
    rig_publish(&f.rig, 'A', 3, 1, 21, "x");
    rig_publish(&f.rig, 'A', 3, 2, 22, "x");
    expect(&f, "A> PUBACK 3 msg 21 code 3\nA> PUBACK 3 msg 22 code 3\n", 2);
    rig_publish(&f.rig, 'A', 3, 0, 0, "x");
    expect(&f, "", 3);
    CU_ASSERT_EQUAL(rig_status(&f.rig).uplink_messages, 2);
    rig_fini(&f.rig);
}

static void
short_names_and_predefined_ids_obey_the_list(void)
{
    struct fixture f;

    setup_pump(&f);
    rig_send(&f.rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = 1,
                                     .msg_id = 9,
                                     .topic_type = MQTTSN_TOPIC_SHORT,
                                     .topic_id = 'a' << 8 | 'b',
                                     .data = dm_span_text("x")});
    rig_send(&f.rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = 1,
                                     .msg_id = 10,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 31,
                                     .data = dm_span_text("x")});
    expect(&f, "A> PUBACK 24930 msg 9 code 3\nA> PUBACK 31 msg 10 code 3\n", 2);
    rig_send(&f.rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .qos = 1,
                                     .msg_id = 11,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 30,
                                     .data = dm_span_text("x")});
    expect(&f, "^ PUBLISH pumps/pump-1/speed qos 1 \"x\" pid 1\n", 2);
    rig_send(&f.rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_SUBSCRIBE,
                                     .qos = 1,
                                     .msg_id = 12,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 31});
    expect(&f, "A> SUBACK 0 qos 0 msg 12 code 3\n", 3);
    rig_fini(&f.rig);
}

/* M13: QoS -1 from the address of a session is a message of its device; from others only the link
 * asks.
 */
static void
message_without_a_connection_obeys_the_list_of_its_session(void)
{
    const struct mqttsn_packet publish = {.type = MQTTSN_PUBLISH,
                                          .qos = MQTTSN_QOS_MINUS_ONE,
                                          .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                          .topic_id = 7, /* yard/button */
                                          .data = {(const uint8_t *)"x", 1}};
    struct fixture f;

    setup_pump(&f);
    rig_send(&f.rig, 'A', &publish);
    expect(&f, "", 1);
    rig_send(&f.rig, 'B', &publish);
    expect(&f, "^ PUBLISH yard/button qos 0 \"x\"\n", 1);
    rig_fini(&f.rig);
}

static void
subscribe_is_refused_unless_one_entry_covers_it(void)
{
    static const struct {
        const char *filter;
        bool allowed;
    } cases[] = {
        {"pumps/pump-1/cmd/#", true},
        {"pumps/pump-1/cmd/+/x", true},
        {"pumps/pump-1/cmd", true},
        {"all/+/t", true},
        {"all/a/t", true},
        {"pumps/pump-2/cmd/#", false},
        {"pumps/+/cmd/#", false},
        {"pumps/pump-1/#", false},
        {"all/#", false},
        {"#", false},
        {"+/a/t", false},
        {"all/+/+", false},
    };
    struct fixture f;
    uint64_t denied = 0;

    setup_pump(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char lines[64];
        uint16_t msg_id = (uint16_t)(10 + i);

        rig_commit(&f.rig);
        rig_clear(&f.rig);
        rig_subscribe(&f.rig, 'A', cases[i].filter, 1, msg_id);
        if (cases[i].allowed) {
            CU_ASSERT_PTR_NOT_NULL(strstr(f.rig.text, "^ SUBSCRIBE "));
            continue;
        }
        snprintf(lines, sizeof lines, "A> SUBACK 0 qos 0 msg %u code 3\n", msg_id);
        expect(&f, lines, ++denied);
    }
    CU_ASSERT_EQUAL(rig_count_rows(&f.rig, STORE_SUBSCRIPTION_PUT), 5);
    rig_fini(&f.rig);
}

static void
register_of_a_topic_that_is_no_use_is_refused(void)
{
    struct fixture f;

    setup_pump(&f);
    rig_register(&f.rig, 'A', "pumps/pump-2/speed", 5);
    expect(&f, "A> REGACK 0 msg 5 code 3\n", 1);
    f.client.publish_count = 0; /* still there, but empty: it only listens */
    rig_register(&f.rig, 'A', "all/a/t", 6);
    rig_register(&f.rig, 'A', "pumps/pump-1/speed", 7);
    expect(&f, "A> REGACK 1 msg 6 code 0 !3\nA> REGACK 0 msg 7 code 3 !3\n", 2);
    rig_fini(&f.rig);
}

/* ---- wills ---- */

static void
connection_with_a_will_that_is_not_allowed_is_refused(void)
{
    struct fixture f;

    setup(&f);
    rig_clear(&f.rig);
    rig_connect_will(&f.rig, 'A', "pump-1", false);
    rig_will_topic(&f.rig, 'A', MQTTSN_WILLTOPIC, "pumps/pump-2/gone", 1, false);
    expect(&f, "A> WILLTOPICREQ\nA> CONNACK 3\n", 1);
    rig_connect_will(&f.rig, 'A', "pump-1", false);
    rig_will_topic(&f.rig, 'A', MQTTSN_WILLTOPIC, "pumps/pump-1/gone", 1, false);
    rig_will_message(&f.rig, 'A', MQTTSN_WILLMSG, "bye");
    rig_commit(&f.rig);
    expect(&f, "A> WILLTOPICREQ\nA> WILLMSGREQ\nA> CONNACK 0 !3\n", 1);
    rig_will_topic(&f.rig, 'A', MQTTSN_WILLTOPICUPD, "other", 1, false);
    expect(&f, "A> WILLTOPICRESP 3\n", 2);
    rig_will_topic(&f.rig, 'A', MQTTSN_WILLTOPICUPD, "all/a/t", 1, false);
    rig_commit(&f.rig);
    expect(&f, "A> WILLTOPICRESP 0 !4\n", 2);
    rig_fini(&f.rig);
}

/* ---- another configuration ---- */

static void
start_with_narrower_lists_ends_what_they_do_not_allow(void)
{
    struct fixture f;

    setup_pump(&f);
    rig_subscribe(&f.rig, 'A', "all/+/t", 1, 5);
    rig_subscribe(&f.rig, 'A', "pumps/pump-1/cmd/#", 1, 6);
    rig_broker_answer(&f.rig, MQTT_SUBACK, 1, 2);
    rig_broker_answer(&f.rig, MQTT_SUBACK, 2, 2);
    rig_will_topic(&f.rig, 'A', MQTTSN_WILLTOPICUPD, "all/a/t", 1, false);
    rig_disconnect(&f.rig, 'A', 600);
    rig_commit(&f.rig);
    rig_broker_publish(&f.rig, "all/a/t", "kept", 1, 5, 1);
    rig_commit(&f.rig);
    f.client.subscribe_count = 1;
    f.client.publish_count = 1;
    rig_restart(&f.rig);
    rig_commit(&f.rig);
    CU_ASSERT_EQUAL(rig_status(&f.rig).denied, 2);
    CU_ASSERT_EQUAL(rig_count_rows(&f.rig, STORE_SUBSCRIPTION_PUT), 1);
    CU_ASSERT_EQUAL(rig_count_rows(&f.rig, STORE_WILL_PUT), 0);
    CU_ASSERT_EQUAL(rig_status(&f.rig).queued_messages, 1); /* acknowledged to the broker */
    rig_clear(&f.rig);
    rig_broker_up(&f.rig, MQTT_5, true);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.rig.text, "^ UNSUBSCRIBE all/+/t"));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.rig.text, "^ SUBSCRIBE pumps/pump-1/cmd/#"));
    rig_clear(&f.rig);
    rig_ping(&f.rig, 'A', "pump-1"); /* it must begin again */
    expect(&f, "A> DISCONNECT\n", 2);
    rig_fini(&f.rig);
}

static void
start_ends_sessions_of_clients_that_became_unknown(void)
{
    struct fixture f;

    setup(&f);
    rig_device_subscribed(&f.rig, 'B', "stranger", false, "t", 1);
    f.rig.options.reject_unknown = true;
    rig_restart(&f.rig);
    rig_commit(&f.rig);
    CU_ASSERT_EQUAL(rig_status(&f.rig).sessions[ENGINE_DISCONNECTED], 1);
    CU_ASSERT_EQUAL(rig_count_rows(&f.rig, STORE_SUBSCRIPTION_PUT),
                    1); /* a mistake can be undone */
    rig_clear(&f.rig);
    rig_ping(&f.rig, 'B', "stranger");
    rig_connect(&f.rig, 'B', "stranger", false, 60);
    expect(&f, "B> DISCONNECT\nB> CONNACK 3\n", 2);
    rig_fini(&f.rig);
}

static void
start_forgets_an_address_that_is_not_allowed(void)
{
    struct fixture f;

    setup_pump(&f);
    f.address.octets[0] = 'C';
    f.client.address = &f.address;
    rig_restart(&f.rig);
    rig_clear(&f.rig);
    rig_publish(&f.rig, 'A', 1, 1, 5, "x");
    expect(&f, "A> DISCONNECT\n", 0);
    rig_fini(&f.rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(unknown_client_is_refused_if_the_configuration_says_so),
    UNIT_TEST(client_id_that_would_change_topics_is_unknown),
    UNIT_TEST(unknown_client_is_served_otherwise),
    UNIT_TEST(client_on_another_link_is_refused),
    UNIT_TEST(client_at_another_address_is_refused),
    UNIT_TEST(publish_that_is_not_allowed_is_refused),
    UNIT_TEST(short_names_and_predefined_ids_obey_the_list),
    UNIT_TEST(message_without_a_connection_obeys_the_list_of_its_session),
    UNIT_TEST(subscribe_is_refused_unless_one_entry_covers_it),
    UNIT_TEST(register_of_a_topic_that_is_no_use_is_refused),
    UNIT_TEST(connection_with_a_will_that_is_not_allowed_is_refused),
    UNIT_TEST(start_with_narrower_lists_ends_what_they_do_not_allow),
    UNIT_TEST(start_ends_sessions_of_clients_that_became_unknown),
    UNIT_TEST(start_forgets_an_address_that_is_not_allowed),
};

UNIT_MAIN("engine access", tests)
