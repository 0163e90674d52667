/* SPDX-License-Identifier: Apache-2.0 */
/* The escapes of SLIP, for each framing that is built on them. */
#ifndef DORMOUSE_FRAMING_SLIP_H
#define DORMOUSE_FRAMING_SLIP_H

#include "framing_delimited.h"

#define SLIP_END 0xC0u

/* For struct framing_delimited. */
enum framing_step slip_unescape(struct framing *framing, uint8_t *octet);

/* The octets as they stand between two SLIP_END. */
void slip_put(struct framing_out *out, struct dm_span octets);

#endif
