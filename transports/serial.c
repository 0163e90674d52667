/* SPDX-License-Identifier: Apache-2.0 */
/* Serial links: one port as a network of nodes. The transport contract, and the link's life. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <dormouse/log.h>

#include "serial_private.h"

#define TX_QUEUE 16
#define MAX_NODES 100

static struct serial *
serial_of(struct transport *transport)
{
    return (struct serial *)transport;
}

static const struct serial *
serial_of_const(const struct transport *transport)
{
    return (const struct serial *)transport;
}

static enum dm_result
serial_send(struct transport *transport, const struct dm_address *to, const uint8_t *data,
            size_t len)
{
    return serial_send_message(serial_of(transport), to, 0, dm_span(data, len));
}

/* One frame is for everybody on the line. Where nodes are all behind a forwarder, an empty node id
 * is for all of them; so it is where nodes have addresses. */
static enum dm_result
serial_broadcast(struct transport *transport, const struct dm_address *asker, uint8_t radius,
                 const uint8_t *data, size_t len)
{
    struct serial *serial = serial_of(transport);
    struct dm_span node_id;
    struct dm_address everybody;

    if (asker != NULL && serial_address_is_node(asker, &node_id))
        return serial_send_message(serial, asker, radius, dm_span(data, len));
    if (serial->options.encapsulation == SERIAL_ENCAPSULATION_ALWAYS ||
        serial->traits->node_len > 0)
        serial_address_node(dm_span(NULL, 0), &everybody);
    else
        serial_address_bare(&everybody);
    everybody.link = serial->base.link;
    return serial_send_message(serial, &everybody, radius, dm_span(data, len));
}

static void
text_of_address(const struct transport *transport, const struct dm_address *address, char *text,
                size_t size)
{
    char node[NODE_ID_TEXT_MAX];

    (void)transport;
    serial_address_text(address, node);
    snprintf(text, size, "%s", node);
}

static enum dm_result
address_of_text(const struct transport *transport, const char *text, struct dm_address *address)
{
    (void)transport;
    return serial_address_parse(text, address) ? DM_OK : DM_INVALID;
}

static void
add_framing_counters(const struct serial *serial, struct transport_status *status)
{
    for (size_t i = 0; i < serial->half_count; i++) {
        const struct framing_counters *framed = framing_counters(serial->halves[i].framing);

        status->rx_dropped += framed->rx_oversize;
        status->rx_garbage += framed->rx_garbage;
        status->rx_crc_errors += framed->rx_crc_errors;
        status->rx_oversize += framed->rx_oversize;
        status->rx_gap_resets += framed->rx_gap_resets;
    }
}

static void
serial_status(const struct transport *transport, struct transport_status *status)
{
    const struct serial *serial = serial_of_const(transport);
    struct serial_port_errors errors;

    *status = serial->counters;
    status->serial = true;
    status->up = serial->up;
    snprintf(status->device, sizeof status->device, "%s", serial->halves[0].device);
    snprintf(status->error, sizeof status->error, "%s", serial->error);
    add_framing_counters(serial, status);
    status->tx_waiting = serial->queue.count;
    status->nodes = serial->nodes.count;
    if (serial->open && serial_port_errors(serial->halves[0].port, &errors)) {
        status->line_frame = errors.frame;
        status->line_parity = errors.parity;
        status->line_overrun = errors.overrun;
        status->line_break = errors.breaks;
    }
}

static bool
serial_is_congested(const struct transport *transport)
{
    return serial_queue_is_congested(&serial_of_const(transport)->queue);
}

static void
serial_each_node(const struct transport *transport, transport_visit_node *visit, void *ctx)
{
    const struct serial_nodes *nodes = &serial_of_const(transport)->nodes;

    for (size_t i = 0; i < nodes->count; i++)
        visit(ctx, &nodes->nodes[i]);
}

