/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of dormouse pub, sub, search and fleet. */
#include <stdio.h>
#include <string.h>

#include <dormouse/client.h>

#include "options.h"
#include "options_table.h"
#include "unit.h"

#define WORDS_MAX 96

static struct options options;
static char error[256];

/* Parses the words of `line`, which are separated by one blank each. Texts live until the next
 * call. */
static enum dm_result
parse(enum options_command command, const char *line)
{
    static char copy[2048];
    static char *words[WORDS_MAX + 1];
    int count = 0;
    char *rest = copy;

    snprintf(copy, sizeof copy, "command %s", line);
    while (count < WORDS_MAX && (words[count] = strsep(&rest, " ")) != NULL)
        count++;
    words[count] = NULL;
    error[0] = '\0';
    return options_parse(&options, command, count, words, error, sizeof error);
}

/* True if the line is refused in one line of text that contains `reason`. */
static bool
refused(enum options_command command, const char *line, const char *reason)
{
    bool as_expected = parse(command, line) == DM_INVALID && strstr(error, reason) != NULL &&
                       strchr(error, '\n') == NULL;

    if (!as_expected)
        printf("\n'%s' gives '%s'\n", line, error);
    return as_expected;
}

static void
shortest_pub_has_documented_defaults(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "-t a/b -m hello"), DM_OK);
    CU_ASSERT_STRING_EQUAL(options.host, "localhost");
    CU_ASSERT_EQUAL(options.port, 1883);
    CU_ASSERT_PTR_NULL(options.serial);
    CU_ASSERT_EQUAL(options.baud, 115200);
    CU_ASSERT_STRING_EQUAL(options.framing, "raw");
    CU_ASSERT_EQUAL(options.node_id_len, 0);
    CU_ASSERT_EQUAL(strncmp(options.client_id, "dormouse-pub-", 13), 0);
    CU_ASSERT_TRUE(options.clean_session);
    CU_ASSERT_TRUE(options.connect);
    CU_ASSERT_TRUE(options.disconnect);
    CU_ASSERT_EQUAL(options.keepalive_s, 60);
    CU_ASSERT_EQUAL(options.retry_ms, 10000);
    CU_ASSERT_EQUAL(options.retry_count, 3);
    CU_ASSERT_EQUAL(options.qos, 0);
    CU_ASSERT_FALSE(options.retain);
    CU_ASSERT_EQUAL(options.timeout_ms, 0);
    CU_ASSERT_EQUAL(options.source, OPTIONS_SOURCE_TEXT);
    CU_ASSERT_STRING_EQUAL(options.message, "hello");
    CU_ASSERT_EQUAL(options.topic_count, 1);
    CU_ASSERT_EQUAL(options.topics[0].type, MQTTSN_TOPIC_NORMAL);
    CU_ASSERT_STRING_EQUAL(options.topics[0].name, "a/b");
}

static void
shortest_sub_has_documented_defaults(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t a/#"), DM_OK);
    CU_ASSERT_EQUAL(strncmp(options.client_id, "dormouse-sub-", 13), 0);
    CU_ASSERT_EQUAL(options.count, 0);
    CU_ASSERT_EQUAL(options.sleep_s, 0);
    CU_ASSERT_EQUAL(options.wakes, OPTIONS_WAKES_UNLIMITED);
    CU_ASSERT_TRUE(options.newline);
    CU_ASSERT_FALSE(options.verbose);
    CU_ASSERT_FALSE(options.debug);
    CU_ASSERT_FALSE(options.quiet);
    CU_ASSERT_FALSE(options.ready);
    CU_ASSERT_PTR_NULL(options.will_topic);
}

static void
search_without_options_has_documented_defaults(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_SEARCH, "--quiet"), DM_OK);
    CU_ASSERT_STRING_EQUAL(options.host, "225.1.1.1");
    CU_ASSERT_EQUAL(options.port, 1883);
    CU_ASSERT_PTR_NULL(options.interface);
    CU_ASSERT_EQUAL(options.radius, 1);
    CU_ASSERT_EQUAL(options.search_ms, 5000);
    CU_ASSERT_EQUAL(options.timeout_ms, 0);
    CU_ASSERT_EQUAL(options.count, 0);
    CU_ASSERT_FALSE(options.json);
    CU_ASSERT_EQUAL(strncmp(options.client_id, "dormouse-search-", 16), 0);
}

