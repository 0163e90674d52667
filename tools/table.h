/* SPDX-License-Identifier: Apache-2.0 */
/* A table of text with aligned columns. */
#ifndef DORMOUSE_TOOLS_TABLE_H
#define DORMOUSE_TOOLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <dormouse/result.h>

#define TABLE_COLUMNS_MAX 12

struct table_column {
    const char *heading; /* borrowed */
    bool right;          /* numbers */
};

/* Caller's storage; fields are private. */
struct table {
    const struct table_column *columns;
    size_t column_count;
    char **cells; /* owned, row after row */
    size_t cell_count;
    size_t capacity;
};

/* `columns` (at most TABLE_COLUMNS_MAX) is borrowed until table_fini. */
void table_init(struct table *table, const struct table_column *columns, size_t count);
void table_fini(struct table *table);

/* Adds the next cell of the row, left to right; copies. */
enum dm_result table_add(struct table *table, const char *text);

/* Prints headings and complete rows. Lines are cut at `width` columns, 0 = never. Text is ASCII. */
void table_print(const struct table *table, size_t width, FILE *out);

/* Columns of the terminal behind `out`, 0 if it is none. */
size_t table_terminal_width(FILE *out);

#endif
