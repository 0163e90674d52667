/* SPDX-License-Identifier: Apache-2.0 */
/* A bus on which the port hears what it sends itself: those octets are taken off again. */
#ifndef DORMOUSE_SERIAL_ECHO_H
#define DORMOUSE_SERIAL_ECHO_H

#include <stddef.h>
#include <stdint.h>

#define SERIAL_ECHO_MAX 4096

struct serial_echo {
    size_t first, count;
    uint8_t octets[SERIAL_ECHO_MAX]; /* sent, and not heard yet */
};

void serial_echo_init(struct serial_echo *echo);
/* What does not fit is not expected back. */
void serial_echo_sent(struct serial_echo *echo, const uint8_t *octets, size_t len);
/* How many of the first octets heard are our own. Another octet than expected means that somebody
 * else was talking: nothing more of what was sent is expected. */
size_t serial_echo_heard(struct serial_echo *echo, const uint8_t *octets, size_t len);

#endif
