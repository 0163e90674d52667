/* SPDX-License-Identifier: Apache-2.0 */
/* The brokers that may be connected to, in order: which one is next, and when. No I/O. */
#ifndef DORMOUSE_UPSTREAM_TARGET_H
#define DORMOUSE_UPSTREAM_TARGET_H

#include "upstream_connect.h"

struct upstream_target {
    char *url;
    struct upstream_broker broker;
    struct upstream_version version;
    bool no_will;                    /* it takes none like ours, or seems not to */
    bool no_aliases;                 /* it offers topic aliases, but refused one */
    bool wiped;                      /* its old session is; the next attempt connects to stay */
    char error[UPSTREAM_ERROR_MAX];  /* why the last attempt or connection ended; empty if not */
    char logged[UPSTREAM_ERROR_MAX]; /* the last failure that was logged since a success */
};

struct upstream_targets {
    struct upstream_target *items;
    size_t count, current;
    unsigned failures; /* rounds through all of them without success, in a row */
};

/* DM_INVALID: a bad URL or a wrong number of them; DM_NO_MEMORY. error[] tells. */
enum dm_result upstream_targets_init(struct upstream_targets *targets,
                                     const struct upstream_options *options, char *error,
                                     size_t error_size);
void upstream_targets_fini(struct upstream_targets *targets);

struct upstream_target *upstream_target(struct upstream_targets *targets);

/* The URLs, their errors and the version of the current one. */
void upstream_targets_status(const struct upstream_targets *targets,
                             struct upstream_status *status);

/*
 * The attempt or connection has failed: makes the next one current. Returns the milliseconds to
 * wait. A round begins with the first URL and goes through all at once; then the back-off grows.
 * `stable`: the connection lived long enough to count as a success.
 */
uint32_t upstream_targets_failed(struct upstream_targets *targets, bool stable, uint32_t random);
/* The same of a member, which others tell where to go next: each failure counts, and only for how
 * long it waits. */
uint32_t upstream_member_failed(struct upstream_targets *targets, bool stable, uint32_t random);

#endif
