/* SPDX-License-Identifier: Apache-2.0 */
/* Effects and inputs about the own connections of devices. */
#include "runner_private.h"

/* ---- effects ---- */

/* The client's section is that of now: an effect may be held while the configuration changes. */
void
runner_open_own(const struct runner *r, uint64_t connection, const struct engine_open *open)
{
    struct engine_open now = *open;

    now.client = engine_client_of(r->engine, open->client_id);
    if (r->own != NULL)
        r->own->open(r->own->ctx, connection, &now);
}

void
runner_close_own(struct runner *r, uint64_t connection, const struct engine_close *close)
{
    struct engine_close now = *close;

    now.client = engine_client_of(r->engine, close->client_id);
    held_drop_packets(&r->held, connection); /* none may leave over the next one of this number */
    if (r->own != NULL)
        r->own->close(r->own->ctx, connection, &now);
}

enum dm_result
runner_emit_own(struct runner *r, const struct engine_effect *effect)
{
    uint64_t connection = effect->connection;
    bool open = effect->type == ENGINE_OPEN;

    if (effect->needs > r->committed)
        return (open ? held_add_open(&r->held, effect->needs, connection, &effect->open)
                     : held_add_close(&r->held, effect->needs, connection, &effect->close))
                   ? DM_OK
                   : DM_NO_MEMORY;
    if (open)
        runner_open_own(r, connection, &effect->open);
    else
        runner_close_own(r, connection, &effect->close);
    return DM_OK;
}

/* ---- inputs ---- */

/* The engine has said ENGINE_CLOSE, which waits for the disk: what still comes of the connection is
 * not of the one that it perhaps wants by now. */
static bool
is_over(const struct runner *r, uint64_t connection)
{
    return held_closes(&r->held, connection);
}

static void
on_own_connected(void *ctx, uint64_t connection, const struct upstream_session *session)
{
    struct runner *r = ctx;

    if (is_over(r, connection))
        return;
    engine_upstream_connected(r->engine, runner_now_ms(r), connection, session);
    runner_input_over(r);
}

static void
on_own_disconnected(void *ctx, uint64_t connection, enum upstream_end why)
{
    struct runner *r = ctx;

    held_drop_packets(&r->held, connection);
    if (is_over(r, connection))
        return;
    engine_upstream_disconnected(r->engine, runner_now_ms(r), connection, why);
    runner_input_over(r);
}

static void
on_own_packet(void *ctx, uint64_t connection, const struct mqtt_packet *packet)
{
    struct runner *r = ctx;

    if ((r->stopping && packet->type == MQTT_PUBLISH) || is_over(r, connection))
        return;
    engine_upstream_packet(r->engine, runner_now_ms(r), connection, packet);
    runner_input_over(r);
}

static void
on_own_wiped(void *ctx, uint64_t connection)
{
    struct runner *r = ctx;

    engine_upstream_wiped(r->engine, runner_now_ms(r), connection);
    runner_input_over(r);
}

struct runner_own_events
runner_own_events(struct runner *r)
{
    return (struct runner_own_events){.ctx = r,
                                      .on_connected = on_own_connected,
                                      .on_disconnected = on_own_disconnected,
                                      .on_packet = on_own_packet,
                                      .on_wiped = on_own_wiped};
}

void
runner_set_own(struct runner *r, const struct runner_own *own)
{
    r->own = own;
}
