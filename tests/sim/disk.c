/* SPDX-License-Identifier: Apache-2.0 */
/* The disk behind the store contract: the real journal, and commits on the virtual clock. */
#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store_sqlite.h"
#include "world.h"

enum { LAZY_MS = 1000, RETRY_MS = 2000 };
enum { COMMIT_DUE, COMMIT_DONE }; /* what an EVENT_COMMIT means */

static struct world *
world_of(struct store *store)
{
    return ((struct disk *)store)->world;
}

/* ---- the store contract ---- */

static uint64_t
append(struct store *store, const struct store_record *record)
{
    struct disk *d = &world_of(store)->disk;

    d->turn_open = true;
    d->turn_urgent |= !record->lazy;
    return journal_append(d->journal, record);
}

static void
commit_event(struct world *w, uint64_t delay_ms, uint32_t what)
{
    world_push(w, delay_ms,
               &(struct event){.type = EVENT_COMMIT, .tag = w->gateway.life, .where = what});
}

static void
begin_commit(struct world *w)
{
    struct disk *d = &w->disk;

    if (d->committing || d->due_ms == ENGINE_NEVER)
        return;
    if (d->due_ms > w->now_ms) {
        commit_event(w, d->due_ms - w->now_ms, COMMIT_DUE);
        return;
    }
    journal_take(d->journal, &d->batch);
    d->due_ms = ENGINE_NEVER;
    d->committing = true;
    commit_event(w, world_between(w, 1, w->weather.commit_ms), COMMIT_DONE);
}

static void
flush(struct store *store)
{
    struct world *w = world_of(store);
    struct disk *d = &w->disk;
    uint64_t due_ms = w->now_ms + (d->turn_urgent ? 0 : LAZY_MS);

    if (!d->turn_open || w->gateway.dying)
        return;
    if (due_ms < d->due_ms)
        d->due_ms = due_ms;
    d->turn_open = d->turn_urgent = false;
    begin_commit(w);
}

static const struct store_ops ops = {.append = append, .flush = flush};

/* ---- rows ---- */

static void
apply_in_memory(struct world *w, const struct journal_batch *batch)
{
    struct disk *d = &w->disk;

    for (const struct journal_entry *e = batch->entries; e != NULL; e = e->next) {
        struct engine_effect effect = {.type = ENGINE_RECORD, .record = e->record};
        char text[DM_ADDRESS_TEXT_MAX];

        if (e->record.address.len > 0 && e->record.address.len < sizeof text) {
            memcpy(text, e->record.address.data, e->record.address.len);
            text[e->record.address.len] = '\0';
            effect.has_address = transport_address_parse(w->gateway.transports, SIM_LINKS_MAX, text,
                                                         &effect.address) == DM_OK;
        }
        engine_disk_append(&d->rows, &effect);
    }
    engine_disk_end_turn(&d->rows);
    engine_disk_commit(&d->rows, d->rows.seq);
    if (d->rows.fault != NULL)
        world_fail(w, "the records keep the contract of store.h", "%s", d->rows.fault);
}

static void
apply(struct world *w, const struct journal_batch *batch)
{
    char error[160] = "";
    uint64_t rows;

    if (w->disk.database == NULL)
        apply_in_memory(w, batch);
    else if (database_commit(w->disk.database, batch, &rows, error, sizeof error) != DM_OK)
        world_fail(w, "the database takes every batch", "%s", error);
    w->disk.durable = batch->last;
}

void
disk_each_row(struct world *w, store_visit *visit, void *ctx)
{
    struct disk *d = &w->disk;
    char error[160] = "";
    char text[DM_ADDRESS_TEXT_MAX];

    if (d->database != NULL) {
        if (database_load(d->database, visit, ctx, error, sizeof error) != DM_OK)
            world_fail(w, "the database gives every row back", "%s", error);
        return;
    }
    for (size_t i = 0; i < d->rows.rows.count; i++) {
        const struct disk_row *row = &d->rows.rows.items[i];
        struct store_record record = row->record;

        record.address = (struct dm_span){0};
        if (row->has_address)
            record.address = dm_span_text(transport_address_text(
                w->gateway.transports[row->address.link], &row->address, text, sizeof text));
        if (visit(ctx, &record) != DM_OK)
            world_fail(w, "every row is taken back", "kind %d", (int)record.op);
    }
}

