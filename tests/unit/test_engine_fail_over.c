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

/* The row of the open exchange names its message by a number that no other one may get. */
static void
message_after_a_restart_is_not_taken_for_one_that_is_open_elsewhere(void)
{
    struct rig rig;

    begin(&rig);
    send_qos2(&rig);
    go_to(&rig, OTHER, false);
    rig_broker_answer(&rig, MQTT_PUBREC, 2, 0);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_PUBCOMP, 2, 0);
    rig_commit(&rig);
    rig_restart(&rig);
    rig_publish(&rig, 'A', 1, 2, 6, "y");
    rig_commit(&rig);
    rig_clear(&rig);
    rig.broker = FIRST;
    rig_broker_up(&rig, MQTT_5, true);
    rig_commit(&rig);
    CU_ASSERT_TRUE(says(&rig, "^ PUBREL pid 1"));
    CU_ASSERT_TRUE(says(&rig, "^ PUBLISH up qos 2 \"y\" pid 2"));
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

/* Overlapping filters: who had a copy of a message takes no other, also if the second one comes
 * after the way back and the filter of the first is not wanted any more. */
static void
copies_of_one_message_are_known_after_the_way_back(void)
{
    struct rig rig;

    begin(&rig);
    rig_device_subscribed(&rig, 'A', "dev", false, "a/#", 2);
    rig_subscribe(&rig, 'A', "a/b", 2, 3);
    rig_commit(&rig);
    rig_broker_answer(&rig, MQTT_SUBACK, 2, 2);
    rig_commit(&rig);
    rig_broker_publish(&rig, "a/b", "x", 2, 9, 1);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    go_to(&rig, OTHER, false);
    rig_unsubscribe(&rig, 'A', "a/#", 8);
    rig_commit(&rig);
    go_to(&rig, FIRST, true);
    rig_clear(&rig);
    rig_broker_publish(&rig, "a/b", "x", 2, 10, 2);
    rig_commit(&rig);
    CU_ASSERT_EQUAL(rig_status(&rig).queued_messages, 1);
    CU_ASSERT_TRUE(says(&rig, "^ PUBREC pid 10"));
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
        rig.engine, rig.now_ms, 0,
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

enum { MESSAGES = 40, COMMANDS = 15, PACKETS = 256 };

struct packet {
    enum mqtt_type type;
    uint16_t id;
    unsigned message;
};

struct packets {
    struct packet items[PACKETS];
    size_t count;
};

/* Keeps what it acknowledged, as MQTT demands, and forwards a QoS 2 message at PUBREL. */
struct model {
    bool has_session;
    unsigned open[65536]; /* by packet id: message + 1 */
    unsigned forwarded[MESSAGES];
    uint32_t subscription;            /* identifier of our filter; 0: none */
    enum mqtt_type expects[COMMANDS]; /* PUBREC or PUBCOMP of what it sends; 0: neither yet */
    unsigned commands;                /* published at it */
};

struct chance {
    struct rig rig;
    struct random_source random;
    struct model models[2];
    bool up;
    struct packets to_broker, to_gateway;
    unsigned sent;
    bool promised[MESSAGES];
};

static void
push(struct packets *packets, enum mqtt_type type, uint16_t id, unsigned message)
{
    CU_ASSERT_FATAL(packets->count < PACKETS);
    packets->items[packets->count++] = (struct packet){type, id, message};
}

static bool
pull(struct packets *packets, struct packet *packet)
{
    if (packets->count == 0)
        return false;
    *packet = packets->items[0];
    memmove(packets->items, packets->items + 1, --packets->count * sizeof packets->items[0]);
    return true;
}

/* What the engine sent: all of it is durable, so nothing is held. */
static void
collect(struct chance *c)
{
    static const struct {
        const char *name;
        enum mqtt_type type;
    } kinds[] = {{"PUBLISH", MQTT_PUBLISH}, {"PUBREC", MQTT_PUBREC},       {"PUBREL", MQTT_PUBREL},
                 {"PUBCOMP", MQTT_PUBCOMP}, {"SUBSCRIBE", MQTT_SUBSCRIBE}, {NULL, 0}};
    char *rest = c->rig.text, *line;

    rig_commit(&c->rig);
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        const char *id = strstr(line, " pid "), *number = strstr(line, " id ");

        if (strncmp(line, "A> PUBREC", 9) == 0)
            c->promised[c->sent - 1] = true;
        if (strstr(line, "\"m") != NULL)
            number = strstr(line, "\"m") - 2;
        for (size_t i = 0; line[0] == '^' && kinds[i].name != NULL; i++)
            if (strncmp(line + 2, kinds[i].name, strlen(kinds[i].name)) == 0)
                push(&c->to_broker, kinds[i].type, id != NULL ? (uint16_t)atoi(id + 5) : 0,
                     number != NULL ? (unsigned)atoi(number + 4) : 0);
    }
    rig_clear(&c->rig);
}

