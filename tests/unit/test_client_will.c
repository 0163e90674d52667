/* SPDX-License-Identifier: Apache-2.0 */
/* The will of the device-side client: the handshake with every loss, and later changes. */
#include "client_bench.h"
#include "mqttsn_examples.h"
#include "random.h"
#include "unit.h"

/* What the client sends and what answers it, in the order of the handshake (R16). */
#define CONNECT                                                                                    \
    WIRE("\x0A\x04\x08\x01\x00\x00"                                                                \
         "dev1")
#define WILLTOPIC                                                                                  \
    WIRE("\x0A\x07\x30"                                                                            \
         "dev1/st")
#define WILLMSG                                                                                    \
    WIRE("\x06\x09"                                                                                \
         "lost")
#define WILLTOPICREQ WIRE("\x02\x06")
#define WILLMSGREQ WIRE("\x02\x08")
#define CONNACK WIRE("\x03\x05\x00")

static const struct step {
    const uint8_t *sent;
    size_t sent_len;
    const uint8_t *answer;
    size_t answer_len;
} steps[] = {
    {CONNECT, WILLTOPICREQ},
    {WILLTOPIC, WILLMSGREQ},
    {WILLMSG, CONNACK},
};
#define STEP_COUNT (sizeof steps / sizeof steps[0])

static struct client_options
options_with_will(void)
{
    struct client_options options = default_options();

    options.will = (struct client_will){.topic = dm_span_text("dev1/st"),
                                        .message = dm_span_text("lost"),
                                        .qos = 1,
                                        .retain = true};
    return options;
}

static void
expect_step_sent(size_t step)
{
    expect_sent(steps[step].sent, steps[step].sent_len);
}

static void
give_answer(size_t step)
{
    give(steps[step].answer, steps[step].answer_len);
}

static void
begin(void)
{
    struct client_options options = options_with_will();

    bench_open(&options);
    CU_ASSERT_EQUAL(client_connect(&bench.client, bench.now_ms), DM_OK);
}

/* A client whose message of this step was just sent, for the first time. The steps before took one
 * repetition each, and some time. */
static void
open_at_step(size_t step)
{
    begin();
    for (size_t i = 0; i < step; i++) {
        pass_time(RETRY_MS);
        bench.now_ms += 100;
        give_answer(i);
    }
    forget_log();
    expect_state(CLIENT_CONNECTING);
}

static void
finish_from(size_t step)
{
    for (size_t i = step; i < STEP_COUNT; i++) {
        give_answer(i);
        if (i + 1 < STEP_COUNT)
            expect_step_sent(i + 1);
    }
    expect_event(CLIENT_EVENT_DONE, MQTTSN_CONNECT);
    expect_state(CLIENT_ACTIVE);
    expect_quiet();
}

/* Connects once more and expects this will in the handshake. */
static void
expect_will_on_connect(const uint8_t *topic, size_t topic_len, const uint8_t *message,
                       size_t message_len)
{
    give(WIRE("\x02\x18"));
    forget_log();
    CU_ASSERT_EQUAL(client_connect(&bench.client, bench.now_ms), DM_OK);
    expect_sent(CONNECT);
    give(WILLTOPICREQ);
    expect_sent(topic, topic_len);
    give(WILLMSGREQ);
    expect_sent(message, message_len);
    expect_quiet();
}

/* ---- the handshake ---- */

static void
connect_with_will_answers_both_questions_and_becomes_active(void) /* R16 */
{
    begin();
    expect_step_sent(0);
    finish_from(0);
    CU_ASSERT_EQUAL(client_next_deadline(&bench.client), UINT64_MAX);
}

/* R21, R87: whether the message or its answer was lost, the client repeats its last message. */
static void
message_lost_at_each_step_is_repeated(void)
{
    for (size_t step = 0; step < STEP_COUNT; step++) {
        open_at_step(step);
        CU_ASSERT_EQUAL(client_next_deadline(&bench.client), bench.now_ms + RETRY_MS);
        pass_time(RETRY_MS - 1);
        expect_quiet();
        pass_time(1);
        expect_step_sent(step);
        expect_quiet();
        finish_from(step);
    }
}

/* R21: the answer came after the repetition had left, and the repetition is answered, too. */
static void
answer_late_at_each_step_and_then_twice_is_harmless(void)
{
    for (size_t step = 0; step < STEP_COUNT; step++) {
        open_at_step(step);
        pass_time(RETRY_MS);
        expect_step_sent(step);
        give_answer(step);
        give_answer(step);
        if (step + 1 == STEP_COUNT) {
            expect_event(CLIENT_EVENT_DONE, MQTTSN_CONNECT);
            expect_state(CLIENT_ACTIVE);
            expect_quiet();
            continue;
        }
        expect_step_sent(step + 1);
        expect_step_sent(step + 1);
        finish_from(step + 1);
    }
}

