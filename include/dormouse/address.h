/* SPDX-License-Identifier: Apache-2.0 */
/* Where a device is: a link and octets that only the transport of that link interprets (R7). */
#ifndef DORMOUSE_ADDRESS_H
#define DORMOUSE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* IPv6 address, port, scope (22), one length octet and a forwarder's node id of up to 32 octets. */
#define DM_ADDRESS_OCTETS_MAX 56
/* Longest text form, terminator included: transport, section name, IPv6 and port, node id in hex.
 */
#define DM_ADDRESS_TEXT_MAX 208

/* Everyone but the owning transport only copies, compares, hashes and prints it. */
struct dm_address {
    uint8_t link;                          /* index of the link: order of the sections in the INI */
    uint8_t len;                           /* octets used */
    uint8_t octets[DM_ADDRESS_OCTETS_MAX]; /* beyond len: unspecified */
};

static inline bool
dm_address_equal(const struct dm_address *a, const struct dm_address *b)
{
    return a->link == b->link && a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

#endif
