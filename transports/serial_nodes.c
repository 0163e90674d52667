/* SPDX-License-Identifier: Apache-2.0 */
/* A table: a line has few nodes. */
#include "serial_nodes.h"

#include <stdlib.h>

enum { ROOM_MIN = 4 };

void
serial_nodes_init(struct serial_nodes *nodes, size_t max)
{
    *nodes = (struct serial_nodes){.max = max};
}

void
serial_nodes_fini(struct serial_nodes *nodes)
{
    free(nodes->nodes);
    *nodes = (struct serial_nodes){0};
}

struct transport_node *
serial_nodes_find(const struct serial_nodes *nodes, const struct dm_address *address)
{
    for (size_t i = 0; i < nodes->count; i++)
        if (dm_address_equal(&nodes->nodes[i].address, address))
            return &nodes->nodes[i];
    return NULL;
}

/* The one that was silent longest, if that is long enough. */
static struct transport_node *
silent_node(struct serial_nodes *nodes, uint64_t now_ms)
{
    struct transport_node *oldest = NULL;

    for (size_t i = 0; i < nodes->count; i++)
        if (oldest == NULL || nodes->nodes[i].heard_ms < oldest->heard_ms)
            oldest = &nodes->nodes[i];
    return oldest != NULL && now_ms - oldest->heard_ms >= SERIAL_NODE_SILENT_MS ? oldest : NULL;
}

static struct transport_node *
new_node(struct serial_nodes *nodes, uint64_t now_ms)
{
    if (nodes->count == nodes->max)
        return silent_node(nodes, now_ms);
    if (nodes->count == nodes->room) {
        size_t room = nodes->room == 0 ? ROOM_MIN : 2 * nodes->room;
        struct transport_node *grown = realloc(nodes->nodes, room * sizeof *grown);

        if (grown == NULL)
            return NULL;
        nodes->nodes = grown;
        nodes->room = room;
    }
    return &nodes->nodes[nodes->count++];
}

struct transport_node *
serial_nodes_heard(struct serial_nodes *nodes, const struct dm_address *address, uint64_t now_ms)
{
    struct transport_node *node = serial_nodes_find(nodes, address);

    if (node == NULL) {
        node = new_node(nodes, now_ms);
        if (node == NULL)
            return NULL;
        *node = (struct transport_node){.address = *address};
    }
    node->heard_ms = now_ms;
    node->messages++;
    return node;
}
