/* SPDX-License-Identifier: Apache-2.0 */
/* Prints one device, its queue and its packets from JSON that is not trusted to be complete. */
#ifndef DORMOUSE_TOOLS_OPERATOR_SHOW_H
#define DORMOUSE_TOOLS_OPERATOR_SHOW_H

#include <stdio.h>

#include <dormouse/result.h>

struct cJSON;

/* Answers of "show" and "queue". DM_NO_MEMORY. */
enum dm_result operator_show_print(const struct cJSON *answer, FILE *out);
enum dm_result operator_show_print_queue(const struct cJSON *answer, FILE *out);
/* A line of "trace". */
void operator_show_print_packet(const struct cJSON *line, FILE *out);

#endif
