/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse check: says whether a configuration file would start the gateway. */
#include <getopt.h>
#include <stdio.h>

#include "check_client.h"
#include "command.h"
#include "config.h"

static const char usage[] =
    "Usage: dormouse check FILE [--client ID [--json]]\n"
    "       dormouse check --example\n"
    "Reads a configuration file, with conf.d/*.ini beside it, and reports its errors\n"
    "and warnings. --client shows which section the device with client ID gets, and\n"
    "what follows from it, --json for programs. --example prints a commented file with every key.\n"
    "Exit status: 0 the gateway would start, and not refuse the device; 1 otherwise.\n";

static void
on_report(void *ctx, bool warning, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%s: %s\n", warning ? "warning" : "error", text);
}

static int
check_file(const char *path, const char *client_id, bool json)
{
    struct config *config = NULL;
    bool served = true;

    if (config_load(path, on_report, NULL, &config) != DM_OK)
        return EXIT_STATUS_USAGE;
    if (client_id != NULL && json)
        served = check_client_print_json(config, client_id, stdout);
    else if (client_id != NULL)
        served = check_client_print(config, client_id, stdout);
    else
        printf("%s: ok\n", path);
    config_free(config);
    return fflush(stdout) == 0 && served ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
}

static int
wrong_usage(const char *what, const char *word)
{
    fprintf(stderr, "dormouse check: %s%s (see dormouse check --help)\n", what, word);
    return EXIT_STATUS_USAGE;
}

int
check_run(struct command_globals *globals, int argc, char **argv)
{
    static const struct option longs[] = {{"example", no_argument, NULL, 'e'},
                                          {"client", required_argument, NULL, 'i'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    bool example = false, json = false;
    const char *client_id = NULL;
    int code;

    (void)globals;
    opterr = 0;
    optind = 0;
    while ((code = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (code == 'h') {
            fputs(usage, stdout);
            return EXIT_STATUS_OK;
        }
        if (code == '?' || code == ':')
            return wrong_usage("unknown option ", argv[optind - 1]);
        example = example || code == 'e';
        json = json || code == 'j';
        if (code == 'i')
            client_id = optarg;
    }
    if (argc - optind != (example ? 0 : 1))
        return wrong_usage(example ? "--example takes no file" : "one file is needed", "");
    if (example && client_id != NULL)
        return wrong_usage("--client needs a file", "");
    if (json && client_id == NULL)
        return wrong_usage("--json needs --client", "");
    if (!example)
        return check_file(argv[optind], client_id, json);
    config_print_example(stdout);
    return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
}
