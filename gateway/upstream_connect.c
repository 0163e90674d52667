/* SPDX-License-Identifier: Apache-2.0 */
/* What an attempt says and decides, without I/O: options, version, back-off, CONNECT, CONNACK. */
#include "upstream_connect.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include <dormouse/log.h>

#define BACKOFF_MIN_MS 500u
#define BACKOFF_MAX_MS 30000u
#define DEFAULT_PORT "1883"
#define DEFAULT_TLS_PORT "8883"
#define DEFAULT_MAXIMUM_PACKET (1024u * 1024u)
/* MQTT 3.1.1 has no Receive Maximum; 20 is what Mosquitto serves at a time (design.md section 4).
 */
#define SEND_MAXIMUM_311 20u

static void
free_text(const char *text)
{
    if (text != NULL)
        explicit_bzero((char *)(uintptr_t)text, strlen(text)); /* one of them is the password */
    free((char *)(uintptr_t)text);
}

/* False: no memory. */
static bool
copy_text(const char **copy, const char *text)
{
    *copy = text != NULL ? strdup(text) : NULL;
    return (*copy == NULL) == (text == NULL);
}

/* False: no memory. */
static bool
copy_octets(struct dm_span *copy, struct dm_span octets)
{
    uint8_t *data = octets.len > 0 ? malloc(octets.len) : NULL;

    if (data != NULL)
        memcpy(data, octets.data, octets.len);
    *copy = dm_span(data, data != NULL ? octets.len : 0);
    return copy->len == octets.len;
}

static uint32_t
maximum_packet_of(const struct upstream_options *options)
{
    return options->maximum_packet != 0 ? options->maximum_packet : DEFAULT_MAXIMUM_PACKET;
}

enum dm_result
upstream_options_copy(struct upstream_options *copy, const struct upstream_options *options)
{
    *copy = *options;
    copy->urls = NULL; /* the targets have them */
    copy->maximum_packet = maximum_packet_of(options);
    bool copied = copy_text(&copy->client_id, options->client_id);

    copied = copy_text(&copy->username, options->username) && copied;
    copied = copy_text(&copy->password, options->password) && copied;
    copied = copy_text(&copy->will_topic, options->will_topic) && copied;
    copied = copy_octets(&copy->will_payload, options->will_payload) && copied;
    copied = copy_text(&copy->tls.ca_file, options->tls.ca_file) && copied;
    copied = copy_text(&copy->tls.cert_file, options->tls.cert_file) && copied;
    copied = copy_text(&copy->tls.key_file, options->tls.key_file) && copied;
    return copied ? DM_OK : DM_NO_MEMORY;
}

void
upstream_options_free(struct upstream_options *options)
{
    free_text(options->client_id);
    free_text(options->username);
    free_text(options->password);
    free_text(options->will_topic);
    free((void *)(uintptr_t)options->will_payload.data);
    free_text(options->tls.ca_file);
    free_text(options->tls.cert_file);
    free_text(options->tls.key_file);
}

static bool
same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
upstream_options_equal(const struct upstream_options *copy, const struct upstream_options *options)
{
    return same_text(copy->client_id, options->client_id) &&
           same_text(copy->username, options->username) &&
           same_text(copy->password, options->password) &&
           same_text(copy->will_topic, options->will_topic) &&
           dm_span_equal(copy->will_payload, options->will_payload) &&
           copy->will_qos == options->will_qos && copy->will_retain == options->will_retain &&
           same_text(copy->tls.ca_file, options->tls.ca_file) &&
           same_text(copy->tls.cert_file, options->tls.cert_file) &&
           same_text(copy->tls.key_file, options->tls.key_file) &&
           copy->version == options->version && copy->keepalive_s == options->keepalive_s &&
           copy->receive_maximum == options->receive_maximum &&
           copy->maximum_packet == maximum_packet_of(options) &&
           copy->return_ms == options->return_ms;
}

static enum dm_result
split_host(const char *text, struct upstream_broker *broker, const char **rest)
{
    bool bracket = *text == '[';
    const char *host = bracket ? text + 1 : text;
    size_t len = 0;

    while (isalnum((unsigned char)host[len]) ||
           (host[len] != '\0' && strchr(bracket ? ".:%_-" : "._-", host[len]) != NULL))
        len++;
    if (len == 0 || len >= sizeof broker->host || (bracket && host[len] != ']'))
        return DM_INVALID;
    memcpy(broker->host, host, len);
    broker->host[len] = '\0';
    *rest = host + len + (bracket ? 1 : 0);
    return DM_OK;
}

static enum dm_result
split_port(const char *text, struct upstream_broker *broker)
{
    if (*text == '\0') {
        memcpy(broker->port, broker->tls ? DEFAULT_TLS_PORT : DEFAULT_PORT, sizeof DEFAULT_PORT);
        return DM_OK;
    }
    size_t len = strlen(text) - 1;
    if (*text != ':' || len == 0 || len >= sizeof broker->port ||
        strspn(text + 1, "0123456789") != len)
        return DM_INVALID;
    long number = strtol(text + 1, NULL, 10);
    if (number < 1 || number > 65535)
        return DM_INVALID;
    memcpy(broker->port, text + 1, len + 1);
    return DM_OK;
}

