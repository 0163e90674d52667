/* SPDX-License-Identifier: Apache-2.0 */
/* How serial devices are opened: every setting, by the termios path and by the libserialport path.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "log_capture.h"
#include "pty_line.h"
#include "serial_port.h"
#include "serialport_pty.h"
#include "unit.h"

static const uint8_t ping[] = {0x02, 0x16};
static const uint8_t pong[] = {0x02, 0x17};
/* The example of the serial reference: it hits every escape. */
static const uint8_t publish[] = {0x0d, 0x0c, 0x62, 0x74, 0x31, 0x00, 0x00,
                                  0xc0, 0xdb, 0x7e, 0x7d, 0x00, 0x11};

/* As the kernel has it; its own header cannot be included beside termios.h. */
struct termios2 {
    tcflag_t c_iflag, c_oflag, c_cflag, c_lflag;
    cc_t c_line;
    cc_t c_cc[19];
    speed_t c_ispeed, c_ospeed;
};

/* The rate in baud, also where no B constant names it. */
static uint32_t
rate(const struct line *line)
{
    struct termios2 got = {.c_ospeed = 0};

    CU_ASSERT_EQUAL_FATAL(ioctl(line->far, TCGETS2, &got), 0);
    CU_ASSERT_EQUAL(got.c_ispeed, got.c_ospeed);
    return got.c_ospeed;
}

/* The settings that matter, read from the pseudo terminal itself. */
static void
check_settings(const struct line *line, uint32_t baud, tcflag_t crtscts, tcflag_t xonxoff)
{
    struct termios got;

    CU_ASSERT_EQUAL_FATAL(tcgetattr(line->far, &got), 0);
    CU_ASSERT_EQUAL(got.c_cflag & (CSIZE | CSTOPB | PARENB), CS8);
    CU_ASSERT_EQUAL(got.c_cflag & (HUPCL | CREAD | CLOCAL), CREAD | CLOCAL);
    CU_ASSERT_EQUAL(got.c_cflag & CRTSCTS, crtscts);
    CU_ASSERT_EQUAL(got.c_iflag & (IXON | IXOFF | IXANY), xonxoff);
    CU_ASSERT_EQUAL(got.c_iflag & (ICRNL | INLCR | IGNCR | ISTRIP | INPCK), 0);
    CU_ASSERT_EQUAL(got.c_lflag & (ICANON | ECHO | ISIG | IEXTEN), 0);
    CU_ASSERT_EQUAL(got.c_oflag & OPOST, 0);
    CU_ASSERT_EQUAL(got.c_cc[VMIN], 0);
    CU_ASSERT_EQUAL(got.c_cc[VTIME], 0);
    CU_ASSERT_EQUAL(rate(line), baud);
}

static const struct {
    enum serial_flow flow;
    tcflag_t crtscts, xonxoff;
} flows[] = {
    {SERIAL_FLOW_NONE, 0, 0},
    {SERIAL_FLOW_RTSCTS, CRTSCTS, 0},
    {SERIAL_FLOW_XONXOFF, 0, IXON | IXOFF},
};

/* Octets that wait in the pseudo terminal, and the opposite of every setting that is asked for. */
static void
spoil(const struct line *line)
{
    int near = open(line->pty, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    struct pollfd state = {.fd = near, .events = POLLIN};
    struct termios settings;

    CU_ASSERT_EQUAL_FATAL(tcgetattr(near, &settings), 0);
    cfmakeraw(&settings);
    CU_ASSERT_EQUAL_FATAL(tcsetattr(near, TCSANOW, &settings), 0);
    line_write(line, ping, sizeof ping);
    CU_ASSERT_EQUAL(poll(&state, 1, 10000), 1);
    settings.c_cflag |= HUPCL | CRTSCTS | CSTOPB | PARENB;
    settings.c_iflag |= IXON | IXOFF | IXANY | ISTRIP | ICRNL;
    settings.c_oflag |= OPOST;
    settings.c_lflag |= ECHO | ISIG | IEXTEN;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 5;
    CU_ASSERT_EQUAL_FATAL(tcsetattr(near, TCSANOW, &settings), 0);
    close(near);
}

static void
serial_pseudo_terminal_is_raw_whatever_it_was_before(void)
{
    for (size_t i = 0; i < sizeof flows / sizeof flows[0]; i++) {
        struct line line;

        line_init(&line);
        line.options.settings.flow = flows[i].flow;
        line.options.settings.baud = 57600;
        line_plug_in(&line);
        spoil(&line);
        line_point_link(&line);
        line_open(&line);
        CU_ASSERT_TRUE(fixture_status(&line.fixture).up);
        check_settings(&line, 57600, flows[i].crtscts, flows[i].xonxoff);
        line_write(&line, pong, sizeof pong);
        CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 1));
        /* What was there before the port was opened is gone. */
        CU_ASSERT_TRUE(fixture_is(&line.fixture, 0, pong, sizeof pong));
        line_fini(&line);
    }
}

