/* SPDX-License-Identifier: Apache-2.0 */
/* The database of the store: opens, checks, migrates and loads it, and commits batches. */
#include "store_sqlite_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <dormouse/log.h>

/* No room, by SQLite's word or, where it has none for it, by the operating system's. */
static bool
disk_is_full(int rc, int number)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return true;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return number == ENOSPC || number == EDQUOT || number == EFBIG;
    default:
        return false;
    }
}

/* A read that fails is no damage: the file may be well and its disk only out of order for a while.
 */
static enum dm_result
classify(int rc, int number)
{
    if (rc == SQLITE_IOERR_SHORT_READ) /* the file ends too early */
        return DM_MALFORMED;
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
        return disk_is_full(rc, number) ? DM_FULL : DM_IO;
    }
}

/* errno, since sqlite3_system_errno stays 0 when it is a write that fails. */
static int
system_error(const struct database *d)
{
    return errno != 0 || d->handle == NULL ? errno : sqlite3_system_errno(d->handle);
}

/* The text of the latest error, escaped since it can quote the file, with the operating system's
 * reason. */
static void
describe_error(const struct database *d, int rc, char *error, size_t error_size)
{
    int number = system_error(d);
    const char *text = d->handle != NULL ? sqlite3_errmsg(d->handle) : sqlite3_errstr(rc);
    char escaped[120];

    log_escape(escaped, sizeof escaped, dm_span_text(text));
    if ((rc & 0xff) == SQLITE_IOERR && number != 0)
        snprintf(error, error_size, "%s: %s", escaped, strerror(number));
    else
        snprintf(error, error_size, "%s", escaped);
}

enum dm_result
database_report(const struct database *d, int rc, char *error, size_t error_size)
{
    enum dm_result result = classify(rc, system_error(d));

    if (result != DM_OK)
        describe_error(d, rc, error, error_size);
    return result;
}

enum dm_result
database_execute(struct database *d, const char *sql, char *error, size_t error_size)
{
    errno = 0;
    return database_report(d, sqlite3_exec(d->handle, sql, NULL, NULL, NULL), error, error_size);
}

enum dm_result
database_number(struct database *d, const char *sql, int64_t *number, char *error,
                size_t error_size)
{
    sqlite3_stmt *statement = NULL;

    errno = 0;
    int rc = sqlite3_prepare_v2(d->handle, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    enum dm_result result = database_report(d, rc, error, error_size);
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

/* Inside a transaction, where it costs no look at the files. */
static void
count_free_octets(struct database *d)
{
    if (sqlite3_step(d->free_pages) == SQLITE_ROW)
        d->free_octets = (uint64_t)(sqlite3_column_int64(d->free_pages, 0) * d->page_octets);
    sqlite3_reset(d->free_pages);
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
    if (rc == SQLITE_OK) {
        count_free_octets(d);
        rc = run(d->commit);
    }
    if (rc == SQLITE_OK)
        return DM_OK;
    enum dm_result result = disk_is_full(rc, system_error(d)) ? DM_FULL : DM_IO;
    describe_error(d, rc, error, error_size);
    if (!sqlite3_get_autocommit(d->handle))
        run(d->rollback);
    return result;
}

void
database_rest(struct database *d)
{
    sqlite3_db_release_memory(d->handle);
}

uint64_t
database_free_octets(const struct database *d)
{
    return d->free_octets;
}

uint64_t
database_written_octets(const struct database *d)
{
    return d->written_octets;
}

void
database_close(struct database *d)
{
    if (d == NULL)
        return;
    sqlite3_finalize(d->begin);
    sqlite3_finalize(d->commit);
    sqlite3_finalize(d->rollback);
    sqlite3_finalize(d->free_pages);
    for (size_t i = 0; i < SCHEMA_STEP_COUNT; i++)
        sqlite3_finalize(d->steps[i]);
    sqlite3_close(d->handle);
    vfs_layer_unregister(&d->layer);
    free(d);
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
    enum dm_result result = database_report(d, rc, error, error_size);
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
