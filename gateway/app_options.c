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

/* Makes links and clients. False: no memory. */
static bool
copy_sections(struct app_options *options, const struct config *config)
{
    options->links = calloc(config->link_count + 1, sizeof *options->links);
    options->clients = calloc(config->client_count + 1, sizeof *options->clients);
    if (options->links == NULL || options->clients == NULL)
        return false;
    for (size_t i = 0; i < config->link_count; i++) {
        options->links[i] = engine_link_of(&config->links[i]);
        if (options->links[i].topics == NULL)
            return false;
    }
    for (size_t i = 0; i < config->client_count; i++) {
        const struct config_client *client = &config->clients[i];

        options->clients[i] = (struct engine_client){.pattern = client->pattern,
                                                     .topics = copy_topics(&client->topics),
                                                     .topic_count = client->topics.count};
        if (options->clients[i].topics == NULL)
            return false;
    }
    return true;
}

enum dm_result
app_options_init(struct app_options *options, const struct config *config)
{
    *options = (struct app_options){0};
    bool copied = copy_sections(options, config);

    copied = make_broker_keys(options, config) && copied;
    options->engine = (struct engine_options){
        .links = options->links,
        .link_count = config->link_count,
        .topics = copy_topics(&config->topics),
        .topic_count = config->topics.count,
        .clients = options->clients,
        .client_count = config->client_count,
        .gateway_id = config->gateway_id,
        .standby_for =
            config->standby_for == CONFIG_NO_GATEWAY ? ENGINE_NO_GATEWAY : config->standby_for,
        .advertise_ms = duration(config->advertise_ms),
        .topic_prefix = config->topic_prefix,
        .broker_keys = (const char *const *)options->broker_keys,
        .broker_count = config->urls.count,
        .max_clients = config->max_clients,
        .client_id_max = config->client_id_max,
        .resume_ignores_clean = config->resume_ignores_clean,
        .awake_max_ms = duration(config->awake_max_ms),
        .queue_messages = config->queue_messages,
        .queue_bytes = config->queue_bytes,
        .total_bytes = config->total_bytes,
        .overflow = overflow_policy(config->overflow),
        .queue_qos0 = qos0_policy(config->queue_qos0),
        .max_age_ms = duration(config->max_age_ms),
        .expiry_ms = duration(config->expiry_ms),
        .spool_bytes = config->spool_bytes,
        .uplink_ack_store = strcmp(config->uplink_ack, "store") == 0,
        .store_after_ms = duration(config->store_after_ms),
        .retry_ms = config->retry_ms,
        .retry_count = config->retry_count,
        .tolerance_percent = (uint32_t)(config->tolerance * 100 + 0.5),
        .receive_maximum = config->receive_maximum,
    };
    if (copied && options->engine.topics != NULL)
        return DM_OK;
    app_options_fini(options);
    return DM_NO_MEMORY;
}

void
app_options_fini(struct app_options *options)
{
    for (size_t i = 0; options->links != NULL && i < options->engine.link_count; i++)
        free((void *)(uintptr_t)options->links[i].topics);
    for (size_t i = 0; options->clients != NULL && i < options->engine.client_count; i++)
        free((void *)(uintptr_t)options->clients[i].topics);
    free((void *)(uintptr_t)options->engine.topics);
    free(options->links);
    free(options->clients);
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
app_upstream_options(const struct config *config)
{
    struct upstream_options options = {
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

    if (strcmp(config->version, "5") == 0)
        options.version = MQTT_5;
    else if (strcmp(config->version, "3.1.1") == 0)
        options.version = MQTT_3_1_1;
    return options;
}
