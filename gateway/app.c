/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon: builds every part in order, runs the loop, and takes all apart in reverse. */
#include "app_private.h"

#include <signal.h>
#include <stdlib.h>

#include <event2/event.h>
#include <event2/thread.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <dormouse/log.h>

#include "app_clock.h"
#include "memory.h"

/* At an orderly end; together with the broker's last second well below TimeoutStopSec= of the unit.
 */
enum {
    DRAIN_S = 5,      /* for what waits for the disk and then leaves */
    CLOSE_MS = 10000, /* for the last commit */
};

enum { LOG_LOOK_S = 2 }; /* between two looks at repeated log lines that are not told yet */

/* A timer that fires too early is set anew then: that is cheaper than setting it at each input. */
static void
arm(void *ctx, uint64_t deadline_ms)
{
    struct app *app = ctx;

    if (deadline_ms >= app->timer_ms)
        return;
    uint64_t now = app_clock_boot_ms(NULL);
    uint64_t wait_ms = deadline_ms > now ? deadline_ms - now : 0;
    struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000),
                           .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};

    app->timer_ms = event_add(app->timer, &wait) == 0 ? deadline_ms : ENGINE_NEVER;
}

static void
on_timer(evutil_socket_t fd, short events, void *ctx)
{
    struct app *app = ctx;

    (void)fd;
    (void)events;
    app->timer_ms = ENGINE_NEVER;
    runner_time(app->runner);
}

/* Behind all that is ready now. */
static void
turn_begins(void *ctx)
{
    event_active(((struct app *)ctx)->turn_end, EV_TIMEOUT, 0);
}

static void
on_turn_end(evutil_socket_t fd, short events, void *ctx)
{
    (void)fd;
    (void)events;
    runner_end_turn(((struct app *)ctx)->runner);
}

/* Not through the loop: it does not run while the store is closed, and a disk may hang then. */
static void
on_second_stop(int signal)
{
    static const char text[] = "app: second signal: ending at once\n";
    /* Nothing more can be done about a log that takes nothing. */
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);

    (void)ignored;
    (void)signal;
    _exit(EXIT_FAILURE);
}

static void
on_stop(evutil_socket_t signal, short events, void *ctx)
{
    struct sigaction at_once = {.sa_handler = on_second_stop};
    struct app *app = ctx;

    (void)events;
    log_notice("app", "%s: ending", signal == SIGINT ? "SIGINT" : "SIGTERM");
    event_del(app->signals[SIGNAL_STOP]);
    event_del(app->signals[SIGNAL_INTERRUPT]);
    event_del(app->signals[SIGNAL_RELOAD]);
    sigaction(SIGTERM, &at_once, NULL);
    sigaction(SIGINT, &at_once, NULL);
    event_base_loopbreak(app->base);
}

static void
on_reload(evutil_socket_t signal, short events, void *ctx)
{
    (void)signal;
    (void)events;
    log_notice("app", "SIGHUP: reading the configuration again");
    app_reload(ctx, NULL, NULL);
}

static void
on_libevent_log(int severity, const char *text)
{
    log_write(severity >= EVENT_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "libevent", "%s",
              text);
}

static void
on_log_timer(evutil_socket_t fd, short events, void *ctx)
{
    (void)fd;
    (void)events;
    (void)ctx;
    log_flush_repeats();
}

/* ---- systemd ---- */

void
app_notify(const char *state)
{
#ifdef HAVE_SYSTEMD
    sd_notify(0, state);
#else
    (void)state;
#endif
}

static void
on_watchdog(evutil_socket_t fd, short events, void *ctx)
{
    (void)fd;
    (void)events;
    (void)ctx;
    app_notify("WATCHDOG=1");
}

