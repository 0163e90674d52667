/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clocks of libevent and of the transports in the hands of a test: they stand still, go on, and
 * go ahead. clock_gettime is defined in the test program, and so goes before that of libc; the wall
 * clock passes through.
 */
#ifndef DORMOUSE_TESTS_STEADY_CLOCK_H
#define DORMOUSE_TESTS_STEADY_CLOCK_H

/* From now on time goes on only by steady_clock_advance, counted from CLOCK_MONOTONIC. An event
 * loop must then be run without blocking. */
void steady_clock_freeze(void);
void steady_clock_release(void);
void steady_clock_advance(unsigned ms);

#endif
