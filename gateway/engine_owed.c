/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges of QoS 2 with a broker that is left before they end, and how they go on when it is
 * connected to again: see engine_broker.c. */
#include "engine_private.h"

#include <stdlib.h>

static bool
owe(struct trunk *t, uint16_t packet_id)
{
    struct owed *owed = malloc(sizeof *owed);

    if (owed == NULL)
        return false;
    *owed = (struct owed){.packet_id = packet_id};
    DL_APPEND(t->owed, owed);
    packet_id_reserve(t, packet_id);
    return true;
}

static void
owed_free(struct trunk *t, struct owed *owed)
{
    packet_id_release(t, owed->packet_id);
    DL_DELETE(t->owed, owed);
    free(owed);
}

void
owed_clear(struct trunk *t)
{
    while (t->owed != NULL)
        owed_free(t, t->owed);
}

enum dm_result
uplink_load_release(struct trunk *t, uint16_t packet_id)
{
    struct uplink *u;

    DL_FOREACH (t->uplinks, u) {
        if (u->packet_id != packet_id || u->qos != 2)
            continue;
        u->released = true;
        return DM_OK;
    }
    return owe(t, packet_id) ? DM_OK : DM_NO_MEMORY;
}

enum dm_result
uplink_take_release(struct engine *e, const struct store_record *record)
{
    struct trunk *t = &e->shared;
    struct uplink *u;

    DL_FOREACH (t->uplinks, u)
        if (record->order != 0 && u->order == record->order && u->qos == 2)
            break;
    if (u == NULL) /* done elsewhere, or PUBREC had come: this broker may forward it, too */
        return owe(t, record->packet_id) ? DM_OK : DM_NO_MEMORY;
    u->packet_id = record->packet_id;
    packet_id_reserve(t, u->packet_id);
    u->sent = true;
    u->released = !record->sent;
    uplink_store(e, u);
    if (!u->released)
        record_release(e, t, u->packet_id, false);
    return DM_OK;
}

void
uplinks_leave(struct engine *e)
{
    struct trunk *t = &e->shared;
    bool knows_qos2 = !e->broker->met || t->granted.maximum_qos == 2;
    struct uplink *u;

    DL_FOREACH (t->uplinks, u) {
        if (u->packet_id == 0)
            continue;
        if (u->qos == 2 && knows_qos2)
            record_open_release(e, u);
        u->packet_id = 0;
        u->sent = u->released = false;
        if (u->stored) /* no packet id of this broker may stay in the spool */
            uplink_store(e, u);
    }
    while (t->owed != NULL) {
        broker_keep(e, &(struct store_record){.op = STORE_RELEASE_PUT,
                                              .broker = broker_number(e),
                                              .packet_id = t->owed->packet_id});
        owed_free(t, t->owed);
    }
}

/* ---- what only has to end ---- */

/* What was finished elsewhere ends here, before anything new begins. */
void
owed_send(struct engine *e, struct trunk *t, bool session_present)
{
    struct owed *owed;

    if (!session_present)
        owed_clear(t); /* their rows went with the broker's session */
    DL_FOREACH (t->owed, owed)
        engine_send_upstream(
            e, t, 0, &(struct mqtt_packet){.type = MQTT_PUBREL, .packet_id = owed->packet_id});
}

void
owed_done(struct engine *e, struct trunk *t, uint16_t packet_id)
{
    struct owed *owed;

    DL_FOREACH (t->owed, owed) {
        if (owed->packet_id != packet_id)
            continue;
        record_release(e, t, packet_id, false);
        owed_free(t, owed);
        trunk_touch(e, t);
        return;
    }
}
