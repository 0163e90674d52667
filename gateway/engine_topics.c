/* SPDX-License-Identifier: Apache-2.0 */
/* Topic names shared by all, and the normal topic ids of each session (reference section 2). */
#include "engine_private.h"

#include <stdlib.h>

#include <dormouse/log.h>

#include "topic.h"

enum {
    TOPICS_MAX = 1024,      /* registrations per session */
    TOPIC_ID_LAST = 0x201f, /* below every printable short name (reference 2.1) */
    PREDEFINED_MAX = 32,    /* pre-defined ids remembered that one device has used */
    PREDEFINED_STEP = 4,    /* room is made for so many more */
};

/* ---- names ---- */

static size_t
name_octets(size_t len)
{
    return pool_octets(sizeof(struct name), offsetof(struct name, text), len);
}

struct name *
name_find(const struct engine *e, struct dm_span text)
{
    return pointer_index_find(&e->names, pointer_index_hash(0, text.data, text.len), &text);
}

struct name *
name_get(struct engine *e, struct dm_span text)
{
    if (text.len > UINT16_MAX) /* the protocols have none */
        return NULL;
    uint32_t hash = pointer_index_hash(0, text.data, text.len);
    struct name *name = pointer_index_find(&e->names, hash, &text);

    if (name != NULL)
        return name_ref(name);
    name = pool_get(&e->pool, name_octets(text.len));
    if (name == NULL)
        return NULL;
    name->refs = 1;
    name->hash = hash;
    name->len = (uint16_t)text.len;
    if (text.len > 0)
        memcpy(name->text, text.data, text.len);
    if (!pointer_index_insert(&e->names, name)) {
        pool_put(&e->pool, name, name_octets(text.len));
        return NULL;
    }
    return name;
}

struct name *
name_ref(struct name *name)
{
    name->refs++;
    return name;
}

void
name_unref(struct engine *e, struct name *name)
{
    if (name == NULL || --name->refs > 0)
        return;
    pointer_index_remove(&e->names, name);
    pool_put(&e->pool, name, name_octets(name->len));
}

struct dm_span
name_span(const struct name *name)
{
    return dm_span(name->text, name->len);
}

/* ---- pre-defined ids ---- */

static const struct engine_topic *
find_predefined(const struct engine_topic *topics, size_t count, uint16_t id)
{
    for (size_t i = 0; i < count; i++)
        if (topics[i].id == id)
            return &topics[i];
    return NULL;
}

/* The name with the client id for each "%c"; empty if that is not possible. */
static struct dm_span
expand(struct engine *e, const struct session *s, const char *name)
{
    static const struct dm_span none = {0};

    if (strstr(name, "%c") == NULL)
        return dm_span_text(name);
    e->predefined.len = 0;
    if (!buffer_append_client(&e->predefined, name, dm_span(s->client_id, s->client_id_len)))
        return none;
    struct dm_span expanded = buffer_span(&e->predefined);

    return topic_name_is_valid(expanded) && topic_is_harmless(expanded) ? expanded : none;
}

struct dm_span
topic_predefined_name(struct engine *e, uint8_t link, const struct session *s, uint16_t id)
{
    const struct engine_options *o = e->options;
    const struct engine_topic *topic = NULL;

    if (s != NULL && s->client != NULL)
        topic = find_predefined(s->client->topics, s->client->topic_count, id);
    if (topic != NULL)
        return expand(e, s, topic->name);
    topic = find_predefined(o->links[link].topics, o->links[link].topic_count, id);
    if (topic == NULL)
        topic = find_predefined(o->topics, o->topic_count, id);
    return topic != NULL ? dm_span_text(topic->name) : (struct dm_span){0};
}

static struct predefined *
predefined_find(const struct engine *e, const struct session *s)
{
    return s->uses_predefined ? pointer_index_find(&e->predefined_index, hash_session(s), s) : NULL;
}

static bool
predefined_has(const struct predefined *p, uint16_t id)
{
    for (size_t i = 0; p != NULL && i < p->count; i++)
        if (p->ids[i] == id)
            return true;
    return false;
}

static size_t
predefined_octets(size_t room)
{
    return pool_octets(sizeof(struct predefined), offsetof(struct predefined, ids),
                       room * sizeof(uint16_t));
}

void
predefined_free(struct engine *e, struct session *s)
{
    struct predefined *p = predefined_find(e, s);

    if (p == NULL)
        return;
    pointer_index_remove(&e->predefined_index, p);
    pool_put(&e->pool, p, predefined_octets(p->room));
    s->uses_predefined = false;
}

