/* SPDX-License-Identifier: Apache-2.0 */
/* The own connections of devices against a scripted broker on the same event loop. */
#include "own_pool.h"

#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "../support/own_broker.h"
#include "own_gate.h"
#include "unit.h"

enum { GUARD_S = 30, DEVICES_MAX = 300 };

struct world {
    struct event_base *base;
    struct event *guard;
    bool late;
    struct broker broker;
    char urls[2][64];
    const char *url_list[2];
    struct own_options options;
    const char *username; /* of "dev-2" and "dev-3"; others have none */
    struct own_pool *own;
    struct runner_own ops;

    size_t connected[DEVICES_MAX], gone[DEVICES_MAX], wiped[DEVICES_MAX];
    enum upstream_end why[DEVICES_MAX];
    size_t connected_count, packets;
    uint64_t close_at_packet; /* this connection */
};

/* The resolver stands outside of the program, so it is faked here: linking this file replaces the
 * library's. Every host is 127.0.0.1. */
static atomic_uint lookups; /* of names */

int
getaddrinfo(const char *restrict node, const char *restrict service,
            const struct addrinfo *restrict hints, struct addrinfo **restrict addresses)
{
    struct {
        struct addrinfo info;
        struct sockaddr_in address;
    } * entry;
    bool numeric = strcmp(node, "127.0.0.1") == 0;

    if ((hints->ai_flags & AI_NUMERICHOST) != 0 && !numeric)
        return EAI_NONAME;
    lookups += !numeric;
    entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        abort();
    entry->address.sin_family = AF_INET;
    entry->address.sin_port = htons((uint16_t)strtoul(service, NULL, 10));
    entry->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    entry->info.ai_family = AF_INET;
    entry->info.ai_addr = (struct sockaddr *)&entry->address;
    entry->info.ai_addrlen = sizeof entry->address;
    *addresses = &entry->info;
    return 0;
}

void
freeaddrinfo(struct addrinfo *addresses)
{
    free(addresses);
}

static void
credentials(void *ctx, struct dm_span client_id, const char **username, const char **password)
{
    struct world *w = ctx;

    if (!dm_span_equal(client_id, dm_span_text("dev-2")) &&
        !dm_span_equal(client_id, dm_span_text("dev-3")))
        return;
    *username = w->username;
    *password = "secret";
}

static void
note_connected(void *ctx, uint64_t connection, const struct upstream_session *session)
{
    struct world *w = ctx;

    CU_ASSERT_EQUAL(session->version,
                    w->options.upstream.version != 0 ? w->options.upstream.version : MQTT_5);
    w->connected[connection]++;
    w->connected_count++;
}

static void
note_disconnected(void *ctx, uint64_t connection, enum upstream_end why)
{
    struct world *w = ctx;

    w->gone[connection]++;
    w->why[connection] = why;
}

static void
note_packet(void *ctx, uint64_t connection, const struct mqtt_packet *packet)
{
    struct world *w = ctx;

    CU_ASSERT(packet->type == MQTT_PUBLISH || packet->type == MQTT_PUBACK);
    w->packets++;
    if (w->close_at_packet == connection) {
        w->ops.close(w->ops.ctx, connection, &(struct engine_close){.wipe = false});
        w->ops.open(w->ops.ctx, connection,
                    &(struct engine_open){.client_id = dm_span_text("again")});
    }
}

static void
note_wiped(void *ctx, uint64_t connection)
{
    ((struct world *)ctx)->wiped[connection]++;
}

static void
on_guard(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    ((struct world *)ctx)->late = true;
}

static void
begin(struct world *w)
{
    struct timeval guard = {.tv_sec = GUARD_S};

    signal(SIGPIPE, SIG_IGN);
    *w = (struct world){.username = "pump"};
    w->base = event_base_new();
    w->guard = evtimer_new(w->base, on_guard, w);
    evtimer_add(w->guard, &guard);
    broker_start(&w->broker, w->base);
    snprintf(w->urls[0], sizeof w->urls[0], "mqtt://127.0.0.1:%u", w->broker.port);
    w->url_list[0] = w->urls[0];
    w->options = (struct own_options){
        .upstream = {.urls = w->url_list, .url_count = 1, .keepalive_s = 60, .username = "gateway"},
        .maximum = DEVICES_MAX,
        .ctx = w,
        .credentials = credentials,
    };
}

static void
make(struct world *w)
{
    struct runner_own_events events = {w, note_connected, note_disconnected, note_packet,
                                       note_wiped};

    w->own = own_pool_new(w->base, &w->options, &events);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->own);
    w->ops = own_pool_for_runner(w->own);
}

