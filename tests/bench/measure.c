/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "bench.h"

enum { STATUS_MAX = 1 << 16 };

uint64_t
bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t
measure_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec used;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        fail("process %d is gone", (int)pid);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* Sum of the numbers behind `name` in a file of /proc/PID; false if it cannot be read. */
static bool
sum_of(pid_t pid, const char *file, const char *name, uint64_t *sum)
{
    char line[256];
    bool found = false;

    snprintf(line, sizeof line, "/proc/%d/%s", (int)pid, file);
    FILE *in = fopen(line, "re");

    *sum = 0;
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            *sum += strtoull(line + strlen(name), NULL, 10);
            found = true;
        }
    }
    if (in != NULL)
        fclose(in);
    return found;
}

uint64_t
measure_private(pid_t pid)
{
    uint64_t kib;

    return sum_of(pid, "status", "RssAnon:", &kib) ? kib * 1024 : 0;
}

/* The last column of /proc/net/udp, of the two sockets. */
static uint64_t
drops_of(uint16_t server_port, uint16_t fleet_port)
{
    FILE *in = fopen("/proc/net/udp", "re");
    char line[256];
    unsigned port;
    uint64_t drops;
    uint64_t sum = 0;

    while (in != NULL && fgets(line, sizeof line, in) != NULL)
        if (sscanf(line, " %*u: %*8x:%4x %*s %*s %*s %*s %*s %*u %*u %*u %*u %*s %" SCNu64, &port,
                   &drops) == 2 &&
            (port == server_port || port == fleet_port))
            sum += drops;
    if (in != NULL)
        fclose(in);
    return sum;
}

void
measure_sample(const struct server *server, uint16_t fleet_port, struct sample *sample)
{
    struct daemon_status status = {0};

    *sample = (struct sample){.at_ns = bench_now_ns(),
                              .cpu_ns = measure_cpu_ns(server->pid),
                              .drops = drops_of(server->port, fleet_port)};
    sample->has_disk = sum_of(server->pid, "io", "write_bytes:", &sample->disk_octets);
    if (server->kind == SERVER_DORMOUSE && !measure_status(server, &status))
        fail("the daemon does not answer");
    sample->store_octets = status.written_octets;
}

/* One line from the control socket; false if nobody answers. */
static bool
ask_status(const struct server *server, char *answer, size_t size)
{
    static const char request[] = "{\"command\":\"status\"}\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t len = 0;
    ssize_t got = 1;

    snprintf(address.sun_path, sizeof address.sun_path, "%.90s/control.sock", server->directory);
    bool asked = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                 send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0;

    while (asked && got > 0 && len < size - 1 && memchr(answer, '\n', len) == NULL) {
        got = recv(fd, answer + len, size - 1 - len, 0);
        len += got > 0 ? (size_t)got : 0;
    }
    answer[len] = '\0';
    close(fd);
    return len > 0;
}

static uint64_t
number(const cJSON *root, const char *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItem(cJSON_GetObjectItem(root, object), name);

    return cJSON_IsNumber(value) ? (uint64_t)value->valuedouble : 0;
}

bool
measure_status(const struct server *server, struct daemon_status *status)
{
    static char answer[STATUS_MAX];
    cJSON *root = ask_status(server, answer, sizeof answer) ? cJSON_Parse(answer) : NULL;
    const char *state =
        cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(root, "broker"), "state"));

    if (state != NULL)
        *status = (struct daemon_status){
            .connected = strcmp(state, "connected") == 0,
            .queued = number(root, "queue", "messages"),
            .asleep = number(root, "sessions", "asleep"),
            .written_octets = number(root, "store", "written_octets"),
            .settled = number(root, "store", "appended") == number(root, "store", "committed"),
        };
    cJSON_Delete(root);
    return state != NULL;
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

double
measure_quantile(double *values, size_t count, double part)
{
    if (count == 0)
        return (double)NAN;
    qsort(values, count, sizeof *values, compare);
    return values[(size_t)(part * (double)(count - 1) + 0.5)];
}
