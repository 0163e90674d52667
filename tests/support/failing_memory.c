/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that fail when a test says so. */
#include "failing_memory.h"

#include <stddef.h>

struct failing_memory failing_memory;

/* The linker gives them these names (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool
allocation_fails(void)
{
    struct failing_memory *m = &failing_memory;

    if (!m->armed)
        return false;
    m->count++;
    if (m->fail_at == 0 || m->count < m->fail_at || (m->count > m->fail_at && !m->lasting))
        return false;
    m->failed = true;
    return true;
}

void *
__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
    return allocation_fails() ? NULL : __real_realloc(old, size);
}
