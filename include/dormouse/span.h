/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed run of octets: it never owns, and is valid as long as what it points into. */
#ifndef DORMOUSE_SPAN_H
#define DORMOUSE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct dm_span {
    const uint8_t *data; /* may be NULL when len is 0 */
    size_t len;          /* octets */
};

static inline struct dm_span
dm_span(const void *data, size_t len)
{
    return (struct dm_span){.data = (const uint8_t *)data, .len = len};
}

/* The octets of a C string without its terminator; NULL gives the empty span. */
static inline struct dm_span
dm_span_text(const char *text)
{
    return dm_span(text, text != NULL ? strlen(text) : 0);
}

static inline bool
dm_span_equal(struct dm_span a, struct dm_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif
