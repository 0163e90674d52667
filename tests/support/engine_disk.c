/* SPDX-License-Identifier: Apache-2.0 */
/* What a store would hold of the records that an engine emits. */
#include "engine_disk.h"

#include <stdlib.h>
#include <string.h>

/* ---- the tables of store.h, in the order in which they come back ---- */

enum { NO_DELETE = STORE_CLOCK_PUT + 1 };

struct table {
    enum store_op put;
    int remove; /* enum store_op */
    /* in the key */
    bool session, message, order, topic_id, msg_id, packet_id, name, upstream_id, qos;
    bool unique; /* a key is never used again */
    bool broker; /* belongs to the broker session */
};

static const struct table tables[] = {
    {.put = STORE_CLOCK_PUT, .remove = NO_DELETE},
    {.put = STORE_BROKER_PUT, .remove = NO_DELETE},
    {.put = STORE_FILTER_PUT,
     .remove = STORE_FILTER_DELETE,
     .name = true,
     .upstream_id = true,
     .broker = true},
    {.put = STORE_INBOUND_PUT, .remove = STORE_INBOUND_DELETE, .packet_id = true, .broker = true},
    {.put = STORE_SESSION_PUT, .remove = STORE_SESSION_DELETE, .session = true},
    {.put = STORE_WILL_PUT, .remove = STORE_WILL_DELETE, .session = true},
    {.put = STORE_RECEIVED_PUT, .remove = STORE_RECEIVED_DELETE, .session = true, .msg_id = true},
    {.put = STORE_TOPIC_PUT, .remove = NO_DELETE, .session = true, .topic_id = true},
    {.put = STORE_SUBSCRIPTION_PUT,
     .remove = STORE_SUBSCRIPTION_DELETE,
     .session = true,
     .name = true},
    {.put = STORE_MESSAGE_PUT, .remove = STORE_MESSAGE_DELETE, .message = true, .unique = true},
    {.put = STORE_DELIVERY_PUT,
     .remove = STORE_DELIVERY_DELETE,
     .session = true,
     .order = true,
     .unique = true},
    {.put = STORE_SPOOL_PUT, .remove = STORE_SPOOL_DELETE, .order = true, .unique = true},
    {.put = STORE_RELEASE_PUT, .remove = STORE_RELEASE_DELETE, .packet_id = true, .broker = true},
    {.put = STORE_COPY_PUT, .remove = NO_DELETE, .session = true, .qos = true, .broker = true},
};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

static const struct table *
table_of(enum store_op op)
{
    if (op == STORE_BROKER_USE || op == STORE_BROKER_DELETE)
        op = STORE_BROKER_PUT;
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (tables[i].put == op || tables[i].remove == (int)op)
            return &tables[i];
    return NULL;
}

static int
compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int
compare_names(struct dm_span a, struct dm_span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

    return order != 0 ? order : compare_numbers(a.len, b.len);
}

/* By table, then by the table's key; a DELETE is equal to the row that it takes away. */
static int
compare_keys(const struct store_record *a, const struct store_record *b)
{
    const struct table *t = table_of(a->op);
    int order = compare_numbers((uint64_t)(t - tables), (uint64_t)(table_of(b->op) - tables));

    if (order == 0 && t->session)
        order = compare_numbers(a->session, b->session);
    if (order == 0 && (t->broker || t->put == STORE_BROKER_PUT))
        order = compare_numbers(a->broker, b->broker);
    if (order == 0 && t->message)
        order = compare_numbers(a->message, b->message);
    if (order == 0 && t->order)
        order = compare_numbers(a->order, b->order);
    if (order == 0 && t->topic_id)
        order = compare_numbers(a->topic_id, b->topic_id);
    if (order == 0 && t->msg_id)
        order = compare_numbers(a->msg_id, b->msg_id);
    if (order == 0 && t->packet_id)
        order = compare_numbers(a->packet_id, b->packet_id);
    if (order == 0 && t->name)
        order = compare_names(a->name, b->name);
    if (order == 0 && t->upstream_id)
        order = compare_numbers(a->upstream_id, b->upstream_id);
    if (order == 0 && t->qos)
        order = compare_numbers(a->qos, b->qos);
    return order;
}

/* ---- rows ---- */

