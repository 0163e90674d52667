/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of the store in the state directory: the lock that keeps a second process out, the
 * database moved aside when it is damaged, and the reserve that makes room on a full disk.
 */
#ifndef DORMOUSE_STORE_FILES_H
#define DORMOUSE_STORE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/result.h>

#define STORE_WAL_LIMIT (4u * 1024 * 1024) /* octets kept of the write-ahead log */
/* A full write-ahead log and as much again for the pages it changes. */
#define STORE_RESERVE_OCTETS (STORE_WAL_LIMIT + 4u * 1024 * 1024)

struct store_files {
    int directory_fd;   /* -1: closed */
    int lock_fd;        /* -1: closed */
    char database[256]; /* path */
    bool reserve;       /* the reserve file exists */
    bool reserve_spent; /* it was removed because the disk was full */
};

/*
 * Creates the directory (0700, not its parents) and an empty database file (0600) if they are
 * missing, and takes the lock. DM_INVALID: path too long. DM_FULL: another process holds the
 * directory. DM_IO. The reason is in error[]; store_files_close is safe after a failure.
 */
enum dm_result store_files_open(struct store_files *files, const char *directory, char *error,
                                size_t error_size);
void store_files_close(struct store_files *files);

/*
 * Renames the database and its write-ahead log to dormouse.db.corrupt-<UTC time> and creates an
 * empty database file. `name` gets the new name without its directory.
 */
enum dm_result store_files_set_aside(struct store_files *files, char *name, size_t name_size,
                                     char *error, size_t error_size);

/* Makes the reserve file if it is missing. False: the disk has no room for it. */
bool store_files_fill_reserve(struct store_files *files);
/* Removes it. False: there was none. */
bool store_files_spend_reserve(struct store_files *files);

/* Octets of the database and its write-ahead log. */
uint64_t store_files_octets(const struct store_files *files);

#endif
