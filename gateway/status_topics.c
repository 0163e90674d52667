/* SPDX-License-Identifier: Apache-2.0 */
/* When the status topics are published, and how what is left over of them is found. */
#include "status_topics.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <dormouse/log.h>

#include "status_private.h"
#include "status_text.h"

enum {
    TOLD_MAX = 200,        /* devices in one go, and in a second while others wait */
    CONTACTS = 60,         /* intervals between two messages that tell a sign of life only */
    AGAIN_MS = 1000,       /* what could not be told is tried again */
    SOON_MS = 5000,        /* a connection that ends so soon may have ended because of us */
    ENDS_MAX = 2,          /* such ends in a row; then we keep still */
    STILL_MS = 600 * 1000, /* for so long */
};

uint64_t
status_now_ms(const struct status_topics *t)
{
    return t->source->now_ms(t->source->ctx);
}

static uint64_t
wall_ms(const struct status_topics *t)
{
    return t->options.wall_ms(t->source->ctx);
}

void
status_arm(struct status_topics *t, uint64_t delay_ms)
{
    struct timeval delay = {.tv_sec = (time_t)(delay_ms / 1000),
                            .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000)};

    event_add(t->timer, &delay);
}

enum dm_result
status_send(struct status_topics *t, const struct mqtt_packet *packet)
{
    return t->upstream->ops->send(t->upstream, packet);
}

/* ---- publishing ---- */

bool
status_publish(struct status_topics *t, char *topic, char *payload)
{
    struct mqtt_packet packet = {.type = MQTT_PUBLISH,
                                 .retain = true,
                                 .topic = dm_span_text(topic),
                                 .payload = dm_span_text(payload)};
    enum dm_result result = topic != NULL ? status_send(t, &packet) : DM_NO_MEMORY;

    t->cleared = t->cleared || payload == NULL;
    free(topic);
    free(payload);
    return result != DM_FULL;
}

char *
status_own_topic(const struct status_topics *t, const char *name)
{
    return status_join(t->options.base, name, "");
}

bool
status_has_discovery(const struct status_topics *t)
{
    return *t->options.home_assistant != '\0';
}

bool
status_publish_discovery(struct status_topics *t, struct dm_span client_id, bool gone)
{
    const char *name = t->source->name;
    char *text = gone ? NULL : status_discovery_text(&t->options, name, client_id);

    if (text == NULL && !gone)
        return true;
    return status_publish(t, status_discovery_topic(&t->options, name, client_id), text);
}

/* The state first when it appears, and last when it goes: whoever left anything left that. */
static bool
publish_client(void *ctx, const struct engine_change *change)
{
    struct status_topics *t = ctx;
    struct dm_span id = change->session.client_id;
    char *text = change->ended ? NULL : status_client_text(t->source, change, wall_ms(t));

    if (text == NULL && !change->ended)
        return true;
    if (change->ended)
        return (!status_has_discovery(t) || status_publish_discovery(t, id, true)) &&
               status_publish(t, status_client_topic(t->options.base, id), NULL);
    return status_publish(t, status_client_topic(t->options.base, id), text) &&
           (!status_has_discovery(t) || !change->first || status_publish_discovery(t, id, false));
}

/* What is told at once of the gateway, unlike its numbers. */
static uint32_t
state_of_gateway(const struct status_topics *t)
{
    uint32_t state = engine_is_degraded(runner_engine(t->source->runner));

    for (size_t i = 0; i < t->source->transport_count; i++) {
        struct transport_status link = {0};

        t->source->transports[i]->ops->status(t->source->transports[i], &link);
        state = state << 1 ^ state >> 31 ^ link.up;
    }
    return state;
}

static void
publish_gateway(struct status_topics *t)
{
    uint32_t state = state_of_gateway(t);
    uint64_t due_ms = t->gateway_ms + t->options.interval_ms * CONTACTS;
    uint64_t age_ms = status_now_ms(t) - t->source->started_ms;

    if (t->gateway != NULL && state == t->gateway_state && status_now_ms(t) < due_ms)
        return;
    if (t->started_ms == 0 && wall_ms(t) > age_ms)
        t->started_ms = wall_ms(t) - age_ms;
    char *text = status_gateway_text(t->source, t->started_ms);

    if (text == NULL || (t->gateway != NULL && strcmp(text, t->gateway) == 0)) {
        free(text);
        return;
    }
    free(t->gateway);
    t->gateway = strdup(text);
    t->gateway_ms = status_now_ms(t);
    t->gateway_state = state;
    if (status_publish(t, status_own_topic(t, "gateway"), text))
        return;
    free(t->gateway);
    t->gateway = NULL;
}

static void
publish_status(struct status_topics *t, const char *status)
{
    t->owes_status = !status_publish(t, status_own_topic(t, "status"), strdup(status));
}

static void
publish_owed(struct status_topics *t)
{
    if (t->owes_status)
        publish_status(t, "online");
    if (t->owes_gateway)
        t->owes_gateway =
            status_has_discovery(t) && !status_publish_discovery(t, dm_span(NULL, 0), false);
}

/* ---- events ---- */

static bool
on_clean_start(void *ctx, size_t broker)
{
    struct status_topics *t = ctx;

    return t->inner.clean_start(t->inner.ctx, broker);
}

