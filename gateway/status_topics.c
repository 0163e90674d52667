/* SPDX-License-Identifier: Apache-2.0 */
/* When the status topics are published, and how what is left over of them is found. */
#include "status_topics.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <dormouse/log.h>

#include "status_text.h"

enum {
    TOLD_MAX = 200,     /* devices in a second */
    CONTACTS = 60,      /* intervals between two messages that tell a sign of life only */
    SWEEP_MS = 30000,   /* the broker has told what it keeps, whatever came */
    REFUSALS_MAX = 10,  /* in a row: this message is one that cannot be told */
    NOT_SUBSCRIBED = 3, /* the first reason that refuses a SUBSCRIBE */
};

/*
 * What the broker keeps below BASE is asked for once: SUBSCRIBE, and behind it BASE/status is
 * published, whose copy comes back behind everything that is kept.
 * NONE -> SUBSCRIBE -> SWEEPING -> copy of BASE/status, refusal or silence -> UNSUBSCRIBE, NONE
 */
struct status_topics {
    struct status_topics_options options;
    const struct control_source *source;
    struct upstream_events inner;
    struct event *timer;
    bool connected;
    bool sweeping, swept;
    uint64_t sweep_ms;
    uint64_t started_ms; /* of the gateway, since 1970; 0: not known yet */
    unsigned refusals;
    char *gateway; /* what BASE/gateway says; NULL: nothing */
    uint64_t gateway_ms;
    uint32_t gateway_state; /* of links and disk, as it says */
};

static uint64_t
now_ms(const struct status_topics *t)
{
    return t->source->now_ms(t->source->ctx);
}

static uint64_t
wall_ms(const struct status_topics *t)
{
    return t->options.wall_ms(t->source->ctx);
}

static void
arm(struct status_topics *t, uint64_t delay_ms)
{
    struct timeval delay = {.tv_sec = (time_t)(delay_ms / 1000),
                            .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000)};

    event_add(t->timer, &delay);
}

static enum dm_result
send_packet(struct status_topics *t, const struct mqtt_packet *packet)
{
    struct upstream *upstream = (struct upstream *)(uintptr_t)t->source->upstream;

    return upstream->ops->send(upstream, packet);
}

/* ---- publishing ---- */

/* Takes both texts over; a payload of NULL clears the topic. False: try again later. */
static bool
publish(struct status_topics *t, char *topic, char *payload)
{
    enum dm_result result = DM_NO_MEMORY;

    if (topic != NULL)
        result = send_packet(
            t, &(struct mqtt_packet){
                   .type = MQTT_PUBLISH,
                   .retain = true,
                   .topic = dm_span_text(topic),
                   .payload = payload != NULL ? dm_span_text(payload) : dm_span(NULL, 0),
               });
    free(topic);
    free(payload);
    if (result == DM_FULL && ++t->refusals < REFUSALS_MAX)
        return false;
    t->refusals = 0;
    return true;
}

static char *
own_topic(const struct status_topics *t, const char *name)
{
    size_t size = strlen(t->options.base) + strlen(name) + 1;
    char *topic = malloc(size);

    if (topic != NULL)
        snprintf(topic, size, "%s%s", t->options.base, name);
    return topic;
}

static bool
has_discovery(const struct status_topics *t)
{
    return *t->options.home_assistant != '\0';
}

/* Tells Home Assistant of the client, or of the gateway if the id is empty; `gone`: that it is not
 * there any more. */
static bool
publish_discovery(struct status_topics *t, struct dm_span client_id, bool gone)
{
    const char *name = t->source->name;
    char *text = gone ? NULL : status_discovery_text(&t->options, name, client_id);

    if (text == NULL && !gone)
        return true;
    return publish(t, status_discovery_topic(&t->options, name, client_id), text);
}

static bool
publish_client(void *ctx, const struct engine_change *change)
{
    struct status_topics *t = ctx;
    struct dm_span id = change->session.client_id;
    char *text = change->ended ? NULL : status_client_text(t->source, change, wall_ms(t));

    if (text == NULL && !change->ended)
        return true;
    if (has_discovery(t) && (change->ended || change->first) &&
        !publish_discovery(t, id, change->ended)) {
        free(text);
        return false;
    }
    return publish(t, status_client_topic(t->options.base, id), text);
}

/* What is told at once of the gateway, unlike its numbers. */
static uint32_t
state_of_gateway(const struct status_topics *t)
{
    struct engine_status status;
    uint32_t state;

    engine_status(runner_engine(t->source->runner), &status);
    state = status.degraded;
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
    uint64_t age_ms = now_ms(t) - t->source->started_ms;

    if (t->gateway != NULL && state == t->gateway_state && now_ms(t) < due_ms)
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
    t->gateway_ms = now_ms(t);
    t->gateway_state = state;
    if (publish(t, own_topic(t, "gateway"), text))
        return;
    free(t->gateway);
    t->gateway = NULL;
}

static void
publish_status(struct status_topics *t, const char *status)
{
    publish(t, own_topic(t, "status"), strdup(status));
}

