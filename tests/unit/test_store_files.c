/* SPDX-License-Identifier: Apache-2.0 */
/* The store and its files: directory and lock, damaged and foreign databases, full disks. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "store_fixture.h"
#include "store_schema.h"

/* The directory */

static unsigned
mode_of(const struct fixture *f, const char *name)
{
    char path[128];
    struct stat file = {0};

    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    CU_ASSERT_EQUAL(stat(path, &file), 0);
    return file.st_mode & 0777u;
}

static void
directory_and_files_are_private(void)
{
    struct fixture f;
    mode_t before = umask(0);

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    CU_ASSERT_EQUAL(mode_of(&f, "."), 0700);
    CU_ASSERT_EQUAL(mode_of(&f, "dormouse.db"), 0600);
    CU_ASSERT_EQUAL(mode_of(&f, "dormouse.db-wal"), 0600);
    CU_ASSERT_EQUAL(mode_of(&f, "dormouse.db-shm"), 0600);
    CU_ASSERT_EQUAL(mode_of(&f, "dormouse.lock"), 0600);
    CU_ASSERT_EQUAL(mode_of(&f, "dormouse.reserve"), 0600);
    close_store(&f);
    umask(before);
    teardown(&f);
}

static void
directory_that_cannot_be_made_is_refused(void)
{
    struct fixture f;
    char path[128];

    setup(&f);
    snprintf(path, sizeof path, "%s/missing/state", f.parent);
    CU_ASSERT_FALSE(open_with(&f, &(struct store_options){.directory = path}));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.error, path));
    char longest[600];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    CU_ASSERT_FALSE(open_with(&f, &(struct store_options){.directory = longest}));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.error, "too long"));
    teardown(&f);
}

static void
second_process_is_refused_while_the_first_runs(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    struct store *first = f.store;
    CU_ASSERT_FALSE(open_store(&f));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.error, "another process"));
    f.store = first;
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    close_store(&f);
    teardown(&f);
}

static void
visit_that_refuses_a_row_ends_the_start(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    close_store(&f);
    f.answer = DM_FULL;
    CU_ASSERT_FALSE(open_store(&f));
    CU_ASSERT_EQUAL(f.rows, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.error, "clock"));
    f.answer = DM_OK;
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    expect_rows_without(&f, none);
    close_store(&f);
    teardown(&f);
}

/* Damaged and foreign files */

static unsigned
files_set_aside(const struct fixture *f)
{
    DIR *directory = opendir(f->directory);
    struct dirent *entry;
    unsigned count = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
    while ((entry = readdir(directory)) != NULL)
        count += strncmp(entry->d_name, "dormouse.db.corrupt-", 20) == 0 &&
                 strstr(entry->d_name, "-wal") == NULL && strstr(entry->d_name, "-shm") == NULL;
    closedir(directory);
    return count;
}

