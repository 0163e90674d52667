/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing of Digi's XBee radios in API mode: `xbee` is AP=1, `xbee-escaped` AP=2.
 *
 * A node is the eight octets of its 64-bit address as on the wire. Of a node whose 64-bit address
 * the radio does not tell (it gives FF eight times, or has only the 16-bit one) it is FF six times
 * and the 16-bit address, which no device has. The 16-bit address beside a known 64-bit one changes
 * when a device joins again; it is neither looked at nor sent.
 *
 * The frame id of the query in framing_hello is FF: the ids of messages are 1 to FE.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "framing_7e.h"

/* Types of frames. The short ones (the first two requests, the first two receptions and the first
 * status) are those of the 802.15.4 firmware, whose radios need not know any other. */
enum {
    TX_64 = 0x00,
    TX_16 = 0x01,
    AT_COMMAND = 0x08,
    TX_REQUEST = 0x10,
    RX_64 = 0x80,
    RX_16 = 0x81,
    AT_RESPONSE = 0x88,
    TX_STATUS_SHORT = 0x89,
    MODEM_STATUS = 0x8A,
    TX_STATUS = 0x8B,
    RX_PACKET = 0x90,
    RX_EXPLICIT = 0x91,
};

#define NODE_LEN 8u
#define HELLO_ID 0xFFu
#define MTU_MAX 255u
#define RF_MAX 256u    /* no radio takes more at once */
#define CONTENT_MIN 2u /* of a modem status */
#define TX_HEADER 14u
#define RX_HEADER_MAX 18u

struct xbee_state {
    bool short_forms; /* the radio speaks them: so do we */
    uint8_t node[NODE_LEN];
    char note[sizeof "modem status 0xFF"];
};

static bool
is_16_bit_node(const uint8_t *node)
{
    static const uint8_t mark[NODE_LEN - 2] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

    return memcmp(node, mark, sizeof mark) == 0;
}

/* ---- reception ---- */

/* The source addresses stand behind the type, the 16-bit one behind the 64-bit one. */
static void
take_packet(struct framing *framing, const struct framing_7e_frame *frame, size_t header,
            framing_deliver *deliver, void *ctx)
{
    static const uint8_t unknown[NODE_LEN] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    struct dm_span content = frame->content;
    struct xbee_state *state = framing->state;

    if (content.len < header) {
        framing_7e_refuse(framing, frame);
        return;
    }
    state->short_forms = false;
    const uint8_t *source = content.data + 1;
    /* The last six octets of an unknown address and the 16-bit one are the node. */
    const uint8_t *node = memcmp(source, unknown, sizeof unknown) == 0 ? source + 2 : source;
    framing_message(framing,
                    &(struct framing_event){
                        .type = FRAMING_MESSAGE,
                        .node = dm_span(node, NODE_LEN),
                        .octets = dm_span(content.data + header, content.len - header),
                    },
                    frame->line_len, deliver, ctx);
}

/* The signal's strength and the options stand behind the source address. */
static void
take_short_packet(struct framing *framing, const struct framing_7e_frame *frame, size_t source_len,
                  framing_deliver *deliver, void *ctx)
{
    struct dm_span content = frame->content;
    struct xbee_state *state = framing->state;
    size_t header = 1 + source_len + 2;

    if (content.len < header) {
        framing_7e_refuse(framing, frame);
        return;
    }
    state->short_forms = true;
    memset(state->node, 0xFF, NODE_LEN);
    memcpy(state->node + NODE_LEN - source_len, content.data + 1, source_len);
    framing_message(
        framing,
        &(struct framing_event){
            .type = FRAMING_MESSAGE,
            .node = dm_span(state->node, NODE_LEN),
            .octets = dm_span(content.data + header, content.len - header),
            .quality = {.has_rssi = true, .rssi = (int16_t)-content.data[1 + source_len]},
        },
        frame->line_len, deliver, ctx);
}

