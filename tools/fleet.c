/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse fleet: many simulated devices in one process, and what became of their messages. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "command.h"
#include "device_link.h"
#include "device_udp.h"
#include "fleet_device.h"

#define CONNECTS_PER_S 500     /* at the start, so that the gateway is not flooded */
#define LINE_CONNECTS_PER_S 20 /* the same on a serial line */
#define FILES_BESIDE 32        /* files that are no sockets of devices */
#define LEAVE_MS 3000          /* for the answers to DISCONNECT */
#define LOOK_MS 50             /* between two looks at whether all devices are ready */
#define QOS0_WAIT_MS 2000      /* later than this nothing comes that was sent once */

struct fleet {
    struct fleet_plan plan;
    struct fleet_device *devices;
    unsigned count; /* opened */
    struct device_link line;
    struct event *line_input; /* NULL: UDP */
    struct event *look;
    struct event *interrupt;
    struct event *terminate;
    uint64_t start_ms;
    uint64_t phase_ms; /* when the phase began */
    uint64_t second;   /* last one that was shown */
    unsigned interrupts;
    bool shows_progress;
    bool line_lost;
};

static void
enter(struct fleet *fleet, enum fleet_phase phase)
{
    fleet->plan.phase = phase;
    fleet->phase_ms = fleet_now_us() / 1000;
    for (unsigned i = 0; i < fleet->count; i++)
        fleet_device_step(&fleet->devices[i]);
}

static unsigned
count_connected(const struct fleet *fleet)
{
    unsigned connected = 0;

    for (unsigned i = 0; i < fleet->count; i++)
        connected += fleet_device_is_connected(&fleet->devices[i]);
    return connected;
}

static void
show_progress(struct fleet *fleet, uint64_t now)
{
    static const char *const words[] = {
        [FLEET_RUN] = "", [FLEET_DRAIN] = ", waiting for the rest", [FLEET_LEAVE] = ", leaving"};
    const struct fleet_tally *tally = &fleet->plan.tally;
    uint64_t second = (now - fleet->start_ms) / 1000;
    uint64_t sent = 0, received = 0, lost = 0;

    if (!fleet->shows_progress || second == fleet->second)
        return;
    fleet->second = second;
    for (unsigned qos = 0; qos <= 2; qos++) {
        sent += tally->qos[qos].sent;
        received += tally->qos[qos].received;
        lost += tally->qos[qos].lost;
    }
    fprintf(stderr,
            "\r\033[K%" PRIu64 " s: %u of %u connected, %" PRIu64 " sent, %" PRIu64
            " received, %" PRIu64 " lost%s",
            second, count_connected(fleet), fleet->count, sent, received, lost,
            words[fleet->plan.phase]);
}

/* QoS 0 is waited for in the first moments only: it may be lost. */
static bool
is_drained(const struct fleet *fleet, uint64_t waited_ms)
{
    for (unsigned i = 0; i < fleet->count; i++) {
        const struct fleet_device *device = &fleet->devices[i];
        bool patient = device->window.qos > 0 || waited_ms < QOS0_WAIT_MS;

        if (patient && !fleet_device_is_idle(device))
            return false;
    }
    return true;
}

static bool
has_left(const struct fleet *fleet)
{
    for (unsigned i = 0; i < fleet->count; i++)
        if (!fleet->devices[i].finished)
            return false;
    return true;
}

static void
on_look(evutil_socket_t fd, short what, void *ctx)
{
    struct fleet *fleet = ctx;
    const struct options *options = fleet->plan.options;
    uint64_t now = fleet_now_us() / 1000;
    uint64_t passed = now - fleet->phase_ms;

    (void)fd;
    (void)what;
    switch (fleet->plan.phase) {
    case FLEET_RUN:
        if (passed >= options->duration_ms)
            enter(fleet, FLEET_DRAIN);
        break;
    case FLEET_DRAIN:
        if (passed >= options->drain_ms || is_drained(fleet, passed)) {
            for (unsigned i = 0; i < fleet->count; i++)
                fleet_window_settle(&fleet->devices[i].window, true);
            enter(fleet, FLEET_LEAVE);
        }
        break;
    case FLEET_LEAVE:
        if (passed >= LEAVE_MS || has_left(fleet))
            event_base_loopbreak(fleet->plan.base);
        break;
    }
    show_progress(fleet, now);
}