static void
start_watchdog(struct app *app)
{
#ifdef HAVE_SYSTEMD
    uint64_t period_us;

    if (sd_watchdog_enabled(0, &period_us) <= 0)
        return;
    struct timeval half = {.tv_sec = (time_t)(period_us / 2 / 1000000),
                           .tv_usec = (suseconds_t)(period_us / 2 % 1000000)};
    app->watchdog = event_new(app->base, -1, EV_PERSIST, on_watchdog, app);
    if (app->watchdog != NULL)
        event_add(app->watchdog, &half);
#else
    (void)app;
    (void)on_watchdog;
#endif
}

/* ---- building ---- */

static bool
start_loop(struct app *app)
{
    signal(SIGPIPE, SIG_IGN);
    event_set_log_callback(on_libevent_log);
    evthread_use_pthreads();
    const struct timeval log_look = {.tv_sec = LOG_LOOK_S};

    app->base = event_base_new();
    if (app->base == NULL)
        return false;
    app->timer = evtimer_new(app->base, on_timer, app);
    app->turn_end = evtimer_new(app->base, on_turn_end, app);
    app->log_timer = event_new(app->base, -1, EV_PERSIST, on_log_timer, app);
    app->signals[SIGNAL_RELOAD] = evsignal_new(app->base, SIGHUP, on_reload, app);
    return app->timer != NULL && app->turn_end != NULL && app->log_timer != NULL &&
           event_add(app->log_timer, &log_look) == 0 && app->signals[SIGNAL_RELOAD] != NULL &&
           event_add(app->signals[SIGNAL_RELOAD], NULL) == 0;
}

/* The last step of the start. Until then SIGTERM ends the process at once, as it has promised
 * nothing yet, and reading a large store or waiting for a disk may take long. */
static bool
start_stopping(struct app *app)
{
    app->signals[SIGNAL_STOP] = evsignal_new(app->base, SIGTERM, on_stop, app);
    app->signals[SIGNAL_INTERRUPT] = evsignal_new(app->base, SIGINT, on_stop, app);
    return app->signals[SIGNAL_STOP] != NULL && app->signals[SIGNAL_INTERRUPT] != NULL &&
           event_add(app->signals[SIGNAL_STOP], NULL) == 0 &&
           event_add(app->signals[SIGNAL_INTERRUPT], NULL) == 0;
}

static bool
start_links(struct app *app)
{
    struct transport_listener listener = runner_transport_listener(app->runner);
    char error[256];

    app->transports = calloc(app->config->link_count, sizeof(struct transport *));
    if (app->transports == NULL)
        return false;
    for (size_t i = 0; i < app->config->link_count; i++) {
        const struct config_link *link = &app->config->links[i];
        struct transport *transport =
            app_open_link(app->base, link, (uint8_t)i, &listener, error, sizeof error);
        struct transport_status status = {0};

        if (transport == NULL) {
            log_error("app", "[%s %s] %s", link->kind == CONFIG_UDP ? "udp" : "serial", link->name,
                      error);
            return false;
        }
        app->transports[app->transport_count++] = transport;
        transport->ops->status(transport, &status);
        app->options->links[i].up = status.up;
        log_notice("app", "[%s %s] %s %s", transport->kind, transport->name,
                   status.up ? "on" : "waiting for", status.device);
    }
    runner_set_transports(app->runner, app->transports, app->transport_count);
    return true;
}

bool
app_find_addresses(const struct app *app, const struct config *config, struct app_options *options,
                   config_report *report, void *ctx)
{
    for (size_t i = 0; i < config->client_count; i++) {
        const struct config_client *client = &config->clients[i];
        struct dm_address address;
        char pattern[128], text[256];

        if (client->address == NULL)
            continue;
        if (transport_address_parse(app->transports, app->transport_count, client->address,
                                    &address) != DM_OK) {
            snprintf(text, sizeof text, "[client %s] address: %s is no address of this link",
                     log_escape(pattern, sizeof pattern, dm_span_text(client->pattern)),
                     client->address);
            report(ctx, false, text);
            return false;
        }
        if (options != NULL) {
            options->addresses[i] = address;
            options->clients[i].address = &options->addresses[i];
        }
    }
    return true;
}

