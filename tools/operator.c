/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's commands: status, sessions, forget, pair and ports, asked over the control socket.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include <dormouse/log.h>

#include "command.h"
#include "config.h"
#include "control_client.h"
#include "operator_print.h"

#define DEFAULT_SOCKET "/run/dormouse/control.sock"

static int
no_memory(void)
{
    fprintf(stderr, "dormouse: out of memory\n");
    return EXIT_STATUS_USAGE;
}

/* Prints only errors: warnings are the business of `dormouse check`. */
static void
on_config_report(void *ctx, bool warning, const char *text)
{
    (void)ctx;
    if (!warning)
        fprintf(stderr, "dormouse: %s\n", text);
}

/* Returns a copy of the path for the caller to free, or NULL after a report. */
static char *
find_socket(const struct command_globals *globals)
{
    struct config *config = NULL;
    char *path = NULL;

    if (globals->socket != NULL || globals->config == NULL) {
        path = strdup(globals->socket != NULL ? globals->socket : DEFAULT_SOCKET);
    } else {
        if (config_load(globals->config, on_config_report, NULL, &config) != DM_OK)
            return NULL;
        path = strdup(config->control_socket);
        config_free(config);
    }
    if (path == NULL)
        no_memory();
    return path;
}

/* Parses the answer. Returns NULL after a report, with the status to exit with in *status. */
static cJSON *
parse_answer(const char *text, int *status)
{
    cJSON *answer = cJSON_Parse(text);
    char reason[512];

    if (!cJSON_IsObject(answer)) {
        fprintf(stderr, "dormouse: the gateway's answer cannot be understood\n");
        *status = EXIT_STATUS_CONNECTION;
        cJSON_Delete(answer);
        return NULL;
    }
    const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "error"));
    if (error != NULL) {
        fprintf(stderr, "dormouse: %s\n", log_escape(reason, sizeof reason, dm_span_text(error)));
        *status = EXIT_STATUS_REFUSED;
        cJSON_Delete(answer);
        return NULL;
    }
    return answer;
}

/* Shows an answer that is an object without an error; returns the exit status. */
typedef int show_answer(const cJSON *answer);

/* Prints one member of the answer as an object of its own, or all of it if `part` is NULL. */
static int
show_json(cJSON *answer, const char *part, const char *answer_text)
{
    if (part == NULL)
        return puts(answer_text) >= 0 ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
    cJSON *object = cJSON_CreateObject();
    cJSON *member = cJSON_DetachItemFromObjectCaseSensitive(answer, part);
    if (member == NULL)
        member = cJSON_CreateArray();
    cJSON_AddItemToObject(object, part, member);
    char *text = cJSON_PrintUnformatted(object);
    int status = text != NULL && puts(text) >= 0 ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
    cJSON_free(text);
    cJSON_Delete(object);
    return status;
}

/* Sends `request`, and shows the answer by `show`, or `part` of it as JSON. Consumes `request`. */
static int
ask(const struct command_globals *globals, cJSON *request, show_answer *show, const char *part)
{
    char *text = cJSON_PrintUnformatted(request);
    char *path = find_socket(globals);
    char *answer_text = NULL;
    cJSON *answer = NULL;
    char error[128];
    int status = EXIT_STATUS_USAGE;

    cJSON_Delete(request);
    if (text == NULL)
        no_memory();
    if (text == NULL || path == NULL)
        goto done;
    if (control_client_ask(path, text, &answer_text, error, sizeof error) != DM_OK) {
        fprintf(stderr, "dormouse: no gateway answers on %s: %s\n", path, error);
        status = EXIT_STATUS_CONNECTION;
        goto done;
    }
    answer = parse_answer(answer_text, &status);
    if (answer == NULL)
        goto done;
    if (globals->json)
        status = show_json(answer, part, answer_text);
    else
        status = show(answer);
    if (fflush(stdout) != 0)
        status = EXIT_STATUS_USAGE;

done:
    cJSON_Delete(answer);
    free(answer_text);
    free(path);
    cJSON_free(text);
    return status;
}

static int
show_status(const cJSON *answer)
{
    return operator_print_status(answer, stdout) == DM_OK ? EXIT_STATUS_OK : no_memory();
}

static int
show_sessions(const cJSON *answer)
{
    return operator_print_sessions(answer, stdout) == DM_OK ? EXIT_STATUS_OK : no_memory();
}

