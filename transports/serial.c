/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serial links: one port as a network of nodes. Framing, encapsulation, the transmit queue, and a
 * port that may be unplugged and come back at any time.
 *
 * States, and event -> new state:
 *   DOWN (port == NULL)  back-off is over and the port opens -> UP; it does not -> DOWN, later
 * again UP                   hang-up, read or write error -> DOWN
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
#include "serial_port.h"
#include "serial_queue.h"

#define READ_CHUNK 4096
#define BACKOFF_MIN_MS 500u
#define BACKOFF_MAX_MS 30000u
#define STABLE_MS 5000u /* up for this long, the back-off starts anew */
#define ERROR_MAX 160

struct serial {
    struct transport base;
    struct transport_listener listener;
    struct event_base *events;
    char *name, *device, *framing_name;
    enum serial_encapsulation encapsulation;
    enum serial_flow flow;
    uint32_t baud;
    struct framing *framing;
    struct serial_port *port; /* NULL: the link is down */
    struct event *readable, *writable, *retry;
    struct serial_queue queue;
    struct line_watch watch;
    uint8_t *wrapped;   /* one encapsulated message */
    size_t message_max; /* octets of the largest encapsulated message */
    unsigned backoff_ms;
    uint64_t opened_ms;
    bool full;             /* a send was refused since the queue last had room */
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
boot_time_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
close_port(struct serial *serial)
{
    if (serial->readable != NULL)
        event_free(serial->readable);
    if (serial->writable != NULL)
        event_free(serial->writable);
    serial->readable = NULL;
    serial->writable = NULL;
    serial_port_close(serial->port);
    serial->port = NULL;
}

/* The next attempt to open; each one waits twice as long as the last. */
static void
schedule_retry(struct serial *serial)
{
    struct timeval delay = {.tv_sec = serial->backoff_ms / 1000,
                            .tv_usec = (suseconds_t)(serial->backoff_ms % 1000) * 1000};

    if (event_add(serial->retry, &delay) != 0)
        log_error("serial", "serial:%s: out of memory; the port is not tried again", serial->name);
    serial->backoff_ms *= 2;
    if (serial->backoff_ms > BACKOFF_MAX_MS)
        serial->backoff_ms = BACKOFF_MAX_MS;
}

/* Only from event callbacks: the listener must not be called inside a send. The port is closed at
 * once, or a plugged-in device would come back under another name. */
static void
lose_port(struct serial *serial, const char *reason)
{
    snprintf(serial->error, sizeof serial->error, "%s lost: %s", serial->device, reason);
    log_warning("serial", "serial:%s: %s", serial->name, serial->error);
    /* A port that opens only to fail is tried less and less often. */
    if (boot_time_ms() - serial->opened_ms >= STABLE_MS)
        serial->backoff_ms = BACKOFF_MIN_MS;
    close_port(serial);
    framing_reset(serial->framing);
    serial->counters.tx_dropped += serial_queue_clear(&serial->queue);
    serial->full = false;
    schedule_retry(serial);
    serial->listener.on_link(serial->listener.ctx, serial->base.link, false);
}

/* Takes the encapsulation off as the link is configured; false if the message is to be dropped. */
static bool
unwrap(const struct serial *serial, struct dm_span frame, struct dm_address *from,
       struct dm_span *message)
{
    struct dm_span node_id;

    from->link = serial->base.link;
    serial_address_bare(from);
    *message = frame;
    if (mqttsn_is_encapsulated(frame.data, frame.len)) {
        if (serial->encapsulation == SERIAL_ENCAPSULATION_OFF ||
            mqttsn_unwrap(frame.data, frame.len, &node_id, message) != DM_OK)
            return false;
        serial_address_node(node_id, from);
    } else if (serial->encapsulation == SERIAL_ENCAPSULATION_ALWAYS) {
        return false;
    }
    return message->len <= serial->base.mtu;
}

static void
on_frame(void *ctx, const struct framing_event *event)
{
    struct serial *serial = ctx;
    struct dm_address from;
    struct dm_span message;

    if (!unwrap(serial, event->octets, &from, &message)) {
        serial->counters.rx_dropped++;
        return;
    }
    serial->counters.rx_datagrams++;
    serial->listener.on_datagram(serial->listener.ctx, &from, message.data, message.len);
}

static void
on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct serial *serial = ctx;
    uint8_t chunk[READ_CHUNK];
    ssize_t len = read(fd, chunk, sizeof chunk);

    (void)what;
    if (len < 0 && errno != EAGAIN && errno != EINTR) {
        lose_port(serial, strerror(errno));
    } else if (len == 0 && serial_port_hung_up(serial->port)) {
        lose_port(serial, "hung up");
    } else if (len > 0) {
        uint64_t now_ms = boot_time_ms();

        serial->counters.rx_octets += (size_t)len;
        framing_feed(serial->framing, chunk, (size_t)len, now_ms, on_frame, serial);
        if (line_watch_check(&serial->watch, framing_counters(serial->framing), now_ms))
            log_warning(
                "serial", "serial:%s: only garbage from %s: check baud (%lu) and framing (%s)",
                serial->name, serial->device, (unsigned long)serial->baud, serial->framing_name);
    }
}

