/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the store into SQLite, each with a chance to fail. */
#include <stdarg.h>
#include <stddef.h>

#include <sqlite3.h>

#include "sqlite_faults.h"

/* The linker gives them these names (--wrap). */
#define WRAP(name, parameters, arguments)                                                          \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        int failure = refusal();                                                                   \
        return failure != SQLITE_OK ? failure : __real_##name arguments;                           \
    }

/* SQLITE_CORRUPT from a call that lasts is damage by SQLite's own word, so it only passes. */
static int
refusal(void)
{
    static const int codes[] = {SQLITE_NOMEM, SQLITE_IOERR_WRITE, SQLITE_FULL, SQLITE_BUSY,
                                SQLITE_CORRUPT};

    if (!sqlite_faults_hit(FAULT_CALLS))
        return SQLITE_OK;
    return codes[sqlite_faults.code % (sqlite_faults.lasting ? 4 : 5)];
}

typedef int callback(void *, int, char **, char **);

WRAP(sqlite3_initialize, (void), ())
WRAP(sqlite3_open_v2, (const char *path, sqlite3 **handle, int flags, const char *vfs),
     (path, handle, flags, vfs))
WRAP(sqlite3_exec, (sqlite3 * handle, const char *sql, callback *each, void *ctx, char **error),
     (handle, sql, each, ctx, error))
WRAP(sqlite3_prepare_v2,
     (sqlite3 * handle, const char *sql, int octets, sqlite3_stmt **statement, const char **rest),
     (handle, sql, octets, statement, rest))
WRAP(sqlite3_prepare_v3,
     (sqlite3 * handle, const char *sql, int octets, unsigned flags, sqlite3_stmt **statement,
      const char **rest),
     (handle, sql, octets, flags, statement, rest))
WRAP(sqlite3_bind_int, (sqlite3_stmt * statement, int index, int value), (statement, index, value))
WRAP(sqlite3_bind_int64, (sqlite3_stmt * statement, int index, sqlite3_int64 value),
     (statement, index, value))
WRAP(sqlite3_bind_text64,
     (sqlite3_stmt * statement, int index, const char *text, sqlite3_uint64 octets,
      void (*release)(void *), unsigned char encoding),
     (statement, index, text, octets, release, encoding))
WRAP(sqlite3_bind_blob64,
     (sqlite3_stmt * statement, int index, const void *blob, sqlite3_uint64 octets,
      void (*release)(void *)),
     (statement, index, blob, octets, release))

/* Half of the time what it reports as failed was done all the same, as a COMMIT can be whose last
 * write fails. */
int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);

int
__wrap_sqlite3_step(sqlite3_stmt *statement)
{
    int failure = refusal();

    if (failure == SQLITE_OK || sqlite_faults.code % 2 == 0) {
        int rc = __real_sqlite3_step(statement);
        return failure != SQLITE_OK ? failure : rc;
    }
    return failure;
}

/* It always resets; what it returns is about the step before. */
int __real_sqlite3_reset(sqlite3_stmt *statement);
int __wrap_sqlite3_reset(sqlite3_stmt *statement);

int
__wrap_sqlite3_reset(sqlite3_stmt *statement)
{
    int failure = refusal();
    int rc = __real_sqlite3_reset(statement);

    return failure != SQLITE_OK ? failure : rc;
}

char *__wrap_sqlite3_mprintf(const char *format, ...);

char *
__wrap_sqlite3_mprintf(const char *format, ...)
{
    va_list arguments;

    if (refusal() != SQLITE_OK)
        return NULL;
    va_start(arguments, format);
    char *text = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    return text;
}
