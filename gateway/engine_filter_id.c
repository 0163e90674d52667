/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which filter an identifier means that the broker puts on a message. That of a subscription is
 * found by the subscription. All others have entries: messages that the broker queued earlier carry
 * earlier identifiers. What each of them means has to be known after a crash too: by the row of the
 * subscription or one of its own.
 */
#include "engine_private.h"

#include <stdlib.h>

enum {
    UPSTREAM_ID_GAP = 65536,     /* identifiers left out at a start */
    UPSTREAM_ID_MAX = 268435455, /* MQTT 5: a variable byte integer */
    ENTRIES_MAX = 16,            /* of one filter */
};

/* ---- what they mean ---- */

static struct filter_id *
entry_find(const struct trunk *t, uint32_t id)
{
    return pointer_index_find(&t->filter_ids, pointer_index_hash_number(id), &id);
}

struct subscription *
subscription_by_id(const struct trunk *t, uint32_t id)
{
    return pointer_index_find(&t->subscription_ids, pointer_index_hash_number(id), &id);
}

struct filter *
filter_by_id(const struct trunk *t, uint32_t id)
{
    const struct subscription *sub = subscription_by_id(t, id);
    const struct filter_id *entry = sub == NULL ? entry_find(t, id) : NULL;

    if (entry != NULL)
        return entry->filter;
    return sub != NULL ? sub->filter : NULL;
}

static void
entry_free(struct engine *e, struct trunk *t, struct filter_id *entry)
{
    pointer_index_remove(&t->filter_ids, entry);
    DL_DELETE(entry->filter->ids, entry);
    pool_put(&e->pool, entry, sizeof *entry);
}

/* NULL: no memory. */
static struct filter_id *
entry_new(struct engine *e, struct trunk *t, struct filter *f, uint32_t id)
{
    struct filter_id *entry = pool_get(&e->pool, sizeof *entry);

    if (entry == NULL)
        return NULL;
    *entry = (struct filter_id){.id = id, .filter = f};
    if (!pointer_index_insert(&t->filter_ids, entry)) {
        pool_put(&e->pool, entry, sizeof *entry);
        return NULL;
    }
    DL_APPEND(f->ids, entry);
    return entry;
}

static void
entry_forget(struct engine *e, struct trunk *t, struct filter_id *entry)
{
    if (entry->stored)
        record_filter_delete(e, t, entry->filter, entry->id);
    entry_free(e, t, entry);
}

/* The oldest go; that which the filter is held under stays. */
static void
trim(struct engine *e, struct trunk *t, const struct filter *f)
{
    struct filter_id *entry;
    struct filter_id *next;
    size_t count;

    DL_COUNT(f->ids, entry, count);
    DL_FOREACH_SAFE (f->ids, entry, next) {
        if (count <= ENTRIES_MAX)
            return;
        if (f->acked && entry->id == f->acked_id)
            continue;
        entry_forget(e, t, entry);
        count--;
    }
}

/* ---- rows ---- */

bool
filter_id_know(struct engine *e, struct trunk *t, struct filter *f, uint32_t id)
{
    if (id == 0 || filter_by_id(t, id) != NULL)
        return true;
    if (entry_new(e, t, f, id) == NULL)
        return false;
    trim(e, t, f);
    return true;
}

bool
filter_id_has_row(struct engine *e, struct trunk *t, struct filter *f, uint32_t id)
{
    struct filter_id *entry = entry_find(t, id);
    const struct subscription *sub = subscription_by_id(t, id);
    const struct filter *known = filter_by_id(t, id);

    if (known != NULL && known != f)
        return true; /* no row of ours can say so: it means the other one */
    if (sub != NULL && f->acked && f->acked_id == id) {
        if (entry != NULL)
            entry_free(e, t, entry);
        f->acked_row = true;
        return true;
    }
    if (entry == NULL)
        entry = entry_new(e, t, f, id);
    if (entry == NULL)
        return false;
    entry->stored = true;
    if (f->acked_id == id)
        f->acked_row = false;
    return true;
}

/* The row of what the filter is held under gets an entry. False: no memory. */
static bool
row_to_entry(struct engine *e, struct trunk *t, struct filter *f)
{
    struct filter_id *entry = entry_find(t, f->acked_id);

    if (entry == NULL)
        entry = entry_new(e, t, f, f->acked_id);
    if (entry == NULL)
        return false;
    entry->stored = true;
    f->acked_row = false;
    return true;
}

void
filter_id_hold(struct engine *e, struct trunk *t, struct filter *f, uint32_t id)
{
    if (f->acked_row && f->acked_id != id && !row_to_entry(e, t, f)) {
        record_filter_delete(e, t, f, f->acked_id); /* the subscription's row has to do */
        f->acked_row = false;
    }
    f->acked = true;
    f->acked_id = id;
}

void
filter_id_stored(struct engine *e, struct trunk *t, struct filter *f, uint32_t id)
{
    if (!filter_id_has_row(e, t, f, id))
        record_filter_delete(e, t, f, id); /* nobody would */
    trim(e, t, f);
}

bool
filter_has_rows(const struct filter *f)
{
    const struct filter_id *entry;

    DL_FOREACH (f->ids, entry)
        if (entry->stored)
            return true;
    return f->acked_row;
}

