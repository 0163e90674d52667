/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of the store: what it drops and what it keeps. */
#include <string.h>

#include "store_journal.h"
#include "unit.h"

static struct store_record
message(enum store_op op, uint64_t number)
{
    return (struct store_record){.op = op, .message = number, .name = dm_span_text("t")};
}

static struct store_record
delivery(enum store_op op, uint64_t session, uint64_t order, uint64_t number)
{
    return (struct store_record){.op = op, .session = session, .order = order, .message = number};
}

static struct store_record
spooled(enum store_op op, uint64_t order)
{
    return (struct store_record){.op = op, .order = order, .name = dm_span_text("t")};
}

static struct store_record
session(enum store_op op, uint64_t number)
{
    return (struct store_record){.op = op, .session = number, .client_id = dm_span_text("c")};
}

static void
append(struct journal *journal, struct store_record record)
{
    CU_ASSERT_NOT_EQUAL(journal_append(journal, &record), 0);
}

/* Takes the open batch and compares its operations, in order, with ops[]. */
static void
expect_batch(struct journal *journal, const enum store_op *ops, size_t count)
{
    struct journal_batch batch;
    size_t i = 0;

    journal_take(journal, &batch);
    CU_ASSERT_EQUAL(batch.count, count);
    for (struct journal_entry *entry = batch.entries; entry != NULL; entry = entry->next, i++)
        CU_ASSERT(i < count && entry->record.op == ops[i]);
    CU_ASSERT_EQUAL(i, count);
    journal_batch_fini(&batch);
}

#define EXPECT_BATCH(journal, ...)                                                                 \
    expect_batch(journal, (const enum store_op[]){__VA_ARGS__},                                    \
                 sizeof((const enum store_op[]){__VA_ARGS__}) / sizeof(enum store_op))
#define EXPECT_EMPTY_BATCH(journal) expect_batch(journal, NULL, 0)

static void
journal_copies_spans_of_a_record(void)
{
    struct journal *journal = journal_new();
    struct journal_batch batch;
    char topic[] = "a/b", payload[] = "xyz";
    struct store_record record = {.op = STORE_MESSAGE_PUT,
                                  .message = 1,
                                  .name = dm_span_text(topic),
                                  .payload = dm_span_text(payload)};

    append(journal, record);
    memset(topic, '!', sizeof topic);
    memset(payload, '!', sizeof payload);
    journal_take(journal, &batch);
    CU_ASSERT_EQUAL_FATAL(batch.count, 1);
    CU_ASSERT(dm_span_equal(batch.entries->record.name, dm_span_text("a/b")));
    CU_ASSERT(dm_span_equal(batch.entries->record.payload, dm_span_text("xyz")));
    CU_ASSERT_EQUAL(batch.entries->record.client_id.len, 0);
    journal_batch_fini(&batch);
    journal_free(journal);
}

static void
journal_new_rows_deleted_in_the_same_batch_vanish(void)
{
    struct journal *journal = journal_new();
    struct store_record spool = {.op = STORE_SPOOL_PUT, .order = 9};

    append(journal, message(STORE_MESSAGE_PUT, 1));
    append(journal, delivery(STORE_DELIVERY_PUT, 7, 1, 1));
    append(journal,
           delivery(STORE_DELIVERY_PUT, 8, 1, 1)); /* the same message for another device */
    append(journal, spool);
    append(journal, delivery(STORE_DELIVERY_DELETE, 7, 1, 0));
    append(journal, delivery(STORE_DELIVERY_DELETE, 8, 1, 0));
    append(journal, message(STORE_MESSAGE_DELETE, 1));
    spool.op = STORE_SPOOL_DELETE;
    append(journal, spool);
    CU_ASSERT_EQUAL(journal_annihilated(journal), 4);
    CU_ASSERT(journal_pending(journal)); /* its numbers are still to be reported */

    struct journal_batch batch;
    journal_take(journal, &batch);
    CU_ASSERT_EQUAL(batch.count, 0);
    CU_ASSERT_PTR_NULL(batch.entries);
    CU_ASSERT_EQUAL(batch.last, 8);
    CU_ASSERT_FALSE(journal_pending(journal));
    journal_free(journal);
}

static void
journal_new_row_updated_and_deleted_vanishes(void)
{
    struct journal *journal = journal_new();

    append(journal, delivery(STORE_DELIVERY_PUT, 1, 1, 5));
    append(journal, delivery(STORE_DELIVERY_PUT, 1, 1, 5));
    append(journal, delivery(STORE_DELIVERY_DELETE, 1, 1, 0));
    append(journal, spooled(STORE_SPOOL_PUT, 1));
    append(journal, spooled(STORE_SPOOL_PUT, 1));
    append(journal, spooled(STORE_SPOOL_DELETE, 1));
    EXPECT_EMPTY_BATCH(journal);
    journal_free(journal);
}

