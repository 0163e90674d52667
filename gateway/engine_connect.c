/* SPDX-License-Identifier: Apache-2.0 */
/* CONNECT, DISCONNECT, the sleep cycle and PINGREQ. */
#include "engine_private.h"

#include <dormouse/log.h>

#include "topic.h"

enum { HANDSHAKES_MAX = 4096 }; /* will handshakes under way */

void
connect_answer(struct engine *e, const struct dm_address *to, uint64_t needs,
               enum mqttsn_return_code code)
{
    engine_send_to(e, to, needs,
                   &(struct mqttsn_packet){.type = MQTTSN_CONNACK, .return_code = code});
}

/* Whether a CONNECT can be served at all. */
static enum mqttsn_return_code
connect_code(struct engine *e, const struct dm_address *from, const struct mqttsn_packet *packet,
             const struct session *existing)
{
    if (packet->protocol_id != MQTTSN_PROTOCOL_ID) /* R19 */
        return MQTTSN_NOT_SUPPORTED;
    if (packet->client_id.len == 0 || packet->client_id.len > e->options->client_id_max ||
        !topic_text_is_valid(packet->client_id)) /* R20 */
        return MQTTSN_NOT_SUPPORTED;
    struct party party = existing != NULL ? party_of(existing) : party_named(e, packet->client_id);

    if (!access_is_known(e, &party) || !access_is_here(&party, from)) { /* M13 */
        access_denied(e, packet->client_id,
                      access_is_known(e, &party) ? "CONNECT from this address" : "CONNECT",
                      (struct dm_span){0});
        return MQTTSN_NOT_SUPPORTED;
    }
    if (existing == NULL && settings_for(e, party.client)->own && !own_is_possible(e))
        return MQTTSN_CONGESTION;
    if (!engine_can_promise(e) ||
        (existing == NULL && e->by_number.count >= e->options->max_clients) || /* R29 */
        (packet->will && e->handshake_count >= HANDSHAKES_MAX))
        return MQTTSN_CONGESTION;
    return MQTTSN_ACCEPTED;
}

void
connect_refuse(struct engine *e, const struct dm_address *from, struct dm_span client_id,
               enum mqttsn_return_code code)
{
    struct session *s = client_id.len > 0 ? session_find(e, client_id) : NULL;
    char id[128];

    if (s != NULL)
        session_note(e, s, ENGINE_EVENT_REFUSED, (uint64_t)code);
    log_info("session", "client %s: CONNECT refused, return code %d",
             log_escape(id, sizeof id, client_id), (int)code);
    engine_withdraw(e, from); /* R24: a CONNACK that is held answers another CONNECT */
    connect_answer(e, from, 0, code);
}

static bool
session_is_blank(const struct session *s)
{
    return s->subscriptions == NULL && s->queue == NULL && s->registration_count == 0 &&
           s->will == NULL && talk_of(s)->received == NULL;
}

/* A persistent session goes on: what counts as known to the device depends on how it left
 * (reference 2.6). */
static void
session_continue(struct session *s)
{
    struct subscription *sub;
    struct delivery *d;

    if (s->registration_count > 0 && s->state != ENGINE_ASLEEP && s->state != ENGINE_AWAKE) {
        /* From active too: the device rebooted or lost the CONNACK (R25). */
        s->epoch++;
    }
    for (size_t i = 0; i < s->registration_count; i++)
        s->registrations[i].refused = false;
    /* The device has given up the requests of its last connection. */
    LL_FOREACH (s->subscriptions, sub)
        sub->owes_suback = false;
    s->subacks_owed = 0;
    DL_FOREACH (s->queue, d)
        d->wait_suback = false;
}

/* Session and will as the device asked for them. NULL: no memory. */
static struct session *
session_for(struct engine *e, const struct dm_address *from, const struct connect *request)
{
    struct session *s = session_find(e, request->client_id);
    bool known = s != NULL && !s->trunk->fresh && !s->trunk->refused;

    /* A repeated CONNECT of a clean session that has nothing yet has nothing to wipe (R21). */
    if (s != NULL && request->clean && !(s->clean && session_is_blank(s))) {
        session_wipe(e, s);
        s = NULL;
    }
    if (s != NULL) {
        session_continue(s);
    } else {
        s = session_new(e, request->client_id, e->last_session + 1);
        if (s != NULL && settings_of(e, s)->own && !own_begin(e, s, request->clean, known)) {
            session_free(e, s);
            s = NULL;
        }
    }
    return s != NULL && talk_begin(e, s) && session_bind(e, s, from) ? s : NULL;
}

