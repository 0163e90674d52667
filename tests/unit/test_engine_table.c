/* SPDX-License-Identifier: Apache-2.0 */
/* Every message from a client in every state of its session: reference 3.13, cell by cell. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "engine_rig.h"

/*
 * The device "dev" at address A has a persistent session, subscribed to "cmd" with QoS 2, which has
 * topic id 1; pre-defined id 8 is "yard/lamp". Client "other" sleeps at address B. The broker is
 * there. Rows are written from the reference, not from the engine.
 *
 * A cell holds, in this order:
 *   "+" or "-"     the supervision of the session began anew, or went on (R4, R76, R93); only in
 *                  cells that end in active, asleep or awake: the other states are not timed (R80)
 *   "delivered"    an open message to the device is done
 *   messages       to A without further mark; "*A>": to all, asked by A; "^": to the broker, which
 *                  answers; a "!" behind one: it was held until the disk had what it promises
 *   "-> state"     only if the state changed
 * "" is "ignored" of a state without supervision.
 */
#define SAME NULL             /* as in the column to the left */
#define NONE "no such"        /* the case does not exist in this state */
#define REJECTED "DISCONNECT" /* R84, M45 */
#define IGNORED "-"           /* R4: no reply, no change, no sign of life */
#define NOTED "+"             /* no reply but a sign of life (R76) */

enum column { ACTIVE, ASLEEP, AWAKE, DISCONNECTED, LOST, UNKNOWN, COLUMN_COUNT };

static const char *const column_names[COLUMN_COUNT] = {"active",       "asleep", "awake",
                                                       "disconnected", "lost",   "unknown"};

/* What happened before. Messages to the device were sent while it was active. In awake there is
 * always one open, else the period would be over (R97). */
enum situation {
    NOTHING,
    OPEN_QOS1,      /* PUBLISH QoS 1 to the device waits for PUBACK */
    OPEN_QOS2,      /* PUBLISH QoS 2 to the device waits for PUBREC */
    OPEN_PUBREL,    /* PUBREL to the device waits for PUBCOMP */
    OPEN_REGISTER,  /* REGISTER of "w/x" to the device waits for REGACK */
    RECEIVED,       /* QoS 2 message 9 of the device has its PUBREC */
    WILL,           /* the connection was made with a will handshake a moment ago */
    WILL_ASKED,     /* CONNECT with Will = 1 had its WILLTOPICREQ, in the state of the column */
    WILL_MSG_ASKED, /* and WILLTOPIC its WILLMSGREQ */
};

struct row {
    const char *what;
    enum situation before;
    bool answers_open; /* MsgId and topic id are those of the open message */
    struct mqttsn_packet packet;
    const char *cells[COLUMN_COUNT];
};

#define TEXT(s)                                                                                    \
    {                                                                                              \
        .data = (const uint8_t *)(s), .len = sizeof(s) - 1                                         \
    }
#define CONNECT_OF_DEV                                                                             \
    .type = MQTTSN_CONNECT, .protocol_id = 1, .duration_s = 60, .client_id = TEXT("dev")
#define PUBLISH_YARD_LAMP                                                                          \
    .type = MQTTSN_PUBLISH, .topic_type = MQTTSN_TOPIC_PREDEFINED, .topic_id = 8, .data = TEXT("x")

