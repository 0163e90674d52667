/* SPDX-License-Identifier: Apache-2.0 */
/* Nonsense: any message with any content, or any octets, from addresses where no device is. */
#include "stranger.h"

#include "world.h"

enum { RAW_MAX = 40, PORTS = 3 };

static const char nonsense[] = "nonsense";

bool
stranger_wrote(struct dm_span payload)
{
    return payload.len == 0 || dm_span_equal(payload, dm_span_text(nonsense));
}

/* Filters are those of the devices, or ones that no broker takes. */
static struct mqttsn_packet
any_packet(struct world *w)
{
    static const char *const ids[STRANGER_CLIENTS + 1] = {"", "zz0", "zz1", "zz2"};
    static const char *const names[] = {"", "t/a", "u/b", "t/#", "#", "\xff", "a/+b", "t/b"};

    return (struct mqttsn_packet){
        .type = (enum mqttsn_type)world_below(w, MQTTSN_TYPE_COUNT),
        .dup = world_one_in(w, 2),
        .retain = false, /* a retained one would replace a device's */
        .will = world_one_in(w, 4),
        .clean_session = world_one_in(w, 2),
        .has_duration = world_one_in(w, 2),
        .has_flags = world_one_in(w, 2),
        .bad_topic = world_one_in(w, 8),
        .qos = (int8_t)((int)world_below(w, 4) - 1),
        .topic_type = (enum mqttsn_topic_type)world_below(w, 4),
        .return_code = (enum mqttsn_return_code)world_below(w, 5),
        .protocol_id = world_one_in(w, 4) ? 2 : MQTTSN_PROTOCOL_ID,
        .topic_id = world_one_in(w, 2) ? topics[FILTERS_EXACT - 1].id : (uint16_t)world_below(w, 8),
        .msg_id = (uint16_t)world_below(w, 8),
        .duration_s = (uint16_t)world_below(w, 200),
        .client_id = dm_span_text(ids[world_below(w, STRANGER_CLIENTS + 1)]),
        .topic_name = dm_span_text(names[world_below(w, 8)]),
        .data = dm_span_text(nonsense),
    };
}

void
stranger_speaks(struct world *w)
{
    struct mqttsn_packet packet = any_packet(w);
    uint32_t where =
        radio_where(world_below(w, w->weather.links), STRANGER, 1 + world_below(w, PORTS));
    uint8_t octets[300];
    size_t len;

    if (w->weather.nonsense_ms == 0 || w->calm)
        return;
    world_push(w, 1 + world_below(w, 2 * w->weather.nonsense_ms),
               &(struct event){.type = EVENT_NONSENSE});
    if (mqttsn_encode(&packet, octets, sizeof octets, &len) != DM_OK || world_one_in(w, 20)) {
        len = 1 + world_below(w, RAW_MAX);
        random_fill(&w->random, octets, len);
    }
    radio_from_device(w, where, octets, len);
}
