/* SPDX-License-Identifier: Apache-2.0 */
/* Other options while the engine runs. */
#include "engine_private.h"

#include <assert.h>

static bool
same_clients(const struct engine_options *a, const struct engine_options *b)
{
    bool same = a->client_count == b->client_count;

    for (size_t i = 0; same && i < a->client_count; i++)
        same = strcmp(a->clients[i].pattern, b->clients[i].pattern) == 0 &&
               a->clients[i].uses_client_id == b->clients[i].uses_client_id;
    return same;
}

/* What is configured for the session now; `same`: for the same clients, so nobody is looked for. */
static const struct engine_client *
client_after(const struct session *s, const struct engine_options *old,
             const struct engine_options *options, bool same)
{
    if (same && s->client == NULL)
        return NULL;
    return same ? &options->clients[s->client - old->clients]
                : party_among(options, dm_span(s->client_id, s->client_id_len)).client;
}

void
engine_reconfigure(struct engine *e, uint64_t now_ms, const struct engine_options *options)
{
    const struct engine_options *old = e->options;
    bool readvertise = options->advertise_ms != old->advertise_ms;
    bool same = same_clients(old, options);
    struct session *s;

    assert(options->link_count == e->options->link_count);
    engine_at(e, now_ms);
    e->options = options;
    e->handshake_ms = handshake_patience(options);
    brokers_reconfigure(e, old);
    names_init(e); /* without memory only long names suffer */
    if (readvertise)
        discovery_reconfigure(e);
    DL_FOREACH (e->sessions, s) {
        s->client = client_after(s, old, options, same);
        queue_date(e, s); /* max_age */
        session_schedule(e, s);
    }
    access_review(e);
    own_reconfigure(e);
    inbound_flush(e);
}
