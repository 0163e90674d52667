/* SPDX-License-Identifier: Apache-2.0 */
/* Serial links over real pseudo terminals, by the termios path and by the libserialport path. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <event2/event.h>

#include <dormouse/log.h>

#include "line_watch.h"
#include "link_fixture.h"
#include "serialport_pty.h"
#include "unit.h"

#define MTU 100

static const uint8_t ping[] = {0x02, 0x16};
static const uint8_t pong[] = {0x02, 0x17};
static const uint8_t wrapped_ping[] = {0x05, 0xfe, 0x00, 0x01, 0xab, 0x02, 0x16};
static const uint8_t wrapped_pong[] = {0x05, 0xfe, 0x00, 0x01, 0xab, 0x02, 0x17};
/* The example of the serial reference: it hits every escape. */
static const uint8_t publish[] = {0x0d, 0x0c, 0x62, 0x74, 0x31, 0x00, 0x00,
                                  0xc0, 0xdb, 0x7e, 0x7d, 0x00, 0x11};
static const uint8_t publish_slip[] = {0xc0, 0x0d, 0x0c, 0x62, 0x74, 0x31, 0x00, 0x00, 0xdb,
                                       0xdc, 0xdb, 0xdd, 0x7e, 0x7d, 0x00, 0x11, 0xc0};

/* A serial line: the far end of a pseudo terminal, and a link to its near end that can be moved. */
struct line {
    struct link_fixture fixture;
    struct serial_options options;
    char folder[32];
    char link[64];
    char pty[64];
    int far; /* -1: unplugged */
};

/* Makes a new pseudo terminal; nothing points to it yet. */
static void
plug_in(struct line *line)
{
    line->far = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CU_ASSERT_FATAL(line->far >= 0);
    CU_ASSERT_EQUAL_FATAL(grantpt(line->far) | unlockpt(line->far), 0);
    CU_ASSERT_EQUAL_FATAL(ptsname_r(line->far, line->pty, sizeof line->pty), 0);
}

static void
point_link(struct line *line)
{
    unlink(line->link);
    CU_ASSERT_EQUAL_FATAL(symlink(line->pty, line->link), 0);
}

static void
unplug(struct line *line)
{
    close(line->far);
    line->far = -1;
}

