/* SPDX-License-Identifier: Apache-2.0 */
/* What a person sees of the command line of pub, sub, search and fleet: the help, from the table,
 * and errors. */
#include "options.h"

#include <string.h>

#include "command.h"
#include "options_table.h"

#define HELP_COLUMN 29 /* where the explanations start */

static const char pub_head[] =
    "Usage: dormouse pub [OPTION...] -t NAME -m TEXT\n"
    "Sends messages as an MQTT-SN device: connects, registers the topic, publishes,\n"
    "waits for the acknowledgement (QoS 1 and 2) and disconnects.\n\n";

static const char sub_head[] =
    "Usage: dormouse sub [OPTION...] -t FILTER\n"
    "Receives messages as an MQTT-SN device and prints each on a line of standard\n"
    "output. With --sleep it behaves as a sleeping sensor. SIGINT and SIGTERM end it\n"
    "in order.\n\n";

static const char search_head[] =
    "Usage: dormouse search [OPTION...]\n"
    "Asks for MQTT-SN gateways (SEARCHGW) and lists those that answer or advertise:\n"
    "number, address, and how often they advertise.\n\n";

static const char fleet_head[] =
    "Usage: dormouse fleet [OPTION...]\n"
    "Simulates many devices over UDP or on a serial line. Each subscribes to a topic\n"
    "of its own and publishes to it, so that every message comes back through the\n"
    "broker, and counts what is lost, what comes twice and how long it takes.\n"
    "Persistent sessions of a run stay in the gateway for the next one. SIGINT and\n"
    "SIGTERM end it in order, a second one at once; a table follows.\n\n";

static const char device_tail[] =
    "\nExit status: 0 done; 1 wrong usage, or a file or output that fails; 2 the\n"
    "connection was refused or lost; 3 the gateway refused a topic or a message;\n"
    "27 the time of --timeout was over.\n";

static const char search_tail[] =
    "\nExit status: 0 a gateway was found; 1 none, or wrong usage; 2 the network or\n"
    "the serial port fails.\n";

static const char fleet_tail[] =
    "\nExit status: 0 every promise was kept; 1 something acknowledged was lost, or a\n"
    "QoS 2 message came twice, or wrong usage; 2 no device could connect.\n";

static const struct command_text {
    const char *name, *head, *tail;
} texts[] = {
    [OPTIONS_PUB] = {"pub", pub_head, device_tail},
    [OPTIONS_SUB] = {"sub", sub_head, device_tail},
    [OPTIONS_SEARCH] = {"search", search_head, search_tail},
    [OPTIONS_FLEET] = {"fleet", fleet_head, fleet_tail},
};

const char *
options_command_name(enum options_command command)
{
    return texts[command].name;
}

const char *
options_help_head(enum options_command command)
{
    return texts[command].head;
}

const char *
options_help_tail(enum options_command command)
{
    return texts[command].tail;
}

/* `help` may have several lines, each but the first is indented. */
static void
print_option(const char *left, const char *help, FILE *out)
{
    while (help != NULL) {
        const char *end = strchr(help, '\n');
        int len = end != NULL ? (int)(end - help) : (int)strlen(help);
        fprintf(out, "%-*s%.*s\n", HELP_COLUMN, left, len, help);
        help = end != NULL ? end + 1 : NULL;
        left = "";
    }
}

void
options_print_help(enum options_command command, FILE *out)
{
    fputs(texts[command].head, out);
    for (size_t i = 0; i < option_spec_count; i++) {
        const struct option_spec *spec = &option_specs[i];
        const char *argument = spec->argument != NULL ? spec->argument : "";
        char letter[4] = "   ";
        char left[64];

        if ((spec->commands & OPTIONS_FOR(command)) == 0 || spec->help == NULL)
            continue;
        if (spec->letter != 0)
            snprintf(letter, sizeof letter, "-%c,", spec->letter);
        snprintf(left, sizeof left, "  %s --%s %s", letter, spec->name, argument);
        print_option(left, spec->help, out);
    }
    fputs(texts[command].tail, out);
}

bool
options_read(struct options *options, enum options_command command, int argc, char **argv,
             int *status)
{
    const char *name = options_command_name(command);
    char error[256];

    if (options_parse(options, command, argc, argv, error, sizeof error) != DM_OK) {
        fprintf(stderr, "dormouse %s: %s (see dormouse %s --help)\n", name, error, name);
        *status = EXIT_STATUS_USAGE;
        return false;
    }
    if (options->help) {
        options_print_help(command, stdout);
        *status = EXIT_STATUS_OK;
        return false;
    }
    return true;
}
