/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full disk, a real one: a file system of which just so many pages are free, at the start, at a
 * migration, under commits and checkpoints. The store always comes up with its rows, promises
 * nothing that is not on the disk, and goes on by itself when there is room.
 */
#include <sys/stat.h>

#include <dormouse/log.h>

#include "disk_room.h"
#include "fast_clock.h"
#include "store_rows.h"

#define ROOM (96u * 1024 * 1024) /* of the file system */
#define PATIENCE_MS (1000u * 1000 * FAST_CLOCK_FACTOR)
#define START_PAGES 60 /* a start needs fewer */
#define BODY 1000

struct full_disk {
    struct fixture f;
    uint64_t hash; /* of the rows that were loaded */
    unsigned rows;
};

static enum dm_result
on_full_row(void *ctx, const struct store_record *record)
{
    struct full_disk *disk = ctx;

    disk->hash = hash_row(disk->hash, record);
    disk->rows++;
    return DM_OK;
}

static void
open_full(struct full_disk *disk)
{
    struct fixture *f = &disk->f;
    struct store_options options = {.directory = f->directory, .sync_full = true};
    struct store_events events = {f, on_committed, on_degraded};

    disk->hash = ROW_HASH_START;
    disk->rows = 0;
    f->committed = 0;
    f->degraded = false;
    f->store =
        store_sqlite_open(f->base, &options, &events, on_full_row, disk, f->error, sizeof f->error);
    if (f->store == NULL)
        printf("\n  %s ", f->error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f->store);
}

static void
close_full(struct full_disk *disk)
{
    CU_ASSERT_TRUE(disk->f.store->ops->close(disk->f.store, PATIENCE_MS));
    disk->f.store = NULL;
}

static void
mount_disk(struct full_disk *disk)
{
    *disk = (struct full_disk){0};
    log_set_level(LOG_LEVEL_ERROR - 1);
    setup(&disk->f);
    disk_room_mount(disk->f.parent, ROOM);
    CU_ASSERT_EQUAL_FATAL(mkdir(disk->f.directory, 0700), 0);
}

static void
unmount_disk(struct full_disk *disk)
{
    disk_room_unmount(disk->f.parent);
    teardown(&disk->f);
}

static void
append_bodies(struct full_disk *disk, enum store_op op, uint64_t from, uint64_t to)
{
    static const uint8_t body[BODY];

    for (uint64_t number = from; number <= to; number++)
        append(&disk->f, (struct store_record){
                             .op = op, .message = number, .payload = dm_span(body, sizeof body)});
    disk->f.store->ops->flush(disk->f.store);
}

static bool
all_committed(struct full_disk *disk)
{
    return disk->f.committed == status_of(&disk->f).appended;
}

/* Commits what was appended; while the disk is full the store says so, and then there is room. */
static void
commit_making_room(struct full_disk *disk)
{
    RUN_UNTIL(&disk->f, all_committed(disk) || disk->f.degraded);
    if (disk->f.degraded)
        CU_ASSERT_NOT_EQUAL(status_of(&disk->f).error[0], '\0');
    disk_room_free(disk->f.parent);
    RUN_UNTIL(&disk->f, all_committed(disk) && !disk->f.degraded);
    CU_ASSERT_STRING_EQUAL(status_of(&disk->f).error, "");
}

/* A database of the version in an otherwise empty directory; 0: none, SCHEMA_VERSION: ours, with a
 * write-ahead log that a killed process left. */
static void
make_start(struct full_disk *disk, unsigned version)
{
    struct fixture *f = &disk->f;
    char command[400];

    remove_files(f->directory);
    CU_ASSERT_EQUAL_FATAL(mkdir(f->directory, 0700), 0);
    if (version > 0)
        make_old_database(f, version);
    if (version < SCHEMA_VERSION)
        return;
    open_full(disk);
    append_bodies(disk, STORE_MESSAGE_PUT, 1, 20);
    RUN_UNTIL(f, all_committed(disk));
    snprintf(command, sizeof command,
             "cd %s && mkdir ../kept && cp dormouse.db dormouse.db-wal ../kept", f->directory);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    close_full(disk);
    remove_files(f->directory);
    snprintf(command, sizeof command, "mv %s/kept %s", f->parent, f->directory);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
}

static void
start_with_room(struct full_disk *disk, unsigned version, unsigned pages, uint64_t expected)
{
    make_start(disk, version);
    disk_room_leave(disk->f.parent, pages);
    open_full(disk);
    CU_ASSERT_EQUAL(disk->hash, expected);
    append_bodies(disk, STORE_MESSAGE_PUT, 1000, 1010);
    commit_making_room(disk);
    close_full(disk);
    unsigned before = disk->rows;
    open_full(disk);
    CU_ASSERT_EQUAL(disk->rows, before + 11);
    close_full(disk);
}

static void
start_on_a_full_disk_has_all_rows_and_goes_on_when_there_is_room(void)
{
    struct full_disk disk;

    mount_disk(&disk);
    for (unsigned version = 0; version <= SCHEMA_VERSION; version++) {
        make_start(&disk, version);
        open_full(&disk);
        uint64_t expected = disk.hash;
        close_full(&disk);
        for (unsigned pages = 0; pages <= START_PAGES; pages++)
            start_with_room(&disk, version, pages, expected);
    }
    unmount_disk(&disk);
}

