/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: builds every part in order, runs the loop, and takes all apart in reverse. */
#ifndef DORMOUSE_APP_H
#define DORMOUSE_APP_H

#include "config.h"

/* Runs until SIGTERM or SIGINT; `debug` logs every packet. Returns the exit status of the process.
 */
int app_run(const struct config *config, bool debug);

#endif
