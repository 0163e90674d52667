/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of the engine fails once: a start ends and leaves the rows alone; later the
 * party that asks repeats, no acknowledged message of a device is lost, and one for it only if
 * counted. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "engine_rig.h"
#include "failing_memory.h"

/* ---- the engine, a device and a broker that answer each other ---- */

enum { EVENTS_MAX = 64, MESSAGES_MAX = 16, LETTERS = 128 };

struct event {
    struct engine_effect effect; /* its spans are gone */
    char letter;                 /* first octet of a PUBLISH: each message has its own */
};

struct sent { /* by the broker */
    const char *topic;
    char letter;
    uint8_t qos;
    bool released, done;
};

struct world {
    struct rig rig; /* clock, disk, and the device's messages; the engine is made here */
    struct event events[EVENTS_MAX];
    size_t event_count;
    bool answered[MQTTSN_TYPE_COUNT]; /* and accepted, since the step began */
    bool again;                       /* the step is repeated */
    bool broker_up;
    bool late;                      /* PUBREC is not heard */
    const char *failed_step;        /* in which an allocation failed */
    uint64_t dropped;               /* messages to the device, by engines that ended */
    uint16_t temp_id;               /* of the topic "temp" */
    struct sent sent[MESSAGES_MAX]; /* packet id - 1 */
    size_t sent_count;
    unsigned at_device[LETTERS], at_broker[LETTERS];
};

static enum dm_result
emit(void *ctx, const struct engine_effect *effect)
{
    struct world *w = ctx;
    bool armed = failing_memory.armed;
    bool up = effect->type == ENGINE_UPSTREAM;
    struct dm_span payload = up ? effect->upstream.payload : effect->packet.data;

    failing_memory.armed = false;
    if (effect->type == ENGINE_RECORD) {
        w->rig.seq = engine_disk_append(&w->rig.disk, effect);
        engine_disk_end_turn(&w->rig.disk);
        engine_disk_commit(&w->rig.disk, w->rig.seq);
    } else {
        if (w->event_count == EVENTS_MAX)
            abort(); /* nobody listens */
        w->events[w->event_count++] = (struct event){
            .effect = *effect, .letter = payload.len > 0 ? (char)payload.data[0] : '\0'};
    }
    failing_memory.armed = armed;
    return DM_OK;
}

static void
device_hears(struct world *w, const struct mqttsn_packet *p, char letter)
{
    struct rig *rig = &w->rig;

    if (p->return_code == MQTTSN_ACCEPTED)
        w->answered[p->type] = true;
    switch (p->type) {
    case MQTTSN_WILLTOPICREQ:
        rig_will_topic(rig, 'A', MQTTSN_WILLTOPIC, "gone", 1, false);
        break;
    case MQTTSN_WILLMSGREQ:
        rig_will_message(rig, 'A', MQTTSN_WILLMSG, "W");
        break;
    case MQTTSN_REGISTER:
        rig_regack(rig, 'A', p->topic_id, p->msg_id, 0);
        break;
    case MQTTSN_REGACK:
        w->temp_id = p->topic_id;
        break;
    case MQTTSN_PUBLISH:
        if (!p->dup || w->at_device[(unsigned char)letter] == 0)
            w->at_device[(unsigned char)letter]++;
        if (p->qos == 1)
            rig_puback(rig, 'A', p->topic_id, p->msg_id, 0);
        else if (p->qos == 2)
            rig_step(rig, 'A', MQTTSN_PUBREC, p->msg_id);
        break;
    case MQTTSN_PUBREC:
        if (!w->late)
            rig_step(rig, 'A', MQTTSN_PUBREL, p->msg_id);
        break;
    case MQTTSN_PUBREL:
        rig_step(rig, 'A', MQTTSN_PUBCOMP, p->msg_id);
        break;
    default:
        break;
    }
}

static void
broker_sends(struct world *w, size_t i, bool dup)
{
    rig_broker_packet(&w->rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                                     .topic = dm_span_text(w->sent[i].topic),
                                                     .payload = dm_span(&w->sent[i].letter, 1),
                                                     .qos = w->sent[i].qos,
                                                     .dup = dup,
                                                     .packet_id = (uint16_t)(i + 1)});
}

