/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear hashing: the low bits of a hash choose one of many small tables, and as the number of
 * items grows these are split one after the other. So no insertion has to move more than one of
 * them, and few slots are empty. Within a table: linear probing; removal closes the gap, so there
 * are no tombstones. Each slot has a tag, some more bits of the hash, so that a search reads hardly
 * any item but the one it is for.
 */
#include "pointer_index.h"

#include <stdlib.h>

enum {
    ITEMS_PER_TABLE = 128, /* on average; else one more table */
    ROOM_MIN = 4,
};

struct pointer_table {
    uint32_t count, room; /* one slot at least is empty */
    void *slots[];        /* behind them a tag for each: 0 means that the slot is empty */
};

void
pointer_index_init(struct pointer_index *index, uint32_t (*hash)(const void *item),
                   bool (*equal)(const void *item, const void *key))
{
    *index = (struct pointer_index){.hash = hash, .equal = equal};
}

void
pointer_index_fini(struct pointer_index *index)
{
    for (size_t i = 0; i < index->table_count; i++)
        free(index->tables[i]);
    free(index->tables);
    index->tables = NULL;
    index->table_count = 0;
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

/* All bits of the number count for all of the hash. */
uint32_t
pointer_index_hash_number(uint64_t number)
{
    number *= UINT64_C(0x9e3779b97f4a7c15);
    number ^= number >> 32;
    number *= UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(number >> 32);
}

/* ---- one table ---- */

static uint8_t *
tags_of(struct pointer_table *table)
{
    return (uint8_t *)&table->slots[table->room];
}

/* By bits of which the home depends little. */
static uint8_t
tag_of(uint32_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 16);

    return tag != 0 ? tag : 1;
}

/* By the high bits: all hashes of a table have the low ones in common. */
static uint32_t
home_of(const struct pointer_table *table, uint32_t hash)
{
    return (uint32_t)(((uint64_t)hash * table->room) >> 32);
}

static uint32_t
after(const struct pointer_table *table, uint32_t slot)
{
    return slot + 1 < table->room ? slot + 1 : 0;
}

/* How far behind its home a slot is. */
static uint32_t
distance(const struct pointer_table *table, uint32_t home, uint32_t slot)
{
    return slot >= home ? slot - home : slot + table->room - home;
}

static struct pointer_table *
table_new(uint32_t room)
{
    struct pointer_table *table;

    room = room < ROOM_MIN ? ROOM_MIN : room;
    table = calloc(1, sizeof *table + room * (sizeof(void *) + 1));
    if (table != NULL)
        table->room = room;
    return table;
}

static void
place(const struct pointer_index *index, struct pointer_table *table, void *item)
{
    uint32_t hash = index->hash(item);
    uint32_t i = home_of(table, hash);
    uint8_t *tags = tags_of(table);

    while (tags[i] != 0)
        i = after(table, i);
    tags[i] = tag_of(hash);
    table->slots[i] = item;
    table->count++;
}

/* With another room. False: no memory. */
static bool
resize(const struct pointer_index *index, struct pointer_table **table, uint32_t room)
{
    struct pointer_table *old = *table;
    struct pointer_table *resized = table_new(room);

    if (resized == NULL)
        return false;
    for (uint32_t i = 0; i < old->room; i++)
        if (old->slots[i] != NULL)
            place(index, resized, old->slots[i]);
    free(old);
    *table = resized;
    return true;
}

/* ---- all tables ---- */

static size_t
table_of(const struct pointer_index *index, uint32_t hash)
{
    size_t i = hash & (2 * index->half - 1);

    return i < index->table_count ? i : i - index->half; /* not split yet */
}

/* Room for so many, and some more. */
static uint32_t
room_for(uint32_t count)
{
    return count + count / 4 + ROOM_MIN;
}

/* Takes the table over. False: no memory. */
static bool
add_table(struct pointer_index *index, struct pointer_table *table)
{
    size_t count = index->table_count;

    if ((count & (count - 1)) == 0) { /* all places up to a power of two are taken */
        size_t places = count == 0 ? 1 : 2 * count;
        struct pointer_table **grown = realloc(index->tables, places * sizeof(void *));

        if (grown == NULL)
            return false;
        index->tables = grown;
    }
    index->tables[index->table_count++] = table;
    if (count == 0 || index->table_count == 2 * index->half)
        index->half = index->table_count;
    return true;
}

