/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to one of the brokers: attempts with back-off, CONNECT, keep-alive.
 *
 * Phases, and event -> new phase:
 *   WAITING    timer -> DIALING
 *   DIALING    socket connected -> GREETING; no address answers -> WAITING
 *   GREETING   CONNACK accepted -> CONNECTED; refused, closed, silence, malformed, TLS fails ->
 *              WAITING
 *   CONNECTED  closed, DISCONNECT, malformed packet, no answer to PINGREQ, the first broker is back
 *              -> WAITING
 *
 * A member (upstream_options.member) stays in WAITING after its timer until it may attempt, and
 * without a timer after a refusal.
 */
#include "upstream.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include <dormouse/log.h>

#include "upstream_private.h"

#define PINGRESP_TIMEOUT_MIN_MS 5000u
#define STABLE_MS 5000u /* a connection that lived as long starts the back-off anew */
#define FLUSH_TIMEOUT_MS 1000u
#define SESSION_TAKEN_OVER 0x8e /* MQTT 5 reason codes */
#define TOPIC_ALIAS_INVALID 0x94
#define CUT_SHORT_MAX 3 /* so often in a row, and somebody else has this client id */

uint64_t
upstream_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void
connection_arm(struct connection *connection, uint64_t delay_ms)
{
    struct timeval delay = {
        .tv_sec = (time_t)(delay_ms / 1000),
        .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000),
    };

    evtimer_add(connection->timer, &delay);
}

enum dm_result
connection_send(struct connection *connection, const struct mqtt_packet *packet)
{
    enum dm_result result = stream_send(connection->stream, packet);

    if (result == DM_OK)
        connection->last_tx_ms = upstream_clock_ms();
    return result;
}

void
connection_release(struct connection *connection)
{
    upstream_watch_stop(connection->watch);
    if (connection->dial != NULL)
        dial_cancel(connection->dial);
    connection->dial = NULL;
    if (connection->stream != NULL)
        stream_close(connection->stream);
    connection->stream = NULL;
    connection->ping_open = false;
    connection->phase = WAITING;
}

const char *
connection_name(const struct connection *connection, char text[CONNECTION_NAME_SIZE])
{
    const char *url = connection->targets.items[connection->targets.current].url;
    char client_id[CONNECTION_NAME_SIZE / 2];

    if (connection->options.member)
        snprintf(
            text, CONNECTION_NAME_SIZE, "%s: client %s", url,
            log_escape(client_id, sizeof client_id, dm_span_text(connection->options.client_id)));
    else
        snprintf(text, CONNECTION_NAME_SIZE, "%s", url);
    return text;
}

void
connection_error(struct connection *connection, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(target_of(connection)->error, UPSTREAM_ERROR_MAX, format, arguments);
    va_end(arguments);
}

static uint32_t
random_number(void)
{
    uint32_t number;

    /* Early at boot there may be none yet: then the clock spreads the attempts well enough. */
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number)
        number = (uint32_t)upstream_clock_ms();
    return number;
}

/* A broker that accepts and soon closes again is no success: two gateways with one client id would
 * throw each other out twice a second. */
static bool
is_stable(const struct connection *connection)
{
    return connection->phase == CONNECTED &&
           upstream_clock_ms() - connection->connected_ms >= STABLE_MS;
}

/* All members fail when the broker does, and then the shared connection says so. */
static void
log_end(struct connection *connection, enum upstream_end why)
{
    struct upstream_target *target = target_of(connection);
    char name[CONNECTION_NAME_SIZE];

    if (connection->options.member && why == UPSTREAM_LOST) {
        log_debug("upstream", "%s: %s", connection_name(connection, name), target->error);
    } else if (strcmp(target->error, target->logged) != 0) {
        log_warning("upstream", "%s: %s", connection_name(connection, name), target->error);
        memcpy(target->logged, target->error, sizeof target->logged);
    }
}

static uint32_t
wait_ms(struct connection *connection, bool stable)
{
    return connection->options.member
               ? upstream_member_failed(&connection->targets, stable, random_number())
               : upstream_targets_failed(&connection->targets, stable, random_number());
}