/* Sends what is open, or begins with what was published for us. */
static void
send_commands(struct chance *c, struct model *m, bool again)
{
    for (unsigned i = 0; i < m->commands; i++) {
        if (m->expects[i] == MQTT_CONNACK || (m->expects[i] != 0 && !again))
            continue; /* done, or under way */
        if (m->expects[i] == 0)
            m->expects[i] = MQTT_PUBREC;
        push(&c->to_gateway, m->expects[i] == MQTT_PUBREC ? MQTT_PUBLISH : MQTT_PUBREL,
             (uint16_t)(i + 1), again);
    }
}

static void
serve(struct chance *c)
{
    struct model *m = &c->models[c->rig.broker];
    struct packet p;

    if (!pull(&c->to_broker, &p))
        return;
    switch (p.type) {
    case MQTT_PUBLISH:
        if (m->open[p.id] == 0) /* else it is taken for a repetition, whatever it says */
            m->open[p.id] = p.message + 1;
        push(&c->to_gateway, MQTT_PUBREC, p.id, 0);
        break;
    case MQTT_PUBREL:
        if (m->open[p.id] != 0)
            m->forwarded[m->open[p.id] - 1]++;
        m->open[p.id] = 0;
        push(&c->to_gateway, MQTT_PUBCOMP, p.id, 0);
        break;
    case MQTT_PUBREC:
        m->expects[p.id - 1] = MQTT_PUBCOMP;
        push(&c->to_gateway, MQTT_PUBREL, p.id, 0);
        break;
    case MQTT_PUBCOMP:
        m->expects[p.id - 1] = MQTT_CONNACK; /* which never comes: done */
        break;
    default:
        m->subscription = p.message;
        push(&c->to_gateway, MQTT_SUBACK, p.id, 0);
        break;
    }
}

static void
answer(struct chance *c)
{
    struct packet p;
    char data[8];

    if (!pull(&c->to_gateway, &p))
        return;
    if (p.type != MQTT_PUBLISH) {
        rig_broker_answer(&c->rig, p.type, p.id, 0);
        return;
    }
    snprintf(data, sizeof data, "%zu-%u", c->rig.broker, p.id);
    rig_broker_packet(
        &c->rig, &(struct mqtt_packet){.type = MQTT_PUBLISH,
                                       .qos = 2,
                                       .dup = p.message != 0,
                                       .packet_id = p.id,
                                       .topic = dm_span_text("cmd"),
                                       .payload = dm_span_text(data),
                                       .subscription_ids = {c->models[c->rig.broker].subscription},
                                       .subscription_id_count = 1});
}

static void
lose_connection(struct chance *c, bool crash)
{
    c->to_broker.count = c->to_gateway.count = 0;
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
        CU_ASSERT_FALSE(m->has_session); /* it would lose what it has for us */
        memset(m->open, 0, sizeof m->open);
    }
    if (m->has_session)
        send_commands(c, m, true);
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

/* Somebody publishes for us, at any broker that we are subscribed at. */
static void
command(struct chance *c)
{
    struct model *m = &c->models[random_below(&c->random, 2)];

    if (m->subscription != 0 && m->commands < COMMANDS)
        m->commands++;
    if (c->up)
        send_commands(c, &c->models[c->rig.broker], false);
}

