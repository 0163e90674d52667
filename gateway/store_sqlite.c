/* SPDX-License-Identifier: Apache-2.0 */
/* The database of the store: opens, checks, migrates and loads it, and commits batches. */
#include "store_sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sqlite3.h>

#include <dormouse/log.h>

#include "store_files.h"
#include "store_schema.h"

#define BUSY_TIMEOUT_MS 1000 /* somebody writes with the sqlite3 shell */
#define CHECK_LIMIT_MS 5000
#define CHECK_OPCODES 1000 /* between two looks at the clock */
#define OPERATIONS (STORE_CLOCK_PUT + 1)

struct database {
    sqlite3 *handle;
    sqlite3_stmt *begin, *commit, *rollback;
    sqlite3_stmt *steps[SCHEMA_STEP_COUNT];
    size_t first_step[OPERATIONS];
};

/* What an SQLite error says about the file: damaged (DM_MALFORMED), or merely out of reach now. */
static enum dm_result
classify(int rc)
{
    switch (rc) {
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_SHORT_READ:
    case SQLITE_IOERR_CORRUPTFS:
        return DM_MALFORMED;
    default:
        break;
    }
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return DM_OK;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_ERROR: /* our SQL does not fit the tables that are there */
        return DM_MALFORMED;
    case SQLITE_NOMEM:
        return DM_NO_MEMORY;
    default:
        return DM_IO;
    }
}

/*
 * The text of the latest error, escaped since it can quote the file, with the operating system's
 * reason. For that errno must be 0 before the call that failed: sqlite3_system_errno stays 0 when
 * it is a write that fails.
 */
static void
describe_error(const struct database *d, int rc, char *error, size_t error_size)
{
    int number = errno;
    const char *text = d->handle != NULL ? sqlite3_errmsg(d->handle) : sqlite3_errstr(rc);
    char escaped[120];

    log_escape(escaped, sizeof escaped, dm_span_text(text));
    if ((rc & 0xff) == SQLITE_IOERR && number != 0)
        snprintf(error, error_size, "%s: %s", escaped, strerror(number));
    else
        snprintf(error, error_size, "%s", escaped);
}

static enum dm_result
report(const struct database *d, int rc, char *error, size_t error_size)
{
    enum dm_result result = classify(rc);

    if (result != DM_OK)
        describe_error(d, rc, error, error_size);
    return result;
}

static enum dm_result
execute(struct database *d, const char *sql, char *error, size_t error_size)
{
    errno = 0;
    return report(d, sqlite3_exec(d->handle, sql, NULL, NULL, NULL), error, error_size);
}

/* The first column of the first row. */
static enum dm_result
query_number(struct database *d, const char *sql, int64_t *number, char *error, size_t error_size)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(d->handle, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    enum dm_result result = report(d, rc, error, error_size);
    sqlite3_finalize(statement);
    return result;
}

/* Rows: statements to put and delete records */

/* Borrows the octets until the statement is reset. No octets are an empty value, never NULL. */
static int
bind_span(sqlite3_stmt *statement, int index, const struct dm_span *span, bool text)
{
    const void *data = span->len > 0 ? (const void *)span->data : "";

    if (text && schema_is_text(*span))
        return sqlite3_bind_text64(statement, index, data, span->len, SQLITE_STATIC, SQLITE_UTF8);
    return sqlite3_bind_blob64(statement, index, data, span->len, SQLITE_STATIC);
}

static int
bind_column(sqlite3_stmt *statement, int index, const struct schema_column *column,
            const struct store_record *record)
{
    const void *field = (const uint8_t *)record + column->offset;

    switch (column->type) {
    case SCHEMA_BOOL:
        return sqlite3_bind_int(statement, index, *(const bool *)field);
    case SCHEMA_U8:
        return sqlite3_bind_int(statement, index, *(const uint8_t *)field);
    case SCHEMA_U16:
        return sqlite3_bind_int(statement, index, *(const uint16_t *)field);
    case SCHEMA_U32:
        return sqlite3_bind_int64(statement, index, *(const uint32_t *)field);
    case SCHEMA_U64:
        return sqlite3_bind_int64(statement, index, (int64_t) * (const uint64_t *)field);
    case SCHEMA_TEXT:
        return bind_span(statement, index, field, true);
    case SCHEMA_BLOB:
        return bind_span(statement, index, field, false);
    }
    return SQLITE_MISUSE;
}

