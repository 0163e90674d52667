/* SPDX-License-Identifier: Apache-2.0 */
/* The final words of dormouse fleet, as a table for people and as JSON for programs. */
#include "fleet_tally.h"

#include <inttypes.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "human.h"
#include "table.h"

static const unsigned percents[] = {50, 90, 99};
#define PERCENTS (sizeof percents / sizeof percents[0])

static void
add_count(struct table *table, uint64_t count)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRIu64, count);
    (void)table_add(table, text);
}

static void
add_time(struct table *table, const struct fleet_times *times, uint64_t us)
{
    char text[HUMAN_TEXT_MAX];

    (void)table_add(table, times->count > 0 ? human_microseconds(text, us) : "-");
}

static void
add_row(struct table *table, unsigned qos, const struct fleet_messages *messages)
{
    char name[8];

    snprintf(name, sizeof name, "%u", qos);
    (void)table_add(table, name);
    add_count(table, messages->sent);
    if (qos == 0)
        (void)table_add(table, "-");
    else
        add_count(table, messages->acknowledged);
    add_count(table, messages->received);
    add_count(table, messages->lost);
    add_count(table, messages->twice);
    add_count(table, messages->refused + messages->unanswered);
    add_count(table, messages->open);
    for (size_t i = 0; i < PERCENTS; i++)
        add_time(table, &messages->latency,
                 fleet_times_percentile(&messages->latency, percents[i]));
    add_time(table, &messages->latency, messages->latency.max_us);
}

void
fleet_tally_print(const struct fleet_tally *tally, const struct fleet_summary *summary, FILE *out)
{
    static const struct table_column columns[] = {
        {"QOS", true},  {"SENT", true},  {"ACKED", true},     {"RECEIVED", true},
        {"LOST", true}, {"TWICE", true}, {"NOT TAKEN", true}, {"OPEN", true},
        {"P50", true},  {"P90", true},   {"P99", true},       {"MAX", true}};
    char half[HUMAN_TEXT_MAX];
    char most[HUMAN_TEXT_MAX];
    char time[HUMAN_TEXT_MAX];
    struct table table;

    table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (unsigned qos = 0; qos <= 2; qos++)
        if (tally->qos[qos].sent > 0)
            add_row(&table, qos, &tally->qos[qos]);
    table_print(&table, 0, out);
    table_fini(&table);
    if (tally->awake.count > 0)
        fprintf(out, "awake: %s (p50), %s (p99); awake periods: %" PRIu64 "\n",
                human_microseconds(half, fleet_times_percentile(&tally->awake, 50)),
                human_microseconds(most, fleet_times_percentile(&tally->awake, 99)),
                tally->awake.count);
    fprintf(out,
            "connects: %" PRIu64 " accepted, %" PRIu64 " refused, %" PRIu64
            " unanswered; connections lost: %" PRIu64 "; periods skipped: %" PRIu64 "\n",
            tally->connects, tally->connects_refused, tally->connects_unanswered,
            tally->disconnected, tally->skipped);
    fprintf(out, "%u devices, %s, seed %" PRIu64 ": %s\n", summary->devices,
            human_duration(time, summary->elapsed_ms), summary->seed,
            tally->connects == 0        ? "no device could connect"
            : fleet_tally_is_bad(tally) ? "a promise was broken"
                                        : "every promise was kept");
}

static void
add_number(cJSON *object, const char *name, uint64_t number)
{
    cJSON_AddNumberToObject(object, name, (double)number);
}

static void
add_times(cJSON *object, const char *name, const struct fleet_times *times)
{
    cJSON *part = cJSON_AddObjectToObject(object, name);
    char key[8];

    add_number(part, "count", times->count);
    for (size_t i = 0; i < PERCENTS; i++) {
        snprintf(key, sizeof key, "p%u", percents[i]);
        add_number(part, key, fleet_times_percentile(times, percents[i]));
    }
    add_number(part, "max", times->max_us);
}

static void
add_messages(cJSON *list, unsigned qos, const struct fleet_messages *messages)
{
    cJSON *part = cJSON_CreateObject();

    add_number(part, "qos", qos);
    add_number(part, "sent", messages->sent);
    add_number(part, "acknowledged", messages->acknowledged);
    add_number(part, "received", messages->received);
    add_number(part, "lost", messages->lost);
    add_number(part, "twice", messages->twice);
    add_number(part, "refused", messages->refused);
    add_number(part, "unanswered", messages->unanswered);
    add_number(part, "open", messages->open);
    add_times(part, "latency_us", &messages->latency);
    cJSON_AddItemToArray(list, part);
}

void
fleet_tally_print_json(const struct fleet_tally *tally, const struct fleet_summary *summary,
                       FILE *out)
{
    cJSON *all = cJSON_CreateObject();

    add_number(all, "devices", summary->devices);
    add_number(all, "elapsed_ms", summary->elapsed_ms);
    add_number(all, "seed", summary->seed);
    cJSON_AddBoolToObject(all, "ok", !fleet_tally_is_bad(tally));
    cJSON *list = cJSON_AddArrayToObject(all, "messages");
    for (unsigned qos = 0; qos <= 2; qos++)
        if (tally->qos[qos].sent > 0)
            add_messages(list, qos, &tally->qos[qos]);
    add_times(all, "awake_us", &tally->awake);
    add_number(all, "connects", tally->connects);
    add_number(all, "connects_refused", tally->connects_refused);
    add_number(all, "connects_unanswered", tally->connects_unanswered);
    add_number(all, "disconnected", tally->disconnected);
    add_number(all, "skipped", tally->skipped);
    char *text = cJSON_PrintUnformatted(all);
    fprintf(out, "%s\n", text != NULL ? text : "{}");
    free(text);
    cJSON_Delete(all);
}
