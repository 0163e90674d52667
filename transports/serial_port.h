/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serial device as an open, configured, non-blocking file descriptor. Real ports are opened with
 * libserialport, pseudo terminals with termios; whoever reads and writes need not know which.
 */
#ifndef DORMOUSE_SERIAL_PORT_H
#define DORMOUSE_SERIAL_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/result.h>
#include <dormouse/transport.h>

struct serial_port;

/*
 * Opens `device` (a link is resolved now) raw, 8N1, exclusively, with empty input.
 * DM_IO: not possible now; error[] names device, real path and cause. DM_NO_MEMORY likewise.
 */
enum dm_result serial_port_open(const char *device, uint32_t baud, enum serial_flow flow,
                                struct serial_port **port, char *error, size_t error_size);

/* Lets what was written leave, for one second at most. NULL is allowed. */
void serial_port_close(struct serial_port *port);

int serial_port_fd(const struct serial_port *port);

/* The real path that was opened. */
const char *serial_port_path(const struct serial_port *port);

/* Tells the two meanings of a read that returns 0 apart: true if the device is gone. */
bool serial_port_hung_up(const struct serial_port *port);

#endif
