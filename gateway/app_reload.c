/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the configuration again, and lets the running parts have what they can take of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dormouse/log.h>

#include "app_clock.h"
#include "app_private.h"
#include "config_changes.h"

struct reload {
    control_reload_line *line; /* NULL: nobody but the log wants to know */
    void *line_ctx;
    unsigned changed, waiting; /* of what takes effect now, and at the next start */
    bool broker;               /* what changed needs a new connection to it */
};

static void
tell(const struct reload *reload, enum control_reload_kind kind, const char *text)
{
    if (reload->line != NULL)
        reload->line(reload->line_ctx, kind, text);
}

static void
on_report(void *ctx, bool warning, const char *text)
{
    if (warning)
        log_warning("config", "%s", text);
    else
        log_error("config", "%s", text);
    tell(ctx, warning ? CONTROL_RELOAD_WARNING : CONTROL_RELOAD_ERROR, text);
}

static void
on_change(void *ctx, enum config_section section, bool restart, const char *what)
{
    struct reload *reload = ctx;

    if (restart) {
        log_warning("config", "%s: takes effect at the next start", what);
        reload->waiting++;
    } else {
        log_notice("config", "%s: changed", what);
        reload->changed++;
        reload->broker = reload->broker || section == SECTION_BROKER;
    }
    tell(reload, restart ? CONTROL_RELOAD_RESTART : CONTROL_RELOAD_CHANGED, what);
}

static bool
differ(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

/* The parts borrow from the configuration before until this returns. */
static void
apply(struct app *app, struct app_options *options, const struct config *old,
      const struct reload *reload)
{
    app->status_base = options->status_topics;
    app->log_levels = app->debug ? "debug" : app->config->log_level;
    if (differ(old->log_level, app->config->log_level))
        log_set_levels(app->log_levels);
    runner_reconfigure(app->runner, &options->engine);
    if (app->status_topics != NULL) {
        struct status_topics_options topics = app_status_topics(app);

        status_topics_reconfigure(app->status_topics, &topics);
    }
    if (reload->broker) {
        struct upstream_options upstream = app_upstream_options(options, app->config);

        if (app->status_topics != NULL)
            status_topics_goodbye(app->status_topics);
        if (app->upstream->ops->reconfigure(app->upstream, &upstream) != DM_OK)
            log_error("upstream", "out of memory: the connection stays as it was");
    }
    app_reload_own(app);
    if (differ(old->http, app->config->http) || differ(old->http_token, app->config->http_token))
        app_open_http(app);
}

/* Takes `next` over in any case. */
static enum dm_result
change_to(struct app *app, struct config *next, const struct reload *reload)
{
    struct app_options *options = calloc(1, sizeof *options);
    struct app_options *before = app->options;
    struct config *old = app->config;

    if (options == NULL || config_adopt(old, next) != DM_OK) {
        free(options);
        config_free(next);
        return DM_NO_MEMORY;
    }
    /* From here on the fixed part is in `next`, and the running parts borrow from both. */
    if (app_options_init(options, next) != DM_OK ||
        !app_find_addresses(app, next, options, on_report, (void *)(uintptr_t)reload)) {
        log_error("app", "out of memory in the middle of a reload: ending, to begin anew");
        abort();
    }
    app_limit_own(app, next, options);
    app->config = next;
    app->options = options;
    apply(app, options, old, reload);
    app_options_fini(before);
    free(before);
    config_free(old);
    return DM_OK;
}

static void
notify_reloading(void)
{
    char text[64];

    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, app_clock_monotonic_us());
    app_notify(text);
}

enum dm_result
app_reload(void *ctx, control_reload_line *line, void *line_ctx)
{
    struct app *app = ctx;
    struct reload reload = {.line = line, .line_ctx = line_ctx};
    struct config *next;

    notify_reloading();
    enum dm_result result = config_load(app->path, on_report, &reload, &next);
    if (result == DM_OK && !app_find_addresses(app, next, NULL, on_report, &reload)) {
        config_free(next);
        result = DM_INVALID;
    }
    if (result == DM_OK) {
        config_compare(app->config, next, on_change, &reload);
        result = change_to(app, next, &reload);
        if (result != DM_OK)
            on_report(&reload, false, "out of memory");
    }
    if (result != DM_OK)
        log_error("app", "%s: not taken; everything stays as it was", app->path);
    else
        log_notice("app", "%s: read again, %u changes, %u more at the next start", app->path,
                   reload.changed, reload.waiting);
    app_notify("READY=1");
    return result;
}