static int
run(sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    int reset = sqlite3_reset(statement);

    return rc == SQLITE_DONE || rc == SQLITE_ROW ? reset : rc;
}

/* Every statement of the record's operation; adds the rows changed. */
static int
write_record(struct database *d, const struct store_record *record, uint64_t *rows)
{
    for (size_t i = d->first_step[record->op];
         i < SCHEMA_STEP_COUNT && schema_steps[i].op == record->op; i++) {
        const struct schema_step *step = &schema_steps[i];
        int rc = SQLITE_OK;
        for (size_t c = 0; c < step->bound && rc == SQLITE_OK; c++)
            rc = bind_column(d->steps[i], (int)c + 1, &step->table->columns[c], record);
        if (rc == SQLITE_OK)
            rc = run(d->steps[i]);
        if (rc != SQLITE_OK)
            return rc;
        *rows += (uint64_t)sqlite3_changes64(d->handle);
    }
    return SQLITE_OK;
}

/* SQLITE_FULL is ENOSPC only. */
static bool
disk_is_full(int rc, int number)
{
    return (rc & 0xff) == SQLITE_FULL ||
           ((rc & 0xff) == SQLITE_IOERR && (number == EDQUOT || number == EFBIG));
}

enum dm_result
database_commit(struct database *d, const struct journal_batch *batch, uint64_t *rows, char *error,
                size_t error_size)
{
    const struct journal_entry *entry = batch->entries;

    errno = 0;
    *rows = 0;
    int rc = run(d->begin);
    for (; entry != NULL && rc == SQLITE_OK; entry = entry->next)
        rc = write_record(d, &entry->record, rows);
    if (rc == SQLITE_OK)
        rc = run(d->commit);
    if (rc == SQLITE_OK)
        return DM_OK;
    enum dm_result result = disk_is_full(rc, errno) ? DM_FULL : DM_IO;
    describe_error(d, rc, error, error_size);
    if (!sqlite3_get_autocommit(d->handle))
        run(d->rollback);
    return result;
}

uint64_t
database_free_octets(struct database *d)
{
    int64_t octets = 0;
    char error[32]; /* no answer: no octets */

    if (query_number(d,
                     "SELECT f.freelist_count * p.page_size"
                     " FROM pragma_freelist_count AS f, pragma_page_size AS p",
                     &octets, error, sizeof error) != DM_OK)
        return 0;
    return (uint64_t)octets;
}

void
database_close(struct database *d)
{
    if (d == NULL)
        return;
    sqlite3_finalize(d->begin);
    sqlite3_finalize(d->commit);
    sqlite3_finalize(d->rollback);
    for (size_t i = 0; i < SCHEMA_STEP_COUNT; i++)
        sqlite3_finalize(d->steps[i]);
    sqlite3_close(d->handle);
    free(d);
}

/* Opening */

