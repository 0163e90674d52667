/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of the store against a model of the database, a few rows in an array: any order of
 * records must lead to the same rows, applied one by one or batch by batch through the journal.
 */
#include <time.h>

#include "random.h"
#include "store_journal.h"
#include "unit.h"

#define MODEL_ROWS 512

struct model_row {
    enum store_op put;
    uint64_t session, minor;
    uint32_t content;
};

struct model {
    struct model_row rows[MODEL_ROWS];
    size_t count;
};

static void
model_delete(struct model *model, enum store_op put, uint64_t session, uint64_t minor,
             bool any_minor)
{
    for (size_t i = model->count; i-- > 0;) {
        const struct model_row *row = &model->rows[i];
        if (row->put == put && row->session == session && (any_minor || row->minor == minor))
            model->rows[i] = model->rows[--model->count];
    }
}

static uint64_t
minor_key(const struct store_record *record)
{
    switch (record->op) {
    case STORE_TOPIC_PUT:
        return record->topic_id;
    case STORE_MESSAGE_PUT:
    case STORE_MESSAGE_DELETE:
        return record->message;
    case STORE_RECEIVED_PUT:
    case STORE_RECEIVED_DELETE:
        return record->msg_id;
    case STORE_INBOUND_PUT:
    case STORE_INBOUND_DELETE:
    case STORE_RELEASE_PUT:
    case STORE_RELEASE_DELETE:
        return record->packet_id;
    case STORE_COPY_PUT:
        return record->qos;
    case STORE_SESSION_PUT:
    case STORE_WILL_PUT:
    case STORE_WILL_DELETE:
        return 0;
    default:
        return record->order;
    }
}

static void
model_apply(struct model *model, const struct store_record *record)
{
    uint64_t minor = minor_key(record);

    switch (record->op) {
    case STORE_SESSION_DELETE:
        model_delete(model, STORE_SESSION_PUT, record->session, 0, true);
        model_delete(model, STORE_WILL_PUT, record->session, 0, true);
        model_delete(model, STORE_RECEIVED_PUT, record->session, 0, true);
        model_delete(model, STORE_TOPIC_PUT, record->session, 0, true);
        model_delete(model, STORE_DELIVERY_PUT, record->session, 0, true);
        model_delete(model, STORE_COPY_PUT, record->session, 0, true);
        break;
    case STORE_BROKER_PUT:
        model_delete(model, STORE_INBOUND_PUT, 0, 0, true);
        model_delete(model, STORE_RELEASE_PUT, 0, 0, true);
        for (uint64_t session = 0; session <= 3; session++)
            model_delete(model, STORE_COPY_PUT, session, 0, true);
        break;
    case STORE_WILL_DELETE:
    case STORE_RECEIVED_DELETE:
    case STORE_RELEASE_DELETE:
    case STORE_MESSAGE_DELETE:
    case STORE_DELIVERY_DELETE:
    case STORE_SPOOL_DELETE:
    case STORE_INBOUND_DELETE:
        model_delete(model, record->op - 1, record->session, minor, false);
        break;
    default:
        model_delete(model, record->op, record->session, minor, false);
        CU_ASSERT_FATAL(model->count < MODEL_ROWS);
        model->rows[model->count++] =
            (struct model_row){record->op, record->session, minor, record->epoch};
    }
}

static bool
model_equal(const struct model *a, const struct model *b)
{
    size_t found = 0;

    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++)
            found += a->rows[i].put == b->rows[k].put && a->rows[i].session == b->rows[k].session &&
                     a->rows[i].minor == b->rows[k].minor &&
                     a->rows[i].content == b->rows[k].content;
    return a->count == b->count && found == a->count;
}

/* Numbers of messages, deliveries and spooled messages in a sequence. */
#define NUMBERS 64

/* Which of the three kinds whose keys are never used again; -1: another. */
static int
kind_of_number(enum store_op op)
{
    switch (op) {
    case STORE_MESSAGE_PUT:
    case STORE_MESSAGE_DELETE:
        return 0;
    case STORE_DELIVERY_PUT:
    case STORE_DELIVERY_DELETE:
        return 1;
    case STORE_SPOOL_PUT:
    case STORE_SPOOL_DELETE:
        return 2;
    default:
        return -1;
    }
}

