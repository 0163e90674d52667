/* SPDX-License-Identifier: Apache-2.0 */
/* Parses the command line of dormouse pub, sub, search and fleet by the table of options_table.c.
 */
#include "options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dormouse/client.h>
#include <dormouse/framing.h>

#include "options_table.h"

#define SPECS_MAX 64     /* options of one command */
#define LONG_CODES 0x100 /* getopt_long's values of options without a letter start here */

struct parser {
    struct options *options;
    unsigned mask; /* of struct option_spec.commands */
    char *error;
    size_t error_size;
};

static enum dm_result __attribute__((format(printf, 2, 3)))
invalid(const struct parser *parser, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(parser->error, parser->error_size, format, arguments);
    va_end(arguments);
    return DM_INVALID;
}

static void
set_defaults(struct options *options, enum options_command command)
{
    *options = (struct options){
        .command = command,
        .host = command == OPTIONS_SEARCH ? "225.1.1.1" : "localhost",
        .port = 1883,
        .baud = 115200,
        .framing = "raw",
        .clean_session = command != OPTIONS_FLEET,
        .keepalive_s = 60,
        .retry_ms = 10000,
        .retry_count = 3,
        .connect = true,
        .disconnect = true,
        .wakes = OPTIONS_WAKES_UNLIMITED,
        .radius = 1,
        .search_ms = 5000,
        .devices = 100,
        .qos_mix = "1",
        .size = 32,
        .period_ms = 10000,
        .duration_ms = 60000,
        .drain_ms = 60000,
        .prefix = "fleet",
        .newline = true,
    };
    snprintf(options->client_id, sizeof options->client_id, "dormouse-%s-%ld",
             options_command_name(command), (long)getpid());
}

static enum dm_result
parse_number(const struct parser *parser, const struct option_spec *spec, const char *text,
             uint32_t min, uint32_t max, uint32_t *number)
{
    char *end = NULL;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || value < min ||
        value > max)
        return invalid(parser, "--%s: '%s' is not a number from %lu to %lu", spec->name, text,
                       (unsigned long)min, (unsigned long)max);
    *number = (uint32_t)value;
    return DM_OK;
}

static enum dm_result
parse_seconds(const struct parser *parser, const struct option_spec *spec, const char *text,
              uint32_t *milliseconds)
{
    char *end = NULL;
    double value = strtod(text, &end) * 1000.0;

    /* The first character excludes signs, blanks, "inf" and "nan". */
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || !(value >= spec->min) ||
        !(value <= spec->max))
        return invalid(parser, "--%s: '%s' is not a time from %g to %g seconds", spec->name, text,
                       spec->min / 1000.0, spec->max / 1000.0);
    *milliseconds = (uint32_t)lround(value);
    return DM_OK;
}

static enum dm_result
parse_qos(const struct parser *parser, const char *text)
{
    bool pub = parser->options->command == OPTIONS_PUB;

    if (strlen(text) == 1 && text[0] >= '0' && text[0] <= '2')
        parser->options->qos = (int8_t)(text[0] - '0');
    else if (pub && strcmp(text, "-1") == 0)
        parser->options->qos = MQTTSN_QOS_MINUS_ONE;
    else
        return invalid(parser, "--qos: '%s' is not %s", text, pub ? "-1, 0, 1 or 2" : "0, 1 or 2");
    return DM_OK;
}

/* "0,1,2": single digits with commas between. */
static enum dm_result
parse_qos_mix(const struct parser *parser, const char *text)
{
    size_t len = strlen(text);
    bool right = len % 2 == 1;

    for (size_t i = 0; i < len; i++)
        right = right && (i % 2 == 0 ? text[i] >= '0' && text[i] <= '2' : text[i] == ',');
    if (!right)
        return invalid(parser, "--qos: '%s' is not a list of 0, 1 and 2, as 0,1,2", text);
    parser->options->qos_mix = text;
    return DM_OK;
}

static enum dm_result
parse_topic(const struct parser *parser, const struct option_spec *spec, const char *text)
{
    struct options *options = parser->options;
    struct options_topic topic = {.type = (enum mqttsn_topic_type)spec->value};
    uint32_t id = 0;

    if (options->topic_count == OPTIONS_TOPICS_MAX)
        return invalid(parser, "more than %d topics", OPTIONS_TOPICS_MAX);
    switch (topic.type) {
    case MQTTSN_TOPIC_PREDEFINED:
        if (parse_number(parser, spec, text, 1, UINT16_MAX - 1, &id) != DM_OK)
            return DM_INVALID;
        topic.id = (uint16_t)id;
        break;
    case MQTTSN_TOPIC_SHORT:
        if (strlen(text) != 2)
            return invalid(parser, "--%s: '%s' is not two characters", spec->name, text);
        topic.id = (uint16_t)((uint8_t)text[0] << 8 | (uint8_t)text[1]);
        break;
    default:
        if (text[0] == '\0')
            return invalid(parser, "--%s: the name is empty", spec->name);
        topic.name = text;
        break;
    }
    options->topics[options->topic_count++] = topic;
    return DM_OK;
}

