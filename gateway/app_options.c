/* SPDX-License-Identifier: Apache-2.0 */
/* From the configuration to what engine, transports, upstream and store take. */
#include "app_options.h"

#include <stdlib.h>
#include <string.h>

enum { UPSTREAM_PACKET_MAX = 1 << 20 }; /* octets; no MQTT-SN message is longer than 64 KiB */

static uint64_t
duration(uint64_t ms)
{
    return ms == CONFIG_NEVER ? ENGINE_NEVER : ms;
}

/* The same two fields under another name: the engine knows no configuration. */
static const struct engine_topic *
copy_topics(const struct config_topics *topics)
{
    struct engine_topic *copy = calloc(topics->count + 1, sizeof *copy);

    for (size_t i = 0; copy != NULL && i < topics->count; i++)
        copy[i] = (struct engine_topic){.id = topics->items[i].id, .name = topics->items[i].name};
    return copy;
}

static enum engine_overflow
overflow_policy(const char *text)
{
    if (strcmp(text, "drop_newest") == 0)
        return ENGINE_DROP_NEWEST;
    return strcmp(text, "latest") == 0 ? ENGINE_LATEST : ENGINE_DROP_OLDEST;
}

static enum engine_queue_qos0
qos0_policy(const char *text)
{
    if (strcmp(text, "never") == 0)
        return ENGINE_QOS0_NEVER;
    return strcmp(text, "always") == 0 ? ENGINE_QOS0_ALWAYS : ENGINE_QOS0_ASLEEP;
}

/* False: no memory. */
static bool
make_broker_keys(struct app_options *options, const struct config *config)
{
    for (size_t i = 0; i < config->urls.count; i++) {
        if (asprintf(&options->broker_keys[i], "%s %s", config->urls.items[i], config->client_id) <
            0) {
            options->broker_keys[i] = NULL;
            return false;
        }
    }
    return true;
}

/* `topics` without the slashes at its end, with "/" and `rest` behind it. */
static char *
make_status_topic(const char *topics, const char *rest)
{
    size_t len = strlen(topics);
    size_t size = len + strlen(rest) + 2;
    char *text = malloc(size);

    while (len > 0 && topics[len - 1] == '/')
        len--;
    if (text != NULL)
        snprintf(text, size, "%.*s%s%s", (int)len, topics, len > 0 ? "/" : "", len > 0 ? rest : "");
    return text;
}

static enum engine_qos_minus_one
qos_minus_one_policy(const char *text)
{
    if (strcmp(text, "names") == 0)
        return ENGINE_QOS_MINUS_ONE_NAMES;
    return strcmp(text, "yes") == 0 ? ENGINE_QOS_MINUS_ONE_IDS : ENGINE_QOS_MINUS_ONE_NO;
}

static uint64_t
pause_of(uint64_t configured_ms)
{
    if (configured_ms == CONFIG_NEVER)
        return 0;
    return configured_ms > 0 ? configured_ms : 1;
}

static struct engine_link
engine_link_of(const struct config_link *link)
{
    return (struct engine_link){
        .mtu = link->mtu,
        .pause_ms = link->kind == CONFIG_SERIAL ? pause_of(link->pause_ms) : 0,
        .advertise = link->kind == CONFIG_UDP ? link->multicast.count > 0 : link->advertise,
        .qos_minus_one = qos_minus_one_policy(link->qos_minus_one),
        .topics = copy_topics(&link->topics),
        .topic_count = link->topics.count,
    };
}

