/* SPDX-License-Identifier: Apache-2.0 */
/* Serial links over real pseudo terminals: messages, hang-ups, the queue and what is logged. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "line_watch.h"
#include "log_capture.h"
#include "pty_line.h"
#include "serialport_pty.h"
#include "steady_clock.h"
#include "unit.h"

static const uint8_t ping[] = {0x02, 0x16};
static const uint8_t pong[] = {0x02, 0x17};
/* The example of the serial reference: it hits every escape. */
static const uint8_t publish[] = {0x0d, 0x0c, 0x62, 0x74, 0x31, 0x00, 0x00,
                                  0xc0, 0xdb, 0x7e, 0x7d, 0x00, 0x11};
static const uint8_t publish_slip[] = {0xc0, 0x0d, 0x0c, 0x62, 0x74, 0x31, 0x00, 0x00, 0xdb,
                                       0xdc, 0xdb, 0xdd, 0x7e, 0x7d, 0x00, 0x11, 0xc0};

static void
serial_open_wrong_options_fails_with_the_reason(void)
{
    static const struct {
        const char *name, *device, *framing, *reason;
        uint32_t baud;
        uint16_t mtu;
    } cases[] = {
        {"barn", "/dev/x", "morse", "unknown framing 'morse'", 9600, LINE_MTU},
        {"barn", "/dev/x", NULL, "unknown framing ''", 9600, LINE_MTU},
        {"barn", "", "raw", "no device", 9600, LINE_MTU},
        {"barn", NULL, "raw", "no device", 9600, LINE_MTU},
        {"barn", "/dev/x", "raw", "0 baud", 0, LINE_MTU},
        {"barn", "/dev/x", "raw", "4294967295 baud", UINT32_MAX, LINE_MTU},
        {"barn", "/dev/x", "raw", "mtu", 9600, 1},
        {"a-name-of-sixty-four-octets-which-is-longer-than-the-limit-of-63", "/dev/x", "raw",
         "name is too long", 9600, LINE_MTU},
    };
    struct line line;

    line_init(&line);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct serial_options options = {.name = cases[i].name,
                                         .device = cases[i].device,
                                         .framing = cases[i].framing,
                                         .settings = {.baud = cases[i].baud},
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
    line_write(&line, frame, frame_len);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&line.fixture, 1));
    CU_ASSERT_TRUE(fixture_is(&line.fixture, 0, publish, sizeof publish));
    CU_ASSERT_EQUAL(line.fixture.datagrams[0].from.link, FIXTURE_LINK);
    CU_ASSERT_STRING_EQUAL(fixture_text(&line.fixture, &line.fixture.datagrams[0].from),
                           "serial:barn:");
    CU_ASSERT_EQUAL(
        fixture_send(&line.fixture, &line.fixture.datagrams[0].from, publish, sizeof publish),
        DM_OK);
    CU_ASSERT_TRUE(line_reads(&line, frame, frame_len));

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
serial_message_passes_both_ways(void)
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
        line_write(&line, publish_slip + i, 1);
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
    line_write(&line, octets, sizeof octets);
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
    line_write(&line, noise, sizeof noise);
    line_write(&line, ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 1));
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).rx_garbage, sizeof noise);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).rx_octets, sizeof noise + sizeof ping);
    line_fini(&line);
}