static struct dm_span
copy_span(struct dm_span span)
{
    uint8_t *copy = malloc(span.len + 1);

    if (copy == NULL)
        abort();
    if (span.len > 0)
        memcpy(copy, span.data, span.len);
    return dm_span(copy, span.len);
}

static void
free_row(struct disk_row *row)
{
    free((void *)(uintptr_t)row->record.client_id.data);
    free((void *)(uintptr_t)row->record.name.data);
    free((void *)(uintptr_t)row->record.payload.data);
}

static void
free_rows(struct disk_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free_row(&rows->items[i]);
    rows->count = 0;
}

/* Takes the row's spans over. */
static void
insert_row(struct disk_rows *rows, size_t at, struct disk_row row)
{
    if (rows->count == rows->room) {
        rows->room = rows->room == 0 ? 64 : rows->room * 2;
        rows->items = realloc(rows->items, rows->room * sizeof row);
        if (rows->items == NULL)
            abort();
    }
    memmove(rows->items + at + 1, rows->items + at, (rows->count - at) * sizeof row);
    rows->items[at] = row;
    rows->count++;
}

static void
remove_row(struct disk_rows *rows, size_t at)
{
    free_row(&rows->items[at]);
    rows->count--;
    memmove(rows->items + at, rows->items + at + 1, (rows->count - at) * sizeof rows->items[0]);
}

