/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration: text to number, and the forms a text can be required to have. */
#include "config_values.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <dormouse/framing.h>
#include <dormouse/log.h>

#include "config.h"
#include "topic.h"

#define DIGITS "0123456789"
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS "_.-"
#define NAME_MAX_OCTETS 32
#define TOPIC_ID_MAX 65534 /* 0x0000 and 0xFFFF are reserved (MQTT-SN 1.2 section 5.3.11) */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};
static const struct unit size_units[] = {
    {"", 1}, {"k", 1024}, {"M", 1024 * 1024}, {"G", 1024 * 1024 * 1024}, {NULL, 0},
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *
units_of(enum config_type type)
{
    if (type == CONFIG_DURATION)
        return duration_units;
    return type == CONFIG_SIZE ? size_units : no_units;
}

/* Digits and one of the units. Only 0 needs none. */
static bool
parse_number(const char *text, const struct unit *units, uint64_t *number)
{
    size_t digits = strspn(text, DIGITS);
    if (digits == 0 || digits > 15) /* 10^15 days overflow, which is checked below; no more can */
        return false;
    uint64_t count = strtoull(text, NULL, 10);
    *number = 0;
    if (count == 0 && text[digits] == '\0')
        return true;
    for (const struct unit *unit = units; unit->name != NULL; unit++)
        if (strcmp(unit->name, text + digits) == 0)
            return !__builtin_mul_overflow(count, unit->factor, number);
    return false;
}

/* Digits with at most one point, and the unit if there is one. */
static bool
parse_decimal(const char *text, const char *unit, double *decimal)
{
    size_t len = strspn(text, DIGITS ".");
    char *end = NULL;
    if (len == 0 || len > 15)
        return false;
    *decimal = strtod(text, &end);
    return end == text + len && strcmp(end, unit != NULL ? unit : "") == 0;
}

/* INTEGER, SIZE and DURATION without its range; DECIMAL, too. `off` is UINT64_MAX. */
static bool
parse_quantity(const struct config_key *key, const char *text, struct config_value *value)
{
    if (key->type == CONFIG_DECIMAL)
        return parse_decimal(text, key->unit, &value->decimal);
    if (key->off != NULL && strcmp(text, key->off) == 0) {
        value->number = UINT64_MAX;
        return true;
    }
    if (!parse_number(text, units_of(key->type), &value->number))
        return false;
    if (key->zero_is_off && value->number == 0)
        value->number = UINT64_MAX;
    return true;
}

static const char *
expected_form(enum config_type type)
{
    switch (type) {
    case CONFIG_DURATION:
        return "is no duration: a number and ms, s, m, h or d";
    case CONFIG_SIZE:
        return "is no size: a number, perhaps with k, M or G";
    default:
        return "is no number";
    }
}

static bool
in_range(const struct config_key *key, const struct config_value *value)
{
    struct config_value min, max;
    if (key->off != NULL && value->number == UINT64_MAX)
        return true;
    if (!parse_quantity(key, key->min, &min) || !parse_quantity(key, key->max, &max))
        return false;
    if (key->type == CONFIG_DECIMAL)
        return value->decimal >= min.decimal && value->decimal <= max.decimal;
    return value->number >= min.number && value->number <= max.number;
}

/* Writes the reason with the text in front. Returns false, for the caller to return. */
static bool
refuse(const char *text, const char *why, const char *more, char *reason, size_t size)
{
    /* A password may stand before the @ of a URL. */
    const char *at = strstr(text, "://") != NULL ? strrchr(text, '@') : NULL;
    const char *told = at != NULL ? at : text;
    char shown[64];
    snprintf(reason, size, "\"%s\" %s%s", log_escape(shown, sizeof(shown), dm_span_text(told)), why,
             more);
    return false;
}

static bool
take_quantity(const struct config_key *key, const char *text, struct config_value *value,
              char *reason, size_t size)
{
    char values[64], or_off[16] = "";
    if (key->off != NULL)
        snprintf(or_off, sizeof(or_off), ", or %s", key->off);
    if (!parse_quantity(key, text, value))
        return refuse(text, expected_form(key->type), or_off, reason, size);
    if (!in_range(key, value))
        return refuse(text, "is out of range: ", config_key_values(key, values, sizeof(values)),
                      reason, size);
    return true;
}

/* Where `text` stands in a list of words with one space between them; *index counts words. */
static bool
find_word(const char *words, const char *text, uint64_t *index)
{
    size_t len = strlen(text);
    *index = 0;
    while (len > 0) {
        size_t word = strcspn(words, " ");
        if (word == len && memcmp(words, text, len) == 0)
            return true;
        if (words[word] == '\0')
            return false;
        words += word + 1;
        (*index)++;
    }
    return false;
}

static bool
take_choice(const struct config_key *key, const char *text, struct config_value *value,
            char *reason, size_t size)
{
    char values[128];
    uint64_t index;
    if (!find_word(key->choices, text, &index))
        return refuse(text, "is not one of ", config_key_values(key, values, sizeof(values)),
                      reason, size);
    value->number = index == 0;
    return true;
}

static bool
take_boolean(const char *text, struct config_value *value, char *reason, size_t size)
{
    uint64_t index;
    if (!find_word("yes no true false on off 1 0", text, &index))
        return refuse(text, "is neither yes nor no", "", reason, size);
    value->number = index % 2 == 0;
    return true;
}

static bool
take_framing(const struct config_key *key, const char *text, char *reason, size_t size)
{
    char values[128];
    for (const char *const *name = framing_names(); *name != NULL; name++)
        if (strcmp(*name, text) == 0)
            return true;
    return refuse(text, "is not among the framings built in: ",
                  config_key_values(key, values, sizeof(values)), reason, size);
}

static bool
take_words(const struct config_key *key, const char *text, char *reason, size_t size)
{
    char copy[256], *rest = copy;
    snprintf(copy, sizeof(copy), "%s", text);
    for (char *word; (word = strsep(&rest, " \t,")) != NULL;) {
        const char *why = *word != '\0' ? key->check(word) : NULL;
        if (why != NULL)
            return refuse(word, why, "", reason, size);
    }
    return true;
}

/* `name` ends in the topic id. "07" would be a second name of 7. */
static bool
take_topic(const struct config_key *key, const char *name, const char *text,
           struct config_value *value, char *reason, size_t size)
{
    const char *id = config_key_topic_id(key, name);
    const char *why = key->check(text);
    if (!parse_number(id, no_units, &value->number) || *id == '0' || value->number > TOPIC_ID_MAX)
        return refuse(id, "is no pre-defined topic id: 1 .. 65534", "", reason, size);
    return why == NULL || refuse(text, why, "", reason, size);
}

bool
config_value_parse(const struct config_key *key, const char *name, const char *text,
                   struct config_value *value, char *reason, size_t size)
{
    const char *why = NULL;
    *value = (struct config_value){0};
    switch (key->type) {
    case CONFIG_INTEGER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_DECIMAL:
        return take_quantity(key, text, value, reason, size);
    case CONFIG_CHOICE:
    case CONFIG_FIRST_CHOICE:
        return take_choice(key, text, value, reason, size);
    case CONFIG_BOOLEAN:
        return take_boolean(text, value, reason, size);
    case CONFIG_FRAMING:
        return take_framing(key, text, reason, size);
    case CONFIG_WORDS:
        return take_words(key, text, reason, size);
    case CONFIG_TOPIC:
        return take_topic(key, name, text, value, reason, size);
    case CONFIG_TEXT:
    case CONFIG_LIST:
    case CONFIG_PASSWORD_FILE:
        why = key->check != NULL ? key->check(text) : NULL;
        return why == NULL || refuse(text, why, "", reason, size);
    case CONFIG_PASSWORD:
        return true;
    }
    return false;
}

const char *
config_check_text(const char *text)
{
    return topic_text_is_valid(dm_span_text(text)) ? NULL : "is not valid UTF-8";
}

/* In valid UTF-8: below space, DEL, and U+0080 .. U+009F. */
static bool
has_control_character(const char *text)
{
    for (const unsigned char *octet = (const unsigned char *)text; *octet != '\0'; octet++)
        if (*octet < 0x20 || *octet == 0x7f || (*octet == 0xc2 && octet[1] < 0xa0))
            return true;
    return false;
}

const char *
config_check_pattern(const char *text)
{
    const char *why = config_check_text(text);
    if (why == NULL && *text == '\0')
        return "is empty";
    return why == NULL && has_control_character(text) ? "has control characters" : why;
}

const char *
config_check_name(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > NAME_MAX_OCTETS || strspn(text, NAME_CHARACTERS) != len)
        return "is no name: 1 to 32 of A-Z a-z 0-9 _ . -";
    return NULL;
}

