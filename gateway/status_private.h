/* SPDX-License-Identifier: Apache-2.0 */
/* The status topics' own struct. Nothing outside status_*.c includes it. */
#ifndef DORMOUSE_STATUS_PRIVATE_H
#define DORMOUSE_STATUS_PRIVATE_H

#include "status_topics.h"

enum { SWEEP_MS = 30000 }; /* the broker has told what it keeps, whatever came */

/*
 * What the broker keeps below BASE/clients is asked for once: SUBSCRIBE, and behind it a message to
 * BASE/clients is published that is not kept, whose copy comes back behind all that is.
 * NONE -> SUBSCRIBE -> ASKED -> the copy, refusal or silence -> UNSUBSCRIBE, LEAVING -> UNSUBACK,
 * NONE
 */
enum sweep { SWEEP_NONE, SWEEP_ASKED, SWEEP_LEAVING };

struct status_topics {
    struct status_topics_options options;
    const struct control_source *source;
    struct upstream *upstream; /* of the connection */
    struct upstream_events inner;
    struct event *timer;
    bool connected; /* and what we publish is welcome */
    bool retains;   /* the broker does */
    bool leaving;   /* the connection ends because we want it */
    uint64_t connected_ms;
    unsigned ends;           /* of connections, soon after they began, in a row */
    uint64_t still_until_ms; /* 0: not at all */
    enum sweep sweep;
    size_t broker; /* of the last connection */
    bool swept; /* to the end, and nothing was left over since */
    uint64_t sweep_ms;
    bool cleared;        /* on this connection; perhaps it was lost with it */
    bool owes_status;    /* BASE/status was not taken */
    bool owes_gateway;   /* nor the discovery of the gateway */
    uint64_t started_ms; /* of the gateway, since 1970; 0: not known yet */
    char *gateway;       /* what BASE/gateway says; NULL: nothing */
    uint64_t gateway_ms;
    uint32_t gateway_state; /* of links and disk, as it says */
};

uint64_t status_now_ms(const struct status_topics *t);
void status_arm(struct status_topics *t, uint64_t delay_ms);
enum dm_result status_send(struct status_topics *t, const struct mqtt_packet *packet);
/* Takes both texts over; a payload of NULL clears the topic. False: try again later. */
bool status_publish(struct status_topics *t, char *topic, char *payload);
/* BASE and `name`, for free(); NULL: no memory. */
char *status_own_topic(const struct status_topics *t, const char *name);
bool status_has_discovery(const struct status_topics *t);
/* Tells Home Assistant of the client, or of the gateway if the id is empty; `gone`: that it is not
 * there any more. False: try again later. */
bool status_publish_discovery(struct status_topics *t, struct dm_span client_id, bool gone);

void sweep_start(struct status_topics *t);
void sweep_end(struct status_topics *t);
/* Whether the packet is about these topics and for nobody else. */
bool sweep_takes(struct status_topics *t, const struct mqtt_packet *packet);

#endif
