/* SPDX-License-Identifier: Apache-2.0 */
/* `upstream = own`: a broker connection of each device's own (design 6), messages held here. */
#include <stdio.h>
#include <string.h>

#include "engine_rig.h"
#include "unit.h"

static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig->options.settings.own = true;
    rig_broker_up(rig, MQTT_5, false);
    rig_commit(rig);
    rig_clear(rig);
}

static void
own_up(struct rig *rig, uint64_t connection, bool session_present)
{
    rig->connection = connection;
    rig_broker_up(rig, MQTT_5, session_present);
    rig_commit(rig);
}

static void
own_ends(struct rig *rig, uint64_t connection, enum upstream_end why)
{
    engine_upstream_disconnected(rig->engine, rig->now_ms, connection, why);
}

/* A device whose own connection, number 1, is up. */
static void
begin_connected(struct rig *rig, bool clean)
{
    begin(rig);
    rig_connect(rig, 'A', "dev", clean, 60);
    rig_commit(rig);
    own_up(rig, 1, false);
    rig_clear(rig);
}

static void
unknown_client_is_answered_when_the_broker_has_answered(void)
{
    struct rig rig;

    begin(&rig);
    rig_connect(&rig, 'A', "dev", true, 60);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 1 dev clean !3\n"));
    rig_connect(&rig, 'A', "dev", true, 60); /* R21: repeated meanwhile */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig.connection = 1;
    rig_broker_up(&rig, MQTT_5, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0\n"));
    rig_fini(&rig);
}

static void
unknown_client_is_told_congestion_while_the_broker_is_away(void)
{
    struct rig rig;

    begin(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 1 dev !3\n"));
    own_ends(&rig, 1, UPSTREAM_LOST);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 1\nCLOSE 1 !4\n")); /* it may be another's there */
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SESSION_PUT), 0);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_BROKER_PUT), 1);
    rig_broker_down(&rig);
    rig_connect(&rig, 'A', "dev", false, 60); /* nothing is written for each attempt */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 1\n"));
    CU_ASSERT_EQUAL(rig.seq, 5);
    rig_fini(&rig);
}

