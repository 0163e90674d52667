/* SPDX-License-Identifier: Apache-2.0 */
/* [client PATTERN] sections: their order, their patterns, and pre-defined topics with %c. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "config_fixture.h"
#include "config_values.h"

/* Loads one file that must be accepted without a word. */
static const struct config *
load(struct config_fixture *fixture, const char *text)
{
    config_fixture_init(fixture);
    config_fixture_load_text(fixture, text);
    check_text(fixture->reports, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->config);
    return fixture->config;
}

static void
clients_keep_the_order_of_the_file(void)
{
    struct config_fixture fixture;
    const struct config *config =
        load(&fixture, "[client z-1]\ntopics.2 = b\ntopics.1 = a\n[udp x]\n[client *]\n"
                       "topics.1 = every/%c\n[client a]\n");
    CU_ASSERT_EQUAL_FATAL(config->client_count, 3);
    CU_ASSERT_STRING_EQUAL(config->clients[0].pattern, "z-1");
    CU_ASSERT_STRING_EQUAL(config->clients[1].pattern, "*");
    CU_ASSERT_STRING_EQUAL(config->clients[2].pattern, "a");
    CU_ASSERT_EQUAL_FATAL(config->clients[0].topics.count, 2);
    CU_ASSERT_EQUAL(config->clients[0].topics.items[0].id, 1);
    CU_ASSERT_STRING_EQUAL(config->clients[0].topics.items[1].name, "b");
    CU_ASSERT_EQUAL_FATAL(config->clients[1].topics.count, 1);
    CU_ASSERT_STRING_EQUAL(config->clients[1].topics.items[0].name, "every/%c");
    CU_ASSERT_EQUAL(config->clients[2].topics.count, 0);
    CU_ASSERT_EQUAL(config->topics.count, 0);
    config_fixture_fini(&fixture);
}

/* A report is one line that any terminal can show. */
static void
pattern_that_is_not_ascii_is_escaped_in_reports(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture, "[udp x]\n[client p\xc3\xbcmp]\nnothing = 1\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(fixture.reports, "[client p\\xc3\\xbcmp] nothing: "));
    CU_ASSERT_PTR_NULL(strchr(fixture.reports, '\xc3'));
    config_fixture_fini(&fixture);
}

static void
sections_of_the_same_pattern_are_one_at_the_place_of_the_first(void)
{
    static const char fragment[] = "[client b]\ntopics.4 = four\n[client a*]\ntopics.1 = later\n";
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_write(&fixture, "conf.d/a.ini", 0600, fragment, strlen(fragment));
    config_fixture_load_text(&fixture, "[udp x]\n[client a*]\ntopics.1 = one\n[client b]\n"
                                       "topics.3 = three\n[client a*]\ntopics.2 = two\n");
    check_text(fixture.reports, "");
    const struct config *config = fixture.config;
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_EQUAL_FATAL(config->client_count, 2);
    CU_ASSERT_STRING_EQUAL(config->clients[0].pattern, "a*");
    CU_ASSERT_EQUAL_FATAL(config->clients[0].topics.count, 2);
    CU_ASSERT_STRING_EQUAL(config->clients[0].topics.items[0].name, "later");
    CU_ASSERT_STRING_EQUAL(config->clients[0].topics.items[1].name, "two");
    CU_ASSERT_EQUAL_FATAL(config->clients[1].topics.count, 2);
    CU_ASSERT_STRING_EQUAL(config->clients[1].topics.items[1].name, "four");
    config_fixture_fini(&fixture);
}

static void
topic_given_twice_in_sections_of_the_same_pattern_is_refused(void)
{
    check_reports("[udp x]\n[client a]\ntopics.1 = a\n[client b]\ntopics.1 = b\n[client a]\n"
                  "topics.1 = c\n",
                  "E main.ini:7: [client a] topics.1: given twice\n");
}