/* With more room. NULL: no memory. */
static struct predefined *
predefined_larger(struct engine *e, struct session *s, const struct predefined *old)
{
    size_t had = old != NULL ? old->room : 0;
    struct predefined *p = pool_get(&e->pool, predefined_octets(had + PREDEFINED_STEP));

    if (p == NULL)
        return NULL;
    if (old != NULL)
        memcpy(p, old, predefined_octets(had));
    p->session = s;
    p->room = (uint8_t)(had + PREDEFINED_STEP);
    predefined_free(e, s);
    s->uses_predefined = pointer_index_insert(&e->predefined_index, p);
    if (s->uses_predefined)
        return p;
    pool_put(&e->pool, p, predefined_octets(p->room));
    return NULL;
}

void
topic_note_predefined(struct engine *e, struct session *s, uint16_t id)
{
    struct predefined *p = predefined_find(e, s);

    if (predefined_has(p, id) || (p != NULL && p->count >= PREDEFINED_MAX))
        return;
    if (p == NULL || p->count == p->room)
        p = predefined_larger(e, s, p);
    if (p != NULL) /* else the device is sent a REGISTER instead */
        p->ids[p->count++] = id;
}

/* A pre-defined id of the name that the device surely knows: it used it, or it stands in a table of
 * its own (reference 2.5, 5). 0: none. */
static uint16_t
predefined_id_of(struct engine *e, const struct session *s, const struct name *name)
{
    struct dm_span own = name_of_session(e, s, name);

    for (size_t i = 0; s->client != NULL && i < s->client->topic_count; i++)
        if (dm_span_equal(expand(e, s, s->client->topics[i].name), own))
            return s->client->topics[i].id;
    const struct predefined *used = predefined_find(e, s);

    for (size_t i = 0; used != NULL && i < used->count; i++)
        if (dm_span_equal(topic_predefined_name(e, s->link, s, used->ids[i]), own))
            return used->ids[i];
    return 0;
}

/* A normal id must be no pre-defined id of the device or of any link: clients compare the number
 * only, and a device may roam (reference 2.1). */
static bool
is_predefined_somewhere(const struct engine *e, const struct session *s, uint16_t id)
{
    const struct engine_options *o = e->options;

    if (find_predefined(o->topics, o->topic_count, id) != NULL ||
        (s->client != NULL &&
         find_predefined(s->client->topics, s->client->topic_count, id) != NULL))
        return true;
    for (size_t i = 0; i < o->link_count; i++)
        if (find_predefined(o->links[i].topics, o->links[i].topic_count, id) != NULL)
            return true;
    return false;
}

/* ---- registrations ---- */

struct registration *
registration_by_id(const struct session *s, uint16_t id)
{
    for (size_t i = 0; i < s->registration_count; i++)
        if (s->registrations[i].id == id)
            return &s->registrations[i];
    return NULL;
}

struct registration *
registration_by_name(const struct session *s, const struct name *name)
{
    for (size_t i = 0; i < s->registration_count; i++)
        if (s->registrations[i].name == name)
            return &s->registrations[i];
    return NULL;
}

/* For so many: the next power of two, so that nobody has to remember it. */
static size_t
table_octets(size_t count)
{
    size_t room = count > 0;

    while (room < count)
        room *= 2;
    return room * sizeof(struct registration);
}

struct registration *
registration_load(struct engine *e, struct session *s, struct name *name, uint16_t id,
                  uint32_t epoch)
{
    size_t octets = table_octets(s->registration_count);
    size_t needed = table_octets(s->registration_count + (size_t)1);

    if (needed > octets) {
        struct registration *grown = pool_resize(&e->pool, s->registrations, octets, needed);

        if (grown == NULL)
            return NULL;
        s->registrations = grown;
    }
    struct registration *r = &s->registrations[s->registration_count++];

    *r = (struct registration){.name = name_ref(name), .id = id, .known_epoch = epoch};
    if (id > s->last_topic_id)
        s->last_topic_id = id;
    return r;
}

struct registration *
registration_get(struct engine *e, struct session *s, struct name *name, bool *made)
{
    struct registration *r = registration_by_name(s, name);

    *made = r == NULL;
    if (r != NULL)
        return r;
    /* Ids are never used again in the life of a session: an old one can hit no other topic. */
    uint16_t id = s->last_topic_id;

    do
        id++;
    while (id <= TOPIC_ID_LAST && is_predefined_somewhere(e, s, id));
    if (id > TOPIC_ID_LAST || s->registration_count >= TOPICS_MAX)
        return NULL;
    return registration_load(e, s, name, id, 0);
}

void
registration_tell(struct engine *e, struct session *s, struct registration *r)
{
    if (talk_of(s)->gate_seq <= e->committed_seq) /* what was told before has left */
        for (size_t i = 0; i < s->registration_count; i++)
            s->registrations[i].just_told = false;
    r->just_told = true;
    r->known_epoch = s->epoch;
}

void
registrations_free(struct engine *e, struct session *s)
{
    for (size_t i = 0; i < s->registration_count; i++)
        name_unref(e, s->registrations[i].name);
    pool_put(&e->pool, s->registrations, table_octets(s->registration_count));
    s->registrations = NULL;
    s->registration_count = 0;
}

