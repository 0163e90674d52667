/* SPDX-License-Identifier: Apache-2.0 */
/* What paho_ini.c and paho_links.c share. */
#ifndef DORMOUSE_TOOLS_PAHO_WRITER_H
#define DORMOUSE_TOOLS_PAHO_WRITER_H

#include <stdbool.h>
#include <stdio.h>

#include "config_keys.h"
#include "paho_config.h"

struct paho_writer {
    const struct paho_config *config;
    enum paho_network network;
    const char *link_name;    /* of the section "[udp NAME]" or "[serial NAME]" */
    enum config_section link; /* SECTION_UDP or SECTION_SERIAL */
    FILE *ini, *findings;     /* borrowed */
    const char *heading;      /* of the findings to come, for the INI; NULL: none */
    unsigned count;           /* of findings */
};

/* One finding about a line of `file`; line may be NULL: about the file as a whole. */
void paho_finding(struct paho_writer *writer, const struct paho_file *file,
                  const struct paho_line *line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* About a setting of gateway.conf, or that it is not set. */
void paho_finding_key(struct paho_writer *writer, enum paho_key key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes "name = value". What Dormouse would not accept is a finding about the line instead, and
 * false is returned. */
bool paho_put(struct paho_writer *writer, const struct paho_file *file,
              const struct paho_line *line, enum config_section section, const char *name,
              const char *value);
/* The same with the text of a setting of gateway.conf; nothing if it is not set. */
bool paho_put_key(struct paho_writer *writer, enum paho_key key, enum config_section section,
                  const char *name);
/* The same with a number, and `unit` behind it. */
bool paho_put_number(struct paho_writer *writer, enum paho_key key, enum config_section section,
                     const char *name, const char *unit);

/* The section of the link. */
void paho_write_link(struct paho_writer *writer);
/* The address of a client as Dormouse writes it; false: it is none of this network. */
bool paho_link_address(const struct paho_writer *writer, const struct paho_client *client,
                       char *address, size_t size);

/* Writes the topics of one place. client_id: of PAHO_PLACE_CLIENT, else NULL. */
void paho_write_topics(struct paho_writer *writer, enum paho_place place, const char *client_id);
/* Whether there is one. */
bool paho_has_topics(const struct paho_writer *writer, enum paho_place place,
                     const char *client_id);

#endif
