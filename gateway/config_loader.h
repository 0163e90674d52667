/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration while it is read: where the reader stands, what was said about it, and the checks
 * that need more than one line. Private to config*.c. */
#ifndef DORMOUSE_CONFIG_LOADER_H
#define DORMOUSE_CONFIG_LOADER_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "config_keys.h"
#include "config_reader.h"
#include "tls.h"

#define CONFIG_LINKS_MAX 255             /* the number of a link is one octet of an address */
#define CONFIG_CLIENTS_MAX 10000         /* every header is compared with all before it */
#define CONFIG_LIST_MAX CONFIG_RULES_MAX /* every pair is compared */
#define CONFIG_REASON_SIZE 256

struct config_loader {
    struct config *config;
    config_report *report;
    void *report_ctx;
    enum dm_result result;       /* the first that is not DM_OK */
    struct config_strings files; /* places point to these texts */
    /* The section being read. */
    bool before_sections; /* none in this file yet */
    enum config_section section;
    char section_text[64]; /* "udp lan"; empty: its keys are skipped */
    size_t index;          /* of the link or client, in a section that has a name */
    void *given;           /* tsearch tree: the single keys given, each per file and section */
    struct config_place link_places[CONFIG_LINKS_MAX];
    struct client_places {
        struct config_place links, address, hold, will, username, password, password_file;
    } * client_places; /* as many as there are clients */
    struct config_place rule_places[CONFIG_LIST_MAX];
    struct config_place password, password_file, standby_for, http, token_file, url, hold,
        will; /* the last */
    struct config_place tls_files[3]; /* by enum tls_file */
    /* file NULL: not given */
};

void config_loader_note(struct config_loader *loader, enum dm_result result);
/* `where` is "[section] key", or NULL if the reason says it. */
void config_loader_report(struct config_loader *loader, bool warning,
                          const struct config_place *place, const char *where, const char *reason);
/* For a key of the section being read. */
void config_loader_report_key(struct config_loader *loader, bool warning,
                              const struct config_place *place, const char *key,
                              const char *reason);

/* Enters the section of a header, and makes its link or client if it is new; as on_section of
 * struct config_reader_events. */
void config_loader_enter(struct config_loader *loader, const struct config_place *place,
                         const char *header);
/* What the keys of the section being read are members of. */
void *config_loader_object(struct config_loader *loader);
enum config_section config_link_section(const struct config_link *link);

/* When all is read: fills the lists that nobody set, and reports what does not go together. */
void config_loader_check(struct config_loader *loader, const char *path);

#endif
