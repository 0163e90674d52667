/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with the units that people read. */
#ifndef DORMOUSE_TOOLS_HUMAN_H
#define DORMOUSE_TOOLS_HUMAN_H

#include <stddef.h>
#include <stdint.h>

#define HUMAN_TEXT_MAX 32

/* Each writes to a buffer of HUMAN_TEXT_MAX octets and returns it. */
const char *human_octets(char *text, uint64_t octets);         /* "17 B", "1.2 KiB" */
const char *human_duration(char *text, uint64_t milliseconds); /* "0.4 s", "5 min 3 s", "2 d 4 h" */
const char *human_microseconds(char *text, uint64_t microseconds); /* "250 us", "3.1 ms", "1.2 s" */

#endif
