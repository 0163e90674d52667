/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of the store into SQLite, of SQLite into the file system, and allocations of SQLite that
 * fail when a test says so. A program that links it is linked with SQLITE_FAULTS_WRAP of
 * tests/CMakeLists.txt, and calls sqlite_faults_start before SQLite is used.
 */
#ifndef DORMOUSE_TESTS_SQLITE_FAULTS_H
#define DORMOUSE_TESTS_SQLITE_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_CALLS,  /* sqlite3_step and its like */
    FAULT_FILES,  /* reads, writes, syncs, locks */
    FAULT_MEMORY, /* inside SQLite */
};

/* Set by one thread while another may run into them. */
struct sqlite_faults {
    _Atomic enum fault_kind kind; /* what is counted and may fail */
    atomic_bool lasting;          /* all fail from the chosen one on, not only that one */
    atomic_bool failed;           /* at least one did */
    atomic_ulong count;           /* so far */
    atomic_ulong fail_at;         /* the chosen one: 1 is the first */
    atomic_ulong code;            /* chooses the error of those that can fail in several ways */
};

extern struct sqlite_faults sqlite_faults;

void sqlite_faults_start(void);
void sqlite_faults_stop(void);
/* From now on the n-th call of the kind fails. */
void sqlite_faults_set(enum fault_kind kind, unsigned long n, bool lasting);
/* Nothing fails any more; true if something did. */
bool sqlite_faults_clear(void);
/* One more call of the kind: shall it fail? For the wrapped calls. */
bool sqlite_faults_hit(enum fault_kind kind);

#endif