/* The name of a client may be what the name of a link may not. */
static void
pattern_with_spaces_wildcards_and_umlauts_is_accepted(void)
{
    struct config_fixture fixture;
    const struct config *config =
        load(&fixture, "[udp x]\n[client  Pumpe ?\xc3\xbc/+#* ]\ntopics.1 = a\n");
    CU_ASSERT_EQUAL_FATAL(config->client_count, 1);
    CU_ASSERT_STRING_EQUAL(config->clients[0].pattern, "Pumpe ?\xc3\xbc/+#*");
    config_fixture_fini(&fixture);
}

static void
bad_pattern_is_refused_and_its_keys_go_nowhere(void)
{
    check_reports(
        "[udp x]\n[client a\x01]\nnonsense = 1\n[client a\tb]\n[client \xff]\n[client ]\n",
        "E main.ini:2: [client a\\x01]: needs a name, as in [client pump-*]; this one "
        "has control characters\n"
        "E main.ini:4: [client a\\x09b]: needs a name, as in [client pump-*]; this one "
        "has control characters\n"
        "E main.ini:5: [client \\xff]: needs a name, as in [client pump-*]; this one is "
        "not valid UTF-8\n"
        "E main.ini:6: [client]: needs a name, as in [client pump-*]\n");
    CU_ASSERT_PTR_NOT_NULL(config_check_pattern(""));
    CU_ASSERT_PTR_NOT_NULL(config_check_pattern("a\x7f"));
    CU_ASSERT_PTR_NOT_NULL(config_check_pattern("\xc2\x9f"));
    CU_ASSERT_PTR_NULL(config_check_pattern("\xc2\xa0"));
}

static void
topic_with_a_percent_sign_that_is_not_c_is_refused(void)
{
    check_reports("[udp x]\n[client a]\ntopics.1 = 100%\ntopics.2 = a/%%c\ntopics.3 = %C\n"
                  "topics.4 = %c%c/%c\ntopics.5 = %c\n",
                  "E main.ini:3: [client a] topics.1: \"100%\" has a % that is not %c\n"
                  "E main.ini:4: [client a] topics.2: \"a/%%c\" has a % that is not %c\n"
                  "E main.ini:5: [client a] topics.3: \"%C\" has a % that is not %c\n");
}

/* Outside of [client] there is no client id, and the sign means nothing. */
static void
percent_sign_of_other_sections_stays_as_it_is(void)
{
    struct config_fixture fixture;
    const struct config *config = load(&fixture, "[udp x]\ntopics.1 = 100%\n[topics]\n2 = a/%c\n");
    CU_ASSERT_EQUAL_FATAL(config->links[0].topics.count, 1);
    CU_ASSERT_STRING_EQUAL(config->links[0].topics.items[0].name, "100%");
    CU_ASSERT_EQUAL_FATAL(config->topics.count, 1);
    CU_ASSERT_STRING_EQUAL(config->topics.items[0].name, "a/%c");
    config_fixture_fini(&fixture);
}

static void
bad_topic_of_a_client_is_refused(void)
{
    check_reports(
        "[udp x]\n[client a]\ntopics.1 =\ntopics.2 = %c/#\ntopics.3 = %c/\xff\n"
        "topics.0 = a\ntopics.65535 = a\ntopics.x = a\n",
        "E main.ini:3: [client a] topics.1: \"\" is no valid topic name\n"
        "E main.ini:4: [client a] topics.2: \"%c/#\" contains a wildcard\n"
        "E main.ini:5: [client a] topics.3: \"%c/\\xff\" is no valid topic name\n"
        "E main.ini:6: [client a] topics.0: \"0\" is no pre-defined topic id: 1 .. 65534\n"
        "E main.ini:7: [client a] topics.65535: \"65535\" is no pre-defined topic id: "
        "1 .. 65534\n"
        "E main.ini:8: [client a] topics.x: \"x\" is no pre-defined topic id: 1 .. "
        "65534\n");
}

