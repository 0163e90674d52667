/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's commands about the gateway as a whole and its links, asked over the control
 * socket: status, ports, pair, log, reload. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include <dormouse/log.h>

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
        "  default                what the configuration says\n"
        "Modules: access, app, config, control, discovery, engine, http, libevent, packet, "
        "pairing,\n"
        "queue, runner, serial, session, status, store, udp, uplink, upstream, will.",
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

/* Returns how many there are. */
static int
print_lines(const cJSON *answer, const char *name, const char *title, FILE *out)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(answer, name), *item;
    char text[512];

    if (cJSON_GetArraySize(list) > 0)
        fprintf(out, "%s\n", title);
    cJSON_ArrayForEach(item, list)
    {
        const char *line = cJSON_GetStringValue(item);

        fprintf(out, "  %s\n",
                log_escape(text, sizeof text, dm_span_text(line != NULL ? line : "?")));
    }
    return cJSON_GetArraySize(list);
}

static void
show_reload(const cJSON *answer)
{
    print_lines(answer, "warnings", "warnings:", stderr);
    print_lines(answer, "errors", "errors; the gateway goes on as before:", stderr);
    if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(answer, "errors")) > 0)
        return;
    int lines = print_lines(answer, "changed", "changed:", stdout);

    lines += print_lines(answer, "restart",
                         "not before the next start (devices do not notice one):", stdout);
    if (lines == 0)
        puts("nothing has changed");
}

int
operator_reload(struct command_globals *globals, int argc, char **argv)
{
    static const struct operator_usage usage = {
        "",
        "Lets the gateway read its configuration again, as SIGHUP does, and shows what changed.\n"
        "No session is lost. With an error in the configuration nothing changes at all. What a\n"
        "running gateway cannot take is named: it takes effect at the next start.",
        0, 0, NULL};
    char *const *values;
    int status;

    if (!operator_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    char *text;
    cJSON *answer = operator_fetch(globals, operator_request("reload", NULL), &text, &status);

    if (answer == NULL)
        return status;
    status = EXIT_STATUS_OK;
    if (globals->json)
        status = operator_print_json(answer, NULL, text);
    else
        show_reload(answer);
    if (status == EXIT_STATUS_OK &&
        !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "reloaded")))
        status = EXIT_STATUS_REFUSED;
    cJSON_Delete(answer);
    free(text);
    return status;
}