static struct engine_settings
settings_of(const struct config_settings *settings)
{
    return (struct engine_settings){
        .queue_messages = settings->queue_messages,
        .queue_bytes = settings->queue_bytes,
        .overflow = overflow_policy(settings->overflow),
        .queue_qos0 = qos0_policy(settings->queue_qos0),
        .max_age_ms = duration(settings->max_age_ms),
        .expiry_ms = duration(settings->expiry_ms),
        .uplink_ack_store = strcmp(settings->uplink_ack, "store") == 0,
        .store_after_ms = duration(settings->store_after_ms),
        .retry_ms = settings->retry_ms,
        .retry_count = settings->retry_count,
        .tolerance_percent = (uint32_t)(settings->tolerance * 100 + 0.5),
        .resume_ignores_clean = settings->resume_ignores_clean,
        .awake_max_ms = duration(settings->awake_max_ms),
        .own = strcmp(settings->upstream, "own") == 0,
        .hold_at_broker = strcmp(settings->hold, "broker") == 0,
        .will_at_broker = strcmp(settings->will, "broker") == 0,
    };
}

/* NULL: no memory. */
static const struct engine_settings *
copy_settings(const struct config_settings *settings)
{
    struct engine_settings *copy = malloc(sizeof *copy);

    if (copy != NULL)
        *copy = settings_of(settings);
    return copy;
}

/* Which links have one of the names. NULL: no memory. */
static const bool *
copy_links(const struct config *config, const struct config_strings *names)
{
    bool *links = calloc(config->link_count + 1, sizeof *links);

    for (size_t i = 0; links != NULL && i < config->link_count; i++)
        for (size_t n = 0; n < names->count; n++)
            links[i] = links[i] || strcmp(names->items[n], config->links[i].name) == 0;
    return links;
}

/* False: no memory. */
static bool
copy_client(struct engine_client *copy, const struct config *config,
            const struct config_client *client)
{
    bool own = client->own_settings != 0;
    bool limited = client->links.count > 0;

    *copy = (struct engine_client){
        .pattern = client->pattern,
        .topics = copy_topics(&client->topics),
        .topic_count = client->topics.count,
        .settings = own ? copy_settings(&client->settings) : NULL,
        .uses_client_id = client->uses_client_id,
        .publish = (const char *const *)client->publish.items,
        .publish_count = client->publish.count,
        .subscribe = (const char *const *)client->subscribe.items,
        .subscribe_count = client->subscribe.count,
        .topic_prefix = client->topic_prefix,
        .links = limited ? copy_links(config, &client->links) : NULL,
    };
    return copy->topics != NULL && (copy->settings != NULL || !own) &&
           (copy->links != NULL || !limited);
}

/* Makes links and clients. False: no memory. */
static bool
copy_sections(struct app_options *options, const struct config *config)
{
    options->links = calloc(config->link_count + 1, sizeof *options->links);
    options->clients = calloc(config->client_count + 1, sizeof *options->clients);
    options->addresses = calloc(config->client_count + 1, sizeof *options->addresses);
    if (options->links == NULL || options->clients == NULL || options->addresses == NULL)
        return false;
    for (size_t i = 0; i < config->link_count; i++) {
        options->links[i] = engine_link_of(&config->links[i]);
        if (options->links[i].topics == NULL)
            return false;
    }
    for (size_t i = 0; i < config->client_count; i++)
        if (!copy_client(&options->clients[i], config, &config->clients[i]))
            return false;
    return true;
}

/* False: no memory; the rules were checked. */
static bool
make_rules(struct app_options *options, const struct config *config)
{
    options->rules = calloc(config->rules.count + 1, sizeof *options->rules);
    options->engine.rules = options->rules;
    for (size_t i = 0; options->rules != NULL && i < config->rules.count; i++) {
        if (topic_rule_parse(config->rules.items[i], &options->rules[i]) != NULL)
            return false;
        options->engine.rule_count++;
    }
    return options->rules != NULL;
}

