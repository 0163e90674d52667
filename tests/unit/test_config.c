/* SPDX-License-Identifier: Apache-2.0 */
/* Loading of the configuration: lines, sections, files and their order. */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config_fixture.h"
#include "random.h"

static void
write_text(struct config_fixture *fixture, const char *name, const char *text)
{
    config_fixture_write(fixture, name, 0600, text, strlen(text));
}

/* Lines */

static void
indented_line_is_a_key_of_its_own(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture, " \t[udp x]\n  listen = 127.0.0.1:1\n\t mtu = 99\n");
    check_text(fixture.reports, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_EQUAL(fixture.config->links[0].listen.count, 1);
    CU_ASSERT_EQUAL(fixture.config->links[0].mtu, 99);
    config_fixture_fini(&fixture);
}

/* A line of `len` octets that starts with `start`. */
static void
load_long_line(struct config_fixture *fixture, const char *start, size_t len)
{
    char text[4096];
    int used = snprintf(text, sizeof(text), "[udp x]\n%s", start);
    memset(text + used, 'a', len - strlen(start));
    strcpy(text + 8 + len, "\nmtu = 99\n");
    config_fixture_load_text(fixture, text);
}

static void
line_of_199_octets_is_taken_whole(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    load_long_line(&fixture, "topics.1 = ", 199);
    check_text(fixture.reports, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_EQUAL(strlen(fixture.config->links[0].topics.items[0].name), 199 - 11);
    CU_ASSERT_EQUAL(fixture.config->links[0].mtu, 99);
    config_fixture_fini(&fixture);
}

static void
longer_line_is_refused_and_the_count_goes_on(void)
{
    static const size_t lengths[] = {200, 201, 399, 400, 1022, 1023, 1024, 1025, 3000};
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        load_long_line(&fixture, "topics.1 = ", lengths[i]);
        check_text(fixture.reports, "E main.ini:2: line longer than 199 octets\n");
    }
    config_fixture_fini(&fixture);
}

static void
long_comment_and_long_indentation_are_no_long_lines(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    load_long_line(&fixture, "; ", 3000);
    check_text(fixture.reports, "");
    load_long_line(&fixture, "#", 200);
    check_text(fixture.reports, "");
    char text[1024];
    snprintf(text, sizeof(text), "[udp x]\n%*s\n%*s\n", 300, "mtu = 99", 300, " ");
    config_fixture_load_text(&fixture, text);
    check_text(fixture.reports, "");
    config_fixture_fini(&fixture);
}

static void
section_header_longer_than_49_octets_is_refused(void)
{
    check_reports(
        "[udp x]\n[client aaaaaaaaaabbbbbbbbbbccccccccccddddddddddee]\nbad = 5s\n",
        "E main.ini:3: [client aaaaaaaaaabbbbbbbbbbccccccccccddddddddddee] bad: unknown key\n");
    check_reports("[udp x]\n[client aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeee]\nretry = 5s\n",
                  "E main.ini:2: section header longer than 49 octets\n");
}

static void
comment_behind_a_value_needs_a_space(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture, "[udp x] ; c\ntopics.1 = a;b\ntopics.2 = a ;b\n"
                                       "mtu = 99\t; c\n; c\n# c\n[gateway]\nstate_dir = /a#b #c\n");
    check_text(fixture.reports, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    const struct config_link *link = &fixture.config->links[0];
    CU_ASSERT_EQUAL_FATAL(link->topics.count, 2);
    CU_ASSERT_STRING_EQUAL(link->topics.items[0].name, "a;b");
    CU_ASSERT_STRING_EQUAL(link->topics.items[1].name, "a");
    CU_ASSERT_STRING_EQUAL(fixture.config->state_dir, "/a#b #c");
    CU_ASSERT_EQUAL(link->mtu, 99);
    config_fixture_fini(&fixture);
}

static void
colon_is_no_separator(void)
{
    check_reports("[udp x]\nlisten: 127.0.0.1:1\nmtu = 99\n",
                  "E main.ini:2: expected key = value\n");
    check_reports("[udp x]\n[broker]\nurl mqtt://h:1883 = x\n",
                  "E main.ini:3: expected key = value\n");
}

