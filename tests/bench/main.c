/* SPDX-License-Identifier: Apache-2.0 */
/* What Dormouse costs, beside a server that only acknowledges and one that only forwards. */
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process.h"
#include "table.h"

#define BIT(n) (1u << (n))

enum {
    COUNTS_MAX = 5,
    ROUNDS_MAX = 9,
    ALL = BIT(SERVER_DORMOUSE) | BIT(SERVER_NULL) | BIT(SERVER_FORWARDER),
    NO_FORWARDER = BIT(SERVER_DORMOUSE) | BIT(SERVER_NULL),
    NO_NULL = BIT(SERVER_DORMOUSE) | BIT(SERVER_FORWARDER),
    ALONE = BIT(SERVER_DORMOUSE),
    UP_STEPS = BIT(STEP_CONNECT) | BIT(STEP_REGISTER),
    DOWN_STEPS = BIT(STEP_CONNECT) | BIT(STEP_SUBSCRIBE),
    SLEEP_STEPS = DOWN_STEPS | BIT(STEP_SLEEP),
    SMOKE_DEVICES = 20,
    SMOKE_MESSAGES = 200,
};

/* A scenario with the fleets of an ordinary run, and of a full one. */
static const struct row {
    struct scenario scenario;
    uint32_t messages; /* of a round; at least one for each device */
    uint32_t counts[COUNTS_MAX];
    uint32_t full[COUNTS_MAX];
} rows[] = {
    {{.name = "QoS 0 from devices", .steps = UP_STEPS, .qos = 0, .servers = ALL, .round = up_round},
     30000,
     {100, 10000},
     {1, 100, 1000, 10000, 100000}},
    {{.name = "QoS 1 from devices", .steps = UP_STEPS, .qos = 1, .servers = ALL, .round = up_round},
     20000,
     {1, 100, 1000, 10000, 100000},
     {1, 100, 1000, 10000, 100000}},
    {{.name = "QoS 2 from devices",
      .steps = UP_STEPS,
      .qos = 2,
      .servers = NO_FORWARDER,
      .round = up_round},
     10000,
     {100, 10000},
     {1, 100, 1000, 10000, 100000}},
    {{.name = "QoS 0 to devices",
      .steps = DOWN_STEPS,
      .qos = 0,
      .servers = NO_NULL,
      .round = down_round},
     30000,
     {100, 10000},
     {1, 100, 1000, 10000, 100000}},
    {{.name = "QoS 1 to devices",
      .steps = DOWN_STEPS,
      .qos = 1,
      .servers = NO_NULL,
      .round = down_round},
     20000,
     {1, 100, 1000, 10000},
     {1, 100, 1000, 10000, 100000}},
    {{.name = "QoS 2 to devices",
      .steps = DOWN_STEPS,
      .qos = 2,
      .servers = ALONE,
      .round = down_round},
     10000,
     {100},
     {1, 100, 1000, 10000, 100000}},
    {{.name = "fan-out, QoS 0",
      .steps = BIT(STEP_CONNECT) | BIT(STEP_SUBSCRIBE_ALL),
      .qos = 0,
      .servers = NO_NULL,
      .round = fan_out_round},
     50000,
     {1000},
     {100, 1000, 10000, 100000}},
    {{.name = "fan-out, QoS 1",
      .steps = BIT(STEP_CONNECT) | BIT(STEP_SUBSCRIBE_ALL),
      .qos = 1,
      .servers = NO_NULL,
      .round = fan_out_round},
     20000,
     {100, 10000},
     {100, 1000, 10000, 100000}},
    {{.name = "connect storm",
      .steps = UP_STEPS | DOWN_STEPS,
      .servers = NO_FORWARDER,
      .fresh = true,
      .round = storm_round},
     1,
     {1000, 10000},
     {100, 1000, 10000, 100000}},
    {{.name = "connect storm, one topic",
      .steps = BIT(STEP_CONNECT) | BIT(STEP_SUBSCRIBE_ALL),
      .servers = NO_FORWARDER,
      .fresh = true,
      .round = storm_round},
     1,
     {1000, 10000},
     {100, 1000, 10000, 100000}},
    {{.name = "sleep and wake",
      .steps = SLEEP_STEPS,
      .servers = NO_FORWARDER,
      .round = sleep_round},
     10000,
     {100, 1000, 10000},
     {1, 100, 1000, 10000, 100000}},
    {{.name = "beside a wave",
      .steps = UP_STEPS | SLEEP_STEPS,
      .servers = ALONE,
      .odd_sleep = true,
      .prepare = wave_prepare,
      .round = wave_round},
     1667,
     {20000},
     {20000}},
    {{.name = "mixed, 2000/s",
      .steps = UP_STEPS | SLEEP_STEPS,
      .servers = NO_NULL,
      .odd_sleep = true,
      .round = mixed_round},
     6000,
     {100, 10000},
     {100, 1000, 10000, 100000}},
    {{.name = "asleep, idle", .steps = SLEEP_STEPS, .servers = ALONE, .round = idle_round},
     1,
     {1, 10000},
     {1, 100, 1000, 10000, 100000}},
    {{.name = "start",
      .steps = SLEEP_STEPS,
      .servers = ALONE,
      .prepare = start_prepare,
      .round = start_round},
     1,
     {10000},
     {100, 1000, 10000, 100000}},
};

