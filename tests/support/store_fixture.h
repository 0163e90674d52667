/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the store share: a state directory, a store in it, and rows of every kind. */
#ifndef DORMOUSE_TESTS_STORE_FIXTURE_H
#define DORMOUSE_TESTS_STORE_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <sqlite3.h>

#include "store.h"
#include "unit.h"

#define GUARD_S 20 /* a test that waits this long has failed */
#define TEXT_SIZE 16384

/* One state directory, and the store that is open in it. */
struct fixture {
    char parent[64];
    char directory[80];
    struct event_base *base;
    struct store *store;
    char error[256];
    char loaded[TEXT_SIZE]; /* the rows visited, a line each */
    unsigned rows;
    enum dm_result answer; /* of the visit */
    uint64_t committed;
    bool degraded;
    unsigned changes; /* of degraded */
};

static void __attribute__((format(printf, 2, 3))) add(char *text, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, TEXT_SIZE - used, format, arguments);
    va_end(arguments);
}

static inline void
add_octets(char *text, struct dm_span octets)
{
    add(text, " ");
    for (size_t i = 0; i < octets.len; i++)
        add(text, "%02x", octets.data[i]);
}

/* Every field, so that nothing can get lost or mixed up. */
static inline void
describe(char *text, const struct store_record *r)
{
    add(text, "%d %d%d%d%d%d %u %u %u %u %u %u %u %u %u %u %llu %llu %llu %llu %llu", (int)r->op,
        r->lazy, r->clean, r->retain, r->sent, r->released, r->mode, r->qos, r->topic_type,
        r->topic_id, r->msg_id, r->packet_id, r->keepalive_s, r->sleep_s, r->upstream_id, r->epoch,
        (unsigned long long)r->session, (unsigned long long)r->message,
        (unsigned long long)r->order, (unsigned long long)r->content,
        (unsigned long long)r->expires);
    add(text, " %llu %u %llu %llu %llu %d", (unsigned long long)r->broker, r->upstream,
        (unsigned long long)r->clock.gateway_ms, (unsigned long long)r->clock.boot_ms,
        (unsigned long long)r->clock.wall_ms, r->taken);
    add_octets(text, r->client_id);
    add_octets(text, r->name);
    add_octets(text, r->payload);
    add_octets(text, r->address);
    add(text, "\n");
}

static inline enum dm_result
on_row(void *ctx, const struct store_record *record)
{
    struct fixture *f = ctx;

    f->rows++;
    if (strlen(f->loaded) < TEXT_SIZE / 2)
        describe(f->loaded, record);
    return f->answer;
}

static inline void
on_committed(void *ctx, uint64_t seq)
{
    struct fixture *f = ctx;

    CU_ASSERT(seq > f->committed);
    f->committed = seq;
}

static inline void
on_degraded(void *ctx, bool degraded)
{
    struct fixture *f = ctx;

    CU_ASSERT(degraded != f->degraded);
    f->degraded = degraded;
    f->changes++;
}

static inline void
setup(struct fixture *f)
{
    *f = (struct fixture){.base = event_base_new()};
    snprintf(f->parent, sizeof f->parent, "/var/tmp/dormouse-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->parent));
    snprintf(f->directory, sizeof f->directory, "%s/state", f->parent);
}

static inline void
remove_files(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL)
        unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory != NULL)
        closedir(directory);
    rmdir(path);
}

static inline void
teardown(struct fixture *f)
{
    CU_ASSERT_PTR_NULL(f->store);
    event_base_free(f->base);
    remove_files(f->directory);
    remove_files(f->parent);
}

static inline bool
open_with(struct fixture *f, const struct store_options *options)
{
    struct store_events events = {f, on_committed, on_degraded};

    f->loaded[0] = f->error[0] = '\0';
    f->rows = f->changes = 0;
    f->committed = 0;
    f->degraded = false;
    f->store = store_sqlite_open(f->base, options, &events, on_row, f, f->error, sizeof f->error);
    return f->store != NULL;
}

static inline bool
open_store(struct fixture *f)
{
    return open_with(f, &(struct store_options){.directory = f->directory, .sync_full = true});
}

static inline void
close_store(struct fixture *f)
{
    CU_ASSERT(f->store->ops->close(f->store, 10000));
    f->store = NULL;
}

