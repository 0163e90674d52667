/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions of libc calls that make a pseudo terminal look like a serial port to libserialport.
 */
#include "serialport_pty.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#define CLASS_LINK "/sys/class/tty/ttyDormouse0"

static const char *pty_path;
static struct serialport_pty_faults pty_faults;
static unsigned lookups;
static int lines;
static tcflag_t parity; /* what a pseudo terminal does not keep */

void
serialport_pty_use(const char *pty)
{
    pty_path = pty;
    lines = TIOCM_DTR | TIOCM_RTS;
    parity = 0;
}

void
serialport_pty_set_faults(struct serialport_pty_faults faults)
{
    pty_faults = faults;
}

int
serialport_pty_lines(void)
{
    return lines;
}

unsigned
serialport_pty_lookups(void)
{
    return lookups;
}

static int
open_file(const char *path, int flags, mode_t mode)
{
    if (pty_path != NULL && strcmp(path, SERIALPORT_PTY_PATH) == 0) {
        if (pty_faults.open_error != 0) {
            errno = pty_faults.open_error;
            return -1;
        }
        path = pty_path;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int
open(const char *path, int flags, ...)
{
    va_list arguments;

    va_start(arguments, flags);
    bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    mode_t mode = creates ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_file(path, flags, mode);
}

/* What open becomes in a library that is built with _FORTIFY_SOURCE. */
int __open_2(const char *path, int flags);

int
__open_2(const char *path, int flags)
{
    return open_file(path, flags, 0);
}

static void
move_lines(unsigned long request, int *argument)
{
    if (request == TIOCMGET)
        *argument = TIOCM_CTS | TIOCM_DSR | lines;
    else if (request == TIOCMSET)
        lines = *argument;
    else if (request == TIOCMBIS)
        lines |= *argument;
    else
        lines &= ~*argument;
}

int
ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;

    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    bool modem_lines =
        request == TIOCMGET || request == TIOCMSET || request == TIOCMBIS || request == TIOCMBIC;
    if (pty_path != NULL && request == TIOCOUTQ && pty_faults.waiting > 0) {
        *(int *)argument = pty_faults.waiting;
        return 0;
    }
    if (pty_path == NULL || !modem_lines)
        return (int)syscall(SYS_ioctl, fd, request, argument);
    if (pty_faults.modem_lines_error != 0) {
        errno = pty_faults.modem_lines_error;
        return -1;
    }
    move_lines(request, argument);
    return 0;
}

int
tcgetattr(int fd, struct termios *settings)
{
    int (*next)(int, struct termios *) = NULL;
    void *found = dlsym(RTLD_NEXT, "tcgetattr");

    memcpy(&next, &found, sizeof next);
    int result = next(fd, settings);
    if (pty_path != NULL && result == 0)
        settings->c_cflag |= parity;
    return result;
}

int
tcsetattr(int fd, int action, const struct termios *settings)
{
    int (*next)(int, int, const struct termios *) = NULL;
    struct termios changed = *settings;
    void *found = dlsym(RTLD_NEXT, "tcsetattr");

    memcpy(&next, &found, sizeof next);
    if (pty_faults.fixed_speed != 0)
        cfsetspeed(&changed, pty_faults.fixed_speed);
    if (pty_faults.no_crtscts)
        changed.c_cflag &= ~CRTSCTS;
    parity = pty_faults.no_parity ? 0 : changed.c_cflag & PARENB;
    return next(fd, action, &changed);
}

char *
realpath(const char *restrict path, char *restrict resolved)
{
    bool ours = pty_path != NULL && strcmp(path, SERIALPORT_PTY_PATH) == 0;
    lookups += strcmp(path, SERIALPORT_PTY_PATH) == 0;
    char *found = ours ? strdup(path) : canonicalize_file_name(path);

    if (found == NULL || resolved == NULL)
        return found;
    memcpy(resolved, found, strlen(found) + 1);
    free(found);
    return resolved;
}

/* libserialport looks for the port in sysfs: a link there, and where it points to. */
static int
link_status(const char *path, struct stat *status)
{
    if (pty_path == NULL || strcmp(path, CLASS_LINK) != 0)
        return fstatat(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
    memset(status, 0, sizeof *status);
    status->st_mode = S_IFLNK | 0777;
    return 0;
}

int
lstat(const char *restrict path, struct stat *restrict status)
{
    return link_status(path, status);
}

/* What lstat is in a library that is built with a glibc before 2.33. */
int __lxstat(int version, const char *path, struct stat *status);

int
__lxstat(int version, const char *path, struct stat *status)
{
    (void)version;
    return link_status(path, status);
}

ssize_t
readlink(const char *restrict path, char *restrict buffer, size_t size)
{
    static const char target[] = "../../devices/platform/dormouse/tty/ttyDormouse0";

    if (pty_path == NULL || strcmp(path, CLASS_LINK) != 0)
        return syscall(SYS_readlinkat, AT_FDCWD, path, buffer, size);
    size_t len = sizeof target - 1 < size ? sizeof target - 1 : size;
    memcpy(buffer, target, len);
    return (ssize_t)len;
}