/* clang-format off */
static const struct row rows[] = {
    /* what                     before    packet
     *   active, asleep, awake, disconnected, lost, unknown */
    {"SEARCHGW", NOTHING, false, {.type = MQTTSN_SEARCHGW, .radius = 2}, /* R11 */
        {"+ *A> GWINFO 1 radius 2", SAME, SAME, "*A> GWINFO 1 radius 2", SAME, SAME}},
    {"ADVERTISE", NOTHING, false, {.type = MQTTSN_ADVERTISE, .gateway_id = 9}, /* R13 */
        {IGNORED, SAME, SAME, "", SAME, SAME}},
    {"GWINFO", NOTHING, false, {.type = MQTTSN_GWINFO, .gateway_id = 9}, /* R13 */
        {IGNORED, SAME, SAME, "", SAME, SAME}},

    /* R25: ids are not known any more, which is recorded; R100: they stay known, the return from
     * sleep is not recorded (design 8), and what is open is continued */
    {"CONNECT", NOTHING, false, {CONNECT_OF_DEV},
        {"+ CONNACK 0 !", "+ CONNACK 0 -> active",
         "+ CONNACK 0 | PUBLISH 1 qos 1 msg 1 dup x -> active",
         "+ CONNACK 0 ! -> active", SAME, SAME}},
    {"CONNECT, CleanSession", NOTHING, false, {CONNECT_OF_DEV, .clean_session = true}, /* R30 */
        {"+ ^ UNSUBSCRIBE cmd ! | CONNACK 0 !",
         "+ ^ UNSUBSCRIBE cmd ! | CONNACK 0 ! -> active", SAME, SAME, SAME,
         "+ CONNACK 0 ! -> active"}},
    /* R16, R24: nothing may come between CONNECT and CONNACK, so the awake period is over */
    {"CONNECT, Will", NOTHING, false, {CONNECT_OF_DEV, .will = true},
        {"+ WILLTOPICREQ", SAME, "+ WILLTOPICREQ -> asleep", "WILLTOPICREQ", SAME, SAME}},
    {"WILLTOPIC, asked for", WILL_ASKED, false, /* R16 */
        {.type = MQTTSN_WILLTOPIC, .has_flags = true, .topic_name = TEXT("gone")},
        {"+ WILLMSGREQ", SAME, NONE, "WILLMSGREQ", SAME, SAME}},
    {"WILLTOPIC, not asked for", NOTHING, false, /* M15 */
        {.type = MQTTSN_WILLTOPIC, .has_flags = true, .topic_name = TEXT("gone")},
        {NOTED, SAME, SAME, "", SAME, SAME}},
    {"WILLMSG, asked for", WILL_MSG_ASKED, false, {.type = MQTTSN_WILLMSG, .data = TEXT("x")},
        {"+ CONNACK 0 !", "+ CONNACK 0 ! -> active", NONE, "+ CONNACK 0 ! -> active", SAME, SAME}},
    {"WILLMSG, CONNACK was lost", WILL, false, {.type = MQTTSN_WILLMSG, .data = TEXT("x")}, /* R21 */
        {"+ CONNACK 0", NOTED, SAME, "", SAME, SAME}},
    {"WILLMSG, not asked for", NOTHING, false, {.type = MQTTSN_WILLMSG, .data = TEXT("x")}, /* M15 */
        {NOTED, SAME, SAME, "", SAME, SAME}},

    {"REGISTER", NOTHING, false,
        {.type = MQTTSN_REGISTER, .msg_id = 9, .topic_name = TEXT("temp")},
        {"+ REGACK 2 msg 9 code 0 !", SAME, SAME, REJECTED, SAME, SAME}},
    {"REGACK, open", OPEN_REGISTER, true, {.type = MQTTSN_REGACK},
        {"+ PUBLISH 2 qos 1 msg 1 x", NOTED, "+ PUBLISH 2 qos 1 msg 1 x", "", SAME, SAME}},
    {"REGACK, not open", NOTHING, false, {.type = MQTTSN_REGACK, .msg_id = 99, .topic_id = 2}, /* M23 */
        {NOTED, SAME, SAME, "", SAME, SAME}},

    {"PUBLISH QoS -1", NOTHING, false, {PUBLISH_YARD_LAMP, .qos = -1}, /* R40, R43 */
        {"+ ^ PUBLISH yard/lamp qos 0 x", SAME, SAME, "^ PUBLISH yard/lamp qos 0 x", SAME, SAME}},
    {"PUBLISH QoS 0", NOTHING, false, {PUBLISH_YARD_LAMP, .qos = 0},
        {"+ ^ PUBLISH yard/lamp qos 0 x", SAME, SAME, REJECTED, SAME, SAME}},
    {"PUBLISH QoS 1", NOTHING, false, {PUBLISH_YARD_LAMP, .qos = 1, .msg_id = 9}, /* R48 */
        {"+ ^ PUBLISH yard/lamp qos 1 x | PUBACK 8 msg 9 code 0", SAME, SAME,
         REJECTED, SAME, SAME}},
    /* R45; body, MsgId and phase are committed first (design 1), the upstream PUBREL does not wait
     * for the device (design 5) */
    {"PUBLISH QoS 2", NOTHING, false, {PUBLISH_YARD_LAMP, .qos = 2, .msg_id = 9},
        {"+ ^ PUBLISH yard/lamp qos 2 x ! | PUBREC msg 9 | ^ PUBREL !", SAME, SAME,
         REJECTED, SAME, SAME}},
    {"PUBREL, received", RECEIVED, false, {.type = MQTTSN_PUBREL, .msg_id = 9}, /* R50, design 1 */
        {"+ PUBCOMP msg 9 !", SAME, SAME, REJECTED, SAME, SAME}},
    {"PUBREL, unknown", NOTHING, false, {.type = MQTTSN_PUBREL, .msg_id = 99}, /* M33 */
        {"+ PUBCOMP msg 99", SAME, SAME, REJECTED, SAME, SAME}},

    {"PUBACK, open", OPEN_QOS1, true, {.type = MQTTSN_PUBACK},
        {"+ delivered", SAME, "+ delivered | PINGRESP -> asleep", "", SAME, SAME}},
    {"PUBACK, not open", NOTHING, false, {.type = MQTTSN_PUBACK, .msg_id = 99}, /* M35 */
        {NOTED, SAME, SAME, "", SAME, SAME}},
    {"PUBREC, open", OPEN_QOS2, true, {.type = MQTTSN_PUBREC}, /* the phase is committed (design 1) */
        {"+ PUBREL msg 1 !", SAME, SAME, "", SAME, SAME}},
    {"PUBREC, not open", NOTHING, false, {.type = MQTTSN_PUBREC, .msg_id = 99}, /* M34 */
        {"+ PUBREL msg 99", SAME, SAME, "", SAME, SAME}},
    {"PUBCOMP, open", OPEN_PUBREL, true, {.type = MQTTSN_PUBCOMP},
        {"+ delivered", SAME, "+ delivered | PINGRESP -> asleep", "", SAME, SAME}},
    {"PUBCOMP, not open", NOTHING, false, {.type = MQTTSN_PUBCOMP, .msg_id = 99}, /* M35 */
        {NOTED, SAME, SAME, "", SAME, SAME}},

    {"SUBSCRIBE", NOTHING, false, /* R67 */
        {.type = MQTTSN_SUBSCRIBE, .qos = 1, .msg_id = 9, .topic_name = TEXT("alert")},
        {"+ ^ SUBSCRIBE alert ! | SUBACK 2 qos 1 msg 9 code 0", SAME, SAME, REJECTED, SAME, SAME}},
    {"UNSUBSCRIBE", NOTHING, false,
        {.type = MQTTSN_UNSUBSCRIBE, .msg_id = 9, .topic_name = TEXT("cmd")},
        {"+ ^ UNSUBSCRIBE cmd ! | UNSUBACK msg 9 !", SAME, SAME, REJECTED, SAME, SAME}},

    /* R95, R96, R97 */
    {"PINGREQ, own id", NOTHING, false, {.type = MQTTSN_PINGREQ, .client_id = TEXT("dev")},
        {"+ PINGRESP", SAME, "+ PUBLISH 1 qos 1 msg 1 dup x", REJECTED, SAME, SAME}},
    {"PINGREQ, own id, message waits", OPEN_QOS1, false,
        {.type = MQTTSN_PINGREQ, .client_id = TEXT("dev")},
        {"+ PUBLISH 1 qos 1 msg 1 dup x", "+ PUBLISH 1 qos 1 msg 1 dup x -> awake",
         "+ PUBLISH 1 qos 1 msg 1 dup x", REJECTED, SAME, SAME}},
    {"PINGREQ, no id", NOTHING, false, {.type = MQTTSN_PINGREQ},
        {"+ PINGRESP", SAME, "+ PUBLISH 1 qos 1 msg 1 dup x", REJECTED, SAME, SAME}},
    /* M44, R27: the other session wakes, and dev's runs into its own supervision */
    {"PINGREQ, another's id", NOTHING, false,
        {.type = MQTTSN_PINGREQ, .client_id = TEXT("other")},
        {"- PINGRESP", SAME, "- PINGRESP -> asleep", "PINGRESP", SAME, SAME}},
    {"PINGREQ, unknown id", NOTHING, false,
        {.type = MQTTSN_PINGREQ, .client_id = TEXT("stranger")},
        {"- DISCONNECT", SAME, SAME, REJECTED, SAME, SAME}},
    {"PINGRESP", NOTHING, false, {.type = MQTTSN_PINGRESP}, /* R78 */
        {NOTED, SAME, SAME, "", SAME, SAME}},

    {"DISCONNECT", NOTHING, false, {.type = MQTTSN_DISCONNECT}, /* R80, R82 */
        {"DISCONNECT ! -> disconnected", SAME, SAME, "DISCONNECT", SAME, SAME}},
    {"DISCONNECT(0)", NOTHING, false, {.type = MQTTSN_DISCONNECT, .has_duration = true}, /* R83 */
        {"DISCONNECT ! -> disconnected", SAME, SAME, "DISCONNECT", SAME, SAME}},
    {"DISCONNECT(300)", NOTHING, false, /* R101, R82 */
        {.type = MQTTSN_DISCONNECT, .has_duration = true, .duration_s = 300},
        {"+ DISCONNECT ! -> asleep", "+ DISCONNECT !", "+ DISCONNECT ! -> asleep",
         "DISCONNECT", SAME, SAME}},

    {"WILLTOPICUPD", NOTHING, false, /* R36, M50 */
        {.type = MQTTSN_WILLTOPICUPD, .has_flags = true, .topic_name = TEXT("gone")},
        {"+ WILLTOPICRESP 0 !", SAME, SAME, REJECTED, SAME, SAME}},
    {"WILLMSGUPD", NOTHING, false, {.type = MQTTSN_WILLMSGUPD, .data = TEXT("x")}, /* R36, M50 */
        {"+ WILLMSGRESP 0 !", SAME, SAME, REJECTED, SAME, SAME}},

    /* wrong direction: R4, M47 */
    {"CONNACK", NOTHING, false, {.type = MQTTSN_CONNACK}, {IGNORED, SAME, SAME, "", SAME, SAME}},
    {"WILLTOPICREQ", NOTHING, false, {.type = MQTTSN_WILLTOPICREQ},
        {IGNORED, SAME, SAME, "", SAME, SAME}},
    {"WILLMSGREQ", NOTHING, false, {.type = MQTTSN_WILLMSGREQ},
        {IGNORED, SAME, SAME, "", SAME, SAME}},
    {"SUBACK", NOTHING, false, {.type = MQTTSN_SUBACK}, {IGNORED, SAME, SAME, "", SAME, SAME}},
    {"UNSUBACK", NOTHING, false, {.type = MQTTSN_UNSUBACK}, {IGNORED, SAME, SAME, "", SAME, SAME}},
    {"WILLTOPICRESP", NOTHING, false, {.type = MQTTSN_WILLTOPICRESP},
        {IGNORED, SAME, SAME, "", SAME, SAME}},
    {"WILLMSGRESP", NOTHING, false, {.type = MQTTSN_WILLMSGRESP},
        {IGNORED, SAME, SAME, "", SAME, SAME}},
};
/* clang-format on */
/* Reserved types and 0xFE never get as far as the engine: test_mqttsn, test_udp_forwarders. */

