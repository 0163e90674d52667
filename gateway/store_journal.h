/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open batch of the store: copies of records in memory, until a commit takes them. What a later
 * record of the same batch overtakes is dropped here and never reaches the disk.
 */
#ifndef DORMOUSE_STORE_JOURNAL_H
#define DORMOUSE_STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

struct journal_entry {
    struct journal_entry *prev, *next; /* list of utlist.h: the head's prev is the last */
    struct store_record record;        /* its spans are the entry's own */
};

struct journal_batch {
    struct journal_entry *entries; /* in the order in which they must be applied */
    size_t count;
    uint64_t last; /* highest journal number in it, also if its record was dropped; 0: none */
};

struct journal;

/* NULL: no memory. */
struct journal *journal_new(void);
void journal_free(struct journal *journal);

/* A row with the keys of this PUT is in the database already. */
void journal_note_row(struct journal *journal, const struct store_record *record);

/*
 * Copies the record to the end of the open batch; returns its journal number (1, 2, 3, ...), or 0
 * if there is no memory: then nothing has changed.
 *
 * For kinds with numeric keys (all but subscription, filter and broker) a PUT or DELETE drops the
 * PUT of the same key that waits in the open batch, and takes a place at the end. So every key ends
 * with its last record, after any SESSION_DELETE or BROKER_PUT that came before it: no record is a
 * barrier. A DELETE that meets a PUT vanishes too if no row of that key can be in the database.
 * That is known for a message, a delivery and a spooled message whose number is above all numbers
 * of earlier batches and of loaded rows (keys are never used again, and a delivery never changes
 * its message). Otherwise the DELETE stays: without a row it touches no page, so it costs no disk
 * write either.
 */
uint64_t journal_append(struct journal *journal, const struct store_record *record);

/* Moves the open batch out; release it with journal_batch_fini. */
void journal_take(struct journal *journal, struct journal_batch *batch);
void journal_batch_fini(struct journal_batch *batch);
/* Or give it back, for records that come: what is not worth keeping is freed by the first, without
 * the journal; the second takes little time, whatever it is given. */
void journal_batch_trim(struct journal_batch *batch);
void journal_give_back(struct journal *journal, struct journal_batch *batch);

uint64_t journal_appended(const struct journal *journal);    /* the latest journal number */
uint64_t journal_annihilated(const struct journal *journal); /* PUTs that met their DELETE */
/* Whether something was appended since the last journal_take. */
bool journal_pending(const struct journal *journal);
/* Of records in the open batch. */
size_t journal_count(const struct journal *journal);

#endif
