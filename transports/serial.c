/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serial links: one port as a network of nodes. Framing, encapsulation, the transmit queue, and a
 * port that may be unplugged and come back at any time.
 *
 * States, and event -> new state:
 *   DOWN (!up)   back-off is over or something was plugged in: the port opens -> OPENING; it does
 * not
 * -> DOWN, again later
 *   OPENING      open_delay is over -> UP; hang-up, read or write error -> DOWN
 *   UP           hang-up, read or write error -> DOWN
 */
#include <dormouse/transport.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include <dormouse/framing.h>
#include <dormouse/log.h>
#include <dormouse/mqttsn.h>

#include "line_watch.h"
#include "serial_address.h"
#include "serial_echo.h"
#include "serial_nodes.h"
#include "serial_pace.h"
#include "serial_plug.h"
#include "serial_port.h"
#include "serial_queue.h"

#define READ_CHUNK 4096
#define BACKOFF_MIN_MS 500u
#define BACKOFF_MAX_MS 30000u
#define PLUG_MS 50      /* udev sets links and permissions after the device has appeared */
#define STABLE_MS 5000u /* up for this long, the back-off starts anew */
#define WAITING_MS 5    /* the kernel still has octets: looked at again after this */
#define TX_QUEUE 16
#define MAX_NODES 100
#define ID_LAST 254 /* of confirmations; 255 is the framing's own */
#define ERROR_MAX 160

/* A device and what is read from it; the second one, if there is one, is written to. */
struct half {
    struct serial *serial;
    char *device;
    struct serial_port *port; /* NULL: not open */
    struct framing *framing;
    struct event *readable;
    struct line_watch watch;
};

struct serial {
    struct transport base;
    struct transport_listener listener;
    struct event_base *events;
    struct serial_options options; /* its texts are name, framing and the devices of the halves */
    char *name, *framing_name;
    const struct framing_traits *traits;
    struct half halves[2];
    size_t half_count;
    bool open;       /* every device is */
    bool up;         /* and open_delay is over */
    bool hello;      /* framing_hello was called since the open */
    int write_error; /* errno of a write that failed; 0: none has */
    struct event *writable, *retry, *timer;
    struct serial_plug *plug;
    struct serial_queue queue;
    struct serial_pace pace;
    struct serial_echo *echo; /* NULL: the port does not hear itself */
    struct serial_nodes nodes;
    uint8_t *wrapped;   /* one encapsulated message */
    uint8_t *encoded;   /* one frame */
    uint16_t mtu;       /* as configured; that of the base is what the radio takes */
    size_t message_max; /* octets of the largest encapsulated message */
    size_t frame_max;
    uint8_t last_id;
    unsigned backoff_ms;
    uint64_t opened_ms;
    bool full;             /* a send was refused since the queue last had room */
    bool refused_logged;   /* that there are too many nodes */
    char error[ERROR_MAX]; /* why the link is down */
    struct transport_status counters;
};

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

static uint64_t
boot_time_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t
boot_time_ms(void)
{
    return boot_time_us() / 1000;
}

/* The device that is written to. */
static struct half *
writer(struct serial *serial)
{
    return &serial->halves[serial->half_count - 1];
}

static void
arm(struct serial *serial, struct event *event, uint64_t us)
{
    struct timeval delay = {.tv_sec = (time_t)(us / 1000000),
                            .tv_usec = (suseconds_t)(us % 1000000)};

    if (event_add(event, &delay) != 0)
        log_error("serial", "serial:%s: out of memory for a timer", serial->name);
}

/* ---- opening and closing ---- */

static void
close_ports(struct serial *serial)
{
    for (size_t i = 0; i < serial->half_count; i++) {
        struct half *half = &serial->halves[i];

        if (half->readable != NULL)
            event_free(half->readable);
        half->readable = NULL;
        serial_port_close(half->port);
        half->port = NULL;
    }
    if (serial->writable != NULL)
        event_free(serial->writable);
    serial->writable = NULL;
    if (serial->timer != NULL)
        event_del(serial->timer);
    serial->open = serial->up = serial->hello = false;
}

static void
on_plug(void *ctx)
{
    struct serial *serial = ctx;

    /* One attempt for a burst of changes; the back-off goes on from where it was if it fails. */
    if (!serial->open)
        arm(serial, serial->retry, PLUG_MS * 1000);
}

/* The next attempt to open; each one waits twice as long as the last. */
static void
schedule_retry(struct serial *serial)
{
    arm(serial, serial->retry, serial->backoff_ms * UINT64_C(1000));
    serial->backoff_ms *= 2;
    if (serial->backoff_ms > BACKOFF_MAX_MS)
        serial->backoff_ms = BACKOFF_MAX_MS;
    if (serial->plug == NULL)
        serial->plug = serial_plug_open(serial->events, serial->halves[0].device, on_plug, serial);
}

