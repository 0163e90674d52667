/* SPDX-License-Identifier: Apache-2.0 */
/* What a running gateway makes of a configuration that was read again. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "config_changes.h"
#include "config_fixture.h"

#define BASE "[udp lan]\n[serial barn]\ndevice = /dev/x\n[client a*]\ntopics.1 = one\n[client b]\n"

struct changes {
    char text[4096];
    size_t len;
};

static void
note(void *ctx, enum config_section section, bool restart, const char *what)
{
    struct changes *changes = ctx;

    (void)section;
    changes->len +=
        (size_t)snprintf(changes->text + changes->len, sizeof changes->text - changes->len,
                         "%s %s\n", restart ? "restart" : "now", what);
}

struct pair {
    struct config_fixture old, next;
    struct changes changes;
};

static const char *
compare(struct pair *pair)
{
    pair->changes = (struct changes){.len = 0};
    config_compare(pair->old.config, pair->next.config, note, &pair->changes);
    return pair->changes.text;
}

static void
load(struct pair *pair, const char *old, const char *next)
{
    config_fixture_init(&pair->old);
    config_fixture_init(&pair->next);
    config_fixture_load_text(&pair->old, old);
    config_fixture_load_text(&pair->next, next);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair->old.config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair->next.config);
}

static void
done(struct pair *pair)
{
    config_fixture_fini(&pair->old);
    config_fixture_fini(&pair->next);
}

static void
check_changes(const char *old, const char *next, const char *wanted)
{
    struct pair pair;

    load(&pair, old, next);
    check_text(compare(&pair), wanted);
    done(&pair);
}

static void
the_same_file_has_no_difference(void)
{
    check_changes(BASE, BASE, "");
}

static void
every_kind_of_value_is_compared(void)
{
    check_changes(BASE,
                  BASE "[sessions]\nretry = 11s\ntolerance = 2\noverflow = latest\n"
                       "resume_ignores_clean = yes\n[gateway]\nstate_dir = /x\n"
                       "[broker]\nusername = u\n[topics]\n7 = x\n[udp lan]\nforwarders = 10.0.0.1\n"
                       "listen = 0.0.0.0:1\n[serial barn]\nframing = slip\n",
                  "restart [gateway] state_dir\n"
                  "now [broker] username\n"
                  "now [sessions] overflow\n"
                  "now [sessions] retry\n"
                  "now [sessions] tolerance\n"
                  "now [sessions] resume_ignores_clean\n"
                  "now [topics] N\n"
                  "restart [udp lan] listen\n"
                  "restart [udp lan] forwarders\n"
                  "restart [serial barn] framing\n");
    check_changes(BASE "[topics]\n7 = x\n", BASE "[topics]\n7 = y\n", "now [topics] N\n");
    check_changes(BASE "[broker]\nusername = u\n", BASE, "now [broker] username\n");
}

static void
links_and_clients_are_found_by_their_names(void)
{
    check_changes(BASE,
                  "[client b]\n[client c]\n[client a*]\ntopics.1 = two\n[serial barn]\n"
                  "device = /dev/x\nadvertise = yes\n[udp roof]\nlisten = 0.0.0.0:2\n",
                  "restart [udp lan] (removed)\n"
                  "now [serial barn] advertise\n"
                  "restart [udp roof] (new)\n"
                  "now [client b] (moved)\n"
                  "now [client c] (new)\n"
                  "now [client a*]\n");
    check_changes(BASE, "[udp lan]\n[serial barn]\ndevice = /dev/x\n[client b]\n",
                  "now [client a*] (removed)\nnow [client b] (moved)\n");
}

static void
settings_of_a_client_are_its_own_or_inherited(void)
{
    check_changes(BASE, BASE "[client b]\nretry = 12s\n", "now [client b]\n");
    check_changes(BASE, BASE "[client b]\nretry = 10s\n", "now [client b]\n"); /* pinned now */
    check_changes(BASE, BASE "[sessions]\nretry = 12s\n", "now [sessions] retry\n");
    check_changes(BASE "[client b]\nretry = 1s\n", BASE "[client b]\nretry = 2s\n",
                  "now [client b]\n");
}

