/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to socket addresses without stopping the loop: getaddrinfo in a detached thread. */
#include "upstream_resolve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

/* What thread and loop share; whoever finds the other one gone frees it. getaddrinfo cannot be
 * interrupted, so a cancelled job lives on until it returns. */
struct lookup {
    pthread_mutex_t mutex;
    bool cancelled; /* by the loop */
    bool finished;  /* by the thread */
    int wakeup;     /* eventfd, readable when finished */
    int error;      /* of getaddrinfo */
    int system_error;
    struct addrinfo *addresses;
    char *host;
    char *port;
};

/* The loop's side. */
struct resolve_job {
    struct lookup *lookup;
    struct event *event;
    resolve_done *done;
    void *ctx;
};

static struct addrinfo *
look_up(const char *host, const char *port, int flags, int *error)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | flags,
    };
    struct addrinfo *addresses = NULL;

    *error = getaddrinfo(host, port, &hints, &addresses);
    return *error == 0 ? addresses : NULL;
}

struct addrinfo *
resolve_numeric(const char *host, const char *port)
{
    int error;
    return look_up(host, port, AI_NUMERICHOST, &error);
}

static void
lookup_free(struct lookup *lookup)
{
    if (lookup->addresses != NULL)
        freeaddrinfo(lookup->addresses);
    if (lookup->wakeup >= 0)
        close(lookup->wakeup);
    pthread_mutex_destroy(&lookup->mutex);
    free(lookup->host);
    free(lookup->port);
    free(lookup);
}

static struct lookup *
lookup_new(const char *host, const char *port)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);

    if (lookup == NULL)
        return NULL;
    pthread_mutex_init(&lookup->mutex, NULL);
    lookup->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    lookup->host = strdup(host);
    lookup->port = strdup(port);
    if (lookup->wakeup < 0 || lookup->host == NULL || lookup->port == NULL) {
        lookup_free(lookup);
        return NULL;
    }
    return lookup;
}

static void *
run_lookup(void *argument)
{
    struct lookup *lookup = argument;
    int error;
    struct addrinfo *addresses = look_up(lookup->host, lookup->port, 0, &error);
    int system_error = errno;

    pthread_mutex_lock(&lookup->mutex);
    lookup->error = error;
    lookup->system_error = system_error;
    lookup->addresses = addresses;
    lookup->finished = true;
    bool cancelled = lookup->cancelled;
    if (!cancelled) /* under the lock: once it is released, the loop may free everything */
        eventfd_write(lookup->wakeup, 1);
    pthread_mutex_unlock(&lookup->mutex);
    if (cancelled)
        lookup_free(lookup);
    return NULL;
}

/* Signals stay with the main thread, which waits for them. */
static int
start_thread(struct lookup *lookup)
{
    sigset_t all, before;
    pthread_t thread;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, run_lookup, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        pthread_detach(thread);
    return error;
}

static void
on_finished(evutil_socket_t fd, short what, void *ctx)
{
    struct resolve_job *job = ctx;
    struct lookup *lookup = job->lookup;
    resolve_done *done = job->done;
    void *done_ctx = job->ctx;
    char error[120] = "";

    (void)fd;
    (void)what;
    pthread_mutex_lock(&lookup->mutex); /* the thread may still be about to unlock */
    struct addrinfo *addresses = lookup->addresses;
    lookup->addresses = NULL;
    pthread_mutex_unlock(&lookup->mutex);
    if (addresses == NULL)
        snprintf(error, sizeof error, "%s",
                 lookup->error == EAI_SYSTEM ? strerror(lookup->system_error)
                                             : gai_strerror(lookup->error));
    event_free(job->event);
    lookup_free(lookup);
    free(job);
    done(done_ctx, addresses, error);
}

struct resolve_job *
resolve_start(struct event_base *base, const char *host, const char *port, resolve_done *done,
              void *ctx)
{
    struct lookup *lookup = NULL;
    struct resolve_job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return NULL;
    lookup = lookup_new(host, port);
    if (lookup == NULL)
        goto fail;
    *job = (struct resolve_job){.lookup = lookup, .done = done, .ctx = ctx};
    job->event = event_new(base, lookup->wakeup, EV_READ, on_finished, job);
    if (job->event == NULL || event_add(job->event, NULL) != 0 || start_thread(lookup) != 0)
        goto fail;
    return job;

fail:
    if (job->event != NULL)
        event_free(job->event);
    if (lookup != NULL)
        lookup_free(lookup);
    free(job);
    return NULL;
}

void
resolve_cancel(struct resolve_job *job)
{
    struct lookup *lookup = job->lookup;

    event_free(job->event);
    pthread_mutex_lock(&lookup->mutex);
    lookup->cancelled = true;
    bool finished = lookup->finished;
    pthread_mutex_unlock(&lookup->mutex);
    if (finished)
        lookup_free(lookup);
    free(job);
}
