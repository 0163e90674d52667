/* SPDX-License-Identifier: Apache-2.0 */
/* Names and payloads of the status topics. All texts are for free(); NULL: no memory. */
#ifndef DORMOUSE_STATUS_TEXT_H
#define DORMOUSE_STATUS_TEXT_H

#include "control.h"
#include "status_topics.h"

/* a and b and c. */
char *status_join(const char *a, const char *b, const char *c);
/* PREFIX with "clients/" and the id, percent-encoded but for A-Z a-z 0-9 - . _ ~ behind it. */
char *status_client_topic(const char *prefix, struct dm_span client_id);
/* The id behind the last "/" of such a topic; DM_MALFORMED. `id` has room for the topic. */
enum dm_result status_client_id(struct dm_span topic, uint8_t *id, size_t *len);
/* Of the gateway if the id is empty. */
char *status_discovery_topic(const struct status_topics_options *options, const char *name,
                             struct dm_span client_id);

/* Times since 1970, 0: not known. */
char *status_gateway_text(const struct control_source *source, uint64_t started_ms);
char *status_client_text(const struct control_source *source, const struct engine_change *change,
                         uint64_t wall_ms);
/* last_contact of such a text, in ms since 1970; 0: there is none. */
uint64_t status_text_contact(struct dm_span text);
char *status_discovery_text(const struct status_topics_options *options, const char *name,
                            struct dm_span client_id);

#endif
