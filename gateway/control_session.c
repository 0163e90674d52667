/* SPDX-License-Identifier: Apache-2.0 */
/* Answers about sessions and to what operators do to them. */
#include "control_session.h"

#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "control_value.h"
#include "engine_inspect.h"
#include "topic.h"

static const char no_session[] = "no session with this client id";
static const char no_client_id[] = "a client_id is needed";

/* ---- a session ---- */

struct node_search {
    const struct dm_address *address;
    struct framing_quality quality; /* of the node with this address */
};

static void
look_at_node(void *ctx, const struct transport_node *node)
{
    struct node_search *search = ctx;

    if (dm_address_equal(&node->address, search->address))
        search->quality = node->quality;
}

/* Where the device is, and how well it was heard there. */
static void
add_address(cJSON *item, const struct transport *transport, const struct dm_address *address)
{
    struct node_search search = {.address = address};
    char text[DM_ADDRESS_TEXT_MAX];

    cJSON_AddStringToObject(item, "address",
                            transport_address_text(transport, address, text, sizeof text));
    if (transport->ops->each_node != NULL)
        transport->ops->each_node(transport, look_at_node, &search);
    control_value_quality(item, &search.quality);
}

void
control_session_where(cJSON *item, const struct control_source *source,
                      const struct engine_session_status *session)
{
    cJSON_AddStringToObject(item, "state", engine_state_name(session->state));
    if (session->has_address)
        add_address(item, source->transports[session->address.link], &session->address);
    else
        cJSON_AddStringToObject(item, "address", "");
    control_value_count(item, "keepalive_s", session->keepalive_s);
    control_value_count(item, "sleep_s", session->sleep_s);
}

static void
add_contact(cJSON *item, const struct engine_session_status *session)
{
    if (session->heard)
        control_value_count(item, "last_contact_ms", session->last_contact_ms);
    else
        cJSON_AddNullToObject(item, "last_contact_ms");
}

/* ---- the list ---- */

struct session_list {
    const struct control_source *source;
    const char *state;     /* only those; NULL: all */
    struct dm_span filter; /* only client ids like this */
    const char *part;      /* only client ids with this in them, in any case */
    size_t offset, limit;
    size_t total; /* wanted, before offset and limit */
    cJSON *array;
};

static bool
has_part(struct dm_span text, const char *part)
{
    size_t len = strlen(part);

    if (len == 0)
        return true;
    for (size_t i = 0; i + len <= text.len; i++)
        if (strncasecmp((const char *)text.data + i, part, len) == 0)
            return true;
    return false;
}

static bool
is_wanted(const struct session_list *list, const struct engine_session_status *session)
{
    return (list->state == NULL || strcmp(list->state, engine_state_name(session->state)) == 0) &&
           topic_pattern_matches(list->filter, session->client_id) &&
           has_part(session->client_id, list->part);
}

static void
add_session(void *ctx, const struct engine_session_status *session)
{
    struct session_list *list = ctx;

    if (!is_wanted(list, session))
        return;
    size_t number = list->total++;

    if (number < list->offset || number - list->offset >= list->limit)
        return;
    cJSON *item = cJSON_CreateObject();

    cJSON_AddItemToObject(item, "client_id", control_value_text(session->client_id));
    cJSON_AddBoolToObject(item, "clean", session->clean);
    cJSON_AddBoolToObject(item, "will", session->will);
    cJSON_AddStringToObject(item, "own", engine_own_name(session->own));
    control_session_where(item, list->source, session);
    add_contact(item, session);
    cJSON *filters = cJSON_AddArrayToObject(item, "subscriptions");
    for (size_t i = 0; i < session->subscription_count; i++)
        cJSON_AddItemToArray(filters, control_value_text(session->subscriptions[i]));
    control_value_count(item, "topics", session->topic_count);
    control_value_count(item, "queued", session->queued_messages);
    control_value_count(item, "queued_octets", session->queued_octets);
    control_value_count(item, "delivered", session->delivered);
    control_value_count(item, "dropped", session->dropped);
    cJSON_AddItemToArray(list->array, item);
}

