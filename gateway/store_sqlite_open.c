/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the database of the store: whose it is, whether it is damaged, which schema it has. */
#include "store_sqlite_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <dormouse/log.h>

#include "store_files.h"

#define BUSY_TIMEOUT_MS 1000 /* somebody writes with the sqlite3 shell */
#define CHECK_LIMIT_MS 5000

static int64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Counts what is written, and ends a check that takes too long. SQLite before 3.41 looks whether it
 * is interrupted only between two tables, so it is the reading that ends. */
static int
on_vfs_call(void *ctx, const struct vfs_event *event)
{
    struct database *d = ctx;

    if (event->call == VFS_WRITE)
        d->written_octets += (uint64_t)event->octets;
    if (event->call != VFS_READ || d->check_until_ms == 0 || now_ms() < d->check_until_ms)
        return SQLITE_OK;
    d->check_interrupted = true;
    return SQLITE_IOERR_READ;
}

static enum dm_result
open_handle(struct database *d, const char *path, char *error, size_t error_size)
{
    int rc = vfs_layer_register(&d->layer, on_vfs_call, d, false);

    if (rc == SQLITE_OK)
        rc = sqlite3_open_v2(path, &d->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                             d->layer.name);
    enum dm_result result = database_report(d, rc, error, error_size);
    if (result != DM_OK)
        return result;
    sqlite3_extended_result_codes(d->handle, 1);
    sqlite3_busy_timeout(d->handle, BUSY_TIMEOUT_MS);
    /* A damaged file is kept as it is, write-ahead log included. */
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return DM_OK;
}

/* *version: of the schema, 0 for a new file. DM_UNSUPPORTED: not for us to touch. */
static enum dm_result
identify(struct database *d, int64_t *version, char *error, size_t error_size)
{
    int64_t application = 0, objects = 0;
    enum dm_result result =
        database_number(d, "SELECT count(*) FROM sqlite_schema", &objects, error, error_size);

    if (result == DM_OK)
        result = database_number(d, "PRAGMA application_id", &application, error, error_size);
    if (result == DM_OK)
        result = database_number(d, "PRAGMA user_version", version, error, error_size);
    if (result != DM_OK)
        return result;
    bool empty = application == 0 && *version == 0 && objects == 0;
    if (!empty && application != SCHEMA_APPLICATION_ID) {
        snprintf(error, error_size, "belongs to another program");
        return DM_UNSUPPORTED;
    }
    if (*version > SCHEMA_VERSION) {
        snprintf(error, error_size, "has version %lld, this program knows up to %d",
                 (long long)*version, SCHEMA_VERSION);
        return DM_UNSUPPORTED;
    }
    if (!empty && *version < 1) {
        snprintf(error, error_size, "schema version %lld", (long long)*version);
        return DM_MALFORMED;
    }
    return DM_OK;
}

/* Without what the check itself holds. */
static enum dm_result
run_check(struct database *d, char *error, size_t error_size)
{
    sqlite3_stmt *statement = NULL;

    errno = 0;
    int rc = sqlite3_prepare_v2(d->handle, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    enum dm_result result = database_report(d, rc, error, error_size);
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text == NULL || strcmp(text, "ok") != 0) {
            log_escape(error, error_size, dm_span_text(text != NULL ? text : "check failed"));
            result = text != NULL ? DM_MALFORMED : DM_NO_MEMORY;
        }
    }
    sqlite3_finalize(statement);
    return result;
}

/* *complete: false if the time was over first; then what it found means nothing. */
static enum dm_result
quick_check(struct database *d, bool *complete, char *error, size_t error_size)
{
    d->check_until_ms = now_ms() + CHECK_LIMIT_MS;
    enum dm_result result = run_check(d, error, error_size);
    d->check_until_ms = 0;
    *complete = !d->check_interrupted;
    if (*complete)
        return result;
    log_notice("store", "the database is too large to be checked within %d s: only read",
               CHECK_LIMIT_MS / 1000);
    return DM_OK;
}

static enum dm_result
configure(struct database *d, bool sync_full, char *error, size_t error_size)
{
    char sql[256];

    /* Extra: a rollback journal that comes back after a power failure would undo the file. */
    snprintf(sql, sizeof sql,
             "PRAGMA synchronous = EXTRA; PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; PRAGMA journal_size_limit = %u;"
             "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;",
             sync_full ? "FULL" : "NORMAL", STORE_WAL_LIMIT);
    enum dm_result result = database_execute(d, sql, error, error_size);
    if (result != DM_OK)
        return result;
    int64_t wal = 0;
    result = database_number(d, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &wal, error,
                             error_size);
    if (result == DM_OK && wal == 0) {
        snprintf(error, error_size, "no write-ahead log is possible in this file system");
        result = DM_IO;
    }
    return result;
}

/* One step, with the number it leads to, between `begin` and `end`. */
static enum dm_result
migrate_step(struct database *d, int64_t version, const char *begin, const char *end, char *error,
             size_t error_size)
{
    char *sql = sqlite3_mprintf("%s %s PRAGMA application_id = %d; PRAGMA user_version = %lld; %s",
                                begin, schema_migrations[version], SCHEMA_APPLICATION_ID,
                                (long long)version + 1, end);

    if (sql == NULL) {
        snprintf(error, error_size, "no memory");
        return DM_NO_MEMORY;
    }
    enum dm_result result = database_execute(d, sql, error, error_size);
    sqlite3_free(sql);
    return result;
}

