/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small blocks of memory for one thread: no octets of overhead for each, as malloc has, and what is
 * not needed any more goes back to the system. Aligned for pointers and 64-bit integers.
 */
#ifndef DORMOUSE_POOL_H
#define DORMOUSE_POOL_H

#include <stdbool.h>
#include <stddef.h>

enum {
    POOL_STEP = 8,         /* sizes are rounded up to that */
    POOL_BLOCK_MAX = 1024, /* octets; larger ones are malloc's */
};

struct pool {
    struct slab *slabs[POOL_BLOCK_MAX / POOL_STEP + 1]; /* that have room, by size */
    struct slab *spares;                                /* empty ones */
    size_t spare_count;
    size_t slab_octets;
    bool plain; /* each block is malloc's, so that sanitizers see what becomes of it */
};

/* Of a struct that ends with an array. */
static inline size_t
pool_octets(size_t size_of_struct, size_t offset_of_array, size_t array_octets)
{
    size_t octets = offset_of_array + array_octets;

    return octets > size_of_struct ? octets : size_of_struct;
}

void pool_init(struct pool *pool, bool plain);
/* What a build with sanitizers wants. */
bool pool_is_plain_here(void);
/* What a plain pool takes more for each block: its size, which is checked when it is given back. */
#define POOL_PLAIN_OCTETS 16
/* Every block has been given back. */
void pool_fini(struct pool *pool);

/* All zero. NULL: no memory. */
void *pool_get(struct pool *pool, size_t size);
/* With the size it was asked for with. Nothing happens with NULL. */
void pool_put(struct pool *pool, void *block, size_t size);
/* Moves the content; what is new is zero. NULL: no memory, and the block stays as it was. */
void *pool_resize(struct pool *pool, void *block, size_t size, size_t new_size);

#endif
