/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server: its port, its connections with their limits, and who answers which request. */
#include "http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <utlist.h>

#include <dormouse/log.h>

#include "http_private.h"
#include "http_request.h"

enum {
    CONNECTIONS_MAX = 64,
    HEADERS_MAX = 8192, /* octets */
    BODY_MAX = 4096,
    UNREAD_MAX = 16384, /* octets of a connection that wait to be parsed */
    REQUEST_S = 10,     /* from the connection to the end of its request */
    ANSWER_S = 30,      /* and from there until it is read */
    IDLE_S = 10,
    RETRY_S = 1, /* doubled each time */
    RETRY_MAX_S = 30,
};

/* ---- connections ---- */

/* Stops or starts accepting; what waits then does so in the kernel, up to its backlog. */
static void
set_accepting(struct http *http, bool accepting)
{
    if (http->bound == NULL)
        return;
    struct evconnlistener *listener = evhttp_bound_socket_get_listener(http->bound);

    if (accepting)
        evconnlistener_enable(listener);
    else
        evconnlistener_disable(listener);
}

static void
connection_free(struct http_connection *c)
{
    struct http *http = c->http;

    if (c->on_left != NULL)
        c->on_left(c);
    DL_DELETE(http->connections, c);
    http->connection_count--;
    event_free(c->deadline);
    free(c);
}

static void
on_closed(struct evhttp_connection *evhttp, void *ctx)
{
    struct http_connection *c = ctx;
    struct http *http = c->http;

    (void)evhttp;
    connection_free(c);
    set_accepting(http, true);
}

static void
set_deadline(struct http_connection *c, int seconds)
{
    struct timeval wait = {.tv_sec = seconds};

    event_add(c->deadline, &wait);
}

/* Called first when evhttp has made the connection, and then when its time is over: a peer that
 * sends an octet now and then would never be idle. */
static void
on_deadline(evutil_socket_t fd, short events, void *ctx)
{
    struct http_connection *c = ctx;
    void *evhttp = NULL;

    (void)fd;
    (void)events;
    if (c->evhttp != NULL) {
        if (c->on_left == NULL)
            evhttp_connection_free(c->evhttp); /* on_closed frees c */
        return;
    }
    /* evhttp tells of connections with a request only; their bufferevents tell of all. */
    bufferevent_getcb(c->bufferevent, NULL, NULL, NULL, &evhttp);
    assert(evhttp != NULL);
    c->evhttp = evhttp;
    assert(evhttp_connection_get_bufferevent(c->evhttp) == c->bufferevent);
    evhttp_connection_set_closecb(c->evhttp, on_closed, c);
    set_deadline(c, REQUEST_S);
}

/* Before each connection. NULL would let evhttp make one that nobody counts, so that an allocation
 * that fails ends in one without limits: it is closed when it is idle, as all are. */
static struct bufferevent *
on_connection(struct event_base *base, void *ctx)
{
    struct http *http = ctx;
    struct http_connection *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->http = http;
    c->deadline = evtimer_new(base, on_deadline, c);
    c->bufferevent = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (c->deadline == NULL || c->bufferevent == NULL) {
        if (c->deadline != NULL)
            event_free(c->deadline);
        if (c->bufferevent != NULL)
            bufferevent_free(c->bufferevent);
        free(c);
        return NULL;
    }
    bufferevent_setwatermark(c->bufferevent, EV_READ, 0, UNREAD_MAX);
    event_active(c->deadline, EV_TIMEOUT, 0); /* still in this turn, before it can be closed */
    DL_APPEND(http->connections, c);
    if (++http->connection_count >= CONNECTIONS_MAX)
        set_accepting(http, false);
    return c->bufferevent;
}

struct http_connection *
http_connection_of(struct http *http, struct evhttp_request *request)
{
    struct evhttp_connection *evhttp = evhttp_request_get_connection(request);
    struct http_connection *c;

    DL_FOREACH (http->connections, c)
        if (c->evhttp == evhttp)
            return c;
    return NULL;
}

/* ---- requests ---- */

/* The numeric address of our end, without brackets. */
static void
local_address(struct evhttp_request *request, char *text, size_t size)
{
    struct bufferevent *bufferevent =
        evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof storage;
    const void *octets = &((struct sockaddr_in *)&storage)->sin_addr;

    text[0] = '\0';
    if (getsockname(bufferevent_getfd(bufferevent), (struct sockaddr *)&storage, &len) != 0)
        return;
    if (storage.ss_family == AF_INET6)
        octets = &((struct sockaddr_in6 *)&storage)->sin6_addr;
    if (inet_ntop(storage.ss_family, octets, text, (socklen_t)size) == NULL)
        text[0] = '\0';
    if (strncmp(text, "::ffff:", 7) == 0 && strchr(text, '.') != NULL)
        memmove(text, text + 7, strlen(text + 7) + 1);
}

