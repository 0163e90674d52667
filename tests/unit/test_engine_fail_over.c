/* SPDX-License-Identifier: Apache-2.0 */
/* Several brokers (design 6): what was promised by one outlasts the time with another. */
#include <dormouse/log.h>

#include "engine_rig.h"
#include "random.h"
#include "unit.h"

enum { FIRST, OTHER };

static void
begin(struct rig *rig)
{
    rig_init(rig);
    rig->options.broker_count = 2;
    rig_broker_up(rig, MQTT_5, false);
    rig_commit(rig);
    rig_clear(rig);
}

static void
go_to(struct rig *rig, size_t broker, bool session_present)
{
    rig_broker_down(rig);
    rig_commit(rig);
    rig_clear(rig);
    rig->broker = broker;
    rig_broker_up(rig, MQTT_5, session_present);
    rig_commit(rig);
}

/* Connected, with the name "up" under topic id 1, and its QoS 2 message of MsgId 5 on its way under
 * packet id 1. */
static void
send_qos2(struct rig *rig)
{
    rig_device(rig, 'A', "dev", false);
    rig_register(rig, 'A', "up", 1);
    rig_commit(rig);
    rig_clear(rig);
    rig_publish(rig, 'A', 1, 2, 5, "x");
    rig_commit(rig);
    CU_ASSERT_TRUE(rig_expect(rig, "^ PUBLISH up qos 2 \"x\" pid 1 !5\n"));
}

static bool
says(const struct rig *rig, const char *line)
{
    return strstr(rig->text, line) != NULL;
}

static void
each_broker_is_wiped_only_before_its_first_connection(void)
{
    struct rig rig;

    begin(&rig);
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, FIRST));
    CU_ASSERT_TRUE(engine_needs_clean_start(rig.engine, OTHER));
    go_to(&rig, OTHER, false);
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, FIRST));
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, OTHER));
    rig_restart(&rig);
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, FIRST));
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, OTHER));
    rig_fini(&rig);
}

static void
message_begun_with_one_broker_goes_to_the_next_as_new(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    go_to(&rig, OTHER, false);
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 \"x\" pid 2"));
    CU_ASSERT_FALSE(says(&rig, "dup"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 1); /* the id is open at the first */
    rig_fini(&rig);
}

static void
message_done_elsewhere_is_only_ended_on_the_way_back(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    go_to(&rig, OTHER, false);
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBCOMP, 2, 0);
    go_to(&rig, FIRST, true);
    CU_ASSERT_TRUE(says(&rig, "^ PUBREL pid 1"));
    CU_ASSERT_FALSE(says(&rig, "PUBLISH"));
    rig_clear(&rig);
    rig_publish(&rig, 'A', 1, 1, 6, "y"); /* not under the id that is open */
    CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBLISH up qos 1 \"y\" pid 3\n"));
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0x92);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 0);
    rig_fini(&rig);
}

static void
message_not_done_anywhere_goes_on_with_each_broker_under_its_id(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    go_to(&rig, OTHER, false);
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0);
    rig_commit(&rig);
    go_to(&rig, FIRST, true);
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 dup \"x\" pid 1"));
    CU_ASSERT_FALSE(says(&rig, "PUBREL"));
    go_to(&rig, OTHER, true);
    CU_ASSERT_TRUE(says(&rig, "^ PUBREL pid 2"));
    CU_ASSERT_FALSE(says(&rig, "PUBLISH"));
    rig_fini(&rig);
}

