/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power failures. A store lives on a disk that forgets what was not synced; at moments that chance
 * chooses, what a failure would leave is put by. Then each of these is opened: what on_committed
 * had told must be there, and of the batch under way all or nothing. The next life of the store
 * begins with one of them.
 */
#include <sys/stat.h>
#include <time.h>

#include <dormouse/log.h>

#include "disk_room.h"
#include "power_loss.h"
#include "store_journal.h"
#include "store_rows.h"
#include "store_sqlite.h"

#define LIVES 5    /* of one story */
#define BATCHES 30 /* of one life, at most */
#define BATCH_RECORDS 24
#define CUTS 40 /* in one life, at most */
#define PAYLOAD_MAX 3000
#define NUMBERS 40 /* keys are few, so that rows meet their changes */
#define ROOM (512u * 1024 * 1024)

struct cut {
    char directory[sizeof((struct fixture *)0)->directory];
    unsigned promised; /* batches that were reported */
    unsigned appended; /* the same, or one more */
};

struct story {
    struct fixture f;         /* the store, in f.directory */
    struct fixture reference; /* the same rows, on a disk without failures */
    struct database *rows;
    struct journal *journal; /* of the reference */
    struct random_source random;
    bool sync_full, lies;
    unsigned one_of;                /* so many moments, one is cut */
    uint64_t expected[BATCHES + 1]; /* rows after so many batches */
    unsigned promised, appended;    /* as in struct cut */
    struct cut cuts[CUTS];
    unsigned cut_count, directories;
    unsigned long total, broken;
    uint64_t hash;
};

static enum dm_result
on_story_row(void *ctx, const struct store_record *record)
{
    struct story *s = ctx;

    s->hash = hash_row(s->hash, record);
    if (s->journal != NULL)
        journal_note_row(s->journal, record);
    return DM_OK;
}

/* Cuts */

/* An empty directory beside the others. */
static void
next_directory(struct story *s, char *path, size_t size)
{
    snprintf(path, size, "%s/%u", s->f.parent, s->directories++);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
}

static void
on_moment(void *ctx)
{
    struct story *s = ctx;

    if (s->cut_count == CUTS || random_below(&s->random, s->one_of) != 0)
        return;
    struct cut *cut = &s->cuts[s->cut_count++];
    next_directory(s, cut->directory, sizeof cut->directory);
    cut->promised = s->promised;
    cut->appended = s->appended;
    power_loss_leave(cut->directory,
                     (enum power_loss_rest)random_below(&s->random, POWER_LOSS_RESTS), &s->random);
}

