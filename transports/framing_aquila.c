/* SPDX-License-Identifier: Apache-2.0 */
/* Aquila framing: the radio bridges rfm-mqtt-sn-bridge and altair-mqtt-sn-bridge behind SLIP with a
 * CRC. The two directions differ (serial reference, section 1.1). */
#include <stdio.h>

#include "crc16.h"
#include "framing_slip.h"

enum command {
    COMMAND_NACK = 0x00,
    COMMAND_ACK = 0x01,
    COMMAND_CONFIG = 0x02,
    COMMAND_PAIR = 0x03,
    COMMAND_FORWARDED = 0xFE
};
enum pair { PAIR_EXIT = 0, PAIR_ENTER = 1, PAIR_REQUEST = 2, PAIR_RESPONSE = 3 };

#define NODE_LEN 2u
#define CRC_LEN 2u
#define QUALITY_LEN 2u      /* lqi and rssi, before what the bridge sends */
#define HEADER_LEN 5u       /* len, type, ctrl, node */
#define PAIR_REQUEST_LEN 3u /* the device's part: len, 03, its random number */
#define REPLY_MAX 26u       /* octets of PAIR RES, the longest reply */
#define RESPONSE_LEN 7u     /* what PAIR RES tells in place of HEADER_LEN */
#define RADIUS 1u
#define ADDRESS_MIN 1u
#define ADDRESS_MAX 253u
#define NOTE_MS 60000u

struct aquila {
    uint8_t in_use[32]; /* a bit for each address heard from, expected or given */
    bool pairing;
    bool noted;        /* a request to pair while pairing is off */
    uint64_t noted_ms; /* when */
    char text[80];     /* of the note being delivered */
};

static void
write_frame(struct framing_out *out, struct dm_span head, struct dm_span message)
{
    uint16_t crc = crc16_forward(crc16_forward(0, head), message);
    const uint8_t check[CRC_LEN] = {(uint8_t)crc, (uint8_t)(crc >> 8)};

    framing_put(out, SLIP_END);
    slip_put(out, head);
    slip_put(out, message);
    slip_put(out, dm_span(check, sizeof check));
    framing_put(out, SLIP_END);
}

static void
reply(struct dm_span content, framing_deliver *deliver, void *ctx)
{
    uint8_t frame[2 * (REPLY_MAX + CRC_LEN) + 2];
    struct framing_out out = {frame, sizeof frame, 0};

    write_frame(&out, content, dm_span(NULL, 0));
    framing_reply(dm_span(frame, out.used), deliver, ctx);
}

static void
reply_config(const struct framing *framing, framing_deliver *deliver, void *ctx)
{
    uint8_t config[3 + sizeof framing->options.key] = {sizeof config, COMMAND_CONFIG,
                                                       framing->options.pan};

    memcpy(config + 3, framing->options.key, sizeof framing->options.key);
    reply(dm_span(config, sizeof config), deliver, ctx);
}

static void
reply_pair_mode(bool on, framing_deliver *deliver, void *ctx)
{
    const uint8_t mode[3] = {sizeof mode, COMMAND_PAIR, on ? PAIR_ENTER : PAIR_EXIT};

    reply(dm_span(mode, sizeof mode), deliver, ctx);
}

static void
note(struct aquila *aquila, framing_deliver *deliver, void *ctx)
{
    deliver(ctx, &(struct framing_event){.type = FRAMING_NOTE, .text = aquila->text});
}

static bool
is_in_use(const struct aquila *aquila, unsigned address)
{
    return (aquila->in_use[address / 8] & 1u << address % 8) != 0;
}

static void
set_in_use(struct aquila *aquila, unsigned address)
{
    aquila->in_use[address / 8] |= (uint8_t)(1u << address % 8);
}