enum { ROW_COUNT = sizeof rows / sizeof rows[0], PAUSE_MS = 5000 };

/* ---- the way to the cell ---- */

/* The number behind the last occurrence of `word` in the effects so far, 0 if there is none. */
static uint16_t
last_number(const struct rig *rig, const char *word)
{
    const char *found = NULL;

    for (const char *at = rig->text; (at = strstr(at, word)) != NULL; at += strlen(word))
        found = at;
    return found != NULL ? (uint16_t)atoi(found + strlen(word)) : 0;
}

/* The broker answers the first message that waits for an answer. */
static void
answer_as_broker(struct rig *rig)
{
    static const struct {
        const char *sent;
        enum mqtt_type answer;
        uint8_t reason;
    } answers[] = {
        {"qos 1", MQTT_PUBACK, 0},
        {"qos 2", MQTT_PUBREC, 0},
        {"^ SUBSCRIBE", MQTT_SUBACK, 2},
        {"^ UNSUBSCRIBE", MQTT_UNSUBACK, 0},
    };
    const char *sent = strchr(rig->text, '^');
    uint16_t packet_id = last_number(rig, " pid ");

    if (sent == NULL || packet_id == 0)
        return;
    rig_commit(rig);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        if (strstr(sent, answers[i].sent) == NULL)
            continue;
        rig_broker_answer(rig, answers[i].answer, packet_id, answers[i].reason);
        return;
    }
}

