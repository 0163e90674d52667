/* SPDX-License-Identifier: Apache-2.0 */
/* Host names to socket addresses without stopping the loop: getaddrinfo in a detached thread, one
 * for all that ask for the same host meanwhile. */
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
#include <utlist.h>

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
struct inquiry {
    struct event_base *base;
    struct lookup *lookup;
    struct event *event;
    struct resolve_job *jobs;
    struct inquiry *prev, *next;
};

struct resolve_job {
    struct inquiry *inquiry;
    resolve_done *done;
    void *ctx;
    struct resolve_job *prev, *next;
};

static struct inquiry *inquiries; /* under way */

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

/* Takes them over. NULL: there are none, or no memory. */
static struct resolve_addresses *
addresses_new(struct addrinfo *first)
{
    struct resolve_addresses *addresses = first != NULL ? malloc(sizeof *addresses) : NULL;

    if (addresses == NULL) {
        if (first != NULL)
            freeaddrinfo(first);
        return NULL;
    }
    *addresses = (struct resolve_addresses){.first = first, .users = 1};
    return addresses;
}

void
resolve_release(struct resolve_addresses *addresses)
{
    if (addresses == NULL || --addresses->users > 0)
        return;
    freeaddrinfo(addresses->first);
    free(addresses);
}

struct resolve_addresses *
resolve_numeric(const char *host, const char *port)
{
    int error;

    return addresses_new(look_up(host, port, AI_NUMERICHOST, &error));
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

/* The thread ends by itself. */
static void
abandon(struct lookup *lookup)
{
    pthread_mutex_lock(&lookup->mutex);
    lookup->cancelled = true;
    bool finished = lookup->finished;
    pthread_mutex_unlock(&lookup->mutex);
    if (finished)
        lookup_free(lookup);
}

static void
on_finished(evutil_socket_t fd, short what, void *ctx)
{
    struct inquiry *inquiry = ctx;
    struct lookup *lookup = inquiry->lookup;
    struct resolve_job *job;
    char error[120] = "";

    (void)fd;
    (void)what;
    pthread_mutex_lock(&lookup->mutex); /* the thread may still be about to unlock */
    struct addrinfo *found = lookup->addresses;
    lookup->addresses = NULL;
    pthread_mutex_unlock(&lookup->mutex);
    struct resolve_addresses *addresses = addresses_new(found);
    if (found == NULL)
        snprintf(error, sizeof error, "%s",
                 lookup->error == EAI_SYSTEM ? strerror(lookup->system_error)
                                             : gai_strerror(lookup->error));
    event_free(inquiry->event);
    lookup_free(lookup);
    DL_DELETE(inquiries, inquiry);
    /* What is done for one may cancel another: jobs leave the list one by one. */
    inquiry->event = NULL;
    inquiry->lookup = NULL;
    while ((job = inquiry->jobs) != NULL) {
        resolve_done *done = job->done;
        void *done_ctx = job->ctx;

        DL_DELETE(inquiry->jobs, job);
        free(job);
        if (addresses != NULL)
            addresses->users++;
        done(done_ctx, addresses, error);
    }
    resolve_release(addresses);
    free(inquiry);
}

/* NULL: no memory or thread. */
static struct inquiry *
inquiry_new(struct event_base *base, const char *host, const char *port)
{
    struct inquiry *inquiry = calloc(1, sizeof *inquiry);

    if (inquiry == NULL)
        return NULL;
    inquiry->base = base;
    inquiry->lookup = lookup_new(host, port);
    if (inquiry->lookup == NULL)
        goto fail;
    inquiry->event = event_new(base, inquiry->lookup->wakeup, EV_READ, on_finished, inquiry);
    if (inquiry->event == NULL || event_add(inquiry->event, NULL) != 0 ||
        start_thread(inquiry->lookup) != 0)
        goto fail;
    DL_APPEND(inquiries, inquiry);
    return inquiry;

fail:
    if (inquiry->event != NULL)
        event_free(inquiry->event);
    if (inquiry->lookup != NULL)
        lookup_free(inquiry->lookup);
    free(inquiry);
    return NULL;
}

static struct inquiry *
find_inquiry(const struct event_base *base, const char *host, const char *port)
{
    struct inquiry *inquiry;

    DL_FOREACH (inquiries, inquiry)
        if (inquiry->base == base && strcmp(inquiry->lookup->host, host) == 0 &&
            strcmp(inquiry->lookup->port, port) == 0)
            break;
    return inquiry;
}

struct resolve_job *
resolve_start(struct event_base *base, const char *host, const char *port, resolve_done *done,
              void *ctx)
{
    struct resolve_job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return NULL;
    *job =
        (struct resolve_job){.inquiry = find_inquiry(base, host, port), .done = done, .ctx = ctx};
    if (job->inquiry == NULL)
        job->inquiry = inquiry_new(base, host, port);
    if (job->inquiry == NULL) {
        free(job);
        return NULL;
    }
    DL_APPEND(job->inquiry->jobs, job);
    return job;
}

void
resolve_cancel(struct resolve_job *job)
{
    struct inquiry *inquiry = job->inquiry;

    DL_DELETE(inquiry->jobs, job);
    free(job);
    if (inquiry->jobs != NULL || inquiry->lookup == NULL) /* it is telling the others just now */
        return;
    event_free(inquiry->event);
    DL_DELETE(inquiries, inquiry);
    abandon(inquiry->lookup);
    free(inquiry);
}
