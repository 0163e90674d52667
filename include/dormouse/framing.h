/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framings: how messages stand in the byte stream of a serial port. Each is a pure push decoder and
 * an encoder; no I/O, no clock but the argument, no allocation after framing_new.
 */
#ifndef DORMOUSE_FRAMING_H
#define DORMOUSE_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/result.h>
#include <dormouse/span.h>

/* Octets of the longest address of a node on the line (XBee: 64 bits). */
#define FRAMING_NODE_MAX 8

/* How a framing behaves; the same for all its decoders. */
struct framing_traits {
    const char *name;
    uint8_t node_len;           /* octets of a node's address; 0: the line has one node */
    uint16_t mtu_max;           /* octets of the largest message */
    uint8_t window;             /* frames that may be out unconfirmed; 0: nothing is confirmed */
    bool broadcast_unconfirmed; /* what is for all nodes is not confirmed */
    uint8_t retries;            /* a frame that is not confirmed is sent again so often */
    uint16_t confirm_ms;        /* a confirmation is awaited this long */
    uint16_t hello_ms;          /* framing_hello is due so long after the port was opened */
    bool two_ports;             /* the radio sends and receives through different ports */
    bool encapsulates;          /* 0xFE may stand in a frame: nodes have no address of their own */
    bool own_address;           /* `address` of the options counts */
    bool pairs;                 /* framing_pair works */
    bool xonxoff;               /* its escapes keep the octets of XON and XOFF off the line */
};

struct framing_options {
    const char *name; /* one of framing_names() */
    size_t mtu;      /* largest message in octets, 2..65535; an encapsulation counted with its inner
                      * message */
    unsigned gap_ms; /* an idle time longer than this drops a partial frame of a framing that has no
                      * delimiter; 0: off */
    uint8_t trailer; /* raw: octets that follow each message and mean nothing */
    uint8_t address; /* the gateway's own */
    uint8_t pan;     /* aquila: the network */
    uint8_t key[16]; /* aquila: all 0xFF is no encryption */
};

struct framing_counters {
    uint64_t rx_frames;     /* messages delivered */
    uint64_t rx_garbage;    /* octets thrown away */
    uint64_t rx_crc_errors; /* frames whose check is wrong; their octets are garbage, too */
    uint64_t rx_oversize;   /* frames longer than mtu; their octets are garbage, too */
    uint64_t rx_gap_resets; /* partial frames dropped because of an idle gap */
};

struct framing; /* a decoder with its buffer, and the matching encoder */

enum framing_event_type {
    FRAMING_MESSAGE,   /* node, octets (one plausible message, 0xFE included), quality */
    FRAMING_CONFIRMED, /* id and, where the framing has it, node: the frame was taken, or not */
    FRAMING_REPLY,     /* octets: a whole frame to be sent before all others */
    FRAMING_PAYLOAD,   /* payload: the radio's largest message in octets */
    FRAMING_NOTE,      /* text: something for the log */
};

/* Of the reception; in the radio's own units if the framing has no others. */
struct framing_quality {
    bool has_rssi, has_lqi, has_snr;
    int16_t rssi; /* dBm; aquila: the radio's number */
    uint8_t lqi;  /* larger is better */
    int16_t snr;  /* dB */
};

struct framing_event {
    enum framing_event_type type;
    struct dm_span node; /* empty: the only one, or not told */
    struct dm_span octets;
    struct framing_quality quality;
    uint8_t id; /* of framing_encode; 0: the oldest that is out */
    bool taken;
    uint16_t payload;
    const char *text;
};

/* Spans are borrowed during the call. */
typedef void framing_deliver(void *ctx, const struct framing_event *event);

/*
 * Options are borrowed during the call. NULL: name or mtu is wrong (errno EINVAL) or memory is
 * short (errno ENOMEM).
 */
struct framing *framing_new(const struct framing_options *options);
void framing_free(struct framing *framing);

/* NULL-terminated list of the names that framing_new knows, in the order to show users. */
const char *const *framing_names(void);
/* NULL: no such framing. */
const struct framing_traits *framing_traits_of(const char *name);
const struct framing_traits *framing_traits(const struct framing *framing);

/*
 * Takes any chunk of the stream, and calls deliver for each event in it. now_ms: any monotonic
 * clock. deliver must not free the framing. Nothing can fail: what is no frame is counted.
 */
void framing_feed(struct framing *framing, const uint8_t *octets, size_t len, uint64_t now_ms,
                  framing_deliver *deliver, void *ctx);

/* What the radio must be told or asked after the port was opened, as FRAMING_REPLY. */
void framing_hello(struct framing *framing, framing_deliver *deliver, void *ctx);

/* Lets new nodes join (aquila) or stops it; FRAMING_REPLY. DM_UNSUPPORTED: the framing cannot. */
enum dm_result framing_pair(struct framing *framing, bool on, framing_deliver *deliver, void *ctx);

/* The node is at this address, though it has not been heard: the address is given to no other. */
void framing_expect(struct framing *framing, struct dm_span node);

/* Forgets a partial frame: the port was closed or has overrun. */
void framing_reset(struct framing *framing);

/* Largest number of octets framing_encode writes for a message of `len` octets. */
size_t framing_encoded_max(const struct framing *framing, size_t len);

struct framing_frame {
    struct dm_span node; /* of node_len octets; empty: all nodes */
    struct dm_span message;
    uint8_t id; /* comes back in FRAMING_CONFIRMED; not 0 where frames are confirmed */
};

/* Writes the frame. DM_FULL: `size` too small. DM_INVALID: message longer than the mtu, or not a
 * node of this framing. */
enum dm_result framing_encode(const struct framing *framing, const struct framing_frame *frame,
                              uint8_t *buffer, size_t size, size_t *written);

const struct framing_counters *framing_counters(const struct framing *framing);

#endif