/* For a radio that is away: it is told nothing, and forgets it by itself. */
static void
on_event_away(void *ctx, const struct framing_event *event)
{
    (void)ctx;
    (void)event;
}

static enum dm_result
serial_pair(struct transport *transport, bool on)
{
    struct serial *serial = serial_of(transport);

    if (!serial->traits->pairs)
        return DM_UNSUPPORTED;
    if (!serial->up && on)
        return DM_IO;
    if (!serial->up)
        return framing_pair(serial->halves[0].framing, false, on_event_away, NULL);
    enum dm_result result =
        framing_pair(serial->halves[0].framing, on, serial_receive_event, &serial->halves[0]);

    serial_send_arm(serial, serial_now_us(), 0);
    return result;
}

static void
serial_expect(struct transport *transport, const struct dm_address *address)
{
    struct dm_span node;

    if (serial_address_is_node(address, &node))
        framing_expect(serial_of(transport)->halves[0].framing, node);
}

static void
serial_free(struct transport *transport)
{
    struct serial *serial = serial_of(transport);

    serial_link_close(serial);
    serial_plug_close(serial->plug);
    if (serial->retry != NULL)
        event_free(serial->retry);
    if (serial->timer != NULL)
        event_free(serial->timer);
    for (size_t i = 0; i < 2; i++) {
        framing_free(serial->halves[i].framing);
        free(serial->halves[i].device);
    }
    (void)serial_queue_clear(&serial->queue);
    serial_nodes_fini(&serial->nodes);
    free(serial->echo);
    free(serial->wrapped);
    free(serial->encoded);
    free(serial->name);
    free(serial->framing_name);
    free(serial);
}

static const struct transport_ops serial_ops = {
    .send = serial_send,
    .broadcast = serial_broadcast,
    .address_text = text_of_address,
    .address_parse = address_of_text,
    .status = serial_status,
    .is_congested = serial_is_congested,
    .each_node = serial_each_node,
    .pair = serial_pair,
    .expect = serial_expect,
    .free = serial_free,
};

static bool
check_options(const struct serial_options *options, char *error, size_t error_size)
{
    const struct framing_traits *traits =
        options->framing != NULL ? framing_traits_of(options->framing) : NULL;
    const char *mode =
        options->settings.mode[0] != '\0' ? serial_port_check_mode(options->settings.mode) : NULL;

    if (strlen(options->name) > TRANSPORT_NAME_MAX)
        snprintf(error, error_size, "the name is too long");
    else if (options->device == NULL || options->device[0] == '\0')
        snprintf(error, error_size, "no device");
    else if (traits == NULL)
        snprintf(error, error_size, "unknown framing '%s'",
                 options->framing != NULL ? options->framing : "");
    else if (options->settings.baud == 0 || options->settings.baud > INT_MAX)
        snprintf(error, error_size, "%lu baud is not possible",
                 (unsigned long)options->settings.baud);
    else if (mode != NULL)
        snprintf(error, error_size, "mode '%s' %s", options->settings.mode, mode);
    else if (options->mtu < 2)
        snprintf(error, error_size, "mtu is less than 2");
    else if (options->duty_cycle > 0 && options->duty_cycle < 100 && options->air_rate == 0)
        snprintf(error, error_size, "duty_cycle needs air_rate");
    else if (traits->two_ports && options->tx_device == NULL)
        snprintf(error, error_size, "framing %s needs tx_device", traits->name);
    else
        return true;
    return false;
}

static bool
prepare_half(struct serial *serial, size_t i, const char *device)
{
    struct half *half = &serial->halves[i];
    struct framing_options options = {.name = serial->options.framing,
                                      .mtu = serial->message_max,
                                      .gap_ms = serial->options.frame_gap_ms,
                                      .trailer = serial->options.rx_trailer,
                                      .address = serial->options.address,
                                      .pan = serial->options.pan};

    memcpy(options.key, serial->options.key, sizeof options.key);
    half->serial = serial;
    half->device = strdup(device);
    half->framing = framing_new(&options);
    return half->device != NULL && half->framing != NULL;
}

