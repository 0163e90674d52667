/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the store in the state directory: lock, database file, reserve. */
#include "store_files.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DATABASE_NAME "dormouse.db"
#define LOCK_NAME "dormouse.lock"
#define RESERVE_NAME "dormouse.reserve"
#define NAME_SIZE 96       /* of a database moved aside, with the longest suffix */
#define ASIDE_ATTEMPTS 100 /* databases moved aside within one second */

static enum dm_result
fail_errno(char *error, size_t error_size, const char *what, const char *path)
{
    snprintf(error, error_size, "cannot %s %s: %s", what, path, strerror(errno));
    return DM_IO;
}

/* Makes the entry of a new directory in its parent durable. */
static void
sync_parent(const char *directory)
{
    char copy[sizeof((struct store_files *)0)->database];

    snprintf(copy, sizeof copy, "%s", directory);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd); /* some file systems cannot; the directory is usable all the same */
    close(fd);
}

static enum dm_result
open_directory(struct store_files *files, const char *directory, char *error, size_t error_size)
{
    if (mkdir(directory, 0700) == 0)
        sync_parent(directory);
    else if (errno != EEXIST)
        return fail_errno(error, error_size, "create", directory);
    files->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (files->directory_fd < 0)
        return fail_errno(error, error_size, "open", directory);
    return DM_OK;
}

static enum dm_result
take_lock(struct store_files *files, const char *directory, char *error, size_t error_size)
{
    files->lock_fd = openat(files->directory_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (files->lock_fd < 0)
        return fail_errno(error, error_size, "create " LOCK_NAME " in", directory);
    if (flock(files->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return DM_OK;
    if (errno != EWOULDBLOCK)
        return fail_errno(error, error_size, "lock", directory);
    snprintf(error, error_size, "another process uses %s", directory);
    return DM_FULL;
}

/* SQLite gives the write-ahead log the mode of the database, so this is the place to say 0600. */
static enum dm_result
create_database(struct store_files *files, char *error, size_t error_size)
{
    int fd = openat(files->directory_fd, DATABASE_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return fail_errno(error, error_size, "open", files->database);
    close(fd);
    return DM_OK;
}

enum dm_result
store_files_open(struct store_files *files, const char *directory, char *error, size_t error_size)
{
    *files = (struct store_files){.directory_fd = -1, .lock_fd = -1};
    int len = snprintf(files->database, sizeof files->database, "%s/" DATABASE_NAME, directory);
    if (len < 0 || (size_t)len >= sizeof files->database) {
        snprintf(error, error_size, "path of the state directory is too long");
        return DM_INVALID;
    }
    enum dm_result result = open_directory(files, directory, error, error_size);
    if (result == DM_OK)
        result = take_lock(files, directory, error, error_size);
    if (result == DM_OK)
        result = create_database(files, error, error_size);
    struct stat reserve;
    if (result == DM_OK)
        files->reserve = fstatat(files->directory_fd, RESERVE_NAME, &reserve, 0) == 0 &&
                         reserve.st_size >= (off_t)STORE_RESERVE_OCTETS;
    return result;
}

void
store_files_close(struct store_files *files)
{
    if (files->lock_fd >= 0)
        close(files->lock_fd);
    if (files->directory_fd >= 0)
        close(files->directory_fd);
    files->lock_fd = files->directory_fd = -1;
}

/* A name that no file of an earlier accident has. */
static bool
choose_aside_name(const struct store_files *files, char *name, size_t name_size)
{
    time_t now = time(NULL);
    struct tm utc;
    char stamp[32];

    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    for (int i = 0; i < ASIDE_ATTEMPTS; i++) {
        if (i == 0)
            snprintf(name, name_size, DATABASE_NAME ".corrupt-%s", stamp);
        else
            snprintf(name, name_size, DATABASE_NAME ".corrupt-%s.%d", stamp, i);
        if (faccessat(files->directory_fd, name, F_OK, 0) != 0)
            return errno == ENOENT;
    }
    return false;
}

enum dm_result
store_files_set_aside(struct store_files *files, char *name, size_t name_size, char *error,
                      size_t error_size)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

    if (!choose_aside_name(files, name, name_size))
        return fail_errno(error, error_size, "find a name to move aside", files->database);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char from[NAME_SIZE], to[NAME_SIZE];
        snprintf(from, sizeof from, DATABASE_NAME "%s", suffixes[i]);
        snprintf(to, sizeof to, "%s%s", name, suffixes[i]);
        if (renameat(files->directory_fd, from, files->directory_fd, to) != 0 && errno != ENOENT)
            return fail_errno(error, error_size, "move aside", files->database);
    }
    return create_database(files, error, error_size);
}

bool
store_files_fill_reserve(struct store_files *files)
{
    if (files->reserve)
        return true;
    int fd = openat(files->directory_fd, RESERVE_NAME, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    files->reserve = posix_fallocate(fd, 0, STORE_RESERVE_OCTETS) == 0;
    close(fd);
    if (files->reserve)
        files->reserve_spent = false;
    else
        unlinkat(files->directory_fd, RESERVE_NAME, 0); /* what little it got is needed elsewhere */
    return files->reserve;
}

bool
store_files_spend_reserve(struct store_files *files)
{
    if (!files->reserve || unlinkat(files->directory_fd, RESERVE_NAME, 0) != 0)
        return false;
    files->reserve = false;
    files->reserve_spent = true;
    return true;
}

uint64_t
store_files_octets(const struct store_files *files)
{
    static const char *const names[] = {DATABASE_NAME, DATABASE_NAME "-wal"};
    uint64_t octets = 0;
    struct stat file;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (fstatat(files->directory_fd, names[i], &file, 0) == 0)
            octets += (uint64_t)file.st_size;
    return octets;
}
