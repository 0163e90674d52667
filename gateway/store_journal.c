/* SPDX-License-Identifier: Apache-2.0 */
/* The open batch of the store: copies records and drops those that a later one overtakes. */
#include "store_journal.h"

#include <assert.h>
#include <stdlib.h>

/* An entry that finds no memory for the index is merely written instead of overtaken. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

enum {
    SPARE_OCTETS = 128, /* of spans, that every entry has room for */
    SPARES_MAX = 512,   /* entries kept for later: some 200 kB */
};

/* No padding: hashed and compared as octets. */
struct journal_key {
    uint64_t kind; /* the PUT operation */
    uint64_t major, minor;
};

struct indexed_entry {
    struct journal_entry entry; /* first: an entry is freed by its address */
    struct journal_key key;
    bool fresh; /* no row of this key can be in the database */
    bool large; /* room for more than SPARE_OCTETS */
    UT_hash_handle hh;
};

/* Kinds whose keys are never used again, and their highest numbers. */
enum counted_kind { COUNTED_MESSAGE, COUNTED_DELIVERY, COUNTED_SPOOL, COUNTED_KINDS };

struct journal {
    struct journal_batch open;
    struct indexed_entry *puts; /* PUTs of the open batch with numeric keys */
    struct journal_batch spare; /* entries without a meaning */
    uint64_t appended, annihilated;
    uint64_t highest[COUNTED_KINDS];       /* of everything appended or loaded */
    uint64_t highest_taken[COUNTED_KINDS]; /* the same without the open batch */
};

struct journal *
journal_new(void)
{
    return calloc(1, sizeof(struct journal));
}

void
journal_free(struct journal *journal)
{
    if (journal == NULL)
        return;
    struct journal_batch batch;
    journal_take(journal, &batch);
    journal_batch_fini(&batch);
    journal_batch_fini(&journal->spare);
    free(journal);
}

/* False: a kind whose records are kept one by one. `kind` becomes the PUT of a DELETE. */
static bool
key_of(const struct store_record *record, struct journal_key *key)
{
    switch (record->op) {
    case STORE_SESSION_PUT:
        *key = (struct journal_key){STORE_SESSION_PUT, record->session, 0};
        return true;
    case STORE_WILL_PUT:
    case STORE_WILL_DELETE:
        *key = (struct journal_key){STORE_WILL_PUT, record->session, 0};
        return true;
    case STORE_RECEIVED_PUT:
    case STORE_RECEIVED_DELETE:
        *key = (struct journal_key){STORE_RECEIVED_PUT, record->session, record->msg_id};
        return true;
    case STORE_TOPIC_PUT:
        *key = (struct journal_key){STORE_TOPIC_PUT, record->session, record->topic_id};
        return true;
    case STORE_MESSAGE_PUT:
    case STORE_MESSAGE_DELETE:
        *key = (struct journal_key){STORE_MESSAGE_PUT, record->message, 0};
        return true;
    case STORE_DELIVERY_PUT:
    case STORE_DELIVERY_DELETE:
        *key = (struct journal_key){STORE_DELIVERY_PUT, record->session, record->order};
        return true;
    case STORE_SPOOL_PUT:
    case STORE_SPOOL_DELETE:
        *key = (struct journal_key){STORE_SPOOL_PUT, record->order, 0};
        return true;
    case STORE_INBOUND_PUT:
    case STORE_INBOUND_DELETE:
        *key = (struct journal_key){STORE_INBOUND_PUT, record->broker, record->packet_id};
        return true;
    case STORE_RELEASE_PUT:
    case STORE_RELEASE_DELETE:
        *key = (struct journal_key){STORE_RELEASE_PUT, record->broker, record->packet_id};
        return true;
    case STORE_COPY_PUT:
        *key = (struct journal_key){STORE_COPY_PUT, record->session,
                                    (uint64_t)record->broker << 8 | record->qos};
        return true;
    case STORE_SESSION_DELETE: /* takes more than its own row away: always kept */
    case STORE_SUBSCRIPTION_PUT:
    case STORE_SUBSCRIPTION_DELETE:
    case STORE_FILTER_PUT:
    case STORE_FILTER_DELETE:
    case STORE_BROKER_PUT:
    case STORE_BROKER_USE:
    case STORE_BROKER_DELETE:
    case STORE_CLOCK_PUT:
        return false;
    }
    return false;
}

/* The counter of a PUT and its number; false: a kind whose keys come again. */
static bool
counted(const struct store_record *record, enum counted_kind *kind, uint64_t *number)
{
    switch (record->op) {
    case STORE_MESSAGE_PUT:
        *kind = COUNTED_MESSAGE;
        *number = record->message;
        return true;
    case STORE_DELIVERY_PUT: /* its order counts within a session only, its message everywhere */
        *kind = COUNTED_DELIVERY;
        *number = record->message;
        return true;
    case STORE_SPOOL_PUT:
        *kind = COUNTED_SPOOL;
        *number = record->order;
        return true;
    default:
        return false;
    }
}

void
journal_note_row(struct journal *journal, const struct store_record *record)
{
    enum counted_kind kind;
    uint64_t number;

    if (!counted(record, &kind, &number))
        return;
    if (journal->highest[kind] < number)
        journal->highest[kind] = number;
    if (journal->highest_taken[kind] < number)
        journal->highest_taken[kind] = number;
}

/* Remembers the number of a PUT; true if no earlier batch can have made its row. */
static bool
note_put(struct journal *journal, const struct store_record *record)
{
    enum counted_kind kind;
    uint64_t number;

    if (!counted(record, &kind, &number))
        return false;
    if (journal->highest[kind] < number)
        journal->highest[kind] = number;
    return number > journal->highest_taken[kind];
}

