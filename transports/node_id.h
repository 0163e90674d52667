/* SPDX-License-Identifier: Apache-2.0 */
/* Node ids and radius of forwarder encapsulation (0xFE), shared by the transports. */
#ifndef DORMOUSE_NODE_ID_H
#define DORMOUSE_NODE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/mqttsn.h>
#include <dormouse/span.h>

/* Octets that an encapsulation adds at most: Length, MsgType, Ctrl and the node id (R111). */
#define NODE_ID_OVERHEAD (3u + MQTTSN_NODE_ID_MAX)
/* Text form, terminator included. */
#define NODE_ID_TEXT_MAX (2u * MQTTSN_NODE_ID_MAX + 1u)

/* A radius as the two bits of Ctrl that carry it: at most 3, and 0 for the whole network (R112). */
uint8_t node_id_radius(uint8_t radius);

/* Lower-case hex, two digits an octet; nothing for an empty id. At most MQTTSN_NODE_ID_MAX octets.
 */
void node_id_text(struct dm_span node_id, char text[NODE_ID_TEXT_MAX]);

/* The reverse; false for anything that node_id_text does not write. */
bool node_id_parse(const char *text, uint8_t node_id[MQTTSN_NODE_ID_MAX], size_t *len);

#endif
