/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to the broker and its steps. Nothing outside upstream*.c includes it. */
#ifndef DORMOUSE_UPSTREAM_PRIVATE_H
#define DORMOUSE_UPSTREAM_PRIVATE_H

#include "upstream.h"
#include "upstream_connect.h"
#include "upstream_dial.h"
#include "upstream_stream.h"
#include "upstream_target.h"
#include "upstream_watch.h"

#define CONNACK_TIMEOUT_MS 10000u
#define CONNECTION_NAME_SIZE 320

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
    struct upstream_watch *watch; /* NULL: of a member */

    bool clean_start;      /* of this attempt: it only wipes the broker's session */
    bool allowed;          /* may_attempt, or ops.attempt, for this attempt and its repetitions */
    bool reached;          /* the broker answered in this attempt */
    bool objected;         /* the broker's last word was that it does not take a message */
    uint8_t cut_short;     /* connections in a row that the broker closed soon, without a word */
    uint64_t keepalive_ms; /* 0: none */
    uint64_t connected_ms, last_rx_ms, last_tx_ms;
    bool ping_open; /* PINGREQ sent, nothing received since */

    uint64_t connects;
};

static inline struct upstream_target *
target_of(struct connection *connection)
{
    return upstream_target(&connection->targets);
}

/* CLOCK_BOOTTIME. */
uint64_t upstream_clock_ms(void);
/* Sets the one timer; what it ends depends on the phase. */
void connection_arm(struct connection *connection, uint64_t delay_ms);
void connection_arm_keepalive(struct connection *connection);
enum dm_result connection_send(struct connection *connection, const struct mqtt_packet *packet);
void connection_error(struct connection *connection, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* For the log: the broker, and of a member whose connection it is. Returns `text`. */
const char *connection_name(const struct connection *connection, char text[CONNECTION_NAME_SIZE]);
/* Ends whatever the phase has under way. Calls nobody. */
void connection_release(struct connection *connection);
/* The attempt or connection is over because of the target's error; the next attempt is later, and
 * perhaps to another one. */
void connection_give_up(struct connection *connection);
/* The same, and why. */
void connection_end(struct connection *connection, enum upstream_end why);
/* The broker broke the protocol, as the target's error tells: says so and gives up. */
void connection_reject(struct connection *connection, uint8_t reason);

/* Says CONNECT. */
void greeting_start(struct connection *connection);
/* As on_connack of struct stream_events; `ctx` is the connection. False: the stream is gone, and
 * with it all that `connack` borrows. */
bool greeting_connack(void *ctx, const struct mqtt_packet *connack, enum mqtt_version version);
/* The broker does not speak our version, or seems not to: another attempt at once, if there is
 * another version to try, else gives up. */
void greeting_other_version(struct connection *connection, bool named);

#endif
