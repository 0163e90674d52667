/* SPDX-License-Identifier: Apache-2.0 */
/* How many own connections may be on their way to the broker at a time, and where to. */
#include "own_gate.h"

#include "upstream_connect.h"

void
own_gate_init(struct own_gate *gate, size_t broker_count)
{
    *gate = (struct own_gate){.limit = 1, .broker_count = broker_count};
}

bool
own_gate_is_open(const struct own_gate *gate)
{
    return !gate->closed && gate->under_way < gate->limit;
}

size_t
own_gate_enter(struct own_gate *gate)
{
    gate->under_way++;
    return gate->broker;
}

void
own_gate_cancel(struct own_gate *gate)
{
    gate->under_way--;
}

static void
succeed(struct own_gate *gate, size_t broker)
{
    own_gate_found(gate, broker);
    gate->limit = 2 * gate->limit < OWN_GATE_MAX ? 2 * gate->limit : OWN_GATE_MAX;
}

uint64_t
own_gate_leave(struct own_gate *gate, size_t broker, bool reached, uint32_t random)
{
    gate->under_way--;
    if (reached) {
        succeed(gate, broker);
        return 0;
    }
    if (gate->closed || broker != gate->broker) /* others that were under way said the same */
        return 0;
    gate->limit = 1;
    gate->broker = (gate->broker + 1) % gate->broker_count;
    if (++gate->tried < gate->broker_count)
        return 0;
    gate->tried = 0;
    gate->closed = true;
    return upstream_backoff_ms(++gate->failures, random);
}

void
own_gate_reopen(struct own_gate *gate)
{
    gate->closed = false;
}

void
own_gate_found(struct own_gate *gate, size_t broker)
{
    gate->broker = broker;
    gate->tried = 0;
    gate->failures = 0;
    gate->closed = false;
}
