/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's parts. Nothing outside app*.c includes it. */
#ifndef DORMOUSE_APP_PRIVATE_H
#define DORMOUSE_APP_PRIVATE_H

#include "app.h"
#include "app_options.h"
#include "control.h"
#include "http.h"
#include "own_pool.h"
#include "runner.h"
#include "status_topics.h"

enum { SIGNAL_STOP, SIGNAL_INTERRUPT, SIGNAL_RELOAD, SIGNAL_COUNT };

struct event;

struct app {
    const char *path;      /* of the configuration; NULL: it cannot be read again */
    struct config *config; /* the gateway runs with it */
    bool debug;
    const char *log_levels;    /* as configured */
    const char *status_base;   /* of the status topics */
    struct app_options *options;
    struct event_base *base;
    struct event *timer;
    uint64_t timer_ms; /* when it fires; ENGINE_NEVER: it does not */
    struct event *turn_end;
    struct event *watchdog;
    struct event *log_timer;
    struct event *signals[SIGNAL_COUNT];
    struct runner *runner;
    struct transport **transports;
    size_t transport_count;
    struct store *store;
    struct upstream *upstream;
    struct own_pool *own;
    struct own_options own_options;
    struct runner_own own_ops;
    struct pairing *pairing;
    struct status_topics *status_topics; /* NULL: there are none */
    struct control_source control_source;
    struct control *control;
    struct http *http;
};

/* Tells systemd. */
void app_notify(const char *state);
/* Of the configuration as it is; what there was is closed. */
void app_open_http(struct app *app);
struct status_topics_options app_status_topics(const struct app *app);

/* Raises the limit of open files if there may be own connections, or lowers own_max. The store is
 * loaded. */
void app_limit_own(const struct app *app, const struct config *config, struct app_options *options);
/* False: no memory. */
bool app_start_own(struct app *app);
/* After the configuration has changed. */
void app_reload_own(struct app *app);
void app_stop_own(struct app *app);
/* Lets the own connections know when the shared one is there. */
void app_tell_own(struct app *app, struct upstream_events *shared);

/* Addresses of clients are texts until the links that know what they mean are open. `options` NULL:
 * checks only. False: one is wrong, and reported. */
bool app_find_addresses(const struct app *app, const struct config *config,
                        struct app_options *options, config_report *report, void *ctx);

/* As control_reload of control.h; `ctx` is the app. Also logged. */
enum dm_result app_reload(void *ctx, control_reload_line *line, void *line_ctx);

#endif