/* R87: each message has N_retry repetitions of its own. */
static void
silence_at_each_step_times_out_as_connect(void)
{
    for (size_t step = 0; step < STEP_COUNT; step++) {
        open_at_step(step);
        for (unsigned repetition = 0; repetition < RETRY_COUNT; repetition++) {
            pass_time(RETRY_MS);
            expect_step_sent(step);
            expect_quiet();
        }
        pass_time(RETRY_MS);
        expect_event(CLIENT_EVENT_TIMEOUT, MQTTSN_CONNECT);
        expect_state(CLIENT_DISCONNECTED);
        CU_ASSERT_EQUAL(client_next_deadline(&bench.client), UINT64_MAX);
        give(WILLTOPICREQ);
        give(WILLMSGREQ);
        give(CONNACK);
        expect_quiet();
        CU_ASSERT_EQUAL(client_connect(&bench.client, bench.now_ms), DM_OK);
        expect_sent(CONNECT);
    }
}

/* R17, R18: a gateway that wants no more, or nothing at all, ends the handshake early. */
static void
connack_at_each_step_ends_the_handshake(void)
{
    for (size_t step = 0; step < STEP_COUNT; step++) {
        open_at_step(step);
        give(CONNACK);
        expect_event(CLIENT_EVENT_DONE, MQTTSN_CONNECT);
        expect_state(CLIENT_ACTIVE);
        open_at_step(step);
        give(WIRE("\x03\x05\x03"));
        CU_ASSERT_EQUAL(expect_event(CLIENT_EVENT_REFUSED, MQTTSN_CONNECT)->return_code,
                        MQTTSN_NOT_SUPPORTED);
        expect_state(CLIENT_DISCONNECTED);
        pass_time(100 * RETRY_MS);
        expect_quiet();
    }
}

/* R21 allows a gateway to ask again for what it has: it gets it, and the handshake goes on. */
static void
question_that_is_overtaken_is_answered_and_the_next_one_too(void)
{
    open_at_step(2);
    give(WILLTOPICREQ);
    expect_sent(WILLTOPIC);
    pass_time(RETRY_MS);
    expect_sent(WILLTOPIC); /* the last message sent is what is repeated */
    give(WILLMSGREQ);
    expect_sent(WILLMSG);
    give(CONNACK);
    expect_event(CLIENT_EVENT_DONE, MQTTSN_CONNECT);
    expect_quiet();
}

static void
gateway_that_keeps_asking_does_not_hold_the_client(void)
{
    unsigned periods = 0;

    begin();
    while (client_state(&bench.client) == CLIENT_CONNECTING) {
        CU_ASSERT_TRUE_FATAL(++periods < 1000);
        give(WILLTOPICREQ);
        give(WILLMSGREQ);
        forget_log();
        pass_time(RETRY_MS / 2);
    }
    expect_event(CLIENT_EVENT_TIMEOUT, MQTTSN_CONNECT);
    CU_ASSERT_TRUE(periods <= 2 * STEP_COUNT * (RETRY_COUNT + 1));
}

static void
questions_outside_the_handshake_are_ignored(void)
{
    static const enum client_state states[] = {CLIENT_DISCONNECTED, CLIENT_ACTIVE, CLIENT_ASLEEP,
                                               CLIENT_AWAKE};
    struct client_options options = default_options();

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        open_in_state(&options, states[i]);
        give(WILLTOPICREQ);
        give(WILLMSGREQ);
        expect_state(states[i]);
        expect_quiet();
    }
}

static void
client_without_will_that_is_asked_has_an_empty_one(void) /* R17 */
{
    struct client_options options = default_options();

    open_in_state(&options, CLIENT_CONNECTING);
    give(WILLTOPICREQ);
    expect_sent(WIRE("\x02\x07"));
    pass_time(RETRY_MS);
    expect_sent(WIRE("\x02\x07"));
    give(WILLMSGREQ); /* a gateway that does not know R17 */
    expect_sent(WIRE("\x02\x09"));
    give(CONNACK);
    expect_event(CLIENT_EVENT_DONE, MQTTSN_CONNECT);
    expect_quiet();
}