static void
line_init(struct line *line)
{
    memset(line, 0, sizeof *line);
    fixture_init(&line->fixture);
    snprintf(line->folder, sizeof line->folder, "/tmp/dormouse-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(line->folder));
    snprintf(line->link, sizeof line->link, "%s/radio", line->folder);
    line->far = -1;
    line->options = (struct serial_options){
        .name = "barn", .device = line->link, .framing = "raw", .baud = 9600, .mtu = MTU};
}

static void
line_open(struct line *line)
{
    line->fixture.transport =
        serial_open(line->fixture.base, FIXTURE_LINK, &line->options, &line->fixture.listener,
                    line->fixture.error, sizeof line->fixture.error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(line->fixture.transport);
}

/* The usual case: plugged in and open. */
static void
line_start(struct line *line)
{
    plug_in(line);
    point_link(line);
    line_open(line);
    CU_ASSERT_TRUE_FATAL(fixture_status(&line->fixture).up);
}

static void
line_fini(struct line *line)
{
    fixture_fini(&line->fixture);
    if (line->far >= 0)
        close(line->far);
    unlink(line->link);
    rmdir(line->folder);
    serialport_pty_use(NULL);
    serialport_pty_set_faults((struct serialport_pty_faults){.open_error = 0});
}

static void
far_write(const struct line *line, const void *data, size_t len)
{
    CU_ASSERT_EQUAL(write(line->far, data, len), (ssize_t)len);
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

static bool
far_reads(const struct line *line, const void *data, size_t len)
{
    uint8_t buffer[FIXTURE_DATA_MAX];

    return far_read(line, buffer, len) && memcmp(buffer, data, len) == 0;
}

static void
serial_open_wrong_options_fails_with_the_reason(void)
{
    static const struct {
        const char *name, *device, *framing, *reason;
        uint32_t baud;
        uint16_t mtu;
    } cases[] = {
        {"barn", "/dev/x", "morse", "unknown framing 'morse'", 9600, MTU},
        {"barn", "/dev/x", NULL, "unknown framing ''", 9600, MTU},
        {"barn", "", "raw", "no device", 9600, MTU},
        {"barn", NULL, "raw", "no device", 9600, MTU},
        {"barn", "/dev/x", "raw", "0 baud", 0, MTU},
        {"barn", "/dev/x", "raw", "4294967295 baud", UINT32_MAX, MTU},
        {"barn", "/dev/x", "raw", "mtu", 9600, 1},
        {"a-name-of-sixty-four-octets-which-is-longer-than-the-limit-of-63", "/dev/x", "raw",
         "name is too long", 9600, MTU},
    };
    struct line line;

    line_init(&line);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct serial_options options = {.name = cases[i].name,
                                         .device = cases[i].device,
                                         .framing = cases[i].framing,
                                         .baud = cases[i].baud,
                                         .mtu = cases[i].mtu};

        CU_ASSERT_PTR_NULL(serial_open(line.fixture.base, 0, &options, &line.fixture.listener,
                                       line.fixture.error, sizeof line.fixture.error));
        CU_ASSERT_PTR_NOT_NULL(strstr(line.fixture.error, cases[i].reason));
    }
    line_fini(&line);
}

static void
exchange(const char *framing, const uint8_t *frame, size_t frame_len)
{
    struct line line;

    line_init(&line);
    line.options.framing = framing;
    line_start(&line);
    far_write(&line, frame, frame_len);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&line.fixture, 1));
    CU_ASSERT_TRUE(fixture_is(&line.fixture, 0, publish, sizeof publish));
    CU_ASSERT_EQUAL(line.fixture.datagrams[0].from.link, FIXTURE_LINK);
    CU_ASSERT_STRING_EQUAL(fixture_text(&line.fixture, &line.fixture.datagrams[0].from),
                           "serial:barn:");
    CU_ASSERT_EQUAL(
        fixture_send(&line.fixture, &line.fixture.datagrams[0].from, publish, sizeof publish),
        DM_OK);
    CU_ASSERT_TRUE(far_reads(&line, frame, frame_len));

    struct transport_status status = fixture_status(&line.fixture);
    CU_ASSERT_STRING_EQUAL(status.device, line.link);
    CU_ASSERT_STRING_EQUAL(status.error, "");
    CU_ASSERT_EQUAL(status.rx_datagrams, 1);
    CU_ASSERT_EQUAL(status.rx_octets, frame_len);
    CU_ASSERT_EQUAL(status.tx_datagrams, 1);
    CU_ASSERT_EQUAL(status.tx_octets, frame_len);
    CU_ASSERT_EQUAL(status.rx_dropped + status.rx_garbage + status.tx_dropped, 0);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 0);
    line_fini(&line);
}

static void
serial_message_passes_both_ways_in_every_framing(void)
{
    exchange("raw", publish, sizeof publish);
    exchange("slip", publish_slip, sizeof publish_slip);
}

static void
serial_message_in_single_octets_is_put_together(void)
{
    struct line line;

    line_init(&line);
    line.options.framing = "slip";
    line_start(&line);
    for (size_t i = 0; i < sizeof publish_slip; i++) {
        far_write(&line, publish_slip + i, 1);
        event_base_loop(line.fixture.base, EVLOOP_ONCE);
    }
    CU_ASSERT_EQUAL(line.fixture.received, 1);
    CU_ASSERT_TRUE(fixture_is(&line.fixture, 0, publish, sizeof publish));
    line_fini(&line);
}

static void
serial_messages_back_to_back_are_all_delivered(void)
{
    struct line line;
    uint8_t octets[100 * sizeof ping];

    line_init(&line);
    line_start(&line);
    for (size_t i = 0; i < sizeof octets; i += sizeof ping)
        memcpy(octets + i, ping, sizeof ping);
    far_write(&line, octets, sizeof octets);
    CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 100));
    CU_ASSERT_TRUE(fixture_is(&line.fixture, 99, ping, sizeof ping));
    line_fini(&line);
}

static void
serial_garbage_is_counted_and_the_next_message_heard(void)
{
    static const uint8_t noise[] = {0x00, 0x00, 0x00};
    struct line line;

    line_init(&line);
    line_start(&line);
    far_write(&line, noise, sizeof noise);
    far_write(&line, ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 1));
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).rx_garbage, sizeof noise);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).rx_octets, sizeof noise + sizeof ping);
    line_fini(&line);
}