static bool
is_state(const char *text)
{
    for (int state = 0; state < ENGINE_STATE_COUNT; state++)
        if (strcmp(text, engine_state_name((enum engine_state)state)) == 0)
            return true;
    return false;
}

/* A member that is missing leaves *number. False: it is no number of sessions. */
static bool
read_number(const cJSON *request, const char *name, size_t *number)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(request, name);

    if (item == NULL)
        return true;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
        item->valuedouble > CONTROL_LIST_MAX ||
        item->valuedouble != (double)(size_t)item->valuedouble)
        return false;
    *number = (size_t)item->valuedouble;
    return true;
}

/* NULL, or what is wrong with the request. */
static const char *
read_wishes(const cJSON *request, struct session_list *list)
{
    const char *filter = control_value_request(request, "filter");

    list->state = control_value_request(request, "state");
    list->part = control_value_request(request, "part");
    if (cJSON_HasObjectItem(request, "state") && (list->state == NULL || !is_state(list->state)))
        return "state is one of disconnected, active, asleep, lost and awake";
    if (cJSON_HasObjectItem(request, "filter") && filter == NULL)
        return "filter is a pattern of client ids";
    if (cJSON_HasObjectItem(request, "part") && list->part == NULL)
        return "part is a part of client ids";
    if (!read_number(request, "offset", &list->offset))
        return "offset is a number in 0 .. 100000";
    if (!read_number(request, "limit", &list->limit))
        return "limit is a number in 0 .. 100000";
    list->filter = dm_span_text(filter != NULL ? filter : "*");
    if (list->part == NULL)
        list->part = "";
    return NULL;
}

cJSON *
control_session_list(const struct control_source *source, const cJSON *request)
{
    struct session_list list = {.source = source, .limit = SIZE_MAX};
    const char *wrong = read_wishes(request, &list);

    if (wrong != NULL)
        return control_value_error(wrong);
    cJSON *answer = cJSON_CreateObject();

    list.array = cJSON_CreateArray();
    engine_each_session(runner_engine(source->runner), source->now_ms(source->ctx), add_session,
                        &list);
    control_value_count(answer, "total", list.total);
    if (!cJSON_AddItemToObject(answer, "sessions", list.array))
        cJSON_Delete(list.array);
    return answer;
}

/* ---- one ---- */

static void
add_subscription(void *ctx, const struct engine_subscription_status *sub)
{
    static const char *const made[] = {
        [MQTTSN_TOPIC_NORMAL] = "name",
        [MQTTSN_TOPIC_PREDEFINED] = "predefined",
        [MQTTSN_TOPIC_SHORT] = "short",
    };
    cJSON *item = cJSON_CreateObject();

    cJSON_AddItemToObject(item, "filter", control_value_text(sub->filter));
    control_value_count(item, "qos", sub->qos);
    cJSON_AddStringToObject(item, "made_by",
                            sub->type <= MQTTSN_TOPIC_SHORT ? made[sub->type] : "");
    if (sub->type != MQTTSN_TOPIC_SHORT && sub->topic_id != 0)
        control_value_count(item, "topic_id", sub->topic_id);
    cJSON_AddBoolToObject(item, "confirmed", sub->confirmed);
    cJSON_AddItemToArray(ctx, item);
}

static void
add_topic(void *ctx, const struct engine_topic_status *topic)
{
    cJSON *item = cJSON_CreateObject();

    control_value_count(item, "id", topic->id);
    cJSON_AddItemToObject(item, "name", control_value_text(topic->name));
    cJSON_AddBoolToObject(item, "known", topic->known);
    cJSON_AddBoolToObject(item, "refused", topic->refused);
    cJSON_AddItemToArray(ctx, item);
}

static void
add_event(void *ctx, const struct engine_event_status *event)
{
    char text[128];
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "event", engine_event_name(event->event));
    cJSON_AddStringToObject(item, "text", engine_event_text(text, sizeof text, event));
    control_value_count(item, "age_ms", event->age_ms);
    cJSON_AddItemToArray(ctx, item);
}

