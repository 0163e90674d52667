/* SPDX-License-Identifier: Apache-2.0 */
/* Notices a line on which nothing makes sense: most likely the baud rate or the framing is wrong.
 */
#ifndef DORMOUSE_LINE_WATCH_H
#define DORMOUSE_LINE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <dormouse/framing.h>

#define LINE_WATCH_MS 10000
#define LINE_WATCH_GARBAGE 64

struct line_watch {
    uint64_t frames; /* counters when the line was last fine */
    uint64_t garbage;
    uint64_t since_ms; /* when garbage came first after that */
    bool dirty;
    bool told;
};

/* The port was opened: starts anew. */
void line_watch_init(struct line_watch *watch, const struct framing_counters *counters);

/*
 * To be called after octets were fed. True, once after each start, if there were more than
 * LINE_WATCH_GARBAGE octets of garbage and no valid frame in LINE_WATCH_MS or longer. Slow devices
 * count too: one that repeats an unreadable CONNECT every ten seconds never sends much in ten.
 */
bool line_watch_check(struct line_watch *watch, const struct framing_counters *counters,
                      uint64_t now_ms);

#endif