/* Opens the pseudo terminal through libserialport, under the name of a port that does not exist. */
static void
library_start(struct line *line, struct serialport_pty_faults faults)
{
    line_init(line);
    line_plug_in(line);
    spoil(line);
    line->options.device = SERIALPORT_PTY_PATH;
    serialport_pty_use(line->pty);
    serialport_pty_set_faults(faults);
}

static void
library_port_has_every_setting_as_asked_for(void)
{
    /* libserialport sets the last two by number, not by a B constant. */
    static const uint32_t rates[] = {9600, 115200, 921600, 74880};

    for (size_t i = 0; i < 4 * 3; i++) {
        struct line line;

        library_start(&line, (struct serialport_pty_faults){.open_error = 0});
        line.options.settings.flow = flows[i % 3].flow;
        line.options.settings.baud = rates[i / 3];
        line_open(&line);
        struct transport_status status = fixture_status(&line.fixture);
        CU_ASSERT_TRUE(status.up);
        CU_ASSERT_STRING_EQUAL(status.error, "");
        check_settings(&line, rates[i / 3], flows[i % 3].crtscts, flows[i % 3].xonxoff);
        line_fini(&line);
    }
}

static void
library_port_has_the_mode_as_asked_for(void)
{
    static const struct {
        const char *mode;
        tcflag_t flags;
    } cases[] = {
        {"8E1", PARENB},
        {"8O1", PARENB | PARODD},
        {"8O2", PARENB | PARODD | CSTOPB},
        {"8N2", CSTOPB},
        {"8N1", 0},
        {"", 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;
        struct termios got;

        library_start(&line, (struct serialport_pty_faults){.open_error = 0});
        strcpy(line.options.settings.mode, cases[i].mode);
        line_open(&line);
        CU_ASSERT_TRUE(fixture_status(&line.fixture).up);
        CU_ASSERT_EQUAL(tcgetattr(line.far, &got), 0);
        CU_ASSERT_EQUAL(got.c_cflag & (CSIZE | CSTOPB | PARENB | PARODD), CS8 | cases[i].flags);
        line_fini(&line);
    }
}

static void
mode_that_cannot_be_is_refused_with_the_reason(void)
{
    static const struct {
        const char *mode, *reason;
    } cases[] = {
        {"7N1", "mode '7N1' leaves no room for the octets of messages"},
        {"5E2", "mode '5E2' leaves no room for the octets of messages"},
        {"9N1", "mode '9N1' is no mode"},
        {"8M1", "mode '8M1' is no mode"},
        {"8N3", "mode '8N3' is no mode"},
        {"8N", "mode '8N' is no mode"},
        {"8n1", "mode '8n1' is no mode"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;

        line_init(&line);
        strcpy(line.options.settings.mode, cases[i].mode);
        CU_ASSERT_PTR_NULL(serial_open(line.fixture.base, 0, &line.options, &line.fixture.listener,
                                       line.fixture.error, sizeof line.fixture.error));
        CU_ASSERT_PTR_NOT_NULL(strstr(line.fixture.error, cases[i].reason));
        line_fini(&line);
    }
}

static void
octet_on_the_line_has_bits_by_the_mode(void)
{
    struct serial_settings settings = serial_port_settings(9600);

    CU_ASSERT_EQUAL(serial_port_bits(&settings), 10);
    strcpy(settings.mode, "8E1");
    CU_ASSERT_EQUAL(serial_port_bits(&settings), 11);
    strcpy(settings.mode, "8O2");
    CU_ASSERT_EQUAL(serial_port_bits(&settings), 12);
}

static void
modem_lines_are_as_asked_for_or_left_alone(void)
{
    static const struct {
        enum serial_signal dtr, rts;
        int lines;
    } cases[] = {
        {SERIAL_SIGNAL_LEAVE, SERIAL_SIGNAL_LEAVE, TIOCM_DTR | TIOCM_RTS},
        {SERIAL_SIGNAL_OFF, SERIAL_SIGNAL_LEAVE, TIOCM_RTS},
        {SERIAL_SIGNAL_LEAVE, SERIAL_SIGNAL_OFF, TIOCM_DTR},
        {SERIAL_SIGNAL_OFF, SERIAL_SIGNAL_ON, TIOCM_RTS},
        {SERIAL_SIGNAL_OFF, SERIAL_SIGNAL_OFF, 0},
        {SERIAL_SIGNAL_ON, SERIAL_SIGNAL_ON, TIOCM_DTR | TIOCM_RTS},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;

        library_start(&line, (struct serialport_pty_faults){.open_error = 0});
        line.options.settings.dtr = cases[i].dtr;
        line.options.settings.rts = cases[i].rts;
        line_open(&line);
        CU_ASSERT_TRUE(fixture_status(&line.fixture).up);
        CU_ASSERT_EQUAL(serialport_pty_lines(), cases[i].lines);
        line_fini(&line);
    }
}

/* A pseudo terminal has neither modem lines nor RS-485 nor a delay of its own. */
static void
port_does_without_what_its_driver_cannot(void)
{
    struct line line;
    char text[2000];

    line_init(&line);
    line.options.settings.dtr = SERIAL_SIGNAL_OFF;
    line.options.settings.rts = SERIAL_SIGNAL_ON;
    line.options.settings.direction = SERIAL_DIRECTION_KERNEL;
    log_capture_start();
    line_start(&line);
    log_capture_finish(text, sizeof text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "the driver does not set DTR"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "the driver does not set RTS"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "the driver does not switch RS-485"));
    line_write(&line, ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 1));
    line_fini(&line);

    line_init(&line);
    line.options.settings.low_latency = true;
    log_capture_start();
    line_start(&line);
    log_capture_finish(text, sizeof text);
    CU_ASSERT_PTR_NULL(strstr(text, "driver"));
    line_fini(&line);
}

