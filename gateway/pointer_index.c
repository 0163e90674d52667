/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear hashing: the low bits of a hash choose one of many small buckets. As the number of items
 * grows, these are split one after the other; as it shrinks, they are joined again. So nothing has
 * to move more than one of them, and little room is empty. A bucket is a list in no order. One
 * octet of each item's hash stands before it, so that a search reads hardly any item but the one it
 * is for.
 */
#include "pointer_index.h"

#include <stdlib.h>
#include <string.h>

enum {
    ITEMS_PER_BUCKET = 32, /* on average; else one more bucket */
    JOIN_BELOW = 8,        /* on average; else one less */
    ROOM_STEP = 8,         /* of a bucket; keeps its items aligned */
};

struct pointer_bucket {
    uint32_t count, room;
    uint8_t tags[]; /* behind them the items */
};

_Static_assert(ROOM_STEP % sizeof(void *) == 0, "items are aligned");

void
pointer_index_init(struct pointer_index *index, uint32_t (*hash)(const void *item),
                   bool (*equal)(const void *item, const void *key))
{
    *index = (struct pointer_index){.hash = hash, .equal = equal};
}

void
pointer_index_fini(struct pointer_index *index)
{
    for (size_t i = 0; i < index->bucket_count; i++)
        free(index->buckets[i]);
    free(index->buckets);
    index->buckets = NULL;
    index->bucket_count = 0;
    index->count = 0;
}

/* ---- hashing ---- */

static uint64_t
mixed(uint64_t bits)
{
    bits *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 divided by the golden ratio */
    return bits ^ bits >> 32;
}

uint32_t
pointer_index_hash(uint32_t seed, const void *octets, size_t len)
{
    const uint8_t *at = octets;
    uint64_t hash = (uint64_t)len << 32 | seed;
    uint64_t word;

    for (; len >= sizeof word; at += sizeof word, len -= sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = mixed(hash ^ word);
    }
    for (word = 0; len > 0; len--)
        word = word << 8 | at[len - 1];
    return (uint32_t)mixed(mixed(hash ^ word));
}

uint32_t
pointer_index_hash_number(uint64_t number)
{
    return (uint32_t)mixed(mixed(number));
}

/* ---- one bucket ---- */

static uint8_t
tag_of(uint32_t hash)
{
    return (uint8_t)(hash >> 24); /* the low bits are those that the bucket has in common */
}

static void **
items_of(struct pointer_bucket *bucket)
{
    return (void **)(void *)(bucket->tags + bucket->room);
}