static void
journal_update_of_an_earlier_row_does_not_vanish_with_its_delete(void)
{
    struct journal *journal = journal_new();

    append(journal, delivery(STORE_DELIVERY_PUT, 1, 1, 5));
    append(journal, spooled(STORE_SPOOL_PUT, 1));
    EXPECT_BATCH(journal, STORE_DELIVERY_PUT, STORE_SPOOL_PUT);
    append(journal, delivery(STORE_DELIVERY_PUT, 1, 1, 5));
    append(journal, spooled(STORE_SPOOL_PUT, 1));
    append(journal, delivery(STORE_DELIVERY_DELETE, 1, 1, 0));
    append(journal, spooled(STORE_SPOOL_DELETE, 1));
    EXPECT_BATCH(journal, STORE_DELIVERY_DELETE, STORE_SPOOL_DELETE);
    CU_ASSERT_EQUAL(journal_annihilated(journal), 2);
    journal_free(journal);
}

static void
journal_row_put_twice_in_one_batch_is_written_once_and_deleted_by_the_next(void)
{
    struct journal *journal = journal_new();

    for (unsigned i = 0; i < 2; i++) {
        append(journal, delivery(STORE_DELIVERY_PUT, 1, 1, 5));
        append(journal, spooled(STORE_SPOOL_PUT, 1));
    }
    EXPECT_BATCH(journal, STORE_DELIVERY_PUT, STORE_SPOOL_PUT);
    append(journal, delivery(STORE_DELIVERY_DELETE, 1, 1, 0));
    append(journal, spooled(STORE_SPOOL_DELETE, 1));
    EXPECT_BATCH(journal, STORE_DELIVERY_DELETE, STORE_SPOOL_DELETE);
    journal_free(journal);
}

static void
journal_update_of_a_loaded_row_does_not_vanish_with_its_delete(void)
{
    struct journal *journal = journal_new();
    struct store_record row = message(STORE_MESSAGE_PUT, 5);

    journal_note_row(journal, &row);
    append(journal, row);
    append(journal, message(STORE_MESSAGE_DELETE, 5));
    append(journal, message(STORE_MESSAGE_PUT, 6));
    append(journal, message(STORE_MESSAGE_DELETE, 6));
    EXPECT_BATCH(journal, STORE_MESSAGE_DELETE);
    journal_free(journal);
}

static void
journal_number_below_an_earlier_one_keeps_its_delete(void)
{
    struct journal *journal = journal_new();

    append(journal, message(STORE_MESSAGE_PUT, 9));
    EXPECT_BATCH(journal, STORE_MESSAGE_PUT);
    append(journal, message(STORE_MESSAGE_PUT, 8)); /* held in memory until now: cannot be told */
    append(journal, message(STORE_MESSAGE_DELETE, 8));
    EXPECT_BATCH(journal, STORE_MESSAGE_DELETE);
    journal_free(journal);
}

static const struct store_record reused_keys[] = {
    {.op = STORE_INBOUND_PUT, .packet_id = 3},
    {.op = STORE_RELEASE_PUT, .packet_id = 3},
    {.op = STORE_WILL_PUT, .session = 3},
    {.op = STORE_RECEIVED_PUT, .session = 3, .msg_id = 3},
};
#define REUSED_KEYS (sizeof reused_keys / sizeof reused_keys[0])

static void
journal_key_that_comes_again_keeps_its_delete(void)
{
    for (size_t i = 0; i < REUSED_KEYS; i++) {
        struct journal *journal = journal_new();
        struct store_record record = reused_keys[i];

        append(journal, record);
        record.op++; /* in every pair DELETE follows PUT */
        append(journal, record);
        EXPECT_BATCH(journal, record.op);
        journal_free(journal);
    }
}

static void
journal_key_put_again_overtakes_what_waits(void)
{
    for (size_t i = 0; i < REUSED_KEYS; i++) {
        struct journal *journal = journal_new();
        struct store_record record = reused_keys[i];
        enum store_op put = record.op;

        append(journal, record);
        append(journal, record);
        record.op++;
        append(journal, record);
        record.op = put;
        append(journal, record);
        append(journal, record);
        EXPECT_BATCH(journal, put + 1, put);
        journal_free(journal);
    }
}

static void
journal_keys_of_other_kinds_and_sessions_are_left_alone(void)
{
    struct journal *journal = journal_new();

    for (size_t i = 0; i < REUSED_KEYS; i++)
        append(journal, reused_keys[i]);
    append(journal, session(STORE_SESSION_PUT, 3));
    append(journal, (struct store_record){.op = STORE_TOPIC_PUT, .session = 3, .topic_id = 3});
    append(journal, (struct store_record){.op = STORE_RECEIVED_PUT, .session = 4, .msg_id = 3});
    append(journal, (struct store_record){.op = STORE_RECEIVED_PUT, .session = 3, .msg_id = 4});
    EXPECT_BATCH(journal, STORE_INBOUND_PUT, STORE_RELEASE_PUT, STORE_WILL_PUT, STORE_RECEIVED_PUT,
                 STORE_SESSION_PUT, STORE_TOPIC_PUT, STORE_RECEIVED_PUT, STORE_RECEIVED_PUT);
    journal_free(journal);
}

