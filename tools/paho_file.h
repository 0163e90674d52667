/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the Eclipse Paho MQTT-SN gateway as lines: KEY=VALUE, or CLIENT,REST in its lists.
 */
#ifndef DORMOUSE_TOOLS_PAHO_FILE_H
#define DORMOUSE_TOOLS_PAHO_FILE_H

#include <stddef.h>
#include <stdio.h>

#include <dormouse/result.h>

#define PAHO_LINE_MAX 1023   /* octets */
#define PAHO_LINES_MAX 10000 /* of one file, without comments and empty lines */

struct paho_line {
    unsigned number;
    const char *bad; /* why the line cannot be read; static; NULL: it can */
    char *key;       /* before the first separator; owned; "" if the line is bad */
    char *value;     /* behind it; part of the memory of key */
};

struct paho_file {
    char *path; /* as opened; owned; NULL: not read */
    struct paho_line *lines;
    size_t count;
};

enum paho_form {
    PAHO_FORM_SETTINGS, /* KEY=VALUE */
    PAHO_FORM_LIST      /* with commas between the fields; white space means nothing anywhere */
};

/* Reads any octets to their end. `path` is copied. DM_NO_MEMORY, or DM_IO: errno tells why; *file
 * is empty then. Release with paho_file_free. */
enum dm_result paho_file_parse(FILE *in, const char *path, enum paho_form form,
                               struct paho_file *file);
/* Opens a regular file and parses it. */
enum dm_result paho_file_read(const char *path, enum paho_form form, struct paho_file *file);
void paho_file_free(struct paho_file *file);

#endif
