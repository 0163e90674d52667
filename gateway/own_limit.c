/* SPDX-License-Identifier: Apache-2.0 */
/* Open files: each own connection is one. */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include <dormouse/log.h>

#include "own_pool.h"

/* For all else: links, store, status page, the shared connection, attempts to look up a name. */
#define OTHER_FILES 320u

size_t
own_raise_file_limit(size_t connections)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)connections + OTHER_FILES;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return connections;
    struct rlimit raised = {needed, limit.rlim_max > needed ? limit.rlim_max : needed};

    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        return connections;
    raised = (struct rlimit){limit.rlim_max, limit.rlim_max}; /* without the right to raise that */
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        limit = raised;
    size_t possible = limit.rlim_cur > OTHER_FILES ? (size_t)(limit.rlim_cur - OTHER_FILES) : 1;

    log_warning("upstream",
                "own_max = %zu needs %llu open files, and the system allows %llu: no more than "
                "%zu own connections at once (LimitNOFILE= in the systemd unit, ulimit -n)",
                connections, (unsigned long long)needed, (unsigned long long)limit.rlim_cur,
                possible);
    return possible;
}