/* Opens what is in the directory; the rows become s->hash. */
static enum dm_result
read_rows(struct story *s, const char *directory, struct database **database)
{
    char path[160], error[160] = "";

    snprintf(path, sizeof path, "%s/dormouse.db", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* as the store does */
    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    s->hash = ROW_HASH_START;
    *database = NULL;
    enum dm_result result = database_open(path, s->sync_full, database, error, sizeof error);
    if (result == DM_OK)
        result = database_load(*database, on_story_row, s, error, sizeof error);
    return result;
}

/* Full: what was promised, and perhaps the batch under way. Normal: any batch may be the last. */
static bool
hash_is_allowed(const struct story *s, const struct cut *cut)
{
    for (unsigned i = s->sync_full ? cut->promised : 0; i <= cut->appended; i++)
        if (s->expected[i] == s->hash)
            return true;
    return false;
}

static void
count_cut(struct story *s, const struct cut *cut, enum dm_result result)
{
    s->total++;
    if (result == DM_OK && hash_is_allowed(s, cut))
        return;
    s->broken++;
    if (!s->lies)
        printf("\n  %s: %s; %u batches were reported, %u appended; ", cut->directory,
               dm_result_text(result), cut->promised, cut->appended);
}

static void
check_cut(struct story *s, const struct cut *cut)
{
    struct database *database;

    count_cut(s, cut, read_rows(s, cut->directory, &database));
    database_close(database);
    remove_files(cut->directory);
}

/* Records */

static struct store_record
random_record(struct story *s, uint8_t *payload)
{
    struct random_source *r = &s->random;
    struct store_record record = all_rows[random_below(r, ROW_COUNT)];
    bool pair = record.op != STORE_TOPIC_PUT && record.op != STORE_BROKER_PUT &&
                record.op != STORE_CLOCK_PUT;

    if (record.op == STORE_BROKER_PUT && random_below(r, 8) != 0)
        record = all_rows[ROW_COUNT - 1];
    record.session = 1 + random_below(r, 3);
    record.order = record.message = 1 + random_below(r, NUMBERS);
    record.msg_id = record.topic_id = record.packet_id = (uint16_t)(1 + random_below(r, NUMBERS));
    record.upstream_id = record.epoch = (uint32_t)random_next(r);
    record.content = random_next(r) >> 1;
    if (record.payload.len > 0) {
        size_t len = random_below(r, PAYLOAD_MAX);
        random_fill(r, payload, len);
        record.payload = dm_span(payload, len);
    }
    if (pair && random_below(r, record.op == STORE_SESSION_PUT ? 10 : 3) == 0)
        record.op++; /* in every pair DELETE follows PUT */
    return record;
}

/* To the store, and to the reference. */
static void
append_batch(struct story *s)
{
    uint8_t payload[PAYLOAD_MAX];
    unsigned count = 1 + random_below(&s->random, BATCH_RECORDS);

    for (unsigned i = 0; i < count; i++) {
        struct store_record record = random_record(s, payload);
        append(&s->f, record);
        CU_ASSERT_NOT_EQUAL(journal_append(s->journal, &record), 0);
    }
}

static void
commit_to_reference(struct story *s)
{
    struct journal_batch batch;
    uint64_t rows;
    char error[160];

    journal_take(s->journal, &batch);
    CU_ASSERT_EQUAL(database_commit(s->rows, &batch, &rows, error, sizeof error), DM_OK);
    journal_batch_fini(&batch);
    s->hash = ROW_HASH_START;
    CU_ASSERT_EQUAL(database_load(s->rows, on_story_row, s, error, sizeof error), DM_OK);
}

/* Lives */

static void
copy_files(const char *from, const char *to)
{
    static const char *const suffixes[] = {"", "-wal", "-journal"};
    char command[400];

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(command, sizeof command, "%s/dormouse.db%s", from, suffixes[i]);
        FILE *in = fopen(command, "rb");
        if (in == NULL)
            continue;
        snprintf(command, sizeof command, "%s/dormouse.db%s", to, suffixes[i]);
        FILE *out = fopen(command, "wb");
        CU_ASSERT_PTR_NOT_NULL_FATAL(out);
        static char buffer[65536];
        for (size_t len; (len = fread(buffer, 1, sizeof buffer, in)) > 0;)
            CU_ASSERT_EQUAL(fwrite(buffer, 1, len, out), len);
        fclose(in);
        fclose(out);
    }
}

