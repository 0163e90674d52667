/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics: what the parts count, by the names and units of Prometheus. */
#include <stdlib.h>
#include <string.h>

#include "http_private.h"
#include "metrics_text.h"

static void
gauge(struct evbuffer *out, const char *name, uint64_t value, const char *help)
{
    metrics_single(out, METRICS_GAUGE, name, (double)value, help);
}

static void
counter(struct evbuffer *out, const char *name, uint64_t value, const char *help)
{
    metrics_single(out, METRICS_COUNTER, name, (double)value, help);
}

static void
sample(struct evbuffer *out, const char *name, const char *label, const char *of, uint64_t value)
{
    metrics_sample(out, name, (const char *const[]){label, of, NULL}, (double)value);
}

static void
add_gateway(struct evbuffer *out, const struct http *http)
{
    const struct control_source *source = &http->source;
    uint64_t up_ms = source->now_ms(source->ctx) - source->started_ms;

    metrics_head(out, METRICS_GAUGE, "build_info", "Version and name of the gateway; always 1.");
    metrics_sample(out, "build_info",
                   (const char *const[]){"version", DORMOUSE_VERSION, "name", source->name, NULL},
                   1);
    metrics_single(out, METRICS_GAUGE, "uptime_seconds", (double)up_ms / 1000,
                   "Time since the start.");
    gauge(out, "http_connections", http->connection_count, "Open connections of the HTTP server.");
    gauge(out, "http_event_listeners", http_events_count(http->events),
          "Listeners to server-sent events.");
}

static void
add_sessions(struct evbuffer *out, const struct engine_status *status)
{
    metrics_head(out, METRICS_GAUGE, "sessions", "Sessions of devices by state.");
    for (int state = 0; state < ENGINE_STATE_COUNT; state++)
        sample(out, "sessions", "state", engine_state_name((enum engine_state)state),
               status->sessions[state]);
    gauge(out, "wills", status->wills, "Sessions with a will.");
    gauge(out, "will_bytes", status->will_octets, "Topics and messages of all wills.");
    counter(out, "wills_published_total", status->wills_published,
            "Wills published because their device was lost.");
    gauge(out, "will_handshakes", status->handshakes,
          "Connections with a will that are being set up.");
    counter(out, "awake_periods_total", status->awake_periods,
            "Awake periods of sleeping devices, from PINGREQ to PINGRESP.");
    metrics_single(out, METRICS_COUNTER, "awake_seconds_total", (double)status->awake_ms / 1000,
                   "How long they were, together.");
    counter(out, "advertise_sent_total", status->advertised, "ADVERTISE messages sent.");
    counter(out, "gateway_searches_total", status->searches, "SEARCHGW messages answered.");
    gauge(out, "standing_by", status->standing_by,
          "1 while the gateway is silent because another one is there.");
}

static void
add_messages(struct evbuffer *out, const struct engine_status *status)
{
    gauge(out, "queue_messages", status->queued_messages, "Messages that wait for devices.");
    gauge(out, "queue_bytes", status->queued_octets,
          "Topics and payloads of messages that wait for devices.");
    counter(out, "downlink_messages_total", status->downlink_messages,
            "Messages delivered to devices.");
    metrics_head(out, METRICS_COUNTER, "downlink_dropped_total",
                 "Messages for devices that were given up.");
    for (int reason = 0; reason < ENGINE_DROP_COUNT; reason++)
        sample(out, "downlink_dropped_total", "reason", engine_drop_name((enum engine_drop)reason),
               status->dropped[reason]);
    gauge(out, "spool_messages", status->spooled_messages,
          "Messages of devices that wait for the broker.");
    gauge(out, "spool_bytes", status->spooled_octets,
          "Topics and payloads of messages that wait for the broker.");
    counter(out, "uplink_messages_total", status->uplink_messages,
            "Messages accepted from devices.");
    metrics_head(out, METRICS_COUNTER, "uplink_dropped_total",
                 "Messages of devices that did not reach the broker.");
    sample(out, "uplink_dropped_total", "reason", "broker_away", status->uplink_dropped);
    sample(out, "uplink_dropped_total", "reason", "broker_refused", status->uplink_refused);
}

static void
add_input(struct evbuffer *out, const struct engine_status *status, const struct runner *runner)
{
    struct runner_status input;

    runner_status(runner, &input);
    metrics_head(out, METRICS_COUNTER, "rejected_messages_total",
                 "MQTT-SN messages that were not acted upon.");
    sample(out, "rejected_messages_total", "reason", "malformed", input.malformed);
    sample(out, "rejected_messages_total", "reason", "unsupported", input.unsupported);
    sample(out, "rejected_messages_total", "reason", "unexpected", status->ignored);
    sample(out, "rejected_messages_total", "reason", "unknown_peer", status->refused);
    sample(out, "rejected_messages_total", "reason", "not_allowed", status->denied);
    gauge(out, "held_answers", input.held, "Answers that wait for the disk.");
    gauge(out, "held_bytes", input.held_octets, "Octets of answers that wait for the disk.");
    counter(out, "held_answers_dropped_total", input.held_dropped,
            "Answers that found too many waiting; the device repeats.");
}