static void
on_bad_address(void *ctx, bool warning, const char *text)
{
    (void)ctx;
    (void)warning;
    log_error("app", "%s", text);
}

static bool
start_store(struct app *app)
{
    struct store_options options = {
        .directory = app->config->state_dir,
        .sync_full = app->config->sync_full,
        .commit_interval_ms = (unsigned)app->config->commit_interval_ms,
    };
    struct store_events events = runner_store_events(app->runner);
    char error[256];

    app->store = store_sqlite_open(app->base, &options, &events, runner_load, app->runner, error,
                                   sizeof error);
    if (app->store == NULL) {
        log_error("store", "%s", error);
        return false;
    }
    runner_set_store(app->runner, app->store);
    return true;
}

static bool
start_upstream(struct app *app)
{
    struct upstream_options options = app_upstream_options(app->options, app->config);
    struct upstream_events events = runner_upstream_events(app->runner);
    char error[256];

    if (app->status_topics != NULL)
        events = status_topics_events(app->status_topics, &events);
    if (!app_start_own(app))
        return false;
    app_tell_own(app, &events);
    app->upstream = upstream_open(app->base, &options, &events, error, sizeof error);
    if (app->upstream == NULL) {
        log_error("upstream", "%s", error);
        return false;
    }
    runner_set_upstream(app->runner, app->upstream);
    app->control_source.upstream = app->upstream;
    app->control_source.own = app->own;
    return true;
}

struct status_topics_options
app_status_topics(const struct app *app)
{
    return (struct status_topics_options){.base = app->options->status_topics,
                                          .interval_ms = app->config->status_interval_ms,
                                          .home_assistant = app->options->home_assistant,
                                          .wall_ms = app_clock_shown_ms};
}

/* What operators look at. */
static bool
start_status(struct app *app)
{
    struct status_topics_options options = app_status_topics(app);

    app->status_base = options.base;
    app->pairing = pairing_new(app->base, app->transports, app->transport_count, PAIRING_MS);
    app->control_source = (struct control_source){
        .name = app->config->name,
        .log_levels = &app->log_levels,
        .status_topics = &app->status_base,
        .reload = {app_reload, app},
        .gateway_id = app->config->gateway_id,
        .started_ms = app_clock_boot_ms(NULL),
        .now_ms = app_clock_boot_ms,
        .runner = app->runner,
        .transports = app->transports,
        .transport_count = app->transport_count,
        .store = app->store,
        .pairing = app->pairing,
    };
    if (*options.base != '\0')
        app->status_topics = status_topics_new(app->base, &options, &app->control_source);
    return *options.base == '\0' || app->status_topics != NULL;
}

/* Without it the gateway still does its work, so it is no reason to stay down. */
static void
start_control(struct app *app)
{
    char error[256] = "out of memory";

    if (app->pairing != NULL)
        app->control = control_open(app->base, app->config->control_socket, &app->control_source,
                                    error, sizeof error);
    if (app->control == NULL)
        log_error("control", "no control socket: %s", error);
}

void
app_open_http(struct app *app)
{
    struct http_options options = {.address = app->config->http, .token = app->config->http_token};

    http_close(app->http);
    app->http = NULL;
    if (*options.address == '\0' || app->pairing == NULL)
        return;
    app->http = http_open(app->base, &options, &app->control_source);
    if (app->http == NULL)
        log_error("http", "no status page: out of memory");
}