static void
broker_hears(struct world *w, const struct mqtt_packet *p, char letter)
{
    struct sent *sent =
        p->packet_id > 0 && p->packet_id <= w->sent_count ? &w->sent[p->packet_id - 1] : NULL;

    switch (p->type) {
    case MQTT_PUBLISH:
        if (!p->dup || w->at_broker[(unsigned char)letter] == 0)
            w->at_broker[(unsigned char)letter]++;
        if (p->qos > 0)
            rig_broker_answer(&w->rig, p->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, p->packet_id, 0);
        break;
    case MQTT_PUBREL:
        rig_broker_answer(&w->rig, MQTT_PUBCOMP, p->packet_id, 0);
        break;
    case MQTT_SUBSCRIBE:
        rig_broker_answer(&w->rig, MQTT_SUBACK, p->packet_id, 2);
        break;
    case MQTT_UNSUBSCRIBE:
        rig_broker_answer(&w->rig, MQTT_UNSUBACK, p->packet_id, 0);
        break;
    case MQTT_PUBREC:
        if (w->late)
            break;
        if (sent != NULL)
            sent->released = true;
        rig_broker_answer(&w->rig, MQTT_PUBREL, p->packet_id, 0);
        break;
    default: /* PUBACK, PUBCOMP */
        if (sent != NULL)
            sent->done = true;
        break;
    }
}

/* Until nobody has anything more to say. */
static void
talk(struct world *w)
{
    for (int rounds = 0; rounds < 1000; rounds++) {
        struct event event = w->events[0];

        if (w->event_count == 0) {
            rig_commit(&w->rig); /* what waits for the disk */
            if (w->event_count == 0)
                return;
            continue;
        }
        memmove(w->events, w->events + 1, --w->event_count * sizeof event);
        if (event.effect.type == ENGINE_UPSTREAM)
            broker_hears(w, &event.effect.upstream, event.letter);
        else if (event.effect.type == ENGINE_SEND)
            device_hears(w, &event.effect.packet, event.letter);
    }
    CU_FAIL("engine, device and broker never come to rest");
}

static void
broker_comes(struct world *w)
{
    w->broker_up = true;
    rig_broker_up(&w->rig, MQTT_5, true);
    for (size_t i = 0; i < w->sent_count; i++) {
        if (w->sent[i].done)
            continue;
        if (w->sent[i].released)
            rig_broker_answer(&w->rig, MQTT_PUBREL, (uint16_t)(i + 1), 0);
        else
            broker_sends(w, i, true);
    }
    talk(w);
}

/* ---- the life of a device: steps that can be repeated ---- */

struct step {
    const char *what;
    bool (*take)(struct world *w, const struct step *step); /* true: accepted */
    const char *text;                                       /* topic or payload */
    enum mqttsn_type type;
    uint16_t msg_id;
    uint8_t qos;
    char letter;
    bool late; /* neither device nor broker hears PUBREC in this step */
};

static bool
is_answered(struct world *w, enum mqttsn_type type)
{
    talk(w);
    return w->answered[type];
}

/* Messages to the device that the engine gave up and counted. */
static uint64_t
dropped(const struct world *w)
{
    struct engine_status status;

    if (w->rig.engine == NULL)
        return 0;
    engine_status(w->rig.engine, &status);
    return status.dropped[ENGINE_DROP_OVERFLOW] + status.dropped[ENGINE_DROP_REFUSED];
}

static bool
start(struct world *w, const struct step *step)
{
    (void)step;
    w->dropped += dropped(w);
    engine_free(w->rig.engine);
    engine_disk_crash(&w->rig.disk);
    w->rig.seq = 0;
    w->event_count = 0;
    w->broker_up = false;
    w->rig.engine = engine_new(&w->rig.options, emit, w);
    if (w->rig.engine == NULL)
        return false;
    if (engine_disk_load(&w->rig.disk, w->rig.engine) != DM_OK) {
        engine_free(w->rig.engine); /* dormoused ends here, and is started again */
        w->rig.engine = NULL;
        return false;
    }
    engine_start(w->rig.engine, w->rig.now_ms);
    return true;
}

static bool
bring_broker(struct world *w, const struct step *step)
{
    (void)step;
    broker_comes(w);
    return true;
}

static bool
take_broker_away(struct world *w, const struct step *step)
{
    (void)step;
    rig_broker_down(&w->rig);
    w->broker_up = false;
    return true;
}

static bool
connect_with_will(struct world *w, const struct step *step)
{
    (void)step;
    rig_connect_will(&w->rig, 'A', "dev", false);
    return is_answered(w, MQTTSN_CONNACK);
}

