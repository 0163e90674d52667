/* SPDX-License-Identifier: Apache-2.0 */
/* From a host name to a connected TCP socket: every address of the name is tried in turn. Or from a
 * path to a connected Unix socket. */
#ifndef DORMOUSE_UPSTREAM_DIAL_H
#define DORMOUSE_UPSTREAM_DIAL_H

struct event_base;
struct dial;

/* Called from the loop when the attempt is over and gone. `fd` is non-blocking and the callee's to
 * close; -1 on failure, and then `error` tells why the last address failed. */
typedef void dial_done(void *ctx, int fd, const char *error);

/* Starts; the texts are copied. An empty port: `host` is the path of a Unix socket. `done` is not
 * called from inside. NULL: no memory. */
struct dial *dial_start(struct event_base *base, const char *host, const char *port,
                        dial_done *done, void *ctx);

/* `done` will not be called. */
void dial_cancel(struct dial *dial);

#endif
