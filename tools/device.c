/* SPDX-License-Identifier: Apache-2.0 */
/* The loop around the device-side client: link, timers, signals, and leaving in order. */
#include "device.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include <dormouse/mqttsn.h>

#include "command.h"
#include "device_print.h"

#define FAREWELL_INTERVAL_MS 500
#define FAREWELL_COUNT 4 /* times the interval: an end takes 2 s at most */

uint64_t
device_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct timeval
interval(uint64_t milliseconds)
{
    return (struct timeval){.tv_sec = (time_t)(milliseconds / 1000),
                            .tv_usec = (suseconds_t)(milliseconds % 1000 * 1000)};
}

static void
on_packet(void *ctx, bool sent, const struct mqttsn_packet *packet)
{
    struct device *device = ctx;

    /* What is received is traced in on_message: the client passes over what it ignores. */
    if (sent && !device->rehearsing)
        device_trace(device, true, packet);
}

void
device_stop(struct device *device, int status)
{
    if (device->stopped)
        return;
    device->stopped = true;
    device->status = status;
}

void
device_leave(struct device *device, int status)
{
    if (device->leaving || device->stopped)
        return;
    if (!device->options->disconnect || client_state(&device->client) == CLIENT_DISCONNECTED) {
        device_stop(device, status);
        return;
    }
    device->leaving = true;
    device->status = status;
    device->farewells_left = FAREWELL_COUNT;
    /* From the loop, so that an acknowledgement under way leaves before the DISCONNECT. */
    event_active(device->farewell, EV_TIMEOUT, 0);
}

static void
link_lost(struct device *device)
{
    device_report(device, "%s: %s", device->link.name,
                  errno != 0 ? strerror(errno) : "the line was closed");
    device_stop(device, EXIT_STATUS_CONNECTION);
}

/* Not by client_disconnect: it waits for the request that is open, repeats only after T_retry, and
 * goes on to acknowledge messages that nobody prints any more. */
static void
on_farewell(evutil_socket_t fd, short what, void *ctx)
{
    struct device *device = ctx;
    struct mqttsn_packet packet = {.type = MQTTSN_DISCONNECT};
    uint8_t message[8];
    size_t len = 0;

    (void)fd;
    (void)what;
    if (device->farewells_left == 0) {
        device_stop(device, device->status);
        return;
    }
    device->farewells_left--;
    if (mqttsn_encode(&packet, message, sizeof message, &len) == DM_OK) {
        device_trace(device, true, &packet);
        if (device_link_send(&device->link, message, len) != DM_OK) {
            device_stop(device, device->status);
            return;
        }
    }
    struct timeval wait = interval(FAREWELL_INTERVAL_MS);
    evtimer_add(device->farewell, &wait);
}

static void
on_client_event(void *ctx, const struct client_event *event)
{
    struct device *device = ctx;

    if (device->stopped || device->rehearsing)
        return;
    if (!device->leaving) {
        device->on_event(device->ctx, event);
    } else if (event->type == CLIENT_EVENT_REFUSED && device->status == EXIT_STATUS_OK) {
        device_fail(device, event);
        device->status = EXIT_STATUS_REFUSED;
    }
}

static void
send_datagram(void *ctx, const uint8_t *datagram, size_t len)
{
    struct device *device = ctx;

    if (device->rehearsing)
        return;
    if (device_link_send(&device->link, datagram, len) == DM_IO)
        link_lost(device);
}

/* One message from the gateway. */
static void
on_message(void *ctx, const uint8_t *message, size_t len)
{
    struct device *device = ctx;
    struct mqttsn_packet packet;

    if (device->stopped)
        return;
    enum dm_result result = mqttsn_decode(message, len, &packet);
    if (result != DM_OK) {
        device_trace_bad(device, len, result);
        return;
    }
    device_trace(device, false, &packet);
    if (device->leaving) {
        if (packet.type == MQTTSN_DISCONNECT)
            device_stop(device, device->status);
        else if (packet.type == MQTTSN_PUBACK) /* QoS 0: comes only to refuse (R46) */
            client_datagram(&device->client, device_now_ms(), message, len);
        return;
    }
    /* What pub will not show it does not acknowledge either. */
    if (packet.type != MQTTSN_PUBLISH || device->options->command != OPTIONS_PUB)
        client_datagram(&device->client, device_now_ms(), message, len);
}

static void
on_input(evutil_socket_t fd, short what, void *ctx)
{
    struct device *device = ctx;

    (void)fd;
    (void)what;
    if (device_link_receive(&device->link, device_now_ms(), on_message, device) != DM_OK) {
        link_lost(device);
        return;
    }
    if (device->link.refused && !device->told_refused) {
        device->told_refused = true;
        device_report(device, "%s: nothing listens there; trying again", device->link.name);
    }
}

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct device *device = ctx;

    (void)fd;
    (void)what;
    if (!device->leaving)
        client_time(&device->client, device_now_ms());
}

static void
on_limit(evutil_socket_t fd, short what, void *ctx)
{
    struct device *device = ctx;

    (void)fd;
    (void)what;
    device_report(device, "timed out");
    device_leave(device, EXIT_STATUS_TIMEOUT);
}

static void
on_signal(evutil_socket_t fd, short what, void *ctx)
{
    struct device *device = ctx;

    (void)fd;
    (void)what;
    if (device->leaving) /* the second one: the user is in a hurry */
        device_stop(device, device->status);
    else
        device_leave(device, EXIT_STATUS_OK);
}

