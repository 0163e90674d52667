/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes that were heard on a port, how well, and not more of them than allowed. */
#ifndef DORMOUSE_SERIAL_NODES_H
#define DORMOUSE_SERIAL_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/transport.h>

/* One that was silent for this long makes room for another. */
#define SERIAL_NODE_SILENT_MS UINT64_C(3600000)

/* Caller's storage. */
struct serial_nodes {
    struct transport_node *nodes;
    size_t count, room, max;
};

void serial_nodes_init(struct serial_nodes *nodes, size_t max);
void serial_nodes_fini(struct serial_nodes *nodes);
/* The node spoke. NULL: there are too many, or no memory. Valid until the next call. */
struct transport_node *serial_nodes_heard(struct serial_nodes *nodes,
                                          const struct dm_address *address, uint64_t now_ms);
/* NULL: it was not heard. */
struct transport_node *serial_nodes_find(const struct serial_nodes *nodes,
                                         const struct dm_address *address);

#endif
