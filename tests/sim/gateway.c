/* SPDX-License-Identifier: Apache-2.0 */
/* Starts, crashes and stops the real runner. */
#include "gateway.h"

#include "topics.h"
#include "world.h"

static uint64_t
now_ms(void *ctx)
{
    return ((struct world *)ctx)->now_ms;
}

static void
arm(void *ctx, uint64_t deadline_ms)
{
    ((struct world *)ctx)->gateway.deadline_ms = deadline_ms;
}

/* To the broker it is the same whose prefix it is. */
static const struct engine_client every_client = {.pattern = "*", .topic_prefix = TOPICS_PREFIX};
static const char *const broker_keys[] = {"mqtt://broker dormouse"};

void
gateway_init(struct world *w)
{
    struct sim_gateway *g = &w->gateway;
    const struct weather *weather = &w->weather;

    *g = (struct sim_gateway){.deadline_ms = ENGINE_NEVER};
    for (unsigned i = 0; i < SIM_LINKS_MAX; i++)
        g->transports[i] = &w->radio.air[i].transport;
    g->options = (struct engine_options){
        .links = g->links,
        .link_count = SIM_LINKS_MAX,
        .topics = topics_predefined,
        .topic_count = topics_predefined_count,
        .gateway_id = 1,
        .standby_for = ENGINE_NO_GATEWAY,
        .advertise_ms = ENGINE_NEVER,
        .topic_prefix = weather->prefix && !weather->prefix_of_clients ? TOPICS_PREFIX : "",
        .clients = &every_client,
        .client_count = weather->prefix_of_clients,
        .broker_keys = broker_keys,
        .broker_count = 1,
        .max_clients = SIM_DEVICES_MAX + STRANGER_CLIENTS,
        .client_id_max = MQTTSN_CLIENT_ID_MAX,
        .settings.awake_max_ms = SIM_AWAKE_MAX_MS,
        .settings.queue_messages = weather->queue_messages,
        .settings.queue_bytes = weather->queue_bytes,
        .total_bytes = (uint64_t)weather->queue_bytes * 4,
        .settings.overflow = (enum engine_overflow)weather->overflow,
        .settings.queue_qos0 = ENGINE_QOS0_ASLEEP,
        .settings.max_age_ms = weather->max_age_ms,
        .settings.expiry_ms = ENGINE_NEVER,
        .spool_bytes = weather->spool_bytes,
        .settings.uplink_ack_store = weather->uplink_ack_store,
        .settings.store_after_ms = 1000,
        .settings.retry_ms = 10000,
        .settings.retry_count = 3,
        .settings.tolerance_percent = SIM_TOLERANCE_PERCENT,
        .receive_maximum = (uint16_t)weather->receive_maximum,
    };
}

void
gateway_start(struct world *w)
{
    struct sim_gateway *g = &w->gateway;
    struct runner_options options = {.engine = &g->options, .ctx = w, .now_ms = now_ms, .arm = arm};

    if (g->running)
        return;
    for (unsigned i = 0; i < SIM_LINKS_MAX; i++)
        g->links[i] = (struct engine_link){.mtu = w->radio.air[i].transport.mtu,
                                           .up = w->radio.air[i].up,
                                           .qos_minus_one = ENGINE_QOS_MINUS_ONE_IDS};
    g->life++;
    world_trace(w, "the gateway starts");
    g->runner = runner_new(&options);
    g->listener = runner_transport_listener(g->runner);
    g->store_events = runner_store_events(g->runner);
    g->upstream_events = runner_upstream_events(g->runner);
    runner_set_transports(g->runner, g->transports, SIM_LINKS_MAX);
    disk_open(w);
    runner_set_store(g->runner, &w->disk.store);
    runner_set_upstream(g->runner, &w->broker.upstream);
    g->running = true;
    g->started_ms = w->now_ms;
    runner_start(g->runner);
    oracle_restarted(w);
    world_push(w, world_below(w, 50), &(struct event){.type = EVENT_DIAL, .tag = g->life});
}

static void
end(struct world *w)
{
    struct sim_gateway *g = &w->gateway;

    g->running = false;
    g->dying = false;
    g->deadline_ms = ENGINE_NEVER;
    oracle_crashed(w);
    broker_gateway_gone(w);
    disk_close(w);
    runner_free(g->runner);
    g->runner = NULL;
}

static void
start_later(struct world *w)
{
    static const unsigned pauses_ms[] = {20, 20, 200, 200, 3000, 20000, 120000};
    unsigned pause_ms =
        w->calm ? 20 : pauses_ms[world_below(w, sizeof pauses_ms / sizeof pauses_ms[0])];

    world_push(w, 1 + world_below(w, pause_ms), &(struct event){.type = EVENT_START});
}

void
gateway_crash(struct world *w)
{
    if (!w->gateway.running)
        return;
    world_trace(w, "the gateway crashes");
    w->tally->crashes++;
    end(w);
    start_later(w);
}

void
gateway_stop_orderly(struct world *w)
{
    if (!w->gateway.running)
        return;
    world_trace(w, "the gateway is stopped");
    w->tally->orderly++;
    runner_shutdown(w->gateway.runner);
    disk_drain(w);
    end(w);
    start_later(w);
}

void
gateway_tempts_fate(struct world *w, const struct mqttsn_packet *packet)
{
    if (packet != NULL && (packet->type == MQTTSN_PUBLISH || packet->type == MQTTSN_PINGRESP))
        return;
    if (w->weather.doom > 0 && !w->calm && world_one_in(w, w->weather.doom))
        w->gateway.dying = true;
}

void
gateway_timer(struct world *w)
{
    struct sim_gateway *g = &w->gateway;

    runner_time(g->runner);
    if (g->deadline_ms <= w->now_ms)
        world_fail(w, "the gateway waits", "its next deadline is in the past");
}

void
gateway_fini(struct world *w)
{
    runner_free(w->gateway.runner);
    w->gateway.runner = NULL;
}
