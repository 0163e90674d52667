/* SPDX-License-Identifier: Apache-2.0 */
/* Who the gateway is if the configuration does not say: made from the host name and the machine id.
 */
#include "config_identity.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_reader.h"
#include "config_values.h"

/* The host name, as far as it is a name of ours. */
char *
config_default_name(void)
{
    char host[33] = "";
    if (gethostname(host, sizeof(host) - 1) != 0 && errno != ENAMETOOLONG)
        host[0] = '\0';
    host[strcspn(host, ".")] = '\0';
    for (char *c = host; *c != '\0'; c++)
        if (config_check_name((char[]){*c, '\0'}) != NULL)
            *c = '-';
    return strdup(host[0] != '\0' ? host : "dormouse");
}

/* "dormouse-NAME-123abc". The machine id itself must not be shown to others (machine-id(5)), so
 * that the digits are of its FNV-1a hash. */
char *
config_default_client_id(const char *name)
{
    char machine[64] = "", *id = NULL;
    bool others;
    FILE *file = config_open_file("/etc/machine-id", &others);
    if (file != NULL) {
        if (fgets(machine, sizeof(machine), file) == NULL)
            machine[0] = '\0';
        fclose(file);
    }
    size_t len = strcspn(machine, "\n");
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)machine[i]) * 0x100000001b3u;
    int written = len == 0 ? asprintf(&id, "dormouse-%s", name)
                           : asprintf(&id, "dormouse-%s-%06x", name, (unsigned)(hash >> 40));
    return written < 0 ? NULL : id;
}

char *
config_default_status_topics(const char *name)
{
    char *topics = NULL;
    return asprintf(&topics, "dormouse/%s", name) < 0 ? NULL : topics;
}