/* `node`: NODE_LEN octets. The addresses that are not given are not remembered. */
static void
aquila_expect(struct framing *framing, struct dm_span node)
{
    unsigned address = node.data[0] | (unsigned)node.data[1] << 8;

    if (address <= ADDRESS_MAX)
        set_in_use(framing->state, address);
}

/* 0: none is left. */
static uint8_t
new_address(struct aquila *aquila)
{
    for (unsigned address = ADDRESS_MIN; address <= ADDRESS_MAX; address++) {
        if (!is_in_use(aquila, address)) {
            set_in_use(aquila, address);
            return (uint8_t)address;
        }
    }
    return 0;
}

static void
note_pairing_is_off(struct framing *framing, framing_deliver *deliver, void *ctx)
{
    struct aquila *aquila = framing->state;

    if (aquila->noted && framing->fed_ms - aquila->noted_ms < NOTE_MS)
        return;
    aquila->noted = true;
    aquila->noted_ms = framing->fed_ms;
    snprintf(aquila->text, sizeof aquila->text, "a node asks to join, but pairing is off");
    note(aquila, deliver, ctx);
}

static void
answer_pair_request(struct framing *framing, uint8_t random, framing_deliver *deliver, void *ctx)
{
    struct aquila *aquila = framing->state;
    uint8_t response[REPLY_MAX] = {RESPONSE_LEN,           COMMAND_PAIR, PAIR_RESPONSE, 0, 0,
                                   REPLY_MAX - HEADER_LEN, COMMAND_PAIR, random};
    uint8_t address;

    if (!aquila->pairing) {
        note_pairing_is_off(framing, deliver, ctx);
        return;
    }
    address = new_address(aquila);
    if (address == 0) {
        snprintf(aquila->text, sizeof aquila->text, "a node asks to join, but no address is left");
        note(aquila, deliver, ctx);
        return;
    }
    response[8] = address;
    response[9] = framing->options.pan;
    memcpy(response + 10, framing->options.key, sizeof framing->options.key);
    reply(dm_span(response, sizeof response), deliver, ctx);
    snprintf(aquila->text, sizeof aquila->text, "a node joins and is given address %u", address);
    note(aquila, deliver, ctx);
}

/* `frame`: quality, header and message, without the CRC. */
static void
take_forwarded(struct framing *framing, struct dm_span frame, framing_deliver *deliver, void *ctx)
{
    struct framing_event message = {.type = FRAMING_MESSAGE};
    const uint8_t *node = frame.data + QUALITY_LEN + HEADER_LEN - NODE_LEN;
    unsigned address = node[0] | (unsigned)node[1] << 8;

    if (address == 0) /* of a node that has none yet: an answer would reach all of those */
        return;
    message.node = dm_span(node, NODE_LEN);
    aquila_expect(framing, message.node);
    message.octets = dm_span(node + NODE_LEN, frame.len - QUALITY_LEN - HEADER_LEN);
    message.quality.has_lqi = true;
    message.quality.lqi = frame.data[0];
    message.quality.has_rssi = true;
    message.quality.rssi = frame.data[1];
    framing_message(framing, &message, frame.len + CRC_LEN, deliver, ctx);
}

/* In pair mode the bridge hands over all that it hears as a request; what is none is ignored. */
static void
take_pair_request(struct framing *framing, struct dm_span frame, framing_deliver *deliver,
                  void *ctx)
{
    const uint8_t *node = frame.data + QUALITY_LEN + HEADER_LEN - NODE_LEN;
    const uint8_t *request = node + NODE_LEN;

    if (frame.len == QUALITY_LEN + HEADER_LEN + PAIR_REQUEST_LEN && node[0] == 0 && node[1] == 0 &&
        request[0] == PAIR_REQUEST_LEN && request[1] == COMMAND_PAIR)
        answer_pair_request(framing, request[2], deliver, ctx);
}

