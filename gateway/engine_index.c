/* SPDX-License-Identifier: Apache-2.0 */
/* How the engine's indexes hash and compare what they hold, and how the content of messages is. */
#include "engine_private.h"

/* FNV-1a: the same on every machine. */
static uint32_t
hash_for_ever(uint32_t seed, struct dm_span octets)
{
    uint32_t hash = seed ^ 2166136261u;

    for (size_t i = 0; i < octets.len; i++)
        hash = (hash ^ octets.data[i]) * 16777619u;
    return hash ^ (hash >> 15);
}

uint64_t
content_of(struct dm_span topic, uint8_t qos, struct dm_span payload, bool retain)
{
    return ((uint64_t)hash_for_ever(qos, topic) << 32 | hash_for_ever(retain, payload)) & INT64_MAX;
}

uint32_t
hash_address(const struct dm_address *address)
{
    return pointer_index_hash(address->link, address->octets, address->len);
}

static uint32_t
hash_session_client_id(const void *item)
{
    const struct session *s = item;

    return pointer_index_hash(0, s->client_id, s->client_id_len);
}

static bool
equal_session_client_id(const void *item, const void *key)
{
    const struct session *s = item;

    return dm_span_equal(dm_span(s->client_id, s->client_id_len), *(const struct dm_span *)key);
}

static uint32_t
hash_session_address(const void *item)
{
    const struct session *s = item;

    struct dm_span place = session_place(s);

    return pointer_index_hash(s->link, place.data, place.len);
}

static bool
equal_session_address(const void *item, const void *key)
{
    return session_is_at(item, key);
}

static uint32_t
hash_handshake(const void *item)
{
    return hash_address(&((const struct handshake *)item)->address);
}

static bool
equal_handshake(const void *item, const void *key)
{
    return dm_address_equal(&((const struct handshake *)item)->address, key);
}

uint32_t
hash_session(const struct session *s)
{
    return pointer_index_hash_number(s->number);
}

static uint32_t
hash_session_number(const void *item)
{
    return hash_session(item);
}

static bool
equal_session_number(const void *item, const void *key)
{
    return ((const struct session *)item)->number == *(const uint64_t *)key;
}

/* Of a block that few sessions have: it begins with a pointer to the session. */
static uint32_t
hash_block(const void *item)
{
    return hash_session(*(const struct session *const *)item);
}

static bool
equal_block(const void *item, const void *key)
{
    return *(const struct session *const *)item == key;
}

static uint32_t
hash_name(const void *item)
{
    return ((const struct name *)item)->hash;
}

static bool
equal_name(const void *item, const void *key)
{
    return dm_span_equal(name_span(item), *(const struct dm_span *)key);
}

static uint32_t
hash_filter(const void *item)
{
    return ((const struct filter *)item)->name->hash;
}

static bool
equal_filter(const void *item, const void *key)
{
    return ((const struct filter *)item)->name == key;
}

static uint32_t
hash_filter_id(const void *item)
{
    return pointer_index_hash_number(((const struct filter_id *)item)->id);
}

static bool
equal_filter_id(const void *item, const void *key)
{
    return ((const struct filter_id *)item)->id == *(const uint32_t *)key;
}

static uint32_t
hash_subscription_id(const void *item)
{
    return pointer_index_hash_number(((const struct subscription *)item)->upstream_id);
}

static bool
equal_subscription_id(const void *item, const void *key)
{
    return ((const struct subscription *)item)->upstream_id == *(const uint32_t *)key;
}

uint32_t
hash_inbound(const void *item)
{
    const struct inbound *in = item;

    return pointer_index_hash(in->qos, &in->packet_id, sizeof in->packet_id);
}

static bool
equal_inbound(const void *item, const void *key)
{
    const struct inbound *in = item;
    const struct inbound *other = key;

    return in->packet_id == other->packet_id && in->qos == other->qos;
}

static uint32_t
hash_trunk(const void *item)
{
    return pointer_index_hash_number(((const struct trunk *)item)->connection);
}

static bool
equal_trunk(const void *item, const void *key)
{
    return ((const struct trunk *)item)->connection == *(const uint64_t *)key;
}

static uint32_t
hash_message(const void *item)
{
    return pointer_index_hash_number(((const struct message *)item)->number);
}

static uint32_t
hash_packet_id(const void *item)
{
    return pointer_index_hash_number(((const struct message *)item)->packet_id);
}

static bool
equal_packet_id(const void *item, const void *key)
{
    return ((const struct message *)item)->packet_id == *(const uint16_t *)key;
}

static bool
equal_message(const void *item, const void *key)
{
    return ((const struct message *)item)->number == *(const uint64_t *)key;
}

void
indexes_init(struct engine *e)
{
    pointer_index_init(&e->by_client_id, hash_session_client_id, equal_session_client_id);
    pointer_index_init(&e->by_address, hash_session_address, equal_session_address);
    pointer_index_init(&e->handshake_index, hash_handshake, equal_handshake);
    pointer_index_init(&e->by_number, hash_session_number, equal_session_number);
    pointer_index_init(&e->history_index, hash_block, equal_block);
    pointer_index_init(&e->earlier_index, hash_block, equal_block);
    pointer_index_init(&e->predefined_index, hash_block, equal_block);
    pointer_index_init(&e->names, hash_name, equal_name);
    pointer_index_init(&e->messages_loaded, hash_message, equal_message);
    pointer_index_init(&e->own_index, hash_trunk, equal_trunk);
    pointer_index_init(&e->redelivered, hash_packet_id, equal_packet_id);
}

void
trunk_indexes_init(struct trunk *t)
{
    pointer_index_init(&t->filter_index, hash_filter, equal_filter);
    pointer_index_init(&t->inbound_index, hash_inbound, equal_inbound);
    pointer_index_init(&t->filter_ids, hash_filter_id, equal_filter_id);
    pointer_index_init(&t->subscription_ids, hash_subscription_id, equal_subscription_id);
    shapes_init(t);
}

void
trunk_indexes_fini(struct trunk *t)
{
    pointer_index_fini(&t->filter_index);
    pointer_index_fini(&t->inbound_index);
    pointer_index_fini(&t->filter_ids);
    pointer_index_fini(&t->subscription_ids);
    pointer_index_fini(&t->shapes);
}
