/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse check: says whether a configuration file would start the gateway. */
#include <getopt.h>
#include <stdio.h>

#include "command.h"
#include "config.h"

static const char usage[] =
    "Usage: dormouse check FILE\n"
    "       dormouse check --example\n"
    "Reads a configuration file, with conf.d/*.ini beside it, and reports its errors\n"
    "and warnings. --example prints a commented file with every key.\n"
    "Exit status: 0 the gateway would start; 1 it would not.\n";

static void
on_report(void *ctx, bool warning, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%s: %s\n", warning ? "warning" : "error", text);
}

static int
check_file(const char *path)
{
    struct config *config = NULL;

    if (config_load(path, on_report, NULL, &config) != DM_OK)
        return EXIT_STATUS_USAGE;
    config_free(config);
    printf("%s: ok\n", path);
    return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
}

int
check_run(struct command_globals *globals, int argc, char **argv)
{
    static const struct option longs[] = {
        {"example", no_argument, NULL, 'e'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool example = false;
    int code;

    (void)globals;
    opterr = 0;
    optind = 0;
    while ((code = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (code == 'h') {
            fputs(usage, stdout);
            return EXIT_STATUS_OK;
        }
        if (code != 'e') {
            fprintf(stderr, "dormouse check: unknown option '%s' (see dormouse check --help)\n",
                    argv[optind - 1]);
            return EXIT_STATUS_USAGE;
        }
        example = true;
    }
    if (argc - optind != (example ? 0 : 1)) {
        fprintf(stderr, "dormouse check: %s (see dormouse check --help)\n",
                example ? "--example takes no file" : "one file is needed");
        return EXIT_STATUS_USAGE;
    }
    if (!example)
        return check_file(argv[optind]);
    config_print_example(stdout);
    return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
}
