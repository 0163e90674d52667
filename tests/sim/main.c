/* SPDX-License-Identifier: Apache-2.0 */
/* The command: lives through seeds, and shows the life in which a promise is broken. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <dormouse/log.h>

#include "world.h"

enum { DEFAULT_STEPS = 3000 };

struct options {
    uint64_t seed, seeds, steps;
    unsigned without;
    bool trace, keep_going;
    const char *program;
    const char *without_text;
};

static struct world world;
static char last_words[256]; /* printed if the program falls */

static void
usage(const char *program)
{
    printf("usage: %s [--seed N] [--seeds COUNT] [--steps M] [--without LIST] [--trace] "
           "[--keep-going]\n\n"
           "Lives through COUNT seeds from N on (default: 1 from 1), each M steps long (default:\n"
           "%d), and checks after every step that the gateway keeps its promises. The same seed\n"
           "and number of steps give the same life.\n\n"
           "  --trace         prints what happens, with step and virtual time, and the\n"
           "                  gateway's log\n"
           "  --keep-going    tells of each seed that fails in one line, and goes on\n"
           "  --without LIST  leaves misfortunes out, a list of:",
           program, DEFAULT_STEPS);
    for (size_t i = 0; weather_kinds[i] != NULL; i++)
        printf("%s %s", i > 0 ? "," : "", weather_kinds[i]);
    printf("\n  --help          this text\n");
}

/* False: a word that is no misfortune. */
static bool
parse_without(const char *list, unsigned *without)
{
    char text[128];
    char *save = NULL;

    snprintf(text, sizeof text, "%s", list);
    for (char *word = strtok_r(text, ",", &save); word != NULL; word = strtok_r(NULL, ",", &save)) {
        unsigned i = 0;

        while (weather_kinds[i] != NULL && strcmp(weather_kinds[i], word) != 0)
            i++;
        if (weather_kinds[i] == NULL)
            return false;
        *without |= 1u << i;
    }
    return true;
}

static bool
parse_number(const char *text, uint64_t *number)
{
    char *end;

    *number = strtoull(text, &end, 0);
    return end != text && *end == '\0';
}

/* 0: go on; else the exit status plus one. */
static int
parse(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"seed", required_argument, NULL, 's'},    {"seeds", required_argument, NULL, 'n'},
        {"steps", required_argument, NULL, 'm'},   {"trace", no_argument, NULL, 't'},
        {"without", required_argument, NULL, 'w'}, {"help", no_argument, NULL, 'h'},
        {"keep-going", no_argument, NULL, 'k'},    {NULL, 0, NULL, 0},
    };
    bool good = true;
    int c;

    while (good && (c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 's':
            good = parse_number(optarg, &o->seed);
            break;
        case 'n':
            good = parse_number(optarg, &o->seeds);
            break;
        case 'm':
            good = parse_number(optarg, &o->steps);
            break;
        case 't':
            o->trace = true;
            break;
        case 'k':
            o->keep_going = true;
            break;
        case 'w':
            o->without_text = optarg;
            good = parse_without(optarg, &o->without);
            break;
        case 'h':
            usage(argv[0]);
            return 1;
        default:
            good = false;
            break;
        }
    }
    if (good && optind == argc)
        return 0;
    fprintf(stderr, "see %s --help\n", argv[0]);
    return 3;
}

/* ---- failing ---- */

static void
describe_replay(const struct options *o, uint64_t seed, char *text, size_t size)
{
    snprintf(text, size, "%s --seed %" PRIu64 " --steps %" PRIu64 "%s%s", o->program, seed,
             o->steps, o->without_text != NULL ? " --without " : "",
             o->without_text != NULL ? o->without_text : "");
}