static void
line_that_is_nothing_is_refused(void)
{
    check_reports("[udp x]\nmtu\n= 5\nmtu;x = 5\n[udp\n[store] x\n",
                  "E main.ini:2: expected key = value\nE main.ini:3: expected key = value\n"
                  "E main.ini:4: expected key = value\nE main.ini:5: section header without ]\n"
                  "E main.ini:6: text behind a section header\n");
}

static void
nul_octet_is_refused(void)
{
    static const char text[] = "[udp x]\nmtu = 99\0 9\nmtu = 77\n";
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_write(&fixture, "main.ini", 0600, text, sizeof(text) - 1);
    config_fixture_load(&fixture, "main.ini");
    check_text(fixture.reports, "E main.ini:2: line contains a NUL octet\n");
    config_fixture_fini(&fixture);
}

static void
byte_order_mark_and_carriage_returns_are_accepted(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture,
                             "\xEF\xBB\xBF[udp x]\r\nmtu = 99\r\n\r\nqos_minus_one = yes");
    check_text(fixture.reports, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_EQUAL(fixture.config->links[0].mtu, 99);
    CU_ASSERT_STRING_EQUAL(fixture.config->links[0].qos_minus_one, "yes");
    config_fixture_fini(&fixture);
}

/* Sections and keys */

static void
key_before_the_first_section_is_refused(void)
{
    check_reports("id = 5\n[udp x]\n", "E main.ini:1: key before the first [section]\n");
}

static void
unknown_section_is_reported_once(void)
{
    check_reports("[udp x]\n[nonsense]\na = 1\nb = 2\n[gateway x]\nid = 0\n[\x1b]\n[]\n",
                  "E main.ini:2: [nonsense]: unknown section\n"
                  "E main.ini:5: [gateway x]: unknown section\n"
                  "E main.ini:7: [\\x1b]: unknown section\nE main.ini:8: []: unknown section\n");
}

static void
keys_behind_a_bad_header_go_nowhere(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture, "[udp x]\n[udp y\nmtu = 5\nnonsense = 1\n");
    check_text(fixture.reports, "E main.ini:2: section header without ]\n");
    config_fixture_fini(&fixture);
}

static void
unknown_key_is_refused(void)
{
    check_reports(
        "[udp x]\nbaud = 9600\n[store]\nSync = full\n\x01 = 1\n",
        "E main.ini:2: [udp x] baud: unknown key\nE main.ini:4: [store] Sync: unknown key\n"
        "E main.ini:5: [store] \\x01: unknown key\n");
}

static void
section_that_needs_a_name_without_one_is_refused(void)
{
    check_reports(
        "[udp]\n[serial a b]\n[client]\n[udp x]\n",
        "E main.ini:1: [udp]: needs a name, as in [udp lan]\n"
        "E main.ini:2: [serial a b]: needs a name, as in [serial barn]; this one is no name: "
        "1 to 32 of A-Z a-z 0-9 _ . -\n"
        "E main.ini:3: [client]: needs a name, as in [client pump-*]\n");
    check_reports("[udp abcdefghijklmnopqrstuvwxyz012345]\n", "");
    check_reports(
        "[udp x]\n[udp abcdefghijklmnopqrstuvwxyz0123456]\n",
        "E main.ini:2: [udp abcdefghijklmnopqrstuvwxyz0123456]: needs a name, as in [udp lan]; "
        "this one is no name: 1 to 32 of A-Z a-z 0-9 _ . -\n");
}

static void
empty_udp_section_is_a_whole_configuration(void)
{
    check_reports("[udp x]", "");
}

static void
configuration_without_a_link_is_refused(void)
{
    check_reports("", "E main.ini: no [udp NAME] and no [serial NAME] section\n");
    check_reports("[gateway]\nid = 1\n",
                  "E main.ini: no [udp NAME] and no [serial NAME] section\n");
}

