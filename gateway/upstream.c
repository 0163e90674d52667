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

#include "upstream_connect.h"
#include "upstream_dial.h"
#include "upstream_stream.h"
#include "upstream_target.h"
#include "upstream_watch.h"
#include "upstream_window.h"

#define CONNACK_TIMEOUT_MS 10000u
#define PINGRESP_TIMEOUT_MIN_MS 5000u
#define STABLE_MS 5000u /* a connection that lived as long starts the back-off anew */
#define FLUSH_TIMEOUT_MS 1000u
#define RECEIVE_MAXIMUM_EXCEEDED 0x93 /* MQTT 5 reason code */

enum phase { WAITING, DIALING, GREETING, CONNECTED };

struct connection {
    struct upstream upstream; /* first: the pointer we give away */
    struct event_base *base;
    struct upstream_events events;
    struct upstream_options options; /* its texts are ours */
    struct upstream_targets targets;

    enum phase phase;
    struct event *timer;   /* what it ends depends on the phase */
    struct dial *dial;     /* DIALING */
    struct stream *stream; /* GREETING, CONNECTED */
    struct stream_counters counters;
    struct upstream_watch *watch;
    struct upstream_window window;

    bool clean_start;      /* of this attempt: it only wipes the broker's session */
    uint64_t keepalive_ms; /* 0: none */
    uint64_t connected_ms, last_rx_ms, last_tx_ms;
    bool ping_open; /* PINGREQ sent, nothing received since */

    uint64_t connects;
};

static struct upstream_target *
target_of(struct connection *connection)
{
    return upstream_target(&connection->targets);
}

static uint64_t
clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
arm(struct connection *connection, uint64_t delay_ms)
{
    struct timeval delay = {
        .tv_sec = (time_t)(delay_ms / 1000),
        .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000),
    };

    evtimer_add(connection->timer, &delay);
}

static enum dm_result
send_packet(struct connection *connection, const struct mqtt_packet *packet)
{
    enum dm_result result = stream_send(connection->stream, packet);

    if (result == DM_OK) {
        connection->last_tx_ms = clock_ms();
        upstream_window_sent(&connection->window, packet);
    }
    return result;
}

/* Ends whatever the phase has under way. Calls nobody. */
static void
release_attempt(struct connection *connection)
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

__attribute__((format(printf, 2, 3))) static void
set_error(struct connection *connection, const char *format, ...)
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
        number = (uint32_t)clock_ms();
    return number;
}

/* The attempt or connection is over because of the target's error; the next attempt is later, and
 * perhaps to another one. */
static void
give_up(struct connection *connection)
{
    bool was_connected = connection->phase == CONNECTED;
    struct upstream_target *target = target_of(connection);
    /* A broker that accepts and soon closes again is no success: two gateways with one client id
     * would throw each other out twice a second. */
    bool stable = was_connected && clock_ms() - connection->connected_ms >= STABLE_MS;

    release_attempt(connection);
    upstream_version_failed(&target->version);
    if (strcmp(target->error, target->logged) != 0) {
        log_warning("upstream", "%s: %s", target->url, target->error);
        memcpy(target->logged, target->error, sizeof target->logged);
    }
    arm(connection, upstream_targets_failed(&connection->targets, stable, random_number()));
    if (was_connected)
        connection->events.on_disconnected(connection->events.ctx);
}

/* The broker broke the protocol, as the target's error tells: says so and gives up. */
static void
reject(struct connection *connection, uint8_t reason)
{
    if (target_of(connection)->version.current == MQTT_5)
        stream_say_goodbye(connection->stream, reason, 0);
    give_up(connection);
}

/* The broker does not speak our version, or seems not to: another attempt at once, if there is
 * another version to try, else gives up. */
static void
try_other_version(struct connection *connection, bool named)
{
    struct upstream_target *target = target_of(connection);

    if (!upstream_version_refused(&target->version, named)) {
        give_up(connection);
        return;
    }
    if (connection->targets.failures == 0) /* not at every retry */
        log_info("upstream", "%s: %s; trying MQTT 3.1.1", target->url, target->error);
    release_attempt(connection);
    arm(connection, 0);
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
    release_attempt(connection);
    connection->targets.current = 0;
    arm(connection, 0);
    connection->events.on_disconnected(connection->events.ctx);
    return true;
}

/* Refusals that our will may be the reason of: a broker may forbid the topic, or take no retained
 * or QoS 1 messages. */
static bool
may_mean_the_will(uint8_t reason)
{
    static const uint8_t reasons[] = {0x80, 0x83, 0x87, 0x90, 0x97, 0x99, 0x9a, 0x9b};

    return memchr(reasons, reason, sizeof reasons) != NULL;
}