void
connection_end(struct connection *connection, enum upstream_end why)
{
    bool was_connected = connection->phase == CONNECTED;
    bool stable = is_stable(connection);

    connection_release(connection);
    upstream_version_failed(&target_of(connection)->version);
    log_end(connection, why);
    connection->allowed = false;
    if (why != UPSTREAM_LOST && connection->options.member)
        evtimer_del(connection->timer);
    else
        connection_arm(connection, wait_ms(connection, stable));
    if (connection->options.member)
        connection->events.on_over(connection->events.ctx, why, connection->reached);
    else if (was_connected)
        connection->events.on_disconnected(connection->events.ctx);
}

void
connection_give_up(struct connection *connection)
{
    connection_end(connection, UPSTREAM_LOST);
}

void
connection_reject(struct connection *connection, uint8_t reason)
{
    if (target_of(connection)->version.current == MQTT_5)
        stream_say_goodbye(connection->stream, reason, 0);
    connection_give_up(connection);
}

/* The first broker takes connections again: leaves this one for it, unless something would be left
 * half done. */
static bool
on_first_back(void *ctx, bool at_once)
{
    struct connection *connection = ctx;

    if (!at_once && !connection->events.is_idle(connection->events.ctx))
        return false;
    log_notice("upstream", "%s: leaving for %s, which is back", target_of(connection)->url,
               connection->targets.items[0].url);
    stream_say_goodbye(connection->stream, 0, 0);
    connection_release(connection);
    connection->targets.current = 0;
    connection_arm(connection, 0);
    connection->events.on_disconnected(connection->events.ctx);
    return true;
}

