/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT packets over one connected socket, perhaps with TLS: buffers, framing, and the order CONNACK
 * first. */
#include "upstream_stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "tls.h"
#include "upstream_alias.h"
#include "upstream_coalesce.h"

#define OUTPUT_MAX (1024u * 1024u) /* beyond: QoS 0 is refused, and nothing is read */
#define READ_OCTETS 65536

struct stream {
    int fd;
    struct evbuffer *input; /* an incomplete packet */
    struct evbuffer *output;
    /* Without TLS: a bufferevent asks the kernel how much there is before each read, and has epoll
     * told of every write. */
    struct event *readable, *writable;
    struct coalescing coalescing;
    int timer_fd; /* -1: no pause was needed yet */
    struct event *pause_over;
    struct bufferevent *secure; /* with TLS; the buffers are its own */
    struct tls *tls;            /* NULL: none */
    enum mqtt_version version;
    uint32_t receive_maximum; /* octets of a packet */
    uint32_t send_maximum;    /* octets of a packet */
    struct aliases *aliases;  /* NULL: none are used */
    struct stream_events events;
    struct stream_counters *counters;
    bool greeted;  /* CONNACK came */
    bool paused;   /* nothing is read until the output is written */
    size_t needed; /* octets of the incomplete packet at the start of the input; 0: unknown */
};

static enum dm_result
send_packet(struct stream *stream, const struct mqtt_packet *packet)
{
    struct evbuffer *output = stream->output;
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
    bool first = evbuffer_get_length(output) == 0;
    if (evbuffer_commit_space(output, &space, 1) != 0)
        return DM_NO_MEMORY;
    if (first && stream->writable != NULL)
        event_active(stream->writable, EV_WRITE, 0); /* at the end of the turn, all together */
    stream->counters->tx_packets++;
    stream->counters->tx_octets += len;
    return DM_OK;
}

enum dm_result
stream_send(struct stream *stream, const struct mqtt_packet *packet)
{
    if (stream->aliases == NULL || packet->type != MQTT_PUBLISH)
        return send_packet(stream, packet);

    struct alias alias = alias_choose(stream->aliases, packet->topic);
    struct mqtt_packet aliased = *packet;

    aliased.topic_alias = alias.number;
    if (alias.known)
        aliased.topic.len = 0;
    enum dm_result result = send_packet(stream, &aliased);
    if (result == DM_INVALID && alias.number != 0 && !alias.known)
        return send_packet(stream, packet); /* the alias may have made it too long */
    if (result == DM_OK && alias.number != 0 && !alias.known)
        alias_sent(stream->aliases, alias, packet->topic);
    return result;
}

