/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A monotonic clock on which FAST_CLOCK_FACTOR seconds pass in one, so that pauses of the code
 * under test cost a test nothing. A program that links it is linked with
 * -Wl,--wrap=clock_gettime,--wrap=pthread_cond_timedwait; shared libraries keep the real clock.
 */
#ifndef DORMOUSE_TESTS_FAST_CLOCK_H
#define DORMOUSE_TESTS_FAST_CLOCK_H

#define FAST_CLOCK_FACTOR 200

#endif