/* R111, R112 on a line with a forwarder and a node of its own. */
static void
serial_auto_answers_each_node_as_it_spoke(void)
{
    struct line line;
    struct link_fixture *fixture = &line.fixture;

    line_init(&line);
    line_start(&line);
    far_write(&line, wrapped_ping, sizeof wrapped_ping);
    far_write(&line, ping, sizeof ping);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(fixture, 2));
    CU_ASSERT_TRUE(fixture_is(fixture, 0, ping, sizeof ping));
    CU_ASSERT_TRUE(fixture_is(fixture, 1, ping, sizeof ping));
    CU_ASSERT_STRING_EQUAL(fixture_text(fixture, &fixture->datagrams[0].from), "serial:barn:01ab");
    CU_ASSERT_STRING_EQUAL(fixture_text(fixture, &fixture->datagrams[1].from), "serial:barn:");
    fixture_send(fixture, &fixture->datagrams[0].from, pong, sizeof pong);
    CU_ASSERT_TRUE(far_reads(&line, wrapped_pong, sizeof wrapped_pong));
    fixture_send(fixture, &fixture->datagrams[1].from, pong, sizeof pong);
    CU_ASSERT_TRUE(far_reads(&line, pong, sizeof pong));
    line_fini(&line);
}

static void
serial_encapsulation_off_drops_nodes_and_always_drops_bare(void)
{
    static const enum serial_encapsulation modes[] = {SERIAL_ENCAPSULATION_OFF,
                                                      SERIAL_ENCAPSULATION_ALWAYS};
    static const char *const heard[] = {"serial:barn:", "serial:barn:01ab"};

    for (size_t i = 0; i < 2; i++) {
        struct line line;

        line_init(&line);
        line.options.encapsulation = modes[i];
        line_start(&line);
        /* The one to be dropped stands between two of the other kind. */
        far_write(&line, i == 0 ? ping : wrapped_ping, i == 0 ? 2 : sizeof wrapped_ping);
        far_write(&line, i == 1 ? ping : wrapped_ping, i == 1 ? 2 : sizeof wrapped_ping);
        far_write(&line, i == 0 ? ping : wrapped_ping, i == 0 ? 2 : sizeof wrapped_ping);
        CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 2));
        for (size_t j = 0; j < 2; j++)
            CU_ASSERT_STRING_EQUAL(fixture_text(&line.fixture, &line.fixture.datagrams[j].from),
                                   heard[i]);
        CU_ASSERT_EQUAL(fixture_status(&line.fixture).rx_dropped, 1);
        line_fini(&line);
    }
}

static void
serial_message_longer_than_the_mtu_is_dropped_and_counted(void)
{
    uint8_t longest[MTU + 1] = {MTU + 1, 0x0c};
    struct line line;

    line_init(&line);
    line_start(&line);
    far_write(&line, longest, MTU + 1);
    longest[0] = MTU;
    far_write(&line, longest, MTU);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&line.fixture, 1));
    CU_ASSERT_EQUAL(line.fixture.datagrams[0].len, MTU);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).rx_dropped, 1);

    struct dm_address from = line.fixture.datagrams[0].from;
    CU_ASSERT_EQUAL(fixture_send(&line.fixture, &from, longest, MTU + 1), DM_INVALID);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_dropped, 1);
    CU_ASSERT_EQUAL(fixture_send(&line.fixture, &from, longest, MTU), DM_OK);
    CU_ASSERT_TRUE(far_reads(&line, longest, MTU));
    line_fini(&line);
}