enum dm_result
app_options_init(struct app_options *options, const struct config *config)
{
    *options = (struct app_options){0};
    bool copied = copy_sections(options, config);

    options->status_topics = make_status_topic(config->status_topics, "");
    options->status_topic = make_status_topic(config->status_topics, "status");
    options->home_assistant = make_status_topic(config->home_assistant, "");
    copied = make_broker_keys(options, config) && copied;
    options->engine = (struct engine_options){
        .links = options->links,
        .link_count = config->link_count,
        .topics = copy_topics(&config->topics),
        .topic_count = config->topics.count,
        .clients = options->clients,
        .client_count = config->client_count,
        .reject_unknown = strcmp(config->unknown_clients, "reject") == 0,
        .gateway_id = config->gateway_id,
        .standby_for =
            config->standby_for == CONFIG_NO_GATEWAY ? ENGINE_NO_GATEWAY : config->standby_for,
        .advertise_ms = duration(config->advertise_ms),
        .topic_prefix = config->topic_prefix,
        .status_topics = options->status_topics,
        .broker_keys = (const char *const *)options->broker_keys,
        .broker_count = config->urls.count,
        .max_clients = config->max_clients,
        .own_max = config->own_max,
        .client_id_max = config->client_id_max,
        .settings = settings_of(&config->settings),
        .total_bytes = config->total_bytes,
        .spool_bytes = config->spool_bytes,
        .receive_maximum = config->receive_maximum,
    };
    if (make_rules(options, config) && copied && options->status_topics != NULL &&
        options->status_topic != NULL && options->home_assistant != NULL &&
        options->engine.topics != NULL)
        return DM_OK;
    app_options_fini(options);
    return DM_NO_MEMORY;
}

void
app_options_fini(struct app_options *options)
{
    for (size_t i = 0; options->links != NULL && i < options->engine.link_count; i++)
        free((void *)(uintptr_t)options->links[i].topics);
    for (size_t i = 0; options->clients != NULL && i < options->engine.client_count; i++) {
        free((void *)(uintptr_t)options->clients[i].topics);
        free((void *)(uintptr_t)options->clients[i].settings);
        free((void *)(uintptr_t)options->clients[i].links);
    }
    free((void *)(uintptr_t)options->engine.topics);
    for (size_t i = 0; i < options->engine.rule_count; i++)
        topic_rule_fini(&options->rules[i]);
    free(options->rules);
    free(options->links);
    free(options->clients);
    free(options->addresses);
    free(options->status_topics);
    free(options->status_topic);
    free(options->home_assistant);
    for (size_t i = 0; i < UPSTREAM_URLS_MAX; i++)
        free(options->broker_keys[i]);
    *options = (struct app_options){0};
}

static struct transport *
open_udp(struct event_base *base, const struct config_link *link, uint8_t index,
         const struct transport_listener *listener, char *error, size_t error_size)
{
    struct udp_options options = {
        .name = link->name,
        .listen = (const char *const *)link->listen.items,
        .listen_count = link->listen.count,
        .forwarders = (const char *const *)link->forwarders.items,
        .forwarder_count = link->forwarders.count,
        .multicast = (const char *const *)link->multicast.items,
        .multicast_count = link->multicast.count,
        .interface = link->interface,
        .multicast_ttl = link->multicast_ttl,
        .mtu = link->mtu,
    };

    return udp_open(base, index, &options, listener, error, error_size);
}

static enum serial_signal
signal_of(const char *text)
{
    if (strcmp(text, "leave") == 0)
        return SERIAL_SIGNAL_LEAVE;
    return strcmp(text, "on") == 0 ? SERIAL_SIGNAL_ON : SERIAL_SIGNAL_OFF;
}

/* As the devices of that framing expect it. */
static uint8_t
own_address(const struct config_link *link)
{
    if (link->address != UINT8_MAX)
        return link->address;
    return strcmp(link->framing, "hc12") == 0 ? 0 : 1;
}

/* Text that config_check_hex or config_check_key has seen. NULL: none. Returns the octets. */
static size_t
read_hex(const char *text, uint8_t octets[SERIAL_PREFIX_MAX])
{
    size_t digits = 0;

    for (; text != NULL && *text != '\0' && digits < 2 * SERIAL_PREFIX_MAX; text++) {
        const char *digit = strchr("0123456789abcdef", *text | 0x20);

        if (*text == ' ')
            continue;
        uint8_t value = (uint8_t)(digit != NULL ? digit - "0123456789abcdef" : 0);

        octets[digits / 2] = (uint8_t)(digits % 2 == 0 ? value << 4 : octets[digits / 2] | value);
        digits++;
    }
    return digits / 2;
}

