/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine's clocks say, in the form the runner asks for. */
#ifndef DORMOUSE_APP_CLOCK_H
#define DORMOUSE_APP_CLOCK_H

#include <stdint.h>

#include "clock.h"

/* CLOCK_BOOTTIME in milliseconds. */
uint64_t app_clock_boot_ms(void *ctx);
/* CLOCK_MONOTONIC in microseconds. */
uint64_t app_clock_monotonic_us(void);
/* The wall clock in milliseconds since 1970; 0: nobody has synchronised it. */
uint64_t app_clock_wall_ms(void *ctx);
/* The same, to be shown only: as the clock stands, as in the log; 0: nobody has set it since boot. */
uint64_t app_clock_shown_ms(void *ctx);
/* Returns boot_id; empty if the kernel does not tell, which makes every start look like a boot. */
const char *app_clock_boot_id(char boot_id[CLOCK_BOOT_ID_SIZE]);

#endif
