/* SPDX-License-Identifier: Apache-2.0 */
/* Phrases for enum dm_result. */
#include <dormouse/result.h>

const char *
dm_result_text(enum dm_result result)
{
    switch (result) {
    case DM_OK:
        return "success";
    case DM_TRUNCATED:
        return "incomplete";
    case DM_MALFORMED:
        return "malformed";
    case DM_UNSUPPORTED:
        return "not supported";
    case DM_LATER:
        return "taken, to be done later";
    case DM_FULL:
        return "limit reached";
    case DM_NO_MEMORY:
        return "out of memory";
    case DM_NOT_FOUND:
        return "not found";
    case DM_INVALID:
        return "invalid";
    case DM_IO:
        return "input/output error";
    }
    return "unknown result";
}