/* SUBSCRIBE, UNSUBSCRIBE, REGISTER; without text: of the pre-defined id 20 */
static bool
request(struct world *w, const struct step *step)
{
    static const enum mqttsn_type answers[] = {[MQTTSN_SUBSCRIBE] = MQTTSN_SUBACK,
                                               [MQTTSN_UNSUBSCRIBE] = MQTTSN_UNSUBACK,
                                               [MQTTSN_REGISTER] = MQTTSN_REGACK};
    bool named = step->text != NULL;

    rig_send(
        &w->rig, 'A',
        &(struct mqttsn_packet){.type = step->type,
                                .topic_type = named ? MQTTSN_TOPIC_NORMAL : MQTTSN_TOPIC_PREDEFINED,
                                .topic_id = named ? 0 : 20,
                                .topic_name = dm_span_text(step->text),
                                .qos = (int8_t)step->qos,
                                .msg_id = step->msg_id});
    return is_answered(w, answers[step->type]);
}

static bool
publish(struct world *w, const struct step *step)
{
    rig_send(&w->rig, 'A',
             &(struct mqttsn_packet){.type = MQTTSN_PUBLISH,
                                     .dup = w->again,
                                     .qos = (int8_t)step->qos,
                                     .topic_id = w->temp_id,
                                     .msg_id = step->msg_id,
                                     .data = dm_span(&step->letter, 1)});
    enum mqttsn_type last = step->qos == 1 ? MQTTSN_PUBACK
                            : step->late   ? MQTTSN_PUBREC
                                           : MQTTSN_PUBCOMP;

    return is_answered(w, last) || step->qos == 0;
}

/* True: the broker may forget the message. */
static bool
deliver(struct world *w, const struct step *step)
{
    if (!w->again) {
        w->sent[w->sent_count++] =
            (struct sent){.topic = step->text, .letter = step->letter, .qos = step->qos};
        broker_sends(w, w->sent_count - 1, false);
    }
    talk(w);
    return w->late || w->sent[w->sent_count - 1].done;
}

static bool
update_will(struct world *w, const struct step *step)
{
    if (step->type == MQTTSN_WILLTOPICUPD)
        rig_will_topic(&w->rig, 'A', step->type, step->text, 1, true);
    else
        rig_will_message(&w->rig, 'A', step->type, step->text);
    return is_answered(w, step->type == MQTTSN_WILLTOPICUPD ? MQTTSN_WILLTOPICRESP
                                                            : MQTTSN_WILLMSGRESP);
}

static bool
fall_asleep(struct world *w, const struct step *step)
{
    (void)step;
    rig_disconnect(&w->rig, 'A', 600);
    return is_answered(w, MQTTSN_DISCONNECT);
}

static bool
wake(struct world *w, const struct step *step)
{
    (void)step;
    rig_ping(&w->rig, 'A', "dev");
    return is_answered(w, MQTTSN_PINGRESP);
}

static bool
get_lost(struct world *w, const struct step *step)
{
    (void)step;
    rig_wait(&w->rig, 900001); /* 1.5 times 600 s */
    talk(w);
    return true;
}

