/* SPDX-License-Identifier: Apache-2.0 */
#include "own_broker.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <utlist.h>

struct broker_peer {
    struct broker *broker;
    struct bufferevent *socket;
    char client_id[32];
    uint8_t level;
    bool waiting, open, goodbye, closing;
    struct broker_peer *prev, *next;
};

static void
forget(struct broker_peer *peer)
{
    struct broker *broker = peer->broker;

    broker->waiting -= peer->waiting;
    broker->open -= peer->open;
    broker->lost += !peer->goodbye && !peer->closing;
    bufferevent_free(peer->socket);
    DL_DELETE(broker->peers, peer);
    free(peer);
}

static void
write_hex(struct bufferevent *socket, const char *hex)
{
    for (size_t i = 0; i < (strlen(hex) + 1) / 3; i++) {
        uint8_t octet = (uint8_t)strtoul(hex + 3 * i, NULL, 16);

        bufferevent_write(socket, &octet, 1);
    }
}

static void
on_written(struct bufferevent *socket, void *ctx)
{
    struct broker_peer *peer = ctx;

    (void)socket;
    if (peer->closing)
        forget(peer);
}

/* A string with its length before it, cut to 31 octets. */
static const uint8_t *
read_string(const uint8_t *at, char text[32])
{
    size_t len = (size_t)at[0] << 8 | at[1];

    snprintf(text, 32, "%.*s", (int)len, (const char *)at + 2);
    return at + 2 + len;
}

/* Properties of MQTT 5, of which only two are of interest. */
static const uint8_t *
read_properties(const uint8_t *at, struct broker_seen *seen)
{
    const uint8_t *end = at + 1 + at[0];

    for (at++; at < end;) {
        switch (*at) {
        case 0x11:
            seen->expiry_s =
                (uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | at[4];
            at += 5;
            break;
        case 0x21:
            seen->receive_maximum = (uint16_t)(at[1] << 8 | at[2]);
            at += 3;
            break;
        case 0x27:
            at += 5;
            break;
        default:
            abort();
        }
    }
    return end;
}

/* `at`: behind the fixed header. */
static void
read_connect(const uint8_t *at, struct broker_seen *seen)
{
    uint8_t flags = at[7];
    struct broker_seen ignored;

    *seen = (struct broker_seen){.clean = (flags & 2) != 0,
                                 .will_flags = (flags & 4) != 0 ? flags & 0x38 : 0};
    seen->level = at[6];
    at = read_string(seen->level == 5 ? read_properties(at + 10, seen) : at + 10, seen->client_id);
    if ((flags & 4) != 0) {
        at = read_string(seen->level == 5 ? read_properties(at, &ignored) : at, seen->will_topic);
        at = read_string(at, seen->will_payload);
    }
    if ((flags & 0x80) != 0)
        at = read_string(at, seen->username);
    if ((flags & 0x40) != 0)
        read_string(at, seen->password);
}

static void
answer(struct broker_peer *peer)
{
    struct broker *broker = peer->broker;
    char refusal[16];

    broker->waiting -= peer->waiting;
    peer->waiting = false;
    if (broker->mood == BROKER_REFUSES) {
        snprintf(refusal, sizeof refusal, "20 03 00 %02x 00", broker->reason);
        peer->closing = true;
        write_hex(peer->socket, refusal);
        return;
    }
    peer->open = true;
    peer->closing = broker->mood == BROKER_CUTS;
    broker->open++;
    write_hex(peer->socket, peer->level == 5 ? "20 03 00 00 00" : "20 02 00 00");
}

static void
on_connect(struct broker_peer *peer, const uint8_t *at)
{
    struct broker *broker = peer->broker;
    struct broker_seen seen;

    read_connect(at, &seen);
    memcpy(peer->client_id, seen.client_id, sizeof seen.client_id);
    peer->level = seen.level;
    if (broker->connects < BROKER_SEEN_MAX)
        broker->seen[broker->connects] = seen;
    broker->connects++;
    if (broker->mood != BROKER_WAITS) {
        answer(peer);
        return;
    }
    peer->waiting = true;
    broker->waiting++;
}

static void
on_read(struct bufferevent *socket, void *ctx)
{
    struct broker_peer *peer = ctx;
    struct evbuffer *input = bufferevent_get_input(socket);
    size_t len;

    while ((len = evbuffer_get_length(input)) >= 2) {
        const uint8_t *data = evbuffer_pullup(input, -1);
        size_t size = 2u + data[1];

        if (data[1] >= 0x80)
            abort(); /* no test sends as much */
        if (len < size)
            return;
        if (data[0] >> 4 == 1)
            on_connect(peer, data + 2);
        peer->goodbye = peer->goodbye || data[0] >> 4 == 14;
        peer->broker->goodbyes += data[0] >> 4 == 14;
        peer->broker->publishes += data[0] >> 4 == 3;
        evbuffer_drain(input, size);
    }
}

static void
on_event(struct bufferevent *socket, short what, void *ctx)
{
    (void)socket;
    (void)what;
    forget(ctx);
}

static void
on_accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
            void *ctx)
{
    struct broker *broker = ctx;
    struct broker_peer *peer = calloc(1, sizeof *peer);

    (void)listener;
    (void)address;
    (void)len;
    if (peer == NULL)
        abort();
    peer->broker = broker;
    peer->socket = bufferevent_socket_new(broker->base, fd, BEV_OPT_CLOSE_ON_FREE);
    DL_APPEND(broker->peers, peer);
    bufferevent_setcb(peer->socket, on_read, on_written, on_event, peer);
    bufferevent_enable(peer->socket, EV_READ | EV_WRITE);
}

void
broker_start(struct broker *broker, struct event_base *base)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(broker->port)};
    socklen_t len = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    broker->base = base;
    broker->listener = evconnlistener_new_bind(base, on_accepted, broker,
                                               LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, -1,
                                               (struct sockaddr *)&address, sizeof address);
    if (broker->listener == NULL)
        abort();
    getsockname(evconnlistener_get_fd(broker->listener), (struct sockaddr *)&address, &len);
    broker->port = ntohs(address.sin_port);
}

void
broker_close_door(struct broker *broker)
{
    if (broker->listener != NULL)
        evconnlistener_free(broker->listener);
    broker->listener = NULL;
}

void
broker_stop(struct broker *broker)
{
    broker_close_door(broker);
    while (broker->peers != NULL)
        forget(broker->peers);
}

void
broker_answer(struct broker *broker)
{
    struct broker_peer *peer;

    broker->mood = BROKER_ACCEPTS;
    DL_FOREACH (broker->peers, peer)
        if (peer->waiting)
            answer(peer);
    broker->mood = BROKER_WAITS;
}

void
broker_send(struct broker *broker, const char *client_id, const char *hex, bool then_close)
{
    struct broker_peer *peer;

    DL_FOREACH (broker->peers, peer) {
        if (strcmp(peer->client_id, client_id) != 0 || !peer->open)
            continue;
        peer->closing = then_close;
        if (*hex != '\0')
            write_hex(peer->socket, hex);
        else
            forget(peer);
        return;
    }
    abort(); /* it is not there */
}
