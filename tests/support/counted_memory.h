/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory the program has taken. A program that links it is linked with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free,--wrap=mmap,--wrap=munmap; calls
 * inside of shared libraries are not counted.
 */
#ifndef DORMOUSE_TESTS_COUNTED_MEMORY_H
#define DORMOUSE_TESTS_COUNTED_MEMORY_H

#include <stddef.h>

struct counted_memory {
    size_t octets; /* in use, without the allocator's own */
    size_t mapped; /* part of them that mmap gave */
};

extern struct counted_memory counted_memory;

#endif
