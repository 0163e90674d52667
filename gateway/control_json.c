/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the control socket, built from status snapshots. */
#include "control_json.h"

#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

static void
add_count(cJSON *object, const char *name, uint64_t value)
{
    cJSON_AddNumberToObject(object, name, (double)value);
}

/* Client ids, topics and paths are checked UTF-8 or escaped before; cJSON wants a terminator. */
static cJSON *
text_of(struct dm_span text)
{
    char *copy = malloc(text.len + 1);
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

static void
add_broker(cJSON *answer, const struct upstream *upstream)
{
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
    add_count(broker, "connects", status.connects);
    add_count(broker, "rx_packets", status.rx_packets);
    add_count(broker, "tx_packets", status.tx_packets);
    add_count(broker, "rx_octets", status.rx_octets);
    add_count(broker, "tx_octets", status.tx_octets);
}

/* What the radio tells. */
static void
add_quality(cJSON *object, const struct framing_quality *quality)
{
    if (quality->has_rssi)
        cJSON_AddNumberToObject(object, "rssi", quality->rssi);
    if (quality->has_lqi)
        cJSON_AddNumberToObject(object, "lqi", quality->lqi);
    if (quality->has_snr)
        cJSON_AddNumberToObject(object, "snr", quality->snr);
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
    add_count(item, "messages", node->messages);
    add_count(item, "unconfirmed", node->unconfirmed);
    add_quality(item, &node->quality);
    cJSON_AddItemToArray(list->array, item);
}

/* What only a serial line has. */
static void
add_line(cJSON *link, const struct transport *transport, const struct transport_status *status)
{
    struct node_list list = {transport, NULL};

    add_count(link, "mtu", transport->mtu);
    add_count(link, "rx_crc_errors", status->rx_crc_errors);
    add_count(link, "rx_oversize", status->rx_oversize);
    add_count(link, "rx_gap_resets", status->rx_gap_resets);
    add_count(link, "tx_repeats", status->tx_repeats);
    add_count(link, "tx_unconfirmed", status->tx_unconfirmed);
    add_count(link, "tx_waiting", status->tx_waiting);
    add_count(link, "line_frame_errors", status->line_frame);
    add_count(link, "line_parity_errors", status->line_parity);
    add_count(link, "line_overruns", status->line_overrun);
    add_count(link, "line_breaks", status->line_break);
    add_count(link, "nodes_refused", status->nodes_refused);
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
        cJSON *link = cJSON_CreateObject();

        transport->ops->status(transport, &status);
        cJSON_AddStringToObject(link, "kind", transport->kind);
        cJSON_AddStringToObject(link, "name", transport->name);
        cJSON_AddBoolToObject(link, "up", status.up);
        cJSON_AddStringToObject(link, "device", status.device);
        cJSON_AddStringToObject(link, "error", status.error);
        cJSON_AddStringToObject(link, "groups", status.groups);
        add_count(link, "rx_datagrams", status.rx_datagrams);
        add_count(link, "rx_octets", status.rx_octets);
        add_count(link, "rx_dropped", status.rx_dropped);
        add_count(link, "rx_garbage", status.rx_garbage);
        add_count(link, "tx_datagrams", status.tx_datagrams);
        add_count(link, "tx_octets", status.tx_octets);
        add_count(link, "tx_dropped", status.tx_dropped);
        add_count(link, "reopens", status.reopens);
        if (status.serial)
            add_line(link, transport, &status);
        cJSON_AddItemToArray(links, link);
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
    add_count(object, "file_octets", status.file_octets);
    add_count(object, "free_octets", status.free_octets);
    add_count(object, "written_octets", status.written_octets);
    add_count(object, "commits", status.commits);
    add_count(object, "rows", status.rows);
    add_count(object, "annihilated", status.annihilated);
    add_count(object, "appended", status.appended);
    add_count(object, "committed", status.committed);
    add_count(object, "last_commit_us", status.last_commit_us);
    add_count(object, "max_commit_us", status.max_commit_us);
}

static void
add_engine(cJSON *answer, const struct runner *runner)
{
    struct engine_status status;
    struct runner_status input;
    uint64_t total = 0;

    engine_status(runner_engine(runner), &status);
    runner_status(runner, &input);
    cJSON *sessions = cJSON_AddObjectToObject(answer, "sessions");
    for (int state = 0; state < ENGINE_STATE_COUNT; state++) {
        add_count(sessions, engine_state_name((enum engine_state)state), status.sessions[state]);
        total += status.sessions[state];
    }
    add_count(sessions, "total", total);
    cJSON *queue = cJSON_AddObjectToObject(answer, "queue");
    add_count(queue, "messages", status.queued_messages);
    add_count(queue, "octets", status.queued_octets);
    add_count(queue, "delivered", status.downlink_messages);
    cJSON *dropped = cJSON_AddObjectToObject(queue, "dropped");
    add_count(dropped, "overflow", status.dropped[ENGINE_DROP_OVERFLOW]);
    add_count(dropped, "too_long", status.dropped[ENGINE_DROP_TOO_LONG]);
    add_count(dropped, "refused", status.dropped[ENGINE_DROP_REFUSED]);
    add_count(dropped, "qos0_offline", status.dropped[ENGINE_DROP_QOS0]);
    add_count(dropped, "expired", status.dropped[ENGINE_DROP_EXPIRED]);
    cJSON *spool = cJSON_AddObjectToObject(answer, "spool");
    add_count(spool, "messages", status.spooled_messages);
    add_count(spool, "octets", status.spooled_octets);
    add_count(spool, "accepted", status.uplink_messages);
    add_count(spool, "dropped", status.uplink_dropped);
    add_count(spool, "refused", status.uplink_refused);
    cJSON *wills = cJSON_AddObjectToObject(answer, "wills");
    add_count(wills, "kept", status.wills);
    add_count(wills, "octets", status.will_octets);
    add_count(wills, "published", status.wills_published);
    add_count(wills, "handshakes", status.handshakes);
    cJSON *discovery = cJSON_AddObjectToObject(answer, "discovery");
    add_count(discovery, "advertised", status.advertised);
    add_count(discovery, "searches", status.searches);
    cJSON_AddBoolToObject(discovery, "standing_by", status.standing_by);
    cJSON *in = cJSON_AddObjectToObject(answer, "input");
    add_count(in, "malformed", input.malformed);
    add_count(in, "unsupported", input.unsupported);
    add_count(in, "ignored", status.ignored);
    add_count(in, "refused", status.refused);
    add_count(in, "answers_held", input.held);
    add_count(in, "answers_dropped", input.held_dropped);
}

static cJSON *
answer_status(const struct control_source *source)
{
    cJSON *answer = cJSON_CreateObject();

    cJSON_AddStringToObject(answer, "version", DORMOUSE_VERSION);
    add_count(answer, "pid", (uint64_t)getpid());
    cJSON_AddStringToObject(answer, "name", source->name);
    add_count(answer, "gateway_id", source->gateway_id);
    add_count(answer, "uptime_ms", source->now_ms(source->ctx) - source->started_ms);
    add_broker(answer, source->upstream);
    add_links(answer, source);
    add_store(answer, source->store);
    add_engine(answer, source->runner);
    return answer;
}

struct session_list {
    const struct control_source *source;
    cJSON *array;
};

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
    add_quality(item, &search.quality);
}

