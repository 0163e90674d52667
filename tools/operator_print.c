/* SPDX-License-Identifier: Apache-2.0 */
/* Prints status and sessions from JSON that is not trusted to be complete. */
#include "operator_print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cjson/cJSON.h>

#include <dormouse/log.h>

#include "human.h"
#include "operator_links.h"
#include "operator_values.h"

#define SESSION_COLUMNS 9  /* with SIGNAL */
#define CLIENT_ID_SHOWN 24 /* columns; a longer one ends in "..." */

static void
print_head(const cJSON *answer, FILE *out)
{
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];
    char c[VALUES_TEXT_MAX];
    char d[VALUES_TEXT_MAX];
    char e[VALUES_TEXT_MAX];

    fprintf(out, "Gateway   %s (id %s), version %s, process %s, up %s\n",
            values_text(a, answer, "name"), values_count(b, answer, "gateway_id"),
            values_text(c, answer, "version"), values_count(d, answer, "pid"),
            values_human(e, answer, "uptime_ms", human_duration));
}

/* A line of its own, if there is an error. */
static void
print_error(const cJSON *object, FILE *out)
{
    const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "error"));
    char text[VALUES_TEXT_MAX];

    if (error != NULL && error[0] != '\0')
        fprintf(out, "          %s\n", log_escape(text, sizeof text, dm_span_text(error)));
}

static void
print_tls(const cJSON *tls, FILE *out)
{
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];

    if (!cJSON_IsObject(tls))
        return;
    fprintf(out, "          %s %s", values_text(a, tls, "version"), values_text(b, tls, "cipher"));
    if (cJSON_HasObjectItem(tls, "certificate_ends"))
        fprintf(out, ", certificate ends %s", values_text(a, tls, "certificate_ends"));
    if (cJSON_HasObjectItem(tls, "own_certificate_ends"))
        fprintf(out, ", ours %s", values_text(a, tls, "own_certificate_ends"));
    fputc('\n', out);
}

/* The other ones, and why they are not connected. */
static void
print_urls(const cJSON *broker, FILE *out)
{
    const char *current = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(broker, "url"));
    const cJSON *item;
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(broker, "urls"))
    {
        const char *url = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "url"));
        const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "error"));

        bool told = error != NULL && error[0] != '\0';

        if (url != NULL && current != NULL && strcmp(url, current) != 0)
            fprintf(out, "          also %s%s%s\n", values_text(a, item, "url"), told ? ": " : "",
                    told ? values_text(b, item, "error") : "");
    }
}

static void
print_broker(const cJSON *broker, FILE *out)
{
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];
    char c[VALUES_TEXT_MAX];
    char d[VALUES_TEXT_MAX];

    fprintf(out, "Broker    %s: %s, MQTT %s, %s connects\n", values_text(a, broker, "url"),
            values_text(b, broker, "state"), values_text(c, broker, "version"),
            values_count(d, broker, "connects"));
    print_error(broker, out);
    print_tls(cJSON_GetObjectItemCaseSensitive(broker, "tls"), out);
    print_urls(broker, out);
    const char *topics =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(broker, "status_topics"));

    if (topics != NULL && *topics != '\0')
        fprintf(out, "          status topics %s#\n", values_text(a, broker, "status_topics"));
}

struct labelled_count {
    const char *key;
    const char *label;
};

static void
print_counts(const cJSON *object, const struct labelled_count *counts, size_t count, FILE *out)
{
    char text[VALUES_TEXT_MAX];

    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%s %s", i > 0 ? ", " : "", values_count(text, object, counts[i].key),
                counts[i].label);
    fputc('\n', out);
}

/* Only where devices have connections of their own. */
static void
print_own(const cJSON *own, FILE *out)
{
    static const struct labelled_count counts[] = {{"connected", "connected"},
                                                   {"connecting", "connecting"},
                                                   {"closed", "closed"},
                                                   {"refused", "refused"},
                                                   {"taken_over", "taken over"}};
    uint64_t sum = 0, number;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        sum += values_number(own, counts[i].key, &number) ? number : 0;
    if (sum == 0)
        return;
    fprintf(out, "Own       ");
    print_counts(own, counts, sizeof counts / sizeof counts[0], out);
    print_error(own, out);
}