static void
search_takes_the_link_options_and_its_own(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_SEARCH, "--interface eth0 --radius 0 -W 0.5 -C 2 --json"), DM_OK);
    CU_ASSERT_STRING_EQUAL(options.interface, "eth0");
    CU_ASSERT_EQUAL(options.radius, 0);
    CU_ASSERT_EQUAL(options.search_ms, 500);
    CU_ASSERT_EQUAL(options.count, 2);
    CU_ASSERT_TRUE(options.json);
    CU_ASSERT_EQUAL(parse(OPTIONS_SEARCH, "-h gw -p 1884 --bind :0 --node-id 01 -d"), DM_OK);
    CU_ASSERT_STRING_EQUAL(options.host, "gw");
    CU_ASSERT_EQUAL(parse(OPTIONS_SEARCH, "--serial /dev/x --framing slip --baud 9600"), DM_OK);
    CU_ASSERT_TRUE(refused(OPTIONS_SEARCH, "--radius 256", "0 to 255"));
    CU_ASSERT_TRUE(refused(OPTIONS_SEARCH, "--serial /dev/x --interface eth0", "--interface"));
    CU_ASSERT_TRUE(refused(OPTIONS_SEARCH, "--serial /dev/x --bind :0", "--bind"));
    CU_ASSERT_TRUE(refused(OPTIONS_SEARCH, "-t a", "unknown option '-t'"));
    CU_ASSERT_TRUE(refused(OPTIONS_SEARCH, "--will-topic a", "unknown option"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --interface eth0", "unknown option"));
}

static void
will_options_are_those_of_mosquitto_pub(void)
{
    CU_ASSERT_EQUAL(
        parse(OPTIONS_PUB, "-n -t a --will-topic w --will-payload gone --will-qos 2 --will-retain"),
        DM_OK);
    CU_ASSERT_STRING_EQUAL(options.will_topic, "w");
    CU_ASSERT_STRING_EQUAL(options.will_message, "gone");
    CU_ASSERT_EQUAL(options.will_qos, 2);
    CU_ASSERT_TRUE(options.will_retain);
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t a --will-topic w --will-message bye"), DM_OK);
    CU_ASSERT_STRING_EQUAL(options.will_message, "bye");
    CU_ASSERT_EQUAL(options.will_qos, 0);
    CU_ASSERT_FALSE(options.will_retain);
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t a --will-topic w"), DM_OK); /* an empty message */
    CU_ASSERT_PTR_NULL(options.will_message);
}

static void
will_without_a_topic_is_refused(void)
{
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --will-message x", "needs a topic (--will-topic)"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --will-qos 1", "needs a topic"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n -t a --will-retain", "needs a topic"));
}

static void
will_that_cannot_be_told_is_refused(void)
{
    char line[CLIENT_WILL_MESSAGE_MAX + 64];

    CU_ASSERT_TRUE(
        refused(OPTIONS_SUB, "-t a --will-topic w/#", "--will-topic: 'w/#' is a filter"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --will-topic +", "is a filter"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --will-topic w --will-qos 3", "0 to 2"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n -T 1 -q -1 --will-topic w", "no QoS -1"));
    CU_ASSERT_TRUE(
        refused(OPTIONS_SUB, "--sleep 5 --no-connect -i x --will-topic w", "no --no-connect"));
    snprintf(line, sizeof line, "-t a --will-topic %0*d", CLIENT_WILL_TOPIC_MAX, 0);
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, line), DM_OK);
    snprintf(line, sizeof line, "-t a --will-topic %0*d", CLIENT_WILL_TOPIC_MAX + 1, 0);
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, line, "longer than 255"));
    snprintf(line, sizeof line, "-t a --will-topic w --will-message %0*d", CLIENT_WILL_MESSAGE_MAX,
             0);
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, line), DM_OK);
    snprintf(line, sizeof line, "-t a --will-topic w --will-message %0*d",
             CLIENT_WILL_MESSAGE_MAX + 1, 0);
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, line, "longer than 1024"));
}