static struct options {
    bool smoke;
    bool full;
    unsigned rounds;
    const char *directory;
    const char *only;
    uint32_t devices;  /* 0: those of the table */
    uint32_t messages; /* of a round; 0: as in the table */
    unsigned servers;
    const char *mqtt_version;
} options = {.rounds = 5, .directory = "/tmp", .servers = ALL, .mqtt_version = "auto"};

static pid_t main_pid;
static volatile sig_atomic_t stopped;

void
fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void
on_signal(int number)
{
    (void)number;
    stopped = 1;
}

void
bench_check(void)
{
    if (stopped)
        fail("stopped by a signal");
}

/* A server with its fleet, which has taken its steps unless that is what is to be measured. */
static void
run_open(struct run *run, unsigned backlog)
{
    server_start(&run->server, run->kind, run->broker_port, backlog);
    fleet_open(&run->fleet, run->server.port, run->devices);
    run->session_octets = (double)NAN;
    run->queued_before = false;
    if (run->scenario->fresh)
        return;
    if (bench_take_steps(run) > 0)
        fail("%s: not all of %u devices got ready", run->scenario->name, run->devices);
    if (run->scenario->prepare != NULL)
        run->scenario->prepare(run);
    if (run->kind == SERVER_DORMOUSE && !options.smoke)
        bench_settle(run);
}

static void
run_close(struct run *run)
{
    fleet_close(&run->fleet);
    server_stop(&run->server);
}

static void
measure_round(struct run *run, struct figures *figures)
{
    for (unsigned i = 0; i < FIGURE_COUNT; i++)
        figures->value[i] = (double)NAN;
    if (run->scenario->fresh)
        run_open(run, 0);
    run->scenario->round(run, figures);
    figures->value[FIGURE_SESSION_OCTETS] = run->session_octets;
    if (run->scenario->fresh)
        run_close(run);
}

static uint32_t
messages_of(const struct row *row, uint32_t devices)
{
    uint32_t messages = options.smoke ? SMOKE_MESSAGES : row->messages;

    if (devices == 1 && messages > 1)
        messages /= 10;
    if (options.messages != 0)
        messages = options.messages;
    return messages > devices ? messages : devices;
}

/* All servers' rounds in turn. False if a message was lost or the daemon has no figure. */
static bool
measure_row(const struct row *row, uint32_t devices, struct broker *broker, uint16_t broker_port)
{
    const struct scenario *scenario = &row->scenario;
    struct run runs[SERVER_KINDS] = {0};
    struct figures figures[SERVER_KINDS][ROUNDS_MAX];
    unsigned servers = scenario->servers & options.servers;
    for (unsigned kind = 0; kind < SERVER_KINDS; kind++) {
        if ((servers & BIT(kind)) == 0)
            continue;
        runs[kind] = (struct run){.scenario = scenario,
                                  .kind = (enum server_kind)kind,
                                  .broker = broker,
                                  .broker_port = broker_port,
                                  .devices = devices,
                                  .messages = messages_of(row, devices)};
        if (!scenario->fresh)
            run_open(&runs[kind], SLEEP_BACKLOG);
    }
    for (unsigned round = 0; round < options.rounds; round++)
        for (unsigned kind = 0; kind < SERVER_KINDS; kind++)
            if ((servers & BIT(kind)) != 0)
                measure_round(&runs[kind], &figures[kind][round]);
    struct table_row shown = {.name = scenario->name, .devices = devices, .rounds = options.rounds};

    for (unsigned kind = 0; kind < SERVER_KINDS; kind++) {
        if ((servers & BIT(kind)) == 0)
            continue;
        shown.figures[kind] = figures[kind];
        if (!scenario->fresh)
            run_close(&runs[kind]);
    }
    return table_show(&shown);
}

