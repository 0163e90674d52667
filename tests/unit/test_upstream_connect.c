/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of a connection attempt: URL, back-off, version, options, CONNACK. */
#include "upstream_target.h"

#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
url_is_split_into_host_and_port(void)
{
    static const char *const good[][3] = {
        {"mqtt://localhost", "localhost", "1883"},
        {"mqtt://broker-1.example:65535", "broker-1.example", "65535"},
        {"mqtt://10.0.0.7:1884", "10.0.0.7", "1884"},
        {"mqtt://[::1]", "::1", "1883"},
        {"mqtt://[fe80::1%eth0]:18830", "fe80::1%eth0", "18830"},
        {"mqtts://localhost", "localhost", "8883"},
        {"mqtts://[::1]:1", "::1", "1"},
        {"mqtt+unix:///run/broker", "/run/broker", ""},
    };
    static const char *const bad[] = {
        "",
        "localhost",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://a:",
        "mqtt://a:0",
        "mqtt://a:65536",
        "mqtt://a:1x",
        "mqtt://a:+1",
        "mqtt://a/b",
        "mqtt://u:p@a",
        "mqtt://a b",
        "mqtt://::1",
        "mqtt://[::1",
        "mqtt://[::1]1883",
        "mqtt://[]",
        "ws://a",
        "mqtt://a:123456",
        "mqtt://a%b",
        "mqtts://",
        "mqttss://a",
        "mqtt+unix:/run/broker",
    };
    struct upstream_broker broker;
    char error[100];

    for (size_t i = 0; i < COUNT(good); i++) {
        CU_ASSERT_EQUAL(upstream_url_parse(good[i][0], &broker, error, sizeof error), DM_OK);
        CU_ASSERT_STRING_EQUAL(broker.host, good[i][1]);
        CU_ASSERT_STRING_EQUAL(broker.port, good[i][2]);
        CU_ASSERT_EQUAL(broker.tls, good[i][0][4] == 's');
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        CU_ASSERT_EQUAL(upstream_url_parse(bad[i], &broker, error, sizeof error), DM_INVALID);
    CU_ASSERT_STRING_EQUAL(error, "the broker's URL is not mqtt://host[:port], "
                                  "mqtts://host[:port] or mqtt+unix:///path");
    CU_ASSERT_EQUAL(upstream_url_parse("mqtt+unix://x", &broker, error, sizeof error), DM_INVALID);
    CU_ASSERT_STRING_EQUAL(error, "the path of the broker's socket is not absolute or too long");
}

static void
url_with_too_long_host_is_refused(void)
{
    struct upstream_broker broker;
    char url[300] = "mqtt://", error[100];

    memset(url + 7, 'a', 253);
    CU_ASSERT_EQUAL(upstream_url_parse(url, &broker, error, sizeof error), DM_OK);
    url[7 + 253] = 'a';
    CU_ASSERT_EQUAL(upstream_url_parse(url, &broker, error, sizeof error), DM_INVALID);
}

static void
backoff_doubles_from_half_a_second_to_thirty_with_jitter(void)
{
    static const uint32_t middle[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};

    for (unsigned i = 0; i < COUNT(middle); i++) {
        uint32_t spread = middle[i] * 2 / 5, low = UINT32_MAX, high = 0;
        for (uint32_t random = 0; random <= spread; random++) {
            uint32_t delay = upstream_backoff_ms(i + 1, random);
            low = delay < low ? delay : low;
            high = delay > high ? delay : high;
        }
        CU_ASSERT_EQUAL(low, middle[i] - middle[i] / 5);
        CU_ASSERT_EQUAL(high, middle[i] + middle[i] / 5);
    }
    CU_ASSERT_TRUE(upstream_backoff_ms(UINT32_MAX, UINT32_MAX) <= 36000);
}

static void
round_goes_through_all_brokers_before_the_back_off_grows(void)
{
    const char *urls[] = {"mqtt://a", "mqtts://b", "mqtt+unix:///c"};
    struct upstream_options options = {.urls = urls, .url_count = 3};
    struct upstream_targets targets;
    char error[100];

    CU_ASSERT_EQUAL(upstream_targets_init(&targets, &options, error, sizeof error), DM_OK);
    for (unsigned round = 1; round <= 3; round++) {
        CU_ASSERT_STRING_EQUAL(upstream_target(&targets)->url, "mqtt://a");
        CU_ASSERT_TRUE(upstream_targets_failed(&targets, false, UINT32_MAX) < 200);
        CU_ASSERT_STRING_EQUAL(upstream_target(&targets)->url, "mqtts://b");
        CU_ASSERT_TRUE(upstream_targets_failed(&targets, false, UINT32_MAX) < 200);
        CU_ASSERT_STRING_EQUAL(upstream_target(&targets)->url, "mqtt+unix:///c");
        CU_ASSERT_EQUAL(upstream_targets_failed(&targets, false, 7), upstream_backoff_ms(round, 7));
    }
    CU_ASSERT_TRUE(upstream_targets_failed(&targets, false, UINT32_MAX) < 200);
    /* One that had worked is the end of a round: it begins with the first again. */
    CU_ASSERT_EQUAL(upstream_targets_failed(&targets, true, 7), upstream_backoff_ms(1, 7));
    CU_ASSERT_STRING_EQUAL(upstream_target(&targets)->url, "mqtt://a");
    upstream_targets_fini(&targets);
}

static void
member_backs_off_however_many_brokers_there_are(void)
{
    const char *urls[] = {"mqtt://a", "mqtts://b"};
    struct upstream_options options = {.urls = urls, .url_count = 2};
    struct upstream_targets targets;
    char error[100];

    CU_ASSERT_EQUAL(upstream_targets_init(&targets, &options, error, sizeof error), DM_OK);
    for (unsigned failure = 1; failure <= 5; failure++) {
        targets.current = failure % 2; /* wherever it went */
        CU_ASSERT_EQUAL(upstream_member_failed(&targets, false, 7),
                        upstream_backoff_ms(failure, 7));
        CU_ASSERT_EQUAL(targets.current, failure % 2);
    }
    CU_ASSERT_EQUAL(upstream_member_failed(&targets, true, 7), upstream_backoff_ms(1, 7));
    upstream_targets_fini(&targets);
}

static void
number_of_brokers_is_limited(void)
{
    const char *urls[UPSTREAM_URLS_MAX + 1];
    struct upstream_options options = {.urls = urls, .url_count = COUNT(urls)};
    struct upstream_targets targets;
    char error[100];

    for (size_t i = 0; i < COUNT(urls); i++)
        urls[i] = "mqtt://a";
    CU_ASSERT_EQUAL(upstream_targets_init(&targets, &options, error, sizeof error), DM_INVALID);
    CU_ASSERT_STRING_EQUAL(error, "1 to 8 URLs of brokers are needed");
    options.url_count = 0;
    CU_ASSERT_EQUAL(upstream_targets_init(&targets, &options, error, sizeof error), DM_INVALID);
    options.url_count = 2;
    urls[1] = "x";
    CU_ASSERT_EQUAL(upstream_targets_init(&targets, &options, error, sizeof error), DM_INVALID);
    upstream_targets_fini(&targets);
}

static void
version_auto_alternates_until_one_is_proven(void)
{
    struct upstream_version version;

    upstream_version_init(&version, 0);
    CU_ASSERT_EQUAL(version.current, MQTT_5);
    CU_ASSERT_TRUE(upstream_version_refused(&version, false));
    CU_ASSERT_EQUAL(version.current, MQTT_3_1_1);
    CU_ASSERT_FALSE(upstream_version_refused(&version, false));
    upstream_version_failed(&version);
    CU_ASSERT_EQUAL(version.current, MQTT_5);
}

static void
version_proven_survives_silence_but_not_a_refusal_by_name(void)
{
    struct upstream_version version;

    upstream_version_init(&version, 0);
    version.proven = true;
    CU_ASSERT_FALSE(upstream_version_refused(&version, false));
    upstream_version_failed(&version);
    CU_ASSERT_EQUAL(version.current, MQTT_5);
    CU_ASSERT_TRUE(upstream_version_refused(&version, true));
    CU_ASSERT_EQUAL(version.current, MQTT_3_1_1);
    version.proven = true;
    upstream_version_failed(&version);
    CU_ASSERT_EQUAL(version.current, MQTT_3_1_1);
    CU_ASSERT_FALSE(upstream_version_refused(&version, true));
    upstream_version_failed(&version);
    CU_ASSERT_EQUAL(version.current, MQTT_5);
}

static void
version_fixed_never_changes(void)
{
    struct upstream_version version;

    upstream_version_init(&version, MQTT_5);
    CU_ASSERT_FALSE(upstream_version_refused(&version, true));
    CU_ASSERT_EQUAL(version.current, MQTT_5);
    upstream_version_init(&version, MQTT_3_1_1);
    CU_ASSERT_FALSE(upstream_version_refused(&version, true));
    upstream_version_failed(&version);
    CU_ASSERT_EQUAL(version.current, MQTT_3_1_1);
}

static void
connack_codes_of_311_have_the_meaning_of_5(void)
{
    static const uint8_t reasons[] = {0x00, 0x84, 0x85, 0x88, 0x86, 0x87, 0x80};

    for (uint8_t i = 0; i < COUNT(reasons); i++) {
        struct mqtt_packet connack = {.type = MQTT_CONNACK, .reason = i};
        CU_ASSERT_EQUAL(upstream_connack_reason(MQTT_3_1_1, &connack), reasons[i]);
        CU_ASSERT_EQUAL(upstream_connack_reason(MQTT_5, &connack), i);
    }
}

static void
options_are_copied_with_defaults(void)
{
    char client_id[] = "gw1";
    struct upstream_options options = {
        .client_id = client_id, .password = "secret", .tls.ca_file = "/ca"};
    struct upstream_options copy;

    CU_ASSERT_EQUAL(upstream_options_copy(&copy, &options), DM_OK);
    client_id[0] = 'x';
    CU_ASSERT_STRING_EQUAL(copy.client_id, "gw1");
    CU_ASSERT_PTR_NULL(copy.username);
    CU_ASSERT_STRING_EQUAL(copy.tls.ca_file, "/ca");
    CU_ASSERT_PTR_NULL(copy.tls.key_file);
    CU_ASSERT_STRING_EQUAL(copy.password, "secret");
    CU_ASSERT_EQUAL(copy.maximum_packet, 1024 * 1024);
    upstream_options_free(&copy);
}

static const struct unit_test tests[] = {
    UNIT_TEST(url_is_split_into_host_and_port),
    UNIT_TEST(url_with_too_long_host_is_refused),
    UNIT_TEST(backoff_doubles_from_half_a_second_to_thirty_with_jitter),
    UNIT_TEST(round_goes_through_all_brokers_before_the_back_off_grows),
    UNIT_TEST(member_backs_off_however_many_brokers_there_are),
    UNIT_TEST(number_of_brokers_is_limited),
    UNIT_TEST(version_auto_alternates_until_one_is_proven),
    UNIT_TEST(version_proven_survives_silence_but_not_a_refusal_by_name),
    UNIT_TEST(version_fixed_never_changes),
    UNIT_TEST(connack_codes_of_311_have_the_meaning_of_5),
    UNIT_TEST(options_are_copied_with_defaults),
};

UNIT_MAIN("upstream_connect", tests)
