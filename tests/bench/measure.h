/* SPDX-License-Identifier: Apache-2.0 */
/* What a process costs, as the kernel and the daemon's status tell it. */
#ifndef DORMOUSE_BENCH_MEASURE_H
#define DORMOUSE_BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include <sys/types.h>

struct server;

struct sample {
    uint64_t at_ns;
    uint64_t cpu_ns;       /* all threads, user and system */
    uint64_t disk_octets;  /* write_bytes of /proc/PID/io */
    uint64_t store_octets; /* written_octets of the status; 0 without a store */
    uint64_t drops; /* datagrams that the server's and the devices' sockets had no room for */
    bool has_disk;
};

/* What the daemon tells about itself. */
struct daemon_status {
    bool connected; /* to the broker */
    uint64_t queued;
    uint64_t asleep;
    uint64_t written_octets;
    bool settled; /* all that was recorded is on disk */
};

/* All threads of the process, user and system. */
uint64_t measure_cpu_ns(pid_t pid);

/* The CPU time is taken before the daemon's status is asked for. */
void measure_sample(const struct server *server, uint16_t fleet_port, struct sample *sample);

/* Private memory of a process in octets (RssAnon: without its program, which pages can be dropped
 * and read again); 0: cannot be read. */
uint64_t measure_private(pid_t pid);

/* False if the daemon does not answer (yet). */
bool measure_status(const struct server *server, struct daemon_status *status);

/* The value below which `part` (0..1) of them lie; sorts them. NAN without any. */
double measure_quantile(double *values, size_t count, double part);

#endif
