/* SPDX-License-Identifier: Apache-2.0 */
/* Each topic has one number that it may get, by its hash. */
#include "upstream_alias.h"

#include <stdlib.h>

#include "pointer_index.h"

enum {
    SLOTS_MAX = 256,
    TOPIC_MIN = 4,  /* octets: below, an alias saves nothing */
    CREDIT_MAX = 3, /* other topics that go by before the slot is given away */
};

struct slot {
    uint8_t *topic; /* NULL: free */
    size_t len;
    uint8_t credit;
};

struct aliases {
    uint16_t count;
    struct slot slots[];
};

struct aliases *
aliases_new(uint16_t maximum)
{
    uint16_t count = maximum < SLOTS_MAX ? maximum : SLOTS_MAX;
    struct aliases *aliases = calloc(1, sizeof *aliases + count * sizeof(struct slot));

    if (aliases != NULL)
        aliases->count = count;
    return aliases;
}

void
aliases_free(struct aliases *aliases)
{
    if (aliases == NULL)
        return;
    for (uint16_t i = 0; i < aliases->count; i++)
        free(aliases->slots[i].topic);
    free(aliases);
}

struct alias
alias_choose(struct aliases *aliases, struct dm_span topic)
{
    uint32_t place = pointer_index_hash(0, topic.data, topic.len) % aliases->count;
    struct slot *slot = &aliases->slots[place];
    struct alias alias = {0};

    if (topic.len < TOPIC_MIN)
        return alias;
    if (slot->topic != NULL && dm_span_equal(dm_span(slot->topic, slot->len), topic)) {
        slot->credit = CREDIT_MAX;
        alias.known = true;
    } else if (slot->topic != NULL && slot->credit > 0) {
        slot->credit--;
        return alias;
    }
    alias.number = (uint16_t)(place + 1);
    return alias;
}

void
alias_sent(struct aliases *aliases, struct alias alias, struct dm_span topic)
{
    struct slot *slot = &aliases->slots[alias.number - 1];
    uint8_t *copy = realloc(slot->topic, topic.len);

    if (copy ==
        NULL) { /* the number means this topic now, so it must not be sent for the old one */
        free(slot->topic);
        slot->topic = NULL;
        return;
    }
    memcpy(copy, topic.data, topic.len);
    *slot = (struct slot){.topic = copy, .len = topic.len, .credit = 1};
}
