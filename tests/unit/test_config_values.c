/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration that have a form of their own: which are taken, which are refused. */
#include "unit.h"

#include <stdio.h>

#include "config_fixture.h"
#include "config_values.h"

static void
topic_ids_out_of_range_are_refused(void)
{
    static const char *const ids[] = {"0", "65535", "07", "x", "", "1 2", "99999999999999999999"};
    struct config_fixture fixture;
    char text[128], wanted[256];
    config_fixture_init(&fixture);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        snprintf(text, sizeof(text), "[udp x]\ntopics.%s = t\n", ids[i]);
        config_fixture_load_text(&fixture, text);
        snprintf(wanted, sizeof(wanted),
                 "E main.ini:2: [udp x] topics.%s: \"%s\" is no pre-defined topic id: 1 .. 65534\n",
                 ids[i], ids[i]);
        check_text(fixture.reports, wanted);
    }
    config_fixture_fini(&fixture);
}

static void
urls_and_endpoints_of_wrong_form_are_refused(void)
{
    static const char *const urls[] = {"mqtt://",        "mqtt://:1",   "mqtt://h:",  "mqtt://h:0",
                                       "mqtt://h:65536", "mqtt://[::1", "mqtt://a@b", "mqtt://h/",
                                       "mqtt://[h]:1",   "tcp://h",     "h:1883"};
    static const char *const endpoints[] = {"",
                                            "1.2.3.4",
                                            "1.2.3.4:",
                                            "1.2.3.4:x",
                                            "::1:1883",
                                            "[::1]",
                                            "[::1]x:1",
                                            "[1.2.3.4]:1",
                                            "127.1:1",
                                            "1.2.3.4:65536",
                                            "[::1%no-such-link]:1"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        CU_ASSERT_PTR_NOT_NULL(config_check_url(urls[i]));
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
        CU_ASSERT_PTR_NOT_NULL(config_check_endpoint(endpoints[i]));
    CU_ASSERT_PTR_NULL(config_check_url("mqtt://broker.local"));
    CU_ASSERT_PTR_NULL(config_check_endpoint("[fe80::1%lo]:0"));
}

static void
multicast_groups_of_wrong_form_are_refused(void)
{
    static const char *const bad[] = {
        "",
        "225.1.1.1",
        "225.1.1.1:0",
        "225.1.1.1:65536",
        "223.255.255.255:1883",
        "240.0.0.0:1883",
        "ff1e::1:1883",
        "[fe80::1%lo]:1883",
        "[feff::1]:1883",
        "[ff::1]:1883",
        "[::ffff:225.1.1.1]:1883",
    };
    static const char *const good[] = {"224.0.0.0:1", "239.255.255.255:65535", "[FF02::1]:1883",
                                       "[ff02::1%lo]:1883"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_PTR_NOT_NULL(config_check_group(bad[i]));
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CU_ASSERT_PTR_NULL(config_check_group(good[i]));
}

static void
interface_names_of_wrong_form_are_refused(void)
{
    static const char *const bad[] = {"", "abcdefghijklmnop", "a/b", "a:1", "a b", "a\tb", "\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_PTR_NOT_NULL(config_check_interface(bad[i]));
    CU_ASSERT_PTR_NULL(config_check_interface("abcdefghijklmno"));
    CU_ASSERT_PTR_NULL(config_check_interface("eth0.7"));
}

static void
advertise_of_zero_is_never(void)
{
    static const char *const texts[] = {"0", "0s", "0ms", "never"};
    struct config_fixture fixture;
    char text[64];
    config_fixture_init(&fixture);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        snprintf(text, sizeof(text), "[gateway]\nadvertise = %s\n[udp x]\n", texts[i]);
        config_fixture_load_text(&fixture, text);
        check_text(fixture.reports, "");
        CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
        CU_ASSERT_EQUAL(fixture.config->advertise_ms, CONFIG_NEVER);
    }
    config_fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(topic_ids_out_of_range_are_refused),
    UNIT_TEST(urls_and_endpoints_of_wrong_form_are_refused),
    UNIT_TEST(multicast_groups_of_wrong_form_are_refused),
    UNIT_TEST(interface_names_of_wrong_form_are_refused),
    UNIT_TEST(advertise_of_zero_is_never),
};

UNIT_MAIN("config values", tests)
