/* SPDX-License-Identifier: Apache-2.0 */
/* The hash index against a plain array: collisions, growth, shrinking. */
#include "unit.h"

#include "counted_memory.h"
#include "pointer_index.h"
#include "random.h"

enum { ITEMS = 400 };

struct item {
    uint32_t key;
    uint32_t hash;
    bool present; /* what the index should say */
};

static size_t hashed, compared; /* times */

static uint32_t
hash_item(const void *item)
{
    hashed++;
    return ((const struct item *)item)->hash;
}

static bool
equal_item(const void *item, const void *key)
{
    compared++;
    return ((const struct item *)item)->key == *(const uint32_t *)key;
}

/* Few hashes make few buckets with many items. */
static void
make_items(struct item items[ITEMS], struct random_source *source, unsigned hashes)
{
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint32_t hash = hashes == 0 ? (uint32_t)random_next(source) : random_below(source, hashes);

        items[i] = (struct item){.key = i, .hash = i % 3 == 0 ? UINT32_MAX - hash : hash};
    }
}

/* True if the index gives exactly the items that are present. */
static bool
agrees(const struct pointer_index *index, struct item items[ITEMS])
{
    size_t present = 0;

    for (uint32_t i = 0; i < ITEMS; i++) {
        const struct item *found = pointer_index_find(index, items[i].hash, &items[i].key);

        if (found != (items[i].present ? &items[i] : NULL))
            return false;
        present += items[i].present;
    }
    return index->count == present;
}

/* Turns items on and off at random; `bias` of 10 steps insert. */
static void
change(struct pointer_index *index, struct item items[ITEMS], struct random_source *source,
       unsigned steps, unsigned bias)
{
    for (unsigned i = 0; i < steps; i++) {
        struct item *item = &items[random_below(source, ITEMS)];
        bool insert = random_below(source, 10) < bias;

        if (insert && !item->present)
            CU_ASSERT_TRUE_FATAL(pointer_index_insert(index, item));
        if (!insert) /* absent ones too: nothing may happen */
            pointer_index_remove(index, item);
        item->present = insert;
        if (i % 7 == 0 && !agrees(index, items))
            CU_FAIL_FATAL("the index differs from the array");
    }
    CU_ASSERT_TRUE(agrees(index, items));
}

static void
run_against_model(unsigned hashes, uint64_t seed)
{
    struct random_source source = random_start("pointer_index", seed);
    struct pointer_index index;
    static struct item items[ITEMS];

    make_items(items, &source, hashes);
    pointer_index_init(&index, hash_item, equal_item);
    change(&index, items, &source, 2000, 7); /* grows */
    change(&index, items, &source, 2000, 2); /* shrinks to a few in a large table */
    change(&index, items, &source, 2000, 5);
    pointer_index_fini(&index);
    CU_ASSERT_EQUAL(index.count, 0);
}

static void
random_use_agrees_with_an_array_when_hashes_spread(void)
{
    run_against_model(0, 1);
}

static void
random_use_agrees_with_an_array_when_hashes_collide(void)
{
    run_against_model(4, 2);
}

static void
random_use_agrees_with_an_array_when_all_hashes_are_equal(void)
{
    run_against_model(1, 3);
}

static void
empty_index_finds_and_removes_nothing(void)
{
    struct pointer_index index;
    struct item item = {.key = 1};

    pointer_index_init(&index, hash_item, equal_item);
    CU_ASSERT_PTR_NULL(pointer_index_find(&index, 0, &item.key));
    pointer_index_remove(&index, &item);
    CU_ASSERT_EQUAL(index.count, 0);
    pointer_index_fini(&index);
}

static void
removal_of_something_absent_changes_nothing(void)
{
    struct pointer_index index;
    struct item in = {.key = 1, .hash = 5};
    struct item same_key = {.key = 1, .hash = 5}; /* equal, and yet another object */
    struct item same_hash = {.key = 2, .hash = 5};
    struct item other = {.key = 3, .hash = 6};

    pointer_index_init(&index, hash_item, equal_item);
    CU_ASSERT_TRUE(pointer_index_insert(&index, &in));
    pointer_index_remove(&index, &same_key);
    pointer_index_remove(&index, &same_hash);
    pointer_index_remove(&index, &other);
    CU_ASSERT_EQUAL(index.count, 1);
    CU_ASSERT_PTR_EQUAL(pointer_index_find(&index, 5, &in.key), &in);
    pointer_index_remove(&index, &in);
    pointer_index_remove(&index, &in); /* a second time */
    CU_ASSERT_EQUAL(index.count, 0);
    pointer_index_fini(&index);
}

