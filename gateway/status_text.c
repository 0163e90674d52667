/* SPDX-License-Identifier: Apache-2.0 */
/* Names and payloads of the status topics. */
#include "status_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>
#include <event2/http.h>

#include "control_session.h"
#include "control_value.h"

enum { TIME_SIZE = sizeof "2026-01-01T00:00:00Z" };

static char *
print(cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);

    cJSON_Delete(object);
    return text;
}

/* ---- names ---- */

char *
status_join(const char *a, const char *b, const char *c)
{
    size_t size = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = malloc(size);

    if (text != NULL)
        snprintf(text, size, "%s%s%s", a, b, c);
    return text;
}

char *
status_client_topic(const char *prefix, struct dm_span client_id)
{
    char *id = evhttp_uriencode((const char *)client_id.data, (ev_ssize_t)client_id.len, 0);
    char *topic = id != NULL ? status_join(prefix, "clients/", id) : NULL;

    free(id);
    return topic;
}

enum dm_result
status_client_id(struct dm_span topic, uint8_t *id, size_t *len)
{
    size_t start = topic.len;

    while (start > 0 && topic.data[start - 1] != '/')
        start--;
    char *text = strndup((const char *)topic.data + start, topic.len - start);
    char *decoded = text != NULL ? evhttp_uridecode(text, 0, len) : NULL;
    bool good = decoded != NULL && *len > 0 && *len <= topic.len;

    if (good)
        memcpy(id, decoded, *len);
    free(decoded);
    free(text);
    return good ? DM_OK : DM_MALFORMED;
}