static void
end(struct world *w)
{
    own_pool_free(w->own);
    broker_stop(&w->broker);
    event_free(w->guard);
    event_base_free(w->base);
}

#define RUN_UNTIL(w, condition)                                                                    \
    do {                                                                                           \
        while (!(condition) && !(w)->late)                                                         \
            event_base_loop((w)->base, EVLOOP_ONCE);                                               \
        CU_ASSERT_FALSE_FATAL((w)->late);                                                          \
    } while (0)

/* All that can happen now, without waiting for a timer. */
static void
settle(struct world *w)
{
    for (unsigned i = 0; i < 50; i++)
        event_base_loop(w->base, EVLOOP_NONBLOCK);
}

static void
open_device(struct world *w, uint64_t number)
{
    char client_id[32];

    snprintf(client_id, sizeof client_id, "dev-%u", (unsigned)number);
    w->ops.open(w->ops.ctx, number, &(struct engine_open){.client_id = dm_span_text(client_id)});
}

static size_t
in_state(const struct world *w, enum own_state state)
{
    struct own_status status;

    own_pool_status(w->own, &status);
    return status.connections[state];
}

static void
device_connects_with_its_own_name_credentials_and_will(void)
{
    struct world w;
    const struct broker_seen *seen = w.broker.seen;

    begin(&w);
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected[1] == 1);
    CU_ASSERT_STRING_EQUAL(seen[0].client_id, "dev-1");
    CU_ASSERT_STRING_EQUAL(seen[0].username, "");
    CU_ASSERT_EQUAL(seen[0].expiry_s, UINT32_MAX); /* the session stays */
    CU_ASSERT_EQUAL(seen[0].receive_maximum, 16);
    CU_ASSERT_FALSE(seen[0].clean);
    w.ops.open(w.ops.ctx, 2,
               &(struct engine_open){.client_id = dm_span_text("dev-2"),
                                     .will_topic = dm_span_text("gone"),
                                     .will_payload = dm_span_text("dev-2 is"),
                                     .will_qos = 2,
                                     .will_retain = true});
    RUN_UNTIL(&w, w.connected[2] == 1);
    CU_ASSERT_STRING_EQUAL(seen[1].client_id, "dev-2");
    CU_ASSERT_STRING_EQUAL(seen[1].username, "pump");
    CU_ASSERT_STRING_EQUAL(seen[1].password, "secret");
    CU_ASSERT_STRING_EQUAL(seen[1].will_topic, "gone");
    CU_ASSERT_STRING_EQUAL(seen[1].will_payload, "dev-2 is");
    CU_ASSERT_EQUAL(seen[1].will_flags, 2 << 3 | 0x20);
    CU_ASSERT_EQUAL(
        w.ops.send(w.ops.ctx, 2,
                   &(struct mqtt_packet){.type = MQTT_PUBLISH, .topic = dm_span_text("a")}),
        DM_OK);
    CU_ASSERT_EQUAL(w.ops.send(w.ops.ctx, 3, &(struct mqtt_packet){.type = MQTT_PUBLISH}), DM_IO);
    RUN_UNTIL(&w, w.broker.publishes == 1);
    end(&w);
}

static void
attempts_grow_with_the_answers_of_the_broker(void)
{
    struct world w;
    size_t answered = 0;

    begin(&w);
    w.broker.mood = BROKER_WAITS;
    make(&w);
    for (uint64_t i = 0; i < 200; i++)
        open_device(&w, i + 1);
    while (answered < 200) { /* each answer doubles the limit */
        size_t expected = answered < 5 ? (size_t)1 << answered : OWN_GATE_MAX;

        if (expected > 200 - answered)
            expected = 200 - answered;
        RUN_UNTIL(&w, w.broker.waiting == expected);
        settle(&w);
        CU_ASSERT_EQUAL(w.broker.waiting, expected); /* no more of them */
        CU_ASSERT_EQUAL(in_state(&w, OWN_CONNECTING), expected);
        CU_ASSERT_EQUAL(in_state(&w, OWN_WAITING), 200 - answered - expected);
        answered += expected;
        broker_answer(&w.broker);
    }
    RUN_UNTIL(&w, w.connected_count == 200);
    CU_ASSERT_EQUAL(w.broker.connects, 200);
    end(&w);
}