static inline void
on_guard(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

#define RUN_UNTIL(f, condition)                                                                    \
    do {                                                                                           \
        bool guard_over = false;                                                                   \
        struct event *guard = evtimer_new((f)->base, on_guard, &guard_over);                       \
        evtimer_add(guard, (&(struct timeval){.tv_sec = GUARD_S}));                                \
        while (!(condition) && !guard_over)                                                        \
            event_base_loop((f)->base, EVLOOP_ONCE);                                               \
        event_free(guard);                                                                         \
        CU_ASSERT(condition);                                                                      \
    } while (0)

static inline uint64_t
append(struct fixture *f, struct store_record record)
{
    uint64_t number = f->store->ops->append(f->store, &record);

    CU_ASSERT_NOT_EQUAL(number, 0);
    return number;
}

static inline void
commit(struct fixture *f)
{
    struct store_status status;

    f->store->ops->flush(f->store);
    f->store->ops->status(f->store, &status);
    RUN_UNTIL(f, f->committed == status.appended);
}

static inline struct store_status
status_of(struct fixture *f)
{
    struct store_status status;

    f->store->ops->status(f->store, &status);
    return status;
}

/* A second connection, as the sqlite3 shell of an operator. */
static inline void
with_database(struct fixture *f, const char *sql, char *answer, size_t answer_size)
{
    char path[128];
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;

    snprintf(path, sizeof path, "%s/dormouse.db", f->directory);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &database), SQLITE_OK);
    for (const char *rest = sql; *rest != '\0';) {
        CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(database, rest, -1, &statement, &rest), SQLITE_OK);
        int rc = sqlite3_step(statement);
        CU_ASSERT(rc == SQLITE_ROW || rc == SQLITE_DONE);
        if (rc == SQLITE_ROW && answer != NULL)
            snprintf(answer, answer_size, "%s", (const char *)sqlite3_column_text(statement, 0));
        sqlite3_finalize(statement);
    }
    sqlite3_close(database);
}

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

#define OTHER_BROKER UINT64_C(5000000003) /* of an own connection */

/* Two rows of each table, in the order of loading; limits of every field, and octets of all kinds.
 */