static void
serial_hang_up_takes_the_link_down_and_a_new_device_brings_it_back(void)
{
    struct line line;
    struct link_fixture *fixture = &line.fixture;
    struct dm_address node;

    line_init(&line);
    line_start(&line);
    node = fixture_address(fixture, "serial:barn:");
    unplug(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(fixture, 1));
    CU_ASSERT_FALSE(fixture->up);
    struct transport_status status = fixture_status(fixture);
    CU_ASSERT_FALSE(status.up);
    CU_ASSERT_PTR_NOT_NULL(strstr(status.error, line.link));
    CU_ASSERT_EQUAL(fixture_send(fixture, &node, pong, sizeof pong), DM_IO);
    CU_ASSERT_EQUAL(fixture_status(fixture).tx_dropped, 1);

    plug_in(&line);
    point_link(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(fixture, 2));
    CU_ASSERT_TRUE(fixture->up);
    status = fixture_status(fixture);
    CU_ASSERT_TRUE(status.up);
    CU_ASSERT_STRING_EQUAL(status.error, "");
    CU_ASSERT_EQUAL(status.reopens, 1);
    far_write(&line, ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(fixture, 1));
    CU_ASSERT_EQUAL(fixture_send(fixture, &node, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(far_reads(&line, pong, sizeof pong));
    line_fini(&line);
}

/* The number that the next descriptor gets. */
static int
next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(fd);
    return fd;
}

/* Finding 5 of the serial reference: a descriptor that stays open moves the dongle. */
static void
serial_hang_up_closes_the_device_at_once(void)
{
    struct line line;

    line_init(&line);
    plug_in(&line);
    point_link(&line);
    int near = next_descriptor();
    line_open(&line);
    CU_ASSERT_EQUAL(isatty(near), 1);
    unplug(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(&line.fixture, 1));
    CU_ASSERT_EQUAL(fcntl(near, F_GETFD), -1);
    CU_ASSERT_EQUAL(errno, EBADF);
    line_fini(&line);
}

/* What came before the hang-up is heard, and half a frame of the old line is not taken for the
 * beginning of a new one. */
static void
serial_partial_frame_does_not_survive_a_hang_up(void)
{
    struct line line;

    line_init(&line);
    line_start(&line);
    far_write(&line, ping, sizeof ping);
    far_write(&line, publish, 5);
    CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 1));
    unplug(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(&line.fixture, 1));
    plug_in(&line);
    point_link(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(&line.fixture, 2));
    far_write(&line, publish, sizeof publish);
    CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 2));
    CU_ASSERT_TRUE(fixture_is(&line.fixture, 1, publish, sizeof publish));
    line_fini(&line);
}

static void
serial_missing_device_opens_down_and_comes_up_when_it_appears(void)
{
    struct line line;

    line_init(&line);
    line_open(&line);
    struct transport_status status = fixture_status(&line.fixture);
    CU_ASSERT_FALSE(status.up);
    CU_ASSERT_PTR_NOT_NULL(strstr(status.error, line.link));
    CU_ASSERT_PTR_NOT_NULL(strstr(status.error, "No such file"));
    struct dm_address node = fixture_address(&line.fixture, "serial:barn:");
    CU_ASSERT_EQUAL(fixture_send(&line.fixture, &node, pong, sizeof pong), DM_IO);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_dropped, 1);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 0);

    plug_in(&line);
    point_link(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(&line.fixture, 1));
    CU_ASSERT_TRUE(line.fixture.up);
    CU_ASSERT_TRUE(fixture_status(&line.fixture).up);
    line_fini(&line);
}

/* Both attempts are seen to happen in time: one after half a second, the next a second later. */
static void
serial_back_off_doubles(void)
{
    struct line line;
    struct timespec start, end;

    line_init(&line);
    clock_gettime(CLOCK_MONOTONIC, &start);
    line_open(&line);
    event_base_loop(line.fixture.base, EVLOOP_ONCE);
    plug_in(&line);
    point_link(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(&line.fixture, 1));
    clock_gettime(CLOCK_MONOTONIC, &end);
    double waited =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    CU_ASSERT_TRUE(waited >= 1.4);
    line_fini(&line);
}

/* Nobody reads the line: the kernel takes some frames, the queue 16, and then there is a limit. */
static size_t
fill(struct line *line, const struct dm_address *node)
{
    size_t taken = 0;
    enum dm_result result;
    uint8_t frame[MTU] = {MTU, 0x0c};

    do {
        frame[7] = (uint8_t)taken;
        frame[8] = (uint8_t)(taken >> 8);
        result = fixture_send(&line->fixture, node, frame, sizeof frame);
        taken += result == DM_OK;
    } while (result == DM_OK && taken < 10000);
    CU_ASSERT_EQUAL(result, DM_FULL);
    CU_ASSERT_EQUAL(fixture_status(&line->fixture).tx_dropped, 1);
    return taken;
}

