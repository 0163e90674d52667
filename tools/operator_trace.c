/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse trace: the packets of one device, live. */
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "control_client.h"
#include "operator_ask.h"
#include "operator_live.h"
#include "operator_show.h"

struct output {
    bool json;
    int status;
};

static bool
on_line(void *ctx, const char *text)
{
    struct output *output = ctx;
    cJSON *line = operator_parse_answer(text, &output->status);

    if (line == NULL)
        return false;
    if (output->json)
        puts(text);
    else
        operator_show_print_packet(line, stdout);
    cJSON_Delete(line);
    if (fflush(stdout) == 0)
        return true;
    output->status = EXIT_STATUS_USAGE;
    return false;
}

int
operator_trace(struct command_globals *globals, int argc, char **argv)
{
    static const struct operator_usage usage = {
        "ID",
        "Shows every packet from and to the device with client ID as it comes and goes,\n"
        "until Ctrl-C. The device need not be connected yet. With --json each is an\n"
        "object on a line.",
        1, 1, NULL};
    struct output output = {.status = EXIT_STATUS_CONNECTION};
    char *const *values;
    char error[128];
    int status;

    if (!operator_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    cJSON *request = operator_request("trace", values[0]);
    char *text = cJSON_PrintUnformatted(request);
    char *path = operator_find_socket(globals);

    cJSON_Delete(request);
    output.json = globals->json;
    operator_live_until_interrupt();
    if (text == NULL || path == NULL)
        output.status = text == NULL ? operator_no_memory() : EXIT_STATUS_USAGE;
    else if (control_client_stream(path, text, on_line, &output, error, sizeof error) != DM_OK)
        fprintf(stderr, "dormouse: no gateway answers on %s: %s\n", path, error);
    else if (output.status == EXIT_STATUS_CONNECTION)
        fprintf(stderr, "dormouse: the gateway ended the trace\n");
    cJSON_free(text);
    free(path);
    return output.status;
}
