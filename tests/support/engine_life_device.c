/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of a random life. They keep MQTT-SN as far as constrained devices do: they repeat
 * what was not answered, now and then give up, sleep, reboot and fall silent; the radio loses a
 * part. With QoS 2 they hand a message over at its PUBLISH and know it again until PUBREL.
 */
#include "engine_life.h"

#include <stdio.h>
#include <string.h>

static const char *const filters[] = {"t/1", "t/+", "t/#", "u/1", "#"};

static bool
is_lost(struct life *l)
{
    return !l->link_up || (!l->calm && life_one_in(l, 12));
}

static void
from_device(struct life *l, unsigned d, const struct mqttsn_packet *packet)
{
    if (!is_lost(l))
        life_datagram(l, (char)('A' + d), packet);
}

/* ---- connecting, and wills ---- */

static void
send_connect(struct life *l, unsigned d)
{
    const struct life_attempt *a = &l->devices[d].attempt;
    char id[] = {(char)('a' + d), (char)('a' + d), '\0'};

    if (a->clean && a->wish == LIFE_PLAIN)
        l->devices[d].armed = false;
    from_device(l, d,
                &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                        .protocol_id = MQTTSN_PROTOCOL_ID,
                                        .clean_session = a->clean,
                                        .will = a->wish != LIFE_PLAIN,
                                        .duration_s = 60,
                                        .client_id = dm_span_text(id)});
}

static void
send_will_topic(struct life *l, unsigned d)
{
    const struct life_attempt *a = &l->devices[d].attempt;
    bool empty = a->wish != LIFE_WILL;
    char topic[] = {'w', '/', (char)('a' + d), '\0'};

    if (empty)
        l->devices[d].armed = false;
    from_device(l, d,
                &(struct mqttsn_packet){.type = a->last,
                                        .has_flags = !empty,
                                        .qos = a->qos,
                                        .topic_name = dm_span_text(empty ? "" : topic)});
}

static void
send_will_message(struct life *l, unsigned d)
{
    const struct life_attempt *a = &l->devices[d].attempt;
    char message[16];

    snprintf(message, sizeof message, "w%u", (unsigned)a->number);
    from_device(l, d, &(struct mqttsn_packet){.type = a->last, .data = dm_span_text(message)});
}

static void
send_attempt(struct life *l, unsigned d)
{
    switch (l->devices[d].attempt.last) {
    case MQTTSN_CONNECT:
        send_connect(l, d);
        break;
    case MQTTSN_WILLTOPIC:
    case MQTTSN_WILLTOPICUPD:
        send_will_topic(l, d);
        break;
    default:
        send_will_message(l, d);
        break;
    }
}

static void
begin_attempt(struct life *l, unsigned d, enum life_wish wish, enum mqttsn_type first)
{
    struct life_device *device = &l->devices[d];

    device->attempt = (struct life_attempt){.number = life_new_payload(l),
                                            .wish = wish,
                                            .last = first,
                                            .clean = d == 4 || (!l->calm && life_one_in(l, 20)),
                                            .qos = (int8_t)life_below(l, 3)};
    l->facts[device->attempt.number].device = (uint8_t)d;
    l->facts[device->attempt.number].will = true;
}

static void
device_connect(struct life *l, unsigned d)
{
    static const enum life_wish wishes[] = {LIFE_PLAIN, LIFE_PLAIN, LIFE_WILL, LIFE_WILL,
                                            LIFE_WILL,  LIFE_WILL,  LIFE_WILL, LIFE_EMPTY_WILL};

    if (l->devices[d].attempt.number == 0 || life_one_in(l, 4))
        begin_attempt(l, d, l->calm ? LIFE_PLAIN : wishes[life_below(l, 8)], MQTTSN_CONNECT);
    send_attempt(l, d);
}

static void
device_update_will(struct life *l, unsigned d)
{
    if (l->devices[d].attempt.number == 0 && l->devices[d].armed) {
        if (life_one_in(l, 6))
            begin_attempt(l, d, LIFE_NO_MORE_WILL, MQTTSN_WILLTOPICUPD);
        else
            begin_attempt(l, d, LIFE_NEW_MESSAGE, MQTTSN_WILLMSGUPD);
    }
    if (l->devices[d].attempt.number != 0)
        send_attempt(l, d);
}