static void
settle(struct rig *rig)
{
    answer_as_broker(rig);
    rig_commit(rig);
    rig_clear(rig);
}

static void
open_message(struct rig *rig, const char *topic, uint8_t qos)
{
    rig_broker_publish(rig, topic, "x", qos, 1, 0);
    rig_commit(rig); /* QoS 2 leaves when it is durable */
}

static void
connect_device(struct rig *rig, enum situation before)
{
    if (before == WILL)
        rig_device_with_will(rig, 'A', "dev", false, "gone", "x");
    else
        rig_device(rig, 'A', "dev", false);
    rig_subscribe(rig, 'A', "cmd", 2, 1);
    settle(rig);
    switch (before) {
    case OPEN_QOS1:
        open_message(rig, "cmd", 1);
        break;
    case OPEN_QOS2:
        open_message(rig, "cmd", 2);
        break;
    case OPEN_PUBREL:
        open_message(rig, "cmd", 2);
        rig_step(rig, 'A', MQTTSN_PUBREC, 1);
        break;
    case OPEN_REGISTER:
        rig_subscribe(rig, 'A', "w/#", 1, 2);
        settle(rig);
        open_message(rig, "w/x", 1);
        break;
    case RECEIVED:
        rig_send(rig, 'A', &(struct mqttsn_packet){PUBLISH_YARD_LAMP, .qos = 2, .msg_id = 9});
        settle(rig);
        break;
    default:
        break;
    }
    rig_commit(rig);
}

