/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to stderr, with a priority prefix where journald reads them. */
#include <dormouse/log.h>

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_int log_limit = LOG_LEVEL_INFO;

void
log_set_level(enum log_level level)
{
    atomic_store(&log_limit, (int)level);
}

bool
log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_limit, memory_order_relaxed);
}

static const char *
level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error: ";
    case LOG_LEVEL_WARNING:
        return "warning: ";
    case LOG_LEVEL_NOTICE:
    case LOG_LEVEL_INFO:
        return "";
    case LOG_LEVEL_DEBUG:
        return "debug: ";
    }
    return "";
}

void
log_write(enum log_level level, const char *module, const char *format, ...)
{
    char line[1024];
    int head = getenv("JOURNAL_STREAM") != NULL
                   ? snprintf(line, sizeof line, "<%d>%s: ", (int)level, module)
                   : snprintf(line, sizeof line, "%s: %s", module, level_name(level));
    size_t used = head < 0 ? 0 : (size_t)head;
    va_list arguments;

    va_start(arguments, format);
    int body = vsnprintf(line + used, sizeof line - 1 - used, format, arguments);
    va_end(arguments);
    if (body > 0)
        used += (size_t)body;
    if (used > sizeof line - 2)
        used = sizeof line - 2;
    line[used++] = '\n';
    /* A log that cannot be written has no better place to complain. */
    ssize_t ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
}

const char *
log_escape(char *buffer, size_t size, struct dm_span octets)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;

    for (size_t i = 0; i < octets.len; i++) {
        uint8_t octet = octets.data[i];
        bool plain = octet >= 0x20 && octet < 0x7f && octet != '\\';

        /* Room for this octet, and for the dots that replace the next. */
        if (used + (plain ? 1u : 4u) + 4u > size) {
            memcpy(buffer + used, "...", 3);
            used += 3;
            break;
        }
        if (plain) {
            buffer[used++] = (char)octet;
        } else {
            buffer[used++] = '\\';
            buffer[used++] = 'x';
            buffer[used++] = hex[octet >> 4];
            buffer[used++] = hex[octet & 15];
        }
    }
    buffer[used] = '\0';
    return buffer;
}
