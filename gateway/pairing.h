/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets new nodes join the radio network of a link, for a while: who forgets to end it leaves no
 * door open. Off -> on: pairing_set, if the link can. On -> on: pairing_set, for the whole time
 * again. On -> off: pairing_set, or the time is over, also while the link is down.
 */
#ifndef DORMOUSE_PAIRING_H
#define DORMOUSE_PAIRING_H

#include <dormouse/transport.h>

#define PAIRING_MS 60000

struct event_base;
struct pairing;

/* `transports` is borrowed until pairing_free; they must live longer. NULL: no memory. */
struct pairing *pairing_new(struct event_base *base, struct transport *const *transports,
                            size_t count, uint32_t duration_ms);
/* Ends nothing: a radio that is still told to pair is left so. NULL is allowed. */
void pairing_free(struct pairing *pairing);

/* DM_NOT_FOUND: no link has this name. DM_UNSUPPORTED: it cannot. DM_IO: it is down, and cannot
 * begin. DM_NO_MEMORY. */
enum dm_result pairing_set(struct pairing *pairing, const char *link, bool on);

#endif