const char *
config_check_path(const char *text)
{
    return text[0] == '/' ? NULL : "is not an absolute path";
}

const char *
config_check_socket(const char *text)
{
    if (strlen(text) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return "is longer than the path of a Unix socket can be";
    return config_check_path(text);
}

/* Cuts "HOST:PORT" or "[HOST]:PORT" into its parts. *port is NULL if there is none. */
static bool
split_endpoint(char *text, char **host, char **port, bool *bracketed)
{
    *bracketed = text[0] == '[';
    char *end = *bracketed ? strchr(text, ']') : text + strcspn(text, ":");
    if (end == NULL)
        return false;
    char *colon = *bracketed ? end + 1 : end;
    *host = *bracketed ? text + 1 : text;
    *port = *colon == ':' ? colon + 1 : NULL;
    if (*colon != ':' && *colon != '\0')
        return false;
    *end = '\0';
    *colon = '\0';
    return **host != '\0';
}

static bool
is_port(const char *text)
{
    uint64_t port;
    return parse_number(text, no_units, &port) && port <= 65535;
}

static bool
is_ipv4(const char *text)
{
    struct in_addr address;
    return inet_pton(AF_INET, text, &address) == 1;
}

/* Perhaps with a scope: fe80::1%eth0. */
static bool
parse_ipv6(const char *text, struct sockaddr_in6 *address)
{
    const struct addrinfo hints = {.ai_family = AF_INET6, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *found = NULL;
    if (getaddrinfo(text, NULL, &hints, &found) != 0)
        return false;
    memcpy(address, found->ai_addr, sizeof(*address));
    freeaddrinfo(found);
    return true;
}

static bool
is_ipv6(const char *text)
{
    struct sockaddr_in6 address;
    return parse_ipv6(text, &address);
}

static bool
is_multicast(const char *host)
{
    struct in_addr ipv4;
    struct sockaddr_in6 ipv6;
    if (inet_pton(AF_INET, host, &ipv4) == 1)
        return IN_MULTICAST(ntohl(ipv4.s_addr));
    return parse_ipv6(host, &ipv6) && IN6_IS_ADDR_MULTICAST(&ipv6.sin6_addr);
}

/* `group`: whether it must be one of multicast, whose port is then a real one. */
static const char *
check_endpoint(const char *text, bool group)
{
    char copy[256], *host, *port;
    bool bracketed;
    if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy) ||
        !split_endpoint(copy, &host, &port, &bracketed) || port == NULL)
        return "is not ADDRESS:PORT or [ADDRESS]:PORT";
    if (bracketed ? !is_ipv6(host) : !is_ipv4(host))
        return "has no numeric address (an IPv6 address stands in brackets)";
    if (group && !is_multicast(host))
        return "is no multicast address: 224.0.0.0 .. 239.255.255.255, or ff00::/8";
    if (!is_port(port) || (group && strtoul(port, NULL, 10) == 0))
        return group ? "has no port in 1 .. 65535" : "has no port in 0 .. 65535";
    return NULL;
}

