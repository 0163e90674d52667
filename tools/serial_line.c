/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a serial port or pseudo terminal with termios, for one device-side client. */
#include "serial_line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

#define WRITE_WAIT_MS 1000 /* a line that takes nothing for so long stands still */

struct baud_rate {
    uint32_t baud;
    speed_t speed;
};

static const struct baud_rate baud_rates[] = {
    {1200, B1200},       {2400, B2400},       {4800, B4800},       {9600, B9600},
    {19200, B19200},     {38400, B38400},     {57600, B57600},     {115200, B115200},
    {230400, B230400},   {460800, B460800},   {500000, B500000},   {576000, B576000},
    {921600, B921600},   {1000000, B1000000}, {1152000, B1152000}, {1500000, B1500000},
    {2000000, B2000000}, {2500000, B2500000}, {3000000, B3000000}, {3500000, B3500000},
    {4000000, B4000000},
};

static speed_t
find_speed(uint32_t baud)
{
    for (size_t i = 0; i < sizeof baud_rates / sizeof baud_rates[0]; i++)
        if (baud_rates[i].baud == baud)
            return baud_rates[i].speed;
    return B0;
}

static enum dm_result
configure(int fd, speed_t speed)
{
    struct termios settings;

    if (tcgetattr(fd, &settings) != 0)
        return DM_IO;
    cfmakeraw(&settings);
    /* Without HUPCL an Arduino is not reset a second time when the port closes. */
    settings.c_cflag &= ~(tcflag_t)(CSTOPB | PARENB | CRTSCTS | HUPCL);
    settings.c_cflag |= CLOCAL | CREAD;
    settings.c_cc[VMIN] = 1; /* so that reading 0 octets means the end, and nothing else */
    settings.c_cc[VTIME] = 0;
    if (cfsetspeed(&settings, speed) != 0 || tcsetattr(fd, TCSANOW, &settings) != 0)
        return DM_IO;
    /* A 16550A takes a speed it cannot do and stays at the old one. */
    if (tcgetattr(fd, &settings) != 0)
        return DM_IO;
    if (cfgetospeed(&settings) != speed) {
        errno = ENOTSUP;
        return DM_IO;
    }
    return tcflush(fd, TCIFLUSH) == 0 ? DM_OK : DM_IO;
}

int
serial_line_open(const char *path, uint32_t baud, char *error, size_t error_size)
{
    speed_t speed = find_speed(baud);
    int fd = -1;

    if (speed == B0) {
        snprintf(error, error_size, "%s: %lu baud is no speed of serial ports", path,
                 (unsigned long)baud);
        return -1;
    }
    fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return -1;
    }
    if (isatty(fd) == 0) {
        snprintf(error, error_size, "%s: not a serial port", path);
        goto fail;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(error, error_size, "%s: in use by another program", path);
        goto fail;
    }
    if (configure(fd, speed) != DM_OK) {
        snprintf(error, error_size, "%s: cannot be set to %lu baud: %s", path, (unsigned long)baud,
                 strerror(errno));
        goto fail;
    }
    return fd;

fail:
    close(fd);
    return -1;
}

enum dm_result
serial_line_write(int fd, const uint8_t *octets, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, octets, len);
        if (written > 0) {
            octets += written;
            len -= (size_t)written;
            continue;
        }
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno != EAGAIN)
            return DM_IO;
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        int ready = poll(&wait, 1, WRITE_WAIT_MS);
        if (ready == 0)
            errno = ETIMEDOUT;
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return DM_IO;
    }
    return DM_OK;
}
