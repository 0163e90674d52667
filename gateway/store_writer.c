/* SPDX-License-Identifier: Apache-2.0 */
/* The writer thread of the store: when to commit, what to do when the disk refuses, whom to tell.
 */
#include "store_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include <dormouse/log.h>

#define NEVER UINT64_MAX
#define LAZY_MS 1000     /* a lazy record waits at most this long (design.md section 8) */
#define REST_MS 2000     /* without work: memory is given back */
#define ENOUGH 64        /* records: a batch of so many does not wait for more */
#define LAZY_ENOUGH 4096 /* the same, of lazy ones: some 1.7 MB of memory */
#define RETRY_MIN_MS 100 /* after a failed commit; doubles up to the maximum */
#define RETRY_MAX_MS 5000

struct store_writer {
    struct store_backend backend;
    struct store_events events;
    unsigned commit_interval_ms;
    pthread_t thread;
    int wake_fd; /* eventfd: the thread has news for the loop */

    uint64_t rest_at_ms;    /* the thread's own; NEVER: it has rested since the last batch */
    uint64_t recover_at_ms; /* the thread's own; degraded: when to ask the backend again */

    /* The loop's own */
    struct event *wake_event;
    uint64_t reported_committed;
    bool reported_degraded;
    bool turn_open;   /* it holds `mutex` until the turn ends: no part of a turn may be taken */
    bool turn_urgent; /* one of its records is not lazy */

    /* Guarded by `mutex`; degraded is written by the thread only */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* for the thread: work is due earlier than it knew, or stopping */
    pthread_cond_t ended;   /* for store_writer_close */
    struct journal *journal;
    uint64_t due_ms;    /* when the open batch is to be taken */
    uint64_t taken_ms;  /* when the last one was */
    uint64_t waking_ms; /* until when the thread waits for work; 0: it looks before it waits */
    bool stopping;
    uint64_t give_up_at_ms; /* stopping: no more attempts */
    bool finished;          /* the thread touches nothing any more */
    bool abandoned;         /* store_writer_close did not wait: the thread frees */
    bool degraded;
    char error[sizeof((struct store_status *)0)->error];
    uint64_t committed, commits, rows;
    uint64_t last_commit_us, max_commit_us;
};

static uint64_t
now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint64_t
now_ms(void)
{
    return now_us() / 1000u;
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Until signalled or until `until_ms`, on the clock of now_ms. */
static void
wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t until_ms)
{
    if (until_ms == NEVER) {
        pthread_cond_wait(condition, mutex);
        return;
    }
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000u),
                             .tv_nsec = (long)(until_ms % 1000u) * 1000000};
    pthread_cond_timedwait(condition, mutex, &until);
}

static void
notify_loop(const struct store_writer *writer)
{
    uint64_t one = 1;
    /* It can only fail because the counter is full: then the loop has not looked yet. */
    ssize_t ignored = write(writer->wake_fd, &one, sizeof one);
    (void)ignored;
}

/* Logs a change and tells the loop. Called without the lock, which logging must not hold. */
static void
set_degraded(struct store_writer *writer, bool degraded, const char *error)
{
    bool changed = degraded != writer->degraded;

    if (changed && degraded)
        log_error("store", "degraded, what needs the disk waits: %s", error);
    else if (changed)
        log_notice("store", "the disk works again");
    pthread_mutex_lock(&writer->mutex);
    writer->degraded = degraded;
    snprintf(writer->error, sizeof writer->error, "%s", error);
    pthread_mutex_unlock(&writer->mutex);
    if (changed)
        notify_loop(writer);
}

/* Commits work: is everything else in order too? */
static void
try_recover(struct store_writer *writer)
{
    char error[sizeof writer->error] = "";
    bool recovered = writer->backend.recover(writer->backend.ctx, error, sizeof error);

    writer->recover_at_ms = now_ms() + RETRY_MAX_MS;
    set_degraded(writer, !recovered, recovered ? "" : error);
}

/* One attempt, without the lock. A batch whose records have all vanished needs no disk. */
static bool
try_commit(struct store_writer *writer, const struct journal_batch *batch)
{
    char error[sizeof writer->error] = "";
    uint64_t rows = 0;
    uint64_t started_us = now_us();

    if (batch->count > 0 &&
        writer->backend.commit(writer->backend.ctx, batch, &rows, error, sizeof error) != DM_OK) {
        writer->recover_at_ms = 0;
        set_degraded(writer, true, error);
        return false;
    }
    uint64_t took_us = now_us() - started_us;

    pthread_mutex_lock(&writer->mutex);
    writer->committed = batch->last;
    if (batch->count > 0) {
        writer->commits++;
        writer->rows += rows;
        writer->last_commit_us = took_us;
        if (writer->max_commit_us < took_us)
            writer->max_commit_us = took_us;
    }
    pthread_mutex_unlock(&writer->mutex);
    notify_loop(writer);
    if (writer->degraded && writer->recover_at_ms <= now_ms())
        try_recover(writer);
    return true;
}

