/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of an Eclipse Paho MQTT-SN gateway: gateway.conf and the lists it needs. */
#ifndef DORMOUSE_TOOLS_PAHO_CONFIG_H
#define DORMOUSE_TOOLS_PAHO_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include <dormouse/result.h>

#include "paho_file.h"
#include "paho_keys.h"

enum paho_role { PAHO_ROLE_DEVICE, PAHO_ROLE_QOS_MINUS_ONE, PAHO_ROLE_FORWARDER };

/* A line of a list of clients. */
struct paho_client {
    const struct paho_file *file;
    const struct paho_line *line; /* its key is the client id */
    enum paho_role role;
    bool secure;
    bool again;    /* a line before it has the same client id */
    char *address; /* owned; without the options behind it */
};

/* What a line of the list of pre-defined topics is for. */
enum paho_place {
    PAHO_PLACE_ALL,   /* every client */
    PAHO_PLACE_LINK,  /* a QoS -1 sender, whom Dormouse knows by its link only */
    PAHO_PLACE_CLIENT /* one client */
};

struct paho_topic {
    const struct paho_line *line; /* its key is the client id */
    enum paho_place place;
    unsigned long id; /* 0: none can be read */
};

enum paho_list {
    PAHO_LIST_CLIENTS,
    PAHO_LIST_QOS_MINUS_ONE,
    PAHO_LIST_FORWARDERS,
    PAHO_LIST_COUNT
};

struct paho_config {
    struct paho_file gateway;
    struct paho_file lists[PAHO_LIST_COUNT];
    struct paho_file topics;
    const struct paho_line *settings[PAHO_KEY_COUNT]; /* the first line counts; NULL: none */
    struct paho_client *clients;                      /* of all lists */
    size_t client_count;
    struct paho_topic *predefined; /* the lines of `topics` that can be read */
    size_t predefined_count;
};

/* Reads gateway.conf and the lists that its switches ask for, from where it says or from beside it.
 * DM_IO: a file cannot be read; `reason` has "path: why". DM_NO_MEMORY. Release with
 * paho_config_free, whatever the result is. */
enum dm_result paho_config_load(const char *path, struct paho_config *config, char *reason,
                                size_t size);
/* The same for files that were parsed already, without any of its own. */
enum dm_result paho_config_complete(struct paho_config *config);
void paho_config_free(struct paho_config *config);

/* NULL: not set, or to nothing. */
const char *paho_config_text(const struct paho_config *config, enum paho_key key);
/* Whether a switch says YES, in any case, as that gateway compares it. */
bool paho_config_is_on(const struct paho_config *config, enum paho_key key);

#endif