static void
all_errors_of_a_file_are_reported(void)
{
    check_reports("[gateway]\nid = 0\nname = a b\n[nonsense]\n[serial s]\nbaud = 0\n",
                  "E main.ini:2: [gateway] id: \"0\" is out of range: 1 .. 255\n"
                  "E main.ini:3: [gateway] name: \"a b\" is no name: 1 to 32 of A-Z a-z 0-9 _ . -\n"
                  "E main.ini:4: [nonsense]: unknown section\n"
                  "E main.ini:6: [serial s] baud: \"0\" is out of range: 1 .. 4000000 bit/s\n"
                  "E main.ini:5: [serial s] device: required\n");
}

static void
key_given_twice_in_a_file_is_refused(void)
{
    check_reports(
        "[udp x]\nmtu = 9\ntopics.1 = a\n[udp y]\nlisten = 1.2.3.4:1\nmtu = 9\ntopics.1 = a\n"
        "[udp x]\nmtu = 9\ntopics.1 = b\n",
        "E main.ini:9: [udp x] mtu: given twice\n"
        "E main.ini:10: [udp x] topics.1: given twice\n");
}

static void
password_in_a_url_is_refused_and_not_shown(void)
{
    check_reports("[broker]\nurl = mqtts://barn:secret@host:1\n[udp x]\n",
                  "E main.ini:2: [broker] url: \"@host:1\" has a user name in it; use username and "
                  "password_file\n");
}

static void
urls_are_limited_and_differ(void)
{
    check_reports("[broker]\nurl = mqtt://a\nurl = mqtt://b\nurl = mqtt://a\n[udp x]\n",
                  "E main.ini:4: [broker] url: the same one is given twice\n");
    check_reports("[broker]\nurl = mqtt://a\nurl = mqtt://b\nurl = mqtt://c\nurl = mqtt://d\n"
                  "url = mqtt://e\nurl = mqtt://f\nurl = mqtt://g\nurl = mqtt://h\n[udp x]\n",
                  "");
    check_reports("[broker]\nurl = mqtt://a\nurl = mqtt://b\nurl = mqtt://c\nurl = mqtt://d\n"
                  "url = mqtt://e\nurl = mqtt://f\nurl = mqtt://g\nurl = mqtt://h\n"
                  "url = mqtt://i\n[udp x]\n",
                  "E main.ini:10: [broker] url: given more than 8 times\n");
}

static void
urls_are_kept_in_order(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture,
                             "[broker]\nurl = mqtts://a\nurl = mqtt+unix:///b\n[udp x]\n");
    check_text(fixture.reports, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_EQUAL_FATAL(fixture.config->urls.count, 2);
    CU_ASSERT_STRING_EQUAL(fixture.config->urls.items[0], "mqtts://a");
    CU_ASSERT_STRING_EQUAL(fixture.config->urls.items[1], "mqtt+unix:///b");
    config_fixture_fini(&fixture);
}

/* Files */

