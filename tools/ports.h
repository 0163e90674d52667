/* SPDX-License-Identifier: Apache-2.0 */
/* The serial ports of this machine, with what the gateway needs to know to use them. */
#ifndef DORMOUSE_TOOLS_PORTS_H
#define DORMOUSE_TOOLS_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <dormouse/result.h>

#include "serial_list.h"

#define PORTS_NAME_MAX 32 /* octets of a link's name in the configuration */
#define PORTS_RULE_SIZE 512
#define PORTS_RULES_FILE "/etc/udev/rules.d/65-dormouse-local.rules"

/* Kinds of names that a port keeps when others come and go, the best first. */
enum ports_link {
    PORTS_LINK_DORMOUSE, /* /dev/dormouse/NAME, by a rule of the operator */
    PORTS_LINK_BY_ID,    /* made of what the device says about itself */
    PORTS_LINK_BY_PATH,  /* the socket it is in */
    PORTS_LINK_ALIAS,    /* /dev/serial0 of a Raspberry Pi */
    PORTS_LINK_COUNT
};

struct ports_port {
    struct serial_listed device;   /* its texts are not trusted */
    char *links[PORTS_LINK_COUNT]; /* owned; NULL: none of this kind */
    bool console;                  /* the kernel writes its messages to it */
    bool accessible;               /* by the caller */
    char name[PORTS_NAME_MAX + 1]; /* suggested for [serial NAME]; no two are equal */
};

/* How a rule of udev recognises a port. */
enum ports_rule {
    PORTS_RULE_NONE,   /* not known */
    PORTS_RULE_SERIAL, /* by its serial number, in any socket */
    PORTS_RULE_PATH,   /* by the socket */
    PORTS_RULE_KERNEL, /* by the kernel's name: a port that is part of the machine */
};

/* Looks into `dev` ("/dev") for links to the ports. DM_NO_MEMORY: some may be missing. */
enum dm_result ports_find_links(struct ports_port *ports, size_t count, const char *dev);
void ports_free_links(struct ports_port *port);

/* Sets the name of each port; `links` first. */
void ports_suggest_names(struct ports_port *ports, size_t count);

/* The path to write into the configuration: the most lasting one. Borrowed from ports[which]. */
const char *ports_suggest_device(const struct ports_port *ports, size_t count, size_t which);

/* Writes a line for PORTS_RULES_FILE, without its end, to text[PORTS_RULE_SIZE]; it matches no
 * other of the ports. Empty with PORTS_RULE_NONE. */
enum ports_rule ports_suggest_rule(const struct ports_port *ports, size_t count, size_t which,
                                   char *text);

/* Writes "[serial NAME]" and its keys, each line after `indent`. */
void ports_print_section(const struct ports_port *ports, size_t count, size_t which,
                         const char *indent, FILE *out);

void ports_print(const struct ports_port *ports, size_t count, FILE *out);
/* One JSON object in one line. */
enum dm_result ports_print_json(const struct ports_port *ports, size_t count, FILE *out);

#endif