static void
library_port_is_exclusive_and_not_inherited(void)
{
    struct line line;
    int exclusive = 0;

    library_start(&line, (struct serialport_pty_faults){.open_error = 0});
    int near = line_next_descriptor() + 1; /* one finds out first that the port is free */
    line_open(&line);
    CU_ASSERT_EQUAL(fcntl(near, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CU_ASSERT_EQUAL(fcntl(near, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CU_ASSERT_EQUAL(ioctl(near, TIOCGEXCL, &exclusive), 0);
    CU_ASSERT_EQUAL(exclusive, 1);

    struct termios before, after;
    CU_ASSERT_EQUAL(tcgetattr(near, &before), 0);
    before.c_lflag |= ECHO | ICANON;
    before.c_cc[VMIN] = 1;
    CU_ASSERT_EQUAL(tcsetattr(near, TCSANOW, &before), 0);

    struct link_fixture second;
    fixture_init(&second);
    second.transport = serial_open(second.base, FIXTURE_LINK, &line.options, &second.listener,
                                   second.error, sizeof second.error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(second.transport);
    CU_ASSERT_STRING_EQUAL(fixture_status(&second).error,
                           "cannot open " SERIALPORT_PTY_PATH ": busy: another program holds it");
    /* The failed attempt has changed nothing, and not taken the exclusiveness away. */
    CU_ASSERT_EQUAL(tcgetattr(near, &after), 0);
    CU_ASSERT_EQUAL(after.c_lflag, before.c_lflag);
    CU_ASSERT_EQUAL(after.c_cflag, before.c_cflag);
    CU_ASSERT_EQUAL(after.c_cc[VMIN], 1);
    CU_ASSERT_EQUAL(ioctl(near, TIOCGEXCL, &exclusive), 0);
    CU_ASSERT_EQUAL(exclusive, 1);
    fixture_fini(&second);
    line_fini(&line);
}

static void
library_port_passes_messages_and_notices_a_hang_up(void)
{
    struct line line;
    struct link_fixture *fixture = &line.fixture;

    library_start(&line, (struct serialport_pty_faults){.open_error = 0});
    line_open(&line);
    line_write(&line, publish, sizeof publish);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(fixture, 1));
    CU_ASSERT_TRUE(fixture_is(fixture, 0, publish, sizeof publish));
    fixture_send(fixture, &fixture->datagrams[0].from, publish, sizeof publish);
    CU_ASSERT_TRUE(line_reads(&line, publish, sizeof publish));
    line_unplug(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(fixture, 1));
    CU_ASSERT_FALSE(fixture->up);
    line_plug_in(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(fixture, 2));
    CU_ASSERT_TRUE(fixture->up);
    line_write(&line, ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(fixture, 2));
    line_fini(&line);
}

static void
library_port_that_cannot_be_opened_says_why(void)
{
    static const struct {
        struct serialport_pty_faults faults;
        const char *error;
    } cases[] = {
        {{.open_error = EACCES}, "Permission denied; is the user in group dialout?"},
        {{.open_error = EBUSY}, "busy: another program holds it"},
        {{.open_error = EIO}, "Input/output error"},
        {{.modem_lines_error = EIO}, "Input/output error"},
        {{.fixed_speed = B9600}, "cannot set 115200 baud: the driver stays at 9600"},
        {{.no_parity = true}, "the driver refuses the mode or the flow control"},
        {{.no_crtscts = true}, "the driver refuses the mode or the flow control"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;
        char error[200];

        library_start(&line, cases[i].faults);
        line.options.settings.baud = 115200;
        line.options.settings.flow = SERIAL_FLOW_RTSCTS;
        strcpy(line.options.settings.mode, cases[i].faults.no_parity ? "8E1" : "8N1");
        line_open(&line);
        snprintf(error, sizeof error, "cannot open %s: %s", SERIALPORT_PTY_PATH, cases[i].error);
        CU_ASSERT_FALSE(fixture_status(&line.fixture).up);
        CU_ASSERT_STRING_EQUAL(fixture_status(&line.fixture).error, error);
        line_fini(&line);
    }
}

/* /dev/ttyGS0 and its like: a terminal, but none that libserialport can open. */
static void
port_without_modem_lines_is_opened_as_a_terminal(void)
{
    static const int errors[] = {ENOTTY, EINVAL};

    for (size_t i = 0; i < 2; i++) {
        struct line line;

        library_start(&line, (struct serialport_pty_faults){.modem_lines_error = errors[i]});
        line_open(&line);
        CU_ASSERT_TRUE(fixture_status(&line.fixture).up);
        check_settings(&line, 9600, 0, 0);
        line_write(&line, ping, sizeof ping);
        CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 1));
        line_fini(&line);
    }
}

static void
file_that_is_no_port_is_refused(void)
{
    static const char *const paths[] = {"/dev/null", "/etc/passwd", "/dev/pts", "/dev/pts/ptmx"};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct line line;

        line_init(&line);
        line.options.device = paths[i];
        line_open(&line);
        CU_ASSERT_FALSE(fixture_status(&line.fixture).up);
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_status(&line.fixture).error, "not a serial port"));
        line_fini(&line);
    }
}

static const struct unit_test tests[] = {
    UNIT_TEST(serial_pseudo_terminal_is_raw_whatever_it_was_before),
    UNIT_TEST(library_port_has_every_setting_as_asked_for),
    UNIT_TEST(library_port_has_the_mode_as_asked_for),
    UNIT_TEST(mode_that_cannot_be_is_refused_with_the_reason),
    UNIT_TEST(octet_on_the_line_has_bits_by_the_mode),
    UNIT_TEST(modem_lines_are_as_asked_for_or_left_alone),
    UNIT_TEST(port_does_without_what_its_driver_cannot),
    UNIT_TEST(library_port_is_exclusive_and_not_inherited),
    UNIT_TEST(library_port_passes_messages_and_notices_a_hang_up),
    UNIT_TEST(library_port_that_cannot_be_opened_says_why),
    UNIT_TEST(port_without_modem_lines_is_opened_as_a_terminal),
    UNIT_TEST(file_that_is_no_port_is_refused),
};

UNIT_MAIN("serial port", tests)