static void
own_connections_and_their_credentials_are_taken(void)
{
    struct config_fixture fixture;
    const struct config *config =
        load(&fixture, "[udp x]\n[client a]\nupstream = own\nusername = a\npassword = pw\n"
                       "[client b]\nupstream = own\nhold = gateway\nwill = broker\n[client c]\n");
    CU_ASSERT_STRING_EQUAL(config->clients[0].settings.upstream, "own");
    CU_ASSERT_STRING_EQUAL(config->clients[0].username, "a");
    CU_ASSERT_STRING_EQUAL(config->clients[0].password, "pw");
    CU_ASSERT_STRING_EQUAL(config->clients[1].settings.hold, "gateway");
    CU_ASSERT_STRING_EQUAL(config->clients[1].settings.will, "broker");
    CU_ASSERT_PTR_NULL(config->clients[1].username);
    CU_ASSERT_STRING_EQUAL(config->clients[2].settings.upstream, "shared");
    CU_ASSERT_PTR_NULL(config->username);
    CU_ASSERT_PTR_NULL(config->password);
    config_fixture_fini(&fixture);
}

static void
credentials_without_an_own_connection_are_refused(void)
{
    check_reports("[udp x]\n[client a]\nusername = a\npassword = pw\n[client b]\nhold = gateway\n",
                  "E main.ini:3: [client a] username: needs upstream = own\n"
                  "E main.ini:4: [client a] password: needs upstream = own\n"
                  "E main.ini:6: [client b] hold: needs upstream = own\n");
    check_reports("[udp x]\n[sessions]\nupstream = own\n[client a]\nusername = a\n", "");
    check_reports("[udp x]\n[sessions]\nhold = gateway\n[client a]\nupstream = own\n", "");
    check_reports("[udp x]\n[client a]\nupstream = own\npassword = pw\n",
                  "E main.ini:4: [client a] password: needs a username\n");
    check_reports("[udp x]\n[client a]\nupstream = own\nusername = u\npassword_file = /none\n",
                  "E main.ini:5: [client a] password_file: cannot be read: No such file or "
                  "directory\n");
}

/* Also if [sessions] comes later. */
static void
client_has_the_settings_of_sessions_but_for_its_own(void)
{
    struct config_fixture fixture;
    const struct config *config =
        load(&fixture, "[udp x]\n[client a]\nretry = 5s\noverflow = latest\ntolerance = 3\n"
                       "[client b]\n[sessions]\nretry = 7s\noverflow = drop_newest\n"
                       "queue_messages = 9\nmax_age = 1h\nresume_ignores_clean = yes\n");
    const struct config_settings *a = &config->clients[0].settings;
    const struct config_settings *b = &config->clients[1].settings;
    CU_ASSERT_EQUAL(a->retry_ms, 5000);
    CU_ASSERT_STRING_EQUAL(a->overflow, "latest");
    CU_ASSERT_EQUAL(a->tolerance, 3);
    CU_ASSERT_EQUAL(a->queue_messages, 9);
    CU_ASSERT_EQUAL(a->max_age_ms, 3600000);
    CU_ASSERT_TRUE(a->resume_ignores_clean);
    CU_ASSERT_STRING_EQUAL(a->uplink_ack, "broker");
    CU_ASSERT_EQUAL(b->retry_ms, 7000);
    CU_ASSERT_STRING_EQUAL(b->overflow, "drop_newest");
    CU_ASSERT_EQUAL(b->tolerance, 1.5);
    CU_ASSERT_NOT_EQUAL(config->clients[0].own_settings, 0);
    CU_ASSERT_EQUAL(config->clients[1].own_settings, 0);
    config_fixture_fini(&fixture);
}

/* What is the default elsewhere is a choice in [client]. */
static void
client_can_go_back_to_the_default(void)
{
    struct config_fixture fixture;
    const struct config *config =
        load(&fixture, "[udp x]\n[sessions]\nmax_age = 1h\n[client a]\nmax_age = never\n");
    CU_ASSERT_EQUAL(config->clients[0].settings.max_age_ms, CONFIG_NEVER);
    config_fixture_fini(&fixture);
}

static void
bad_setting_of_a_client_is_refused(void)
{
    check_reports("[udp x]\n[client a]\nretry = 5\nmax_clients = 5\n",
                  "E main.ini:3: [client a] retry: \"5\" is no duration: a number and ms, s, m, h "
                  "or d\n"
                  "E main.ini:4: [client a] max_clients: unknown key\n");
}