/* What Home Assistant takes as an id: letters, digits, "-" and "_", each other octet as _XX. */
static char *
discovery_id(const char *name, struct dm_span client_id)
{
    size_t room = sizeof "dormouse____" + 3 * (strlen(name) + client_id.len);
    char *id = malloc(room);
    struct dm_span parts[] = {dm_span_text(name), client_id};
    size_t used = 0;

    if (id == NULL)
        return NULL;
    used += (size_t)snprintf(id, room, "dormouse");
    for (size_t p = 0; p < 2 && (p == 0 || client_id.len > 0); p++) {
        id[used++] = '_';
        if (p > 0) /* no escape has two of them */
            id[used++] = '_';
        for (size_t i = 0; i < parts[p].len; i++) {
            uint8_t octet = parts[p].data[i];
            bool plain = (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') ||
                         (octet >= '0' && octet <= '9') || octet == '-';

            used += (size_t)snprintf(id + used, room - used, plain ? "%c" : "_%02X", octet);
        }
    }
    id[used] = '\0';
    return id;
}

char *
status_discovery_topic(const struct status_topics_options *options, const char *name,
                       struct dm_span client_id)
{
    char *id = discovery_id(name, client_id);
    char *start = status_join(options->home_assistant, "device/", id != NULL ? id : "");
    char *topic = id != NULL && start != NULL ? status_join(start, "/config", "") : NULL;

    free(start);
    free(id);
    return topic;
}

/* ---- the state of gateway and devices ---- */

/* Null if the clock is not synchronised or was not when it mattered. */
static void
add_time(cJSON *object, const char *name, uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    char text[TIME_SIZE + 16];
    struct tm parts;

    if (wall_ms == 0 || gmtime_r(&seconds, &parts) == NULL) {
        cJSON_AddNullToObject(object, name);
        return;
    }
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    cJSON_AddStringToObject(object, name, text);
}

static uint64_t
parse_time(const char *text)
{
    struct tm parts = {0};
    const char *end = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts) : NULL;

    if (end == NULL || *end != '\0' || strlen(text) >= TIME_SIZE)
        return 0;
    time_t seconds = timegm(&parts);

    return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

static void
add_links(cJSON *object, const struct control_source *source)
{
    cJSON *links = cJSON_AddArrayToObject(object, "links");

    for (size_t i = 0; i < source->transport_count; i++) {
        struct transport_status status = {0};

        source->transports[i]->ops->status(source->transports[i], &status);
        control_value_link(links, source->transports[i], &status);
    }
}

char *
status_gateway_text(const struct control_source *source, uint64_t started_ms)
{
    cJSON *object = cJSON_CreateObject();
    struct engine_status status;

    engine_status(runner_engine(source->runner), &status);
    cJSON_AddStringToObject(object, "name", source->name);
    cJSON_AddStringToObject(object, "version", DORMOUSE_VERSION);
    control_value_count(object, "gateway_id", source->gateway_id);
    add_time(object, "started", started_ms);
    control_value_sessions(object, &status);
    control_value_count(object, "queued", status.queued_messages);
    control_value_count(object, "spooled", status.spooled_messages);
    cJSON_AddBoolToObject(object, "degraded", status.degraded);
    add_links(object, source);
    return print(object);
}

char *
status_client_text(const struct control_source *source, const struct engine_change *change,
                   uint64_t wall_ms)
{
    const struct engine_session_status *session = &change->session;
    cJSON *object = cJSON_CreateObject();
    uint64_t contact_ms = change->earlier_contact_ms;

    if (session->heard)
        contact_ms = wall_ms > session->last_contact_ms ? wall_ms - session->last_contact_ms : 0;
    cJSON_AddItemToObject(object, "client_id", control_value_text(session->client_id));
    cJSON_AddBoolToObject(object, "clean", session->clean);
    control_session_where(object, source, session);
    add_time(object, "last_contact", contact_ms);
    control_value_count(object, "queued", session->queued_messages);
    control_value_count(object, "queued_octets", session->queued_octets);
    control_value_count(object, "delivered", session->delivered);
    control_value_count(object, "dropped", session->dropped);
    return print(object);
}

uint64_t
status_text_contact(struct dm_span text)
{
    cJSON *object = cJSON_ParseWithLength((const char *)text.data, text.len);
    uint64_t ms = parse_time(control_value_request(object, "last_contact"));

    cJSON_Delete(object);
    return ms;
}

/* ---- Home Assistant ---- */

struct entity {
    const char *key;                                  /* behind the id of the device */
    const char *name;                                 /* for people */
    const char *platform;                             /* sensor or binary_sensor */
    const char *device_class, *value_template, *unit; /* NULL: none */
};

static const struct entity client_entities[] = {
    {"connection", "Connection", "binary_sensor", "connectivity",
     "{{ 'ON' if value_json.state in ['active', 'awake', 'asleep'] else 'OFF' }}", NULL},
    {"state", "State", "sensor", NULL, "{{ value_json.state }}", NULL},
    {"last_contact", "Last contact", "sensor", "timestamp", "{{ value_json.last_contact }}", NULL},
    {"queued", "Queued messages", "sensor", NULL, "{{ value_json.queued }}", "messages"},
};

static const struct entity gateway_entities[] = {
    {"sessions", "Sessions", "sensor", NULL, "{{ value_json.sessions.total }}", "sessions"},
    {"lost", "Lost devices", "sensor", NULL, "{{ value_json.sessions.lost }}", "devices"},
    {"queued", "Queued messages", "sensor", NULL, "{{ value_json.queued }}", "messages"},
    {"degraded", "Storage", "binary_sensor", "problem",
     "{{ 'ON' if value_json.degraded else 'OFF' }}", NULL},
};

static void
add_text(cJSON *object, const char *name, const char *text)
{
    if (text != NULL)
        cJSON_AddStringToObject(object, name, text);
}

static void
add_joined(cJSON *object, const char *name, const char *a, const char *b, const char *c)
{
    char *text = status_join(a, b, c);

    add_text(object, name, text);
    free(text);
}

static void
add_entity(cJSON *components, const char *id, const struct entity *entity)
{
    cJSON *object = cJSON_AddObjectToObject(components, entity->key);

    cJSON_AddStringToObject(object, "platform", entity->platform);
    cJSON_AddStringToObject(object, "name", entity->name);
    add_joined(object, "unique_id", id, "_", entity->key);
    add_text(object, "device_class", entity->device_class);
    add_text(object, "value_template", entity->value_template);
    add_text(object, "unit_of_measurement", entity->unit);
    if (entity->unit != NULL)
        cJSON_AddStringToObject(object, "state_class", "measurement");
    cJSON_AddStringToObject(object, "entity_category", "diagnostic");
}

static void
add_device(cJSON *object, const char *id, const char *name, struct dm_span client_id)
{
    cJSON *device = cJSON_AddObjectToObject(object, "device");
    cJSON *identifiers = cJSON_AddArrayToObject(device, "identifiers");

    cJSON_AddItemToArray(identifiers, cJSON_CreateString(id));
    if (client_id.len == 0) {
        add_joined(device, "name", "Dormouse ", name, "");
        cJSON_AddStringToObject(device, "model", "MQTT-SN gateway");
        cJSON_AddStringToObject(device, "sw_version", DORMOUSE_VERSION);
        return;
    }
    char *gateway = discovery_id(name, (struct dm_span){0});

    cJSON_AddItemToObject(device, "name", control_value_text(client_id));
    cJSON_AddStringToObject(device, "model", "MQTT-SN device");
    add_text(device, "via_device", gateway);
    free(gateway);
}

char *
status_discovery_text(const struct status_topics_options *options, const char *name,
                      struct dm_span client_id)
{
    bool gateway = client_id.len == 0;
    const struct entity *entities = gateway ? gateway_entities : client_entities;
    size_t count = gateway ? sizeof gateway_entities / sizeof gateway_entities[0]
                           : sizeof client_entities / sizeof client_entities[0];
    char *id = discovery_id(name, client_id);
    char *topic = gateway ? status_join(options->base, "gateway", "")
                          : status_client_topic(options->base, client_id);
    cJSON *object = cJSON_CreateObject();

    if (id == NULL || topic == NULL) {
        free(id);
        free(topic);
        cJSON_Delete(object);
        return NULL;
    }
    add_device(object, id, name, client_id);
    cJSON *origin = cJSON_AddObjectToObject(object, "origin");
    cJSON_AddStringToObject(origin, "name", "Dormouse");
    cJSON_AddStringToObject(origin, "sw_version", DORMOUSE_VERSION);
    add_joined(object, "availability_topic", options->base, "status", "");
    cJSON_AddStringToObject(object, "state_topic", topic);
    cJSON *components = cJSON_AddObjectToObject(object, "components");
    for (size_t i = 0; i < count; i++)
        add_entity(components, id, &entities[i]);
    free(id);
    free(topic);
    return print(object);
}
