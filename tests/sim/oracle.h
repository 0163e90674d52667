/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold (design.md, section 1). The oracle sees what passes the borders of the gateway and
 * keeps its own books; of the engine it asks only for the status that operators see.
 *   oracle.c           facts: what is known of each message; payloads
 *   oracle_session.c   each session as its traffic tells it: known, asleep, subscribed, silent
 *   oracle_down.c      messages to devices: owed, delivered once, in order
 *   oracle_up.c        messages of devices: promised, taken once, in order
 *   oracle_will.c      wills: published for each device that is lost, and for no other
 *   oracle_check.c     after every step: sessions, limits; at the end: debts, rows
 */
#ifndef DORMOUSE_SIM_ORACLE_H
#define DORMOUSE_SIM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/client.h>

#include "engine.h"
#include "topics.h"
#include "weather.h"

struct world;

enum {
    ORACLE_PAYLOAD_MAX = 256,
    SIM_AWAKE_MAX_MS = 60000,
    SIM_TOLERANCE_PERCENT = 150,
    SIM_STALL_MS = 10000,  /* a gateway that comes that late knows that it stood still */
    SIM_WINDOW_MS = 60000, /* when all is calm, the gateway acknowledges a message in that time */
};

/* What is known of a message; its number is in its payload. */
struct fact {
    char kind;      /* 'm': of somebody else; 'd': of a device; 'w': a will */
    uint8_t device; /* whose message or will it is */
    uint8_t topic, qos;
    bool retain;
    bool promised;                      /* the device was told that it is safe */
    bool refused;                       /* by the broker */
    uint16_t published, allowed;        /* times at the broker; for QoS 2 as many are allowed */
    uint32_t order;                     /* among all messages of the broker */
    uint16_t owed;                      /* to these devices, as bits */
    uint32_t entitled[SIM_DEVICES_MAX]; /* the session that was owed it; 0: none */
    uint32_t given[SIM_DEVICES_MAX];    /* the session in which it came; 0: none */
    uint32_t had[SIM_DEVICES_MAX];      /* the memory of the device that has it; 0: none */
    uint16_t had_twos;                  /* with QoS 2, these devices, as bits */
    bool gone;                          /* the broker lost it before the gateway had it for good */
    uint32_t copy_life; /* of the gateway, when the first copy for a filter of its went there */
    uint16_t copies;    /* for how many filters */
    bool torn;          /* copies went there in different lives */
};

struct subscription_view {
    bool asked; /* SUBSCRIBE reached the gateway, no answer has left */
    bool made;  /* a SUBSCRIBE reached the gateway; perhaps it is on disk, whatever was answered */
    bool refused; /* by the broker, perhaps after the SUBACK: DISCONNECT may come */
    uint16_t msg_id;
    uint64_t asked_step;
    bool told; /* SUBACK has left */
    uint8_t qos;
    uint64_t step; /* of the SUBSCRIBE that SUBACK answered */
};

struct will_view {
    bool asked; /* by the CONNECT under way */
    bool armed; /* the device was told that it is kept */
    bool removing;
    bool doubtful;      /* a change is under way */
    uint32_t heard;     /* the last that was heard of */
    uint32_t low, high; /* the will that is kept is none before and none after these */
};

/* A device's session, as its traffic tells it. */
struct view {
    bool connecting; /* CONNECT reached the gateway, no CONNACK has left */
    bool asked_clean;
    uint16_t asked_keepalive_s;
    uint64_t connect_ms;
    bool alive; /* CONNACK has left, and nothing has ended it */
    bool kept;  /* a persistent session that must be there */
    bool clean;
    uint32_t session; /* counts */
    uint32_t where;
    uint16_t keepalive_s, sleep_s;
    uint16_t asked_sleep_s; /* 0: no DISCONNECT with a duration is unanswered */
    unsigned disconnects;   /* unanswered */
    uint32_t
        blocked; /* a QoS 0 message that the link had no room for: the next to be sent; 0: none */
    uint16_t register_msg_id; /* of the last REGISTER, and how often it was sent */
    unsigned registers;
    bool asleep; /* the gateway has let it go to sleep */
    bool awake;  /* woken by PINGREQ */
    bool said;   /* something, since it went to sleep */
    uint64_t awake_since_ms;
    uint64_t heard_ms;
    struct subscription_view subs[FILTERS_COUNT];
    struct will_view will;
};

/* A session as the engine's status shows it. */
struct snapshot {
    bool there, clean, will, has_address;
    enum engine_state state;
    uint32_t where;
    uint64_t queued, queued_octets, dropped;
};

/* A message that a device is owed. */
struct debt {
    uint32_t number;
    uint16_t filters; /* for which it counts on it, as bits */
};

struct debts {
    struct debt *items;
    size_t count, room;
    uint64_t dropped; /* as many were given up, and counted */
    uint64_t paid;    /* so far */
};

/* A will that is to be published. */
struct due {
    uint8_t device;
    bool certain, paid;
    uint32_t low, high;
    uint64_t seq; /* journal number of the loss */
    uint64_t ms;
};

