/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the control socket, built from status snapshots. */
#ifndef DORMOUSE_CONTROL_JSON_H
#define DORMOUSE_CONTROL_JSON_H

#include "control.h"

/* The answer to one request line as JSON text without a newline; the caller frees it. NULL: no
 * memory. */
char *control_answer(const struct control_source *source, struct dm_span request);

#endif