static int
show_forgotten(const cJSON *answer)
{
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "forgotten"))) {
        puts("forgotten");
        return EXIT_STATUS_OK;
    }
    fprintf(stderr, "dormouse: the gateway did not forget it\n");
    return EXIT_STATUS_REFUSED;
}

/* What a command takes behind its name. */
struct usage {
    const char *arguments; /* as shown, "" for none */
    const char *about;
    int min, max; /* arguments */
};

/* Reads the options behind the command's name; `values` gets its arguments, which end
 * in NULL. Returns true to go on, else *status is the status. */
static bool
read_arguments(struct command_globals *globals, int argc, char **argv, const struct usage *usage,
               char *const **values, int *status)
{
    static const char *const needed[] = {"no argument is expected", "one argument is needed",
                                         "one or two arguments are needed"};
    int first = command_globals_parse(globals, false, argc, argv);

    *status = EXIT_STATUS_USAGE;
    if (first < 0)
        return false;
    if (globals->help) {
        printf("Usage: dormouse [--socket PATH | -c FILE] [--json] %s%s%s\n%s\n"
               "Exit status: 0 done; 1 wrong usage; 2 no gateway answers; 3 refused.\n",
               argv[0], usage->max > 0 ? " " : "", usage->arguments, usage->about);
        *status = EXIT_STATUS_OK;
        return false;
    }
    if (argc - first < usage->min || argc - first > usage->max) {
        fprintf(stderr, "dormouse %s: %s (see dormouse %s --help)\n", argv[0], needed[usage->max],
                argv[0]);
        return false;
    }
    *values = argv + first;
    return true;
}

/* NULL if memory is short. */
static cJSON *
new_request(const char *command, const char *client_id)
{
    cJSON *request = cJSON_CreateObject();

    if (request != NULL && cJSON_AddStringToObject(request, "command", command) != NULL &&
        (client_id == NULL || cJSON_AddStringToObject(request, "client_id", client_id) != NULL))
        return request;
    cJSON_Delete(request);
    return NULL;
}

int
operator_status(struct command_globals *globals, int argc, char **argv)
{
    static const struct usage usage = {"", "Shows how the gateway is.", 0, 0};
    char *const *values;
    int status;

    if (!read_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    return ask(globals, new_request("status", NULL), show_status, NULL);
}

int
operator_sessions(struct command_globals *globals, int argc, char **argv)
{
    static const struct usage usage = {
        "",
        "Lists the devices: state, whether the session is clean or kept, time since\n"
        "the device was heard, messages queued, delivered and dropped, and how well\n"
        "its radio was heard last, if the radio at the gateway tells.",
        0, 0};
    char *const *values;
    int status;

    if (!read_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    return ask(globals, new_request("sessions", NULL), show_sessions, NULL);
}

int
operator_forget(struct command_globals *globals, int argc, char **argv)
{
    static const struct usage usage = {
        "ID", "Removes the session of client ID with everything that waits for it.", 1, 1};
    char *const *values;
    int status;

    if (!read_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    return ask(globals, new_request("forget", values[0]), show_forgotten, NULL);
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
    static const struct usage usage = {
        "LINK [on|off]",
        "Lets new nodes join the radio network of the serial link LINK (framing aquila),\n"
        "for 60 seconds or until off. The gateway's log tells which address each gets.",
        1, 2};
    char *const *values;
    int status;

    if (!read_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    const char *word = values[1] != NULL ? values[1] : "on"; /* argv ends in NULL */
    if (strcmp(word, "on") != 0 && strcmp(word, "off") != 0) {
        fprintf(stderr, "dormouse pair: on or off, not '%s' (see dormouse pair --help)\n", word);
        return EXIT_STATUS_USAGE;
    }
    cJSON *request = new_request("pair", NULL);
    if (cJSON_AddStringToObject(request, "link", values[0]) == NULL ||
        cJSON_AddBoolToObject(request, "on", strcmp(word, "on") == 0) == NULL) {
        cJSON_Delete(request);
        request = NULL;
    }
    return ask(globals, request, show_pairing, NULL);
}

static int
show_ports(const cJSON *answer)
{
    return operator_print_ports(answer, stdout) == DM_OK ? EXIT_STATUS_OK : no_memory();
}

int
operator_ports(const struct command_globals *globals)
{
    return ask(globals, new_request("status", NULL), show_ports, "links");
}
