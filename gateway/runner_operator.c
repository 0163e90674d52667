/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask of the engine, and what others tell of it. */
#include "runner_private.h"

enum dm_result
runner_forget(struct runner *r, struct dm_span client_id)
{
    enum dm_result result = engine_forget(r->engine, runner_now_ms(r), client_id);

    runner_input_over(r);
    return result;
}

enum dm_result
runner_disconnect(struct runner *r, struct dm_span client_id)
{
    enum dm_result result = engine_disconnect(r->engine, runner_now_ms(r), client_id);

    runner_input_over(r);
    return result;
}

enum dm_result
runner_drop_queue(struct runner *r, struct dm_span client_id, size_t *dropped, size_t *kept)
{
    enum dm_result result =
        engine_drop_queue(r->engine, runner_now_ms(r), client_id, dropped, kept);

    runner_input_over(r);
    return result;
}

bool
runner_tell_changes(struct runner *r, const struct engine_change_pace *pace,
                    engine_visit_change *visit, void *ctx)
{
    return engine_tell_changes(r->engine, runner_now_ms(r), pace, visit, ctx);
}

void
runner_change_all(struct runner *r)
{
    engine_change_all(r->engine);
}

bool
runner_forgot_ends(struct runner *r)
{
    return engine_forgot_ends(r->engine);
}

enum dm_result
runner_remember_contact(struct runner *r, struct dm_span client_id, uint64_t contact_ms)
{
    return engine_remember_contact(r->engine, client_id, contact_ms);
}

void
runner_reconfigure(struct runner *r, const struct engine_options *options)
{
    engine_reconfigure(r->engine, runner_now_ms(r), options);
    r->options.engine = options;
    runner_input_over(r);
}
