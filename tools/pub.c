/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse pub: an MQTT-SN device that sends messages from its arguments, a file or its input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "command.h"
#include "device.h"
#include "options.h"

/* PUBLISH takes 9 octets beside its data in the long form (R2). */
#define MESSAGE_MAX (CLIENT_DATAGRAM_MAX - 9)

struct pub {
    const struct options *options;
    struct device device;
    uint16_t topic_id;     /* of the topic, once it is registered */
    struct evbuffer *text; /* what was read: the message, or lines */
    struct event *input;   /* stdin, with -l */
    bool input_ended;      /* nothing more to read */
    bool idle;             /* connected, and no request open */
    bool message_taken;    /* not -l: the one message is sent */
};

/* Takes the next message off the buffer. `line` is true for -l. The data is valid until drained. */
static bool
next_message(struct pub *pub, struct dm_span *data, size_t *drain)
{
    size_t available = evbuffer_get_length(pub->text);

    if (pub->options->source != OPTIONS_SOURCE_LINES) {
        *data = dm_span(evbuffer_pullup(pub->text, -1), available);
        *drain = available;
        bool first = !pub->message_taken;
        pub->message_taken = true;
        return first;
    }
    size_t end_len = 0;
    struct evbuffer_ptr end = evbuffer_search_eol(pub->text, NULL, &end_len, EVBUFFER_EOL_LF);
    size_t len = end.pos >= 0 ? (size_t)end.pos : available;
    if (end.pos < 0 && (!pub->input_ended || available == 0) && available <= MESSAGE_MAX)
        return false; /* the line is not complete */
    *data = dm_span(evbuffer_pullup(pub->text, (ev_ssize_t)len), len);
    *drain = len + end_len;
    return true;
}

/* Sends what can be sent, and leaves when all is. */
static void
publish_next(struct pub *pub)
{
    const struct options *options = pub->options;
    struct device *device = &pub->device;
    struct dm_span data;
    size_t drain = 0;

    pub->idle = true;
    while (pub->idle && !device->leaving && !device->stopped && next_message(pub, &data, &drain)) {
        if (data.len > MESSAGE_MAX) { /* -l; others are checked when they are read */
            device_report(device, "a line is longer than %d octets", MESSAGE_MAX);
            device_leave(device, EXIT_STATUS_USAGE);
            return;
        }
        device_check(device, "PUBLISH",
                     client_publish(&device->client, device_now_ms(), options->topics[0].type,
                                    pub->topic_id, options->qos, options->retain, data));
        evbuffer_drain(pub->text, drain);
        pub->idle = options->qos < 1; /* QoS -1 and 0 are done when sent */
    }
    if (!pub->idle)
        return;
    if (pub->options->source == OPTIONS_SOURCE_LINES && !pub->input_ended)
        event_add(pub->input, NULL);
    else
        device_leave(device, EXIT_STATUS_OK);
}

/* Only watched while there is no complete line, so that a fast writer waits for the gateway. */
static void
on_input(evutil_socket_t fd, short what, void *ctx)
{
    struct pub *pub = ctx;

    (void)what;
    int got = evbuffer_read(pub->text, fd, 4096);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        event_add(pub->input, NULL);
        return;
    }
    if (got < 0)
        device_report(&pub->device, "standard input: %s", strerror(errno));
    pub->input_ended = got <= 0;
    if (pub->idle)
        publish_next(pub);
}

static void
connected(struct pub *pub)
{
    const struct options_topic *topic = &pub->options->topics[0];

    if (topic->type == MQTTSN_TOPIC_NORMAL)
        device_check(
            &pub->device, "REGISTER",
            client_register(&pub->device.client, device_now_ms(), dm_span_text(topic->name)));
    else
        publish_next(pub);
}

static void
on_event(void *ctx, const struct client_event *event)
{
    struct pub *pub = ctx;

    if (event->type != CLIENT_EVENT_DONE) {
        device_fail(&pub->device, event);
        return;
    }
    switch (event->request) {
    case MQTTSN_CONNECT:
        connected(pub);
        break;
    case MQTTSN_REGISTER:
        pub->topic_id = event->topic_id;
        publish_next(pub);
        break;
    case MQTTSN_PUBLISH:
        publish_next(pub);
        break;
    default: /* a keep-alive PINGREQ */
        break;
    }
}

static void
start(struct pub *pub)
{
    pub->topic_id = pub->options->topics[0].id;
    if (pub->options->qos == MQTTSN_QOS_MINUS_ONE)
        publish_next(pub);
    else
        device_check(&pub->device, "CONNECT", client_connect(&pub->device.client, device_now_ms()));
}

/* Reads the whole message of -f or -s; one octet beyond the limit tells that it is too long. */
static enum dm_result
read_message(struct pub *pub, const char *path)
{
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    int got = fd < 0 ? -1 : 1;

    while (got > 0 && evbuffer_get_length(pub->text) <= MESSAGE_MAX) {
        got = evbuffer_read(pub->text, fd, MESSAGE_MAX + 1);
        if (got < 0 && errno == EINTR)
            got = 1;
    }
    if (got < 0)
        device_report(&pub->device, "%s: %s", path != NULL ? path : "standard input",
                      strerror(errno));
    if (fd >= 0 && path != NULL)
        close(fd);
    return got < 0 ? DM_IO : DM_OK;
}

static enum dm_result
open_source(struct pub *pub)
{
    const struct options *options = pub->options;

    pub->text = evbuffer_new();
    if (pub->text == NULL)
        return DM_NO_MEMORY;
    switch (options->source) {
    case OPTIONS_SOURCE_TEXT:
        return evbuffer_add(pub->text, options->message, strlen(options->message)) == 0
                   ? DM_OK
                   : DM_NO_MEMORY;
    case OPTIONS_SOURCE_FILE:
        return read_message(pub, options->message);
    case OPTIONS_SOURCE_STDIN:
        return read_message(pub, NULL);
    case OPTIONS_SOURCE_LINES:
        pub->input = event_new(pub->device.base, STDIN_FILENO, EV_READ, on_input, pub);
        return pub->input != NULL ? DM_OK : DM_NO_MEMORY;
    case OPTIONS_SOURCE_NULL:
    case OPTIONS_SOURCE_NONE:
        break;
    }
    return DM_OK;
}

int
pub_run(struct command_globals *globals, int argc, char **argv)
{
    struct options options;
    struct pub pub = {.options = &options};
    int status = EXIT_STATUS_OK;

    (void)globals;
    if (!options_read(&options, OPTIONS_PUB, argc, argv, &status))
        return status;
    status = device_open(&pub.device, &options, on_event, &pub);
    if (status == EXIT_STATUS_OK && open_source(&pub) != DM_OK)
        status = EXIT_STATUS_USAGE;
    if (status == EXIT_STATUS_OK && evbuffer_get_length(pub.text) > MESSAGE_MAX) {
        device_report(&pub.device, "the message is longer than %d octets", MESSAGE_MAX);
        status = EXIT_STATUS_USAGE;
    }
    if (status == EXIT_STATUS_OK) {
        start(&pub);
        status = device_run(&pub.device);
    }
    if (pub.input != NULL)
        event_free(pub.input);
    if (pub.text != NULL)
        evbuffer_free(pub.text);
    device_close(&pub.device);
    return status;
}
