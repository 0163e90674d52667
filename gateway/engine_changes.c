/* SPDX-License-Identifier: Apache-2.0 */
/* Which sessions changed, and which ended, since it was told: for the retained status topics. */
#include "engine_private.h"

#include <stdlib.h>

enum { ENDED_MAX = 1000 }; /* sessions that ended while nobody could be told */

/* What is to be told of a session, until it is. */
struct change {
    struct change *prev, *next;
    struct session *session;     /* NULL: it has ended */
    uint64_t earlier_contact_ms; /* see engine_remember_contact; 0: not known, or heard since */
    bool listed;                 /* in engine.changes */
    bool news;                   /* perhaps more than a sign of life */
    uint8_t client_id_len;       /* of one that has ended */
    uint8_t client_id[];
};

static bool
is_tracking(const struct engine *e)
{
    return e->options->status_topics != NULL && *e->options->status_topics != '\0';
}

/* NULL: nobody wants to know, or no memory; then the next change brings it. */
static struct change *
change_of(struct engine *e, struct session *s)
{
    if (s->change != NULL || !is_tracking(e))
        return s->change;
    s->change = pool_get(&e->pool, sizeof *s->change);
    if (s->change != NULL)
        s->change->session = s;
    return s->change;
}

static void
list_change(struct engine *e, struct change *c)
{
    if (c->listed)
        return;
    DL_APPEND(e->changes, c);
    c->listed = true;
}

static void
free_change(struct engine *e, struct change *c)
{
    if (c->listed)
        DL_DELETE(e->changes, c);
    if (c->session == NULL)
        e->ended_count--;
    else
        c->session->change = NULL;
    pool_put(&e->pool, c, sizeof *c + c->client_id_len);
}

void
change_note(struct engine *e, struct session *s, bool news)
{
    struct change *c = change_of(e, s);

    if (c == NULL)
        return;
    c->news = c->news || news;
    list_change(e, c);
}

void
change_end(struct engine *e, struct session *s)
{
    struct change *c = s->change;
    struct change *ended;

    if (c != NULL)
        free_change(e, c);
    if (!s->told_of)
        return;
    ended =
        e->ended_count < ENDED_MAX ? pool_get(&e->pool, sizeof *ended + s->client_id_len) : NULL;
    if (ended == NULL) {
        e->ends_forgotten = true;
        return;
    }
    ended->news = true;
    ended->client_id_len = s->client_id_len;
    memcpy(ended->client_id, s->client_id, s->client_id_len);
    e->ended_count++;
    list_change(e, ended);
}

void
changes_free(struct engine *e)
{
    while (e->changes != NULL)
        free_change(e, e->changes);
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
    struct session *s = session_find(e, client_id);

    if (s == NULL)
        return DM_NOT_FOUND;
    if (change_of(e, s) != NULL)
        s->change->earlier_contact_ms = wall_ms;
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
is_due(const struct change *c, uint64_t now_ms, const struct engine_change_pace *pace)
{
    const struct session *s = c->session;

    if (s == NULL || s->told_ms == 0)
        return true;
    bool news = c->news && s->told_hash != content_of_session(s);

    return now_ms >= engine_add_ms(s->told_ms, news ? pace->news_ms : pace->contact_ms);
}

/* False: it was not told. */
static bool
tell(const struct engine *e, struct change *c, uint64_t now_ms, engine_visit_change *visit,
     void *ctx)
{
    struct dm_span filters[SUBSCRIPTIONS_MAX];
    struct buffer texts = {0};
    struct engine_change change = {.ended = c->session == NULL,
                                   .first = c->session == NULL || c->session->told_ms == 0,
                                   .earlier_contact_ms = c->earlier_contact_ms};

    if (c->session != NULL)
        session_status(e, c->session, now_ms, filters, &texts, &change.session);
    else
        change.session.client_id = dm_span(c->client_id, c->client_id_len);
    bool told = visit(ctx, &change);

    buffer_fini(&texts);
    return told;
}

static void
told_now(struct engine *e, struct change *c, uint64_t now_ms)
{
    struct session *s = c->session;

    if (s != NULL) {
        s->told_ms = now_ms > 0 ? now_ms : 1;
        s->told_hash = content_of_session(s);
    }
    if (s == NULL || s->heard || c->earlier_contact_ms == 0) {
        free_change(e, c);
        return;
    }
    DL_DELETE(e->changes, c);
    c->listed = c->news = false;
}

bool
engine_tell_changes(struct engine *e, uint64_t now_ms, const struct engine_change_pace *pace,
                    engine_visit_change *visit, void *ctx)
{
    struct change *c;
    struct change *next;
    size_t told = 0;

    DL_FOREACH_SAFE (e->changes, c, next) {
        if (!is_due(c, now_ms, pace))
            continue;
        if (told++ == pace->limit)
            return false;
        if (c->session != NULL)
            c->session->told_of = true; /* perhaps half of it */
        if (!tell(e, c, now_ms, visit, ctx))
            return false;
        told_now(e, c, now_ms);
    }
    return true;
}
