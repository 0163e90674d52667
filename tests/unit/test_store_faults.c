/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A short life of the store, once for each call that can fail in it: calls into SQLite, calls of
 * SQLite into the file system, and SQLite's allocations. Once only that call fails; once all do
 * from there on, until the start is refused or the store says that it is degraded.
 */
#include <limits.h>
#include <sys/stat.h>

#include <dormouse/log.h>

#include "disk_room.h"
#include "fast_clock.h"
#include "sqlite_faults.h"
#include "store_fixture.h"
#include "store_rows.h"

#define BATCHES 6
#define BIG_MESSAGES 20          /* each more than a page */
#define ROOM (64u * 1024 * 1024) /* of the file system: enough */
#define PATIENCE_MS (1000u * 1000 * FAST_CLOCK_FACTOR)
#define ALLOCATIONS 150 /* of a life that fail: a sample, there are too many */
#define LASTING 4       /* one call of so many is the first of several to fail */

/* One life: what its file is at first, how long it lasts, and what its rows must be. */
struct life {
    struct fixture f;
    unsigned version; /* of the schema; 0: no file at all */
    unsigned batches;
    uint64_t hash; /* of the rows that were loaded */
    uint64_t expected[BATCHES + 1];
};

static enum dm_result
on_life_row(void *ctx, const struct store_record *record)
{
    struct life *life = ctx;

    life->hash = hash_row(life->hash, record);
    return DM_OK;
}

static bool
open_life(struct life *life)
{
    struct fixture *f = &life->f;
    struct store_options options = {.directory = f->directory, .sync_full = true};
    struct store_events events = {f, on_committed, on_degraded};

    life->hash = ROW_HASH_START;
    f->error[0] = '\0';
    f->committed = 0;
    f->degraded = false;
    f->store =
        store_sqlite_open(f->base, &options, &events, on_life_row, life, f->error, sizeof f->error);
    return f->store != NULL;
}

/* Every kind of row put, changed and deleted; the last batches fill and empty pages. */
static void
append_batch(struct life *life, unsigned batch)
{
    static const uint8_t body[5000] = {1, 2, 3};
    struct fixture *f = &life->f;
    size_t first = batch == 0 ? 0 : ROW_COUNT / 2;
    size_t end = batch == 0 ? ROW_COUNT / 2 : ROW_COUNT;

    switch (batch) {
    case 0:
    case 1:
        for (size_t i = first; i < end; i++)
            append(f, all_rows[i]);
        break;
    case 2:
        for (size_t i = 1; i < ROW_COUNT; i++) {
            struct store_record changed = all_rows[i];
            changed.qos = 1;
            changed.upstream_id = 77;
            changed.epoch = 78;
            append(f, changed);
        }
        break;
    case 3:
        append(f, (struct store_record){.op = STORE_SESSION_DELETE, .session = 1});
        append(f, (struct store_record){.op = STORE_RELEASE_DELETE, .packet_id = 1});
        append(f, (struct store_record){.op = STORE_SPOOL_DELETE, .order = 1});
        break;
    case 4:
        append(f, (struct store_record){.op = STORE_BROKER_PUT, .name = TEXT("other")});
        for (uint64_t i = 1; i <= BIG_MESSAGES; i++)
            append(f, (struct store_record){.op = STORE_MESSAGE_PUT,
                                            .message = 100 + i,
                                            .payload = dm_span(body, sizeof body)});
        break;
    default:
        for (uint64_t i = 1; i < BIG_MESSAGES; i++)
            append(f, (struct store_record){.op = STORE_MESSAGE_DELETE, .message = 100 + i});
        break;
    }
    f->store->ops->flush(f->store);
}

/* Returns when the batch is durable. While all calls fail it never would be: the fault goes on
 * until the store has told that it is degraded. */
static void
commit_batch(struct life *life, unsigned batch)
{
    struct fixture *f = &life->f;

    append_batch(life, batch);
    uint64_t last = status_of(f).appended;
    RUN_UNTIL(f, f->committed == last || f->degraded);
    if (f->committed != last)
        sqlite_faults_clear();
    RUN_UNTIL(f, f->committed == last);
}

static unsigned
files_named(const struct life *life, const char *beginning)
{
    DIR *directory = opendir(life->f.directory);
    struct dirent *entry;
    unsigned count = 0;

    while (directory != NULL && (entry = readdir(directory)) != NULL)
        count += strncmp(entry->d_name, beginning, strlen(beginning)) == 0;
    if (directory != NULL)
        closedir(directory);
    return count;
}

/* A start may fail, with a reason. A healthy file stays where it is, and the next start has all. */
static void
open_and_expect(struct life *life, unsigned batches)
{
    if (!open_life(life)) {
        CU_ASSERT_NOT_EQUAL(life->f.error[0], '\0');
        sqlite_faults_clear();
        CU_ASSERT_TRUE_FATAL(open_life(life));
    }
    CU_ASSERT_EQUAL(life->hash, life->expected[batches]);
}

