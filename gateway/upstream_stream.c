/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT packets over one connected socket, perhaps with TLS: buffers, framing, and the order CONNACK
 * first. */
#include "upstream_stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "tls.h"

#define OUTPUT_MAX (1024u * 1024u) /* beyond: QoS 0 is refused, and nothing is read */

struct stream {
    struct bufferevent *socket;
    struct tls *tls; /* NULL: none */
    enum mqtt_version version;
    uint32_t receive_maximum; /* octets of a packet */
    uint32_t send_maximum;    /* octets of a packet */
    struct stream_events events;
    struct stream_counters *counters;
    bool greeted;  /* CONNACK came */
    size_t needed; /* octets of the incomplete packet at the start of the input; 0: unknown */
};

static struct evbuffer *
output_of(struct stream *stream)
{
    return bufferevent_get_output(stream->socket);
}

enum dm_result
stream_send(struct stream *stream, const struct mqtt_packet *packet)
{
    struct evbuffer *output = output_of(stream);
    struct evbuffer_iovec space;
    size_t len = 0;

    /* QoS 1 and 2 are bounded by the broker's window; nothing else holds QoS 0 back. */
    if (packet->type == MQTT_PUBLISH && packet->qos == 0 &&
        evbuffer_get_length(output) > OUTPUT_MAX)
        return DM_FULL;
    if (evbuffer_reserve_space(output, (ev_ssize_t)mqtt_encoded_max(packet), &space, 1) != 1)
        return DM_NO_MEMORY;
    enum dm_result result =
        mqtt_encode(stream->version, packet, space.iov_base, space.iov_len, &len);
    if (result == DM_OK && len > stream->send_maximum)
        result = DM_INVALID;
    if (result != DM_OK)
        return result; /* space that is not committed costs nothing */
    space.iov_len = len;
    if (evbuffer_commit_space(output, &space, 1) != 0)
        return DM_NO_MEMORY;
    stream->counters->tx_packets++;
    stream->counters->tx_octets += len;
    return DM_OK;
}

static uint64_t
clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* As evbuffer_write: octets, 0 or -1 with errno if there were none. */
static int
write_some(struct stream *stream, struct evbuffer *output)
{
    if (stream->tls == NULL)
        return evbuffer_write(output, bufferevent_getfd(stream->socket));

    const void *data = evbuffer_pullup(output, -1);
    int written = data != NULL ? tls_write(stream->tls, data, evbuffer_get_length(output)) : -1;

    if (written > 0)
        evbuffer_drain(output, (size_t)written);
    else
        errno = written == 0 ? EAGAIN : EPIPE;
    return written;
}

void
stream_say_goodbye(struct stream *stream, uint8_t reason, unsigned timeout_ms)
{
    struct mqtt_packet packet = {.type = MQTT_DISCONNECT, .reason = reason};
    struct evbuffer *output = output_of(stream);
    int fd = bufferevent_getfd(stream->socket);
    uint64_t end_ms = clock_ms() + timeout_ms;

    stream_send(stream, &packet); /* without memory for it, closing says the same */
    evbuffer_unfreeze(output, 1); /* the bufferevent lets nobody else write its output */
    while (evbuffer_get_length(output) > 0) {
        if (write_some(stream, output) > 0)
            continue;
        uint64_t now_ms = clock_ms();
        if ((errno != EAGAIN && errno != EINTR) || now_ms >= end_ms)
            break;
        struct pollfd writable = {.fd = fd, .events = POLLOUT};
        poll(&writable, 1, (int)(end_ms - now_ms));
    }
    evbuffer_freeze(output, 1);
    if (stream->tls != NULL)
        tls_shutdown(stream->tls);
}

/* Decodes and reports the packet at the start of the input. *alive is false if the stream is gone.
 */
static enum dm_result
take_packet(struct stream *stream, const uint8_t *data, size_t len, size_t *used, bool *alive)
{
    enum mqtt_version version = stream->version;
    struct stream_events *events = &stream->events;
    struct mqtt_packet packet;

    /* CONNACK of MQTT 5 has at least three octets: with two, this broker knows only 3.1.1. */
    if (!stream->greeted && len >= 2 && data[0] == MQTT_CONNACK << 4 && data[1] == 2)
        version = MQTT_3_1_1;
    enum dm_result result = mqtt_decode(version, data, len, stream->receive_maximum, &packet, used);
    if (result != DM_OK)
        return result;
    if (stream->greeted == (packet.type == MQTT_CONNACK))
        return DM_INVALID;
    stream->counters->rx_packets++;
    stream->counters->rx_octets += *used;
    if (stream->greeted) {
        *alive = events->on_packet(events->ctx, &packet);
    } else {
        stream->greeted = true;
        *alive = events->on_connack(events->ctx, &packet, version);
    }
    return DM_OK;
}

