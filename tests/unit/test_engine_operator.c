/* SPDX-License-Identifier: Apache-2.0 */
/* What operators see of a session and do to it: history, queue, disconnect. */
#include "unit.h"

#include <stdio.h>

#include <dormouse/log.h>

#include "engine_inspect.h"
#include "engine_rig.h"

#define ID dm_span_text("aaa")

struct lines {
    char text[4096];
    size_t len;
    size_t count;
};

static void
take_event(void *ctx, const struct engine_event_status *event)
{
    struct lines *lines = ctx;
    char text[128];

    lines->count++;
    lines->len += (size_t)snprintf(lines->text + lines->len, sizeof lines->text - lines->len,
                                   "%s, %llu s ago\n", engine_event_text(text, sizeof text, event),
                                   (unsigned long long)(event->age_ms / 1000));
}

static void
take_message(void *ctx, const struct engine_message_status *message)
{
    struct lines *lines = ctx;

    lines->count++;
    lines->len +=
        (size_t)snprintf(lines->text + lines->len, sizeof lines->text - lines->len,
                         "%.*s %zu qos %u %s%s\n", (int)message->topic.len,
                         (const char *)message->topic.data, message->octets, (unsigned)message->qos,
                         engine_progress_name(message->progress), message->stored ? " stored" : "");
}

static const char *
events(const struct rig *rig, bool errors, struct lines *lines)
{
    *lines = (struct lines){.len = 0};
    CU_ASSERT_EQUAL(engine_each_event(rig->engine, rig->now_ms, ID, errors, take_event, lines),
                    DM_OK);
    return lines->text;
}

static const char *
queue(const struct rig *rig, struct lines *lines)
{
    *lines = (struct lines){.len = 0};
    CU_ASSERT_EQUAL(engine_each_message(rig->engine, rig->now_ms, ID, take_message, lines), DM_OK);
    return lines->text;
}

static void
begin(struct rig *rig, int8_t qos)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device_subscribed(rig, 'A', "aaa", false, "t/1", qos);
}

static void
history_tells_newest_first_what_happened_and_when(void)
{
    struct rig rig;
    struct lines lines;

    begin(&rig, 1);
    rig_wait(&rig, 5000);
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_wait(&rig, 10000);
    rig_ping(&rig, 'A', "aaa");
    rig_ping(&rig, 'B', "aaa");
    rig_disconnect(&rig, 'B', 0);
    CU_ASSERT_STRING_EQUAL(events(&rig, false, &lines), "disconnected, 0 s ago\n"
                                                        "awake, 0 messages wait, 0 s ago\n"
                                                        "moved to another address, 0 s ago\n"
                                                        "awake, 0 messages wait, 0 s ago\n"
                                                        "sleeps for 100 s, 10 s ago\n"
                                                        "subscribed with QoS 1, 15 s ago\n"
                                                        "connected, keep alive 60 s, 15 s ago\n");
    CU_ASSERT_STRING_EQUAL(events(&rig, true, &lines), "");
    rig_fini(&rig);
}

static void
history_keeps_the_last_32_and_errors_longer(void)
{
    struct rig rig;
    struct lines lines;

    begin(&rig, 1);
    rig_subscribe(&rig, 'A', "bad/#/filter", 0, 7);
    for (int i = 0; i < 40; i++)
        rig_connect(&rig, 'A', "aaa", false, 60);
    events(&rig, false, &lines);
    CU_ASSERT_EQUAL(lines.count, ENGINE_EVENTS_MAX);
    CU_ASSERT_PTR_NULL(strstr(lines.text, "SUBSCRIBE"));
    CU_ASSERT_STRING_EQUAL(events(&rig, true, &lines),
                           "SUBSCRIBE refused: not supported, 0 s ago\n");
    for (int i = 0; i < 40; i++)
        rig_subscribe(&rig, 'A', "bad/#/filter", 0, 7);
    events(&rig, true, &lines);
    CU_ASSERT_EQUAL(lines.count, ENGINE_ERRORS_MAX);
    for (int i = 0; i < 200; i++) { /* errors stand before the latest events, and among them */
        if (i > 100 && i % 9 == 0)
            rig_subscribe(&rig, 'A', "bad/#/filter", 0, 7);
        rig_connect(&rig, 'A', "aaa", false, 60);
        events(&rig, false, &lines);
        CU_ASSERT_EQUAL(lines.count, ENGINE_EVENTS_MAX);
        events(&rig, true, &lines);
        CU_ASSERT_EQUAL(lines.count, ENGINE_ERRORS_MAX);
    }
    rig_fini(&rig);
}

