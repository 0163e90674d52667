/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: builds every part in order, runs the loop, and takes all apart in reverse. */
#ifndef DORMOUSE_APP_H
#define DORMOUSE_APP_H

#include "config.h"

/* Runs until SIGTERM or SIGINT; `debug` logs every packet. Takes `config` over, which was read from
 * `path`; that is read again on SIGHUP. Returns the exit status of the process. */
int app_run(const char *path, struct config *config, bool debug);

#endif
