/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the configuration of an Eclipse Paho MQTT-SN gateway as one of Dormouse. */
#ifndef DORMOUSE_TOOLS_PAHO_INI_H
#define DORMOUSE_TOOLS_PAHO_INI_H

#include <stdio.h>

#include "paho_config.h"

/*
 * Writes the INI to `ini`, and to `findings` a line "file:line: key: what to do" for everything
 * that is not taken over as it stands; the same line is a comment at its place in the INI. What
 * comes from the files is escaped, and a password never written. PAHO_NETWORK_UNKNOWN: the first
 * network the file has a port or device of. Returns the number of findings.
 */
unsigned paho_ini_write(const struct paho_config *config, enum paho_network network, FILE *ini,
                        FILE *findings);

#endif
