/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration means for one client id. */
#ifndef DORMOUSE_TOOLS_CHECK_CLIENT_H
#define DORMOUSE_TOOLS_CHECK_CLIENT_H

#include <stdio.h>

#include "config.h"

/* Prints the section that it gets and what follows from it. False: it would be refused. */
bool check_client_print(const struct config *config, const char *client_id, FILE *out);

#endif
