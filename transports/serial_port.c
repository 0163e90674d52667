/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, configuring and closing serial devices, by libserialport and by termios. */
#include "serial_port.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <libserialport.h>
#include <linux/serial.h>

#include <dormouse/log.h>

#define DRAIN_MS 1000
#define DRAIN_STEP_MS 10
#define REASON_MAX 128

struct serial_port {
    struct sp_port *library; /* NULL: opened by termios */
    int fd;                  /* -1: not open */
    bool locked;             /* ours: another program's port is not drained and not released */
    bool counts;             /* the driver tells of line errors */
    struct serial_icounter_struct before;
    char path[PATH_MAX];
};

/* What is wanted, and room for why it is not had. */
struct request {
    const struct serial_settings *settings;
    char reason[REASON_MAX];
};

static const struct {
    uint32_t baud;
    speed_t speed;
} standard_speeds[] = {
    {300, B300},         {600, B600},         {1200, B1200},       {2400, B2400},
    {4800, B4800},       {9600, B9600},       {19200, B19200},     {38400, B38400},
    {57600, B57600},     {115200, B115200},   {230400, B230400},   {460800, B460800},
    {500000, B500000},   {576000, B576000},   {921600, B921600},   {1000000, B1000000},
    {1152000, B1152000}, {1500000, B1500000}, {2000000, B2000000}, {2500000, B2500000},
    {3000000, B3000000}, {3500000, B3500000}, {4000000, B4000000},
};

/* Notes what failed and the error number; always false. */
static bool
refuse(struct request *request, const char *what, int error)
{
    const char *hint = error == EACCES ? "; is the user in group dialout?" : "";

    if (error == EBUSY || error == EWOULDBLOCK)
        snprintf(request->reason, sizeof request->reason, "busy: another program holds it");
    else
        snprintf(request->reason, sizeof request->reason, "%s%s%s", what,
                 error != 0 ? strerror(error) : "", hint);
    return false;
}

static bool
is_pseudo_terminal(const char *path)
{
    static const char folder[] = "/dev/pts/";
    size_t len = sizeof folder - 1;

    return strncmp(path, folder, len) == 0 && isdigit((unsigned char)path[len]);
}

/* Keeps out those who use flock too; TIOCEXCL keeps out everyone who is not root. */
static bool
take_lock(struct serial_port *port, struct request *request)
{
    if (flock(port->fd, LOCK_EX | LOCK_NB) != 0)
        return refuse(request, "cannot lock: ", errno);
    port->locked = true;
    return true;
}

static tcflag_t
mode_flags(const char *mode)
{
    static const tcflag_t sizes[] = {CS5, CS6, CS7, CS8};
    tcflag_t flags = sizes[mode[0] - '5'];

    if (mode[1] != 'N')
        flags |= PARENB;
    if (mode[1] == 'O')
        flags |= PARODD;
    return mode[2] == '2' ? flags | CSTOPB : flags;
}

/* The settings that libserialport 0.1.1 gets wrong or does not know, and CRTSCTS above all: it puts
 * it into the wrong word. */
static bool
finish_settings(const struct serial_port *port, struct request *request)
{
    struct termios wanted, got;
    tcflag_t control_mask = HUPCL | CRTSCTS | CSIZE | CSTOPB | PARENB | PARODD | CREAD | CLOCAL;
    tcflag_t flow_mask = IXON | IXOFF | IXANY;

    if (tcgetattr(port->fd, &wanted) != 0)
        return refuse(request, "cannot read the settings: ", errno);
    wanted.c_cflag &= ~control_mask;
    wanted.c_cflag |= mode_flags(request->settings->mode) | CREAD | CLOCAL;
    if (request->settings->flow == SERIAL_FLOW_RTSCTS)
        wanted.c_cflag |= CRTSCTS;
    wanted.c_iflag &= ~flow_mask;
    if (request->settings->flow == SERIAL_FLOW_XONXOFF)
        wanted.c_iflag |= IXON | IXOFF;
    wanted.c_cc[VMIN] = 0;
    wanted.c_cc[VTIME] = 0;
    if (tcsetattr(port->fd, TCSANOW, &wanted) != 0 || tcgetattr(port->fd, &got) != 0)
        return refuse(request, "cannot set flow control: ", errno);
    /* tcsetattr succeeds if it could set anything at all. */
    if ((got.c_cflag & control_mask) != (wanted.c_cflag & control_mask) ||
        (got.c_iflag & flow_mask) != (wanted.c_iflag & flow_mask))
        return refuse(request, "the driver refuses the mode or the flow control", 0);
    return true;
}

