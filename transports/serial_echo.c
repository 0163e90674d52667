/* SPDX-License-Identifier: Apache-2.0 */
/* The octets that come back, as a ring. */
#include "serial_echo.h"

void
serial_echo_init(struct serial_echo *echo)
{
    echo->first = echo->count = 0;
}

void
serial_echo_sent(struct serial_echo *echo, const uint8_t *octets, size_t len)
{
    for (size_t i = 0; i < len && echo->count < SERIAL_ECHO_MAX; i++)
        echo->octets[(echo->first + echo->count++) % SERIAL_ECHO_MAX] = octets[i];
}

size_t
serial_echo_heard(struct serial_echo *echo, const uint8_t *octets, size_t len)
{
    size_t own = 0;

    while (own < len && echo->count > 0) {
        if (octets[own] != echo->octets[echo->first]) {
            serial_echo_init(echo);
            break;
        }
        echo->first = (echo->first + 1) % SERIAL_ECHO_MAX;
        echo->count--;
        own++;
    }
    return own;
}