/* Only from event callbacks: the listener must not be called inside a send. The port is closed at
 * once, or a plugged-in device would come back under another name. */
static void
lose_port(struct serial *serial, const struct half *half, const char *reason)
{
    bool was_up = serial->up;

    snprintf(serial->error, sizeof serial->error, "%s lost: %s", half->device, reason);
    log_warning("serial", "serial:%s: %s", serial->name, serial->error);
    /* A port that opens only to fail is tried less and less often. */
    if (boot_time_ms() - serial->opened_ms >= STABLE_MS)
        serial->backoff_ms = BACKOFF_MIN_MS;
    close_ports(serial);
    for (size_t i = 0; i < serial->half_count; i++)
        framing_reset(serial->halves[i].framing);
    serial->counters.tx_dropped += serial_queue_clear(&serial->queue);
    serial->full = false;
    schedule_retry(serial);
    if (was_up)
        serial->listener.on_link(serial->listener.ctx, serial->base.link, false);
}

/* ---- sending ---- */

static void
wait_for_room(struct serial *serial)
{
    if (event_add(serial->writable, NULL) != 0)
        log_error("serial", "serial:%s: out of memory; the port stands still", serial->name);
}

/* When the writer has to look again, for whatever reason. */
static void
arm_timer(struct serial *serial, uint64_t now_us, uint64_t at_us)
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
        arm(serial, serial->timer, at_us > now_us ? at_us - now_us : 0);
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
        serial_queue_keep(&serial->queue, frame, boot_time_ms() + confirm_ms);
    else
        serial_queue_remove(&serial->queue, frame);
    return tell;
}

/*
 * Writes what may leave now. `tell`: from an event callback, so that the listener may be called. A
 * broken port is left to on_writable: the event comes at once.
 */
static void
write_queue(struct serial *serial, bool tell)
{
    struct serial_port *port = writer(serial)->port;
    uint64_t now_us = boot_time_us();
    uint64_t at_us = UINT64_MAX;
    struct serial_frame *frame;

    while (serial->up &&
           (frame = serial_queue_next(&serial->queue, serial->traits->window)) != NULL) {
        size_t octets;
        struct dm_address to;
        bool begins = serial->queue.written == 0;

        if (begins)
            serial_pace_waiting(&serial->pace, now_us, serial_port_waiting(port));
        at_us = serial_pace_next(&serial->pace);
        if (begins && at_us > now_us)
            break;
        at_us = UINT64_MAX;
        size_t before = serial->queue.written;
        enum dm_result result =
            serial_queue_write(&serial->queue, frame, serial_port_fd(port), &octets);

        serial->counters.tx_octets += octets;
        if (serial->echo != NULL)
            serial_echo_sent(serial->echo, frame->octets + before, octets);
        if (result != DM_OK) {
            serial->write_error = result == DM_IO ? errno : 0;
            wait_for_room(serial);
            break;
        }
        serial_pace_sent(&serial->pace, now_us, frame->len);
        if (!frame_left(serial, frame, &to))
            continue;
        /* A frame that was told to be late is written from an event only. */
        if (tell && serial->listener.on_sent != NULL)
            serial->listener.on_sent(serial->listener.ctx, &to);
    }
    if (serial->open)
        arm_timer(serial, now_us, at_us);
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

static void
on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct serial *serial = ctx;

    (void)fd;
    (void)what;
    bool hung_up = serial_port_hung_up(writer(serial)->port);
    if (hung_up || serial->write_error != 0) {
        lose_port(serial, writer(serial), hung_up ? "hung up" : strerror(serial->write_error));
        return;
    }
    write_queue(serial, true);
    tell_room(serial);
}

/* PUBLISH by its QoS; all else is control. */
static enum serial_class
class_of(struct dm_span message, bool *exchange, bool *last_word)
{
    struct mqttsn_packet packet;

    *exchange = *last_word = false;
    if (mqttsn_decode(message.data, message.len, &packet) != DM_OK)
        return SERIAL_CONTROL;
    *last_word = packet.type == MQTTSN_PINGRESP || packet.type == MQTTSN_DISCONNECT;
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
    return framing_encode(writer(serial)->framing, &frame, serial->encoded, serial->frame_max, len);
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
    bool exchange, last_word;
    size_t len;

    if (message.len > serial->base.mtu || to->len == 0)
        return DM_INVALID;
    if (!serial->up)
        return DM_IO;
    enum serial_class class = class_of(message, &exchange, &last_word);

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
    frame->last_word = last_word;
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
    uint64_t now_us = boot_time_us();

    arm_timer(serial, now_us, serial_pace_next(&serial->pace));
    if (!last->exchange || serial->listener.on_sent == NULL)
        return DM_OK;
    last->told_late = true;
    return DM_LATER;
}

