/* SPDX-License-Identifier: Apache-2.0 */
/* Repeatable random numbers for tests; the seed is printed, and DORMOUSE_SEED sets it. */
#ifndef DORMOUSE_TESTS_RANDOM_H
#define DORMOUSE_TESTS_RANDOM_H

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct random_source {
    uint64_t state;
};

static inline struct random_source
random_start(const char *test, uint64_t seed)
{
    const char *wanted = getenv("DORMOUSE_SEED");

    if (wanted != NULL)
        seed = strtoull(wanted, NULL, 0);
    printf(" [%s: DORMOUSE_SEED=%" PRIu64 "] ", test, seed);
    return (struct random_source){seed};
}

/* splitmix64 */
static inline uint64_t
random_next(struct random_source *source)
{
    uint64_t z = (source->state += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* 0..limit-1 */
static inline unsigned
random_below(struct random_source *source, unsigned limit)
{
    return (unsigned)(random_next(source) % limit);
}

static inline void
random_fill(struct random_source *source, uint8_t *octets, size_t len)
{
    for (size_t i = 0; i < len; i++)
        octets[i] = (uint8_t)random_next(source);
}

#endif