/* A closed database with enough rows for several pages, and its descriptor. */
static int
make_database(struct fixture *f)
{
    char path[128];
    uint8_t payload[200] = {0};

    setup(f);
    CU_ASSERT_TRUE_FATAL(open_store(f));
    for (uint64_t number = 1; number <= 500; number++)
        append(f, (struct store_record){.op = STORE_MESSAGE_PUT,
                                        .message = number,
                                        .payload = dm_span(payload, sizeof payload)});
    commit(f);
    close_store(f);
    snprintf(path, sizeof path, "%s/dormouse.db", f->directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    return fd;
}

/* Opens the damaged database: it must be moved aside, and a working empty store take its place. */
static void
expect_fresh_start(struct fixture *f, int fd)
{
    close(fd);
    CU_ASSERT_TRUE_FATAL(open_store(f));
    CU_ASSERT_EQUAL(f->rows, 0);
    CU_ASSERT_EQUAL(files_set_aside(f), 1);
    put_all_rows(f);
    close_store(f);
    CU_ASSERT_TRUE_FATAL(open_store(f));
    expect_rows_without(f, none);
    CU_ASSERT_EQUAL(files_set_aside(f), 1);
    close_store(f);
    teardown(f);
}

static void
overwrite(int fd, off_t from, off_t to, uint8_t octet)
{
    for (; from < to; from++)
        CU_ASSERT_EQUAL_FATAL(pwrite(fd, &octet, 1, from), 1);
}

static off_t
size_of(int fd)
{
    return lseek(fd, 0, SEEK_END);
}

static void
garbage_file_is_moved_aside(void)
{
    struct fixture f;
    int fd = make_database(&f);

    overwrite(fd, 0, 5000, 0xa5);
    expect_fresh_start(&f, fd);
}

static void
short_garbage_file_is_moved_aside(void)
{
    struct fixture f;
    int fd = make_database(&f);

    CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
    overwrite(fd, 0, 20, 'x');
    expect_fresh_start(&f, fd);
}

static void
zero_filled_file_is_moved_aside(void)
{
    struct fixture f;
    int fd = make_database(&f);

    overwrite(fd, 0, size_of(fd), 0);
    expect_fresh_start(&f, fd);
}

static void
truncated_file_is_moved_aside(void)
{
    struct fixture f;
    int fd = make_database(&f);

    CU_ASSERT_EQUAL(ftruncate(fd, size_of(fd) / 2), 0);
    expect_fresh_start(&f, fd);
}

static void
file_with_one_bad_page_is_moved_aside(void)
{
    struct fixture f;
    int fd = make_database(&f);

    overwrite(fd, size_of(fd) - 4096, size_of(fd), 0xff);
    expect_fresh_start(&f, fd);
}

static void
file_without_one_of_our_tables_is_moved_aside(void)
{
    struct fixture f;
    int fd = make_database(&f);

    with_database(&f, "DROP TABLE delivery", NULL, 0);
    expect_fresh_start(&f, fd);
}

static void
empty_file_becomes_a_new_database(void)
{
    struct fixture f;
    int fd = make_database(&f);

    CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
    close(fd);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    CU_ASSERT_EQUAL(f.rows, 0);
    CU_ASSERT_EQUAL(files_set_aside(&f), 0);
    close_store(&f);
    teardown(&f);
}

/* Refused with `reason`, and everything is still there after `undo`. */
static void
expect_refused(const char *change, const char *reason, const char *undo)
{
    struct fixture f;
    int fd = make_database(&f);

    close(fd);
    with_database(&f, change, NULL, 0);
    CU_ASSERT_FALSE(open_store(&f));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.error, reason));
    CU_ASSERT_PTR_NOT_NULL(strstr(f.error, f.directory));
    CU_ASSERT_EQUAL(files_set_aside(&f), 0);
    with_database(&f, undo, NULL, 0);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    CU_ASSERT_EQUAL(f.rows, 500);
    close_store(&f);
    teardown(&f);
}

static void
newer_version_is_refused_and_left_alone(void)
{
    expect_refused("PRAGMA user_version = 8", "has version 8, this program knows up to 7",
                   "PRAGMA user_version = 7");
}

static void
database_of_another_program_is_refused_and_left_alone(void)
{
    expect_refused("PRAGMA application_id = 42", "another program",
                   "PRAGMA application_id = 1148154477");
}

/* Files of earlier versions. Values without names of columns: they pin what a version had. */

static const char rows_of_version_1[] =
    "INSERT INTO broker VALUES ('mqtt://localhost:1883 dormouse-x');"
    "INSERT INTO filter VALUES ('a/#', 3);"
    "INSERT INTO filter VALUES ('', 9);"
    "INSERT INTO inbound VALUES (9);"
    "INSERT INTO session VALUES (1, 'sensor', 1, 2, 60, 600, 4, 'udp:lan:10.0.0.7:1883');"
    "INSERT INTO topic VALUES (1, 65535, 't/1', 4);"
    "INSERT INTO subscription VALUES (1, 'a/#', 1, 7, 2, 3, 5);"
    "INSERT INTO message VALUES (1, 'a/b', x'00ff', 2, 1);"
    "INSERT INTO delivery VALUES (1, 10, 1, 11, 2, 1);"
    "INSERT INTO spool VALUES (1, 1, 12, 13, 'up', x'fe', 1, 1);"
    "PRAGMA application_id = 1148154477;"
    "PRAGMA user_version = 1;";

