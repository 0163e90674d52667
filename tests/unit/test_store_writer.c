/* SPDX-License-Identifier: Apache-2.0 */
/* The writer thread of the store: when it commits, what it does when the disk refuses, how it ends.
 */
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <event2/event.h>

#include "store_writer.h"
#include "unit.h"

#define GUARD_S 20 /* a test that waits this long has failed */

static struct store_record
message(enum store_op op, uint64_t number)
{
    return (struct store_record){.op = op, .message = number, .name = dm_span_text("t")};
}

/* The writer over a backend that commits when the test says so. */

struct gate {
    struct event_base *base;
    struct store_writer *writer;
    sem_t entered, open, closed, rested;
    atomic_bool broken; /* commits fail */
    atomic_bool full;   /* recover fails */
    atomic_uint commits, records;
    uint64_t committed;
    bool degraded;
    unsigned changes; /* of degraded */
};

static enum dm_result
gate_commit(void *ctx, const struct journal_batch *batch, uint64_t *rows, char *error,
            size_t error_size)
{
    struct gate *gate = ctx;

    sem_post(&gate->entered);
    sem_wait(&gate->open);
    if (gate->broken) {
        snprintf(error, error_size, "broken");
        return DM_IO;
    }
    gate->commits++;
    gate->records += (unsigned)batch->count;
    *rows = batch->count;
    return DM_OK;
}

static bool
gate_recover(void *ctx, char *error, size_t error_size)
{
    struct gate *gate = ctx;

    snprintf(error, error_size, "full");
    return !gate->full;
}

static void
gate_rest(void *ctx)
{
    struct gate *gate = ctx;
    sem_post(&gate->rested);
}

static void
gate_close(void *ctx)
{
    struct gate *gate = ctx;
    sem_post(&gate->closed);
}

static void
on_committed(void *ctx, uint64_t seq)
{
    ((struct gate *)ctx)->committed = seq;
}

static void
on_degraded(void *ctx, bool degraded)
{
    struct gate *gate = ctx;

    gate->degraded = degraded;
    gate->changes++;
}

static void
gate_init_with(struct gate *gate, unsigned commit_interval_ms, const char *trouble)
{
    char error[100] = "";

    *gate = (struct gate){.base = event_base_new(), .full = trouble != NULL};
    sem_init(&gate->entered, 0, 0);
    sem_init(&gate->open, 0, 0);
    sem_init(&gate->closed, 0, 0);
    sem_init(&gate->rested, 0, 0);
    struct store_events events = {gate, on_committed, on_degraded};
    struct store_backend backend = {gate,       gate_commit, gate_recover,
                                    gate_close, trouble,     gate_rest};
    gate->writer = store_writer_start(gate->base, &events, &backend, journal_new(),
                                      commit_interval_ms, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gate->writer);
}

static void
gate_init(struct gate *gate, unsigned commit_interval_ms)
{
    gate_init_with(gate, commit_interval_ms, NULL);
}

static void
gate_fini(struct gate *gate)
{
    event_base_free(gate->base);
    sem_destroy(&gate->entered);
    sem_destroy(&gate->open);
    sem_destroy(&gate->closed);
    sem_destroy(&gate->rested);
}

static bool
wait_for(sem_t *semaphore)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += GUARD_S;
    return sem_timedwait(semaphore, &until) == 0;
}

/* That something does not happen can only be waited for. */
static bool
stays_out(sem_t *semaphore)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return sem_timedwait(semaphore, &until) != 0;
}