/* A driver may keep another rate and report success. 3 % is what a UART tolerates. */
static bool
check_baud(struct sp_port *library, struct request *request)
{
    struct sp_port_config *config = NULL;
    int baud = 0;

    if (sp_new_config(&config) != SP_OK)
        return refuse(request, "out of memory", 0);
    if (sp_get_config(library, config) != SP_OK || sp_get_config_baudrate(config, &baud) != SP_OK)
        baud = 0;
    sp_free_config(config);
    int64_t difference = (int64_t)baud - (int64_t)request->settings->baud;
    if (llabs(difference) * 100 > (int64_t)request->settings->baud * 3) {
        snprintf(request->reason, sizeof request->reason,
                 "cannot set %lu baud: the driver stays at %d",
                 (unsigned long)request->settings->baud, baud);
        return false;
    }
    return true;
}

/* Everything explicitly: libserialport leaves what is not asked for as it was found. */
static bool
configure_by_library(struct sp_port *library, struct request *request)
{
    struct sp_port_config *config = NULL;
    const char *mode = request->settings->mode;
    bool xonxoff = request->settings->flow == SERIAL_FLOW_XONXOFF;
    enum sp_return result = sp_new_config(&config);

    if (result != SP_OK)
        return refuse(request, "out of memory", 0);
    if (sp_set_config_baudrate(config, (int)request->settings->baud) != SP_OK ||
        sp_set_config_bits(config, mode[0] - '0') != SP_OK ||
        sp_set_config_parity(config, mode[1] == 'N'   ? SP_PARITY_NONE
                                     : mode[1] == 'E' ? SP_PARITY_EVEN
                                                      : SP_PARITY_ODD) != SP_OK ||
        sp_set_config_stopbits(config, mode[2] - '0') != SP_OK ||
        sp_set_config_cts(config, SP_CTS_IGNORE) != SP_OK ||
        sp_set_config_dsr(config, SP_DSR_IGNORE) != SP_OK ||
        sp_set_config_xon_xoff(config, xonxoff ? SP_XONXOFF_INOUT : SP_XONXOFF_DISABLED) != SP_OK)
        result = SP_ERR_ARG;
    else
        result = sp_set_config(library, config);
    int error = result == SP_ERR_FAIL ? errno : EINVAL;
    sp_free_config(config);
    return result == SP_OK || refuse(request, "cannot configure: ", error);
}

static bool
set_up_library_port(struct serial_port *port, struct request *request)
{
    if (sp_get_port_handle(port->library, &port->fd) != SP_OK)
        return refuse(request, "libserialport gives no handle", 0);
    if (fcntl(port->fd, F_SETFD, FD_CLOEXEC) != 0)
        return refuse(request, "cannot set FD_CLOEXEC: ", errno);
    if (!take_lock(port, request))
        return false;
    if (ioctl(port->fd, TIOCEXCL) != 0)
        return refuse(request, "cannot make the port exclusive: ", errno);
    if (!configure_by_library(port->library, request) || !finish_settings(port, request) ||
        !check_baud(port->library, request))
        return false;
    if (sp_flush(port->library, SP_BUF_INPUT) != SP_OK)
        return refuse(request, "cannot flush the input: ", errno);
    return true;
}

