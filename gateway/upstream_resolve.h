/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to socket addresses without stopping the loop: getaddrinfo in a thread (mDNS and
 * /etc/hosts must work, design.md section 6). */
#ifndef DORMOUSE_UPSTREAM_RESOLVE_H
#define DORMOUSE_UPSTREAM_RESOLVE_H

#include <netdb.h>

struct event_base;
struct resolve_job;

/* Of one host; whoever asked for it at the same time has the same. */
struct resolve_addresses {
    struct addrinfo *first;
    unsigned users;
};

/* Called from the loop when the job is over and gone. `addresses` is the callee's to release; NULL
 * on failure, and then `error` tells why. */
typedef void resolve_done(void *ctx, struct resolve_addresses *addresses, const char *error);

/* The addresses of a numeric host, NULL if it is a name. Does not wait. */
struct resolve_addresses *resolve_numeric(const char *host, const char *port);
/* NULL is allowed. */
void resolve_release(struct resolve_addresses *addresses);

/* Starts to look for the addresses of `host`, or waits with others for them; the texts are copied.
 * NULL: no memory or thread. */
struct resolve_job *resolve_start(struct event_base *base, const char *host, const char *port,
                                  resolve_done *done, void *ctx);

/* `done` will not be called. Does not wait for the thread. */
void resolve_cancel(struct resolve_job *job);

#endif