static bool
is_to_the_device(enum situation before)
{
    return before == OPEN_QOS1 || before == OPEN_QOS2 || before == OPEN_PUBREL ||
           before == OPEN_REGISTER;
}

static void
change_state(struct rig *rig, enum column column, enum situation before)
{
    if (column == DISCONNECTED)
        rig_disconnect(rig, 'A', 0);
    if (column == LOST)
        rig_wait(rig, 90001); /* 1.5 times the keep alive of 60 s */
    if (column != ASLEEP && column != AWAKE)
        return;
    rig_disconnect(rig, 'A', 120);
    if (column == ASLEEP)
        return;
    if (!is_to_the_device(before))
        rig_broker_publish(rig, "cmd", "x", 1, 2, 0);
    rig_commit(rig);
    rig_ping(rig, 'A', "dev");
}

static void
reach(struct rig *rig, enum column column, enum situation before)
{
    rig_init(rig);
    rig_broker_up(rig, MQTT_5, false);
    rig_device(rig, 'B', "other", false);
    rig_disconnect(rig, 'B', UINT16_MAX);
    rig_commit(rig);
    rig_clear(rig);
    if (column != UNKNOWN) {
        connect_device(rig, before);
        change_state(rig, column, before);
    }
    if (before == WILL_ASKED || before == WILL_MSG_ASKED)
        rig_connect_will(rig, 'A', "dev", false);
    if (before == WILL_MSG_ASKED)
        rig_will_topic(rig, 'A', MQTTSN_WILLTOPIC, "gone", 1, false);
    rig_commit(rig);
}

/* ---- what is seen there ---- */

struct view {
    const char *state;
    bool timed; /* supervised */
    uint64_t contact_ms, delivered;
};

static void
look_at_dev(void *ctx, const struct engine_session_status *session)
{
    struct view *view = ctx;

    if (!dm_span_equal(session->client_id, dm_span_text("dev")))
        return;
    *view = (struct view){.state = engine_state_name(session->state),
                          .timed = session->state != ENGINE_DISCONNECTED &&
                                   session->state != ENGINE_LOST,
                          .contact_ms = session->last_contact_ms,
                          .delivered = session->delivered};
}

static struct view
look(const struct rig *rig)
{
    struct view view = {.state = "unknown"};

    engine_each_session(rig->engine, rig->now_ms, look_at_dev, &view);
    return view;
}

struct text {
    char text[512];
    size_t len;
};

static void
add(struct text *to, const char *separator, const char *text, size_t len)
{
    int written = snprintf(to->text + to->len, sizeof to->text - to->len, "%s%.*s",
                           to->len > 0 ? separator : "", (int)len, text);

    if (written < 0 || to->len + (size_t)written >= sizeof to->text)
        abort(); /* more than a cell can hold */
    to->len += (size_t)written;
}