/* The pause after a failed attempt. False: the time given to store_writer_close is over. */
static bool
wait_for_retry(struct store_writer *writer, unsigned pause_ms)
{
    uint64_t start_ms = now_ms();
    bool again = true;

    pthread_mutex_lock(&writer->mutex);
    for (;;) {
        uint64_t until_ms = start_ms + (writer->stopping ? RETRY_MIN_MS : pause_ms);
        uint64_t now = now_ms();
        again = !writer->stopping || now < writer->give_up_at_ms;
        if (!again || now >= until_ms)
            break;
        wait_until(&writer->changed, &writer->mutex,
                   writer->stopping ? earlier(until_ms, writer->give_up_at_ms) : until_ms);
    }
    pthread_mutex_unlock(&writer->mutex);
    return again;
}

/* False: given up because the store is being closed. */
static bool
commit_until_durable(struct store_writer *writer, const struct journal_batch *batch)
{
    unsigned pause_ms = RETRY_MIN_MS;

    while (!try_commit(writer, batch)) {
        if (!wait_for_retry(writer, pause_ms))
            return false;
        pause_ms = pause_ms * 2 < RETRY_MAX_MS ? pause_ms * 2 : RETRY_MAX_MS;
    }
    return true;
}

enum work { WORK_COMMIT, WORK_RECOVER, WORK_REST, WORK_END };

/* Gives the last batch back, and waits for something to do; on WORK_COMMIT *batch is what is due.
 */
static enum work
wait_for_work(struct store_writer *writer, struct journal_batch *batch)
{
    enum work work = WORK_END;

    pthread_mutex_lock(&writer->mutex);
    journal_give_back(writer->journal, batch);
    for (;;) {
        uint64_t now = now_ms();
        uint64_t recover_at_ms = writer->degraded ? writer->recover_at_ms : NEVER;
        if (writer->stopping ? journal_pending(writer->journal) : writer->due_ms <= now) {
            journal_take(writer->journal, batch);
            writer->due_ms = NEVER;
            writer->taken_ms = now;
            writer->rest_at_ms = now + REST_MS;
            work = WORK_COMMIT;
            break;
        }
        if (writer->stopping)
            break;
        if (recover_at_ms <= now) {
            work = WORK_RECOVER;
            break;
        }
        if (writer->rest_at_ms <= now) {
            writer->rest_at_ms = NEVER;
            work = WORK_REST;
            break;
        }
        uint64_t next_ms = writer->taken_ms + writer->commit_interval_ms;
        writer->waking_ms = earlier(writer->due_ms, recover_at_ms);
        if (next_ms > now) /* likely there is work by then: nobody has to say so */
            writer->waking_ms = earlier(writer->waking_ms, next_ms);
        writer->waking_ms = earlier(writer->waking_ms, writer->rest_at_ms);
        wait_until(&writer->changed, &writer->mutex, writer->waking_ms);
    }
    writer->waking_ms = 0;
    pthread_mutex_unlock(&writer->mutex);
    return work;
}

static void
writer_free(struct store_writer *writer)
{
    if (writer->wake_event != NULL)
        event_free(writer->wake_event);
    if (writer->wake_fd >= 0)
        close(writer->wake_fd);
    pthread_cond_destroy(&writer->changed);
    pthread_cond_destroy(&writer->ended);
    pthread_mutex_destroy(&writer->mutex);
    journal_free(writer->journal);
    free(writer);
}

static void *
writer_main(void *arg)
{
    struct store_writer *writer = arg;
    struct journal_batch batch = {0};
    bool going = true;

    while (going) {
        switch (wait_for_work(writer, &batch)) {
        case WORK_COMMIT:
            going = commit_until_durable(writer, &batch);
            journal_batch_trim(&batch);
            break;
        case WORK_RECOVER:
            try_recover(writer);
            break;
        case WORK_REST:
            writer->backend.rest(writer->backend.ctx);
            break;
        case WORK_END:
            going = false;
            break;
        }
    }
    journal_batch_fini(&batch);
    writer->backend.close(writer->backend.ctx);
    pthread_mutex_lock(&writer->mutex);
    writer->finished = true;
    bool abandoned = writer->abandoned;
    pthread_cond_signal(&writer->ended);
    pthread_mutex_unlock(&writer->mutex);
    if (abandoned)
        writer_free(writer);
    return NULL;
}

/* The loop's calls may come inside a turn, and then it holds the lock already. */
static void
enter(struct store_writer *writer)
{
    if (!writer->turn_open)
        pthread_mutex_lock(&writer->mutex);
}

static void
leave(struct store_writer *writer)
{
    if (!writer->turn_open)
        pthread_mutex_unlock(&writer->mutex);
}