static void
serial_full_queue_refuses_and_loses_nothing_it_took(void)
{
    struct line line;
    size_t have = 0;

    line_init(&line);
    line_start(&line);
    struct dm_address node = fixture_address(&line.fixture, "serial:barn:");
    size_t taken = fill(&line, &node);
    size_t total = taken * MTU;
    uint8_t *octets = malloc(total);
    CU_ASSERT_PTR_NOT_NULL_FATAL(octets);
    fcntl(line.far, F_SETFL, O_NONBLOCK);
    while (have < total) {
        struct pollfd state = {.fd = line.far, .events = POLLIN};

        event_base_loop(line.fixture.base, EVLOOP_NONBLOCK);
        ssize_t got =
            poll(&state, 1, 10000) == 1 ? read(line.far, octets + have, total - have) : -1;
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    CU_ASSERT_EQUAL(have, total);
    size_t in_order = 0;
    while (in_order * MTU < have && octets[in_order * MTU] == MTU &&
           octets[in_order * MTU + 7] == (uint8_t)in_order &&
           octets[in_order * MTU + 8] == (uint8_t)(in_order >> 8))
        in_order++;
    CU_ASSERT_EQUAL(in_order, taken);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_datagrams, taken);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_octets, total);
    CU_ASSERT_EQUAL(fixture_send(&line.fixture, &node, pong, sizeof pong), DM_OK);
    free(octets);
    line_fini(&line);
}

static void
serial_hang_up_with_waiting_frames_counts_them_as_dropped(void)
{
    struct line line;

    line_init(&line);
    line_start(&line);
    struct dm_address node = fixture_address(&line.fixture, "serial:barn:");
    size_t taken = fill(&line, &node);
    unplug(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(&line.fixture, 1));
    struct transport_status status = fixture_status(&line.fixture);
    CU_ASSERT_EQUAL(status.tx_dropped, 1 + 16);
    CU_ASSERT_EQUAL(status.tx_datagrams + 16, taken);
    /* The frame that was cut by the hang-up does not cut the first one afterwards. */
    plug_in(&line);
    point_link(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(&line.fixture, 2));
    fixture_send(&line.fixture, &node, publish, sizeof publish);
    CU_ASSERT_TRUE(far_reads(&line, publish, sizeof publish));
    line_fini(&line);
}

/* A send that meets the hang-up first must not call the listener: the loop does. */
static void
serial_send_into_a_hung_up_port_reports_the_link_later(void)
{
    struct line line;

    line_init(&line);
    line_start(&line);
    struct dm_address node = fixture_address(&line.fixture, "serial:barn:");
    unplug(&line);
    CU_ASSERT_EQUAL(fixture_send(&line.fixture, &node, pong, sizeof pong), DM_OK);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 0);
    CU_ASSERT_TRUE(fixture_wait_link_changes(&line.fixture, 1));
    CU_ASSERT_FALSE(line.fixture.up);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_dropped, 1);
    line_fini(&line);
}

