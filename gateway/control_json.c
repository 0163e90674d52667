/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the control socket, built from status snapshots. */
#include "control_json.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include <dormouse/log.h>

#include "control_session.h"
#include "control_value.h"

static void
add_time(cJSON *object, const char *name, int64_t seconds)
{
    char text[TLS_TIME_SIZE];

    if (seconds != 0)
        cJSON_AddStringToObject(object, name, tls_time_text(seconds, text));
}

static void
add_tls(cJSON *broker, const struct tls_status *status)
{
    cJSON *tls = status->in_use ? cJSON_AddObjectToObject(broker, "tls")
                                : cJSON_AddNullToObject(broker, "tls");

    if (!status->in_use)
        return;
    cJSON_AddStringToObject(tls, "version", status->version);
    cJSON_AddStringToObject(tls, "cipher", status->cipher);
    add_time(tls, "certificate_ends", status->peer_ends);
    add_time(tls, "own_certificate_ends", status->own_ends);
}

static void
add_urls(cJSON *broker, const struct upstream_status *status)
{
    cJSON *urls = cJSON_AddArrayToObject(broker, "urls");

    for (size_t i = 0; i < status->url_count; i++) {
        cJSON *item = cJSON_CreateObject();

        cJSON_AddStringToObject(item, "url", status->urls[i].url);
        cJSON_AddStringToObject(item, "error", status->urls[i].error);
        cJSON_AddItemToArray(urls, item);
    }
}

static void
add_broker(cJSON *answer, const struct control_source *source)
{
    const struct upstream *upstream = source->upstream;
    static const char *const states[] = {
        [UPSTREAM_CONNECTING] = "connecting",
        [UPSTREAM_CONNECTED] = "connected",
        [UPSTREAM_WAITING] = "waiting",
    };
    struct upstream_status status;
    cJSON *broker = cJSON_AddObjectToObject(answer, "broker");

    upstream->ops->status(upstream, &status);
    cJSON_AddStringToObject(broker, "url", status.url);
    cJSON_AddStringToObject(broker, "state", states[status.state]);
    cJSON_AddStringToObject(broker, "version", status.version == MQTT_5 ? "5" : "3.1.1");
    cJSON_AddStringToObject(broker, "error", status.error);
    add_tls(broker, &status.tls);
    add_urls(broker, &status);
    control_value_count(broker, "connects", status.connects);
    control_value_count(broker, "rx_packets", status.rx_packets);
    control_value_count(broker, "tx_packets", status.tx_packets);
    control_value_count(broker, "rx_octets", status.rx_octets);
    control_value_count(broker, "tx_octets", status.tx_octets);
    cJSON_AddStringToObject(broker, "status_topics", *source->status_topics);
}

struct node_list {
    const struct transport *transport;
    cJSON *array;
};

static void
add_node(void *ctx, const struct transport_node *node)
{
    const struct node_list *list = ctx;
    char address[DM_ADDRESS_TEXT_MAX];
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(
        item, "address",
        transport_address_text(list->transport, &node->address, address, sizeof address));
    control_value_count(item, "messages", node->messages);
    control_value_count(item, "unconfirmed", node->unconfirmed);
    control_value_quality(item, &node->quality);
    cJSON_AddItemToArray(list->array, item);
}

/* What only a serial line has. */
static void
add_line(cJSON *link, const struct transport *transport, const struct transport_status *status)
{
    struct node_list list = {transport, NULL};

    control_value_count(link, "mtu", transport->mtu);
    control_value_count(link, "rx_crc_errors", status->rx_crc_errors);
    control_value_count(link, "rx_oversize", status->rx_oversize);
    control_value_count(link, "rx_gap_resets", status->rx_gap_resets);
    control_value_count(link, "tx_repeats", status->tx_repeats);
    control_value_count(link, "tx_unconfirmed", status->tx_unconfirmed);
    control_value_count(link, "tx_waiting", status->tx_waiting);
    control_value_count(link, "line_frame_errors", status->line_frame);
    control_value_count(link, "line_parity_errors", status->line_parity);
    control_value_count(link, "line_overruns", status->line_overrun);
    control_value_count(link, "line_breaks", status->line_break);
    control_value_count(link, "nodes_refused", status->nodes_refused);
    list.array = cJSON_AddArrayToObject(link, "nodes");
    transport->ops->each_node(transport, add_node, &list);
}

static void
add_links(cJSON *answer, const struct control_source *source)
{
    cJSON *links = cJSON_AddArrayToObject(answer, "links");

    for (size_t i = 0; i < source->transport_count; i++) {
        const struct transport *transport = source->transports[i];
        struct transport_status status = {0};

        transport->ops->status(transport, &status);
        cJSON *link = control_value_link(links, transport, &status);
        cJSON_AddStringToObject(link, "device", status.device);
        cJSON_AddStringToObject(link, "error", status.error);
        cJSON_AddStringToObject(link, "groups", status.groups);
        control_value_count(link, "rx_datagrams", status.rx_datagrams);
        control_value_count(link, "rx_octets", status.rx_octets);
        control_value_count(link, "rx_dropped", status.rx_dropped);
        control_value_count(link, "rx_garbage", status.rx_garbage);
        control_value_count(link, "tx_datagrams", status.tx_datagrams);
        control_value_count(link, "tx_octets", status.tx_octets);
        control_value_count(link, "tx_dropped", status.tx_dropped);
        control_value_count(link, "reopens", status.reopens);
        if (status.serial)
            add_line(link, transport, &status);
    }
}

