/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server: the status page, the API that it uses, metrics and health. See docs/api.md. */
#ifndef DORMOUSE_HTTP_H
#define DORMOUSE_HTTP_H

#include "control.h"

struct http;

struct http_options {
    const char *address; /* "127.0.0.1:8183", copied */
    const char *token;   /* copied; NULL: nothing can be changed */
};

/* A busy port is logged and tried again. `source` is borrowed as for the control socket. NULL: no
 * memory. */
struct http *http_open(struct event_base *base, const struct http_options *options,
                       const struct control_source *source);
/* NULL is allowed. */
void http_close(struct http *http);

#endif