static void
broker_that_is_away_is_asked_by_one_and_all_are_told(void)
{
    struct world w;
    struct own_status status;
    struct own_connection_status one;

    begin(&w);
    broker_close_door(&w.broker);
    make(&w);
    for (uint64_t i = 1; i <= 20; i++)
        open_device(&w, i);
    for (uint64_t i = 1; i <= 20; i++) {
        RUN_UNTIL(&w, w.gone[i] > 0);
        CU_ASSERT_EQUAL(w.why[i], UPSTREAM_LOST);
    }
    open_device(&w, 21); /* it need not try */
    RUN_UNTIL(&w, w.gone[21] == 1);
    own_pool_status(w.own, &status);
    CU_ASSERT_EQUAL(status.failures, 1);
    CU_ASSERT_EQUAL(status.connections[OWN_WAITING], 21);
    CU_ASSERT_PTR_NOT_NULL(strstr(status.error, "refused"));
    CU_ASSERT_EQUAL(own_pool_connection_status(w.own, 1, &one), DM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(one.error, "refused"));
    broker_start(&w.broker, w.base);
    own_pool_broker_back(w.own, 0);
    RUN_UNTIL(&w, w.connected_count == 21);
    own_pool_status(w.own, &status);
    CU_ASSERT_STRING_EQUAL(status.error, "");
    end(&w);
}

static void
broker_that_comes_back_by_itself_is_found(void)
{
    struct world w;

    begin(&w);
    broker_close_door(&w.broker);
    make(&w);
    open_device(&w, 1);
    open_device(&w, 2);
    RUN_UNTIL(&w, w.gone[1] > 0);
    broker_start(&w.broker, w.base);
    RUN_UNTIL(&w, w.connected_count == 2);
    end(&w);
}

static void
next_broker_takes_all_when_the_first_is_away(void)
{
    struct world w;

    begin(&w);
    snprintf(w.urls[1], sizeof w.urls[1], "mqtt+unix:///nowhere/at/all");
    w.url_list[0] = w.urls[1];
    w.url_list[1] = w.urls[0];
    w.options.upstream.url_count = 2;
    make(&w);
    for (uint64_t i = 1; i <= 50; i++)
        open_device(&w, i);
    RUN_UNTIL(&w, w.connected_count == 50);
    struct own_status status;
    own_pool_status(w.own, &status);
    CU_ASSERT_EQUAL(status.failures, 1);
    end(&w);
}

static void
those_that_connect_together_look_the_name_up_once(void)
{
    struct world w;

    begin(&w);
    snprintf(w.urls[0], sizeof w.urls[0], "mqtt://broker.example:%u", w.broker.port);
    make(&w);
    lookups = 0;
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected_count == 1);
    CU_ASSERT_EQUAL(lookups, 1);
    open_device(&w, 2); /* two may by now */
    open_device(&w, 3);
    RUN_UNTIL(&w, w.connected_count == 3);
    CU_ASSERT_EQUAL(lookups, 2);
    open_device(&w, 4);
    open_device(&w, 5);
    RUN_UNTIL(&w, in_state(&w, OWN_CONNECTING) == 2);
    w.ops.close(w.ops.ctx, 4, &(struct engine_close){.wipe = false}); /* while it is looked up */
    RUN_UNTIL(&w, w.connected_count == 4);
    end(&w);
}

static void
refusal_ends_the_attempts_until_the_device_comes_again(void)
{
    static const uint8_t reasons[] = {0x85, 0x86, 0x87};
    struct world w;

    for (size_t i = 0; i < sizeof reasons; i++) {
        begin(&w);
        w.broker.mood = BROKER_REFUSES;
        w.broker.reason = reasons[i];
        make(&w);
        open_device(&w, 1);
        RUN_UNTIL(&w, w.gone[1] == 1);
        CU_ASSERT_EQUAL(w.why[1], UPSTREAM_REFUSED);
        CU_ASSERT_EQUAL(in_state(&w, OWN_REFUSED), 1);
        CU_ASSERT_EQUAL(w.broker.connects, 1);
        w.broker.mood = BROKER_ACCEPTS;
        open_device(&w, 2); /* others are not concerned */
        RUN_UNTIL(&w, w.connected[2] == 1);
        CU_ASSERT_EQUAL(w.connected[1], 0);
        open_device(&w, 1);
        RUN_UNTIL(&w, w.connected[1] == 1);
        end(&w);
    }
}

static void
refusal_that_may_pass_is_tried_again(void)
{
    struct world w;

    begin(&w);
    w.broker.mood = BROKER_REFUSES;
    w.broker.reason = 0x97; /* quota exceeded */
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.gone[1] == 1);
    CU_ASSERT_EQUAL(w.why[1], UPSTREAM_LOST);
    w.broker.mood = BROKER_ACCEPTS;
    RUN_UNTIL(&w, w.connected[1] == 1);
    end(&w);
}

