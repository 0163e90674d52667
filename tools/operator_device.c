/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's commands about one device: show, queue, disconnect, forget. */
#include <stdio.h>

#include <cjson/cJSON.h>

#include "operator_ask.h"
#include "operator_print.h"
#include "operator_show.h"
#include "operator_values.h"

static int
show_device(const cJSON *answer)
{
    return operator_printed(operator_show_print(answer, stdout));
}

int
operator_show(struct command_globals *globals, int argc, char **argv)
{
    static const struct operator_usage usage = {
        "ID",
        "Shows the device with client ID: where it is, its subscriptions and topic ids,\n"
        "its will, what waits for it and why, and what happened to it last.",
        1, 1, NULL};
    char *const *values;
    int status;

    if (!operator_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    return operator_ask(globals, operator_request("show", values[0]), show_device, NULL);
}

static int
show_queue(const cJSON *answer)
{
    return operator_printed(operator_show_print_queue(answer, stdout));
}

static int
show_dropped(const cJSON *answer)
{
    char dropped[VALUES_TEXT_MAX];
    char kept[VALUES_TEXT_MAX];

    printf("%s messages given up, %s kept: the device may have them already\n",
           values_count(dropped, answer, "dropped"), values_count(kept, answer, "kept"));
    return EXIT_STATUS_OK;
}

int
operator_queue(struct command_globals *globals, int argc, char **argv)
{
    bool drop = false;
    const struct command_option options[] = {{"drop", &drop, NULL}, {0}};
    const struct operator_usage usage = {
        "ID [--drop]",
        "Lists the messages that wait for the device with client ID, the next one first.\n"
        "--drop gives them up, except those that the device may have already.",
        1, 1, options};
    char *const *values;
    int status;

    if (!operator_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    return operator_ask(globals, operator_request(drop ? "drop" : "queue", values[0]),
                        drop ? show_dropped : show_queue, NULL);
}

static int
show_disconnected(const cJSON *answer)
{
    (void)answer;
    puts("disconnected");
    return EXIT_STATUS_OK;
}

int
operator_disconnect(struct command_globals *globals, int argc, char **argv)
{
    static const struct operator_usage usage = {
        "ID",
        "Ends the connection of the device with client ID and tells it so, a sleeping\n"
        "one when it wakes up. Its session is kept, unless it is clean.",
        1, 1, NULL};
    char *const *values;
    int status;

    if (!operator_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    return operator_ask(globals, operator_request("disconnect", values[0]), show_disconnected,
                        NULL);
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

int
operator_forget(struct command_globals *globals, int argc, char **argv)
{
    static const struct operator_usage usage = {
        "ID", "Removes the session of client ID with everything that waits for it.", 1, 1, NULL};
    char *const *values;
    int status;

    if (!operator_arguments(globals, argc, argv, &usage, &values, &status))
        return status;
    return operator_ask(globals, operator_request("forget", values[0]), show_forgotten, NULL);
}
