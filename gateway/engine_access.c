/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration allows a device: to connect, from where, and which topics. */
#include "engine_private.h"

#include <dormouse/log.h>

#include "topic.h"

struct party
party_of(const struct session *s)
{
    return (struct party){s->client, dm_span(s->client_id, s->client_id_len)};
}

struct party
party_among(const struct engine_options *options, struct dm_span client_id)
{
    for (size_t i = 0; i < options->client_count; i++) {
        const struct engine_client *client = &options->clients[i];

        if (topic_section_matches(client->pattern, client->uses_client_id, client_id))
            return (struct party){client, client_id};
    }
    return (struct party){NULL, client_id};
}

struct party
party_named(const struct engine *e, struct dm_span client_id)
{
    return party_among(e->options, client_id);
}

const struct engine_client *
engine_client_of(const struct engine *e, struct dm_span client_id)
{
    return party_named(e, client_id).client;
}

bool
access_is_known(const struct engine *e, const struct party *party)
{
    return party->client != NULL || !e->options->reject_unknown;
}

bool
access_is_here(const struct party *party, const struct dm_address *address)
{
    const struct engine_client *client = party->client;

    if (client == NULL)
        return true;
    return (client->links == NULL || client->links[address->link]) &&
           (client->address == NULL || dm_address_equal(client->address, address));
}

/* The filter with the client id for each "%c"; empty: no memory, and then it allows nothing. */
static struct dm_span
allowed_filter(struct engine *e, const struct party *party, const char *filter)
{
    if (strstr(filter, "%c") == NULL)
        return dm_span_text(filter);
    e->allowed.len = 0;
    return buffer_append_client(&e->allowed, filter, party->client_id) ? buffer_span(&e->allowed)
                                                                       : (struct dm_span){0};
}

bool
access_publish(struct engine *e, const struct party *party, struct dm_span name)
{
    const struct engine_client *client = party->client;

    if (client == NULL || client->publish == NULL)
        return true;
    for (size_t i = 0; i < client->publish_count; i++)
        if (topic_matches(allowed_filter(e, party, client->publish[i]), name))
            return true;
    return false;
}

bool
access_is_own(const struct engine *e, struct dm_span name)
{
    const char *topics = e->options->status_topics != NULL ? e->options->status_topics : "";
    size_t prefix = strlen(e->options->topic_prefix);

    if (*topics == '\0' || strncmp(topics, e->options->topic_prefix, prefix) != 0)
        return false;
    size_t len = strlen(topics + prefix);

    return name.len > len && memcmp(name.data, topics + prefix, len) == 0;
}

bool
access_subscribe(struct engine *e, const struct party *party, struct dm_span filter)
{
    const struct engine_client *client = party->client;

    if (client == NULL || client->subscribe == NULL)
        return true;
    for (size_t i = 0; i < client->subscribe_count; i++) {
        struct dm_span allowed = allowed_filter(e, party, client->subscribe[i]);

        if (allowed.len > 0 && topic_filter_covers(allowed, filter))
            return true;
    }
    return false;
}

void
access_denied(struct engine *e, struct dm_span client_id, const char *what, struct dm_span topic)
{
    char id[128];
    char text[128];

    e->status.denied++;
    log_notice("access", "client %s: the configuration does not allow %s%s%s",
               log_escape(id, sizeof id, client_id), what, topic.len > 0 ? " on " : "",
               log_escape(text, sizeof text, topic));
}

/* ---- with another configuration ---- */

static void
deny_subscription(struct engine *e, struct session *s, struct dm_span filter)
{
    access_denied(e, party_of(s).client_id, "the subscription any more", filter);
    session_note(e, s, ENGINE_EVENT_NOT_SUBSCRIBED, MQTTSN_NOT_SUPPORTED);
}

/* Rows that could not become a subscription. */
static bool
end_unmapped(struct engine *e, struct session *s)
{
    const struct unmapped *u;
    bool ended = false;

    LL_FOREACH (e->unmapped, u) {
        if (u->session != s->number)
            continue;
        deny_subscription(e, s, dm_span(u->filter, u->len));
        s->seq = record_subscription_delete(e, s, dm_span(u->filter, u->len));
        ended = true;
    }
    return ended;
}

static bool
end_subscriptions(struct engine *e, struct session *s)
{
    struct party party = party_of(s);
    struct subscription *sub;
    struct subscription *next;
    bool ended = false;

    LL_FOREACH_SAFE (s->subscriptions, sub, next) {
        struct dm_span filter = name_of_session(e, s, sub->filter->name);

        if (access_subscribe(e, &party, filter))
            continue;
        deny_subscription(e, s, filter);
        subscription_end(e, sub, true);
        ended = true;
    }
    return ended;
}

static void
end_will(struct engine *e, struct session *s)
{
    struct party party = party_of(s);

    if (s->will == NULL || s->will->topic == NULL ||
        access_publish(e, &party, name_of_session(e, s, s->will->topic)))
        return;
    access_denied(e, party.client_id, "the will any more", name_of_session(e, s, s->will->topic));
    will_set(e, s, NULL);
}

void
access_review(struct engine *e)
{
    struct session *s;
    struct session *next;

    DL_FOREACH_SAFE (e->sessions, s, next) {
        struct party party = party_of(s);
        bool known = access_is_known(e, &party);

        if (!known)
            access_denied(e, party.client_id, "this client any more", (struct dm_span){0});
        end_will(e, s);
        bool ended = end_subscriptions(e, s);

        ended = end_unmapped(e, s) || ended;

        /* It was told otherwise and must begin again, as in design 6. A persistent session stays,
         * with what waits in it: the next configuration may allow it again. */
        if ((!known || ended) && s->state != ENGINE_DISCONNECTED && s->state != ENGINE_LOST)
            session_leave(e, s, ENGINE_DISCONNECTED);
    }
    unmapped_free(e);
}
