/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of small radios, aquila, rh-serial and hc12, as their devices and bridges send them. */
#ifndef DORMOUSE_TESTS_FRAMING_RADIO_H
#define DORMOUSE_TESTS_FRAMING_RADIO_H

#include <dormouse/framing.h>

#include "crc16.h"
#include "framing_sink.h"
#include "unit.h"

#define FRAME_MAX 160
#define PAN 7
#define KEY "\xC0\xDB\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F"

struct frame {
    uint8_t octets[FRAME_MAX];
    size_t len;
};

static inline struct framing *
new_radio(const char *name, uint8_t address, size_t mtu)
{
    struct framing_options options = {
        .name = name, .mtu = mtu, .gap_ms = GAP_MS, .address = address, .pan = PAN};

    memcpy(options.key, KEY, sizeof options.key);
    return framing_new(&options);
}

static inline void
open_radio(struct sink *sink, const char *name, uint8_t address)
{
    memset(sink, 0, sizeof *sink);
    sink->framing = new_radio(name, address, framing_traits_of(name)->mtu_max);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sink->framing);
}

static inline void
feed_frame(struct sink *sink, const struct frame *frame, uint64_t now_ms)
{
    feed(sink, frame->octets, frame->len, now_ms);
}

static inline void
add(struct frame *frame, uint8_t octet)
{
    CU_ASSERT_TRUE_FATAL(frame->len < FRAME_MAX);
    frame->octets[frame->len++] = octet;
}

static inline void
add_slip(struct frame *frame, struct dm_span octets)
{
    for (size_t i = 0; i < octets.len; i++) {
        bool is_end = octets.data[i] == 0xC0;
        bool is_escape = octets.data[i] == 0xDB;
        if (is_end || is_escape)
            add(frame, 0xDB);
        add(frame, is_end ? 0xDC : is_escape ? 0xDD : octets.data[i]);
    }
}

/* What a bridge sends: the content in SLIP with its CRC. */
static inline struct frame
bridge_frame(const uint8_t *content, size_t len)
{
    uint16_t crc = crc16_forward(0, dm_span(content, len));
    const uint8_t check[] = {(uint8_t)crc, (uint8_t)(crc >> 8)};
    struct frame frame = {.len = 0};

    add(&frame, 0xC0);
    add_slip(&frame, dm_span(content, len));
    add_slip(&frame, dm_span(check, sizeof check));
    add(&frame, 0xC0);
    return frame;
}

static inline struct frame
bridge_message(unsigned address, struct dm_span message)
{
    uint8_t content[128] = {
        30, 40, (uint8_t)(5 + message.len), 0xFE, 1, (uint8_t)address, (uint8_t)(address >> 8)};

    CU_ASSERT_TRUE_FATAL(7 + message.len <= sizeof content);
    memcpy(content + 7, message.data, message.len);
    return bridge_frame(content, 7 + message.len);
}

/* Of a device at address `from` to `to`; empty: to all. */
static inline struct frame
device_frame(const char *name, uint8_t from, struct dm_span to, uint8_t id, struct dm_span message)
{
    struct framing *device = new_radio(name, from, framing_traits_of(name)->mtu_max);
    struct framing_frame sent = {to, message, id};
    struct frame frame = {.len = 0};

    CU_ASSERT_PTR_NOT_NULL_FATAL(device);
    CU_ASSERT_EQUAL_FATAL(
        framing_encode(device, &sent, frame.octets, sizeof frame.octets, &frame.len), DM_OK);
    framing_free(device);
    return frame;
}

#define GATEWAY 1
#define DEVICE 2

/* Of any of the framings: from a device at address 2 to the gateway at address 1. */
static inline struct frame
message_frame(const char *name, uint8_t id, struct dm_span message)
{
    const uint8_t gateway = GATEWAY;

    if (strcmp(name, "aquila") == 0)
        return bridge_message(DEVICE, message);
    return device_frame(name, DEVICE, dm_span(&gateway, 1), id, message);
}

static inline bool
is_reply(const struct sink *sink, size_t index, const uint8_t *octets, size_t len)
{
    return index < sink->other_count && sink->others[index].event.type == FRAMING_REPLY &&
           dm_span_equal(sink->others[index].event.octets, dm_span(octets, len));
}

static inline bool
is_note(const struct sink *sink, size_t index)
{
    return index < sink->other_count && sink->others[index].event.type == FRAMING_NOTE &&
           sink->others[index].event.text != NULL;
}

static inline bool
is_from(const struct sink *sink, size_t index, const uint8_t *node, size_t len)
{
    return index < sink->count && sink->messages[index].node_len == len &&
           memcmp(sink->messages[index].node, node, len) == 0;
}

#endif