/* The broker's name; empty: what the device neither may publish nor gets to see needs no id. */
static struct dm_span
take_name(struct engine *e, const struct session *s, struct dm_span name)
{
    struct party party = party_of(s);
    struct dm_span up = {0};

    if (access_publish(e, &party, name) || access_subscribe(e, &party, name))
        up = name_up(e, &party, name);
    if (up.len == 0)
        access_denied(e, party.client_id, "REGISTER", name);
    return up;
}

void
handle_register(struct engine *e, struct session *s, const struct mqttsn_packet *packet)
{
    struct mqttsn_packet answer = {
        .type = MQTTSN_REGACK, .msg_id = packet->msg_id, .return_code = MQTTSN_ACCEPTED};
    bool made = false;
    bool valid = topic_name_is_valid(packet->topic_name) && topic_is_harmless(packet->topic_name);
    struct dm_span up = valid ? take_name(e, s, packet->topic_name) : (struct dm_span){0};
    struct name *name = NULL;
    struct registration *r = NULL;

    if (up.len == 0) { /* R55, M13, M18, M19 */
        answer.return_code = MQTTSN_NOT_SUPPORTED;
    } else {
        name = name_get(e, up);
        if (name != NULL && engine_takes_request(e, s))
            r = registration_get(e, s, name, &made);
        if (r == NULL)
            answer.return_code = MQTTSN_CONGESTION; /* M21 */
    }
    if (r != NULL) {
        bool known = r->known_epoch == s->epoch;

        registration_tell(e, s, r);
        r->refused = false;
        answer.topic_id = r->id;
        if (made)
            s->seq = record_registration(e, s, r, false);
        else if (!known) /* the id itself is on disk; that it is known saves only a REGISTER */
            record_registration(e, s, r, true);
    }
    name_unref(e, name);
    engine_send(e, s, s->seq, &answer);
    if (r != NULL)
        session_gate(e, s);
}

/* ---- towards the device ---- */

/* An exact subscription made by pre-defined id or short name decides the type (reference 2.5, 1 and
 * 2). */
static const struct subscription *
exact_subscription(const struct session *s, const struct name *name, enum mqttsn_topic_type type)
{
    const struct subscription *sub;

    LL_FOREACH (s->subscriptions, sub)
        if (sub->type == type && sub->filter->name == name)
            return sub;
    return NULL;
}

enum topic_choice
topic_for_device(struct engine *e, struct session *s, struct name *name,
                 enum mqttsn_topic_type *type, uint16_t *id)
{
    const struct subscription *sub = exact_subscription(s, name, MQTTSN_TOPIC_PREDEFINED);

    if (sub == NULL)
        sub = exact_subscription(s, name, MQTTSN_TOPIC_SHORT);
    if (sub != NULL) {
        *type = sub->type;
        *id = sub->topic_id;
        return TOPIC_READY;
    }
    bool made = false;
    struct registration *r = registration_by_name(s, name);

    *type = MQTTSN_TOPIC_NORMAL;
    if (r != NULL && r->known_epoch == s->epoch && !r->refused) {
        *id = r->id;
        return TOPIC_READY;
    }
    uint16_t predefined = predefined_id_of(e, s, name);

    if (predefined != 0) {
        *type = MQTTSN_TOPIC_PREDEFINED;
        *id = predefined;
        return TOPIC_READY;
    }
    struct dm_span own = name_of_session(e, s, name);

    if (r == NULL && own.len == 2) { /* reference 2.5, 6: the two octets are the id */
        *type = MQTTSN_TOPIC_SHORT;
        *id = (uint16_t)(own.data[0] << 8 | own.data[1]);
        return TOPIC_READY;
    }
    if (own.len == 0) /* of an earlier configuration: the device cannot have it */
        return TOPIC_REFUSED;
    if (r == NULL)
        r = registration_get(e, s, name, &made);
    if (r == NULL || r->refused)
        return TOPIC_REFUSED;
    if (made)
        s->seq = record_registration(e, s, r, false);
    *id = r->id;
    return r->known_epoch == s->epoch ? TOPIC_READY : TOPIC_REGISTER;
}

void
topic_prepare(struct engine *e, struct session *s, struct name *name)
{
    bool made = false;

    size_t own_len = name_of_session(e, s, name).len;

    if (own_len == 0 || own_len == 2 ||
        exact_subscription(s, name, MQTTSN_TOPIC_PREDEFINED) != NULL ||
        exact_subscription(s, name, MQTTSN_TOPIC_SHORT) != NULL ||
        (registration_by_name(s, name) == NULL && predefined_id_of(e, s, name) != 0))
        return;
    struct registration *r = registration_get(e, s, name, &made);

    if (r != NULL && made)
        s->seq = record_registration(e, s, r, false);
}