static enum dm_result
parse_source(const struct parser *parser, const struct option_spec *spec, const char *text)
{
    struct options *options = parser->options;

    if (options->source != OPTIONS_SOURCE_NONE)
        return invalid(parser, "only one of -m, -f, -l, -n and -s is possible");
    options->source = (enum options_source)spec->value;
    options->message = text;
    return DM_OK;
}

static enum dm_result
parse_node_id(const struct parser *parser, const char *text)
{
    struct options *options = parser->options;
    size_t digits = strlen(text);

    if (digits == 0 || digits % 2 != 0 || digits / 2 > MQTTSN_NODE_ID_MAX ||
        strspn(text, "0123456789abcdefABCDEF") != digits)
        return invalid(parser, "--node-id: '%s' is not 1 to %u octets in hex", text,
                       MQTTSN_NODE_ID_MAX);
    for (size_t i = 0; i < digits / 2; i++) {
        char octet[] = {text[2 * i], text[2 * i + 1], '\0'};
        options->node_id[i] = (uint8_t)strtoul(octet, NULL, 16);
    }
    options->node_id_len = digits / 2;
    return DM_OK;
}

static enum dm_result
parse_client_id(const struct parser *parser, const char *text)
{
    struct options *options = parser->options;
    size_t len = strlen(text);

    if (len == 0 || len > MQTTSN_CLIENT_ID_MAX)
        return invalid(parser, "a client id has 1 to %u octets", MQTTSN_CLIENT_ID_MAX);
    memcpy(options->client_id, text, len + 1);
    options->client_id_given = true;
    return DM_OK;
}

static enum dm_result
parse_framing(const struct parser *parser, const char *text)
{
    for (const char *const *name = framing_names(); *name != NULL; name++) {
        if (strcmp(*name, text) == 0) {
            parser->options->framing = *name;
            return DM_OK;
        }
    }
    return invalid(parser, "--framing: there is no framing '%s'", text);
}

static enum dm_result
apply(const struct parser *parser, const struct option_spec *spec, const char *text)
{
    void *field = (char *)parser->options + spec->offset;

    switch (spec->kind) {
    case OPTION_TRUE:
        *(bool *)field = true;
        return DM_OK;
    case OPTION_FALSE:
        *(bool *)field = false;
        return DM_OK;
    case OPTION_TEXT:
        if (text[0] == '\0')
            return invalid(parser, "--%s: the value is empty", spec->name);
        *(const char **)field = text;
        return DM_OK;
    case OPTION_NUMBER:
        return parse_number(parser, spec, text, spec->min, spec->max, field);
    case OPTION_SECONDS:
        return parse_seconds(parser, spec, text, field);
    case OPTION_QOS:
        return parse_qos(parser, text);
    case OPTION_QOS_MIX:
        return parse_qos_mix(parser, text);
    case OPTION_TOPIC:
        return parse_topic(parser, spec, text);
    case OPTION_SOURCE:
        return parse_source(parser, spec, text);
    case OPTION_NODE_ID:
        return parse_node_id(parser, text);
    case OPTION_CLIENT_ID:
        return parse_client_id(parser, text);
    case OPTION_FRAMING:
        return parse_framing(parser, text);
    }
    return DM_INVALID;
}

static enum dm_result
check_will(const struct parser *parser)
{
    const struct options *options = parser->options;
    const char *topic = options->will_topic;
    const char *message = options->will_message;

    if (topic == NULL) {
        if (message != NULL || options->will_qos != 0 || options->will_retain)
            return invalid(parser, "a will needs a topic (--will-topic)");
        return DM_OK;
    }
    if (!options->connect || options->qos == MQTTSN_QOS_MINUS_ONE)
        return invalid(parser, "a will is told when connecting: there is no %s with it",
                       options->connect ? "QoS -1" : "--no-connect");
    if (strpbrk(topic, "+#") != NULL)
        return invalid(parser, "--will-topic: '%s' is a filter: a name has no + and #", topic);
    if (strlen(topic) > CLIENT_WILL_TOPIC_MAX)
        return invalid(parser, "--will-topic: longer than %d octets", CLIENT_WILL_TOPIC_MAX);
    if (message != NULL && strlen(message) > CLIENT_WILL_MESSAGE_MAX)
        return invalid(parser, "--will-message: longer than %d octets", CLIENT_WILL_MESSAGE_MAX);
    return DM_OK;
}

static enum dm_result
check_pub(const struct parser *parser)
{
    const struct options *options = parser->options;

    if (options->topic_count != 1)
        return invalid(parser, "exactly one of -t, -T and --short is needed");
    if (options->source == OPTIONS_SOURCE_NONE)
        return invalid(parser, "no message: one of -m, -f, -l, -n and -s is needed");

    const char *name = options->topics[0].name;
    if (name != NULL && strpbrk(name, "+#") != NULL)
        return invalid(parser, "'%s' is a filter: messages go to a topic name without + and #",
                       name);
    if (name != NULL && options->qos == MQTTSN_QOS_MINUS_ONE)
        return invalid(parser, "QoS -1 needs -T or --short: a name takes a connection");
    return DM_OK;
}