static void
add_will(cJSON *answer, const struct engine_session_detail *detail)
{
    if (!detail->session.will) {
        cJSON_AddNullToObject(answer, "will");
        return;
    }
    cJSON *will = cJSON_AddObjectToObject(answer, "will");

    cJSON_AddItemToObject(will, "topic", control_value_text(detail->will_topic));
    control_value_count(will, "qos", detail->will_qos);
    cJSON_AddBoolToObject(will, "retain", detail->will_retain);
    control_value_count(will, "octets", detail->will_message.len);
}

static void
add_queue(cJSON *answer, const struct engine_session_detail *detail)
{
    static const char *const qos[] = {"qos0", "qos1", "qos2"};
    cJSON *queue = cJSON_AddObjectToObject(answer, "queue");

    control_value_count(queue, "messages", detail->session.queued_messages);
    control_value_count(queue, "octets", detail->session.queued_octets);
    control_value_count(queue, "stored", detail->queued_stored);
    for (size_t i = 0; i < sizeof qos / sizeof qos[0]; i++)
        control_value_count(queue, qos[i], detail->queued_by_qos[i]);
    for (int i = 0; i < ENGINE_PROGRESS_COUNT; i++)
        control_value_count(queue, engine_progress_name((enum engine_progress)i),
                            detail->queued_by_progress[i]);
}

static void
add_timer(cJSON *timers, const char *name, uint64_t ms)
{
    if (ms == ENGINE_NEVER)
        cJSON_AddNullToObject(timers, name);
    else
        control_value_count(timers, name, ms);
}

static void
add_timers(cJSON *answer, const struct engine_session_detail *detail)
{
    cJSON *timers = cJSON_AddObjectToObject(answer, "timers");

    add_timer(timers, "supervision_ms", detail->supervision_ms);
    if (detail->exchange != NULL)
        cJSON_AddStringToObject(timers, "exchange", detail->exchange);
    else
        cJSON_AddNullToObject(timers, "exchange");
    add_timer(timers, "retry_ms", detail->retry_ms);
    control_value_count(timers, "retries", detail->retries);
    control_value_count(timers, "pause_ms", detail->pause_ms);
    cJSON_AddBoolToObject(timers, "stalled", detail->stalled);
    cJSON_AddBoolToObject(timers, "link_has_room", detail->link_has_room);
}

/* Of a device that has one. */
static void
add_own(cJSON *answer, const struct control_source *source,
        const struct engine_session_status *session)
{
    struct own_connection_status status = {.error = ""};

    if (session->own == ENGINE_OWN_NONE) {
        cJSON_AddNullToObject(answer, "own");
        return;
    }
    if (source->own != NULL) /* one that is closed is not there */
        (void)own_pool_connection_status(source->own, session->connection, &status);
    cJSON *own = cJSON_AddObjectToObject(answer, "own");

    cJSON_AddStringToObject(own, "connection", engine_own_name(session->own));
    cJSON_AddStringToObject(own, "hold", session->hold_at_broker ? "broker" : "gateway");
    cJSON_AddStringToObject(own, "error", status.error);
}

struct shown {
    const struct control_source *source;
    cJSON *answer;
};

static void
add_detail(void *ctx, const struct engine_session_detail *detail)
{
    const struct shown *shown = ctx;
    const struct engine_session_status *session = &detail->session;

    cJSON_AddItemToObject(shown->answer, "client_id", control_value_text(session->client_id));
    cJSON_AddBoolToObject(shown->answer, "clean", session->clean);
    cJSON_AddItemToObject(shown->answer, "section",
                          session->section != NULL
                              ? control_value_text(dm_span_text(session->section))
                              : cJSON_CreateNull());
    control_session_where(shown->answer, shown->source, session);
    add_contact(shown->answer, session);
    add_own(shown->answer, shown->source, session);
    add_will(shown->answer, detail);
    add_queue(shown->answer, detail);
    add_timers(shown->answer, detail);
    control_value_count(shown->answer, "open_uplinks", detail->open_uplinks);
    control_value_count(shown->answer, "delivered", session->delivered);
    control_value_count(shown->answer, "dropped", session->dropped);
}

