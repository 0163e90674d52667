/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: one JSON object and a newline in, one out. Requests: {"command":"status"},
 * {"command":"sessions","state":"asleep","filter":"PATTERN","part":"TEXT","offset":0,"limit":10}
 * (all but the command may be missing; TEXT stands in the client id, in any case),
 * {"command":C,"client_id":"ID"} with C show, queue, drop, disconnect, forget or trace,
 * {"command":"log","level":"packet=debug"} ("default": as configured; without level it only tells
 * what is set), {"command":"reload"}, {"command":"pair","link":"NAME","on":true}; errors:
 * {"error":"text"}. Only trace answers with many lines, see control_trace.h.
 */
#ifndef DORMOUSE_CONTROL_H
#define DORMOUSE_CONTROL_H

#include <dormouse/transport.h>

#include "own_pool.h"
#include "pairing.h"
#include "runner.h"
#include "store.h"
#include "upstream.h"

struct event_base;
struct control;

/* What reading the configuration again tells. */
enum control_reload_kind {
    CONTROL_RELOAD_CHANGED, /* "[section] key" */
    CONTROL_RELOAD_RESTART, /* the same, of what takes effect at the next start only */
    CONTROL_RELOAD_WARNING, /* "file:line: ..." */
    CONTROL_RELOAD_ERROR,   /* the same; nothing is changed then */
    CONTROL_RELOAD_KINDS,
};
typedef void control_reload_line(void *ctx, enum control_reload_kind kind, const char *text);

struct control_reload {
    /* DM_OK, or what config_load said; then everything stays as it was. */
    enum dm_result (*run)(void *ctx, control_reload_line *line, void *line_ctx);
    void *ctx;
};

/* Borrowed for the life of the control socket. */
struct control_source {
    const char *name;       /* of the gateway */
    const char *const *log_levels;    /* as configured */
    const char *const *status_topics; /* "dormouse/NAME/"; empty: none */
    struct control_reload reload;
    uint8_t gateway_id;
    uint64_t started_ms;
    uint64_t (*now_ms)(void *ctx);
    void *ctx;
    struct runner *runner;
    struct transport *const *transports;
    size_t transport_count;
    const struct upstream *upstream;
    const struct own_pool *own; /* NULL: no device can have a connection of its own */
    const struct store *store;
    struct pairing *pairing;
};

/* Listens on the Unix socket `path`, mode 0660. NULL: reason in error[]. */
struct control *control_open(struct event_base *base, const char *path,
                             const struct control_source *source, char *error, size_t error_size);
/* Removes the socket too. NULL is allowed. */
void control_close(struct control *control);

#endif
