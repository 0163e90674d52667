/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the links that udev makes to serial ports. */
#include "ports.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Whether a name of the folder may be a link of this kind. */
static bool
is_candidate(enum ports_link kind, const char *name)
{
    if (name[0] == '.')
        return false;
    if (kind != PORTS_LINK_ALIAS)
        return true;
    return strncmp(name, "serial", 6) == 0 && name[6] != '\0' &&
           strspn(name + 6, "0123456789") == strlen(name + 6);
}

/* Gives `link` to the port that it leads to. The first one stays: since systemd 255 there is a
 * second link by path, named "-usbv2-" instead of "-usb-", and the plain one is ID_PATH. */
static enum dm_result
place_link(struct ports_port *ports, size_t count, enum ports_link kind, const char *link)
{
    char target[PATH_MAX];

    if (realpath(link, target) == NULL)
        return DM_OK;
    for (size_t i = 0; i < count; i++) {
        char **place = &ports[i].links[kind];
        if (strcmp(ports[i].device.path, target) != 0)
            continue;
        if (*place == NULL)
            *place = strdup(link);
        return *place != NULL ? DM_OK : DM_NO_MEMORY;
    }
    return DM_OK;
}

static enum dm_result
search_folder(struct ports_port *ports, size_t count, enum ports_link kind, const char *folder)
{
    struct dirent **entries = NULL;
    enum dm_result result = DM_OK;
    int found = scandir(folder, &entries, NULL, alphasort);

    for (int i = 0; i < found; i++) {
        char link[PATH_MAX];
        int len = snprintf(link, sizeof link, "%s/%s", folder, entries[i]->d_name);
        if (result == DM_OK && is_candidate(kind, entries[i]->d_name) && len < PATH_MAX)
            result = place_link(ports, count, kind, link);
        free(entries[i]);
    }
    free(entries);
    return result; /* a folder that does not exist has no links */
}

enum dm_result
ports_find_links(struct ports_port *ports, size_t count, const char *dev)
{
    static const char *const folders[PORTS_LINK_COUNT] = {
        [PORTS_LINK_DORMOUSE] = "/dormouse",
        [PORTS_LINK_BY_ID] = "/serial/by-id",
        [PORTS_LINK_BY_PATH] = "/serial/by-path",
        [PORTS_LINK_ALIAS] = "",
    };
    enum dm_result result = DM_OK;

    for (int kind = 0; result == DM_OK && kind < PORTS_LINK_COUNT; kind++) {
        char folder[PATH_MAX];
        snprintf(folder, sizeof folder, "%s%s", dev, folders[kind]);
        result = search_folder(ports, count, (enum ports_link)kind, folder);
    }
    return result;
}

void
ports_free_links(struct ports_port *port)
{
    for (int kind = 0; kind < PORTS_LINK_COUNT; kind++) {
        free(port->links[kind]);
        port->links[kind] = NULL;
    }
}