static void
refusal_is_that_of_the_broker_which_was_asked(void)
{
    struct world w;
    struct own_connection_status one;

    begin(&w);
    w.url_list[1] = w.urls[0];
    w.options.upstream.url_count = 2;
    w.broker.mood = BROKER_REFUSES;
    w.broker.reason = 0x97;
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.gone[1] == 1);
    CU_ASSERT_EQUAL(own_pool_connection_status(w.own, 1, &one), DM_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(one.error, "quota"));
    end(&w);
}

static void
take_over_ends_the_connection_until_the_device_comes_again(void)
{
    struct world w;

    begin(&w);
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected[1] == 1);
    broker_send(&w.broker, "dev-1", "e0 01 8e", true);
    RUN_UNTIL(&w, w.gone[1] == 1);
    CU_ASSERT_EQUAL(w.why[1], UPSTREAM_TAKEN_OVER);
    CU_ASSERT_EQUAL(in_state(&w, OWN_TAKEN_OVER), 1);
    settle(&w);
    CU_ASSERT_EQUAL(w.broker.connects, 1);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected[1] == 2);
    end(&w);
}

static void
cut_short(unsigned version)
{
    struct world w;

    begin(&w);
    w.broker.mood = BROKER_CUTS;
    w.options.upstream.version = version;
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.why[1] == UPSTREAM_TAKEN_OVER);
    CU_ASSERT_EQUAL(w.broker.connects, 3);
    CU_ASSERT_EQUAL(w.gone[1], 3);
    end(&w);
}

static void
broker_that_closes_without_a_word_three_times_has_taken_it_over(void)
{
    cut_short(MQTT_3_1_1);
    cut_short(MQTT_5); /* Mosquitto 2.0.11 */
}

static void
broker_that_closes_after_a_refused_message_has_not(void)
{
    struct world w;

    begin(&w);
    make(&w);
    open_device(&w, 1);
    for (size_t i = 1; i <= 3; i++) {
        RUN_UNTIL(&w, w.connected[1] == i);
        broker_send(&w.broker, "dev-1", "40 03 00 01 87", true); /* as Mosquitto 2.0.11 does */
        RUN_UNTIL(&w, w.gone[1] == i);
        CU_ASSERT_EQUAL(w.why[1], UPSTREAM_LOST);
    }
    end(&w);
}

static void
broker_that_restarts_three_times_has_not_either(void)
{
    struct world w;

    begin(&w);
    make(&w);
    open_device(&w, 1);
    for (size_t i = 1; i <= 4; i++) {
        RUN_UNTIL(&w, w.connected[1] == i);
        broker_send(&w.broker, "dev-1", "", true);
        RUN_UNTIL(&w, w.gone[1] == i);
        CU_ASSERT_EQUAL(w.why[1], UPSTREAM_LOST);
        own_pool_broker_back(w.own, 0); /* the shared connection was cut, too */
    }
    end(&w);
}

static void
close_says_goodbye_unless_the_device_is_lost(void)
{
    struct world w;

    begin(&w);
    make(&w);
    open_device(&w, 1);
    open_device(&w, 2);
    RUN_UNTIL(&w, w.connected_count == 2);
    w.ops.close(w.ops.ctx, 1, &(struct engine_close){.abrupt = true});
    RUN_UNTIL(&w, w.broker.open == 1);
    CU_ASSERT_EQUAL(w.broker.goodbyes, 0);
    CU_ASSERT_EQUAL(w.broker.lost, 1);
    w.ops.close(w.ops.ctx, 2, &(struct engine_close){.abrupt = false});
    w.ops.close(w.ops.ctx, 2, &(struct engine_close){.abrupt = false}); /* it is gone */
    RUN_UNTIL(&w, w.broker.open == 0);
    CU_ASSERT_EQUAL(w.broker.goodbyes, 1);
    CU_ASSERT_EQUAL(w.gone[1] + w.gone[2], 0);
    end(&w);
}

static void
goodbye_needs_no_answer_of_the_broker(void)
{
    struct engine_open open = {.client_id = dm_span_text("dev-1"), .will_topic = dm_span_text("w")};
    struct world w;

    begin(&w);
    w.broker.mood = BROKER_WAITS;
    make(&w);
    w.ops.open(w.ops.ctx, 1, &open);
    RUN_UNTIL(&w, w.broker.connects == 1);
    open.will_topic = dm_span_text("v");
    w.ops.open(w.ops.ctx, 1, &open);
    RUN_UNTIL(&w, w.broker.connects == 2);
    CU_ASSERT_EQUAL(w.broker.goodbyes, 1);
    w.ops.close(w.ops.ctx, 1, &(struct engine_close){.abrupt = false});
    RUN_UNTIL(&w, w.broker.goodbyes + w.broker.lost == 2);
    CU_ASSERT_EQUAL(w.broker.goodbyes, 2);
    end(&w);
}