static void
serial_message_longer_than_the_mtu_is_dropped_and_counted(void)
{
    uint8_t longest[LINE_MTU + 1] = {LINE_MTU + 1, 0x0c};
    struct line line;

    line_init(&line);
    line_start(&line);
    line_write(&line, longest, LINE_MTU + 1);
    longest[0] = LINE_MTU;
    line_write(&line, longest, LINE_MTU);
    CU_ASSERT_TRUE_FATAL(fixture_wait_received(&line.fixture, 1));
    CU_ASSERT_EQUAL(line.fixture.datagrams[0].len, LINE_MTU);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).rx_dropped, 1);

    struct dm_address from = line.fixture.datagrams[0].from;
    CU_ASSERT_EQUAL(fixture_send(&line.fixture, &from, longest, LINE_MTU + 1), DM_INVALID);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_dropped, 1);
    CU_ASSERT_EQUAL(fixture_send(&line.fixture, &from, longest, LINE_MTU), DM_OK);
    CU_ASSERT_TRUE(line_reads(&line, longest, LINE_MTU));
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
    line_unplug(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(fixture, 1));
    CU_ASSERT_FALSE(fixture->up);
    struct transport_status status = fixture_status(fixture);
    CU_ASSERT_FALSE(status.up);
    CU_ASSERT_PTR_NOT_NULL(strstr(status.error, line.link));
    CU_ASSERT_EQUAL(fixture_send(fixture, &node, pong, sizeof pong), DM_IO);
    CU_ASSERT_EQUAL(fixture_status(fixture).tx_dropped, 1);

    line_plug_in(&line);
    line_point_link(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(fixture, 2));
    CU_ASSERT_TRUE(fixture->up);
    status = fixture_status(fixture);
    CU_ASSERT_TRUE(status.up);
    CU_ASSERT_STRING_EQUAL(status.error, "");
    CU_ASSERT_EQUAL(status.reopens, 1);
    line_write(&line, ping, sizeof ping);
    CU_ASSERT_TRUE(fixture_wait_received(fixture, 1));
    CU_ASSERT_EQUAL(fixture_send(fixture, &node, pong, sizeof pong), DM_OK);
    CU_ASSERT_TRUE(line_reads(&line, pong, sizeof pong));
    line_fini(&line);
}

/* Finding 5 of the serial reference: a descriptor that stays open moves the dongle. */
static void
serial_hang_up_closes_the_device_at_once(void)
{
    struct line line;

    line_init(&line);
    line_plug_in(&line);
    line_point_link(&line);
    int near = line_next_descriptor();
    line_open(&line);
    CU_ASSERT_EQUAL(isatty(near), 1);
    line_unplug(&line);
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
    line_write(&line, ping, sizeof ping);
    line_write(&line, publish, 5);
    CU_ASSERT_TRUE(fixture_wait_received(&line.fixture, 1));
    line_unplug(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(&line.fixture, 1));
    line_plug_in(&line);
    line_point_link(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(&line.fixture, 2));
    line_write(&line, publish, sizeof publish);
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

    line_plug_in(&line);
    line_point_link(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(&line.fixture, 1));
    CU_ASSERT_TRUE(line.fixture.up);
    CU_ASSERT_TRUE(fixture_status(&line.fixture).up);
    line_fini(&line);
}

static void
serial_back_off_doubles_up_to_30_s(void)
{
    static const unsigned delays_ms[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    struct line line;

    steady_clock_freeze();
    line_init(&line);
    line.options.device = SERIALPORT_PTY_PATH;
    line_open(&line);
    for (size_t i = 0; i < sizeof delays_ms / sizeof delays_ms[0]; i++) {
        unsigned before = serialport_pty_lookups();

        line_advance(&line, delays_ms[i] - 2);
        CU_ASSERT_EQUAL(serialport_pty_lookups(), before);
        line_advance(&line, 2);
        CU_ASSERT_EQUAL(serialport_pty_lookups(), before + 1);
    }
    line_fini(&line);
}

/* Hang-up and return, found `back_ms` later. */
static void
replug(struct line *line, unsigned back_ms)
{
    size_t changes = line->fixture.link_changes;

    line_unplug(line);
    line_advance(line, 0);
    CU_ASSERT_EQUAL(line->fixture.link_changes, changes + 1);
    line_plug_in(line);
    serialport_pty_use(line->pty);
    line_advance(line, back_ms - 2);
    CU_ASSERT_EQUAL(line->fixture.link_changes, changes + 1);
    line_advance(line, 2);
    CU_ASSERT_EQUAL(line->fixture.link_changes, changes + 2);
}

static void
serial_back_off_starts_anew_after_a_port_was_stable(void)
{
    struct line line;

    steady_clock_freeze();
    line_init(&line);
    line_plug_in(&line);
    serialport_pty_use(line.pty);
    line.options.device = SERIALPORT_PTY_PATH;
    line_open(&line);
    replug(&line, 500);
    line_advance(&line, 4999);
    replug(&line, 1000);
    line_advance(&line, 5000);
    replug(&line, 500);
    line_fini(&line);
}

/* However long the back-off has become. */
static void
serial_device_that_appears_is_opened_at_once(void)
{
    struct line line;

    steady_clock_freeze();
    line_init(&line);
    line_open(&line);
    for (int i = 0; i < 8; i++)
        line_advance(&line, 30000);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 0);
    line_plug_in(&line);
    line_point_link(&line);
    line_advance(&line, 0);
    line_advance(&line, 50);
    CU_ASSERT_EQUAL(line.fixture.link_changes, 1);
    CU_ASSERT_TRUE(line.fixture.up);
    line_fini(&line);
}

