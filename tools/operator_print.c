/* SPDX-License-Identifier: Apache-2.0 */
/* Prints status, sessions and ports from JSON that is not trusted to be complete. */
#include "operator_print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cjson/cJSON.h>

#include <dormouse/log.h>

#include "human.h"
#include "table.h"

#define TEXT_MAX 256                  /* one value as text */
#define CLIENT_ID_SHOWN 24            /* columns; a longer one ends in "..." */
#define NUMBER_MAX 9007199254740992.0 /* 2^53: a JSON number is a double */

static const char absent[] = "-";

static bool
get_number(const cJSON *object, const char *key, uint64_t *number)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > NUMBER_MAX)
        return false;
    *number = (uint64_t)item->valuedouble;
    return true;
}

static bool
is_true(const cJSON *object, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

/* Each of these writes to text[TEXT_MAX] and returns it. */
static const char *
get_text(char *text, const cJSON *object, const char *key)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    return log_escape(text, TEXT_MAX,
                      dm_span_text(value != NULL && value[0] != '\0' ? value : absent));
}

static const char *
get_count(char *text, const cJSON *object, const char *key)
{
    uint64_t number = 0;

    if (get_number(object, key, &number))
        snprintf(text, TEXT_MAX, "%" PRIu64, number);
    else
        snprintf(text, TEXT_MAX, "%s", absent);
    return text;
}

/* `human` is one of human.h. */
static const char *
get_human(char *text, const cJSON *object, const char *key,
          const char *(*human)(char *text, uint64_t number))
{
    uint64_t number = 0;

    if (get_number(object, key, &number))
        human(text, number);
    else
        snprintf(text, TEXT_MAX, "%s", absent);
    return text;
}

static void
print_head(const cJSON *answer, FILE *out)
{
    char a[TEXT_MAX];
    char b[TEXT_MAX];
    char c[TEXT_MAX];
    char d[TEXT_MAX];
    char e[TEXT_MAX];

    fprintf(out, "Gateway   %s (id %s), version %s, process %s, up %s\n",
            get_text(a, answer, "name"), get_count(b, answer, "gateway_id"),
            get_text(c, answer, "version"), get_count(d, answer, "pid"),
            get_human(e, answer, "uptime_ms", human_duration));
}

/* A line of its own, if there is an error. */
static void
print_error(const cJSON *object, FILE *out)
{
    const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "error"));
    char text[TEXT_MAX];

    if (error != NULL && error[0] != '\0')
        fprintf(out, "          %s\n", log_escape(text, sizeof text, dm_span_text(error)));
}

static void
print_broker(const cJSON *broker, FILE *out)
{
    char a[TEXT_MAX];
    char b[TEXT_MAX];
    char c[TEXT_MAX];
    char d[TEXT_MAX];

    fprintf(out, "Broker    %s: %s, MQTT %s, %s connects\n", get_text(a, broker, "url"),
            get_text(b, broker, "state"), get_text(c, broker, "version"),
            get_count(d, broker, "connects"));
    print_error(broker, out);
}

static void
print_store(const cJSON *store, FILE *out)
{
    char a[TEXT_MAX];
    char b[TEXT_MAX];
    char c[TEXT_MAX];
    char d[TEXT_MAX];

    fprintf(out, "Store     %s: %s, %s, %s of it free, %s written\n", get_text(a, store, "path"),
            is_true(store, "degraded") ? "DEGRADED" : "well",
            get_human(b, store, "file_octets", human_octets),
            get_human(c, store, "free_octets", human_octets),
            get_human(d, store, "written_octets", human_octets));
    fprintf(out, "          %s commits of %s rows, last %s, longest %s\n",
            get_count(a, store, "commits"), get_count(b, store, "rows"),
            get_human(c, store, "last_commit_us", human_microseconds),
            get_human(d, store, "max_commit_us", human_microseconds));
    print_error(store, out);
}

struct labelled_count {
    const char *key;
    const char *label;
};

static void
print_counts(const cJSON *object, const struct labelled_count *counts, size_t count, FILE *out)
{
    char text[TEXT_MAX];

    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%s %s", i > 0 ? ", " : "", get_count(text, object, counts[i].key),
                counts[i].label);
    fputc('\n', out);
}

static void
print_discovery(const cJSON *discovery, FILE *out)
{
    char a[TEXT_MAX];
    char b[TEXT_MAX];

    fprintf(out, "Discovery %s advertisements, %s searches answered%s\n",
            get_count(a, discovery, "advertised"), get_count(b, discovery, "searches"),
            is_true(discovery, "standing_by") ? ", standing by" : "");
}