/* The reserve is made without a sync: of it, too, a failure may leave a part. */
static void
leave_part_of_reserve(struct story *s)
{
    char path[160];

    snprintf(path, sizeof path, "%s/dormouse.reserve", s->f.directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CU_ASSERT_EQUAL(ftruncate(fd, (off_t)random_below(&s->random, 5 * 1024 * 1024)), 0);
    close(fd);
}

/* The store and the reference begin with the same rows, those of `cut` if there is one. */
static void
begin_life(struct story *s, const struct cut *cut)
{
    struct store_options options = {.directory = s->f.directory, .sync_full = s->sync_full};
    struct store_events events = {&s->f, on_committed, on_degraded};

    next_directory(s, s->reference.directory, sizeof s->reference.directory);
    copy_files(s->f.directory, s->reference.directory);
    s->journal = journal_new();
    enum dm_result result = read_rows(s, s->reference.directory, &s->rows);
    if (cut != NULL)
        count_cut(s, cut, result);
    CU_ASSERT_EQUAL_FATAL(result, DM_OK);
    s->expected[0] = s->hash;
    s->promised = s->appended = s->cut_count = 0;
    s->f.committed = 0;
    power_loss_start(s->f.directory, s->lies, on_moment, s);
    s->hash = ROW_HASH_START;
    s->f.store = store_sqlite_open(s->f.base, &options, &events, on_story_row, s, s->f.error,
                                   sizeof s->f.error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->f.store);
    CU_ASSERT_EQUAL(s->hash, s->expected[0]);
}

static void
live_batch(struct story *s)
{
    append_batch(s);
    commit_to_reference(s);
    s->expected[++s->appended] = s->hash;
    s->f.store->ops->flush(s->f.store);
    uint64_t last = status_of(&s->f).appended;
    RUN_UNTIL(&s->f, s->f.committed == last);
    s->promised = s->appended;
}

/* One life: opens, commits and closes, and is cut in between as often as chance wants. */
static void
live(struct story *s, const struct cut *cut)
{
    begin_life(s, cut);
    for (unsigned left = random_below(&s->random, BATCHES); left > 0; left--)
        live_batch(s);
    CU_ASSERT_TRUE(s->f.store->ops->close(s->f.store, 100000));
    s->f.store = NULL;
    power_loss_stop();
    journal_free(s->journal);
    s->journal = NULL;
    database_close(s->rows);
    remove_files(s->reference.directory);
    remove_files(s->f.directory);
}

/* All cuts of the last life but one are opened; false: there is none to go on with. */
static bool
choose_cut(struct story *s, struct cut *chosen)
{
    unsigned choice = s->cut_count > 0 ? random_below(&s->random, s->cut_count) : 0;

    for (unsigned i = 0; i < s->cut_count; i++)
        if (i != choice)
            check_cut(s, &s->cuts[i]);
    if (s->cut_count > 0)
        *chosen = s->cuts[choice];
    return s->cut_count > 0;
}

/* A new directory, or one with a database of an earlier schema; then life after life. */
static void
tell_story(struct story *s)
{
    unsigned version = random_below(&s->random, SCHEMA_VERSION);
    struct cut chosen;

    next_directory(s, s->f.directory, sizeof s->f.directory);
    if (version > 0)
        make_old_database(&s->f, version);
    live(s, NULL);
    for (unsigned lives = 1; choose_cut(s, &chosen); lives++) {
        if (lives == LIVES || s->lies) {
            check_cut(s, &chosen);
            break;
        }
        snprintf(s->f.directory, sizeof s->f.directory, "%s", chosen.directory);
        leave_part_of_reserve(s);
        live(s, &chosen);
    }
}

static void
tell_stories(const char *name, struct story *s, unsigned long wanted)
{
    log_set_level(LOG_LEVEL_ERROR - 1);
    setup(&s->f);
    disk_room_mount(s->f.parent, ROOM);
    s->random = random_start(name, (uint64_t)time(NULL));
    s->one_of = 12;
    while (s->total < wanted && (s->broken == 0 || s->lies))
        tell_story(s);
    printf("%lu power failures, %lu broke a promise ", s->total, s->broken);
    disk_room_unmount(s->f.parent);
    snprintf(s->f.directory, sizeof s->f.directory, "%s/none", s->f.parent);
    teardown(&s->f);
}

static void
power_failure_takes_nothing_that_was_reported(void)
{
    struct story s = {.sync_full = true};

    tell_stories("store_power", &s, 2000);
    CU_ASSERT_EQUAL(s.broken, 0);
}

/* sync = normal (docs/configuration.md): the newest may be missing, what is there is in order. */
static void
power_failure_without_full_sync_leaves_a_beginning_of_what_was_reported(void)
{
    struct story s = {.sync_full = false};

    tell_stories("store_power_normal", &s, 600);
    CU_ASSERT_EQUAL(s.broken, 0);
}

/* The test itself: on a disk that answers syncs without doing them promises must break. */
static void
power_failure_of_a_disk_that_lies_is_seen(void)
{
    struct story s = {.sync_full = true, .lies = true};

    tell_stories("store_power_lies", &s, 200);
    CU_ASSERT(s.broken > 50);
}

static const struct unit_test tests[] = {
    UNIT_TEST(power_failure_takes_nothing_that_was_reported),
    UNIT_TEST(power_failure_without_full_sync_leaves_a_beginning_of_what_was_reported),
    UNIT_TEST(power_failure_of_a_disk_that_lies_is_seen),
};

UNIT_MAIN("store_power", tests)
