/* SPDX-License-Identifier: Apache-2.0 */
/* RadioHead's RH_Serial with the acknowledgements of RHReliableDatagram (serial reference, section
 * 1.4). framing->buffer holds the frame from DLE STX on, unstuffed; `skip`: octets of the FCS still
 * to come. */
#include "crc16.h"
#include "framing_private.h"

#define DLE 0x10u
#define STX 0x02u
#define ETX 0x03u
#define BROADCAST 0xFFu
#define FLAG_ACK 0x80u
#define FLAG_RETRY 0x40u /* newer releases set it in what they repeat */

#define NODE_LEN 1u
#define HEADER_LEN 4u
#define FCS_LEN 2u
#define OPENING_LEN 2u /* DLE STX */
#define CLOSING_LEN 2u /* DLE ETX, which the FCS covers */
#define FCS_START 0xFFFFu

/* A device with the library's own settings has sent the last repeat after 1.6 s; what has the flag
 * is certain to be one, but perhaps of a message that never came. */
#define REPEAT_MS 2000u
#define FLAGGED_REPEAT_MS 10000u

struct header {
    uint8_t to, from, id, flags;
};

struct radiohead {
    struct seen { /* of each sender: its last acknowledged message */
        uint64_t at_ms;
        uint16_t crc;
        uint8_t id;
        bool valid;
    } seen[256];
};

static void
put_stuffed(struct framing_out *out, struct dm_span octets)
{
    for (size_t i = 0; i < octets.len; i++) {
        if (octets.data[i] == DLE)
            framing_put(out, DLE);
        framing_put(out, octets.data[i]);
    }
}

static void
write_frame(struct framing_out *out, struct header header, struct dm_span payload)
{
    const uint8_t head[HEADER_LEN] = {header.to, header.from, header.id, header.flags};
    const uint8_t closing[CLOSING_LEN] = {DLE, ETX};
    uint16_t fcs = crc16_reflected(FCS_START, dm_span(head, sizeof head));

    fcs = crc16_reflected(fcs, payload);
    fcs = crc16_reflected(fcs, dm_span(closing, sizeof closing));
    framing_put(out, DLE);
    framing_put(out, STX);
    put_stuffed(out, dm_span(head, sizeof head));
    put_stuffed(out, payload);
    framing_put(out, DLE);
    framing_put(out, ETX);
    framing_put(out, (uint8_t)(fcs >> 8));
    framing_put(out, (uint8_t)fcs);
}

/* RadioHead's own acknowledgement has this one octet, because some of its radios fail with none. */
static void
acknowledge(const struct framing *framing, const struct header *header, framing_deliver *deliver,
            void *ctx)
{
    static const uint8_t payload[] = {'!'};
    uint8_t frame[OPENING_LEN + 2 * (HEADER_LEN + sizeof payload) + CLOSING_LEN + FCS_LEN];
    struct framing_out out = {frame, sizeof frame, 0};

    write_frame(&out, (struct header){header->from, framing->options.address, header->id, FLAG_ACK},
                dm_span(payload, sizeof payload));
    framing_reply(dm_span(frame, out.used), deliver, ctx);
}

/*
 * The device repeats what it has no acknowledgement for under the same id. An equal id alone does
 * not tell: a device that sleeps without power starts with the same id each time, and often with
 * the same message; the time tells these apart.
 */
static bool
is_repeat(struct framing *framing, const struct header *header, struct dm_span message)
{
    struct radiohead *radiohead = framing->state;
    struct seen *seen = &radiohead->seen[header->from];
    uint16_t crc = crc16_reflected(FCS_START, message);
    unsigned limit_ms = (header->flags & FLAG_RETRY) != 0 ? FLAGGED_REPEAT_MS : REPEAT_MS;

    if (seen->valid && seen->id == header->id && seen->crc == crc &&
        framing->fed_ms - seen->at_ms <= limit_ms)
        return true;
    *seen = (struct seen){framing->fed_ms, crc, header->id, true};
    return false;
}

/* `frame`: header and payload. */
static void
take_frame(struct framing *framing, struct dm_span frame, framing_deliver *deliver, void *ctx)
{
    const struct header header = {frame.data[0], frame.data[1], frame.data[2], frame.data[3]};
    const uint8_t own = framing->options.address;
    const struct framing_event message = {
        .type = FRAMING_MESSAGE,
        .node = dm_span(frame.data + 1, NODE_LEN),
        .octets = dm_span(frame.data + HEADER_LEN, frame.len - HEADER_LEN),
    };

    /* From ourselves: the echo of a shared line. */
    if (header.from == own || (header.to != own && header.to != BROADCAST))
        return;
    if ((header.flags & FLAG_ACK) != 0) {
        if (header.to == own)
            deliver(ctx, &(struct framing_event){.type = FRAMING_CONFIRMED,
                                                 .node = message.node,
                                                 .id = header.id,
                                                 .taken = true});
        return;
    }
    /* Nobody repeats a broadcast. */
    if (header.to == own) {
        acknowledge(framing, &header, deliver, ctx);
        if (is_repeat(framing, &header, message.octets))
            return;
    }
    framing_message(framing, &message, frame.len + OPENING_LEN + CLOSING_LEN + FCS_LEN, deliver,
                    ctx);
}

