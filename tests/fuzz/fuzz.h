/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every fuzz target shares: the entry point, the way it takes its input apart, and the check
 * that ends the run. A target is linked with libFuzzer, or with replay.c to run a kept corpus.
 */
#ifndef DORMOUSE_TESTS_FUZZ_H
#define DORMOUSE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <dormouse/span.h>

/* The target; returns 0. Whatever it finds wrong ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Stays in release builds too, unlike assert. */
#define FUZZ_CHECK(condition, what)                                                                \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, what, #condition);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What is left of an input; reads beyond its end give 0. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t
fuzz_octet(struct fuzz_input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

static inline uint16_t
fuzz_number(struct fuzz_input *input)
{
    unsigned high = fuzz_octet(input);

    return (uint16_t)(high << 8 | fuzz_octet(input));
}

/* The next `len` octets, or what is left. */
static inline struct dm_span
fuzz_span(struct fuzz_input *input, size_t len)
{
    struct dm_span span = dm_span(input->at, len < input->left ? len : input->left);

    input->at += span.len;
    input->left -= span.len;
    return span;
}

static inline void *
fuzz_alloc(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);

    if (memory == NULL)
        abort();
    return memory;
}

#endif
