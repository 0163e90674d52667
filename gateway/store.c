/* SPDX-License-Identifier: Apache-2.0 */
/* The durable store, put together: files, database, journal and writer thread behind store.h. */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>

#include <dormouse/log.h>

#include "store_files.h"
#include "store_sqlite.h"
#include "store_writer.h"

#define REASON_SIZE 160

struct sqlite_store {
    struct store store;
    struct store_writer *writer;
    struct store_files files;
    struct database *database;
};

/* What was loaded passes here, so that the journal knows which rows there are. */
struct loading {
    struct journal *journal;
    store_visit *visit;
    void *visit_ctx;
};

static enum dm_result
on_row(void *ctx, const struct store_record *record)
{
    struct loading *loading = ctx;

    journal_note_row(loading->journal, record);
    return loading->visit(loading->visit_ctx, record);
}

static enum dm_result
backend_commit(void *ctx, const struct journal_batch *batch, uint64_t *rows, char *error,
               size_t error_size)
{
    struct sqlite_store *s = ctx;
    enum dm_result result = database_commit(s->database, batch, rows, error, error_size);

    /* Room for deletions; backend_recover keeps the store degraded until the reserve is back. */
    if (result == DM_FULL)
        store_files_spend_reserve(&s->files);
    return result;
}

/* A spent reserve must be back, or the database itself must have as much room. */
static bool
backend_recover(void *ctx, char *error, size_t error_size)
{
    struct sqlite_store *s = ctx;

    if (store_files_fill_reserve(&s->files) || !s->files.reserve_spent ||
        database_free_octets(s->database) >= STORE_RESERVE_OCTETS)
        return true;
    snprintf(error, error_size, "the disk is full: only deletions have room");
    return false;
}

static void
backend_close(void *ctx)
{
    struct sqlite_store *s = ctx;

    database_close(s->database);
    store_files_close(&s->files);
    free(s);
}

/* An empty store is better than no gateway (design.md section 8). */
static enum dm_result
open_or_set_aside(struct sqlite_store *s, bool sync_full, char *error, size_t error_size)
{
    char reason[REASON_SIZE] = "", name[64];
    const char *path = s->files.database;
    enum dm_result result = database_open(path, sync_full, &s->database, reason, sizeof reason);

    if (result != DM_MALFORMED) {
        snprintf(error, error_size, "%s: %s", path, reason);
        return result;
    }
    result = store_files_set_aside(&s->files, name, sizeof name, error, error_size);
    if (result != DM_OK)
        return result;
    log_error("store", "%s is damaged (%s): moved aside to %s, starting empty", path, reason, name);
    return database_open(path, sync_full, &s->database, error, error_size);
}

static uint64_t
sqlite_append(struct store *store, const struct store_record *record)
{
    return store_writer_append(((struct sqlite_store *)store)->writer, record);
}

static void
sqlite_flush(struct store *store)
{
    store_writer_flush(((struct sqlite_store *)store)->writer);
}

static void
sqlite_status(const struct store *store, struct store_status *status)
{
    const struct sqlite_store *s = (const struct sqlite_store *)store;

    *status = (struct store_status){.file_octets = store_files_octets(&s->files)};
    snprintf(status->path, sizeof status->path, "%s", s->files.database);
    store_writer_status(s->writer, status);
}

static bool
sqlite_close(struct store *store, unsigned timeout_ms)
{
    return store_writer_close(((struct sqlite_store *)store)->writer, timeout_ms);
}

static const struct store_ops sqlite_ops = {
    .append = sqlite_append,
    .flush = sqlite_flush,
    .status = sqlite_status,
    .close = sqlite_close,
};

struct store *
store_sqlite_open(struct event_base *base, const struct store_options *options,
                  const struct store_events *events, store_visit *visit, void *visit_ctx,
                  char *error, size_t error_size)
{
    struct sqlite_store *s = calloc(1, sizeof *s);
    struct journal *journal = journal_new();
    struct loading loading = {journal, visit, visit_ctx};
    struct store_backend backend = {s, backend_commit, backend_recover, backend_close};

    if (s == NULL || journal == NULL) {
        snprintf(error, error_size, "no memory");
        journal_free(journal);
        free(s);
        return NULL;
    }
    s->store.ops = &sqlite_ops;
    if (store_files_open(&s->files, options->directory, error, error_size) != DM_OK ||
        open_or_set_aside(s, options->sync_full, error, error_size) != DM_OK ||
        database_load(s->database, on_row, &loading, error, error_size) != DM_OK)
        goto fail;
    if (!store_files_fill_reserve(&s->files))
        log_warning("store", "no room for a reserve of %u octets beside %s", STORE_RESERVE_OCTETS,
                    s->files.database);
    s->writer = store_writer_start(base, events, &backend, journal, options->commit_interval_ms,
                                   error, error_size);
    if (s->writer == NULL)
        goto fail;
    return &s->store;
fail:
    journal_free(journal);
    backend_close(s);
    return NULL;
}
