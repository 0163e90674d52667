/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator reads: units, aligned tables, and answers that lack or fake fields. */
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "human.h"
#include "operator_print.h"
#include "operator_show.h"
#include "table.h"
#include "unit.h"

typedef enum dm_result print_answer(const cJSON *answer, FILE *out);

/* Prints `json`; the text is for the caller to free. */
static char *
print(print_answer *print_it, const char *json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    cJSON *answer = cJSON_Parse(json);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
    CU_ASSERT_EQUAL(print_it(answer, out), DM_OK);
    fclose(out);
    cJSON_Delete(answer);
    return text;
}

static void
octets_get_the_largest_unit_that_fits(void)
{
    char text[HUMAN_TEXT_MAX];

    CU_ASSERT_STRING_EQUAL(human_octets(text, 0), "0 B");
    CU_ASSERT_STRING_EQUAL(human_octets(text, 1023), "1023 B");
    CU_ASSERT_STRING_EQUAL(human_octets(text, 1024), "1.0 KiB");
    CU_ASSERT_STRING_EQUAL(human_octets(text, 1024 * 1024 - 1), "1.0 MiB");
    CU_ASSERT_STRING_EQUAL(human_octets(text, UINT64_MAX), "16.0 EiB");
}

static void
durations_show_two_units_at_most(void)
{
    char text[HUMAN_TEXT_MAX];

    CU_ASSERT_STRING_EQUAL(human_duration(text, 0), "0.0 s");
    CU_ASSERT_STRING_EQUAL(human_duration(text, 9999), "9.9 s");
    CU_ASSERT_STRING_EQUAL(human_duration(text, 59999), "59 s");
    CU_ASSERT_STRING_EQUAL(human_duration(text, 60000), "1 min 0 s");
    CU_ASSERT_STRING_EQUAL(human_duration(text, 3661000), "1 h 1 min");
    CU_ASSERT_STRING_EQUAL(human_duration(text, 90000000), "1 d 1 h");
    CU_ASSERT_STRING_EQUAL(human_microseconds(text, 999), "999 us");
    CU_ASSERT_STRING_EQUAL(human_microseconds(text, 3199), "3.1 ms");
    CU_ASSERT_STRING_EQUAL(human_microseconds(text, 1200000), "1.2 s");
}

static const struct table_column two_columns[] = {{"NAME", false}, {"N", true}};

static void
check_table(size_t width, const char *const *cells, size_t count, const char *expected)
{
    struct table table;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    table_init(&table, two_columns, 2);
    for (size_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(table_add(&table, cells[i]), DM_OK);
    table_print(&table, width, out);
    table_fini(&table);
    fclose(out);
    CU_ASSERT_STRING_EQUAL(text, expected);
    free(text);
}

static void
columns_are_as_wide_as_their_widest_cell(void)
{
    static const char *const cells[] = {"a", "100", "longer", "7"};

    check_table(0, cells, 4, "NAME      N\na       100\nlonger    7\n");
    check_table(0, cells, 3, "NAME      N\na       100\n"); /* a row that is not complete */
    check_table(0, cells, 0, "NAME  N\n");
}

static void
lines_are_cut_at_the_width(void)
{
    static const char *const cells[] = {"0123456789", "1"};

    check_table(8, cells, 2, "NAME\n01234...\n");
    check_table(13, cells, 2, "NAME        N\n0123456789  1\n");
    check_table(12, cells, 2, "NAME\n0123456789\n");
}

static void
status_shows_every_part(void)
{
    char *text = print(operator_print_status,
                       "{\"name\":\"barn\",\"gateway_id\":1,\"version\":\"0.1.0\",\"pid\":7,"
                       "\"uptime_ms\":61000,\"broker\":{\"url\":\"mqtt://b\",\"state\":\"waiting\","
                       "\"version\":\"5\",\"error\":\"Connection refused\",\"connects\":2,"
                       "\"tls\":{\"version\":\"TLSv1.3\",\"cipher\":\"X\","
                       "\"certificate_ends\":\"soon\",\"own_certificate_ends\":\"later\"},"
                       "\"urls\":[{\"url\":\"mqtt://b\",\"error\":\"Connection refused\"},"
                       "{\"url\":\"mqtts://c\",\"error\":\"no\\u001bhost\"},"
                       "{\"url\":\"mqtt://d\",\"error\":\"\"},7,{}]},"
                       "\"store\":{\"path\":\"/x\",\"degraded\":true,\"error\":\"disk full\","
                       "\"file_octets\":2048,\"free_octets\":1024,\"written_octets\":4096},"
                       "\"sessions\":{\"total\":3,\"asleep\":2},"
                       "\"wills\":{\"kept\":3,\"published\":1,\"handshakes\":0},"
                       "\"awake\":{\"periods\":4,\"ms\":130},"
                       "\"discovery\":{\"advertised\":9,\"searches\":4,\"standing_by\":true},"
                       "\"links\":[{\"groups\":\"225.1.1.1:1883 "
                       "(eth0)\",\"kind\":\"serial\",\"name\":\"barn\",\"up\":false,"
                       "\"error\":\"no port\",\"rx_dropped\":2,\"tx_dropped\":3}]}");

    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "Gateway   barn (id 1), version 0.1.0, process 7, up 1 min 1 s\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "mqtt://b: waiting, MQTT 5, 2 connects\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "          Connection refused\n"
                     "          TLSv1.3 X, certificate ends soon, ours later\n"
                     "          also mqtts://c: no\\x1bhost\n          also mqtt://d\nStore "));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "/x: DEGRADED, 2.0 KiB, 1.0 KiB of it free, 4.0 KiB written\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "          disk full\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "Sessions  3: - active, 2 asleep"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nserial:barn  down    -    -        5 "));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nserial:barn: no port\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nserial:barn: group 225.1.1.1:1883 (eth0)\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nWills     3 kept, 1 published, 0 being set up\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nAwake     4 periods of sleepers, 32 ms on average\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\nDiscovery 9 advertisements, 4 searches answered, standing by\n"));
    free(text);
}