/* False: no frame of a bridge. */
static bool
take_command(struct framing *framing, struct dm_span frame, framing_deliver *deliver, void *ctx)
{
    const uint8_t *content = frame.data + QUALITY_LEN;
    size_t len = frame.len - QUALITY_LEN;

    if (content[0] != len)
        return false;
    if (len == 2 && (content[1] == COMMAND_ACK || content[1] == COMMAND_NACK)) {
        deliver(ctx, &(struct framing_event){.type = FRAMING_CONFIRMED,
                                             .taken = content[1] == COMMAND_ACK});
        return true;
    }
    if (len == 2 && content[1] == COMMAND_CONFIG) {
        reply_config(framing, deliver, ctx);
        return true;
    }
    if (len > HEADER_LEN && content[1] == COMMAND_FORWARDED) {
        take_forwarded(framing, frame, deliver, ctx);
        return true;
    }
    if (len > HEADER_LEN && content[1] == COMMAND_PAIR && content[2] == PAIR_REQUEST) {
        take_pair_request(framing, frame, deliver, ctx);
        return true;
    }
    return false;
}

static bool
is_good(struct dm_span frame)
{
    size_t len = frame.len - CRC_LEN;

    return crc16_forward(0, dm_span(frame.data, len)) ==
           (frame.data[len] | (unsigned)frame.data[len + 1] << 8);
}

static void
take_frame(struct framing *framing, struct dm_span frame, size_t line_len, framing_deliver *deliver,
           void *ctx)
{
    if (frame.len < QUALITY_LEN + 2 || !take_command(framing, frame, deliver, ctx))
        framing->counters.rx_garbage += line_len;
}

static void
aquila_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
            void *ctx)
{
    static const struct framing_delimited rules = {
        .delimiter = SLIP_END,
        .check_len = CRC_LEN,
        .extra_len = FRAMING_SLACK - CRC_LEN,
        .unescape = slip_unescape,
        .is_good = is_good,
        .take = take_frame,
    };

    framing_delimited_feed(framing, &rules, dm_span(octets, len), deliver, ctx);
}

static size_t
aquila_encoded_max(size_t len)
{
    return 2 * (HEADER_LEN + len + CRC_LEN) + 2;
}

/* The bridge copies as many octets as the message's first one tells, whatever came. */
static enum dm_result
aquila_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
              size_t size, size_t *written)
{
    struct framing_out out = {buffer, size, 0};
    uint8_t head[HEADER_LEN] = {HEADER_LEN, COMMAND_FORWARDED, RADIUS, 0xFF, 0xFF};

    (void)framing;
    if (frame->message.len == 0 || frame->message.data[0] != frame->message.len)
        return DM_INVALID;
    if (frame->node.len > 0)
        memcpy(head + HEADER_LEN - NODE_LEN, frame->node.data, NODE_LEN);
    write_frame(&out, dm_span(head, sizeof head), frame->message);
    return framing_end(&out, written);
}

/* The bridge was reset by the opening of the port: it forgot pairing, too. */
static void
aquila_hello(struct framing *framing, framing_deliver *deliver, void *ctx)
{
    const struct aquila *aquila = framing->state;

    reply_config(framing, deliver, ctx);
    if (aquila->pairing)
        reply_pair_mode(true, deliver, ctx);
}

static void
aquila_pair(struct framing *framing, bool on, framing_deliver *deliver, void *ctx)
{
    struct aquila *aquila = framing->state;

    aquila->pairing = on;
    reply_pair_mode(on, deliver, ctx);
}

const struct framing_kind framing_aquila = {
    .traits = {.name = "aquila",
               .node_len = NODE_LEN,
               .mtu_max = 50,
               .window = 1,
               .confirm_ms = 5000,
               .hello_ms = 2200,
               .pairs = true},
    .state_size = sizeof(struct aquila),
    .feed = aquila_feed,
    .encoded_max = aquila_encoded_max,
    .encode = aquila_encode,
    .hello = aquila_hello,
    .pair = aquila_pair,
    .expect = aquila_expect,
};
