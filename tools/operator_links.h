/* SPDX-License-Identifier: Apache-2.0 */
/* The links of a status: what went over them, how well, and the nodes that were heard. */
#ifndef DORMOUSE_TOOLS_OPERATOR_LINKS_H
#define DORMOUSE_TOOLS_OPERATOR_LINKS_H

#include <stdbool.h>
#include <stdio.h>

#include <dormouse/result.h>

struct cJSON;

/* `all`: both directions of each link, and counters that are 0, too. */
enum dm_result operator_links_print(const struct cJSON *links, bool all, FILE *out);

#endif
