/* SPDX-License-Identifier: Apache-2.0 */
/* Packet ids towards the broker: one bit for each. Own connections, of which there are many, have
 * the bits only once they use more than a few; until then what uses one is looked through. */
#include "engine_private.h"

#include <stdlib.h>

enum {
    FEW_PACKET_IDS = 64,
    PACKET_IDS = UINT16_MAX - 1, /* all but 0 and ENGINE_FOREIGN_PACKET_ID */
};

/* A row may say anything. */
static bool
packet_id_is_ours(uint16_t id)
{
    return id != 0 && id != ENGINE_FOREIGN_PACKET_ID;
}

static bool
packet_id_is_listed(const struct trunk *t, uint16_t id)
{
    const struct uplink *u;
    const struct request *r;
    const struct owed *owed;

    DL_FOREACH (t->uplinks, u)
        if (u->packet_id == id)
            return true;
    DL_FOREACH (t->requests, r)
        if (r->packet_id == id)
            return true;
    DL_FOREACH (t->owed, owed)
        if (owed->packet_id == id)
            return true;
    return false;
}

static bool
packet_id_is_used(const struct trunk *t, uint16_t id)
{
    if (t->packet_ids == NULL)
        return packet_id_is_listed(t, id);
    return (t->packet_ids[id / 8] >> (id % 8) & 1) != 0;
}

void
packet_id_reserve(struct trunk *t, uint16_t id)
{
    if (!packet_id_is_ours(id) || (t->packet_ids != NULL && packet_id_is_used(t, id)))
        return;
    if (t->packet_ids != NULL)
        t->packet_ids[id / 8] |= (uint8_t)(1u << (id % 8));
    t->packet_ids_used++;
}

void
packet_id_release(struct trunk *t, uint16_t id)
{
    if (!packet_id_is_ours(id) || t->packet_ids_used == 0 ||
        (t->packet_ids != NULL && !packet_id_is_used(t, id)))
        return;
    if (t->packet_ids != NULL)
        t->packet_ids[id / 8] &= (uint8_t) ~(1u << (id % 8));
    t->packet_ids_used--;
    if (t->packet_ids_used == 0 && t->connection != 0)
        packet_ids_free(t);
}

void
packet_ids_free(struct trunk *t)
{
    free(t->packet_ids);
    t->packet_ids = NULL;
}

/* From here on no list is walked for an id. Without memory it goes on as before. */
static void
packet_ids_begin(struct trunk *t)
{
    const struct uplink *u;
    const struct request *r;
    const struct owed *owed;

    t->packet_ids = calloc(65536 / 8, 1);
    if (t->packet_ids == NULL)
        return;
    t->packet_ids_used = 0;
    DL_FOREACH (t->uplinks, u)
        packet_id_reserve(t, u->packet_id);
    DL_FOREACH (t->requests, r)
        packet_id_reserve(t, r->packet_id);
    DL_FOREACH (t->owed, owed)
        packet_id_reserve(t, owed->packet_id);
}

uint16_t
packet_id_take(struct trunk *t)
{
    if (t->packet_ids == NULL && t->packet_ids_used >= FEW_PACKET_IDS)
        packet_ids_begin(t);
    for (uint32_t tries = 0; t->packet_ids_used < PACKET_IDS && tries < 65536; tries++) {
        t->last_packet_id++;
        if (!packet_id_is_ours(t->last_packet_id) || packet_id_is_used(t, t->last_packet_id))
            continue;
        packet_id_reserve(t, t->last_packet_id);
        return t->last_packet_id;
    }
    return 0;
}