void
connection_arm_keepalive(struct connection *connection)
{
    uint64_t since_ms = connection->last_tx_ms < connection->last_rx_ms ? connection->last_tx_ms
                                                                        : connection->last_rx_ms;
    uint64_t due_ms = since_ms + connection->keepalive_ms;
    uint64_t now_ms = upstream_clock_ms();

    connection_arm(connection, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void
on_keepalive(struct connection *connection)
{
    uint64_t now_ms = upstream_clock_ms();
    uint64_t answer_ms = connection->keepalive_ms / 2;
    struct mqtt_packet ping = {.type = MQTT_PINGREQ};

    if (answer_ms < PINGRESP_TIMEOUT_MIN_MS)
        answer_ms = PINGRESP_TIMEOUT_MIN_MS;
    if (connection->ping_open) {
        connection_error(connection, "no answer to PINGREQ within %u s",
                         (unsigned)(answer_ms / 1000));
        connection_give_up(connection);
    } else if (now_ms < connection->last_tx_ms + connection->keepalive_ms &&
               now_ms < connection->last_rx_ms + connection->keepalive_ms) {
        connection_arm_keepalive(connection);
    } else {
        connection_send(connection,
                        &ping); /* no memory: no answer will come, and that is handled */
        connection->ping_open = true;
        connection_arm(connection, answer_ms);
    }
}

/* As on_connack. */
static bool
on_packet(void *ctx, const struct mqtt_packet *packet)
{
    struct connection *connection = ctx;
    char text[128];

    if (packet->type == MQTT_DISCONNECT) {
        target_of(connection)->no_aliases |= packet->reason == TOPIC_ALIAS_INVALID;
        connection_error(
            connection, "broker sent DISCONNECT: %s",
            upstream_reason_text(packet->reason, packet->reason_string, text, sizeof text));
        connection_end(connection,
                       packet->reason == SESSION_TAKEN_OVER ? UPSTREAM_TAKEN_OVER : UPSTREAM_LOST);
        return false;
    }
    connection->objected =
        (packet->type == MQTT_PUBACK || packet->type == MQTT_PUBREC) && packet->reason >= 0x80;
    if (packet->type != MQTT_PINGRESP)
        connection->events.on_packet(connection->events.ctx, packet);
    return true;
}

static void
on_octets(void *ctx)
{
    struct connection *connection = ctx;

    connection->last_rx_ms = upstream_clock_ms();
    if (connection->ping_open) { /* any octet is a sign of life: a PINGRESP may queue behind data */
        connection->ping_open = false;
        connection_arm_keepalive(connection);
    }
}

/* MQTT 3.1.1 has no word for a session that is taken over, and Mosquitto 2.0.11 does not say that
 * of MQTT 5: the broker just closes. It also does after it has refused a message. */
static enum upstream_end
end_of_closing(struct connection *connection)
{
    if (connection->objected)
        return UPSTREAM_LOST;
    connection->cut_short = is_stable(connection) ? 1 : (uint8_t)(connection->cut_short + 1);
    if (connection->cut_short < CUT_SHORT_MAX)
        return UPSTREAM_LOST;
    connection->cut_short = 0;
    connection_error(connection, "broker closes the connection again and again: somebody else "
                                 "connects with this client id");
    return UPSTREAM_TAKEN_OVER;
}

static void
on_end(void *ctx, uint8_t reason, const char *error)
{
    struct connection *connection = ctx;
    bool greeting = connection->phase == GREETING;

    connection->reached = connection->reached || (greeting && reason != STREAM_TLS_FAILED);
    connection_error(connection, "%s%s", error, greeting && reason == 0 ? " without CONNACK" : "");
    if (reason == STREAM_TLS_FAILED)
        connection_give_up(connection);
    else if (reason != 0)
        connection_reject(connection, reason);
    else if (greeting)
        greeting_other_version(connection, false);
    else
        connection_end(connection, end_of_closing(connection));
}

/* NULL with the target's error: a file cannot be used, or no memory. Takes `fd` over. */
static struct stream *
open_stream(struct connection *connection, int fd)
{
    struct stream_events events = {connection, on_octets, greeting_connack, on_packet, on_end};
    struct upstream_target *target = target_of(connection);
    struct stream_options options = {.fd = fd,
                                     .version = target->version.current,
                                     .maximum = connection->options.maximum_packet};

    if (target->broker.tls) {
        options.tls = tls_new(&connection->options.tls, target->broker.host, target->error,
                              sizeof target->error);
        if (options.tls == NULL) {
            close(fd);
            return NULL;
        }
    }
    connection_error(connection, "%s", dm_result_text(DM_NO_MEMORY));
    return stream_open(connection->base, &options, &events, &connection->counters);
}

static void
on_dialed(void *ctx, int fd, const char *error)
{
    struct connection *connection = ctx;

    connection->dial = NULL;
    if (fd >= 0)
        connection->stream = open_stream(connection, fd);
    else
        connection_error(connection, "%s", error);
    if (connection->stream != NULL)
        greeting_start(connection);
    else
        connection_give_up(connection);
}

static void
start_attempt(struct connection *connection)
{
    const struct upstream_broker *broker = &target_of(connection)->broker;

    connection->phase = DIALING;
    connection->reached = false;
    connection->dial =
        dial_start(connection->base, broker->host, broker->port, on_dialed, connection);
    if (connection->dial == NULL) {
        connection_error(connection, "%s", dm_result_text(DM_NO_MEMORY));
        connection_give_up(connection);
    }
}

/* Whether the attempt that is due may be made now. */
static bool
may_attempt(struct connection *connection)
{
    size_t broker = connection->targets.current;

    if (!connection->options.member || connection->allowed)
        return true;
    connection->allowed = connection->events.may_attempt(connection->events.ctx, &broker);
    connection->targets.current = broker;
    return connection->allowed;
}

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct connection *connection = ctx;

    (void)fd;
    (void)what;
    switch (connection->phase) {
    case WAITING:
        if (may_attempt(connection))
            start_attempt(connection);
        break;
    case DIALING: /* the dial has its own limits */
        break;
    case GREETING:
        connection_error(connection, "no CONNACK within %u s", CONNACK_TIMEOUT_MS / 1000);
        connection_give_up(connection);
        break;
    case CONNECTED:
        on_keepalive(connection);
        break;
    }
}

static enum dm_result
upstream_send(struct upstream *upstream, const struct mqtt_packet *packet)
{
    struct connection *connection = (struct connection *)upstream;

    if (connection->phase != CONNECTED)
        return DM_IO;
    if (packet->type == MQTT_CONNECT || packet->type == MQTT_DISCONNECT)
        return DM_INVALID;
    return connection_send(connection, packet);
}

static void
free_connection(struct connection *connection)
{
    connection_release(connection);
    if (connection->timer != NULL)
        event_free(connection->timer);
    upstream_watch_free(connection->watch);
    upstream_targets_fini(&connection->targets);
    upstream_options_free(&connection->options);
    free(connection);
}

static void
upstream_free(struct upstream *upstream)
{
    struct connection *connection = (struct connection *)upstream;

    if (connection->phase == CONNECTED)
        stream_say_goodbye(connection->stream, 0, FLUSH_TIMEOUT_MS);
    free_connection(connection);
}

/* Already before the CONNACK: the broker has the will from the CONNECT on. */
static void
say_goodbye(struct connection *connection)
{
    if (connection->stream != NULL)
        stream_say_goodbye(connection->stream, 0, 0);
}

static void
upstream_drop(struct upstream *upstream, bool disconnect)
{
    struct connection *connection = (struct connection *)upstream;

    if (disconnect)
        say_goodbye(connection);
    free_connection(connection);
}

static void
upstream_attempt(struct upstream *upstream, size_t broker)
{
    struct connection *connection = (struct connection *)upstream;

    if (connection->phase != WAITING)
        return;
    connection->allowed = true;
    connection->targets.current = broker;
    connection_arm(connection, 0);
}

static void
upstream_forget_cuts(struct upstream *upstream)
{
    ((struct connection *)upstream)->cut_short = 0;
}

static enum dm_result
upstream_reconfigure(struct upstream *upstream, const struct upstream_options *options)
{
    struct connection *connection = (struct connection *)upstream;
    bool was_connected = connection->phase == CONNECTED;
    struct upstream_options copy;
    struct upstream_targets targets = {.count = 0};
    char error[UPSTREAM_ERROR_MAX];

    if (upstream_options_copy(&copy, options) != DM_OK ||
        upstream_targets_init(&targets, options, error, sizeof error) != DM_OK) {
        upstream_targets_fini(&targets);
        upstream_options_free(&copy);
        return DM_NO_MEMORY;
    }
    if (!options->member) /* of members, may_attempt says where to */
        targets.current = connection->targets.current;
    say_goodbye(connection);
    connection_release(connection);
    upstream_options_free(&connection->options);
    upstream_targets_fini(&connection->targets);
    connection->options = copy;
    connection->targets = targets;
    connection->allowed = false;
    connection_arm(connection, 0);
    if (was_connected && !options->member)
        connection->events.on_disconnected(connection->events.ctx);
    return DM_OK;
}

static bool
upstream_has_options(const struct upstream *upstream, const struct upstream_options *options)
{
    return upstream_options_equal(&((const struct connection *)upstream)->options, options);
}

static void
upstream_status(const struct upstream *upstream, struct upstream_status *status)
{
    const struct connection *connection = (const struct connection *)upstream;

    *status = (struct upstream_status){
        .state = connection->phase == CONNECTED ? UPSTREAM_CONNECTED
                 : connection->phase == WAITING ? UPSTREAM_WAITING
                                                : UPSTREAM_CONNECTING,
        .connects = connection->connects,
        .rx_packets = connection->counters.rx_packets,
        .tx_packets = connection->counters.tx_packets,
        .rx_octets = connection->counters.rx_octets,
        .tx_octets = connection->counters.tx_octets,
    };
    upstream_targets_status(&connection->targets, status);
    if (connection->phase == CONNECTED)
        stream_tls_status(connection->stream, &status->tls);
}

struct upstream *
upstream_open(struct event_base *base, const struct upstream_options *options,
              const struct upstream_events *events, char *error, size_t error_size)
{
    static const struct upstream_ops ops = {
        .send = upstream_send,
        .reconfigure = upstream_reconfigure,
        .has_options = upstream_has_options,
        .free = upstream_free,
        .drop = upstream_drop,
        .attempt = upstream_attempt,
        .forget_cuts = upstream_forget_cuts,
        .status = upstream_status,
    };
    struct connection *connection = calloc(1, sizeof *connection);

    snprintf(error, error_size, "%s", dm_result_text(DM_NO_MEMORY));
    if (connection == NULL)
        return NULL;
    connection->upstream.ops = &ops;
    connection->base = base;
    connection->events = *events;
    connection->timer = evtimer_new(base, on_timer, connection);
    if (upstream_options_copy(&connection->options, options) != DM_OK ||
        connection->timer == NULL ||
        upstream_targets_init(&connection->targets, options, error, error_size) != DM_OK)
        goto fail;
    if (!options->member) {
        connection->watch = upstream_watch_new(base, &connection->options, &connection->targets,
                                               on_first_back, connection);
        if (connection->watch == NULL)
            goto fail;
    }
    connection_arm(connection, 0);
    return &connection->upstream;

fail:
    free_connection(connection);
    return NULL;
}
