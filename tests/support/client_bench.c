/* SPDX-License-Identifier: Apache-2.0 */
/* The bench behind the tests of the device-side client. */
#include "client_bench.h"

#include "mqttsn_examples.h"
#include "unit.h"

struct bench bench;

static void
on_send(void *ctx, const uint8_t *datagram, size_t len)
{
    struct bench *b = ctx;

    CU_ASSERT_TRUE_FATAL(b->sent_count < LOG_MAX && len <= sizeof b->sent[0].octets);
    b->sent[b->sent_count].len = len;
    memcpy(b->sent[b->sent_count++].octets, datagram, len);
}

static struct dm_span
keep(uint8_t *copy, size_t size, struct dm_span span)
{
    CU_ASSERT_TRUE_FATAL(span.len <= size);
    if (span.len > 0)
        memcpy(copy, span.data, span.len);
    return dm_span(copy, span.len);
}

static void
on_event(void *ctx, const struct client_event *event)
{
    struct bench *b = ctx;

    CU_ASSERT_TRUE_FATAL(b->event_count < LOG_MAX);
    struct seen_event *seen = &b->events[b->event_count++];
    seen->event = *event;
    seen->event.topic_name = keep(seen->name, sizeof seen->name, event->topic_name);
    seen->event.data = keep(seen->data, sizeof seen->data, event->data);
    if (b->reconnects && client_state(&b->client) == CLIENT_DISCONNECTED)
        CU_ASSERT_EQUAL(client_connect(&b->client, b->now_ms), DM_OK);
}

static void
on_packet(void *ctx, bool sent, const struct mqttsn_packet *packet)
{
    struct bench *b = ctx;

    CU_ASSERT_TRUE(packet->type < MQTTSN_TYPE_COUNT);
    if (sent)
        b->packets_sent++;
    else
        b->packets_received++;
}

struct client_options
default_options(void)
{
    return (struct client_options){.client_id = dm_span_text("dev1"),
                                   .ctx = &bench,
                                   .send = on_send,
                                   .on_event = on_event,
                                   .on_packet = on_packet};
}

void
bench_open(const struct client_options *options)
{
    memset(&bench, 0, sizeof bench);
    bench.now_ms = START_MS;
    CU_ASSERT_EQUAL_FATAL(client_init(&bench.client, options), DM_OK);
}

void
give(const uint8_t *octets, size_t len)
{
    client_datagram(&bench.client, bench.now_ms, octets, len);
}

void
expect_sent(const uint8_t *octets, size_t len)
{
    CU_ASSERT_TRUE_FATAL(bench.sent_taken < bench.sent_count);
    const struct sent_datagram *sent = &bench.sent[bench.sent_taken++];
    CU_ASSERT_EQUAL(sent->len, len);
    CU_ASSERT_TRUE(sent->len == len && memcmp(sent->octets, octets, len) == 0);
    if (bench.sent_taken == bench.sent_count)
        bench.sent_taken = bench.sent_count = 0;
}

const struct client_event *
expect_event(enum client_event_type type, enum mqttsn_type request)
{
    CU_ASSERT_TRUE_FATAL(bench.event_taken < bench.event_count);
    const struct client_event *event = &bench.events[bench.event_taken++].event;
    CU_ASSERT_EQUAL(event->type, type);
    if (type != CLIENT_EVENT_MESSAGE && type != CLIENT_EVENT_DISCONNECTED)
        CU_ASSERT_EQUAL(event->request, request);
    if (bench.event_taken == bench.event_count)
        bench.event_taken = bench.event_count = 0;
    return event;
}

void
expect_message(const char *name, uint16_t id, int8_t qos, const char *data)
{
    const struct client_event *event = expect_event(CLIENT_EVENT_MESSAGE, MQTTSN_PUBLISH);

    CU_ASSERT_TRUE(dm_span_equal(event->topic_name, dm_span_text(name)));
    CU_ASSERT_TRUE(dm_span_equal(event->data, dm_span_text(data)));
    CU_ASSERT_EQUAL(event->topic_id, id);
    CU_ASSERT_EQUAL(event->qos, qos);
}

void
expect_quiet(void)
{
    CU_ASSERT_EQUAL(bench.sent_taken, bench.sent_count);
    CU_ASSERT_EQUAL(bench.event_taken, bench.event_count);
}

void
expect_state(enum client_state state)
{
    CU_ASSERT_EQUAL(client_state(&bench.client), state);
}

void
pass_time(uint64_t ms)
{
    bench.now_ms += ms;
    client_time(&bench.client, bench.now_ms);
}

void
forget_log(void)
{
    bench.sent_taken = bench.sent_count = 0;
    bench.event_taken = bench.event_count = 0;
}

void
open_in_state(const struct client_options *options, enum client_state state)
{
    bench_open(options);
    if (state != CLIENT_DISCONNECTED)
        CU_ASSERT_EQUAL(client_connect(&bench.client, bench.now_ms), DM_OK);
    if (state != CLIENT_DISCONNECTED && state != CLIENT_CONNECTING)
        give(WIRE("\x03\x05\x00"));
    if (state == CLIENT_ASLEEP || state == CLIENT_AWAKE) {
        CU_ASSERT_EQUAL(client_sleep(&bench.client, bench.now_ms, 600), DM_OK);
        give(WIRE("\x02\x18"));
    }
    if (state == CLIENT_AWAKE)
        CU_ASSERT_EQUAL(client_wake(&bench.client, bench.now_ms), DM_OK);
    forget_log();
    CU_ASSERT_EQUAL_FATAL(client_state(&bench.client), state);
}

void
open_active(void)
{
    struct client_options options = default_options();

    open_in_state(&options, CLIENT_ACTIVE);
}
