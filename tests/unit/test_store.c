/* SPDX-License-Identifier: Apache-2.0 */
/* The store on a real disk: what is committed comes back as it was, also after the process died. */
#include <signal.h>
#include <sys/wait.h>

#include "store_fixture.h"

static void
rows_come_back_as_they_were_in_the_order_of_their_keys(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    CU_ASSERT_EQUAL(f.rows, 0);
    for (size_t i = 1; i <= 2; i++) /* first: each deletes the state of its broker session */
        append(&f, all_rows[i]);
    for (size_t i = ROW_COUNT; i-- > 0;)
        if (i != 1 && i != 2)
            append(&f, all_rows[i]);
    commit(&f);
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    expect_rows_without(&f, none);
    close_store(&f);
    teardown(&f);
}

static void
put_of_the_same_key_replaces_the_row(void)
{
    struct fixture f;
    char answer[32];

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    for (size_t i = 3; i < ROW_COUNT; i++) { /* from behind the brokers, which empty tables */
        struct store_record changed = all_rows[i];
        if (changed.op != STORE_COPY_PUT) /* where it is part of the key */
            changed.qos = 1;
        if (changed.op == STORE_FILTER_PUT)
            changed.order = 77;
        changed.released = changed.taken = true;
        changed.content = 77;
        append(&f, changed);
    }
    commit(&f);
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    CU_ASSERT_EQUAL(f.rows, ROW_COUNT);
    with_database(&f,
                  "SELECT count(*) || ' ' || (SELECT sum(qos) + sum(released) FROM delivery) || ' '"
                  " || (SELECT sum(taken) FROM copy) || ' '"
                  " || (SELECT sum(qos) FROM will) || ' ' || (SELECT sum(content) FROM received)"
                  " FROM filter WHERE position = 77",
                  answer, sizeof answer);
    CU_ASSERT_STRING_EQUAL(answer, "3 6 4 2 231");
    close_store(&f);
    teardown(&f);
}

static bool
first_of_pair(const struct store_record *row)
{
    switch (row->op) {
    case STORE_FILTER_PUT:
        return row->broker == 0 && row->upstream_id != 0;
    case STORE_INBOUND_PUT:
    case STORE_RELEASE_PUT:
        return row->broker == 0 && row->packet_id == 1;
    case STORE_WILL_PUT:
        return row->session == 1;
    case STORE_RECEIVED_PUT:
        return row->session == 1 && row->msg_id == 1;
    case STORE_SUBSCRIPTION_PUT:
        return row->qos == 2;
    case STORE_MESSAGE_PUT:
        return row->message == 1;
    case STORE_DELIVERY_PUT:
        return row->session == 1 && row->order == 2;
    case STORE_SPOOL_PUT:
        return row->order == 1;
    default:
        return false;
    }
}

static void
delete_takes_its_row_and_no_other(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        struct store_record record = all_rows[i];
        record.op++; /* in every pair DELETE follows PUT */
        if (first_of_pair(&all_rows[i]))
            append(&f, record);
    }
    commit(&f);
    CU_ASSERT_EQUAL(status_of(&f).rows, ROW_COUNT + 9);
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    expect_rows_without(&f, first_of_pair);
    close_store(&f);
    teardown(&f);
}

static bool
of_session_one(const struct store_record *row)
{
    return row->session == 1 && row->op != STORE_SPOOL_PUT;
}

static void
session_delete_takes_all_rows_of_the_session_but_its_spooled_messages(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    append(&f, (struct store_record){.op = STORE_SESSION_DELETE, .session = 1});
    commit(&f);
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    expect_rows_without(&f, of_session_one);
    close_store(&f);
    teardown(&f);
}

static void
broker_put_empties_its_filters_inbound_release_and_copies(void)
{
    struct fixture f;
    char answer[64];

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    append(&f, (struct store_record){.op = STORE_BROKER_PUT, .name = TEXT("new")});
    commit(&f);
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    CU_ASSERT_EQUAL(f.rows, ROW_COUNT - 9);
    with_database(&f, "SELECT group_concat(name) FROM broker", answer, sizeof answer);
    CU_ASSERT_STRING_EQUAL(answer, "new,other");
    close_store(&f);
    teardown(&f);
}

