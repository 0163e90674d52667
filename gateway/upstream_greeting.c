/* SPDX-License-Identifier: Apache-2.0 */
/* From the open stream to the CONNACK: which version, which will, and what a refusal means. */
#include <string.h>

#include <event2/event.h>

#include <dormouse/log.h>

#include "upstream_private.h"

enum { MEMBER_ALIASES = 8 }; /* of one device; there are thousands of them */

void
greeting_other_version(struct connection *connection, bool named)
{
    struct upstream_target *target = target_of(connection);

    if (!upstream_version_refused(&target->version, named)) {
        connection_give_up(connection);
        return;
    }
    if (connection->targets.failures == 0) /* not at every retry */
        log_info("upstream", "%s: %s; trying MQTT 3.1.1", target->url, target->error);
    connection_release(connection);
    connection_arm(connection, 0);
}

/* Refusals that our will may be the reason of: a broker may forbid the topic, or take no retained
 * or QoS 1 messages. */
static bool
may_mean_the_will(uint8_t reason)
{
    static const uint8_t reasons[] = {0x80, 0x83, 0x87, 0x90, 0x97, 0x99, 0x9a, 0x9b};

    return memchr(reasons, reason, sizeof reasons) != NULL;
}

/* Refusals of what we are or want, which the next attempt would meet again; the others pass. */
static bool
is_for_good(uint8_t reason)
{
    static const uint8_t reasons[] = {0x85, 0x86, 0x87, 0x8a, 0x8c, 0x90, 0x99, 0x9a, 0x9b};

    return memchr(reasons, reason, sizeof reasons) != NULL;
}

/* Once more at once without a will. If that does not help either, the next attempt has it again.
 * Of a member the will is the device's: without it the connection would not be what it asked for.
 */
static void
refused(struct connection *connection, uint8_t reason)
{
    struct upstream_target *target = target_of(connection);
    bool had_will = connection->options.will_topic != NULL && !connection->options.member &&
                    !connection->clean_start && !target->no_will;

    target->no_will = had_will && may_mean_the_will(reason);
    if (connection->options.member) {
        connection_end(connection, is_for_good(reason) ? UPSTREAM_REFUSED : UPSTREAM_LOST);
        return;
    }
    if (!target->no_will) {
        connection_give_up(connection);
        return;
    }
    connection_release(connection);
    connection_arm(connection, 0);
}

static void
enter_connected(struct connection *connection, const struct mqtt_packet *connack)
{
    struct upstream_target *target = target_of(connection);
    struct upstream_session session = upstream_connack_session(target->version.current, connack);
    struct tls_status tls;
    unsigned keepalive_s = connection->options.keepalive_s;
    uint16_t aliases = connack->topic_alias_maximum;
    char name[CONNECTION_NAME_SIZE];

    if (connack->has_server_keepalive)
        keepalive_s = connack->keepalive_s;
    if (connack->maximum_packet_size != 0)
        stream_set_send_maximum(connection->stream, connack->maximum_packet_size);
    if (connection->options.member && aliases > MEMBER_ALIASES)
        aliases = MEMBER_ALIASES;
    stream_use_aliases(connection->stream, target->no_aliases ? 0 : aliases);
    if (connack->session_expiry_s != UINT32_MAX && !connection->options.member)
        log_warning("upstream", "%s: the broker forgets our session after %lu s offline",
                    target->url, (unsigned long)connack->session_expiry_s);
    if (target->no_will)
        log_warning("upstream",
                    "%s: the broker takes no will of ours: nobody is told there if the "
                    "gateway dies",
                    target->url);
    stream_tls_status(connection->stream, &tls);
    log_write(connection->options.member ? LOG_LEVEL_DEBUG : LOG_LEVEL_NOTICE, "upstream",
              "%s: connected with MQTT %s%s%s%s%s, session %s", connection_name(connection, name),
              session.version == MQTT_5 ? "5" : "3.1.1", tls.in_use ? ", " : "", tls.version,
              tls.in_use ? " " : "", tls.cipher, session.session_present ? "present" : "new");
    session.broker = connection->targets.current;
    connection->phase = CONNECTED;
    target->wiped = false;
    connection->connects++;
    connection->connected_ms = upstream_clock_ms();
    target->error[0] = target->logged[0] = '\0';
    if (connection->watch != NULL)
        upstream_watch_start(connection->watch, target->url, &tls,
                             connection->targets.current != 0);
    connection->keepalive_ms = (uint64_t)keepalive_s * 1000;
    if (keepalive_s > 0)
        connection_arm_keepalive(connection);
    else
        evtimer_del(connection->timer);
    if (connection->events.on_broker_back != NULL)
        connection->events.on_broker_back(connection->events.back_ctx, session.broker);
    connection->events.on_connected(connection->events.ctx, &session);
}

/* The broker's old session is gone. A session begun with Clean Start 1 is no place to stay: with
 * MQTT 3.1.1 it ends with the connection, and Mosquitto before 2.0.12 does not write it to its
 * file. */
static void
connect_to_stay(struct connection *connection)
{
    char name[CONNECTION_NAME_SIZE];

    log_debug("upstream", "%s: old session wiped", connection_name(connection, name));
    target_of(connection)->wiped = true;
    stream_say_goodbye(connection->stream, 0, 0);
    connection_release(connection);
    if (connection->options.wipe) {
        evtimer_del(connection->timer);
        connection->events.on_wiped(connection->events.ctx);
    } else {
        connection_arm(connection, 0);
    }
}

bool
greeting_connack(void *ctx, const struct mqtt_packet *connack, enum mqtt_version version)
{
    struct connection *connection = ctx;
    struct upstream_version *spoken = &target_of(connection)->version;
    uint8_t reason = version == spoken->current
                         ? upstream_connack_reason(version, connack)
                         : 0x84; /* an answer in the form of 3.1.1 says so whatever its code */
    char text[128];

    connection->reached = true;
    if (reason == 0 && connack->session_present && connection->clean_start) {
        connection_error(connection, "broker says session present after a clean start");
        connection_reject(connection, 0x82);
    } else if (reason == 0) {
        spoken->proven = true;
        if (connection->clean_start)
            connect_to_stay(connection);
        else
            enter_connected(connection, connack);
    } else {
        connection_error(connection, "broker refused: %s",
                         upstream_reason_text(reason, connack->reason_string, text, sizeof text));
        if (reason == 0x84)
            greeting_other_version(connection, true);
        else
            refused(connection, reason);
    }
    return connection->stream != NULL;
}

void
greeting_start(struct connection *connection)
{
    struct upstream_target *target = target_of(connection);

    connection->clean_start =
        connection->options.wipe ||
        (connection->events.clean_start(connection->events.ctx, connection->targets.current) &&
         !target->wiped);
    struct mqtt_packet packet =
        upstream_connect_packet(&connection->options, connection->clean_start);

    packet.has_will = packet.has_will && !target->no_will;
    enum dm_result result = connection_send(connection, &packet);

    if (result != DM_OK) {
        connection_error(connection, "CONNECT cannot be written: %s", dm_result_text(result));
        connection_give_up(connection);
        return;
    }
    connection->phase = GREETING;
    connection_arm(connection, CONNACK_TIMEOUT_MS);
}