/* What waits already is written from events, where the listener may be told of it. */
static enum dm_result
send_message(struct serial *serial, const struct dm_address *to, uint8_t radius,
             struct dm_span message)
{
    enum dm_result result = queue_message(serial, to, radius, message);

    if (result != DM_OK) {
        serial->counters.tx_dropped++;
        return result;
    }
    if (serial->queue.count == 1)
        write_queue(serial, false);
    return serial->queue.count > 0 ? leave_for_later(serial) : DM_OK;
}

static enum dm_result
serial_send(struct transport *transport, const struct dm_address *to, const uint8_t *data,
            size_t len)
{
    return send_message(serial_of(transport), to, 0, dm_span(data, len));
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
        return send_message(serial, asker, radius, dm_span(data, len));
    if (serial->options.encapsulation == SERIAL_ENCAPSULATION_ALWAYS ||
        serial->traits->node_len > 0)
        serial_address_node(dm_span(NULL, 0), &everybody);
    else
        serial_address_bare(&everybody);
    everybody.link = serial->base.link;
    return send_message(serial, &everybody, radius, dm_span(data, len));
}

/* ---- receiving ---- */

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
    struct transport_node *node = serial_nodes_heard(&serial->nodes, &from, boot_time_ms());

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

/* The radio has not delivered the frame, or says nothing: MQTT-SN repeats the message. */
static void
give_up_frame(struct serial *serial, struct serial_frame *frame)
{
    struct transport_node *node = serial_nodes_find(&serial->nodes, &frame->to);

    serial->counters.tx_unconfirmed++;
    if (node != NULL)
        node->unconfirmed++;
    serial_queue_remove(&serial->queue, frame);
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
        give_up_frame(serial, frame);
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

static void
on_event(void *ctx, const struct framing_event *event)
{
    struct half *half = ctx;
    struct serial *serial = half->serial;

    switch (event->type) {
    case FRAMING_MESSAGE:
        on_message(serial, event);
        break;
    case FRAMING_CONFIRMED:
        if (half == writer(serial)) /* a node could say so through the other one */
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
    uint64_t now_us = boot_time_us();

    if (serial->echo != NULL) {
        size_t own = serial_echo_heard(serial->echo, octets, len);

        octets += own;
        len -= own;
    }
    if (len == 0)
        return;
    serial->counters.rx_octets += len;
    serial_pace_heard(&serial->pace, now_us);
    framing_feed(half->framing, octets, len, now_us / 1000, on_event, half);
    if (line_watch_check(&half->watch, framing_counters(half->framing), now_us / 1000))
        log_warning("serial", "serial:%s: only garbage from %s: check baud (%lu) and framing (%s)",
                    serial->name, half->device, (unsigned long)serial->options.settings.baud,
                    serial->framing_name);
}

static void
on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct half *half = ctx;
    struct serial *serial = half->serial;
    uint8_t chunk[READ_CHUNK];
    ssize_t len = read(fd, chunk, sizeof chunk);

    (void)what;
    if (len < 0 && errno != EAGAIN && errno != EINTR) {
        lose_port(serial, half, strerror(errno));
    } else if (len == 0 && serial_port_hung_up(half->port)) {
        lose_port(serial, half, "hung up");
    } else if (len > 0 && serial->up) { /* what comes during open_delay is the radio's start */
        feed(half, chunk, (size_t)len);
        write_queue(serial, true);
        tell_room(serial);
    }
}

/* ---- timers ---- */

/* Frames without a confirmation: sent again if the framing does so, else left to MQTT-SN. */
static void
look_for_overdue(struct serial *serial)
{
    struct serial_frame *frame;

    while ((frame = serial_queue_overdue(&serial->queue, boot_time_ms())) != NULL) {
        if (frame->tries > serial->traits->retries) {
            give_up_frame(serial, frame);
            continue;
        }
        serial->counters.tx_repeats++;
        serial_queue_again(&serial->queue, frame);
    }
}

/* What the radio is to be told or asked first. */
static void
say_hello(struct serial *serial)
{
    serial->hello = true;
    framing_hello(writer(serial)->framing, on_event, writer(serial));
}

static void
go_up(struct serial *serial)
{
    serial->up = true;
    serial->error[0] = '\0';
    serial_plug_close(serial->plug);
    serial->plug = NULL;
    if (serial->traits->hello_ms == 0)
        say_hello(serial);
}

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct serial *serial = ctx;
    uint64_t open_ms = boot_time_ms() - serial->opened_ms;

    (void)fd;
    (void)what;
    if (!serial->up && open_ms >= serial->options.open_delay_ms) {
        go_up(serial);
        serial->listener.on_link(serial->listener.ctx, serial->base.link, true);
    }
    if (!serial->hello && serial->up && open_ms >= serial->traits->hello_ms)
        say_hello(serial);
    look_for_overdue(serial);
    write_queue(serial, true);
    tell_room(serial);
}

