/* SPDX-License-Identifier: Apache-2.0 */
/* The filters that all devices share upstream, and the identifiers the broker has them under. */
#include "engine_private.h"

#include <stdlib.h>

enum { UPSTREAM_ID_MAX = 268435455 }; /* MQTT 5: a variable byte integer */

struct filter *
filter_find(const struct trunk *t, const struct name *name)
{
    return pointer_index_find(&t->filter_index, name->hash, name);
}

struct filter *
filter_get(struct engine *e, struct trunk *t, struct name *name)
{
    struct filter *f = filter_find(t, name);

    if (f != NULL)
        return f;
    f = pool_get(&e->pool, sizeof *f);
    if (f == NULL)
        return NULL;
    f->name = name_ref(name);
    if (!pointer_index_insert(&t->filter_index, f)) {
        name_unref(e, f->name);
        pool_put(&e->pool, f, sizeof *f);
        return NULL;
    }
    DL_APPEND(t->filters, f);
    return f;
}

static uint32_t
lowest_id(const struct filter *f)
{
    const struct filter_id *id;
    uint32_t lowest = UINT32_MAX;

    DL_FOREACH (f->ids, id)
        if (id->id < lowest)
            lowest = id->id;
    return lowest;
}

static int
compare_ids(const struct filter *a, const struct filter *b)
{
    uint32_t of_a = lowest_id(a);
    uint32_t of_b = lowest_id(b);

    return of_a < of_b ? -1 : of_a > of_b;
}

void
filters_sort(struct trunk *t)
{
    /* cppcheck-suppress nullPointer ; inside the macro, which looks before it goes on */
    DL_SORT(t->filters, compare_ids);
}

static void
filter_id_free(struct engine *e, struct trunk *t, struct filter *f, struct filter_id *id)
{
    pointer_index_remove(&t->filter_ids, id);
    DL_DELETE(f->ids, id);
    f->id_count--;
    pool_put(&e->pool, id, sizeof *id);
}

void
filter_id_store(struct filter_id *id)
{
    if (!id->stored)
        id->filter->stored_ids++;
    id->stored = true;
}

void
filter_id_give(struct trunk *t, uint32_t id)
{
    struct filter_id *entry = filter_by_id(t, id);

    if (entry != NULL)
        entry->given = true;
}

static void
filter_id_forget(struct engine *e, const struct trunk *t, struct filter_id *id, bool row)
{
    if (!id->stored)
        return;
    id->stored = false;
    id->filter->stored_ids--;
    if (row)
        record_filter_delete(e, t, id->filter, id->id);
}

/* The first of those with a row; `latest` does not count. From the end: with thousands of
 * subscribers those with a row are the last ones. NULL: none. */
static struct filter_id *
oldest_stored(const struct filter *f, uint32_t latest)
{
    struct filter_id *oldest = NULL;
    struct filter_id *id = f->ids != NULL ? f->ids->prev : NULL;

    for (size_t seen = 0; id != NULL && seen < f->stored_ids; id = id != f->ids ? id->prev : NULL) {
        seen += id->stored;
        if (id->stored && id->id != latest)
            oldest = id;
    }
    return oldest;
}

/* Messages that the broker queued a while ago carry earlier identifiers; `latest` is kept. */
static void
trim_ids(struct engine *e, const struct trunk *t, const struct filter *f, uint32_t latest)
{
    while (f->stored_ids > FILTER_IDS_SPARE) {
        struct filter_id *oldest = oldest_stored(f, latest);

        if (oldest == NULL)
            return;
        filter_id_forget(e, t, oldest, true);
    }
}

void
filter_hold(struct engine *e, struct trunk *t, struct filter *f, uint32_t id)
{
    bool held = filter_is_held(f);
    struct filter_id *entry = filter_by_id(t, id);

    if (!held)
        f->held_since = ++e->last_subscription;
    f->acked = true;
    f->leaving = false;
    f->acked_id = id;
    /* Since when it is held decides which copy of a message a session takes, after a restart too:
     * no message is acknowledged before that is durable. */
    uint64_t seq = record_filter(e, t, f, id, held);

    if (!held)
        t->route_seq = seq;
    if (entry != NULL && entry->filter == f)
        filter_id_store(entry);
    trim_ids(e, t, f, id);
}