static void
add_tls(struct evbuffer *out, const struct tls_status *tls)
{
    static const char name[] = "broker_certificate_ends_seconds";

    gauge(out, "broker_tls", tls->in_use, "1 while the connection to the broker uses TLS.");
    metrics_head(out, METRICS_GAUGE, name,
                 "When a certificate in use ends, as Unix time; 0: there is none.");
    sample(out, name, "of", "broker", (uint64_t)tls->peer_ends);
    sample(out, name, "of", "gateway", (uint64_t)tls->own_ends);
}

static void
add_broker(struct evbuffer *out, const struct upstream *upstream)
{
    struct upstream_status status;

    upstream->ops->status(upstream, &status);
    gauge(out, "broker_connected", status.state == UPSTREAM_CONNECTED,
          "1 while the gateway is connected to its broker.");
    metrics_head(out, METRICS_GAUGE, "broker_current",
                 "1 for the URL that the gateway is connected to.");
    for (size_t i = 0; i < status.url_count; i++)
        sample(out, "broker_current", "url", status.urls[i].url,
               status.state == UPSTREAM_CONNECTED && strcmp(status.urls[i].url, status.url) == 0);
    add_tls(out, &status.tls);
    counter(out, "broker_connects_total", status.connects, "Connections made to the broker.");
    counter(out, "broker_received_packets_total", status.rx_packets, "MQTT packets received.");
    counter(out, "broker_sent_packets_total", status.tx_packets, "MQTT packets sent.");
    counter(out, "broker_received_bytes_total", status.rx_octets, "Octets received.");
    counter(out, "broker_sent_bytes_total", status.tx_octets, "Octets sent.");
}

static void
add_own(struct evbuffer *out, const struct own_pool *pool, const struct engine_status *engine)
{
    struct own_status status;

    own_pool_status(pool, &status);
    metrics_head(out, METRICS_GAUGE, "own_connections",
                 "Devices with a connection of their own to the broker, by its state.");
    for (int state = ENGINE_OWN_CLOSED; state < ENGINE_OWN_COUNT; state++)
        sample(out, "own_connections", "state", engine_own_name((enum engine_own)state),
               engine->own[state]);
    gauge(out, "own_connections_maximum", status.maximum, "How many there may be at once.");
    gauge(out, "own_wipes", status.wipes,
          "Sessions that the broker keeps for clients that have none any more.");
    counter(out, "own_connects_total", status.connects, "Own connections made.");
    metrics_head(out, METRICS_COUNTER, "own_ends_total",
                 "Attempts that failed, and own connections that the broker does not want.");
    sample(out, "own_ends_total", "reason", "failed", status.failures);
    sample(out, "own_ends_total", "reason", "refused", status.refusals);
    sample(out, "own_ends_total", "reason", "taken_over", status.take_overs);
}

static void
add_store(struct evbuffer *out, const struct store *store)
{
    struct store_status status;

    store->ops->status(store, &status);
    gauge(out, "store_degraded", status.degraded, "1 while nothing can be written to the disk.");
    gauge(out, "store_pending_records", status.appended - status.committed,
          "Records that are not durable yet.");
    counter(out, "store_commits_total", status.commits, "Transactions.");
    counter(out, "store_rows_total", status.rows, "Rows written or deleted.");
    counter(out, "store_annihilated_total", status.annihilated,
            "Records that met their deletion before a commit.");
    counter(out, "store_written_bytes_total", status.written_octets,
            "Octets written to database and write-ahead log.");
    gauge(out, "store_file_bytes", status.file_octets, "Size of database and write-ahead log.");
    gauge(out, "store_free_bytes", status.free_octets, "Part of the file that is unused.");
    metrics_single(out, METRICS_GAUGE, "store_last_commit_seconds",
                   (double)status.last_commit_us / 1e6, "Duration of the last commit.");
    metrics_single(out, METRICS_GAUGE, "store_longest_commit_seconds",
                   (double)status.max_commit_us / 1e6, "Duration of the longest commit.");
}

/* ---- links ---- */

/* A member of struct transport_status that is a number. */
struct link_metric {
    const char *name, *help; /* help NULL: one more reason of the metric before */
    const char *reason;      /* NULL: this metric has no such label */
    enum metrics_type type;
    bool serial; /* of serial ports only */
    size_t offset;
};

