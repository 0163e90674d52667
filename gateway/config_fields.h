/* SPDX-License-Identifier: Apache-2.0 */
/* Members of struct config and struct config_link, written and released as the table of keys says.
 */
#ifndef DORMOUSE_CONFIG_FIELDS_H
#define DORMOUSE_CONFIG_FIELDS_H

#include <dormouse/result.h>

#include "config.h"
#include "config_keys.h"
#include "config_values.h"

/* object: the struct config, the struct config_link for SECTION_UDP and SECTION_SERIAL, or the
 * struct config_client for SECTION_CLIENT. Only keys with a member may be given. Each function may
 * return DM_NO_MEMORY. */

/* Lists and topics grow, everything else is replaced; a topic id known already gets the new name.
 */
enum dm_result config_field_set(const struct config_key *key, void *object, const char *text,
                                const struct config_value *value);
/* Items of a CONFIG_LIST. */
size_t config_field_count(const struct config_key *key, void *object);
bool config_field_equal(const struct config_key *key, const void *a, const void *b);
/* Of a text: not set. */
void config_field_clear(const struct config_key *key, void *object);

/* Defaults of a section; lists stay empty. */
enum dm_result config_fields_default(enum config_section section, void *object);
/* Defaults of the lists that are still empty. */
enum dm_result config_fields_complete(enum config_section section, void *object);
/* The section sets this key of [sessions] itself. */
void config_field_own(const struct config_key *key, struct config_client *client);
bool config_field_is_own(const struct config_key *key, const struct config_client *client);
/* Copies the keys of [sessions] that the section does not set. */
enum dm_result config_fields_inherit(struct config_client *client, const struct config *config);
void config_fields_free(enum config_section section, void *object);

#endif