static struct dm_span
copy_span(struct dm_span from, uint8_t **to)
{
    struct dm_span copy = dm_span(*to, from.len);

    if (from.len > 0)
        memcpy(*to, from.data, from.len);
    *to += from.len;
    return copy;
}

/* One allocation: the entry, then room for the octets of its spans. */
static struct indexed_entry *
entry_with_room(struct journal *journal, size_t octets)
{
    struct journal_entry *spare = journal->spare.entries;
    struct indexed_entry *indexed;

    if (octets <= SPARE_OCTETS && spare != NULL) {
        DL_DELETE(journal->spare.entries, spare);
        journal->spare.count--;
        return (struct indexed_entry *)spare;
    }
    indexed = malloc(sizeof *indexed + (octets > SPARE_OCTETS ? octets : SPARE_OCTETS));
    if (indexed != NULL)
        indexed->large = octets > SPARE_OCTETS;
    return indexed;
}

static void
entry_free(struct journal *journal, struct indexed_entry *indexed)
{
    if (indexed->large || journal->spare.count >= SPARES_MAX) {
        free(indexed);
        return;
    }
    DL_PREPEND(journal->spare.entries, &indexed->entry);
    journal->spare.count++;
}

static struct indexed_entry *
entry_new(struct journal *journal, const struct store_record *record)
{
    struct indexed_entry *indexed =
        entry_with_room(journal, record->client_id.len + record->name.len + record->payload.len +
                                     record->address.len);

    if (indexed == NULL)
        return NULL;
    uint8_t *end = (uint8_t *)(indexed + 1);
    struct store_record *copy = &indexed->entry.record;
    *copy = *record;
    copy->client_id = copy_span(record->client_id, &end);
    copy->name = copy_span(record->name, &end);
    copy->payload = copy_span(record->payload, &end);
    copy->address = copy_span(record->address, &end);
    return indexed;
}

static void
drop(struct journal *journal, struct indexed_entry *indexed)
{
    HASH_DEL(journal->puts, indexed);
    DL_DELETE(journal->open.entries, &indexed->entry);
    journal->open.count--;
    entry_free(journal, indexed);
}

/* Drops the PUT that a record of this key overtakes. True: its DELETE is not needed either. */
static bool
overtake(struct journal *journal, const struct store_record *record, const struct journal_key *key)
{
    bool deletes = record->op != (enum store_op)key->kind;
    struct indexed_entry *put;

    HASH_FIND(hh, journal->puts, key, sizeof *key, put);
    if (put == NULL)
        return false;
    bool vanishes = deletes && put->fresh;
    if (deletes)
        journal->annihilated++;
    drop(journal, put);
    return vanishes;
}

static void
add(struct journal *journal, struct indexed_entry *indexed, const struct journal_key *key)
{
    const struct store_record *record = &indexed->entry.record;
    struct journal_entry *entry = &indexed->entry;

    DL_APPEND(journal->open.entries, entry);
    journal->open.count++;
    if (key == NULL || record->op != (enum store_op)key->kind)
        return;
    indexed->key = *key;
    indexed->fresh = note_put(journal, record);
    HASH_ADD(hh, journal->puts, key, sizeof indexed->key, indexed);
}

uint64_t
journal_append(struct journal *journal, const struct store_record *record)
{
    assert(record->op <= STORE_CLOCK_PUT);
    assert(record->content <= INT64_MAX); /* a hash, and the only number that does not count up */
    struct journal_key key;
    bool keyed = key_of(record, &key);
    /* First, so that a failure changes nothing. */
    struct indexed_entry *indexed = entry_new(journal, record);

    if (indexed == NULL)
        return 0;
    if (keyed && overtake(journal, record, &key))
        entry_free(journal, indexed);
    else
        add(journal, indexed, keyed ? &key : NULL);
    journal->open.last = ++journal->appended;
    return journal->appended;
}

void
journal_take(struct journal *journal, struct journal_batch *batch)
{
    HASH_CLEAR(hh, journal->puts);
    memcpy(journal->highest_taken, journal->highest, sizeof journal->highest_taken);
    *batch = journal->open;
    journal->open = (struct journal_batch){0};
}

void
journal_batch_fini(struct journal_batch *batch)
{
    struct journal_entry *entry, *next;

    DL_FOREACH_SAFE (batch->entries, entry, next)
        free(entry);
    *batch = (struct journal_batch){0};
}

void
journal_batch_trim(struct journal_batch *batch)
{
    struct journal_entry *entry, *next;

    DL_FOREACH_SAFE (batch->entries, entry, next) {
        if (!((const struct indexed_entry *)entry)->large && batch->count <= SPARES_MAX)
            continue;
        DL_DELETE(batch->entries, entry);
        batch->count--;
        free(entry);
    }
}

void
journal_give_back(struct journal *journal, struct journal_batch *batch)
{
    if (journal->spare.count + batch->count <= SPARES_MAX) {
        DL_CONCAT(journal->spare.entries, batch->entries);
        journal->spare.count += batch->count;
        *batch = (struct journal_batch){0};
    }
    journal_batch_fini(batch);
}

uint64_t
journal_appended(const struct journal *journal)
{
    return journal->appended;
}

uint64_t
journal_annihilated(const struct journal *journal)
{
    return journal->annihilated;
}

size_t
journal_count(const struct journal *journal)
{
    return journal->open.count;
}

bool
journal_pending(const struct journal *journal)
{
    return journal->open.last != 0;
}