static enum dm_result
check_sub(const struct parser *parser)
{
    const struct options *options = parser->options;

    if (options->sleep_s == 0 && options->wakes != OPTIONS_WAKES_UNLIMITED)
        return invalid(parser, "--wakes needs --sleep");
    if (options->connect) {
        if (options->topic_count == 0 && options->clean_session)
            return invalid(parser, "no topic: -t, -T or --short is needed, or --persistent");
        return DM_OK;
    }
    if (options->sleep_s == 0)
        return invalid(parser, "--no-connect needs --sleep");
    if (!options->client_id_given)
        return invalid(parser, "--no-connect needs the client id of the session (-i)");
    if (options->topic_count != 0)
        return invalid(parser, "a sleeping device cannot subscribe: --no-connect takes no topic");
    return DM_OK;
}

static enum dm_result
check_fleet(const struct parser *parser)
{
    const struct options *options = parser->options;

    if (options->sleep_s > 0 && options->clean_session)
        return invalid(parser, "a sleeping device connects to publish, and would lose what waits "
                               "for it: no --clean with --sleep");
    if (strpbrk(options->prefix, "+#") != NULL || strlen(options->prefix) > OPTIONS_PREFIX_MAX)
        return invalid(parser, "--prefix: '%s' has + or #, or is longer than %d octets",
                       options->prefix, OPTIONS_PREFIX_MAX);
    return DM_OK;
}

static enum dm_result
check(const struct parser *parser)
{
    const struct options *options = parser->options;

    if (options->serial != NULL && options->bind != NULL)
        return invalid(parser, "--bind is for UDP, not for --serial");
    if (options->serial != NULL && options->interface != NULL)
        return invalid(parser, "--interface is for UDP, not for --serial");
    if (options->command == OPTIONS_SEARCH)
        return DM_OK;
    if (options->command == OPTIONS_FLEET)
        return check_fleet(parser);
    if (!options->clean_session && !options->client_id_given)
        return invalid(parser, "--persistent needs a client id (-i)");
    if (check_will(parser) != DM_OK)
        return DM_INVALID;
    return options->command == OPTIONS_PUB ? check_pub(parser) : check_sub(parser);
}

/* What getopt_long wants, built from the table. */
struct getopt_tables {
    char letters[2 + 2 * SPECS_MAX];
    struct option longs[SPECS_MAX + 1];
};

static void
build_tables(struct getopt_tables *tables, unsigned mask)
{
    size_t letters = 0;
    size_t longs = 0;

    *tables = (struct getopt_tables){.letters = ""};
    tables->letters[letters++] = ':'; /* tells a missing value from an unknown option */
    for (size_t i = 0; i < option_spec_count; i++) {
        const struct option_spec *spec = &option_specs[i];
        if ((spec->commands & mask) == 0)
            continue;
        assert(longs < SPECS_MAX);
        tables->longs[longs++] = (struct option){
            .name = spec->name,
            .has_arg = spec->argument != NULL ? required_argument : no_argument,
            .val = spec->letter != 0 ? spec->letter : LONG_CODES + (int)i,
        };
        if (spec->letter != 0)
            tables->letters[letters++] = spec->letter;
        if (spec->letter != 0 && spec->argument != NULL)
            tables->letters[letters++] = ':';
    }
}

static const struct option_spec *
find_spec(unsigned mask, int code)
{
    if (code >= LONG_CODES)
        return &option_specs[code - LONG_CODES];
    for (size_t i = 0; i < option_spec_count; i++)
        if ((option_specs[i].commands & mask) != 0 && option_specs[i].letter != 0 &&
            option_specs[i].letter == code)
            return &option_specs[i];
    return NULL;
}

/* `code` is ':' or '?' of getopt_long. */
static enum dm_result
explain(const struct parser *parser, int code, char **argv)
{
    const struct option_spec *spec = find_spec(parser->mask, optopt);

    if (code == ':' && spec != NULL)
        return invalid(parser, "option '%s' needs a value", argv[optind - 1]);
    if (spec != NULL)
        return invalid(parser, "option '--%s' takes no value", spec->name);
    if (optopt != 0)
        return invalid(parser, "unknown option '-%c'", optopt);
    return invalid(parser, "unknown option '%s'", argv[optind - 1]);
}

enum dm_result
options_parse(struct options *options, enum options_command command, int argc, char **argv,
              char *error, size_t error_size)
{
    struct parser parser = {
        .options = options,
        .mask = OPTIONS_FOR(command),
        .error = error,
        .error_size = error_size,
    };
    struct getopt_tables tables;
    int code;

    set_defaults(options, command);
    build_tables(&tables, parser.mask);
    opterr = 0;
    optind = 0; /* GNU: start afresh, for a second parse in one process */
    while ((code = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
        if (code == ':' || code == '?')
            return explain(&parser, code, argv);
        if (apply(&parser, find_spec(parser.mask, code), optarg) != DM_OK)
            return DM_INVALID;
        if (options->help)
            return DM_OK;
    }
    if (optind < argc)
        return invalid(&parser, "unexpected argument '%s'", argv[optind]);
    return check(&parser);
}