static void
find_wants_the_key(void)
{
    struct pointer_index index;
    struct item item = {.key = 1, .hash = 5};
    uint32_t other = 2;

    pointer_index_init(&index, hash_item, equal_item);
    CU_ASSERT_TRUE(pointer_index_insert(&index, &item));
    CU_ASSERT_PTR_NULL(pointer_index_find(&index, 5, &other));
    CU_ASSERT_PTR_EQUAL(pointer_index_find(&index, 5, &item.key), &item);
    pointer_index_fini(&index);
}

static void
every_item_is_visited_once(void)
{
    struct pointer_index index;
    struct pointer_index_place at = {0};
    static struct item items[ITEMS];
    struct random_source source = {4};
    struct item *item;
    size_t visited = 0;

    make_items(items, &source, 0);
    pointer_index_init(&index, hash_item, equal_item);
    CU_ASSERT_PTR_NULL(pointer_index_next(&index, &at));
    for (size_t i = 0; i < ITEMS; i++)
        CU_ASSERT_TRUE(pointer_index_insert(&index, &items[i]));
    at = (struct pointer_index_place){0};
    while ((item = pointer_index_next(&index, &at)) != NULL) {
        CU_ASSERT_FALSE(item->present);
        item->present = true;
        visited++;
    }
    CU_ASSERT_EQUAL(visited, ITEMS);
    pointer_index_fini(&index);
}

/* Whatever goes meanwhile: others, too, and so many that buckets are joined. */
static void
items_may_be_removed_while_all_are_visited(void)
{
    static struct item items[ITEMS];
    struct random_source source = {7};
    struct pointer_index index;
    struct item *item;

    for (unsigned rest = 1; rest <= 64; rest *= 4) { /* one of so many stays */
        struct pointer_index_place at = {0};
        size_t missed = 0;

        memset(items, 0, sizeof items);
        make_items(items, &source, 0);
        pointer_index_init(&index, hash_item, equal_item);
        for (size_t i = 0; i < ITEMS; i++)
            CU_ASSERT_TRUE(pointer_index_insert(&index, &items[i]));
        /* `present`: visited, or gone before its turn. */
        while ((item = pointer_index_next(&index, &at)) != NULL) {
            item->present = true;
            if (random_below(&source, rest) != 0)
                pointer_index_remove(&index, item);
            for (uint32_t i = random_below(&source, 100) == 0 ? ITEMS / 2 : 0; i > 0; i--) {
                struct item *other = &items[random_below(&source, ITEMS)];

                pointer_index_remove(&index, other);
                other->present = true;
            }
        }
        for (size_t i = 0; i < ITEMS; i++)
            missed += !items[i].present;
        CU_ASSERT_EQUAL(missed, 0);
        pointer_index_fini(&index);
    }
}

/* However many there are, an insertion looks at some dozens of them: nobody waits for it. */
static void
growth_comes_in_small_steps_and_memory_goes_back(void)
{
    enum { MANY = 100000 };
    static struct item items[MANY];
    struct random_source source = {5};
    struct pointer_index index;
    size_t before = counted_memory.octets;

    pointer_index_init(&index, hash_item, equal_item);
    for (uint32_t i = 0; i < MANY; i++) {
        items[i] = (struct item){.key = i, .hash = (uint32_t)random_next(&source)};
        hashed = 0;
        if (!pointer_index_insert(&index, &items[i]) || hashed > 200)
            CU_FAIL_FATAL("an insertion moves too much");
    }
    CU_ASSERT_TRUE(counted_memory.octets - before < (size_t)MANY * 12);
    /* Another item is another cache line. */
    hashed = compared = 0;
    for (uint32_t i = 0; i < MANY; i++)
        CU_ASSERT_PTR_EQUAL(pointer_index_find(&index, items[i].hash, &i), &items[i]);
    CU_ASSERT_EQUAL(hashed, 0);
    CU_ASSERT_TRUE(compared < MANY + MANY / 10);
    for (uint32_t i = 0; i < MANY; i++) {
        hashed = 0;
        pointer_index_remove(&index, &items[i]);
        if (hashed > 1)
            CU_FAIL_FATAL("a removal moves too much");
        if (i == MANY - MANY / 10)
            CU_ASSERT_TRUE(counted_memory.octets - before < MANY / 10 * 40);
    }
    CU_ASSERT_TRUE(counted_memory.octets - before < 400);
    pointer_index_fini(&index);
    CU_ASSERT_EQUAL(counted_memory.octets, before);
}