static const struct store_record loaded_of_version_1[] = {
    {.op = STORE_BROKER_PUT, .name = TEXT("mqtt://localhost:1883 dormouse-x")},
    {.op = STORE_FILTER_PUT, .order = 9},
    {.op = STORE_FILTER_PUT, .name = TEXT("a/#"), .upstream_id = 3, .order = 1},
    {.op = STORE_INBOUND_PUT, .packet_id = 9},
    {.op = STORE_SESSION_PUT,
     .session = 1,
     .client_id = TEXT("sensor"),
     .clean = true,
     .mode = 2,
     .keepalive_s = 60,
     .sleep_s = 600,
     .epoch = 4,
     .address = TEXT("udp:lan:10.0.0.7:1883")},
    {.op = STORE_TOPIC_PUT, .session = 1, .topic_id = 65535, .name = TEXT("t/1"), .epoch = 4},
    {.op = STORE_SUBSCRIPTION_PUT,
     .session = 1,
     .name = TEXT("a/#"),
     .topic_type = 1,
     .topic_id = 7,
     .qos = 2,
     .upstream_id = 3,
     .order = 5},
    {.op = STORE_MESSAGE_PUT,
     .message = 1,
     .name = TEXT("a/b"),
     .payload = TEXT("\0\xff"),
     .qos = 2,
     .retain = true},
    {.op = STORE_DELIVERY_PUT,
     .session = 1,
     .order = 10,
     .message = 1,
     .msg_id = 11,
     .qos = 2,
     .sent = true},
    {.op = STORE_SPOOL_PUT,
     .order = 1,
     .session = 1,
     .msg_id = 12,
     .packet_id = 13,
     .name = TEXT("up"),
     .payload = TEXT("\xfe"),
     .qos = 1,
     .retain = true},
};

#define VERSION_1_ROW_COUNT (sizeof loaded_of_version_1 / sizeof loaded_of_version_1[0])

static void
make_database_of_version_1(struct fixture *f)
{
    setup(f);
    CU_ASSERT_EQUAL_FATAL(mkdir(f->directory, 0700), 0);
    with_database(f, schema_migrations[0], NULL, 0);
    with_database(f, rows_of_version_1, NULL, 0);
}

static void
file_of_version_1_is_migrated_once_and_loses_nothing(void)
{
    struct fixture f;
    char answer[32];

    make_database_of_version_1(&f);
    for (unsigned start = 0; start < 2; start++) {
        CU_ASSERT_TRUE_FATAL(open_store(&f));
        expect_rows(&f, loaded_of_version_1, VERSION_1_ROW_COUNT);
        with_database(&f, "PRAGMA user_version", answer, sizeof answer);
        CU_ASSERT_STRING_EQUAL(answer, "7");
        close_store(&f);
    }
    CU_ASSERT_EQUAL(files_set_aside(&f), 0);
    teardown(&f);
}

static void
file_of_version_1_takes_all_rows_after_its_migration(void)
{
    struct fixture f;

    make_database_of_version_1(&f); /* its keys are among those of all_rows */
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    expect_rows_without(&f, none);
    close_store(&f);
    teardown(&f);
}

/* A disk that refuses: the limit on file sizes works everywhere, and also for root. */

