/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <math.h>
#include <stdio.h>

enum { ROUNDS_MAX = 16, CELL_MAX = 32 };

/* Of the rounds that measured it; NAN without any. */
struct spread {
    double median, min, max;
};

static struct spread
spread_of(const struct table_row *row, unsigned kind, enum figure figure)
{
    double values[ROUNDS_MAX];
    size_t count = 0;
    struct spread spread = {(double)NAN, (double)NAN, (double)NAN};

    for (unsigned i = 0; row->figures[kind] != NULL && i < row->rounds; i++)
        if (!isnan(row->figures[kind][i].value[figure]))
            values[count++] = row->figures[kind][i].value[figure];
    if (count > 0) {
        spread.median = measure_quantile(values, count, 0.5);
        spread.min = values[0];
        spread.max = values[count - 1];
    }
    return spread;
}

static const char *
cell(char *text, double value, int digits)
{
    if (isnan(value))
        snprintf(text, CELL_MAX, "-");
    else
        snprintf(text, CELL_MAX, "%.*f", digits, value);
    return text;
}

static void
put(double value, int digits, int width)
{
    char text[CELL_MAX];

    printf(" %*s |", width, cell(text, value, digits));
}

void
table_head(void)
{
    static const char *const heads[] = {
        "scenario",     "devices",     "server",         "messages",      "per second",
        "CPU µs",       "min..max",    "× null",         "× forward",     "wait p50 µs",
        "p99 µs",       "longest µs",  "octets/session", "octets/queued", "disk octets",
        "store octets", "private MiB", "lost",
    };
    size_t count = sizeof heads / sizeof *heads;

    for (size_t i = 0; i < count; i++)
        printf("| %s ", heads[i]);
    printf("|\n");
    for (size_t i = 0; i < count; i++)
        printf(i == 0 || i == 2 ? "|---" : "|--:");
    printf("|\n");
    fflush(stdout);
}

static double
ratio(const struct table_row *row, unsigned kind, unsigned to)
{
    if (kind != SERVER_DORMOUSE)
        return (double)NAN;
    return spread_of(row, kind, FIGURE_CPU_US).median / spread_of(row, to, FIGURE_CPU_US).median;
}

static void
show_server(const struct table_row *row, unsigned kind)
{
    static const char *const names[] = {"dormouse", "null", "forwarder"};
    struct spread cpu = spread_of(row, kind, FIGURE_CPU_US);
    struct spread lost = spread_of(row, kind, FIGURE_LOST);
    double messages = spread_of(row, kind, FIGURE_MESSAGES).median;
    double seconds = spread_of(row, kind, FIGURE_SECONDS).median;
    char least[CELL_MAX];
    char most[CELL_MAX];
    char range[2 * CELL_MAX + 4];

    snprintf(range, sizeof range, "%s..%s", cell(least, cpu.min, 1), cell(most, cpu.max, 1));
    printf("| %-24s | %6u | %-9s |", row->name, row->devices, names[kind]);
    put(messages, 0, 7);
    put(messages / seconds, 0, 7);
    put(cpu.median, 1, 6);
    printf(" %13s |", range);
    put(ratio(row, kind, SERVER_NULL), 1, 4);
    put(ratio(row, kind, SERVER_FORWARDER), 1, 4);
    put(spread_of(row, kind, FIGURE_WAIT_P50_US).median, 0, 6);
    put(spread_of(row, kind, FIGURE_WAIT_P99_US).median, 0, 6);
    put(spread_of(row, kind, FIGURE_WAIT_MAX_US).median, 0, 6);
    put(spread_of(row, kind, FIGURE_SESSION_OCTETS).median, 0, 5);
    put(spread_of(row, kind, FIGURE_QUEUED_OCTETS).median, 0, 5);
    put(spread_of(row, kind, FIGURE_DISK_OCTETS).median, 0, 6);
    put(spread_of(row, kind, FIGURE_STORE_OCTETS).median, 0, 6);
    put(spread_of(row, kind, FIGURE_PRIVATE_MIB).median, 1, 6);
    printf(lost.max > 0 ? " **%.0f** |\n" : " %.0f |\n", lost.max);
}

bool
table_show(const struct table_row *row)
{
    bool good = true;

    for (unsigned kind = 0; kind < SERVER_KINDS; kind++) {
        if (row->figures[kind] == NULL)
            continue;
        show_server(row, kind);
        good = good && spread_of(row, kind, FIGURE_LOST).max <= 0 &&
               spread_of(row, kind, FIGURE_CPU_US).min >= 0 &&
               spread_of(row, kind, FIGURE_SECONDS).min > 0;
    }
    fflush(stdout);
    return good;
}
