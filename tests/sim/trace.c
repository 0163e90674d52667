/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a trace: all of them as they come, or the last ones when a promise is broken. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { LINES = 60, LINE_MAX_OCTETS = 220 };

struct trace {
    bool stream;
    uint64_t count;
    char lines[LINES][LINE_MAX_OCTETS];
};

struct trace *
trace_new(bool stream)
{
    struct trace *trace = calloc(1, sizeof *trace);

    if (trace == NULL)
        abort();
    trace->stream = stream;
    return trace;
}

void
trace_free(struct trace *trace)
{
    free(trace);
}

void
trace_line(struct trace *trace, uint64_t step, uint64_t ms, const char *format, ...)
{
    char *line = trace->lines[trace->count++ % LINES];
    int head = snprintf(line, LINE_MAX_OCTETS, "%6" PRIu64 " %7" PRIu64 ".%03" PRIu64 " ", step,
                        ms / 1000, ms % 1000);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line + head, LINE_MAX_OCTETS - (size_t)head, format, arguments);
    va_end(arguments);
    if (trace->stream)
        puts(line);
}

void
trace_print_last(const struct trace *trace)
{
    uint64_t first = trace->count > LINES ? trace->count - LINES : 0;

    for (uint64_t i = first; i < trace->count; i++)
        puts(trace->lines[i % LINES]);
}
