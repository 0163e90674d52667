/* SPDX-License-Identifier: Apache-2.0 */
/* What a request of the HTTP server says, judged without I/O: hosts, origins, tokens, ids. */
#ifndef DORMOUSE_HTTP_REQUEST_H
#define DORMOUSE_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <dormouse/result.h>
#include <dormouse/span.h>

/*
 * Whether a Host header ("NAME", "NAME:PORT", "[IPV6]:PORT") names this machine: a loopback name,
 * `local` (the numeric address that the connection came to, without brackets), or `name` (of the
 * machine; also without its domain, and that with ".local"). Anything else may be a page of a
 * stranger whose name was made to lead here (DNS rebinding).
 */
bool http_host_is_ours(const char *host, const char *local, const char *name);

/* Whether an Origin header is that of pages of `host`, the Host header of the same request. */
bool http_origin_is_ours(const char *origin, const char *host);

/* Whether an Authorization header carries the token. Takes equally long for every wrong token of
 * one length. NULL: no header. */
bool http_token_matches(const char *authorization, const char *token);

/* Whether a Content-Type header is that of JSON, or there is none (NULL). */
bool http_content_is_json(const char *type);

/* Undoes percent-encoding. DM_INVALID: a % without two hexadecimal digits, or a NUL octet.
 * DM_FULL: `size` does not hold it and its terminator. */
enum dm_result http_percent_decode(struct dm_span text, char *out, size_t size);

/* Reads a decimal number. False: it is none, or above `max`. */
bool http_number_parse(const char *text, size_t max, size_t *number);

#endif