static void
will_is_told_again_when_a_sleeping_client_connects(void)
{
    begin();
    for (size_t step = 0; step < STEP_COUNT; step++)
        give_answer(step);
    CU_ASSERT_EQUAL(client_sleep(&bench.client, bench.now_ms, 600), DM_OK);
    give(WIRE("\x02\x18"));
    expect_state(CLIENT_ASLEEP);
    forget_log();
    CU_ASSERT_EQUAL(client_connect(&bench.client, bench.now_ms), DM_OK);
    expect_step_sent(0);
    finish_from(0);
}

/* ---- the options ---- */

static void
init_with_a_bad_will_is_invalid(void)
{
    static uint8_t octets[CLIENT_WILL_MESSAGE_MAX + 1];
    struct client_options options = options_with_will();

    options.will.topic = dm_span(octets, CLIENT_WILL_TOPIC_MAX + 1);
    CU_ASSERT_EQUAL(client_init(&bench.client, &options), DM_INVALID);
    options.will.topic.len = CLIENT_WILL_TOPIC_MAX;
    options.will.message = dm_span(octets, CLIENT_WILL_MESSAGE_MAX + 1);
    CU_ASSERT_EQUAL(client_init(&bench.client, &options), DM_INVALID);
    options.will.message.len = CLIENT_WILL_MESSAGE_MAX;
    CU_ASSERT_EQUAL(client_init(&bench.client, &options), DM_OK);
    options.will.qos = 3;
    CU_ASSERT_EQUAL(client_init(&bench.client, &options), DM_INVALID);
    options.will.qos = MQTTSN_QOS_MINUS_ONE;
    CU_ASSERT_EQUAL(client_init(&bench.client, &options), DM_INVALID);
}

static void
will_is_copied_at_init(void)
{
    char topic[] = "dev1/st";
    char message[] = "lost";
    struct client_options options = options_with_will();

    options.will.topic = dm_span_text(topic);
    options.will.message = dm_span_text(message);
    bench_open(&options);
    memset(topic, 'x', strlen(topic));
    memset(message, 'x', strlen(message));
    CU_ASSERT_EQUAL(client_connect(&bench.client, bench.now_ms), DM_OK);
    expect_step_sent(0);
    finish_from(0);
}

static void
will_without_a_message_is_told_with_an_empty_one(void)
{
    struct client_options options = options_with_will();

    options.will.message = dm_span(NULL, 0);
    bench_open(&options);
    CU_ASSERT_EQUAL(client_connect(&bench.client, bench.now_ms), DM_OK);
    give(WILLTOPICREQ);
    forget_log();
    give(WILLMSGREQ);
    expect_sent(WIRE("\x02\x09"));
}

/* ---- changes (R36) ---- */

static void
open_active_with_will(void)
{
    begin();
    for (size_t step = 0; step < STEP_COUNT; step++)
        give_answer(step);
    forget_log();
    expect_state(CLIENT_ACTIVE);
}

static enum dm_result
update_topic(const char *topic, int8_t qos, bool retain)
{
    return client_will_topic_update(&bench.client, bench.now_ms, dm_span_text(topic), qos, retain);
}

static enum dm_result
update_message(const char *message)
{
    return client_will_message_update(&bench.client, bench.now_ms, dm_span_text(message));
}

