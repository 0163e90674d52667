/* SPDX-License-Identifier: Apache-2.0 */
/* A serial link's own struct and the calls between its files. Nothing but serial*.c includes it. */
#ifndef DORMOUSE_SERIAL_PRIVATE_H
#define DORMOUSE_SERIAL_PRIVATE_H

#include <time.h>

#include <event2/util.h>

#include <dormouse/framing.h>
#include <dormouse/transport.h>

#include "line_watch.h"
#include "serial_address.h"
#include "serial_echo.h"
#include "serial_nodes.h"
#include "serial_pace.h"
#include "serial_plug.h"
#include "serial_port.h"
#include "serial_queue.h"

struct event;
struct serial;

#define SERIAL_ERROR_MAX 160

/* A device and what is read from it; the second one, if there is one, is written to. */
struct half {
    struct serial *serial;
    char *device;
    struct serial_port *port; /* NULL: not open */
    struct framing *framing;
    struct event *readable;
    struct line_watch watch;
};

struct serial {
    struct transport base;
    struct transport_listener listener;
    struct event_base *events;
    struct serial_options options; /* its texts are name, framing and the devices of the halves */
    char *name, *framing_name;
    const struct framing_traits *traits;
    struct half halves[2];
    size_t half_count;
    bool open;  /* every device is */
    bool up;    /* and open_delay is over */
    bool hello; /* framing_hello was called since the open */
    struct event *writable, *retry, *timer;
    struct serial_plug *plug;
    struct serial_queue queue;
    struct serial_pace pace;
    struct serial_echo *echo; /* NULL: the port does not hear itself */
    struct serial_nodes nodes;
    uint8_t *wrapped;   /* one encapsulated message */
    uint8_t *encoded;   /* one frame */
    uint16_t mtu;       /* as configured; that of the base is what the radio takes */
    size_t message_max; /* octets of the largest encapsulated message */
    size_t frame_max;
    uint8_t last_id;
    unsigned backoff_ms;
    uint64_t retry_ms; /* when it is tried again to open */
    uint64_t opened_ms;
    bool full;                    /* a send was refused since the queue last had room */
    bool refused_logged;          /* that there are too many nodes */
    char error[SERIAL_ERROR_MAX]; /* why the link is down */
    struct transport_status counters;
};

static inline uint64_t
serial_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static inline uint64_t
serial_now_ms(void)
{
    return serial_now_us() / 1000;
}

/* The device that is written to. */
static inline struct half *
serial_writer(struct serial *serial)
{
    return &serial->halves[serial->half_count - 1];
}

/* serial_link.c */
#define SERIAL_BACKOFF_MIN_MS 500u
void serial_arm(struct serial *serial, struct event *event, uint64_t us);
/* Opens the port; if that fails, arranges the next attempt and logs a reason that is new. */
bool serial_link_open(struct serial *serial);
void serial_link_close(struct serial *serial);
/* Only from event callbacks: the listener must not be called inside a send. */
void serial_link_lose(struct serial *serial, const struct half *half, const char *reason);
void serial_link_on_retry(evutil_socket_t fd, short what, void *ctx);
void serial_link_on_timer(evutil_socket_t fd, short what, void *ctx);

/* serial_send.c */
enum dm_result serial_send_message(struct serial *serial, const struct dm_address *to,
                                   uint8_t radius, struct dm_span message);
/* From an event: writes what may leave now. */
void serial_send_go_on(struct serial *serial);
/* When the link has to look again, for whatever reason; at_us UINT64_MAX: not for the line's. */
void serial_send_arm(struct serial *serial, uint64_t now_us, uint64_t at_us);
/* Frames without a confirmation: sent again if the framing does so, else left to MQTT-SN. */
void serial_send_overdue(struct serial *serial);
/* The radio has not delivered the frame, or says nothing: MQTT-SN repeats the message. */
void serial_send_give_up(struct serial *serial, struct serial_frame *frame);
void serial_send_on_writable(evutil_socket_t fd, short what, void *ctx);

/* serial_receive.c */
/* Of a half's framing; ctx: the half. */
void serial_receive_event(void *ctx, const struct framing_event *event);
void serial_receive_on_readable(evutil_socket_t fd, short what, void *ctx);

#endif