static void
print_load(const cJSON *answer, FILE *out)
{
    static const struct labelled_count states[] = {{"active", "active"},
                                                   {"asleep", "asleep"},
                                                   {"awake", "awake"},
                                                   {"disconnected", "disconnected"},
                                                   {"lost", "lost"}};
    static const struct labelled_count drops[] = {{"overflow", "overflow"},
                                                  {"too_long", "too long"},
                                                  {"refused", "refused"},
                                                  {"qos0_offline", "QoS 0 offline"},
                                                  {"expired", "expired"}};
    static const struct labelled_count wills[] = {
        {"kept", "kept"}, {"published", "published"}, {"handshakes", "being set up"}};
    static const struct labelled_count bad[] = {
        {"malformed", "malformed"}, {"unsupported", "unsupported"}, {"ignored", "ignored"}};
    const cJSON *sessions = cJSON_GetObjectItemCaseSensitive(answer, "sessions");
    const cJSON *queue = cJSON_GetObjectItemCaseSensitive(answer, "queue");
    const cJSON *spool = cJSON_GetObjectItemCaseSensitive(answer, "spool");
    char a[TEXT_MAX];
    char b[TEXT_MAX];

    fprintf(out, "Sessions  %s: ", get_count(a, sessions, "total"));
    print_counts(sessions, states, sizeof states / sizeof states[0], out);
    fprintf(out, "Queue     %s messages, %s for devices\n", get_count(a, queue, "messages"),
            get_human(b, queue, "octets", human_octets));
    fprintf(out, "Dropped   ");
    print_counts(cJSON_GetObjectItemCaseSensitive(queue, "dropped"), drops,
                 sizeof drops / sizeof drops[0], out);
    fprintf(out, "Spool     %s messages, %s for the broker\n", get_count(a, spool, "messages"),
            get_human(b, spool, "octets", human_octets));
    fprintf(out, "Wills     ");
    print_counts(cJSON_GetObjectItemCaseSensitive(answer, "wills"), wills,
                 sizeof wills / sizeof wills[0], out);
    print_discovery(cJSON_GetObjectItemCaseSensitive(answer, "discovery"), out);
    fprintf(out, "Input     ");
    print_counts(cJSON_GetObjectItemCaseSensitive(answer, "input"), bad, sizeof bad / sizeof bad[0],
                 out);
}

static const char *
get_link_name(char *text, size_t size, const cJSON *link)
{
    char kind[TEXT_MAX];
    char name[TEXT_MAX];

    snprintf(text, size, "%s:%s", get_text(kind, link, "kind"), get_text(name, link, "name"));
    return text;
}

/* Thrown away in both directions. */
static const char *
get_dropped(char *text, const cJSON *link)
{
    uint64_t received = 0;
    uint64_t sent = 0;

    if (get_number(link, "rx_dropped", &received) && get_number(link, "tx_dropped", &sent))
        snprintf(text, TEXT_MAX, "%" PRIu64, received + sent);
    else
        snprintf(text, TEXT_MAX, "%s", absent);
    return text;
}

static enum dm_result
add_row(struct table *table, const char *const *cells, size_t count)
{
    enum dm_result result = DM_OK;

    for (size_t i = 0; result == DM_OK && i < count; i++)
        result = table_add(table, cells[i]);
    return result;
}

static enum dm_result
add_link(struct table *table, const cJSON *link)
{
    char name[2 * TEXT_MAX];
    char received[TEXT_MAX];
    char sent[TEXT_MAX];
    char dropped[TEXT_MAX];
    char garbage[TEXT_MAX];
    char reopens[TEXT_MAX];
    char device[TEXT_MAX];
    const char *const cells[] = {
        get_link_name(name, sizeof name, link),
        is_true(link, "up") ? "up" : "down",
        get_count(received, link, "rx_datagrams"),
        get_count(sent, link, "tx_datagrams"),
        get_dropped(dropped, link),
        get_count(garbage, link, "rx_garbage"),
        get_count(reopens, link, "reopens"),
        get_text(device, link, "device"),
    };

    return add_row(table, cells, sizeof cells / sizeof cells[0]);
}

/* Behind the table, where a narrow terminal does not cut them off. */
static void
print_link_remarks(const cJSON *links, FILE *out)
{
    const cJSON *link = NULL;
    char name[2 * TEXT_MAX];
    char error[TEXT_MAX];
    char groups[TEXT_MAX];

    cJSON_ArrayForEach(link, links)
    {
        get_text(groups, link, "groups");
        if (strcmp(groups, absent) != 0 && groups[0] != '\0')
            fprintf(out, "%s: group %s\n", get_link_name(name, sizeof name, link), groups);
        get_text(error, link, "error");
        if (!is_true(link, "up") && strcmp(error, absent) != 0)
            fprintf(out, "%s: %s\n", get_link_name(name, sizeof name, link), error);
    }
}

typedef enum dm_result add_object(struct table *table, const cJSON *object);

