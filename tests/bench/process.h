/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of the benchmark: the broker, the daemon and the servers to compare with. All of
 * them end with the benchmark, however that ends. */
#ifndef DORMOUSE_BENCH_PROCESS_H
#define DORMOUSE_BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench.h"

/* A directory below `parent` for everything that is written; process_finish removes it, unless
 * a process ended badly and its log is there. */
void process_init(const char *parent, const char *mqtt_version);
void process_finish(void);

/* Starts Mosquitto and returns its port when it accepts connections. */
uint16_t process_start_broker(void);

/* A new server with an empty state, ready for devices. */
void server_start(struct server *server, enum server_kind kind, uint16_t broker_port,
                  unsigned backlog);
/* The same daemon with its state again, after server_stop. Returns when it is connected. */
void server_start_again(struct server *server);
/* SIGTERM, and waits for the end. */
void server_stop(struct server *server);

/* What `main` has to do if it was started as one of our servers: does not return then. */
void process_serve(int argc, char **argv);

#endif
