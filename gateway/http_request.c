/* SPDX-License-Identifier: Apache-2.0 */
/* What a request of the HTTP server says, judged without I/O: hosts, origins, tokens, ids. */
#include "http_request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool
same_name(struct dm_span a, const char *b)
{
    return a.len == strlen(b) && strncasecmp((const char *)a.data, b, a.len) == 0;
}

static bool
is_port(const char *text)
{
    size_t len = strspn(text, "0123456789");

    return len > 0 && len <= 5 && text[len] == '\0';
}

/* The host without its port and brackets. An empty span: it is malformed. */
static struct dm_span
host_name(const char *host)
{
    bool bracketed = host[0] == '[';
    const char *start = bracketed ? host + 1 : host;
    size_t len = strcspn(start, bracketed ? "]" : ":");
    const char *rest = start + len;

    if (bracketed && *rest++ != ']')
        return dm_span(start, 0);
    if (*rest != '\0' && (*rest != ':' || !is_port(rest + 1)))
        return dm_span(start, 0);
    return dm_span(start, len);
}

/* "barn.example.org" is also called "barn" and, by mDNS, "barn.local". */
static bool
is_machine(struct dm_span host, const char *name)
{
    size_t label = strcspn(name, ".");

    if (label == 0)
        return false;
    if (same_name(host, name))
        return true;
    if (host.len < label || strncasecmp((const char *)host.data, name, label) != 0)
        return false;
    struct dm_span rest = dm_span(host.data + label, host.len - label);
    return rest.len == 0 || same_name(rest, ".local");
}

bool
http_host_is_ours(const char *host, const char *local, const char *name)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "::1"};
    struct dm_span text = host_name(host);

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
        if (same_name(text, loopback[i]))
            return true;
    return same_name(text, local) || is_machine(text, name);
}

bool
http_origin_is_ours(const char *origin, const char *host)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i]);

        if (strncasecmp(origin, schemes[i], len) == 0 && strcasecmp(origin + len, host) == 0)
            return true;
    }
    return false;
}

bool
http_token_matches(const char *authorization, const char *token)
{
    static const char scheme[] = "Bearer ";

    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *given = authorization + sizeof scheme - 1;
    size_t given_len = strlen(given), len = strlen(token);
    size_t differences = given_len ^ len;

    if (len == 0)
        return false;
    for (size_t i = 0; i < given_len; i++)
        differences |= (uint8_t)given[i] ^ (uint8_t)token[i % len];
    return differences == 0;
}

bool
http_content_is_json(const char *type)
{
    static const char json[] = "application/json";

    if (type == NULL)
        return true;
    if (strncasecmp(type, json, sizeof json - 1) != 0)
        return false;
    return strchr(" \t;", type[sizeof json - 1]) != NULL; /* the terminator, too */
}

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum dm_result
http_percent_decode(struct dm_span text, char *out, size_t size)
{
    size_t written = 0;

    for (size_t i = 0; i < text.len; i++) {
        int octet = text.data[i];

        if (octet == '%') {
            int high = i + 2 < text.len ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.data[i + 2]) : -1;

            if (high < 0 || low < 0)
                return DM_INVALID;
            octet = high << 4 | low;
            i += 2;
        }
        if (octet == 0)
            return DM_INVALID;
        if (written + 1 >= size)
            return DM_FULL;
        out[written++] = (char)octet;
    }
    if (size == 0)
        return DM_FULL;
    out[written] = '\0';
    return DM_OK;
}

bool
http_number_parse(const char *text, size_t max, size_t *number)
{
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 9 || text[len] != '\0')
        return false;
    *number = strtoul(text, NULL, 10);
    return *number <= max;
}
