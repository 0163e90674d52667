/* SPDX-License-Identifier: Apache-2.0 */
/* Each session as its traffic tells it: what the gateway hears of a device and says to it. */
#include <string.h>

#include "world.h"

static bool
is_bound(const struct view *v, uint32_t where)
{
    return v->alive && v->where == where;
}

void
oracle_session_ended(struct world *w, unsigned d)
{
    struct view *v = &w->oracle.views[d];

    /* A clean CONNECT that comes to nothing leaves the old subscriptions where they were. */
    for (unsigned f = 0; f < FILTERS_COUNT; f++)
        v->subs[f] = (struct subscription_view){.made = v->subs[f].made};
    v->alive = v->kept = v->asleep = v->awake = false;
    oracle_forgive(w, d);
    w->oracle.debts[d].dropped = 0;
    v->session++;
    w->devices[d].memory++;
}

/* ---- the gateway hears ---- */

static void
hear_connect(struct world *w, unsigned d, const struct mqttsn_packet *packet)
{
    struct view *v = &w->oracle.views[d];

    if (packet->clean_session)
        oracle_session_ended(w, d);
    v->connecting = true;
    v->asked_clean = packet->clean_session;
    v->asked_keepalive_s = packet->duration_s;
    v->connect_ms = w->now_ms;
    v->alive = v->asleep = v->awake = false;
    v->asked_sleep_s = 0;
    v->disconnects = 0;
    v->blocked = 0;
}

static void
hear_disconnect(struct world *w, unsigned d, uint32_t where, const struct mqttsn_packet *packet)
{
    struct view *v = &w->oracle.views[d];
    bool sleeps = packet->has_duration && packet->duration_s > 0;

    if (v->where == where)
        v->disconnects++;
    if (!sleeps)
        v->connecting = false;
    if (v->connecting && sleeps) /* perhaps it sleeps before its CONNACK has left */
        v->asked_sleep_s = packet->duration_s;
    if (!is_bound(v, where))
        return;
    if (sleeps && v->asked_sleep_s == 0 && !v->asleep)
        v->said = false; /* from now on the gateway takes it for asleep */
    v->asked_sleep_s = sleeps ? packet->duration_s : 0;
    v->blocked = 0;
    if (sleeps)
        return;
    v->alive = v->asleep = v->awake = false;
    if (v->clean)
        oracle_session_ended(w, d);
}

static void
hear_pingreq(struct world *w, struct view *v, uint32_t where, const struct mqttsn_packet *packet)
{
    if (!v->alive)
        return;
    if (packet->client_id.len > 0)
        v->where = where;
    if (v->where != where || !v->asleep)
        return;
    v->asleep = false;
    v->awake = true;
    v->awake_since_ms = w->now_ms;
}

static void
hear_subscribe(struct world *w, unsigned d, uint32_t where, const struct mqttsn_packet *packet)
{
    struct view *v = &w->oracle.views[d];
    unsigned f = topics_find_filter_of(packet);

    if (f == FILTERS_COUNT)
        return;
    if (!is_bound(v,
                  where)) { /* whether the gateway knows it here, and so changes it, is not sure */
        v->subs[f].made = true;
        v->subs[f].told = false;
        oracle_forgive(w, d);
        return;
    }
    for (unsigned other = 0; other < FILTERS_COUNT; other++) /* M52 */
        if (v->subs[other].msg_id == packet->msg_id)
            v->subs[other].asked = false;
    struct subscription_view *sub = &v->subs[f];

    sub->asked = sub->made = true;
    sub->msg_id = packet->msg_id;
    sub->asked_step = w->step;
    if (sub->told && packet->qos < (int8_t)sub->qos) {
        sub->qos = (uint8_t)packet->qos;
        oracle_forgive(w, d);
    }
}

static void
hear_unsubscribe(struct world *w, unsigned d, const struct mqttsn_packet *packet)
{
    unsigned f = topics_find_filter_of(packet);
    struct view *v = &w->oracle.views[d];

    if (f == FILTERS_COUNT)
        return;
    /* Whether it ends anything is not sure: a crash may bring the subscription back. */
    v->subs[f] = (struct subscription_view){.made = v->subs[f].made, .refused = v->subs[f].refused};
    oracle_forgive(w, d);
}