const char *
config_check_endpoint(const char *text)
{
    return check_endpoint(text, false);
}

const char *
config_check_group(const char *text)
{
    return check_endpoint(text, true);
}

const char *
config_check_interface(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len >= IF_NAMESIZE || strpbrk(text, " \t/:") != NULL ||
        config_check_text(text) != NULL || has_control_character(text))
        return "is no name of a network interface";
    return NULL;
}

const char *
config_check_forwarder(const char *text)
{
    if (strcmp(text, "*") == 0 || is_ipv4(text) || is_ipv6(text))
        return NULL;
    return "is no numeric address and not *";
}

const char *
config_check_url(const char *text)
{
    static const char form[] =
        "is not mqtt://HOST[:PORT], mqtts://HOST[:PORT] or mqtt+unix:///PATH";
    static const char scheme_unix[] = "mqtt+unix://";
    char copy[256], *host, *port;
    bool bracketed;
    if (strncmp(text, scheme_unix, sizeof(scheme_unix) - 1) == 0)
        return config_check_socket(text + sizeof(scheme_unix) - 1);
    if (strchr(text, '@') != NULL)
        return "has a user name in it; use username and password_file";
    size_t scheme = strncmp(text, "mqtts://", 8) == 0 ? 8 : 7;
    if (scheme == 7 && strncmp(text, "mqtt://", 7) != 0)
        return form;
    if ((size_t)snprintf(copy, sizeof(copy), "%s", text + scheme) >= sizeof(copy) ||
        !split_endpoint(copy, &host, &port, &bracketed))
        return form;
    if (bracketed ? !is_ipv6(host) : strspn(host, NAME_CHARACTERS) != strlen(host))
        return "has no valid host";
    if (port != NULL && (!is_port(port) || strtoul(port, NULL, 10) == 0))
        return "has no port in 1 .. 65535";
    return NULL;
}

enum { HEX_MAX = 16 }; /* octets */

const char *
config_check_hex(const char *text)
{
    size_t digits = 0;
    for (; *text != '\0'; text++) {
        if (strchr(DIGITS "abcdefABCDEF", *text) != NULL)
            digits++;
        else if (*text != ' ' || digits % 2 != 0)
            return "is not hexadecimal: two digits for each octet";
    }
    if (digits > 2 * HEX_MAX)
        return "is longer than 16 octets";
    return digits % 2 == 0 ? NULL : "is not hexadecimal: two digits for each octet";
}

const char *
config_check_key(const char *text)
{
    return strlen(text) == 32 && strspn(text, DIGITS "abcdefABCDEF") == 32
               ? NULL
               : "is no key: 32 hexadecimal digits";
}
