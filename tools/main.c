/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse: the operator's command and device-side clients, each a subcommand. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

struct command {
    const char *name;
    int (*run)(struct command_globals *globals, int argc, char **argv);
    bool asks_gateway; /* takes the global options */
    const char *help;
};

static const struct command commands[] = {
    {"status", operator_status, true, "show how the gateway is"},
    {"sessions", operator_sessions, true, "list the devices and what waits for them"},
    {"forget", operator_forget, true, "remove the session of one device"},
    {"pair", operator_pair, true, "let new nodes join the radio network of a link"},
    {"ports", ports_run, true, "show the gateway's ports, or with --list this machine's"},
    {"check", check_run, false, "check a configuration file, or print an example"},
    {"pub", pub_run, false, "send messages as an MQTT-SN device"},
    {"sub", sub_run, false, "receive messages as an MQTT-SN device, awake or sleeping"},
    {"search", search_run, false, "list the MQTT-SN gateways that answer"},
    {"fleet", fleet_run, false, "simulate many devices, and count what is lost"},
};

static void
print_help(void)
{
    printf("Usage: dormouse [OPTION...] COMMAND [ARGUMENT...]\n\nCommands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].help);
    printf("\nOptions of status, sessions, forget, pair and ports, before or behind the command:\n"
           "  --socket PATH      control socket (default: /run/dormouse/control.sock)\n"
           "  -c, --config FILE  take the socket from this configuration file\n"
           "  --json             print the gateway's answer as JSON\n"
           "\nOptions:\n"
           "  --help             print this help; dormouse COMMAND --help tells more\n"
           "  --version          print the version\n");
}

int
command_globals_parse(struct command_globals *globals, bool before_command, int argc, char **argv)
{
    static const struct option longs[] = {
        {"socket", required_argument, NULL, 's'}, {"config", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},         {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {0}};
    int code;

    opterr = 0;
    optind = 0; /* GNU: start afresh, for the second part of the command line */
    while ((code = getopt_long(argc, argv, before_command ? "+:c:h" : ":c:h", longs, NULL)) != -1) {
        switch (code) {
        case 's':
            globals->socket = optarg;
            break;
        case 'c':
            globals->config = optarg;
            break;
        case 'j':
            globals->json = true;
            break;
        case 'h':
            globals->help = true;
            break;
        case 'V':
            globals->version = true;
            break;
        default:
            fprintf(stderr, "dormouse: %s '%s' (see dormouse --help)\n",
                    code == ':' ? "a value is needed for" : "unknown option", argv[optind - 1]);
            return -1;
        }
    }
    if (globals->socket != NULL && globals->config != NULL) {
        fprintf(stderr, "dormouse: only one of --socket and -c is possible\n");
        return -1;
    }
    return optind;
}

static int
run_command(struct command_globals *globals, int argc, char **argv)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct command *command = &commands[i];
        if (strcmp(command->name, argv[0]) != 0)
            continue;
        if (!command->asks_gateway &&
            (globals->socket != NULL || globals->config != NULL || globals->json)) {
            fprintf(stderr, "dormouse: %s takes no --socket, -c or --json before it\n", argv[0]);
            return EXIT_STATUS_USAGE;
        }
        return command->run(globals, argc, argv);
    }
    fprintf(stderr, "dormouse: there is no command '%s' (see dormouse --help)\n", argv[0]);
    return EXIT_STATUS_USAGE;
}

int
main(int argc, char **argv)
{
    struct command_globals globals = {0};
    int first = command_globals_parse(&globals, true, argc, argv);

    if (first < 0)
        return EXIT_STATUS_USAGE;
    if (globals.help) {
        print_help();
        return EXIT_STATUS_OK;
    }
    if (globals.version) {
        puts("dormouse " DORMOUSE_VERSION);
        return EXIT_STATUS_OK;
    }
    if (first == argc) {
        fprintf(stderr, "dormouse: no command (see dormouse --help)\n");
        return EXIT_STATUS_USAGE;
    }
    return run_command(&globals, argc - first, argv + first);
}