/* Id 0 is of a frame that wants no status; as an event it would be of the oldest. */
static void
take_status(struct framing *framing, const struct framing_7e_frame *frame, size_t delivery,
            framing_deliver *deliver, void *ctx)
{
    struct dm_span content = frame->content;

    if (content.len <= delivery || content.data[1] == 0) {
        framing_7e_refuse(framing, frame);
        return;
    }
    deliver(ctx, &(struct framing_event){.type = FRAMING_CONFIRMED,
                                         .id = content.data[1],
                                         .taken = content.data[delivery] == 0});
}

static const char *
modem_status_text(uint8_t status)
{
    switch (status) {
    case 0x00:
        return "modem status: hardware reset";
    case 0x01:
        return "modem status: watchdog reset";
    case 0x02:
        return "modem status: joined network";
    case 0x03:
        return "modem status: left network";
    case 0x06:
        return "modem status: coordinator started";
    case 0x07:
        return "modem status: network security key updated";
    case 0x0B:
        return "modem status: network woke up";
    case 0x0C:
        return "modem status: network went to sleep";
    case 0x0D:
        return "modem status: supply voltage limit exceeded";
    default:
        return NULL;
    }
}

static void
take_modem_status(struct framing *framing, const struct framing_7e_frame *frame,
                  framing_deliver *deliver, void *ctx)
{
    struct xbee_state *state = framing->state;
    uint8_t status = frame->content.data[1];
    const char *text = modem_status_text(status);

    if (text == NULL) {
        (void)snprintf(state->note, sizeof state->note, "modem status 0x%02" PRIX8, status);
        text = state->note;
    }
    deliver(ctx, &(struct framing_event){.type = FRAMING_NOTE, .text = text});
}

/* Id, two letters, status, value. Only the answer to the query of framing_hello is of interest; a
 * radio that does not know the letters tells so in the status. */
static void
take_at_response(struct dm_span content, framing_deliver *deliver, void *ctx)
{
    const size_t value = 5;

    if (content.len != value + 2 || memcmp(content.data + 2, "NP", 2) != 0 || content.data[4] != 0)
        return;
    uint16_t payload = (uint16_t)(content.data[value] << 8 | content.data[value + 1]);
    if (payload > 0)
        deliver(ctx, &(struct framing_event){.type = FRAMING_PAYLOAD, .payload = payload});
}

static void
take(struct framing *framing, const struct framing_7e_frame *frame, framing_deliver *deliver,
     void *ctx)
{
    struct dm_span content = frame->content;

    switch (content.data[0]) {
    case RX_PACKET:
        take_packet(framing, frame, 12, deliver, ctx);
        break;
    case RX_EXPLICIT:
        take_packet(framing, frame, RX_HEADER_MAX, deliver, ctx);
        break;
    case RX_64:
        take_short_packet(framing, frame, 8, deliver, ctx);
        break;
    case RX_16:
        take_short_packet(framing, frame, 2, deliver, ctx);
        break;
    case TX_STATUS:
        take_status(framing, frame, 5, deliver, ctx);
        break;
    case TX_STATUS_SHORT:
        take_status(framing, frame, 2, deliver, ctx);
        break;
    case MODEM_STATUS:
        take_modem_status(framing, frame, deliver, ctx);
        break;
    case AT_RESPONSE:
        take_at_response(content, deliver, ctx);
        break;
    default: /* a frame, but none that we need */
        break;
    }
}

static const struct framing_7e_layout plain_layout = {
    .content_min = CONTENT_MIN,
    .content_max = RX_HEADER_MAX + RF_MAX,
    .take = take,
};

static const struct framing_7e_layout escaped_layout = {
    .escapes = true,
    .content_min = CONTENT_MIN,
    .content_max = RX_HEADER_MAX + RF_MAX,
    .take = take,
};

static void
plain_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
           void *ctx)
{
    framing_7e_feed(framing, &plain_layout, octets, len, deliver, ctx);
}

static void
escaped_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
             void *ctx)
{
    framing_7e_feed(framing, &escaped_layout, octets, len, deliver, ctx);
}

/* ---- transmission ---- */

