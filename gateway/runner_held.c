/* SPDX-License-Identifier: Apache-2.0 */
/* The list of effects that wait for the disk. */
#include "runner_held.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include <dormouse/log.h>

static struct held *
held_new(uint64_t needs, size_t len)
{
    struct held *held = malloc(sizeof *held + len);

    if (held == NULL) {
        log_error("runner", "out of memory: an answer is not sent");
        return NULL;
    }
    held->needs = needs;
    held->upstream = false;
    held->len = len;
    return held;
}

static void
add(struct held_list *list, struct held *held)
{
    struct held *after;

    list->count++;
    list->octets += held->len;
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
    struct held *held = held_new(needs, len);

    if (held == NULL)
        return false;
    held->address = *address;
    memcpy(held->octets, data, len);
    add(list, held);
    return true;
}

bool
held_add_packet(struct held_list *list, uint64_t needs, const struct mqtt_packet *packet)
{
    struct held *held = held_new(needs, packet->topic.len + packet->payload.len);

    if (held == NULL)
        return false;
    held->upstream = true;
    held->packet = *packet;
    if (packet->topic.len > 0)
        memcpy(held->octets, packet->topic.data, packet->topic.len);
    if (packet->payload.len > 0)
        memcpy(held->octets + packet->topic.len, packet->payload.data, packet->payload.len);
    held->packet.topic.data = held->octets;
    held->packet.payload.data = held->octets + packet->topic.len;
    add(list, held);
    return true;
}

void
held_remove(struct held_list *list, struct held *held)
{
    list->count--;
    list->octets -= held->len;
    DL_DELETE(list->first, held);
    free(held);
}

void
held_withdraw(struct held_list *list, const struct dm_address *address)
{
    struct held *held;
    struct held *next;

    DL_FOREACH_SAFE (list->first, held, next) {
        if (!held->upstream && dm_address_equal(&held->address, address))
            held_remove(list, held);
    }
}

void
held_drop_packets(struct held_list *list)
{
    struct held *held;
    struct held *next;

    DL_FOREACH_SAFE (list->first, held, next) {
        if (held->upstream)
            held_remove(list, held);
    }
}

void
held_clear(struct held_list *list)
{
    while (list->first != NULL)
        held_remove(list, list->first);
}
