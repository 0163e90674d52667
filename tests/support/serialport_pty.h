/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets a pseudo terminal pass for a real serial port, so that the libserialport path is executed in
 * tests. The calls of libc that libserialport and the serial port file make are defined here, in
 * the test program, and so go before those of libc; everything else passes through.
 */
#ifndef DORMOUSE_TESTS_SERIALPORT_PTY_H
#define DORMOUSE_TESTS_SERIALPORT_PTY_H

#include <stdbool.h>

/* The port that does not exist: it is the pseudo terminal of serialport_pty_use. */
#define SERIALPORT_PTY_PATH "/dev/ttyDormouse0"

/* Behaviour of the port; all zero is a good one. */
struct serialport_pty_faults {
    int open_error;        /* errno of open, 0 = it opens */
    int modem_lines_error; /* errno of TIOCMGET, 0 = the port has modem lines */
    unsigned fixed_speed;  /* a B constant: the speed whatever is asked for; 0 = as asked */
    int waiting;           /* octets that flow control holds in the driver; 0 = it sends them */
    bool no_parity;        /* the driver drops the parity, as that of pseudo terminals does */
    bool no_crtscts;       /* the driver drops RTS/CTS flow control */
};

/* SERIALPORT_PTY_PATH is `pty` from now on; NULL: it does not exist. `pty` is borrowed. */
void serialport_pty_use(const char *pty);
void serialport_pty_set_faults(struct serialport_pty_faults faults);

/* The modem lines that the program has raised (TIOCM_ bits); serialport_pty_use raises DTR and RTS,
 * as the kernel does at open. */
int serialport_pty_lines(void);

/* How often SERIALPORT_PTY_PATH was resolved, that is, tried to be opened. */
unsigned serialport_pty_lookups(void);

#endif
