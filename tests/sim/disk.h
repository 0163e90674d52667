/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of the simulated gateway: the real journal; a disk that commits late, batch after
 * batch, fails for a while, or stops at any point. Rows are in memory, or in a real database.
 */
#ifndef DORMOUSE_SIM_DISK_H
#define DORMOUSE_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine_disk.h"
#include "store_journal.h"

struct world;
struct database;

struct disk {
    struct store store; /* first: found by it */
    struct world *world;
    struct journal *journal;
    struct journal_batch batch; /* being committed */
    bool committing;
    bool turn_open, turn_urgent;
    uint64_t due_ms; /* the open batch is to be committed then; ENGINE_NEVER: nothing is flushed */
    uint64_t durable;
    uint64_t reported;
    bool degraded, reported_degraded;
    uint64_t failing_until_ms;
    struct engine_disk rows; /* without a database */
    struct database *database;
    char path[256]; /* of the database; empty: in memory */
};

void disk_init(struct world *w);
void disk_fini(struct world *w);
/* The gateway starts: it is given every row. */
void disk_open(struct world *w);
/* The gateway is gone, and with it what is not durable. */
void disk_close(struct world *w);
/* An orderly stop: all is committed, unless the disk fails. */
void disk_drain(struct world *w);
void disk_commit(struct world *w, uint32_t what); /* EVENT_COMMIT */
void disk_committed(struct world *w);             /* EVENT_COMMITTED */
void disk_fail(struct world *w, unsigned ms);
uint64_t disk_appended(const struct world *w); /* the latest journal number */
/* Calls visit for each durable row. */
void disk_each_row(struct world *w, store_visit *visit, void *ctx);

#endif
