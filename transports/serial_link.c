/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port of a serial link, which may be unplugged and come back at any time.
 *
 * States, and event -> new state:
 *   DOWN (!up)   back-off is over or something was plugged in:
 *                the port opens -> OPENING; it does not -> DOWN, again later
 *   OPENING      open_delay is over -> UP; hang-up, read or write error -> DOWN
 *   UP           hang-up, read or write error -> DOWN
 */
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include <dormouse/log.h>

#include "serial_private.h"

#define BACKOFF_MAX_MS 30000u
#define PLUG_MS 50      /* udev sets links and permissions after the device has appeared */
#define STABLE_MS 5000u /* up for this long, the back-off starts anew */

void
serial_arm(struct serial *serial, struct event *event, uint64_t us)
{
    struct timeval delay = {.tv_sec = (time_t)(us / 1000000),
                            .tv_usec = (suseconds_t)(us % 1000000)};

    if (event_add(event, &delay) != 0)
        log_error("serial", "serial:%s: out of memory for a timer", serial->name);
}

void
serial_link_close(struct serial *serial)
{
    for (size_t i = 0; i < serial->half_count; i++) {
        struct half *half = &serial->halves[i];

        if (half->readable != NULL)
            event_free(half->readable);
        half->readable = NULL;
        serial_port_close(half->port);
        half->port = NULL;
    }
    if (serial->writable != NULL)
        event_free(serial->writable);
    serial->writable = NULL;
    if (serial->timer != NULL)
        event_del(serial->timer);
    serial->open = serial->up = serial->hello = false;
}

static void
on_plug(void *ctx)
{
    struct serial *serial = ctx;

    uint64_t at_ms = serial_now_ms() + PLUG_MS;

    /* One attempt for a burst of changes; the back-off goes on from where it was if it fails. What
     * is due earlier stays, or a folder that never rests would put it off for ever. */
    if (serial->open || at_ms >= serial->retry_ms)
        return;
    serial->retry_ms = at_ms;
    serial_arm(serial, serial->retry, PLUG_MS * 1000);
}

/* The next attempt to open; each one waits twice as long as the last. */
static void
schedule_retry(struct serial *serial)
{
    serial_arm(serial, serial->retry, serial->backoff_ms * UINT64_C(1000));
    serial->retry_ms = serial_now_ms() + serial->backoff_ms;
    serial->backoff_ms *= 2;
    if (serial->backoff_ms > BACKOFF_MAX_MS)
        serial->backoff_ms = BACKOFF_MAX_MS;
    if (serial->plug == NULL)
        serial->plug = serial_plug_open(serial->events, serial->halves[0].device, on_plug, serial);
}

/* Only from event callbacks: the listener must not be called inside a send. The port is closed at
 * once, or a plugged-in device would come back under another name. */
void
serial_link_lose(struct serial *serial, const struct half *half, const char *reason)
{
    bool was_up = serial->up;

    snprintf(serial->error, sizeof serial->error, "%s lost: %s", half->device, reason);
    log_warning("serial", "serial:%s: %s", serial->name, serial->error);
    /* A port that opens only to fail is tried less and less often. */
    if (serial_now_ms() - serial->opened_ms >= STABLE_MS)
        serial->backoff_ms = SERIAL_BACKOFF_MIN_MS;
    serial_link_close(serial);
    for (size_t i = 0; i < serial->half_count; i++)
        framing_reset(serial->halves[i].framing);
    serial->counters.tx_dropped += serial_queue_clear(&serial->queue);
    serial->full = false;
    schedule_retry(serial);
    if (was_up)
        serial->listener.on_link(serial->listener.ctx, serial->base.link, false);
}

/* What the radio is to be told or asked first. */
static void
say_hello(struct serial *serial)
{
    serial->hello = true;
    framing_hello(serial_writer(serial)->framing, serial_receive_event, serial_writer(serial));
}

static void
go_up(struct serial *serial)
{
    serial->up = true;
    serial->error[0] = '\0';
    serial_plug_close(serial->plug);
    serial->plug = NULL;
    if (serial->traits->hello_ms == 0)
        say_hello(serial);
}

void
serial_link_on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct serial *serial = ctx;
    uint64_t open_ms = serial_now_ms() - serial->opened_ms;

    (void)fd;
    (void)what;
    if (!serial->up && open_ms >= serial->options.open_delay_ms) {
        go_up(serial);
        serial->listener.on_link(serial->listener.ctx, serial->base.link, true);
    }
    if (!serial->hello && serial->up && open_ms >= serial->traits->hello_ms)
        say_hello(serial);
    serial_send_overdue(serial);
    serial_send_go_on(serial);
}

static bool
watch_ports(struct serial *serial)
{
    for (size_t i = 0; i < serial->half_count; i++) {
        struct half *half = &serial->halves[i];

        half->readable = event_new(serial->events, serial_port_fd(half->port), EV_READ | EV_PERSIST,
                                   serial_receive_on_readable, half);
        if (half->readable == NULL || event_add(half->readable, NULL) != 0)
            return false;
        line_watch_init(&half->watch, framing_counters(half->framing));
    }
    serial->writable = event_new(serial->events, serial_port_fd(serial_writer(serial)->port),
                                 EV_WRITE, serial_send_on_writable, serial);
    return serial->writable != NULL;
}

static enum dm_result
open_ports(struct serial *serial, char error[SERIAL_ERROR_MAX])
{
    for (size_t i = 0; i < serial->half_count; i++) {
        struct half *half = &serial->halves[i];
        enum dm_result result = serial_port_open(half->device, &serial->options.settings,
                                                 &half->port, error, SERIAL_ERROR_MAX);

        if (result != DM_OK)
            return result;
    }
    if (watch_ports(serial))
        return DM_OK;
    snprintf(error, SERIAL_ERROR_MAX, "cannot open %s: out of memory", serial->halves[0].device);
    return DM_NO_MEMORY;
}

/* Opens the port; if that fails, arranges the next attempt and logs a reason that is new. */
bool
serial_link_open(struct serial *serial)
{
    char error[SERIAL_ERROR_MAX];

    if (open_ports(serial, error) != DM_OK) {
        serial_link_close(serial);
        if (strcmp(error, serial->error) != 0)
            log_warning("serial", "serial:%s: %s", serial->name, error);
        snprintf(serial->error, sizeof serial->error, "%s", error);
        schedule_retry(serial);
        return false;
    }
    event_del(serial->retry);
    serial->open = true;
    serial->opened_ms = serial_now_ms();
    serial_pace_reset(&serial->pace);
    if (serial->echo != NULL)
        serial_echo_init(serial->echo);
    log_info("serial", "serial:%s: %s open as %s, %lu baud, framing %s", serial->name,
             serial->halves[0].device, serial_port_path(serial->halves[0].port),
             (unsigned long)serial->options.settings.baud, serial->framing_name);
    if (serial->options.open_delay_ms == 0)
        go_up(serial);
    else
        snprintf(serial->error, sizeof serial->error, "%s is open, the radio starts",
                 serial->halves[0].device);
    serial_send_arm(serial, serial_now_us(), serial->queue.count > 0 ? 0 : UINT64_MAX);
    return true;
}

void
serial_link_on_retry(evutil_socket_t fd, short what, void *ctx)
{
    struct serial *serial = ctx;

    (void)fd;
    (void)what;
    if (serial->open || !serial_link_open(serial))
        return;
    serial->counters.reopens++;
    if (serial->up)
        serial->listener.on_link(serial->listener.ctx, serial->base.link, true);
}
