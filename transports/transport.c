/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of every address text, "kind:name:", and the way from a text to its transport. */
#include <dormouse/transport.h>

#include <stdio.h>
#include <string.h>

const char *
transport_address_text(const struct transport *transport, const struct dm_address *address,
                       char *text, size_t size)
{
    if (size == 0)
        return text;
    int head = snprintf(text, size, "%s:%s:", transport->kind, transport->name);
    if (head >= 0 && (size_t)head < size)
        transport->ops->address_text(transport, address, text + head, size - (size_t)head);
    return text;
}

/* What follows "kind:name:", or NULL if the text is of another link. */
static const char *
text_behind_link(const struct transport *transport, const char *text)
{
    size_t kind_len = strlen(transport->kind);
    size_t name_len = strlen(transport->name);

    if (strncmp(text, transport->kind, kind_len) != 0 || text[kind_len] != ':')
        return NULL;
    text += kind_len + 1;
    if (strncmp(text, transport->name, name_len) != 0 || text[name_len] != ':')
        return NULL;
    return text + name_len + 1;
}

enum dm_result
transport_address_parse(struct transport *const *transports, size_t count, const char *text,
                        struct dm_address *address)
{
    enum dm_result result = DM_NOT_FOUND;

    /* One name may begin with another and a colon: go on until a transport takes the rest. */
    for (size_t i = 0; i < count && result != DM_OK; i++) {
        const struct transport *transport = transports[i];
        const char *rest = text_behind_link(transport, text);

        if (rest == NULL)
            continue;
        result = transport->ops->address_parse(transport, rest, address);
        if (result == DM_OK)
            address->link = transport->link;
    }
    return result;
}