/* Raw mode of a terminal that has no line: a pseudo terminal or a USB gadget. */
static bool
set_up_terminal(struct serial_port *port, struct request *request)
{
    struct termios settings;

    if (!take_lock(port, request))
        return false;
    if (tcgetattr(port->fd, &settings) != 0)
        return refuse(request, "no terminal: ", errno);
    cfmakeraw(&settings);
    for (size_t i = 0; i < sizeof standard_speeds / sizeof standard_speeds[0]; i++)
        if (standard_speeds[i].baud == request->settings->baud)
            cfsetspeed(&settings, standard_speeds[i].speed);
    if (tcsetattr(port->fd, TCSANOW, &settings) != 0)
        return refuse(request, "cannot configure: ", errno);
    if (!finish_settings(port, request))
        return false;
    if (tcflush(port->fd, TCIFLUSH) != 0)
        return refuse(request, "cannot flush the input: ", errno);
    return true;
}

static bool
open_terminal(struct serial_port *port, struct request *request)
{
    port->fd = open(port->path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (port->fd < 0)
        return refuse(request, "", errno);
    return set_up_terminal(port, request);
}

/* sp_open() changes settings before there is anything to lock: a program that holds the port would
 * lose its own. Returns a descriptor of a port that is free, to be closed when the library has one;
 * -1: it is not free. The lock is let go, since libserialport takes it itself from 0.1.2 on. */
static int
open_if_free(const char *path, struct request *request)
{
    int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0) {
        refuse(request, "", errno);
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0 || flock(fd, LOCK_UN) != 0) {
        refuse(request, "cannot lock: ", errno);
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool
open_by_library(struct serial_port *port, struct request *request)
{
    struct sp_port *library = NULL;
    enum sp_return result = sp_get_port_by_name(port->path, &library);

    /* errno means nothing when libserialport reports a bad argument. */
    if (result == SP_ERR_ARG)
        return refuse(request, "not a serial port", 0);
    if (result != SP_OK)
        return refuse(request, "", result == SP_ERR_MEM ? ENOMEM : errno);
    int first = open_if_free(port->path, request);
    if (first < 0) {
        sp_free_port(library);
        return false;
    }
    result = sp_open(library, SP_MODE_READ_WRITE);
    int error = errno;
    /* Not sooner: without any descriptor the modem lines would drop, and reset an Arduino twice. */
    close(first);
    if (result == SP_OK) {
        port->library = library;
        return set_up_library_port(port, request);
    }
    sp_free_port(library);
    /* Terminals without modem lines, /dev/ttyGS0 for one, are beyond libserialport. */
    if (result == SP_ERR_FAIL && (error == ENOTTY || error == EINVAL))
        return open_terminal(port, request);
    return refuse(request, "", result == SP_ERR_FAIL ? error : EINVAL);
}

static void
set_signal(const struct serial_port *port, int line, enum serial_signal wanted)
{
    if (wanted != SERIAL_SIGNAL_LEAVE &&
        ioctl(port->fd, wanted == SERIAL_SIGNAL_ON ? TIOCMBIS : TIOCMBIC, &line) != 0)
        log_notice("serial", "%s: the driver does not set %s: %s", port->path,
                   line == TIOCM_DTR ? "DTR" : "RTS", strerror(errno));
}

/* What a port can do without. */
static void
set_lines(struct serial_port *port, const struct serial_settings *settings)
{
    struct serial_struct driver;
    struct serial_rs485 rs485 = {.flags = SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND};

    set_signal(port, TIOCM_DTR, settings->dtr);
    set_signal(port, TIOCM_RTS, settings->rts);
    if (settings->low_latency && ioctl(port->fd, TIOCGSERIAL, &driver) == 0) {
        driver.flags = (int)((unsigned)driver.flags | ASYNC_LOW_LATENCY);
        (void)ioctl(port->fd, TIOCSSERIAL, &driver); /* USB delivers within 16 ms anyway */
    }
    if (settings->direction == SERIAL_DIRECTION_KERNEL && ioctl(port->fd, TIOCSRS485, &rs485) != 0)
        log_notice("serial",
                   "%s: the driver does not switch RS-485 (%s); that is left to the hardware",
                   port->path, strerror(errno));
}

struct serial_settings
serial_port_settings(uint32_t baud)
{
    return (struct serial_settings){.baud = baud, .mode = "8N1", .low_latency = true};
}

const char *
serial_port_check_mode(const char *mode)
{
    if (strlen(mode) != 3 || mode[0] < '5' || mode[0] > '8' || strchr("NEO", mode[1]) == NULL ||
        (mode[2] != '1' && mode[2] != '2'))
        return "is no mode: data bits 5 to 8, parity N, E or O, stop bits 1 or 2, as in 8N1";
    return mode[0] < '8' ? "leaves no room for the octets of messages: 8 data bits are needed"
                         : NULL;
}

uint8_t
serial_port_bits(const struct serial_settings *settings)
{
    const char *mode = settings->mode;

    return (uint8_t)(1 + (mode[0] - '0') + (mode[1] != 'N') + (mode[2] - '0'));
}

enum dm_result
serial_port_open(const char *device, const struct serial_settings *settings,
                 struct serial_port **port, char *error, size_t error_size)
{
    struct request request = {.settings = settings};
    struct serial_port *opened = calloc(1, sizeof *opened);

    if (opened == NULL) {
        snprintf(error, error_size, "cannot open %s: out of memory", device);
        return DM_NO_MEMORY;
    }
    opened->fd = -1;
    if (realpath(device, opened->path) == NULL) {
        refuse(&request, "", errno);
        opened->path[0] = '\0';
        goto fail;
    }
    if (is_pseudo_terminal(opened->path) ? !open_terminal(opened, &request)
                                         : !open_by_library(opened, &request))
        goto fail;
    set_lines(opened, settings);
    opened->counts = ioctl(opened->fd, TIOCGICOUNT, &opened->before) == 0;
    *port = opened;
    return DM_OK;

fail:
    if (opened->path[0] == '\0' || strcmp(device, opened->path) == 0)
        snprintf(error, error_size, "cannot open %s: %s", device, request.reason);
    else
        snprintf(error, error_size, "cannot open %s (%s): %s", device, opened->path,
                 request.reason);
    serial_port_close(opened);
    return DM_IO;
}

/* close() itself would wait up to 30 s for a line that is stopped by flow control. */
static void
drain(int fd)
{
    const struct timespec step = {.tv_nsec = DRAIN_STEP_MS * 1000000L};
    int waiting = 0;

    for (int waited = 0; waited < DRAIN_MS; waited += DRAIN_STEP_MS) {
        if (ioctl(fd, TIOCOUTQ, &waiting) != 0 || waiting == 0)
            return;
        nanosleep(&step, NULL);
    }
    tcflush(fd, TCOFLUSH);
}

void
serial_port_close(struct serial_port *port)
{
    if (port == NULL)
        return;
    if (port->locked) {
        drain(port->fd);
        ioctl(port->fd, TIOCNXCL);
    }
    if (port->library != NULL) {
        sp_close(port->library);
        sp_free_port(port->library);
    } else if (port->fd >= 0) {
        close(port->fd);
    }
    free(port);
}

size_t
serial_port_waiting(const struct serial_port *port)
{
    int waiting = 0;

    return ioctl(port->fd, TIOCOUTQ, &waiting) == 0 && waiting > 0 ? (size_t)waiting : 0;
}

bool
serial_port_errors(const struct serial_port *port, struct serial_port_errors *errors)
{
    struct serial_icounter_struct now;

    if (!port->counts || ioctl(port->fd, TIOCGICOUNT, &now) != 0)
        return false;
    *errors = (struct serial_port_errors){
        .frame = (uint64_t)(now.frame - port->before.frame),
        .parity = (uint64_t)(now.parity - port->before.parity),
        .overrun = (uint64_t)(now.overrun - port->before.overrun),
        .breaks = (uint64_t)(now.brk - port->before.brk),
    };
    return true;
}

int
serial_port_fd(const struct serial_port *port)
{
    return port->fd;
}

const char *
serial_port_path(const struct serial_port *port)
{
    return port->path;
}

bool
serial_port_hung_up(const struct serial_port *port)
{
    struct pollfd state = {.fd = port->fd, .events = POLLIN};
    int waiting;

    if (poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
        return true;
    return ioctl(port->fd, FIONREAD, &waiting) != 0;
}
