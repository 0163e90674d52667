/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of devices: what each type does in each state, and the handler it goes to. */
#include "engine_private.h"

enum reaction {
    IGNORE,  /* no reply, no state change, no sign of life (R4) */
    NOTE,    /* a sign of life, nothing else (R76) */
    PROCESS, /* to the handler */
    REJECT,  /* DISCONNECT, rate-limited (R84) */
};

/* What a message from a device does, by the state of its session: the table of reference 3.13.
 * "off" is disconnected, lost or unknown. A type that is not in the table flows from gateways to
 * clients (M47). */
/* clang-format off */
static const struct rule {
    enum reaction active, asleep, awake, off;
} rules[MQTTSN_TYPE_COUNT] = {
    /*                        active   asleep   awake    off */
    [MQTTSN_ADVERTISE] =    {PROCESS, PROCESS, PROCESS, PROCESS}, /* of another gateway */
    [MQTTSN_SEARCHGW] =     {PROCESS, PROCESS, PROCESS, PROCESS},
    [MQTTSN_CONNECT] =      {PROCESS, PROCESS, PROCESS, PROCESS},
    [MQTTSN_WILLTOPIC] =    {PROCESS, PROCESS, PROCESS, PROCESS}, /* only in a handshake */
    [MQTTSN_WILLMSG] =      {PROCESS, PROCESS, PROCESS, PROCESS}, /* only in a handshake */
    [MQTTSN_REGISTER] =     {PROCESS, PROCESS, PROCESS, REJECT},
    [MQTTSN_REGACK] =       {PROCESS, NOTE,    PROCESS, IGNORE},
    [MQTTSN_PUBLISH] =      {PROCESS, PROCESS, PROCESS, REJECT}, /* QoS -1: PROCESS in any state */
    [MQTTSN_PUBACK] =       {PROCESS, PROCESS, PROCESS, IGNORE},
    [MQTTSN_PUBREC] =       {PROCESS, PROCESS, PROCESS, IGNORE},
    [MQTTSN_PUBREL] =       {PROCESS, PROCESS, PROCESS, REJECT},
    [MQTTSN_PUBCOMP] =      {PROCESS, PROCESS, PROCESS, IGNORE},
    [MQTTSN_SUBSCRIBE] =    {PROCESS, PROCESS, PROCESS, REJECT},
    [MQTTSN_UNSUBSCRIBE] =  {PROCESS, PROCESS, PROCESS, REJECT},
    [MQTTSN_PINGREQ] =      {PROCESS, PROCESS, PROCESS, PROCESS},
    [MQTTSN_PINGRESP] =     {NOTE,    NOTE,    NOTE,    IGNORE},
    [MQTTSN_DISCONNECT] =   {PROCESS, PROCESS, PROCESS, PROCESS},
    [MQTTSN_WILLTOPICUPD] = {PROCESS, PROCESS, PROCESS, REJECT},
    [MQTTSN_WILLMSGUPD] =   {PROCESS, PROCESS, PROCESS, REJECT},
};
/* clang-format on */

static enum reaction
reaction_to(const struct session *s, const struct mqttsn_packet *packet)
{
    const struct rule *rule = &rules[packet->type];

    if (packet->type == MQTTSN_PUBLISH && packet->qos == MQTTSN_QOS_MINUS_ONE)
        return PROCESS;
    if (s == NULL || s->trunk->asking) /* it has no CONNACK yet */
        return rule->off;
    switch (s->state) {
    case ENGINE_ACTIVE:
        return rule->active;
    case ENGINE_ASLEEP:
        return rule->asleep;
    case ENGINE_AWAKE:
        return rule->awake;
    default:
        return rule->off;
    }
}

static void
reject(struct engine *e, const struct dm_address *from)
{
    e->status.refused++;
    if (engine_may_reply(e, from))
        engine_send_to(e, from, 0, &(struct mqttsn_packet){.type = MQTTSN_DISCONNECT});
}

/* Messages that a device without a session may send, too. */
static void
handle_any_message(struct engine *e, const struct dm_address *from, struct session *s,
                   const struct mqttsn_packet *packet)
{
    switch (packet->type) {
    case MQTTSN_ADVERTISE:
        handle_advertise(e, packet);
        break;
    case MQTTSN_SEARCHGW:
        handle_searchgw(e, from, packet);
        break;
    case MQTTSN_CONNECT:
        handle_connect(e, from, packet);
        break;
    case MQTTSN_WILLTOPIC:
        handle_willtopic(e, from, s, packet);
        break;
    case MQTTSN_WILLMSG:
        handle_willmsg(e, from, s, packet);
        break;
    case MQTTSN_PINGREQ:
        handle_pingreq(e, from, s, packet);
        break;
    case MQTTSN_DISCONNECT:
        handle_disconnect(e, from, s, packet);
        break;
    case MQTTSN_PUBLISH:
        handle_publish(e, from, s, packet);
        break;
    default:
        break;
    }
}

static void
handle_session_message(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    static void (*const handlers[MQTTSN_TYPE_COUNT])(struct engine *, struct session *,
                                                     const struct mqttsn_packet *) = {
        [MQTTSN_REGISTER] = handle_register,
        [MQTTSN_REGACK] = handle_regack,
        [MQTTSN_PUBACK] = handle_puback,
        [MQTTSN_PUBREC] = handle_pubrec,
        [MQTTSN_PUBREL] = handle_pubrel,
        [MQTTSN_PUBCOMP] = handle_pubcomp,
        [MQTTSN_SUBSCRIBE] = handle_subscribe,
        [MQTTSN_UNSUBSCRIBE] = handle_unsubscribe,
        [MQTTSN_WILLTOPICUPD] = handle_willtopicupd,
        [MQTTSN_WILLMSGUPD] = handle_willmsgupd,
    };

    handlers[packet->type](e, s, packet);
}

void
engine_datagram(struct engine *e, uint64_t now_ms, const struct dm_address *from,
                const struct mqttsn_packet *packet)
{
    engine_at(e, now_ms);
    struct session *s = session_find_address(e, from);
    enum reaction reaction = reaction_to(s, packet);

    if (reaction == IGNORE) {
        e->status.ignored++;
        return;
    }
    if (reaction == REJECT) {
        reject(e, from);
        return;
    }
    /* The first group names its session itself, and any sign of life is up to its handler. */
    bool named = packet->type == MQTTSN_CONNECT || packet->type == MQTTSN_PINGREQ ||
                 packet->type == MQTTSN_DISCONNECT || packet->type == MQTTSN_ADVERTISE;

    if (s != NULL && !talk_begin(e, s))
        return; /* as if it were lost on the way */
    if (s != NULL && !named)
        session_heard(e, s); /* R76 */
    if (reaction == NOTE)
        e->status.ignored++;
    else if (named || rules[packet->type].off == PROCESS || packet->type == MQTTSN_PUBLISH)
        handle_any_message(e, from, s, packet);
    else
        handle_session_message(e, s, packet);
    /* The session may have been made, wiped or bound to another address by the handler. */
    s = session_find_address(e, from);
    if (s != NULL) {
        downlink_resume(e, s);
        session_schedule(e, s);
        talk_end(e, s);
    }
    inbound_flush(e);
}
