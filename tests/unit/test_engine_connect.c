/* SPDX-License-Identifier: Apache-2.0 */
/* CONNECT over what is already there, answers that are limited in time, and what the log says
 * (R21, R22, R30, R82, design 10). */
#include "unit.h"

#include <dormouse/log.h>

#include "engine_rig.h"
#include "log_capture.h"

static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_clear(rig);
}

/* ---- CleanSession = 1 (R30) ---- */

static void
have_subscription(struct rig *rig)
{
    rig_device_subscribed(rig, 'A', "dev", true, "cmd/#", 1);
}

static void
have_topic(struct rig *rig)
{
    rig_device(rig, 'A', "dev", true);
    rig_register(rig, 'A', "temp", 1);
}

static void
have_will(struct rig *rig)
{
    rig_device_with_will(rig, 'A', "dev", true, "gone", "x");
}

static void
have_received(struct rig *rig)
{
    rig_device(rig, 'A', "dev", true);
    rig_send(rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                     .topic_id = 8,
                                     .qos = 2,
                                     .msg_id = 1});
}

static void
have_queue(struct rig *rig)
{
    rig_device_subscribed(rig, 'A', "dev", true, "cmd", 1);
    rig_disconnect(rig, 'A', 60);
    rig_broker_publish(rig, "cmd", "x", 1, 1, 0);
}

static void
clean_connect_deletes_whatever_the_clean_session_before_had(void)
{
    static const struct {
        void (*have)(struct rig *rig);
        enum store_op row;
    } cases[] = {
        {have_subscription, STORE_SUBSCRIPTION_PUT},
        {have_topic, STORE_TOPIC_PUT},
        {have_will, STORE_WILL_PUT},
        {have_received, STORE_RECEIVED_PUT},
        {have_queue, STORE_DELIVERY_PUT},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig rig;

        begin(&rig);
        cases[i].have(&rig);
        rig_commit(&rig);
        CU_ASSERT_EQUAL(rig_count_rows(&rig, cases[i].row), 1);
        rig_device(&rig, 'A', "dev", true);
        CU_ASSERT_EQUAL(rig_count_rows(&rig, cases[i].row), 0);
        CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SESSION_PUT), 1);
        rig_fini(&rig);
    }
}

static void
clean_connect_repeated_writes_nothing(void) /* R21, design 1 rule 5 */
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "dev", true);
    rig.log_records = true;
    rig_connect(&rig, 'A', "dev", true, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0\n"));
    rig_fini(&rig);
}

/* ---- other parameters in the middle of a handshake (R22) ---- */

static void
handshake_with_another_parameter_begins_anew(void)
{
    static const struct mqttsn_packet others[] = {
        {.clean_session = true, .duration_s = 60, .protocol_id = 1},
        {.duration_s = 61, .protocol_id = 1},
        {.duration_s = 60, .protocol_id = 1, .client_id = {(const uint8_t *)"two", 3}},
    };

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct rig rig;
        struct mqttsn_packet packet = others[i];

        begin(&rig);
        rig_connect_will(&rig, 'A', "dev", false);
        rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, "gone", 1, false);
        rig_clear(&rig);
        packet.type = MQTTSN_CONNECT;
        packet.will = true;
        if (packet.client_id.len == 0)
            packet.client_id = dm_span_text("dev");
        rig_send(&rig, 'A', &packet);
        rig_will_message(&rig, 'A', MQTTSN_WILLMSG, "x"); /* M15: the topic is asked for again */
        CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLTOPICREQ\n"));
        rig_fini(&rig);
    }
}

static void
handshake_ends_with_a_connect_that_is_refused_or_has_no_will(void)
{
    struct rig rig;
    struct engine_status status;

    begin(&rig);
    rig_connect_will(&rig, 'A', "dev", false);
    rig_clear(&rig);
    rig_send(&rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                     .protocol_id = 2,
                                     .will = true,
                                     .duration_s = 60,
                                     .client_id = dm_span_text("dev")});
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 3\n")); /* R19 */
    rig_connect_will(&rig, 'A', "dev", false);
    rig_clear(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !2\n"));
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.handshakes, 0);
    rig_fini(&rig);
}

/* The operator removes the session while its device is on the way to a new one. */
static void
handshake_outlives_the_session_it_would_replace(void)
{
    struct rig rig;

    begin(&rig);
    rig_device(&rig, 'A', "dev", false);
    rig_connect_will(&rig, 'A', "dev", false);
    engine_forget(rig.engine, rig.now_ms, dm_span_text("dev"));
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, "gone", 1, false);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSG, "x");
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> CONNACK 0 !"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_WILL_PUT), 1);
    rig_fini(&rig);
}

/* ---- limits in time (R82, R53, R11) ---- */

static void
answers_to_strangers_are_limited_to_one_a_second(void)
{
    struct rig rig;

    begin(&rig);
    for (int i = 0; i < 3; i++) {
        rig_disconnect(&rig, 'A', 0);
        rig_ping(&rig, 'B', "nobody");
        rig_publish(&rig, 'C', 1, 1, 1, "x");
        rig_send(&rig, 'D', &(struct mqttsn_packet){.type = MQTTSN_SEARCHGW});
    }
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\nB> DISCONNECT\nC> DISCONNECT\n"
                                    "*D> GWINFO 1 radius 0\n"));
    rig_wait(&rig, 1000);
    rig_disconnect(&rig, 'A', 0);
    rig_ping(&rig, 'B', "nobody");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\nB> DISCONNECT\n"));
    rig_fini(&rig);
}

