/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody on the radio who sends anything: no promise holds for him, and he breaks none. */
#ifndef DORMOUSE_SIM_STRANGER_H
#define DORMOUSE_SIM_STRANGER_H

#include <stdbool.h>

#include <dormouse/span.h>

struct world;

enum {
    STRANGER = 99,        /* his number where devices have theirs */
    STRANGER_CLIENTS = 3, /* sessions that he may have */
};

void stranger_speaks(struct world *w);
/* Whether a message at the broker is of his making: his PUBLISH or his will. */
bool stranger_wrote(struct dm_span payload);

#endif