static const struct store_record all_rows[] = {
    {.op = STORE_CLOCK_PUT,
     .name = TEXT("0e4b"),
     .clock = {.gateway_ms = INT64_MAX, .boot_ms = 5, .wall_ms = 1}},
    {.op = STORE_BROKER_PUT, .name = TEXT("mqtt://localhost:1883 dormouse-x")},
    {.op = STORE_BROKER_PUT, .broker = OTHER_BROKER, .name = TEXT("other"), .order = INT64_MAX},
    {.op = STORE_FILTER_PUT, .name = TEXT("a/#"), .upstream_id = UINT32_MAX, .order = INT64_MAX},
    {.op = STORE_FILTER_PUT, .name = TEXT("b\xff/+"), .upstream_id = 0},
    {.op = STORE_FILTER_PUT,
     .broker = OTHER_BROKER,
     .name = TEXT("a/#"),
     .upstream_id = 1,
     .order = 1},
    {.op = STORE_INBOUND_PUT, .packet_id = 1, .content = INT64_MAX},
    {.op = STORE_INBOUND_PUT, .packet_id = 65535},
    {.op = STORE_INBOUND_PUT, .broker = OTHER_BROKER, .packet_id = 1},
    {.op = STORE_SESSION_PUT,
     .session = 1,
     .client_id = TEXT("s\xc3\xa4nsor"),
     .clean = true,
     .mode = 255,
     .keepalive_s = 65535,
     .sleep_s = 65534,
     .epoch = UINT32_MAX,
     .msg_id = 65535,
     .upstream = 2,
     .address = TEXT("udp:lan:[fe80::1%2]:1883")},
    {.op = STORE_SESSION_PUT, .session = INT64_MAX, .client_id = TEXT("b")},
    {.op = STORE_WILL_PUT,
     .session = 1,
     .name = TEXT("w\xff"),
     .payload = TEXT("gone\0"),
     .qos = 2,
     .retain = true},
    {.op = STORE_WILL_PUT, .session = INT64_MAX}, /* its WILLTOPIC has not come yet */
    {.op = STORE_RECEIVED_PUT, .session = 1, .msg_id = 1, .content = INT64_MAX},
    {.op = STORE_RECEIVED_PUT, .session = 1, .msg_id = 65535},
    {.op = STORE_RECEIVED_PUT, .session = 2, .msg_id = 1, .content = 1},
    {.op = STORE_TOPIC_PUT, .session = 1, .topic_id = 1, .name = TEXT("t/1"), .epoch = 7},
    {.op = STORE_TOPIC_PUT, .session = 1, .topic_id = 65535, .name = TEXT("nul\0inside")},
    {.op = STORE_TOPIC_PUT, .session = 2, .topic_id = 1, .name = TEXT("t/1")},
    {.op = STORE_SUBSCRIPTION_PUT,
     .session = 1,
     .name = TEXT("a/#"),
     .topic_type = 2,
     .topic_id = 65535,
     .qos = 2,
     .upstream_id = UINT32_MAX,
     .order = INT64_MAX},
    {.op = STORE_SUBSCRIPTION_PUT, .session = 1, .name = TEXT("b")},
    {.op = STORE_MESSAGE_PUT,
     .message = 1,
     .name = TEXT("t/1"),
     .payload = TEXT("\0\xff bytes"),
     .qos = 2,
     .retain = true,
     .broker = OTHER_BROKER,
     .expires = INT64_MAX},
    {.op = STORE_MESSAGE_PUT, .message = INT64_MAX, .name = TEXT("t/2")},
    {.op = STORE_DELIVERY_PUT,
     .session = 1,
     .order = 2,
     .message = INT64_MAX,
     .msg_id = 65535,
     .qos = 2,
     .sent = true,
     .released = true},
    {.op = STORE_DELIVERY_PUT, .session = 1, .order = 10, .message = 1, .sent = true},
    {.op = STORE_DELIVERY_PUT, .session = 2, .order = 1, .message = 1},
    {.op = STORE_SPOOL_PUT,
     .order = 1,
     .session = 1,
     .msg_id = 65535,
     .packet_id = 65534,
     .name = TEXT("up"),
     .payload = TEXT("\xfe"),
     .qos = 1,
     .retain = true},
    {.op = STORE_SPOOL_PUT, .order = INT64_MAX, .session = 2, .name = TEXT("up")},
    {.op = STORE_RELEASE_PUT, .packet_id = 1},
    {.op = STORE_RELEASE_PUT, .packet_id = 65535},
    {.op = STORE_RELEASE_PUT,
     .broker = OTHER_BROKER,
     .packet_id = 1,
     .order = INT64_MAX,
     .sent = true},
    {.op = STORE_COPY_PUT,
     .qos = 2,
     .message = INT64_MAX,
     .content = INT64_MAX,
     .order = INT64_MAX,
     .payload = TEXT("\0\0\0\1")},
    {.op = STORE_COPY_PUT, .session = 1, .qos = 2, .message = 5, .taken = true},
    {.op = STORE_COPY_PUT, .session = 1, .broker = OTHER_BROKER, .qos = 2, .message = 5},
    {.op = STORE_COPY_PUT, .session = 2, .qos = 1, .message = 6},
};

#define ROW_COUNT (sizeof all_rows / sizeof all_rows[0])

static inline void
put_all_rows(struct fixture *f)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        append(f, all_rows[i]);
    commit(f);
}

/* What is loaded must be these rows. */
static inline void
expect_rows(const struct fixture *f, const struct store_record *rows, size_t count)
{
    static char expected[TEXT_SIZE];

    expected[0] = '\0';
    for (size_t i = 0; i < count; i++)
        describe(expected, &rows[i]);
    CU_ASSERT_STRING_EQUAL(f->loaded, expected);
}

/* What is loaded must be all_rows without those for which `gone` is true. */
static inline void
expect_rows_without(const struct fixture *f, bool (*gone)(const struct store_record *row))
{
    struct store_record kept[ROW_COUNT];
    size_t count = 0;

    for (size_t i = 0; i < ROW_COUNT; i++)
        if (!gone(&all_rows[i]))
            kept[count++] = all_rows[i];
    expect_rows(f, kept, count);
}

static inline bool
none(const struct store_record *row)
{
    (void)row;
    return false;
}

#endif
