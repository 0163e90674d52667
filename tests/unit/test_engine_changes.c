/* SPDX-License-Identifier: Apache-2.0 */
/* Which sessions changed since it was told, and who gets the gateway's own topics. */
#include "unit.h"

#include <stdio.h>

#include "engine_inspect.h"
#include "engine_rig.h"

enum { NEWS_MS = 10000, CONTACT_MS = 60000 };

struct told {
    char text[4096];
    size_t len;
    size_t count;
    size_t room; /* the visitor refuses beyond it */
    uint64_t earlier_contact_ms;
};

static bool
take(void *ctx, const struct engine_change *change)
{
    struct told *told = ctx;

    if (told->count == told->room)
        return false;
    told->count++;
    told->earlier_contact_ms = change->earlier_contact_ms;
    told->len += (size_t)snprintf(
        told->text + told->len, sizeof told->text - told->len, "%.*s %s %zu%s\n",
        (int)change->session.client_id.len, (const char *)change->session.client_id.data,
        change->ended ? "ended" : engine_state_name(change->session.state),
        change->session.queued_messages, change->first && !change->ended ? " first" : "");
    return true;
}

static bool
tell(struct rig *rig, size_t limit, struct told *told)
{
    struct engine_change_pace pace = {NEWS_MS, CONTACT_MS, limit};

    told->len = told->count = 0;
    told->text[0] = '\0';
    return engine_tell_changes(rig->engine, rig->now_ms, &pace, take, told);
}

/* All that is due. */
static const char *
changes(struct rig *rig, struct told *told)
{
    *told = (struct told){.room = SIZE_MAX};
    CU_ASSERT_TRUE(tell(rig, 1000, told));
    return told->text;
}

static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig->now_ms = 1; /* soon after boot */
    rig->options.status_topics = "dm/gw/";
    rig_restart(rig); /* the options are read at the beginning */
    rig_broker_up(rig, MQTT_5, false);
    rig_clear(rig);
}

static void
a_session_is_told_when_it_changes_and_not_too_often(void)
{
    struct rig rig;
    struct told told;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "t/1", 1);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "aaa active 0 first\n");
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "");
    rig_disconnect(&rig, 'A', 100);
    rig_broker_publish(&rig, "t/1", "x", 1, 7, 1);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "");
    rig_wait(&rig, NEWS_MS - 1);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "");
    rig_wait(&rig, 1);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "aaa asleep 1\n");
    rig_wait(&rig, CONTACT_MS);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), ""); /* nothing happened */
    rig_fini(&rig);
}

static void
a_sign_of_life_alone_is_told_at_the_slower_pace(void)
{
    struct rig rig;
    struct told told;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    changes(&rig, &told);
    rig_wait(&rig, NEWS_MS);
    rig_ping(&rig, 'A', "");
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "");
    rig_wait(&rig, CONTACT_MS - NEWS_MS);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "aaa active 0\n");
    rig_fini(&rig);
}

static void
an_end_is_told_once_and_only_of_what_was_told(void)
{
    struct rig rig;
    struct told told;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", true);
    changes(&rig, &told);
    rig_disconnect(&rig, 'A', 0);
    rig_device(&rig, 'B', "bbb", true);
    rig_disconnect(&rig, 'B', 0); /* nobody ever heard of it */
    rig_device(&rig, 'A', "aaa", true);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "aaa ended 0\naaa active 0 first\n");
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "");
    CU_ASSERT_FALSE(engine_forgot_ends(rig.engine));
    rig_fini(&rig);
}

static bool
refuse(void *ctx, const struct engine_change *change)
{
    (void)change;
    ++*(int *)ctx; /* status_topics.c has published the discovery by now */
    return false;
}

static void
end_of_what_was_half_told_is_told(void)
{
    struct engine_change_pace pace = {.news_ms = NEWS_MS, .contact_ms = CONTACT_MS, .limit = 10};
    struct rig rig;
    struct told told;
    int tried = 0;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", true);
    engine_tell_changes(rig.engine, rig.now_ms, &pace, refuse, &tried);
    CU_ASSERT_EQUAL(tried, 1);
    rig_disconnect(&rig, 'A', 0);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "aaa ended 0\n");
    rig_fini(&rig);
}

static void
after_a_start_the_end_of_every_stored_session_is_told(void)
{
    struct rig rig;
    struct told told;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", true);
    rig_restart(&rig);
    rig_disconnect(&rig, 'A', 0);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "aaa ended 0\n");
    rig_fini(&rig);
}

static void
what_could_not_be_told_waits_with_all_behind_it(void)
{
    struct rig rig;
    struct told told = {.room = 1};

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_device(&rig, 'B', "bbb", false);
    rig_device(&rig, 'C', "ccc", false);
    CU_ASSERT_FALSE(tell(&rig, 1000, &told));
    CU_ASSERT_STRING_EQUAL(told.text, "aaa active 0 first\n");
    told.room = SIZE_MAX;
    CU_ASSERT_FALSE(tell(&rig, 1, &told)); /* the limit */
    CU_ASSERT_STRING_EQUAL(told.text, "bbb active 0 first\n");
    CU_ASSERT_TRUE(tell(&rig, 1, &told));
    CU_ASSERT_STRING_EQUAL(told.text, "ccc active 0 first\n");
    engine_change_all(rig.engine);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told),
                           "aaa active 0 first\nbbb active 0 first\nccc active 0 first\n");
    rig_fini(&rig);
}