/* A folder where something changes all the time. */
static void
serial_changes_without_end_do_not_put_the_opening_off(void)
{
    struct line line;
    char other[80];

    steady_clock_freeze();
    line_init(&line);
    snprintf(other, sizeof other, "%s/other", line.folder);
    line_open(&line);
    line_plug_in(&line);
    line_point_link(&line);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(symlink("/dev/null", other), 0);
        line_advance(&line, 20);
        unlink(other);
    }
    CU_ASSERT_EQUAL(line.fixture.link_changes, 1);
    line_fini(&line);
}

/* Nobody reads the line: the kernel takes some frames, the queue 16, and then there is a limit. */
static size_t
fill(struct line *line, const struct dm_address *node)
{
    size_t taken = 0;
    enum dm_result result;
    uint8_t frame[LINE_MTU] = {LINE_MTU, 0x0c};

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
    line.options.settings.baud = 921600;
    line_start(&line);
    struct dm_address node = fixture_address(&line.fixture, "serial:barn:");
    size_t taken = fill(&line, &node);
    size_t total = taken * LINE_MTU;
    uint8_t *octets = malloc(total);
    CU_ASSERT_PTR_NOT_NULL_FATAL(octets);
    CU_ASSERT_EQUAL(line.fixture.rooms, 0);
    fcntl(line.far, F_SETFL, O_NONBLOCK);
    for (int quiet = 0; have < total && quiet < 1000;) {
        struct pollfd state = {.fd = line.far, .events = POLLIN};

        event_base_loop(line.fixture.base, EVLOOP_NONBLOCK);
        ssize_t got = poll(&state, 1, 10) == 1 ? read(line.far, octets + have, total - have) : 0;
        have += got > 0 ? (size_t)got : 0;
        quiet = got > 0 ? 0 : quiet + 1;
    }
    CU_ASSERT_EQUAL(have, total);
    size_t in_order = 0;
    while (in_order * LINE_MTU < have && octets[in_order * LINE_MTU] == LINE_MTU &&
           octets[in_order * LINE_MTU + 7] == (uint8_t)in_order &&
           octets[in_order * LINE_MTU + 8] == (uint8_t)(in_order >> 8))
        in_order++;
    CU_ASSERT_EQUAL(in_order, taken);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_datagrams, taken);
    CU_ASSERT_EQUAL(fixture_status(&line.fixture).tx_octets, total);
    CU_ASSERT_EQUAL(line.fixture.rooms, 1); /* told once that it may go on */
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
    line_unplug(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(&line.fixture, 1));
    struct transport_status status = fixture_status(&line.fixture);
    CU_ASSERT_EQUAL(status.tx_dropped, 1 + 16);
    CU_ASSERT_EQUAL(status.tx_datagrams + 16, taken);
    /* The frame that was cut by the hang-up does not cut the first one afterwards. */
    line_plug_in(&line);
    line_point_link(&line);
    CU_ASSERT_TRUE_FATAL(fixture_wait_link_changes(&line.fixture, 2));
    fixture_send(&line.fixture, &node, publish, sizeof publish);
    CU_ASSERT_TRUE(line_reads(&line, publish, sizeof publish));
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
    line_unplug(&line);
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