/* ---- what the broker keeps ---- */

static void
ask(struct status_topics *t, enum mqtt_type type)
{
    char *filter = own_topic(t, "#");

    if (filter != NULL)
        send_packet(t, &(struct mqtt_packet){.type = type,
                                             .packet_id = ENGINE_FOREIGN_PACKET_ID,
                                             .topic = dm_span_text(filter)});
    free(filter);
}

static void
start_sweep(struct status_topics *t)
{
    t->sweeping = true;
    t->swept = false;
    t->sweep_ms = now_ms(t);
    ask(t, MQTT_SUBSCRIBE);
}

static void
end_sweep(struct status_topics *t)
{
    t->sweeping = false;
    t->swept = true;
    ask(t, MQTT_UNSUBSCRIBE);
    arm(t, 0);
}

static bool
is_below(const struct status_topics *t, struct dm_span topic, const char *name)
{
    size_t base = strlen(t->options.base);
    size_t len = strlen(name);

    return topic.len >= base + len && memcmp(topic.data, t->options.base, base) == 0 &&
           memcmp(topic.data + base, name, len) == 0;
}

/* A topic of a client, as it was left. */
static void
look_at(struct status_topics *t, const struct mqtt_packet *packet)
{
    uint8_t *id = malloc(packet->topic.len);
    size_t len;

    if (id != NULL && status_client_id(packet->topic, id, &len) == DM_OK &&
        runner_remember_contact(t->source->runner, dm_span(id, len),
                                status_text_contact(packet->payload)) == DM_NOT_FOUND) {
        if (has_discovery(t))
            publish_discovery(t, dm_span(id, len), true);
        publish(t, status_client_topic(t->options.base, dm_span(id, len)), NULL);
    }
    free(id);
}

/* ---- events ---- */

static bool
on_clean_start(void *ctx)
{
    struct status_topics *t = ctx;

    return t->inner.clean_start(t->inner.ctx);
}

static void
on_connected(void *ctx, const struct upstream_session *session)
{
    struct status_topics *t = ctx;

    t->inner.on_connected(t->inner.ctx, session);
    t->connected = session->retain_available;
    if (!t->connected) {
        log_notice("status", "the broker retains no messages: no status topics");
        return;
    }
    free(t->gateway);
    t->gateway = NULL;
    runner_change_all(t->source->runner);
    if (!t->swept || runner_forgot_ends(t->source->runner))
        start_sweep(t);
    publish_status(t, "online");
    if (has_discovery(t))
        publish_discovery(t, dm_span(NULL, 0), false);
    arm(t, 0);
}

static void
on_disconnected(void *ctx)
{
    struct status_topics *t = ctx;

    t->connected = t->sweeping = false;
    event_del(t->timer);
    t->inner.on_disconnected(t->inner.ctx);
}

/* Whether it is about these topics and for nobody else. */
static bool
take_packet(struct status_topics *t, const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_PUBLISH) {
        if (!t->sweeping || !is_below(t, packet->topic, ""))
            return false;
        if (!packet->retain && is_below(t, packet->topic, "status"))
            end_sweep(t);
        else if (packet->retain && is_below(t, packet->topic, "clients/"))
            look_at(t, packet);
        return packet->qos == 0 && packet->retain;
    }
    if ((packet->type != MQTT_SUBACK && packet->type != MQTT_UNSUBACK) ||
        packet->packet_id != ENGINE_FOREIGN_PACKET_ID)
        return false;
    if (packet->type == MQTT_SUBACK && packet->reason >= NOT_SUBSCRIBED && t->sweeping) {
        log_warning("status",
                    "the broker does not let us read %s#, so what an earlier run left "
                    "there stays",
                    t->options.base);
        end_sweep(t);
    }
    return true;
}

static void
on_packet(void *ctx, const struct mqtt_packet *packet)
{
    struct status_topics *t = ctx;

    if (!take_packet(t, packet))
        t->inner.on_packet(t->inner.ctx, packet);
}

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct status_topics *t = ctx;
    struct engine_change_pace pace = {.news_ms = t->options.interval_ms,
                                      .contact_ms = t->options.interval_ms * CONTACTS,
                                      .limit = TOLD_MAX};

    (void)fd;
    (void)what;
    if (t->sweeping && now_ms(t) < t->sweep_ms + SWEEP_MS) {
        arm(t, SWEEP_MS);
        return;
    }
    if (t->sweeping) {
        end_sweep(t);
        return;
    }
    publish_gateway(t);
    bool done = runner_tell_changes(t->source->runner, &pace, publish_client, t);

    if (runner_forgot_ends(t->source->runner)) {
        start_sweep(t);
        publish_status(t, "online");
    }
    arm(t, done ? t->options.interval_ms : 1000);
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
    if (discovery && has_discovery(t)) {
        runner_change_all(t->source->runner);
        publish_discovery(t, dm_span(NULL, 0), false);
    }
    arm(t, 0);
}

void
status_topics_goodbye(struct status_topics *t)
{
    if (t->connected)
        publish_status(t, "offline");
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
