/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device side of MQTT-SN without I/O and without a clock: one request open at a time, with
 * retransmission (T_retry, N_retry), the sleep cycle, and answers to whatever the gateway sends.
 * Used by dormouse pub and sub, by tests and benchmarks, and by device firmware. No allocation.
 *
 * States, and event -> new state:
 *   DISCONNECTED  client_connect -> CONNECTING
 *   CONNECTING    CONNACK accepted -> ACTIVE
 *                 CONNACK refused, or silence after all repetitions -> DISCONNECTED
 *                 WILLTOPICREQ, WILLMSGREQ -> CONNECTING: answered (R16)
 *   ACTIVE        client_sleep and its answer -> ASLEEP
 *                 client_disconnect and its answer -> DISCONNECTED
 *                 DISCONNECT of the gateway, or silence -> DISCONNECTED
 *   ASLEEP        client_wake -> AWAKE
 *                 client_connect -> CONNECTING
 *                 client_sleep and its answer -> ASLEEP
 *                 client_disconnect and its answer, or silence -> DISCONNECTED
 *   AWAKE         PINGRESP, or silence -> ASLEEP
 *                 DISCONNECT of the gateway -> DISCONNECTED
 *
 * What comes while ASLEEP without a request is ignored, DISCONNECT too: the radio is off, and a
 * gateway that has something to say waits for the next contact (R85). So the second answer to a
 * repeated sleep request does not end the session.
 */
#ifndef DORMOUSE_CLIENT_H
#define DORMOUSE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/mqttsn.h>

#define CLIENT_TOPICS_MAX 64 /* registrations remembered; the oldest is forgotten beyond */
/* Octets of a name that is remembered; of a longer one only the id is. */
#define CLIENT_TOPIC_NAME_MAX 255
#define CLIENT_DATAGRAM_MAX 2048     /* octets of the largest message sent */
#define CLIENT_WILL_TOPIC_MAX 255    /* octets */
#define CLIENT_WILL_MESSAGE_MAX 1024 /* octets */

enum client_state {
    CLIENT_DISCONNECTED,
    CLIENT_CONNECTING,
    CLIENT_ACTIVE,
    CLIENT_ASLEEP,
    CLIENT_AWAKE,
};

enum client_event_type {
    CLIENT_EVENT_DONE,         /* the open request was accepted; for client_wake: PINGRESP came */
    CLIENT_EVENT_REFUSED,      /* return_code tells why; a refused CONNECT leaves DISCONNECTED. Also
                                * for a QoS 0 PUBLISH, which is no open request: topic_id tells which */
    CLIENT_EVENT_TIMEOUT,      /* no answer after all repetitions */
    CLIENT_EVENT_MESSAGE,      /* an application message */
    CLIENT_EVENT_DISCONNECTED, /* the gateway sent DISCONNECT that was not asked for; an open
                                * request has ended, too */
    CLIENT_EVENT_GATEWAY, /* GWINFO or ADVERTISE came: a gateway is in reach. In every state but
                           * ASLEEP, asked or not */
};

struct client_event {
    enum client_event_type type;
    enum mqttsn_type request; /* what DONE, REFUSED and TIMEOUT are about */
    enum mqttsn_return_code return_code;
    uint16_t topic_id;                 /* REGISTER, SUBSCRIBE done: the id; MESSAGE: the id */
    enum mqttsn_topic_type topic_type; /* MESSAGE */
    int8_t qos;                        /* MESSAGE; SUBSCRIBE done: granted */
    bool retain, dup;                  /* MESSAGE */
    struct dm_span topic_name;         /* MESSAGE: empty if only the id is known */
    uint8_t gateway_id;                /* GATEWAY */
    uint16_t duration_s;               /* GATEWAY: until its next ADVERTISE; 0: not told */
    struct dm_span data;               /* MESSAGE. GATEWAY: its address as another client tells it,
                                        * empty if the gateway itself speaks (R11) */
    /* All spans are borrowed during the call. */
};

/* What the gateway publishes when it loses the client. */
struct client_will {
    struct dm_span topic;   /* a name, at most CLIENT_WILL_TOPIC_MAX; empty: no will */
    struct dm_span message; /* at most CLIENT_WILL_MESSAGE_MAX; may be empty */
    int8_t qos;             /* 0..2 */
    bool retain;
};

struct client_options {
    struct dm_span client_id; /* 1..252 octets; copied */
    struct client_will will;  /* announced by every client_connect; copied */
    bool clean_session;
    uint16_t keepalive_s; /* 0: never pings by itself */
    uint32_t retry_ms;    /* T_retry; 0 = 10,000 */
    unsigned retry_count; /* N_retry; 0 = 3 */
    void *ctx;
    /* Sends one datagram; loss is repaired by repetition. Never NULL. Must not call client_. */
    void (*send)(void *ctx, const uint8_t *datagram, size_t len);
    void (*on_event)(void *ctx, const struct client_event *event); /* may call client_ functions */
    /* For tracing: every packet, sent or received; NULL = none. */
    void (*on_packet)(void *ctx, bool sent, const struct mqttsn_packet *packet);
};