/* The loop: reports what the thread did since the last time. */
static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct store_writer *writer = arg;
    uint64_t counter;
    ssize_t ignored = read(fd, &counter, sizeof counter); /* only clears it */

    (void)ignored;
    (void)what;
    enter(writer);
    uint64_t committed = writer->committed;
    bool degraded = writer->degraded;
    leave(writer);
    if (committed != writer->reported_committed) {
        writer->reported_committed = committed;
        writer->events.on_committed(writer->events.ctx, committed);
    }
    if (degraded != writer->reported_degraded) {
        writer->reported_degraded = degraded;
        writer->events.on_degraded(writer->events.ctx, degraded);
    }
}

/* With all signals blocked: they are the main thread's. */
static int
start_thread(struct store_writer *writer)
{
    sigset_t all, before;

    if (writer->backend.trouble != NULL)
        set_degraded(writer, true, writer->backend.trouble);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&writer->thread, NULL, writer_main, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static void
init_locks(struct store_writer *writer)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->changed, &monotonic);
    pthread_cond_init(&writer->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct store_writer *
store_writer_start(struct event_base *base, const struct store_events *events,
                   const struct store_backend *backend, struct journal *journal,
                   unsigned commit_interval_ms, char *error, size_t error_size)
{
    struct store_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL) {
        snprintf(error, error_size, "no memory");
        return NULL;
    }
    writer->backend = *backend;
    writer->events = *events;
    writer->commit_interval_ms = commit_interval_ms;
    writer->due_ms = NEVER;
    init_locks(writer);
    writer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (writer->wake_fd >= 0)
        writer->wake_event =
            event_new(base, writer->wake_fd, EV_READ | EV_PERSIST, on_wake, writer);
    int failure = ENOMEM;
    if (writer->wake_event != NULL && event_add(writer->wake_event, NULL) == 0) {
        writer->journal = journal;
        failure = start_thread(writer);
    }
    if (failure == 0)
        return writer;
    snprintf(error, error_size, "cannot start the writer thread: %s", strerror(failure));
    writer->journal = NULL;
    writer_free(writer);
    return NULL;
}

uint64_t
store_writer_append(struct store_writer *writer, const struct store_record *record)
{
    enter(writer);
    writer->turn_open = true;
    writer->turn_urgent |= !record->lazy;
    return journal_append(writer->journal, record);
}

/* When the turn that ends now is to be committed. What comes after a pause is so at once. */
static uint64_t
due_at(const struct store_writer *writer, uint64_t now)
{
    uint64_t next_ms = writer->taken_ms + writer->commit_interval_ms;
    size_t count = journal_count(writer->journal);

    if (!writer->turn_urgent)
        return count >= LAZY_ENOUGH ? now : now + LAZY_MS;
    return next_ms <= now || count >= ENOUGH ? now : next_ms;
}

void
store_writer_flush(struct store_writer *writer)
{
    if (!writer->turn_open)
        return;
    writer->due_ms = earlier(writer->due_ms, due_at(writer, now_ms()));
    if (writer->due_ms < writer->waking_ms)
        pthread_cond_signal(&writer->changed);
    writer->turn_open = writer->turn_urgent = false;
    pthread_mutex_unlock(&writer->mutex);
}

void
store_writer_status(struct store_writer *writer, struct store_status *status)
{
    enter(writer);
    status->degraded = writer->degraded;
    memcpy(status->error, writer->error, sizeof status->error);
    status->appended = journal_appended(writer->journal);
    status->committed = writer->committed;
    status->commits = writer->commits;
    status->rows = writer->rows;
    status->annihilated = journal_annihilated(writer->journal);
    status->last_commit_us = writer->last_commit_us;
    status->max_commit_us = writer->max_commit_us;
    leave(writer);
}

bool
store_writer_close(struct store_writer *writer, unsigned timeout_ms)
{
    /* The loop's part goes first: nothing is reported any more. */
    event_free(writer->wake_event);
    writer->wake_event = NULL;
    enter(writer);
    writer->turn_open = false; /* it ends here */
    writer->stopping = true;
    uint64_t stop_at_ms = now_ms() + timeout_ms;
    writer->give_up_at_ms = stop_at_ms - timeout_ms / 4; /* the rest is for closing the files */
    pthread_cond_signal(&writer->changed);
    while (!writer->finished && now_ms() < stop_at_ms)
        wait_until(&writer->ended, &writer->mutex, stop_at_ms);
    bool durable = writer->committed == journal_appended(writer->journal);
    bool finished = writer->finished;
    pthread_t thread = writer->thread;
    writer->abandoned = !finished;
    pthread_mutex_unlock(&writer->mutex);
    if (finished) {
        pthread_join(thread, NULL);
        writer_free(writer);
    } else {
        pthread_detach(thread);
    }
    return durable;
}
