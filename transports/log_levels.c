/* SPDX-License-Identifier: Apache-2.0 */
/* Which log lines are wanted: a level for all modules, and others for single ones. */
#include "log_private.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MODULES_MAX 32
#define BLANKS " \t"

const char *const log_modules[] = {
    "access",   "app",    "config",  "control", "discovery", "engine", "http",
    "libevent", "packet", "pairing", "queue",   "runner",    "serial", "session",
    "status",   "store",  "udp",     "uplink",  "upstream",  "will",   NULL,
};

_Static_assert(sizeof log_modules / sizeof log_modules[0] <= MODULES_MAX, "room for each module");

static const struct {
    const char *name;
    enum log_level level;
} level_names[] = {
    {"error", LOG_LEVEL_ERROR}, {"warning", LOG_LEVEL_WARNING}, {"notice", LOG_LEVEL_NOTICE},
    {"info", LOG_LEVEL_INFO},   {"debug", LOG_LEVEL_DEBUG},
};

static atomic_int limit_of_others = LOG_LEVEL_INFO;
static atomic_int most_detailed = LOG_LEVEL_INFO; /* of all limits */
static atomic_int limits[MODULES_MAX];            /* 0: as the others */

void
log_set_level(enum log_level level)
{
    for (size_t i = 0; i < MODULES_MAX; i++)
        atomic_store(&limits[i], 0);
    atomic_store(&limit_of_others, (int)level);
    atomic_store(&most_detailed, (int)level);
}

bool
log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&most_detailed, memory_order_relaxed);
}

static int
find_module(const char *name, size_t len)
{
    for (int i = 0; log_modules[i] != NULL; i++)
        if (strlen(log_modules[i]) == len && strncmp(log_modules[i], name, len) == 0)
            return i;
    return -1;
}

bool
log_module_enabled(enum log_level level, const char *module)
{
    int index = find_module(module, strlen(module));
    int limit = index < 0 ? 0 : atomic_load_explicit(&limits[index], memory_order_relaxed);

    if (limit == 0)
        limit = atomic_load_explicit(&limit_of_others, memory_order_relaxed);
    return (int)level <= limit;
}

struct part {
    int module; /* -1: all others */
    enum log_level level;
};

/* Reads "info" or "packet=debug" of `len` octets. Returns NULL or why not. */
static const char *
read_part(const char *text, size_t len, struct part *part)
{
    const char *equals = memchr(text, '=', len);

    part->module = -1;
    if (equals != NULL) {
        size_t name = (size_t)(equals - text);
        size_t used = name;
        while (used > 0 && strchr(BLANKS, text[used - 1]) != NULL)
            used--;
        part->module = find_module(text, used);
        if (part->module < 0)
            return "names a module that does not exist";
        text += name + 1;
        len -= name + 1;
        while (len > 0 && strchr(BLANKS, *text) != NULL) {
            text++;
            len--;
        }
    }
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strlen(level_names[i].name) == len && strncmp(level_names[i].name, text, len) == 0) {
            part->level = level_names[i].level;
            return NULL;
        }
    }
    return "is not LEVEL or MODULE=LEVEL, with a level of error, warning, notice, info, debug";
}

/* Reads the next part of the list; *text moves behind it, NULL after the last one. */
static const char *
next_part(const char **text, struct part *part)
{
    const char *start = *text + strspn(*text, BLANKS);
    size_t len = strcspn(start, ",");

    *text = start[len] == ',' ? start + len + 1 : NULL;
    while (len > 0 && strchr(BLANKS, start[len - 1]) != NULL)
        len--;
    return read_part(start, len, part);
}

const char *
log_check_levels(const char *text)
{
    unsigned others = 0;

    while (text != NULL) {
        struct part part;
        const char *why = next_part(&text, &part);
        if (why != NULL)
            return why;
        if (part.module < 0 && ++others > 1)
            return "has two levels for all modules";
    }
    return NULL;
}

static void
update_most_detailed(void)
{
    int most = atomic_load(&limit_of_others);

    for (size_t i = 0; i < MODULES_MAX; i++)
        if (atomic_load(&limits[i]) > most)
            most = atomic_load(&limits[i]);
    atomic_store(&most_detailed, most);
}

void
log_change_levels(const char *text)
{
    struct part part;

    for (const char *rest = text; rest != NULL;)
        if (next_part(&rest, &part) == NULL && part.module < 0)
            log_set_level(part.level);
    for (const char *rest = text; rest != NULL;)
        if (next_part(&rest, &part) == NULL && part.module >= 0)
            atomic_store(&limits[part.module], (int)part.level);
    update_most_detailed();
}

void
log_set_levels(const char *text)
{
    log_set_level(LOG_LEVEL_INFO);
    log_change_levels(text);
}

static const char *
level_name(int level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
        if ((int)level_names[i].level == level)
            return level_names[i].name;
    return "";
}

const char *
log_levels_text(char text[LOG_LEVELS_TEXT_MAX])
{
    int others = atomic_load(&limit_of_others);
    size_t len = (size_t)snprintf(text, LOG_LEVELS_TEXT_MAX, "%s", level_name(others));

    for (size_t i = 0; log_modules[i] != NULL && len < LOG_LEVELS_TEXT_MAX; i++) {
        int limit = atomic_load(&limits[i]);

        if (limit != 0 && limit != others)
            len += (size_t)snprintf(text + len, LOG_LEVELS_TEXT_MAX - len, ", %s=%s",
                                    log_modules[i], level_name(limit));
    }
    return text;
}
