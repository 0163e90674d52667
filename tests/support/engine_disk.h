/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store would hold of the records that an engine emits: they wait, turn by turn, until they
 * are committed; a crash loses those that wait; the rows that are left start another engine. Each
 * record is checked against the contract of store.h on its way.
 */
#ifndef DORMOUSE_TESTS_ENGINE_DISK_H
#define DORMOUSE_TESTS_ENGINE_DISK_H

#include "engine.h"

struct disk_row {
    struct store_record record;
    struct dm_address address;
    bool has_address;
    uint64_t seq;      /* journal number */
    uint64_t turn_seq; /* of the last record of its turn; 0: the turn goes on */
};

struct disk_rows {
    struct disk_row *items;
    size_t count, room;
};

struct engine_disk {
    struct disk_rows rows;    /* durable: the PUT records in the order of store.h */
    struct disk_rows waiting; /* in the order in which they came; their spans are copies */
    struct disk_rows used;    /* keys that were deleted in this life and may not come again */
    uint64_t seq;             /* of the last record */
    uint64_t committed;       /* of the last durable record */
    const char *fault;        /* the first breach of store.h; NULL: none */
};

void engine_disk_init(struct engine_disk *disk);
void engine_disk_fini(struct engine_disk *disk);

/* An ENGINE_RECORD effect; copied. Returns its journal number. */
uint64_t engine_disk_append(struct engine_disk *disk, const struct engine_effect *effect);
/* The records since the last call are one batch: all of them become durable, or none. */
void engine_disk_end_turn(struct engine_disk *disk);
/* Makes durable what is needed for `seq` and belongs to whole turns; returns the last number. */
uint64_t engine_disk_commit(struct engine_disk *disk, uint64_t seq);
/* What waits is lost, and the journal numbers begin anew. */
void engine_disk_crash(struct engine_disk *disk);
/* Hands every row to an engine that is not started yet; the first result that is not DM_OK. */
enum dm_result engine_disk_load(const struct engine_disk *disk, struct engine *engine);

#endif
