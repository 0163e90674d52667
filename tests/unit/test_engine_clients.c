/* SPDX-License-Identifier: Apache-2.0 */
/* What [client] sections change for the devices they match: settings that [sessions] has too. */
#include "unit.h"

#include "engine_rig.h"

/* Device A is of the section, device B of none. */
struct fixture {
    struct rig rig;
    struct engine_settings settings;
    struct engine_client client;
};

static void
setup(struct fixture *f)
{
    rig_init(&f->rig);
    f->settings = f->rig.options.settings;
    f->client = (struct engine_client){.pattern = "own-*", .settings = &f->settings};
    f->rig.options.clients = &f->client;
    f->rig.options.client_count = 1;
}

/* Both connected, subscribed to "t" with QoS 1. */
static void
connect_both(struct fixture *f)
{
    rig_broker_up(&f->rig, MQTT_5, false);
    rig_device_subscribed(&f->rig, 'A', "own-a", false, "t", 1);
    rig_connect(&f->rig, 'B', "bbb", false, 60);
    rig_commit(&f->rig);
    rig_subscribe(&f->rig, 'B', "t", 1, 1);
    rig_commit(&f->rig);
    rig_broker_answer(&f->rig, MQTT_SUBACK, 2, 2);
    rig_commit(&f->rig);
    rig_clear(&f->rig);
}

static void
sleep_both(struct fixture *f)
{
    rig_disconnect(&f->rig, 'A', 600);
    rig_disconnect(&f->rig, 'B', 600);
    rig_commit(&f->rig);
    rig_clear(&f->rig);
}

struct queued {
    size_t own, others;
};

static void
count_queued(void *ctx, const struct engine_session_status *session)
{
    struct queued *queued = ctx;

    if (dm_span_equal(session->client_id, dm_span_text("own-a")))
        queued->own = session->queued_messages;
    else
        queued->others = session->queued_messages;
}

static void
expect_queued(const struct fixture *f, size_t own, size_t others)
{
    struct queued queued = {0};

    engine_each_session(f->rig.engine, f->rig.now_ms, count_queued, &queued);
    CU_ASSERT_EQUAL(queued.own, own);
    CU_ASSERT_EQUAL(queued.others, others);
}

static void
publish(struct fixture *f, uint8_t qos, uint16_t first, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++)
        rig_broker_publish(&f->rig, "t", "x", qos, qos > 0 ? (uint16_t)(first + i) : 0, 2);
}

static void
queue_limit_is_that_of_the_client(void)
{
    struct fixture f;

    setup(&f);
    f.settings.queue_messages = 2;
    connect_both(&f);
    sleep_both(&f);
    publish(&f, 1, 5, 4);
    expect_queued(&f, 2, 4);
    rig_fini(&f.rig);
}

static void
overflow_is_that_of_the_client(void)
{
    struct fixture f;

    setup(&f);
    f.settings.overflow = ENGINE_LATEST;
    connect_both(&f);
    sleep_both(&f);
    publish(&f, 1, 5, 4);
    expect_queued(&f, 1, 4);
    rig_fini(&f.rig);
}

static void
qos0_waits_as_the_client_wants_it(void)
{
    struct fixture f;

    setup(&f);
    f.settings.queue_qos0 = ENGINE_QOS0_NEVER;
    connect_both(&f);
    sleep_both(&f);
    publish(&f, 0, 0, 3);
    expect_queued(&f, 0, 3);
    rig_fini(&f.rig);
}

static void
age_is_counted_for_each_client(void)
{
    struct fixture f;

    setup(&f);
    f.settings.max_age_ms = 20000;
    connect_both(&f);
    sleep_both(&f);
    publish(&f, 1, 5, 1);
    rig_wait(&f.rig, 19999);
    expect_queued(&f, 1, 1);
    rig_wait(&f.rig, 1);
    expect_queued(&f, 0, 1);
    rig_fini(&f.rig);
}

static void
age_goes_on_over_a_restart(void)
{
    struct fixture f;

    setup(&f);
    f.settings.max_age_ms = 20000;
    connect_both(&f);
    sleep_both(&f);
    publish(&f, 1, 5, 1);
    rig_wait(&f.rig, 15000);
    rig_restart(&f.rig);
    rig_wait(&f.rig, 4999);
    expect_queued(&f, 1, 1);
    rig_wait(&f.rig, 1);
    expect_queued(&f, 0, 1);
    rig_fini(&f.rig);
}

/* Messages that were queued under another configuration count from the start on. */
static void
age_that_is_new_counts_from_the_start(void)
{
    struct fixture f;

    setup(&f);
    connect_both(&f);
    sleep_both(&f);
    publish(&f, 1, 5, 1);
    f.settings.max_age_ms = 20000;
    rig_wait(&f.rig, 15000);
    rig_restart(&f.rig);
    rig_wait(&f.rig, 19999);
    expect_queued(&f, 1, 1);
    rig_wait(&f.rig, 1);
    expect_queued(&f, 0, 1);
    rig_fini(&f.rig);
}

static void
repetition_follows_the_client(void)
{
    struct fixture f;

    setup(&f);
    f.settings.retry_ms = 2000;
    f.settings.retry_count = 1;
    connect_both(&f);
    publish(&f, 1, 5, 1);
    rig_clear(&f.rig);
    rig_wait(&f.rig, 2000);
    CU_ASSERT_TRUE(rig_expect(&f.rig, "A> PUBLISH 1 qos 1 msg 1 dup \"x\"\n"));
    rig_wait(&f.rig, 7999);
    CU_ASSERT_TRUE(rig_expect(&f.rig, ""));
    rig_wait(&f.rig, 1);
    CU_ASSERT_TRUE(rig_expect(&f.rig, "B> PUBLISH 1 qos 1 msg 1 dup \"x\"\n"));
    rig_fini(&f.rig);
}

