/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer thread of the store: takes batch after batch from the journal, has a backend commit
 * them (group commit: what is appended during a commit forms the next batch), repeats what fails,
 * and reports to the event loop. No SQLite.
 */
#ifndef DORMOUSE_STORE_WRITER_H
#define DORMOUSE_STORE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store_journal.h"

/* Called from the writer thread only. */
struct store_backend {
    void *ctx;
    /* Makes the whole batch durable (DM_OK, *rows changed) or nothing (reason in error[]). */
    enum dm_result (*commit)(void *ctx, const struct journal_batch *batch, uint64_t *rows,
                             char *error, size_t error_size);
    /* After a failure, when commits work again: is the disk in order? False: stays degraded, asked
     * again later (reason in error[]). */
    bool (*recover)(void *ctx, char *error, size_t error_size);
    /* The last call: closes and frees ctx. */
    void (*close)(void *ctx);
    /* Why the disk is out of order at the start: then recover is asked first. NULL: it is not.
     * Borrowed during store_writer_start. */
    const char *trouble;
    /* Nothing had to be committed for a while: gives memory back that only makes it faster. */
    void (*rest)(void *ctx);
};

struct store_writer;

/*
 * Starts the thread. The journal becomes the writer's. NULL: no memory or no thread, reason in
 * error[]; then journal and backend are still the caller's.
 */
struct store_writer *store_writer_start(struct event_base *base, const struct store_events *events,
                                        const struct store_backend *backend,
                                        struct journal *journal, unsigned commit_interval_ms,
                                        char *error, size_t error_size);

/* As in struct store_ops, from the loop's thread. status leaves path and octets alone. */
uint64_t store_writer_append(struct store_writer *writer, const struct store_record *record);
void store_writer_flush(struct store_writer *writer);
void store_writer_status(struct store_writer *writer, struct store_status *status);
/*
 * Commits what is pending and closes the backend. If the disk keeps the thread longer than
 * `timeout_ms`, the thread is left alone and frees everything when it comes back.
 */
bool store_writer_close(struct store_writer *writer, unsigned timeout_ms);

#endif
