/* SPDX-License-Identifier: Apache-2.0 */
/* A device-side client on virtual time; what it sends and reports is kept, and taken by the test.
 */
#ifndef DORMOUSE_TESTS_CLIENT_BENCH_H
#define DORMOUSE_TESTS_CLIENT_BENCH_H

#include <dormouse/client.h>

#define RETRY_MS 10000u
#define RETRY_COUNT 3u
#define LOG_MAX 16
#define START_MS 1000000u

struct sent_datagram {
    size_t len;
    uint8_t octets[600];
};

struct seen_event {
    struct client_event event; /* spans point into the copies */
    uint8_t name[300];
    uint8_t data[64];
};

/* One client with what it sent and reported, each taken from the front by the test. */
struct bench {
    struct client client;
    uint64_t now_ms;
    struct sent_datagram sent[LOG_MAX];
    size_t sent_count, sent_taken;
    struct seen_event events[LOG_MAX];
    size_t event_count, event_taken;
    size_t packets_sent, packets_received;
    bool reconnects; /* the application connects again from the event */
};

extern struct bench bench;

/* Client "dev1", everything else at its default. */
struct client_options default_options(void);
void bench_open(const struct client_options *options);
/* Brings a fresh client without a will into a state; MsgIds then start at 1. */
void open_in_state(const struct client_options *options, enum client_state state);
void open_active(void);

/* A datagram of the gateway. */
void give(const uint8_t *octets, size_t len);
void pass_time(uint64_t ms);

/* The next datagram sent is this one. */
void expect_sent(const uint8_t *octets, size_t len);
/* The next event is this one; it is valid until the next event comes. */
const struct client_event *expect_event(enum client_event_type type, enum mqttsn_type request);
void expect_message(const char *name, uint16_t id, int8_t qos, const char *data);
/* Nothing more was sent or reported. */
void expect_quiet(void);
void expect_state(enum client_state state);
/* What was sent and reported so far is no matter. */
void forget_log(void);

#endif
