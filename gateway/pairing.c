/* SPDX-License-Identifier: Apache-2.0 */
/* A timer for each link on which new nodes may join. */
#include "pairing.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <dormouse/log.h>

struct door {
    struct transport *transport;
    struct event *end; /* NULL: never opened; pending: open */
};

struct pairing {
    struct event_base *base;
    uint32_t duration_ms;
    size_t count;
    struct door doors[];
};

struct pairing *
pairing_new(struct event_base *base, struct transport *const *transports, size_t count,
            uint32_t duration_ms)
{
    struct pairing *pairing = calloc(1, sizeof *pairing + count * sizeof pairing->doors[0]);

    if (pairing == NULL)
        return NULL;
    pairing->base = base;
    pairing->duration_ms = duration_ms;
    pairing->count = count;
    for (size_t i = 0; i < count; i++)
        pairing->doors[i].transport = transports[i];
    return pairing;
}

void
pairing_free(struct pairing *pairing)
{
    for (size_t i = 0; pairing != NULL && i < pairing->count; i++)
        if (pairing->doors[i].end != NULL)
            event_free(pairing->doors[i].end);
    free(pairing);
}

static void
log_end(const struct transport *transport, const char *why)
{
    log_notice("pairing", "%s:%s: no new node may join any more%s", transport->kind,
               transport->name, why);
}

static void
on_end(evutil_socket_t fd, short events, void *ctx)
{
    struct door *door = ctx;

    (void)fd;
    (void)events;
    (void)door->transport->ops->pair(door->transport, false);
    log_end(door->transport, ": the time is over");
}

static enum dm_result
open_door(struct pairing *pairing, struct door *door)
{
    const struct timeval duration = {.tv_sec = (time_t)(pairing->duration_ms / 1000),
                                     .tv_usec = (suseconds_t)(pairing->duration_ms % 1000 * 1000)};

    if (door->end == NULL)
        door->end = evtimer_new(pairing->base, on_end, door);
    if (door->end == NULL)
        return DM_NO_MEMORY;
    enum dm_result result = door->transport->ops->pair(door->transport, true);

    if (result != DM_OK) /* if it was open before, it still ends then */
        return result;
    if (event_add(door->end, &duration) != 0) {
        (void)door->transport->ops->pair(door->transport, false);
        return DM_NO_MEMORY;
    }
    log_notice("pairing", "%s:%s: new nodes may join, for %lu s", door->transport->kind,
               door->transport->name, (unsigned long)pairing->duration_ms / 1000);
    return DM_OK;
}

static enum dm_result
close_door(struct door *door)
{
    bool was_open = door->end != NULL && event_pending(door->end, EV_TIMEOUT, NULL) != 0;
    enum dm_result result = door->transport->ops->pair(door->transport, false);

    if (was_open) {
        event_del(door->end);
        log_end(door->transport, "");
    }
    return result;
}

enum dm_result
pairing_set(struct pairing *pairing, const char *link, bool on)
{
    for (size_t i = 0; i < pairing->count; i++) {
        struct door *door = &pairing->doors[i];

        if (strcmp(door->transport->name, link) != 0)
            continue;
        if (door->transport->ops->pair == NULL)
            return DM_UNSUPPORTED;
        return on ? open_door(pairing, door) : close_door(door);
    }
    return DM_NOT_FOUND;
}