static void
unknown_client_is_not_kept_waiting_by_silence(void)
{
    struct rig rig;

    begin(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 10000);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 1\nCLOSE 1 !4\n"));
    rig_connect(&rig, 'A', "dev", false, 60); /* what it has at the broker stays its own */
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 2 dev !7\n"));
    rig_commit(&rig);
    own_up(&rig, 2, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0\n"));
    rig_fini(&rig);
}

static void
session_of_another_gateway_outlasts_a_crash_before_the_first_connection(void)
{
    struct rig rig;

    begin(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    rig_restart(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 1 dev\n"));
    engine_forget(rig.engine, rig.now_ms, dm_span_text("dev"));
    rig_commit(&rig);
    CU_ASSERT_PTR_NULL(strstr(rig.text, "wipe"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_BROKER_PUT), 1);
    rig_fini(&rig);
}

static void
wipe_of_a_clean_session_that_never_came_about_is_owed(void)
{
    struct rig rig;

    begin(&rig);
    rig_connect(&rig, 'A', "dev", true, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    own_ends(&rig, 1, UPSTREAM_LOST);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 1\nCLOSE 1 wipe !4\n"));
    rig_commit(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "CLOSE 1\nOPEN 2 dev clean !7\n"));
    rig_fini(&rig);
}

static void
client_that_the_broker_refuses_is_refused(void)
{
    struct rig rig;

    begin(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    own_ends(&rig, 1, UPSTREAM_REFUSED);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 3\nCLOSE 1 !4\n"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_BROKER_PUT), 1); /* that of the shared one */
    rig_fini(&rig);
}

static void
known_client_is_answered_while_the_broker_is_away(void)
{
    struct rig rig;

    begin_connected(&rig, false);
    own_ends(&rig, 1, UPSTREAM_LOST);
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !6\n"));
    rig_register(&rig, 'A', "up", 1);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_publish(&rig, 'A', 1, 1, 2, "x");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBACK 1 msg 2 code 0 !8\n")); /* from the spool */
    rig_commit(&rig);
    own_up(&rig, 1, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBLISH up qos 1 \"x\" pid 1\n"));
    rig_fini(&rig);
}

static void
messages_and_subscriptions_go_over_its_own_connection(void)
{
    struct rig rig;

    begin_connected(&rig, false);
    rig_device(&rig, 'B', "other", false);
    own_up(&rig, 2, false);
    rig_clear(&rig);
    rig_subscribe(&rig, 'A', "a/#", 1, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 SUBSCRIBE a/# pid 1 id 1 !8\n"));
    rig_subscribe(&rig, 'B', "a/#", 1, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "^2 SUBSCRIBE a/# pid 1 id 2 !9\n"));
    rig.connection = 1;
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> SUBACK 0 qos 1 msg 1 code 0 !8\n"));
    rig_broker_publish(&rig, "a/b", "x", 1, 7, 1);
    rig_commit(&rig);
    rig_regack(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 a/b msg 2 !11\n"));
    rig_regack(&rig, 'A', 1, 2, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> PUBLISH 1 qos 1 msg 1 \"x\"\n"));
    rig_puback(&rig, 'A', 1, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBACK pid 7\n"));
    rig_fini(&rig);
}

static void
long_spool_gives_each_message_a_packet_id_of_its_own(void)
{
    struct rig rig;
    char text[64];

    begin_connected(&rig, false);
    rig.options.spool_bytes = 1000000;
    rig_register(&rig, 'A', "up", 1);
    own_ends(&rig, 1, UPSTREAM_LOST);
    for (uint16_t n = 1; n <= 300; n++) {
        rig_publish(&rig, 'A', 1, 2, n, "x");
        rig_commit(&rig);
        rig_clear(&rig);
    }
    own_up(&rig, 1, true);
    for (uint16_t n = 1; n <= 300; n++) { /* ten at a time */
        rig_clear(&rig);
        rig_broker_answer(&rig, MQTT_PUBREC, n, 0);
        rig_broker_answer(&rig, MQTT_PUBCOMP, n, 0);
        rig_commit(&rig);
        snprintf(text, sizeof text, "^1 PUBLISH up qos 2 \"x\" pid %u !", n + 10u);
        CU_ASSERT_TRUE(n > 290 || strstr(rig.text, text) != NULL);
    }
    rig_clear(&rig);
    rig_publish(&rig, 'A', 1, 1, 301, "x");
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "^1 PUBLISH up qos 1 \"x\" pid 301\n"));
    rig_fini(&rig);
}

static void
end_of_a_clean_session_leaves_nothing_behind(void)
{
    struct rig rig;

    begin_connected(&rig, true);
    rig_disconnect(&rig, 'A', 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT !5\nCLOSE 1 wipe !5\n"));
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SESSION_PUT), 0);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_BROKER_PUT), 2);
    rig_restart(&rig); /* owed until it is done */
    CU_ASSERT_TRUE(rig_expect(&rig, "CLOSE 1 wipe\n"));
    engine_upstream_wiped(rig.engine, rig.now_ms, 1);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_BROKER_PUT), 1);
    rig_restart(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_fini(&rig);
}

static void
new_session_takes_the_wipe_over_that_the_old_one_owes(void)
{
    struct rig rig;

    begin_connected(&rig, true);
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "CLOSE 1\nOPEN 2 dev clean !8\n"));
    rig_commit(&rig);
    own_up(&rig, 2, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0\n"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_BROKER_PUT), 2);
    rig_fini(&rig);
}

static void
what_a_clean_session_published_reaches_the_broker_before_its_end(void)
{
    struct rig rig;

    begin_connected(&rig, true);
    rig_register(&rig, 'A', "up", 1);
    own_ends(&rig, 1, UPSTREAM_LOST);
    rig_publish(&rig, 'A', 1, 1, 2, "x");
    rig_commit(&rig);
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_connect(&rig, 'A', "dev", true, 60); /* waits for that */
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    own_up(&rig, 1, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBLISH up qos 1 \"x\" pid 1\n"));
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "CLOSE 1 wipe !10\n"));
    engine_upstream_wiped(rig.engine, rig.now_ms, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 2 dev clean !11\n"));
    rig_fini(&rig);
}

