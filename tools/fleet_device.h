/* SPDX-License-Identifier: Apache-2.0 */
/* One simulated device of dormouse fleet: publishes to its own topic and waits for the return. */
#ifndef DORMOUSE_TOOLS_FLEET_DEVICE_H
#define DORMOUSE_TOOLS_FLEET_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <dormouse/client.h>

#include "fleet_tally.h"
#include "options.h"

struct device_link;
struct event;
struct event_base;

enum fleet_phase {
    FLEET_RUN,   /* publish */
    FLEET_DRAIN, /* receive what is under way */
    FLEET_LEAVE, /* disconnect */
};

/* What all devices of a run share. */
struct fleet_plan {
    const struct options *options; /* borrowed */
    struct event_base *base;       /* borrowed */
    struct device_link *line;      /* borrowed; NULL: UDP, a socket for each device */
    struct fleet_tally tally;
    enum fleet_phase phase;
    uint32_t run;    /* stands in every message, so that those of an earlier run are known */
    uint64_t chance; /* state of the random numbers */
};

/* Caller's storage, not to be moved. */
struct fleet_device {
    struct fleet_plan *plan; /* borrowed */
    unsigned index;          /* from 0 */
    int fd;                  /* -1: the line of all */
    struct client client;
    struct event *input;
    struct event *timer;
    struct fleet_window window;
    char topic[OPTIONS_PREFIX_MAX + 16];
    uint16_t topic_id; /* 0: not subscribed */
    bool busy;         /* a request is open */
    bool finished;     /* left */
    uint64_t hold_ms;  /* no request before */
    uint64_t due_ms;   /* of the next message */
    uint64_t wake_ms;
    uint64_t awake_since_us; /* 0: it is no awake period */
};

uint64_t fleet_now_us(void);
/* 0 .. below - 1 */
uint32_t fleet_chance(struct fleet_plan *plan, uint32_t below);

/* `fd` is connected to the gateway and becomes the device's; -1 on a line. It connects after
 * `delay_ms`. DM_NO_MEMORY: fleet_device_close is due all the same. */
enum dm_result fleet_device_open(struct fleet_device *device, struct fleet_plan *plan,
                                 unsigned index, int fd, uint32_t delay_ms);
void fleet_device_close(struct fleet_device *device);

/* On a line: the node id of a device, and what came for it. */
#define FLEET_NODE_ID_LEN 2
unsigned fleet_node_index(struct dm_span node_id); /* UINT_MAX: of none */
void fleet_device_receive(struct fleet_device *device, const uint8_t *message, size_t len);

/* Does what the phase and the clock ask for. Call it when the phase changes. */
void fleet_device_step(struct fleet_device *device);

bool fleet_device_is_connected(const struct fleet_device *device);
/* Nothing is under way any more, as far as the device knows. */
bool fleet_device_is_idle(const struct fleet_device *device);

#endif