static void
ports_show_both_directions_of_each_link(void)
{
    char *text = print(
        operator_print_ports,
        "{\"links\":[{\"kind\":\"serial\",\"name\":\"barn\",\"up\":true,\"device\":\"/dev/"
        "ttyUSB0\","
        "\"rx_datagrams\":1,\"rx_octets\":2048,\"rx_dropped\":3,\"rx_garbage\":4,\"tx_datagrams\":"
        "5,"
        "\"tx_octets\":6,\"tx_dropped\":7,\"reopens\":8},{\"kind\":\"udp\",\"name\":\"l\\u001bn\","
        "\"error\":\"taken\"}]}");

    CU_ASSERT_STRING_EQUAL(
        text, "LINK         STATE  IN   OCTETS  LOST  GARBAGE  OUT  OCTETS  LOST  REOPENS  DEVICE\n"
              "serial:barn  up      1  2.0 KiB     3        4    5     6 B     7        8  "
              "/dev/ttyUSB0\n"
              "udp:l\\x1bn   down    -        -     -        -    -       -     -        -  -\n"
              "udp:l\\x1bn: taken\n");
    free(text);
}

#define LINE                                                                                       \
    "{\"links\":[{\"kind\":\"udp\",\"name\":\"lan\",\"up\":true},{\"kind\":\"serial\",\"name\":"   \
    "\"barn\","                                                                                    \
    "\"up\":true,\"mtu\":72,\"rx_crc_errors\":1,\"rx_oversize\":0,\"rx_gap_resets\":3,"            \
    "\"tx_repeats\":4,\"tx_unconfirmed\":5,\"tx_waiting\":0,\"line_frame_errors\":0,"              \
    "\"line_parity_errors\":0,\"line_overruns\":0,\"line_breaks\":0,\"nodes_refused\":11,"         \
    "\"nodes\":["
#define LINE_END "]}]}"

/* What follows the table of links. */
static const char *
behind_links(const char *text)
{
    const char *end = strstr(text, "\n\nserial:barn: ");

    return end != NULL ? end + 1 : "";
}

static void
ports_show_the_counters_and_nodes_of_a_serial_line(void)
{
    char *text = print(
        operator_print_ports, LINE
        "{\"address\":\"serial:barn:0013a200\",\"messages\":12,\"unconfirmed\":3,\"rssi\":-71},"
        "{\"address\":\"serial:barn:\\u001b\",\"messages\":5,\"unconfirmed\":0,\"rssi\":90,"
        "\"lqi\":43,\"snr\":-9}" LINE_END);

    CU_ASSERT_STRING_EQUAL(behind_links(text),
                           "\nserial:barn: mtu 72\n"
                           "  in    1 crc errors, 0 oversize, 3 gap resets, 11 from nodes beyond "
                           "max_nodes\n"
                           "  out   4 repeats, 5 unconfirmed, 0 waiting\n"
                           "  line  0 framing errors, 0 parity errors, 0 overruns, 0 breaks\n"
                           "\n"
                           "NODE                  MESSAGES  UNCONFIRMED     RSSI  LQI    SNR\n"
                           "serial:barn:0013a200        12            3  -71 dBm    -      -\n"
                           "serial:barn:\\x1b             5            0       90   43  -9 dB\n");
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        CU_ASSERT(strcspn(line, "\n") <= 100);
    free(text);
}

