/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the real runner in the simulated world: it starts, crashes at any point, is stopped.
 */
#ifndef DORMOUSE_SIM_GATEWAY_H
#define DORMOUSE_SIM_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "runner.h"
#include "weather.h"

#define NOWHERE UINT32_MAX

struct world;

struct sim_gateway {
    struct runner *runner;
    bool running;
    bool dying;    /* it is dead already: what the code still does in this step has no effect */
    uint32_t life; /* counts its starts */
    uint64_t deadline_ms;
    uint64_t started_ms;
    unsigned heard; /* the device whose datagram it has handled in this step */
    struct engine_options options;
    struct engine_link links[SIM_LINKS_MAX];
    struct transport *transports[SIM_LINKS_MAX];
    struct transport_listener listener;
    struct store_events store_events;
    struct upstream_events upstream_events;
};

void gateway_init(struct world *w);
void gateway_fini(struct world *w);
void gateway_start(struct world *w);
/* Now, or at the end of this step if it is in the middle of something. */
void gateway_crash(struct world *w);
void gateway_stop_orderly(struct world *w);
/* A promise leaves: now and then it is the last thing that does. */
void gateway_tempts_fate(struct world *w, const struct mqttsn_packet *packet);
void gateway_timer(struct world *w);

#endif