/* A record that keeps the promises of store.h: keys of messages, deliveries and spooled messages
 * are never used again after a DELETE. Numbers may be put out of order and updated. */
static bool
random_record(struct random_source *random, struct store_record *record, bool deleted[],
              uint32_t content)
{
    static const enum store_op ops[] = {
        STORE_SESSION_PUT,     STORE_SESSION_DELETE,  STORE_WILL_PUT,     STORE_WILL_DELETE,
        STORE_RECEIVED_PUT,    STORE_RECEIVED_DELETE, STORE_TOPIC_PUT,    STORE_MESSAGE_PUT,
        STORE_MESSAGE_DELETE,  STORE_DELIVERY_PUT,    STORE_DELIVERY_PUT, STORE_DELIVERY_DELETE,
        STORE_DELIVERY_DELETE, STORE_SPOOL_PUT,       STORE_SPOOL_PUT,    STORE_SPOOL_DELETE,
        STORE_INBOUND_PUT,     STORE_INBOUND_DELETE,  STORE_RELEASE_PUT,  STORE_RELEASE_DELETE,
        STORE_BROKER_PUT,      STORE_COPY_PUT,        STORE_COPY_PUT,     STORE_COPY_PUT,
    };
    enum store_op op = ops[random_below(random, sizeof ops / sizeof ops[0])];
    /* Drifts upwards, so that most numbers are new and some are not. */
    uint32_t number = content / 4 + random_below(random, 8);
    uint16_t id = (uint16_t)(1 + random_below(random, 3));
    int kind = kind_of_number(op);

    *record = (struct store_record){.op = op, .epoch = content};
    switch (op) {
    case STORE_INBOUND_PUT:
    case STORE_INBOUND_DELETE:
    case STORE_RELEASE_PUT:
    case STORE_RELEASE_DELETE:
        record->packet_id = id;
        return true;
    case STORE_BROKER_PUT:
        return true;
    case STORE_COPY_PUT:
        record->session = random_below(random, 4);
        record->qos = (uint8_t)(1 + random_below(random, 2));
        return true;
    default:
        break;
    }
    if (kind < 0) { /* of a session */
        record->session = 1 + random_below(random, 3);
        record->topic_id = record->msg_id = id;
        return true;
    }
    if (kind == 1)
        record->session = 1 + number % 3;
    record->message = record->order = number;
    bool *gone = &deleted[kind * NUMBERS + (int)number];
    if (*gone)
        return false;
    *gone = op != STORE_MESSAGE_PUT && op != STORE_DELIVERY_PUT && op != STORE_SPOOL_PUT;
    return true;
}

static void
apply_open_batch(struct journal *journal, struct model *model)
{
    struct journal_batch batch;

    journal_take(journal, &batch);
    for (struct journal_entry *entry = batch.entries; entry != NULL; entry = entry->next)
        model_apply(model, &entry->record);
    journal_batch_fini(&batch);
}

static bool
sequence_is_faithful(struct random_source *random)
{
    static struct model plain, journaled;
    struct journal *journal = journal_new();
    bool deleted[3 * NUMBERS] = {false};

    plain.count = journaled.count = 0;
    for (uint32_t i = 0; i < 200; i++) {
        struct store_record record;
        if (!random_record(random, &record, deleted, i))
            continue;
        model_apply(&plain, &record);
        CU_ASSERT_NOT_EQUAL(journal_append(journal, &record), 0);
        if (random_below(random, 12) == 0)
            apply_open_batch(journal, &journaled);
    }
    apply_open_batch(journal, &journaled);
    journal_free(journal);
    return model_equal(&plain, &journaled);
}

static void
journal_random_sequences_lead_to_the_same_rows(void)
{
    struct random_source random = random_start("store_random", (uint64_t)time(NULL));

    for (int i = 0; i < 2000; i++)
        CU_ASSERT_FATAL(sequence_is_faithful(&random));
}

static const struct unit_test tests[] = {
    UNIT_TEST(journal_random_sequences_lead_to_the_same_rows),
};

UNIT_MAIN("store_random", tests)