/* The same with the process killed at every broker. */
static void
restarts_between_brokers_change_nothing(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    rig_restart(&rig);
    rig.broker = OTHER;
    rig_broker_up(&rig, MQTT_5, false);
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 \"x\" pid 1"));
    rig_broker_answer(&rig, MQTT_PUBREC, 1, 0);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_clear(&rig);
    rig.broker = FIRST;
    rig_broker_up(&rig, MQTT_5, true);
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 dup \"x\" pid 1"));
    rig_restart(&rig);
    rig_clear(&rig);
    rig.broker = OTHER;
    rig_broker_up(&rig, MQTT_5, true);
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ PUBREL pid 1"));
    CU_ASSERT_FALSE(says(&rig, "PUBLISH"));
    rig_broker_answer(&rig, MQTT_PUBCOMP, 1, 0);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_clear(&rig);
    rig.broker = FIRST;
    rig_broker_up(&rig, MQTT_5, true);
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ PUBREL pid 1"));
    CU_ASSERT_FALSE(says(&rig, "PUBLISH"));
    rig_fini(&rig);
}

static void
broker_that_lost_its_session_meanwhile_is_owed_nothing(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    go_to(&rig, OTHER, false);
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBCOMP, 2, 0);
    go_to(&rig, FIRST, false);
    CU_ASSERT_FALSE(says(&rig, "PUB"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 0);
    rig_fini(&rig);
}

static void
message_of_one_broker_is_recognised_when_it_comes_again_after_another(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "dev", false, "cmd", 2);
    rig_disconnect(&rig, 'A', 60);
    rig_commit(&rig);
    rig_broker_publish(&rig, "cmd", "one", 2, 9, 1); /* its PUBREC does not reach the broker */
    go_to(&rig, OTHER, false);
    CU_ASSERT_TRUE(says(&rig, "^ SUBSCRIBE cmd"));
    rig_broker_publish(&rig, "cmd", "two", 2, 9, 1); /* another one under the same id */
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    rig_broker_down(&rig);
    rig_restart(&rig);
    for (size_t broker = FIRST; broker <= OTHER; broker++) {
        go_to(&rig, broker, true);
        rig_clear(&rig);
        rig_broker_publish(&rig, "cmd", broker == FIRST ? "one" : "two", 2, 9, 1);
        CU_ASSERT_TRUE(rig_expect(&rig, "^ PUBREC pid 9\n"));
        CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 2);
    }
    rig_fini(&rig);
}

static void
broker_we_come_back_to_gets_what_changed_meanwhile(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "dev", false, "old", 1);
    go_to(&rig, OTHER, false);
    rig_broker_answer(&rig, MQTT_SUBACK, 1, 0);
    rig_unsubscribe(&rig, 'A', "old", 8);
    rig_subscribe(&rig, 'A', "new", 1, 9);
    rig_commit(&rig);
    go_to(&rig, FIRST, true);
    CU_ASSERT_TRUE(says(&rig, "^ UNSUBSCRIBE old"));
    CU_ASSERT_TRUE(says(&rig, "^ SUBSCRIBE new"));
    CU_ASSERT_FALSE(says(&rig, "^ SUBSCRIBE old"));
    rig_fini(&rig);
}

static void
brokers_that_are_not_configured_are_forgotten_last_used_first(void)
{
    struct rig rig;
    char keys[40][16];

    begin(&rig);
    rig.options.broker_count = 1;
    for (size_t i = 0; i < 40; i++) {
        snprintf(keys[i], sizeof keys[i], "broker %zu", i);
        rig.broker_keys[0] = keys[i];
        rig_broker_up(&rig, MQTT_5, false);
        rig_commit(&rig);
        rig_broker_down(&rig);
    }
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_BROKER_PUT), 16);
    rig.broker_keys[0] = keys[24];
    CU_ASSERT_FALSE(engine_needs_clean_start(rig.engine, 0));
    rig.broker_keys[0] = keys[23];
    CU_ASSERT_TRUE(engine_needs_clean_start(rig.engine, 0));
    rig_restart(&rig);
    CU_ASSERT_TRUE(engine_needs_clean_start(rig.engine, 0));
    rig_fini(&rig);
}