static void
mosquitto_letters_mean_the_same(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "-h gw -p 1884 -i me -c -k 30 -q 1 -r -t x -m y -d"), DM_OK);
    CU_ASSERT_STRING_EQUAL(options.host, "gw");
    CU_ASSERT_EQUAL(options.port, 1884);
    CU_ASSERT_STRING_EQUAL(options.client_id, "me");
    CU_ASSERT_FALSE(options.clean_session);
    CU_ASSERT_EQUAL(options.keepalive_s, 30);
    CU_ASSERT_EQUAL(options.qos, 1);
    CU_ASSERT_TRUE(options.retain);
    CU_ASSERT_TRUE(options.debug);

    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t x -v -C 5 -W 2 -N -q 1"), DM_OK);
    CU_ASSERT_TRUE(options.verbose);
    CU_ASSERT_EQUAL(options.count, 5);
    CU_ASSERT_EQUAL(options.timeout_ms, 2000);
    CU_ASSERT_FALSE(options.newline);
    CU_ASSERT_EQUAL(options.qos, 1);
}

static void
every_source_of_a_message_is_known(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "-t x -f file"), DM_OK);
    CU_ASSERT_EQUAL(options.source, OPTIONS_SOURCE_FILE);
    CU_ASSERT_STRING_EQUAL(options.message, "file");
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "-t x -l"), DM_OK);
    CU_ASSERT_EQUAL(options.source, OPTIONS_SOURCE_LINES);
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "-t x -n"), DM_OK);
    CU_ASSERT_EQUAL(options.source, OPTIONS_SOURCE_NULL);
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "-t x -s"), DM_OK);
    CU_ASSERT_EQUAL(options.source, OPTIONS_SOURCE_STDIN);
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-t x -s -n", "only one of"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-t x", "no message"));
}

static void
topics_keep_their_kind_and_order(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t ab --short ab -T 65534 -t c/+"), DM_OK);
    CU_ASSERT_EQUAL_FATAL(options.topic_count, 4);
    CU_ASSERT_EQUAL(options.topics[0].type, MQTTSN_TOPIC_NORMAL);
    CU_ASSERT_STRING_EQUAL(options.topics[0].name, "ab");
    CU_ASSERT_EQUAL(options.topics[1].type, MQTTSN_TOPIC_SHORT);
    CU_ASSERT_EQUAL(options.topics[1].id, 0x6162);
    CU_ASSERT_EQUAL(options.topics[2].type, MQTTSN_TOPIC_PREDEFINED);
    CU_ASSERT_EQUAL(options.topics[2].id, 65534);
    CU_ASSERT_STRING_EQUAL(options.topics[3].name, "c/+");
}

static void
short_name_with_high_octets_is_not_sign_extended(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "-n --short a\xfe"), DM_OK);
    CU_ASSERT_EQUAL(options.topics[0].id, 0x61fe);
}

static void
bad_topics_are_refused(void)
{
    char many[1024] = "";

    for (int i = 0; i <= OPTIONS_TOPICS_MAX; i++)
        strcat(many, i == 0 ? "-tx" : " -tx");
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, many, "more than 64 topics"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "--short abc", "two characters"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-T 0", "1 to 65534"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-T 65535", "1 to 65534"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t ", "empty"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n", "exactly one"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n -t a -T 1", "exactly one"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n -t a/#", "filter"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n -t +", "filter"));
}

static void
every_qos_is_known_and_minus_1_to_pub_only(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "-n -T 1 -q -1"), DM_OK);
    CU_ASSERT_EQUAL(options.qos, MQTTSN_QOS_MINUS_ONE);
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "-n --short ab --qos=-1"), DM_OK);
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n -t a -q -1", "QoS -1 needs"));
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "-n -t a -q 2"), DM_OK);
    CU_ASSERT_EQUAL(options.qos, 2);
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t a -q 2"), DM_OK);
    CU_ASSERT_EQUAL(options.qos, 2);
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a -q -1", "0, 1 or 2"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n -t a -q 3", "-1, 0, 1 or 2"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n -t a -q 10", "--qos"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n -t a --qos=", "--qos"));
}

static void
numbers_out_of_range_or_with_rubbish_are_refused(void)
{
    static const char *const lines[] = {
        "-t a -p 0",       "-t a -p 65536", "-t a -p 1x",
        "-t a -p -1",      "-t a -p +1",    "-t a -k 65536",
        "-t a -C 0",       "-t a -p ",      "-t a -C 99999999999999999999",
        "-t a --retries 0"};

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        CU_ASSERT_TRUE(refused(OPTIONS_SUB, lines[i], "is not a number from"));
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t a -p 65535 -C 4294967295"), DM_OK);
    CU_ASSERT_EQUAL(options.count, UINT32_MAX);
}

