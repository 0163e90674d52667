/* SPDX-License-Identifier: Apache-2.0 */
/* The own connections of devices: what they take from the configuration, and where they belong. */
#include <string.h>

#include <dormouse/log.h>

#include "app_private.h"

/* Those of the client's section, else those of [broker]. */
static void
credentials(void *ctx, struct dm_span client_id, const char **username, const char **password)
{
    const struct app *app = ctx;
    const struct engine_client *client = engine_client_of(runner_engine(app->runner), client_id);
    const struct config_client *section =
        client != NULL ? &app->config->clients[client - app->options->clients] : NULL;
    bool has_own = section != NULL && section->username != NULL;

    *username = has_own ? section->username : app->config->username;
    *password = has_own ? section->password : app->config->password;
}

static bool
is_own(const struct config_settings *settings)
{
    return strcmp(settings->upstream, "own") == 0;
}

/* Sessions keep their connections whatever the configuration says by now. */
static bool
has_own_sessions(const struct app *app)
{
    struct engine_status status;
    size_t count = 0;

    engine_status(runner_engine(app->runner), &status);
    for (size_t i = ENGINE_OWN_NONE + 1; i < ENGINE_OWN_COUNT; i++)
        count += status.own[i];
    return count + status.own_ending > 0;
}

void
app_limit_own(const struct app *app, const struct config *config, struct app_options *options)
{
    bool used = is_own(&config->settings) || has_own_sessions(app);

    for (size_t i = 0; i < config->client_count; i++)
        used = used || is_own(&config->clients[i].settings);
    if (used)
        options->engine.own_max = (uint32_t)own_raise_file_limit(config->own_max);
}

static struct own_options
options_of(struct app *app)
{
    return (struct own_options){
        .upstream = app_upstream_options(app->options, app->config),
        .maximum = app->options->engine.own_max,
        .ctx = app,
        .credentials = credentials,
    };
}

bool
app_start_own(struct app *app)
{
    struct runner_own_events events = runner_own_events(app->runner);

    app->own_options = options_of(app);
    app->own = own_pool_new(app->base, &app->own_options, &events);
    if (app->own == NULL)
        return false;
    app->own_ops = own_pool_for_runner(app->own);
    runner_set_own(app->runner, &app->own_ops);
    return true;
}

void
app_reload_own(struct app *app)
{
    app->own_options = options_of(app);
    own_pool_reconfigure(app->own, &app->own_options);
}

void
app_stop_own(struct app *app)
{
    if (app->own == NULL)
        return;
    runner_set_own(app->runner, NULL);
    own_pool_free(app->own);
}

/* The shared connection has found a broker for all. */
static void
on_broker_back(void *ctx, size_t broker)
{
    own_pool_broker_back(ctx, broker);
}

void
app_tell_own(struct app *app, struct upstream_events *shared)
{
    shared->on_broker_back = on_broker_back;
    shared->back_ctx = app->own;
}
