/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events: the state to everybody who listens, at once and when it has changed. The
 * clock runs only while somebody does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/bufferevent.h>
#include <utlist.h>

#include "control_json.h"
#include "http_private.h"

enum {
    LISTENERS_MAX = 16,
    HEARTBEAT_TICKS = 15,         /* seconds: a tick is one */
    PROGRESS_S = 10,              /* who takes nothing for so long is closed */
    SEND_BUFFER = 65536,          /* octets in the kernel */
    SESSIONS_PER_TICK = 256 << 10 /* octets; a longer list comes less often */
};

struct listener {
    struct listener *prev, *next;
    struct http_connection *connection;
    struct evhttp_request *request;
    unsigned quiet; /* ticks without anything sent */
    bool status_due, sessions_due;
};

struct http_events {
    struct http *http;
    struct event *tick;
    struct listener *listeners;
    size_t count;
    uint64_t status_hash; /* of the last one */
    size_t pause;         /* ticks until the sessions may be sent again */
};

/* FNV-1a of an answer but for its uptime, which changes always. */
static uint64_t
hash_status(const char *text)
{
    static const char uptime[] = "\"uptime_ms\":";
    uint64_t hash = 0xcbf29ce484222325u;

    while (*text != '\0') {
        if (strncmp(text, uptime, sizeof uptime - 1) == 0) {
            text += sizeof uptime - 1;
            text += strspn(text, "0123456789");
            continue;
        }
        hash = (hash ^ (uint8_t)*text++) * 0x100000001b3u;
    }
    return hash;
}

static char *
ask(const struct http_events *events, const char *request)
{
    return control_answer(&events->http->source, dm_span_text(request));
}

/* The array in {"sessions":[...]}. */
static struct dm_span
array_of(const char *answer)
{
    const char *start = strchr(answer, '[');
    size_t len = start != NULL ? strlen(start) : 0;

    return len > 0 ? dm_span(start, len - 1) : dm_span_text("[]");
}

static void
send_text(struct listener *l, const char *event, struct dm_span data)
{
    struct evbuffer *chunk = evbuffer_new();

    if (chunk == NULL)
        return;
    if (event == NULL)
        evbuffer_add_printf(chunk, ":\n\n");
    else
        evbuffer_add_printf(chunk, "event: %s\ndata: ", event);
    if (event != NULL) {
        evbuffer_add(chunk, data.data, data.len);
        evbuffer_add(chunk, "\n\n", 2);
    }
    evhttp_send_reply_chunk(l->request, chunk);
    evbuffer_free(chunk);
    l->quiet = 0;
}

static size_t
unread(const struct listener *l)
{
    return evbuffer_get_length(bufferevent_get_output(l->connection->bufferevent));
}

static void
listener_free(struct http_events *events, struct listener *l)
{
    DL_DELETE(events->listeners, l);
    events->count--;
    free(l);
    if (events->count == 0)
        event_del(events->tick);
}

/* Before the connection is freed. What waits for it is freed by evhttp. */
static void
on_left(struct http_connection *connection)
{
    struct http_events *events = connection->http->events;
    struct listener *l, *next;

    DL_FOREACH_SAFE (events->listeners, l, next) {
        if (l->connection != connection)
            continue;
        /* A peer that left took its connection from the request, which is ours then. */
        if (evhttp_request_get_connection(l->request) == NULL)
            evhttp_send_reply_end(l->request);
        listener_free(events, l);
    }
}

/* Sends `status` and, if it is not NULL, the array of `sessions` to all who wait for them. */
static void
send_due(struct http_events *events, const char *status, const char *sessions)
{
    struct listener *l;

    DL_FOREACH (events->listeners, l) {
        if (unread(l) > 0)
            continue; /* it gets the newest state when it has read what it has */
        if (l->status_due)
            send_text(l, "status", dm_span_text(status));
        l->status_due = false;
        if (l->sessions_due && sessions != NULL) {
            send_text(l, "sessions", array_of(sessions));
            l->sessions_due = false;
        }
        if (l->quiet >= HEARTBEAT_TICKS)
            send_text(l, NULL, dm_span(NULL, 0));
    }
}

static void
on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct http_events *events = ctx;
    struct listener *l;
    char *status = ask(events, "{\"command\":\"status\"}"), *sessions = NULL;
    bool wanted = false;

    (void)fd;
    (void)what;
    if (status == NULL)
        return;
    uint64_t hash = hash_status(status);
    bool changed = hash != events->status_hash;
    events->status_hash = hash;
    DL_FOREACH (events->listeners, l) {
        l->status_due = l->status_due || changed;
        l->sessions_due = l->sessions_due || changed;
        l->quiet++;
        wanted = wanted || (l->sessions_due && unread(l) == 0);
    }
    if (events->pause > 0)
        events->pause--;
    else if (wanted)
        sessions = ask(events, "{\"command\":\"sessions\"}");
    if (sessions != NULL)
        events->pause = strlen(sessions) / SESSIONS_PER_TICK;
    send_due(events, status, sessions);
    free(status);
    free(sessions);
}

/* A stream: nothing more is expected from the peer, and the kernel holds little for it. */
static void
start_stream(struct listener *l)
{
    static const struct timeval no_progress = {.tv_sec = PROGRESS_S};
    struct bufferevent *bufferevent = l->connection->bufferevent;
    struct evkeyvalq *out = evhttp_request_get_output_headers(l->request);
    int octets = SEND_BUFFER;

    l->connection->on_left = on_left;
    bufferevent_set_timeouts(bufferevent, NULL, &no_progress);
    setsockopt(bufferevent_getfd(bufferevent), SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
    http_reply_headers(l->request);
    evhttp_add_header(out, "Content-Type", "text/event-stream");
    evhttp_send_reply_start(l->request, 200, "OK");
}

void
http_events_listen(struct http_events *events, struct evhttp_request *request)
{
    static const struct timeval second = {.tv_sec = 1};
    struct http_connection *connection = http_connection_of(events->http, request);
    struct listener *l = NULL;

    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
        http_reply(request, 200, "text/event-stream", NULL);
        return;
    }
    if (connection != NULL && events->count < LISTENERS_MAX)
        l = calloc(1, sizeof *l);
    if (l == NULL) {
        http_reply_error(request, 503, "too many listen already");
        return;
    }
    l->connection = connection;
    l->request = request;
    DL_APPEND(events->listeners, l);
    start_stream(l);
    if (events->count++ == 0)
        event_add(events->tick, &second);

    char *status = ask(events, "{\"command\":\"status\"}");
    char *sessions = ask(events, "{\"command\":\"sessions\"}");
    if (status != NULL && sessions != NULL) {
        send_text(l, "status", dm_span_text(status));
        send_text(l, "sessions", array_of(sessions));
        if (events->count == 1)
            events->status_hash = hash_status(status);
    }
    free(status);
    free(sessions);
}

size_t
http_events_count(const struct http_events *events)
{
    return events->count;
}

struct http_events *
http_events_new(struct http *http)
{
    struct http_events *events = calloc(1, sizeof *events);

    if (events == NULL)
        return NULL;
    events->http = http;
    events->tick = event_new(http->base, -1, EV_PERSIST, on_tick, events);
    if (events->tick == NULL) {
        free(events);
        return NULL;
    }
    return events;
}

void
http_events_free(struct http_events *events)
{
    struct listener *l, *next;

    if (events == NULL)
        return;
    DL_FOREACH_SAFE (events->listeners, l, next)
        listener_free(events, l);
    event_free(events->tick);
    free(events);
}
