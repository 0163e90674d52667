/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a Paho gateway from memory, and what becomes of them. */
#ifndef DORMOUSE_TESTS_PAHO_FIXTURE_H
#define DORMOUSE_TESTS_PAHO_FIXTURE_H

#include "paho_ini.h"

struct paho_fixture {
    struct paho_config config;
    char *ini, *findings; /* of the last write */
    size_t ini_len, findings_len;
    unsigned count;
};

/* Parses a file; aborts if memory fails. Free it by paho_file_free. */
void paho_fixture_parse(const void *octets, size_t len, const char *path, enum paho_form form,
                        struct paho_file *file);

/* Each is a whole file, called g, c and t in findings; NULL: none. */
void paho_fixture_init(struct paho_fixture *fixture, const char *gateway, const char *clients,
                       const char *topics);
/* The files of fixture->config were parsed already. */
void paho_fixture_write(struct paho_fixture *fixture, enum paho_network network);
void paho_fixture_fini(struct paho_fixture *fixture);

#endif
