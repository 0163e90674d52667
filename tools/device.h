/* SPDX-License-Identifier: Apache-2.0 */
/* One MQTT-SN device as a program: the client of libmqttsn with a link, timers and signals. */
#ifndef DORMOUSE_TOOLS_DEVICE_H
#define DORMOUSE_TOOLS_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <dormouse/client.h>

#include "device_link.h"
#include "options.h"

struct event;
struct event_base;

/* May call client_, device_leave and device_stop. Not called any more once the device leaves. */
typedef void device_event(void *ctx, const struct client_event *event);

/* Caller's storage. Commands use `client` and `base`; the rest is private. */
struct device {
    struct client client;
    struct event_base *base;
    const struct options *options;
    device_event *on_event;
    void *ctx;
    struct device_link link;
    struct event *input;
    struct event *group_input; /* of a search in a multicast group */
    struct event *timer;       /* the client's next deadline */
    struct event *limit;       /* --timeout */
    struct event *farewell;    /* the repetitions of DISCONNECT */
    struct event *interrupt;
    struct event *terminate;
    unsigned farewells_left;
    int status; /* exit status */
    bool leaving;
    bool stopped;
    bool told_refused;
    bool rehearsing; /* see device_resume_asleep */
};

/* Monotonic milliseconds, for the functions of the client. */
uint64_t device_now_ms(void);

/* Options are borrowed until device_close. Returns EXIT_STATUS_OK, or another status with the
 * reason reported; device_close is due in either case. */
int device_open(struct device *device, const struct options *options, device_event *on_event,
                void *ctx);
void device_close(struct device *device);

/* Puts the new client into the session that an earlier run left asleep. Sends nothing. */
enum dm_result device_resume_asleep(struct device *device, uint16_t sleep_s);

/* Runs until the device stopped; returns the exit status. */
int device_run(struct device *device);

/* Sends DISCONNECT (unless --no-disconnect), waits at most 2 s for the answer, stops. Messages that
 * come meanwhile are neither printed nor acknowledged, so that the gateway keeps them. */
void device_leave(struct device *device, int status);
/* Stops without a word to the gateway. */
void device_stop(struct device *device, int status);

/* The usual end for REFUSED, TIMEOUT and DISCONNECTED: reports it and leaves. Nothing for others.
 */
void device_fail(struct device *device, const struct client_event *event);
/* The same for a request that `result` says could not be sent; DM_OK does nothing. */
void device_check(struct device *device, const char *request, enum dm_result result);

/* One line on stderr, unless --quiet. */
void device_report(const struct device *device, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The line `state` on stderr, with --ready. */
void device_ready(const struct device *device, const char *state);

#endif
