/* SPDX-License-Identifier: Apache-2.0 */
/* Who the gateway is if the configuration does not say. */
#ifndef DORMOUSE_CONFIG_IDENTITY_H
#define DORMOUSE_CONFIG_IDENTITY_H

/* All return a new string, or NULL: out of memory. */

/* The host name without its domain, as far as it is a name (config_check_name). */
char *config_default_name(void);
/* "dormouse-NAME-123abc"; without the digits if the machine has no id. */
char *config_default_client_id(const char *name);
/* "dormouse/NAME" */
char *config_default_status_topics(const char *name);

#endif
