/* SPDX-License-Identifier: Apache-2.0 */
/* Levels of log lines, for all modules and for single ones, and the folding of repeats. */
#include <stdio.h>
#include <string.h>

#include <dormouse/log.h>

#include "log_capture.h"
#include "steady_clock.h"
#include "unit.h"

static char text[8192];

static void
check_levels(const char *levels, const char *wanted)
{
    CU_ASSERT_PTR_NULL(log_check_levels(levels));
    log_set_levels(levels);
    log_capture_start();
    log_debug("packet", "p");
    log_info("session", "s");
    log_warning("udp", "u");
    log_error("store", "e");
    log_capture_finish(text, sizeof text);
    if (strcmp(text, wanted) != 0)
        printf("\n%s gives\n%s", levels, text);
    CU_ASSERT_STRING_EQUAL(text, wanted);
    log_set_level(LOG_LEVEL_INFO);
}

static void
level_of_a_module_goes_before_that_of_all(void)
{
    check_levels("info", "session: s\nudp: warning: u\nstore: error: e\n");
    check_levels("info, packet=debug",
                 "packet: debug: p\nsession: s\nudp: warning: u\nstore: error: e\n");
    check_levels("packet = debug ,session=error",
                 "packet: debug: p\nudp: warning: u\nstore: error: e\n");
    check_levels("error,udp=warning", "udp: warning: u\nstore: error: e\n");
    check_levels("debug,udp=error, packet=info", "session: s\nstore: error: e\n");
}

static void
levels_that_are_impossible_are_refused_with_the_reason(void)
{
    static const char *const bad[] = {
        "", "loud", "info,", "info, debug", "radio=info", "packet=", "packet=info=debug", "=info"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_PTR_NOT_NULL(log_check_levels(bad[i]));
    CU_ASSERT_PTR_NOT_NULL(strstr(log_check_levels("radio=info"), "module"));
    CU_ASSERT_PTR_NOT_NULL(strstr(log_check_levels("info, debug"), "two levels"));
}

static void
change_of_a_module_leaves_the_others(void)
{
    static const struct {
        const char *change, *gives;
    } steps[] = {
        {"packet=debug", "warning, packet=debug, udp=error"},
        {"udp=info,store=notice", "warning, packet=debug, store=notice, udp=info"},
        {"packet=warning", "warning, store=notice, udp=info"}, /* as all others */
        {"udp=debug, error", "error, udp=debug"},
        {"info", "info"},
    };
    char levels[LOG_LEVELS_TEXT_MAX];

    log_set_levels("udp=error, warning");
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        log_change_levels(steps[i].change);
        CU_ASSERT_STRING_EQUAL(log_levels_text(levels), steps[i].gives);
        CU_ASSERT_EQUAL(log_enabled(LOG_LEVEL_DEBUG), strstr(levels, "debug") != NULL);
    }
}

static void
text_of_levels_has_room_for_all_modules(void)
{
    char levels[LOG_LEVELS_TEXT_MAX], one[64], copy[LOG_LEVELS_TEXT_MAX];

    log_set_levels("error");
    for (size_t i = 0; log_modules[i] != NULL; i++) {
        snprintf(one, sizeof one, "%s=warning", log_modules[i]);
        log_change_levels(one);
        CU_ASSERT_PTR_NOT_NULL(strstr(log_levels_text(levels), one));
    }
    CU_ASSERT_PTR_NULL(log_check_levels(levels));
    log_set_levels(levels);
    CU_ASSERT_STRING_EQUAL(log_levels_text(copy), levels);
    log_set_level(LOG_LEVEL_INFO);
}

static void
enabled_tells_whether_any_module_writes_such_lines(void)
{
    log_set_levels("warning, packet=debug");
    CU_ASSERT_TRUE(log_enabled(LOG_LEVEL_DEBUG));
    log_set_levels("warning, packet=error");
    CU_ASSERT_FALSE(log_enabled(LOG_LEVEL_INFO));
    CU_ASSERT_TRUE(log_enabled(LOG_LEVEL_WARNING));
    log_set_level(LOG_LEVEL_INFO);
}

