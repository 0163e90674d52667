/* SPDX-License-Identifier: Apache-2.0 */
/* Counts the messages of simulated devices from sending to return. */
#include "fleet_tally.h"

#include <assert.h>
#include <string.h>

/* Small times have a bucket each; then every doubling has FLEET_STEPS buckets. */
static unsigned
bucket_of(uint64_t us)
{
    unsigned doubling = 0;

    while (us >= 2 * FLEET_STEPS) {
        us >>= 1;
        doubling++;
    }
    unsigned bucket = doubling * FLEET_STEPS + (unsigned)us;
    unsigned last = FLEET_DOUBLINGS * FLEET_STEPS - 1;
    return bucket < last ? bucket : last;
}

/* The largest time that belongs to the bucket. */
static uint64_t
bucket_end(unsigned bucket)
{
    if (bucket < 2 * FLEET_STEPS)
        return bucket;
    unsigned doubling = bucket / FLEET_STEPS - 1;
    uint64_t start = FLEET_STEPS + bucket % FLEET_STEPS;
    return ((start + 1) << doubling) - 1;
}

void
fleet_times_add(struct fleet_times *times, uint64_t us)
{
    times->buckets[bucket_of(us)]++;
    times->count++;
    if (us > times->max_us)
        times->max_us = us;
}

uint64_t
fleet_times_percentile(const struct fleet_times *times, unsigned percent)
{
    uint64_t wanted = (times->count * percent + 99) / 100;
    uint64_t seen = 0;

    if (times->count == 0)
        return 0;
    for (unsigned i = 0; i < FLEET_DOUBLINGS * FLEET_STEPS - 1; i++) {
        seen += times->buckets[i];
        if (seen >= wanted) {
            uint64_t end = bucket_end(i);
            return end < times->max_us ? end : times->max_us;
        }
    }
    return times->max_us;
}

static struct fleet_messages *
messages_of(const struct fleet_window *window)
{
    assert(window->qos <= 2);
    return &window->tally->qos[window->qos];
}

static struct fleet_message *
slot_of(struct fleet_window *window, uint32_t number)
{
    return &window->messages[number % FLEET_WINDOW];
}

/* Nothing is promised for QoS 0; but whoever counts wants to know what did not arrive. */
static bool
is_owed(const struct fleet_message *message)
{
    return message->number != 0 && message->acknowledged && !message->returned;
}

static bool
is_missing(const struct fleet_window *window, const struct fleet_message *message)
{
    if (window->qos > 0)
        return is_owed(message);
    return message->number != 0 && !message->returned && !message->refused;
}

static void
settle(struct fleet_window *window, struct fleet_message *message)
{
    struct fleet_messages *counts = messages_of(window);

    if (is_missing(window, message))
        counts->lost++;
    else if (message->number != 0 && !message->returned && !message->refused)
        counts->unanswered++;
    *message = (struct fleet_message){0};
}

uint32_t
fleet_window_sent(struct fleet_window *window, uint64_t now_us)
{
    uint32_t number = ++window->last_number;
    struct fleet_message *message = slot_of(window, number);

    settle(window, message);
    *message = (struct fleet_message){.number = number, .sent_us = now_us};
    messages_of(window)->sent++;
    return number;
}

void
fleet_window_acknowledged(struct fleet_window *window)
{
    struct fleet_message *message = slot_of(window, window->last_number);

    if (message->number == 0 || message->acknowledged)
        return;
    message->acknowledged = true;
    messages_of(window)->acknowledged++;
}

void
fleet_window_refused(struct fleet_window *window)
{
    struct fleet_message *message = slot_of(window, window->last_number);

    if (message->number == 0 || message->refused)
        return;
    message->refused = true;
    messages_of(window)->refused++;
}

void
fleet_window_returned(struct fleet_window *window, uint32_t number, uint64_t now_us)
{
    struct fleet_message *message = slot_of(window, number);
    struct fleet_messages *counts = messages_of(window);

    if (number == 0 || number > window->last_number)
        return; /* of another run with the same number */
    if (message->number != number) {
        counts->twice++; /* settled long ago: it is late at least */
        return;
    }
    if (message->returned) {
        counts->twice++;
        return;
    }
    message->returned = true;
    counts->received++;
    fleet_times_add(&counts->latency, now_us - message->sent_us);
}

unsigned
fleet_window_owed(const struct fleet_window *window)
{
    unsigned owed = 0;

    for (unsigned i = 0; i < FLEET_WINDOW; i++)
        owed += is_owed(&window->messages[i]);
    return owed;
}

unsigned
fleet_window_missing(const struct fleet_window *window)
{
    unsigned missing = 0;

    for (unsigned i = 0; i < FLEET_WINDOW; i++)
        missing += is_missing(window, &window->messages[i]);
    return missing;
}

void
fleet_window_settle(struct fleet_window *window, bool waited)
{
    for (unsigned i = 0; i < FLEET_WINDOW; i++) {
        struct fleet_message *message = &window->messages[i];

        if (!waited && message->number != 0 && !message->returned && !message->refused) {
            messages_of(window)->open++;
            *message = (struct fleet_message){0};
        }
        settle(window, message);
    }
}

void
fleet_window_void(struct fleet_window *window)
{
    for (unsigned i = 0; i < FLEET_WINDOW; i++) {
        struct fleet_message *message = &window->messages[i];

        if (is_missing(window, message)) {
            messages_of(window)->unanswered++;
            message->refused = true; /* not missed any more; a late return still counts */
            message->acknowledged = false;
        }
    }
}

bool
fleet_tally_is_bad(const struct fleet_tally *tally)
{
    return tally->qos[1].lost > 0 || tally->qos[2].lost > 0 || tally->qos[2].twice > 0;
}
