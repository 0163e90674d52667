/* SPDX-License-Identifier: Apache-2.0 */
/* Octets that are put together and looked at once: the memory is used again the next time. */
#ifndef DORMOUSE_BUFFER_H
#define DORMOUSE_BUFFER_H

#include <stdbool.h>

#include <dormouse/span.h>

/* All zero: empty. Release with buffer_fini. */
struct buffer {
    uint8_t *octets;
    size_t len, room;
};

/* So many octets fit from now on. False: no memory. */
bool buffer_reserve(struct buffer *buffer, size_t octets);
/* False: no memory, and nothing was appended. `octets` are not of this buffer. */
bool buffer_append(struct buffer *buffer, struct dm_span octets);
/* Appends the text with the client id for each "%c". */
bool buffer_append_client(struct buffer *buffer, const char *text, struct dm_span client_id);
/* Borrowed until the next append. */
struct dm_span buffer_span(const struct buffer *buffer);
void buffer_fini(struct buffer *buffer);

#endif
