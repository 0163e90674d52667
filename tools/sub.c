/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse sub: an MQTT-SN device that prints its messages, awake all the time or sleeping. */
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "command.h"
#include "device.h"
#include "options.h"

/* Of each second of the sleep duration: early enough for a repetition. */
#define WAKE_SHARE_MS 800

struct sub {
    const struct options *options;
    struct device device;
    struct event *wake;
    size_t subscribed; /* topics that are acknowledged */
    uint32_t received;
    uint32_t wakes; /* cycles that are over */
};

static void
fall_asleep(struct sub *sub)
{
    uint64_t wait_ms = (uint64_t)sub->options->sleep_s * WAKE_SHARE_MS;
    struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000),
                           .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};

    device_ready(&sub->device, "asleep");
    if (sub->wakes >= sub->options->wakes)
        device_leave(&sub->device, EXIT_STATUS_OK);
    else
        evtimer_add(sub->wake, &wait);
}

static void
on_wake(evutil_socket_t fd, short what, void *ctx)
{
    struct sub *sub = ctx;

    (void)fd;
    (void)what;
    device_check(&sub->device, "PINGREQ", client_wake(&sub->device.client, device_now_ms()));
}

static void
subscribe_next(struct sub *sub)
{
    const struct options *options = sub->options;
    struct client *client = &sub->device.client;

    if (sub->subscribed < options->topic_count) {
        const struct options_topic *topic = &options->topics[sub->subscribed];
        device_check(&sub->device, "SUBSCRIBE",
                     client_subscribe(client, device_now_ms(), topic->type,
                                      dm_span_text(topic->name), topic->id, options->qos));
        return;
    }
    if (options->topic_count > 0)
        device_ready(&sub->device, "subscribed");
    if (options->sleep_s > 0)
        device_check(&sub->device, "DISCONNECT",
                     client_sleep(client, device_now_ms(), (uint16_t)options->sleep_s));
}

static void
print_topic(const struct client_event *event)
{
    char short_name[2] = {(char)(event->topic_id >> 8), (char)(event->topic_id & 0xff)};

    if (event->topic_name.len > 0)
        fwrite(event->topic_name.data, 1, event->topic_name.len, stdout);
    else if (event->topic_type == MQTTSN_TOPIC_SHORT)
        fwrite(short_name, 1, sizeof short_name, stdout);
    else
        printf("%s:%u", event->topic_type == MQTTSN_TOPIC_PREDEFINED ? "predefined" : "id",
               event->topic_id);
    putchar(' ');
}

static void
print_message(struct sub *sub, const struct client_event *event)
{
    const struct options *options = sub->options;

    if (options->verbose)
        print_topic(event);
    if (event->data.len > 0)
        fwrite(event->data.data, 1, event->data.len, stdout);
    if (options->newline)
        putchar('\n');
    if (fflush(stdout) != 0) {
        device_report(&sub->device, "cannot write to standard output");
        device_leave(&sub->device, EXIT_STATUS_USAGE);
        return;
    }
    sub->received++;
    if (sub->received == options->count)
        device_leave(&sub->device, EXIT_STATUS_OK);
}

static void
handle_done(struct sub *sub, const struct client_event *event)
{
    switch (event->request) {
    case MQTTSN_CONNECT:
        device_ready(&sub->device, "connected");
        subscribe_next(sub);
        break;
    case MQTTSN_SUBSCRIBE:
        if (event->qos < sub->options->qos)
            device_report(&sub->device, "QoS %d granted instead of %d", event->qos,
                          sub->options->qos);
        sub->subscribed++;
        subscribe_next(sub);
        break;
    case MQTTSN_DISCONNECT: /* the answer to client_sleep; device.c sees to the end */
        fall_asleep(sub);
        break;
    case MQTTSN_PINGREQ:
        if (client_state(&sub->device.client) == CLIENT_ASLEEP) {
            sub->wakes++;
            fall_asleep(sub);
        }
        break;
    default:
        break;
    }
}

static void
on_event(void *ctx, const struct client_event *event)
{
    struct sub *sub = ctx;

    switch (event->type) {
    case CLIENT_EVENT_DONE:
        handle_done(sub, event);
        return;
    case CLIENT_EVENT_MESSAGE:
        print_message(sub, event);
        return;
    case CLIENT_EVENT_TIMEOUT:
        /* A sensor that meets silence sleeps on: its gateway may be back at the next wake. */
        if (client_state(&sub->device.client) == CLIENT_ASLEEP &&
            sub->options->wakes - sub->wakes > 1) {
            device_report(&sub->device, "no answer to PINGREQ; trying again at the next wake");
            sub->wakes++;
            fall_asleep(sub);
            return;
        }
        break;
    case CLIENT_EVENT_REFUSED:
    case CLIENT_EVENT_DISCONNECTED:
    case CLIENT_EVENT_GATEWAY:
        break;
    }
    device_fail(&sub->device, event);
}

static void
start(struct sub *sub)
{
    struct device *device = &sub->device;

    if (sub->options->connect) {
        device_check(device, "CONNECT", client_connect(&device->client, device_now_ms()));
        return;
    }
    enum dm_result result = device_resume_asleep(device, (uint16_t)sub->options->sleep_s);
    if (result == DM_OK)
        result = client_wake(&device->client, device_now_ms());
    device_check(device, "PINGREQ", result);
}

int
sub_run(struct command_globals *globals, int argc, char **argv)
{
    struct options options;
    struct sub sub = {.options = &options};
    int status = EXIT_STATUS_OK;

    (void)globals;
    if (!options_read(&options, OPTIONS_SUB, argc, argv, &status))
        return status;
    status = device_open(&sub.device, &options, on_event, &sub);
    if (status == EXIT_STATUS_OK) {
        sub.wake = evtimer_new(sub.device.base, on_wake, &sub);
        if (sub.wake == NULL)
            status = EXIT_STATUS_USAGE;
    }
    if (status == EXIT_STATUS_OK) {
        start(&sub);
        status = device_run(&sub.device);
    }
    if (sub.wake != NULL)
        event_free(sub.wake);
    device_close(&sub.device);
    return status;
}
