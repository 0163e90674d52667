/* SPDX-License-Identifier: Apache-2.0 */
/* What a person sees of a device on stderr: reports, failures in words, and every packet with -d.
 */
#include "device_print.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "command.h"

void
device_report(const struct device *device, const char *format, ...)
{
    va_list arguments;

    if (device->options->quiet)
        return;
    fprintf(stderr, "dormouse %s: ", options_command_name(device->options->command));
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void
device_ready(const struct device *device, const char *state)
{
    if (device->options->ready)
        fprintf(stderr, "%s\n", state);
}

static void
print_time(void)
{
    struct timespec now;
    struct tm local;
    char text[16] = "";

    clock_gettime(CLOCK_REALTIME, &now);
    if (localtime_r(&now.tv_sec, &local) != NULL)
        strftime(text, sizeof text, "%H:%M:%S", &local);
    fprintf(stderr, "%s.%03ld ", text, now.tv_nsec / 1000000);
}

void
device_trace(const struct device *device, bool sent, const struct mqttsn_packet *packet)
{
    char text[512];

    if (!device->options->debug)
        return;
    print_time();
    fprintf(stderr, "%s %s\n", sent ? "sent    " : "received",
            mqttsn_describe(packet, text, sizeof text));
}

void
device_trace_bad(const struct device *device, size_t len, enum dm_result why)
{
    if (!device->options->debug)
        return;
    print_time();
    fprintf(stderr, "received %zu octets that are no message: %s\n", len, dm_result_text(why));
}

static void
return_code_text(enum mqttsn_return_code code, char *text, size_t size)
{
    static const char *const words[] = {
        [MQTTSN_ACCEPTED] = "accepted",
        [MQTTSN_CONGESTION] = "congestion",
        [MQTTSN_INVALID_TOPIC_ID] = "invalid topic id",
        [MQTTSN_NOT_SUPPORTED] = "not supported",
    };

    if ((unsigned)code < sizeof words / sizeof words[0])
        snprintf(text, size, "%s", words[code]);
    else
        snprintf(text, size, "reserved return code 0x%02x", (unsigned)code);
}

void
device_fail(struct device *device, const struct client_event *event)
{
    const char *request = mqttsn_type_name(event->request);
    char reason[48];

    switch (event->type) {
    case CLIENT_EVENT_REFUSED:
        return_code_text(event->return_code, reason, sizeof reason);
        device_report(device, "the gateway refused %s: %s", request, reason);
        device_leave(device, event->request == MQTTSN_CONNECT ? EXIT_STATUS_CONNECTION
                                                              : EXIT_STATUS_REFUSED);
        break;
    case CLIENT_EVENT_TIMEOUT:
        device_report(device, "%s: no answer to %s%s", device->link.name, request,
                      device->link.refused ? ": nothing listens there" : "");
        device_leave(device, EXIT_STATUS_CONNECTION);
        break;
    case CLIENT_EVENT_DISCONNECTED:
        device_report(device, "the gateway ended the session (DISCONNECT)");
        device_leave(device, EXIT_STATUS_CONNECTION);
        break;
    case CLIENT_EVENT_DONE:
    case CLIENT_EVENT_MESSAGE:
    case CLIENT_EVENT_GATEWAY:
        break;
    }
}

void
device_check(struct device *device, const char *request, enum dm_result result)
{
    if (result == DM_OK)
        return;
    device_report(device, "cannot send %s: %s", request,
                  result == DM_FULL ? "it is too long" : dm_result_text(result));
    device_leave(device, EXIT_STATUS_USAGE);
}
