/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket: what they answer, and that no odd one does harm. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include <dormouse/log.h>

#include "control_json.h"

/* ---- a gateway of fakes ---- */

static enum dm_result
fake_send(struct transport *transport, const struct dm_address *to, const uint8_t *data, size_t len)
{
    (void)transport;
    (void)to;
    (void)data;
    (void)len;
    return DM_OK;
}

static void
fake_address_text(const struct transport *transport, const struct dm_address *address, char *text,
                  size_t size)
{
    (void)transport;
    snprintf(text, size, "%c", (char)address->octets[0]);
}

static const char *no_topics = "";

struct bench {
    struct store store; /* first: fake_append finds the bench by it */
    uint64_t seq;
    struct transport transport;
    struct transport *transports[1];
    struct engine_link link;
    struct engine_options options;
    struct runner *runner;
    struct transport_listener listener;
    struct control_source source;
};

static uint64_t
fake_append(struct store *store, const struct store_record *record)
{
    (void)record;
    return ++((struct bench *)store)->seq;
}

static void
fake_flush(struct store *store)
{
    (void)store;
}

static uint64_t
fake_now(void *ctx)
{
    (void)ctx;
    return 1000000;
}

static void
fake_arm(void *ctx, uint64_t deadline_ms)
{
    (void)ctx;
    (void)deadline_ms;
}

static void
receive(struct bench *b, char who, const struct mqttsn_packet *packet)
{
    struct dm_address from = {.len = 1, .octets = {(uint8_t)who}};
    uint8_t datagram[256];
    size_t len;

    CU_ASSERT_EQUAL_FATAL(mqttsn_encode(packet, datagram, sizeof datagram, &len), DM_OK);
    b->listener.on_datagram(b->listener.ctx, &from, datagram, len);
}

static const char *const broker_keys[] = {"broker"};

/* Device A is "aaa", active. */
static void
begin(struct bench *b)
{
    static const struct transport_ops transport_ops = {.send = fake_send,
                                                       .address_text = fake_address_text};
    static const struct store_ops store_ops = {.append = fake_append, .flush = fake_flush};
    struct runner_options options = {.engine = &b->options, .now_ms = fake_now, .arm = fake_arm};

    memset(b, 0, sizeof *b);
    b->transport =
        (struct transport){.ops = &transport_ops, .kind = "fake", .name = "lan", .mtu = 255};
    b->transports[0] = &b->transport;
    b->store.ops = &store_ops;
    b->link = (struct engine_link){.mtu = 255, .up = true};
    b->options = (struct engine_options){
        .links = &b->link,
        .link_count = 1,
        .gateway_id = 5,
        .standby_for = ENGINE_NO_GATEWAY,
        .advertise_ms = ENGINE_NEVER,
        .topic_prefix = "",
        .broker_keys = broker_keys,
        .broker_count = 1,
        .max_clients = 10,
        .client_id_max = MQTTSN_CLIENT_ID_MAX,
        .settings.expiry_ms = ENGINE_NEVER,
        .settings.retry_ms = 10000,
        .settings.retry_count = 3,
        .settings.tolerance_percent = 150,
        .receive_maximum = 100,
    };
    b->runner = runner_new(&options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->runner);
    runner_set_transports(b->runner, b->transports, 1);
    runner_set_store(b->runner, &b->store);
    runner_start(b->runner);
    b->listener = runner_transport_listener(b->runner);
    b->source = (struct control_source){
        .status_topics = &no_topics,
        .now_ms = fake_now,
        .runner = b->runner,
        .transports = b->transports,
        .transport_count = 1,
    };
    receive(b, 'A',
            &(struct mqttsn_packet){.type = MQTTSN_CONNECT,
                                    .protocol_id = MQTTSN_PROTOCOL_ID,
                                    .duration_s = 60,
                                    .client_id = dm_span_text("aaa")});
    struct store_events events = runner_store_events(b->runner);

    events.on_committed(events.ctx, b->seq);
}

static void
finish(struct bench *b)
{
    runner_free(b->runner);
}

/* The answer, which is JSON; for the caller to delete. */
static cJSON *
ask(struct bench *b, const char *request)
{
    char *text = control_answer(&b->source, dm_span_text(request));

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    cJSON *answer = cJSON_Parse(text);
    cJSON_free(text);
    CU_ASSERT_TRUE_FATAL(cJSON_IsObject(answer));
    return answer;
}

static bool
is_refused(struct bench *b, const char *request)
{
    cJSON *answer = ask(b, request);
    bool refused = cJSON_GetArraySize(answer) == 1 &&
                   cJSON_IsString(cJSON_GetObjectItemCaseSensitive(answer, "error"));

    if (!refused)
        printf("\nnot refused: %s\n", request);
    cJSON_Delete(answer);
    return refused;
}

