/* SPDX-License-Identifier: Apache-2.0 */
/* What is looked after while a connection stands: certificates that end soon, and whether the first
 * broker is back. */
#ifndef DORMOUSE_UPSTREAM_WATCH_H
#define DORMOUSE_UPSTREAM_WATCH_H

#include "upstream_target.h"

struct event_base;
struct upstream_watch;

/* Options and brokers are borrowed. `on_back` is called from the loop when the first broker
 * takes connections; the watch may be stopped, not freed, inside. False: it is asked again soon,
 * `at_once` at last. NULL: no memory. */
struct upstream_watch *upstream_watch_new(struct event_base *base,
                                          const struct upstream_options *options,
                                          struct upstream_targets *targets,
                                          bool (*on_back)(void *ctx, bool at_once), void *ctx);
/* NULL is allowed. */
void upstream_watch_free(struct upstream_watch *watch);

/* A connection to `url` stands; `away`: it is not the first broker. */
void upstream_watch_start(struct upstream_watch *watch, const char *url,
                          const struct tls_status *tls, bool away);
void upstream_watch_stop(struct upstream_watch *watch);

#endif
