/* SPDX-License-Identifier: Apache-2.0 */
/* What radios put around the content of their frames. */
#include "radio_frame.h"

#include <stdbool.h>
#include <string.h>

#include "crc16.h"

struct out {
    uint8_t *octets;
    size_t len;
};

static void
put(struct out *out, uint8_t octet)
{
    out->octets[out->len++] = octet;
}

static void
put_escaped(struct out *out, uint8_t octet, bool escapes)
{
    bool special = octet == 0x7E || octet == 0x7D || octet == 0x11 || octet == 0x13;

    if (escapes && special)
        put(out, 0x7D);
    put(out, escapes && special ? octet ^ 0x20 : octet);
}

static void
put_7e(struct out *out, struct dm_span content, bool escapes, size_t excess)
{
    uint8_t sum = 0xFF;

    put(out, 0x7E);
    put_escaped(out, (uint8_t)((content.len + excess) >> 8), escapes);
    put_escaped(out, (uint8_t)(content.len + excess), escapes);
    for (size_t i = 0; i < content.len; i++) {
        put_escaped(out, content.data[i], escapes);
        sum = (uint8_t)(sum - content.data[i]);
    }
    put_escaped(out, sum, escapes);
}

static void
put_slip(struct out *out, uint8_t octet)
{
    bool is_end = octet == 0xC0;

    if (is_end || octet == 0xDB) {
        put(out, 0xDB);
        octet = is_end ? 0xDC : 0xDD;
    }
    put(out, octet);
}

static void
put_aquila(struct out *out, struct dm_span content)
{
    uint16_t crc = crc16_forward(0, content);

    put(out, 0xC0);
    for (size_t i = 0; i < content.len; i++)
        put_slip(out, content.data[i]);
    put_slip(out, (uint8_t)crc);
    put_slip(out, (uint8_t)(crc >> 8));
    put(out, 0xC0);
}

static void
put_rh_serial(struct out *out, struct dm_span content)
{
    const uint8_t closing[] = {0x10, 0x03};
    uint16_t fcs = crc16_reflected(crc16_reflected(0xFFFF, content), dm_span(closing, 2));

    put(out, 0x10);
    put(out, 0x02);
    for (size_t i = 0; i < content.len; i++) {
        if (content.data[i] == 0x10)
            put(out, 0x10);
        put(out, content.data[i]);
    }
    put(out, 0x10);
    put(out, 0x03);
    put(out, (uint8_t)(fcs >> 8));
    put(out, (uint8_t)fcs);
}

/* Source and destination, then the payload, whose length stands between. */
static void
put_hc12(struct out *out, struct dm_span content)
{
    uint8_t sum = 0;

    put(out, 0xAF);
    for (size_t i = 0; i < content.len; i++) {
        if (i == 2)
            put(out, (uint8_t)(content.len - 2));
        put(out, content.data[i]);
    }
    for (size_t i = 0; i < out->len; i++)
        sum = (uint8_t)(sum + out->octets[i]);
    put(out, (uint8_t)(0x100 - sum));
}

size_t
radio_frame(const char *framing, struct dm_span content, uint8_t *frame)
{
    struct out out = {frame, 0};

    if (strcmp(framing, "xbee") == 0)
        put_7e(&out, content, false, 0);
    else if (strcmp(framing, "xbee-escaped") == 0)
        put_7e(&out, content, true, 0);
    else if (strcmp(framing, "loralink") == 0)
        put_7e(&out, content, true, 1);
    else if (strcmp(framing, "aquila") == 0)
        put_aquila(&out, content);
    else if (strcmp(framing, "rh-serial") == 0)
        put_rh_serial(&out, content);
    else if (strcmp(framing, "hc12") == 0)
        put_hc12(&out, content);
    return out.len;
}