void
oracle_hears(struct world *w, uint32_t where, const struct mqttsn_packet *packet)
{
    unsigned d = radio_device(where);
    struct view *v = &w->oracle.views[d];
    struct device *device = &w->devices[d];

    v->said = true;
    oracle_will_heard(w, d, packet);
    switch (packet->type) {
    case MQTTSN_CONNECT:
        hear_connect(w, d, packet);
        break;
    case MQTTSN_DISCONNECT:
        hear_disconnect(w, d, where, packet);
        break;
    case MQTTSN_PINGREQ:
        hear_pingreq(w, v, where, packet);
        break;
    case MQTTSN_SUBSCRIBE:
        hear_subscribe(w, d, where, packet);
        break;
    case MQTTSN_UNSUBSCRIBE:
        hear_unsubscribe(w, d, packet);
        break;
    case MQTTSN_PUBREL:
        if (packet->msg_id == device->open_msg_id && device->open_promised)
            device->open_released = true;
        break;
    default:
        break;
    }
    if (is_bound(v, where))
        v->heard_ms = w->now_ms;
}

/* ---- the gateway says ---- */

static void
say_connack(struct view *v, uint32_t where, const struct mqttsn_packet *packet)
{
    if (packet->return_code == MQTTSN_ACCEPTED && v->connecting) {
        v->alive = true;
        v->kept = !v->asked_clean;
        v->clean = v->asked_clean;
        v->where = where;
        v->keepalive_s = v->asked_keepalive_s;
        v->heard_ms = v->connect_ms;
    }
    v->connecting = false;
}

/* The answer to a DISCONNECT, or news: then the device must be unknown by right. */
static void
say_disconnect(struct world *w, unsigned d, uint32_t where)
{
    struct view *v = &w->oracle.views[d];

    if (v->where != where)
        return;
    if (v->disconnects == 0 && v->alive && !oracle_is_excused(v))
        world_fail(w, "no living device is sent DISCONNECT", "d%02u is", d);
    if (v->disconnects > 0)
        v->disconnects--;
    if (v->asked_sleep_s == 0 || !v->alive)
        return;
    v->sleep_s = v->asked_sleep_s;
    v->asked_sleep_s = 0;
    v->asleep = true;
    v->awake = false;
}

static void
say_pingresp(struct world *w, unsigned d, uint32_t where)
{
    struct view *v = &w->oracle.views[d];
    struct snapshot now[SIM_DEVICES_MAX];

    if (!v->awake || v->where != where)
        return;
    oracle_look(w, now);
    /* A message that is not durable waits for no device (design 1). */
    if (now[d].queued > 0 && w->now_ms - v->awake_since_ms < SIM_AWAKE_MAX_MS &&
        w->disk.reported == disk_appended(w))
        world_fail(w, "PINGRESP comes when nothing waits", "%llu messages wait for d%02u",
                   (unsigned long long)now[d].queued, d);
    v->awake = false;
    v->asleep = true;
    v->said = false;
}

static void
say_suback(struct world *w, unsigned d, const struct mqttsn_packet *packet)
{
    for (unsigned f = 0; f < FILTERS_COUNT; f++) {
        struct subscription_view *sub = &w->oracle.views[d].subs[f];

        if (!sub->asked || sub->msg_id != packet->msg_id)
            continue;
        sub->asked = false;
        sub->told = packet->return_code == MQTTSN_ACCEPTED;
        sub->qos = (uint8_t)packet->qos;
        sub->step = sub->asked_step;
        oracle_forgive(w, d);
        return;
    }
}

/* R62: a device that talks, but answers no REGISTER, loses its subscription to that name. */
static void
try_register(struct world *w, unsigned d, const struct mqttsn_packet *packet)
{
    struct view *v = &w->oracle.views[d];
    unsigned f = topics_find_filter(packet->topic_name);

    v->registers = packet->msg_id == v->register_msg_id ? v->registers + 1 : 1;
    v->register_msg_id = packet->msg_id;
    if (v->registers < 2 || f == FILTERS_COUNT) /* some find no room on the link */
        return;
    v->subs[f].told = false;
    oracle_forgive(w, d);
}

/* What found no room is the first that is sent when there is. */
static void
try_publish(struct world *w, unsigned d, const struct mqttsn_packet *packet, bool full)
{
    struct view *v = &w->oracle.views[d];
    uint32_t number = oracle_number(packet->data);

    if (v->blocked != 0 && v->blocked != number)
        world_fail(w, "a full link delays messages, and loses none", "message %x to d%02u",
                   v->blocked, d);
    v->blocked = full && packet->qos == 0 ? number : 0;
}