static void
add_store(cJSON *answer, const struct store *store)
{
    struct store_status status;
    cJSON *object = cJSON_AddObjectToObject(answer, "store");

    store->ops->status(store, &status);
    cJSON_AddStringToObject(object, "path", status.path);
    cJSON_AddBoolToObject(object, "degraded", status.degraded);
    cJSON_AddStringToObject(object, "error", status.error);
    control_value_count(object, "file_octets", status.file_octets);
    control_value_count(object, "free_octets", status.free_octets);
    control_value_count(object, "written_octets", status.written_octets);
    control_value_count(object, "commits", status.commits);
    control_value_count(object, "rows", status.rows);
    control_value_count(object, "annihilated", status.annihilated);
    control_value_count(object, "appended", status.appended);
    control_value_count(object, "committed", status.committed);
    control_value_count(object, "last_commit_us", status.last_commit_us);
    control_value_count(object, "max_commit_us", status.max_commit_us);
}

static void
add_engine(cJSON *answer, const struct runner *runner)
{
    struct engine_status status;
    struct runner_status input;

    engine_status(runner_engine(runner), &status);
    runner_status(runner, &input);
    control_value_sessions(answer, &status);
    cJSON *queue = cJSON_AddObjectToObject(answer, "queue");
    control_value_count(queue, "messages", status.queued_messages);
    control_value_count(queue, "octets", status.queued_octets);
    control_value_count(queue, "delivered", status.downlink_messages);
    cJSON *dropped = cJSON_AddObjectToObject(queue, "dropped");
    for (int drop = 0; drop < ENGINE_DROP_COUNT; drop++)
        control_value_count(dropped, engine_drop_name((enum engine_drop)drop),
                            status.dropped[drop]);
    cJSON *spool = cJSON_AddObjectToObject(answer, "spool");
    control_value_count(spool, "messages", status.spooled_messages);
    control_value_count(spool, "octets", status.spooled_octets);
    control_value_count(spool, "accepted", status.uplink_messages);
    control_value_count(spool, "dropped", status.uplink_dropped);
    control_value_count(spool, "refused", status.uplink_refused);
    cJSON *wills = cJSON_AddObjectToObject(answer, "wills");
    control_value_count(wills, "kept", status.wills);
    control_value_count(wills, "octets", status.will_octets);
    control_value_count(wills, "published", status.wills_published);
    control_value_count(wills, "handshakes", status.handshakes);
    cJSON *awake = cJSON_AddObjectToObject(answer, "awake");
    control_value_count(awake, "periods", status.awake_periods);
    control_value_count(awake, "ms", status.awake_ms);
    cJSON *discovery = cJSON_AddObjectToObject(answer, "discovery");
    control_value_count(discovery, "advertised", status.advertised);
    control_value_count(discovery, "searches", status.searches);
    cJSON_AddBoolToObject(discovery, "standing_by", status.standing_by);
    cJSON *in = cJSON_AddObjectToObject(answer, "input");
    control_value_count(in, "malformed", input.malformed);
    control_value_count(in, "unsupported", input.unsupported);
    control_value_count(in, "ignored", status.ignored);
    control_value_count(in, "refused", status.refused);
    control_value_count(in, "denied", status.denied);
    control_value_count(in, "answers_held", input.held);
    control_value_count(in, "answers_dropped", input.held_dropped);
}

/* Without a pool there are none, and never were. */
static void
add_own(cJSON *answer, const struct control_source *source)
{
    struct engine_status engine;
    struct own_status pool = {.maximum = 0};
    cJSON *own = cJSON_AddObjectToObject(answer, "own");

    engine_status(runner_engine(source->runner), &engine);
    if (source->own != NULL)
        own_pool_status(source->own, &pool);
    for (int state = ENGINE_OWN_CLOSED; state < ENGINE_OWN_COUNT; state++)
        control_value_count(own, engine_own_name((enum engine_own)state), engine.own[state]);
    control_value_count(own, "maximum", pool.maximum);
    control_value_count(own, "wipes", pool.wipes);
    control_value_count(own, "connects", pool.connects);
    control_value_count(own, "failures", pool.failures);
    control_value_count(own, "refusals", pool.refusals);
    control_value_count(own, "take_overs", pool.take_overs);
    cJSON_AddStringToObject(own, "error", pool.error);
}