/* The device is served from now on: R15, R25, R26, R100. */
void
connect_accept(struct engine *e, const struct dm_address *from, const struct connect *request)
{
    struct session *s = session_for(e, from, request);
    char id[128];

    if (s == NULL) {
        will_free(e, request->will);
        connect_refuse(e, from, request->client_id, MQTTSN_CONGESTION);
        return;
    }
    handshake_end(e, s);      /* begun elsewhere: this connection is newer */
    engine_withdraw(e, from); /* R24: nothing of the last connection comes before the CONNACK */
    downlink_cancel(s);
    s->clean = request->clean;
    s->keepalive_s = request->keepalive_s;
    s->maybe_active = false;
    s->talk->unanswered = UINT32_MAX;
    s->connections++;
    s->naps++;
    s->talk->pause_until_ms = 0;
    s->talk->handshake_again_ms = 0;
    session_heard(e, s);
    session_set_state(e, s, ENGINE_ACTIVE);
    record_session(e, s);
    if (request->replaces_will) {
        will_set(e, s, request->will); /* R30: overwritten by the new data */
        s->talk->handshake_again_ms = engine_add_ms(e->now_ms, e->handshake_ms);
    }
    log_info("session", "client %s: connected, %s%s, keep alive %u s",
             log_escape(id, sizeof id, request->client_id), s->clean ? "clean" : "persistent",
             s->will != NULL ? ", with a will" : "", (unsigned)s->keepalive_s);
    session_note(e, s, ENGINE_EVENT_CONNECTED, s->keepalive_s);
    if (own_asks(e, s))
        return; /* answered when the broker has */
    connect_answer(e, from, s->seq, MQTTSN_ACCEPTED);
    s->talk->connack_seq = s->seq;
    session_gate(e, s);
    downlink_pump(e, s);
}

/* What CleanSession means: R100 offers to ignore it when a device comes back from sleep. */
static bool
is_clean(const struct engine *e, const struct session *s, const struct mqttsn_packet *packet)
{
    bool resumes = s != NULL && (s->state == ENGINE_ASLEEP || s->state == ENGINE_AWAKE);

    return resumes && settings_of(e, s)->resume_ignores_clean ? s->clean : packet->clean_session;
}

static void
refused_session_goes_on(struct engine *e, struct session *s, const struct dm_address *from)
{
    if (s->bound && session_is_at(s, from))
        session_heard(e, s); /* R76: it lives, though it cannot be served now */
    downlink_pump(e, s);     /* a handshake may have kept it silent */
    session_schedule(e, s);
    talk_end(e, s);
}

void
handle_connect(struct engine *e, const struct dm_address *from, const struct mqttsn_packet *packet)
{
    struct session *s = packet->client_id.len > 0 ? session_find(e, packet->client_id) : NULL;
    struct connect request = {
        .client_id = packet->client_id,
        .keepalive_s = packet->duration_s,
        .clean = is_clean(e, s, packet),
    };

    if (handshake_repeated(e, from, packet, &request))
        return;
    if (s != NULL && !talk_begin(e, s))
        return; /* the device repeats */
    enum mqttsn_return_code code = connect_code(e, from, packet, s);

    if (code != MQTTSN_ACCEPTED) {
        connect_refuse(e, from, packet->client_id, code);
        if (s != NULL)
            refused_session_goes_on(e, s, from);
    } else if (packet->will) {
        handshake_start(e, from, s, &request);
    } else {
        connect_accept(e, from, &request);
    }
}

void
session_leave(struct engine *e, struct session *s, enum engine_state state)
{
    struct trunk *t = s->trunk;
    bool never = t->fresh; /* the device was not told that it has one */
    struct uplink *will = state == ENGINE_LOST && !never ? will_spool(e, s) : NULL; /* R34, R103 */

    t->asking = false;
    t->abrupt = state == ENGINE_LOST && t->up; /* or the will is ours to publish */

    if (s->clean || never) { /* R32 */
        session_wipe(e, s);
    } else {
        s->naps++;
        if (t->hold_at_broker)
            inbound_hand_back(e, s);
        session_set_state(e, s, state);
        queue_drop_qos0(e, s);
        record_session(e, s);
        session_schedule(e, s);
    }
    will_send(e, t, will);
}

