/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with units, rounded to what a person wants to know. */
#include "human.h"

#include <inttypes.h>
#include <stdio.h>

const char *
human_octets(char *text, uint64_t octets)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)octets / 1024;
    size_t unit = 0;

    if (octets < 1024) {
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 " B", octets);
        return text;
    }
    /* 1023.95 would be printed as 1024.0. */
    while (value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(text, HUMAN_TEXT_MAX, "%.1f %s", value, units[unit]);
    return text;
}

const char *
human_duration(char *text, uint64_t milliseconds)
{
    uint64_t seconds = milliseconds / 1000;

    if (seconds < 10)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " s", seconds,
                 milliseconds % 1000 / 100);
    else if (seconds < 60)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 " s", seconds);
    else if (seconds < 3600)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
    else if (seconds < 86400)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600,
                 seconds % 3600 / 60);
    else
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 " d %" PRIu64 " h", seconds / 86400,
                 seconds % 86400 / 3600);
    return text;
}

const char *
human_microseconds(char *text, uint64_t microseconds)
{
    if (microseconds < 1000)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 " us", microseconds);
    else if (microseconds < 1000000)
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " ms", microseconds / 1000,
                 microseconds % 1000 / 100);
    else
        snprintf(text, HUMAN_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " s", microseconds / 1000000,
                 microseconds % 1000000 / 100000);
    return text;
}
