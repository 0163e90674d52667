/* SPDX-License-Identifier: Apache-2.0 */
/* A serial link on a pseudo terminal, and its far end in the hands of the test. */
#ifndef DORMOUSE_TESTS_PTY_LINE_H
#define DORMOUSE_TESTS_PTY_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link_fixture.h"

#define LINE_MTU 100

/* A symbolic link that can be moved points to the near end, and is what the serial link opens. */
struct line {
    struct link_fixture fixture;
    struct serial_options options; /* "barn", raw, 9600 baud; to be changed before line_open */
    char folder[32];
    char link[64];
    char pty[64];
    int far;  /* -1: unplugged */
    int near; /* what line_open has opened: the link's own descriptor */
};

void line_init(struct line *line);
/* Opens the serial link as the options say, whatever is plugged in. */
void line_open(struct line *line);
/* The usual case: plugged in and open. */
void line_start(struct line *line);
/* Frees everything, and ends what the test had arranged with serialport_pty. */
void line_fini(struct line *line);

/* Makes a new pseudo terminal; nothing points to it yet. */
void line_plug_in(struct line *line);
void line_point_link(struct line *line);
/* Hangs up: closes the far end. */
void line_unplug(struct line *line);

void line_write(const struct line *line, const void *data, size_t len);
/* The same, and the link has read it: for frozen time. */
void line_hear(struct line *line, const void *data, size_t len);
/* True if the next `len` octets at the far end are `data`. */
bool line_reads(const struct line *line, const void *data, size_t len);

/* Lets frozen time go on, and runs what is due. */
void line_advance(struct line *line, unsigned ms);

/* The number that the next descriptor gets. */
int line_next_descriptor(void);

#endif