/* MQTT demands that a broker takes a SUBSCRIBE with more than it can; not all do. */
static void
broker_without_qos_2_is_asked_for_no_more_and_owed_no_pubrel(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    rig_subscribe(&rig, 'A', "cmd", 2, 8);
    rig_broker_down(&rig);
    rig_clear(&rig);
    engine_upstream_connected(
        rig.engine, rig.now_ms,
        &(struct upstream_session){
            .broker = OTHER, .version = MQTT_5, .send_maximum = 10, .maximum_qos = 1});
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ SUBSCRIBE cmd pid 4 qos 1"));
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 1 \"x\" pid "));
    go_to(&rig, FIRST, true);
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 dup \"x\" pid 1"));
    CU_ASSERT_EQUAL(rig_count_rows(&rig, STORE_RELEASE_PUT), 0); /* none of the other one */
    rig_fini(&rig);
}

/* ---- all of it by chance ---- */

enum { MESSAGES = 40, PACKETS = 64 };

struct packet {
    char what; /* 'P' PUBLISH, 'R' PUBREL towards the broker; 'r' PUBREC, 'c' PUBCOMP  */
    uint16_t id;
    unsigned message;
};

/* Keeps what it acknowledged, as MQTT demands, and forwards a QoS 2 message at PUBREL. */
struct model {
    bool has_session;
    unsigned open[65536]; /* by packet id: message + 1 */
    unsigned forwarded[MESSAGES];
};

struct chance {
    struct rig rig;
    struct random_source random;
    struct model models[2];
    bool up;
    struct packet to_broker[PACKETS], to_gateway[PACKETS];
    size_t to_broker_count, to_gateway_count;
    unsigned sent;
    bool promised[MESSAGES];
};

static void
push(struct packet *packets, size_t *count, struct packet packet)
{
    CU_ASSERT_FATAL(*count < PACKETS);
    packets[(*count)++] = packet;
}

static bool
pull(struct packet *packets, size_t *count, struct packet *packet)
{
    if (*count == 0)
        return false;
    *packet = packets[0];
    memmove(packets, packets + 1, --*count * sizeof *packets);
    return true;
}

/* What the engine sent: all of it is durable, so nothing is held. */
static void
collect(struct chance *c)
{
    char *rest = c->rig.text, *line;

    rig_commit(&c->rig);
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        const char *name = strstr(line, "\"m"), *id = strstr(line, " pid ");
        struct packet packet = {.id = id != NULL ? (uint16_t)atoi(id + 5) : 0};

        if (strncmp(line, "A> PUBREC", 9) == 0)
            c->promised[c->sent - 1] = true;
        if (strncmp(line, "^ PUBLISH", 9) == 0 && name != NULL)
            packet.message = (unsigned)atoi(name + 2);
        if (strncmp(line, "^ PUB", 5) == 0)
            push(c->to_broker, &c->to_broker_count,
                 (struct packet){line[5] == 'R' ? 'R' : 'P', packet.id, packet.message});
    }
    rig_clear(&c->rig);
}

static void
serve(struct chance *c)
{
    struct model *m = &c->models[c->rig.broker];
    struct packet packet;

    if (!pull(c->to_broker, &c->to_broker_count, &packet))
        return;
    if (packet.what == 'R' && m->open[packet.id] != 0)
        m->forwarded[m->open[packet.id] - 1]++;
    if (packet.what == 'R')
        m->open[packet.id] = 0;
    else if (m->open[packet.id] == 0) /* else it is taken for a repetition, whatever it says */
        m->open[packet.id] = packet.message + 1;
    push(c->to_gateway, &c->to_gateway_count,
         (struct packet){packet.what == 'R' ? 'c' : 'r', packet.id, 0});
}

static void
answer(struct chance *c)
{
    struct packet packet;

    if (pull(c->to_gateway, &c->to_gateway_count, &packet))
        rig_broker_answer(&c->rig, packet.what == 'c' ? MQTT_PUBCOMP : MQTT_PUBREC, packet.id, 0);
}

static void
lose_connection(struct chance *c, bool crash)
{
    c->to_broker_count = c->to_gateway_count = 0;
    if (crash)
        rig_restart(&c->rig);
    else if (c->up)
        rig_broker_down(&c->rig);
    c->up = false;
    rig_clear(&c->rig);
}

