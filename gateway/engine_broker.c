/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each broker holds of ours (design 6). The engine works with the state of one, the current
 * one; that of the others waits as rows, as on disk, until they are connected to again.
 *
 * A message of QoS 2 whose exchange with a broker is open when another one is entered goes there as
 * well; the packet id stays reserved in a row. Back at the first one the same message goes on under
 * the same id, or, if it is done meanwhile, a PUBREL ends the exchange: each broker gets it once.
 */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

static const char *
key_of(const struct engine *e, size_t index)
{
    return e->options->broker_keys[index];
}

static struct broker *
broker_find(const struct engine *e, struct dm_span key)
{
    for (size_t i = 0; i < BROKERS_MAX; i++) {
        const struct broker *b = &e->brokers[i];

        if (b->key != NULL && dm_span_equal(dm_span_text(b->key), key))
            return (struct broker *)(uintptr_t)b;
    }
    return NULL;
}

static void
free_rows(struct broker *b)
{
    while (b->rows != NULL) {
        struct kept_row *row = b->rows;

        b->rows = row->next;
        free(row);
    }
    b->last_row = NULL;
}

static void
broker_clear(struct broker *b)
{
    free_rows(b);
    free(b->copied_key);
    *b = (struct broker){0};
}

void
brokers_free(struct engine *e)
{
    for (size_t i = 0; i < BROKERS_MAX; i++)
        broker_clear(&e->brokers[i]);
}

void
brokers_reconfigure(struct engine *e, const struct engine_options *old)
{
    for (size_t i = 0; i < BROKERS_MAX; i++)
        for (size_t n = 0; n < old->broker_count; n++)
            if (e->brokers[i].key == old->broker_keys[n])
                e->brokers[i].key = key_of(e, n);
}

static bool
is_configured(const struct engine *e, const struct broker *b)
{
    for (size_t i = 0; i < e->options->broker_count; i++)
        if (strcmp(key_of(e, i), b->key) == 0)
            return true;
    return false;
}

uint64_t
trunk_broker(const struct engine *e, const struct trunk *t)
{
    return t->connection == 0 ? broker_number(e) : STORE_OWN_BROKERS + t->connection;
}

uint32_t
broker_number(const struct engine *e)
{
    return e->broker != NULL ? (uint32_t)(e->broker - e->brokers) : 0;
}

bool
broker_is_known(const struct engine *e)
{
    return e->broker != NULL && e->broker->used != 0;
}

bool
broker_is_current(const struct engine *e, uint64_t number)
{
    return broker_is_known(e) && number == broker_number(e);
}

bool
engine_needs_clean_start(const struct engine *e, size_t broker)
{
    const struct broker *b = broker_find(e, dm_span_text(key_of(e, broker)));

    return b == NULL || b->used == 0;
}

/* ---- rows ---- */

static enum dm_result
keep_row(struct broker *b, const struct store_record *record)
{
    struct kept_row *row = malloc(sizeof *row + record->name.len + record->payload.len);

    if (row == NULL)
        return DM_NO_MEMORY;
    *row = (struct kept_row){.record = *record};
    if (record->name.len > 0)
        memcpy(row->octets, record->name.data, record->name.len);
    if (record->payload.len > 0)
        memcpy(row->octets + record->name.len, record->payload.data, record->payload.len);
    row->record.name.data = row->octets;
    row->record.payload.data = row->octets + record->name.len;
    if (b->last_row != NULL)
        b->last_row->next = row;
    else
        b->rows = row;
    b->last_row = row;
    return DM_OK;
}

void
broker_keep(struct engine *e, const struct store_record *record)
{
    if (keep_row(e->broker, record) != DM_OK)
        log_error("upstream", "out of memory: a message of this broker may come twice");
}

