/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator asks for: a session forgotten or disconnected, its queue given up. */
#include "engine_private.h"

#include <dormouse/log.h>

enum dm_result
engine_forget(struct engine *e, uint64_t now_ms, struct dm_span client_id)
{
    char id[128];
    struct session *s = session_find(e, client_id);

    engine_at(e, now_ms);
    if (s == NULL)
        return DM_NOT_FOUND;
    log_notice("engine", "client %s: session removed by the operator",
               log_escape(id, sizeof id, client_id));
    /* An awake device is told to connect again; an asleep one at its next message (R85). */
    if (s->state == ENGINE_ACTIVE || s->state == ENGINE_AWAKE)
        engine_send(e, s, 0, &(struct mqttsn_packet){.type = MQTTSN_DISCONNECT});
    session_wipe(e, s);
    inbound_flush(e);
    return DM_OK;
}

enum dm_result
engine_disconnect(struct engine *e, uint64_t now_ms, struct dm_span client_id)
{
    char id[128];
    struct session *s = session_find(e, client_id);

    engine_at(e, now_ms);
    if (s == NULL)
        return DM_NOT_FOUND;
    if (s->state == ENGINE_DISCONNECTED || s->state == ENGINE_LOST)
        return DM_INVALID;
    log_notice("engine", "client %s: disconnected by the operator",
               log_escape(id, sizeof id, client_id));
    handshake_end(e, s);
    if (s->bound && (s->state == ENGINE_ACTIVE || s->state == ENGINE_AWAKE)) {
        engine_withdraw(
            e, session_address(s, &(struct dm_address){0})); /* nothing follows the DISCONNECT */
        engine_send(e, s, 0, &(struct mqttsn_packet){.type = MQTTSN_DISCONNECT});
    } /* an asleep one is told at its next message (R85) */
    session_note(e, s, ENGINE_EVENT_CUT, 0);
    session_leave(e, s, ENGINE_DISCONNECTED); /* a clean one is gone */
    inbound_flush(e);
    return DM_OK;
}

enum dm_result
engine_drop_queue(struct engine *e, uint64_t now_ms, struct dm_span client_id, size_t *dropped,
                  size_t *kept)
{
    char id[128];
    struct session *s = session_find(e, client_id);

    engine_at(e, now_ms);
    if (s == NULL)
        return DM_NOT_FOUND;
    *dropped = queue_give_up(e, s);
    *kept = s->queued;
    log_notice("engine", "client %s: %zu queued messages given up by the operator, %zu kept",
               log_escape(id, sizeof id, client_id), *dropped, *kept);
    downlink_pump(e, s); /* an awake device may have got all that is left */
    session_schedule(e, s);
    inbound_flush(e);
    return DM_OK;
}
