/* SPDX-License-Identifier: Apache-2.0 */
/* Nonsense in a random life: any message with any content, from a stranger or in a device's name.
 */
#include "engine_life.h"

/* What the devices believe of their wills may be wrong now. */
static void
confuse(struct life *l, char from, const struct mqttsn_packet *packet)
{
    for (unsigned d = 0; d < LIFE_DEVICES; d++) {
        bool named = packet->client_id.len > 0 && packet->client_id.data[0] == 'a' + d;
        bool bound = l->seen[d].bound && l->seen[d].address == (uint8_t)from;

        if (!named && !bound && from != (char)('A' + d))
            continue;
        l->devices[d].armed = false;
        l->devices[d].attempt.number = 0;
    }
}

/* Any message with any content. It may lie about everything but what only the device knows: which
 * message it has. Under another's client id it comes from the stranger. */
void
stranger_step(struct life *l)
{
    static const char *const ids[] = {"", "aa", "bb", "zz"};
    static const char *const texts[] = {"", "aa", "zz", "a/#", "t/1", "\xff", "+", "t/2"};
    struct mqttsn_packet packet = {
        .type = (enum mqttsn_type)life_below(l, MQTTSN_TYPE_COUNT),
        .dup = life_one_in(l, 2),
        .retain = life_one_in(l, 2),
        .will = life_one_in(l, 4),
        .clean_session = life_one_in(l, 8),
        .has_duration = life_one_in(l, 2),
        .has_flags = life_one_in(l, 2),
        .bad_topic = life_one_in(l, 8),
        .qos = (int8_t)((int)life_below(l, 4) - 1),
        .topic_type = (enum mqttsn_topic_type)life_below(l, 4),
        .return_code = (enum mqttsn_return_code)life_below(l, 5),
        .protocol_id = life_one_in(l, 4) ? 2 : 1,
        .topic_id = (uint16_t)(life_one_in(l, 4) ? random_next(&l->source) : life_below(l, 12)),
        .msg_id = (uint16_t)(50000 + life_below(l, 4)), /* none that a device uses */
        .duration_s = (uint16_t)life_below(l, 200),
        .client_id = dm_span_text(ids[life_below(l, 4)]),
        .topic_name = dm_span_text(texts[life_below(l, 8)]),
        .data = dm_span_text("nonsense"),
    };
    bool names = packet.client_id.len > 0 &&
                 (packet.type == MQTTSN_CONNECT || packet.type == MQTTSN_PINGREQ);
    char from = names || life_one_in(l, 4) ? (char)LIFE_STRANGER
                                           : (char)('A' + life_below(l, LIFE_DEVICES));

    if (packet.topic_type == MQTTSN_TOPIC_SHORT)
        packet.topic_id = 't' << 8 | 'p'; /* a name that the effects can be read with */
    if (packet.type == MQTTSN_PUBACK) {   /* a refusal of any message is counted as a drop */
        packet.msg_id = (uint16_t)life_below(l, 40);
        packet.return_code = MQTTSN_INVALID_TOPIC_ID;
    }
    if (packet.type == MQTTSN_CONNECT || packet.type == MQTTSN_WILLTOPIC ||
        packet.type == MQTTSN_WILLMSG || packet.type == MQTTSN_WILLTOPICUPD ||
        packet.type == MQTTSN_WILLMSGUPD)
        confuse(l, from, &packet);
    l->nonsense = true;
    life_datagram(l, from, &packet);
}
