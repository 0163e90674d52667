/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport contract: delivers (address, datagram) to the gateway and sends the same. Forwarder
 * encapsulation (0xFE) is the transport's business: the listener sees bare messages, and the node
 * id is part of the address (R111, R112).
 */
#ifndef DORMOUSE_TRANSPORT_H
#define DORMOUSE_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/address.h>
#include <dormouse/framing.h>
#include <dormouse/result.h>

struct event_base;

/* Octets of the longest section name: with it every address text fits DM_ADDRESS_TEXT_MAX. */
#define TRANSPORT_NAME_MAX 63

/* Never called from inside transport_send. `data` is borrowed during the call. */
struct transport_listener {
    void *ctx;
    void (*on_datagram)(void *ctx, const struct dm_address *from, const uint8_t *data, size_t len);
    /* The link came up or went down; not called for the state it opens with. */
    void (*on_link)(void *ctx, uint8_t link, bool up);
    /* After a send that gave DM_FULL: the link takes messages again. NULL: not wanted. */
    void (*on_room)(void *ctx, uint8_t link);
    /* After a send that gave DM_LATER: it has left now. NULL: not wanted. */
    void (*on_sent)(void *ctx, const struct dm_address *to);
    /* The radio takes only so large messages. NULL: not wanted. */
    void (*on_mtu)(void *ctx, uint8_t link, uint16_t mtu);
};

struct transport_status {
    bool up;
    char device[256]; /* what it is attached to: listen addresses, device path */
    char error[160];  /* why it is down; empty when up */
    char groups[128]; /* multicast groups: "225.1.1.1:1883 (eth0)", or why one is not joined */
    uint64_t rx_datagrams, rx_octets; /* delivered to the listener; octets of the link */
    uint64_t
        rx_dropped; /* datagrams or frames thrown away: encapsulation, size, unknown forwarder */
    uint64_t rx_garbage; /* octets of a serial line that belong to no frame */
    uint64_t tx_datagrams, tx_octets;
    uint64_t
        tx_dropped;   /* not taken: queue full (the gateway may try again), link down, too long */
    uint64_t reopens; /* times the link came back */
    bool serial;      /* what follows counts: */
    uint64_t rx_crc_errors, rx_oversize, rx_gap_resets; /* frames; partial ones */
    uint64_t tx_repeats;     /* frames sent again, because the radio did not confirm them */
    uint64_t tx_unconfirmed; /* frames that it did not take, or did not confirm at all */
    uint64_t tx_waiting;     /* frames now */
    uint64_t line_frame, line_parity, line_overrun, line_break; /* kernel's count since the open */
    uint64_t nodes, nodes_refused; /* heard; messages of more than max_nodes */
};

/* A node that was heard on a serial line. */
struct transport_node {
    struct dm_address address;
    uint64_t heard_ms; /* CLOCK_BOOTTIME */
    uint64_t messages;
    uint64_t unconfirmed; /* frames for it that the radio could not deliver */
    struct framing_quality quality;
};

/* Borrowed during the call. */
typedef void transport_visit_node(void *ctx, const struct transport_node *node);

struct transport;

struct transport_ops {
    /* Queues or sends one bare message. DM_OK means taken, not received. DM_LATER: taken, a message
     * that the device answers; it waits, and on_sent tells when it leaves, unless the link goes
     * down before. DM_FULL: try later. DM_IO: link down. DM_INVALID: longer than the link's mtu. */
    enum dm_result (*send)(struct transport *transport, const struct dm_address *to,
                           const uint8_t *data, size_t len);
    /*
     * Discovery: one message for every device in reach (R11): to the multicast groups with a hop
     * limit that `radius` lowers (0: the whole network), or as a frame on the line. `asker` NULL:
     * unasked. Else where a SEARCHGW came from: it gets the message by unicast as well, and one
     * behind a forwarder gets it through that alone, with the radius, at most 3, in Ctrl (R112).
     * DM_NOT_FOUND: unasked, and the link has no group. Else as send.
     */
    enum dm_result (*broadcast)(struct transport *transport, const struct dm_address *asker,
                                uint8_t radius, const uint8_t *data, size_t len);
    /* The part of the text behind "kind:name:"; always terminates. */
    void (*address_text)(const struct transport *transport, const struct dm_address *address,
                         char *text, size_t size);
    /* The reverse. DM_INVALID: not a text of this kind of link. Sets octets and len, not link. */
    enum dm_result (*address_parse)(const struct transport *transport, const char *text,
                                    struct dm_address *address);
    void (*status)(const struct transport *transport, struct transport_status *status);
    /* So much waits already that requests should be answered with "congestion". NULL: never. */
    bool (*is_congested)(const struct transport *transport);
    /* NULL: it has none to tell of. */
    void (*each_node)(const struct transport *transport, transport_visit_node *visit, void *ctx);
    /* Lets new nodes join, or no more, also when a link that was down is up again. NULL or
     * DM_UNSUPPORTED: it cannot. DM_IO: link down, and `on`. */
    enum dm_result (*pair)(struct transport *transport, bool on);
    /* A device with a stored session is at `address`, which new nodes are not given. NULL: the link
     * gives none. */
    void (*expect)(struct transport *transport, const struct dm_address *address);
    void (*free)(struct transport *transport);
};