static void
a_prefix_that_changes_keeps_all_clients_as_they_are(void)
{
    struct pair pair;

    check_changes(BASE "[client p]\ntopic_prefix = x/\n",
                  BASE "[client p]\ntopic_prefix = x/\nretry = 2s\n", "now [client p]\n");
    check_changes(BASE "[client p]\ntopic_prefix = x/\n", BASE "[client p]\ntopic_prefix = y/\n",
                  "restart [client p]\n");
    check_changes(BASE "[client p]\ntopic_prefix = x/\n", BASE "[client q]\n",
                  "restart [client p] (removed)\nrestart [client q] (new)\n");
    load(&pair, BASE "[client p]\ntopic_prefix = x/\n[client own]\nretry = 3s\n",
         BASE "[client q]\n[sessions]\nretry = 12s\n");
    CU_ASSERT_EQUAL(config_adopt(pair.old.config, pair.next.config), DM_OK);
    const struct config *next = pair.next.config;

    CU_ASSERT_EQUAL_FATAL(next->client_count, 4);
    CU_ASSERT_STRING_EQUAL(next->clients[2].topic_prefix, "x/");
    CU_ASSERT_EQUAL(next->clients[2].settings.retry_ms, 12000); /* of [sessions], which is live */
    CU_ASSERT_EQUAL(next->clients[3].settings.retry_ms, 3000);
    done(&pair);
}

static void
what_is_adopted_has_the_live_values_and_the_old_fixed_ones(void)
{
    struct pair pair;

    load(&pair, BASE,
         "[serial attic]\ndevice = /dev/y\n[serial barn]\ndevice = /dev/z\nadvertise = yes\n"
         "[gateway]\nid = 9\n[sessions]\nretry = 11s\n[client c]\n");
    struct config *old = pair.old.config, *next = pair.next.config;
    const char *state_dir = old->state_dir, *name = old->links[1].name;
    char *before = strdup(compare(&pair));

    CU_ASSERT_EQUAL(config_adopt(old, next), DM_OK);
    CU_ASSERT_EQUAL(next->gateway_id, 1);
    CU_ASSERT_EQUAL(next->settings.retry_ms, 11000);
    CU_ASSERT_PTR_EQUAL(next->state_dir, state_dir); /* who borrowed it may go on */
    CU_ASSERT_EQUAL_FATAL(next->link_count, 2);
    CU_ASSERT_STRING_EQUAL(next->links[0].name, "lan");
    CU_ASSERT_STRING_EQUAL(next->links[0].listen.items[0], "0.0.0.0:1883");
    CU_ASSERT_PTR_EQUAL(next->links[1].name, name);
    CU_ASSERT_STRING_EQUAL(next->links[1].device, "/dev/x");
    CU_ASSERT_TRUE(next->links[1].advertise);
    CU_ASSERT_EQUAL_FATAL(next->client_count, 1);
    CU_ASSERT_STRING_EQUAL(next->clients[0].pattern, "c");

    /* Read once more, only what needs a restart is different still. */
    config_free(old);
    pair.old.config = next;
    pair.next.config = NULL;
    config_fixture_load_text(&pair.next,
                             "[serial attic]\ndevice = /dev/y\n[serial barn]\ndevice = /dev/z\n"
                             "advertise = yes\n[gateway]\nid = 9\n[sessions]\nretry = 11s\n"
                             "[client c]\n");
    check_text(compare(&pair), "restart [gateway] id\n"
                               "restart [udp lan] (removed)\n"
                               "restart [serial barn] device\n"
                               "restart [serial attic] (new)\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(before, "now [sessions] retry\n"));
    free(before);
    done(&pair);
}

static const struct unit_test tests[] = {
    UNIT_TEST(the_same_file_has_no_difference),
    UNIT_TEST(every_kind_of_value_is_compared),
    UNIT_TEST(links_and_clients_are_found_by_their_names),
    UNIT_TEST(settings_of_a_client_are_its_own_or_inherited),
    UNIT_TEST(a_prefix_that_changes_keeps_all_clients_as_they_are),
    UNIT_TEST(what_is_adopted_has_the_live_values_and_the_old_fixed_ones),
};

UNIT_MAIN("config_changes", tests)
