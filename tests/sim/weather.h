/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed is like: how many devices, how bad the radio, which broker, which disk. */
#ifndef DORMOUSE_SIM_WEATHER_H
#define DORMOUSE_SIM_WEATHER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SIM_DEVICES_MAX = 12,
    SIM_LINKS_MAX = 2,
};

/* Kinds of misfortune that --without switches off. */
enum {
    WITHOUT_CRASH = 1 << 0,
    WITHOUT_RADIO = 1 << 1,   /* loss, duplicates, delay, outages, full queues */
    WITHOUT_BROKER = 1 << 2,  /* cuts, outages */
    WITHOUT_SESSION = 1 << 3, /* the broker never loses its session */
    WITHOUT_DISK = 1 << 4,    /* failures; commits stay late */
    WITHOUT_JUMP = 1 << 5,
    WITHOUT_REFUSAL = 1 << 6, /* by the broker */
    WITHOUT_LIMIT = 1 << 7,   /* small queues and spools */
    WITHOUT_OVERLAP = 1 << 8, /* no two filters match one topic */
};

struct weather {
    unsigned devices, links;

    /* radio; per mille of datagrams */
    unsigned lost, doubled, slow;
    unsigned full;     /* finds the transmit queue full */
    unsigned radio_ms; /* usual delay */
    unsigned retry_ms; /* of devices */

    /* broker */
    bool mqtt5;
    bool merged_copies; /* one copy with all identifiers, not one per filter */
    bool overlap;
    bool prefix, prefix_of_clients;              /* of the gateway, or of a [client] section */
    unsigned window;                             /* messages it sends without acknowledgement */
    unsigned send_maximum;                       /* messages it takes without acknowledgement */
    unsigned broker_ms;                          /* usual delay */
    unsigned publish_ms;                         /* between messages of others */
    unsigned session_loss;                       /* per mille of connections */
    unsigned refused_publish, refused_subscribe; /* per mille */

    /* disk */
    bool sqlite;
    unsigned commit_ms; /* usual duration of a commit */

    /* gateway */
    unsigned doom; /* one in so many promises is the last that leaves before a crash; 0: none */
    unsigned queue_messages, queue_bytes, spool_bytes;
    unsigned overflow; /* enum engine_overflow */
    uint64_t max_age_ms;
    unsigned receive_maximum;
    bool uplink_ack_store;

    /* misfortunes in general: milliseconds between two, and the weight of each kind */
    unsigned chaos_ms;
    unsigned crash, orderly, cut, outage, disk_failure, link_down, jump, forget;
    unsigned nonsense_ms; /* between messages of a stranger; 0: there is none */
    unsigned declined;    /* messages that devices do not want, per mille */
};

/* Names for --without, in the order of the bits; NULL ends. */
extern const char *const weather_kinds[];

struct random_source;
void weather_draw(struct weather *weather, struct random_source *random, unsigned without);

#endif