static void
serial_line_of_garbage_is_warned_of_with_baud_and_framing(void)
{
    static const uint8_t noise[65] = {0};
    struct line line;
    char text[2000];

    line_init(&line);
    line_start(&line);
    log_capture_start();
    line_write(&line, noise, sizeof noise);
    event_base_loop(line.fixture.base, EVLOOP_ONCE);
    steady_clock_advance(11000);
    line_write(&line, noise, 1);
    event_base_loop(line.fixture.base, EVLOOP_ONCE);
    log_capture_finish(text, sizeof text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "check baud (9600) and framing (raw)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, line.link));
    line_fini(&line);
}

/* Twice missing is one line in the log. */
static void
serial_open_failure_is_logged_when_its_reason_changes(void)
{
    struct line line;
    char text[2000];

    steady_clock_freeze();
    line_init(&line);
    log_capture_start();
    line_open(&line);
    line_advance(&line, 500);
    CU_ASSERT_EQUAL(symlink("/dev/null", line.link), 0);
    line_advance(&line, 0);
    line_advance(&line, 1000);
    log_capture_finish(text, sizeof text);
    const char *first = strstr(text, "No such file");
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    CU_ASSERT_PTR_NULL(strstr(first + 1, "No such file"));
    CU_ASSERT_PTR_NOT_NULL(strstr(first, "not a serial port"));
    line_fini(&line);
}

static void
serial_pair_is_for_a_link_that_is_up_and_can(void)
{
    struct line line;

    line_init(&line);
    line_start(&line);
    struct transport *barn = line.fixture.transport;
    CU_ASSERT_EQUAL(barn->ops->pair(barn, true), DM_UNSUPPORTED);
    CU_ASSERT_EQUAL(barn->ops->pair(barn, false), DM_UNSUPPORTED);
    line_unplug(&line);
    CU_ASSERT_TRUE(fixture_wait_link_changes(&line.fixture, 1));
    CU_ASSERT_EQUAL(barn->ops->pair(barn, true), DM_UNSUPPORTED);
    CU_ASSERT_EQUAL(barn->ops->pair(barn, false), DM_UNSUPPORTED);
    line_fini(&line);
}

static const struct unit_test tests[] = {
    UNIT_TEST(serial_open_wrong_options_fails_with_the_reason),
    UNIT_TEST(serial_message_passes_both_ways),
    UNIT_TEST(serial_message_in_single_octets_is_put_together),
    UNIT_TEST(serial_messages_back_to_back_are_all_delivered),
    UNIT_TEST(serial_garbage_is_counted_and_the_next_message_heard),
    UNIT_TEST(serial_message_longer_than_the_mtu_is_dropped_and_counted),
    UNIT_TEST(serial_hang_up_takes_the_link_down_and_a_new_device_brings_it_back),
    UNIT_TEST(serial_hang_up_closes_the_device_at_once),
    UNIT_TEST(serial_partial_frame_does_not_survive_a_hang_up),
    UNIT_TEST(serial_missing_device_opens_down_and_comes_up_when_it_appears),
    UNIT_TEST(serial_back_off_doubles_up_to_30_s),
    UNIT_TEST(serial_back_off_starts_anew_after_a_port_was_stable),
    UNIT_TEST(serial_device_that_appears_is_opened_at_once),
    UNIT_TEST(serial_changes_without_end_do_not_put_the_opening_off),
    UNIT_TEST(serial_full_queue_refuses_and_loses_nothing_it_took),
    UNIT_TEST(serial_hang_up_with_waiting_frames_counts_them_as_dropped),
    UNIT_TEST(serial_send_into_a_hung_up_port_reports_the_link_later),
    UNIT_TEST(serial_device_in_use_opens_down_as_busy),
    UNIT_TEST(serial_address_texts_round_trip_and_others_are_rejected),
    UNIT_TEST(serial_pair_is_for_a_link_that_is_up_and_can),
    UNIT_TEST(line_watch_tells_once_of_garbage_without_frames),
    UNIT_TEST(line_watch_is_quiet_with_little_garbage_or_a_valid_frame),
    UNIT_TEST(serial_line_of_garbage_is_warned_of_with_baud_and_framing),
    UNIT_TEST(serial_open_failure_is_logged_when_its_reason_changes),
};

UNIT_MAIN("serial", tests)