static void
on_guard(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

/* Runs the loop until the condition holds; fails after the guard time. */
#define RUN_UNTIL(base, condition)                                                                 \
    do {                                                                                           \
        bool guard_over = false;                                                                   \
        struct event *guard = evtimer_new(base, on_guard, &guard_over);                            \
        evtimer_add(guard, (&(struct timeval){.tv_sec = GUARD_S}));                                \
        while (!(condition) && !guard_over)                                                        \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        event_free(guard);                                                                         \
        CU_ASSERT(condition);                                                                      \
    } while (0)

static void
put(struct gate *gate, uint64_t number, bool lazy)
{
    struct store_record record = message(STORE_MESSAGE_PUT, number);

    record.lazy = lazy;
    CU_ASSERT_EQUAL(store_writer_append(gate->writer, &record), number);
}

static void
writer_records_of_a_running_commit_form_the_next_batch(void)
{
    struct gate gate;

    gate_init(&gate, 0);
    put(&gate, 1, false);
    store_writer_flush(gate.writer);
    CU_ASSERT(wait_for(&gate.entered));
    for (uint64_t number = 2; number <= 50; number++) {
        put(&gate, number, false);
        store_writer_flush(gate.writer);
    }
    CU_ASSERT_EQUAL(gate.committed, 0);
    sem_post(&gate.open);
    RUN_UNTIL(gate.base, gate.committed == 1);
    sem_post(&gate.open);
    RUN_UNTIL(gate.base, gate.committed == 50);
    CU_ASSERT_EQUAL(gate.commits, 2);
    CU_ASSERT_EQUAL(gate.records, 50);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_without_work_lets_the_backend_rest_once_and_again_after_the_next_commit(void)
{
    struct gate gate;

    gate_init(&gate, 0);
    CU_ASSERT(wait_for(&gate.rested)); /* from loading */
    for (uint64_t number = 1; number <= 2; number++) {
        CU_ASSERT_EQUAL(sem_trywait(&gate.rested), -1);
        put(&gate, number, false);
        store_writer_flush(gate.writer);
        CU_ASSERT(wait_for(&gate.entered));
        sem_post(&gate.open);
        CU_ASSERT(wait_for(&gate.rested));
        CU_ASSERT_EQUAL(gate.commits, number);
    }
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_vanished_batch_is_reported_without_a_commit(void)
{
    struct gate gate;
    struct store_record record = message(STORE_MESSAGE_DELETE, 1);

    gate_init(&gate, 0);
    put(&gate, 1, false);
    CU_ASSERT_EQUAL(store_writer_append(gate.writer, &record), 2);
    store_writer_flush(gate.writer);
    RUN_UNTIL(gate.base, gate.committed == 2);
    CU_ASSERT_EQUAL(gate.commits, 0);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_turn_that_is_not_over_is_not_committed(void)
{
    struct store_status status;
    struct gate gate;

    gate_init(&gate, 0);
    put(&gate, 1, false);
    store_writer_flush(gate.writer);
    CU_ASSERT(wait_for(&gate.entered));
    put(&gate, 2, false);
    store_writer_flush(gate.writer); /* due as soon as the commit is over, but ... */
    put(&gate, 3, false);            /* ... the next turn has begun */
    sem_post(&gate.open);
    CU_ASSERT(stays_out(&gate.entered));
    store_writer_status(gate.writer, &status); /* as an operator may ask inside a turn */
    CU_ASSERT_EQUAL(status.appended, 3);
    CU_ASSERT_EQUAL(status.committed, 0);
    put(&gate, 4, false);
    store_writer_flush(gate.writer);
    sem_post(&gate.open);
    RUN_UNTIL(gate.base, gate.committed == 4);
    CU_ASSERT_EQUAL(gate.commits, 2);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static uint64_t
elapsed_ms(const struct timespec *since)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)((now.tv_sec - since->tv_sec) * 1000 +
                      (now.tv_nsec - since->tv_nsec) / 1000000);
}

static void
writer_lazy_records_wait_for_each_other(void)
{
    struct gate gate;
    struct timespec start;

    gate_init(&gate, 0);
    sem_post(&gate.open);
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint64_t number = 1; number <= 200; number++) {
        put(&gate, number, true);
        store_writer_flush(gate.writer);
    }
    RUN_UNTIL(gate.base, gate.committed == 200);
    CU_ASSERT(elapsed_ms(&start) >= 900);
    CU_ASSERT_EQUAL(gate.commits, 1);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

/* They wait in memory, which a fast fleet would fill with a second of them. */
static void
writer_many_lazy_records_wait_no_longer(void)
{
    struct gate gate;
    struct timespec start;
    uint64_t number = 0;

    gate_init(&gate, 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (sem_trywait(&gate.entered) != 0) {
        put(&gate, ++number, true);
        store_writer_flush(gate.writer);
    }
    CU_ASSERT(elapsed_ms(&start) < 900);
    for (int i = 0; i < 2; i++) /* what came while it woke up is lazy again */
        sem_post(&gate.open);
    RUN_UNTIL(gate.base, gate.committed == number);
    CU_ASSERT(gate.commits <= 2);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_urgent_record_takes_lazy_ones_along(void)
{
    struct gate gate;
    struct timespec start;

    gate_init(&gate, 0);
    sem_post(&gate.open);
    clock_gettime(CLOCK_MONOTONIC, &start);
    put(&gate, 1, true);
    store_writer_flush(gate.writer);
    put(&gate, 2, false);
    store_writer_flush(gate.writer);
    RUN_UNTIL(gate.base, gate.committed == 2);
    CU_ASSERT(elapsed_ms(&start) < 900);
    CU_ASSERT_EQUAL(gate.commits, 1);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_commit_interval_gathers_turns(void)
{
    struct gate gate;
    struct timespec start;

    gate_init(&gate, 500);
    for (int i = 0; i < 2; i++)
        sem_post(&gate.open);
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint64_t number = 1; number <= 20; number++) {
        put(&gate, number, false);
        store_writer_flush(gate.writer);
        if (number == 1)
            CU_ASSERT(wait_for(&gate.entered));
    }
    RUN_UNTIL(gate.base, gate.committed == 20);
    CU_ASSERT(elapsed_ms(&start) >= 450);
    CU_ASSERT_EQUAL(gate.commits, 2);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_first_commit_after_a_pause_is_at_once(void)
{
    struct gate gate;

    gate_init(&gate, 2 * GUARD_S * 1000);
    sem_post(&gate.open);
    put(&gate, 1, false);
    store_writer_flush(gate.writer);
    RUN_UNTIL(gate.base, gate.committed == 1);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_large_batch_does_not_wait_for_the_interval(void)
{
    struct gate gate;

    gate_init(&gate, 2 * GUARD_S * 1000);
    for (int i = 0; i < 2; i++)
        sem_post(&gate.open);
    put(&gate, 1, false);
    store_writer_flush(gate.writer);
    RUN_UNTIL(gate.base, gate.committed == 1);
    for (uint64_t number = 2; number <= 1000; number++)
        put(&gate, number, false);
    store_writer_flush(gate.writer);
    RUN_UNTIL(gate.base, gate.committed == 1000);
    CU_ASSERT_EQUAL(gate.commits, 2);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_failed_batch_is_repeated_and_reported_once(void)
{
    struct gate gate;
    struct store_status status;

    gate_init(&gate, 0);
    gate.broken = true;
    put(&gate, 1, false);
    store_writer_flush(gate.writer);
    for (int attempt = 0; attempt < 3; attempt++) {
        CU_ASSERT(wait_for(&gate.entered));
        sem_post(&gate.open);
    }
    RUN_UNTIL(gate.base, gate.degraded);
    store_writer_status(gate.writer, &status);
    CU_ASSERT(status.degraded);
    CU_ASSERT_STRING_EQUAL(status.error, "broken");
    CU_ASSERT_EQUAL(gate.committed, 0);
    put(&gate, 2, false);
    store_writer_flush(gate.writer);
    gate.broken = false;
    sem_post(&gate.open);
    sem_post(&gate.open);
    RUN_UNTIL(gate.base, gate.committed == 2 && !gate.degraded);
    CU_ASSERT_EQUAL(gate.changes, 2);
    CU_ASSERT_EQUAL(gate.records, 2);
    store_writer_status(gate.writer, &status);
    CU_ASSERT_FALSE(status.degraded);
    CU_ASSERT_STRING_EQUAL(status.error, "");
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_stays_degraded_until_the_backend_has_recovered(void)
{
    struct gate gate;

    gate_init(&gate, 0);
    gate.broken = gate.full = true;
    put(&gate, 1, false);
    store_writer_flush(gate.writer);
    CU_ASSERT(wait_for(&gate.entered));
    sem_post(&gate.open);
    RUN_UNTIL(gate.base, gate.degraded);
    gate.broken = false;
    sem_post(&gate.open);
    RUN_UNTIL(gate.base, gate.committed == 1);
    CU_ASSERT(gate.degraded);
    gate.full = false; /* nothing is appended: the thread asks by itself */
    RUN_UNTIL(gate.base, !gate.degraded);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_that_starts_in_trouble_is_degraded_until_the_backend_has_recovered(void)
{
    struct gate gate;
    struct store_status status;

    gate_init_with(&gate, 0, "full");
    RUN_UNTIL(gate.base, gate.degraded);
    store_writer_status(gate.writer, &status);
    CU_ASSERT(status.degraded);
    CU_ASSERT_STRING_EQUAL(status.error, "full");
    gate.full = false;
    RUN_UNTIL(gate.base, !gate.degraded);
    CU_ASSERT(store_writer_close(gate.writer, 1000));
    gate_fini(&gate);
}

static void
writer_close_commits_what_is_pending(void)
{
    struct gate gate;

    gate_init(&gate, 60000);
    sem_post(&gate.open);
    put(&gate, 1, true);
    put(&gate, 2, false);
    CU_ASSERT(store_writer_close(gate.writer, 5000));
    CU_ASSERT_EQUAL(gate.records, 2);
    CU_ASSERT_EQUAL(gate.committed, 0); /* calls no event */
    CU_ASSERT(wait_for(&gate.closed));
    gate_fini(&gate);
}

static void
writer_close_gives_up_on_a_broken_disk(void)
{
    struct gate gate;

    gate_init(&gate, 0);
    gate.broken = true;
    for (int attempt = 0; attempt < 100; attempt++)
        sem_post(&gate.open);
    put(&gate, 1, false);
    CU_ASSERT_FALSE(store_writer_close(gate.writer, 2000));
    CU_ASSERT(wait_for(&gate.closed));
    gate_fini(&gate);
}

static void
writer_close_does_not_wait_for_a_stuck_disk(void)
{
    static struct gate gate; /* outlives the test: the thread still uses it */
    struct timespec start;

    gate_init(&gate, 0);
    put(&gate, 1, false);
    store_writer_flush(gate.writer);
    CU_ASSERT(wait_for(&gate.entered));
    clock_gettime(CLOCK_MONOTONIC, &start);
    CU_ASSERT_FALSE(store_writer_close(gate.writer, 50));
    CU_ASSERT(elapsed_ms(&start) < 5000);
    sem_post(&gate.open);
    CU_ASSERT(wait_for(&gate.closed)); /* the thread comes back and frees everything */
    event_base_free(gate.base);
}

static const struct unit_test tests[] = {
    UNIT_TEST(writer_close_does_not_wait_for_a_stuck_disk),
    UNIT_TEST(writer_records_of_a_running_commit_form_the_next_batch),
    UNIT_TEST(writer_without_work_lets_the_backend_rest_once_and_again_after_the_next_commit),
    UNIT_TEST(writer_vanished_batch_is_reported_without_a_commit),
    UNIT_TEST(writer_turn_that_is_not_over_is_not_committed),
    UNIT_TEST(writer_lazy_records_wait_for_each_other),
    UNIT_TEST(writer_many_lazy_records_wait_no_longer),
    UNIT_TEST(writer_urgent_record_takes_lazy_ones_along),
    UNIT_TEST(writer_commit_interval_gathers_turns),
    UNIT_TEST(writer_first_commit_after_a_pause_is_at_once),
    UNIT_TEST(writer_large_batch_does_not_wait_for_the_interval),
    UNIT_TEST(writer_failed_batch_is_repeated_and_reported_once),
    UNIT_TEST(writer_stays_degraded_until_the_backend_has_recovered),
    UNIT_TEST(writer_that_starts_in_trouble_is_degraded_until_the_backend_has_recovered),
    UNIT_TEST(writer_close_commits_what_is_pending),
    UNIT_TEST(writer_close_gives_up_on_a_broken_disk),
};

UNIT_MAIN("store_writer", tests)