static void
begin(void)
{
    log_capture_start();
    log_fold_repeats(true);
}

static void
check_written(const char *wanted)
{
    log_fold_repeats(false);
    log_capture_finish(text, sizeof text);
    if (strcmp(text, wanted) != 0)
        printf("\n%s", text);
    CU_ASSERT_STRING_EQUAL(text, wanted);
}

static void
repeats_are_counted_until_another_line_comes(void)
{
    steady_clock_freeze();
    begin();
    for (int i = 0; i < 4; i++)
        log_warning("serial", "port %s is away", "barn");
    log_warning("serial", "port shed is away");
    log_warning("serial", "port shed is away");
    log_info("serial", "port shed is away"); /* another level, another module: another line */
    log_info("udp", "port shed is away");
    check_written("serial: warning: port barn is away\n"
                  "serial: warning: last message repeated 3 times\n"
                  "serial: warning: port shed is away\n"
                  "serial: warning: last message repeated 1 time\n"
                  "serial: port shed is away\n"
                  "udp: port shed is away\n");
    steady_clock_release();
}

static void
repeats_are_told_after_10_seconds(void)
{
    steady_clock_freeze();
    begin();
    log_info("udp", "x");
    log_info("udp", "x");
    steady_clock_advance(LOG_FOLD_MS - 1);
    log_flush_repeats(); /* not yet */
    log_info("udp", "x");
    steady_clock_advance(1);
    log_flush_repeats();
    log_flush_repeats(); /* once only */
    log_info("udp", "x");
    check_written("udp: x\nudp: last message repeated 2 times\nudp: x\n");
    steady_clock_release();
}

static void
repeat_after_10_seconds_is_written_again(void)
{
    steady_clock_freeze();
    begin();
    log_info("udp", "x");
    log_info("udp", "x");
    steady_clock_advance(LOG_FOLD_MS);
    log_info("udp", "x");
    log_info("udp", "x");
    check_written("udp: x\nudp: last message repeated 1 time\nudp: x\n"
                  "udp: last message repeated 1 time\n");
    steady_clock_release();
}

static void
debug_lines_are_each_written(void)
{
    log_set_level(LOG_LEVEL_DEBUG);
    begin();
    log_debug("packet", "PINGREQ");
    log_debug("packet", "PINGREQ");
    check_written("packet: debug: PINGREQ\npacket: debug: PINGREQ\n");
    log_set_level(LOG_LEVEL_INFO);
}

static void
nothing_is_folded_unless_asked_for(void)
{
    log_capture_start();
    log_info("udp", "x");
    log_info("udp", "x");
    log_capture_finish(text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "udp: x\nudp: x\n");
}

static void
long_line_is_cut_and_still_a_line(void)
{
    static char octets[3000];

    memset(octets, 'x', sizeof octets - 1);
    log_capture_start();
    log_info("udp", "%s", octets);
    log_capture_finish(text, sizeof text);
    CU_ASSERT(strlen(text) > 1000 && strlen(text) <= 1024);
    CU_ASSERT_EQUAL(text[strlen(text) - 1], '\n');
}

static const struct unit_test tests[] = {
    UNIT_TEST(level_of_a_module_goes_before_that_of_all),
    UNIT_TEST(levels_that_are_impossible_are_refused_with_the_reason),
    UNIT_TEST(change_of_a_module_leaves_the_others),
    UNIT_TEST(text_of_levels_has_room_for_all_modules),
    UNIT_TEST(enabled_tells_whether_any_module_writes_such_lines),
    UNIT_TEST(repeats_are_counted_until_another_line_comes),
    UNIT_TEST(repeats_are_told_after_10_seconds),
    UNIT_TEST(repeat_after_10_seconds_is_written_again),
    UNIT_TEST(debug_lines_are_each_written),
    UNIT_TEST(nothing_is_folded_unless_asked_for),
    UNIT_TEST(long_line_is_cut_and_still_a_line),
};

UNIT_MAIN("log", tests)
