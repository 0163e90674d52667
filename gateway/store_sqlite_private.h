/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of store_sqlite share: the open database, and what an SQLite error means. */
#ifndef DORMOUSE_STORE_SQLITE_PRIVATE_H
#define DORMOUSE_STORE_SQLITE_PRIVATE_H

#include "store_schema.h"
#include "store_sqlite.h"
#include "store_sqlite_vfs.h"

#define STORE_OPERATIONS (STORE_CLOCK_PUT + 1)

struct database {
    struct vfs_layer layer;
    sqlite3 *handle;
    sqlite3_stmt *begin, *commit, *rollback;
    sqlite3_stmt *free_pages;
    sqlite3_stmt *steps[SCHEMA_STEP_COUNT];
    size_t first_step[STORE_OPERATIONS];
    int64_t page_octets;
    int64_t check_until_ms; /* quick_check is to be interrupted then; 0: it does not run */
    bool check_interrupted;
    uint64_t written_octets;
    uint64_t free_octets; /* inside the file, as of the latest commit */
};

/*
 * What an SQLite result says, with the reason in error[] unless it is good. DM_MALFORMED: the file
 * is damaged. DM_FULL: the disk has no room. DM_IO: out of reach now. DM_NO_MEMORY. errno must be 0
 * before the call.
 */
enum dm_result database_report(const struct database *d, int rc, char *error, size_t error_size);
enum dm_result database_execute(struct database *d, const char *sql, char *error,
                                size_t error_size);
/* The first column of the first row. */
enum dm_result database_number(struct database *d, const char *sql, int64_t *number, char *error,
                               size_t error_size);

#endif
