/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: one JSON object and a newline in, one out. Requests: {"command":"status"},
 * {"command":"sessions","state":"asleep","filter":"PATTERN","part":"TEXT","offset":0,"limit":10}
 * (all but the command may be missing; TEXT stands in the client id, in any case),
 * {"command":C,"client_id":"ID"} with C show, queue, drop, disconnect, forget or trace,
 * {"command":"log","level":"packet=debug"} ("default": as at the start; without level it only tells
 * what is set), {"command":"pair","link":"NAME","on":true}; errors:
 * {"error":"text"}. Only trace answers with many lines, see control_trace.h.
 */
#ifndef DORMOUSE_CONTROL_H
#define DORMOUSE_CONTROL_H

#include <dormouse/transport.h>

#include "pairing.h"
#include "runner.h"
#include "store.h"
#include "upstream.h"

struct event_base;
struct control;

/* Borrowed for the life of the control socket. */
struct control_source {
    const char *name;       /* of the gateway */
    const char *log_levels; /* at the start */
    uint8_t gateway_id;
    uint64_t started_ms;
    uint64_t (*now_ms)(void *ctx);
    void *ctx;
    struct runner *runner;
    struct transport *const *transports;
    size_t transport_count;
    const struct upstream *upstream;
    const struct store *store;
    struct pairing *pairing;
};

/* Listens on the Unix socket `path`, mode 0660. NULL: reason in error[]. */
struct control *control_open(struct event_base *base, const char *path,
                             const struct control_source *source, char *error, size_t error_size);
/* Removes the socket too. NULL is allowed. */
void control_close(struct control *control);

#endif