static void
broker_use_keeps_its_rows(void)
{
    struct fixture f;
    char answer[64];

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    append(&f, (struct store_record){.op = STORE_BROKER_USE, .order = 9, .name = TEXT("new")});
    commit(&f);
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    CU_ASSERT_EQUAL(f.rows, ROW_COUNT);
    with_database(&f, "SELECT name || used FROM broker WHERE broker = 0", answer, sizeof answer);
    CU_ASSERT_STRING_EQUAL(answer, "new9");
    close_store(&f);
    teardown(&f);
}

static bool
of_other_broker(const struct store_record *row)
{
    return row->broker == OTHER_BROKER && row->op != STORE_MESSAGE_PUT;
}

static void
broker_delete_takes_its_rows_and_no_others(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    append(&f, (struct store_record){.op = STORE_BROKER_DELETE, .broker = OTHER_BROKER});
    commit(&f);
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    expect_rows_without(&f, of_other_broker);
    close_store(&f);
    teardown(&f);
}

static void
running_store_can_be_read_by_another_connection(void)
{
    struct fixture f;
    char answer[64];

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    with_database(&f, "SELECT client_id FROM session WHERE session = 1", answer, sizeof answer);
    CU_ASSERT_STRING_EQUAL(answer, "s\xc3\xa4nsor");
    with_database(&f,
                  "SELECT group_concat(typeof(topic)) FROM topic WHERE session = 1"
                  " ORDER BY topic_id",
                  answer, sizeof answer);
    CU_ASSERT_STRING_EQUAL(answer, "text,blob"); /* the second is no text: it holds a NUL */
    with_database(&f, "SELECT group_concat(typeof(filter)) FROM filter", answer, sizeof answer);
    CU_ASSERT_STRING_EQUAL(answer, "text,blob,text");
    append(&f, (struct store_record){.op = STORE_MESSAGE_DELETE, .message = 1});
    commit(&f);
    close_store(&f);
    teardown(&f);
}

static void
impossible_values_in_a_row_are_skipped(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    close_store(&f);
    with_database(&f,
                  "UPDATE session SET keepalive_s = 65536 WHERE session = 1;"
                  "UPDATE delivery SET sent = 2 WHERE session = 2;"
                  "UPDATE delivery SET released = 2 WHERE session = 1 AND position = 2;"
                  "UPDATE will SET retain = 2 WHERE session = 1;"
                  "UPDATE received SET content = -1 WHERE session = 2;"
                  "INSERT INTO upstream_release VALUES (0, 65536, 0, 0);"
                  "UPDATE spool SET qos = 'x' WHERE position = 1;"
                  "INSERT INTO message VALUES (-1, 't', '', 0, 0, 0, 0, 0);",
                  NULL, 0);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    CU_ASSERT_EQUAL(f.rows, ROW_COUNT - 6);
    close_store(&f);
    teardown(&f);
}

/* Writing as little as possible */

static void
delete_that_finds_no_row_writes_nothing_but_is_reported(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    put_all_rows(&f);
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    struct store_status before = status_of(&f);
    /* A row of number 5 could be there, as higher ones are: the DELETE stays and finds nothing. */
    append(&f, (struct store_record){.op = STORE_SPOOL_PUT, .order = 5, .name = TEXT("t")});
    append(&f, (struct store_record){.op = STORE_SPOOL_DELETE, .order = 5});
    commit(&f);
    CU_ASSERT_EQUAL(f.committed, 2);
    struct store_status after = status_of(&f);
    CU_ASSERT_EQUAL(after.annihilated, 1);
    CU_ASSERT_EQUAL(after.rows, 0);
    CU_ASSERT_EQUAL(after.file_octets, before.file_octets);
    close_store(&f);
    teardown(&f);
}

