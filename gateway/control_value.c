/* SPDX-License-Identifier: Apache-2.0 */
/* Values of control answers and requests. */
#include "control_value.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

void
control_value_count(cJSON *object, const char *name, uint64_t value)
{
    cJSON_AddNumberToObject(object, name, (double)value);
}

cJSON *
control_value_text(struct dm_span text)
{
    char *copy = malloc(text.len + 1); /* cJSON wants a terminator */
    cJSON *item = NULL;

    if (copy != NULL) {
        if (text.len > 0)
            memcpy(copy, text.data, text.len);
        copy[text.len] = '\0';
        item = cJSON_CreateString(copy);
    }
    free(copy);
    return item;
}

void
control_value_quality(cJSON *object, const struct framing_quality *quality)
{
    if (quality->has_rssi)
        cJSON_AddNumberToObject(object, "rssi", quality->rssi);
    if (quality->has_lqi)
        cJSON_AddNumberToObject(object, "lqi", quality->lqi);
    if (quality->has_snr)
        cJSON_AddNumberToObject(object, "snr", quality->snr);
}

cJSON *
control_value_link(cJSON *links, const struct transport *transport,
                   const struct transport_status *status)
{
    cJSON *link = cJSON_CreateObject();

    cJSON_AddStringToObject(link, "kind", transport->kind);
    cJSON_AddStringToObject(link, "name", transport->name);
    cJSON_AddBoolToObject(link, "up", status->up);
    cJSON_AddItemToArray(links, link);
    return link;
}

void
control_value_sessions(cJSON *object, const struct engine_status *status)
{
    cJSON *sessions = cJSON_AddObjectToObject(object, "sessions");
    uint64_t total = 0;

    for (int state = 0; state < ENGINE_STATE_COUNT; state++) {
        control_value_count(sessions, engine_state_name((enum engine_state)state),
                            status->sessions[state]);
        total += status->sessions[state];
    }
    control_value_count(sessions, "total", total);
}

cJSON *
control_value_error(const char *text)
{
    cJSON *answer = cJSON_CreateObject();

    cJSON_AddStringToObject(answer, "error", text);
    return answer;
}

const char *
control_value_request(const cJSON *request, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, name));
}
