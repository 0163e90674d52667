/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {"command":"trace","client_id":"ID"}: every packet of one device, as it comes and goes, each a
 * line of JSON, until the peer closes. The first line is {"tracing":"ID"}; a reader that is too
 * slow loses lines, and {"lost":N} tells how many. The device need not have a session yet.
 */
#ifndef DORMOUSE_CONTROL_TRACE_H
#define DORMOUSE_CONTROL_TRACE_H

#include "control.h"

struct bufferevent;
struct control_trace;

/* All that run. Caller's storage, zeroed; fields are private. */
struct control_traces {
    const struct control_source *source; /* borrowed */
    struct control_trace *first;
    size_t count;
};

/* Begins a trace on the connection if the request asks for one. NULL with *refusal NULL: it does
 * not; NULL with a *refusal (JSON text to free): it cannot. */
struct control_trace *control_trace_open(struct control_traces *traces,
                                         struct bufferevent *connection, struct dm_span request,
                                         char **refusal);
/* All was written. */
void control_trace_drained(struct control_trace *trace);
/* NULL is allowed. The connection stays the caller's. */
void control_trace_close(struct control_trace *trace);

#endif
