/* SPDX-License-Identifier: Apache-2.0 */
/* The status page: files that are part of the program, so that no path can lead out of them. */
#include <string.h>

#include "http_private.h"

static const struct http_file *
find_file(const char *path)
{
    if (strcmp(path, "/") == 0)
        path = "/index.html";
    for (size_t i = 0; i < http_file_count; i++)
        if (strcmp(http_files[i].name, path) == 0)
            return &http_files[i];
    return NULL;
}

bool
http_files_answer(struct evhttp_request *request, const char *path)
{
    const struct http_file *file = find_file(path);
    struct evkeyvalq *out = evhttp_request_get_output_headers(request);

    if (file == NULL)
        return false;
    if (evhttp_request_get_command(request) == EVHTTP_REQ_POST) {
        evhttp_add_header(out, "Allow", "GET, HEAD");
        http_reply_error(request, 405, "nothing can be sent here");
        return true;
    }
    const char *known =
        evhttp_find_header(evhttp_request_get_input_headers(request), "If-None-Match");
    evhttp_add_header(out, "ETag", file->etag);
    evhttp_add_header(out, "Cache-Control", "no-cache");
    if (known != NULL && strstr(known, file->etag) != NULL) {
        http_reply(request, 304, NULL, NULL);
        return true;
    }
    struct evbuffer *body = evbuffer_new();
    if (body == NULL || evbuffer_add_reference(body, file->data, file->len, NULL, NULL) != 0)
        http_reply_error(request, 503, "out of memory");
    else
        http_reply(request, 200, file->type, body);
    if (body != NULL)
        evbuffer_free(body);
    return true;
}
