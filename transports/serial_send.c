/* SPDX-License-Identifier: Apache-2.0 */
/* What a serial link sends: which frame is next, when it may leave, and who is told that it did. */
#include <errno.h>
#include <string.h>

#include <event2/event.h>

#include <dormouse/log.h>
#include <dormouse/mqttsn.h>

#include "serial_private.h"

#define WAITING_US 5000 /* the kernel still has octets: not looked at again before */
#define ID_LAST 254     /* of confirmations; 255 is the framing's own */

static void
wait_for_room(struct serial *serial)
{
    if (event_add(serial->writable, NULL) != 0)
        log_error("serial", "serial:%s: out of memory; the port stands still", serial->name);
}

/* When the writer has to look again, for whatever reason. */
void
serial_send_arm(struct serial *serial, uint64_t now_us, uint64_t at_us)
{
    uint64_t due_ms = serial_queue_due(&serial->queue);

    if (due_ms != UINT64_MAX && due_ms * 1000 < at_us)
        at_us = due_ms * 1000;
    if (!serial->up && serial->open) {
        uint64_t up_us = (serial->opened_ms + serial->options.open_delay_ms) * 1000;

        at_us = up_us < at_us ? up_us : at_us;
    } else if (serial->open && !serial->hello) {
        uint64_t hello_us = (serial->opened_ms + serial->traits->hello_ms) * 1000;

        at_us = hello_us < at_us ? hello_us : at_us;
    }
    if (at_us == UINT64_MAX)
        event_del(serial->timer);
    else
        serial_arm(serial, serial->timer, at_us > now_us ? at_us - now_us : 0);
}

/* What was written is done with, or waits for its confirmation. True: the sender wants to know. */
static bool
frame_left(struct serial *serial, struct serial_frame *frame, struct dm_address *to)
{
    bool tell = frame->told_late && frame->tries == 1;
    uint32_t confirm_ms = serial->options.ack_timeout_ms != 0 ? serial->options.ack_timeout_ms
                                                              : serial->traits->confirm_ms;

    *to = frame->to;
    if (frame->class != SERIAL_REPLY && frame->tries == 1)
        serial->counters.tx_datagrams++;
    if (frame->confirm)
        serial_queue_keep(&serial->queue, frame, serial_now_ms() + confirm_ms);
    else
        serial_queue_remove(&serial->queue, frame);
    return tell;
}

/*
 * Writes what may leave now. DM_IO: the port is broken, see errno; a sender leaves that to
 * serial_send_on_writable, which comes at once. What was told to be late is written from events
 * only, so that the listener is never called inside a send.
 */
static enum dm_result
write_queue(struct serial *serial)
{
    struct serial_port *port = serial_writer(serial)->port;
    uint64_t now_us = serial_now_us();
    uint64_t at_us = UINT64_MAX;
    enum dm_result result = DM_OK;
    struct serial_frame *frame;

    while (serial->up &&
           (frame = serial_queue_next(&serial->queue, serial->traits->window)) != NULL) {
        size_t before = serial->queue.written;
        size_t octets;
        struct dm_address to;

        if (before == 0) {
            size_t waiting = serial_port_waiting(port);

            serial_pace_waiting(&serial->pace, now_us, waiting);
            at_us = serial_pace_next(&serial->pace);
            /* Flow control may hold them for long, just where the next is due at once. */
            if (at_us > now_us && waiting > 0 && at_us < now_us + WAITING_US)
                at_us = now_us + WAITING_US;
            if (at_us > now_us)
                break;
        }
        at_us = UINT64_MAX;
        result = serial_queue_write(&serial->queue, frame, serial_port_fd(port), &octets);
        serial->counters.tx_octets += octets;
        if (serial->echo != NULL)
            serial_echo_sent(serial->echo, frame->octets + before, octets);
        if (result != DM_OK)
            break;
        serial_pace_sent(&serial->pace, now_us, frame->len);
        if (frame_left(serial, frame, &to))
            serial->listener.on_sent(serial->listener.ctx, &to);
    }
    if (result != DM_OK) {
        int error = errno;

        wait_for_room(serial);
        errno = error;
    }
    serial_send_arm(serial, now_us, at_us);
    return result;
}

/* Half the queue is free again: enough to be worth going on. */
static void
tell_room(struct serial *serial)
{
    if (!serial->full || serial->queue.count > serial->queue.max / 2)
        return;
    serial->full = false;
    if (serial->listener.on_room != NULL)
        serial->listener.on_room(serial->listener.ctx, serial->base.link);
}

/* From an event. */
void
serial_send_go_on(struct serial *serial)
{
    if (!serial->open)
        return;
    if (write_queue(serial) == DM_IO)
        serial_link_lose(serial, serial_writer(serial), strerror(errno));
    else
        tell_room(serial);
}

void
serial_send_on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct serial *serial = ctx;

    (void)fd;
    (void)what;
    if (serial_port_hung_up(serial_writer(serial)->port)) {
        serial_link_lose(serial, serial_writer(serial), "hung up");
        return;
    }
    serial_send_go_on(serial);
}

/* These say something about what was sent before: nothing for the same node comes behind them that
 * was to come before. A PUBLISH that is repeated behind its PUBREL would be another message. */
static bool
keeps_order(enum mqttsn_type type)
{
    return type == MQTTSN_PUBREL || type == MQTTSN_REGISTER || type == MQTTSN_CONNACK ||
           type == MQTTSN_PINGRESP || type == MQTTSN_DISCONNECT;
}

