/* SPDX-License-Identifier: Apache-2.0 */
/* How many own connections may be on their way to the broker at a time, and where to: more and more
 * while it answers, one at a time and seldom while it does not. No I/O. */
#ifndef DORMOUSE_OWN_GATE_H
#define DORMOUSE_OWN_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OWN_GATE_MAX 32u /* attempts at a time */

struct own_gate {
    unsigned under_way; /* attempts */
    unsigned limit;
    unsigned failures; /* rounds through all brokers without success, in a row */
    size_t broker;     /* of the next attempt */
    size_t broker_count;
    size_t tried; /* brokers in this round that did not answer */
    bool closed;
};

void own_gate_init(struct own_gate *gate, size_t broker_count);
bool own_gate_is_open(const struct own_gate *gate);
/* An attempt begins. Returns which broker it goes to. */
size_t own_gate_enter(struct own_gate *gate);
/* One is given up before its end. */
void own_gate_cancel(struct own_gate *gate);
/* One ended, and the broker answered or did not. Returns for how many milliseconds the gate is
 * closed from now on; 0: it is not, or was before. */
uint64_t own_gate_leave(struct own_gate *gate, size_t broker, bool reached, uint32_t random);
/* The time is over: one may try. */
void own_gate_reopen(struct own_gate *gate);
/* This broker can be reached. */
void own_gate_found(struct own_gate *gate, size_t broker);

#endif
