/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a JSON answer as texts; a missing or wrong one is "-". */
#include "operator_values.h"

#include <inttypes.h>
#include <string.h>

#include <cjson/cJSON.h>

#include <dormouse/log.h>

#define NUMBER_MAX 9007199254740992.0 /* 2^53: a JSON number is a double */

const char values_absent[] = "-";

bool
values_number(const cJSON *object, const char *key, uint64_t *number)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > NUMBER_MAX)
        return false;
    *number = (uint64_t)item->valuedouble;
    return true;
}

bool
values_signed(const cJSON *object, const char *key, int *number)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= INT16_MIN) || item->valuedouble > INT16_MAX)
        return false;
    *number = (int)item->valuedouble;
    return true;
}

bool
values_is_true(const cJSON *object, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

const char *
values_text(char *text, const cJSON *object, const char *key)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    return log_escape(text, VALUES_TEXT_MAX,
                      dm_span_text(value != NULL && value[0] != '\0' ? value : values_absent));
}

const char *
values_count(char *text, const cJSON *object, const char *key)
{
    uint64_t number = 0;

    if (values_number(object, key, &number))
        snprintf(text, VALUES_TEXT_MAX, "%" PRIu64, number);
    else
        snprintf(text, VALUES_TEXT_MAX, "%s", values_absent);
    return text;
}

const char *
values_human(char *text, const cJSON *object, const char *key,
             const char *(*human)(char *text, uint64_t number))
{
    uint64_t number = 0;

    if (values_number(object, key, &number))
        human(text, number);
    else
        snprintf(text, VALUES_TEXT_MAX, "%s", values_absent);
    return text;
}

const char *
values_rssi(char *text, const cJSON *object)
{
    int number = 0;

    if (values_signed(object, "rssi", &number))
        snprintf(text, VALUES_TEXT_MAX, "%d%s", number, number < 0 ? " dBm" : "");
    else
        snprintf(text, VALUES_TEXT_MAX, "%s", values_absent);
    return text;
}

const char *
values_snr(char *text, const cJSON *object)
{
    int number = 0;

    if (values_signed(object, "snr", &number))
        snprintf(text, VALUES_TEXT_MAX, "%d dB", number);
    else
        snprintf(text, VALUES_TEXT_MAX, "%s", values_absent);
    return text;
}

const char *
values_signal(char *text, const cJSON *session)
{
    int rssi = 0;
    int number = 0;
    bool has_rssi = values_signed(session, "rssi", &rssi);

    if (has_rssi && rssi < 0)
        return values_rssi(text, session);
    if (values_signed(session, "lqi", &number))
        snprintf(text, VALUES_TEXT_MAX, "lqi %d", number);
    else if (has_rssi)
        snprintf(text, VALUES_TEXT_MAX, "rssi %d", rssi);
    else
        return values_snr(text, session);
    return text;
}

enum dm_result
values_add_row(struct table *table, const char *const *cells, size_t count)
{
    enum dm_result result = DM_OK;

    for (size_t i = 0; result == DM_OK && i < count; i++)
        result = table_add(table, cells[i]);
    return result;
}

enum dm_result
values_print_table(const struct table_column *columns, size_t count, values_add *add,
                   const cJSON *list, FILE *out)
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