static void
new_rows_that_vanish_need_no_transaction(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    append(&f, (struct store_record){.op = STORE_MESSAGE_PUT, .message = 1, .name = TEXT("t")});
    append(&f, (struct store_record){.op = STORE_DELIVERY_PUT, .session = 1, .message = 1});
    append(&f, (struct store_record){.op = STORE_DELIVERY_DELETE, .session = 1});
    append(&f, (struct store_record){.op = STORE_MESSAGE_DELETE, .message = 1});
    commit(&f);
    CU_ASSERT_EQUAL(f.committed, 4);
    CU_ASSERT_EQUAL(status_of(&f).commits, 0);
    CU_ASSERT_EQUAL(status_of(&f).annihilated, 2);
    close_store(&f);
    teardown(&f);
}

/* Several records of one key, wherever the batches end */

/* Rows that change while they exist: as they are at first, and later. */
static const struct store_record early_rows[] = {
    {.op = STORE_WILL_PUT, .session = 1, .name = TEXT("w"), .payload = TEXT("a"), .qos = 2},
    {.op = STORE_RECEIVED_PUT, .session = 1, .msg_id = 3, .content = 8},
    {.op = STORE_DELIVERY_PUT, .session = 1, .order = 1, .message = 4, .qos = 2},
    {.op = STORE_SPOOL_PUT, .order = 1, .session = 1, .name = TEXT("up"), .qos = 2},
    {.op = STORE_RELEASE_PUT, .packet_id = 5},
};
static const struct store_record late_rows[] = {
    {.op = STORE_WILL_PUT, .session = 1, .payload = TEXT("bc"), .retain = true},
    {.op = STORE_RECEIVED_PUT, .session = 1, .msg_id = 3, .content = 9},
    {.op = STORE_DELIVERY_PUT,
     .session = 1,
     .order = 1,
     .message = 4,
     .qos = 2,
     .sent = true,
     .released = true},
    {.op = STORE_SPOOL_PUT, .order = 1, .session = 1, .packet_id = 6, .name = TEXT("up"), .qos = 2},
    {.op = STORE_RELEASE_PUT, .packet_id = 5},
};

#define CHANGING_ROWS (sizeof early_rows / sizeof early_rows[0])

/* What follows a step: nothing, the end of the batch, or a restart. */
enum cut { CUT_NONE, CUT_COMMIT, CUT_RESTART, CUTS };

static void
append_rows(struct fixture *f, const struct store_record rows[CHANGING_ROWS], bool deletes,
            enum cut cut)
{
    for (size_t i = 0; i < CHANGING_ROWS; i++) {
        struct store_record record = rows[i];
        record.op += deletes; /* in every pair DELETE follows PUT */
        append(f, record);
    }
    if (cut != CUT_NONE)
        commit(f);
    if (cut == CUT_RESTART) {
        close_store(f);
        CU_ASSERT_TRUE_FATAL(open_store(f));
    }
}

/* PUT of the early rows, then two steps more, cut in every way. What is loaded at the end must be
 * the late rows, or none if the last step deletes. */
static void
expect_last_step_wins(const struct store_record second[CHANGING_ROWS], bool second_deletes,
                      bool last_deletes)
{
    for (unsigned cuts = 0; cuts < CUTS * CUTS; cuts++) {
        struct fixture f;

        setup(&f);
        CU_ASSERT_TRUE_FATAL(open_store(&f));
        append_rows(&f, early_rows, false, (enum cut)(cuts / CUTS));
        append_rows(&f, second, second_deletes, (enum cut)(cuts % CUTS));
        append_rows(&f, late_rows, last_deletes, CUT_RESTART);
        expect_rows(&f, late_rows, last_deletes ? 0 : CHANGING_ROWS);
        close_store(&f);
        teardown(&f);
    }
}

static void
row_put_several_times_is_as_it_was_put_last(void)
{
    expect_last_step_wins(early_rows, false, false);
}

static void
row_put_twice_is_gone_after_its_delete(void)
{
    expect_last_step_wins(late_rows, false, true);
}

