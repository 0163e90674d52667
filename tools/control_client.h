/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the running gateway over its control socket. */
#ifndef DORMOUSE_TOOLS_CONTROL_CLIENT_H
#define DORMOUSE_TOOLS_CONTROL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <dormouse/result.h>

/*
 * Sends `request` (one JSON object, no newline) and waits for the answer: *answer is NUL-terminated
 * and for the caller to free. DM_IO: nobody answers. DM_FULL, DM_NO_MEMORY: the answer is too long.
 * On failure the reason is in `error`, and *answer is NULL.
 */
enum dm_result control_client_ask(const char *path, const char *request, char **answer, char *error,
                                  size_t error_size);

/* False: no more. `line` is borrowed. */
typedef bool control_client_line(void *ctx, const char *line);

/*
 * The same with an answer of many lines, each as it comes, however long that takes. DM_OK: the
 * gateway or `on_line` ended it. On failure the reason is in `error`.
 */
enum dm_result control_client_stream(const char *path, const char *request,
                                     control_client_line *on_line, void *ctx, char *error,
                                     size_t error_size);

#endif