static bool
watch_ports(struct serial *serial)
{
    for (size_t i = 0; i < serial->half_count; i++) {
        struct half *half = &serial->halves[i];

        half->readable = event_new(serial->events, serial_port_fd(half->port), EV_READ | EV_PERSIST,
                                   on_readable, half);
        if (half->readable == NULL || event_add(half->readable, NULL) != 0)
            return false;
        line_watch_init(&half->watch, framing_counters(half->framing));
    }
    serial->writable = event_new(serial->events, serial_port_fd(writer(serial)->port), EV_WRITE,
                                 on_writable, serial);
    return serial->writable != NULL;
}

static enum dm_result
open_ports(struct serial *serial, char error[ERROR_MAX])
{
    for (size_t i = 0; i < serial->half_count; i++) {
        struct half *half = &serial->halves[i];
        enum dm_result result = serial_port_open(half->device, &serial->options.settings,
                                                 &half->port, error, ERROR_MAX);

        if (result != DM_OK)
            return result;
    }
    if (watch_ports(serial))
        return DM_OK;
    snprintf(error, ERROR_MAX, "cannot open %s: out of memory", serial->halves[0].device);
    return DM_NO_MEMORY;
}

/* Opens the port; if that fails, arranges the next attempt and logs a reason that is new. */
static bool
try_open(struct serial *serial)
{
    char error[ERROR_MAX];

    if (open_ports(serial, error) != DM_OK) {
        close_ports(serial);
        if (strcmp(error, serial->error) != 0)
            log_warning("serial", "serial:%s: %s", serial->name, error);
        snprintf(serial->error, sizeof serial->error, "%s", error);
        schedule_retry(serial);
        return false;
    }
    event_del(serial->retry);
    serial->open = true;
    serial->write_error = 0;
    serial->opened_ms = boot_time_ms();
    serial_pace_reset(&serial->pace);
    if (serial->echo != NULL)
        serial_echo_init(serial->echo);
    log_info("serial", "serial:%s: %s open as %s, %lu baud, framing %s", serial->name,
             serial->halves[0].device, serial_port_path(serial->halves[0].port),
             (unsigned long)serial->options.settings.baud, serial->framing_name);
    if (serial->options.open_delay_ms == 0)
        go_up(serial);
    else
        snprintf(serial->error, sizeof serial->error, "%s is open, the radio starts",
                 serial->halves[0].device);
    arm_timer(serial, boot_time_us(), serial->queue.count > 0 ? 0 : UINT64_MAX);
    return true;
}

static void
on_retry(evutil_socket_t fd, short what, void *ctx)
{
    struct serial *serial = ctx;

    (void)fd;
    (void)what;
    if (serial->open || !try_open(serial))
        return;
    serial->counters.reopens++;
    if (serial->up)
        serial->listener.on_link(serial->listener.ctx, serial->base.link, true);
}

/* ---- the rest of the contract ---- */

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

static enum dm_result
serial_pair(struct transport *transport, bool on)
{
    struct serial *serial = serial_of(transport);

    if (!serial->up)
        return DM_IO;
    enum dm_result result =
        framing_pair(serial->halves[0].framing, on, on_event, &serial->halves[0]);

    arm_timer(serial, boot_time_us(), 0);
    return result;
}

static void
serial_free(struct transport *transport)
{
    struct serial *serial = serial_of(transport);

    close_ports(serial);
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
    serial->backoff_ms = BACKOFF_MIN_MS;
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
    serial->retry = evtimer_new(base, on_retry, serial);
    serial->timer = evtimer_new(base, on_timer, serial);
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
        strcpy(serial->options.settings.mode, "8N1");
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
    if (options->settings.flow == SERIAL_FLOW_XONXOFF &&
        strcmp(options->framing, "xbee-escaped") != 0)
        log_warning("serial",
                    "serial:%s: xonxoff swallows the octets 0x11 and 0x13 of every message",
                    serial->name);
    try_open(serial);
    return &serial->base;
}
