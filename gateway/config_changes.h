/* SPDX-License-Identifier: Apache-2.0 */
/* What a running gateway makes of a configuration that was read again. */
#ifndef DORMOUSE_CONFIG_CHANGES_H
#define DORMOUSE_CONFIG_CHANGES_H

#include "config.h"
#include "config_keys.h"

/* `restart`: it takes effect at the next start only. `what`: "[sessions] retry", "[udp lan] mtu",
 * "[client pump-*]", "[serial barn] (new)"; borrowed during the call. */
typedef void config_visit_change(void *ctx, enum config_section section, bool restart,
                                 const char *what);

/* Whether a running gateway can take another value. */
bool config_key_is_live(const struct config_key *key);

/* Visits every difference, in the order of the table of keys; links and clients by their names. */
void config_compare(const struct config *old, const struct config *next,
                    config_visit_change *visit, void *ctx);

/*
 * Makes `next` a configuration that a gateway running `old` can take: what needs a restart, the list
 * of links, and all clients if a topic_prefix of one has changed, is moved over from `old`, so that pointers to it stay good. Release `old` when
 * nothing borrows the rest of it any more. DM_NO_MEMORY: nothing is changed.
 */
enum dm_result config_adopt(struct config *old, struct config *next);

#endif