static void
print_store(const cJSON *store, FILE *out)
{
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];
    char c[VALUES_TEXT_MAX];
    char d[VALUES_TEXT_MAX];

    fprintf(out, "Store     %s: %s, %s, %s of it free, %s written\n", values_text(a, store, "path"),
            values_is_true(store, "degraded") ? "DEGRADED" : "well",
            values_human(b, store, "file_octets", human_octets),
            values_human(c, store, "free_octets", human_octets),
            values_human(d, store, "written_octets", human_octets));
    fprintf(out, "          %s commits of %s rows, last %s, longest %s\n",
            values_count(a, store, "commits"), values_count(b, store, "rows"),
            values_human(c, store, "last_commit_us", human_microseconds),
            values_human(d, store, "max_commit_us", human_microseconds));
    print_error(store, out);
}

static void
print_discovery(const cJSON *discovery, FILE *out)
{
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];

    fprintf(out, "Discovery %s advertisements, %s searches answered%s\n",
            values_count(a, discovery, "advertised"), values_count(b, discovery, "searches"),
            values_is_true(discovery, "standing_by") ? ", standing by" : "");
}

static void
print_awake(const cJSON *awake, FILE *out)
{
    const cJSON *periods = cJSON_GetObjectItemCaseSensitive(awake, "periods");
    const cJSON *ms = cJSON_GetObjectItemCaseSensitive(awake, "ms");
    char a[VALUES_TEXT_MAX];

    if (cJSON_IsNumber(periods) && cJSON_IsNumber(ms) && periods->valuedouble > 0)
        fprintf(out, "Awake     %s periods of sleepers, %.0f ms on average\n",
                values_count(a, awake, "periods"), ms->valuedouble / periods->valuedouble);
}

static void
print_load(const cJSON *answer, FILE *out)
{
    static const struct labelled_count states[] = {{"active", "active"},
                                                   {"asleep", "asleep"},
                                                   {"awake", "awake"},
                                                   {"disconnected", "disconnected"},
                                                   {"lost", "lost"}};
    static const struct labelled_count drops[] = {
        {"overflow", "overflow"}, {"too_long", "too long"},
        {"refused", "refused"},   {"qos0_offline", "QoS 0 offline"},
        {"expired", "expired"},   {"operator", "by the operator"}};
    static const struct labelled_count wills[] = {
        {"kept", "kept"}, {"published", "published"}, {"handshakes", "being set up"}};
    static const struct labelled_count bad[] = {{"malformed", "malformed"},
                                                {"unsupported", "unsupported"},
                                                {"ignored", "ignored"},
                                                {"denied", "not allowed"}};
    const cJSON *sessions = cJSON_GetObjectItemCaseSensitive(answer, "sessions");
    const cJSON *queue = cJSON_GetObjectItemCaseSensitive(answer, "queue");
    const cJSON *spool = cJSON_GetObjectItemCaseSensitive(answer, "spool");
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];

    fprintf(out, "Sessions  %s: ", values_count(a, sessions, "total"));
    print_counts(sessions, states, sizeof states / sizeof states[0], out);
    fprintf(out, "Queue     %s messages, %s for devices\n", values_count(a, queue, "messages"),
            values_human(b, queue, "octets", human_octets));
    fprintf(out, "Dropped   ");
    print_counts(cJSON_GetObjectItemCaseSensitive(queue, "dropped"), drops,
                 sizeof drops / sizeof drops[0], out);
    fprintf(out, "Spool     %s messages, %s for the broker\n", values_count(a, spool, "messages"),
            values_human(b, spool, "octets", human_octets));
    fprintf(out, "Wills     ");
    print_counts(cJSON_GetObjectItemCaseSensitive(answer, "wills"), wills,
                 sizeof wills / sizeof wills[0], out);
    print_awake(cJSON_GetObjectItemCaseSensitive(answer, "awake"), out);
    print_discovery(cJSON_GetObjectItemCaseSensitive(answer, "discovery"), out);
    fprintf(out, "Input     ");
    print_counts(cJSON_GetObjectItemCaseSensitive(answer, "input"), bad, sizeof bad / sizeof bad[0],
                 out);
}