static void
times_may_have_fractions(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t a --retry 0.25 -W 86400"), DM_OK);
    CU_ASSERT_EQUAL(options.retry_ms, 250);
    CU_ASSERT_EQUAL(options.timeout_ms, 86400000);
    static const char *const lines[] = {"-t a -W 0",         "-t a -W nan", "-t a -W inf",
                                        "-t a -W 1e9",       "-t a -W -1",  "-t a -W 1s",
                                        "-t a --retry 0.001"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        CU_ASSERT_TRUE(refused(OPTIONS_SUB, lines[i], "is not a time from"));
}

static void
node_id_is_hex_of_whole_octets(void)
{
    static const uint8_t expected[] = {0x01, 0xaB};
    char line[128];

    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t a --node-id 01aB"), DM_OK);
    CU_ASSERT_EQUAL_FATAL(options.node_id_len, sizeof expected);
    CU_ASSERT_EQUAL(memcmp(options.node_id, expected, sizeof expected), 0);
    snprintf(line, sizeof line, "-t a --node-id %064d", 0);
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, line), DM_OK);
    CU_ASSERT_EQUAL(options.node_id_len, MQTTSN_NODE_ID_MAX);
    snprintf(line, sizeof line, "-t a --node-id %066d", 0);
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, line, "--node-id"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --node-id 0", "--node-id"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --node-id 0g", "--node-id"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --node-id ", "--node-id"));
}

static void
client_id_has_1_to_252_octets(void)
{
    char line[512];

    snprintf(line, sizeof line, "-t a -i %0252d", 0);
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, line), DM_OK);
    CU_ASSERT_EQUAL(strlen(options.client_id), 252);
    snprintf(line, sizeof line, "-t a -i %0253d", 0);
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, line, "252"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a -i ", "252"));
}

static void
framing_must_be_known(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t a --serial /dev/x --framing slip --baud 9600"), DM_OK);
    CU_ASSERT_STRING_EQUAL(options.framing, "slip");
    CU_ASSERT_EQUAL(options.baud, 9600);
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --framing morse", "morse"));
}

static void
persistent_session_needs_a_client_id(void)
{
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a -c", "client id"));
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-c -i x"), DM_OK); /* has its subscriptions already */
    CU_ASSERT_EQUAL(options.topic_count, 0);
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-i x", "no topic"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-i x -c --clean", "no topic"));
}

static void
sleep_options_fit_together(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "-t a --sleep 60 --wakes 0"), DM_OK);
    CU_ASSERT_EQUAL(options.sleep_s, 60);
    CU_ASSERT_EQUAL(options.wakes, 0);
    CU_ASSERT_EQUAL(parse(OPTIONS_SUB, "--sleep 60 --no-connect -i x"), DM_OK);
    CU_ASSERT_FALSE(options.connect);
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --sleep 0", "--sleep"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --sleep 65536", "--sleep"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --wakes 1", "--wakes needs"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "--no-connect -i x", "--no-connect needs --sleep"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "--no-connect --sleep 5", "client id"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "--no-connect --sleep 5 -i x -t a", "takes no topic"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-n -t a --sleep 5", "unknown option '--sleep'"));
}

static void
unknown_and_incomplete_options_are_named(void)
{
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "--frob", "unknown option '--frob'"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-z", "unknown option '-z'"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-m x", "unknown option '-m'")); /* pub has it */
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t", "'-t' needs a value"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "--topic", "'--topic' needs a value"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "--ready=1", "takes no value"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a word", "unexpected argument 'word'"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a --serial /dev/x --bind :1", "--bind"));
    CU_ASSERT_TRUE(refused(OPTIONS_SUB, "-t a -h ", "empty"));
}

static void
help_needs_nothing_else(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_PUB, "--help"), DM_OK);
    CU_ASSERT_TRUE(options.help);
}

static void
check_help(enum options_command command, unsigned mask)
{
    char *text = NULL;
    size_t len = 0;
    char name[64];
    FILE *out = open_memstream(&text, &len);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    options_print_help(command, out);
    fclose(out);
    for (size_t i = 0; i < option_spec_count; i++) {
        if ((option_specs[i].commands & mask) == 0 || option_specs[i].help == NULL)
            continue;
        snprintf(name, sizeof name, " --%s ", option_specs[i].name);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, name));
    }
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        CU_ASSERT_TRUE(strlen(line) <= 80);
    free(text);
}

static void
help_names_every_option_in_80_columns(void)
{
    check_help(OPTIONS_PUB, OPTIONS_FOR_PUB);
    check_help(OPTIONS_SUB, OPTIONS_FOR_SUB);
    check_help(OPTIONS_SEARCH, OPTIONS_FOR_SEARCH);
    check_help(OPTIONS_FLEET, OPTIONS_FOR_FLEET);
}