/* An assertion or a sanitizer ends the program: the seed must be known. */
static void
on_death(int signal_number)
{
    ssize_t ignored = write(STDERR_FILENO, last_words, strlen(last_words));

    (void)ignored;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void
note_seed(const struct options *o, uint64_t seed)
{
    char replay[200];

    describe_replay(o, seed, replay, sizeof replay);
    snprintf(last_words, sizeof last_words, "\nthe simulator fell; again: %s\n", replay);
}

/* The life once more, with a trace. */
static void
show(const struct options *o, uint64_t seed)
{
    struct tally tally = {0};
    struct trace *trace = trace_new(false);
    uint64_t step = world.step;
    char replay[200];
    char fault[sizeof world.fault];

    memcpy(fault, world.fault, sizeof fault);
    world_live(&world, seed, o->steps, o->without, &tally, trace);
    trace_print_last(trace);
    trace_free(trace);
    if (world.step != step || strcmp(world.fault, fault) != 0)
        printf("the replay is another life: the simulator is at fault\n");
    describe_replay(o, seed, replay, sizeof replay);
    printf("\nseed %" PRIu64 ", step %" PRIu64 ", %.3f s: %s\nagain: %s --trace\n", seed, step,
           (double)(world.now_ms - world.start_ms) / 1000, fault, replay);
}

/* ---- the summary ---- */

static void
summarise(const struct tally *t, double seconds)
{
    double hours = (double)t->simulated_ms / 3600000;

    printf("%" PRIu64 " seeds, %" PRIu64 " steps, %.1f simulated hours in %.1f s: %.1f hours per "
           "second\n",
           t->seeds, t->steps, hours, seconds, hours / seconds);
    printf("%" PRIu64 " crashes, %" PRIu64 " orderly stops, %" PRIu64
           " restarts through SQLite, %" PRIu64 " sessions lost by the broker, %" PRIu64
           " disk failures, %" PRIu64 " clock jumps\n",
           t->crashes, t->orderly, t->sqlite_restarts, t->session_losses, t->disk_failures,
           t->jumps);
    printf("to the broker: %" PRIu64 " QoS 1 (%" PRIu64 " came twice), %" PRIu64 " QoS 2, %" PRIu64
           " wills\n",
           t->up[1], t->repeated_up, t->up[2], t->wills);
    printf("to devices: %" PRIu64 " QoS 0, %" PRIu64 " QoS 1 (%" PRIu64 " came twice), %" PRIu64
           " QoS 2\n",
           t->down[0], t->down[1], t->repeated_down, t->down[2]);
    printf("dropped and counted: %" PRIu64 " overflow, %" PRIu64 " too long, %" PRIu64
           " refused, %" PRIu64 " QoS 0, %" PRIu64 " expired\n",
           t->dropped[ENGINE_DROP_OVERFLOW], t->dropped[ENGINE_DROP_TOO_LONG],
           t->dropped[ENGINE_DROP_REFUSED], t->dropped[ENGINE_DROP_QOS0],
           t->dropped[ENGINE_DROP_EXPIRED]);
    printf("datagrams: %" PRIu64 ", %" PRIu64 " lost; devices went to sleep %" PRIu64 " times\n",
           t->datagrams, t->lost, t->sleeps);
}

static double
now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
    struct options o = {.seed = 1, .seeds = 1, .steps = DEFAULT_STEPS, .program = argv[0]};
    struct tally tally = {0};
    bool failed = false;
    int end = parse(argc, argv, &o);

    if (end != 0)
        return end - 1;
    struct trace *trace = o.trace ? trace_new(true) : NULL;
    double start_s = now_s();

    log_set_level(o.trace ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    signal(SIGABRT, on_death);
    signal(SIGSEGV, on_death);
    for (uint64_t seed = o.seed; seed < o.seed + o.seeds && (!failed || o.keep_going); seed++) {
        note_seed(&o, seed);
        if (world_live(&world, seed, o.steps, o.without, &tally, trace))
            continue;
        failed = true;
        if (!o.keep_going)
            show(&o, seed);
        else
            printf("seed %" PRIu64 ": %s\n", seed, world.fault);
    }
    trace_free(trace);
    if (!failed || o.keep_going)
        summarise(&tally, now_s() - start_s);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
