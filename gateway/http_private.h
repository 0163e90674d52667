/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HTTP server share. Private to http*.c. */
#ifndef DORMOUSE_HTTP_PRIVATE_H
#define DORMOUSE_HTTP_PRIVATE_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "http.h"

struct http_events;

struct http_connection {
    struct http_connection *prev, *next;
    struct http *http;
    struct bufferevent *bufferevent;  /* owned by evhttp */
    struct evhttp_connection *evhttp; /* NULL until evhttp has made it */
    struct event *deadline;
    /* Before it is freed. Not NULL: it is a stream, and has no deadline. */
    void (*on_left)(struct http_connection *connection);
};

struct http {
    struct event_base *base;
    struct evhttp *evhttp;
    struct evhttp_bound_socket *bound; /* NULL while the port is busy */
    struct event *retry;
    unsigned retry_s;
    char *address;
    char *token; /* NULL: nothing can be changed */
    char host[256];
    struct control_source source;
    struct http_connection *connections;
    size_t connection_count;
    struct http_events *events;
};

struct http_file {
    const char *name; /* "/app.js" */
    const char *type; /* Content-Type */
    const char *etag; /* with its quotation marks */
    const unsigned char *data;
    size_t len;
};

/* The page's files, made from the folder web/ by embed.cmake. */
extern const struct http_file http_files[];
extern const size_t http_file_count;

/* Answers with `body` (which is emptied) unless the request is a HEAD. */
void http_reply(struct evhttp_request *request, int code, const char *type, struct evbuffer *body);
void http_reply_text(struct evhttp_request *request, int code, const char *type, const char *text);
/* {"error": text}. */
void http_reply_error(struct evhttp_request *request, int code, const char *text);
/* The headers that every answer of ours has. */
void http_reply_headers(struct evhttp_request *request);

/* /healthz, /metrics and /api/v1/; false: no such path, and nothing was answered. */
bool http_api(struct http *http, struct evhttp_request *request, const char *path);
/* The page; false: no such file. */
bool http_files_answer(struct evhttp_request *request, const char *path);

/* Appends every metric in Prometheus text format 0.0.4. */
void http_metrics(struct http *http, struct evbuffer *out);

/* NULL: no memory. */
struct http_events *http_events_new(struct http *http);
void http_events_free(struct http_events *events);
/* Takes the request over, or answers that there are too many listeners. */
void http_events_listen(struct http_events *events, struct evhttp_request *request);
size_t http_events_count(const struct http_events *events);

/* The connection of a request. */
struct http_connection *http_connection_of(struct http *http, struct evhttp_request *request);

#endif