static void
on_signal(evutil_socket_t fd, short what, void *ctx)
{
    struct fleet *fleet = ctx;

    (void)fd;
    (void)what;
    if (++fleet->interrupts > 1 || fleet->plan.phase != FLEET_RUN) {
        event_base_loopbreak(fleet->plan.base);
        return;
    }
    if (!fleet->plan.options->quiet)
        fprintf(stderr,
                "\ndormouse fleet: waiting for what is under way; once more ends at once\n");
    enter(fleet, FLEET_DRAIN);
}

/* A socket for each device; says what is wrong. */
static enum dm_result
raise_file_limit(unsigned devices)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return DM_IO;
    if (limit.rlim_max < devices + FILES_BESIDE) {
        fprintf(stderr,
                "dormouse fleet: %u devices need as many sockets, and %lu files may be open "
                "(ulimit -Hn)\n",
                devices, (unsigned long)limit.rlim_max);
        return DM_FULL;
    }
    if (limit.rlim_cur < devices + FILES_BESIDE)
        limit.rlim_cur = devices + FILES_BESIDE;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? DM_OK : DM_IO;
}

/* The address is looked up once. Returns -1 with errno. */
static int
open_socket(const struct sockaddr_storage *gateway, socklen_t len)
{
    int fd = socket(gateway->ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const void *)gateway, len) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static enum dm_result
find_gateway(const struct options *options, struct sockaddr_storage *gateway, socklen_t *len)
{
    struct device_udp udp;
    char error[256];
    enum dm_result result = device_udp_open(&udp, options, error, sizeof error);

    if (result != DM_OK)
        fprintf(stderr, "dormouse fleet: %s\n", error);
    else if (getpeername(udp.fd, (void *)gateway, len) != 0)
        result = DM_IO;
    device_udp_close(&udp);
    return result;
}

/* A message on the line, still encapsulated. */
static void
on_line_message(void *ctx, const uint8_t *message, size_t len)
{
    struct fleet *fleet = ctx;
    struct dm_span node_id;
    struct dm_span inner;

    if (!mqttsn_is_encapsulated(message, len) ||
        mqttsn_unwrap(message, len, &node_id, &inner) != DM_OK)
        return;
    unsigned index = fleet_node_index(node_id);
    if (index >= fleet->count)
        return;
    fleet_device_receive(&fleet->devices[index], inner.data, inner.len);
    fleet_device_step(&fleet->devices[index]);
}

static void
on_line_input(evutil_socket_t fd, short what, void *ctx)
{
    struct fleet *fleet = ctx;

    (void)fd;
    (void)what;
    if (device_link_receive(&fleet->line, fleet_now_us() / 1000, on_line_message, fleet) == DM_OK)
        return;
    fprintf(stderr, "dormouse fleet: %s: %s\n", fleet->line.name,
            errno != 0 ? strerror(errno) : "the line was closed");
    fleet->line_lost = true;
    event_base_loopbreak(fleet->plan.base);
}

static enum dm_result
open_line(struct fleet *fleet)
{
    char error[256];
    enum dm_result result =
        device_link_open(&fleet->line, fleet->plan.options, error, sizeof error);

    fleet->plan.line = &fleet->line;
    if (result != DM_OK) {
        fprintf(stderr, "dormouse fleet: %s\n", error);
        return result;
    }
    fleet->line_input =
        event_new(fleet->plan.base, fleet->line.fd, EV_READ | EV_PERSIST, on_line_input, fleet);
    if (fleet->line_input == NULL)
        return DM_NO_MEMORY;
    return event_add(fleet->line_input, NULL) == 0 ? DM_OK : DM_IO;
}

