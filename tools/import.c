/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse import: turns the configuration of another gateway into one of Dormouse. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "paho_ini.h"

static const char usage[] =
    "Usage: dormouse import [--network NAME] paho FILE\n"
    "Reads the configuration of an Eclipse Paho MQTT-SN gateway, FILE (gateway.conf)\n"
    "with the lists that it names or that lie beside it, and prints one for Dormouse.\n"
    "What is not taken over as it stands is told on standard error, as file:line: key:\n"
    "what to do, and the last line counts these findings. They are comments in the\n"
    "configuration, too. The password of the broker is never printed.\n"
    "  --network NAME     what that gateway was built for: udp, udp6, dtls, dtls6, xbee\n"
    "                     or loralink (default: the first of udp, udp6, xbee and loralink\n"
    "                     that has a port or a device in FILE)\n"
    "  --help             print this help\n"
    "Exit status: 0 printed, whatever was told; 1 wrong usage, or a file that cannot be\n"
    "read: nothing is printed then.\n";

static int
import_paho(const char *path, enum paho_network network)
{
    struct paho_config config;
    char reason[512];
    enum dm_result result = paho_config_load(path, &config, reason, sizeof(reason));

    if (result == DM_OK) {
        unsigned count = paho_ini_write(&config, network, stdout, stderr);
        fprintf(stderr, "dormouse import: %u findings\n", count);
    } else {
        fprintf(stderr, "dormouse import: %s\n", *reason != '\0' ? reason : "out of memory");
    }
    paho_config_free(&config);
    return result == DM_OK && fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
}

int
import_run(struct command_globals *globals, int argc, char **argv)
{
    static const struct option longs[] = {
        {"network", required_argument, NULL, 'n'}, {"help", no_argument, NULL, 'h'}, {0}};
    enum paho_network network = PAHO_NETWORK_UNKNOWN;
    int code;

    (void)globals;
    opterr = 0;
    optind = 0;
    while ((code = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
        if (code == 'h') {
            fputs(usage, stdout);
            return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
        }
        if (code == 'n' && (network = paho_network_find(optarg)) != PAHO_NETWORK_UNKNOWN)
            continue;
        fprintf(stderr, "dormouse import: %s '%s' (see dormouse import --help)\n",
                code == 'n'   ? "unknown network"
                : code == ':' ? "a value is needed for"
                              : "unknown option",
                code == 'n' ? optarg : argv[optind - 1]);
        return EXIT_STATUS_USAGE;
    }
    if (argc - optind != 2 || strcmp(argv[optind], "paho") != 0) {
        fprintf(stderr, "dormouse import: expected paho FILE (see dormouse import --help)\n");
        return EXIT_STATUS_USAGE;
    }
    return import_paho(argv[optind + 1], network);
}
