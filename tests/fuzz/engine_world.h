/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's fuzz target: an engine between devices, a broker, a disk and a clock. After every
 * step the engine's promises are checked as far as they can be seen from outside.
 */
#ifndef DORMOUSE_TESTS_ENGINE_WORLD_H
#define DORMOUSE_TESTS_ENGINE_WORLD_H

#include "engine_inspect.h"
#include "engine_broker.h"
#include "engine_disk.h"

enum {
    WORLD_LINKS = 2,
    WORLD_ADDRESSES = 6, /* address n is on link n % WORLD_LINKS */
    WORLD_OWN = 8,       /* clients that have had an own connection, by client id */
};

/* The last message of its kind that the gateway sent to an address: what a device answers. */
struct world_asked {
    uint16_t msg_id, topic_id;
    enum mqttsn_topic_type topic_type;
};

struct world_peer {
    bool bound; /* to a session, before the step */
    enum engine_state state;
    bool listens; /* said something since it went to sleep: an answer is welcome */
    struct world_asked asked[MQTTSN_TYPE_COUNT];
};

/* The own connection of a client, and its session at the broker. */
struct world_own {
    char client_id[32];
    uint64_t connection; /* the latest that was asked for */
    bool wanted, clean_owed, wiping;
    bool lost; /* by ENGINE_OPEN of one that was up; the gateway has not heard of it */
    uint64_t wiping_connection;
    bool exists;      /* the session at the broker */
    uint64_t new_seq; /* journal number by which the gateway has heard that it is new; 0: it has */
    struct broker broker;
};

/* An effect that waits for the disk. */
struct world_held {
    uint64_t needs;
    enum engine_effect_type type; /* ENGINE_SEND, _UPSTREAM, _OPEN or _CLOSE */
    uint64_t connection;
    unsigned own; /* of which client */
    bool flag;    /* clean_start or wipe */
    uint8_t who;
    struct mqttsn_packet packet;  /* without its spans */
    struct mqtt_packet to_broker; /* its spans point into `octets` */
    uint8_t *octets;
};

struct world {
    struct engine_options options;
    /* Before each start: what clients may do and how topics are named; NULL: as it is. */
    void (*configure)(struct engine_options *options, uint8_t rights);
    uint8_t rights;
    struct engine_options live[2]; /* what a running engine was given instead, in turn */
    unsigned reloads;
    struct engine_link links[WORLD_LINKS];
    struct engine *engine;
    struct engine_disk disk;
    struct broker broker;
    struct world_own own[WORLD_OWN];
    unsigned about; /* which of them the next world_broker_* is about; WORLD_OWN: the shared one */
    uint64_t now_ms;
    bool started;          /* the engine may emit */
    int speaker;           /* address the step's datagram came from; -1: none */
    enum mqttsn_type said; /* its type */
    unsigned effects;      /* of this step */
    bool link_full[WORLD_LINKS];
    enum dm_result publish_result; /* of ENGINE_UPSTREAM with a PUBLISH */
    struct world_peer peers[WORLD_ADDRESSES];
    struct world_held *held;
    size_t held_count, held_room;
};

/* Takes the options that are set in world->options and world->links. */
void world_start(struct world *world);
/* Ends with a start from what is on disk, so that every input shows that it can be read. */
void world_finish(struct world *world);

void world_datagram(struct world *world, unsigned who, const struct mqttsn_packet *packet);
void world_broker_up(struct world *world, const struct upstream_session *session);
void world_broker_down(struct world *world);
/* Of an own connection. */
void world_broker_ends(struct world *world, enum upstream_end why);
/* What ENGINE_CLOSE asked for is done. */
void world_broker_wiped(struct world *world);
/* The broker of `about`. */
struct broker *world_broker(struct world *world);
void world_broker_packet(struct world *world, const struct mqtt_packet *packet);
void world_commit(struct world *world, uint64_t seq);
void world_link(struct world *world, unsigned link, bool up);
/* full: the link takes nothing until this is called with false. */
void world_link_full(struct world *world, unsigned link, bool full);
void world_forget(struct world *world, struct dm_span client_id);
void world_disconnect(struct world *world, struct dm_span client_id);
void world_drop_queue(struct world *world, struct dm_span client_id);
/* The running engine gets other rights, but for the bits of names, which need a start; and somebody
 * is told of the sessions that changed. */
void world_reconfigure(struct world *world, uint8_t rights);
void world_wait(struct world *world, uint64_t ms);
/* Another engine from the disk. orderly: with engine_shutdown, everything committed; else what is
 * not committed is lost. reboot: the clock begins anew. */
void world_restart(struct world *world, bool orderly, bool reboot);

#endif
