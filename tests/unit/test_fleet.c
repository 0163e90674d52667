/* SPDX-License-Identifier: Apache-2.0 */
/* What dormouse fleet counts, and how it is told. */
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "fleet_tally.h"
#include "unit.h"

static struct fleet_tally tally;
static struct fleet_window window;

static void
begin(unsigned qos)
{
    tally = (struct fleet_tally){0};
    window = (struct fleet_window){.tally = &tally, .qos = qos};
}

static void
percentiles_are_never_below_the_truth_and_at_most_3_percent_above(void)
{
    static struct fleet_times times;

    times = (struct fleet_times){0};
    CU_ASSERT_EQUAL(fleet_times_percentile(&times, 50), 0);
    for (uint64_t us = 1; us <= 100000; us++)
        fleet_times_add(&times, us);
    for (unsigned percent = 1; percent <= 99; percent++) {
        uint64_t truth = percent * UINT64_C(1000);
        uint64_t told = fleet_times_percentile(&times, percent);
        CU_ASSERT(told >= truth && told <= truth + truth / FLEET_STEPS);
    }
    CU_ASSERT_EQUAL(fleet_times_percentile(&times, 100), 100000);
    CU_ASSERT_EQUAL(times.max_us, 100000);
}

static void
small_times_are_exact_and_huge_ones_counted(void)
{
    static struct fleet_times times;

    times = (struct fleet_times){0};
    for (uint64_t us = 0; us < 64; us++)
        fleet_times_add(&times, us);
    CU_ASSERT_EQUAL(fleet_times_percentile(&times, 50), 31);
    fleet_times_add(&times, UINT64_MAX);
    CU_ASSERT_EQUAL(times.count, 65);
    CU_ASSERT_EQUAL(fleet_times_percentile(&times, 100), UINT64_MAX);
}

static void
message_that_is_acknowledged_and_returns_is_no_loss(void)
{
    begin(1);
    CU_ASSERT_EQUAL(fleet_window_sent(&window, 1000), 1);
    fleet_window_returned(&window, 1, 1500); /* the return may come first */
    fleet_window_acknowledged(&window);
    fleet_window_settle(&window, true);
    const struct fleet_messages *counts = &tally.qos[1];
    CU_ASSERT_EQUAL(counts->sent, 1);
    CU_ASSERT_EQUAL(counts->acknowledged, 1);
    CU_ASSERT_EQUAL(counts->received, 1);
    CU_ASSERT_EQUAL(counts->lost + counts->twice + counts->unanswered + counts->open, 0);
    CU_ASSERT_EQUAL(counts->latency.max_us, 500);
    CU_ASSERT_FALSE(fleet_tally_is_bad(&tally));
}

static void
acknowledged_message_that_stays_away_is_lost(void)
{
    begin(1);
    fleet_window_sent(&window, 0);
    fleet_window_acknowledged(&window);
    CU_ASSERT_EQUAL(fleet_window_owed(&window), 1);
    fleet_window_settle(&window, true);
    CU_ASSERT_EQUAL(tally.qos[1].lost, 1);
    CU_ASSERT_TRUE(fleet_tally_is_bad(&tally));
}

static void
message_without_acknowledgement_was_not_promised(void)
{
    begin(2);
    fleet_window_sent(&window, 0);
    CU_ASSERT_EQUAL(fleet_window_owed(&window), 0);
    fleet_window_settle(&window, true);
    CU_ASSERT_EQUAL(tally.qos[2].unanswered, 1);
    CU_ASSERT_EQUAL(tally.qos[2].lost, 0);
    CU_ASSERT_FALSE(fleet_tally_is_bad(&tally));
}

static void
refused_message_is_counted_once_and_never_lost(void)
{
    begin(1);
    fleet_window_sent(&window, 0);
    fleet_window_refused(&window);
    fleet_window_refused(&window);
    fleet_window_settle(&window, true);
    CU_ASSERT_EQUAL(tally.qos[1].refused, 1);
    CU_ASSERT_EQUAL(tally.qos[1].lost + tally.qos[1].unanswered, 0);
}

static void
loss_of_qos_0_is_counted_but_breaks_no_promise(void)
{
    begin(0);
    fleet_window_sent(&window, 0);
    CU_ASSERT_EQUAL(fleet_window_owed(&window), 0);
    CU_ASSERT_EQUAL(fleet_window_missing(&window), 1);
    fleet_window_settle(&window, true);
    CU_ASSERT_EQUAL(tally.qos[0].lost, 1);
    CU_ASSERT_FALSE(fleet_tally_is_bad(&tally));
}

static void
repeat_is_an_error_with_qos_2_only(void)
{
    for (unsigned qos = 0; qos <= 2; qos++) {
        begin(qos);
        fleet_window_sent(&window, 0);
        fleet_window_returned(&window, 1, 5);
        fleet_window_returned(&window, 1, 9);
        CU_ASSERT_EQUAL(tally.qos[qos].received, 1);
        CU_ASSERT_EQUAL(tally.qos[qos].twice, 1);
        CU_ASSERT_EQUAL(tally.qos[qos].latency.max_us, 5);
        CU_ASSERT_EQUAL(fleet_tally_is_bad(&tally), qos == 2);
    }
}

static void
number_that_was_never_sent_counts_nothing(void)
{
    begin(2);
    fleet_window_sent(&window, 0);
    fleet_window_returned(&window, 0, 1);
    fleet_window_returned(&window, 2, 1);
    CU_ASSERT_EQUAL(tally.qos[2].received + tally.qos[2].twice, 0);
}