void
filter_release(struct engine *e, struct trunk *t, struct filter *f, bool rows)
{
    struct filter_id *id;

    f->acked = false;
    f->leaving = false;
    if (rows && e->reserved_upstream_id == 0)
        upstream_ids_reserve(e); /* no row may be left that tells how far they were used */
    DL_FOREACH (f->ids, id)
        filter_id_forget(e, t, id, rows);
    filter_drop_if_unused(e, t, f);
}

void
filters_leave(struct engine *e)
{
    struct trunk *t = &e->shared;
    struct filter *f;
    struct filter *next;
    struct filter_id *id;

    DL_FOREACH_SAFE (t->filters, f, next) {
        DL_FOREACH (f->ids, id) {
            bool held = filter_is_held(f) && f->acked_id == id->id;

            if (id->stored)
                broker_keep(e, &(struct store_record){.op = STORE_FILTER_PUT,
                                                      .broker = broker_number(e),
                                                      .name = name_span(f->name),
                                                      .upstream_id = id->id,
                                                      .order = held ? f->held_since : 0});
        }
        f->held_since = 0;
        filter_release(e, t, f, false);
    }
}

bool
filter_is_held(const struct filter *f)
{
    return f->acked && !f->leaving;
}

void
filter_drop_if_unused(struct engine *e, struct trunk *t, struct filter *f)
{
    if (f->subscriptions != NULL || f->acked || f->stored_ids > 0)
        return;
    while (f->ids != NULL)
        filter_id_free(e, t, f, f->ids);
    pointer_index_remove(&t->filter_index, f);
    DL_DELETE(t->filters, f);
    name_unref(e, f->name);
    pool_put(&e->pool, f, sizeof *f);
}

struct filter_id *
filter_by_id(const struct trunk *t, uint32_t id)
{
    return pointer_index_find(&t->filter_ids, pointer_index_hash_number(id), &id);
}

static bool
filter_id_is_in_use(const struct filter *f, uint32_t id)
{
    const struct subscription *sub;

    if (f->acked && f->acked_id == id)
        return true;
    DL_FOREACH2 (f->subscriptions, sub, filter_next)
        if (sub->upstream_id == id)
            return true;
    return false;
}

bool
filter_add_id(struct engine *e, struct trunk *t, struct filter *f, uint32_t id)
{
    if (id == 0 || filter_by_id(t, id) != NULL)
        return true;
    struct filter_id *entry = pool_get(&e->pool, sizeof *entry);

    if (entry == NULL)
        return false;
    *entry = (struct filter_id){.id = id, .filter = f};
    if (!pointer_index_insert(&t->filter_ids, entry)) {
        pool_put(&e->pool, entry, sizeof *entry);
        return false;
    }
    DL_APPEND(f->ids, entry);
    f->id_count++;
    /* Messages that the broker queued earlier carry earlier identifiers; remember some of them. */
    if (f->id_count > f->subscription_count + FILTER_IDS_SPARE) {
        struct filter_id *old;
        struct filter_id *next;

        unsigned looks = 0;

        DL_FOREACH_SAFE (f->ids, old, next) {
            if (old == entry || looks++ == FILTER_ID_LOOKS)
                break;
            if (!old->stored && !filter_id_is_in_use(f, old->id)) {
                filter_id_free(e, t, f, old);
                break;
            }
            /* The next call looks at others: a filter may have a hundred thousand subscribers. */
            DL_DELETE(f->ids, old);
            DL_APPEND(f->ids, old);
        }
    }
    return true;
}

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
void
upstream_ids_renew(struct engine *e)
{
    struct session *s;
    struct subscription *sub;

    DL_FOREACH (e->sessions, s) {
        struct trunk *t = s->trunk;

        LL_FOREACH (s->subscriptions, sub) {
            const struct filter_id *id = filter_by_id(t, sub->upstream_id);

            if (id == NULL || id->filter == sub->filter)
                continue;
            sub->upstream_id = upstream_id_take(e, t);
            sub->confirmed = false;
            if (!filter_add_id(e, t, sub->filter, sub->upstream_id))
                continue; /* routed by matching */
            s->seq = record_subscription(e, sub);
        }
    }
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

/* The row that tells what its identifier means goes or changes, but the broker may have got it. */
void
filter_id_remember(struct engine *e, const struct subscription *sub)
{
    const struct trunk *t = sub->session->trunk;
    struct filter_id *id = filter_by_id(t, sub->upstream_id);

    if (id == NULL || id->stored || !id->given || id->filter != sub->filter)
        return;
    record_filter(e, t, sub->filter, id->id, true);
    filter_id_store(id);
    trim_ids(e, t, sub->filter, id->id);
}
