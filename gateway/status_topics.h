/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retained topics at the broker that tell how gateway and devices are: BASE/status (online, and
 * offline by the gateway's will), BASE/gateway and BASE/clients/ID (JSON, see docs/api.md), and
 * what Home Assistant needs to discover them. QoS 0: what is lost with a connection is told anew
 * with the next. What a session left behind that ended while nobody could be told, or just before
 * the gateway was killed, is looked for after the start and cleared.
 */
#ifndef DORMOUSE_STATUS_TOPICS_H
#define DORMOUSE_STATUS_TOPICS_H

#include "control.h"

struct status_topics;

/* Texts are borrowed for the life of the topics. */
struct status_topics_options {
    const char *base;               /* "dormouse/NAME/" */
    uint64_t interval_ms;           /* a topic changes so often at most */
    const char *home_assistant; /* its discovery prefix, "homeassistant/"; "" = none */
    uint64_t (*wall_ms)(void *ctx); /* since 1970; 0: not known */
};

/* `source` is borrowed; its upstream may be filled in until the first connection. NULL: no memory.
 */
struct status_topics *status_topics_new(struct event_base *base,
                                        const struct status_topics_options *options,
                                        const struct control_source *source);
/* For upstream_open: what concerns these topics is taken out, the rest goes to `inner`. */
struct upstream_events status_topics_events(struct status_topics *topics,
                                            const struct upstream_events *inner);
/* Other options with the same base, borrowed instead of the former ones. */
void status_topics_reconfigure(struct status_topics *topics,
                               const struct status_topics_options *options);
/* Before the connection is ended in order, which the broker does not call offline. */
void status_topics_goodbye(struct status_topics *topics);
/* NULL is allowed. */
void status_topics_free(struct status_topics *topics);

#endif
