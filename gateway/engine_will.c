/* SPDX-License-Identifier: Apache-2.0 */
/* Wills: session state in MQTT-SN (R31), changed by the device, published when it is lost. */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

#include "topic.h"

static size_t
will_octets(const struct will *will)
{
    return (will->topic != NULL ? will->topic->len : 0) + will->len;
}

bool
will_topic_is_valid(struct dm_span topic)
{
    return topic_name_is_valid(topic) && topic_is_harmless(topic); /* R55 */
}

struct dm_span
will_take_topic(struct engine *e, const struct party *party, struct dm_span topic)
{
    struct dm_span up = {0};

    if (!will_topic_is_valid(topic))
        return up;
    if (access_publish(e, party, topic))
        up = name_up(e, party, topic);
    if (up.len > 0 && !access_is_own(e, up))
        return up;
    access_denied(e, party->client_id, "a will", topic);
    return (struct dm_span){0};
}

bool
will_has_room(const struct engine *e, size_t octets)
{
    return e->status.will_octets + octets <= e->options->total_bytes;
}

struct will *
will_new(struct engine *e, struct name *topic, struct dm_span message, uint8_t qos, bool retain)
{
    uint64_t octets = (topic != NULL ? topic->len : 0) + message.len;

    struct will *will = malloc(sizeof *will + message.len);

    if (will == NULL)
        return NULL;
    *will = (struct will){.topic = topic != NULL ? name_ref(topic) : NULL,
                          .qos = qos,
                          .retain = retain,
                          .len = (uint32_t)message.len};
    if (message.len > 0)
        memcpy(will->message, message.data, message.len);
    e->status.will_octets += octets;
    e->status.wills += topic != NULL;
    return will;
}

void
will_free(struct engine *e, struct will *will)
{
    if (will == NULL)
        return;
    e->status.will_octets -= will_octets(will);
    e->status.wills -= will->topic != NULL;
    name_unref(e, will->topic);
    free(will);
}

static struct dm_span
will_message(const struct will *will)
{
    return will != NULL ? dm_span(will->message, will->len) : (struct dm_span){0};
}

static bool
will_equal(const struct will *a, const struct will *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->topic == b->topic && a->qos == b->qos && a->retain == b->retain &&
           dm_span_equal(will_message(a), will_message(b));
}

void
will_set(struct engine *e, struct session *s, struct will *will)
{
    bool same = will_equal(s->will, will); /* a device that comes back as it was costs no write */

    will_free(e, s->will);
    s->will = will;
    if (!same)
        s->trunk->will_changed = true;
    trunk_touch(e, s->trunk);
    if (!same)
        s->seq = will != NULL ? record_will(e, s) : record_will_delete(e, s);
}

/* ---- updates (R36 to R38) ---- */

static void
send_resp(struct engine *e, struct session *s, enum mqttsn_type type, enum mqttsn_return_code code)
{
    engine_send(e, s, s->seq, &(struct mqttsn_packet){.type = type, .return_code = code});
}

void
handle_willtopicupd(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    enum mqttsn_return_code code = MQTTSN_ACCEPTED;
    struct party party = party_of(s);
    struct dm_span up = {0};

    if (packet->has_flags)
        up = will_take_topic(e, &party, packet->topic_name);
    if (packet->has_flags && up.len == 0) {
        code = MQTTSN_NOT_SUPPORTED; /* M51: the old will is kept */
    } else if (!engine_can_promise(e)) {
        code = MQTTSN_CONGESTION;
    } else if (!packet->has_flags) {
        will_set(e, s, NULL); /* R37: topic and message */
    } else {
        struct name *topic = will_has_room(e, up.len) ? name_get(e, up) : NULL;
        struct will *will = topic != NULL ? will_new(e, topic, will_message(s->will),
                                                     requested_qos(packet), packet->retain)
                                          : NULL;

        name_unref(e, topic);
        if (will != NULL)
            will_set(e, s, will);
        else
            code = MQTTSN_CONGESTION;
    }
    send_resp(e, s, MQTTSN_WILLTOPICRESP, code);
}

void
handle_willmsgupd(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    enum mqttsn_return_code code = MQTTSN_CONGESTION;
    const struct will *old = s->will;
    struct will *will = NULL;

    if (engine_can_promise(e) && will_has_room(e, packet->data.len))
        will = will_new(e, old != NULL ? old->topic : NULL, packet->data,
                        old != NULL ? old->qos : 0, old != NULL && old->retain);
    if (will != NULL) {
        will_set(e, s, will);
        code = MQTTSN_ACCEPTED;
    }
    send_resp(e, s, MQTTSN_WILLMSGRESP, code);
}

/* ---- lost ---- */

struct uplink *
will_spool(struct engine *e, struct session *s)
{
    const struct will *will = s->will;
    char id[128];
    char topic[128];

    if (will == NULL || will->topic == NULL || (s->trunk->has_will && s->trunk->up))
        return NULL; /* the broker publishes it */
    log_escape(id, sizeof id, dm_span(s->client_id, s->client_id_len));
    log_escape(topic, sizeof topic, name_of_session(e, s, will->topic));
    struct uplink *u = uplink_has_room(e, will_octets(will))
                           ? uplink_new(e, s->trunk, s->number, will->topic, will_message(will))
                           : NULL;

    if (u == NULL) {
        e->status.uplink_dropped++;
        log_error("will", "client %s: will on %s is not published: the spool is full", id, topic);
        return NULL;
    }
    u->order = ++e->last_spool;
    u->connection = UINT32_MAX; /* no PUBLISH of the device repeats it */
    u->qos = will->qos;
    u->retain = will->retain;
    u->answered = true;
    uplink_store(e, u);
    e->status.wills_published++;
    log_notice("will", "client %s: will published on %s", id, topic);
    return u;
}

void
will_send(struct engine *e, struct trunk *t, struct uplink *will)
{
    if (will == NULL)
        return;
    /* The device counts as lost and the will is on its way, or neither: one batch (design 6). */
    will->needs = e->seq;
    uplink_pump(e, t);
}