static void
congestion_is_told_once_a_second(void)
{
    struct rig rig;

    rig_init(&rig);
    rig_device(&rig, 'A', "dev", false);
    for (int i = 0; i < 3; i++)
        rig_send(&rig, 'A',
                 &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                         .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                         .topic_id = 8}); /* no broker, QoS 0: R53 */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 8 msg 0 code 1\n"));
    rig_fini(&rig);
}

/* ---- the log (design 10) ---- */

/* A life with one event of every kind that an operator is told of. */
static void
live(char *text, size_t size, enum log_level level)
{
    struct rig rig;

    log_set_level(level);
    log_capture_start();
    begin(&rig);
    rig_device_with_will(&rig, 'A', "dev\n", false, "gone", "x");
    rig_subscribe(&rig, 'A', "cmd", 1, 1);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    rig_commit(&rig);
    rig_broker_publish(&rig, "cmd", "never answered", 1, 1, 0);
    rig_wait(&rig, 40000); /* four times T_retry */
    rig_disconnect(&rig, 'A', 60);
    rig_commit(&rig);
    rig.options.settings.queue_qos0 = ENGINE_QOS0_NEVER;
    rig_broker_publish(&rig, "cmd", "not queued", 0, 0, 0);
    rig.options.settings.queue_messages = 0;
    rig_broker_publish(&rig, "cmd", "too many", 1, 2, 0);
    rig_wait(&rig, 90001);
    rig_device(&rig, 'B', "two", true);
    rig_disconnect(&rig, 'B', 0);
    rig_connect(&rig, 'C', "", true, 60);
    rig_send(&rig, 'D', &(struct mqttsn_packet){.type = MQTTSN_ADVERTISE, .gateway_id = 1});
    rig_broker_down(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_commit(&rig);
    rig_fini(&rig);
    log_capture_finish(text, size);
    log_set_level(LOG_LEVEL_INFO);
}

static void
events_are_logged_with_client_and_cause_at_their_level(void)
{
    static const struct {
        enum log_level level; /* least detailed level that shows it */
        const char *line;
    } lines[] = {
        {LOG_LEVEL_ERROR, "another gateway advertises with our GwId 1"},
        {LOG_LEVEL_WARNING, "client dev\\x0a: message on cmd dropped: the queue is full"},
        {LOG_LEVEL_WARNING, "the broker has lost its session"},
        {LOG_LEVEL_NOTICE, "client dev\\x0a: lost, nothing heard for 90 s"},
        {LOG_LEVEL_NOTICE, "client dev\\x0a: will published on gone"},
        {LOG_LEVEL_INFO, "client dev\\x0a: connected, persistent, with a will, keep alive 60 s"},
        {LOG_LEVEL_INFO, "client two: disconnected"},
        {LOG_LEVEL_INFO, "client : CONNECT refused, return code 3"},
        {LOG_LEVEL_DEBUG, "client dev\\x0a: no answer to PUBLISH"},
        {LOG_LEVEL_DEBUG, "client dev\\x0a: sleeps for 60 s"},
        {LOG_LEVEL_DEBUG, "client dev\\x0a: asleep -> lost"},
        {LOG_LEVEL_DEBUG, "message on cmd dropped: QoS 0 for a device that is away"},
    };
    char text[16384];

    for (enum log_level level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        live(text, sizeof text, level);
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
            CU_ASSERT_EQUAL(strstr(text, lines[i].line) != NULL, lines[i].level <= level);
    }
}

static void
gateway_with_our_id_is_reported_once_an_hour(void) /* R13 */
{
    struct rig rig;
    char text[4096];
    size_t reports = 0;

    begin(&rig);
    log_capture_start();
    for (int i = 0; i < 120; i++) { /* every minute for two hours */
        rig_send(&rig, 'D', &(struct mqttsn_packet){.type = MQTTSN_ADVERTISE, .gateway_id = 1});
        rig_wait(&rig, 60000);
    }
    log_capture_finish(text, sizeof text);
    for (const char *at = text; (at = strstr(at, "our GwId 1")) != NULL; at++)
        reports++;
    CU_ASSERT_EQUAL(reports, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(clean_connect_deletes_whatever_the_clean_session_before_had),
    UNIT_TEST(clean_connect_repeated_writes_nothing),
    UNIT_TEST(handshake_with_another_parameter_begins_anew),
    UNIT_TEST(handshake_ends_with_a_connect_that_is_refused_or_has_no_will),
    UNIT_TEST(handshake_outlives_the_session_it_would_replace),
    UNIT_TEST(answers_to_strangers_are_limited_to_one_a_second),
    UNIT_TEST(congestion_is_told_once_a_second),
    UNIT_TEST(events_are_logged_with_client_and_cause_at_their_level),
    UNIT_TEST(gateway_with_our_id_is_reported_once_an_hour),
};
UNIT_MAIN("engine connect", tests)
