/* SPDX-License-Identifier: Apache-2.0 */
/* The monotonic clock, made fast, and waits on it. */
#include "fast_clock.h"

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)

/* The linker gives them these names (--wrap). */
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until);

/* Without a start of its own: 200 times the time since boot fits. */
int
__wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);

    if (result != 0 || clock != CLOCK_MONOTONIC)
        return result;
    int64_t part_ns = now->tv_nsec * FAST_CLOCK_FACTOR;
    now->tv_sec = now->tv_sec * FAST_CLOCK_FACTOR + (time_t)(part_ns / SECOND_NS);
    now->tv_nsec = (long)(part_ns % SECOND_NS);
    return 0;
}

int
__wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                              const struct timespec *until)
{
    int64_t rest_ns = (until->tv_sec % FAST_CLOCK_FACTOR) * SECOND_NS + until->tv_nsec;
    struct timespec real = {
        .tv_sec = until->tv_sec / FAST_CLOCK_FACTOR,
        .tv_nsec = (long)(rest_ns / FAST_CLOCK_FACTOR),
    };

    return __real_pthread_cond_timedwait(condition, mutex, &real);
}