static uint64_t
clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* As evbuffer_write: octets, 0 or -1 with errno if there were none. */
static int
write_some(struct stream *stream, struct evbuffer *output)
{
    if (stream->tls == NULL)
        return evbuffer_write(output, stream->fd);

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
    struct evbuffer *output = stream->output;
    uint64_t end_ms = clock_us() / 1000 + timeout_ms;

    stream_send(stream, &packet); /* without memory for it, closing says the same */
    evbuffer_unfreeze(output, 1); /* the bufferevent lets nobody else write its output */
    while (evbuffer_get_length(output) > 0) {
        if (write_some(stream, output) > 0)
            continue;
        uint64_t now_ms = clock_us() / 1000;
        if ((errno != EAGAIN && errno != EINTR) || now_ms >= end_ms)
            break;
        struct pollfd writable = {.fd = stream->fd, .events = POLLOUT};
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

/* The packets at the start of the octets; *taken is their length. False: the stream is gone. */
static bool
take_packets(struct stream *stream, const uint8_t *data, size_t len, size_t *taken)
{
    size_t offset = 0, used = 0;
    bool alive = true;

    while (offset < len) {
        enum dm_result result = take_packet(stream, data + offset, len - offset, &used, &alive);
        if (!alive)
            return false;
        if (result == DM_TRUNCATED)
            break;
        if (result != DM_OK) {
            end_for(stream, result);
            return false;
        }
        offset += used;
        used = 0;
    }
    stream->needed = used;
    *taken = offset;
    return true;
}

static void
pause_reading(struct stream *stream, bool pause)
{
    stream->paused = pause;
    if (stream->secure != NULL)
        pause ? bufferevent_disable(stream->secure, EV_READ)
              : bufferevent_enable(stream->secure, EV_READ);
    else
        pause ? event_del(stream->readable) : event_add(stream->readable, NULL);
}

/* A broker that sends but does not read makes our acknowledgements pile up. */
static void
pause_if_full(struct stream *stream)
{
    if (!stream->paused && evbuffer_get_length(stream->output) > OUTPUT_MAX)
        pause_reading(stream, true);
}

/* All output is written. */
static void
output_is_empty(struct stream *stream)
{
    if (stream->paused)
        pause_reading(stream, false);
}

static void
end_without_memory(struct stream *stream)
{
    stream->events.on_end(stream->events.ctx, 0x83, "no memory for a packet of the broker");
}

/* What came is in the input. False: the stream is gone. */
static bool
take_input(struct stream *stream)
{
    size_t len = evbuffer_get_length(stream->input);
    size_t taken;

    if (len < stream->needed) /* do not join the parts of a long packet again for each new one */
        return true;
    const uint8_t *data = evbuffer_pullup(stream->input, -1);
    if (data == NULL && len > 0) {
        end_without_memory(stream);
        return false;
    }
    if (!take_packets(stream, data, len, &taken))
        return false;
    evbuffer_drain(stream->input, taken);
    pause_if_full(stream);
    return true;
}

/* The same, without a way through the input for what is complete. False: the stream is gone. */
static bool
take_octets(struct stream *stream, const uint8_t *data, size_t len)
{
    size_t taken = 0;
    bool joins = evbuffer_get_length(stream->input) > 0;

    if (!joins && !take_packets(stream, data, len, &taken))
        return false;
    if (taken < len && evbuffer_add(stream->input, data + taken, len - taken) != 0) {
        end_without_memory(stream);
        return false;
    }
    if (joins)
        return take_input(stream);
    pause_if_full(stream);
    return true;
}

static void
connection_lost(struct stream *stream, int error)
{
    char text[TLS_ERROR_MAX] = "broker closed the connection";

    if (error != 0 && error != ECONNRESET && error != EPIPE && error != EAGAIN)
        snprintf(text, sizeof text, "connection lost: %s", strerror(error));
    stream->events.on_end(stream->events.ctx, 0, text);
}

/* ---- without TLS ---- */

static void
on_pause_over(evutil_socket_t fd, short what, void *ctx)
{
    struct stream *stream = ctx;
    uint64_t expired;
    ssize_t ignored = read(fd, &expired, sizeof expired); /* only clears it */

    (void)ignored;
    (void)what;
    if (!stream->paused)
        event_add(stream->readable, NULL);
}

/* Of our own: libevent's timers count in milliseconds. False: nothing to make one of. */
static bool
ensure_timer(struct stream *stream)
{
    struct event_base *base = event_get_base(stream->readable);

    if (stream->timer_fd < 0)
        stream->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (stream->timer_fd >= 0 && stream->pause_over == NULL)
        stream->pause_over =
            event_new(base, stream->timer_fd, EV_READ | EV_PERSIST, on_pause_over, stream);
    return stream->pause_over != NULL && event_add(stream->pause_over, NULL) == 0;
}

/* A read brought so many packets: is it worth a pause? Not without what that needs. */
static void
pause_if_busy(struct stream *stream, uint64_t packets)
{
    static const struct itimerspec pause = {.it_value.tv_nsec = COALESCE_PAUSE_US * 1000};

    if (coalesce_after_read(&stream->coalescing, clock_us(), packets) && ensure_timer(stream) &&
        timerfd_settime(stream->timer_fd, 0, &pause, NULL) == 0)
        event_del(stream->readable);
}

static void
on_readable(evutil_socket_t fd, short what, void *ctx)
{
    static uint8_t octets[READ_OCTETS]; /* of all streams: used only during the call */
    struct stream *stream = ctx;
    ssize_t len = recv(fd, octets, sizeof octets, 0);
    uint64_t packets = stream->counters->rx_packets;

    (void)what;
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        connection_lost(stream, len < 0 ? errno : 0);
        return;
    }
    stream->events.on_octets(stream->events.ctx);
    if (take_octets(stream, octets, (size_t)len))
        pause_if_busy(stream, stream->counters->rx_packets - packets);
}

static void
on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct stream *stream = ctx;

    (void)what;
    if (evbuffer_write(stream->output, fd) < 0 && errno != EAGAIN && errno != EINTR)
        connection_lost(stream, errno);
    else if (evbuffer_get_length(stream->output) > 0)
        event_add(stream->writable, NULL);
    else
        output_is_empty(stream);
}

