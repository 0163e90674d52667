/* SPDX-License-Identifier: Apache-2.0 */
/* Collects the cells of a table, then prints each column as wide as its widest cell. */
#include "table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GAP 2 /* blanks between columns */
#define WIDTH_DEFAULT 80
#define WIDTH_MIN 20 /* a narrower terminal wraps */

void
table_init(struct table *table, const struct table_column *columns, size_t count)
{
    assert(count > 0 && count <= TABLE_COLUMNS_MAX);
    *table = (struct table){.columns = columns, .column_count = count};
}

void
table_fini(struct table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

enum dm_result
table_add(struct table *table, const char *text)
{
    if (table->cell_count == table->capacity) {
        size_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
        char **cells = realloc(table->cells, capacity * sizeof *cells);
        if (cells == NULL)
            return DM_NO_MEMORY;
        table->cells = cells;
        table->capacity = capacity;
    }
    char *copy = strdup(text);
    if (copy == NULL)
        return DM_NO_MEMORY;
    table->cells[table->cell_count++] = copy;
    return DM_OK;
}

static size_t
column_width(const struct table *table, size_t column)
{
    size_t width = strlen(table->columns[column].heading);

    for (size_t i = column; i < table->cell_count; i += table->column_count) {
        size_t len = strlen(table->cells[i]);
        if (len > width)
            width = len;
    }
    return width;
}

/* Prints one line; `cells` has a text for every column. Blanks wait for the text behind them, so
 * that no line ends in blanks. */
static void
print_row(const struct table *table, const size_t *widths, const char *const *cells, size_t limit,
          FILE *out)
{
    size_t used = 0;
    size_t blanks = 0;

    for (size_t i = 0; i < table->column_count; i++) {
        size_t len = strlen(cells[i]);
        size_t pad = widths[i] - len;
        bool right = table->columns[i].right;

        if (right)
            blanks += pad;
        if (limit != 0 && used + blanks + len > limit) {
            size_t room = used + blanks < limit ? limit - used - blanks : 0;
            if (room > 3)
                fprintf(out, "%*s%.*s...", (int)blanks, "", (int)room - 3, cells[i]);
            break;
        }
        fprintf(out, "%*s%s", (int)blanks, "", cells[i]);
        used += blanks + len;
        blanks = GAP + (right ? 0 : pad);
    }
    fputc('\n', out);
}

void
table_print(const struct table *table, size_t width, FILE *out)
{
    size_t widths[TABLE_COLUMNS_MAX];
    const char *cells[TABLE_COLUMNS_MAX];

    for (size_t i = 0; i < table->column_count; i++) {
        widths[i] = column_width(table, i);
        cells[i] = table->columns[i].heading;
    }
    print_row(table, widths, cells, width, out);
    for (size_t row = 0; row + table->column_count <= table->cell_count;
         row += table->column_count) {
        for (size_t i = 0; i < table->column_count; i++)
            cells[i] = table->cells[row + i];
        print_row(table, widths, cells, width, out);
    }
}

size_t
table_terminal_width(FILE *out)
{
    struct winsize size = {0};

    if (isatty(fileno(out)) == 0)
        return 0;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col < WIDTH_MIN)
        return WIDTH_DEFAULT;
    return size.ws_col;
}