void
filter_ids_unstore(struct engine *e, const struct trunk *t, struct filter *f)
{
    struct filter_id *entry;

    if (e->reserved_upstream_id == 0)
        upstream_ids_reserve(e); /* no row may be left that tells how far they were used */
    if (f->acked_row)
        record_filter_delete(e, t, f, f->acked_id);
    f->acked_row = false;
    DL_FOREACH (f->ids, entry) {
        if (entry->stored)
            record_filter_delete(e, t, f, entry->id);
        entry->stored = false;
    }
}

void
filter_ids_free(struct engine *e, struct trunk *t, struct filter *f)
{
    while (f->ids != NULL)
        entry_free(e, t, f->ids);
    f->acked_row = false;
}

static void
keep_row(struct engine *e, const struct filter *f, uint32_t id)
{
    bool held = filter_is_held(f) && f->acked_id == id;

    broker_keep(e, &(struct store_record){.op = STORE_FILTER_PUT,
                                          .broker = broker_number(e),
                                          .name = name_span(f->name),
                                          .upstream_id = id,
                                          .order = held ? f->held_since : 0});
}

void
filter_ids_keep(struct engine *e, const struct filter *f)
{
    const struct filter_id *entry;

    DL_FOREACH (f->ids, entry)
        if (entry->stored)
            keep_row(e, f, entry->id);
    if (f->acked_row)
        keep_row(e, f, f->acked_id);
}

/* ---- of subscriptions ---- */

bool
subscription_identify(struct engine *e, struct subscription *sub, uint32_t id)
{
    struct trunk *t = sub->session->trunk;
    const struct filter *known = filter_by_id(t, id);
    const struct filter_id *entry = entry_find(t, id);

    pointer_index_remove(&t->subscription_ids, sub);
    sub->upstream_id = id;
    sub->given = false;
    if (id == 0 || (known != NULL && known != sub->filter))
        return true;
    if (!pointer_index_insert(&t->subscription_ids, sub))
        return false;
    if (entry != NULL && entry->stored)
        filter_id_has_row(e, t, sub->filter, id); /* perhaps without an entry from now on */
    return true;
}

void
subscription_forget_id(struct engine *e, struct subscription *sub)
{
    struct trunk *t = sub->session->trunk;
    struct filter *f = sub->filter;
    uint32_t id = sub->upstream_id;
    bool is_known = subscription_by_id(t, id) == sub;

    pointer_index_remove(&t->subscription_ids, sub);
    if (!is_known || !sub->given || entry_find(t, id) != NULL)
        return;
    if (!f->acked_row || f->acked_id != id)
        record_filter(e, t, f, id, true);
    else if (!row_to_entry(e, t, f))
        return; /* it is not known, but held after a start */
    filter_id_stored(e, t, f, id);
}

/* ---- new ones ---- */

void
upstream_ids_start(struct engine *e)
{
    uint32_t last = e->reserved_upstream_id != 0 ? e->reserved_upstream_id : e->last_upstream_id;

    /* Rows of what was asked for last may be gone or were not written yet; that is at most as many
     * as there are packet ids. Such an identifier given to another filter would misdirect messages.
     */
    if (last == 0)
        return;
    e->last_upstream_id = last + UPSTREAM_ID_GAP <= UPSTREAM_ID_MAX ? last + UPSTREAM_ID_GAP : 1;
}

/* The broker may hold that of a subscription under the filter that it was before the configuration
 * of names changed. */
static void
renew_id(struct engine *e, struct subscription *sub)
{
    struct session *s = sub->session;

    sub->confirmed = false;
    if (subscription_identify(e, sub, upstream_id_take(e, s->trunk))) /* else by matching */
        s->seq = record_subscription(e, sub);
}

void
upstream_ids_renew(struct engine *e)
{
    struct session *s;
    struct subscription *sub;

    DL_FOREACH (e->sessions, s) {
        LL_FOREACH (s->subscriptions, sub) {
            const struct filter *known = filter_by_id(s->trunk, sub->upstream_id);

            if (known != NULL && known != sub->filter)
                renew_id(e, sub);
        }
    }
}

void
subscription_yield_id(struct engine *e, struct trunk *t, uint32_t id, const struct filter *f)
{
    struct subscription *sub = subscription_by_id(t, id);

    if (sub != NULL && sub->filter != f)
        renew_id(e, sub);
}

void
upstream_ids_reserve(struct engine *e)
{
    e->reserved_upstream_id = e->last_upstream_id;
    record_reserved_id(e, e->reserved_upstream_id);
}

uint32_t
upstream_id_take(struct engine *e, const struct trunk *t)
{
    do
        e->last_upstream_id = e->last_upstream_id >= UPSTREAM_ID_MAX ? 1 : e->last_upstream_id + 1;
    while (filter_by_id(t, e->last_upstream_id) != NULL);
    if (e->last_upstream_id < e->reserved_upstream_id ||
        e->last_upstream_id >= e->reserved_upstream_id + UPSTREAM_ID_GAP / 2)
        upstream_ids_reserve(e);
    return e->last_upstream_id;
}