void
oracle_tries(struct world *w, uint32_t where, const struct mqttsn_packet *packet, bool full)
{
    unsigned d = radio_device(where);

    if (packet->type == MQTTSN_REGISTER)
        try_register(w, d, packet);
    else if (packet->type == MQTTSN_PUBLISH)
        try_publish(w, d, packet, full);
}

static void
check_asleep(struct world *w, unsigned d, uint32_t where, const struct mqttsn_packet *packet)
{
    const struct view *v = &w->oracle.views[d];
    bool unasked = packet->type == MQTTSN_PUBLISH || packet->type == MQTTSN_REGISTER;
    bool owed = packet->type == MQTTSN_DISCONNECT && v->disconnects > 0;

    if (!v->asleep || v->where != where || owed || (v->said && !unasked))
        return;
    world_fail(w, "nothing is sent to a sleeping device", "%s to d%02u",
               mqttsn_type_name(packet->type), d);
}

void
oracle_says(struct world *w, uint32_t where, const struct mqttsn_packet *packet)
{
    unsigned d = radio_device(where);
    struct device *device = &w->devices[d];

    check_asleep(w, d, where, packet);
    switch (packet->type) {
    case MQTTSN_CONNACK:
        oracle_will_answered(w, d, packet);
        say_connack(&w->oracle.views[d], where, packet);
        break;
    case MQTTSN_WILLTOPICRESP:
    case MQTTSN_WILLMSGRESP:
        oracle_will_answered(w, d, packet);
        break;
    case MQTTSN_DISCONNECT:
        say_disconnect(w, d, where);
        break;
    case MQTTSN_PINGRESP:
        say_pingresp(w, d, where);
        break;
    case MQTTSN_SUBACK:
        say_suback(w, d, packet);
        break;
    case MQTTSN_PUBLISH:
        if (packet->qos == 2) {
            device->arriving = oracle_number(packet->data);
            device->arriving_msg_id = packet->msg_id;
        }
        break;
    case MQTTSN_PUBREL:
        if (packet->msg_id == device->arriving_msg_id)
            device->arriving = 0;
        break;
    default:
        break;
    }
}

/* ---- the broker ---- */

bool
oracle_is_excused(const struct view *v)
{
    for (unsigned f = 0; f < FILTERS_COUNT; f++)
        if (v->subs[f].refused)
            return true;
    return false;
}

/* Whoever was told otherwise is sent away and has to subscribe again (design 6). */
void
oracle_filter_refused(struct world *w, unsigned filter)
{
    for (unsigned d = 0; d < w->weather.devices; d++) {
        struct view *v = &w->oracle.views[d];

        if (!v->subs[filter].made)
            continue;
        v->subs[filter].told = false;
        v->subs[filter].refused = true;
        oracle_forgive(w, d);
    }
}

/* ---- the gateway's life ---- */

void
oracle_stood_still(struct world *w)
{
    for (unsigned d = 0; d < w->weather.devices; d++)
        w->oracle.views[d].heard_ms = w->now_ms;
}

void
oracle_crashed(struct world *w)
{
    for (unsigned d = 0; d < w->weather.devices; d++) {
        struct view *v = &w->oracle.views[d];

        v->connecting = false;
        v->disconnects = 0;
        v->asked_sleep_s = 0;
        v->blocked = 0;
        v->asleep = v->asleep || v->awake; /* silent until heard (design 8) */
        v->awake = false;
        for (unsigned f = 0; f < FILTERS_COUNT; f++)
            v->subs[f].asked = false;
    }
    oracle_up_crashed(w);
    oracle_will_crashed(w);
}

void
oracle_restarted(struct world *w)
{
    struct oracle *o = &w->oracle;

    oracle_look(w, o->before);
    memset(o->dropped, 0, sizeof o->dropped);
    for (unsigned d = 0; d < w->weather.devices; d++) {
        struct view *v = &o->views[d];

        if ((v->alive || v->kept) && !o->before[d].there)
            world_fail(w, "a session survives a restart", "d%02u is unknown", d);
        if (v->alive && o->before[d].state != ENGINE_ACTIVE && o->before[d].state != ENGINE_ASLEEP)
            world_fail(w, "a restart is invisible", "d%02u is %s", d,
                       engine_state_name(o->before[d].state));
        v->where = o->before[d].has_address ? o->before[d].where : NOWHERE;
        v->heard_ms = w->now_ms;
        o->before[d].dropped = 0; /* what the start itself gave up counts */
    }
}