/* CONNACK, WILLTOPICRESP or WILLMSGRESP for what it tries. `ended`: its session has gone since. */
static void
attempt_answered(struct life_device *device, bool accepted, bool ended)
{
    struct life_attempt a = device->attempt;

    device->attempt.number = 0;
    if (ended)
        return;
    if (accepted && a.last != MQTTSN_WILLTOPICUPD && a.last != MQTTSN_WILLMSGUPD)
        device->connecting = false;
    if (accepted && (a.wish != LIFE_PLAIN || a.clean))
        device->will_since = a.number;
    if (accepted && a.wish == LIFE_WILL)
        device->armed = true;
}

/* ---- publishing ---- */

static void
send_publish(struct life *l, unsigned d, uint8_t qos, bool dup)
{
    const struct life_device *device = &l->devices[d];
    char payload[16];

    snprintf(payload, sizeof payload, "d%u", (unsigned)device->payload);
    from_device(l, d,
                &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                        .qos = (int8_t)qos,
                                        .dup = dup,
                                        .topic_type = MQTTSN_TOPIC_PREDEFINED,
                                        .topic_id = 7,
                                        .msg_id = qos > 0 ? device->msg_id : 0,
                                        .data = dm_span_text(payload)});
}

static uint16_t
new_msg_id(struct life_device *device)
{
    if (++device->last_msg_id == 0)
        device->last_msg_id = 1;
    return device->last_msg_id;
}

static void
publish_new(struct life *l, unsigned d)
{
    struct life_device *device = &l->devices[d];
    uint8_t qos = life_one_in(l, 8) ? 0 : (uint8_t)(1 + life_below(l, 2));

    device->payload = life_new_payload(l);
    device->qos = qos;
    device->phase = qos > 0 ? LIFE_PUBLISHED : LIFE_IDLE;
    if (qos > 0)
        device->msg_id = new_msg_id(device);
    l->facts[device->payload].device = (uint8_t)d;
    l->facts[device->payload].sessions = device->sessions;
    l->facts[device->payload].allowed = 1;
    send_publish(l, d, qos, false);
}

static void
device_publish(struct life *l, unsigned d)
{
    struct life_device *device = &l->devices[d];

    if (device->phase == LIFE_IDLE || life_one_in(l, 8)) /* or gives the last one up */
        publish_new(l, d);
    else if (device->phase == LIFE_PUBLISHED)
        send_publish(l, d, device->qos, true);
    else
        from_device(l, d, &(struct mqttsn_packet){.type = MQTTSN_PUBREL, .msg_id = device->msg_id});
}

/* ---- hearing ---- */

static void
answer(struct life *l, struct life_answer a)
{
    if (l->answer_count < LIFE_ANSWERS_MAX)
        l->answers[l->answer_count++] = a;
}

static struct life_received *
find_received(struct life_device *device, uint16_t msg_id)
{
    for (size_t i = 0; i < device->set_count; i++)
        if (device->set[i].msg_id == msg_id)
            return &device->set[i];
    return NULL;
}

static void
add_received(struct life_device *device, uint16_t msg_id, uint32_t payload)
{
    if (device->set_count == LIFE_SET_MAX) /* never released: the gateway dropped it */
        memmove(device->set, device->set + 1, --device->set_count * sizeof device->set[0]);
    device->set[device->set_count++] = (struct life_received){msg_id, payload};
}

/* It does not take a message now, or not at all. */
static void
refuse(struct life *l, unsigned d, const struct life_line *line, uint32_t payload)
{
    enum mqttsn_return_code code = (enum mqttsn_return_code)(1 + life_below(l, 3));

    if (code != MQTTSN_CONGESTION)
        queue_refused(l, line->session, payload);
    answer(l, (struct life_answer){.device = d,
                                   .type = MQTTSN_PUBACK,
                                   .topic_id = 1,
                                   .msg_id = (uint16_t)life_number(line->text, " msg "),
                                   .code = code});
}