static enum dm_result
open_devices(struct fleet *fleet)
{
    const struct options *options = fleet->plan.options;
    struct sockaddr_storage gateway = {0};
    socklen_t len = sizeof gateway;

    bool on_line = options->serial != NULL;
    uint32_t pace = on_line ? LINE_CONNECTS_PER_S : CONNECTS_PER_S;

    if (on_line ? open_line(fleet) != DM_OK
                : raise_file_limit(options->devices) != DM_OK ||
                      find_gateway(options, &gateway, &len) != DM_OK)
        return DM_IO;
    fleet->devices = calloc(options->devices, sizeof *fleet->devices);
    if (fleet->devices == NULL)
        return DM_NO_MEMORY;
    for (unsigned i = 0; i < options->devices; i++) {
        int fd = on_line ? -1 : open_socket(&gateway, len);
        if (fd < 0 && !on_line) {
            fprintf(stderr, "dormouse fleet: socket %u: %s\n", i + 1, strerror(errno));
            return DM_IO;
        }
        fleet->count++;
        enum dm_result result =
            fleet_device_open(&fleet->devices[i], &fleet->plan, i, fd, i * 1000 / pace);
        if (result != DM_OK)
            return result;
    }
    return DM_OK;
}

static enum dm_result
open_loop(struct fleet *fleet)
{
    const struct timeval look = {.tv_usec = LOOK_MS * 1000};
    struct event_base *base = event_base_new();

    fleet->plan.base = base;
    if (base == NULL)
        return DM_NO_MEMORY;
    fleet->look = event_new(base, -1, EV_PERSIST, on_look, fleet);
    fleet->interrupt = evsignal_new(base, SIGINT, on_signal, fleet);
    fleet->terminate = evsignal_new(base, SIGTERM, on_signal, fleet);
    if (fleet->look == NULL || fleet->interrupt == NULL || fleet->terminate == NULL)
        return DM_NO_MEMORY;
    event_add(fleet->look, &look);
    event_add(fleet->interrupt, NULL);
    event_add(fleet->terminate, NULL);
    return DM_OK;
}

static void
close_fleet(struct fleet *fleet)
{
    struct event *events[] = {fleet->line_input, fleet->look, fleet->interrupt, fleet->terminate};

    for (unsigned i = 0; i < fleet->count; i++)
        fleet_device_close(&fleet->devices[i]);
    free(fleet->devices);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i] != NULL)
            event_free(events[i]);
    if (fleet->plan.line != NULL)
        device_link_close(fleet->plan.line);
    if (fleet->plan.base != NULL)
        event_base_free(fleet->plan.base);
    libevent_global_shutdown();
}

static int
report(struct fleet *fleet, uint32_t seed)
{
    const struct fleet_tally *tally = &fleet->plan.tally;
    struct fleet_summary summary = {.devices = fleet->count,
                                    .elapsed_ms = fleet_now_us() / 1000 - fleet->start_ms,
                                    .seed = seed};

    for (unsigned i = 0; i < fleet->count; i++) /* after the drain there is nothing left */
        fleet_window_settle(&fleet->devices[i].window, false);
    if (fleet->shows_progress)
        fprintf(stderr, "\r\033[K");
    if (fleet->plan.options->json)
        fleet_tally_print_json(tally, &summary, stdout);
    else
        fleet_tally_print(tally, &summary, stdout);
    if (fflush(stdout) != 0 || fleet_tally_is_bad(tally))
        return EXIT_STATUS_USAGE;
    return tally->connects > 0 && !fleet->line_lost ? EXIT_STATUS_OK : EXIT_STATUS_CONNECTION;
}

int
fleet_run(struct command_globals *globals, int argc, char **argv)
{
    static struct fleet fleet;
    struct options options;
    int status = EXIT_STATUS_USAGE;

    (void)globals;
    if (!options_read(&options, OPTIONS_FLEET, argc, argv, &status))
        return status;
    uint32_t now = (uint32_t)(fleet_now_us() ^ (uint64_t)time(NULL) * 2654435761u);
    uint32_t seed = options.seed != 0 ? options.seed : now | 1;
    fleet.plan = (struct fleet_plan){.options = &options, .run = now, .chance = seed};
    fleet.shows_progress = isatty(STDERR_FILENO) != 0 && !options.quiet;
    if (open_loop(&fleet) == DM_OK && open_devices(&fleet) == DM_OK) {
        fleet.start_ms = fleet.phase_ms = fleet_now_us() / 1000;
        event_base_dispatch(fleet.plan.base);
        status = report(&fleet, seed);
    }
    close_fleet(&fleet);
    return status;
}