static void
close_and_open_from_inside_a_packet(void)
{
    struct world w;

    begin(&w);
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected[1] == 1);
    w.close_at_packet = 1;
    /* Two at once: the second belongs to nobody any more. */
    broker_send(&w.broker, "dev-1", "30 04 00 01 61 00 30 04 00 01 61 00", false);
    RUN_UNTIL(&w, w.connected[1] == 2);
    CU_ASSERT_EQUAL(w.packets, 1);
    CU_ASSERT_EQUAL(w.broker.goodbyes, 1);
    CU_ASSERT_STRING_EQUAL(w.broker.seen[1].client_id, "again");
    end(&w);
}

static void
broker_may_have_more_messages_open_than_it_was_allowed(void)
{
    struct world w;
    char hex[3 * 9 * 20 + 1] = "";

    begin(&w);
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected[1] == 1);
    for (unsigned id = 1; id <= 20; id++) /* as Mosquitto 2.0.11 does; 16 were allowed */
        snprintf(hex + strlen(hex), sizeof hex - strlen(hex), "3a 06 00 01 61 00 %02x 00 ", id);
    broker_send(&w.broker, "dev-1", hex, false);
    RUN_UNTIL(&w, w.packets == 20);
    CU_ASSERT_EQUAL(w.gone[1], 0);
    end(&w);
}

static void
wipe_ends_the_session_at_the_broker(void)
{
    struct world w;
    struct own_status status;

    begin(&w);
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected[1] == 1);
    w.ops.close(w.ops.ctx, 1,
                &(struct engine_close){.client_id = dm_span_text("dev-1"), .wipe = true});
    own_pool_status(w.own, &status);
    CU_ASSERT_EQUAL(status.connections[OWN_CONNECTED], 0);
    RUN_UNTIL(&w, w.wiped[1] == 1);
    CU_ASSERT_EQUAL(w.broker.connects, 2);
    CU_ASSERT_STRING_EQUAL(w.broker.seen[1].client_id, "dev-1");
    CU_ASSERT_TRUE(w.broker.seen[1].clean);
    CU_ASSERT_EQUAL(w.broker.seen[1].expiry_s, 0);
    CU_ASSERT_STRING_EQUAL(w.broker.seen[1].will_topic, "");
    /* Of one that another process opened. */
    w.ops.close(w.ops.ctx, 5,
                &(struct engine_close){.client_id = dm_span_text("dev-2"), .wipe = true});
    RUN_UNTIL(&w, w.wiped[5] == 1);
    CU_ASSERT_STRING_EQUAL(w.broker.seen[2].username, "pump");
    RUN_UNTIL(&w, w.broker.open == 0);
    own_pool_status(w.own, &status);
    CU_ASSERT_EQUAL(status.wipes, 0);
    CU_ASSERT_EQUAL(w.broker.goodbyes, 3);
    CU_ASSERT_EQUAL(w.connected_count, 1); /* a wipe is no connection of the device */
    end(&w);
}

static void
wipe_waits_for_the_broker_and_gives_way_to_a_new_session(void)
{
    struct world w;
    struct own_status status;

    begin(&w);
    broker_close_door(&w.broker);
    make(&w);
    for (uint64_t i = 1; i <= 2; i++) {
        char client_id[8];

        snprintf(client_id, sizeof client_id, "dev-%u", (unsigned)i);
        w.ops.close(w.ops.ctx, i,
                    &(struct engine_close){.client_id = dm_span_text(client_id), .wipe = true});
    }
    settle(&w);
    own_pool_status(w.own, &status);
    CU_ASSERT_EQUAL(status.wipes, 2);
    w.ops.close(w.ops.ctx, 1, &(struct engine_close){.client_id = dm_span_text("dev-1")});
    w.ops.open(w.ops.ctx, 9,
               &(struct engine_open){.client_id = dm_span_text("dev-1"), .clean_start = true});
    broker_start(&w.broker, w.base);
    own_pool_broker_back(w.own, 0);
    RUN_UNTIL(&w, w.connected[9] == 1 && w.wiped[2] == 1);
    settle(&w);
    CU_ASSERT_EQUAL(w.wiped[1], 0);
    CU_ASSERT_EQUAL(w.broker.connects, 3); /* dev-1 clean and to stay, dev-2 clean */
    CU_ASSERT_EQUAL(w.broker.open, 1);
    CU_ASSERT_EQUAL(w.gone[1] + w.gone[2], 0);
    end(&w);
}

