/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory the program has taken. */
#include "counted_memory.h"

#include <malloc.h>
#include <sys/mman.h>

struct counted_memory counted_memory;

/* The linker gives them these names (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *block);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *block);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t size);

static void *
taken(void *block)
{
    counted_memory.octets += malloc_usable_size(block);
    return block;
}

void *
__wrap_malloc(size_t size)
{
    return taken(__real_malloc(size));
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return taken(__real_calloc(count, size));
}

void *
__wrap_realloc(void *old, size_t size)
{
    counted_memory.octets -= malloc_usable_size(old);
    return taken(__real_realloc(old, size));
}

void
__wrap_free(void *block)
{
    counted_memory.octets -= malloc_usable_size(block);
    __real_free(block);
}

void *
__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *start = __real_mmap(at, size, protection, flags, fd, offset);

    if (start != MAP_FAILED) {
        counted_memory.octets += size;
        counted_memory.mapped += size;
    }
    return start;
}

int
__wrap_munmap(void *at, size_t size)
{
    counted_memory.octets -= size;
    counted_memory.mapped -= size;
    return __real_munmap(at, size);
}