static const uint8_t broadcast[NODE_LEN] = {0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

/* Type, id, 64-bit address, 16-bit address, radius and options of 0. */
static size_t
write_header(const struct framing_frame *frame, uint8_t header[TX_HEADER])
{
    const uint8_t *node = frame->node.len > 0 ? frame->node.data : broadcast;

    memset(header, 0, TX_HEADER);
    header[0] = TX_REQUEST;
    header[1] = frame->id;
    memcpy(header + 2, node, NODE_LEN);
    header[10] = 0xFF; /* not known */
    header[11] = 0xFE;
    if (is_16_bit_node(node)) {
        memset(header + 2, 0xFF, NODE_LEN);
        memcpy(header + 10, node + NODE_LEN - 2, 2);
    }
    return TX_HEADER;
}

/* Type, id, one of the addresses, options of 0. */
static size_t
write_short_header(const struct framing_frame *frame, uint8_t header[TX_HEADER])
{
    const uint8_t *node = frame->node.len > 0 ? frame->node.data : broadcast;
    bool is_16_bit = is_16_bit_node(node);
    size_t dest_len = is_16_bit ? 2 : NODE_LEN;

    header[0] = is_16_bit ? TX_16 : TX_64;
    header[1] = frame->id;
    memcpy(header + 2, node + NODE_LEN - dest_len, dest_len);
    header[2 + dest_len] = 0;
    return 2 + dest_len + 1;
}

static enum dm_result
encode(const struct framing *framing, const struct framing_7e_layout *layout,
       const struct framing_frame *frame, uint8_t *buffer, size_t size, size_t *written)
{
    const struct xbee_state *state = framing->state;
    uint8_t header[TX_HEADER];
    size_t header_len =
        state->short_forms ? write_short_header(frame, header) : write_header(frame, header);
    struct framing_7e_out out =
        framing_7e_start(layout, header_len + frame->message.len, buffer, size);

    framing_7e_put(&out, dm_span(header, header_len));
    framing_7e_put(&out, frame->message);
    return framing_7e_end(&out, written);
}

static enum dm_result
plain_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
             size_t size, size_t *written)
{
    return encode(framing, &plain_layout, frame, buffer, size, written);
}

static enum dm_result
escaped_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
               size_t size, size_t *written)
{
    return encode(framing, &escaped_layout, frame, buffer, size, written);
}

static size_t
plain_encoded_max(size_t len)
{
    return framing_7e_max(&plain_layout, TX_HEADER + len);
}

static size_t
escaped_encoded_max(size_t len)
{
    return framing_7e_max(&escaped_layout, TX_HEADER + len);
}

/* Asks how many octets a transmission may carry. None of these octets needs an escape. */
static void
hello(struct framing *framing, framing_deliver *deliver, void *ctx)
{
    static const uint8_t query[] = {AT_COMMAND, HELLO_ID, 'N', 'P'};
    uint8_t frame[sizeof query + FRAMING_7E_OVERHEAD];
    struct framing_7e_out out = framing_7e_start(&plain_layout, sizeof query, frame, sizeof frame);
    size_t len = 0;

    (void)framing;
    framing_7e_put(&out, dm_span(query, sizeof query));
    if (framing_7e_end(&out, &len) == DM_OK)
        framing_reply(dm_span(frame, len), deliver, ctx);
}

#define TRAITS .node_len = NODE_LEN, .mtu_max = MTU_MAX, .window = 4, .confirm_ms = 5000

const struct framing_kind framing_xbee = {
    .traits = {.name = "xbee", TRAITS},
    .state_size = sizeof(struct xbee_state),
    .feed = plain_feed,
    .encoded_max = plain_encoded_max,
    .encode = plain_encode,
    .hello = hello,
    .uses_gap = true,
};

const struct framing_kind framing_xbee_escaped = {
    .traits = {.name = "xbee-escaped", .xonxoff = true, TRAITS},
    .state_size = sizeof(struct xbee_state),
    .feed = escaped_feed,
    .encoded_max = escaped_encoded_max,
    .encode = escaped_encode,
    .hello = hello,
    .uses_gap = true,
};
