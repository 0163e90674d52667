/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: connections, their limits, and one answer each. */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <utlist.h>

#include "control_json.h"
#include "control_trace.h"

enum {
    REQUEST_MAX = 4096, /* octets of one request line */
    CONNECTIONS_MAX = 16,
    IDLE_S = 10, /* a peer that neither sends nor reads is closed */
};

struct connection {
    struct connection *prev, *next;
    struct control *control;
    struct bufferevent *bufferevent;
    bool answered;
    struct control_trace *trace; /* NULL: none */
};

struct control {
    struct event_base *base;
    struct evconnlistener *listener;
    struct control_source source;
    struct control_traces traces;
    struct connection *connections;
    size_t connection_count;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
};

static void
connection_close(struct connection *c)
{
    DL_DELETE(c->control->connections, c);
    c->control->connection_count--;
    control_trace_close(c->trace);
    bufferevent_free(c->bufferevent);
    free(c);
}

static void
on_written(struct bufferevent *bufferevent, void *ctx)
{
    struct connection *c = ctx;

    (void)bufferevent;
    if (c->trace != NULL)
        control_trace_drained(c->trace);
    else if (c->answered)
        connection_close(c);
}

static void
on_event(struct bufferevent *bufferevent, short events, void *ctx)
{
    (void)bufferevent;
    (void)events; /* end, error or idle: all the same */
    connection_close(ctx);
}

static void
on_read(struct bufferevent *bufferevent, void *ctx)
{
    struct connection *c = ctx;
    struct evbuffer *input = bufferevent_get_input(bufferevent);
    size_t len;
    char *answer = NULL;

    if (c->trace != NULL) { /* it has nothing more to say */
        evbuffer_drain(input, evbuffer_get_length(input));
        return;
    }
    char *line = evbuffer_readln(input, &len, EVBUFFER_EOL_LF);

    if (line == NULL) {
        if (evbuffer_get_length(input) >= REQUEST_MAX)
            connection_close(c);
        return;
    }
    c->trace = control_trace_open(&c->control->traces, bufferevent, dm_span(line, len), &answer);
    if (c->trace != NULL) { /* both may be silent for long */
        free(line);
        bufferevent_set_timeouts(bufferevent, NULL, NULL);
        return;
    }
    if (answer == NULL)
        answer = control_answer(&c->control->source, dm_span(line, len));
    free(line);
    if (answer == NULL) {
        connection_close(c);
        return;
    }
    c->answered = true;
    bufferevent_disable(bufferevent, EV_READ);
    bufferevent_write(bufferevent, answer, strlen(answer));
    bufferevent_write(bufferevent, "\n", 1);
    free(answer);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
          void *ctx)
{
    struct control *control = ctx;
    struct connection *c = NULL;
    static const struct timeval idle = {.tv_sec = IDLE_S};

    (void)listener;
    (void)address;
    (void)len;
    if (control->connection_count < CONNECTIONS_MAX)
        c = calloc(1, sizeof *c);
    if (c != NULL)
        c->bufferevent = bufferevent_socket_new(control->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (c == NULL || c->bufferevent == NULL) {
        free(c);
        evutil_closesocket(fd);
        return;
    }
    c->control = control;
    DL_APPEND(control->connections, c);
    control->connection_count++;
    bufferevent_setcb(c->bufferevent, on_read, on_written, on_event, c);
    bufferevent_setwatermark(c->bufferevent, EV_READ, 0, REQUEST_MAX);
    bufferevent_set_timeouts(c->bufferevent, &idle, &idle);
    bufferevent_enable(c->bufferevent, EV_READ | EV_WRITE);
}

/* A socket file that nobody answers is left over from a gateway that was killed. */
static bool
remove_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    int connected = connect(fd, (const struct sockaddr *)address, sizeof *address);
    int why = errno;
    close(fd);
    if (connected == 0)
        return false;
    return why != ECONNREFUSED || unlink(address->sun_path) == 0;
}

struct control *
control_open(struct event_base *base, const char *path, const struct control_source *source,
             char *error, size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct control *control = calloc(1, sizeof *control);

    if (control == NULL || strlen(path) >= sizeof address.sun_path) {
        snprintf(error, error_size, "%s: %s", path,
                 control == NULL ? "out of memory" : "path is too long for a socket");
        free(control);
        return NULL;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    memcpy(control->path, path, strlen(path) + 1);
    control->base = base;
    control->source = *source;
    control->traces.source = &control->source;
    if (!remove_stale(&address)) {
        snprintf(error, error_size, "%s: another gateway answers there", path);
        free(control);
        return NULL;
    }
    mode_t mask = umask(0117); /* 0660 from the first moment */
    control->listener = evconnlistener_new_bind(base, on_accept, control,
                                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
                                                (struct sockaddr *)&address, sizeof address);
    int why = errno;
    umask(mask);
    if (control->listener == NULL) {
        snprintf(error, error_size, "%s: %s", path, strerror(why));
        free(control);
        return NULL;
    }
    return control;
}

void
control_close(struct control *control)
{
    if (control == NULL)
        return;
    while (control->connections != NULL)
        connection_close(control->connections);
    evconnlistener_free(control->listener);
    unlink(control->path);
    free(control);
}
