/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the benchmark share. Errors of the benchmark itself end it, with a reason. */
#ifndef DORMOUSE_BENCH_H
#define DORMOUSE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <dormouse/span.h>

#include "broker.h"
#include "fleet.h"
#include "measure.h"

#define BENCH_WINDOW                                                                               \
    100u /* messages under way at the same time; fewer than a socket's buffer holds */
#define BENCH_PAYLOAD 32u   /* octets */
#define BENCH_STALL_MS 3000 /* without any progress what is open counts as lost */

enum server_kind {
    SERVER_DORMOUSE,
    SERVER_NULL,
    SERVER_FORWARDER,
    SERVER_KINDS,
};

struct server {
    enum server_kind kind;
    pid_t pid;
    uint16_t port;
    char directory[200]; /* of Dormouse: configuration, log, state, control socket */
    uint16_t broker_port;
    char topics; /* the first level of all its topics, so that servers do not hear each other */
};

/* One server with its fleet during the rounds of one row. */
struct run {
    const struct scenario *scenario;
    enum server_kind kind;
    struct server server;
    struct fleet fleet;
    struct broker *broker;
    uint16_t broker_port;
    uint32_t devices;
    uint32_t messages;     /* of a round */
    uint32_t round;        /* of the whole program: old messages are recognised by it */
    double session_octets; /* private memory per session; NAN: not measured */
    bool queued_before;    /* the memory of queues was in use already */
};

/* Of one round; NAN: not measured. */
enum figure {
    FIGURE_MESSAGES,
    FIGURE_SECONDS,
    FIGURE_CPU_US,      /* of the server, all of its threads, user and system, per message */
    FIGURE_WAIT_P50_US, /* of a device, for what the scenario says */
    FIGURE_WAIT_P99_US,
    FIGURE_WAIT_MAX_US,
    FIGURE_SESSION_OCTETS, /* private memory per session */
    FIGURE_QUEUED_OCTETS,  /* private memory per message that waits */
    FIGURE_DISK_OCTETS,    /* handed to the disk per message, by the kernel's account */
    FIGURE_STORE_OCTETS,   /* by the store's account */
    FIGURE_PRIVATE_MIB,    /* at the end of the round */
    FIGURE_LOST,           /* messages that did not arrive, or datagrams dropped by a buffer */
    FIGURE_COUNT,
};

struct figures {
    double value[FIGURE_COUNT];
};

struct scenario {
    const char *name;
    unsigned steps; /* bits of enum fleet_step that each device takes before the rounds */
    int8_t qos;
    unsigned servers;                 /* bits of enum server_kind that can do it */
    bool fresh;                       /* each round begins with a new server */
    bool odd_sleep;                   /* STEP_SLEEP is only for every other device */
    void (*prepare)(struct run *run); /* once, after the steps; NULL: nothing */
    void (*round)(struct run *run, struct figures *figures);
};

/* Prints and ends the program with status 1. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Ends the program if a signal told it to end, so that nothing is left behind. */
void bench_check(void);

uint64_t bench_now_ns(void);

/* Reads what came for the fleet and from the broker, after waiting for at most wait_ms. False if
 * nothing came. What has been queued for sending leaves first. */
bool bench_exchange(struct run *run, int wait_ms);

/* Lets all devices take the scenario's steps. Returns how many did not get through. */
uint32_t bench_take_steps(struct run *run);

/* Waits until the daemon has written what it writes behind. */
void bench_settle(struct run *run);

/* What a round begins and ends with: seconds, CPU, octets written, drops. `lost`: messages. */
void bench_begin(struct run *run, struct sample *before);
void bench_end(struct run *run, const struct sample *before, uint64_t messages, uint64_t lost,
               struct figures *figures);

/* How long devices waited; sorts. */
void bench_waits(struct figures *figures, double *waits_us, size_t count);

/* SLEEP_BACKLOG messages of QoS 1 for each device that sleeps, device by device in turn. */
void bench_queue_backlog(struct run *run);
/* Until so many wait in the daemon for sleepers; other servers have no queue. */
void bench_await_queued(struct run *run, uint64_t count);

/* Rounds. */
void up_round(struct run *run, struct figures *figures);
void down_round(struct run *run, struct figures *figures);
void fan_out_round(struct run *run, struct figures *figures);
void storm_round(struct run *run, struct figures *figures);
void wave_prepare(struct run *run);
void wave_round(struct run *run, struct figures *figures);
void sleep_round(struct run *run, struct figures *figures);
void mixed_round(struct run *run, struct figures *figures);
void idle_round(struct run *run, struct figures *figures);
void start_prepare(struct run *run);
void start_round(struct run *run, struct figures *figures);

#define SLEEP_BACKLOG 10u /* messages that wait for each sleeping device */

#endif