cJSON *
control_session_show(const struct control_source *source, const cJSON *request)
{
    const struct engine *engine = runner_engine(source->runner);
    uint64_t now_ms = source->now_ms(source->ctx);
    const char *id = control_value_request(request, "client_id");

    if (id == NULL)
        return control_value_error(no_client_id);
    struct dm_span client_id = dm_span_text(id);
    struct shown shown = {source, cJSON_CreateObject()};

    if (engine_show(engine, now_ms, client_id, add_detail, &shown) != DM_OK) {
        cJSON_Delete(shown.answer);
        return control_value_error(no_session);
    }
    engine_each_subscription(engine, client_id, add_subscription,
                             cJSON_AddArrayToObject(shown.answer, "subscriptions"));
    engine_each_topic(engine, client_id, add_topic, cJSON_AddArrayToObject(shown.answer, "topics"));
    engine_each_event(engine, now_ms, client_id, true, add_event,
                      cJSON_AddArrayToObject(shown.answer, "errors"));
    engine_each_event(engine, now_ms, client_id, false, add_event,
                      cJSON_AddArrayToObject(shown.answer, "history"));
    return shown.answer;
}

static void
add_message(void *ctx, const struct engine_message_status *message)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddItemToObject(item, "topic", control_value_text(message->topic));
    control_value_count(item, "octets", message->octets);
    control_value_count(item, "qos", message->qos);
    cJSON_AddBoolToObject(item, "retain", message->retain);
    control_value_count(item, "age_ms", message->age_ms);
    add_timer(item, "expires_ms", message->expires_ms);
    cJSON_AddStringToObject(item, "progress", engine_progress_name(message->progress));
    cJSON_AddBoolToObject(item, "stored", message->stored);
    cJSON_AddItemToArray(ctx, item);
}

cJSON *
control_session_queue(const struct control_source *source, const cJSON *request)
{
    const char *id = control_value_request(request, "client_id");

    if (id == NULL)
        return control_value_error(no_client_id);
    cJSON *answer = cJSON_CreateObject();

    if (engine_each_message(runner_engine(source->runner), source->now_ms(source->ctx),
                            dm_span_text(id), add_message,
                            cJSON_AddArrayToObject(answer, "messages")) != DM_OK) {
        cJSON_Delete(answer);
        return control_value_error(no_session);
    }
    return answer;
}

cJSON *
control_session_drop(const struct control_source *source, const cJSON *request)
{
    const char *id = control_value_request(request, "client_id");
    size_t dropped = 0;
    size_t kept = 0;

    if (id == NULL)
        return control_value_error(no_client_id);
    if (runner_drop_queue(source->runner, dm_span_text(id), &dropped, &kept) != DM_OK)
        return control_value_error(no_session);
    cJSON *answer = cJSON_CreateObject();
    control_value_count(answer, "dropped", dropped);
    control_value_count(answer, "kept", kept);
    return answer;
}

/* An answer with one member, true. */
static cJSON *
done(const char *name)
{
    cJSON *answer = cJSON_CreateObject();

    cJSON_AddBoolToObject(answer, name, true);
    return answer;
}

cJSON *
control_session_disconnect(const struct control_source *source, const cJSON *request)
{
    const char *id = control_value_request(request, "client_id");

    if (id == NULL)
        return control_value_error(no_client_id);
    switch (runner_disconnect(source->runner, dm_span_text(id))) {
    case DM_OK:
        return done("disconnected");
    case DM_INVALID:
        return control_value_error("this device is not connected");
    default:
        return control_value_error(no_session);
    }
}

cJSON *
control_session_forget(const struct control_source *source, const cJSON *request)
{
    const char *id = control_value_request(request, "client_id");

    if (id == NULL)
        return control_value_error(no_client_id);
    if (runner_forget(source->runner, dm_span_text(id)) != DM_OK)
        return control_value_error(no_session);
    return done("forgotten");
}