/* Writes what the kernel takes and waits for room if something is left. A broken port is left to
 * on_writable: the event comes at once. */
static enum dm_result
write_queue(struct serial *serial)
{
    size_t frames, octets;
    enum dm_result result =
        serial_queue_write(&serial->queue, serial_port_fd(serial->port), &frames, &octets);

    serial->counters.tx_datagrams += frames;
    serial->counters.tx_octets += octets;
    int error = errno;
    if (result != DM_OK && event_add(serial->writable, NULL) != 0)
        return DM_NO_MEMORY;
    errno = error;
    return result;
}

/* Half the queue is free again: enough to be worth going on. */
static void
tell_room(struct serial *serial)
{
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
    enum dm_result result = write_queue(serial);
    if (result == DM_IO)
        lose_port(serial, strerror(errno));
    else if (result == DM_NO_MEMORY)
        lose_port(serial, "out of memory");
    else if (serial->full && serial->queue.count <= SERIAL_QUEUE_FRAMES / 2)
        tell_room(serial);
}

static bool
watch_port(struct serial *serial)
{
    int fd = serial_port_fd(serial->port);

    serial->readable = event_new(serial->events, fd, EV_READ | EV_PERSIST, on_readable, serial);
    serial->writable = event_new(serial->events, fd, EV_WRITE, on_writable, serial);
    return serial->readable != NULL && serial->writable != NULL &&
           event_add(serial->readable, NULL) == 0;
}

/* Opens the port; if that fails, arranges the next attempt and logs a reason that is new. */
static bool
try_open(struct serial *serial)
{
    char error[ERROR_MAX];
    enum dm_result result = serial_port_open(serial->device, serial->baud, serial->flow,
                                             &serial->port, error, sizeof error);

    if (result == DM_OK && !watch_port(serial)) {
        snprintf(error, sizeof error, "cannot open %s: out of memory", serial->device);
        close_port(serial);
        result = DM_NO_MEMORY;
    }
    if (result != DM_OK) {
        if (strcmp(error, serial->error) != 0)
            log_warning("serial", "serial:%s: %s", serial->name, error);
        snprintf(serial->error, sizeof serial->error, "%s", error);
        schedule_retry(serial);
        return false;
    }
    serial->error[0] = '\0';
    serial->opened_ms = boot_time_ms();
    line_watch_init(&serial->watch, framing_counters(serial->framing));
    log_info("serial", "serial:%s: %s open as %s, %lu baud, framing %s", serial->name,
             serial->device, serial_port_path(serial->port), (unsigned long)serial->baud,
             serial->framing_name);
    return true;
}

static void
on_retry(evutil_socket_t fd, short what, void *ctx)
{
    struct serial *serial = ctx;

    (void)fd;
    (void)what;
    if (!try_open(serial))
        return;
    serial->counters.reopens++;
    serial->listener.on_link(serial->listener.ctx, serial->base.link, true);
}

/* Puts the frame of one message into the queue. `radius` is for a forwarder (R112). */
static enum dm_result
queue_message(struct serial *serial, const struct dm_address *to, uint8_t radius,
              struct dm_span message)
{
    struct dm_span node_id;
    size_t len;

    if (message.len > serial->base.mtu || to->len == 0)
        return DM_INVALID;
    if (serial->port == NULL)
        return DM_IO;
    uint8_t *room = serial_queue_room(&serial->queue);
    if (room == NULL) {
        serial->full = true;
        return DM_FULL;
    }
    if (serial_address_is_node(to, &node_id)) {
        if (mqttsn_wrap(node_id, node_id_radius(radius), message, serial->wrapped,
                        serial->message_max, &message.len) != DM_OK)
            return DM_INVALID;
        message.data = serial->wrapped;
    }
    if (framing_encode(serial->framing, &(struct framing_frame){.message = message}, room,
                       serial->queue.frame_max, &len) != DM_OK)
        return DM_INVALID;
    serial_queue_add(&serial->queue, len);
    return DM_OK;
}

static enum dm_result
send_message(struct serial *serial, const struct dm_address *to, uint8_t radius,
             struct dm_span message)
{
    enum dm_result result = queue_message(serial, to, radius, message);

    if (result != DM_OK) {
        serial->counters.tx_dropped++;
        return result;
    }
    write_queue(serial);
    return DM_OK;
}

static enum dm_result
serial_send(struct transport *transport, const struct dm_address *to, const uint8_t *data,
            size_t len)
{
    return send_message(serial_of(transport), to, 0, dm_span(data, len));
}

/* One frame is for everybody on the line. Where nodes are all behind a forwarder, an empty node id
 * is for all of them. */
