/* SPDX-License-Identifier: Apache-2.0 */
/* What goes on with a device: begun by its messages, forgotten when it sleeps with nothing open. */
#include "engine_private.h"

const struct talk no_talk = {.unanswered = UINT32_MAX};

bool
talk_begin(struct engine *e, struct session *s)
{
    if (s->talk != NULL)
        return true;
    s->talk = pool_get(&e->pool, sizeof *s->talk);
    if (s->talk != NULL)
        s->talk->unanswered = UINT32_MAX;
    return s->talk != NULL;
}

void
talk_free(struct engine *e, struct session *s)
{
    struct talk *t = s->talk;

    if (t == NULL)
        return;
    if (t->handshake != NULL)
        t->handshake->session = NULL;
    if (t->waiting)
        DL_DELETE2(e->waiting, s, talk->waiting_prev, talk->waiting_next);
    if (t->direct)
        DL_DELETE2(s->trunk->direct, s, talk->direct_prev, talk->direct_next);
    pool_put(&e->pool, t, sizeof *t);
    s->talk = NULL;
}

static bool
is_listening(const struct session *s)
{
    return s->state == ENGINE_ACTIVE || s->state == ENGINE_AWAKE;
}

/* It will be answered, or go on, some day. */
static bool
is_open(const struct session *s)
{
    const struct talk *t = s->talk;

    return is_listening(s) || t->handshake != NULL || t->direct || t->exchange != EXCHANGE_NONE ||
           t->received != NULL || t->unanswered != no_talk.unanswered || s->open_uplinks > 0 ||
           s->subacks_owed > 0 || s->trunk->asking;
}

/* What was said has not left yet, or what ended is not durable. */
static bool
is_pending(const struct engine *e, const struct talk *t)
{
    return t->answer_seq > e->committed_seq || t->connack_seq > e->committed_seq ||
           t->gate_seq > e->committed_seq || t->given_up_seq > e->committed_seq ||
           t->uplink_seq > e->committed_seq;
}

void
talk_end(struct engine *e, struct session *s)
{
    if (s->talk == NULL || is_open(s))
        return;
    if (is_pending(e, s->talk))
        session_wait(e, s);
    else
        talk_free(e, s);
}

bool
talk_note_given_up(struct engine *e, struct session *s, uint64_t seq)
{
    if (!talk_begin(e, s))
        return false;
    s->talk->given_up_seq = seq;
    talk_end(e, s);
    return true;
}

bool
talk_note_uplink(struct engine *e, struct session *s, uint64_t seq)
{
    if (!talk_begin(e, s))
        return false;
    s->talk->uplink_seq = seq;
    talk_end(e, s);
    return true;
}

bool
talk_waits_for_disk(const struct engine *e, const struct session *s)
{
    return s->talk->gate_seq > e->committed_seq || downlink_waits_for_disk(e, s) ||
           (!is_open(s) && is_pending(e, s->talk));
}
