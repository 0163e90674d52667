/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a serial line to address octets, to text, and back. */
#include "serial_address.h"

#include <stdio.h>
#include <string.h>

/* First octet of an address; a node id follows ADDRESS_NODE. */
#define ADDRESS_BARE 0
#define ADDRESS_NODE 1

void
serial_address_bare(struct dm_address *address)
{
    address->octets[0] = ADDRESS_BARE;
    address->len = 1;
}

void
serial_address_node(struct dm_span node_id, struct dm_address *address)
{
    address->octets[0] = ADDRESS_NODE;
    if (node_id.len > 0)
        memcpy(address->octets + 1, node_id.data, node_id.len);
    address->len = (uint8_t)(1 + node_id.len);
}

bool
serial_address_is_node(const struct dm_address *address, struct dm_span *node_id)
{
    if (address->len == 0 || address->octets[0] != ADDRESS_NODE)
        return false;
    *node_id = dm_span(address->octets + 1, address->len - 1u);
    return true;
}

bool
serial_address_is_broadcast(const struct dm_address *address)
{
    return address->len == 1 && address->octets[0] == ADDRESS_NODE;
}

void
serial_address_text(const struct dm_address *address, char text[NODE_ID_TEXT_MAX])
{
    struct dm_span node_id;

    text[0] = '\0';
    if (!serial_address_is_node(address, &node_id) || node_id.len > MQTTSN_NODE_ID_MAX)
        return;
    if (node_id.len > 0)
        node_id_text(node_id, text);
    else
        snprintf(text, NODE_ID_TEXT_MAX, "/");
}

bool
serial_address_parse(const char *text, struct dm_address *address)
{
    uint8_t node_id[MQTTSN_NODE_ID_MAX];
    size_t len = 0;

    if (text[0] == '\0') {
        serial_address_bare(address);
        return true;
    }
    if (strcmp(text, "/") != 0 && !node_id_parse(text, node_id, &len))
        return false;
    serial_address_node(dm_span(node_id, len), address);
    return true;
}
