/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords in the configuration: where they may stand, and who may be able to read them. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "config_fixture.h"

#define WITH_PASSWORD "[udp x]\n[broker]\nusername = u\npassword = geheim\n"

static void
password_is_refused_if_others_may_use_the_file(void)
{
    static const mode_t open_modes[] = {0644, 0604, 0602, 0601};
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
        config_fixture_write(&fixture, "main.ini", open_modes[i], WITH_PASSWORD,
                             strlen(WITH_PASSWORD));
        config_fixture_load(&fixture, "main.ini");
        check_text(fixture.reports,
                   "E main.ini:4: [broker] password: others may use this file: chmod "
                   "o-rwx\n");
    }
    config_fixture_write(&fixture, "main.ini", 0640, WITH_PASSWORD, strlen(WITH_PASSWORD));
    config_fixture_load(&fixture, "main.ini");
    check_text(fixture.reports, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_STRING_EQUAL(fixture.config->password, "geheim");
    config_fixture_fini(&fixture);
}

static void
password_cut_by_a_comment_is_refused(void)
{
    check_reports("[udp x]\n[broker]\nusername = u\npassword = ge ;heim\n",
                  "E main.ini:4: [broker] password: ends at a semicolon behind a space; use "
                  "password_file\n");
}

static void
password_without_a_username_is_refused(void)
{
    check_reports("[udp x]\n[broker]\npassword = geheim\n",
                  "E main.ini:3: [broker] password: needs a username\n");
}

/* Loads with a password file of this content. */
static void
load_password_file(struct config_fixture *fixture, mode_t mode, const char *octets, size_t len)
{
    char text[256];
    config_fixture_write(fixture, "pw", mode, octets, len);
    snprintf(text, sizeof(text), "[udp x]\n[broker]\nusername = u\npassword_file = %s/pw\n",
             fixture->directory);
    config_fixture_load_text(fixture, text);
}

static void
password_file_gives_its_line_without_the_end(void)
{
    static const char *const contents[] = {"ge ;heim", "ge ;heim\n", "ge ;heim\r\n"};
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        load_password_file(&fixture, 0640, contents[i], strlen(contents[i]));
        check_text(fixture.reports, "");
        CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
        CU_ASSERT_STRING_EQUAL(fixture.config->password, "ge ;heim");
    }
    config_fixture_fini(&fixture);
}

static void
password_file_that_is_open_empty_or_too_long_is_refused(void)
{
    static char octets[1026];
    static const char open_file[] =
        "E main.ini:4: [broker] password_file: others may use the file: chmod o-rwx\n";
    static const char bad_file[] =
        "E main.ini:4: [broker] password_file: does not hold one line of 1 .. 1024 octets\n";
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    memset(octets, 'a', sizeof(octets));
    load_password_file(&fixture, 0644, "x", 1);
    check_text(fixture.reports, open_file);
    load_password_file(&fixture, 0600, "", 0);
    check_text(fixture.reports, bad_file);
    load_password_file(&fixture, 0600, "\n", 1);
    check_text(fixture.reports, bad_file);
    load_password_file(&fixture, 0600, "a\nb\n", 4);
    check_text(fixture.reports, bad_file);
    load_password_file(&fixture, 0600, "a\0b\n", 4);
    check_text(fixture.reports, bad_file);
    load_password_file(&fixture, 0600, octets, 1026);
    check_text(fixture.reports, bad_file);
    load_password_file(&fixture, 0600, octets, 1025);
    check_text(fixture.reports, bad_file);
    load_password_file(&fixture, 0600, octets, 1024);
    check_text(fixture.reports, "");
    config_fixture_fini(&fixture);
}

static void
password_file_that_is_missing_is_refused(void)
{
    check_reports(
        "[udp x]\n[broker]\nusername = u\npassword_file = /no/such/file\n",
        "E main.ini:4: [broker] password_file: cannot be read: No such file or directory\n");
}

static void
write_fragment(struct config_fixture *fixture, const char *text)
{
    config_fixture_write(fixture, "conf.d/a.ini", 0600, text, strlen(text));
}

static void
password_and_password_file_together_are_refused(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    write_fragment(&fixture, "[broker]\npassword = geheim\n");
    load_password_file(&fixture, 0600, "x", 1);
    check_text(fixture.reports, "E main.ini:4: [broker] password_file: password is set, too\n");
    write_fragment(&fixture, "[broker]\npassword =\n");
    config_fixture_load(&fixture, "main.ini");
    check_text(fixture.reports, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_STRING_EQUAL(fixture.config->password, "x");
    config_fixture_fini(&fixture);
}

/* Loads with this endpoint and, if mode is not 0, a token file. */
static void
load_http(struct config_fixture *fixture, const char *http, mode_t mode)
{
    char text[256], key[128] = "";
    if (mode != 0) {
        config_fixture_write(fixture, "token", mode, "geheim\n", 7);
        snprintf(key, sizeof(key), "token_file = %s/token\n", fixture->directory);
    }
    snprintf(text, sizeof(text), "[udp x]\n[control]\nhttp = %s\n%s", http, key);
    config_fixture_load_text(fixture, text);
}

static void
http_beyond_loopback_needs_a_token(void)
{
    static const char *const loopback[] = {"127.0.0.1:8183", "127.9.9.9:1", "[::1]:8183", ""};
    static const char *const others[] = {"0.0.0.0:8183", "192.168.1.7:1", "[::]:8183",
                                         "[fe80::1]:1"};
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++) {
        load_http(&fixture, loopback[i], 0);
        check_text(fixture.reports, "");
        CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
        CU_ASSERT_STRING_EQUAL(fixture.config->http, loopback[i]);
        CU_ASSERT_PTR_NULL(fixture.config->http_token);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        load_http(&fixture, others[i], 0);
        check_text(fixture.reports,
                   "E main.ini:3: [control] http: needs token_file: it is no loopback address\n");
        load_http(&fixture, others[i], 0600);
        check_text(fixture.reports, "");
        CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
        CU_ASSERT_STRING_EQUAL(fixture.config->http_token, "geheim");
    }
    config_fixture_fini(&fixture);
}

static void
token_file_that_others_may_use_is_refused(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    load_http(&fixture, "0.0.0.0:8183", 0604);
    check_text(fixture.reports, "E main.ini:4: [control] token_file: others may use the file: "
                                "chmod o-rwx\n");
    config_fixture_fini(&fixture);
}

static void
http_is_on_by_default_and_empty_is_off(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture, "[udp x]\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_STRING_EQUAL(fixture.config->http, "127.0.0.1:8183");
    config_fixture_load_text(&fixture, "[udp x]\n[control]\nhttp =\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.config);
    CU_ASSERT_STRING_EQUAL(fixture.config->http, "");
    config_fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(http_beyond_loopback_needs_a_token),
    UNIT_TEST(token_file_that_others_may_use_is_refused),
    UNIT_TEST(http_is_on_by_default_and_empty_is_off),
    UNIT_TEST(password_is_refused_if_others_may_use_the_file),
    UNIT_TEST(password_cut_by_a_comment_is_refused),
    UNIT_TEST(password_without_a_username_is_refused),
    UNIT_TEST(password_file_gives_its_line_without_the_end),
    UNIT_TEST(password_file_that_is_open_empty_or_too_long_is_refused),
    UNIT_TEST(password_file_that_is_missing_is_refused),
    UNIT_TEST(password_and_password_file_together_are_refused),
};

UNIT_MAIN("config password", tests)
