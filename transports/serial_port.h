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
 * Opens `device` (a link is resolved now) raw, exclusively, with empty input.
 * DM_IO: not possible now; error[] names device, real path and cause. DM_NO_MEMORY likewise.
 */
enum dm_result serial_port_open(const char *device, const struct serial_settings *settings,
                                struct serial_port **port, char *error, size_t error_size);

/* 8N1 without flow control, signals as they are. */
struct serial_settings serial_port_settings(uint32_t baud);
/* Why the mode cannot be, or NULL. */
const char *serial_port_check_mode(const char *mode);
/* Start, data, parity and stop bits of one octet on the line. */
uint8_t serial_port_bits(const struct serial_settings *settings);

/* Octets that the kernel has not sent yet; 0 also where it does not tell. */
size_t serial_port_waiting(const struct serial_port *port);
/* Line errors since the port was opened. False: the driver does not count them. */
struct serial_port_errors {
    uint64_t frame, parity, overrun, breaks;
};
bool serial_port_errors(const struct serial_port *port, struct serial_port_errors *errors);

/* Lets what was written leave, for one second at most. NULL is allowed. */
void serial_port_close(struct serial_port *port);

int serial_port_fd(const struct serial_port *port);

/* The real path that was opened. */
const char *serial_port_path(const struct serial_port *port);

/* Tells the two meanings of a read that returns 0 apart: true if the device is gone. */
bool serial_port_hung_up(const struct serial_port *port);

#endif