static struct transport *
open_serial(struct event_base *base, const struct config_link *link, uint8_t index,
            const struct transport_listener *listener, char *error, size_t error_size)
{
    struct serial_options options = {
        .name = link->name,
        .device = link->device,
        .framing = link->framing,
        .encapsulation = SERIAL_ENCAPSULATION_AUTO,
        .tx_device = link->tx_device,
        .settings = {.baud = link->baud,
                     .dtr = signal_of(link->dtr),
                     .rts = signal_of(link->rts),
                     .direction = strcmp(link->rs485, "kernel") == 0 ? SERIAL_DIRECTION_KERNEL
                                                                     : SERIAL_DIRECTION_HARDWARE,
                     .low_latency = link->low_latency},
        .tx_gap_ms = (uint32_t)link->tx_gap_ms,
        .turnaround_ms = (uint32_t)link->turnaround_ms,
        .open_delay_ms = (uint32_t)link->open_delay_ms,
        .ack_timeout_ms = (uint32_t)link->ack_timeout_ms,
        .tx_rate = link->tx_rate,
        .air_rate = (link->air_rate + 7) / 8,
        .duty_cycle = link->duty_cycle,
        .tx_queue = link->tx_queue,
        .max_nodes = link->max_nodes,
        .echo = strcmp(link->echo, "discard") == 0,
        .rx_trailer = link->rx_trailer,
        .address = own_address(link),
        .pan = link->pan,
        .mtu = link->mtu,
        .frame_gap_ms = (uint32_t)link->frame_gap_ms,
    };

    if (strcmp(link->encapsulation, "off") == 0)
        options.encapsulation = SERIAL_ENCAPSULATION_OFF;
    else if (strcmp(link->encapsulation, "always") == 0)
        options.encapsulation = SERIAL_ENCAPSULATION_ALWAYS;
    if (strcmp(link->flow, "rtscts") == 0)
        options.settings.flow = SERIAL_FLOW_RTSCTS;
    else if (strcmp(link->flow, "xonxoff") == 0)
        options.settings.flow = SERIAL_FLOW_XONXOFF;
    snprintf(options.settings.mode, sizeof options.settings.mode, "%s", link->mode);
    options.tx_prefix_len = (uint8_t)read_hex(link->tx_prefix, options.tx_prefix);
    memset(options.key, 0xFF, sizeof options.key); /* no encryption */
    (void)read_hex(link->key, options.key);
    return serial_open(base, index, &options, listener, error, error_size);
}

struct transport *
app_open_link(struct event_base *base, const struct config_link *link, uint8_t index,
              const struct transport_listener *listener, char *error, size_t error_size)
{
    return link->kind == CONFIG_UDP ? open_udp(base, link, index, listener, error, error_size)
                                    : open_serial(base, link, index, listener, error, error_size);
}

struct upstream_options
app_upstream_options(const struct app_options *options, const struct config *config)
{
    struct upstream_options upstream = {
        .urls = (const char *const *)config->urls.items,
        .url_count = config->urls.count,
        .return_ms = config->return_ms == CONFIG_NEVER ? UPSTREAM_NEVER : config->return_ms,
        .tls = {config->ca_file, config->cert_file, config->key_file},
        .client_id = config->client_id,
        .username = config->username,
        .password = config->password,
        .keepalive_s = (uint16_t)(config->keepalive_ms / 1000),
        .receive_maximum = config->receive_maximum,
        .maximum_packet = UPSTREAM_PACKET_MAX,
    };

    if (*options->status_topic != '\0') {
        upstream.will_topic = options->status_topic;
        upstream.will_payload = dm_span_text("offline");
        upstream.will_qos = 1;
        upstream.will_retain = true;
    }
    if (strcmp(config->version, "5") == 0)
        upstream.version = MQTT_5;
    else if (strcmp(config->version, "3.1.1") == 0)
        upstream.version = MQTT_3_1_1;
    return upstream;
}