enum dm_result
broker_load(struct engine *e, const struct store_record *record)
{
    if (record->broker >= BROKERS_MAX || record->name.len == 0)
        return DM_MALFORMED;
    struct broker *b = &e->brokers[record->broker];

    broker_clear(b);
    b->copied_key = malloc(record->name.len + 1);
    if (b->copied_key == NULL)
        return DM_NO_MEMORY;
    memcpy(b->copied_key, record->name.data, record->name.len);
    b->copied_key[record->name.len] = '\0';
    b->key = b->copied_key;
    b->used = record->order + 1; /* 0 is that of a store that knew one broker only */
    if (b->used > e->broker_uses) {
        e->broker_uses = b->used;
        e->broker = b; /* whose packet ids are in the spool */
    }
    return DM_OK;
}

/* The numbers in it are not given again. */
static void
note_numbers(struct engine *e, const struct store_record *record)
{
    if (record->op != STORE_FILTER_PUT)
        return;
    if (record->order > e->last_subscription)
        e->last_subscription = record->order;
    if (record->upstream_id > e->last_upstream_id)
        e->last_upstream_id = record->upstream_id;
}

enum dm_result
broker_load_row(struct engine *e, const struct store_record *record)
{
    struct broker *b = &e->brokers[record->broker % BROKERS_MAX];

    if (record->broker >= BROKERS_MAX || b->key == NULL)
        return DM_OK; /* whose it is nobody knows; nothing follows from it */
    note_numbers(e, record);
    return keep_row(b, record);
}

/* ---- from one to another ---- */

static void
leave(struct engine *e)
{
    uplinks_leave(e);
    inbound_leave(e);
    filters_leave(e);
    route_leave(e);
    memset(e->packet_ids, 0, sizeof e->packet_ids);
    e->shared.packet_ids_used = 0;
}

/* The place of one that is not known: a free one, or that which was not used for the longest time
 * and is not configured any more; there are more places than URLs. */
static struct broker *
find_place(struct engine *e)
{
    struct broker *oldest = NULL;

    for (size_t i = 0; i < BROKERS_MAX; i++) {
        struct broker *b = &e->brokers[i];

        if (b->key == NULL)
            return b;
        if (b != e->broker && !is_configured(e, b) && (oldest == NULL || b->used < oldest->used))
            oldest = b;
    }
    return oldest;
}

static void
take_rows(struct engine *e)
{
    struct kept_row *row;
    enum dm_result result = DM_OK;

    LL_FOREACH (e->broker->rows, row) {
        const struct store_record *record = &row->record;

        if (record->op == STORE_FILTER_PUT)
            result = filter_load(e, &e->shared, record);
        else if (record->op == STORE_INBOUND_PUT)
            result =
                inbound_load(&e->shared, record->packet_id, record->content) ? DM_OK : DM_NO_MEMORY;
        else if (record->op == STORE_RELEASE_PUT)
            result = uplink_take_release(e, record);
        else
            result = route_load(e, &e->shared, record);
        if (result == DM_NO_MEMORY)
            log_error("upstream", "out of memory: a message of this broker may come twice");
    }
    free_rows(e->broker);
    filters_review(&e->shared);
}

/* It was never subscribed to, and has retained messages of its own. */
static void
doubt_subscriptions(struct engine *e)
{
    struct session *s;
    struct subscription *sub;

    DL_FOREACH (e->sessions, s)
        LL_FOREACH (s->subscriptions, sub)
            sub->confirmed = sub->confirmed && s->trunk != &e->shared;
}

void
broker_enter(struct engine *e, size_t index)
{
    struct broker *b = broker_find(e, dm_span_text(key_of(e, index)));

    if (b == NULL) {
        b = find_place(e);
        broker_clear(b);
        b->key = key_of(e, index);
    }
    if (b == e->broker)
        return;
    if (e->broker != NULL)
        leave(e);
    e->broker = b;
    take_rows(e);
    if (b->used == 0) {
        doubt_subscriptions(e);
        return; /* its row is made with its session */
    }
    b->used = ++e->broker_uses;
    /* Packet ids in the spool are those of this broker from now on. */
    e->shared.broker_seq = record_broker(e, STORE_BROKER_USE);
}