static void
hear_publish(struct life *l, unsigned d, const struct life_line *line)
{
    struct life_device *device = &l->devices[d];
    uint16_t msg_id = (uint16_t)life_number(line->text, " msg ");
    uint32_t payload = life_number(line->text, "\"m");
    uint8_t qos = (uint8_t)life_number(line->text, " qos ");

    if (device->set_session != line->session)
        device->set_count = 0;
    device->set_session = line->session;
    struct life_received *known = qos == 2 ? find_received(device, msg_id) : NULL;

    if (known != NULL && known->payload != payload)
        life_broken(l, "the MsgId of a message that is not released", line->text);
    if (known == NULL && qos > 0 && !l->calm && life_one_in(l, 20)) {
        refuse(l, d, line, payload);
        return;
    }
    if (known == NULL)
        queue_handed_over(l, d, line->session, payload, qos);
    if (known == NULL && qos == 2)
        add_received(device, msg_id, payload);
    if (qos > 0)
        answer(l, (struct life_answer){.device = d,
                                       .type = qos == 2 ? MQTTSN_PUBREC : MQTTSN_PUBACK,
                                       .topic_id = 1,
                                       .msg_id = msg_id});
}

static void
hear_pubrel(struct life *l, unsigned d, uint16_t msg_id)
{
    struct life_device *device = &l->devices[d];
    struct life_received *known = find_received(device, msg_id);

    if (known != NULL)
        *known = device->set[--device->set_count];
    answer(l, (struct life_answer){.device = d, .type = MQTTSN_PUBCOMP, .msg_id = msg_id});
}

/* About the device's own message: PUBACK, PUBREC or PUBCOMP. */
static void
hear_acknowledgement(struct life *l, unsigned d, const struct life_line *line)
{
    struct life_device *device = &l->devices[d];
    const char *text = line->text + 3;

    if (device->msg_id != life_number(text, " msg "))
        return;
    if (strncmp(text, "PUBACK", 6) == 0 && device->phase == LIFE_PUBLISHED) {
        if (life_number(text, " code ") == 0 && device->qos == 1)
            promise_to_device(l, device->payload);
        else if (life_number(text, " code ") == 0)
            life_broken(l, "QoS 2, and accepted by PUBACK", line->text);
        device->phase = LIFE_IDLE;
    } else if (strncmp(text, "PUBREC", 6) == 0 && device->qos == 2 && device->phase != LIFE_IDLE) {
        if (device->phase == LIFE_PUBLISHED)
            promise_to_device(l, device->payload);
        device->phase = LIFE_RELEASED;
        answer(l,
               (struct life_answer){.device = d, .type = MQTTSN_PUBREL, .msg_id = device->msg_id});
    } else if (strncmp(text, "PUBCOMP", 7) == 0 && device->phase == LIFE_RELEASED) {
        device->phase = LIFE_IDLE;
    }
}

/* The handshake's questions, and the answers to what the device tries. */
static void
hear_about_attempt(struct life *l, unsigned d, const struct life_line *line)
{
    const char *text = line->text + 3;
    struct life_attempt *a = &l->devices[d].attempt;

    if (strncmp(text, "WILLTOPICREQ", 12) == 0)
        a->last = MQTTSN_WILLTOPIC;
    else if (strncmp(text, "WILLMSGREQ", 10) == 0)
        a->last = MQTTSN_WILLMSG;
    else if (strncmp(text, "CONNACK", 7) == 0 || strncmp(text, "WILL", 4) == 0) {
        attempt_answered(&l->devices[d], strstr(text, " 0") != NULL,
                         l->seen[d].number != line->session);
        return;
    } else {
        return;
    }
    answer(l, (struct life_answer){.device = d, .type = a->last, .attempt = a->number});
}

void
device_gets(struct life *l, const struct life_line *line)
{
    unsigned d = (unsigned)(line->text[0] - 'A');
    const char *text = line->text + 3;

    if (d >= LIFE_DEVICES || is_lost(l) || l->devices[d].off_until > l->step ||
        l->devices[d].boot != line->boot)
        return;
    if (strncmp(text, "PUBLISH", 7) == 0)
        hear_publish(l, d, line);
    else if (strncmp(text, "PUBREL", 6) == 0)
        hear_pubrel(l, d, (uint16_t)life_number(text, " msg "));
    else if (strncmp(text, "PUB", 3) == 0)
        hear_acknowledgement(l, d, line);
    else if (strncmp(text, "REGISTER", 8) == 0)
        answer(l, (struct life_answer){.device = d,
                                       .type = MQTTSN_REGACK,
                                       .topic_id = (uint16_t)life_number(text, "REGISTER "),
                                       .msg_id = (uint16_t)life_number(text, " msg "),
                                       .code = !l->calm && life_one_in(l, 40) ? MQTTSN_NOT_SUPPORTED
                                                                              : MQTTSN_ACCEPTED});
    else if (strncmp(text, "DISCONNECT", 10) == 0)
        l->devices[d].connecting = l->devices[d].connecting || life_one_in(l, 2);
    else if (line->attempt != 0 && line->attempt == l->devices[d].attempt.number)
        hear_about_attempt(l, d, line);
}

