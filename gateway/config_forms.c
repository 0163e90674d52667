/* SPDX-License-Identifier: Apache-2.0 */
/* What topics and addresses of devices look like in a configuration. */
#include <stdio.h>
#include <string.h>

#include "config_values.h"
#include "topic.h"
#include "topic_map.h"

const char *
config_check_topic(const char *text)
{
    if (topic_has_wildcard(dm_span_text(text)))
        return "contains a wildcard";
    if (!topic_name_is_valid(dm_span_text(text)))
        return "is no valid topic name";
    return topic_is_harmless(dm_span_text(text))
               ? NULL
               : "has control characters or too many levels: brokers close the connection over it";
}

/* Puts one letter in the place of the client id: one with +, # or / in it takes part in no name
 * with %c (design 9), and no other makes a valid name invalid. `name` holds 256 octets. */
static const char *
put_letter(const char *text, char *name)
{
    size_t len = 0;
    if (strlen(text) >= 256) /* longer than a line */
        return "is too long";
    for (; *text != '\0'; text++) {
        if (*text == '%' && *++text != 'c')
            return "has a % that is not %c";
        name[len++] = *text;
    }
    name[len] = '\0';
    return NULL;
}

const char *
config_check_client_topic(const char *text)
{
    char name[256];
    const char *why = put_letter(text, name);
    return why != NULL ? why : config_check_topic(name);
}

static const char *
check_filter(const char *text)
{
    if (!topic_filter_is_valid(dm_span_text(text)))
        return "is no valid topic filter";
    return topic_is_harmless(dm_span_text(text)) ? NULL
                                                 : "has control characters or too many levels";
}

const char *
config_check_client_filter(const char *text)
{
    char name[256];
    const char *why = put_letter(text, name);
    return why != NULL ? why : check_filter(name);
}

/* Else a wildcard behind it would not be a level of its own. */
const char *
config_check_prefix(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || text[len - 1] != '/')
        return "does not end in /";
    return text[0] == '$' ? "begins with $" : config_check_client_topic(text);
}

const char *
config_check_rule(const char *text)
{
    struct topic_rule rule;
    const char *why = topic_rule_parse(text, &rule);
    if (why == NULL)
        topic_rule_fini(&rule);
    return why;
}

/* "LINK:" at the start of the text, and what follows it. NULL: not so. */
static const char *
behind_name(const char *text)
{
    char name[33]; /* a name has 32 octets */
    size_t len = strcspn(text, ":");
    if (len >= sizeof(name) || text[len] == '\0')
        return NULL;
    snprintf(name, sizeof(name), "%.*s", (int)len, text);
    return config_check_name(name) == NULL ? text + len + 1 : NULL;
}

/* A node id behind a forwarder: "" or "/" and hexadecimal digits. */
static bool
is_node(const char *text)
{
    size_t digits = *text == '/' ? strlen(text + 1) : 0;
    return *text == '\0' || (*text == '/' && digits % 2 == 0 &&
                             strspn(text + 1, "0123456789"
                                              "abcdef") == digits);
}

const char *
config_check_address(const char *text)
{
    static const char why[] = "is no address: udp:LINK:ADDRESS:PORT or serial:LINK:NODE";
    const char *rest = NULL;
    char endpoint[128];
    if (strncmp(text, "udp:", 4) == 0)
        rest = behind_name(text + 4);
    else if (strncmp(text, "serial:", 7) == 0)
        rest = behind_name(text + 7);
    if (rest == NULL)
        return why;
    if (text[0] == 's')
        return strspn(rest, "0123456789"
                            "abcdef/") == strlen(rest)
                   ? NULL
                   : why;
    size_t len = strcspn(rest, "/");
    if (len >= sizeof(endpoint))
        return why;
    snprintf(endpoint, sizeof(endpoint), "%.*s", (int)len, rest);
    return config_check_endpoint(endpoint) == NULL && is_node(rest + len) ? NULL : why;
}