static bool
open_plain(struct stream *stream, struct event_base *base)
{
    stream->input = evbuffer_new();
    stream->output = evbuffer_new();
    stream->readable = event_new(base, stream->fd, EV_READ | EV_PERSIST, on_readable, stream);
    stream->writable = event_new(base, stream->fd, EV_WRITE, on_writable, stream);
    return stream->input != NULL && stream->output != NULL && stream->readable != NULL &&
           stream->writable != NULL && event_add(stream->readable, NULL) == 0;
}

/* ---- with TLS ---- */

static void
on_secure_read(struct bufferevent *secure, void *ctx)
{
    struct stream *stream = ctx;

    (void)secure;
    stream->events.on_octets(stream->events.ctx);
    take_input(stream);
}

static void
on_secure_written(struct bufferevent *secure, void *ctx)
{
    (void)secure;
    output_is_empty(ctx);
}

static void
on_secure_end(struct bufferevent *secure, short what, void *ctx)
{
    struct stream *stream = ctx;
    int error = (what & BEV_EVENT_ERROR) != 0 ? errno : 0;
    char text[TLS_ERROR_MAX];

    if ((what & BEV_EVENT_CONNECTED) != 0) /* the handshake is over, and what waits is sent */
        return;
    if (tls_failure(stream->tls, bufferevent_get_openssl_error(secure), text, sizeof text))
        stream->events.on_end(stream->events.ctx, STREAM_TLS_FAILED, text);
    else
        connection_lost(stream, error);
}

static bool
open_secure(struct stream *stream, struct event_base *base)
{
    stream->secure = bufferevent_openssl_socket_new(
        base, stream->fd, tls_take(stream->tls), BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    if (stream->secure == NULL)
        return false;
    stream->input = bufferevent_get_input(stream->secure);
    stream->output = bufferevent_get_output(stream->secure);
    /* Brokers that are killed say no goodbye. */
    bufferevent_openssl_set_allow_dirty_shutdown(stream->secure, 1);
    bufferevent_setcb(stream->secure, on_secure_read, on_secure_written, on_secure_end, stream);
    return bufferevent_enable(stream->secure, EV_READ | EV_WRITE) == 0;
}

/* ---- both ---- */

struct stream *
stream_open(struct event_base *base, const struct stream_options *options,
            const struct stream_events *events, struct stream_counters *counters)
{
    struct stream *stream = calloc(1, sizeof *stream);

    if (stream == NULL) {
        close(options->fd);
        tls_free(options->tls);
        return NULL;
    }
    *stream = (struct stream){
        .fd = options->fd,
        .timer_fd = -1,
        .tls = options->tls,
        .version = options->version,
        .receive_maximum = options->maximum,
        .send_maximum = UINT32_MAX,
        .events = *events,
        .counters = counters,
    };
    if (options->tls != NULL ? open_secure(stream, base) : open_plain(stream, base))
        return stream;
    stream_close(stream);
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
stream_use_aliases(struct stream *stream, uint16_t maximum)
{
    aliases_free(stream->aliases);
    stream->aliases = maximum > 0 ? aliases_new(maximum) : NULL;
}

void
stream_set_send_maximum(struct stream *stream, uint32_t octets)
{
    stream->send_maximum = octets;
}

void
stream_close(struct stream *stream)
{
    if (stream->secure != NULL) {
        bufferevent_free(stream->secure); /* closes the socket, too */
    } else {
        if (stream->readable != NULL)
            event_free(stream->readable);
        if (stream->writable != NULL)
            event_free(stream->writable);
        if (stream->pause_over != NULL)
            event_free(stream->pause_over);
        if (stream->timer_fd >= 0)
            close(stream->timer_fd);
        if (stream->input != NULL)
            evbuffer_free(stream->input);
        if (stream->output != NULL)
            evbuffer_free(stream->output);
        close(stream->fd);
    }
    tls_free(stream->tls);
    aliases_free(stream->aliases);
    free(stream);
}
