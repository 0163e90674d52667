/* SPDX-License-Identifier: Apache-2.0 */
/* What every subcommand of dormouse shares: exit statuses and the entry points main.c knows. */
#ifndef DORMOUSE_TOOLS_COMMAND_H
#define DORMOUSE_TOOLS_COMMAND_H

#include <stdbool.h>

/* Shown by --help; scripts depend on the numbers. */
enum exit_status {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_USAGE = 1,      /* wrong usage, or a file or output that fails; nothing found */
    EXIT_STATUS_CONNECTION = 2, /* refused or lost */
    EXIT_STATUS_REFUSED = 3,    /* the gateway refused what was asked */
    EXIT_STATUS_TIMEOUT = 27,   /* as mosquitto_sub -W */
};

/* Options that may stand before the command or behind it. The texts are borrowed from argv. */
struct command_globals {
    const char *socket; /* NULL: from the configuration, or the default */
    const char *config; /* NULL: none */
    bool json;
    bool help;
    bool version;
};

/*
 * Reads the global options of `argv`, and reports an error on stderr. `before_command`: stops at
 * the first word that is no option. Returns the index of the first such word (argc if none), -1
 * after an error. Permutes argv as getopt_long does.
 */
int command_globals_parse(struct command_globals *globals, bool before_command, int argc,
                          char **argv);

/* An option of one command: either a flag, or one that takes a text. */
struct command_option {
    const char *name;
    bool *flag;        /* set; NULL: it takes a text */
    const char **text; /* borrowed from argv */
};

/* The same behind the command's name, where the command has options of its own. They end in one
 * without a name; NULL: it has none. */
int command_options_parse(struct command_globals *globals, const struct command_option *options,
                          int argc, char **argv);

/* Each returns the exit status. argv[0] is the name of the subcommand. */
int operator_status(struct command_globals *globals, int argc, char **argv);
int operator_sessions(struct command_globals *globals, int argc, char **argv);
int operator_show(struct command_globals *globals, int argc, char **argv);
int operator_queue(struct command_globals *globals, int argc, char **argv);
int operator_disconnect(struct command_globals *globals, int argc, char **argv);
int operator_forget(struct command_globals *globals, int argc, char **argv);
int operator_pair(struct command_globals *globals, int argc, char **argv);
int operator_reload(struct command_globals *globals, int argc, char **argv);
int operator_log(struct command_globals *globals, int argc, char **argv);
int operator_trace(struct command_globals *globals, int argc, char **argv);
int ports_run(struct command_globals *globals, int argc, char **argv);
int check_run(struct command_globals *globals, int argc, char **argv);
int import_run(struct command_globals *globals, int argc, char **argv);
int pub_run(struct command_globals *globals, int argc, char **argv);
int sub_run(struct command_globals *globals, int argc, char **argv);
int search_run(struct command_globals *globals, int argc, char **argv);
int fleet_run(struct command_globals *globals, int argc, char **argv);

/* dormouse ports without --list, its options read. */
int operator_ports(const struct command_globals *globals);

#endif