struct client_topic {
    uint16_t id;
    uint8_t len; /* 0: the name was too long to remember */
    uint8_t name[CLIENT_TOPIC_NAME_MAX];
};

/* Caller's storage, not to be moved or copied; fields are private. */
struct client {
    struct client_options options;
    uint8_t client_id[MQTTSN_CLIENT_ID_MAX];
    enum client_state state;
    uint16_t last_msg_id;
    uint64_t last_sent_ms;
    /* The open request: its strings are copies in request_text. */
    bool request_open;
    bool request_is_keepalive; /* sent by the client itself; gives way to any other */
    struct mqttsn_packet request;
    uint8_t request_text[CLIENT_DATAGRAM_MAX];
    unsigned retries_left;
    uint64_t retry_at_ms;
    enum mqttsn_type handshake; /* the furthest message of this CONNECT: it, WILLTOPIC or WILLMSG */
    uint8_t will_topic[CLIENT_WILL_TOPIC_MAX]; /* what options.will points to */
    uint8_t will_message[CLIENT_WILL_MESSAGE_MAX];
    uint8_t datagram[CLIENT_DATAGRAM_MAX]; /* the message being sent */
    /* QoS 2 from the gateway: delivered, PUBREL not yet seen. */
    bool received_open;
    uint16_t received_msg_id;
    struct client_topic topics[CLIENT_TOPICS_MAX]; /* oldest first */
    size_t topic_count;
};

/* Copies options with client id and will. DM_INVALID: client id empty or too long, will too long or
 * with another QoS, send or on_event NULL. */
enum dm_result client_init(struct client *client, const struct client_options *options);

enum client_state client_state(const struct client *client);

/* Requests. DM_OK: sent, an event tells the outcome. DM_FULL: one is open, or too long for the
 * buffer. DM_INVALID: not possible in this state, or an argument is wrong. */
enum dm_result client_connect(struct client *client, uint64_t now_ms);
enum dm_result client_register(struct client *client, uint64_t now_ms, struct dm_span name);
/* `filter` counts for type NORMAL, `id` for the others; the id of a short name is its two octets.
 */
enum dm_result client_subscribe(struct client *client, uint64_t now_ms, enum mqttsn_topic_type type,
                                struct dm_span filter, uint16_t id, int8_t qos);
enum dm_result client_unsubscribe(struct client *client, uint64_t now_ms,
                                  enum mqttsn_topic_type type, struct dm_span filter, uint16_t id);
/* QoS -1 and 0 are done when sent: no event, and another request may be open. QoS -1 needs no
 * connection, and a pre-defined id or a short name. QoS 1 waits for PUBACK, QoS 2 for PUBCOMP. */
enum dm_result client_publish(struct client *client, uint64_t now_ms, enum mqttsn_topic_type type,
                              uint16_t id, int8_t qos, bool retain, struct dm_span data);
/* duration_s >= 1. */
enum dm_result client_sleep(struct client *client, uint64_t now_ms, uint16_t duration_s);
/* PINGREQ with client id from ASLEEP; messages follow as events, then DONE of PINGREQ. */
enum dm_result client_wake(struct client *client, uint64_t now_ms);
enum dm_result client_disconnect(struct client *client, uint64_t now_ms);
/* WILLTOPICUPD; an empty topic deletes topic and message (R37). What the gateway has accepted is
 * the will of the next client_connect, too. DM_FULL also: longer than a will may be. */
enum dm_result client_will_topic_update(struct client *client, uint64_t now_ms,
                                        struct dm_span topic, int8_t qos, bool retain);
/* WILLMSGUPD; may come before there is a topic (R38). Otherwise the same. */
enum dm_result client_will_message_update(struct client *client, uint64_t now_ms,
                                          struct dm_span message);
/* SEARCHGW, from DISCONNECTED. Done when sent: CLIENT_EVENT_GATEWAY tells who answers, and to ask
 * again is the caller's business. `radius` 0: the whole network. */
enum dm_result client_search(struct client *client, uint64_t now_ms, uint8_t radius);

/* The id that the gateway gave this name, 0 if none is known. */
uint16_t client_topic_id(const struct client *client, struct dm_span name);

/* Input: one datagram from the gateway; bad ones are ignored. */
void client_datagram(struct client *client, uint64_t now_ms, const uint8_t *data, size_t len);
/* Repeats and times out what is due, and sends the keep-alive PINGREQ. */
void client_time(struct client *client, uint64_t now_ms);
/* When client_time wants to be called next; UINT64_MAX = never. */
uint64_t client_next_deadline(const struct client *client);

#endif
