/* SPDX-License-Identifier: Apache-2.0 */
/* The database of the store: everything that needs SQLite. One thread at a time may use it. */
#ifndef DORMOUSE_STORE_SQLITE_H
#define DORMOUSE_STORE_SQLITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store_journal.h"

struct database;

/*
 * Opens an existing file (an empty one becomes a new database), checks it and brings it to the
 * current schema. DM_MALFORMED: damaged. DM_UNSUPPORTED: of a newer version or another program, not
 * touched. DM_FULL: the disk has no room for that. DM_IO: the disk refuses, which says nothing
 * about the file. DM_NO_MEMORY. The reason is in error[].
 */
enum dm_result database_open(const char *path, bool sync_full, struct database **database,
                             char *error, size_t error_size);
/* NULL is allowed. */
void database_close(struct database *database);

/* Checks a file and visits its rows as database_load does, without any write to the disk: for one
 * that is full. The results are those of database_open. */
enum dm_result database_read(const char *path, store_visit *visit, void *visit_ctx, char *error,
                             size_t error_size);

/* Visits all rows as store.h promises; a row with values that nobody can have written is skipped
 * with a warning. What visit returns ends the walk unless it is DM_OK. */
enum dm_result database_load(struct database *database, store_visit *visit, void *visit_ctx,
                             char *error, size_t error_size);

/* One transaction. After DM_FULL (no room on the disk) or DM_IO nothing of it is there. */
enum dm_result database_commit(struct database *database, const struct journal_batch *batch,
                               uint64_t *rows, char *error, size_t error_size);

/* Gives back the memory of pages that are kept for the next transaction. */
void database_rest(struct database *database);

/* Octets inside the file that nothing uses, as of the latest commit. */
uint64_t database_free_octets(const struct database *database);
/* Octets that were handed to the operating system to write since it was opened: write-ahead log and
 * database, and a journal while the schema is made. */
uint64_t database_written_octets(const struct database *database);

#endif
