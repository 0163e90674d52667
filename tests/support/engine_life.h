/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The random life of an engine: devices and a broker that keep their protocols, a radio and
 * connections that lose what they like, a disk that commits late, and crashes that take what is not
 * committed. Each input of the engine is a turn, after which the promises of design 1 are checked:
 *   engine_life.c          turns, the disk, the clock
 *   engine_life_broker.c   the broker
 *   engine_life_device.c   the devices and their radio
 *   engine_life_stranger.c nonsense
 *   engine_life_queue.c    promises about messages to devices
 *   engine_life_promise.c  promises about messages of devices, wills, and what must be durable
 */
#ifndef DORMOUSE_TESTS_ENGINE_LIFE_H
#define DORMOUSE_TESTS_ENGINE_LIFE_H

#include "engine_disk.h"
#include "engine_rig.h"
#include "random.h"

enum {
    LIFE_DEVICES = 5,    /* 'A' to 'E', client ids "aa" to "ee"; "ee" is always clean */
    LIFE_STRANGER = 'Q', /* the address where nonsense comes from; nobody listens there */
    LIFE_CLIENTS = 6,    /* those of the devices, and "zz", which only the stranger uses */
    LIFE_TOPICS = 3,
    LIFE_WINDOW = 40,       /* messages the broker has open towards the gateway */
    LIFE_PACKETS_MAX = 512, /* of the gateway on their way to the broker */
    LIFE_FILTERS_MAX = 16,
    LIFE_HELD_MAX = 1024,  /* effects that wait for the disk */
    LIFE_ANSWERS_MAX = 64, /* of devices on the radio */
    LIFE_SET_MAX = 64,     /* QoS 2 messages that one device has and that are not released */
    LIFE_OWED_MAX = 4096,
    LIFE_SPOOLED_MAX = 256, /* wills whose row is not durable */
    LIFE_SESSIONS = 8192,   /* by number */
    LIFE_LINE_MAX = 120,
};

/* An effect for a device or the broker, as the rig writes it. */
struct life_line {
    char text[LIFE_LINE_MAX];
    uint64_t needs;   /* journal number that must be durable before it leaves */
    uint64_t session; /* that has the address */
    uint32_t boot;    /* of the device: what was sent before it rebooted is not heard */
    uint32_t attempt; /* of the device, that this answers; 0: none */
};

/* ---- the broker ---- */

/* A message of the broker, not completed. */
struct life_message {
    uint16_t packet_id;
    uint8_t qos;
    bool acknowledged; /* the acknowledgement is on its way */
    bool released;     /* QoS 2: PUBREC was read, PUBREL is due */
    uint8_t topic;
    uint32_t payload;
    uint32_t subscription_id;
};

/* A packet of the gateway that the broker has not read. */
struct life_packet {
    enum mqtt_type type;
    uint16_t packet_id;
    uint8_t qos;
    uint32_t id; /* subscription identifier, or the number in the payload (0: nonsense) */
    char filter[16];
};

struct life_filter {
    char filter[16];
    uint32_t id;
    uint32_t answered_id; /* of the last SUBACK */
    bool held;
};

struct life_broker {
    bool up;
    bool loses_session; /* at the next connection */
    uint32_t epoch;     /* counts its sessions */
    struct life_message open[LIFE_WINDOW];
    size_t open_count;
    struct life_packet packets[LIFE_PACKETS_MAX];
    size_t packet_count;
    struct life_filter filters[LIFE_FILTERS_MAX];
    size_t filter_count;
    uint16_t last_packet_id;
    bool is_received[65536]; /* by packet id: QoS 2, not released */
    uint32_t received[65536];
};

/* ---- devices ---- */

enum life_phase { LIFE_IDLE, LIFE_PUBLISHED, LIFE_RELEASED };

/* What a device wants of its connection or its will. */
enum life_wish {
    LIFE_PLAIN,        /* CONNECT without Will: what was there stays */
    LIFE_WILL,         /* the handshake */
    LIFE_EMPTY_WILL,   /* the handshake with an empty WILLTOPIC: none */
    LIFE_NEW_MESSAGE,  /* WILLMSGUPD */
    LIFE_NO_MORE_WILL, /* an empty WILLTOPICUPD */
};

struct life_attempt {
    uint32_t number; /* also that in the will's message; 0: nothing is tried */
    enum life_wish wish;
    enum mqttsn_type last; /* what it sent last, and repeats */
    bool clean;
    int8_t qos;
};

/* A QoS 2 message that a device has handed to its application and will see released. */
struct life_received {
    uint16_t msg_id;
    uint32_t payload;
};

