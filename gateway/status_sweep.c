/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier process, or one that nobody heard any more, left at the broker. */
#include <stdlib.h>
#include <string.h>

#include <dormouse/log.h>

#include "status_private.h"
#include "status_text.h"

enum {
    KEPT_MAX = 4096,    /* octets of a message of ours; what is longer is not */
    NOT_SUBSCRIBED = 3, /* the first reason that refuses a SUBSCRIBE */
};

static void
ask(struct status_topics *t, enum mqtt_type type)
{
    char *filter = status_own_topic(t, "clients/#");

    if (filter != NULL)
        status_send(t, &(struct mqtt_packet){.type = type,
                                             .packet_id = ENGINE_FOREIGN_PACKET_ID,
                                             .topic = dm_span_text(filter)});
    free(filter);
}

void
sweep_start(struct status_topics *t)
{
    char *marker = status_own_topic(t, "clients");

    t->sweep = SWEEP_ASKED;
    t->swept = false;
    t->sweep_ms = status_now_ms(t);
    ask(t, MQTT_SUBSCRIBE);
    if (marker != NULL)
        status_send(t, &(struct mqtt_packet){.type = MQTT_PUBLISH, .topic = dm_span_text(marker)});
    free(marker);
}

void
sweep_end(struct status_topics *t)
{
    t->sweep = SWEEP_LEAVING;
    ask(t, MQTT_UNSUBSCRIBE);
    status_arm(t, 0);
}

static bool
is_below(const struct status_topics *t, struct dm_span topic, const char *name)
{
    size_t base = strlen(t->options.base);
    size_t len = strlen(name);

    return topic.len >= base + len && memcmp(topic.data, t->options.base, base) == 0 &&
           memcmp(topic.data + base, name, len) == 0;
}

/* A topic of a client, as it was left. What is none that we would write goes, too. */
static void
look_at(struct status_topics *t, const struct mqtt_packet *packet)
{
    uint8_t *id = malloc(packet->topic.len);
    size_t len = 0;
    bool known = false;
    bool readable = id != NULL && status_client_id(packet->topic, id, &len) == DM_OK;
    char *topic = readable ? status_client_topic(t->options.base, dm_span(id, len)) : NULL;
    bool ours = topic != NULL && dm_span_equal(dm_span_text(topic), packet->topic);

    if (ours) {
        uint64_t contact_ms =
            packet->payload.len <= KEPT_MAX ? status_text_contact(packet->payload) : 0;

        known = runner_remember_contact(t->source->runner, dm_span(id, len), contact_ms) == DM_OK;
        if (!known && status_has_discovery(t))
            status_publish_discovery(t, dm_span(id, len), true);
    }
    if (!known)
        status_publish(t, strndup((const char *)packet->topic.data, packet->topic.len), NULL);
    free(topic);
    free(id);
}

/* A copy that the sweep asked for. With MQTT 5 those of devices have identifiers. */
static bool
take_publish(struct status_topics *t, const struct mqtt_packet *packet)
{
    bool marker = packet->topic.len == strlen(t->options.base) + strlen("clients") &&
                  is_below(t, packet->topic, "clients");

    if (t->sweep == SWEEP_NONE || packet->qos > 0 || packet->subscription_id_count > 0 ||
        (!marker && !is_below(t, packet->topic, "clients/")))
        return false;
    if (packet->retain && !marker)
        look_at(t, packet);
    else if (marker && !packet->retain && t->sweep == SWEEP_ASKED)
        sweep_end(t);
    return true;
}

bool
sweep_takes(struct status_topics *t, const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_PUBLISH)
        return take_publish(t, packet);
    if ((packet->type != MQTT_SUBACK && packet->type != MQTT_UNSUBACK) ||
        packet->packet_id != ENGINE_FOREIGN_PACKET_ID)
        return false;
    if (packet->type == MQTT_UNSUBACK && t->sweep == SWEEP_LEAVING) {
        t->sweep = SWEEP_NONE;
        t->swept = true;
    } else if (packet->reason >= NOT_SUBSCRIBED && t->sweep == SWEEP_ASKED) {
        log_warning("status",
                    "the broker does not let us read %sclients/#: what an earlier run "
                    "left there stays",
                    t->options.base);
        sweep_end(t);
    }
    return true;
}
