/* SPDX-License-Identifier: Apache-2.0 */
/* Prints a table of links, the counters of serial lines, and a table of their nodes. */
#include "operator_links.h"

#include <inttypes.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "human.h"
#include "operator_values.h"

static const char *
get_link_name(char *text, size_t size, const cJSON *link)
{
    char kind[VALUES_TEXT_MAX];
    char name[VALUES_TEXT_MAX];

    snprintf(text, size, "%s:%s", values_text(kind, link, "kind"), values_text(name, link, "name"));
    return text;
}

/* Thrown away in both directions. */
static const char *
get_dropped(char *text, const cJSON *link)
{
    uint64_t received = 0;
    uint64_t sent = 0;

    if (values_number(link, "rx_dropped", &received) && values_number(link, "tx_dropped", &sent))
        snprintf(text, VALUES_TEXT_MAX, "%" PRIu64, received + sent);
    else
        snprintf(text, VALUES_TEXT_MAX, "%s", values_absent);
    return text;
}

static enum dm_result
add_link(struct table *table, const cJSON *link)
{
    char name[2 * VALUES_TEXT_MAX];
    char received[VALUES_TEXT_MAX];
    char sent[VALUES_TEXT_MAX];
    char dropped[VALUES_TEXT_MAX];
    char garbage[VALUES_TEXT_MAX];
    char reopens[VALUES_TEXT_MAX];
    char device[VALUES_TEXT_MAX];
    const char *const cells[] = {
        get_link_name(name, sizeof name, link),
        values_is_true(link, "up") ? "up" : "down",
        values_count(received, link, "rx_datagrams"),
        values_count(sent, link, "tx_datagrams"),
        get_dropped(dropped, link),
        values_count(garbage, link, "rx_garbage"),
        values_count(reopens, link, "reopens"),
        values_text(device, link, "device"),
    };

    return values_add_row(table, cells, sizeof cells / sizeof cells[0]);
}

/* Behind the table, where a narrow terminal does not cut them off. */
static void
print_link_remarks(const cJSON *links, FILE *out)
{
    const cJSON *link = NULL;
    char name[2 * VALUES_TEXT_MAX];
    char error[VALUES_TEXT_MAX];
    char groups[VALUES_TEXT_MAX];

    cJSON_ArrayForEach(link, links)
    {
        values_text(groups, link, "groups");
        if (strcmp(groups, values_absent) != 0 && groups[0] != '\0')
            fprintf(out, "%s: group %s\n", get_link_name(name, sizeof name, link), groups);
        values_text(error, link, "error");
        if (!values_is_true(link, "up") && strcmp(error, values_absent) != 0)
            fprintf(out, "%s: %s\n", get_link_name(name, sizeof name, link), error);
    }
}

static enum dm_result
print_short(const cJSON *links, FILE *out)
{
    static const struct table_column columns[] = {
        {"LINK", false},   {"STATE", false},  {"IN", true},      {"OUT", true},
        {"DROPPED", true}, {"GARBAGE", true}, {"REOPENS", true}, {"DEVICE", false},
    };

    return values_print_table(columns, sizeof columns / sizeof columns[0], add_link, links, out);
}

static enum dm_result
add_port(struct table *table, const cJSON *link)
{
    char name[2 * VALUES_TEXT_MAX];
    char texts[8][VALUES_TEXT_MAX];
    char device[VALUES_TEXT_MAX];
    const char *const cells[] = {
        get_link_name(name, sizeof name, link),
        values_is_true(link, "up") ? "up" : "down",
        values_count(texts[0], link, "rx_datagrams"),
        values_human(texts[1], link, "rx_octets", human_octets),
        values_count(texts[2], link, "rx_dropped"),
        values_count(texts[3], link, "rx_garbage"),
        values_count(texts[4], link, "tx_datagrams"),
        values_human(texts[5], link, "tx_octets", human_octets),
        values_count(texts[6], link, "tx_dropped"),
        values_count(texts[7], link, "reopens"),
        values_text(device, link, "device"),
    };

    return values_add_row(table, cells, sizeof cells / sizeof cells[0]);
}

static enum dm_result
print_long(const cJSON *links, FILE *out)
{
    static const struct table_column columns[] = {
        {"LINK", false}, {"STATE", false},  {"IN", true},      {"OCTETS", true},
        {"LOST", true},  {"GARBAGE", true}, {"OUT", true},     {"OCTETS", true},
        {"LOST", true},  {"REOPENS", true}, {"DEVICE", false},
    };

    return values_print_table(columns, sizeof columns / sizeof columns[0], add_port, links, out);
}

/* ---- serial lines ---- */

struct counter {
    const char *key, *label;
};

struct counter_group {
    const char *label;
    struct counter counters[4];
};

static const struct counter_group groups[] = {
    {"in",
     {{"rx_crc_errors", "crc errors"},
      {"rx_oversize", "oversize"},
      {"rx_gap_resets", "gap resets"},
      {"nodes_refused", "from nodes beyond max_nodes"}}},
    {"out",
     {{"tx_repeats", "repeats"}, {"tx_unconfirmed", "unconfirmed"}, {"tx_waiting", "waiting"}}},
    {"line",
     {{"line_frame_errors", "framing errors"},
      {"line_parity_errors", "parity errors"},
      {"line_overruns", "overruns"},
      {"line_breaks", "breaks"}}},
};

