/* SPDX-License-Identifier: Apache-2.0 */
/* The 16-bit check sums of the framings. `crc` is the start value, or what an earlier part gave. */
#ifndef DORMOUSE_CRC16_H
#define DORMOUSE_CRC16_H

#include <stdint.h>

#include <dormouse/span.h>

/* Polynomial 1021, most significant bit first. Start 0: XMODEM, "123456789" gives 31C3. Start FFFF:
 * CCITT-FALSE, 29B1. */
uint16_t crc16_forward(uint16_t crc, struct dm_span octets);

/* The same reflected (8408). Start FFFF: MCRF4XX, 6F91; all bits inverted at the end: X-25 and
 * HDLC, 906E. */
uint16_t crc16_reflected(uint16_t crc, struct dm_span octets);

#endif
