/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that fail when a test says so. A program that links it is linked with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc; calls inside of shared libraries are not caught.
 */
#ifndef DORMOUSE_TESTS_FAILING_MEMORY_H
#define DORMOUSE_TESTS_FAILING_MEMORY_H

#include <stdbool.h>

struct failing_memory {
    bool armed;            /* allocations are counted, and may fail, only then */
    bool lasting;          /* all fail from the chosen one on, not only that one */
    bool failed;           /* at least one did */
    unsigned long count;   /* so far */
    unsigned long fail_at; /* the chosen one: 1 is the first, 0 none */
};

extern struct failing_memory failing_memory;

#endif