static void
ends_beyond_the_bound_are_not_told_but_owned_up_to(void)
{
    struct rig rig;
    struct told told;
    char id[16];

    begin(&rig);
    rig.options.max_clients = 2000;
    for (int i = 0; i < 1001; i++) {
        snprintf(id, sizeof id, "d%d", i);
        rig_device(&rig, 'A', id, true);
        changes(&rig, &told);
    }
    for (int i = 0; i < 1001; i++) {
        snprintf(id, sizeof id, "d%d", i);
        engine_forget(rig.engine, rig.now_ms, dm_span_text(id));
        rig_clear(&rig);
    }
    told = (struct told){.room = SIZE_MAX};
    size_t ends = 0;
    for (bool done = false; !done; ends += told.count)
        done = tell(&rig, 100, &told);
    CU_ASSERT_EQUAL(ends, 1000);
    CU_ASSERT_TRUE(engine_forgot_ends(rig.engine));
    CU_ASSERT_FALSE(engine_forgot_ends(rig.engine));
    rig_fini(&rig);
}

static void
a_contact_of_an_earlier_process_is_remembered(void)
{
    struct rig rig;
    struct told told;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    CU_ASSERT_EQUAL(engine_remember_contact(rig.engine, dm_span_text("aaa"), 77), DM_OK);
    CU_ASSERT_EQUAL(engine_remember_contact(rig.engine, dm_span_text("bbb"), 77), DM_NOT_FOUND);
    changes(&rig, &told);
    CU_ASSERT_EQUAL(told.earlier_contact_ms, 77);
    rig_fini(&rig);
}

static void
nothing_is_tracked_without_status_topics(void)
{
    struct rig rig;
    struct told told;

    rig_init(&rig);
    rig_device(&rig, 'A', "aaa", false);
    engine_change_all(rig.engine);
    CU_ASSERT_STRING_EQUAL(changes(&rig, &told), "");
    rig_broker_up(&rig, MQTT_5, false);
    rig_subscribe(&rig, 'A', "#", 0, 1);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 0);
    rig_commit(&rig);
    rig_clear(&rig);
    rig_broker_publish(&rig, "dm/gw/status", "x", 0, 0, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 dm/gw/status msg 1 !5\n"));
    rig_fini(&rig);
}

static void
own_topics_come_by_their_name_and_by_no_wildcard(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "aaa", false, "#", 1);
    rig_device_subscribed(&rig, 'B', "bbb", false, "dm/gw/status", 1);
    rig_clear(&rig);
    rig_broker_publish(&rig, "dm/gw/status", "x", 0, 0, 1); /* the copy for # */
    CU_ASSERT_TRUE(rig_expect(&rig, ""));
    rig_broker_publish(&rig, "dm/gw/clients/c", "x", 1, 5, 1);
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBACK pid 5\n"));
    rig_broker_publish(&rig, "dm/gw/status", "x", 0, 0, 2);
    CU_ASSERT_TRUE(rig_expect(&rig, "B> PUBLISH 1 qos 0 msg 0 \"x\"\n"));
    rig_broker_publish(&rig, "dm/gw/status", "y", 0, 0, 0); /* MQTT 3.1.1 */
    CU_ASSERT_TRUE(rig_expect(&rig, "B> PUBLISH 1 qos 0 msg 0 \"y\"\n"));
    rig_broker_publish(&rig, "dm/gw", "x", 0, 0, 1); /* not one of them */
    CU_ASSERT_TRUE(rig_expect(&rig, "A> REGISTER 1 dm/gw msg 1 !9\n"));
    rig_fini(&rig);
}

static void
the_foreign_packet_id_is_never_used(void)
{
    struct rig rig;
    unsigned id = 0;
    unsigned highest = 0;

    begin(&rig);
    rig_device(&rig, 'A', "aaa", false);
    rig_register(&rig, 'A', "t/1", 1);
    rig_clear(&rig);
    for (unsigned i = 0; i < 65536; i++) {
        rig_publish(&rig, 'A', 1, 1, (uint16_t)(i % 60000 + 1), "x");
        const char *pid = strstr(rig.text, "pid ");

        if (pid == NULL || sscanf(pid, "pid %u", &id) != 1 || id == ENGINE_FOREIGN_PACKET_ID)
            break;
        highest = id > highest ? id : highest;
        rig_broker_answer(&rig, MQTT_PUBACK, (uint16_t)id, 0);
        rig_clear(&rig);
    }
    CU_ASSERT_EQUAL(highest, ENGINE_FOREIGN_PACKET_ID - 1);
    CU_ASSERT_EQUAL(id, 2); /* it went round */
    rig_fini(&rig);
}

static const struct unit_test tests[] = {
    UNIT_TEST(a_session_is_told_when_it_changes_and_not_too_often),
    UNIT_TEST(a_sign_of_life_alone_is_told_at_the_slower_pace),
    UNIT_TEST(an_end_is_told_once_and_only_of_what_was_told),
    UNIT_TEST(end_of_what_was_half_told_is_told),
    UNIT_TEST(after_a_start_the_end_of_every_stored_session_is_told),
    UNIT_TEST(what_could_not_be_told_waits_with_all_behind_it),
    UNIT_TEST(ends_beyond_the_bound_are_not_told_but_owned_up_to),
    UNIT_TEST(a_contact_of_an_earlier_process_is_remembered),
    UNIT_TEST(nothing_is_tracked_without_status_topics),
    UNIT_TEST(own_topics_come_by_their_name_and_by_no_wildcard),
    UNIT_TEST(the_foreign_packet_id_is_never_used),
};

UNIT_MAIN("engine_changes", tests)
