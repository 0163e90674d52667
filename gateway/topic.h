/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT topic names and filters: validity and matching (MQTT 5 section 4.7). Pure. */
#ifndef DORMOUSE_TOPIC_H
#define DORMOUSE_TOPIC_H

#include <stdbool.h>

#include <dormouse/span.h>

#define TOPIC_LEN_MAX 65535u  /* octets */
#define TOPIC_LEVELS_MAX 128u /* of a harmless name, so that a prefix has room too */

/* Valid UTF-8 without U+0000. The empty text is valid. */
bool topic_text_is_valid(struct dm_span text);
/* A name to publish to: 1..65535 octets, valid text, no wildcard (R55). */
bool topic_name_is_valid(struct dm_span name);
/*
 * Brokers may close the connection, which all devices share, over control characters and
 * noncharacters (MQTT 5 section 1.5.4) or very deep names (Mosquitto: more than 200 levels), and
 * over a filter that is only "$share". True if the name or filter has none of these.
 */
bool topic_is_harmless(struct dm_span text);
/* A filter to subscribe to: + and # only where they may stand (R71). */
bool topic_filter_is_valid(struct dm_span filter);
bool topic_has_wildcard(struct dm_span filter);
/* The levels of a name or filter, cut off one by one. */
struct topic_levels {
    struct dm_span rest; /* data NULL: none */
    bool more;           /* there is another, perhaps empty */
};
struct topic_levels topic_levels(struct dm_span text);
/* False: there is none left. */
bool topic_next_level(struct topic_levels *levels, struct dm_span *level);
/*
 * Of two filters, both valid. Covers: whatever `narrow` matches, `wide` matches too. Overlap: there
 * may be a name that both match.
 */
bool topic_filter_covers(struct dm_span wide, struct dm_span narrow);
bool topic_filters_overlap(struct dm_span a, struct dm_span b);
/* Whether a section of the configuration is for this client: a client id with +, # or / in it would
 * change the levels of a topic and never matches a section that uses "%c" (design 9). */
bool topic_section_matches(const char *pattern, bool uses_client_id, struct dm_span client_id);
/* Client id patterns: "*" is any run of octets, "?" any one. */
bool topic_pattern_matches(struct dm_span pattern, struct dm_span text);
/* Both valid. A filter that starts with a wildcard matches no name that starts with $. */
bool topic_matches(struct dm_span filter, struct dm_span name);

#endif
