/* SPDX-License-Identifier: Apache-2.0 */
/* The durable store, put together: files, database, journal and writer thread behind store.h. */
#include "store.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <dormouse/log.h>

#include "memory.h"
#include "store_files.h"
#include "store_sqlite.h"
#include "store_writer.h"

#define REASON_SIZE 160
#define NO_RESERVE "the disk is full: only deletions have room"

struct sqlite_store {
    struct store store;
    struct store_writer *writer;
    struct store_files files;
    bool sync_full;
    struct database *database; /* the writer's; NULL: the disk was too full to open it */
    _Atomic uint64_t free_octets, written_octets;
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

/* An orderly database is a matter of the start; here it is one that the disk was too full for. */
static enum dm_result
ensure_database(struct sqlite_store *s, char *error, size_t error_size)
{
    if (s->database != NULL)
        return DM_OK;
    return database_open(s->files.database, s->sync_full, &s->database, error, error_size);
}

/* For the status, which another thread asks for. */
static void
note_octets(struct sqlite_store *s)
{
    if (s->database == NULL)
        return;
    s->free_octets = database_free_octets(s->database);
    s->written_octets = database_written_octets(s->database);
}

static enum dm_result
backend_commit(void *ctx, const struct journal_batch *batch, uint64_t *rows, char *error,
               size_t error_size)
{
    struct sqlite_store *s = ctx;
    enum dm_result result = ensure_database(s, error, error_size);

    if (result == DM_OK)
        result = database_commit(s->database, batch, rows, error, error_size);
    note_octets(s);
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

    if (ensure_database(s, error, error_size) != DM_OK)
        return false;
    note_octets(s);
    if (store_files_fill_reserve(&s->files) || !s->files.reserve_spent ||
        database_free_octets(s->database) >= STORE_RESERVE_OCTETS)
        return true;
    snprintf(error, error_size, "%s", NO_RESERVE);
    return false;
}

static void
backend_rest(void *ctx)
{
    struct sqlite_store *s = ctx;

    if (s->database != NULL)
        database_rest(s->database);
    memory_give_back();
}

static void
backend_close(void *ctx)
{
    struct sqlite_store *s = ctx;

    database_close(s->database);
    store_files_close(&s->files);
    free(s);
}

/* A file that is damaged is so at a second look, too. What else fails in the meantime may be over.
 */
static enum dm_result
open_twice(struct sqlite_store *s, char *reason, size_t reason_size)
{
    enum dm_result result = ensure_database(s, reason, reason_size);

    if (result == DM_FULL && !store_files_spend_reserve(&s->files))
        return result;
    if (result == DM_MALFORMED || result == DM_FULL)
        result = ensure_database(s, reason, reason_size);
    return result;
}

/* An empty store is better than no gateway (design.md section 8). */
static enum dm_result
open_or_set_aside(struct sqlite_store *s, char *error, size_t error_size)
{
    char reason[REASON_SIZE] = "", name[64];
    const char *path = s->files.database;
    enum dm_result result = open_twice(s, reason, sizeof reason);

    if (result != DM_MALFORMED) {
        snprintf(error, error_size, "%s: %s", path, reason);
        return result;
    }
    result = store_files_set_aside(&s->files, name, sizeof name, error, error_size);
    if (result != DM_OK)
        return result;
    log_error("store", "%s is damaged (%s): moved aside to %s, starting empty", path, reason, name);
    return ensure_database(s, error, error_size);
}

/* What could not be had at the start; NULL: all is well. The reserve may have gone into a
 * migration. */
static const char *
prepare_reserve(struct sqlite_store *s)
{
    if (store_files_fill_reserve(&s->files))
        return NULL;
    if (s->files.reserve_spent)
        return NO_RESERVE;
    log_warning("store", "no room for a reserve of %u octets beside %s", STORE_RESERVE_OCTETS,
                s->files.database);
    return NULL;
}

/* The rows are visited. *trouble: why the database stays closed for now; NULL: it is open. */
static enum dm_result
open_and_load(struct sqlite_store *s, struct loading *loading, const char **trouble, char *error,
              size_t error_size)
{
    enum dm_result result = open_or_set_aside(s, error, error_size);

    if (result == DM_OK) {
        note_octets(s);
        return database_load(s->database, on_row, loading, error, error_size);
    }
    if (result != DM_FULL)
        return result;
    /* What is promised is on the disk and can be served; new promises wait for room. */
    *trouble = "the disk is full: nothing can be written";
    return database_read(s->files.database, on_row, loading, error, error_size);
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

    *status = (struct store_status){
        .file_octets = store_files_octets(&s->files),
        .free_octets = s->free_octets,
        .written_octets = s->written_octets,
    };
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
    struct store_backend backend = {s,    backend_commit, backend_recover, backend_close,
                                    NULL, backend_rest};

    if (s == NULL || journal == NULL) {
        snprintf(error, error_size, "no memory");
        journal_free(journal);
        free(s);
        return NULL;
    }
    s->store.ops = &sqlite_ops;
    s->sync_full = options->sync_full;
    if (store_files_open(&s->files, options->directory, error, error_size) != DM_OK ||
        open_and_load(s, &loading, &backend.trouble, error, error_size) != DM_OK)
        goto fail;
    if (backend.trouble == NULL)
        backend.trouble = prepare_reserve(s);
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