static enum dm_result
load_row(void *ctx, const struct store_record *record)
{
    struct world *w = ctx;

    journal_note_row(w->disk.journal, record);
    return runner_load(w->gateway.runner, record);
}

/* ---- commits ---- */

static void
report(struct world *w)
{
    world_push(w, world_below(w, 3),
               &(struct event){.type = EVENT_COMMITTED, .tag = w->gateway.life});
}

/* Until now a crash leaves nothing of the batch; from now on all of it. */
void
disk_commit(struct world *w, uint32_t what)
{
    struct disk *d = &w->disk;

    if (what == COMMIT_DUE) {
        begin_commit(w);
        return;
    }
    if (w->now_ms < d->failing_until_ms && !w->calm) {
        if (!d->degraded) {
            d->degraded = true;
            report(w);
        }
        commit_event(w, world_between(w, 200, RETRY_MS), COMMIT_DONE);
        return;
    }
    apply(w, &d->batch);
    journal_batch_fini(&d->batch);
    d->batch = (struct journal_batch){0};
    d->committing = false;
    d->degraded = false;
    report(w);
    begin_commit(w);
}

void
disk_committed(struct world *w)
{
    struct disk *d = &w->disk;

    if (d->durable != d->reported) {
        d->reported = d->durable;
        world_trace(w, "durable through %llu", (unsigned long long)d->reported);
        w->gateway.store_events.on_committed(w->gateway.store_events.ctx, d->reported);
    }
    if (d->degraded != d->reported_degraded) {
        d->reported_degraded = d->degraded;
        world_trace(w, "the disk %s", d->degraded ? "fails" : "works again");
        w->gateway.store_events.on_degraded(w->gateway.store_events.ctx, d->degraded);
    }
}

void
disk_fail(struct world *w, unsigned ms)
{
    w->tally->disk_failures++;
    w->disk.failing_until_ms = w->now_ms + ms;
}

void
disk_drain(struct world *w)
{
    struct disk *d = &w->disk;

    if (w->now_ms < d->failing_until_ms && !w->calm)
        return;
    if (d->batch.last != 0)
        apply(w, &d->batch);
    journal_batch_fini(&d->batch);
    journal_take(d->journal, &d->batch);
    if (d->batch.last != 0)
        apply(w, &d->batch);
}

uint64_t
disk_appended(const struct world *w)
{
    return journal_appended(w->disk.journal);
}

/* ---- life ---- */

static void
open_database(struct world *w)
{
    char error[160] = "";

    if (w->disk.path[0] == '\0')
        return;
    if (w->gateway.life > 1)
        w->tally->sqlite_restarts++;
    if (database_open(w->disk.path, false, &w->disk.database, error, sizeof error) != DM_OK) {
        world_fail(w, "the database opens again", "%s", error);
        w->disk.path[0] = '\0';
    }
}

void
disk_open(struct world *w)
{
    struct disk *d = &w->disk;

    d->journal = journal_new();
    d->durable = d->reported = 0;
    d->degraded = d->reported_degraded = false;
    d->due_ms = ENGINE_NEVER;
    d->committing = d->turn_open = d->turn_urgent = false;
    open_database(w);
    disk_each_row(w, load_row, w);
}

void
disk_close(struct world *w)
{
    struct disk *d = &w->disk;

    journal_batch_fini(&d->batch);
    d->batch = (struct journal_batch){0};
    journal_free(d->journal);
    d->journal = NULL;
    engine_disk_crash(&d->rows);
    database_close(d->database);
    d->database = NULL;
}

static void
remove_database(const char *path)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    char name[300];

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
}

void
disk_init(struct world *w)
{
    struct disk *d = &w->disk;
    const char *directory = getenv("TMPDIR");

    *d = (struct disk){.store = {.ops = &ops}, .world = w, .due_ms = ENGINE_NEVER};
    engine_disk_init(&d->rows);
    if (!w->weather.sqlite)
        return;
    if (directory == NULL)
        directory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(d->path, sizeof d->path, "%s/dormouse-sim-XXXXXX", directory);
    int fd = mkstemp(d->path);

    if (fd < 0) {
        world_fail(w, "there is room for a database", "%s: %s", d->path, strerror(errno));
        d->path[0] = '\0';
        return;
    }
    close(fd);
}

void
disk_fini(struct world *w)
{
    struct disk *d = &w->disk;

    disk_close(w);
    engine_disk_fini(&d->rows);
    if (d->path[0] != '\0')
        remove_database(d->path);
}