/* PUBLISH by its QoS; all else is control. */
static enum serial_class
class_of(struct dm_span message, bool *exchange, bool *in_order)
{
    struct mqttsn_packet packet;

    *exchange = *in_order = false;
    if (mqttsn_decode(message.data, message.len, &packet) != DM_OK)
        return SERIAL_CONTROL;
    *in_order = keeps_order(packet.type);
    *exchange = packet.type == MQTTSN_REGISTER || packet.type == MQTTSN_PUBREL ||
                (packet.type == MQTTSN_PUBLISH && packet.qos > 0);
    if (packet.type != MQTTSN_PUBLISH)
        return SERIAL_CONTROL;
    return packet.qos > 0 ? SERIAL_RELIABLE : SERIAL_BEST_EFFORT;
}

static uint8_t
next_id(struct serial *serial)
{
    do
        serial->last_id = serial->last_id >= ID_LAST ? 1 : (uint8_t)(serial->last_id + 1);
    while (serial_queue_confirmed(&serial->queue, serial->last_id) != NULL);
    return serial->last_id;
}

/* The frame of one message. `radius` is for a forwarder (R112). */
static enum dm_result
encode_message(struct serial *serial, const struct dm_address *to, uint8_t radius,
               struct dm_span message, uint8_t id, size_t *len)
{
    struct framing_frame frame = {.message = message, .id = id};
    struct dm_span node_id;

    if (serial_address_is_node(to, &node_id)) {
        if (serial->traits->node_len > 0) {
            frame.node = node_id;
        } else if (mqttsn_wrap(node_id, node_id_radius(radius), message, serial->wrapped,
                               serial->message_max, &frame.message.len) == DM_OK) {
            frame.message.data = serial->wrapped;
        } else {
            return DM_INVALID;
        }
    }
    return framing_encode(serial_writer(serial)->framing, &frame, serial->encoded,
                          serial->frame_max, len);
}

/* Room for one more message; QoS 0 gives way to control. */
static bool
find_room(struct serial *serial, enum serial_class class)
{
    if (serial_queue_has_room(&serial->queue, class))
        return true;
    if (class == SERIAL_CONTROL && serial_queue_make_room(&serial->queue)) {
        serial->counters.tx_dropped++;
        return true;
    }
    serial->full = true;
    return false;
}

static enum dm_result
queue_message(struct serial *serial, const struct dm_address *to, uint8_t radius,
              struct dm_span message)
{
    const struct serial_options *o = &serial->options;
    bool exchange, in_order;
    struct dm_span node_id;
    size_t len;

    if (message.len > serial->base.mtu || to->len == 0 ||
        (serial->traits->node_len > 0 && !serial_address_is_node(to, &node_id)))
        return DM_INVALID; /* a node without an address is none of these radios */
    if (!serial->up)
        return DM_IO;
    enum serial_class class = class_of(message, &exchange, &in_order);

    if (!find_room(serial, class))
        return DM_FULL;
    uint8_t id = serial->traits->window > 0 ? next_id(serial) : 0;

    if (encode_message(serial, to, radius, message, id, &len) != DM_OK)
        return DM_INVALID;
    struct serial_frame *frame =
        serial_queue_add(&serial->queue, class, dm_span(o->tx_prefix, o->tx_prefix_len),
                         dm_span(serial->encoded, len));

    if (frame == NULL)
        return DM_NO_MEMORY;
    frame->to = *to;
    frame->in_order = in_order;
    frame->exchange = exchange;
    frame->id = id;
    frame->confirm = serial->traits->window > 0 &&
                     !(serial->traits->broadcast_unconfirmed && serial_address_is_broadcast(to));
    return DM_OK;
}

/* The message waits: if its device answers to it, the sender learns when it leaves. */
static enum dm_result
leave_for_later(struct serial *serial)
{
    struct serial_frame *last = serial->queue.frames->prev;
    uint64_t now_us = serial_now_us();

    serial_send_arm(serial, now_us, serial_pace_next(&serial->pace));
    if (!last->exchange || serial->listener.on_sent == NULL)
        return DM_OK;
    last->told_late = true;
    return DM_LATER;
}

/* What waits already is written from events, where the listener may be told of it. */
enum dm_result
serial_send_message(struct serial *serial, const struct dm_address *to, uint8_t radius,
                    struct dm_span message)
{
    enum dm_result result = queue_message(serial, to, radius, message);

    if (result != DM_OK) {
        serial->counters.tx_dropped++;
        return result;
    }
    if (serial->queue.count == 1)
        (void)write_queue(serial);
    return serial->queue.count > 0 ? leave_for_later(serial) : DM_OK;
}

/* ---- confirmations ---- */

/* The radio has not delivered the frame, or says nothing: MQTT-SN repeats the message. */
void
serial_send_give_up(struct serial *serial, struct serial_frame *frame)
{
    struct transport_node *node = serial_nodes_find(&serial->nodes, &frame->to);

    serial->counters.tx_unconfirmed++;
    if (node != NULL)
        node->unconfirmed++;
    serial_queue_remove(&serial->queue, frame);
}

/* Frames without a confirmation: sent again if the framing does so, else left to MQTT-SN. */
void
serial_send_overdue(struct serial *serial)
{
    struct serial_frame *frame;

    while ((frame = serial_queue_overdue(&serial->queue, serial_now_ms())) != NULL) {
        if (frame->tries > serial->traits->retries) {
            serial_send_give_up(serial, frame);
            continue;
        }
        serial->counters.tx_repeats++;
        serial_queue_again(&serial->queue, frame);
    }
}
