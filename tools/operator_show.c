/* SPDX-License-Identifier: Apache-2.0 */
/* Prints one device, its queue and its packets from JSON that is not trusted to be complete. */
#include "operator_show.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "human.h"
#include "operator_values.h"

static const cJSON *
member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

static const char *
yes_or_no(const cJSON *object, const char *key)
{
    const cJSON *item = member(object, key);

    if (!cJSON_IsBool(item))
        return values_absent;
    return cJSON_IsTrue(item) ? "yes" : "no";
}

static void
print_head(const cJSON *answer, FILE *out)
{
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];
    char c[VALUES_TEXT_MAX];

    fprintf(out, "Device    %s: %s, %s session\n", values_text(a, answer, "client_id"),
            values_text(b, answer, "state"),
            values_is_true(answer, "clean") ? "clean" : "persistent");
    if (cJSON_IsString(member(answer, "section")))
        fprintf(out, "Section   [client %s]\n", values_text(a, answer, "section"));
    fprintf(out, "Address   %s, signal %s\n", values_text(a, answer, "address"),
            values_signal(b, answer));
    fprintf(out, "Heard     %s ago, keep alive %s s, last sleep %s s\n",
            values_human(a, answer, "last_contact_ms", human_duration),
            values_count(b, answer, "keepalive_s"), values_count(c, answer, "sleep_s"));
}

static void
print_own(const cJSON *own, FILE *out)
{
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];

    if (!cJSON_IsObject(own))
        return;
    fprintf(out, "Broker    connection of its own %s, messages wait at the %s\n",
            values_text(a, own, "connection"), values_text(b, own, "hold"));
    const char *error = cJSON_GetStringValue(member(own, "error"));

    if (error != NULL && *error != '\0')
        fprintf(out, "          %s\n", values_text(a, own, "error"));
}

static void
print_will(const cJSON *will, FILE *out)
{
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];
    char c[VALUES_TEXT_MAX];

    if (cJSON_IsObject(will))
        fprintf(out, "Will      %s: %s, QoS %s%s\n", values_text(a, will, "topic"),
                values_human(b, will, "octets", human_octets), values_count(c, will, "qos"),
                values_is_true(will, "retain") ? ", retained" : "");
    else
        fprintf(out, "Will      none\n");
}

static void
print_queue(const cJSON *answer, FILE *out)
{
    static const char *const keys[] = {"sent", "received", "waiting", "disk", "suback"};
    static const char *const labels[] = {"sent, not answered", "received, not completed",
                                         "waiting for the device", "waiting for the disk",
                                         "waiting for SUBACK"};
    const cJSON *queue = member(answer, "queue");
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];
    char c[VALUES_TEXT_MAX];
    char d[VALUES_TEXT_MAX];

    fprintf(out, "Messages  %s delivered, %s dropped, %s of the device not answered yet\n",
            values_count(a, answer, "delivered"), values_count(b, answer, "dropped"),
            values_count(c, answer, "open_uplinks"));
    fprintf(out, "Queue     %s messages, %s, %s of them on disk\n",
            values_count(a, queue, "messages"), values_human(b, queue, "octets", human_octets),
            values_count(c, queue, "stored"));
    fprintf(out, "          QoS 0: %s, QoS 1: %s, QoS 2: %s\n", values_count(a, queue, "qos0"),
            values_count(b, queue, "qos1"), values_count(c, queue, "qos2"));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        uint64_t number = 0;

        if (values_number(queue, keys[i], &number) && number > 0)
            fprintf(out, "          %s %s\n", values_count(d, queue, keys[i]), labels[i]);
    }
}

static void
print_timers(const cJSON *answer, FILE *out)
{
    const cJSON *timers = member(answer, "timers");
    const char *state = cJSON_GetStringValue(member(answer, "state"));
    bool away = state != NULL && (strcmp(state, "lost") == 0 || strcmp(state, "disconnected") == 0);
    uint64_t number = 0;
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];
    char c[VALUES_TEXT_MAX];

    if (values_number(timers, "supervision_ms", &number))
        fprintf(out, "Timers    %s in %s without a word of it\n", away ? "removed" : "lost",
                values_human(a, timers, "supervision_ms", human_duration));
    else
        fprintf(out, "Timers    silence does not end it now\n");
    if (cJSON_IsString(member(timers, "exchange")))
        fprintf(out, "          %s is not answered, again in %s (repeated %s times)\n",
                values_text(a, timers, "exchange"),
                values_human(b, timers, "retry_ms", human_duration),
                values_count(c, timers, "retries"));
    if (values_number(timers, "pause_ms", &number) && number > 0)
        fprintf(out, "          the device is congested: it gets nothing for %s\n",
                values_human(a, timers, "pause_ms", human_duration));
    if (values_is_true(timers, "stalled"))
        fprintf(out, "          it did not answer: messages wait for a sign of life\n");
    if (cJSON_IsFalse(member(timers, "link_has_room")))
        fprintf(out, "          the link is full: messages wait for it\n");
}

