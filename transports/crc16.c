/* SPDX-License-Identifier: Apache-2.0 */
/* Bit by bit: serial lines are slow, and tables would cost memory. */
#include "crc16.h"

#define POLYNOMIAL 0x1021u
#define POLYNOMIAL_REFLECTED 0x8408u

uint16_t
crc16_forward(uint16_t crc, struct dm_span octets)
{
    unsigned value = crc;

    for (size_t i = 0; i < octets.len; i++) {
        value ^= (unsigned)octets.data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            value = (value & 0x8000u) != 0 ? (value << 1 ^ POLYNOMIAL) & 0xFFFFu : value << 1;
    }
    return (uint16_t)value;
}

uint16_t
crc16_reflected(uint16_t crc, struct dm_span octets)
{
    unsigned value = crc;

    for (size_t i = 0; i < octets.len; i++) {
        value ^= octets.data[i];
        for (int bit = 0; bit < 8; bit++)
            value = (value & 1u) != 0 ? value >> 1 ^ POLYNOMIAL_REFLECTED : value >> 1;
    }
    return (uint16_t)value;
}