static enum dm_result
open_client(struct device *device)
{
    const struct options *options = device->options;
    struct client_options client = {
        .client_id = dm_span_text(options->client_id),
        .will = {.topic = dm_span_text(options->will_topic),
                 .message = dm_span_text(options->will_message),
                 .qos = (int8_t)options->will_qos,
                 .retain = options->will_retain},
        .clean_session = options->clean_session,
        .keepalive_s = (uint16_t)options->keepalive_s,
        .retry_ms = options->retry_ms,
        .retry_count = options->retry_count,
        .ctx = device,
        .send = send_datagram,
        .on_event = on_client_event,
        .on_packet = on_packet,
    };

    return client_init(&device->client, &client);
}

static enum dm_result
open_loop(struct device *device)
{
    struct event_config *config = event_config_new();

    /* pub watches its standard input, which may be a file: epoll refuses those. */
    if (config == NULL || event_config_require_features(config, EV_FEATURE_FDS) != 0 ||
        (device->base = event_base_new_with_config(config)) == NULL) {
        if (config != NULL)
            event_config_free(config);
        return DM_NO_MEMORY;
    }
    event_config_free(config);

    struct event_base *base = device->base;
    device->input = event_new(base, device->link.fd, EV_READ | EV_PERSIST, on_input, device);
    device->timer = evtimer_new(base, on_timer, device);
    device->limit = evtimer_new(base, on_limit, device);
    device->farewell = evtimer_new(base, on_farewell, device);
    device->interrupt = evsignal_new(base, SIGINT, on_signal, device);
    device->terminate = evsignal_new(base, SIGTERM, on_signal, device);
    if (device->input == NULL || device->timer == NULL || device->limit == NULL ||
        device->farewell == NULL || device->interrupt == NULL || device->terminate == NULL ||
        event_add(device->input, NULL) != 0 || event_add(device->interrupt, NULL) != 0 ||
        event_add(device->terminate, NULL) != 0)
        return DM_NO_MEMORY;

    int group = device->link.udp.group_fd;
    if (group >= 0) {
        device->group_input = event_new(base, group, EV_READ | EV_PERSIST, on_input, device);
        if (device->group_input == NULL || event_add(device->group_input, NULL) != 0)
            return DM_NO_MEMORY;
    }
    struct timeval wait = interval(device->options->timeout_ms);
    if (device->options->timeout_ms != 0 && evtimer_add(device->limit, &wait) != 0)
        return DM_NO_MEMORY;
    return DM_OK;
}

int
device_open(struct device *device, const struct options *options, device_event *on_event, void *ctx)
{
    char error[256];

    *device = (struct device){.options = options, .on_event = on_event, .ctx = ctx};
    signal(SIGPIPE, SIG_IGN); /* a closed output is an error of the write */
    enum dm_result result = device_link_open(&device->link, options, error, sizeof error);
    if (result != DM_OK) {
        device_report(device, "%s", error);
        return result == DM_INVALID ? EXIT_STATUS_USAGE : EXIT_STATUS_CONNECTION;
    }
    result = open_loop(device);
    if (result == DM_OK)
        result = open_client(device);
    if (result != DM_OK) {
        device_report(device, "cannot start: %s", dm_result_text(result));
        return EXIT_STATUS_USAGE;
    }
    return EXIT_STATUS_OK;
}

void
device_close(struct device *device)
{
    struct event *events[] = {device->input,    device->group_input, device->timer,
                              device->limit,    device->farewell,    device->interrupt,
                              device->terminate};

    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i] != NULL)
            event_free(events[i]);
    if (device->base != NULL)
        event_base_free(device->base);
    device_link_close(&device->link);
}

/* One answer of the gateway in the rehearsal. */
static void
rehearse_answer(struct device *device, const struct mqttsn_packet *answer)
{
    uint8_t message[8];
    size_t len = 0;

    if (mqttsn_encode(answer, message, sizeof message, &len) == DM_OK)
        client_datagram(&device->client, device_now_ms(), message, len);
}

/* Connects and falls asleep once more, with nobody on the other side but the answers that the
 * gateway gave then: the client has no other way into ASLEEP. */
enum dm_result
device_resume_asleep(struct device *device, uint16_t sleep_s)
{
    const struct mqttsn_packet accepted = {.type = MQTTSN_CONNACK, .return_code = MQTTSN_ACCEPTED};
    const struct mqttsn_packet asleep = {.type = MQTTSN_DISCONNECT};
    uint64_t now = device_now_ms();

    device->rehearsing = true;
    enum dm_result result = client_connect(&device->client, now);
    rehearse_answer(device, &accepted);
    if (result == DM_OK)
        result = client_sleep(&device->client, now, sleep_s);
    rehearse_answer(device, &asleep);
    device->rehearsing = false;
    return result;
}

static void
arm_timer(struct device *device)
{
    uint64_t deadline = client_next_deadline(&device->client);
    uint64_t now = device_now_ms();

    if (device->leaving || deadline == UINT64_MAX) {
        event_del(device->timer);
        return;
    }
    struct timeval wait = interval(deadline > now ? deadline - now : 0);
    evtimer_add(device->timer, &wait);
}

int
device_run(struct device *device)
{
    while (!device->stopped) {
        arm_timer(device);
        if (event_base_loop(device->base, EVLOOP_ONCE) < 0)
            device_stop(device, EXIT_STATUS_USAGE);
    }
    return device->status;
}
