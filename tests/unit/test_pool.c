/* SPDX-License-Identifier: Apache-2.0 */
/* Small blocks: each is its owner's alone, and empty slabs go back to the system. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "counted_memory.h"
#include "pool.h"
#include "random.h"

enum { BLOCKS = 3000, STEPS = 60000, SPARES = 4 };

struct block {
    unsigned char *octets;
    size_t size;
    unsigned char mark;
};

static bool
is_all(const struct block *b, size_t len, unsigned char mark)
{
    for (size_t i = 0; i < len; i++)
        if (b->octets[i] != mark)
            return false;
    return true;
}

static size_t
random_size(struct random_source *source)
{
    return 1 + random_below(source, random_below(source, 50) == 0 ? 3000 : 300);
}

static void
take(struct pool *pool, struct block *b, size_t size, unsigned char mark)
{
    *b = (struct block){.octets = pool_get(pool, size), .size = size, .mark = mark};
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->octets);
    CU_ASSERT_EQUAL((uintptr_t)b->octets % POOL_STEP, 0);
    CU_ASSERT_TRUE(is_all(b, size, 0));
    memset(b->octets, mark, size);
}

static void
resize(struct pool *pool, struct block *b, size_t size)
{
    struct block moved = {.octets = pool_resize(pool, b->octets, b->size, size), .size = size};

    CU_ASSERT_PTR_NOT_NULL_FATAL(moved.octets);
    CU_ASSERT_TRUE(is_all(&moved, size < b->size ? size : b->size, b->mark));
    for (size_t i = b->size; i < size; i++)
        CU_ASSERT_EQUAL(moved.octets[i], 0);
    memset(moved.octets, b->mark, size);
    moved.mark = b->mark;
    *b = moved;
}

static void
give_back(struct pool *pool, struct block *b)
{
    CU_ASSERT_TRUE(is_all(b, b->size, b->mark));
    pool_put(pool, b->octets, b->size);
    b->octets = NULL;
}

static void
blocks_of_any_size_do_not_touch_each_other(void)
{
    static struct block blocks[BLOCKS];
    struct random_source source = random_start("pool", 1);
    struct pool pool;

    pool_init(&pool, false);
    for (unsigned i = 0; i < STEPS; i++) {
        struct block *b = &blocks[random_below(&source, BLOCKS)];

        if (b->octets == NULL)
            take(&pool, b, random_size(&source), (unsigned char)(1 + i % 255));
        else if (random_below(&source, 4) == 0)
            resize(&pool, b, random_size(&source));
        else
            give_back(&pool, b);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        if (blocks[i].octets != NULL)
            give_back(&pool, &blocks[i]);
    pool_put(&pool, NULL, 8);
    CU_ASSERT_TRUE(counted_memory.mapped <= SPARES * pool.slab_octets);
    pool_fini(&pool);
    CU_ASSERT_EQUAL(counted_memory.mapped, 0);
}

static void
blocks_cost_little_more_than_their_octets(void)
{
    static void *blocks[100000];
    struct pool pool;

    pool_init(&pool, false);
    for (size_t i = 0; i < 100000; i++)
        blocks[i] = pool_get(&pool, 52);
    CU_ASSERT_TRUE(counted_memory.mapped >= 100000 * 52);
    CU_ASSERT_TRUE(counted_memory.mapped < 100000 * 57);
    for (size_t i = 0; i < 100000; i++)
        pool_put(&pool, blocks[i], 52);
    CU_ASSERT_TRUE(counted_memory.mapped <= SPARES * pool.slab_octets);
    pool_fini(&pool);
}

static void
block_that_comes_and_goes_maps_no_memory_again(void)
{
    struct pool pool;

    pool_init(&pool, false);
    void *first = pool_get(&pool, 40);

    pool_put(&pool, first, 40);
    size_t mapped = counted_memory.mapped;
    void *again = pool_get(&pool, 100);

    CU_ASSERT_EQUAL(counted_memory.mapped, mapped);
    pool_put(&pool, again, 100);
    pool_fini(&pool);
}

static void
plain_blocks_are_mallocs(void)
{
    struct pool pool;

    pool_init(&pool, true);
    size_t before = counted_memory.octets;
    void *block = pool_get(&pool, 24);

    CU_ASSERT_TRUE(counted_memory.octets >= before + 24);
    block = pool_resize(&pool, block, 24, 48);
    CU_ASSERT_TRUE(counted_memory.octets >= before + 48);
    pool_put(&pool, block, 48);
    CU_ASSERT_EQUAL(counted_memory.octets, before);
    CU_ASSERT_EQUAL(counted_memory.mapped, 0);
    pool_fini(&pool);
}

static const struct unit_test tests[] = {
    UNIT_TEST(blocks_of_any_size_do_not_touch_each_other),
    UNIT_TEST(blocks_cost_little_more_than_their_octets),
    UNIT_TEST(block_that_comes_and_goes_maps_no_memory_again),
    UNIT_TEST(plain_blocks_are_mallocs),
};

UNIT_MAIN("pool", tests)