static void
spool_of_an_ended_session_outlasts_a_crash(void)
{
    struct rig rig;

    begin_connected(&rig, true);
    rig_register(&rig, 'A', "up", 1);
    own_ends(&rig, 1, UPSTREAM_LOST);
    rig_publish(&rig, 'A', 1, 1, 2, "x");
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_restart(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 1 dev\n"));
    own_up(&rig, 1, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBLISH up qos 1 \"x\" pid 1\n"));
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "CLOSE 1 wipe !1\n"));
    rig_fini(&rig);
}

static void
taken_over_connection_is_given_up_until_the_device_comes_back(void)
{
    struct rig rig;

    begin_connected(&rig, false);
    own_ends(&rig, 1, UPSTREAM_TAKEN_OVER);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_restart(&rig); /* nor is it taken back */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_step(&rig, 'A', MQTTSN_PINGREQ, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 1 dev !2\n"));
    own_up(&rig, 1, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0\n"));
    rig_fini(&rig);
}

static void
packet_ids_and_subscriptions_may_be_others_after_a_takeover(void)
{
    struct rig rig;

    begin_connected(&rig, false);
    rig_subscribe(&rig, 'A', "a", 2, 1);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 2);
    rig_commit(&rig);
    rig_broker_publish(&rig, "a", "x", 2, 7, 1);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_INBOUND_PUT), 1);
    own_ends(&rig, 1, UPSTREAM_TAKEN_OVER);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    own_up(&rig, 1, true);
    rig_broker_publish(&rig, "a", "x", 2, 7, 1); /* another one */
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    rig_broker_publish(&rig, "other", "x", 1, 8, 77);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 3);
    rig_fini(&rig);
}

static void
session_that_was_taken_over_is_not_wiped_at_the_broker(void)
{
    struct rig rig;

    begin_connected(&rig, true);
    own_ends(&rig, 1, UPSTREAM_TAKEN_OVER);
    CU_ASSERT_TRUE(rig_expect(&rig, "CLOSE 1 !6\n"));
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SESSION_PUT), 0);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_BROKER_PUT), 1);
    rig_fini(&rig);
}

static void
session_that_was_taken_over_is_not_wiped_when_the_rest_is_sent(void)
{
    struct rig rig;

    begin_connected(&rig, true);
    rig_register(&rig, 'A', "up", 1);
    own_ends(&rig, 1, UPSTREAM_LOST);
    rig_publish(&rig, 'A', 1, 1, 2, "x");
    rig_commit(&rig);
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    own_ends(&rig, 1, UPSTREAM_TAKEN_OVER);
    rig_clear(&rig);
    rig_connect(&rig, 'A', "dev", true, 60);
    rig_commit(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "OPEN 1 dev"));
    own_up(&rig, 1, true);
    rig_clear(&rig);
    rig_broker_answer(&rig, MQTT_PUBACK, 1, 0);
    rig_commit(&rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "CLOSE 1 "));
    CU_ASSERT_PTR_NULL(strstr(rig.text, "wipe"));
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "OPEN 2 dev clean"));
    rig_fini(&rig);
}

static void
known_client_refused_later_is_told_at_its_next_contact(void)
{
    struct rig rig;

    begin_connected(&rig, false);
    own_ends(&rig, 1, UPSTREAM_LOST);
    own_ends(&rig, 1, UPSTREAM_REFUSED);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_step(&rig, 'A', MQTTSN_PINGREQ, 0);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 1 dev !6\n"));
    own_ends(&rig, 1, UPSTREAM_REFUSED);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 3\n"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SESSION_PUT), 1); /* it is kept */
    rig_fini(&rig);
}

static void
will_of_a_lost_device_goes_over_its_own_connection(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_with_will(&rig, 'A', "dev", false, "gone", "bye");
    own_up(&rig, 1, false);
    rig_clear(&rig);
    rig_wait(&rig, 90000);
    rig_commit(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBLISH gone qos 1 \"bye\" pid 1 !7\n"));
    rig_fini(&rig);
}

static void
broker_that_publishes_the_will_is_told_of_it(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.settings.will_at_broker = true;
    rig_connect_will(&rig, 'A', "dev", false);
    rig_will_topic(&rig, 'A', MQTTSN_WILLTOPIC, "gone", 1, true);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSG, "bye");
    rig_clear(&rig);
    rig_commit(&rig);
    own_up(&rig, 1, false);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0\n"));
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "gone");
    CU_ASSERT_TRUE(rig_expect(&rig, "A> WILLMSGRESP 0 !6\n"
                                    "OPEN 1 dev will gone qos 1 retain \"gone\" !6\n"));
    rig_commit(&rig);
    rig_wait(&rig, 90000);
    CU_ASSERT_TRUE(rig_expect(&rig, "CLOSE 1 abrupt !7\nOPEN 1 dev !7\n"));
    rig_fini(&rig);
}