static void
limit_file_size(rlim_t octets)
{
    struct rlimit limit;

    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = octets;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool
reserve_exists(const struct fixture *f)
{
    char path[128];

    snprintf(path, sizeof path, "%s/dormouse.reserve", f->directory);
    return access(path, F_OK) == 0;
}

static void
append_messages(struct fixture *f, uint64_t from, uint64_t to)
{
    static const uint8_t payload[1000];

    for (uint64_t number = from; number <= to; number++)
        append(f, (struct store_record){.op = STORE_MESSAGE_PUT,
                                        .message = number,
                                        .payload = dm_span(payload, sizeof payload)});
    f->store->ops->flush(f->store);
}

static void
full_disk_degrades_reports_nothing_and_recovers(void)
{
    struct fixture f;

    signal(SIGXFSZ, SIG_IGN);
    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    uint64_t before = f.committed;
    CU_ASSERT(reserve_exists(&f));

    limit_file_size(100 * 1024); /* of which the log already has some */
    append_messages(&f, 1000, 1200);
    RUN_UNTIL(&f, f.degraded);
    CU_ASSERT_EQUAL(f.committed, before);
    CU_ASSERT_NOT_EQUAL(status_of(&f).error[0], '\0');
    CU_ASSERT_FALSE(reserve_exists(&f));
    append_messages(&f, 2000, 2000);

    limit_file_size(4 * 1024 * 1024); /* room for commits but not for the reserve */
    RUN_UNTIL(&f, f.committed == before + 202);
    CU_ASSERT(f.degraded);
    CU_ASSERT_PTR_NOT_NULL(strstr(status_of(&f).error, "full"));

    limit_file_size(RLIM_INFINITY);
    RUN_UNTIL(&f, !f.degraded);
    CU_ASSERT(reserve_exists(&f));
    CU_ASSERT_EQUAL(f.changes, 2);
    CU_ASSERT_STRING_EQUAL(status_of(&f).error, "");
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    CU_ASSERT_EQUAL(f.rows, ROW_COUNT + 202);
    close_store(&f);
    signal(SIGXFSZ, SIG_DFL);
    teardown(&f);
}

static void
close_on_a_full_disk_returns_false_and_keeps_what_was_committed(void)
{
    struct fixture f;

    signal(SIGXFSZ, SIG_IGN);
    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    limit_file_size(100 * 1024);
    append_messages(&f, 1000, 1200);
    CU_ASSERT_FALSE(f.store->ops->close(f.store, 2000));
    f.store = NULL;
    limit_file_size(RLIM_INFINITY);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    expect_rows_without(&f, none);
    close_store(&f);
    signal(SIGXFSZ, SIG_DFL);
    teardown(&f);
}

static const struct unit_test tests[] = {
    UNIT_TEST(directory_and_files_are_private),
    UNIT_TEST(directory_that_cannot_be_made_is_refused),
    UNIT_TEST(second_process_is_refused_while_the_first_runs),
    UNIT_TEST(visit_that_refuses_a_row_ends_the_start),
    UNIT_TEST(garbage_file_is_moved_aside),
    UNIT_TEST(short_garbage_file_is_moved_aside),
    UNIT_TEST(zero_filled_file_is_moved_aside),
    UNIT_TEST(truncated_file_is_moved_aside),
    UNIT_TEST(file_with_one_bad_page_is_moved_aside),
    UNIT_TEST(file_without_one_of_our_tables_is_moved_aside),
    UNIT_TEST(empty_file_becomes_a_new_database),
    UNIT_TEST(newer_version_is_refused_and_left_alone),
    UNIT_TEST(database_of_another_program_is_refused_and_left_alone),
    UNIT_TEST(file_of_version_1_is_migrated_once_and_loses_nothing),
    UNIT_TEST(file_of_version_1_takes_all_rows_after_its_migration),
    UNIT_TEST(full_disk_degrades_reports_nothing_and_recovers),
    UNIT_TEST(close_on_a_full_disk_returns_false_and_keeps_what_was_committed),
};

UNIT_MAIN("store_files", tests)