/* A row for each object of the list. */
static enum dm_result
print_objects(const struct table_column *columns, size_t count, add_object *add, const cJSON *list,
              FILE *out)
{
    struct table table;
    enum dm_result result = DM_OK;
    const cJSON *object = NULL;

    table_init(&table, columns, count);
    cJSON_ArrayForEach(object, list)
    {
        result = add(&table, object);
        if (result != DM_OK)
            break;
    }
    if (result == DM_OK)
        table_print(&table, table_terminal_width(out), out);
    table_fini(&table);
    return result;
}

static enum dm_result
print_links(const cJSON *links, FILE *out)
{
    static const struct table_column columns[] = {
        {"LINK", false},   {"STATE", false},  {"IN", true},      {"OUT", true},
        {"DROPPED", true}, {"GARBAGE", true}, {"REOPENS", true}, {"DEVICE", false},
    };

    fputc('\n', out);
    enum dm_result result =
        print_objects(columns, sizeof columns / sizeof columns[0], add_link, links, out);
    if (result == DM_OK)
        print_link_remarks(links, out);
    return result;
}

static enum dm_result
add_port(struct table *table, const cJSON *link)
{
    char name[2 * TEXT_MAX];
    char texts[8][TEXT_MAX];
    char device[TEXT_MAX];
    const char *const cells[] = {
        get_link_name(name, sizeof name, link),
        is_true(link, "up") ? "up" : "down",
        get_count(texts[0], link, "rx_datagrams"),
        get_human(texts[1], link, "rx_octets", human_octets),
        get_count(texts[2], link, "rx_dropped"),
        get_count(texts[3], link, "rx_garbage"),
        get_count(texts[4], link, "tx_datagrams"),
        get_human(texts[5], link, "tx_octets", human_octets),
        get_count(texts[6], link, "tx_dropped"),
        get_count(texts[7], link, "reopens"),
        get_text(device, link, "device"),
    };

    return add_row(table, cells, sizeof cells / sizeof cells[0]);
}

enum dm_result
operator_print_ports(const cJSON *answer, FILE *out)
{
    static const struct table_column columns[] = {
        {"LINK", false}, {"STATE", false},  {"IN", true},      {"OCTETS", true},
        {"LOST", true},  {"GARBAGE", true}, {"OUT", true},     {"OCTETS", true},
        {"LOST", true},  {"REOPENS", true}, {"DEVICE", false},
    };
    const cJSON *links = cJSON_GetObjectItemCaseSensitive(answer, "links");
    enum dm_result result =
        print_objects(columns, sizeof columns / sizeof columns[0], add_port, links, out);

    if (result == DM_OK)
        print_link_remarks(links, out);
    return result;
}

enum dm_result
operator_print_status(const cJSON *answer, FILE *out)
{
    print_head(answer, out);
    print_broker(cJSON_GetObjectItemCaseSensitive(answer, "broker"), out);
    print_store(cJSON_GetObjectItemCaseSensitive(answer, "store"), out);
    print_load(answer, out);
    return print_links(cJSON_GetObjectItemCaseSensitive(answer, "links"), out);
}

static const char *
session_kind(const cJSON *session)
{
    const cJSON *clean = cJSON_GetObjectItemCaseSensitive(session, "clean");
    bool will = is_true(session, "will");

    if (!cJSON_IsBool(clean))
        return absent;
    if (cJSON_IsTrue(clean))
        return will ? "clean, will" : "clean";
    return will ? "kept, will" : "kept";
}

static enum dm_result
add_session(struct table *table, const cJSON *session)
{
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(session, "client_id"));
    char client[CLIENT_ID_SHOWN + 1];
    char state[TEXT_MAX];
    char last[TEXT_MAX];
    char queued[TEXT_MAX];
    char delivered[TEXT_MAX];
    char dropped[TEXT_MAX];
    char address[TEXT_MAX];
    const char *const cells[] = {
        log_escape(client, sizeof client, dm_span_text(id != NULL ? id : absent)),
        get_text(state, session, "state"),
        session_kind(session),
        get_human(last, session, "last_contact_ms", human_duration),
        get_count(queued, session, "queued"),
        get_count(delivered, session, "delivered"),
        get_count(dropped, session, "dropped"),
        get_text(address, session, "address"),
    };

    return add_row(table, cells, sizeof cells / sizeof cells[0]);
}

enum dm_result
operator_print_sessions(const cJSON *answer, FILE *out)
{
    static const struct table_column columns[] = {
        {"CLIENT", false}, {"STATE", false}, {"KIND", false},   {"HEARD", true},
        {"QUEUED", true},  {"SENT", true},   {"DROPPED", true}, {"ADDRESS", false},
    };

    return print_objects(columns, sizeof columns / sizeof columns[0], add_session,
                         cJSON_GetObjectItemCaseSensitive(answer, "sessions"), out);
}