static void
message_that_falls_out_of_the_window_is_settled(void)
{
    begin(1);
    for (unsigned i = 0; i < FLEET_WINDOW + 1; i++) {
        fleet_window_sent(&window, 0);
        fleet_window_acknowledged(&window);
    }
    CU_ASSERT_EQUAL(tally.qos[1].lost, 1);
    CU_ASSERT_EQUAL(fleet_window_owed(&window), FLEET_WINDOW);
}

static void
what_the_user_does_not_wait_for_is_open_and_not_lost(void)
{
    begin(1);
    fleet_window_sent(&window, 0);
    fleet_window_acknowledged(&window);
    fleet_window_settle(&window, false);
    CU_ASSERT_EQUAL(tally.qos[1].open, 1);
    CU_ASSERT_EQUAL(tally.qos[1].lost, 0);
    CU_ASSERT_FALSE(fleet_tally_is_bad(&tally));
}

static void
clean_session_owes_nothing_from_before(void)
{
    begin(1);
    fleet_window_sent(&window, 0);
    fleet_window_acknowledged(&window);
    fleet_window_void(&window);
    CU_ASSERT_EQUAL(fleet_window_owed(&window), 0);
    fleet_window_settle(&window, true);
    CU_ASSERT_EQUAL(tally.qos[1].unanswered, 1);
    CU_ASSERT_EQUAL(tally.qos[1].lost, 0);
}

static char *
printed(bool json)
{
    const struct fleet_summary summary = {.devices = 2, .elapsed_ms = 61000, .seed = 7};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    if (json)
        fleet_tally_print_json(&tally, &summary, out);
    else
        fleet_tally_print(&tally, &summary, out);
    fclose(out);
    return text;
}

static void
fill(void)
{
    begin(2);
    fleet_window_sent(&window, 0);
    fleet_window_acknowledged(&window);
    fleet_window_returned(&window, 1, 3000);
    fleet_times_add(&tally.awake, 20000);
    tally.connects = 2;
    tally.connects_refused = 1;
}

static void
table_has_a_row_for_each_qos_in_use(void)
{
    static const char wanted[] =
        "QOS  SENT  ACKED  RECEIVED  LOST  TWICE  NOT TAKEN  OPEN     P50     P90     P99     MAX\n"
        "  2     1      1         1     0      0          0     0  3.0 ms  3.0 ms  3.0 ms  3.0 ms\n"
        "awake: 20.0 ms (p50), 20.0 ms (p99); awake periods: 1\n"
        "connects: 2 accepted, 1 refused, 0 unanswered; connections lost: 0; periods skipped: 0\n"
        "2 devices, 1 min 1 s, seed 7: every promise was kept\n";

    fill();
    char *text = printed(false);
    CU_ASSERT_STRING_EQUAL(text, wanted);
    free(text);
    tally.qos[2].twice = 1;
    text = printed(false);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "a promise was broken"));
    free(text);
    begin(1);
    text = printed(false);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "no device could connect"));
    free(text);
}

static void
json_tells_the_same(void)
{
    fill();
    char *text = printed(true);
    cJSON *all = cJSON_Parse(text);
    cJSON *messages = cJSON_GetObjectItem(all, "messages");
    cJSON *row = cJSON_GetArrayItem(messages, 0);

    CU_ASSERT_EQUAL(cJSON_GetArraySize(messages), 1);
    CU_ASSERT_EQUAL(cJSON_GetNumberValue(cJSON_GetObjectItem(row, "qos")), 2);
    CU_ASSERT_EQUAL(cJSON_GetNumberValue(cJSON_GetObjectItem(row, "received")), 1);
    cJSON *latency = cJSON_GetObjectItem(row, "latency_us");
    CU_ASSERT_EQUAL(cJSON_GetNumberValue(cJSON_GetObjectItem(latency, "p99")), 3000);
    CU_ASSERT_TRUE(cJSON_IsTrue(cJSON_GetObjectItem(all, "ok")));
    CU_ASSERT_EQUAL(cJSON_GetNumberValue(cJSON_GetObjectItem(all, "connects_refused")), 1);
    cJSON_Delete(all);
    free(text);
}

static const struct unit_test tests[] = {
    UNIT_TEST(percentiles_are_never_below_the_truth_and_at_most_3_percent_above),
    UNIT_TEST(small_times_are_exact_and_huge_ones_counted),
    UNIT_TEST(message_that_is_acknowledged_and_returns_is_no_loss),
    UNIT_TEST(acknowledged_message_that_stays_away_is_lost),
    UNIT_TEST(message_without_acknowledgement_was_not_promised),
    UNIT_TEST(refused_message_is_counted_once_and_never_lost),
    UNIT_TEST(loss_of_qos_0_is_counted_but_breaks_no_promise),
    UNIT_TEST(repeat_is_an_error_with_qos_2_only),
    UNIT_TEST(number_that_was_never_sent_counts_nothing),
    UNIT_TEST(message_that_falls_out_of_the_window_is_settled),
    UNIT_TEST(what_the_user_does_not_wait_for_is_open_and_not_lost),
    UNIT_TEST(clean_session_owes_nothing_from_before),
    UNIT_TEST(table_has_a_row_for_each_qos_in_use),
    UNIT_TEST(json_tells_the_same),
};

UNIT_MAIN("fleet", tests)