/* *version: of the schema, 0 for a new file. DM_UNSUPPORTED: not for us to touch. */
static enum dm_result
identify(struct database *d, int64_t *version, char *error, size_t error_size)
{
    int64_t application = 0, objects = 0;
    enum dm_result result =
        query_number(d, "SELECT count(*) FROM sqlite_schema", &objects, error, error_size);

    if (result == DM_OK)
        result = query_number(d, "PRAGMA application_id", &application, error, error_size);
    if (result == DM_OK)
        result = query_number(d, "PRAGMA user_version", version, error, error_size);
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

static int64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int
on_check_progress(void *deadline_ms)
{
    return now_ms() >= *(const int64_t *)deadline_ms;
}

/* *complete: false if the time was over first. SQLite before 3.41 looks at the clock only between
 * two tables, so the limit can be passed by the time that one table takes. */
static enum dm_result
quick_check(struct database *d, bool *complete, char *error, size_t error_size)
{
    sqlite3_stmt *statement = NULL;
    int64_t deadline_ms = now_ms() + CHECK_LIMIT_MS;
    int rc = sqlite3_prepare_v2(d->handle, "PRAGMA quick_check(1)", -1, &statement, NULL);

    sqlite3_progress_handler(d->handle, CHECK_OPCODES, on_check_progress, &deadline_ms);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    sqlite3_progress_handler(d->handle, 0, NULL, NULL);
    *complete = rc != SQLITE_INTERRUPT;
    enum dm_result result = *complete ? report(d, rc, error, error_size) : DM_OK;
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text == NULL || strcmp(text, "ok") != 0) {
            log_escape(error, error_size, dm_span_text(text != NULL ? text : "check failed"));
            result = DM_MALFORMED;
        }
    }
    sqlite3_finalize(statement);
    return result;
}

static enum dm_result
configure(struct database *d, bool sync_full, char *error, size_t error_size)
{
    char sql[256];

    snprintf(sql, sizeof sql,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; PRAGMA journal_size_limit = %u;"
             "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;",
             sync_full ? "FULL" : "NORMAL", STORE_WAL_LIMIT);
    enum dm_result result = execute(d, sql, error, error_size);
    if (result != DM_OK)
        return result;
    int64_t wal = 0;
    result = query_number(d, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &wal, error,
                          error_size);
    if (result == DM_OK && wal == 0) {
        snprintf(error, error_size, "no write-ahead log is possible in this file system");
        result = DM_IO;
    }
    return result;
}

/* Each step is one transaction with the number it leads to. */
static enum dm_result
migrate(struct database *d, int64_t version, char *error, size_t error_size)
{
    for (; version < SCHEMA_VERSION; version++) {
        char *sql = sqlite3_mprintf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d;"
                                    "PRAGMA user_version = %lld; COMMIT",
                                    schema_migrations[version], SCHEMA_APPLICATION_ID,
                                    (long long)version + 1);
        if (sql == NULL) {
            snprintf(error, error_size, "no memory");
            return DM_NO_MEMORY;
        }
        enum dm_result result = execute(d, sql, error, error_size);
        sqlite3_free(sql);
        if (result != DM_OK)
            return result;
    }
    return DM_OK;
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
    for (size_t i = SCHEMA_STEP_COUNT; i > 0 && rc == SQLITE_OK; i--) {
        schema_step_sql(&schema_steps[i - 1], sql);
        d->first_step[schema_steps[i - 1].op] = i - 1;
        rc = prepare(d, sql, &d->steps[i - 1]);
    }
    return report(d, rc, error, error_size);
}

/* Rows: loading */

/* False: not a number of 0..maximum, so nothing that we wrote. */
static bool
read_number(sqlite3_stmt *statement, int index, uint64_t maximum, uint64_t *number)
{
    int64_t value = sqlite3_column_int64(statement, index);

    *number = (uint64_t)value;
    return sqlite3_column_type(statement, index) == SQLITE_INTEGER && value >= 0 &&
           *number <= maximum;
}

static bool
read_column(sqlite3_stmt *statement, int index, const struct schema_column *column,
            struct store_record *record)
{
    void *field = (uint8_t *)record + column->offset;
    uint64_t number = 0;
    bool good = false;

