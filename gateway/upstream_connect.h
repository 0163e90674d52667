/* SPDX-License-Identifier: Apache-2.0 */
/* What an attempt says and decides, without I/O: options, version, back-off, CONNECT, CONNACK. */
#ifndef DORMOUSE_UPSTREAM_CONNECT_H
#define DORMOUSE_UPSTREAM_CONNECT_H

#include "upstream.h"

#define UPSTREAM_ERROR_MAX 160 /* octets of a reason with its terminator, as in upstream_status */

/* Copies every text; missing values get their defaults. Also after DM_NO_MEMORY free the copy. */
enum dm_result upstream_options_copy(struct upstream_options *copy,
                                     const struct upstream_options *options);
void upstream_options_free(struct upstream_options *options);
/* But for the URLs, which a copy does not have. */
bool upstream_options_equal(const struct upstream_options *copy,
                            const struct upstream_options *options);

struct upstream_broker {
    bool tls;
    char host[254]; /* name or address, without brackets; or the path of a Unix socket */
    char port[6];   /* empty: a Unix socket */
};

/* Splits mqtt://host[:port], mqtts://host[:port] or mqtt+unix:///path. DM_INVALID: none of them;
 * error[] tells why. */
enum dm_result upstream_url_parse(const char *url, struct upstream_broker *broker, char *error,
                                  size_t error_size);

/*
 * Which version the next CONNECT speaks. With `auto` 5 is tried first, and 3.1.1 follows at once
 * when the broker refuses 5 or closes without a word. A version that worked is kept until the
 * broker names it as the reason of a refusal: a broker that restarts behind a proxy also closes
 * silently.
 */
struct upstream_version {
    enum mqtt_version current;
    bool fixed;
    bool proven; /* current has worked */
};

/* `wanted` as in upstream_options. */
void upstream_version_init(struct upstream_version *version, unsigned wanted);
/* The broker refused the version (`named`), or closed without CONNACK. True: try again at once. */
bool upstream_version_refused(struct upstream_version *version, bool named);
/* The attempt failed for good: the next one begins with 5 again, unless a version is proven. */
void upstream_version_failed(struct upstream_version *version);

/* Time to wait after `failures` (1...) failures in a row: 0.5 s doubling to 30 s, and up to 20 %
 * more or less by `random`. */
uint32_t upstream_backoff_ms(unsigned failures, uint32_t random);

/* The CONNECT of these options; borrows their strings. With Clean Start the session ends with the
 * connection, else never. */
struct mqtt_packet upstream_connect_packet(const struct upstream_options *options,
                                           bool clean_start);

/* The CONNACK's code as an MQTT 5 reason code; 0 = accepted. */
uint8_t upstream_connack_reason(enum mqtt_version version, const struct mqtt_packet *connack);

/* "0x87 not authorized (their words)"; returns the buffer. */
const char *upstream_reason_text(uint8_t reason, struct dm_span words, char *buffer, size_t size);

/* What an accepted CONNACK grants. */
struct upstream_session upstream_connack_session(enum mqtt_version version,
                                                 const struct mqtt_packet *connack);

#endif
