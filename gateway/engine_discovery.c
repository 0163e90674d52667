/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery: ADVERTISE, SEARCHGW and GWINFO, and standing by for another gateway (R8 to R13). */
#include "engine_private.h"

#include <dormouse/log.h>

enum {
    N_ADV = 3,                  /* ADVERTISEs that a stand-by gateway lets pass */
    FIRST_ADVERTISE_MS = 10000, /* after the start, unless the broker is there before */
    TWIN_LOG_MS = 3600000,
    DURATION_MAX_S = 65535,
};

bool
discovery_is_silent(const struct engine *e)
{
    return e->options->standby_for != ENGINE_NO_GATEWAY && e->now_ms < e->watched_until_ms;
}

static void
broadcast(struct engine *e, const struct dm_address *link_or_asker, bool asked, uint8_t radius,
          const struct mqttsn_packet *packet)
{
    e->emit(e->ctx, &(struct engine_effect){.type = ENGINE_BROADCAST,
                                            .address = *link_or_asker,
                                            .has_address = asked,
                                            .radius = radius,
                                            .packet = *packet});
}

/* ---- ADVERTISE ---- */

static void
advertise(struct engine *e)
{
    const struct engine_options *o = e->options;
    uint64_t duration_s = o->advertise_ms / 1000;
    struct mqttsn_packet packet = {
        .type = MQTTSN_ADVERTISE,
        .gateway_id = o->gateway_id,
        .duration_s = (uint16_t)(duration_s < DURATION_MAX_S ? duration_s : DURATION_MAX_S)};

    e->advertise_at_ms = engine_add_ms(e->now_ms, o->advertise_ms);
    /* A gateway that can promise nothing does not call for devices. */
    if (e->degraded)
        return;
    for (size_t i = 0; i < o->link_count; i++) {
        if (!o->links[i].advertise || !e->links[i].up)
            continue;
        broadcast(e, &(struct dm_address){.link = (uint8_t)i}, false, 0, &packet);
        e->status.advertised++;
    }
    e->advertised_ms = e->now_ms;
}

void
discovery_start(struct engine *e)
{
    const struct engine_options *o = e->options;

    e->advertise_at_ms = o->advertise_ms == ENGINE_NEVER
                             ? ENGINE_NEVER
                             : engine_add_ms(e->now_ms, FIRST_ADVERTISE_MS);
    /* How often the other one advertises is not known yet: taken to be as often as we would. */
    if (o->standby_for != ENGINE_NO_GATEWAY && o->advertise_ms != ENGINE_NEVER)
        e->watched_until_ms = engine_add_ms(e->now_ms, N_ADV * o->advertise_ms);
    if (discovery_is_silent(e))
        e->advertise_at_ms = e->watched_until_ms;
}

void
discovery_reconfigure(struct engine *e)
{
    uint64_t period_ms = e->options->advertise_ms;

    if (period_ms == ENGINE_NEVER)
        e->advertise_at_ms = ENGINE_NEVER;
    else if (discovery_is_silent(e))
        e->advertise_at_ms = e->watched_until_ms;
    else
        e->advertise_at_ms = engine_add_ms(e->now_ms, FIRST_ADVERTISE_MS);
}

void
discovery_connected(struct engine *e)
{
    bool lately = e->advertised_ms != 0 && e->now_ms - e->advertised_ms < FIRST_ADVERTISE_MS;

    /* R10; a connection that comes and goes is not worth more than one. */
    if (e->options->advertise_ms != ENGINE_NEVER && !discovery_is_silent(e) && !lately)
        advertise(e);
}

void
discovery_timeout(struct engine *e)
{
    if (e->advertise_at_ms > e->now_ms)
        return;
    if (e->options->standby_for != ENGINE_NO_GATEWAY && e->advertised_ms == 0)
        log_notice("discovery", "gateway %d is silent: advertising in its place",
                   e->options->standby_for);
    advertise(e);
}

uint64_t
discovery_deadline(const struct engine *e)
{
    return e->advertise_at_ms;
}

static void
note_watched(struct engine *e, uint16_t duration_s)
{
    bool was_silent = discovery_is_silent(e);

    e->watched_until_ms = engine_add_ms(e->now_ms, N_ADV * UINT64_C(1000) * duration_s);
    if (!was_silent)
        log_notice("discovery", "gateway %d is there: standing by", e->options->standby_for);
    e->advertised_ms = 0;
    if (e->options->advertise_ms != ENGINE_NEVER)
        e->advertise_at_ms = e->watched_until_ms;
}

void
handle_advertise(struct engine *e, const struct mqttsn_packet *packet)
{
    bool logged = e->twin_logged_ms != 0 && e->now_ms - e->twin_logged_ms < TWIN_LOG_MS;

    if (packet->gateway_id == e->options->gateway_id) { /* R13 */
        if (!logged)
            log_error("discovery",
                      "another gateway advertises with our GwId %u: give one of them "
                      "another [gateway] id",
                      (unsigned)packet->gateway_id);
        if (!logged)
            e->twin_logged_ms = e->now_ms == 0 ? 1 : e->now_ms;
    } else if (packet->gateway_id == e->options->standby_for && packet->duration_s > 0) {
        note_watched(e, packet->duration_s);
    }
}

/* ---- SEARCHGW ---- */

void
handle_searchgw(struct engine *e, const struct dm_address *from, const struct mqttsn_packet *packet)
{
    struct mqttsn_packet answer = {.type = MQTTSN_GWINFO, .gateway_id = e->options->gateway_id};
    uint64_t *last_ms = &e->links[from->link].gwinfo_at_ms;

    if (discovery_is_silent(e) || e->degraded || !engine_may_reply(e, from))
        return;
    e->status.searches++;
    /* R11: one broadcast a second is enough for all; who asks in between is told alone. */
    if (*last_ms != 0 && e->now_ms - *last_ms < REPLY_INTERVAL_MS) {
        engine_send_to(e, from, 0, &answer);
        return;
    }
    *last_ms = e->now_ms == 0 ? 1 : e->now_ms;
    broadcast(e, from, true, packet->radius, &answer);
}
