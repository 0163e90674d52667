/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing; removal closes the gap, so there are no tombstones. */
#include "pointer_index.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

void
pointer_index_init(struct pointer_index *index, uint32_t (*hash)(const void *item),
                   bool (*equal)(const void *item, const void *key))
{
    *index = (struct pointer_index){.hash = hash, .equal = equal};
}

void
pointer_index_fini(struct pointer_index *index)
{
    free(index->slots);
    index->slots = NULL;
    index->capacity = 0;
    index->count = 0;
}

uint32_t
pointer_index_hash(uint32_t seed, const void *octets, size_t len)
{
    const uint8_t *octet = octets;
    uint32_t hash = seed ^ 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ octet[i]) * 16777619u;
    /* FNV's low bits are weak for short keys, and the slot is taken from them. */
    return hash ^ (hash >> 15);
}

void *
pointer_index_find(const struct pointer_index *index, uint32_t hash, const void *key)
{
    if (index->capacity == 0)
        return NULL;
    size_t mask = index->capacity - 1;
    for (size_t i = hash & mask; index->slots[i] != NULL; i = (i + 1) & mask) {
        if (index->hash(index->slots[i]) == hash && index->equal(index->slots[i], key))
            return index->slots[i];
    }
    return NULL;
}

static void
place(struct pointer_index *index, void *item)
{
    size_t mask = index->capacity - 1;
    size_t i = index->hash(item) & mask;

    while (index->slots[i] != NULL)
        i = (i + 1) & mask;
    index->slots[i] = item;
}

static bool
grow(struct pointer_index *index)
{
    size_t old_capacity = index->capacity;
    void **old_slots = index->slots;
    size_t capacity = old_capacity == 0 ? FIRST_CAPACITY : old_capacity * 2;
    void **slots = calloc(capacity, sizeof *slots);

    if (slots == NULL)
        return false;
    index->slots = slots;
    index->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++)
        if (old_slots[i] != NULL)
            place(index, old_slots[i]);
    free(old_slots);
    return true;
}

bool
pointer_index_insert(struct pointer_index *index, void *item)
{
    if ((index->count + 1) * 4 > index->capacity * 3 && !grow(index))
        return false;
    place(index, item);
    index->count++;
    return true;
}

void
pointer_index_remove(struct pointer_index *index, const void *item)
{
    if (index->capacity == 0)
        return;
    size_t mask = index->capacity - 1;
    size_t gap = index->hash(item) & mask;

    while (index->slots[gap] != NULL && index->slots[gap] != item)
        gap = (gap + 1) & mask;
    if (index->slots[gap] == NULL)
        return;
    index->count--;
    /* Move back every follower whose own slot does not lie behind the gap. */
    for (size_t i = (gap + 1) & mask; index->slots[i] != NULL; i = (i + 1) & mask) {
        size_t home = index->hash(index->slots[i]) & mask;

        if (((i - home) & mask) >= ((i - gap) & mask)) {
            index->slots[gap] = index->slots[i];
            gap = i;
        }
    }
    index->slots[gap] = NULL;
}