static void
assert_untouched(struct bench *b)
{
    cJSON *answer = ask(b, "{\"command\":\"show\",\"client_id\":\"aaa\"}");
    const char *state = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "state"));

    CU_ASSERT_STRING_EQUAL(state, "active");
    cJSON_Delete(answer);
}

/* ---- tests ---- */

static const char *const device_commands[] = {"show",       "queue",  "drop",
                                              "disconnect", "forget", "trace"};
enum { DEVICE_COMMANDS = sizeof device_commands / sizeof device_commands[0] };

static void
client_id_of_a_wrong_type_is_refused(void)
{
    static const char *const wrong[] = {"null", "7", "true", "[]", "{}", "[\"aaa\"]", "1e400"};
    struct bench b;
    char request[128];

    begin(&b);
    for (size_t i = 0; i < DEVICE_COMMANDS; i++) {
        for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
            snprintf(request, sizeof request, "{\"command\":\"%s\",\"client_id\":%s}",
                     device_commands[i], wrong[j]);
            CU_ASSERT_TRUE(is_refused(&b, request));
        }
        snprintf(request, sizeof request, "{\"command\":\"%s\"}", device_commands[i]);
        CU_ASSERT_TRUE(is_refused(&b, request));
    }
    assert_untouched(&b);
    finish(&b);
}

static void
unknown_and_huge_client_ids_are_refused(void)
{
    static char huge[100001];
    static char request[100100];
    const char *const ids[] = {"", "aa", "aaaa", "AAA", "%s%n", "*", huge};
    struct bench b;

    begin(&b);
    memset(huge, 'a', sizeof huge - 1);
    for (size_t i = 0; i < DEVICE_COMMANDS; i++) {
        for (size_t j = 0; j < sizeof ids / sizeof ids[0]; j++) {
            snprintf(request, sizeof request, "{\"command\":\"%s\",\"client_id\":\"%s\"}",
                     device_commands[i], ids[j]);
            CU_ASSERT_TRUE(is_refused(&b, request));
        }
    }
    assert_untouched(&b);
    finish(&b);
}

static void
requests_that_are_no_object_with_a_command_are_refused(void)
{
    static const char *const odd[] = {
        "",
        "{",
        "[]",
        "7",
        "null",
        "\"show\"",
        "{}",
        "{\"command\":null}",
        "{\"command\":[\"show\"]}",
        "{\"command\":\"\"}",
        "{\"command\":\"SHOW\",\"client_id\":\"aaa\"}",
        "{\"Command\":\"show\",\"client_id\":\"aaa\"}",
        "{\"command\":\"show\",\"client_id\":\"aaa\"",
        "{\"command\":\"show\",\"client_id\":\"\\ud800\"}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    };
    struct bench b;

    begin(&b);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        CU_ASSERT_TRUE(is_refused(&b, odd[i]));
    assert_untouched(&b);
    finish(&b);
}

static void
log_level_changes_only_to_one_that_exists(void)
{
    static const char *const wrong[] = {"\"loud\"",
                                        "\"\"",
                                        "7",
                                        "null",
                                        "[\"debug\"]",
                                        "\"DEBUG\"",
                                        "\"radio=debug\"",
                                        "\"info, debug\"",
                                        "\"default, debug\""};
    struct bench b;
    char request[64];

    begin(&b);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(request, sizeof request, "{\"command\":\"log\",\"level\":%s}", wrong[i]);
        CU_ASSERT_TRUE(is_refused(&b, request));
    }
    CU_ASSERT_TRUE(log_enabled(LOG_LEVEL_INFO));
    CU_ASSERT_FALSE(log_enabled(LOG_LEVEL_DEBUG));
    cJSON_Delete(ask(&b, "{\"command\":\"log\",\"level\":\"error\"}"));
    CU_ASSERT_FALSE(log_enabled(LOG_LEVEL_WARNING));
    cJSON_Delete(ask(&b, "{\"command\":\"log\",\"level\":\"info\"}"));
    finish(&b);
}

static int
count_sessions(struct bench *b, const char *request)
{
    cJSON *answer = ask(b, request);
    int count = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(answer, "sessions"));

    cJSON_Delete(answer);
    return count;
}

