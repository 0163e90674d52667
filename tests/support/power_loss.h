/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that forgets what was not synced. It lies under SQLite, remembers for each file what was
 * synced and what was only written, and can make, at any call, the directory that a power failure
 * at this moment would leave: synced content, and of the rest what chance decides, in sectors of
 * 512 octets. The same for names: a file whose directory was not synced may be missing, one that
 * was deleted may still be there.
 */
#ifndef DORMOUSE_TESTS_POWER_LOSS_H
#define DORMOUSE_TESTS_POWER_LOSS_H

#include <stdbool.h>

#include "random.h"

enum power_loss_rest {
    POWER_LOSS_NOTHING, /* nothing that was not synced arrived */
    POWER_LOSS_SECTORS, /* any of it may have, in any order */
    POWER_LOSS_ORDERED, /* the beginning of it has */
    POWER_LOSS_RESTS,
};

/* Before each call that changes something, from the thread that makes it. */
typedef void power_loss_moment(void *ctx);

/* From here on, files in `directory` are watched; what is there now is taken for durable. `lies`:
 * syncs are answered and do nothing. */
void power_loss_start(const char *directory, bool lies, power_loss_moment *moment, void *ctx);
void power_loss_stop(void);

/* Writes what a failure now would leave into `target`, an existing directory without files. */
void power_loss_leave(const char *target, enum power_loss_rest rest, struct random_source *random);

#endif
