/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to stderr, with a priority prefix where journald reads them. */
#include <dormouse/log.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "log_private.h"

#define LINE_MAX_OCTETS 1024

/* The last line, while folding is on. */
static struct {
    pthread_mutex_t lock;
    bool on;
    const char *module; /* NULL: none */
    enum log_level level;
    uint64_t written_ms;
    unsigned repeats; /* not written since */
    char text[LINE_MAX_OCTETS];
} last = {.lock = PTHREAD_MUTEX_INITIALIZER};

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

static void
write_line(enum log_level level, const char *module, const char *text)
{
    char line[LINE_MAX_OCTETS];
    int len = getenv("JOURNAL_STREAM") != NULL
                  ? snprintf(line, sizeof line - 1, "<%d>%s: %s", (int)level, module, text)
                  : snprintf(line, sizeof line - 1, "%s: %s%s", module, level_name(level), text);
    size_t used = len < 0 ? 0 : (size_t)len;

    if (used > sizeof line - 2)
        used = sizeof line - 2;
    line[used++] = '\n';
    /* A log that cannot be written has no better place to complain. */
    ssize_t ignored = write(STDERR_FILENO, line, used);
    (void)ignored;
}

static uint64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
tell_repeats(void)
{
    char text[64];

    if (last.repeats == 0)
        return;
    snprintf(text, sizeof text, "last message repeated %u time%s", last.repeats,
             last.repeats == 1 ? "" : "s");
    write_line(last.level, last.module, text);
    last.repeats = 0;
}

/* True: it is counted, and not to be written. */
static bool
fold(enum log_level level, const char *module, const char *text)
{
    uint64_t now = now_ms();
    bool same = last.module != NULL && level == last.level && level < LOG_LEVEL_DEBUG &&
                strcmp(module, last.module) == 0 && strcmp(text, last.text) == 0;

    if (same && now - last.written_ms < LOG_FOLD_MS) {
        last.repeats++;
        return true;
    }
    tell_repeats();
    last.module = module;
    last.level = level;
    last.written_ms = now;
    snprintf(last.text, sizeof last.text, "%s", text);
    return false;
}

void
log_fold_repeats(bool on)
{
    pthread_mutex_lock(&last.lock);
    tell_repeats();
    last.on = on;
    last.module = NULL;
    pthread_mutex_unlock(&last.lock);
}

void
log_flush_repeats(void)
{
    pthread_mutex_lock(&last.lock);
    if (last.repeats > 0 && now_ms() - last.written_ms >= LOG_FOLD_MS)
        tell_repeats();
    pthread_mutex_unlock(&last.lock);
}

void
log_write(enum log_level level, const char *module, const char *format, ...)
{
    char text[LINE_MAX_OCTETS];
    va_list arguments;

    if (!log_module_enabled(level, module))
        return;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len < 0)
        text[0] = '\0';
    pthread_mutex_lock(&last.lock);
    if (!last.on || !fold(level, module, text))
        write_line(level, module, text);
    pthread_mutex_unlock(&last.lock);
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
