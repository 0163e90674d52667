/* SPDX-License-Identifier: Apache-2.0 */
/* The escapes of SLIP, for each framing that is built on them. */
#ifndef DORMOUSE_FRAMING_SLIP_H
#define DORMOUSE_FRAMING_SLIP_H

#include "framing_private.h"

#define SLIP_END 0xC0u

/* What to do with a frame of `len` octets, unescaped in framing->buffer; never empty. */
typedef void slip_take(struct framing *framing, size_t len, framing_deliver *deliver, void *ctx);

/* Undoes the escapes. A frame of more than `limit` octets, which framing->buffer must hold, counts
 * as oversize. */
void slip_decode(struct framing *framing, struct dm_span octets, size_t limit, slip_take *take,
                 framing_deliver *deliver, void *ctx);

/* The octets as they stand between two SLIP_END. */
void slip_put(struct framing_out *out, struct dm_span octets);

#endif
