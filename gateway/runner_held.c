/* SPDX-License-Identifier: Apache-2.0 */
/* The list of effects that wait for the disk. */
#include "runner_held.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <dormouse/log.h>

static struct held *
held_new(uint64_t needs, enum held_kind kind, size_t len)
{
    struct held *held = malloc(sizeof *held + len);

    if (held == NULL) {
        log_error("runner", "out of memory: an answer is not sent");
        return NULL;
    }
    held->needs = needs;
    held->kind = kind;
    held->len = len;
    return held;
}

static void
add(struct held_list *list, struct held *held)
{
    struct held *after;

    list->count++;
    list->octets += held->len;
    list->closes += held->kind == HELD_CLOSE;
    if (list->first == NULL || list->first->prev->needs <= held->needs) {
        DL_APPEND(list->first, held);
        return;
    }
    /* Rare: an answer that depends on an older number than the newest that waits. */
    DL_FOREACH (list->first, after)
        if (after->needs > held->needs)
            break;
    DL_PREPEND_ELEM(list->first, after, held);
}

bool
held_add_datagram(struct held_list *list, uint64_t needs, const struct dm_address *address,
                  const uint8_t *data, size_t len)
{
    struct held *held = held_new(needs, HELD_DATAGRAM, len);

    if (held == NULL)
        return false;
    held->address = *address;
    memcpy(held->octets, data, len);
    add(list, held);
    return true;
}

/* Copies what the span points to behind `at`, and lets it point there. Returns the end. */
static uint8_t *
keep(struct dm_span *span, uint8_t *at)
{
    if (span->len > 0)
        memcpy(at, span->data, span->len);
    span->data = at;
    return at + span->len;
}

bool
held_add_packet(struct held_list *list, uint64_t needs, uint64_t connection,
                const struct mqtt_packet *packet)
{
    struct held *held = held_new(needs, HELD_PACKET, packet->topic.len + packet->payload.len);

    if (held == NULL)
        return false;
    held->connection = connection;
    held->packet = *packet;
    keep(&held->packet.payload, keep(&held->packet.topic, held->octets));
    add(list, held);
    return true;
}

bool
held_add_open(struct held_list *list, uint64_t needs, uint64_t connection,
              const struct engine_open *open)
{
    struct held *held = held_new(
        needs, HELD_OPEN, open->client_id.len + open->will_topic.len + open->will_payload.len);

    if (held == NULL)
        return false;
    held->connection = connection;
    held->open = *open;
    held->open.client = NULL;
    uint8_t *at = keep(&held->open.client_id, held->octets);

    keep(&held->open.will_payload, keep(&held->open.will_topic, at));
    add(list, held);
    return true;
}

bool
held_add_close(struct held_list *list, uint64_t needs, uint64_t connection,
               const struct engine_close *close)
{
    struct held *held = held_new(needs, HELD_CLOSE, close->client_id.len);

    if (held == NULL)
        return false;
    held->connection = connection;
    held->close = *close;
    held->close.client = NULL;
    keep(&held->close.client_id, held->octets);
    add(list, held);
    return true;
}

void
held_remove(struct held_list *list, struct held *held)
{
    list->count--;
    list->octets -= held->len;
    list->closes -= held->kind == HELD_CLOSE;
    DL_DELETE(list->first, held);
    free(held);
}

void
held_withdraw(struct held_list *list, const struct dm_address *address)
{
    struct held *held;
    struct held *next;

    DL_FOREACH_SAFE (list->first, held, next) {
        if (held->kind == HELD_DATAGRAM && dm_address_equal(&held->address, address))
            held_remove(list, held);
    }
}

void
held_drop_packets(struct held_list *list, uint64_t connection)
{
    struct held *held;
    struct held *next;

    DL_FOREACH_SAFE (list->first, held, next) {
        if (held->kind == HELD_PACKET && held->connection == connection)
            held_remove(list, held);
    }
}

bool
held_closes(const struct held_list *list, uint64_t connection)
{
    const struct held *held;

    if (list->closes == 0)
        return false;
    DL_FOREACH (list->first, held)
        if (held->kind == HELD_CLOSE && held->connection == connection)
            return true;
    return false;
}

void
held_clear(struct held_list *list)
{
    while (list->first != NULL)
        held_remove(list, list->first);
}
