/* SPDX-License-Identifier: Apache-2.0 */
/* A slab holds blocks of one size. It begins at a multiple of its size, so a block's address tells
 * where its slab is; pages of it that were never used cost nothing. */
#include "pool.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utlist.h>

enum {
    SLAB_OCTETS = 16384, /* or a page, if that is more */
    SPARES_MAX = 4,      /* so that a block that comes and goes costs no system call */
};

/* Before each block of a plain pool. */
union plain_block {
    size_t size;
    uint8_t octets[POOL_PLAIN_OCTETS];
};

struct free_block {
    struct free_block *next;
};

struct slab {
    struct slab *prev, *next; /* of the same size with room */
    struct free_block *freed;
    uint32_t size; /* of a block */
    uint32_t used; /* blocks */
    uint32_t end;  /* offset of what was never used */
};

_Static_assert(sizeof(struct slab) % POOL_STEP == 0, "blocks follow it");

void
pool_init(struct pool *pool, bool plain)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    *pool = (struct pool){.slab_octets = page > SLAB_OCTETS ? page : SLAB_OCTETS, .plain = plain};
}

#if defined __SANITIZE_ADDRESS__
#define IS_PLAIN true
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define IS_PLAIN true
#endif
#endif
#ifndef IS_PLAIN
#define IS_PLAIN false
#endif

bool
pool_is_plain_here(void)
{
    return IS_PLAIN;
}

/* ---- slabs ---- */

static void *
map(size_t octets)
{
    void *start = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return start != MAP_FAILED ? start : NULL;
}

static struct slab *
map_slab(size_t octets)
{
    uint8_t *start = map(octets); /* mostly beside the one before, and so where it should be */

    if (start == NULL || (uintptr_t)start % octets == 0)
        return (struct slab *)(void *)start;
    munmap(start, octets);
    start = map(2 * octets);
    if (start == NULL)
        return NULL;
    size_t before = octets - (uintptr_t)start % octets;

    if (before < octets)
        munmap(start, before);
    else
        before = 0;
    munmap(start + before + octets, octets - before);
    return (struct slab *)(void *)(start + before);
}

/* Those that were full come first: so others may become empty. */
static void
list_slab(struct pool *pool, struct slab *slab)
{
    struct slab **first = &pool->slabs[slab->size / POOL_STEP];

    slab->prev = NULL;
    slab->next = *first;
    if (*first != NULL)
        (*first)->prev = slab;
    *first = slab;
}

static void
unlist_slab(struct pool *pool, struct slab *slab)
{
    if (slab->prev != NULL)
        slab->prev->next = slab->next;
    else
        pool->slabs[slab->size / POOL_STEP] = slab->next;
    if (slab->next != NULL)
        slab->next->prev = slab->prev;
}

static struct slab *
slab_new(struct pool *pool, size_t size)
{
    struct slab *slab = pool->spares;

    if (slab != NULL) {
        LL_DELETE(pool->spares, slab);
        pool->spare_count--;
    } else {
        slab = map_slab(pool->slab_octets);
    }
    if (slab == NULL)
        return NULL;
    *slab = (struct slab){.size = (uint32_t)size, .end = sizeof *slab};
    list_slab(pool, slab);
    return slab;
}

static void
slab_free(struct pool *pool, struct slab *slab)
{
    if (pool->spare_count < SPARES_MAX) {
        LL_PREPEND(pool->spares, slab);
        pool->spare_count++;
    } else {
        munmap(slab, pool->slab_octets);
    }
}

static bool
slab_has_room(const struct pool *pool, const struct slab *slab)
{
    return slab->freed != NULL || slab->end + slab->size <= pool->slab_octets;
}

void
pool_fini(struct pool *pool)
{
    struct slab *slab;

    for (size_t i = 0; i < sizeof pool->slabs / sizeof pool->slabs[0]; i++)
        assert(pool->slabs[i] == NULL);
    while ((slab = pool->spares) != NULL) {
        LL_DELETE(pool->spares, slab);
        munmap(slab, pool->slab_octets);
    }
    pool->spare_count = 0;
}

/* ---- blocks ---- */

static size_t
round_up(size_t size)
{
    return size == 0 ? POOL_STEP : (size + POOL_STEP - 1) / POOL_STEP * POOL_STEP;
}

/* Of malloc. A plain pool remembers the size, so that it is seen where slabs do not check it. */
static void *
malloc_block(const struct pool *pool, size_t size)
{
    if (!pool->plain)
        return calloc(1, size);
    union plain_block *block = calloc(1, sizeof *block + size);

    if (block == NULL)
        return NULL;
    block->size = size;
    return block + 1;
}

static void
free_block(const struct pool *pool, void *start, size_t size)
{
    union plain_block *block = start;

    if (pool->plain && block != NULL && (--block)->size != size)
        abort();
    free(block);
}

void *
pool_get(struct pool *pool, size_t size)
{
    if (pool->plain || size > POOL_BLOCK_MAX)
        return malloc_block(pool, size);
    size = round_up(size);
    struct slab *slab = pool->slabs[size / POOL_STEP];
    void *block;

    if (slab == NULL && (slab = slab_new(pool, size)) == NULL)
        return NULL;
    if (slab->freed != NULL) {
        block = slab->freed;
        slab->freed = slab->freed->next;
    } else {
        block = (uint8_t *)slab + slab->end;
        slab->end += slab->size;
    }
    slab->used++;
    if (!slab_has_room(pool, slab))
        unlist_slab(pool, slab);
    return memset(block, 0, size);
}

void
pool_put(struct pool *pool, void *block, size_t size)
{
    if (pool->plain || size > POOL_BLOCK_MAX) {
        free_block(pool, block, size);
        return;
    }
    if (block == NULL)
        return;
    struct slab *slab = (struct slab *)((uintptr_t)block & ~(uintptr_t)(pool->slab_octets - 1));
    struct free_block *freed = block;
    bool was_full = !slab_has_room(pool, slab);

    assert(slab->size == round_up(size) && slab->used > 0);
    freed->next = slab->freed;
    slab->freed = freed;
    slab->used--;
    if (was_full)
        list_slab(pool, slab);
    if (slab->used == 0) {
        unlist_slab(pool, slab);
        slab_free(pool, slab);
    }
}

void *
pool_resize(struct pool *pool, void *block, size_t size, size_t new_size)
{
    void *moved = pool_get(pool, new_size);

    if (moved == NULL)
        return NULL;
    if (block != NULL)
        memcpy(moved, block, size < new_size ? size : new_size);
    pool_put(pool, block, size);
    return moved;
}
