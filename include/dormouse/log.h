/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to stderr, one per event. With journald behind stderr each starts with its <priority>.
 */
#ifndef DORMOUSE_LOG_H
#define DORMOUSE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include <dormouse/span.h>

enum log_level {
    LOG_LEVEL_ERROR = 3, /* the numbers are syslog's priorities */
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7,
};

/* Lines less important than `level` are not written, whatever their module. Default:
 * LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
/* False: no module writes such lines. True: some do. */
bool log_enabled(enum log_level level);

/* The words that stand for `module` below; NULL ends them. */
extern const char *const log_modules[];
/* "info", "info, packet=debug": a level for all modules (info if not told) and levels of single
 * ones. Returns NULL, or why that is not possible (static storage). */
const char *log_check_levels(const char *text);
/* Text that log_check_levels has seen. */
void log_set_levels(const char *text);
/* The same, but without a level for all modules ("packet=debug") the others stay as they are. */
void log_change_levels(const char *text);
#define LOG_LEVELS_TEXT_MAX 512
/* What is set, as such a text: "info, packet=debug". Returns `text`. */
const char *log_levels_text(char text[LOG_LEVELS_TEXT_MAX]);

/*
 * Folding, off at first: a line that says the same as the one before within LOG_FOLD_MS is counted
 * and not written; the next other line, or log_flush_repeats, writes how often it came. Debug lines
 * are never folded. Off again: writes what is counted.
 */
#define LOG_FOLD_MS 10000
void log_fold_repeats(bool on);
/* Writes what was counted for LOG_FOLD_MS. For a timer. */
void log_flush_repeats(void);

/* Writes "module: text\n" in one write(2) if the level of the module allows. Safe from any thread.
 * `module` is one of log_modules. */
void log_write(enum log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_at(level, ...)                                                                         \
    do {                                                                                           \
        if (log_enabled(level))                                                                    \
            log_write(level, __VA_ARGS__);                                                         \
    } while (0)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_at(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Untrusted octets as printable text: everything outside printable ASCII, and the backslash,
 * becomes \xHH; too long input ends in "...". Always terminates; size >= 8. Returns `buffer`, so
 * that it can stand in an argument list.
 */
const char *log_escape(char *buffer, size_t size, struct dm_span octets);

#endif
