/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse sessions: the list of devices, chosen, sorted and watched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "operator_ask.h"
#include "operator_live.h"
#include "operator_print.h"
#include "operator_values.h"

#define CLEAR "\033[H\033[J" /* cursor to the corner, and all behind it goes */

typedef int compare(const void *a, const void *b);

static const char *
text_of(const cJSON *session, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(session, key));

    return text != NULL ? text : "";
}

static uint64_t
number_of(const cJSON *session, const char *key, uint64_t absent)
{
    uint64_t number = absent;

    values_number(session, key, &number);
    return number;
}

static int
compare_id(const void *a, const void *b)
{
    return strcmp(text_of(*(cJSON *const *)a, "client_id"),
                  text_of(*(cJSON *const *)b, "client_id"));
}

static int
compare_state(const void *a, const void *b)
{
    int order = strcmp(text_of(*(cJSON *const *)a, "state"), text_of(*(cJSON *const *)b, "state"));

    return order != 0 ? order : compare_id(a, b);
}

/* Heard last, first. */
static int
compare_contact(const void *a, const void *b)
{
    uint64_t first = number_of(*(cJSON *const *)a, "last_contact_ms", UINT64_MAX);
    uint64_t second = number_of(*(cJSON *const *)b, "last_contact_ms", UINT64_MAX);

    return first != second ? (first > second ? 1 : -1) : compare_id(a, b);
}

/* The longest first. */
static int
compare_queue(const void *a, const void *b)
{
    uint64_t first = number_of(*(cJSON *const *)a, "queued", 0);
    uint64_t second = number_of(*(cJSON *const *)b, "queued", 0);

    return first != second ? (first < second ? 1 : -1) : compare_id(a, b);
}

/* NULL: there is no such order. */
static compare *
find_order(const char *name)
{
    static const struct {
        const char *name;
        compare *compare;
    } orders[] = {{"id", compare_id},
                  {"state", compare_state},
                  {"contact", compare_contact},
                  {"queue", compare_queue}};

    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        if (strcmp(name, orders[i].name) == 0)
            return orders[i].compare;
    return NULL;
}

/* Without memory the order stays that of the gateway. */
static void
sort(cJSON *list, compare *order)
{
    int count = cJSON_GetArraySize(list);
    cJSON **sessions = count > 0 ? calloc((size_t)count, sizeof *sessions) : NULL;
    int taken = 0;

    if (sessions == NULL)
        return;
    while (list->child != NULL)
        sessions[taken++] = cJSON_DetachItemViaPointer(list, list->child);
    qsort(sessions, (size_t)taken, sizeof *sessions, order);
    for (int i = 0; i < taken; i++)
        cJSON_AddItemToArray(list, sessions[i]);
    free(sessions);
}

struct wish {
    const char *state;  /* NULL: all */
    const char *filter; /* NULL: all */
    compare *order;     /* NULL: as the gateway has them */
};

static cJSON *
new_request(const struct wish *wish)
{
    cJSON *request = operator_request("sessions", NULL);

    if ((wish->state != NULL && cJSON_AddStringToObject(request, "state", wish->state) == NULL) ||
        (wish->filter != NULL &&
         cJSON_AddStringToObject(request, "filter", wish->filter) == NULL)) {
        cJSON_Delete(request);
        return NULL;
    }
    return request;
}

static int
print_once(const struct command_globals *globals, const struct wish *wish, bool redraw)
{
    char *answer_text;
    int status;
    cJSON *answer = operator_fetch(globals, new_request(wish), &answer_text, &status);

    if (answer == NULL)
        return status;
    if (wish->order != NULL)
        sort(cJSON_GetObjectItemCaseSensitive(answer, "sessions"), wish->order);
    if (redraw)
        fputs(CLEAR, stdout);
    if (globals->json)
        status = operator_print_json(answer, "sessions", answer_text);
    else
        status = operator_printed(operator_print_sessions(answer, stdout));
    if (fflush(stdout) != 0)
        status = EXIT_STATUS_USAGE;
    cJSON_Delete(answer);
    free(answer_text);
    return status;
}

static int
watch(const struct command_globals *globals, const struct wish *wish)
{
    bool terminal = isatty(STDOUT_FILENO) != 0;
    int status;

    operator_live_until_interrupt();
    while ((status = print_once(globals, wish, terminal)) == EXIT_STATUS_OK) {
        sleep(1);
        if (!terminal)
            putchar('\n');
    }
    return status;
}

int
operator_sessions(struct command_globals *globals, int argc, char **argv)
{
    struct wish wish = {0};
    const char *order = NULL;
    bool watches = false;
    const struct command_option options[] = {{"state", NULL, &wish.state},
                                             {"filter", NULL, &wish.filter},
                                             {"sort", NULL, &order},
                                             {"watch", &watches, NULL},
                                             {0}};
    const struct operator_usage usage = {
        "[--state STATE] [--filter PATTERN] [--sort KEY] [--watch]",
        "Lists the devices: state, whether the session is clean or kept, time since\n"
        "the device was heard, messages queued, delivered and dropped, and how well\n"
        "its radio was heard last, if the radio at the gateway tells.\n"
        "  --state STATE     only those that are active, asleep, awake, lost or\n"
        "                    disconnected\n"
        "  --filter PATTERN  only client ids like this: * any text, ? one character\n"
        "  --sort KEY        by id, state, contact (heard last, first) or queue\n"
        "                    (the longest first)\n"
        "  --watch           again every second until Ctrl-C",
        0, 0, options};
    char *const *values;
    int status;

    if (!operator_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    if (order != NULL && (wish.order = find_order(order)) == NULL) {
        fprintf(stderr, "dormouse sessions: --sort takes id, state, contact or queue\n");
        return EXIT_STATUS_USAGE;
    }
    return watches ? watch(globals, &wish) : print_once(globals, &wish, false);
}