static void
status_shows_only_what_is_not_zero_of_a_serial_line(void)
{
    char *text = print(operator_print_status, LINE LINE_END);

    CU_ASSERT_STRING_EQUAL(behind_links(text),
                           "\nserial:barn: mtu 72\n"
                           "  in    1 crc errors, 3 gap resets, 11 from nodes beyond max_nodes\n"
                           "  out   4 repeats, 5 unconfirmed\n");
    free(text);
}

static void
nodes_without_quality_have_no_columns_for_it(void)
{
    char *text = print(operator_print_ports, LINE
                       "{\"address\":\"serial:barn:\",\"messages\":12,\"unconfirmed\":0}" LINE_END);

    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n\nNODE          MESSAGES  UNCONFIRMED\n"
                                        "serial:barn:        12            0\n"));
    free(text);
}

static void
status_of_wrong_types_shows_dashes(void)
{
    char *text = print(operator_print_status,
                       "{\"name\":5,\"pid\":-1,\"uptime_ms\":1e300,\"broker\":\"x\",\"store\":[],"
                       "\"sessions\":null,\"links\":{\"a\":1}}");

    CU_ASSERT_PTR_NOT_NULL(strstr(text, "Gateway   - (id -), version -, process -, up -\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "Sessions  -: - active"));
    free(text);
}

static void
sessions_are_listed_with_escaped_client_ids(void)
{
    char *text = print(
        operator_print_sessions,
        "{\"sessions\":[{\"client_id\":\"pump\\u001b[2J\",\"clean\":false,\"state\":\"asleep\","
        "\"address\":\"udp:lan:10.0.0.7:40112\",\"last_contact_ms\":61000,\"queued\":3,"
        "\"delivered\":4,\"dropped\":5},"
        "{\"client_id\":\"012345678901234567890123456789\",\"clean\":true,"
        "\"last_contact_ms\":null}]}");

    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\npump\\x1b[2J"));
    CU_ASSERT_PTR_NULL(strchr(text, 0x1b));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text, "  asleep  kept   1 min 1 s       3     4        5  udp:lan:10.0.0.7:40112\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "...  -       clean          -       -     -        -  -\n"));
    free(text);
}

static void
sessions_show_the_signal_of_radios_that_tell(void)
{
    char *text =
        print(operator_print_sessions,
              "{\"sessions\":[{\"client_id\":\"a\",\"address\":\"serial:x:01\",\"rssi\":-71,"
              "\"lqi\":5},{\"client_id\":\"b\",\"rssi\":90,\"lqi\":43},{\"client_id\":\"c\","
              "\"rssi\":90},{\"client_id\":\"d\",\"snr\":9},{\"client_id\":\"e\"},"
              "{\"client_id\":\"f\",\"rssi\":\"x\",\"lqi\":1e9}]}");

    CU_ASSERT_STRING_EQUAL(
        text, "CLIENT  STATE  KIND  HEARD  QUEUED  SENT  DROPPED   SIGNAL  ADDRESS\n"
              "a       -      -         -       -     -        -  -71 dBm  serial:x:01\n"
              "b       -      -         -       -     -        -   lqi 43  -\n"
              "c       -      -         -       -     -        -  rssi 90  -\n"
              "d       -      -         -       -     -        -     9 dB  -\n"
              "e       -      -         -       -     -        -        -  -\n"
              "f       -      -         -       -     -        -        -  -\n");
    free(text);
}

static void
sessions_without_a_list_show_the_headings(void)
{
    char *text = print(operator_print_sessions, "{\"sessions\":5}");

    CU_ASSERT_STRING_EQUAL(text, "CLIENT  STATE  KIND  HEARD  QUEUED  SENT  DROPPED  ADDRESS\n");
    free(text);
}

static void
device_is_shown_with_all_that_is_known(void)
{
    char *text = print(
        operator_show_print,
        "{\"client_id\":\"d\\u001b1\",\"state\":\"asleep\",\"clean\":false,\"address\":\"udp:lan:"
        "x\",\"section\":\"d*\","
        "\"rssi\":-71,\"last_contact_ms\":3200,\"keepalive_s\":60,\"sleep_s\":30,"
        "\"will\":{\"topic\":\"gone\",\"qos\":1,\"retain\":true,\"octets\":3},"
        "\"queue\":{\"messages\":2,\"octets\":17,\"stored\":2,\"qos0\":0,\"qos1\":2,\"qos2\":0,"
        "\"waiting\":1,\"sent\":1,\"disk\":0},"
        "\"timers\":{\"supervision_ms\":86000,\"exchange\":\"PUBLISH\",\"retry_ms\":6000,"
        "\"retries\":2,\"pause_ms\":0,\"stalled\":true,\"link_has_room\":false},"
        "\"delivered\":3,\"dropped\":1,\"open_uplinks\":0,"
        "\"subscriptions\":[{\"filter\":\"a/"
        "#\",\"qos\":1,\"made_by\":\"name\",\"confirmed\":true}],"
        "\"topics\":[{\"id\":7,\"name\":\"a/b\",\"known\":false,\"refused\":false}],"
        "\"errors\":[],\"history\":[{\"event\":\"asleep\",\"text\":\"sleeps\",\"age_ms\":500}]}");

    CU_ASSERT_STRING_EQUAL(text,
                           "Device    d\\x1b1: asleep, persistent session\n"
                           "Section   [client d*]\n"
                           "Address   udp:lan:x, signal -71 dBm\n"
                           "Heard     3.2 s ago, keep alive 60 s, last sleep 30 s\n"
                           "Timers    lost in 1 min 26 s without a word of it\n"
                           "          PUBLISH is not answered, again in 6.0 s (repeated 2 times)\n"
                           "          it did not answer: messages wait for a sign of life\n"
                           "          the link is full: messages wait for it\n"
                           "Will      gone: 3 B, QoS 1, retained\n"
                           "Messages  3 delivered, 1 dropped, 0 of the device not answered yet\n"
                           "Queue     2 messages, 17 B, 2 of them on disk\n"
                           "          QoS 0: 0, QoS 1: 2, QoS 2: 0\n"
                           "          1 sent, not answered\n"
                           "          1 waiting for the device\n"
                           "\n"
                           "SUBSCRIPTION  QOS  MADE BY  TOPIC ID  AT BROKER\n"
                           "a/#             1  name            -  yes\n"
                           "\n"
                           "TOPIC ID  KNOWN  NAME\n"
                           "       7  no     a/b\n"
                           "\n"
                           "  AGO  EVENT\n"
                           "0.5 s  sleeps\n");
    free(text);
}

static void
device_answer_without_fields_is_shown_with_gaps(void)
{
    char *text = print(operator_show_print, "{\"queue\":7,\"timers\":[],\"history\":[3,{}]}");

    CU_ASSERT_PTR_NOT_NULL(strstr(text, "Device    -: -"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "AGO  EVENT"));
    free(text);
    text = print(operator_show_print_queue, "{\"messages\":[{\"topic\":\"a\\nb\"},4]}");
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "a\\x0ab"));
    free(text);
}

static enum dm_result
print_packet(const cJSON *line, FILE *out)
{
    operator_show_print_packet(line, out);
    return DM_OK;
}

static void
packets_of_a_trace_are_lines_and_lost_ones_are_told(void)
{
    char *text = print(print_packet, "{\"direction\":\"to\",\"address\":\"udp:lan:x\","
                                     "\"packet\":\"CONNACK\\n\",\"held\":true}");

    CU_ASSERT_STRING_EQUAL(text, "-  to    udp:lan:x  CONNACK\\x0a (when it is on disk)\n");
    free(text);
    text = print(print_packet, "{\"lost\":12}");
    CU_ASSERT_STRING_EQUAL(text, "... 12 packets are not shown: this terminal was too slow\n");
    free(text);
    text = print(print_packet, "{\"tracing\":\"x\"}");
    CU_ASSERT_STRING_EQUAL(text, "");
    free(text);
}

static const struct unit_test tests[] = {
    UNIT_TEST(octets_get_the_largest_unit_that_fits),
    UNIT_TEST(durations_show_two_units_at_most),
    UNIT_TEST(columns_are_as_wide_as_their_widest_cell),
    UNIT_TEST(lines_are_cut_at_the_width),
    UNIT_TEST(status_shows_every_part),
    UNIT_TEST(ports_show_both_directions_of_each_link),
    UNIT_TEST(ports_show_the_counters_and_nodes_of_a_serial_line),
    UNIT_TEST(status_shows_only_what_is_not_zero_of_a_serial_line),
    UNIT_TEST(nodes_without_quality_have_no_columns_for_it),
    UNIT_TEST(status_of_wrong_types_shows_dashes),
    UNIT_TEST(sessions_are_listed_with_escaped_client_ids),
    UNIT_TEST(sessions_show_the_signal_of_radios_that_tell),
    UNIT_TEST(sessions_without_a_list_show_the_headings),
    UNIT_TEST(device_is_shown_with_all_that_is_known),
    UNIT_TEST(device_answer_without_fields_is_shown_with_gaps),
    UNIT_TEST(packets_of_a_trace_are_lines_and_lost_ones_are_told),
};

UNIT_MAIN("operator_print", tests)
