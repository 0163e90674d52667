/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framings: how messages stand in the byte stream of a serial port. Each is a pure push decoder and
 * an encoder; no I/O, no clock but the argument, no allocation after framing_new.
 */
#ifndef DORMOUSE_FRAMING_H
#define DORMOUSE_FRAMING_H

#include <stddef.h>
#include <stdint.h>

#include <dormouse/result.h>

struct framing_counters {
    uint64_t rx_frames;     /* messages delivered */
    uint64_t rx_garbage;    /* octets thrown away */
    uint64_t rx_oversize;   /* frames longer than mtu; their octets are garbage, too */
    uint64_t rx_gap_resets; /* partial frames dropped because of an idle gap */
};

struct framing; /* a decoder with its buffer, and the matching encoder */

/* `message` is borrowed during the call. It holds exactly one plausible message (0xFE included). */
typedef void framing_deliver(void *ctx, const uint8_t *message, size_t len);

/*
 * name: one of framing_names(). mtu: largest message in octets, 2..65535, an encapsulation counted
 * with its inner message. gap_ms: an idle time longer than this drops a partial raw frame; 0 = off.
 * Returns NULL if name or mtu is wrong (errno EINVAL) or memory is short (errno ENOMEM).
 */
struct framing *framing_new(const char *name, size_t mtu, unsigned gap_ms);
void framing_free(struct framing *framing);

/* NULL-terminated list of the names that framing_new knows, in the order to show users. */
const char *const *framing_names(void);

/*
 * Takes any chunk of the stream, and calls deliver once for each message completed. now_ms: any
 * monotonic clock. deliver must not free the framing. Nothing can fail: what is no frame is
 * counted.
 */
void framing_feed(struct framing *framing, const uint8_t *octets, size_t len, uint64_t now_ms,
                  framing_deliver *deliver, void *ctx);

/* Forgets a partial frame: the port was closed or has overrun. */
void framing_reset(struct framing *framing);

/* Largest number of octets framing_encode writes for a message of `len` octets. */
size_t framing_encoded_max(const struct framing *framing, size_t len);

/* Writes the frame of one message. DM_FULL: `size` too small. DM_INVALID: longer than the mtu. */
enum dm_result framing_encode(const struct framing *framing, const uint8_t *message, size_t len,
                              uint8_t *buffer, size_t size, size_t *written);

const struct framing_counters *framing_counters(const struct framing *framing);

#endif