static void
prepare_pace(struct serial *serial)
{
    const struct serial_options *o = &serial->options;

    serial_pace_init(&serial->pace, &(struct serial_pace_options){
                                        .baud = o->settings.baud,
                                        .bits = serial_port_bits(&o->settings),
                                        .gap_us = o->tx_gap_ms * UINT64_C(1000),
                                        .turnaround_us = o->turnaround_ms * UINT64_C(1000),
                                        .rate = o->tx_rate,
                                        .air_rate = o->air_rate,
                                        .duty_percent = o->duty_cycle > 0 ? o->duty_cycle : 100});
}

/* Everything but the port; false if memory is short. */
static bool
prepare(struct serial *serial, struct event_base *base)
{
    const struct serial_options *o = &serial->options;
    size_t message_max = serial->base.mtu;

    serial->events = base;
    serial->name = strdup(o->name);
    serial->framing_name = strdup(o->framing);
    if (serial->traits->encapsulates)
        message_max += NODE_ID_OVERHEAD;
    if (message_max > serial->traits->mtu_max)
        message_max = serial->traits->mtu_max;
    serial->message_max = message_max;
    serial->backoff_ms = SERIAL_BACKOFF_MIN_MS;
    serial_queue_init(&serial->queue, o->tx_queue != 0 ? o->tx_queue : TX_QUEUE);
    serial_nodes_init(&serial->nodes, o->max_nodes != 0 ? o->max_nodes : MAX_NODES);
    prepare_pace(serial);
    serial->half_count = o->tx_device != NULL ? 2 : 1;
    if (!prepare_half(serial, 0, o->device) ||
        (serial->half_count == 2 && !prepare_half(serial, 1, o->tx_device)))
        return false;
    serial->frame_max = framing_encoded_max(serial->halves[0].framing, message_max);
    serial->wrapped = malloc(message_max);
    serial->encoded = malloc(serial->frame_max);
    serial->echo = o->echo ? calloc(1, sizeof *serial->echo) : NULL;
    serial->retry = evtimer_new(base, serial_link_on_retry, serial);
    serial->timer = evtimer_new(base, serial_link_on_timer, serial);
    return serial->name != NULL && serial->framing_name != NULL && serial->wrapped != NULL &&
           serial->encoded != NULL && (!o->echo || serial->echo != NULL) && serial->retry != NULL &&
           serial->timer != NULL;
}

struct transport *
serial_open(struct event_base *base, uint8_t link, const struct serial_options *options,
            const struct transport_listener *listener, char *error, size_t error_size)
{
    if (!check_options(options, error, error_size))
        return NULL;
    struct serial *serial = calloc(1, sizeof *serial);
    if (serial == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    serial->traits = framing_traits_of(options->framing);
    serial->options = *options;
    if (options->settings.mode[0] == '\0')
        memcpy(serial->options.settings.mode, "8N1", sizeof serial->options.settings.mode);
    serial->listener = *listener;
    serial->base = (struct transport){
        .ops = &serial_ops,
        .kind = "serial",
        .link = link,
        .mtu = options->mtu < serial->traits->mtu_max ? options->mtu : serial->traits->mtu_max};
    serial->mtu = serial->base.mtu;
    if (!prepare(serial, base)) {
        snprintf(error, error_size, "out of memory");
        serial_free(&serial->base);
        return NULL;
    }
    serial->base.name = serial->name;
    serial->options.name = serial->name;
    serial->options.framing = serial->framing_name;
    serial->options.device = serial->options.tx_device = NULL; /* the halves have them */
    if (options->settings.flow == SERIAL_FLOW_XONXOFF && !serial->traits->xonxoff)
        log_warning("serial",
                    "serial:%s: xonxoff swallows the octets 0x11 and 0x13 of every message",
                    serial->name);
    serial_link_open(serial);
    return &serial->base;
}