/* First member of every transport. */
struct transport {
    const struct transport_ops *ops;
    const char *kind; /* "udp" or "serial" */
    const char *name; /* section name; owned by the transport */
    uint8_t link;
    uint16_t mtu; /* octets of the largest bare message */
};

/* "udp:lan:10.0.0.7:40112", "udp:lan:[fe80::1%2]:1883/01ab", "serial:barn:", "serial:barn:01ab".
 * An encapsulated empty node id is "udp:lan:10.0.0.7:40112/" or "serial:barn:/".
 * size >= DM_ADDRESS_TEXT_MAX holds all. Returns `text`. */
const char *transport_address_text(const struct transport *transport,
                                   const struct dm_address *address, char *text, size_t size);

/* Finds the transport by kind and name among `count` and parses. DM_NOT_FOUND: no such link. */
enum dm_result transport_address_parse(struct transport *const *transports, size_t count,
                                       const char *text, struct dm_address *address);

/* Options are borrowed during the call only. */
struct udp_options {
    const char *name;
    const char *const *listen; /* "0.0.0.0:1883", "[::]:1883"; port 0 takes a free one */
    size_t listen_count;
    const char *const *forwarders; /* addresses that may send 0xFE (R116); "*" = any */
    size_t forwarder_count;
    const char *const *multicast; /* groups for discovery: "225.1.1.1:1883", "[ff1e::1]:1883" */
    size_t multicast_count;
    const char *interface; /* of the groups; NULL: the one that the kernel's routes choose */
    uint8_t multicast_ttl; /* hop limit; 0 counts as 1 */
    uint16_t mtu;
};

enum serial_flow { SERIAL_FLOW_NONE, SERIAL_FLOW_RTSCTS, SERIAL_FLOW_XONXOFF };
enum serial_encapsulation {
    SERIAL_ENCAPSULATION_AUTO,   /* a node seen inside 0xFE is answered inside 0xFE */
    SERIAL_ENCAPSULATION_OFF,    /* 0xFE is dropped */
    SERIAL_ENCAPSULATION_ALWAYS, /* bare messages are dropped */
};

enum serial_signal { SERIAL_SIGNAL_LEAVE, SERIAL_SIGNAL_ON, SERIAL_SIGNAL_OFF };
enum serial_direction {                            /* RS-485 */
                        SERIAL_DIRECTION_HARDWARE, /* no such bus, or it switches by itself */
                        SERIAL_DIRECTION_KERNEL,   /* the driver switches with RTS, where it can */
};

struct serial_settings {
    uint32_t baud;
    char mode[4]; /* data bits, parity (N, E, O), stop bits; empty: 8N1 */
    enum serial_flow flow;
    enum serial_signal dtr, rts; /* after opening; the kernel raises both for a moment */
    enum serial_direction direction;
    bool low_latency; /* ask the driver to deliver at once, where it can */
};

#define SERIAL_PREFIX_MAX 16

/* Times in milliseconds. */
struct serial_options {
    const char *name;
    const char *device;    /* path; a link is resolved at every open */
    const char *tx_device; /* NULL: the same */
    const char *framing;   /* of framing_names() */
    enum serial_encapsulation encapsulation;
    struct serial_settings settings;
    uint16_t mtu; /* octets; not more than the framing's largest counts */
    uint32_t frame_gap_ms;
    uint32_t tx_gap_ms;      /* idle between two frames */
    uint32_t turnaround_ms;  /* idle between the last octet heard and the next frame */
    uint32_t tx_rate;        /* octets in a second on average; 0: as the line goes */
    uint32_t air_rate;       /* octets in a second that the radio sends */
    double duty_cycle;       /* per cent of the time that it may send; 0 counts as 100 */
    uint32_t ack_timeout_ms; /* 0: the framing's own */
    uint32_t open_delay_ms;  /* what comes before is ignored, and nothing is sent */
    uint16_t tx_queue;       /* frames; 0 counts as 16 */
    uint16_t max_nodes;      /* 0 counts as 100 */
    bool echo;               /* the port hears what it sends: that is taken off */
    uint8_t tx_prefix[SERIAL_PREFIX_MAX]; /* before each frame */
    uint8_t tx_prefix_len;
    uint8_t rx_trailer;   /* octets that follow each raw message */
    uint8_t address, pan; /* as in struct framing_options */
    uint8_t key[16];
};

/* Fails (NULL, reason in error[]) if an address cannot be parsed or bound. */
struct transport *udp_open(struct event_base *base, uint8_t link, const struct udp_options *options,
                           const struct transport_listener *listener, char *error,
                           size_t error_size);

/* A device that is missing or busy is no failure: the link opens down and is retried with back-off.
 * Fails (NULL) only for wrong options or no memory. */
struct transport *serial_open(struct event_base *base, uint8_t link,
                              const struct serial_options *options,
                              const struct transport_listener *listener, char *error,
                              size_t error_size);

#endif