static void
add_session(void *ctx, const struct engine_session_status *session)
{
    const struct session_list *list = ctx;
    cJSON *item = cJSON_CreateObject();

    cJSON_AddItemToObject(item, "client_id", text_of(session->client_id));
    cJSON_AddBoolToObject(item, "clean", session->clean);
    cJSON_AddBoolToObject(item, "will", session->will);
    cJSON_AddStringToObject(item, "state", engine_state_name(session->state));
    if (session->has_address)
        add_address(item, list->source->transports[session->address.link], &session->address);
    else
        cJSON_AddStringToObject(item, "address", "");
    if (session->heard)
        add_count(item, "last_contact_ms", session->last_contact_ms);
    else
        cJSON_AddNullToObject(item, "last_contact_ms");
    add_count(item, "keepalive_s", session->keepalive_s);
    add_count(item, "sleep_s", session->sleep_s);
    cJSON *filters = cJSON_AddArrayToObject(item, "subscriptions");
    for (size_t i = 0; i < session->subscription_count; i++)
        cJSON_AddItemToArray(filters, text_of(session->subscriptions[i]));
    add_count(item, "topics", session->topic_count);
    add_count(item, "queued", session->queued_messages);
    add_count(item, "queued_octets", session->queued_octets);
    add_count(item, "delivered", session->delivered);
    add_count(item, "dropped", session->dropped);
    cJSON_AddItemToArray(list->array, item);
}

static cJSON *
answer_sessions(const struct control_source *source)
{
    cJSON *answer = cJSON_CreateObject();
    struct session_list list = {source, cJSON_AddArrayToObject(answer, "sessions")};

    engine_each_session(runner_engine(source->runner), source->now_ms(source->ctx), add_session,
                        &list);
    return answer;
}

static cJSON *
answer_error(const char *text)
{
    cJSON *answer = cJSON_CreateObject();

    cJSON_AddStringToObject(answer, "error", text);
    return answer;
}

static cJSON *
answer_forget(const struct control_source *source, const cJSON *request)
{
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "client_id"));

    if (id == NULL)
        return answer_error("forget needs a client_id");
    if (runner_forget(source->runner, dm_span_text(id)) != DM_OK)
        return answer_error("no session with this client id");
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddBoolToObject(answer, "forgotten", true);
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
        return answer_error("pair needs a link, and on: true or false");
    enum dm_result result = pairing_set(source->pairing, link, cJSON_IsTrue(on));

    if (result != DM_OK)
        return answer_error(pairing_refusal(result));
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddBoolToObject(answer, "pairing", cJSON_IsTrue(on));
    add_count(answer, "seconds", cJSON_IsTrue(on) ? PAIRING_MS / 1000 : 0);
    return answer;
}

char *
control_answer(const struct control_source *source, struct dm_span text)
{
    cJSON *request = cJSON_ParseWithLength((const char *)text.data, text.len);
    const char *command =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "command"));
    cJSON *answer;

    if (command == NULL)
        answer = answer_error("expected one JSON object with a command");
    else if (strcmp(command, "status") == 0)
        answer = answer_status(source);
    else if (strcmp(command, "sessions") == 0)
        answer = answer_sessions(source);
    else if (strcmp(command, "forget") == 0)
        answer = answer_forget(source, request);
    else if (strcmp(command, "pair") == 0)
        answer = answer_pair(source, request);
    else
        answer = answer_error("unknown command");
    char *printed = cJSON_PrintUnformatted(answer);
    cJSON_Delete(answer);
    cJSON_Delete(request);
    return printed;
}
