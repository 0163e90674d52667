/* SPDX-License-Identifier: Apache-2.0 */
/* The filters that all devices share upstream. */
#include "engine_private.h"

#include <stdlib.h>

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
    if (!shape_note(t, name_span(name)))
        return NULL;
    f = pool_get(&e->pool, sizeof *f);
    if (f == NULL) {
        shape_forget(t, name_span(name));
        return NULL;
    }
    f->name = name_ref(name);
    if (!pointer_index_insert(&t->filter_index, f)) {
        shape_forget(t, name_span(name));
        name_unref(e, f->name);
        pool_put(&e->pool, f, sizeof *f);
        return NULL;
    }
    return f;
}

struct filter *
filter_next(const struct trunk *t, struct pointer_index_place *at)
{
    return pointer_index_next(&t->filter_index, at);
}

/* Since when the broker holds it. Those that it does not hold come later than all others, for rows
 * tell of no age. */
static uint64_t
since(const struct filter *f)
{
    const uint64_t later = UINT64_MAX / 2;

    if (f->held_since != 0)
        return filter_is_held(f) ? f->held_since : later + f->held_since;
    return f->subscriptions != NULL ? later + f->subscriptions->order : UINT64_MAX;
}

static int
compare_since(const void *a, const void *b)
{
    uint64_t of_a = since(*(struct filter *const *)a);
    uint64_t of_b = since(*(struct filter *const *)b);

    return of_a < of_b ? -1 : of_a > of_b;
}

struct filter **
filters_by_age(const struct trunk *t)
{
    struct filter **filters = malloc((t->filter_index.count + 1) * sizeof(struct filter *));
    size_t count = 0;

    if (filters == NULL)
        return NULL;
    for (struct pointer_index_place at = {0}; count < t->filter_index.count;)
        filters[count++] = filter_next(t, &at);
    qsort(filters, count, sizeof(struct filter *), compare_since);
    filters[count] = NULL;
    return filters;
}

void
filter_hold(struct engine *e, struct trunk *t, struct filter *f, uint32_t id)
{
    bool held = filter_is_held(f);

    if (!held)
        f->held_since = ++e->last_subscription;
    f->leaving = false;
    filter_id_hold(e, t, f, id);
    /* Since when it is held decides which copy of a message a session takes, after a restart too:
     * no message is acknowledged before that is durable. */
    uint64_t seq = record_filter(e, t, f, id, held);

    if (!held)
        t->route_seq = seq;
    filter_id_stored(e, t, f, id);
}

void
filter_release(struct engine *e, struct trunk *t, struct filter *f, bool rows)
{
    f->acked = false;
    f->leaving = false;
    if (rows)
        filter_ids_unstore(e, t, f);
    else
        filter_ids_free(e, t, f);
    filter_drop_if_unused(e, t, f);
}

void
filters_leave(struct engine *e)
{
    struct trunk *t = &e->shared;
    struct filter *f;

    for (struct pointer_index_place at = {0}; (f = filter_next(t, &at)) != NULL;) {
        filter_ids_keep(e, f);
        f->held_since = 0;
        filter_release(e, t, f, false);
    }
}

void
filters_review(struct trunk *t)
{
    struct filter *f;

    for (struct pointer_index_place at = {0}; (f = filter_next(t, &at)) != NULL;)
        f->leaving = f->subscriptions == NULL;
}

bool
filter_is_held(const struct filter *f)
{
    return f->acked && !f->leaving;
}

void
filter_drop_if_unused(struct engine *e, struct trunk *t, struct filter *f)
{
    if (f->subscriptions != NULL || f->acked || filter_has_rows(f))
        return;
    filter_ids_free(e, t, f);
    pointer_index_remove(&t->filter_index, f);
    shape_forget(t, name_span(f->name));
    name_unref(e, f->name);
    pool_put(&e->pool, f, sizeof *f);
}
