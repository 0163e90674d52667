/* SPDX-License-Identifier: Apache-2.0 */
/* The table that is printed, in Markdown: one line per scenario, fleet and server. */
#ifndef DORMOUSE_BENCH_TABLE_H
#define DORMOUSE_BENCH_TABLE_H

#include "bench.h"

struct table_row {
    const char *name;
    uint32_t devices;
    unsigned rounds;
    struct figures *figures[SERVER_KINDS]; /* one per round; NULL: does not take part */
};

void table_head(void);

/* False if something was lost, or a figure is missing that every scenario has. */
bool table_show(const struct table_row *row);

#endif