static void
rights_of_a_client_are_read(void)
{
    struct config_fixture fixture;
    const struct config *config =
        load(&fixture, "[udp lan]\n[serial barn]\ndevice = /dev/b\n[client a]\npublish = a/%c/#\n"
                       "publish = b\nsubscribe = +/c\nlinks = lan, barn\n"
                       "address = serial:barn:01ab\n[client b]\n");
    const struct config_client *a = &config->clients[0], *b = &config->clients[1];
    CU_ASSERT_EQUAL_FATAL(a->publish.count, 2);
    CU_ASSERT_STRING_EQUAL(a->publish.items[0], "a/%c/#");
    CU_ASSERT_STRING_EQUAL(a->publish.items[1], "b");
    CU_ASSERT_EQUAL_FATAL(a->subscribe.count, 1);
    CU_ASSERT_STRING_EQUAL(a->subscribe.items[0], "+/c");
    CU_ASSERT_EQUAL_FATAL(a->links.count, 2);
    CU_ASSERT_STRING_EQUAL(a->links.items[1], "barn");
    CU_ASSERT_STRING_EQUAL(a->address, "serial:barn:01ab");
    CU_ASSERT_TRUE(a->uses_client_id);
    CU_ASSERT_EQUAL(b->publish.count + b->subscribe.count + b->links.count, 0);
    CU_ASSERT_PTR_NULL(b->address);
    CU_ASSERT_FALSE(b->uses_client_id);
    CU_ASSERT_STRING_EQUAL(config->unknown_clients, "accept");
    config_fixture_fini(&fixture);
}

static void
client_id_is_used_by_topics_and_lists(void)
{
    static const char *const keys[] = {"topics.1 = %c", "publish = x/%c", "subscribe = x/%c/#",
                                       "topic_prefix = %c/"};
    struct config_fixture fixture;
    char text[64];
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        snprintf(text, sizeof(text), "[udp x]\n[client a]\n%s\n", keys[i]);
        CU_ASSERT_TRUE(load(&fixture, text)->clients[0].uses_client_id);
        config_fixture_fini(&fixture);
    }
}

static void
links_and_address_of_a_client_must_exist(void)
{
    check_reports("[client p-*]\nlinks = lan attic\naddress = udp:attic:1.2.3.4:5\n[udp lan]\n"
                  "[client q]\naddress = serial:lan:01\n[client r]\nlinks = lan\n"
                  "address = serial:barn:01\n[serial barn]\ndevice = /dev/b\n",
                  "E main.ini:2: [client p-*] links: \"attic\" is the name of no [udp] or [serial] "
                  "section\n"
                  "E main.ini:3: [client p-*] address: there is no such [udp] or [serial] section\n"
                  "E main.ini:6: [client q] address: there is no such [udp] or [serial] section\n"
                  "E main.ini:9: [client r] address: is on none of its links\n");
}

