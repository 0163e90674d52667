/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's commands about the gateway as a whole and its links, asked over the control
 * socket: status, ports, pair, log. */
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "operator_ask.h"
#include "operator_print.h"

static int
show_status(const cJSON *answer)
{
    return operator_printed(operator_print_status(answer, stdout));
}

int
operator_status(struct command_globals *globals, int argc, char **argv)
{
    static const struct operator_usage usage = {"", "Shows how the gateway is.", 0, 0, NULL};
    char *const *values;
    int status;

    if (!operator_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    return operator_ask(globals, operator_request("status", NULL), show_status, NULL);
}

static int
show_pairing(const cJSON *answer)
{
    const cJSON *seconds = cJSON_GetObjectItemCaseSensitive(answer, "seconds");

    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "pairing")))
        puts("no new node may join any more");
    else if (cJSON_IsNumber(seconds))
        printf("new nodes may join, for %.0f s\n", seconds->valuedouble);
    else
        puts("new nodes may join");
    return EXIT_STATUS_OK;
}

int
operator_pair(struct command_globals *globals, int argc, char **argv)
{
    static const struct operator_usage usage = {
        "LINK [on|off]",
        "Lets new nodes join the radio network of the serial link LINK (framing aquila),\n"
        "for 60 seconds or until off. The gateway's log tells which address each gets.",
        1, 2, NULL};
    char *const *values;
    int status;

    if (!operator_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    const char *word = values[1] != NULL ? values[1] : "on"; /* argv ends in NULL */
    if (strcmp(word, "on") != 0 && strcmp(word, "off") != 0) {
        fprintf(stderr, "dormouse pair: on or off, not '%s' (see dormouse pair --help)\n", word);
        return EXIT_STATUS_USAGE;
    }
    cJSON *request = operator_request("pair", NULL);
    if (cJSON_AddStringToObject(request, "link", values[0]) == NULL ||
        cJSON_AddBoolToObject(request, "on", strcmp(word, "on") == 0) == NULL) {
        cJSON_Delete(request);
        request = NULL;
    }
    return operator_ask(globals, request, show_pairing, NULL);
}

static int
show_ports(const cJSON *answer)
{
    return operator_printed(operator_print_ports(answer, stdout));
}

int
operator_ports(const struct command_globals *globals)
{
    return operator_ask(globals, operator_request("status", NULL), show_ports, "links");
}

static int
show_levels(const cJSON *answer)
{
    const char *level = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "level"));

    printf("the gateway logs: %s\n", level != NULL ? level : "?");
    return EXIT_STATUS_OK;
}

int
operator_log(struct command_globals *globals, int argc, char **argv)
{
    static const struct operator_usage usage = {
        "[LEVELS]",
        "Shows what the running gateway logs, or changes it until the gateway ends. LEVELS:\n"
        "  info                   error, warning, notice, info or debug of all modules\n"
        "  packet=debug           of one module; the others stay as they are\n"
        "  'info, packet=debug'   several, as log_level in the configuration\n"
        "  default                what it logged when it started\n"
        "Modules: app, config, control, discovery, engine, http, libevent, packet, pairing,\n"
        "queue, runner, serial, session, store, udp, uplink, upstream, will.",
        0, 1, NULL};
    char *const *values;
    int status;

    if (!operator_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    cJSON *request = operator_request("log", NULL);
    if (values[0] != NULL && cJSON_AddStringToObject(request, "level", values[0]) == NULL) {
        cJSON_Delete(request);
        request = NULL;
    }
    return operator_ask(globals, request, show_levels, NULL);
}