    switch (column->type) {
    case SCHEMA_BOOL:
        good = read_number(statement, index, 1, &number);
        *(bool *)field = number != 0;
        break;
    case SCHEMA_U8:
        good = read_number(statement, index, UINT8_MAX, &number);
        *(uint8_t *)field = (uint8_t)number;
        break;
    case SCHEMA_U16:
        good = read_number(statement, index, UINT16_MAX, &number);
        *(uint16_t *)field = (uint16_t)number;
        break;
    case SCHEMA_U32:
        good = read_number(statement, index, UINT32_MAX, &number);
        *(uint32_t *)field = (uint32_t)number;
        break;
    case SCHEMA_U64:
        good = read_number(statement, index, INT64_MAX, (uint64_t *)field);
        break;
    case SCHEMA_TEXT:
    case SCHEMA_BLOB: {
        const void *data = sqlite3_column_blob(statement, index);
        size_t len = (size_t)sqlite3_column_bytes(statement, index);
        good = data != NULL || len == 0;
        *(struct dm_span *)field = dm_span(data, len);
        break;
    }
    }
    return good;
}

static bool
read_row(sqlite3_stmt *statement, const struct schema_table *table, struct store_record *record)
{
    bool good = true;

    *record = (struct store_record){.op = table->put};
    for (size_t i = 0; i < table->column_count && good; i++)
        good = read_column(statement, (int)i, &table->columns[i], record);
    return good;
}

/* visit NULL: only reads. A row that we cannot have written is skipped and stays where it is. */
static enum dm_result
load_table(struct database *d, const struct schema_table *table, store_visit *visit,
           void *visit_ctx, char *error, size_t error_size)
{
    char sql[SCHEMA_SQL_SIZE];
    sqlite3_stmt *statement = NULL;
    struct store_record record;
    enum dm_result visited = DM_OK;
    unsigned long skipped = 0;

    schema_load_sql(table, sql);
    int rc = sqlite3_prepare_v2(d->handle, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    for (; rc == SQLITE_ROW && visited == DM_OK; rc = sqlite3_step(statement)) {
        if (!read_row(statement, table, &record))
            skipped++;
        else if (visit != NULL)
            visited = visit(visit_ctx, &record);
    }
    enum dm_result result = report(d, rc, error, error_size);
    sqlite3_finalize(statement);
    if (visited != DM_OK) {
        snprintf(error, error_size, "cannot take a row of table %s: %s", table->name,
                 dm_result_text(visited));
        return visited;
    }
    if (skipped > 0 && visit != NULL)
        log_warning("store", "table %s: %lu rows with impossible values ignored", table->name,
                    skipped);
    return result;
}

enum dm_result
database_load(struct database *d, store_visit *visit, void *visit_ctx, char *error,
              size_t error_size)
{
    enum dm_result result = DM_OK;

    errno = 0;
    for (size_t i = 0; i < SCHEMA_TABLE_COUNT && result == DM_OK; i++)
        result = load_table(d, &schema_tables[i], visit, visit_ctx, error, error_size);
    return result;
}

/* Opening, all of it */

static enum dm_result
open_handle(struct database *d, const char *path, char *error, size_t error_size)
{
    int rc = sqlite3_open_v2(path, &d->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    enum dm_result result = report(d, rc, error, error_size);

    if (result != DM_OK)
        return result;
    sqlite3_extended_result_codes(d->handle, 1);
    sqlite3_busy_timeout(d->handle, BUSY_TIMEOUT_MS);
    /* A damaged file is kept as it is, write-ahead log included. */
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return DM_OK;
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
    errno = 0;
    enum dm_result result = open_handle(d, path, error, error_size);
    if (result == DM_OK)
        result = identify(d, &version, error, error_size);
    if (result == DM_OK)
        result = quick_check(d, &checked, error, error_size);
    if (result == DM_OK)
        result = configure(d, sync_full, error, error_size);
    if (result == DM_OK)
        result = migrate(d, version, error, error_size);
    if (result == DM_OK)
        result = prepare_all(d, error, error_size);
    /* No row may be visited before it is known that all can be read. */
    if (result == DM_OK && !checked)
        result = database_load(d, NULL, NULL, error, error_size);
    if (result != DM_OK) {
        database_close(d);
        return result;
    }
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    *database = d;
    return DM_OK;
}
