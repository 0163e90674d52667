/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing of LoRaLink: two modems, one of which sends and one receives, each with a port and thus a
 * decoder of its own. The sending one answers each frame by a status, in the form in which the
 * receiving one gives messages (source, signal, type; the signal is 0), without a payload.
 */
#include "framing_7e.h"

enum {
    TYPE_MQTT_SN = 0x40,
    TYPE_ACK = 0x80,
    TYPE_NO_FREE_CHANNEL = 0x81,
    TYPE_TX_TIMEOUT = 0x82,
};

#define MTU_MAX 246u
#define PHY_MAX 256u /* the modems have no room for more */
#define BROADCAST 0xFFu
#define TX_HEADER 2u /* destination, type */
#define RX_HEADER 6u /* source, signal strength, signal to noise ratio, type */

static int16_t
signed_16(const uint8_t *octets)
{
    return (int16_t)(uint16_t)(octets[0] << 8 | octets[1]);
}

static void
take_message(struct framing *framing, const struct framing_7e_frame *frame,
             framing_deliver *deliver, void *ctx)
{
    struct dm_span content = frame->content;

    framing_message(framing,
                    &(struct framing_event){
                        .type = FRAMING_MESSAGE,
                        .node = dm_span(content.data, 1),
                        .octets = dm_span(content.data + RX_HEADER, content.len - RX_HEADER),
                        .quality = {.has_rssi = true,
                                    .has_snr = true,
                                    .rssi = signed_16(content.data + 1),
                                    .snr = signed_16(content.data + 3)},
                    },
                    frame->line_len, deliver, ctx);
}

static void
take_status(uint8_t type, framing_deliver *deliver, void *ctx)
{
    if (type >= TYPE_ACK && type <= TYPE_TX_TIMEOUT) /* else one that we need not */
        deliver(ctx, &(struct framing_event){.type = FRAMING_CONFIRMED, .taken = type == TYPE_ACK});
}

/* A status is taken in the short form, too: that of the frames which the modem gets. With a payload
 * it is none: a node may have put any type on the air. */
static void
take(struct framing *framing, const struct framing_7e_frame *frame, framing_deliver *deliver,
     void *ctx)
{
    struct dm_span content = frame->content;

    if (content.len == TX_HEADER)
        take_status(content.data[TX_HEADER - 1], deliver, ctx);
    else if (content.len < RX_HEADER)
        framing_7e_refuse(framing, frame);
    else if (content.data[RX_HEADER - 1] == TYPE_MQTT_SN)
        take_message(framing, frame, deliver, ctx);
    else if (content.len == RX_HEADER)
        take_status(content.data[RX_HEADER - 1], deliver, ctx);
}

static const struct framing_7e_layout layout = {
    .escapes = true,
    .counts_check = true,
    .content_min = TX_HEADER,
    .content_max = RX_HEADER + PHY_MAX,
    .take = take,
};

static void
loralink_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
              void *ctx)
{
    framing_7e_feed(framing, &layout, octets, len, deliver, ctx);
}

static size_t
loralink_encoded_max(size_t len)
{
    return framing_7e_max(&layout, TX_HEADER + len);
}

static enum dm_result
loralink_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
                size_t size, size_t *written)
{
    const uint8_t header[TX_HEADER] = {frame->node.len > 0 ? frame->node.data[0] : BROADCAST,
                                       TYPE_MQTT_SN};
    struct framing_7e_out out =
        framing_7e_start(&layout, sizeof header + frame->message.len, buffer, size);

    (void)framing;
    framing_7e_put(&out, dm_span(header, sizeof header));
    framing_7e_put(&out, frame->message);
    return framing_7e_end(&out, written);
}

const struct framing_kind framing_loralink = {
    .traits = {.name = "loralink",
               .node_len = 1,
               .mtu_max = MTU_MAX,
               .window = 1,
               .confirm_ms = 10000,
               .two_ports = true,
               .xonxoff = true},
    .feed = loralink_feed,
    .encoded_max = loralink_encoded_max,
    .encode = loralink_encode,
    .uses_gap = true,
};