enum dm_result
operator_print_status(const cJSON *answer, FILE *out)
{
    print_head(answer, out);
    print_broker(cJSON_GetObjectItemCaseSensitive(answer, "broker"), out);
    print_own(cJSON_GetObjectItemCaseSensitive(answer, "own"), out);
    print_store(cJSON_GetObjectItemCaseSensitive(answer, "store"), out);
    print_load(answer, out);
    fputc('\n', out);
    return operator_links_print(cJSON_GetObjectItemCaseSensitive(answer, "links"), false, out);
}

enum dm_result
operator_print_ports(const cJSON *answer, FILE *out)
{
    return operator_links_print(cJSON_GetObjectItemCaseSensitive(answer, "links"), true, out);
}

/* The connection of its own that a device has. Empty: it shares that of all. */
static const char *
session_own(const cJSON *session)
{
    const char *own = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(session, "own"));

    if (own == NULL || strcmp(own, "shared") == 0)
        return "";
    if (strcmp(own, "refused") == 0)
        return ", REFUSED";
    return strcmp(own, "taken_over") == 0 ? ", TAKEN OVER" : ", own";
}

static const char *
session_kind(char text[VALUES_TEXT_MAX], const cJSON *session)
{
    const cJSON *clean = cJSON_GetObjectItemCaseSensitive(session, "clean");

    if (!cJSON_IsBool(clean))
        return values_absent;
    snprintf(text, VALUES_TEXT_MAX, "%s%s%s", cJSON_IsTrue(clean) ? "clean" : "kept",
             values_is_true(session, "will") ? ", will" : "", session_own(session));
    return text;
}

static enum dm_result
add_session_row(struct table *table, const cJSON *session, bool with_signal)
{
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(session, "client_id"));
    char client[CLIENT_ID_SHOWN + 1];
    char texts[8][VALUES_TEXT_MAX];
    const char *cells[SESSION_COLUMNS] = {
        log_escape(client, sizeof client, dm_span_text(id != NULL ? id : values_absent)),
        values_text(texts[0], session, "state"),
        session_kind(texts[7], session),
        values_human(texts[1], session, "last_contact_ms", human_duration),
        values_count(texts[2], session, "queued"),
        values_count(texts[3], session, "delivered"),
        values_count(texts[4], session, "dropped"),
    };
    size_t count = SESSION_COLUMNS - 2;

    if (with_signal)
        cells[count++] = values_signal(texts[5], session);
    cells[count++] = values_text(texts[6], session, "address");
    return values_add_row(table, cells, count);
}

static enum dm_result
add_session(struct table *table, const cJSON *session)
{
    return add_session_row(table, session, false);
}

static enum dm_result
add_session_with_signal(struct table *table, const cJSON *session)
{
    return add_session_row(table, session, true);
}

static bool
any_has_signal(const cJSON *sessions)
{
    const cJSON *session = NULL;
    char text[VALUES_TEXT_MAX];

    cJSON_ArrayForEach(session, sessions)
    {
        if (strcmp(values_signal(text, session), values_absent) != 0)
            return true;
    }
    return false;
}

enum dm_result
operator_print_sessions(const cJSON *answer, FILE *out)
{
    static const struct table_column plain[] = {
        {"CLIENT", false}, {"STATE", false}, {"KIND", false},   {"HEARD", true},
        {"QUEUED", true},  {"SENT", true},   {"DROPPED", true}, {"ADDRESS", false},
    };
    static const struct table_column with_signal[SESSION_COLUMNS] = {
        {"CLIENT", false}, {"STATE", false}, {"KIND", false},
        {"HEARD", true},   {"QUEUED", true}, {"SENT", true},
        {"DROPPED", true}, {"SIGNAL", true}, {"ADDRESS", false},
    };
    const cJSON *sessions = cJSON_GetObjectItemCaseSensitive(answer, "sessions");

    if (any_has_signal(sessions))
        return values_print_table(with_signal, SESSION_COLUMNS, add_session_with_signal, sessions,
                                  out);
    return values_print_table(plain, SESSION_COLUMNS - 1, add_session, sessions, out);
}