/* A device as it sees itself. */
struct life_device {
    uint16_t last_msg_id;
    enum life_phase phase; /* of its last PUBLISH */
    uint8_t qos;
    uint16_t msg_id;
    uint32_t payload;

    struct life_received set[LIFE_SET_MAX];
    size_t set_count;
    uint64_t set_session;    /* that the set belongs to */
    uint16_t pubrec_msg_id;  /* of the last PUBREC that the gateway got from it ... */
    uint64_t pubrec_session; /* ... since its last start */

    uint32_t boot;
    uint32_t sessions;  /* of it that have ended */
    bool connecting;    /* since it rebooted or was told to */
    unsigned off_until; /* step */
    struct life_attempt attempt;
    bool armed;          /* it was told that its will is kept */
    uint32_t will_since; /* an older one may not be published any more */
    uint64_t heard_ms;   /* the gateway had a sign of life then, or later */
};

/* An answer of a device on the radio. */
struct life_answer {
    unsigned device;
    enum mqttsn_type type;
    uint16_t topic_id, msg_id;
    enum mqttsn_return_code code;
    uint32_t attempt; /* WILLTOPIC, WILLMSG: of this attempt */
};

/* ---- what must hold ---- */

/* The session still has to get the message. */
struct life_owed {
    uint64_t session;
    uint32_t payload;
    bool partial; /* the broker held only some of the session's filters that match */
    bool refused; /* the device does not want it */
};

/* What is known of each payload: a message of the broker or of a device, or a will. */
struct life_fact {
    uint64_t handed[LIFE_DEVICES]; /* session in which the device had it; 0: it has not */
    uint8_t handed_qos[LIFE_DEVICES];
    unsigned published;         /* step */
    unsigned restarts;          /* before that */
    uint8_t topic, qos, copies; /* of the broker's message */
    bool disordered;            /* it was dropped once, or the broker sent it again */
    bool certain;               /* the gateway knew of all filters that it was sent for */
    uint8_t device;             /* whose message or will it is */
    uint32_t sessions;          /* of the device that had ended */
    bool will;
    bool seen;        /* by the broker */
    bool promised;    /* the device was told, or the will is on disk */
    bool reached;     /* the broker has it for good */
    uint32_t epoch;   /* session of the broker that took it last */
    uint16_t taken;   /* QoS 2: times in that session */
    uint16_t allowed; /* times it may be taken */
};

/* A session as it is at the end of a turn. */
struct life_seen {
    bool there, bound, will;
    enum engine_state state;
    uint8_t address;
    uint16_t keepalive_s, sleep_s;
    uint64_t number, dropped;
    size_t queued;
};

/* A will that went to the spool. */
struct life_will {
    uint64_t session;
    uint64_t seq;
    uint32_t payload; /* 0: nonsense */
    uint8_t qos;
};

struct life {
    struct rig rig;
    struct random_source source;
    unsigned step;
    bool calm; /* nothing is lost or refused: the end of the life */
    bool link_up;
    unsigned slow_until; /* step: nothing is committed before */
    uint64_t committed;

    /* the turn */
    uint8_t stepping; /* address of the datagram; 0: none */
    enum mqttsn_type stepping_type;
    bool nonsense;             /* the datagram is not to be taken seriously */
    bool elapsing;             /* only time passes */
    struct engine_disk latest; /* what the disk will hold when all is committed */
    uint64_t learned;          /* journal number of the last record in it */
    struct life_seen before[LIFE_CLIENTS], seen[LIFE_CLIENTS];
    uint64_t hard_drops;                      /* so far, for other reasons than QoS 0 */
    unsigned missing[LIFE_CLIENTS];           /* taken from the queue in this turn, not delivered */
    uint64_t unused[LIFE_CLIENTS];            /* drops that explained nothing so far */
    struct life_will wills[LIFE_SPOOLED_MAX]; /* spooled in this turn */
    size_t will_count;

    struct life_line held[LIFE_HELD_MAX];
    size_t held_count;
    struct life_broker broker;
    struct life_device devices[LIFE_DEVICES];
    struct life_answer answers[LIFE_ANSWERS_MAX];
    size_t answer_count;

    struct life_owed owed[LIFE_OWED_MAX];
    size_t owed_count;
    struct life_fact *facts; /* by payload */
    uint32_t fact_count, last_payload;
    struct life_will spooled[LIFE_SPOOLED_MAX]; /* not durable */
    size_t spooled_count;
    unsigned subscribed[LIFE_SESSIONS]; /* step of the last SUBSCRIBE or UNSUBSCRIBE */
    unsigned lowered[LIFE_SESSIONS];    /* of the last that asks for less than before */
    uint32_t last_handed[LIFE_DEVICES][LIFE_TOPICS][3]; /* by topic and QoS */
    uint64_t last_handed_session[LIFE_DEVICES];
    uint32_t last_uplink[LIFE_DEVICES]; /* of those the broker has seen */

