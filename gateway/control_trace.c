/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of one device, live, to whoever asked for them on the control socket. */
#include "control_trace.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <utlist.h>

#include "control_value.h"
#include "engine_inspect.h"

enum {
    TRACES_MAX = 4,
    WAITING_MAX = 65536, /* octets that one reader may leave unread */
};

struct control_trace {
    struct control_trace *prev, *next;
    struct control_traces *traces;
    struct bufferevent *connection;
    struct dm_address address; /* where the device was last */
    bool has_address;
    uint64_t lost; /* lines, since the reader fell behind */
    size_t client_id_len;
    char client_id[];
};

/* Consumes `object`. */
static void
write_line(struct bufferevent *connection, cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);

    cJSON_Delete(object);
    if (text == NULL)
        return;
    bufferevent_write(connection, text, strlen(text));
    bufferevent_write(connection, "\n", 1);
    cJSON_free(text);
}

static bool
is_its_id(const struct control_trace *trace, struct dm_span client_id)
{
    return client_id.len == trace->client_id_len &&
           memcmp(client_id.data, trace->client_id, client_id.len) == 0;
}

/* A packet that names the device, or from or to where it is or, if nobody is there, was. */
static bool
concerns(struct control_trace *trace, const struct runner_traced *traced)
{
    struct dm_span there =
        engine_client_at(runner_engine(trace->traces->source->runner), traced->address);
    bool names = traced->packet->type == MQTTSN_CONNECT || traced->packet->type == MQTTSN_PINGREQ;

    if (names && traced->packet->client_id.len > 0)
        there = traced->packet->client_id;
    if (there.len == 0)
        return trace->has_address && dm_address_equal(&trace->address, traced->address);
    if (!is_its_id(trace, there))
        return false;
    trace->address = *traced->address;
    trace->has_address = true;
    return true;
}

static void
write_packet(const struct control_trace *trace, const struct runner_traced *traced)
{
    const struct transport *transport = trace->traces->source->transports[traced->address->link];
    char text[256];
    struct timespec now;
    cJSON *line = cJSON_CreateObject();

    clock_gettime(CLOCK_REALTIME, &now);
    control_value_count(line, "time_ms",
                        (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
    cJSON_AddStringToObject(line, "direction", traced->to_device ? "to" : "from");
    cJSON_AddStringToObject(line, "packet", mqttsn_describe(traced->packet, text, sizeof text));
    cJSON_AddBoolToObject(line, "held", traced->held);
    char address[DM_ADDRESS_TEXT_MAX];
    cJSON_AddStringToObject(
        line, "address",
        transport_address_text(transport, traced->address, address, sizeof address));
    write_line(trace->connection, line);
}

static void
on_packet(void *ctx, const struct runner_traced *traced)
{
    struct control_traces *traces = ctx;
    struct control_trace *trace;

    DL_FOREACH (traces->first, trace) {
        if (!concerns(trace, traced))
            continue;
        struct evbuffer *output = bufferevent_get_output(trace->connection);

        if (trace->lost > 0 || evbuffer_get_length(output) > WAITING_MAX)
            trace->lost++;
        else
            write_packet(trace, traced);
    }
}

static char *
refuse(const char *text)
{
    cJSON *answer = control_value_error(text);
    char *printed = cJSON_PrintUnformatted(answer);

    cJSON_Delete(answer);
    return printed;
}

static struct control_trace *
trace_new(struct control_traces *traces, struct bufferevent *connection, const char *client_id)
{
    size_t len = strlen(client_id);
    struct control_trace *trace = calloc(1, sizeof *trace + len + 1);

    if (trace == NULL)
        return NULL;
    trace->traces = traces;
    trace->connection = connection;
    trace->client_id_len = len;
    memcpy(trace->client_id, client_id, len + 1);
    DL_APPEND(traces->first, trace);
    traces->count++;
    runner_set_trace(traces->source->runner, on_packet, traces);
    return trace;
}

struct control_trace *
control_trace_open(struct control_traces *traces, struct bufferevent *connection,
                   struct dm_span text, char **refusal)
{
    cJSON *request = cJSON_ParseWithLength((const char *)text.data, text.len);
    const char *command = control_value_request(request, "command");
    const char *client_id = control_value_request(request, "client_id");
    struct control_trace *trace = NULL;

    *refusal = NULL;
    if (command == NULL || strcmp(command, "trace") != 0)
        goto done;
    if (client_id == NULL || client_id[0] == '\0')
        *refusal = refuse("a client_id is needed");
    else if (traces->count >= TRACES_MAX)
        *refusal = refuse("there are too many traces already");
    else if ((trace = trace_new(traces, connection, client_id)) == NULL)
        *refusal = refuse("out of memory");
    if (trace != NULL) {
        cJSON *line = cJSON_CreateObject();

        cJSON_AddStringToObject(line, "tracing", client_id);
        write_line(connection, line);
    }

done:
    cJSON_Delete(request);
    return trace;
}

void
control_trace_drained(struct control_trace *trace)
{
    if (trace->lost == 0)
        return;
    cJSON *line = cJSON_CreateObject();

    control_value_count(line, "lost", trace->lost);
    trace->lost = 0;
    write_line(trace->connection, line);
}

void
control_trace_close(struct control_trace *trace)
{
    if (trace == NULL)
        return;
    struct control_traces *traces = trace->traces;

    DL_DELETE(traces->first, trace);
    traces->count--;
    if (traces->first == NULL)
        runner_set_trace(traces->source->runner, NULL, NULL);
    free(trace);
}
