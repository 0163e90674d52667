/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse ports: the gateway's links, or with --list the serial ports of this machine. */
#include "ports.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

#define CONSOLES_MAX 512

static const char usage[] =
    "Usage: dormouse [--socket PATH | -c FILE] [--json] ports\n"
    "       dormouse ports --list [--json]\n"
    "Shows the gateway's serial ports and UDP links, what went over them, and the\n"
    "nodes that were heard on a serial port with the quality that the radio tells.\n"
    "--list asks no gateway: it shows the serial ports of this machine, each with a\n"
    "section for the configuration and a rule for udev that gives it a lasting name.\n"
    "Exit status: 0 done; 1 wrong usage; 2 no gateway answers; 3 refused.\n";

/* Whether `path` is among the kernel's consoles, "tty0 ttyAMA0". */
static bool
is_console(const char *path, const char *consoles)
{
    const char *name = strrchr(path, '/');

    name = name != NULL ? name + 1 : path;
    size_t len = strlen(name);
    for (const char *p = consoles + strspn(consoles, " \n"); *p != '\0';) {
        size_t word = strcspn(p, " \n");
        if (word == len && memcmp(p, name, len) == 0)
            return true;
        p += word;
        p += strspn(p, " \n");
    }
    return false;
}

static void
read_consoles(char *text, size_t size)
{
    FILE *file = fopen("/sys/class/tty/console/active", "re");
    size_t len = 0;

    if (file != NULL) {
        len = fread(text, 1, size - 1, file);
        fclose(file);
    }
    text[len] = '\0';
}

static enum dm_result
find_ports(struct ports_port **ports, size_t *count)
{
    struct serial_listed *listed = NULL;
    char consoles[CONSOLES_MAX];
    enum dm_result result = serial_list(&listed, count);

    if (result != DM_OK)
        return result;
    *ports = calloc(*count + 1, sizeof **ports);
    if (*ports == NULL) {
        serial_list_free(listed, *count);
        return DM_NO_MEMORY;
    }
    read_consoles(consoles, sizeof consoles);
    for (size_t i = 0; i < *count; i++) {
        struct ports_port *port = &(*ports)[i];
        port->device = listed[i]; /* with its texts */
        port->console = is_console(listed[i].path, consoles);
        port->accessible = access(listed[i].path, R_OK | W_OK) == 0;
    }
    free(listed);
    result = ports_find_links(*ports, *count, "/dev");
    ports_suggest_names(*ports, *count);
    return result;
}

static void
free_ports(struct ports_port *ports, size_t count)
{
    for (size_t i = 0; ports != NULL && i < count; i++) {
        serial_listed_fini(&ports[i].device);
        ports_free_links(&ports[i]);
    }
    free(ports);
}

static int
list(bool json)
{
    struct ports_port *ports = NULL;
    size_t count = 0;
    enum dm_result result = find_ports(&ports, &count);
    int error = errno;

    if (result == DM_OK && json)
        result = ports_print_json(ports, count, stdout);
    else if (result == DM_OK)
        ports_print(ports, count, stdout);
    free_ports(ports, count);
    if (result != DM_OK)
        fprintf(stderr, "dormouse ports: cannot list the ports: %s\n",
                result == DM_IO ? strerror(error) : dm_result_text(result));
    return result == DM_OK && fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_USAGE;
}

int
ports_run(struct command_globals *globals, int argc, char **argv)
{
    bool wants_list = false;
    int rest = 1;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            wants_list = true;
        else
            argv[rest++] = argv[i];
    }
    int first = command_globals_parse(globals, false, rest, argv);
    if (first < 0)
        return EXIT_STATUS_USAGE;
    if (globals->help) {
        fputs(usage, stdout);
        return EXIT_STATUS_OK;
    }
    if (first != rest || (wants_list && (globals->socket != NULL || globals->config != NULL))) {
        fprintf(stderr, "dormouse ports: %s (see dormouse ports --help)\n",
                first != rest ? "no argument is expected" : "--list asks no gateway");
        return EXIT_STATUS_USAGE;
    }
    return wants_list ? list(globals->json) : operator_ports(globals);
}