static void
send_answer(struct life *l, const struct life_answer *a)
{
    struct life_device *device = &l->devices[a->device];

    if (a->attempt != 0) {
        if (a->attempt == device->attempt.number)
            send_attempt(l, a->device);
        return;
    }
    if (is_lost(l))
        return;
    for (unsigned c = 0; c < LIFE_CLIENTS && a->type == MQTTSN_PUBREC; c++)
        if (l->seen[c].address == 'A' + a->device && life_is_talking(&l->seen[c]) &&
            l->seen[c].number == device->set_session) {
            device->pubrec_msg_id = a->msg_id;
            device->pubrec_session = device->set_session;
        }
    life_datagram(
        l, (char)('A' + a->device),
        &(struct mqttsn_packet){
            .type = a->type, .topic_id = a->topic_id, .msg_id = a->msg_id, .return_code = a->code});
}

bool
device_answers(struct life *l)
{
    struct life_answer a = l->answers[0];

    if (l->answer_count == 0)
        return false;
    if (l->calm || !life_one_in(l, 40)) /* else it arrives twice */
        memmove(l->answers, l->answers + 1, --l->answer_count * sizeof a);
    send_answer(l, &a);
    return true;
}

/* ---- a device's own steps ---- */

static void
device_subscribe(struct life *l, unsigned d)
{
    bool subscribe = !life_one_in(l, 3);

    from_device(l, d,
                &(struct mqttsn_packet){.type = subscribe ? MQTTSN_SUBSCRIBE : MQTTSN_UNSUBSCRIBE,
                                        .qos = (int8_t)life_below(l, 3),
                                        .msg_id = new_msg_id(&l->devices[d]),
                                        .topic_name = dm_span_text(filters[life_below(l, 5)])});
}

/* It begins again with MsgId 1. What it has received and not released is in its flash. */
static void
device_reboot(struct life *l, unsigned d)
{
    struct life_device *device = &l->devices[d];
    size_t kept = 0;

    device->boot++;
    device->last_msg_id = 0;
    device->phase = LIFE_IDLE;
    device->connecting = true;
    device->attempt.number = 0;
    for (size_t i = 0; i < l->answer_count; i++)
        if (l->answers[i].device != d)
            l->answers[kept++] = l->answers[i];
    l->answer_count = kept;
}

static void
device_sleep(struct life *l, unsigned d)
{
    uint16_t sleep_s = life_one_in(l, 4) ? 0 : 100;

    from_device(l, d,
                &(struct mqttsn_packet){
                    .type = MQTTSN_DISCONNECT, .has_duration = sleep_s > 0, .duration_s = sleep_s});
}

void
device_step(struct life *l)
{
    unsigned d = life_below(l, LIFE_DEVICES);
    struct life_device *device = &l->devices[d];
    unsigned what = life_below(l, 32);

    if (device->off_until > l->step)
        return;
    if (what == 0 && life_one_in(l, 8))
        device_reboot(l, d);
    else if (what == 1 && life_one_in(l, 8))
        device->off_until = l->step + life_below(l, 1500);
    else if (what < 4 || device->connecting)
        device_connect(l, d);
    else if (what < 6)
        device_subscribe(l, d);
    else if (what < 8)
        device_sleep(l, d);
    else if (what < 10)
        device_update_will(l, d);
    else if (what < 16)
        from_device(l, d, &(struct mqttsn_packet){.type = MQTTSN_PINGREQ});
    else
        device_publish(l, d);
}

/* All come back, and stay. */
void
devices_connect_and_ping(struct life *l)
{
    for (unsigned d = 0; d < LIFE_DEVICES; d++) {
        struct life_device *device = &l->devices[d];

        device->off_until = 0;
        if (l->seen[d].bound && l->seen[d].address == 'A' + d &&
            l->seen[d].state == ENGINE_ACTIVE) {
            from_device(l, d, &(struct mqttsn_packet){.type = MQTTSN_PINGREQ});
            continue;
        }
        begin_attempt(l, d, LIFE_PLAIN, MQTTSN_CONNECT);
        send_attempt(l, d);
    }
}
