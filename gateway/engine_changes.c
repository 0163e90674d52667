/* SPDX-License-Identifier: Apache-2.0 */
/* Which sessions changed, and which ended, since it was told: for the retained status topics. */
#include "engine_private.h"

#include <stdlib.h>

enum { ENDED_MAX = 1000 }; /* sessions that ended while nobody could be told */

/* A session that ended, until that is told. */
struct ended {
    struct ended *prev, *next;
    uint8_t client_id_len;
    uint8_t client_id[];
};

/* See engine_remember_contact; of a session that was not heard when this was last told. */
struct earlier {
    const struct session *session; /* first: see engine_index.c */
    uint64_t contact_ms;
};

static bool
is_tracking(const struct engine *e)
{
    return e->options->status_topics != NULL && *e->options->status_topics != '\0';
}

/* NULL: not known. */
static struct earlier *
earlier_find(const struct engine *e, const struct session *s)
{
    return pointer_index_find(&e->earlier_index, hash_session(s), s);
}

static void
earlier_forget(struct engine *e, const struct session *s)
{
    struct earlier *earlier = earlier_find(e, s);

    if (earlier == NULL)
        return;
    pointer_index_remove(&e->earlier_index, earlier);
    pool_put(&e->pool, earlier, sizeof *earlier);
}

/* Nothing of it is to be told any more. */
static void
unlist(struct engine *e, struct session *s)
{
    if (s->changed)
        DL_DELETE2(e->changed, s, changed_prev, changed_next);
    s->changed = s->news = false;
}

static void
ended_free(struct engine *e, struct ended *ended)
{
    DL_DELETE(e->ends, ended);
    e->end_count--;
    pool_put(&e->pool, ended, sizeof *ended + ended->client_id_len);
}

void
change_note(struct engine *e, struct session *s, bool news)
{
    if (!is_tracking(e))
        return;
    if (!s->changed)
        DL_APPEND2(e->changed, s, changed_prev, changed_next);
    s->changed = true;
    s->news = s->news || news;
}

void
change_end(struct engine *e, struct session *s)
{
    struct ended *ended = NULL;

    unlist(e, s);
    earlier_forget(e, s);
    if (!s->told_of)
        return;
    if (e->end_count < ENDED_MAX)
        ended = pool_get(&e->pool, sizeof *ended + s->client_id_len);
    if (ended == NULL) {
        e->ends_forgotten = true;
        return;
    }
    ended->client_id_len = s->client_id_len;
    memcpy(ended->client_id, s->client_id, s->client_id_len);
    e->end_count++;
    DL_APPEND(e->ends, ended);
}

void
changes_free(struct engine *e)
{
    while (e->ends != NULL)
        ended_free(e, e->ends);
    pointer_index_fini(&e->earlier_index);
}

void
changes_start(struct engine *e)
{
    struct session *s;

    DL_FOREACH (e->sessions, s)
        s->told_of = is_tracking(e);
}

void
engine_change_all(struct engine *e)
{
    struct session *s;

    DL_FOREACH (e->sessions, s) {
        change_note(e, s, true);
        s->told_ms = 0;
    }
}

bool
engine_forgot_ends(struct engine *e)
{
    bool forgot = e->ends_forgotten;

    e->ends_forgotten = false;
    return forgot;
}

enum dm_result
engine_remember_contact(struct engine *e, struct dm_span client_id, uint64_t wall_ms)
{
    const struct session *s = session_find(e, client_id);

    if (s == NULL)
        return DM_NOT_FOUND;
    if (!is_tracking(e))
        return DM_OK;
    struct earlier *earlier = earlier_find(e, s);

    if (earlier == NULL)
        earlier = pool_get(&e->pool, sizeof *earlier);
    if (earlier == NULL)
        return DM_OK; /* it is not known, then */
    earlier->contact_ms = wall_ms;
    if (earlier->session == s)
        return DM_OK;
    earlier->session = s;
    if (!pointer_index_insert(&e->earlier_index, earlier))
        pool_put(&e->pool, earlier, sizeof *earlier);
    return DM_OK;
}

/* What of a session is news. A sleeper that took nothing and sleeps again is as it was. */
static uint32_t
content_of_session(const struct session *s)
{
    uint64_t parts[] = {s->state == ENGINE_AWAKE ? ENGINE_ASLEEP : s->state,
                        s->clean,
                        s->queued,
                        s->dropped,
                        s->keepalive_s,
                        s->sleep_s,
                        s->bound,
                        s->link};
    uint32_t hash = pointer_index_hash(0, parts, sizeof parts);

    struct dm_span place = session_place(s);

    return s->bound ? pointer_index_hash(hash, place.data, place.len) : hash;
}

static bool
is_due(const struct session *s, uint64_t now_ms, const struct engine_change_pace *pace)
{
    if (s->told_ms == 0)
        return true;
    bool news = s->news && s->told_hash != content_of_session(s);

    return now_ms >= engine_add_ms(s->told_ms, news ? pace->news_ms : pace->contact_ms);
}

/* False: it was not told. */
static bool
tell_end(struct engine *e, struct ended *ended, engine_visit_change *visit, void *ctx)
{
    struct engine_change change = {
        .ended = true,
        .first = true,
        .session.client_id = dm_span(ended->client_id, ended->client_id_len),
    };

    if (!visit(ctx, &change))
        return false;
    ended_free(e, ended);
    return true;
}

/* False: it was not told, or not all of it. */
static bool
tell(struct engine *e, struct session *s, uint64_t now_ms, engine_visit_change *visit, void *ctx)
{
    const struct earlier *earlier = earlier_find(e, s);
    struct engine_change change = {.first = s->told_ms == 0,
                                   .earlier_contact_ms = earlier != NULL ? earlier->contact_ms : 0};
    struct dm_span filters[SUBSCRIPTIONS_MAX];
    struct buffer texts = {0};

    s->told_of = true; /* perhaps half of it */
    session_status(e, s, now_ms, filters, &texts, &change.session);
    bool told = visit(ctx, &change);

    buffer_fini(&texts);
    if (!told)
        return false;
    s->told_ms = now_ms > 0 ? now_ms : 1;
    s->told_hash = content_of_session(s);
    if (s->heard)
        earlier_forget(e, s);
    unlist(e, s);
    return true;
}

bool
engine_tell_changes(struct engine *e, uint64_t now_ms, const struct engine_change_pace *pace,
                    engine_visit_change *visit, void *ctx)
{
    size_t left = pace->limit;
    struct session *s;
    struct session *next;

    /* The client may have come again, which is told after that. */
    for (; e->ends != NULL; left--)
        if (left == 0 || !tell_end(e, e->ends, visit, ctx))
            return false;
    DL_FOREACH_SAFE2 (e->changed, s, next, changed_next) {
        if (!is_due(s, now_ms, pace))
            continue;
        if (left-- == 0 || !tell(e, s, now_ms, visit, ctx))
            return false;
    }
    return true;
}
