/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of dormouse pub, sub, search and fleet: one table of options, and the struct it
 * fills. */
#ifndef DORMOUSE_TOOLS_OPTIONS_H
#define DORMOUSE_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <dormouse/mqttsn.h>
#include <dormouse/result.h>

#define OPTIONS_TOPICS_MAX 64
#define OPTIONS_PREFIX_MAX 64 /* octets */
#define OPTIONS_WAKES_UNLIMITED UINT32_MAX

enum options_command { OPTIONS_PUB, OPTIONS_SUB, OPTIONS_SEARCH, OPTIONS_FLEET };

/* Where pub takes its messages from. */
enum options_source {
    OPTIONS_SOURCE_NONE,
    OPTIONS_SOURCE_TEXT,  /* -m */
    OPTIONS_SOURCE_FILE,  /* -f */
    OPTIONS_SOURCE_LINES, /* -l: one message for each line of stdin */
    OPTIONS_SOURCE_NULL,  /* -n */
    OPTIONS_SOURCE_STDIN, /* -s */
};

struct options_topic {
    enum mqttsn_topic_type type;
    uint16_t id;      /* pre-defined id, or the octets of a short name */
    const char *name; /* MQTTSN_TOPIC_NORMAL: name or filter; else NULL */
};

/* Texts are borrowed from argv. */
struct options {
    enum options_command command;
    bool help;
    /* the way to the gateway */
    const char *host; /* search: a gateway or a multicast group */
    uint32_t port;
    const char *interface; /* search: of the group; NULL: what the routes say */
    const char *bind;      /* "ADDRESS:PORT"; NULL: any */
    const char *serial;    /* device; NULL: UDP */
    uint32_t baud;
    const char *framing;
    uint8_t node_id[MQTTSN_NODE_ID_MAX];
    size_t node_id_len; /* 0: not encapsulated */
    /* the session */
    char client_id[MQTTSN_CLIENT_ID_MAX + 1];
    bool client_id_given;
    bool clean_session;
    uint32_t keepalive_s;
    uint32_t retry_ms;
    uint32_t retry_count;
    bool connect;             /* sub: false = the session is asleep already */
    bool disconnect;          /* false: leave without a word */
    const char *will_topic;   /* NULL: no will */
    const char *will_message; /* NULL: empty */
    uint32_t will_qos;
    bool will_retain;
    /* messages */
    struct options_topic topics[OPTIONS_TOPICS_MAX];
    size_t topic_count;
    int8_t qos;
    bool retain;
    enum options_source source;
    const char *message; /* text of -m, path of -f */
    uint32_t count;      /* sub, search: exit after so many messages or gateways; 0: no limit */
    uint32_t timeout_ms; /* 0: none */
    uint32_t sleep_s;    /* sub: 0 = does not sleep */
    uint32_t wakes;      /* sub: exit after so many wake cycles */
    /* the search */
    uint32_t radius;    /* of SEARCHGW; 0: the whole network */
    uint32_t search_ms; /* how long to listen */
    /* the fleet; also sleep_s, clean_session, retries */
    uint32_t devices;
    const char *qos_mix; /* "0,1,2": what the devices use in turn */
    uint32_t size;       /* octets of a message */
    uint32_t period_ms;
    uint32_t loss_percent; /* of the datagrams, in each direction */
    uint32_t duration_ms;
    uint32_t drain_ms; /* how long to wait at the end for what is under way */
    const char *prefix;
    uint32_t seed; /* 0: a new one each time */
    /* output */
    bool json;
    bool newline;
    bool debug;
    bool verbose;
    bool quiet;
    bool ready;
};

/*
 * Fills *options from argv (argv[0] is the name of the command; argv may be permuted). DM_INVALID:
 * `error` tells why in one line. With --help options->help is set and nothing else is checked.
 */
enum dm_result options_parse(struct options *options, enum options_command command, int argc,
                             char **argv, char *error, size_t error_size);

/* Parses for a command. Returns true to go on; else an error or the help is printed and *status is
 * the exit status. */
bool options_read(struct options *options, enum options_command command, int argc, char **argv,
                  int *status);

/* "pub", "sub", "search" or "fleet" */
const char *options_command_name(enum options_command command);

/* What the help says before and behind the options. */
const char *options_help_head(enum options_command command);
const char *options_help_tail(enum options_command command);
void options_print_help(enum options_command command, FILE *out);

#endif
