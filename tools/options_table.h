/* SPDX-License-Identifier: Apache-2.0 */
/* The table behind options.c: what each option of pub, sub, search and fleet is called, takes and
 * means. */
#ifndef DORMOUSE_TOOLS_OPTIONS_TABLE_H
#define DORMOUSE_TOOLS_OPTIONS_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "options.h"

#define OPTIONS_FOR(command) (1u << (command))
#define OPTIONS_FOR_PUB OPTIONS_FOR(OPTIONS_PUB)
#define OPTIONS_FOR_SUB OPTIONS_FOR(OPTIONS_SUB)
#define OPTIONS_FOR_SEARCH OPTIONS_FOR(OPTIONS_SEARCH)
#define OPTIONS_FOR_FLEET OPTIONS_FOR(OPTIONS_FLEET)

enum option_kind {
    OPTION_TRUE,    /* sets the bool at `offset` */
    OPTION_FALSE,   /* clears it */
    OPTION_TEXT,    /* const char * at `offset`, not empty */
    OPTION_NUMBER,  /* uint32_t at `offset`, min..max */
    OPTION_SECONDS, /* decimal seconds into the milliseconds at `offset`; min..max in ms */
    OPTION_QOS,
    OPTION_QOS_MIX, /* const char * at `offset` */
    OPTION_TOPIC,   /* `value` is an enum mqttsn_topic_type */
    OPTION_SOURCE,  /* `value` is an enum options_source */
    OPTION_NODE_ID,
    OPTION_CLIENT_ID,
    OPTION_FRAMING,
};

struct option_spec {
    const char *name;  /* long form */
    char letter;       /* 0: none */
    unsigned commands; /* OPTIONS_FOR_... */
    enum option_kind kind;
    size_t offset; /* in struct options */
    uint32_t min, max;
    int value;
    const char *argument; /* shown in the help; NULL: takes none */
    const char *help;     /* NULL: a second name that the help leaves out; '\n' starts a new line */
};

extern const struct option_spec option_specs[];
extern const size_t option_spec_count;

#endif