static void
topic_update_accepted_is_the_will_of_the_next_connect(void)
{
    open_active_with_will();
    CU_ASSERT_EQUAL(update_topic("new", 2, false), DM_OK);
    expect_sent(WIRE("\x06\x1A\x40new"));
    give(WIRE("\x03\x1B\x00"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_WILLTOPICUPD);
    give(WIRE("\x03\x1B\x00")); /* its duplicate */
    expect_quiet();
    expect_will_on_connect(WIRE("\x06\x07\x40new"), WILLMSG);
}

static void
message_update_accepted_is_the_will_of_the_next_connect(void)
{
    open_active_with_will();
    CU_ASSERT_EQUAL(update_message("gone"), DM_OK);
    expect_sent(WIRE("\x06\x1Cgone"));
    give(WIRE("\x03\x1D\x00"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_WILLMSGUPD);
    expect_will_on_connect(WILLTOPIC, WIRE("\x06\x09gone"));
}

static void
update_refused_or_unanswered_leaves_the_will(void)
{
    open_active_with_will();
    CU_ASSERT_EQUAL(update_topic("new", 0, false), DM_OK);
    give(WIRE("\x03\x1B\x03"));
    forget_log();
    CU_ASSERT_EQUAL(update_message("gone"), DM_OK);
    give(WIRE("\x03\x1D\x01"));
    CU_ASSERT_EQUAL(expect_event(CLIENT_EVENT_REFUSED, MQTTSN_WILLMSGUPD)->return_code,
                    MQTTSN_CONGESTION);
    expect_state(CLIENT_ACTIVE);
    CU_ASSERT_EQUAL(update_message("gone"), DM_OK); /* and the gateway ends the session */
    expect_will_on_connect(WILLTOPIC, WILLMSG);
}

static void
empty_topic_update_deletes_topic_and_message(void) /* R37 */
{
    open_active_with_will();
    CU_ASSERT_EQUAL(update_topic("", 1, true), DM_OK);
    expect_sent(WIRE("\x02\x1A"));
    give(WIRE("\x03\x1B\x00"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_WILLTOPICUPD);
    give(WIRE("\x02\x18"));
    forget_log();
    CU_ASSERT_EQUAL(client_connect(&bench.client, bench.now_ms), DM_OK);
    expect_sent(WIRE("\x0A\x04\x00\x01\x00\x00"
                     "dev1")); /* without Will */
    give(CONNACK);
    forget_log();
    CU_ASSERT_EQUAL(update_topic("again", 0, false), DM_OK);
    give(WIRE("\x03\x1B\x00"));
    expect_will_on_connect(WIRE("\x08\x07\x00"
                                "again"),
                           WIRE("\x02\x09"));
}

static void
message_update_before_there_is_a_topic_counts_once_there_is(void) /* R38 */
{
    open_active();
    CU_ASSERT_EQUAL(update_message("gone"), DM_OK);
    give(WIRE("\x03\x1D\x00"));
    CU_ASSERT_EQUAL(update_topic("new", 0, true), DM_OK);
    give(WIRE("\x03\x1B\x00"));
    expect_will_on_connect(WIRE("\x06\x07\x10new"), WIRE("\x06\x09gone"));
}

static void
answer_to_the_other_update_is_ignored(void)
{
    open_active_with_will();
    give(WIRE("\x03\x1B\x00"));
    give(WIRE("\x03\x1D\x00"));
    expect_quiet();
    CU_ASSERT_EQUAL(update_topic("new", 0, false), DM_OK);
    forget_log();
    give(WIRE("\x03\x1D\x00"));
    expect_quiet();
    give(WIRE("\x03\x1B\x00"));
    expect_event(CLIENT_EVENT_DONE, MQTTSN_WILLTOPICUPD);
    CU_ASSERT_EQUAL(update_message("gone"), DM_OK);
    forget_log();
    give(WIRE("\x03\x1B\x00"));
    expect_quiet();
}

static void
update_with_a_wrong_argument_is_refused_and_sends_nothing(void)
{
    static uint8_t octets[CLIENT_WILL_MESSAGE_MAX + 1];
    struct client *client = &bench.client;

    open_active();
    CU_ASSERT_EQUAL(update_topic("new", 3, false), DM_INVALID);
    CU_ASSERT_EQUAL(update_topic("new", -1, false), DM_INVALID);
    CU_ASSERT_EQUAL(client_will_topic_update(client, bench.now_ms,
                                             dm_span(octets, CLIENT_WILL_TOPIC_MAX + 1), 0, false),
                    DM_FULL);
    CU_ASSERT_EQUAL(client_will_message_update(client, bench.now_ms,
                                               dm_span(octets, CLIENT_WILL_MESSAGE_MAX + 1)),
                    DM_FULL);
    expect_quiet();
    CU_ASSERT_EQUAL(update_message("gone"), DM_OK); /* nothing stayed open */
}

/* ---- a gateway behind a bad radio ---- */

#define AIR_BITS                                                                                   \
    (2 * STEP_COUNT + 2 * RETRY_COUNT) /* the most messages that such a handshake takes */

static unsigned
count_bits(unsigned bits)
{
    unsigned count = 0;

    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

/* Answers as R21 demands: each message by its step, whether it is new or comes again. */
static void
let_gateway_hear(const struct sent_datagram *sent, bool answer_arrives, size_t *known)
{
    for (size_t step = 0; step < STEP_COUNT; step++) {
        if (sent->len != steps[step].sent_len ||
            memcmp(sent->octets, steps[step].sent, sent->len) != 0)
            continue;
        CU_ASSERT_TRUE(step <= *known); /* nothing is told before it is asked */
        if (*known == step)
            *known = step + 1;
        if (answer_arrives)
            give_answer(step);
        return;
    }
    CU_FAIL("the client sent something else than its will");
}

/* R21, R87: as many losses as there are repetitions, wherever they hit. */
static void
every_pattern_of_losses_ends_connected_with_the_will_told(void)
{
    for (unsigned lost = 0; lost < 1u << AIR_BITS; lost++) {
        unsigned left = lost; /* bit n: the n-th message on the air, of either side, is lost */
        size_t known = 0;
        if (count_bits(lost) > RETRY_COUNT)
            continue;
        begin();
        for (int i = 0; i < 100 && client_state(&bench.client) == CLIENT_CONNECTING; i++) {
            if (bench.sent_count == 0) {
                pass_time(RETRY_MS);
                continue;
            }
            struct sent_datagram sent = bench.sent[0];
            CU_ASSERT_EQUAL(bench.sent_count, 1);
            bench.sent_count = 0;
            bool hears = (left & 1) == 0;
            left >>= 1;
            if (hears) {
                let_gateway_hear(&sent, (left & 1) == 0, &known);
                left >>= 1;
            }
        }
        CU_ASSERT_EQUAL(known, STEP_COUNT);
        CU_ASSERT_EQUAL(bench.event_count, 1);
        expect_event(CLIENT_EVENT_DONE, MQTTSN_CONNECT);
        expect_state(CLIENT_ACTIVE);
    }
}

static void
random_questions_and_answers_never_break_the_will(void)
{
    struct random_source source = random_start("random questions", 7);
    struct client_options options = options_with_will();

    bench_open(&options);
    for (int i = 0; i < 100000; i++) {
        forget_log();
        switch (random_below(&source, 8)) {
        case 0:
            (void)client_connect(&bench.client, bench.now_ms);
            break;
        case 1:
            (void)update_topic(random_below(&source, 2) == 0 ? "" : "other", 1, false);
            break;
        case 2:
            (void)update_message(random_below(&source, 2) == 0 ? "" : "other");
            break;
        case 3:
            give(WIRE("\x03\x1B\x00"));
            break;
        case 4:
            give(WIRE("\x03\x1D\x00"));
            break;
        case 5:
            pass_time(random_below(&source, 2 * RETRY_MS));
            break;
        default:
            give_answer(random_below(&source, STEP_COUNT));
            break;
        }
        const struct client_will *will = &bench.client.options.will;
        CU_ASSERT_TRUE_FATAL(will->topic.len <= CLIENT_WILL_TOPIC_MAX);
        CU_ASSERT_TRUE_FATAL(will->topic.data == bench.client.will_topic);
        CU_ASSERT_TRUE_FATAL(will->message.data == bench.client.will_message);
        CU_ASSERT_TRUE(client_state(&bench.client) != CLIENT_CONNECTING ||
                       bench.client.request_open);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(connect_with_will_answers_both_questions_and_becomes_active),
    UNIT_TEST(message_lost_at_each_step_is_repeated),
    UNIT_TEST(answer_late_at_each_step_and_then_twice_is_harmless),
    UNIT_TEST(silence_at_each_step_times_out_as_connect),
    UNIT_TEST(connack_at_each_step_ends_the_handshake),
    UNIT_TEST(question_that_is_overtaken_is_answered_and_the_next_one_too),
    UNIT_TEST(gateway_that_keeps_asking_does_not_hold_the_client),
    UNIT_TEST(questions_outside_the_handshake_are_ignored),
    UNIT_TEST(client_without_will_that_is_asked_has_an_empty_one),
    UNIT_TEST(will_is_told_again_when_a_sleeping_client_connects),
    UNIT_TEST(init_with_a_bad_will_is_invalid),
    UNIT_TEST(will_is_copied_at_init),
    UNIT_TEST(will_without_a_message_is_told_with_an_empty_one),
    UNIT_TEST(topic_update_accepted_is_the_will_of_the_next_connect),
    UNIT_TEST(message_update_accepted_is_the_will_of_the_next_connect),
    UNIT_TEST(update_refused_or_unanswered_leaves_the_will),
    UNIT_TEST(empty_topic_update_deletes_topic_and_message),
    UNIT_TEST(message_update_before_there_is_a_topic_counts_once_there_is),
    UNIT_TEST(answer_to_the_other_update_is_ignored),
    UNIT_TEST(update_with_a_wrong_argument_is_refused_and_sends_nothing),
    UNIT_TEST(every_pattern_of_losses_ends_connected_with_the_will_told),
    UNIT_TEST(random_questions_and_answers_never_break_the_will),
};

UNIT_MAIN("client will", tests)