static void
go_to_sleep(struct engine *e, struct session *s, uint16_t duration_s)
{
    char id[128];

    if (!engine_can_promise(e))
        return; /* the device repeats; an answer would promise what the disk cannot keep */
    s->sleep_s = duration_s;
    s->maybe_active = false;
    s->naps++;
    session_set_state(e, s, ENGINE_ASLEEP);
    record_session(e, s);
    session_note(e, s, ENGINE_EVENT_ASLEEP, duration_s);
    log_debug("session", "client %s: sleeps for %u s",
              log_escape(id, sizeof id, dm_span(s->client_id, s->client_id_len)),
              (unsigned)duration_s);
    engine_send(e, s, s->talk->answer_seq > s->seq ? s->talk->answer_seq : s->seq,
                &(struct mqttsn_packet){.type = MQTTSN_DISCONNECT});
}

void
handle_disconnect(struct engine *e, const struct dm_address *from, struct session *s,
                  const struct mqttsn_packet *packet)
{
    char id[128];

    if (s == NULL || s->state == ENGINE_DISCONNECTED || s->state == ENGINE_LOST) {
        /* Its answer may have been lost: answer again, without making a session (R82). */
        if (engine_may_reply(e, from))
            engine_send_to(e, from, s != NULL ? s->seq : e->wipe_seq,
                           &(struct mqttsn_packet){.type = MQTTSN_DISCONNECT});
        return;
    }
    handshake_end(e, s); /* a late CONNECT began it */
    session_heard(e, s);
    if (packet->has_duration && packet->duration_s > 0 &&
        !s->trunk->asking) { /* R83: 0 is a plain DISCONNECT */
        go_to_sleep(e, s, packet->duration_s);
        return;
    }
    log_info("session", "client %s: disconnected",
             log_escape(id, sizeof id, dm_span(s->client_id, s->client_id_len)));
    session_note(e, s, ENGINE_EVENT_DISCONNECTED, 0);
    bool wiped = s->clean || s->trunk->fresh;
    session_leave(e, s, ENGINE_DISCONNECTED); /* a clean one is gone */
    engine_send_to(e, from, wiped ? e->wipe_seq : s->seq,
                   &(struct mqttsn_packet){.type = MQTTSN_DISCONNECT});
}

void
handle_pingreq(struct engine *e, const struct dm_address *from, struct session *s,
               const struct mqttsn_packet *packet)
{
    if (packet->client_id.len > 0) /* the client id wins over the address (R95, M44) */
        s = session_find(e, packet->client_id);
    if (s != NULL && !access_is_here(&(struct party){.client = s->client}, from)) {
        access_denied(e, packet->client_id, "PINGREQ from this address", (struct dm_span){0});
        s = NULL;
    }
    if (s == NULL || s->state == ENGINE_DISCONNECTED || s->state == ENGINE_LOST ||
        s->trunk->asking) {
        e->status.refused++;
        if (engine_may_reply(e, from))
            engine_send_to(e, from, 0, &(struct mqttsn_packet){.type = MQTTSN_DISCONNECT});
        return;
    }
    if (!talk_begin(e, s) || !session_bind(e, s, from))
        return;
    session_heard(e, s);
    /* Only a device that sleeps names itself; without a keep-alive nothing else supervises it. */
    if (packet->client_id.len > 0 && s->keepalive_s == 0)
        s->maybe_active = false;
    record_session(e, s); /* a new address, written behind */
    if (s->state == ENGINE_ACTIVE) {
        /* It sleeps, for all it knows, if its DISCONNECT came from an address that was not known
         * yet: it gets its messages before PINGRESP sends it back to sleep. */
        s->talk->owes_pingresp = packet->client_id.len > 0 && s->queue != NULL;
        if (!s->talk->owes_pingresp) {
            engine_send(e, s, 0, &(struct mqttsn_packet){.type = MQTTSN_PINGRESP});
            return;
        }
    }
    if (s->talk->exchange != EXCHANGE_NONE) {
        /* R96: the device did not get what is open: repeat that, not more. */
        downlink_repeat(e, s);
        return;
    }
    if (s->state == ENGINE_ASLEEP && s->seq > e->committed_seq)
        engine_withdraw(e, from); /* the answer to its DISCONNECT is late: it is awake by now */
    s->talk->pause_until_ms = 0;
    s->talk->stalled = false;
    if (s->state == ENGINE_ASLEEP) {
        s->talk->awake_since_ms = e->now_ms;
        session_note(e, s, ENGINE_EVENT_AWAKE, s->queued);
    }
    if (s->state != ENGINE_ACTIVE)
        session_set_state(e, s, ENGINE_AWAKE);
    downlink_pump(e, s);
}