static void
wipe_that_is_refused_is_told_and_may_be_asked_for_again(void)
{
    struct world w;
    struct own_status status;
    struct engine_close wipe = {.client_id = dm_span_text("dev-2"), .wipe = true};

    begin(&w);
    w.broker.mood = BROKER_REFUSES;
    w.broker.reason = 0x86;
    make(&w);
    w.ops.close(w.ops.ctx, 2, &wipe);
    RUN_UNTIL(&w, w.gone[2] == 1);
    CU_ASSERT_EQUAL(w.why[2], UPSTREAM_REFUSED);
    own_pool_status(w.own, &status);
    CU_ASSERT_EQUAL(status.wipes, 1);
    w.broker.mood = BROKER_ACCEPTS;
    w.username = "other";
    own_pool_reconfigure(w.own, &w.options);
    w.ops.close(w.ops.ctx, 2, &wipe);
    w.ops.close(w.ops.ctx, 2, &wipe); /* once is enough */
    RUN_UNTIL(&w, w.wiped[2] == 1);
    CU_ASSERT_STRING_EQUAL(w.broker.seen[1].username, "other");
    CU_ASSERT_EQUAL(w.broker.connects, 2);
    end(&w);
}

static void
wipe_gives_way_to_a_new_session_of_the_same_turn(void)
{
    struct world w;
    struct own_status status;

    begin(&w);
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected[1] == 1);
    w.ops.close(w.ops.ctx, 1,
                &(struct engine_close){.client_id = dm_span_text("dev-1"), .wipe = true});
    own_pool_status(w.own, &status);
    CU_ASSERT_EQUAL(status.wipes, 1);
    w.ops.close(w.ops.ctx, 1, &(struct engine_close){.client_id = dm_span_text("dev-1")});
    w.ops.open(w.ops.ctx, 2,
               &(struct engine_open){.client_id = dm_span_text("dev-1"), .clean_start = true});
    RUN_UNTIL(&w, w.connected[2] == 1);
    settle(&w);
    CU_ASSERT_EQUAL(w.broker.connects, 3); /* the old session, clean, to stay */
    CU_ASSERT_EQUAL(w.wiped[1], 0);
    own_pool_status(w.own, &status);
    CU_ASSERT_EQUAL(status.wipes, 0);
    /* The end of the program between a CLOSE and the turn that carries it out. */
    w.ops.close(w.ops.ctx, 2,
                &(struct engine_close){.client_id = dm_span_text("dev-1"), .wipe = true});
    end(&w);
}

static void
clean_start_wipes_first_and_only_once(void)
{
    struct world w;

    begin(&w);
    make(&w);
    w.ops.open(w.ops.ctx, 1,
               &(struct engine_open){.client_id = dm_span_text("dev-1"), .clean_start = true});
    RUN_UNTIL(&w, w.connected[1] == 1);
    CU_ASSERT_EQUAL(w.broker.connects, 2);
    CU_ASSERT_TRUE(w.broker.seen[0].clean);
    CU_ASSERT_FALSE(w.broker.seen[1].clean);
    broker_send(&w.broker, "dev-1", "", true);
    RUN_UNTIL(&w, w.connected[1] == 2);
    CU_ASSERT_EQUAL(w.gone[1], 1);
    CU_ASSERT_FALSE(w.broker.seen[2].clean);
    end(&w);
}

static void
no_more_connections_than_the_maximum(void)
{
    struct world w;

    begin(&w);
    w.options.maximum = 2;
    make(&w);
    for (uint64_t i = 1; i <= 3; i++)
        open_device(&w, i);
    RUN_UNTIL(&w, w.gone[3] == 1);
    CU_ASSERT_EQUAL(w.why[3], UPSTREAM_LOST);
    RUN_UNTIL(&w, w.connected_count == 2);
    CU_ASSERT_EQUAL(in_state(&w, OWN_PARKED), 1);
    open_device(&w, 3); /* it asks again */
    RUN_UNTIL(&w, w.gone[3] == 2);
    w.ops.close(w.ops.ctx, 1, &(struct engine_close){.wipe = false});
    RUN_UNTIL(&w, w.connected[3] == 1);
    CU_ASSERT_EQUAL(in_state(&w, OWN_CONNECTED), 2);
    open_device(&w, 4);
    settle(&w);
    struct own_options more = w.options;
    more.maximum = 3;
    own_pool_reconfigure(w.own, &more);
    RUN_UNTIL(&w, w.connected[4] == 1);
    w.ops.close(w.ops.ctx, 7, &(struct engine_close){.wipe = false}); /* there is none */
    end(&w);
}