static enum dm_result
add_subscription(struct table *table, const cJSON *sub)
{
    char texts[4][VALUES_TEXT_MAX];
    const char *cells[] = {
        values_text(texts[0], sub, "filter"),  values_count(texts[1], sub, "qos"),
        values_text(texts[2], sub, "made_by"), values_count(texts[3], sub, "topic_id"),
        yes_or_no(sub, "confirmed"),
    };

    return values_add_row(table, cells, sizeof cells / sizeof cells[0]);
}

static enum dm_result
add_topic(struct table *table, const cJSON *topic)
{
    char texts[2][VALUES_TEXT_MAX];
    const char *cells[] = {
        values_count(texts[0], topic, "id"),
        values_is_true(topic, "refused") ? "refused" : yes_or_no(topic, "known"),
        values_text(texts[1], topic, "name"),
    };

    return values_add_row(table, cells, sizeof cells / sizeof cells[0]);
}

static enum dm_result
add_event(struct table *table, const cJSON *event)
{
    char texts[2][VALUES_TEXT_MAX];
    const char *cells[] = {
        values_human(texts[0], event, "age_ms", human_duration),
        values_text(texts[1], event, "text"),
    };

    return values_add_row(table, cells, sizeof cells / sizeof cells[0]);
}

struct list {
    const char *key;
    const struct table_column *columns;
    size_t count;
    values_add *add;
};

/* Nothing for an empty list. */
static enum dm_result
print_list(const cJSON *answer, const struct list *list, FILE *out)
{
    const cJSON *items = member(answer, list->key);

    if (cJSON_GetArraySize(items) == 0)
        return DM_OK;
    fputc('\n', out);
    return values_print_table(list->columns, list->count, list->add, items, out);
}

enum dm_result
operator_show_print(const cJSON *answer, FILE *out)
{
    static const struct table_column subscriptions[] = {{"SUBSCRIPTION", false},
                                                        {"QOS", true},
                                                        {"MADE BY", false},
                                                        {"TOPIC ID", true},
                                                        {"AT BROKER", false}};
    static const struct table_column topics[] = {
        {"TOPIC ID", true}, {"KNOWN", false}, {"NAME", false}};
    static const struct table_column errors[] = {{"AGO", true}, {"ERROR", false}};
    static const struct table_column events[] = {{"AGO", true}, {"EVENT", false}};
    static const struct list lists[] = {
        {"subscriptions", subscriptions, 5, add_subscription},
        {"topics", topics, 3, add_topic},
        {"errors", errors, 2, add_event},
        {"history", events, 2, add_event},
    };
    enum dm_result result = DM_OK;

    print_head(answer, out);
    print_timers(answer, out);
    print_own(member(answer, "own"), out);
    print_will(member(answer, "will"), out);
    print_queue(answer, out);
    for (size_t i = 0; result == DM_OK && i < sizeof lists / sizeof lists[0]; i++)
        result = print_list(answer, &lists[i], out);
    return result;
}

static enum dm_result
add_message(struct table *table, const cJSON *message)
{
    char texts[5][VALUES_TEXT_MAX];
    const char *cells[] = {
        values_human(texts[0], message, "age_ms", human_duration),
        values_count(texts[1], message, "qos"),
        values_count(texts[2], message, "octets"),
        values_text(texts[3], message, "progress"),
        yes_or_no(message, "stored"),
        values_text(texts[4], message, "topic"),
    };

    return values_add_row(table, cells, sizeof cells / sizeof cells[0]);
}

enum dm_result
operator_show_print_queue(const cJSON *answer, FILE *out)
{
    static const struct table_column columns[] = {{"AGE", true},     {"QOS", true},
                                                  {"OCTETS", true},  {"STATE", false},
                                                  {"STORED", false}, {"TOPIC", false}};

    return values_print_table(columns, sizeof columns / sizeof columns[0], add_message,
                              member(answer, "messages"), out);
}

/* Local time of day. */
static const char *
clock_text(char *text, const cJSON *line)
{
    uint64_t ms = 0;
    struct tm broken;
    char hours[16];

    snprintf(text, VALUES_TEXT_MAX, "%s", values_absent);
    if (!values_number(line, "time_ms", &ms))
        return text;
    time_t seconds = (time_t)(ms / 1000);
    if (localtime_r(&seconds, &broken) != NULL &&
        strftime(hours, sizeof hours, "%H:%M:%S", &broken) > 0)
        snprintf(text, VALUES_TEXT_MAX, "%s.%03u", hours, (unsigned)(ms % 1000));
    return text;
}

void
operator_show_print_packet(const cJSON *line, FILE *out)
{
    char a[VALUES_TEXT_MAX];
    char b[VALUES_TEXT_MAX];
    char c[VALUES_TEXT_MAX];
    char d[VALUES_TEXT_MAX];

    if (member(line, "lost") != NULL)
        fprintf(out, "... %s packets are not shown: this terminal was too slow\n",
                values_count(a, line, "lost"));
    else if (member(line, "tracing") == NULL)
        fprintf(out, "%s  %-4s  %s  %s%s\n", clock_text(a, line), values_text(b, line, "direction"),
                values_text(c, line, "address"), values_text(d, line, "packet"),
                values_is_true(line, "held") ? " (when it is on disk)" : "");
}