static void
will_that_the_broker_never_got_is_published_here(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.settings.will_at_broker = true;
    rig_device_with_will(&rig, 'A', "dev", false, "gone", "bye");
    own_up(&rig, 1, false);
    own_ends(&rig, 1, UPSTREAM_LOST);
    rig_will_message(&rig, 'A', MQTTSN_WILLMSGUPD, "other");
    rig_commit(&rig);
    rig_clear(&rig);
    rig_wait(&rig, 90000);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 1 dev !8\n")); /* without the will */
    CU_ASSERT_EQUAL(rig_status(&rig).wills_published, 1);
    rig_commit(&rig);
    own_up(&rig, 1, true);
    CU_ASSERT_TRUE(rig_expect(&rig, "^1 PUBLISH gone qos 1 \"other\" pid 1\n"));
    rig_fini(&rig);
}

static void
own_connections_come_back_after_a_crash(void)
{
    struct rig rig;

    begin_connected(&rig, false);
    rig_disconnect(&rig, 'A', 0);
    rig_commit(&rig);
    rig_restart(&rig);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 1 dev\n"));
    rig_fini(&rig);
}

static void
clients_of_both_kinds_mix(void)
{
    struct rig rig;
    struct engine_settings own;
    struct engine_client client = {.pattern = "o*", .settings = &own};

    begin(&rig);
    rig.options.settings.own = false;
    own = rig.options.settings;
    own.own = true;
    rig.options.clients = &client;
    rig.options.client_count = 1;
    rig_connect(&rig, 'A', "shared", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !2\n"));
    rig_connect(&rig, 'B', "own", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "OPEN 2 own as o* !4\n"));
    rig_fini(&rig);
}

static void
no_more_own_connections_than_allowed(void)
{
    struct rig rig;

    begin(&rig);
    rig.options.own_max = 1;
    rig_device(&rig, 'A', "a", false);
    own_up(&rig, 1, false);
    rig_clear(&rig);
    rig_connect(&rig, 'B', "b", false, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "B> CONNACK 1\n"));
    rig_connect(&rig, 'A', "a", false, 60); /* known */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0\n"));
    rig_fini(&rig);
}

struct seen {
    enum engine_own own;
    uint64_t connection;
    bool own_waits;
};

static void
look(void *ctx, const struct engine_session_status *session)
{
    *(struct seen *)ctx = (struct seen){session->own, session->connection, session->own_waits};
}

static struct seen
see(const struct rig *rig)
{
    struct seen seen;

    engine_each_session(rig->engine, rig->now_ms, look, &seen);
    return seen;
}

static void
status_tells_the_state_of_the_connection(void)
{
    struct rig rig;

    begin(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(see(&rig).own, ENGINE_OWN_CONNECTING);
    CU_ASSERT_EQUAL(see(&rig).connection, 1);
    own_up(&rig, 1, false);
    CU_ASSERT_EQUAL(see(&rig).own, ENGINE_OWN_CONNECTED);
    CU_ASSERT_EQUAL(rig_status(&rig).own[ENGINE_OWN_CONNECTED], 1);
    CU_ASSERT_EQUAL(rig_status(&rig).own[ENGINE_OWN_NONE], 0);
    own_ends(&rig, 1, UPSTREAM_LOST);
    CU_ASSERT_EQUAL(rig_status(&rig).own[ENGINE_OWN_CONNECTING], 1);
    own_ends(&rig, 1, UPSTREAM_TAKEN_OVER);
    CU_ASSERT_EQUAL(rig_status(&rig).own[ENGINE_OWN_TAKEN_OVER], 1);
    engine_forget(rig.engine, rig.now_ms, dm_span_text("dev"));
    CU_ASSERT_EQUAL(rig_status(&rig).own_ending, 0);
    rig_fini(&rig);
}

static void
another_kind_of_connection_counts_from_the_next_session_on(void)
{
    struct rig rig;
    struct engine_options options;

    begin_connected(&rig, false);
    CU_ASSERT_FALSE(see(&rig).own_waits);
    options = rig.options;
    options.settings.own = false;
    engine_reconfigure(rig.engine, rig.now_ms, &options);
    CU_ASSERT_TRUE(see(&rig).own_waits);
    CU_ASSERT_EQUAL(see(&rig).connection, 1);
    rig_connect(&rig, 'A', "dev", false, 60);
    CU_ASSERT_TRUE(see(&rig).own_waits);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_connect(&rig, 'A', "dev", true, 60);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> CONNACK 0 !6\nCLOSE 1 wipe !6\n"));
    CU_ASSERT_EQUAL(see(&rig).connection, 0);
    CU_ASSERT_FALSE(see(&rig).own_waits);
    CU_ASSERT_EQUAL(rig_status(&rig).own_ending, 1);
    rig_fini(&rig);
}

static void
device_that_leaves_before_its_connack_leaves_no_session(void)
{
    struct rig rig;

    begin(&rig);
    rig_connect(&rig, 'A', "dev", false, 60);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_step(&rig, 'A', MQTTSN_PINGREQ, 0); /* it does not wait for CONNACK */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    rig_disconnect(&rig, 'A', 100);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT !4\nCLOSE 1 !4\n"));
    rig_wait(&rig, 20000);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_SESSION_PUT), 0);
    rig_fini(&rig);
}

