/* SPDX-License-Identifier: Apache-2.0 */
/* A directory with configuration files, and what loading them reports. */
#ifndef DORMOUSE_TESTS_CONFIG_FIXTURE_H
#define DORMOUSE_TESTS_CONFIG_FIXTURE_H

#include <stddef.h>
#include <sys/types.h>

#include "config.h"

struct config_fixture {
    char directory[64];
    struct config *config; /* of the last load; NULL if it failed */
    enum dm_result result;
    unsigned errors, warnings;
    char *reports; /* "E main.ini:3: [gateway] id: ...\n" a line; the directory is left out */
    size_t reports_len;
};

/* Makes an empty directory. Exits the program if the system refuses. */
void config_fixture_init(struct config_fixture *fixture);
void config_fixture_fini(struct config_fixture *fixture);

/* name: "main.ini" or "conf.d/x.ini". */
void config_fixture_write(struct config_fixture *fixture, const char *name, mode_t mode,
                          const char *octets, size_t len);
/* Loads `name` as the main file. */
void config_fixture_load(struct config_fixture *fixture, const char *name);
/* Writes main.ini, 0600, and loads it. */
void config_fixture_load_text(struct config_fixture *fixture, const char *text);

/* Asserts that both are equal, and prints them if not: which row of a table it is, an assertion
 * cannot say. */
void check_text(const char *got, const char *wanted);
/* Loads one file and compares what is reported. */
void check_reports(const char *text, const char *wanted);

#endif