static void
hash_depends_on_seed_octets_and_length(void)
{
    CU_ASSERT_EQUAL(pointer_index_hash(0, "ab", 2), pointer_index_hash(0, "abc", 2));
    CU_ASSERT_NOT_EQUAL(pointer_index_hash(0, "ab", 2), pointer_index_hash(0, "ac", 2));
    CU_ASSERT_NOT_EQUAL(pointer_index_hash(0, "ab", 2), pointer_index_hash(1, "ab", 2));
    CU_ASSERT_NOT_EQUAL(pointer_index_hash(0, "a\0", 2), pointer_index_hash(0, "a", 1));
    CU_ASSERT_NOT_EQUAL(pointer_index_hash(0, "12345678", 8), pointer_index_hash(0, "12345679", 8));
    CU_ASSERT_NOT_EQUAL(pointer_index_hash(0, "12345678a", 9),
                        pointer_index_hash(0, "12345678b", 9));
    CU_ASSERT_EQUAL(pointer_index_hash(7, NULL, 0), pointer_index_hash(7, "x", 0));
    for (unsigned bit = 0; bit < 64; bit++)
        CU_ASSERT_NOT_EQUAL(pointer_index_hash_number(UINT64_C(1) << bit),
                            pointer_index_hash_number(0));
}

/* Numbers that count up, in their octets or as text, go everywhere. */
static void
hashes_of_neighbours_spread(void)
{
    enum { MANY = 65536, PLACES = 256, KINDS = 3 };
    unsigned low[KINDS][PLACES] = {{0}}, high[KINDS][PLACES] = {{0}};

    for (uint64_t i = 0; i < MANY; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "device-%06llu", (unsigned long long)i);
        uint32_t hashes[KINDS] = {pointer_index_hash_number(i), pointer_index_hash(0, &i, sizeof i),
                                  pointer_index_hash(0, text, (size_t)len)};

        for (size_t k = 0; k < KINDS; k++) {
            low[k][hashes[k] % PLACES]++;
            high[k][hashes[k] >> 24]++;
        }
    }
    for (size_t k = 0; k < KINDS; k++)
        for (size_t i = 0; i < PLACES; i++) /* 256 each, give or take six times the square root */
            if (low[k][i] < 160 || low[k][i] > 352 || high[k][i] < 160 || high[k][i] > 352)
                CU_FAIL_FATAL("hashes that crowd");
}

static const struct unit_test tests[] = {
    UNIT_TEST(random_use_agrees_with_an_array_when_hashes_spread),
    UNIT_TEST(random_use_agrees_with_an_array_when_hashes_collide),
    UNIT_TEST(random_use_agrees_with_an_array_when_all_hashes_are_equal),
    UNIT_TEST(empty_index_finds_and_removes_nothing),
    UNIT_TEST(removal_of_something_absent_changes_nothing),
    UNIT_TEST(find_wants_the_key),
    UNIT_TEST(every_item_is_visited_once),
    UNIT_TEST(items_may_be_removed_while_all_are_visited),
    UNIT_TEST(growth_comes_in_small_steps_and_memory_goes_back),
    UNIT_TEST(hash_depends_on_seed_octets_and_length),
    UNIT_TEST(hashes_of_neighbours_spread),
};

UNIT_MAIN("pointer_index", tests)