static cJSON *
answer_status(const struct control_source *source, const cJSON *request)
{
    (void)request;
    cJSON *answer = cJSON_CreateObject();

    cJSON_AddStringToObject(answer, "version", DORMOUSE_VERSION);
    control_value_count(answer, "pid", (uint64_t)getpid());
    cJSON_AddStringToObject(answer, "name", source->name);
    control_value_count(answer, "gateway_id", source->gateway_id);
    control_value_count(answer, "uptime_ms", source->now_ms(source->ctx) - source->started_ms);
    add_broker(answer, source);
    add_own(answer, source);
    add_links(answer, source);
    add_store(answer, source->store);
    add_engine(answer, source->runner);
    return answer;
}

/* Why the levels are wrong, and which modules there are. */
static cJSON *
refuse_levels(const char *why)
{
    char text[512];
    size_t len = (size_t)snprintf(text, sizeof text, "level %s; modules are", why);

    for (size_t i = 0; log_modules[i] != NULL && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s %s", i > 0 ? "," : "",
                                log_modules[i]);
    return control_value_error(text);
}

static cJSON *
answer_log(const struct control_source *source, const cJSON *request)
{
    const char *levels = control_value_request(request, "level");
    char text[LOG_LEVELS_TEXT_MAX];

    if (levels == NULL && cJSON_HasObjectItem(request, "level"))
        return refuse_levels("is no text");
    if (levels != NULL && strcmp(levels, "default") == 0) {
        log_set_levels(*source->log_levels);
    } else if (levels != NULL) {
        const char *why = log_check_levels(levels);

        if (why != NULL)
            return refuse_levels(why);
        log_change_levels(levels);
    }
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddStringToObject(answer, "level", log_levels_text(text));
    return answer;
}

static void
add_reload_line(void *ctx, enum control_reload_kind kind, const char *text)
{
    cJSON *const *lists = ctx;

    cJSON_AddItemToArray(lists[kind], cJSON_CreateString(text));
}

static cJSON *
answer_reload(const struct control_source *source, const cJSON *request)
{
    static const char *const names[CONTROL_RELOAD_KINDS] = {"changed", "restart", "warnings",
                                                            "errors"};
    cJSON *lists[CONTROL_RELOAD_KINDS];
    cJSON *answer = cJSON_CreateObject();

    (void)request;
    for (size_t i = 0; i < CONTROL_RELOAD_KINDS; i++)
        lists[i] = cJSON_AddArrayToObject(answer, names[i]);
    enum dm_result result = source->reload.run(source->reload.ctx, add_reload_line, lists);

    cJSON_AddBoolToObject(answer, "reloaded", result == DM_OK);
    return answer;
}

/* Why a link does not let nodes join, for the operator. */
static const char *
pairing_refusal(enum dm_result result)
{
    switch (result) {
    case DM_NOT_FOUND:
        return "there is no link with this name";
    case DM_UNSUPPORTED:
        return "this link cannot pair: it is no serial port with framing aquila";
    case DM_IO:
        return "this link is down";
    default:
        return dm_result_text(result);
    }
}

static cJSON *
answer_pair(const struct control_source *source, const cJSON *request)
{
    const char *link = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "link"));
    const cJSON *on = cJSON_GetObjectItemCaseSensitive(request, "on");

    if (link == NULL || !cJSON_IsBool(on))
        return control_value_error("pair needs a link, and on: true or false");
    enum dm_result result = pairing_set(source->pairing, link, cJSON_IsTrue(on));

    if (result != DM_OK)
        return control_value_error(pairing_refusal(result));
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddBoolToObject(answer, "pairing", cJSON_IsTrue(on));
    control_value_count(answer, "seconds", cJSON_IsTrue(on) ? PAIRING_MS / 1000 : 0);
    return answer;
}

typedef cJSON *answer_request(const struct control_source *source, const cJSON *request);

static cJSON *
answer_trace(const struct control_source *source, const cJSON *request)
{
    (void)source;
    (void)request;
    return control_value_error("trace needs a control connection of its own");
}

static const struct {
    const char *command;
    answer_request *answer;
} commands[] = {
    {"status", answer_status},
    {"sessions", control_session_list},
    {"show", control_session_show},
    {"queue", control_session_queue},
    {"drop", control_session_drop},
    {"disconnect", control_session_disconnect},
    {"forget", control_session_forget},
    {"pair", answer_pair},
    {"log", answer_log},
    {"reload", answer_reload},
    {"trace", answer_trace},
};

static cJSON *
answer_command(const struct control_source *source, const cJSON *request)
{
    const char *command = control_value_request(request, "command");

    if (command == NULL)
        return control_value_error("expected one JSON object with a command");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(command, commands[i].command) == 0)
            return commands[i].answer(source, request);
    return control_value_error("unknown command");
}

char *
control_answer(const struct control_source *source, struct dm_span text)
{
    cJSON *request = cJSON_ParseWithLength((const char *)text.data, text.len);
    cJSON *answer = answer_command(source, request);
    char *printed = cJSON_PrintUnformatted(answer);

    cJSON_Delete(answer);
    cJSON_Delete(request);
    return printed;
}