static void
usage(int status)
{
    fputs("usage: bench [--full | --smoke] [--only WORDS] [--devices N] [--messages N] "
          "[--rounds N] [--alone] [--mqtt VERSION] [--directory DIR]\n\n"
          "  --full       every scenario with 1 to 100,000 devices (an hour and more)\n"
          "  --smoke      every scenario, once, with few devices: does the benchmark work?\n"
          "  --only       scenarios with these words in their name\n"
          "  --devices    with so many devices instead of the table's\n"
          "  --messages   with so many messages in a round, at least one for each device\n"
          "  --alone      without the two other servers, for a profiler\n"
          "  --mqtt       version between gateway and broker, 5 or 3.1.1 (default 5)\n"
          "  --rounds     of which the median is shown (default 5, at most 9)\n"
          "  --directory  where databases are written (default /tmp): should be a real disk\n",
          status == 0 ? stdout : stderr);
    exit(status);
}

static uint32_t
number_option(const char *text, unsigned long max)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || number == 0 || number > max) {
        fprintf(stderr, "bench: '%s' is no number from 1 to %lu\n", text, max);
        exit(2);
    }
    return (uint32_t)number;
}

static void
read_options(int argc, char **argv)
{
    static const struct option known[] = {{"full", no_argument, NULL, 'f'},
                                          {"smoke", no_argument, NULL, 's'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"devices", required_argument, NULL, 'n'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"messages", required_argument, NULL, 'm'},
                                          {"alone", no_argument, NULL, 'a'},
                                          {"directory", required_argument, NULL, 'd'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"mqtt", required_argument, NULL, 'v'},
                                          {0}};
    int option;

    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (option == 'f')
            options.full = true;
        else if (option == 's')
            options.smoke = true;
        else if (option == 'o')
            options.only = optarg;
        else if (option == 'n')
            options.devices = number_option(optarg, 100000);
        else if (option == 'r')
            options.rounds = number_option(optarg, ROUNDS_MAX);
        else if (option == 'm')
            options.messages = number_option(optarg, 100000000);
        else if (option == 'a')
            options.servers = ALONE;
        else if (option == 'd')
            options.directory = optarg;
        else if (option == 'v' && (strcmp(optarg, "5") == 0 || strcmp(optarg, "3.1.1") == 0))
            options.mqtt_version = optarg;
        else
            usage(option == 'h' ? 0 : 2);
    }
    if (optind < argc || (options.full && options.smoke))
        usage(2);
    if (options.smoke)
        options.rounds = 1;
    if (options.smoke && options.devices == 0)
        options.devices = SMOKE_DEVICES;
}

/* fail() may come from anywhere: nothing is left behind. */
static void
finish(void)
{
    if (getpid() == main_pid)
        process_finish();
}

int
main(int argc, char **argv)
{
    struct broker broker;
    uint32_t given[COUNTS_MAX] = {0};
    size_t shown = 0;
    bool good = true;

    process_serve(argc, argv);
    read_options(argc, argv);
    given[0] = options.devices;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    main_pid = getpid();
    process_init(options.directory, options.mqtt_version);
    atexit(finish);
    uint16_t port = process_start_broker();

    broker_open(&broker, port, "bench");
    broker_subscribe(&broker, "+/u/+", 0);
    table_head();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint32_t *counts = options.full ? rows[i].full : rows[i].counts;

        if (options.only != NULL && strstr(rows[i].scenario.name, options.only) == NULL)
            continue;
        if (options.devices != 0)
            counts = given;
        for (size_t j = 0; j < COUNTS_MAX && counts[j] != 0; j++, shown++)
            good = measure_row(&rows[i], counts[j], &broker, port) && good;
    }
    broker_close(&broker);
    if (shown == 0)
        fail("no scenario has '%s' in its name", options.only);
    return good ? 0 : 1;
}
