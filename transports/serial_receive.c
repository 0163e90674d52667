/* SPDX-License-Identifier: Apache-2.0 */
/* What a serial link hears: octets to frames to messages, and what radios say of themselves. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <dormouse/log.h>
#include <dormouse/mqttsn.h>

#include "serial_private.h"

#define READ_CHUNK 4096

/* Takes the encapsulation off as the link is configured; false if the message is to be dropped. */
static bool
unwrap(const struct serial *serial, const struct framing_event *event, struct dm_address *from,
       struct dm_span *message)
{
    struct dm_span frame = event->octets;
    struct dm_span node_id;

    from->link = serial->base.link;
    serial_address_bare(from);
    *message = frame;
    if (serial->traits->node_len > 0) {
        serial_address_node(event->node, from);
        return !mqttsn_is_encapsulated(frame.data, frame.len) && frame.len <= serial->mtu;
    }
    if (mqttsn_is_encapsulated(frame.data, frame.len)) {
        if (serial->options.encapsulation == SERIAL_ENCAPSULATION_OFF ||
            mqttsn_unwrap(frame.data, frame.len, &node_id, message) != DM_OK)
            return false;
        serial_address_node(node_id, from);
    } else if (serial->options.encapsulation == SERIAL_ENCAPSULATION_ALWAYS) {
        return false;
    }
    return message->len <= serial->mtu;
}

static void
on_message(struct serial *serial, const struct framing_event *event)
{
    struct dm_address from;
    struct dm_span message;

    if (!serial->up || !unwrap(serial, event, &from, &message)) {
        serial->counters.rx_dropped++;
        return;
    }
    struct transport_node *node = serial_nodes_heard(&serial->nodes, &from, serial_now_ms());

    if (node == NULL) {
        serial->counters.nodes_refused++;
        if (!serial->refused_logged)
            log_warning("serial",
                        "serial:%s: more than %zu nodes (max_nodes): messages of others "
                        "are dropped",
                        serial->name, serial->nodes.max);
        serial->refused_logged = true;
        return;
    }
    node->quality = event->quality;
    serial->counters.rx_datagrams++;
    serial->listener.on_datagram(serial->listener.ctx, &from, message.data, message.len);
}

static void
on_confirmed(struct serial *serial, const struct framing_event *event)
{
    struct serial_frame *frame = serial_queue_confirmed(&serial->queue, event->id);

    if (frame == NULL)
        return; /* it came too late */
    if (event->taken)
        serial_queue_remove(&serial->queue, frame);
    else
        serial_send_give_up(serial, frame);
}

/* Each time that the port comes back it may be with another radio. */
static void
on_payload(struct serial *serial, uint16_t payload)
{
    uint16_t mtu = payload < serial->mtu ? payload : serial->mtu;

    if (payload < 7 || mtu == serial->base.mtu)
        return;
    log_info("serial", "serial:%s: the radio takes %u octets (mtu was %u)", serial->name, payload,
             serial->base.mtu);
    serial->base.mtu = mtu;
    if (serial->listener.on_mtu != NULL)
        serial->listener.on_mtu(serial->listener.ctx, serial->base.link, mtu);
}

void
serial_receive_event(void *ctx, const struct framing_event *event)
{
    struct half *half = ctx;
    struct serial *serial = half->serial;

    switch (event->type) {
    case FRAMING_MESSAGE:
        on_message(serial, event);
        break;
    case FRAMING_CONFIRMED:
        if (half == serial_writer(serial)) /* a node could say so through the other one */
            on_confirmed(serial, event);
        break;
    case FRAMING_REPLY:
        if (!serial_queue_has_room(&serial->queue, SERIAL_REPLY) ||
            serial_queue_add(&serial->queue, SERIAL_REPLY,
                             dm_span(serial->options.tx_prefix, serial->options.tx_prefix_len),
                             event->octets) == NULL)
            serial->counters.tx_dropped++;
        break;
    case FRAMING_PAYLOAD:
        on_payload(serial, event->payload);
        break;
    case FRAMING_NOTE:
        log_notice("serial", "serial:%s: %s", serial->name, event->text);
        break;
    }
}

static void
feed(struct half *half, const uint8_t *octets, size_t len)
{
    struct serial *serial = half->serial;
    uint64_t now_us = serial_now_us();

    if (serial->echo != NULL) {
        size_t own = serial_echo_heard(serial->echo, octets, len);

        octets += own;
        len -= own;
    }
    if (len == 0)
        return;
    serial->counters.rx_octets += len;
    serial_pace_heard(&serial->pace, now_us);
    framing_feed(half->framing, octets, len, now_us / 1000, serial_receive_event, half);
    if (line_watch_check(&half->watch, framing_counters(half->framing), now_us / 1000))
        log_warning("serial", "serial:%s: only garbage from %s: check baud (%lu) and framing (%s)",
                    serial->name, half->device, (unsigned long)serial->options.settings.baud,
                    serial->framing_name);
}

void
serial_receive_on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct half *half = ctx;
    struct serial *serial = half->serial;
    uint8_t chunk[READ_CHUNK];
    ssize_t len = read(fd, chunk, sizeof chunk);

    (void)what;
    if (len < 0 && errno != EAGAIN && errno != EINTR) {
        serial_link_lose(serial, half, strerror(errno));
    } else if (len == 0 && serial_port_hung_up(half->port)) {
        serial_link_lose(serial, half, "hung up");
    } else if (len > 0 && serial->up) { /* what comes during open_delay is the radio's start */
        feed(half, chunk, (size_t)len);
        serial_send_go_on(serial);
    }
}
