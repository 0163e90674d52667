/* SPDX-License-Identifier: Apache-2.0 */
/* From the configuration to what engine, transports, upstream and store take. */
#ifndef DORMOUSE_APP_OPTIONS_H
#define DORMOUSE_APP_OPTIONS_H

#include <dormouse/transport.h>

#include "config.h"
#include "engine.h"
#include "upstream.h"

/* Everything in it borrows the configuration, but links, clients, topics and the texts. */
struct app_options {
    struct engine_options engine;
    struct engine_link *links;
    struct engine_client *clients;
    struct dm_address *addresses; /* of clients: filled in when the links are open */
    struct topic_rule *rules;
    char *status_topics; /* "dormouse/NAME/", or empty */
    char *status_topic;  /* "dormouse/NAME/status" */
    char *home_assistant; /* "homeassistant/", or empty */
    char *broker_keys[UPSTREAM_URLS_MAX];
};

enum dm_result app_options_init(struct app_options *options, const struct config *config);
void app_options_fini(struct app_options *options);

/* Opens the link's transport; NULL with the reason in error[]. */
struct transport *app_open_link(struct event_base *base, const struct config_link *link,
                                uint8_t index, const struct transport_listener *listener,
                                char *error, size_t error_size);

struct upstream_options app_upstream_options(const struct app_options *options,
                                             const struct config *config);

#endif