static void
connect_to(struct chance *c, size_t broker)
{
    struct model *m = &c->models[broker];

    lose_connection(c, false);
    c->rig.broker = broker;
    if (engine_needs_clean_start(c->rig.engine, broker)) {
        m->has_session = false;
        memset(m->open, 0, sizeof m->open);
    }
    rig_broker_up(&c->rig, MQTT_5, m->has_session);
    m->has_session = c->up = true;
}

static void
publish_next(struct chance *c)
{
    char data[8];

    if (c->sent == MESSAGES)
        return;
    snprintf(data, sizeof data, "m%u", c->sent++);
    rig_publish(&c->rig, 'A', 1, 2, (uint16_t)(100 + c->sent), data);
    collect(c);
    rig_step(&c->rig, 'A', MQTTSN_PUBREL, (uint16_t)(100 + c->sent));
}

static void
random_step(struct chance *c)
{
    unsigned what = random_below(&c->random, 40);

    if (what < 8)
        publish_next(c);
    else if (what < 22)
        serve(c);
    else if (what < 36)
        answer(c);
    else if (what == 36)
        lose_connection(c, true);
    else
        connect_to(c, random_below(&c->random, 2));
    collect(c);
}

static void
live(struct chance *c, struct random_source random)
{
    *c = (struct chance){.random = random};
    rig_init(&c->rig);
    c->rig.options.broker_count = 2;
    c->rig.options.uplink_ack_store = true;
    rig_device(&c->rig, 'A', "dev", false);
    rig_register(&c->rig, 'A', "up", 1);
    collect(c);
    for (unsigned i = 0; i < 300; i++)
        random_step(c);
    for (size_t i = 0; i < 3; i++) { /* both are well again */
        connect_to(c, i % 2);
        collect(c);
        while (c->to_broker_count + c->to_gateway_count > 0) {
            serve(c);
            answer(c);
            collect(c);
        }
    }
}

static void
qos_2_reaches_a_broker_and_each_once_whatever_happens(void)
{
    static struct chance c;
    struct random_source seeds = random_start("fail-over", 1);
    bool good = true;

    for (unsigned life = 0; life < 200 && good; life++) {
        struct random_source random = {random_next(&seeds)};

        live(&c, random);
        for (unsigned i = 0; i < c.sent; i++) {
            unsigned first = c.models[FIRST].forwarded[i], other = c.models[OTHER].forwarded[i];

            good = good && first <= 1 && other <= 1 && (!c.promised[i] || first + other > 0);
        }
        good = good && rig_count_rows(&c.rig, STORE_RELEASE_PUT) == 0 &&
               rig_count_rows(&c.rig, STORE_SPOOL_PUT) == 0;
        CU_ASSERT_TRUE(good);
        if (!good)
            printf("life %u\n", life);
        rig_fini(&c.rig);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(each_broker_is_wiped_only_before_its_first_connection),
    UNIT_TEST(message_begun_with_one_broker_goes_to_the_next_as_new),
    UNIT_TEST(message_done_elsewhere_is_only_ended_on_the_way_back),
    UNIT_TEST(message_not_done_anywhere_goes_on_with_each_broker_under_its_id),
    UNIT_TEST(restarts_between_brokers_change_nothing),
    UNIT_TEST(broker_that_lost_its_session_meanwhile_is_owed_nothing),
    UNIT_TEST(message_of_one_broker_is_recognised_when_it_comes_again_after_another),
    UNIT_TEST(broker_we_come_back_to_gets_what_changed_meanwhile),
    UNIT_TEST(broker_without_qos_2_is_asked_for_no_more_and_owed_no_pubrel),
    UNIT_TEST(qos_2_reaches_a_broker_and_each_once_whatever_happens),
    UNIT_TEST(brokers_that_are_not_configured_are_forgotten_last_used_first),
};

UNIT_MAIN("engine fail-over", tests)
