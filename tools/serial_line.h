/* SPDX-License-Identifier: Apache-2.0 */
/* A serial port or pseudo terminal as the device side uses it: raw, 8N1, no flow control. */
#ifndef DORMOUSE_TOOLS_SERIAL_LINE_H
#define DORMOUSE_TOOLS_SERIAL_LINE_H

#include <stddef.h>
#include <stdint.h>

#include <dormouse/result.h>

/* Returns a non-blocking descriptor for the caller to close, or -1 with the reason in `error`. */
int serial_line_open(const char *path, uint32_t baud, char *error, size_t error_size);

/* Writes all, waiting for a slow line up to a bound. DM_IO: it failed (errno), or stood still. */
enum dm_result serial_line_write(int fd, const uint8_t *octets, size_t len);

#endif
