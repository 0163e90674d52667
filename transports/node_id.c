/* SPDX-License-Identifier: Apache-2.0 */
/* What forwarder encapsulation carries beside the message: node ids as hex, and the radius. */
#include "node_id.h"

#include <assert.h>
#include <string.h>

#define RADIUS_MAX 3

static const char digits[] = "0123456789abcdef";

uint8_t
node_id_radius(uint8_t radius)
{
    return radius < RADIUS_MAX ? radius : RADIUS_MAX;
}

void
node_id_text(struct dm_span node_id, char text[NODE_ID_TEXT_MAX])
{
    assert(node_id.len <= MQTTSN_NODE_ID_MAX);
    for (size_t i = 0; i < node_id.len; i++) {
        text[2 * i] = digits[node_id.data[i] >> 4];
        text[2 * i + 1] = digits[node_id.data[i] & 15];
    }
    text[2 * node_id.len] = '\0';
}

/* The value of one digit, -1 for anything else: upper case too, so that an id has one text only. */
static int
digit_value(char digit)
{
    const char *found = digit == '\0' ? NULL : strchr(digits, digit);

    return found == NULL ? -1 : (int)(found - digits);
}

bool
node_id_parse(const char *text, uint8_t node_id[MQTTSN_NODE_ID_MAX], size_t *len)
{
    size_t text_len = strlen(text);

    if (text_len % 2 != 0 || text_len / 2 > MQTTSN_NODE_ID_MAX)
        return false;
    for (size_t i = 0; i < text_len / 2; i++) {
        int high = digit_value(text[2 * i]);
        int low = digit_value(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        node_id[i] = (uint8_t)(high << 4 | low);
    }
    *len = text_len / 2;
    return true;
}