/* What follows the scheme, NULL if the URL has another one. */
static const char *
after_scheme(const char *url, const char *scheme)
{
    size_t len = strlen(scheme);

    return strncmp(url, scheme, len) == 0 ? url + len : NULL;
}

enum dm_result
upstream_url_parse(const char *url, struct upstream_broker *broker, char *error, size_t error_size)
{
    const char *path = after_scheme(url, "mqtt+unix://");
    const char *host = after_scheme(url, "mqtts://");
    const char *rest = NULL;

    *broker = (struct upstream_broker){.tls = host != NULL};
    if (path != NULL) {
        if (*path == '/' && strlen(path) < sizeof((struct sockaddr_un *)0)->sun_path) {
            memcpy(broker->host, path, strlen(path) + 1);
            return DM_OK;
        }
        snprintf(error, error_size, "the path of the broker's socket is not absolute or too long");
        return DM_INVALID;
    }
    if (host == NULL)
        host = after_scheme(url, "mqtt://");
    if (host == NULL || split_host(host, broker, &rest) != DM_OK ||
        split_port(rest, broker) != DM_OK) {
        snprintf(error, error_size,
                 "the broker's URL is not mqtt://host[:port], mqtts://host[:port] or "
                 "mqtt+unix:///path");
        return DM_INVALID;
    }
    return DM_OK;
}

void
upstream_version_init(struct upstream_version *version, unsigned wanted)
{
    *version = (struct upstream_version){
        .current = wanted == MQTT_3_1_1 ? MQTT_3_1_1 : MQTT_5,
        .fixed = wanted != 0,
    };
}

bool
upstream_version_refused(struct upstream_version *version, bool named)
{
    if (version->fixed)
        return false;
    if (named)
        version->proven = false;
    if (version->proven || version->current == MQTT_3_1_1)
        return false;
    version->current = MQTT_3_1_1;
    return true;
}

void
upstream_version_failed(struct upstream_version *version)
{
    if (!version->fixed && !version->proven)
        version->current = MQTT_5;
}

uint32_t
upstream_backoff_ms(unsigned failures, uint32_t random)
{
    uint32_t delay_ms = BACKOFF_MIN_MS;

    for (unsigned i = 1; i < failures && delay_ms < BACKOFF_MAX_MS; i++)
        delay_ms *= 2;
    if (delay_ms > BACKOFF_MAX_MS)
        delay_ms = BACKOFF_MAX_MS;
    uint32_t spread_ms = delay_ms * 2 / 5; /* from 80 % to 120 % */
    return delay_ms - spread_ms / 2 + random % (spread_ms + 1);
}

struct mqtt_packet
upstream_connect_packet(const struct upstream_options *options, bool clean_start)
{
    bool will = options->will_topic != NULL && !clean_start;

    return (struct mqtt_packet){
        .type = MQTT_CONNECT,
        .clean_start = clean_start,
        .keepalive_s = options->keepalive_s,
        .client_id = dm_span_text(options->client_id),
        .has_username = options->username != NULL,
        .username = dm_span_text(options->username),
        .has_password = options->password != NULL,
        .password = dm_span_text(options->password),
        .has_will = will,
        .will_topic = dm_span_text(will ? options->will_topic : NULL),
        .will_payload = will ? options->will_payload : (struct dm_span){0},
        .will_qos = will ? options->will_qos : 0,
        .will_retain = will && options->will_retain,
        .session_expiry_s = clean_start ? 0 : UINT32_MAX,
        .receive_maximum = options->receive_maximum,
        .maximum_packet_size = options->maximum_packet,
    };
}

uint8_t
upstream_connack_reason(enum mqtt_version version, const struct mqtt_packet *connack)
{
    /* The return codes of 3.1.1 (its table 3.1) and the reason codes with the same meaning. */
    static const uint8_t reasons[] = {0x00, 0x84, 0x85, 0x88, 0x86, 0x87};

    if (version == MQTT_5)
        return connack->reason;
    return connack->reason < sizeof reasons ? reasons[connack->reason] : 0x80;
}

const char *
upstream_reason_text(uint8_t reason, struct dm_span words, char *buffer, size_t size)
{
    char escaped[64] = "";

    log_escape(escaped, sizeof escaped, words);
    snprintf(buffer, size, "0x%02x %s%s%s%s", reason, mqtt_reason_name(reason),
             words.len > 0 ? " (" : "", escaped, words.len > 0 ? ")" : "");
    return buffer;
}

struct upstream_session
upstream_connack_session(enum mqtt_version version, const struct mqtt_packet *connack)
{
    struct upstream_session session = {
        .version = version,
        .session_present = connack->session_present,
        .send_maximum = SEND_MAXIMUM_311,
        .maximum_qos = 2,
        .retain_available = true,
    };

    if (version == MQTT_5) {
        session.send_maximum =
            connack->receive_maximum != 0 ? connack->receive_maximum : UINT16_MAX;
        session.maximum_qos = connack->maximum_qos;
        session.retain_available = connack->retain_available;
        session.subscription_ids_available = connack->subscription_ids_available;
    }
    return session;
}
