/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of the nodes of a serial line: their octets in a dm_address, and their texts. A node is
 * the one that speaks bare on the line, or one that a node id of forwarder encapsulation names.
 */
#ifndef DORMOUSE_SERIAL_ADDRESS_H
#define DORMOUSE_SERIAL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include <dormouse/address.h>
#include <dormouse/span.h>

#include "node_id.h"

/* These write octets and len. The link is the caller's. */
void serial_address_bare(struct dm_address *address);
/* At most MQTTSN_NODE_ID_MAX octets; an empty node id is another node than the bare one. */
void serial_address_node(struct dm_span node_id, struct dm_address *address);

/* True with the node id, which borrows `address`, if the node is named by one. */
bool serial_address_is_node(const struct dm_address *address, struct dm_span *node_id);

/* An empty node id: all nodes of a forwarder, or of a framing with addresses. */
bool serial_address_is_broadcast(const struct dm_address *address);

/* "" for the bare node, "01ab", "/" for an empty node id. */
void serial_address_text(const struct dm_address *address, char text[NODE_ID_TEXT_MAX]);
/* Accepts exactly what serial_address_text writes. */
bool serial_address_parse(const char *text, struct dm_address *address);

#endif