static void
end_for(struct stream *stream, enum dm_result result)
{
    struct stream_events *events = &stream->events;

    if (result == DM_FULL)
        events->on_end(events->ctx, 0x95, "broker sent a packet longer than we allow");
    else if (result == DM_INVALID)
        events->on_end(events->ctx, 0x82, "broker sent a packet out of order");
    else if (result == DM_UNSUPPORTED)
        events->on_end(events->ctx, 0x94, "broker sent a topic alias, which we do not allow");
    else
        events->on_end(events->ctx, 0x81, "broker sent a malformed packet");
}

static void
on_read(struct bufferevent *socket, void *ctx)
{
    struct stream *stream = ctx;
    struct evbuffer *input = bufferevent_get_input(socket);
    size_t len = evbuffer_get_length(input);
    size_t offset = 0, used = 0;
    bool alive = true;

    stream->events.on_octets(stream->events.ctx);
    if (len < stream->needed) /* do not join the parts of a long packet again for each new one */
        return;
    const uint8_t *data = evbuffer_pullup(input, -1);
    if (data == NULL && len > 0) {
        stream->events.on_end(stream->events.ctx, 0x83, "no memory for a packet of the broker");
        return;
    }
    while (offset < len) {
        enum dm_result result = take_packet(stream, data + offset, len - offset, &used, &alive);
        if (!alive)
            return;
        if (result == DM_TRUNCATED)
            break;
        if (result != DM_OK) {
            end_for(stream, result);
            return;
        }
        offset += used;
        used = 0;
    }
    stream->needed = used;
    evbuffer_drain(input, offset);
    /* A broker that sends but does not read makes our acknowledgements pile up. */
    if (evbuffer_get_length(output_of(stream)) > OUTPUT_MAX)
        bufferevent_disable(socket, EV_READ);
}

/* All output is written. */
static void
on_written(struct bufferevent *socket, void *ctx)
{
    (void)ctx;
    if ((bufferevent_get_enabled(socket) & EV_READ) == 0)
        bufferevent_enable(socket, EV_READ);
}

static void
on_closed(struct bufferevent *socket, short what, void *ctx)
{
    struct stream *stream = ctx;
    int error = (what & BEV_EVENT_ERROR) != 0 ? errno : 0;
    char text[TLS_ERROR_MAX] = "broker closed the connection";

    if ((what & BEV_EVENT_CONNECTED) != 0) /* the TLS handshake is over, and what waits is sent */
        return;
    if (stream->tls != NULL &&
        tls_failure(stream->tls, bufferevent_get_openssl_error(socket), text, sizeof text)) {
        stream->events.on_end(stream->events.ctx, STREAM_TLS_FAILED, text);
        return;
    }
    if (error != 0 && error != ECONNRESET && error != EPIPE && error != EAGAIN)
        snprintf(text, sizeof text, "connection lost: %s", strerror(error));
    stream->events.on_end(stream->events.ctx, 0, text);
}

static struct bufferevent *
open_socket(struct event_base *base, const struct stream_options *options)
{
    if (options->tls == NULL)
        return bufferevent_socket_new(base, options->fd, BEV_OPT_CLOSE_ON_FREE);

    struct bufferevent *socket =
        bufferevent_openssl_socket_new(base, options->fd, tls_take(options->tls),
                                       BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);

    if (socket != NULL) /* brokers that are killed say no goodbye */
        bufferevent_openssl_set_allow_dirty_shutdown(socket, 1);
    return socket;
}

struct stream *
stream_open(struct event_base *base, const struct stream_options *options,
            const struct stream_events *events, struct stream_counters *counters)
{
    struct stream *stream = calloc(1, sizeof *stream);
    struct bufferevent *socket = open_socket(base, options);

    if (stream == NULL || socket == NULL)
        goto fail;
    *stream = (struct stream){
        .socket = socket,
        .tls = options->tls,
        .version = options->version,
        .receive_maximum = options->maximum,
        .send_maximum = UINT32_MAX,
        .events = *events,
        .counters = counters,
    };
    bufferevent_setcb(socket, on_read, on_written, on_closed, stream);
    if (bufferevent_enable(socket, EV_READ | EV_WRITE) != 0)
        goto fail;
    return stream;

fail:
    free(stream);
    if (socket != NULL)
        bufferevent_free(socket);
    else
        close(options->fd);
    tls_free(options->tls);
    return NULL;
}

void
stream_tls_status(const struct stream *stream, struct tls_status *status)
{
    *status = (struct tls_status){0};
    if (stream->tls != NULL)
        tls_describe(stream->tls, status);
}

void
stream_set_send_maximum(struct stream *stream, uint32_t octets)
{
    stream->send_maximum = octets;
}

void
stream_close(struct stream *stream)
{
    bufferevent_free(stream->socket);
    tls_free(stream->tls);
    free(stream);
}