/* One table becomes two. Without memory that is done the next time. */
static void
split(struct pointer_index *index)
{
    size_t half = index->half;
    struct pointer_table *from = index->tables[index->table_count - half];
    uint32_t moves = 0;

    for (uint32_t i = 0; i < from->room; i++)
        moves += from->slots[i] != NULL && (index->hash(from->slots[i]) & half) != 0;
    struct pointer_table *low = table_new(room_for(from->count - moves));
    struct pointer_table *high = table_new(room_for(moves));

    if (low == NULL || high == NULL || !add_table(index, high)) {
        free(low);
        free(high);
        return;
    }
    for (uint32_t i = 0; i < from->room; i++) {
        void *item = from->slots[i];

        if (item != NULL)
            place(index, (index->hash(item) & half) != 0 ? high : low, item);
    }
    index->tables[index->table_count - 1 - half] = low;
    free(from);
}

void *
pointer_index_find(const struct pointer_index *index, uint32_t hash, const void *key)
{
    if (index->table_count == 0)
        return NULL;
    struct pointer_table *table = index->tables[table_of(index, hash)];
    const uint8_t *tags = tags_of(table);
    uint8_t tag = tag_of(hash);

    for (uint32_t i = home_of(table, hash); tags[i] != 0; i = after(table, i)) {
        if (tags[i] == tag && index->equal(table->slots[i], key))
            return table->slots[i];
    }
    return NULL;
}

static bool
make_first_table(struct pointer_index *index)
{
    struct pointer_table *table = table_new(ROOM_MIN);

    if (table != NULL && add_table(index, table))
        return true;
    free(table);
    return false;
}

bool
pointer_index_insert(struct pointer_index *index, void *item)
{
    if (index->table_count == 0 && !make_first_table(index))
        return false;
    struct pointer_table **table = &index->tables[table_of(index, index->hash(item))];

    if (((*table)->count + 1) * UINT64_C(10) > (*table)->room * UINT64_C(9) &&
        !resize(index, table, room_for((*table)->count + 1)))
        return false;
    place(index, *table, item);
    index->count++;
    if (index->count > index->table_count * ITEMS_PER_TABLE)
        split(index);
    return true;
}

/* Moves back every follower whose home does not lie behind the gap. */
static void
close_gap(const struct pointer_index *index, struct pointer_table *table, uint32_t gap)
{
    uint8_t *tags = tags_of(table);

    for (uint32_t i = after(table, gap); tags[i] != 0; i = after(table, i)) {
        uint32_t home = home_of(table, index->hash(table->slots[i]));

        if (distance(table, home, i) >= distance(table, gap, i)) {
            table->slots[gap] = table->slots[i];
            tags[gap] = tags[i];
            gap = i;
        }
    }
    table->slots[gap] = NULL;
    tags[gap] = 0;
}

void
pointer_index_remove(struct pointer_index *index, const void *item)
{
    if (index->table_count == 0)
        return;
    uint32_t hash = index->hash(item);
    struct pointer_table **at = &index->tables[table_of(index, hash)];
    struct pointer_table *table = *at;
    uint32_t slot = home_of(table, hash);

    while (table->slots[slot] != NULL && table->slots[slot] != item)
        slot = after(table, slot);
    if (table->slots[slot] == NULL)
        return;
    close_gap(index, table, slot);
    table->count--;
    index->count--;
    if (index->count == 0 && index->table_count > 1)
        pointer_index_fini(
            index); /* a small one stays: it may be filled and emptied all the time */
    else if (table->room > 4 * ROOM_MIN && table->count < table->room / 4)
        resize(index, at, room_for(table->count)); /* without memory it stays as it is */
}

void *
pointer_index_next(const struct pointer_index *index, struct pointer_index_place *at)
{
    for (; at->table < index->table_count; at->table++, at->slot = 0) {
        const struct pointer_table *table = index->tables[at->table];

        while (at->slot < table->room)
            if (table->slots[at->slot++] != NULL)
                return table->slots[at->slot - 1];
    }
    return NULL;
}