static void
serial_device_in_use_opens_down_as_busy(void)
{
    struct line line;
    struct link_fixture second;

    line_init(&line);
    line_start(&line);
    fixture_init(&second);
    second.transport = serial_open(second.base, FIXTURE_LINK, &line.options, &second.listener,
                                   second.error, sizeof second.error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(second.transport);
    struct transport_status status = fixture_status(&second);
    CU_ASSERT_FALSE(status.up);
    CU_ASSERT_PTR_NOT_NULL(strstr(status.error, line.link));
    CU_ASSERT_PTR_NOT_NULL(strstr(status.error, line.pty));
    CU_ASSERT_PTR_NOT_NULL(strstr(status.error, "busy: another program holds it"));
    fixture_fini(&second);
    line_fini(&line);
}

static void
serial_address_texts_round_trip_and_others_are_rejected(void)
{
    static const char *const good[] = {
        "serial:barn:", "serial:barn:/", "serial:barn:01ab", "serial:barn:00",
        "serial:barn:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"};
    static const char *const bad[] = {
        "1",  "01AB", "0g",
        "//", "/01",  "01/",
        " ",  "01 ",  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"};
    struct line line;
    struct dm_address address;

    line_init(&line);
    line_open(&line);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        address = fixture_address(&line.fixture, good[i]);
        CU_ASSERT_EQUAL(address.link, FIXTURE_LINK);
        CU_ASSERT_STRING_EQUAL(fixture_text(&line.fixture, &address), good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(
            line.fixture.transport->ops->address_parse(line.fixture.transport, bad[i], &address),
            DM_INVALID);
    line_fini(&line);
}

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
    far_write(line, ping, sizeof ping);
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
        line.options.flow = flows[i].flow;
        line.options.baud = 57600;
        plug_in(&line);
        spoil(&line);
        point_link(&line);
        line_open(&line);
        CU_ASSERT_TRUE(fixture_status(&line.fixture).up);
        check_settings(&line, 57600, flows[i].crtscts, flows[i].xonxoff);
        far_write(&line, pong, sizeof pong);
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
    plug_in(line);
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
        line.options.flow = flows[i % 3].flow;
        line.options.baud = rates[i / 3];
        line_open(&line);
        struct transport_status status = fixture_status(&line.fixture);
        CU_ASSERT_TRUE(status.up);
        CU_ASSERT_STRING_EQUAL(status.error, "");
        check_settings(&line, rates[i / 3], flows[i % 3].crtscts, flows[i % 3].xonxoff);
        line_fini(&line);
    }
}

static void
library_port_is_exclusive_and_not_inherited(void)
{
    struct line line;
    int exclusive = 0;

    library_start(&line, (struct serialport_pty_faults){.open_error = 0});
    int near = next_descriptor();
    line_open(&line);
    CU_ASSERT_EQUAL(fcntl(near, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CU_ASSERT_EQUAL(fcntl(near, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CU_ASSERT_EQUAL(ioctl(near, TIOCGEXCL, &exclusive), 0);
    CU_ASSERT_EQUAL(exclusive, 1);

    struct link_fixture second;
    fixture_init(&second);
    second.transport = serial_open(second.base, FIXTURE_LINK, &line.options, &second.listener,
                                   second.error, sizeof second.error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(second.transport);
    CU_ASSERT_STRING_EQUAL(fixture_status(&second).error,
                           "cannot open " SERIALPORT_PTY_PATH ": busy: another program holds it");
    /* The failed attempt has not taken the exclusiveness away. */
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
    far_write(&line, publish, sizeof publish);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(fixture, 1));
    CU_ASSERT_TRUE(fixture_is(fixture, 0, publish, sizeof publish));
    fixture_send(fixture, &fixture->datagrams[0].from, publish, sizeof publish);
    CU_ASSERT_TRUE(far_reads(&line, publish, sizeof publish));
    unplug(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(fixture, 1));
    CU_ASSERT_FALSE(fixture->up);
    plug_in(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(fixture, 2));
    CU_ASSERT_TRUE(fixture->up);
    far_write(&line, ping, sizeof ping);
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
        {{.no_crtscts = true}, "the driver refuses 8N1 or the flow control"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line line;
        char error[200];

        library_start(&line, cases[i].faults);
        line.options.baud = 115200;
        line.options.flow = SERIAL_FLOW_RTSCTS;
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
        far_write(&line, ping, sizeof ping);
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

static void
line_watch_tells_once_of_garbage_without_frames(void)
{
    struct framing_counters counters = {.rx_frames = 5, .rx_garbage = 1000};
    struct line_watch watch;

    line_watch_init(&watch, &counters);
    CU_ASSERT_FALSE(line_watch_check(&watch, &counters, 1000));
    counters.rx_garbage += 65;
    CU_ASSERT_FALSE(line_watch_check(&watch, &counters, 50000));
    CU_ASSERT_FALSE(line_watch_check(&watch, &counters, 50000 + LINE_WATCH_MS - 1));
    CU_ASSERT_TRUE(line_watch_check(&watch, &counters, 50000 + LINE_WATCH_MS));
    counters.rx_garbage += 65;
    CU_ASSERT_FALSE(line_watch_check(&watch, &counters, 90000));
    line_watch_init(&watch, &counters);
    counters.rx_garbage += 65;
    CU_ASSERT_FALSE(line_watch_check(&watch, &counters, 100000));
    CU_ASSERT_TRUE(line_watch_check(&watch, &counters, 110000));
}

static void
line_watch_is_quiet_with_little_garbage_or_a_valid_frame(void)
{
    struct framing_counters counters = {.rx_garbage = 64};
    struct line_watch watch;

    line_watch_init(&watch, &(struct framing_counters){.rx_garbage = 0});
    CU_ASSERT_FALSE(line_watch_check(&watch, &counters, 0));
    CU_ASSERT_FALSE(line_watch_check(&watch, &counters, 60000));
    counters.rx_frames = 1;
    counters.rx_garbage = 128;
    CU_ASSERT_FALSE(line_watch_check(&watch, &counters, 60000));
    counters.rx_garbage += 65;
    CU_ASSERT_FALSE(line_watch_check(&watch, &counters, 65000));
    CU_ASSERT_FALSE(line_watch_check(&watch, &counters, 74999));
    CU_ASSERT_TRUE(line_watch_check(&watch, &counters, 75000));
}

/* Replaces stderr by a file; what was logged can be read from it afterwards. */
static int
capture_log(FILE **file)
{
    int saved = dup(STDERR_FILENO);

    *file = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(*file);
    dup2(fileno(*file), STDERR_FILENO);
    return saved;
}

static void
read_log(int saved, FILE *file, char *text, size_t size)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void
serial_line_of_garbage_is_warned_of_with_baud_and_framing(void)
{
    static const uint8_t noise[65] = {0};
    struct line line;
    FILE *file;
    char text[2000];

    line_init(&line);
    line_start(&line);
    int saved = capture_log(&file);
    far_write(&line, noise, sizeof noise);
    event_base_loop(line.fixture.base, EVLOOP_ONCE);
    serialport_pty_advance_boot_time(11);
    far_write(&line, noise, 1);
    event_base_loop(line.fixture.base, EVLOOP_ONCE);
    read_log(saved, file, text, sizeof text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "check baud (9600) and framing (raw)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, line.link));
    line_fini(&line);
}

/* Twice missing is one line in the log. */
static void
serial_open_failure_is_logged_when_its_reason_changes(void)
{
    struct line line;
    FILE *file;
    char text[2000];

    line_init(&line);
    int saved = capture_log(&file);
    line_open(&line);
    event_base_loop(line.fixture.base, EVLOOP_ONCE);
    CU_ASSERT_EQUAL(symlink("/dev/null", line.link), 0);
    event_base_loop(line.fixture.base, EVLOOP_ONCE);
    read_log(saved, file, text, sizeof text);
    const char *first = strstr(text, "No such file");
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    CU_ASSERT_PTR_NULL(strstr(first + 1, "No such file"));
    CU_ASSERT_PTR_NOT_NULL(strstr(first, "not a serial port"));
    line_fini(&line);
}

static const struct unit_test tests[] = {
    UNIT_TEST(serial_open_wrong_options_fails_with_the_reason),
    UNIT_TEST(serial_message_passes_both_ways_in_every_framing),
    UNIT_TEST(serial_message_in_single_octets_is_put_together),
    UNIT_TEST(serial_messages_back_to_back_are_all_delivered),
    UNIT_TEST(serial_garbage_is_counted_and_the_next_message_heard),
    UNIT_TEST(serial_auto_answers_each_node_as_it_spoke),
    UNIT_TEST(serial_encapsulation_off_drops_nodes_and_always_drops_bare),
    UNIT_TEST(serial_message_longer_than_the_mtu_is_dropped_and_counted),
    UNIT_TEST(serial_hang_up_takes_the_link_down_and_a_new_device_brings_it_back),
    UNIT_TEST(serial_hang_up_closes_the_device_at_once),
    UNIT_TEST(serial_partial_frame_does_not_survive_a_hang_up),
    UNIT_TEST(serial_missing_device_opens_down_and_comes_up_when_it_appears),
    UNIT_TEST(serial_back_off_doubles),
    UNIT_TEST(serial_full_queue_refuses_and_loses_nothing_it_took),
    UNIT_TEST(serial_hang_up_with_waiting_frames_counts_them_as_dropped),
    UNIT_TEST(serial_send_into_a_hung_up_port_reports_the_link_later),
    UNIT_TEST(serial_device_in_use_opens_down_as_busy),
    UNIT_TEST(serial_address_texts_round_trip_and_others_are_rejected),
    UNIT_TEST(serial_pseudo_terminal_is_raw_whatever_it_was_before),
    UNIT_TEST(library_port_has_every_setting_as_asked_for),
    UNIT_TEST(library_port_is_exclusive_and_not_inherited),
    UNIT_TEST(library_port_passes_messages_and_notices_a_hang_up),
    UNIT_TEST(library_port_that_cannot_be_opened_says_why),
    UNIT_TEST(port_without_modem_lines_is_opened_as_a_terminal),
    UNIT_TEST(file_that_is_no_port_is_refused),
    UNIT_TEST(line_watch_tells_once_of_garbage_without_frames),
    UNIT_TEST(line_watch_is_quiet_with_little_garbage_or_a_valid_frame),
    UNIT_TEST(serial_line_of_garbage_is_warned_of_with_baud_and_framing),
    UNIT_TEST(serial_open_failure_is_logged_when_its_reason_changes),
};

UNIT_MAIN("serial", tests)
