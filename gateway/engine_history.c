/* SPDX-License-Identifier: Apache-2.0 */
/* The last events of each session, for operators. Kept in memory only, and of a bounded number of
 * sessions: the one that had none for the longest time is forgotten first. */
#include "engine_private.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    HISTORIES_MAX = 10000, /* sessions whose last events are remembered: 3 MB at most */
    TICK_MS = 100,
    DETAIL_MAX = (1 << 24) - 1,
    ROOM_FIRST = 3, /* it came, subscribed, sleeps */
    /* The latest, before them some that went wrong, and the one that makes one of them leave. */
    ROOM_MAX = ENGINE_EVENTS_MAX + ENGINE_ERRORS_MAX + 1,
};

struct note {
    uint32_t at; /* in ticks: 13 years since boot */
    uint32_t detail : 24;
    uint32_t event : 8;
};

_Static_assert(sizeof(struct note) == 8, "thousands of sessions have many of them");

struct history {
    struct session *session;     /* first: see engine_index.c */
    struct history *prev, *next; /* the one without an event for the longest time first */
    uint8_t count, room;
    struct note notes[]; /* oldest first */
};

static size_t
octets_of(size_t room)
{
    return pool_octets(sizeof(struct history), offsetof(struct history, notes),
                       room * sizeof(struct note));
}

/* NULL: nothing happened since the start, or it is forgotten. */
static struct history *
history_find(const struct engine *e, const struct session *s)
{
    return pointer_index_find(&e->history_index, hash_session(s), s);
}

void
history_free(struct engine *e, struct session *s)
{
    struct history *h = history_find(e, s);

    if (h == NULL)
        return;
    pointer_index_remove(&e->history_index, h);
    DL_DELETE(e->histories, h);
    pool_put(&e->pool, h, octets_of(h->room));
}

/* With more room. NULL: no memory, and then the event is forgotten. */
static struct history *
make_larger(struct engine *e, struct session *s, const struct history *old)
{
    size_t had = old != NULL ? old->room : 0;
    size_t room = had == 0 ? ROOM_FIRST : had * 2 < ROOM_MAX ? had * 2 : ROOM_MAX;
    struct history *h = pool_get(&e->pool, octets_of(room));

    if (h == NULL)
        return NULL;
    if (old != NULL)
        memcpy(h, old, octets_of(had));
    h->session = s;
    h->room = (uint8_t)room;
    history_free(e, s);
    DL_APPEND(e->histories, h);
    if (pointer_index_insert(&e->history_index, h))
        return h;
    DL_DELETE(e->histories, h);
    pool_put(&e->pool, h, octets_of(room));
    return NULL;
}

/* With room for one more; NULL: no memory. */
static struct history *
history_of(struct engine *e, struct session *s)
{
    struct history *h = history_find(e, s);

    if (h == NULL && e->history_index.count >= HISTORIES_MAX)
        history_free(e, e->histories->session);
    if (h == NULL || h->count == h->room)
        return make_larger(e, s, h);
    DL_DELETE(e->histories, h);
    DL_APPEND(e->histories, h);
    return h;
}

static bool
is_error(enum engine_event event)
{
    switch (event) {
    case ENGINE_EVENT_REFUSED:
    case ENGINE_EVENT_DOZED:
    case ENGINE_EVENT_LOST:
    case ENGINE_EVENT_NOT_SUBSCRIBED:
    case ENGINE_EVENT_DROPPED:
    case ENGINE_EVENT_NO_ANSWER:
    case ENGINE_EVENT_NOT_TAKEN:
    case ENGINE_EVENT_NOT_CARRIED:
        return true;
    default:
        return false;
    }
}

static void
forget(struct history *h, size_t i)
{
    h->count--;
    memmove(&h->notes[i], &h->notes[i + 1], (h->count - i) * sizeof h->notes[0]);
}

static size_t
count_errors(const struct history *h)
{
    size_t count = 0;

    for (size_t i = 0; i < h->count; i++)
        count += is_error((enum engine_event)h->notes[i].event);
    return count;
}

/* One has just left the latest: it is kept if it went wrong, until there are enough of these. */
static void
make_room(struct history *h)
{
    size_t left = (size_t)h->count - ENGINE_EVENTS_MAX - 1;

    if (!is_error((enum engine_event)h->notes[left].event))
        forget(h, left);
    else if (count_errors(h) > ENGINE_ERRORS_MAX)
        forget(h, 0);
}

void
session_note(struct engine *e, struct session *s, enum engine_event event, uint64_t detail)
{
    struct history *h = history_of(e, s);

    change_note(e, s, true);
    if (h == NULL)
        return;
    h->notes[h->count++] =
        (struct note){.at = (uint32_t)(e->now_ms / TICK_MS),
                      .detail = (uint32_t)(detail < DETAIL_MAX ? detail : DETAIL_MAX) & DETAIL_MAX,
                      .event = (uint8_t)event};
    if (h->count > ENGINE_EVENTS_MAX)
        make_room(h);
}

