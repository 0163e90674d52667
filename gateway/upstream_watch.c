/* SPDX-License-Identifier: Apache-2.0 */
/* What is looked after while a connection stands: certificates that end soon, and whether the first
 * broker is back. */
#include "upstream_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include <dormouse/log.h>

#include "upstream_dial.h"

#define CERTIFICATES_S (24 * 3600) /* between two looks at certificates */
#define ASK_AGAIN_MS 100
#define ASK_MAX 50

struct upstream_watch {
    struct event_base *base;
    const struct upstream_options *options;
    struct upstream_targets *targets;
    bool (*on_back)(void *ctx, bool at_once);
    void *ctx;
    struct event *certificates; /* timer */
    struct event *back;         /* timer */
    struct dial *dial;          /* to the first broker */
    const char *url;            /* of the connection */
    int64_t peer_ends;          /* 0: no TLS */
    unsigned asked;             /* how often on_back was */
};

/* ---- certificates ---- */

static void
warn_end(const char *url, const char *whose, int64_t ends)
{
    char when[TLS_TIME_SIZE];
    int64_t left_s = ends - (int64_t)time(NULL);

    if (ends == 0 || left_s >= TLS_WARN_S)
        return;
    log_warning("upstream", "%s: %s certificate %s %s", url, whose, left_s > 0 ? "ends" : "ended",
                tls_time_text(ends, when));
}

static void
look_at_certificates(struct upstream_watch *watch)
{
    static const char *const keys[] = {"ca_file", "cert_file", "key_file"};
    struct timeval wait = {.tv_sec = CERTIFICATES_S};
    struct tls_problem problem;
    int64_t own_ends;

    if (watch->peer_ends == 0)
        return;
    warn_end(watch->url, "the broker's", watch->peer_ends);
    if (tls_files_check(&watch->options->tls, &own_ends, &problem))
        warn_end(watch->url, "our", own_ends);
    else
        log_warning("upstream", "%s: the next connection will fail: %s: %s", watch->url,
                    keys[problem.file], problem.text);
    evtimer_add(watch->certificates, &wait);
}

static void
on_certificates(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    look_at_certificates(ctx);
}

/* ---- the first broker ---- */

static void
arm_back(struct upstream_watch *watch, uint64_t wait_ms)
{
    struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000),
                           .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};

    evtimer_add(watch->back, &wait);
}

static void
on_dialed(void *ctx, int fd, const char *error)
{
    struct upstream_watch *watch = ctx;

    watch->dial = NULL;
    if (fd >= 0) {
        close(fd);
        if (!watch->on_back(watch->ctx, ++watch->asked >= ASK_MAX))
            arm_back(watch, ASK_AGAIN_MS);
        return;
    }
    snprintf(watch->targets->items[0].error, UPSTREAM_ERROR_MAX, "%s", error);
    arm_back(watch, watch->options->return_ms);
}

static void
on_back_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct upstream_watch *watch = ctx;
    const struct upstream_broker *broker = &watch->targets->items[0].broker;

    (void)fd;
    (void)what;
    watch->dial = dial_start(watch->base, broker->host, broker->port, on_dialed, watch);
    if (watch->dial == NULL)
        arm_back(watch, watch->options->return_ms);
}

/* ---- life ---- */

struct upstream_watch *
upstream_watch_new(struct event_base *base, const struct upstream_options *options,
                   struct upstream_targets *targets, bool (*on_back)(void *ctx, bool at_once),
                   void *ctx)
{
    struct upstream_watch *watch = calloc(1, sizeof *watch);

    if (watch == NULL)
        return NULL;
    *watch = (struct upstream_watch){
        .base = base, .options = options, .targets = targets, .on_back = on_back, .ctx = ctx};
    watch->certificates = evtimer_new(base, on_certificates, watch);
    watch->back = evtimer_new(base, on_back_timer, watch);
    if (watch->certificates != NULL && watch->back != NULL)
        return watch;
    upstream_watch_free(watch);
    return NULL;
}

void
upstream_watch_free(struct upstream_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->dial != NULL)
        dial_cancel(watch->dial);
    if (watch->certificates != NULL)
        event_free(watch->certificates);
    if (watch->back != NULL)
        event_free(watch->back);
    free(watch);
}

void
upstream_watch_start(struct upstream_watch *watch, const char *url, const struct tls_status *tls,
                     bool away)
{
    watch->url = url;
    watch->peer_ends = tls->peer_ends;
    watch->asked = 0;
    look_at_certificates(watch);
    if (away && watch->options->return_ms != UPSTREAM_NEVER)
        arm_back(watch, watch->options->return_ms);
}

void
upstream_watch_stop(struct upstream_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->dial != NULL)
        dial_cancel(watch->dial);
    watch->dial = NULL;
    evtimer_del(watch->certificates);
    evtimer_del(watch->back);
}
