/* SPDX-License-Identifier: Apache-2.0 */
/* The table of every configuration key. The loader, the example file and the reference follow it.
 */
#ifndef DORMOUSE_CONFIG_KEYS_H
#define DORMOUSE_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum config_section {
    SECTION_GATEWAY,
    SECTION_BROKER,
    SECTION_SESSIONS,
    SECTION_STORE,
    SECTION_UDP,
    SECTION_SERIAL,
    SECTION_TOPICS,
    SECTION_CLIENT,
    SECTION_MAP,
    SECTION_CONTROL,
    SECTION_COUNT,
};

struct config_section_info {
    const char *word;    /* the first word of the header */
    const char *example; /* a whole header, without brackets */
    bool named;          /* the header has a second word */
    const char *text;    /* what it is for */
};

/* The comment says what the member holds. */
enum config_type {
    CONFIG_TEXT,          /* char *; an empty value is the default, but see empty_is_off */
    CONFIG_CHOICE,        /* char *, one of `choices` */
    CONFIG_FIRST_CHOICE,  /* bool: the first of `choices` was given */
    CONFIG_FRAMING,       /* char *, one of framing_names() */
    CONFIG_BOOLEAN,       /* bool */
    CONFIG_INTEGER,       /* unsigned integer of `size` octets; `off` is the largest */
    CONFIG_SIZE,          /* the same, octets */
    CONFIG_DURATION,      /* uint64_t, milliseconds; `off` is CONFIG_NEVER */
    CONFIG_DECIMAL,       /* double */
    CONFIG_LIST,          /* struct config_strings, one item a line */
    CONFIG_WORDS,         /* struct config_strings, all items in one line */
    CONFIG_TOPIC,         /* struct config_topics; the key ends in a topic id */
    CONFIG_PASSWORD,      /* char *; the file must be closed to others */
    CONFIG_PASSWORD_FILE, /* char *: the text in the file named */
};

enum config_availability {
    CONFIG_BUILT_IN,
    CONFIG_MISSING,          /* another value than the default is ignored with a warning */
    CONFIG_MISSING_PROTECTS, /* ... is an error: it would seem to protect and does not */
};

/* Returns why `text` is not acceptable, or NULL. Static storage. */
typedef const char *config_check(const char *text);

struct config_key {
    enum config_section section;
    enum config_type type;
    enum config_availability availability;
    const char *name;      /* CONFIG_TOPIC: a prefix and "N" */
    const char *fallback;  /* the default as it would be written; NULL: none */
    const char *min, *max; /* of INTEGER, SIZE, DURATION and DECIMAL, as they would be written */
    const char *unit;      /* of INTEGER, and what kind of text a TEXT is; may be NULL */
    const char *choices;   /* separated by one space */
    const char *off;       /* one more value of INTEGER and DURATION: "never", "none" */
    const char *example;   /* for the example file, where there is no default */
    const char *text;      /* what it is for, one sentence without a full stop */
    config_check *check;   /* of texts, list items and topic names; may be NULL but of a TOPIC */
    size_t offset, size;   /* the member in the struct of the section; size 0: none */
    bool empty_is_off;     /* of a TEXT: an empty value is not the default */
    bool zero_is_off;      /* 0 is one more way to write `off` */
    bool repeatable;
    bool secret;     /* the file must be closed to others */
    bool per_client; /* a key of [sessions] that [client PATTERN] knows too */
};

/* All sections and keys in the order to show users. */
extern const struct config_section_info config_sections[SECTION_COUNT];
extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* NULL: unknown. For SECTION_CLIENT the result may be a `per_client` key of SECTION_SESSIONS. */
const struct config_key *config_key_find(enum config_section section, const char *name);

/* The text of the topic id at the end of `name`. The key must be a CONFIG_TOPIC. */
const char *config_key_topic_id(const struct config_key *key, const char *name);

/* Which values the key takes, as a phrase for users. Returns `buffer`. */
const char *config_key_values(const struct config_key *key, char *buffer, size_t size);

#endif