/* One shape for all rows is easier to scan. */
/* clang-format off */
#define OF(member) offsetof(struct transport_status, member)
#define ERRORS "link_receive_errors_total"
static const struct link_metric link_metrics[] = {
    {"link_received_datagrams_total", "MQTT-SN messages received.",
     NULL, METRICS_COUNTER, false, OF(rx_datagrams)},
    {"link_received_bytes_total", "Octets received.", NULL, METRICS_COUNTER, false, OF(rx_octets)},
    {"link_received_dropped_total", "Datagrams or frames received and thrown away.",
     NULL, METRICS_COUNTER, false, OF(rx_dropped)},
    {"link_received_garbage_bytes_total", "Octets of a serial line that belong to no frame.",
     NULL, METRICS_COUNTER, true, OF(rx_garbage)},
    {"link_sent_datagrams_total", "MQTT-SN messages sent.",
     NULL, METRICS_COUNTER, false, OF(tx_datagrams)},
    {"link_sent_bytes_total", "Octets sent.", NULL, METRICS_COUNTER, false, OF(tx_octets)},
    {"link_sent_dropped_total", "Messages that the link did not take.",
     NULL, METRICS_COUNTER, false, OF(tx_dropped)},
    {"link_reopens_total", "Times that the link came back.",
     NULL, METRICS_COUNTER, false, OF(reopens)},
    {"link_waiting_frames", "Frames that wait to be sent.",
     NULL, METRICS_GAUGE, true, OF(tx_waiting)},
    {"link_repeated_frames_total", "Frames sent again because the radio did not confirm them.",
     NULL, METRICS_COUNTER, true, OF(tx_repeats)},
    {"link_unconfirmed_frames_total", "Frames that the radio did not take or never confirmed.",
     NULL, METRICS_COUNTER, true, OF(tx_unconfirmed)},
    {"link_nodes", "Nodes heard.", NULL, METRICS_GAUGE, true, OF(nodes)},
    {"link_nodes_refused_total", "Messages of more nodes than may be.",
     NULL, METRICS_COUNTER, true, OF(nodes_refused)},
    {ERRORS, "Frames and octets received with an error.",
     "check_sum", METRICS_COUNTER, true, OF(rx_crc_errors)},
    {ERRORS, NULL, "oversize", METRICS_COUNTER, true, OF(rx_oversize)},
    {ERRORS, NULL, "gap", METRICS_COUNTER, true, OF(rx_gap_resets)},
    {ERRORS, NULL, "line_frame", METRICS_COUNTER, true, OF(line_frame)},
    {ERRORS, NULL, "line_parity", METRICS_COUNTER, true, OF(line_parity)},
    {ERRORS, NULL, "line_overrun", METRICS_COUNTER, true, OF(line_overrun)},
    {ERRORS, NULL, "line_break", METRICS_COUNTER, true, OF(line_break)},
};
/* clang-format on */

static void
add_link_samples(struct evbuffer *out, const struct control_source *source,
                 const struct transport_status *statuses, const struct link_metric *metric)
{
    for (size_t i = 0; i < source->transport_count; i++) {
        const struct transport *transport = source->transports[i];
        const char *const labels[] = {"link",
                                      transport->name,
                                      "kind",
                                      transport->kind,
                                      metric->reason != NULL ? "reason" : NULL,
                                      metric->reason,
                                      NULL};

        if (metric->serial && !statuses[i].serial)
            continue;
        uint64_t value;
        memcpy(&value, (const char *)&statuses[i] + metric->offset, sizeof value);
        metrics_sample(out, metric->name, labels, (double)value);
    }
}

static void
add_links(struct evbuffer *out, const struct control_source *source)
{
    struct transport_status *statuses = calloc(source->transport_count + 1, sizeof *statuses);
    bool serial = false;

    if (statuses == NULL)
        return;
    metrics_head(out, METRICS_GAUGE, "link_up", "1 while the link is open.");
    for (size_t i = 0; i < source->transport_count; i++) {
        const struct transport *transport = source->transports[i];
        const char *const labels[] = {"link", transport->name, "kind", transport->kind, NULL};

        transport->ops->status(transport, &statuses[i]);
        serial = serial || statuses[i].serial;
        metrics_sample(out, "link_up", labels, statuses[i].up);
    }
    for (size_t i = 0; i < sizeof link_metrics / sizeof link_metrics[0]; i++) {
        const struct link_metric *metric = &link_metrics[i];

        if (metric->serial && !serial)
            continue;
        if (metric->help != NULL)
            metrics_head(out, metric->type, metric->name, metric->help);
        add_link_samples(out, source, statuses, metric);
    }
    free(statuses);
}

void
http_metrics(struct http *http, struct evbuffer *out)
{
    const struct control_source *source = &http->source;
    struct engine_status status;

    engine_status(runner_engine(source->runner), &status);
    add_gateway(out, http);
    add_sessions(out, &status);
    add_messages(out, &status);
    add_input(out, &status, source->runner);
    add_broker(out, source->upstream);
    add_own(out, source->own, &status);
    add_store(out, source->store);
    add_links(out, source);
}