/* Deliveries and spooled messages too, though no caller does it (store.h). */
static void
row_put_again_after_its_delete_is_there(void)
{
    expect_last_step_wins(early_rows, true, false);
}

/* Death of the process */

/* In a child: commits batch after batch, tells the parent what was reported, and dies without close
 * with more in its hands. */
static void
commit_and_die(struct fixture *f, int report_fd)
{
    if (!open_store(f))
        _exit(1);
    for (uint64_t number = 1; number <= 300; number++) {
        append(f, (struct store_record){.op = STORE_MESSAGE_PUT, .message = number, .qos = 1});
        f->store->ops->flush(f->store);
        event_base_loop(f->base, EVLOOP_NONBLOCK);
        if (write(report_fd, &f->committed, sizeof f->committed) < 0)
            _exit(1);
    }
    RUN_UNTIL(f, f->committed >= 200);
    if (write(report_fd, &f->committed, sizeof f->committed) < 0)
        _exit(1);
    kill(getpid(), SIGKILL);
}

static void
killed_process_loses_nothing_that_was_reported(void)
{
    struct fixture f;
    int pipe_fds[2], wait_status = 0;
    uint64_t reported = 0, latest;

    setup(&f);
    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    fflush(NULL);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        event_reinit(f.base);
        commit_and_die(&f, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    while (read(pipe_fds[0], &latest, sizeof latest) == sizeof latest)
        reported = latest;
    close(pipe_fds[0]);
    CU_ASSERT_EQUAL(waitpid(child, &wait_status, 0), child);
    CU_ASSERT(WIFSIGNALED(wait_status));
    CU_ASSERT(reported >= 200);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    CU_ASSERT(f.rows >= reported); /* each record is a row, and commits keep their order */
    close_store(&f);
    teardown(&f);
}

static void
close_commits_records_that_were_not_flushed(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    for (size_t i = 0; i < ROW_COUNT; i++)
        append(&f, all_rows[i]);
    close_store(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    expect_rows_without(&f, none);
    close_store(&f);
    teardown(&f);
}

static void
lazy_records_are_committed_within_about_a_second(void)
{
    struct fixture f;

    setup(&f);
    CU_ASSERT_TRUE_FATAL(open_store(&f));
    for (uint64_t order = 1; order <= 100; order++) {
        append(&f, (struct store_record){.op = STORE_SPOOL_PUT, .order = order, .lazy = true});
        f.store->ops->flush(f.store);
    }
    RUN_UNTIL(&f, f.committed == 100);
    CU_ASSERT_EQUAL(status_of(&f).commits, 1);
    close_store(&f);
    teardown(&f);
}

static const struct unit_test tests[] = {
    UNIT_TEST(rows_come_back_as_they_were_in_the_order_of_their_keys),
    UNIT_TEST(put_of_the_same_key_replaces_the_row),
    UNIT_TEST(delete_takes_its_row_and_no_other),
    UNIT_TEST(session_delete_takes_all_rows_of_the_session_but_its_spooled_messages),
    UNIT_TEST(broker_put_empties_its_filters_inbound_release_and_copies),
    UNIT_TEST(broker_use_keeps_its_rows),
    UNIT_TEST(broker_delete_takes_its_rows_and_no_others),
    UNIT_TEST(running_store_can_be_read_by_another_connection),
    UNIT_TEST(impossible_values_in_a_row_are_skipped),
    UNIT_TEST(delete_that_finds_no_row_writes_nothing_but_is_reported),
    UNIT_TEST(new_rows_that_vanish_need_no_transaction),
    UNIT_TEST(row_put_several_times_is_as_it_was_put_last),
    UNIT_TEST(row_put_twice_is_gone_after_its_delete),
    UNIT_TEST(row_put_again_after_its_delete_is_there),
    UNIT_TEST(killed_process_loses_nothing_that_was_reported),
    UNIT_TEST(close_commits_records_that_were_not_flushed),
    UNIT_TEST(lazy_records_are_committed_within_about_a_second),
};

UNIT_MAIN("store", tests)