static void
fragments_are_read_in_order_and_later_values_win(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    write_text(&fixture, "conf.d/b.ini", "[gateway]\nid = 3\n[udp x]\ntopics.1 = b\nmtu = 33\n");
    write_text(&fixture, "conf.d/c.ini", "[gateway]\nid = 4\n");
    write_text(&fixture, "conf.d/a.ini",
               "[gateway]\nid = 2\nname = a\n[udp x]\nlisten = 1.2.3.4:2\n");
    write_text(&fixture, "conf.d/.z.ini", "nonsense\n");
    write_text(&fixture, "conf.d/z.ini~", "nonsense\n");
    write_text(&fixture, "conf.d/.ini", "nonsense\n");
    config_fixture_load_text(&fixture,
                             "[gateway]\nid = 1\n[udp x]\nlisten = 1.2.3.4:1\ntopics.1 = m\n"
                             "topics.2 = n\nforwarders = *\n[udp y]\n");
    check_text(fixture.reports, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_EQUAL(fixture.config->gateway_id, 4);
    CU_ASSERT_STRING_EQUAL(fixture.config->name, "a");
    CU_ASSERT_EQUAL_FATAL(fixture.config->link_count, 2);
    const struct config_link *link = &fixture.config->links[0];
    CU_ASSERT_STRING_EQUAL(link->name, "x");
    CU_ASSERT_EQUAL(link->mtu, 33);
    CU_ASSERT_EQUAL_FATAL(link->listen.count, 2);
    CU_ASSERT_STRING_EQUAL(link->listen.items[1], "1.2.3.4:2");
    CU_ASSERT_EQUAL_FATAL(link->topics.count, 2);
    CU_ASSERT_STRING_EQUAL(link->topics.items[0].name, "b");
    CU_ASSERT_EQUAL(link->forwarders.count, 1);
    config_fixture_fini(&fixture);
}

static void
later_list_of_words_and_empty_text_replace_the_earlier(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    write_text(&fixture, "conf.d/a.ini",
               "[udp x]\nforwarders =\n[broker]\nusername =\nclient_id =\ntopic_prefix =\n");
    config_fixture_load_text(&fixture, "[udp x]\nforwarders = 1.2.3.4 ::1\n[broker]\nusername = u\n"
                                       "client_id = c\ntopic_prefix = p/\n");
    check_text(fixture.reports, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_EQUAL(fixture.config->links[0].forwarders.count, 0);
    CU_ASSERT_PTR_NULL(fixture.config->username);
    CU_ASSERT_STRING_NOT_EQUAL(fixture.config->client_id, "c");
    CU_ASSERT_STRING_EQUAL(fixture.config->topic_prefix, "");
    config_fixture_fini(&fixture);
}

static void
error_in_a_fragment_names_its_file_and_line(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    write_text(&fixture, "conf.d/a.ini", "id = 3\n\n[gateway]\nid = x\n");
    config_fixture_load_text(&fixture, "[udp x]\n");
    check_text(fixture.reports, "E conf.d/a.ini:1: key before the first [section]\n"
                                "E conf.d/a.ini:4: [gateway] id: \"x\" is no number\n");
    config_fixture_fini(&fixture);
}

static void
file_that_cannot_be_read_is_an_io_error(void)
{
    struct config_fixture fixture;
    char path[128];
    config_fixture_init(&fixture);
    config_fixture_load(&fixture, "missing.ini");
    check_text(fixture.reports, "E missing.ini: cannot be read: No such file or directory\n");
    CU_ASSERT_EQUAL(fixture.result, DM_IO);
    config_fixture_load(&fixture, "conf.d");
    check_text(fixture.reports, "E conf.d: cannot be read: Is a directory\n");
    snprintf(path, sizeof(path), "%s/conf.d/pipe.ini", fixture.directory);
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    config_fixture_load_text(&fixture, "[udp x]\n");
    check_text(fixture.reports, "E conf.d/pipe.ini: cannot be read: not a regular file\n");
    CU_ASSERT_EQUAL(fixture.result, DM_IO);
    CU_ASSERT_PTR_NULL(fixture.config);
    config_fixture_fini(&fixture);
}

static void
conf_d_that_is_no_directory_is_an_io_error(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    write_text(&fixture, "conf.d/main.ini", "[udp x]\n");
    write_text(&fixture, "conf.d/conf.d", "");
    config_fixture_load(&fixture, "conf.d/main.ini");
    check_text(fixture.reports, "E conf.d/main.ini: conf.d: Not a directory\n");
    CU_ASSERT_EQUAL(fixture.result, DM_IO);
    config_fixture_fini(&fixture);
}

/* Whatever stands in a file: it loads or is refused with a reason, and nothing breaks. */

static const char seed_file[] =
    "[gateway]\nid = 7\nname = farm\nadvertise = never\nstandby_for = 8\n[broker]\nurl = "
    "mqtt://[::1]:1883\n"
    "username = u\npassword = p\nkeepalive = 60s\n[sessions]\nqueue_bytes = 256k\ntolerance = 1.5\n"
    "expiry = never\n[store]\nsync = full\n[udp lan]\nlisten = 0.0.0.0:1883 ; comment\n"
    "multicast = 225.1.1.1:1883\nforwarders = 10.0.0.1, *\ntopics.7 = yard/button\n[serial "
    "barn]\ndevice = /dev/ttyS0\n"
    "framing = slip\nduty_cycle = 100%\n[topics]\n1 = a/b\n[client p-*]\nretry = 5s\ntopics.20 = "
    "p/%c/s\n[map]\n"
    "rule = a -> b\n[control]\nsocket = /run/x\n";

static size_t
mutate(struct random_source *source, char *text, size_t len)
{
    static const char interesting[] = "[]=:;# \t\n\r.\0\xff-0%";
    size_t at = random_below(source, (unsigned)len);
    switch (random_below(source, 4)) {
    case 0:
        text[at] = (char)random_below(source, 256);
        return len;
    case 1:
        text[at] = interesting[random_below(source, sizeof(interesting) - 1)];
        return len;
    case 2: /* cut some out */
        at = random_below(source, (unsigned)len - 9);
        memmove(text + at, text + at + 8, len - at - 8);
        return len - 8;
    default: /* repeat some */
        memmove(text + at + 8, text + at, len - at);
        return len + 8;
    }
}

static void
mutated_files_load_or_are_refused_with_a_reason(void)
{
    struct random_source source = random_start(__func__, 20240501);
    struct config_fixture fixture;
    unsigned loaded = 0, refused = 0;
    config_fixture_init(&fixture);
    for (int round = 0; round < 3000; round++) {
        char text[sizeof(seed_file) + 256];
        size_t len = sizeof(seed_file) - 1;
        memcpy(text, seed_file, len);
        for (unsigned i = random_below(&source, 6); i > 0; i--)
            len = mutate(&source, text, len);
        config_fixture_write(&fixture, "main.ini", 0600, text, len);
        config_fixture_load(&fixture, "main.ini");
        CU_ASSERT(fixture.result == (fixture.errors == 0 ? DM_OK : DM_INVALID));
        CU_ASSERT_EQUAL(fixture.config != NULL, fixture.result == DM_OK);
        *(fixture.result == DM_OK ? &loaded : &refused) += 1;
    }
    CU_ASSERT(loaded > 300 && refused > 300);
    config_fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(indented_line_is_a_key_of_its_own),
    UNIT_TEST(line_of_199_octets_is_taken_whole),
    UNIT_TEST(longer_line_is_refused_and_the_count_goes_on),
    UNIT_TEST(long_comment_and_long_indentation_are_no_long_lines),
    UNIT_TEST(section_header_longer_than_49_octets_is_refused),
    UNIT_TEST(comment_behind_a_value_needs_a_space),
    UNIT_TEST(colon_is_no_separator),
    UNIT_TEST(line_that_is_nothing_is_refused),
    UNIT_TEST(nul_octet_is_refused),
    UNIT_TEST(byte_order_mark_and_carriage_returns_are_accepted),
    UNIT_TEST(key_before_the_first_section_is_refused),
    UNIT_TEST(unknown_section_is_reported_once),
    UNIT_TEST(keys_behind_a_bad_header_go_nowhere),
    UNIT_TEST(unknown_key_is_refused),
    UNIT_TEST(section_that_needs_a_name_without_one_is_refused),
    UNIT_TEST(empty_udp_section_is_a_whole_configuration),
    UNIT_TEST(configuration_without_a_link_is_refused),
    UNIT_TEST(all_errors_of_a_file_are_reported),
    UNIT_TEST(key_given_twice_in_a_file_is_refused),
    UNIT_TEST(password_in_a_url_is_refused_and_not_shown),
    UNIT_TEST(urls_are_limited_and_differ),
    UNIT_TEST(urls_are_kept_in_order),
    UNIT_TEST(fragments_are_read_in_order_and_later_values_win),
    UNIT_TEST(later_list_of_words_and_empty_text_replace_the_earlier),
    UNIT_TEST(error_in_a_fragment_names_its_file_and_line),
    UNIT_TEST(file_that_cannot_be_read_is_an_io_error),
    UNIT_TEST(conf_d_that_is_no_directory_is_an_io_error),
    UNIT_TEST(mutated_files_load_or_are_refused_with_a_reason),
};

UNIT_MAIN("config", tests)