/* Outside of a frame: `used` is 1 after a DLE. */
static void
find_frame(struct framing *framing, uint8_t octet)
{
    if (octet == DLE) {
        framing->counters.rx_garbage += framing->used;
        framing->buffer[0] = octet;
        framing->used = 1;
    } else if (framing->used == 1 && octet == STX) {
        framing->buffer[framing->used++] = octet;
    } else {
        framing->counters.rx_garbage += framing->used + 1;
        framing->used = 0;
    }
}

/* The buffer has a whole frame. If its FCS is wrong, octets may have been lost in it, and what was
 * taken for the FCS may open the next frame. */
static void
end_frame(struct framing *framing, framing_deliver *deliver, void *ctx)
{
    const uint8_t *start = framing->buffer + OPENING_LEN;
    size_t len = framing->used - OPENING_LEN - FCS_LEN;
    const uint8_t fcs[FCS_LEN] = {start[len], start[len + 1]};

    framing_reset(framing);
    if (crc16_reflected(FCS_START, dm_span(start, len)) != (fcs[0] << 8 | fcs[1])) {
        framing->counters.rx_crc_errors++;
        framing->counters.rx_garbage += OPENING_LEN + len;
        find_frame(framing, fcs[0]);
        find_frame(framing, fcs[1]);
    } else if (len < HEADER_LEN + CLOSING_LEN) {
        framing->counters.rx_garbage += OPENING_LEN + len + FCS_LEN;
    } else {
        take_frame(framing, dm_span(start, len - CLOSING_LEN), deliver, ctx);
    }
}

static void
add_octet(struct framing *framing, uint8_t octet)
{
    if (framing->used < OPENING_LEN + HEADER_LEN + framing->mtu) {
        framing->buffer[framing->used++] = octet;
        return;
    }
    framing->counters.rx_oversize++;
    framing->counters.rx_garbage += framing->used + 1;
    framing_reset(framing);
}

/* The octet after a DLE in a frame. */
static void
end_escape(struct framing *framing, uint8_t octet)
{
    framing->escaped = false;
    if (octet == DLE) {
        add_octet(framing, octet);
    } else if (octet == ETX) {
        framing->buffer[framing->used++] = DLE;
        framing->buffer[framing->used++] = ETX;
        framing->skip = FCS_LEN;
    } else if (octet == STX) { /* the end of the frame before is missing */
        framing->counters.rx_garbage += framing->used;
        framing->used = OPENING_LEN;
    } else {
        framing->counters.rx_garbage += framing->used + 2;
        framing_reset(framing);
    }
}

static void
push_octet(struct framing *framing, uint8_t octet, framing_deliver *deliver, void *ctx)
{
    if (framing->used < OPENING_LEN) {
        find_frame(framing, octet);
    } else if (framing->skip > 0) {
        framing->buffer[framing->used++] = octet;
        if (--framing->skip == 0)
            end_frame(framing, deliver, ctx);
    } else if (framing->escaped) {
        end_escape(framing, octet);
    } else if (octet == DLE) {
        framing->escaped = true;
    } else {
        add_octet(framing, octet);
    }
}

static void
rh_feed(struct framing *framing, const uint8_t *octets, size_t len, framing_deliver *deliver,
        void *ctx)
{
    for (size_t i = 0; i < len; i++)
        push_octet(framing, octets[i], deliver, ctx);
}

static size_t
rh_encoded_max(size_t len)
{
    return OPENING_LEN + 2 * (HEADER_LEN + len) + CLOSING_LEN + FCS_LEN;
}

static enum dm_result
rh_encode(const struct framing *framing, const struct framing_frame *frame, uint8_t *buffer,
          size_t size, size_t *written)
{
    struct framing_out out = {buffer, size, 0};
    uint8_t to = frame->node.len > 0 ? frame->node.data[0] : BROADCAST;

    write_frame(&out, (struct header){to, framing->options.address, frame->id, 0}, frame->message);
    return framing_end(&out, written);
}

const struct framing_kind framing_rh_serial = {
    .traits = {.name = "rh-serial",
               .node_len = NODE_LEN,
               .mtu_max = 60,
               .window = 1,
               .retries = 3,
               .confirm_ms = 200,
               .own_address = true,
               .broadcast_unconfirmed = true},
    .state_size = sizeof(struct radiohead),
    .feed = rh_feed,
    .encoded_max = rh_encoded_max,
    .encode = rh_encode,
};
