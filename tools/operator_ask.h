/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator's commands share: their arguments, a request to the gateway, and its answer. */
#ifndef DORMOUSE_TOOLS_OPERATOR_ASK_H
#define DORMOUSE_TOOLS_OPERATOR_ASK_H

#include <dormouse/result.h>

#include "command.h"

struct cJSON;

/* What a command takes behind its name. */
struct operator_usage {
    const char *arguments; /* as shown, "" for none */
    const char *about;
    int min, max;                         /* arguments, two at most */
    const struct command_option *options; /* end in one without a name; NULL: none */
};

/* Reads the options behind the command's name; `values` gets its arguments, which end
 * in NULL. Returns true to go on, else *status is the status. */
bool operator_arguments(struct command_globals *globals, int argc, char **argv,
                        const struct operator_usage *usage, char *const **values, int *status);
/* NULL if memory is short. `client_id` may be NULL. */
struct cJSON *operator_request(const char *command, const char *client_id);

/* Shows an answer that is an object without an error; returns the exit status. */
typedef int operator_show_answer(const struct cJSON *answer);
/* Sends `request`, and shows the answer by `show`, or `part` of it as JSON. Consumes `request`. */
int operator_ask(const struct command_globals *globals, struct cJSON *request,
                 operator_show_answer *show, const char *part);
/* The answer and its text, both for the caller to free. NULL after a report, with the status to
 * exit with in *status. Consumes `request`. */
struct cJSON *operator_fetch(const struct command_globals *globals, struct cJSON *request,
                             char **answer_text, int *status);
/* Parses a line of the gateway; NULL as above. */
struct cJSON *operator_parse_answer(const char *text, int *status);
/* Prints one member of the answer as an object of its own, or all of it if `part` is NULL. */
int operator_print_json(struct cJSON *answer, const char *part, const char *answer_text);
/* The exit status after printing. */
int operator_printed(enum dm_result result);
int operator_no_memory(void);
/* Returns a copy of the path for the caller to free, or NULL after a report. */
char *operator_find_socket(const struct command_globals *globals);

#endif