static void
migration_on_a_full_disk_happens_by_itself_when_there_is_room(void)
{
    struct full_disk disk;
    char version[16], expected[16];

    mount_disk(&disk);
    make_start(&disk, 1);
    disk_room_leave(disk.f.parent, 0);
    open_full(&disk);
    CU_ASSERT_EQUAL(disk.rows, 2);
    RUN_UNTIL(&disk.f, disk.f.degraded);
    disk_room_free(disk.f.parent);
    RUN_UNTIL(&disk.f, !disk.f.degraded);
    close_full(&disk);
    with_database(&disk.f, "PRAGMA user_version", version, sizeof version);
    snprintf(expected, sizeof expected, "%d", SCHEMA_VERSION);
    CU_ASSERT_STRING_EQUAL(version, expected);
    unmount_disk(&disk);
}

/* The reserve is what makes it possible: it is given up, and made again when there is room. */
static void
migration_on_a_full_disk_uses_the_reserve(void)
{
    struct full_disk disk;
    char path[160];

    mount_disk(&disk);
    make_start(&disk, 0);
    open_full(&disk); /* makes the reserve */
    close_full(&disk);
    snprintf(path, sizeof path, "%s/dormouse.db", disk.f.directory);
    CU_ASSERT_EQUAL(unlink(path), 0);
    make_old_database(&disk.f, 1);
    disk_room_leave(disk.f.parent, 0);
    open_full(&disk);
    CU_ASSERT_EQUAL(disk.rows, 2);
    append_bodies(&disk, STORE_MESSAGE_PUT, 1, 1);
    RUN_UNTIL(&disk.f, all_committed(&disk) && disk.f.degraded);
    snprintf(path, sizeof path, "%s/dormouse.reserve", disk.f.directory);
    CU_ASSERT_PTR_NOT_NULL(strstr(status_of(&disk.f).error, "only deletions"));
    disk_room_free(disk.f.parent);
    RUN_UNTIL(&disk.f, !disk.f.degraded && access(path, F_OK) == 0);
    close_full(&disk);
    unmount_disk(&disk);
}

/* Room ends in the write-ahead log, or in the database when the log is copied into it. */
static void
disk_that_fills_under_commits_and_checkpoints_breaks_no_promise(void)
{
    struct full_disk disk;

    mount_disk(&disk);
    for (unsigned pages = 0; pages <= 2400; pages += 240) {
        make_start(&disk, 0);
        open_full(&disk);
        disk_room_leave(disk.f.parent, pages);
        for (unsigned batch = 0; batch < 20; batch++) {
            append_bodies(&disk, STORE_MESSAGE_PUT, batch * 200 + 1, batch * 200 + 200);
            RUN_UNTIL(&disk.f, all_committed(&disk) || disk.f.degraded);
            if (disk.f.degraded)
                commit_making_room(&disk);
        }
        CU_ASSERT(all_committed(&disk));
        close_full(&disk);
        disk_room_free(disk.f.parent);
        open_full(&disk);
        CU_ASSERT_EQUAL(disk.rows, 4000);
        close_full(&disk);
    }
    unmount_disk(&disk);
}

static void
commit_hundred(struct full_disk *disk, enum store_op op, unsigned batch)
{
    append_bodies(disk, op, batch * 100 + 1, batch * 100 + 100);
    RUN_UNTIL(&disk->f, all_committed(disk));
}

static void
deletions_on_a_full_disk_make_room_inside_the_file(void)
{
    struct full_disk disk;

    mount_disk(&disk);
    make_start(&disk, 0);
    open_full(&disk);
    for (unsigned batch = 0; batch < 120; batch++)
        commit_hundred(&disk, STORE_MESSAGE_PUT, batch);
    disk_room_leave(disk.f.parent, 0);
    unsigned batch = 120;
    while (!disk.f.degraded && batch < 240) /* what is left of the write-ahead log */
        commit_hundred(&disk, STORE_MESSAGE_PUT, batch++);
    CU_ASSERT(disk.f.degraded);
    while (batch-- > 0)
        commit_hundred(&disk, STORE_MESSAGE_DELETE, batch);
    RUN_UNTIL(&disk.f, !disk.f.degraded);
    CU_ASSERT(status_of(&disk.f).free_octets > 8u * 1024 * 1024);
    close_full(&disk);
    unmount_disk(&disk);
}

/* Size */

static void
file_that_fills_and_empties_twenty_times_does_not_grow(void)
{
    struct full_disk disk;
    uint64_t first = 0;

    mount_disk(&disk);
    make_start(&disk, 0);
    open_full(&disk);
    for (unsigned round = 0; round < 20; round++) {
        uint64_t base = round * 3000u;
        append_bodies(&disk, STORE_MESSAGE_PUT, base + 1, base + 3000);
        RUN_UNTIL(&disk.f, all_committed(&disk));
        append_bodies(&disk, STORE_MESSAGE_DELETE, base + 1, base + 3000);
        RUN_UNTIL(&disk.f, all_committed(&disk));
        struct store_status status = status_of(&disk.f);
        CU_ASSERT(status.free_octets > 0 && status.free_octets < status.file_octets);
        if (round == 1) /* by then the write-ahead log has its full size, too */
            first = status.file_octets;
        CU_ASSERT(round < 2 || status.file_octets <= first * 5 / 4);
    }
    close_full(&disk);
    unmount_disk(&disk);
}

static const struct unit_test tests[] = {
    UNIT_TEST(start_on_a_full_disk_has_all_rows_and_goes_on_when_there_is_room),
    UNIT_TEST(migration_on_a_full_disk_happens_by_itself_when_there_is_room),
    UNIT_TEST(migration_on_a_full_disk_uses_the_reserve),
    UNIT_TEST(disk_that_fills_under_commits_and_checkpoints_breaks_no_promise),
    UNIT_TEST(deletions_on_a_full_disk_make_room_inside_the_file),
    UNIT_TEST(file_that_fills_and_empties_twenty_times_does_not_grow),
};

UNIT_MAIN("store_full", tests)