/* Another room, in whole steps, at least for what there is. False: no memory. */
static bool
resize(struct pointer_bucket **bucket, uint32_t room)
{
    struct pointer_bucket *old = *bucket;
    uint32_t count = old != NULL ? old->count : 0;

    room = (room + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
    struct pointer_bucket *resized = malloc(sizeof *resized + room * (1 + sizeof(void *)));
    if (resized == NULL)
        return false;
    resized->count = count;
    resized->room = room;
    if (count > 0) {
        memcpy(resized->tags, old->tags, count);
        memcpy(items_of(resized), items_of(old), count * sizeof(void *));
    }
    free(old);
    *bucket = resized;
    return true;
}

/* There is room. */
static void
append(struct pointer_bucket *bucket, uint8_t tag, void *item)
{
    bucket->tags[bucket->count] = tag;
    items_of(bucket)[bucket->count++] = item;
}

static void
take_out(struct pointer_bucket *bucket, size_t place)
{
    bucket->count--;
    bucket->tags[place] = bucket->tags[bucket->count];
    items_of(bucket)[place] = items_of(bucket)[bucket->count];
}

/* ---- all buckets ---- */

static size_t
bucket_of(const struct pointer_index *index, uint32_t hash)
{
    size_t i = hash & (2 * index->half - 1);

    return i < index->bucket_count ? i : i - index->half; /* not split yet */
}

static bool
is_power_of_two(size_t number)
{
    return (number & (number - 1)) == 0;
}

/* False: no memory. */
static bool
add_bucket(struct pointer_index *index)
{
    size_t count = index->bucket_count;
    struct pointer_bucket *bucket = NULL;

    if (is_power_of_two(count)) { /* 0, too: all places are taken */
        size_t places = count == 0 ? 1 : 2 * count;
        struct pointer_bucket **grown = realloc(index->buckets, places * sizeof *grown);

        if (grown == NULL)
            return false;
        index->buckets = grown;
    }
    if (!resize(&bucket, ROOM_STEP))
        return false;
    index->buckets[index->bucket_count++] = bucket;
    if (is_power_of_two(index->bucket_count))
        index->half = index->bucket_count;
    return true;
}

/* What add_bucket did. The last one is empty. */
static void
drop_bucket(struct pointer_index *index)
{
    size_t count = --index->bucket_count;

    free(index->buckets[count]);
    if (!is_power_of_two(count))
        return;
    struct pointer_bucket **shrunk = realloc(index->buckets, count * sizeof *shrunk);
    if (shrunk != NULL)
        index->buckets = shrunk;
}

/* One bucket becomes two. Without memory that is done the next time. */
static void
split(struct pointer_index *index)
{
    size_t bit = index->half;
    size_t low = index->bucket_count - bit;

    if (!add_bucket(index))
        return;
    struct pointer_bucket **from = &index->buckets[low];
    struct pointer_bucket **to = &index->buckets[index->bucket_count - 1];
    if (!resize(to, (*from)->count)) {
        drop_bucket(index);
        index->half = bit;
        return;
    }
    for (size_t i = (*from)->count; i-- > 0;) {
        void *item = items_of(*from)[i];

        if ((index->hash(item) & bit) == 0)
            continue;
        append(*to, (*from)->tags[i], item);
        take_out(*from, i);
    }
    resize(from, (*from)->count + 1);
    resize(to, (*to)->count + 1);
}

/* The last bucket goes back to where it came from. Without memory that is done the next time. */
static void
join(struct pointer_index *index)
{
    size_t last = index->bucket_count - 1;
    size_t bit = is_power_of_two(index->bucket_count) ? index->half / 2 : index->half;
    struct pointer_bucket *from = index->buckets[last];
    struct pointer_bucket **to = &index->buckets[last - bit];

    if ((*to)->room - (*to)->count < from->count && !resize(to, (*to)->count + from->count + 1))
        return;
    for (size_t i = 0; i < from->count; i++)
        append(*to, from->tags[i], items_of(from)[i]);
    index->half = bit;
    drop_bucket(index);
}

/* The next of the bucket's items from `place` on that may have this hash; its count: there is none.
 */
static size_t
look_for(const struct pointer_bucket *bucket, size_t place, uint32_t hash)
{
    const uint8_t *tag = memchr(bucket->tags + place, tag_of(hash), (size_t)bucket->count - place);

    return tag != NULL ? (size_t)(tag - bucket->tags) : bucket->count;
}

void *
pointer_index_find(const struct pointer_index *index, uint32_t hash, const void *key)
{
    if (index->bucket_count == 0)
        return NULL;
    struct pointer_bucket *bucket = index->buckets[bucket_of(index, hash)];

    for (size_t i = look_for(bucket, 0, hash); i < bucket->count; i = look_for(bucket, i + 1, hash))
        if (index->equal(items_of(bucket)[i], key))
            return items_of(bucket)[i];
    return NULL;
}

bool
pointer_index_insert(struct pointer_index *index, void *item)
{
    uint32_t hash = index->hash(item);

    if (index->bucket_count == 0 && !add_bucket(index))
        return false;
    struct pointer_bucket **bucket = &index->buckets[bucket_of(index, hash)];
    if ((*bucket)->count == (*bucket)->room && !resize(bucket, (*bucket)->count + 1))
        return false;
    append(*bucket, tag_of(hash), item);
    index->count++;
    if (index->count > index->bucket_count * ITEMS_PER_BUCKET)
        split(index);
    return true;
}

void
pointer_index_remove(struct pointer_index *index, const void *item)
{
    if (index->bucket_count == 0)
        return;
    uint32_t hash = index->hash(item);
    struct pointer_bucket **bucket = &index->buckets[bucket_of(index, hash)];
    size_t place = look_for(*bucket, 0, hash);

    while (place < (*bucket)->count && items_of(*bucket)[place] != item)
        place = look_for(*bucket, place + 1, hash);
    if (place == (*bucket)->count)
        return;
    take_out(*bucket, place);
    if ((*bucket)->room > 2 * ROOM_STEP && (*bucket)->count < (*bucket)->room / 2)
        resize(bucket, (*bucket)->count + ROOM_STEP); /* without memory it stays as it is */
    index->count--;
    if (index->bucket_count > 1 && index->count < index->bucket_count * JOIN_BELOW)
        join(index);
}

/* From the last bucket and item to the first: what a removal moves, stands behind then or has come
 * before. */
void *
pointer_index_next(const struct pointer_index *index, struct pointer_index_place *at)
{
    if (!at->begun || at->bucket >= index->bucket_count) { /* or the last ones were joined */
        at->begun = true;
        at->bucket = index->bucket_count;
        at->left = 0;
    } else if (at->left > index->buckets[at->bucket]->count) {
        at->left = index->buckets[at->bucket]->count;
    }
    while (at->left == 0) {
        if (at->bucket == 0)
            return NULL;
        at->left = index->buckets[--at->bucket]->count;
    }
    return items_of(index->buckets[at->bucket])[--at->left];
}