static bool
start(struct app *app)
{
    char boot_id[CLOCK_BOOT_ID_SIZE];
    struct runner_options options = {.ctx = app,
                                     .now_ms = app_clock_boot_ms,
                                     .wall_ms = app_clock_wall_ms,
                                     .boot_id = app_clock_boot_id(boot_id),
                                     .arm = arm,
                                     .turn_begins = turn_begins};

    app->options = calloc(1, sizeof *app->options);
    if (app->options == NULL)
        return false;
    if (app_options_init(app->options, app->config) != DM_OK || !start_loop(app))
        return false;
    options.engine = &app->options->engine;
    app->runner = runner_new(&options);
    if (app->runner == NULL || !start_links(app) ||
        !app_find_addresses(app, app->config, app->options, on_bad_address, NULL) ||
        !start_store(app))
        return false;
    app_limit_own(app, app->config, app->options);
    if (!start_status(app) || !start_upstream(app))
        return false;
    runner_start(app->runner);
    start_control(app);
    app_open_http(app);
    return start_stopping(app);
}

/* ---- ending ---- */

/* The loop goes on until no answer waits for the disk any more, or the time is over. */
static void
drain(struct app *app)
{
    static const struct timeval limit = {.tv_sec = DRAIN_S};
    struct runner_status status;

    event_base_loopexit(app->base, &limit);
    runner_status(app->runner, &status);
    while (status.held > 0 && !event_base_got_exit(app->base)) {
        event_base_loop(app->base, EVLOOP_ONCE);
        runner_status(app->runner, &status);
    }
    if (status.held > 0)
        log_warning("app", "%llu answers still waited for the disk: devices and broker will repeat",
                    (unsigned long long)status.held);
}

/* False: something that was not promised to anybody yet, but ought to be kept, is not on disk. */
static bool
stop(struct app *app)
{
    bool durable = true;

    http_close(app->http);
    control_close(app->control);
    pairing_free(app->pairing);
    if (app->upstream != NULL) {
        runner_shutdown(app->runner);
        drain(app);
        if (app->status_topics != NULL)
            status_topics_goodbye(app->status_topics);
        runner_set_upstream(app->runner, NULL);
        app->upstream->ops->free(app->upstream);
    }
    app_stop_own(app);
    status_topics_free(app->status_topics);
    if (app->store != NULL)
        durable = app->store->ops->close(app->store, CLOSE_MS);
    if (!durable)
        log_error("store", "not everything could be written before the end");
    while (app->transport_count > 0) {
        struct transport *transport = app->transports[--app->transport_count];

        if (transport != NULL)
            transport->ops->free(transport);
    }
    free(app->transports);
    runner_free(app->runner);
    for (size_t i = 0; i < sizeof app->signals / sizeof app->signals[0]; i++)
        if (app->signals[i] != NULL)
            event_free(app->signals[i]);
    if (app->watchdog != NULL)
        event_free(app->watchdog);
    if (app->timer != NULL)
        event_free(app->timer);
    if (app->turn_end != NULL)
        event_free(app->turn_end);
    if (app->log_timer != NULL)
        event_free(app->log_timer);
    if (app->base != NULL)
        event_base_free(app->base);
    if (app->options != NULL)
        app_options_fini(app->options);
    free(app->options);
    config_free(app->config);
    libevent_global_shutdown();
    return durable;
}

int
app_run(const char *path, struct config *config, bool debug)
{
    struct app app = {.timer_ms = ENGINE_NEVER,
                      .path = path,
                      .config = config,
                      .debug = debug,
                      .log_levels = debug ? "debug" : config->log_level};
    int status = EXIT_FAILURE;

    log_set_levels(app.log_levels);
    log_fold_repeats(true);
    if (start(&app)) {
        start_watchdog(&app);
        memory_give_back(); /* what reading the configuration and the store needed */
        app_notify("READY=1");
        log_notice("app", "dormoused %s is ready", DORMOUSE_VERSION);
        if (event_base_dispatch(app.base) >= 0)
            status = EXIT_SUCCESS;
        app_notify("STOPPING=1");
    }
    if (!stop(&app))
        status = EXIT_FAILURE;
    log_fold_repeats(false);
    return status;
}