/* Once more at once without a will. If that does not help either, the next attempt has it again. */
static void
refused(struct connection *connection, uint8_t reason)
{
    struct upstream_target *target = target_of(connection);
    bool had_will =
        connection->options.will_topic != NULL && !connection->clean_start && !target->no_will;

    target->no_will = had_will && may_mean_the_will(reason);
    if (!target->no_will) {
        give_up(connection);
        return;
    }
    release_attempt(connection);
    arm(connection, 0);
}

static void
arm_keepalive(struct connection *connection)
{
    uint64_t since_ms = connection->last_tx_ms < connection->last_rx_ms ? connection->last_tx_ms
                                                                        : connection->last_rx_ms;
    uint64_t due_ms = since_ms + connection->keepalive_ms;
    uint64_t now_ms = clock_ms();

    arm(connection, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void
on_keepalive(struct connection *connection)
{
    uint64_t now_ms = clock_ms();
    uint64_t answer_ms = connection->keepalive_ms / 2;
    struct mqtt_packet ping = {.type = MQTT_PINGREQ};

    if (answer_ms < PINGRESP_TIMEOUT_MIN_MS)
        answer_ms = PINGRESP_TIMEOUT_MIN_MS;
    if (connection->ping_open) {
        set_error(connection, "no answer to PINGREQ within %u s", (unsigned)(answer_ms / 1000));
        give_up(connection);
    } else if (now_ms < connection->last_tx_ms + connection->keepalive_ms &&
               now_ms < connection->last_rx_ms + connection->keepalive_ms) {
        arm_keepalive(connection);
    } else {
        send_packet(connection, &ping); /* no memory: no answer will come, and that is handled */
        connection->ping_open = true;
        arm(connection, answer_ms);
    }
}

static void
enter_connected(struct connection *connection, const struct mqtt_packet *connack)
{
    struct upstream_target *target = target_of(connection);
    struct upstream_session session = upstream_connack_session(target->version.current, connack);
    struct tls_status tls;
    unsigned keepalive_s = connection->options.keepalive_s;

    if (connack->has_server_keepalive)
        keepalive_s = connack->keepalive_s;
    if (connack->maximum_packet_size != 0)
        stream_set_send_maximum(connection->stream, connack->maximum_packet_size);
    if (connack->session_expiry_s != UINT32_MAX)
        log_warning("upstream", "%s: the broker forgets our session after %lu s offline",
                    target->url, (unsigned long)connack->session_expiry_s);
    if (target->no_will)
        log_warning("upstream",
                    "%s: the broker takes no will of ours: nobody is told there if the "
                    "gateway dies",
                    target->url);
    stream_tls_status(connection->stream, &tls);
    log_notice("upstream", "%s: connected with MQTT %s%s%s%s%s, session %s", target->url,
               session.version == MQTT_5 ? "5" : "3.1.1", tls.in_use ? ", " : "", tls.version,
               tls.in_use ? " " : "", tls.cipher, session.session_present ? "present" : "new");
    session.broker = connection->targets.current;
    connection->phase = CONNECTED;
    target->wiped = false;
    connection->connects++;
    connection->connected_ms = clock_ms();
    target->error[0] = target->logged[0] = '\0';
    upstream_watch_start(connection->watch, target->url, &tls, connection->targets.current != 0);
    connection->keepalive_ms = (uint64_t)keepalive_s * 1000;
    if (keepalive_s > 0)
        arm_keepalive(connection);
    else
        evtimer_del(connection->timer);
    connection->events.on_connected(connection->events.ctx, &session);
}

/* The broker's old session is gone. A session begun with Clean Start 1 is no place to stay: with
 * MQTT 3.1.1 it ends with the connection, and Mosquitto before 2.0.12 does not write it to its
 * file. */
static void
connect_to_stay(struct connection *connection)
{
    log_debug("upstream", "%s: old session wiped", target_of(connection)->url);
    target_of(connection)->wiped = true;
    stream_say_goodbye(connection->stream, 0, 0);
    release_attempt(connection);
    arm(connection, 0);
}

/* False: the stream is gone, and with it all that `connack` borrows. */
static bool
on_connack(void *ctx, const struct mqtt_packet *connack, enum mqtt_version version)
{
    struct connection *connection = ctx;
    struct upstream_version *spoken = &target_of(connection)->version;
    uint8_t reason = version == spoken->current
                         ? upstream_connack_reason(version, connack)
                         : 0x84; /* an answer in the form of 3.1.1 says so whatever its code */
    char text[128];

    if (reason == 0 && connack->session_present && connection->clean_start) {
        set_error(connection, "broker says session present after a clean start");
        reject(connection, 0x82);
    } else if (reason == 0) {
        spoken->proven = true;
        if (connection->clean_start)
            connect_to_stay(connection);
        else
            enter_connected(connection, connack);
    } else {
        set_error(connection, "broker refused: %s",
                  upstream_reason_text(reason, connack->reason_string, text, sizeof text));
        if (reason == 0x84)
            try_other_version(connection, true);
        else
            refused(connection, reason);
    }
    return connection->stream != NULL;
}

/* As on_connack. */
static bool
on_packet(void *ctx, const struct mqtt_packet *packet)
{
    struct connection *connection = ctx;
    uint32_t maximum =
        upstream_receive_maximum(&connection->options, target_of(connection)->version.current);
    char text[128];

    if (packet->type == MQTT_DISCONNECT) {
        set_error(connection, "broker sent DISCONNECT: %s",
                  upstream_reason_text(packet->reason, packet->reason_string, text, sizeof text));
        give_up(connection);
        return false;
    }
    if (!upstream_window_received(&connection->window, packet, maximum)) {
        set_error(connection, "broker sent more messages at a time than we allow");
        reject(connection, RECEIVE_MAXIMUM_EXCEEDED);
        return false;
    }
    if (packet->type != MQTT_PINGRESP)
        connection->events.on_packet(connection->events.ctx, packet);
    return true;
}

static void
on_octets(void *ctx)
{
    struct connection *connection = ctx;

    connection->last_rx_ms = clock_ms();
    if (connection->ping_open) { /* any octet is a sign of life: a PINGRESP may queue behind data */
        connection->ping_open = false;
        arm_keepalive(connection);
    }
}

static void
on_end(void *ctx, uint8_t reason, const char *error)
{
    struct connection *connection = ctx;
    bool greeting = connection->phase == GREETING;

    set_error(connection, "%s%s", error, greeting && reason == 0 ? " without CONNACK" : "");
    if (reason == STREAM_TLS_FAILED)
        give_up(connection);
    else if (reason != 0)
        reject(connection, reason);
    else if (greeting)
        try_other_version(connection, false);
    else
        give_up(connection);
}

static void
greet(struct connection *connection)
{
    connection->clean_start =
        connection->events.clean_start(connection->events.ctx, connection->targets.current) &&
        !target_of(connection)->wiped;
    connection->window = (struct upstream_window){0};
    struct mqtt_packet packet =
        upstream_connect_packet(&connection->options, connection->clean_start);

    packet.has_will = packet.has_will && !target_of(connection)->no_will;
    enum dm_result result = send_packet(connection, &packet);

    if (result != DM_OK) {
        set_error(connection, "CONNECT cannot be written: %s", dm_result_text(result));
        give_up(connection);
        return;
    }
    connection->phase = GREETING;
    arm(connection, CONNACK_TIMEOUT_MS);
}

/* NULL with the target's error: a file cannot be used, or no memory. Takes `fd` over. */
static struct stream *
open_stream(struct connection *connection, int fd)
{
    struct stream_events events = {connection, on_octets, on_connack, on_packet, on_end};
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
    set_error(connection, "%s", dm_result_text(DM_NO_MEMORY));
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
        set_error(connection, "%s", error);
    if (connection->stream != NULL)
        greet(connection);
    else
        give_up(connection);
}

static void
start_attempt(struct connection *connection)
{
    const struct upstream_broker *broker = &target_of(connection)->broker;

    connection->phase = DIALING;
    connection->dial =
        dial_start(connection->base, broker->host, broker->port, on_dialed, connection);
    if (connection->dial == NULL) {
        set_error(connection, "%s", dm_result_text(DM_NO_MEMORY));
        give_up(connection);
    }
}

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct connection *connection = ctx;

    (void)fd;
    (void)what;
    switch (connection->phase) {
    case WAITING:
        start_attempt(connection);
        break;
    case DIALING: /* the dial has its own limits */
        break;
    case GREETING:
        set_error(connection, "no CONNACK within %u s", CONNACK_TIMEOUT_MS / 1000);
        give_up(connection);
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
    return send_packet(connection, packet);
}

static void
upstream_free(struct upstream *upstream)
{
    struct connection *connection = (struct connection *)upstream;

    if (connection->phase == CONNECTED)
        stream_say_goodbye(connection->stream, 0, FLUSH_TIMEOUT_MS);
    release_attempt(connection);
    if (connection->timer != NULL)
        event_free(connection->timer);
    upstream_watch_free(connection->watch);
    upstream_targets_fini(&connection->targets);
    upstream_options_free(&connection->options);
    free(connection);
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
    targets.current = connection->targets.current;
    if (was_connected)
        stream_say_goodbye(connection->stream, 0, 0);
    release_attempt(connection);
    upstream_options_free(&connection->options);
    upstream_targets_fini(&connection->targets);
    connection->options = copy;
    connection->targets = targets;
    arm(connection, 0);
    if (was_connected)
        connection->events.on_disconnected(connection->events.ctx);
    return DM_OK;
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
        .free = upstream_free,
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
    connection->watch = upstream_watch_new(
        base, &connection->options, &connection->targets.items[0], on_first_back, connection);
    if (connection->watch == NULL)
        goto fail;
    arm(connection, 0);
    return &connection->upstream;

fail:
    upstream_free(&connection->upstream);
    return NULL;
}