/* Exactly one Host header, of ours, and a request line that names no other. */
static bool
check_host(struct http *http, struct evhttp_request *request)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    const struct evkeyval *header;
    const char *host = NULL, *named = evhttp_uri_get_host(evhttp_request_get_evhttp_uri(request));
    char local[INET6_ADDRSTRLEN];

    for (header = headers->tqh_first; header != NULL; header = header->next.tqe_next) {
        if (evutil_ascii_strcasecmp(header->key, "Host") != 0)
            continue;
        if (host != NULL)
            return false;
        host = header->value;
    }
    local_address(request, local, sizeof local);
    return host != NULL && http_host_is_ours(host, local, http->host) &&
           (named == NULL || http_host_is_ours(named, local, http->host));
}

static void
on_request(struct evhttp_request *request, void *ctx)
{
    struct http *http = ctx;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    struct http_connection *c = http_connection_of(http, request);

    if (c != NULL)
        set_deadline(c, ANSWER_S);
    if (path == NULL || *path == '\0')
        path = "/";
    if (!check_host(http, request))
        http_reply_error(request, 421, "this gateway has another name");
    else if (!http_api(http, request, path) && !http_files_answer(request, path))
        http_reply_error(request, 404, "there is nothing here");
}

/* ---- the port ---- */

static struct evconnlistener *
listen_at(struct http *http)
{
    struct sockaddr_storage address;
    int len = sizeof address;

    if (evutil_parse_sockaddr_port(http->address, (struct sockaddr *)&address, &len) != 0) {
        errno = EINVAL;
        return NULL;
    }
    return evconnlistener_new_bind(
        http->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
        128, (struct sockaddr *)&address, len);
}

static void
retry_later(struct http *http)
{
    struct timeval wait = {.tv_sec = (time_t)http->retry_s};

    event_add(http->retry, &wait);
    http->retry_s = http->retry_s * 2 < RETRY_MAX_S ? http->retry_s * 2 : RETRY_MAX_S;
}

/* Descriptors are used up: without a pause the loop would do nothing but try again. */
static void
on_accept_error(struct evconnlistener *listener, void *ctx)
{
    struct http *http = ctx;

    log_warning("http", "%s: cannot accept: %s", http->address, strerror(errno));
    evconnlistener_disable(listener);
    http->retry_s = RETRY_S;
    retry_later(http);
}

static void
open_port(struct http *http)
{
    struct evconnlistener *listener = listen_at(http);

    if (listener != NULL) {
        http->bound = evhttp_bind_listener(http->evhttp, listener);
        if (http->bound == NULL)
            evconnlistener_free(listener);
    }
    if (http->bound == NULL) {
        if (http->retry_s == RETRY_S)
            log_warning("http", "%s: %s; trying again", http->address, strerror(errno));
        retry_later(http);
        return;
    }
    evconnlistener_set_error_cb(listener, on_accept_error);
    log_notice("http", "on http://%s/", http->address);
}

static void
on_retry(evutil_socket_t fd, short events, void *ctx)
{
    struct http *http = ctx;

    (void)fd;
    (void)events;
    if (http->bound == NULL)
        open_port(http);
    else
        set_accepting(http, http->connection_count < CONNECTIONS_MAX);
}

static bool
start_evhttp(struct http *http)
{
    http->evhttp = evhttp_new(http->base);
    if (http->evhttp == NULL)
        return false;
    evhttp_set_allowed_methods(http->evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST);
    evhttp_set_max_headers_size(http->evhttp, HEADERS_MAX);
    evhttp_set_max_body_size(http->evhttp, BODY_MAX);
    evhttp_set_timeout(http->evhttp, IDLE_S);
    evhttp_set_default_content_type(http->evhttp, NULL);
    evhttp_set_bevcb(http->evhttp, on_connection, http);
    evhttp_set_gencb(http->evhttp, on_request, http);
    return true;
}

struct http *
http_open(struct event_base *base, const struct http_options *options,
          const struct control_source *source)
{
    struct http *http = calloc(1, sizeof *http);

    if (http == NULL)
        return NULL;
    http->base = base;
    http->source = *source;
    http->retry_s = RETRY_S;
    http->address = strdup(options->address);
    http->token = options->token != NULL ? strdup(options->token) : NULL;
    if (gethostname(http->host, sizeof http->host - 1) != 0)
        http->host[0] = '\0';
    http->retry = evtimer_new(base, on_retry, http);
    http->events = http_events_new(http);
    if (http->address == NULL || (options->token != NULL && http->token == NULL) ||
        http->retry == NULL || http->events == NULL || !start_evhttp(http)) {
        http_close(http);
        return NULL;
    }
    open_port(http);
    return http;
}

void
http_close(struct http *http)
{
    if (http == NULL)
        return;
    http->bound = NULL;
    if (http->evhttp != NULL)
        evhttp_free(http->evhttp); /* the port, and all connections that it told of */
    while (http->connections != NULL)
        connection_free(http->connections);
    http_events_free(http->events);
    if (http->retry != NULL)
        event_free(http->retry);
    free(http->address);
    free(http->token);
    free(http);
}
