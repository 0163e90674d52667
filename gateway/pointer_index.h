/* SPDX-License-Identifier: Apache-2.0 */
/* A hash index over objects that somebody else owns: some 11 octets for each. */
#ifndef DORMOUSE_POINTER_INDEX_H
#define DORMOUSE_POINTER_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pointer_index {
    uint32_t (*hash)(const void *item);
    bool (*equal)(const void *item, const void *key);
    struct pointer_bucket **buckets;
    size_t bucket_count;
    size_t half; /* the highest power of two that is not more */
    size_t count;
};

/* Begins with zeros. */
struct pointer_index_place {
    bool begun;
    size_t bucket; /* the one that is looked at */
    size_t left;   /* of its items */
};

/* `hash` gives an item's hash; `equal` compares an item with what pointer_index_find is given. */
void pointer_index_init(struct pointer_index *index, uint32_t (*hash)(const void *item),
                        bool (*equal)(const void *item, const void *key));
void pointer_index_fini(struct pointer_index *index);

/* The item that equals `key`, which has this hash; or NULL. */
void *pointer_index_find(const struct pointer_index *index, uint32_t hash, const void *key);
/* False: no memory. The item must not be in the index yet. */
bool pointer_index_insert(struct pointer_index *index, void *item);
/* Nothing happens if the item is not there. Its hash must still be the one it was inserted with. */
void pointer_index_remove(struct pointer_index *index, const void *item);

/*
 * The items one after the other, in no order; NULL: that was the last. Meanwhile items may be
 * removed, and then another one may come twice, but none may be inserted.
 */
void *pointer_index_next(const struct pointer_index *index, struct pointer_index_place *at);

/* Not to be kept: another machine may find another. `seed` tells apart what has equal octets. */
uint32_t pointer_index_hash(uint32_t seed, const void *octets, size_t len);
uint32_t pointer_index_hash_number(uint64_t number);

#endif