static void
device_that_is_refused_or_elsewhere_needs_no_place(void)
{
    struct world w;

    begin(&w);
    w.options.maximum = 1;
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected[1] == 1);
    open_device(&w, 2);
    RUN_UNTIL(&w, w.gone[2] == 1);
    CU_ASSERT_EQUAL(in_state(&w, OWN_PARKED), 1);
    broker_send(&w.broker, "dev-1", "e0 01 8e", true);
    RUN_UNTIL(&w, w.connected[2] == 1);
    CU_ASSERT_EQUAL(w.why[1], UPSTREAM_TAKEN_OVER);
    CU_ASSERT_EQUAL(in_state(&w, OWN_TAKEN_OVER), 1);
    open_device(&w, 1); /* it is back, and waits for a place as others do */
    RUN_UNTIL(&w, w.gone[1] == 2);
    CU_ASSERT_EQUAL(w.why[1], UPSTREAM_LOST);
    CU_ASSERT_EQUAL(in_state(&w, OWN_PARKED), 1);
    w.broker.mood = BROKER_REFUSES;
    w.broker.reason = 0x87;
    broker_send(&w.broker, "dev-2", "", true);
    RUN_UNTIL(&w, w.why[2] == UPSTREAM_REFUSED && w.why[1] == UPSTREAM_REFUSED);
    w.broker.mood = BROKER_ACCEPTS;
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected[1] == 2);
    w.ops.close(w.ops.ctx, 2, &(struct engine_close){.wipe = false}); /* it has no place */
    open_device(&w, 3);
    RUN_UNTIL(&w, w.gone[3] == 1);
    CU_ASSERT_EQUAL(in_state(&w, OWN_PARKED), 1);
    w.ops.close(w.ops.ctx, 1, &(struct engine_close){.wipe = false});
    RUN_UNTIL(&w, w.connected[3] == 1);
    end(&w);
}

static void
new_credentials_connect_anew_and_only_where_they_differ(void)
{
    struct world w;

    begin(&w);
    make(&w);
    for (uint64_t i = 1; i <= 2; i++)
        open_device(&w, i);
    RUN_UNTIL(&w, w.connected_count == 2);
    own_pool_reconfigure(w.own, &w.options);
    settle(&w);
    CU_ASSERT_EQUAL(w.broker.connects, 2);
    w.username = "other";
    own_pool_reconfigure(w.own, &w.options);
    RUN_UNTIL(&w, w.connected[2] == 2);
    CU_ASSERT_EQUAL(w.gone[2], 1);
    CU_ASSERT_EQUAL(w.gone[1], 0);
    CU_ASSERT_STRING_EQUAL(w.broker.seen[2].username, "other");
    CU_ASSERT_EQUAL(w.broker.goodbyes, 1);
    end(&w);
}

static void
reload_leaves_those_alone_that_were_refused_or_taken_over(void)
{
    struct world w;

    begin(&w);
    w.broker.mood = BROKER_REFUSES;
    w.broker.reason = 0x86;
    make(&w);
    open_device(&w, 2);
    RUN_UNTIL(&w, w.gone[2] == 1);
    w.broker.mood = BROKER_ACCEPTS;
    open_device(&w, 3);
    RUN_UNTIL(&w, w.connected[3] == 1);
    broker_send(&w.broker, "dev-3", "e0 01 8e", true);
    RUN_UNTIL(&w, w.gone[3] == 1);
    w.username = "other";
    own_pool_reconfigure(w.own, &w.options);
    settle(&w);
    open_device(&w, 4);
    RUN_UNTIL(&w, w.connected[4] == 1);
    CU_ASSERT_EQUAL(w.broker.connects, 3); /* another gateway may serve them */
    open_device(&w, 2);
    open_device(&w, 3);
    RUN_UNTIL(&w, w.connected[2] == 1 && w.connected[3] == 2);
    CU_ASSERT_STRING_EQUAL(w.broker.seen[3].username, "other");
    CU_ASSERT_STRING_EQUAL(w.broker.seen[4].username, "other");
    end(&w);
}

static void
new_will_takes_a_new_connection(void)
{
    struct world w;

    begin(&w);
    make(&w);
    open_device(&w, 1);
    RUN_UNTIL(&w, w.connected[1] == 1);
    w.ops.open(w.ops.ctx, 1,
               &(struct engine_open){.client_id = dm_span_text("dev-1"),
                                     .will_topic = dm_span_text("w"),
                                     .will_payload = dm_span_text("x")});
    RUN_UNTIL(&w, w.connected[1] == 2);
    CU_ASSERT_EQUAL(w.gone[1], 1);
    CU_ASSERT_EQUAL(w.broker.goodbyes, 1); /* the old one is not published */
    CU_ASSERT_STRING_EQUAL(w.broker.seen[1].will_topic, "w");
    end(&w);
}