static void
address_has_the_form_of_its_link(void)
{
    static const char *const good[] = {
        "udp:a:1.2.3.4:5", "udp:a:[fe80::1%2]:5", "udp:a:1.2.3.4:5/", "udp:a:1.2.3.4:5/01ab",
        "serial:b:",       "serial:b:/",          "serial:b:01ab"};
    static const char *const bad[] = {"",
                                      "udp",
                                      "udp:a",
                                      "udp:a:",
                                      "udp:a:host:5",
                                      "udp::1.2.3.4:5",
                                      "udp:a:1.2.3.4:5/1",
                                      "udp:a:1.2.3.4:5/xy",
                                      "tcp:a:1.2.3.4:5",
                                      "serial:b",
                                      "serial:b:xy",
                                      "serial:/dev/b:01"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CU_ASSERT_PTR_NULL(config_check_address(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_PTR_NOT_NULL(config_check_address(bad[i]));
}

static void
rules_that_overlap_are_refused_with_their_lines(void)
{
    check_reports("[udp x]\n[map]\nrule = a/+ -> x/%1\nrule = b -> x/y\nrule = c->d\n"
                  "rule = a/b -> e\n",
                  "E main.ini:4: [map] rule: a topic can fall under \"a/+ -> x/%1\", too\n"
                  "E main.ini:6: [map] rule: a topic can fall under \"a/+ -> x/%1\", too\n");
}

static void
rules_and_prefix_are_read(void)
{
    struct config_fixture fixture;
    const struct config *config =
        load(&fixture, "[udp x]\n[map]\nrule = a/+ -> x/%1\nrule = b -> c\n"
                       "[client a]\ntopic_prefix = p/%c/\n[client b]\ntopic_prefix =\n");
    CU_ASSERT_EQUAL_FATAL(config->rules.count, 2);
    CU_ASSERT_STRING_EQUAL(config->rules.items[0], "a/+ -> x/%1");
    CU_ASSERT_STRING_EQUAL(config->clients[0].topic_prefix, "p/%c/");
    CU_ASSERT_PTR_NULL(config->clients[1].topic_prefix);
    config_fixture_fini(&fixture);
}

static void
bad_prefix_is_refused(void)
{
    check_reports("[udp x]\n[client a]\ntopic_prefix = p\n[client b]\ntopic_prefix = +/\n"
                  "[client c]\ntopic_prefix = $a/\n[client d]\ntopic_prefix = %d/\n",
                  "E main.ini:3: [client a] topic_prefix: \"p\" does not end in /\n"
                  "E main.ini:5: [client b] topic_prefix: \"+/\" contains a wildcard\n"
                  "E main.ini:7: [client c] topic_prefix: \"$a/\" begins with $\n"
                  "E main.ini:9: [client d] topic_prefix: \"%d/\" has a % that is not %c\n");
}

static void
more_than_10000_clients_are_refused(void)
{
    enum { LIMIT = 10000 };
    struct config_fixture fixture;
    char *text = malloc((LIMIT + 2) * 24);
    size_t used;
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    config_fixture_init(&fixture);
    used = (size_t)sprintf(text, "[udp x]\n");
    for (int i = 1; i <= LIMIT; i++)
        used += (size_t)sprintf(text + used, "[client d%d]\n", i);
    config_fixture_load_text(&fixture, text);
    check_text(fixture.reports, "");
    CU_ASSERT_EQUAL(fixture.config->client_count, LIMIT);
    sprintf(text + used, "[client more]\n[client d1]\n");
    config_fixture_load_text(&fixture, text);
    check_text(fixture.reports, "E main.ini:10002: more than 10000 [client] sections\n");
    free(text);
    config_fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(clients_keep_the_order_of_the_file),
    UNIT_TEST(pattern_that_is_not_ascii_is_escaped_in_reports),
    UNIT_TEST(sections_of_the_same_pattern_are_one_at_the_place_of_the_first),
    UNIT_TEST(topic_given_twice_in_sections_of_the_same_pattern_is_refused),
    UNIT_TEST(pattern_with_spaces_wildcards_and_umlauts_is_accepted),
    UNIT_TEST(bad_pattern_is_refused_and_its_keys_go_nowhere),
    UNIT_TEST(topic_with_a_percent_sign_that_is_not_c_is_refused),
    UNIT_TEST(percent_sign_of_other_sections_stays_as_it_is),
    UNIT_TEST(bad_topic_of_a_client_is_refused),
    UNIT_TEST(own_connections_and_their_credentials_are_taken),
    UNIT_TEST(credentials_without_an_own_connection_are_refused),
    UNIT_TEST(client_has_the_settings_of_sessions_but_for_its_own),
    UNIT_TEST(client_can_go_back_to_the_default),
    UNIT_TEST(bad_setting_of_a_client_is_refused),
    UNIT_TEST(rights_of_a_client_are_read),
    UNIT_TEST(client_id_is_used_by_topics_and_lists),
    UNIT_TEST(links_and_address_of_a_client_must_exist),
    UNIT_TEST(address_has_the_form_of_its_link),
    UNIT_TEST(rules_that_overlap_are_refused_with_their_lines),
    UNIT_TEST(rules_and_prefix_are_read),
    UNIT_TEST(bad_prefix_is_refused),
    UNIT_TEST(more_than_10000_clients_are_refused),
};

UNIT_MAIN("config clients", tests)
