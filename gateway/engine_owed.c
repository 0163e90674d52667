/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges of QoS 2 with a broker that is left before they end, and how they go on when it is
 * connected to again: see engine_broker.c. */
#include "engine_private.h"

#include <stdlib.h>

static bool
owe(struct engine *e, uint16_t packet_id)
{
    struct owed *owed = malloc(sizeof *owed);

    if (owed == NULL)
        return false;
    *owed = (struct owed){.packet_id = packet_id};
    DL_APPEND(e->owed, owed);
    packet_id_reserve(e, packet_id);
    return true;
}

static void
owed_free(struct engine *e, struct owed *owed)
{
    packet_id_release(e, owed->packet_id);
    DL_DELETE(e->owed, owed);
    free(owed);
}

void
owed_clear(struct engine *e)
{
    while (e->owed != NULL)
        owed_free(e, e->owed);
}

enum dm_result
uplink_load_release(struct engine *e, uint16_t packet_id)
{
    struct uplink *u;

    DL_FOREACH (e->uplinks, u) {
        if (u->packet_id != packet_id || u->qos != 2)
            continue;
        u->released = true;
        return DM_OK;
    }
    return owe(e, packet_id) ? DM_OK : DM_NO_MEMORY;
}

enum dm_result
uplink_take_release(struct engine *e, const struct store_record *record)
{
    struct uplink *u;

    DL_FOREACH (e->uplinks, u)
        if (record->order != 0 && u->order == record->order && u->qos == 2)
            break;
    if (u == NULL) /* done elsewhere, or PUBREC had come: this broker may forward it, too */
        return owe(e, record->packet_id) ? DM_OK : DM_NO_MEMORY;
    u->packet_id = record->packet_id;
    packet_id_reserve(e, u->packet_id);
    u->sent = true;
    u->released = !record->sent;
    uplink_store(e, u);
    if (!u->released)
        record_release(e, u->packet_id, false);
    return DM_OK;
}

void
uplinks_leave(struct engine *e)
{
    bool knows_qos2 = !e->broker->met || e->upstream.maximum_qos == 2;
    struct uplink *u;

    DL_FOREACH (e->uplinks, u) {
        if (u->packet_id == 0)
            continue;
        if (u->qos == 2 && knows_qos2)
            record_open_release(e, u);
        u->packet_id = 0;
        u->sent = u->released = false;
        if (u->stored) /* no packet id of this broker may stay in the spool */
            uplink_store(e, u);
    }
    while (e->owed != NULL) {
        broker_keep(e, &(struct store_record){.op = STORE_RELEASE_PUT,
                                              .broker = broker_number(e),
                                              .packet_id = e->owed->packet_id});
        owed_free(e, e->owed);
    }
}

/* ---- what only has to end ---- */

/* What was finished elsewhere ends here, before anything new begins. */
void
owed_send(struct engine *e, bool session_present)
{
    struct owed *owed;

    if (!session_present)
        owed_clear(e); /* their rows went with the broker's session */
    DL_FOREACH (e->owed, owed)
        engine_send_upstream(
            e, 0, &(struct mqtt_packet){.type = MQTT_PUBREL, .packet_id = owed->packet_id});
}

void
owed_done(struct engine *e, uint16_t packet_id)
{
    struct owed *owed;

    DL_FOREACH (e->owed, owed) {
        if (owed->packet_id != packet_id)
            continue;
        record_release(e, packet_id, false);
        owed_free(e, owed);
        return;
    }
}