static void
history_of_the_session_that_is_silent_longest_is_forgotten_first(void)
{
    struct rig rig;
    struct lines lines;
    char id[16];

    log_set_level(LOG_LEVEL_WARNING); /* it connects thousands */
    rig_init(&rig);
    rig.options.max_clients = 20000;
    rig_device(&rig, 'B', "old", false);
    rig_device(&rig, 'A', "aaa", false);
    rig_connect(&rig, 'B', "old", false, 60); /* an event of its own: "aaa" is the oldest now */
    for (int i = 0; i < 9999; i++) {
        snprintf(id, sizeof id, "n%d", i);
        rig_connect(&rig, 'C', id, false, 60);
        rig_clear(&rig);
    }
    events(&rig, false, &lines);
    CU_ASSERT_EQUAL(lines.count, 0);
    lines = (struct lines){.len = 0};
    CU_ASSERT_EQUAL(
        engine_each_event(rig.engine, rig.now_ms, dm_span_text("old"), false, take_event, &lines),
        DM_OK);
    CU_ASSERT_EQUAL(lines.count, 2);
    rig_fini(&rig);
}

static void
history_does_not_outlive_a_restart_but_the_session_does(void)
{
    struct rig rig;
    struct lines lines;

    begin(&rig, 1);
    rig_restart(&rig);
    events(&rig, false, &lines);
    CU_ASSERT_EQUAL(lines.count, 0);
    rig_fini(&rig);
}

static void
lost_and_silent_devices_leave_a_note_among_the_errors(void)
{
    struct rig rig;
    struct lines lines;

    begin(&rig, 1);
    rig_broker_publish(&rig, "t/1", "x", 1, 1, 1);
    rig_wait(&rig, 120000);
    CU_ASSERT_STRING_EQUAL(events(&rig, true, &lines), "lost, nothing heard for 90 s, 30 s ago\n"
                                                       "no answer to PUBLISH, 80 s ago\n");
    rig_fini(&rig);
}

static void
drop_gives_up_what_waits_and_counts_it(void)
{
    struct rig rig;
    struct lines lines;
    struct engine_status status;
    size_t dropped = 0;
    size_t kept = 0;

    begin(&rig, 1);
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_broker_publish(&rig, "t/1", "one", 1, 1, 1);
    rig_broker_publish(&rig, "t/1", "two", 1, 2, 1);
    rig_commit(&rig);
    CU_ASSERT_STRING_EQUAL(queue(&rig, &lines), "t/1 3 qos 1 waiting stored\n"
                                                "t/1 3 qos 1 waiting stored\n");
    CU_ASSERT_EQUAL(engine_drop_queue(rig.engine, rig.now_ms, ID, &dropped, &kept), DM_OK);
    CU_ASSERT_EQUAL(dropped, 2);
    CU_ASSERT_EQUAL(kept, 0);
    CU_ASSERT_STRING_EQUAL(queue(&rig, &lines), "");
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.dropped[ENGINE_DROP_OPERATOR], 2);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(events(&rig, true, &lines), "message dropped: given up by the operator"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_DELIVERY_PUT), 0);
    rig_fini(&rig);
}

