/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse: the operator's command and device-side clients, each a subcommand. */
#include <assert.h>
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
    {"show", operator_show, true, "show one device and what happened to it"},
    {"queue", operator_queue, true, "list the messages that wait for one device"},
    {"trace", operator_trace, true, "show the packets of one device as they come and go"},
    {"disconnect", operator_disconnect, true, "end the connection of one device"},
    {"forget", operator_forget, true, "remove the session of one device"},
    {"pair", operator_pair, true, "let new nodes join the radio network of a link"},
    {"reload", operator_reload, true, "let the gateway read its configuration again"},
    {"log", operator_log, true, "show or change what the gateway logs"},
    {"ports", ports_run, true, "show the gateway's ports, or with --list this machine's"},
    {"check", check_run, false, "check a configuration file, or print an example"},
    {"import", import_run, false, "turn another gateway's configuration into one of Dormouse"},
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
    printf("\nOptions of the commands from status to ports, before or behind the command:\n"
           "  --socket PATH      control socket (default: /run/dormouse/control.sock)\n"
           "  -c, --config FILE  take the socket from this configuration file\n"
           "  --json             print the gateway's answer as JSON\n"
           "\nOptions:\n"
           "  --help             print this help; dormouse COMMAND --help tells more\n"
           "  --version          print the version\n"
           "\nExit status: 0 done; 1 wrong usage, or a file or output that fails; 2 no\n"
           "connection, or it was lost; 3 the gateway refused; 27 a time limit was over.\n");
}

enum {
    OPTIONS_MAX = 8,
    OPTION_CODE = 0x100
}; /* of one command; what getopt_long calls the first */

static const struct option global_options[] = {
    {"socket", required_argument, NULL, 's'}, {"config", required_argument, NULL, 'c'},
    {"json", no_argument, NULL, 'j'},         {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
};

static void
apply_global(struct command_globals *globals, int code)
{
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
    default:
        globals->version = true;
        break;
    }
}

static int
parse(struct command_globals *globals, const struct command_option *options, const char *letters,
      int argc, char **argv)
{
    enum { GLOBALS = sizeof global_options / sizeof global_options[0] };
    struct option longs[GLOBALS + OPTIONS_MAX + 1] = {0};
    static const struct command_option none[] = {{0}};
    int code;

    if (options == NULL)
        options = none;
    memcpy(longs, global_options, sizeof global_options);
    for (size_t i = 0; options[i].name != NULL; i++) {
        assert(i < OPTIONS_MAX);
        longs[GLOBALS + i] = (struct option){
            .name = options[i].name,
            .has_arg = options[i].flag != NULL ? no_argument : required_argument,
            .val = OPTION_CODE + (int)i,
        };
    }
    opterr = 0;
    optind = 0; /* GNU: start afresh, for the second part of the command line */
    while ((code = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (code == ':' || code == '?') {
            fprintf(stderr, "dormouse: %s '%s' (see dormouse --help)\n",
                    code == ':' ? "a value is needed for" : "unknown option", argv[optind - 1]);
            return -1;
        }
        if (code < OPTION_CODE)
            apply_global(globals, code);
        else if (options[code - OPTION_CODE].flag != NULL)
            *options[code - OPTION_CODE].flag = true;
        else
            *options[code - OPTION_CODE].text = optarg;
    }
    if (globals->socket != NULL && globals->config != NULL) {
        fprintf(stderr, "dormouse: only one of --socket and -c is possible\n");
        return -1;
    }
    return optind;
}

int
command_globals_parse(struct command_globals *globals, bool before_command, int argc, char **argv)
{
    return parse(globals, NULL, before_command ? "+:c:h" : ":c:h", argc, argv);
}

int
command_options_parse(struct command_globals *globals, const struct command_option *options,
                      int argc, char **argv)
{
    return parse(globals, options, ":c:h", argc, argv);
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