static void
fleet_without_options_has_documented_defaults(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_FLEET, "-h pi"), DM_OK);
    CU_ASSERT_STRING_EQUAL(options.host, "pi");
    CU_ASSERT_EQUAL(options.devices, 100);
    CU_ASSERT_EQUAL(options.sleep_s, 0);
    CU_ASSERT_STRING_EQUAL(options.qos_mix, "1");
    CU_ASSERT_EQUAL(options.size, 32);
    CU_ASSERT_EQUAL(options.period_ms, 10000);
    CU_ASSERT_EQUAL(options.loss_percent, 0);
    CU_ASSERT_EQUAL(options.duration_ms, 60000);
    CU_ASSERT_EQUAL(options.drain_ms, 60000);
    CU_ASSERT_STRING_EQUAL(options.prefix, "fleet");
    CU_ASSERT_EQUAL(options.seed, 0);
    CU_ASSERT_FALSE(options.clean_session);
}

static void
fleet_that_makes_no_sense_is_refused(void)
{
    CU_ASSERT_EQUAL(parse(OPTIONS_FLEET, "-n 60000 -q 0,1,2 --sleep 5 --size 12"), DM_OK);
    CU_ASSERT_STRING_EQUAL(options.qos_mix, "0,1,2");
    CU_ASSERT_TRUE(refused(OPTIONS_FLEET, "-q 0,3", "--qos"));
    CU_ASSERT_TRUE(refused(OPTIONS_FLEET, "-q 0,", "--qos"));
    CU_ASSERT_TRUE(refused(OPTIONS_FLEET, "-q 01", "--qos"));
    CU_ASSERT_TRUE(refused(OPTIONS_FLEET, "-q ", "--qos"));
    CU_ASSERT_TRUE(refused(OPTIONS_FLEET, "--size 11", "--size"));
    CU_ASSERT_TRUE(refused(OPTIONS_FLEET, "--loss 91", "--loss"));
    CU_ASSERT_TRUE(refused(OPTIONS_FLEET, "-n 0", "--devices"));
    CU_ASSERT_TRUE(refused(OPTIONS_FLEET, "--clean --sleep 5", "--clean"));
    CU_ASSERT_TRUE(refused(OPTIONS_FLEET, "--prefix a/+", "--prefix"));
    CU_ASSERT_TRUE(refused(OPTIONS_FLEET, "-t a", "unknown option"));
    CU_ASSERT_TRUE(refused(OPTIONS_PUB, "-t a -m x --devices 2", "unknown option"));
}

static const struct unit_test tests[] = {
    UNIT_TEST(shortest_pub_has_documented_defaults),
    UNIT_TEST(shortest_sub_has_documented_defaults),
    UNIT_TEST(search_without_options_has_documented_defaults),
    UNIT_TEST(search_takes_the_link_options_and_its_own),
    UNIT_TEST(will_options_are_those_of_mosquitto_pub),
    UNIT_TEST(will_without_a_topic_is_refused),
    UNIT_TEST(will_that_cannot_be_told_is_refused),
    UNIT_TEST(mosquitto_letters_mean_the_same),
    UNIT_TEST(every_source_of_a_message_is_known),
    UNIT_TEST(topics_keep_their_kind_and_order),
    UNIT_TEST(short_name_with_high_octets_is_not_sign_extended),
    UNIT_TEST(bad_topics_are_refused),
    UNIT_TEST(every_qos_is_known_and_minus_1_to_pub_only),
    UNIT_TEST(numbers_out_of_range_or_with_rubbish_are_refused),
    UNIT_TEST(times_may_have_fractions),
    UNIT_TEST(node_id_is_hex_of_whole_octets),
    UNIT_TEST(client_id_has_1_to_252_octets),
    UNIT_TEST(framing_must_be_known),
    UNIT_TEST(persistent_session_needs_a_client_id),
    UNIT_TEST(sleep_options_fit_together),
    UNIT_TEST(unknown_and_incomplete_options_are_named),
    UNIT_TEST(help_needs_nothing_else),
    UNIT_TEST(help_names_every_option_in_80_columns),
    UNIT_TEST(fleet_without_options_has_documented_defaults),
    UNIT_TEST(fleet_that_makes_no_sense_is_refused),
};

UNIT_MAIN("options", tests)
