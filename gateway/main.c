/* SPDX-License-Identifier: Apache-2.0 */
/* dormoused: reads the command line and the configuration, and runs the gateway. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include <dormouse/log.h>

#include "app.h"

#define DEFAULT_CONFIG "/etc/dormouse/dormouse.ini"

static const char usage[] = "usage: dormoused [-c FILE] [-d]\n"
                            "The Dormouse MQTT-SN gateway.\n"
                            "  -c, --config FILE  configuration (default " DEFAULT_CONFIG ")\n"
                            "  -d, --debug        log every packet\n"
                            "  -V, --version      print the version\n"
                            "  -h, --help         print this help\n"
                            "Logs go to stderr. SIGTERM ends it; a second one at once.\n"
                            "SIGHUP lets it read the configuration again.\n"
                            "Exit status: 0 ended by a signal, all is on disk; 78 the\n"
                            "configuration is wrong; 1 anything else.\n";

static void
report(void *ctx, bool warning, const char *text)
{
    (void)ctx;
    if (warning)
        log_warning("config", "%s", text);
    else
        log_error("config", "%s", text);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"debug", no_argument, NULL, 'd'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *path = DEFAULT_CONFIG;
    bool debug = false;
    struct config *config;
    int option;

    while ((option = getopt_long(argc, argv, "c:dVh", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'd':
            debug = true;
            break;
        case 'V':
            puts("dormoused " DORMOUSE_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return EXIT_FAILURE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "dormoused: unexpected argument %s\n%s", argv[optind], usage);
        return EXIT_FAILURE;
    }
    if (config_load(path, report, NULL, &config) != DM_OK)
        return EX_CONFIG; /* starting again cannot help: the unit does not */
    return app_run(path, config, debug);
}