/* The place of the key among sorted rows; `found`: it is there. */
static size_t
place_of(const struct disk_rows *rows, const struct store_record *key, bool *found)
{
    size_t low = 0;
    size_t high = rows->count;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_keys(&rows->items[middle].record, key);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
remove_key(struct engine_disk *disk, const struct store_record *key)
{
    bool found;
    size_t at = place_of(&disk->rows, key, &found);

    if (found)
        remove_row(&disk->rows, at);
}

static void
remove_session(struct engine_disk *disk, uint64_t session)
{
    for (size_t i = disk->rows.count; i-- > 0;) {
        const struct store_record *record = &disk->rows.items[i].record;

        if (table_of(record->op)->session && record->session == session)
            remove_row(&disk->rows, i);
    }
}

static void
remove_broker_session(struct engine_disk *disk, uint64_t broker)
{
    for (size_t i = disk->rows.count; i-- > 0;)
        if (table_of(disk->rows.items[i].record.op)->broker &&
            disk->rows.items[i].record.broker == broker)
            remove_row(&disk->rows, i);
}

/* ---- what a record must be ---- */

static void
demand(struct engine_disk *disk, bool holds, const char *fault)
{
    if (!holds && disk->fault == NULL)
        disk->fault = fault;
}

static bool
puts_name(enum store_op op)
{
    return op == STORE_TOPIC_PUT || op == STORE_SUBSCRIPTION_PUT || op == STORE_MESSAGE_PUT ||
           op == STORE_SPOOL_PUT || op == STORE_BROKER_PUT || op == STORE_BROKER_USE;
}

static void
check_record(struct engine_disk *disk, const struct store_record *r)
{
    const struct table *t = table_of(r->op);

    demand(disk, t != NULL, "a record of no table");
    if (t == NULL)
        return;
    demand(disk, (r->session | r->message | r->order | r->content) >> 63 == 0,
           "a number that the store does not hold");
    demand(disk, !t->session || r->session != 0 || r->op == STORE_COPY_PUT, "a row of no session");
    demand(disk, !t->message || r->message != 0, "a message without a number");
    demand(disk, !t->packet_id || r->packet_id != 0, "a row of no packet id");
    demand(disk, (r->broker | r->upstream_id) >> 63 == 0 && r->upstream <= 2,
           "a number that the store does not hold");
    demand(disk, r->qos <= 2, "a QoS that does not exist");
    if (r->op == STORE_SESSION_PUT) {
        demand(disk, r->client_id.len > 0 && r->client_id.len <= MQTTSN_CLIENT_ID_MAX,
               "a client id that cannot be");
        demand(disk, r->mode < ENGINE_AWAKE, "a mode that is not recorded");
    }
    demand(disk, r->op != STORE_DELIVERY_PUT || r->qos == 0 || r->msg_id != 0,
           "a delivery without its MsgId");
    demand(disk, !puts_name(r->op) || r->name.len > 0, "a row without its name");
}

/* ---- becoming durable ---- */

static void
put(struct engine_disk *disk, const struct disk_row *row)
{
    const struct store_record *record = &row->record;
    bool found;
    size_t at;

    if (table_of(record->op)->unique) {
        place_of(&disk->used, record, &found);
        demand(disk, !found, "a key that was deleted comes again");
    }
    if (record->op == STORE_BROKER_PUT)
        remove_broker_session(disk, record->broker);
    at = place_of(&disk->rows, record, &found);
    if (found) {
        const struct store_record *old = &disk->rows.items[at].record;

        demand(disk, record->op != STORE_DELIVERY_PUT || old->message == record->message,
               "a delivery changes its message");
        remove_row(&disk->rows, at);
    }
    insert_row(&disk->rows, at, *row);
    if (record->op == STORE_BROKER_USE)
        disk->rows.items[at].record.op = STORE_BROKER_PUT;
}

/* Takes the row's spans over. */
static void
apply(struct engine_disk *disk, struct disk_row *row)
{
    const struct table *t = table_of(row->record.op);
    bool found;

    if (t == NULL) {
        free_row(row);
        return;
    }
    if (row->record.op == t->put || row->record.op == STORE_BROKER_USE) {
        put(disk, row);
        return;
    }
    if (row->record.op == STORE_BROKER_DELETE)
        remove_broker_session(disk, row->record.broker);
    if (row->record.op == STORE_SESSION_DELETE)
        remove_session(disk, row->record.session);
    else
        remove_key(disk, &row->record);
    size_t at = place_of(&disk->used, &row->record, &found);

    if (t->unique && !found)
        insert_row(&disk->used, at, *row);
    else
        free_row(row);
}

uint64_t
engine_disk_append(struct engine_disk *disk, const struct engine_effect *effect)
{
    struct disk_row row = {.record = effect->record,
                           .address = effect->address,
                           .has_address = effect->has_address,
                           .seq = ++disk->seq};

    check_record(disk, &row.record);
    row.record.client_id = copy_span(row.record.client_id);
    row.record.name = copy_span(row.record.name);
    row.record.payload = copy_span(row.record.payload);
    insert_row(&disk->waiting, disk->waiting.count, row);
    return disk->seq;
}

void
engine_disk_end_turn(struct engine_disk *disk)
{
    for (size_t i = disk->waiting.count; i-- > 0 && disk->waiting.items[i].turn_seq == 0;)
        disk->waiting.items[i].turn_seq = disk->seq;
}

uint64_t
engine_disk_commit(struct engine_disk *disk, uint64_t seq)
{
    size_t applied = 0;
    uint64_t end = 0;

    for (; applied < disk->waiting.count; applied++) {
        struct disk_row *row = &disk->waiting.items[applied];

        if (row->turn_seq == 0 || (row->seq > seq && row->turn_seq > end))
            break;
        end = row->turn_seq;
        disk->committed = row->seq;
        apply(disk, row);
    }
    if (applied == 0)
        return disk->committed;
    disk->waiting.count -= applied;
    memmove(disk->waiting.items, disk->waiting.items + applied,
            disk->waiting.count * sizeof disk->waiting.items[0]);
    return disk->committed;
}

void
engine_disk_crash(struct engine_disk *disk)
{
    free_rows(&disk->waiting);
    free_rows(&disk->used);
    disk->seq = 0;
    disk->committed = 0;
}

enum dm_result
engine_disk_load(const struct engine_disk *disk, struct engine *engine)
{
    for (size_t i = 0; i < disk->rows.count; i++) {
        const struct disk_row *row = &disk->rows.items[i];
        enum dm_result result =
            engine_load(engine, &row->record, row->has_address ? &row->address : NULL);

        if (result != DM_OK)
            return result;
    }
    return DM_OK;
}

void
engine_disk_init(struct engine_disk *disk)
{
    *disk = (struct engine_disk){0};
}

void
engine_disk_fini(struct engine_disk *disk)
{
    free_rows(&disk->rows);
    free_rows(&disk->waiting);
    free_rows(&disk->used);
    free(disk->rows.items);
    free(disk->waiting.items);
    free(disk->used.items);
}