/* One effect as cells write it: without packet ids, identifiers, quotes and journal numbers. */
static void
add_effect(struct text *to, const char *line, size_t len)
{
    struct text effect = {.len = 0};
    const char *end = line + len;

    if (strncmp(line, "A> ", 3) == 0)
        line += 3;
    while (line < end) {
        bool number = strncmp(line, " pid ", 5) == 0 || strncmp(line, " id ", 4) == 0;
        bool held = *line == '!';

        if (held)
            add(&effect, "", "!", 1);
        else if (!number && *line != '"')
            add(&effect, "", line, 1);
        line += number ? strcspn(line + 1, " 0123456789") + 2 : 1;
        if (number || held)
            line += strspn(line, "0123456789");
    }
    add(to, to->len > 1 ? " | " : " ", effect.text, effect.len);
}

static void
describe(struct text *cell, const struct rig *rig, const struct view *before,
         const struct view *after)
{
    if (after->timed)
        add(cell, "", after->contact_ms < PAUSE_MS ? "+" : "-", 1);
    if (after->delivered > before->delivered)
        add(cell, " ", "delivered", strlen("delivered"));
    for (const char *line = rig->text; *line != '\0';) {
        size_t len = strcspn(line, "\n");

        add_effect(cell, line, len);
        line += len + 1;
    }
    if (strcmp(before->state, after->state) != 0) {
        add(cell, " ", "-> ", 3);
        add(cell, "", after->state, strlen(after->state));
    }
}

/* ---- the test ---- */

static bool
cell_holds(const struct row *row, enum column column, const char *expected)
{
    struct rig rig;
    struct text cell = {.len = 0};
    struct mqttsn_packet packet = row->packet;

    reach(&rig, column, row->before);
    if (row->answers_open) {
        packet.msg_id = last_number(&rig, " msg ");
        packet.topic_id = last_number(&rig, "REGISTER ");
    }
    rig_wait(&rig, PAUSE_MS);
    rig_commit(&rig);
    rig_clear(&rig);
    struct view before = look(&rig);
    bool reached = strcmp(before.state, column_names[column]) == 0;

    rig_send(&rig, 'A', &packet);
    answer_as_broker(&rig);
    struct view after = look(&rig);

    describe(&cell, &rig, &before, &after);
    bool equal = strcmp(cell.text, expected) == 0;

    if (!equal || !reached)
        printf("\n%s in %s (was %s)\n  expected: %s\n  got:      %s\n", row->what,
               column_names[column], before.state, expected, cell.text);
    rig_fini(&rig);
    return equal && reached;
}

static void
check_column(enum column column)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        size_t cell = column;

        while (rows[i].cells[cell] == SAME)
            cell--;
        if (strcmp(rows[i].cells[cell], NONE) != 0)
            CU_ASSERT_TRUE(cell_holds(&rows[i], column, rows[i].cells[cell]));
    }
}

static void
active_session_answers_every_message_as_the_table_says(void)
{
    check_column(ACTIVE);
}

static void
asleep_session_answers_every_message_as_the_table_says(void)
{
    check_column(ASLEEP);
}

static void
awake_session_answers_every_message_as_the_table_says(void)
{
    check_column(AWAKE);
}

static void
disconnected_session_answers_every_message_as_the_table_says(void)
{
    check_column(DISCONNECTED);
}

static void
lost_session_answers_every_message_as_the_table_says(void)
{
    check_column(LOST);
}

static void
unknown_client_gets_for_every_message_what_the_table_says(void)
{
    check_column(UNKNOWN);
}

static void
table_has_a_row_for_every_type(void)
{
    for (int type = 0; type < MQTTSN_TYPE_COUNT; type++) {
        size_t found = 0;

        for (size_t i = 0; i < ROW_COUNT; i++)
            found += rows[i].packet.type == (enum mqttsn_type)type;
        if (found == 0)
            printf("\nno row for %s\n", mqttsn_type_name((enum mqttsn_type)type));
        CU_ASSERT_TRUE(found > 0);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(active_session_answers_every_message_as_the_table_says),
    UNIT_TEST(asleep_session_answers_every_message_as_the_table_says),
    UNIT_TEST(awake_session_answers_every_message_as_the_table_says),
    UNIT_TEST(disconnected_session_answers_every_message_as_the_table_says),
    UNIT_TEST(lost_session_answers_every_message_as_the_table_says),
    UNIT_TEST(unknown_client_gets_for_every_message_what_the_table_says),
    UNIT_TEST(table_has_a_row_for_every_type),
};
UNIT_MAIN("engine table", tests)