/* The latest first. */
static void
visit_notes(const struct history *h, bool errors, uint64_t now_ms, engine_visit_event *visit,
            void *ctx)
{
    size_t rest = errors ? ENGINE_ERRORS_MAX : ENGINE_EVENTS_MAX;

    for (size_t i = h->count; i > 0 && rest > 0; i--) {
        const struct note *note = &h->notes[i - 1];
        uint64_t at_ms = (uint64_t)note->at * TICK_MS;

        if (errors && !is_error((enum engine_event)note->event))
            continue;
        rest--;
        visit(ctx, &(struct engine_event_status){
                       .event = (enum engine_event)note->event,
                       .detail = note->detail,
                       .age_ms = now_ms > at_ms ? now_ms - at_ms : 0,
                   });
    }
}

enum dm_result
engine_each_event(const struct engine *e, uint64_t now_ms, struct dm_span client_id, bool errors,
                  engine_visit_event *visit, void *ctx)
{
    const struct session *s = session_find(e, client_id);

    if (s == NULL)
        return DM_NOT_FOUND;
    const struct history *h = history_find(e, s);

    if (h != NULL)
        visit_notes(h, errors, now_ms, visit, ctx);
    return DM_OK;
}

/* ---- words ---- */

static const struct event_words {
    const char *name; /* for programs */
    const char *text; /* for people; %u: the detail */
} words[ENGINE_EVENT_COUNT] = {
    [ENGINE_EVENT_CONNECTED] = {"connected", "connected, keep alive %u s"},
    [ENGINE_EVENT_REFUSED] = {"refused", "CONNECT refused: "},
    [ENGINE_EVENT_MOVED] = {"moved", "moved to another address"},
    [ENGINE_EVENT_EVICTED] = {"evicted", "its address is another device's now"},
    [ENGINE_EVENT_ASLEEP] = {"asleep", "sleeps for %u s"},
    [ENGINE_EVENT_AWAKE] = {"awake", "awake, %u messages wait"},
    [ENGINE_EVENT_DOZED] = {"dozed", "fell silent while awake"},
    [ENGINE_EVENT_LOST] = {"lost", "lost, nothing heard for %u s"},
    [ENGINE_EVENT_DISCONNECTED] = {"disconnected", "disconnected"},
    [ENGINE_EVENT_CUT] = {"cut", "disconnected by the operator"},
    [ENGINE_EVENT_SUBSCRIBED] = {"subscribed", "subscribed with QoS %u"},
    [ENGINE_EVENT_NOT_SUBSCRIBED] = {"not_subscribed", "SUBSCRIBE refused: "},
    [ENGINE_EVENT_UNSUBSCRIBED] = {"unsubscribed", "unsubscribed"},
    [ENGINE_EVENT_DROPPED] = {"dropped", "message dropped: "},
    [ENGINE_EVENT_NO_ANSWER] = {"no_answer", "no answer to "},
    [ENGINE_EVENT_NOT_TAKEN] = {"not_taken", "it refused a message: "},
    [ENGINE_EVENT_NOT_CARRIED] = {"not_carried", "message of it refused: "},
};

const char *
engine_event_name(enum engine_event event)
{
    return event < ENGINE_EVENT_COUNT ? words[event].name : "?";
}

static const char *
return_code_text(uint32_t code)
{
    switch (code) {
    case MQTTSN_CONGESTION:
        return "congestion";
    case MQTTSN_INVALID_TOPIC_ID:
        return "invalid topic id";
    case MQTTSN_NOT_SUPPORTED:
        return "not supported";
    default:
        return "another reason";
    }
}

static const char *
request_text(uint32_t type)
{
    switch (type) {
    case MQTTSN_REGISTER:
        return "REGISTER";
    case MQTTSN_PUBREL:
        return "PUBREL";
    default:
        return "PUBLISH";
    }
}

const char *
engine_event_text(char *text, size_t size, const struct engine_event_status *event)
{
    if (event->event >= ENGINE_EVENT_COUNT) {
        snprintf(text, size, "?");
        return text;
    }
    const char *head = words[event->event].text;
    const char *number = strstr(head, "%u");

    if (number != NULL)
        snprintf(text, size, "%.*s%u%s", (int)(number - head), head, (unsigned)event->detail,
                 number + 2);
    else if (event->event == ENGINE_EVENT_DROPPED)
        snprintf(text, size, "%s%s", head, engine_drop_text((enum engine_drop)event->detail));
    else if (event->event == ENGINE_EVENT_NO_ANSWER)
        snprintf(text, size, "%s%s", head, request_text(event->detail));
    else if (head[strlen(head) - 1] == ' ')
        snprintf(text, size, "%s%s", head, return_code_text(event->detail));
    else
        snprintf(text, size, "%s", head);
    return text;
}