static void
silence_is_judged_by_the_tolerance_of_the_client(void)
{
    struct fixture f;

    setup(&f);
    f.settings.tolerance_percent = 300;
    connect_both(&f); /* keep alive 60 s */
    rig_wait(&f.rig, 179000);
    CU_ASSERT_EQUAL(rig_status(&f.rig).sessions[ENGINE_LOST], 1);
    rig_wait(&f.rig, 1000);
    CU_ASSERT_EQUAL(rig_status(&f.rig).sessions[ENGINE_LOST], 2);
    rig_fini(&f.rig);
}

static void
session_expires_as_the_client_wants_it(void)
{
    struct fixture f;

    setup(&f);
    f.settings.expiry_ms = 100000;
    connect_both(&f);
    rig_disconnect(&f.rig, 'A', 0);
    rig_disconnect(&f.rig, 'B', 0);
    rig_wait(&f.rig, 100000);
    CU_ASSERT_EQUAL(rig_status(&f.rig).sessions[ENGINE_DISCONNECTED], 1);
    rig_fini(&f.rig);
}

static void
clean_flag_of_a_sleeper_is_ignored_for_the_client(void)
{
    struct fixture f;

    setup(&f);
    f.settings.resume_ignores_clean = true;
    connect_both(&f);
    sleep_both(&f);
    publish(&f, 1, 5, 1);
    rig_connect(&f.rig, 'A', "own-a", true, 60);
    rig_connect(&f.rig, 'B', "bbb", true, 60);
    expect_queued(&f, 1, 0);
    rig_fini(&f.rig);
}

/* ---- messages of devices ---- */

static void
register_both(struct fixture *f)
{
    rig_register(&f->rig, 'A', "up", 7);
    rig_register(&f->rig, 'B', "up", 7);
    rig_commit(&f->rig);
    rig_clear(&f->rig);
}

static void
device_is_acknowledged_from_the_store_if_its_client_wants_it(void)
{
    struct fixture f;

    setup(&f);
    f.settings.uplink_ack_store = true;
    connect_both(&f);
    register_both(&f);
    rig_publish(&f.rig, 'A', 2, 1, 20, "a");
    rig_publish(&f.rig, 'B', 2, 1, 20, "b");
    rig_commit(&f.rig);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.rig.text, "A> PUBACK 2 msg 20 code 0"));
    CU_ASSERT_PTR_NULL(strstr(f.rig.text, "B> PUBACK"));
    rig_fini(&f.rig);
}

/* Who has less patience is served first, whoever came first. */
static void
message_is_stored_after_the_time_of_its_client(void)
{
    struct fixture f;

    setup(&f);
    f.settings.store_after_ms = 300;
    connect_both(&f);
    register_both(&f);
    rig_publish(&f.rig, 'B', 2, 1, 20, "b");
    rig_publish(&f.rig, 'A', 2, 1, 20, "a");
    rig_clear(&f.rig);
    rig_wait(&f.rig, 299);
    CU_ASSERT_TRUE(rig_expect(&f.rig, ""));
    rig_wait(&f.rig, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.rig.text, "A> PUBACK 2 msg 20 code 0"));
    CU_ASSERT_PTR_NULL(strstr(f.rig.text, "B> PUBACK"));
    rig_clear(&f.rig);
    rig_wait(&f.rig, 699);
    CU_ASSERT_TRUE(rig_expect(&f.rig, ""));
    rig_wait(&f.rig, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.rig.text, "B> PUBACK 2 msg 20 code 0"));
    rig_fini(&f.rig);
}

/* A deadline that was missed would count as a halt of the whole gateway. */
static void
answer_of_the_broker_leaves_no_deadline_behind(void)
{
    struct fixture f;

    setup(&f);
    connect_both(&f);
    register_both(&f);
    rig_publish(&f.rig, 'A', 2, 1, 20, "a");
    CU_ASSERT_PTR_NOT_NULL(strstr(f.rig.text, "pid 3"));
    rig_broker_answer(&f.rig, MQTT_PUBACK, 3, 0);
    rig_wait(&f.rig, 5000);
    rig_publish(&f.rig, 'A', 2, 1, 21, "a");
    CU_ASSERT(engine_next_deadline(f.rig.engine) >= f.rig.now_ms);
    rig_fini(&f.rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(queue_limit_is_that_of_the_client),
    UNIT_TEST(overflow_is_that_of_the_client),
    UNIT_TEST(qos0_waits_as_the_client_wants_it),
    UNIT_TEST(age_is_counted_for_each_client),
    UNIT_TEST(age_goes_on_over_a_restart),
    UNIT_TEST(age_that_is_new_counts_from_the_start),
    UNIT_TEST(repetition_follows_the_client),
    UNIT_TEST(silence_is_judged_by_the_tolerance_of_the_client),
    UNIT_TEST(session_expires_as_the_client_wants_it),
    UNIT_TEST(clean_flag_of_a_sleeper_is_ignored_for_the_client),
    UNIT_TEST(device_is_acknowledged_from_the_store_if_its_client_wants_it),
    UNIT_TEST(message_is_stored_after_the_time_of_its_client),
    UNIT_TEST(answer_of_the_broker_leaves_no_deadline_behind),
};

UNIT_MAIN("engine clients", tests)