static void
end_of_the_program_says_goodbye_on_all(void)
{
    struct world w;

    begin(&w);
    make(&w);
    for (uint64_t i = 1; i <= 40; i++)
        open_device(&w, i);
    RUN_UNTIL(&w, w.connected_count == 40);
    own_pool_free(w.own);
    w.own = NULL;
    RUN_UNTIL(&w, w.broker.open == 0);
    CU_ASSERT_EQUAL(w.broker.goodbyes, 40);
    end(&w);
}

static void
gate_closes_after_a_round_and_for_longer_each_time(void)
{
    struct own_gate gate;

    own_gate_init(&gate, 2);
    for (unsigned round = 1; round <= 4; round++) {
        CU_ASSERT_TRUE(own_gate_is_open(&gate));
        CU_ASSERT_EQUAL(own_gate_enter(&gate), 0);
        CU_ASSERT_FALSE(own_gate_is_open(&gate));
        CU_ASSERT_EQUAL(own_gate_leave(&gate, 0, false, 0), 0);
        CU_ASSERT_EQUAL(own_gate_enter(&gate), 1);
        CU_ASSERT_EQUAL(own_gate_leave(&gate, 1, false, 0), 400u << (round - 1));
        CU_ASSERT_FALSE(own_gate_is_open(&gate));
        own_gate_reopen(&gate);
    }
    CU_ASSERT_EQUAL(own_gate_enter(&gate), 0);
    CU_ASSERT_EQUAL(own_gate_leave(&gate, 0, true, 0), 0);
    CU_ASSERT_EQUAL(own_gate_enter(&gate), 0);
    CU_ASSERT_EQUAL(own_gate_enter(&gate), 0); /* two by now */
    CU_ASSERT_FALSE(own_gate_is_open(&gate));
    CU_ASSERT_EQUAL(own_gate_leave(&gate, 0, false, 0), 0);
    CU_ASSERT_EQUAL(own_gate_leave(&gate, 0, false, 0), 0); /* the same news */
    CU_ASSERT_EQUAL(gate.broker, 1);
    own_gate_found(&gate, 0);
    CU_ASSERT_EQUAL(gate.broker, 0);
}

static const struct unit_test tests[] = {
    UNIT_TEST(device_connects_with_its_own_name_credentials_and_will),
    UNIT_TEST(attempts_grow_with_the_answers_of_the_broker),
    UNIT_TEST(broker_that_is_away_is_asked_by_one_and_all_are_told),
    UNIT_TEST(broker_that_comes_back_by_itself_is_found),
    UNIT_TEST(next_broker_takes_all_when_the_first_is_away),
    UNIT_TEST(those_that_connect_together_look_the_name_up_once),
    UNIT_TEST(refusal_ends_the_attempts_until_the_device_comes_again),
    UNIT_TEST(refusal_that_may_pass_is_tried_again),
    UNIT_TEST(refusal_is_that_of_the_broker_which_was_asked),
    UNIT_TEST(take_over_ends_the_connection_until_the_device_comes_again),
    UNIT_TEST(broker_that_closes_without_a_word_three_times_has_taken_it_over),
    UNIT_TEST(broker_that_closes_after_a_refused_message_has_not),
    UNIT_TEST(broker_that_restarts_three_times_has_not_either),
    UNIT_TEST(close_says_goodbye_unless_the_device_is_lost),
    UNIT_TEST(goodbye_needs_no_answer_of_the_broker),
    UNIT_TEST(close_and_open_from_inside_a_packet),
    UNIT_TEST(broker_may_have_more_messages_open_than_it_was_allowed),
    UNIT_TEST(wipe_ends_the_session_at_the_broker),
    UNIT_TEST(wipe_waits_for_the_broker_and_gives_way_to_a_new_session),
    UNIT_TEST(wipe_that_is_refused_is_told_and_may_be_asked_for_again),
    UNIT_TEST(wipe_gives_way_to_a_new_session_of_the_same_turn),
    UNIT_TEST(clean_start_wipes_first_and_only_once),
    UNIT_TEST(no_more_connections_than_the_maximum),
    UNIT_TEST(device_that_is_refused_or_elsewhere_needs_no_place),
    UNIT_TEST(new_credentials_connect_anew_and_only_where_they_differ),
    UNIT_TEST(reload_leaves_those_alone_that_were_refused_or_taken_over),
    UNIT_TEST(new_will_takes_a_new_connection),
    UNIT_TEST(end_of_the_program_says_goodbye_on_all),
    UNIT_TEST(gate_closes_after_a_round_and_for_longer_each_time),
};

UNIT_MAIN("own connections", tests)
