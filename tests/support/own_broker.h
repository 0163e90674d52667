/* SPDX-License-Identifier: Apache-2.0 */
/* A broker for many connections on the test's own event loop: it notes who connects and answers as
 * it is told. */
#ifndef DORMOUSE_TEST_OWN_BROKER_H
#define DORMOUSE_TEST_OWN_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

enum { BROKER_SEEN_MAX = 64 };

/* What it makes of a CONNECT. */
enum broker_mood {
    BROKER_ACCEPTS,
    BROKER_REFUSES, /* with `reason` */
    BROKER_WAITS,   /* until broker_answer */
    BROKER_CUTS,    /* accepts, and closes */
};

struct broker_seen {
    char client_id[32], username[32], password[32], will_topic[32], will_payload[32];
    uint8_t level; /* 4: MQTT 3.1.1 */
    bool clean;
    uint8_t will_flags; /* QoS and retain as in the octet of the CONNECT */
    uint32_t expiry_s;
    uint16_t receive_maximum;
};

struct broker_peer;

struct broker {
    struct event_base *base;
    struct evconnlistener *listener;
    uint16_t port; /* 0: a free one */
    enum broker_mood mood;
    uint8_t reason;
    struct broker_peer *peers;
    struct broker_seen seen[BROKER_SEEN_MAX]; /* the first CONNECTs */
    size_t connects, waiting, open;           /* open: answered and there */
    size_t goodbyes;                          /* DISCONNECTs */
    size_t lost;                              /* connections that ended without */
    size_t publishes;
};

void broker_start(struct broker *broker, struct event_base *base);
/* Nobody can connect any more; connections stay. */
void broker_close_door(struct broker *broker);
void broker_stop(struct broker *broker);
/* Answers all that wait. */
void broker_answer(struct broker *broker);
/* Octets in hexadecimal to the client's connection; then closes it. */
void broker_send(struct broker *broker, const char *client_id, const char *hex, bool then_close);

#endif