static enum dm_result
serial_broadcast(struct transport *transport, const struct dm_address *asker, uint8_t radius,
                 const uint8_t *data, size_t len)
{
    struct serial *serial = serial_of(transport);
    struct dm_span node_id;
    struct dm_address everybody;

    if (asker != NULL && serial_address_is_node(asker, &node_id))
        return send_message(serial, asker, radius, dm_span(data, len));
    if (serial->encapsulation == SERIAL_ENCAPSULATION_ALWAYS)
        serial_address_node(dm_span(NULL, 0), &everybody);
    else
        serial_address_bare(&everybody);
    return send_message(serial, &everybody, radius, dm_span(data, len));
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
serial_status(const struct transport *transport, struct transport_status *status)
{
    const struct serial *serial = serial_of_const(transport);
    const struct framing_counters *framed = framing_counters(serial->framing);

    *status = serial->counters;
    status->up = serial->port != NULL;
    snprintf(status->device, sizeof status->device, "%s", serial->device);
    snprintf(status->error, sizeof status->error, "%s", serial->error);
    status->rx_dropped += framed->rx_oversize;
    status->rx_garbage = framed->rx_garbage;
}

static void
serial_free(struct transport *transport)
{
    struct serial *serial = serial_of(transport);

    close_port(serial);
    if (serial->retry != NULL)
        event_free(serial->retry);
    framing_free(serial->framing);
    serial_queue_fini(&serial->queue);
    free(serial->wrapped);
    free(serial->name);
    free(serial->device);
    free(serial->framing_name);
    free(serial);
}

static const struct transport_ops serial_ops = {
    .send = serial_send,
    .broadcast = serial_broadcast,
    .address_text = text_of_address,
    .address_parse = address_of_text,
    .status = serial_status,
    .free = serial_free,
};

static bool
is_framing_name(const char *name)
{
    for (const char *const *known = framing_names(); *known != NULL; known++)
        if (strcmp(*known, name) == 0)
            return true;
    return false;
}

static bool
check_options(const struct serial_options *options, char *error, size_t error_size)
{
    if (strlen(options->name) > TRANSPORT_NAME_MAX)
        snprintf(error, error_size, "the name is too long");
    else if (options->device == NULL || options->device[0] == '\0')
        snprintf(error, error_size, "no device");
    else if (options->framing == NULL || !is_framing_name(options->framing))
        snprintf(error, error_size, "unknown framing '%s'",
                 options->framing != NULL ? options->framing : "");
    else if (options->baud == 0 || options->baud > INT_MAX)
        snprintf(error, error_size, "%lu baud is not possible", (unsigned long)options->baud);
    else if (options->mtu < 2)
        snprintf(error, error_size, "mtu is less than 2");
    else
        return true;
    return false;
}

/* Everything but the port; false if memory is short. */
static bool
prepare(struct serial *serial, struct event_base *base, const struct serial_options *options)
{
    size_t message_max = (size_t)options->mtu + NODE_ID_OVERHEAD;

    serial->message_max = message_max < MQTTSN_PACKET_MAX ? message_max : MQTTSN_PACKET_MAX;
    serial->events = base;
    serial->name = strdup(options->name);
    serial->device = strdup(options->device);
    serial->framing_name = strdup(options->framing);
    serial->encapsulation = options->encapsulation;
    serial->flow = options->flow;
    serial->baud = options->baud;
    serial->backoff_ms = BACKOFF_MIN_MS;
    serial->framing = framing_new(&(struct framing_options){
        .name = options->framing, .mtu = serial->message_max, .gap_ms = options->frame_gap_ms});
    serial->wrapped = malloc(serial->message_max);
    serial->retry = evtimer_new(base, on_retry, serial);
    return serial->name != NULL && serial->device != NULL && serial->framing_name != NULL &&
           serial->framing != NULL && serial->wrapped != NULL && serial->retry != NULL &&
           serial_queue_init(&serial->queue,
                             framing_encoded_max(serial->framing, serial->message_max)) == DM_OK;
}

struct transport *
serial_open(struct event_base *base, uint8_t link, const struct serial_options *options,
            const struct transport_listener *listener, char *error, size_t error_size)
{
    if (!check_options(options, error, error_size))
        return NULL;
    struct serial *serial = calloc(1, sizeof *serial);
    if (serial == NULL || !prepare(serial, base, options)) {
        snprintf(error, error_size, "out of memory");
        if (serial != NULL)
            serial_free(&serial->base);
        return NULL;
    }
    serial->base = (struct transport){.ops = &serial_ops,
                                      .kind = "serial",
                                      .name = serial->name,
                                      .link = link,
                                      .mtu = options->mtu};
    serial->listener = *listener;
    if (options->flow == SERIAL_FLOW_XONXOFF)
        log_warning("serial",
                    "serial:%s: xonxoff swallows the octets 0x11 and 0x13 of every message",
                    serial->name);
    try_open(serial);
    return &serial->base;
}
