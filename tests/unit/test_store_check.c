/* SPDX-License-Identifier: Apache-2.0 */
/* The look at the database when it is opened: how long it may take, and what a disk that cannot be
 * read says about the file. */
#include <string.h>

#include "log_capture.h"
#include "steady_clock.h"
#include "store_rows.h"
#include "store_sqlite_vfs.h"

#define MESSAGES 6000 /* of a page each, and all in one table */
#define READ_MS 10    /* that a page takes: a slow card */
#define LIMIT_READS (5000 / READ_MS)
#define BODY 3500

/* A file system that is slow, or cannot read one page. */
struct slow_disk {
    struct fixture f;
    struct vfs_layer layer;
    bool slow;
    int64_t bad_offset; /* in the database; 0: it is well */
    unsigned long reads;
};

static int
on_vfs_call(void *ctx, const struct vfs_event *event)
{
    struct slow_disk *disk = ctx;

    if (event->call != VFS_READ)
        return SQLITE_OK;
    disk->reads++;
    steady_clock_advance(disk->slow ? READ_MS : 0);
    bool bad = disk->bad_offset != 0 && event->offset == disk->bad_offset;
    return bad && (event->flags & SQLITE_OPEN_MAIN_DB) != 0 ? SQLITE_IOERR_CORRUPTFS : SQLITE_OK;
}

static void
make_large_database(struct slow_disk *disk, bool slow)
{
    static const uint8_t body[BODY];

    *disk = (struct slow_disk){.slow = slow};
    setup(&disk->f);
    CU_ASSERT_TRUE_FATAL(open_store(&disk->f));
    for (uint64_t number = 1; number <= MESSAGES; number++)
        append(&disk->f, (struct store_record){.op = STORE_MESSAGE_PUT,
                                               .message = number,
                                               .payload = dm_span(body, sizeof body)});
    commit(&disk->f);
    close_store(&disk->f);
    CU_ASSERT_EQUAL_FATAL(vfs_layer_register(&disk->layer, on_vfs_call, disk, true), SQLITE_OK);
}

static void
leave_disk(struct slow_disk *disk)
{
    vfs_layer_unregister(&disk->layer);
    teardown(&disk->f);
}

/* Checking, then reading all before anything is visited, then visiting: three times through the
 * table, but the first time is cut short. */
static void
check_of_one_huge_table_ends_in_time_and_all_rows_are_loaded(void)
{
    struct slow_disk disk;
    char text[1024];

    make_large_database(&disk, true);
    log_capture_start();
    CU_ASSERT_TRUE(open_store(&disk.f));
    log_capture_finish(text, sizeof text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "too large to be checked within 5 s"));
    CU_ASSERT_EQUAL(disk.f.rows, MESSAGES);
    CU_ASSERT(disk.reads > MESSAGES && disk.reads < 2 * MESSAGES + LIMIT_READS + MESSAGES / 10);
    close_store(&disk.f);
    leave_disk(&disk);
}

/* What the check had no time for is found when the rows are read, before any is visited. */
static void
damage_beyond_the_check_is_found_before_a_row_is_visited(void)
{
    struct slow_disk disk;
    char path[128];
    uint8_t garbage[4096];

    make_large_database(&disk, true);
    snprintf(path, sizeof path, "%s/dormouse.db", disk.f.directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    memset(garbage, 0xff, sizeof garbage);
    for (off_t at = size / 2; at < size / 2 + 64 * 4096; at += 4096)
        CU_ASSERT_EQUAL(pwrite(fd, garbage, sizeof garbage, at / 4096 * 4096), 4096);
    close(fd);
    log_capture_start();
    CU_ASSERT_TRUE(open_store(&disk.f));
    char text[1024];
    log_capture_finish(text, sizeof text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "moved aside"));
    CU_ASSERT_EQUAL(disk.f.rows, 0);
    close_store(&disk.f);
    leave_disk(&disk);
}

/* The card may be loose: a start that moved the file aside would lose what a second one finds. */
static void
page_that_cannot_be_read_refuses_the_start_and_is_no_damage(void)
{
    struct slow_disk disk;

    make_large_database(&disk, false);
    disk.bad_offset = 100 * 4096;
    CU_ASSERT_FALSE_FATAL(open_store(&disk.f));
    CU_ASSERT_PTR_NOT_NULL(strstr(disk.f.error, "I/O error"));
    disk.bad_offset = 0;
    CU_ASSERT_TRUE_FATAL(open_store(&disk.f));
    CU_ASSERT_EQUAL(disk.f.rows, MESSAGES);
    close_store(&disk.f);
    leave_disk(&disk);
}

static const struct unit_test tests[] = {
    UNIT_TEST(check_of_one_huge_table_ends_in_time_and_all_rows_are_loaded),
    UNIT_TEST(damage_beyond_the_check_is_found_before_a_row_is_visited),
    UNIT_TEST(page_that_cannot_be_read_refuses_the_start_and_is_no_damage),
};

UNIT_MAIN("store_check", tests)