/* Each step is one transaction. */
static enum dm_result
migrate(struct database *d, int64_t version, char *error, size_t error_size)
{
    enum dm_result result = DM_OK;

    for (; version < SCHEMA_VERSION && result == DM_OK; version++)
        result = migrate_step(d, version, "BEGIN IMMEDIATE;", "COMMIT", error, error_size);
    return result;
}

static int
prepare(struct database *d, const char *sql, sqlite3_stmt **statement)
{
    return sqlite3_prepare_v3(d->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
}

static enum dm_result
prepare_all(struct database *d, char *error, size_t error_size)
{
    char sql[SCHEMA_SQL_SIZE];
    int rc = prepare(d, "BEGIN IMMEDIATE", &d->begin);

    if (rc == SQLITE_OK)
        rc = prepare(d, "COMMIT", &d->commit);
    if (rc == SQLITE_OK)
        rc = prepare(d, "ROLLBACK", &d->rollback);
    if (rc == SQLITE_OK)
        rc = prepare(d, "PRAGMA freelist_count", &d->free_pages);
    for (size_t i = SCHEMA_STEP_COUNT; i > 0 && rc == SQLITE_OK; i--) {
        schema_step_sql(&schema_steps[i - 1], sql);
        d->first_step[schema_steps[i - 1].op] = i - 1;
        rc = prepare(d, sql, &d->steps[i - 1]);
    }
    return database_report(d, rc, error, error_size);
}

static enum dm_result
count_octets(struct database *d, char *error, size_t error_size)
{
    int64_t free_pages = 0;
    enum dm_result result =
        database_number(d, "PRAGMA page_size", &d->page_octets, error, error_size);

    if (result == DM_OK)
        result = database_number(d, "PRAGMA freelist_count", &free_pages, error, error_size);
    d->free_octets = (uint64_t)(free_pages * d->page_octets);
    return result;
}

/* Up to the point where it is known whose the file is and that it is well. */
static enum dm_result
open_checked(struct database *d, const char *path, const char *before, int64_t *version,
             bool *checked, char *error, size_t error_size)
{
    errno = 0;
    enum dm_result result = open_handle(d, path, error, error_size);
    if (result == DM_OK)
        result = database_execute(d, before, error, error_size);
    if (result == DM_OK)
        result = identify(d, version, error, error_size);
    if (result == DM_OK)
        result = quick_check(d, checked, error, error_size);
    return result;
}

/* What looks like damage may be a read that failed: then nothing is known about the file. */
static enum dm_result
doubt(const struct database *d, enum dm_result result, char *error, size_t error_size)
{
    if (result != DM_MALFORMED || d->layer.read_error == SQLITE_OK)
        return result;
    snprintf(error, error_size, "%s", sqlite3_errstr(d->layer.read_error));
    return DM_IO;
}

enum dm_result
database_open(const char *path, bool sync_full, struct database **database, char *error,
              size_t error_size)
{
    struct database *d = calloc(1, sizeof *d);
    int64_t version = 0;
    bool checked = true;

    if (d == NULL) {
        snprintf(error, error_size, "no memory");
        return DM_NO_MEMORY;
    }
    enum dm_result result = open_checked(d, path, "", &version, &checked, error, error_size);
    if (result == DM_OK)
        result = configure(d, sync_full, error, error_size);
    if (result == DM_OK)
        result = migrate(d, version, error, error_size);
    if (result == DM_OK)
        result = prepare_all(d, error, error_size);
    if (result == DM_OK)
        result = count_octets(d, error, error_size);
    /* No row may be visited before it is known that all can be read. */
    if (result == DM_OK && !checked)
        result = database_load(d, NULL, NULL, error, error_size);
    result = doubt(d, result, error, error_size);
    if (result != DM_OK) {
        database_close(d);
        return result;
    }
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    *database = d;
    return DM_OK;
}

/* The rows as they will be after the migration, which happens in memory only. */
static enum dm_result
read_migrated(struct database *d, int64_t version, store_visit *visit, void *visit_ctx, char *error,
              size_t error_size)
{
    enum dm_result result = database_execute(d, "BEGIN IMMEDIATE", error, error_size);

    for (; version < SCHEMA_VERSION && result == DM_OK; version++)
        result = migrate_step(d, version, "", "", error, error_size);
    if (result == DM_OK)
        result = database_load(d, NULL, NULL, error, error_size);
    if (result == DM_OK)
        result = database_load(d, visit, visit_ctx, error, error_size);
    return result;
}

enum dm_result
database_read(const char *path, store_visit *visit, void *visit_ctx, char *error, size_t error_size)
{
    struct database *d = calloc(1, sizeof *d);
    int64_t version = 0;
    bool checked = true;

    if (d == NULL) {
        snprintf(error, error_size, "no memory");
        return DM_NO_MEMORY;
    }
    /* Exclusive: the index of the write-ahead log is in memory and needs no file. */
    enum dm_result result =
        open_checked(d, path, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_spill = OFF;",
                     &version, &checked, error, error_size);
    if (result == DM_OK && version > 0)
        result = read_migrated(d, version, visit, visit_ctx, error, error_size);
    result = doubt(d, result, error, error_size);
    database_close(d); /* and the transaction with it */
    return result;
}
