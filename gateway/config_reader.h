/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files as lines: finds the files, reads them through inih, and knows line numbers.
 */
#ifndef DORMOUSE_CONFIG_READER_H
#define DORMOUSE_CONFIG_READER_H

#include <stdbool.h>
#include <stdio.h>

#include <dormouse/result.h>

#include "config.h"

struct config_place {
    const char *file; /* borrowed from the caller of config_read_file */
    unsigned line;    /* 0: the file as a whole */
    bool others;      /* neither owner nor group, and yet allowed to open the file */
};

/* Everything is borrowed during the call. */
struct config_reader_events {
    void *ctx;
    /* The text between the brackets, without space around it. Called for empty sections, too. NULL:
     * a header that on_bad_line was told about. */
    void (*on_section)(void *ctx, const struct config_place *place, const char *header);
    /* A key of the section reported last. commented: a comment was cut off the value. */
    void (*on_value)(void *ctx, const struct config_place *place, const char *key,
                     const char *value, bool commented);
    /* A line that cannot be read; it is skipped. */
    void (*on_bad_line)(void *ctx, const struct config_place *place, const char *reason);
};

/*
 * `path` and then conf.d/NAME.ini beside it, in the order of their octets. Free each item and the
 * list. DM_IO: the directory cannot be read, errno tells why; one that does not exist is empty.
 */
enum dm_result config_find_files(const char *path, struct config_strings *files);

/* Reads one file to its end. DM_IO: it cannot be read, errno tells why. */
enum dm_result config_read_file(const char *file, const struct config_reader_events *events);

/* Opens a regular file for reading, or returns NULL with errno. Never blocks. *others: as in struct
 * config_place. */
FILE *config_open_file(const char *path, bool *others);
/* What errno of config_open_file or DM_IO means here. */
const char *config_open_reason(int error);

/* Appends a copy. */
enum dm_result config_strings_add(struct config_strings *strings, const char *text);
void config_strings_free(struct config_strings *strings);

#endif
