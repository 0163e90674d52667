/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's answers as a person reads them. */
#ifndef DORMOUSE_TOOLS_OPERATOR_PRINT_H
#define DORMOUSE_TOOLS_OPERATOR_PRINT_H

#include <stdio.h>

#include <dormouse/result.h>

struct cJSON;

/* What an answer lacks is shown as "-". DM_NO_MEMORY: nothing useful was printed. */
enum dm_result operator_print_status(const struct cJSON *answer, FILE *out);
/* The links of a status, with more about each. */
enum dm_result operator_print_ports(const struct cJSON *answer, FILE *out);
enum dm_result operator_print_sessions(const struct cJSON *answer, FILE *out);

#endif
