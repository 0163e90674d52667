/* SPDX-License-Identifier: Apache-2.0 */
/* A definition of clock_gettime that tells what the test wants. */
#include "steady_clock.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What the clocks say beyond the truth, and for as long as time stands still. */
static uint64_t advance_ms;
static bool frozen;
static uint64_t frozen_ms;

void
steady_clock_freeze(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    frozen_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 - advance_ms;
    frozen = true;
}

void
steady_clock_release(void)
{
    frozen = false;
}

void
steady_clock_advance(unsigned ms)
{
    advance_ms += ms;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    bool steady = clock == CLOCK_BOOTTIME || clock == CLOCK_MONOTONIC ||
                  clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_MONOTONIC_RAW;

    if (result != 0 || !steady)
        return result;
    if (frozen)
        *now = (struct timespec){.tv_sec = (time_t)(frozen_ms / 1000),
                                 .tv_nsec = (long)(frozen_ms % 1000) * 1000000};
    now->tv_sec += (time_t)(advance_ms / 1000);
    now->tv_nsec += (long)(advance_ms % 1000) * 1000000;
    if (now->tv_nsec >= 1000000000) {
        now->tv_nsec -= 1000000000;
        now->tv_sec++;
    }
    return 0;
}