static const struct step steps[] = {
    {"start", start, .qos = 0},
    {"broker comes", bring_broker, .qos = 0},
    {"CONNECT with a will", connect_with_will, .qos = 0},
    {"REGISTER", request, "temp", MQTTSN_REGISTER, .msg_id = 1},
    {"SUBSCRIBE by name", request, "cmd", MQTTSN_SUBSCRIBE, .msg_id = 2, .qos = 2},
    {"SUBSCRIBE by filter", request, "w/#", MQTTSN_SUBSCRIBE, .msg_id = 3, .qos = 2},
    {"SUBSCRIBE by pre-defined id", request, NULL, MQTTSN_SUBSCRIBE, .msg_id = 4, .qos = 1},
    {"PUBLISH QoS 0", publish, .qos = 0, .letter = 'z'},
    {"PUBLISH QoS 1", publish, .qos = 1, .msg_id = 5, .letter = 'a'},
    {"PUBLISH QoS 2", publish, .qos = 2, .msg_id = 6, .letter = 'b'},
    {"QoS 1 from the broker", deliver, "p/cmd", .qos = 1, .letter = 'A'},
    {"QoS 2 from the broker", deliver, "p/cmd", .qos = 2, .letter = 'B'},
    {"message that needs REGISTER", deliver, "p/w/x", .qos = 1, .letter = 'C'},
    {"WILLTOPICUPD", update_will, "lost", .type = MQTTSN_WILLTOPICUPD},
    {"WILLMSGUPD", update_will, "W", .type = MQTTSN_WILLMSGUPD},
    {"broker goes", take_broker_away, .qos = 0},
    {"PUBLISH QoS 1 to the spool", publish, .qos = 1, .msg_id = 7, .letter = 'c'},
    {"PUBLISH QoS 2 to the spool", publish, .qos = 2, .msg_id = 8, .letter = 'd'},
    {"SUBSCRIBE to be made later", request, "late", MQTTSN_SUBSCRIBE, .msg_id = 9, .qos = 1},
    {"broker comes back", bring_broker, .qos = 0},
    {"PUBLISH QoS 2 whose PUBREC is missed", publish, .qos = 2, .msg_id = 11, .letter = 'e',
     .late = true},
    {"DISCONNECT with a duration", fall_asleep, .qos = 0},
    {"QoS 1 for the sleeping device", deliver, "p/cmd", .qos = 1, .letter = 'D'},
    {"QoS 2 on a new topic for it", deliver, "p/w/y", .qos = 2, .letter = 'E'},
    {"QoS 2 whose PUBREC the broker misses", deliver, "p/cmd", .qos = 2, .letter = 'F',
     .late = true},
    {"restart", start, .qos = 0},
    {"broker comes after the restart", bring_broker, .qos = 0},
    {"PINGREQ", wake, .qos = 0},
    {"PUBLISH QoS 2 repeated", publish, .qos = 2, .msg_id = 11, .letter = 'e'},
    {"UNSUBSCRIBE", request, "cmd", MQTTSN_UNSUBSCRIBE, .msg_id = 10},
    {"silence", get_lost, .qos = 0},
};
enum { STEP_COUNT = sizeof steps / sizeof steps[0], ATTEMPTS = 4 };

/* Allocations fail in the first attempt only; then memory is there again. */
static bool
take_step(struct world *w, const struct step *step)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        memset(w->answered, 0, sizeof w->answered);
        w->again = attempt > 0;
        w->late = step->late;
        if (attempt == 2 && w->broker_up) { /* what it has sent in vain comes again */
            rig_broker_down(&w->rig);
            broker_comes(w);
        }
        failing_memory.armed = attempt == 0;
        bool accepted = step->take(w, step);

        failing_memory.armed = false;
        if (failing_memory.failed && failing_memory.fail_at != 0) {
            failing_memory.fail_at = 0; /* there is enough again */
            w->failed_step = step->what;
        }
        if (accepted)
            return true;
        if (w->rig.engine != NULL)
            rig_wait(&w->rig, w->rig.options.settings.retry_ms);
    }
    printf("\n%s: never accepted\n", step->what);
    return false;
}

/* A message may be missing where its loss is counted, and none comes twice with QoS 2. */
static void
check_arrival(const struct world *w)
{
    struct engine_status status;
    uint64_t missing_up = w->at_broker['W'] == 0;
    uint64_t missing_down = 0;

    engine_status(w->rig.engine, &status);
    for (const char *letter = "abcde"; *letter != '\0'; letter++)
        CU_ASSERT_TRUE(w->at_broker[(unsigned char)*letter] > 0); /* all were acknowledged */
    for (const char *letter = "ABCDEF"; *letter != '\0'; letter++)
        missing_down += w->at_device[(unsigned char)*letter] == 0;
    CU_ASSERT_EQUAL(missing_down, w->dropped + dropped(w));
    CU_ASSERT_EQUAL(missing_up, status.uplink_dropped);
    for (const char *letter = "bdeW"; *letter != '\0'; letter++)
        CU_ASSERT_TRUE(w->at_broker[(unsigned char)*letter] <= 1);
    for (const char *letter = "BEF"; *letter != '\0'; letter++)
        CU_ASSERT_TRUE(w->at_device[(unsigned char)*letter] <= 1);
    CU_ASSERT_PTR_NULL(w->rig.disk.fault);
}

/* The whole life, with the n-th allocation failing. False: there are not that many. `mapped`: the
 * prefix is that of the client, and there are rules. */
