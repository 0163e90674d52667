/* SPDX-License-Identifier: Apache-2.0 */
/* What a message says: which round it is of, so that late ones are not counted, and whose it is. */
#ifndef DORMOUSE_BENCH_PAYLOAD_H
#define DORMOUSE_BENCH_PAYLOAD_H

#include "bench.h"

struct payload {
    uint32_t round;
    uint32_t device;
    uint8_t rest[BENCH_PAYLOAD - 8];
};

static inline struct payload
payload_of(const struct run *run, uint32_t device)
{
    return (struct payload){.round = run->round, .device = device};
}

/* False if it is not of this round. */
static inline bool
payload_read(const struct run *run, struct dm_span data, uint32_t *device)
{
    struct payload payload;

    if (data.len != sizeof payload)
        return false;
    memcpy(&payload, data.data, sizeof payload);
    *device = payload.device;
    return payload.round == run->round && payload.device < run->devices;
}

/* PUBLISH of a device on its registered topic. */
static inline void
payload_send_up(struct run *run, uint32_t device, int8_t qos)
{
    struct payload payload = payload_of(run, device);

    fleet_send(&run->fleet, device,
               &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                       .qos = qos,
                                       .topic_id = run->fleet.devices[device].topic_id,
                                       .msg_id = qos > 0 ? fleet_msg_id(&run->fleet, device) : 0,
                                       .data = dm_span(&payload, sizeof payload)});
}

/* PUBLISH of somebody at the broker for one device, or on the topic of all (`topic` not NULL). */
void payload_send_down(struct run *run, uint32_t device, const char *topic, int8_t qos);

#endif