static bool
on_idle(void *ctx)
{
    struct status_topics *t = ctx;

    return t->inner.is_idle(t->inner.ctx);
}

/* Before the engine has its say: what waits for the broker may fill the connection for long. */
static void
begin(struct status_topics *t)
{
    free(t->gateway);
    t->gateway = NULL;
    t->cleared = false;
    runner_change_all(t->source->runner);
    if (!t->swept || runner_forgot_ends(t->source->runner))
        sweep_start(t);
    t->owes_status = t->owes_gateway = true;
    publish_owed(t);
}

static void
on_connected(void *ctx, const struct upstream_session *session)
{
    struct status_topics *t = ctx;
    bool still = status_now_ms(t) < t->still_until_ms;

    t->upstream = (struct upstream *)(uintptr_t)t->source->upstream;
    t->swept = t->swept && t->broker == session->broker; /* each keeps its own */
    t->broker = session->broker;
    t->retains = session->retain_available;
    t->connected = t->retains && !still;
    t->connected_ms = status_now_ms(t);
    t->leaving = false;
    if (t->connected)
        begin(t);
    else if (!t->retains)
        log_notice("status", "the broker retains no messages: no status topics");
    t->inner.on_connected(t->inner.ctx, session);
    if (t->retains)
        status_arm(t, still ? t->still_until_ms - status_now_ms(t) : 0);
}

/* A broker may end the connection for what it does not allow. The devices come first. */
static void
note_end(struct status_topics *t)
{
    bool soon = status_now_ms(t) - t->connected_ms < SOON_MS || t->sweep == SWEEP_ASKED;

    t->ends = soon ? t->ends + 1 : 0;
    if (t->ends < ENDS_MAX)
        return;
    t->ends = 0;
    t->still_until_ms = status_now_ms(t) + STILL_MS;
    log_warning("status",
                "the connection ended soon after it began, again: no status topics for %d minutes, "
                "in case the broker does not allow %s#",
                STILL_MS / 60000, t->options.base);
}

static void
on_disconnected(void *ctx)
{
    struct status_topics *t = ctx;

    if (t->connected && !t->leaving)
        note_end(t);
    if (t->connected && t->cleared)
        t->swept = false;
    t->connected = false;
    t->sweep = SWEEP_NONE;
    event_del(t->timer);
    t->inner.on_disconnected(t->inner.ctx);
}

static void
on_packet(void *ctx, const struct mqtt_packet *packet)
{
    struct status_topics *t = ctx;

    if (!sweep_takes(t, packet))
        t->inner.on_packet(t->inner.ctx, packet);
}

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct status_topics *t = ctx;
    struct engine_change_pace pace = {.news_ms = t->options.interval_ms,
                                      .contact_ms = t->options.interval_ms * CONTACTS,
                                      .limit = TOLD_MAX};
    uint64_t swept_ms = t->sweep_ms + SWEEP_MS;

    (void)fd;
    (void)what;
    if (!t->connected) { /* we kept still for long enough */
        t->connected = true;
        t->connected_ms = status_now_ms(t);
        begin(t);
    }
    publish_owed(t);
    if (t->sweep == SWEEP_ASKED && status_now_ms(t) < swept_ms) {
        bool owes = t->owes_status || t->owes_gateway;

        status_arm(t, owes ? AGAIN_MS : swept_ms - status_now_ms(t));
        return;
    }
    if (t->sweep == SWEEP_ASKED) {
        log_notice("status",
                   "the broker does not show us %sclients/#: what an earlier run left "
                   "there stays",
                   t->options.base);
        sweep_end(t);
        return;
    }
    publish_gateway(t);
    bool done = runner_tell_changes(t->source->runner, &pace, publish_client, t) &&
                !t->owes_status && !t->owes_gateway;

    if (t->sweep == SWEEP_NONE && runner_forgot_ends(t->source->runner))
        sweep_start(t);
    status_arm(t, done ? t->options.interval_ms : AGAIN_MS);
}

/* ---- life ---- */

struct status_topics *
status_topics_new(struct event_base *base, const struct status_topics_options *options,
                  const struct control_source *source)
{
    struct status_topics *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->options = *options;
    t->source = source;
    t->timer = evtimer_new(base, on_timer, t);
    if (t->timer == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

struct upstream_events
status_topics_events(struct status_topics *t, const struct upstream_events *inner)
{
    t->inner = *inner;
    return (struct upstream_events){.ctx = t,
                                    .clean_start = on_clean_start,
                                    .is_idle = on_idle,
                                    .on_connected = on_connected,
                                    .on_disconnected = on_disconnected,
                                    .on_packet = on_packet};
}

void
status_topics_reconfigure(struct status_topics *t, const struct status_topics_options *options)
{
    bool discovery = strcmp(options->home_assistant, t->options.home_assistant) != 0;

    t->options = *options;
    if (!t->connected)
        return;
    if (discovery && status_has_discovery(t)) {
        runner_change_all(t->source->runner);
        t->owes_gateway = true;
    }
    status_arm(t, 0);
}

void
status_topics_goodbye(struct status_topics *t)
{
    t->leaving = true;
    if (t->connected)
        publish_status(t, "offline");
    t->owes_status = true; /* should the connection stay after all */
}

void
status_topics_free(struct status_topics *t)
{
    if (t == NULL)
        return;
    event_free(t->timer);
    free(t->gateway);
    free(t);
}