static bool
live(unsigned long fail_at, bool lasting, bool mapped)
{
    static const struct engine_topic topics[] = {{20, "in/%c"}};
    static const char *const lists[] = {"in/%c", "#"};
    static struct topic_rule rule = {
        .left = "w/#", .right = "w/%1", .right_filter = "w/#", .rest = 1};
    static struct engine_client client = {.pattern = "d*",
                                          .topics = topics,
                                          .topic_count = 1,
                                          .uses_client_id = true,
                                          .publish = lists,
                                          .publish_count = 2,
                                          .subscribe = lists,
                                          .subscribe_count = 2};
    static struct world w;
    bool going = true;

    w = (struct world){.failed_step = "none"};
    rig_init(&w.rig);
    engine_free(w.rig.engine);
    w.rig.engine = NULL;
    w.rig.options.topic_prefix = mapped ? "" : "p/";
    client.topic_prefix = mapped ? "p/" : NULL;
    w.rig.options.rules = &rule;
    w.rig.options.rule_count = mapped;
    w.rig.options.clients = &client;
    w.rig.options.client_count = 1;
    failing_memory = (struct failing_memory){.fail_at = fail_at, .lasting = lasting};
    for (size_t i = 0; going && i < STEP_COUNT; i++)
        going = take_step(&w, &steps[i]);
    unsigned failures = CU_get_number_of_failures();

    CU_ASSERT_TRUE(going);
    if (going)
        check_arrival(&w);
    if (CU_get_number_of_failures() > failures)
        printf("\nallocation %lu failed, in step \"%s\"\n", fail_at, w.failed_step);
    rig_fini(&w.rig);
    return failing_memory.failed;
}

/* ---- tests ---- */

static void
life_with_enough_memory_loses_nothing(void)
{
    CU_ASSERT_FALSE(live(0, false, false));
    CU_ASSERT_FALSE(live(0, false, true));
    CU_ASSERT_TRUE(failing_memory.count > 50); /* the engine's allocations do come through here */
}

static void
allocation_that_fails_costs_a_repetition_or_a_counted_drop(void)
{
    unsigned long n = 1;

    while (live(n, false, false))
        n++;
    CU_ASSERT_TRUE(n > 50);
    for (n = 1; live(n, false, true);)
        n++;
}

static void
memory_short_for_a_while_costs_a_repetition_or_a_counted_drop(void)
{
    unsigned long n = 1;

    while (live(n, true, false))
        n++;
    CU_ASSERT_TRUE(n > 50);
}

/* Matched by a filter that is longer than the name: each empty level is a wildcard there. */
static void
long_name_is_matched_or_not_acknowledged(void)
{
    static struct world w;
    static char filter[1200];
    static char name[1200];

    snprintf(filter, sizeof filter, "+/+/+/+/+/+/%01020d", 0);
    snprintf(name, sizeof name, "//////%01020d", 0);
    for (unsigned long fail_at = 1; fail_at == 1 || failing_memory.failed; fail_at++) {
        w = (struct world){.sent = {{.topic = name, .letter = 'x', .qos = 1}}, .sent_count = 1};
        rig_init(&w.rig);
        engine_free(w.rig.engine);
        w.rig.link.mtu = 2000;
        w.rig.engine = engine_new(&w.rig.options, emit, &w);
        engine_start(w.rig.engine, w.rig.now_ms);
        rig_broker_up(&w.rig, MQTT_3_1_1, false);
        rig_connect(&w.rig, 'A', "dev", false, 60);
        rig_subscribe(&w.rig, 'A', filter, 1, 1);
        talk(&w);
        failing_memory = (struct failing_memory){.armed = true, .fail_at = fail_at};
        broker_sends(&w, 0, false);
        failing_memory.armed = false;
        talk(&w);
        CU_ASSERT_TRUE(w.at_device['x'] == 1 || dropped(&w) > 0 || !w.sent[0].done);
        CU_ASSERT_TRUE(w.at_device['x'] == 1 || failing_memory.failed);
        rig_fini(&w.rig);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(life_with_enough_memory_loses_nothing),
    UNIT_TEST(allocation_that_fails_costs_a_repetition_or_a_counted_drop),
    UNIT_TEST(memory_short_for_a_while_costs_a_repetition_or_a_counted_drop),
    UNIT_TEST(long_name_is_matched_or_not_acknowledged),
};

UNIT_MAIN("engine memory", tests)
