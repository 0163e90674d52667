/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the machine's clocks. */
#include "app_clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

/* systemd-timesyncd makes it when it has set the clock. */
#define TIMESYNC_MARK "/run/systemd/timesync/synchronized"
/* 2026-01-01: a clock without battery that shows less has just begun at some fixed day. */
#define EARLIEST_MS (UINT64_C(1767225600) * 1000)

static uint64_t
read_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t
app_clock_boot_ms(void *ctx)
{
    (void)ctx;
    return read_ms(CLOCK_BOOTTIME);
}

uint64_t
app_clock_monotonic_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t
app_clock_wall_ms(void *ctx)
{
    struct timex kernel = {.modes = 0};

    (void)ctx;
    /* What ntpd and chrony tell the kernel; a sandbox may forbid the question. */
    bool told = adjtimex(&kernel) >= 0 && (kernel.status & STA_UNSYNC) == 0;

    return told || access(TIMESYNC_MARK, F_OK) == 0 ? read_ms(CLOCK_REALTIME) : 0;
}

uint64_t
app_clock_shown_ms(void *ctx)
{
    uint64_t ms = read_ms(CLOCK_REALTIME);

    (void)ctx;
    return ms >= EARLIEST_MS ? ms : 0;
}

const char *
app_clock_boot_id(char boot_id[CLOCK_BOOT_ID_SIZE])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    boot_id[0] = '\0';
    if (file == NULL)
        return boot_id;
    if (fgets(boot_id, CLOCK_BOOT_ID_SIZE, file) == NULL)
        boot_id[0] = '\0';
    boot_id[strcspn(boot_id, "\n")] = '\0';
    fclose(file);
    return boot_id;
}
