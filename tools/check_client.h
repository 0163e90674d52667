/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration means for one client id. */
#ifndef DORMOUSE_TOOLS_CHECK_CLIENT_H
#define DORMOUSE_TOOLS_CHECK_CLIENT_H

#include <stdio.h>

#include <dormouse/span.h>

#include "config.h"
#include "config_keys.h"

/* Prints the section that it gets and what follows from it. False: it would be refused. */
bool check_client_print(const struct config *config, const char *client_id, FILE *out);
/* The same as one JSON object. */
bool check_client_print_json(const struct config *config, const char *client_id, FILE *out);

/* ---- what both print; `section` NULL: none ---- */

/* The section that counts. */
const struct config_client *check_client_section(const struct config *config, struct dm_span id);
/* NULL, or why its CONNECT is refused wherever it comes from. */
const char *check_client_refusal(const struct config *config, const struct config_client *section,
                                 struct dm_span id);
/* Whether it has a connection to the broker of its own, and with which login. */
bool check_client_is_own(const struct config *config, const struct config_client *section);
const char *check_client_username(const struct config *config, const struct config_client *section);
bool check_client_has_password(const struct config *config, const struct config_client *section);
/* As it would be written in a configuration. */
void check_client_value(const struct config_key *key, const void *member, FILE *out);

/* Pre-defined ids. `link`: where alone; empty: of [topics]; NULL: of its section. */
typedef void check_client_topic(void *ctx, uint16_t id, struct dm_span name, const char *link);
void check_client_each_topic(const struct config *config, const struct config_client *section,
                             struct dm_span id, check_client_topic *visit, void *ctx);
/* Examples of names of the device and of the broker, which may have none. */
typedef void check_client_name(void *ctx, struct dm_span device, struct dm_span broker);
void check_client_each_name(const struct config *config, const struct config_client *section,
                            struct dm_span id, check_client_name *visit, void *ctx);

#endif
