/* SPDX-License-Identifier: Apache-2.0 */
/* The runner's own struct. Nothing outside runner*.c includes it. */
#ifndef DORMOUSE_RUNNER_PRIVATE_H
#define DORMOUSE_RUNNER_PRIVATE_H

#include "clock.h"
#include "runner.h"
#include "runner_held.h"

enum { DATAGRAM_MAX = 65536 };

struct runner {
    struct runner_options options;
    struct engine *engine;
    struct clock clock;
    struct transport *const *transports;
    size_t transport_count;
    struct store *store;
    struct upstream *upstream;
    const struct runner_own *own;
    struct held_list held;
    uint64_t committed;
    bool in_turn;
    bool stopping; /* no new work: what comes now is repeated after the next start */
    runner_trace *trace;
    void *trace_ctx;
    struct runner_status status;
    uint8_t datagram[DATAGRAM_MAX];
};

uint64_t runner_now_ms(const struct runner *r);
/* After each input. */
void runner_input_over(struct runner *r);

/* runner_own.c: ENGINE_OPEN and ENGINE_CLOSE, which may wait for the disk. */
enum dm_result runner_emit_own(struct runner *r, const struct engine_effect *effect);
void runner_open_own(const struct runner *r, uint64_t connection, const struct engine_open *open);
void runner_close_own(struct runner *r, uint64_t connection, const struct engine_close *close);

#endif