static void
close_life(struct life *life)
{
    CU_ASSERT_TRUE(life->f.store->ops->close(life->f.store, PATIENCE_MS));
    life->f.store = NULL;
}

/* Opens, commits and closes, while something fails. */
static void
live(struct life *life)
{
    open_and_expect(life, 0);
    for (unsigned batch = 0; batch < life->batches; batch++)
        commit_batch(life, batch);
    close_life(life);
}

/* An empty directory but for the reserve, or with a database of the life's first version. */
static void
begin(struct life *life)
{
    static const char *const names[] = {"dormouse.db", "dormouse.db-wal", "dormouse.db-shm",
                                        "dormouse.db-journal"};
    char path[160];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", life->f.directory, names[i]);
        unlink(path);
    }
    if (life->version > 0)
        make_old_database(&life->f, life->version);
}

/* The same life without a fault, read back after each batch. */
static void
learn(struct life *life)
{
    begin(life);
    for (unsigned batch = 0; batch <= life->batches; batch++) {
        CU_ASSERT_TRUE_FATAL(open_life(life));
        life->expected[batch] = life->hash;
        for (unsigned before = 0; before < batch; before++)
            CU_ASSERT_NOT_EQUAL(life->expected[before], life->hash);
        if (batch < life->batches)
            commit_batch(life, batch);
        close_life(life);
    }
}

static void
expect_all(struct life *life, enum fault_kind kind, unsigned long n, bool lasting)
{
    unsigned failures = CU_get_number_of_failures();

    CU_ASSERT_TRUE_FATAL(open_life(life));
    CU_ASSERT_EQUAL(life->hash, life->expected[life->batches]);
    close_life(life);
    CU_ASSERT_EQUAL(files_named(life, "dormouse.db.corrupt-"), 0);
    CU_ASSERT_EQUAL(sqlite3_memory_used(), 0);
    if (CU_get_number_of_failures() > failures)
        printf("\n  version %u, fault %d at call %lu%s\n", life->version, (int)kind, n,
               lasting ? ", lasting" : "");
}

/* How many calls of the kind a life makes. */
static unsigned long
count_calls(struct life *life, enum fault_kind kind)
{
    begin(life);
    sqlite_faults_set(kind, ULONG_MAX, false);
    live(life);
    CU_ASSERT_FALSE(sqlite_faults_clear());
    return sqlite_faults.count;
}

static void
fail_each(struct life *life, enum fault_kind kind, bool lasting)
{
    unsigned long calls = count_calls(life, kind);
    unsigned long step = kind == FAULT_MEMORY ? calls / ALLOCATIONS + 1 : 1;
    unsigned long runs = 0, met = 0;

    for (unsigned long n = 1; n <= calls; n += lasting ? step * LASTING : step) {
        begin(life);
        sqlite_faults_set(kind, n, lasting);
        live(life);
        met += sqlite_faults_clear();
        runs++;
        expect_all(life, kind, n, lasting);
    }
    printf("\n  from version %u: %lu of %lu calls%s", life->version, met, calls,
           lasting ? ", and all after it" : "");
    CU_ASSERT(runs > 0 && met * 10 >= runs * 9); /* the rest: calls that timing makes or not */
}

/* Every version to begin with, and both ways to fail. */
static void
fail_everywhere(enum fault_kind kind)
{
    struct life life = {0};

    log_set_level(LOG_LEVEL_ERROR - 1);
    setup(&life.f);
    disk_room_mount(life.f.parent, ROOM);
    sqlite_faults_start();
    CU_ASSERT_EQUAL_FATAL(mkdir(life.f.directory, 0700), 0);
    for (life.version = 0; life.version <= SCHEMA_VERSION; life.version++) {
        life.batches = life.version == 0 ? BATCHES : 1; /* once open, all files are alike */
        learn(&life);
        fail_each(&life, kind, false);
        fail_each(&life, kind, true);
    }
    printf("\n ");
    sqlite_faults_stop();
    disk_room_unmount(life.f.parent);
    teardown(&life.f);
}

static void
store_keeps_its_promises_if_any_call_of_sqlite_fails(void)
{
    fail_everywhere(FAULT_CALLS);
}

static void
store_keeps_its_promises_if_any_call_of_the_file_system_fails(void)
{
    fail_everywhere(FAULT_FILES);
}

static void
store_keeps_its_promises_if_any_allocation_of_sqlite_fails(void)
{
    fail_everywhere(FAULT_MEMORY);
}

static const struct unit_test tests[] = {
    UNIT_TEST(store_keeps_its_promises_if_any_call_of_sqlite_fails),
    UNIT_TEST(store_keeps_its_promises_if_any_call_of_the_file_system_fails),
    UNIT_TEST(store_keeps_its_promises_if_any_allocation_of_sqlite_fails),
};

UNIT_MAIN("store_faults", tests)