/* A QoS 2 message that the broker has published, until the gateway knows for good. */
struct finishing {
    uint16_t packet_id;
    uint32_t number;
    uint64_t seq; /* journal number of the end; 0: PUBCOMP has not come */
};

enum { ORACLE_FINISHING_MAX = 2048, ORACLE_DUES_MAX = 4096 };

struct oracle {
    struct fact *facts; /* by number */
    uint32_t fact_count, fact_room;
    struct view views[SIM_DEVICES_MAX];
    struct snapshot before[SIM_DEVICES_MAX], seen[SIM_DEVICES_MAX];
    struct debts debts[SIM_DEVICES_MAX];
    uint64_t stranger_octets;            /* queued for him */
    uint64_t dropped[ENGINE_DROP_COUNT]; /* since the start of the gateway */
    uint32_t last_up[SIM_DEVICES_MAX][TOPICS_COUNT][3];
    uint32_t last_down[SIM_DEVICES_MAX][TOPICS_COUNT][3];
    struct finishing finishing[ORACLE_FINISHING_MAX];
    size_t finishing_count;
    struct due dues[ORACLE_DUES_MAX];
    size_t due_count;
    bool home; /* the devices are to come back */
};

/* oracle.c */
void oracle_init(struct world *w);
void oracle_fini(struct world *w);
struct fact *oracle_fact(struct world *w, uint32_t number);
uint32_t oracle_new_message(struct world *w, unsigned device, unsigned topic, uint8_t qos,
                            bool retain);
uint32_t oracle_new_foreign(struct world *w, unsigned topic, uint8_t qos, bool retain);
uint32_t oracle_new_will(struct world *w, unsigned device, uint8_t qos);
/* The octets of a message, in `buffer` of ORACLE_PAYLOAD_MAX. */
struct dm_span oracle_payload(struct world *w, uint32_t number, uint8_t *buffer);
/* Whether it is this message, as its device gave it to the gateway. */
bool oracle_knows(struct world *w, uint32_t number, struct dm_span topic,
                  const struct mqtt_packet *packet);
/* The number in a payload; 0: not one of ours. */
uint32_t oracle_number(struct dm_span payload);

/* oracle_session.c: what the gateway hears and says */
void oracle_hears(struct world *w, uint32_t where, const struct mqttsn_packet *packet);
/* `full`: the link has no room for it. */
void oracle_tries(struct world *w, uint32_t where, const struct mqttsn_packet *packet, bool full);
void oracle_says(struct world *w, uint32_t where, const struct mqttsn_packet *packet);
/* The session of device `d` is gone, and with it what it was owed. */
void oracle_session_ended(struct world *w, unsigned d);
/* A filter of it was refused although it may have had its SUBACK (design 6). */
bool oracle_is_excused(const struct view *v);
void oracle_filter_refused(struct world *w, unsigned filter);
/* The gateway has missed a deadline by far: nobody could be heard meanwhile. */
void oracle_stood_still(struct world *w);
void oracle_crashed(struct world *w);
void oracle_restarted(struct world *w);

/* oracle_down.c */
void oracle_published(struct world *w, uint32_t number);
void oracle_delivered(struct world *w, unsigned d, const struct client_event *event);
/* A copy for one filter is sent to the gateway, or sent again. */
void oracle_copy(struct world *w, uint32_t number, bool again);
void oracle_gone(struct world *w, uint32_t number); /* the broker has lost it */
void oracle_declined(struct world *w, unsigned d,
                     uint32_t number); /* the device does not want it */
/* A subscription of the device has changed: what it does not want any more is not owed. */
void oracle_forgive(struct world *w, unsigned d);
void oracle_down_settled(struct world *w);

/* oracle_up.c */
void oracle_promised(struct world *w, uint32_t number);
void oracle_refused(struct world *w, uint32_t number);
/* The broker has a message of QoS 0 or 1, or of QoS 2 with its PUBREL. */
void oracle_reached(struct world *w, uint32_t number);
void oracle_released(struct world *w, uint32_t number, uint16_t packet_id);
void oracle_completed(struct world *w, uint16_t packet_id); /* PUBCOMP reached the gateway */
void oracle_session_lost(struct world *w);
void oracle_up_crashed(struct world *w);
void oracle_up_settled(struct world *w);

/* oracle_will.c */
void oracle_will_heard(struct world *w, unsigned d, const struct mqttsn_packet *packet);
void oracle_will_answered(struct world *w, unsigned d, const struct mqttsn_packet *packet);
/* `certain`: nothing else can have ended the session. */
void oracle_will_lost(struct world *w, unsigned d, bool certain);
void oracle_will_published(struct world *w, uint32_t number);
void oracle_will_crashed(struct world *w);
void oracle_will_settled(struct world *w);

/* oracle_check.c */
void oracle_check(struct world *w); /* after every step */
void oracle_look(struct world *w, struct snapshot *snapshots);
void oracle_broker_settled(struct world *w); /* calm for a while, whoever is there */
void oracle_rows_settled(struct world *w);

#endif
