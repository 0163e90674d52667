/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo terminals as serial lines: plugging in, hanging up, and the octets at the far end. */
#include "pty_line.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <event2/event.h>

#include "serialport_pty.h"
#include "steady_clock.h"

void
line_plug_in(struct line *line)
{
    line->far = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CU_ASSERT_FATAL(line->far >= 0);
    CU_ASSERT_EQUAL_FATAL(grantpt(line->far) | unlockpt(line->far), 0);
    CU_ASSERT_EQUAL_FATAL(ptsname_r(line->far, line->pty, sizeof line->pty), 0);
}

void
line_point_link(struct line *line)
{
    unlink(line->link);
    CU_ASSERT_EQUAL_FATAL(symlink(line->pty, line->link), 0);
}

void
line_unplug(struct line *line)
{
    close(line->far);
    line->far = -1;
}

void
line_init(struct line *line)
{
    memset(line, 0, sizeof *line);
    fixture_init(&line->fixture);
    snprintf(line->folder, sizeof line->folder, "/tmp/dormouse-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(line->folder));
    snprintf(line->link, sizeof line->link, "%s/radio", line->folder);
    line->far = -1;
    line->options = (struct serial_options){.name = "barn",
                                            .device = line->link,
                                            .framing = "raw",
                                            .settings = {.baud = 9600},
                                            .mtu = LINE_MTU};
}

void
line_open(struct line *line)
{
    line->near = line_next_descriptor();
    line->fixture.transport =
        serial_open(line->fixture.base, FIXTURE_LINK, &line->options, &line->fixture.listener,
                    line->fixture.error, sizeof line->fixture.error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(line->fixture.transport);
}

void
line_start(struct line *line)
{
    line_plug_in(line);
    line_point_link(line);
    line_open(line);
    CU_ASSERT_TRUE_FATAL(fixture_status(&line->fixture).up);
}

void
line_fini(struct line *line)
{
    fixture_fini(&line->fixture);
    if (line->far >= 0)
        close(line->far);
    unlink(line->link);
    rmdir(line->folder);
    steady_clock_release();
    serialport_pty_use(NULL);
    serialport_pty_set_faults((struct serialport_pty_faults){.open_error = 0});
}

void
line_write(const struct line *line, const void *data, size_t len)
{
    CU_ASSERT_EQUAL(write(line->far, data, len), (ssize_t)len);
}

void
line_hear(struct line *line, const void *data, size_t len)
{
    struct pollfd state = {.fd = line->near, .events = POLLIN};

    line_write(line, data, len);
    CU_ASSERT_EQUAL_FATAL(poll(&state, 1, 10000), 1);
    event_base_loop(line->fixture.base, EVLOOP_NONBLOCK);
}

/* Reads exactly `len` octets at the far end; false if they do not come. */
static bool
far_read(const struct line *line, uint8_t *buffer, size_t len)
{
    struct pollfd state = {.fd = line->far, .events = POLLIN};

    while (len > 0) {
        ssize_t got = poll(&state, 1, 10000) == 1 ? read(line->far, buffer, len) : -1;

        if (got <= 0)
            return false;
        buffer += got;
        len -= (size_t)got;
    }
    return true;
}

bool
line_reads(const struct line *line, const void *data, size_t len)
{
    uint8_t buffer[FIXTURE_DATA_MAX];

    return far_read(line, buffer, len) && memcmp(buffer, data, len) == 0;
}

int
line_next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(fd);
    return fd;
}

void
line_advance(struct line *line, unsigned ms)
{
    steady_clock_advance(ms);
    event_base_loop(line->fixture.base, EVLOOP_NONBLOCK);
}