static void
random_step(struct chance *c)
{
    unsigned what = random_below(&c->random, 44);

    if (what < 8)
        publish_next(c);
    else if (what < 12)
        command(c);
    else if (what < 26)
        serve(c);
    else if (what < 40)
        answer(c);
    else if (what == 40)
        lose_connection(c, true);
    else
        connect_to(c, random_below(&c->random, 2));
    collect(c);
}

static void
live(struct chance *c, struct random_source random)
{
    memset(c, 0, sizeof *c);
    c->random = random;
    rig_init(&c->rig);
    c->rig.options.broker_count = 2;
    c->rig.options.settings.uplink_ack_store = true;
    rig_device(&c->rig, 'A', "dev", false);
    rig_register(&c->rig, 'A', "up", 1);
    rig_device(&c->rig, 'B', "sleeper", false);
    rig_subscribe(&c->rig, 'B', "cmd", 2, 2);
    rig_disconnect(&c->rig, 'B', 6000);
    collect(c);
    for (unsigned i = 0; i < 400; i++)
        random_step(c);
    for (size_t i = 0; i < 3; i++) { /* both are well again */
        connect_to(c, i % 2);
        send_commands(c, &c->models[i % 2], false);
        collect(c);
        while (c->to_broker.count + c->to_gateway.count > 0) {
            serve(c);
            answer(c);
            collect(c);
        }
    }
}

/* Each message that was acknowledged is at a broker, none is twice at one; what each broker had for
 * the device that sleeps is in its queue once; nothing is left over. */
static bool
is_good(const struct chance *c)
{
    bool good = rig_status(&c->rig).queued_messages ==
                c->models[FIRST].commands + c->models[OTHER].commands;

    for (unsigned i = 0; i < c->sent; i++) {
        unsigned first = c->models[FIRST].forwarded[i], other = c->models[OTHER].forwarded[i];

        good = good && first <= 1 && other <= 1 && (!c->promised[i] || first + other > 0);
    }
    return good && rig_count_rows(&c->rig, STORE_RELEASE_PUT) == 0 &&
           rig_count_rows(&c->rig, STORE_INBOUND_PUT) == 0 &&
           rig_count_rows(&c->rig, STORE_SPOOL_PUT) == 0;
}

static void
qos_2_passes_once_at_each_broker_whatever_happens(void)
{
    static struct chance c;
    struct random_source seeds = random_start("fail-over", 1);
    bool good = true;

    for (unsigned life = 0; life < 150 && good; life++) {
        struct random_source random = {random_next(&seeds)};

        live(&c, random);
        good = is_good(&c);
        if (!good)
            printf("life %u\n", life);
        CU_ASSERT_TRUE(good);
        rig_fini(&c.rig);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(each_broker_is_wiped_only_before_its_first_connection),
    UNIT_TEST(message_begun_with_one_broker_goes_to_the_next_as_new),
    UNIT_TEST(message_done_elsewhere_is_only_ended_on_the_way_back),
    UNIT_TEST(message_not_done_anywhere_goes_on_with_each_broker_under_its_id),
    UNIT_TEST(restarts_between_brokers_change_nothing),
    UNIT_TEST(message_after_a_restart_is_not_taken_for_one_that_is_open_elsewhere),
    UNIT_TEST(broker_that_lost_its_session_meanwhile_is_owed_nothing),
    UNIT_TEST(message_of_one_broker_is_recognised_when_it_comes_again_after_another),
    UNIT_TEST(copies_of_one_message_are_known_after_the_way_back),
    UNIT_TEST(broker_we_come_back_to_gets_what_changed_meanwhile),
    UNIT_TEST(broker_without_qos_2_is_asked_for_no_more_and_owed_no_pubrel),
    UNIT_TEST(qos_2_passes_once_at_each_broker_whatever_happens),
    UNIT_TEST(brokers_that_are_not_configured_are_forgotten_last_used_first),
};

UNIT_MAIN("engine fail-over", tests)