static void
journal_later_put_takes_the_place_after_a_session_delete(void)
{
    struct journal *journal = journal_new();
    struct store_record rows[] = {
        session(STORE_SESSION_PUT, 1),
        {.op = STORE_WILL_PUT, .session = 1},
        {.op = STORE_RECEIVED_PUT, .session = 1, .msg_id = 1},
        {.op = STORE_TOPIC_PUT, .session = 1, .topic_id = 1},
    };
    size_t count = sizeof rows / sizeof rows[0];

    for (size_t i = 0; i < count; i++)
        append(journal, rows[i]);
    append(journal, session(STORE_SESSION_DELETE, 1));
    for (size_t i = 0; i < count; i++)
        append(journal, rows[i]);
    EXPECT_BATCH(journal, STORE_SESSION_DELETE, STORE_SESSION_PUT, STORE_WILL_PUT,
                 STORE_RECEIVED_PUT, STORE_TOPIC_PUT);
    journal_free(journal);
}

static void
journal_later_put_takes_the_place_after_a_broker_put(void)
{
    struct journal *journal = journal_new();
    struct store_record release = {.op = STORE_RELEASE_PUT, .packet_id = 1};

    append(journal, release);
    append(journal, (struct store_record){.op = STORE_BROKER_PUT});
    append(journal, release);
    EXPECT_BATCH(journal, STORE_BROKER_PUT, STORE_RELEASE_PUT);
    journal_free(journal);
}

static void
journal_session_delete_is_always_kept(void)
{
    struct journal *journal = journal_new();

    append(journal, session(STORE_SESSION_PUT, 1));
    append(journal, session(STORE_SESSION_DELETE, 1));
    EXPECT_BATCH(journal, STORE_SESSION_PUT, STORE_SESSION_DELETE);
    journal_free(journal);
}

/* One batch is under way while the next gathers, with short and with long spans. */
static void
journal_entries_given_back_hold_other_records(void)
{
    struct journal *journal = journal_new();
    struct journal_batch batch = {0};
    char payload[400];

    memset(payload, 'p', sizeof payload);
    for (uint64_t round = 0; round < 8; round++) {
        size_t count = round % 2 == 0 ? 600 : 30;
        size_t len = round % 3 == 0 ? sizeof payload : round;
        size_t seen = 0;

        for (size_t i = 0; i < count; i++) {
            struct store_record record = message(STORE_MESSAGE_PUT, round * 1000 + i);

            record.payload = dm_span((const uint8_t *)payload, len);
            append(journal, record);
            append(journal, delivery(STORE_DELIVERY_PUT, 1, round * 1000 + i, 1));
            append(journal, delivery(STORE_DELIVERY_DELETE, 1, round * 1000 + i, 1));
        }
        CU_ASSERT_EQUAL(journal_count(journal), count + (round == 0 ? 0 : count));
        journal_batch_trim(&batch);
        journal_give_back(journal, &batch);
        CU_ASSERT_PTR_NULL(batch.entries);
        journal_take(journal, &batch);
        CU_ASSERT_EQUAL(journal_count(journal), 0);
        for (struct journal_entry *entry = batch.entries; entry != NULL; entry = entry->next)
            if (entry->record.op == STORE_MESSAGE_PUT) {
                CU_ASSERT_EQUAL(entry->record.message, round * 1000 + seen);
                CU_ASSERT(dm_span_equal(entry->record.name, dm_span_text("t")));
                CU_ASSERT(dm_span_equal(entry->record.payload,
                                        dm_span((const uint8_t *)payload, len)));
                seen++;
            }
        CU_ASSERT_EQUAL(seen, count);
    }
    journal_batch_fini(&batch);
    journal_free(journal);
}

static const struct unit_test tests[] = {
    UNIT_TEST(journal_copies_spans_of_a_record),
    UNIT_TEST(journal_new_rows_deleted_in_the_same_batch_vanish),
    UNIT_TEST(journal_new_row_updated_and_deleted_vanishes),
    UNIT_TEST(journal_update_of_an_earlier_row_does_not_vanish_with_its_delete),
    UNIT_TEST(journal_update_of_a_loaded_row_does_not_vanish_with_its_delete),
    UNIT_TEST(journal_number_below_an_earlier_one_keeps_its_delete),
    UNIT_TEST(journal_row_put_twice_in_one_batch_is_written_once_and_deleted_by_the_next),
    UNIT_TEST(journal_key_that_comes_again_keeps_its_delete),
    UNIT_TEST(journal_key_put_again_overtakes_what_waits),
    UNIT_TEST(journal_keys_of_other_kinds_and_sessions_are_left_alone),
    UNIT_TEST(journal_later_put_takes_the_place_after_a_session_delete),
    UNIT_TEST(journal_later_put_takes_the_place_after_a_broker_put),
    UNIT_TEST(journal_session_delete_is_always_kept),
    UNIT_TEST(journal_entries_given_back_hold_other_records),
};

UNIT_MAIN("store_journal", tests)