static void
drop_lets_the_broker_have_its_acknowledgement(void)
{
    struct rig rig;
    size_t dropped = 0;
    size_t kept = 0;

    begin(&rig, 1);
    rig.full = true; /* nothing was sent, and nothing is on disk yet */
    rig_broker_publish(&rig, "t/1", "one", 1, 7, 1);
    rig_broker_publish(&rig, "t/1", "two", 1, 8, 1);
    rig_clear(&rig);
    CU_ASSERT_EQUAL(engine_drop_queue(rig.engine, rig.now_ms, ID, &dropped, &kept), DM_OK);
    CU_ASSERT_EQUAL(dropped, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 7\n^ PUBACK pid 8\n"));
    rig_fini(&rig);
}

static void
drop_keeps_a_qos2_message_that_the_device_may_hold(void)
{
    struct rig rig;
    struct lines lines;
    size_t dropped = 0;
    size_t kept = 0;

    begin(&rig, 2);
    rig_broker_publish(&rig, "t/1", "one", 2, 1, 1);
    rig_broker_publish(&rig, "t/1", "two", 2, 2, 1);
    rig_commit(&rig); /* the first is sent, and its PUBREC gets lost */
    CU_ASSERT_STRING_EQUAL(queue(&rig, &lines), "t/1 3 qos 2 sent stored\n"
                                                "t/1 3 qos 2 waiting stored\n");
    rig_disconnect(&rig, 'A', 100); /* no exchange is open any more */
    rig_commit(&rig);
    rig_clear(&rig);
    CU_ASSERT_EQUAL(engine_drop_queue(rig.engine, rig.now_ms, ID, &dropped, &kept), DM_OK);
    CU_ASSERT_EQUAL(dropped, 1);
    CU_ASSERT_EQUAL(kept, 1);
    rig_commit(&rig);
    rig_step(&rig, 'A', MQTTSN_PUBREC, 1); /* it did hold it */
    rig_commit(&rig);
    rig_ping(&rig, 'A', "aaa");
    rig_step(&rig, 'A', MQTTSN_PUBCOMP, 1);
    CU_ASSERT_STRING_EQUAL(queue(&rig, &lines), "");
    CU_ASSERT_PTR_NOT_NULL(strstr(rig.text, "A> PUBREL msg 1"));
    rig_fini(&rig);
}

static void
disconnect_tells_an_active_device_and_keeps_its_session(void)
{
    struct rig rig;
    struct lines lines;

    begin(&rig, 1);
    CU_ASSERT_EQUAL(engine_disconnect(rig.engine, rig.now_ms, ID), DM_OK);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> DISCONNECT\n"));
    CU_ASSERT_EQUAL(engine_disconnect(rig.engine, rig.now_ms, ID), DM_INVALID);
    rig_broker_publish(&rig, "t/1", "one", 1, 7, 1);
    CU_ASSERT_STRING_EQUAL(queue(&rig, &lines), "t/1 3 qos 1 waiting stored\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(events(&rig, false, &lines), "disconnected by the operator"));
    rig_fini(&rig);
}

static void
disconnect_wakes_no_sleeper_and_ends_a_clean_session_without_its_will(void)
{
    struct rig rig;
    struct engine_status status;

    rig_init(&rig);
    rig_broker_up(&rig, MQTT_5, false);
    rig_device_with_will(&rig, 'A', "aaa", true, "gone", "bye");
    rig_disconnect(&rig, 'A', 100);
    rig_commit(&rig);
    rig_clear(&rig);
    CU_ASSERT_EQUAL(engine_disconnect(rig.engine, rig.now_ms, ID), DM_OK);
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    engine_status(rig.engine, &status);
    CU_ASSERT_EQUAL(status.wills_published, 0);
    CU_ASSERT_EQUAL(engine_disconnect(rig.engine, rig.now_ms, ID), DM_NOT_FOUND);
    rig_fini(&rig);
}

static void
take_detail(void *ctx, const struct engine_session_detail *detail)
{
    *(struct engine_session_detail *)ctx = *detail;
}

static void
show_tells_the_exchange_and_when_it_is_repeated(void)
{
    struct rig rig;
    struct engine_session_detail detail = {0};

    begin(&rig, 1);
    rig_broker_publish(&rig, "t/1", "one", 1, 7, 1);
    rig_wait(&rig, 4000);
    CU_ASSERT_EQUAL(engine_show(rig.engine, rig.now_ms, ID, take_detail, &detail), DM_OK);
    CU_ASSERT_STRING_EQUAL(detail.exchange, "PUBLISH");
    CU_ASSERT_EQUAL(detail.retry_ms, 6000);
    CU_ASSERT_EQUAL(detail.supervision_ms, 86000);
    CU_ASSERT_EQUAL(detail.queued_by_qos[1], 1);
    CU_ASSERT_EQUAL(detail.queued_by_progress[ENGINE_PROGRESS_SENT], 1);
    rig_fini(&rig);
}

static void
session_that_does_not_exist_is_not_found(void)
{
    struct rig rig;
    struct lines lines = {.len = 0};
    size_t n;

    begin(&rig, 1);
    struct dm_span nobody = dm_span_text("nobody");

    CU_ASSERT_EQUAL(engine_show(rig.engine, 0, nobody, take_detail, NULL), DM_NOT_FOUND);
    CU_ASSERT_EQUAL(engine_each_event(rig.engine, 0, nobody, false, take_event, &lines),
                    DM_NOT_FOUND);
    CU_ASSERT_EQUAL(engine_each_message(rig.engine, 0, nobody, take_message, &lines), DM_NOT_FOUND);
    CU_ASSERT_EQUAL(engine_drop_queue(rig.engine, rig.now_ms, nobody, &n, &n), DM_NOT_FOUND);
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(history_tells_newest_first_what_happened_and_when),
    UNIT_TEST(history_keeps_the_last_32_and_errors_longer),
    UNIT_TEST(history_of_the_session_that_is_silent_longest_is_forgotten_first),
    UNIT_TEST(history_does_not_outlive_a_restart_but_the_session_does),
    UNIT_TEST(lost_and_silent_devices_leave_a_note_among_the_errors),
    UNIT_TEST(drop_gives_up_what_waits_and_counts_it),
    UNIT_TEST(drop_lets_the_broker_have_its_acknowledgement),
    UNIT_TEST(drop_keeps_a_qos2_message_that_the_device_may_hold),
    UNIT_TEST(disconnect_tells_an_active_device_and_keeps_its_session),
    UNIT_TEST(disconnect_wakes_no_sleeper_and_ends_a_clean_session_without_its_will),
    UNIT_TEST(show_tells_the_exchange_and_when_it_is_repeated),
    UNIT_TEST(session_that_does_not_exist_is_not_found),
};

UNIT_MAIN("engine_operator", tests)
