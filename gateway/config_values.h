/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration: text to number, and the forms a text can be required to have. */
#ifndef DORMOUSE_CONFIG_VALUES_H
#define DORMOUSE_CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config_keys.h"

/* What a value says; the key's type decides which member counts. For texts: none of them. */
struct config_value {
    uint64_t number; /* INTEGER, SIZE, DURATION; BOOLEAN, FIRST_CHOICE: 0 or 1; TOPIC: the id */
    double decimal;
};

/* `name` is the key as the file has it. False: not acceptable, and reason[] says why; the text of a
 * password never stands in it. */
bool config_value_parse(const struct config_key *key, const char *name, const char *text,
                        struct config_value *value, char *reason, size_t size);

config_check config_check_text;          /* valid UTF-8 */
config_check config_check_topic;         /* topic name: UTF-8, no wildcard, not empty */
config_check config_check_client_topic;  /* topic name, perhaps with %c for a client id */
config_check config_check_prefix;        /* topic name, perhaps with %c, that ends in / */
config_check config_check_rule;          /* of [map]: FILTER -> TOPIC */
config_check config_check_client_filter; /* topic filter, perhaps with %c */
config_check config_check_address;       /* of a device: udp:LINK:... or serial:LINK:... */
config_check config_check_pattern;       /* of client ids: UTF-8 without control characters */
config_check config_check_name;          /* [A-Za-z0-9_.-]{1,32}: part of addresses and topics */
config_check config_check_path;          /* absolute */
config_check config_check_socket;        /* absolute, short enough for a Unix socket */
config_check config_check_url;           /* mqtt://HOST[:PORT], mqtts://..., mqtt+unix:///PATH */
config_check config_check_endpoint;      /* numeric ADDRESS:PORT or [ADDRESS]:PORT */
config_check config_check_group;         /* the same, of a multicast group; not port 0 */
config_check config_check_interface; /* what the kernel takes as a name of a network interface */
config_check config_check_forwarder; /* numeric address or "*" */
config_check config_check_key;       /* 32 hexadecimal digits */
config_check config_check_hex;       /* octets in hexadecimal */

#endif