#define GROUP_COUNT (sizeof groups / sizeof groups[0])

/* Collects the counters of a group that are to be shown. False: none. */
static bool
print_group(char *text, size_t size, const cJSON *link, const struct counter_group *group, bool all)
{
    size_t used = 0;

    for (size_t i = 0; i < sizeof group->counters / sizeof group->counters[0]; i++) {
        const struct counter *counter = &group->counters[i];
        uint64_t number = 0;

        if (counter->key == NULL || !values_number(link, counter->key, &number) ||
            (number == 0 && !all))
            continue;
        int len = snprintf(text + used, size - used, "%s%" PRIu64 " %s", used > 0 ? ", " : "",
                           number, counter->label);
        used += len > 0 ? (size_t)len : 0;
        if (used >= size)
            break;
    }
    return used > 0;
}

static void
print_line(const cJSON *link, bool all, FILE *out)
{
    char name[2 * VALUES_TEXT_MAX];
    char text[VALUES_TEXT_MAX];
    bool headed = false;

    for (size_t i = 0; i < GROUP_COUNT; i++) {
        if (!print_group(text, sizeof text, link, &groups[i], all))
            continue;
        if (!headed) {
            char mtu[VALUES_TEXT_MAX];
            fprintf(out, "\n%s: mtu %s\n", get_link_name(name, sizeof name, link),
                    values_count(mtu, link, "mtu"));
        }
        headed = true;
        fprintf(out, "  %-4s  %s\n", groups[i].label, text);
    }
}

/* ---- nodes ---- */

enum { NODE_COLUMNS = 3, QUALITY_COLUMNS = 3 };

static const struct table_column node_columns[NODE_COLUMNS] = {
    {"NODE", false}, {"MESSAGES", true}, {"UNCONFIRMED", true}};
static const struct table_column quality_columns[QUALITY_COLUMNS] = {
    {"RSSI", true}, {"LQI", true}, {"SNR", true}};
static const char *const quality_keys[QUALITY_COLUMNS] = {"rssi", "lqi", "snr"};

/* Which columns of quality have anything in them. Returns the number of nodes. */
static size_t
look_at_nodes(const cJSON *links, bool known[QUALITY_COLUMNS])
{
    size_t count = 0;
    const cJSON *link = NULL;
    const cJSON *node = NULL;

    cJSON_ArrayForEach(link, links)
    {
        cJSON_ArrayForEach(node, cJSON_GetObjectItemCaseSensitive(link, "nodes"))
        {
            int number;

            for (size_t i = 0; i < QUALITY_COLUMNS; i++)
                known[i] = known[i] || values_signed(node, quality_keys[i], &number);
            count++;
        }
    }
    return count;
}

static enum dm_result
add_node(struct table *table, const cJSON *node, const bool known[QUALITY_COLUMNS])
{
    char texts[NODE_COLUMNS + QUALITY_COLUMNS][VALUES_TEXT_MAX];
    const char *quality[QUALITY_COLUMNS] = {values_rssi(texts[3], node),
                                            values_count(texts[4], node, "lqi"),
                                            values_snr(texts[5], node)};
    const char *cells[NODE_COLUMNS + QUALITY_COLUMNS] = {
        values_text(texts[0], node, "address"), values_count(texts[1], node, "messages"),
        values_count(texts[2], node, "unconfirmed")};
    size_t count = NODE_COLUMNS;

    for (size_t i = 0; i < QUALITY_COLUMNS; i++)
        if (known[i])
            cells[count++] = quality[i];
    return values_add_row(table, cells, count);
}

/* Those of all links in one table. */
static enum dm_result
print_nodes(const cJSON *links, FILE *out)
{
    struct table_column columns[NODE_COLUMNS + QUALITY_COLUMNS];
    bool known[QUALITY_COLUMNS] = {false};
    size_t count = NODE_COLUMNS;
    struct table table;
    enum dm_result result = DM_OK;
    const cJSON *link = NULL;
    const cJSON *node = NULL;

    if (look_at_nodes(links, known) == 0)
        return DM_OK;
    memcpy(columns, node_columns, sizeof node_columns);
    for (size_t i = 0; i < QUALITY_COLUMNS; i++)
        if (known[i])
            columns[count++] = quality_columns[i];
    table_init(&table, columns, count);
    cJSON_ArrayForEach(link, links)
    {
        cJSON_ArrayForEach(node, cJSON_GetObjectItemCaseSensitive(link, "nodes"))
        {
            if (result == DM_OK)
                result = add_node(&table, node, known);
        }
    }
    if (result == DM_OK) {
        fputc('\n', out);
        table_print(&table, table_terminal_width(out), out);
    }
    table_fini(&table);
    return result;
}

enum dm_result
operator_links_print(const cJSON *links, bool all, FILE *out)
{
    enum dm_result result = all ? print_long(links, out) : print_short(links, out);
    const cJSON *link = NULL;

    if (result != DM_OK)
        return result;
    print_link_remarks(links, out);
    cJSON_ArrayForEach(link, links)
    {
        print_line(link, all, out);
    }
    return print_nodes(links, out);
}
