/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator's commands share: their arguments, a request to the gateway, and its answer. */
#include "operator_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include <dormouse/log.h>

#include "config.h"
#include "control_client.h"

#define DEFAULT_SOCKET "/run/dormouse/control.sock"

int
operator_no_memory(void)
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

char *
operator_find_socket(const struct command_globals *globals)
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
        operator_no_memory();
    return path;
}

cJSON *
operator_parse_answer(const char *text, int *status)
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

int
operator_print_json(cJSON *answer, const char *part, const char *answer_text)
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

cJSON *
operator_fetch(const struct command_globals *globals, cJSON *request, char **answer_text,
               int *status)
{
    char *text = cJSON_PrintUnformatted(request);
    char *path = operator_find_socket(globals);
    cJSON *answer = NULL;
    char error[128];

    *answer_text = NULL;
    *status = EXIT_STATUS_USAGE;
    cJSON_Delete(request);
    if (text == NULL)
        operator_no_memory();
    if (text == NULL || path == NULL)
        goto done;
    if (control_client_ask(path, text, answer_text, error, sizeof error) != DM_OK) {
        fprintf(stderr, "dormouse: no gateway answers on %s: %s\n", path, error);
        *status = EXIT_STATUS_CONNECTION;
        goto done;
    }
    answer = operator_parse_answer(*answer_text, status);
    if (answer == NULL) {
        free(*answer_text);
        *answer_text = NULL;
    }

done:
    free(path);
    cJSON_free(text);
    return answer;
}

int
operator_ask(const struct command_globals *globals, cJSON *request, operator_show_answer *show,
             const char *part)
{
    char *answer_text;
    int status;
    cJSON *answer = operator_fetch(globals, request, &answer_text, &status);

    if (answer == NULL)
        return status;
    if (globals->json)
        status = operator_print_json(answer, part, answer_text);
    else
        status = show(answer);
    if (fflush(stdout) != 0)
        status = EXIT_STATUS_USAGE;
    cJSON_Delete(answer);
    free(answer_text);
    return status;
}

int
operator_printed(enum dm_result result)
{
    return result == DM_OK ? EXIT_STATUS_OK : operator_no_memory();
}

bool
operator_arguments(struct command_globals *globals, int argc, char **argv,
                   const struct operator_usage *usage, char *const **values, int *status)
{
    static const char *const needed[][3] = {
        {"no argument is expected", "one argument at most is possible"},
        {"", "one argument is needed", "one or two arguments are needed"},
    };
    int first = command_options_parse(globals, usage->options, argc, argv);

    *status = EXIT_STATUS_USAGE;
    if (first < 0)
        return false;
    if (globals->help) {
        printf("Usage: dormouse [--socket PATH | -c FILE] [--json] %s%s%s\n%s\n"
               "Exit status: 0 done; 1 wrong usage; 2 no gateway answers; 3 refused.\n",
               argv[0], usage->arguments[0] != '\0' ? " " : "", usage->arguments, usage->about);
        *status = EXIT_STATUS_OK;
        return false;
    }
    if (argc - first < usage->min || argc - first > usage->max) {
        fprintf(stderr, "dormouse %s: %s (see dormouse %s --help)\n", argv[0],
                needed[usage->min][usage->max], argv[0]);
        return false;
    }
    *values = argv + first;
    return true;
}

cJSON *
operator_request(const char *command, const char *client_id)
{
    cJSON *request = cJSON_CreateObject();

    if (request != NULL && cJSON_AddStringToObject(request, "command", command) != NULL &&
        (client_id == NULL || cJSON_AddStringToObject(request, "client_id", client_id) != NULL))
        return request;
    cJSON_Delete(request);
    return NULL;
}