static void
sessions_are_chosen_by_state_and_pattern(void)
{
    struct bench b;

    begin(&b);
    CU_ASSERT_EQUAL(count_sessions(&b, "{\"command\":\"sessions\"}"), 1);
    CU_ASSERT_EQUAL(count_sessions(&b, "{\"command\":\"sessions\",\"state\":\"active\"}"), 1);
    CU_ASSERT_EQUAL(count_sessions(&b, "{\"command\":\"sessions\",\"state\":\"asleep\"}"), 0);
    CU_ASSERT_EQUAL(count_sessions(&b, "{\"command\":\"sessions\",\"filter\":\"a?*\"}"), 1);
    CU_ASSERT_EQUAL(count_sessions(&b, "{\"command\":\"sessions\",\"filter\":\"a?\"}"), 0);
    CU_ASSERT_EQUAL(count_sessions(&b, "{\"command\":\"sessions\",\"filter\":\"\"}"), 0);
    CU_ASSERT_TRUE(is_refused(&b, "{\"command\":\"sessions\",\"state\":\"tired\"}"));
    CU_ASSERT_TRUE(is_refused(&b, "{\"command\":\"sessions\",\"state\":null}"));
    CU_ASSERT_TRUE(is_refused(&b, "{\"command\":\"sessions\",\"filter\":7}"));
    CU_ASSERT_EQUAL(count_sessions(&b, "{\"command\":\"sessions\",\"part\":\"Aa\"}"), 1);
    CU_ASSERT_EQUAL(count_sessions(&b, "{\"command\":\"sessions\",\"part\":\"AAAA\"}"), 0);
    CU_ASSERT_TRUE(is_refused(&b, "{\"command\":\"sessions\",\"part\":null}"));
    finish(&b);
}

static void
sessions_are_counted_before_offset_and_limit(void)
{
    static const char *const wrong[] = {"-1", "1.5", "100001", "1e400", "\"1\"", "null"};
    struct bench b;
    char request[64];

    begin(&b);
    CU_ASSERT_EQUAL(count_sessions(&b, "{\"command\":\"sessions\",\"limit\":1}"), 1);
    CU_ASSERT_EQUAL(count_sessions(&b, "{\"command\":\"sessions\",\"limit\":0}"), 0);
    cJSON *answer = ask(&b, "{\"command\":\"sessions\",\"offset\":1}");
    CU_ASSERT_EQUAL(cJSON_GetNumberValue(cJSON_GetObjectItem(answer, "total")), 1);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(cJSON_GetObjectItem(answer, "sessions")), 0);
    cJSON_Delete(answer);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(request, sizeof request, "{\"command\":\"sessions\",\"limit\":%s}", wrong[i]);
        CU_ASSERT_TRUE(is_refused(&b, request));
        snprintf(request, sizeof request, "{\"command\":\"sessions\",\"offset\":%s}", wrong[i]);
        CU_ASSERT_TRUE(is_refused(&b, request));
    }
    finish(&b);
}

struct traced {
    char text[512];
    size_t len;
};

static void
take_packet(void *ctx, const struct runner_traced *packet)
{
    struct traced *traced = ctx;

    traced->len += (size_t)snprintf(
        traced->text + traced->len, sizeof traced->text - traced->len, "%s %c %s%s\n",
        packet->to_device ? "to" : "from", (char)packet->address->octets[0],
        mqttsn_type_name(packet->packet->type), packet->held ? " held" : "");
}

static void
trace_of_the_runner_tells_both_directions_and_stops(void)
{
    struct bench b;
    struct traced traced = {.len = 0};
    struct mqttsn_packet ping = {.type = MQTTSN_PINGREQ};

    begin(&b);
    runner_set_trace(b.runner, take_packet, &traced);
    receive(&b, 'A', &ping);
    receive(&b, 'A', &(struct mqttsn_packet){.type = MQTTSN_DISCONNECT});
    CU_ASSERT_STRING_EQUAL(traced.text, "from A PINGREQ\nto A PINGRESP\n"
                                        "from A DISCONNECT\nto A DISCONNECT held\n");
    runner_set_trace(b.runner, NULL, NULL);
    receive(&b, 'A', &ping);
    CU_ASSERT_PTR_NULL(strstr(traced.text, "held\nfrom"));
    finish(&b);
}

static const struct unit_test tests[] = {
    UNIT_TEST(client_id_of_a_wrong_type_is_refused),
    UNIT_TEST(unknown_and_huge_client_ids_are_refused),
    UNIT_TEST(requests_that_are_no_object_with_a_command_are_refused),
    UNIT_TEST(log_level_changes_only_to_one_that_exists),
    UNIT_TEST(sessions_are_chosen_by_state_and_pattern),
    UNIT_TEST(sessions_are_counted_before_offset_and_limit),
    UNIT_TEST(trace_of_the_runner_tells_both_directions_and_stops),
};

UNIT_MAIN("control", tests)
