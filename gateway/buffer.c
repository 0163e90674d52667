/* SPDX-License-Identifier: Apache-2.0 */
/* Octets that are put together and looked at once: the memory is used again the next time. */
#include "buffer.h"

#include <stdlib.h>
#include <string.h>

bool
buffer_reserve(struct buffer *buffer, size_t octets)
{
    if (octets <= buffer->room)
        return true;
    uint8_t *grown = realloc(buffer->octets, octets);

    if (grown == NULL)
        return false;
    buffer->octets = grown;
    buffer->room = octets;
    return true;
}

bool
buffer_append(struct buffer *buffer, struct dm_span octets)
{
    size_t len = buffer->len + octets.len;

    if (!buffer_reserve(buffer, len))
        return false;
    if (octets.len > 0)
        memcpy(buffer->octets + buffer->len, octets.data, octets.len);
    buffer->len = len;
    return true;
}

bool
buffer_append_client(struct buffer *buffer, const char *text, struct dm_span client_id)
{
    size_t before = buffer->len;
    const char *mark;

    for (; (mark = strstr(text, "%c")) != NULL; text = mark + 2) {
        if (!buffer_append(buffer, dm_span(text, (size_t)(mark - text))) ||
            !buffer_append(buffer, client_id)) {
            buffer->len = before;
            return false;
        }
    }
    if (buffer_append(buffer, dm_span_text(text)))
        return true;
    buffer->len = before;
    return false;
}

struct dm_span
buffer_span(const struct buffer *buffer)
{
    return dm_span(buffer->octets, buffer->len);
}

void
buffer_fini(struct buffer *buffer)
{
    free(buffer->octets);
    *buffer = (struct buffer){0};
}