static void
messages_of_subscriptions_made_at_another_gateway_are_delivered(void)
{
    struct rig rig;

    begin(&rig);
    for (int start = 0; start <= 1; start++) {
        if (start == 0)
            rig_connect(&rig, 'A', "dev", false, 60);
        else
            rig_restart(&rig);
        rig_commit(&rig);
        own_up(&rig, 1, true);
        rig_clear(&rig);
        rig_broker_publish(&rig, "yard/lamp", "x", 0, 0, 77);
        CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> REGISTER 1 yard/lamp"));
    }
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(messages_of_subscriptions_made_at_another_gateway_are_delivered),
    UNIT_TEST(device_that_leaves_before_its_connack_leaves_no_session),
    UNIT_TEST(status_tells_the_state_of_the_connection),
    UNIT_TEST(another_kind_of_connection_counts_from_the_next_session_on),
    UNIT_TEST(unknown_client_is_answered_when_the_broker_has_answered),
    UNIT_TEST(unknown_client_is_told_congestion_while_the_broker_is_away),
    UNIT_TEST(unknown_client_is_not_kept_waiting_by_silence),
    UNIT_TEST(session_of_another_gateway_outlasts_a_crash_before_the_first_connection),
    UNIT_TEST(wipe_of_a_clean_session_that_never_came_about_is_owed),
    UNIT_TEST(client_that_the_broker_refuses_is_refused),
    UNIT_TEST(known_client_is_answered_while_the_broker_is_away),
    UNIT_TEST(messages_and_subscriptions_go_over_its_own_connection),
    UNIT_TEST(long_spool_gives_each_message_a_packet_id_of_its_own),
    UNIT_TEST(end_of_a_clean_session_leaves_nothing_behind),
    UNIT_TEST(new_session_takes_the_wipe_over_that_the_old_one_owes),
    UNIT_TEST(what_a_clean_session_published_reaches_the_broker_before_its_end),
    UNIT_TEST(spool_of_an_ended_session_outlasts_a_crash),
    UNIT_TEST(taken_over_connection_is_given_up_until_the_device_comes_back),
    UNIT_TEST(packet_ids_and_subscriptions_may_be_others_after_a_takeover),
    UNIT_TEST(session_that_was_taken_over_is_not_wiped_at_the_broker),
    UNIT_TEST(session_that_was_taken_over_is_not_wiped_when_the_rest_is_sent),
    UNIT_TEST(known_client_refused_later_is_told_at_its_next_contact),
    UNIT_TEST(will_of_a_lost_device_goes_over_its_own_connection),
    UNIT_TEST(broker_that_publishes_the_will_is_told_of_it),
    UNIT_TEST(will_that_the_broker_never_got_is_published_here),
    UNIT_TEST(own_connections_come_back_after_a_crash),
    UNIT_TEST(clients_of_both_kinds_mix),
    UNIT_TEST(no_more_own_connections_than_allowed),
};
UNIT_MAIN("engine own", tests)