    unsigned restarts, deliveries, exactly_once, uplinks, wills_lost, gone;
};

/* engine_life.c */
void life_init(struct life *l, unsigned steps);
void life_fini(struct life *l);
/* Fails the test: promise `what` is broken, `detail` shows by which effect or message. */
void life_broken(const struct life *l, const char *what, const char *detail);
unsigned life_below(struct life *l, unsigned limit);
bool life_one_in(struct life *l, unsigned n);
uint32_t life_new_payload(struct life *l); /* a number that no message or will has had */
/* After each input of the engine: learns what it did, lets leave what may, checks. */
void life_turn(struct life *l);
/* What is held for a device, or ('^') for the broker, does not leave any more. */
void life_withdraw(struct life *l, char address);
void life_datagram(struct life *l, char from, const struct mqttsn_packet *packet);
/* Makes durable what is needed for journal number `seq`; what waited for it leaves. */
void life_commit(struct life *l, uint64_t seq);
void life_wait(struct life *l, uint64_t ms);
/* Kills the engine; all that is not committed is lost. */
void life_crash(struct life *l);
void life_restart(struct life *l);                        /* orderly */
uint32_t life_number(const char *line, const char *word); /* behind the word; 0: not there */
/* The row of this kind and key among those of a disk; `key`: see life_key. NULL: none. */
const struct store_record *life_row(const struct engine_disk *disk, enum store_op put,
                                    uint64_t session, uint64_t key);
/* MsgId, packet id, number of the message or order, by what the kind of row has. */
uint64_t life_key(const struct store_record *record);
/* The number in a payload 'm' (broker's), 'd' (device's) or 'w' (will); 0: another payload. */
uint32_t life_payload(const struct store_record *record, char kind);
/* Index of the client whose session has this number, now or before the turn; LIFE_CLIENTS: none. */
unsigned life_client(const struct life *l, uint64_t session);
bool life_is_talking(const struct life_seen *seen);

/* engine_life_broker.c */
extern const char *const life_topics[LIFE_TOPICS];
void broker_gets(struct life *l, const struct life_line *line);
void broker_up(struct life *l);
void broker_down(struct life *l);
/* Of what is under way, the broker has read some. */
void broker_loses_connection(struct life *l);
void broker_publish(struct life *l);
void broker_read(struct life *l);
void broker_release(struct life *l);

/* engine_life_device.c */
void device_gets(struct life *l, const struct life_line *line);
void device_step(struct life *l);
/* One answer arrives, or is lost. False: there is none. */
bool device_answers(struct life *l);
void devices_connect_and_ping(struct life *l);

/* engine_life_stranger.c */
void stranger_step(struct life *l);

/* engine_life_queue.c */
void queue_owe(struct life *l, uint32_t payload); /* to all who want it with QoS 1 or 2 */
/* Nobody is owed the message any more: the broker lost it before it was acknowledged. */
void queue_forgive(struct life *l, uint32_t payload);
void queue_refused(struct life *l, uint64_t session, uint32_t payload);
/* Device `d` gave the message to its application. */
void queue_handed_over(struct life *l, unsigned d, uint64_t session, uint32_t payload, uint8_t qos);
/* The broker need not keep this copy any more. */
void queue_acknowledged(struct life *l, const struct life_message *message);
/* A record, before it is among the latest rows; the end of the turn; a line as it is emitted. */
void queue_record(struct life *l, const struct store_record *record);
void queue_turn(struct life *l);
void queue_line(struct life *l, const struct life_line *line);
void queue_restarted(struct life *l);
void queue_check_all(struct life *l); /* at the end: nothing is owed */

/* engine_life_promise.c */
/* The device was told that its message is safe. */
void promise_to_device(struct life *l, uint32_t payload);
/* The broker reads a PUBLISH of QoS 1 or 2; with QoS 2 its packet id is not known to it. */
void promise_taken(struct life *l, const struct life_packet *packet);
void promise_reached(struct life *l, uint32_t payload); /* the broker has it for good */
/* As those of the queue. */
void promise_record(struct life *l, const struct disk_row *row);
void promise_turn(struct life *l);
void promise_line(struct life *l, const struct life_line *line);
void promise_committed(struct life *l);
void promise_crash(struct life *l); /* before what is not durable is lost */
void promise_restarted(struct life *l);
void
promise_check_all(struct life *l); /* at the end: all that was promised has reached the broker */

#endif
