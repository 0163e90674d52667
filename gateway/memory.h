/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is not needed any more, back to the system. */
#ifndef DORMOUSE_MEMORY_H
#define DORMOUSE_MEMORY_H

#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

/* From any thread. With AddressSanitizer nothing: glibc's own heap is not in use then, and two
 * threads that trim it for the first time make it at once. */
static inline void
memory_give_back(void)
{
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)
    malloc_trim(0);
#endif
}

#endif
