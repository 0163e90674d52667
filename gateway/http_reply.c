/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the HTTP server: the headers that all have, and errors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "http_private.h"

static const char *
reason_of(int code)
{
    static const struct {
        int code;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {415, "Unsupported Media Type"},
        {421, "Misdirected Request"},
        {503, "Service Unavailable"},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].code == code)
            return reasons[i].text;
    return "Internal Server Error";
}

void
http_reply_headers(struct evhttp_request *request)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
         "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Connection", "close"},
    };
    struct evkeyvalq *out = evhttp_request_get_output_headers(request);

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        evhttp_add_header(out, headers[i][0], headers[i][1]);
    if (evhttp_find_header(out, "Cache-Control") == NULL)
        evhttp_add_header(out, "Cache-Control", "no-store");
}

void
http_reply(struct evhttp_request *request, int code, const char *type, struct evbuffer *body)
{
    struct evkeyvalq *out = evhttp_request_get_output_headers(request);
    size_t len = body != NULL ? evbuffer_get_length(body) : 0;
    char digits[24];

    http_reply_headers(request);
    if (type != NULL)
        evhttp_add_header(out, "Content-Type", type);
    if (code != 304) {
        snprintf(digits, sizeof digits, "%zu", len);
        evhttp_add_header(out, "Content-Length", digits);
    }
    if (body != NULL && evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
        evbuffer_drain(body, len);
    evhttp_send_reply(request, code, reason_of(code), body);
}

void
http_reply_text(struct evhttp_request *request, int code, const char *type, const char *text)
{
    struct evbuffer *body = evbuffer_new();

    if (body != NULL)
        evbuffer_add(body, text, strlen(text));
    http_reply(request, body != NULL ? code : 503, type, body);
    if (body != NULL)
        evbuffer_free(body);
}

void
http_reply_error(struct evhttp_request *request, int code, const char *text)
{
    cJSON *error = cJSON_CreateObject();

    cJSON_AddStringToObject(error, "error", text);
    char *printed = cJSON_PrintUnformatted(error);
    http_reply_text(request, code, "application/json", printed != NULL ? printed : "{}");
    free(printed);
    cJSON_Delete(error);
}
